"""What else one could have used: other ways to take the same frames apart.

The tables of the micro-inverter's peers are made from our declaration when the benchmark begins,
so that they cannot fall behind it; what then runs is what one would have written by hand.
"""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from struct import Struct
from typing import Any
from zlib import adler32

import construct
import fastcrc
import kaitaistruct
import msgspec
from construct import obj_, this
from crccheck.crc import Crc16Modbus

from inverterproto.deye.layouts import layout_of
from inverterproto.field import Field
from inverterproto.octets import Clock, Octets, Raw, decode_text

_SENSOR_TYPE = 0x5408
_HEAD = 21
"""Bytes of a data payload that stand before what the sensor type tells."""
_PAYLOAD = 330

Result = tuple[int, int, int, int, dict[str, Any]]
"""Control code, both counters, logger serial, fields by name."""


def fields() -> tuple[Field, ...]:
    """Return the micro-inverter's fields, what follows the last known one too."""
    layout = layout_of(_SENSOR_TYPE)
    assert layout is not None
    tail = Field(layout.size, f"unknown_{layout.size}", Raw(_PAYLOAD - layout.size))
    return (*layout.fields, tail)


# construct, as it is usually written (and its documentation shows it): interpreted; RawCopy for
# the checksum, Switch for what follows, PaddedString for texts, an ExprAdapter for each conversion.


def _construct_type(field: Field) -> Any:  # noqa: ANN401 - a construct type
    if isinstance(field.type, Octets):
        if field.type is Clock:
            return construct.ExprAdapter(
                construct.Byte[6], lambda raw, _: _clock(raw), lambda text, _: _clock_bytes(text)
            )
        if field.type.decode is decode_text:
            padded = construct.PaddedString(field.size, "utf8")
            if not field.name.endswith("_id"):
                return padded
            size = field.size  # these are padded with spaces
            return construct.ExprAdapter(
                padded, lambda text, _: text.rstrip(), lambda text, _: text.ljust(size)
            )
        return construct.Bytes(field.size)
    _, divisor = field.ratio
    if field.absent:
        absent = field.absent[0]
        return construct.ExprAdapter(
            field.type,
            lambda raw, _: None if raw == absent else raw / divisor,
            lambda value, _: absent if value is None else round(value * divisor),
        )
    if divisor == 1:
        return field.type
    return construct.ExprAdapter(
        field.type, obj_ / divisor, lambda value, _: round(value * divisor)
    )


def _clock(raw: Sequence[int]) -> str | None:
    try:
        year, month, day, hour, minute, second = raw
        return str(datetime(2000 + year, month, day, hour, minute, second))
    except ValueError:
        return None


def _clock_bytes(text: str) -> list[int]:
    moment = datetime.fromisoformat(text)
    return [moment.year - 2000, *moment.timetuple()[1:6]]


def construct_frame() -> Any:  # noqa: ANN401 - a construct
    """Return the declaration of the whole frame."""
    members = [(field, field.name / _construct_type(field)) for field in fields()]
    data = construct.Struct(
        "head" / construct.Struct(*(it for field, it in members if field.offset < _HEAD)),
        "values"
        / construct.Switch(
            this.head.sensor_type,
            {
                _SENSOR_TYPE: construct.Struct(
                    *(it for field, it in members if field.offset >= _HEAD)
                )
            },
            default=construct.GreedyBytes,
        ),
    )
    return construct.Struct(
        "start" / construct.Const(b"\xa5"),
        "body"
        / construct.RawCopy(
            construct.Struct(
                "payload_length" / construct.Int16ul,
                "control_code" / construct.Int16ul,
                "sequence" / construct.Array(2, construct.Int8ul),
                "logger_serial" / construct.Int32ul,
                "payload"
                / construct.FixedSized(
                    this.payload_length,
                    construct.Switch(
                        this.control_code, {0x4210: data}, default=construct.GreedyBytes
                    ),
                ),
            )
        ),
        "checksum"
        / construct.Checksum(construct.Int8ul, lambda raw: sum(raw) & 0xFF, this.body.data),
        "end" / construct.Const(b"\x15"),
    )


def construct_result(parsed: Any) -> Result:  # noqa: ANN401 - a construct container
    """Return what construct found in the form of all the others."""
    body = parsed.body.value
    found = {**body.payload.head, **body.payload["values"]}
    found = {name: value for name, value in found.items() if name != "_io"}
    return (body.control_code, *body.sequence, body.logger_serial, found)


# A per-field decoder in the manner of deye-mitm: a table of address, length and function.


def _per_field_function(field: Field) -> Callable[[bytes, int, int], Any]:
    kind = field.type
    if isinstance(kind, Octets):
        if kind is Clock:
            return lambda buf, a, n: _clock(buf[a : a + n])
        if kind.decode is decode_text:
            return lambda buf, a, n: buf[a : a + n].decode("utf-8").rstrip("\0 ")
        return lambda buf, a, n: buf[a : a + n]
    order: Any = "big" if field.order == ">" else "little"
    signed = field.code.islower()
    _, divisor = field.ratio
    if field.absent:
        absent = field.absent[0]

        def fitted(buf: bytes, a: int, n: int) -> float | None:
            raw = int.from_bytes(buf[a : a + n], byteorder=order, signed=signed)
            return None if raw == absent else raw / divisor

        return fitted
    if divisor == 1:
        return lambda buf, a, n: int.from_bytes(buf[a : a + n], byteorder=order)
    if signed:
        return lambda buf, a, n: (
            int.from_bytes(buf[a : a + n], byteorder=order, signed=True) / divisor
        )
    return lambda buf, a, n: int.from_bytes(buf[a : a + n], byteorder=order) / divisor


