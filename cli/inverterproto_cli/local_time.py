"""Times for people: local, with the offset from UTC told once; and times that people give."""

import re
from datetime import datetime, time, timedelta

import click

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_match_span = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s*([smhdw])").fullmatch
_match_clock = re.compile(r"\d?\d:\d\d(?::\d\d)?", re.ASCII).fullmatch
_DAYS = {"today": 0, "yesterday": 1}


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

    def text(self, seconds: float, spec: str = "seconds") -> str:
        """Return a time; one at which another offset held (summer, winter) tells its own."""
        moment = _local(seconds)
        own = moment.strftime("%z")
        told = "" if own == self.offset else own
        return moment.replace(tzinfo=None).isoformat(" ", spec) + told


def _local(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds).astimezone()


def parse_since(text: str, now: float, option: str = "--since") -> float:
    """Return the unix seconds that a text of a user means.

    Args:
        text: `2h`, `3d` (ago); `today`, `yesterday` (their beginning); `17:44` (the last time that
            it was so late); or an ISO time; local, if it does not tell.
        now: unix seconds.
        option: that it was given to.

    Raises:
        click.BadParameter: it is no such time.
    """
    text = text.strip()
    span = _match_span(text.lower())
    if span is not None:
        return now - float(span[1]) * _UNITS[span[2]]
    today = datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0)
    if text.lower() in _DAYS:
        return (today - timedelta(days=_DAYS[text.lower()])).timestamp()
    try:
        if _match_clock(text):
            at = datetime.combine(today, time.fromisoformat(text if text[2] == ":" else f"0{text}"))
            late = at.timestamp() > now
            return (at - timedelta(days=1)).timestamp() if late else at.timestamp()
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise click.BadParameter(
            f"{text!r} is no time: 90m, 2h, 3d, today, yesterday, 17:44, 2024-04-08, "
            "2024-04-08T17:14, …",
            param_hint=option,
        ) from None


def parse_duration(text: str, hint: str) -> float:
    """Return the seconds that `90s`, `10m`, `2h` mean.

    Raises:
        click.BadParameter: it is no duration.
    """
    span = _match_span(text.strip().lower())
    if span is None:
        raise click.BadParameter(f"{text!r} is no duration: 90s, 10m, 2h, …", param_hint=hint)
    return float(span[1]) * _UNITS[span[2]]
