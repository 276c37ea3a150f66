"""The soak of sinks: each reading arrives at each sink, in order; and it would be told if not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from inverterproto_cli.sinks.sink import Entry
from tests.counterparts import needs
from tests.posts import TIME, entry

if not Path("/proc/self/status").exists():
    pytest.skip("needs Linux's /proc", allow_module_level=True)

from soaking.arrivals import Arrival, Mark, held_against, mark, points_of, points_wrong
from soaking.counterparts import PROGRAMS
from soaking.devices import Plan
from soaking.publishing import Packet, PacketError, Packets, Publish, Publisher, publish_of
from soaking.sinking import Sinking, SinkSoak
from tests.test_soak import number, soaked

COUNTED = r"([\d,]+) readings arrived, [\d,]+ came again; lost 0, out of order 0, strange 0"


# Whole soaks. They wait for most of their time.


@needs(*PROGRAMS)
@pytest.mark.timeout(300)
def test_every_reading_arrives_whatever_happens_on_the_way() -> None:
    said = soaked("2", "--sinks", "--inverters", "60", "--batteries", "20", "--seed", "2")
    assert said.endswith("nothing wrong\n")
    readings = number(r"in the store: [\d,]+ records; ([\d,]+) readings", said)
    assert readings > 80 * 10
    for name in ("mqtt", "splunk", "webhook", "dead", r"files \(jsonl\)", r"files \(csv\)"):
        assert number(rf"{name}: {COUNTED}", said) == readings, said
    assert number(r"influx: ([\d,]+) points", said) > 80 * 10
    assert number(r"server killed: (\d+) times", said) > 0
    assert sum(number(rf"mqtt: .*{fault} (\d+)", said) for fault in ("reset", "refusal")) > 0
    assert number(r"([\d,]+) readings in [\d.]+ s, [\d,]+ a second", said) > readings // 2


HASTY = """
from inverterproto_cli.sinks import delivery
hand_over = delivery.Delivery._hand_over
async def moved_before(self, entries):
    if self.row.name == "webhook":
        self._note(number=entries[-1].number)
    return await hand_over(self, entries)
delivery.Delivery._hand_over = moved_before

from inverterproto_cli.sinks.splunk import SplunkSink
deliver = SplunkSink.deliver
async def backwards(self, entries):
    await deliver(self, entries[::-1])
    return len(entries)
SplunkSink.deliver = backwards

