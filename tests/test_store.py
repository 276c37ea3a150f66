"""The store: groups, repeats, dates, and its troubles, each with the real fault."""
# ruff: noqa: S603 - all processes are our own

import asyncio
import json
import os
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from inverterproto.reading import Dated, TimeSource
from inverterproto.session import Record
from inverterproto_cli.store import HeldError, NoStore, Reader, Store, StoreError
from inverterproto_cli.store.batch import ROW
from inverterproto_cli.store.retention import Keep, Removed, Retention
from inverterproto_cli.store.schema import MIGRATIONS, open_for_writing
from tests.vectors import raw

REALTIME = raw("micro-5408-realtime")
NOW = 1_790_000_000.0
PATIENCE = 30

pytestmark = pytest.mark.asyncio


def record(number: int = 1, **changes: object) -> Record:
    """Return a record of some logger's inverter."""
    one = Record(
        number.to_bytes(16, "big"), "deye", "data", "2301234567", "2712345678",
        historic=False, stamp=1000.0 + number, frame=REALTIME,
    )  # fmt: skip
    return one._replace(**changes)  # type: ignore[arg-type]


def dated(number: int = 1, time: float = NOW) -> Dated:
    return Dated(number.to_bytes(16, "big"), time, TimeSource.DEVICE, 0.0)


