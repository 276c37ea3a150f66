"""What peers do to a server that means them no harm; each to a port, with its own seed."""

from collections.abc import Awaitable, Callable
from random import Random
from struct import pack

from inverterproto.session import MOST_UNFRAMED
from tests.alphaess_vectors import RAW, raw_frame
from tests.clients import Stream, battery_status, data, v5
from tests.vectors import CLIENT_HELLO, raw

LOGGERS, BATTERIES, INVERTERS, KINDS = 1000, 1000, 1000, 1000
VICTIM = 2712340000
"""A logger behind which inverters are invented; it must be known first."""

Attack = Callable[[int, Random], Awaitable[object]]


async def flood_of_junk(port: int, random: Random) -> None:
    """Junk is cut off, whatever is in it."""
    async with await Stream.to(port) as peer:
        for _ in range(2 * MOST_UNFRAMED // 4096):
            await peer.send(random.randbytes(4096))
        await peer.read_to_end()


async def start_bytes_only(port: int, random: Random) -> None:
    """Where every byte may begin a frame."""
    async with await Stream.to(port) as peer:
        await peer.send(bytes(random.choices(b"\xa5\x01", k=2 * MOST_UNFRAMED)))
        await peer.read_to_end()


async def giant_lengths(port: int, random: Random) -> None:
    """Headers that promise all that their length field can say, and never end."""
    del random
    for header in (b"\xa5\xff\xff\x10\x42", b"\x01\x01\x10\x7f\xff\xff\xff", b"\x01\x01\x10\xff"):
        async with await Stream.to(port) as peer:
            await peer.send(header + bytes(2 * MOST_UNFRAMED))
            await peer.read_to_end()


async def giant_lengths_again_and_again(port: int, random: Random) -> None:
    """The same, header after header."""
    del random
    async with await Stream.to(port) as peer:
        await peer.send(b"\x01\x01\x10\x00\x00\xf0\x00" * (2 * MOST_UNFRAMED // 7))
        await peer.read_to_end()


async def one_byte_at_a_time(port: int, random: Random) -> None:
    """A frame in as many writes as it has bytes is a frame."""
    async with await Stream.to(port) as peer:
        for byte in v5(0x4710, b"\x00" * 10, VICTIM):
            await peer.send(bytes((byte,)))
        await peer.answer()
        del random


async def invented_loggers(port: int, random: Random) -> None:
    """One connection names as many loggers as it likes, others a few each."""
    async with await Stream.to(port) as peer:
        for _ in range(LOGGERS):
            await peer.send(v5(0x4110, bytes(17), random.getrandbits(32)))
        peer.writer.write_eof()
        await peer.read_to_end()
    for _ in range(LOGGERS // 16):
        async with await Stream.to(port) as peer:
            for _ in range(16):
                await peer.send(data(1, random.getrandbits(32)))
            peer.writer.write_eof()
            await peer.read_to_end()


async def invented_batteries(port: int, random: Random) -> None:
    """The same with batteries."""
    for count in (BATTERIES, *[16] * (BATTERIES // 16)):
        async with await Stream.to(port) as peer:
            for _ in range(count):
                await peer.send(battery_status(1, f"AL{random.getrandbits(44):013}"[:15]))
            peer.writer.write_eof()
            await peer.read_to_end()


async def invented_inverters(port: int, random: Random) -> None:
    """A known logger carries more and more inverters."""
    async with await Stream.to(port) as peer:
        for number in range(INVERTERS):
            await peer.send(data(number, VICTIM, f"{random.randrange(10**10):010}"))
        peer.writer.write_eof()
        await peer.read_to_end()


async def unknown_kinds(port: int, random: Random) -> None:
    """Valid frames of types, sensor types and commands that nobody knows."""
    async with await Stream.to(port) as peer:
        for _ in range(KINDS):
            await peer.send(v5(random.getrandbits(16), random.randbytes(20), VICTIM))
            sensor = b"\x01" + pack("<H", random.getrandbits(16))
            await peer.send(v5(0x4210, sensor + random.randbytes(30), VICTIM))
        peer.writer.write_eof()
        await peer.read_to_end()
    async with await Stream.to(port) as peer:
        for _ in range(KINDS):
            payload = random.choice((b"", b"{}", b'{"A":', random.randbytes(9)))
            await peer.send(raw_frame(random.randrange(1, 3), random.getrandbits(8), payload))
        peer.writer.write_eof()
        await peer.read_to_end()


async def replies_to_nothing(port: int, random: Random) -> None:
    """Replies are not answered, whatever they reply to."""
    del random
    async with await Stream.to(port) as peer:
        for name in ("modbus-read-reply", "tsun-at-interim-reply"):
            await peer.send(raw(name))
        for name in ("login-reply", "status-reply", "resume-reply"):
            await peer.send(RAW[name])
        for low in range(0x11, 0x1A):
            await peer.send(v5(low << 8 | 0x10, b"\x01\x01" + bytes(8), VICTIM))
        peer.writer.write_eof()
        await peer.read_to_end()


async def other_protocols(port: int, random: Random) -> None:
    """TLS, HTTP, and text with passwords in it."""
    del random
    for said in (
        CLIENT_HELLO,
        b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic aHVudGVyMng=\r\n\r\n",
        b"AT+WSKEY=WPA2PSK,AES,hunter2x\r\n+ok=admin,hunter2x\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        bytes(100),
    ):
        async with await Stream.to(port) as peer:
            await peer.send(said)
            peer.writer.write_eof()
            await peer.read_to_end()


async def both_families_at_once(port: int, random: Random) -> None:
    """Each of the two is answered as if the other were not there."""
    async with await Stream.to(port) as peer:
        for number in range(20):
            await peer.ask(v5(0x4710, b"\x00" * 10, VICTIM))
            await peer.ask(RAW["keep-alive"])
            await peer.send(random.randbytes(number))


async def resets(port: int, random: Random) -> None:
    """In the middle of frames, and between a frame and its answer."""
    for frame in (data(1, VICTIM), battery_status(1, "AL2002000009999")):
        for _ in range(20):
            peer = await Stream.to(port)
            await peer.send(frame[: random.randrange(1, len(frame) + 1)])
            peer.reset()


async def half_closes(port: int, random: Random) -> None:
    """What was said before the end of the stream is answered."""
    async with await Stream.to(port) as peer:
        peer.writer.write(v5(0x4710, b"\x00" * 10, VICTIM))
        peer.writer.write(random.randbytes(30))
        peer.writer.write_eof()
        await peer.answer()
        await peer.read_to_end()


async def never_reads(port: int, random: Random) -> None:
    """Asks until the server hears it no more."""
    del random
    async with await Stream.to(port) as peer, await Stream.to(port) as other:
        asking = v5(0x4710, b"\x00" * 10, VICTIM)
        peer.writer.write(asking * 400_000)
        for _ in range(200):
            await other.ask(asking)
        peer.writer.transport.abort()


ATTACKS: tuple[Attack, ...] = (
    flood_of_junk,
    start_bytes_only,
    giant_lengths,
    giant_lengths_again_and_again,
    one_byte_at_a_time,
    invented_loggers,
    invented_batteries,
    invented_inverters,
    unknown_kinds,
    replies_to_nothing,
    other_protocols,
    both_families_at_once,
    resets,
    half_closes,
    never_reads,
)
