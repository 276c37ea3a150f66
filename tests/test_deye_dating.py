"""The dating of a Deye logger's records: real stamps first, then rules, traps, a logger's life."""

import json
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inverterproto.deye.dating import AGREE, EARLIEST, LAST_LOOK, ONE_SIDE, LoggerDating, Stamp
from inverterproto.reading import Dated, TimeSource, utc_text

MINUTE, HOUR, DAY = 60, 3600, 86400
U32 = 0xFFFF_FFFF
NOON = 1_712_750_400  # 2024-04-10T12:00:00Z
COUNTER = 6_000_000
DEVICE, CORRECTED, ESTIMATED, ARRIVAL, UNKNOWN = TimeSource

# source: I (Hypfer/deye-microinverter-cloud-free issue 14): the same logger, a day apart
REALTIME = Stamp(6755845, 873, 1705840598)
REALTIME_ARRIVAL = datetime(2024, 4, 8, 17, 14, 3, tzinfo=UTC).timestamp()
HISTORIC = Stamp(6836888, 6133, 0)
HISTORIC_ARRIVAL = datetime(2024, 4, 10, 15, 43, 12, tzinfo=UTC).timestamp()


def stamp(at: float, *, age: int, lost: int = 0, offset: bool = True) -> Stamp:
    """The stamp of a logger whose counter stood at `COUNTER` at noon, less what it has lost."""
    counter = COUNTER + int(at) - NOON - lost
    return Stamp(counter, age, int(at) - counter if offset else 0)


def undated(at: float, *, age: int, lost: int = 0) -> Stamp:
    return stamp(at, age=age, lost=lost, offset=False)


def told(dated: Iterable[Dated]) -> list[tuple[object, float | None, TimeSource]]:
    return [(one.key, one.time, one.source) for one in dated]


@pytest.fixture
def dating() -> LoggerDating:
    return LoggerDating()


class TestRealStamps:
    def test_a_real_time_frame_was_measured_when_it_says(self, dating: LoggerDating) -> None:
        (one,) = dating.see("r", REALTIME, historic=False, arrival=REALTIME_ARRIVAL)
        assert one == ("r", REALTIME_ARRIVAL, DEVICE, 1705840598)

    def test_the_stored_frame_is_estimated_by_the_real_time_frame(
        self, dating: LoggerDating
    ) -> None:
        dating.see("r", REALTIME, historic=False, arrival=REALTIME_ARRIVAL)
        assert dating.see("h", HISTORIC, historic=True, arrival=HISTORIC_ARRIVAL) == []
        assert dating.settle(HISTORIC_ARRIVAL + MINUTE) == []
        (one,) = dating.settle(HISTORIC_ARRIVAL + ONE_SIDE)
        assert (one.key, one.source, one.offset) == ("h", ESTIMATED, 1705840598)
        assert one.time is not None
        assert utc_text(one.time) == "2024-04-09T15:44:46Z"

    @pytest.mark.parametrize("order", ["rh", "hr"])
    def test_a_file_with_both_and_no_arrivals_comes_to_the_same(
        self, dating: LoggerDating, order: str
    ) -> None:
        heads = {"r": REALTIME, "h": HISTORIC}
        dated = []
        for key in order:
            dated += dating.see(key, heads[key], historic=key == "h", arrival=None)
        dated += dating.finish()
        times = {one.key: utc_text(one.time or 0) for one in dated}
        assert times == {"r": "2024-04-08T17:14:03Z", "h": "2024-04-09T15:44:46Z"}


