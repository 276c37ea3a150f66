"""The V5 envelope: 13 bytes around a payload (sources: H, M, P, T, X; confidence A).

offset  size  field
0       1     start, 0xA5
1       2     payload length, u16le; the frame has 13 bytes more
3       2     control code, u16le; the high byte is the message type
5       1     sequence, first counter: the server's, as the device last saw it
6       1     sequence, second counter: the device's
7       4     logger serial, u32le, as printed on the stick
11      n     payload
11+n    1     checksum: sum of the bytes 1 … 10+n, modulo 256
12+n    1     end, 0x15
"""

from dataclasses import dataclass
from struct import Struct
from typing import Any

from inverterproto.checksum import sum8
from inverterproto.errors import ChecksumError, FieldError, IncompleteError, ProtocolError
from inverterproto.stream import DAMAGED, Fault, Reason

START = 0xA5
END = 0x15
ENVELOPE = 13
"""Bytes of a frame that are not payload."""
PAYLOAD_AT = 11
"""Offset of the payload in the frame."""
LONGEST = 4096
"""Longest frame taken from a stream; the longest known has 1,445 bytes."""

_HEADER = Struct("<BHHBBI")
_unpack_header = _HEADER.unpack_from


class _Draft:
    """A frame while its slots are being filled.

    It has the slots of `Frame` and becomes one by a change of class: past the frozen dataclass's
    own constructor, which would cost as much as all the rest.
    """

    __slots__ = ("control_code", "logger_serial", "payload", "sequence")


@dataclass(frozen=True, slots=True)
class Frame:
    """A V5 frame.

    Attributes:
        control_code: 16 bits; the high byte is the message type.
        sequence: the two counters, the server's and the device's, 0 to 255.
        logger_serial: the serial of the logger stick (not the inverter's), 32 bits.
        payload: the bytes between header and checksum, at most 65,535.
    """

    control_code: int
    sequence: tuple[int, int]
    logger_serial: int
    payload: bytes

    @property
    def message_type(self) -> int:
        """The high byte of the control code."""
        return self.control_code >> 8

    @classmethod
    def parse(cls, data: bytes, *, verify: bool = True) -> "Frame":
        """Return the frame that `data` is, from its first byte to its last.

        Args:
            data: the frame's bytes.
            verify: whether the checksum must be right; without, the look is tentative.

        Raises:
            IncompleteError: the frame is longer than `data`.
            ChecksumError: all is in place but the checksum.
            ProtocolError: a marker is wrong, or bytes follow the frame.
        """
        size = len(data)
        if size >= ENVELOPE:
            start, length, control_code, first, second, serial = _unpack_header(data)
            if (
                length + ENVELOPE == size
                and start == START
                and data[-1] == END
                and (not verify or data[-2] == sum8(data, 1, size - 2))
            ):
                frame: Any = _Draft()
                frame.control_code = control_code
                frame.sequence = (first, second)
                frame.logger_serial = serial
                frame.payload = data[PAYLOAD_AT:-2]
                frame.__class__ = Frame
                return frame  # type: ignore[no-any-return]
        raise _misfit(data)

    def build(self) -> bytes:
        """Return the frame's bytes, length and checksum computed.

        Raises:
            FieldError: a value does not fit its place.
        """
        if len(self.sequence) != 2:
            raise FieldError("sequence", "not a pair", expected="2 counters", found=self.sequence)
        for name, value, limit in (
            ("control_code", self.control_code, 0xFFFF),
            ("sequence", self.sequence[0], 0xFF),
            ("sequence", self.sequence[1], 0xFF),
            ("logger_serial", self.logger_serial, 0xFFFFFFFF),
            ("payload_length", len(self.payload), 0xFFFF),
        ):
            if not isinstance(value, int) or not 0 <= value <= limit:
                raise FieldError(name, "out of range", expected=f"0 to {limit}", found=value)
        first, second = self.sequence
        header = _HEADER.pack(
            START, len(self.payload), self.control_code, first, second, self.logger_serial
        )
        body = header + self.payload
        return body + bytes((sum8(body, 1, len(body)), END))


