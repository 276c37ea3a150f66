"""Stretches made into lines, by this process or by several; what they give comes in order.

Each process opens the store itself, and is a new one, no copy of this one: SQLite does not allow a
connection to go along. It ends with this one, however this one ends.
"""

import gc
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from inverterproto.reading import Reading
from inverterproto_cli.csv_table import in_order
from inverterproto_cli.exporting.page import Page, Wanted, page_of, singles_of
from inverterproto_cli.exporting.tables import CsvLines, JsonLines
from inverterproto_cli.store.schema import open_for_reading
from inverterproto_cli.store.selection import Row, Stretch, rows

if TYPE_CHECKING:
    from concurrent.futures import Future

WORTHWHILE = 60_000
"""Records from which on to start a process takes less time than it saves."""
MOST = 4
"""Processes: what the store and the disk give is used up then."""


class Lines(NamedTuple):
    """Lines of a stretch.

    Attributes:
        text: the lines.
        columns: of a CSV table, the quantities that have a column.
        records: that the stretch has.
    """

    text: bytes
    columns: tuple[str, ...]
    records: int


class Job(NamedTuple):
    """What is to be made.

    Attributes:
        path: of the store.
        wanted: which readings.
        form: `"csv"` or `"jsonl"`.
    """

    path: Path
    wanted: Wanted
    form: str


class Worker:
    """Makes pages and lines of stretches. Use it in a `with` statement (`closing`)."""

    def __init__(self, job: Job) -> None:
        self._connection = open_for_reading(job.path)
        self._wanted = job.wanted
        self._csv = CsvLines() if job.form == "csv" else None
        self._json = JsonLines()

    def page(self, stretch: Stretch) -> Page:
        """Return the readings of a stretch."""
        return page_of(rows(self._connection, stretch), self._wanted)

    def readings(self, stretch: Stretch) -> Iterator[tuple[Row, Reading]]:
        """Yield the readings of a stretch, each by itself."""
        for values in rows(self._connection, stretch):
            for single in singles_of(0, values, self._wanted):
                yield single.row, single.reading

    def lines(self, stretch: Stretch, columns: tuple[str, ...]) -> Lines:
        """Return the lines of a stretch.

        Args:
            stretch: of the store.
            columns: those of a CSV table that are known; others that occur go behind them.
        """
        page = self.page(stretch)
        if self._csv is None:
            return Lines(self._json.lines(page).encode(), (), page.records)
        if not self._wanted.columns:
            columns = (*columns, *in_order(page.keys().difference(columns)))
        return Lines(self._csv.lines(page, columns).encode(), columns, page.records)

    def close(self) -> None:
        """Let go of the store."""
        self._connection.close()


def default_processes(records: int, *, layouts: bool) -> int:
    """Return how many processes are worth their while.

    Args:
        records: that are exported.
        layouts: whether this process has layouts that another one would not know.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return 1 if layouts or records < WORTHWHILE else min(cores or 1, MOST)


def lines_of(
    job: Job,
    stretches: Iterable[Stretch],
    columns: Callable[[], tuple[str, ...]],
    processes: int,
) -> Iterator[tuple[Stretch, Lines]]:
    """Yield the lines of stretches, in order.

    Args:
        job: what is to be made.
        stretches: of the store.
        columns: tells which columns of a CSV table are known. Several processes do not know of
            each other's: what they give may not fit behind what came meanwhile.
        processes: how many shall do it.
    """
    if processes > 1:
        yield from _by_several(job, stretches, columns, processes)
        return
    with closing(Worker(job)) as worker:
        for stretch in stretches:
            yield stretch, worker.lines(stretch, columns())


def _by_several(
    job: Job,
    stretches: Iterable[Stretch],
    columns: Callable[[], tuple[str, ...]],
    processes: int,
) -> Iterator[tuple[Stretch, Lines]]:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    pool = ProcessPoolExecutor(processes, get_context("spawn"), _begin, (job,))
    waiting: deque[tuple[Stretch, Future[Lines]]] = deque()
    try:
        for stretch in stretches:
            with _without_ctrl_c():
                waiting.append((stretch, pool.submit(_lines, stretch, columns())))
            if len(waiting) > 2 * processes:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Let processes that are started here never see Ctrl-C: it goes to all, and we end them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_worker: Worker | None = None
"""Of a process that was started for it."""


def _begin(job: Job) -> None:
    """Begin a process."""
    global _worker
    from threading import Thread

    gc.set_threshold(100_000, 50, 50)
    Thread(target=_end_with_parent, daemon=True).start()
    _worker = Worker(job)


def _end_with_parent() -> None:
    from multiprocessing import parent_process
    from multiprocessing.connection import wait

    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _lines(stretch: Stretch, columns: tuple[str, ...]) -> Lines:
    assert _worker is not None  # noqa: S101 - `_begin` came first
    return _worker.lines(stretch, columns)
