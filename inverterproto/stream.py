"""From chunks of bytes, however cut, to frames and to what is none; nothing lost.

Theory of operation
-------------------
TCP splits and joins frames at will, and a real stream also holds what is no frame: text of the
logger's modem, bare Modbus RTU, damage. `StreamDecoder.feed` takes chunks and returns *items*:
`Framed` (a whole frame, its checksum right) and `Unframed` (a run of other bytes, and why). The
items' bytes, put together, are the input; which items come does not depend on how it was cut.

*The scan.* A cursor walks over the bytes. Where a byte may begin a frame, the family's `Framing`
is asked: a frame of n bytes; or n bytes are needed to tell (we wait); or no frame. In the last
case the cursor goes on by one byte, so that a good frame is found even inside the bytes that a
damaged one claimed. What the cursor has passed without finding a frame is the current *run*.

*Damage.* Where bytes looked like a frame (its length fits) but failed at the checksum or the end
marker, the run begins there, bears that reason, and ends where the damaged frame claimed to
end, or where a good frame begins, whichever comes first. So a frame that is whole but for its
checksum is one item, and can be shown as tentative.

*Bounds.* A framing never asks for more bytes than its longest frame has; a run without damage is
given away in pieces of 4 KiB. So the decoder holds at most a run that became neither a frame nor a
piece yet and the frame it waits for: the longest frame and the greater of that and a piece. Each
byte is looked at a bounded number of times: the decisions about a position are made once, when
all that is needed for them is there. In the ordinary case (a chunk of whole frames, nothing held
back) the chunk is scanned in place; nearly always it is one frame, and not even that is needed.

*The end.* `flush` says that no more bytes will come (or that they are too long in coming): what
is incomplete is given up as truncated, and looked through for frames inside it.
"""

import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from inverterproto.errors import ProtocolError

PIECE = 4096
"""Runs of unframed bytes longer than this are given away in pieces of it."""


DAMAGED = 1
"""What `Framing.match` says of bytes whose length fits a frame, but whose checksum does not."""


class Reason(StrEnum):
    """Why bytes are unframed."""

    JUNK = "junk"
    CHECKSUM = "bad checksum"
    END_MARKER = "bad end marker"
    LENGTH = "impossible length"
    TRUNCATED = "truncated"
    AT_TEXT = "AT text"
    MODBUS = "bare Modbus RTU"
    TLS = "TLS ClientHello"
    MASKED = "masked"


class Fault(NamedTuple):
    """Why a frame that seemed to begin is none.

    `extent` is the number of bytes that the damaged frame claims, or 0 where that is no clue.
    """

    reason: Reason
    error: ProtocolError
    extent: int = 0


class Framing(Protocol):
    """How a family's frames are told apart in a stream; stateless."""

    @property
    def family(self) -> str:
        """The family's name."""
        ...

    @property
    def start(self) -> int:
        """The byte with which every frame begins."""
        ...

    def match(self, data: bytes | bytearray, start: int, end: int) -> int:
        """Look for a frame at `start`, which holds the start byte; `data` is there up to `end`.

        Returns n > 1 for a valid frame of n bytes; −n where n bytes from `start` are needed to
        tell, and fewer are there; `DAMAGED` for what fits a frame but is none; 0 for no frame.
        """
        ...

    def diagnose(self, data: bytes | bytearray, start: int, end: int) -> Fault:
        """Say why there is no frame at `start` (also: no whole one, `data` ending at `end`)."""
        ...

    def split(self, run: bytes) -> list[tuple[int, Reason]]:
        """Divide undamaged unframed bytes by what they are: lengths (they add up) and reasons."""
        ...

    def parse(self, raw: bytes, *, verify: bool = True) -> Any:  # noqa: ANN401 - the family's own Frame
        """Return the frame that `raw` is, its checksum verified or, for a tentative look, not."""
        ...


class Framed:
    """A frame in its place in the stream.

    Attributes:
        offset: of its first byte in the stream.
        raw: its bytes, valid as a whole.
        framing: the framing that found it.
    """

    __slots__ = ("_frame", "framing", "offset", "raw")
    _frame: Any

    def __init__(self, offset: int, raw: bytes, framing: Framing) -> None:
        self.offset = offset
        self.raw = raw
        self.framing = framing
        self._frame = None

    @property
    def family(self) -> str:
        """The family's name."""
        return self.framing.family

    @property
    def frame(self) -> Any:  # noqa: ANN401 - deye.Frame or alphaess.Frame
        """The frame itself, taken apart when first asked for."""
        frame = self._frame
        if frame is None:
            frame = self._frame = self.framing.parse(self.raw, verify=False)
        return frame

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Framed)
            and self.offset == other.offset
            and self.raw == other.raw
            and self.family == other.family
        )

    def __hash__(self) -> int:
        return hash((self.offset, self.raw))

    def __repr__(self) -> str:
        return f"Framed({self.offset}, {self.family}, {len(self.raw)} bytes)"


