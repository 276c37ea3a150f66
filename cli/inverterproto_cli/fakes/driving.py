"""Lets a simulated battery live: its connections to a server, one after the other.

Theory of operation
-------------------
*Time* is the battery's own. It begins now and passes `speed` times as fast, but never past a
message that is not answered: while a reply is awaited the battery's time stands still, and what is
due meanwhile is done at its time, afterwards. So no message is left out however slow the server or
the machine is, and any speed is as fast as the server answers. A reply that does not come within
`wait` seconds of ours is missing; for the battery its own patience is over then.

*Reconnecting.* When a connection ends, the battery connects again after some seconds of its time,
each time twice as many while nothing is answered, and streams on without a login. Only where a
server was never there it gives up.

*Faults* that it makes on purpose (`wire.py`) are nobody else's: what they cost in answers and
connections is noted, and nothing is wrong with it.

*Accepted.* Replies name no more than the command. A server answers in the order in which it was
asked, so a reply is that to the first frame of its command that reached the server whole and is not
answered yet, however late it comes.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from random import Random
from time import perf_counter, time
from typing import NamedTuple

from inverterproto.alphaess.battery import Battery
from inverterproto.alphaess.battery_session import REPLY_WAIT, BatterySession
from inverterproto.alphaess.commands import SUCCESS
from inverterproto.alphaess.frame import FRAMING, REPLY, REQUEST, Frame
from inverterproto.alphaess.messages import Message, code_of
from inverterproto.session import Action, Answer, Close, Send
from inverterproto.stream import Framed, StreamDecoder
from inverterproto_cli.address import Address
from inverterproto_cli.fakes.connecting import (
    Call,
    Streams,
    UnreachableError,
    reason_of,
    run_all,
)
from inverterproto_cli.fakes.exchange import Tally
from inverterproto_cli.fakes.household import DAY
from inverterproto_cli.fakes.serials import FIRST_BATTERY
from inverterproto_cli.fakes.shown import Exchange, Show
from inverterproto_cli.fakes.simulated import simulated_battery
from inverterproto_cli.fakes.trouble import CLOSED_AT_ONCE, Trouble
from inverterproto_cli.fakes.wire import BAD_CHECKSUM, RESET, Faults, Wire

_FIRST_PAUSE, _LONGEST_PAUSE = 4.0, 120.0
"""Seconds from the end of a connection to the next one, by the battery's clock."""
_SHORTEST_PAUSE = 0.05
"""Seconds that a pause takes at least, however fast the battery lives."""


class Clock:
    """A clock that runs faster.

    Args:
        speed: how many of its seconds pass in one.
    """

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed
        self._begin = time()

    def now(self) -> float:
        """Return its unix time."""
        return self._begin + (time() - self._begin) * self._speed

    def real(self, seconds: float) -> float:
        """Return how long so many of its seconds take."""
        return seconds / self._speed


_QUIET = Trouble(quiet=True)


class Bench(NamedTuple):
    """What all batteries of a test bench share.

    Attributes:
        clock: how fast time passes.
        until: when all ends, by that clock.
        wait: seconds, in real time, for a reply.
        tally: counts.
        show: is told each exchange.
        trouble: says what is in the way.
        fragment: whether to cut and coalesce what is sent.
        faults: whether to damage some of it.
        seed: of all chances.
        accepted: is called with each request of which the server said that it has it.
    """

    clock: Clock
    until: float
    wait: float
    tally: Tally
    show: Show
    trouble: Trouble = _QUIET
    fragment: bool = False
    faults: bool = False
    seed: int = 0
    accepted: Callable[[bytes], object] | None = None


