"""The household that is made up: in balance, plausible, the same when asked again."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inverterproto_cli.fakes.household import DAY, MINUTES, Household, Moment

BEGIN = 20_500 * DAY
CAPACITY = 10.0
ENERGIES = (
    "pv_today",
    "load_today",
    "imported_today",
    "exported_today",
    "charged_today",
    "discharged_today",
)


def day_of(household: Household, day: int = 20_500) -> list[Moment]:
    return [household.at(day * DAY + minute * 60) for minute in range(MINUTES)]


@pytest.fixture(scope="module")
def minutes() -> list[Moment]:
    return day_of(Household(1))


def test_what_comes_goes_at_each_minute(minutes: list[Moment]) -> None:
    for now in minutes:
        assert now.pv + now.battery + now.grid == pytest.approx(now.load)


def test_what_has_come_has_gone_by_each_minute(minutes: list[Moment]) -> None:
    for now in minutes:
        came = now.pv_today + now.imported_today + now.discharged_today
        went = now.load_today + now.exported_today + now.charged_today
        assert came == pytest.approx(went)


def test_the_battery_holds_what_it_was_given(minutes: list[Moment]) -> None:
    for before, now in pairwise(minutes):
        given_ = (now.charge - before.charge) / 100 * CAPACITY
        counted = (now.charged_today - before.charged_today) - (
            now.discharged_today - before.discharged_today
        )
        assert given_ == pytest.approx(counted, abs=1e-9)
        assert given_ == pytest.approx(-now.battery / 60_000, abs=1e-9)


def test_the_battery_neither_overflows_nor_runs_dry_nor_exceeds_its_power(
    minutes: list[Moment],
) -> None:
    assert 9.99 <= min(now.charge for now in minutes) < 15
    assert 90 < max(now.charge for now in minutes) <= 98.01
    assert max(abs(now.battery) for now in minutes) <= 5000


def test_a_day_has_a_night_a_noon_an_import_and_an_export(minutes: list[Moment]) -> None:
    assert not any(now.pv for now in minutes[: 6 * 60] + minutes[18 * 60 + 1 :])
    assert max(now.pv for now in minutes[11 * 60 : 13 * 60]) > 1000
    assert max(now.pv for now in minutes) <= 6000
    assert all(250 <= now.load <= 2700 for now in minutes)
    assert any(now.grid > 0 for now in minutes)
    assert any(now.grid < 0 for now in minutes)
    assert 5 < minutes[-1].pv_today < 45


def test_the_battery_never_feeds_the_grid_nor_is_fed_by_it(minutes: list[Moment]) -> None:
    assert not any(now.battery > 0 and now.grid < -1e-9 for now in minutes)
    assert not any(now.battery < 0 and now.grid > 1e-9 for now in minutes)


def test_energies_begin_anew_at_midnight_and_only_grow_till_then(minutes: list[Moment]) -> None:
    for name in ENERGIES:
        counted = [getattr(now, name) for now in minutes]
        assert counted[0] < 0.1
        assert counted == sorted(counted)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_battery_goes_on_at_midnight_with_what_it_held(seed: int) -> None:
    household = Household(seed)
    for day in range(20_500, 20_530):
        evening, morning = household.evening(day - 1), household.at(day * DAY)
        change = (morning.charge - evening.charge) / 100 * CAPACITY
        assert change == pytest.approx(-morning.battery / 60_000, abs=1e-9)


def test_no_two_days_nor_households_are_alike() -> None:
    one, other = Household(1), Household(2)
    yields = [one.evening(day).pv_today for day in range(20_500, 20_505)]
    assert len({*yields, other.evening(20_500).pv_today}) == 6


@settings(max_examples=25)
@given(st.integers(0, 1000), st.integers(0, DAY - 1))
def test_the_same_time_and_seed_give_the_same(seed: int, second: int) -> None:
    now = BEGIN + second
    asked_in_order = Household(seed)
    asked_in_order.at(now - 5 * DAY)
    assert asked_in_order.at(now) == Household(seed).at(now)


def test_a_household_without_a_battery_lives_from_sun_and_grid() -> None:
    for now in day_of(Household(1, capacity=0)):
        assert now.battery == now.charge == now.charged_today == now.discharged_today == 0
        assert now.pv + now.grid == pytest.approx(now.load)


def test_the_sun_goes_by_the_household_s_clocks() -> None:
    here, there = Household(1), Household(1, utc_offset=10 * 3600)
    assert here.at(BEGIN + 12 * 3600).pv == there.at(BEGIN + 2 * 3600).pv > 0
    assert there.at(BEGIN + 14 * 3600).pv == 0
    assert there.at(BEGIN + 14 * 3600).days == 20_501
