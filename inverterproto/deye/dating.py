"""When was it measured? The dating of one Deye logger's records, also after the fact.

Every device frame with a head carries a `Stamp`, three numbers in seconds. Two are counters:
`total_working_time` runs on through restarts, `power_on_time` starts anew. The third makes unix
time of the first: at each reply of the cloud the logger sets offset = reply's time − counter.

The traps: the offset is 0 from power-on to the first reply, and in what was stored meanwhile.
Stored records come as a burst, newest first. The counter may stand still in a stick without
power; then one boot's offset is too low for the next. Offsets of one boot differ by the network's
delay and by corrections of the clock. The counters are u32 and may wrap: all is modulo 2**32.

**What is learned.** Counter − power-on time, give or take 2 s, names the boot. Of each boot the
first and the last frame with a plausible time are kept, be it a record or not: they are nearest to
what has no offset, in this boot and the next ones. Boots follow each other on the counter, so a
sorted list of their starts has the neighbours. A boot with an offset more than two minutes off
what is known of it (a stepped clock; a counter that starts anew, so that all boots look alike) is
`torn`, and dates only records with an offset of their own.

**The rules**, in this order:

1. An own offset that gives a plausible time (2015 or later, at most 60 s after arrival): `device`.
2. An offset of the same boot, the one nearer in counter: `device-corrected`, at once, and the
   same for what is waiting when the offset becomes known.
3. The nearest offsets of the boots before and after: `estimated`. If both are known, they must
   agree within two minutes (the counter only ever loses time: what it did not lose over the whole
   stretch it did not lose before the record). If one is known, the counter's order puts the time
   on the right side of it, and the arrival bounds the other side. A live record is sent when it
   is made, so its estimate must be within two minutes of its arrival: else the stick slept.
4. A live record: its `arrival`. A stored one: `unknown`.

**The waiting.** A date never changes, and a better one may be a second away (a first handshake has
offset 0, the data frame after it a good one), so `settle` applies 3 and 4. A live record gets its
last word after 60 s. A stored one is looked at after 60 s, when the burst of a night is over, and
takes an estimate on which both sides agree: the ordinary case of a logger that we know and that is
back. One side alone is taken from 15 minutes on: data come every five, so by then the present boot
has told its offset and the oldest of a long burst are here. Each look waits twice as long as the
last; after 48 h the record is `unknown` for good. `finish` says the last word on all at once, at
the end of a file. Without arrival a record waits for that. An arrival before 2015 (a host without
a clock) counts for the waiting only.

**Cost.** A record with an own offset costs a comparison with the boot last seen. A waiting one is
taken up once when its boot becomes known, and some twelve times by `settle`. Boots and waiting
records are bounded. After a restart show the undated records again: the state does not hold them.
"""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple, Self

from inverterproto.reading import Dated, TimeSource

EARLIEST = 1_420_070_400  # 2015-01-01T00:00:00Z: a time before it is no time
FUTURE = 60  # seconds that a plausible time may lie after the arrival
SAME_BOOT = 2  # seconds by which the starts of one boot may differ
AGREE = 120  # seconds by which offsets that agree may differ
FIRST_LOOK = 60  # seconds that a live record waits, and a stored one for both sides
ONE_SIDE = 15 * 60  # seconds that a stored record waits for one side
LAST_LOOK = 48 * 3600  # seconds that a stored record waits at all
_U32 = 0xFFFF_FFFF


class Stamp(NamedTuple):
    """The three times in the head of a device frame, each u32, in seconds."""

    total_working_time: int
    power_on_time: int
    offset_time: int

    @property
    def boot(self) -> int:
        """Tell what the total working time was at power-on."""
        return (self.total_working_time - self.power_on_time) & _U32


def _gap(a: int, b: int) -> int:
    """Return how far apart two u32 are, the short way round."""
    return min((a - b) & _U32, (b - a) & _U32)


def _acquired(stamp: Stamp, offset: int, arrival: float | None) -> int | None:
    """Return the time that the offset gives, or None where it is not plausible."""
    time = (stamp.total_working_time + offset) & _U32
    bound = inf if arrival is None or arrival < EARLIEST else arrival + FUTURE
    return time if EARLIEST <= time <= bound else None


def _dated(key: object, stamp: Stamp, time: int, source: TimeSource) -> Dated:
    return Dated(key, float(time), source, float(time - stamp.total_working_time))


