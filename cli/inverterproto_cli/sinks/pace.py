"""How much of the machine the sinks' thread takes: all that is left, but little while it is busy.

Threads of one program share one interpreter. While devices keep the others at work, this one takes
a twentieth of the time; what it does not get done then waits on disk. It is measured in processor
time, so a machine that is busy with something else is no reason to rest.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic, process_time, thread_time

SHARE = 0.05
"""The share of the time that is taken while the others are busy."""
BUSY = 0.5
"""The others are busy if they take so great a share of the time."""
LONGEST = 1.0
"""Seconds of one rest, at most."""
_LEAST = 0.01
"""Seconds that are too short to be measured."""


class Pace:
    """Lets the thread rest as long as it must; for all that runs in its loop.

    Args:
        ticks: tells seconds.
        own: tells the thread's processor time in seconds.
        whole: tells that of the whole program.
        sleep: lets seconds pass.
    """

    def __init__(
        self,
        *,
        ticks: Callable[[], float] = monotonic,
        own: Callable[[], float] = thread_time,
        whole: Callable[[], float] = process_time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._read = ticks, own, whole
        self._sleep = sleep
        self._lock = asyncio.Lock()
        self._before = [read() for read in self._read]

    async def rest(self) -> None:
        """Rest, if what was done since the last rest was too much; else only let others run."""
        async with self._lock:
            now = [read() for read in self._read]
            span, own, whole = (
                after - before for after, before in zip(now, self._before, strict=True)
            )
            if span < _LEAST:
                await self._sleep(0)
                return
            busy = whole - own > BUSY * span
            await self._sleep(max(0.0, min(own / SHARE - span, LONGEST)) if busy else 0)
            self._before = [read() for read in self._read]
