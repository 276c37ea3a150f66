"""`inverterproto proxy`: passes devices on to their clouds, and keeps what they say.

The relay is a wire first: what comes in goes out, the same bytes in the same order. What is said is
decoded beside it, and kept.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from inverterproto_cli.address import Address, is_address, parse_address
from inverterproto_cli.server.answer_options import answering, answering_options
from inverterproto_cli.server.options import ports_of, serving_options
from inverterproto_cli.sinks.settings import SinkCommand, sink_options
from inverterproto_cli.web.options import web_options

if TYPE_CHECKING:
    from inverterproto_cli.relay.cloud import Cloud
    from inverterproto_cli.relay.loops import Loops
    from inverterproto_cli.relay.observing import Hearing
    from inverterproto_cli.relay.resolving import Resolve
    from inverterproto_cli.server.answering import Answers
    from inverterproto_cli.server.options import Serving

LISTEN = {"deye": "0.0.0.0:10000", "alphaess": "0.0.0.0:7777"}
UPSTREAM = {"deye": "5406.deviceaccess.host:10000", "alphaess": "www.alphaess.com:7777"}
"""The vendors' own hosts."""
_OFFLINE = {
    "answer": "cloud away: we answer, and its portal has a gap (--offline)",
    "refuse": "cloud away: devices keep their records, you see none (--offline)",
}
_MEANWHILE = {
    "answer": "its devices are answered here meanwhile",
    "refuse": "its devices are turned away meanwhile",
}
_RIGHTS = {
    "allow": "the cloud may command the devices (--cloud-commands)",
    "read-only": "the cloud may read, and command nothing (--cloud-commands)",
    "block": "the cloud may command nothing (--cloud-commands)",
}


@click.command("proxy", cls=SinkCommand)
@serving_options(LISTEN, "FAMILY=HOST:PORT")
@click.option(
    "--upstream",
    multiple=True,
    metavar="FAMILY=HOST:PORT",
    envvar="INVERTERPROTO_UPSTREAM",
    help="Pass this family on to there; FAMILY=none: answer it ourselves. Once for each family."
    "  [default: " + ", ".join(f"{family}={host}" for family, host in UPSTREAM.items()) + "]",
)
@click.option(
    "--resolver",
    metavar="IP[:PORT]",
    envvar="INVERTERPROTO_RESOLVER",
    help="Ask this DNS server for the clouds' addresses.  [default: as the system does]",
)
@click.option(
    "--offline",
    type=click.Choice(["answer", "refuse"]),
    default="answer",
    show_default=True,
    envvar="INVERTERPROTO_OFFLINE",
    help="While a cloud is away, answer its devices, or turn them away: they keep their records.",
)
@click.option(
    "--cloud-commands",
    type=click.Choice(list(_RIGHTS)),
    default="allow",
    show_default=True,
    envvar="INVERTERPROTO_CLOUD_COMMANDS",
    help="What the clouds may do to the devices.",
)
@click.option(
    "--approve-for",
    metavar="DURATION",
    envvar="INVERTERPROTO_APPROVE_FOR",
    help="With read-only or block: approve settings that come so soon (10m) after the start.",
)
@click.option(
    "--durable",
    is_flag=True,
    envvar="INVERTERPROTO_DURABLE",
    help="Pass on what a cloud says only once what the device said before is on disk.",
)
@click.option(
    "--tee",
    metavar="HOST:PORT",
    envvar="INVERTERPROTO_TEE",
    help="Copy what devices say to this server, too; its answers are dropped.",
)
@answering_options
@sink_options
@web_options
def command(**options: Any) -> None:  # noqa: ANN401 - those above
    """Pass devices on to their clouds, and keep what they say.

    Listens for both families, forwards each to its vendor's cloud, keeps every record in the
    store, and shows each reading in a line. While a cloud is away its devices are answered here.

    \b
    inverterproto proxy
    inverterproto proxy --cloud-commands block
    inverterproto proxy --upstream deye=none --resolver 9.9.9.9
    """  # noqa: D301 - \b is meant: click keeps the lines below it as they are
    ports = ports_of(options["listen"], LISTEN, apart=True)
    upstream = _upstream(options["upstream"])
    resolve = _resolver(options["resolver"])
    tee = None if options["tee"] is None else parse_address(options["tee"], "--tee")
    if options["durable"] and options["no_store"]:
        raise click.UsageError("--durable waits for the store, and --no-store has none.")
    choices = answering(options)
    approving = _approving(options)

    from inverterproto_cli.relay.loops import Loops
    from inverterproto_cli.relay.relaying import Relay
    from inverterproto_cli.server.answering import Answers
    from inverterproto_cli.server.options import Serving
    from inverterproto_cli.server.running import run, serve

    serving = Serving.of(options)
    answers = Answers(serving.keeper, approving_seconds=approving, **choices)
    loops = Loops()
    clouds = _clouds(serving, upstream, loops, resolve, _MEANWHILE[options["offline"]])

    async def main() -> None:
        relay = Relay(
            serving.keeper,
            serving.access,
            serving.log,
            answers.open,
            serving.capture,
            idle=options["idle_timeout"],
            clouds=clouds,
            loops=loops,
            hearing=_hearing(serving, answers, options),
            refuses=options["offline"] == "refuse",
            copies_to=tee,
        )
        await serve(relay, serving, ports, lambda: _begin(clouds, loops, tee, options))

    run(main, serving)


