"""What the servers say of themselves, on standard error: a line an event, for people or as JSON.

Each line has an event's short name, and where there is one the connection's number, the family and
the device. What is complained of again and again (an unknown kind of frame a minute) is one line an
hour, with how often it was. Nothing private goes in: texts come from our own code and the names of
things, never from payloads.
"""

import json
import logging
import sys
from collections import OrderedDict
from typing import Any

from inverterproto.reading import utc_text

AGAIN = 3600.0
"""Seconds after which a complaint that was made is made again."""
MOST_COMPLAINTS = 4096
"""Different complaints that are remembered."""

_NAMES = ("connection", "family", "device")
_log = logging.getLogger("inverterproto")


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        where = " ".join(
            f"{name} {value}"
            for name in _NAMES
            if (value := getattr(record, name, None)) is not None
        )
        text = record.getMessage()
        level = "" if record.levelno <= logging.INFO else f"{record.levelname}: "
        when = self.formatTime(record, "%Y-%m-%d %H:%M:%S")
        return f"{when} {level}{text}" + (f" ({where})" if where else "")


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": utc_text(record.created),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", "log"),
            "text": record.getMessage(),
        }
        line |= {
            name: value for name in _NAMES if (value := getattr(record, name, None)) is not None
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def set_up(form: str, *, verbose: int, quiet: bool) -> None:
    """Send the log to standard error.

    Args:
        form: `"text"` or `"json"`.
        verbose: 1 or more also tells what is in order.
        quiet: only what is wrong.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    level = logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO
    _log.handlers[:] = [handler]
    _log.setLevel(level)
    _log.propagate = False


class Log:
    """Says what happens, and what is said often, seldom."""

    def __init__(self) -> None:
        self._said: OrderedDict[tuple[str, object], list[float]] = OrderedDict()

    def tell(self, event: str, text: str, level: int = logging.INFO, **where: object) -> None:
        """Say something: an event's name, and a text for people."""
        if _log.isEnabledFor(level):
            _log.log(level, "%s", text, extra={"event": event, **where})

    def detail(self, event: str, text: str, **where: object) -> None:
        """Say what only who asked for it wants to read."""
        self.tell(event, text, logging.DEBUG, **where)

    def complain(
        self, event: str, text: str, now: float, *, about: object = None, **where: object
    ) -> None:
        """Say what is wrong, at most once an hour of the same event about the same thing."""
        key = (event, about)
        said = self._said.get(key)
        if said is None:
            self._said[key] = [now, 0]
            if len(self._said) > MOST_COMPLAINTS:
                self._said.popitem(last=False)
        elif now - said[0] < AGAIN:
            said[1] += 1
            return
        else:
            text += f" ({int(said[1]):,} times more in the last hour)" if said[1] else ""
            said[:] = [now, 0]
        self.tell(event, text, logging.WARNING, **where)
