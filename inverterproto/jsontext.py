"""Values in JSON and CSV: taken to their tokens, blanked, respelled; never longer or shorter."""

import re

from inverterproto.standin import blank

SHORT_NUMBER = 5
"""Digits of numbers under keys that nobody knows: longer ones may be serials or phones."""
SHORT_TEXT = 3
"""Characters of text that say nothing."""

_UNIT = re.compile(rb'\\u[0-9a-fA-F]{4}|\\["\\/bfnrt]|.', re.DOTALL)
_find_escape = re.compile(rb'\\(?:u00|["\\/])').search
_ESCAPES = dict(zip(b'"\\/bfnrt', b'"\\/\b\f\n\r\t', strict=True))
TOKEN = re.compile(
    rb'"((?:[^"\\]|\\.)*+)"|(-?[0-9][0-9.eE+-]*+)|(true|false|null|NaN|-?Infinity)|[\[\]{}:,\s]'
    rb"|([^\"\[\]{}:,\s]++|\")",
    re.DOTALL,
)

_match_decimal = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?").fullmatch
_match_bare = re.compile(rb"[\[{]|(?:-?[0-9][0-9.eE+-]*+|NaN|-?Infinity)\Z").match


def is_bare(raw: bytes) -> bool:
    """Return whether a value that we take for text stands in JSON without quotation marks."""
    return _match_bare(raw) is not None


def blank_value(raw: bytes, *, quoted: bool) -> bytes:
    """Return the value of a key that nobody knows, blanked; short numbers stay.

    Four digits in quotation marks may be a PIN; with a sign or a point they are none.
    """
    if quoted:  # no digits for digits: what was no number would become one
        short = SHORT_NUMBER if _match_decimal(raw) and not raw.isdigit() else SHORT_TEXT
        return raw if len(raw) <= short + raw.count(b".") + raw.count(b"-") else blank(raw)
    return b"".join(map(_blank_token, TOKEN.finditer(raw)))


def _blank_token(token: "re.Match[bytes]") -> bytes:
    if token[1] is not None:
        return b'"' + blank(token[1]) + b'"'
    if token[2] is not None:
        digits = sum(0x30 <= byte <= 0x39 for byte in token[2])
        return token[2] if digits <= SHORT_NUMBER else ones(token[2])
    return token[0] if token[4] is None or len(token[4]) <= SHORT_TEXT else blank(token[4])


def ones(number: bytes) -> bytes:
    """Return a number blanked: in the place of a number only a number can stand."""
    return re.sub(rb"[0-9]", b"1", number)


def has_escapes(raw: bytes) -> bool:
    """Return whether a text spells something that can be printed with escapes."""
    return _find_escape(raw) is not None


def unescaped(raw: bytes) -> bytes:
    """Return what a JSON string says, one byte for each of its characters or escapes."""
    return bytes(map(_character, _UNIT.findall(raw)))


def split_escapes(raw: bytes) -> tuple[bytes, list[int]]:
    """Return the same, and where each character or escape begins, and the end."""
    units = list(_UNIT.finditer(raw))
    text = bytes(_character(unit[0]) for unit in units)
    return text, [*(unit.start() for unit in units), len(raw)]


def _character(unit: bytes) -> int:
    if len(unit) == 6:
        return min(int.from_bytes(bytes.fromhex(unit[2:].decode()), "big"), 0xFF)
    return _ESCAPES[unit[1]] if len(unit) == 2 else unit[0]


def respelled(raw: bytes, new: bytes) -> bytes:
    """Return a JSON string that says something else, each character in the spelling that it had.

    `new` has a byte for each character.
    """
    units = _UNIT.findall(raw)
    old = bytes(map(_character, units))
    spelled = []
    for unit, before, after in zip(units, old, new, strict=True):
        if before == after:
            spelled.append(unit)
        elif len(unit) == 6:
            spelled.append(b"\\u%04x" % after)
        else:
            spelled.append(bytes((after,)) * len(unit))
    return b"".join(spelled)
