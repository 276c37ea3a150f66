"""What `layout check` says of a layout, for people and for machines.

What fields marked as private hold is not shown: people post what such a command says.
"""

from typing import Any

import click

from inverterproto.field import Field
from inverterproto.layout_toml import span
from inverterproto_cli.columns import print_columns
from inverterproto_cli.evidence import Evidence, Seen
from inverterproto_cli.layout_files import sensor_type_of
from inverterproto_cli.show import printable
from inverterproto_cli.summary import count_of


def verdict(evidence: Evidence, wrong: list[str]) -> dict[str, Any]:
    """Return the verdict for machines."""
    return {
        "layout": evidence.layout.name,
        "sensor_type": evidence.layout.sensor_type,
        "frames": evidence.frames,
        "lengths": sorted(evidence.lengths),
        "fields": [
            {
                "name": seen.field.name,
                "values": seen.values,
                "none": seen.none,
                "lowest": None if seen.field.private else _plain(seen.lowest),
                "highest": None if seen.field.private else _plain(seen.highest),
            }
            for seen in evidence.seen.values()
        ],
        "gaps": [
            {"offset": gap.start, "size": gap.end - gap.start, "holds": gap.holds}
            for gap in evidence.gaps()
        ],
        "wrong": wrong,
    }


def print_verdict(evidence: Evidence, wrong: list[str]) -> None:
    """Write the verdict for people to standard output."""
    layout = evidence.layout
    click.echo(f"layout {layout.name}, sensor type {sensor_type_of(layout)}: {frames_in(evidence)}")
    if evidence.frames:
        click.echo()
        rows = ((f"{s.field.offset:6}", s.field.name, *_said(s)) for s in evidence.seen.values())
        print_columns(("offset", "field", "lowest", "highest", "unit"), rows)
    if absent := list(evidence.absent()):
        click.echo(f"\nno reading in any frame: {', '.join(absent)}")
    if gaps := list(evidence.gaps()):
        size = sum(gap.end - gap.start for gap in gaps)
        click.echo(f"\nnot named ({size:,} bytes)")
        for gap in gaps:
            click.echo(f"  {span(gap.start, gap.end)}: {gap.words}")
    click.echo("\nwrong" if wrong else "\nnothing wrong")
    for line in wrong:
        click.echo(f"  {printable(line)}")


def _said(seen: Seen) -> tuple[str, ...]:
    if seen.field.private:
        return "(private)", "", ""
    if not seen.values:
        return "none", "", ""
    lowest, highest = (_as_text(seen.field, value) for value in (seen.lowest, seen.highest))
    return lowest, "" if lowest == highest else highest, seen.field.symbol


def _as_text(field: Field, value: Any) -> str:  # noqa: ANN401 - any field's
    if field.hexadecimal and isinstance(value, int):
        return f"{value:#0{2 + 2 * field.size}x}"
    return printable(str(_plain(value)))


def _plain(value: Any) -> Any:  # noqa: ANN401 - any field's
    return value.hex() if isinstance(value, bytes) else value


def frames_in(evidence: Evidence) -> str:
    """Return in words how many frames there were."""
    lengths = " and ".join(f"{length:,}" for length in sorted(evidence.lengths)[:8])
    of = f", {lengths} bytes of payload" if lengths else ""
    return f"{count_of(evidence.frames, 'frame')}{of}"
