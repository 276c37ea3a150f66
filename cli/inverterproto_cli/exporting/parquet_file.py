"""A Parquet table, in row groups; its columns are those that occur.

Texts are dictionaries, times milliseconds of UTC, numbers doubles: a quantity that one device
counts in whole ones and another does not has one type all the same. What is a state (`status`,
`alarm`, `fault`) is text. A file cannot get another column later, so a new one begins another part;
at the end the parts are put together, row group by row group. Most stores need one part.
"""

from collections.abc import Callable, Sequence
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any

from inverterproto.quantity import lookup
from inverterproto_cli.csv_table import in_order
from inverterproto_cli.exporting.page import Batch, Page, Single
from inverterproto_cli.extra import MissingExtra

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

_AT_ONCE = 1 << 20
GROUP = 65_536
"""Rows of a group: columns of so many compress well, and are held."""


def require() -> None:
    """See that Parquet can be written.

    Raises:
        MissingExtra: it cannot.
    """
    try:
        import pyarrow.parquet  # type: ignore[import-untyped]  # noqa: F401
    except ImportError as error:
        raise MissingExtra("Parquet needs pyarrow", "columns") from error


class ParquetFile:
    """A table.

    Args:
        put: writes to where it shall stand.
        columns: the quantities that it has; those that occur if there are none.
    """

    def __init__(self, put: Callable[[bytes], object], columns: Sequence[str] = ()) -> None:
        self._put = put
        self._columns = tuple(columns)
        self._fixed = bool(columns)
        self._held: list[pa.Table] = []
        self._rows = 0
        self._parts: list[IO[bytes]] = []
        self._writer: Any = None
        self._written: tuple[str, ...] = ()

    def write(self, page: Page) -> None:
        """Write the readings of a page."""
        if not self._fixed:
            new = in_order(page.keys().difference(self._columns))
            self._columns = (*self._columns, *new)
        table = _table(page, self._columns)
        self._held.append(table)
        self._rows += table.num_rows
        if self._rows >= GROUP:
            self._flush()

    def _flush(self) -> None:
        """Write a row group."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self._writer is None or self._written != self._columns:
            self._end_part()
            self._parts.append(TemporaryFile())  # noqa: SIM115 - closed in close()
            self._written = self._columns
            self._writer = pq.ParquetWriter(self._parts[-1], _schema(self._columns))
        whole = [_with_columns(table, self._columns) for table in self._held]
        self._writer.write_table(pa.concat_tables(whole), row_group_size=GROUP)
        self._held, self._rows = [], 0

    def _end_part(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def finish(self) -> None:
        """Write the table."""
        if self._rows or not self._parts:
            self._held.append(_schema(self._columns).empty_table())
            self._flush()
        self._end_part()
        whole = self._parts[0] if len(self._parts) == 1 else self._together()
        whole.seek(0)
        while piece := whole.read(_AT_ONCE):
            self._put(piece)

    def close(self) -> None:
        """Let go of the parts."""
        self._end_part()
        for part in self._parts:
            part.close()

    def _together(self) -> IO[bytes]:
        """Return all parts as one file."""
        import pyarrow.parquet as pq

        parts = list(self._parts)
        whole: IO[bytes] = TemporaryFile()  # noqa: SIM115 - closed in close()
        self._parts.append(whole)
        with pq.ParquetWriter(whole, _schema(self._columns)) as writer:
            for part in parts:
                part.seek(0)
                source = pq.ParquetFile(part)
                for group in range(source.num_row_groups):
                    table = source.read_row_group(group)
                    writer.write_table(_with_columns(table, self._columns))
        return whole


def _type_of(key: str) -> Any:  # noqa: ANN401 - pyarrow has no types for mypy
    import pyarrow as pa

    return _text() if lookup(key).unit is None else pa.float64()


def _text() -> Any:  # noqa: ANN401
    import pyarrow as pa

    return pa.dictionary(pa.int32(), pa.string())


def _schema(columns: Sequence[str]) -> Any:  # noqa: ANN401
    import pyarrow as pa

    time = pa.timestamp("ms", tz="UTC")
    head = {
        "family": _text(),
        "device": _text(),
        "via": _text(),
        "kind": _text(),
        "time": time,
        "time_source": _text(),
        "historic": pa.bool_(),
        "arrival": time,
        "answered": _text(),
    }
    return pa.schema(list({**head, **{key: _type_of(key) for key in columns}}.items()))


def _with_columns(table: Any, columns: Sequence[str]) -> Any:  # noqa: ANN401
    """Return a table that has these columns, the new ones empty."""
    import pyarrow as pa

    schema = _schema(columns)
    arrays = [
        table.column(field.name)
        if field.name in table.column_names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _table(page: Page, columns: Sequence[str]) -> Any:  # noqa: ANN401
    """Return a page as a table, in the order of its records."""
    import numpy as np
    import pyarrow as pa

    places = [place for batch in page.batches for place in batch.places]
    places += [single.place for single in page.singles]
    tables = [_of_batch(batch, columns) for batch in page.batches]
    tables.append(_of_singles(page.singles, columns))
    table = pa.concat_tables(tables)
    if len(tables) == 2 and not page.singles:
        return table
    return table.take(np.argsort(places, kind="stable"))


def _array(key: str, values: Any, there: Any) -> Any:  # noqa: ANN401
    """Return a quantity's values, of the type that its column has."""
    import pyarrow as pa

    if lookup(key).unit is None:
        texts = [str(value) if is_ else None for value, is_ in zip(values, there, strict=True)]
        return pa.array(texts, pa.string())
    return pa.array(values, pa.float64(), mask=~there)


