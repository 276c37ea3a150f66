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
from collections.abc import Callable, Mapping, Sequence
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
_OWN = TimeSource.DEVICE  # to look up a member of an enum costs more than to compare


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
    gap = (a - b) & _U32
    return gap if gap <= _U32 >> 1 else _U32 + 1 - gap


@dataclass(slots=True, eq=False, repr=False)
class _Boot:
    """What is known of the offset between one power-on and the next."""

    start: int
    first: Stamp
    last: Stamp
    torn: bool = False

    def nearest(self, age: int) -> Stamp:
        """Return the end of the boot that is nearer to this power-on time."""
        to_last = self.last.power_on_time - age
        return self.first if age - self.first.power_on_time <= to_last else self.last

    def learn(self, stamp: Stamp) -> bool:
        """Take in a plausible stamp of this boot; return whether it is news."""
        if self.torn:
            return False
        _, age, offset = stamp
        known = self.last.offset_time
        if offset == known and age >= self.last.power_on_time:  # nearly always
            self.last = stamp
            return False
        if _gap(offset, self.nearest(age).offset_time) > AGREE:
            self.torn = True
        elif age < self.first.power_on_time:
            self.first = stamp
        elif age >= self.last.power_on_time:
            self.last = stamp
            return offset != known
        else:
            return False
        return True


@dataclass(slots=True, eq=False, repr=False)
class _Record:
    """A record that asks for its date."""

    key: object
    stamp: Stamp
    historic: bool
    arrival: float | None
    latest: float  # no time after it is plausible
    came: float  # its arrival too, but inf where there is none, and kept where it is nonsense
    due: float

    def dated(self, offset: int, source: TimeSource) -> Dated | None:
        """Return its date by this offset, or None if that is not plausible."""
        return _date(self.key, self.stamp.total_working_time, offset, self.latest, source)


def _date(
    key: object, counter: int, offset: int, latest: float, source: TimeSource
) -> Dated | None:
    """Return the date of a record by an offset, or None if that is not plausible."""
    time = (counter + offset) & _U32
    if not EARLIEST <= time <= latest:
        return None
    return Dated(key, float(time), source, float(time - counter))


_new = tuple.__new__  # past a named tuple's own constructor, which takes twice as long

_NONE: OrderedDict[int, _Record] = OrderedDict()
_NO_BOOTS: list[tuple[int, int]] = []
"""These stand for all that are empty, and are never filled: of most loggers nothing waits."""


