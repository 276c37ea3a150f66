"""The server's side of the store: batches, the thread that writes them, and its troubles."""

import asyncio
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

from inverterproto.reading import Dated
from inverterproto.session import Record
from inverterproto_cli.store.batch import Batch, DeviceRow
from inverterproto_cli.store.forgetting import Removal, StillWanted
from inverterproto_cli.store.lock import Lock
from inverterproto_cli.store.recalling import Recalling
from inverterproto_cli.store.retention import DEFAULT, Keep, Retention
from inverterproto_cli.store.schema import StoreError, is_damage, open_for_writing, set_aside

FIRST_RETRY, LAST_RETRY = 1.0, 30.0
"""Seconds until a failed batch is tried again: first, and at the most."""
MOST_PENDING = 64 << 20
"""Bytes of records that wait while the store is in trouble; a quarter for what is not known."""
WAITER = 512
"""Bytes that a callback and its answer count for among them."""
HEARD_EVERY = 60.0
"""Seconds after which it is written again when a device was last heard."""
MOST_HEARD = 4096
"""Devices that are remembered as heard lately."""

_Who = tuple[str | None, str | None, str | None, str | None]

Say = Callable[[str, str], object]
"""Told of an event, by a short name and a text for people."""


class Store:
    """The store of one server: it alone writes.

    All methods are for the thread of the event loop. `open` before anything else, `close` at last.

    Args:
        path: of the file.
        keep: how much is kept.
        say: is told what goes wrong, and that it is over.
        most_pending: bytes of records that may wait.

    Attributes:
        lasting: that what is kept lasts, so that it is worth waiting for.
        trouble: what is wrong, or None.
        newest: the latest arrival in it when it was opened, in unix seconds.
        anew: called when a new file has been begun, which knows no states.
        dropped: records that could not be kept because too much was waiting.
    """

    lasting = True

    def __init__(
        self, path: Path, say: Say, *, keep: Keep = DEFAULT, most_pending: int = MOST_PENDING
    ) -> None:
        self.path = path
        self.trouble: str | None = None
        self.newest = 0.0
        self.anew: Callable[[], object] = lambda: None
        self.dropped = 0
        self.committed = 0
        self.commits = 0
        self._say = say
        self._keep = keep
        self._most_pending = most_pending
        self._batch = Batch()
        self._at_work: Batch | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._delay = FIRST_RETRY
        self._scheduled = False
        self._orders: SimpleQueue[Batch | None] = SimpleQueue()
        self._devices: dict[tuple[str | None, str], DeviceRow] = {}
        self._heard: dict[_Who, tuple[int | None, int | None, float]] = {}
        self._closing: asyncio.Future[None] | None = None

    def open(self) -> None:
        """Take the file, and start the thread that writes it.

        Raises:
            HeldError: another process has it.
            StoreError: it cannot be used.
        """
        self._lock = Lock(self.path)
        try:
            self._connection = self._open()
            self._load()
        except BaseException:
            self._lock.release()
            raise
        self._loop = asyncio.get_running_loop()
        self._thread = Thread(target=self._work, name="store", daemon=True)
        self._thread.start()

    def _open(self) -> sqlite3.Connection:
        """Open the file; a damaged one is set aside and a new one begun."""
        try:
            connection = open_for_writing(self.path)
            self._retention = Retention(connection, self._keep)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise StoreError(f"store {self.path}: {error}") from error
            self._set_aside(error)
            connection = open_for_writing(self.path)
            self._retention = Retention(connection, self._keep)
        return connection

    def _set_aside(self, error: sqlite3.Error) -> None:
        aside = set_aside(self.path)
        self._say("store-damaged", f"store {self.path} is damaged ({error}): kept as {aside}, "
                  "a new one is begun")  # fmt: skip

    def _load(self) -> None:
        """Learn what the file knows."""
        execute = self._connection.execute
        self._devices.clear()
        rows = execute("SELECT id, family, serial, via, first, last, answered FROM device")
        for row in map(DeviceRow._make, rows):
            self._devices[row.family, row.serial] = row
        # No number comes twice to a sink, though the last ones were removed.
        self._number = execute(
            "SELECT coalesce(max(number), 0) FROM "
            "(SELECT max(number) AS number FROM record UNION ALL SELECT max(number) FROM sink)"
        ).fetchone()[0]
        self._next_device = max((row.id for row in self._devices.values()), default=0) + 1
        # Arrivals do not go back by more than some seconds (see `keeper.py`).
        self.newest = execute(
            "SELECT coalesce(max(arrival), 0) FROM (SELECT arrival FROM record "
            "ORDER BY id DESC LIMIT 1000)"
        ).fetchone()[0]

    # What is kept

    @property
    def full(self) -> bool:
        """Whether no more may be put into it for now."""
        return self.pending > self._most_pending

    @property
    def pending(self) -> int:
        """Bytes of records that are not on disk yet."""
        return self._batch.size + (self._at_work.size if self._at_work else 0)

    def states(self, family: str) -> dict[str, dict[str, Any]]:
        """Return what is remembered of the devices of a family, by serial; before the start."""
        import json

        rows = self._connection.execute(
            "SELECT serial, state FROM device WHERE family = ? AND state IS NOT NULL", (family,)
        )
        return {serial: json.loads(state) for serial, state in rows}

    def recall(
        self, since: float, now: float, take: Callable[[list[tuple[Record, float]]], object]
    ) -> None:
        """Hand over the records that wait for a date, with their arrivals, some at a time.

        Args:
            since: the arrival of those historic ones of which no arrival is known;
            now: at the latest they came then, and that is their arrival from now on.
            take: takes some of them.
        """
        self._recall_on(Recalling(since, now), take)

    def trust_clock(self, now: float) -> None:
        """Take it that nothing has come after now: the clock was wrong before."""
        for key, row in self._devices.items():
            self._devices[key] = row._replace(first=min(row.first, now), last=min(row.last, now))
        self.newest = min(self.newest, now)
        self.do(partial(_bring_back, now))

    def _recall_on(
        self, recalling: Recalling, take: Callable[[list[tuple[Record, float]]], object]
    ) -> None:
        self.do(recalling.step)
        self.when_safe(partial(self._recalled, recalling, take))

    def _recalled(
        self, recalling: Recalling, take: Callable[[list[tuple[Record, float]]], object]
    ) -> None:
        take(recalling.stepped())
        if not recalling.at_end:
            self._recall_on(recalling, take)

    def keep(self, record: Record, arrival: float, answered: str | None = None) -> bool:
        """Write a record; return False if there is no room for it."""
        batch, most = self._batch, self._most_pending
        # A flood of junk must not take the room of readings.
        if batch.size > most or (not record.known and batch.unknown > most // 4):
            self.dropped += 1
            return False
        who = record.family, record.device, record.via, answered
        heard = self._heard.get(who)
        if heard is None or arrival >= heard[2]:
            heard = self._hear(*who, arrival)
        self._batch.keep(record, heard[0], heard[1], arrival, answered)
        if not self._scheduled:
            self._hand_over_soon()
        return True

    def _hear(
        self,
        family: str | None,
        serial: str | None,
        carrier: str | None,
        answered: str | None,
        arrival: float,
    ) -> tuple[int | None, int | None, float]:
        """Return the numbers of a device and its logger, and until when they need no second look.

        Two devices are looked up for each record, so what was found is kept for a while.
        """
        via = None if carrier is None else self._device(family, carrier, None, arrival, answered)
        device = None
        if serial is not None:
            device = self._device(family, serial, carrier, arrival, answered)
        known = [self._devices[family, one].last for one in (serial, carrier) if one is not None]
        heard = device, via, min(known, default=arrival) + HEARD_EVERY
        if len(self._heard) >= MOST_HEARD:
            self._heard.clear()
        self._heard[family, serial, carrier, answered] = heard
        return heard

    def _device(
        self,
        family: str | None,
        serial: str,
        via: str | None,
        arrival: float,
        answered: str | None,
    ) -> int:
        """Return the number of a device in the store; note it if it is new, or heard again."""
        row = self._devices.get((family, serial))
        if row is None:
            row = DeviceRow(self._next_device, family, serial, via, arrival, arrival, answered)
            self._next_device += 1
        elif arrival - row.last < HEARD_EVERY and answered in (None, row.answered):
            return row.id
        else:
            row = row._replace(
                last=max(arrival, row.last),
                via=via or row.via,
                answered=answered or row.answered,
            )
        self._devices[family, serial] = row
        self._batch.device(row)
        return row.id

    def date(self, dated: Dated) -> None:
        """Write when a record was measured, by its key."""
        self._number += 1
        self._batch.date(dated, self._number)
        if not self._scheduled:
            self._hand_over_soon()

    def remember(self, family: str, serial: str, state: dict[str, Any], now: float) -> None:
        """Write what is remembered of a device."""
        self._batch.state(self._device(family, serial, None, now, None), state)
        self._hand_over_soon()

    def when_safe(self, callback: Callable[[], object]) -> None:
        """Call back in the loop, once all that was put until now is on disk."""
        self._batch.waiting.append(callback)
        self._batch.size += WAITER
        if not self._scheduled:
            self._hand_over_soon()

    def do(self, job: Callable[[sqlite3.Connection], object]) -> None:
        """Let the writer thread do something in the next transaction."""
        self._batch.jobs.append(job)
        self._hand_over_soon()

    def forget(
        self, serial: str, still_wanted: StillWanted, done: Callable[[Removal], object]
    ) -> list[DeviceRow]:
        """Remove a device, the inverters that it carries, and their records.

        Args:
            serial: of the device.
            still_wanted: is asked before each step, in the writer thread.
            done: is called once all is gone.

        Returns:
            What goes, the device itself first; nothing if it is not known.
        """
        rows = [row for row in self._devices.values() if row.serial == serial]
        if not rows:
            return []
        rows += (row for row in self._devices.values() if row.via == serial != row.serial)
        self._forget_on(Removal((row.id for row in rows), still_wanted), done)
        return rows

    def _forget_on(self, removal: Removal, done: Callable[[Removal], object]) -> None:
        """Do the next step of a removal."""
        if removal.withdrawn:
            done(removal)
        elif not removal.at_end:
            self.do(removal.step)
            self.when_safe(partial(self._forgot_some, removal, done))
        else:
            for key in [key for key, row in self._devices.items() if row.id in removal.devices]:
                del self._devices[key]
            self._heard.clear()
            self._batch.forget(removal)
            self.when_safe(partial(self._forgot_all, removal, done))

    def _forgot_some(self, removal: Removal, done: Callable[[Removal], object]) -> None:
        removal.stepped()
        self._forget_on(removal, done)

    @staticmethod
    def _forgot_all(removal: Removal, done: Callable[[Removal], object]) -> None:
        removal.stepped()
        done(removal)

    # From the loop to the thread and back

    def _hand_over_soon(self) -> None:
        if not self._scheduled and self._at_work is None and self._retry is None:
            self._scheduled = True
            self._loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        self._scheduled = False
        if self._at_work is None and self._batch:
            self._at_work, self._batch = self._batch, Batch()
            self._orders.put(self._at_work)

    def _work(self) -> None:
        """Write what is handed over; this is all that runs in the writer thread."""
        while (batch := self._orders.get()) is not None:
            error: Exception | None = None
            try:
                batch.write(self._connection)
            except Exception as fault:  # noqa: BLE001 - it is told, and the batch tried again
                error = fault
            if isinstance(error, sqlite3.DatabaseError) and is_damage(error):
                error = self._begin_anew(error)
            self._loop.call_soon_threadsafe(self._written, batch, error)
            if error is None:
                self._clean_up(batch)
        self._connection.close()

    def _begin_anew(self, fault: sqlite3.Error) -> Exception:
        """Set the damaged file aside; return why the batch is not written yet."""
        self._connection.close()
        try:
            aside = set_aside(self.path)
            self._connection = open_for_writing(self.path)
            self._retention = Retention(self._connection, self._keep)
        except (OSError, sqlite3.Error, StoreError) as error:
            return error
        text = f"store {self.path} is damaged ({fault}): kept as {aside}, a new one is begun"
        self._loop.call_soon_threadsafe(self._say, "store-damaged", text)
        return fault

    def _clean_up(self, batch: Batch) -> None:
        """Remove what is too much. If that fails, the next batch will meet the same trouble."""
        try:
            self._retention.after(batch)
            news = self._retention.news()
            if news is not None:
                text = f"store {self.path}: {news}"
                self._loop.call_soon_threadsafe(self._say, "store-removed", text)
        except sqlite3.Error as error:
            text = f"store {self.path}: cleaning up: {error}"
            self._loop.call_soon_threadsafe(self._say, "store-cleaning", text)

    def _written(self, batch: Batch, error: Exception | None) -> None:
        """Go on after a commit, or after a failure."""
        self._at_work = None
        if error is not None:
            self._fail(batch, error)
            return
        self.commits += 1
        self.committed += len(batch)
        self._delay = FIRST_RETRY
        if self.trouble is not None:
            self.trouble = None
            self._say("store-recovered", f"store {self.path}: works again, nothing was lost")
        for callback in batch.waiting:
            callback()
        self._hand_over()
        self._end_if_done()

    def _fail(self, batch: Batch, error: Exception) -> None:
        batch.add(self._batch)
        self._batch = batch
        if isinstance(error, sqlite3.DatabaseError) and is_damage(error):
            self._devices_anew()
            self._hand_over()  # to the new file
            return
        text = f"store {self.path}: {error}"
        if self.trouble != text:
            self.trouble = text
            self._say("store-trouble", f"{text}; tried again until it works, nothing is "
                      "acknowledged meanwhile")  # fmt: skip
        self._retry = self._loop.call_later(self._delay, self._try_again)
        self._delay = min(2 * self._delay, LAST_RETRY)
        if self._closing is not None:
            self._give_up()

    def _devices_anew(self) -> None:
        """Tell a new file of all devices: the records name them by number."""
        for row in self._devices.values():
            self._batch.device(row)
        self.anew()

    def _try_again(self) -> None:
        self._retry = None
        self._hand_over()

    # The end

    async def close(self) -> None:
        """Write all that is left, and let the file go; what cannot be written is told."""
        self._closing = self._loop.create_future()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._hand_over()
        self._end_if_done()
        await self._closing
        self._orders.put(None)
        await asyncio.to_thread(self._thread.join)
        self._lock.release()

    def _end_if_done(self) -> None:
        if self._closing is not None and self._at_work is None and not self._closing.done():
            self._closing.set_result(None)

    def _give_up(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
        self._say("store-lost", f"store {self.path}: {len(self._batch):,} records were not "
                  "written; none of them was acknowledged")  # fmt: skip
        self._batch = Batch()
        self._end_if_done()


def _bring_back(now: float, connection: sqlite3.Connection) -> None:
    """Let no arrival be later than now."""
    connection.execute("UPDATE record SET arrival = ?1 WHERE arrival > ?1", (now,))
    connection.execute("UPDATE device SET first = min(first, ?1), last = min(last, ?1)", (now,))


class NoStore:
    """What takes the store's place with `--no-store`: nothing is kept, nobody waits."""

    lasting = False
    trouble = None
    full = False
    newest = 0.0
    pending = 0

    def keep(self, record: Record, arrival: float, answered: str | None = None) -> bool:
        """Keep nothing."""
        del record, arrival, answered
        return True

    def date(self, dated: Dated) -> None:
        """Keep nothing."""

    def remember(self, family: str, serial: str, state: dict[str, Any], now: float) -> None:
        """Keep nothing."""

    def when_safe(self, callback: Callable[[], object]) -> None:
        """Call back at once: nothing is to wait for."""
        callback()

    def open(self) -> None:
        """Open nothing."""

    async def close(self) -> None:
        """Close nothing."""
