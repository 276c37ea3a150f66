"""A wire: two sockets, and what passes between them, byte for byte and in order.

Theory of operation
-------------------
A `Wire` has two ends, the device's and the cloud's. What one reads the other writes, in the same
turn; only then it is shown to whoever listens (`Ear`), whose faults cost the listening and never
the wire. Bytes to the device may be held: the ear says by which bytes, and when, they are replaced.

*Bounds.* All ends read into one buffer, as what is read leaves at once. What a slow peer does not
take waits in the other end's transport, at most `HIGH` bytes and one reading: above that nothing is
read from the other side, until it falls below `LOW`.

*Turns.* An ear for which a chunk was much work says so (`End.weigh`). That end is then read on in
pieces, each when its turn has come (see `server/listener.py`), until a piece was little work again.

*Ends.* The end of a stream passes as just that: the other direction goes on, and when both have
ended, or the program ends it, both sockets are closed behind what waits to be sent. The wire is
over when both are gone; who takes nothing any more delays that for `STALLED` at most. A reset
passes as a reset (linger 0), and so do time-outs and any other failure, as nobody can say then what
arrived. A socket that is not read tells of no failure, so `look`, called once a second, asks the
kernel about those. (Their TCP state would not do: it is the same after a reset, and after both
sides have ended it in peace.) Whoever takes nothing for `STALLED` is reset; who takes little, by
what the kernel knows to be acknowledged, is waited for.

*Time-outs.* Nothing at all within `FIRST_BYTE`, or silence for `IDLE` (`IDLE_FOREIGN` where nothing
of ours was ever recognised), reset the wire. TCP's own keep-alive finds peers that vanished.

*Forgetting.* Ends, ear and wire know each other. A wire that is over lets go of them (`part`), so
that they are gone at once: left to Python's search for garbage in cycles, which looks seldom at
what has lived for a while, those of an hour would pile up.
"""

import asyncio
import errno
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from inverterproto_cli.relay.copying import Copy

HIGH, LOW = 64 << 10, 16 << 10
"""Bytes that wait for a slow peer before the other is read no more, and until it is again."""
FIRST_BYTE, IDLE, IDLE_FOREIGN, STALLED = 60.0, 900.0, 7200.0, 60.0
"""Seconds: see the theory."""
_RESET = struct.pack("ii", 1, 0)
_VANISHED = frozenset({errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN})
_BYTES_ACKED = struct.Struct("120xQ")  # where Linux tells of them (linux/tcp.h: tcp_info)
_KEEP_ALIVE = (
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 120),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 30),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", 4),
)


class Turns(Protocol):
    """What all wires of a loop share.

    Attributes:
        view: where they read into.
        piece: its begin, where those read into whose chunks are much work.
    """

    view: memoryview
    piece: memoryview

    def wait_for_turn(self, waiting: "End") -> None:
        """Call `End.go_on` when the others have had their turn."""
        ...


class Ear(Protocol):
    """Hears what passes on a wire."""

    def device_said(self, chunk: bytes) -> None:
        """Hear what went to the cloud."""
        ...

    def cloud_said(self, chunk: bytes) -> None:
        """Hear what went to the device, or, where `holds`, is to go: then it calls `release`."""
        ...

    def ended(self, sender: str) -> None:
        """Hear that a direction has ended: `"device"` or `"cloud"` says no more."""
        ...

    @property
    def holds(self) -> bool:
        """Whether what the cloud says waits for this ear's `Wire.release`."""
        ...

    @property
    def foreign(self) -> bool:
        """Whether nothing of ours was recognised."""
        ...


