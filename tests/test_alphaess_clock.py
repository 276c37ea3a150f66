"""The battery's clock: drift, steps, late and nonsensical records, and those that were stored."""

import json
import math
import random
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inverterproto.alphaess.clock import (
    LOOK_BACK,
    STEPS_KEPT,
    BatteryClock,
    Step,
    StepReason,
    date,
    format_stamp,
    parse_stamp,
)
from inverterproto.reading import Dated, TimeSource

START = 1_700_000_000.0
MINUTE, HOUR, DAY, WEEK = 60.0, 3600.0, 86400.0, 7 * 86400.0
DRIFT = 80 / (3 * WEEK)
ARRIVAL, CORRECTED, UNKNOWN = TimeSource.ARRIVAL, TimeSource.DEVICE_CORRECTED, TimeSource.UNKNOWN


class Made(NamedTuple):
    """A record, with the truth that the clock under test is not told."""

    time: float
    stamp: float
    arrival: float


class Battery:
    """A battery whose clock is `offset` off at START, drifts, counts seconds and can be set."""

    def __init__(self, offset: float = HOUR, *, drift: float = 0.0, seed: int = 1) -> None:
        self.offset, self.drift, self.random = offset, drift, random.Random(seed)

    def true_offset(self, time: float) -> float:
        return self.offset + self.drift * (time - START)

    def make(self, time: float, delay: float = 0.0) -> Made:
        return Made(time, math.floor(time + self.true_offset(time)), time + delay)

    def live(
        self, begin: float, end: float, *, every: float = 10.0, jitter: float = 0.05
    ) -> Iterator[Made]:
        """Statuses, in the order in which they arrive: a network delay is mostly short."""
        time, arrival = begin, -math.inf
        while time < end:
            delay = 0.03 + self.random.expovariate(1 / 0.15)
            arrival = max(arrival, time + delay)  # TCP keeps the order
            yield self.make(time)._replace(arrival=arrival)
            time += every + self.random.uniform(-jitter, jitter)


def feed(clock: BatteryClock, records: Iterable[Made], *, historic: bool = False) -> list[Dated]:
    dated: list[Dated] = []
    for record in records:
        dated += clock.observe(record, record.stamp, record.arrival, historic=historic)
    return dated


def error(dated: Dated) -> float:
    """By how much the time given is above the true one."""
    assert isinstance(dated.key, Made)
    assert dated.time is not None
    return dated.time - dated.key.time


def errors(dated: Iterable[Dated]) -> list[float]:
    return [error(one) for one in dated]


def running(
    battery: Battery, clock: BatteryClock | None = None, until: float = 600
) -> BatteryClock:
    """Return a clock that has heard this battery for some minutes from START."""
    clock = clock or BatteryClock()
    feed(clock, battery.live(START, START + until))
    return clock


# The stamp


def test_a_stamp_is_read_as_if_it_were_utc() -> None:
    assert parse_stamp("1970/01/01 00:00:10") == 10.0
    assert parse_stamp("2021/03/24 09:40:13") == 1616578813.0
    assert parse_stamp("2024/02/29 23:59:59") == 1709251199.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2021-03-24 09:40:13",
        "2021/3/24 09:40:13",
        "2021/03/24 9:40:13",
        "2021/03/24  09:40:13",
        "2021/03/24T09:40:13",
        "2021/03/24 09:40",
        "2021/03/24 09:40:13\n",
        " 2021/03/24 09:40:13",
        "2021/03/24 09:40:13.5",
        "٢٠٢١/03/24 09:40:13",
        "2021/02/29 00:00:00",
        "2021/13/01 00:00:00",
        "2021/00/01 00:00:00",
        "0000/01/01 00:00:00",
        "2021/03/24 24:00:00",
        "2021/03/24 09:40:60",
        "21/03/24 10:01:40",
        None,
        1616578813,
        b"2021/03/24 09:40:13",
    ],
)
def test_what_is_no_stamp_is_none(text: object) -> None:
    assert parse_stamp(text) is None


