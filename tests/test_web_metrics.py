"""What Prometheus reads: names by its conventions, bounded labels, values that are true."""

import ast
import asyncio
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import time
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families

import inverterproto_cli
from docs import hooks
from inverterproto.quantity import QUANTITIES
from inverterproto.reading import Reading, TimeSource
from inverterproto_cli.sinks.pace import Pace
from inverterproto_cli.sinks.pages import Pages
from inverterproto_cli.sinks.settings import Configured
from inverterproto_cli.sinks.sink import Entry, Sink, SinkType, Surroundings
from inverterproto_cli.sinks.states import FRESH
from inverterproto_cli.web.asking import Told
from inverterproto_cli.web.metrics import (
    COUNTED,
    COUNTED_BY,
    DECLARED,
    MOST_VALUES,
    OTHER,
    READING_TIME,
    UNITS,
    UNNAMED,
    metric_of,
)
from inverterproto_cli.web.newest import Newest, Value
from inverterproto_cli.web.readings import Question
from inverterproto_cli.web.scraping import Scene, exposed
from tests.browsing import PATIENCE, Answer, shown
from tests.clients import battery_status, data
from tests.serving import Clock, until
from tests.stores import Came, filled

NOW = 1_790_000_000.0
SERIAL = "AL2002000001234"


def entry(number: int = 1, **changes: Any) -> Entry:  # noqa: ANN401 - any attribute
    known: dict[str, Any] = {
        "family": "alphaess",
        "device": SERIAL,
        "time": NOW,
        "time_source": TimeSource.DEVICE,
        "historic": False,
        "values": {"pv_power": 100},
    }
    return Entry(number, Reading(**{**known, **changes}), NOW)


def seen(newest: Newest) -> dict[tuple[str, str], float]:
    return {(one.device, one.key): one.value for one in newest.values()}


def scrape(counters: Mapping[str, int], *values: Value) -> Answer:
    told = Told(counters, None, 0, listening=True)
    body, kind = exposed(Scene(told, [], values, None), "")
    assert kind.startswith("text/plain; version=0.0.4")
    return Answer(200, {}, body.decode())


class TestNames:
    def test_each_is_declared_once_and_goes_by_the_conventions(self) -> None:
        quantities = [metric_of(key) for key in QUANTITIES]
        names = [one.name for one in (*DECLARED, READING_TIME, *quantities)]
        assert len(set(names)) == len(names)
        # A counter's family is called without its ending.
        families = [name.removesuffix("_total") for name in names]
        assert len(set(families)) == len(families)
        for one in DECLARED:
            assert re.fullmatch(r"inverterproto_[a-z_]+", one.name)

    def test_every_unit_of_a_quantity_has_its_word(self) -> None:
        assert {one.unit for one in QUANTITIES.values()} == set(UNITS)
        assert metric_of("pv{n}_voltage").name == "inverterproto_pv{n}_voltage_volts"
        assert metric_of("pv2_voltage").name == "inverterproto_pv2_voltage_volts"
        assert metric_of("status").name == "inverterproto_status"
        for key in QUANTITIES:
            assert not metric_of(key).counts

    def test_every_counter_of_the_program_has_its_metric(self) -> None:
        """Each is looked for where it is counted, in the program's own text."""
        package = Path(inverterproto_cli.__file__).parent
        texts = [
            ast.parse(file.read_text())
            for folder in ("server", "relay")
            for file in (package / folder).glob("*.py")
            if file.name != "logs.py"
        ]
        found = {name for text in texts for name in _counted_in(text)}
        assert {"connections", "record: ", "event: ", "ended: "} <= found
        for name in found:
            kind, colon, _ = name.partition(": ")
            assert (kind in COUNTED_BY) if colon else (name in COUNTED), name


def _counted_in(text: ast.AST) -> Iterator[str]:
    """Yield what is counted: `counts["this"] += 1`, and what functions called counters return."""
    for node in ast.walk(text):
        if isinstance(node, ast.Subscript) and _is_counts(node.value):
            yield from _names(node.slice)
        if isinstance(node, ast.FunctionDef) and node.name in ("counters", "passed", "_count_of"):
            for one in ast.walk(node):
                if isinstance(one, ast.Dict):
                    for key in one.keys:
                        yield from _names(key)
                if isinstance(one, ast.DictComp):
                    yield from _names(one.key)
                if isinstance(one, ast.Return):
                    yield from _names(one.value)


