"""From a stream to its frames: whole ones in large chunks, byte by byte, and with bad intent."""

from collections.abc import Iterator
from time import process_time

from benchmarks.frames import frame, micro_inverter, status
from benchmarks.measure import Effort, Line, at_most, compare, timer
from benchmarks.peers import KeptTail
from inverterproto.alphaess.frame import FRAMING as ALPHAESS
from inverterproto.deye.frame import FRAMING as DEYE
from inverterproto.deye.frame import LONGEST
from inverterproto.stream import Framing, Item, StreamDecoder

TITLE = "Streams to frames"

_FRAMES = 1000
_CHUNK = 16_384
_LINEAR = at_most(1.3)
_LINEAR_TURNS = 3

OURS = "ours: StreamDecoder.feed, coalesced frames, each"
PEER = "kept tail and adler32, raw frames only"


def run(effort: Effort) -> Iterator[Line]:
    """Yield the lines of this group."""
    yield from _coalesced(effort)
    for name, framing, unit in _ordinary():
        yield _linear(name, framing, unit, effort, chunk=1)
    for name, framing, unit in _hostile():
        yield _linear(name, framing, unit, effort, chunk=1500)


def _coalesced(effort: Effort) -> Iterator[Line]:
    """Compare a stream of frames, cut into chunks without regard to them."""
    stream = micro_inverter() * _FRAMES
    chunks = [stream[at : at + _CHUNK] for at in range(0, len(stream), _CHUNK)]

    def feed_ours() -> list[bytes]:
        decoder = StreamDecoder(DEYE)
        return [item.raw for chunk in chunks for item in decoder.feed(chunk)]

    def feed_peer() -> list[bytes]:
        peer = KeptTail()
        return [raw for chunk in chunks for raw in peer.feed(chunk)]

    def ours() -> None:
        feed = StreamDecoder(DEYE).feed
        for chunk in chunks:
            feed(chunk)

    def peer() -> None:
        feed = KeptTail().feed
        for chunk in chunks:
            feed(chunk)

    if not feed_ours() == feed_peer() == [micro_inverter()] * _FRAMES:
        raise AssertionError("not the frames that were in the stream")
    samples = compare({OURS: timer(ours), PEER: timer(peer)}, effort)
    for line in (samples.line(OURS, OURS), samples.line(PEER, OURS, at_most(2))):
        yield line._replace(value=(line.value or 0) / _FRAMES)


def _ordinary() -> Iterator[tuple[str, Framing, bytes]]:
    """Yield streams of good frames."""
    yield "V5, one byte at a time", DEYE, micro_inverter()
    yield "AlphaESS, one byte at a time", ALPHAESS, status()


def _hostile() -> Iterator[tuple[str, Framing, bytes]]:
    """Yield streams meant to cost much, by a piece that is repeated."""
    yield "V5, start bytes only", DEYE, b"\xa5" * 64
    yield "V5, empty frames without an end", DEYE, bytes.fromhex("a50000")
    # Each says that it is the longest frame; and each four bytes there is the end marker that the
    # claim needs, so that nothing but the checksum, over all of it, tells that there is no frame.
    length = LONGEST - 13
    yield (
        "V5, longest claims with an end",
        DEYE,
        bytes((0xA5, length & 0xFF, length >> 8, 0x15)),
    )
    broken = bytearray(frame("deye", "micro-5408-realtime"))
    broken[-2] ^= 1
    yield "V5, frames with a bad checksum", DEYE, bytes(broken)
    yield "AlphaESS, start bytes only", ALPHAESS, b"\x01" * 64
    yield "AlphaESS, empty frames without a CRC", ALPHAESS, bytes.fromhex("01010000000000")
    yield "AlphaESS, claims of 64 KiB", ALPHAESS, bytes.fromhex("0101100000fff7") + b'{"x":"' * 16
    yield "AlphaESS, claims of 4 KiB", ALPHAESS, bytes.fromhex("01011000000ff7")


def _linear(name: str, framing: Framing, unit: bytes, effort: Effort, *, chunk: int) -> Line:
    """Feed a stream once, twice and four times as long; the time for a byte should not grow."""
    once = unit * (effort.stream_bytes // len(unit))
    streams = [once, once * 2, once * 4]
    # The least of a few turns: what was more was somebody else's.
    costs = [
        min(
            _feed(StreamDecoder(framing), stream, chunk) / len(stream) for _ in range(_LINEAR_TURNS)
        )
        for stream in streams
    ]
    nanoseconds = ", ".join(f"{cost * 1e9:.0f}" for cost in costs)
    return Line(
        f"ours: {name}, a byte",
        costs[-1] * 1e6,
        ratio=costs[-1] / costs[0],
        goal=_LINEAR,
        note=f"1, 2, 4 times the stream: {nanoseconds} ns",
    )


def _feed(decoder: StreamDecoder, stream: bytes, size: int) -> float:
    """Return the seconds it takes to feed a stream; see that all of it comes out again."""
    chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
    found: list[Item] = []
    begin = process_time()  # what other programs take is not ours
    for chunk in chunks:
        found += decoder.feed(chunk)
    found += decoder.flush()
    seconds = process_time() - begin
    if b"".join(item.raw for item in found) != stream:
        raise AssertionError("other bytes came out than were fed")
    return seconds