class TestOwnOffset:
    @pytest.mark.parametrize("early", [0, MINUTE])
    def test_a_time_up_to_a_minute_after_arrival_is_plausible(
        self, dating: LoggerDating, early: int
    ) -> None:
        dated = dating.see(1, stamp(NOON, age=9), historic=False, arrival=NOON - early)
        assert told(dated) == [(1, NOON, DEVICE)]

    def test_a_time_further_in_the_future_is_nonsense(self, dating: LoggerDating) -> None:
        arrival = NOON - 61
        assert dating.see(1, stamp(NOON, age=9), historic=False, arrival=arrival) == []
        assert told(dating.settle(arrival + MINUTE)) == [(1, arrival, ARRIVAL)]

    def test_2015_is_the_earliest_plausible_year(self, dating: LoggerDating) -> None:
        first = dating.see(1, Stamp(100, 50, EARLIEST - 100), historic=True, arrival=NOON)
        assert told(first) == [(1, EARLIEST, DEVICE)]
        assert dating.see(2, Stamp(9000, 5, EARLIEST - 9001), historic=True, arrival=NOON) == []

    def test_without_arrival_nothing_bounds_the_future(self, dating: LoggerDating) -> None:
        head = Stamp(COUNTER, 9, U32 - COUNTER)
        assert told(dating.see(1, head, historic=True, arrival=None)) == [(1, U32, DEVICE)]

    def test_a_wrapped_sum_is_taken_modulo_u32(self, dating: LoggerDating) -> None:
        head = Stamp(U32 - 9, 873, NOON + 10)
        (one,) = dating.see(1, head, historic=False, arrival=NOON)
        assert one == (1, NOON, DEVICE, NOON - (U32 - 9))

    def test_a_host_without_a_clock_does_not_make_a_good_stamp_bad(
        self, dating: LoggerDating
    ) -> None:
        assert told(dating.see(1, stamp(NOON, age=9), historic=False, arrival=12.0)) == [
            (1, NOON, DEVICE)
        ]


