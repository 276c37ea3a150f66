"""`inverterproto mqtt stale`: what a broker retains of devices that nobody knows any more."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.brokers import Listener, Server, free_port, mosquitto, needs_mosquitto, retained
from tests.conftest import Run, invoke
from tests.mqtt_sinks import LOGGER, NOW, entry, made
from tests.stores import Came, filled
from tests.vectors import raw

KNOWN, GONE = "2301234567", "gone/2309999999"
GONE_TOPICS = [
    "homeassistant/sensor/inverterproto_deye_gone_2F2309999999_active_power/config",
    "homeassistant/sensor/inverterproto_deye_gone_2F2309999999_last_seen/config",
    "inverterproto/deye/gone_2F2309999999/data/state",
]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Server]:
    with mosquitto(tmp_path) as server:
        yield server


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a store that knows one inverter and its logger."""
    return filled(tmp_path / "store.db", [Came(raw("micro-5408-realtime"))])


def stale(port: int, store: Path, *arguments: str) -> Run:
    address = f"127.0.0.1:{port}"
    return invoke("mqtt", "stale", "--mqtt", address, "--store", store, *arguments)


def publish(port: int, *serials: str, **changes: Any) -> None:  # noqa: ANN401
    """Let a sink publish states of some devices."""

    async def deliver() -> None:
        one = made(port, **changes)
        entries = [entry(n, NOW - 9, device=each, active_power=n) for n, each in enumerate(serials)]
        assert await one.deliver(entries) == len(entries)
        await one.close()

    asyncio.run(deliver())


@needs_mosquitto
def test_what_belongs_to_no_known_device_is_listed_and_emptied_on_demand(
    broker: Server, store: Path
) -> None:
    publish(broker.port, KNOWN, GONE)
    before = retained(broker.port)
    for _ in range(2):
        run = stale(broker.port, store)
        assert (run.code, run.out.splitlines()) == (0, GONE_TOPICS)
        assert run.err == f"store: {store}\n3 topics of no device that is known\n"
    assert retained(broker.port) == before

    run = stale(broker.port, store, "--clear")
    assert (run.code, run.out.splitlines()) == (0, GONE_TOPICS)
    assert "emptied 3 topics" in run.err
    after = retained(broker.port)
    assert {topic: before[topic] for topic in before if topic not in GONE_TOPICS} == after
    assert f"inverterproto/deye/{LOGGER}/seen/state" in after
    assert stale(broker.port, store).out == ""


@needs_mosquitto
def test_what_others_retain_is_left_alone(broker: Server, store: Path) -> None:
    publish(broker.port, GONE, prefix="elsewhere")
    others = {
        "homeassistant/sensor/other/config": '{"state_topic": "inverterproto/deye/x/data/state"}',
        "homeassistant/sensor/inverterproto_x/config": "no JSON",
        "homeassistant/sensor/inverterproto_y/config": '["state_topic"]',
        "homeassistant/sensor/inverterproto_z/config": '{"state_topic": 7}',
        "inverterproto/notes/state": "mine",
    }
    with Listener(broker.port) as listener:
        for topic, payload in others.items():
            listener.publish(topic, payload, retain=True)
    before = retained(broker.port)
    assert stale(broker.port, store, "--clear").out == ""
    assert retained(broker.port) == before


@needs_mosquitto
def test_the_topics_of_an_alias_go_with_its_device(
    broker: Server, store: Path, tmp_path: Path
) -> None:
    alias = {
        GONE: {"active_power": {"topic": "old/gone"}},
        KNOWN: {"active_power": {"topic": "old/known"}},
    }
    publish(broker.port, KNOWN, GONE, alias=alias)
    config = tmp_path / "config.toml"
    config.write_text(
        f'[sink.home]\ntype = "mqtt"\nbroker = "127.0.0.1:{broker.port}"\n'
        f'[sink.home.alias."{GONE}"]\nactive_power = {{ topic = "old/gone" }}\n'
        f'[sink.home.alias."{KNOWN}"]\nactive_power = {{ topic = "old/known" }}\n'
    )
    run = invoke(
        *("--config", config, "mqtt", "stale", "--sink", "home", "--store", store, "--clear")
    )
    assert run.out.splitlines() == sorted([*GONE_TOPICS[:2], "old/gone"]) + GONE_TOPICS[2:]
    assert "old/known" in retained(broker.port)
    assert "old/gone" not in retained(broker.port)


@needs_mosquitto
def test_thousands_of_retained_topics_are_all_seen(broker: Server, store: Path) -> None:
    publish(broker.port, *(f"gone{n}" for n in range(1200)))
    assert len(stale(broker.port, store).out.splitlines()) == 3600


@needs_mosquitto
def test_a_store_that_knows_nobody_empties_nothing(broker: Server, tmp_path: Path) -> None:
    empty = filled(tmp_path / "empty.db", [])
    publish(broker.port, KNOWN)
    run = stale(broker.port, empty, "--clear")
    assert run.code == 1
    assert "knows no device at all: nothing is emptied" in run.err
    assert len(retained(broker.port)) == 6


def test_a_broker_that_is_not_there_is_told(store: Path) -> None:
    port = free_port()
    run = stale(port, store)
    assert (run.code, run.out) == (1, "")
    assert f"Error: no broker listens at 127.0.0.1:{port}" in run.err


def test_which_broker_has_to_be_said(store: Path) -> None:
    run = invoke("mqtt", "stale", "--store", store)
    assert run.code == 2
    assert "which broker is it?" in run.err


def test_a_setting_of_no_use_is_told(store: Path) -> None:
    run = invoke("mqtt", "stale", "--mqtt", "ftp://there", "--store", store)
    assert run.code == 2
    assert "sink mqtt: broker is mqtt://HOST:PORT or mqtts://HOST:PORT" in run.err
