"""What real payloads say about a layout: where it fits, where it does not, what it leaves open.

`Evidence` takes the payloads one by one and keeps of each field how often it had a value, the
lowest and the highest, and the first that cannot be; and of each byte whether it ever changed. So
its size is that of the longest payload, whatever the number of frames.
"""

import re
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from inverterproto.deye.frame import PAYLOAD_AT
from inverterproto.deye.layouts.head import DATA_HEAD
from inverterproto.deye.messages import DATA
from inverterproto.families import DEYE, framings
from inverterproto.field import Field
from inverterproto.layout import Layout
from inverterproto.layout_toml import span
from inverterproto.quantity import Number, out_of_range
from inverterproto.stream import Framed, Item, StreamDecoder
from inverterproto_cli.chunk import Chunk, Stream
from inverterproto_cli.sources import Listener, Source, read

MOST_STREAMS = 4096
_ZEROS = 4
"""So many zero bytes in a row are told apart from what stands beside them."""
_TEXT = re.compile(rb"[\x20-\x7e]{4,}")
_CHANGED = re.compile(rb"[^\0]+")
_SHOWN_BYTES = 8
_SECRET = re.compile(r"serial|(?:^|_)(?:id|mac|ip|ssid|password)$")
_FEEDS = re.compile(r"pv\d+|battery|battery_output")


class Payload(NamedTuple):
    """A data payload.

    Attributes:
        sensor_type: which layout it has.
        octets: its bytes.
        source: where its frame was.
        offset: of the frame in its stream.
    """

    sensor_type: int
    octets: bytes
    source: str
    offset: int

    @property
    def place(self) -> str:
        """Where its frame stands, in words."""
        return f"the frame at {self.offset} of {self.source}"


def payloads(sources: Sequence[Source], listener: Listener) -> Iterator[Payload]:
    """Yield the payloads of all V5 data frames in some sources.

    Raises:
        SourceError: one of them cannot be read.
    """
    looked_for = framings([DEYE])
    for source in sources:
        decoders: OrderedDict[Stream, StreamDecoder] = OrderedDict()
        for chunk in read(source, listener, looked_for):
            decoder = decoders.setdefault(chunk.stream, StreamDecoder(*looked_for))
            decoders.move_to_end(chunk.stream)
            if chunk.masked:
                decoder.pass_over(chunk.data, chunk.masked)
            else:
                yield from _of(decoder.feed(chunk.data), chunk.stream)
            if len(decoders) > MOST_STREAMS:
                stream, decoder = decoders.popitem(last=False)
                yield from _of(decoder.flush(), stream)
        for stream, decoder in decoders.items():
            yield from _of(decoder.flush(), stream)


def _of(items: list[Item], stream: Stream) -> Iterator[Payload]:
    source, connection, sender, held = stream
    chunk = Chunk(source, b"", None, connection, sender, held=held)
    place = source + chunk.place(name_source=False)
    for item in items:
        if isinstance(item, Framed) and item.frame.message_type == DATA:
            octets = item.frame.payload
            if len(octets) >= 3:
                yield Payload(octets[1] | octets[2] << 8, octets, place, item.offset)


class Gap(NamedTuple):
    """Bytes that no field names, and what they hold.

    Attributes:
        start: the offset of the first.
        end: the offset behind the last.
        holds: `zero`, `constant`, `changing`, or `once` where there was but one payload.
        first: what they were in the first payload that reached them.
        changed: the bits that were not always the same.
    """

    start: int
    end: int
    holds: str
    first: bytes
    changed: bytes

    @property
    def words(self) -> str:
        """What they hold, for people; text is not shown, as it may be a serial."""
        if self.holds == "zero":
            return "zero"
        changing = self._places(_CHANGED, self.changed)
        parts = [f"changing at {changing}"] if changing else []
        parts += ["constant"] if self.holds == "constant" else []
        if texts := self._places(_TEXT, self.first):
            return "; ".join([*parts, f"text at {texts}"])
        shown = self.first[:_SHOWN_BYTES].hex(" ") + (
            " …" if len(self.first) > _SHOWN_BYTES else ""
        )
        return "; ".join([*parts, shown])

    def _places(self, pattern: re.Pattern[bytes], octets: bytes) -> str:
        runs = pattern.finditer(octets)
        return ", ".join(span(self.start + run.start(), self.start + run.end()) for run in runs)


class Seen:
    """What a field was seen to say.

    Attributes:
        field: the field.
        values: how many payloads gave it a value.
        none: how many said that there is no reading.
        lowest: of its numbers.
        highest: of its numbers.
    """

    def __init__(self, field: Field) -> None:
        self.field = field
        self.values = 0
        self.none = 0
        self.lowest: Any = None
        self.highest: Any = None

    def add(self, value: Any) -> None:  # noqa: ANN401 - any field's
        """Take one value in."""
        if value is None:
            self.none += 1
            return
        self.values += 1
        if self.values == 1 or value < self.lowest:
            self.lowest = value
        if self.values == 1 or value > self.highest:
            self.highest = value


