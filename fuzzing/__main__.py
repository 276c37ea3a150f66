"""Try streams on both codecs for some seconds, count, and show the first that breaks something.

Deterministic: the same seed tries the same cases in the same order; `--case` tries one again.
"""

import argparse
import signal
import sys
import traceback
from pathlib import Path
from resource import RUSAGE_SELF, getpagesize, getrusage
from time import monotonic
from types import FrameType

from fuzzing.checks import BrokenError, check
from fuzzing.inputs import Case, Family, Inputs, load
from fuzzing.reduce import smaller

SLOWEST = 5.0
"""Seconds of computing that one case may take, in all the ways it is tried."""
WARM_UP = 2000
"""Cases before memory is looked at: until then caches fill."""
MOST_GROWTH = 16.0
"""MiB by which memory may grow after that."""


class TooSlowError(Exception):
    """A case takes too long."""


def _too_slow(_signal: int, _frame: FrameType | None) -> None:
    raise TooSlowError(f"more than {SLOWEST:g} s of computing")


def try_case(case: Case, families: list[Family]) -> int:
    """Try a case within the time that it has; return how many frames it held."""
    signal.setitimer(signal.ITIMER_PROF, SLOWEST)
    try:
        return check(case, families)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def memory() -> float:
    """Return the resident memory in MiB (where the system does not tell it, the greatest)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return getrusage(RUSAGE_SELF).ru_maxrss / 1024
    return pages * getpagesize() / 2**20


def show_failure(case: Case, number: int, seed: str, families: list[Family]) -> None:
    """Print the failing case as small as it can be made, and how to try it again."""

    def failure(candidate: Case) -> BaseException | None:
        try:
            try_case(candidate, families)
        except Exception as error:  # noqa: BLE001 - any is a fault
            return error
        return None

    def alike(candidate: Case) -> bool:
        error = failure(candidate)
        return type(error) is type(first) and (
            not isinstance(error, BrokenError) or str(error) == str(first)
        )

    first = failure(case)
    small = smaller(case, families, alike)
    error = failure(small)
    sys.stderr.write("".join(traceback.format_exception(error, chain=False)))
    sys.stderr.write(f"\ncase {number}, seed {seed}: {type(error).__name__}: {error}\n")
    sys.stderr.write(f"try it again with: scripts/fuzz --seed {seed} --case {number}\n")
    sys.stderr.write(f"cut at {list(small.cuts)}\n" if small.cuts else "")
    sys.stdout.write(small.stream.hex() + "\n")


def run(seconds: float, seed: str, families: list[Family]) -> int:
    """Try cases until the time is over; return the exit code."""
    inputs = Inputs(families, seed)
    begin, slowest, frames, number, size = monotonic(), 0.0, 0, 0, 0
    at_begin = memory()
    while (now := monotonic()) < begin + seconds:
        case = inputs.case(number)
        try:
            frames += try_case(case, families)
        except Exception:  # noqa: BLE001 - any is a fault
            show_failure(case, number, seed, families)
            return 1
        slowest = max(slowest, monotonic() - now)
        size += len(case.stream)
        number += 1
        if number == WARM_UP:
            at_begin = memory()
    took, growth = monotonic() - begin, memory() - at_begin
    sys.stdout.write(
        f"{number} executions in {took:.0f} s, {number / took:.0f}/s, {frames} frames, "
        f"{size / 2**20:.1f} MiB; slowest {slowest * 1000:.0f} ms; "
        f"memory {memory():.0f} MiB, grown by {growth:.1f} MiB; seed {seed}\n"
    )
    if number > WARM_UP and growth > MOST_GROWTH:
        sys.stderr.write(f"memory grew by more than {MOST_GROWTH:g} MiB\n")
        return 1
    return 0


def main() -> int:
    """Run the fuzzer as the command line says."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("seconds", nargs="?", type=float, default=60, help="how long (60)")
    parser.add_argument("--seed", default="1", help="which cases (1)")
    parser.add_argument("--case", type=int, help="try just this one")
    options = parser.parse_args()
    signal.signal(signal.SIGPROF, _too_slow)
    try:
        families = load()
    except FileNotFoundError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if options.case is None:
        return run(options.seconds, options.seed, families)
    case = Inputs(families, options.seed).case(options.case)
    try:
        frames = try_case(case, families)
    except Exception:  # noqa: BLE001 - any is a fault
        show_failure(case, options.case, options.seed, families)
        return 1
    sys.stdout.write(f"{frames} frames in {len(case.stream)} bytes, nothing wrong\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
