"""Taking times: contenders in turns, medians, ratios turn by turn."""

import contextlib
import os
import statistics
import timeit
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

Timer = Callable[[int], float]
"""Number of calls → the seconds that they took."""


class Effort(NamedTuple):
    """How much time to spend.

    Attributes:
        turns: how often each contender has its turn.
        seconds: that a turn takes, about.
        starts: how often each command is started.
        bulk_bytes: size of the file that is decoded as a whole.
        stream_bytes: size of the streams that are fed byte by byte.
    """

    turns: int
    seconds: float
    starts: int
    bulk_bytes: int
    stream_bytes: int


FULL = Effort(25, 0.03, 21, 100_000_000, 40_000)
QUICK = Effort(7, 0.01, 7, 10_000_000, 20_000)


class Goal(NamedTuple):
    """What a ratio should be.

    Attributes:
        bound: the ratio.
        faster: whether it is the peer's time in ours, at least; else ours in the peer's, at most.
    """

    bound: float
    faster: bool

    def __str__(self) -> str:
        return f"{'≥' if self.faster else '≤'} {self.bound:g}×"

    def met(self, ratio: float) -> bool:
        """Whether a ratio is as it should be."""
        return ratio >= self.bound if self.faster else ratio <= self.bound


def at_least(bound: float) -> Goal:
    """Return the goal that the peer takes so many times as long as ours."""
    return Goal(bound, faster=True)


def at_most(bound: float) -> Goal:
    """Return the goal that ours takes no more than so many times as long as the peer."""
    return Goal(bound, faster=False)


class Line(NamedTuple):
    """A line of the table.

    Attributes:
        what: was measured.
        value: the figure, or None where nothing could be measured.
        unit: of the figure.
        ratio: to what it is compared with, where it is.
        goal: of the ratio, if there is one.
        note: a few words more.
    """

    what: str
    value: float | None
    unit: str = "µs"
    ratio: float | None = None
    goal: Goal | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none, or nothing was measured."""
        if self.goal is None or self.ratio is None:
            return None
        return self.goal.met(self.ratio)


class Samples:
    """The seconds a call took, turn by turn, for each contender."""

    def __init__(self, seconds: Mapping[str, list[float]]) -> None:
        self._seconds = seconds

    def micros(self, name: str) -> float:
        """Return a contender's median in µs."""
        return statistics.median(self._seconds[name]) * 1e6

    def ratio(self, name: str, other: str) -> float:
        """Return how many times as long as the other a contender takes."""
        pairs = zip(self._seconds[name], self._seconds[other], strict=True)
        return statistics.median(one / another for one, another in pairs)

    def line(self, name: str, ours: str, goal: Goal | None = None, note: str = "") -> Line:
        """Return the line of a contender, compared with ours."""
        if name == ours:
            return Line(name, self.micros(name), note=note)
        faster = True if goal is None else goal.faster
        ratio = self.ratio(name, ours) if faster else self.ratio(ours, name)
        return Line(name, self.micros(name), ratio=ratio, goal=goal, note=note)


def timer(call: Callable[[], object]) -> Timer:
    """Return what times calls, the garbage collector running as it does elsewhere."""
    return timeit.Timer(call, "import gc; gc.enable()").timeit


def compare(contenders: Mapping[str, Timer], effort: Effort) -> Samples:
    """Let the contenders run in turns."""
    counts = {name: _calibrate(time, effort.seconds) for name, time in contenders.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(effort.turns):
        for name, time in contenders.items():
            seconds[name].append(time(counts[name]) / counts[name])
    return Samples(seconds)


def _calibrate(time: Timer, seconds: float) -> int:
    """Return how many calls make a turn; by and by what is called warms up."""
    count = 1
    while (taken := time(count)) < seconds / 2:
        count = max(count * 2, int(count * seconds / max(taken, 1e-9) / 4))
    return max(1, round(count * seconds / taken))


def keep_off(process: int = 0) -> None:
    """Keep a process, this one if none is named, to the core that `one_core` leaves free."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process, range(os.cpu_count() or 1))
        os.sched_setaffinity(process, {min(os.sched_getaffinity(process))})


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Keep this process, and those it starts, to one core, where the system has a call for that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
