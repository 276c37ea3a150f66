"""Layouts as TOML: a layout in a file says what one of this package says.

Theory of operation
-------------------
`LAYOUT_KEYS` and `FIELD_KEYS` tell every key once: what it takes, whether it must be there, what it
means. Reader, writer, complaints and the documentation's tables follow from them. A key is the
attribute of `Layout` or `Field` that it sets, and what is not written has that attribute's default;
but a file must say how sure each field is, and a layout counts as checked on real bytes only if the
file says so.

*All mistakes at once.* Reading goes on behind a mistake, so that who writes a file sees all that is
wrong with it, and where: the field by its number and name, the key, what was expected and found.

*The head.* All payloads of a kind begin alike. Who knows with which fields, gives them to `parse`
and `write`, and the text begins behind them.

*Bounds.* The text may come from anybody: its size and that of its lines are limited (Python's own
parser takes a time that grows with the text and the depth of its tables), and so are the payload
and the number of complaints. Texts hold nothing that a terminal would act upon.

What a text cannot declare: types that need code of their own. Everything that follows from the
fields of any layout (power as voltage × current, sums) needs no declaring: see `deye/measure.py`.
"""

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from fractions import Fraction
from reprlib import Repr
from typing import Any, NamedTuple

from construct import (
    Int8sl,
    Int8ul,
    Int16sb,
    Int16sl,
    Int16ub,
    Int16ul,
    Int32sb,
    Int32sl,
    Int32ub,
    Int32ul,
)

from inverterproto.errors import LayoutError
from inverterproto.field import Field
from inverterproto.layout import Layout, faults, filler
from inverterproto.octets import Clock, Mac, Octets, Raw, Text, Version
from inverterproto.private import Private
from inverterproto.quantity import LEVELS, QUANTITIES, template_of

MOST_TEXT = 1 << 18
"""Characters of a text; the longest layout of the package needs 12,000."""
LONGEST_LINE = 2000
LONGEST_HEADER = 200
"""Of a line that begins with a bracket, as the name of a table does."""
LONGEST_PAYLOAD = 4096
MOST_PROBLEMS = 100

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
_FRACTION = re.compile(r"[1-9][0-9]{0,8}(/[1-9][0-9]{0,8})?\Z")
_DECIMAL = re.compile(r"[0-9]{1,9}\.[0-9]{1,9}\Z")
_SIZED = re.compile(r"(?:text ([1-9][0-9]{0,3})( spaces)?|bytes ([1-9][0-9]{0,3}))\Z")
_RAW = re.compile(r"-?[0-9]{1,10}\Z|0x[0-9a-fA-F]{1,8}\Z")
_MOST_RAW = 2**32 - 1

_INTEGERS = (
    *(Int8ul, Int8sl, Int16ul, Int16ub, Int16sl, Int16sb),
    *(Int32ul, Int32ub, Int32sl, Int32sb),
)
TYPES: dict[str, Any] = {
    Field(0, "", type_).type_name: type_ for type_ in (*_INTEGERS, Clock, Mac, Version)
}
"""The types of one size by name; `text N`, `text N spaces` and `bytes N` come in every size."""

_repr = Repr()
_repr.maxstring = _repr.maxother = 60


class _Unfit(Exception):  # noqa: N818 - it says what the value is
    """A value that a key does not take; it may say more than that."""


class Key(NamedTuple):
    """One key of a table.

    Attributes:
        name: the key, which is that of the attribute.
        expected: what it takes, in words.
        meaning: what it says, for people.
        take: turns its value into the attribute's, or raises `_Unfit`.
        required: whether it must be there.
    """

    name: str
    expected: str
    meaning: str
    take: Callable[[Any], Any]
    required: bool = False


# What a key takes


def _hint(wrong: object, right: Iterable[str]) -> str:
    """Return which of the right words a wrong one may be meant for, if any."""
    found = get_close_matches(str(wrong)[:64], right, 1) if isinstance(wrong, str) else []
    return f" (did you mean {str(found[0])!r}?)" if found else ""


def _text(value: Any) -> str:  # noqa: ANN401 - whatever TOML holds
    if isinstance(value, str) and value.isprintable() and len(value) <= 200:
        return value
    raise _Unfit


def _name(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, str) and _NAME.match(value):
        return value
    raise _Unfit


def _flag(value: Any) -> bool:  # noqa: ANN401
    if isinstance(value, bool):
        return value
    raise _Unfit


def _integer(least: int, greatest: int) -> Callable[[Any], int]:
    def take(value: Any) -> int:  # noqa: ANN401
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= greatest:
            return value
        raise _Unfit

    return take


