"""Real databases for the tests: influxd and VictoriaMetrics, on loopback.

Each has a folder of its own, and runs once a module; `Influx.fresh` gives a database that nobody
else has.
"""

import itertools
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from tests.counterparts import find
from tests.posts import free_port

PATIENCE = 30.0  # seconds until a database answers
USER, PASSWORD = "owner", "p:w d/1"

_INFLUXD = """
reporting-disabled = true
bind-address = "127.0.0.1:{backup}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  auth-enabled = {authenticated}
"""


def ask(url: str, **form: str) -> str:
    """Ask a database something; return what it answers."""
    data = urlencode(form).encode() if form else None
    with urlopen(Request(url, data), timeout=PATIENCE) as answer:  # noqa: S310 - on loopback
        text: str = answer.read().decode()
    return text


@contextmanager
def _running(command: list[str | Path], log: Path, ping: str) -> Iterator[None]:
    """Run a database until it is not needed any more; go on once it answers."""
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:  # noqa: S603 - ours
        try:
            end = time.monotonic() + PATIENCE
            while True:
                assert process.poll() is None, log.read_text()
                try:
                    ask(ping)
                    break
                except HTTPError:
                    break  # it answers
                except (URLError, OSError):
                    assert time.monotonic() < end, log.read_text()
                    time.sleep(0.05)  # nothing tells when it listens
            yield
        finally:
            process.kill()


class Influx(NamedTuple):
    """An InfluxDB 1."""

    url: str
    names: Iterator[int]

    def query(self, text: str, database: str = "", **more: str) -> list[dict[str, Any]]:
        """Return the series that a query finds, times in milliseconds."""
        found = json.loads(ask(f"{self.url}/query", q=text, db=database, epoch="ms", **more))[
            "results"
        ][0]
        assert "error" not in found, found
        series: list[dict[str, Any]] = found.get("series", [])
        return series

    def fresh(self) -> str:
        """Make a database."""
        name = f"test{next(self.names)}"
        self.query(f'CREATE DATABASE "{name}"')
        return name

    def points(self, database: str, measurement: str = "inverter") -> list[dict[str, Any]]:
        """Return all points: fields and tags that are there, and the time."""
        return [
            {
                key: value
                for key, value in zip(one["columns"], row, strict=True)
                if value is not None
            }
            for one in self.query(f'SELECT * FROM "{measurement}"', database)  # noqa: S608 - ours
            for row in one["values"]
        ]


@contextmanager
def _influx(folder: Path, *, authenticated: bool) -> Iterator[Influx]:
    path = find("influxd")
    assert path is not None
    port = free_port()
    words = {"folder": folder, "port": port, "backup": free_port()}
    config = folder / "influxdb.conf"
    config.write_text(_INFLUXD.format(**words, authenticated=str(authenticated).lower()))
    url = f"http://127.0.0.1:{port}"
    with _running([path, "-config", config], folder / "log", f"{url}/ping"):
        yield Influx(url, itertools.count())


@pytest.fixture(scope="module")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influx]:
    with _influx(tmp_path_factory.mktemp("influx"), authenticated=False) as found:
        yield found


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influx]:
    """An InfluxDB that wants to know who writes."""
    with _influx(tmp_path_factory.mktemp("guarded"), authenticated=True) as found:
        found.query(f"CREATE USER \"{USER}\" WITH PASSWORD '{PASSWORD}' WITH ALL PRIVILEGES")
        yield found


class Victoria(NamedTuple):
    """A VictoriaMetrics."""

    url: str

    def samples(self, selector: str) -> list[dict[str, Any]]:
        """Return what it has of some series."""
        ask(f"{self.url}/internal/force_flush")
        text = ask(f"{self.url}/api/v1/export?{urlencode({'match[]': selector})}")
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def victoria(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victoria]:
    folder = tmp_path_factory.mktemp("victoria")
    path = find("victoria-metrics")
    assert path is not None
    place = f"127.0.0.1:{free_port()}"
    command = [
        path, f"-httpListenAddr={place}", f"-storageDataPath={folder / 'data'}",
        "-retentionPeriod=100y", "-memory.allowedBytes=64MB", "-dedup.minScrapeInterval=1ms",
    ]  # fmt: skip
    with _running([*command], folder / "log", f"http://{place}/health"):
        yield Victoria(f"http://{place}")
