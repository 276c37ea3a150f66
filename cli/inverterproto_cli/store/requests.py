"""What commands ask of the server that has the store.

Theory of operation
-------------------
A command that changes something may not write beside a server: the server knows more than the file
(what it has learned of a device and not yet written, who is connected). So the command writes a row
into the table `request`: what is wanted, as JSON. The server looks for open ones once a second,
carries them out in its own way, and writes the answer into the row; the command, which looks for
it, shows it. Where no server holds the lock, the command takes the lock and does it itself, by the
server's code (`ask`, and its caller's `alone`).

*Nobody waits for ever.* The command gives up when neither an answer nor progress was seen for
`PATIENCE` seconds, and takes its request back, so that it is not carried out behind its back. Does
the server stop meanwhile, the lock is free, and the command does it itself. All that can be asked
for can be done twice.

*Nothing is done late.* A request that nobody took back (its command was killed) and that is older
than `STALE` is answered with that, not carried out.

*Anybody who may write the file may write anything into the table.* What is no request is answered
as an error; rows are read as bytes, a bounded number of bounded length at a time. Answers are
removed after an hour.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any, NamedTuple

from inverterproto_cli.store.lock import HeldError
from inverterproto_cli.store.schema import StoreError, open_for_requests

PATIENCE = 20.0
"""Seconds without answer or progress after which a command gives up."""
STALE = 120.0
"""Seconds after which an open request is of a command that is gone."""
KEPT = 3600.0
"""Seconds that answered requests are kept."""
LOOK_EVERY = 0.1
MOST = 100
"""Requests that are looked at in one go."""
LONGEST = 10_000
"""Bytes of a request."""


class Request(NamedTuple):
    """An open request.

    Attributes:
        id: of its row.
        wanted: what is wanted; None where that cannot be understood.
        stale: whether it is too old to be carried out.
    """

    id: int
    wanted: Mapping[str, Any] | None
    stale: bool


class NoAnswerError(StoreError):
    """The server did not answer."""


# The command's side


def ask(
    path: Path,
    wanted: Mapping[str, Any],
    alone: Callable[[Path, Mapping[str, Any]], Mapping[str, Any]],
    *,
    patience: float = PATIENCE,
    wait: Callable[[float], object] = sleep,
    clock: Callable[[], float] = monotonic,
) -> Mapping[str, Any]:
    """Have something done to the store; return the answer.

    Args:
        path: of the store.
        wanted: what is to be done.
        alone: does it where no server has the store; it raises `HeldError` if one does.
        patience: seconds without answer or progress.
        wait: lets so many seconds pass.
        clock: tells seconds.

    Raises:
        NoAnswerError: the server did not answer; nothing is done later.
        StoreError: the store cannot be used.
    """
    open_for_requests(path).close()  # there is one, of the present version
    try:
        return alone(path, wanted)
    except HeldError:
        pass
    with closing(open_for_requests(path)) as connection:
        number = _make(connection, wanted, time())
        seen: tuple[int | None, str | None] = (None, None)
        heard = clock()
        while True:
            wait(LOOK_EVERY)
            found = _look(connection, number)
            if found is None or found[1] is not None:
                return _answer_of(found)
            if found != seen:
                seen, heard = found, clock()
            elif clock() - heard > patience:
                break
            else:
                try:
                    answer = alone(path, wanted)
                except HeldError:
                    continue
                _take_back(connection, number)
                return answer
        if not _take_back(connection, number):
            return _answer_of(_look(connection, number))
    raise NoAnswerError(
        f"store {path}: the server did not answer within {patience:g} seconds; "
        "the request is taken back"
    )


def _make(connection: sqlite3.Connection, wanted: Mapping[str, Any], now: float) -> int:
    text = json.dumps(wanted)
    cursor = connection.execute("INSERT INTO request (at, wanted) VALUES (?, ?)", (now, text))
    number = cursor.lastrowid
    assert number is not None  # noqa: S101 - an insertion has one
    return number


def _look(connection: sqlite3.Connection, number: int) -> tuple[int | None, str | None] | None:
    row: tuple[int | None, str | None] | None = connection.execute(
        "SELECT progress, answer FROM request WHERE id = ?", (number,)
    ).fetchone()
    return row


def _answer_of(found: tuple[int | None, str | None] | None) -> Mapping[str, Any]:
    if found is None or found[1] is None:
        raise NoAnswerError("the request was removed by somebody else")
    answer: Mapping[str, Any] = json.loads(found[1])
    return answer


def _take_back(connection: sqlite3.Connection, number: int) -> bool:
    taken = connection.execute(
        "DELETE FROM request WHERE id = ? AND answer IS NULL", (number,)
    ).rowcount
    return taken == 1


# The server's side: jobs for the writer thread


def open_requests(connection: sqlite3.Connection, now: float) -> list[Request]:
    """Return the requests that nobody has answered yet."""
    rows = connection.execute(
        "SELECT id, CAST(substr(wanted, 1, ?) AS BLOB), "
        "typeof(at) IN ('real', 'integer') AND at BETWEEN ? AND ? "
        "FROM request WHERE answer IS NULL ORDER BY id LIMIT ?",
        (LONGEST + 1, now - STALE, now + STALE, MOST),
    ).fetchall()
    return [Request(number, _understood(text), not fresh) for number, text, fresh in rows]


def _understood(text: bytes | None) -> Mapping[str, Any] | None:
    if text is None or len(text) > LONGEST:
        return None
    try:
        wanted = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return wanted if isinstance(wanted, dict) else None


def note_progress(connection: sqlite3.Connection, done: int, *, number: int) -> bool:
    """Write how much of a request is done, so that who waits goes on waiting.

    Returns:
        Whether it is still wanted: who gave up took it back.
    """
    count = connection.execute("UPDATE request SET progress = ? WHERE id = ?", (done, number))
    return count.rowcount == 1


def note_answer(
    connection: sqlite3.Connection, *, number: int, answer: Mapping[str, Any], now: float
) -> None:
    """Write the answer to a request, and remove old ones."""
    connection.execute(
        "UPDATE request SET answer = ?, answered = ? WHERE id = ?",
        (json.dumps(answer), now, number),
    )
    connection.execute(
        "DELETE FROM request WHERE answer IS NOT NULL AND NOT (answered BETWEEN ? AND ?)",
        (now - KEPT, now + KEPT),
    )
