"""A device's connection: bytes in, a session behind them, answers out once they may go.

Theory of operation
-------------------
What comes in goes through a `StreamDecoder` of both families, each item to the session of its
family, and what the session asks for to the `Keeper`. Answers leave in the order in which they were
given; one that comes behind a record leaves once that is safe (`Store.when_safe`), and so do all
that come behind such a one: nothing overtakes.

*One buffer for all.* A chunk is decoded before the loop reads the next, so all connections read
into the same memory, and an idle one holds almost none.

*The end* is one function, `end`: from then on nothing more is taken, what waits for the store still
leaves, then the connection is closed; at the latest after a minute. A device that closes its half
after its data gets its answer so, too.

*Bounds.* A connection ends that sends too many bytes without a frame, no frame for too long (a
byte a second is no life), or nothing at first; that does not read its answers; or whose records
find no room. Only so many chunks may wait for the store; until some are safe, the connection is
not read: who sends faster than the store writes is not heard until it has caught up. One whose
chunk was much work waits for its turn (see `listener.py`). What the decoder waits for is given up
after half a minute in which nothing came, so that text and half frames are told of, and do not
swallow what comes next.

*A fault of ours* costs the connection, never the server: everything that is called from outside is
called by `_safely`.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial
from sys import intern
from time import thread_time
from typing import TYPE_CHECKING, Any

from inverterproto.families import FAMILIES, HEAD, recognise
from inverterproto.reading import Dated
from inverterproto.session import Action, Close, CloudSession, Note, Record, Send
from inverterproto.stream import Framed, Framing, Item, Reason, StreamDecoder, Unframed
from inverterproto_cli.server.logs import Where

if TYPE_CHECKING:
    from inverterproto_cli.server.capturing import Side
    from inverterproto_cli.server.listener import Listener

FIRST_FRAME, STALLED, HELD = 60.0, 60.0, 30.0
"""Seconds without a first frame; without taking an answer; until the decoder waits no longer."""
MOST_UNSENT = 8
"""Chunks of a connection that wait for the store, with their answers."""
HEAVY = 0.0005
"""Seconds of work that make a chunk a heavy one."""
LIGHT = 1024
"""Bytes that cannot be as much work, whatever they are: they need no watch."""
TLS = (
    "this device encrypts (TLS), and trusts its maker's cloud alone: with this firmware nothing "
    "can be done here; see docs/point-a-device.md"
)
_NO_ROOM = "too much waits for the store (--max-waiting)"


class DeviceConnection(asyncio.BufferedProtocol):
    """A device's connection."""

    __slots__ = (
        "_captured", "_capturing", "_closing_since", "_decoder", "_device", "_family", "_farewell",
        "_framed_at", "_framing", "_heard_at", "_heavy", "_held_back", "_listener", "_peer",
        "_session", "_sessions", "_stalled_since", "_transport", "_unread", "_unsafe", "_unsent",
        "number",
    )  # fmt: skip

    def __init__(self, listener: "Listener") -> None:
        now = listener.ticks()
        self._listener = listener
        self._decoder = StreamDecoder(*listener.framings)
        self._sessions: dict[str, CloudSession] = {}
        self._session: CloudSession | None = None  # of the last frame
        self._framing: Framing | None = None  # of the last frame
        self._family: str | None = None
        self._device: str | None = None
        self._unread = True  # whether no byte has come yet
        self._unsafe = False  # whether a record was kept since the last answer
        self._unsent = 0  # chunks that wait for the store
        self._heavy = True  # until it has shown that it is not
        self._held_back = False  # until its turn
        self._farewell: tuple[str, str, int] | None = None  # ends the connection behind answers
        self._heard_at = now
        self._framed_at = now - max(0.0, listener.idle - FIRST_FRAME)
        self._stalled_since: float | None = None
        self._closing_since: float | None = None
        self._captured: Side | None = None
        self._capturing: Side | None = None

    @property
    def _where(self) -> Where:
        return {"connection": self.number, "family": self._family, "device": self._device}

    # asyncio's side

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - of asyncio or uvloop
        """Take a connection, or refuse it."""
        listener = self._listener
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._peer = intern(str(peer[0])) if peer else "?"  # one text for all of an address
        self.number = listener.arrive(self, self._peer if peer else None)
        if not self.number:
            self._closing_since = listener.ticks()
            transport.abort()
        else:
            self._capture()

    def _capture(self) -> None:
        capture = self._listener.capture
        if capture is not None:
            self._captured = capture.side(f"{self.number}", "device")
            self._capturing = capture.side(f"{self.number}", "cloud")

    def take_over(self, transport: Any, peer: str, number: int) -> None:  # noqa: ANN401 - see above
        """Take a connection that was another's until now, before anything was read from it."""
        self._transport, self._peer, self.number = transport, peer, number
        transport.set_protocol(self)
        self._capture()
        self._set_reading()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes go."""
        del sizehint
        return self._listener.piece if self._heavy else self._listener.view

    def buffer_updated(self, nbytes: int) -> None:
        """Take bytes."""
        if self._closing_since is not None:
            return
        listener = self._listener
        self._heard_at = listener.ticks()
        if nbytes <= LIGHT and not self._decoder.held:
            self._heavy = False
            self._feed(listener.view[:nbytes])
            return
        begin = thread_time()
        self._feed(listener.view[:nbytes])
        self._heavy = thread_time() - begin > HEAVY
        if self._heavy and self._closing_since is None:
            self._held_back = True
            self._set_reading()
            if not self._unsent:
                listener.wait_for_turn(self)

    def eof_received(self) -> bool:
        """Answer what is in hand, then end."""
        if self._closing_since is None:
            self._safely(self._give_up_waiting)
            self.end("closed", "the device closed", logging.DEBUG)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        listener = self._listener
        if not listener.leave(self, self._peer):
            return
        if self._closing_since is None:
            self._closing_since = listener.ticks()
            self._safely(self._give_up_waiting)
            event = "closed" if exc is None else "lost"
            listener.keeper.counts[f"ended: {event}"] += 1
            text = "the connection is closed" if exc is None else f"the connection is lost: {exc}"
            listener.log.detail("ended", text, **self._where)
        self._sessions.clear()

    def pause_writing(self) -> None:
        """Hear no more of a peer that does not read its answers."""
        self._stalled_since = self._listener.ticks()
        self._set_reading()

    def resume_writing(self) -> None:
        """Hear it again."""
        self._stalled_since = None
        self._set_reading()

    # What comes in

    def _safely(self, act: Callable[..., object], *arguments: object) -> None:
        """Do something; a fault of ours costs this connection, and is told."""
        try:
            act(*arguments)
        except Exception:  # noqa: BLE001 - whatever it is, the other connections go on
            self._fail()

    def _fail(self) -> None:
        listener = self._listener
        listener.log.fault("a connection is given up", listener.clock(), **self._where)
        self.end("fault", "a fault of this program", logging.DEBUG)

    def _feed(self, view: memoryview) -> None:
        try:
            chunk = bytes(view)
            items = self._decoder.feed(chunk)
            if self._unread:
                self._unread = False
                self._listener.heard = True
                if recognise(chunk[:HEAD]) == "tls":
                    items += self._decoder.flush()  # it waits for an answer; no more will come
            self._take(items, self._listener.clock())
        except Exception:  # noqa: BLE001 - as in `_safely`, without its cost
            self._fail()

    def _give_up_waiting(self) -> None:
        self._take(self._decoder.flush(), self._listener.clock())

    def _take(self, items: list[Item], now: float) -> None:
        """Let the sessions say what to do about some items, and do it."""
        answers: list[bytes] = []
        self._listener.keeper.look_at_clock(now)
        for item in items:
            if self._captured is not None:
                self._captured.found(now, item)
            if isinstance(item, Framed):
                self._framed_at = self._heard_at
            elif item.reason is Reason.TLS:
                log = self._listener.log
                log.complain("tls", TLS, now, about=self._peer, **self._where)
                self._farewell = "tls", "it speaks TLS", logging.DEBUG
            session = self._session
            if session is None or item.framing is not self._framing:
                session = self._session_of(item)
            actions = session.receive(item, now)
            if isinstance(item, Unframed) and item.reason is Reason.TLS:  # that is told
                actions = [each for each in actions if type(each) is not Note]
            if not self._act(actions, answers, now):
                break
        self._send(answers)

    def _session_of(self, item: Item) -> CloudSession:
        """Return the session of an item's family; of bytes of none, the one of the last frame."""
        if item.framing is not None:
            name = item.framing.family
        else:
            name = self._family or next(iter(FAMILIES))
        session = self._sessions.get(name)
        if session is None:
            session = self._sessions[name] = self._listener.open_session(name)
        if isinstance(item, Framed):
            self._family, self._framing, self._session = name, item.framing, session
        return session

    def _act(self, actions: Iterable[Action], answers: list[bytes], now: float) -> bool:
        """Carry out actions; collect what is to be sent; return whether all found room."""
        keeper = self._listener.keeper
        room = True
        for action in actions:
            if type(action) is Record:
                self._unsafe = True
                self._device = action.via or action.device or self._device
                room = keeper.keep(action, now) and room
            elif type(action) is Dated:
                keeper.date(action, now)
            elif type(action) is Send:
                answers.append(action.data)
            elif type(action) is Close:
                self._farewell = "no frame", action.reason, logging.INFO
            else:
                keeper.tell(action, now, self._where)
        if room:
            return True
        answers.clear()
        self._farewell = "no room", _NO_ROOM, logging.WARNING
        return False

    # What goes out

    def _send(self, answers: list[bytes]) -> None:
        """Send answers, once what was kept before them is safe; then say farewell, if need be."""
        if answers or self._unsafe:
            data = answers[0] if len(answers) == 1 else b"".join(answers)
            store = self._listener.keeper.store
            if not (store.lasting and (self._unsafe or self._unsent)):
                if data:
                    self._write(data)
            elif store.full:
                self._farewell = "no room", _NO_ROOM, logging.WARNING
            else:
                self._unsafe = False
                self._unsent += 1
                store.when_safe(partial(self._safely, self._send_safe, data), len(data))
                if self._unsent == MOST_UNSENT:
                    self._set_reading()
        if self._farewell is not None:
            self.end(*self._farewell)

    def _send_safe(self, data: bytes) -> None:
        self._unsent -= 1
        if data:
            self._write(data)
        if self._closing_since is not None:
            if not self._unsent:
                self._transport.close()
        elif self._held_back and not self._unsent:
            self._listener.wait_for_turn(self)
        elif self._unsent == MOST_UNSENT - 1:
            self._set_reading()

    def go_on(self) -> None:
        """Hear again who was held back: its turn has come."""
        self._held_back = False
        self._set_reading()

    def _write(self, data: bytes) -> None:
        listener = self._listener
        if self._transport.is_closing():
            return
        if self._capturing is not None:
            self._capturing.sent(listener.clock(), data)
        self._transport.write(data)

    def _set_reading(self) -> None:
        """Read on, or hear no more for now."""
        if self._transport.is_closing():
            return
        if (
            self._closing_since is None
            and self._stalled_since is None
            and not self._held_back
            and self._unsent < MOST_UNSENT
        ):
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def begin_anew(self) -> None:
        """Let the next frames open new sessions."""
        self._sessions.clear()
        self._session = self._framing = None

    # What the server does about it

    def look(self, now: float, ticks: float) -> None:
        """Do what is due, and end what has been silent or stalled for too long.

        Args:
            now: unix time in seconds.
            ticks: seconds of a clock that nobody sets.
        """
        self._safely(self._look, now, ticks)

    def _look(self, now: float, ticks: float) -> None:
        if self._closing_since is not None:
            if ticks - self._closing_since > STALLED:
                self._transport.abort()
            return
        for session in self._sessions.values():
            if session.due <= now:
                answers: list[bytes] = []
                self._act(session.poll(now), answers, now)
                self._send(answers)
        if self._decoder.held and ticks - self._heard_at > HELD:
            self._give_up_waiting()
        if self._stalled_since is not None and ticks - self._stalled_since > STALLED:
            self.end("stalled", "it does not read its answers")
            self._transport.abort()
        elif ticks - self._framed_at > self._listener.idle:
            self.end("silent", "no frame came for too long")

    def heard(self, serial: str) -> bool:
        """Return whether a device spoke here."""
        return any(serial in session.serials for session in self._sessions.values())

    def is_quiet(self, ticks: float, seconds: float) -> bool:
        """Return whether nothing came for so long, no frame is begun and no answer is owed."""
        return not (self._decoder.held or self._unsent) and ticks - self._heard_at > seconds

    def stop(self) -> None:
        """Take no more; what is in hand is still answered."""
        self._safely(self.end, "stopped", "the server stops", logging.DEBUG)

    def abort(self) -> None:
        """Wait for nothing."""
        self._transport.abort()

    def end(self, event: str, text: str, level: int = logging.INFO) -> None:
        """Take no more, let what waits for the store leave, then close."""
        if self._closing_since is not None:
            return
        listener = self._listener
        self._closing_since = listener.ticks()
        listener.keeper.counts[f"ended: {event}"] += 1
        text = f"connection ended: {text}"
        if level > logging.DEBUG:
            where, about = self._where, (self._peer, text)
            listener.log.complain(
                f"ended: {event}", text, listener.clock(), about=about, level=level, **where
            )
        else:
            listener.log.detail(f"ended: {event}", text, **self._where)
        if self._unsent:
            self._set_reading()
        else:
            self._transport.close()
