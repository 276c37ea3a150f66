"""Captures from the network, as tcpdump and Wireshark write them: pcap and pcapng.

Theory of operation
-------------------
scapy reads the packets, one at a time, and takes their headers apart: Ethernet with VLANs and
PPPoE, Linux "cooked", loopback, raw IP, open Wi-Fi; IPv4 and IPv6. `tcp.py` puts the segments of
each connection together. scapy's own `TCPSession` is not used for that: it fills gaps with zeros
and does not tell them.

*What is ours.* Most of what a household's network carries is no business of ours, and megabytes of
it must not be shown as bytes without a frame. So what a connection says is held back until a whole
frame, its checksum right, was found in it, in either direction: then it is ours, with all that
came before. If there is none in its first `LOOKED_AT` bytes it is not, and is passed over. Only a
connection to one of certain ports may be shown also without a frame, up to so many bytes: who
captures the port of a logger wants to see that it speaks TLS.

*Who is who.* The side that listens on one of these ports is the cloud; else the first frame tells;
else the side that opened the connection is the device. Where nothing tells, the sender is None, and
each direction is called by its own name, `from->to`; else a connection is called `device->cloud`.
When the same two endpoints are connected a second time, that is ` #2`.

*What is told.* A gap stands in the first `Chunk` behind it. What goes for the whole file is told at
its end: packets that are IP fragments (which are not put together) or were cut when they were
captured; how many were left out.

*Bounds.* `HELD` bytes of all connections, `MOST_CONNECTIONS` of them; beyond that, the one longest
silent is followed no more. A packet is no longer than `LONGEST_PACKET`, a block of a pcapng file no
longer than `chunk_file.LONGEST_READ`.
"""

import logging
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from inverterproto.families import FAMILIES
from inverterproto.stream import Framed, Framing, StreamDecoder
from inverterproto_cli.captures import LATEST_ARRIVAL
from inverterproto_cli.chunk import PCAP, PCAPNG, Chunk, Gap, SourceError
from inverterproto_cli.chunk_file import ChunkFile
from inverterproto_cli.extra import MissingExtra
from inverterproto_cli.sources import PORTS
from inverterproto_cli.stop import STOP
from inverterproto_cli.summary import count_of
from inverterproto_cli.tcp import WEIGHT, Connection, Endpoint, Piece, Segment

if TYPE_CHECKING:
    from inverterproto_cli.sources import Listener

LOOKED_AT = 1 << 16
"""Bytes of a connection among which there must be a frame: as many as the longest frame has."""
HELD = 1 << 25
MOST_CONNECTIONS = 1 << 13
LONGEST_PACKET = 1 << 18
MOST_INTERFACES = 1 << 12


def read_pcap(
    name: str,
    chunks: Iterable[bytes],
    listener: "Listener",
    looked_for: Sequence[Framing],
    ports: Iterable[int] = (),
) -> Iterator[Chunk]:
    """Yield what the connections of a capture carry, as far as they are ours.

    Args:
        name: of the source.
        chunks: its bytes.
        listener: is told what could not be read, and what was left out.
        looked_for: the frames that make a connection ours.
        ports: whose connections are given even without a frame.

    Raises:
        SourceError: it is no such capture, or has no connection that is ours.
    """
    file = ChunkFile(chunks)
    packets = _Packets(name, file)
    followed = _Followed(name, packets.form, looked_for, ports)
    for segment in packets:
        yield from followed.feed(segment)
    yield from followed.finish()
    if file.fault is not None:
        raise file.fault
    for complaint in (*packets.complaints(), *followed.complaints()):
        listener.complain(f"{name}: {complaint}")
    counts = ", ".join((*packets.left_out(), *followed.left_out()))
    if not followed.shown:
        rest = f": left out {counts}" if counts else ""
        raise SourceError(f"{name}: no connection with a frame in it{rest}")
    if counts:
        listener.left_out(f"{name}: {counts}")
    if followed.repeated:
        listener.note(f"{name}: {count_of(followed.repeated, 'repeated segment')} dropped")


