"""How far each sink has got: the tables `sink` and `set_aside`.

The server's writer writes them, in the transactions in which it writes everything; `Reader` reads
them for who only looks.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from inverterproto_cli.store.schema import arrival_of, time_of

MOST_SET_ASIDE = 1000
"""Readings of one sink that are kept when it has set them aside; of more, the last ones."""
LONGEST_TEXT = 500
"""Characters of an error that are kept."""


class SinkRow(NamedTuple):
    """A sink as the store knows it.

    Attributes:
        name: its own.
        type: of what kind it is.
        number: of the last record that it has had.
        since: when it was added, in unix seconds.
        delivered: readings that arrived.
        left_out: readings that it cannot take: their time is not known.
        set_aside: readings that the other side refused for good.
        last: when something arrived last, or None.
        error: what is wrong, or None if all goes well.
        error_at: when that began to be wrong.
    """

    name: str
    type: str
    number: int
    since: float
    delivered: int = 0
    left_out: int = 0
    set_aside: int = 0
    last: float | None = None
    error: str | None = None
    error_at: float | None = None


class SetAside(NamedTuple):
    """A reading that a sink refused for good.

    Attributes:
        sink: its name.
        number: of the reading's record.
        at: when it was set aside, in unix seconds.
        why: what the other side said.
        reading: it, as JSON.
    """

    sink: str
    number: int
    at: float
    why: str
    reading: str


COLUMNS = (
    "CAST(name AS TEXT), CAST(coalesce(type, name) AS TEXT), CAST(number AS INTEGER), "
    f"{arrival_of('since')}, CAST(delivered AS INTEGER), CAST(left_out AS INTEGER), "
    f"CAST(set_aside AS INTEGER), {time_of('last')}, CAST(error AS TEXT), {time_of('error_at')}"
)
_SAVE = """
INSERT INTO sink
    (name, type, number, since, delivered, left_out, set_aside, last, error, error_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET
    type = excluded.type, number = excluded.number, since = excluded.since,
    delivered = excluded.delivered, left_out = excluded.left_out, set_aside = excluded.set_aside,
    last = excluded.last, error = excluded.error, error_at = excluded.error_at
"""
_TRIM = """
DELETE FROM set_aside WHERE sink = ?1 AND id <= (
    SELECT id FROM set_aside WHERE sink = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2
)
"""


def all_sinks(connection: sqlite3.Connection) -> list[SinkRow]:
    """Return all sinks that the store knows, by name."""
    rows = connection.execute(f"SELECT {COLUMNS} FROM sink ORDER BY name")  # noqa: S608
    return [SinkRow._make(row) for row in rows]


def register(
    connection: sqlite3.Connection, wanted: Iterable[SinkRow]
) -> tuple[list[SinkRow], list[SinkRow]]:
    """Take up the sinks of a server.

    Args:
        connection: to the store.
        wanted: how each begins if it is not known yet.

    Returns:
        Those, as far as each has got; and the sinks that the store knows beside them.
    """
    known = {row.name: row for row in all_sinks(connection)}
    taken = []
    for new in wanted:
        old = known.pop(new.name, None)
        # What was wrong may be so no more.
        row = new if old is None else old._replace(type=new.type, error=None, error_at=None)
        taken.append(row)
    save(connection, taken, ())
    return taken, list(known.values())


def save(
    connection: sqlite3.Connection, rows: Sequence[SinkRow], set_aside: Sequence[SetAside]
) -> None:
    """Write how far sinks have got, and what they have set aside."""
    connection.executemany(_SAVE, rows)
    if set_aside:
        connection.executemany(
            "INSERT INTO set_aside (sink, number, at, why, reading) VALUES (?, ?, ?, ?, ?)",
            set_aside,
        )
        for name in {one.sink for one in set_aside}:
            connection.execute(_TRIM, (name, MOST_SET_ASIDE))


def remove(connection: sqlite3.Connection, name: str) -> bool:
    """Forget a sink, with what it has set aside; return whether it was known."""
    connection.execute("DELETE FROM set_aside WHERE sink = ?", (name,))
    return connection.execute("DELETE FROM sink WHERE name = ?", (name,)).rowcount == 1


def all_set_aside(connection: sqlite3.Connection, name: str) -> list[SetAside]:
    """Return what a sink has set aside, in that order; `MOST_SET_ASIDE` at most."""
    rows = connection.execute(
        f"SELECT CAST(sink AS TEXT), CAST(number AS INTEGER), {arrival_of('at')}, "  # noqa: S608
        "CAST(why AS TEXT), CAST(reading AS TEXT) FROM set_aside WHERE sink = ? ORDER BY id",
        (name,),
    )
    return [SetAside._make(row) for row in rows]
