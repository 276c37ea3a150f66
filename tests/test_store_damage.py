"""Stores that are damaged, removed or replaced, at the start and under way: the server goes on."""

import asyncio
import json
import shutil
import sqlite3
import threading
from pathlib import Path
from typing import NoReturn

import pytest

from inverterproto_cli.store import HeldError, Reader, Store, StoreError
from tests.alphaess_vectors import RAW
from tests.conftest import invoke
from tests.serving import NOW, PATIENCE, serving
from tests.test_fake_server import ANSWER, DATA, SUCCESS, answer
from tests.test_store import Told, dated, no_room_beyond, opened, record, safe

PAGE = 4096
pytestmark = pytest.mark.asyncio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "store.db"


async def fill(path: Path, count: int = 300) -> None:
    """Make a store that has something in every table and index."""
    async with opened(path, Told()) as store:
        for number in range(1, count + 1):
            store.keep(record(number, device=str(number % 50)), NOW)
            if number % 3:
                store.date(dated(number))
        for number in range(count + 1, count + 11):
            store.keep(record(number, known=False), NOW)
            store.keep(record(number + 100, kind="handshake"), NOW)
        store.remember("deye", "2712345678", {"boots": []}, NOW)
        store.do(lambda db: db.execute("INSERT INTO sink (name, number) VALUES ('mqtt', 10)"))
        store.do(lambda db: db.execute("INSERT INTO request (at, wanted) VALUES (1, '{}')"))


