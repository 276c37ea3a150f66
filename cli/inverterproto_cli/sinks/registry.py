"""Which types of sinks there are: those of this program, and those of other packages."""

from importlib.metadata import entry_points

import click

from inverterproto_cli.sinks.files import FILES
from inverterproto_cli.sinks.influx import INFLUX
from inverterproto_cli.sinks.mqtt import MQTT
from inverterproto_cli.sinks.sink import SinkType
from inverterproto_cli.sinks.splunk import SPLUNK
from inverterproto_cli.sinks.stdout import STDOUT
from inverterproto_cli.sinks.webhook import WEBHOOK

BUILT_IN: tuple[SinkType, ...] = (MQTT, SPLUNK, INFLUX, FILES, WEBHOOK, STDOUT)
"""The types that have flags."""
GROUP = "inverterproto.sinks"
"""The entry points by which other packages bring theirs."""


def type_called(name: str) -> SinkType | None:
    """Return a type by its name, or None if there is none.

    Raises:
        click.ClickException: another package brings it, and does it wrong.
    """
    for kind in BUILT_IN:
        if kind.name == name:
            return kind
    for point in entry_points(group=GROUP, name=name):
        try:
            kind = point.load()
        except Exception as error:
            raise click.ClickException(f"the sink {name!r} of {point.value}: {error}") from error
        if not isinstance(kind, SinkType):
            raise click.ClickException(f"the sink {name!r}: {point.value} is no SinkType")
        return kind
    return None
