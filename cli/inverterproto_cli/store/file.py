"""The file of a store in the hands of who writes it: opened, written, and begun anew.

Theory of operation
-------------------
*A file is begun anew* where the one that there was is of no use any more: it is damaged, or it was
removed or replaced by somebody, so that what is written goes nowhere. What stands there is moved
aside, never removed. The new file knows no devices, and records name them by number: so who
writes is told (`AnewError`) to hand over the same once more, with all devices.

*No failure leaves it unusable.* The connection is dropped first; who finds none opens the file. If
that fails (the disk is full), it is a trouble like any other, and the next try goes on from there.

*Whether the file is still there* is looked at behind each commit: what was committed before it went
away went with it, what comes after is written to the new one before it is acknowledged.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from inverterproto_cli.store.retention import Keep, Removed, Retention, Say
from inverterproto_cli.store.schema import StoreError, is_damage, open_for_writing, set_aside

if TYPE_CHECKING:
    from inverterproto_cli.store.batch import Batch


class AnewError(Exception):
    """The next file is another one, which knows no devices."""


class StoreFile:
    """A store's file. After `open`, all is for one thread.

    Args:
        path: of the file.
        keep: how much is kept.
        say: is told what became of it; it is called in the thread.

    Attributes:
        retention: of the present file.
        removed: from all files that it had.
    """

    def __init__(self, path: Path, keep: Keep, say: Say) -> None:
        self.removed = Removed(say)
        self._path = path
        self._keep = keep
        self._say = say
        self._connection: sqlite3.Connection | None = None
        self._wrong: tuple[str, str] | None = None
        self._anew = False

    def open(self, read: Callable[[sqlite3.Connection], object]) -> None:
        """Open the file, and let somebody read what it knows; a damaged one is begun anew.

        Raises:
            StoreError: it cannot be used.
        """
        try:
            try:
                read(self._opened())
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                self._drop("damaged", f"is damaged ({error})")
                read(self._opened())
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"store {self._path}: {error}") from error
        self._anew = False

    def _opened(self) -> sqlite3.Connection:
        """Return the connection; open the file if there is none."""
        if self._connection is not None:
            return self._connection
        if self._wrong is not None:
            mark, text = self._wrong
            aside = set_aside(self._path, mark)
            self._wrong = None
            kept = "nothing is left of it" if aside is None else f"kept as {aside}"
            self._say("store-damaged", f"store {self._path} {text}: {kept}, a new one is begun")
        connection = open_for_writing(self._path)
        try:
            self.retention = Retention(connection, self._keep, self.removed)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self._found = self._there()
        return connection

    def _there(self) -> list[tuple[int, int]]:
        """Return which files stand where the file and its log are."""
        try:
            found = [os.stat(f"{self._path}{suffix}") for suffix in ("", "-wal")]
        except FileNotFoundError:
            return []
        return [(each.st_dev, each.st_ino) for each in found]

    def write(self, batch: "Batch") -> None:
        """Write a batch.

        Raises:
            AnewError: it is to be handed over once more, with all devices.
            sqlite3.Error, OSError, StoreError: it cannot be written now.
        """
        if not self._anew:
            self._try(batch.write)
        if self._anew:
            self._anew = False
            raise AnewError

    def clean_up(self, batch: "Batch") -> None:
        """Begin to remove what is too much, after a batch was written."""
        self._clean_up(lambda: self.retention.after(batch))

    def clean_up_more(self) -> bool:
        """Go on with that, where no batch waits; return whether there is more to do."""
        return self._clean_up(lambda: self.retention.step())

    def _clean_up(self, act: Callable[[], bool | None]) -> bool:
        """Remove something; if that fails, it is tried again with a later batch."""
        if self._connection is None:
            return False
        more: list[bool | None] = []
        try:
            self._try(lambda _: more.append(act()))
        except Exception as error:  # noqa: BLE001 - what is kept is kept, and more can be
            text = f"store {self._path}: cleaning up: {error}"
            self.removed.complain("cleaning", "store-cleaning", text)
        return any(more)

    def _try(self, act: Callable[[sqlite3.Connection], object]) -> None:
        """Do something with the file; drop it if that shows that it is of no use."""
        try:
            act(self._opened())
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            self._drop("damaged", f"is damaged ({error})")
            return
        if self._there() != self._found:
            self._drop("replaced", "was removed, moved or replaced while this server had it")

    def _drop(self, mark: str, text: str) -> None:
        """Have nothing to do with the file any more."""
        self._anew = True
        self._wrong = mark, text
        self.close()

    def close(self) -> None:
        """Let the file go."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                # Where it was moved, what was committed goes with it.
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            with suppress(sqlite3.Error):
                connection.close()
