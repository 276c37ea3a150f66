"""All that the trial has started."""

from pathlib import Path
from typing import NamedTuple

from home_assistant.broker import Broker
from home_assistant.home import Home
from home_assistant.house import House
from home_assistant.report import Report
from home_assistant.stick import Stick


class Place(NamedTuple):
    """A broker, a Home Assistant, a house, and who tells what is checked in them."""

    broker: Broker
    home: Home
    house: House
    stick: Stick
    report: Report


def place_in(folder: Path, hass: Path) -> Place:
    """Prepare all in a folder; nothing is started.

    Raises:
        ProgramError: a program is missing.
    """
    broker = Broker(folder)
    home = Home(hass, folder / "homeassistant", broker.port)
    house = House(folder, broker.port)
    return Place(broker, home, house, Stick(house.loggers_call), Report())


async def abandon(place: Place) -> None:
    """End all that runs, whatever happened."""
    await place.house.abandon()
    await place.home.abandon()
    await place.broker.abandon()
