"""Modbus RTU as it travels inside V5 command frames: bytes in, values out, and back.

**Theory of operation.** A command frame (0x45) carries one whole Modbus RTU request, its answer
(0x15) one whole reply; the envelope around them is `messages.py`'s matter, and what the registers
mean is nobody's here. A message is `slave, function, data, CRC` (u16, little endian; the data is
big endian). The data of nearly every function has one form: address, quantity, byte count, values,
of which some are left out. So a `_Shape` says which are there, the table `FUNCTIONS` which function
has which shape and how many values it may carry, and one pair of functions reads and writes all.

*Nothing is lost.* Reading is lenient, building is strict, and **a message is taken apart only if
it builds back to its own bytes**. Whatever else has a right CRC (an unknown function, a byte count
that lies, a quantity over its limit, set bits in the padding of coils) is an `Unknown`, kept raw
with the reason. Thus the limits stand in one place, and only a wrong CRC is an error.

*Quirks of replies* are accepted, reported by `problems`, and built again:
    - a second CRC, over message and CRC, hence always 0000 (P issues 62, 65: Deye loggers);
    - a stray 0xFF in front (T issue 645);
    - two bytes instead of a message: an error of the logger stick itself (P, T; real bytes from
      Deye sticks in P issues 6, 14, 48). A Modbus exception is another thing.
The reading without quirks comes first, so that a sound message is never taken for a quirky one.

The traps: a reply to a read does not say where its registers begin, nor how many of its coils were
asked for (they come in whole bytes): only the request knows. And a filter must let pass what is a
`Request` *and* of which `is_write` is False: an `Unknown` may do anything.

Sources: P for requests, replies and the second CRC, T for the stray byte and the writes, I for real
bytes; functions, limits and names of exceptions: Modbus Application Protocol V1.1b3.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from struct import pack, unpack
from typing import Any, NamedTuple, TypeVar

from inverterproto.checksum import crc16_modbus
from inverterproto.errors import ChecksumError, FieldError, IncompleteError, ProtocolError

_EXCEPTION_BIT = 0x80
_U8, _U16 = 0xFF, 0xFFFF
_LAST_SLAVE = 247  # above are reserved numbers; 0 is for all slaves
_SHORTEST, _LONGEST = 4, 256  # bytes of a message on the serial line
_STICK_CODES = range(1, 7)  # of the stick's own errors (P)
_STICK_ERROR = range(2, 5)  # bytes of the body of a stick error
_QUIRKS = ((False, False), (False, True), (True, False), (True, True))  # stray 0xFF, second CRC
_QUIRK_TEXTS = {
    "stray_ff": "stray byte 0xFF in front of the Modbus message",
    "doubled_crc": "second CRC behind the Modbus message",
}


class _Values(NamedTuple):
    """Values of one kind: the attribute that holds them, and how they are written and read."""

    attribute: str
    pack: Callable[[Any], bytes]
    unpack: Callable[[bytes], tuple[Any, ...]]


def _bits(coils: tuple[bool, ...]) -> int:
    return sum(1 << place for place, coil in enumerate(coils) if coil)


_SWITCH = _Values(
    "coils",
    lambda coils: b"\xff\x00" if coils[0] else b"\x00\x00",
    lambda data: (data == b"\xff\x00",),
)
_COILS = _Values(
    "coils",
    lambda coils: _bits(coils).to_bytes((len(coils) + 7) // 8, "little"),
    lambda data: tuple(bool(byte >> place & 1) for byte in data for place in range(8)),
)
_REGISTERS = _Values(
    "registers",
    lambda registers: pack(f">{len(registers)}H", *registers),
    lambda data: unpack(f">{len(data) // 2}H", data[: len(data) // 2 * 2]),
)


class _Shape(NamedTuple):
    """What a message holds, and how long it is.

    `size` is its length without what is counted; `words` says whether the data begins with address
    (1), address and quantity (2) or neither (0); `count_at` is where the byte count stands, 0 if
    there is none. A shape without words and values is known by its length only.
    """

    size: int
    words: int = 0
    values: _Values | None = None
    count_at: int = 0

    @property
    def carries(self) -> set[str]:
        """The attributes that a message of this shape fills."""
        names = {"address"} if self.words else set()
        return names | {self.values.attribute if self.values else "quantity"}

    def length(self, data: bytes, start: int) -> int:
        """Return the length of the message that begins at `start`."""
        at = start + self.count_at
        return self.size + (data[at] if self.count_at and at < len(data) else 0)


_RANGE = _Shape(8, 2)
_ONE_COIL = _Shape(8, 1, _SWITCH)
_ONE_REGISTER = _Shape(8, 1, _REGISTERS)
_MASKS = _Shape(10, 1, _REGISTERS)
_READ_COILS = _Shape(5, 0, _COILS, 2)
_READ_REGISTERS = _Shape(5, 0, _REGISTERS, 2)
_WRITE_COILS = _Shape(9, 2, _COILS, 6)
_WRITE_REGISTERS = _Shape(9, 2, _REGISTERS, 6)
_READ_WRITE = _Shape(13, count_at=10)
_EXCEPTION = _Shape(5)


class Function(NamedTuple):
    """A Modbus function; `most` is the greatest number of its values."""

    name: str
    writes: bool
    request: _Shape
    reply: _Shape
    most: int


_READ, _WRITE = False, True
FUNCTIONS = {
    1: Function("read coils", _READ, _RANGE, _READ_COILS, 2000),
    2: Function("read discrete inputs", _READ, _RANGE, _READ_COILS, 2000),
    3: Function("read holding registers", _READ, _RANGE, _READ_REGISTERS, 125),
    4: Function("read input registers", _READ, _RANGE, _READ_REGISTERS, 125),
    5: Function("write single coil", _WRITE, _ONE_COIL, _ONE_COIL, 1),
    6: Function("write single register", _WRITE, _ONE_REGISTER, _ONE_REGISTER, 1),
    15: Function("write multiple coils", _WRITE, _WRITE_COILS, _RANGE, 1968),
    16: Function("write multiple registers", _WRITE, _WRITE_REGISTERS, _RANGE, 123),
    22: Function("mask write register", _WRITE, _MASKS, _MASKS, 2),
    23: Function("read and write registers", _WRITE, _READ_WRITE, _READ_REGISTERS, 125),
}
EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "server device failure",
    5: "acknowledge",
    6: "server device busy",
    7: "negative acknowledge",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target device failed to respond",
}


@dataclass(frozen=True, slots=True)
class Request:
    """A request of function 1 to 6, 15, 16 or 22.

    A read has a `quantity`; a write has its `coils` (5, 15) or `registers` (6, 16; the AND mask and
    the OR mask of 22), whose number is the quantity.
    """

    slave: int
    function: int
    address: int
    quantity: int | None = None
    coils: tuple[bool, ...] = ()
    registers: tuple[int, ...] = ()

    def build(self) -> bytes:
        """Return the message with its CRC."""
        return _frame(self.slave, self.function, _data(self))


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply to a function 1 to 6, 15, 16, 22 or 23.

    A read has `coils` (1, 2; in whole bytes, so perhaps more than were asked for) or `registers`
    (3, 4, 23). A write echoes its `address`, and its values (5, 6, 22) or its `quantity` (15, 16).
    """

    slave: int
    function: int
    address: int | None = None
    quantity: int | None = None
    coils: tuple[bool, ...] = ()
    registers: tuple[int, ...] = ()
    stray_ff: bool = False
    doubled_crc: bool = False

    def build(self) -> bytes:
        """Return the message with its CRC and its quirks."""
        return _quirky(self, _frame(self.slave, self.function, _data(self)))


