"""`inverterproto fake-server`: takes the cloud's place, for devices of both families.

Every message is answered as the cloud would; what is acknowledged is on disk before the answer
leaves. Each port recognises both families.
"""

from typing import Any

import click

from inverterproto_cli.server.answer_options import answering, answering_options
from inverterproto_cli.server.options import ports_of, serving_options
from inverterproto_cli.sinks.settings import SinkCommand, sink_options
from inverterproto_cli.web.options import web_options

# Devices are to reach the first two; `fake-battery` looks for the third.
DEFAULTS = {"deye": "0.0.0.0:10000", "alphaess": "0.0.0.0:7777", "test": "127.0.0.1:7778"}


@click.command("fake-server", cls=SinkCommand)
@serving_options(DEFAULTS)
@answering_options
@sink_options
@web_options
def command(**options: Any) -> None:  # noqa: ANN401 - those above
    """Be the cloud for loggers and batteries, on your own machine.

    Listens for both families, answers every message, keeps every record in the store, and shows
    each reading in a line. Point the device's server address, or a DNS entry, at this machine.

    \b
    inverterproto fake-server
    inverterproto fake-server --listen deye=0.0.0.0:10001 --json
    """  # noqa: D301 - \b is meant: click keeps the lines below it as they are
    listen = options["listen"]
    # Who says where devices come wants no other port beside those, unless it is named.
    ports = ports_of(("test=none", *listen) if listen else (), DEFAULTS)
    choices = answering(options)

    from inverterproto_cli.server.answering import Answers
    from inverterproto_cli.server.listener import Listener
    from inverterproto_cli.server.options import Serving
    from inverterproto_cli.server.running import run, serve

    serving = Serving.of(options)
    answers = Answers(serving.keeper, **choices)

    async def main() -> None:
        listener = Listener(
            serving.keeper,
            serving.access,
            serving.log,
            answers.open,
            serving.capture,
            idle=options["idle_timeout"],
        )
        await serve(listener, serving, ports)

    run(main, serving)
