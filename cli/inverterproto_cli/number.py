"""Numbers on the command line: in a range, and finite."""

from math import isfinite
from typing import Any

import click


class Number(click.FloatRange):
    """A number in a range. What is no number (`nan`) fails no comparison, and ends no waiting."""

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's signature
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        """Return the number.

        Raises:
            click.BadParameter: it is none, is out of the range, or is not finite.
        """
        number: float = super().convert(value, param, ctx)
        if not isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number
