"""What brokers do not take from the MQTT sink: of one message, and of us."""

from pathlib import Path

import pytest

from inverterproto_cli.sinks import mqtt_connection
from inverterproto_cli.sinks.sink import Entry, RefusedError, TroubleError
from tests.brokers import (
    mosquitto,
    needs_mosquitto,
)
from tests.mqtt_sinks import (
    NOW,
    entry,
    made,
    many,
    sink,
)
from tests.scripted_broker import scripted

pytestmark = needs_mosquitto


@pytest.mark.asyncio
async def test_what_is_too_large_for_the_broker_is_refused_alone(tmp_path: Path) -> None:
    entries = [*many(3), entry(3, NOW - 9, historic=True, status="x" * 3000), *many(5)[4:]]
    with mosquitto(tmp_path, "max_packet_size 2000") as server:
        async with sink(server.port, discovery=False) as one:
            with pytest.raises(RefusedError) as error:
                await one.deliver(entries)
            assert error.value.at == 3
            assert str(error.value) == "the broker takes no more than 2000 bytes at once"
            assert await one.deliver(entries[4:]) == 1


@pytest.mark.parametrize(
    ("limit", "versions"),
    [("max_packet_size 2000", slice(1, 2)), ("message_size_limit 2000", slice(0, 2))],
    ids=["of MQTT 3.1.1", "that says what paho does not understand"],
)
@pytest.mark.asyncio
async def test_a_reading_at_which_a_broker_hangs_up_is_refused_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, versions: slice
) -> None:
    monkeypatch.setattr(mqtt_connection, "VERSIONS", mqtt_connection.VERSIONS[versions])
    large = entry(3, NOW - 9, historic=True, status="x" * 3000)
    with mosquitto(tmp_path, limit) as server:
        async with sink(server.port, discovery=False) as one:
            for _ in range(5):
                with pytest.raises(TroubleError):
                    await one.deliver([large, *many(2)])
            with pytest.raises(RefusedError, match="whenever this reading comes") as error:
                await one.deliver([large, *many(2)])
            assert error.value.at == 0
            assert await one.deliver(many(2)) == 2


@pytest.mark.asyncio
async def test_what_a_broker_says_of_a_message_holds_for_that_message() -> None:
    async with scripted({b"n3": 0x99}) as broker, sink(broker.port, discovery=False) as one:
        with pytest.raises(RefusedError) as error:
            await one.deliver(marked(5))
        assert error.value.at == 3
        assert str(error.value) == "the broker says: Payload format invalid"


@pytest.mark.parametrize(
    ("code", "said"),
    [(0x97, "says: Quota exceeded"), (0x87, "does not let the user without a name write to")],
)
@pytest.mark.asyncio
async def test_what_it_says_of_us_keeps_the_readings(code: int, said: str) -> None:
    async with scripted({b"n3": code}) as broker, sink(broker.port, discovery=False) as one:
        entries = marked(5)
        assert await one.deliver(entries) == 3
        with pytest.raises(TroubleError, match=said):
            await one.deliver(entries[3:])
        broker.codes.clear()
        assert await one.deliver(entries[3:]) == 2


@pytest.mark.asyncio
async def test_a_broker_gets_no_more_at_once_than_it_takes() -> None:
    receive_maximum = b"\x21\x00\x07"
    async with scripted({}, receive_maximum) as broker, sink(broker.port, discovery=False) as one:
        assert await one.deliver(marked(100)) == 100
    assert broker.most_at_once == 7


@pytest.mark.asyncio
async def test_a_broker_that_retains_nothing_is_none_for_us() -> None:
    async with scripted({}, properties=b"\x25\x00") as broker:  # Retain Available: no
        one = made(broker.port)
        with pytest.raises(TroubleError, match="or retains none"):
            await one.deliver(marked(1))
        await one.close()


def marked(count: int) -> list[Entry]:
    """Return entries of which a broker may refuse some, by a word in them."""
    return [entry(n, NOW - 9, historic=True, status=f"n{n}.") for n in range(count)]
