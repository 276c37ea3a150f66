"""Brings readings from the store to one sink, in order, at least once.

Theory of operation
-------------------
A `Delivery` takes page after page behind its position, hands over what the sink wants of it in
batches, and moves its position behind what has arrived. The position is a record's number: a record
whose readings have not all arrived comes again.

*Trouble* (`TroubleError`, any error of the system, silence for `PATIENCE` seconds) keeps the batch,
and tries it again after a while: twice as long each time, up to a bound, and never exactly so long,
so that many programs do not come back at once. So the memory of a sink that is away is that of one
page. Who did not answer in time gets half as much, and more only where it was quick.

*Refusal* (`RefusedError`): if the other side does not tell which entry it means, half of the batch
is tried, and so on until there is one; then batches grow again. One that is refused `TRIES` times
is set aside: with its reason, in the store, in the same transaction as the position behind it. A
fault of the sink itself counts as a refusal, as far as one entry alone brings it about: what others
have written may stumble over one reading, and must not stop there. Are several refused in a row, no
time passes between the tries, so that what follows need not wait; but after `MANY` without a single
success it may be everything that is refused, and time passes as in trouble.

*What others see* of it is `row` (`SinkRow`), made anew with each change. The main thread writes it
to the store about once a second (`outward.py`) and tells when it is safe (`saved`).
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import inf
from random import random
from time import monotonic, time

from inverterproto_cli.fakes.serials import is_simulated
from inverterproto_cli.sinks.pace import Pace
from inverterproto_cli.sinks.pages import Page, Pages, Wanted
from inverterproto_cli.sinks.settings import Configured
from inverterproto_cli.sinks.sink import (
    Entry,
    RefusedError,
    Sink,
    Standing,
    TooSlowError,
    TroubleError,
)
from inverterproto_cli.store.schema import UNREADABLE
from inverterproto_cli.store.sinks import LONGEST_TEXT, SetAside, SinkRow

PATIENCE = 60.0
"""Seconds for which a sink may take a batch."""
FIRST_RETRY, LAST_RETRY = 1.0, 60.0
"""Seconds until what went wrong is tried again: at first, and at the most."""
TRIES = 3
"""So often the other side is asked before an entry is set aside."""
TOLD_EVERY = 600.0
"""Seconds between two troubles of a sink that are told; what passes by the next try is not."""
LASTING = 5
"""Tries in a row after which a trouble is told all the same."""
MANY = 100
"""Entries set aside in a row, after which each takes its time."""
QUICK = 5.0
"""Seconds within which a sink took a batch that may take a larger one."""
MOST_UNSAVED = 100
"""Entries that are set aside and not yet in the store, at most."""
STUCK = 900.0
"""Seconds of trouble after which a sink is stuck."""

Say = Callable[[str, str], object]


def _is_cancelled() -> bool:
    """Return whether somebody has ended this task: a sink's own futures may end in the same way."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _shown(entry: Entry) -> str:
    """Return an entry as JSON, or as much of it as can be shown."""
    try:
        return json.dumps(entry.to_json())
    except (ValueError, OverflowError, OSError, TypeError):  # whatever happened to the store
        return json.dumps({"device": str(entry.reading.device), "number": entry.number})


def takes(configured: Configured, entry: Entry) -> bool:
    """Return whether a sink is to have an entry."""
    reading = entry.reading
    return configured.include_simulated or not is_simulated(reading.device, reading.via)


def wanted_by(configured: Configured) -> Wanted:
    """Return what of each record a sink is to have."""
    return Wanted(configured.confidence, configured.all_fields)


