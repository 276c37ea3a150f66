"""What is private in bytes that hold only pieces of V5 frames.

Where a header's first bytes are missing or masked, the control code with a number behind it that
may be a logger's serial gives it away; at the beginning of the bytes half of that code does.
"""

import re
from collections.abc import Iterator
from itertools import islice, pairwise

from inverterproto.deye.frame import LONGEST, START, salvage
from inverterproto.deye.messages import CONTROL_LOW, TYPES, Message
from inverterproto.layout import Row

_SHORTEST = 7
"""The serial begins behind so many bytes."""
_UP_TO_SERIAL = 8
"""Bytes from the control code to the end of the serial."""
_PADDING = bytes(512)
_MOST = 16
"""So many headers are looked for in one run of bytes."""

_find_header = re.compile(
    b"%c..%c[%b]" % (START, CONTROL_LOW, re.escape(bytes(TYPES))), re.DOTALL
).finditer
_HEAD = bytes((START, 0, 0, CONTROL_LOW))
"""What may be missing; its length does not matter."""
# The sequence, and a number of more than 24 bits that is no text.
_SERIAL = rb"(?=..(?![\x20-\x7e]{4})(?:...[^\0\xff]|.{1,3}\Z))"
_match_type = re.compile(b"[%b]" % re.escape(bytes(TYPES)) + _SERIAL, re.DOTALL).match
_find_control = re.compile(
    b"%c[%b]" % (CONTROL_LOW, re.escape(bytes(TYPES))) + _SERIAL, re.DOTALL
).finditer


def private_rows(raw: bytes) -> Iterator[Row]:
    """Yield the private fields behind each header, as far as they are there."""
    starts = [found.start() for found in islice(_find_header(raw), _MOST)]
    if raw[:1] == bytes((START,)) and starts[:1] != [0]:
        starts.insert(0, 0)  # a header of a type that nobody knows holds a serial, too
    for start, end in pairwise([*starts, len(raw)]):
        yield from _rows(raw[start:end][:LONGEST], start)
    yield from _headless_rows(raw, {start + len(_HEAD) - 1 for start in starts})


def _headless_rows(raw: bytes, known: set[int]) -> Iterator[Row]:
    """Yield the private fields behind a broken header; inside the bytes its serial alone."""
    controls = [found.start() for found in islice(_find_control(raw), _MOST)]
    places = [at for at in controls if at not in known]
    if not known and min(places, default=len(_HEAD)) >= len(_HEAD) and _match_type(raw):
        places.insert(0, -1)  # of the control code only the type is there
    for at in places:
        missing = _HEAD[: len(_HEAD) - 1 - min(at, 0)]
        size = LONGEST if at < len(_HEAD) else _UP_TO_SERIAL
        first = max(at, 0)
        yield from _rows(missing + raw[first : first + size], first - len(missing))


def _rows(part: bytes, start: int) -> Iterator[Row]:
    # A field that is cut in half is one all the same.
    frame = salvage(part + _PADDING) if len(part) > _SHORTEST else None
    if frame is None:
        return
    for row in Message(frame).rows(frame.build()):
        if row.field.private and row.offset < len(part):
            yield row._replace(offset=start + row.offset, raw=row.raw[: len(part) - row.offset])
