r"""The forms of dumps: each takes lines of text and returns the bytes that they would be.

A form never fails and never looks ahead; what it keeps of earlier lines is a few characters. It
may be wrong about a line: whether it is right shows in what decodes (see the package).
"""

import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from typing import NamedTuple, Protocol

from inverterproto.hexdump.plain import is_hex, strip_prefixes

LONGEST_ROW = 4096
"""Characters of a line beyond which it is no row of a dump with addresses."""
MOST_REPEATED = 1 << 16
"""Bytes that a `*` in a dump may stand for."""

_PAIRS = r"(?:[0-9a-fA-F*?xX]{2})++"
_MASKS = str.maketrans("?xX", "***")


class Fragment(NamedTuple):
    """What a line is in some form.

    Attributes:
        data: the bytes; masked ones are 0.
        masked: offsets in `data` of bytes of which a digit is masked.
    """

    data: bytes
    masked: tuple[int, ...] = ()


NOTHING = Fragment(b"")


class Form(Protocol):
    """A way to read lines."""

    @property
    def name(self) -> str:
        """What it is called in messages."""
        ...

    def read(self, line: str) -> Fragment:
        """Return the bytes of the next line."""
        ...


def from_digits(digits: str) -> Fragment:
    """Return the bytes of an even number of hex digits, of which some may be masked."""
    digits = digits.translate(_MASKS)
    if "*" not in digits:
        return Fragment(bytes.fromhex(digits))
    masked = tuple(at // 2 for at in range(0, len(digits), 2) if "*" in digits[at : at + 2])
    hidden = set(masked)
    pairs = (digits[at : at + 2] for at in range(0, len(digits), 2))
    data = bytes(0 if at in hidden else int(pair, 16) for at, pair in enumerate(pairs))
    return Fragment(data, masked)


class Rows:
    """A dump with addresses: `xxd`, `hexdump -C`, `od`, Wireshark, `0000 | a5 d4 | ..`.

    What follows the data is left out: a column behind `|` or `>`, or text that spells these bytes.
    A `*` stands for repetitions of the row before it; the addresses say how many.
    """

    name = "dump with addresses"
    # Four digits and a space are more often data.
    _AT_START = re.compile(
        r"\s*+(?:0[xX])?+(?=[0-9a-fA-F]{6}|[0-9a-fA-F]{3,5}+(?::|\s?+\||\s\s))"
        rf"([0-9a-fA-F]{{3,16}}+)(?::\s*+|\s++)(?:\|\s*+)?+(?={_PAIRS})"
    )
    _BEHIND_TEXT = re.compile(
        rf"(?<=[\s\]>:|])(?:0[xX])?+([0-9a-fA-F]{{3,16}}+)(?::\s++|\s*+\|\s*+|\s{{2,}}+)(?={_PAIRS})"
    )
    _ADDRESS_ALONE = re.compile(r"\s*+([0-9a-fA-F]{3,16}+):?+\s*+")

    def __init__(self) -> None:
        self._address = ""
        self._row = NOTHING
        self._bases: tuple[int, ...] = (16, 10, 8)
        self._squeezed = False

    def read(self, line: str) -> Fragment:
        """Return the bytes of a row, those squeezed out before it included."""
        if len(line) > LONGEST_ROW:
            return NOTHING
        if line.strip() == "*":
            self._squeezed = True
            return NOTHING
        found = self._AT_START.match(line) or self._BEHIND_TEXT.search(line)
        if found is None:
            found = self._ADDRESS_ALONE.fullmatch(line) if self._squeezed else None
        if found is None:
            return NOTHING
        row, _ = _row(line, found.end())
        repeated = self._repeated(found[1])
        self._address, self._row = found[1], row
        return row if not repeated else Fragment(repeated + row.data, _moved(row, len(repeated)))

    def _repeated(self, address: str) -> bytes:
        """Return what `*` stood for, and learn in which base addresses are written."""
        squeezed, self._squeezed = self._squeezed, False
        row = self._row.data
        if not row:
            return b""
        steps = [(base, _step(self._address, address, base)) for base in self._bases]
        if not squeezed:
            self._bases = tuple(base for base, step in steps if step == len(row)) or (16, 10, 8)
            return b""
        for _, step in steps:
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


_GROUP = re.compile(rf"({_PAIRS})(?![0-9A-Za-z*?])(?:[-:,](?=\S))?+(\s*+)")


def _row(line: str, at: int) -> tuple[Fragment, bool]:
    """Return the bytes at some place of a line, and whether text that spells them follows."""
    digits, spelled = "", False
    while found := _GROUP.match(line, at):
        digits += found[1]
        at = found.end()
        if line[at : at + 1] in ("|", ">"):
            spelled = True
            break
        if len(found[2]) >= 2 and _spells(line[at:].rstrip(), from_digits(digits)):
            spelled = True
            break
    return from_digits(digits), spelled


def _spells(text: str, row: Fragment) -> bool:
    """Return whether a text is what a dump shows of some bytes beside them."""
    data = row.data
    if not text or len(text) > len(data) or data[len(text) :].strip(b" "):
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
    """A dump without addresses, but with the text beside it: `od -An -t x1z`."""

    name = "dump without addresses"

    def read(self, line: str) -> Fragment:
        """Return the bytes of a row, if text follows that spells them."""
        if len(line) > LONGEST_ROW:
            return NOTHING
        row, spelled = _row(line, len(line) - len(line.lstrip()))
        return row if spelled else NOTHING


class Plain:
    """Lines of nothing but hex digits, separators and prefixes; pairs may be broken over lines."""

    name = "plain hex"

    def __init__(self) -> None:
        self._digit = ""

    def read(self, line: str) -> Fragment:
        """Return the bytes of a line, if it is of this form."""
        if not is_hex(line):
            self._digit = ""
            return NOTHING
        digits = self._digit + strip_prefixes(line)
        even = len(digits) & ~1
        self._digit = digits[even:]
        return Fragment(bytes.fromhex(digits[:even]))


class Words:
    """Words of hex among any others: C arrays, `<Buffer a5 …>`, `SENT: a5 17 …`, JSON."""

    name = "hex among text"
    _WORD = re.compile(rf"(?<![0-9A-Za-z*?\\])(?:0[xX])?+({_PAIRS})h?+(?![0-9A-Za-z*?])")
    _SHORT = re.compile(r"\b0[xX]([0-9a-fA-F])\b")

    def read(self, line: str) -> Fragment:
        """Return the bytes of all words of a line that are an even number of digits."""
        if "/*" in line:
            line = _without_comments(line)
        if "0x" in line or "0X" in line:
            line = self._SHORT.sub(r"0\1", line)
        return from_digits("".join(self._WORD.findall(line)))


def _without_comments(line: str) -> str:
    """Return a line of C without its comments."""
    kept, rest = "", line
    while rest:
        code, _, rest = rest.partition("/*")
        kept += code + " "
        _, _, rest = rest.partition("*/")
    return kept


class Run:
    """One run of hex a line, behind a head of the log: `10:02:03 [D] a5:17:…`, over several lines.

    It is the run that begins where that of the line before did, else the longest.
    """

    name = "hex in log lines"
    _RUN = re.compile(
        r"(?<![0-9A-Za-z*])(?:0[xX])?+([0-9a-fA-F*]{2,}+"
        r"(?:([ :,\-])[0-9a-fA-F*]{2,}+(?:\2[0-9a-fA-F*]++)*+)?+)(?![0-9A-Za-z*])"
    )
    _OTHERS = str.maketrans("", "", " :,-")

    def __init__(self) -> None:
        self._column = -1
        self._digit = ""

    def read(self, line: str) -> Fragment:
        """Return the bytes of a line's run; a pair may be broken at the end of a line."""
        best, most = None, 0
        for found in self._RUN.finditer(line):
            size = found.end() - found.start()
            if found.start() == self._column:
                best = found
                break
            if size >= most:
                best, most = found, size
        if best is None:
            self._digit = ""
            return NOTHING
        self._column = best.start()
        digits = self._digit + best[1].translate(self._OTHERS)
        even = len(digits) & ~1
        self._digit = digits[even:] if not line[best.end() :].strip() else ""
        return from_digits(digits[:even])


_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


class Literals:
    r"""Literals of Python, C and their like: `b'\xa5\x01G'`, `"\245\1"`, `\xa5\x01`."""

    name = "literals with escapes"
    _PYTHON = re.compile(
        r"""(?<![\w\\])[bB](?:'((?:[^'\\]|\\.)*+)(?:'|\\?+\Z)|"((?:[^"\\]|\\.)*+)(?:"|\\?+\Z))"""
    )
    _QUOTED = re.compile(r"""'((?:[^'\\]|\\.)*+)(?:'|\\?+\Z)|"((?:[^"\\]|\\.)*+)(?:"|\\?+\Z)""")
    _ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u00[0-9a-fA-F]{2}|[0-7]{1,3}|.)")

    def read(self, line: str) -> Fragment:
        """Return the bytes of a line's literals, or of its escapes where there are no quotes."""
        if "'" in line or '"' in line:
            form = self._PYTHON if self._PYTHON.search(line) else self._QUOTED
        else:
            at = line.find("\\x")
            return self._bytes(line[at:].rstrip()) if at >= 0 else NOTHING
        return self._bytes("".join(found[1] or found[2] or "" for found in form.finditer(line)))

    def _bytes(self, text: str) -> Fragment:
        return Fragment(self._ESCAPE.sub(self._unescape, text).encode("latin-1", "replace"))

    def _unescape(self, escape: re.Match[str]) -> str:
        body = escape[1]
        if body[0] in "xu" and len(body) > 1:
            return chr(int(body[1:], 16))
        if body[0] in "01234567":
            return chr(int(body, 8) & 0xFF)
        return _LETTERS.get(body, body)