def per_field_parser() -> Callable[[bytes], Result]:
    """Return a decoder that goes through a table field by field."""
    table = {
        field.name: {"adr": field.offset, "len": field.size, "f": _per_field_function(field)}
        for field in fields()
    }

    def parse(raw: bytes) -> Result:
        length = int.from_bytes(raw[1:3], byteorder="little")
        if raw[0] != 0xA5 or raw[-1] != 0x15 or length + 13 != len(raw):
            raise ValueError("no frame")
        if sum(raw[1:-2]) & 0xFF != raw[-2]:
            raise ValueError("bad checksum")
        payload = raw[11:-2]
        found = {}
        for name in table:
            entry: Any = table[name]
            found[name] = entry["f"](payload, entry["adr"], entry["len"])
        control_code = int.from_bytes(raw[3:5], byteorder="little")
        serial = int.from_bytes(raw[7:11], byteorder="little")
        return control_code, raw[5], raw[6], serial, found

    return parse


# Kaitai: a class with a line for each field, as its compiler writes it. Raw values, no checksum.


def kaitai_class() -> Any:  # noqa: ANN401 - a class made at run time
    """Return the class that the Kaitai compiler would make of the frame."""
    envelope = ("start:u1", "payload_length:u2le", "control_code:u2le", "first:u1", "second:u1")
    reads = [*envelope, "logger_serial:u4le"]
    for field in fields():
        if isinstance(field.type, Octets):
            reads.append(f"{field.name}:bytes({field.size})")
        else:
            sign = "s" if field.code.islower() else "u"
            order = "" if field.size == 1 else ("be" if field.order == ">" else "le")
            reads.append(f"{field.name}:{sign}{field.size}{order}")
    reads += ["checksum:u1", "end:u1"]
    lines = [
        "class Frame(KaitaiStruct):",
        "    def __init__(self, _io, _parent=None, _root=None):",
        "        super().__init__(_io)",
        "        self._parent = _parent",
        "        self._root = _root or self",
        "        self._read()",
        "    def _read(self):",
    ]
    for read in reads:
        name, _, kind = read.partition(":")
        call = kind if "(" in kind else f"{kind}()"
        lines.append(f"        self.{name} = self._io.read_{call}")
    scope: dict[str, Any] = {"KaitaiStruct": kaitaistruct.KaitaiStruct}
    exec("\n".join(lines), scope)
    return scope["Frame"]


def kaitai_result(parsed: Any) -> Result:  # noqa: ANN401 - made at run time
    """Return what the Kaitai class found, converted, in the form of all the others."""
    found = {field.name: field.to_value(getattr(parsed, field.name)) for field in fields()}
    return parsed.control_code, parsed.first, parsed.second, parsed.logger_serial, found


# Framing: the tail of the last chunk is kept, whole frames are cut off and given away.


class KeptTail:
    """Cuts V5 frames from a stream; gives raw frames only, skips all else."""

    def __init__(self) -> None:
        self._tail = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take a chunk, return the frames that it completes."""
        data = self._tail + chunk
        at, end = 0, len(data)
        frames = []
        while end - at >= 13:
            if data[at] != 0xA5:
                at += 1
                continue
            last = at + (data[at + 1] | data[at + 2] << 8) + 12
            if last >= end:
                break
            total, begin = 0, at + 1
            while last - 1 - begin > 256:
                total += adler32(data[begin : begin + 256]) - 1
                begin += 256
            total += adler32(data[begin : last - 1]) - 1
            if data[last] != 0x15 or total & 0xFF != data[last - 1]:
                at += 1
                continue
            frames.append(data[at : last + 1])
            at = last + 1
        self._tail = data[at:]
        return frames


# AlphaESS: the CRC, the JSON, and numbers out of the strings.


_ALPHA_HEADER = Struct(">BBBi").unpack_from
_TEXTS = ("Time", "SN")


def crccheck_status(raw: bytes) -> dict[str, Any]:
    """Decode a status with crccheck, json and float(), field by field."""
    length = int.from_bytes(raw[3:7], "big")
    payload = raw[7 : 7 + length]
    if Crc16Modbus.calc(raw[: 7 + length]) != int.from_bytes(raw[7 + length :], "big"):
        raise ValueError("bad CRC")
    found = json.loads(payload)
    return {key: value if key in _TEXTS else float(value) for key, value in found.items()}


_NUMBERS = (
    "Ppv1",
    "Ppv2",
    "PrealL1",
    "PrealL2",
    "PrealL3",
    "PmeterL1",
    "PmeterL2",
    "PmeterL3",
    "PmeterDC",
    "Pbat",
    "Sva",
    "VarAC",
    "VarDC",
    "SOC",
)
_Status = msgspec.defstruct(
    "_Status", [(name, str) for name in _TEXTS] + [(name, float) for name in _NUMBERS]
)
_decode_status = msgspec.json.Decoder(_Status, strict=False).decode
_fast_crc = fastcrc.crc16.modbus


def msgspec_status(raw: bytes) -> Any:  # noqa: ANN401 - a struct made at run time
    """Decode a status with msgspec's typed struct and fastcrc."""
    _, _, _, length = _ALPHA_HEADER(raw)
    if length + 9 != len(raw) or _fast_crc(raw[:-2]) != raw[-2] << 8 | raw[-1]:
        raise ValueError("bad CRC")
    return _decode_status(raw[7:-2])
