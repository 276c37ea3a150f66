"""Checks that history goes on which another tool has begun.

The other tool is a hand that publishes: its own discovery, its states. The householder has given its
entity an id of their own. Then that tool goes, as it should: its discovery is taken away from the
broker; ours takes over its unique id. A sensor that was written by hand into Home Assistant's
configuration listens to a topic, and goes on there.
"""

import asyncio
import json
from datetime import UTC, datetime, timedelta

from home_assistant.home import YAML_TOPIC, YAML_UNIQUE_ID
from home_assistant.house import OLD_UNIQUE_ID
from home_assistant.place import Place

_DISCOVERY = "homeassistant/sensor/old_tool/ac_power/config"
_STATE = "old-tool/power"
CHOSEN_ID = "sensor.my_roof"
"""What the householder called the entity of the other tool."""
BEFORE = ("301", "302.5", "299")
"""What it showed."""
_COMES = 20.0


async def begin_history(place: Place) -> None:
    """Be the other tool, and go."""
    api, publish = place.home.api, place.broker.publish
    discovery = {
        "name": "Old tool AC power", "unique_id": OLD_UNIQUE_ID, "state_topic": _STATE,
        "unit_of_measurement": "W", "device_class": "power", "state_class": "measurement",
    }  # fmt: skip
    await publish(_DISCOVERY, json.dumps(discovery))

    async def is_there() -> list[str]:
        return [] if OLD_UNIQUE_ID in await api.entities() else ["it is not there"]

    await place.report.eventually("another tool has an entity", is_there, _COMES)
    entity_id = (await api.entities())[OLD_UNIQUE_ID]["entity_id"]
    await api.ask("config/entity_registry/update", entity_id=entity_id, new_entity_id=CHOSEN_ID)
    by_hand = (await api.entities())[YAML_UNIQUE_ID]["entity_id"]
    for state in BEFORE:
        await publish(_STATE, state)
        await publish(YAML_TOPIC, "99.5")

        async def has_come(state: str = state) -> list[str]:
            states = await api.states()
            shown = [states[one]["state"] for one in (CHOSEN_ID, by_hand) if one in states]
            return [] if shown == [state, "99.5"] else [f"{shown}"]

        await place.report.eventually(f"the other tool shows {state} W", has_come, _COMES)
        await asyncio.sleep(1)  # for the recorder, which keeps one state a moment
    await publish(_DISCOVERY, "")

    async def is_gone() -> list[str]:
        return ["it is there still"] if OLD_UNIQUE_ID in await api.entities() else []

    await place.report.eventually("the other tool's entity is gone with it", is_gone, _COMES)


async def check_history(place: Place) -> None:
    """Check that the entities have what they had, and what came since."""
    api = place.home.api
    since = (datetime.now(UTC) - timedelta(hours=1)).isoformat()

    async def goes_on() -> list[str]:
        found = await api.entities()
        entity_id = found[OLD_UNIQUE_ID]["entity_id"]
        shown = (await api.states())[entity_id]["state"]
        kept = await api.history(CHOSEN_ID, since.replace("+00:00", "Z"))
        numbers = [state for state in kept if state[:1].isdigit()]
        problems = [] if entity_id == CHOSEN_ID else [f"it is called {entity_id} now"]
        if numbers[: len(BEFORE)] != list(BEFORE):
            problems.append(f"the history begins with {numbers[: len(BEFORE)]}")
        if shown not in numbers[len(BEFORE) :]:
            problems.append(f"{shown}, which it shows, is not in the history {numbers}")
        return problems

    await place.report.eventually(
        "an entity of another tool keeps its id and its history, by its unique_id", goes_on, _COMES
    )

    async def is_fed() -> list[str]:
        by_hand = (await api.entities())[YAML_UNIQUE_ID]["entity_id"]
        ours = next(
            one["entity_id"]
            for unique_id, one in (await api.entities()).items()
            if unique_id.endswith("SIM0000101_energy_total")
        )
        states = await api.states()
        shown, right = states[by_hand]["state"], states[ours]["state"]
        return [] if float(shown) == float(right) else [f"it shows {shown}, and ours {right}"]

    await place.report.eventually(
        "a sensor that was written by hand gets its plain values, by its topic", is_fed, _COMES
    )
