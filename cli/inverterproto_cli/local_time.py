"""Times for people: local, with the offset from UTC told once; and times that people give."""

import re
from datetime import datetime

import click

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_match_span = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s*([smhdw])").fullmatch


class LocalTimes:
    """Writes times, all in one table.

    Args:
        now: unix time in seconds; the offset that holds then is the one told in the head.
    """

    def __init__(self, now: float) -> None:
        self.offset = _local(now).strftime("%z")

    def head(self, name: str) -> str:
        """Return a column's name with the offset."""
        return f"{name} ({self.offset[:3]}:{self.offset[3:5]})"

    def text(self, time: float | None, unknown: str = "unknown") -> str:
        """Return a time; one at which another offset held (summer, winter) tells its own."""
        if time is None:
            return unknown
        moment = _local(time)
        own = moment.strftime("%z")
        told = "" if own == self.offset else own
        return moment.strftime("%Y-%m-%d %H:%M:%S") + told


def _local(time: float) -> datetime:
    return datetime.fromtimestamp(time).astimezone()


def parse_since(text: str, now: float) -> float:
    """Return the unix seconds that `2h`, `3d` (ago) or an ISO time (local, if not told) mean.

    Raises:
        click.BadParameter: it is no such time.
    """
    span = _match_span(text.strip().lower())
    if span is not None:
        return now - float(span[1]) * _UNITS[span[2]]
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        raise click.BadParameter(
            f"{text!r} is no time: 90m, 2h, 3d, 2024-04-08, 2024-04-08T17:14, …",
            param_hint="--since",
        ) from None
