"""A proxy's connections: each goes to its cloud, or, while that is away, to us.

Theory of operation
-------------------
A `Relayed` is a device's connection until it is known who will answer it. If the cloud of its port
is known to be away, nobody is asked; else the cloud is called, and nothing is read from the device
meanwhile (uvloop reads once, whatever it is told; that waits). Then the two sockets become the ends
of a `Wire`, with an `Observer` as its ear; the `Relayed` looks after it. Where the cloud cannot be
had, the connection is taken over by a `StandIn`, which answers in the cloud's place, or, if the
user wants that, closed: then the logger keeps its records for the cloud.

*A silent cloud* takes connections and gives no frame. Its `Cloud` is told of each device that was
left so: one that has waited for `SILENT_AFTER`, or whose connection the cloud has ended. Once it
counts as away, the wires of those who wait are reset, so that they call again and are answered.

*Loops.* Each connection to a cloud is known by its local address. If a device's connection comes
from one of these, and that again and again, the cloud's name leads here, by whatever way: the
program ends and says so.

*The store* is no condition: a device is passed on though nothing can be kept, but with `--durable`.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from inverterproto_cli.address import Address
from inverterproto_cli.relay.cloud import SILENT_AFTER, AwayError, Cloud, LoopError
from inverterproto_cli.relay.copying import Copy
from inverterproto_cli.relay.loops import Loops, Place
from inverterproto_cli.relay.observing import Hearing, Observer
from inverterproto_cli.relay.standing_in import StandIn
from inverterproto_cli.relay.wire import Wire, reset
from inverterproto_cli.server.connection import DeviceConnection
from inverterproto_cli.server.listener import PATIENCE, Listener

if TYPE_CHECKING:
    from inverterproto_cli.server.logs import Where

_TURNED_AWAY = "turned away, as its cloud is: it keeps its records for that"
_PEACEFUL = frozenset({"both sides ended it", "the proxy stops", _TURNED_AWAY})
"""Ends of which only who asked for it wants to read."""


class Relay(Listener):
    """Takes connections and passes them on.

    Args:
        clouds: where each port's devices are passed on to; those of other ports are answered by us.
        loops: knows our own connections.
        hearing: what all observers share.
        refuses: whether devices are turned away while their cloud is away.
        copies_to: a second server that gets what devices say.
        options: those of a `Listener`.
    """

    def __init__(
        self,
        *arguments: Any,  # noqa: ANN401 - a Listener's
        clouds: Mapping[str, Cloud],
        loops: Loops,
        hearing: Hearing,
        refuses: bool = False,
        copies_to: Address | None = None,
        **options: Any,  # noqa: ANN401 - a Listener's
    ) -> None:
        super().__init__(*arguments, **options)
        self.keeper.refused = "passed on, but not kept"
        self.clouds = clouds
        self.loops = loops
        self.hearing = hearing
        self.filters = hearing.gate is not None
        self.refuses = refuses
        self.copies_to = copies_to
        self._probes: dict[str, asyncio.Task[None]] = {}

    async def listen(self, address: Address, port_of: str = "") -> list[Address]:
        """Listen at an address; return it with its port, or each that its name stands for.

        Raises:
            OSError: it cannot be.
        """
        bound = await super().listen(address, port_of)
        self.loops.listens(bound)
        return bound

    def take(self, port_of: str) -> asyncio.BufferedProtocol:
        """Return what takes a connection that came at somebody's port."""
        cloud = self.clouds.get(port_of)
        return DeviceConnection(self) if cloud is None else Relayed(self, cloud)

    def sweep(self) -> None:
        """Look after all connections, and whether clouds are back."""
        super().sweep()
        for name, cloud in self.clouds.items():
            if cloud.is_to_be_probed and name not in self._probes:
                probe = self._probes[name] = asyncio.create_task(self._probe(cloud))
                probe.add_done_callback(partial(self._probed, name))

    def _probed(self, name: str, probe: asyncio.Task[None]) -> None:
        del probe
        del self._probes[name]

    async def _probe(self, cloud: Cloud) -> None:
        try:
            await cloud.probe()
        except LoopError as error:
            self.fail(str(error))
        except Exception:  # noqa: BLE001 - whatever it is, it is tried again
            self.log.fault("a cloud cannot be looked for", self.clock())

    async def close(self, patience: float = PATIENCE) -> None:
        """Accept no more, pass on no more than what is in hand, end all connections."""
        for probe in tuple(self._probes.values()):
            probe.cancel()
        await super().close(patience)

    @property
    def needs_room(self) -> bool:
        """Whether a device may be passed on only if its records find room in the store."""
        return self.hearing.durable

    def counters(self) -> dict[str, int]:
        """Return how much there is of what only a relay has."""
        wires = [one for one in self.connections if isinstance(one, Relayed) and one.is_wire]
        passed: Counter[str] = Counter()
        for one in wires:
            passed.update(one.passed)
        return {"relayed connections now": len(wires), **passed}

    def copy(self) -> Copy | None:
        """Return a connection to the second server, if there is one."""
        return None if self.copies_to is None else Copy(self.copies_to, self._given_up)

    def _given_up(self, why: str) -> None:
        self.keeper.counts["copies given up"] += 1
        self.log.complain("copy", why, self.clock(), about=why)