class TestSameBoot:
    def test_the_first_frame_of_a_boot_is_dated_a_second_later_by_the_next(
        self, dating: LoggerDating
    ) -> None:
        assert dating.see(1, undated(NOON, age=20), historic=False, arrival=NOON) == []
        dated = dating.see(2, stamp(NOON + 1, age=21), historic=False, arrival=NOON + 1)
        assert told(dated) == [(1, NOON, CORRECTED), (2, NOON + 1, DEVICE)]
        assert dated[0].offset == NOON - COUNTER
        assert dating.settle(NOON + DAY) == []

    def test_frames_that_are_no_records_teach_and_are_not_dated(self, dating: LoggerDating) -> None:
        hello = undated(NOON, age=20)
        assert dating.see("hello", hello, record=False, historic=False, arrival=NOON) == []
        assert dating.see(1, undated(NOON + 1, age=21), historic=False, arrival=NOON + 1) == []
        wifi = stamp(NOON + 2, age=22)
        dated = dating.see("wifi", wifi, record=False, historic=False, arrival=NOON + 2)
        assert told(dated) == [(1, NOON + 1, CORRECTED)]
        assert dating.finish() == []

    def test_a_stored_record_of_the_present_boot_is_dated_at_once(
        self, dating: LoggerDating
    ) -> None:
        dating.see(1, stamp(NOON, age=HOUR), historic=False, arrival=NOON)
        dated = dating.see(2, undated(NOON - 1000, age=2600), historic=True, arrival=NOON + 1)
        assert told(dated) == [(2, NOON - 1000, CORRECTED)]

    @pytest.mark.parametrize("off", [-2, 2])
    def test_the_start_of_a_boot_may_be_two_seconds_off(
        self, dating: LoggerDating, off: int
    ) -> None:
        assert dating.see(1, undated(NOON, age=20 + off), historic=True, arrival=NOON) == []
        dated = dating.see(2, stamp(NOON + 1, age=21), historic=False, arrival=NOON + 1)
        assert told(dated)[0] == (1, NOON, CORRECTED)
        other = undated(NOON + 2, age=22 - off)
        assert told(dating.see(3, other, historic=True, arrival=NOON + 2)) == [
            (3, NOON + 2, CORRECTED)
        ]

    @pytest.mark.parametrize("off", [-3, 3])
    def test_three_seconds_make_another_boot(self, dating: LoggerDating, off: int) -> None:
        dating.see(1, undated(NOON, age=20 + off), historic=True, arrival=NOON)
        dated = dating.see(2, stamp(NOON + 1, age=21), historic=False, arrival=NOON + 1)
        assert told(dated) == [(2, NOON + 1, DEVICE)]

    def test_what_waited_comes_in_the_order_of_its_coming(self, dating: LoggerDating) -> None:
        for key, before in enumerate([300, 600, 900, 1200]):  # newest first
            boot_jitter = key % 3 - 1
            head = undated(NOON - before, age=HOUR - before + boot_jitter)
            assert dating.see(key, head, historic=True, arrival=NOON) == []
        dated = dating.see("live", stamp(NOON, age=HOUR), historic=False, arrival=NOON)
        assert [one.key for one in dated] == [0, 1, 2, 3, "live"]
        assert [one.time for one in dated] == [NOON - b for b in (300, 600, 900, 1200, 0)]

    def test_of_two_offsets_of_a_boot_the_nearer_in_counter_is_taken(
        self, dating: LoggerDating
    ) -> None:
        good = NOON - COUNTER
        for age, offset in ((100 + DAY, good - 30), (100, good)):
            head = Stamp(COUNTER + age, age, offset)
            dating.see(0, head, historic=True, arrival=None)
        near_early, near_late, after = (
            Stamp(COUNTER + age, age, 0) for age in (50, DAY - 900, DAY + 160)
        )
        offsets = [
            dating.see(1, head, historic=True, arrival=None)[0].offset
            for head in (near_early, near_late, after)
        ]
        assert offsets == [good, good - 30, good - 30]

    def test_an_offset_that_puts_the_record_after_its_arrival_is_not_used(
        self, dating: LoggerDating
    ) -> None:
        dating.see(1, stamp(NOON, age=HOUR), historic=False, arrival=NOON)
        head = undated(NOON + 1000, age=HOUR + 1000)
        assert dating.see(2, head, historic=False, arrival=NOON + 1) == []
        assert told(dating.settle(NOON + 61)) == [(2, NOON + 1, ARRIVAL)]

    def test_a_waiting_record_that_its_boot_does_not_fit_waits_on(
        self, dating: LoggerDating
    ) -> None:
        dating.see(2, undated(NOON + 1000, age=HOUR + 1000), historic=True, arrival=NOON)
        dated = dating.see(1, stamp(NOON, age=HOUR), historic=False, arrival=NOON)
        assert told(dated) == [(1, NOON, DEVICE)]
        assert told(dating.finish()) == [(2, None, UNKNOWN)]

    def test_power_on_times_a_second_ahead_of_the_counter_are_one_boot(
        self, dating: LoggerDating
    ) -> None:
        dating.see(1, Stamp(1000, 1001, NOON - 1000), historic=False, arrival=NOON)
        dated = dating.see(2, Stamp(990, 990, 0), historic=True, arrival=NOON)
        assert told(dated) == [(2, NOON - 10, CORRECTED)]

    def test_a_boot_goes_on_where_the_counter_wraps(self, dating: LoggerDating) -> None:
        before = Stamp(U32 - 9, 1000, (NOON + 10) & U32)
        assert told(dating.see(1, before, historic=False, arrival=NOON)) == [(1, NOON, DEVICE)]
        (one,) = dating.see(2, Stamp(5, 1015, 0), historic=False, arrival=NOON + 15)
        assert (one.time, one.source, one.offset) == (NOON + 15, CORRECTED, NOON + 10)


class TestTornBoots:
    def test_a_counter_that_starts_anew_with_the_power_makes_no_boot_sure(
        self, dating: LoggerDating
    ) -> None:
        for day in (0, DAY):
            for age in (100, 40_000, 300):
                at = NOON + day + age
                head = Stamp(age, age, at - age)
                assert told(dating.see(1, head, historic=False, arrival=at)) == [(1, at, DEVICE)]
        assert dating.see(2, Stamp(60, 60, 0), historic=True, arrival=NOON + 2 * DAY) == []
        assert told(dating.finish()) == [(2, None, UNKNOWN)]

    def test_a_torn_boot_estimates_nothing_either(self, dating: LoggerDating) -> None:
        for lost in (0, AGREE + 1):
            dating.see(1, Stamp(COUNTER, 9, NOON - COUNTER + lost), historic=True, arrival=None)
        for at in (NOON - DAY, NOON + DAY):
            dating.see(2, undated(at, age=9), historic=True, arrival=None)
        assert told(dating.finish()) == [(2, None, UNKNOWN)] * 2

    def test_a_small_correction_of_the_clock_tears_nothing(self, dating: LoggerDating) -> None:
        for lost in (0, AGREE):
            dating.see(1, Stamp(COUNTER, 9, NOON - COUNTER + lost), historic=True, arrival=None)
        assert told(dating.see(2, Stamp(COUNTER - 5, 4, 0), historic=True, arrival=None)) == [
            (2, NOON - 5, CORRECTED)
        ]


