"""Redaction: a frame as it comes in a large input, and the command on a large file."""

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from benchmarks.bulk import run_command, write_frames
from benchmarks.frames import frame, micro_inverter, status
from benchmarks.measure import Effort, Line
from benchmarks.startup import inverterproto
from inverterproto.families import framings
from inverterproto.redact import Redactor
from inverterproto.stream import StreamDecoder

TITLE = "Redaction: Redactor.redact(), and inverterproto sanitize FILE -o OUT"

_SECRETS = 20_000


def run(effort: Effort) -> Iterator[Line]:
    """Yield the lines of this group."""
    junk = random.Random(1).randbytes(4096)
    for what, raw in (
        ("the micro-inverter's frame", micro_inverter()),
        ("a battery's status", status()),
        ("a battery's record", frame("alphaess", "record")),
        ("4096 bytes of no frame", junk),
    ):
        count = max(1, effort.stream_bytes // len(raw))
        yield Line(what, _seconds(Redactor(b"a key of a benchmark"), raw * count) / count * 1e6)
    many = Redactor(b"a key of a benchmark")
    numbers = "".join(f'"BatterySN{n}":"AB{n:08}",' for n in range(_SECRETS))
    for part in range(0, len(numbers), 50_000):
        _seconds(many, f'"{numbers[part : part + 50_000]}'.encode())
    raw = micro_inverter()
    count = max(1, effort.stream_bytes // len(raw))
    seconds = _seconds(many, raw * count) / count
    yield Line("the first, with 20,000 secrets seen", seconds * 1e6)
    command, environment = inverterproto()
    with tempfile.TemporaryDirectory() as folder:
        count = effort.bulk_bytes // 10 // len(raw)  # it is read twice, and row by row
        counts = (max(1, count // 10), max(1, count))
        few, all_ = (write_frames(Path(folder), raw, number) for number in counts)
        out = ["--force", "-o", str(Path(folder) / "out")]
        _, less = run_command([*command, "sanitize", str(few), *out], environment)
        taken, more = run_command([*command, "sanitize", str(all_), *out], environment)
    size = counts[1] * len(raw)
    yield Line(f"the command: {size / 1e6:.0f} MB, {counts[1]:,} frames", taken, "s")
    yield Line("the command: of the file in a second", size / 1e6 / taken, "MB")
    peaks = f"a tenth of it: {less / 2**20:.1f}"
    yield Line("the command: peak memory", more / 2**20, "MiB", note=peaks)


def _seconds(redactor: Redactor, data: bytes) -> float:
    """Return what redacting takes, finding the frames left out."""
    decoder = StreamDecoder(*framings())
    items = decoder.feed(data) + decoder.flush()
    begin = perf_counter()
    for item in items:
        redactor.redact(item)
    return perf_counter() - begin
