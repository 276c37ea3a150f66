"""A stand-in for Splunk's HTTP Event Collector, as its documentation has it.

Events of a body are taken one by one until the first that is wrong; those before it are indexed.
With `acknowledge` a request needs a channel, and what was taken is acknowledged from the question
`patience` on; an acknowledgement is told once.
"""

import json
from collections import deque
from typing import TYPE_CHECKING, Any
from uuid import UUID

from aiohttp import web

from tests.posts import Handler, Sent

if TYPE_CHECKING:
    from collections.abc import Callable

TOKEN = "9a1f7c1e-5eed-4ec2-8ba0-0123456789ab"
_CHANNEL = "X-Splunk-Request-Channel"

TEXTS = {
    0: (200, "Success"),
    1: (403, "Token disabled"),
    2: (401, "Token is required"),
    3: (401, "Invalid authorization"),
    4: (403, "Invalid token"),
    5: (400, "No data"),
    6: (400, "Invalid data format"),
    7: (400, "Incorrect index"),
    8: (500, "Internal server error"),
    9: (503, "Server is busy"),
    10: (400, "Data channel is missing"),
    11: (400, "Invalid data channel"),
    12: (400, "Event field is required"),
    13: (400, "Event field cannot be blank"),
    14: (400, "ACK is disabled"),
    15: (400, "Error in handling indexed fields"),
}


def coded(code: int, **more: object) -> web.Response:
    """Return the answer with a code."""
    status, text = TEXTS[code]
    return web.json_response({"text": text, "code": code, **more}, status=status)


class SplunkStub:
    """The collector, with one token.

    Attributes:
        indexed: what is in the index: the whole objects.
        sent: the requests.
        turns: answers to give before it goes on as usual; None for a usual one.
        poison: says of an event that its format is invalid.
        indexes: what the token may write to.
        room: bytes that a body may have.
    """

    def __init__(self, *, acknowledge: bool = False, patience: int = 2) -> None:
        self.indexed: list[dict[str, Any]] = []
        self.sent: list[Sent] = []
        self.turns: deque[web.Response | Handler | None] = deque()
        self.poison: Callable[[dict[str, Any]], bool] = lambda _: False
        self.indexes = ("main", "solar")
        self.disabled = False
        self.room = 1 << 30
        self.acknowledge = acknowledge
        self.patience = patience
        self.asked: dict[int, int] = {}
        self.channels: set[str] = set()

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.sent.append(Sent(request.path, request.query_string, request.headers, body))
        turn = self.turns.popleft() if self.turns else None
        if turn is not None:
            return turn if isinstance(turn, web.Response) else await turn(request)
        if (fault := self._access(request)) is not None:
            return coded(fault)
        if request.path == "/services/collector/ack":
            return self._acknowledged(json.loads(body))
        if request.path not in ("/services/collector", "/services/collector/event"):
            return web.Response(status=404, text="<html>not found</html>")
        if len(body) > self.room:
            return web.Response(
                status=413, text=f"Content-Length of {len(body)} too large (maximum is {self.room})"
            )
        return self._take(body.decode())

    def _access(self, request: web.Request) -> int | None:
        given = request.headers.get("Authorization")
        if given is None:
            return 2
        if not given.startswith("Splunk "):
            return 3
        if given != f"Splunk {TOKEN}":
            return 4
        if self.disabled:
            return 1
        if self.acknowledge:
            channel = request.headers.get(_CHANNEL)
            if channel is None:
                return 10
            try:
                UUID(channel)
            except ValueError:
                return 11
            self.channels.add(channel)
        return None

    def _take(self, text: str) -> web.Response:
        decoder, at, number = json.JSONDecoder(), 0, 0
        if not text.strip():
            return coded(5)
        while at < len(text):
            try:
                found, at = decoder.raw_decode(text, at)
            except ValueError:
                return coded(6, **{"invalid-event-number": number})
            if (fault := self._wrong(found)) is not None:
                return coded(fault, **{"invalid-event-number": number})
            self.indexed.append(found)
            number += 1
            while at < len(text) and text[at].isspace():
                at += 1
        if not self.acknowledge:
            return coded(0)
        identifier = len(self.asked)
        self.asked[identifier] = 0
        return coded(0, ackId=identifier)

    def _wrong(self, found: dict[str, Any]) -> int | None:
        if "event" not in found:
            return 12
        if found["event"] == "":
            return 13
        if not isinstance(found.get("time", 0), int | float) or self.poison(found["event"]):
            return 6
        if found.get("index", "main") not in self.indexes:
            return 7
        return None

    def _acknowledged(self, question: dict[str, Any]) -> web.Response:
        if not self.acknowledge:
            return coded(14)
        told = {}
        for identifier in question["acks"]:
            if identifier in self.asked:
                self.asked[identifier] += 1
            told[str(identifier)] = done = self.asked.get(identifier, 0) >= self.patience
            if done:
                del self.asked[identifier]
        return web.json_response({"acks": told})
