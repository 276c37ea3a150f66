"""`inverterproto mqtt stale`: what a broker retains of devices that nobody knows any more."""

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner

from inverterproto_cli.configuration import File
from inverterproto_cli.mqtt_topics import command
from tests.brokers import Listener, Server, mosquitto, needs_mosquitto, retained
from tests.conftest import Run
from tests.mqtt_sinks import NOW, entry, made
from tests.stores import Came, filled
from tests.vectors import raw

pytestmark = needs_mosquitto

KNOWN, GONE = "2301234567", "2309999999"


@pytest.fixture
def broker(tmp_path: Path) -> "pytest.FixtureRequest":
    raise NotImplementedError


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return filled(tmp_path / "store.db", [Came(raw("micro-5408-realtime"))])


def stale(port: int, store: Path, *arguments: str, file: File | None = None) -> Run:
    options = ["--mqtt", f"127.0.0.1:{port}"] if file is None else []
    result = CliRunner(catch_exceptions=False).invoke(
        command, ["stale", *options, "--store", str(store), *arguments], obj=file
    )
    return Run(result.exit_code, result.stdout, result.stderr)


def publish(port: int, *serials: str, **changes: object) -> None:
    async def deliver() -> None:
        one = made(port, **changes)
        await one.deliver(
            [entry(n, NOW - 9, device=each, active_power=n) for n, each in enumerate(serials)]
        )
        await one.close()

    asyncio.run(deliver())
