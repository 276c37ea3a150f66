"""What can be set of the MQTT sink, and what is said of what is of no use."""

from pathlib import Path
from typing import Any

import pytest

from inverterproto_cli.address import Address
from inverterproto_cli.sinks.discovery import Alias
from inverterproto_cli.sinks.mqtt_options import Options, options_of
from tests.mqtt_sinks import settings

SECRET = "correct horse"


def options(**changes: Any) -> Options:  # noqa: ANN401
    return options_of(settings(1883, **changes))


@pytest.mark.parametrize(
    ("text", "host", "port", "tls"),
    [
        ("homeassistant.local", "homeassistant.local", 1883, False),
        ("10.0.0.2:1884", "10.0.0.2", 1884, False),
        ("mqtt://broker", "broker", 1883, False),
        ("mqtts://broker/", "broker", 8883, True),
        ("mqtts://[::1]:8884", "::1", 8884, True),
    ],
)
def test_a_broker_is_a_host_or_a_url(text: str, host: str, port: int, tls: bool) -> None:  # noqa: FBT001
    broker = options(broker=text).broker
    assert broker.address == Address(host, port)
    assert (broker.tls is not None) == tls


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"broker": "ws://broker"}, "broker is mqtt://HOST:PORT or mqtts://HOST:PORT (for TLS)"),
        ({"broker": "mqtt://broker/path"}, "broker is mqtt://HOST:PORT"),
        ({"broker": "broker:99999"}, "broker is mqtt://HOST:PORT"),
        ({"broker": f"mqtt://me:{SECRET}"}, "broker is mqtt://HOST:PORT"),
        ({"broker": "mqtt://:1883"}, "broker is mqtt://HOST:PORT"),
        ({"broker": f"mqtt://me:{SECRET}@broker"}, "set user and password instead"),
        ({"password": SECRET}, "there is a password, but no user"),
        ({"ca": "/ca.pem"}, "ca: only a broker mqtts://"),
        ({"prefix": ""}, "prefix '' is no topic"),
        ({"prefix": "a/#"}, "prefix 'a/#' is no topic"),
        ({"prefix": "/a"}, "prefix '/a' is no topic"),
        ({"prefix": "$SYS"}, "prefix '$SYS' is no topic"),
        ({"prefix": "x" * 201}, "prefix is longer than 200 bytes"),
        ({"discovery_prefix": "+"}, "discovery-prefix '+' is no topic"),
        ({"names": {"1": 2}}, "names: 1 is a text of up to 200 characters"),
        ({"areas": {"1": " "}}, "areas: 1 is a text"),
        ({"alias": {"1": "x"}}, 'alias."1" is a table of quantities'),
        ({"alias": {"1": {"powr": {"unique_id": "x"}}}}, 'alias."1".powr: there is no quantity'),
        ({"alias": {"1": {"pv1_power": {}}}}, "is a table with unique_id, topic, object_id"),
        ({"alias": {"1": {"pv1_power": {"name": "x"}}}}, "is a table with unique_id"),
        ({"alias": {"1": {"pv1_power": {"unique_id": 7}}}}, "unique_id is a text"),
        ({"alias": {"1": {"pv1_power": {"topic": "a/+"}}}}, "pv1_power: topic 'a/+' is no topic"),
        ({"alias": {"1": {"pv1_power": {"object_id": "A b"}}}}, "object_id is made of a to z"),
        ({"alias": {"1": {"last_seen": {"topic": "a"}}}}, "it has no plain value, so no topic"),
        (
            {"alias": {"1": {"pv1_power": {"topic": "a"}, "pv2_power": {"topic": "a"}}}},
            """alias."1".pv2_power: topic 'a' is taken by alias."1".pv1_power""",
        ),
    ],
)
def test_what_is_of_no_use_is_told_without_a_secret(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the text is looked at below
        options(**changes)
    assert text in str(error.value)
    assert SECRET not in str(error.value)


def test_an_alias_may_have_the_same_text_as_id_and_topic() -> None:
    one = {"unique_id": "a", "object_id": "a", "topic": "a"}
    aliases = options(alias={"1": {"pv1_power": one, "last_seen": {"unique_id": "b"}}})
    assert aliases.wishes.alias("1", "pv1_power") == Alias("a", "a", "a")
    assert aliases.wishes.alias("1", "last_seen") == Alias("b")
    assert aliases.wishes.alias("2", "pv1_power") == Alias()


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(FileNotFoundError) as error:
        options(broker="mqtts://broker", ca="/nonexistent/ca.pem")
    assert error.value.filename == "/nonexistent/ca.pem"


def test_files_that_hold_no_certificate_are_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing\n")
    for key, text in (("ca", "it holds no certificate"), ("certificate", "are wanted in PEM form")):
        with pytest.raises(ValueError, match=f"{key} {empty}: .*{text}"):
            options(broker="mqtts://broker", **{key: str(empty)})
    with pytest.raises(ValueError, match="there is a key, but no certificate"):
        options(broker="mqtts://broker", key=str(empty))


def test_no_option_shows_the_password() -> None:
    one = options(user="solar", password=SECRET)
    assert one.broker.password == SECRET
    assert SECRET not in repr(one)
