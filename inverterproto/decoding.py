"""From bytes to what they say: frames, messages, readings with their times, nothing lost.

Theory of operation
-------------------
A `Decoder` takes the chunks of a stream (or, with captures, of several: one decoder for each
connection and direction, all on one `Dates`) and gives `Decoded` objects in the order of the
stream: each an item of the `StreamDecoder`, and, of a frame, its message and its readings.

A reading may get its time only from a later frame: a logger that was not told the time numbers
its records by a counter, and the frame that tells the counter's offset comes afterwards. So what
is not dated yet is held back, and with it all that follows, until it is dated or more than
`Dates.limit` items wait; then all are given, dated as well as can be. Once given, nothing changes.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from inverterproto.families import FAMILIES, Dating, Family, Message, framings
from inverterproto.quantity import LEVELS
from inverterproto.reading import Dated, Reading, Record, TimeSource
from inverterproto.stream import Framed, Item, StreamDecoder, Unframed

MOST_CLOCK_OFFSET = 4e9
"""Seconds; more than any clock with a four-digit year needs, and no date is out of range."""

HELD_BACK = 1000
"""Items that wait for a time, at most."""

_UNDATED = Dated(None, None, TimeSource.UNKNOWN)


class Decoded:
    """An item of a stream with all that it says.

    Attributes:
        item: the frame or the unframed bytes.
        family: the family, or None where the bytes are of none.
        message: what the frame says, None where it is none.
        records: what was measured.
        at: when it arrived in unix seconds, where that is known.
        origin: what the user of the decoder named its stream.
    """

    __slots__ = (
        "_confidence",
        "_dates",
        "_problems",
        "_waiting",
        "at",
        "family",
        "item",
        "message",
        "origin",
        "records",
    )

    def __init__(
        self,
        item: Item,
        *,
        at: float | None = None,
        origin: object = None,
        confidence: str = "B",
    ) -> None:
        self.item = item
        self.at = at
        self.origin = origin
        self._confidence = confidence
        self._problems: tuple[str, ...] | None = None
        self.message: Message | None = None
        self.records: list[Record] = []
        if isinstance(item, Framed):
            self.family: Family | None = FAMILIES[item.family]
            self.message = self.family.message(item.frame)
            self.records = self.message.records(confidence)
        else:
            self.family = FAMILIES[item.framing.family] if item.framing is not None else None
        self._dates: list[Dated | None] = [None] * len(self.records)
        self._waiting = len(self.records)

    @property
    def is_frame(self) -> bool:
        """Whether the item is a frame."""
        return self.message is not None

    @property
    def dated(self) -> bool:
        """Whether all its readings have their times, or are known to have none."""
        return self._waiting == 0

    def set_date(self, index: int, date: Dated) -> None:
        """Date one of the records."""
        # Without its key, which holds this object: a ring would wait for the garbage collector.
        self._dates[index] = Dated(None, date.time, date.source, date.offset)
        self._waiting -= 1

    @property
    def readings(self) -> list[Reading]:
        """The records with their times."""
        return [
            record.dated(date or _UNDATED)
            for record, date in zip(self.records, self._dates, strict=True)
        ]

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with a frame, though it could be read."""
        if self._problems is None:
            message = self.message
            self._problems = () if message is None else message.find_problems(self._confidence)
        return self._problems

    @property
    def tentative(self) -> Message | None:
        """What the frame would say if its checksum were right; None if it fits no frame."""
        if isinstance(self.item, Framed) or self.family is None:
            return None
        frame = self.item.tentative
        return None if frame is None else self.family.message(frame)

    def to_json(self) -> dict[str, Any]:
        """Return the object that the JSON contract has for it (see `docs/json.md`)."""
        item = self.item
        if isinstance(item, Unframed):
            return self._unframed_json(item)
        assert self.message is not None  # noqa: S101 - of every frame
        assert self.family is not None  # noqa: S101 - of every frame
        return {
            "type": "frame",
            "offset": item.offset,
            "length": len(item.raw),
            "family": item.family,
            "name": self.message.name,
            "from": self.message.sender,
            "device": self.message.device,
            "header": self.family.header(item.raw),
            "fields": plain(self.message.fields),
            "readings": [reading.to_json() for reading in self.readings],
            "problems": list(self.problems),
            "raw": item.raw.hex(),
        }

    def _unframed_json(self, item: Unframed) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "type": "unframed",
            "offset": item.offset,
            "length": len(item.raw),
            "reason": item.detail,
        }
        message = self.tentative
        if message is not None and self.family is not None:
            shown["tentative"] = {
                "family": self.family.name,
                "name": message.name,
                "from": message.sender,
                "device": message.device,
                "header": self.family.header(item.raw),
                "fields": plain(message.fields),
                "problems": list(message.problems),
            }
        shown["raw"] = item.raw.hex()
        return shown