@given(st.text())
def test_reading_a_stamp_never_raises(text: str) -> None:
    assert parse_stamp(text) is None or format_stamp(parse_stamp(text) or 0.0) == text


@given(st.integers(-62135596800, 253402300799))
def test_a_stamp_written_and_read_is_the_same(seconds: int) -> None:
    assert parse_stamp(format_stamp(seconds)) == seconds


def test_a_clock_shows_the_second_that_has_begun() -> None:
    assert format_stamp(1616578813.999) == "2021/03/24 09:40:13"
    assert format_stamp(-0.5) == "1969/12/31 23:59:59"


# One shot


def test_a_known_offset_dates_a_stamp() -> None:
    assert date(START + HOUR, HOUR, "k") == Dated("k", START, CORRECTED, -HOUR)


@pytest.mark.parametrize(("stamp", "offset"), [(None, HOUR), (START, None), (None, None)])
def test_without_stamp_or_offset_there_is_no_time(
    stamp: float | None, offset: float | None
) -> None:
    assert date(stamp, offset) == Dated(None, None, UNKNOWN)


# The first record, refining, drift


def test_the_first_estimate_is_taken_as_it_is_and_later_ones_refine() -> None:
    battery, clock = Battery(HOUR), BatteryClock()
    assert clock.offset is None
    slow, prompt = battery.make(START, delay=8), battery.make(START + 10, delay=0)
    assert clock.observe("a", slow.stamp, slow.arrival) == [
        Dated("a", START + 8, CORRECTED, -(HOUR - 8))
    ]
    assert clock.observe("b", prompt.stamp, prompt.arrival) == [
        Dated("b", START + 10, CORRECTED, -HOUR)
    ]
    assert clock.offset == HOUR


def test_what_was_added_to_the_stamp_is_told() -> None:
    clock = running(battery := Battery(-5 * HOUR))
    record = battery.make(START + 700)
    (dated,) = feed(clock, [record])
    assert dated.offset is not None
    assert dated.time == record.stamp + dated.offset


@pytest.mark.parametrize(("drift", "seed"), [(DRIFT, 1), (-DRIFT, 2)])
def test_three_weeks_of_drift_are_followed_to_a_second(drift: float, seed: int) -> None:
    """A stamp is cut to the second, and that is the error: at worst all of it, either way.

    What is lost here of an estimate is given by the other; delays of up to 2 s and the drift
    within the window (44 µs/s × 30 min) add little.
    """
    battery, clock = Battery(HOUR, drift=drift, seed=seed), BatteryClock()
    dated = feed(clock, battery.live(START, START + 3 * WEEK))
    first, *rest = errors(dated)
    assert abs(first) < 2  # nothing to compare with yet
    assert min(rest) > -1.05
    assert max(rest) < 0.9
    assert clock.steps == ()
    assert all(one.source is CORRECTED for one in dated)


@pytest.mark.parametrize("drift", [DRIFT, -DRIFT, 0.0])
def test_a_battery_that_counts_finely_is_known_to_a_tenth_of_a_second(drift: float) -> None:
    battery, clock = Battery(HOUR, drift=drift), BatteryClock()
    for record in battery.live(START, START + 2 * DAY):
        clock.observe(record, record.time + battery.true_offset(record.time), record.arrival)
        if record.time > START + HOUR:
            assert clock.offset == pytest.approx(battery.true_offset(record.time), abs=0.1)


@pytest.mark.parametrize("drift", [DRIFT, -DRIFT])
def test_five_minute_records_alone_are_enough(drift: float) -> None:
    battery, clock = Battery(HOUR, drift=drift), BatteryClock()
    records = battery.live(START, START + 3 * WEEK, every=300, jitter=2)
    _, *rest = errors(feed(clock, records))
    assert min(rest) > -1.05
    assert max(rest) < 0.9


