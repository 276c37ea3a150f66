"""From text in chunks to bytes: all forms side by side, and the choice between what they find.

See the package for the theory of operation.
"""

import re
from bisect import insort
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from inverterproto.errors import ProtocolError
from inverterproto.hexdump.forms import FORMS, Form, Fragment
from inverterproto.hexdump.plain import HexReader, is_plain
from inverterproto.stream import Framed, Framing, Item, StreamDecoder

LONGEST_LINE = 1 << 20
"""Characters; longer lines are cut."""
MOST_WAITING = 256
"""Frames and would-be frames that wait for the choice."""
MOST_PLAIN = 1 << 18
"""Bytes of plain hex that are held until the first frame shows whether they are such."""

_ODD_LETTERS = {
    **dict.fromkeys(map(ord, "\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006"), " "),
    **dict.fromkeys(map(ord, "\u2007\u2008\u2009\u200a\u202f\u205f\u3000\ufffd"), " "),
    **dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\xad")),
    **dict.fromkeys(map(ord, "\u2018\u2019"), "'"),
    **dict.fromkeys(map(ord, "\u201c\u201d"), '"'),
    **dict.fromkeys(map(ord, "\u2022\u2588\u25cf"), "*"),
}
"""Spaces that are none in ASCII, what has no width, and what word processors make of quotes."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*+[A-Za-z]")

Note = Callable[[str], object]


class Piece(NamedTuple):
    """Some bytes that a text holds.

    Attributes:
        data: the bytes.
        masked: offsets in `data` of bytes that the text does not tell; they are 0 there.
    """

    data: bytes
    masked: tuple[int, ...] = ()


class _Find(NamedTuple):
    """A frame, or what would be one, found in some form; in the order of preference."""

    first: int  # line
    rank: int  # of the form
    number: int  # in the form: makes finds different
    last: int  # line
    is_frame: bool
    piece: Piece


class _Stream:
    """The bytes of one form, and what is found in them."""

    def __init__(self, rank: int, form: Form, framings: Iterable[Framing]) -> None:
        self.rank = rank
        self.form = form
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

    def read(self, line: str, number: int) -> list[_Find]:
        """Take a line, return what it completes."""
        fragment = self.form.read(line)
        if not fragment.data:
            return []
        return self._add(fragment, number)

    def _add(self, fragment: Fragment, number: int) -> list[_Find]:
        self._masked.extend(self._size + at for at in fragment.masked)
        self._size += len(fragment.data)
        self._lines.append((self._size, number))
        return self._finds(self._decoder.feed(fragment.data))

    def finish(self) -> list[_Find]:
        """Give up waiting for more."""
        return self._finds(self._decoder.flush())

    def _finds(self, items: Iterable[Item]) -> list[_Find]:
        finds = [find for item in items if (find := self._find(item)) is not None]
        self._forget(self._decoder.offset)
        return finds

    def _find(self, item: Item) -> _Find | None:
        is_frame = isinstance(item, Framed)
        if not is_frame and item.tentative is None:  # type: ignore[union-attr]
            return None
        start, end = item.offset, item.offset + len(item.raw)
        self._forget(start)
        first = self._lines[0][1]
        last = next(line for upto, line in self._lines if upto >= end)
        masked = tuple(at - start for at in self._masked if at < end)
        self._found += 1
        piece = Piece(item.raw, masked)
        return _Find(first, self.rank, self._found, last, is_frame and not masked, piece)

    def _forget(self, before: int) -> None:
        while self._lines and self._lines[0][0] <= before:
            self._lines.popleft()
        while self._masked and self._masked[0] < before:
            self._masked.popleft()


class DumpReader:
    """Turns chunks of any text into the bytes that it holds.

    Args:
        framings: of the frames that are looked for.
        note: is told what was read how, and what was left out.
    """

    def __init__(self, framings: Iterable[Framing], note: Note = lambda _note: None) -> None:
        framings = list(framings)
        self._streams = [_Stream(rank, form(), framings) for rank, form in enumerate(FORMS)]
        self._plain_rank = next(s.rank for s in self._streams if s.form.name == "plain hex")
        self._note = note
        self._rest: list[str] = []  # the line that has not ended
        self._rest_size = 0
        self._line = 0  # the number of the line last read
        self._waiting: list[_Find] = []
        self._taken = 0  # the last line of what was given
        self._taken_by = -1  # the form of what was given last
        self._given = False
        self._decodes = False  # there is a frame, or what would be one
        self._hex: HexReader | None = HexReader()  # as long as all is plain hex
        self._misfit: ProtocolError | None = None
        self._held: list[bytes] = []  # what the plain reading gives, until it is known to be right
        self._held_size = 0
        self._only_plain = False  # it is

    def feed(self, text: str) -> list[Piece]:
        """Take a chunk of text, return the bytes that are known now."""
        if self._only_plain:
            text, pieces = self._read_plain(text)
        else:
            pieces = []
        self._rest.append(text)
        self._rest_size += len(text)
        if "\n" not in text and self._rest_size <= LONGEST_LINE:
            return pieces
        *lines, rest = "".join(self._rest).split("\n")
        if len(rest) > LONGEST_LINE:
            *cut, rest = _cut(rest)
            lines += cut
        for at, line in enumerate(lines):
            pieces += self._read(line)
            if self._only_plain:
                self._keep("")
                return pieces + self.feed("\n".join([*lines[at + 1 :], rest]))
        self._keep(rest)
        return pieces

    def _keep(self, rest: str) -> None:
        self._rest = [rest]
        self._rest_size = len(rest)

    def finish(self) -> Iterator[Piece]:
        """Yield the last bytes.

        Raises:
            ProtocolError: nothing decodes, and it is no plain hex either; or it is, but of an odd
                number of digits.
        """
        rest = "".join(self._rest)
        self._keep("")
        if rest:
            yield from self._read(rest)
        if not self._only_plain:
            for stream in self._streams:
                self._add(stream.finish())
            yield from self._settle(final=True)
        if not self._decodes and self._misfit is not None:
            raise self._misfit
        if self._hex is not None and (self._only_plain or not self._given):
            yield Piece(b"".join(self._held))
            yield Piece(self._hex.finish())
        elif self._line > self._taken:
            self._leave_out(self._line + 1)

    # Plain hex

    def _read_plain(self, text: str) -> tuple[str, list[Piece]]:
        """Read as much of a text as is plain hex, to a line's end; return the rest."""
        reader = self._hex
        assert reader is not None  # noqa: S101 - as long as all is plain
        if is_plain(reader.held + text):
            self._line += text.count("\n")
            return "", [Piece(reader.feed(text))]
        lines = text.split("\n")
        at = next(
            at for at, line in enumerate(lines) if not is_plain((at == 0) * reader.held + line)
        )
        kept = "".join(line + "\n" for line in lines[:at])
        pieces = [Piece(reader.feed(kept))]
        self._line += at
        self._taken, self._taken_by = self._line, self._plain_rank
        self._only_plain = False
        self._try_plain(lines[at])
        return "\n".join(lines[at:]), pieces

    @property
    def _all_is_plain(self) -> bool:
        """Whether nothing speaks against the plain reading of the whole text."""
        if self._hex is None or self._given:
            return False
        return not self._waiting or any(one.rank == self._plain_rank for one in self._waiting)

    def _try_plain(self, line: str) -> None:
        """Read a line as plain hex, as long as all before it was that."""
        if self._hex is not None:
            try:
                data = self._hex.feed(line + "\n")
            except ProtocolError as error:
                self._misfit, self._hex = error, None
                self._held.clear()
            else:
                self._held.append(data)
                self._held_size += len(data)

    def _trust_plain(self, *, decodes: bool) -> list[Piece]:
        """Take all for plain hex from now on."""
        pieces = [Piece(b"".join(self._held))]
        self._held.clear()
        self._waiting.clear()
        self._given = self._only_plain = True
        self._decodes = decodes
        self._note("read as plain hex")
        return pieces

    # All forms

    def _read(self, line: str) -> list[Piece]:
        self._line += 1
        self._try_plain(line)
        line = line.removesuffix("\r")
        if not line.isascii():
            line = line.translate(_ODD_LETTERS)
        if "\x1b" in line:
            line = _COLOUR.sub("", line)
        for stream in self._streams:
            self._add(stream.read(line, self._line))
        pieces = self._settle() if self._waiting else []
        if self._hex is not None and not self._given and self._held_size > MOST_PLAIN:
            return self._trust_plain(decodes=False)
        return pieces

    def _add(self, finds: Iterable[_Find]) -> None:
        for find in finds:
            insort(self._waiting, find)

    def _settle(self, *, final: bool = False) -> list[Piece]:
        """Choose among what was found, as far as that can be done now."""
        pieces: list[Piece] = []
        while frame := self._ready(final=final):
            if self._hex is not None and frame.rank == self._plain_rank and not self._given:
                return self._trust_plain(decodes=True)
            before = [
                one
                for one in self._waiting
                if not one.is_frame
                and (one.last < frame.first or (one.rank == frame.rank and one < frame))
            ]
            for one in before:
                pieces += self._give(one)
            pieces += self._give(frame)
            done = {*before, frame}
            self._waiting = [one for one in self._waiting if one not in done and self._is_free(one)]
        if final and not self._all_is_plain:
            for one in self._waiting:
                pieces += self._give(one)
            self._waiting.clear()
        while len(self._waiting) > MOST_WAITING:
            pieces += self._give(self._waiting.pop(0))
        return pieces

    def _ready(self, *, final: bool) -> _Find | None:
        """Return the first frame, if no stronger form can dispute it any more."""
        frame = next((find for find in self._waiting if find.is_frame), None)
        if frame is None or final:
            return frame
        for stream in self._streams[: frame.rank]:
            line = stream.pending
            if line is not None and self._taken < line < frame.first:
                return None  # what comes later must not overtake it
        return frame

    def _is_free(self, find: _Find) -> bool:
        return find.first > self._taken or find.rank == self._taken_by

    def _give(self, find: _Find) -> list[Piece]:
        if not self._is_free(find):
            return []
        form = self._streams[find.rank].form.name
        if find.first > self._taken + 1:
            self._leave_out(find.first)
        if find.rank != self._taken_by:
            self._note(f"from line {find.first:,}: read as {form}")
        if find.piece.masked:
            count = len(find.piece.masked)
            self._note(f"line {find.first:,}: a frame with {count} masked bytes")
        self._taken, self._taken_by = find.last, find.rank
        self._given = self._decodes = True
        return [find.piece]

    def _leave_out(self, until: int) -> None:
        first, last = self._taken + 1, until - 1
        lines = f"line {first:,}" if first == last else f"lines {first:,} to {last:,}"
        self._note(f"left out {lines}: nothing in it decodes")


def _cut(line: str) -> Iterator[str]:
    """Cut a long line, if possible where no word is."""
    while len(line) > LONGEST_LINE:
        at = max(line.rfind(letter, LONGEST_LINE // 2, LONGEST_LINE) for letter in " ,\t;") + 1
        at = at or LONGEST_LINE
        yield line[:at]
        line = line[at:]
    yield line


def readings(text: str) -> list[bytes]:
    """Return what a text would be in each form that gives anything, the strongest first.

    For bytes that are no frames, so that what decodes cannot tell: the caller has to.
    """
    lines = text.translate(_ODD_LETTERS).split("\n")
    found: list[bytes] = []
    for form in FORMS:
        reader = form()
        data = b"".join(reader.read(line).data for line in lines)
        if data and data not in found:
            found.append(data)
    return found
