"""A capture from the network written anew: clean packets with nothing else in them.

For each chunk that `pcap.py` gave there is a packet, at its time: Ethernet, IP and TCP headers made
up around the bytes, with the addresses that the chunk's connection names (stand-ins, when it was
redacted), right checksums, and numbers that follow on each other. Where bytes were missing they are
missing again. Each connection begins with its three packets of greeting, so that who reads it knows
who began; only where nobody knows who is the device, nobody greets.

All other things of a capture (retransmissions, bare acknowledgements, other connections, hardware
addresses, names of interfaces, comments) are not there to be written.
"""

import re
from collections import OrderedDict
from collections.abc import Iterator
from heapq import heappop, heappush
from io import BytesIO
from os import devnull
from typing import Any

from inverterproto_cli.chunk import PCAPNG, Chunk
from inverterproto_cli.extra import MissingExtra
from inverterproto_cli.tcp import Endpoint

MOST_CONNECTIONS = 1 << 14
MOST_WAITING = 1 << 12
"""Packets that wait for earlier ones, as what a connection says first is known late to be ours."""
_LITTLE = 2**-22
"""Seconds, less than half a microsecond: the nearest number is right when the rest is cut off."""
LONGEST_DATA = 65_000
"""Bytes in a packet: IP counts up to 65,535 with its headers."""
_WINDOW_SCALE = 14
_STEP = 0x3C6EF372
"""How far the first numbers of two connections are apart: so that none goes on another."""
_match_name = re.compile(
    r"\[?([0-9A-Fa-f:.]+?)\]?:([0-9]{1,5})->\[?([0-9A-Fa-f:.]+?)\]?:([0-9]{1,5})( #[0-9]+)?"
).fullmatch


class _Sending:
    """A connection as it is written: what each of its ends sends next."""

    def __init__(self, ends: tuple[Endpoint, Endpoint], first: int) -> None:
        self.ends = ends
        self.numbers = [first % (1 << 32), (first + _STEP // 3) % (1 << 32)]

    def advance(self, side: int, count: int) -> None:
        self.numbers[side] = (self.numbers[side] + count) % (1 << 32)


class PcapSpelling:
    """Spells chunks of a capture from the network as such a capture.

    Args:
        form: `PCAP` or `PCAPNG`.
    """

    def __init__(self, form: str) -> None:
        try:
            from scapy.layers import inet, inet6, l2
            from scapy.packet import Raw
            from scapy.utils import PcapNgWriter, PcapWriter
        except ImportError as error:
            raise MissingExtra("to write captures from the network", "pcap") from error
        self._inet, self._inet6, self._l2, self._raw = inet, inet6, l2, Raw
        self._buffer = BytesIO()
        self._writer: Any
        if form == PCAPNG:
            self._writer = PcapNgWriter(devnull)  # it takes no file but by name
            self._writer.f.close()
            self._writer.f = self._buffer
        else:
            self._writer = PcapWriter(self._buffer)
        self._connections: OrderedDict[tuple[object, ...], _Sending] = OrderedDict()
        self._count = 0
        self._waiting: list[tuple[float, int, Any]] = []
        self._order = 0
        self._time = 0.0

    def feed(self, chunk: Chunk) -> bytes:
        """Return what a chunk adds to the file."""
        found = _match_name(chunk.connection or "")
        assert found is not None  # noqa: S101 - named by pcap.py
        first, second = Endpoint(found[1], int(found[2])), Endpoint(found[3], int(found[4]))
        side = int(chunk.sender == "cloud")
        if chunk.sender is None and second < first:  # each direction goes by its own name
            first, second, side = second, first, 1
        self._time = max(self._time, chunk.at or 0)
        at = self._time if chunk.at is None else chunk.at
        for packet in self._packets((first, second), found[5], side, chunk):
            packet.time = at + _LITTLE
            self._order += 1
            heappush(self._waiting, (at, self._order, packet))
        return self._written(MOST_WAITING)

    def finish(self) -> bytes:
        """Return the end of the file."""
        return self._written(0)

    def _written(self, left: int) -> bytes:
        """Write the earliest packets until no more than so many are left; return their bytes."""
        while len(self._waiting) > left:
            self._writer.write(heappop(self._waiting)[2])
        written = self._buffer.getvalue()
        self._buffer.seek(0)
        self._buffer.truncate()
        return written

    def _packets(
        self, ends: tuple[Endpoint, Endpoint], number: str | None, side: int, chunk: Chunk
    ) -> Iterator[Any]:
        sending = self._connections.get((ends, number))
        if sending is None:
            self._count += 1
            sending = self._connections[ends, number] = _Sending(ends, self._count * _STEP)
            if len(self._connections) > MOST_CONNECTIONS:
                self._connections.popitem(last=False)
            if chunk.sender is not None:
                yield from self._greeting(sending)
        self._connections.move_to_end((ends, number))
        if chunk.gap is not None:
            sending.advance(side, chunk.gap.missing)
        for at in range(0, len(chunk.data), LONGEST_DATA):
            yield self._packet(sending, side, "PA", chunk.data[at : at + LONGEST_DATA])

    def _greeting(self, sending: _Sending) -> Iterator[Any]:
        for side, flags in ((0, "S"), (1, "SA"), (0, "A")):
            yield self._packet(sending, side, flags, b"")

    def _packet(self, sending: _Sending, side: int, flags: str, data: bytes) -> Any:  # noqa: ANN401 - scapy's Packet
        source, target = sending.ends[side], sending.ends[1 - side]
        layer = self._inet6.IPv6 if ":" in source.host else self._inet.IP
        syn = "S" in flags
        tcp = self._inet.TCP(
            sport=source.port,
            dport=target.port,
            seq=sending.numbers[side],
            ack=sending.numbers[1 - side] if "A" in flags else 0,
            flags=flags,
            window=65535,
            options=[("WScale", _WINDOW_SCALE)] if syn else [],
        )
        sending.advance(side, len(data) + syn)
        ethernet = self._l2.Ether(src=_hardware(side), dst=_hardware(1 - side))
        packet = ethernet / layer(src=source.host, dst=target.host) / tcp
        return packet / self._raw(data) if data else packet


def _hardware(side: int) -> str:
    return f"02:00:00:00:00:{side + 1:02x}"
