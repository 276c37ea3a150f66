"""`inverterproto approve`: alone, beside a proxy that runs, and through a sudden end."""

import json
import socket
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from signal import SIGKILL
from time import time
from typing import Any

import pytest

from inverterproto.alphaess.approval import fingerprint
from inverterproto.alphaess.state import BatteryState
from inverterproto_cli.server.keeper import Keeper
from inverterproto_cli.server.logs import Log
from inverterproto_cli.server.requested import LONGEST_APPROVING, Requests, alone
from inverterproto_cli.store import NoStore, default_path
from tests.alphaess_vectors import RAW, SN, START
from tests.conftest import Run, invoke
from tests.peers import receive, receive_frame
from tests.programs import PATIENCE, Program
from tests.stores import Came, filled
from tests.test_alphaess_gate import ASK, command, configuration

BEFORE, AFTER = configuration(), configuration(GridCharge=True, BatHighCap="95")
CHANGES = ["GridCharge false -> true", "BatHighCap 100.00 -> 95"]


def put(path: Path, state: BatteryState, serial: str = SN) -> None:
    """Let a store remember something of a battery."""
    with sqlite3.connect(path) as db:
        values = json.dumps(state.to_state()), serial
        assert db.execute("UPDATE device SET state = ? WHERE serial = ?", values).rowcount == 1


