"""Where in an item private and unknown things stand.

A frame is seen by the rows of its message, and what would be a frame but for its checksum the same
way. In other bytes the families tell what private fields they hold, as far as pieces of frames are
there; all else is unknown.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from inverterproto.families import FAMILIES
from inverterproto.jsontext import TOKEN, is_bare
from inverterproto.octets import Octets, decode_text
from inverterproto.private import Private
from inverterproto.sought import BINARY, FIXED, FREE, KEPT
from inverterproto.stream import Framed, Item, Reason

if TYPE_CHECKING:
    from inverterproto.layout import Row

_match_time = re.compile(
    rb"[0-9]{1,4}(?:[-/:][0-9]{1,2})+(?: [0-9]{1,2}(?::[0-9]{1,2})+)?"
).fullmatch


class Secret(NamedTuple):
    """A private value, or a part of one.

    Attributes:
        kind: of the secret.
        start: offset of its first byte in the item.
        raw: its bytes.
        number: it stands in the place of a number of JSON.
    """

    kind: Private
    start: int
    raw: bytes
    number: bool = False


class View:
    """An item as its rows: a frame, what would be one, or bytes with pieces of frames.

    Attributes:
        item: the item.
        framed: whether the rows tell all of the bytes.
        textual: whether the payload is text.
        rows: fields in their places; in what is no frame the private ones alone.
        secrets: what is private in these.
        keys: words that its text may hold and that are nobody's secret.
    """

    def __init__(self, item: Item) -> None:
        self.item = item
        self.raw = item.raw
        frame = item.frame if isinstance(item, Framed) else item.tentative
        self.framed = frame is not None
        self.textual = self._tabular = False
        self.keys: frozenset[bytes] = frozenset()
        self.rows: list[Row]
        if frame is not None and item.framing is not None:
            family = FAMILIES[item.framing.family]
            self.textual = family.textual
            self.keys = family.keys
            self._tabular = self.textual and not frame.payload.lstrip().startswith(b"{")
            self.rows = list(family.message(frame).rows(item.raw))
        else:
            families = FAMILIES.values()
            self.rows = [row for family in families for row in family.private_rows(item.raw)]
        private = [row for row in self.rows if row.field.private is not None]
        self.secrets = [(row, secret) for row in private for secret in self._secrets(row)]

    @property
    def masked(self) -> bool:
        """Whether some of the bytes are not the true ones."""
        return not isinstance(self.item, Framed) and self.item.reason is Reason.MASKED

    def _secrets(self, row: "Row") -> Iterator[Secret]:
        """Yield the secrets of a private row."""
        kind, raw = row.field.private, row.raw
        if kind is None or kind is Private.TEXT:
            return
        if not isinstance(row.field.type, Octets) or (kind is Private.MAC and len(raw) == 6):
            yield Secret(kind, row.offset, raw)
        elif self.textual and not self.quoted(row):
            for token in TOKEN.finditer(raw):
                for group in (1, 2):
                    if token[group]:
                        at = row.offset + token.start(group)
                        yield Secret(kind, at, token[group], number=group == 2)
        else:
            for part in re.finditer(rb"[^\0]+", raw):
                text = part[0].strip(b" ")
                if text:
                    yield Secret(kind, row.offset + part.start() + part[0].index(text), text)

    def quoted(self, row: "Row") -> bool:
        """Return whether a row may hold any text: it is a cell, or stands in quotation marks."""
        if self._tabular or self.raw[row.offset - 1 : row.offset] == b'"':
            return True
        return isinstance(row.value, str) and not is_bare(row.raw)

    def areas(self) -> bytes:
        """Return for each byte what may stand there."""
        if not self.framed:
            return bytes((BINARY,)) * len(self.raw)
        areas = bytearray(len(self.raw))
        for start, end in self.unknown_keys():
            areas[start:end] = bytes((FREE,)) * (end - start)
        for row in self.rows:
            area = self._area(row)
            if area != KEPT:
                areas[row.offset : row.offset + len(row.raw)] = bytes((area,)) * len(row.raw)
        return bytes(areas)

    def _area(self, row: "Row") -> int:
        field, value = row.field, row.value
        if not self.textual:
            if isinstance(value, int | float) and field.known:
                return KEPT
            if not field.known or isinstance(value, bytes | dict) or field.private is Private.TEXT:
                return BINARY
            is_text = isinstance(field.type, Octets) and field.type.decode is decode_text
            return FREE if is_text else KEPT
        if isinstance(value, list) and not field.private and field.confidence != "C":
            return KEPT  # the known columns of a table
        if not isinstance(field.type, Octets):
            return KEPT
        text = isinstance(value, str | list | dict) and not field.quantity
        return FREE if text and not _match_time(row.raw) else FIXED

    def unknown_keys(self) -> Iterator[tuple[int, int]]:
        """Yield where, before a value in JSON, a key stands that nobody knows."""
        if not self.textual or self._tabular:
            return
        end = 0
        for row in self.rows:
            if row.offset >= end:
                if _is_unknown(row):
                    yield end, row.offset
                end = row.offset + len(row.raw)

    def unknown_bytes(self) -> Iterator[tuple[int, int]]:
        """Yield where bytes or free text are whose meaning is not known, neighbours as one."""
        if not self.framed:
            yield 0, len(self.raw)
            return
        edges: list[int] = []
        for row in self.rows:
            if self._is_free(row) or (not self.textual and not row.field.known):
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
                text = row.field.private is Private.TEXT
                if (_is_unknown(row) or text) and not self._is_free(row):
                    yield row

    def _is_free(self, row: "Row") -> bool:
        """Return whether a row is free text that is no value of JSON or of a table."""
        if row.field.private is not Private.TEXT:
            return False
        return not self.textual or (row.field.confidence == "C" and isinstance(row.value, str))

    def registers(self) -> Iterator[tuple[int, int]]:
        """Yield where bytes are of which only the form is known."""
        if self.framed and not self.textual:
            for row in self.rows:
                if isinstance(row.value, bytes | dict) and row.field.known:
                    yield row.offset, row.offset + len(row.raw)

    def checked_spans(self) -> Iterator[tuple[int, int]]:
        """Yield what may have a checksum of its own."""
        return self.registers() if self.framed else iter([(0, len(self.raw))])

    def finished(self, new: bytes) -> bytes:
        """Return the bytes with the frame's checksum right, or wrong as it was."""
        framing = self.item.framing
        if not self.framed or framing is None:
            return new
        built = bytearray(framing.parse(new, verify=False).build())
        if not isinstance(self.item, Framed):
            built[-2] ^= 1  # what it was would tell about what is hidden
        return bytes(built)


def _is_unknown(row: "Row") -> bool:
    return row.field.confidence == "C" and not row.field.source