_PLAIN = frozenset((int, float, str, bool, type(None)))


def plain(value: Any) -> Any:  # noqa: ANN401 - JSON in, JSON out
    """Return a field's value as JSON can hold it: bytes become hex."""
    kind = type(value)
    if kind is bytes:
        return value.hex()
    if kind is dict:
        return {key: part if type(part) in _PLAIN else plain(part) for key, part in value.items()}
    if kind is list or kind is tuple:
        return [plain(part) for part in value]
    return value


class Dates:
    """Dates what several decoders decode, and keeps it in order meanwhile.

    Args:
        clock_offset: an AlphaESS battery's clock minus UTC in seconds, where the user knows it.
        limit: how many items may wait.
        now: unix time in seconds, where it is known: nothing was measured after it.
    """

    def __init__(
        self,
        clock_offset: float | None = None,
        limit: int = HELD_BACK,
        now: float | None = None,
    ) -> None:
        if clock_offset is not None and not abs(clock_offset) <= MOST_CLOCK_OFFSET:
            raise ValueError(f"a clock offset of {clock_offset} seconds")
        self.clock_offset = clock_offset
        self.limit = limit
        self.now = now
        self._queue: deque[Decoded] = deque()
        self._by_family: dict[str, Dating] = {}
        self._settled_at = 0.0

    def add(self, decoded: Decoded) -> list[Decoded]:
        """Take in what was decoded; return what is ready, in the order of coming."""
        self._queue.append(decoded)
        if decoded.message is not None and decoded.family is not None:
            dating = self._by_family.get(decoded.family.name)
            if dating is None:
                dating = decoded.family.dating(self.clock_offset, self.now)
                self._by_family[decoded.family.name] = dating
            keys: list[object] = [(decoded, index) for index in range(len(decoded.records))]
            self._give_dates(dating.see(decoded.message, keys, decoded.records, decoded.at))
        if decoded.at is not None and abs(decoded.at - self._settled_at) >= 1:
            self._settled_at = decoded.at
            for other in self._by_family.values():
                self._give_dates(other.settle(decoded.at))
        if len(self._queue) > self.limit:
            self._finish()
        return list(self._ready())

    def finish(self) -> list[Decoded]:
        """Date all that waits as well as can be, and return it."""
        self._finish()
        return list(self._ready())

    def _finish(self) -> None:
        for dating in self._by_family.values():
            self._give_dates(dating.finish())

    @staticmethod
    def _give_dates(dates: Iterable[Dated]) -> None:
        for date in dates:
            decoded, index = date.key  # type: ignore[misc]  # our own key
            decoded.set_date(index, date)  # type: ignore[has-type]

    def _ready(self) -> Iterator[Decoded]:
        while self._queue and self._queue[0].dated:
            yield self._queue.popleft()


