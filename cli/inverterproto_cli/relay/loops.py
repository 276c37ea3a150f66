"""Finds out when what should lead to the cloud leads back to this program.

Who points devices here by a DNS entry easily points this machine here, too. Before anything is
connected, the cloud's address is compared with those at which this program listens; where an
address in between is translated and that tells nothing, a connection of ours is recognised when it
comes in at our own port, by where it comes from. Either side of it may be seen first: that it was
accepted, or that it is there.

Two sockets of one machine may have the same address and port, if they lead to different places. So
a device's connection that comes through a program on this machine can look like one of ours. One
that does is passed on like any other; only if its own call comes back, too, and so on `MOST_HOPS`
times, is it a loop: such a chain is no chance.
"""

import socket
from collections.abc import Iterable
from ipaddress import ip_address

from inverterproto_cli.address import Address

Place = tuple[str, int]
"""The address and port of one end of a connection."""

MOST_HOPS = 16
"""Connections of ours that come back, each because of the one before, and are a loop: of some ten
thousand that share their ports with ours by chance, one in five does, so fewer would be chance."""


class Loops:
    """Knows where this program listens, and from where it calls."""

    def __init__(self) -> None:
        self._calling: dict[Place, int] = {}  # how often it has come back before
        self._waiting: dict[Place, int] = {}
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

    def came(self, place: Place) -> bool:
        """Take notice of a connection from a place; return whether it came round a loop."""
        hops = self._calling[place] + 1 if place in self._calling else 0
        self._waiting[place] = hops
        return hops >= MOST_HOPS

    def settled(self, place: Place) -> None:
        """Take notice that a connection from a place waits for its cloud no more."""
        self._waiting.pop(place, None)

    def calls(self, place: Place, asked_from: Place | None) -> bool:
        """Take notice of a connection of ours; return whether it has come round a loop.

        Args:
            place: of its own end.
            asked_from: where the connection came from that it passes on, if that is known; it is
                not settled yet.
        """
        hops = 0 if asked_from is None else self._waiting.get(asked_from, 0)
        self._calling[place] = hops
        if place not in self._waiting:
            return False
        self._waiting[place] = hops + 1
        return hops + 1 >= MOST_HOPS

    def hung_up(self, place: Place) -> None:
        """Take notice that a connection of ours is gone."""
        self._calling.pop(place, None)

    @property
    def count(self) -> int:
        """How many connections it has in mind."""
        return len(self._calling) + len(self._waiting)


def is_of_this_machine(host: str) -> bool:
    """Return whether an address is one of this machine: only such ones can be bound."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True
