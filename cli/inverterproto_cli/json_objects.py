"""JSON objects out of a text: one a line, each over several lines, or in a list, as `jq` does it.

An object is taken from the first of its lines to the one where its braces are closed. What is
broken costs no more than it must: a line that begins with `{` in its first column begins another
object, for what is spread over lines is indented (unless the line behind the first one was not).
So memory is bounded by one object, `LONGEST` characters at most, and a live stream is read as it
comes.
"""

import codecs
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from inverterproto_cli.chunk import SourceError

LONGEST = 1 << 24
_MOST_DIGITS = 400
"""Python does not read integers of thousands of digits; these are beyond all measure anyway."""
_SPACE = " \t\r\n"
_OBJECT = "expected an object, {…}"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

# Possessive, and a string may lack its end: no text, however odd, makes the search go back.
_find_braces = re.compile(r'"(?:[^"\\]|\\.)*+"?|([\[{])|([\]}])').finditer
_match_list = re.compile(r"[ \t\r]*+\[[ \t\r]*+(?:[{\]]|$)").match
_match_list_end = re.compile(r"[ \t\r]*+\]").match
_match_space = re.compile(r"[ \t\r\n]*+").match

Complain = Callable[[str], object]


class Found(NamedTuple):
    """An object, and the number of the line where it begins."""

    line: int
    value: dict[str, Any]


class _RepeatedKeyError(ValueError):
    """A key that stands twice: nobody knows which is meant."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for name, part in pairs:
        if name in value:
            raise _RepeatedKeyError(f"the key {name!r} stands twice in an object")
        value[name] = part
    return value


def _integer(digits: str) -> float:
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_integer)


def read_objects(name: str, chunks: Iterable[bytes], complain: Complain) -> Iterator[Found]:
    """Yield the objects of a text; `complain` is told of what is none, with its line.

    Args:
        name: of the source, for messages.
        chunks: the text in UTF-8, or in UTF-16 with its mark.
        complain: is told of each part that cannot be read.

    Raises:
        SourceError: a line is longer than `LONGEST`.
    """
    reader = _Reader(name, complain)
    for line in _lines(name, chunks):
        yield from reader.take(line)
    yield from reader.finish()


class _Reader:
    """Puts lines together to objects."""

    def __init__(self, name: str, complain: Complain) -> None:
        self._name = name
        self._complain = complain
        self._number = 0
        self._begin = 1
        self._held: list[str] = []
        self._size = 0
        self._depth = 0
        self._in_list = False

    def take(self, line: str) -> Iterator[Found]:
        """Take a line; yield the objects that it completes."""
        self._number += 1
        if self._held and line.startswith("{") and not self._is_flat():
            self._broken(self._number, 1, "expected the end of the object before it")
            self._drop()
        if not self._held:
            line = self._without_list(line)
            begin = line.lstrip(_SPACE)[:1]
            self._begin = self._number
            if begin != "{":
                if begin:
                    self._broken(self._number, len(line) - len(line.lstrip(_SPACE)) + 1, _OBJECT)
                return
        self._held.append(line)
        self._size += len(line)
        for brace in _find_braces(line):
            self._depth += (brace[1] is not None) - (brace[2] is not None)
        if self._depth <= 0:
            yield from self.finish()
        elif self._size > LONGEST:
            self._broken(self._begin, 1, f"expected an object of at most {LONGEST:,} characters")
            self._drop()

    def finish(self) -> Iterator[Found]:
        """Yield the objects that are held."""
        text, line = "\n".join(self._held), self._begin
        self._drop()
        at = 0
        while (start := _space_end(text, at)) < len(text):
            line += text.count("\n", at, start)
            try:
                value, at = _DECODER.raw_decode(text, start)
            except json.JSONDecodeError as error:
                line += text.count("\n", start, error.pos)
                column = error.pos - text.rfind("\n", 0, error.pos)
                self._broken(line, column, _reason(error))
                return
            except RecursionError:
                self._complain(f"{self._name}: line {line}: values nested too deep")
                return
            except _RepeatedKeyError as error:
                self._complain(f"{self._name}: line {line}: {error}")
                return
            if isinstance(value, dict):
                yield Found(line, value)
            else:
                self._broken(line, start - text.rfind("\n", 0, start), _OBJECT)
            line += text.count("\n", start, at)
            at = self._behind_comma(text, at)

    def _without_list(self, line: str) -> str:
        """Return a line with blanks for what begins or ends a list of objects."""
        if self._in_list:
            if _match_list_end(line):
                self._in_list = False
                return line.replace("]", " ", 1)
        elif _match_list(line):
            self._in_list = True
            return self._without_list(line.replace("[", " ", 1))
        return line

    def _behind_comma(self, text: str, at: int) -> int:
        """Return where what parts an object of a list from the next one ends."""
        end = _space_end(text, at)
        if not self._in_list or text[end : end + 1] not in ("]", ","):
            return at
        self._in_list = text[end] == ","
        return end + 1

    def _is_flat(self) -> bool:
        """Return whether the object that is held is spread over lines without indenting them."""
        return len(self._held) > 1 and self._held[1].startswith('"')

    def _drop(self) -> None:
        self._held, self._size, self._depth = [], 0, 0

    def _broken(self, line: int, column: int, what: str) -> None:
        self._complain(f"{self._name}: line {line}, column {column}: broken JSON: {what}")


def _space_end(text: str, at: int) -> int:
    """Return where the space that begins at `at` ends."""
    space = _match_space(text, at)
    assert space is not None  # noqa: S101 - the expression matches nothing, too
    return space.end()


def _reason(error: json.JSONDecodeError) -> str:
    """Return what is wrong where JSON breaks."""
    if error.msg.startswith("Unterminated string"):
        return "expected the end of the string that begins here"
    text = error.msg.replace("Expecting", "expected").removesuffix(" at")
    return text[:1].lower() + text[1:]


def _lines(name: str, chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield lines without their ends. Bytes that are no text become surrogates: no value."""
    held: list[str] = []
    size = 0
    decoder: codecs.IncrementalDecoder | None = None
    for chunk in chunks:
        if decoder is None:
            if chunk.startswith(_UTF_16):
                decoder = codecs.getincrementaldecoder("utf-16")("replace")
            else:
                decoder = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
        text = decoder.decode(chunk)
        first, *rest = text.split("\n")
        held.append(first)
        size += len(first)
        if rest:
            yield "".join(held)
            yield from rest[:-1]
            held, size = rest[-1:], len(rest[-1])
        if size > LONGEST:
            raise SourceError(f"{name}: a line of more than {LONGEST:,} characters")
    if decoder is not None:
        held.append(decoder.decode(b"", final=True))
    yield "".join(held)
