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
order) and a generated function that converts and names their results (see `plan.py`). A property
test holds the two to the same result.

*Values.* A number is `(raw - bias) × scale`, where the scale is a fraction such as `"1/10"`: the
division by the denominator yields the double nearest to the decimal, so 2320 / 10 is 232.0 and
prints so. Raw values that mean "no reading" give None. Texts lose their padding; bytes that are
not understood stay bytes.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from struct import Struct

import construct

from inverterproto.errors import FieldError
from inverterproto.field import Field, Row, measured
from inverterproto.octets import (
    Clock,
    Mac,
    Octets,
    Raw,
    Text,
    Value,
    Version,
    as_bytes,
    decode_text,
)
from inverterproto.plan import Parse, derive_plan
from inverterproto.quantity import LEVELS, QUANTITIES, template_of

__all__ = [
    "Clock",
    "Field",
    "Layout",
    "Mac",
    "Octets",
    "Raw",
    "Row",
    "Text",
    "Value",
    "Values",
    "Version",
    "decode_text",
    "measured",
]

Values = dict[str, Value]

# Real devices send a few lengths; whoever sends more may not fill the memory.
_MOST_LENGTHS = 64

_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")


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
        sensor_type: of the V5 data payloads that it is for, if it is for such.
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
        sensor_type: int | None = None,
    ) -> None:
        self.name = name
        self.title = title
        self.source = source
        self.checked = checked
        self.trackers = trackers
        self.phases = phases
        self.sensor_type = sensor_type
        ordered = sorted(fields, key=lambda field: field.offset)
        for _, fault in faults(ordered):
            raise ValueError(f"layout {name}: {fault}")
        self.fields = tuple(_fill_gaps(ordered))
        self._ends = [field.end for field in self.fields]
        self._plans: dict[tuple[int, bool], Parse] = {}
        self._by_length: dict[int, Parse] = {}

    def __repr__(self) -> str:
        return f"Layout({self.name!r}, {len(self.fields)} fields, {self.size} bytes)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layout) and self._declared == other._declared

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def _declared(self) -> tuple[object, ...]:
        """All that the declaration says."""
        about = self.name, self.title, self.source, self.checked
        return *about, self.trackers, self.phases, self.sensor_type, self.fields

    @classmethod
    def from_toml(cls, text: str, head: Sequence[Field] = ()) -> "Layout":
        """Return the layout that a TOML text declares.

        Args:
            text: what a layout file holds.
            head: fields with which such a payload begins, and which the text need not name.

        Raises:
            LayoutError: the text is no layout; the error tells all that is wrong with it.
        """
        from inverterproto.layout_toml import parse

        return parse(text, head)

    def to_toml(self, head: Sequence[Field] = ()) -> str:
        """Return the TOML text that declares this layout, but for the fields of its head.

        Raises:
            ValueError: a field is of a type that has no name in TOML.
        """
        from inverterproto.layout_toml import write

        return write(self, head)

    @property
    def size(self) -> int:
        """The number of bytes up to the end of the last declared field."""
        return self._ends[-1] if self._ends else 0

    @cached_property
    def pack(self) -> Callable[..., bytes]:
        """Pack raw values, one for each field: the quick way to build a payload of integers.

        Only for layouts in one byte order; raises `struct.error` where a value does not fit.
        """
        (order,) = {field.order for field in self.fields if field.order} or {"<"}
        return Struct(order + "".join(field.code for field in self.fields)).pack

    @cached_property
    def by_name(self) -> dict[str, Field]:
        """The fields by name."""
        return {field.name: field for field in self.fields}

    def parse(self, payload: bytes) -> Values:
        """Return all fields of a payload by name, whatever its length. Never fails."""
        plan = self._by_length.get(len(payload))
        if plan is None:
            plan = self._plan_for(len(payload))
        return plan(payload)

    def _plan_for(self, length: int) -> Parse:
        """Return the parser for payloads of some length, and remember it."""
        count = bisect_right(self._ends, length)
        tail = length > (self._ends[count - 1] if count else 0)
        plan = self._plans.get((count, tail))
        if plan is None:
            plan = self._plans[count, tail] = derive_plan(self.fields[:count], tail=tail)
        if len(self._by_length) >= _MOST_LENGTHS:
            self._by_length.clear()
        self._by_length[length] = plan
        return plan

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
            raw = as_bytes(value)
        except (ValueError, TypeError) as error:
            raise FieldError(name, "not bytes", expected="bytes", found=repr(value)) from error
        start = int(digits)
        whole = ends[bisect_right(self._ends, len(payload))]
        after = self.fields[ends.index(start) :]
        if start < whole or (after and len(raw) >= after[0].size):
            whole_size = f"{self.by_name[name].size} bytes" if name in self.by_name else "a rest"
            raise FieldError(
                name,
                "not behind the last whole field",
                expected=whole_size,
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

    def keeping_private(self, other: "Layout") -> "Layout":
        """Return the layout in which all that is private by another one is so, too.

        That is this one where nothing is missing. Of what it does not name the parts that are
        private become unknown fields of their own.
        """
        fields = list(self.fields)
        for theirs in other.fields:
            if theirs.private is None:
                continue
            there = [f for f in fields if f.offset < theirs.end and theirs.offset < f.end]
            marked = [f._replace(private=f.private or theirs.private) for f in there if f.known]
            ends = (theirs.offset, *(field.end for field in marked))
            for end, start in zip(ends, (*(f.offset for f in marked), theirs.end), strict=True):
                if end < start:
                    fill = filler(end, start)
                    marked.append(fill._replace(private=theirs.private))
            rest = [field for field in fields if field not in there]
            fields = sorted((*rest, *marked), key=lambda field: field.offset)
        if fields == list(self.fields):
            return self
        return Layout(
            self.name,
            self.title,
            fields,
            source=self.source,
            checked=self.checked,
            trackers=self.trackers,
            phases=self.phases,
            sensor_type=self.sensor_type,
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
            yield filler(end, len(payload)), rest

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


def faults(fields: Iterable[Field]) -> Iterator[tuple[Field, str]]:
    """Yield what makes fields, in the order of their offsets, no layout: each with its field."""
    end = 0
    names: set[str] = set()
    for field in fields:
        if field.offset < end:
            yield field, f"{field.name} overlaps the field before it"
        numbered = field.known or field.name == f"unknown_{field.offset}"
        if not _NAME.match(field.name) or field.name in names or not numbered:
            yield field, f"{field.name!r} is no name, or stands twice"
        if field.quantity is not None and template_of(field.quantity) not in QUANTITIES:
            yield field, f"{field.name}: no quantity called {field.quantity!r}"
        if 0 in field.ratio:
            yield field, f"{field.name}: a scale of {field.scale!r}"
        if field.confidence not in LEVELS:
            yield field, f"{field.name}: confidence is one of {LEVELS}"
        names.add(field.name)
        end = max(end, field.end)


def filler(start: int, end: int) -> Field:
    """Return the field that names bytes which nobody declared."""
    return Field(start, f"unknown_{start}", Raw(end - start), confidence="C")


def _fill_gaps(fields: Iterable[Field]) -> Iterator[Field]:
    """Yield the fields with every gap between them named."""
    end = 0
    for field in fields:
        if field.offset > end:
            yield filler(end, field.offset)
        yield field
        end = field.end
