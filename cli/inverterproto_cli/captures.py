"""Captures in JSON lines: what the proxy and the fake server write, and `decode --json`.

A line is `{"at": unix seconds, "connection": …, "from": "device" or "cloud", "data": hex}`; of the
lines of `decode --json`, `raw` stands for `data`. What the proxy held has `"held": true`. A line
that is none of these costs only itself.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from inverterproto_cli.chunk import CAPTURE, Chunk, SourceError

LONGEST_LINE = 1 << 24
LATEST_ARRIVAL = 1e11
"""In the year 5138: a greater one counts milliseconds, or nothing."""
_LINE = re.compile(
    rb'^[ \t]*+\{[^\n]*"(?:data|raw)"[ \t]*+:[ \t]*+"[0-9a-fA-F \t]*+(?:"|\Z)', re.MULTILINE
)


def is_capture(head: bytes) -> bool:
    """Return whether what begins so is a capture, though perhaps with broken lines."""
    return _LINE.search(head) is not None


def read_capture(
    name: str, chunks: Iterator[bytes], complain: Callable[[str], object]
) -> Iterator[Chunk]:
    """Yield the bytes of each line; `complain` is told of each line that is none of a capture.

    Raises:
        SourceError: a line is longer than `LONGEST_LINE`.
    """
    for number, line in enumerate(_lines(name, chunks), 1):
        if line.strip():
            try:
                chunk = _chunk(name, number, line)
            except SourceError as error:
                complain(str(error))  # what stands in the other lines is as good as before
            else:
                yield chunk


def capture_line(chunk: Chunk) -> bytes:
    """Return the line that a chunk is in a capture."""
    import json

    entry = {
        "at": chunk.at,
        "connection": chunk.connection,
        "from": chunk.sender,
        "data": chunk.data.hex(),
        "held": chunk.held or None,
    }
    told = {name: value for name, value in entry.items() if value is not None}
    return json.dumps(told).encode() + b"\n"


def _lines(name: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    held = b""
    for chunk in chunks:
        *lines, held = (held + chunk).split(b"\n")
        yield from lines
        if len(held) > LONGEST_LINE:
            raise SourceError(f"{name}: a line of more than {LONGEST_LINE:,} bytes")
    yield held


def _chunk(name: str, number: int, line: bytes) -> Chunk:
    where = f"{name}: line {number}: no line of a capture"
    entry = _object(line)
    if entry is None:
        raise SourceError(f"{where}: not one whole JSON object")
    own = "data" not in entry and "raw" in entry
    key = "raw" if own else "data"
    if key not in entry:
        raise SourceError(f"{where}: no 'data'")
    try:
        data = bytes.fromhex(entry[key])
    except (ValueError, TypeError):
        raise SourceError(f"{where}: {key!r} is no hex text") from None
    connection, sender = entry.get("connection"), entry.get("from")
    if own and connection is None:
        sender = None  # told by the frame, not by a capture: all is one stream
    return Chunk(
        name,
        data,
        arrival(where, entry.get("at")),
        None if connection is None else str(connection),
        None if sender is None else str(sender),
        CAPTURE,
        held=entry.get("held") is True,
    )


def _object(line: bytes) -> dict[str, Any] | None:
    """Return the JSON object that a line is, or None if it is none."""
    import json

    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def arrival(where: str, at: object) -> float | None:
    """Return an arrival in unix seconds, or None where none is told.

    Raises:
        SourceError: it is no such time; `where` it stands is told.
    """
    if at is None:
        return None
    if isinstance(at, bool) or not isinstance(at, int | float) or not 0 <= at < LATEST_ARRIVAL:
        # What is no number may say anything: it is not quoted, as complaints are shown, too.
        found = str(at)[:40] if isinstance(at, int | float) else "no number"
        raise SourceError(f"{where}: 'at' is no unix time in seconds: {found}")
    return float(at)