class Told(list[tuple[str, str]]):
    """What the store said, and a way to wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self._news = asyncio.Event()

    def __call__(self, event: str, text: str) -> None:
        self.append((event, text))
        self._news.set()

    async def wait_for(self, event: str) -> str:
        async with asyncio.timeout(PATIENCE):
            while not (texts := [text for name, text in self if name == event]):
                self._news.clear()
                await self._news.wait()
        return texts[0]


async def safe(store: Store) -> None:
    """Wait until all that was put into it is on disk."""
    done = asyncio.Event()
    store.when_safe(done.set)
    async with asyncio.timeout(PATIENCE):
        await done.wait()


@asynccontextmanager
async def opened(path: Path, told: Callable[[str, str], object], **options: object) -> (
    AsyncIterator[Store]
):  # fmt: skip
    store = Store(path, told, **options)  # type: ignore[arg-type]
    store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "store.db"


async def test_what_is_kept_is_read_back_with_its_reading(path: Path) -> None:
    async with opened(path, Told()) as store:
        assert store.keep(record(), NOW, "us")
        store.date(dated(time=NOW - 3))
        store.remember("deye", "2712345678", {"boots": []}, NOW)
        await safe(store)
        with Reader(path) as reader:
            [kept] = reader.newest()
            devices = {device.serial: device for device in reader.devices()}
    assert (kept.device, kept.via, kept.arrival, kept.answered) == (
        "2301234567", "2712345678", NOW, "us",
    )  # fmt: skip
    [reading] = kept.readings()
    assert (reading.time, reading.time_source) == (NOW - 3, TimeSource.DEVICE)
    assert reading.values["active_power"] == 4
    assert devices["2712345678"].state == {"boots": []}
    assert devices["2301234567"].via == "2712345678"


async def test_files_are_for_their_owner_only(path: Path) -> None:
    async with opened(path, Told()) as store:
        store.keep(record(), NOW)
        await safe(store)
        modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_repeat_is_counted_at_the_record_that_is_there_and_may_date_it(path: Path) -> None:
    async with opened(path, Told()) as store:
        store.keep(record(), NOW)
        store.keep(record(), NOW + 1)  # in the same batch
        await safe(store)
        store.keep(record(), NOW + 2)
        store.date(dated(time=NOW - 3))
        store.keep(record(), NOW + 3)
        store.date(dated(time=NOW - 99))  # a date never changes
        await safe(store)
        store.date(dated(time=NOW - 77))
        await safe(store)
        with Reader(path) as reader:
            [kept] = reader.newest()
    assert (kept.repeated, kept.arrival, kept.time) == (3, NOW, NOW - 3)
    assert (kept.repeated_at, kept.last) == (NOW + 3, NOW + 3)


async def test_a_repeat_in_one_batch_and_one_after_trouble_tell_when_they_came(path: Path) -> None:
    told = Told()
    async with opened(path, told) as store:
        with no_room_beyond(0):
            store.keep(record(1), NOW)
            store.keep(record(2), NOW)
            await told.wait_for("store-trouble")
            store.keep(record(1), NOW + 1)
            store.keep(record(2), NOW + 1)
            store.keep(record(2), NOW + 2)
        await safe(store)
        with Reader(path) as reader:
            kept = [(one.repeated, one.repeated_at) for one in reader.newest()]
    assert sorted(kept) == [(1, NOW + 1), (2, NOW + 2)]


async def test_among_many_records_of_a_group_those_that_are_there_are_counted(path: Path) -> None:
    async with opened(path, Told()) as store:
        for number in range(0, 100, 3):
            store.keep(record(number), NOW)
        await safe(store)
        for number in range(100):
            store.keep(record(number), NOW + 1)
            store.date(dated(number, NOW + number))
        await safe(store)
        with Reader(path) as reader:
            kept = {one.stamp: (one.repeated, one.arrival, one.time) for one in reader.newest()}
    assert kept == {
        1000.0 + number: (0, NOW + 1, NOW + number) if number % 3 else (1, NOW, NOW + number)
        for number in range(100)
    }


async def test_what_does_not_fit_the_table_is_never_taken_for_a_repeat(path: Path) -> None:
    told = Told()
    async with opened(path, told) as store:
        for number in range(40):
            store.keep(record(number, kind=None if number == 7 else "data"), NOW)
        called: list[int] = []
        store.when_safe(lambda: called.append(1))
        assert "does not fit" in await told.wait_for("store-trouble")
        assert not called
        with Reader(path) as reader:
            assert reader.count() == 0


async def test_numbers_follow_the_dating_and_each_record_has_one(path: Path) -> None:
    async with opened(path, Told()) as store:
        for number in (1, 2, 3):
            store.keep(record(number), NOW)
        store.date(dated(3))
        await safe(store)
        store.date(dated(1))
        await safe(store)
        with Reader(path) as reader:
            assert [kept.stamp for kept in reader.delivered_after(0)] == [1003, 1001]
            first = reader.delivered_after(0, most=1)[0].number
            assert [kept.stamp for kept in reader.delivered_after(first or 0)] == [1001]
            assert reader.last_number() == 2


async def test_reading_follows_an_index_however_it_is_asked(path: Path) -> None:
    async with opened(path, Told()) as store:
        store.keep(record(1), NOW)
        store.keep(record(2), NOW)
        store.date(dated(1))
        await safe(store)
        with Reader(path) as reader:
            asked: list[str] = []
            reader._connection.set_trace_callback(asked.append)
            assert len(list(reader.newest())) == len(list(reader.newest("2712345678"))) == 2
            assert len(list(reader.newest(None, NOW, NOW + 60))) == 2
            assert len(list(reader.newest(oldest_first=True))) == 2
            assert reader.latest(1, "handshake") is None
            list(reader.unknown())
            reader._connection.set_trace_callback(None)
            looks = [text for text in asked if "FROM record" in text]
            assert len(looks) == 17
            for text in looks:
                [*plan] = reader._connection.execute(
                    f"EXPLAIN QUERY PLAN {text.replace('Inf', '9e999')}"
                )
                said = " ".join(row[3] for row in plan)
                assert "SCAN" not in said, said
                assert "TEMP B-TREE" not in said, said


async def test_opening_goes_through_no_more_records_than_it_has_to(path: Path) -> None:
    async with opened(path, Told()) as store:
        asked: list[str] = []
        with open_for_writing(path) as db:
            db.set_trace_callback(asked.append)
            store._load(db)
            Retention(db, Keep(), Removed(Told()))
            db.set_trace_callback(None)
            looks = [text for text in asked if "FROM record" in text]
            assert len(looks) == 3
            for text in looks:
                said = " ".join(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {text}"))
                assert "LIMIT 1000" in text or "SCAN record" not in said.replace(
                    "SCAN record USING", ""
                ), said
        db.close()


async def test_the_undated_stand_where_they_came(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inverterproto_cli.store.reader.PAGE", 2)
    async with opened(path, Told()) as store:
        for number in range(1, 10):
            store.keep(record(number, device=str(number % 2)), NOW)
        for number, time in ((3, NOW), (4, NOW + 1), (5, NOW)):
            store.date(dated(number, time))
        store.date(Dated((6).to_bytes(16, "big"), None, TimeSource.UNKNOWN))
        await safe(store)
        with Reader(path) as reader:
            for device in (None, "2712345678"):
                found = [(kept.stamp or 0) - 1000 for kept in reader.newest(device)]
                assert found == [4, 9, 8, 7, 6, 5, 3, 2, 1], device
                ascending = reader.newest(device, oldest_first=True)
                assert [(kept.stamp or 0) - 1000 for kept in ascending] == found[::-1], device
            assert [kept.stamp for kept in reader.newest("0")] == [1004, 1008, 1006, 1002]


async def test_a_device_that_spoke_in_no_family_too_is_one_device(path: Path) -> None:
    async with opened(path, Told()) as store:
        store.keep(record(1), NOW)
        for number, device in ((2, "2301234567"), (3, "99")):
            unframed = record(number, family=None, kind="unframed", device=device, via=None)
            store.keep(unframed._replace(known=False), NOW)
        await safe(store)
        with Reader(path) as reader:
            found = sorted((device.serial, device.family) for device in reader.devices())
    assert found == [("2301234567", "deye"), ("2712345678", "deye"), ("99", None)]


async def test_a_store_opened_again_goes_on_where_it_was(path: Path) -> None:
    async with opened(path, Told()) as store:
        store.keep(record(1), NOW)
        store.keep(record(2), NOW + 5)
        store.date(dated(1))
        store.remember("deye", "2712345678", {"boots": [1]}, NOW)
    async with opened(path, Told()) as store:
        assert store.newest == NOW + 5
        assert store.states("deye") == {"2712345678": {"boots": [1]}}
        undated: list[tuple[Record, float]] = []
        store.recall(NOW + 5, NOW + 5, undated.extend)
        await safe(store)
        assert undated == [(record(2), NOW + 5)]
        store.date(dated(2))
        store.keep(record(3, device="4"), NOW + 6)
    with Reader(path) as reader:
        assert [kept.number for kept in reader.delivered_after(0)] == [1, 2]
        assert {device.serial for device in reader.devices()} == {"2301234567", "2712345678", "4"}


async def test_who_waits_is_called_only_when_it_is_on_disk(path: Path) -> None:
    seen: list[int] = []

    def count() -> None:
        with Reader(path) as reader:
            seen.append(reader.count())

    async with opened(path, Told()) as store:
        for number in range(1, 4):
            store.keep(record(number), NOW)
            store.when_safe(count)
        await safe(store)
    assert seen == [3, 3, 3]


async def test_pages_follow_each_other_without_gap_or_repeat(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inverterproto_cli.store.reader.PAGE", 7)
    async with opened(path, Told()) as store:
        for number in range(1, 31):
            store.keep(record(number, known=number % 2 == 0), NOW + number)
            if number % 3:
                store.date(dated(number, NOW + 100 - number // 4))
        await safe(store)
        with Reader(path) as reader:
            times = [kept.time or 0 for kept in reader.newest()]
            assert times == sorted(times, reverse=True)
            assert len(times) == 15
            assert [kept.arrival - NOW for kept in reader.unknown()] == list(range(29, 0, -2))
            since = list(reader.newest("2712345678", NOW + 97))
            assert {kept.time for kept in since} == {NOW + 97, NOW + 98, NOW + 99, NOW + 100}
            assert not list(reader.newest("9"))


class TestTroubles:
    async def test_a_second_server_is_told_who_has_the_store(self, path: Path) -> None:
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert holder.stdout is not None
        try:
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(HeldError, match=f"in use by process {holder.pid}"):
                Store(path, Told()).open()
        finally:
            holder.kill()
            holder.wait()
            holder.stdout.close()
        async with opened(path, Told()):
            pass  # the lock went with the process

    async def test_a_file_held_by_another_program_is_waited_for(self, path: Path) -> None:
        told = Told()
        async with opened(path, told) as store:
            other = sqlite3.connect(path, isolation_level=None)
            other.execute("BEGIN EXCLUSIVE")
            store.keep(record(), NOW)
            done = asyncio.ensure_future(safe(store))
            assert "locked" in await told.wait_for("store-trouble")
            assert not done.done()
            other.execute("ROLLBACK")
            other.close()
            await done
        assert [event for event, _ in told] == ["store-trouble", "store-recovered"]
        with Reader(path) as reader:
            assert reader.count() == 1

    async def test_a_full_disk_loses_nothing(self, path: Path) -> None:
        told = Told()
        async with opened(path, told) as store:
            with no_room_beyond(200_000):
                for number in range(1, 2001):
                    store.keep(record(number), NOW)
                done = asyncio.ensure_future(safe(store))
                await told.wait_for("store-trouble")
                assert not done.done()
                assert store.pending > 600_000
            await done
        assert [event for event, _ in told] == ["store-trouble", "store-recovered"]
        with Reader(path) as reader:
            assert reader.count() == 2000

    async def test_while_in_trouble_it_takes_so_much_and_no_more(self, path: Path) -> None:
        told = Told()
        async with opened(path, told, most_pending=10_000) as store:
            with no_room_beyond(0):
                taken = [store.keep(record(number), NOW) for number in range(1, 101)]
                await told.wait_for("store-trouble")
            assert sum(taken) == store.pending // (ROW + len(REALTIME)) < 100
            assert store.dropped == 100 - sum(taken)
            assert store.full
            await safe(store)
            assert not store.full
        assert f"; {store.dropped} records found no room" in await told.wait_for("store-recovered")

    async def test_what_cannot_be_written_at_the_end_is_told(self, path: Path) -> None:
        told = Told()
        store = Store(path, told)
        store.open()
        with no_room_beyond(0):
            store.keep(record(), NOW)
            async with asyncio.timeout(PATIENCE):
                await store.close()
        assert "1 records were not written" in await told.wait_for("store-lost")

    @pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
    async def test_a_file_that_may_not_be_written_is_told(self, path: Path) -> None:
        async with opened(path, Told()):
            pass
        path.chmod(0o400)
        with pytest.raises(StoreError, match="denied"):
            Store(path, Told()).open()

    async def test_a_folder_that_cannot_be_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(StoreError, match="file"):
            Store(tmp_path / "file" / "store.db", Told()).open()

    async def test_a_file_that_never_was_a_store_is_left_as_it_is(self, path: Path) -> None:
        path.parent.mkdir()
        diary = b"my diary, by no means to be lost" * 1001
        path.write_bytes(diary)
        path.chmod(0o644)
        with pytest.raises(StoreError, match="is no store"):
            Store(path, Told()).open()
        assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (diary, 0o644)
        assert list(path.parent.iterdir()) == [path]

    @pytest.mark.parametrize("journal", ["DELETE", "WAL"])
    async def test_a_database_of_another_program_is_left_as_it_is(
        self, path: Path, journal: str
    ) -> None:
        path.parent.mkdir()
        with closing(sqlite3.connect(path)) as database:
            database.execute(f"PRAGMA journal_mode = {journal}")
            database.execute("CREATE TABLE states (a)")
            database.commit()
        path.chmod(0o644)
        before = path.read_bytes()
        with pytest.raises(StoreError, match="another program's"):
            Store(path, Told()).open()
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        assert list(path.parent.iterdir()) == [path]
        with pytest.raises(StoreError, match="another program's"):
            Reader(path)
        assert path.read_bytes() == before

    async def test_so_is_one_that_is_open_there(self, path: Path) -> None:
        path.parent.mkdir()
        with closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("CREATE TABLE states (a)")
            database.commit()
            before = path.read_bytes(), set(path.parent.iterdir())
            with pytest.raises(StoreError, match="another program's"):
                Store(path, Told()).open()
            assert (path.read_bytes(), set(path.parent.iterdir())) == before

    async def test_a_file_that_may_have_been_a_database_is_kept_aside(self, path: Path) -> None:
        path.parent.mkdir()
        path.write_bytes(b"my diary, by no means to be lost" * 1024)
        path.chmod(0o600)
        told = Told()
        async with opened(path, told) as store:
            store.keep(record(), NOW)
            await safe(store)
        [(event, text)] = told
        assert event == "store-damaged"
        [aside] = path.parent.glob("*.damaged-*")
        assert str(aside) in text
        assert aside.read_bytes().startswith(b"my diary")
        with Reader(path) as reader:
            assert reader.count() == 1

    async def test_pages_overwritten_under_way_cost_nothing_new(self, path: Path) -> None:
        told = Told()
        async with opened(path, told) as store:
            for number in range(1, 2001):
                store.keep(record(number), NOW)
            await safe(store)
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(os.urandom(size - 8192))
        async with opened(path, told) as store:
            for number in range(2001, 2011):
                store.keep(record(number), NOW)
            await safe(store)
        assert [event for event, _ in told] == ["store-damaged"]
        with Reader(path) as reader:
            assert reader.count() == 10
            assert {device.serial for device in reader.devices()} >= {"2301234567"}


HOLDER = """
import asyncio, sys, time
from pathlib import Path
from inverterproto_cli.store import Store
async def main():
    Store(Path(sys.argv[1]), print).open()
    print("held", flush=True)
    time.sleep(600)
