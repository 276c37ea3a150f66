"""The MQTT sink beside a real store: what is forgotten there, and what a wrong clock left there."""

import asyncio
from pathlib import Path
from time import time

import pytest

from inverterproto.reading import Dated, TimeSource
from inverterproto_cli.sinks.mqtt import MQTT
from inverterproto_cli.sinks.pages import Pages, Wanted
from inverterproto_cli.sinks.settings import Configured
from inverterproto_cli.sinks.states import FRESH, States
from inverterproto_cli.store import Store
from tests.brokers import Listener, mosquitto, needs_mosquitto, retained
from tests.mqtt_sinks import settings, until
from tests.sinking import FRAME, of_logger, record, safe, stored
from tests.test_sinks_outward import outward

INVERTER, LOGGER = "2301234567", "2712345678"
GONE, GONE_LOGGER = "2309999999", "2719999999"


def put(store: Store, number: int, at: float, **changes: object) -> None:
    one = record(number, **changes)
    store.keep(one, at)
    store.date(Dated(one.key, at, TimeSource.DEVICE, 0.0))


@needs_mosquitto
@pytest.mark.asyncio
async def test_what_was_forgotten_and_cleared_does_not_come_back(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as server:
        mqtt = Configured("mqtt", MQTT, settings(server.port), backfill=True)
        async with stored(tmp_path / "s.db") as store, outward(store, mqtt):
            put(store, 1, time() - 60)
            frame = of_logger(int(GONE_LOGGER), FRAME.replace(INVERTER.encode(), GONE.encode()))
            put(store, 2, time() - 50, device=GONE, via=GONE_LOGGER, frame=frame)
            there, gone_too = (
                f"inverterproto/deye/{logger}/seen/state" for logger in (LOGGER, GONE_LOGGER)
            )
            await until(lambda: {there, gone_too} <= retained(server.port).keys())
            assert f"inverterproto/deye/{GONE}/data/state" in retained(server.port)
            gone = asyncio.Event()
            assert store.forget(GONE_LOGGER, lambda _db, _n: True, lambda _r: gone.set())
            await asyncio.wait_for(gone.wait(), 30)
            await safe(store)
            with Listener(server.port) as listener:
                for topic in [each for each in retained(server.port) if is_gone(each)]:
                    await asyncio.to_thread(listener.publish, topic, b"", retain=True)
                listener.forget()
                await asyncio.to_thread(listener.publish, "homeassistant/status", "online")
                await asyncio.to_thread(listener.topic, there)
            assert not [topic for topic in retained(server.port) if is_gone(topic)]
            server.kill()
            server.start()
            await until(lambda: there in retained(server.port))
            assert not [topic for topic in retained(server.port) if is_gone(topic)]


def is_gone(topic: str) -> bool:
    return GONE in topic or GONE_LOGGER in topic


@pytest.mark.asyncio
async def test_a_record_of_a_clock_that_was_ahead_is_nobodys_rival(tmp_path: Path) -> None:
    now = time()
    async with stored(tmp_path / "s.db") as store:
        for number, at in ((1, now - 900), (2, now + 30 * 86400), (3, now - 300), (4, now - 5)):
            put(store, number, at)
        await safe(store)
        pages = Pages(store.path)
        entries = pages.after(0, Wanted()).entries
        states = States(pages.newest, lambda: now)
        assert states.present([entries[3]]) == {0}
        assert [entry.number for entry in pages.present(Wanted(), now + FRESH)] == [4]
        pages.close()


@pytest.mark.asyncio
async def test_what_was_published_while_our_clock_was_ahead_is_nobodys_rival(
    tmp_path: Path,
) -> None:
    now = time()
    clock = [now + 30 * 86400]
    async with stored(tmp_path / "s.db") as store:
        for number, at in ((1, now + 30 * 86400), (2, now - 5)):
            put(store, number, at)
        await safe(store)
        pages = Pages(store.path)
        first, second = pages.after(0, Wanted()).entries
        states = States(pages.newest, lambda: clock[0])
        assert states.present([first]) == {0}
        states.put(first)
        clock[0] = now
        assert states.present([second]) == {0}
        assert [states.entry(key) for key in states.keys()] == [None]  # noqa: SIM118 - no mapping
        pages.close()
