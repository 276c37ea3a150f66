"""Finds out when what should lead to the cloud leads back to this program.

Who points devices here by a DNS entry easily points this machine here, too. Before anything is
connected, the cloud's address is compared with those at which this program listens; where an
address in between is translated and that tells nothing, a connection of ours is recognised when it
comes in at our own port, by where it comes from. Either side of it may be seen first: that it was
accepted, or that it is there.

Where both a device's program and the cloud's run on this machine, a device may call us from the
very place from which we call the cloud: the system gives one port to several callers of different
destinations. So of calls to this machine only those are ours that came in where they were to go.
"""

import socket
from collections.abc import Iterable
from ipaddress import ip_address

from inverterproto_cli.address import Address

Place = tuple[str, int]
"""The address and port of one end of a connection."""


class Loops:
    """Knows where this program listens, and from where it calls."""

    def __init__(self) -> None:
        self._calling: dict[Place, Place] = {}  # to where, by from where
        self._waiting: dict[Place, Place] = {}  # the same
        self._listening: set[Address] = set()

    def listens(self, addresses: Iterable[Address]) -> None:
        """Take notice of where this program listens."""
        self._listening.update(addresses)

    def is_us(self, address: Address) -> bool:
        """Return whether an address is one that this program listens at."""
        return any(
            one.port == address.port
            and (one.host == address.host or ip_address(one.host.partition("%")[0]).is_unspecified)
            for one in self._listening
        ) and is_of_this_machine(address.host)

    def came(self, place: Place, to: Place) -> bool:
        """Take notice of a connection from a place to one of ours; return whether we made it."""
        self._waiting[place] = to
        return place in self._calling and _is_one(self._calling[place], to)

    def settled(self, place: Place) -> None:
        """Take notice that a connection from a place waits for its cloud no more."""
        self._waiting.pop(place, None)

    def calls(self, place: Place, to: Place) -> bool:
        """Take notice of a connection of ours from a place; return whether it came back to us."""
        self._calling[place] = to
        return place in self._waiting and _is_one(to, self._waiting[place])

    def hung_up(self, place: Place) -> None:
        """Take notice that a connection of ours is gone."""
        self._calling.pop(place, None)

    @property
    def count(self) -> int:
        """How many connections it has in mind."""
        return len(self._calling) + len(self._waiting)


def _is_one(called: Place, taken: Place) -> bool:
    """Return whether a call and a connection that was taken, both from one place, are the same."""
    return called == taken or not is_of_this_machine(called[0])


def is_of_this_machine(host: str) -> bool:
    """Return whether an address is one of this machine: only such ones can be bound."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True
