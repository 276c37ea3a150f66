"""Checks that history goes on which another tool has begun.

The other tool is a hand that publishes: its own discovery, its states. The householder has given
its entities ids of their own. Then the tool goes, and its discovery is taken away from the broker.
Home Assistant forgets an entity whose discovery goes while it looks on, and the id with it; so
there are two ways to keep a history, and both are gone here:

- *by the unique id*, which is taken away while Home Assistant is stopped: then the entity is the
  same one for it, with all that the householder has said of it;
- *by the entity's id* (`object_id`), which is free when the entity was forgotten: a new entity, and
  the history, which hangs on the id, goes on.

A sensor that was written by hand into Home Assistant's configuration listens to a *topic*.
"""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from home_assistant.home import YAML_TOPIC, YAML_UNIQUE_ID
from home_assistant.house import CHOSEN_OBJECT_ID, OLD_UNIQUE_ID
from home_assistant.place import Place
from home_assistant.stick import INVERTER

_COMES = 20.0
_BY_HAND = "99.5"


class _Former(NamedTuple):
    """An entity of the other tool.

    Attributes:
        unique_id: the tool's.
        entity_id: the householder's.
        unit: of what it shows.
        device_class: Home Assistant's.
        showed: its history, all alike to tell from what comes.
    """

    unique_id: str
    entity_id: str
    unit: str
    device_class: str
    showed: tuple[str, ...]

    @property
    def discovery(self) -> str:
        """Where the tool tells of it."""
        return f"homeassistant/sensor/old_tool/{self.device_class}/config"

    @property
    def state(self) -> str:
        """Where the tool tells its state."""
        return f"old-tool/{self.device_class}"


_BY_UNIQUE_ID = _Former(OLD_UNIQUE_ID, "sensor.my_roof", "W", "power", ("301", "302.5", "299"))
_BY_ENTITY_ID = _Former(
    "old_tool_7_f", f"sensor.{CHOSEN_OBJECT_ID}", "Hz", "frequency", ("49.1", "49.2", "49.3")
)
_FORMER = (_BY_UNIQUE_ID, _BY_ENTITY_ID)
FORMER_IDS = {"active_power": _BY_UNIQUE_ID.entity_id, "grid_frequency": _BY_ENTITY_ID.entity_id}
"""What the entities of our inverter are to be called."""


async def begin_history(place: Place) -> None:
    """Be the other tool, and go."""
    for former in _FORMER:
        await _appear(place, former)
    for step in range(len(_BY_UNIQUE_ID.showed)):
        await _show(place, step)
        await asyncio.sleep(1)  # for the recorder, which keeps one state a moment
    await place.broker.publish(_BY_ENTITY_ID.discovery, "")
    await place.report.eventually(
        "an entity of it goes with its discovery",
        lambda: _known(place, _BY_ENTITY_ID, wanted=False),
        _COMES,
    )
    await place.home.stop()
    await place.broker.publish(_BY_UNIQUE_ID.discovery, "")
    await place.home.start()
    place.report.check(
        "another one, whose discovery went meanwhile, outlives a start",
        await _known(place, _BY_UNIQUE_ID, wanted=True),
    )


async def _known(place: Place, former: _Former, *, wanted: bool) -> list[str]:
    known = former.unique_id in await place.home.api.entities()
    return [] if known == wanted else ["it is there" if known else "it is not there"]


async def _appear(place: Place, former: _Former) -> None:
    """Be discovered, and called otherwise by the householder."""
    discovery = {
        "name": f"Old {former.device_class}", "unique_id": former.unique_id,
        "state_topic": former.state, "unit_of_measurement": former.unit,
        "device_class": former.device_class, "state_class": "measurement",
    }  # fmt: skip
    await place.broker.publish(former.discovery, json.dumps(discovery))
    api = place.home.api
    await place.report.eventually(
        f"another tool's entity is there: {former.device_class}",
        lambda: _known(place, former, wanted=True),
        _COMES,
    )
    entity_id = (await api.entities())[former.unique_id]["entity_id"]
    await api.ask(
        "config/entity_registry/update", entity_id=entity_id, new_entity_id=former.entity_id
    )


async def _show(place: Place, step: int) -> None:
    """Let all former entities show something."""
    by_hand = (await place.home.api.entities())[YAML_UNIQUE_ID]["entity_id"]
    wanted = {former.entity_id: former.showed[step] for former in _FORMER} | {by_hand: _BY_HAND}
    for former in _FORMER:
        await place.broker.publish(former.state, former.showed[step])
    await place.broker.publish(YAML_TOPIC, _BY_HAND)

    async def shown() -> list[str]:
        states = await place.home.api.states()
        return [
            f"{entity_id} shows {states[entity_id]['state']}"
            for entity_id, state in wanted.items()
            if states[entity_id]["state"] != state
        ]

    await place.report.eventually("the other tool's states are shown", shown, _COMES)


async def check_history(place: Place) -> None:
    """Check that the entities have what they had, and what came since."""
    await place.report.eventually(
        "its history goes on, by its unique_id", lambda: _goes_on(place, _BY_UNIQUE_ID), _COMES
    )
    await place.report.eventually(
        "its history goes on, by its object_id", lambda: _goes_on(place, _BY_ENTITY_ID), _COMES
    )
    await place.report.eventually(
        "a sensor that was written by hand gets plain values, by its topic",
        lambda: _is_fed(place),
        _COMES,
    )


async def _goes_on(place: Place, former: _Former) -> list[str]:
    since = datetime.now(UTC) - timedelta(hours=1)
    kept = await place.home.api.history(former.entity_id, f"{since:%Y-%m-%dT%H:%M:%SZ}")
    numbers = [state for state in kept if state[:1].isdigit()]
    before, after = numbers[: len(former.showed)], numbers[len(former.showed) :]
    if before != list(former.showed) or not after:
        return [f"the history is {kept}"]
    shown = (await place.home.api.states())[former.entity_id]["state"]
    return [] if shown == after[-1] else [f"it shows {shown}, which is not in its history {kept}"]


async def _is_fed(place: Place) -> list[str]:
    found, states = await place.home.api.entities(), await place.home.api.states()
    [ours] = [one for one in found if one.endswith(f"{INVERTER}_energy_total")]
    shown, right = (states[found[one]["entity_id"]]["state"] for one in (YAML_UNIQUE_ID, ours))
    return [] if float(shown) == float(right) else [f"it shows {shown}, and ours {right}"]
