"""Checks that nothing but the present is shown as such.

All states that the inverter's entities ever get are followed, so what flashes by is seen, too.
"""

import asyncio
from itertools import pairwise
from time import time

from home_assistant.expected import identifier, unique_id
from home_assistant.place import Place
from home_assistant.registry import check_values
from home_assistant.stick import INVERTER, Moment

_DEVICE = identifier("deye", INVERTER)
_HISTORY = f"inverterproto/deye/{INVERTER}/history"
_COMES = 30.0
_FIVE_MINUTES, _NIGHT, _DAY = 300, 8 * 3600, 86_400
_NOTHING = ("unavailable", "unknown", None)
FIRST_TOTAL, LAST_TOTAL = 100.0, 100.9
"""kWh that the inverter has made when the trial begins, and when it ends."""


async def _id_of(place: Place, key: str) -> str:
    entity_id: str = (await place.home.api.entities())[unique_id(_DEVICE, key)]["entity_id"]
    return entity_id


async def _shows(place: Place, key: str, value: float, what: str, seconds: float = _COMES) -> None:
    """Check that an entity comes to show a value."""

    async def look() -> list[str]:
        shown = (await place.home.api.states())[await _id_of(place, key)]["state"]
        return [] if shown not in _NOTHING and float(shown) == value else [f"it shows {shown}"]

    await place.report.eventually(what, look, seconds)


async def _since(place: Place, key: str, begin: int) -> list[str]:
    """Return the states that an entity has had since some change."""
    entity_id = await _id_of(place, key)
    changes = place.home.api.changes[begin:]
    return [one.state for one in changes if one.entity_id == entity_id and one.state is not None]


async def _check_only(place: Place, begin: int, what: str, **allowed: tuple[float, ...]) -> None:
    """Check that entities have had none but some states."""
    problems = []
    for key, values in allowed.items():
        had = [state for state in await _since(place, key, begin) if state not in _NOTHING]
        problems += [f"{key} was {state}" for state in had if float(state) not in values]
    place.report.check(what, problems)


def _told(place: Place) -> int:
    """Return how many readings of the inverter were told as history."""
    return sum(one.topic == _HISTORY for one in place.broker.said)


async def _history_has(place: Place, before: int, count: int, what: str) -> None:
    """Check that so many readings more have been told as history."""

    async def look() -> list[str]:
        told = _told(place) - before
        return [] if told == count else [f"{told} came, not {count}"]

    await place.report.eventually(what, look, _COMES)


async def begin_present(place: Place) -> None:
    """Let the inverter be seen for the first time."""
    await place.stick.send([Moment(time(), FIRST_TOTAL, 400)])
    await _the_total(place, FIRST_TOTAL, "an inverter is there")


async def _the_total(place: Place, value: float, what: str) -> None:
    async def look() -> list[str]:
        found = await place.home.api.entities()
        one = found.get(unique_id(_DEVICE, "energy_total"))
        state = one and (await place.home.api.states()).get(one["entity_id"])
        return [] if state and state["state"] == str(value) else [f"{state and state['state']}"]

    await place.report.eventually(what, look, _COMES)


async def check_night(place: Place) -> None:
    """Check that a total of 0, which is no reading, does not become the state."""
    begin = len(place.home.api.changes)
    await place.stick.send([Moment(time(), None, 0)])
    await _shows(place, "active_power", 0, "night falls: the power is 0")
    await _shows(place, "energy_total", FIRST_TOTAL, "and the total is what it was")
    await _check_only(place, begin, "nor was it ever 0", energy_total=(FIRST_TOTAL,))


async def check_burst(place: Place) -> None:
    """Check that what a stick has kept, and sends newest first, does not become the state."""
    begin, told, now = len(place.home.api.changes), _told(place), time()
    kept = [
        Moment(now - 60 - step * _FIVE_MINUTES, round(99.9 - step / 10, 1), 111)
        for step in range(24)
    ]
    await place.stick.send([], kept)
    await _history_has(place, told, len(kept), "a burst of 24 kept records is told as history")
    # What comes behind them has come later than anything that they might have done.
    await place.stick.send([Moment(time(), 100.1, 410)])
    await _shows(place, "energy_total", 100.1, "a live one behind them is the present")
    await _check_only(
        place, begin, "none of the burst was ever the state",
        energy_total=(FIRST_TOTAL, 100.1), active_power=(0, 410),
    )  # fmt: skip


