"""What simulated devices measure, of a household that is made up (`household.py`)."""

from collections.abc import Callable, Mapping
from typing import Any

from inverterproto_cli.fakes.household import Household, Moment

FIRST_DAY = 20_000
"""Days since 1970 at which totals were zero: in October 2024."""


def battery_serial(number: int) -> str:
    """Return the serial of a simulated battery."""
    return f"SIM{number:012d}"


def battery_measures(household: Household) -> Callable[[float], Mapping[str, Any]]:
    """Return what an AlphaESS battery in a household measures, by the keys of a full record."""

    def measure(now: float) -> Mapping[str, Any]:
        return _battery_record(household.at(now), household.at(now - now % 86400 + 86399))

    return measure


def _battery_record(now: Moment, evening: Moment) -> dict[str, Any]:
    days = now.days - FIRST_DAY

    def total(name: str) -> float:
        before: float = getattr(evening, name) * days
        today: float = getattr(now, name)
        return round(before + today, 2)

    return {
        "Ppv1": round(now.pv * 0.55),
        "Ppv2": round(now.pv * 0.45),
        "Upv1": 380.0 if now.pv else 0.0,
        "Upv2": 310.0 if now.pv else 0.0,
        "Ua": 230.4,
        "Ub": 230.1,
        "Uc": 229.8,
        "Fac": 50.01,
        "Ubus": 387.0,
        "PrealL1": round(now.pv + now.battery),
        "PrealL2": 0,
        "PrealL3": 0,
        "Tinv": 32.5,
        "PacL1": 0,
        "PacL2": 0,
        "PacL3": 0,
        "InvWorkMode": 1,
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
        "Pbat": round(now.battery, 1),
        "Sva": round(abs(now.pv + now.battery)),
        "VarAC": 12,
        "VarDC": 0,
        "SOC": round(now.charge, 1),
        "BatV": 52.0,
        "BatC": round(now.battery / 52.0, 1),
        "ErrInv": 0,
        "WarInv": 0,
        "ErrEms": 0,
        "ErrBms": 0,
        "ErrMeter": 0,
        "ErrBackupBox": 0,
        "EmsStatus": "Normal",
    }
