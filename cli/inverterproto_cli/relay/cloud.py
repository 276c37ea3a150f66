"""Where a family's cloud is, and whether it is away.

Theory of operation
-------------------
`connect` finds the cloud's addresses and tries them in turn; each gets its share of the time, so
that one that answers nothing does not stand before another. What goes wrong is told apart, as each
case wants another line to be typed: no address; an address at home, where a name of the vendor's
has none (a DNS entry leads it here); refused; no answer; ourselves.

*Away.* A cloud that could not be reached is away: devices that call meanwhile are not kept waiting
for the same failure. Every `PROBE_EVERY` seconds it is tried again, by a connection that says
nothing.

*Silent.* A cloud that takes connections and gives no frame is no better than none, whether it lets
devices wait or ends their connections. The evidence is a device that sent a frame and was left
without one: it has waited for `SILENT_AFTER`, or the cloud has ended its connection. The cloud is
silent once `SILENT_AFTER` has passed since the first such device asked, and no frame came for
anybody: so one connection that is dropped is none, and that it does not want one device, but others
get frames, is between the two. It counts as away for `SILENT_FOR`, whatever probes say.

Not everybody is evidence, or a stranger could have the household cut off by sending, in a quiet
moment, what no cloud answers. A device is one if the cloud has answered it before, in this run.
Others are only where the cloud has answered nobody for `STRANGE_FOR`, so also after the start: a
cloud that is dead then is found by whoever calls. What a stranger can gain is a `SILENT_FOR` at
such a time (any answer to a device of the household ends that), or under the serial of one.
"""

import asyncio
import errno
from collections.abc import Callable
from ipaddress import ip_address
from logging import INFO, WARNING
from math import inf
from time import monotonic
from typing import Any, TypeVar

from inverterproto_cli.address import Address, is_address
from inverterproto_cli.relay.resolving import Resolve, UnresolvedError

CONNECT_WITHIN = 10.0
"""Seconds for the cloud to take a connection."""
PROBE_EVERY, SILENT_FOR = 60.0, 900.0
"""Seconds from one look whether it is back to the next; and of a cloud that says nothing."""
RESOLVED_FOR = 60.0
"""Seconds for which found addresses are taken for good."""
SILENT_AFTER, STRANGE_FOR = 60.0, 86400.0
"""Seconds: see the theory."""
MOST_KNOWN = 1000
"""Devices that are known as answered; those answered last."""

_P = TypeVar("_P", bound=asyncio.BaseProtocol)
_WHY = {
    errno.ECONNREFUSED: "refuses the connection",
    errno.ENETUNREACH: "cannot be reached: no way there (is the Internet down?)",
    errno.EHOSTUNREACH: "cannot be reached: no way there (is the Internet down?)",
}


class AwayError(Exception):
    """The cloud cannot be had; the message says why, and what to do."""


class LoopError(Exception):
    """The cloud's name leads to this program; the message says what to type."""


