"""The event loop of everything that talks: uvloop's, where it is installed, else asyncio's own."""

import asyncio
from collections.abc import Awaitable, Callable


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Run a coroutine to its end."""
    factory = None
    try:
        import uvloop
    except ImportError:
        pass
    else:
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_awaited(main))


async def _awaited(main: Callable[[], Awaitable[None]]) -> None:
    await main()
