"""Carries out what commands ask of the server (see `inverterproto_cli.store.requests`).

`Requests` looks for open ones, and takes up one after the other. Where no server runs, `alone` does
the same with a store that the command has for itself.
"""

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any

from inverterproto_cli.server.keeper import Keeper
from inverterproto_cli.server.logs import Log
from inverterproto_cli.store import NoStore, Store, StoreError
from inverterproto_cli.store.requests import (
    Request,
    note_answer,
    note_progress,
    open_requests,
)
from inverterproto_cli.summary import count_of

if TYPE_CHECKING:
    import sqlite3

    from inverterproto_cli.store.batch import DeviceRow
    from inverterproto_cli.store.forgetting import Removal, StillWanted

Answer = Callable[[Mapping[str, Any]], object]


class Requests:
    """Carries out requests, one after the other.

    Args:
        keeper: knows the devices, and has the store.
        log: is told what is done.
        end_of: ends the connections of a device.
    """

    def __init__(self, keeper: Keeper, log: Log, end_of: Callable[[str], object]) -> None:
        self._keeper = keeper
        self._log = log
        self._end_of = end_of
        self._waiting: deque[Request] = deque()
        self._busy = False

    def look(self, now: float) -> None:
        """Look for open requests, unless some are being carried out."""
        store = self._keeper.store
        if self._busy or isinstance(store, NoStore):
            return
        self._busy = True
        found: list[Request] = []

        def find(connection: "sqlite3.Connection") -> None:
            found[:] = open_requests(connection, now)

        store.look(find)
        store.when_safe(partial(self._take_up, found))

    def _take_up(self, found: list[Request]) -> None:
        self._waiting.extend(found)
        self._next()

    def _next(self) -> None:
        self._busy = bool(self._waiting)
        if not self._busy:
            return
        request = self._waiting.popleft()
        answer = partial(self._answer, request.id)
        if request.wanted is None:
            answer({"error": "this is no request"})
        elif request.stale:
            answer({"error": "the request was too old"})
        else:
            self.carry_out(request.wanted, answer, partial(note_progress, number=request.id))

    def _answer(self, number: int, answer: Mapping[str, Any]) -> None:
        store = self._keeper.store
        if isinstance(store, Store):
            store.do(partial(note_answer, number=number, answer=answer, now=time()))
            store.when_safe(self._next)

    def carry_out(
        self, wanted: Mapping[str, Any], answer: Answer, still_wanted: "StillWanted"
    ) -> None:
        """Carry out what is wanted, and give the answer."""
        what, serial = wanted.get("do"), wanted.get("serial")
        if what != "forget" or not isinstance(serial, str):
            answer({"error": "this server cannot do that: is the command of a later release?"})
            return
        self._forget(serial, answer, still_wanted)

    def _forget(self, serial: str, answer: Answer, still_wanted: "StillWanted") -> None:
        store = self._keeper.store
        if not isinstance(store, Store):
            return

        def done(removal: "Removal") -> None:
            if removal.withdrawn:
                answer({"error": "the request was taken back"})
                return
            others = len(removal.devices) - 1
            with_ = f"{count_of(others, 'other device')} and " if others else ""
            text = f"forgotten with {with_}{count_of(removal.removed, 'record')}"
            self._log.tell("forgotten", text, device=serial)
            answer({**_named(serial, rows), "records": removal.removed})

        rows = store.forget(serial, still_wanted, done)
        if not rows:
            answer({"error": "there is no such device in the store"})
            return
        # At once: what it says while its records go is of a device that nobody knows.
        self._keeper.forget(serial)
        self._end_of(serial)


def _named(serial: str, rows: "list[DeviceRow]") -> dict[str, Any]:
    """Return what goes: what kind of device, and how many inverters with it."""
    own = rows[0]
    kind = "battery" if own.family == "alphaess" else "inverter"
    if own.family == "deye" and own.via in (None, serial):
        kind = "logger"
    inverters = {row.serial for row in rows if row.serial != serial}
    return {"forgot": serial, "kind": kind, "inverters": len(inverters)}


def alone(path: Path, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    """Carry out a request where no server has the store.

    Raises:
        HeldError: one has it.
        StoreError: it cannot be used.
    """
    import asyncio

    from inverterproto_cli.store.retention import ALL

    async def main() -> Mapping[str, Any]:
        answered: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()

        def say(event: str, text: str) -> None:
            if event != "store-was-open" and not answered.done():
                answered.set_exception(StoreError(text))

        def answer(found: Mapping[str, Any]) -> None:
            if not answered.done():
                answered.set_result(found)

        store = Store(path, say, keep=ALL)
        store.open()
        try:
            requests = Requests(Keeper(store, Log()), Log(), lambda _serial: None)
            requests.carry_out(wanted, answer, lambda _connection, _done: True)
            return await answered
        finally:
            await store.close()

    return asyncio.run(main())