class End(asyncio.BufferedProtocol):
    """One socket of a wire.

    Attributes:
        name: who is at this end.
        transport: the socket's, None before there is one.
        count: bytes that this side said.
        ended: whether it says no more.
        paused_at: since when it takes no more, or None.
        view: where the next bytes go.
    """

    __slots__ = (
        "_held", "_taken", "_waits", "count", "ended", "paused_at", "transport", "view", "wire",
    )  # fmt: skip

    name: str
    transport: Any  # asyncio's or uvloop's, None before there is one

    def __init__(self, wire: "Wire") -> None:
        self.wire = wire
        self.view = wire.turns.view
        self.transport = None
        self.count = 0  # bytes that it said
        self.ended = False  # says no more
        self.paused_at: float | None = None  # takes no more since then
        self._held = False  # is not to be read, whatever the other takes
        self._waits = False  # for its turn
        self._taken: int | None = None  # see `takes`

    def expect(self, transport: Any) -> None:  # noqa: ANN401 - asyncio's or uvloop's
        """Write to a socket that is still another's, who reads nothing from it meanwhile."""
        self.transport = transport
        self._held = True

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - asyncio's or uvloop's
        """Take the socket. Nothing is read before the other one is there."""
        self.transport = transport
        self._held = False
        self.wire.opened()
        transport.set_write_buffer_limits(HIGH, LOW)
        keep_alive(transport)
        self.read_or_not()
        self.other.read_or_not()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes go."""
        del sizehint
        return self.view

    def buffer_updated(self, nbytes: int) -> None:
        """Pass bytes on, then let them be heard."""
        self.take(bytes(self.view[:nbytes]))

    def take(self, chunk: bytes) -> None:
        """Pass on what was read, then let it be heard."""
        raise NotImplementedError

    @property
    def other(self) -> "End":
        """The other end, while the wire is not over."""
        raise NotImplementedError

    def eof_received(self) -> bool:
        """Pass on that no more will come; go on with the other direction."""
        self.ended = True
        wire = self.wire
        if wire.ear is not None:
            wire.hear(wire.ear.ended, self.name)
        if not self.is_held_back:
            wire.pass_end(self)
        return True

    def pause_writing(self) -> None:
        """Read no more from the other side: this one is slow."""
        self.paused_at = monotonic()
        self._taken = None
        self.other.read_or_not()

    def resume_writing(self) -> None:
        """Read from the other side again."""
        self.paused_at = None
        self.other.read_or_not()

    def hold(self, *, held: bool) -> None:
        """Read no more from this side, or again."""
        self._held = held
        if self._waits and not held:
            self.wire.turns.wait_for_turn(self)
        self.read_or_not()

    def weigh(self, *, heavy: bool) -> None:
        """Read the next piece when its turn has come, or as much as there is, as soon as it is."""
        turns = self.wire.turns
        self.view = turns.piece if heavy else turns.view
        if heavy and self.wire.reason is None:
            self._waits = True
            if not self._held:
                turns.wait_for_turn(self)
            self.read_or_not()

    def go_on(self) -> None:
        """Read a piece: the turn has come. Whoever is held still waits for another."""
        if not self._held:
            self._waits = False
            self.read_or_not()

    def read_or_not(self) -> None:
        """Read, if there is room for it on the other side and nobody holds it."""
        transport = self.transport
        if self.ended or transport is None or transport.is_closing():
            return
        other = self.other
        if self.is_held or other.transport is None or other.paused_at is not None:
            transport.pause_reading()
        else:
            transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass a failure on."""
        self.wire.lost(self, exc)

    def reset(self) -> None:
        """End the socket in a way that tells the peer that not all may have arrived."""
        if self.transport is not None:
            reset(self.transport)

    def failure(self) -> int:
        """Ask the kernel for the error of a socket that nobody reads now; 0 is none."""
        try:
            error: int = self.transport.get_extra_info("socket").getsockopt(
                socket.SOL_SOCKET, socket.SO_ERROR
            )
        except (OSError, ValueError, AttributeError):  # gone
            return 0
        return error

    def takes(self) -> bool:
        """Return whether the peer has taken some of what waits for it, since this was last asked.

        The transport alone does not know: the kernel may ask it for more once in megabytes.
        """
        waiting = 0 if self.transport is None else self.transport.get_write_buffer_size()
        if not waiting:  # the socket may be gone
            return False
        before, self._taken = self._taken, self._acknowledged() - waiting
        return before is not None and self._taken > before

    def _acknowledged(self) -> int:
        """Ask the kernel how many bytes the peer has acknowledged."""
        try:
            told = self.transport.get_extra_info("socket").getsockopt(
                socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.size
            )
            count: int = _BYTES_ACKED.unpack(told)[0]
        except (OSError, ValueError, AttributeError, struct.error):  # another system
            return 0
        return count

    @property
    def is_held(self) -> bool:
        """Whether it is not read, whatever the other takes."""
        return self._held or self._waits

    @property
    def is_held_back(self) -> bool:
        """Whether what it says passes only by the ear's `Wire.release`."""
        return False