def test_no_live_record_near_the_offset_is_dated_after_its_arrival() -> None:
    battery = Battery(HOUR, drift=-DRIFT)
    for dated in feed(BatteryClock(), battery.live(START, START + DAY, every=9.7)):
        assert isinstance(dated.key, Made)
        assert dated.time is not None
        assert dated.time <= dated.key.arrival


def test_a_clock_put_back_by_less_than_a_step_is_followed_within_half_an_hour() -> None:
    clock = running(battery := Battery(HOUR))
    battery.offset -= 20
    now = START + 600
    assert max(errors(feed(clock, battery.live(now, now + 1800)))) < 1
    assert min(errors(feed(clock, battery.live(now + 1800, now + HOUR)))) > -1.1
    assert clock.offset == pytest.approx(battery.offset, abs=0.3)


def test_a_clock_put_forward_by_less_than_a_step_is_followed_at_once() -> None:
    clock = running(battery := Battery(HOUR))
    battery.offset += 20
    found = errors(feed(clock, battery.live(START + 600, START + 660)))
    assert max(map(abs, found)) < 1.1


def test_silence_forgets_nothing() -> None:
    clock = running(battery := Battery(HOUR))
    late = battery.make(START + 6 * HOUR, delay=25)
    assert abs(error(feed(clock, [late])[0])) < 1.1


# Steps


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (HOUR, StepReason.ZONE),
        (-HOUR, StepReason.ZONE),
        (1800.0, StepReason.ZONE),
        (9.5 * HOUR, StepReason.ZONE),
        (-HOUR + 6, StepReason.ZONE),
        (-26 * HOUR, StepReason.ZONE),
        (-80.0, StepReason.SET),
        (80.0, StepReason.SET),
        (HOUR + 80, StepReason.SET),
        (-48 * HOUR, StepReason.SET),
    ],
)
def test_a_step_is_taken_and_named_and_its_records_dated_by_it(
    change: float, reason: StepReason
) -> None:
    clock = running(battery := Battery(HOUR))
    battery.offset += change
    now = START + 600
    records = list(battery.live(now, now + 120))
    dated = feed(clock, records)
    assert [d.key for d in dated] == records
    assert max(map(abs, errors(dated))) < 1.2
    (step,) = clock.steps
    assert step.reason is reason
    assert step.at == pytest.approx(now, abs=1.2)
    assert step.after - step.before == pytest.approx(change, abs=1.2)
    assert clock.offset == pytest.approx(battery.offset, abs=1.2)


def test_the_records_of_a_step_wait_until_three_agree_over_twenty_seconds() -> None:
    clock = BatteryClock(HOUR)
    stamp = START + 2 * HOUR
    assert clock.observe(1, stamp, START) == []
    assert clock.observe(2, stamp + 10, START + 11.5) == []
    assert clock.observe(3, stamp + 19, START + 19) == []
    assert not clock.steps
    assert clock.observe(4, stamp + 30, START + 30) == [
        Dated(1, START, CORRECTED, -2 * HOUR),
        Dated(2, START + 10, CORRECTED, -2 * HOUR),
        Dated(3, START + 19, CORRECTED, -2 * HOUR),
        Dated(4, START + 30, CORRECTED, -2 * HOUR),
    ]
    assert list(clock.steps) == [Step(START, HOUR, 2 * HOUR)]


def test_two_records_prove_no_step_however_far_apart() -> None:
    clock = BatteryClock(HOUR)
    assert clock.observe(1, START + 2 * HOUR, START) == []
    assert clock.observe(2, START + 2 * HOUR + 200, START + 200) == []
    assert not clock.steps
    assert len(clock.observe(3, START + 2 * HOUR + 210, START + 210)) == 3
    assert len(clock.steps) == 1


def test_records_that_differ_by_more_than_two_seconds_prove_no_step() -> None:
    clock = BatteryClock(HOUR)
    for key, late in enumerate([0, 2.1, 0, 2.1, 0, 2.1]):
        assert clock.observe(key, START + 2 * HOUR + 20 * key, START + 20 * key + late) == []
    assert not clock.steps


