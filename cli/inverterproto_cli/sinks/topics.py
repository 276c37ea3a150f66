"""The topics of the MQTT sink: what they are called, and what stands there.

A serial comes from the network and may hold any character, so it is *spelled* before it becomes a
level of a topic or a part of a unique id: what is no ASCII letter, digit or dash becomes `_` and
two hexadecimal digits a byte. No two serials are spelled alike, and none is longer than `LONGEST`.
"""

import re
from hashlib import sha256
from typing import NamedTuple

LONGEST = 64
"""Characters of a spelled serial at most."""
_KEPT_OF_LONG = 30
_NOBODY = "_nobody"
"""Stands for the device that did not say who it is: no serial is spelled so."""
_strange = re.compile(rb"[^0-9A-Za-z-]")

ONLINE, OFFLINE = b"online", b"offline"


def spelled(serial: str | None) -> str:
    """Return a serial as it may stand in a topic.

    >>> [spelled(serial) for serial in ("AL2002000001234", "a/b_c", "", None)]
    ['AL2002000001234', 'a_2Fb_5Fc', '_', '_nobody']
    """
    if serial is None:
        return _NOBODY
    raw = serial.encode("utf-8", "surrogatepass")
    text = _strange.sub(lambda found: b"_%02X" % found[0][0], raw).decode() or "_"
    if len(text) <= LONGEST:
        return text
    # Two lines in a row, as no short one has them; the rest tells long ones apart.
    return f"{text[:_KEPT_OF_LONG].rstrip('_')}__{sha256(raw).hexdigest()[:32]}"


def is_plain(serial: str) -> bool:
    """Return whether a serial is spelled as it is."""
    return spelled(serial) == serial


class Topics(NamedTuple):
    """The topics below a prefix."""

    prefix: str

    @property
    def availability(self) -> str:
        """Where it stands whether we are there."""
        return f"{self.prefix}/status"

    @property
    def test(self) -> str:
        """Where a test goes."""
        return f"{self.prefix}/test"

    def state(self, family: str, serial: str | None, kind: str) -> str:
        """Return where the newest reading of a device and kind stands."""
        return f"{self.prefix}/{family}/{spelled(serial)}/{kind}/state"

    def history(self, family: str, serial: str | None) -> str:
        """Return where all other readings of a device go."""
        return f"{self.prefix}/{family}/{spelled(serial)}/history"


SEEN = "seen"
"""The kind of a logger's own state, which says when it was heard last."""


class Row(NamedTuple):
    """A topic as the documentation tells of it."""

    topic: str
    retained: str
    payload: str
    when: str


def rows(prefix: str = "inverterproto", discovery: str = "homeassistant") -> list[Row]:
    """Return all topics, for people."""
    topics = Topics(prefix)
    config = f"{discovery}/sensor/inverterproto_FAMILY_SERIAL_QUANTITY/config"
    return [
        Row(topics.availability, "yes", "`online`, `offline`", "as the program comes and goes"),
        Row(
            topics.state("FAMILY", "SERIAL", "KIND"),
            "yes",
            "JSON: the quantities, `time`, `time_source`",
            "the newest reading of a device and kind of message, if it is fresh",
        ),
        Row(
            topics.state("deye", "LOGGER", SEEN),
            "yes",
            "JSON: `time`",
            "when a logger was heard last",
        ),
        Row(
            topics.history("FAMILY", "SERIAL"),
            "no",
            "JSON: the reading as `inverterproto readings --json` has it, with `number`",
            "every other reading: late, kept in the device, of unknown time",
        ),
        Row(
            config,
            "yes",
            "JSON for Home Assistant",
            "a device shows a new quantity; Home Assistant starts; a new connection",
        ),
        Row(topics.test, "no", 'JSON: a reading, with `"test": true`', "the sink is tried"),
    ]
