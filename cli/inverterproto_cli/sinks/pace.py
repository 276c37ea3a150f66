"""How much of the machine the sinks' thread takes: all that is left, but little while it is busy.

Threads of one program share one interpreter. While devices keep the others at work, this one takes
a fiftieth of the time; what it does not get done then waits on disk. The others are busy if they
have taken most of the time, or if the main thread does not answer at once: on a machine that has
other things to do, too, it waits for its turn and takes little.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic, process_time, thread_time

SHARE = 0.02
"""The share of the time that is taken while the others are busy. It costs them more than that: who
has the interpreter is waited for, and files share the store's disk."""
BUSY = 0.5
"""The others are busy if they take so great a share of the time."""
PROMPT = 0.003
"""Seconds within which a main thread answers that has nothing to do."""
LONGEST = 2.0
"""Seconds of one rest, at most."""
_LEAST = 0.01
"""Seconds that are too short to be measured."""


async def _not_asked() -> None:
    """Be a main thread that has nothing to do."""


class Pace:
    """Lets the thread rest as long as it must; for all that runs in its loop.

    Args:
        knock: returns when the main thread has answered.
        ticks: tells seconds.
        own: tells the thread's processor time in seconds.
        whole: tells that of the whole program.
        sleep: lets seconds pass.
    """

    def __init__(
        self,
        knock: Callable[[], Awaitable[object]] = _not_asked,
        *,
        ticks: Callable[[], float] = monotonic,
        own: Callable[[], float] = thread_time,
        whole: Callable[[], float] = process_time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._knock = knock
        self._ticks = ticks
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
            busy = whole - own > BUSY * span or not await self._is_prompt()
            await self._sleep(max(0.0, min(own / SHARE - span, LONGEST)) if busy else 0)
            self._before = [read() for read in self._read]

    async def _is_prompt(self) -> bool:
        asked = self._ticks()
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST):
                await self._knock()
        return self._ticks() - asked < PROMPT
