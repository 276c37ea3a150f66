"""What a soak prints while it goes on and in the end: a line is what it is about, and a text."""

import sys
from collections.abc import Mapping

from soaking.server import Figures


def say(what: str, text: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{what}: {text}\n")
    sys.stdout.flush()


def held(figures: Figures) -> str:
    """Return what a process holds, for people."""
    return f"{figures.descriptors} descriptors, {figures.threads} threads, {figures.memory:.1f} MiB"


def counted(counts: Mapping[str, int]) -> str:
    """Return counts with their names."""
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())) or "none"


def some(what: str, each: list[str], most: int = 5) -> list[str]:
    """Return how many there are of something that must not be, and some of them."""
    return [f"{len(each):,} × {what}: {', '.join(each[:most])}"] if each else []
