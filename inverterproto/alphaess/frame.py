"""The AlphaESS envelope: 9 bytes around a payload, big endian (sources: V, D; confidence A).

    offset  size  field
    0       1     version, always 1
    1       1     direction: 1 request or push, 2 reply or acknowledgement
    2       1     command
    3       4     length of the payload, i32be; 0 is allowed
    7       n     payload: JSON, or CSV in command 12
    7+n     2     CRC-16/Modbus over all before it, u16be

In a stream
-----------
The start byte 0x01 is common and the length field may say 2 GiB, so a damaged length must neither
make us wait for what never comes nor hide the good frames that follow. `AlphaFraming` takes no
frame of more than 64 KiB; and it knows that payloads are text: a frame of more than 4096 bytes is
taken only if no byte of its payload is NUL. A header holds NULs in its length, so the next frame
in the stream gives a damaged one away as soon as it comes, and no long claims overlap: each byte
is looked at for at most one of them, and for short ones, whose checksum costs little. Binary
payloads, which nobody has seen, remain possible up to 4096 bytes.

What the first bytes of a frame tell about it, more bytes never unsay: a NUL stays where it is. So
the decision does not depend on how the stream was cut. Of a long frame the bytes are asked for in
steps of 256 bytes or an eighth of what is there, so that the NUL is found soon and that
looking for it, each time from the payload's beginning, stays linear.
"""

from dataclasses import dataclass
from struct import Struct
from typing import Any

from inverterproto.checksum import crc16_modbus
from inverterproto.errors import ChecksumError, FieldError, IncompleteError, ProtocolError
from inverterproto.stream import DAMAGED, Fault, Reason

VERSION = 1
"""Also the byte with which every frame begins."""
REQUEST = 1
"""The direction of requests and pushes, of either side."""
REPLY = 2
"""The direction of replies and acknowledgements."""
HEADER_SIZE = 7
"""Bytes before the payload."""
ENVELOPE = 9
"""Bytes of a frame that are not payload."""
LONGEST = 65536
"""Longest frame taken from a stream; the longest known has some 2,400 bytes."""
LONGEST_BINARY = 4096
"""Longest frame taken from a stream whose payload holds a NUL."""

_LONGEST_PAYLOAD = 0x7FFFFFFF
_STEP = 256

_HEADER = Struct(">BBBi")
_unpack_header = _HEADER.unpack_from


class _Draft:
    """A frame while its slots are being filled.

    It has the slots of `Frame` and becomes one by a change of class: past the frozen dataclass's
    own constructor, which would cost as much as all the rest.
    """

    __slots__ = ("command", "direction", "payload", "version")


@dataclass(frozen=True, slots=True)
class Frame:
    """An AlphaESS frame.

    Attributes:
        version: always 1.
        direction: 1 for a request or push, 2 for a reply or acknowledgement.
        command: what the payload is about, 0 to 255.
        payload: the bytes between header and CRC.
    """

    version: int
    direction: int
    command: int
    payload: bytes

    @staticmethod
    def parse(data: bytes, *, verify: bool = True) -> "Frame":
        """Return the frame that `data` is, from its first byte to its last.

        Args:
            data: the frame's bytes.
            verify: whether the CRC must be right.

        Raises:
            IncompleteError: the frame is longer than `data`.
            ChecksumError: all is in place but the CRC.
            ProtocolError: the header is none, or bytes follow the frame.
        """
        size = len(data)
        if size < ENVELOPE:
            raise _too_short(size)
        version, direction, command, length = _unpack_header(data)
        if size - length != ENVELOPE or version != VERSION or not 1 <= direction <= 2:
            raise _misfit(version, direction, length, size)
        if verify and crc16_modbus(data[:-2]) != data[-2] << 8 | data[-1]:
            raise _bad_checksum(data)
        frame: Any = _Draft()
        frame.version = version
        frame.direction = direction
        frame.command = command
        frame.payload = data[HEADER_SIZE:-2]
        frame.__class__ = Frame
        return frame  # type: ignore[no-any-return]

    def build(self) -> bytes:
        """Return the frame's bytes, length and CRC computed.

        Raises:
            FieldError: a value does not fit its place.
        """
        for name, value, low, high in (
            ("version", self.version, VERSION, VERSION),
            ("direction", self.direction, REQUEST, REPLY),
            ("command", self.command, 0, 0xFF),
            ("length", len(self.payload), 0, _LONGEST_PAYLOAD),
        ):
            if not low <= value <= high:
                raise FieldError(name, "out of range", expected=f"{low} to {high}", found=value)
        header = _HEADER.pack(self.version, self.direction, self.command, len(self.payload))
        body = header + self.payload
        return body + crc16_modbus(body).to_bytes(2, "big")


def header_fields(raw: bytes) -> dict[str, object]:
    """Return the envelope of a frame's bytes by field names, for the JSON of `decode`."""
    version, direction, command, length = _unpack_header(raw)
    return {
        "version": version,
        "direction": direction,
        "command": command,
        "length": length,
        "crc": int.from_bytes(raw[-2:], "big"),
    }


