"""What commands ask of the server: the table, both sides of it, and forgetting."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from inverterproto.reading import Dated, TimeSource
from inverterproto_cli.server.keeper import Keeper
from inverterproto_cli.server.logs import Log
from inverterproto_cli.server.requested import Requests, alone
from inverterproto_cli.store import HeldError, NoStore, Reader, Store, StoreError
from inverterproto_cli.store.requests import (
    KEPT,
    MOST,
    STALE,
    NoAnswerError,
    ask,
    note_answer,
    open_requests,
)
from inverterproto_cli.store.retention import ALL
from inverterproto_cli.store.schema import MIGRATIONS, open_for_writing
from tests.test_store import NOW, PATIENCE, Told, opened, record, safe

LOGGER, INVERTER = "2712345678", "2301234567"
FORGET = {"do": "forget", "serial": LOGGER}
OTHER = "2799999999"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def held(_path: Path, _wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    """Find that a server has the store."""
    raise HeldError("in use")


class Clock:
    """Time that passes while one waits for it; what befalls meanwhile is told as steps."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self.now = 0.0
        self._steps = list(steps)

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds
        if self._steps:
            self._steps.pop(0)()


def execute(path: Path, text: str, *values: object) -> list[Any]:
    with sqlite3.connect(path) as db:
        return db.execute(text, values).fetchall()


