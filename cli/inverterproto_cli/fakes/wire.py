"""What leaves a simulated device, cut and coalesced, and damaged where that is wanted.

Theory of operation
-------------------
A device writes frames, TCP carries bytes: a server must take a frame in pieces, and several at
once. With `fragment`, what is written waits a few milliseconds, in which more may come, and leaves
in pieces of any size, each a segment of its own.

A *fault* is made of one frame, on purpose: junk before it; a damaged checksum; a reset in the
middle of it; a half-close behind it; silence, in which it and all that follows wait. Who sends
chooses (`Faults`) and knows by it what to expect. After a reset or a half-close the wire takes
nothing more.

All chances come from the generator that is given, so that they are the same again by its seed.
"""

import asyncio
import socket
import struct
from random import Random

FAULTS = ("junk", "bad checksum", "reset", "half-close", "silence")
JUNK, BAD_CHECKSUM, RESET, HALF_CLOSE, SILENCE = FAULTS
ENDING = (RESET, HALF_CLOSE)
"""The faults that end a connection."""

ONE_IN = 50
"""One frame in so many has a fault."""
_MOST_JUNK = 60
_MOST_HELD = 1 << 20
"""Bytes that may wait, whatever the reason: a server may ask without end."""
_LONGEST_WAIT = 0.01
"""Seconds that a piece waits for what comes behind it."""
_LINGER_NOT = struct.pack("ii", 1, 0)


class Faults:
    """Chooses faults.

    Args:
        chance: makes the choices.
        one_in: one frame in so many has a fault.
    """

    def __init__(self, chance: Random, one_in: int = ONE_IN) -> None:
        self._chance = chance
        self._one_in = one_in

    def choose(self) -> str:
        """Return the fault that the next frame has: mostly none, which is an empty text."""
        return "" if self._chance.randrange(self._one_in) else self._chance.choice(FAULTS)


class Wire:
    """The device's side of a connection, for writing.

    Args:
        writer: the connection.
        chance: of the cuts and the damage.
        fragment: whether to cut and coalesce.
        silence: seconds that a silence takes at the most.

    Attributes:
        over: whether a fault has ended the connection.
    """

    def __init__(
        self,
        writer: asyncio.StreamWriter,
        chance: Random,
        *,
        fragment: bool = False,
        silence: float = 20.0,
    ) -> None:
        self.over = False
        self._writer = writer
        self._chance = chance
        self._fragment = fragment
        self._silence = silence
        self._held = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._leaves_at = 0.0  # of the timer, by the loop's clock: uvloop's own may not tell
        self._loop = asyncio.get_running_loop()

    @property
    def delay(self) -> float:
        """Seconds until what waits leaves."""
        return 0.0 if self._timer is None else max(0.0, self._leaves_at - self._loop.time())

    def send(self, frame: bytes, fault: str = "") -> None:
        """Send a frame, with one of `FAULTS` or none."""
        if self.over:
            return
        if fault == JUNK:
            self._held += self._chance.randbytes(self._chance.randint(1, _MOST_JUNK))
        elif fault == BAD_CHECKSUM:
            wrong = frame[-2] ^ self._chance.randint(1, 255)
            frame = frame[:-2] + bytes((wrong, frame[-1]))
        elif fault == RESET:
            frame = frame[: self._chance.randrange(len(frame))]
        elif fault == SILENCE:
            self._wait(self._chance.uniform(0, self._silence))
        self._held += frame
        if fault in ENDING:
            self._end(fault)
        elif self._timer is None:
            self._release()

    async def drained(self, seconds: float) -> None:
        """Wait until the other end has taken so much that there is room for more.

        Raises:
            OSError: it takes nothing for so long, or is gone.
        """
        if len(self._held) > _MOST_HELD:
            self._flush()
        try:
            async with asyncio.timeout(seconds):
                await self._writer.drain()
        except TimeoutError:
            self._writer.transport.abort()
            raise ConnectionAbortedError("the server takes nothing") from None

    def close(self) -> None:
        """End the connection; what waits leaves before."""
        self._flush()
        self._writer.close()

    def _release(self) -> None:
        if self._fragment:
            self._wait(self._chance.uniform(0, _LONGEST_WAIT))
        else:
            self._flush()

    def _wait(self, seconds: float) -> None:
        """Hold all back for some time."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._leave)
        self._leaves_at = self._loop.time() + seconds

    def _leave(self) -> None:
        """Let go what has waited, or a piece of it."""
        self._timer = None
        if not self._fragment:
            self._flush()
            return
        whole = len(self._held)
        size = (
            whole if self._chance.randrange(3) == 0 else self._chance.randint(min(1, whole), whole)
        )
        self._write(size)
        if self._held:
            self._release()

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._write(len(self._held))

    def _write(self, size: int) -> None:
        if size and not self._writer.is_closing():
            self._writer.write(bytes(self._held[:size]))
        del self._held[:size]

    def _end(self, fault: str) -> None:
        """End the connection as a fault does."""
        self._flush()
        self.over = True
        if fault == HALF_CLOSE:
            if not self._writer.is_closing():
                self._writer.write_eof()
            return
        connection = self._writer.get_extra_info("socket")
        if connection is not None and connection.fileno() >= 0:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self._writer.transport.abort()