class Relayed(asyncio.BufferedProtocol):
    """A device's connection until it is known who answers it; then it looks after the wire."""

    __slots__ = (
        "_begun", "_cloud", "_early", "_ended_early", "_listener", "_local", "_number", "_observer",
        "_peer", "_place", "_reason", "_task", "_transport", "_wire",
    )  # fmt: skip

    def __init__(self, listener: Relay, cloud: Cloud) -> None:
        self._listener = listener
        self._cloud = cloud
        self._wire: Wire | None = None
        self._begun = False  # whether it is a wire
        self._early = b""  # what was read before it is known who answers
        self._ended_early = False
        self._observer: Observer | None = None
        self._task: asyncio.Task[None] | None = None
        self._local: Place | None = None
        self._place: Place | None = None
        self._reason: str | None = None  # why it ends without having been a wire

    # until it is known who answers

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - of asyncio or uvloop
        """Take a connection, or refuse it."""
        listener, cloud = self._listener, self._cloud
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if peer else "?"
        if peer and listener.loops.came(peer[:2]):
            listener.fail(cloud.loop_text(self._peer))
            transport.abort()
            return
        self._place = peer[:2] if peer else None
        needs_room = listener.needs_room or cloud.away is not None
        self._number = listener.arrive(self, self._peer if peer else None, needs_room=needs_room)
        if not self._number:
            self._reason = "refused"  # which is told and counted
            transport.abort()
            return
        transport.pause_reading()
        if cloud.away is None:
            self._task = asyncio.create_task(self._connect())
        else:
            self._do_without()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes go."""
        del sizehint
        return self._listener.piece

    def buffer_updated(self, nbytes: int) -> None:
        """Keep what came although nothing was to be read yet."""
        self._early += self._listener.view[:nbytes]
        self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Remember that no more will come."""
        self._ended_early = True
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a device that did not wait, or that was not let in."""
        del exc
        if self._task is not None:
            self._task.cancel()
            self._task = None  # it may not have begun, and then never does
        self._settle()
        wire = self._wire
        if wire is not None:
            wire.cloud.reset()
            self._reason = self._reason or wire.reason
        if self._listener.leave(self, self._peer):
            self._tell_end(self._reason or "the device did not wait")

    def _settle(self) -> None:
        """Take notice that it waits for the cloud no more."""
        if self._place is not None:
            self._listener.loops.settled(self._place)

    async def _connect(self) -> None:
        """Call the cloud, and be a wire to it, or do without."""
        listener = self._listener
        wire = self._wire = Wire(listener, self._over, self._deaf)
        wire.device.expect(self._transport)
        wire.ear = self._observer = Observer(wire, listener.hearing, self._number, self._cloud)
        try:
            await self._cloud.connect(lambda: wire.cloud)
            self._begin(wire)
        except AwayError as error:
            listener.log.detail("no-cloud", f"no cloud: {error}", connection=self._number)
            self._do_without()
        except LoopError as error:
            self._give_up("the cloud is this program")
            listener.fail(str(error))
        except Exception:  # noqa: BLE001 - whatever it is, the others go on
            listener.log.fault(
                "a connection is given up", listener.clock(), connection=self._number
            )
            self._give_up("a fault of this program")
        finally:
            self._task = None
            if not self._begun:
                wire.cloud.reset()
                self._part()

    def _begin(self, wire: Wire) -> None:
        """Be a wire to the cloud."""
        listener = self._listener
        if wire.reason is not None:  # the cloud is gone again
            self._give_up(wire.reason)
            return
        local = self._local = wire.cloud.transport.get_extra_info("sockname")[:2]
        self._begun = True
        wire.copy = listener.copy()
        listener.keeper.counts["relayed connections"] += 1
        self._transport.set_protocol(wire.device)
        wire.device.connection_made(self._transport)
        if self._early:
            wire.device.take(self._early)
        if self._ended_early:
            wire.device.eof_received()
        if listener.loops.calls(local, self._place):
            listener.fail(self._cloud.loop_text(local[0]))
        self._settle()

    def _give_up(self, reason: str) -> None:
        """End it before it was a wire, in a way that tells the device so."""
        self._reason = reason
        reset(self._transport)

    def _do_without(self) -> None:
        """Let the device be answered by us, or turn it away."""
        listener = self._listener
        if self._transport.is_closing():
            return
        if listener.refuses:
            self._reason = _TURNED_AWAY
            self._transport.close()
            return
        listener.keeper.counts["answered in the cloud's place"] += 1
        stand_in = StandIn(listener, self._cloud)
        listener.hand_over(self, stand_in)
        self._settle()
        stand_in.take_over(self._transport, self._peer, self._number)
        stand_in.begin_with(self._early, ended=self._ended_early)

    # looking after the wire

    @property
    def is_wire(self) -> bool:
        """Whether it is passed on."""
        return self._begun

    @property
    def passed(self) -> dict[str, int]:
        """How many bytes have passed, and from whom."""
        wire = self._wire
        if wire is None:
            return {}
        return {
            "relayed bytes of devices": wire.device.count,
            "relayed bytes of clouds": wire.cloud.count,
        }

    def _over(self, wire: Wire, reason: str) -> None:
        """Forget a wire that has ended."""
        if not self._begun:
            return
        listener = self._listener
        if self._local is not None:
            listener.loops.hung_up(self._local)
        listener.keeper.counts.update(self.passed)
        observer = None if wire.ear is None else self._observer
        by_cloud = reason.startswith("the cloud:") or (observer is not None and observer.is_cut_off)
        if observer is not None and observer.asked_at is not None and by_cloud:
            self._cloud.unanswered(observer.where["device"], observer.asked_at)
        if listener.leave(self, self._peer):
            self._tell_end(reason)
        if wire.copy is not None:
            wire.copy.close()
        self._part()

    def _part(self) -> None:
        """Let go of the wire, and it of all that it knows: they refer to each other."""
        wire, self._wire, self._observer = self._wire, None, None
        if wire is not None:
            wire.part()

    def _tell_end(self, reason: str) -> None:
        """Say that it has ended, and why; reasons are of this program's words, and few."""
        listener = self._listener
        listener.keeper.counts[f"ended: {reason}"] += 1
        where: Where = {"connection": self._number}
        if self._observer is not None:
            where = self._observer.where
        text = f"connection ended: {reason}"
        if reason in _PEACEFUL:
            listener.log.detail("ended", text, **where)
        else:
            about = self._peer, reason
            listener.log.complain(
                "ended", text, listener.clock(), about=about, level=logging.INFO, **where
            )

    def _deaf(self, wire: Wire) -> None:
        """Tell of a fault of ours: the wire goes on unheard."""
        del wire
        listener = self._listener
        listener.keeper.counts["faults"] += 1
        text = "a connection is passed on and heard no more"
        listener.log.fault(text, listener.clock(), connection=self._number)

    def look(self, now: float, ticks: float) -> None:
        """End what has been silent or stalled for too long."""
        del now
        wire, listener = self._wire, self._listener
        if wire is None or not self._begun:
            return
        if wire.heard_at:
            listener.heard = True
        wire.look(ticks, listener.idle)
        observer = self._observer
        if observer is None or wire.ear is None or wire.reason is not None:
            return
        wire.hear(observer.look, ticks)
        asked_at = observer.asked_at
        if asked_at is None or ticks - asked_at <= SILENT_AFTER or wire.reason is not None:
            return
        if self._cloud.unanswered(observer.where["device"], asked_at):
            wire.fail("the cloud says nothing")

    def begin_anew(self) -> None:
        """Know nothing any more of the devices' states."""
        if self._observer is not None:
            self._observer.begin_anew()

    def heard(self, serial: str) -> bool:
        """Return whether a device spoke here."""
        return self._observer is not None and self._observer.heard(serial)

    def end(self, event: str, text: str) -> None:
        """End it in peace."""
        del event
        if self._wire is not None and self._begun:
            self._wire.close(text)
        else:
            self._give_up(text)

    def stop(self) -> None:
        """Pass on no more than what is in hand."""
        self.end("stopped", "the proxy stops")

    def abort(self) -> None:
        """Wait for nothing."""
        if self._wire is not None and self._begun:
            self._wire.abort()
        else:
            self._give_up("the proxy stops")