@dataclass(frozen=True, slots=True)
class ExceptionReply:
    """The inverter refuses; `function` is the one that was asked for, without the high bit."""

    slave: int
    function: int
    code: int
    stray_ff: bool = False
    doubled_crc: bool = False

    @property
    def name(self) -> str:
        """The standard name of the code."""
        return EXCEPTIONS.get(self.code, "unknown")

    def build(self) -> bytes:
        """Return the message with its CRC and its quirks."""
        function = _number("function", self.function, _EXCEPTION_BIT - 1) | _EXCEPTION_BIT
        code = _number("exception", self.code, _U8)
        return _quirky(self, _frame(self.slave, function, bytes((code,))))


@dataclass(frozen=True, slots=True)
class StickError:
    """The logger stick could not do what was asked.

    Codes 1 to 6 are known to exist (P), 5 and 6 from real sticks; what they mean is not known.
    `tail` is what stands behind the two bytes of the code: nothing, in all that was seen.
    """

    code: int
    tail: bytes = b""

    def build(self) -> bytes:
        """Return the body."""
        _number("length of tail", len(self.tail), _STICK_ERROR[-1] - 2)
        return (
            _number("stick_error", self.code, _STICK_CODES[-1], 1).to_bytes(2, "little") + self.tail
        )


@dataclass(frozen=True, slots=True)
class Unknown:
    """A message with a right CRC that is not taken apart, and the reason.

    `data` is what stands between function and CRC; `function` has its high bit in an exception.
    """

    slave: int
    function: int
    data: bytes
    stray_ff: bool = False
    doubled_crc: bool = False
    reason: str = field(default="", compare=False)

    def build(self) -> bytes:
        """Return the message with its CRC and its quirks."""
        return _quirky(self, _frame(self.slave, self.function, self.data))


