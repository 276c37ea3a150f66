"""Asks the main thread, in its own loop, and waits no longer than a deadline."""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from inverterproto_cli.server.running import Watch, counters

DEADLINE = 2.0
"""Seconds that the main thread has to answer."""


class Told(NamedTuple):
    """What the main thread tells of itself.

    Attributes:
        counters: how much there was of everything, by name.
        trouble: what is wrong with the store, or None.
        pending: bytes of records that are not on disk yet.
        listening: whether devices can connect.
    """

    counters: Mapping[str, int]
    trouble: str | None
    pending: int
    listening: bool


class MainThread:
    """Knows the main thread; made there, in its loop.

    Args:
        watch: looks after the server.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._loop = asyncio.get_running_loop()
        self._asked: asyncio.Future[Told] | None = None

    @property
    def silent(self) -> float:
        """For how many seconds it has not looked after the server."""
        return self._watch.listener.ticks() - self._watch.turned

    async def told(self) -> Told | None:
        """Return what it tells, or None if it does not answer in time.

        What is asked while it has not answered waits for the same answer: however often it is asked
        while it stands, no more than one question waits for it.
        """
        if self._asked is None or self._asked.done():
            answer = self._answer()
            try:
                self._asked = asyncio.wrap_future(
                    asyncio.run_coroutine_threadsafe(answer, self._loop)
                )
            except RuntimeError:  # it is at its end
                answer.close()
                return None
        try:
            return await asyncio.wait_for(asyncio.shield(self._asked), DEADLINE)
        except TimeoutError:
            return None

    async def _answer(self) -> Told:
        listener = self._watch.listener
        store = listener.keeper.store
        return Told(counters(listener), store.trouble, store.pending, listener.listening)
