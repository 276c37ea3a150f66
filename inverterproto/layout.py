"""Layouts: a payload's bytes, declared once.

Theory of operation
-------------------
A `Layout` is a table of `Field`s, each with its offset, its type (a `construct` type), its scale
and all that people and programs want to know of it. Everything else is derived from that table:
the parser, the builder, the documentation's tables, the mapping to measured quantities, what is
private.

*Every byte has a name.* Gaps between declared fields are filled with `unknown_NN` fields (NN is
the offset), and so is what follows the last field. A payload that ends early lacks its last
fields; the bytes of a field cut in half are an `unknown_NN` too. So a parsed payload, put
together again, is that payload.

*Two engines, one declaration.* `Layout.construct()` gives the table as a `construct.Struct`: the
definition, and slow. For the hot path a *plan* is derived from it once for each number of fields
that a payload may hold: precompiled `struct.Struct`s (one for each run of fields of one byte
order) and a generated function that converts and names their results in one dict display. A
property test holds the two to the same result.

*Values.* A number is `(raw - bias) × scale`, where the scale is a fraction such as `"1/10"`: the
division by the denominator yields the double nearest to the decimal, so 2320 / 10 is 232.0 and
prints so. Raw values that mean "no reading" give None. Texts lose their padding; bytes that are
not understood stay bytes.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import cached_property
from math import inf
from struct import Struct
from typing import Any, NamedTuple

import construct

from inverterproto.errors import FieldError
from inverterproto.quantity import QUANTITIES, template_of
from inverterproto.redact import Private

Value = int | float | str | bytes | None
Values = dict[str, Value]

_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")


class Octets(construct.Adapter):  # type: ignore[misc]
    """A fixed number of bytes with a meaning of their own, as a `construct` type.

    `decode` turns the bytes into a value (and never fails); `encode` turns a value into exactly
    `length` bytes or raises ValueError.
    """

    def __init__(
        self,
        title: str,
        length: int,
        decode: Callable[[bytes], Value],
        encode: Callable[[Any], bytes],
    ) -> None:
        super().__init__(construct.Bytes(length))
        self.title = title
        self.length = length
        self.decode = decode
        self.encode = encode

    def _decode(self, obj: bytes, context: object, path: str) -> Value:  # noqa: ARG002 - construct's signature
        return self.decode(obj)

    def _encode(self, obj: Value, context: object, path: str) -> bytes:  # noqa: ARG002 - construct's signature
        return self.encode(obj)


def decode_text(raw: bytes) -> str:
    """Return padded text without its padding: UTF-8, else (no byte lost) Latin-1."""
    raw = raw.rstrip(b"\0 ")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def Text(length: int, pad: bytes = b"\0") -> Octets:  # noqa: N802 - a type, spelled as construct spells types
    """Text of at most `length` bytes, padded with NUL or spaces."""

    def encode(text: str) -> bytes:
        for encoding in ("utf-8", "latin-1"):
            raw = text.encode(encoding)
            if len(raw) <= length and decode_text(raw) == text:
                return raw.ljust(length, pad)
        raise ValueError(f"at most {length} bytes of text that does not end in NUL or space")

    return Octets(f"text {length}", length, decode_text, encode)


def _octets(raw: object) -> bytes:
    """Return bytes given as such or as hexadecimal text (a number would be that many zeros)."""
    if isinstance(raw, str):
        return bytes.fromhex(raw)
    if isinstance(raw, bytes | bytearray):
        return bytes(raw)
    raise TypeError("neither bytes nor hexadecimal text")


def Raw(length: int) -> Octets:  # noqa: N802 - a type, spelled as construct spells types
    """Bytes whose meaning is not known."""

    def encode(raw: bytes | str) -> bytes:
        data = _octets(raw)
        if len(data) != length:
            raise ValueError(f"exactly {length} bytes")
        return data

    return Octets(f"bytes {length}", length, bytes, encode)


def _decode_clock(raw: bytes) -> str | None:
    try:
        return str(datetime(2000 + raw[0], *raw[1:6]))
    except ValueError:
        return None


def _encode_clock(text: str | None) -> bytes:
    if text is None:
        return bytes(6)
    moment = datetime.strptime(text, "%Y-%m-%d %H:%M:%S")
    return bytes(
        (moment.year - 2000, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    )


Clock = Octets("clock 6", 6, _decode_clock, _encode_clock)
"""Year − 2000, month, day, hour, minute, second; None where that is no date."""

Mac = Octets(
    "MAC 6", 6, lambda raw: raw.hex(":"), lambda text: bytes.fromhex(text.replace(":", ""))
)
"""A MAC address, `02:00:00:a1:b2:c3`."""


class Field(NamedTuple):
    """One field of a payload.

    Attributes:
        offset: of its first byte in the payload.
        name: its name in `fields`.
        type: a construct integer, or one of `Text`, `Raw`, `Clock`, `Mac`.
        scale: the fraction by which the raw integer is multiplied: `"1/10"`, `"10"`.
        bias: subtracted from the raw integer before that.
        unit: of the value; if None and there is a quantity, that quantity's.
        quantity: the vocabulary's key that this field measures, if it measures one.
        turned: the device counts in the other direction than the vocabulary.
        absent: raw integers that mean "not fitted" or "no reading".
        names: what the values of an enumeration mean.
        confidence: A two independent sources or real bytes, B one source, C a guess.
        source: letters of the sources (see the protocol pages).
        private: the kind of secret it holds, if any.
        hexadecimal: people read its numbers in base 16.
        meaning: a few words for people, where the name does not say it all.
    """

    offset: int
    name: str
    type: Any
    scale: str = "1"
    bias: int = 0
    unit: str | None = None
    quantity: str | None = None
    turned: bool = False
    absent: tuple[int, ...] = ()
    names: Mapping[int, str] | None = None
    confidence: str = "A"
    source: str = ""
    private: Private | None = None
    hexadecimal: bool = False
    meaning: str = ""

    @property
    def size(self) -> int:
        """The number of bytes."""
        size: int = self.type.sizeof()
        return size

    @property
    def end(self) -> int:
        """The offset of the first byte behind it."""
        return self.offset + self.size

    @property
    def known(self) -> bool:
        """Whether the field means something to us."""
        return not self.name.startswith("unknown_")

    @property
    def symbol(self) -> str:
        """The unit's symbol, or nothing."""
        if self.unit is None and self.quantity is not None:
            return QUANTITIES[template_of(self.quantity)].unit or ""
        return self.unit or ""

    @property
    def ratio(self) -> tuple[int, int]:
        """Numerator and denominator of the scale."""
        numerator, _, denominator = self.scale.partition("/")
        return int(numerator), int(denominator or 1)

    @property
    def type_name(self) -> str:
        """The type as the documentation writes it: `u16be`, `text 16`."""
        if isinstance(self.type, Octets):
            return self.type.title
        code = self.code
        order = "" if self.size == 1 else ("be" if self.order == ">" else "le")
        return f"{'u' if code.isupper() else 's'}{8 * self.size}{order}"

    @property
    def code(self) -> str:
        """The type's letter (and count) in a `struct` format."""
        return f"{self.size}s" if isinstance(self.type, Octets) else str(self.type.fmtstr)[1]

    @property
    def order(self) -> str:
        """The byte order as `struct` has it, or nothing where it does not matter."""
        return "" if isinstance(self.type, Octets) or self.size == 1 else str(self.type.fmtstr)[0]

    def to_value(self, raw: Any) -> Value:  # noqa: ANN401 - what struct or construct gives
        """Turn what the bytes hold (an integer, or bytes) into the field's value."""
        if isinstance(self.type, Octets):
            return self.type.decode(raw)
        if raw in self.absent:
            return None
        numerator, denominator = self.ratio
        number: int = (raw - self.bias) * numerator
        return number if denominator == 1 else number / denominator

    def to_bytes(self, value: Value) -> bytes:
        """Return the field's bytes for a value.

        Raises:
            FieldError: for a value that the field cannot carry.
        """
        if isinstance(self.type, Octets):
            try:
                octets = self.type.encode(value)
                if len(octets) != self.size:
                    raise ValueError(f"exactly {self.size} bytes")
                return octets
            except (ValueError, TypeError, AttributeError) as error:
                raise FieldError(
                    self.name, "cannot be written", expected=self.type.title, found=repr(value)
                ) from error
        raw = self.to_raw(value)
        built: bytes = self.type.build(raw)
        return built

    def to_raw(self, value: Value) -> int:
        """Return the raw integer for a number, or for None where the field has an absent value."""
        if value is None and self.absent:
            return self.absent[0]
        numerator, denominator = self.ratio
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise FieldError(self.name, "not a number", expected="a number", found=repr(value))
        exact = value * denominator / numerator + self.bias if abs(value) < 2**64 else inf
        # The comparison is written so that NaN and infinity fail it too.
        if not abs(exact) < 2**64 or abs(exact - round(exact)) > 0.01:
            step = numerator / denominator
            raise FieldError(
                self.name, "not a step of the scale", expected=f"a multiple of {step}", found=value
            )
        raw = round(exact)
        bits = 8 * self.size
        low, high = (0, 2**bits) if self.code.isupper() else (-(2 ** (bits - 1)), 2 ** (bits - 1))
        if not low <= raw < high:
            expected = f"{self._plain(low)} to {self._plain(high - 1)}"
            raise FieldError(self.name, "out of range", expected=expected, found=value)
        if raw in self.absent:
            raise FieldError(
                self.name, "stands for 'no reading'", expected="null for that", found=value
            )
        return raw

    def _plain(self, raw: int) -> float:
        numerator, denominator = self.ratio
        return (raw - self.bias) * numerator / denominator


