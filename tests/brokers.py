"""A real mosquitto on a free port of loopback, and who listens to it.

`broker()` gives a `Mosquitto` that can be stopped, killed and started again on its port; it forgets
everything then. `Listener` is another MQTT client, which notes all that it hears.
"""

import contextlib
import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_hex
from time import monotonic, sleep
from typing import Any, NamedTuple, Self

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.counterparts import find, needs

PATIENCE = 30.0
"""Seconds after which what has not come will not come."""
needs_mosquitto = needs("mosquitto")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


class Server:
    """A program that listens on a port of its own.

    Args:
        command: what runs.
        port: where it listens.
        log: takes what it writes.
    """

    def __init__(self, command: list[str], port: int, log: Path) -> None:
        self.port = port
        self._command = command
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own choice
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        end = monotonic() + PATIENCE
        while not accepts(self.port):
            assert self._process.poll() is None, self.log()
            assert monotonic() < end, self.log()
            sleep(0.01)
        return self

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        """Let it end in its own way."""
        self._end(lambda process: process.terminate())

    def kill(self) -> None:
        self._end(lambda process: process.kill())

    def _end(self, end: Callable[["subprocess.Popen[bytes]"], None]) -> None:
        if self._process is not None:
            end(self._process)
            self._process.wait(PATIENCE)
            self._process = None


class Tls(NamedTuple):
    """Files of certificates: a CA, one for 127.0.0.1 that it vouches for, and a CA of others."""

    ca: Path
    certificate: Path
    key: Path
    other_ca: Path


def certificates(folder: Path) -> Tls:
    """Make them with openssl."""
    for name in ("ca", "other"):
        openssl(
            *[
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-days",
                "2",
            ],
            *("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"),
            *("-subj", f"/CN=test {name}"),
        )
    openssl(
        *["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
        *("-keyout", folder / "server.key", "-out", folder / "server.csr"),
        *("-subj", "/CN=127.0.0.1"),
    )
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl(
        *("x509", "-req", "-days", "2", "-in", folder / "server.csr", "-CA", folder / "ca.pem"),
        *("-CAkey", folder / "ca.key", "-CAcreateserial", "-out", folder / "server.pem"),
        *("-extfile", folder / "names"),
    )
    return Tls(*(folder / name for name in ("ca.pem", "server.pem", "server.key", "other.pem")))


def openssl(*arguments: str | Path) -> None:
    path = find("openssl")
    assert path is not None
    done = subprocess.run(  # noqa: S603 - our own choice
        [path, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def mosquitto(folder: Path, *lines: str, port: int | None = None) -> Iterator[Server]:
    """Run a mosquitto that anybody may use, unless the lines of its configuration say otherwise."""
    path = find("mosquitto")
    assert path is not None
    port = port or free_port()
    config = folder / f"mosquitto-{port}.conf"
    anonymous = (
        () if any("allow_anonymous" in line for line in lines) else ("allow_anonymous true",)
    )
    said = (f"listener {port} 127.0.0.1", "user root", "persistence false", *anonymous, *lines)
    config.write_text("\n".join(said) + "\n")
    config.chmod(0o644)
    server = Server([path, "-c", str(config)], port, folder / f"mosquitto-{port}.log")
    try:
        yield server.start()
    finally:
        server.kill()


class Heard(NamedTuple):
    """A message that came."""

    topic: str
    payload: bytes
    retained: bool

    def json(self) -> Any:  # noqa: ANN401 - JSON
        return json.loads(self.payload)


class Listener:
    """An independent client that hears everything, or what it is told to. Use it in a `with`.

    It listens at QoS 0: a broker writes to it before it acknowledges to us.
    """

    def __init__(self, port: int, topic: str = "#") -> None:
        self.heard: list[Heard] = []
        self._changed = threading.Condition()
        self._subscribed = 0
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe(topic)
        self._client.on_subscribe = self._count
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", port)

    def _count(self, *_: object) -> None:
        with self._changed:
            self._subscribed += 1
            self._changed.notify_all()

    def subscribed(self, times: int = 1) -> None:
        """Wait until it listens, for the so-manieth time."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._subscribed >= times, PATIENCE)

    def _take(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        with self._changed:
            self.heard.append(Heard(message.topic, bytes(message.payload), message.retain))
            self._changed.notify_all()

    def __enter__(self) -> Self:
        self._client.loop_start()
        self.subscribed()
        return self

    def __exit__(self, *_error: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: str | bytes, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, 1, retain).wait_for_publish(PATIENCE)

    def wait(self, wanted: Callable[[Heard], bool], count: int = 1) -> list[Heard]:
        """Wait for so many messages of a kind; return all of that kind."""

        def found() -> list[Heard]:
            return [one for one in self.heard if wanted(one)]

        with self._changed:
            self._changed.wait_for(lambda: len(found()) >= count, PATIENCE)
            assert len(found()) >= count, sorted({one.topic for one in self.heard})
            return found()

    def topic(self, topic: str, count: int = 1) -> list[Heard]:
        """Wait for so many messages at a topic; return all of them."""
        return self.wait(lambda one: one.topic == topic, count)

    def all(self) -> list[Heard]:
        """Return all that came before what we publish now."""
        mark = token_hex(8)
        self.publish("listener/mark", mark)
        self.wait(lambda one: one.payload == mark.encode())
        return [one for one in self.heard if one.topic != "listener/mark"]

    def forget(self) -> None:
        with self._changed:
            self.heard.clear()


def retained(port: int) -> dict[str, bytes]:
    """Return all that a broker retains."""
    with Listener(port) as listener:
        return {one.topic: one.payload for one in listener.all() if one.retained}
