"""Records into the store in groups, on one core, beside a bare `executemany` of the same rows.

A group is what comes while the last commit is under way. Ours is all that happens between a record
and its place on disk: collecting, dating, numbering, the transaction; beside it the same rows, made
before, go into the same tables by one statement a group.
"""

import sqlite3
import tempfile
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from time import perf_counter

from benchmarks.frames import micro_inverter
from benchmarks.measure import Effort, Line, Samples, at_least
from inverterproto.reading import Dated, TimeSource
from inverterproto.session import Record
from inverterproto_cli.store.batch import Batch
from inverterproto_cli.store.schema import open_for_writing

TITLE = "Records of 343 bytes into the store, in groups, on one core"

GROUPS = (100, 1000)
GOAL_RATE = 50_000
"""Records in a second, in groups of 1000."""
_DEVICE, _LOGGER = 1, 2
_SERIAL = "2700000000"
_NOW = 1_750_000_000.0
_ROW = tuple[object, ...]
_BARE = """
INSERT INTO record (key, family, kind, device, via, sender, historic, known, masked, answered,
                    arrival, stamp, frame, time, source, clock_offset, number)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


def run(effort: Effort) -> Iterator[Line]:
    """Yield the lines of this group."""
    turns = max(2, effort.turns // 5)
    for size in GROUPS:
        count = max(2, round(effort.seconds * 300_000 / size))
        with tempfile.TemporaryDirectory() as folder:
            samples = _compare(Path(folder), size, count, turns)
        ours, bare = f"ours, groups of {size}", f"bare executemany, groups of {size}"
        seconds = samples.micros(ours) / 1e6
        rate = 1 / seconds
        goal = at_least(1) if size == max(GROUPS) else None
        note = f"the ratio is to {GOAL_RATE:,} records/s"
        yield Line(ours, rate, "records/s", rate / GOAL_RATE, goal, note)
        share = 1 / samples.ratio(ours, bare)
        note = f"ours has {share:.2f} of its speed"
        yield Line(bare, 1e6 / samples.micros(bare), "records/s", note=note)


def _compare(folder: Path, size: int, count: int, turns: int) -> Samples:
    """Let both write in turns, each into a file of its own."""
    ours, bare = (open_for_writing(folder / name) for name in ("ours.db", "bare.db"))
    taken: dict[str, list[float]] = {"ours": [], "bare": []}
    written = 0
    try:
        for _ in range(turns):
            groups = [_records(written + size * number, size) for number in range(count)]
            written += size * count
            taken["ours"].append(sum(_write(ours, group) for group in groups) / size / count)
            rows = [_rows(group) for group in groups]
            taken["bare"].append(sum(_write_bare(bare, some) for some in rows) / size / count)
        kept = {each.execute("SELECT count(*) FROM record").fetchone()[0] for each in (ours, bare)}
        if kept != {written}:
            raise RuntimeError(f"of {written} records {kept} were kept")
    finally:
        ours.close()
        bare.close()
    return Samples({f"{name}{_OF[name]}, groups of {size}": times for name, times in taken.items()})


_OF = {"ours": "", "bare": " executemany"}


def _records(begin: int, size: int) -> list[tuple[Record, Dated, int]]:
    """Return records that were never there before, with their dates and numbers."""
    raw = micro_inverter()
    records = []
    for number in range(begin + 1, begin + size + 1):
        frame = raw[:14] + number.to_bytes(4, "little") + raw[18:]
        key = blake2b(frame, digest_size=16).digest()
        stamp = float(number)
        record = Record(
            key, "deye", "data", _SERIAL, _SERIAL, historic=False, stamp=stamp, frame=frame
        )
        dated = Dated(key, _NOW + number, TimeSource.DEVICE, _NOW)
        records.append((record, dated, number))
    return records


def _rows(group: list[tuple[Record, Dated, int]]) -> list[_ROW]:
    return [
        (
            record.key, record.family, record.kind, _DEVICE, _LOGGER, record.sender,
            record.historic, record.known, record.masked, "us", _NOW, record.stamp, record.frame,
            dated.time, dated.source.value, dated.offset, number,
        )
        for record, dated, number in group
    ]  # fmt: skip


def _write(connection: sqlite3.Connection, group: list[tuple[Record, Dated, int]]) -> float:
    begin = perf_counter()
    batch = Batch()
    for record, dated, number in group:
        batch.keep(record, _DEVICE, _LOGGER, _NOW, "us")
        batch.date(dated, number)
    batch.write(connection)
    return perf_counter() - begin


def _write_bare(connection: sqlite3.Connection, rows: list[_ROW]) -> float:
    begin = perf_counter()
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(_BARE, rows)
    connection.execute("COMMIT")
    return perf_counter() - begin