from inverterproto_cli.sinks import influx
line = influx.line_protocol.line
influx.line_protocol.line = lambda entry, *other: line(entry, *other) if entry.number % 50 else b""
"""


class Hasty(Sinking):
    """A server whose webhook moves on before it delivers; and two more that do wrong."""

    main = f"{HASTY}\n{Sinking.main}"


@needs(*PROGRAMS)
@pytest.mark.asyncio
@pytest.mark.timeout(300)
async def test_a_sink_that_loses_or_turns_readings_around_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soak = SinkSoak(tmp_path, Plan(20, 5, 1.0, 3), 40.0, Hasty)
    await soak.run()
    assert "webhook: " in capsys.readouterr().out
    told = "\n".join(soak.wrong)
    assert "× webhook: never arrived: " in told
    assert "× splunk: arrived after a later one of its device: " in told
    assert "× influx: never arrived: " in told
    for name in ("mqtt", "dead", "files"):
        assert f"× {name}" not in told


# Holding what arrived against what was to arrive


def _marks(one: Entry) -> Iterator[Mark]:
    yield mark(one.number)


def _came(*numbers: int) -> list[Arrival]:
    return [Arrival(mark(each), f"it is {each}") for each in numbers]


ENTRIES = [entry(each) for each in (1, 2, 3)]


def test_what_came_twice_is_one_reading_and_a_duplicate() -> None:
    found = held_against(ENTRIES, _marks, _came(1, 2, 1, 2, 3))
    assert (found.arrived, found.duplicates, found.wrong("it")) == (3, 2, [])


def test_what_is_lost_turned_around_or_nowhere_is_told() -> None:
    lost, disordered, strange = held_against(ENTRIES, _marks, _came(3, 1, 7)).wrong("it")
    assert lost.startswith("1 × it: never arrived: 2 ")
    assert disordered.startswith("1 × it: arrived after a later one of its device: 1 ")
    assert strange == "1 × it: arrived and is not in the store: it is 7"


def test_another_device_and_another_stream_have_an_order_of_their_own() -> None:
    entries = [entry(1), entry(2, device="2301234568"), entry(3)]
    assert not held_against(entries, _marks, _came(2, 1, 3)).disordered
    by_day = [Arrival(mark(each), "", str(each)) for each in (3, 2, 1)]
    assert not held_against(ENTRIES, _marks, by_day).disordered


def test_what_is_told_alike_is_to_come_as_often() -> None:
    entries = [entry(1), entry(2)]
    assert not held_against(entries, lambda _: [mark("same")], _came()).arrived
    once = held_against(entries, lambda _: [mark("same")], [Arrival(mark("same"), "")])
    assert (once.arrived, len(once.lost)) == (1, 1)
    twice = held_against(entries, lambda _: [mark("same")], 2 * [Arrival(mark("same"), "")])
    assert (twice.arrived, twice.duplicates, twice.lost) == (2, 0, [])


def test_points_that_miss_differ_or_are_too_many_are_told() -> None:
    wanted = points_of([entry(1), entry(2, time=TIME + 60)])["2301234567"]
    first, second = wanted
    values = {"active_power": 4.0, "energy_total": 177.5, "device": "2301234567"}
    assert points_wrong(wanted, {first: values, second: values}) == []
    lost, other, strange = points_wrong(wanted, {first: {**values, "active_power": 5.0}, 7: values})
    assert lost.startswith("1 × influx: never arrived: 2 ")
    assert "active_power is 5.0, was [4]" in other
    assert strange == "1 × influx: is there and not in the store: 7"


def test_readings_of_one_moment_are_one_point() -> None:
    wanted = points_of([entry(1, {"active_power": 4}), entry(2, {"energy_total": 1.5})])
    [(_, [moment])] = [(device, [*series]) for device, series in wanted.items()]
    assert not points_wrong(
        wanted["2301234567"], {moment: {"active_power": 4.0, "energy_total": 1.5}}
    )


# MQTT as it passes


def _packet(first: int, body: bytes) -> bytes:
    return bytes((first, len(body))) + body


def _connect(version: int) -> bytes:
    return _packet(0x10, b"\0\4MQTT" + bytes((version, 2, 0, 30)) + b"\0\0")


HELLO = _packet(0x32, b"\0\1t\0\7hello")
HELLO_5 = _packet(0x32, b"\0\1t\0\7\0hello")


def test_a_stream_is_split_into_packets_wherever_it_is_cut() -> None:
    long = bytes((0x30, 0x80, 0x01)) + bytes(128)
    packets = Packets()
    found = [packet for byte in HELLO + long for packet in packets.feed(bytes((byte,)))]
    assert found == [Packet(3, 2, HELLO[2:]), Packet(3, 0, bytes(128))]


@pytest.mark.parametrize(
    "data", [b"\0\0", b"\x30\xff\xff\xff\x7f", b"\x30\xff\xff\xff\xff\x01"], ids=["0", "big", "5"]
)
def test_what_is_no_packet_is_told(data: bytes) -> None:
    with pytest.raises(PacketError):
        list(Packets().feed(data))


def test_a_publish_is_read_in_both_versions() -> None:
    assert publish_of(Packet(3, 2, HELLO[2:]), 4) == Publish("t", 7, b"hello")
    assert publish_of(Packet(3, 2, HELLO_5[2:]), 5) == Publish("t", 7, b"hello")
    assert publish_of(Packet(3, 1, b"\0\1thello"), 4) == Publish("t", None, b"hello")


@pytest.mark.parametrize("body", [b"", b"\0\1", b"\0\1t\0\0", b"\0\1t\0\7\5", b"\0\1\xff\0\7\0"])
def test_a_publish_that_is_cut_off_is_told(body: bytes) -> None:
    with pytest.raises(PacketError):
        publish_of(Packet(3, 2, body), 5)


class Heard:
    """A publisher that is heard."""

    def __init__(self) -> None:
        self.arrived: list[tuple[str, bytes]] = []
        self.blamed: list[str] = []
        self.ear = Publisher(lambda *one: self.arrived.append(one), self.blamed.append)


@pytest.mark.parametrize(("version", "hello"), [(4, HELLO), (5, HELLO_5)])
def test_a_message_has_arrived_when_its_answer_comes_back(version: int, hello: bytes) -> None:
    heard = Heard()
    heard.ear.said(_connect(version) + hello)
    assert not heard.arrived
    heard.ear.answered(_packet(0x20, b"\0\0") + _packet(0x40, b"\0\7"))
    assert (heard.arrived, heard.blamed) == ([("t", b"hello")], [])


def test_a_message_that_is_refused_has_not_arrived() -> None:
    heard = Heard()
    heard.ear.said(_connect(5) + HELLO_5)
    heard.ear.answered(_packet(0x40, b"\0\7\x97\0"))
    assert (heard.arrived, heard.blamed) == ([], ["the broker has refused t: 0x97"])


def test_what_is_no_mqtt_is_told_once() -> None:
    heard = Heard()
    heard.ear.said(HELLO)
    heard.ear.said(HELLO)
    assert heard.blamed == ["on the way to the broker is what is no MQTT: no CONNECT"]
    heard = Heard()
    heard.ear.said(_connect(3))
    assert heard.blamed == ["on the way to the broker is what is no MQTT: version 3"]
    heard = Heard()
    heard.ear.said(_connect(4))
    heard.ear.answered(_packet(0x40, b"\0\7"))
    assert heard.blamed == ["on the way to the broker is what is no MQTT: a PUBACK for nothing"]
