"""JSON text as devices write it, read with the place of every key and value.

Theory of operation
-------------------
A payload that nobody changed must build to the very same bytes: spaces after some commas, a key
that stands twice, `"0.0"` and `"-688.8960"` as they were. So a payload is not loaded and dumped: it
is scanned into `Pair`s, each with the place of its key and of its value, and what is changed is
written over just that (see `spelling.py`). All else stays.

*Octets.* The scanner walks over the payload decoded as Latin-1, one character a byte, so that
places are byte offsets and nothing is ever undecodable. Strings beyond ASCII are then read as the
UTF-8 that they are, if the whole payload is UTF-8.

*What is accepted* is JSON, and besides: raw control characters in strings, `NaN` and `Infinity`
(as texts), and bytes behind the object. A lone surrogate can be neither shown nor stored, numbers
beyond all measure and values nested deeper than 16 levels serve nobody: such stay the text that
they are. A repeated key is named `Generator`, `Generator#2`, ….

*Cost.* Linear in the payload, without recursion: one match of one expression a pair. Places are
needed for editing and showing only, so `load` reads the ordinary payload (a flat object of UTF-8
without escapes) with Python's own parser, four times as fast; a property test holds the two to the
same result.
"""

import json
import re
from typing import Any, NamedTuple

from inverterproto.alphaess.fields import to_number
from inverterproto.errors import ProtocolError

DEEPEST = 16
"""Values nested deeper than this stay text."""

# Possessive (`*+`), so that no text, however odd, makes the search go back.
_STRING = r'"([^"\\]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\]*+)*+)"'
_SPACE = r"[ \t\n\r]*+"
_KEY = rf"{_SPACE}{_STRING}{_SPACE}:{_SPACE}"
_NUMBER = r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?|-?Infinity"
_match_open = re.compile(rf"{_SPACE}\{{{_SPACE}(}}?)").match
_match_key = re.compile(_KEY).match
_match_pair = re.compile(
    rf"{_KEY}(?:{_STRING}|({_NUMBER})|(true|false|null|NaN)|(?=[\[{{])){_SPACE}([,}}]?)"
).match
_match_separator = re.compile(rf"{_SPACE}([,}}]?)").match
_match_nested = re.compile(r'[^\[\]{}"]*+(?:"(?:[^"\\]|\\.)*+"|([\[{])|([\]}]))', re.DOTALL).match
_find_surrogate = re.compile("[\ud800-\udfff]").search

_NESTED = (list, tuple)
_SPACES = " \t\n\r"
_WORDS: dict[str, object] = {"true": True, "false": False, "null": None, "NaN": "NaN"}


class Pair(NamedTuple):
    """A key and its value.

    Attributes:
        name: the key, or `key#n` the n-th time that it stands there.
        key: the key.
        value: what the JSON says.
        start: offset of the key's quotation mark.
        value_start: offset of the value (a string's quotation mark).
        end: offset behind the value.
    """

    name: str
    key: str
    value: Any
    start: int
    value_start: int
    end: int


class Document(NamedTuple):
    """A payload that is a JSON object.

    Attributes:
        payload: all of its bytes.
        pairs: its keys and values in their order.
        inside: offset behind the opening brace and what space follows.
        problems: what is odd about it.
    """

    payload: bytes
    pairs: list[Pair]
    inside: int
    problems: tuple[str, ...]


