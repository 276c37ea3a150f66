r"""Bytes out of hex text, in chunks.

Hex digits with any separators: white space, `,`, `;`, `:`, `-`, `_`, `|`, and the prefixes `0x`
and `\x`. A pair of digits may be broken over lines and chunks. Anything else is an error that says
where it stands, because leaving out a character in the middle of a frame would shift all that
follows.
"""

import re

from inverterproto.errors import ProtocolError

_SEPARATORS = " \t\n\r\f\v,;:-_|"
_DROP_SEPARATORS = dict.fromkeys(map(ord, _SEPARATORS))
_DIGITS = frozenset("0123456789abcdefABCDEF")
_HEX_LETTERS = _DIGITS | frozenset(_SEPARATORS)


def _drop_prefixes(text: str, by: str) -> str:
    """Take out the prefixes: they cannot stand inside a number, as x is no digit."""
    for prefix in ("0x", "0X", "\\x", "\\X"):
        text = text.replace(prefix, by)
    return text


def is_plain(text: str) -> bool:
    """Return whether a text is one that `HexReader` takes, or the beginning of such a one."""
    text = text.removesuffix("\\")  # may be half a prefix
    return _HEX_LETTERS.issuperset(_drop_prefixes(text, ""))


def is_hex(text: str) -> bool:
    """Return whether a text holds nothing but hex digits, separators and prefixes."""
    letters = frozenset(_drop_prefixes(text, ""))
    return letters <= _HEX_LETTERS and not letters.isdisjoint(_DIGITS)


def strip_prefixes(text: str) -> str:
    """Return the digits of a text that is hex."""
    return _drop_prefixes(text, "").translate(_DROP_SEPARATORS)


LONGEST_ROW = 4096
"""Characters of a line beyond which it is no row of a dump."""
# The first row of a dump whose addresses and bytes are nothing but hex digits.
_FIRST_ROW = re.compile(
    r"\n[ \t]{0,16}+(?:0[xX])?+(?:0{6,16}+[: \t]|0{3,5}+(?::|[ \t]?+\||[ \t]{2}))"
    r"[ \t|]{0,16}+(?:[0-9a-fA-F]{1,4}+|(?<=0{7}[ ])[01][0-7]{5})(?![0-9a-fA-F])"
)


def plain_part(text: str, held: str, *, at_line_start: bool, final: bool) -> tuple[int, int]:
    """Tell how much of a text is plain hex, to a line's end.

    Args:
        text: what follows.
        held: what `HexReader` holds of what came before.
        at_line_start: whether the text begins a line.
        final: whether nothing follows.

    Returns:
        Where the first line begins that is something else, or where the known part ends; and where
        that ends: before a line that has yet to come whole, unless it is a long one.
    """
    known = text.rfind("\n") + 1
    if final or len(text) - known > LONGEST_ROW:
        known = len(text)
    head = "\n" if at_line_start else ""
    row = _FIRST_ROW.search(head + text[:known])
    end = known if row is None else row.start() + 1 - len(head)
    if is_plain(held + text[:end]):
        return end, known
    start, stop = 0, text.find("\n", 0, end) + 1 or end
    while is_plain(held + text[start:stop]):  # one of the lines is not
        start, stop, held = stop, text.find("\n", stop, end) + 1 or end, ""
    return start, known


class HexReader:
    """Turns chunks of hex text into bytes."""

    def __init__(self) -> None:
        self._line = 1
        self._column = 1
        self._text = ""  # the end of the last chunk that might be half a prefix
        self._digit = ""  # the first digit of a broken pair

    @property
    def held(self) -> str:
        """What may be half a prefix, to be read with what follows."""
        return self._text

    def feed(self, text: str) -> bytes:
        """Take a chunk of text, return the bytes that it completes.

        Raises:
            ProtocolError: a character is no hex digit; the message says line and column.
        """
        text = self._text + text
        self._text = ""
        if text.endswith(("0", "\\")):
            text, self._text = text[:-1], text[-1]
        return self._read(text)

    def finish(self) -> bytes:
        """Return the last bytes.

        Raises:
            ProtocolError: the number of digits is odd.
        """
        text, self._text = self._text, ""
        last = self._read(text)
        if self._digit:
            raise ProtocolError(
                "odd number of hex digits", offset=None, expected="pairs", found="half a byte"
            )
        return last

    def _read(self, text: str) -> bytes:
        digits = self._digit + strip_prefixes(text)
        even = len(digits) & ~1
        try:
            # fromhex would take white space too, but there is none left.
            data = bytes.fromhex(digits[:even])
            self._digit = digits[even:]
            if self._digit and self._digit not in _DIGITS:
                raise ValueError
        except ValueError:
            raise self._misfit(text) from None
        self._count(text)
        return data

    def _count(self, text: str) -> None:
        lines = text.count("\n")
        self._line += lines
        self._column = len(text) - text.rfind("\n") if lines else self._column + len(text)

    def _misfit(self, text: str) -> ProtocolError:
        """Return the error for the first letter that is no digit."""
        blanked = _drop_prefixes(text, "  ")
        at = next(at for at, letter in enumerate(blanked) if letter not in _HEX_LETTERS)
        self._count(text[:at])
        return ProtocolError(
            f"no hex digit at line {self._line}, column {self._column}",
            expected="hex digits and separators",
            found=repr(text[at]),
        )
