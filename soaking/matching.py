"""Whether a cloud got what the devices sent: the same bytes, as far as they came.

Theory of operation
-------------------
What stands between does not tell which connection to the cloud is whose. The bytes tell: no two
connections begin alike for `TOLD_BY` bytes, as frames tell time and are numbered. So each
connection to the cloud (`Got`) is, when it has given so many bytes or ends before, matched with the
connection of a device (`Sent`) that began with these; from then on each byte that comes is compared
with that which was sent, and forgotten. If none began so, that is wrong; if several did, as what
came is short, it is compared no more.

*An end in peace* promises that all has come: then the device must have ended in peace, too, and no
byte may be missing. Whose way was killed is excused from that, and from no more.

What is passed on to nobody is forgotten after `MOST_KEPT` bytes, or some time after its end.
"""

from collections import Counter
from time import monotonic

from soaking.path import Ear

TOLD_BY = 256
"""Bytes after which a connection is known."""
MOST_KEPT = 1 << 18
"""Bytes of a connection that wait to be compared."""
_FORGOTTEN = 120.0
"""Seconds after the end of a connection until nothing of it can come any more."""
_MOST_WRONG, _SHOWN = 20, 64


class Matching:
    """Holds what a cloud got against what was sent.

    Attributes:
        counts: how many connections there were of each sort.
        wrong: what must not be.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.compared = 0  # bytes
        self.unmatched: dict[Sent, None] = {}
        self._got: set[Got] = set()
        self._excuses = False

    def sent(self) -> "Sent":
        """Return what hears a device's connection."""
        now = monotonic()
        for one in [one for one in self.unmatched if now - one.over_at > _FORGOTTEN]:
            one.forget()
        found = Sent(self)
        self.unmatched[found] = None
        return found

    def got(self) -> "Got":
        """Return what hears a connection to the cloud."""
        found = Got(self, excused=self._excuses)
        self._got.add(found)
        return found

    def over(self, got: "Got") -> None:
        """Take notice that a connection to the cloud is gone."""
        self._got.discard(got)

    def excuse(self, *, later: bool) -> None:
        """Excuse what is there now from ending as the devices end.

        Args:
            later: whether that is so of what comes from now on, too.
        """
        self._excuses = later
        for one in self._got:
            one.excused = True

    def blame(self, text: str) -> None:
        """Note what must not be."""
        if len(self.wrong) < _MOST_WRONG:
            self.wrong.append(text)


class Sent(Ear):
    """What a device sent on a connection.

    Attributes:
        waiting: bytes of it that the cloud has not got yet.
        total: how many bytes there were.
        peaceful: whether it ended in peace.
        over_at: when it was gone, in seconds of a clock that nobody sets.
    """

    def __init__(self, matching: Matching) -> None:
        self.waiting = bytearray()
        self.total = 0
        self.peaceful = False
        self.over_at = float("inf")
        self._matching = matching
        self._forgotten = False

    def said(self, data: bytes) -> None:
        """Hear bytes."""
        self.total += len(data)
        if self._forgotten:
            return
        self.waiting += data
        if len(self.waiting) > MOST_KEPT:
            self.forget()

    def ended(self) -> None:
        """Hear that no more will come, in peace."""
        self.peaceful = True

    def over(self) -> None:
        """Hear that the connection is gone."""
        self.over_at = monotonic()

    def forget(self) -> None:
        """Keep nothing any more: nobody gets it."""
        self._forgotten = True
        self.waiting.clear()
        self._matching.unmatched.pop(self, None)


class Got(Ear):
    """What a cloud got on a connection.

    Attributes:
        excused: whether it may end in peace though the device did not.
    """

    def __init__(self, matching: Matching, *, excused: bool = False) -> None:
        self.excused = excused
        self._matching = matching
        self._head = b""
        self._total = 0
        self._sent: Sent | None = None
        self._among: list[Sent] | None = None  # those that it can be, once it is looked for
        self._peaceful = False

    def said(self, data: bytes) -> None:
        """Hear bytes."""
        self._total += len(data)
        if self._sent is not None:
            self._compare(data)
        elif self._among is None:
            self._head += data
            if len(self._head) >= TOLD_BY:
                self._match()

    def _match(self) -> None:
        """Find whose bytes these are."""
        matching, head = self._matching, self._head
        if self._among is not None or not head:
            return
        self._among = [one for one in matching.unmatched if one.waiting.startswith(head)]
        if not self._among:
            shown = head[:_SHOWN].hex()
            matching.blame(f"the cloud got {len(head)} bytes that no device sent: {shown}")
        elif len(self._among) == 1:
            self._sent = self._among[0]
            del matching.unmatched[self._sent]
            self._compare(head)

    def _compare(self, data: bytes) -> None:
        sent = self._sent
        assert sent is not None
        if not sent.waiting.startswith(data):
            begin = self._total - len(data)
            self._matching.blame(
                f"from byte {begin} on the cloud got {data[:_SHOWN].hex()}, "
                f"and {sent.waiting[:_SHOWN].hex() or 'nothing'} was sent"
            )
        self._matching.compared += len(data)
        del sent.waiting[: len(data)]

    def ended(self) -> None:
        """Hear that no more will come, in peace: so all has come."""
        self._match()
        self._peaceful = True
        if self.excused or not self._among:
            return
        if not any(one.peaceful and one.total == self._total for one in self._among):
            told = ", ".join(
                f"{one.total:,} bytes {'in peace' if one.peaceful else 'without its end'}"
                for one in self._among
            )
            self._matching.blame(
                f"the cloud was told after {self._total:,} bytes that no more will come, "
                f"and was sent {told}"
            )

    def over(self) -> None:
        """Hear that the connection is gone."""
        self._match()
        counts = self._matching.counts
        if not self._total:
            counts["without a byte"] += 1
        elif self._sent is None:
            counts["too short to be told apart"] += 1
        elif self._peaceful and not self.excused:
            counts["whole"] += 1
        else:
            counts["cut off"] += 1
        if self._sent is not None:
            self._sent.forget()
        self._matching.over(self)
