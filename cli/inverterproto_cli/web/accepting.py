"""Takes HTTP connections, and bounds how many there are and how long each may take.

A connection must bring a whole request, and take its answer, in a time; between requests it may be
silent for a while. All are looked at once a second: there is no timer for each.

*There is room for whoever comes.* When all places are taken, the connection that has waited longest
for a request gives way; so whoever only holds places holds up nobody, and among those who hold them
the one that holds most gives way first. What is being answered is left alone; but no more than so
many requests are answered at once, of one address and of all, and there are more places than that:
so what must be answered always (whether the server lives) finds room beside them.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, ip_address, ip_network
from logging import getLogger
from socket import socket
from time import monotonic
from typing import Any

from aiohttp import web

from inverterproto_cli.web.answers import refused

MOST = 64
"""Requests that are answered at once."""
OF_ONE = 32
"""So many of them of one address."""
SPARE = 8
"""Connections beyond that, of all and of one address, for what is always answered."""
LONGEST = 120.0
"""Seconds that an answer may take, with the time that the other side takes to read it."""
SILENT = 30.0
"""Seconds within which a whole request must come, from the last answer on."""
FIRST = 5.0
"""Seconds within which the first one must come, from the connection on."""
_EVERY = 1.0
_LINE = 4096
"""Bytes of a request's first line, and of a header."""
_HEADERS = 64
_BUFFER = 16 << 10
_TOO_MANY = (
    b"HTTP/1.1 503 Service Unavailable\r\nServer: inverterproto\r\nRetry-After: 5\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class _Connection(web.RequestHandler):
    """A connection whose errors are told as all else is."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it quotes what came
    ) -> web.StreamResponse:
        """Return what to answer to what is no request.

        Raises:
            ConnectionError: an answer has begun; it is broken off with the connection.
        """
        if request.writer.output_size:
            raise ConnectionAbortedError from exc
        response = refused(status, "that is no request that is understood here")
        response.force_close()
        return response


class _Entrance(asyncio.Protocol):
    """A connection of which it is not known whether there is room for it.

    Args:
        admit: gives what is to serve an address, or None if there is no room.
    """

    def __init__(self, admit: Callable[[str], _Connection | None]) -> None:
        self._admit = admit

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let it in, or say that it is one too many, and end it."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - it is a socket's
        connection = self._admit(_neighbourhood(transport.get_extra_info("peername")))
        if connection is None:
            transport.write(_TOO_MANY)
            transport.close()
            return
        transport.set_protocol(connection)
        connection.connection_made(transport)


def _neighbourhood(peer: Sequence[Any] | None) -> str:
    """Return what of an address one person has: of IPv6 that is a whole network."""
    try:
        address = ip_address(str(peer[0]).partition("%")[0] if peer else "")
    except ValueError:  # it is gone
        return ""
    if isinstance(address, IPv4Address):
        return str(address)
    return str(address.ipv4_mapped or ip_network((address, 64), strict=False))


@dataclass(slots=True)
class _Place:
    """A connection's place.

    Attributes:
        address: whose it is.
        until: when it is to be ended, in ticks.
        since: when it began to wait for a request; None while one is answered.
        counts: whether what is answered is one of those that are bounded.
    """

    address: str
    until: float
    since: float | None
    counts: bool = False


class Accepting:
    """All connections of a page; made in the loop that it is for.

    Args:
        answer: answers a request.
        always: paths that are answered, whatever else is.
        most: requests that are answered at once.
        of_one: so many of them of one address.
        longest: seconds that an answer may take.
        silent: seconds within which a request must come.
        first: seconds within which the first one must come.
        ticks: tells seconds.
    """

    def __init__(
        self,
        answer: Answer,
        *,
        always: Collection[str] = (),
        most: int = MOST,
        of_one: int = OF_ONE,
        longest: float = LONGEST,
        silent: float = SILENT,
        first: float = FIRST,
        ticks: Callable[[], float] = monotonic,
    ) -> None:
        self._answer = answer
        self._always = always
        self._most = most
        self._of_one = of_one
        self._longest = longest
        self._silent = silent
        self._first = first
        self._ticks = ticks
        self._http = web.Server(self._timed)
        self._listening: list[asyncio.Server] = []
        self._places: dict[web.RequestHandler, _Place] = {}
        self._looking: asyncio.Task[None] | None = None

    async def open(self, sockets: list[socket]) -> None:
        """Take connections at some sockets."""
        loop = asyncio.get_running_loop()
        for one in sockets:
            entrance = partial(_Entrance, self._admit)
            self._listening.append(await loop.create_server(entrance, sock=one))
        self._looking = loop.create_task(self._look())

    # Who may come in

    def _admit(self, address: str) -> _Connection | None:
        """Return what serves one more connection of an address, or None if there is no room."""
        self._forget_ended()
        if not self._make_room(address):
            return None
        connection = _Connection(
            self._http,
            loop=asyncio.get_running_loop(),
            logger=getLogger("inverterproto.http"),
            access_log=None,  # type: ignore[arg-type]  # it may be none
            max_line_size=_LINE,
            max_field_size=_LINE,
            max_headers=_HEADERS,
            read_bufsize=_BUFFER,
            lingering_time=0.0,
        )
        now = self._ticks()
        self._places[connection] = _Place(address, now + self._first, now)
        return connection

    def _forget_ended(self) -> None:
        there = set(self._http.connections)
        self._places = {one: place for one, place in self._places.items() if one in there}

    def _make_room(self, address: str) -> bool:
        """Let another one give way if there must be one; return whether there is room."""
        own = sum(place.address == address for place in self._places.values())
        if own >= self._of_one + SPARE:
            return self._give_way(address)
        return len(self._places) < self._most + SPARE or self._give_way(None)

    def _give_way(self, address: str | None) -> bool:
        """End the connection that has waited longest, of an address or of the one with most."""
        held = Counter(place.address for place in self._places.values())
        waiting = [
            (-held[place.address], place.since, number, one)
            for number, (one, place) in enumerate(self._places.items())
            if place.since is not None and address in (None, place.address)
        ]
        if not waiting:
            return False
        _, _, _, last = min(waiting)
        del self._places[last]
        _end(last)
        return True

    # What is answered

    async def _timed(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request, and take note of when the connection must be ready."""
        place = self._places.get(request.protocol)
        if place is None:  # it has just given way
            raise ConnectionAbortedError
        place.counts = request.path not in self._always
        if place.counts and not self._may_ask(place.address):
            place.counts = False
            return refused(503, "too many are asking at once: try again", {"Retry-After": "5"})
        place.since, place.until = None, self._ticks() + self._longest
        try:
            return await self._answer(request)
        finally:
            # The answer may have to be sent yet: so it is what is left of the time for that.
            now = self._ticks()
            place.since, place.counts = now, False
            place.until = min(place.until, now + self._silent)

    def _may_ask(self, address: str) -> bool:
        """Return whether one more request of an address may be answered."""
        asking = [place for place in self._places.values() if place.counts and place.since is None]
        own = sum(place.address == address for place in asking)
        return len(asking) < self._most and own < self._of_one

    # How it ends

    async def _look(self) -> None:
        """End what takes too long."""
        while True:
            await asyncio.sleep(_EVERY)
            now = self._ticks()
            self._forget_ended()
            for one, place in self._places.items():
                if place.until < now:
                    _end(one)

    async def close(self) -> None:
        """Take no more, and end all."""
        if self._looking is not None:
            self._looking.cancel()
        for one in self._listening:
            one.close()
        for connection in self._http.connections:
            _end(connection)


def _end(connection: web.RequestHandler) -> None:
    if connection.transport is not None:
        connection.transport.abort()
