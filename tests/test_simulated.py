"""Simulated devices: what a battery measures is plausible, and serials are of their own kind."""

import re
from itertools import pairwise
from typing import Any

import pytest

from inverterproto.alphaess.battery import Battery
from inverterproto.alphaess.messages import Message
from inverterproto_cli.fakes.household import DAY, Household
from inverterproto_cli.fakes.inverters import MODELS as INVERTERS
from inverterproto_cli.fakes.inverters import stick
from inverterproto_cli.fakes.serials import FIRST_LOGGER, battery_serial, inverter_serial
from inverterproto_cli.fakes.simulated import (
    battery_measures,
    simulated_battery,
)
from tests.vectors import FIXTURES

BEGIN = 20_500.0 * DAY
TIMES = [BEGIN + second for second in range(0, 2 * DAY, 600)]


@pytest.fixture(scope="module")
def battery() -> Battery:
    return simulated_battery(1, BEGIN)


def values_of(message: Message) -> dict[str, Any]:
    [record] = message.records()
    return dict(record.values)


# What it measures


def test_nothing_that_a_battery_sends_is_doubtful(battery: Battery) -> None:
    battery.store(BEGIN + 600)
    frames = [
        battery.login(),
        battery.event_log(BEGIN),
        battery.own_configuration(),
        battery.stored(battery.held(None, None)),
        *(frame for now in TIMES for frame in (battery.status(now), battery.record(now))),
    ]
    for frame in frames:
        assert Message.parse(frame).find_problems("C") == ()


def test_powers_are_in_balance_with_the_signs_of_the_vocabulary(battery: Battery) -> None:
    for now in TIMES:
        for frame in (battery.status(now), battery.record(now)):
            values = values_of(Message.parse(frame))
            assert values["pv_power"] == values["pv1_power"] + values["pv2_power"]
            assert values["active_power"] == pytest.approx(
                values["pv_power"] + values["battery_power"], abs=1
            )
            assert values["load_power"] == values["active_power"] + values["grid_power"]
            assert 240 <= values["load_power"] <= 2800


def test_a_battery_that_fills_is_charged_and_one_that_empties_is_discharged(
    battery: Battery,
) -> None:
    charging = discharging = 0
    told = [values_of(Message.parse(battery.record(now))) for now in TIMES]
    for before, now in pairwise(told):
        change = now["state_of_charge"] - before["state_of_charge"]
        charged = now["battery_charge_total"] - before["battery_charge_total"]
        discharged = now["battery_discharge_total"] - before["battery_discharge_total"]
        assert change / 100 * 10 == pytest.approx(charged - discharged, abs=0.05)
        if now["battery_power"] < -500 and before["battery_power"] < -500:
            charging += 1
            assert charged > 0
            assert now["battery_current"] < 0
        if now["battery_power"] > 500 and before["battery_power"] > 500:
            discharging += 1
            assert discharged > 0
            assert now["battery_current"] > 0
    assert min(charging, discharging) > 10


def test_what_is_imported_and_exported_is_counted_as_such(battery: Battery) -> None:
    told = [values_of(Message.parse(battery.record(now))) for now in TIMES]
    imports = exports = 0
    for before, now in pairwise(told):
        imported = now["grid_import_total"] - before["grid_import_total"]
        exported = now["grid_export_total"] - before["grid_export_total"]
        if min(before["grid_power"], now["grid_power"]) > 300:
            imports += 1
            assert imported > 0
        if max(before["grid_power"], now["grid_power"]) < -300:
            exports += 1
            assert exported > 0
    assert min(imports, exports) > 5


def test_totals_go_on_over_midnight_without_a_jump(battery: Battery) -> None:
    names = (
        "pv_energy_total",
        "grid_import_total",
        "grid_export_total",
        "battery_charge_total",
        "battery_discharge_total",
    )
    told = [values_of(Message.parse(battery.record(now))) for now in TIMES]
    for name in names:
        counted = [values[name] for values in told]
        assert all(0 <= now - before <= 1.1 for before, now in pairwise(counted)), name
        assert counted[-1] > counted[0] + 1


def test_the_same_moment_is_measured_alike_whenever_it_is_asked_for() -> None:
    one, other = (battery_measures(Household(3), BEGIN) for _ in range(2))
    later = one(BEGIN + 5 * DAY)
    assert one(BEGIN + 3600) == other(BEGIN + 3600)
    assert later == other(BEGIN + 5 * DAY)


def test_a_battery_at_rest_has_no_minus_zero(battery: Battery) -> None:
    for now in TIMES:
        assert b"-0.0" not in battery.record(now).payload


def test_a_battery_tells_what_it_is(battery: Battery) -> None:
    assert values_of(Message.parse(battery.own_configuration())) == {"rated_power": 5000}


# Whose it is


@pytest.mark.parametrize("number", [1, 2, 10_000])
def test_a_simulated_battery_has_a_serial_that_says_so(number: int) -> None:
    battery = simulated_battery(number, BEGIN)
    battery.store(BEGIN + 60)
    assert battery.serial == battery_serial(number)
    assert re.fullmatch(r"SIM[0-9]{12}", battery.serial)
    for frame in (
        battery.login(),
        battery.status(BEGIN),
        battery.record(BEGIN),
        battery.own_configuration(),
        battery.stored(battery.held(None, None)),
    ):
        assert Message.parse(frame).device == battery.serial
        for serial in re.findall(rb"\b[A-Z]{2,3}[0-9]{7,}\b", frame.payload):
            assert serial == battery.serial.encode()


@pytest.mark.parametrize("model", INVERTERS)
@pytest.mark.parametrize("number", [0, 1, 9_999])
def test_a_simulated_logger_and_its_inverter_have_serials_that_say_so(
    model: str, number: int
) -> None:
    made = stick(INVERTERS[model], number)
    assert made.serial == INVERTERS[model].first_logger + number >= FIRST_LOGGER == 4_290_000_000
    assert made.serial < 2**32
    assert re.fullmatch(r"SIM[0-9]{7}", made.inverter_serial)


def test_all_simulated_devices_differ() -> None:
    assert len({battery_serial(number) for number in range(1, 10_001)}) == 10_000
    sticks = [stick(model, number) for model in INVERTERS.values() for number in range(10_000)]
    assert len({made.serial for made in sticks}) == len(sticks)
    assert len({made.inverter_serial for made in sticks}) == len(sticks)
    assert not {made.inverter_serial for made in sticks} & {
        battery_serial(n) for n in range(1, 1001)
    }


def test_serials_that_a_user_chose_count_up_and_differ_too() -> None:
    assert [stick(INVERTERS["micro"], n, 2_301_234_567).serial for n in range(2)] == [
        2_301_234_567,
        2_301_234_568,
    ]
    chosen = {inverter_serial(serial) for serial in (1, 4_289_999_999, 4_290_000_000, 2**32 - 1)}
    assert chosen == {"SX00000001", "SXFFB4347F", "SIM0000001", "SIM4967296"}
    assert battery_serial(3, "AL0998") == "AL1000"
    assert simulated_battery(2, BEGIN, "AL0998").serial == "AL0999"
    for serial in ("AL", "", "AL-1", "AL 1", "9" * 50, "AL٣"):
        with pytest.raises(ValueError, match="ends in a number"):
            battery_serial(1, serial)
    with pytest.raises(ValueError, match="no room for 3 serials"):
        battery_serial(3, "AL98")


def test_no_captured_device_bears_a_simulated_serial() -> None:
    for path in FIXTURES.rglob("*.json"):
        assert not re.search(r'"(SIM[0-9]|429[0-9]{7}")', path.read_text()), path
