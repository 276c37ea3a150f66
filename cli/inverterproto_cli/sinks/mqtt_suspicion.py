"""Which entry a connection may have ended for, where the broker hangs up instead of saying it.

A line breaks, too, so it takes much: `SUSPICIOUS` connections in a row that ended at the entry, in
whatever company, and then as many that ended at it when it was alone.
"""

from inverterproto_cli.sinks.sink import Entry

SUSPICIOUS = 3
"""Connections in a row that end at an entry: then it is tried alone, so often once more."""


class Suspicion:
    """The suspicion against one entry, or none."""

    def __init__(self) -> None:
        self.drop()

    def drop(self) -> None:
        """Suspect none."""
        self._whose: tuple[object, ...] | None = None
        self._number = 0
        self._ends = 0
        self._alone = 0

    def drop_until(self, number: int) -> None:
        """Suspect none of those up to a number."""
        if self._number <= number:
            self.drop()

    def is_against(self, entry: Entry) -> bool:
        """Return whether an entry is to be tried alone."""
        return self._whose == _name(entry) and self._ends >= SUSPICIOUS

    def note_end(self, entry: Entry) -> None:
        """Take note that a connection ended at an entry."""
        if self._whose != _name(entry):
            self.drop()
            self._whose, self._number = _name(entry), entry.number
        self._ends += 1

    def note_end_alone(self) -> None:
        """Take note that one ended at the suspect, which was alone."""
        self._alone += 1

    @property
    def is_last_trial(self) -> bool:
        """Whether the next end is the one that counts."""
        return self._alone == SUSPICIOUS - 1

    @property
    def is_certain(self) -> bool:
        """Whether it is the entry."""
        return self._alone >= SUSPICIOUS


def _name(entry: Entry) -> tuple[object, ...]:
    """Return what tells an entry from others; a record may hold several."""
    reading = entry.reading
    return entry.number, reading.device, reading.kind, reading.time
