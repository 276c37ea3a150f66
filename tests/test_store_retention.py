"""How much the store keeps: by age, by size, of junk; in small steps, and told."""

import asyncio
import sqlite3
from contextlib import closing
from math import inf
from pathlib import Path
from time import monotonic, time
from typing import NoReturn

import pytest

from inverterproto_cli.store import Reader, Store
from inverterproto_cli.store.batch import Batch
from inverterproto_cli.store.file import StoreFile
from inverterproto_cli.store.retention import (
    EVENLY,
    EVERY,
    STEP,
    TOLD_EVERY,
    Keep,
    Removed,
    Retention,
)
from tests.test_store import NOW, PATIENCE, Told, dated, opened, record, safe

LONG_AGO = NOW - 40 * 365 * 86400
FOR_EVER = 1e6

pytestmark = pytest.mark.asyncio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "store.db"


def goes_evenly(retention: Retention) -> None:
    """Let it seem that the clock has gone evenly for long."""
    retention._begin = retention._clock() - retention._ticks()
    retention._evenly_since = -inf


async def cleaned(store: Store) -> None:
    """Let the store look at its age and size now, and do all that there is to do."""
    goes_evenly(store._file.retention)
    store._file.retention._looked = -inf
    async with asyncio.timeout(PATIENCE):
        await safe(store)
        await safe(store)  # behind the beginning
        while store._file.retention._rounds:
            await safe(store)


class TestAge:
    async def test_the_oldest_go(self, path: Path) -> None:
        told = Told()
        async with opened(path, told, keep=Keep(days=1)) as store:
            for number in range(1, 2 * STEP):
                store.keep(record(number), LONG_AGO)
            store.keep(record(5 * STEP), time())
            await cleaned(store)
            with Reader(path) as reader:
                assert reader.count() == 1
            assert store.removed == {"age": 2 * STEP - 1}
        [(event, text)] = told
        assert (event, "--keep-days" in text) == ("store-aged", True)

    async def test_what_came_in_the_future_does_not_stop_it(self, path: Path) -> None:
        async with opened(path, Told(), keep=Keep(days=1)) as store:
            for number in range(1, 2 * STEP + 2):
                store.keep(record(number), 4e9)
            for number in range(2 * STEP + 2, 3 * STEP):
                store.keep(record(number), LONG_AGO)
            await cleaned(store)
            with Reader(path) as reader:
                assert reader.count() == 2 * STEP + 1

    async def test_nothing_goes_by_a_clock_that_was_just_set(self, path: Path) -> None:
        told = Told()
        async with opened(path, told, keep=Keep(days=10)) as store:
            await safe(store)
            clocks = [0.0, 0.0]
            retention = store._file.retention
            retention._clock = lambda: NOW + clocks[0]
            retention._ticks = lambda: clocks[1]
            retention._looked = -inf
            for number in range(1, 2 * STEP):
                store.keep(record(number), LONG_AGO)

            async def left(passed: float, set_by: float = 0.0) -> int:
                """Return how many records are left when some time has passed."""
                clocks[0] += passed + set_by
                clocks[1] += passed
                store.keep(record(5 * STEP), NOW)
                await safe(store)
                await safe(store)  # behind the beginning
                while retention._rounds:
                    await safe(store)
                with Reader(path) as reader:
                    return reader.count()

            assert await left(0) == 2 * STEP
            assert await left(EVENLY - 1) == 2 * STEP
            assert await left(EVENLY - 1, set_by=86400.0) == 2 * STEP
            assert await left(EVENLY - 1) == 2 * STEP
            assert not told
            await left(1 + EVERY)
            await told.wait_for("store-aged")
            assert await left(0) == 1
        assert [event for event, _ in told] == ["store-aged"]

    async def test_it_ends_where_records_are_kept(self, path: Path) -> None:
        async with opened(path, Told(), keep=Keep(days=1)) as store:
            for number in range(1, 4 * STEP):
                store.keep(record(number), time())
            await cleaned(store)
            looks: list[str] = []
            retention = store._file.retention
            retention._connection.set_trace_callback(looks.append)
            await cleaned(store)
            retention._connection.set_trace_callback(None)
            assert len([one for one in looks if one.startswith("DELETE")]) == 1


