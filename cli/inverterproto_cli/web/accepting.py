"""Takes HTTP connections, and bounds how many there are and how long each may take.

A connection must bring a whole request, and take its answer, in a time; between requests it may be
silent for a while. All are looked at once a second: there is no timer for each.
"""

import asyncio
from collections.abc import Awaitable, Callable
from logging import getLogger
from socket import socket
from time import monotonic

from aiohttp import web

from inverterproto_cli.web.answers import refused

MOST = 64
"""Connections at once."""
LONGEST = 120.0
"""Seconds that an answer may take, with the time that the other side takes to read it."""
SILENT = 30.0
"""Seconds within which a whole request must come, from the connection or the last answer on."""
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


class _Refusal(asyncio.Protocol):
    """A connection that is one too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say so, and end it."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - it is a socket's
        transport.write(_TOO_MANY)
        transport.close()


class Accepting:
    """All connections of a page; made in the loop that it is for.

    Args:
        answer: answers a request.
        most: connections at once.
        longest: seconds that an answer may take.
        silent: seconds within which a request must come.
        ticks: tells seconds.
    """

    def __init__(
        self,
        answer: Answer,
        *,
        most: int = MOST,
        longest: float = LONGEST,
        silent: float = SILENT,
        ticks: Callable[[], float] = monotonic,
    ) -> None:
        self._answer = answer
        self._most = most
        self._longest = longest
        self._silent = silent
        self._ticks = ticks
        self._http = web.Server(self._timed)
        self._listening: list[asyncio.Server] = []
        self._until: dict[object, float] = {}  # when a connection is to be ended
        self._looking: asyncio.Task[None] | None = None

    async def open(self, sockets: list[socket]) -> None:
        """Take connections at some sockets."""
        loop = asyncio.get_running_loop()
        for one in sockets:
            self._listening.append(await loop.create_server(self._take, sock=one))
        self._looking = loop.create_task(self._look())

    def _take(self) -> asyncio.BaseProtocol:
        if len(self._http.connections) >= self._most:
            return _Refusal()
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
        self._until[connection] = self._ticks() + self._silent
        return connection

    async def _timed(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request, and take note of when the connection must be ready."""
        connection = request.protocol
        self._until[connection] = self._ticks() + self._longest
        try:
            return await self._answer(request)
        finally:
            # The answer may have to be sent yet: so it is what is left of the time for that.
            until = self._ticks() + self._silent
            self._until[connection] = min(self._until.get(connection, until), until)

    async def _look(self) -> None:
        """End what takes too long."""
        while True:
            await asyncio.sleep(_EVERY)
            now = self._ticks()
            there = self._http.connections
            self._until = {one: self._until.get(one, now + self._silent) for one in there}
            for one in there:
                if self._until[one] < now and one.transport is not None:
                    one.transport.abort()

    async def close(self) -> None:
        """Take no more, and end all."""
        if self._looking is not None:
            self._looking.cancel()
        for one in self._listening:
            one.close()
        for connection in self._http.connections:
            if connection.transport is not None:
                connection.transport.abort()
