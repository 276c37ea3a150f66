"""Columns of values as columns of texts, a few hundredths of a microsecond a cell.

To spell a number takes ten times as long as to look it up, and measured values come again and
again: each column keeps the texts of its last values. Times are put together from texts of their
day, minute, second and millisecond.
"""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import repeat
from typing import TYPE_CHECKING, Any

from inverterproto.reading import utc_text

if TYPE_CHECKING:
    from inverterproto.columns import Column

_MOST = 8192
"""Texts that are kept of a column from one page to the next."""
_WORTH = 4
"""So often each of them must be asked for."""
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
        self._asked = 0
        self._ever_new = False

    def __missing__(self, value: Any) -> str:  # noqa: ANN401 - a cell's
        text = self[value] = self._spell(value)
        return text

    def of(self, values: Sequence[Any]) -> Cells:
        """Return the texts of some values, of which the most may be the same."""
        same = bool(values) and values.count(values[0]) == len(values)
        return self[values[0]] if same else self._each(values)

    def _each(self, values: Sequence[Any]) -> list[str]:
        """Return the text of each value."""
        if len(self) > _MOST:
            # Where hardly any comes again, looking for it takes longer than to spell it.
            self._ever_new = self._asked < _WORTH * len(self)
            self._asked = 0
            self.clear()
        if self._ever_new:
            return list(map(self._spell, values))
        self._asked += len(values)
        return list(map(self.__getitem__, values))

    def of_column(self, column: "Column") -> Cells:
        """Return the texts of what was measured; nothing where it was not.

        A negative zero is spelled as such, though it equals zero.
        """
        values, there = column
        odd = _negative_zeros(values)
        values = values + 0.0 if odd else values
        same = values.size and (values == values[0]).all()
        texts: Cells = self[values[:1].tolist()[0]] if same else self._each(values.tolist())
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


_MINUTES = [f"T{hour:02}:{minute:02}:" for hour in range(24) for minute in range(60)]
_SECONDS = [f"{second:02}" for second in range(60)]


@cache
def _parts() -> list[str]:
    """Return the ends of times by their millisecond."""
    return ["Z", *(f".{number:03}Z" for number in range(1, 1000))]


_days = Texts(lambda day: utc_text(day * _DAY)[:10])


def time_texts(times: Sequence[float | None]) -> list[str]:
    """Return times as `utc_text` spells them, and nothing for None."""
    known = [time for time in times if time is not None]
    if len(known) < len(times):
        return ["" if time is None else utc_text(time) for time in times]
    return _time_texts(known)


def _time_texts(times: Sequence[float]) -> list[str]:
    import numpy as np

    scaled = np.array(times, np.float64) * 1000
    total, milliseconds = np.divmod(np.rint(scaled).astype(np.int64), 1000)
    days, seconds = np.divmod(total, _DAY)
    minutes, seconds = np.divmod(seconds, 60)
    parts = _parts()
    told = zip(*(each.tolist() for each in (days, minutes, seconds, milliseconds)), strict=True)
    texts = [
        f"{_days[day]}{_MINUTES[minute]}{_SECONDS[second]}{parts[part]}"
        for day, minute, second, part in told
    ]
    # Where the product may have come to stand on the other side of a half.
    near = np.abs(np.abs(scaled - np.trunc(scaled)) - 0.5) < _NEAR_TIE
    for row in near.nonzero()[0].tolist():
        texts[row] = utc_text(times[row])
    return texts
