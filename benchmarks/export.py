"""A store brought out by the command: readings a second, and memory.

The store has the real micro-inverter's frame as one inverter would send it for years: a record each
five minutes, with other counters, voltages, currents and powers each time, and arrivals that are no
whole seconds. What is measured is the whole command, its start-up too.
"""

import os
import random
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path

from benchmarks.bulk import run_command
from benchmarks.frames import micro_inverter
from benchmarks.measure import Effort, Line, at_least
from benchmarks.startup import inverterproto
from inverterproto.checksum import sum8
from inverterproto.deye.frame import PAYLOAD_AT
from inverterproto.reading import Dated, TimeSource
from inverterproto.session import Record
from inverterproto_cli.store.batch import Batch
from inverterproto_cli.store.schema import open_for_writing

TITLE = "Readings of a store into a file: inverterproto export -o FILE"

GOAL_RATE = 200_000
"""Readings in a second to CSV, as the command does it by itself."""
_BYTES = 100
"""Of the effort's file are a record here."""
_GROUP = 1000
_NOW = 1_600_000_000.0
_EVERY = 300.0
_MICRO, _LOGGER = "2301234567", "2712345678"
_REAL = micro_inverter()


def run(effort: Effort) -> Iterator[Line]:
    """Yield the lines of this group."""
    count = max(effort.bulk_bytes // _BYTES, _GROUP)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        few, many = folder / "few.db", folder / "many.db"
        fill(few, count // 10)
        fill(many, count)
        _, less = _export(few, folder / "few.csv", "--processes", "1")
        seconds, more = _export(many, folder / "one.csv", "--processes", "1")
        _see(folder / "one.csv", count)
        note = f"peak memory {more / 2**20:.0f} MiB, of a tenth of it {less / 2**20:.0f} MiB"
        yield Line(f"csv, {count:,} readings, one process", count / seconds, "/s", note=note)
        with _all_cores() as cores:
            seconds, _ = _export(many, folder / "all.csv")
        _see(folder / "all.csv", count)
        ratio, goal = count / seconds / GOAL_RATE, at_least(1)
        note = f"on {cores} cores; the ratio is to {GOAL_RATE:,}/s"
        yield Line("csv, as it comes", count / seconds, "/s", ratio, goal, note)
        for form in ("jsonl", "parquet"):
            if form == "parquet" and find_spec("pyarrow") is None:
                yield Line(f"{form}, one process", None, "/s", note="no pyarrow")
                continue
            seconds, peak = _export(many, folder / f"out.{form}", "--processes", "1")
            note = f"peak memory {peak / 2**20:.0f} MiB"
            yield Line(f"{form}, one process", count / seconds, "/s", note=note)


def _export(store: Path, output: Path, *options: str) -> tuple[float, int]:
    command, environment = inverterproto()
    arguments = ["export", "--store", str(store), "-o", str(output), *options]
    return run_command([*command, *arguments], environment)


def _see(table: Path, count: int) -> None:
    """See that nothing is missing."""
    with table.open("rb") as file:
        lines = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    if lines != count + 1:
        raise RuntimeError(f"{lines - 1} of {count} readings were written")


@contextmanager
def _all_cores() -> Iterator[int]:
    """Let what is started run on all cores; yield how many there are."""
    if not hasattr(os, "sched_setaffinity"):
        yield os.cpu_count() or 1
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    try:
        yield len(os.sched_getaffinity(0))
    finally:
        os.sched_setaffinity(0, before)


def fill(path: Path, count: int) -> None:
    """Make a store with so many records of one inverter."""
    chance = random.Random(1)
    with closing(open_for_writing(path)) as connection:
        connection.execute(
            "INSERT INTO device (id, family, serial, via, first, last) VALUES "
            f"(1, 'deye', '{_MICRO}', '{_LOGGER}', 0, 0), (2, 'deye', '{_LOGGER}', NULL, 0, 0)"
        )
        connection.execute("PRAGMA synchronous = OFF")
        for begin in range(0, count, _GROUP):
            _write(connection, range(begin, min(begin + _GROUP, count)), chance)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _write(connection: sqlite3.Connection, numbers: range, chance: random.Random) -> None:
    batch = Batch()
    for number in numbers:
        key, time = number.to_bytes(16, "big"), _NOW + _EVERY * number
        record = Record(
            key, "deye", "data", _MICRO, _LOGGER, historic=False, stamp=float(number),
            frame=_frame(number, chance),
        )  # fmt: skip
        batch.keep(record, 1, 2, time + 7 + chance.random(), "us")
        batch.date(Dated(key, time, TimeSource.DEVICE, _NOW), number + 1)
    batch.write(connection)


def _frame(number: int, chance: random.Random) -> bytes:
    """Return the frame with other values."""
    frame = bytearray(_REAL)

    def put(offset: int, size: int, value: int) -> None:
        at = PAYLOAD_AT + offset
        frame[at : at + size] = value.to_bytes(size, "little")

    put(7, 4, number)
    put(33, 4, number % 288 * 3)  # energy today
    put(37, 4, 1775 + number // 20)  # energy in all
    put(45, 2, chance.randrange(2200, 2450))  # voltage of the grid
    put(51, 2, chance.randrange(0, 35))  # its current
    put(57, 2, chance.randrange(4980, 5020))  # its frequency
    put(59, 4, chance.randrange(800))  # power
    put(63, 2, chance.randrange(2000, 6000))  # temperature
    for pv in (1, 2):
        put(81 + 4 * pv, 2, chance.randrange(250, 450))
        put(83 + 4 * pv, 2, chance.randrange(120))
    frame[-2] = sum8(frame, 1, len(frame) - 2)
    return bytes(frame)
