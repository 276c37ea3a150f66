"""Readings as one CSV table.

Which columns a table has is known only when the last reading was seen, so the rows wait in a
temporary file (in memory while they are few) and the table is written at the end: the quantities
that occurred, in the order of the vocabulary.
"""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from tempfile import SpooledTemporaryFile
from typing import TextIO

from inverterproto.decoding import Decoded
from inverterproto.quantity import QUANTITIES, template_of
from inverterproto_cli.show import printable

_IN_MEMORY = 8 << 20
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
IDENTITY = ("device", "via", "kind", "time", "time_source", "historic")
"""The columns that every table begins with."""


class CsvWriter:
    """Writes readings, or those of all that was decoded.

    Args:
        out: where to.
        identity: the columns that the table begins with.
        keys: the quantities that follow; those that occur if none are given.
    """

    def __init__(
        self, out: TextIO, identity: Sequence[str] = IDENTITY, keys: Sequence[str] = ()
    ) -> None:
        self.out = out
        self._identity = identity
        self._chosen = list(keys)
        self._begun = False
        self._rows = SpooledTemporaryFile(max_size=_IN_MEMORY, mode="w+", encoding="utf-8")  # noqa: SIM115 - closed in close()
        self._keys: set[str] = set()
        self._table = csv.writer(out, lineterminator="\n")
        self._told = False  # whether the head is written

    def write(self, decoded: Decoded) -> None:
        """Keep the readings of one item."""
        for reading in decoded.readings:
            self.add(reading.to_json(), reading.values)

    def add(self, row: Mapping[str, object], values: Iterable[str]) -> None:
        """Keep a reading as JSON has it; `values` are the keys of its quantities."""
        self._keys.update(values)
        self._rows.write(json.dumps(row) + "\n")
        if self._begun:
            self.begin()

    def close(self) -> None:
        """Write the table."""
        self._head()
        self._body()
        self._rows.close()
        self.out.flush()

    def begin(self) -> None:
        """Write what there is, if there is anything: from then on each reading as it comes.

        The columns are those of the readings so far.
        """
        if not (self._keys or self._chosen):
            self._begun = True
            return
        if not self._told:
            self._head()
        self._begun = True
        self._body()
        self._rows.seek(0)
        self._rows.truncate()
        self.out.flush()

    def _head(self) -> None:
        self._chosen = self._chosen or in_order(self._keys)
        self._told = True
        self._table.writerow((*self._identity, *self._chosen))

    def _body(self) -> None:
        self._rows.seek(0)
        for line in self._rows:
            row = json.loads(line)
            cells = [cell(row[name]) for name in self._identity]
            values = (cell(row["values"].get(key)) for key in self._chosen)
            self._table.writerow((*cells, *values))


_ORDER = {key: index for index, key in enumerate(QUANTITIES)}


def in_order(keys: Iterable[str]) -> list[str]:
    """Return quantities in the order of the vocabulary.

    cell2 stands before cell10: of keys of one kind the shorter comes first.
    """
    return sorted(keys, key=lambda key: (_ORDER[template_of(key)], len(key), key))


def cell(value: object) -> object:
    """Return what stands in a cell.

    Text of a device may do no harm: what a spreadsheet would run as a formula is quoted, and what a
    terminal would act upon escaped.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return value
    quote = "'" if value.startswith(_FORMULA) else ""
    return quote + printable(value)
