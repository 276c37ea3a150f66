"""SIGTERM and what hangs: a folder that another program holds, a disk that takes nothing."""

import asyncio
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from inverterproto_cli.sinks import daemon_thread
from inverterproto_cli.sinks.files import Files
from inverterproto_cli.sinks.folder import LOCK, Folder
from inverterproto_cli.sinks.sink import TroubleError
from inverterproto_cli.sinks.stdout import Stdout
from tests.clients import Peer, battery_status
from tests.posts import entry
from tests.programs import PATIENCE, Program, fake_server
from tests.serving import until

SOON = 2.0
"""Seconds within which a delivery must end when its sink is closed."""
BATTERY = "AL2002000001234"


def sink_in(folder: Path) -> Files:
    own = Folder(folder, 0o600, pack=False, keep_days=None)
    return Files(own, ("jsonl",), sanitize=False, say=lambda *_: None)


def hold(folder: Path) -> int:
    """Hold a folder as another program does that adds to it; return what is to be closed."""
    folder.mkdir(exist_ok=True)
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Path]:
    """A folder that another program holds."""
    folder = tmp_path / "out"
    lock = hold(folder)
    yield folder
    os.close(lock)


async def closed(sink: Any) -> None:  # noqa: ANN401 - any sink
    begin = monotonic()
    await sink.close()
    assert monotonic() - begin < SOON


async def begun(sink: Any) -> "asyncio.Task[int]":  # noqa: ANN401 - any sink
    """Begin a delivery; it is at work in its thread then."""
    delivering = asyncio.create_task(sink.deliver([entry(1)]))
    await until(lambda: [one for one in threading.enumerate() if one.name == "sink-at-work"])
    return delivering


def test_who_waits_for_another_program_ends_when_the_sink_is_closed(held: Path) -> None:
    async def main() -> None:
        sink = sink_in(held)
        delivering = await begun(sink)
        await closed(sink)
        with pytest.raises(TroubleError, match="this program ends"):
            await asyncio.wait_for(delivering, SOON)

    asyncio.run(main())
    assert [path.name for path in held.iterdir()] == [LOCK]


def test_two_threads_of_which_one_waits_for_the_other_both_end(held: Path) -> None:
    async def main() -> None:
        sink = sink_in(held)
        first = await begun(sink)
        first.cancel()
        second = asyncio.create_task(sink.deliver([entry(1)]))
        await asyncio.sleep(0)
        await closed(sink)
        with pytest.raises(TroubleError, match="this program ends"):
            await asyncio.wait_for(second, SOON)

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["files", "stdout"])
def test_a_thread_that_a_disk_holds_up_is_left_behind_at_the_end(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()

    def hang(*_given: object) -> int:
        free.wait(PATIENCE)
        return 1

    monkeypatch.setattr(Files, "_deliver", hang)
    monkeypatch.setattr(Stdout, "_write", hang)

    async def main() -> None:
        sink: Files | Stdout = sink_in(tmp_path) if kind == "files" else Stdout(1)
        delivering = await begun(sink)
        delivering.cancel()
        await closed(sink)

    begin = monotonic()
    try:
        asyncio.run(main())  # whose end waits for the threads of the loop
        assert monotonic() - begin < PATIENCE / 2
    finally:
        free.set()


def test_a_fault_in_the_thread_is_told_to_who_waits() -> None:
    def fail() -> None:
        raise ValueError("of no use")

    async def main() -> None:
        work = daemon_thread.begin(fail)
        assert await daemon_thread.ended(work)
        with pytest.raises(ValueError, match="of no use"):
            await work

    asyncio.run(main())


def has_open(program: Program, path: Path) -> bool:
    found = Path(f"/proc/{program.pid}/fd")
    return any(one.exists() and one.samefile(path) for one in found.iterdir())


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="it is seen in /proc what is open")
def test_a_server_whose_folder_another_program_holds_ends_soon(held: Path, tmp_path: Path) -> None:
    options = ("--store", tmp_path / "store.db", "--files", held, "--backfill")
    with fake_server(*options) as server:
        with Peer(server.ports()[0]) as device:
            device.ask(battery_status(1, BATTERY))
        begin = monotonic()
        while not has_open(server, held / LOCK):
            assert monotonic() - begin < PATIENCE, server.err
            sleep(0.05)
        begin = monotonic()
        assert server.stop() == 0
        assert monotonic() - begin < 10.0
        assert not [line for line in server.err if "Traceback" in line]
