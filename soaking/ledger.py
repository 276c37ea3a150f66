"""What devices were told is accepted, and whether a store has it.

What a frame does not tell is known of the connection alone: an event log does not say whose it is,
and is kept with a battery's serial only if another frame named it before. So it is found by its
bytes, with that serial or none.

*Kills.* A proxy passes on before it keeps: what it passed in the last milliseconds before it is
killed may be lost. `Loss` tells how much that was; what was accepted more than `MOST_LOST` seconds
from any kill is missing all the same.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from inverterproto.families import FAMILIES, Family
from inverterproto.session import Record
from inverterproto.stream import StreamDecoder
from inverterproto_cli.store import Reader
from inverterproto_cli.store.reader import Kept

MEASURED = frozenset({"data", "status", "record", "stored"})
"""The kinds of records of which a device makes one a second at the most."""
MOST_LOST = 5.0
"""Seconds from a kill within which something was accepted that it may have cost."""
_SHOWN = 5


class Loss(NamedTuple):
    """What kills have cost.

    Attributes:
        records: how many.
        oldest: seconds from when it was accepted to the kill, of that which was the longest time.
        newest: the same, of the shortest.
    """

    records: int
    oldest: float
    newest: float


class Comparison(NamedTuple):
    """What came of holding a store against a ledger.

    Attributes:
        kept: records that devices sent as frames.
        unaccepted: of these, those that nobody was told are accepted: the answer was lost.
        repeated: how often something came that was kept already.
        unframed: runs of bytes that are no frame.
        answered: how many of those kept were answered, by whom.
        lost: what kills have cost, or None.
        wrong: what must not be.
    """

    kept: int
    unaccepted: int
    repeated: int
    unframed: int
    answered: Counter[str]
    lost: Loss | None
    wrong: list[str]


class Ledger:
    """What was accepted.

    Attributes:
        accepted: how many records, those counted again that were accepted again.
    """

    def __init__(self) -> None:
        self.accepted = 0
        self._accepted_at: dict[object, float] = {}

    @property
    def distinct(self) -> int:
        """How many different records were accepted."""
        return len(self._accepted_at)

    def accept(self, family: Family, serial: str | None, frame: bytes) -> None:
        """Note that a frame was accepted.

        Args:
            family: whose frame it is.
            serial: of the device, where a frame may not name it.
            frame: its bytes.
        """
        for record in records_of(family, frame):
            self.accepted += 1
            self._accepted_at[_identity(record, serial)] = monotonic()

    def compare(self, path: Path, kills: Sequence[float] = ()) -> Comparison:
        """Hold a store against what was accepted.

        Args:
            path: of the store.
            kills: moments of the clock that nobody sets; each may have cost something.
        """
        answered: Counter[str] = Counter()
        found: Counter[object] = Counter()
        moments: Counter[object] = Counter()
        wrong: list[str] = []
        repeated = unframed = count = 0
        with Reader(path) as reader:
            for kept in _all(reader):
                count += 1
                if kept.sender == "cloud":
                    continue
                repeated += kept.repeated
                if kept.family is None or kept.kind == "unframed":
                    unframed += 1
                    continue
                found.update(_identities(kept))
                if kept.answered is not None:
                    answered[kept.answered] += 1
                if kept.kind in MEASURED:
                    moments[kept.device, kept.via, kept.kind, kept.stamp] += 1
            if count != reader.count():
                wrong.append(f"{reader.count():,} rows are in the store, and {count:,} can be read")
        missing = [each for each in self._accepted_at if not _is_in(found, each)]
        lost, missing = self._by_kills(missing, kills)
        wrong += _told("was accepted and is not in the store", missing)
        wrong += _told("is in the store more than once", _several(found))
        wrong += _told("was measured once and is kept more than once", _several(moments))
        unaccepted = len(found.keys() - self._accepted_at.keys())
        kept_records = sum(found.values())
        return Comparison(kept_records, unaccepted, repeated, unframed, answered, lost, wrong)

    def _by_kills(
        self, missing: list[object], kills: Sequence[float]
    ) -> tuple[Loss | None, list[object]]:
        """Return what kills have cost, and what is missing beside that."""
        ages = {
            each: min((abs(kill - self._accepted_at[each]) for kill in kills), default=math.inf)
            for each in missing
        }
        lost = [age for age in ages.values() if age <= MOST_LOST]
        others = [each for each, age in ages.items() if age > MOST_LOST]
        return Loss(len(lost), max(lost), min(lost)) if lost else None, others


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
