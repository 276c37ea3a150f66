"""`decode` and `sanitize` of captures from the network: ours is found in it, and nothing else."""

import gzip
import io
import json
import random
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("scapy", reason="the extra `pcap` is not installed")

from scapy.layers.dot11 import Dot11, RadioTap
from scapy.layers.inet import IP, TCP, fragment
from scapy.layers.l2 import LLC, SNAP, CookedLinux, CookedLinuxV2, Dot1Q, Ether, Loopback
from scapy.layers.ppp import PPP, PPPoE
from scapy.packet import Packet

from inverterproto.families import framings
from inverterproto_cli import chunk_file
from inverterproto_cli import pcap as pcap_module
from inverterproto_cli.chunk import Chunk, SourceError
from inverterproto_cli.sources import PORTS, Listener, Source, read
from inverterproto_cli.tcp import Endpoint, Segment
from tests.conftest import decode, invoke
from tests.pcaps import (
    ANSWER,
    CLOUD,
    HEARTBEAT,
    HELLO,
    REALTIME,
    START,
    STATUS,
    Wire,
    conversation,
    mixed,
    name_query,
    pcap,
    pcapng,
    web,
)

NAME = "192.168.1.5:49152->47.88.8.200:10000"


def source(data: bytes) -> Source:
    return Source("in.pcap", lambda: io.BytesIO(data), len(data))


class Told:
    """Notes what a listener is told."""

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self.notes: list[str] = []
        self.left_out: list[str] = []
        self.listener = Listener(
            complain=self.complaints.append, note=self.notes.append, left_out=self.left_out.append
        )


def chunks(data: bytes, told: Told | None = None, ports: frozenset[int] = PORTS) -> list[Chunk]:
    return list(read(source(data), (told or Told()).listener, ports=ports))


def streams(found: list[Chunk]) -> dict[tuple[str | None, str | None], bytes]:
    """Return what each connection and sender sent."""
    out: dict[tuple[str | None, str | None], bytes] = {}
    for chunk in found:
        key = chunk.connection, chunk.sender
        out[key] = out.get(key, b"") + chunk.data
    return out


class TestForms:
    @pytest.mark.parametrize("endianness", ["<", ">"])
    @pytest.mark.parametrize("nano", [False, True])
    def test_pcap_of_both_byte_orders_and_resolutions(self, endianness: str, nano: bool) -> None:  # noqa: FBT001
        found = chunks(pcap(conversation().packets, endianness=endianness, nano=nano))
        assert streams(found) == {
            (NAME, "device"): REALTIME + HEARTBEAT,
            (NAME, "cloud"): ANSWER,
        }
        assert [chunk.at for chunk in found if chunk.data] == pytest.approx(
            [START + n for n in (0.3, 0.5, 0.7, 0.9)]
        )
        assert {chunk.form for chunk in found} == {"pcap"}

    def test_pcapng(self, tmp_path: Path) -> None:
        data = pcapng(conversation().packets, str(tmp_path / "in"))
        found = chunks(data)
        assert streams(found)[NAME, "device"] == REALTIME + HEARTBEAT
        assert found[0].at == START + 0.3
        assert {chunk.form for chunk in found} == {"pcapng"}

    def test_gzip_is_unpacked_and_damage_in_it_told(self) -> None:
        packed = gzip.compress(pcap(conversation().packets))
        assert streams(chunks(packed))[NAME, "cloud"] == ANSWER
        with pytest.raises(SourceError, match=r"^in.pcap: damaged gzip: "):
            chunks(packed[:-12])
        with pytest.raises(SourceError, match=r"^in.pcap: damaged gzip: "):
            chunks(packed[:40] + bytes(40) + packed[80:])
        assert b"".join(c.data for c in chunks(gzip.compress(REALTIME))) == REALTIME
        with pytest.raises(SourceError, match=r"^in.pcap: is empty$"):
            chunks(gzip.compress(b""))

    def test_a_pipe_may_give_the_file_byte_by_byte(self) -> None:
        class Trickle(io.BytesIO):
            def read1(self, size: int | None = -1) -> bytes:  # noqa: ARG002
                return self.read(1)

        for data in (pcap(conversation().packets), gzip.compress(pcap(conversation().packets))):
            found = list(read(Source("-", partial(Trickle, data))))
            assert streams(found)[NAME, "device"] == REALTIME + HEARTBEAT

    def test_what_only_begins_like_a_magic_number_is_binary(self) -> None:
        for head in (b"\xa1", b"\xa1\xb2\xc3", b"\x1f\x8b", b"\x0a\x0d"):
            assert [chunk.form for chunk in chunks(head)] != ["pcap"]

    def test_simple_packets_of_pcapng_have_no_time(self, tmp_path: Path) -> None:
        whole = pcapng(conversation().packets[:1], str(tmp_path / "in"))
        head = whole[: 28 + 20]  # section and interface
        simple = b""
        for packet in conversation().packets:
            body = bytes(packet)
            padded = body + bytes(-len(body) % 4)
            size = (16 + len(padded)).to_bytes(4, "little")
            simple += b"\3\0\0\0" + size + len(body).to_bytes(4, "little") + padded + size
        found = chunks(head + simple)
        assert streams(found)[NAME, "device"] == REALTIME + HEARTBEAT
        assert {chunk.at for chunk in found} == {None}

    def test_the_times_of_a_file_may_be_absurd(self) -> None:
        packets = conversation().packets
        for packet in packets:
            packet.time = 0.0
        assert {chunk.at for chunk in chunks(pcap(packets))} == {None}


