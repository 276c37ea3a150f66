"""The store as sinks see it: the next entries behind a number, decoded once for all of them.

Sinks that are equally far ask for the same page one after the other, so the last few pages are
kept. Whoever has had all waits for more, and one look at the store, twice a second, is for all who
wait. The file is opened anew when another stands in its place.

What is read is what the store's writer has committed: an entry that a sink gets is on disk.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from inverterproto.families import FAMILIES, Message
from inverterproto.quantity import Number
from inverterproto.reading import Reading
from inverterproto_cli.sinks.identity import by_name, identity_of, logger_of
from inverterproto_cli.sinks.sink import Entry, Identity
from inverterproto_cli.store.reader import Kept, Reader
from inverterproto_cli.store.schema import UNREADABLE

EVERY = 0.5
"""Seconds between looks for what is new."""
RECORDS = 200
"""Records of a page."""
_PAGES = 8
"""Pages that are kept."""
_KNOWN = 300.0
"""Seconds for which what is known of a device is not looked up again."""
_MOST_KNOWN = 4096


class Wanted(NamedTuple):
    """What of a record a sink wants.

    Attributes:
        confidence: the least of its fields.
        all_fields: whether also what is no quantity.
    """

    confidence: str = "B"
    all_fields: bool = False


class Page(NamedTuple):
    """Some entries, and the number of the last record that was read for them."""

    entries: Sequence[Entry]
    last: int


def entries_of(kept: Kept, wanted: Wanted) -> list[Entry]:
    """Return the readings of a record, those that measured something."""
    message = kept.message()
    if message is None:
        return []
    fields = _numbers(message, kept.family or "") if wanted.all_fields else {}
    return [
        Entry(kept.number or 0, reading, kept.arrival, kept.answered, fields)
        for reading in kept.readings_of(message, wanted.confidence)
        if reading.values or fields
    ]


def _numbers(message: Message, family: str) -> Mapping[str, Number]:
    """Return the numbers in a message by the layout's names, but for what is private."""
    private = FAMILIES[family].private_fields
    return {
        name: value
        for name, value in message.fields.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and name not in private
    }


class Pages:
    """Reads the store for all sinks of a server.

    Args:
        path: of the store.
        ticks: tells seconds.

    Attributes:
        path: of the store.
        last: the number of the last record that was seen in it.
        looked_at: when it was looked for more, in ticks.
    """

    def __init__(self, path: Path, ticks: Callable[[], float] = monotonic) -> None:
        self.path = path
        self._ticks = ticks
        self._pages: OrderedDict[tuple[int, Wanted], Page] = OrderedDict()
        self._known: dict[tuple[str, str], tuple[float, Identity]] = {}
        self._reader: Reader | None = None
        self._file = 0
        self._ended = False
        self.last = 0
        self.looked_at = ticks()
        self._more = asyncio.Event()

    def _opened(self) -> Reader:
        file = self.path.stat().st_ino
        if self._reader is None or file != self._file:
            self.close()
            self._reader, self._file = Reader(self.path), file
        return self._reader

    def close(self) -> None:
        """Let the file go."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def after(self, number: int, wanted: Wanted) -> Page:
        """Return the next entries behind a number; none if there is no record behind it.

        Raises:
            StoreError, sqlite3.Error, OSError: the store cannot be read now.
        """
        key = number, wanted
        page = self._pages.get(key)
        if page is None:
            kept = self._opened().delivered_after(number, RECORDS)
            entries = [entry for one in kept for entry in entries_of(one, wanted)]
            page = Page(entries, kept[-1].number or number if kept else number)
            if not kept:
                self.last = min(self.last, number)  # what was there is removed: wait for more
            else:
                self._pages[key] = page
                if len(self._pages) > _PAGES:
                    self._pages.popitem(last=False)
        return page

    async def look(self) -> None:
        """Look for what is new, until the end."""
        while not self._ended:
            self._look()
            await asyncio.sleep(EVERY)

    def _look(self) -> None:
        self.looked_at = self._ticks()
        with suppress(Exception):  # who waits is told when it reads
            self.last = self._opened().last_number()
        more, self._more = self._more, asyncio.Event()
        more.set()

    def end(self) -> None:
        """Look for the last time: who has had all that is there need not wait."""
        self._ended = True
        self._look()

    async def more(self, number: int) -> bool:
        """Wait until there is a record behind a number; return False if there will be none."""
        while self.last <= number:
            if self._ended:
                return False
            await self._more.wait()
        return True

    def identity(self, family: str, serial: str, via: str | None = None) -> Identity:
        """Return what is known of a device; only its name, while the store cannot be read."""
        found = self._remembered(family, serial, partial(identity_of, family=family))
        return found if via is None else found._replace(via=via)

    def _remembered(
        self, what: str, serial: str, find: Callable[[Reader, str], Identity]
    ) -> Identity:
        """Return what is known, and look it up only now and then."""
        now = self._ticks()
        known = self._known.get((what, serial))
        if known is not None and now - known[0] <= _KNOWN:
            return known[1]
        try:
            found = find(self._opened(), serial)
        except UNREADABLE:
            return by_name(what, serial)
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[what, serial] = now, found
        return found

    def logger(self, serial: str) -> Identity:
        """Return what is known of a logger stick."""
        return self._remembered("logger", serial, logger_of)

    def known(self) -> set[tuple[str, str]]:
        """Return family and serial of all devices, and of the loggers that carry them.

        Raises:
            StoreError, sqlite3.Error, OSError: the store cannot be read.
        """
        return self._opened().known()

    def present(self, wanted: Wanted, until: float) -> list[Entry]:
        """Return the newest readings of each device and kind, in the order of their delivery.

        Args:
            wanted: of the records.
            until: only what was measured before.

        Raises:
            StoreError, sqlite3.Error, OSError: the store cannot be read.
        """
        reader = self._opened()
        kept = [one for device in reader.devices() for one in reader.present(device.id, until)]
        kept.sort(key=lambda one: one.number or 0)
        return [entry for one in kept for entry in entries_of(one, wanted)]

    def newest(self, reading: Reading, before: int, until: float) -> float | None:
        """Return when the newest fresh record of a device and kind was measured.

        Raises:
            StoreError, sqlite3.Error, OSError: the store cannot be read.
        """
        reader = self._opened()
        device = reader.device(reading.family, reading.device or "")
        if device is None:
            return None
        return reader.newest_time(device.id, reading.kind, before, until)