class LoggerDating:
    """Dates the records of one logger, and learns from all of its frames.

    Attributes:
        revision: grows whenever `to_state` has something new to tell.
        overflowed: how many records got their last word early, because too many were waiting.
    """

    __slots__ = (
        "_boots", "_count", "_latest", "_max_boots", "_max_waiting", "_next_look", "_recent",
        "_starts", "_waiting", "_waiting_boots", "overflowed", "revision",
    )  # fmt: skip

    def __init__(
        self, *, now: float | None = None, max_boots: int = 256, max_waiting: int = 4096
    ) -> None:
        self._latest = inf if now is None else now + FUTURE
        self.revision = 0
        self.overflowed = 0
        self._max_boots = max_boots
        self._max_waiting = max_waiting
        self._boots: dict[int, _Boot] = {}  # by start, in the order in which they became known
        self._starts: list[int] = []  # the same, sorted
        self._recent: _Boot | None = None
        self._waiting = _NONE  # by number, in order of coming
        self._waiting_boots = _NO_BOOTS  # boot and number, sorted
        self._count = 0
        self._next_look = inf

    def see(
        self,
        key: object,
        stamp: Stamp,
        *,
        record: bool = True,
        historic: bool,
        arrival: float | None,
    ) -> list[Dated]:
        """Take in a frame; return what it dates, in order of coming.

        `key` is the caller's own name for it; without `record` it wants no date and only teaches;
        `historic` is what the logger had stored; `arrival` is in unix seconds, None if not known.
        """
        counter, age, offset = stamp
        boot = self._recent
        if (  # nearly always: the same boot, the same offset, and plausible
            boot is not None
            and arrival is not None
            and counter - age == boot.start
            and age >= boot.last.power_on_time
            and offset == boot.last.offset_time
            and not boot.torn
            and EARLIEST <= (time := counter + offset) <= arrival + FUTURE
            and time <= _U32
        ):
            boot.last = stamp
            return [_new(Dated, (key, float(time), _OWN, float(offset)))] if record else []
        came = inf if arrival is None else arrival
        trusted = None if came < EARLIEST else arrival
        latest = self._latest if trusted is None else trusted + FUTURE
        own = _date(key, counter, offset, latest, _OWN) if offset else None
        if own:
            learned = self._learn(stamp)
            if record:
                learned.append(own)
            return learned
        if not record:
            return []
        seen = _Record(key, stamp, historic, trusted, latest, came, came + FIRST_LOOK)
        sure = self._sure(seen)
        return [sure] if sure else self._wait(seen)

    def settle(self, now: float) -> list[Dated]:
        """Return the records whose waiting is over; call it every few seconds."""
        if now < self._next_look:
            return []
        due = [number for number, waiting in self._waiting.items() if waiting.due <= now]
        dated = self._take(due, lambda waiting: self._look(waiting, now))
        self._next_look = min((waiting.due for waiting in self._waiting.values()), default=inf)
        return dated

    def finish(self) -> list[Dated]:
        """Return all that waits, with the best date that can be had now."""
        return self._take(list(self._waiting), self._last_word)

    def to_state(self) -> dict[str, list[list[int]]]:
        """Return what was learned, fit for JSON: of each boot its first and last stamp, torn."""
        return {"boots": [[*b.first, *b.last, int(b.torn)] for b in self._boots.values()]}

    @classmethod
    def from_state(cls, state: Mapping[str, Sequence[Sequence[int]]], **bounds: int) -> Self:
        """Return a dating that knows what `to_state` told; `bounds` are those of the class."""
        dating = cls(**bounds)
        for row in state.get("boots", ()):
            first = Stamp(*row[:3])
            dating._add(_Boot(first.boot, first, Stamp(*row[3:6]), bool(row[6])))
        return dating

    # What is known

    def _boot(self, start: int) -> _Boot | None:
        """Return the known boot that started here, give or take `SAME_BOOT`."""
        recent = self._recent
        if recent and (recent.start == start or _gap(recent.start, start) <= SAME_BOOT):
            return recent
        if not self._starts:
            return None
        at = bisect_left(self._starts, start)
        around = self._starts[at - 1], self._starts[at % len(self._starts)]  # u32 is a ring
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
        """Take in a plausible stamp; return what waited for it."""
        start = stamp.boot
        boot = self._boot(start)
        if boot:
            self._recent = boot
            self.revision += boot.learn(stamp)
            return []
        self._recent = boot = _Boot(start, stamp, stamp)
        self._add(boot)
        self.revision += 1
        waiting = self._waiting_boots
        if not waiting:
            return []
        low, high = (boot.start - SAME_BOOT, 0), (boot.start + SAME_BOOT + 1, 0)
        same = waiting[bisect_left(waiting, low) : bisect_left(waiting, high)]
        return self._take(sorted(number for _, number in same), self._sure)

    # What waits

    def _wait(self, record: _Record) -> list[Dated]:
        self._count += 1
        if not self._waiting:
            self._waiting, self._waiting_boots = OrderedDict(), []
        self._waiting[self._count] = record
        insort(self._waiting_boots, (record.stamp.boot, self._count))
        self._next_look = min(self._next_look, record.due)
        if len(self._waiting) <= self._max_waiting:
            return []
        self.overflowed += 1
        return self._take([next(iter(self._waiting))], self._last_word)

    def _take(self, numbers: list[int], rule: Callable[[_Record], Dated | None]) -> list[Dated]:
        """Return those of the waiting that the rule dates; they wait no longer."""
        dated = []
        for number in numbers:
            answer = rule(self._waiting[number])
            if answer:
                dated.append(answer)
                entry = (self._waiting.pop(number).stamp.boot, number)
                del self._waiting_boots[bisect_left(self._waiting_boots, entry)]
        return dated

    # The rules

    def _sure(self, record: _Record) -> Dated | None:
        """Date by an offset of the same boot."""
        boot = self._boot(record.stamp.boot)
        if boot is None or boot.torn:
            return None
        nearest = boot.nearest(record.stamp.power_on_time)
        return record.dated(nearest.offset_time, TimeSource.DEVICE_CORRECTED)

    def _likely(self, record: _Record, sides: int) -> Dated | None:
        """Date by the boots before and after, of which at least so many must be known."""
        counter = record.stamp.total_working_time
        known = self._neighbours(record.stamp.boot)
        if len(known) < sides:
            return None
        witnesses = [stamp.offset_time for stamp in known]
        if not record.historic and record.arrival is not None:
            witnesses.append(int(record.arrival) - counter)
        if any(_gap(witnesses[0], other) > AGREE for other in witnesses):
            return None
        nearest = min(known, key=lambda stamp: _gap(stamp.total_working_time, counter))
        return record.dated(nearest.offset_time, TimeSource.ESTIMATED)

    def _neighbours(self, start: int) -> list[Stamp]:
        """Return the last stamp before and the first after a boot of which nothing is known."""
        if self._boot(start):
            return []  # its own boot is known, and did not fit
        at = bisect_left(self._starts, start)
        before = [self._boots[known] for known in self._starts[max(at - 1, 0) : at]]
        after = [self._boots[known] for known in self._starts[at : at + 1]]
        return [b.last for b in before if not b.torn] + [b.first for b in after if not b.torn]

    def _look(self, record: _Record, now: float) -> Dated | None:
        """Date what is due, or set when to look again."""
        waited = now - record.came
        if not record.historic or waited >= LAST_LOOK:
            return self._last_word(record)
        record.due = min(now + waited, record.came + LAST_LOOK)
        return self._sure(record) or self._likely(record, 1 if waited >= ONE_SIDE else 2)

    def _last_word(self, record: _Record) -> Dated:
        answer = self._sure(record) or self._likely(record, 1)
        if answer:
            return answer
        if record.historic or record.arrival is None:
            return Dated(record.key, None, TimeSource.UNKNOWN)
        return Dated(record.key, record.arrival, TimeSource.ARRIVAL)
