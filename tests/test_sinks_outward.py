"""The thread of the sinks beside a store that is written: positions, restarts, the end."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click
import pytest

from inverterproto_cli.server.logs import Log
from inverterproto_cli.sinks.outward import Outward
from inverterproto_cli.sinks.pages import Pages
from inverterproto_cli.sinks.settings import Configured
from inverterproto_cli.sinks.sink import RefusedError, Sink, Surroundings, TroubleError
from inverterproto_cli.store import Reader, Store
from inverterproto_cli.store.retention import ALL
from inverterproto_cli.store.sinks import SinkRow
from tests.serving import PATIENCE, listened, until
from tests.sinking import Recorder, fail, keep, kind_of, of_logger, safe, stored, wanted

pytestmark = pytest.mark.asyncio


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inverterproto_cli.sinks.delivery.FIRST_RETRY", 0.001)
    monkeypatch.setattr("inverterproto_cli.sinks.pages.EVERY", 0.001)


@asynccontextmanager
async def outward(store: Store, *some: Configured) -> AsyncIterator[Outward]:
    """Let sinks live beside a store."""
    one = Outward(some, store, Log())
    one.begin()
    await until(lambda: one.deliveries)
    try:
        yield one
    finally:
        await one.close()
        await safe(store)


def rows(store: Store) -> dict[str, SinkRow]:
    with Reader(store.path) as reader:
        return {row.name: row for row in reader.sinks()}


async def arrive(sink: Recorder, count: int) -> None:
    """Wait, in the main thread, until a sink has got so many."""
    await until(lambda: len(sink.entries) >= count)


async def test_a_new_sink_begins_with_what_comes_from_now_on(tmp_path: Path) -> None:
    sink = Recorder()
    async with stored(tmp_path / "s.db", range(1, 4)) as store:
        async with outward(store, wanted(sink)):
            keep(store, range(4, 6))
            await arrive(sink, 2)
        assert sink.numbers == [4, 5]
        assert sink.closed
        assert rows(store)["recorder"].number == 5


async def test_a_new_sink_begins_with_everything_where_that_is_wanted(tmp_path: Path) -> None:
    sink = Recorder()
    async with stored(tmp_path / "s.db", range(1, 4)) as store:
        async with outward(store, wanted(sink, backfill=True)):
            await arrive(sink, 3)
        assert sink.numbers == [1, 2, 3]


async def test_each_sink_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    one, other = Recorder(), Recorder([fail(TroubleError("away"))] * 100_000)
    async with stored(path) as store:
        async with outward(store, wanted(one, "one"), wanted(other, "other")):
            keep(store, range(1, 4))
            await arrive(one, 3)
            await until(lambda: other.batches)
        assert {name: row.number for name, row in rows(store).items()} == {"one": 3, "other": 0}
        assert rows(store)["other"].error == "away"
    again, late = Recorder(), Recorder()
    async with stored(path) as store:
        async with outward(store, wanted(again, "one"), wanted(late, "other")):
            keep(store, range(4, 6))
            await arrive(again, 2)
            await arrive(late, 5)
        assert again.numbers == [4, 5]
        assert late.numbers == [1, 2, 3, 4, 5]
        assert rows(store)["other"].error is None


async def test_a_dead_sink_delays_no_other(tmp_path: Path) -> None:
    sink = Recorder()

    class Hanging(Recorder):
        async def deliver(self, _entries: Any) -> int:  # noqa: ANN401
            await asyncio.Event().wait()
            raise AssertionError

    async with stored(tmp_path / "s.db") as store:
        async with outward(store, wanted(Hanging(), "dead"), wanted(sink)):
            keep(store, range(1, 1001))
            await arrive(sink, 1000)
        assert rows(store)["dead"].number == 0


async def test_the_end_delivers_what_is_there(tmp_path: Path) -> None:
    sink = Recorder()
    async with stored(tmp_path / "s.db") as store:
        async with outward(store, wanted(sink)):
            keep(store, range(1, 301))
            await safe(store)
        assert sink.numbers == [*range(1, 301)]
        assert rows(store)["recorder"].number == 300


async def test_positions_are_written_while_it_runs(tmp_path: Path) -> None:
    sink = Recorder()
    async with stored(tmp_path / "s.db") as store, outward(store, wanted(sink)) as one:
        keep(store, range(1, 4))
        await until(lambda: one.deliveries[0].row.number == 3)
        one.turn()
        await safe(store)
        row = rows(store)["recorder"]
        assert (row.number, row.delivered, row.type) == (3, 3, "recorder")
        commits = store.commits
        one.turn()
        await safe(store)
        assert store.commits == commits  # nothing is new


async def test_what_is_set_aside_is_in_the_store_with_the_position_behind_it(
    tmp_path: Path,
) -> None:
    def refuse(entries: Any) -> int:  # noqa: ANN401
        if entries[0].number == 2:
            raise RefusedError("never", 0)
        return 1

    sink = Recorder([refuse] * 100)
    async with stored(tmp_path / "s.db") as store:
        async with outward(store, wanted(sink)) as one:
            keep(store, range(1, 4))
            await until(lambda: one.deliveries[0].row.number == 3)
            one.turn()
            await safe(store)
            with Reader(store.path) as reader:
                (aside,) = reader.set_aside("recorder")
            assert (aside.number, aside.why) == (2, "never")
        assert rows(store)["recorder"].set_aside == 1
        with Reader(store.path) as reader:
            assert len(reader.set_aside("recorder")) == 1


async def test_a_sink_that_is_not_configured_any_more_is_told(tmp_path: Path) -> None:
    async with stored(tmp_path / "s.db") as store:
        async with outward(store, wanted(Recorder(), "gone")):
            pass
        with listened() as lines:
            async with outward(store, wanted(Recorder(), "new")):
                pass
        (line,) = lines.of("sink-unknown")
        assert "'gone'" in line
        assert "inverterproto sinks remove gone" in line


async def test_a_store_that_is_begun_anew_knows_how_far_a_dead_sink_has_got(
    tmp_path: Path,
) -> None:
    path, said = tmp_path / "s.db", list[str]()
    store = Store(path, lambda event, _text: said.append(event), keep=ALL)
    store.open()
    dead = Recorder([fail(TroubleError("away"))] * 1_000_000)
    try:
        async with outward(store, wanted(dead, "dead")) as one:
            keep(store, range(1, 4))
            await until(lambda: one.deliveries[0].row.error)
            one.turn()
            await safe(store)
            path.rename(tmp_path / "elsewhere.db")
            keep(store, range(4, 6))
            await safe(store)
            assert "store-damaged" in said
            one.turn()
            await safe(store)
            assert rows(store)["dead"].number == 0
    finally:
        await store.close()


async def test_a_thread_that_a_sink_blocks_is_told(tmp_path: Path) -> None:
    with listened() as lines:
        async with stored(tmp_path / "s.db") as store, outward(store, wanted(Recorder())) as one:
            one.turn()
            assert lines.of("sinks-stand") == []
            for _ in range(3):
                one.pages.looked_at = float("-inf")
                one._look_whether_it_stands()
            await until(lambda: lines.of("sinks-stand"))
            assert len(lines.of("sinks-stand")) == 1


async def test_what_a_sink_says_before_it_begins_is_told(tmp_path: Path) -> None:
    def warning(_values: Mapping[str, Any], around: Surroundings) -> Sink:
        around.say("sink-insecure", "anybody may read all")
        return Recorder()

    with listened() as lines:
        async with stored(tmp_path / "s.db") as store:
            Outward([Configured("a", kind_of(warning), {"place": "x"})], store, Log())
    assert lines.of("sink-insecure") == ["anybody may read all"]


async def test_a_fault_of_ours_is_seen_as_trouble_of_the_sink(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError

    sink = Recorder()
    async with stored(tmp_path / "s.db") as store, outward(store, wanted(sink)) as one:
        monkeypatch.setattr(one.pages, "after", broken)
        keep(store, [1])
        await until(lambda: one.deliveries[0].row.error)
        assert "a fault of this program" in str(one.deliveries[0].row.error)


async def test_a_sink_whose_thread_hangs_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inverterproto_cli.sinks.outward.LAST_WORD", 0.05)
    monkeypatch.setattr("inverterproto_cli.sinks.outward.LAST_DELIVERY", 0.01)
    free = threading.Event()

    class Hanging(Recorder):
        async def deliver(self, entries: Any) -> int:  # noqa: ANN401
            self.batches.append(len(entries))
            await asyncio.to_thread(free.wait, PATIENCE)
            return 0

    sink = Hanging()
    try:
        async with stored(tmp_path / "s.db") as store:
            async with outward(store, wanted(sink)) as one:
                keep(store, [1])
                await until(lambda: sink.batches)
            assert one.hangs
    finally:
        free.set()


async def test_trouble_reaches_the_log(tmp_path: Path) -> None:
    sink = Recorder([fail(TroubleError("no route"))] * 2)
    with listened() as lines:
        async with stored(tmp_path / "s.db") as store, outward(store, wanted(sink)):
            keep(store, [1])
            await arrive(sink, 1)
            await until(lambda: lines.of("sink-recovered"))
    assert lines.of("sink-trouble") == ["sink recorder: no route; it is tried again"]
    assert [one.levelno for one in lines.records if "no route" in one.getMessage()] == [
        logging.WARNING
    ]


async def test_of_a_store_that_cannot_be_read_the_name_is_known_at_least(tmp_path: Path) -> None:
    pages = Pages(tmp_path / "none.db")
    assert pages.identity("deye", "2301234567", "2712345678")[2:4] == ("inverter", "Solarman")
    assert pages.identity("alphaess", "AL1")[:4] == ("alphaess", "AL1", "battery", "AlphaESS")
    assert pages.logger("2712345678")[:3] == ("deye", "2712345678", "logger")


async def test_a_sink_that_cannot_be_made_is_a_wrong_use(tmp_path: Path) -> None:
    def useless(_values: Mapping[str, Any], _around: Surroundings) -> Sink:
        raise ValueError("'x' is no URL")

    def unreadable(_values: Mapping[str, Any], _around: Surroundings) -> Sink:
        raise FileNotFoundError(2, "No such file or directory", "/nowhere/ca.pem")

    async with stored(tmp_path / "s.db") as store:
        for opens, told in (
            (useless, "sink a: 'x' is no URL"),
            (unreadable, "sink a: /nowhere/ca.pem: No such file or directory"),
        ):
            one = Configured("a", kind_of(opens), {"place": "x"})
            with pytest.raises(click.UsageError, match=told):
                Outward([one], store, Log())


async def test_an_end_before_the_beginning_leaves_nothing(tmp_path: Path) -> None:
    sink = Recorder()
    async with stored(tmp_path / "s.db") as store:
        one = Outward([wanted(sink)], store, Log())
        one.begin()
        await one.close()
        await safe(store)
        assert one.deliveries == []


async def test_what_a_sink_may_ask_is_answered_from_the_store(tmp_path: Path) -> None:
    asked: list[Surroundings] = []

    def make(_values: Mapping[str, Any], around: Surroundings) -> Sink:
        asked.append(around)
        return sink

    answers: list[object] = []

    class Asking(Recorder):
        async def deliver(self, entries: Any) -> int:  # noqa: ANN401
            (around,) = asked
            reading = entries[0].reading
            answers.extend((around.name, around.identity(reading), around.logger(reading.via)))
            answers.extend(around.newest(reading, number, 1e12) for number in (1, 3))
            return await super().deliver(entries)

    sink = Asking()
    configured = Configured("a", kind_of(make), {"place": "x"}, backfill=True)
    async with stored(tmp_path / "s.db", range(1, 4)) as store, outward(store, configured):
        await arrive(sink, 3)
    name, identity, logger, first, later = answers[:5]
    assert name == "a"
    assert identity[:5] == (  # type: ignore[index]
        "deye", "2301234567", "inverter", "Deye", "Deye micro-inverter",
    )  # fmt: skip
    assert (logger.kind, logger.serial) == ("logger", "2712345678")  # type: ignore[attr-defined]
    assert first is None
    assert later == sink.entries[1].reading.time


async def test_a_sink_may_ask_for_the_newest_of_each_device_and_kind(tmp_path: Path) -> None:
    answers: list[list[int]] = []

    class Asking(Recorder):
        def __init__(self, around: Surroundings) -> None:
            super().__init__()
            self.around = around

        async def begin(self, _number: int) -> None:
            answers.append([entry.number for entry in self.around.present(1e12)])

    def make(_values: Mapping[str, Any], around: Surroundings) -> Sink:
        return Asking(around)

    async with stored(tmp_path / "s.db", range(1, 4)) as store:
        keep(store, [4], historic=True)
        keep(store, [5], timed=False)
        frame = of_logger(4_290_000_000)
        keep(store, range(6, 8), device="SIM0000001", via="4290000000", frame=frame)
        await safe(store)
        with Reader(store.path) as reader:
            simulated = reader.last_number()
        for wished, numbers in ((False, [3]), (True, [3, simulated])):
            one = Configured("one", kind_of(make), {"place": "x"}, include_simulated=wished)
            async with outward(store, one):
                await until(lambda: answers)
            assert answers.pop() == numbers
