"""Wireshark's own programs and we see the same in a capture."""

import json
from pathlib import Path

import pytest

pytest.importorskip("scapy", reason="the extra `pcap` is not installed")

from scapy.layers.inet import TCP

from tests.conftest import decode, invoke
from tests.counterparts import needs, run
from tests.pcaps import (
    ANSWER,
    HEARTBEAT,
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

pytestmark = needs("tshark", "text2pcap", "editcap", "mergecap")

WRONG = "tcp.analysis.flags || tcp.checksum.status == 0 || ip.checksum.status == 0 || _ws.malformed"
"""What tshark says of packets with something wrong."""


def fields(path: Path, wanted: str, *names: str) -> list[list[str]]:
    """Return fields of the packets that tshark finds, its checks of checksums switched on."""
    arguments: list[str | Path] = ["-r", path, "-n", "-Y", wanted, "-T", "fields"]
    for option in ("tcp.check_checksum:TRUE", "ip.check_checksum:TRUE"):
        arguments += ["-o", option]
    for name in names:
        arguments += ["-e", name]
    return [line.split("\t") for line in run("tshark", *arguments).splitlines()]


def followed(path: Path, stream: int) -> list[bytes]:
    """Return what tshark says was said from each side."""
    shown = run("tshark", "-r", path, "-q", "-z", f"follow,tcp,raw,{stream}")
    said: list[bytes] = [b"", b""]
    for line in shown.splitlines():
        text = line.strip("\t")
        if text and all(digit in "0123456789abcdef" for digit in text):
            said[line.startswith("\t")] += bytes.fromhex(text)
    return said


def decoded(path: Path) -> list[list[bytes]]:
    """Return what we say that was said on each connection, from the device and from the cloud."""
    said: dict[str, list[bytes]] = {}
    for line in decode("--json", "-q", path).out.splitlines():
        item = json.loads(line)
        both = said.setdefault(item["connection"], [b"", b""])
        both[item["from"] == "cloud"] += bytes.fromhex(item["raw"])
    return list(said.values())


def damaged() -> Packets:
    """Return a capture in which segments come twice, cut otherwise, too late, and overlapping."""
    wire = Wire(first=(1 << 32) - 200).open()
    wire.device(REALTIME[:100])
    late = wire.packet(0, REALTIME[100:200])
    wire.numbers[0] += 100
    wire.say(0, REALTIME[200:300])
    wire.put(late)
    wire.put(wire.packet(0, REALTIME[200:300], number=wire.numbers[0] - 100))
    wire.put(wire.packet(0, REALTIME[250:343], number=wire.numbers[0] - 50))
    wire.numbers[0] += 43
    wire.put(wire.packet(0, b"\x15", number=wire.numbers[0] - 1))  # a keep-alive probe
    wire.cloud(ANSWER)
    wire.device(HEARTBEAT)
    return wire.close().packets


@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_tshark_puts_a_damaged_capture_together_as_we_do(form: str, tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(pcap(damaged()) if form == "pcap" else pcapng(damaged(), str(path)))
    flags = fields(path, "tcp.analysis.flags", "tcp.analysis.retransmission", "tcp.analysis.flags")
    assert len(flags) >= 3, "tshark, too, finds it damaged"
    assert decoded(path) == [[REALTIME + HEARTBEAT, ANSWER]]
    assert decoded(path) == [followed(path, 0)]


def test_tshark_sees_the_gap_that_we_see(tmp_path: Path) -> None:
    wire = Wire().open()
    wire.device(HEARTBEAT)
    wire.device(REALTIME[:100])
    wire.device(REALTIME[100:150], seen=False)
    wire.device(REALTIME[150:])
    wire.close()
    path = tmp_path / "in.pcap"
    path.write_bytes(pcap(wire.packets))
    assert b"[50 bytes missing in capture file]" in followed(path, 0)[0]
    assert "50 bytes missing before offset 114" in decode(path).err
    assert decoded(path) == [[HEARTBEAT + REALTIME[:100] + REALTIME[150:], b""]]


@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_tshark_finds_nothing_wrong_in_what_sanitize_writes(form: str, tmp_path: Path) -> None:
    battery = conversation(device=("2001:db8::5", 40000), cloud=("2001:db8::1", 7777))
    packets = mixed(damaged(), battery.packets, web().packets, [name_query()])
    source, out = tmp_path / "in", tmp_path / "out"
    source.write_bytes(pcap(packets) if form == "pcap" else pcapng(packets, str(source)))
    assert invoke("sanitize", source, "-o", out).code == 0
    assert fields(out, WRONG, "frame.number", "_ws.col.Info") == []
    assert fields(out, "!tcp", "frame.number") == []
    payloads = fields(out, "tcp.len > 0", "frame.time_epoch", "tcp.stream", "tcp.payload")
    said = decoded(out)
    assert sorted(said) == sorted(followed(out, stream) for stream in (0, 1))
    assert [sum(map(len, both)) for both in said] == [len(REALTIME + HEARTBEAT + ANSWER)] * 2
    assert sum(len(payload) // 2 for _, _, payload in payloads) == 2 * sum(map(len, said[0]))
    assert [float(at) for at, _, _ in payloads] == sorted(float(at) for at, _, _ in payloads)


def test_what_text2pcap_editcap_and_mergecap_make_is_read(tmp_path: Path) -> None:
    dump, one, two = tmp_path / "dump.txt", tmp_path / "one", tmp_path / "two"
    rows = "".join(
        f"{at:06x} {STATUS[at : at + 16].hex(' ')}\n" for at in range(0, len(STATUS), 16)
    )
    dump.write_text(rows)
    run("text2pcap", "-q", "-4", "10.0.0.5,10.0.0.9", "-T", "40000,7777", dump, one)
    two.write_bytes(pcap(conversation().packets))
    for form in ("pcap", "nsecpcap", "pcapng"):
        copy = tmp_path / form
        run("editcap", "-F", form, two, copy)
        assert decoded(copy) == [[REALTIME + HEARTBEAT, ANSWER]]
    run("editcap", "-F", "pcapng", "-a", "1:bobs comment", two, tmp_path / "commented")
    merged = tmp_path / "merged"
    run("mergecap", "-F", "pcapng", "-w", merged, one, tmp_path / "commented")
    assert sorted(decoded(merged)) == sorted([[REALTIME + HEARTBEAT, ANSWER], [STATUS, b""]])
    out = tmp_path / "out"
    assert invoke("sanitize", merged, "-o", out).code == 0
    assert b"bobs" in merged.read_bytes()
    assert b"bobs" not in out.read_bytes()


def test_editcap_cuts_packets_and_we_say_what_is_missing(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.write_bytes(pcap(conversation().packets))
    run("editcap", "-s", "96", whole, cut)
    err = decode(cut).err
    assert "2 packets cut short when captured" in err
    assert "58 bytes missing before offset 42" in err


def test_a_sanitised_second_connection_is_one_for_tshark_too(tmp_path: Path) -> None:
    first, second = conversation(), conversation(first=123_456_789, at=START + 60)
    source, out = tmp_path / "in", tmp_path / "out"
    source.write_bytes(pcap(first.packets + second.packets))
    assert invoke("sanitize", source, "-o", out).code == 0
    streams = {stream for (stream,) in fields(out, "tcp.len > 0", "tcp.stream")}
    assert streams == {"0", "1"}
    bad = fields(out, "tcp.analysis.flags && !tcp.analysis.reused_ports", "_ws.col.Info")
    assert bad == []


def test_scapy_and_tshark_agree_on_the_numbers(tmp_path: Path) -> None:
    """Our captures are made by scapy; here is what another reader makes of them."""
    path = tmp_path / "in"
    path.write_bytes(pcap(damaged()))
    numbers = [int(number) for (number,) in fields(path, "tcp", "tcp.seq_raw")]
    assert numbers == [packet[TCP].seq for packet in damaged()]
