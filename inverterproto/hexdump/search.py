"""One form's bytes, and the frames that are found in them."""

import re
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from inverterproto.families import FAMILIES, Message
from inverterproto.hexdump.fragment import HEX, Form, Fragment
from inverterproto.hexdump.words import Misspelt
from inverterproto.stream import Framed, Framing, Item, Reason, StreamDecoder

_BROKEN = (Reason.TRUNCATED, Reason.CHECKSUM, Reason.END_MARKER)

MOST_KEPT = 1 << 16
"""Bytes of each form that are kept while nothing decodes."""


class Piece(NamedTuple):
    """Some bytes that a text holds.

    Attributes:
        data: the bytes.
        masked: offsets in `data` of bytes that the text does not tell; they are 0 there.
    """

    data: bytes
    masked: tuple[int, ...] = ()


class Find(NamedTuple):
    """A frame, or what would be one, found in some form; in the order of preference."""

    first: int  # line
    rank: int  # of the form
    number: int  # in the form: makes finds different
    last: int  # line
    is_frame: bool
    piece: Piece
    is_broken: bool = False  # no frame, not even but for its checksum, but it begins as one


def beginning(item: Item) -> Message | None:
    """Return the message of a known kind that an item is the beginning of.

    By its first byte: what follows it may have been found to be another frame.
    """
    if getattr(item, "reason", None) not in _BROKEN:
        return None
    family = next((one for one in FAMILIES.values() if one.start == item.raw[0]), None)
    frame = None if family is None else family.salvage(item.raw)
    message = None if family is None or frame is None else family.message(frame)
    return None if message is None or message.name == "unknown" else message


class Kept:
    """The first bytes of a form, for the case that nothing decodes.

    Attributes:
        data: the bytes.
        masked: offsets in `data` of masked ones.
        most: the most bytes that came out of one line.
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self.masked: list[int] = []
        self.most = 0

    @property
    def is_full(self) -> bool:
        """Whether there is no room for more."""
        return len(self.data) >= MOST_KEPT

    def add(self, fragment: Fragment) -> None:
        """Keep the bytes of a line, as far as there is room."""
        size = len(self.data)
        room = MOST_KEPT - size
        self.data += fragment.data[:room]
        self.masked += [size + at for at in fragment.masked if at < room]
        self.most = max(self.most, len(fragment.data))


class Search:
    """The bytes of one form, and what is found in them.

    Bytes that cannot begin a frame are passed over while none has begun.

    Args:
        rank: of the form.
        form: reads the lines.
        framings: of the frames that are looked for.

    Attributes:
        rank: of the form.
        form: reads the lines.
        kept: the first bytes, as long as nothing decodes.
        spelling: how the form writes bytes.
        is_inside: whether a frame may have begun of which more is to come.
        is_idle: whether lines that hold no byte that begins a frame need not be read.
        read_to: the number of the line last read, or found not worth it.
    """

    def __init__(self, rank: int, form: Form, framings: Sequence[Framing]) -> None:
        self.rank = rank
        self.form = form
        self.kept: Kept | None = Kept()
        self.spelling = form.spelling
        self.is_hex = form.spelling == HEX and not isinstance(form, Misspelt)
        self.is_inside = False
        self.is_idle = False
        self.read_to = 0
        starts = bytes(framing.start for framing in framings)
        self._begins = re.compile(b"[" + re.escape(starts) + b"]").search
        self._decoder = StreamDecoder(*framings)
        self._size = 0
        self._lines: deque[tuple[int, int]] = deque()  # end of a line's bytes, the line
        self._masked: deque[int] = deque()
        self._found = 0

    @property
    def pending(self) -> int | None:
        """The line of a byte that may begin a frame of which more is to come, or None."""
        at = self._decoder.undecided
        return None if at is None else next(line for end, line in self._lines if end > at)

    def read(self, line: str, number: int) -> Sequence[Find]:
        """Take a line, return what it completes."""
        self.read_to = number
        fragment = self.form.read(line, inside=self.is_inside)
        data = fragment.data
        if data and self.kept is not None:
            self.kept.add(fragment)
        finds: Sequence[Find] = ()
        if data and (self.is_inside or self._begins(data)):
            self._masked.extend(self._size + at for at in fragment.masked)
            self._size += len(data)
            self._lines.append((self._size, number))
            finds = self._finds(self._decoder.feed(data))
        keeps = self.kept is not None and not self.kept.is_full
        self.is_idle = not (self.is_inside or keeps or self.form.is_open)
        return finds

    def finish(self) -> Sequence[Find]:
        """Give up waiting for more."""
        return self._finds(self._decoder.flush())

    def restart(self, behind: int) -> list[Find]:
        """Give up what began up to some line, and return what is found in that."""
        base, lines, masked = self._decoder.offset, self._lines, self._masked
        items = self._decoder.flush()
        self._lines, self._masked = lines.copy(), masked.copy()
        finds = [find for find in self._finds(items) if find.last <= behind]
        raw = b"".join(item.raw for item in items)
        cut = max((end for end, line in lines if line <= behind), default=base)
        if cut < base + len(raw):
            moved = self._decoder.offset - cut
            self._lines = deque((end + moved, line) for end, line in lines if line > behind)
            self._masked = deque(at + moved for at in masked if at >= cut)
            rest = raw[cut - base :]
            self._size += len(rest)
            finds += self._finds(self._decoder.feed(rest))
        return finds

    def forget(self) -> None:
        """Give up all that has come."""
        self._decoder.flush()
        self.is_inside = False
        self.kept = None
        self._lines.clear()
        self._masked.clear()

    def _finds(self, items: Iterable[Item]) -> list[Find]:
        finds = [find for item in items if (find := self._find(item)) is not None]
        self._forget(self._decoder.offset)
        self.is_inside = self._decoder.undecided is not None
        return finds

    def _find(self, item: Item) -> Find | None:
        is_frame = isinstance(item, Framed)
        is_broken = not is_frame and item.tentative is None  # type: ignore[union-attr]
        if is_broken and (not self.is_hex or beginning(item) is None):
            return None
        start, end = item.offset, item.offset + len(item.raw)
        self._forget(start)
        first = self._lines[0][1]
        last = next(line for upto, line in self._lines if upto >= end)
        masked = tuple(at - start for at in self._masked if at < end)
        self._found += 1
        piece = Piece(item.raw, masked)
        is_frame = is_frame and not masked
        return Find(first, self.rank, self._found, last, is_frame, piece, is_broken)

    def _forget(self, before: int) -> None:
        while self._lines and self._lines[0][0] <= before:
            self._lines.popleft()
        while self._masked and self._masked[0] < before:
            self._masked.popleft()