class Delivery:
    """Brings readings to one sink.

    All is for the thread of the sinks, but for what says otherwise.

    Args:
        configured: what the user wants of it.
        sink: takes the entries.
        pages: reads the store.
        pace: says when to rest.
        say: is told of trouble, and that it is over.
        clock: tells unix time in seconds.
        ticks: tells seconds.
        chance: gives numbers from 0 to 1.

    Attributes:
        row: how far it has got; anybody may look.
    """

    def __init__(
        self,
        configured: Configured,
        sink: Sink,
        row: SinkRow,
        pages: Pages,
        pace: Pace,
        say: Say,
        *,
        clock: Callable[[], float] = time,
        ticks: Callable[[], float] = monotonic,
        chance: Callable[[], float] = random,
    ) -> None:
        self.row = row
        self._type = configured.type
        self._configured = configured
        self._wanted = wanted_by(configured)
        self._sink = sink
        self._pages = pages
        self._pace = pace
        self._say = say
        self._clock = clock
        self._ticks = ticks
        self._chance = chance
        self._most = self._type.batch
        self._delay = FIRST_RETRY
        self._refused: tuple[int, int] | None = None  # the first entry's number; how often
        self._failed = 0  # tries in a row
        self._told = False  # whether this trouble is told
        self._told_at = -inf  # when one was told last, in ticks
        self._in_a_row = 0  # set aside without a success between
        self._set_aside: list[SetAside] = []
        self._room = asyncio.Event()
        self._room.set()

    # What others see; for any thread

    @property
    def behind(self) -> int:
        """How many records it has not had yet."""
        return max(0, self._pages.last - self.row.number)

    def stuck(self) -> bool:
        """Return whether it has been in trouble for long."""
        row = self.row
        return row.error_at is not None and self._clock() - row.error_at > STUCK

    def unsaved(self) -> tuple[SinkRow, list[SetAside]]:
        """Return what is to be written to the store."""
        # In this order: what is set aside is there before the position moves behind it.
        row = self.row
        return row, list(self._set_aside)

    def saved(self, set_aside: Sequence[SetAside]) -> None:
        """Take note that these are in the store; for the thread of the sinks."""
        del self._set_aside[: len(set_aside)]
        self._room.set()

    # What it does

    async def run(self) -> None:
        """Deliver, until the end of the pages."""
        if isinstance(self._sink, Standing):
            await self._sink.begin(self.row.number)
        while await self._pages.more(self.row.number):
            await self._deliver(await self._next_page())
            await self._pace.rest()

    async def _next_page(self) -> Page:
        while True:
            try:
                return self._pages.after(self.row.number, self._wanted)
            except UNREADABLE as error:
                await self._wait_for(f"the store cannot be read: {error}")

    async def _deliver(self, page: Page) -> None:
        entries = [entry for entry in page.entries if takes(self._configured, entry)]
        if self._type.needs_time:
            timed = [entry for entry in entries if entry.reading.time is not None]
            left_out, entries = len(entries) - len(timed), timed
        else:
            left_out = 0
        while entries:
            entries = await self._hand_over(entries)
            if entries:
                self._note(number=max(self.row.number, entries[0].number - 1))
                await self._pace.rest()
        self._note(number=page.last, left_out=self.row.left_out + left_out)

    async def _hand_over(self, entries: list[Entry]) -> list[Entry]:
        """Hand over as much as is wise; return what is left."""
        batch = entries[: self._most]
        begin = self._ticks()
        try:
            async with asyncio.timeout(PATIENCE):
                count = await self._sink.deliver(batch)
            if 0 < count <= len(batch):
                self._arrived(count)
                if self._ticks() - begin < QUICK:
                    self._most = min(self._type.batch, 2 * self._most)
                return entries[count:]
            await self._wait_for("it took nothing")
        except (TimeoutError, TooSlowError) as error:
            self._most = max(1, len(batch) // 2)
            await self._wait_for(str(error) or f"no answer within {PATIENCE:g} seconds")
        except TroubleError as error:
            await self._wait_for(str(error))
        except OSError as error:
            await self._wait_for(error.strerror or type(error).__name__)
        except RefusedError as error:
            return await self._take_refusal(entries, len(batch), error)
        except (Exception, asyncio.CancelledError, SystemExit) as error:
            if _is_cancelled():
                raise
            fault = RefusedError(f"a fault of this sink ({type(error).__name__})")
            return await self._take_refusal(entries, len(batch), fault)
        return entries

    def _arrived(self, count: int) -> None:
        if self._told:
            self._say("sink-recovered", f"sink {self.row.name}: works again")
        self._failed, self._told = 0, False
        self._delay = FIRST_RETRY
        self._refused = None
        self._in_a_row = 0
        delivered = self.row.delivered + count
        self._note(delivered=delivered, last=self._clock(), error=None, error_at=None)

    async def _take_refusal(
        self, entries: list[Entry], size: int, error: RefusedError
    ) -> list[Entry]:
        """Find out which entry is refused, and set it aside if it is for good."""
        at = error.at if error.at is not None and 0 <= error.at < size else None
        if at is None and size > 1:
            self._most = max(1, size // 2)
            return entries
        if at:
            self._arrived(at)
            entries = entries[at:]
        number = entries[0].number
        tries = 1 if self._refused is None or self._refused[0] != number else self._refused[1] + 1
        self._refused = number, tries
        if tries < TRIES:
            self._most = 1  # so that it costs nobody else anything
            if 0 < self._in_a_row < MANY:
                await self._pace.rest()
            else:
                await self._wait_for(str(error))
            return entries
        await self._set_aside_for_good(entries[0], str(error))
        return entries[1:]

    async def _set_aside_for_good(self, entry: Entry, why: str) -> None:
        self._room.clear() if len(self._set_aside) >= MOST_UNSAVED else self._room.set()
        await self._room.wait()
        row, why = self.row, why[:LONGEST_TEXT]
        aside = SetAside(row.name, entry.number, self._clock(), why, _shown(entry))
        self._set_aside.append(aside)
        self._say(
            "sink-set-aside",
            f"sink {row.name}: a reading of {entry.reading.device} is set aside: {why}",
        )
        self._refused = None
        self._in_a_row += 1
        if self._in_a_row < MANY:
            self._delay = FIRST_RETRY
        self._note(set_aside=row.set_aside + 1, error=None, error_at=None)

    def note_fault(self, text: str) -> None:
        """Note that this program itself cannot go on with it for now."""
        self._note(error=text, error_at=self.row.error_at or self._clock())

    async def _wait_for(self, error: str) -> None:
        """Note what is wrong, and wait until it may be tried again."""
        error = error[:LONGEST_TEXT]
        self._failed += 1
        ticks = self._ticks()
        seldom = ticks - self._told_at >= TOLD_EVERY or self._failed > LASTING
        if self._failed > 1 and seldom and not self._told:
            self._told, self._told_at = True, ticks
            self._say("sink-trouble", f"sink {self.row.name}: {error}; it is tried again")
        if error != self.row.error:
            since = self.row.error_at if self.row.error_at is not None else self._clock()
            self._note(error=error, error_at=since)
        delay, self._delay = self._delay, min(2 * self._delay, LAST_RETRY)
        await asyncio.sleep(delay * (0.5 + self._chance() / 2))

    def _note(self, **changes: object) -> None:
        self.row = self.row._replace(**changes)  # type: ignore[arg-type]

    async def close(self) -> None:
        """Let the sink go."""
        with suppress(Exception):
            async with asyncio.timeout(2.0):
                await self._sink.close()