@pytest.mark.parametrize(("off", "waits"), [(30, False), (31, True), (-30, False), (-31, True)])
def test_an_estimate_more_than_thirty_seconds_off_waits(off: float, *, waits: bool) -> None:
    assert (BatteryClock(HOUR).observe("k", START + HOUR + off, START) == []) is waits


def test_both_dst_steps_of_a_year_are_followed_while_the_clock_drifts() -> None:
    battery, clock = Battery(HOUR, drift=DRIFT), BatteryClock()
    dated = feed(clock, battery.live(START, START + DAY))
    battery.offset += HOUR
    dated += feed(clock, battery.live(START + DAY, START + 2 * DAY))
    battery.offset -= HOUR
    dated += feed(clock, battery.live(START + 2 * DAY, START + 3 * DAY))
    found = errors(dated)
    assert min(found) > -1.1
    assert max(found) < 1.2
    assert [step.reason for step in clock.steps] == [StepReason.ZONE, StepReason.ZONE]


def test_a_record_delayed_just_after_a_step_gets_the_new_offset() -> None:
    clock = BatteryClock(HOUR)
    battery = Battery(0.0)
    records = [battery.make(START, delay=9)]
    records += [battery.make(START + t) for t in (10, 20, 30)]
    assert errors(feed(clock, records)) == [0, 0, 0, 0]


def test_late_records_just_before_a_step_keep_the_old_offset() -> None:
    clock, battery = BatteryClock(HOUR), Battery(HOUR)
    records = [battery.make(START + t, delay=240 - t) for t in (0, 10, 20)]
    battery.offset = 0.0
    records += [battery.make(START + t) for t in (250, 260, 270)]
    assert errors(feed(clock, records)) == [0] * 6
    assert len(clock.steps) == 1


def test_an_unproved_step_keeps_the_old_offset_after_five_minutes() -> None:
    clock = BatteryClock(HOUR)
    assert clock.observe("k", START + 100, START) == []
    assert clock.settle(START + 299.9) == []
    assert clock.settle(START + 300) == [Dated("k", START + 100 - HOUR, CORRECTED, -HOUR)]
    assert clock.settle(START + 300) == []
    assert clock.steps == ()


def test_an_unproved_step_into_the_future_takes_the_arrival() -> None:
    clock = BatteryClock(HOUR)
    assert clock.observe("k", START + 2 * HOUR, START) == []
    assert clock.settle(START + 300) == [Dated("k", START, ARRIVAL)]


def test_a_record_that_comes_is_enough_to_end_the_waiting_of_others() -> None:
    clock = BatteryClock(HOUR)
    assert clock.observe("old", START + 2 * HOUR, START) == []
    assert clock.observe("new", START + 2 * HOUR + 400, START + 400) == [
        Dated("old", START, ARRIVAL)
    ]


def test_only_the_latest_steps_are_kept() -> None:
    clock, battery, now = BatteryClock(0.0), Battery(0.0), START
    for _ in range(STEPS_KEPT + 3):
        battery.offset += 100
        feed(clock, battery.live(now, now := now + 40))
    assert len(clock.steps) == STEPS_KEPT
    assert clock.offset == pytest.approx(battery.offset, abs=1.2)


# Nonsense, lateness, repetition


@pytest.mark.parametrize(
    ("stamp", "time", "source"),
    [
        ("2099/01/01 00:00:00", START + 600, ARRIVAL),
        ("2000/01/01 00:00:00", START + 600, ARRIVAL),
        (format_stamp(START + HOUR + 600 + 3600), START + 600, ARRIVAL),
        (format_stamp(START + HOUR + 600 - 3600), START - 3000, CORRECTED),
    ],
)
def test_one_wild_time_moves_nothing(stamp: str, time: float, source: TimeSource) -> None:
    clock = running(battery := Battery(HOUR))
    before = clock.offset
    assert clock.observe("wild", parse_stamp(stamp), START + 600) == []
    wild, normal = feed(clock, [battery.make(START + 610)])
    assert (wild.key, wild.source) == ("wild", source)
    assert wild.time == pytest.approx(time, abs=1.2)
    assert abs(error(normal)) < 1.2
    assert clock.steps == ()
    assert clock.offset == pytest.approx(before, abs=1.2)


