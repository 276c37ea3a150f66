"""No secret leaves: all that a full run writes, but the store, holds none of those that were sown.

Devices tell their passwords, networks, addresses; the sinks have passwords and tokens, and some
are refused, so that errors are told, too. Then everything is searched: the log, standard output,
each topic, body, line and file, and what is answered over HTTP. The store itself holds no password.
"""

import asyncio
import json
import re
import socket
from pathlib import Path
from signal import SIGTERM
from time import monotonic, sleep
from urllib.request import Request, urlopen

import pytest
from aiohttp import web

from tests.alphaess_vectors import RAW
from tests.brokers import Listener, mosquitto, needs_mosquitto
from tests.conftest import invoke
from tests.posts import Answering, free_port, served
from tests.programs import Program
from tests.splunk_stub import TOKEN, SplunkStub
from tests.vectors import raw

pytestmark = [pytest.mark.asyncio, needs_mosquitto]

PATIENCE = 30.0
OURS = {
    "INVERTERPROTO_MQTT_PASSWORD": "sown-mqtt-password",
    "INVERTERPROTO_SPLUNK_TOKEN": TOKEN,
    "INVERTERPROTO_INFLUX_TOKEN": "sown-influx-token",
    "INVERTERPROTO_WEBHOOK_AUTHORIZATION": "Bearer sown-webhook-token",
    "INVERTERPROTO_HTTP_TOKEN": "sown-http-token",
}
PASSWORDS = ("secret",)
"""What the battery says of itself that goes nowhere at all."""
PRIVATE = (
    "ABCDEF0123456789", "1 Example Street", "Australia", "0123456789", "2012050000",
    "HomeNetwork", "02:00:00:a1:b2:c4", "192.168.1.210",
)  # fmt: skip
"""What devices say of their households: licence, address, phone, network; it stays in the store."""
BATTERY = (
    "login", "config-from-battery", "status-1", "record", "stored-records", "event-log",
)  # fmt: skip
LOGGERS = ("handshake-86", "tsun-wifi", "tsun-handshake-212", "micro-5408-realtime")
FILE = """
[sink.wrong]
type = "splunk"
url = "http://{splunk}"
token = "sown-wrong-token"

[sink.refused]
type = "webhook"
url = "http://{refusing}/?key=sown-url-key"
authorization = "sown-other-authorization"

[sink.named]
type = "webhook"
url = "http://owner:sown-url-password@{refusing}/"

[sink.away]
type = "mqtt"
broker = "127.0.0.1:{away}"
user = "owner"
password = "sown-away-password"
"""
SOWN = ("sown-", TOKEN, *PASSWORDS)


def say(port: int, *frames: bytes) -> None:
    """Be a device: say something, and take an answer to each."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as device:
        for frame in frames:
            device.sendall(frame)
        device.shutdown(socket.SHUT_WR)
        while device.recv(4096):
            pass


def ask(address: str, path: str) -> bytes:
    """Ask over HTTP, as one who may."""
    token = OURS["INVERTERPROTO_HTTP_TOKEN"]
    request = Request(f"{address}{path}", headers={"Authorization": f"Bearer {token}"})  # noqa: S310 - loopback
    with urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310 - on loopback
        found: bytes = answer.read()
    return found


async def repeat_the_secret(request: web.Request) -> web.StreamResponse:
    """Refuse, as a careless server does."""
    return web.Response(
        status=403, text=f"not {request.headers.get('Authorization')} {request.url}"
    )


def devices(port: int) -> None:
    for name in BATTERY:
        say(port, RAW[name])
    say(port, *(RAW[name] for name in BATTERY))
    for name in LOGGERS:
        say(port, raw(name))


async def test_nothing_that_leaves_holds_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in OURS.items():
        monkeypatch.setenv(name, value)
    stub, hook, influx = SplunkStub(), Answering(), Answering(usual=204)
    refusing = Answering(*[repeat_the_secret] * 1000)
    async with (
        served(stub) as splunk,
        served(hook) as hooked,
        served(influx) as influxed,
        served(refusing) as refused,
    ):
        config = tmp_path / "config.toml"
        config.write_text(FILE.format(splunk=splunk, refusing=refused, away=free_port()))
        with mosquitto(tmp_path) as broker, Listener(broker.port) as listener:
            out = await asyncio.to_thread(
                full_run,
                config,
                tmp_path,
                *("--mqtt", f"127.0.0.1:{broker.port}", "--mqtt-user", "owner"),
                *("--splunk", f"http://{splunk}", "--webhook", f"http://{hooked}/in"),
                *("--influx", f"http://{influxed}", "--influx-bucket", "b", "--influx-org", "o"),
            )
            heard = [f"{one.topic} ".encode() + one.payload for one in listener.heard]
    bodies = [
        one.path.encode() + one.query.encode() + one.body
        for answering in (stub, hook, influx, refusing)
        for one in answering.sent
    ]
    files = [path.read_bytes() for path in (tmp_path / "files").iterdir()]
    # All of them had something to say.
    assert all((out, heard, stub.sent, hook.sent, influx.sent, refusing.sent))
    assert any(b"AL2002000001234" in file for file in files)
    assert b"sink refused" in out["log"]
    assert b"sink wrong" in out["log"]
    written = [*out.values(), *heard, *bodies, *files]
    found = {
        secret
        for secret in (*SOWN, *PRIVATE)
        for one in written
        # A URL that the user names is called, with all that is in it.
        if secret.encode() in one.replace(b"/key=sown-url-key", b"/")
    }
    assert found == set()


def full_run(config: Path, folder: Path, *arguments: str) -> dict[str, bytes]:
    """Run a server with all its sinks; return what it wrote and what it was asked for."""
    store = folder / "store.db"
    with Program(
        "--config", config, "fake-server", "--store", store, "--listen", "127.0.0.1:0", "-v",
        "--http", "127.0.0.1:0", "--files", folder / "files", "--files-format", "both",
        "--all-fields", "--sink-confidence", "C", *arguments,
    ) as server:  # fmt: skip
        (port,) = server.ports()
        page = re.search(r"http: (http://127\.0\.0\.1:\d+)/metrics", server.line("http: "))
        assert page is not None
        devices(port)
        settled(server, config, store)
        out = {
            path: ask(page[1], path)
            for path in ("/metrics", "/healthz", "/api/devices", "/api/readings?limit=10000")
        }
        out["sinks"] = told(config, "sinks", "--json", "--store", store)
        out["config"] = told(config, "config")
        server.signal(SIGTERM)
        assert server.end() == 0
        out["log"] = "\n".join(server.err).encode()
        out["standard output"] = "\n".join(server.out).encode()
    kept = store.read_bytes()
    assert [secret for secret in SOWN if secret.encode() in kept] == []
    return out


def told(*arguments: str | Path) -> bytes:
    run = invoke("--config", *arguments)
    return (run.out + run.err).encode()


def settled(server: Program, config: Path, store: Path) -> None:
    """Wait until what can be delivered is, and what is refused is told."""
    server.line("sink refused: ")
    server.line("sink wrong: ")
    end = monotonic() + PATIENCE
    while True:
        lines = [
            json.loads(line)
            for line in told(config, "sinks", "--json", "--store", store).splitlines()
            if line.startswith(b"{")
        ]
        going = {one["name"]: one["waiting"] for one in lines if one["error"] is None}
        if going.keys() >= {"mqtt", "splunk", "influx", "webhook", "files"} and not any(
            going.values()
        ):
            return
        assert monotonic() < end, lines
        sleep(0.1)
