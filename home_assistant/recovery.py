"""Checks that all is as before when a part was gone: our proxy, the broker, Home Assistant."""

from signal import SIGKILL, SIGTERM, Signals

from home_assistant.expected import entities
from home_assistant.place import Place
from home_assistant.registry import check_values

_GOES = 30.0
_COMES_BACK = 150.0
"""Our sink and Home Assistant each look for a broker again after a minute at the latest."""


async def _gone(place: Place) -> list[str]:
    """Return which of our entities are available."""
    wanted = entities(await place.house.readings())
    found, states = await place.home.api.entities(), await place.home.api.states()
    problems = []
    for one in wanted.keys() & found.keys():
        state = states.get(found[one]["entity_id"])
        if state is not None and state["state"] != "unavailable":
            problems.append(f"{found[one]['entity_id']} is {state['state']}")
    return problems


async def check_availability(place: Place) -> None:
    """Check that entities go and come with our proxy, however it ends."""
    for number, how in ((SIGTERM, "stopped"), (SIGKILL, "killed")):
        await place.house.stop(number)
        await place.report.eventually(
            f"our proxy is {how}: all entities are unavailable", lambda: _gone(place), _GOES
        )
        await place.house.start()
        await check_values(place, f"started again after it was {how}")


async def check_broker_restart(place: Place, number: Signals) -> None:
    """Check that all is back after the broker has lost everything."""
    await place.broker.stop(number)
    await place.report.eventually(
        f"the broker ends by {number.name}: all entities are unavailable",
        lambda: _gone(place),
        _GOES,
    )
    await place.broker.start()
    await check_values(place, "the broker is back, and remembers nothing", _COMES_BACK)


async def check_home_restart(place: Place) -> None:
    """Check that all is back after Home Assistant was started again."""
    before = await place.home.api.entities()
    await place.home.stop()
    await place.home.start()
    await check_values(place, "Home Assistant is started again", _COMES_BACK)
    after = await place.home.api.entities()
    place.report.check(
        "all entities are the same ones",
        [
            f"{one}: {entry['entity_id']} is {after.get(one, {}).get('entity_id')} now"
            for one, entry in before.items()
            if after.get(one, {}).get("entity_id") != entry["entity_id"]
        ],
    )


async def check_both_restart(place: Place) -> None:
    """Check that all is back after broker and Home Assistant were started again, as by a reboot."""
    await place.home.stop()
    await place.broker.stop(SIGKILL)
    await place.broker.start()
    await place.home.start()
    await check_values(place, "broker and Home Assistant are started again", _COMES_BACK)


async def check_switched_on(place: Place) -> None:
    """Switch a cell on, as a householder may: it shows its value after the next start."""
    found = await place.home.api.entities()
    [cell] = [entry for one, entry in found.items() if one.endswith("_cell3_voltage")]
    await place.home.api.ask(
        "config/entity_registry/update", entity_id=cell["entity_id"], disabled_by=None
    )
    await place.home.stop()
    await place.home.start()

    async def shows() -> list[str]:
        state = (await place.home.api.states()).get(cell["entity_id"], {})
        shown = state.get("attributes", {})
        right = shown.get("unit_of_measurement") == "V" and shown.get("device_class") == "voltage"
        return [] if right and 2 < float(state["state"]) < 4 else [f"{state}"]

    await place.report.eventually("a cell that is switched on shows its voltage", shows, _GOES)
    await check_values(place, "Home Assistant is started again after that")