class DeviceEnd(End):
    """The device's socket."""

    __slots__ = ()
    name = "device"

    def take(self, chunk: bytes) -> None:
        """Pass on what was read, then let it be heard."""
        wire = self.wire
        wire.heard_at = monotonic()
        self.count += len(chunk)
        wire.cloud.transport.write(chunk)
        if wire.copy is not None:
            wire.copy.write(chunk)
        if wire.ear is not None:
            try:
                wire.ear.device_said(chunk)
            except Exception:  # noqa: BLE001 - as in `Wire.hear`, without its cost
                wire.deafen()

    @property
    def other(self) -> End:
        """The cloud's."""
        return self.wire.cloud


class CloudEnd(End):
    """The cloud's socket."""

    __slots__ = ()
    name = "cloud"

    def take(self, chunk: bytes) -> None:
        """Pass on what was read, unless the ear holds it, then let it be heard."""
        wire = self.wire
        wire.heard_at = monotonic()
        self.count += len(chunk)
        ear = wire.ear
        if ear is None:
            wire.device.transport.write(chunk)
            return
        if not ear.holds:
            wire.device.transport.write(chunk)
        try:
            ear.cloud_said(chunk)
        except Exception:  # noqa: BLE001 - as in `Wire.hear`, without its cost
            wire.deafen()

    @property
    def other(self) -> End:
        """The device's."""
        return self.wire.device

    @property
    def is_held_back(self) -> bool:
        """Whether what it says passes only by the ear's `Wire.release`."""
        return self.wire.ear is not None and self.wire.ear.holds


