"""Readings in files by day: JSON lines, CSV, or both.

Theory of operation
-------------------
*A day is that of the measuring*, by the user's clock on the wall. Who looks for the 8th of April
finds in its file what was measured then, and adds up a day's energy, whenever it came; a logger
that was offline for a week fills the gaps in that week's files. What nobody can date goes by its
arrival. The price is that a day that is over may grow; a packed file does so by another member
(see `day_files.py`).

*What `deliver` returns is on disk.* A batch is written file by file, each opened, added to, brought
to disk and closed; if one fails, all of the batch is taken back. After a crash a batch may stand
there and come again, as with every sink; lines are whole always.

*Columns of CSV.* A table keeps the columns that its head tells. Where a quantity turns up that it
has not got, a second part of that day begins, with a head of its own: no line that stands there is
ever written anew. A new day begins with the columns of the newest table, so a second part is rare:
the first day has one for each time that a device shows something new. One table a day holds all
devices: a spreadsheet filters by device and kind, and nobody needs to know which kind has what.

*In a thread.* All of it runs in one thread at a time; other sinks do not wait for the disk. When
the sink is closed, a thread that waits for another program ends at once; one that a disk holds up
is left behind, which for the files is as if the program had been killed.
"""

import asyncio
import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from functools import partial
from io import StringIO
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from inverterproto.quantity import lookup
from inverterproto_cli.csv_table import IDENTITY, cell, in_order
from inverterproto_cli.sinks import daemon_thread
from inverterproto_cli.sinks.day_files import Addition
from inverterproto_cli.sinks.folder import LOOK, Folder
from inverterproto_cli.sinks.sink import Entry, Setting, SinkType, Surroundings, TroubleError
from inverterproto_cli.sinks.stand_ins import SALT, Sanitizer, key_of

FORMS = {"jsonl": ("jsonl",), "csv": ("csv",), "both": ("jsonl", "csv")}
HEAD = ("family", *IDENTITY, "arrival", "answered", "number")
"""The columns that every table begins with."""
TEST = ".inverterproto-test"
_FIELD = "fields."
"""What the columns of fields that are no quantities begin with."""
_What = TypeVar("_What")
_Result = TypeVar("_Result")
_Group = tuple[Path, bytes, bytes]
"""Where to, the head of a new file, lines."""


