"""Checks of what Home Assistant has made of discovery: devices, entities, their states."""

from collections.abc import Mapping
from datetime import datetime
from math import isclose
from typing import Any

from home_assistant.api import Json
from home_assistant.expected import LAST_SEEN, Device, Entity, devices, entities
from home_assistant.former import FORMER_IDS
from home_assistant.home import YAML_UNIQUE_ID
from home_assistant.house import AREAS
from home_assistant.place import Place
from home_assistant.stick import INVERTER

_COMES = 30.0
_SEEN_WITHIN = 15.0
"""Seconds by which a logger may have been heard later than the newest present reading tells."""


async def check_registry(place: Place) -> None:
    """Check that all is there that should be, and nothing else."""
    readings = await place.house.readings()
    wanted, owners = entities(readings), devices(readings)
    what = f"each of {len(wanted)} quantities is an entity, and there is no other"
    await place.report.eventually(what, lambda: _all_there(place, wanted), _COMES)
    found, known = await place.home.api.entities(), await place.home.api.devices()
    present = {one: entity for one, entity in wanted.items() if one in found}
    check = place.report.check
    check(
        f"{len(owners)} devices with name, maker, logger and area",
        _devices(owners, known, await place.home.api.areas()),
    )
    ids = {device["id"]: identifier for identifier, device in known.items()}
    check(
        "each entity is at its device",
        [
            f"{one} is at {ids.get(found[one]['device_id'])}"
            for one, entity in present.items()
            if ids.get(found[one]["device_id"]) != entity.device
        ],
    )
    check(
        "what describes a device is diagnostic, and nothing else",
        [
            f"{one}: {found[one]['entity_category']}"
            for one, entity in present.items()
            if (found[one]["entity_category"] == "diagnostic") != entity.is_diagnostic
        ],
    )
    off = sum(entity.is_disabled for entity in present.values())
    check(
        f"{off} cells and modules are switched off, and nothing else",
        [
            f"{one}: disabled by {found[one]['disabled_by']}"
            for one, entity in present.items()
            if (found[one]["disabled_by"] == "integration") != entity.is_disabled
        ],
    )
    check("as many decimals as are worth showing", _decimals(present, found))
    roof = {entity.key: found[one]["entity_id"] for one, entity in present.items()
            if known.get(entity.device, {}).get("serial_number") == INVERTER}  # fmt: skip
    check(
        "ids are made of the configured name, or are those of the other tool",
        [
            f"{key}: {roof.get(key)}, not {expected}"
            for key, expected in {
                "grid_voltage_l1": "sensor.roof_grid_voltage_l1",
                **FORMER_IDS,
            }.items()
            if roof.get(key) != expected
        ],
    )


async def check_values(place: Place, when: str, seconds: float = _COMES) -> None:
    """Check that each entity shows what was measured last, with unit and classes."""
    await place.report.eventually(
        f"{when}: every value, unit and class is right", lambda: _states(place), seconds
    )


async def _all_there(place: Place, wanted: Mapping[str, Entity]) -> list[str]:
    found = (await place.home.api.entities()).keys() - {YAML_UNIQUE_ID}
    missing = [f"{one} is missing" for one in wanted.keys() - found]
    return sorted(missing) + sorted(f"{one} is too much" for one in found - wanted.keys())


def _devices(
    owners: Mapping[str, Device], known: Mapping[str, Json], areas: Mapping[str, str]
) -> list[str]:
    problems = [f"{one} is missing" for one in owners.keys() - known.keys()]
    problems += [f"{one} is too much" for one in known.keys() - owners.keys()]
    ids = {device["id"]: identifier for identifier, device in known.items()}
    for identifier in owners.keys() & known.keys():
        wanted, found = owners[identifier], known[identifier]
        shown = {
            "name": found["name"],
            "serial_number": found["serial_number"],
            "via": ids.get(found["via_device_id"]),
            "area": areas.get(found["area_id"]),
        }
        right = {
            "name": wanted.name,
            "serial_number": wanted.serial,
            "via": wanted.via,
            "area": AREAS.get(wanted.serial),
        }
        problems += [
            f"{identifier}: {name} is {shown[name]!r}, not {right[name]!r}"
            for name in right
            if shown[name] != right[name]
        ]
        if not (found["manufacturer"] or "").startswith(wanted.maker) or not found["model"]:
            problems.append(f"{identifier}: {found['manufacturer']!r}, {found['model']!r}")
        if wanted.tells_version and not found["sw_version"]:
            problems.append(f"{identifier}: no sw_version")
    return problems


def _decimals(wanted: Mapping[str, Entity], found: Mapping[str, Json]) -> list[str]:
    problems = []
    for one, entity in wanted.items():
        precision = None if entity.quantity is None else entity.quantity.precision
        shown = found[one].get("options", {}).get("sensor", {}).get("suggested_display_precision")
        if precision is not None and not entity.is_disabled and shown != precision:
            problems.append(f"{one}: {shown}, not {precision}")
    return problems


async def _states(place: Place) -> list[str]:
    wanted = entities(await place.house.readings())
    found, states = await place.home.api.entities(), await place.home.api.states()
    problems = []
    for one, entity in sorted(wanted.items()):
        entry = found.get(one)
        if entry is None:
            problems.append(f"{one} is missing")
        elif entry["disabled_by"] is None:
            state = states.get(entry["entity_id"])
            problem = "there is no state" if state is None else _wrong(entity, state)
            problems += [f"{entry['entity_id']}: {problem}"] if problem else []
    return problems


def _wrong(entity: Entity, state: Json) -> str | None:
    """Return what is wrong with a state, if anything is."""
    quantity, shown = entity.quantity, state["attributes"]
    classes = (shown.get("unit_of_measurement"), shown.get("device_class"),
               shown.get("state_class"))  # fmt: skip
    right = (
        (None, "timestamp", None)
        if quantity is None
        else (quantity.unit, quantity.device_class, quantity.state_class)
    )
    if not _same(entity, state["state"]):
        return f"{state['state']!r}, not {entity.value!r}"
    return None if classes == right else f"unit and classes {classes}, not {right}"


def _same(entity: Entity, shown: str) -> bool:
    """Return whether a state is a value."""
    value: Any = entity.value
    try:
        if entity.key == LAST_SEEN:
            return abs(datetime.fromisoformat(shown).timestamp() - entity.time) <= _SEEN_WITHIN
        if isinstance(value, str):
            return shown == value
        return isclose(float(shown), value, rel_tol=1e-9, abs_tol=1e-9)
    except ValueError:
        return False
