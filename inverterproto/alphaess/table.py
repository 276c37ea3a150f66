"""Stored records (command 12): a header line, then a line a record, as CSV (source: V).

The header line of each frame says what its columns are: firmware differs. Devices quote nothing,
so a comma always separates. Lines end in LF; CRLF and blank lines are survived. A first line that
holds no known key is no header; what its columns mean is then not guessed.

As in JSON, what is unchanged keeps its bytes: an edit touches only the cells that differ.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from inverterproto.alphaess.fields import BY_NAME, to_value
from inverterproto.alphaess.spelling import is_same, plain
from inverterproto.alphaess.text import Names
from inverterproto.errors import FieldError

_LINE = re.compile(r"([^\r\n]*+)(\r*+\n|\r*+\Z|\r++)")


class Line(NamedTuple):
    """A line of the table that is not blank.

    Attributes:
        cells: its texts.
        start: offset of its first byte in the payload.
        end: offset behind its last cell.
    """

    cells: list[str]
    start: int
    end: int


class Table(NamedTuple):
    """A payload that is a table.

    Attributes:
        payload: all of its bytes.
        header: the header line, if there is one.
        lines: the lines behind it.
        problems: what is wrong with it.
    """

    payload: bytes
    header: Line | None
    lines: list[Line]
    problems: tuple[str, ...]

    @property
    def columns(self) -> list[str]:
        """The columns' names as the header line has them."""
        return [] if self.header is None else self.header.cells

    def fields(self) -> dict[str, Any]:
        """Return the table as `columns` and `rows`, the rows' cells typed by their columns."""
        columns = self.columns
        rows = [_typed(columns, line.cells) for line in self.lines]
        return {"columns": list(columns), "rows": rows}


def scan_table(payload: bytes) -> Table:
    """Return the lines of a payload. Never fails; bytes that are no UTF-8 are read as Latin-1."""
    ...