def _wifi(inner: Packet) -> Packet:
    head = RadioTap() / Dot11(type=2, subtype=0, FCfield=1)
    return head / LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(OUI=0, code=0x800) / inner


class TestLinkTypes:
    @pytest.mark.parametrize(
        ("wrap", "linktype"),
        [
            (lambda ip: Ether() / Dot1Q(vlan=7) / ip, 1),
            (lambda ip: Ether() / Dot1Q(vlan=7) / Dot1Q(vlan=8) / ip, 1),
            (lambda ip: Ether() / PPPoE(sessionid=3) / PPP() / ip, 1),
            (lambda ip: CookedLinux(proto=0x800) / ip, 113),
            (lambda ip: CookedLinuxV2(proto=0x800) / ip, 276),
            (lambda ip: Loopback(type=2) / ip, 0),
            (lambda ip: ip, 101),
            (lambda ip: ip, 228),
            (_wifi, 127),
        ],
        ids=["VLAN", "QinQ", "PPPoE", "cooked", "cooked v2", "loopback", "raw", "IPv4", "Wi-Fi"],
    )
    def test_ip_is_found_in_every_usual_kind_of_capture(
        self, wrap: Callable[[Packet], Packet], linktype: int
    ) -> None:
        packets = []
        for packet in conversation().packets:
            wrapped = wrap(packet[IP])
            wrapped.time = packet.time
            packets.append(wrapped)
        assert streams(chunks(pcap(packets, linktype=linktype))) == {
            (NAME, "device"): REALTIME + HEARTBEAT,
            (NAME, "cloud"): ANSWER,
        }

    def test_ipv6(self) -> None:
        wire = conversation(device=("2001:db8::5", 49152), cloud=("2001:db8::a:1", 10000))
        assert streams(chunks(pcap(wire.packets))) == {
            ("[2001:db8::5]:49152->[2001:db8::a:1]:10000", "device"): REALTIME + HEARTBEAT,
            ("[2001:db8::5]:49152->[2001:db8::a:1]:10000", "cloud"): ANSWER,
        }

    def test_the_padding_of_short_ethernet_frames_is_no_data(self) -> None:
        packets = []
        for packet in conversation().packets:
            padded = Ether(bytes(packet) + bytes(max(0, 60 - len(packet))) + b"FCS!")
            padded.time = packet.time
            packets.append(padded)
        assert streams(chunks(pcap(packets)))[NAME, "device"] == REALTIME + HEARTBEAT

    def test_what_nobody_knows_is_counted(self) -> None:
        told = Told()
        with pytest.raises(
            SourceError, match="no connection with a frame in it: left out 15 packets of no TCP"
        ):
            chunks(pcap(conversation().packets, linktype=147), told)


