"""Sending a battery's messages one after another, each reply awaited and looked at."""

import asyncio
from collections.abc import Callable
from time import perf_counter, time

import click

from inverterproto.alphaess.commands import SUCCESS, reply
from inverterproto.alphaess.frame import FRAMING, Frame
from inverterproto.alphaess.messages import Message
from inverterproto.errors import ProtocolError
from inverterproto.stream import Framed, StreamDecoder
from inverterproto_cli.address import Address
from inverterproto_cli.fakes.exchange import Tally
from inverterproto_cli.fakes.payload_files import Payload

_SHOWN = 160
_RAMP = 100
"""Connections that are made at once."""
Show = Callable[[str], object] | None


class LostError(Exception):
    """The server is not there, or no longer."""


class Line:
    """A connection to a server.

    Args:
        reader: what it says.
        writer: what it is told.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self._decoder = StreamDecoder(FRAMING)
        self._frames: list[Frame] = []
        self.stray = 0

    async def next_frame(self) -> Frame:
        """Return the next frame that comes.

        Raises:
            LostError: the server closed the connection.
        """
        while not self._frames:
            chunk = await self._reader.read(65536)
            items = self._decoder.feed(chunk) if chunk else self._decoder.flush()
            self._frames += [item.frame for item in items if isinstance(item, Framed)]
            self.stray += sum(len(item.raw) for item in items if not isinstance(item, Framed))
            if not chunk and not self._frames:
                raise LostError("the server closed the connection")
        return self._frames.pop(0)


def send_all(
    address: Address,
    payloads: list[Payload],
    tally: Tally,
    *,
    interval: float,
    loops: int,
    connections: int,
    offset: float | None,
    wait: float,
    show: Show,
) -> None:
    """Send messages to a server, on some connections at once.

    Args:
        address: of the server.
        payloads: the messages, in order.
        tally: counts.
        interval: seconds between two messages.
        loops: how often all are sent.
        connections: how many do it at once.
        offset: times in the messages become now and so many seconds; None leaves them.
        wait: seconds for a reply.
        show: is told each reply, if there is one connection.

    Raises:
        click.ClickException: the server is not there.
    """

    async def one(ramp: asyncio.Semaphore) -> None:
        async with ramp:
            reader, writer = await asyncio.open_connection(*address)
        line = Line(reader, writer)
        try:
            for number in range(loops * len(payloads)):
                if number and interval:
                    await asyncio.sleep(interval)
                payload = payloads[number % len(payloads)]
                at = None if offset is None else time() + offset
                await _exchange(line, payload, payload.build(at), tally, wait, show)
        except (LostError, OSError) as error:
            tally.wrong[str(error)] += 1
        finally:
            if line.stray:
                tally.wrong["bytes that are no frame came from the server"] += 1
            writer.close()

    async def all_of_them() -> None:
        ramp = asyncio.Semaphore(_RAMP)
        async with asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(one(ramp))

    try:
        asyncio.run(all_of_them())
    except* OSError as errors:
        first = errors.exceptions[0]
        raise click.ClickException(
            f"{address}: {getattr(first, 'strerror', None) or first}"
        ) from None


def _wanted(data: bytes) -> tuple[int, int] | None:
    """Return direction and command of the reply to a frame, or None if it wants none."""
    try:
        expected = reply(Frame.parse(data))
    except ProtocolError:
        return None
    return expected.direction, expected.command


async def _exchange(
    line: Line, payload: Payload, data: bytes, tally: Tally, wait: float, show: Show
) -> None:
    """Send a frame and look at what comes back."""
    line.writer.write(data)
    await line.writer.drain()
    wanted = _wanted(data)
    if wanted is None:
        _say(show, f"{payload.name}: sent, no reply is due")
        return
    tally.sent += 1
    begin = perf_counter()
    try:
        async with asyncio.timeout(wait):
            while True:
                frame = await line.next_frame()
                message = Message.parse(frame)
                if message.name == "command":
                    _say(show, f"the server commands: {_text(frame)}")
                    continue
                break
    except TimeoutError:
        tally.wrong[f"no reply to {payload.name} within {wait:g} s"] += 1
        return
    tally.reply(perf_counter() - begin)
    code = frame.direction, frame.command
    _say(show, f"{payload.name}: {frame.version},{code[0]},{code[1]} {_text(frame)}")
    if code != wanted:
        tally.wrong[f"reply to {payload.name}: {code} instead of {wanted}"] += 1
    elif message.fields.get("Status") != SUCCESS:
        tally.wrong[f"reply to {payload.name}: no Status {SUCCESS}"] += 1


def _text(frame: Frame) -> str:
    text = frame.payload.decode("utf-8", "replace")
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _say(show: Show, text: str) -> None:
    if show is not None:
        show(text)
