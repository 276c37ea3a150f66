"""The MQTT sink: what can be set, and how it is made.

What it does stands in `mqtt_sink.py`, which needs paho and is imported when one is made.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from inverterproto_cli.extra import MissingExtra
from inverterproto_cli.sinks.sink import Setting, Sink, SinkType, Surroundings

if TYPE_CHECKING:
    from inverterproto_cli.sinks.mqtt_options import Options

BROKER_SETTINGS = (
    Setting(
        "broker",
        "Publish readings at this broker, mqtt://HOST:PORT, or mqtts://HOST:PORT for TLS.",
        metavar="URL",
    ),
    Setting("user", "Who we are at the broker.", metavar="NAME"),
    Setting("password", "Our password at the broker.", secret=True),
    Setting(
        "ca", "Trust brokers that this CA vouches for, not those of the system.", metavar="FILE"
    ),
    Setting("certificate", "Our own certificate, if the broker asks for one.", metavar="FILE"),
    Setting("key", "The key that belongs to the certificate.", metavar="FILE"),
    Setting(
        "client-id",
        "Our name at the broker; no two clients may have the same. By default it is made anew at "
        "each start.",
        metavar="TEXT",
    ),
    Setting("prefix", "What all topics begin with.", default="inverterproto", metavar="TOPIC"),
    Setting(
        "discovery-prefix",
        "Where Home Assistant listens for entities.",
        default="homeassistant",
        flag="--discovery-prefix",
        metavar="TOPIC",
    ),
)
"""What says where, as whom, and below which topics."""

SETTINGS = (
    *BROKER_SETTINGS,
    Setting(
        "discovery",
        "Tell Home Assistant of each quantity, by MQTT discovery.",
        bool,
        default=True,
        flag="--discovery",
    ),
    Setting("names", "Serial = what Home Assistant calls the device.", dict, flag=None),
    Setting("areas", "Serial = the area where the device stands.", dict, flag=None),
    Setting(
        "alias",
        "Serial = a table of quantities with unique_id, topic, object_id of another tool.",
        dict,
        flag=None,
    ),
)


def options_for(values: Mapping[str, Any]) -> "Options":
    """Return what the values of all settings say.

    Raises:
        ValueError: a setting is of no use.
        MissingExtra: paho is missing.
        OSError: a file cannot be read.
    """
    if find_spec("paho") is None:
        raise MissingExtra("MQTT needs paho-mqtt", "mqtt")
    from inverterproto_cli.sinks.mqtt_options import options_of

    return options_of(values)


def open_mqtt(values: Mapping[str, Any], around: Surroundings) -> Sink:
    """Make an MQTT sink; what it raises is told at `options_for`."""
    options = options_for(values)
    from inverterproto_cli.sinks.mqtt_sink import MqttSink

    return MqttSink(options, around)


MQTT = SinkType("mqtt", "MQTT and Home Assistant", SETTINGS, open_mqtt)
