"""Sending a battery's messages one after another, each reply awaited and looked at.

What a server does wrong is told with the file whose reply it spoils: none in time, one of another
class, one without Success, a connection that ends. A reply that comes after its time is known by
its command: it is waited past, so that it does not spoil what follows. Commands of the server are
shown and not obeyed: what is sent is what stands in the files.
"""

import asyncio
from collections import deque
from contextlib import suppress
from time import perf_counter, time
from typing import NamedTuple

from inverterproto.alphaess.commands import SUCCESS, reply
from inverterproto.alphaess.frame import FRAMING, Frame
from inverterproto.alphaess.messages import Message
from inverterproto.errors import ProtocolError
from inverterproto.stream import Framed, StreamDecoder
from inverterproto_cli.address import Address
from inverterproto_cli.fakes.connecting import Call, reason_of, run_all
from inverterproto_cli.fakes.exchange import Tally
from inverterproto_cli.fakes.payload_files import Payload
from inverterproto_cli.fakes.shown import Code, Exchange, Show, code_of, shown
from inverterproto_cli.zone import utc_offset

_SHOWN_STATUS = 40


class Plan(NamedTuple):
    """What is sent on each connection.

    Attributes:
        payloads: the messages, in order.
        interval: seconds between two messages.
        loops: how often all are sent.
        offset: times in the messages become local time and so many seconds; None leaves them.
        wait: seconds for a reply.
    """

    payloads: list[Payload]
    interval: float = 0.0
    loops: int = 1
    offset: float | None = None
    wait: float = 10.0


class _Line:
    """A connection to a server.

    Attributes:
        number: of the connection.
        writer: what the server is told.
        missed: replies that did not come in time.
    """

    def __init__(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.number = number
        self.writer = writer
        self.missed: list[Code] = []
        self._reader = reader
        self._decoder = StreamDecoder(FRAMING)
        self._frames: deque[Frame] = deque()
        self._received = self._framed = 0

    @property
    def unframed(self) -> int:
        """Bytes that came and are part of no whole frame."""
        return self._received - self._framed

    async def next_frame(self) -> Frame:
        """Return the next frame that comes.

        Raises:
            ConnectionError: the server closed the connection.
        """
        while not self._frames:
            chunk = await self._reader.read(65536)
            if not chunk:
                raise ConnectionAbortedError("the server closed the connection")
            self._received += len(chunk)
            for item in self._decoder.feed(chunk):
                if isinstance(item, Framed):
                    self._framed += len(item.raw)
                    self._frames.append(item.frame)
        return self._frames.popleft()


def send_all(
    address: Address,
    plan: Plan,
    connections: int,
    tally: Tally,
    show: Show,
    lasting: float | None = None,
) -> None:
    """Send messages to a server, on some connections at once, until all is sent or it is stopped.

    Args:
        address: of the server.
        plan: what to send.
        connections: how many do it at once.
        tally: counts.
        show: is told each exchange.
        lasting: seconds after which it ends, done or not.

    Raises:
        click.ClickException: the server is not there.
    """

    async def one(number: int, call: Call) -> None:
        await _send(_Line(number, *await call()), plan, tally, show)

    run_all(address, connections, one, tally, lasting)


async def _send(line: _Line, plan: Plan, tally: Tally, show: Show) -> None:
    """Send all messages on a connection, and end it."""
    count = plan.loops * len(plan.payloads)
    try:
        for number in range(count):
            if number and plan.interval:
                await asyncio.sleep(plan.interval)
            payload = plan.payloads[number % len(plan.payloads)]
            if not await _exchange(line, payload, plan, tally, show):
                left = count - number - 1
                if left:
                    tally.blame(f"connection lost: {left:,} of {count:,} messages were not sent")
                break
        if line.unframed:
            tally.blame("bytes came that are no frame")
    finally:
        line.writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(plan.wait):
                await line.writer.wait_closed()


async def _exchange(line: _Line, payload: Payload, plan: Plan, tally: Tally, show: Show) -> bool:
    """Send a frame and look at what comes back; return whether the connection is still there."""
    now = time()
    data = payload.build(None if plan.offset is None else now + utc_offset(now) + plan.offset)
    wanted = _wanted(data)
    begin, before = perf_counter(), line.unframed
    frame, problem, alive = None, "", True
    try:
        async with asyncio.timeout(plan.wait):
            line.writer.write(data)
            await line.writer.drain()
            if wanted is not None:
                frame = await _next_reply(line, wanted, show)
    except TimeoutError:
        if wanted is None:
            problem = f"the server did not take it within {plan.wait:g} s"
        else:
            problem = f"no reply within {plan.wait:g} s"
            line.missed.append(wanted)
    except OSError as error:
        problem = f"no reply: {reason_of(error)}"
        alive = False
    seconds = perf_counter() - begin
    if frame is None and (more := line.unframed - before):
        problem += f"; {more:,} bytes came that are no whole frame"
    if frame is not None and wanted is not None:
        problem = _wrong(frame, wanted)
        tally.reply(seconds)
    tally.sent += wanted is not None
    if problem:
        tally.blame(f"{payload.name}: {problem}")
    taken = None if frame is None else seconds
    show(Exchange("exchange", line.number, payload.name, data, frame, taken, problem))
    return alive


async def _next_reply(line: _Line, wanted: Code, show: Show) -> Frame:
    """Return the next frame that is no command, and answers nothing that was given up."""
    while True:
        frame = await line.next_frame()
        code = code_of(frame)
        if Message.parse(frame).name == "command":
            show(Exchange("command", line.number, reply=frame))
        elif code != wanted and code in line.missed:
            line.missed.remove(code)
            show(Exchange("late", line.number, reply=frame))
        else:
            return frame


def _wanted(data: bytes) -> Code | None:
    """Return what the reply to a frame is, or None if none is due."""
    try:
        return code_of(reply(Frame.parse(data)))
    except ProtocolError:
        return None


def _wrong(frame: Frame, wanted: Code) -> str:
    """Return what is wrong with a reply."""
    if code_of(frame) != wanted:
        return f"the reply is {shown(code_of(frame))}, not {shown(wanted)}"
    fields = Message.parse(frame).fields
    if "Status" not in fields:
        return "the reply has no Status"
    if fields["Status"] != SUCCESS:
        return f"the reply's Status is {str(fields['Status'])[:_SHOWN_STATUS]!r}, not {SUCCESS!r}"
    return ""
