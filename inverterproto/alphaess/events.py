"""What the text of an event log message says (command 9; sources: V, D).

`MsgContent` of an `EventLog` is `yy/mm/dd HH:MM:SS code;` repeated, newest first, by the battery's
own clock; of a `System` message `System is restart, reason:1 0 1 0 0 0!MAC:02 00 00 A1 B2 C3!`.
What the codes, and the numbers of a reason, mean is not known. What a `Socket` message says is not
either: its text is kept as it is.

What is read out of the text stands beside it in the message's fields; it is not written back.
"""

import re
from collections.abc import Mapping
from typing import Any

from inverterproto.alphaess.clock import parse_stamp

_EVENT = re.compile(r"([0-9]{2}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}) +([0-9]{1,9})")
_REASON = re.compile(r"reason:((?: *[0-9]{1,9}(?![0-9]))++) *!")
_MAC = re.compile(r"MAC:((?:[0-9A-Fa-f]{2} ){5}[0-9A-Fa-f]{2}) *!")
_RESTART = re.compile(
    r"System is restart, *reason:(?: *[0-9]{1,9}(?![0-9]))*+ *!"
    r"(?: *MAC:(?:[0-9A-Fa-f]{2} ){5}[0-9A-Fa-f]{2} *!)?"
)


def derive(fields: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return what the fields' `MsgContent` says, by names of ours, and what could not be read."""
    content = fields.get("MsgContent")
    if not isinstance(content, str):
        return {}, []
    if fields.get("MsgType") == "EventLog":
        return _events(content)
    derived: dict[str, Any] = {}
    if fields.get("MsgType") == "System":
        if reason := _REASON.search(content):
            derived["restart_reason"] = [int(number) for number in reason[1].split()]
        if place := find_mac(content):
            derived["mac"] = content[slice(*place)].replace(" ", ":").lower()
    return derived, []


def _events(content: str) -> tuple[dict[str, Any], list[str]]:
    events: list[dict[str, Any]] = []
    problems: list[str] = []
    for text in filter(None, map(str.strip, content.split(";"))):
        event = _EVENT.fullmatch(text)
        if event is None or parse_stamp(f"20{event[1]}") is None:
            problems.append(
                f"event {len(events) + len(problems) + 1}: not understood: {text[:40]!r}"
            )
        else:
            time = f"20{event[1]}".replace("/", "-")
            events.append({"time": time, "code": int(event[2])})
    return {"events": events}, problems


def find_mac(content: str) -> tuple[int, int] | None:
    """Return where the MAC address stands in a `MsgContent`, if there is one."""
    found = _MAC.search(content)
    return found.span(1) if found else None


def is_understood(fields: Mapping[str, Any]) -> bool:
    """Return whether all that the fields' `MsgContent` says is known to be none of a person's."""
    content = fields.get("MsgContent")
    if fields.get("MsgType") == "System":
        return isinstance(content, str) and _RESTART.fullmatch(content.strip()) is not None
    return fields.get("MsgType") == "EventLog" and not derive(fields)[1]
