"""What a test bench measures: frames sent, replies awaited, how long they took."""

from collections import Counter
from typing import Any

import click

from inverterproto_cli.show import printable

_MOST = 100_000
"""Latencies that are remembered; of more, every second one is forgotten again and again."""
_KINDS, _KINDS_SHOWN = 1000, 20
"""Things that are told apart, and shown, of all that can be wrong: a server may have many."""
PERCENTILES = (50, 90, 99)


class Tally:
    """Counts what was sent and what came back.

    Attributes:
        sent: frames that want a reply.
        answered: of these.
        wrong: what was wrong, by its text.
        noted: what a person should know though it is nobody's fault, by its text.
    """

    def __init__(self) -> None:
        self.sent = 0
        self.answered = 0
        self.wrong: Counter[str] = Counter()
        self.noted: Counter[str] = Counter()
        self._latencies: list[float] = []
        self._longest = 0.0
        self._every = 1

    def reply(self, seconds: float) -> None:
        """Count a reply that came after some seconds."""
        self.answered += 1
        self._longest = max(self._longest, seconds)
        if self.answered % self._every == 0:
            self._latencies.append(seconds)
            if len(self._latencies) > _MOST:
                self._latencies = self._latencies[::2]
                self._every *= 2

    def missing(self, what: str) -> None:
        """Count a message that was not answered."""
        self.sent += 1
        self.blame(f"no reply to {what}")

    def blame(self, what: str) -> None:
        """Count something that was wrong."""
        known = what in self.wrong or len(self.wrong) < _KINDS
        self.wrong[what if known else "and more of other kinds"] += 1

    @property
    def unanswered(self) -> int:
        """Frames that want a reply and had none."""
        return self.sent - self.answered

    @property
    def is_fine(self) -> bool:
        """Whether every frame got the reply that it should."""
        return self.sent == self.answered and not self.wrong

    def latencies(self) -> dict[str, float]:
        """Return below which time in seconds so many percent of all replies came."""
        ordered = sorted(self._latencies)
        if not ordered:
            return {}
        last = len(ordered) - 1
        found = {f"{p} %": ordered[min(len(ordered) * p // 100, last)] for p in PERCENTILES}
        return {**found, "longest": self._longest}

    def to_json(self) -> dict[str, Any]:
        """Return the summary as plain JSON, times in seconds."""
        return {
            "type": "summary",
            "sent": self.sent,
            "answered": self.answered,
            "unanswered": self.unanswered,
            "latency": {name.replace(" ", ""): time for name, time in self.latencies().items()},
            "wrong": dict(self.wrong),
        }

    def say(self) -> None:
        """Print the summary on standard error."""
        text = f"sent {self.sent:,}, answered {self.answered:,}, unanswered {self.unanswered:,}"
        shown = [f"{name} {time * 1000:.2f}" for name, time in self.latencies().items()]
        if shown:
            text += f"; latency in ms: {', '.join(shown)}"
        click.echo(text, err=True)
        for label, texts in (("noted", self.noted), ("wrong", self.wrong)):
            for what, count in texts.most_common(_KINDS_SHOWN):
                times = f" ({count:,} times)" if count > 1 else ""
                click.echo(f"{label}: {printable(what)}{times}", err=True)