asyncio.run(main())
"""


class no_room_beyond:  # noqa: N801 - reads like what it is
    """No file may grow beyond some bytes: a full disk for those who write."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __enter__(self) -> None:
        self.handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        self.limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.limits[1]))

    def __exit__(self, *_error: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self.limits)
        signal.signal(signal.SIGXFSZ, self.handler)


class TestVersions:
    async def test_a_store_of_the_first_version_is_brought_up(self, path: Path) -> None:
        path.parent.mkdir()
        old = sqlite3.connect(path)
        old.executescript(f"{MIGRATIONS[0]} PRAGMA user_version = 1;")
        old.execute("INSERT INTO device (family, serial, first, last) VALUES ('deye', '7', 1, 2)")
        old.commit()
        old.close()
        with pytest.raises(StoreError, match="of version 1"):
            Reader(path)
        async with opened(path, Told()) as store:
            store.do(lambda db: db.execute("INSERT INTO request (at, wanted) VALUES (1, '{}')"))
            await safe(store)
        with Reader(path) as reader:
            assert [device.serial for device in reader.devices()] == ["7"]

    async def test_a_step_that_fails_leaves_the_version_before(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        open_for_writing(path.parent / path.name).close()
        broken = (*MIGRATIONS, "CREATE TABLE good (x); CREATE TABLE record (x);")
        monkeypatch.setattr("inverterproto_cli.store.schema.MIGRATIONS", broken)
        with pytest.raises(StoreError, match="already exists"):
            open_for_writing(path)
        monkeypatch.undo()
        with open_for_writing(path) as db:
            assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
            assert not db.execute("SELECT * FROM sqlite_master WHERE name = 'good'").fetchall()

    async def test_a_store_of_a_later_version_is_left_alone(self, path: Path) -> None:
        with open_for_writing(path) as db:
            db.execute("PRAGMA user_version = 99")
        for use in (lambda: Store(path, Told()).open(), lambda: Reader(path)):
            with pytest.raises(StoreError, match="99"):
                use()

    async def test_a_store_that_is_not_there_is_told(self, path: Path) -> None:
        with pytest.raises(StoreError, match="there is none yet"):
            Reader(path)


async def test_without_a_store_nobody_waits() -> None:
    store = NoStore()
    store.open()
    called: list[int] = []
    assert store.keep(record(), NOW)
    store.date(dated())
    store.remember("deye", "1", json.loads("{}"), NOW)
    store.when_safe(lambda: called.append(1))
    assert called == [1]
    await store.close()


# Who may read it


async def test_a_file_that_others_could_read_is_closed_to_them_and_it_is_said(path: Path) -> None:
    told = Told()
    async with opened(path, told):
        pass
    path.chmod(0o644)
    async with opened(path, told):
        modes = {each.stat().st_mode & 0o777 for each in path.parent.glob("store.db*")}
    assert modes == {0o600}
    assert [event for event, _ in told] == ["store-was-open"]


async def test_a_folder_is_no_store_and_nothing_is_left_beside_it(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StoreError, match="it is a folder"):
        Store(path, Told()).open()
    assert list(path.parent.iterdir()) == [path]
