"""What simulated inverters measure, of a household that is made up (`household.py`).

Each model is a sensor type that exists, and a function from what flows at a moment to the fields
of its layout, in the device's own signs. Powers are in balance, energies are what the powers add up
to, and totals go on from day to day. Voltages, frequency and temperatures waver a little, so that
no two measurements are the same; by time and seed, so that asked twice they are.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any, NamedTuple

from inverterproto.deye.stick import Stick
from inverterproto.field import Field
from inverterproto_cli.fakes.household import Household, Moment
from inverterproto_cli.fakes.serials import first_logger, inverter_serial
from inverterproto_cli.fakes.totals import Totals

_ASLEEP = 3.0
"""Watts from the panels below which a micro-inverter has not enough to live on."""

Fields = dict[str, Any]
Measure = Callable[[float], Mapping[str, Any] | None]


def stick(model: "Model", number: int, first: int | None = None) -> Stick:
    """Return the simulated logger with a number, from 0, and what is told of its inverter.

    Args:
        model: of the inverter.
        number: of the logger.
        first: the serial of the first; None for the model's own.
    """
    serial = (model.first_logger if first is None else first) + number
    return Stick(serial, inverter_serial(serial), sensor_type=model.sensor_type)


class Measurement(NamedTuple):
    """A moment, and what else a model needs to tell of it."""

    now: Moment
    total: Callable[[str], float]
    clock: str
    waver: Callable[[float, float], float]
    """A number around another, at most so much off."""


def _micro(at: Measurement) -> Fields | None:
    now, waver = at.now, at.waver
    if now.pv < _ASLEEP:
        return None
    volts, power = waver(230, 3), now.pv * 0.96
    fields: Fields = {
        "energy_today": now.pv_today * 0.96,
        "energy_total": at.total("pv_today") * 0.96,
        "grid_voltage_l1": volts,
        "grid_current_l1": power / volts,
        "grid_frequency": waver(50, 0.03),
        "active_power": power,
        "radiator_temperature": waver(22 + now.pv / 25, 0.5),
        "protocol_version": "V0.2.0.1",
        "dc_master_firmware": "V0.1.1.7",
        "ac_firmware": "V1.2.1.8",
        "rated_power": 800.0,
        "mppt_count": 2,
        "phase_count": 1,
        "over_frequency_start": 50.2,
        "over_frequency_load_reduction": 44,
        "grid_voltage_limit_upper": 275.0,
        "grid_voltage_limit_lower": 183.0,
        "grid_frequency_limit_upper": 51.5,
        "grid_frequency_limit_lower": 47.5,
        "self_check_time": 60,
        "inverter_clock": at.clock,
    }
    fields |= dict.fromkeys(("temperature_65", "temperature_67", "temperature_69"))
    fields |= dict.fromkeys(("temperature_71", "pv3_energy_total", "pv4_energy_total"))
    for number, share in ((1, 0.52), (2, 0.48)):
        panel = waver(33, 1)
        fields |= {
            f"pv{number}_voltage": panel,
            f"pv{number}_current": now.pv * share / panel,
            f"pv{number}_energy_today": now.pv_today * share,
            f"pv{number}_energy_total": at.total("pv_today") * share,
        }
    return fields


def _hybrid(at: Measurement) -> Fields:
    now, waver, total = at.now, at.waver, at.total
    volts = waver(51.0 + now.charge / 40 - now.battery / 4000, 0.1)
    return {
        "battery_charge_today": now.charged_today,
        "battery_discharge_today": now.discharged_today,
        "battery_charge_total": total("charged_today"),
        "battery_discharge_total": total("discharged_today"),
        "grid_import_today": now.imported_today,
        "grid_export_today": now.exported_today,
        "grid_import_total": total("imported_today"),
        "grid_export_total": total("exported_today"),
        "load_energy_today": now.load_today,
        "load_energy_total": total("load_today"),
        "pv_energy_today": now.pv_today,
        "pv1_energy_today": now.pv_today * 0.55,
        "pv2_energy_today": now.pv_today * 0.45,
        "pv_energy_total": total("pv_today"),
        "battery_temperature": waver(24, 0.5),
        "battery_voltage": volts,
        "state_of_charge": now.charge,
        "battery_power": now.battery,
        "battery_current": now.battery / volts,
        **{f"grid_voltage_l{phase}": waver(230, 3) for phase in (1, 2, 3)},
        **{f"grid_power_l{phase}": now.grid / 3 for phase in (1, 2, 3)},
    }


def _string(at: Measurement) -> Fields:
    now, waver = at.now, at.waver
    power = now.pv * 0.97
    fields: Fields = {
        "inverter_temperature": waver(18 + now.pv / 200, 0.5),
        "grid_frequency": waver(50, 0.03),
        "active_power": power,
        "energy_today": now.pv_today * 0.97,
        "energy_total": at.total("pv_today") * 0.97,
        "status_77": 3,
        "apparent_power": power * 1.005,
        "reactive_power": power * 0.1,
    }
    for number, share, volts in ((1, 0.55, 430), (2, 0.45, 360)):
        string = waver(volts, 8)
        fields[f"pv{number}_voltage"] = string if now.pv else 0.0
        fields[f"pv{number}_current"] = now.pv * share / string
    for phase in (1, 2, 3):
        mains = waver(230, 3)
        fields[f"grid_voltage_l{phase}"] = mains
        fields[f"grid_current_l{phase}"] = power / 3 / mains
    return fields


_CELLS = 16


def _battery(at: Measurement) -> Fields:
    now, waver = at.now, at.waver
    cells = [waver(3.2 + now.charge / 1000 - now.battery / 20000, 0.004) for _ in range(_CELLS)]
    volts, panel, output = sum(cells), waver(34, 1), waver(51, 0.2)
    # What is left of the panels' power goes out, and what the battery gives.
    given = max(0.0, now.pv + now.battery)
    return {
        "pv1_voltage": panel if now.pv else 0.0,
        "pv1_current": now.pv * 0.52 / panel,
        "pv2_voltage": panel if now.pv else 0.0,
        "pv2_current": now.pv * 0.48 / panel,
        "battery_charge_total": at.total("charged_today"),
        "pv1_status": int(now.pv > 0),
        "pv2_status": int(now.pv > 0),
        "battery_voltage": volts,
        "battery_current": -now.battery / volts,  # its own sign: positive is charge
        "state_of_charge": now.charge,
        **{f"cell{number}_voltage": cell for number, cell in enumerate(cells, 1)},
        **{f"cell_temperature_{number}": waver(20, 2) for number in (1, 2, 3)},
        "battery_output_voltage": output,
        "battery_output_current": given / output,
        "output_status": int(given > 0),
        "ambient_temperature": waver(18, 2),
        "alarm": 0,
        "hardware_version": 0x0205,
        "software_version": 0x0201,
    }


def _carried(field: Field, value: object) -> object:
    """Return the number nearest to a value that a field can carry; what is no number as it is."""
    if not isinstance(value, float):
        return value
    numerator, denominator = field.ratio
    return round(value * denominator / numerator) * numerator / denominator


class Model(NamedTuple):
    """A kind of simulated inverter.

    Attributes:
        sensor_type: of its data.
        peak: of its panels, in watts.
        capacity: of its battery, in kWh.
        first_logger: the serial of the first simulated logger at such a one.
        fields: what it tells of a moment; None while it sleeps.
    """

    sensor_type: int
    peak: float
    capacity: float
    first_logger: int
    fields: Callable[[Measurement], Fields | None]

    def household(self, seed: int, utc_offset: float = 0.0) -> Household:
        """Return a household that has such a one."""
        return Household(seed, peak=self.peak, capacity=self.capacity, utc_offset=utc_offset)

    def measure(self, serial: str, household: Household, begin: float, *, seed: int = 0) -> Measure:
        """Return what an inverter measures at a unix time; fields that its layout can carry.

        Args:
            serial: the inverter's.
            household: in which it works.
            begin: unix time at which the simulation begins.
            seed: of what wavers.
        """
        from inverterproto.deye.layouts import layout_of

        layout = layout_of(self.sensor_type)
        assert layout is not None  # noqa: S101 - each model's sensor type has one
        by_name = layout.by_name
        totals = Totals(household, begin)

        def measured(now: float) -> Mapping[str, Any] | None:
            chance = Random(f"{seed} {serial} {now:.3f}")  # noqa: S311 - no secret
            clock = datetime.fromtimestamp(now + household.utc_offset, UTC)
            fields = self.fields(
                Measurement(
                    household.at(now),
                    lambda name: totals.at(now, name),
                    f"{clock:%Y-%m-%d %H:%M:%S}",
                    lambda middle, most: middle + chance.uniform(-most, most),
                )
            )
            if fields is None:
                return None
            carried = {name: _carried(by_name[name], value) for name, value in fields.items()}
            return {"inverter_serial": serial, **carried}

        return measured


MODELS = {
    "micro": Model(0x5408, 800.0, 0.0, first_logger(0), _micro),
    "hybrid": Model(0x5411, 6000.0, 10.0, first_logger(1), _hybrid),
    "string": Model(0x0504, 8000.0, 0.0, first_logger(2), _string),
    "battery": Model(0x3026, 1000.0, 2.0, first_logger(3), _battery),
}
"""The simulated inverters by name."""


def sleeping(model: Model, now: float, utc_offset: float) -> bool:
    """Return whether an inverter of a model sleeps at some unix time."""
    return model.measure("", model.household(0, utc_offset), now)(now) is None
