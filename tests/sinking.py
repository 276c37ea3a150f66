"""A sink for tests, which keeps what it gets and does what it is told; and stores with readings."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from inverterproto.reading import Dated, TimeSource
from inverterproto.session import Record
from inverterproto_cli.sinks.settings import Configured
from inverterproto_cli.sinks.sink import Entry, Setting, Sink, SinkType, Surroundings
from inverterproto_cli.store import Store
from inverterproto_cli.store.retention import ALL
from tests.vectors import raw

FRAME = raw("micro-5408-realtime")
NOW = 1_790_000_000.0
PATIENCE = 30.0

Act = Callable[[Sequence[Entry]], int]


class Recorder:
    """Keeps what it gets. What `acts` holds is done first, one a call."""

    def __init__(self, acts: Iterable[Act] = ()) -> None:
        self.entries: list[Entry] = []
        self.batches: list[int] = []
        self.acts = deque(acts)
        self.closed = False
        self._news = asyncio.Event()

    async def deliver(self, entries: Sequence[Entry]) -> int:
        self.batches.append(len(entries))
        count = self.acts.popleft()(entries) if self.acts else len(entries)
        self.entries += entries[:count]
        self._news.set()
        return count

    async def test(self, entry: Entry) -> str:
        return f"got a test of {entry.reading.device}"

    async def close(self) -> None:
        self.closed = True

    @property
    def numbers(self) -> list[int]:
        return [entry.number for entry in self.entries]

    async def until(self, count: int) -> None:
        """Wait until it has got so many."""
        async with asyncio.timeout(PATIENCE):
            while len(self.entries) < count:
                self._news.clear()
                await self._news.wait()


def fail(error: Exception) -> Act:
    """Return what fails."""

    def act(_entries: Sequence[Entry]) -> int:
        raise error

    return act


def take(count: int) -> Act:
    """Return what takes only so many."""
    return lambda _entries: count


def kind_of(
    sink: Callable[[Mapping[str, Any], Surroundings], Sink],
    *,
    batch: int = 500,
    needs_time: bool = False,
    name: str = "recorder",
) -> SinkType:
    """Return the type of a sink for tests."""
    settings = (Setting("place", "Where to."), Setting("token", "What lets in.", secret=True))
    return SinkType(name, "A recorder", settings, sink, needs_time=needs_time, batch=batch)


def wanted(sink: Sink, name: str = "recorder", **options: Any) -> Configured:  # noqa: ANN401
    """Return what a user says who wants a sink."""
    common = {
        key: options.pop(key)
        for key in ("backfill", "include_simulated", "confidence", "all_fields")
        if key in options
    }
    return Configured(name, kind_of(lambda _v, _s: sink, **options), {"place": "x"}, **common)


def record(number: int, **changes: object) -> Record:
    """Return a record of some logger's inverter."""
    one = Record(
        number.to_bytes(16, "big"), "deye", "data", "2301234567", "2712345678",
        historic=False, stamp=1000.0 + number, frame=FRAME,
    )  # fmt: skip
    return one._replace(**changes)  # type: ignore[arg-type]


def keep(store: Store, numbers: Iterable[int], *, timed: bool = True, **changes: object) -> None:
    """Put records into a store, dated or not to be dated."""
    for number in numbers:
        one = record(number, **changes)
        store.keep(one, NOW + number)
        if timed:
            dated = Dated(one.key, NOW + number, TimeSource.DEVICE, 0.0)
        else:
            dated = Dated(one.key, None, TimeSource.UNKNOWN, None)
        store.date(dated)


def of_logger(serial: int, frame: bytes = FRAME) -> bytes:
    """Return a frame that another logger sends."""
    changed = frame[:7] + serial.to_bytes(4, "little") + frame[11:-2]
    return changed + bytes((sum(changed[1:]) & 0xFF, 0x15))


async def safe(store: Store) -> None:
    """Wait until all that was put into a store is on disk."""
    done = asyncio.Event()
    store.when_safe(done.set)
    async with asyncio.timeout(PATIENCE):
        await done.wait()


@asynccontextmanager
async def stored(path: Path, numbers: Iterable[int] = ()) -> AsyncIterator[Store]:
    """Yield a store of a server that runs, with some records in it."""

    def say(event: str, text: str) -> None:
        raise AssertionError(f"{event}: {text}")

    store = Store(path, say, keep=ALL)
    store.open()
    try:
        keep(store, numbers)
        await safe(store)
        yield store
    finally:
        await store.close()