def test_wild_times_among_the_records_of_a_step_only_put_it_off() -> None:
    clock = BatteryClock(HOUR)
    battery = Battery(2 * HOUR)
    feed(clock, [battery.make(START), battery.make(START + 10)])
    assert clock.observe("wild", START + 20 + WEEK, START + 20) == []
    dated = feed(clock, [battery.make(START + t) for t in (30, 40, 50)])
    assert [d.source for d in dated] == [CORRECTED, CORRECTED, ARRIVAL, *[CORRECTED] * 3]
    assert clock.offset == 2 * HOUR


@pytest.mark.parametrize("drain", [0.0, 0.2, 2.0])
def test_records_late_by_minutes_cause_no_step_and_keep_the_offset(drain: float) -> None:
    clock = running(battery := Battery(HOUR))
    now = START + 600
    held = [battery.make(now + 10 * i) for i in range(60)]
    burst = [
        record._replace(arrival=now + 600 + drain * i + battery.random.uniform(0, 0.1))
        for i, record in enumerate(held)
    ]
    dated = feed(clock, burst)
    dated += feed(clock, battery.live(now + 730, now + 1200))
    assert clock.steps == ()
    assert [d.key for d in dated[:60]] == burst
    assert max(map(abs, errors(dated))) < 1.2


def test_a_burst_at_the_very_first_is_outgrown() -> None:
    battery, clock = Battery(HOUR), BatteryClock()
    burst = [battery.make(START + 10 * i, delay=300 - 10 * i) for i in range(31)]
    assert abs(error(feed(clock, burst)[-1])) < 1
    assert clock.offset == HOUR


def test_a_status_repeated_has_the_time_of_its_first_coming() -> None:
    clock = running(battery := Battery(HOUR))
    record = battery.make(START + 600, delay=0.1)
    again = record._replace(arrival=record.arrival + 10)
    first, second = feed(clock, [record, again])
    assert first.time == second.time


def test_a_stamp_repeated_for_minutes_is_no_step() -> None:
    clock = running(battery := Battery(HOUR))
    record = battery.make(START + 600)
    copies = [record._replace(arrival=record.arrival + 0.1 * i) for i in range(20)]
    copies += [record._replace(arrival=record.arrival + 10 * i) for i in range(1, 30)]
    dated = feed(clock, copies)
    dated += clock.settle(START + 2000)
    assert len(dated) == len(copies)
    assert clock.steps == ()
    assert max(map(abs, errors(dated))) < 1.2


def test_equal_wild_records_at_once_prove_no_step() -> None:
    clock = BatteryClock(HOUR)
    for key in range(3 * LOOK_BACK):
        assert clock.observe(key, START + 5 * HOUR, START) == []
    assert clock.steps == ()
    assert len(clock.settle(math.inf)) == 3 * LOOK_BACK


def test_a_live_record_without_a_stamp_takes_its_arrival() -> None:
    clock = BatteryClock()
    assert clock.observe("k", None, START) == [Dated("k", START, ARRIVAL)]
    assert clock.offset is None


# Stored records


def test_a_stored_record_without_a_stamp_has_no_time() -> None:
    assert BatteryClock(HOUR).observe("k", None, START, historic=True) == [
        Dated("k", None, UNKNOWN)
    ]


