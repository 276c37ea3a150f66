"""Files by day, to which whole lines are added: what was begun is mended, what failed undone.

A file is opened for each addition and closed after it. So one that was moved or removed is begun
anew, and nothing is held of many days.

*Torn ends.* A crash may leave half a line, or zeros where the disk did not get the end: what stands
behind the last line feed is cut off. A packed file (gzip) is a row of members, each of whole lines;
to add is to write another member, and what is left of one that was not finished is cut off. For
that a packed file is read through, once, as long as only we add to it.

*All or nothing.* An `Addition` writes to several files; when one fails, those that it wrote to
before are cut back to what they were. Else what is tried again would stand in them again and again.
"""

import gzip
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Self

PACKED = ".gz"
_BLOCK = 1 << 18
_MOST_SOUND = 1000
"""Packed files of which it is remembered that they are sound."""


class DamagedError(OSError):
    """A packed file cannot be read to its end, and not because of its end."""

    def __init__(self, path: Path) -> None:
        super().__init__(0, "is damaged: move it away, then it is begun anew", str(path))


class DayFiles:
    """Adds to files.

    Args:
        mode: who may read a file that is made.
    """

    def __init__(self, mode: int) -> None:
        self._mode = mode
        self._sound: dict[Path, int] = {}

    def addition(self) -> "Addition":
        """Return what adds to some files, all or none."""
        return Addition(self)

    def open(self, path: Path) -> int:
        """Open a file, made if it is not there, and mend it; return its descriptor at its end."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, self._mode)
        try:
            size = self._mend(path, descriptor)
            os.lseek(descriptor, size, os.SEEK_SET)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _mend(self, path: Path, descriptor: int) -> int:
        """Cut off a torn end; return the size of what is left."""
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "is no file: move it away", str(path))
        size = status.st_size
        if path.suffix != PACKED:
            whole = _end_of_lines(descriptor, size)
        elif self._sound.get(path) == size:
            whole = size
        else:
            with open(os.dup(descriptor), "rb") as file:
                whole = _end_of_members(file, path)
        if whole != size:
            os.ftruncate(descriptor, whole)
        return whole

    def note(self, path: Path, size: int) -> None:
        """Note that a file is sound up to its end."""
        if path.suffix == PACKED:
            if len(self._sound) >= _MOST_SOUND:
                self._sound.clear()
            self._sound[path] = size

    def first_line(self, path: Path) -> bytes:
        """Return the first line of a file, packed or not; nothing if there is no whole one."""
        os.close(self.open(path))  # it is mended
        with _reading(path) as file:
            line = file.readline(_BLOCK)
        return line if line.endswith(b"\n") else b""

    def pack(self, path: Path) -> None:
        """Pack a file; it is there all the time, packed or not.

        If both are there, the last packing was cut short behind the renaming, or somebody unpacked
        it: what the packed one has not got is added to it.
        """
        packed = path.with_name(path.name + PACKED)
        if packed.exists():
            os.close(self.open(packed))  # it is mended
            if _begins_with(packed, path):
                path.unlink()
                return
        making = packed.with_name(f".{packed.name}.new")
        try:
            descriptor = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, self._mode)
            with os.fdopen(descriptor, "wb") as file:
                if packed.exists():
                    _copy(packed, file)
                with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as member:
                    _copy(path, member)
                file.flush()
                os.fsync(descriptor)
            making.rename(packed)
        except BaseException:
            with suppress(OSError):
                making.unlink()
            raise
        sync_folder(path.parent)
        path.unlink()


class Addition:
    """Adds to some files, all or none. Use it in a `with` statement."""

    def __init__(self, files: DayFiles) -> None:
        self._files = files
        self._before: list[tuple[Path, int]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        if kind is not None:
            for path, size in reversed(self._before):
                with suppress(OSError):
                    os.truncate(path, size) if size else path.unlink()

    def add(self, path: Path, head: bytes, lines: bytes) -> None:
        """Add lines; to a file that has none yet the head first. It is on disk then."""
        descriptor = self._files.open(path)
        try:
            size = os.lseek(descriptor, 0, os.SEEK_CUR)
            self._before.append((path, size))
            data = lines if size else head + lines
            if path.suffix == PACKED:
                data = gzip.compress(data, mtime=0)
            _write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if not size:
            sync_folder(path.parent)
        self._files.note(path, size + len(data))


def sync_folder(folder: Path) -> None:
    """See that what was made, renamed or removed in a folder is so after a power cut, too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reading(path: Path) -> IO[bytes] | gzip.GzipFile:
    if path.suffix == PACKED:
        return gzip.open(path, "rb")
    return path.open("rb")


def _copy(path: Path, to: IO[bytes] | gzip.GzipFile) -> None:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            to.write(block)


def _begins_with(packed: Path, plain: Path) -> bool:
    """Return whether all of a file is in a packed one."""
    with gzip.open(packed, "rb") as one, plain.open("rb") as other:
        while block := other.read(_BLOCK):
            if one.read(len(block)) != block:
                return False
    return True


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _end_of_lines(descriptor: int, size: int) -> int:
    """Return where the last whole line of a file ends."""
    end = size
    while end:
        start = max(end - _BLOCK, 0)
        at = os.pread(descriptor, end - start, start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return 0


def _end_of_members(file: IO[bytes], path: Path) -> int:
    """Return where the last whole member of a packed file ends.

    Raises:
        DamagedError: one in the middle cannot be read.
    """
    whole = 0
    for end, state in _members(file):
        if state == "broken":
            file.seek(whole)
            if any(any(block) for block in iter(lambda: file.read(_BLOCK), b"")):
                raise DamagedError(path)
        if state != "whole":
            return whole
        whole = end
    return whole


def _members(file: IO[bytes]) -> Iterator[tuple[int, str]]:
    """Yield for each member of a packed file where it ends, and whether it is whole."""
    at, held = 0, b""
    while held or (held := file.read(_BLOCK)):
        unpacker = zlib.decompressobj(wbits=31)
        while not unpacker.eof:
            if not held and not (held := file.read(_BLOCK)):
                yield at, "torn"
                return
            try:
                unpacker.decompress(held, _BLOCK)
            except zlib.error:
                yield at, "broken"
                return
            left = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
            at += len(held) - len(left)
            held = left
        yield at, "whole"
