"""The server is killed under load, again and again: what it acknowledged is there, once."""

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from signal import SIGKILL

from inverterproto.deye.frame import START
from inverterproto_cli.store import Reader
from tests.clients import Peer, battery_record, battery_status, data
from tests.programs import PATIENCE, Program

KILLS = 8
LOGGERS, BATTERIES = 6, 3
MOST_BETWEEN = 120
"""Acknowledged frames between two kills, at the most."""


class Ledger:
    """What was acknowledged, by all devices, over all runs of the server."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self._changed = threading.Condition()

    def note(self, frame: bytes) -> None:
        with self._changed:
            self.frames.append(frame)
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        """Wait until so many were acknowledged in all."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.frames) >= count, PATIENCE)


class Device(threading.Thread):
    """Sends one frame after the other; what is not acknowledged it sends again, to who comes next.

    Args:
        number: among the devices.
        make: gives the frame with a number.
        ledger: is told what was acknowledged.
        port: of the server.
        there: whether a server listens.
    """

    def __init__(
        self,
        number: int,
        make: Callable[[int], bytes],
        ledger: Ledger,
        port: int,
        there: threading.Event,
    ) -> None:
        super().__init__(daemon=True)
        self._random = Random(number)
        self.make = make
        self._ledger = ledger
        self._port = port
        self._there = there
        self.next = 0
        self.over = threading.Event()
        self.wrong: list[str] = []

    def run(self) -> None:
        while not self.over.is_set():
            self._there.wait(PATIENCE)
            with suppress(OSError), Peer(self._port) as peer:
                self._speak(peer)

    def _speak(self, peer: Peer) -> None:
        while not self.over.is_set():
            # Some at once, so that the server dies with some of them in hand.
            burst = [self.make(self.next + n) for n in range(self._random.randrange(1, 5))]
            peer.send(b"".join(burst))
            for frame in burst:
                answer = peer.answer()
                if not answers(answer, frame):
                    self.wrong.append(f"{answer.hex()} for {frame.hex()}")
                self.next += 1
                self._ledger.note(frame)


def answers(answer: bytes, frame: bytes) -> bool:
    """Return whether one frame answers another: by counters, or by command."""
    if frame[0] == START:
        return (answer[0], answer[4], answer[6]) == (START, frame[4] - 0x30, frame[6])
    return answer[:3] == bytes((frame[0], 2, frame[2]))


def makers() -> list[Callable[[int], bytes]]:
    """Return what makes the frames of each device."""
    found: list[Callable[[int], bytes]] = []
    for number in range(LOGGERS):
        logger, inverter = 2712000000 + number, f"23012345{number:02}"
        found.append(partial(data, logger=logger, inverter=inverter))
    for number in range(BATTERIES):
        make = battery_record if number == 0 else battery_status
        found.append(partial(make, serial=f"AL20020000{number:05}"))
    return found


def serve(store: Path, port: int = 0) -> Program:
    return Program("fake-server", "--listen", f"127.0.0.1:{port}", "--store", store)


def test_what_was_acknowledged_survives_being_killed_under_load(tmp_path: Path) -> None:
    store, random, ledger = tmp_path / "store.db", Random(5), Ledger()
    with serve(store) as server:
        (port,) = server.ports()
        assert server.stop() == 0
    there = threading.Event()
    devices = [Device(n, make, ledger, port, there) for n, make in enumerate(makers())]
    for device in devices:
        device.start()
    try:
        for _ in range(KILLS):
            with serve(store, port) as server:
                server.ports()
                there.set()
                ledger.wait_for(len(ledger.frames) + random.randrange(1, MOST_BETWEEN))
                there.clear()
                assert server.stop(SIGKILL) == -SIGKILL
    finally:
        for device in devices:
            device.over.set()
        there.set()
        for device in devices:
            device.join(PATIENCE)

    assert not [wrong for device in devices for wrong in device.wrong]
    with serve(store, port) as server:
        server.ports()
        assert server.stop() == 0
    with Reader(store) as reader:
        kept = Counter(record.frame for record in reader.newest())
    acknowledged = Counter(ledger.frames)
    assert not acknowledged.keys() - kept.keys(), "acknowledged, and not kept"
    assert set(acknowledged.values()) == set(kept.values()) == {1}
    sent = {device.make(n) for device in devices for n in range(device.next + 5)}
    assert kept.keys() <= sent, "kept, but never sent"