class TestWhatIsOurs:
    def test_other_connections_and_protocols_are_left_out_and_counted(self) -> None:
        told = Told()
        packets = mixed(conversation().packets, web().packets, [name_query()])
        found = chunks(pcap(packets), told)
        assert {chunk.connection for chunk in found} == {NAME}
        assert told.left_out == ["in.pcap: 1 packet of no TCP, 9 packets of 1 other connection"]
        assert not told.complaints

    def test_a_frame_makes_a_connection_ours_whatever_its_port(self) -> None:
        wire = conversation(cloud=("10.0.0.7", 8899))
        assert {chunk.connection for chunk in chunks(pcap(wire.packets))} == {
            "192.168.1.5:49152->10.0.0.7:8899"
        }

    def test_what_came_before_the_first_frame_is_given_too(self) -> None:
        wire = Wire(cloud=("10.0.0.7", 8899)).open()
        wire.cloud(b"hello")
        wire.device(b"AT+Z\r\n")
        wire.device(STATUS)
        assert [chunk.data for chunk in chunks(pcap(wire.packets)) if chunk.data] == [
            b"hello",
            b"AT+Z\r\n",
            STATUS,
        ]

    def test_a_connection_without_a_frame_is_not_ours(self) -> None:
        told = Told()
        with pytest.raises(SourceError) as caught:
            chunks(pcap(web(b"\xa5" * 1000).packets), told)
        assert str(caught.value) == (
            "in.pcap: no connection with a frame in it: left out 9 packets of 1 other connection"
        )

    def test_a_frame_after_too_many_bytes_does_not_count(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pcap_module, "LOOKED_AT", 1000)
        wire = web(bytes(1001))
        wire.device(REALTIME)
        with pytest.raises(SourceError):
            chunks(pcap(wire.packets))

    def test_only_frames_that_are_looked_for_count(self) -> None:
        data = pcap(conversation(cloud=("10.0.0.7", 8899)).packets)
        with pytest.raises(SourceError):
            list(read(source(data), looked_for=framings()[1:]))

    def test_a_known_port_is_shown_without_a_frame_up_to_a_limit(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pcap_module, "LOOKED_AT", 1000)
        for ports, port, shown in ((PORTS, 10000, True), (PORTS, 443, False), ({443}, 443, True)):
            told = Told()
            wire = Wire(cloud=("47.88.8.200", port)).open()
            wire.device(HELLO)
            for _ in range(9):
                wire.cloud(bytes(500))
            if not shown:
                with pytest.raises(SourceError):
                    chunks(pcap(wire.packets), told, frozenset(ports))
                continue
            found = chunks(pcap(wire.packets), told, frozenset(ports))
            assert [len(chunk.data) for chunk in found if chunk.data] == [len(HELLO), 500, 500]
            assert found[0].sender == "device"
            (complaint,) = told.complaints
            assert complaint == (
                "in.pcap: 1 connection to a known port without a frame in the first 1,000 bytes; "
                "no more is shown"
            )

    def test_a_short_one_on_a_known_port_is_shown_at_the_end(self) -> None:
        told = Told()
        wire = Wire().open()
        wire.device(HELLO)
        assert chunks(pcap(wire.packets), told)[0].data == HELLO
        assert not told.complaints

    def test_decode_shows_tls_and_takes_further_ports(self, tmp_path: Path) -> None:
        path = tmp_path / "in.pcap"
        path.write_bytes(pcap(web(HELLO).packets))
        assert "no connection with a frame in it" in decode(path).err
        run = decode("--port", "443", "--json", path)
        assert json.loads(run.out.splitlines()[0])["reason"].startswith("TLS ClientHello")


