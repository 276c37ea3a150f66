"""Lets a device's session talk to a server over a socket, in time that may run faster.

The session's time is its own: it begins now, and passes `speed` times as fast. What the session
wants to send is sent, what comes is given to it, and between that it is polled when it says.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from time import time

from inverterproto.session import Action, Answer, Close, Send, Session
from inverterproto.stream import Framing, StreamDecoder
from inverterproto_cli.address import Address
from inverterproto_cli.fakes.exchange import Tally

_LONGEST_SLEEP = 1.0


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


async def drive(
    session: Session,
    address: Address,
    framing: Framing,
    clock: Clock,
    until: float,
    tally: Tally,
    begin: Iterable[Action] = (),
) -> None:
    """Let a session talk until some time by its clock.

    Raises:
        OSError: the server is not there, or no longer.
    """
    reader, writer = await asyncio.open_connection(*address)
    decoder = StreamDecoder(framing)
    try:
        _carry_out(begin, writer, tally, clock)
        while (now := clock.now()) < until:
            _carry_out(session.poll(now), writer, tally, clock)
            await writer.drain()
            pause = clock.real(min(session.due, until) - clock.now())
            with suppress(TimeoutError):
                async with asyncio.timeout(min(max(pause, 0.0), _LONGEST_SLEEP)):
                    chunk = await reader.read(65536)
                    if not chunk:
                        raise ConnectionResetError("the server closed the connection")
                    for item in decoder.feed(chunk):
                        _carry_out(session.receive(item, clock.now()), writer, tally, clock)
    finally:
        writer.close()


def _carry_out(
    actions: Iterable[Action], writer: asyncio.StreamWriter, tally: Tally, clock: Clock
) -> None:
    for action in actions:
        if isinstance(action, Send):
            writer.write(action.data)
        elif isinstance(action, Answer):
            tally.sent += 1
            if action.message is not None:
                tally.reply(clock.real(action.seconds))
            if action.problem:
                tally.wrong[f"{action.key}: {action.problem}"] += 1
        elif isinstance(action, Close):
            raise ConnectionAbortedError(action.reason)