def measured(
    offset: int,
    key: str,
    type: Any,  # noqa: A002, ANN401 - the field's own name for it; a construct type
    scale: str = "1",
    **more: Any,  # noqa: ANN401 - the rest of Field
) -> Field:
    """Declare a field that measures a quantity and bears its name."""
    return Field(offset, key, type, scale, quantity=key, **more)


class Row(NamedTuple):
    """A field in its place in a frame, for people.

    Attributes:
        offset: in the frame.
        raw: its bytes.
        field: its declaration.
        value: what it says.
    """

    offset: int
    raw: bytes
    field: Field
    value: Any


class Plan(NamedTuple):
    """The derived parser for payloads that hold a given number of a layout's fields."""

    parse: Callable[[bytes], Values]
    end: int


class Layout:
    """A payload's fields.

    Attributes:
        name: identifies the layout, e.g. `micro_inverter`.
        title: for people.
        fields: all fields, gaps filled, in the order of their offsets.
        source: letters of the sources.
        checked: whether real captured bytes have confirmed it.
        trackers: name of the field that counts PV inputs, if there is one.
        phases: name of the field that counts phases, if there is one.
    """

    def __init__(
        self,
        name: str,
        title: str,
        fields: Iterable[Field],
        *,
        source: str = "",
        checked: bool = True,
        trackers: str | None = None,
        phases: str | None = None,
    ) -> None:
        self.name = name
        self.title = title
        self.source = source
        self.checked = checked
        self.trackers = trackers
        self.phases = phases
        self.fields = tuple(_fill_gaps(name, sorted(fields, key=lambda field: field.offset)))
        self._ends = [field.end for field in self.fields]
        self._plans: dict[int, Plan] = {}

    def __repr__(self) -> str:
        return f"Layout({self.name!r}, {len(self.fields)} fields, {self.size} bytes)"

    @property
    def size(self) -> int:
        """The number of bytes up to the end of the last declared field."""
        return self._ends[-1] if self._ends else 0

    @cached_property
    def by_name(self) -> dict[str, Field]:
        """The fields by name."""
        return {field.name: field for field in self.fields}

    def parse(self, payload: bytes) -> Values:
        """Return all fields of a payload by name, whatever its length. Never fails."""
        count = bisect_right(self._ends, len(payload))
        plan = self._plans.get(count)
        if plan is None:
            plan = self._plans[count] = _derive_plan(self.fields[:count])
        values = plan.parse(payload)
        if plan.end != len(payload):
            values[f"unknown_{plan.end}"] = payload[plan.end :]
        return values

    def build(self, values: Mapping[str, Value], onto: bytes | None = None) -> bytes:
        """Return the payload for some values.

        Fields that `values` does not name are zero (texts are padding); the payload reaches as
        far as the last field named. Given the payload that the values were parsed from (`onto`),
        only what differs is written: padding and what no value shows stay as they are.

        Raises:
            FieldError: for an unknown name, or a value that its field cannot carry.
        """
        tails = {name: value for name, value in values.items() if self._is_tail(name, value)}
        present = [
            field for field in self.fields if field.name in values and field.name not in tails
        ]
        end = present[-1].end if present else 0
        if onto is None:
            payload = bytearray(end)
            for field in self.fields:
                if field.offset < end and field.name not in values and field.absent:
                    payload[field.offset : field.end] = field.to_bytes(None)
            old: Mapping[str, Value] = {}
        else:
            payload = bytearray(onto)
            old = self.parse(onto)
        for field in present:
            value = values[field.name]
            if field.name in old and old[field.name] == value and not isinstance(value, bool):
                continue
            if field.end > len(payload):
                payload.extend(bytes(field.end - len(payload)))
            payload[field.offset : field.end] = field.to_bytes(value)
        for name, value in tails.items():
            self._write_tail(payload, name, value)
        return bytes(payload)

    def _is_tail(self, name: str, value: Value) -> bool:
        """Return whether a value is no field's: of unknown bytes perhaps their first ones."""
        field = self.by_name.get(name)
        if field is None:
            return True
        return not field.known and isinstance(value, bytes) and len(value) < field.size

    def _write_tail(self, payload: bytearray, name: str, value: Value) -> None:
        """Write the unknown bytes behind the last whole field."""
        digits = name.removeprefix("unknown_")
        ends = [0, *self._ends]
        if digits == name or not digits.isdecimal() or int(digits) not in ends:
            raise FieldError(name, "no field of this layout", expected=self.name, found=repr(name))
        try:
            raw = _octets(value)
        except (ValueError, TypeError) as error:
            raise FieldError(name, "not bytes", expected="bytes", found=repr(value)) from error
        start = int(digits)
        whole = ends[bisect_right(self._ends, len(payload))]
        after = self.fields[ends.index(start) :]
        if start < whole or (after and len(raw) >= after[0].size):
            raise FieldError(
                name,
                "not behind the last whole field",
                expected="a rest",
                found=f"{len(raw)} bytes",
            )
        payload.extend(bytes(max(0, start - len(payload))))
        payload[start:] = raw

    def construct(self, count: int | None = None) -> construct.Struct:
        """Return the layout (or its first `count` fields) as a `construct.Struct`."""
        return construct.Struct(
            *(
                field.name / (field.type if isinstance(field.type, Octets) else _Scaled(field))
                for field in self.fields[:count]
            )
        )

    def spans(self, payload: bytes) -> Iterator[tuple[Field, bytes]]:
        """Yield each field that the payload holds with its bytes; they tile the payload."""
        count = bisect_right(self._ends, len(payload))
        end = 0
        for field in self.fields[:count]:
            end = field.end
            yield field, payload[field.offset : end]
        if end != len(payload):
            rest = payload[end:]
            yield Field(end, f"unknown_{end}", Raw(len(rest)), confidence="C"), rest

    def rows(self, payload: bytes, at: int = 0) -> Iterator[Row]:
        """Yield the fields of a payload that begins at offset `at` of its frame."""
        values = self.parse(payload)
        for field, raw in self.spans(payload):
            yield Row(at + field.offset, raw, field, values[field.name])


