"""How readings come from the store to one sink: in order, at least once, whatever goes wrong."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from inverterproto_cli.sinks import delivery
from inverterproto_cli.sinks.delivery import LASTING, TRIES, Delivery
from inverterproto_cli.sinks.pace import Pace
from inverterproto_cli.sinks.pages import RECORDS, Pages
from inverterproto_cli.sinks.sink import Entry, RefusedError, TooSlowError, TroubleError
from inverterproto_cli.store import Store
from inverterproto_cli.store.sinks import SinkRow
from tests.sinking import NOW, PATIENCE, Recorder, fail, keep, of_logger, safe, stored, take, wanted

pytestmark = pytest.mark.asyncio


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a sink be tried again, and the store be looked at, as soon as can be."""
    monkeypatch.setattr(delivery, "FIRST_RETRY", 0.001)
    monkeypatch.setattr("inverterproto_cli.sinks.pages.EVERY", 0.001)


class Standing(Recorder):
    """A sink that is there before anything is delivered."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()

    async def begin(self, _number: int) -> None:
        self.begun.set()


class Going:
    """A delivery that goes on."""

    def __init__(self, store: Store, delivery: Delivery, sink: Recorder) -> None:
        self.store = store
        self.delivery = delivery
        self.sink = sink
        self.said: list[tuple[str, str]] = []

    async def until(self, condition: Callable[[SinkRow], object]) -> SinkRow:
        async with asyncio.timeout(PATIENCE):
            while not condition(self.delivery.row):  # noqa: ASYNC110 - rows have no event
                await asyncio.sleep(0.001)
        return self.delivery.row

    async def all(self) -> SinkRow:
        """Wait until it has had all there is."""
        return await self.until(lambda row: row.number == self.store.last_number)


@asynccontextmanager
async def delivering(
    path: Path,
    sink: Recorder,
    numbers: range = range(1, 11),
    begin: int = 0,
    **options: Any,  # noqa: ANN401 - of the sink
) -> AsyncIterator[Going]:
    """Let a delivery go on, to a sink, from a store with some records."""
    async with stored(path, numbers) as store:
        pages = Pages(store.path)
        going: list[Going] = []

        def say(event: str, text: str) -> None:
            going[0].said.append((event, text))

        configured = wanted(sink, **options)
        row = SinkRow("recorder", "recorder", begin, NOW)
        one = Delivery(configured, sink, row, pages, Pace(), say)
        going.append(Going(store, one, sink))
        tasks = [asyncio.create_task(pages.look()), asyncio.create_task(one.run())]
        try:
            yield going[0]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            pages.close()


async def test_a_sink_gets_every_reading_in_order(tmp_path: Path) -> None:
    count = 2 * RECORDS + 10
    async with delivering(tmp_path / "s.db", Recorder(), range(1, count + 1)) as going:
        row = await going.all()
        assert going.sink.numbers == [*range(1, count + 1)]
        assert row.delivered == count
        assert row.error is None
        assert row.last is not None


async def test_what_comes_later_is_delivered_when_it_is_on_disk(tmp_path: Path) -> None:
    async with delivering(tmp_path / "s.db", Recorder(), range(1, 3)) as going:
        await going.sink.until(2)
        keep(going.store, range(3, 6))
        await going.sink.until(5)
        assert going.sink.numbers == [1, 2, 3, 4, 5]


async def test_a_sink_that_is_to_be_there_begins_though_there_is_nothing_to_deliver(
    tmp_path: Path,
) -> None:
    sink = Standing()
    async with delivering(tmp_path / "s.db", sink, range(0)), asyncio.timeout(PATIENCE):
        await sink.begun.wait()
    assert sink.batches == []


async def test_a_sink_begins_behind_its_position(tmp_path: Path) -> None:
    async with delivering(tmp_path / "s.db", Recorder(), begin=7) as going:
        await going.all()
        assert going.sink.numbers == [8, 9, 10]


async def test_what_was_not_taken_comes_again(tmp_path: Path) -> None:
    sink = Recorder([take(3), take(1)])
    async with delivering(tmp_path / "s.db", sink) as going:
        await going.all()
        assert sink.numbers == [*range(1, 11)]
        assert sink.batches == [10, 7, 6]


async def test_a_sink_that_takes_nothing_is_tried_again(tmp_path: Path) -> None:
    sink = Recorder([take(0)] * 2)
    async with delivering(tmp_path / "s.db", sink) as going:
        await going.all()
        assert sink.numbers == [*range(1, 11)]
        assert ("sink-trouble", "sink recorder: it took nothing; it is tried again") in going.said


async def test_trouble_is_said_once_and_when_it_is_over(tmp_path: Path) -> None:
    sink = Recorder([fail(TroubleError("the broker refuses"))] * 4)
    async with delivering(tmp_path / "s.db", sink) as going:
        row = await going.all()
        assert going.said == [
            ("sink-trouble", "sink recorder: the broker refuses; it is tried again"),
            ("sink-recovered", "sink recorder: works again"),
        ]
        assert (row.error, row.error_at) == (None, None)
        assert sink.numbers == [*range(1, 11)]


async def test_what_passes_by_the_next_try_is_not_told(tmp_path: Path) -> None:
    sink = Recorder([fail(TroubleError("busy")), take(3), fail(TroubleError("busy")), take(3)])
    async with delivering(tmp_path / "s.db", sink) as going:
        await going.all()
        assert going.said == []


async def test_a_sink_that_comes_and_goes_is_told_of_once(tmp_path: Path) -> None:
    away = [fail(TroubleError("away"))] * 3
    sink = Recorder([*away, take(3), *away, take(3), *away])
    async with delivering(tmp_path / "s.db", sink) as going:
        await going.all()
        assert [event for event, _ in going.said] == ["sink-trouble", "sink-recovered"]


async def test_trouble_that_lasts_is_told_though_another_was_just_told(tmp_path: Path) -> None:
    away = fail(TroubleError("away"))
    sink = Recorder([*[away] * 2, take(3), *[away] * (LASTING + 1), take(3)])
    async with delivering(tmp_path / "s.db", sink) as going:
        await going.all()
        assert [event for event, _ in going.said] == ["sink-trouble", "sink-recovered"] * 2


async def test_trouble_waits_longer_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    real = asyncio.sleep

    async def sleep(delay: float) -> None:
        if delay >= 1.0:
            slept.append(delay)
        await real(0)

    monkeypatch.setattr(delivery, "FIRST_RETRY", 4.0)
    monkeypatch.setattr("inverterproto_cli.sinks.delivery.asyncio.sleep", sleep)
    sink = Recorder([fail(TroubleError("away"))] * 8)
    async with delivering(tmp_path / "s.db", sink) as going:
        await going.all()
    limits = [4, 8, 16, 32, 60, 60, 60, 60]
    assert len(slept) == len(limits)
    assert all(most / 2 <= one <= most for one, most in zip(slept, limits, strict=True))


async def test_one_refused_reading_is_found_set_aside_and_blocks_nothing(tmp_path: Path) -> None:
    def refuse(entries: object) -> int:
        assert isinstance(entries, list)
        if any(entry.number == 5 for entry in entries):
            raise RefusedError("no such field")
        return len(entries)

    sink = Recorder([refuse] * 40)
    async with delivering(tmp_path / "s.db", sink) as going:
        row = await going.all()
        assert sink.numbers == [1, 2, 3, 4, 6, 7, 8, 9, 10]
        assert (row.set_aside, row.delivered, row.error) == (1, 9, None)
        (one,) = going.delivery.unsaved()[1]
        assert (one.sink, one.number, one.why) == ("recorder", 5, "no such field")
        assert json.loads(one.reading)["device"] == "2301234567"


async def test_a_refused_reading_that_is_named_is_tried_a_few_times(tmp_path: Path) -> None:
    tried: list[int] = []

    def refuse(entries: object) -> int:
        assert isinstance(entries, list)
        for at, entry in enumerate(entries):
            if entry.number == 4:
                tried.append(len(entries))
                raise RefusedError("blank", at)
        return len(entries)

    sink = Recorder([refuse] * 40)
    async with delivering(tmp_path / "s.db", sink) as going:
        row = await going.all()
        assert len(tried) == TRIES
        assert row.set_aside == 1
        assert row.delivered == 9
        # What was before it in the batch arrived, though the recorder was told so by nobody.
        assert sink.numbers == [5, 6, 7, 8, 9, 10]


async def test_a_refusal_that_goes_away_sets_nothing_aside(tmp_path: Path) -> None:
    sink = Recorder([fail(RefusedError("busy parsing", 0))] * (TRIES - 1))
    async with delivering(tmp_path / "s.db", sink) as going:
        row = await going.all()
        assert row.set_aside == 0
        assert sink.numbers == [*range(1, 11)]


async def test_a_fault_of_a_sink_costs_the_one_reading_that_brings_it_about(tmp_path: Path) -> None:
    def stumble(entries: object) -> int:
        assert isinstance(entries, list)
        if any(entry.number == 1 for entry in entries):
            raise KeyError("secret of the sink")
        return len(entries)

    sink = Recorder([stumble] * 40)
    async with delivering(tmp_path / "s.db", sink) as going:
        await going.all()
        assert sink.numbers == [*range(2, 11)]
        (one,) = going.delivery.unsaved()[1]
        assert one.why == "a fault of this sink (KeyError)"


async def test_a_silent_sink_is_given_up_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "PATIENCE", 0.01)

    class Silent(Recorder):
        async def deliver(self, entries: Any) -> int:  # noqa: ANN401
            if len(self.batches) < 2:
                self.batches.append(0)
                await asyncio.Event().wait()
            return await super().deliver(entries)

    async with delivering(tmp_path / "s.db", Silent()) as going:
        await going.all()
        assert going.sink.numbers == [*range(1, 11)]
        assert "no answer within" in going.said[0][1]


async def test_who_is_too_slow_gets_half_as_much_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes two at once, and no more than that in its time."""
    monkeypatch.setattr(delivery, "QUICK", 0.0)

    def slow(entries: object) -> int:
        assert isinstance(entries, list)
        if len(entries) > 2:
            raise TooSlowError("no answer within 30 seconds")
        return len(entries)

    sink = Recorder([slow] * 100)
    async with delivering(tmp_path / "s.db", sink) as going:
        row = await going.all()
        assert sink.numbers == [*range(1, 11)]
        assert sink.batches == [10, 5, 2, 2, 2, 2, 2]
        assert row.set_aside == 0