def test_stored_records_are_dated_by_the_offset_and_teach_nothing() -> None:
    clock = BatteryClock(HOUR)
    assert clock.observe("k", START + 0.5 * HOUR, START, historic=True) == [
        Dated("k", START - 0.5 * HOUR, CORRECTED, -HOUR)
    ]
    assert clock.offset == HOUR


def test_stored_records_wait_for_the_first_offset_and_come_in_order() -> None:
    battery, clock = Battery(HOUR), BatteryClock()
    dump = [battery.make(START - 60 * i, delay=60 * i) for i in range(20, 0, -1)]
    assert feed(clock, dump, historic=True) == []
    status = battery.make(START + 5)
    dated = feed(clock, [status])
    assert [d.key for d in dated] == [*dump, status]
    assert errors(dated) == [0] * 21


def test_stored_records_without_an_offset_are_unknown_after_two_days() -> None:
    clock = BatteryClock()
    assert clock.observe("k", START, START, historic=True) == []
    assert clock.settle(START + 48 * HOUR - 1) == []
    assert clock.settle(START + 48 * HOUR) == [Dated("k", None, UNKNOWN)]


def test_stored_records_from_before_a_step_get_the_offset_of_their_day() -> None:
    battery, clock = Battery(0.0), BatteryClock(0.0)
    made: list[Made] = []
    for day, change in enumerate([HOUR, HOUR, -HOUR, -1800.0, 7 * HOUR]):
        begin = START + day * DAY
        battery.offset += change
        feed(clock, battery.live(begin, begin + 600))
        made += [battery.make(begin + 60 + 60 * i) for i in range(9)]
        # the hours in which a stamp is not ambiguous; see the next tests for the others
        made += [battery.make(begin + 8 * HOUR + i * HOUR) for i in range(7)]
    now = START + 5 * DAY
    dated = feed(clock, [m._replace(arrival=now) for m in made], historic=True)
    assert len(clock.steps) == 5
    assert max(map(abs, errors(dated))) < 1.2


def autumn() -> tuple[BatteryClock, float]:
    """Return a clock that lived one hour twice, and when the second passage began."""
    clock, battery = BatteryClock(2 * HOUR), Battery(HOUR)
    feed(clock, [battery.make(START + t) for t in (0, 10, 20)])
    return clock, START


def test_of_an_hour_lived_twice_a_stored_stamp_is_the_second_passage() -> None:
    clock, change = autumn()
    stamp = change + HOUR + 1200
    (dated,) = clock.observe("k", stamp, change + 5 * HOUR, historic=True)
    assert dated.time == change + 1200


def test_of_an_hour_lived_twice_it_is_the_first_if_the_second_is_yet_to_come() -> None:
    clock, change = autumn()
    stamp = change + HOUR + 1200
    (dated,) = clock.observe("k", stamp, change + 300, historic=True)
    assert dated.time == change - 2400


def test_a_stamp_in_the_hour_that_was_skipped_goes_to_the_nearer_offset() -> None:
    clock, battery = BatteryClock(HOUR), Battery(2 * HOUR)
    feed(clock, [battery.make(START + t) for t in (0, 10, 20)])
    shortly_before_the_first_status = START - 5 + 2 * HOUR
    (dated,) = clock.observe(1, shortly_before_the_first_status, START + DAY, historic=True)
    assert dated.time == START - 5
    (dated,) = clock.observe(2, START + 5 + HOUR, START + DAY, historic=True)
    assert dated.time == START + 5


def test_stored_records_wait_while_a_step_is_in_question() -> None:
    clock, battery = BatteryClock(HOUR), Battery(2 * HOUR)
    assert feed(clock, [battery.make(START)]) == []
    stored = battery.make(START + 5, delay=5)
    assert feed(clock, [stored], historic=True) == []
    dated = feed(clock, [battery.make(START + t) for t in (11, 21)])
    assert errors(dated) == [0, 0, 0, 0]
    assert dated[1].key == stored


