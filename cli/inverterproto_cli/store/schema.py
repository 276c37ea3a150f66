"""The tables of the store, how they came to be, and how the file is opened."""

import json
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

BUSY_SECONDS = 2.0
"""So long a lock of another process is waited for, before it is told."""

_OTHERS = 0o077

LOG_BYTES = 16 << 20
"""What is left of the log after a checkpoint."""
LOG_PAGES = 4000
"""After so many pages in the log there is a checkpoint: a page that changed often is written once.
They fit into `LOG_BYTES`."""

OURS = 0x49565054
"""SQLite's application id of our files: others' databases are not touched."""
_HEAD = b"SQLite format 3\0"
_SECTOR = 512
"""Bytes of which the smallest page of SQLite is a multiple."""

_FIRST = f"""
PRAGMA application_id = {OURS};
CREATE TABLE device (
    id INTEGER PRIMARY KEY,
    family TEXT,
    serial TEXT NOT NULL,
    via TEXT,                   -- the logger's serial
    first REAL NOT NULL,        -- arrivals, in unix seconds
    last REAL NOT NULL,
    answered TEXT,              -- by whom: 'us' or 'cloud'
    state TEXT,                 -- JSON: what its family remembers of it
    UNIQUE (serial, family)
);
CREATE TABLE record (
    id INTEGER PRIMARY KEY,     -- in the order of arrival
    key BLOB NOT NULL,          -- a hash of what was measured
    family TEXT,
    kind TEXT NOT NULL,
    device INTEGER REFERENCES device(id),
    via INTEGER REFERENCES device(id),
    sender TEXT NOT NULL,
    historic INTEGER NOT NULL,
    known INTEGER NOT NULL,
    masked INTEGER NOT NULL,
    answered TEXT,
    arrival REAL NOT NULL,
    stamp REAL,                 -- by the device's own clock
    frame BLOB NOT NULL,
    time REAL,                  -- of measuring, in unix seconds, where it can be known
    source TEXT,                -- of that time; null while it is not decided
    clock_offset REAL,          -- what made the time of the stamp
    number INTEGER,             -- of delivery, given with the source
    repeated INTEGER NOT NULL DEFAULT 0,
    repeated_at REAL            -- when it came the last time, if it was repeated
);
CREATE UNIQUE INDEX record_key ON record (key);
CREATE UNIQUE INDEX record_number ON record (number) WHERE number IS NOT NULL;
CREATE INDEX record_time ON record (time) WHERE known = 1;
CREATE INDEX record_device ON record (device, time) WHERE known = 1;
CREATE INDEX record_about ON record (device, kind) WHERE kind IN ('handshake', 'configuration');
CREATE INDEX record_unknown ON record (id) WHERE known = 0;
CREATE INDEX record_undated ON record (device) WHERE source IS NULL;
CREATE TABLE sink (
    name TEXT PRIMARY KEY,
    number INTEGER NOT NULL     -- the last record that it has had
);
"""

_REQUESTS = """
CREATE TABLE request (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,           -- when it was made, in unix seconds
    wanted TEXT NOT NULL,       -- JSON
    progress INTEGER,           -- grows while it is being done
    answer TEXT,                -- JSON; null while nobody has done it
    answered REAL               -- when, in unix seconds
);
"""

_SINKS = """
ALTER TABLE sink ADD COLUMN type TEXT;
ALTER TABLE sink ADD COLUMN since REAL;         -- when it was added, in unix seconds
ALTER TABLE sink ADD COLUMN delivered INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sink ADD COLUMN left_out INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sink ADD COLUMN set_aside INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sink ADD COLUMN last REAL;          -- when something arrived there
ALTER TABLE sink ADD COLUMN error TEXT;         -- what is wrong now
ALTER TABLE sink ADD COLUMN error_at REAL;
CREATE TABLE set_aside (
    id INTEGER PRIMARY KEY,
    sink TEXT NOT NULL,
    number INTEGER NOT NULL,    -- of the record
    at REAL NOT NULL,
    why TEXT NOT NULL,
    reading TEXT NOT NULL       -- JSON
);
CREATE INDEX set_aside_sink ON set_aside (sink, id);
"""

MIGRATIONS: Sequence[str] = (_FIRST, _REQUESTS, _SINKS)
"""What makes of each version the next one; their count is the present version."""


CALENDAR = (0.0, 253_402_300_799.0)
"""Of times in unix seconds, the first, and the end: what is beyond has no date."""


def time_of(column: str) -> str:
    """Return a time as it is read: null if it is none, or beyond the calendar."""
    first, end = CALENDAR
    return f"CASE WHEN {column} >= {first:f} AND {column} < {end:f} THEN CAST({column} AS REAL) END"


def arrival_of(column: str) -> str:
    """Return a time that is always told as it is read: 0, as of what is no number."""
    return f"coalesce({time_of(column)}, 0.0)"


DEVICE_COLUMNS = (
    "id, CAST(family AS TEXT), CAST(serial AS TEXT), CAST(via AS TEXT), "
    f"{arrival_of('first')}, {arrival_of('last')}, CAST(answered AS TEXT)"
)
"""What is known of a device; whatever happened to the file, each of the type it should have."""


class StoreError(Exception):
    """The store cannot be used; the message is for people."""


