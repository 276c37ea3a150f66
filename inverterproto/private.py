"""What is private.

Declarations mark each private field with the kind of secret it holds; whoever shows bytes to
others goes by these marks and keeps no list of its own.
"""

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
