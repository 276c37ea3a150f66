"""The forms of hex without addresses: nothing else, words among text, runs in a log, misspelt."""

import re

from inverterproto.hexdump.fragment import HEX, NOTHING, PAIRS, Fragment, from_digits
from inverterproto.hexdump.plain import is_hex, strip_prefixes

_DOTS = re.compile(
    r"(?<=[0-9a-fA-F])([ :\-]?)\.\.(?:\1?+\.\.)*+(?=\1[0-9a-fA-F]{2})"  # after a digit: linear
)


def _masked_dots(line: str) -> str:
    """Return a line in which dots in the place of digits are asterisks."""
    return _DOTS.sub(lambda found: found[0].replace(".", "*"), line) if ".." in line else line


class Plain:
    """Lines of nothing but hex digits, separators and prefixes; pairs may be broken over lines."""

    name = "plain hex"
    spelling = HEX
    _MAYBE = re.compile(r"[\s0-9a-fA-FxX\\,;:\-_|]*+\Z")

    def __init__(self) -> None:
        self._digit = ""

    @property
    def is_open(self) -> bool:
        """Whether half a byte waits for the next line."""
        return bool(self._digit)

    def read(self, line: str, *, inside: bool = True) -> Fragment:
        """Return the bytes of a line, if it is of this form."""
        del inside
        if not self._MAYBE.match(line) or not is_hex(line):
            self._digit = ""
            return NOTHING
        digits = self._digit + strip_prefixes(line)
        even = len(digits) & ~1
        self._digit = digits[even:]
        return Fragment(bytes.fromhex(digits[:even]))


class Words:
    """Words of hex among any others: C arrays, `<Buffer a5 …>`, `SENT: a5 17 …`, JSON."""

    name = "hex among text"
    spelling = HEX
    is_open = False
    _WORD = re.compile(rf"(?<![0-9A-Za-z*?\\])(?:0[xX])?+({PAIRS})h?+(?![0-9A-Za-z*?])")
    _SHORT = re.compile(r"\b0[xX]([0-9a-fA-F])\b")
    _LISTED = re.compile(r"(?<=[\[{(, ])([0-9a-fA-F])(?=[,\]})])")

    def read(self, line: str, *, inside: bool = True) -> Fragment:
        """Return the bytes of all words of a line that are an even number of digits."""
        del inside
        if "/*" in line:
            line = _without_comments(line)
        if "0x" in line or "0X" in line:
            line = self._SHORT.sub(r"0\1", line)
        if "[" in line:
            line = self._LISTED.sub(r"0\1", line)
        return from_digits("".join(self._WORD.findall(_masked_dots(line))))


def _without_comments(line: str) -> str:
    """Return a line of C without its comments."""
    kept, rest = [], line
    while rest:
        code, _, rest = rest.partition("/*")
        kept.append(code)
        _, _, rest = rest.partition("*/")
    return " ".join(kept)


class Run:
    """One run of hex a line, behind a head of the log: `10:02:03 [D] a5:17:…`, over several lines.

    It is the longest; in a frame that goes on, the one that begins where that of the line before
    did.
    """

    name = "hex in log lines"
    spelling = HEX
    _RUN = re.compile(
        r"(?<![0-9A-Za-z*\\])(?:0[xX])?+([0-9a-fA-F*?xX]{2,}+"
        r"(?:([ :,\-])[0-9a-fA-F*?xX]{2,}+(?:\2[0-9a-fA-F*?xX]++)*+)?+)(?![0-9A-Za-z*])"
    )
    _OTHERS = str.maketrans("", "", " :,-")

    def __init__(self) -> None:
        self._column = -1
        self._digit = ""

    @property
    def is_open(self) -> bool:
        """Whether half a byte waits for the next line."""
        return bool(self._digit)

    def read(self, line: str, *, inside: bool = True) -> Fragment:
        """Return the bytes of a line's run; a pair may be broken at the end of a line."""
        line = _masked_dots(line)
        best, most = None, 0
        for found in self._RUN.finditer(line):
            size = found.end() - found.start()
            if inside and found.start() == self._column:
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


_NO_DIGIT = re.compile(r"[^0-9a-fA-F]")


class Misspelt:
    """Hex in which a few letters are no digits: `O` for `0`, `l` for `1`: these are not told."""

    name = "hex with letters in it that are no digits"
    spelling = HEX
    is_open = False
    _WORD = re.compile(r"[^\W_]++")
    _MOST = 1 / 16  # of the letters may be none

    def read(self, line: str, *, inside: bool = True) -> Fragment:
        """Return the bytes of a line of hex, masked where a letter is no digit."""
        del inside
        if "0x" in line or "0X" in line:
            line = line.replace("0x", " ").replace("0X", " ")
        words = self._WORD.findall(line)
        digits = "".join(words)
        if not 0 < len(_NO_DIGIT.findall(digits)) <= len(digits) // 2:
            return NOTHING
        digits = "".join(filter(_is_nearly_hex, words))
        masked = _NO_DIGIT.sub("*", digits)
        odd = masked.count("*")
        return from_digits(masked) if 0 < odd <= len(digits) * self._MOST else NOTHING


def _is_nearly_hex(word: str) -> bool:
    """Return whether a word is an even number of hex digits but for a few letters."""
    size = len(word)
    return size % 2 == 0 and len(_NO_DIGIT.findall(word)) <= (1 if size == 2 else size // 10)
