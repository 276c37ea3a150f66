"""A relay with a thread for each direction of each connection: `python -m benchmarks.threads`.

This is how relays are usually written as scripts: blocking sockets, two threads a connection. It
decodes nothing and prints nothing.
"""

import socket
import sys
import threading
from contextlib import suppress


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(4096):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def main(port: int, cloud: int) -> None:
    """Relay from a port to another one, both on loopback."""
    with socket.create_server(("127.0.0.1", port), backlog=4096) as server:
        while True:
            device, _ = server.accept()
            upstream = socket.create_connection(("127.0.0.1", cloud))
            for pair in ((device, upstream), (upstream, device)):
                threading.Thread(target=_pass_on, args=pair, daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
