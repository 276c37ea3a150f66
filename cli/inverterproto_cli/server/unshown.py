"""Records that wait for their date, to be shown with it."""

from collections import OrderedDict

from inverterproto.session import Record

MOST_BYTES = 16 << 20
"""Of what waits."""
_RECORD = 512
"""Bytes that a record takes beside its frame, about."""


class Unshown:
    """Records by their keys, of which no more wait than there is room for.

    The oldest goes when there are too many: it is in the store, but nobody sees it pass.

    Attributes:
        size: bytes of what waits, about.
    """

    def __init__(self) -> None:
        self._records: OrderedDict[object, Record] = OrderedDict()
        self.size = 0

    def __len__(self) -> int:
        return len(self._records)

    def put(self, record: Record) -> None:
        """Let a record wait."""
        self.take(record.key)
        self._records[record.key] = record
        self.size += len(record.frame) + _RECORD
        while self.size > MOST_BYTES:
            self.take(next(iter(self._records)))

    def forget(self, serial: str) -> None:
        """Let no record of a device, or of what it carries, wait any longer."""
        for key in [k for k, one in self._records.items() if serial in (one.device, one.via)]:
            self.take(key)

    def take(self, key: object) -> Record | None:
        """Return the record with a key, which waits no longer; None if there is none."""
        record = self._records.pop(key, None)
        if record is not None:
            self.size -= len(record.frame) + _RECORD
        return record
