"""Modbus RTU as it travels inside V5 command frames: bytes in, values out, and back.

**Theory of operation.** A command frame (0x45) carries one whole Modbus RTU request, its answer
(0x15) one whole reply; the envelope around them is `messages.py`'s matter, and what the registers
mean is nobody's here. A message is `slave, function, data, CRC` (u16, little endian; all in the
data is big endian). The data of every function taken apart here has one shape: address, quantity,
byte count and values, of which some are left out. So a `_Shape` says which are there, two tables
say which function has which shape and how many values it may carry, and one pair of functions
reads and writes them all.

*Nothing is lost.* Parsing is lenient, building is strict, and **a message is taken apart only if
it builds back to its own bytes**. Whatever else has a right CRC (a function that is not in the
tables; a byte count that lies; a quantity over the limit; set bits in the padding of coils) is an
`Unknown`, kept raw with the reason. Thus the limits stand in one place. Only what has no right CRC
is an error.

*Quirks of replies* are accepted, reported (`problems`) and built again:
    - a second CRC over message and CRC, which is always 0000 (P: issues 62, 65; Deye loggers);
    - a stray 0xFF in front (T: issue 645);
    - two bytes instead of a message: an error of the logger stick itself (`StickError`; P, T, I),
      most often 5 (the inverter does not answer). A Modbus exception is another thing.
The reading without a quirk is tried first, so that a sound message is never taken for a quirky one.

The trap: a reply to a read does not say which registers it holds, nor how many of its coils were
asked for (they come in whole bytes): only the request knows. And a filter must ask
`is_write(…) is False` of a `Request`: an `Unknown` may do anything.

Sources: P for requests, replies and the second CRC; T for the stray byte and the writes; I for
real bytes; limits, functions and exception names by the Modbus application protocol, V1.1b3.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from struct import pack, unpack
from typing import Any, NamedTuple, TypeVar

from ..checksum import crc16_modbus
from ..errors import ChecksumError, FieldError, IncompleteError, ProtocolError


class Function(NamedTuple):
    """What is known of a Modbus function."""

    name: str
    writes: bool


FUNCTIONS = {
    1: Function("read coils", writes=False),
    2: Function("read discrete inputs", writes=False),
    3: Function("read holding registers", writes=False),
    4: Function("read input registers", writes=False),
    5: Function("write single coil", writes=True),
    6: Function("write single register", writes=True),
    15: Function("write multiple coils", writes=True),
    16: Function("write multiple registers", writes=True),
    22: Function("mask write register", writes=True),
    23: Function("read and write multiple registers", writes=True),
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

_EXCEPTION_BIT = 0x80
_U8, _U16 = 0xFF, 0xFFFF
_LAST_SLAVE = 247  # 248 and above are reserved; 0 is for all
_SHORTEST = 4  # slave, function, CRC
_LONGEST = 256  # of a message on the serial line
_STICK_ERROR = range(2, 5)  # how long the body of a stick error may be


def is_write(function: int) -> bool | None:
    """Tell whether a function changes something in the inverter; None if it is not known."""
    known = FUNCTIONS.get(function)
    return None if known is None else known.writes


@dataclass(frozen=True, slots=True)
class Request:
    """A request of function 1 to 6, 15 or 16.

    `quantity` is given for reads (1 to 4), `coils` for the writes 5 and 15, `registers` for the
    writes 6 and 16; their number is their quantity.
    """

    slave: int
    function: int
    address: int
    quantity: int | None = None
    coils: tuple[bool, ...] = ()
    registers: tuple[int, ...] = ()

    def build(self) -> bytes:
        """Return the message with its CRC."""
        return _frame(self.slave, self.function, _data(self, _REQUESTS))


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply to a function 1 to 6, 15 or 16.

    A read gives `coils` (1, 2; in whole bytes, so more than were asked for) or `registers` (3, 4).
    A write echoes its `address`, and its one value (5, 6) or its `quantity` (15, 16).
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
        return _quirky(self, _frame(self.slave, self.function, _data(self, _REPLIES)))


@dataclass(frozen=True, slots=True)
class ExceptionReply:
    """The inverter refuses: `function` is the one that was asked for, without its high bit."""

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
        return _quirky(self, _frame(self.slave, function, bytes((_number("code", self.code, _U8),))))


@dataclass(frozen=True, slots=True)
class StickError:
    """The logger stick could not do what was asked: codes 1 to 6 are known, their meaning is not.

    `tail` is what stands behind the two bytes of the code: nothing, in all that was seen.
    """

    code: int
    tail: bytes = b""

    def build(self) -> bytes:
        """Return the body."""
        body = _number("code", self.code, _U16).to_bytes(2, "little") + self.tail
        _number("tail", len(self.tail), _STICK_ERROR[-1] - 2)
        return body


@dataclass(frozen=True, slots=True)
class Unknown:
    """A message with a right CRC that is not taken apart; `reason` says why it was not.

    `data` is what stands between function and CRC.
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