class Life:
    """A battery's life on a test bench.

    Args:
        number: of the battery.
        battery: whose life it is.
        begin: unix time at which it begins.
        bench: where.
    """

    def __init__(self, number: int, battery: Battery, begin: float, bench: Bench) -> None:
        self._number = number
        self._battery = battery
        self._lived = begin  # until when it has lived
        self._bench = bench
        self._heard = False  # whether anything was answered on this connection
        self._asked: dict[int, tuple[float, bytes]] = {}  # when, and what: by command
        self._chance = Random(f"{bench.seed} {battery.serial}")  # noqa: S311 - no secret
        self._faults = Faults(self._chance) if bench.faults else None
        # What reached the server on this connection and is not answered yet, by command.
        self._whole: defaultdict[int, deque[bytes]] = defaultdict(deque)

    async def live(self, call: Call) -> None:
        """Live until the end.

        Args:
            call: connects to the server.

        Raises:
            UnreachableError: the server is not there, and never was.
        """
        streams = await call()
        pause = _FIRST_PAUSE
        while (lost := await self._talk(streams)) is not None:
            pause = _FIRST_PAUSE if self._heard else min(2 * pause, _LONGEST_PAUSE)
            while True:
                if not await self._rest(pause, lost):
                    return
                try:
                    streams = await call()
                    break
                except UnreachableError as error:
                    lost = str(error)
                    pause = min(2 * pause, _LONGEST_PAUSE)

    async def _rest(self, pause: float, lost: str) -> bool:
        """Let some time pass after a connection was lost; return whether life goes on."""
        bench = self._bench
        if bench.faults:
            bench.tally.noted[lost] += 1
        else:
            bench.trouble.lost(self._battery.serial, lost, pause)
        await asyncio.sleep(max(bench.clock.real(pause), _SHORTEST_PAUSE))
        self._lived += pause
        if self._lived < bench.until:
            return True
        if not bench.faults:
            bench.tally.blame(f"no connection at the end: {lost}")
        return False

    async def _talk(self, streams: Streams) -> str | None:
        """Be the battery on one connection; return why it ended too early, if it did."""
        reader, writer = streams
        bench = self._bench
        session = BatterySession(self._battery, self._lived)
        wire = Wire(writer, self._chance, fragment=bench.fragment, silence=2 * bench.wait)
        self._heard = False
        self._whole.clear()
        try:
            await self._stream(session, reader, wire)
        except OSError as error:
            self._carry_out(session.end(self._lived), wire)
            self._asked.clear()
            return f"the connection ended: {reason_of(error)}"
        finally:
            wire.close()
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(1):
                    await writer.wait_closed()
        return None

    async def _stream(
        self, session: BatterySession, reader: asyncio.StreamReader, wire: Wire
    ) -> None:
        bench, clock = self._bench, self._bench.clock
        decoder, heard = StreamDecoder(FRAMING), False
        while self._lived < bench.until:
            self._carry_out(session.poll(self._lived), wire)
            due = min(session.due, bench.until)
            if wire.over:
                patience = bench.wait  # within which the server ends it, too
            elif self._asked:
                patience = min(at for at, _ in self._asked.values()) + bench.wait - perf_counter()
            elif due <= self._lived:
                continue
            else:
                patience = clock.real(due - clock.now())
            try:
                async with asyncio.timeout(max(patience, 0)):
                    await wire.drained(bench.wait)
                    chunk = await reader.read(65536)
            except TimeoutError:
                if wire.over:
                    raise ConnectionAbortedError("it was to end, and the server held it") from None
                self._lived = self._lived + REPLY_WAIT if self._asked else due
                continue
            if not chunk:
                raise ConnectionAbortedError("the server closed it" if heard else CLOSED_AT_ONCE)
            heard = True
            for item in decoder.feed(chunk):
                self._carry_out(session.receive(item, self._lived), wire)
                if isinstance(item, Framed):
                    self._accept(item.frame)

    def _carry_out(self, actions: Iterable[Action], wire: Wire) -> None:
        for action in actions:
            if isinstance(action, Send):
                self._send(action.data, wire)
            elif isinstance(action, Answer):
                self._answered(action)
            elif isinstance(action, Close):
                raise ConnectionAbortedError(action.reason)

    def _send(self, data: bytes, wire: Wire) -> None:
        fault = "" if self._faults is None else self._faults.choose()
        if fault:
            self._bench.tally.noted[f"made on purpose: {fault}"] += 1
        if data[1] == REQUEST:
            self._asked.setdefault(data[2], (perf_counter(), data))
            if fault not in (BAD_CHECKSUM, RESET) and not wire.over:
                self._whole[data[2]].append(data)
        wire.send(data, fault)

    def _accept(self, reply: Frame) -> None:
        """Tell who wants to know which request the server has accepted, be it late."""
        waiting = self._whole[reply.command] if reply.direction == REPLY else None
        if not waiting:
            return
        sent = waiting.popleft()
        accepted = self._bench.accepted
        if accepted is not None and Message.parse(reply).fields.get("Status") == SUCCESS:
            accepted(sent)

    def _answered(self, answer: Answer) -> None:
        """Count a reply, or that none came."""
        name, tally = str(answer.key), self._bench.tally
        asked, sent = self._asked.pop(code_of(name)[1])
        seconds = perf_counter() - asked
        if answer.message is None and self._bench.faults:
            tally.noted[f"{name}: {answer.problem}"] += 1
            return
        tally.sent += 1
        if answer.message is not None:
            self._heard = True
            tally.reply(seconds)
        if answer.problem:
            tally.blame(f"{name}: {answer.problem}")
        frame = None if answer.message is None else answer.message.frame
        taken = None if frame is None else seconds
        self._bench.show(
            Exchange("exchange", self._number, name, sent, frame, taken, answer.problem, lived=True)
        )


def live_all(
    address: Address,
    count: int,
    tally: Tally,
    show: Show,
    *,
    speed: float = 1.0,
    wait: float = 10.0,
    lasting: float | None = None,
    trouble: Trouble,
    first_serial: str = FIRST_BATTERY,
) -> None:
    """Let some batteries live through a day, or until they are stopped.

    Args:
        address: of the server.
        count: of batteries.
        tally: counts.
        show: is told each exchange.
        speed: how much faster than life.
        wait: seconds for a reply.
        lasting: seconds after which it ends, day or not.
        trouble: says what is in the way.
        first_serial: of the first battery.

    Raises:
        click.ClickException: the server is not there.
    """
    clock = Clock(speed)
    begin = clock.now()
    bench = Bench(clock, begin + DAY, wait, tally, show, trouble)

    async def one(number: int, call: Call) -> None:
        battery = simulated_battery(number, begin, first_serial)
        await Life(number, battery, begin, bench).live(call)

    run_all(address, count, one, tally, lasting)
