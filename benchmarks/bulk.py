"""A large file of frames decoded to JSON by the command: time and memory."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.frames import micro_inverter
from benchmarks.measure import Effort, Line
from benchmarks.startup import inverterproto

TITLE = "A large file of the micro-inverter's frames: inverterproto decode --json FILE"

# A process of its own starts the command: what a child's peak memory is said to be is never less
# than what its parent held when it began, and this one holds next to nothing.
_LAUNCHER = """
import json, resource, subprocess, sys, time
begin = time.perf_counter()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
seconds = time.perf_counter() - begin
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([code.returncode, seconds, used.ru_maxrss, code.stderr.decode()[-500:]]))
"""
_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in which the system counts peak memory."""


def run(effort: Effort) -> Iterator[Line]:
    """Yield the lines of this group."""
    raw = micro_inverter()
    command, environment = inverterproto()
    count = effort.bulk_bytes // len(raw)
    with tempfile.TemporaryDirectory() as folder:
        few, many = (write_frames(Path(folder), raw, number) for number in (count // 10, count))
        _, less = run_command([*command, "decode", "--json", str(few)], environment)
        seconds, more = run_command([*command, "decode", "--json", str(many)], environment)
    size = count * len(raw)
    yield Line(f"ours: {size / 1e6:.0f} MB, {count:,} frames", seconds, "s")
    yield Line("ours: of the file in a second", size / 1e6 / seconds, "MB")
    yield Line("ours: a frame", seconds / count * 1e6, "µs")
    yield Line("ours: peak memory", more / 2**20, "MiB", note=f"a tenth of it: {less / 2**20:.1f}")


def write_frames(folder: Path, raw: bytes, count: int) -> Path:
    """Write a file of a frame so many times, and return where it is."""
    path = folder / f"{count}.bin"
    block = raw * 1000
    with path.open("wb") as file:
        for _ in range(count // 1000):
            file.write(block)
        file.write(raw * (count % 1000))
    return path


def run_command(command: list[str], environment: dict[str, str]) -> tuple[float, int]:
    """Return the seconds and the peak memory in bytes that a command takes."""
    launcher = [sys.executable, "-c", _LAUNCHER, *command]
    done = subprocess.run(launcher, env=environment, check=True, capture_output=True, text=True)
    code, seconds, peak, complaint = json.loads(done.stdout)
    if code != 0:
        raise RuntimeError(f"the command failed: {complaint}")
    return seconds, peak * _UNIT
