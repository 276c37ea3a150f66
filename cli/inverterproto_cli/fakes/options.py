"""Options that the simulated devices share."""

import click

for_option = click.option(
    "--for",
    "lasting",
    type=click.FloatRange(min=0.001),
    metavar="SECONDS",
    envvar="INVERTERPROTO_FOR",
    help="End after so long, if it has not ended before.",
)
