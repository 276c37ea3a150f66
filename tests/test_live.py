"""Readings in a line for people."""

from inverterproto.reading import Reading, TimeSource
from inverterproto_cli.local_time import LocalTimes
from inverterproto_cli.server.live import line
from tests.stores import FIRST, time_zone


def shown(**values: float) -> str:
    with time_zone("UTC"):
        return line(
            Reading("deye", "4290000000", FIRST, TimeSource.DEVICE, historic=False, values=values),
            LocalTimes(FIRST),
        )


def test_what_flows_is_shown_before_what_describes_the_device() -> None:
    assert shown(rated_power=800, grid_frequency=50, active_power=4) == (
        "2024-04-08 17:14:10  4290000000  active_power 4 W  grid_frequency 50 Hz"
    )


def test_of_a_reading_that_only_describes_the_device_that_is_shown() -> None:
    assert shown(rated_power=800) == "2024-04-08 17:14:10  4290000000  rated_power 800 W"
