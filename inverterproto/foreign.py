"""Bytes of other protocols that turn up where frames are expected.

Between V5 frames loggers were seen to send text of their modem (`AT+YZCMPVER=…`) and bare Modbus
RTU (source: P); newer firmware of both families opens TLS instead (sources: H, T, V). They are
recognised to be named, never to be decoded.
"""

import re
from collections.abc import Callable

from inverterproto.stream import Reason

# A command or answer of the modem, with the line ends behind it.
_AT_TEXT = re.compile(rb"(?:AT\+|\+ok|\+ERR)[\x20-\x7e]*[\r\n]*")
_HANDSHAKE = 0x16
_CLIENT_HELLO = 0x01


def is_client_hello(data: bytes, start: int = 0) -> bool:
    """Return whether a TLS ClientHello begins at `start` (as far as the bytes there tell).

    The record is a handshake (0x16) of version 3.x; the sixth byte says ClientHello (RFC 8446).
    """
    head = data[start : start + 6]
    return (
        len(head) >= 3
        and head[0] == _HANDSHAKE
        and head[1] == 3
        and head[2] <= 4
        and (len(head) < 6 or head[5] == _CLIENT_HELLO)
    )


def split_runs(
    run: bytes, match_rtu: Callable[[bytes, int], int] | None = None
) -> list[tuple[int, Reason]]:
    """Divide unframed bytes into parts of one kind each.

    Args:
        run: the bytes.
        match_rtu: tells the length of a Modbus RTU message at an offset, or 0; None where there
            can be none.

    Returns:
        The lengths of the parts, which add up to that of `run`, each with its reason.
    """
    if is_client_hello(run):
        return [(len(run), Reason.TLS)]
    parts: list[tuple[int, Reason]] = []
    done = 0
    for text in _AT_TEXT.finditer(run):
        if text.start() > done:
            parts += _split_binary(run[done : text.start()], match_rtu)
        parts.append((text.end() - text.start(), Reason.AT_TEXT))
        done = text.end()
    if done < len(run):
        parts += _split_binary(run[done:], match_rtu)
    return parts


def _split_binary(
    run: bytes, match_rtu: Callable[[bytes, int], int] | None
) -> list[tuple[int, Reason]]:
    """Divide what is no text: Modbus RTU messages from its beginning on, then junk."""
    parts: list[tuple[int, Reason]] = []
    done = 0
    while match_rtu is not None and done < len(run) and (size := match_rtu(run, done)):
        parts.append((size, Reason.MODBUS))
        done += size
    if done < len(run):
        parts.append((len(run) - done, Reason.JUNK))
    return parts
