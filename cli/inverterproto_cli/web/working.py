"""A thread that does what would hold up the loop, for few at once, and at a pace.

While devices keep the machine busy it takes a small share of its time, as sinks do
(`sinks/pace.py`): it rests before its next job. What it spends is its own processor time.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import thread_time
from typing import TypeVar

from inverterproto_cli.sinks.pace import Pace

AT_ONCE = 4
"""Answers at once that need it."""

_Found = TypeVar("_Found")


class BusyError(Exception):
    """There are too many who need it."""


class Worker:
    """A thread of its own; made in the loop that it is for.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._threads = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._left = AT_ONCE
        self._spent = 0.0
        self._pace = Pace(own=lambda: self._spent)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Be one of those who need it.

        Raises:
            BusyError: there is no room for one more.
        """
        if not self._left:
            raise BusyError
        self._left -= 1
        try:
            yield
        finally:
            self._left += 1

    async def do(self, job: Callable[[], _Found]) -> _Found:
        """Do something short, when its turn has come; return what it returns."""
        await self._pace.rest()
        loop = asyncio.get_running_loop()
        found, spent = await loop.run_in_executor(self._threads, _timed, job)
        self._spent += spent
        return found

    def close(self) -> None:
        """Do nothing more; what is being done comes to its end."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _timed(job: Callable[[], _Found]) -> tuple[_Found, float]:
    """Do something; return what it returns, and the processor time that it took."""
    begin = thread_time()
    found = job()
    return found, thread_time() - begin
