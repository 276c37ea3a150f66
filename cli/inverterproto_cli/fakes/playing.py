"""Sending a device's frames as they were captured, and looking at what a server replies.

Each frame that wants a reply is sent when the one before is answered, or when the patience for that
is over. A frame that was damaged on purpose is sent again whole, and only that one counts.
"""

import asyncio
from random import Random
from time import perf_counter, time

from inverterproto.deye.bodies import COMMAND
from inverterproto.deye.commands import reply
from inverterproto.deye.frame import FRAMING, Frame
from inverterproto.deye.messages import REPLY_STEP, Message
from inverterproto.stream import Framed, StreamDecoder
from inverterproto_cli.fakes.captured import Captured, renumbered
from inverterproto_cli.fakes.loggers import CLOSED, Bench, reply_text
from inverterproto_cli.fakes.trouble import CLOSED_AT_ONCE
from inverterproto_cli.fakes.wire import Faults, Wire

_READ = 65536


async def play(
    frames: list[Captured], number: int, bench: Bench, *, interval: float | None
) -> None:
    """Send the frames of a capture on one connection, until all are sent or the time is over.

    Args:
        frames: of the capture.
        number: of the connection: each but the first has loggers of its own.
        bench: what all connections share.
        interval: seconds between frames; None for the capture's own times, by the bench's speed.

    Raises:
        OSError: the server is not there.
    """
    await _Player(renumbered(frames, number), number, bench, interval).run()


class _LostError(Exception):
    """The connection has ended."""


class _Player:
    def __init__(
        self, frames: list[Captured], number: int, bench: Bench, interval: float | None
    ) -> None:
        self._frames = frames
        self._bench = bench
        self._interval = interval
        self._chance = Random(f"{bench.seed} {number}")  # noqa: S311 - no secret
        self._faults = Faults(self._chance) if bench.faults else None
        self._waiting: list[Frame] = []
        self._given_up: set[tuple[int, int]] = set()  # of which replies may still come

    async def run(self) -> None:
        """Send all."""
        await self._connect()
        loop = asyncio.get_running_loop()
        begin, first = loop.time(), next((f.at for f in self._frames if f.at is not None), None)
        try:
            for number, frame in enumerate(self._frames):
                due = begin if self._interval is None else begin + number * self._interval
                if self._interval is None and frame.at is not None and first is not None:
                    due = begin + (frame.at - first) / self._bench.speed
                await self._wait_until(due)
                if self._bench.over(time()):
                    break
                await self._send(number + 1, frame)
        except (_LostError, OSError) as error:
            self._bench.tally.blame(str(error))
        finally:
            self._wire.close()

    async def _connect(self) -> None:
        self._reader, writer = await self._bench.connect()
        self._decoder = StreamDecoder(FRAMING)
        self._heard = False
        self._waiting.clear()
        self._wire = Wire(
            writer, self._chance, fragment=self._bench.fragment, silence=self._bench.wait
        )

    async def _wait_until(self, due: float) -> None:
        """Wait until a frame is due by the loop's clock, or the time is over."""
        bench, clock = self._bench, asyncio.get_running_loop().time
        while (rest := due - clock()) > 0 and not bench.over(time()):
            await bench.sleep(max(0.001, min(rest, bench.until - time())))

    async def _send(self, number: int, captured: Captured) -> None:
        """Send a frame, perhaps damaged at first, and look at the reply."""
        if fault := "" if self._faults is None else self._faults.choose():
            self._bench.tally.noted[f"made on purpose: {fault}"] += 1
            self._given_up.add(_key(captured.raw))
            self._wire.send(captured.raw, fault)
            if self._wire.over:
                self._wire.close()
                await self._connect()
        self._wire.send(captured.raw)
        await self._wire.drained(self._bench.wait)
        what = f"frame {number} ({captured.name})"
        if not captured.wants_reply:
            self._show(f"{what}: sent, no reply is due")
            return
        tally = self._bench.tally
        begin = perf_counter()
        patience = min(self._bench.wait + self._wire.delay, self._bench.last - time())
        try:
            found = await self._bench.unless_stopped(self._reply(captured.raw), patience)
        except TimeoutError:
            tally.missing(f"{what} within {max(patience, 0.0):.3g} s")
            self._given_up.add(_key(captured.raw))
            return
        except (_LostError, OSError):
            tally.missing(what)
            raise
        tally.sent += 1
        tally.reply(perf_counter() - begin)
        self._show(f"{what}: {reply_text(Message.parse(found).fields)}")
        if problem := _problem(Frame.parse(captured.raw), found):
            tally.blame(f"reply to {what}: {problem}")

    async def _reply(self, request: bytes) -> Frame:
        """Return the next frame that is a reply to a request, right or wrong."""
        while True:
            frame = await self._next()
            key = frame.message_type, frame.sequence[1]
            if frame.message_type == COMMAND:
                self._show("the server commands something: not answered")
            elif key == _key(request) or key not in self._given_up:
                return frame
            else:
                self._given_up.discard(key)

    async def _next(self) -> Frame:
        """Return the next frame of the server's.

        Raises:
            _LostError: the server closed the connection.
        """
        while not self._waiting:
            chunk = await self._reader.read(_READ)
            for item in self._decoder.feed(chunk) if chunk else self._decoder.flush():
                if isinstance(item, Framed):
                    self._waiting.append(item.frame)
                else:
                    text = "bytes that are no frame came from the server"
                    self._bench.tally.blame(f"{text} ({item.reason})")
            self._heard = self._heard or bool(chunk)
            if not chunk and not self._waiting:
                raise _LostError(CLOSED if self._heard else CLOSED_AT_ONCE)
        return self._waiting.pop(0)

    def _show(self, text: str) -> None:
        if self._bench.show is not None:
            self._bench.show(text)


def _key(request: bytes) -> tuple[int, int]:
    """Return message type and second counter of the reply to a request."""
    return request[4] - REPLY_STEP, request[6]


def _problem(request: Frame, found: Frame) -> str:
    """Say what is wrong with a reply."""
    message = Message.parse(found)
    told = message.fields
    if "time" not in told or "next_heartbeat" not in told:
        return f"a payload of {len(found.payload)} bytes, expected 10"
    right = reply(request, told["time"], next_heartbeat=told["next_heartbeat"])
    pairs = (
        ("control code", f"{found.control_code:#06x}", f"{right.control_code:#06x}"),
        ("counters", str(found.sequence), str(right.sequence)),
        ("logger", str(found.logger_serial), str(right.logger_serial)),
        ("payload", f"of {len(found.payload)} bytes", f"of {len(right.payload)} bytes"),
        ("frame type", f"{found.payload[0]:#04x}", f"{right.payload[0]:#04x}"),
        ("status", str(found.payload[1]), "1"),
    )
    return "; ".join(
        f"{name} {is_}, expected {wanted}" for name, is_, wanted in pairs if is_ != wanted
    )