class TestNeighbours:
    def two_sides(self, dating: LoggerDating, *, lost: int, historic: bool = True) -> None:
        """Yesterday's boot, today's boot with so much lost, and an undated one between."""
        dating.see("before", stamp(NOON - DAY, age=HOUR), historic=False, arrival=NOON - DAY)
        between = undated(NOON - 8 * HOUR, age=MINUTE, lost=lost // 2)
        assert dating.see("between", between, historic=historic, arrival=NOON) == []
        after = stamp(NOON, age=MINUTE, lost=lost)
        dated = dating.see("after", after, historic=False, arrival=NOON)
        assert told(dated) == [("after", NOON, DEVICE)]

    def test_two_sides_that_agree_estimate_after_a_minute(self, dating: LoggerDating) -> None:
        self.two_sides(dating, lost=0)
        assert dating.settle(NOON + 59) == []
        assert told(dating.settle(NOON + 60)) == [("between", NOON - 8 * HOUR, ESTIMATED)]

    def test_two_minutes_apart_is_agreement_and_the_nearer_is_taken(
        self, dating: LoggerDating
    ) -> None:
        self.two_sides(dating, lost=AGREE)
        (one,) = dating.settle(NOON + 60)
        assert one.offset == NOON - COUNTER + AGREE

    def test_two_sides_that_disagree_tell_nothing(self, dating: LoggerDating) -> None:
        self.two_sides(dating, lost=AGREE + 1)
        looks = [
            dating.settle(NOON + wait) for wait in (60, 120, ONE_SIDE, 2 * ONE_SIDE, LAST_LOOK - 1)
        ]
        assert looks == [[]] * 5
        assert told(dating.settle(NOON + LAST_LOOK)) == [("between", None, UNKNOWN)]

    def test_one_side_is_enough_after_a_quarter_of_an_hour(self, dating: LoggerDating) -> None:
        dating.see(0, stamp(NOON, age=HOUR), historic=False, arrival=NOON)
        dating.see(1, undated(NOON - DAY, age=9), historic=True, arrival=NOON)
        for wait in range(ONE_SIDE):
            assert dating.settle(NOON + wait) == []
        (one,) = dating.settle(NOON + 2 * ONE_SIDE)
        assert one == (1, NOON - DAY, ESTIMATED, NOON - COUNTER)

    def test_one_side_is_not_enough_if_the_time_lies_after_the_arrival(
        self, dating: LoggerDating
    ) -> None:
        dating.see(0, stamp(NOON, age=HOUR), historic=False, arrival=NOON)
        dating.see(1, undated(NOON + DAY, age=9), historic=True, arrival=NOON + HOUR)
        assert told(dating.settle(NOON + HOUR + LAST_LOOK)) == [(1, None, UNKNOWN)]

    def test_an_offset_that_comes_while_waiting_beats_the_estimate(
        self, dating: LoggerDating
    ) -> None:
        dating.see(0, stamp(NOON - DAY, age=HOUR), historic=True, arrival=NOON)
        dating.see(1, undated(NOON, age=20, lost=HOUR), historic=True, arrival=NOON)
        assert dating.settle(NOON + 60) == []
        late = stamp(NOON + 100, age=120, lost=HOUR)
        dated = dating.see(2, late, historic=False, arrival=NOON + 100)
        assert told(dated) == [(1, NOON, CORRECTED), (2, NOON + 100, DEVICE)]

    def test_what_was_estimated_is_never_dated_again(self, dating: LoggerDating) -> None:
        self.two_sides(dating, lost=0)
        assert len(dating.settle(NOON + 60)) == 1
        same_boot = stamp(NOON - 8 * HOUR + 60, age=2 * MINUTE)
        dated = dating.see("late", same_boot, historic=True, arrival=NOON + 61)
        assert [one.key for one in dated] == ["late"]
        assert dating.finish() == []


class TestLiveRecords:
    def test_after_a_minute_without_any_offset_the_arrival_is_the_time(
        self, dating: LoggerDating
    ) -> None:
        dating.see(1, undated(NOON, age=9), historic=False, arrival=NOON + 0.25)
        assert dating.settle(NOON + 60) == []
        assert dating.settle(NOON + 60.25) == [Dated(1, NOON + 0.25, ARRIVAL)]

    def test_an_estimate_near_the_arrival_is_better_than_the_arrival(
        self, dating: LoggerDating
    ) -> None:
        dating.see(0, stamp(NOON - DAY, age=HOUR), historic=False, arrival=NOON - DAY)
        dating.see(1, undated(NOON, age=9), historic=False, arrival=NOON + 5)
        assert told(dating.settle(NOON + 65)) == [(1, NOON, ESTIMATED)]

    def test_where_the_stick_slept_the_arrival_is_better_than_the_estimate(
        self, dating: LoggerDating
    ) -> None:
        dating.see(0, stamp(NOON - DAY, age=HOUR), historic=False, arrival=NOON - DAY)
        dating.see(1, undated(NOON, age=9, lost=8 * HOUR), historic=False, arrival=NOON)
        assert told(dating.settle(NOON + 60)) == [(1, NOON, ARRIVAL)]

    def test_an_arrival_before_2015_is_no_time_but_ends_the_waiting(
        self, dating: LoggerDating
    ) -> None:
        dating.see(1, undated(NOON, age=9), historic=False, arrival=1000.0)
        assert dating.settle(1059) == []
        assert told(dating.settle(1060)) == [(1, None, UNKNOWN)]


class TestFinish:
    def test_it_says_the_last_word_on_all_in_the_order_of_coming(
        self, dating: LoggerDating
    ) -> None:
        dating.see("live", undated(NOON, age=9), historic=False, arrival=NOON)
        dating.see("stored", undated(NOON - HOUR, age=9), historic=True, arrival=NOON)
        dating.see("live, from a file", undated(NOON, age=9), historic=False, arrival=None)
        assert told(dating.finish()) == [
            ("live", NOON, ARRIVAL),
            ("stored", None, UNKNOWN),
            ("live, from a file", None, UNKNOWN),
        ]
        assert dating.finish() == dating.settle(NOON + 9 * DAY) == []

    def test_without_arrival_a_record_waits_for_it(self, dating: LoggerDating) -> None:
        dating.see(1, undated(NOON, age=9), historic=True, arrival=None)
        assert dating.settle(U32) == []
        assert told(dating.finish()) == [(1, None, UNKNOWN)]


class TestState:
    def test_what_was_learned_outlives_a_restart(self, dating: LoggerDating) -> None:
        dating.see(0, stamp(NOON, age=20), historic=False, arrival=NOON)
        dating.see(0, stamp(NOON + HOUR, age=20 + HOUR), historic=False, arrival=NOON + HOUR)
        state = json.loads(json.dumps(dating.to_state()))
        again = LoggerDating.from_state(state, max_waiting=5)
        assert again.to_state() == state
        dated = again.see(1, undated(NOON + 7, age=27), historic=True, arrival=NOON + DAY)
        assert told(dated) == [(1, NOON + 7, CORRECTED)]

    def test_a_torn_boot_stays_torn(self, dating: LoggerDating) -> None:
        for lost in (0, HOUR):
            dating.see(0, Stamp(COUNTER, 20, NOON - COUNTER + lost), historic=True, arrival=None)
        again = LoggerDating.from_state(dating.to_state())
        assert again.see(1, Stamp(COUNTER, 20, 0), historic=True, arrival=None) == []

    def test_an_empty_state_knows_nothing(self) -> None:
        assert LoggerDating.from_state({}).to_state() == {"boots": []}

    def test_a_state_with_more_boots_than_allowed_or_one_twice_is_taken_in(self) -> None:
        rows = [[n * HOUR, 5, NOON, n * HOUR + 9, 14, NOON, 0] for n in (1, 2, 2, 3)]
        again = LoggerDating.from_state({"boots": rows}, max_boots=2)
        assert again.to_state() == {"boots": [rows[1], rows[3]]}

    def test_the_revision_grows_only_with_what_the_state_would_tell(
        self, dating: LoggerDating
    ) -> None:
        def learn(age: int, lost: int = 0) -> int:
            before = dating.revision
            head = Stamp(COUNTER + age, age, NOON - COUNTER + lost)
            dating.see(0, head, historic=True, arrival=None)
            return dating.revision - before

        assert learn(age=500) == 1  # a new boot
        assert learn(age=800) == 0  # the same offset
        assert learn(age=900, lost=3) == 1
        assert learn(age=700) == 0  # neither the first nor the last
        assert learn(age=300) == 1
        assert learn(age=950, lost=HOUR) == 1  # torn
        assert learn(age=960, lost=HOUR) == 0


class TestBounds:
    def test_too_many_waiting_records_settle_the_oldest(self) -> None:
        dating = LoggerDating(max_waiting=2)
        for key in (1, 2):
            assert dating.see(key, Stamp(key * 100, 7, 0), historic=False, arrival=NOON) == []
        dated = dating.see(3, Stamp(300, 7, 0), historic=False, arrival=NOON + 9)
        assert told(dated) == [(1, NOON, ARRIVAL)]
        assert dating.overflowed == 1
        assert [one.key for one in dating.finish()] == [2, 3]

    def test_the_boot_known_longest_is_forgotten_first(self) -> None:
        dating = LoggerDating(max_boots=2)
        for boot in (3, 1, 2):
            dating.see(0, Stamp(boot * 9000, 7, NOON), historic=True, arrival=None)
        assert [row[0] for row in dating.to_state()["boots"]] == [9000, 18000]

    def test_random_stamps_grow_nothing(self) -> None:
        dating = LoggerDating(max_boots=16, max_waiting=32)
        chance = random.Random(1)
        dated = 0
        for number in range(5000):
            now = NOON + number
            offset = chance.choice([0, chance.getrandbits(32)])
            head = Stamp(chance.getrandbits(32), chance.getrandbits(32), offset)
            historic = chance.random() < 0.5
            dated += len(dating.see(number, head, historic=historic, arrival=now))
            dated += len(dating.settle(now))
            assert len(dating._boots) == len(dating._starts) <= 16
            assert len(dating._waiting) == len(dating._waiting_boots) <= 32
        assert dated + len(dating.finish()) == 5000


@dataclass
class SimulatedLogger:
    """A stick with a counter, boots, a store, and a cloud that answers late."""

    now: int = NOON
    counter: int = COUNTER
    age: int = 0
    offset: int = 0
    stored: list[tuple[Stamp, int]] = field(default_factory=list)
    truth: dict[object, int] = field(default_factory=dict)
    dating: LoggerDating = field(default_factory=LoggerDating)
    dated: dict[object, Dated] = field(default_factory=dict)

    def take(self, dated: list[Dated]) -> None:
        for one in dated:
            assert one.key not in self.dated, "a date never changes"
            self.dated[one.key] = one

    def run(self, seconds: int) -> None:
        self.now += seconds
        self.counter += seconds
        self.age += seconds
        self.take(self.dating.settle(self.now))

    def nap(self, seconds: int, *, counting: bool) -> None:
        """Be without power; the offset is lost."""
        self.now += seconds
        self.counter += seconds if counting else 0
        self.age = self.offset = 0

    def head(self) -> Stamp:
        return Stamp(self.counter, self.age, self.offset)

    def store(self) -> None:
        self.stored.append((self.head(), self.now))

    def send(self, delay: int) -> None:
        """Send a live record; the reply, late by `delay`, sets the offset."""
        self.deliver(self.head(), self.now, historic=False)
        self.offset = self.now - self.counter - delay

    def burst(self) -> None:
        for head, at in reversed(self.stored):  # newest first
            self.deliver(head, at, historic=True)
        self.stored.clear()

    def deliver(self, head: Stamp, at: int, *, historic: bool) -> None:
        key = len(self.truth)
        self.truth[key] = at
        self.take(self.dating.see(key, head, historic=historic, arrival=self.now))

    def errors(self, source: TimeSource) -> list[float]:
        """How far the dates of this source are from the truth."""
        return [
            abs(one.time - self.truth[key])
            for key, one in self.dated.items()
            if one.source is source and one.time is not None
        ]


class TestALoggersLife:
    def test_a_week_with_nights_and_an_outage(self) -> None:
        logger = SimulatedLogger()
        for day in range(7):
            logger.nap(9 * HOUR, counting=True)
            offline = day == 4
            for sample in range(12 * 15):
                logger.run(5 * MINUTE)
                if offline:
                    logger.store()
                else:
                    logger.send(delay=sample % 4)
                    if sample == 1:
                        logger.burst()
        logger.run(HOUR)
        assert len(logger.dated) == len(logger.truth) == 7 * 12 * 15
        assert max(logger.errors(DEVICE)) <= 3
        # The first of each day is dated with yesterday's offset before today's is known …
        assert len(logger.errors(ESTIMATED)) == 12 * 15 + 5
        assert max(logger.errors(ESTIMATED)) <= 3
        # … but on the first day of all nothing is known.
        assert logger.errors(ARRIVAL) == [0]

    def test_a_counter_that_sleeps_at_night_gives_no_wrong_time(self) -> None:
        logger = SimulatedLogger()
        logger.send(delay=1)
        logger.run(HOUR)
        logger.send(delay=1)
        logger.nap(9 * HOUR, counting=False)
        for _ in range(12):  # a morning without network
            logger.run(5 * MINUTE)
            logger.store()
        logger.nap(HOUR, counting=False)
        logger.send(delay=1)
        logger.run(1)
        logger.send(delay=1)
        logger.burst()
        logger.run(DAY)
        assert len(logger.dated) == 4
        logger.run(2 * DAY)
        assert [one.source for one in logger.dated.values()].count(UNKNOWN) == 12
        assert max(logger.errors(DEVICE) + logger.errors(CORRECTED)) <= 1

    def test_a_night_stored_by_the_present_boot_is_dated_with_its_first_live_frame(self) -> None:
        logger = SimulatedLogger()
        for _ in range(100):
            logger.run(5 * MINUTE)
            logger.store()
        logger.burst()
        assert logger.dated == {}
        logger.send(delay=2)
        assert logger.dated == {}
        logger.run(1)
        logger.send(delay=2)
        assert len(logger.errors(CORRECTED)) == 101
        assert max(logger.errors(CORRECTED)) <= 2

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["run", "store", "send", "burst", "nap", "sleep"]),
                st.integers(3, DAY),
                st.integers(0, 20),
            ),
            max_size=40,
        )
    )
    def test_what_is_sure_is_right_in_any_life(self, life: list[tuple[str, int, int]]) -> None:
        logger = SimulatedLogger()
        for what, seconds, delay in life:
            logger.run(3)
            if what == "run":
                logger.run(seconds)
            elif what in {"nap", "sleep"}:
                logger.nap(seconds, counting=what == "nap")
            elif what == "store":
                logger.store()
            elif what == "send":
                logger.send(delay)
            else:
                logger.burst()
        logger.burst()
        logger.take(logger.dating.finish())
        assert logger.dated.keys() == logger.truth.keys()
        assert max(logger.errors(DEVICE) + logger.errors(CORRECTED), default=0) <= 20
        assert max(logger.errors(ARRIVAL), default=0) == 0
        if not any(what == "sleep" for what, _, _ in life):
            assert max(logger.errors(ESTIMATED), default=0) <= 20