AnyMessage = Request | Reply | ExceptionReply | StickError | Unknown
_Message = TypeVar("_Message", Request, Reply, ExceptionReply, StickError, Unknown)
_Known = TypeVar("_Known", Request, Reply | ExceptionReply)
_TYPES = {"coils": bool, "registers": int}
_CODE_KEYS: dict[type, str] = {ExceptionReply: "exception", StickError: "stick_error"}


# Values to bytes: strict.


def _number(name: str, value: object, most: int, least: int = 0) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return value
    raise FieldError(name, "does not fit", expected=f"{least} to {most}", found=value)


def _look_up(kind: type[Request | Reply], function: object) -> tuple[_Shape, int]:
    known = FUNCTIONS.get(_number("function", function, _U8))
    if known:
        shape = known.request if kind is Request else known.reply
        if shape.words or shape.values:
            return shape, known.most
    raise FieldError("function", "is kept raw", expected="one taken apart here", found=function)


def _check_values(name: str, values: object, shape: _Shape, most: int) -> None:
    wanted = _TYPES[name]
    if not isinstance(values, tuple) or set(map(type, values)) != {wanted}:
        raise FieldError(name, "do not fit", expected=f"a tuple of {wanted.__name__}", found=values)
    _number(f"number of {name}", len(values), most, 1 if shape.count_at else most)
    if name == "registers":
        _number(name, min(values), _U16)
        _number(name, max(values), _U16)
    elif shape is _READ_COILS and len(values) % 8:
        raise FieldError(name, "come in bytes", expected="a multiple of 8", found=len(values))


def _check(message: Request | Reply, shape: _Shape, most: int) -> None:
    carries = shape.carries
    for name in ("address", "quantity", "coils", "registers"):
        value = getattr(message, name)
        if name not in carries:
            if value is not None and value != ():
                expected = f"none in function {message.function}"
                raise FieldError(name, "is out of place", expected=expected, found=value)
        elif name == "address":
            _number(name, value, _U16)
        elif name == "quantity":
            _number(name, value, most, 1)
        else:
            _check_values(name, value, shape, most)


def _data(message: Request | Reply) -> bytes:
    shape, most = _look_up(type(message), message.function)
    _check(message, shape, most)
    if shape.values is None:
        return pack(">HH", message.address, message.quantity)
    values = getattr(message, shape.values.attribute)
    packed = shape.values.pack(values)
    words = pack(">HH", message.address or 0, len(values))[: 2 * shape.words]
    return words + (bytes((len(packed),)) if shape.count_at else b"") + packed


def _frame(slave: int, function: int, data: bytes) -> bytes:
    message = bytes((_number("slave", slave, _U8), _number("function", function, _U8))) + data
    return message + crc16_modbus(message).to_bytes(2, "little")


def _quirky(message: Reply | ExceptionReply | Unknown, rtu: bytes) -> bytes:
    return b"\xff" * message.stray_ff + rtu + b"\x00\x00" * message.doubled_crc


