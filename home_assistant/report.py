"""What was checked, told a line a check."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic

_MOST_SHOWN = 8
_EVERY = 0.5
_HUNG = 120.0

Problems = Sequence[str]


class Report:
    """Tells what was checked, and counts.

    Attributes:
        right: how many checks found nothing wrong.
        wrong: the others, by what they are of.
    """

    def __init__(self) -> None:
        self.right = 0
        self.wrong: list[str] = []
        self._begin = monotonic()

    def say(self, text: str) -> None:
        """Tell what is being done."""
        sys.stdout.write(f"{monotonic() - self._begin:6.1f} s  {text}\n")
        sys.stdout.flush()

    def check(self, what: str, problems: Problems) -> None:
        """Tell what came of a check."""
        if not problems:
            self.right += 1
            self.say(f"right  {what}")
            return
        self.wrong.append(what)
        self.say(f"WRONG  {what}")
        for problem in problems[:_MOST_SHOWN]:
            sys.stdout.write(f"              {problem}\n")
        if len(problems) > _MOST_SHOWN:
            sys.stdout.write(f"              and {len(problems) - _MOST_SHOWN} more\n")

    async def eventually(
        self, what: str, look: Callable[[], Awaitable[Problems]], seconds: float
    ) -> None:
        """Check something until nothing is wrong with it, or its time is over."""
        end = monotonic() + seconds
        problems: Problems = ()
        while True:
            try:
                async with asyncio.timeout(_HUNG):
                    problems = await look()
            except (OSError, LookupError) as error:  # who is asked is away, or does not know yet
                problems = [f"{type(error).__name__}: {error}"]
            if not problems or monotonic() >= end:
                break
            await asyncio.sleep(_EVERY)
        self.check(what, problems)