async def test_an_error_of_the_system_is_trouble_and_costs_no_reading(tmp_path: Path) -> None:
    errors: list[Exception] = [
        ConnectionRefusedError(111, "Connection refused"), TimeoutError(), OSError(28, "No space"),
    ]  # fmt: skip
    sink = Recorder(fail(error) for error in errors * 3)
    async with delivering(tmp_path / "s.db", sink) as going:
        row = await going.all()
        assert sink.numbers == [*range(1, 11)]
        assert row.set_aside == 0
        assert [event for event, _ in going.said] == ["sink-trouble", "sink-recovered"]


@pytest.mark.parametrize("error", [asyncio.CancelledError(), SystemExit(3)])
async def test_a_sink_that_ends_itself_goes_on(tmp_path: Path, error: BaseException) -> None:
    def end(_entries: object) -> int:
        raise error

    sink = Recorder([end])
    async with delivering(tmp_path / "s.db", sink) as going:
        row = await going.all()
        assert sink.numbers == [*range(1, 11)]
        assert row.set_aside == 0


async def test_a_sink_that_returns_no_count_is_at_fault(tmp_path: Path) -> None:
    def nothing(_entries: object) -> int:
        return None  # type: ignore[return-value]

    sink = Recorder([nothing])
    async with delivering(tmp_path / "s.db", sink) as going:
        await going.all()
        assert [entry.number for entry in sink.entries][-10:] == [*range(1, 11)]


