"""How far a battery's clock is off, and with that the time of each of its records.

Theory of operation
===================
An AlphaESS battery stamps its records with naive local text by a clock of its own, which is wrong:
by its time zone, by an hour after DST, by 80 s after some three weeks (source: V). A
`BatteryClock` estimates `offset` = battery's clock − UTC, and dates each record: time = stamp −
offset. Wanted: to date a record when it comes, never to change a dating, to follow drift, to take
steps, to be fooled by no late or nonsensical record; all at a fixed cost a record.

**Refine.** Each live record gives an estimate, stamp − arrival. It never arrives before it is made,
so no estimate is above the true offset, and the greatest of the recent ones is the best. Recent is
this quarter of an hour and the one before that had records in it: two numbers, rather than a queue.
So 15 to 30 minutes are looked at: short, so that drift (44 µs/s: 0.08 s) stays far below the second
in which stamps count and a clock put back by less than a step is soon followed; long enough to hold
90 statuses or 3 full records, one of which surely came promptly. Silence forgets nothing, so that
what comes somewhat late after an outage does not pull the offset down.

**Step.** An estimate more than 30 s off is a late record, a nonsensical stamp, or the clock was
set. Records wait till it is known which: a step, once three in a row agree within 2 s over 20 s of
the battery's time (records held up and then sent in a burst do not agree: each is less late than
the one before). Then each gets, of the offsets before and after, the one by which it is least
late. A record near the old offset, or 5 minutes, tells that there was no step, and they get the old
one. A live record that would lie more than 30 s after its arrival, or more than a day before, has
no usable stamp: its time is its arrival.

**Stored records** teach nothing, and take the offset in force when they were made: `steps` tells
from when to when each was. They wait while there is no offset yet, while a step is in question, and
while by every offset they would lie in the future (stamped after a step that no live record has
shown yet); after 48 hours their time is unknown.

Traps: of an hour that was lived twice (DST ends) a stored stamp is read as the second passage,
unless that lies after its arrival. Stored records that come between a step back and the first live
record after it get the old offset. A step that befell in a silence is placed at the first live
record after it. What the clock drifted between the making and the sending of a stored record (4 s
a day) is not undone. A jump of the host's own clock looks like a step of the battery's.
"""

import math
import re
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from operator import itemgetter
from typing import Any, NamedTuple, Self

from inverterproto.reading import Dated, TimeSource

# All in seconds, unless said.
BLOCK = 15 * 60.0  # one of the two blocks whose greatest estimate is the offset
NEAR = 30.0  # an estimate further off than this is not of the present offset
AGREEING_RECORDS = 3  # prove a step, if
AGREEMENT = 2.0  # they differ by no more than this
AGREEMENT_SPAN = 20.0  # over so much of the battery's time
LOOK_BACK = 64  # records looked at for a step, so that no flood of them makes one dear
STEP_WAIT = 5 * 60.0  # a live record waits so long for a step to be proved
STORED_WAIT = 48 * 3600.0  # a stored record waits so long for an offset
LATEST = 24 * 3600.0  # no live record is later than this
STEPS_KEPT = 16  # steps
WAITING_LIMIT = 4096  # records: more than two days of stored minutes
ZONE_STEP = 1800.0  # time zones and DST go by half hours,
ZONE_TOLERANCE = 10.0  # give or take,
ZONE_GREATEST = 26 * 3600.0 + ZONE_TOLERANCE  # from UTC−12 to UTC+14 at the most

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_match_stamp = re.compile(r"\d{4}/\d\d/\d\d (?:[01]\d|2[0-3]):\d\d:\d\d", re.ASCII).fullmatch


def parse_stamp(text: object) -> float | None:
    """Return a battery's `yyyy/mm/dd HH:MM:SS` in seconds, read as if it were UTC (source: V, D).

    None for anything that is no such date; never raises.

    >>> parse_stamp("2021/03/24 09:40:13")
    1616578813.0
    """
    if not isinstance(text, str) or not _match_stamp(text):
        return None
    try:
        return datetime.fromisoformat(f"{text.replace('/', '-')}+00:00").timestamp()
    except ValueError:
        return None


def format_stamp(seconds: float) -> str:
    """Return what a battery's clock shows at `seconds`, the inverse of `parse_stamp`.

    >>> format_stamp(1616578813.9)
    '2021/03/24 09:40:13'
    """
    moment = _EPOCH + timedelta(seconds=math.floor(seconds))
    return moment.isoformat(" ")[:19].replace("-", "/")


