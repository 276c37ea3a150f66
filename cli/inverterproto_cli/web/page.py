"""What is shown over HTTP: which path is answered by what, and to whom.

`Page` is made for `Outward` (`sinks/outward.py`): it takes its address in the main thread, and does
all else in the thread that looks outward.
"""

import asyncio
import errno
import json
import socket
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial

import click
from aiohttp import web

from inverterproto_cli.address import Address
from inverterproto_cli.server.logs import Log
from inverterproto_cli.server.running import Watch, why_not
from inverterproto_cli.show import printable
from inverterproto_cli.sinks.outward import AFTER_A_FAULT, Outward
from inverterproto_cli.sinks.pace import Pace
from inverterproto_cli.store import StoreError
from inverterproto_cli.web.accepting import Accepting
from inverterproto_cli.web.answers import HEADERS, JSON, refused, told
from inverterproto_cli.web.asking import MainThread
from inverterproto_cli.web.health import Check, alive, checks
from inverterproto_cli.web.newest import Newest
from inverterproto_cli.web.options import Http
from inverterproto_cli.web.readings import (
    MOST,
    PIECE,
    BadQuestionError,
    Piece,
    Question,
    all_devices,
    question_of,
    read_piece,
)
from inverterproto_cli.web.rights import has_token, is_own_name
from inverterproto_cli.web.scraping import Scene, exposed
from inverterproto_cli.web.working import BusyError, Worker

_MOST_PIECES = 2 * MOST // PIECE
"""Pieces of an answer: there are records without readings."""
_BACKLOG = 64
_RETRY = {"Retry-After": "1"}
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_FOR_ALL = ("/healthz", "/readyz")
"""What needs no token, and is answered whatever else is."""
_UNREADABLE = (StoreError, sqlite3.Error, OSError)
"""What tells that the store cannot be read."""