def salvage(raw: bytes) -> Frame | None:
    """Return the frame of which `raw` is the beginning, whatever length it claims."""
    if len(raw) < HEADER_SIZE or raw[0] != VERSION or not REQUEST <= raw[1] <= REPLY:
        return None
    return Frame(VERSION, raw[1], raw[2], raw[HEADER_SIZE:])


def _too_short(size: int) -> IncompleteError:
    return IncompleteError(
        "incomplete frame", offset=0, expected=f"at least {ENVELOPE} bytes", found=size
    )


def _misfit(version: int, direction: int, length: int, size: int) -> ProtocolError:
    """Return the error for a header that does not fit the bytes."""
    if version != VERSION:
        return ProtocolError("bad version", offset=0, expected=VERSION, found=version)
    if not REQUEST <= direction <= REPLY:
        return _bad_direction(direction)
    if length < 0:
        return ProtocolError(
            "impossible length", offset=3, expected="a length of 0 or more", found=length
        )
    total = length + ENVELOPE
    if size < total:
        return IncompleteError("incomplete frame", offset=0, expected=f"{total} bytes", found=size)
    return ProtocolError(
        "bytes behind the frame", offset=total, expected=f"{total} bytes", found=size
    )


def _bad_direction(found: int) -> ProtocolError:
    return ProtocolError("bad direction", offset=1, expected=f"{REQUEST} or {REPLY}", found=found)


def _bad_checksum(raw: bytes | bytearray) -> ChecksumError:
    """Return the error for a frame, complete but for its CRC."""
    return ChecksumError(
        "bad CRC",
        offset=len(raw) - 2,
        expected=f"{crc16_modbus(raw[:-2]):#06x}",
        found=f"{raw[-2] << 8 | raw[-1]:#06x}",
    )


class AlphaFraming:
    """How AlphaESS frames are told apart in a stream (see `inverterproto.stream.Framing`).

    Args:
        longest: the longest frame to take, in bytes.
    """

    family = "alphaess"
    start = VERSION

    def __init__(self, longest: int = LONGEST) -> None:
        self.longest = longest

    def match(self, data: bytes | bytearray, start: int, end: int) -> int:
        """Say what is at `start` (see `Framing.match`)."""
        have = end - start
        if have < HEADER_SIZE:
            if have < 2:
                return -2
            return -HEADER_SIZE if REQUEST <= data[start + 1] <= REPLY else 0
        _, direction, _, length = _unpack_header(data, start)
        total: int = length + ENVELOPE
        if not (1 <= direction <= 2 and ENVELOPE <= total <= self.longest):
            return 0
        if total > LONGEST_BINARY and _find_nul(data, start, total, end) >= 0:
            return 0
        if have < total:
            if total <= LONGEST_BINARY:
                return -total
            return -min(total, have + max(_STEP, have >> 3))
        last = start + total
        if crc16_modbus(data[start : last - 2]) != data[last - 2] << 8 | data[last - 1]:
            return DAMAGED
        return total

    def diagnose(self, data: bytes | bytearray, start: int, end: int) -> Fault:
        """Say why there is no frame at `start`."""
        have = end - start
        if have >= 2 and not REQUEST <= data[start + 1] <= REPLY:
            return Fault(Reason.JUNK, _bad_direction(data[start + 1]))
        if have < HEADER_SIZE:
            # The start byte alone is no sign of a frame: it may be the end of anything.
            return Fault(Reason.TRUNCATED, _too_short(have), have if have > 1 else 0)
        length: int = _unpack_header(data, start)[3]
        total = length + ENVELOPE
        if not ENVELOPE <= total <= self.longest:
            error = ProtocolError(
                "impossible length",
                offset=3,
                expected=f"a payload of at most {self.longest - ENVELOPE} bytes",
                found=length,
            )
            return Fault(Reason.LENGTH, error)
        if total > LONGEST_BINARY and (nul := _find_nul(data, start, total, end)) >= 0:
            error = ProtocolError(
                "impossible length",
                offset=3,
                expected="text all the way in so long a payload",
                found=f"{length}, with a NUL at offset {nul - start}",
            )
            return Fault(Reason.LENGTH, error)
        if have < total:
            error = IncompleteError(
                "incomplete frame", offset=0, expected=f"{total} bytes", found=have
            )
            return Fault(Reason.TRUNCATED, error, have)
        return Fault(Reason.CHECKSUM, _bad_checksum(data[start : start + total]), total)

    def split(self, run: bytes) -> list[tuple[int, Reason]]:
        """Tell TLS and modem text from junk (source: V: newer firmware encrypts)."""
        from inverterproto.foreign import split_runs

        return split_runs(run)

    def parse(self, raw: bytes, *, verify: bool = True) -> Frame:
        """Return the frame that `raw` is."""
        return Frame.parse(raw, verify=verify)


def _find_nul(data: bytes | bytearray, start: int, total: int, end: int) -> int:
    """Return where the first NUL stands in what is there of a frame's payload, or −1."""
    return data.find(0, start + HEADER_SIZE, min(end, start + total - 2))


FRAMING = AlphaFraming()
"""The framing with the ordinary limits."""
