"""`inverterproto layout`: layouts listed, shown, written to files, and held against real frames.

A layout is named by its sensor type (`0x5408`), its name (`micro_inverter`), or the TOML file that
it stands in. What each command writes goes to standard output, complaints to standard error.
"""

import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from inverterproto_cli.columns import print_columns
from inverterproto_cli.layout_files import (
    LayoutFileError,
    read_layout,
    sensor_type_of,
    takes_layouts,
)

if TYPE_CHECKING:
    from inverterproto.field import Field
    from inverterproto.layout import Layout
    from inverterproto_cli.evidence import Evidence, Payload

_AS_JSON = click.option(
    "--json", "as_json", is_flag=True, envvar="INVERTERPROTO_JSON", help="JSON instead of a table."
)
_OUTPUT = click.option(
    "-o",
    "--output",
    metavar="OUT",
    default="-",
    help="Where to.  [default: standard output]",
)
_SOME = 8
_FORCE = click.option("--force", is_flag=True, help="Write over a file that is there.")


@click.group("layout")
def command() -> None:
    """Show what each byte of a data payload means, and bring new layouts.

    A layout is named by its sensor type (0x5408), its name (micro_inverter), or its TOML file.
    """


# list


@command.command("list")
@_AS_JSON
@takes_layouts
def list_command(as_json: bool) -> None:  # noqa: FBT001 - click's way to hand over an option
    """List the layouts that there are."""
    from inverterproto.deye.layouts import layout_of, sensor_types

    layouts = [layout for layout in map(layout_of, sensor_types()) if layout is not None]
    if as_json:
        for layout in layouts:
            click.echo(_as_json({**_about(layout), "fields": _known(layout)}))
        return
    head = ("sensor type", "name", "fields", "checked", "source", "device")
    rows = (
        (
            sensor_type_of(layout),
            layout.name,
            str(_known(layout)),
            "yes" if layout.checked else "no",
            layout.source,
            layout.title,
        )
        for layout in layouts
    )
    print_columns(head, rows)


# show


@command.command("show")
@click.argument("what", metavar="0xTYPE|NAME|FILE")
@_AS_JSON
@takes_layouts
def show_command(what: str, as_json: bool) -> None:  # noqa: FBT001
    """Show the fields of a layout."""
    layout = _find(what)
    if as_json:
        shown = {**_about(layout), "size": layout.size, "fields": list(_entries(layout))}
        click.echo(_as_json(shown))
        return
    checked = "checked on real bytes" if layout.checked else "not checked on real bytes"
    source = f"; sources: {layout.source}" if layout.source else ""
    click.echo(f"{layout.name}: {layout.title}")
    click.echo(f"sensor type {sensor_type_of(layout)}, {layout.size} bytes, {checked}{source}")
    for counts, name in (("PV inputs", layout.trackers), ("phases", layout.phases)):
        if name is not None:
            click.echo(f"{counts} are counted by {name}")
    click.echo()
    head = ("offset", "type", "field", "value", "unit", "quantity", "conf.", "source", "remarks")
    print_columns(head, map(_cells, layout.fields))


def _cells(field: "Field") -> tuple[str, ...]:
    private = f"private: {field.private}" if field.private else ""
    return (
        f"{field.offset:6}",
        field.type_name,
        field.name,
        field.formula,
        field.symbol,
        ("−" if field.turned else "") + (field.quantity or ""),
        field.confidence if field.known else "–",
        field.source,
        "; ".join(filter(None, (private, field.meaning))),
    )


def _entries(layout: "Layout") -> Iterator[dict[str, Any]]:
    from inverterproto.layout_toml import entries

    for field in layout.fields:
        own = {**entries(field), "name": field.name, "unit": field.symbol or None}
        yield {"offset": field.offset, "size": field.size, **own}


# export, new


@command.command("export")
@click.argument("what", metavar="0xTYPE|NAME|FILE")
@_OUTPUT
@_FORCE
@takes_layouts
def export_command(what: str, output: str, force: bool) -> None:  # noqa: FBT001
    """Write a layout as TOML, for `--layout` or to begin another with."""
    from inverterproto.deye.layouts import layout_to_toml

    _write(_OPENING + layout_to_toml(_find(what)), output, force=force)


_OPENING = """\
# A layout for `inverterproto --layout FILE`: what each byte of a data payload means.
# The head of the payload, bytes 0 to 20, is the same in all of them and stands in none.

"""

_EXAMPLE = """
# Name what you know, like this, and take the comments away that are no longer true:
#
# [[field]]
# offset = 37
# type = "u16be"
# scale = "1/10"
# quantity = "grid_voltage_l1"
# confidence = "C"
# source = "the display showed 231.4 V"
"""


@command.command("new")
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@click.option("--sensor-type", metavar="0xTYPE", help="Where the captures hold several.")
@_OUTPUT
@_FORCE
def new_command(
    captures: tuple[str, ...],
    sensor_type: str | None,
    output: str,
    force: bool,  # noqa: FBT001
) -> None:
    """Begin a layout for a sensor type that is not known, from its frames.

    Takes what `decode` takes. What the bytes hold stands in comments, without texts: they may be
    serials.
    """
    from inverterproto.deye.layouts import layout_to_toml
    from inverterproto.layout_toml import span
    from inverterproto_cli.verdict import frames_in

    evidence = _unnamed(captures, None if sensor_type is None else _number(sensor_type))
    gaps = (f"# {span(gap.start, gap.end)}: {gap.words}" for gap in evidence.gaps())
    seen = f"\n# In {frames_in(evidence)}:\n" + "\n".join(gaps) + "\n"
    _write(_OPENING + layout_to_toml(evidence.layout) + _EXAMPLE + seen, output, force=force)


