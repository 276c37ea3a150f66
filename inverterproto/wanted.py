"""What somebody looks for in frames, read from what they wrote: numbers, text, times.

A number as written is rounded: 231.4 means 231.35 to 231.45, so that raw 2314 in tenths fits it
and raw 23138 in hundredths does too. A tolerance may be given instead: `231.4~0.5`, for what was
read off a moment too early or late. Of several values with commas between, each is for one frame,
in order.
"""

import re
from datetime import UTC, datetime
from fractions import Fraction
from typing import NamedTuple

from inverterproto.errors import ProtocolError

MOST_VALUES = 1000
"""Values of one quantity, at most."""
_LONGEST = 200
_SHORTEST_TEXT = 3

_NUMBER = re.compile(
    r"([+\-−]?)([0-9]{1,20})(?:\.([0-9]{1,12}))?(?:[~±]([0-9]{1,12}(?:\.[0-9]{1,12})?))?"
)
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})?"
)


class Interval(NamedTuple):
    """What a number that was written means: every value from low to high."""

    low: Fraction
    high: Fraction

    @property
    def middle(self) -> Fraction:
        """The number itself."""
        return (self.low + self.high) / 2

    @property
    def turned(self) -> "Interval":
        """The interval with the other sign."""
        return Interval(-self.high, -self.low)

    def holds(self, value: object) -> bool:
        """Return whether a value is a number and in it; NaN is not."""
        if isinstance(value, bool) or not isinstance(value, int | float | Fraction):
            return False
        return self.low <= value <= self.high


class Wanted(NamedTuple):
    """What is looked for: one quantity.

    Attributes:
        text: as it was written.
        numbers: one for all frames or one each; empty where it is no number.
        texts: the same as texts; empty where it can be none.
        times: the same as times, without a zone; empty where it is none.
        decimals: how many digits behind the point the numbers have.
    """

    text: str
    numbers: tuple[Interval, ...] = ()
    texts: tuple[str, ...] = ()
    times: tuple[datetime, ...] = ()
    decimals: int = 0

    @property
    def frames(self) -> int:
        """For how many frames there are values; one is for all."""
        return len(self.texts or self.numbers or self.times)


def parse_wanted(text: str) -> Wanted:
    """Return what a text asks for: numbers, texts or times, with commas between several.

    Raises:
        ProtocolError: it asks for nothing that could be found.

    >>> parse_wanted("231.4").numbers
    (Interval(low=Fraction(4627, 20), high=Fraction(4629, 20)),)
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise ProtocolError("a value is missing", expected="VALUE[,VALUE…]", found=repr(text))
    longest = max(map(len, parts))
    if len(parts) > MOST_VALUES or longest > _LONGEST:
        raise ProtocolError(
            "too much to look for",
            expected=f"at most {MOST_VALUES} values of {_LONGEST} characters",
            found=f"{len(parts)} of up to {longest}",
        )
    if all(_TIME.fullmatch(part) for part in parts):
        return Wanted(text, times=tuple(map(_time, parts)))
    found = [_NUMBER.fullmatch(part) for part in parts]
    numbers = [number for number in found if number is not None]
    if len(numbers) == len(parts):
        digits = all(part.isdecimal() and len(part) > _SHORTEST_TEXT for part in parts)
        return Wanted(
            text,
            numbers=tuple(map(_interval, numbers)),
            texts=tuple(parts) if digits else (),
            decimals=max(len(number[3] or "") for number in numbers),
        )
    if min(map(len, parts)) < _SHORTEST_TEXT:
        expected = f"numbers, times, or text of {_SHORTEST_TEXT} characters or more"
        raise ProtocolError("too short to be found", expected=expected, found=repr(text))
    return Wanted(text, texts=tuple(parts))


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
        return time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError) as error:
        raise ProtocolError("no such time", expected="a date and time", found=text) from error


def _interval(number: re.Match[str]) -> Interval:
    sign, whole, decimals, tolerance = number.groups()
    decimals = decimals or ""
    value = Fraction(int(whole + decimals), 10 ** len(decimals))
    half = Fraction(1, 2 * 10 ** len(decimals)) if tolerance is None else Fraction(tolerance)
    most = max(value, Fraction(1))
    if tolerance is not None and half >= most:
        # It would fit everything.
        raise ProtocolError(
            "too wide a tolerance", expected=f"less than {float(most):g}", found=tolerance
        )
    if sign in ("-", "−"):
        value = -value
    return Interval(value - half, value + half)
