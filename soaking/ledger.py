"""What devices were told is accepted, and whether a store has it.

What a frame does not tell is known of the connection alone: an event log does not say whose it is,
and is kept with a battery's serial only if another frame named it before. So it is found by its
bytes, with that serial or none.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from inverterproto.families import FAMILIES, Family
from inverterproto.session import Record
from inverterproto.stream import StreamDecoder
from inverterproto_cli.store import Reader
from inverterproto_cli.store.reader import Kept

MEASURED = frozenset({"data", "status", "record", "stored"})
"""The kinds of records of which a device makes one a second at the most."""
_SHOWN = 5


class Comparison(NamedTuple):
    """What came of holding a store against a ledger.

    Attributes:
        kept: records that devices sent as frames.
        unaccepted: of these, those that nobody was told are accepted: the answer was lost.
        repeated: how often something came that was kept already.
        unframed: runs of bytes that are no frame.
        wrong: what must not be.
    """

    kept: int
    unaccepted: int
    repeated: int
    unframed: int
    wrong: list[str]


class Ledger:
    """What was accepted.

    Attributes:
        accepted: how many records, those counted again that were accepted again.
    """

    def __init__(self) -> None:
        self.accepted = 0
        self._identities: set[object] = set()

    @property
    def distinct(self) -> int:
        """How many different records were accepted."""
        return len(self._identities)

    def accept(self, family: Family, serial: str | None, frame: bytes) -> None:
        """Note that a frame was accepted.

        Args:
            family: whose frame it is.
            serial: of the device, where a frame may not name it.
            frame: its bytes.
        """
        for record in records_of(family, frame):
            self.accepted += 1
            self._identities.add(_identity(record, serial))

    def compare(self, path: Path) -> Comparison:
        """Hold a store against what was accepted."""
        found: Counter[object] = Counter()
        moments: Counter[object] = Counter()
        wrong: list[str] = []
        repeated = unframed = count = 0
        with Reader(path) as reader:
            for kept in _all(reader):
                count += 1
                repeated += kept.repeated
                if kept.family is None or kept.kind == "unframed":
                    unframed += 1
                    continue
                found.update(_identities(kept))
                if kept.kind in MEASURED:
                    moments[kept.device, kept.via, kept.kind, kept.stamp] += 1
            if count != reader.count():
                wrong.append(f"{reader.count():,} rows are in the store, and {count:,} can be read")
        missing = [each for each in self._identities if not _is_in(found, each)]
        wrong += _told("was accepted and is not in the store", missing)
        wrong += _told("is in the store more than once", _several(found))
        wrong += _told("was measured once and is kept more than once", _several(moments))
        unaccepted = len(found.keys() - self._identities)
        return Comparison(sum(found.values()), unaccepted, repeated, unframed, wrong)


def records_of(family: Family, frame: bytes) -> list[Record]:
    """Return the records that a frame is, each with its key; none of what is not kept."""
    watcher = family.watcher(lambda _: family.state())
    return [
        action
        for item in StreamDecoder(family.framing).feed(frame)
        for action in watcher.watch(item, 0.0)
        if isinstance(action, Record)
    ]


def _identity(record: Record, serial: str | None) -> object:
    """Return what a record is known by: its key, or of what names nobody the bytes."""
    return (serial, record.frame) if record.device is None else record.key


def _identities(kept: Kept) -> list[object]:
    """Return what the records in the bytes of a row are known by."""
    family = FAMILIES[kept.family or ""]
    return [_identity(record, kept.device) for record in records_of(family, kept.frame)]


def _is_in(found: Counter[object], identity: object) -> bool:
    """Return whether something is kept; what names nobody may be without its serial."""
    return identity in found or (isinstance(identity, tuple) and (None, identity[1]) in found)


def _all(reader: Reader) -> Iterable[Kept]:
    yield from reader.newest()
    yield from reader.unknown()


def _several(counts: Counter[object]) -> list[object]:
    return [each for each, count in counts.items() if count > 1]


def _told(what: str, each: list[object]) -> list[str]:
    """Return how many there are of something that must not be, and some of them."""
    if not each:
        return []
    shown = ", ".join(one.hex() if isinstance(one, bytes) else str(one) for one in each[:_SHOWN])
    return [f"{len(each):,} × {what}: {shown}"]