def test_stored_records_are_dated_once_a_step_is_out_of_the_question() -> None:
    clock, battery = BatteryClock(HOUR), Battery(HOUR)
    assert clock.observe("wild", START + WEEK, START) == []
    stored = battery.make(START - 60, delay=65)
    assert feed(clock, [stored], historic=True) == []
    live = battery.make(START + 10)
    dated = feed(clock, [live])
    assert [d.key for d in dated] == ["wild", stored, live]


def test_stored_records_of_the_future_wait_for_the_step_that_explains_them() -> None:
    clock, battery = BatteryClock(HOUR), Battery(2 * HOUR)
    dump = [battery.make(START - 60 * i, delay=60 * i) for i in range(5, 0, -1)]
    assert feed(clock, dump, historic=True) == []
    statuses = [battery.make(START + t) for t in (1, 11, 21)]
    dated = feed(clock, statuses)
    # dumped before the step was seen, and yet by the new offset
    assert [d.key for d in dated] == [*dump, *statuses]
    assert errors(dated) == [0] * 8


def test_stored_records_of_the_future_are_unknown_after_two_days() -> None:
    clock, battery = BatteryClock(HOUR), Battery(HOUR)
    assert clock.observe("k", START + 99 * DAY, START, historic=True) == []
    feed(clock, [battery.make(START + 10)])
    assert clock.observe("wild", START + WEEK, START + 20) == []
    assert clock.observe("late", START + 99 * DAY, START + 21, historic=True) == []
    assert [d.key for d in clock.settle(START + 400)] == ["wild"]
    assert clock.settle(START + 48 * HOUR) == [Dated("k", None, UNKNOWN)]
    assert clock.settle(START + 49 * HOUR) == [Dated("late", None, UNKNOWN)]


# State, bounds


def test_a_given_offset_is_where_the_clock_starts() -> None:
    clock = BatteryClock(offset=HOUR)
    assert clock.offset == HOUR
    assert clock.observe("k", START + HOUR, START + 3)[0].time == START


def test_a_given_offset_that_is_a_little_too_great_is_forgotten() -> None:
    battery, clock = Battery(HOUR), BatteryClock(HOUR + 15)
    feed(clock, battery.live(START, START + 1900))
    assert clock.offset == pytest.approx(HOUR, abs=0.3)


def test_the_state_outlives_the_clock_as_json() -> None:
    battery = Battery(HOUR, drift=DRIFT)
    clock = running(battery)
    battery.offset += HOUR
    feed(clock, battery.live(START + 600, START + 700))
    state = clock.to_state()
    again = BatteryClock.from_state(json.loads(json.dumps(state)))
    assert again.to_state() == state
    assert again.offset == clock.offset
    assert again.steps == clock.steps
    assert again.steps[0].reason is StepReason.ZONE
    records = list(battery.live(START + 700, START + 5000))
    assert feed(again, records) == feed(clock, records)
    assert again.to_state() == clock.to_state()


def test_the_state_of_a_new_clock_is_a_new_clock() -> None:
    clock = BatteryClock.from_state(BatteryClock().to_state(), limit=1)
    assert clock.offset is None
    assert clock.observe(1, START, START, historic=True) == []
    assert [d.key for d in clock.observe(2, START, START, historic=True)] == [1]


def test_a_state_is_not_changed_by_what_comes_after() -> None:
    clock = running(Battery(HOUR))
    state = clock.to_state()
    kept = json.dumps(state)
    running(Battery(HOUR + 5), clock)
    running(Battery(HOUR + 5), BatteryClock.from_state(state))
    assert json.dumps(state) == kept


def test_the_oldest_waiting_record_is_settled_for_one_too_many() -> None:
    clock = BatteryClock(limit=3)
    for key in range(3):
        assert clock.observe(key, START, START, historic=True) == []
    assert clock.observe(3, START, START, historic=True) == [Dated(0, None, UNKNOWN)]


