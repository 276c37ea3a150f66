"""What must hold for any text: dumps of a stream's frames in any forms, as they are and bent.

All chance comes from the stream, so that a case that fails fails again.
"""

from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from random import Random

from inverterproto.errors import ProtocolError
from inverterproto.hexdump import DumpReader
from inverterproto.stream import Framed, Framing, Item, StreamDecoder
from tests.dumps import WRITERS

LONGEST = 1500
"""Bytes of frames that are made a text: a longer one takes too long."""
PIECES = (
    *(
        "a5",
        "A5 01 ",
        "0x",
        "\\x",
        "**",
        "xx",
        "..",
        "'",
        '"',
        "b'",
        "/*",
        "*/",
        "|",
        ">",
        "0000: ",
    ),
    *(
        "*\n",
        "\n",
        "\r\n",
        " ",
        "  ",
        "\t",
        "165, ",
        "-91,",
        "0000000 ",
        "pQEA",
        "=",
        "\x1b[32m",
        "é",
    ),
    *("2024-04-08 17:14:03,123 DEBUG ", "a5 00 0f ", "01 01 10 00 00 f0 00 ", "\0", "\xa0"),
)
_FORMS = sorted(WRITERS)


def check_texts(stream: bytes, items: Sequence[Item], framings: Sequence[Framing]) -> str | None:
    """Return what is wrong with how texts made of a stream are read, or None."""
    random = Random(stream)  # noqa: S311 - chance, not secrecy
    frames = [item.raw for item in items if isinstance(item, Framed)][:4]
    while sum(map(len, frames)) > LONGEST:
        frames.pop()
    text = "\n".join(WRITERS[random.choice(_FORMS)](raw) for raw in frames)
    expected = _frames(b"".join(frames), framings)
    if frames and _frames(_content([text], framings), framings) != expected:
        return "a dump of frames is not read back"
    bent = _bent(random, text or stream[:LONGEST].decode("latin-1"))
    cuts = sorted(random.randrange(len(bent) + 1) for _ in range(random.randrange(4)))
    whole = _content([bent], framings)
    parts = [bent[start:end] for start, end in pairwise([0, *cuts, len(bent)])]
    if _content(parts, framings) != whole:
        return "another chunking of a text, other bytes"
    if len(whole) > 2 * len(bent) + (1 << 17):
        return "a text gives more bytes than it can hold"
    return None


def _content(chunks: Sequence[str], framings: Sequence[Framing]) -> bytes:
    reader = DumpReader(framings)
    data = bytearray()
    for chunk in chunks:
        for piece in reader.feed(chunk):
            data += piece.data
    with suppress(ProtocolError):
        for piece in reader.finish():
            data += piece.data
    return bytes(data)


def _frames(data: bytes, framings: Sequence[Framing]) -> list[bytes]:
    decoder = StreamDecoder(*framings)
    items = decoder.feed(data) + decoder.flush()
    return [item.raw for item in items if isinstance(item, Framed)]


def _bent(random: Random, text: str) -> str:
    """Return a text with a few things put in, left out, moved and repeated."""
    for _ in range(random.choice((1, 1, 2, 4, 8))):
        at, to = (random.randrange(len(text) + 1) for _ in range(2))
        way = random.randrange(5)
        if way == 0:
            text = text[:at] + random.choice(PIECES) * random.choice((1, 1, 1, 50)) + text[at:]
        elif way == 1:
            text = text[:at] + text[at + random.choice((1, 2, 3, 40)) :]
        elif way == 2:
            text = text[:at] + text[to : to + random.choice((1, 20, 200))] + text[at:]
        elif way == 3:
            text = text[:at] + random.choice(PIECES) + text[at + 1 :]
        else:
            text = text.replace(random.choice(PIECES), random.choice(PIECES))
        text = text[:40_000]
    return text
