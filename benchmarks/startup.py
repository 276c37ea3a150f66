"""Starting the command, beside a Python that does nothing but import click."""

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from benchmarks.frames import micro_inverter
from benchmarks.measure import Effort, Goal, Line, at_most

TITLE = "Start-up, as whole processes"

CLICK = "python -c 'import click'"
HELP = "ours: inverterproto --help"
DECODE = "ours: inverterproto decode, one frame to a pipe"

_CLI = Path(__file__).parent.parent / "cli"


def inverterproto() -> tuple[list[str], dict[str, str]]:
    """Return the command line of our command, and the environment that it needs."""
    # Installing compiles all modules; a checkout is compiled by its first run, if it may be.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    installed = Path(sys.executable).with_name("inverterproto")
    if installed.exists():
        return [str(installed)], environment
    path = os.pathsep.join([str(_CLI), str(_CLI.parent)])
    main = "from inverterproto_cli.main import main; main()"
    return [sys.executable, "-c", main], {**environment, "PYTHONPATH": path}


def run(effort: Effort) -> Iterator[Line]:
    """Yield the lines of this group."""
    command, environment = inverterproto()
    commands = {
        CLICK: [sys.executable, "-c", "import click"],
        HELP: [*command, "--help"],
        DECODE: [*command, "decode", micro_inverter().hex()],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(effort.starts + 1):
        for name, arguments in commands.items():
            taken = _start(arguments, environment)
            if turn:  # the first only warms the file cache
                seconds[name].append(taken)
    yield Line(CLICK, statistics.median(seconds[CLICK]) * 1e3, "ms")
    for name, goal in ((HELP, at_most(1.3)), (DECODE, at_most(2.5))):
        yield _line(name, seconds[name], seconds[CLICK], goal)


def _line(name: str, ours: list[float], other: list[float], goal: Goal) -> Line:
    ratio = statistics.median(one / another for one, another in zip(ours, other, strict=True))
    return Line(name, statistics.median(ours) * 1e3, "ms", ratio, goal)


def _start(arguments: list[str], environment: dict[str, str]) -> float:
    """Return the seconds that a command takes; complain if it fails."""
    begin = perf_counter()
    subprocess.run(arguments, env=environment, check=True, capture_output=True)
    return perf_counter() - begin
