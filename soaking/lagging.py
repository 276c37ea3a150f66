"""How far sinks lag behind while a server is at work, and what memory it has then.

It is looked at four times a second, by what the store says: a position is written there about once
a second, so a sink that does not lag is up to two seconds behind.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import NamedTuple

from inverterproto_cli.store import Reader
from soaking.server import FakeServer

_EVERY = 0.25
_MOST_PASSED = 10_000


class Lag(NamedTuple):
    """How far a sink was behind, at the most.

    Attributes:
        records: how many it had not had.
        seconds: since when the first of these was there.
    """

    records: int = 0
    seconds: float = 0.0


class Watch:
    """Watches a server.

    Args:
        server: which.
        sinks: whose lags.

    Attributes:
        lags: of the sinks.
        memory: MiB that the server had at the most.
    """

    def __init__(self, server: FakeServer, sinks: Sequence[str]) -> None:
        self.lags = dict.fromkeys(sinks, Lag())
        self.memory = 0.0
        self._server = server
        self._came: deque[tuple[float, int]] = deque(maxlen=_MOST_PASSED)

    async def watch(self, seconds: float) -> None:
        """Watch it for some time."""
        end = monotonic() + seconds
        with Reader(self._server.store) as reader:
            while monotonic() < end:
                self._look(reader)
                await asyncio.sleep(_EVERY)

    def _look(self, reader: Reader) -> None:
        numbers = {row.name: row.number for row in reader.sinks()}
        now, last = monotonic(), reader.last_number()
        self.memory = max(self.memory, self._server.figures().memory)
        if not self._came or last > self._came[-1][1]:
            self._came.append((now, last))
        for name, before in self.lags.items():
            number = numbers.get(name, 0)
            since = next((at for at, there in self._came if there > number), now)
            self.lags[name] = Lag(
                max(before.records, last - number), max(before.seconds, now - since)
            )
        least = min(numbers.get(name, 0) for name in self.lags)
        while self._came and self._came[0][1] <= least and len(self._came) > 1:
            self._came.popleft()


def told(lags: dict[str, Lag]) -> str:
    """Return lags for people."""
    return ", ".join(
        f"{name} {lag.records:,} records {lag.seconds:.1f} s" for name, lag in lags.items()
    )