class Names:
    """Gives repeated keys names of their own, and takes such names back to their keys."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._next: dict[str, int] = {}

    def give(self, key: str) -> str:
        """Return the name for the next occurrence of a key."""
        name = key if key not in self._taken else self._repeated(key)
        self._taken.add(name)
        return name

    def key_of(self, name: str) -> str:
        """Return the key that would next be given this name; the inverse of `give`."""
        base, _, _ = name.rpartition("#")
        key = base if base in self._taken and self._repeated(base) == name else name
        self.give(key)
        return key

    def _repeated(self, key: str) -> str:
        number = self._next.get(key, 2)
        while f"{key}#{number}" in self._taken:
            number += 1
        self._next[key] = number
        return f"{key}#{number}"


def load(payload: bytes) -> tuple[tuple[str, Any], ...] | None:
    """Return the keys and values of an ordinary payload; None for what only `scan` can read."""
    if b"\\" in payload:
        return None
    try:
        pairs = json.loads(
            payload.decode(),
            strict=False,
            parse_int=_number,
            parse_float=_number,
            parse_constant=str,
            object_pairs_hook=tuple,
        )
    except (ValueError, RecursionError):
        return None
    if not isinstance(pairs, tuple) or any(type(value) in _NESTED for _, value in pairs):
        return None
    return pairs


def scan(payload: bytes) -> Document:
    """Return the keys and values of a payload that is a JSON object.

    Raises:
        ProtocolError: it is no JSON object.
    """
    text = payload.decode("latin-1")
    utf8 = is_utf8(payload)
    opening = _match_open(text)
    if opening is None:
        raise _unexpected(text, 0, "{")
    names = Names()
    pairs: list[Pair] = []
    at, separator = opening.end(), opening[1] or ","
    while separator == ",":
        key, value, places, at, separator = _read_pair(text, at, utf8=utf8)
        pairs.append(Pair(names.give(key), key, value, *places))
    if separator != "}":
        raise _unexpected(text, at, "a comma or }")
    problems = []
    if not utf8:
        problems.append("payload is not UTF-8: read as Latin-1")
    if text[at:].strip(_SPACES):
        problems.append(f"{len(text) - at} bytes behind the JSON object, at offset {at} of payload")
    return Document(payload, pairs, opening.end() - len(opening[1]), tuple(problems))


def _read_pair(
    text: str, at: int, *, utf8: bool
) -> tuple[str, Any, tuple[int, int, int], int, str]:
    """Return a key, its value, their places, and where which separator stands."""
    match = _match_pair(text, at)
    if match is None:
        key_there = _match_key(text, at)
        if key_there is None:
            raise _unexpected(text, at, "a key in quotation marks and a colon")
        raise _unexpected(text, key_there.end(), "a value")
    key, string, number, word, separator = match.groups()
    behind = match.end()
    value: Any
    if string is not None:
        value = _content(string, utf8=utf8)
        start, end = match.start(2) - 1, match.end(2) + 1
    elif number is not None:
        value = _number(number)
        start, end = match.span(3)
    elif word is not None:
        value = _WORDS[word]
        start, end = match.span(4)
    else:
        start = behind
        value, end = _read_nested(text, start, utf8=utf8)
        after = _find_separator(text, end)
        behind, separator = after.end(), after[1]
    return _content(key, utf8=utf8), value, (match.start(1) - 1, start, end), behind, separator


def _find_separator(text: str, at: int) -> re.Match[str]:
    match = _match_separator(text, at)
    assert match is not None  # noqa: S101 - the expression matches nothing, too
    return match


def _read_nested(text: str, start: int, *, utf8: bool) -> tuple[Any, int]:
    """Return what the object or array at `start` says, and the offset behind it."""
    at = start
    depth = deepest = 0
    while True:
        token = _match_nested(text, at)
        if token is None:
            raise _unexpected(text, len(text), "the end of a nested value")
        at = token.end()
        depth += (token[1] is not None) - (token[2] is not None)
        deepest = max(deepest, depth)
        if depth <= 0:
            break
    nested = recoded(text[start:at], utf8=utf8)
    if deepest > DEEPEST:
        return nested, at
    try:
        value = json.loads(
            nested,
            strict=False,
            parse_int=_number,
            parse_float=_number,
            parse_constant=str,
            object_pairs_hook=_unique,
        )
    except json.JSONDecodeError as error:
        before = nested[: error.pos].encode("utf-8" if utf8 else "latin-1")
        raise _unexpected(text, start + len(before), "JSON") from error
    shown = json.dumps(value, ensure_ascii=False)
    return (nested if _find_surrogate(shown) else value), at


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a nested object, repeated keys with names of their own."""
    names = Names()
    return {names.give(key): value for key, value in pairs}


def _number(token: str) -> Any:  # noqa: ANN401 - int, float or str
    number = to_number(token)
    return token if number is None else number


def _content(raw: str, *, utf8: bool) -> str:
    """Return what a string says, given what stands between its quotation marks."""
    written = recoded(raw, utf8=utf8)
    if "\\" not in written:
        return written
    text: str = json.loads(f'"{written}"', strict=False)
    return written if _find_surrogate(text) else text


def recoded(text: str, *, utf8: bool) -> str:
    """Return as UTF-8 what was read as Latin-1, if the payload is UTF-8."""
    return text if text.isascii() or not utf8 else text.encode("latin-1").decode()


def is_utf8(payload: bytes) -> bool:
    """Return whether a payload is UTF-8 (as ASCII is)."""
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def _unexpected(text: str, at: int, expected: str) -> ProtocolError:
    """Return the error for what stands at `at`, space left out."""
    at = len(text) - len(text[at:].lstrip(_SPACES))
    found = repr(text[at]) if at < len(text) else "the end"
    return ProtocolError("broken JSON", offset=at, expected=expected, found=found)