times = st.one_of(st.integers(NOON - 3 * DAY, NOON + 3 * DAY), st.integers(0, U32))
counters = st.one_of(st.integers(0, 300), st.integers(0, U32))
heads = st.one_of(
    st.builds(Stamp, counters, counters, st.one_of(st.just(0), st.integers(0, U32))),
    st.builds(
        lambda at, age, known, lost: stamp(at, age=age, lost=lost, offset=known),
        st.integers(NOON - DAY, NOON + DAY),
        st.integers(0, HOUR),
        st.booleans(),
        st.sampled_from([0, AGREE, HOUR]),
    ),
)
frames = st.tuples(heads, st.booleans(), st.booleans(), st.none() | times, st.none() | times)


class TestProperties:
    @settings(max_examples=300)
    @given(st.lists(frames, max_size=60), st.integers(1, 20))
    def test_every_record_is_dated_exactly_once_and_never_absurdly(
        self, sent: list[tuple[Stamp, bool, bool, int | None, int | None]], bound: int
    ) -> None:
        dating = LoggerDating(max_boots=bound, max_waiting=bound)
        dated: list[Dated] = []
        for key, (head, record, historic, arrival, now) in enumerate(sent):
            dated += dating.see(key, head, record=record, historic=historic, arrival=arrival)
            if now is not None:
                dated += dating.settle(now)
            assert len(dating._boots) == len(dating._starts) <= bound
            assert len(dating._waiting) == len(dating._waiting_boots) <= bound
        dated += dating.finish()
        assert sorted(str(one.key) for one in dated) == sorted(
            str(key) for key, frame in enumerate(sent) if frame[1]
        )
        for one in dated:
            assert isinstance(one.key, int)
            head, _, historic, arrival, _ = sent[one.key]
            assert (one.time is None) == (one.source is UNKNOWN)
            if one.time is None:
                continue
            assert one.time >= EARLIEST
            if arrival is not None and arrival >= EARLIEST:
                assert one.time <= arrival + MINUTE
            if one.source is ARRIVAL:
                assert (historic, one.time, one.offset) == (False, arrival, None)
            else:
                assert one.offset == one.time - head.total_working_time

    @given(st.lists(frames, max_size=60))
    def test_the_state_of_any_life_is_taken_in_again(
        self, sent: list[tuple[Stamp, bool, bool, int | None, int | None]]
    ) -> None:
        dating = LoggerDating()
        for key, (head, record, historic, arrival, _) in enumerate(sent):
            dating.see(key, head, record=record, historic=historic, arrival=arrival)
        state = json.loads(json.dumps(dating.to_state()))
        again = LoggerDating.from_state(state)
        assert len(again.to_state()["boots"]) <= len(state["boots"])
        assert LoggerDating.from_state(again.to_state()).to_state() == again.to_state()


