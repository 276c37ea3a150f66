"""Checks that the energy dashboard takes our sensors, and that its sums are right.

Home Assistant makes statistics every five minutes; only of what it has some it is content. So this
waits for the next ones.
"""

from datetime import UTC, datetime, timedelta

from home_assistant.expected import entities, identifier, unique_id
from home_assistant.place import Place
from home_assistant.present import FIRST_TOTAL, LAST_TOTAL
from home_assistant.stick import INVERTER

_STATISTICS = 330.0
"""Seconds within which there are some of what there is now."""


async def check_dashboard(place: Place) -> None:
    """Check the rules of the energy dashboard, by hand and by Home Assistant's own validation."""
    api = place.home.api
    found, states = await api.entities(), await api.states()
    energies = {
        one: found[one]["entity_id"]
        for one, entity in entities(await place.house.readings()).items()
        if entity.quantity is not None and entity.quantity.device_class == "energy"
    }
    rules = {"unit_of_measurement": {"kWh"}, "device_class": {"energy"},
             "state_class": {"total", "total_increasing"}}  # fmt: skip
    place.report.check(
        f"{len(energies)} energies keep the rules of the energy dashboard",
        [
            f"{entity_id}: {name} is {states[entity_id]['attributes'].get(name)}"
            for entity_id in energies.values()
            for name, allowed in rules.items()
            if states[entity_id]["attributes"].get(name) not in allowed
        ],
    )
    saved = await api.ask("energy/save_prefs", **_preferences(list(energies.values())))
    sources = len(saved["energy_sources"]), len(saved["device_consumption"])

    async def valid() -> list[str]:
        issues = await api.ask("energy/validate")
        told = [issue for part in issues.values() for source in part for issue in source]
        return [f"{issue['type']}: {issue['affected_entities']}" for issue in told]

    what = f"the energy dashboard takes all of them ({sources[0]} sources, {sources[1]} devices)"
    await place.report.eventually(what, valid, _STATISTICS)


def _preferences(energies: list[str]) -> dict[str, object]:
    """Return an energy dashboard that has all of them, each where it belongs."""

    def such(*ends: str) -> list[str]:
        return [one for one in energies if one.endswith(ends)]

    imports, exports = such("grid_import_total"), such("grid_export_total")
    taken, given = such("battery_discharge_total"), such("battery_charge_total")
    cost = {"stat_cost": None, "entity_energy_price": None, "number_energy_price": None}
    earned = {"stat_compensation": None, "entity_energy_price": None, "number_energy_price": None}
    grid = {
        "type": "grid",
        "flow_from": [{"stat_energy_from": one, **cost} for one in imports],
        "flow_to": [{"stat_energy_to": one, **earned} for one in exports],
        "cost_adjustment_day": 0.0,
    }
    batteries = [
        {"type": "battery", "stat_energy_from": out, "stat_energy_to": into}
        for out, into in zip(sorted(taken), sorted(given), strict=False)
    ]
    used = {*imports, *exports, *taken, *given}
    made = [one for one in energies if one not in used and "load" not in one]
    solar = [
        {"type": "solar", "stat_energy_from": one, "config_entry_solar_forecast": None}
        for one in made
    ]
    return {
        "energy_sources": [grid, *batteries, *solar],
        "device_consumption": [{"stat_consumption": one} for one in such("total", "today")],
    }


async def check_sums(place: Place) -> None:
    """Check that what the dashboard adds up is what was made: no reset was seen."""
    api = place.home.api
    total = unique_id(identifier("deye", INVERTER), "energy_total")
    entity_id = (await api.entities())[total]["entity_id"]
    begin = datetime.now(UTC) - timedelta(hours=1)

    async def sums() -> list[str]:
        found = await api.ask(
            "recorder/statistics_during_period",
            start_time=begin.isoformat(), statistic_ids=[entity_id], period="5minute",
            types=["state", "sum"],
        )  # fmt: skip
        rows = found.get(entity_id, [])
        if not rows or rows[-1]["state"] != LAST_TOTAL:
            return [f"the newest statistics are {rows[-1:]}"]
        most = LAST_TOTAL - FIRST_TOTAL + 1e-6
        return [] if 0 <= rows[-1]["sum"] <= most else [f"{rows[-1]['sum']} kWh, of {most:g}"]

    await place.report.eventually(
        f"the dashboard adds up no more than the {LAST_TOTAL - FIRST_TOTAL:.1f} kWh that were made",
        sums,
        _STATISTICS,
    )