async def check_backlog(place: Place) -> None:
    """Check that what is measured while the broker is away comes, and does not run through."""
    begin, heard = len(place.home.api.changes), len(place.broker.said)
    await place.broker.stop()
    totals = (100.2, 100.3, 100.4, 100.5, 100.6)
    for total in totals:
        await place.stick.send([Moment(time(), total, round(total * 5))])
        await asyncio.sleep(1.2)  # its clock counts seconds
    place.house.hold()  # until somebody listens: what is not retained comes but once
    await place.broker.start()
    place.house.go_on()
    await _shows(
        place, "energy_total", 100.6, "the broker was away: its newest reading is the present", 120
    )

    async def all_told() -> list[str]:
        told = [one.json() for one in place.broker.said[heard:] if INVERTER in one.topic]
        came = {one.get("values", one).get("energy_total") for one in told if "time" in one}
        return [f"{total} kWh did not come" for total in totals if total not in came]

    await place.report.eventually("and all that it missed comes", all_told, _COMES)
    # What was under way when it went is new enough to be the present for a moment.
    had = [float(one) for one in await _since(place, "energy_total", begin) if one not in _NOTHING]
    place.report.check(
        "and the state only ever went on",
        [f"it was {before}, then {after}" for before, after in pairwise(had) if after < before],
    )


async def check_day(place: Place) -> None:
    """Check that a day's backlog is told as history, and none of it is the state."""
    await place.house.stop()
    begin, told, now = len(place.home.api.changes), _told(place), time()
    count = _DAY // _FIVE_MINUTES
    await place.stick.keep(
        place.house.store,
        [
            Moment(now - 1000 - step * _FIVE_MINUTES, round(90 - step / 10, 1), 77)
            for step in reversed(range(count))
        ],
    )
    await place.house.start()
    await _history_has(place, told, count, f"a day's backlog of {count} readings is history")
    await place.stick.send([Moment(time(), 100.7, 420)])
    await _shows(place, "energy_total", 100.7, "a live one behind it is the present")
    await _check_only(
        place, begin, "none of the day was ever the state",
        energy_total=(100.6, 100.7), active_power=(503, 420),
    )  # fmt: skip
    await check_values(place, "after all of that")


async def check_old(place: Place) -> None:
    """Check what is shown of an inverter that fell asleep hours ago, before everything started."""
    await place.house.stop()
    evening = Moment(time() - _NIGHT, 55.5, 300)
    await place.sleeper.keep(place.house.store, [evening])
    begin, told = len(place.home.api.changes), len(place.broker.said)
    await place.house.start()

    async def delivered() -> list[str]:
        topics = [one.topic for one in place.broker.said[told:]]
        history = f"inverterproto/deye/{place.sleeper.inverter}/history"
        return [] if history in topics else ["it did not come"]

    await place.report.eventually("what one more inverter said is history", delivered, _COMES)
    await place.house.stop()
    await place.house.start()
    await check_values(place, "it sleeps since the evening: its energies are there")
    await place.home.stop()
    await place.home.start()
    await check_values(place, "Home Assistant is started again at night")
    power = unique_id(identifier("deye", place.sleeper.inverter), "active_power")
    entity_id = (await place.home.api.entities())[power]["entity_id"]
    had = [one.state for one in place.home.api.changes[begin:] if one.entity_id == entity_id]
    place.report.check(
        "the evening's power was never shown as that of the night",
        [f"it was {state} W" for state in had if state not in _NOTHING],
    )


async def end_present(place: Place) -> None:
    """Let the inverter be seen once more."""
    await place.stick.send([Moment(time(), LAST_TOTAL, 430)])
    await _shows(place, "energy_total", LAST_TOTAL, "a last reading is the present")
