"""A CSV table of which the head is known at the end: lines wait, and get what they lack.

A line has a cell for each quantity that was known when it was made. As new ones only ever go behind
these, what it lacks is commas before its end; no line feed stands elsewhere in a line.
"""

import csv
from collections.abc import Callable, Sequence
from io import StringIO
from tempfile import TemporaryFile

from inverterproto_cli.exporting.tables import HEAD

_AT_ONCE = 1 << 20


class CsvFile:
    """A table.

    Args:
        put: writes to where it shall stand.
        columns: the quantities that it has; those that occur if there are none.

    Attributes:
        columns: the quantities that are known.
    """

    def __init__(self, put: Callable[[bytes], object], columns: Sequence[str] = ()) -> None:
        self.columns: tuple[str, ...] = tuple(columns)
        self._put = put
        self._fixed = bool(columns)
        self._waiting = TemporaryFile()  # noqa: SIM115 - closed in close()
        self._sections: list[tuple[int, int]] = []
        if self._fixed:
            put(self._head())

    def write(self, lines: bytes, columns: tuple[str, ...]) -> bool:
        """Write lines with the columns of some quantities; return whether they fit behind others.

        They do if they have the first ones of the columns that are known, or all of them and more.
        """
        both = min(len(columns), len(self.columns))
        if columns[:both] != self.columns[:both]:
            return False
        if self._fixed:
            self._put(lines)
            return True
        self.columns = max(columns, self.columns, key=len)
        self._waiting.write(lines)
        if self._sections and self._sections[-1][1] == len(columns):
            size, _ = self._sections.pop()
        else:
            size = 0
        self._sections.append((size + len(lines), len(columns)))
        return True

    def finish(self) -> None:
        """Write the table."""
        if not self._fixed:
            self._put(self._head())
            self._waiting.seek(0)
            for size, columns in self._sections:
                self._give(size, b"," * (len(self.columns) - columns))

    def close(self) -> None:
        """Let go of what waits."""
        self._waiting.close()

    def _give(self, size: int, lacking: bytes) -> None:
        """Write some of what waits, with what each line lacks."""
        while size:
            piece = self._waiting.read(min(size, _AT_ONCE))
            size -= len(piece)
            self._put(piece.replace(b"\n", lacking + b"\n") if lacking else piece)

    def _head(self) -> bytes:
        head = StringIO()
        csv.writer(head, lineterminator="\n").writerow((*HEAD, *self.columns))
        return head.getvalue().encode()