def _upstream(texts: tuple[str, ...]) -> dict[str, Address | None]:
    """Return where the user wants each family passed on to; None for nowhere.

    Raises:
        click.BadParameter: it is not FAMILY=HOST:PORT.
    """
    chosen: dict[str, Address | None] = {}
    for text in texts:
        family, equals, address = text.partition("=")
        if not equals or family not in UPSTREAM:
            raise click.BadParameter(
                f"{text!r} is not FAMILY=HOST:PORT with family {' or '.join(UPSTREAM)}.",
                param_hint="--upstream",
            )
        if family in chosen:
            raise click.BadParameter(f"{family} is given twice.", param_hint="--upstream")
        chosen[family] = None if address.lower() == "none" else parse_address(address, "--upstream")
    return chosen


def _resolver(text: str | None) -> "Resolve":
    """Return what finds the addresses of a name.

    Raises:
        click.BadParameter: the DNS server is not named by its address.
        MissingExtra: asking another one needs a library that is not there.
    """
    from inverterproto_cli.relay.resolving import by_server, by_system

    if text is None:
        return by_system
    if not (is_address(text) or is_address(text.rpartition(":")[0].strip("[]"))):
        raise click.BadParameter(f"{text!r} is not IP[:PORT].", param_hint="--resolver")
    server = Address(text, 53) if is_address(text) else parse_address(text, "--resolver")
    try:
        return by_server(server)
    except ImportError as error:
        from inverterproto_cli.extra import MissingExtra

        raise MissingExtra("--resolver asks with the library dnspython", "resolver") from error


def _approving(options: Mapping[str, Any]) -> float:
    """Return for how many seconds settings are taken as approved.

    Raises:
        click.UsageError: in `allow` all pass anyway.
    """
    if options["approve_for"] is None:
        return 0.0
    if options["cloud_commands"] == "allow":
        raise click.UsageError("--approve-for is for --cloud-commands read-only or block.")
    from inverterproto_cli.local_time import parse_duration

    return parse_duration(options["approve_for"], "--approve-for")


def _clouds(
    serving: "Serving",
    upstream: Mapping[str, Address | None],
    loops: "Loops",
    resolve: "Resolve",
    meanwhile: str,
) -> dict[str, "Cloud"]:
    """Return the cloud of each family that has one."""
    from inverterproto_cli.relay.cloud import Cloud

    addresses = {family: parse_address(host, "--upstream") for family, host in UPSTREAM.items()}
    return {
        family: Cloud(
            family,
            address,
            resolve,
            named=family in upstream,
            is_us=loops.is_us,
            tell=serving.log.tell,
            meanwhile=meanwhile,
        )
        for family, address in {**addresses, **upstream}.items()
        if address is not None
    }


def _hearing(serving: "Serving", answers: "Answers", options: Mapping[str, Any]) -> "Hearing":
    """Return what all observers share."""
    from inverterproto.families import framings
    from inverterproto.gate import Gate, Rights
    from inverterproto_cli.relay.observing import Hearing

    rights = Rights(options["cloud_commands"])
    return Hearing(
        keeper=serving.keeper,
        log=serving.log,
        framings=framings(),
        states=answers.states,
        watcher_options={"alphaess": {"trust_cloud": rights is Rights.ALLOW}},
        gate=None if rights is Rights.ALLOW else lambda: Gate(*answers.allow_lists(rights)),
        durable=options["durable"],
        capture=serving.capture,
    )


async def _begin(
    clouds: Mapping[str, "Cloud"],
    loops: "Loops",
    tee: Address | None,
    options: Mapping[str, Any],
) -> list[str]:
    """Look where the clouds are; return what is to be said of it, a line for each thing.

    Raises:
        click.ClickException: a cloud's name leads here, or that of the second server.
    """
    from inverterproto_cli.relay.cloud import AwayError, LoopError
    from inverterproto_cli.relay.resolving import UnresolvedError, by_system

    if tee is not None:
        with suppress(UnresolvedError):  # it is told when a device comes
            for address in await by_system(tee.host):
                if loops.is_us(Address(address, tee.port)):
                    raise click.ClickException(f"--tee {tee} is this program itself")
    where = [f"{family} is answered here" for family in UPSTREAM if family not in clouds]
    for family, cloud in clouds.items():
        try:
            await cloud.addresses()
        except LoopError as error:
            raise click.ClickException(str(error)) from error
        except AwayError as error:
            where.append(f"{family} would go to {cloud.address}, but {error}")
        else:
            where.append(f"{family} goes to {cloud.address}")
    if clouds:
        where += [_OFFLINE[options["offline"]], _RIGHTS[options["cloud_commands"]]]
    if clouds and options["durable"]:
        where.append("what a cloud says waits for the records before it (--durable)")
    if tee is not None:
        where.append(f"a copy goes to {tee} (--tee)")
    return where
