"""The forms of bytes that are no hex: literals with escapes, decimal numbers, bits, base64."""

import re
from binascii import Error as Base64Error
from binascii import a2b_base64

from inverterproto.hexdump.fragment import BITS, ESCAPES, NOTHING, OTHER, Fragment

_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


class Literals:
    r"""Literals of Python, C and their like: `b'\xa5\x01G'`, `"\245\1"`, `\xa5\x01`.

    Where each `\x` has two backslashes, as in SQL, a literal was written into another.
    """

    name = "literals with escapes"
    spelling = ESCAPES
    is_open = False
    _PYTHON = re.compile(
        r"""(?<![\w\\])[bB](?:'((?:[^'\\]|\\.)*+)(?:'|\\?+\Z)|"((?:[^"\\]|\\.)*+)(?:"|\\?+\Z))"""
    )
    _QUOTED = re.compile(r"""'((?:[^'\\]|\\.)*+)(?:'|\\?+\Z)|"((?:[^"\\]|\\.)*+)(?:"|\\?+\Z)""")
    _SINGLE = re.compile(r"(?<!\\)\\x")
    _ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u00[0-9a-fA-F]{2}|[0-7]{1,3}|.)")

    def read(self, line: str, *, inside: bool = True) -> Fragment:
        """Return the bytes of a line's literals, or of its escapes where there are no quotes."""
        del inside
        if r"\\x" in line and not self._SINGLE.search(line):
            line = line.replace(r"\\x", r"\x")
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
    spelling = OTHER
    is_open = False
    _NUMBER = re.compile(r"(?<![0-9A-Za-z.\-])-?[0-9]{1,3}+(?![0-9A-Za-z])")

    def read(self, line: str, *, inside: bool = True) -> Fragment:
        """Return the bytes of all numbers of a line that fit one."""
        del inside
        numbers = list(map(int, self._NUMBER.findall(line)))
        try:
            return Fragment(bytes(numbers))
        except ValueError:  # most lines have none that does not fit
            return Fragment(bytes(number & 0xFF for number in numbers if -128 <= number <= 255))


class Bits:
    """Bytes as eight bits each: `xxd -b`."""

    name = "bits"
    spelling = BITS
    is_open = False
    _BYTE = re.compile(r"(?<![0-9A-Za-z])[01]{8}(?![0-9A-Za-z:])")

    def read(self, line: str, *, inside: bool = True) -> Fragment:
        """Return the bytes of all groups of eight bits."""
        del inside
        return Fragment(bytes(int(bits, 2) for bits in self._BYTE.findall(line)))


class Base64:
    """Base64, of both alphabets, in long words, or in lines of nothing else."""

    name = "base64"
    spelling = OTHER
    is_open = False
    _WORD = re.compile(r"(?<![\w+/\-])[A-Za-z0-9+/_\-]{12,}+={0,2}+(?![\w+/=\-])")
    _ALONE = re.compile(r"\s*+([A-Za-z0-9+/_\-]++={0,2}+)\s*+")
    _STANDARD = str.maketrans("-_", "+/")

    def __init__(self) -> None:
        self._goes_on = False

    def read(self, line: str, *, inside: bool = True) -> Fragment:
        """Return the bytes of a line's words."""
        del inside
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