class TestWhoIsWho:
    def test_the_side_at_a_known_port_is_the_cloud_also_in_mid_connection(self) -> None:
        wire = conversation(device=("10.0.0.1", 5000), cloud=("10.0.0.2", 7777))
        found = chunks(pcap(wire.packets[3:]))
        assert {chunk.connection for chunk in found} == {"10.0.0.1:5000->10.0.0.2:7777"}

    def test_at_another_port_the_first_frame_tells_whoever_opened_it(self) -> None:
        wire = Wire(("10.0.0.9", 50000), ("10.0.0.7", 8899)).open()  # who polls the logger
        wire.device(ANSWER)
        wire.cloud(REALTIME)
        assert streams(chunks(pcap(wire.packets))) == {
            ("10.0.0.7:8899->10.0.0.9:50000", "cloud"): ANSWER,
            ("10.0.0.7:8899->10.0.0.9:50000", "device"): REALTIME,
        }

    def test_else_who_opened_it_is_the_device(self) -> None:
        wire = Wire(("10.0.0.9", 10000), ("10.0.0.7", 10000)).open()
        wire.device(HELLO)
        (chunk,) = [chunk for chunk in chunks(pcap(wire.packets)) if chunk.data]
        assert (chunk.sender, chunk.connection) == ("device", "10.0.0.9:10000->10.0.0.7:10000")

    def test_where_nothing_tells_each_direction_has_a_name_of_its_own(self) -> None:
        wire = Wire(("10.0.0.9", 10000), ("10.0.0.7", 10000))
        wire.device(HELLO)
        wire.cloud(b"\x16")
        assert streams(chunks(pcap(wire.packets))) == {
            ("10.0.0.9:10000->10.0.0.7:10000", None): HELLO,
            ("10.0.0.7:10000->10.0.0.9:10000", None): b"\x16",
        }

    def test_a_second_connection_of_the_same_endpoints_has_a_number(self) -> None:
        first, second = conversation(), conversation(first=123_456_789, at=START + 60)
        found = chunks(pcap(first.packets + second.packets))
        assert streams(found) == {
            (NAME + number, sender): data
            for number in ("", " #2")
            for sender, data in (("device", REALTIME + HEARTBEAT), ("cloud", ANSWER))
        }

    def test_of_what_is_not_ours_a_new_connection_is_looked_at_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pcap_module, "LOOKED_AT", 1000)
        cloud = ("10.0.0.7", 8899)
        other = Wire(cloud=cloud).open()
        other.device(bytes(2000))
        again = conversation(cloud=cloud, first=123_456_789, at=START + 60)
        found = chunks(pcap(other.packets + again.packets))
        assert streams(found)["192.168.1.5:49152->10.0.0.7:8899 #2", "cloud"] == ANSWER


