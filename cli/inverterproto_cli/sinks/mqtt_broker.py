"""What goes to a broker and what it says, and which broker it is."""

import socket
import ssl
from dataclasses import dataclass, field
from typing import NamedTuple

from inverterproto_cli.address import Address

REFUSED = 0x80
"""Answers from this on say that the message was not taken."""


class Message(NamedTuple):
    """What is published.

    Attributes:
        topic: where.
        payload: what; empty bytes clear what is retained.
        retain: whether the broker keeps it for those who come later.
    """

    topic: str
    payload: bytes
    retain: bool = False

    @property
    def size(self) -> int:
        """How many bytes its packet has, at most."""
        # A fixed header has up to 5 bytes; two lengths, a number, and no properties follow.
        return len(self.topic.encode()) + len(self.payload) + 10


class Answer(NamedTuple):
    """The broker's answer to a message.

    Attributes:
        code: from `REFUSED` on, it was not taken.
        text: what the code means.
    """

    code: int
    text: str

    @property
    def taken(self) -> bool:
        """Whether the broker has the message."""
        return self.code < REFUSED


TOO_LARGE = Answer(0x95, "Packet too large")
FOR_A_PACKET = {
    "Unspecified error",
    "Malformed packet",
    "Protocol error",
    "Implementation specific error",
    "Topic name invalid",
    "Payload format invalid",
    "Packet too large",
}
"""Why a broker ends a connection for what it was sent, if it says so (MQTT 5)."""


@dataclass(frozen=True, slots=True)
class Broker:
    """Whom to connect to, and as whom.

    Attributes:
        address: host and port.
        tls: what its certificate is checked with, and ours; None for no TLS.
        user: who we are there, or None.
        password: never shown.
    """

    address: Address
    tls: ssl.SSLContext | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)


def unreachable_text(address: Address, error: OSError | ValueError) -> str:
    """Return why nobody is reached, and what to do about it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate of the broker {address} is not trusted "
            f"({error.verify_message.rstrip('.')}): name its CA with ca, "
            "and the broker as its certificate does"
        )
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "no TLS").replace("_", " ").lower()
        return f"no TLS with the broker {address} ({reason}): is it its port for TLS?"
    if isinstance(error, socket.gaierror):
        return f"nobody knows where the broker {address.host} is: look at its name, or the DNS"
    if isinstance(error, ConnectionRefusedError):
        return f"no broker listens at {address}: is it running, and is it its port?"
    if isinstance(error, TimeoutError):
        return f"the broker {address} does not answer"
    return f"the broker {address} cannot be reached: {getattr(error, 'strerror', None) or error}"


def not_let_in_text(address: Address, reason: str) -> str:
    """Return what a broker says to who comes, and what to do about it."""
    text = f"the broker {address} does not let us in ({reason})"
    if reason in ("Bad user name or password", "Not authorized"):
        text += ": look at user and password"
    return text
