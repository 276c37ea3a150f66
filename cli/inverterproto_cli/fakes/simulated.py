"""What a simulated AlphaESS battery is and measures, in a household that is made up.

It is one of a single phase, its panels on direct current, with all the signs of a real one: what
inverter and meter give is what the household takes, discharge and import are positive.
"""

from collections.abc import Callable, Mapping
from math import hypot
from typing import Any

from inverterproto.alphaess.battery import Battery
from inverterproto_cli.fakes.household import Household, Moment
from inverterproto_cli.fakes.serials import FIRST_BATTERY, battery_serial, number_of
from inverterproto_cli.fakes.totals import Totals
from inverterproto_cli.zone import utc_offset

CONFIGURATION: Mapping[str, Any] = {
    "Popv": 6.0,
    "Minv": "SIM-S5",
    "Poinv": 5.0,
    "Cobat": 10.0,
    "Mbat": "SIM-BAT-10",
    "Uscapacity": 90,
    "EMSVersion": "V0.00.00",
    "GridCharge": False,
    "CtrDis": False,
}
"""What the battery tells of itself; what a server may change of it are the last two."""
_POWER = 5000
_REACTIVE = 12


def simulated_battery(number: int, now: float, first: str = FIRST_BATTERY) -> Battery:
    """Return the simulated battery with a number, from 1 on, as it is now; its clock is right.

    Args:
        number: of the battery.
        now: unix time.
        first: the serial of the first. Each has a household by its serial.
    """
    offset = utc_offset(now)
    serial = battery_serial(number, first)
    household = Household(number_of(serial), utc_offset=offset)
    return Battery(
        serial,
        battery_measures(household, now),
        now,
        offset=offset,
        configuration=CONFIGURATION,
    )


def battery_measures(household: Household, begin: float) -> Callable[[float], Mapping[str, Any]]:
    """Return what a battery in a household measures, by the keys of a full record.

    Args:
        household: in which it is.
        begin: unix time at which the simulation begins.
    """
    totals = Totals(household, begin)

    def measure(now: float) -> Mapping[str, Any]:
        return _record(household.at(now), lambda name: round(totals.at(now, name), 2))

    return measure


def _record(now: Moment, total: Callable[[str], float]) -> dict[str, Any]:
    pv, discharge = round(now.pv), round(now.battery, 1) + 0.0  # no -0.0
    output = pv + round(now.battery)
    volts = round(48 + now.charge * 0.06, 2)
    amperes = round(now.battery / volts, 1) + 0.0
    return {
        "Ppv1": round(pv * 0.55),
        "Ppv2": pv - round(pv * 0.55),
        "Upv1": 380.0 if pv else 0.0,
        "Upv2": 310.0 if pv else 0.0,
        "Ua": 230.4,
        "Ub": 0.0,
        "Uc": 0.0,
        "Fac": 50.01,
        "Ubus": 387,
        "PrealL1": output,
        "PrealL2": 0,
        "PrealL3": 0,
        "Tinv": 32,
        "InvWorkMode": 3,
        "EpvTotal": total("pv_today"),
        "Einput": total("imported_today"),
        "Eoutput": total("exported_today"),
        "Echarge": total("charged_today"),
        "EDischarge": total("discharged_today"),
        "EGridCharge": 0.0,
        "PmeterL1": round(now.grid),
        "PmeterL2": 0,
        "PmeterL3": 0,
        "PmeterDC": 0,
        "Pbat": discharge,
        "Sva": round(hypot(output, _REACTIVE)),
        "VarAC": _REACTIVE,
        "VarDC": 0,
        "SOC": round(now.charge, 1),
        "BatV": volts,
        "BatC": amperes,
        "BmsNum": 1,
        "SOC1": round(now.charge, 1),
        "BatC1": amperes,
        "Pcharge": _POWER,
        "Pdischarge": _POWER,
        "ErrInv": 0,
        "WarInv": 0,
        "ErrEms": 0,
        "ErrBms": 0,
        "ErrMeter": 0,
        "ErrBackupBox": 0,
        "EmsStatus": "Normal",
    }
