"""What the codecs raise, and nothing else.

Every error is a `ProtocolError` (a `ValueError`) that says where the bytes or values went wrong,
what was expected there and what was found, so that a message alone is enough to look it up in a
dump. Offsets count from the start of the bytes that were given.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class ProtocolError(ValueError):
    """Bytes that are not what the protocol says, or values that it cannot carry.

    Attributes:
        offset: where in the given bytes, or None where no one place is at fault.
        expected: what should stand there, in words or as a number.
        found: what stands there.
    """

    def __init__(
        self,
        message: str,
        *,
        offset: int | None = None,
        expected: object = None,
        found: object = None,
    ) -> None:
        self.message = message
        self.offset = offset
        self.expected = expected
        self.found = found
        super().__init__(message)

    def moved(self, by: int) -> "ProtocolError":
        """Return the error with its offset counted from `by` bytes earlier."""
        return ProtocolError(
            self.message,
            offset=(self.offset or 0) + by,
            expected=self.expected,
            found=self.found,
        )

    def __str__(self) -> str:
        """`checksum at offset 341: expected 0x4e, found 0x4f`."""
        text = self.message
        if self.offset is not None:
            text += f" at offset {self.offset}"
        if self.expected is not None:
            text += f": expected {self.expected}, found {self.found}"
        return text


class ChecksumError(ProtocolError):
    """All of a frame is in its place but the checksum or CRC."""


class IncompleteError(ProtocolError):
    """The bytes end before the frame does; `expected` and `found` are byte counts."""


class FieldError(ProtocolError):
    """A value that a field cannot carry: out of range, off its raw steps, or of the wrong type.

    Attributes:
        field: the field's name.
    """

    def __init__(self, field: str, message: str, *, expected: object, found: object) -> None:
        self.field = field
        self._why = message
        super().__init__(f"{field}: {message}", expected=expected, found=found)

    def within(self, path: str) -> "FieldError":
        """Return the error with its field named as a part of `path`: `header.sequence`."""
        field = f"{path}.{self.field}"
        return FieldError(field, self._why, expected=self.expected, found=self.found)


class LayoutError(ProtocolError):
    """A text that declares no layout.

    Attributes:
        problems: a line for each thing that is wrong with it.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


@contextmanager
def within(path: str) -> Iterator[None]:
    """Let every `FieldError` name its field as a part of `path`."""
    try:
        yield
    except FieldError as error:
        raise error.within(path) from error