async def test_many_refused_in_a_row_do_not_hold_up_what_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[str] = []
    wait_for = Delivery._wait_for

    async def noted(one: Delivery, error: str) -> None:
        waits.append(error)
        await wait_for(one, error)

    monkeypatch.setattr(Delivery, "_wait_for", noted)

    def refuse(entries: object) -> int:
        assert isinstance(entries, list)
        if entries[0].number < 50:
            raise RefusedError("conflict", 0)
        return len(entries)

    sink = Recorder([refuse] * 1000)
    async with delivering(tmp_path / "s.db", sink, range(1, 61)) as going:
        row = await going.all()
        assert sink.numbers == [*range(50, 61)]
        assert row.set_aside == 49
        assert len(waits) == TRIES - 1  # of the first one


async def test_what_cannot_even_be_shown_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unshown(_entry: Entry) -> dict[str, object]:
        raise OverflowError("a time beyond the calendar")

    monkeypatch.setattr(Entry, "to_json", unshown)
    sink = Recorder([fail(RefusedError("no", 0))] * TRIES)
    async with delivering(tmp_path / "s.db", sink) as going:
        row = await going.all()
        assert row.set_aside == 1
        (one,) = going.delivery.unsaved()[1]
        assert json.loads(one.reading) == {"device": "2301234567", "number": 1}