def _type(value: Any) -> Any:  # noqa: ANN401 - a construct type
    if not isinstance(value, str):
        raise _Unfit
    if value in TYPES:
        return TYPES[value]
    sized = _SIZED.match(value)
    if sized is None:
        raise _Unfit(_hint(value, [*TYPES, "text 16", "text 16 spaces", "bytes 16"]))
    if sized[3]:
        return Raw(int(sized[3]))
    return Text(int(sized[1]), b" " if sized[2] else b"\0")


def _scale(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, str) and _FRACTION.match(value):
        return value
    if isinstance(value, str) and _DECIMAL.match(value):
        value = float(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and 1e-6 <= value < 1e9:
        # The nearest short fraction: 0.1 is 1/10, though no double is.
        fraction = Fraction(repr(value))
        return str(fraction)
    raise _Unfit


_raw = _integer(-(2**31), _MOST_RAW)


def _raws(value: Any) -> tuple[int, ...]:  # noqa: ANN401
    return tuple(map(_raw, value if isinstance(value, list) else [value]))


def _names(value: Any) -> dict[int, str]:  # noqa: ANN401
    if not isinstance(value, dict) or not value or not all(map(_RAW.match, value)):
        raise _Unfit
    return {int(raw, 16 if "x" in raw else 10): _text(name) for raw, name in value.items()}


def _one_of(options: Sequence[str]) -> Callable[[Any], str]:
    def take(value: Any) -> str:  # noqa: ANN401
        if isinstance(value, str) and value in options:
            return value
        raise _Unfit(_hint(value, options))

    return take


def _quantity(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, str) and _NAME.match(value) and template_of(value) in QUANTITIES:
        return value
    number = re.search(r"[1-9][0-9]?", str(value)[:64]) if isinstance(value, str) else None
    raise _Unfit(_hint(value, _concrete(number[0] if number else "1")))


def _concrete(number: str) -> Iterator[str]:
    """Yield the keys of all quantities, numbered ones with some number."""
    for key in QUANTITIES:
        for phase in ("l1", "l2", "l3")[: 3 if "{phase}" in key else 1]:
            yield key.replace("{n}", number).replace("{phase}", phase)


def _private(value: Any) -> Private:  # noqa: ANN401
    return Private(_one_of([*Private])(value))


def _keys(*keys: Key) -> dict[str, Key]:
    return {key.name: key for key in keys}


_WORDS = "text of up to 200 characters"
_LOWER = "lower-case letters, digits and underscores, a letter first"

LAYOUT_KEYS = _keys(
    Key("name", _LOWER, "how the layout is called", _name, required=True),
    Key("title", _WORDS, "the device, for people: maker, models", _text, required=True),
    Key(
        "sensor_type",
        "an integer from 0 to 0xFFFF",
        "of the data payloads that it is for; `decode` shows it",
        _integer(0, 0xFFFF),
        required=True,
    ),
    Key("source", _WORDS, "who says so: your own frames, a document, another project", _text),
    Key("checked", "true or false", "whether real frames have confirmed it", _flag),
    Key(
        "trackers",
        "the name of a field",
        "which tells how many PV inputs there are: quantities of further ones are left out",
        _name,
    ),
    Key("phases", "the name of a field", "the same for phases", _name),
)
"""The keys at the top of a layout file."""

FIELD_KEYS = _keys(
    Key(
        "offset",
        f"an integer from 0 to {LONGEST_PAYLOAD - 1}",
        "where its first byte stands in the payload: 11 less than in the frame",
        _integer(0, LONGEST_PAYLOAD - 1),
        required=True,
    ),
    Key("name", _LOWER, "how it is called; may be left out where there is a quantity", _name),
    Key(
        "type",
        "an integer (u8, s8, u16le, u16be, … s32be), text N, text N spaces, bytes N, clock 6, "
        "MAC 6 or version 2",
        "`u` without, `s` with a sign; `le` the low byte first, `be` the high one; a text of N "
        "bytes is padded with NUL or with spaces",
        _type,
        required=True,
    ),
    Key(
        "scale",
        'a fraction such as "1/10", or a number, from 0.000001 on',
        "by which the integer is multiplied",
        _scale,
    ),
    Key("bias", "an integer", "subtracted from the integer before that", _raw),
    Key("unit", _WORDS, "of the value, where no quantity tells it", _text),
    Key("quantity", "a key of the vocabulary", "what it measures", _quantity),
    Key("turned", "true or false", "the device counts in the other direction", _flag),
    Key("absent", "an integer or a list of such", "integers that mean “no reading”", _raws),
    Key(
        "names",
        'a table such as { 0 = "standby", 1 = "working" }',
        "what the values of a state mean",
        _names,
    ),
    Key(
        "confidence",
        "A, B or C",
        "A: two sources or real bytes, B: one source, C: a guess",
        _one_of(tuple(LEVELS)),
        required=True,
    ),
    Key("source", _WORDS, "who says so", _text),
    Key("private", "one of " + ", ".join(Private), "the kind of secret that it holds", _private),
    Key("hexadecimal", "true or false", "people read it in base 16", _flag),
    Key("meaning", _WORDS, "a few words for people", _text),
)
"""The keys of each `[[field]]`."""

_FIELDS = "field"
_FOR_INTEGERS = ("scale", "bias", "absent", "names", "turned", "hexadecimal")
_DEFAULTS: dict[str, Any] = Field._field_defaults


# Reading


def parse(text: str, head: Sequence[Field] = ()) -> Layout:
    """Return the layout that a text declares.

    Raises:
        LayoutError: it declares none.
    """
    table = _load(text)
    problems: list[str] = []
    declared = table.pop(_FIELDS, [])
    about = _take(table, LAYOUT_KEYS, "", problems)
    tables: list[object] = declared if isinstance(declared, list) else [None]
    found: list[tuple[str, Field]] = []
    for number, each in enumerate(tables, 1):
        if len(problems) >= MOST_PROBLEMS:
            raise LayoutError([*problems, "and perhaps more"])
        if not isinstance(each, dict):
            problems.append(f"field {number}: expected a table [[field]], found {_shown(each)}")
        elif field := _field(each, number, problems):
            found.append(field)
    fields = [(where, field) for where, field in found if field not in head]
    problems += _contradictions(fields, head, about)
    if problems:
        raise LayoutError(problems[:MOST_PROBLEMS])
    about = {"checked": False, **about}
    return Layout(fields=(*head, *(field for _, field in fields)), **about)


def _load(text: str) -> dict[str, Any]:
    """Return the tables of a text."""
    if len(text) > MOST_TEXT:
        raise LayoutError([f"expected at most {MOST_TEXT:,} characters, found more"])
    for number, line in enumerate(text.split("\n"), 1):
        longest = LONGEST_HEADER if line.lstrip().startswith("[") else LONGEST_LINE
        if len(line) > longest:
            raise LayoutError(
                [f"line {number}: expected at most {longest:,} characters, found {len(line):,}"]
            )
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise LayoutError(["no TOML: nested too deeply"]) from None
    except ValueError as error:
        raise LayoutError([f"no TOML: {error}"]) from None


def _take(
    table: Mapping[str, Any], keys: Mapping[str, Key], where: str, problems: list[str]
) -> dict[str, Any]:
    """Return the attributes that a table tells."""
    for name in table:
        if name not in keys and len(problems) < MOST_PROBLEMS:
            problems.append(f"{where}no key is called {_shown(name)}{_hint(name, keys)}")
    taken = {}
    for key in keys.values():
        if key.name in table:
            value = table[key.name]
            try:
                taken[key.name] = key.take(value)
            except _Unfit as more:
                found = f"expected {key.expected}, found {_shown(value)}{more}"
                problems.append(f"{where}{key.name}: {found}")
        elif key.required:
            problems.append(f"{where}{key.name}: expected {key.expected}, found nothing")
    return taken


def _field(table: dict[str, Any], number: int, problems: list[str]) -> tuple[str, Field] | None:
    """Return a field with where it stands, if nothing is wrong with it."""
    called = table.get("name", table.get("quantity"))
    where = (
        f"field {number} ({_shown(called)}): " if isinstance(called, str) else f"field {number}: "
    )
    before = len(problems)
    taken = _take(table, FIELD_KEYS, where, problems)
    if called is None:
        problems.append(f"{where}name: expected {_LOWER}, found nothing")
    if len(problems) > before:
        return None
    field = Field(**{"name": taken.get("quantity"), **taken})
    problems += (where + oddity for oddity in _oddities(field))
    return (where, field) if len(problems) == before else None


def _oddities(field: Field) -> Iterator[str]:
    """Yield what of a field does not go with the rest of it."""
    if field.end > LONGEST_PAYLOAD:
        yield f"ends at {field.end}: no payload is longer than {LONGEST_PAYLOAD} bytes"
    if not field.known and field.name != f"unknown_{field.offset}":
        yield f"name: expected 'unknown_{field.offset}', found {field.name!r}"
    if not field.known and field.confidence != "C":
        yield f"confidence: expected C for what is unknown, found {field.confidence}"
    if field.turned and field.quantity is None:
        yield "turned: expected a quantity, found none"
    if template_of(field.name) in QUANTITIES and field.quantity != field.name:
        yield f"name: a field of this name has the quantity {field.name!r}, or another name"
    if field.quantity is not None:
        yield from _oddities_of_quantity(field, QUANTITIES[template_of(field.quantity)].unit)
    if not isinstance(field.type, Octets):
        yield from _oddities_of_integers(field)
        return
    for key in _FOR_INTEGERS:
        if getattr(field, key) != _DEFAULTS[key]:
            yield f"{key}: only integers have it, and {field.type_name} is none"


def _oddities_of_quantity(field: Field, unit: str | None) -> Iterator[str]:
    if field.unit is not None and field.unit != (unit or ""):
        yield f"unit: expected {unit or 'none'}, as {field.quantity} has, found {field.unit!r}"
    if unit is not None and isinstance(field.type, Octets):
        yield f"type: expected an integer for a quantity in {unit}, found {field.type_name}"


def _oddities_of_integers(field: Field) -> Iterator[str]:
    least, greatest = field.raw_range
    for key, raws in (("absent", field.absent), ("names", field.names or ())):
        for raw in raws:
            if not least <= raw <= greatest:
                yield f"{key}: expected {least} to {greatest}, found {raw}"
    if field.names and (field.bias or field.ratio != (1, 1)):
        yield "names: expected neither scale nor bias beside them, found one"


def _contradictions(
    fields: list[tuple[str, Field]], head: Sequence[Field], about: Mapping[str, Any]
) -> Iterator[str]:
    """Yield what of the fields does not go together."""
    places = {id(field): where for where, field in fields}
    start = max((field.end for field in head), default=0)
    whole = list(head)
    for where, field in fields:
        if field.offset < start:
            yield f"{where}offset: expected {start} or more, behind the head of all payloads"
        else:
            whole.append(field)
    for field, fault in faults(sorted(whole, key=lambda field: field.offset)):
        yield f"{places[id(field)]}{fault}"
    measured: set[str] = set()
    for where, field in fields:
        if field.quantity in measured:
            yield f"{where}quantity: another field measures {field.quantity} already"
        measured |= {field.quantity} if field.quantity else set()
    names = {field.name for field in (*head, *(field for _, field in fields))}
    for key in ("trackers", "phases"):
        if about.get(key, None) not in {None, *names}:
            yield f"{key}: no field is called {about[key]!r}{_hint(about[key], names)}"


def _shown(value: object) -> str:
    """Return a value, as far as it is short."""
    return _repr.repr(value)  # a line is too short for a number that Python refuses to write


# Writing


def write(layout: Layout, head: Sequence[Field] = ()) -> str:
    """Return the text that declares a layout, but for the fields of its head.

    Raises:
        ValueError: it has no sensor type, or a type that has no name here.
    """
    if layout.sensor_type is None:
        raise ValueError(f"layout {layout.name}: for no sensor type")
    lines = [f"{key} = {_spelled(key, value)}" for key, value in about_entries(layout).items()]
    for field in layout.fields:
        if field in head:
            continue
        if field == filler(field.offset, field.end) and field is not layout.fields[-1]:
            lines += ["", f"# {span(field.offset, field.end)}: not known"]
            continue
        lines += ["", f"[[{_FIELDS}]]"]
        lines += (f"{key} = {_spelled(key, value)}" for key, value in entries(field).items())
    return "\n".join(lines) + "\n"


def span(start: int, end: int) -> str:
    """Return in words where bytes stand: `41 to 44`."""
    return str(start) if end - start == 1 else f"{start} to {end - 1}"


def about_entries(layout: Layout) -> dict[str, Any]:
    """Return what a text says of a layout as a whole, by its keys."""
    values = {key: getattr(layout, key) for key in LAYOUT_KEYS}
    return {key: value for key, value in values.items() if value is not None}


def entries(field: Field) -> dict[str, Any]:
    """Return what a text says of a field, by its keys.

    Raises:
        ValueError: its type has no name here.
    """
    try:
        known = _type(field.type_name) == field.type
    except _Unfit:
        known = False
    if not known:
        raise ValueError(f"{field.name}: the type {field.type_name} has no name in TOML")
    values = {**field._asdict(), "type": field.type_name}
    if field.name == field.quantity:
        del values["name"]
    return {
        key: values[key]
        for key, known_key in FIELD_KEYS.items()
        if key in values and (known_key.required or values[key] != _DEFAULTS.get(key))
    }


def _spelled(key: str, value: Any) -> str:  # noqa: ANN401 - any attribute
    """Return a value as TOML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"0x{value:04X}" if key == "sensor_type" else str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{raw} = {_spelled('', value[raw])}" for raw in value) + " }"
    return "[" + ", ".join(map(str, value)) + "]"
