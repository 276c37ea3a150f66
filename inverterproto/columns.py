"""Many payloads of one layout and length at once: their fields as columns of numbers.

Theory of operation
-------------------
Payloads of one length, laid one below the other, are a table of bytes, and each field stands in the
same place of every row. A `numpy` structured type, derived from the layout's declaration as the
plan is (see `plan.py`), takes all rows of a field at once; scale, bias and the raw values that mean
"no reading" are then a few operations on whole columns: a hundredth of what a row costs by itself.

The values are those of the plan to the last digit: integers stay integers, and a quotient of two
integers that a double holds exactly is rounded alike by both. A property test holds the two to the
same result. Fields that are bytes with a meaning of their own (texts, clocks) have no columns.

`numpy` is an extra of this distribution, and imported when the first columns are asked for.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from inverterproto.field import Field
from inverterproto.octets import Octets

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Numbers = NDArray[Any]
    Rows = NDArray[np.bool_]

_WIDEST = 4
"""Bytes of a raw integer: with them all that is computed stays exact."""
_NEAR_TIE = 1e-3


class Column(NamedTuple):
    """A field, or a quantity, of many payloads.

    Attributes:
        values: one a row: integers, floats, or texts; of any value in rows that have none.
        there: the rows that have one.
    """

    values: "Numbers"
    there: "Rows"

    def of_objects(self) -> "Column":
        """Return it with values of Python's own, each of its own type."""
        return self._replace(values=self.values.astype(object))


def has_column(field: Field) -> bool:
    """Return whether a field's values are numbers that columns can hold."""
    return not isinstance(field.type, Octets) and field.size <= _WIDEST


def table_of(payloads: Sequence[bytes]) -> "Bytes":
    """Return payloads of one length as the rows of a table of bytes."""
    import numpy as np

    joined = np.frombuffer(b"".join(payloads), np.uint8)
    return joined.reshape(len(payloads), -1)


def raw_columns(table: "Bytes", fields: Sequence[Field], start: int = 0) -> "list[Numbers]":
    """Return the raw integers of some fields, one array each.

    Args:
        table: bytes, a payload a row.
        fields: such as have columns, and end within the payload.
        start: where in a row the payload begins.
    """
    import numpy as np

    places = {
        "names": [field.name for field in fields],
        "formats": [_format(field) for field in fields],
        "offsets": [start + field.offset for field in fields],
        "itemsize": table.shape[1],
    }
    rows = np.ascontiguousarray(table).view(np.dtype(places))[:, 0]  # type: ignore[call-overload]
    return [rows[field.name].astype(np.int64) for field in fields]


def _format(field: Field) -> str:
    """Return a field's type as numpy writes it; the letters of `struct` mean other sizes there."""
    return f"{field.order or '<'}{'u' if field.code.isupper() else 'i'}{field.size}"


def column_of(field: Field, raw: "Numbers") -> Column:
    """Return a field's values, in engineering units, of its raw integers."""
    import numpy as np

    there = np.ones(len(raw), np.bool_)
    for absent in field.absent:
        there &= raw != absent
    numerator, denominator = field.ratio
    values = (raw - field.bias) * numerator
    return Column(values if denominator == 1 else values / denominator, there)


def rounded(values: "Numbers", digits: int) -> "Numbers":
    """Return floats rounded as `round` rounds them; integers stay as they are.

    To multiply, round to an integer and divide gives the same, but where the product may have come
    to stand on the other side of a half: these few are left to `round` itself.
    """
    import numpy as np

    if values.dtype != np.float64:
        return values
    scale = 10.0**digits
    scaled = values * scale
    found: Numbers = np.rint(scaled) / scale
    near = np.abs(np.abs(scaled - np.trunc(scaled)) - 0.5) < _NEAR_TIE
    for row in np.flatnonzero(near):
        found[row] = round(float(values[row]), digits)
    return found
