"""The MQTT sink and a real broker: what goes to which topic."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from inverterproto_cli.sinks.sink import Entry
from inverterproto_cli.sinks.topics import Topics, rows, spelled
from tests.brokers import Heard, Listener, mosquitto, needs_mosquitto, retained
from tests.mqtt_sinks import (
    BATTERY,
    INVERTER,
    LOGGER,
    NOW,
    Around,
    entry,
    made,
    sink,
    state_of,
    until,
)

pytestmark = needs_mosquitto

STATE = f"inverterproto/deye/{INVERTER}/data/state"
HISTORY = f"inverterproto/deye/{INVERTER}/history"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with mosquitto(tmp_path_factory.mktemp("mosquitto")) as broker:
        yield broker.port


@pytest.fixture
def port(server: int) -> Iterator[int]:
    yield server
    with Listener(server) as listener:
        for topic in {one.topic for one in listener.all() if one.retained}:
            listener.publish(topic, b"", retain=True)


@pytest.fixture
def listener(port: int) -> Iterator[Listener]:
    with Listener(port) as one:
        yield one


def of(heard: list[Heard], ending: str) -> list[Heard]:
    return [one for one in heard if one.topic.endswith(ending)]


@pytest.mark.asyncio
async def test_each_kind_of_message_of_a_device_has_a_retained_state_of_its_own(port: int) -> None:
    record = entry(1, NOW - 60, kind="record", grid_import_total=12.5, state_of_charge=40.0)
    status = entry(2, NOW - 10, kind="status", grid_power=-9.0, state_of_charge=41.0)
    async with sink(port) as one:
        assert await one.deliver([record, status]) == 2
    kept = {
        topic: Heard(topic, payload, retained=True) for topic, payload in retained(port).items()
    }
    prefix = f"inverterproto/alphaess/{BATTERY}"
    assert kept[f"{prefix}/record/state"].json() == state_of(record)
    assert kept[f"{prefix}/status/state"].json() == state_of(status)


@pytest.mark.asyncio
async def test_it_says_that_it_is_there_before_anything_is_measured(port: int) -> None:
    async with sink(port) as one:
        await one.begin(9)
        await until(lambda: retained(port).get("inverterproto/status") == b"online")
    assert retained(port)["inverterproto/status"] == b"offline"


@pytest.mark.asyncio
async def test_it_tells_what_the_store_has_before_anything_is_measured(port: int) -> None:
    around = Around()
    evening = entry(5, NOW - 30_000, energy_total=177.5)
    around.stands = [evening, entry(6, NOW - 20_000, device=None, energy_total=3.0)]
    async with sink(port, around) as one:
        await one.begin(9)
        await until(lambda: STATE in retained(port))
        assert Heard(STATE, retained(port)[STATE], retained=True).json() == state_of(evening)
        assert any(topic.endswith("energy_total/config") for topic in retained(port))
        # It is not newer than what stands there, be it delivered again or not at all so far.
        older = entry(4, NOW - 40_000, energy_total=177.0)
        morning = entry(7, NOW - 10, energy_total=177.6)
        assert await one.deliver([older, evening, morning]) == 3
    assert Heard(STATE, retained(port)[STATE], retained=True).json() == state_of(morning)


@pytest.mark.asyncio
async def test_of_a_batch_the_newest_is_the_present_and_the_others_are_history_in_order(
    port: int, listener: Listener
) -> None:
    entries = [entry(n, NOW - 300 + n, active_power=float(n)) for n in range(1, 21)]
    async with sink(port) as one:
        assert await one.deliver(entries) == 20
    heard = listener.all()
    assert [each.json() for each in of(heard, "/data/state")] == [state_of(entries[-1])]
    past = [each.to_json() for each in entries[:-1]]
    assert [each.json() for each in of(heard, "/history")] == past
    assert STATE in retained(port)
    assert HISTORY not in retained(port)


@pytest.mark.parametrize(
    "past",
    [
        entry(1, NOW - 900, active_power=1),
        entry(1, NOW - 1, historic=True, active_power=1),
        entry(1, None, active_power=1),
        entry(1, NOW + 7200, active_power=1),
        entry(1, NOW - 1, device=None, active_power=1),
    ],
    ids=["old", "historic", "of unknown time", "from the future", "of who did not say"],
)
@pytest.mark.asyncio
async def test_what_is_not_the_present_is_history_and_makes_no_entity(
    port: int, listener: Listener, past: Entry
) -> None:
    async with sink(port) as one:
        assert await one.deliver([past]) == 1
    heard = listener.all()
    assert [each.json() for each in of(heard, "/history")] == [past.to_json()]
    assert not of(heard, "/state")
    assert not of(heard, "/config")
    where = "inverterproto/deye/_nobody/history" if past.reading.device is None else HISTORY
    assert of(heard, "/history")[0].topic == where


@pytest.mark.asyncio
async def test_what_is_older_than_what_was_published_is_history(
    port: int, listener: Listener
) -> None:
    new, late, same = entry(1, NOW - 5), entry(2, NOW - 6), entry(3, NOW - 5)
    async with sink(port) as one:
        for each in (new, late, same):
            assert await one.deliver([each]) == 1
    heard = listener.all()
    assert [each.json() for each in of(heard, "/data/state")] == [state_of(new)]
    assert [each.json() for each in of(heard, "/history")] == [late.to_json(), same.to_json()]


@pytest.mark.asyncio
async def test_after_a_start_the_store_tells_what_may_have_been_published(
    port: int, listener: Listener
) -> None:
    around = Around()
    around.stored[INVERTER, "data"] = NOW - 100
    old, new = entry(8, NOW - 101), entry(9, NOW - 99)
    async with sink(port, around) as one:
        await one.deliver([old])
        await one.deliver([new])
    heard = listener.all()
    assert [each.json() for each in of(heard, "/history")] == [old.to_json()]
    assert [each.json() for each in of(heard, "/data/state")] == [state_of(new)]


@pytest.mark.asyncio
async def test_what_comes_again_is_judged_as_it_was_the_first_time(
    port: int, listener: Listener
) -> None:
    past, present = entry(1, NOW - 20), entry(2, NOW - 10)
    async with sink(port) as one:
        for _ in range(2):
            assert await one.deliver([past, present]) == 2
    heard = listener.all()
    assert [each.json() for each in of(heard, "/data/state")] == [state_of(present)] * 2
    assert [each.json() for each in of(heard, "/history")] == [past.to_json()] * 2


@pytest.mark.asyncio
async def test_a_value_that_is_absent_at_night_is_absent_in_the_state(
    port: int, listener: Listener
) -> None:
    day = entry(1, NOW - 20, energy_total=177.5, pv1_power=200.0)
    night = entry(2, NOW - 10, pv1_power=0.0)
    async with sink(port) as one:
        await one.deliver([day])
        await one.deliver([night])
    assert [each.json() for each in listener.topic(STATE, 2)] == [state_of(day), state_of(night)]


@pytest.mark.asyncio
async def test_all_fields_stand_below_the_quantities(port: int, listener: Listener) -> None:
    async with sink(port) as one:
        await one.deliver([entry(1, active_power=4, fields={"unknown_41": 7})])
    assert listener.topic(STATE)[0].json()["fields"] == {"unknown_41": 7}


@pytest.mark.asyncio
async def test_a_logger_says_when_it_was_heard_last(port: int, listener: Listener) -> None:
    async with sink(port) as one:
        await one.deliver([entry(n, NOW - 30 + n, device=f"23{n}", active_power=1) for n in (1, 2)])
    seen = listener.topic(f"inverterproto/deye/{LOGGER}/seen/state")
    assert [each.json() for each in seen] == [{"time": "2026-09-21T14:13:20Z"}]
    configs = of(listener.all(), f"_{LOGGER}_last_seen/config")
    assert configs[0].json()["state_topic"] == seen[0].topic


@pytest.mark.asyncio
async def test_a_serial_of_any_characters_stays_in_its_own_topics(
    port: int, listener: Listener
) -> None:
    hostile = ["a/b", "a_2Fb", "#", "+", "$SYS", "\0", "", " ", "x" * 500, "x" * 501, "\udcff", "é"]
    hostile += ["../status", "a.b", "a\nb", "_nobody", "_"]
    entries = [
        entry(number, NOW - 1, device=serial, active_power=number)
        for number, serial in enumerate(hostile)
    ]
    async with sink(port) as one:
        assert await one.deliver(entries) == len(entries)
        assert await one.deliver([each._replace(number=99) for each in entries]) == len(entries)
    heard = listener.all()
    states = of(heard, "/data/state")
    assert len({each.topic for each in states}) == len(hostile)
    for each in (*states, *of(heard, "/history")):
        levels = each.topic.split("/")
        assert levels[:2] == ["inverterproto", "deye"]
        assert len(levels) == (5 if levels[-1] == "state" else 4)
        assert all(levels)
        assert len(each.topic) < 120
    configs = of(heard, "_active_power/config")
    assert len({each.json()["unique_id"] for each in configs}) == len(hostile)
    assert [each.json()["active_power"] for each in states] == list(range(len(hostile)))


def test_no_two_serials_are_spelled_alike() -> None:
    assert spelled("a/b") == "a_2Fb"
    assert spelled("x" * 64) == "x" * 64
    assert len(spelled("x" * 65)) == 64
    assert Topics("p").state("deye", "a+b", "data") == "p/deye/a_2Bb/data/state"


ALIAS = {
    INVERTER: {
        "active_power": {
            "unique_id": "old_power",
            "topic": "old/power",
            "object_id": "roof_power",
        }
    },
    BATTERY: {"state_of_charge": {"topic": "old/soc"}},
}


@pytest.mark.asyncio
async def test_an_alias_keeps_unique_id_and_topic_of_another_tool(
    port: int, listener: Listener
) -> None:
    async with sink(port, alias=ALIAS) as one:
        await one.deliver([entry(1, NOW - 20, active_power=4.5), entry(2, NOW - 9, energy_today=1)])
        await one.deliver([entry(3, NOW - 5, active_power=5)])
    assert [each.payload for each in listener.topic("old/power")] == [b"5"]
    config = of(listener.all(), "_active_power/config")[0].json()
    assert config["unique_id"] == "old_power"
    assert config["object_id"] == "roof_power"
    assert config["default_entity_id"] == "sensor.roof_power"
    assert config["state_topic"] == STATE
    assert retained(port)["old/power"] == b"5"


@pytest.mark.asyncio
async def test_the_plain_value_of_an_alias_comes_from_the_kind_that_comes_most_often(
    port: int, listener: Listener
) -> None:
    async with sink(port, alias=ALIAS, discovery=False) as one:
        await one.deliver([entry(1, NOW - 20, kind="record", state_of_charge=40.0)])
        await one.deliver([entry(2, NOW - 19, kind="status", state_of_charge=41.0)])
        await one.deliver([entry(3, NOW - 18, kind="record", state_of_charge=42.0)])
    assert [each.payload for each in of(listener.all(), "old/soc")] == [b"40.0", b"41.0"]


@pytest.mark.asyncio
async def test_a_test_is_marked_and_leaves_nothing_behind(port: int, listener: Listener) -> None:
    one = made(port)
    line = await one.test(entry(0, active_power=4))
    await one.close()
    assert line == f"the broker 127.0.0.1:{port} acknowledged it at inverterproto/test (MQTT 5)"
    [heard] = listener.all()
    assert heard.topic == "inverterproto/test"
    assert heard.json() == {"test": True, **entry(0, active_power=4).to_json()}
    assert retained(port) == {}


@pytest.mark.asyncio
async def test_a_new_quantity_is_told_when_it_is_shown_and_once(
    port: int, listener: Listener
) -> None:
    def told() -> list[str]:
        return [each.topic.split("_", 2)[2][:-7] for each in of(listener.all(), "/config")]

    async with sink(port) as one:
        await one.deliver([entry(1, NOW - 30, active_power=4)])
        assert await asyncio.to_thread(told) == [
            f"{LOGGER}_last_seen",
            f"{INVERTER}_active_power",
            f"{INVERTER}_last_seen",
        ]
        listener.forget()
        await one.deliver([entry(2, NOW - 20, active_power=4, energy_total=1.0)])
        assert await asyncio.to_thread(told) == [f"{INVERTER}_energy_total"]
        listener.forget()
        await one.deliver([entry(3, NOW - 10, active_power=4)])
        assert await asyncio.to_thread(told) == []


@pytest.mark.asyncio
async def test_without_discovery_there_is_none(port: int, listener: Listener) -> None:
    async with sink(port, discovery=False) as one:
        await one.deliver([entry(1, active_power=4)])
    assert not of(listener.all(), "/config")


@pytest.mark.asyncio
async def test_when_home_assistant_starts_it_is_told_everything_again(port: int) -> None:
    async with sink(port, discovery_prefix="ha") as one:
        await one.deliver([entry(1, NOW - 5, active_power=4)])
        with Listener(port) as listener:
            await asyncio.to_thread(listener.all)
            listener.forget()
            await asyncio.to_thread(listener.publish, "ha/status", "online")
            await asyncio.to_thread(listener.topic, f"inverterproto/deye/{LOGGER}/seen/state")
            topics = [each.topic for each in listener.heard]
    assert topics == [
        "ha/status",
        f"ha/sensor/inverterproto_deye_{LOGGER}_last_seen/config",
        f"ha/sensor/inverterproto_deye_{INVERTER}_active_power/config",
        f"ha/sensor/inverterproto_deye_{INVERTER}_last_seen/config",
        STATE,
        f"inverterproto/deye/{LOGGER}/seen/state",
    ]


@pytest.mark.asyncio
async def test_a_large_batch_arrives_whole_each_entry_at_one_topic(
    port: int, listener: Listener
) -> None:
    entries = [
        entry(n, NOW - 800 + n / 10, device=f"23{n % 7}", active_power=n) for n in range(3000)
    ]
    async with sink(port, discovery=False) as one:
        for at in range(0, 3000, 500):
            assert await one.deliver(entries[at : at + 500]) == 500
    heard = await asyncio.to_thread(listener.all)
    states = [each.json()["active_power"] for each in of(heard, "/data/state")]
    past = [each.json()["values"]["active_power"] for each in of(heard, "/history")]
    assert sorted(states + past) == list(range(3000))
    for serial in range(7):
        own = [value for value in past if value % 7 == serial]
        assert own == sorted(own)


@pytest.mark.asyncio
async def test_every_topic_that_is_published_has_its_row_in_the_documentation(
    port: int, listener: Listener
) -> None:
    async with sink(port) as one:
        await one.test(entry(0))
        await one.deliver([entry(1, NOW - 5, active_power=4), entry(2, NOW - 9, active_power=4)])
    words = {
        "FAMILY": "deye",
        "SERIAL": r"\d+",
        "LOGGER": LOGGER,
        "KIND": "data",
        "QUANTITY": r"\w+",
    }
    patterns = {}
    for row in rows():
        pattern = row.topic
        for word, stands_for in words.items():
            pattern = pattern.replace(word, stands_for)
        patterns[row] = re.compile(pattern)
    used = set()
    kept = retained(port)
    for each in listener.all():
        (row,) = [row for row, pattern in patterns.items() if pattern.fullmatch(each.topic)]
        assert (each.topic in kept) == (row.retained == "yes")
        used.add(row)
    assert used == set(rows())


def test_the_sink_may_be_chosen_without_its_library() -> None:
    code = (
        "import importlib.util; importlib.util.find_spec = lambda name: None\n"
        "from inverterproto_cli.sinks.mqtt import MQTT\n"
        "try: MQTT.open({}, None)\n"
        "except Exception as error: print(error.message, error.exit_code)\n"
    )
    done = subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout == "MQTT needs paho-mqtt: pip install 'inverterproto[mqtt]' 2\n"
