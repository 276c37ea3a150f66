"""Whether work grows with its input as it should."""

from collections.abc import Callable

TRIES = 6


def is_linear(spent: Callable[[int], float], size: int) -> bool:
    """Return whether sixteen times the input takes much less than 256 times the time.

    Times are compared with times of the same run, so the machine does not matter; and what is
    quadratic shows it in every try, whatever else the machine does.

    Args:
        spent: does the work with an input of so many bytes; returns processor seconds.
        size: of the smaller input, in bytes.
    """
    return any(spent(16 * size) < 64 * max(spent(size), 0.001) for _ in range(TRIES))
