"""From text in chunks to bytes: lines for the forms to read, or plain hex all through.

See the package for the theory of operation.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from inverterproto.errors import ProtocolError
from inverterproto.hexdump.choice import PLAIN, Choice, Note
from inverterproto.hexdump.forms import FORMS
from inverterproto.hexdump.plain import HexReader, plain_part
from inverterproto.hexdump.search import Piece
from inverterproto.stream import Framing

LONGEST_LINE = 1 << 20
"""Characters; longer lines are cut."""
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


class DumpReader:
    """Turns chunks of any text into the bytes that it holds.

    Args:
        framings: of the frames that are looked for.
        note: is told what was read how, and what was left out.
    """

    def __init__(self, framings: Iterable[Framing], note: Note = lambda _note: None) -> None:
        self._framings = list(framings)
        self._choice = Choice(self._framings, note)
        self._note = note
        self._rest: list[str] = []  # the line that has not ended
        self._rest_size = 0
        self._line = 0  # the number of the line last read
        self._hex: HexReader | None = HexReader()  # as long as all is plain hex
        self._misfit: ProtocolError | None = None
        self._held = bytearray()  # what the plain reading gives, until it is known to be right
        self._only_plain = False  # it is
        self._was_plain = False  # it was so far
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
        if rest:
            pieces += self._read(rest)
        choice = self._choice
        if not self._only_plain:
            pieces += choice.finish()
            if choice.plain_first:
                pieces += self._trust_plain(decodes=True)
        yield from pieces
        if not choice.decodes and not self._was_plain:
            yield from self._salvage()
        if not choice.decodes and self._misfit is not None:
            raise self._misfit
        if self._only_plain or (self._hex is not None and not choice.decodes):
            yield from self._end_plain()
        elif self._line > choice.taken:
            choice.leave_out(self._line + 1)

    def _salvage(self) -> Iterator[Piece]:
        """Yield what there is to show where nothing decodes; the error to come says so."""
        from inverterproto.hexdump.salvage import salvage

        found = salvage(self._choice.searches, self._framings)
        plain = self._hex is not None
        if found is None or (plain and (found.rank == PLAIN or not found.begins)):
            return
        message = f"nothing in it decodes; shown as {self._choice.searches[found.rank].form.name}"
        misfit = self._misfit or ProtocolError("")
        if misfit.message:
            message += f", as it is no plain hex: {misfit.message}"
        self._misfit = ProtocolError(message, expected=misfit.expected, found=misfit.found)
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
            self._choice.taken, self._choice.taken_by = self._line, PLAIN
            self._only_plain = False
            self._try_plain(text[end:].partition("\n")[0])
            self._hex = None
        return text[end:]

    def _try_plain(self, line: str) -> None:
        """Read a line as plain hex, as long as all before it was that."""
        if self._hex is not None:
            try:
                data = self._hex.feed(line + "\n")
            except ProtocolError as error:
                self._misfit, self._hex = error, None
                self._held.clear()
            else:
                self._held += data

    def _trust_plain(self, *, decodes: bool) -> list[Piece]:
        """Take all for plain hex from now on."""
        self._choice.forget(decodes=decodes)
        self._only_plain = self._was_plain = self._at_line_start = True
        self._note("read as plain hex")
        return self._take_held()

    def _take_held(self) -> list[Piece]:
        pieces = [Piece(bytes(self._held))]
        self._held.clear()
        return pieces

    def _end_plain(self) -> Iterator[Piece]:
        assert self._hex is not None  # noqa: S101 - as long as all is plain
        yield from self._take_held()
        yield Piece(self._hex.finish())

    # All forms

    def _read(self, line: str) -> list[Piece]:
        self._line += 1
        self._try_plain(line)
        line = line.removesuffix("\r")
        if not line.isascii():
            line = line.translate(_ODD_LETTERS)
        if "\x1b" in line:
            line = _COLOUR.sub("", line)
        choice = self._choice
        choice.all_is_plain = self._hex is not None and not self._was_plain
        pieces = choice.read(line, self._line)
        if choice.plain_first:
            return self._trust_plain(decodes=True)
        if choice.all_is_plain and not choice.decodes and len(self._held) > MOST_PLAIN:
            return self._trust_plain(decodes=False)
        return pieces


def _cut(line: str) -> Iterator[str]:
    """Cut a long line, if possible where no word is."""
    while len(line) > LONGEST_LINE:
        at = max(line.rfind(letter, LONGEST_LINE // 2, LONGEST_LINE) for letter in " ,\t;") + 1
        at = at or LONGEST_LINE
        yield line[:at]
        line = line[at:]
    yield line


class Whole(NamedTuple):
    """What all of a text would be in some form.

    Attributes:
        form: what the form is called.
        piece: the bytes.
    """

    form: str
    piece: Piece


def readings(text: str) -> list[Whole]:
    """Return what a text would be in each form that gives anything, the strongest first.

    For bytes that are no frames, so that what decodes cannot tell: the caller has to.
    """
    lines = [_COLOUR.sub("", line) for line in text.translate(_ODD_LETTERS).split("\n")]
    found: list[Whole] = []
    for kind in FORMS:
        form = kind()
        data, masked = bytearray(), list[int]()
        for line in lines:
            fragment = form.read(line.removesuffix("\r"))
            masked += [len(data) + at for at in fragment.masked]
            data += fragment.data
        whole = Whole(form.name, Piece(bytes(data), tuple(masked)))
        if data and all(whole.piece != other.piece for other in found):
            found.append(whole)
    return found
