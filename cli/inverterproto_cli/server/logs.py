"""What the servers say of themselves, on standard error: a line an event, for people or as JSON.

Each line has an event's short name, and where there is one the connection's number, the family and
the device. What anybody on the network can cause again and again (an unknown kind of frame a
minute, a thousand invented serials) is *complained* of: one line an hour about the same thing, with
how often it was, and a bounded number of lines an hour about all things of a kind.

Nothing private goes in: texts come from our own code and the names of things, never from payloads.
Of a fault the log tells where it was and of what kind, not its message, which may quote data.
"""

import json
import logging
import sys
import traceback
from collections import OrderedDict
from typing import Any, TypedDict, Unpack

from inverterproto.reading import utc_text
from inverterproto_cli.server.outlet import Outlet
from inverterproto_cli.show import printable

AGAIN = 3600.0
"""Seconds after which a complaint that was made is made again."""
MOST_LINES = 50
"""Complaints of one kind, about different things, in that time."""
MOST_COMPLAINTS = 4096
"""Different complaints that are remembered."""


class Where(TypedDict, total=False):
    """What an event is of, as far as it is known."""

    connection: int
    family: str | None
    device: str | None


_NAMES = tuple(Where.__annotations__)
_log = logging.getLogger("inverterproto")


def _fault(record: logging.LogRecord) -> str:
    """Return where a fault was and of what kind."""
    if not record.exc_info or record.exc_info[0] is None:
        return ""
    kind, _, trace = record.exc_info
    return "".join(traceback.format_tb(trace)) + kind.__name__


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        where = " ".join(
            f"{name} {value}"
            for name in _NAMES
            if (value := getattr(record, name, None)) is not None
        )
        level = "" if record.levelno <= logging.INFO else f"{record.levelname}: "
        when = self.formatTime(record, "%Y-%m-%d %H:%M:%S")
        line = printable(f"{when} {level}{record.getMessage()}" + (f" ({where})" if where else ""))
        fault = _fault(record)
        return f"{line}\n{fault}" if fault else line


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": utc_text(record.created),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", "log"),
            "text": record.getMessage(),
        }
        line |= {
            name: value
            for name in (*_NAMES, "counters")
            if (value := getattr(record, name, None)) is not None
        }
        fault = _fault(record)
        if fault:
            line["traceback"] = fault
        return json.dumps(line)


def formatter(form: str) -> logging.Formatter:
    """Return what makes lines: of `"text"` or `"json"`."""
    return _Json() if form == "json" else _Text()


def set_up(form: str, *, verbose: int, quiet: bool) -> Outlet:
    """Send the log to standard error; return what is to be closed at the end.

    Args:
        form: `"text"` or `"json"`.
        verbose: 1 or more also tells what is in order.
        quiet: only what is wrong.
    """
    outlet = Outlet(sys.stderr)
    handler = logging.StreamHandler(outlet)
    handler.setFormatter(formatter(form))
    level = logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO
    for log in (_log, logging.getLogger("asyncio")):
        log.handlers[:] = [handler]
        log.propagate = False
    _log.setLevel(level)
    return outlet


class Log:
    """Says what happens, and what is said often, seldom."""

    def __init__(self) -> None:
        self._said: OrderedDict[tuple[str, object], list[float]] = OrderedDict()
        self._lines: dict[str, list[float]] = {}

    def tell(
        self,
        event: str,
        text: str,
        level: int = logging.INFO,
        *,
        exc_info: bool = False,
        **where: Unpack[Where],
    ) -> None:
        """Say something: an event's name, and a text for people."""
        if _log.isEnabledFor(level):
            _log.log(level, "%s", text, exc_info=exc_info, extra={"event": event, **where})

    def detail(self, event: str, text: str, **where: Unpack[Where]) -> None:
        """Say what only who asked for it wants to read."""
        self.tell(event, text, logging.DEBUG, **where)

    def counters(self, counters: dict[str, int]) -> None:
        """Say how much there was of everything, whatever else is told."""
        text = "counters: " + ", ".join(f"{name} {count:,}" for name, count in counters.items())
        extra = {"event": "counters", "counters": counters}
        _log.handle(_log.makeRecord(_log.name, logging.INFO, "", 0, text, (), None, extra=extra))

    def complain(
        self,
        event: str,
        text: str,
        now: float,
        *,
        about: object = None,
        level: int = logging.WARNING,
        exc_info: bool = False,
        **where: Unpack[Where],
    ) -> None:
        """Say what comes from outside, at most once an hour about the same thing.

        Args:
            event: its kind; there are few.
            text: for people.
            now: unix time in seconds.
            about: what of all that has this event; there may be any number.
            level: how bad it is.
            exc_info: whether to tell where in the program it was.
            where: connection, family, device.
        """
        key = (event, about)
        said = self._said.get(key)
        if said is not None and 0 <= now - said[0] < AGAIN:
            said[1] += 1
            return
        if said is not None and said[1]:
            text += f" ({int(said[1]):,} times more since it was said last)"
        room = self._room(event, now)
        if room < 0:
            return
        self._said[key] = [now, 0]
        self._said.move_to_end(key)
        if len(self._said) > MOST_COMPLAINTS:
            self._said.popitem(last=False)
        if not room:
            text += "; there is much of this kind, no more of it is told within the hour"
        self.tell(event, text, level, exc_info=exc_info, **where)

    def _room(self, event: str, now: float) -> int:
        """Return how many more lines of a kind may be said within the hour, after this one."""
        lines = self._lines.get(event)
        if lines is None or not 0 <= now - lines[0] < AGAIN:
            lines = self._lines[event] = [now, 0]
        lines[1] += 1
        return MOST_LINES - int(lines[1])

    def fault(self, what: str, now: float, **where: Unpack[Where]) -> None:
        """Say, while an exception is handled, that the program has a fault."""
        kind, _, trace = sys.exc_info()
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        about = (what, kind, trace and trace.tb_lineno)
        text = f"a fault of this program: {what}"
        self.complain("fault", text, now, about=about, level=logging.ERROR, exc_info=True, **where)