class TestWhatIsMissing:
    def test_a_gap_is_told_and_nothing_is_glued_across_it(self, tmp_path: Path) -> None:
        wire = Wire().open()
        wire.device(HEARTBEAT)
        wire.device(REALTIME[:100])
        wire.device(REALTIME[100:150], seen=False)
        wire.device(REALTIME[150:])
        wire.at += 5
        wire.device(HEARTBEAT)
        path = tmp_path / "in.pcap"
        path.write_bytes(pcap(wire.packets))
        run = decode("--json", path)
        shown = [json.loads(line) for line in run.out.splitlines()]
        assert [(each["type"], each["offset"]) for each in shown] == [
            ("frame", 0),
            ("unframed", 14),
            ("unframed", 114),
            ("frame", 307),
        ]
        assert shown[1]["reason"].startswith("incomplete frame at offset 14")
        assert shown[1]["raw"] == REALTIME[:100].hex()
        said = f"50 bytes missing before offset 114 (connection {NAME}, from device)"
        assert said in run.err.splitlines()
        assert decode("--strict", path).code == 1

    def test_two_halves_of_two_frames_make_no_frame(self, tmp_path: Path) -> None:
        """The bytes on both sides of the gap would be a valid frame, if they were put together."""
        wire = Wire().open()
        wire.device(HEARTBEAT)
        wire.device(REALTIME[:200])
        wire.device(bytes(343), seen=False)
        wire.device(REALTIME[200:])
        path = tmp_path / "in.pcap"
        path.write_bytes(pcap(wire.packets))
        for options in ((), ("--redact",)):
            run = decode("--csv", *options, path)
            assert len(run.out.splitlines()) == 1, "a header, and no reading"
            assert "343 bytes missing" in run.err
            assert ("192.168.1.5" in run.err) != bool(options)

    def test_an_ended_connection_gives_up_what_is_incomplete(self, tmp_path: Path) -> None:
        wire = Wire().open()
        wire.device(HEARTBEAT)
        wire.device(REALTIME[:100])
        wire.close()
        again = Wire(first=123_456_789, at=START + 60).open()
        again.device(HEARTBEAT)
        path = tmp_path / "in.pcap"
        path.write_bytes(pcap(wire.packets + again.packets))
        shown = [json.loads(line) for line in decode("--json", "-q", path).out.splitlines()]
        assert [each["type"] for each in shown] == ["frame", "unframed", "frame"]
        assert shown[2]["connection"] == NAME + " #2"

    def test_packets_cut_when_captured_are_told(self) -> None:
        told = Told()
        wire = conversation()
        cut = []
        for packet in wire.packets:
            part = Ether(bytes(packet)[:96])
            part.time, part.wirelen = packet.time, len(packet)
            cut.append(part)
        found = chunks(pcap(cut), told)
        gaps = [chunk.gap.missing for chunk in found if chunk.gap is not None]
        assert [gap for gap in gaps if gap] == [100 - 42, 243 - 42]
        assert told.complaints == [
            "in.pcap: 2 packets cut short when captured; with `-s 0` tcpdump takes them whole"
        ]

    def test_fragments_are_told_and_not_put_together(self) -> None:
        told = Told()
        packets: list[Any] = []
        for packet in conversation().packets:
            cut: Any = fragment  # it has no types
            parts = cut(packet[IP], 200) if len(packet) > 250 else [packet[IP]]
            for part in parts:
                whole = Ether() / part
                whole.time = packet.time
                packets.append(whole)
        found = chunks(pcap(packets), told)
        assert told.complaints == ["in.pcap: 2 IP fragments, which are not put together"]
        assert any(chunk.gap is not None and chunk.gap.missing == 243 for chunk in found)

    def test_repeated_segments_are_noted(self) -> None:
        told = Told()
        wire = conversation()
        packets = [packet for packet in wire.packets for _ in range(2)]
        assert streams(chunks(pcap(packets), told))[NAME, "device"] == REALTIME + HEARTBEAT
        assert told.notes == ["in.pcap: 4 repeated segments dropped"]

    @pytest.mark.parametrize("cut", [1, 15, 16, 20, 100])
    def test_a_file_that_breaks_off_is_told_and_what_came_is_given(
        self, cut: int, tmp_path: Path
    ) -> None:
        for data in (
            pcap(conversation().packets),
            pcapng(conversation().packets, str(tmp_path / "in")),
        ):
            told = Told()
            found = chunks(data[:-cut], told)
            assert streams(found)[NAME, "device"] == REALTIME + HEARTBEAT
            assert told.complaints == [
                "in.pcap: ends within a packet, or is damaged there; the rest is not read"
            ]

    @pytest.mark.parametrize(
        "data", [b"\xd4\xc3\xb2\xa1", b"\x0a\x0d\x0d\x0a" + bytes(30), b"\xa1\xb2\xc3\xd4\0\2"]
    )
    def test_a_file_with_a_damaged_beginning_is_told(self, data: bytes) -> None:
        with pytest.raises(SourceError, match=r"^in.pcap: a capture whose beginning is damaged$"):
            chunks(data)

    def test_a_disk_that_fails_is_told_and_what_came_is_given(self) -> None:
        class Failing(io.BytesIO):
            def read1(self, size: int | None = -1) -> bytes:  # noqa: ARG002
                if not (chunk := self.read(100)):
                    raise OSError("the disk is gone")
                return chunk

        whole = pcap(conversation().packets)
        for data in (whole, gzip.compress(whole)):
            given: list[Chunk] = []
            reading = read(Source("in", partial(Failing, data)))
            with pytest.raises(SourceError, match=r"^in: the disk is gone$"):
                given.extend(reading)
            assert streams(given)[NAME, "device"] == REALTIME + HEARTBEAT

    def test_a_capture_without_packets_has_nothing(self) -> None:
        whole = pcap(conversation().packets)
        with pytest.raises(SourceError, match=r"^in.pcap: no connection with a frame in it$"):
            chunks(whole[:24])


