"""Carries out what commands ask of the server (see `inverterproto_cli.store.requests`).

`Requests` looks for open ones, and takes up one after the other. Where no server runs, `alone` does
the same with a store that the command has for itself.

*Forgetting* removes a device with all that it sent. *Removing a sink* forgets how far it has got
and what it has set aside; one that this server has cannot be removed, it would come back at once.

*Approving* makes the configuration that was held last for a battery the approved one. The command
says which one it has shown to a person, by the fingerprint of its settings: what the cloud sent
since then is not approved with it. Or it lets all that comes for a while be approved, which only a
server that filters can do. Both are answered once they are on disk; nothing is sent to the battery.
"""

import logging
from collections import deque
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any

from inverterproto.alphaess.approval import NOTHING, differences, fingerprint
from inverterproto_cli.server.keeper import Keeper
from inverterproto_cli.server.logs import Log
from inverterproto_cli.store import NoStore, Store, StoreError
from inverterproto_cli.store.requests import (
    Request,
    note_answer,
    note_progress,
    open_requests,
)
from inverterproto_cli.store.sinks import remove
from inverterproto_cli.summary import count_of

if TYPE_CHECKING:
    import sqlite3

    from inverterproto.alphaess.state import BatteryState
    from inverterproto_cli.store.batch import DeviceRow
    from inverterproto_cli.store.forgetting import Removal, StillWanted

Answer = Callable[[Mapping[str, Any]], object]
LONGEST_APPROVING = 86_400.0
"""Seconds for which all that comes may be approved."""
_FAMILY = "alphaess"
"""The family whose devices fetch their settings."""


class Requests:
    """Carries out requests, one after the other.

    Args:
        keeper: knows the devices, and has the store.
        log: is told what is done.
        end_of: ends the connections of a device.
        filters: whether what clouds send to devices needs approval.
        sinks: the names of the sinks that this server has.
    """

    def __init__(
        self,
        keeper: Keeper,
        log: Log,
        end_of: Callable[[str], object],
        *,
        filters: bool = False,
        sinks: Collection[str] = (),
    ) -> None:
        self._sinks = sinks
        self._keeper = keeper
        self._log = log
        self._end_of = end_of
        self._filters = filters
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
        if what == "forget" and isinstance(serial, str):
            self._forget(serial, answer, still_wanted)
        elif what == "approve" and isinstance(serial, str):
            self._approve(serial, wanted, answer)
        elif what == "remove-sink" and isinstance(wanted.get("name"), str):
            self._remove_sink(wanted["name"], answer)
        else:
            answer({"error": "this server cannot do that: is the command of a later release?"})

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

    def _remove_sink(self, name: str, answer: Answer) -> None:
        store = self._keeper.store
        if not isinstance(store, Store):
            return
        if name in self._sinks:
            answer({"error": "the server that runs has it: take it out of the configuration first"})
            return
        known: list[bool] = []

        def act(connection: "sqlite3.Connection") -> None:
            known[:] = [remove(connection, name)]

        def done() -> None:
            if known[0]:
                self._log.tell("sink-removed", f"the sink {name!r} is forgotten")
                answer({"removed": name})
            else:
                answer({"error": "there is no such sink in the store"})

        store.do(act)
        store.when_safe(done)

    def _approve(self, serial: str, wanted: Mapping[str, Any], answer: Answer) -> None:
        keeper, now = self._keeper, time()
        state = keeper.state(_FAMILY, serial) if keeper.knows(_FAMILY, serial) else None
        if state is None:
            answer({"error": "there is no such battery in the store"})
        elif "seconds" in wanted:
            self._approve_for(serial, state, wanted["seconds"], now, answer)
        else:
            self._approve_held(serial, state, wanted.get("fingerprint"), answer)

    def _approve_for(
        self, serial: str, state: "BatteryState", seconds: object, now: float, answer: Answer
    ) -> None:
        if not self._filters:
            answer({"error": "no proxy with --cloud-commands read-only or block has this store"})
            return
        if not self._keeper.clock_right:
            answer({"error": "the clock of this machine is behind: nothing can be timed by it"})
            return
        if not isinstance(seconds, int | float) or not 0 < seconds <= LONGEST_APPROVING:
            answer({"error": "settings can be approved for at most a day"})
            return
        state.approve_for(now + seconds)
        text = f"for {seconds:,.0f} s what the cloud sends {serial} is taken as approved, as asked"
        self._log.tell("approving", text, logging.WARNING, device=serial)
        answer({"approving": serial, "until": state.approving_until})

    def _approve_held(
        self, serial: str, state: "BatteryState", seen: object, answer: Answer
    ) -> None:
        candidate, before = state.candidate, state.configuration
        if candidate is None:
            answer({"error": "nothing is held for it any more"})
            return
        if fingerprint(candidate) != seen:
            answer({"error": "the cloud has sent another one meanwhile: look again"})
            return
        changes = differences(before or NOTHING, candidate)
        state.approve()
        self._keeper.store.when_safe(partial(self._approved, serial, changes, answer))

    def _approved(self, serial: str, changes: list[str], answer: Answer) -> None:
        text = f"approved, as asked: the configuration of {serial} is now {', '.join(changes)}"
        self._log.tell("configuration-approved", text, logging.WARNING, device=serial)
        answer({"approved": serial, "changes": changes})


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
            keeper = Keeper(store, Log())
            keeper.recollect(store)
            requests = Requests(keeper, Log(), lambda _serial: None)
            requests.carry_out(wanted, answer, lambda _connection, _done: True)
            return await answered
        finally:
            await store.close()

    return asyncio.run(main())
