"""`inverterproto unknown`: what devices said that nobody understands, with its bytes.

What the proxy held of the cloud's is shown, too.

Counted by what it is, or each by itself, or as a capture that `decode`, `layout new` and `sanitize`
take: this is how protocols get understood.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from time import time
from typing import TYPE_CHECKING

import click

from inverterproto_cli.columns import WIDTH, print_columns, terminal_width
from inverterproto_cli.looking import path_of, reading, store_option

if TYPE_CHECKING:
    from inverterproto_cli.local_time import LocalTimes
    from inverterproto_cli.store.reader import Kept

MOST_GROUPS = 100
"""Groups that are shown: who sends junk makes ever new ones."""
_HELD = "held"
"""The kind of what the cloud sent and a gate let not pass."""
_BLOCK = 200
_HEX = 12


@click.command("unknown")
@store_option
@click.option(
    "--device",
    metavar="SERIAL",
    envvar="INVERTERPROTO_SHOW_DEVICE",
    help="Only what this one sent.",
)
@click.option(
    "--since",
    metavar="TIME",
    envvar="INVERTERPROTO_SINCE",
    help="Only what came since: 2h, 3d, 2024-04-08T17:14.",
)
@click.option(
    "--each", is_flag=True, envvar="INVERTERPROTO_EACH", help="A line each, the newest first."
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    envvar="INVERTERPROTO_JSON",
    help="A JSON object each, with all bytes: a capture, for decode and layout.",
)
def command(
    store_path: str | None,
    device: str | None,
    since: str | None,
    each: bool,  # noqa: FBT001 - click's way to hand over an option
    as_json: bool,  # noqa: FBT001
) -> None:
    """Show what devices said that nobody understands.

    \b
    inverterproto unknown
    inverterproto unknown --json > unknown.jsonl
    inverterproto decode --guess unknown.jsonl
    """  # noqa: D301 - \b is meant: click keeps the lines below it as they are
    from inverterproto_cli.local_time import LocalTimes, parse_since

    now = time()
    oldest = None if since is None else parse_since(since, now)
    path = path_of(store_path)
    with reading(path) as reader:
        wanted = _wanted(reader.unknown(), device, oldest)
        if as_json:
            for kept in wanted:
                sys.stdout.write(json.dumps(_capture_entry(kept)) + "\n")
            return
        show: Callable[[Iterable[Kept], LocalTimes], bool] = _show_each if each else _show_groups
        if not show(wanted, LocalTimes(now)):
            click.echo("nothing that is not understood", err=True)


def _wanted(every: Iterable["Kept"], device: str | None, since: float | None) -> Iterator["Kept"]:
    for kept in every:
        if since is not None and kept.last < since:
            continue
        if device is None or device in (kept.device, kept.via):
            yield kept


def _capture_entry(kept: "Kept") -> dict[str, object]:
    """Return a record as a line of a capture, with what the store knows beside it."""
    return {
        "at": kept.arrival,
        "connection": kept.via or kept.device or "unknown",
        "from": kept.sender,
        "data": kept.frame.hex(),
        "family": kept.family,
        "kind": kept.kind,
        "detail": _detail(kept),
        "device": kept.device,
        "via": kept.via,
        "held": kept.kind == _HELD,
        "masked": bool(kept.masked),
        "repeated": kept.repeated,
        "repeated_at": kept.repeated_at,
    }


def _detail(kept: "Kept") -> str:
    """Return what else than its kind tells what it is: a sensor type, a control code.

    Of what a gate held: what it would have done.
    """
    from inverterproto.families import FAMILIES

    message = kept.message()
    if message is None or kept.family is None:
        return ""
    family = FAMILIES[kept.family]
    return family.meaning(message.frame) if kept.kind == _HELD else family.detail(message)


@dataclass(slots=True)
class _Group:
    """Records that are of one kind."""

    last: float = 0.0
    count: int = 0
    first: float = 0.0
    shortest: int = sys.maxsize
    longest: int = 0
    example: bytes = b""

    def add(self, kept: "Kept") -> None:
        """Count a record, older than those before."""
        self.count += 1 + kept.repeated
        self.first = kept.arrival
        self.last = max(self.last, kept.last)
        self.shortest = min(self.shortest, len(kept.frame))
        self.longest = max(self.longest, len(kept.frame))
        self.example = self.example or kept.frame


def _show_groups(records: Iterable["Kept"], times: "LocalTimes") -> bool:
    from inverterproto_cli.show import printable

    groups: dict[tuple[str, ...], _Group] = {}
    for kept in records:
        names = (kept.family or "", kept.kind, _detail(kept), kept.sender, kept.device or "")
        group = groups.get(names)
        if group is None:
            group = groups[names] = _Group()
        group.add(kept)
    shown = sorted(groups.items(), key=lambda item: -item[1].count)
    head = (
        "count", "family", "kind", "detail", "from", "device", "length",
        times.head("first"), "last", "hex",
    )  # fmt: skip
    rows = [
        (
            f"{group.count:5,}",
            *(printable(name) or "–" for name in names),
            _range(group.shortest, group.longest),
            times.text(group.first),
            times.text(group.last),
            _hex(group.example, _HEX),
        )
        for names, group in islice(shown, MOST_GROUPS)
    ]
    if rows:
        print_columns(head, rows, terminal_width())
    if len(shown) > MOST_GROUPS:
        click.echo(f"… and {len(shown) - MOST_GROUPS:,} more kinds (--json has all)", err=True)
    return bool(rows)


def _show_each(records: Iterable["Kept"], times: "LocalTimes") -> bool:
    from inverterproto_cli.show import printable

    head = (times.head("time"), "device", "family", "kind", "detail", "length", "hex")
    shown = False
    records = iter(records)
    while block := list(islice(records, _BLOCK)):
        cells = [
            (
                times.text(kept.arrival),
                printable(kept.device or "–"),
                kept.family or "–",
                kept.kind,
                _detail(kept) or "–",
                f"{len(kept.frame):6,}",
            )
            for kept in block
        ]
        used = sum(max(map(len, column)) + 2 for column in zip(head[:-1], *cells, strict=True))
        most = max(((terminal_width() or WIDTH) - used) // 3, _HEX)
        rows = [(*row, _hex(kept.frame, most)) for row, kept in zip(cells, block, strict=True)]
        print_columns(head, rows)
        shown = True
    return shown


def _range(shortest: int, longest: int) -> str:
    return f"{longest:,}" if shortest == longest else f"{shortest:,}–{longest:,}"


def _hex(data: bytes, most: int) -> str:
    return data.hex(" ") if len(data) <= most else data[: most - 1].hex(" ") + " …"
