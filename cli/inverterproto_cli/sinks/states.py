"""Which readings are the present, and which are history.

A reading is the present of its device and kind if it is *fresh* (measured less than 15 minutes ago
by its own time, and not kept in the device) and newer than what was published there before. Of a
batch, only the newest such one of each device and kind is. All others are history.

After a start, the store tells how new the newest is that may have been published before. An entry
that comes again, because nobody knows whether it arrived, is judged as it was the first time.

What is from the future is nobody's rival, neither in the store nor of what was published: a clock
that was wrong once, the device's or ours, does not keep the present away until that time has come.
"""

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from inverterproto.reading import Reading
from inverterproto_cli.sinks.sink import Entry

FRESH = 900.0
"""Seconds for which a reading is the present. One from the future is none, as little as from the
past: it would stand there until its time has come."""

Key = tuple[str, str, str]
"""Family, serial, kind."""
Newest = Callable[[Reading, int, float], float | None]
"""Tells the time of the newest fresh reading of a device and kind, before a number and a time."""


def is_fresh(reading: Reading, now: float) -> bool:
    """Return whether a reading tells how things are."""
    return (
        reading.device is not None
        and not reading.historic
        and reading.time is not None
        and abs(now - reading.time) < FRESH
    )


def key_of(reading: Reading) -> Key:
    """Return of whose, and which, state a reading may be."""
    return reading.family, reading.device or "", reading.kind


class _Published(NamedTuple):
    """The newest that was published of a device and kind.

    Attributes:
        time: when it was measured.
        entry: it, or None if it was published before our time.
        before: what was published before it.
    """

    time: float
    entry: Entry | None
    before: "_Published | None" = None


class States:
    """The present of all devices, as it was published.

    Args:
        newest: looks into the store.
        clock: tells unix time in seconds.
    """

    def __init__(self, newest: Newest, clock: Callable[[], float]) -> None:
        self._newest = newest
        self._clock = clock
        self._published: dict[Key, _Published] = {}

    def present(self, entries: Sequence[Entry]) -> set[int]:
        """Return which entries of a batch are the present, by their places in it."""
        now = self._clock()
        best: dict[Key, int] = {}
        for place, entry in enumerate(entries):
            if is_fresh(entry.reading, now):
                key = key_of(entry.reading)
                rival = best.get(key)
                if rival is None or _time(entry) >= _time(entries[rival]):
                    best[key] = place
        return {place for key, place in best.items() if self._is_newer(key, entries[place])}

    def _is_newer(self, key: Key, entry: Entry) -> bool:
        published = self._published.get(key)
        future = self.future()
        if published is None or published.time >= future:
            time = self._newest(entry.reading, entry.number, future)
            if time is None:
                return True
            published = self._published[key] = _Published(time, None)
        before = published.entry
        again = before is not None and before.number == entry.number
        return _time(entry) > published.time or (again and _time(entry) == published.time)

    def future(self) -> float:
        """Return the time from which on nothing is the present."""
        return self._clock() + FRESH

    def put(self, entry: Entry) -> None:
        """Take note that an entry is published as the present."""
        key = key_of(entry.reading)
        before = self._published.get(key)
        if before is not None and before.entry is not None and before.entry.number == entry.number:
            before = before.before
        if before is not None:
            before = before._replace(before=None)
        self._published[key] = _Published(_time(entry), entry, before)

    def take_back(self, entry: Entry) -> None:
        """Take note that an entry is refused: what was the present before still is."""
        key = key_of(entry.reading)
        published = self._published.get(key)
        if published is None or published.entry is None:
            return
        if published.entry.number == entry.number:
            if published.before is None:
                del self._published[key]
            else:
                self._published[key] = published.before

    def keep_only(self, known: Collection[tuple[str, str]]) -> None:
        """Forget all devices but some, by family and serial."""
        self._published = {
            key: published for key, published in self._published.items() if key[:2] in known
        }

    def keys(self) -> list[Key]:
        """Return of whom there is a present."""
        return [key for key, published in self._published.items() if published.entry is not None]

    def entry(self, key: Key) -> Entry | None:
        """Return what is published of a device and kind, unless it is from the future."""
        published = self._published.get(key)
        return None if published is None or published.time >= self.future() else published.entry


def _time(entry: Entry) -> float:
    time = entry.reading.time
    return -1.0 if time is None else time