# Bytes to values: lenient, for what does not build back is not taken.


def _attributes(kind: type[Request | Reply], raw: Unknown) -> dict[str, Any]:
    shape, _ = _look_up(kind, raw.function)
    address, quantity = (int.from_bytes(raw.data[at : at + 2], "big") for at in (0, 2))
    found: dict[str, Any] = {"address": address} if shape.words else {}
    if shape.values is None:
        return found | {"quantity": quantity}
    values = shape.values.unpack(raw.data[2 * shape.words + bool(shape.count_at) :])
    return found | {shape.values.attribute: values[:quantity] if shape.words > 1 else values}


def _read_request(raw: Unknown) -> Request:
    return Request(raw.slave, raw.function, **_attributes(Request, raw))


def _read_reply(raw: Unknown) -> Reply | ExceptionReply:
    quirks: dict[str, Any] = {"stray_ff": raw.stray_ff, "doubled_crc": raw.doubled_crc}
    if raw.function & _EXCEPTION_BIT:
        code = int.from_bytes(raw.data[:1], "big")
        return ExceptionReply(raw.slave, raw.function - _EXCEPTION_BIT, code, **quirks)
    return Reply(raw.slave, raw.function, **_attributes(Reply, raw), **quirks)


def _raw(body: bytes, quirks: tuple[tuple[bool, bool], ...]) -> list[Unknown]:
    """Return the messages with a right CRC that a body may be, the soundest first."""
    found = []
    for stray_ff, doubled_crc in quirks:
        front, back = b"\xff" * stray_ff, b"\x00\x00" * doubled_crc
        rtu = body[len(front) : len(body) - len(back)]
        if len(rtu) >= _SHORTEST and front + rtu + back == body and crc16_modbus(rtu) == 0:
            found.append(Unknown(rtu[0], rtu[1], rtu[2:-2], stray_ff, doubled_crc))
    return found


def _take_apart(raw: Unknown, read: Callable[[Unknown], _Known]) -> _Known | Unknown:
    reason = f"its bytes are not laid out as those of function {raw.function}"
    try:
        if len(raw.data) <= _LONGEST - _SHORTEST:
            message = read(raw)
            if message.build() == raw.build():
                return message
    except FieldError as error:
        reason = str(error)
    return replace(raw, reason=reason)


def _shapes(function: int) -> tuple[_Shape, ...]:
    """Return the shapes of the messages that may bear a function's number, requests first."""
    known = FUNCTIONS.get(function & ~_EXCEPTION_BIT)
    if known is None:
        return ()
    return (_EXCEPTION,) if function & _EXCEPTION_BIT else (known.request, known.reply)


def _misfit(body: bytes, shapes: tuple[_Shape, ...]) -> ProtocolError:
    length = max([_SHORTEST, *(shape.length(body, 0) for shape in shapes)])
    end = len(body)
    if length > end:
        return IncompleteError("Modbus message cut", offset=end, expected=length, found=end)
    right, found = crc16_modbus(body[:-2]), int.from_bytes(body[-2:], "little")
    expected = f"0x{right:04x}"
    return ChecksumError("Modbus CRC", offset=end - 2, expected=expected, found=f"0x{found:04x}")


def parse_request(body: bytes) -> Request | Unknown:
    """Read the body of a Modbus command (0x45, from payload offset 15).

    Raises:
        IncompleteError: the body ends before the message does.
        ChecksumError: the CRC is wrong.
    """
    found = _raw(body, _QUIRKS[:1])
    if not found:
        raise _misfit(body, _shapes(sum(body[1:2]))[:1])
    return _take_apart(found[0], _read_request)


def parse_reply(body: bytes) -> Reply | ExceptionReply | StickError | Unknown:
    """Read the body of the reply to a Modbus command (0x15, from payload offset 14).

    Raises:
        IncompleteError: the body ends before the message does, or has less than two bytes.
        ChecksumError: the CRC is wrong, whether or not quirks are allowed for.
    """
    if len(body) in _STICK_ERROR and int.from_bytes(body[:2], "little") in _STICK_CODES:
        return StickError(int.from_bytes(body[:2], "little"), body[2:])
    found = [_take_apart(raw, _read_reply) for raw in _raw(body, _QUIRKS)]
    if not found:
        raise _misfit(body, _shapes(sum(body[1:2]))[-1:])
    return next((message for message in found if not isinstance(message, Unknown)), found[-1])


