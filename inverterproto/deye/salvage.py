"""What is private in bytes that hold only pieces of V5 frames."""

import re
from collections.abc import Iterator
from itertools import islice, pairwise

from inverterproto.deye.frame import LONGEST, START, salvage
from inverterproto.deye.messages import CONTROL_LOW, TYPES, Message
from inverterproto.layout import Row

_SHORTEST = 7
"""The serial begins behind so many bytes."""
_PADDING = bytes(512)
_MOST = 16
"""So many headers are looked for in one run of bytes."""

_find_header = re.compile(
    b"%c..%c[%b]" % (START, CONTROL_LOW, re.escape(bytes(TYPES))), re.DOTALL
).finditer


def private_rows(raw: bytes) -> Iterator[Row]:
    """Yield the private fields behind each header, as far as they are there."""
    starts = [found.start() for found in islice(_find_header(raw), _MOST)]
    if raw[:1] == bytes((START,)) and starts[:1] != [0]:
        starts.insert(0, 0)  # a header of a type that nobody knows holds a serial, too
    for start, end in pairwise([*starts, len(raw)]):
        yield from _rows(raw[start:end][:LONGEST], start)


def _rows(part: bytes, start: int) -> Iterator[Row]:
    # A field that is cut in half is one all the same.
    frame = salvage(part + _PADDING) if len(part) > _SHORTEST else None
    if frame is None:
        return
    for row in Message(frame).rows(frame.build()):
        if row.field.private and row.offset < len(part):
            yield row._replace(offset=start + row.offset, raw=row.raw[: len(part) - row.offset])
