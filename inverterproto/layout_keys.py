"""The keys of a layout in TOML: what each takes, and what it says.

`LAYOUT_KEYS` and `FIELD_KEYS` tell every key once; reader and writer (`layout_toml.py`), complaints
and the documentation's tables follow from them. A key is the attribute of `Layout` or `Field` that
it sets.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from fractions import Fraction
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

from inverterproto.field import Field
from inverterproto.octets import Clock, Mac, Raw, Text, Version
from inverterproto.private import Private
from inverterproto.quantity import LEVELS, QUANTITIES, template_of

LONGEST_PAYLOAD = 4096

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


class Unfit(Exception):  # noqa: N818 - it says what the value is
    """A value that a key does not take; it may say more than that."""


class Key(NamedTuple):
    """One key of a table.

    Attributes:
        name: the key, which is that of the attribute.
        expected: what it takes, in words.
        meaning: what it says, for people.
        take: turns its value into the attribute's, or raises `Unfit`.
        required: whether it must be there.
    """

    name: str
    expected: str
    meaning: str
    take: Callable[[Any], Any]
    required: bool = False


# What a key takes


def hint(wrong: object, right: Iterable[str]) -> str:
    """Return which of the right words a wrong one may be meant for, if any."""
    found = get_close_matches(str(wrong)[:64], right, 1) if isinstance(wrong, str) else []
    return f" (did you mean {str(found[0])!r}?)" if found else ""


def _text(value: Any) -> str:  # noqa: ANN401 - whatever TOML holds
    if isinstance(value, str) and value.isprintable() and len(value) <= 200:
        return value
    raise Unfit


def _name(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, str) and _NAME.match(value):
        return value
    raise Unfit


def _flag(value: Any) -> bool:  # noqa: ANN401
    if isinstance(value, bool):
        return value
    raise Unfit


def _integer(least: int, greatest: int) -> Callable[[Any], int]:
    def take(value: Any) -> int:  # noqa: ANN401
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= greatest:
            return value
        raise Unfit

    return take


def type_called(value: Any) -> Any:  # noqa: ANN401 - a construct type
    """Return the type of a name, such as `u16le` or `text 16`."""
    if not isinstance(value, str):
        raise Unfit
    if value in TYPES:
        return TYPES[value]
    sized = _SIZED.match(value)
    if sized is None:
        raise Unfit(hint(value, [*TYPES, "text 16", "text 16 spaces", "bytes 16"]))
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
    raise Unfit


_raw = _integer(-(2**31), _MOST_RAW)


def _raws(value: Any) -> tuple[int, ...]:  # noqa: ANN401
    return tuple(map(_raw, value if isinstance(value, list) else [value]))


def _names(value: Any) -> dict[int, str]:  # noqa: ANN401
    if not isinstance(value, dict) or not value or not all(map(_RAW.match, value)):
        raise Unfit
    return {int(raw, 16 if "x" in raw else 10): _text(name) for raw, name in value.items()}


def _one_of(options: Sequence[str]) -> Callable[[Any], str]:
    def take(value: Any) -> str:  # noqa: ANN401
        if isinstance(value, str) and value in options:
            return value
        raise Unfit(hint(value, options))

    return take


def _quantity(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, str) and _NAME.match(value) and template_of(value) in QUANTITIES:
        return value
    number = re.search(r"[1-9][0-9]?", str(value)[:64]) if isinstance(value, str) else None
    raise Unfit(hint(value, _concrete(number[0] if number else "1")))


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
LOWER = "lower-case letters, digits and underscores, a letter first"

LAYOUT_KEYS = _keys(
    Key("name", LOWER, "how the layout is called", _name, required=True),
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
    Key("name", LOWER, "how it is called; may be left out where there is a quantity", _name),
    Key(
        "type",
        "an integer (u8, s8, u16le, u16be, … s32be), text N, text N spaces, bytes N, clock 6, "
        "MAC 6 or version 2",
        "`u` without, `s` with a sign; `le` the low byte first, `be` the high one; a text of N "
        "bytes is padded with NUL or with spaces",
        type_called,
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
