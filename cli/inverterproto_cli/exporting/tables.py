"""Pages as lines of text: CSV, JSON.

Each form makes the cells of a reading in columns and of one by itself alike; `lines_of` puts the
lines of a page in the order of its records.
"""

import csv
import json
from collections.abc import Callable, Sequence
from io import StringIO
from typing import Any

from inverterproto_cli.csv_table import IDENTITY, cell
from inverterproto_cli.exporting.page import Batch, Page, Single
from inverterproto_cli.exporting.texts import Cells, Texts, joined, time_texts
from inverterproto_cli.readings import to_json

HEAD = ("family", *IDENTITY, "arrival", "answered")
"""The columns that every table begins with."""


def _in_order(page: Page, batches: Sequence[list[str]], singles: Sequence[str]) -> list[str]:
    """Return the lines of a page in the order of its records."""
    if len(batches) == 1 and not singles:
        return batches[0]
    placed = list(zip((single.place for single in page.singles), singles, strict=True))
    for batch, lines in zip(page.batches, batches, strict=True):
        placed += zip(batch.places, lines, strict=True)
    placed.sort(key=lambda each: each[0])  # those of one record stay as they are
    return [line for _, line in placed]


def _csv_text(value: object) -> str:
    """Return a cell as it stands in a line."""
    text = StringIO()
    csv.writer(text, lineterminator="").writerow((cell(value), ""))
    return text.getvalue()[:-1]


class CsvLines:
    """Makes CSV of pages."""

    def __init__(self) -> None:
        self._texts: dict[str, Texts] = {}

    def _of(self, name: str, spell: Callable[[Any], str] = _csv_text) -> Texts:
        texts = self._texts.get(name)
        if texts is None:
            texts = self._texts[name] = Texts(spell)
        return texts

    def lines(self, page: Page, columns: Sequence[str]) -> str:
        """Return the lines of a page, with the columns of some quantities."""
        batches = [self._batch(batch, columns) for batch in page.batches]
        singles = [self._single(single, columns) for single in page.singles]
        lines = _in_order(page, batches, singles)
        return "\n".join(lines) + "\n" if lines else ""

    def _batch(self, batch: Batch, columns: Sequence[str]) -> list[str]:
        cells: list[Cells] = [
            "deye",
            self._of("device").of(batch.devices),
            self._of("via").of(batch.loggers),
            "data",
            time_texts(batch.times),
            self._of("time_source").of(batch.sources),
            self._of("historic").of(batch.historic),
            time_texts(batch.arrivals),
            self._of("answered").of(batch.answered),
        ]
        for key in columns:
            column = batch.columns.get(key)
            if column is None:
                cells.append("")
            else:
                spell = _csv_text if column.values.dtype == object else repr
                cells.append(self._of(f"{key} {column.values.dtype}", spell).of_column(column))
        return joined(cells, ",", len(batch.places))

    @staticmethod
    def _single(single: Single, columns: Sequence[str]) -> str:
        told = to_json(single.row.kept(), single.reading)
        text = StringIO()
        values = (cell(single.reading.values.get(key)) for key in columns)
        csv.writer(text, lineterminator="").writerow(
            (*(cell(told[name]) for name in HEAD), *values)
        )
        return text.getvalue()


class JsonLines:
    """Makes JSON of pages, as `inverterproto readings --json` has it."""

    def __init__(self) -> None:
        self._texts: dict[str, Texts] = {}

    def _of(self, name: str) -> Texts:
        """Return the texts of a value with its name before it and a comma behind."""
        texts = self._texts.get(name)
        if texts is None:
            head = f"{json.dumps(name)}: "
            texts = self._texts[name] = Texts(lambda value: f"{head}{json.dumps(value)}, ")
        return texts

    def lines(self, page: Page) -> str:
        """Return the lines of a page."""
        batches = [self._batch(batch) for batch in page.batches]
        singles = [
            json.dumps(to_json(single.row.kept(), single.reading)) for single in page.singles
        ]
        lines = _in_order(page, batches, singles)
        return "\n".join(lines) + "\n" if lines else ""

    def _batch(self, batch: Batch) -> list[str]:
        count = len(batch.places)
        values = [self._of(key).of_column(column) for key, column in batch.columns.items()]
        heads = joined(
            [
                '{"family": "deye", ',
                self._of("device").of(batch.devices),
                self._of("via").of(batch.loggers),
                '"kind": "data", "time": ',
                [f'"{text}"' if text else "null" for text in time_texts(batch.times)],
                ", ",
                self._of("time_source").of(batch.sources),
                self._of("historic").of(batch.historic),
                '"values": {',
            ],
            "",
            count,
        )
        tails = joined(
            [
                '}, "arrival": "',
                time_texts(batch.arrivals),
                '", ',
                self._of("answered").of(batch.answered),
            ],
            "",
            count,
        )
        return [
            f"{head}{own[:-2]}{tail[:-2]}}}"
            for head, own, tail in zip(heads, joined(values, "", count), tails, strict=True)
        ]