def date(stamp: float | None, offset: float | None, key: object = None) -> Dated:
    """Date one record by a known offset (battery's clock − UTC, seconds); unknown without one."""
    if stamp is None or offset is None:
        return Dated(key, None, TimeSource.UNKNOWN)
    return Dated(key, stamp - offset, TimeSource.DEVICE_CORRECTED, -offset)


class StepReason(StrEnum):
    """What a step of the clock looks like."""

    ZONE = "time zone or DST"
    SET = "clock set"


class Step(NamedTuple):
    """The clock was set: from `at` (unix seconds) on its offset was `after`, till then `before`."""

    at: float
    before: float
    after: float

    @property
    def reason(self) -> StepReason:
        """What the size of the step tells of its cause."""
        change = self.after - self.before
        off = abs(change - round(change / ZONE_STEP) * ZONE_STEP)
        like_zone = off <= ZONE_TOLERANCE and abs(change) <= ZONE_GREATEST
        return StepReason.ZONE if like_zone else StepReason.SET


class _Record(NamedTuple):
    order: int
    key: object
    stamp: float
    arrival: float

    @property
    def estimate(self) -> float:
        return self.stamp - self.arrival


_NONE: deque[_Record] = deque(maxlen=0)
"""Stands for all that are empty: a deque takes 760 bytes, and of most batteries nothing waits."""


