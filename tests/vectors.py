"""Real frames from `fixtures/`, by the name of their file."""

from functools import cache
from pathlib import Path

from inverterproto.deye.frame import Frame

FIXTURES = Path(__file__).parent.parent / "fixtures"

# What makers' loggers were seen to send that is no frame.
AT_TEXT = b"AT+YZCMPVER=MW3_16U_5406_2.27\r\n\n"  # source: P's test server
BARE_MODBUS = bytes.fromhex("010302010a39d3")  # the body of modbus-read-reply
BARE_MODBUS_REQUEST = bytes.fromhex("010300aa0001a42a")  # the body of modbus-read-request
CLIENT_HELLO = bytes.fromhex("160301002f0100002b0303") + bytes(range(32)) + b"\x00\x00\x02\x13\x01"


@cache
def fixtures(family: str) -> dict[str, bytes]:
    """Return all frames of a family's fixtures, also those that are no frame."""
    found = sorted((FIXTURES / family).rglob("*.hex"))
    return {path.stem: bytes.fromhex(path.read_text()) for path in found}


def raw(name: str) -> bytes:
    """Return the bytes of a Deye fixture."""
    return fixtures("deye")[name]


def frame(name: str) -> Frame:
    """Return the frame of a Deye fixture."""
    return Frame.parse(raw(name))


BROKEN = "posted-too-short"
"""The one Deye fixture that is no frame: five bytes were lost in posting."""

VALID = sorted(fixtures("deye").keys() - {BROKEN})
"""The Deye fixtures that are frames."""