def edit(path: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(path) as db:
        assert db.execute(statement, values).rowcount > 0
    db.close()


def roots(path: Path) -> dict[str, int]:
    db = sqlite3.connect(path)
    found = dict(db.execute("SELECT name, rootpage FROM sqlite_master WHERE rootpage > 0"))
    db.close()
    return found


async def test_with_any_page_overwritten_a_server_starts_and_keeps(
    path: Path, tmp_path: Path
) -> None:
    await fill(path)
    named = {"schema": 1, **roots(path)}
    assert {"device", "record", "sink", "request", "record_undated"} <= named.keys()
    for name, page in named.items():
        bad = tmp_path / name / "store.db"
        bad.parent.mkdir()
        shutil.copy(path, bad)
        with bad.open("r+b") as file:
            file.seek((page - 1) * PAGE)
            file.write(b"\xa7" * PAGE)
        async with serving(bad) as served, await served.device() as device:
            assert await device.ask(DATA, ANSWER) == answer(DATA), name
            assert any(one.frame == DATA for one in served.kept()), name
        aside = len(list(bad.parent.glob("*.damaged-*")))
        assert aside == len(served.lines.of("store-damaged")), name
        # Of what no server reads, damage is found when it is written next.
        assert aside >= (
            name in ("schema", "device", "record", "record_unknown", "record_undated")
        ), name


EDITS = {
    "a state that is no JSON": "UPDATE device SET state = '{\"clock'",
    "a state of too many brackets": "UPDATE device SET state = '" + "[" * 100_000 + "'",
    "a state that is no object": "UPDATE device SET state = 7",
    "a state without its keys": "UPDATE device SET state = '{}'",
    "a serial that is no text": "UPDATE device SET serial = CAST(x'ff41' AS TEXT) WHERE id = 1",
    "a serial of bytes": "UPDATE device SET serial = x'ff41' WHERE id = 1",
    "times that are none": "UPDATE device SET first = 'now', last = x'00'",
    "a number that is none": "UPDATE record SET number = 'abc' WHERE id = 1",
    "a number in bytes": "UPDATE record SET number = x'ff' WHERE id = 1",
    "an arrival that is none": "UPDATE record SET arrival = 'abc'",
    "an arrival beyond the calendar": "UPDATE record SET arrival = 1e300",
    "an endless arrival": "UPDATE record SET arrival = 9e999, repeated_at = -9e999",
    "times of measuring that are none": "UPDATE record SET time = 'abc'",
    "times of measuring beyond the calendar": "UPDATE record SET time = 1e300",
    "times of measuring just beyond the calendar": "UPDATE record SET time = 253402300799.9999",
    "times of measuring before the calendar": "UPDATE record SET time = -1e300",
    "endless times of measuring": "UPDATE record SET time = 9e999",
    "devices of another age": "UPDATE device SET first = -1e300, last = 1e300",
    "an unknown source": "UPDATE record SET source = 'xyz'",
    "a source that is no text": "UPDATE record SET source = CAST(x'ff' AS TEXT)",
    "an undated frame that is none":
        "UPDATE record SET source = NULL, number = NULL, frame = x'0102'",
    "an undated stamp that is none":
        "UPDATE record SET source = NULL, number = NULL, stamp = 'abc'",
    "an undated record of no family": "UPDATE record SET source = NULL, family = 'acme'",
}  # fmt: skip


@pytest.mark.parametrize("what", EDITS)
async def test_bad_values_cost_themselves_alone(path: Path, what: str) -> None:
    async with serving(path) as served, await served.device() as device:
        await device.ask(DATA, ANSWER)
        await device.ask(RAW["status-1"], SUCCESS)
        served.pass_time(1)
    edit(path, EDITS[what])
    async with serving(path) as served, await served.device() as device:
        for name in ("status-1", "status-2"):
            await device.ask(RAW[name], SUCCESS)
        assert await device.ask(DATA, ANSWER) == answer(DATA)
        served.pass_time(1)
        assert not served.counts["ended: fault"]
        assert not served.lines.of("fault")
        assert not served.lines.of("store-damaged")
    looks: list[list[str | Path]] = [
        ["devices"],
        ["devices", "--json"],
        ["readings"],
        ["readings", "--json"],
        ["readings", "--csv", "--oldest-first"],
        ["unknown"],
        ["sinks"],
        ["export", "--frames", "-o", path.with_name("frames.jsonl")],
    ]
    names = ("e.csv", "e.jsonl", "e.parquet", "e.lp")
    looks.extend(["export", "-o", path.with_name(name)] for name in names)
    for arguments in looks:
        ended = invoke(*arguments, "--store", path)
        assert ended.code == 0, (arguments, ended.err)


@pytest.mark.parametrize("what", ["1e300", "-1e300", "9e999", "-1", "253402300799.9999", "'abc'"])
async def test_a_time_that_has_no_date_is_unknown_and_hides_no_other(path: Path, what: str) -> None:
    async with opened(path, Told()) as store:
        for number in range(1, 1201):
            store.keep(record(number, kind="data", frame=DATA), NOW + number)
            store.date(dated(number))
    edit(path, f"UPDATE record SET time = {what} WHERE id % 2 = 0 OR id > 1100")  # noqa: S608 - ours
    with Reader(path) as reader:
        for oldest_first in (False, True):
            found = list(reader.newest(oldest_first=oldest_first))
            assert sorted(kept.id for kept in found) == list(range(1, 1201))
            assert {kept.time is None for kept in found if kept.id % 2 == 0} == {True}
            assert {kept.time is None for kept in found if kept.id in range(1, 1100, 2)} == {False}
    shown = invoke("readings", "--json", "--store", path).out.splitlines()
    out = path.with_name("out.jsonl")
    assert invoke("export", "-o", out, "--store", path, "--quiet").code == 0
    for lines in (shown, out.read_text().splitlines()):
        times = [json.loads(line)["time"] for line in lines]
        assert (len(times), times.count(None)) == (1200, 650)


async def test_what_was_known_and_cannot_be_read_is_told(path: Path) -> None:
    async with serving(path) as served, await served.device() as device:
        await device.ask(RAW["status-1"], SUCCESS)
        served.pass_time(1)
    edit(path, "UPDATE device SET state = '{'")
    async with serving(path) as served:
        await served.safe()
        assert "learned anew" in served.lines.of("store-unreadable")[0]


async def test_damage_while_the_disk_is_full_is_got_over(path: Path) -> None:
    await fill(path, 2000)
    told = Told()
    async with opened(path, told) as store:
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(PAGE)
            file.write(b"\xa7" * (size - PAGE))
        with no_room_beyond(0):
            for number in range(5001, 5101):
                store.keep(record(number), NOW)
            done = asyncio.ensure_future(safe(store))
            await told.wait_for("store-trouble")
            store.keep(record(5101), NOW)
            assert not done.done()
        await done
        await safe(store)
        with Reader(path) as reader:
            assert reader.count() == 101
            assert {device.serial for device in reader.devices()} >= {"2301234567"}
    assert [event for event, _ in told] == ["store-damaged", "store-trouble", "store-recovered"]


async def test_damage_that_only_cleaning_meets_is_got_over(path: Path) -> None:
    told = Told()
    async with opened(path, told) as store:
        store.keep(record(1), NOW)
        await safe(store)

        def broken(*_: object) -> NoReturn:
            error = sqlite3.DatabaseError("malformed")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error

        store._file.retention.after = broken  # type: ignore[method-assign,assignment]
        store.keep(record(2), NOW)
        await safe(store)
        store.keep(record(3), NOW)
        await safe(store)
        with Reader(path) as reader:
            kept = next(reader.newest())
        assert (kept.stamp, kept.device) == (1003, "2301234567")
    assert [event for event, _ in told] == ["store-damaged"]


async def test_a_fault_of_ours_in_the_thread_is_told_and_tried_again(path: Path) -> None:
    told = Told()
    async with opened(path, told) as store:
        faults = iter([RuntimeError("odd")])

        def job(_db: sqlite3.Connection) -> None:
            for fault in faults:
                raise fault

        store.keep(record(1), NOW)
        store.do(job)
        await safe(store)
    assert [event for event, _ in told] == ["store-trouble", "store-recovered"]


async def test_a_disk_that_does_not_answer_does_not_hold_the_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inverterproto_cli.store.writer.LONGEST_END", 0.05)
    told, answers = Told(), threading.Event()
    store = Store(path, told)
    store.open()
    store.keep(record(1), NOW)
    store.do(lambda _: answers.wait(PATIENCE))
    await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE):
        await store.close()
    assert "1 records were not written" in await told.wait_for("store-lost")
    answers.set()
    store._thread.join(PATIENCE)
    assert not store._thread.is_alive()


