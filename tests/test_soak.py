"""The soak: nothing is lost and nothing left behind; and it would be told if it were."""

import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from inverterproto.families import ALPHAESS, DEYE
from tests.clients import battery_status, data
from tests.stores import Came, filled
from tests.test_cli_fake_battery import FRAMES

if not Path("/proc/self/status").exists():
    pytest.skip("needs Linux's /proc", allow_module_level=True)

from soaking.__main__ import Soak
from soaking.checks import MOST_GROWTH, growth
from soaking.devices import Plan
from soaking.ledger import Ledger
from soaking.server import FakeServer, Figures, ServerError

ROOT = Path(__file__).parent.parent
SERIAL = "AL2002000001234"
STATUS, EVENT = battery_status(1, SERIAL), FRAMES["event-log"]
DATA = [data(number) for number in range(3)]


def soaked(*options: str) -> str:
    """Run the soak as a program; return what it printed."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "soaking", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert (done.stderr, done.returncode) == ("", 0), done.stdout
    return done.stdout


def number(pattern: str, text: str) -> int:
    """Return the number in some text that a pattern finds."""
    found = re.search(pattern, text)
    assert found is not None, text
    return int(found[1].replace(",", ""))


# Whole soaks. The first takes a minute and a half of waiting; it keeps no core busy.


@pytest.mark.timeout(600)
def test_in_a_minute_nothing_is_lost_and_nothing_left_behind() -> None:
    said = soaked("1", "--inverters", "250", "--batteries", "50")
    assert said.endswith("nothing wrong\n")
    assert number(r"accepted: ([\d,]+) records", said) > 250 * 20
    assert number(r"in the store: ([\d,]+) records", said) > 250 * 20
    assert number(r"([\d,]+) runs of no frame", said) > 0
    for fault in ("junk", "bad checksum", "reset", "half-close", "silence"):
        assert number(rf"made on purpose: {fault}: ([\d,]+)", said) > 0


@pytest.mark.timeout(300)
def test_a_server_that_is_killed_loses_nothing_either() -> None:
    said = soaked(
        "0.2", "--inverters", "20", "--batteries", "5", "--interval", "1", "--kill", "--seed", "15"
    )
    assert said.endswith("nothing wrong\n")
    assert number(r"killed (\d+) times", said) > 0


class Forgetful(FakeServer):
    """A server that loses a record, and says what harms."""

    async def stop(self) -> None:
        await super().stop()
        with sqlite3.connect(self.store) as store:
            store.execute("DELETE FROM record WHERE id = (SELECT max(id) FROM record)")
        self._take('{"event": "fault", "level": "error", "text": "a fault"}')
        self._take("Segmentation fault")


@pytest.mark.asyncio
@pytest.mark.timeout(300)
async def test_a_lost_record_and_a_fault_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soak = Soak(Forgetful(tmp_path / "s.db", 3), Plan(2, 1, 1.0, 1), 4.0, kill=False)
    await soak.run()
    assert "in the store: " in capsys.readouterr().out
    fault, crash, lost = soak.wrong
    assert '"event": "fault"' in fault
    assert crash == "the server says: Segmentation fault"
    assert lost.startswith("1 × was accepted and is not in the store: ")


@pytest.mark.asyncio
async def test_a_server_that_does_not_come_up_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    soak = Soak(FakeServer(tmp_path / "file" / "s.db", 3), Plan(2, 1, 1.0, 1), 4.0, kill=False)
    await soak.run()
    assert soak.wrong[0] == "the server does not come up"
    assert any("s.db: " in text for text in soak.wrong[1:]), "why"


@pytest.mark.asyncio
async def test_a_server_that_ends_by_itself_is_told(tmp_path: Path) -> None:
    server = FakeServer(tmp_path / "s.db", 3)
    await server.start()
    try:
        await server.counters()
        assert server._process is not None
        server._process.kill()
        await server._process.wait()
        with pytest.raises(ServerError, match="does not tell its counters"):
            await server.counters()
    finally:
        await server.abandon()
    assert "the server has ended by itself" in server.wrong


# Holding a store against the ledger


def ledger(*deye: bytes) -> Ledger:
    """Return a ledger in which some frames of a logger were accepted."""
    found = Ledger()
    for frame in deye:
        found.accept(DEYE, None, frame)
    return found


def store(path: Path, *deye: bytes) -> Path:
    """Return a store in which some frames of a logger are."""
    return filled(path / "s.db", [Came(frame) for frame in deye])


def change(path: Path, statement: str) -> Path:
    with sqlite3.connect(path) as connection:
        assert connection.execute(statement).rowcount
    return path


def test_what_was_accepted_twice_is_one_record(tmp_path: Path) -> None:
    accepted = ledger(*DATA, DATA[0])
    assert (accepted.accepted, accepted.distinct) == (4, 3)
    found = accepted.compare(store(tmp_path, *DATA, DATA[0], b"\0" * 100))
    assert (found.kept, found.unaccepted, found.repeated, found.unframed) == (3, 0, 1, 1)
    assert not found.wrong


def test_what_was_kept_and_nobody_told_is_counted_and_not_wrong(tmp_path: Path) -> None:
    found = ledger(DATA[0]).compare(store(tmp_path, *DATA))
    assert (found.unaccepted, found.wrong) == (2, [])


def test_a_missing_record_is_told(tmp_path: Path) -> None:
    [wrong] = ledger(*DATA).compare(store(tmp_path, DATA[0], DATA[2])).wrong
    assert wrong.startswith("1 × was accepted and is not in the store: ")


def test_a_record_whose_bytes_are_others_is_missing(tmp_path: Path) -> None:
    path = store(tmp_path, *DATA)
    other = data(7).hex()
    change(path, f"UPDATE record SET frame = x'{other}' WHERE id = 2")  # noqa: S608
    [wrong] = ledger(*DATA).compare(path).wrong
    assert wrong.startswith("1 × was accepted and is not in the store: ")


def test_a_record_that_is_there_twice_is_told_whatever_key_it_has(tmp_path: Path) -> None:
    path = change(
        store(tmp_path, *DATA),
        "INSERT INTO record (key, family, kind, device, via, sender, historic, known, masked, "
        "answered, arrival, stamp, frame) SELECT x'00', family, kind, device, via, sender, "
        "historic, known, masked, answered, arrival, stamp, frame FROM record WHERE id = 1",
    )
    twice, measured = ledger(*DATA).compare(path).wrong
    assert twice.startswith("1 × is in the store more than once: ")
    assert measured.startswith("1 × was measured once and is kept more than once: ")


@pytest.mark.parametrize("before", [b"", STATUS], ids=["nameless", "named"])
def test_an_event_log_is_found_with_a_serial_or_none(tmp_path: Path, before: bytes) -> None:
    path = filled(tmp_path / "s.db", [Came(before + EVENT, family="alphaess")])
    accepted = Ledger()
    accepted.accept(ALPHAESS, SERIAL, EVENT)
    assert accepted.distinct == 1
    assert not accepted.compare(path).wrong


def test_an_event_log_of_another_battery_is_not_this_one(tmp_path: Path) -> None:
    path = filled(tmp_path / "s.db", [Came(STATUS + EVENT, family="alphaess")])
    accepted = Ledger()
    accepted.accept(ALPHAESS, "AL2002000009999", EVENT)
    [wrong] = accepted.compare(path).wrong
    assert "was accepted and is not in the store" in wrong


def test_each_row_of_stored_records_is_a_record(tmp_path: Path) -> None:
    frame = FRAMES["stored-records"]
    accepted = Ledger()
    accepted.accept(ALPHAESS, SERIAL, frame)
    assert accepted.distinct > 1
    found = accepted.compare(filled(tmp_path / "s.db", [Came(frame, family="alphaess")]))
    assert (found.kept, found.wrong) == (accepted.distinct, [])


def test_what_is_left_behind_is_told() -> None:
    before = Figures(descriptors=20, threads=8, memory=40.0)
    assert not growth("it", before, before)
    assert not growth("it", before, before._replace(memory=40.0 + MOST_GROWTH))
    wrong = growth("it", before, Figures(21, 9, 40.5 + MOST_GROWTH))
    assert wrong[:2] == ["it has 21 descriptors, before 20", "it has 9 threads, before 8"]
    assert wrong[2].startswith(f"it has grown by {MOST_GROWTH + 0.5:.1f} MiB")
