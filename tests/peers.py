"""Small servers for tests of what calls them: each connection is given to a function, in a thread.

A `Peer` listens on loopback, and ends with the `with` statement. What the function raises because
the other end is gone is no fault.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self

from inverterproto.deye.bodies import COMMAND
from inverterproto.deye.commands import reply
from inverterproto.deye.frame import FRAMING, Frame
from inverterproto.deye.messages import is_request
from inverterproto.stream import Framed, StreamDecoder

NOW = 1_763_740_800
"""The time that these servers tell."""
PATIENCE = 60.0


class Peer:
    """A server.

    Args:
        serve: is given each connection, and its number from 0.
    """

    def __init__(self, serve: Callable[[socket.socket, int], object]) -> None:
        self._serve = serve
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                number = len(self._open)
                self._open.append(connection)
                thread = threading.Thread(
                    target=self._serve_one, args=(connection, number), daemon=True
                )
                self._threads.append(thread)
                thread.start()

    def _serve_one(self, connection: socket.socket, number: int) -> None:
        with suppress(OSError), connection:
            self._serve(connection, number)

    def leave(self) -> None:
        """Listen no more."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for each in (self._listening, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(PATIENCE)


def requests(connection: socket.socket) -> Iterator[Frame]:
    """Yield the V5 frames that come and want a reply, until the end."""
    decoder = StreamDecoder(FRAMING)
    while chunk := connection.recv(65536):
        for item in decoder.feed(chunk):
            if isinstance(item, Framed) and is_request(item.frame.message_type):
                assert item.frame.message_type != COMMAND
                yield item.frame


def answer_by(
    make: Callable[[Frame], bytes],
) -> Callable[[socket.socket, int], None]:
    """Return what answers each request with the bytes that `make` gives."""

    def serve(connection: socket.socket, _number: int) -> None:
        for request in requests(connection):
            connection.sendall(make(request))

    return serve


def right(request: Frame) -> bytes:
    """Return the right answer."""
    return reply(request, NOW).build()