class Unframed(NamedTuple):
    """Bytes that are no frame.

    Attributes:
        offset: of the first byte in the stream.
        raw: the bytes.
        reason: the kind of reason.
        detail: the reason in full; offsets in it count in the stream.
        framing: of the frame that this seemed to be, if any.
    """

    offset: int
    raw: bytes
    reason: Reason
    detail: str
    framing: Framing | None = None

    @property
    def tentative(self) -> Any:  # noqa: ANN401 - deye.Frame or alphaess.Frame, or None
        """The frame that this would be, were its checksum right; None if it fits no frame."""
        if self.reason not in _WHOLE or self.framing is None:
            return None
        try:
            return self.framing.parse(self.raw, verify=False)
        except ProtocolError:
            return None


Item = Framed | Unframed

_Finder = Callable[[bytes | bytearray, int, int], int]

_WHOLE = (Reason.CHECKSUM, Reason.MASKED)
"""The reasons of what is a frame in its form."""


class StreamDecoder:
    """Turns the chunks of one stream into items.

    Args:
        framings: of the families that may occur; one on a connection whose family is known.
    """

    __slots__ = (
        "_by_start",
        "_cursor",
        "_fault",
        "_fault_end",
        "_held",
        "_more",
        "_need",
        "_next",
        "_offset",
        "_split",
    )

    def __init__(self, *framings: Framing) -> None:
        if not framings:
            raise ValueError("a StreamDecoder needs at least one framing")
        self._by_start, self._next = _tables(framings)
        self._split = framings[0].split
        self._held = bytearray()
        self._offset = 0  # of the first held byte, in the stream
        self._cursor = 0  # first held byte that has not been decided on
        self._need = 0  # held bytes without which nothing can be decided
        self._fault: Unframed | None = None  # the reason of the current run, its bytes left out
        self._fault_end = 0  # where the damaged frame that began the run claimed to end; 0: none
        self._more: Unframed | None = None  # the last piece of the current run, if one was given

    @property
    def held(self) -> int:
        """The number of bytes that wait for more."""
        return len(self._held)

    @property
    def offset(self) -> int:
        """The offset in the stream of the first byte that no item has told yet."""
        return self._offset

    @property
    def undecided(self) -> int | None:
        """The offset of a byte that may begin a frame, or None: nothing is waited for."""
        return self._offset + self._cursor if self._cursor < len(self._held) else None

    def feed(self, chunk: bytes) -> list[Item]:
        """Take a chunk, return the items that it completes."""
        held = self._held
        if not held:
            size = len(chunk)
            framing = self._by_start.get(chunk[0]) if size and self._more is None else None
            if framing is not None and framing.match(chunk, 0, size) == size > DAMAGED:
                offset = self._offset
                self._offset = offset + size
                return [Framed(offset, chunk, framing)]
            return self._scan(chunk, final=False)
        held += chunk
        if len(held) < self._need:
            return []
        return self._scan(held, final=False)

    def flush(self) -> list[Item]:
        """Give up waiting: return all that is held, as items. The next byte starts afresh."""
        return self._scan(self._held, final=True)

    def pass_over(self, raw: bytes, masked: Sequence[int]) -> list[Item]:
        """Take a would-be frame of which some bytes are not known, and look for nothing in it.

        Args:
            raw: its bytes; what stands for the unknown ones does not matter.
            masked: offsets of these in `raw`.
        """
        items = self.flush()
        detail = f"masked: of {len(raw)} bytes not told: {_ranges(masked)}"
        framing = self._by_start.get(raw[0])
        items.append(Unframed(self._offset, raw, Reason.MASKED, detail, framing))
        self._offset += len(raw)
        return items

    def _scan(self, data: bytes | bytearray, *, final: bool) -> list[Item]:
        """Walk over `data`, which begins at the current run; keep what is undecided."""
        items: list[Item] = []
        by_start = self._by_start
        base, cursor, end = self._offset, self._cursor, len(data)
        run = need = 0
        while cursor < end:
            framing = by_start.get(data[cursor])
            if framing is None:
                cursor = self._next(data, cursor, end)
            else:
                size = framing.match(data, cursor, end)
                if size > DAMAGED:
                    if run < cursor or self._more is not None:
                        self._give_run(items, data, run, cursor)
                    run = cursor + size
                    items.append(Framed(base + cursor, bytes(data[cursor:run]), framing))
                    cursor = run
                    continue
                if size < 0 and not final:
                    need = cursor - size
                    break
                # Inside junk an accidental start byte explains nothing.
                if not self._fault_end and (size or run == cursor):
                    run = self._begin_fault(items, data, run, cursor, framing)
                cursor += 1
            if self._fault_end and base + cursor >= self._fault_end:
                run = self._give_run(items, data, run, self._fault_end - base)
        if final:
            run = self._give_run(items, data, run, end)
        elif not self._fault_end and cursor - run >= PIECE:
            run = self._give_pieces(items, data, run, cursor)
        if run == end and not self._held:
            self._offset += run  # the ordinary case of `_keep`
            self._cursor = self._need = 0
        else:
            self._keep(data, run, cursor, need)
        return items

    def _keep(self, data: bytes | bytearray, run: int, cursor: int, need: int) -> None:
        """Hold the bytes from `run` on for the next scan."""
        if data is self._held:
            del self._held[:run]
        else:
            self._held += data[run:]
        self._offset += run
        self._cursor = cursor - run
        self._need = need - run

    def _begin_fault(
        self,
        items: list[Item],
        data: bytes | bytearray,
        run: int,
        cursor: int,
        framing: Framing,
    ) -> int:
        """Note why there is no frame at `cursor`; return where the current run begins now."""
        fault = framing.diagnose(data, cursor, len(data))
        if not fault.extent and run < cursor:
            return run
        if run < cursor:
            run = self._give_run(items, data, run, cursor)
        at = self._offset + cursor
        if fault.extent or self._fault is None:
            detail = str(fault.error.moved(at))
            self._fault = Unframed(at, b"", fault.reason, detail, framing)
        if fault.extent:
            self._fault_end = at + fault.extent
        return run

    def _give_run(self, items: list[Item], data: bytes | bytearray, run: int, end: int) -> int:
        """Give the run up to `end` away and begin a new one there; return `end`."""
        if self._fault_end:
            fault = self._fault
            assert fault is not None  # noqa: S101 - set together with its end
            raw = bytes(data[run:end])
            if len(raw) != self._fault_end - fault.offset:
                # Cut short by a good frame: not even tentatively a frame.
                fault = fault._replace(framing=None)
            items.append(fault._replace(raw=raw))
        else:
            run = self._give_pieces(items, data, run, end)
            if run < end:
                self._give_plain(items, bytes(data[run:end]), self._offset + run)
        self._fault = self._more = None
        self._fault_end = 0
        return end

    def _give_pieces(self, items: list[Item], data: bytes | bytearray, run: int, end: int) -> int:
        """Give whole pieces of an undamaged run away; return where the rest begins."""
        while end - run >= PIECE:
            self._give_plain(items, bytes(data[run : run + PIECE]), self._offset + run)
            run += PIECE
        return run

    def _give_plain(self, items: list[Item], raw: bytes, at: int) -> None:
        """Give undamaged unframed bytes away, told apart by what they are."""
        if self._more is not None:
            items.append(self._more._replace(offset=at, raw=raw))
            return
        start = 0
        for size, reason in self._split(raw):
            part = raw[start : start + size]
            if reason is Reason.JUNK and start == 0 and self._fault is not None:
                last = self._fault._replace(offset=at, raw=part)
            else:
                last = Unframed(at + start, part, reason, str(reason))
            items.append(last)
            start += size
            self._more = last._replace(detail=f"{last.reason}, continued")


def _ranges(numbers: Sequence[int]) -> str:
    """Return ascending numbers as text: `7 to 10, 23`."""
    parts: list[str] = []
    first = last = numbers[0]
    for number in (*numbers[1:], None):
        if number == last + 1:
            last = number
            continue
        parts.append(f"{first}" if first == last else f"{first} to {last}")
        if number is not None:
            first = last = number
    return ", ".join(parts)


@lru_cache(maxsize=16)
def _tables(framings: tuple[Framing, ...]) -> tuple[dict[int, Framing], _Finder]:
    """Return the framings by their start bytes, and what finds one of these; decoders share it."""
    by_start = {framing.start: framing for framing in framings}
    return by_start, _finder(bytes(by_start))


def _finder(starts: bytes) -> _Finder:
    """Return a function that finds the next start byte, or the end."""
    if len(starts) == 1:

        def find_one(data: bytes | bytearray, start: int, end: int) -> int:
            at = data.find(starts, start)
            return end if at < 0 else at

        return find_one

    search = re.compile(b"[" + re.escape(starts) + b"]").search

    def find_any(data: bytes | bytearray, start: int, end: int) -> int:
        found = search(data, start)
        return found.start() if found else end

    return find_any