@dataclass(slots=True)
class _Boot:
    """What is known of the offset between one power-on and the next."""

    start: int
    first: Stamp
    last: Stamp
    torn: bool = False

    def nearest(self, age: int) -> Stamp:
        """Return the end of the boot that is nearer to this power-on time."""
        from_first, to_last = age - self.first.power_on_time, self.last.power_on_time - age
        return self.first if from_first <= to_last else self.last

    def learn(self, stamp: Stamp) -> bool:
        """Take in what a frame of this boot tells; return whether it is news."""
        if self.torn:
            return False
        age = stamp.power_on_time
        if _gap(stamp.offset_time, self.nearest(age).offset_time) > AGREE:
            self.torn = True
            return True
        if age < self.first.power_on_time:
            self.first = stamp
            return True
        if age < self.last.power_on_time:
            return False
        news = stamp.offset_time != self.last.offset_time
        self.last = stamp
        return news


@dataclass(slots=True)
class _Waiting:
    """A record that has no date yet."""

    key: object
    stamp: Stamp
    historic: bool
    arrival: float | None
    due: float


class LoggerDating:
    """Dates the records of one logger, and learns from all of its frames.

    Attributes:
        revision: grows whenever `to_state` would tell something new.
        overflowed: how many records had to be settled early because too many were waiting.
    """

    def __init__(self, *, max_boots: int = 256, max_waiting: int = 4096) -> None:
        self.revision = 0
        self.overflowed = 0
        self._max_boots = max_boots
        self._max_waiting = max_waiting
        self._boots: dict[int, _Boot] = {}  # by start, in the order in which they became known
        self._starts: list[int] = []  # the same starts, sorted
        self._recent: _Boot | None = None
        self._waiting: OrderedDict[int, _Waiting] = OrderedDict()  # by number, in order of coming
        self._by_boot: dict[int, dict[int, _Waiting]] = {}
        self._number = 0
        self._next_look = inf

    @property
    def waiting(self) -> int:
        """Tell how many records have no date yet."""
        return len(self._waiting)

    def see(
        self,
        key: object,
        stamp: Stamp,
        *,
        record: bool = True,
        historic: bool,
        arrival: float | None,
    ) -> list[Dated]:
        """Take in a frame's stamp; return the records that it dates, in order of coming.

        Args:
            key: the caller's own name for the record, given back in its `Dated`.
            stamp: the times in the frame's head.
            record: whether the frame wants a date itself; all others only teach.
            historic: whether the logger had stored the record.
            arrival: when it came, in unix seconds, or None where that is not known.
        """
        time = _acquired(stamp, stamp.offset_time, arrival) if stamp.offset_time else None
        if time is not None:
            dated = self._learn(stamp)
            if record:
                dated.append(_dated(key, stamp, time, TimeSource.DEVICE))
            return dated
        if not record:
            return []
        due = inf if arrival is None else arrival + FIRST_LOOK
        undated = _Waiting(key, stamp, historic, arrival, due)
        sure = self._sure(undated)
        return [sure] if sure else self._wait(undated)

    def settle(self, now: float) -> list[Dated]:
        """Return the records whose waiting is over; call it every few seconds."""
        if now < self._next_look:
            return []
        due = [number for number, undated in self._waiting.items() if undated.due <= now]
        dated = []
        for number in due:
            answer = self._look(self._waiting[number], now)
            if answer:
                self._forget(number)
                dated.append(answer)
        self._next_look = min((undated.due for undated in self._waiting.values()), default=inf)
        return dated

    def finish(self) -> list[Dated]:
        """Give all that waits the best date that can be had now, and return it."""
        dated = [self._last_word(undated) for undated in self._waiting.values()]
        self._waiting.clear()
        self._by_boot.clear()
        self._next_look = inf
        return dated

    def to_state(self) -> dict[str, list[list[int]]]:
        """Return what has been learned, as JSON can hold it; what waits is not part of it.

        One row a boot: its first stamp, its last stamp, and 1 if it contradicts itself.
        """
        return {"boots": [[*b.first, *b.last, int(b.torn)] for b in self._boots.values()]}

    @classmethod
    def from_state(cls, state: Mapping[str, Sequence[Sequence[int]]], **bounds: int) -> Self:
        """Return a dating that knows what `to_state` told; `bounds` as for the class."""
        dating = cls(**bounds)
        for row in state.get("boots", ()):
            first, last = Stamp(*row[0:3]), Stamp(*row[3:6])
            dating._add(_Boot(first.boot, first, last, torn=bool(row[6])))
        return dating

    # What is known

    def _boot(self, start: int) -> _Boot | None:
        """Return the known boot that started here, give or take `SAME_BOOT`."""
        recent = self._recent
        if recent is not None and _gap(recent.start, start) <= SAME_BOOT:
            return recent
        if not self._starts:
            return None
        at = bisect_left(self._starts, start)
        around = self._starts[at - 1], self._starts[at % len(self._starts)]  # u32: it is a ring
        nearest = min(around, key=lambda known: _gap(known, start))
        return self._boots[nearest] if _gap(nearest, start) <= SAME_BOOT else None

    def _add(self, boot: _Boot) -> None:
        if boot.start not in self._boots:
            insort(self._starts, boot.start)
        self._boots[boot.start] = boot
        if len(self._boots) > self._max_boots:
            oldest = next(iter(self._boots))
            del self._boots[oldest], self._starts[bisect_left(self._starts, oldest)]

    def _learn(self, stamp: Stamp) -> list[Dated]:
        """Take in a plausible stamp; return the waiting records of its boot, dated by it."""
        boot = self._boot(stamp.boot)
        if boot is None:
            boot = _Boot(stamp.boot, stamp, stamp)
            self._add(boot)
            self.revision += 1
        elif boot.learn(stamp):
            self.revision += 1
        self._recent = boot
        return self._take_up(boot) if self._by_boot else []

    # What waits

    def _wait(self, undated: _Waiting) -> list[Dated]:
        self._number += 1
        self._waiting[self._number] = undated
        self._by_boot.setdefault(undated.stamp.boot, {})[self._number] = undated
        self._next_look = min(self._next_look, undated.due)
        if len(self._waiting) <= self._max_waiting:
            return []
        self.overflowed += 1
        oldest = next(iter(self._waiting))
        return [self._last_word(self._forget(oldest))]

    def _forget(self, number: int) -> _Waiting:
        undated = self._waiting.pop(number)
        siblings = self._by_boot.get(undated.stamp.boot, {})
        siblings.pop(number, None)
        if not siblings:
            self._by_boot.pop(undated.stamp.boot, None)
        return undated

    def _take_up(self, boot: _Boot) -> list[Dated]:
        """Date what waited for this boot. What does not fit it is left to `settle`."""
        numbers: list[int] = []
        for start in range(boot.start - SAME_BOOT, boot.start + SAME_BOOT + 1):
            numbers += self._by_boot.pop(start & _U32, ())
        dated = []
        for number in sorted(numbers):
            sure = self._sure(self._waiting[number])
            if sure:
                del self._waiting[number]
                dated.append(sure)
        return dated

    # The rules

    def _sure(self, undated: _Waiting) -> Dated | None:
        """Date by an offset of the same boot."""
        stamp = undated.stamp
        boot = self._boot(stamp.boot)
        if boot is None or boot.torn:
            return None
        offset = boot.nearest(stamp.power_on_time).offset_time
        time = _acquired(stamp, offset, undated.arrival)
        if time is None:
            return None
        return _dated(undated.key, stamp, time, TimeSource.DEVICE_CORRECTED)

    def _estimate(self, undated: _Waiting, sides: int) -> Dated | None:
        """Date by the neighbouring boots, of which at least so many must be known."""
        stamp, arrival = undated.stamp, undated.arrival
        known = self._neighbours(stamp.boot)
        if len(known) < sides or _gap(known[0].offset_time, known[-1].offset_time) > AGREE:
            return None
        nearest = min(known, key=lambda n: _gap(n.total_working_time, stamp.total_working_time))
        time = _acquired(stamp, nearest.offset_time, arrival)
        if time is None:
            return None
        if not undated.historic and arrival is not None and arrival - time > AGREE:
            return None
        return _dated(undated.key, stamp, time, TimeSource.ESTIMATED)

    def _neighbours(self, start: int) -> list[Stamp]:
        """Return the last stamp before and the first after a boot of which nothing is known."""
        if self._boot(start) is not None:
            return []  # its own boot is known, and did not fit
        at = bisect_left(self._starts, start)
        before = [self._boots[known] for known in self._starts[max(at - 1, 0) : at]]
        after = [self._boots[known] for known in self._starts[at : at + 1]]
        return [b.last for b in before if not b.torn] + [b.first for b in after if not b.torn]

    def _look(self, undated: _Waiting, now: float) -> Dated | None:
        """Date what is due, or say when to look again."""
        came = undated.arrival or 0.0  # without arrival it is never due
        waited = now - came
        if not undated.historic or waited >= LAST_LOOK:
            return self._last_word(undated)
        undated.due = min(now + waited, came + LAST_LOOK)
        return self._sure(undated) or self._estimate(undated, 1 if waited >= ONE_SIDE else 2)

    def _last_word(self, undated: _Waiting) -> Dated:
        answer = self._sure(undated) or self._estimate(undated, 1)
        if answer:
            return answer
        arrival = undated.arrival
        if undated.historic or arrival is None or arrival < EARLIEST:
            return Dated(undated.key, None, TimeSource.UNKNOWN)
        return Dated(undated.key, arrival, TimeSource.ARRIVAL)