async def test_simulated_devices_are_left_out_unless_they_are_wanted(tmp_path: Path) -> None:
    for include, expected in ((False, [1, 4]), (True, [1, 2, 3, 4])):
        path = tmp_path / f"{include}.db"
        sink = Recorder()
        async with delivering(path, sink, range(1, 2), include_simulated=include) as going:
            keep(going.store, [2, 3], frame=of_logger(4_290_000_007), via="4290000007")
            keep(going.store, [4])
            await safe(going.store)
            await going.all()
            assert sink.numbers == expected


async def test_a_sink_that_needs_a_time_is_spared_what_has_none(tmp_path: Path) -> None:
    sink = Recorder()
    async with delivering(tmp_path / "s.db", sink, range(1, 3), needs_time=True) as going:
        keep(going.store, [3], timed=False)
        keep(going.store, [4])
        await safe(going.store)
        row = await going.all()
        assert sink.numbers == [1, 2, 4]
        assert (row.delivered, row.left_out) == (3, 1)


async def test_others_get_what_has_no_time(tmp_path: Path) -> None:
    sink = Recorder()
    async with delivering(tmp_path / "s.db", sink, range(1, 3)) as going:
        keep(going.store, [3], timed=False)
        await sink.until(3)
        assert sink.entries[2].reading.time is None


async def test_a_store_that_cannot_be_read_is_trouble_that_passes(tmp_path: Path) -> None:
    sink = Recorder()
    async with delivering(tmp_path / "s.db", sink, range(1, 3)) as going:
        await sink.until(2)
        pages = going.delivery._pages
        path, pages.path = pages.path, tmp_path / "none.db"
        pages.last = 99
        await going.until(lambda row: row.error is not None)
        assert "the store cannot be read" in str(going.delivery.row.error)
        pages.path = path
        keep(going.store, [3])
        await sink.until(3)
        assert sink.numbers == [1, 2, 3]


async def test_what_was_removed_is_waited_for_by_nobody(tmp_path: Path) -> None:
    sink = Recorder()
    async with delivering(tmp_path / "s.db", sink, range(1, 3)) as going:
        await sink.until(2)
        pages = going.delivery._pages
        pages.last = 99
        assert pages.after(2, going.delivery._wanted).entries == []
        assert pages.last == 2
        keep(going.store, [3])
        await sink.until(3)


async def test_all_numbers_of_a_message_come_where_they_are_wanted(tmp_path: Path) -> None:
    sink = Recorder()
    async with delivering(tmp_path / "s.db", sink, range(1, 2), all_fields=True) as going:
        await sink.until(1)
        fields = going.sink.entries[0].fields
        assert fields["rated_power"] == 800.0
        assert not any("serial" in name for name in fields)
        assert all(isinstance(value, int | float) for value in fields.values())
        assert going.sink.entries[0].to_json()["fields"] == fields


async def test_more_is_not_set_aside_than_the_store_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "MOST_UNSAVED", 2)
    sink = Recorder([fail(RefusedError("no", 0))] * 1000)
    async with delivering(tmp_path / "s.db", sink) as going:
        await going.until(lambda row: row.set_aside == 2)
        _, some = going.delivery.unsaved()
        assert [one.number for one in some] == [1, 2]
        going.delivery.saved(some)
        await going.until(lambda row: row.set_aside == 4)
        assert [one.number for one in going.delivery.unsaved()[1]] == [3, 4]


async def test_an_entry_is_shown_as_readings_are() -> None:
    from inverterproto.reading import Reading, TimeSource

    reading = Reading("deye", "2301234567", NOW, TimeSource.DEVICE, historic=False, values={})
    shown = Entry(7, reading, NOW, "cloud").to_json()
    assert shown["number"] == 7
    assert shown["answered"] == "cloud"
    assert "fields" not in shown
