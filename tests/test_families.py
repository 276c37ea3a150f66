"""The registry of families, and how a stream's family is told from its first bytes."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverterproto.alphaess.frame import Frame as AlphaFrame
from inverterproto.families import ALPHAESS, DEYE, FAMILIES, HEAD, Family, framings, recognise
from inverterproto.private import Private
from inverterproto.stream import Framed, StreamDecoder
from tests.vectors import (
    AT_TEXT,
    BARE_MODBUS,
    BARE_MODBUS_REQUEST,
    CLIENT_HELLO,
    VALID,
    fixtures,
    frame,
    raw,
)

ALPHA = fixtures("alphaess")
STATUS = ALPHA["status-1"]


@pytest.mark.parametrize("name", VALID)
def test_every_v5_frame_is_recognised_by_its_first_byte(name: str) -> None:
    assert recognise(raw(name)[:1]) is DEYE
    assert recognise(raw(name)) is DEYE


@pytest.mark.parametrize("name", ALPHA)
def test_an_alphaess_frame_is_recognised_by_its_header(name: str) -> None:
    data = ALPHA[name]
    assert [recognise(data[:size]) for size in range(HEAD)] == [None] * HEAD
    assert recognise(data[:HEAD]) is ALPHAESS
    assert recognise(data) is ALPHAESS


@pytest.mark.parametrize(
    "head",
    [
        BARE_MODBUS,
        BARE_MODBUS_REQUEST,
        bytes.fromhex("01010680000000"),  # a negative length
        bytes.fromhex("0101067fffffff"),  # 2 GiB
        bytes.fromhex("01000600000000"),  # no such direction
        bytes.fromhex("01030600000000"),
    ],
)
def test_what_begins_with_1_and_has_no_plausible_header_is_unknown(head: bytes) -> None:
    assert recognise(head) == "unknown"


def test_a_client_hello_is_recognised_by_three_bytes() -> None:
    assert [recognise(CLIENT_HELLO[:size]) for size in range(3)] == [None] * 3
    assert recognise(CLIENT_HELLO[:3]) == "tls"
    assert recognise(CLIENT_HELLO) == "tls"


@pytest.mark.parametrize(
    "head",
    [
        AT_TEXT,
        b"GET / HTTP/1.1\r\n",
        b"\0",
        b"\x15",
        b"\x16\x02\x01",
        b"\x16\x03\x05",
        b"\x16\x03\x01\x00\x05\x02",  # a ServerHello: nobody who connects begins with it
        b"\xff" * 20,
    ],
)
def test_anything_else_is_unknown(head: bytes) -> None:
    assert recognise(head) == "unknown"


def test_of_nothing_nothing_is_known() -> None:
    assert recognise(b"") is None


heads = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([raw("heartbeat"), STATUS, CLIENT_HELLO, AT_TEXT, BARE_MODBUS]),
    st.builds(bytes.__add__, st.sampled_from([b"\x01\x01", b"\x16\x03"]), st.binary(max_size=9)),
)


@given(heads, st.integers(0, 20))
def test_so_many_bytes_are_always_enough(head: bytes, size: int) -> None:
    assert recognise(head.ljust(HEAD, b"\0")) is not None
    early = recognise(head[:size])
    # A ClientHello is taken for one as far as its bytes tell.
    assert early in {None, "tls", recognise(head)}


def test_there_are_two_families_by_name() -> None:
    assert list(FAMILIES) == ["deye", "alphaess"]
    assert [(family.name, family.port) for family in FAMILIES.values()] == [
        ("deye", 10000),
        ("alphaess", 7777),
    ]
    assert repr(DEYE) == "Family(deye)"


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_a_family_starts_its_frames_as_its_framing_does(family: Family) -> None:
    assert family.framing.start == family.start
    assert family.framing.family == family.name


def test_a_family_says_what_a_frame_says() -> None:
    heartbeat = raw("heartbeat")
    assert DEYE.message(frame("heartbeat")).name == "heartbeat"
    assert DEYE.header(heartbeat) == {
        "payload_length": 1,
        "control_code": 0x4710,
        "sequence": [0x97, 0x6D],
        "logger_serial": 2712345678,
        "checksum": 0x12,
    }

    assert ALPHAESS.message(AlphaFrame.parse(STATUS)).name == "status"
    assert ALPHAESS.header(STATUS) == {
        "version": 1,
        "direction": 1,
        "command": 16,
        "length": 267,
        "crc": 0x1DF1,
    }


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_a_new_dating_has_nothing_to_date(family: Family) -> None:
    dating = family.dating(3600.0)
    assert dating.settle(1e9) == dating.finish() == []


def test_one_decoder_finds_the_frames_of_all_families() -> None:
    items = StreamDecoder(*framings()).feed(raw("heartbeat") + STATUS + raw("heartbeat"))
    assert [item.family for item in items if isinstance(item, Framed)] == [
        "deye",
        "alphaess",
        "deye",
    ]
    assert framings([DEYE]) == [DEYE.framing]


@pytest.mark.parametrize(
    ("data", "others"), [(raw("heartbeat"), "alphaess msgspec"), (STATUS, "deye construct msgspec")]
)
def test_who_speaks_one_family_does_not_import_the_other(data: bytes, others: str) -> None:
    program = (
        "import sys\n"
        "from inverterproto.families import Family, recognise\n"
        f"data = bytes.fromhex('{data.hex()}')\n"
        "family = recognise(data)\n"
        "assert isinstance(family, Family)\n"
        "assert family.message(family.framing.parse(data)).fields\n"
        f"for other in '{others}'.split():\n"
        "    assert not [name for name in sys.modules if other in name], other\n"
    )
    root = Path(__file__).parent.parent
    subprocess.run(  # noqa: S603 - our own
        [sys.executable, "-c", program], check=True, cwd=root
    )


@pytest.mark.parametrize("family", FAMILIES.values(), ids=str)
def test_a_family_says_its_messages_and_what_is_private(family: Family) -> None:
    assert len(family.message_names) > 9
    assert "unknown" not in family.message_names
    assert set(family.private_fields.values()) <= set(Private)
    expected = {
        "deye": {"logger_serial": Private.SERIAL, "ssid": Private.SSID, "mac": Private.MAC},
        "alphaess": {
            "SN": Private.SERIAL,
            "Password": Private.PASSWORD,
            "Address": Private.ADDRESS,
        },
    }
    assert expected[family.name].items() <= family.private_fields.items()


def test_bytes_without_the_beginning_of_a_frame_hold_no_private_field() -> None:
    assert not list(FAMILIES["deye"].private_rows(b"\xa5\x01"))
    assert not list(FAMILIES["deye"].private_rows(bytes(20)))
    assert not list(FAMILIES["alphaess"].private_rows(b"\x01\x03" + bytes(20)))
