"""What simulated inverters measure: read back from their frames, plausible all day long."""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from inverterproto.deye.dating import Stamp
from inverterproto.deye.frame import Frame
from inverterproto.deye.messages import Message
from inverterproto.reading import Reading
from inverterproto_cli.fakes.day import Day, day_from, sticks
from inverterproto_cli.fakes.household import DAY
from inverterproto_cli.fakes.inverters import MODELS, sleeping, stick
from inverterproto_cli.fakes.serials import inverter_serial
from inverterproto_cli.fakes.totals import Totals

MIDNIGHT = 20_600 * DAY
STEP = 300
CONFIDENT = [name for name in MODELS if name != "hybrid"]
UNCHECKED = ("layout hybrid not checked on real bytes",)


def messages(name: str, begin: int = MIDNIGHT, seconds: int = DAY) -> Iterator[tuple[int, Message]]:
    """Yield what an inverter tells, with the second since the beginning."""
    model = MODELS[name]
    identity = stick(model, 4)
    measure = model.measure(identity.inverter_serial, model.household(7), begin, seed=7)
    for second in range(0, seconds, STEP):
        if (fields := measure(begin + second)) is not None:
            payload = identity.data(fields, Stamp(second, second, begin), second)
            frame = Frame(0x4210, (0, 0), identity.serial, payload)
            yield second, Message.parse(Frame.parse(frame.build()))


def readings(name: str, begin: int = MIDNIGHT, seconds: int = DAY) -> list[tuple[int, Reading]]:
    return [(at, message.readings()[0]) for at, message in messages(name, begin, seconds)]


def number(reading: Reading, key: str) -> float:
    value = reading.values[key]
    assert isinstance(value, int | float), key
    return value


@pytest.mark.parametrize("name", MODELS)
def test_what_a_model_sends_all_day_is_read_without_a_problem(name: str) -> None:
    sent = list(messages(name))
    assert len(sent) > 100
    for _, message in sent:
        assert message.problems == (UNCHECKED if name == "hybrid" else ())
        (reading,) = message.readings()
        logger = MODELS[name].first_logger + 4
        assert reading.device == inverter_serial(logger)
        assert message.device == str(logger)


@pytest.mark.parametrize("name", MODELS)
def test_counters_only_grow_and_totals_go_on_at_midnight(name: str) -> None:
    told = [reading for _, reading in readings(name, MIDNIGHT + DAY // 2, 2 * DAY)]
    totals = [key for key in told[0].values if key.endswith("_total")]
    assert totals
    for key in totals:
        values = [number(reading, key) for reading in told]
        assert all(before <= after for before, after in pairwise(values)), key
        assert 0 < values[-1] - values[0] < 100


@pytest.mark.parametrize("name", ["micro", "string"])
def test_what_goes_out_is_what_the_panels_give_less_a_few_percent(name: str) -> None:
    for _, reading in readings(name):
        given, out = number(reading, "pv_power"), number(reading, "active_power")
        assert out == pytest.approx(given * 0.965, rel=0.02, abs=60)


@pytest.mark.parametrize("name", ["micro", "string"])
def test_the_energy_of_a_day_is_what_its_power_adds_up_to(name: str) -> None:
    told = readings(name)
    added = sum(number(reading, "active_power") for _, reading in told) * STEP / 3_600_000
    # A value every 5 minutes, through clouds that change every minute.
    assert number(told[-1][1], "energy_today") == pytest.approx(added, rel=0.1)


def test_a_battery_store_gives_out_what_it_does_not_keep() -> None:
    for _, reading in readings("battery"):
        flows = number(reading, "pv_power") + number(reading, "battery_power")
        assert number(reading, "battery_output_power") == pytest.approx(flows, abs=3)
        cells = sum(number(reading, f"cell{n}_voltage") for n in range(1, 17))
        assert number(reading, "battery_voltage") == pytest.approx(cells, abs=0.02)


def test_a_hybrid_charges_by_day_and_discharges_in_the_evening() -> None:
    told = dict(readings("hybrid"))
    noon, evening = told[12 * 3600], told[20 * 3600]
    assert number(told[9 * 3600], "battery_power") < 0
    assert number(noon, "state_of_charge") > number(told[6 * 3600], "state_of_charge")
    assert number(evening, "battery_power") > 0
    for reading in told.values():
        volts, amperes = (number(reading, f"battery_{what}") for what in ("voltage", "current"))
        assert volts * amperes == pytest.approx(number(reading, "battery_power"), abs=2)


def test_at_night_a_micro_inverter_sleeps_and_others_tell_nought() -> None:
    assert {at // 3600 for at, _ in readings("micro")} == set(range(6, 18))
    for name in ("string", "battery"):
        by_time = dict(readings(name))
        assert number(by_time[3600], "pv_power") == 0
        assert number(by_time[12 * 3600], "pv_power") > 100
    assert sleeping(MODELS["micro"], MIDNIGHT + 3600, 0)
    assert not sleeping(MODELS["micro"], MIDNIGHT + 3600, 11 * 3600), "it is noon there"
    assert not sleeping(MODELS["string"], MIDNIGHT, 0)


@pytest.mark.parametrize("name", MODELS)
def test_the_same_time_and_seed_give_the_same_and_no_two_times_do(name: str) -> None:
    def payloads() -> list[bytes]:
        return [message.frame.payload[21:] for _, message in messages(name)]

    told = payloads()
    assert told == payloads()
    assert len(set(told)) == len(told)


def test_totals_are_the_same_whichever_day_is_asked_for_first() -> None:
    household = MODELS["string"].household(1)
    begin = MIDNIGHT + 3 * DAY
    forth, back = Totals(household, begin), Totals(household, begin)
    days = [MIDNIGHT + day * DAY + 40_000 for day in range(7)]
    told = [forth.at(day, "pv_today") for day in days]
    assert [back.at(day, "pv_today") for day in reversed(days)] == told[::-1]
    assert told == sorted(told)


def test_a_day_passes_faster_and_begins_when_it_is_told_to() -> None:
    day = day_from(1_700_000_000.0, 600, 13 * 60 + 30)
    clock = (day.first + day.utc_offset) % DAY
    assert clock == 13.5 * 3600
    assert day.end == 1_700_000_000 + 144
    assert day.at(day.begin + 6) == day.first + 3600
    assert day_from(1_700_000_000.0, 1).first == 1_700_000_000


def test_sticks_keep_so_many_records_from_before_whether_or_not_it_was_night() -> None:
    model = MODELS["micro"]
    day = Day(1_700_000_000.0, MIDNIGHT + 7 * 3600, speed=10)
    sessions = sticks(model, 3, day, day.end, historic=100)
    assert [each.stick.serial for each in sessions] == [model.first_logger + n for n in range(3)]
    for session in sessions:
        session.poll(day.begin)
        assert session.kept == 101, "and the present one"
        assert session.due > day.begin


def test_sticks_measure_one_after_the_other_and_nothing_once_the_time_is_over() -> None:
    day = Day(1_700_000_000.0, MIDNIGHT + 43_200, speed=10)
    sessions = sticks(MODELS["string"], 3, day, day.begin + 100)
    for session in sessions:
        session.poll(day.begin)
    assert sorted(session.due - day.begin for session in sessions) == [10, 20, 30]
    for session in sessions:
        session.poll(day.begin + 1000)
        assert session.kept == 4