class Wire:
    """Two ends, and what passes between them.

    Args:
        turns: what all wires of a loop share.
        over: is called once, when it has ended and both sockets are gone.
        fault: is called when the ear fails; it hears no more.

    Attributes:
        ear: hears what passes.
        copy: gets what the device says, too.
        begun_at: when it was made, in seconds of a clock that nobody sets.
        heard_at: when something came last, by the same clock; 0 if nothing has.
        reason: why it ends, or None.
    """

    __slots__ = (
        "_ending_since", "_fault", "_open", "_over", "begun_at", "cloud", "copy", "device", "ear",
        "heard_at", "reason", "turns",
    )  # fmt: skip

    def __init__(
        self,
        turns: Turns,
        over: Callable[["Wire", str], object],
        fault: Callable[["Wire"], object],
    ) -> None:
        self.turns = turns
        self.ear: Ear | None = None
        self.copy: Copy | None = None
        self.reason: str | None = None
        self.begun_at = monotonic()
        self.heard_at = 0.0
        self._ending_since = 0.0
        self._open = 0  # sockets
        self._over = over
        self._fault = fault
        self.device = DeviceEnd(self)
        self.cloud = CloudEnd(self)

    def hear(self, part: Callable[..., None], *arguments: object) -> None:
        """Let the ear hear something. A fault of it ends the listening, not the wire."""
        try:
            part(*arguments)
        except Exception:  # noqa: BLE001 - whatever it is, the wire goes on
            self.deafen()

    def deafen(self) -> None:
        """End the listening, because of a fault of the ear."""
        if self.ear is not None and self.ear.holds:
            # What is held to protect the device does not pass because of a fault.
            self.fail("a fault of this program")
        self.ear = None
        for end in (self.device, self.cloud):
            end.weigh(heavy=False)
        self._fault(self)

    def release(self, data: bytes) -> None:
        """Send to the device what was held, or what takes its place."""
        if self.reason is None:
            self.device.transport.write(data)

    def pass_end(self, end: End) -> None:
        """Tell the other side that this one says no more."""
        other = end.other
        if self.reason is not None or other.transport is None:
            return
        if other.ended:
            self._finish("both sides ended it")
        elif not other.transport.is_closing():
            other.transport.write_eof()

    def opened(self) -> None:
        """Take notice that there is a socket more."""
        self._open += 1

    def lost(self, end: End, exc: Exception | None) -> None:
        """Take notice that a socket is gone."""
        self._fail_at(end, exc.errno if isinstance(exc, OSError) else None)
        self._open -= 1
        if not self._open and self.reason is not None:
            self._over(self, self.reason)

    def part(self) -> None:
        """Forget all that it stands between: it is over, or never came to be."""
        self.reason = self.reason or "parted"  # who still holds the wire is to see that
        self.ear = self.copy = None
        del self.device, self.cloud

    def _fail_at(self, end: End, error: int | None) -> None:
        self.fail(f"the {end.name}: {'vanished' if error in _VANISHED else 'reset'}")

    def fail(self, reason: str) -> None:
        """Reset both sides."""
        if self.reason is not None:
            return
        self.reason = reason
        self.abort()

    def abort(self) -> None:
        """Reset what is still there of both sides."""
        self.device.reset()
        self.cloud.reset()

    def close(self, reason: str) -> None:
        """End both sides in peace, after what waits to be sent."""
        if self.reason is None:
            self._finish(reason)

    def _finish(self, reason: str) -> None:
        self.reason = reason
        self._ending_since = monotonic()
        for end in (self.device, self.cloud):
            if end.transport is not None:
                end.transport.close()

    def look(self, ticks: float, idle: float = IDLE) -> None:
        """End what was reset unseen, has stalled, or has been silent for too long.

        Args:
            ticks: seconds of a clock that nobody sets.
            idle: seconds of silence, where something of ours is spoken.
        """
        if self.reason is not None:
            # Both are asked each time.
            if any([self.device.takes(), self.cloud.takes()]):
                self._ending_since = ticks
            elif ticks - self._ending_since > STALLED:
                self.abort()
            return
        for end in (self.device, self.cloud):
            unread = end.ended or end.is_held or end.other.paused_at is not None
            error = end.failure() if unread else 0
            if error:
                self._fail_at(end, error)
                return
            if end.paused_at is None:
                continue
            if end.takes():
                end.paused_at = ticks
            elif ticks - end.paused_at > STALLED:
                self.fail(f"the {end.name} takes nothing")
                return
        if not self.heard_at:
            if ticks - self.begun_at > FIRST_BYTE:
                self.fail("nothing came")
        elif ticks - self.heard_at > (IDLE_FOREIGN if self._is_foreign else idle):
            self.fail("silent for too long")

    @property
    def _is_foreign(self) -> bool:
        return self.ear is None or self.ear.foreign


def reset(transport: Any) -> None:  # noqa: ANN401 - asyncio's or uvloop's
    """End a socket in a way that tells the peer that not all may have arrived."""
    with suppress(OSError, ValueError):  # it may be gone already
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()


def keep_alive(transport: Any) -> None:  # noqa: ANN401 - asyncio's or uvloop's
    """Let TCP find out when the peer has vanished."""
    sock = transport.get_extra_info("socket")
    for level, name, value in _KEEP_ALIVE:
        option = getattr(socket, name, None)
        if option is not None:
            with suppress(OSError, ValueError):
                sock.setsockopt(level, option, value)
