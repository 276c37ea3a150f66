"""Layouts as TOML: a layout in a file says what one of this package says.

Theory of operation
-------------------
A key is the attribute of `Layout` or `Field` that it sets (`layout_keys.py` tells them all), and
what is not written has that attribute's default; but a file must say how sure each field is, and a
layout counts as checked on real bytes only if the file says so.

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
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from reprlib import Repr
from typing import Any

from inverterproto.errors import LayoutError
from inverterproto.field import Field
from inverterproto.layout import Layout, faults, filler
from inverterproto.layout_keys import (
    FIELD_KEYS,
    LAYOUT_KEYS,
    LONGEST_PAYLOAD,
    LOWER,
    Key,
    Unfit,
    hint,
    type_called,
)
from inverterproto.octets import Octets
from inverterproto.quantity import QUANTITIES, template_of

MOST_TEXT = 1 << 18
"""Characters of a text; the longest layout of the package needs 8,100."""
LONGEST_LINE = 2000
LONGEST_HEADER = 200
"""Of a line that begins with a bracket, as the name of a table does."""
MOST_PROBLEMS = 100

_FIELDS = "field"
_FOR_INTEGERS = ("scale", "bias", "absent", "names", "turned", "hexadecimal")
_DEFAULTS: dict[str, Any] = Field._field_defaults

_repr = Repr()
_repr.maxstring = _repr.maxother = 60


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
            problems.append(f"{where}no key is called {_shown(name)}{hint(name, keys)}")
    taken = {}
    for key in keys.values():
        if key.name in table:
            value = table[key.name]
            try:
                taken[key.name] = key.take(value)
            except Unfit as more:
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
        problems.append(f"{where}name: expected {LOWER}, found nothing")
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
            yield f"{key}: no field is called {about[key]!r}{hint(about[key], names)}"


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
        known = type_called(field.type_name) == field.type
    except Unfit:
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