class _Packets:
    """The TCP segments of a file, and a count of its other packets."""

    def __init__(self, name: str, file: ChunkFile) -> None:
        logging.getLogger("scapy").setLevel(logging.CRITICAL)  # what it warns of, is told here
        try:
            from scapy.error import Scapy_Exception
            from scapy.layers import inet, inet6
            from scapy.packet import Raw
            from scapy.utils import PcapNgReader, PcapReader

            for links in ("l2", "ppp", "dot11"):
                import_module(f"scapy.layers.{links}")  # it makes its link types known
        except ImportError as error:
            raise MissingExtra(f"{name}: to read captures from the network", "pcap") from error
        self._tcp = inet.TCP
        self._ip: tuple[Any, Any] = inet.IP, inet6.IPv6
        self._raw = Raw  # and not Padding, which is one, too
        self._fragment = inet6.IPv6ExtHdrFragment
        self._file = file
        try:
            self._reader: Any = PcapReader(file.as_file())  # type: ignore[arg-type]  # its metaclass
        except Scapy_Exception as error:
            raise SourceError(f"{name}: a capture whose beginning is damaged") from error
        self.form = PCAPNG if isinstance(self._reader, PcapNgReader) else PCAP
        self._fault = ""
        self._others = 0
        self._fragments = 0

    def __iter__(self) -> Iterator[Segment]:
        while (packet := self._next()) is not None:
            segment = self._segment(packet)
            if segment is not None:
                yield segment

    def _next(self) -> Any:  # noqa: ANN401 - scapy's Packet
        if len(getattr(self._reader, "interfaces", ())) > MOST_INTERFACES:
            self._fault = f"more than {MOST_INTERFACES:,} interfaces; the rest is not read"
            return None
        try:
            return self._reader.read_packet(size=LONGEST_PACKET, stop_dissection_after=self._tcp)
        except EOFError:
            if not STOP.wanted and (self._file.cut or self._file.read(1)):
                self._fault = "ends within a packet, or is damaged there; the rest is not read"
        except Exception as error:  # noqa: BLE001 - hostile bytes; scapy promises nothing
            self._fault = f"cannot be read on: {type(error).__name__}"
        return None

    def _segment(self, packet: Any) -> Segment | None:  # noqa: ANN401 - scapy's Packet
        tcp = packet.getlayer(self._tcp)
        if self._is_fragment(packet):
            self._fragments += 1
            return None
        network = None if tcp is None else tcp.underlayer
        while network is not None and not isinstance(network, self._ip):
            network = network.underlayer
        if network is None:
            self._others += 1
            return None
        flags = int(tcp.flags)
        # The time is a plain float where the file tells none: then it is the present.
        at = None if isinstance(packet.time, float) else float(packet.time)
        return Segment(
            Endpoint(str(network.src), tcp.sport),
            Endpoint(str(network.dst), tcp.dport),
            tcp.seq,
            tcp.payload.load if type(tcp.payload) is self._raw else b"",
            tcp.ack if flags & 0x10 else None,
            syn=bool(flags & 0x02),
            fin=bool(flags & 0x01),
            reset=bool(flags & 0x04),
            at=at if at is not None and 0 < at < LATEST_ARRIVAL else None,
            cut=(packet.wirelen or 0) > len(packet.original),
        )

    def _is_fragment(self, packet: Any) -> bool:  # noqa: ANN401 - scapy's Packet
        if packet.haslayer(self._fragment):
            return True
        ip = packet.getlayer(self._ip[0])
        return ip is not None and ip.proto == 6 and bool(ip.frag or int(ip.flags) & 1)

    def complaints(self) -> Iterator[str]:
        """Yield what could not be read."""
        if self._fault:
            yield self._fault
        if self._fragments:
            yield f"{count_of(self._fragments, 'IP fragment')}, which are not put together"

    def left_out(self) -> Iterator[str]:
        """Yield what was none of TCP."""
        if self._others:
            yield f"{count_of(self._others, 'packet')} of no TCP"


