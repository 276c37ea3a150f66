"""Columns of values as columns of texts, a few hundredths of a microsecond a cell.

To spell a number takes ten times as long as to look it up, and measured values come again and
again: each column keeps the texts of its last values. Times are put together from texts of their
day, their second of the day and their millisecond.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import repeat
from typing import TYPE_CHECKING, Any

from inverterproto.reading import utc_text

if TYPE_CHECKING:
    from inverterproto.columns import Column

_MOST = 8192
"""Texts that are kept of a column from one page to the next."""
_DAY = 86_400
_NEAR_TIE = 1e-3

Cells = str | Sequence[str]
"""The texts of a column; one where all are the same."""


class Texts(dict[Any, str]):
    """The texts of a column's values.

    Args:
        spell: makes a text of a value.
    """

    def __init__(self, spell: Callable[[Any], str]) -> None:
        super().__init__()
        self._spell = spell

    def __missing__(self, value: Any) -> str:  # noqa: ANN401 - a cell's
        text = self[value] = self._spell(value)
        return text

    def of(self, values: Iterable[Any]) -> Cells:
        """Return the texts of some values."""
        if len(self) > _MOST:
            self.clear()
        texts = list(map(self.__getitem__, values))
        return texts[0] if texts and texts.count(texts[0]) == len(texts) else texts

    def of_column(self, column: "Column") -> Cells:
        """Return the texts of what was measured; nothing where it was not.

        A negative zero is spelled as such, though it equals zero.
        """
        values, there = column
        odd = _negative_zeros(values)
        values = values + 0.0 if odd else values
        same = values.size and (values == values[0]).all()
        texts = self.of(values[:1].tolist() if same else values.tolist())
        if there.all() and not odd:
            return texts
        texts = list(repeat(texts, len(values))) if isinstance(texts, str) else list(texts)
        for row in odd:
            texts[row] = self._spell(-0.0)
        for row in (~there).nonzero()[0].tolist():
            texts[row] = ""
        return texts if any(texts) else ""


def _negative_zeros(values: Any) -> list[int]:  # noqa: ANN401 - an array
    import numpy as np

    if values.dtype != np.float64:
        return []
    found: list[int] = ((values == 0) & np.signbit(values)).nonzero()[0].tolist()
    return found


def joined(cells: Sequence[Cells], between: str, count: int) -> list[str]:
    """Return so many rows of cells, with something between them."""
    pieces: list[Cells] = []
    for cell in cells:
        if pieces and isinstance(cell, str) and isinstance(pieces[-1], str):
            pieces[-1] += between + cell
        else:
            pieces.append(cell)
    if all(isinstance(piece, str) for piece in pieces):
        return [between.join(pieces)] * count  # type: ignore[arg-type]
    columns = (repeat(piece) if isinstance(piece, str) else piece for piece in pieces)
    return list(map(between.join, zip(*columns)))  # noqa: B905 - some repeat for ever


@cache
def _clock() -> tuple[list[str], list[str]]:
    """Return the texts of all seconds of a day, and of all milliseconds of a second."""
    minutes = [f"{hour:02}:{minute:02}" for hour in range(24) for minute in range(60)]
    seconds = [f"T{minute}:{second:02}" for minute in minutes for second in range(60)]
    return seconds, ["Z", *(f".{number:03}Z" for number in range(1, 1000))]


_days = Texts(lambda day: utc_text(day * _DAY)[:10])


def time_texts(times: Sequence[float | None]) -> list[str]:
    """Return times as `utc_text` spells them, and nothing for None."""
    import numpy as np

    if None in times:
        return ["" if time is None else utc_text(time) for time in times]
    scaled = np.array(times, np.float64) * 1000
    if scaled.size and (abs(abs(scaled - np.trunc(scaled)) - 0.5) < _NEAR_TIE).any():
        return [utc_text(time) for time in times]  # type: ignore[arg-type]
    total, milliseconds = np.divmod(np.rint(scaled).astype(np.int64), 1000)
    days, seconds = np.divmod(total, _DAY)
    clock, parts = _clock()
    told = zip(days.tolist(), seconds.tolist(), milliseconds.tolist(), strict=True)
    return [_days[day] + clock[second] + parts[part] for day, second, part in told]
