"""The MQTT sink when a connection breaks in a batch: what comes again keeps its order."""

import json
from pathlib import Path
from random import Random
from time import time

import pytest

from inverterproto.reading import Reading, TimeSource
from inverterproto_cli.sinks.mqtt import MQTT
from inverterproto_cli.sinks.sink import Entry, TroubleError
from soaking.counterparts import broker, quiet_port
from soaking.path import Path as Line
from soaking.publishing import Publisher
from tests.counterparts import needs
from tests.posts import Around, settings


class Breaking(Publisher):
    """Hears what the broker takes, and breaks the line before the first history passes."""

    line: Line
    broken = False

    def said(self, data: bytes) -> None:
        if b"/history" in data and not Breaking.broken:
            Breaking.broken = True
            for passage in tuple(self.line.passages):
                passage.reset()
        super().said(data)


def entries(now: float) -> list[Entry]:
    """Return three readings of an inverter, of the last minutes."""
    return [
        Entry(
            number,
            Reading(
                "deye", "2301234567", now - 300 + 60 * number, TimeSource.DEVICE, historic=False,
                values={"active_power": number}, kind="data",
            ),
            now,
        )
        for number in (1, 2, 3)
    ]  # fmt: skip


@needs("mosquitto")
@pytest.mark.asyncio
async def test_a_state_that_was_not_acknowledged_does_not_overtake_what_is_before_it(
    tmp_path: Path,
) -> None:
    taken: list[int] = []

    def arrived(topic: str, payload: bytes) -> None:
        if topic.endswith(("/data/state", "/history")):
            told = json.loads(payload)
            taken.append(told.get("values", told)["active_power"])

    def ear() -> Breaking:
        one = Breaking(arrived, pytest.fail)
        one.line = line
        return one

    program = broker(tmp_path, quiet_port(Random()))
    line = Line(ear)
    line.target = program.address
    await program.start()
    await line.open()
    sink = MQTT.open(settings(MQTT, broker=str(line.address)), Around())
    try:
        batch = entries(time())
        with pytest.raises(TroubleError):
            await sink.deliver(batch)
        assert Breaking.broken
        assert await sink.deliver(batch) == 3
    finally:
        await sink.close()
        await line.close()
        await program.end()
    assert taken == [1, 2, 3]
