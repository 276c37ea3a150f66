"""Stored records (command 12): a header line, then a line a record, as CSV (source: V).

The header line of each frame says what its columns are: firmware differs. Devices quote nothing,
so a comma always separates; blanks beside one do not count. Lines end in LF; CR, CRLF and blank
lines are survived. A first line that holds no known key is no header, and what its
columns mean is then not guessed.

As in JSON, what is unchanged keeps its bytes: an edit touches only the cells that differ.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from inverterproto.alphaess.fields import BY_NAME, to_value
from inverterproto.alphaess.spelling import is_same, plain
from inverterproto.alphaess.text import Names, is_utf8, recoded
from inverterproto.errors import FieldError

COLUMNS = "columns"
ROWS = "rows"

_find_lines = re.compile(r"[^\r\n]++").finditer
_find_unfit = re.compile(r"[,\x00-\x08\x0a-\x1f\x7f]").search


class Line(NamedTuple):
    """A line that is not blank.

    Attributes:
        start: offset of its first byte in the payload.
        cells: its texts, a character for each byte.
    """

    start: int
    cells: list[str]

    @property
    def end(self) -> int:
        """The offset behind its last cell."""
        return self.start + sum(map(len, self.cells)) + len(self.cells) - 1

    def places(self) -> Iterator[tuple[int, int]]:
        """Yield where each cell begins and ends."""
        start = self.start
        for cell in self.cells:
            yield start, start + len(cell)
            start += len(cell) + 1


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

    def fields(self) -> dict[str, Any]:
        """Return `columns`, and `rows` of cells, typed by their columns."""
        utf8 = is_utf8(self.payload)
        columns = [_meant(cell, utf8=utf8) for cell in self.header.cells] if self.header else []
        rows = [_typed(columns, line.cells, utf8=utf8) for line in self.lines]
        return {COLUMNS: columns, ROWS: rows}


def _typed(columns: list[str], cells: list[str], *, utf8: bool) -> list[Any]:
    values: list[Any] = [_meant(cell, utf8=utf8) for cell in cells]
    values[: len(columns)] = map(to_value, columns, values)
    return values


def _meant(cell: str, *, utf8: bool) -> str:
    """Return what a cell says: blanks around it do not count."""
    return recoded(cell, utf8=utf8).strip(" ")


def scan_table(payload: bytes) -> Table:
    """Return the lines of a payload; never fails."""
    found = _find_lines(payload.decode("latin-1"))
    lines = [Line(line.start(), line[0].split(",")) for line in found if line[0].strip(" ")]
    header = lines.pop(0) if lines and _is_header(lines[0].cells) else None
    problems = [] if is_utf8(payload) else ["payload is not UTF-8: read as Latin-1"]
    if header is None:
        problems.append("no header line")
    else:
        width = len(header.cells)
        if "SN" not in [cell.strip(" ") for cell in header.cells]:
            problems.append("no column SN")
        problems += [
            f"row {number}: {len(line.cells)} cells, {width} columns"
            for number, line in enumerate(lines, 1)
            if len(line.cells) != width
        ]
    return Table(payload, header, lines, tuple(problems))


def _is_header(cells: Sequence[object]) -> bool:
    return any(isinstance(cell, str) and cell.strip(" ") in BY_NAME for cell in cells)


def row_fields(columns: list[str], row: list[Any]) -> dict[str, Any]:
    """Return a row as names and values; of what has no column nothing is known."""
    names = Names()
    return dict(zip(map(names.give, columns), row, strict=False))


def write_table(fields: Mapping[str, Any]) -> bytes:
    """Return the payload for `columns` and `rows`.

    Raises:
        FieldError: a value cannot be written, or could not be read back.
    """
    lines = [_spelled(line, utf8=True) for line in _checked_lines(fields)]
    return "".join(f"{line}\n" for line in lines).encode("latin-1")


def edit_table(table: Table, new: Mapping[str, Any]) -> bytes:
    """Return the payload changed to say `new`; what is the same keeps its bytes.

    Raises:
        FieldError: a value cannot be written, or could not be read back.
    """
    text = table.payload.decode("latin-1")
    utf8 = is_utf8(table.payload)
    wanted = _checked_lines(new)
    old = table.fields()
    lines = table.lines if table.header is None else [table.header, *table.lines]
    if not lines or bool(old[COLUMNS]) != bool(new[COLUMNS]):
        return write_table(new)
    meant = [old[COLUMNS], *old[ROWS]] if old[COLUMNS] else old[ROWS]
    pieces = [text[: lines[0].start]]
    for number, (line, values, cells) in enumerate(zip(lines, meant, wanted, strict=False)):
        if number:
            pieces.append(text[lines[number - 1].end : line.start])
        pieces.append(_respelled(line.cells, values, cells, utf8=utf8))
    newline = "\r\n" if "\r\n" in text else "\n"
    pieces += [newline + _spelled(cells, utf8=utf8) for cells in wanted[len(lines) :]]
    pieces.append(text[lines[-1].end :])
    return "".join(pieces).encode("latin-1")


def _checked_lines(fields: Mapping[str, Any]) -> list[list[Any]]:
    """Return all lines to write, the header first, if they can be told apart when read."""
    columns, rows = fields[COLUMNS], fields.get(ROWS, [])
    for name, lines in ((COLUMNS, [columns]), (ROWS, rows)):
        if not isinstance(lines, list) or not all(isinstance(line, list) for line in lines):
            raise FieldError(name, "not a list", expected="lists of cells", found=repr(lines)[:60])
    first = columns or (rows[0] if rows else [])
    if not first or _is_header([cell for cell in first if isinstance(cell, str)]) != bool(columns):
        expected = "columns, one of them with a known key"
        raise FieldError(COLUMNS, "no header line", expected=expected, found=repr(first)[:60])
    if str(first[0]).lstrip().startswith("{"):
        raise FieldError(COLUMNS, "begins as JSON", expected="no {", found=repr(first[0])[:60])
    if unknown := fields.keys() - {COLUMNS, ROWS}:
        raise FieldError(min(unknown), "not in a table", expected="columns and rows", found=unknown)
    return [columns, *rows] if columns else rows


def _respelled(texts: list[str], old: list[Any], new: list[Any], *, utf8: bool) -> str:
    """Return a line that says `new`, where it said `old` with these texts."""
    cells = [
        texts[at] if at < len(old) and is_same(old[at], value) else _cell(value, utf8=utf8)
        for at, value in enumerate(new)
    ]
    return _joined(cells)


def _spelled(line: list[Any], *, utf8: bool) -> str:
    return _joined([_cell(value, utf8=utf8) for value in line])


def _joined(cells: list[str]) -> str:
    line = ",".join(cells)
    if not line:
        raise FieldError(ROWS, "a blank line is no row", expected="cells", found=cells)
    return line


def _cell(value: Any, *, utf8: bool) -> str:  # noqa: ANN401 - text, a number or a bool
    """Return a cell's text, a character for each of its bytes."""
    if isinstance(value, int | float):
        return plain(ROWS, value).capitalize()
    if not isinstance(value, str) or _find_unfit(value) or value != value.strip(" "):
        expected = "a number, or a text without commas, line ends, other controls and outer blanks"
        raise FieldError(ROWS, "no cell", expected=expected, found=repr(value)[:60])
    try:
        return value.encode("utf-8" if utf8 else "latin-1").decode("latin-1")
    except UnicodeEncodeError as error:
        expected = "UTF-8" if utf8 else "Latin-1, as the other cells are"
        raise FieldError(ROWS, "no cell", expected=expected, found=repr(value)[:60]) from error