class Cloud:
    """The cloud of a family.

    Args:
        family: the family's name.
        address: of the cloud.
        resolve: finds the addresses of a name.
        named: whether the user named it: then it may be at home.
        is_us: tells whether an address is one that this program listens at.
        tell: is told when it is away, and when it is back; and how bad that is, as `logging` has
            it.
        meanwhile: what becomes of its devices while it is away, for people.
        ticks: tells seconds of a clock that nobody sets.

    Attributes:
        away: why it cannot be had, or None.
        named: whether the user named it.
        spoke_at: when it gave a frame last to anybody, in ticks; before all of them if never.
    """

    def __init__(
        self,
        family: str,
        address: Address,
        resolve: Resolve,
        *,
        named: bool,
        is_us: Callable[[Address], bool],
        tell: Callable[[str, str, int], object],
        meanwhile: str,
        ticks: Callable[[], float] = monotonic,
    ) -> None:
        self.family = family
        self.address = address
        self.away: str | None = None
        self._resolve = resolve
        self.named = named
        self.spoke_at = -inf
        self._answered: dict[str, None] = {}  # devices, in the order in which they were
        self._unanswered_since = -inf  # the first device asked that was left without a frame
        self._ticks = ticks
        self._is_us = is_us
        self._tell = tell
        self._meanwhile = meanwhile
        self._probe_at = 0.0
        self._addresses: list[str] = []
        self._addresses_until = 0.0

    async def connect(self, factory: Callable[[], _P]) -> _P:
        """Return a protocol that is connected to the cloud.

        Raises:
            AwayError: it is away.
            LoopError: it is this program.
        """
        try:
            protocol = await self._connect(factory)
        except AwayError as error:
            self._gone(str(error), PROBE_EVERY)
            raise
        self._back()
        return protocol

    async def _connect(self, factory: Callable[[], _P]) -> _P:
        loop = asyncio.get_running_loop()
        # Words, as an error that is kept would hold this frame, and that the error.
        late = why = f"does not answer within {CONNECT_WITHIN:g} s"
        try:
            async with asyncio.timeout(CONNECT_WITHIN):
                hosts = await self.addresses()
                for host in hosts:
                    try:
                        async with asyncio.timeout(CONNECT_WITHIN / len(hosts)):
                            _, protocol = await loop.create_connection(
                                factory, host, self.address.port
                            )
                    except TimeoutError:
                        why = late
                    except OSError as error:
                        why = _WHY.get(error.errno or 0) or error.strerror or str(error)
                    else:
                        return protocol
        except TimeoutError:
            why = late
        raise AwayError(f"{self.address} {why}")

    async def addresses(self) -> list[str]:
        """Return the cloud's addresses.

        Raises:
            AwayError: there are none, or none that can be the cloud's.
            LoopError: they are ours.
        """
        if self._ticks() < self._addresses_until:
            return self._addresses
        host, port = self.address
        try:
            found = await self._resolve(host)
            if not found:
                raise UnresolvedError(f"{host} has no address")
        except UnresolvedError as error:
            raise AwayError(
                f"{error}: is the Internet there? Name it by its address (--upstream "
                f"{self.family}=ADDRESS:{port}) or ask another DNS server (--resolver 9.9.9.9)"
            ) from error
        for address in found:
            if self._is_us(Address(address, port)):
                raise LoopError(self.loop_text(address))
        if not self.named and not is_address(host):
            self._refuse_private(found)
        self._addresses, self._addresses_until = found, self._ticks() + RESOLVED_FOR
        return found

    def loop_text(self, address: str) -> str:
        """Return what to say when the cloud's name leads here."""
        host, port = self.address
        if is_address(host):
            return (
                f"{self.address} leads to this program itself ({address}): it is its own address, "
                "or a router redirects the port. Name the cloud (--upstream "
                f"{self.family}=HOST:PORT), or let what this machine sends pass there"
            )
        return (
            f"{host} leads to this program itself ({address}): your DNS entry holds for this "
            f"machine, too. Ask another DNS server (--resolver 9.9.9.9), or name the cloud by its "
            f"address (--upstream {self.family}=ADDRESS:{port})"
        )

    def _refuse_private(self, found: list[str]) -> None:
        private = [address for address in found if ip_address(address.partition("%")[0]).is_private]
        if private:
            host, port = self.address
            if ip_address(private[0].partition("%")[0]).is_unspecified:
                raise AwayError(
                    f"{host} leads to {private[0]}, which is nowhere: your DNS server blocks it. "
                    "Let the name pass there, or ask another DNS server (--resolver 9.9.9.9)"
                )
            raise AwayError(
                f"{host} leads to {private[0]}, an address at home: your DNS entry holds for this "
                "machine, too. Ask another DNS server (--resolver 9.9.9.9), or, if that is meant, "
                f"say so (--upstream {self.family}={host}:{port})"
            )

    # away and back

    def answered(self, device: str) -> None:
        """Take notice that it gave a device a frame."""
        self._answered.pop(device, None)
        self._answered[device] = None
        if len(self._answered) > MOST_KNOWN:
            del self._answered[next(iter(self._answered))]

    def unanswered(self, device: str | None, asked_at: float) -> bool:
        """Take notice that it left a device without a frame; return whether it is away.

        Args:
            device: the device's serial, if that is known.
            asked_at: when the device sent its first frame, in ticks.
        """
        if self.spoke_at >= asked_at:
            return False
        if self.away is None and self._is_evidence(device):
            since = self._unanswered_since
            since = asked_at if since <= self.spoke_at else min(since, asked_at)
            self._unanswered_since = since
            if self._ticks() - since > SILENT_AFTER:
                self._gone(f"{self.address} takes connections and says nothing", SILENT_FOR)
        return self.away is not None

    def _is_evidence(self, device: str | None) -> bool:
        return device in self._answered or self._ticks() - self.spoke_at > STRANGE_FOR

    def _gone(self, why: str, wait: float) -> None:
        self._probe_at = self._ticks() + wait
        self._addresses_until = 0.0
        self._unanswered_since = -inf
        if self.away is None:
            text = f"the cloud of {self.family} is away: {why}; {self._meanwhile}"
            self._tell("cloud-away", text, WARNING)
        self.away = why

    def _back(self) -> None:
        if self.away is not None:
            self.away = None
            self._tell("cloud-back", f"the cloud of {self.family} is back: {self.address}", INFO)

    @property
    def is_to_be_probed(self) -> bool:
        """Whether it is time to look whether it is back."""
        return self.away is not None and self._ticks() >= self._probe_at

    async def probe(self) -> bool:
        """Look whether it is back; return whether it is.

        Raises:
            LoopError: it is this program.
        """
        try:
            protocol = await self.connect(_Nothing)
        except AwayError:
            return False
        protocol.transport.close()
        return True


class _Nothing(asyncio.Protocol):
    """A connection that says nothing."""

    transport: Any

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
