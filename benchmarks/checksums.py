"""The checksums alone, beside other ways to compute them."""

from collections.abc import Callable, Iterator, Mapping

import crcmod
import fastcrc
from crccheck.crc import Crc16Modbus
from crcmod import _crcfunpy
from pysolarmanv5 import PySolarmanV5

from benchmarks.frames import micro_inverter, status
from benchmarks.measure import Effort, Line, compare, timer
from inverterproto.checksum import crc16_modbus, sum8

TITLE = "Checksums of these frames"

SUM = "ours: sum8, 340 bytes"
CRC = "ours: crc16_modbus, 274 bytes"


def run(effort: Effort) -> Iterator[Line]:
    """Yield the lines of this group."""
    frame = micro_inverter()
    loop = PySolarmanV5._calculate_v5_frame_checksum  # noqa: SLF001 - it has no public name
    yield from _lines(
        SUM,
        {
            SUM: lambda: sum8(frame, 1, len(frame) - 2),
            "sum(frame[1:-2]) & 255": lambda: sum(frame[1:-2]) & 0xFF,
            "pysolarmanv5's loop": lambda: loop(frame),
        },
        effort,
    )
    body = status()[:-2]
    table = crcmod.Crc(0x18005, initCrc=0xFFFF, rev=True, xorOut=0).table
    yield from _lines(
        CRC,
        {
            CRC: lambda: crc16_modbus(body),
            "fastcrc": lambda: fastcrc.crc16.modbus(body),
            "crccheck": lambda: Crc16Modbus.calc(body),
            "crcmod without its C extension": lambda: _crcfunpy._crc16r(body, 0xFFFF, table),  # noqa: SLF001
        },
        effort,
    )


def _lines(
    ours: str, contenders: Mapping[str, Callable[[], int]], effort: Effort
) -> Iterator[Line]:
    if len({call() for call in contenders.values()}) != 1:
        raise AssertionError(f"not all alike: {[call() for call in contenders.values()]}")
    samples = compare({name: timer(call) for name, call in contenders.items()}, effort)
    for name in contenders:
        yield samples.line(name, ours)
