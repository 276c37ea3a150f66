"""The server's side of the store: batches, the thread that writes them, and its troubles."""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, NamedTuple

from inverterproto.reading import Dated
from inverterproto.session import Record
from inverterproto_cli.store.batch import Batch, DeviceRow
from inverterproto_cli.store.file import AnewError, StoreFile
from inverterproto_cli.store.forgetting import Removal, StillWanted
from inverterproto_cli.store.lock import Lock
from inverterproto_cli.store.recalling import Recalling
from inverterproto_cli.store.retention import DEFAULT, Keep, Say
from inverterproto_cli.store.schema import (
    DEVICE_COLUMNS,
    StoreError,
    arrival_of,
    close_to_others,
    refuse_foreign,
    state_of,
)

FIRST_RETRY, LAST_RETRY = 1.0, 30.0
"""Seconds until a failed batch is tried again: first, and at the most."""
MOST_PENDING = 64 << 20
"""Bytes of records that wait while the store is in trouble; a quarter for what is not known."""
WAITER = 512
"""Bytes that a callback counts for among them, beside what it holds."""
HEARD_EVERY = 60.0
"""Seconds after which it is written again when a device was last heard."""
MOST_HEARD = 4096
"""Devices that are remembered as heard lately."""

LONGEST_END = 30.0
"""Seconds that the end waits for a disk that does not answer."""
MOST_NUMBER = 1 << 62
"""What is no number of a record is greater, also in the eyes of SQLite."""

_Who = tuple[str | None, str | None, str | None, str | None]


class Price(NamedTuple):
    """What it means for devices that the store is in trouble."""

    meanwhile: str
    lost: str


NOTHING_ACKNOWLEDGED = Price("nothing is acknowledged meanwhile", "none of them was acknowledged")
"""Where all that devices are told waits for the store."""
PASSED_ON = Price(
    "devices are passed on, and what their cloud acknowledges meanwhile may be missing here",
    "their cloud may have acknowledged them",
)
"""Where a cloud's answers do not."""