def state_of(path: Path) -> BatteryState:
    with sqlite3.connect(path) as db:
        [(text,)] = db.execute("SELECT state FROM device WHERE serial = ?", (SN,)).fetchall()
    return BatteryState.from_state(json.loads(text))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a store in which something is held for a battery, and nothing for another."""
    path = filled(
        tmp_path / "own.db",
        [
            Came(RAW["login"] + RAW["status-1"], START, "alphaess"),
            Came(RAW["status-1"].replace(SN.encode(), b"AL2002000009999"), START, "alphaess"),
        ],
    )
    state = BatteryState()
    state.trust(BEFORE[7:-2], SN)
    state.hold(AFTER[7:-2])
    put(path, state)
    return path


def approve(*arguments: str | Path, store: Path) -> Run:
    return invoke("approve", *arguments, "--store", store)


class TestAlone:
    def test_what_is_held_is_shown_key_by_key(self, store: Path) -> None:
        found = approve(store=store)
        assert found.code == 0
        assert found.out.splitlines()[0] == SN
        assert sorted(found.out.splitlines()[1:]) == sorted(f"  {change}" for change in CHANGES)
        line = json.loads(approve("--json", store=store).out)
        assert (line["serial"], sorted(line["changes"])) == (SN, sorted(CHANGES))

    def test_it_is_approved_and_nothing_is_held_any_more(self, store: Path) -> None:
        found = approve(SN, "--yes", store=store)
        assert found.code == 0
        assert all(f"  {change}\n" in found.err for change in CHANGES)
        assert f"approved: {SN} gets it when it next asks for its settings" in found.err
        state = state_of(store)
        assert (state.configuration, state.candidate) == (AFTER[7:-2], None)
        assert "nothing is held" in approve(store=store).err
        again = approve(SN, "--yes", store=store)
        assert (again.code, f"nothing is held for {SN}" in again.err) == (1, True)

    def test_all_that_is_approved_is_shown_however_much_it_is(self, store: Path) -> None:
        state = state_of(store)
        state.hold(configuration(**{f"New{number}": number for number in range(50)})[7:-2])
        put(store, state)
        assert len(approve(store=store).out.splitlines()) == 51

    def test_it_asks_first(self, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        found = approve(SN, store=store)
        assert (found.code, "--yes says that it is meant" in found.err) == (2, True)
        monkeypatch.setattr("inverterproto_cli.approve.at_a_terminal", lambda: True)
        for said, code in (("n\n", 1), ("y\n", 0)):
            found = invoke("approve", SN, "--store", store, stdin=said)
            assert (found.code, f"Approve this for {SN}?" in found.err) == (code, True)
            assert (state_of(store).candidate is None) is (code == 0)

    def test_a_time_of_approving_wants_a_proxy(self, store: Path) -> None:
        found = approve(SN, "--for", "10m", store=store)
        assert found.code == 1
        assert "no proxy with --cloud-commands read-only or block has this store" in found.err

    @pytest.mark.parametrize("span", ["0s", "2d", "ten"])
    def test_a_time_that_is_none_or_too_long_is_refused(self, store: Path, span: str) -> None:
        assert approve(SN, "--for", span, store=store).code == 2

    def test_a_time_without_a_serial_is_refused(self, store: Path) -> None:
        found = approve("--for", "10m", store=store)
        assert (found.code, "wants the SERIAL" in found.err) == (2, True)

    def test_a_battery_that_nobody_knows_has_nothing(self, store: Path) -> None:
        found = approve("AL2002000000000", "--yes", store=store)
        assert (found.code, "nothing is held for AL2002000000000" in found.err) == (1, True)
        found = approve("AL2002000000000", "--for", "10m", store=store)
        assert (found.code, "no such battery" in found.err) == (1, True)

    def test_where_there_is_no_store_it_says_so(self) -> None:
        found = invoke("approve")
        assert (found.code, str(default_path()) in found.err) == (1, True)

    def test_what_came_after_what_was_shown_is_not_approved(self, store: Path) -> None:
        wanted = {"do": "approve", "serial": SN, "fingerprint": fingerprint(BEFORE[7:-2])}
        assert alone(store, wanted) == {
            "error": "the cloud has sent another one meanwhile: look again"
        }
        assert state_of(store).candidate == AFTER[7:-2]

    def test_what_has_gone_meanwhile_is_not_approved(self, store: Path) -> None:
        wanted = {"do": "approve", "serial": SN, "fingerprint": fingerprint(AFTER[7:-2])}
        assert alone(store, wanted)["approved"] == SN
        assert alone(store, wanted) == {"error": "nothing is held for it any more"}


class Cloud:
    """A cloud that a test plays, behind a proxy that is a process of its own."""

    def __init__(self, store: Path, *options: str) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self._store = store
        self._options = options
        self.program = self._start()

    def _start(self) -> Program:
        port = self._listener.getsockname()[1]
        program = Program(
            "proxy", "--listen", "alphaess=127.0.0.1:0", "--listen", "deye=none",
            "--upstream", f"alphaess=127.0.0.1:{port}", "--upstream", "deye=none",
            "--timezone", "Etc/GMT-11", "--store", self._store, *self._options,
        )  # fmt: skip
        self.port = program.ports()[0]
        return program

    def begin_again(self) -> None:
        self.program = self._start()

    def ask(self, *said: bytes, command: bytes = b"") -> bytes:
        """Let the battery ask for its settings and the cloud say something; return what comes."""
        with closing(socket.create_connection(("127.0.0.1", self.port), PATIENCE)) as battery:
            cloud, _ = self._listener.accept()
            with closing(cloud):
                cloud.settimeout(PATIENCE)
                battery.sendall(ASK)
                assert receive(cloud, len(ASK)) == ASK
                cloud.sendall(command + b"".join(said))
                assert receive(battery, len(command)) == command
                return receive_frame(battery)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    cloud = Cloud(tmp_path / "s.db", "--cloud-commands", "block")
    with cloud.program, closing(cloud):
        yield cloud


def test_beside_a_proxy_what_was_held_is_approved_and_survives_a_sudden_end(
    cloud: Cloud, tmp_path: Path
) -> None:
    store, now = tmp_path / "s.db", time()
    before, after = configuration(now), configuration(now, GridCharge=True)
    assert cloud.ask(before) == before
    cloud.program.line(f"the first configuration of {SN} .* is taken as approved")
    assert b'"GridCharge":false' in cloud.ask(after)
    cloud.program.line("held, the cloud may not do that: configuration differs: GridCharge false")
    assert "GridCharge false -> true" in approve(store=store).out
    found = approve(SN, "--yes", "--json", store=store)
    cloud.program.signal(SIGKILL)
    assert (found.code, json.loads(found.out)) == (
        0, {"approved": SN, "changes": ["GridCharge false -> true"]}
    )  # fmt: skip
    cloud.program.end()
    cloud.begin_again()
    with cloud.program:
        assert cloud.ask(after) == after
        assert b'"GridCharge":true' in cloud.ask(before)
        assert cloud.program.stop() == 0


def test_the_first_that_was_said_to_be_approved_survives_a_sudden_end(
    cloud: Cloud, tmp_path: Path
) -> None:
    now = time()
    assert cloud.ask(configuration(now)) == configuration(now)
    cloud.program.line("is taken as approved")
    cloud.program.signal(SIGKILL)
    cloud.program.end()
    assert state_of(tmp_path / "s.db").configuration == configuration(now)[7:-2]


def test_beside_a_proxy_what_comes_for_a_while_is_approved(cloud: Cloud, tmp_path: Path) -> None:
    store, now = tmp_path / "s.db", time()
    before, after = configuration(now), configuration(now, GridCharge=True)
    assert cloud.ask(before) == before
    cloud.program.line("is taken as approved")
    found = approve(SN, "--for", "10m", "--json", store=store)
    told = json.loads(found.out)
    assert told["approving"] == SN
    assert now + 590 < told["until"] < now + 600 + PATIENCE
    cloud.program.line(f"for 600 s what the cloud sends {SN} is taken as approved, as asked")
    setting = command(Command="SetConfig", CmdIndex="1")
    assert cloud.ask(after, command=setting) == after
    cloud.program.line(f"the configuration of {SN} is now GridCharge false -> true")


def test_a_server_that_filters_nothing_opens_no_time(tmp_path: Path, store: Path) -> None:
    with Program("fake-server", "--listen", "127.0.0.1:0", "--store", store) as program:
        program.ports()
        found = approve(SN, "--for", "10m", store=store)
        assert (found.code, "no proxy with" in found.err) == (1, True)
        assert approve(SN, "--yes", store=store).code == 0
        assert state_of(store).configuration == AFTER[7:-2]
    assert tmp_path in store.parents


@pytest.mark.parametrize("seconds", [0, -1, LONGEST_APPROVING + 1, "600", None, [1], 1e999])
def test_a_request_for_no_time_that_can_be_meant_is_refused(seconds: object) -> None:
    keeper, answered = Keeper(NoStore(), Log()), list[Mapping[str, Any]]()
    state = keeper.state("alphaess", SN)
    requests = Requests(keeper, Log(), lambda _serial: None, filters=True)
    wanted = {"do": "approve", "serial": SN, "seconds": seconds}
    requests.carry_out(wanted, answered.append, lambda _db, _done: True)
    assert answered == [{"error": "settings can be approved for at most a day"}]
    assert state.approving_until == 0


def test_by_a_clock_that_is_behind_no_time_is_approved_for() -> None:
    keeper, answered = Keeper(NoStore(), Log()), list[Mapping[str, Any]]()
    state = keeper.state("alphaess", SN)
    keeper.clock_right = False
    requests = Requests(keeper, Log(), lambda _serial: None, filters=True)
    wanted = {"do": "approve", "serial": SN, "seconds": 600}
    requests.carry_out(wanted, answered.append, lambda _db, _done: True)
    assert "the clock of this machine is behind" in answered[0]["error"]
    assert state.approving_until == 0


def test_a_battery_that_is_not_let_in_is_not_approved_for() -> None:
    answered = list[Mapping[str, Any]]()
    requests = Requests(Keeper(NoStore(), Log()), Log(), lambda _serial: None, filters=True)
    for serial in (SN, 7):
        wanted = {"do": "approve", "serial": serial, "seconds": 600}
        requests.carry_out(wanted, answered.append, lambda _db, _done: True)
    assert [each["error"][:30] for each in answered] == [
        "there is no such battery in th", "this server cannot do that: is"
    ]  # fmt: skip
