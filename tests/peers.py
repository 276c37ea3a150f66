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
"""Seconds after which what has not come will not come."""

Treat = Callable[[socket.socket], object]


class Peer:
    """Listens at a port of loopback, and treats each connection as it is told.

    Args:
        treat: is given one connection after the other, the first first; the last of them is given
            all further ones, too. A connection is closed when it returns.

    Attributes:
        port: where it listens.
        connections: that were treated, or are being.
    """

    def __init__(self, *treat: Treat) -> None:
        self._treat = treat
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0

    def __enter__(self) -> Self:
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave()
        for connection in self._open:
            with suppress(OSError):  # it is over already
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def leave(self) -> None:
        """Listen no more."""
        with suppress(OSError):  # it does not listen any more
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join(PATIENCE)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(PATIENCE)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            treat = self._treat[min(self.connections, len(self._treat) - 1)]
            self.connections += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(treat, connection), daemon=True)
            self._threads.append(thread)
            thread.start()

    @staticmethod
    def _serve(treat: Treat, connection: socket.socket) -> None:
        with connection, suppress(OSError, EOFError):  # the device is gone
            treat(connection)


def receive(connection: socket.socket, count: int) -> bytes:
    """Return so many bytes.

    Raises:
        EOFError: they do not come.
    """
    data = b""
    while len(data) < count:
        chunk = connection.recv(count - len(data))
        if not chunk:
            raise EOFError
        data += chunk
    return data


def receive_all(connection: socket.socket) -> bytes:
    """Return all bytes until the other side ends."""
    data = b""
    while chunk := connection.recv(65536):
        data += chunk
    return data


def receive_frame(connection: socket.socket) -> bytes:
    """Return an AlphaESS frame, as its header tells its length."""
    header = receive(connection, 7)
    return header + receive(connection, int.from_bytes(header[3:], "big") + 2)


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
) -> Callable[[socket.socket], None]:
    """Return what answers each request with the bytes that `make` gives."""

    def serve(connection: socket.socket) -> None:
        for request in requests(connection):
            connection.sendall(make(request))

    return serve


def right(request: Frame) -> bytes:
    """Return the right answer."""
    return reply(request, NOW).build()
