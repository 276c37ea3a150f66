"""A copy of what a device says, for a second server that only listens (`--tee`).

What that server answers is dropped, and whatever becomes of it harms nothing: a copy that cannot
be delivered is given up, and the device's next connection tries again. Both are said, seldom.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Any

from inverterproto_cli.address import Address
from inverterproto_cli.relay.resolving import UnresolvedError, by_system

MOST_WAITING = 64 << 10
"""Bytes that wait for the second server before it is given up."""
CONNECT_WITHIN = CLOSE_WITHIN = 10.0
"""Seconds for the second server to take the connection, and to close it at the end."""


def why_lost(error: Exception) -> str:
    """Return why there is no connection, or no more: whatever the loop says, in the same words."""
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number else str(error)


GiveUp = Callable[[str], object]
"""Told why a copy was given up."""


class Copy(asyncio.Protocol):
    """A connection to the second server, for one connection of a device.

    Args:
        address: of the server.
        give_up: is told why, at most once.
    """

    __slots__ = ("_address", "_closing", "_give_up", "_over", "_task", "_transport", "_waiting")

    def __init__(self, address: Address, give_up: GiveUp) -> None:
        self._address = address
        self._give_up = give_up
        self._transport: Any = None
        self._waiting = bytearray()
        self._closing = False  # nothing more will be said
        self._over = False  # whatever becomes of it is told already, or of no interest
        self._task = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_WITHIN):
                await self._try_addresses()
        except TimeoutError:
            self._fail(f"it does not answer within {CONNECT_WITHIN:g} s")
        except UnresolvedError as error:
            self._fail(f"it cannot be found: {error}")
        except OSError as error:
            self._fail(why_lost(error))

    async def _try_addresses(self) -> None:
        host, port = self._address
        refused = f"{host} has no address"
        for address in await by_system(host):
            try:
                await asyncio.get_running_loop().create_connection(lambda: self, address, port)
            except OSError as error:
                refused = why_lost(error)
            else:
                return
        self._fail(refused)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what has waited."""
        self._transport = transport
        if self._over:
            self._transport.abort()
            return
        self._transport.write(bytes(self._waiting))
        self._waiting.clear()
        if self._closing:
            self._finish()

    def data_received(self, data: bytes) -> None:
        """Drop what it answers."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up."""
        self._fail("it closed the connection" if exc is None else why_lost(exc))

    def write(self, chunk: bytes) -> None:
        """Send a chunk, or keep it until there is a connection."""
        if self._closing or self._over:
            return
        if self._transport is None:
            self._waiting += chunk
            if len(self._waiting) > MOST_WAITING:
                self._fail("it is too slow in taking the connection")
        elif self._transport.get_write_buffer_size() > MOST_WAITING:
            self._fail("it does not read")
        else:
            self._transport.write(chunk)

    def _fail(self, why: str) -> None:
        if self._over:
            return
        self._over = True
        self._waiting.clear()
        self._give_up(f"the copy to {self._address} is given up: {why}")
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """End it, after what waits to be sent."""
        if self._closing or self._over:
            return
        self._closing = True
        if self._transport is not None:
            self._finish()

    def _finish(self) -> None:
        self._over = True
        # To close at once would be a reset if an answer were on its way, and cost what is.
        self._transport.write_eof()
        asyncio.get_running_loop().call_later(CLOSE_WITHIN, self._transport.abort)