@pytest.mark.parametrize(("second", "source"), [(0, TimeSource.DEVICE), (-1, TimeSource.UNKNOWN)])
def test_no_time_before_2015_is_plausible(second: int, source: TimeSource) -> None:
    dating = LoggerDating()
    stamp = Stamp(0, 0, 1_420_070_400 + second)  # 2015-01-01T00:00:00Z
    found = dating.see("key", stamp, historic=True, arrival=None) or dating.finish()
    assert found[0].source is source


@pytest.mark.parametrize(
    ("apart", "source"), [(120, TimeSource.ESTIMATED), (121, TimeSource.UNKNOWN)]
)
def test_neighbours_agree_within_two_minutes(apart: int, source: TimeSource) -> None:
    dating = LoggerDating()
    for counter, offset in ((1_000, 1_700_000_000), (90_000, 1_700_000_000 + apart)):
        dating.see(None, Stamp(counter, 10, offset), record=False, historic=False, arrival=None)
    dating.see("key", Stamp(50_000, 10, 0), historic=True, arrival=None)
    (found,) = dating.finish()
    assert found.source is source


def test_where_the_time_is_known_nothing_lies_after_it() -> None:
    dating = LoggerDating(now=1_700_000_000.0)
    stamp = Stamp(0, 0, 1_700_000_061)
    assert dating.see("key", stamp, historic=False, arrival=None) == []
    assert dating.finish()[0].source is TimeSource.UNKNOWN
