"""Checks of what Home Assistant and our proxy have said in their logs."""

import re

from home_assistant.place import Place

_LINE = re.compile(r"^\S+ \S+ (WARNING|ERROR|CRITICAL) ")
_OUR_DOING = re.compile(
    "Skipping pip installation|Support for the running Python version"  # how it is started
    "|Disconnected from MQTT server|Failed to connect to MQTT server"  # the broker that we end
)
"""What it warns of for what the trial does on purpose."""
_EXPECTED = frozenset({"sink-trouble", "mqtt-away"})
"""What our proxy says while there is no broker."""


def check_logs(place: Place) -> None:
    """Check that nobody complains of anything but what was done on purpose."""
    lines = place.home.log.read_text("utf-8", "replace").splitlines()
    place.report.check(
        "Home Assistant complains of nothing",
        [line for line in lines if _LINE.match(line) and not _OUR_DOING.search(line)],
    )
    place.report.check(
        "our proxy complains of nothing",
        [
            f"{said['event']}: {said['text']}"
            for said in place.house.events()
            if said["level"] != "info" and said["event"] not in _EXPECTED
        ],
    )
