"""All that the trial has started."""

from pathlib import Path
from typing import NamedTuple

from home_assistant.broker import Broker
from home_assistant.home import Home
from home_assistant.house import House
from home_assistant.report import Report
from home_assistant.stick import LOGGER, Stick


class Place(NamedTuple):
    """A broker, a Home Assistant, a house with a stick, another one that was heard long ago.

    And who tells what is checked in them.
    """

    broker: Broker
    home: Home
    house: House
    stick: Stick
    sleeper: Stick
    report: Report


def place_in(folder: Path, hass: Path) -> Place:
    """Prepare all in a folder; nothing is started.

    Raises:
        ProgramError: a program is missing.
    """
    broker = Broker(folder)
    home = Home(hass, folder / "homeassistant", broker.port)
    house = House(folder, broker.port)
    stick = Stick(house.loggers_call)
    sleeper = Stick(house.loggers_call, LOGGER + 1)
    return Place(broker, home, house, stick, sleeper, Report())


async def abandon(place: Place) -> None:
    """End all that runs, whatever happened."""
    await place.house.abandon()
    await place.home.abandon()
    await place.broker.abandon()