AnyRequest = Request | Unknown
AnyReply = Reply | ExceptionReply | StickError | Unknown
_Quirky = Reply | ExceptionReply | Unknown
_Message = TypeVar("_Message", Request, Reply, ExceptionReply, StickError, Unknown)


# The shapes of the data, and which function has which.


def _pack_coils(coils: tuple[bool, ...]) -> bytes:
    number = sum(1 << place for place, coil in enumerate(coils) if coil)
    return number.to_bytes((len(coils) + 7) // 8, "little")


def _unpack_coils(data: bytes) -> tuple[bool, ...]:
    return tuple(bool(byte >> place & 1) for byte in data for place in range(8))


def _pack_switch(coils: tuple[bool, ...]) -> bytes:
    return b"\xff\x00" if coils[0] else b"\x00\x00"


def _unpack_switch(data: bytes) -> tuple[bool, ...]:
    return (data == b"\xff\x00",)


def _pack_registers(registers: tuple[int, ...]) -> bytes:
    return pack(f">{len(registers)}H", *registers)


def _unpack_registers(data: bytes) -> tuple[int, ...]:
    count = len(data) // 2
    return unpack(f">{count}H", data[: 2 * count])


class _Values(NamedTuple):
    """Values of one kind: the attribute that holds them, and how they are written."""

    attribute: str
    pack: Callable[[Any], bytes]
    unpack: Callable[[bytes], tuple[Any, ...]]


_SWITCH = _Values("coils", _pack_switch, _unpack_switch)
_COILS = _Values("coils", _pack_coils, _unpack_coils)
_REGISTERS = _Values("registers", _pack_registers, _unpack_registers)


class _Shape(NamedTuple):
    """Which parts the data has. In their order: address, quantity, byte count, values."""

    words: int
    """0: neither address nor quantity; 1: the address; 2: both."""
    values: _Values | None
    counted: bool = False
    """Whether a byte count stands before the values."""

    @property
    def carries(self) -> set[str]:
        """The attributes that a message of this shape fills."""
        address = {"address"} if self.words else set()
        return address | {self.values.attribute if self.values else "quantity"}

    @property
    def length(self) -> tuple[int, int]:
        """The message's length without what is counted; where its byte count stands, or 0."""
        return (5 + 2 * self.words, 2 + 2 * self.words) if self.counted else (8, 0)


_RANGE = _Shape(2, None)
_ONE_COIL = _Shape(1, _SWITCH)
_ONE_REGISTER = _Shape(1, _REGISTERS)
_READ_COILS = _Shape(0, _COILS, counted=True)
_READ_REGISTERS = _Shape(0, _REGISTERS, counted=True)
_WRITE_COILS = _Shape(2, _COILS, counted=True)
_WRITE_REGISTERS = _Shape(2, _REGISTERS, counted=True)

# function -> shape, and the greatest quantity
_REQUESTS = {
    1: (_RANGE, 2000),
    2: (_RANGE, 2000),
    3: (_RANGE, 125),
    4: (_RANGE, 125),
    5: (_ONE_COIL, 1),
    6: (_ONE_REGISTER, 1),
    15: (_WRITE_COILS, 1968),
    16: (_WRITE_REGISTERS, 123),
}
_REPLIES = {
    1: (_READ_COILS, 2000),
    2: (_READ_COILS, 2000),
    3: (_READ_REGISTERS, 125),
    4: (_READ_REGISTERS, 125),
    5: (_ONE_COIL, 1),
    6: (_ONE_REGISTER, 1),
    15: (_RANGE, 1968),
    16: (_RANGE, 123),
}
_Table = dict[int, tuple[_Shape, int]]

# function -> length without what is counted, and where the byte count stands (0: there is none)
_REQUEST_LENGTHS = {function: shape.length for function, (shape, _) in _REQUESTS.items()}
_REQUEST_LENGTHS |= {22: (10, 0), 23: (13, 10)}
_REPLY_LENGTHS = {function: shape.length for function, (shape, _) in _REPLIES.items()}
_REPLY_LENGTHS |= {22: (10, 0), 23: (5, 2)}
_REPLY_LENGTHS |= {function | _EXCEPTION_BIT: (5, 0) for function in FUNCTIONS}

# (stray 0xFF, second CRC): the soundest reading first
_NO_QUIRKS = ((False, False),)
_QUIRKS = ((False, False), (False, True), (True, False), (True, True))


# Values to bytes: strict.


def _number(name: str, value: object, most: int, least: int = 0) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return value
    raise FieldError(name, "does not fit", expected=f"{least} to {most}", found=value)


def _shape(table: _Table, function: object) -> tuple[_Shape, int]:
    known = table.get(_number("function", function, _U8))
    if known is None:
        expected = "one of " + ", ".join(map(str, table))
        raise FieldError("function", "is not known well enough", expected=expected, found=function)
    return known


def _check_values(name: str, values: object, shape: _Shape, most: int) -> None:
    if not isinstance(values, tuple):
        raise FieldError(name, "does not fit", expected="a tuple", found=type(values).__name__)
    _number(f"number of {name}", len(values), most, 1)
    if name == "registers":
        for value in values:
            _number(name, value, _U16)
    elif not all(isinstance(value, bool) for value in values):
        raise FieldError(name, "do not fit", expected="true or false", found=values)
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


def _data(message: Request | Reply, table: _Table) -> bytes:
    shape, most = _shape(table, message.function)
    _check(message, shape, most)
    if shape.values is None:
        return pack(">HH", message.address, message.quantity)
    values = getattr(message, shape.values.attribute)
    packed = shape.values.pack(values)
    head = pack(">HH", message.address or 0, len(values))[: 2 * shape.words]
    return head + (bytes((len(packed),)) if shape.counted else b"") + packed


def _frame(slave: int, function: int, data: bytes) -> bytes:
    head = bytes((_number("slave", slave, _U8), _number("function", function, _U8)))
    return head + data + crc16_modbus(head + data).to_bytes(2, "little")


def _quirky(message: _Quirky, rtu: bytes) -> bytes:
    front = b"\xff" if message.stray_ff else b""
    return front + rtu + (b"\x00\x00" if message.doubled_crc else b"")


# Bytes to values: lenient, for what does not build back is not taken.


def _attributes(table: _Table, rtu: bytes) -> dict[str, Any]:
    shape, _ = _shape(table, rtu[1])
    data = rtu[2:-2]
    found: dict[str, Any] = {}
    if shape.words:
        found["address"] = int.from_bytes(data[:2], "big")
    if shape.values is None:
        return found | {"quantity": int.from_bytes(data[2:4], "big")}
    count = int.from_bytes(data[2:4], "big") if shape.words > 1 else None
    values = shape.values.unpack(data[2 * shape.words + shape.counted :])
    return found | {shape.values.attribute: values[:count]}


def _read_request(rtu: bytes, *_: bool) -> Request:
    return Request(rtu[0], rtu[1], **_attributes(_REQUESTS, rtu))


def _read_reply(rtu: bytes, *quirks: bool) -> Reply | ExceptionReply:
    stray_ff, doubled_crc = quirks
    if rtu[1] & _EXCEPTION_BIT:
        code = int.from_bytes(rtu[2:3], "big")
        return ExceptionReply(rtu[0], rtu[1] - _EXCEPTION_BIT, code, stray_ff, doubled_crc)
    attributes = _attributes(_REPLIES, rtu)
    return Reply(rtu[0], rtu[1], stray_ff=stray_ff, doubled_crc=doubled_crc, **attributes)


def _length(data: bytes, start: int, shape: tuple[int, int]) -> int:
    size, count_at = shape
    return size + sum(data[start + count_at : start + count_at + 1]) if count_at else size


def _misfit(body: bytes, lengths: dict[int, tuple[int, int]]) -> ProtocolError:
    length = _SHORTEST
    if len(body) >= _SHORTEST:
        length = _length(body, 0, lengths.get(body[1], (_SHORTEST, 0)))
    if length > len(body):
        return IncompleteError(
            "end of the Modbus message", offset=len(body), expected=length, found=len(body)
        )
    return ChecksumError(
        "Modbus CRC",
        offset=len(body) - 2,
        expected=f"0x{crc16_modbus(body[:-2]):04x}",
        found=f"0x{int.from_bytes(body[-2:], 'little'):04x}",
    )


def _take_apart(
    rtu: bytes,
    body: bytes,
    quirks: tuple[bool, bool],
    read: Callable[..., Request | Reply | ExceptionReply],
) -> Request | Reply | ExceptionReply | Unknown:
    reason = f"its bytes are not laid out as function {rtu[1]} has them"
    try:
        if len(rtu) <= _LONGEST and (message := read(rtu, *quirks)).build() == body:
            return message
    except FieldError as error:
        reason = str(error)
    return Unknown(rtu[0], rtu[1], rtu[2:-2], *quirks, reason=reason)