class _Scaled(construct.Adapter):  # type: ignore[misc]
    """A field's integer with its scale, as a `construct` type."""

    def __init__(self, field: Field) -> None:
        super().__init__(field.type)
        self.field = field

    def _decode(self, obj: int, context: object, path: str) -> Value:  # noqa: ARG002 - construct's signature
        return self.field.to_value(obj)

    def _encode(self, obj: Value, context: object, path: str) -> int:  # noqa: ARG002 - construct's signature
        return self.field.to_raw(obj)


def _fill_gaps(layout: str, fields: list[Field]) -> Iterator[Field]:
    """Yield the fields with every gap between them named; complain of a wrong declaration."""
    end = 0
    names: set[str] = set()
    for field in fields:
        if field.offset < end:
            raise ValueError(f"layout {layout}: {field.name} overlaps the field before it")
        numbered = field.known or field.name == f"unknown_{field.offset}"
        if not _NAME.match(field.name) or field.name in names or not numbered:
            raise ValueError(f"layout {layout}: {field.name!r} is no name, or stands twice")
        names.add(field.name)
        if field.offset > end:
            yield Field(end, f"unknown_{end}", Raw(field.offset - end), confidence="C")
        yield field
        end = field.end


def _derive_plan(fields: tuple[Field, ...]) -> Plan:
    """Generate the parser for exactly these fields."""
    runs: list[tuple[str, list[int]]] = []
    for index, field in enumerate(fields):
        order = field.order
        if runs and (not order or not runs[-1][0] or order == runs[-1][0]):
            runs[-1] = (runs[-1][0] or order, [*runs[-1][1], index])
        else:
            runs.append((order, [index]))
    scope: dict[str, Any] = {}
    lines = ["def parse(data):"]
    for number, (order, members) in enumerate(runs):
        codes = "".join(fields[index].code for index in members)
        scope[f"u{number}"] = Struct((order or "<") + codes).unpack_from
        targets = "".join(f"v{index}," for index in members)
        lines.append(f" {targets}=u{number}(data,{fields[members[0]].offset})")
    pairs = ",".join(
        f"{field.name!r}:{_expression(index, field, scope)}" for index, field in enumerate(fields)
    )
    lines.append(f" return {{{pairs}}}")
    # Only field names (checked against _NAME) and integers of the declaration reach the source.
    exec("\n".join(lines), scope)  # noqa: S102 - the same technique as namedtuple and dataclass
    return Plan(scope["parse"], fields[-1].end if fields else 0)


def _expression(index: int, field: Field, scope: dict[str, Any]) -> str:
    """Return the source that converts variable `v<index>` to the field's value."""
    variable = f"v{index}"
    if isinstance(field.type, Octets):
        if field.type.decode is bytes:
            return variable
        scope[f"d{index}"] = field.type.decode
        return f"d{index}({variable})"
    numerator, denominator = field.ratio
    source = f"({variable}-{field.bias})" if field.bias else variable
    if numerator != 1:
        source += f"*{numerator}"
    if denominator != 1:
        source += f"/{denominator}"
    if field.absent:
        scope[f"n{index}"] = frozenset(field.absent)
        source = f"None if {variable} in n{index} else {source}"
    return source
