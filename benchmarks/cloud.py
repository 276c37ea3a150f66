"""A small cloud for relays to lead to: `python -m benchmarks.cloud PORT`.

It answers each V5 frame with a prepared reply, as fast as it can, and looks at nothing but the
length: the relay is what is measured.
"""

import asyncio
import sys
from typing import Any

from inverterproto_cli.event_loop import run

_HEAD = 13
"""Bytes of a V5 frame beside its payload."""
_STEP = 0x30


class _Cloud(asyncio.BufferedProtocol):
    view = memoryview(bytearray(65536))

    def __init__(self) -> None:
        self._rest = b""

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - asyncio's or uvloop's
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        del sizehint
        return self.view

    def buffer_updated(self, nbytes: int) -> None:
        data = self._rest + self.view[:nbytes]
        at = 0
        while len(data) - at >= _HEAD:
            size = _HEAD + data[at + 1] + 256 * data[at + 2]
            if len(data) - at < size:
                break
            self._transport.write(_reply(data[at : at + 12]))
            at += size
        self._rest = data[at:]


def _reply(head: bytes) -> bytes:
    """Return the reply to a request that begins so: the time, and when to say something again."""
    payload = bytes((head[11], 1)) + (1_712_596_443).to_bytes(4, "little") + bytes((60, 0, 0, 0))
    body = bytes((len(payload), 0, head[3], head[4] - _STEP, (head[5] + 1) & 0xFF, head[6]))
    body += head[7:11] + payload
    return b"\xa5" + body + bytes((sum(body) & 0xFF, 0x15))


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Cloud, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    run(lambda: _serve(int(sys.argv[1])))
