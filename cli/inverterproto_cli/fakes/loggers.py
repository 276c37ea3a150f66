"""Lets a logger stick live: its connections, one after the other, over a socket.

Theory of operation
-------------------
The session (`LoggerSession`) lives in real time, as the server tells it what time it is: a stick
whose clock ran faster than the server's would be told so by every reply. What runs faster is the
day that it measures, and its interval (`fakes/day.py`).

*Reconnecting.* When a connection ends, whoever ended it, the session keeps what was not answered,
and the stick connects again after some seconds, each time twice as many while nothing is answered.
Only where no stick has ever reached the server the first one gives up.

*The end.* When its time is over it measures no more and goes on until all is answered, for the
patience of a request, but five seconds at the most, or as long as `ending` says. What is unanswered
then is missing. Where faults were made it connects once more, without them, and sends what was
damaged at once: so that is not missing.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from time import time
from typing import Any, TypeVar

from inverterproto.deye.frame import FRAMING
from inverterproto.deye.logger import LoggerSession
from inverterproto.deye.messages import REPLY_STEP, is_request
from inverterproto.reading import utc_text
from inverterproto.session import Action, Answer, Close, Note, Send
from inverterproto.stream import Framed, Item, StreamDecoder
from inverterproto_cli.address import Address
from inverterproto_cli.fakes.exchange import Tally
from inverterproto_cli.fakes.trouble import CLOSED_AT_ONCE, Trouble
from inverterproto_cli.fakes.wire import Faults, Wire

_LAST = 5.0
"""Seconds that the end may take, if a request is not given up sooner."""
_STOPPED = 2.0
"""Seconds that the end may take where somebody said stop."""
_FIRST_PAUSE, _LONGEST_PAUSE, _SHORTEST_PAUSE = 4.0, 120.0, 0.05
"""Seconds from the loss of a connection to the next one, in the time of the simulated day."""
_RAMP = 100
"""Connections that are made at once."""
_READ = 65536

Accepted = Callable[[bytes], object]
Show = Callable[[str], object]
_Result = TypeVar("_Result")


@dataclass
class Bench:
    """What all sticks of a test bench share.

    Attributes:
        address: of the server.
        tally: counts.
        until: unix time at which all ends.
        wait: seconds for a reply.
        ending: seconds that the end may take; None for the patience of a request, five at the most.
        speed: how much faster than life.
        fragment: whether to cut and coalesce what is sent.
        faults: whether to damage some of it.
        seed: of all chances.
        accepted: is called with each request of which the server said that it has it.
        show: is told each reply.
        trouble: says what is in the way.
        stop: set when somebody said stop.
    """

    address: Address
    tally: Tally
    until: float
    wait: float = 10.0
    ending: float | None = None
    speed: float = 1.0
    fragment: bool = False
    faults: bool = False
    seed: int = 0
    accepted: Accepted | None = None
    show: Show | None = None
    trouble: Trouble = field(default_factory=lambda: Trouble(quiet=True))
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    reached: bool = False
    ramp: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_RAMP))

    @property
    def last(self) -> float:
        """Unix time at which nothing is waited for any more."""
        return self.until + (min(self.wait, _LAST) if self.ending is None else self.ending)

    def over(self, now: float) -> bool:
        """Return whether the time is over."""
        return now >= self.until or self.stop.is_set()

    async def sleep(self, seconds: float) -> None:
        """Wait some seconds, but no longer than until somebody says stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.stop.wait()

    async def unless_stopped(self, work: Coroutine[Any, Any, _Result], seconds: float) -> _Result:
        """Return the result of some work.

        Raises:
            TimeoutError: there was none in time, or before somebody said stop.
        """
        task, stopped = asyncio.ensure_future(work), asyncio.ensure_future(self.stop.wait())
        try:
            await asyncio.wait(
                {task, stopped}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if task.done():
                return task.result()
            raise TimeoutError
        finally:
            task.cancel()
            stopped.cancel()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the server.

        Raises:
            OSError: it is not there.
        """
        async with self.ramp:
            opening = asyncio.open_connection(*self.address)
            patience = min(self.wait, max(self.last - time(), _SHORTEST_PAUSE))
            if self.stop.is_set():
                opened = await asyncio.wait_for(opening, min(patience, _STOPPED))
            else:
                opened = await self.unless_stopped(opening, patience)
        self.reached = True
        return opened


async def live(session: LoggerSession, bench: Bench) -> None:
    """Let a stick live until the bench's time is over.

    Raises:
        OSError: the server is not there, and never was.
    """
    await _Life(session, bench).run()


class _Life:
    """A stick's life."""

    def __init__(self, session: LoggerSession, bench: Bench) -> None:
        self._session = session
        self._bench = bench
        self._chance = Random(f"{bench.seed} {session.stick.serial}")  # noqa: S311 - no secret
        self._faults = Faults(self._chance) if bench.faults else None
        self._name = str(session.stick.serial)
        self._wire: Wire | None = None
        self._silence_told: Wire | None = None  # the connection of which it was said
        self._sent: dict[int, bytes] = {}  # of this connection, by the second counter
        self._failures = 0
        self._deadline: float | None = None
        self._hung_up = ""
        self._asked = 0  # requests that are under way
        self._heard = False  # whether the server has said anything on this connection
        self._begun = 0.0  # when it began
        self._in_the_way = ""  # why there is no connection

    async def run(self) -> None:
        """Live; then count what is missing."""
        await self._connection()
        while not self._is_done(time()):
            await self._pause()
            self._session.poll(time())
            await self._connection()
        self._count_missing()

    async def _connection(self) -> None:
        """Live through one connection, if it can be had."""
        bench, session = self._bench, self._session
        try:
            reader, writer = await bench.connect()
        except OSError as error:
            if not bench.reached:
                raise
            self._in_the_way = f"{bench.address}: {error.strerror or 'no answer'}"
            bench.tally.noted[f"cannot connect: {error.strerror or 'no answer'}"] += 1
            return
        await self._talk(reader, writer)
        self._asked = session.waiting
        session.disconnected(time())
        self._asked -= session.waiting  # of what is no data nothing is kept

    def _count_missing(self) -> None:
        bench, kept = self._bench, self._session.waiting
        if bench.faults:
            self._asked = 0
        if kept and bench.faults and bench.stop.is_set():
            bench.tally.noted["data not sent again before it was stopped"] += kept
            return
        for _ in range(kept):
            bench.tally.missing("data")
        for _ in range(self._asked):
            bench.tally.missing("what was sent last")

    def _is_done(self, now: float) -> bool:
        """Return whether there is nothing left to do."""
        if not self._bench.over(now):
            return False
        if self._deadline is None:
            stopped = self._bench.stop.is_set()
            self._deadline = now + _STOPPED if stopped else self._bench.last
            if self._faults is not None:
                self._faults = None
                self._hung_up = _AGAIN
        return self._session.waiting == 0 or now >= self._deadline

    async def _pause(self) -> None:
        """Wait until it is time to connect again."""
        pause = min(_FIRST_PAUSE * 2.0 ** min(self._failures, 10), _LONGEST_PAUSE)
        self._failures += 1
        if self._in_the_way and self._deadline is None:
            self._bench.trouble.lost(self._name, self._in_the_way, pause)
        real = max(pause / self._bench.speed, _SHORTEST_PAUSE)
        if self._deadline is not None:
            await asyncio.sleep(_SHORTEST_PAUSE)
        else:
            await self._bench.sleep(min(real, max(0.0, self._bench.until - time())))

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk until the connection ends, or the time is over."""
        bench, session, decoder = self._bench, self._session, StreamDecoder(FRAMING)
        wire = self._wire = Wire(
            writer, self._chance, fragment=bench.fragment, silence=2 * bench.wait
        )
        self._sent.clear()
        self._hung_up = ""
        self._heard, self._begun = False, time()
        try:
            self._carry_out(session.connected(time()))
            while not self._is_done(now := time()) and not self._hung_up:
                self._carry_out(session.poll(now))
                if not wire.over:
                    await wire.drained(bench.wait)
                chunk = await self._read(reader)
                if chunk is None:
                    self._complain_of_silence(wire)
                    continue
                self._heard = self._heard or bool(chunk)
                for item in decoder.feed(chunk) if chunk else decoder.flush():
                    self._take(item)
                if not chunk:
                    self._hung_up = CLOSED if self._heard else CLOSED_AT_ONCE
        except OSError as error:
            self._hung_up = error.strerror or str(error) or "the connection broke"
        finally:
            self._in_the_way = "" if wire.over or self._hung_up is _AGAIN else self._hung_up
            if self._in_the_way:
                bench.tally.noted[self._in_the_way] += 1
            wire.close()

    def _complain_of_silence(self, wire: Wire) -> None:
        """Say it, once on a connection, when the server does not answer at all."""
        bench = self._bench
        if self._heard or wire.over or wire.delay or time() - self._begun < bench.wait:
            return
        if self._silence_told is not self._wire:
            self._silence_told = self._wire
            bench.trouble.say(self._name, f"nothing is answered for {bench.wait:g} s")

    async def _read(self, reader: asyncio.StreamReader) -> bytes | None:
        """Return what came, or None if it is time to look at the clock first."""
        end = self._bench.until if self._deadline is None else self._deadline
        due = min(self._session.due, end)
        with suppress(TimeoutError):
            async with asyncio.timeout(min(max(due - time(), 0.0), 1.0)):
                return await reader.read(_READ)
        if error := reader.exception():  # it may be a timeout, too: that of the system
            raise error
        return None

    def _take(self, item: Item) -> None:
        """Take what the server said."""
        tally = self._bench.tally
        if not isinstance(item, Framed):
            tally.blame("bytes that are no frame came from the server")
        self._carry_out(self._session.receive(item, time()), item)

    def _carry_out(self, actions: list[Action], item: Item | None = None) -> None:
        for action in actions:
            if isinstance(action, Send):
                self._send(action.data)
            elif isinstance(action, Answer):
                self._answered(action)
            elif isinstance(action, Close):
                self._hung_up = action.reason
            elif isinstance(action, Note) and not self._is_late(item):
                self._bench.tally.blame(action.text)
        if isinstance(item, Framed):
            self._accept(item.raw)

    def _send(self, data: bytes) -> None:
        assert self._wire is not None  # noqa: S101 - a session sends while it is connected
        fault = "" if self._faults is None else self._faults.choose()
        if fault:
            self._bench.tally.noted[f"made on purpose: {fault}"] += 1
        if is_request(data[4]):
            self._sent[data[6]] = data
        self._wire.send(data, fault)

    def _answered(self, answer: Answer) -> None:
        """Count what came of a request; what was not answered of the data will come again."""
        bench, name = self._bench, str(answer.key)
        if answer.message is None:
            if name != "data" and not bench.faults:
                bench.tally.missing(name)
            return
        if answer.final:
            self._failures = 0
            bench.tally.sent += 1
            bench.tally.reply(answer.seconds)
            if bench.show is not None:
                bench.show(f"{name}: {reply_text(answer.message.fields)}")
        if answer.problem:
            bench.tally.blame(f"reply to {name}: {answer.problem}")

    def _is_late(self, item: Item | None) -> bool:
        """Return whether a reply is one to a request that has been sent again meanwhile."""
        return isinstance(item, Framed) and self._request_of(item.raw) is not None

    def _request_of(self, reply: bytes) -> bytes | None:
        sent = self._sent.get(reply[6])
        if sent is None or reply[4] != sent[4] - REPLY_STEP or reply[7:11] != sent[7:11]:
            return None
        return sent

    def _accept(self, reply: bytes) -> None:
        """Tell who wants to know which request the server has accepted, be it late."""
        sent = self._request_of(reply)
        if sent is not None and len(reply) >= _REPLY_SIZE and reply[12] == 1:
            del self._sent[reply[6]]
            if self._bench.accepted is not None:
                self._bench.accepted(sent)


_AGAIN = "to send again what was damaged on purpose"
CLOSED = "the server closed the connection"
_REPLY_SIZE = 23
"""Bytes of a frame that accepts a request."""


def reply_text(fields: dict[str, Any]) -> str:
    """Return what a reply tells, for people."""
    told = [f"status {fields['status']}"] if "status" in fields else []
    if "time" in fields:
        told.append(f"time {utc_text(fields['time'])}")
    if "next_heartbeat" in fields:
        told.append(f"next heartbeat in {fields['next_heartbeat']} s")
    return ", ".join(told) or "a reply that says nothing"