_Respond = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Page:
    """What is shown over HTTP.

    Args:
        http: what is wanted.
        log: is told where it is; for the main thread.
        outward: has the thread, the sinks, and the store as they see it.

    Attributes:
        newest: what was measured last.
    """

    def __init__(self, http: Http, log: Log, outward: Outward) -> None:
        self._http = http
        self._log = log
        self._outward = outward
        self.newest = Newest(http.most_devices, simulated=http.include_simulated)
        self._sockets: list[socket.socket] = []
        self._following: asyncio.Task[None] | None = None
        self._responders: dict[str, _Respond] = {
            "/metrics": self._metrics,
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/api/devices": self._devices,
            "/api/readings": self._readings,
        }

    # In the main thread

    def bind(self, watch: Watch) -> None:
        """Take the address, and say so.

        Raises:
            click.ClickException: it cannot be had; the message is one clear line.
        """
        self._main = MainThread(watch)
        self._sockets = _bound(self._http)
        port = self._sockets[0].getsockname()[1]
        where = Address(self._http.address.host, port)
        who = "nothing but this machine itself reaches it" if self._http.inward else ""
        if self._http.token is not None:
            who = "who looks must send the token"
        self._log.tell("http", f"http: http://{where}{', '.join(self._responders)}; {who}")

    # In the thread that looks outward

    async def open(self) -> None:
        """Answer, and follow what is measured."""
        self._reading, self._scraping = Worker("http-reading"), Worker("http-scraping")
        self._accepting = Accepting(self._answer, always=_FOR_ALL)
        await self._accepting.open(self._sockets)
        if self._outward.stored:
            self._following = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Answer no more."""
        await self._accepting.close()
        if self._following is not None:
            self._following.cancel()
        self._reading.close()
        self._scraping.close()

    async def _follow(self) -> None:
        while True:
            try:
                return await self.newest.follow(self._outward.pages, Pace())
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
                self._tell_fault(error)
                await asyncio.sleep(AFTER_A_FAULT)

    def _tell_fault(self, error: Exception) -> None:
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        place = ""
        if trace is not None:
            place = f" at {trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"
        self._outward.say("fault", f"a fault of this program: http: {type(error).__name__}{place}")

    # Who is answered

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        try:
            return await self._responders[request.path](request)
        except BadQuestionError as error:
            return refused(400, str(error))
        except BusyError:
            return refused(503, "too many are asking for that at once: try again", _RETRY)
        except ConnectionError:  # who asked is gone
            raise
        except _UNREADABLE as error:
            return refused(503, printable(f"the store cannot be read now: {error}"), _RETRY)
        except Exception as error:  # noqa: BLE001 - whatever it is, others are answered
            self._tell_fault(error)
            return refused(500, "a fault of this program: its log says where")

    def _refusal(self, request: web.BaseRequest) -> web.Response | None:
        """Return what is said to who gets no answer, or None to who gets one."""
        http = self._http
        if http.inward and not is_own_name(request.headers.get("Host"), http.address.host):
            return refused(403, "asked for by a name that is not this machine's own: use localhost")
        if request.method not in ("GET", "HEAD"):
            return refused(405, "nothing can be changed here", {"Allow": "GET, HEAD"})
        if request.path not in _FOR_ALL and not self._is_trusted(request):
            return refused(401, "the token is missing, or another", {"WWW-Authenticate": "Bearer"})
        if request.path not in self._responders:
            return refused(404, "there is nothing here", paths=list(self._responders))
        if request.path.startswith("/api/") and not self._outward.stored:
            return refused(404, "nothing is stored (--no-store), so there is nothing to read")
        return None

    def _is_trusted(self, request: web.BaseRequest) -> bool:
        token = self._http.token
        return token is None or has_token(request.headers.get("Authorization"), token)

    # What is answered

    async def _healthz(self, request: web.BaseRequest) -> web.StreamResponse:
        del request
        main = alive(self._main.silent)
        if main.wrong is not None:
            return told({"healthy": False, "wrong": main.wrong}, 503)
        return told({"healthy": True})

    async def _readyz(self, request: web.BaseRequest) -> web.StreamResponse:
        known = await self._main.told()
        found = checks(self._main.silent, known, self._outward.deliveries)
        text = Check.told if self._is_trusted(request) else Check.told_to_all
        ready = all(one.wrong is None for one in found)
        body = {"ready": ready, "checks": {one.name: text(one) for one in found}}
        return told(body, 200 if ready else 503)

    async def _metrics(self, request: web.BaseRequest) -> web.StreamResponse:
        outward = self._outward
        with self._scraping.taken():
            scene = Scene(
                await self._main.told(),
                list(outward.deliveries),
                self.newest.values(),
                outward.pages.path if outward.stored else None,
            )
            accept = request.headers.get("Accept", "")
            body, kind = await self._scraping.do(partial(exposed, scene, accept))
        return web.Response(body=body, headers={**HEADERS, "Content-Type": kind})

    async def _devices(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.query:
            raise BadQuestionError("there are no parameters of /api/devices")
        with self._reading.taken():
            found = await self._reading.do(partial(all_devices, self._outward.pages.path))
        return told({"devices": found})

    async def _readings(self, request: web.BaseRequest) -> web.StreamResponse:
        parameters = dict(request.query)
        if len(parameters) != len(request.query):
            raise BadQuestionError("a parameter is given twice")
        question = question_of(parameters)
        with self._reading.taken():
            return await self._stream(request, question)

    async def _stream(self, request: web.BaseRequest, question: Question) -> web.StreamResponse:
        """Write the readings that are asked for, piece by piece."""
        first = await self._piece(question)
        response = web.StreamResponse(headers=JSON)
        await response.prepare(request)
        try:
            if request.method != "HEAD":
                await self._write(response, question, first)
        except ConnectionError:
            raise
        except Exception as error:
            # What is not whole must not look so: the connection is ended.
            if not isinstance(error, _UNREADABLE):
                self._tell_fault(error)
            raise ConnectionAbortedError from error
        return response

    async def _piece(self, question: Question) -> Piece:
        return await self._reading.do(partial(read_piece, self._outward.pages.path, question))

    async def _write(self, response: web.StreamResponse, question: Question, piece: Piece) -> None:
        left, before = question.limit, '{"readings": [\n'
        for _ in range(_MOST_PIECES):
            if piece.texts:
                await response.write((before + ",\n".join(piece.texts)).encode())
                before = ",\n"
            left -= len(piece.texts)
            if piece.ended or left <= 0:
                break
            piece = await self._piece(question._replace(limit=left, after=piece.place))
        behind = None if piece.ended else question._replace(after=piece.place).path()
        before = before if before.startswith("{") else "\n"
        await response.write(f'{before}], "next": {json.dumps(behind)}}}\n'.encode())


def _bound(http: Http) -> list[socket.socket]:
    """Return sockets that listen, of one port at all addresses that are wanted.

    Raises:
        click.ClickException: they cannot be had.
    """
    sockets: list[socket.socket] = []
    port, missing = http.address.port, None
    for family, place in http.places:
        try:
            sockets.append(_listening(family, (place[0], port, *place[2:])))
        except OSError as error:
            missing = error
            if error.errno in _NOT_HERE:  # a machine without IPv6 may have a name for it
                continue
            break
        port = sockets[-1].getsockname()[1]
    if missing is not None and (not sockets or missing.errno not in _NOT_HERE):
        for one in sockets:
            one.close()
        raise click.ClickException(why_not(http.address, missing, "--http")) from missing
    return sockets


def _listening(family: int, place: tuple[object, ...]) -> socket.socket:
    """Return a socket that listens.

    Raises:
        OSError: the place cannot be had.
    """
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(place)
        one.listen(_BACKLOG)
        one.setblocking(False)  # noqa: FBT003 - the system's own
    except BaseException:
        one.close()
        raise
    return one
