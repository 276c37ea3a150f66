"""The two checksums of these protocols.

`sum8` guards a V5 frame (sources: H, M, P, T), `crc16_modbus` an AlphaESS frame (V, D) and every
Modbus RTU message inside V5 (P).

`sum8` uses `zlib.adler32`: the low half of an Adler-32 is 1 + the sum of the bytes modulo 65521.
The sum of up to 256 bytes is at most 65,280, so for pieces of 256 bytes the modulus never bites
and the low byte is exact, at a fifth of the time of the built-in `sum`.
"""

from zlib import adler32

from crcmod import mkCrcFun

_PIECE = 256

_crc16 = mkCrcFun(0x18005, rev=True, initCrc=0xFFFF, xorOut=0)


def sum8(data: bytes | bytearray, start: int, end: int) -> int:
    """Return the sum of `data[start:end]`, modulo 256."""
    size = end - start
    if size <= _PIECE:
        return (adler32(data[start:end]) - 1) & 0xFF
    if size <= 2 * _PIECE:  # most frames: written out, as the loop takes half as long again
        middle = start + _PIECE
        return (adler32(data[start:middle]) + adler32(data[middle:end]) - 2) & 0xFF
    total = 0
    while end - start > _PIECE:
        total += adler32(data[start : start + _PIECE]) - 1
        start += _PIECE
    return (total + adler32(data[start:end]) - 1) & 0xFF


def crc16_modbus(data: bytes | bytearray) -> int:
    """Return the CRC-16/Modbus of `data` (polynomial 0x8005 reflected, initial value 0xFFFF)."""
    crc: int = _crc16(data)
    return crc
