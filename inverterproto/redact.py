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
