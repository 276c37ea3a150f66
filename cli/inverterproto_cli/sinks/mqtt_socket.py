"""paho's socket in our event loop, by the callbacks that paho has for that.

paho connects in a thread, since it waits for that; from then on (`take_over`) all happens in the
loop's thread. Whatever a broker sends, an exception of paho's ends the connection and no more.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any

from paho.mqtt import client as paho

_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
"""A broker sends no small answer before the one ahead of it is acknowledged by TCP (Nagle); of the
last ones of a batch, that would take 40 ms. Linux has an option against that, for a while each time
that it is set."""


class SocketWatch:
    """Lets paho read and write when its socket is ready, and look after silence.

    Args:
        client: paho's.
        broken: is told what went wrong in it.
    """

    def __init__(self, client: paho.Client, broken: Callable[[str], object]) -> None:
        self._client = client
        self._broken = broken
        self._loop = asyncio.get_running_loop()
        self._taken_over = False
        self._ended = False
        self._timer: asyncio.TimerHandle | None = None
        client.on_socket_open = self._on_open
        client.on_socket_close = self._on_close
        client.on_socket_register_write = self._on_register_write
        client.on_socket_unregister_write = self._on_unregister_write

    def take_over(self) -> None:
        """Begin: paho is in no other thread any more."""
        self._taken_over = True
        self._tick()

    def end(self) -> None:
        """Close the socket, whatever is on its way."""
        self.rest()
        sock: Any = self._client.socket()
        if sock is None or sock.fileno() < 0:
            return
        self._unwatch(sock)
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        sock.close()

    def rest(self) -> None:
        """Do nothing more but for closing the socket."""
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        """Let paho look after silence, once a second."""
        if not self._ended:
            self._turn(self._client.loop_misc)
            self._timer = self._loop.call_later(1.0, self._tick)

    def _on_open(self, _client: object, _data: object, sock: Any) -> None:  # noqa: ANN401
        self._loop.call_soon_threadsafe(self._watch, sock)

    def _watch(self, sock: Any) -> None:  # noqa: ANN401
        if self._ended:  # nobody waited until it was open
            sock.close()
        else:  # what waits for answers must not wait for more to send
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if sock.fileno() >= 0:
            self._loop.add_reader(sock.fileno(), self._read, sock)

    def _on_close(self, _client: object, _data: object, sock: Any) -> None:  # noqa: ANN401
        if sock.fileno() >= 0:
            self._unwatch(sock)

    def _unwatch(self, sock: Any) -> None:  # noqa: ANN401
        self._loop.remove_reader(sock.fileno())
        self._loop.remove_writer(sock.fileno())

    def _on_register_write(self, _client: object, _data: object, sock: Any) -> None:  # noqa: ANN401
        if self._taken_over:
            self._loop.call_soon(self._write, sock)
        else:
            self._loop.call_soon_threadsafe(self._write, sock)

    def _write(self, sock: Any) -> None:  # noqa: ANN401
        """Write what was put in this turn of the loop; wait for the socket only if it is full."""
        if sock.fileno() < 0:
            return
        self._turn(self._client.loop_write)
        if sock.fileno() >= 0 and self._client.want_write():
            self._loop.add_writer(sock.fileno(), self._turn, self._client.loop_write)

    def _on_unregister_write(self, _client: object, _data: object, sock: Any) -> None:  # noqa: ANN401
        if sock.fileno() >= 0:
            self._loop.remove_writer(sock.fileno())

    def _read(self, sock: Any) -> None:  # noqa: ANN401
        self._turn(self._client.loop_read)
        if _QUICKACK is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        # What TLS has taken out of the socket already does not make it readable again.
        pending = getattr(sock, "pending", None)
        while pending is not None and sock.fileno() >= 0 and pending():
            self._turn(self._client.loop_read)

    def _turn(self, turn: Callable[[], object]) -> None:
        try:
            turn()
        except Exception as error:  # noqa: BLE001 - whatever a broker sent
            self._broken(type(error).__name__)
