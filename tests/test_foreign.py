"""Bytes of other protocols are named, and no byte of a run goes missing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverterproto.deye.modbus import match_rtu
from inverterproto.foreign import is_client_hello, split_runs
from inverterproto.stream import Reason
from tests.vectors import AT_TEXT, BARE_MODBUS, BARE_MODBUS_REQUEST, CLIENT_HELLO

JUNK, AT, MODBUS, TLS = Reason.JUNK, Reason.AT_TEXT, Reason.MODBUS, Reason.TLS


@pytest.mark.parametrize("version", [0, 1, 2, 3, 4])
def test_a_client_hello_of_any_version_of_tls_is_one(version: int) -> None:
    assert is_client_hello(bytes((0x16, 3, version)) + CLIENT_HELLO[3:])


@pytest.mark.parametrize("length", range(3, 7))
def test_three_bytes_of_a_client_hello_are_enough(length: int) -> None:
    assert is_client_hello(CLIENT_HELLO[:length])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x16",
        b"\x16\x03",
        bytes.fromhex("170301002f01"),  # application data
        bytes.fromhex("160201002f01"),  # no version of TLS
        bytes.fromhex("160305002f01"),
        bytes.fromhex("160301002f02"),  # a ServerHello
    ],
)
def test_what_only_resembles_a_client_hello_is_none(data: bytes) -> None:
    assert not is_client_hello(data)


def test_a_client_hello_is_looked_for_where_it_shall_be() -> None:
    assert is_client_hello(b"\0\0" + CLIENT_HELLO, 2)
    assert not is_client_hello(b"\0\0" + CLIENT_HELLO, 1)


@pytest.mark.parametrize(
    ("run", "parts"),
    [
        (b"", []),
        (b"\x00\x01", [(2, JUNK)]),
        (AT_TEXT, [(len(AT_TEXT), AT)]),
        (AT_TEXT + AT_TEXT, [(len(AT_TEXT), AT)] * 2),
        (b"+ok=10,start download\r\n", [(23, AT)]),
        (b"+ERR=-2\r\n", [(9, AT)]),
        (b"AT+", [(3, AT)]),
        (b"\0" + AT_TEXT + b"\0\0", [(1, JUNK), (len(AT_TEXT), AT), (2, JUNK)]),
        (BARE_MODBUS, [(7, MODBUS)]),
        (BARE_MODBUS_REQUEST + BARE_MODBUS, [(8, MODBUS), (7, MODBUS)]),
        (BARE_MODBUS + b"\0", [(7, MODBUS), (1, JUNK)]),
        (BARE_MODBUS + AT_TEXT + BARE_MODBUS, [(7, MODBUS), (len(AT_TEXT), AT), (7, MODBUS)]),
        (BARE_MODBUS[:-1], [(6, JUNK)]),
        (CLIENT_HELLO, [(len(CLIENT_HELLO), TLS)]),
        (CLIENT_HELLO + AT_TEXT, [(len(CLIENT_HELLO + AT_TEXT), TLS)]),
    ],
)
def test_a_run_is_divided_by_what_it_is(run: bytes, parts: list[tuple[int, Reason]]) -> None:
    assert split_runs(run, match_rtu) == parts


def test_where_there_can_be_no_modbus_none_is_found() -> None:
    assert split_runs(BARE_MODBUS + AT_TEXT) == [(7, JUNK), (len(AT_TEXT), AT)]


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=20),
            st.sampled_from([AT_TEXT, BARE_MODBUS, BARE_MODBUS_REQUEST, CLIENT_HELLO, b"AT", b"+"]),
        )
    ).map(b"".join)
)
def test_the_parts_of_a_run_add_up_to_it(run: bytes) -> None:
    for match in (None, match_rtu):
        parts = split_runs(run, match)
        assert sum(size for size, _ in parts) == len(run)
        assert all(size > 0 for size, _ in parts)