class Evidence:
    """What payloads of one sensor type say about a layout.

    Attributes:
        layout: the layout.
        frames: how many payloads there were.
        lengths: how many of which length.
        seen: of each known field what it said.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.frames = 0
        self.lengths: Counter[int] = Counter()
        self.seen = {field.name: Seen(field) for field in layout.fields if field.known}
        # All bytes as one little-endian number, so that the byte at N has the bits from 8 N on.
        self._longest = 0
        self._first = self._changed = self._set = 0
        self._faults: dict[str, tuple[int, str]] = {}  # what is wrong → how often, first where

    def add(self, payload: Payload) -> None:
        """Take a payload in."""
        self.frames += 1
        octets = payload.octets
        self.lengths[len(octets)] += 1
        self._note_bytes(octets)
        measured: dict[str, Number] = {}
        values = self.layout.parse(octets)
        for name, seen in self.seen.items():
            if name not in values:
                continue
            value = values[name]
            seen.add(value)
            key = seen.field.quantity
            if key is not None and isinstance(value, int | float):
                measured[key] = -value if seen.field.turned else value
                if problem := out_of_range(key, measured[key]):
                    at = payload.offset + PAYLOAD_AT + seen.field.offset
                    problem = f"{problem.removeprefix(f'{name}: ')}, at {at}"
                    self._fault(f"{name} ({seen.field.offset})", problem, payload)
        for subject, problem in _contradictions(measured):
            self._fault(subject, problem, payload)

    def _note_bytes(self, octets: bytes) -> None:
        """Note which bytes are new, and which have changed."""
        number = int.from_bytes(octets, "little")
        known = 8 * min(self._longest, len(octets))
        self._changed |= (number ^ self._first) & ((1 << known) - 1)
        self._set |= number
        if len(octets) > self._longest:
            self._first |= number >> known << known
            self._longest = len(octets)

    def _fault(self, subject: str, problem: str, payload: Payload) -> None:
        count, first = self._faults.get(subject, (0, f"{problem} in {payload.place}"))
        self._faults[subject] = count + 1, first

    def wrong(self) -> Iterator[str]:
        """Yield what is wrong with the layout, by these payloads."""
        for subject, (count, first) in self._faults.items():
            yield f"{subject}: {first}; in {count:,} of {self.frames:,} frames"
        longest = max(self.lengths, default=0)
        for seen in self.seen.values():
            field = seen.field
            where = f"{field.name} ({span(field.offset, field.end)})"
            if self.frames and field.end > longest:
                yield f"{where}: behind the end of every payload: the longest has {longest} bytes"
            if field.private is None and _SECRET.search(field.name):
                yield f'{where}: called like a secret, but not marked: private = "serial", …'

    def absent(self) -> Iterator[str]:
        """Yield the names of the fields that never had a value though the payload held them."""
        yield from (name for name, seen in self.seen.items() if seen.none and not seen.values)

    def gaps(self) -> Iterator[Gap]:
        """Yield what no field names: longer runs of zeros, and what is between them."""
        size = self._longest
        first, changed, ever_set = (
            number.to_bytes(size, "little") for number in (self._first, self._changed, self._set)
        )
        for field, octets in self.layout.spans(first):
            if field.known or field in DATA_HEAD:
                continue
            start, end = field.offset, field.offset + len(octets)
            for cut, to in pairwise(sorted({start, end, *_edges_of_zeros(ever_set, start, end)})):
                holds = "once" if self.frames == 1 else "constant"
                holds = holds if any(ever_set[cut:to]) else "zero"
                holds = "changing" if any(changed[cut:to]) else holds
                yield Gap(cut, to, holds, first[cut:to], changed[cut:to])


def _edges_of_zeros(octets: bytes, start: int, end: int) -> Iterator[int]:
    """Yield where longer runs of zeros begin and end."""
    for run in re.finditer(rb"\0{%d,}" % _ZEROS, octets[start:end]):
        yield start + run.start()
        yield start + run.end()


def _contradictions(values: dict[str, Number]) -> Iterator[tuple[str, str]]:
    """Yield which quantities of one payload cannot both be right, and why."""
    for key, value in values.items():
        if key.endswith("_today"):
            total = values.get(key.removesuffix("today") + "total")
            if total is not None and value > total:
                yield key, f"{value} kWh today is more than {total} kWh in all"
        elif key.endswith("_power") and _FEEDS.fullmatch(stem := key.removesuffix("_power")):
            voltage, current = values.get(f"{stem}_voltage"), values.get(f"{stem}_current")
            if voltage is None or current is None:
                continue
            product = abs(voltage * current)
            if abs(product - abs(value)) > 20 + max(product, abs(value)) / 5:
                yield key, f"{value} W, but {voltage} V × {current} A is {product:.0f} W"
