"""Stores as a server leaves them, for tests of what looks into them.

`filled` lets real frames go through the sessions and a `Keeper` into a store, at given times, as
the fake server does with what comes in from devices.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from inverterproto.families import FAMILIES, framings
from inverterproto.stream import StreamDecoder
from inverterproto_cli.server.keeper import Keeper
from inverterproto_cli.server.logs import Log
from inverterproto_cli.store import Store
from inverterproto_cli.store.retention import ALL

FIRST = 1_712_596_450.0
"""When the micro-inverter's live frame may have come: seven seconds after it was measured."""


@contextmanager
def time_zone(name: str) -> Iterator[None]:
    """Let local time be that of some zone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", name)
        time.tzset()
        yield
    time.tzset()


class Came(NamedTuple):
    """Bytes that came on a connection of their own, from a device of some family."""

    data: bytes
    at: float = FIRST
    family: str = "deye"


def filled(path: Path, came: Iterable[Came], *, anew: bool = True) -> Path:
    """Put what came into a store, a new one unless told otherwise; return its path."""

    def say(event: str, text: str) -> None:
        raise AssertionError(f"{event}: {text}")

    async def main() -> None:
        store = Store(path, say, keep=ALL)
        store.open()
        coming = sorted(came, key=lambda each: each.at)  # clocks do not go back
        at = coming[0].at if coming else FIRST
        keeper = Keeper(store, Log(), clock=lambda: at)
        keeper.open()
        for data, at, family in coming:
            session = FAMILIES[family].cloud_session(partial(keeper.state, family))
            decoder = StreamDecoder(*framings())
            for item in [*decoder.feed(data), *decoder.flush()]:
                keeper.carry_out(session.receive(item, at), at)
            keeper.settle(at)
        await store.close()

    if anew:
        path.unlink(missing_ok=True)
    asyncio.run(main())
    return path
