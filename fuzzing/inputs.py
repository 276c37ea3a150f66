"""Streams to try: real frames, bent in the ways that lead a decoder astray.

A stream is a run of parts; a part is a real frame, a frame with another payload, a damaged one, one
that lies about its length, one inside another, or bytes that are no frame at all. Checksums are
made right in most of what is changed, or the decoder would never look at the change. All chance
comes from one `random.Random`, so that a case is known by its number.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from inverterproto.alphaess import frame as alphaess_frame
from inverterproto.alphaess import messages as alphaess_messages
from inverterproto.deye import frame as deye_frame
from inverterproto.deye import messages as deye_messages
from inverterproto.deye.layouts import MODULES
from inverterproto.deye.messages import DATA, TYPES
from inverterproto.stream import Framing

FIXTURES = Path(__file__).parent.parent / "fixtures"

FOREIGN = (
    b"AT+YZCMPVER=MW3_16U_5406_2.27\r\n\n",
    b"+ok=10,start download\r\n",
    bytes.fromhex("010302010a39d3"),
    bytes.fromhex("010300aa0001a42a"),
    bytes.fromhex("160301002f0100002b0303"),
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
)
STARTS = b"\xa5\x15\x01\x02\x00"
"""Bytes with a meaning in one of the envelopes."""
NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
PIECES_OF_TEXT = (
    *(b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\", b" ", b"\n", b"\r\n", b"\t", b"\0", b"#2"),
    *(b"null", b"true", b"False", b"NaN", b"-Infinity", b"1e999", b"-0", b"-0.0", b"0x1f", b"1_0"),
    *(b"9" * 400, b"9" * 5000, b"[" * 3000, b'{"a":' * 2000, b"1e-400", b"12345678901234567890"),
    *(b"\\u0000", b"\\ud800", b"\xc3\xa9", b"\xff\xfe", b"\xe2\x82\xac", b"\xd9\xa3", b"\xc2\xb2"),
    *(b'"SN":"x"', b'"Time":"2021/02/30 25:61:61"', b'"Time":"0000/00/00 00:00:00"', b'"SOC":"-1"'),
    *(b'"MsgType":"EventLog"', b'"MsgContent":"21/03/24 10:01:40 41;;x"', b"Date,Time,SN\n,,\n"),
)


class Family(NamedTuple):
    """What the fuzzer needs of a family.

    Attributes:
        framing: how its frames are found.
        Frame: its frames.
        Message: what they say.
        frames: its real frames.
        make: a frame around a payload: chance decides what else it says.
    """

    framing: Framing
    Frame: Any
    Message: Any
    frames: Sequence[bytes]
    make: Callable[[Random, bytes], bytes]

    @property
    def is_deye(self) -> bool:
        """Whether this is the one, not the other."""
        return self.framing.family == "deye"


class Case(NamedTuple):
    """One input.

    Attributes:
        stream: its bytes.
        cuts: where it is cut into chunks.
    """

    stream: bytes
    cuts: tuple[int, ...]


def make_deye(random: Random, payload: bytes) -> bytes:
    """Return a V5 frame around a payload."""
    kind = random.choice((*TYPES, DATA, DATA, random.randrange(0x100)))
    if kind == DATA and random.random() < 0.9:
        sensor_type = random.choice(sorted(MODULES)).to_bytes(2, "little")
        payload = payload[:1] + sensor_type + payload[3:]
    low = 0x10 if random.random() < 0.9 else random.randrange(0x100)
    sequence = (random.randrange(0x100), random.randrange(0x100))
    serial = random.choice((2712345678, 0, 0xFFFFFFFF, random.randrange(2**32)))
    return deye_frame.Frame(kind << 8 | low, sequence, serial, payload[:0xFFFF]).build()


def make_alphaess(random: Random, payload: bytes) -> bytes:
    """Return an AlphaESS frame around a payload."""
    command = random.choice((0, 2, 3, 4, 5, 8, 9, 12, 16, random.randrange(0x100)))
    return alphaess_frame.Frame(1, random.choice((1, 1, 2)), command, payload).build()


def load() -> list[Family]:
    """Return both families with the frames of their fixtures.

    Raises:
        FileNotFoundError: a family has no fixtures.
    """
    families = []
    for envelope, messages, make in (
        (deye_frame, deye_messages, make_deye),
        (alphaess_frame, alphaess_messages, make_alphaess),
    ):
        framing: Framing = envelope.FRAMING
        found = sorted((FIXTURES / framing.family).rglob("*.hex"))
        frames = [bytes.fromhex(path.read_text()) for path in found]
        frames = [frame for frame in frames if framing.match(frame, 0, len(frame)) == len(frame)]
        if not frames:
            raise FileNotFoundError(f"no frame under {FIXTURES / framing.family}")
        families.append(Family(framing, envelope.Frame, messages.Message, frames, make))
    return families


class Inputs:
    """Makes cases.

    Args:
        families: whose frames the streams hold.
        seed: the same seed makes the same cases.
    """

    def __init__(self, families: Sequence[Family], seed: str) -> None:
        self._families = families
        self._seed = seed
        self._random = Random(seed)  # noqa: S311 - chance, not secrecy

    def case(self, number: int) -> Case:
        """Return a case by its number."""
        random = self._random = Random(f"{self._seed}/{number}")  # noqa: S311 - chance, not secrecy
        parts = [self._part() for _ in range(random.choice((1, 1, 1, 2, 3, 4, 6)))]
        stream = b"".join(parts)
        return Case(stream, self._cuts(stream, parts))

    def _cuts(self, stream: bytes, parts: Sequence[bytes]) -> tuple[int, ...]:
        random, size = self._random, len(stream)
        ends = list(accumulate(map(len, parts)))
        way = random.randrange(4)
        if way == 0 and size < 1000:
            return tuple(range(size))
        if way == 1:
            step = random.choice((3, 64, 1460)) if size < 5000 else 1460
            return tuple(range(0, size, step))
        if way == 2:  # close to where one part ends and another begins
            return tuple(max(0, end + random.randint(-4, 4)) for end in ends)
        return tuple(random.randrange(size + 1) for _ in range(random.randrange(8)))

    def _part(self) -> bytes:
        random = self._random
        family = random.choice(self._families)
        ways = (
            (4, self._real),
            (10, self._changed_payload),
            (6, self._new_payload),
            (5, self._flipped),
            (4, self._lying),
            (3, self._spliced),
            (3, self._nested),
            (3, self._cut),
            (2, self._foreign),
            (2, self._junk),
        )
        (way,) = random.choices([way for _, way in ways], [weight for weight, _ in ways])
        return way(family)

    def _real(self, family: Family) -> bytes:
        return self._random.choice(family.frames)

    def _changed_payload(self, family: Family) -> bytes:
        """Return a real frame with a changed payload and all else made right."""
        frame = family.Frame.parse(self._real(family))
        made: bytes = replace(frame, payload=self._changed(frame.payload)).build()
        return made

    def _new_payload(self, family: Family) -> bytes:
        """Return a frame of any kind with a payload of any kind."""
        random = self._random
        payload = random.choice(
            (
                random.randbytes(random.choice((0, 1, 2, 14, 15, 31, 100, 330, 420))),
                family.Frame.parse(self._real(family)).payload,
                self._changed(family.Frame.parse(self._real(family)).payload),
                b"".join(random.choices(PIECES_OF_TEXT, k=random.randrange(6))),
                b'{"SN":"AL2002000001234","x":"' + b"x" * random.randrange(70_000) + b'"}',
            )
        )
        return family.make(random, payload)

    def _changed(self, payload: bytes) -> bytes:
        random, data = self._random, bytearray(payload)
        for _ in range(random.choice((1, 1, 2, 4, 8))):
            at, way = random.randrange(len(data) + 1), random.randrange(7)
            if way == 0:
                data[at : at + 1] = bytes((random.randrange(0x100),))
            elif way == 1:
                size = random.choice((1, 2, 4))
                number = random.choice(NUMBERS) & (1 << 8 * size) - 1
                order: Any = random.choice(("little", "big"))
                data[at : at + size] = number.to_bytes(size, order)
            elif way == 2:
                del data[at : at + random.choice((1, 2, 5, 40))]
            elif way == 3:
                data[at:at] = random.choice(PIECES_OF_TEXT)
            elif way == 4:
                data[at:at] = data[random.randrange(len(data) + 1) :][: random.choice((1, 8, 80))]
            elif way == 5:
                del data[at:]
            else:
                data += random.randbytes(random.choice((1, 2, 100)))
        return bytes(data[:60_000])

    def _flipped(self, family: Family) -> bytes:
        data = bytearray(self._real(family))
        for _ in range(self._random.choice((1, 1, 2, 10))):
            data[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)
        return bytes(data)

    def _lying(self, family: Family) -> bytes:
        """Return a frame with another length in its header."""
        random, data = self._random, bytearray(self._real(family))
        start, size, order = (1, 2, "little") if family.is_deye else (3, 4, "big")
        length = int.from_bytes(data[start : start + size], order)  # type: ignore[arg-type]
        near = length + random.choice((-1, 1, random.randint(-50, 50), random.randint(-9, 5000)))
        lie = random.choice((near, near, random.choice(NUMBERS))) % (1 << 8 * size)
        data[start : start + size] = lie.to_bytes(size, order)  # type: ignore[arg-type]
        return bytes(data)

    def _spliced(self, family: Family) -> bytes:
        first, second = self._real(family), self._real(self._random.choice(self._families))
        return first[: self._random.randrange(len(first))] + second[self._random.randrange(9) :]

    def _nested(self, family: Family) -> bytes:
        """Return a frame whose payload holds frames, whole or damaged."""
        inner = self._random.choice((self._real, self._flipped, self._lying))(family)
        outer = family.make(self._random, self._random.randbytes(3) + inner + inner)
        if self._random.random() < 0.5:
            outer = outer[:-2] + self._random.randbytes(2)
        return outer

    def _cut(self, family: Family) -> bytes:
        data = self._real(family)
        start = self._random.randrange(len(data)) if self._random.random() < 0.3 else 0
        return data[start : self._random.randrange(len(data))]

    def _foreign(self, _family: Family) -> bytes:
        data = self._random.choice(FOREIGN)
        return data[: self._random.randrange(len(data))] if self._random.random() < 0.3 else data

    def _junk(self, _family: Family) -> bytes:
        random = self._random
        size = random.choice((1, 3, 20, 300, 4095, 4096, 9000))
        way = random.randrange(3)
        if way == 0:
            return random.randbytes(size)
        if way == 1:
            return bytes(random.choices(STARTS, k=size))
        return random.choice((b"\xa5", b"\x01\x01", b"\xa5\x15\x0d", b"\x01\x02\0\0\0\x0f\xf0")) * (
            size // 3 + 1
        )
