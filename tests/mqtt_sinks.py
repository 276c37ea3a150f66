"""MQTT sinks as tests make them: with a program around them that says what it is told to."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from inverterproto.quantity import Number
from inverterproto.reading import Reading, TimeSource, utc_text
from inverterproto_cli.sinks.mqtt import MQTT
from inverterproto_cli.sinks.mqtt_options import options_of
from inverterproto_cli.sinks.mqtt_sink import MqttSink
from inverterproto_cli.sinks.sink import Entry, Identity, TroubleError
from tests.brokers import PATIENCE

NOW = 1_790_000_000.0
INVERTER, LOGGER, BATTERY = "2301234567", "2712345678", "AL2002000001234"


class Around:
    """The program around a sink.

    Attributes:
        said: what people were told.
        stored: device and kind → the time of the newest that the store has.
        stands: what the store has as the present.
        identities: serial → what is known of it, if not what is usual.
        gone: serials that the store does not know any more.
    """

    name = "mqtt"

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []
        self.stored: dict[tuple[str | None, str], float] = {}
        self.identities: dict[str | None, Identity] = {}
        self.stands: list[Entry] = []
        self.gone: set[str] = set()
        self._asked: set[tuple[str, str]] = set()

    def known(self) -> set[tuple[str, str]]:
        return {one for one in self._asked if one[1] not in self.gone}

    def identity(self, reading: Reading) -> Identity:
        self._asked |= {(reading.family, reading.device or ""), (reading.family, reading.via or "")}
        if reading.device in self.identities:
            return self.identities[reading.device]
        serial = reading.device or ""
        if reading.family == "alphaess":
            return Identity("alphaess", serial, "battery", "AlphaESS", "Storion", "V1.01.05")
        if reading.device == reading.via:
            return self.logger(serial)
        model = "Deye micro-inverter"
        return Identity("deye", serial, "inverter", "Deye", model, "V1.2.1.8", reading.via)

    def logger(self, serial: str) -> Identity:
        return Identity("deye", serial, "logger", "Solarman", "logger stick", "MW_08_0501_1.58")

    def newest(self, reading: Reading, before: int, until: float) -> float | None:  # noqa: ARG002 - of one age
        time = self.stored.get((reading.device, reading.kind))
        return None if time is None or time >= until else time

    def present(self, until: float) -> list[Entry]:
        return [one for one in self.stands if (one.reading.time or 0.0) < until]

    def say(self, event: str, text: str) -> None:
        self.said.append((event, text))


def settings(port: int, **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the values of all settings; a key's dashes are `_` here."""
    values = {setting.key: setting.default for setting in MQTT.settings}
    values["broker"] = f"127.0.0.1:{port}"
    return values | {key.replace("_", "-"): value for key, value in changes.items()}


def made(port: int, around: Around | None = None, **changes: Any) -> MqttSink:  # noqa: ANN401
    return MqttSink(options_of(settings(port, **changes)), around or Around(), lambda: NOW)


@asynccontextmanager
async def sink(port: int, around: Around | None = None, **changes: Any) -> AsyncIterator[MqttSink]:  # noqa: ANN401
    one = made(port, around, **changes)
    try:
        yield one
    finally:
        await one.close()


def entry(
    number: int,
    time: float | None = NOW,
    *,
    device: str | None = INVERTER,
    kind: str = "data",
    historic: bool = False,
    fields: Mapping[str, Number] | None = None,
    **values: Number | str,
) -> Entry:
    """Return an entry of an inverter, or of a battery by the kind of message."""
    source = TimeSource.UNKNOWN if time is None else TimeSource.DEVICE
    if kind in ("status", "record", "stored", "configuration"):
        family, via, usual = "alphaess", None, BATTERY
    else:
        family, via, usual = "deye", LOGGER, device or ""
    if device == INVERTER:
        device = usual
    reading = Reading(family, device, time, source, historic, values, kind, via)
    return Entry(number, reading, NOW, "us", fields or {})


def state_of(one: Entry) -> dict[str, object]:
    """Return what the state topic holds of an entry."""
    reading = one.reading
    assert reading.time is not None
    return {"time": utc_text(reading.time), "time_source": "device", **reading.values}


def many(count: int) -> list[Entry]:
    """Return fresh entries of the inverter, each with a value of its own."""
    return [entry(n, NOW - 800 + n / 10, active_power=n) for n in range(count)]


async def deliver_all(one: MqttSink, entries: Sequence[Entry]) -> int:
    """Deliver as a `Delivery` does; return how often there was trouble."""
    left, troubles = list(entries), 0
    async with asyncio.timeout(60):
        while left:
            try:
                left = left[await one.deliver(left[:500]) :]
            except TroubleError:
                troubles += 1
                await asyncio.sleep(0.05)
    return troubles


async def until(true: Callable[[], object]) -> None:
    """Let the event loop go on until something is so."""
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110 - it may be anything
            await asyncio.sleep(0.01)