async def test_one_file_by_two_names_is_one_store(path: Path) -> None:
    async with opened(path, Told()):
        other = path.with_name("other.db")
        other.symlink_to(path)
        with pytest.raises(HeldError):
            Store(other, Told()).open()
        path.with_name("loop.db").symlink_to("loop.db")
        with pytest.raises(StoreError, match="loop"):
            Store(path.with_name("loop.db"), Told()).open()


async def test_a_file_that_is_removed_is_begun_anew_before_more_is_acknowledged(path: Path) -> None:
    told = Told()
    async with opened(path, told) as store:
        store.keep(record(1), NOW)
        store.remember("deye", "2712345678", {"boots": [7]}, NOW)
        await safe(store)
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink()
        store.keep(record(2), NOW)
        await safe(store)
        with Reader(path) as reader:
            [kept] = reader.newest()
            assert (kept.stamp, kept.device, kept.via) == (1002, "2301234567", "2712345678")
            states = {device.serial: device.state for device in reader.devices()}
            assert states == {"2301234567": {}, "2712345678": {"boots": [7]}}
    [(event, text)] = told
    assert event == "store-damaged"
    assert "was removed" in text


async def test_a_file_that_is_moved_takes_with_it_what_was_committed(path: Path) -> None:
    told = Told()
    async with opened(path, told) as store:
        store.keep(record(1), NOW)
        await safe(store)
        path.rename(path.with_name("elsewhere.db"))
        store.keep(record(2), NOW)
        await safe(store)
    with Reader(path) as reader:
        assert [kept.stamp for kept in reader.newest()] == [1002]
    with Reader(path.with_name("elsewhere.db")) as reader:
        assert 1001 in [kept.stamp for kept in reader.newest()]


async def test_a_file_that_is_replaced_is_kept_aside(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    await fill(other)
    told = Told()
    async with opened(path, told) as store:
        store.keep(record(1), NOW)
        await safe(store)
        other.rename(path)
        store.keep(record(2), NOW)
        await safe(store)
    [aside] = [one for one in path.parent.glob("*.replaced-*") if one.name[-1].isdigit()]
    with Reader(path) as reader:
        assert [kept.stamp for kept in reader.newest()] == [1002]
    with Reader(aside) as reader:
        assert reader.count() == 320
    [(_, text)] = told
    assert str(aside) in text
