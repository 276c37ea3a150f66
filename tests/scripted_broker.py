"""A broker that answers what a test wants, where no real one does: a few bytes of MQTT 5."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Scripted:
    """A broker of MQTT 5 that does as it is told.

    Args:
        codes: word in a payload → the code of the answer to it.
        properties: of its greeting.

    Attributes:
        most_at_once: messages that came before the first of them was answered.
    """

    def __init__(self, codes: dict[bytes, int], properties: bytes) -> None:
        self.codes = codes
        self.port = 0
        self.most_at_once = 0
        self._properties = properties

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        waiting: list[bytes] = []
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                try:
                    async with asyncio.timeout(0.05):
                        kind = (await reader.readexactly(1))[0] >> 4
                except TimeoutError:
                    self.most_at_once = max(self.most_at_once, len(waiting))
                    writer.writelines(waiting)
                    waiting.clear()
                    continue
                body = await reader.readexactly(await self._length(reader))
                if kind == 1:
                    said = bytes((0, 0, len(self._properties))) + self._properties
                    writer.write(bytes((0x20, len(said))) + said)
                elif kind == 3:
                    end = 2 + int.from_bytes(body[:2], "big")
                    waiting.append(b"\x40\x04" + body[end : end + 2] + bytes((self._code(body), 0)))
                elif kind == 8:
                    writer.write(b"\x90\x04" + body[:2] + b"\x00\x00")
        writer.close()

    def _code(self, body: bytes) -> int:
        return next((code for word, code in self.codes.items() if word + b"." in body), 0)

    async def _length(self, reader: asyncio.StreamReader) -> int:
        length = shift = 0
        while True:
            digit = (await reader.readexactly(1))[0]
            length |= (digit & 127) << shift
            shift += 7
            if digit < 128:
                return length


@asynccontextmanager
async def scripted(codes: dict[bytes, int], properties: bytes = b"") -> AsyncIterator[Scripted]:
    broker = Scripted(codes, properties)
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    broker.port = server.sockets[0].getsockname()[1]
    try:
        yield broker
    finally:
        server.close()
