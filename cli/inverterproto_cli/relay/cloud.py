"""Where a family's cloud is, and whether it is away.

Theory of operation
-------------------
`connect` finds the cloud's addresses and tries them in turn; each gets its share of the time, so
that one that answers nothing does not stand before another. What goes wrong is told apart, as each
case wants another line to be typed: no address; an address at home, where a name of the vendor's
has none (a DNS entry leads it here); refused; no answer; ourselves.

*Away.* A cloud that could not be reached is away: devices that call meanwhile are not kept waiting
for the same failure. Every `PROBE_EVERY` seconds it is tried again, by a connection that says
nothing. A cloud that takes a connection and never gives a frame is no better than none; it counts
as away for `SILENT_FOR`, whatever probes say. It is one only if it gives frames to nobody else
either: that it does not want one device is between the two.
"""

import asyncio
import errno
from collections.abc import Callable
from ipaddress import ip_address
from time import monotonic
from typing import Any, TypeVar

from inverterproto_cli.address import Address
from inverterproto_cli.relay.resolving import Resolve, UnresolvedError, is_address

CONNECT_WITHIN = 10.0
"""Seconds for the cloud to take a connection."""
PROBE_EVERY, SILENT_FOR = 60.0, 900.0
"""Seconds from one look whether it is back to the next; and of a cloud that says nothing."""
RESOLVED_FOR = 60.0
"""Seconds for which found addresses are taken for good."""

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
        tell: is told when it is away, and when it is back.
        ticks: tells seconds of a clock that nobody sets.

    Attributes:
        away: why it cannot be had, or None.
        named: whether the user named it.
        spoke_at: when it gave a frame last to anybody, in ticks.
    """

    def __init__(
        self,
        family: str,
        address: Address,
        resolve: Resolve,
        *,
        named: bool,
        is_us: Callable[[Address], bool],
        tell: Callable[[str, str], object],
        ticks: Callable[[], float] = monotonic,
    ) -> None:
        self.family = family
        self.address = address
        self.away: str | None = None
        self._resolve = resolve
        self.named = named
        self.spoke_at = 0.0
        self._ticks = ticks
        self._is_us = is_us
        self._tell = tell
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
        reasons: list[OSError] = []
        try:
            async with asyncio.timeout(CONNECT_WITHIN):
                hosts = await self.addresses()
                for host in hosts:
                    try:
                        async with asyncio.timeout(CONNECT_WITHIN / len(hosts)):
                            _, protocol = await loop.create_connection(
                                factory, host, self.address.port
                            )
                    except OSError as error:
                        reasons.append(error)
                        continue
                    return protocol
        except TimeoutError:
            reasons.append(TimeoutError())
        last = reasons[-1]
        if isinstance(last, TimeoutError):
            what = f"does not answer within {CONNECT_WITHIN:g} s"
        else:
            what = _WHY.get(last.errno or 0) or last.strerror or str(last)
        raise AwayError(f"{self.address} {what}")

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
        return (
            f"{host} leads to this program itself ({address}): your DNS entry holds for this "
            f"machine, too. Ask another DNS server (--resolver 9.9.9.9), or name the cloud by its "
            f"address (--upstream {self.family}=ADDRESS:{port})"
        )

    def _refuse_private(self, found: list[str]) -> None:
        private = [address for address in found if ip_address(address.partition("%")[0]).is_private]
        if private:
            host, port = self.address
            raise AwayError(
                f"{host} leads to {private[0]}, an address at home: your DNS entry holds for this "
                "machine, too. Ask another DNS server (--resolver 9.9.9.9), or, if that is meant, "
                f"say so (--upstream {self.family}={host}:{port})"
            )

    # away and back

    def silent(self) -> None:
        """Take notice that it took a connection and gave no frame."""
        self._gone(f"{self.address} takes connections and says nothing", SILENT_FOR)

    def _gone(self, why: str, wait: float) -> None:
        self._probe_at = self._ticks() + wait
        self._addresses_until = 0.0
        if self.away is None:
            self._tell("cloud-away", f"the cloud of {self.family} is away: {why}")
        self.away = why

    def _back(self) -> None:
        if self.away is not None:
            self.away = None
            self._tell("cloud-back", f"the cloud of {self.family} is back: {self.address}")

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