def match_rtu(data: bytes, start: int) -> int:
    """Return the length of the bare Modbus RTU message that begins at `start`, or 0 if none does.

    It knows requests, replies and exceptions of the known functions by their length and CRC, from
    slaves 0 to 247, and looks at no more than 256 bytes.
    """
    if start + 1 >= len(data) or data[start] > _LAST_SLAVE:
        return 0
    # The shortest first: two zeros behind a message leave its CRC right.
    for length in sorted([shape.length(data, start) for shape in _shapes(data[start + 1])]):
        end = start + length
        if length <= _LONGEST and end <= len(data) and crc16_modbus(data[start:end]) == 0:
            return length
    return 0


def is_write(function: int) -> bool | None:
    """Tell whether a function changes something in the inverter; None if it is not known."""
    known = FUNCTIONS.get(function)
    return known.writes if known else None


def problems(message: AnyMessage) -> tuple[str, ...]:
    """Say what was wrong with a message though it could be read."""
    found = [text for quirk, text in _QUIRK_TEXTS.items() if getattr(message, quirk, False)]
    if isinstance(message, Unknown):
        found.append(": ".join(filter(None, ("Modbus message kept raw", message.reason))))
    elif isinstance(message, ExceptionReply):
        found.append(f"Modbus exception {message.code}: {message.name}")
    elif isinstance(message, StickError):
        found.append(f"error {message.code} of the logger stick itself")
    return tuple(found)


# The plain-dict view, fit for JSON.


def _keys(kind: type[AnyMessage]) -> dict[str, Field[Any]]:
    code = _CODE_KEYS.get(kind, "code")
    return {
        code if each.name == "code" else each.name: each for each in fields(kind) if each.compare
    }


def to_fields(message: AnyMessage) -> dict[str, object]:
    """Return a message as a plain dict; what has its default value is left out."""
    view: dict[str, object] = {}
    for key, each in _keys(type(message)).items():
        value = getattr(message, each.name)
        if value != each.default:
            plain = value.hex() if isinstance(value, bytes) else value
            view[key] = list(plain) if isinstance(plain, tuple) else plain
    return view


def _plain(key: str, value: object) -> object:
    if key in _QUIRK_TEXTS and not isinstance(value, bool):
        raise FieldError(key, "does not fit", expected="true or false", found=value)
    if key in ("data", "tail"):
        try:
            return bytes.fromhex(value if isinstance(value, str) else "not hex")
        except ValueError:
            raise FieldError(key, "does not fit", expected="hex digits", found=value) from None
    return tuple(value) if isinstance(value, list) else value


def _from_fields(kind: type[_Message], view: Mapping[str, object]) -> _Message:
    keys = _keys(kind)
    values: dict[str, Any] = {}
    for key, value in view.items():
        if key not in keys:
            raise FieldError(key, "is out of place", expected=" or ".join(keys), found=key)
        if value is not None:
            values[keys[key].name] = _plain(key, value)
    for key, each in keys.items():
        if each.default is MISSING and each.name not in values:
            raise FieldError(key, "is missing", expected="a value", found="none")
    message = kind(**values)
    message.build()
    return message


def request_from_fields(view: Mapping[str, object]) -> Request | Unknown:
    """Return the request of which `to_fields` gave this view.

    Raises:
        FieldError: a key is missing or out of place, or a value cannot be built.
    """
    return _from_fields(Unknown, view) if "data" in view else _from_fields(Request, view)


def reply_from_fields(view: Mapping[str, object]) -> Reply | ExceptionReply | StickError | Unknown:
    """Return the reply of which `to_fields` gave this view.

    Raises:
        FieldError: a key is missing or out of place, or a value cannot be built.
    """
    if "data" in view:
        return _from_fields(Unknown, view)
    if "exception" in view:
        return _from_fields(ExceptionReply, view)
    return _from_fields(StickError, view) if "stick_error" in view else _from_fields(Reply, view)