def test_a_live_record_settled_early_keeps_the_old_offset() -> None:
    clock = BatteryClock(HOUR, limit=2)
    assert clock.observe("future", START + WEEK, START, historic=True) == []
    assert clock.observe("late", START + HOUR - 100, START) == []
    assert clock.observe("wild", START + WEEK, START) == [Dated("future", None, UNKNOWN)]
    assert clock.observe("stored", START, START, historic=True) == [
        Dated("late", START - 100, CORRECTED, -HOUR)
    ]
    assert clock.observe("later", START + HOUR - 90, START) == [
        Dated("wild", START, ARRIVAL),
    ]


def test_whoever_floods_the_clock_fills_no_memory() -> None:
    clock, chance = BatteryClock(HOUR, limit=100), random.Random(7)
    given_back = 0
    for key in range(20_000):
        now = START + key * 0.001
        wild, historic = chance.uniform(0, 4e9), chance.random() < 0.5
        given_back += len(clock.observe(key, wild, now, historic=historic))
        assert key + 1 - given_back <= 100
    assert len(json.dumps(clock.to_state())) < 2000


def test_the_state_stays_small_however_long_it_runs() -> None:
    clock = running(Battery(HOUR, drift=-DRIFT), until=2 * DAY)
    assert len(json.dumps(clock.to_state())) < 200


# Whatever comes

EVENTS = st.lists(
    st.tuples(
        st.one_of(  # how far the stamp is off the battery's clock
            st.just(0),
            st.sampled_from([0, 0, -5, -60, -300, 3600, -3600, 3601, 3599, 80, -80]),
            st.integers(-(10**9), 10**9),
            st.none(),
        ),
        st.sampled_from([0.0, 0.5, 10.0, 10.0, 60.0, 299.0, 5000.0, 90000.0]),  # pause before it
        st.booleans(),
        st.booleans(),
    ),
    max_size=60,
)


def keys(dated: Iterable[Dated]) -> list[int]:
    return [one.key for one in dated if isinstance(one.key, int)]


@settings(max_examples=300)
@given(EVENTS, st.none() | st.just(HOUR), st.sampled_from([0, 1, 3, 10, 4096]))
def test_every_record_is_dated_exactly_once(
    events: list[tuple[int | None, float, bool, bool]], offset: float | None, limit: int
) -> None:
    clock, now = BatteryClock(offset, limit=limit), START
    dated: list[Dated] = []
    for key, (off, pause, historic, settle) in enumerate(events):
        now += pause
        stamp = None if off is None else now + HOUR + off
        new = clock.observe(key, stamp, now, historic=historic)
        assert keys(new) == sorted(keys(new))
        dated += new
        if settle:
            dated += clock.settle(now)
        assert key + 1 - len(dated) <= limit
    dated += clock.settle(math.inf)
    assert sorted(keys(dated)) == list(range(len(events)))
    for one in dated:
        assert (one.time is None) == (one.source is UNKNOWN)
        assert (one.offset is None) == (one.source is not CORRECTED)
    assert clock.settle(math.inf) == []


@settings(max_examples=100)
@given(EVENTS, st.integers(0, 60))
def test_a_clock_restored_between_connections_goes_on_as_if_nothing_had_been(
    events: list[tuple[int | None, float, bool, bool]], at: int
) -> None:
    """What still waits is not in the state: the caller observes it again."""
    whole, now = BatteryClock(), START
    parted, waiting = BatteryClock(), dict[int, tuple[float | None, float, bool]]()
    for key, (off, pause, historic, _) in enumerate(events):
        now += pause
        record = (None if off is None else now + HOUR + off, now, historic)
        if key == at:
            parted = BatteryClock.from_state(parted.to_state())
            for old, (stamp, arrival, stored) in waiting.items():
                assert parted.observe(old, stamp, arrival, historic=stored) == []
        waiting[key] = record
        expected = whole.observe(key, record[0], now, historic=historic)
        assert parted.observe(key, record[0], now, historic=historic) == expected
        for done in keys(expected):
            del waiting[done]
