"""Captures from the network, made by scapy: what a household's router sees of a conversation."""

import io
import logging
from collections.abc import Iterable, Sequence
from typing import Any

logging.getLogger("scapy").setLevel(logging.CRITICAL)

from scapy.layers.dns import DNS, DNSQR  # noqa: E402
from scapy.layers.inet import IP, TCP, UDP  # noqa: E402 - quiet from the beginning
from scapy.layers.inet6 import IPv6  # noqa: E402
from scapy.layers.l2 import Ether  # noqa: E402
from scapy.packet import Packet, Raw  # noqa: E402
from scapy.utils import PcapNgWriter, PcapWriter  # noqa: E402

from inverterproto.deye.commands import reply  # noqa: E402
from inverterproto.deye.frame import Frame  # noqa: E402
from tests.vectors import fixtures, raw  # noqa: E402

REALTIME, HEARTBEAT = raw("micro-5408-realtime"), raw("heartbeat")
ANSWER = reply(Frame.parse(REALTIME), 1_712_596_443, next_heartbeat=60).build()
ALPHA = fixtures("alphaess")
LOGIN, STATUS = ALPHA["login"], ALPHA["status-1"]
HELLO = bytes.fromhex("16030100d8010000d40303") + b"www.example.org" + bytes(300)
"""The beginning of a ClientHello."""
DEVICE, CLOUD = ("192.168.1.5", 49152), ("47.88.8.200", 10000)
START = 1_712_596_443.25
Packets = list[Any]
"""Of scapy; each with its time."""


class Wire:
    """A connection, as it is captured.

    Args:
        device: who opens it.
        cloud: who listens.
        first: the first sequence number of the device.
        at: when it begins, in unix seconds.
    """

    def __init__(
        self,
        device: tuple[str, int] = DEVICE,
        cloud: tuple[str, int] = CLOUD,
        first: int = 1000,
        at: float = START,
    ) -> None:
        self.ends = device, cloud
        self.numbers = [first, 7000]
        self.at = at
        self.packets: Packets = []

    def packet(
        self, side: int, data: bytes = b"", flags: str = "PA", number: int | None = None
    ) -> Any:  # noqa: ANN401
        """Return a packet of one side, without sending it."""
        (source, sport), (target, dport) = self.ends[side], self.ends[1 - side]
        layer = IPv6 if ":" in source else IP
        tcp = TCP(
            sport=sport,
            dport=dport,
            seq=(self.numbers[side] if number is None else number) % (1 << 32),
            ack=self.numbers[1 - side] % (1 << 32) if "A" in flags else 0,
            flags=flags,
        )
        packet = Ether(src="aa:bb:cc:dd:ee:0" + str(side), dst="aa:bb:cc:dd:ee:0" + str(1 - side))
        packet = packet / layer(src=source, dst=target) / tcp
        return packet / Raw(data) if data else packet

    def put(self, packet: Any) -> None:  # noqa: ANN401
        """Have a packet captured, a tenth of a second after the one before."""
        packet.time = self.at
        self.at = round(self.at + 0.1, 6)
        self.packets.append(packet)

    def say(self, side: int, data: bytes = b"", flags: str = "PA", *, seen: bool = True) -> None:
        """Send something; it is captured if it is seen."""
        if seen:
            self.put(self.packet(side, data, flags))
        self.numbers[side] += len(data) + ("S" in flags) + ("F" in flags)

    def open(self) -> "Wire":
        """Begin with the usual greeting."""
        self.say(0, flags="S")
        self.say(1, flags="SA")
        self.say(0, flags="A")
        return self

    def device(self, data: bytes, *, seen: bool = True) -> None:
        """Let the device send; the cloud acknowledges."""
        self.say(0, data, seen=seen)
        self.say(1, flags="A")

    def cloud(self, data: bytes, *, seen: bool = True) -> None:
        """Let the cloud send; the device acknowledges."""
        self.say(1, data, seen=seen)
        self.say(0, flags="A")

    def close(self) -> "Wire":
        """End as usual."""
        for side in (0, 1):
            self.say(side, flags="FA")
            self.say(1 - side, flags="A")
        return self


def mixed(*several: Sequence[Any]) -> Packets:
    """Return the packets of several connections in the order of their times."""
    return sorted((packet for each in several for packet in each), key=lambda it: float(it.time))


def pcap(
    packets: Iterable[Any],
    *,
    endianness: str = "<",
    nano: bool = False,
    linktype: int | None = None,
) -> bytes:
    """Return packets as a pcap file."""
    buffer = io.BytesIO()
    with_type = {} if linktype is None else {"linktype": linktype}
    writer: Any = PcapWriter(buffer, endianness=endianness, nano=nano, **with_type)  # type: ignore[arg-type]
    for packet in packets:
        writer.write(packet)
    return buffer.getvalue()


def pcapng(packets: Iterable[Any], path: str) -> bytes:
    """Return packets as a pcapng file, which scapy writes by way of a path."""
    writer: Any = PcapNgWriter(path)
    for packet in packets:
        writer.write(packet)
    writer.close()
    with open(path, "rb") as file:
        return file.read()


def conversation(**options: Any) -> Wire:  # noqa: ANN401 - those of Wire
    """Return a logger's conversation: a data frame in two segments, its reply, a heartbeat."""
    wire = Wire(**options).open()
    wire.device(REALTIME[:100])
    wire.device(REALTIME[100:])
    wire.cloud(ANSWER)
    wire.device(HEARTBEAT)
    return wire.close()


def web(
    data: bytes = b"GET / HTTP/1.1\r\n\r\n", port: int = 443, host: str = "192.168.1.9"
) -> Wire:
    """Return a connection that is no business of ours."""
    wire = Wire((host, 50000), ("93.184.216.34", port)).open()
    wire.device(data)
    return wire.close()


def name_query(name: str = "bobs-laptop.example.org") -> Packet:
    packet = Ether() / IP(src="192.168.1.9", dst="192.168.1.1") / UDP(sport=5353, dport=53)
    packet = packet / DNS(qd=DNSQR(qname=name))
    packet.time = START
    return packet