def _of_batch(batch: Batch, columns: Sequence[str]) -> Any:  # noqa: ANN401
    told = {
        "family": ["deye"] * len(batch.places),
        "device": batch.devices,
        "via": batch.loggers,
        "kind": ["data"] * len(batch.places),
        "time": _milliseconds(batch.times),
        "time_source": batch.sources,
        "historic": batch.historic,
        "arrival": _milliseconds(batch.arrivals),
        "answered": batch.answered,
    }
    arrays = {key: _array(key, *batch.columns[key]) for key in columns if key in batch.columns}
    return _made({**told, **arrays}, columns)


def _of_singles(singles: Sequence[Single], columns: Sequence[str]) -> Any:  # noqa: ANN401
    import numpy as np

    readings = [single.reading for single in singles]
    told = {
        "family": [each.family for each in readings],
        "device": [each.device for each in readings],
        "via": [each.via for each in readings],
        "kind": [each.kind for each in readings],
        "time": _milliseconds([each.time for each in readings]),
        "time_source": [str(each.time_source) for each in readings],
        "historic": [bool(each.historic) for each in readings],
        "arrival": _milliseconds([each.row.arrival for each in singles]),
        "answered": [each.row.answered for each in singles],
    }
    arrays = {}
    for key in columns:
        values = [each.values.get(key) for each in readings]
        there = np.array([value is not None for value in values], np.bool_)
        arrays[key] = _array(key, [0 if value is None else value for value in values], there)
    return _made({**told, **arrays}, columns)


def _milliseconds(times: Sequence[float | None]) -> list[int | None]:
    return [None if time is None else round(round(time, 3) * 1000) for time in times]


def _made(told: dict[str, Any], columns: Sequence[str]) -> Any:  # noqa: ANN401
    """Return a table of lists and arrays; what is not told is empty."""
    import pyarrow as pa

    count = len(told["kind"])
    schema = _schema(columns)
    arrays = []
    for field in schema:
        if field.name not in told:
            arrays.append(pa.nulls(count, field.type))
        elif field.type == _text():
            arrays.append(pa.array(told[field.name], pa.string()).dictionary_encode())
        else:
            arrays.append(pa.array(told[field.name], field.type))
    return pa.Table.from_arrays(arrays, schema=schema)
