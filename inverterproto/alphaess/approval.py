"""Which configuration of the cloud's may reach a battery whose owner wants to approve settings.

Theory of operation
-------------------
A setting travels in the answer to a battery's configuration request (source: D). So there is one
approved configuration a serial, kept in its `BatteryState`: the first that the cloud sends, or one
that the owner approved. What the cloud sends is *compared* with it: the same keys in the same
order, each with the same value to the byte; CheckTime aside, which must be a time no more than 10
minutes off what the household's clock shows. That passes as it came. Of anything else the answer is
the approved one, its CheckTime made now.

*Whole and plain.* A configuration that can be read in two ways may be one to us and another to the
battery. So one that says a key twice, spells a key with escapes, is not UTF-8 or has bytes behind
its end is none, and neither is one for another serial (`configuration.check_configuration`).

*Told* is each change by its key: the values too, but of what is private, and of keys that nobody
knows only what is plainly a number, an hour or a yes or no.
"""

import re
from hashlib import blake2b

from inverterproto.alphaess.clock import parse_stamp
from inverterproto.alphaess.configuration import CHECK_TIME, check_configuration, settings_of
from inverterproto.alphaess.fields import BY_NAME
from inverterproto.alphaess.text import Names, scan
from inverterproto.errors import ProtocolError
from inverterproto.gate import PLAUSIBLE
from inverterproto.masking import mask_text

LONGEST = 16 * 1024
"""Bytes of the longest configuration that is approved or remembered; the longest known: 2,400."""
MOST_TOLD = 20
"""Changes that are told; of more, their number."""

NOTHING = b"{}"
"""What a configuration is compared with where there is none."""

_LONGEST_VALUE = 24
_is_time = re.compile(rb'"([0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8})"').fullmatch
_is_plain_key = re.compile(r"[A-Za-z0-9_.]{1,40}(?:#[0-9]{1,4})?").fullmatch
_is_harmless = re.compile(r"[0-9.:+-]{0,6}|true|false", re.IGNORECASE).fullmatch
_is_printable = re.compile(r"[\x20-\x7e]*").fullmatch


def check_plain(payload: bytes, serial: str) -> None:
    """See that a payload is a configuration of this battery that can be read in one way only.

    Raises:
        ProtocolError: it is not.
    """
    if len(payload) > LONGEST:
        raise ProtocolError("too long", expected=f"at most {LONGEST} bytes", found=len(payload))
    check_configuration(payload, serial)
    seen: set[str] = set()
    for pair in scan(payload).pairs:
        if pair.key in seen:
            raise ProtocolError("a key stands twice", offset=pair.start)
        seen.add(pair.key)
        if not payload.startswith(b'"%b"' % pair.key.encode(), pair.start):
            raise ProtocolError("a key is spelled with escapes", offset=pair.start)


def against_time(payload: bytes, shown: float | None) -> str | None:
    """Return why the CheckTime of a plain configuration may not pass.

    Args:
        payload: the configuration.
        shown: what a clock in the household shows, as `clock.parse_stamp` has it; None if that is
            not known.
    """
    for pair in scan(payload).pairs:
        if pair.key == CHECK_TIME:
            found = _is_time(payload[pair.value_start : pair.end])
            stamp = parse_stamp(found[1].decode().replace("-", "/")) if found else None
            return against_stamp(CHECK_TIME, stamp, shown)
    return None


def against_stamp(name: str, stamp: float | None, shown: float | None) -> str | None:
    """Return why a time that sets the battery's clock may not pass."""
    if stamp is None:
        return f"its {name} is no time"
    if shown is None:
        return f"what time it is, and so whether its {name} is right, is not known here"
    if abs(stamp - shown) > PLAUSIBLE:
        return f"its {name} is {round((stamp - shown) / 60):+,} minutes off"
    return None


def fingerprint(payload: bytes) -> str:
    """Return what tells a configuration's settings from others; CheckTime is none of them.

    Raises:
        ProtocolError: it is no JSON object.
    """
    return blake2b(ascii(settings_of(payload)).encode(), digest_size=16).hexdigest()


def differences(before: bytes, after: bytes, most: int | None = MOST_TOLD) -> list[str]:
    """Return what is changed between two configurations, a line each; no secret is in them.

    Args:
        before: the one.
        after: the other.
        most: so many changes are told, of more their number; None for all.

    Raises:
        ProtocolError: one of them is no JSON object.
    """
    old, new = _named(before), _named(after)
    told = [_change(name, old.get(name), new.get(name)) for name in {**old, **new}]
    changes = [line for line in told if line]
    if not changes and list(old) != list(new):
        changes = ["the keys stand in another order"]
    if most is not None and len(changes) > most:
        changes[most:] = [f"and {len(changes) - most} more"]
    return changes


def _named(payload: bytes) -> dict[str, bytes]:
    """Return the settings by name; a key's second value has a name of its own."""
    names = Names()
    return {names.give(key): value for key, value in settings_of(payload)}


def _change(name: str, old: bytes | None, new: bytes | None) -> str:
    """Return what was changed of one setting, or nothing."""
    if old == new:
        return ""
    key = name if _is_plain_key(name) else f"a key of {len(name)} characters"
    return f"{key} {_shown(name, old)} -> {_shown(name, new)}"


def _shown(name: str, value: bytes | None) -> str:
    if value is None:
        return "(none)"
    text = value.decode("latin-1")
    text = text[1:-1] if text[:1] == '"' else text
    field = BY_NAME.get(name.partition("#")[0])
    harmless = _is_harmless(text) if field is None else field.private is None
    if not harmless or len(text) > _LONGEST_VALUE or not _is_printable(text):
        return "(not shown)"
    line = f"{name}: {text}".encode("latin-1", "replace")
    return text or '""' if mask_text(line) == line else "(not shown)"
