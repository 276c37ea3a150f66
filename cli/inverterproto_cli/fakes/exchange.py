"""What a test bench measures: frames sent, replies awaited, how long they took."""

from collections import Counter

import click

from inverterproto_cli.show import printable

_MOST = 100_000
"""Latencies that are remembered; of more, every second one is forgotten again and again."""

_KINDS = 1000
"""Things that are told apart, of all that can be wrong: a server may have many."""


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
        self._every = 1

    def reply(self, seconds: float) -> None:
        """Count a reply that came after some seconds."""
        self.answered += 1
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

    def percentile(self, percent: float) -> float:
        """Return the latency in seconds below which so many percent of all were."""
        ordered = sorted(self._latencies)
        return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)]

    @property
    def is_fine(self) -> bool:
        """Whether every frame got the reply that it should."""
        return self.sent == self.answered and not self.wrong

    def say(self) -> None:
        """Print the summary on standard error."""
        missing = self.sent - self.answered
        text = f"sent {self.sent:,}, answered {self.answered:,}, unanswered {missing:,}"
        if self._latencies:
            shown = (
                f"{percent:g} % {self.percentile(percent) * 1000:.2f}"
                for percent in (50, 90, 99, 100)
            )
            text += f"; latency in ms: {', '.join(shown)}"
        click.echo(text, err=True)
        for label, texts in (("noted", self.noted), ("wrong", self.wrong)):
            for what, count in texts.most_common(20):
                often = f" ({count:,} times)" if count > 1 else ""
                click.echo(f"{label}: {printable(what)}{often}", err=True)
