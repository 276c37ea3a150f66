"""Which server has the store: a lock on a file beside it, which goes with the process."""

import fcntl
import os
import sys
from pathlib import Path

from inverterproto_cli.store.schema import StoreError


class HeldError(StoreError):
    """Another process has the store."""


class Lock:
    """Held from the making on, until `release` or the end of the process.

    Raises:
        HeldError: another process holds it; the message says which.
        StoreError: the lock file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreError(f"store {path}: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._file, 200, 0).decode("utf-8", "replace").strip()
            os.close(self._file)
            who = holder or "another process"
            text = f"store {path}: in use by {who}; name another (--store)"
            raise HeldError(text) from error
        os.ftruncate(self._file, 0)
        name = os.path.basename(sys.argv[0]) or "python"
        os.pwrite(self._file, f"process {os.getpid()} ({name})\n".encode(), 0)

    def release(self) -> None:
        """Let others have it. The file stays: to remove it would race with who opens it now."""
        os.close(self._file)
