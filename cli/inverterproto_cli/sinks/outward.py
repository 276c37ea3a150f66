"""The thread that looks outward: it has all sinks, and what is shown over HTTP.

Theory of operation
-------------------
Its event loop is its own: whatever a broker, a database or a disk does there, devices do not wait
for it. Between the threads goes little: what is told to people, and how far each sink has got.

`turn`, which the server's main thread calls once a second, writes the positions, each time with
what was set aside before it, in one transaction. It begins none while the last is on its way: in a
trouble of the store only the newest positions wait.

*At the beginning* the store says how far each sink has got (`begin`). A new one begins with what is
dated from then on, or with all there is. What is shown over HTTP waits for no store: also that it
is in trouble can be seen there.

*At the end* each sink gets some seconds to deliver what is there already, but for those that are in
trouble; the last positions are written with what the store writes last.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from shlex import quote
from threading import Thread
from time import monotonic, time
from typing import TYPE_CHECKING, Protocol

from inverterproto.reading import Reading
from inverterproto_cli.server.logs import Log
from inverterproto_cli.show import printable
from inverterproto_cli.sinks.delivery import Delivery, takes, wanted_by
from inverterproto_cli.sinks.pace import Pace
from inverterproto_cli.sinks.pages import Pages
from inverterproto_cli.sinks.settings import Configured, of_use
from inverterproto_cli.sinks.sink import Entry, Identity, Sink, TroubleError
from inverterproto_cli.store import NoStore, Store
from inverterproto_cli.store.schema import UNREADABLE
from inverterproto_cli.store.sinks import SetAside, SinkRow, register, save

if TYPE_CHECKING:
    from inverterproto_cli.server.running import Watch

LAST_DELIVERY = 3.0
"""Seconds that sinks have at the end."""
LAST_WORD = 6.0
"""Seconds after which the end does not wait for the thread any more."""
STANDING = 60.0
"""Seconds without a look at the store after which the thread stands still."""
AFTER_A_FAULT = 60.0
"""Seconds after which a delivery that has a fault begins again."""


class Page(Protocol):
    """What is shown over HTTP."""

    def bind(self, watch: "Watch") -> None:
        """Take the address; for the main thread, in its loop.

        Args:
            watch: looks after the server.

        Raises:
            click.ClickException: it cannot be had; the message is one clear line.
        """
        ...

    async def open(self) -> None:
        """Listen."""
        ...

    async def close(self) -> None:
        """Listen no more."""
        ...


@contextmanager
def _readable() -> Iterator[None]:
    """Make trouble of a store that cannot be read."""
    try:
        yield
    except UNREADABLE as error:
        raise TroubleError(f"the store cannot be read: {error}") from error


class Around:
    """What a sink may ask of the program (see `sink.Surroundings`)."""

    def __init__(
        self, configured: Configured, pages: Pages, say: Callable[[str, str], None]
    ) -> None:
        self.name = configured.name
        self._configured = configured
        self._pages = pages
        self.say = say

    def identity(self, reading: Reading) -> Identity:
        """Return what is known of the device that measured something."""
        return self._pages.identity(reading.family, reading.device or "", reading.via)

    def logger(self, serial: str) -> Identity:
        """Return what is known of a logger."""
        return self._pages.logger(serial)

    def known(self) -> set[tuple[str, str]]:
        """Return family and serial of all devices that the store knows.

        Raises:
            TroubleError: the store cannot be read.
        """
        with _readable():
            return self._pages.known()

    def newest(self, reading: Reading, before: int, until: float) -> float | None:
        """Return the time of the newest fresh reading of its device and kind.

        Raises:
            TroubleError: the store cannot be read.
        """
        with _readable():
            return self._pages.newest(reading, before, until)

    def present(self, until: float) -> list[Entry]:
        """Return the newest readings of each device and kind that the device had not kept.

        Raises:
            TroubleError: the store cannot be read.
        """
        with _readable():
            entries = self._pages.present(wanted_by(self._configured), until)
        return [entry for entry in entries if takes(self._configured, entry)]


def open_sink(configured: Configured, pages: Pages, say: Callable[[str, str], None]) -> Sink:
    """Make a sink of what the user wants.

    Raises:
        click.UsageError: that is of no use.
        MissingExtra: a library is not there.
    """
    with of_use(configured):
        return configured.type.open(configured.values, Around(configured, pages, say))


class Outward:
    """All sinks of a server. Its methods are for the main thread, in its loop.

    Args:
        wanted: what the user wants.
        store: where the readings are; without one there are no sinks.
        log: is told what people should know.
        page: makes what is shown over HTTP, if anything is.

    Attributes:
        names: of the sinks.
        deliveries: one a sink, once `begin` has done its work; anybody may look.
        pages: the store as sinks see it.
        stored: whether there is a store.
        hangs: whether its thread did not come to its end: no wait for it has one.

    Raises:
        click.UsageError, MissingExtra: a sink cannot be made.
    """

    def __init__(
        self,
        wanted: Sequence[Configured],
        store: Store | NoStore,
        log: Log,
        page: "Callable[[Outward], Page] | None" = None,
    ) -> None:
        self.names = [one.name for one in wanted]
        self.deliveries: list[Delivery] = []
        self._store = store if isinstance(store, Store) else None
        self.stored = self._store is not None
        self.hangs = False
        self.pages = Pages(Path() if self._store is None else self._store.path)
        self._log = log
        self._main: asyncio.AbstractEventLoop | None = None
        self._wanted = wanted
        self._sinks = [open_sink(one, self.pages, self.say) for one in wanted]
        self._page = None if page is None else page(self)
        self._thread: Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()  # for the thread of the sinks, as the next one
        self._known = asyncio.Event()  # how far each sink has got
        self._closing = False
        self._idle = asyncio.Event()  # nothing is being written
        self._idle.set()
        self._written: tuple[int, list[SinkRow]] = (0, [])  # to which of the store's files, what
        self._told_standing = False

    def say(self, event: str, text: str) -> None:
        """Tell people something, from whatever thread."""
        if event in ("sink-trouble", "sink-recovered"):  # told seldom (see `delivery.py`)
            level = logging.WARNING if event == "sink-trouble" else logging.INFO
            act = partial(self._log.tell, event, printable(text), level)
        else:
            act = partial(self._log.complain, event, printable(text), time(), about=text)
        if self._main is None:  # nothing has begun: this is the main thread
            act()
            return
        with suppress(RuntimeError):  # all is over
            self._main.call_soon_threadsafe(act)

    def bind(self, watch: "Watch") -> None:
        """Take the address of what is shown over HTTP, if anything is.

        Raises:
            click.ClickException: it cannot be had; the message is one clear line.
        """
        if self._page is not None:
            self._page.bind(watch)

    def begin(self) -> None:
        """Find out how far each sink has got, and let them begin; the store is open."""
        self._main = asyncio.get_running_loop()
        self._thread = Thread(target=self._work, name="sinks", daemon=True)
        if self._store is not None:
            self.pages.path = self._store.path
        self._thread.start()
        if self._store is not None:
            self._register(self._store)

    def _register(self, store: Store) -> None:
        now, last = time(), store.last_number
        new = [
            SinkRow(one.name, one.type.name, 0 if one.backfill else last, now)
            for one in self._wanted
        ]
        found: list[list[SinkRow]] = []

        def find(connection: sqlite3.Connection) -> None:
            found[:] = register(connection, new)

        store.do(find)
        store.when_safe(lambda: self._begin(*found))

    def _begin(self, rows: list[SinkRow], others: list[SinkRow]) -> None:
        if self._closing:
            return
        for row in others:
            text = (
                f"the store keeps readings for the sink {row.name!r}, which is not configured now "
                f"(to forget it: inverterproto sinks remove {quote(row.name)})"
            )
            self._log.tell("sink-unknown", printable(text), logging.WARNING)
        if rows:
            self._log.tell("sinks", printable(f"readings go to {', '.join(self.names)}"))
        pace = Pace(self._knock)
        self.deliveries = [
            Delivery(configured, sink, row, self.pages, pace, self.say)
            for configured, sink, row in zip(self._wanted, self._sinks, rows, strict=True)
        ]
        self._tell(self._known.set)

    # In the thread of the sinks

    def _work(self) -> None:
        try:
            asyncio.run(self._live())
        except BaseException as error:  # noqa: BLE001 - nobody else would tell it
            text = "the thread of the sinks has ended, and with it all sinks: begin anew"
            self.say("fault", f"a fault of this program ({type(error).__name__}): {text}")

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        if self.deliveries:  # before the loop could be told, as the next
            self._known.set()
        if self._closing:
            self._stop.set()
        if self._page is not None:
            await self._page.open()
        tasks: list[asyncio.Task[object]] = []
        if self.stored:
            tasks.append(asyncio.create_task(self.pages.look()))
        known, stop = (asyncio.create_task(one.wait()) for one in (self._known, self._stop))
        await asyncio.wait((known, stop), return_when=asyncio.FIRST_COMPLETED)
        runs = {asyncio.create_task(self._run(one)): one for one in self.deliveries}
        await stop
        self.pages.end()
        for run, delivery in runs.items():
            if delivery.row.error is not None:
                run.cancel()
        if runs:
            await asyncio.wait(runs, timeout=LAST_DELIVERY)
        tasks += (known, *runs)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(one.close() for one in self.deliveries))
        if self._page is not None:
            await self._page.close()
        self.pages.close()

    async def _knock(self) -> None:
        """Come back when the main thread has answered."""
        answered = asyncio.get_running_loop().create_future()

        def answer() -> None:
            self._tell(lambda: None if answered.done() else answered.set_result(None))

        if self._main is not None:
            self._main.call_soon_threadsafe(answer)
            await answered

    async def _run(self, delivery: Delivery) -> None:
        """Let a delivery go on; a fault of ours in one of them is not the others'."""
        while True:
            try:
                return await delivery.run()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
                text = f"a fault of this program: sink {delivery.row.name}: {type(error).__name__}"
                self.say("fault", text)
                delivery.note_fault(text)
                await asyncio.sleep(AFTER_A_FAULT)

    # Back in the main thread

    def turn(self) -> None:
        """Write how far the sinks have got, unless that is being written."""
        self._look_whether_it_stands()
        if self._store is None or not self._idle.is_set() or not self.deliveries:
            return
        unsaved = [one.unsaved() for one in self.deliveries]
        rows = [row for row, _ in unsaved]
        state = self._store.files, rows
        if state == self._written:
            return
        aside = [each for _, some in unsaved for each in some]
        self._idle.clear()
        self._store.do(lambda connection: save(connection, rows, aside))
        self._store.when_safe(partial(self._saved, state, [some for _, some in unsaved]))

    def _saved(self, state: tuple[int, list[SinkRow]], aside: list[list[SetAside]]) -> None:
        self._idle.set()
        self._written = state
        for delivery, some in zip(self.deliveries, aside, strict=True):
            if some:
                self._tell(partial(delivery.saved, some))

    def _look_whether_it_stands(self) -> None:
        """Say if a sink keeps the others' thread for itself."""
        stands = self.stored and monotonic() - self.pages.looked_at > STANDING
        if stands and not self._told_standing:
            text = "the thread of the sinks stands still: a sink blocks it, or a disk hangs"
            self.say("sinks-stand", text)
        self._told_standing = stands

    def _tell(self, act: Callable[[], object]) -> None:
        """Let the thread of the sinks do something, if it is still there."""
        with suppress(RuntimeError):  # it has just gone
            if self._loop is not None:
                self._loop.call_soon_threadsafe(act)

    async def close(self) -> None:
        """Let the sinks come to their end, and write how far they got."""
        self._closing = True
        self._tell(self._stop.set)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, LAST_WORD)
            self.hangs = self._thread.is_alive()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), LAST_DELIVERY)
            self.turn()
