"""From text in chunks to bytes: all forms side by side, and the choice between what they find.

See the package for the theory of operation.
"""

import re
from bisect import insort
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

from inverterproto.errors import ProtocolError
from inverterproto.hexdump.forms import FORMS
from inverterproto.hexdump.fragment import beginnings
from inverterproto.hexdump.plain import HexReader, plain_part
from inverterproto.hexdump.search import Find, Piece, Search
from inverterproto.hexdump.words import Plain
from inverterproto.stream import Framing

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
    **dict.fromkeys(map(ord, "\u2022\u2588\u2591\u2592\u2593\u25cf"), "*"),
}
"""Spaces that are none in ASCII, what has no width, what word processors make of quotes, masks."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*+[A-Za-z]")
_PLAIN = FORMS.index(Plain)

Note = Callable[[str], object]


class DumpReader:
    """Turns chunks of any text into the bytes that it holds.

    Args:
        framings: of the frames that are looked for.
        note: is told what was read how, and what was left out.
    """

    def __init__(self, framings: Iterable[Framing], note: Note = lambda _note: None) -> None:
        self._framings = list(framings)
        self._searches = [Search(rank, form(), self._framings) for rank, form in enumerate(FORMS)]
        starts = bytes(framing.start for framing in self._framings)
        by_spelling = groupby(sorted(self._searches, key=_spelling), _spelling)
        self._groups = [(beginnings(it, starts), list(group)) for it, group in by_spelling]
        self._note = note
        self._rest: list[str] = []  # the line that has not ended
        self._rest_size = 0
        self._line = 0  # the number of the line last read
        self._waiting: list[Find] = []
        self._taken = 0  # the last line of what was given
        self._taken_by = -1  # the form of what was given last
        self._given = False
        self._decodes = False  # there is a frame, or what would be one
        self._hex: HexReader | None = HexReader()  # as long as all is plain hex
        self._misfit: ProtocolError | None = None
        self._held: list[bytes] = []  # what the plain reading gives, until it is known to be right
        self._held_size = 0
        self._only_plain = False  # it is
        self._at_line_start = True  # what comes next; only then

    def feed(self, text: str) -> list[Piece]:
        """Take a chunk of text, return the bytes that are known now."""
        pieces: list[Piece] = []
        if self._only_plain:
            text = self._read_plain(self._take_rest() + text, pieces)
        self._rest.append(text)
        self._rest_size += len(text)
        if self._only_plain or ("\n" not in text and self._rest_size <= LONGEST_LINE):
            return pieces
        *lines, rest = self._take_rest().split("\n")
        if len(rest) > LONGEST_LINE:
            *cut, rest = _cut(rest)
            lines += cut
        for at, line in enumerate(lines):
            pieces += self._read(line)
            if self._only_plain:
                return pieces + self.feed("\n".join([*lines[at + 1 :], rest]))
        self._rest, self._rest_size = [rest], len(rest)
        return pieces

    def _take_rest(self) -> str:
        rest = "".join(self._rest)
        self._rest, self._rest_size = [], 0
        return rest

    def finish(self) -> Iterator[Piece]:
        """Yield the last bytes.

        Raises:
            ProtocolError: nothing decodes, and it is no plain hex either; or it is, but of an odd
                number of digits. What there is to show was yielded before.
        """
        rest, pieces = self._take_rest(), list[Piece]()
        if self._only_plain:
            rest = self._read_plain(rest, pieces, final=True)
            yield from pieces
        if rest:
            yield from self._read(rest)
        if not self._only_plain:
            for search in self._searches:
                self._add(search.finish())
            yield from self._settle(final=True)
        if not self._decodes and not self._given:
            yield from self._salvage()
        if not self._decodes and self._misfit is not None:
            raise self._misfit
        if self._hex is not None and (self._only_plain or not self._given):
            yield Piece(b"".join(self._held))
            yield Piece(self._hex.finish())
        elif self._line > self._taken:
            self._leave_out(self._line + 1)

    def _salvage(self) -> Iterator[Piece]:
        """Yield what there is to show where nothing decodes; say so in the error to come."""
        from inverterproto.hexdump.salvage import salvage

        found = salvage(self._searches, self._framings)
        plain = self._hex is not None
        if found is None or (plain and (found.rank == _PLAIN or not found.begins)):
            return
        form = self._searches[found.rank].form.name
        message = f"nothing in it decodes; shown is what it is as {form}"
        if self._misfit is None:
            self._misfit = ProtocolError(message)
        else:
            misfit = self._misfit
            self._misfit = ProtocolError(
                f"{message}; {misfit.message}", expected=misfit.expected, found=misfit.found
            )
        yield found.piece

    # Plain hex

    def _read_plain(self, text: str, pieces: list[Piece], *, final: bool = False) -> str:
        """Read as much of a text as is plain hex, to a line's end; return the rest."""
        reader = self._hex
        assert reader is not None  # noqa: S101 - as long as all is plain
        end, known = plain_part(text, reader.held, at_line_start=self._at_line_start, final=final)
        part = text[:end]
        pieces.append(Piece(reader.feed(part)))
        self._line += part.count("\n")
        self._at_line_start = part.endswith("\n") if part else self._at_line_start
        if end < known:
            self._taken, self._taken_by = self._line, _PLAIN
            self._only_plain = False
            self._try_plain(text[end:].partition("\n")[0])
            self._hex = None
        return text[end:]

    @property
    def _all_is_plain(self) -> bool:
        """Whether nothing speaks against the plain reading of the whole text."""
        if self._hex is None or self._given:
            return False
        return not self._waiting or any(one.rank == _PLAIN for one in self._waiting)

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
        for search in self._searches:
            search.forget()
        self._given = self._only_plain = self._at_line_start = True
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
        for texts, searches in self._groups:
            begins = any(text in line for text in texts)
            for search in searches:
                if begins or not search.is_idle:
                    self._add(search.read(line, self._line))
        pieces = self._settle() if self._waiting else []
        if self._hex is not None and not self._given and self._held_size > MOST_PLAIN:
            return self._trust_plain(decodes=False)
        return pieces

    def _add(self, finds: Iterable[Find]) -> None:
        for find in finds:
            insort(self._waiting, find)

    def _settle(self, *, final: bool = False) -> list[Piece]:
        """Choose among what was found, as far as that can be done now."""
        pieces: list[Piece] = []
        while frame := self._ready(final=final):
            if self._hex is not None and frame.rank == _PLAIN and not self._given:
                return self._trust_plain(decodes=True)
            self._catch_up(frame)
            if self._ready(final=final) != frame:
                continue
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

    def _ready(self, *, final: bool) -> Find | None:
        """Return the first frame, if no stronger form can dispute it any more."""
        frame = next((find for find in self._waiting if find.is_frame), None)
        if frame is None or final:
            return frame
        for search in self._searches[: frame.rank]:
            line = search.pending
            if line is not None and self._taken < line < frame.first:
                return None  # what comes later must not overtake it
        return frame

    def _catch_up(self, frame: Find) -> None:
        """Let the other forms give up what they wait for in the lines up to a frame's end.

        Nothing that begins in the frame's lines can be given any more; and where one waits in
        vain for a frame that seemed to begin before, there may be a real one behind that.
        """
        for search in self._searches:
            line = search.pending
            if search.rank != frame.rank and line is not None and line <= frame.last:
                found = search.restart(frame.last)
                self._add(
                    find for find in found if find.last < frame.first or find.first > frame.last
                )

    def _is_free(self, find: Find) -> bool:
        return find.first > self._taken or find.rank == self._taken_by

    def _give(self, find: Find) -> list[Piece]:
        if not self._is_free(find):
            return []
        form = self._searches[find.rank].form.name
        if find.first > self._taken + 1:
            self._leave_out(find.first)
        if find.rank != self._taken_by:
            self._note(f"from line {find.first:,}: read as {form}")
        if find.piece.masked:
            count = len(find.piece.masked)
            self._note(f"line {find.first:,}: a frame with {count} masked bytes")
        self._taken, self._taken_by = find.last, find.rank
        if not self._decodes:
            self._given = self._decodes = True
            for search in self._searches:
                search.kept = None
        return [find.piece]

    def _leave_out(self, until: int) -> None:
        first, last = self._taken + 1, until - 1
        lines = f"line {first:,}" if first == last else f"lines {first:,} to {last:,}"
        self._note(f"left out {lines}: nothing in it decodes")


def _spelling(search: Search) -> str:
    return search.form.spelling


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
