"""Takes all that is posted, and says so: `python -m benchmarks.hook PORT`."""

import asyncio
import re
import sys

_length = re.compile(rb"(?i)\r\ncontent-length: *(\d+)\r\n").search
_TAKEN = b"HTTP/1.1 204 No Content\r\n\r\n"


async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request on a connection."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            found = _length(head)
            if found is not None:
                await reader.readexactly(int(found[1]))
            writer.write(_TAKEN)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    """Listen for ever."""
    server = await asyncio.start_server(take, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
