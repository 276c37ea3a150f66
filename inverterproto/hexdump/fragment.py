"""What a line is in some form: bytes, of which some digits may be masked; what a form is."""

import re
from collections.abc import Callable
from typing import NamedTuple, Protocol

PAIRS = r"(?:[0-9a-fA-F*?xX]{2})++"
"""An even number of hex digits, of which some may be masked; for regular expressions."""
HEX, ESCAPES, BITS, ROWS, OTHER = "hex", "escapes", "bits", "rows", "other"
"""How forms write bytes."""
MASKS = str.maketrans("?xX", "***")


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

    @property
    def spelling(self) -> str:
        """How it writes bytes: `HEX`, `ESCAPES`, `BITS`, `ROWS` or `OTHER`."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether half a byte waits for the next line."""
        ...

    def read(self, line: str, *, inside: bool = True) -> Fragment:
        """Return the bytes of the next line.

        Args:
            line: the line, without its end.
            inside: whether it may go on with a frame that began in an earlier line. If not, what
                cannot begin one may be left out.
        """
        ...


def from_digits(digits: str) -> Fragment:
    """Return the bytes of an even number of hex digits, of which some may be masked."""
    try:
        return Fragment(bytes.fromhex(digits))
    except ValueError:
        digits = digits.translate(MASKS)
    masked = tuple(at // 2 for at in range(0, len(digits), 2) if "*" in digits[at : at + 2])
    hidden = set(masked)
    pairs = (digits[at : at + 2] for at in range(0, len(digits), 2))
    data = bytes(0 if at in hidden else int(pair, 16) for at, pair in enumerate(pairs))
    return Fragment(data, masked)


def may_begin(spelling: str, starts: bytes) -> Callable[[str], object]:
    """Return what tells whether a line may hold one of some bytes."""
    if spelling == HEX:
        pairs = [text for start in starts for text in (f"{start:02x}", f"{start:02X}")]
        # `0x1`, `[a5, 1, 0]`
        short = [text for start in starts if start < 0x10 for text in _short(f"{start:x}")]
        return _holder(tuple(dict.fromkeys(pairs + short)))
    if spelling == BITS:
        return _holder(tuple(f"{start:08b}" for start in starts))
    if spelling == ROWS:
        return re.compile(r"[0-9a-fA-F]{7,8} |\*\Z").match
    return _holder(("\\",) if spelling == ESCAPES else ("",))


def _holder(texts: tuple[str, ...]) -> Callable[[str], bool]:
    def holds(line: str) -> bool:
        for text in texts:  # noqa: SIM110 - a generator costs more than the search
            if text in line:
                return True
        return False

    return holds


def _short(digit: str) -> tuple[str, ...]:
    return f"x{digit}", f"X{digit}", f"{digit},", f"{digit}]"
