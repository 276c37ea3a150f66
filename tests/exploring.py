"""Frames of a device that nobody knows, made of real ones of devices that are known."""

from inverterproto.decoding import decode
from inverterproto.deye.frame import Frame
from inverterproto.samples import Collection, Samples
from tests.vectors import fixtures, frame, raw

NOW = 1_770_000_000.0
UNKNOWN_TYPE = 0x1234
HEAD = bytes.fromhex("01 3412 6d1d0600 44080000 c0385c66 0100 84030000")
"""The head of a data payload of that type."""

DATA = (
    "dcu-data-3026",
    "micro-5408-historic",
    "micro-5408-realtime",
    "solis-0504",
    "tsun-data-02b0",
)
MICRO = [raw("micro-5408-realtime"), raw("micro-5408-historic")]


def disguised(name: str) -> bytes:
    """Return a real data frame with a sensor type that nobody knows."""
    real = frame(name)
    return data(real.payload[:1] + UNKNOWN_TYPE.to_bytes(2, "little") + real.payload[3:])


def data(payload: bytes) -> bytes:
    """Return a data frame with some payload."""
    return Frame(0x4210, (1, 2), 2712345678, payload).build()


def tail(*rests: bytes) -> Samples:
    """Return data frames of an unknown type, by what follows their heads."""
    return samples(*(data(HEAD + rest) for rest in rests))


def collected(*raws: bytes) -> Collection:
    """Return the frames in some bytes, kind by kind."""
    collection = Collection()
    for decoded in decode(b"".join(raws)):
        collection.add(decoded)
    return collection


def samples(*raws: bytes) -> Samples:
    """Return frames that are of one kind."""
    (found,) = collected(*raws).kinds.values()
    return found


def statuses() -> list[bytes]:
    """Return the three real statuses of a battery."""
    return [fixtures("alphaess")[f"status-{number}"] for number in (1, 2, 3)]