def _is_counts(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return name == "counts"


def _names(node: ast.expr | None) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
        yield str(node.values[0].value)


def test_the_page_about_it_names_all_metrics_paths_and_parameters() -> None:
    page = Path(__file__).parent.parent / "docs" / "http.md"
    text = hooks.on_page_markdown(page.read_text(encoding="utf-8"))
    for one in (*DECLARED, READING_TIME, *map(metric_of, QUANTITIES)):
        assert f"| `{one.name}` |" in text
    for path in ("/metrics", "/healthz", "/readyz", "/api/devices", "/api/readings"):
        assert f"| `{path}` |" in text
    for name in Question._fields:
        assert re.search(rf"^\|[^|]*`{name}`[^|]*\|", text, re.MULTILINE), name


class TestLabels:
    def test_no_label_has_more_values_than_may_be_and_nothing_is_lost(self) -> None:
        answer = scrape({f"ended: {number}": 2 for number in range(MOST_VALUES + 50)})
        counts = {
            dict(labels)["reason"]: count
            for (name, labels), count in answer.samples().items()
            if name == "inverterproto_connections_ended_total"
        }
        assert len(counts) == MOST_VALUES + 1
        assert counts[OTHER] == 100
        assert sum(counts.values()) == 2 * (MOST_VALUES + 50)

    def test_what_nobody_has_declared_is_shown_all_the_same(self) -> None:
        answer = scrape({"something new": 3, "odd: thing": 4, "connections": 5})
        assert answer.value("others_total", name="something new") == 3
        assert answer.value("others_total", name="odd: thing") == 4
        assert answer.value("connections_total") == 5
        assert UNNAMED.name not in scrape({}).body

    def test_values_of_labels_cannot_forge_lines(self) -> None:
        odd = 'a"} 1\nforged{x="\\'
        answer = scrape({f"ended: {odd}": 1}, Value("deye", odd, "pv_power", 7, NOW))
        assert answer.value("connections_ended_total", reason=odd) == 1
        assert answer.value("pv_power_watts", device=odd, family="deye") == 7
        assert not [name for name, _ in answer.samples() if "forged" in name]

    @pytest.mark.parametrize(
        "accept", ["", "text/plain;version=0.0.4", "application/openmetrics-text;version=1.0.0"]
    )
    def test_all_forms_that_prometheus_asks_for_can_be_read(self, accept: str) -> None:
        told = Told({"ended: closed": 1, "connections": 2}, None, 0, listening=True)
        values = [
            Value("deye", "1", "energy_total", 7.5, NOW),
            Value("deye", "2", "pv_power", 1, NOW),
            Value("deye", "1", "pv_power", 0, NOW - 5),
        ]
        body, kind = exposed(Scene(told, [], values, None), accept)
        read = open_metrics if "openmetrics" in kind else text_string_to_metric_families
        families = {one.name: one for one in read(body.decode())}
        assert families["inverterproto_energy_total_kilowatthours"].samples[0].value == 7.5
        assert len(families["inverterproto_pv_power_watts"].samples) == 2
        times = families["inverterproto_reading_timestamp_seconds"].samples
        assert {one.labels["device"]: one.value for one in times} == {"1": NOW, "2": NOW}
        assert families["process_resident_memory_bytes"].samples[0].value > 1e6


class TestWhatWasMeasuredLast:
    def newest(self, most: int = 10, **options: Any) -> tuple[Newest, Clock]:  # noqa: ANN401
        clock = Clock(NOW)
        return Newest(most, clock=clock, **options), clock

    def test_the_newer_one_counts_whatever_the_order_is(self) -> None:
        newest, _ = self.newest()
        newest.take([entry(1, time=NOW - 5), entry(2, time=NOW, values={"pv_power": 200})])
        newest.take([entry(3, time=NOW - 1, values={"pv_power": 300, "grid_power": 1})])
        assert seen(newest) == {(SERIAL, "pv_power"): 200, (SERIAL, "grid_power"): 1}

    @pytest.mark.parametrize(
        "changes",
        [
            {"historic": True},
            {"time": None, "time_source": TimeSource.UNKNOWN},
            {"time": NOW - FRESH - 1},
            {"time": NOW + FRESH + 1},
            {"device": None},
            {"device": "SIM000000000001"},
            {"device": "SX1", "via": "4290000001"},
            {"values": {"status": "running"}},
            {"values": {}},
        ],
    )
    def test_what_is_no_number_of_now_is_not_shown(self, changes: dict[str, Any]) -> None:
        newest, _ = self.newest()
        newest.take([entry(**changes)])
        assert newest.values() == []

    def test_simulated_devices_are_shown_where_that_is_wanted(self) -> None:
        newest, _ = self.newest(simulated=True)
        newest.take([entry(device="SIM000000000001")])
        assert seen(newest) == {("SIM000000000001", "pv_power"): 100}

    def test_what_has_become_old_goes(self) -> None:
        newest, clock = self.newest()
        newest.take([entry(), entry(device="other", time=NOW - 100)])
        clock.now += FRESH - 50
        assert seen(newest) == {(SERIAL, "pv_power"): 100}
        clock.now += 51
        assert newest.values() == []
        assert newest._values == {}

    def test_of_more_devices_than_may_be_only_the_first_are_shown_until_one_is_old(self) -> None:
        newest, clock = self.newest(most=2)
        newest.take([entry(device="a", time=NOW - 10), entry(device="b"), entry(device="c")])
        assert seen(newest).keys() == {("a", "pv_power"), ("b", "pv_power")}
        clock.now += FRESH - 5
        newest.take([entry(device="c", time=clock.now)])
        assert seen(newest).keys() == {("b", "pv_power"), ("c", "pv_power")}

    @pytest.mark.asyncio
    async def test_it_begins_with_what_is_in_the_store_and_goes_on_with_what_comes(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "a.db"
        first = Came(battery_status(1, SERIAL), NOW, "alphaess")
        await asyncio.to_thread(filled, path, [first])
        newest, _ = self.newest()
        pages = Pages(path)
        tasks = [
            asyncio.create_task(pages.look()),
            asyncio.create_task(newest.follow(pages, Pace())),
        ]
        await until(lambda: newest.values())
        assert {device for device, _ in seen(newest)} == {SERIAL}
        more = Came(battery_status(2, "AL2002000009999"), NOW + 10, "alphaess")
        await asyncio.to_thread(filled, path, [more], anew=False)
        await until(lambda: len({device for device, _ in seen(newest)}) == 2)
        pages.end()
        await asyncio.wait_for(asyncio.gather(*tasks), 30)
        pages.close()


class Taking:
    """A sink that takes nothing until it is let."""

    def __init__(self) -> None:
        self.let = asyncio.Event()

    async def deliver(self, entries: Any) -> int:  # noqa: ANN401
        await self.let.wait()
        return len(entries)

    async def test(self, _entry: Any) -> str:  # noqa: ANN401
        raise NotImplementedError

    async def close(self) -> None:
        """Have nothing."""


@pytest.mark.asyncio
async def test_of_each_sink_it_is_told_how_far_it_has_got(tmp_path: Path) -> None:
    taking = Taking()

    def take(_values: Any, _around: Surroundings) -> Sink:  # noqa: ANN401
        return taking

    kind = SinkType("taking", "Taking", (), take)
    path = tmp_path / "a.db"
    begin = time() - 100
    async with shown(path, sinks=[Configured("slow", kind, {})], now=begin) as made:
        async with await made.served.device() as device:
            for number in range(3):
                await device.ask(data(number), 23)
        made.served.pass_time(61)
        await made.served.safe()
        [delivery] = made.outward.deliveries
        await until(lambda: delivery.behind == 3)
        scrape = await made.get("/metrics")
        assert scrape.value("sink_behind_records", sink="slow") == 3
        assert scrape.value("sink_delivered_total", sink="slow") == 0
        assert scrape.value("sink_trouble", sink="slow") == 0
        behind = scrape.value("sink_behind_seconds", sink="slow")
        assert behind is not None
        assert 100 <= behind < 100 + PATIENCE
        assert scrape.value("sink_last_delivery_timestamp_seconds", sink="slow") is None
        made.outward._tell(taking.let.set)
        await until(lambda: delivery.row.delivered == 3)
        await until(lambda: delivery.behind == 0)
        scrape = await made.get("/metrics")
        assert scrape.value("sink_behind_records", sink="slow") == 0
        assert scrape.value("sink_behind_seconds", sink="slow") == 0
        assert scrape.value("sink_delivered_total", sink="slow") == 3
        last = scrape.value("sink_last_delivery_timestamp_seconds", sink="slow")
        assert last is not None
        assert last > begin + 99


@pytest.mark.asyncio
async def test_the_counters_and_the_store_are_those_of_the_server(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with shown(path) as made:
        async with await made.served.device() as device:
            await device.ask(data(1), 23)
            scrape = await made.get("/metrics")
            assert scrape.value("open_connections") == 1
        await until(lambda: not made.served.listener.connections)
        scrape = await made.get("/metrics")
        assert scrape.value("connections_total") == 1
        assert scrape.value("open_connections") == 0
        assert scrape.value("records_total", kind="data") == 1
        assert scrape.value("records_committed_total") == 1
        assert scrape.value("connections_ended_total", reason="closed") == 1
        size = scrape.value("store_bytes")
        assert size is not None
        assert size >= path.stat().st_size
        assert scrape.value("store_pending_bytes") == 0
        assert scrape.value("store_trouble") == 0
        assert scrape.samples()["process_start_time_seconds", ()] > 1e9
