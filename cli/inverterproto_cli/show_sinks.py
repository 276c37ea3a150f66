"""`inverterproto sinks`: how far each sink has got; and how to try one, or forget one.

How far it has got stands in the store, beside which the server is at work. What is configured is
what a server would find with the same configuration file and environment.
"""

import asyncio
import json
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from inverterproto_cli.columns import print_columns, terminal_width
from inverterproto_cli.looking import explained, path_of, reading, store_option
from inverterproto_cli.show import printable
from inverterproto_cli.sinks.settings import (
    Configured,
    SinkCommand,
    configured,
    sink_options,
    switched_off,
)

if TYPE_CHECKING:
    from inverterproto.quantity import Number
    from inverterproto_cli.sinks.sink import Entry, Sink
    from inverterproto_cli.store.reader import Reader
    from inverterproto_cli.store.sinks import SinkRow

TEST_DEVICE = "SIM0000000"
"""The device of the reading that is sent for a test: of no simulated device, and like them."""
_PATIENCE = 60.0


@click.group("sinks", invoke_without_command=True)
@store_option
@click.option(
    "--json", "as_json", is_flag=True, envvar="INVERTERPROTO_JSON", help="One JSON object a line."
)
@click.pass_context
def command(ctx: click.Context, store_path: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Show how far each sink has got, try one, or forget one.

    \b
    inverterproto sinks
    inverterproto sinks test mqtt --mqtt localhost
    inverterproto sinks set-aside splunk
    inverterproto sinks remove webhook
    """  # noqa: D301 - \b is meant: click keeps the lines below it as they are
    ctx.obj = store_path
    if ctx.invoked_subcommand is not None:
        return
    with reading(path_of(store_path)) as reader:
        last = reader.last_number()
        found = [(row, _waiting(reader, row, last)) for row in reader.sinks()]
    if as_json:
        for row, waiting in found:
            click.echo(json.dumps(_to_json(row, waiting)))
    elif found:
        _show(found)
    else:
        click.echo("no sinks yet: a server makes them (--mqtt, --splunk, …)", err=True)


class _Waiting(NamedTuple):
    """How many records a sink has not had yet, and since when the first of them waits."""

    records: int
    since: float | None


def _waiting(reader: "Reader", row: "SinkRow", last: int) -> _Waiting:
    behind = reader.delivered_after(row.number, 1)
    return _Waiting(max(0, last - row.number), behind[0].arrival if behind else None)


def _to_json(row: "SinkRow", waiting: _Waiting) -> dict[str, object]:
    from inverterproto.reading import utc_text

    def when(time: float | None) -> str | None:
        return None if time is None else utc_text(time)

    return {
        **row._asdict(),
        "since": when(row.since),
        "last": when(row.last),
        "error_at": when(row.error_at),
        "waiting": waiting.records,
        "waiting_since": when(waiting.since),
    }


def _show(found: "list[tuple[SinkRow, _Waiting]]") -> None:
    from inverterproto_cli.local_time import LocalTimes

    times = LocalTimes(time())

    def when(moment: float | None) -> str:
        return "–" if moment is None else times.text(moment)

    head = ("sink", "type", times.head("last delivery"), "delivered", "left out", "set aside",
            "waiting", "since", "trouble")  # fmt: skip
    rows = (
        (
            printable(row.name),
            printable(row.type),
            when(row.last),
            f"{row.delivered:,}",
            f"{row.left_out:,}",
            f"{row.set_aside:,}",
            f"{waiting.records:,}",
            when(waiting.since),
            "–" if row.error is None else f"since {when(row.error_at)}: {printable(row.error)}",
        )
        for row, waiting in found
    )
    print_columns(head, rows, terminal_width())


@command.command("test", cls=SinkCommand)
@click.argument("name")
@sink_options
@store_option
@click.pass_context
def test_command(
    ctx: click.Context,
    /,
    name: str,
    store_path: str | None,
    **_options: Any,  # noqa: ANN401 - those of the sinks
) -> None:
    """Send one reading that is marked as a test, and say what came back."""
    wanted = {one.name: one for one in configured(ctx)}
    if name in switched_off(ctx):
        raise click.UsageError(
            f"the sink {name!r} is switched off in the configuration (enabled = false)"
        )
    if name not in wanted:
        known = f"only {', '.join(wanted)}" if wanted else "and no other"
        raise click.UsageError(
            f"no sink {name!r} is configured, {known}: give its flag (as --mqtt localhost), or put "
            f"it into the configuration file ([sink.{name}])"
        )
    from inverterproto_cli.sinks.outward import open_sink
    from inverterproto_cli.sinks.pages import Pages
    from inverterproto_cli.store import default_path

    # Only what is known of devices is read from it, and of this one nothing is.
    pages = Pages(Path(store_path or ctx.obj or default_path()))
    sink = open_sink(wanted[name], pages, lambda _event, text: click.echo(text, err=True))
    came = asyncio.run(_try(wanted[name], sink))
    click.echo(printable(f"sink {name}: {came}"))


async def _try(one: Configured, sink: "Sink") -> str:
    from inverterproto_cli.sinks.sink import RefusedError, TroubleError

    try:
        async with asyncio.timeout(_PATIENCE):
            return await sink.test(test_entry(time()))
    except (TroubleError, RefusedError) as error:
        raise click.ClickException(printable(f"sink {one.name}: {error}")) from error
    except TimeoutError:
        text = f"sink {one.name}: no answer within {_PATIENCE:g} seconds"
        raise click.ClickException(text) from None
    finally:
        await sink.close()


def test_entry(now: float) -> "Entry":
    """Return the entry that is sent for a test."""
    from inverterproto.reading import Reading, TimeSource
    from inverterproto_cli.sinks.sink import Entry

    values: dict[str, Number | str] = {"active_power": 0, "status": "test"}
    reading = Reading(
        "deye", TEST_DEVICE, now, TimeSource.ARRIVAL, historic=False, values=values, kind="test"
    )
    return Entry(0, reading, now)


@command.command("set-aside")
@click.argument("name")
@store_option
@click.pass_context
def set_aside_command(ctx: click.Context, name: str, store_path: str | None) -> None:
    """Show what a sink refused for good: one JSON object a line, with the reason."""
    from inverterproto.reading import utc_text

    with reading(path_of(store_path or ctx.obj)) as reader:
        if name not in [row.name for row in reader.sinks()]:
            raise click.ClickException(printable(f"there is no sink {name!r} in the store"))
        for one in reader.set_aside(name):
            line = {"at": utc_text(one.at), "why": one.why, "reading": _understood(one.reading)}
            click.echo(json.dumps(line))


def _understood(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:  # whatever happened to the file
        return text


@command.command("remove")
@click.argument("name")
@store_option
@click.pass_context
def remove_command(ctx: click.Context, name: str, store_path: str | None) -> None:
    """Forget a sink that is not configured any more: nothing is kept for it then."""
    from inverterproto_cli.server.requested import alone
    from inverterproto_cli.store.requests import ask

    path = path_of(store_path or ctx.obj)
    with explained(path):
        answer = ask(path, {"do": "remove-sink", "name": name}, alone)
    if "error" in answer:
        raise click.ClickException(printable(f"{name}: {answer['error']}"))
    click.echo(printable(f"forgot the sink {name}"), err=True)
