"""`python -m benchmarks`: see the package's docstring for the method."""

import platform
import sys
from importlib import import_module
from importlib.util import find_spec

import click

from benchmarks import table
from benchmarks.measure import FULL, QUICK, Line, one_core

GROUPS = {
    "micro-inverter": "micro_inverter",
    "alphaess": "alphaess",
    "framing": "framing",
    "checksums": "checksums",
    "start-up": "startup",
    "bulk": "bulk",
    "redaction": "redact",
    "logs": "logs",
    "server": "server",
    "store": "store",
    "export": "export",
    "connections": "connections",
    "relay": "relay",
    "sinks": "sinks",
    "mqtt": "mqtt",
}
"""Every group of rows and its module, which has a TITLE and a `run`."""

_PEERS = ("construct", "crccheck", "fastcrc", "kaitaistruct", "pysolarmanv5")


@click.command()
@click.argument("groups", nargs=-1, type=click.Choice(list(GROUPS)), metavar="[GROUP]...")
@click.option("--quick", is_flag=True, help="Take less time, and be less exact.")
@click.option("--check", is_flag=True, help="Exit with 1 where a goal is missed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(groups: tuple[str, ...], quick: bool, check: bool, as_json: bool) -> None:  # noqa: FBT001
    """Measure what the library costs, beside what else one could have used."""
    missing = [name for name in _PEERS if find_spec(name) is None]
    if missing:
        wanted = ", ".join(missing)
        raise click.ClickException(f"not installed: {wanted} (pip install 'inverterproto[bench]')")
    if not as_json:
        click.echo(f"Python {platform.python_version()} on {platform.machine()}, one core")
    missed = 0
    with one_core():
        for name in groups or GROUPS:
            if sys.stderr.isatty():
                click.echo(f"… {name}", err=True)
            module = import_module(f"benchmarks.{GROUPS[name]}")
            lines: list[Line] = list(module.run(QUICK if quick else FULL))
            missed += sum(line.met is False for line in lines)
            if as_json:
                click.echo("\n".join(table.json_line(name, line) for line in lines))
            else:
                click.echo(f"\n{table.text(module.TITLE, lines)}")
    if not as_json:
        click.echo(f"\n{missed or 'no'} {'goal' if missed == 1 else 'goals'} missed")
    if check and missed:
        sys.exit(1)


if __name__ == "__main__":
    command(prog_name="python -m benchmarks")