class TestAsking:
    @pytest.fixture(autouse=True)
    def _store(self, path: Path) -> None:
        """Let there be a store."""
        open_for_writing(path).close()

    def test_where_no_server_is_it_is_done_at_once(self, path: Path) -> None:
        assert ask(path, FORGET, lambda _path, wanted: {"did": wanted}) == {"did": FORGET}
        assert execute(path, "SELECT * FROM request") == []

    def test_a_server_answers_in_the_row(self, path: Path) -> None:
        def serve() -> None:
            [(number, wanted)] = execute(path, "SELECT id, wanted FROM request")
            assert json.loads(wanted) == FORGET
            execute(path, "UPDATE request SET answer = ? WHERE id = ?", '{"records": 3}', number)

        clock = Clock(lambda: None, serve)
        assert ask(path, FORGET, held, wait=clock.wait, clock=clock) == {"records": 3}

    def test_what_is_not_answered_is_taken_back(self, path: Path) -> None:
        clock = Clock()
        with pytest.raises(NoAnswerError, match="did not answer within 5 seconds"):
            ask(path, FORGET, held, patience=5, wait=clock.wait, clock=clock)
        assert 5 < clock.now < 6
        assert execute(path, "SELECT * FROM request") == []

    def test_progress_lets_it_wait_on(self, path: Path) -> None:
        def advance() -> None:
            execute(path, "UPDATE request SET progress = coalesce(progress, 0) + 1")

        clock = Clock(*[advance] * 100)
        with pytest.raises(NoAnswerError):
            ask(path, FORGET, held, patience=5, wait=clock.wait, clock=clock)
        assert 15 < clock.now < 16

    def test_when_the_server_stops_the_command_does_it_itself(self, path: Path) -> None:
        tries = 0

        def try_alone(path: Path, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
            nonlocal tries
            tries += 1
            return held(path, wanted) if tries < 3 else {"did": wanted}

        clock = Clock()
        answer = ask(path, FORGET, try_alone, wait=clock.wait, clock=clock)
        assert answer == {"did": FORGET}
        assert execute(path, "SELECT * FROM request") == []

    def test_an_answer_in_the_last_moment_counts(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def too_late(_db: object, number: int) -> bool:
            execute(path, "UPDATE request SET answer = '{}' WHERE id = ?", number)
            return False

        monkeypatch.setattr("inverterproto_cli.store.requests._take_back", too_late)
        clock = Clock()
        assert ask(path, FORGET, held, patience=1, wait=clock.wait, clock=clock) == {}

    def test_a_row_that_somebody_removed_is_told(self, path: Path) -> None:
        clock = Clock(lambda: execute(path, "DELETE FROM request"))
        with pytest.raises(NoAnswerError, match="removed by somebody"):
            ask(path, FORGET, held, wait=clock.wait, clock=clock)

    def test_a_store_that_is_not_there_is_not_made(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="there is none yet"):
            ask(tmp_path / "none.db", FORGET, alone)
        assert not (tmp_path / "none.db").exists()

    @pytest.mark.parametrize(
        ("version", "advice"), [(1, "start a server"), (99, "a later release wrote it")]
    )
    def test_of_another_version_it_says_what_to_do(
        self, path: Path, version: int, advice: str
    ) -> None:
        execute(path, f"PRAGMA user_version = {version}")
        with pytest.raises(StoreError, match=advice):
            ask(path, FORGET, held)


class TestRows:
    def test_any_row_is_read_and_none_hurts(self, path: Path) -> None:
        with open_for_writing(path) as db:
            rows: list[tuple[object, object]] = [
                (NOW, json.dumps(FORGET)),
                (NOW, "{"),
                (NOW, "[]"),
                (NOW, "[" * 9000),
                (NOW, b"\xff\xfe"),
                (NOW, 7),
                (NOW, "{" + " " * 20_000 + "}"),
                ("soon", "{}"),
                (NOW - STALE - 1, "{}"),
                (NOW + STALE + 1, "{}"),
            ]
            db.executemany("INSERT INTO request (at, wanted) VALUES (?, ?)", rows)
            db.execute("UPDATE request SET wanted = CAST(x'ff7b' AS TEXT) WHERE id = 3")
            found = open_requests(db, NOW)
        assert [one.wanted for one in found] == [FORGET, *[None] * 6, {}, {}, {}]
        assert [one.stale for one in found] == [False] * 7 + [True] * 3

    def test_so_many_are_read_at_once_and_answered_ones_not_again(self, path: Path) -> None:
        with open_for_writing(path) as db:
            many = [(NOW, "{}")] * (MOST + 1)
            db.executemany("INSERT INTO request (at, wanted) VALUES (?, ?)", many)
            for one in open_requests(db, NOW):
                note_answer(db, number=one.id, answer={}, now=NOW)
            assert [one.id for one in open_requests(db, NOW)] == [MOST + 1]
            note_answer(db, number=MOST + 1, answer={}, now=NOW + KEPT + 1)
            assert db.execute("SELECT id FROM request").fetchall() == [(MOST + 1,)]


class Server(NamedTuple):
    """What of a server has to do with requests."""

    store: Store
    keeper: Keeper
    requests: Requests
    ended: list[str]

    async def answer(self, wanted: object, **row: object) -> dict[str, Any]:
        """Put a request into the table, let the server look, and return its answer."""
        text = json.dumps(wanted) if isinstance(wanted, dict) else wanted
        at = row.get("at", NOW)
        path = self.store.path
        execute(path, "INSERT INTO request (at, wanted) VALUES (?, ?)", at, text)
        async with asyncio.timeout(PATIENCE):
            while True:
                self.requests.look(NOW)
                await safe(self.store)
                last = "SELECT answer FROM request ORDER BY id DESC LIMIT 1"
                [(answer,)] = execute(path, last)
                if answer is not None:
                    found: dict[str, Any] = json.loads(answer)
                    return found


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[Server]:
    async with opened(path, Told()) as store:
        keeper = Keeper(store, Log())
        keeper.open()
        ended: list[str] = []
        yield Server(store, keeper, Requests(keeper, Log(), ended.append), ended)


def keep_some(store: Store) -> None:
    """Keep five records of the logger's two inverters, one of its own, two of another's."""
    for number in range(1, 6):
        store.keep(record(number, device=f"{INVERTER[:-1]}{number % 2}"), NOW)
        store.date(Dated(number.to_bytes(16, "big"), NOW + number, TimeSource.DEVICE))
    store.keep(record(6, device=LOGGER, kind="handshake"), NOW)
    for number in (7, 8):
        store.keep(record(number, device="42", via=OTHER), NOW)
    store.remember("deye", LOGGER, {"boots": []}, NOW)


@pytest.mark.asyncio
class TestForgetting:
    async def test_a_logger_goes_with_its_inverters_and_nothing_else(self, path: Path) -> None:
        async with serving(path) as server:
            keep_some(server.store)
            server.keeper.state("deye", LOGGER)
            before = server.keeper.state("deye", LOGGER)
            answer = await server.answer(FORGET)
            assert answer == {"forgot": LOGGER, "kind": "logger", "inverters": 2, "records": 6}
            assert server.ended == [LOGGER]
            assert server.keeper.state("deye", LOGGER) is not before
            with Reader(path) as reader:
                assert {device.serial for device in reader.devices()} == {OTHER, "42"}
                assert [kept.stamp for kept in reader.newest()] == [1008, 1007]
        async with opened(path, Told()) as store:
            assert store.states("deye") == {}

    async def test_an_inverter_goes_alone(self, path: Path) -> None:
        async with serving(path) as server:
            keep_some(server.store)
            answer = await server.answer({"do": "forget", "serial": "42"})
            assert answer == {"forgot": "42", "kind": "inverter", "inverters": 0, "records": 2}
            with Reader(path) as reader:
                assert reader.count() == 6
                assert OTHER in {device.serial for device in reader.devices()}

    async def test_what_another_logger_carries_by_now_stays(self, path: Path) -> None:
        async with serving(path) as server:
            server.store.keep(record(1), NOW)
            server.store.keep(record(2, via=OTHER), NOW + 100)
            await safe(server.store)
            answer = await server.answer(FORGET)
            assert (answer["inverters"], answer["records"]) == (0, 0)
            with Reader(path) as reader:
                assert [(kept.device, kept.via) for kept in reader.newest()] == [
                    (INVERTER, OTHER), (INVERTER, None),
                ]  # fmt: skip

    async def test_there_may_be_many_records_each_step_is_short(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("inverterproto_cli.store.forgetting.STEP", 10)
        async with serving(path) as server:
            for number in range(1, 100):
                device, via = (INVERTER, LOGGER) if number % 3 else ("42", OTHER)
                server.store.keep(record(number, device=device, via=via), NOW)
            await safe(server.store)
            commits = server.store.commits
            assert (await server.answer(FORGET))["records"] == 66
            assert server.store.commits - commits > 9
            [(progress,)] = execute(path, "SELECT progress FROM request")
            assert 50 < progress <= 66
            with Reader(path) as reader:
                assert reader.count() == 33

    async def test_one_that_comes_again_is_a_new_device(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("inverterproto_cli.store.forgetting.STEP", 1)
        async with serving(path) as server:
            keep_some(server.store)
            await safe(server.store)
            number = 100

            async def go_on() -> None:
                nonlocal number
                while True:
                    number += 1
                    server.store.keep(record(number, device=INVERTER), NOW + number)
                    server.store.remember("deye", LOGGER, {"boots": [number]}, NOW + number)
                    await safe(server.store)

            going = asyncio.ensure_future(go_on())
            await server.answer(FORGET)
            number += 1
            server.store.keep(record(number, device=INVERTER), NOW + number)
            await safe(server.store)
            going.cancel()
            with Reader(path) as reader:
                last = next(reader.newest(LOGGER))
                assert (last.device, last.via, last.stamp) == (INVERTER, LOGGER, 1000.0 + number)
                first = {device.serial: device.first for device in reader.devices()}
                assert first[INVERTER] > NOW
        dangling = "SELECT count(*) FROM record WHERE device NOT IN (SELECT id FROM device)"
        assert execute(path, dangling) == [(0,)]

    async def test_what_is_not_written_yet_goes_too(self, path: Path) -> None:
        async with serving(path) as server:
            done = asyncio.Event()
            keep_some(server.store)
            assert server.store.forget(LOGGER, lambda _db, _n: True, lambda _r: done.set())
            async with asyncio.timeout(PATIENCE):
                await done.wait()
            await safe(server.store)
            with Reader(path) as reader:
                assert reader.count() == 2

    async def test_a_failed_batch_with_records_of_before_brings_nothing_back(
        self, path: Path
    ) -> None:
        async with serving(path) as server:
            keep_some(server.store)
            await safe(server.store)
            other = sqlite3.connect(path, isolation_level=None)
            other.execute("BEGIN EXCLUSIVE")
            server.store.keep(record(50), NOW)
            done = asyncio.Event()
            server.store.forget(LOGGER, lambda _db, _n: True, lambda _r: done.set())
            other.execute("ROLLBACK")
            other.close()
            async with asyncio.timeout(PATIENCE):
                await done.wait()
            with Reader(path) as reader:
                assert reader.count() == 2

    async def test_a_request_that_is_taken_back_is_not_carried_out(self, path: Path) -> None:
        async with serving(path) as server:
            keep_some(server.store)
            await safe(server.store)
            withdrawn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            server.store.forget(
                LOGGER, lambda _db, _n: False, lambda it: withdrawn.set_result(it.withdrawn)
            )
            async with asyncio.timeout(PATIENCE):
                assert await withdrawn
            with Reader(path) as reader:
                assert reader.count() == 8
                assert len(reader.devices()) == 5


@pytest.mark.asyncio
class TestServing:
    @pytest.mark.parametrize(
        "wanted",
        [
            "{",
            "[]",
            b"\xff",
            {"do": "dance"},
            {"do": ["forget"]},
            {"do": "forget"},
            {"do": "forget", "serial": [1]},
            {"do": "forget", "serial": "\ud800"},
        ],
    )
    async def test_what_is_no_request_is_answered_and_hurts_nobody(
        self, path: Path, wanted: object
    ) -> None:
        async with serving(path) as server:
            keep_some(server.store)
            assert "error" in await server.answer(wanted)
            assert (await server.answer(FORGET))["records"] == 6

    async def test_a_device_that_is_not_there_is_told(self, path: Path) -> None:
        async with serving(path) as server:
            answer = await server.answer({"do": "forget", "serial": "1"})
            assert answer == {"error": "there is no such device in the store"}
            assert server.ended == []

    async def test_a_request_of_long_ago_is_not_carried_out(self, path: Path) -> None:
        async with serving(path) as server:
            keep_some(server.store)
            answer = await server.answer(FORGET, at=NOW - STALE - 1)
            assert answer == {"error": "the request was too old"}
            with Reader(path) as reader:
                assert reader.count() == 8

    async def test_several_are_carried_out_one_after_the_other(self, path: Path) -> None:
        async with serving(path) as server:
            keep_some(server.store)
            await safe(server.store)
            first = json.dumps({"do": "forget", "serial": "42"})
            execute(path, "INSERT INTO request (at, wanted) VALUES (?, ?)", NOW, first)
            assert (await server.answer(FORGET))["records"] == 6
            [(answer,)] = execute(path, "SELECT answer FROM request WHERE wanted = ?", first)
            assert json.loads(answer)["records"] == 2

    async def test_without_a_store_nobody_can_ask(self) -> None:
        Requests(Keeper(NoStore(), Log()), Log(), lambda _serial: None).look(NOW)


class TestAlone:
    def test_where_no_server_is_the_same_is_done(self, path: Path) -> None:
        async def prepare() -> None:
            async with opened(path, Told()) as store:
                keep_some(store)

        asyncio.run(prepare())
        assert ask(path, FORGET, alone)["records"] == 6
        assert "error" in ask(path, FORGET, alone)

    def test_nothing_else_is_removed_however_old_it_is(self, path: Path) -> None:
        async def prepare() -> None:
            async with opened(path, Told(), keep=ALL) as store:
                store.keep(record(1, device="1", via=None), 1.0)
                store.keep(record(2, device="2", via=None), 1.0)

        asyncio.run(prepare())
        assert ask(path, {"do": "forget", "serial": "1"}, alone)["records"] == 1
        with Reader(path) as reader:
            assert reader.count() == 1

    def test_trouble_is_told_and_does_not_hang(self, path: Path) -> None:
        open_for_writing(path).close()
        with sqlite3.connect(path) as db:
            db.execute("INSERT INTO device (id, serial, first, last) VALUES (1, '7', 1, 1)")
            db.execute(
                "CREATE TRIGGER never BEFORE DELETE ON device BEGIN SELECT raise(ABORT, 'no'); END"
            )
        with pytest.raises(StoreError, match="no"):
            ask(path, {"do": "forget", "serial": "7"}, alone)


def test_no_number_comes_twice_to_a_sink_though_the_last_records_are_gone(path: Path) -> None:
    async def main() -> None:
        async with opened(path, Told()) as store:
            store.keep(record(1), NOW)
            store.date(Dated((1).to_bytes(16, "big"), NOW, TimeSource.DEVICE))
            store.do(lambda db: db.execute("INSERT INTO sink (name, number) VALUES ('mqtt', 1)"))
        ask_answer = await asyncio.to_thread(ask, path, FORGET, alone)
        assert ask_answer["records"] == 1
        async with opened(path, Told()) as store:
            store.keep(record(2), NOW)
            store.date(Dated((2).to_bytes(16, "big"), NOW, TimeSource.DEVICE))
        with Reader(path) as reader:
            assert [kept.number for kept in reader.delivered_after(1)] == [2]

    asyncio.run(main())
    assert len(MIGRATIONS) >= 2


@pytest.mark.asyncio
async def test_a_look_at_requests_is_no_commit(path: Path) -> None:
    async with opened(path, Told()) as store:
        await safe(store)
        before = store.commits
        requests = Requests(Keeper(store, Log()), Log(), lambda _serial: None)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # nobody else may write: nobody has to
            for _ in range(5):
                requests.look(NOW)
                await safe(store)
        assert store.commits == before
