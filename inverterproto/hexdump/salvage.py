"""What there is to show of a text in which nothing decodes.

The best reading is one in which a frame begins that says what it is, though it is cut short or
broken; then one that holds what else is known to travel on such lines (bare Modbus RTU, text of
the modem, TLS): from there on all is shown. Else it is the strongest form of hex that gives some
bytes in one line.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from inverterproto.families import FAMILIES
from inverterproto.hexdump.fragment import HEX
from inverterproto.hexdump.search import Kept, Piece, Search
from inverterproto.hexdump.words import Misspelt
from inverterproto.stream import Framing, Item, Reason, StreamDecoder

LEAST = 4
"""Bytes in one line that are worth showing."""

_BROKEN = (Reason.TRUNCATED, Reason.CHECKSUM, Reason.END_MARKER)
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
    foreign: Salvaged | None = None
    some: Salvaged | None = None
    for search in searches:
        kept = search.kept
        if kept is None or not kept.data:
            continue
        for item in _items(kept, framings):
            if _begins(item):
                return Salvaged(search.rank, _from(kept, item.offset), begins=True)
            if foreign is None and getattr(item, "reason", None) in _FOREIGN:
                foreign = Salvaged(search.rank, _from(kept, item.offset), begins=False)
        form = search.form
        is_hex = form.spelling == HEX and not isinstance(form, Misspelt)
        if some is None and is_hex and kept.most >= LEAST:
            some = Salvaged(search.rank, _from(kept, 0), begins=False)
    return foreign or some


def _items(kept: Kept, framings: Sequence[Framing]) -> list[Item]:
    decoder = StreamDecoder(*framings)
    return decoder.feed(bytes(kept.data)) + decoder.flush()


def _begins(item: Item) -> bool:
    """Return whether an item is the beginning of a frame of a known kind."""
    if item.framing is None or getattr(item, "reason", None) not in _BROKEN:
        return False
    family = FAMILIES[item.framing.family]
    frame = family.salvage(item.raw)
    return frame is not None and family.message(frame).name != "unknown"


def _from(kept: Kept, start: int) -> Piece:
    masked = tuple(at - start for at in kept.masked if at >= start)
    return Piece(bytes(kept.data[start:]), masked)