class BatteryClock:
    """The clock of one battery, and the records that wait to be dated by it.

    All times are unix seconds; stamps are those of `parse_stamp`.

    Args:
        offset: battery's clock − UTC in seconds, where somebody knows it.
        limit: so many records wait at most; the oldest is settled for a further one. With fewer
            than three no step can be proved.
    """

    __slots__ = (
        "_greatest",
        "_held",
        "_limit",
        "_live",
        "_order",
        "_ready",
        "_since",
        "_steps",
        "_stored",
    )

    def __init__(self, offset: float | None = None, *, limit: int = WAITING_LIMIT) -> None:
        # The greatest estimate of the last block and of this one; empty while there is none.
        self._greatest: list[float] = [] if offset is None else [offset, offset]
        self._since = 0.0  # when this block began
        self._steps: list[Step] = []
        self._live = _NONE  # while not empty, a step is in question
        self._held: list[_Record] = []  # stored ones that came meanwhile
        self._stored = _NONE  # those that no offset fits yet
        self._limit = limit
        self._order = 0
        self._ready: list[tuple[int, Dated]] = []

    @property
    def offset(self) -> float | None:
        """The battery's clock − UTC in seconds, None while unknown."""
        return max(self._greatest, default=None)

    @property
    def jump(self) -> float | None:
        """By how many seconds the clock seems to have been set, None if that is not in question."""
        return self._live[-1].estimate - max(self._greatest) if self._live else None

    @property
    def steps(self) -> tuple[Step, ...]:
        """The latest steps of the clock, oldest first."""
        return tuple(self._steps)

    def to_state(self) -> dict[str, Any]:
        """Return what is known of the clock as plain JSON.

        Waiting records are not in it, their keys being the caller's: observe them again.
        """
        steps = [list(step) for step in self._steps]
        return {"greatest": list(self._greatest), "since": self._since, "steps": steps}

    @classmethod
    def from_state(cls, state: dict[str, Any], *, limit: int = WAITING_LIMIT) -> Self:
        """Return the clock whose `to_state` this was."""
        clock = cls(limit=limit)
        clock._greatest = list(state["greatest"])
        clock._since = state["since"]
        clock._steps = [Step(*step) for step in state["steps"]]
        return clock

    def observe(
        self, key: object, stamp: float | None, arrival: float, *, historic: bool = False
    ) -> list[Dated]:
        """Take a record; return all that are dated by it, in the order in which they came.

        Args:
            key: the caller's name for the record.
            stamp: the record's own time, None if it has none that can be read.
            arrival: when it came.
            historic: whether the battery had stored it.
        """
        if stamp is not None and not historic and not (self._live or self._stored):
            # The ordinary case, many times as often as all others: nothing waits, no step.
            estimate = stamp - arrival
            if self._greatest and abs(estimate - max(self._greatest)) <= NEAR:
                self._refine(estimate, arrival)
                return [date(stamp, max(self._greatest), key)]
        self._expire(arrival)
        self._order += 1
        if stamp is not None:
            record = _Record(self._order, key, stamp, arrival)
            (self._observe_stored if historic else self._observe_live)(record)
        elif historic:
            self._ready.append((self._order, Dated(key, None, TimeSource.UNKNOWN)))
        else:
            self._ready.append((self._order, Dated(key, arrival, TimeSource.ARRIVAL)))
        while len(self._live) + len(self._held) + len(self._stored) > self._limit:
            self._settle_oldest()
        return self._take_ready()

    def settle(self, now: float) -> list[Dated]:
        """Return the records whose waiting is over."""
        self._expire(now)
        return self._take_ready()

    def _take_ready(self) -> list[Dated]:
        ready, self._ready = self._ready, []
        return [dated for _, dated in sorted(ready, key=itemgetter(0))]

    def _expire(self, now: float) -> None:
        while self._live and now - self._live[0].arrival >= STEP_WAIT:
            self._settle_live()
        while self._stored and now - self._stored[0].arrival >= STORED_WAIT:
            self._give_up_stored()

    def _settle_oldest(self) -> None:
        if not self._live or (self._stored and self._stored[0].order < self._live[0].order):
            self._give_up_stored()
        else:
            self._settle_live()

    def _observe_live(self, record: _Record) -> None:
        estimate = record.estimate
        if not self._greatest:
            self._set(estimate, record.arrival)
        elif abs(estimate - max(self._greatest)) > NEAR:
            if not self._live:
                self._live = deque()
            self._live.append(record)
            self._find_step()
            return
        else:
            self._refine(estimate, record.arrival)
        while self._live:
            self._settle_live()
        self._date_live(record, max(self._greatest))

    def _refine(self, estimate: float, now: float) -> None:
        """Take in an estimate that is near the present offset."""
        if now - self._since >= BLOCK:
            self._greatest, self._since = [self._greatest[1], estimate], now
        elif estimate > self._greatest[1]:
            self._greatest[1] = estimate

    def _find_step(self) -> None:
        """Take a step if the latest waiting records agree upon one."""
        newest, proof = self._live[-1], None
        low = high = newest.estimate
        for count, record in enumerate(islice(reversed(self._live), LOOK_BACK), 1):
            low, high = min(low, record.estimate), max(high, record.estimate)
            if high - low > AGREEMENT:
                break
            if count >= AGREEING_RECORDS and newest.stamp - record.stamp >= AGREEMENT_SPAN:
                proof = Step(record.stamp - high, max(self._greatest), high)
        if proof:
            self._take_step(proof, newest.arrival)

    def _take_step(self, step: Step, now: float) -> None:
        self._steps = [*self._steps, step][-STEPS_KEPT:]
        while self._live:
            self._date_live(self._live.popleft(), step.before, step.after)
        self._set(step.after, now)

    def _set(self, offset: float, now: float) -> None:
        """Begin anew with this offset, which may date stored records that none did so far."""
        self._greatest, self._since = [offset, offset], now
        waiting = [*self._stored, *self._held]
        self._held = []
        self._stored = _NONE
        self._wait(waiting)

    def _settle_live(self) -> None:
        """Date the oldest live record without a step."""
        self._date_live(self._live.popleft(), max(self._greatest))
        if not self._live:
            held, self._held = self._held, []
            self._wait(held)

    def _date_live(self, record: _Record, *offsets: float) -> None:
        """Date by the one of `offsets` that makes the record least late, else by arrival."""
        fits = [o for o in offsets if -LATEST <= record.estimate - o <= NEAR]
        if fits:
            dated = date(record.stamp, min(fits), record.key)
        else:
            dated = Dated(record.key, record.arrival, TimeSource.ARRIVAL)
        self._ready.append((record.order, dated))

    def _observe_stored(self, record: _Record) -> None:
        if self._live:
            self._held.append(record)
        else:
            self._wait([record])

    def _wait(self, stored: list[_Record]) -> None:
        """Let those stored records wait that no offset fits."""
        for record in stored:
            if not self._date_stored(record):
                if not self._stored:
                    self._stored = deque()
                self._stored.append(record)

    def _give_up_stored(self) -> None:
        record = self._stored.popleft()
        self._ready.append((record.order, Dated(record.key, None, TimeSource.UNKNOWN)))

    def _date_stored(self, record: _Record) -> bool:
        """Date by the offset in whose reign the record falls, or nearest to it, if there is one."""
        best, least = None, math.inf
        for since, until, offset in self._reigns():
            time = record.stamp - offset
            outside = max(since - time, time - until, 0.0)
            if time <= record.arrival + NEAR and outside < least:
                best, least = offset, outside
        if best is None:
            return False
        self._ready.append((record.order, date(record.stamp, best, record.key)))
        return True

    def _reigns(self) -> Iterator[tuple[float, float, float]]:
        """Yield since when, until when, and which offset; the present one first."""
        if not self._greatest:
            return
        until, offset = math.inf, max(self._greatest)
        for step in reversed(self._steps):
            yield step.at, until, offset
            until, offset = step.at, step.before
        yield -math.inf, until, offset
