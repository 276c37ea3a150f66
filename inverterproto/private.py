"""What is private.

Declarations mark each private field with the kind of secret it holds; whoever shows bytes to
others goes by these marks and keeps no list of its own. A name that nobody declared may tell by
itself that something private bears it: `told_by_name`.
"""

import re
from enum import StrEnum


class Private(StrEnum):
    """The kind of a private value."""

    SERIAL = "serial"
    MAC = "mac"
    IP = "ip"
    SSID = "ssid"
    PASSWORD = "password"  # noqa: S105 - the name of a kind, no password
    LICENCE = "licence"
    ADDRESS = "address"
    PHONE = "phone"
    USER = "user"
    SIM = "sim"
    TEXT = "text"
    """Free text, in which anything may stand."""


BLANKED = frozenset(
    {
        Private.PASSWORD,
        Private.LICENCE,
        Private.ADDRESS,
        Private.PHONE,
        Private.USER,
        Private.TEXT,
    }
)
"""The kinds that are blanked; of the others the same value gets the same stand-in."""

_TELLING: tuple[tuple[Private, str], ...] = (
    (Private.PASSWORD, r"(?i:passw|pass\Z|pwd|secret|token|psk)|[Kk]ey\Z|KEY\Z"),
    (Private.SSID, r"(?i:ssid)"),
    (Private.SERIAL, r"(?i:serial|\Asn\Z)|SN[0-9]*\Z"),
    (Private.SIM, r"(?i:iccid|imsi|imei)"),
    (Private.MAC, r"(?i:\Amac|mac\Z)"),
    (Private.IP, r"IP\Z|Ip\Z|\Aip\Z|(?i:ipaddr)"),
    (Private.LICENCE, r"(?i:licen[sc]e)"),
    (Private.PHONE, r"(?i:phone|mobile)"),
    (Private.USER, r"(?i:mail|user|owner|customer|installer|(?:nick|first|last|full)_?name)"),
    (
        Private.ADDRESS,
        r"(?i:addr|street|(?<!pa)city\Z|town|zip|post|l(?:at|ong)itude|location|gps|\Al(?:at|on|ng)\Z)",
    ),
)
_searches = [(kind, re.compile(pattern).search) for kind, pattern in _TELLING]


def told_by_name(name: str) -> Private | None:
    """Return what a field that nobody declared probably holds, going by its name."""
    return next((kind for kind, search in _searches if search(name)), None)