class Decoder:
    """Decodes one stream, for who looks at it afterwards or from aside.

    Not for who answers it: what a record waits for may come only after the answer. A server takes
    `StreamDecoder`, and dates what it stores as it goes.

    Args:
        families: that may occur in it; all by default.
        dates: what dates the records; shared by the streams of one capture.
        confidence: the least confidence of fields that become readings.
        origin: names the stream in what is decoded of it.
    """

    def __init__(
        self,
        families: Iterable[Family] | None = None,
        *,
        dates: Dates | None = None,
        confidence: str = "B",
        origin: object = None,
    ) -> None:
        if confidence not in tuple(LEVELS):
            raise ValueError(f"a confidence of {confidence!r}: it is one of A, B and C")
        chosen = FAMILIES.values() if families is None else families
        self._stream = StreamDecoder(*framings(chosen))
        self._dates = dates or Dates()
        self._confidence = confidence
        self._origin = origin
        self._fed = 0
        self._arrivals: deque[tuple[int, float]] = deque()  # end of each chunk held, its arrival

    def feed(self, chunk: bytes, at: float | None = None) -> list[Decoded]:
        """Take a chunk (arrived at unix seconds `at`), return what is ready."""
        self._fed += len(chunk)
        if at is not None:
            self._arrivals.append((self._fed, at))
        return self._decode(self._stream.feed(chunk))

    def feed_masked(
        self, raw: bytes, masked: Sequence[int], at: float | None = None
    ) -> list[Decoded]:
        """Take a would-be frame of which the bytes at some offsets are not known."""
        self._fed += len(raw)
        if at is not None:
            self._arrivals.append((self._fed, at))
        return self._decode(self._stream.pass_over(raw, masked))

    def flush(self) -> list[Decoded]:
        """Give up waiting for more bytes; return what is ready. Times may still be waited for."""
        return self._decode(self._stream.flush())

    def finish(self) -> list[Decoded]:
        """Return all that is left: the stream is over, and so is the waiting for times."""
        return [*self.flush(), *self._dates.finish()]

    def _decode(self, items: Iterable[Item]) -> list[Decoded]:
        ready: list[Decoded] = []
        for item in items:
            at = self._arrival_of(item.offset + len(item.raw))
            decoded = Decoded(item, at=at, origin=self._origin, confidence=self._confidence)
            ready += self._dates.add(decoded)
        return ready

    def _arrival_of(self, end: int) -> float | None:
        """Return when the last byte of an item that ends at `end` arrived.

        That is not when it was decoded: behind damage a good frame may wait for long.
        """
        arrivals = self._arrivals
        while arrivals and arrivals[0][0] < end:
            arrivals.popleft()
        return arrivals[0][1] if arrivals else None


def decode(
    data: bytes,
    *,
    family: str | None = None,
    clock_offset: float | None = None,
    confidence: str = "B",
    now: float | None = None,
) -> list[Decoded]:
    """Decode bytes of either family at once.

    Args:
        data: any bytes: frames, and whatever stands between them.
        family: `"deye"` or `"alphaess"`, where only one is looked for.
        clock_offset: an AlphaESS battery's clock minus UTC in seconds, where it is known.
        confidence: the least confidence of fields that become readings: `"A"`, `"B"` or `"C"`.
        now: unix time in seconds, where it is known: nothing was measured after it.

    Returns:
        What the bytes hold, in order; the `item.raw` of all, put together, is `data`.

    >>> [found.message.name for found in decode(bytes.fromhex(
    ...     "a501001047976d4e1caba1001215")) if found.message]
    ['heartbeat']
    """
    if family is not None and family not in FAMILIES:
        raise ValueError(f"no family called {family!r}: there are {', '.join(FAMILIES)}")
    chosen = None if family is None else [FAMILIES[family]]
    dates = Dates(clock_offset, limit=len(data) + 1, now=now)
    decoder = Decoder(chosen, dates=dates, confidence=confidence)
    return [*decoder.feed(data), *decoder.finish()]