def header_fields(raw: bytes) -> dict[str, object]:
    """Return the envelope of a frame's bytes by field names, for the JSON of `decode`."""
    _, length, control_code, first, second, serial = _unpack_header(raw)
    return {
        "payload_length": length,
        "control_code": control_code,
        "sequence": [first, second],
        "logger_serial": serial,
        "checksum": raw[-2],
    }


def salvage(raw: bytes) -> Frame | None:
    """Return the frame of which `raw` is the beginning, whatever length it claims."""
    if len(raw) < PAYLOAD_AT or raw[0] != START:
        return None
    _, _, control_code, first, second, serial = _unpack_header(raw)
    return Frame(control_code, (first, second), serial, raw[PAYLOAD_AT:])


def _misfit(data: bytes) -> ProtocolError:
    """Return the error for bytes that are not one valid frame."""
    size = len(data)
    total = (data[1] | data[2] << 8) + ENVELOPE if size >= 3 else ENVELOPE
    if data[:1] not in (b"", bytes((START,))):
        return ProtocolError(
            "bad start marker", offset=0, expected=f"{START:#04x}", found=f"{data[0]:#04x}"
        )
    if size < total:
        expected = f"{total} bytes" if size >= 3 else f"at least {ENVELOPE} bytes"
        return IncompleteError("incomplete frame", offset=0, expected=expected, found=size)
    if data[total - 1] != END:
        return _bad_end(total - 1, data[total - 1])
    if size > total:
        return ProtocolError(
            "bytes behind the frame", offset=total, expected=f"{total} bytes", found=size
        )
    return _bad_checksum(total - 2, sum8(data, 1, total - 2), data[total - 2])


def _bad_end(offset: int, found: int) -> ProtocolError:
    return ProtocolError(
        "bad end marker", offset=offset, expected=f"{END:#04x}", found=f"{found:#04x}"
    )


def _bad_checksum(offset: int, expected: int, found: int) -> ChecksumError:
    return ChecksumError(
        "bad checksum", offset=offset, expected=f"{expected:#04x}", found=f"{found:#04x}"
    )


class V5Framing:
    """How V5 frames are told apart in a stream (see `inverterproto.stream.Framing`).

    Args:
        longest: the longest frame to take, in bytes.
    """

    family = "deye"
    start = START

    def __init__(self, longest: int = LONGEST) -> None:
        self.longest = longest

    def match(self, data: bytes | bytearray, start: int, end: int) -> int:
        """Say what is at `start` (see `Framing.match`)."""
        if end - start < 3:
            return -3
        total = (data[start + 1] | data[start + 2] << 8) + ENVELOPE
        if total > self.longest:
            return 0
        last = start + total - 1
        if last >= end:
            return -total
        if data[last] != END or data[last - 1] != sum8(data, start + 1, last - 1):
            return DAMAGED
        return total

    def diagnose(self, data: bytes | bytearray, start: int, end: int) -> Fault:
        """Say why there is no frame at `start`."""
        have = end - start
        claimed = data[start + 1] | data[start + 2] << 8 if have >= 3 else 0
        total = claimed + ENVELOPE
        if total > self.longest:
            error = ProtocolError(
                "impossible length",
                offset=1,
                expected=f"a payload of at most {self.longest - ENVELOPE} bytes",
                found=claimed,
            )
            return Fault(Reason.LENGTH, error)
        error = _misfit(bytes(data[start : start + min(have, total)]))
        if isinstance(error, IncompleteError):
            return Fault(Reason.TRUNCATED, error, have)
        wrong_sum = isinstance(error, ChecksumError)
        return Fault(Reason.CHECKSUM if wrong_sum else Reason.END_MARKER, error, total)

    def split(self, run: bytes) -> list[tuple[int, Reason]]:
        """Tell modem text, bare Modbus RTU and TLS from junk (sources: P, H, T)."""
        from inverterproto.deye.modbus import match_rtu
        from inverterproto.foreign import split_runs

        return split_runs(run, match_rtu)

    def parse(self, raw: bytes, *, verify: bool = True) -> Frame:
        """Return the frame that `raw` is."""
        return Frame.parse(raw, verify=verify)


FRAMING = V5Framing()
"""The framing with the ordinary limits."""
