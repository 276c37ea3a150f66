"""`sanitize` of a capture from the network: the same conversation, and nothing else of it."""

import json
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("scapy", reason="the extra `pcap` is not installed")

from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.utils import PcapNgReader, PcapReader, rdpcap

from inverterproto_cli import pcap_writing
from inverterproto_cli.chunk import PCAP, Chunk, Gap
from inverterproto_cli.pcap_writing import PcapSpelling
from tests.conftest import Run, decode, invoke
from tests.pcaps import (
    ANSWER,
    HEARTBEAT,
    HELLO,
    LOGIN,
    REALTIME,
    START,
    STATUS,
    Packets,
    Wire,
    conversation,
    mixed,
    name_query,
    pcap,
    pcapng,
    web,
)

SECRETS = (
    b"2301234567",
    (2712345678).to_bytes(4, "little"),
    b"AL2002000001234",
    b"bobs",
    b"example",
    b"wlan-of-bob",
    bytes((192, 168, 1, 5)),
    bytes((47, 88, 8, 200)),
    b"\xaa\xbb\xcc\xdd\xee",
)


def household() -> Packets:
    """Return all that is seen: both families, and what is nobody's business."""
    battery = Wire(("192.168.1.6", 40000), ("47.88.8.200", 7777), at=START + 0.03).open()
    battery.device(LOGIN)
    battery.device(STATUS)
    tls = Wire(("192.168.1.7", 40001), ("47.88.8.200", 10000), at=START + 0.05).open()
    tls.device(HELLO)
    packets = mixed(
        conversation().packets, battery.packets, tls.packets, web().packets, [name_query()]
    )
    for packet in packets:
        packet.comments = [b"bob's comment"]
        packet.sniffed_on = "wlan-of-bob"
    return packets


def sanitize(data: bytes, folder: Path, *options: str) -> tuple[Run, Path]:
    source, out = folder / "in.pcap", folder / "out.pcap"
    source.write_bytes(data)
    return invoke("sanitize", source, "-o", out, "--force", *options), out


def shown(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in decode("--json", "-q", path).out.splitlines()]


@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_what_is_ours_is_written_anew_and_nothing_else_leaks(form: str, tmp_path: Path) -> None:
    packets = household()
    data = pcapng(packets, str(tmp_path / "x")) if form == "pcapng" else pcap(packets)
    if form == "pcapng":
        assert not [secret for secret in SECRETS if secret not in data]
    run, out = sanitize(data, tmp_path)
    assert run.code == 0, run.err
    written = out.read_bytes()
    assert not [secret for secret in SECRETS if secret in written]
    assert "left out: " in run.err
    assert "1 packet of no TCP, 14 packets of 2 other connections" in run.err
    reader = PcapReader(str(out))
    assert isinstance(reader, PcapNgReader) == (form == "pcapng")
    before, after = shown(tmp_path / "in.pcap"), shown(out)
    before = [each for each in before if not each.get("reason", "").startswith("TLS")]
    for key in ("type", "offset", "length", "name", "from", "at"):
        assert [each.get(key) for each in before] == [each.get(key) for each in after], key
    measured = [
        [r["values"] for each in e for r in each.get("readings", ())] for e in (before, after)
    ]
    assert measured[0] == measured[1]
    assert len(measured[0]) == 2
    assert not {each["device"] for each in before if each["device"]} & {e["device"] for e in after}


def test_the_same_segments_at_the_same_times_with_right_checksums(tmp_path: Path) -> None:
    _, out = sanitize(pcap(conversation().packets), tmp_path)
    packets = rdpcap(str(out))
    bodies = [packet for packet in packets if packet[TCP].payload]
    assert [len(packet[TCP].payload) for packet in bodies] == [100, 243, len(ANSWER), 14]
    assert [float(packet.time) for packet in bodies] == [START + n / 10 for n in (3, 5, 7, 9)]
    assert [str(packet[TCP].flags) for packet in packets[:3]] == ["S", "SA", "A"]
    for packet in packets:
        again = Ether(bytes(packet))
        for layer in (IP, TCP):
            del again[layer].chksum
        assert bytes(again) == bytes(packet)
    numbers = {True: None, False: None}
    for packet in bodies:
        from_device = packet[TCP].dport == 10000
        expected = numbers[from_device]
        assert expected in (None, packet[TCP].seq)
        numbers[from_device] = packet[TCP].seq + len(packet[TCP].payload)


def test_one_address_has_one_stand_in_and_ports_stay(tmp_path: Path) -> None:
    one = conversation(device=("192.168.1.5", 1111))
    two = conversation(device=("192.168.1.5", 2222), at=START + 0.05)
    _, out = sanitize(pcap(mixed(one.packets, two.packets)), tmp_path)
    packets = rdpcap(str(out))
    ends = {(packet[IP].src, packet[TCP].sport) for packet in packets}
    assert {port for _, port in ends} == {1111, 2222, 10000}
    assert len({host for host, _ in ends}) == 2
    assert all(ip_address(host).is_private for host, _ in ends)
    assert {packet.src for packet in packets} == {"02:00:00:00:00:01", "02:00:00:00:00:02"}