class Files:
    """Writes into a folder.

    Args:
        folder: the folder.
        forms: `"jsonl"`, `"csv"`.
        sanitize: whether serials are replaced by stand-ins.
        say: told of what goes wrong beside the writing.
    """

    def __init__(
        self,
        folder: Folder,
        forms: Sequence[str],
        *,
        sanitize: bool,
        say: Callable[[str, str], object],
    ) -> None:
        self._folder = folder
        self._forms = forms
        self._sanitize = sanitize
        self._say = say
        self._turn = Lock()
        self._sanitizer: Sanitizer | None = None
        self._key = b""
        self._work: asyncio.Future[Any] | None = None

    async def deliver(self, entries: Sequence[Entry]) -> int:
        """Add some entries to the files of their days."""
        await self._in_thread(self._deliver, entries)
        return len(entries)

    async def test(self, entry: Entry) -> str:
        """Write a file with one entry, read it and remove it."""
        return await self._in_thread(self._test, entry)

    async def close(self) -> None:
        """Wait until the thread is through, which is soon, or else leave it behind."""
        self._folder.ending.set()
        if self._work is not None:
            await daemon_thread.ended(self._work)

    async def _in_thread(self, job: Callable[[_What], _Result], what: _What) -> _Result:
        self._work = work = daemon_thread.begin(partial(self._do, job, what))
        # Who is cancelled leaves the thread at work: `close` waits for it.
        return await asyncio.shield(work)

    def _do(self, job: Callable[[_What], _Result], what: _What) -> _Result:
        """Do something in the folder; its troubles become lines for people."""
        try:
            with self._alone(), self._folder.turn():
                return job(what)
        except OSError as error:
            raise TroubleError(self._told(error)) from error

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let no thread of somebody who was cancelled work meanwhile; end when it is closed."""
        while not self._turn.acquire(timeout=LOOK):
            self._folder.go_on()
        try:
            yield
        finally:
            self._turn.release()

    def _told(self, error: OSError) -> str:
        place = self._folder.path
        if error.filename is not None and Path(error.filename).parent == place:
            place = Path(error.filename)
        return f"files {place}: {error.strerror or error}"

    def _shown(self, entry: Entry) -> Entry:
        """Return what may be written of an entry."""
        if self._sanitizer is None:
            return entry
        return self._sanitizer.sanitized(entry)

    def _prepare(self) -> None:
        """See that the folder has stand-ins in all its files or in none."""
        marked = (self._folder.path / SALT).exists()
        if not self._sanitize:
            if marked:
                raise TroubleError(
                    f"files {self._folder.path}: its files have stand-ins for serials; "
                    "choose another folder, or sanitize"
                )
            return
        if not marked and self._folder.places():
            raise TroubleError(
                f"files {self._folder.path}: there are files with serials; choose a new folder"
            )
        key = key_of(self._folder.path)
        if self._sanitizer is None or self._key != key:
            self._sanitizer, self._key = Sanitizer(key), key

    def _deliver(self, entries: Sequence[Entry]) -> None:
        self._prepare()
        days: dict[date, list[Entry]] = {}
        for entry in entries:
            days.setdefault(day_of(entry), []).append(self._shown(entry))
        with Addition(self._folder.files) as addition:
            for day, some in days.items():
                for form in self._forms:
                    group = _lines if form == "jsonl" else _table
                    addition.add(*group(self._folder, day, some))
        for day in days:
            self._folder.touched(day)
        self._clear_up()

    def _clear_up(self) -> None:
        try:
            self._folder.clear_up()
        except OSError as error:  # what was delivered is on disk all the same
            self._say("files-trouble", self._told(error))

    def _test(self, entry: Entry) -> str:
        self._prepare()
        line = json.dumps({"test": True, **self._shown(entry).to_json()}).encode() + b"\n"
        path = self._folder.path / TEST
        try:
            with Addition(self._folder.files) as addition:
                addition.add(path, b"", line)
            if not path.read_bytes().endswith(line):
                raise TroubleError(f"files {path}: what was written cannot be read again")
        finally:
            path.unlink(missing_ok=True)
        return f"a line was written in {self._folder.path}, read and removed again"


def day_of(entry: Entry) -> date:
    """Return the day to which an entry belongs, by the local time of its measuring."""
    time = entry.reading.time
    return date.fromtimestamp(entry.arrival if time is None else time)


def _lines(folder: Folder, day: date, entries: Iterable[Entry]) -> _Group:
    """Return JSON lines."""
    lines = "".join(json.dumps(entry.to_json()) + "\n" for entry in entries)
    return folder.path / folder.of_day("jsonl", day).name, b"", lines.encode()


def _table(folder: Folder, day: date, entries: Sequence[Entry]) -> _Group:
    """Return the rows of a table that has the columns for them, with its head."""
    wanted = {column for entry in entries for column in _columns_of(entry)}
    parts = folder.parts("csv", day)
    place = folder.of_day("csv", day, max(parts, 1))
    columns = folder.columns(place) if parts else ()
    if columns[: len(HEAD)] != HEAD or not wanted <= set(columns):
        if columns:
            place = folder.of_day("csv", day, parts + 1)
        known = columns or folder.newest_columns()
        columns = (*HEAD, *_in_order(wanted.union(known[len(HEAD) :])))
    head, body = StringIO(), StringIO()
    csv.writer(head, lineterminator="\n").writerow(columns)
    csv.writer(body, lineterminator="\n").writerows(_row(entry, columns) for entry in entries)
    return folder.path / place.name, head.getvalue().encode(), body.getvalue().encode()


def _columns_of(entry: Entry) -> Iterator[str]:
    yield from entry.reading.values
    yield from (_FIELD + name for name in entry.fields)


def _in_order(columns: Iterable[str]) -> list[str]:
    """Return columns in the order of the vocabulary, what else was measured behind."""
    known = []
    others = []
    for column in columns:
        try:
            lookup(column)
            known.append(column)
        except KeyError:
            others.append(column)
    return [*in_order(known), *sorted(others)]


def _row(entry: Entry, columns: Sequence[str]) -> Iterator[object]:
    told = entry.to_json()
    yield from (cell(told[name]) for name in HEAD)
    fields = {_FIELD + name: value for name, value in entry.fields.items()}
    values: Mapping[str, object] = {**entry.reading.values, **fields}
    yield from (cell(values.get(column)) for column in columns[len(HEAD) :])


def _open(values: Mapping[str, Any], surroundings: Surroundings) -> Files:
    place = str(values["folder"] or "")
    if not place:
        raise ValueError("files: name a folder")
    path = Path(place).expanduser()
    if path.exists() and not path.is_dir():
        raise ValueError(f"files {path}: it is no folder")
    forms = FORMS.get(values["format"])
    if forms is None:
        raise ValueError(f"files: the format is one of {', '.join(FORMS)}")
    keep_days = values["keep-days"]
    if keep_days is not None and keep_days < 1:
        raise ValueError("files: keep-days is 1 at least")
    folder = Folder(path, _mode(values["mode"]), pack=values["compress"], keep_days=keep_days)
    return Files(folder, forms, sanitize=values["sanitize"], say=surroundings.say)


def _mode(text: str) -> int:
    """Return who may read files, of three octal digits.

    Raises:
        ValueError: it is no such mode, or lets not even the owner read and write.
    """
    if len(text) != 3 or not set(text) <= set("01234567") or int(text[0]) & 6 != 6:
        raise ValueError("files: the mode is one such as 600 or 640")
    return int(text, 8)


FILES = SinkType(
    name="files",
    title="Files by day",
    settings=(
        Setting(
            "folder",
            "Write readings into files of this folder, one a day.",
            flag="--files",
            metavar="FOLDER",
        ),
        Setting(
            "format",
            "jsonl (one JSON object a line), csv, or both.",
            default="jsonl",
            metavar="FORMAT",
        ),
        Setting(
            "sanitize",
            "Replace serials by stand-ins, the same ones in all files of the folder.",
            kind=bool,
            default=False,
        ),
        Setting("compress", "Pack days that are over (gzip).", kind=bool, default=False),
        Setting(
            "keep-days",
            "Remove what was measured so many days ago; without it all is kept.",
            kind=int,
            metavar="DAYS",
        ),
        Setting("mode", "Who may read the files, as chmod has it.", default="600", metavar="MODE"),
    ),
    open=_open,
)
"""Readings in files by day."""