UNREADABLE = (StoreError, sqlite3.Error, OSError)
"""What is raised where a store cannot be read now; another time it may be."""


def default_path() -> Path:
    """Return where the store is unless told otherwise."""
    from platformdirs import user_data_path

    return user_data_path("inverterproto", appauthor=False) / "inverterproto.db"


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether an error says that the file is no database, or is no good one any more."""
    # Errors of the module itself, not of SQLite, have no code.
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def text_of(data: bytes) -> str:
    """Return a text of a file that may be damaged."""
    return data.decode("utf-8", "replace")


def state_of(text: object) -> dict[str, Any] | None:
    """Return what is remembered of a device, or None if it cannot be read."""
    try:
        state = json.loads(text)  # type: ignore[arg-type]
    except (ValueError, TypeError, RecursionError):
        return None
    return state if isinstance(state, dict) else None


def close_to_others(path: Path) -> bool:
    """Let nobody else read the file and its companions; return whether others could."""
    open_ones = [
        one
        for suffix in ("", "-wal", "-shm")
        if (one := path.with_name(path.name + suffix)).is_file() and one.stat().st_mode & _OTHERS
    ]
    for one in open_ones:
        one.chmod(0o600)
    return bool(open_ones)


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Open the file, made if it is not there, and brought to the present version.

    Raises:
        StoreError: it cannot be, is of a later version, or is no store.
        sqlite3.DatabaseError: it is damaged (`is_damage`).
    """
    refuse_foreign(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # SQLite's other two files get the mode of this one.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreError(f"store {path}: {error.strerror}") from error
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.text_factory = text_of
    try:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        connection.execute("PRAGMA cache_size = -16384")
        migrate(connection)
    except sqlite3.Error as error:
        connection.close()
        if is_damage(error):
            raise
        raise StoreError(f"store {path}: {error}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open the file beside a server that may be writing to it.

    Raises:
        StoreError: it is not there, or cannot be read, or is of another version.
    """
    return _open_beside(path, "ro")


def open_for_requests(path: Path) -> sqlite3.Connection:
    """Open the file beside a server, to write to the table of requests.

    Raises:
        StoreError: it is not there, or cannot be opened, or is of another version.
    """
    return _open_beside(path, "rw")


def _open_beside(path: Path, mode: str) -> sqlite3.Connection:
    if not path.exists():
        raise StoreError(f"store {path}: there is none yet (a server makes it)")
    connection = None
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
        )
        connection.text_factory = text_of
        _refuse_others(connection, path)
        version = _version(connection)
    except BaseException as error:
        if connection is not None:
            connection.close()
        if not isinstance(error, sqlite3.Error):
            raise
        raise StoreError(f"store {path}: {error}") from error
    if version == len(MIGRATIONS):
        return connection
    connection.close()
    what = f"store {path}: of version {version}, this program reads version {len(MIGRATIONS)}"
    older = version < len(MIGRATIONS)
    todo = (
        "start a server of this program once, it brings it up"
        if older
        else "a later release wrote it: install that one"
    )
    raise StoreError(f"{what}; {todo}")


def refuse_foreign(path: Path) -> None:
    """See that a file is a store, or was one, or is none yet, before anything is done to it.

    What never was a database is not moved aside: a damaged one still has its length, which is a
    multiple of its pages'.

    Raises:
        StoreError: it is something else, or cannot be read.
    """
    if path.is_dir():
        raise StoreError(f"store {path}: it is a folder, the store is a file")
    try:
        with path.open("rb") as file:
            head, size = file.read(len(_HEAD)), os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"store {path}: {error.strerror}") from error
    if head == _HEAD:
        # What has no log is read as if it could not change: else SQLite would begin one.
        log = path.with_name(path.name + "-wal").exists()
        where = f"{path.absolute().as_uri()}?mode=ro{'' if log else '&immutable=1'}"
        with suppress(sqlite3.Error), closing(sqlite3.connect(where, uri=True)) as connection:
            _refuse_others(connection, path)
    elif size % _SECTOR:
        raise StoreError(f"{path} is no store, and is left as it is: give the store another name")


def _refuse_others(connection: sqlite3.Connection, path: Path) -> None:
    """See that a database is a store of ours, or empty.

    Raises:
        StoreError: it is another program's.
    """
    (mine,) = connection.execute("PRAGMA application_id").fetchone()
    if mine != OURS and connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        raise StoreError(f"{path} is another program's database, and is left as it is")


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables to the present version, each step whole or not at all.

    Raises:
        StoreError: they are of a later version than this program knows.
    """
    version = _version(connection)
    if version > len(MIGRATIONS):
        raise StoreError(
            f"the store is of version {version}, this program knows {len(MIGRATIONS)}: "
            "a later release wrote it"
        )
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        connection.executescript(f"BEGIN IMMEDIATE;{script};PRAGMA user_version = {number};COMMIT;")


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def set_aside(path: Path, mark: str) -> Path | None:
    """Move a file and its companions out of the way; return its new name, or None if none is there.

    Args:
        path: of the file.
        mark: what is the matter with it, in a word.
    """
    when = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    aside = path.with_name(f"{path.name}.{mark}-{when}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.{mark}-{when}-{number}")
    moved = False
    for suffix in ("", "-wal", "-shm"):
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.rename(aside.with_name(aside.name + suffix))
            moved = True
    return aside if moved else None