class TestSteps:
    async def test_a_batch_waits_for_a_step_or_for_as_much_as_came(self, path: Path) -> None:
        file = StoreFile(path, Keep(days=1), Told())
        file.open(lambda _: None)
        old, small, large = Batch(), Batch(), Batch()
        for number in range(20 * STEP):
            old.keep(record(number), None, None, LONG_AGO, None)
        small.keep(record(30 * STEP), None, None, time(), None)
        for number in range(31 * STEP, 34 * STEP):
            large.keep(record(number), None, None, time(), None)
        file.retention._looked = monotonic()
        goes_evenly(file.retention)
        file.write(old)
        file.clean_up(old)
        assert file.removed.counts["age"] == 0
        file.retention._looked = -inf
        file.write(small)
        file.clean_up(small)
        assert file.removed.counts["age"] == STEP
        file.write(large)
        file.clean_up(large)
        assert file.removed.counts["age"] == STEP + 7 * STEP
        assert file.clean_up_more()
        assert file.removed.counts["age"] == 9 * STEP
        file.close()

    async def test_where_no_batch_waits_it_goes_on(self, path: Path) -> None:
        told = Told()
        async with opened(path, told, keep=Keep(days=1)) as store:
            await safe(store)
            store._file.retention._looked = monotonic()
            goes_evenly(store._file.retention)
            for number in range(1, 20 * STEP):
                store.keep(record(number), LONG_AGO)
            await safe(store)
            store._file.retention._looked = -inf
            await safe(store)
            assert f"{20 * STEP - 1:,} records" in await told.wait_for("store-aged")


class TestJunk:
    async def test_it_evicts_junk_and_no_reading(self, path: Path) -> None:
        told = Told()
        async with opened(path, told, keep=Keep(days=FOR_EVER, unknown=100_000)) as store:
            store.keep(record(1), NOW)
            for number in range(2, 1002):
                store.keep(record(number, known=False, kind="unframed"), NOW)
                if number % 100 == 0:
                    await safe(store)
            await cleaned(store)
            with Reader(path) as reader:
                assert len(list(reader.newest())) == 1
                assert sum(len(kept.frame) for kept in reader.unknown()) <= 100_000
            assert store.removed["unknown"] > 800
        assert "--keep-unknown" in await told.wait_for("store-full")


class TestSize:
    async def test_the_file_stays_within_it(self, path: Path) -> None:
        told = Told()
        async with opened(path, told, keep=Keep(days=FOR_EVER, size=3 << 20)) as store:
            for number in range(1, 20_001):
                store.keep(record(number), NOW)
                if number % 1000 == 0:
                    await cleaned(store)
            await cleaned(store)  # what the log held up
            await cleaned(store)
            assert store._file.retention.size <= 3 << 20
            with Reader(path) as reader:
                newest = next(reader.newest()).stamp
            assert newest == 21_000.0
            assert store.removed["size"] > 5000
        assert "--keep-size" in await told.wait_for("store-full")

    async def test_what_a_sink_has_not_had_goes_last_and_is_told(self, path: Path) -> None:
        told = Told()
        async with opened(path, told, keep=Keep(days=FOR_EVER, size=1 << 20)) as store:
            store.do(lambda db: db.execute("INSERT INTO sink (name, number) VALUES ('mqtt', 100)"))
            for number in range(1, 5001):
                store.keep(record(number), NOW)
                store.date(dated(number))
            await cleaned(store)
            assert store.removed["undelivered"] > 1000
        assert any("a sink had not had" in text for _, text in told)

    async def test_nothing_goes_while_a_reader_holds_up_the_log(self, path: Path) -> None:
        told = Told()
        async with opened(path, told, keep=Keep(days=FOR_EVER, size=6 << 20)) as store:
            store.keep(record(1), NOW)
            await safe(store)
            with closing(sqlite3.connect(path, isolation_level=None)) as reader:
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM record").fetchall()
                for number in range(2, 7001):
                    store.keep(record(number), NOW)
                    if number % 100 == 0:
                        await safe(store)
                await cleaned(store)
                assert store._file.retention._log_size > 6 << 20
                assert not store.removed.get("size")
                assert "old state" in await told.wait_for("store-full")
            await cleaned(store)
            with Reader(path) as other:
                assert other.count() == 7000


async def test_what_is_removed_is_told_once_a_day_for_each_reason() -> None:
    told, now = Told(), [5.0]
    removed = Removed(told, lambda: now[0])
    for _ in range(3):
        removed.counts.update(age=1000, size=1)
        removed.tell()
        now[0] += TOLD_EVERY / 2
    assert [event for event, _ in told] == ["store-aged", "store-full"] * 2
    assert ["1,000 records" in told[0][1], "2,000 records" in told[2][1]] == [True, True]


async def test_what_cannot_be_cleaned_up_is_told_once(path: Path) -> None:
    told = Told()
    async with opened(path, told) as store:

        def broken(*_: object) -> NoReturn:
            raise sqlite3.OperationalError("no")

        store._file.retention.after = broken  # type: ignore[method-assign,assignment]
        for number in range(5):
            store.keep(record(number), NOW)
            await safe(store)
    assert [event for event, _ in told] == ["store-cleaning"]