class Store:
    """The store of one server: it alone writes.

    All methods are for the thread of the event loop. `open` before anything else, `close` at last.

    Args:
        path: of the file.
        keep: how much is kept.
        say: is told what goes wrong, and that it is over.
        most_pending: bytes of records that may wait.
        price: what it means for devices that it is in trouble.

    Attributes:
        lasting: that what is kept lasts, so that it is worth waiting for.
        trouble: what is wrong, or None.
        newest: the latest arrival in it when it was opened, in unix seconds.
        files: that it had: it begins another where one is damaged, removed or replaced.
        dropped: records that could not be kept because too much was waiting.
        unwritten: records that could not be written at the end.
    """

    lasting = True

    def __init__(
        self,
        path: Path,
        say: Say,
        *,
        keep: Keep = DEFAULT,
        most_pending: int = MOST_PENDING,
        price: Price = NOTHING_ACKNOWLEDGED,
    ) -> None:
        self.path = path
        self.trouble: str | None = None
        self.newest = 0.0
        self.dropped = self._lost = 0
        self.unwritten = 0
        self.files = 1
        self.committed = 0
        self.commits = 0
        self._say = say
        self._keep = keep
        self._most_pending = most_pending
        self._price = price
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
        self._loop = asyncio.get_running_loop()
        # What is locked is the file, by whatever name it is called.
        self.path = Path(os.path.realpath(self.path))
        refuse_foreign(self.path)
        self._lock = Lock(self.path)
        self._file = StoreFile(self.path, self._keep, self._say_from_thread)
        try:
            self._keep_private()
            self._file.open(self._load)
        except BaseException:
            self._file.close()
            self._lock.release()
            raise
        self._thread = Thread(target=self._work, name="store", daemon=True)
        self._thread.start()

    def _say_from_thread(self, event: str, text: str) -> None:
        self._loop.call_soon_threadsafe(self._say, event, text)

    def _keep_private(self) -> None:
        try:
            if close_to_others(self.path):
                text = f"store {self.path} was open to other users of this machine, and is not now"
                self._say("store-was-open", text)
        except OSError as error:  # another's file
            text = f"store {self.path} is open to other users of this machine: {error.strerror}"
            self._say("store-was-open", text)

    def _load(self, connection: sqlite3.Connection) -> None:
        """Learn what the file knows; of what is no good value in it, as much as can be."""
        execute = connection.execute
        self._devices.clear()
        rows = execute(f"SELECT {DEVICE_COLUMNS} FROM device")  # noqa: S608
        for row in map(DeviceRow._make, rows):
            self._devices[row.family, row.serial] = row
        # No number comes twice to a sink, though the last ones were removed.
        self._number = int(
            execute(
                "SELECT coalesce(max(number), 0) FROM (SELECT max(number) AS number FROM record "
                "WHERE number < ?1 UNION ALL SELECT max(number) FROM sink WHERE number < ?1)",
                (MOST_NUMBER,),
            ).fetchone()[0]
        )
        self._next_device = max((row.id for row in self._devices.values()), default=0) + 1
        # Arrivals do not go back by more than some seconds (see `keeper.py`).
        self.newest = execute(
            f"SELECT coalesce(max({arrival_of('arrival')}), 0) FROM (SELECT arrival FROM record "  # noqa: S608
            "ORDER BY id DESC LIMIT 1000)"
        ).fetchone()[0]
        self._states = self._load_states(connection)

    def _load_states(
        self, connection: sqlite3.Connection
    ) -> dict[tuple[str | None, str], dict[str, Any]]:
        states = {}
        rows = connection.execute(
            "SELECT CAST(family AS TEXT), CAST(serial AS TEXT), state FROM device "
            "WHERE state IS NOT NULL"
        )
        for family, serial, text in rows:
            state = state_of(text)
            if state is None:
                self._say("store-unreadable", f"store {self.path}: what was known of {serial} "
                          "cannot be read, and is learned anew")  # fmt: skip
            else:
                states[family, serial] = state
        return states

    # What is kept

    @property
    def last_number(self) -> int:
        """The number of the record that was dated last, on disk or not."""
        return self._number

    @property
    def full(self) -> bool:
        """Whether no more may be put into it for now."""
        return self.pending > self._most_pending

    @property
    def pending(self) -> int:
        """Bytes of records that are not on disk yet."""
        return self._batch.size + (self._at_work.size if self._at_work else 0)

    @property
    def removed(self) -> Mapping[str, int]:
        """How many records were removed because it was too much, by reason."""
        return self._file.removed.counts

    def states(self, family: str) -> dict[str, dict[str, Any]]:
        """Return what is remembered of the devices of a family, by serial."""
        return {serial: state for (of, serial), state in self._states.items() if of == family}

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
        self._states[family, serial] = state
        self._hand_over_soon()

    def when_safe(self, callback: Callable[[], object], held: int = 0) -> None:
        """Call back in the loop, once all that was put until now is on disk.

        Args:
            callback: what is called.
            held: bytes that it holds until then.
        """
        self._batch.waiting.append(callback)
        self._batch.size += WAITER + held
        if not self._scheduled:
            self._hand_over_soon()

    def do(self, job: Callable[[sqlite3.Connection], object]) -> None:
        """Let the writer thread do something in the next transaction."""
        self._batch.jobs.append(job)
        self._hand_over_soon()

    def look(self, job: Callable[[sqlite3.Connection], object]) -> None:
        """Let the writer thread read something, before the next transaction if there is one."""
        self._batch.looks.append(job)
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
                self._states.pop(key, None)
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
        while (batch := self._next_order()) is not None:
            error: Exception | None = None
            try:
                self._file.write(batch)
            except Exception as fault:  # noqa: BLE001 - it is told, and the batch tried again
                error = fault
            self._loop.call_soon_threadsafe(self._written, batch, error)
            if error is None:
                self._file.clean_up(batch)
            del batch  # the next may be long in coming, and what waited for this one holds much
        self._file.close()

    def _next_order(self) -> Batch | None:
        """Wait for the next batch; clean up meanwhile."""
        while self._orders.empty() and self._file.clean_up_more():
            pass
        return self._orders.get()

    def _written(self, batch: Batch, error: Exception | None) -> None:
        """Go on after a commit, or after a failure."""
        self._at_work = None
        if error is not None:
            self._fail(batch, error)
            return
        self.commits += batch.writes
        self.committed += len(batch)
        self._delay = FIRST_RETRY
        if self.trouble is not None:
            self.trouble = None
            lost, self._lost = self.dropped - self._lost, self.dropped
            text = f"store {self.path}: works again, all that waited is written"
            if lost:
                text += f"; {lost:,} records found no room; {self._price.lost}"
            self._say("store-recovered", text)
        for callback in batch.waiting:
            callback()
        self._hand_over()
        self._end_if_done()

    def _fail(self, batch: Batch, error: Exception) -> None:
        batch.add(self._batch)
        self._batch = batch
        wait, self._delay = self._delay, min(2 * self._delay, LAST_RETRY)
        if isinstance(error, AnewError):
            self._devices_anew()
            if wait == FIRST_RETRY:
                self._hand_over()
                return
        else:
            told = isinstance(error, StoreError)  # it names the file
            self._complain(str(error) if told else f"store {self.path}: {error}")
        self._retry = self._loop.call_later(wait, self._try_again)
        if self._closing is not None:
            self._give_up()

    def _complain(self, text: str) -> None:
        if self.trouble != text:
            self.trouble = text
            text += f"; tried again until it works; {self._price.meanwhile}"
            self._say("store-trouble", text)

    def _devices_anew(self) -> None:
        """Tell a new file of all devices: the records name them by number."""
        self.files += 1
        for key, row in self._devices.items():
            self._batch.device(row)
            if key in self._states:
                self._batch.states.setdefault(row.id, self._states[key])

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
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing, LONGEST_END)
        self._lose_the_rest()
        self._orders.put(None)
        await asyncio.to_thread(self._thread.join, LONGEST_END)
        self._lock.release()

    def _end_if_done(self) -> None:
        if self._closing is not None and self._at_work is None and not self._closing.done():
            self._closing.set_result(None)

    def _give_up(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
        self._lose_the_rest()
        self._end_if_done()

    def _lose_the_rest(self) -> None:
        """Say what could not be written, if there is such."""
        lost = len(self._batch) + (len(self._at_work) if self._at_work else 0)
        if lost:
            self.unwritten += lost
            text = f"store {self.path}: {lost:,} records were not written; {self._price.lost}"
            self._say("store-lost", text)
        self._batch = Batch()


def _bring_back(now: float, connection: sqlite3.Connection) -> None:
    """Let no arrival be later than now."""
    connection.execute("UPDATE record SET arrival = ?1 WHERE arrival > ?1", (now,))
    connection.execute("UPDATE device SET first = min(first, ?1), last = min(last, ?1)", (now,))