class _Watched:
    """A connection, and what was found out about it.

    Attributes:
        number: tells it from others between the same endpoints.
        ours: whether a frame was found in it; None as long as that may come.
        shown: whether it is given.
        held: what it said, as long as that is not known.
        bytes_held: how many bytes that are.
    """

    def __init__(self, segment: Segment, looked_for: Sequence[Framing], number: int) -> None:
        self.connection = Connection(segment.source, segment.target)
        self.number = number
        self.packets = 0
        self.cut = 0
        self.ours: bool | None = None
        self.shown = False
        self.held: list[tuple[int, Piece]] = []
        self.bytes_held = 0
        self._cloud: int | None = None  # the side that is the cloud
        self._given = [0, 0]
        self._probes = [StreamDecoder(*looked_for) for _ in range(2)]

    @property
    def weight(self) -> int:
        """How much memory it takes, about, for what it holds."""
        return self.bytes_held + len(self.held) * WEIGHT + self.connection.weight

    def is_at(self, ports: frozenset[int]) -> bool:
        """Return whether one of its ends has one of these ports."""
        return any(end.port in ports for end in self.connection.ends)

    def judge(self, side: int, piece: Piece, clouds: frozenset[int]) -> None:
        """Hold a piece, and look whether it shows that the connection is ours."""
        self.held.append((side, piece))
        self.bytes_held += len(piece.data)
        probe = self._probes[side]
        items = probe.flush() if piece.missing is not None else []
        items += probe.feed(piece.data)
        frame = next((item for item in items if isinstance(item, Framed)), None)
        if frame is not None:
            self.ours = True
            self.find_cloud(clouds, side, frame)
        elif self.bytes_held > LOOKED_AT:
            self.ours = False

    def find_cloud(
        self, clouds: frozenset[int], side: int = 0, frame: Framed | None = None
    ) -> None:
        """Find out which side is the cloud, which listens on one of the ports `clouds`."""
        listens = [end.port in clouds for end in self.connection.ends]
        if listens.count(True) == 1:
            self._cloud = listens.index(True)
            return
        if frame is not None:
            sender = FAMILIES[frame.family].message(frame.frame).sender
            self._cloud = {"cloud": side, "device": 1 - side}.get(sender or "")
        if self._cloud is None and self.connection.opener is not None:
            self._cloud = 1 - self.connection.opener

    def release(self) -> list[tuple[int, Piece]]:
        """Return what was held; nothing more will be."""
        held, self.held = self.held, []
        self.bytes_held = 0
        self._probes = []
        return held

    def chunk(self, side: int, piece: Piece, name: str, form: str) -> Chunk:
        """Return the chunk that a piece is."""
        first = side if self._cloud is None else 1 - self._cloud
        ends = self.connection.ends
        number = f" #{self.number}" if self.number > 1 else ""
        sender = None if self._cloud is None else "cloud" if side == self._cloud else "device"
        gap = None if piece.missing is None else Gap(self._given[side], piece.missing)
        self._given[side] += len(piece.data)
        connection = f"{ends[first]}->{ends[1 - first]}{number}"
        return Chunk(name, piece.data, piece.at, connection, sender, form, gap=gap)


