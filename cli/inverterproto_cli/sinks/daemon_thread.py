"""A thread that does one thing, which the program does not wait for at its end.

A disk may hang for ever, and a thread with it. The threads of `asyncio.to_thread` are waited for
when the program ends; these are not. Who is cancelled while it waits leaves its thread at work.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Any, TypeVar

AT_THE_END = 1.5
"""Seconds that a thread has at the end: less than a sink has to close (`delivery.py`)."""

_Result = TypeVar("_Result")


def begin(job: Callable[[], _Result]) -> "asyncio.Future[_Result]":
    """Begin to do something in a thread; return what will have its result."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_Result] = loop.create_future()

    def tell(act: Callable[[Any], None], what: object) -> None:
        if not done.done():
            act(what)

    def work() -> None:
        act: Callable[[Any], None]
        try:
            act, what = done.set_result, job()
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            act, what = done.set_exception, error  # type: ignore[assignment]
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(tell, act, what)

    Thread(target=work, name="sink-at-work", daemon=True).start()
    return done


async def ended(work: "asyncio.Future[Any]") -> bool:
    """Wait until a thread has ended, for a while; return whether it has."""
    done, _ = await asyncio.wait([work], timeout=AT_THE_END)
    for one in done:
        if not one.cancelled():
            one.exception()  # nobody else may ask for it any more
    return bool(done)
