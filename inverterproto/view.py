"""Where in an item private and unknown things stand.

A frame is seen by the rows of its message. What would be a frame but for its checksum is seen the
same way; of what only begins like one, the private fields are told and all else is unknown.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from inverterproto.families import FAMILIES
from inverterproto.jsontext import TOKEN
from inverterproto.octets import Octets
from inverterproto.private import BLANKED, Private
from inverterproto.sought import BINARY, FIXED, FREE
from inverterproto.stream import Framed, Item

if TYPE_CHECKING:
    from inverterproto.layout import Row


_PADDING = 512
_HEAD = 6
"""So few bytes hold no secret yet."""


class View:
    """An item as its rows: a frame, what would be one, or bytes without any."""

    def __init__(self, item: Item) -> None:
        self.raw = item.raw
        self.rows: list[Row] = []
        self.whole = isinstance(item, Framed)
        self.textual = False
        self._framing: Any = item.framing
        self._seeming = False
        frame: Any = None
        if isinstance(item, Framed):
            frame, raw = item.frame, item.raw
        elif item.framing is not None:
            frame, raw = item.tentative, item.raw
            self._seeming = frame is not None
            if frame is None:
                family = FAMILIES[item.framing.family]
                # A field that is cut in half is one all the same.
                padding = b"" if family.textual else bytes(_PADDING)
                frame = family.salvage(item.raw + padding) if len(item.raw) > _HEAD else None
                raw = item.raw if frame is None else frame.build()
        if frame is not None:
            family = FAMILIES[item.framing.family]  # type: ignore[union-attr]
            self.textual = family.textual
            rows = list(family.message(frame).rows(raw))
            self.envelope = len(raw) - len(frame.payload) - 2, len(raw) - 2
            size = len(self.raw)
            if self.whole or self._seeming:
                self.rows = rows
            else:
                self.rows = [
                    row._replace(raw=row.raw[: size - row.offset])
                    for row in rows
                    if row.offset < min(size, self.envelope[1])
                    and row.field.private
                    and (isinstance(row.field.type, Octets) or row.offset + len(row.raw) <= size)
                ]

    @property
    def framed(self) -> bool:
        """Whether the rows tell all of the bytes."""
        return self.whole or self._seeming

    def quoted(self, row: "Row") -> bool:
        """Return whether a row is what stands between quotation marks."""
        return self.raw[row.offset - 1 : row.offset] == b'"'

    def areas(self) -> bytes:
        """Return for each byte what may stand there."""
        if not self.framed:
            return bytes((BINARY,)) * len(self.raw)
        areas = bytearray(len(self.raw))
        for row in self.rows:
            what = _area(row, textual=self.textual)
            if what != FIXED:
                areas[row.offset : row.offset + len(row.raw)] = bytes((what,)) * len(row.raw)
        return bytes(areas)

    def unknown_spans(self) -> Iterator[tuple[int, int]]:
        """Yield where bytes are whose meaning is not known, neighbours put together."""
        if not self.framed:
            yield 0, len(self.raw)
            return
        edges: list[int] = []
        for row in self.rows:
            if _is_unreadable(row) or (not self.textual and not row.field.known):
                if edges and edges[-1] == row.offset:
                    edges.pop()
                else:
                    edges.append(row.offset)
                edges.append(row.offset + len(row.raw))
        yield from ((start, end) for at, (start, end) in enumerate(pairwise(edges)) if at % 2 == 0)

    def unknown_values(self) -> "Iterator[Row]":
        """Yield the values, in text, of keys and columns that nobody knows."""
        if self.framed and self.textual:
            for row in self.rows:
                field = row.field
                if field.confidence == "C" and not field.source and not _is_unreadable(row):
                    yield row

    def registers(self) -> Iterator[tuple[int, int]]:
        """Yield where bytes are of which only the form is known."""
        if self.framed and not self.textual:
            for row in self.rows:
                if row.field.known and isinstance(row.value, bytes | dict):
                    yield row.offset, row.offset + len(row.raw)

    def checked_spans(self) -> Iterator[tuple[int, int]]:
        """Yield what may have a checksum of its own."""
        return self.registers() if self.framed else iter([(0, len(self.raw))])

    def finished(self, new: bytes) -> bytes:
        """Return the bytes with the frame's checksum right, or wrong as it was."""
        if not self.framed:
            return new
        built = bytearray(self._framing.parse(new, verify=False).build())
        if self._seeming:
            built[-2] ^= 1  # what it was would tell about what is hidden
        return bytes(built)


def _area(row: "Row", *, textual: bool) -> int:
    if row.field.private:
        return FIXED if not isinstance(row.value, str) else FREE
    if isinstance(row.value, str):
        return FREE
    binary = not row.field.known or isinstance(row.value, bytes | dict)
    return BINARY if binary and not textual else FIXED


def _is_unreadable(row: "Row") -> bool:
    """Return whether a row is all of a payload that could not be read."""
    return row.field.confidence == "C" and row.field.meaning in ("could not be read", "binary")


def secrets(row: "Row", view: View) -> Iterator[tuple[Private, int, int]]:
    """Yield the secrets of a row, if it holds any: kind, start and end in it."""
    kind, raw = row.field.private, row.raw
    if kind is None:
        return
    if not isinstance(row.field.type, Octets) or (kind is Private.MAC and len(raw) == 6):
        yield kind, 0, len(raw)
    elif not view.textual:
        for part in re.finditer(rb"[^\0]+", raw):
            text = part[0].rstrip(b" ")
            if text:
                yield kind, part.start(), part.start() + len(text)
    elif isinstance(row.value, str) or view.quoted(row):
        if raw:
            yield kind, 0, len(raw)
    else:
        for token in TOKEN.finditer(raw):
            # An array or object; or a number, which only a number can stand for.
            if token[1]:
                yield kind, *token.span(1)
            elif token[2] and token[2].isdigit():
                yield (kind if kind not in BLANKED else Private.SERIAL), *token.span(2)
