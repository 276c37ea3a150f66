"""The two checksums: over real frames, and against the definitions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverterproto.checksum import crc16_modbus, sum8
from tests.vectors import BARE_MODBUS, VALID, raw


def crc16_by_definition(data: bytes) -> int:
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


@pytest.mark.parametrize("name", VALID)
def test_the_sum_of_a_real_frame_is_its_last_byte_but_one(name: str) -> None:
    data = raw(name)
    assert sum8(data, 1, len(data) - 2) == data[-2]


def test_the_crc_of_a_real_modbus_message_is_its_last_two_bytes() -> None:
    assert crc16_modbus(BARE_MODBUS[:-2]).to_bytes(2, "little") == BARE_MODBUS[-2:]


def test_the_crc_of_an_alphaess_keep_alive_is_110a() -> None:
    assert crc16_modbus(bytes.fromhex("01010000000000")) == 0x110A


def test_the_crc_has_the_catalogues_check_value() -> None:
    assert crc16_modbus(b"123456789") == 0x4B37


@pytest.mark.parametrize("length", [0, 1, 255, 256, 257, 512, 513, 65_535])
def test_the_sum_is_exact_where_every_byte_is_the_greatest(length: int) -> None:
    assert sum8(b"\xff" * length, 0, length) == 0xFF * length % 256


@given(st.binary(max_size=2000), st.data())
def test_the_sum_is_that_of_any_slice(data: bytes, draw: st.DataObject) -> None:
    start = draw.draw(st.integers(0, len(data)))
    end = draw.draw(st.integers(start, len(data)))
    assert sum8(data, start, end) == sum(data[start:end]) % 256
    assert sum8(bytearray(data), start, end) == sum8(data, start, end)


@given(st.binary(max_size=600))
def test_the_crc_is_that_of_the_definition(data: bytes) -> None:
    assert crc16_modbus(data) == crc16_by_definition(data)


@given(st.binary(max_size=600))
def test_the_crc_over_a_message_with_its_crc_is_zero(data: bytes) -> None:
    assert crc16_modbus(data + crc16_modbus(data).to_bytes(2, "little")) == 0
