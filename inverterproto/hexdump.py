r"""Bytes out of hex text, in chunks.

Hex digits with any separators: white space, `,`, `;`, `:`, `-`, `_`, `|`, and the prefixes `0x`
and `\x`. A pair of digits may be broken over lines and chunks. Of anything else is said
where it stands, and the rest of its line is left out: what follows in the middle of a frame would
be shifted.
"""

from collections.abc import Callable

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


def is_hex(text: str) -> bool:
    """Return whether a text holds nothing but hex digits, separators and prefixes."""
    letters = frozenset(_drop_prefixes(text, ""))
    return letters <= _HEX_LETTERS and not letters.isdisjoint(_DIGITS)


def _raise(error: ProtocolError) -> None:
    raise error


class HexReader:
    """Turns chunks of hex text into bytes.

    Args:
        complain: is told of each character that is no hex digit, by line and column; the rest of
            that line is then passed over. By default the error is raised.
    """

    def __init__(self, complain: Callable[[ProtocolError], object] = _raise) -> None:
        self._complain = complain
        self._line = 1
        self._column = 1
        self._text = ""  # the end of the last chunk that might be half a prefix
        self._digit = ""  # the first digit of a broken pair
        self._skipping = False  # the rest of a line that holds something else

    def feed(self, text: str) -> bytes:
        """Take a chunk of text, return the bytes that it completes."""
        text = self._text + text
        self._text = ""
        if text.endswith(("0", "\\")):
            text, self._text = text[:-1], text[-1]
        return self._read(text)

    def finish(self) -> bytes:
        """Return the last bytes."""
        text, self._text = self._text, ""
        last = self._read(text)
        if self._digit:
            self._digit = ""
            error = ProtocolError(
                "odd number of hex digits", expected="pairs", found="half a byte at the end"
            )
            self._complain(error)
        return last

    def _read(self, text: str) -> bytes:
        data = None if self._skipping else self._take(text)
        if data is None:
            # Only now line by line, so that a wrong character costs no second look at all.
            *lines, last = text.split("\n")
            data = b"".join(
                [*(self._read_line(f"{line}\n") for line in lines), self._read_line(last)]
            )
        return data

    def _read_line(self, line: str) -> bytes:
        """Return the bytes of a line, up to the first character that is no digit."""
        data: bytes | None = b""
        if not self._skipping:
            data = self._take(line)
            if data is not None:
                return data
            blanked = _drop_prefixes(line, "  ")
            at = next(at for at, letter in enumerate(blanked) if letter not in _HEX_LETTERS)
            data = self._take(line[:at])
            self._digit = ""
            error = ProtocolError(
                f"no hex digit at line {self._line}, column {self._column}",
                expected="hex digits and separators",
                found=repr(line[at]),
            )
            self._complain(error)
            line = line[at:]
        self._count(line)
        self._skipping = not line.endswith("\n")
        return data or b""

    def _take(self, text: str) -> bytes | None:
        """Return the bytes that a text completes, or None if it holds something else."""
        digits = self._digit + _drop_prefixes(text, "").translate(_DROP_SEPARATORS)
        even = len(digits) & ~1
        rest = digits[even:]
        if rest and rest not in _DIGITS:
            return None
        try:
            # fromhex would take white space too, but there is none left.
            data = bytes.fromhex(digits[:even])
        except ValueError:
            return None
        self._digit = rest
        self._count(text)
        return data

    def _count(self, text: str) -> None:
        lines = text.count("\n")
        self._line += lines
        self._column = len(text) - text.rfind("\n") if lines else self._column + len(text)