def _unnamed(captures: Sequence[str], wanted: int | None) -> "Evidence":
    """Return what the frames of some sensor type say, or of the only one that is not known."""
    from inverterproto.deye.layouts import layout_of
    from inverterproto.deye.layouts.head import DATA_HEAD
    from inverterproto.layout import Layout
    from inverterproto_cli.evidence import Evidence

    evidence: Evidence | None = None
    found: set[int] = set()
    for payload in _payloads(captures):
        number = payload.sensor_type
        if number != wanted and (wanted is not None or layout_of(number) is not None):
            continue
        found.add(number)
        if evidence is None:
            name = f"new_{number:04x}"
            evidence = Evidence(Layout(name, "?", DATA_HEAD, sensor_type=number, checked=False))
        if number == evidence.layout.sensor_type:
            evidence.add(payload)
    if evidence is None:
        which = "of an unknown sensor type" if wanted is None else f"of sensor type {wanted:#06x}"
        raise click.ClickException(f"no data frame {which} found")
    if len(found) > 1:
        raise click.UsageError(f"--sensor-type is one of {_some(found)}")
    return evidence


def _some(sensor_types: Iterable[int]) -> str:
    """Return sensor types in words, as many as a reader can take in."""
    numbers = sorted(sensor_types)
    more = f" and {len(numbers) - _SOME} more" if len(numbers) > _SOME else ""
    return ", ".join(f"{number:#06x}" for number in numbers[:_SOME]) + more


def _write(text: str, output: str, *, force: bool) -> None:
    if output == "-":
        click.echo(text, nl=False)
        return
    try:
        with open(output, "w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise click.UsageError(f"{output} is there already (--force writes over it)") from error
    except OSError as error:
        raise click.ClickException(f"{output}: {error.strerror}") from error


# check


@command.command("check")
@click.argument("what", metavar="FILE|0xTYPE|NAME")
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@_AS_JSON
def check_command(what: str, captures: tuple[str, ...], as_json: bool) -> None:  # noqa: FBT001
    """Hold a layout against real frames: what fits, what does not, what is not named.

    Takes frames wherever `decode` does. The exit code is 1 where something is wrong: the layout
    itself, a value that is physically impossible, a field that no payload reaches. That bytes are
    not named is told, and is not wrong.
    """
    from inverterproto_cli.evidence import Evidence
    from inverterproto_cli.verdict import print_verdict, verdict

    layout = _find(what, click.ClickException)
    evidence = Evidence(layout)
    others: set[int] = set()
    for payload in _payloads(captures):
        if payload.sensor_type == layout.sensor_type:
            evidence.add(payload)
        else:
            others.add(payload.sensor_type)
    wrong = list(evidence.wrong())
    if not evidence.frames:
        found = _some(others) or "none"
        wrong.append(f"no data frame of sensor type {sensor_type_of(layout)}; there are: {found}")
    if as_json:
        click.echo(_as_json(verdict(evidence, wrong)))
    else:
        print_verdict(evidence, wrong)
    if wrong:
        sys.exit(1)


# What they share


def _find(what: str, failure: type[click.ClickException] = click.UsageError) -> "Layout":
    """Return the layout that is named; a file that holds none is a `failure`."""
    from inverterproto.deye.layouts import layout_of, sensor_types

    layouts = [layout for layout in map(layout_of, sensor_types()) if layout is not None]
    number = _number(what) if re.match("0[xX]", what) else None
    for layout in layouts:
        if what == layout.name or number == layout.sensor_type:
            return layout
    if number is not None:
        raise click.UsageError(f"{what}: no layout is known for this sensor type")
    try:
        return read_layout(what)
    except LayoutFileError as error:
        problems = [f"  {line}" for line in error.problems]
        if re.fullmatch("[0-9A-Fa-f]{4}", what) and not os.path.exists(what):
            problems = [f"  {what}: no such file; did you mean 0x{what}?"]
        raise failure("\n".join(["no layout:", *problems])) from error


def _as_json(shown: dict[str, Any]) -> str:
    import json

    return json.dumps(shown, ensure_ascii=False)


def _number(text: str) -> int:
    try:
        number = int(text, 0)
    except ValueError:
        number = -1
    if 0 <= number <= 0xFFFF:
        return number
    raise click.UsageError(f"{text}: expected a sensor type from 0x0000 to 0xFFFF")


def _payloads(captures: Sequence[str]) -> "Iterator[Payload]":
    from inverterproto_cli.chunk import SourceError
    from inverterproto_cli.evidence import payloads
    from inverterproto_cli.show import printable
    from inverterproto_cli.sources import Listener, find_sources
    from inverterproto_cli.stop import STOP

    def complain(complaint: str) -> None:
        click.echo(printable(complaint), err=True)

    try:
        with STOP:
            yield from payloads(find_sources(tuple(captures)), Listener(complain=complain))
    except SourceError as error:
        raise click.ClickException(printable(str(error))) from error


def _about(layout: "Layout") -> dict[str, Any]:
    from inverterproto.layout_toml import about_entries

    return about_entries(layout)


def _known(layout: "Layout") -> int:
    return sum(field.known for field in layout.fields)
