"""Chunks read like a file, for libraries that want one."""

from collections.abc import Iterable
from typing import IO, cast

from inverterproto_cli.chunk import SourceError

LONGEST_READ = 1 << 24
"""Who asks for more at once, was told so by damaged or hostile bytes."""


class ChunkFile:
    """A file that is read from chunks, from the first to the last.

    Attributes:
        cut: whether it ended where more was asked for.
        fault: why no more chunks came; libraries take it for the end, so it is kept for later.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._left = memoryview(b"")
        self.cut = False
        self.fault: OSError | SourceError | None = None

    def read(self, size: int = -1) -> bytes:
        """Return so many bytes, or what there is until the end; nothing if too many are wanted."""
        if not 0 <= size <= LONGEST_READ:
            self.cut = True
            return b""
        parts, wanted = [], size
        while wanted and (self._left or self._more()):
            part = self._left[:wanted]
            self._left = self._left[len(part) :]
            wanted -= len(part)
            parts.append(part)
        self.cut = self.cut or 0 < wanted < size
        return b"".join(parts)

    def _more(self) -> bool:
        try:
            self._left = memoryview(next(self._chunks, b""))
        except (OSError, SourceError) as error:
            self.fault = error
        return bool(self._left)

    def as_file(self) -> IO[bytes]:
        """Return this as the file that it is for who only reads."""
        return cast("IO[bytes]", self)
