"""The forms of dumps that show rows: an address, the bytes, perhaps text that spells them.

The tools: `xxd`, `od`, `hexdump`, Wireshark, `tcpdump`, `Format-Hex`, and whatever writes its own.
"""

import re
from collections.abc import Callable, Sequence

from inverterproto.hexdump.fragment import HEX, NOTHING, PAIRS, ROWS, Fragment, from_digits
from inverterproto.hexdump.plain import LONGEST_ROW

MOST_REPEATED = 1 << 16
"""Bytes that a `*` in a dump may stand for."""

_BASES = (16, 10, 8)  # of addresses

Convert = Callable[[Sequence[str]], Fragment]
"""Groups of hex digits → the bytes that they are."""


def _in_order(groups: Sequence[str]) -> Fragment:
    return from_digits("".join(groups))


def _words(groups: Sequence[str]) -> Fragment:
    """Return the bytes of little-endian words."""
    digits = [group[at : at + 2] for group in groups for at in range(len(group) - 2, -1, -2)]
    return from_digits("".join(digits))


class Rows:
    """A dump with addresses: `xxd`, `hexdump -C`, `od`, Wireshark, `0000 | a5 d4 | ..`.

    What follows the data is left out: a column behind `|` or `>`, or text that spells these bytes.
    A `*` stands for repetitions of the row before it; the addresses say how many.
    """

    name = "dump with addresses"
    spelling = HEX
    is_open = False
    # Four digits and a space are more often data. What netcat puts in front says who sent it.
    _AT_START = re.compile(
        r"\s*+(?:[<>]\s++)?+(?:0[xX])?+(?=[0-9a-fA-F]{6}|[0-9a-fA-F]{3,5}+(?::|\s?+\||\s\s))"
        rf"([0-9a-fA-F]{{3,16}}+)(?::\s*+|\s++)(?:\|\s*+)?+(?={PAIRS})"
    )
    _BEHIND_TEXT = re.compile(
        rf"(?<=[\s\]>:|])(?:0[xX])?+([0-9a-fA-F]{{3,16}}+)(?::\s++|\s*+\|\s*+|\s{{2,}}+)(?={PAIRS})"
    )
    _ADDRESS_ALONE = re.compile(r"\s*+([0-9a-fA-F]{3,16}+):?+\s*+")

    def __init__(self) -> None:
        self._address = ""
        self._row = NOTHING
        self._bases: tuple[int, ...] = _BASES
        self._squeezed = False

    def read(self, line: str, *, inside: bool = True) -> Fragment:
        """Return the bytes of a row, those squeezed out before it included."""
        del inside
        if len(line) > LONGEST_ROW:
            return NOTHING
        if line.strip() == "*":
            self._squeezed = True
            return NOTHING
        found = self._find(line)
        if found is None:
            alone = self._ADDRESS_ALONE.fullmatch(line) if self._squeezed else None
            if alone is None:
                return NOTHING
            found = alone[1], NOTHING
        address, row = found
        repeated = self._repeated(address)
        self._address, self._row = address, row
        return row if not repeated else Fragment(repeated + row.data, _moved(row, len(repeated)))

    def _find(self, line: str) -> tuple[str, Fragment] | None:
        """Return the address and the bytes of a row, or None if a line is none."""
        found = self._AT_START.match(line) or self._BEHIND_TEXT.search(line)
        return None if found is None else (found[1], read_row(line, found.end())[0])

    def _repeated(self, address: str) -> bytes:
        """Return what `*` stood for, and learn in which base addresses are written."""
        squeezed, self._squeezed = self._squeezed, False
        row = self._row.data
        if not row:
            return b""
        if not squeezed:
            fits = [base for base in _BASES if _step(self._address, address, base) == len(row)]
            # What an earlier dump was written in does not count if this one cannot be.
            kept = [base for base in fits if base in self._bases]
            self._bases = tuple(kept or fits) or _BASES
            return b""
        steps = [_step(self._address, address, base) for base in self._bases]
        for step in steps:
            if len(row) < step <= MOST_REPEATED and step % len(row) == 0:
                return row * (step // len(row) - 1)
        return b""


def _step(address: str, following: str, base: int) -> int:
    try:
        return int(following, base) - int(address, base)
    except ValueError:
        return -1


def _moved(row: Fragment, by: int) -> tuple[int, ...]:
    return tuple(at + by for at in row.masked)


class WordRows(Rows):
    """A dump of little-endian words: `od -x`, `hexdump`, `xxd -e`; the last word may be padded."""

    name = "dump of little-endian words"

    def _find(self, line: str) -> tuple[str, Fragment] | None:
        found = self._AT_START.match(line)
        if found is None:
            return None
        row = read_row(line, found.end(), _words)[0]
        return (found[1], row) if row.data else None


_ESCAPES = {"0": 0, "a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13}


class OctalRows(Rows):
    """An octal dump: `od`, `od -b`, `od -c`, `hexdump -b`, `hexdump -c`."""

    name = "octal dump"
    spelling = ROWS
    _ROW = re.compile(r"([0-9a-fA-F]{7,8}+)((?: [0-3][0-7]{2}|  \\[0abtnvfr]|   [!-~ ])++) *+")
    _WORDS = re.compile(r"([0-7]{7,8}+)((?: [01][0-7]{5})++) *+")

    def _find(self, line: str) -> tuple[str, Fragment] | None:
        if found := self._ROW.fullmatch(line):
            cells = (found[2][at + 1 : at + 4] for at in range(0, len(found[2]), 4))
            return found[1], Fragment(bytes(map(self._byte, cells)))
        if found := self._WORDS.fullmatch(line):
            numbers = (int(word, 8) for word in found[2].split())
            return found[1], Fragment(b"".join(n.to_bytes(2, "little") for n in numbers))
        return None

    def _byte(self, cell: str) -> int:
        if cell[0] != " ":
            return int(cell, 8)
        return _ESCAPES[cell[2]] if cell[1] == "\\" else ord(cell[2])


class DecimalRows(OctalRows):
    """A dump of decimal numbers: `od -t u1`, `od -t d1`."""

    name = "decimal dump"
    _ROW = re.compile(r"([0-9a-fA-F]{7,8}+)((?: {1,5}-?[0-9]{1,3}(?![0-9]))++) *+")

    def _find(self, line: str) -> tuple[str, Fragment] | None:
        found = self._ROW.fullmatch(line)
        if found is None:
            return None
        numbers = list(map(int, found[2].split()))
        if not -0x80 <= min(numbers) <= max(numbers) <= 0xFF:
            return None
        return found[1], Fragment(bytes(number & 0xFF for number in numbers))


_GROUP = re.compile(rf"({PAIRS})(?![0-9A-Za-z*?])(?:[-:,](?=\S))?+(\s*+)")


def read_row(line: str, at: int, convert: Convert = _in_order) -> tuple[Fragment, bool]:
    """Return the bytes at some place of a line, and whether text that spells them follows."""
    groups: list[str] = []
    while found := _GROUP.match(line, at):
        groups.append(found[1])
        at = found.end()
        if line[at : at + 1] in ("|", ">"):
            return convert(groups), True
        if len(found[2]) >= 2 and _spells(line[at:].rstrip(), convert(groups)):
            return convert(groups), True
    return convert(groups), False


def _spells(text: str, row: Fragment) -> bool:
    """Return whether a text is what a dump shows of some bytes beside them."""
    data = row.data
    # Blanks at its beginning were taken for the gap before it.
    text = " " * (len(data) - len(data.lstrip(b" "))) + text
    if not text.strip() or len(text) > len(data) or data[len(text) :].strip(b" "):
        return False
    for at, (letter, byte) in enumerate(zip(text, data, strict=False)):
        if at in row.masked:
            continue
        if 0x20 <= byte < 0x7F:
            if letter != chr(byte):
                return False
        elif letter.isascii() and letter.isalnum():
            return False
    return True


class Columns:
    """A dump without addresses, but with the text beside it: `od -An -t x1z`, `socat -v -x`."""

    name = "dump without addresses"
    spelling = HEX
    is_open = False

    def read(self, line: str, *, inside: bool = True) -> Fragment:
        """Return the bytes of a row, if text follows that spells them."""
        del inside
        if len(line) > LONGEST_ROW or not ("  " in line or "|" in line or ">" in line):
            return NOTHING
        row, spelled = read_row(line, len(line) - len(line.lstrip()))
        return row if spelled else NOTHING
