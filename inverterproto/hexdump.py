r"""Bytes out of hex text, in chunks.

Hex digits with any separators: white space, `,`, `;`, `:`, `-`, `_`, `|`, and the prefixes `0x`
and `\x`. A pair of digits may be broken over lines and chunks. Anything else is an error that says
where it stands, because leaving out a character in the middle of a frame would shift all that
follows.
"""

import re

from inverterproto.errors import ProtocolError

_PREFIX = re.compile(r"(?:0|\\)[xX](?=[0-9A-Fa-f])")
_SEPARATORS = re.compile(r"[\s,;:\-_|]+")
_NO_DIGIT = re.compile(r"[^0-9A-Fa-f]")
_HEX_TEXT = re.compile(r"(?:(?:0|\\)[xX]|[0-9A-Fa-f\s,;:\-_|])*\Z")


def is_hex(text: str) -> bool:
    """Return whether a text holds nothing but hex digits, separators and prefixes."""
    return _HEX_TEXT.match(text) is not None and any(letter.isalnum() for letter in text)


class HexReader:
    """Turns chunks of hex text into bytes."""

    def __init__(self) -> None:
        self._line = 1
        self._column = 1
        self._text = ""  # the end of the last chunk that might be half a prefix
        self._digit = ""  # the first digit of a broken pair

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
        digits = self._digit + _SEPARATORS.sub("", _PREFIX.sub(" ", text))
        if _NO_DIGIT.search(digits):
            self._complain(text)
        even = len(digits) & ~1
        self._digit = digits[even:]
        self._count(text)
        return bytes.fromhex(digits[:even])

    def _count(self, text: str) -> None:
        lines = text.count("\n")
        self._line += lines
        self._column = len(text) - text.rfind("\n") if lines else self._column + len(text)

    def _complain(self, text: str) -> None:
        blanked = _PREFIX.sub("  ", text)
        bad = re.search(r"[^0-9A-Fa-f\s,;:\-_|]", blanked)
        assert bad is not None  # noqa: S101 - something is no digit
        self._count(text[: bad.start()])
        raise ProtocolError(
            f"no hex digit at line {self._line}, column {self._column}",
            expected="hex digits and separators",
            found=repr(text[bad.start()]),
        )
