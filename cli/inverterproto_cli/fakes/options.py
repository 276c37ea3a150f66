"""Options that the simulated devices share."""

import click

from inverterproto_cli.number import Number

for_option = click.option(
    "--for",
    "lasting",
    type=Number(min=0.001),
    metavar="SECONDS",
    envvar="INVERTERPROTO_FOR",
    help="End after so long, if it has not ended before.",
)