class Decimals:
    """Decimal numbers: `[165, 1, 0]`, `165 1 0`; also signed ones, as Java shows bytes."""

    name = "decimal numbers"
    _NUMBER = re.compile(r"(?<![0-9A-Za-z.\-])-?[0-9]{1,3}+(?![0-9A-Za-z])")

    def read(self, line: str) -> Fragment:
        """Return the bytes of all numbers of a line that fit one."""
        numbers = map(int, self._NUMBER.findall(line))
        return Fragment(bytes(number & 0xFF for number in numbers if -128 <= number <= 255))


class Base64:
    """Base64, of both alphabets, in long words, or in lines of nothing else."""

    name = "base64"
    _WORD = re.compile(r"(?<![\w+/\-])[A-Za-z0-9+/_\-]{12,}+={0,2}+(?![\w+/=\-])")
    _ALONE = re.compile(r"\s*+([A-Za-z0-9+/_\-]++={0,2}+)\s*+")
    _STANDARD = str.maketrans("-_", "+/")

    def __init__(self) -> None:
        self._goes_on = False

    def read(self, line: str) -> Fragment:
        """Return the bytes of a line's words."""
        alone = self._ALONE.fullmatch(line)
        if alone is not None and (self._goes_on or len(alone[1]) >= 12):
            words = [alone[1]]
        else:
            words = self._WORD.findall(line)
        self._goes_on = alone is not None and bool(words)
        return Fragment(b"".join(map(self._decode, words)))

    def _decode(self, word: str) -> bytes:
        word = word.rstrip("=").translate(self._STANDARD)
        try:
            return a2b_base64(word + "=" * (-len(word) % 4))
        except Base64Error:
            return b""


FORMS: tuple[type[Form], ...] = (
    Rows,
    Columns,
    Plain,
    Words,
    Run,
    Literals,
    Decimals,
    Base64,
)
"""All forms, the stronger in front: they ask more of a line."""