class _Followed:
    """All connections of a capture, of which those that are ours are given.

    Attributes:
        shown: how many were.
        repeated: how many of their segments were dropped because they came again.
    """

    def __init__(
        self, name: str, form: str, looked_for: Sequence[Framing], ports: Iterable[int]
    ) -> None:
        self.shown = 0
        self.repeated = 0
        self._name = name
        self._form = form
        self._looked_for = looked_for
        self._ports = frozenset(ports)
        self._clouds = PORTS | self._ports
        self._table: OrderedDict[tuple[Endpoint, ...], _Watched] = OrderedDict()
        self._weight = 0
        self._cut = 0
        self._broken_off = 0
        self._foreign = 0
        self._packets = 0
        self._shown_packets = 0

    def feed(self, segment: Segment) -> Iterator[Chunk]:
        """Take a segment; yield what it makes known."""
        key = tuple(sorted((segment.source, segment.target)))
        watched = self._table.get(key)
        number = 1
        if watched is not None and self._is_left(watched, segment):
            number = watched.number + 1
            yield from self._end(key)
            watched = None
        if watched is None:
            watched = self._table[key] = _Watched(segment, self._looked_for, number)
        self._table.move_to_end(key)
        watched.packets += 1
        self._packets += 1
        if watched.ours is not False:
            watched.cut += segment.cut
            before = watched.weight
            yield from self._give(watched, watched.connection.take(segment))
            self._weight += watched.weight - before
        while len(self._table) > MOST_CONNECTIONS or self._weight > HELD:
            yield from self._end(next(iter(self._table)))

    @staticmethod
    def _is_left(watched: _Watched, segment: Segment) -> bool:
        # Of what is not ours only the beginnings are followed.
        followed = watched.ours is not False or segment.syn
        return followed and watched.connection.is_left_by(segment)

    def finish(self) -> Iterator[Chunk]:
        """Yield what is left: the capture is over."""
        while self._table:
            yield from self._end(next(iter(self._table)))

    def _end(self, key: tuple[Endpoint, ...]) -> Iterator[Chunk]:
        """Follow a connection no more."""
        watched = self._table.pop(key)
        self._weight -= watched.weight
        if watched.ours is not False:
            yield from self._give(watched, watched.connection.finish())
        if watched.ours is None:
            yield from self._dismiss(watched)
        if watched.shown:
            self.repeated += watched.connection.repeated
            self._cut += watched.cut
            self._shown_packets += watched.packets

    def _give(self, watched: _Watched, pieces: Iterator[tuple[int, Piece]]) -> Iterator[Chunk]:
        for side, piece in pieces:
            if watched.ours:
                yield from self._chunks(watched, [(side, piece)])
            elif watched.ours is None:
                watched.judge(side, piece, self._clouds)
                if watched.ours:
                    yield from self._show(watched)
        if watched.ours is False:
            yield from self._dismiss(watched)

    def _dismiss(self, watched: _Watched) -> Iterator[Chunk]:
        """Pass over a connection without a frame from now on."""
        watched.ours = False
        if watched.bytes_held and watched.is_at(self._ports):
            watched.find_cloud(self._clouds)
            self._broken_off += watched.bytes_held > LOOKED_AT
            yield from self._show(watched)
        else:
            self._foreign += 1
            watched.release()
        for _ in watched.connection.finish():
            pass  # nor is anything held of what comes too early

    def _show(self, watched: _Watched) -> Iterator[Chunk]:
        self.shown += 1
        watched.shown = True
        yield from self._chunks(watched, watched.release())

    def _chunks(self, watched: _Watched, pieces: list[tuple[int, Piece]]) -> Iterator[Chunk]:
        for side, piece in pieces:
            chunk = watched.chunk(side, piece, self._name, self._form)
            if chunk.data or (chunk.gap is not None and any(chunk.gap)):  # not the end of nothing
                yield chunk

    def complaints(self) -> Iterator[str]:
        """Yield what could not be read."""
        if self._cut:
            yield (
                f"{count_of(self._cut, 'packet')} cut short when captured; "
                "with `-s 0` tcpdump takes them whole"
            )
        if self._broken_off:
            yield (
                f"{count_of(self._broken_off, 'connection')} to a known port without a frame in "
                f"the first {LOOKED_AT:,} bytes; no more is shown"
            )

    def left_out(self) -> Iterator[str]:
        """Yield what was passed over."""
        if packets := self._packets - self._shown_packets:
            others = count_of(self._foreign, "other connection")
            yield f"{count_of(packets, 'packet')} of {others}"