class TestBounds:
    def test_memory_is_bounded_whatever_the_capture_holds(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The one longest silent is followed no more; what it held is given or left out."""
        monkeypatch.setattr(pcap_module, "HELD", 20_000)
        followed = pcap_module._Followed("in", "pcap", framings(), PORTS)
        ours, most = 0, 0
        for n in range(400):
            wire = Wire((f"10.0.{n // 200}.{n % 200}", 1024 + n), CLOUD).open()
            wire.device(bytes(900))
            for packet in wire.packets:
                segment = Segment(
                    Endpoint(packet[IP].src, packet[TCP].sport),
                    Endpoint(packet[IP].dst, packet[TCP].dport),
                    packet[TCP].seq,
                    bytes(packet[TCP].payload),
                )
                ours += sum(len(chunk.data) for chunk in followed.feed(segment))
            most = max(most, followed._weight)
        assert 10_000 < most <= 20_000
        ours += sum(len(chunk.data) for chunk in followed.finish())
        assert ours == 400 * 900
        assert followed._weight == 0

    def test_connections_are_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pcap_module, "MOST_CONNECTIONS", 3)
        wires = [conversation(device=(f"10.0.0.{n}", 1024)) for n in range(9)]
        found = chunks(pcap([packet for wire in wires for packet in wire.packets]))
        assert len(streams(found)) == 18
        assert set(streams(found).values()) == {REALTIME + HEARTBEAT, ANSWER}

    def test_interfaces_are_bounded(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(pcap_module, "MOST_INTERFACES", 3)
        whole = pcapng(conversation().packets, str(tmp_path / "in"))
        told = Told()
        with pytest.raises(SourceError):
            chunks(whole[:48] + whole[28:48] * 5 + whole[48:], told)
        assert "more than 3 interfaces" in told.complaints[0]

    def test_a_block_of_absurd_length_is_damage(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(chunk_file, "LONGEST_READ", 1 << 16)
        whole = pcapng(conversation().packets, str(tmp_path / "in"))
        block = b"\6\0\0\0" + (1 << 20).to_bytes(4, "little") + bytes(1 << 20)
        told = Told()
        assert streams(chunks(whole + block, told))[NAME, "cloud"] == ANSWER
        assert "is damaged there" in told.complaints[0]


@settings(max_examples=60)
@given(
    st.lists(
        st.sampled_from([(0, REALTIME), (0, HEARTBEAT), (1, ANSWER), (0, STATUS)]), min_size=1
    ),
    st.randoms(use_true_random=False),
    st.integers(0, (1 << 32) - 1),
)
def test_any_frames_cut_shuffled_and_repeated_are_decoded(
    said: list[tuple[int, bytes]], chance: random.Random, first: int
) -> None:
    wire = Wire(first=first).open()
    for side, data in said:
        while data:
            size = chance.randrange(1, 400)
            wire.say(side, data[:size])
            data = data[size:]
    packets = wire.packets[3:]
    packets += chance.sample(packets, min(3, len(packets)))
    for packet in packets:
        packet.time += chance.uniform(0, 0.25)
    run = decode("--json", "-q", stdin=pcap(wire.packets[:3] + mixed(packets)))
    shown = [json.loads(line) for line in run.out.splitlines()]
    assert all(each["type"] == "frame" for each in shown)
    for side, sender in enumerate(("device", "cloud")):
        sent = [data.hex() for who, data in said if who == side]
        assert [each["raw"] for each in shown if each["from"] == sender] == sent


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    packets = mixed(conversation().packets, web().packets, [name_query()])
    return [pcap(packets), pcapng(packets, str(tmp_path_factory.mktemp("files") / "in"))]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.integers(0, 1))
def test_a_damaged_capture_is_read_or_told(
    files: list[bytes], data: st.DataObject, form: int
) -> None:
    file = bytearray(files[form])
    for at in data.draw(st.lists(st.integers(4, len(file) - 1), max_size=8)):
        file[at] = data.draw(st.integers(0, 255))
    told = Told()
    with suppress(SourceError):
        assert all(isinstance(chunk, Chunk) for chunk in chunks(bytes(file), told))


class TestMissingExtra:
    def test_without_scapy_it_says_in_one_line_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        path = tmp_path / "in.pcap"
        path.write_bytes(pcap(conversation().packets))
        monkeypatch.setitem(sys.modules, "scapy.layers", None)
        monkeypatch.setitem(sys.modules, "scapy.utils", None)
        sanitized = invoke("sanitize", path, "-o", tmp_path / "out")
        for name, run in ((path, decode(path)), ("input", sanitized)):
            assert run.code == 2
            assert run.err == (
                f"Error: {name}: to read captures from the network: "
                "pip install 'inverterproto[pcap]'\n"
            )
