"""What there is to show of a text in which nothing decodes.

The best reading is one in which a frame begins that says what it is, though it is cut short or
broken, with the fewest doubts; then one that holds what else is known to travel on such lines (bare
Modbus RTU, text of the modem, TLS): from there on all is shown. Else it is the strongest form of
hex that gives some bytes in one line.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from inverterproto.hexdump.search import Kept, Piece, Search, beginning
from inverterproto.stream import Framing, Item, Reason, StreamDecoder

LEAST = 4
"""Bytes in one line that are worth showing."""

_FOREIGN = (Reason.MODBUS, Reason.AT_TEXT, Reason.TLS)


class Salvaged(NamedTuple):
    """What is shown.

    Attributes:
        rank: of the form.
        piece: the bytes.
        begins: whether it begins as a frame does.
    """

    rank: int
    piece: Piece
    begins: bool


def salvage(searches: Iterable[Search], framings: Sequence[Framing]) -> Salvaged | None:
    """Return what to show, or None if there is nothing."""
    found: dict[int, Salvaged] = {}  # by how good it is
    for search in searches:
        kept = search.kept
        if kept is None or not kept.data:
            continue
        for item in _items(kept, framings):
            message = beginning(item)
            if message is not None:
                grade = 3 if not message.problems else 2
            elif getattr(item, "reason", None) in _FOREIGN:
                grade = 1
            else:
                continue
            piece = _from(kept, item.offset)
            found.setdefault(grade, Salvaged(search.rank, piece, begins=message is not None))
        if search.is_hex and kept.most >= LEAST:
            found.setdefault(0, Salvaged(search.rank, _from(kept, 0), begins=False))
    return found[max(found)] if found else None


def _items(kept: Kept, framings: Sequence[Framing]) -> list[Item]:
    decoder = StreamDecoder(*framings)
    return decoder.feed(bytes(kept.data)) + decoder.flush()


def _from(kept: Kept, start: int) -> Piece:
    masked = tuple(at - start for at in kept.masked if at >= start)
    return Piece(bytes(kept.data[start:]), masked)