def test_ipv6_stays_ipv6(tmp_path: Path) -> None:
    wire = conversation(device=("2001:db8::5", 49152), cloud=("2001:db8::a:1", 10000))
    run, out = sanitize(pcap(wire.packets), tmp_path)
    assert "ip" in run.err
    (name,) = {each["connection"] for each in shown(out)}
    assert name.startswith("[fd")
    assert "2001" not in name


def test_a_gap_and_a_second_connection_are_still_there(tmp_path: Path) -> None:
    wire = Wire().open()
    wire.device(HEARTBEAT)
    wire.device(REALTIME[:100])
    wire.device(REALTIME[100:150], seen=False)
    wire.device(REALTIME[150:])
    wire.device(HEARTBEAT)
    again = conversation(first=123_456_789, at=START + 60)
    _, out = sanitize(pcap(wire.packets + again.packets), tmp_path)
    run = decode("--json", out)
    entries = [json.loads(line) for line in run.out.splitlines()]
    assert [each["length"] for each in entries] == [14, 100, 193, 14, 343, len(ANSWER), 14]
    assert "50 bytes missing before offset 114" in run.err
    first, second = {each["connection"]: None for each in entries}
    assert second == first + " #2"


def test_where_nobody_knows_who_is_who_nobody_is_said_to_begin(tmp_path: Path) -> None:
    """Both ends have a known port, and the frames found tell nothing of their sender."""
    spelling = PcapSpelling(PCAP)
    there, back = "10.0.0.9:10000->10.0.0.7:10000", "10.0.0.7:10000->10.0.0.9:10000"
    chunks = [
        Chunk("in", b"ab", START, there, None, PCAP),
        Chunk("in", b"cd", START + 1, back, None, PCAP),
        Chunk("in", b"ef", None, there, None, PCAP),
        Chunk("in", b"", None, there, None, PCAP, gap=Gap(4, 0)),
    ]
    (tmp_path / "out").write_bytes(b"".join(map(spelling.feed, chunks)) + spelling.finish())
    packets = rdpcap(str(tmp_path / "out"))
    assert [(packet[IP].src, bytes(packet[TCP].payload)) for packet in packets] == [
        ("10.0.0.9", b"ab"),
        ("10.0.0.7", b"cd"),
        ("10.0.0.9", b"ef"),
    ]
    assert [float(packet.time) for packet in packets] == [START, START + 1, START + 1]
    assert packets[2][TCP].seq == packets[0][TCP].seq + 2
    assert packets[2][TCP].ack == packets[1][TCP].seq + 2


def test_more_than_a_packet_can_hold_goes_into_several(tmp_path: Path) -> None:
    spelling = PcapSpelling(PCAP)
    name = "10.0.0.9:1->10.0.0.7:10000"
    chunk = Chunk("in", bytes(150_000), START, name, "device", PCAP)
    (tmp_path / "out").write_bytes(spelling.feed(chunk) + spelling.finish())
    sizes = [len(packet[TCP].payload) for packet in rdpcap(str(tmp_path / "out"))]
    assert sizes == [0, 0, 0, 65_000, 65_000, 20_000]


def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pcap_writing, "MOST_CONNECTIONS", 3)
    spelling = PcapSpelling(PCAP)
    for n in range(9):
        spelling.feed(Chunk("in", b"a", START, f"10.0.0.9:{n}->10.0.0.7:7777", "device", PCAP))
    assert len(spelling._connections) == 3


def test_packets_wait_a_while_for_earlier_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pcap_writing, "MOST_WAITING", 3)
    spelling = PcapSpelling(PCAP)
    name = "10.0.0.9:1->10.0.0.7:7777"
    written = b""
    for at in (5, 2, 4, 3, 1):
        written += spelling.feed(Chunk("in", b"%d" % at, at, name, None, PCAP))
        assert len(spelling._waiting) <= 3
    written += spelling.finish()
    times = [int.from_bytes(written[at : at + 4], "little") for at in range(24, len(written), 71)]
    assert times == [2, 1, 3, 4, 5], "no more than three wait"


def test_what_is_not_ours_is_not_written(tmp_path: Path) -> None:
    tls = Wire().open()
    tls.device(HELLO)
    run, out = sanitize(pcap(tls.packets + web().packets), tmp_path)
    assert run.code == 1
    assert "no connection with a frame in it" in run.err
    assert not out.exists()


def test_from_standard_input_to_standard_output() -> None:
    data = pcap(conversation().packets)
    run = decode("--redact", "--json", "-q", stdin=data)
    assert run.code == 0
    assert "192.168.1.5" not in run.out
    assert invoke("sanitize", "-", "-q", "-o", "-", stdin=data).code == 0
