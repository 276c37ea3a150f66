"""`inverterproto devices` and `devices forget`, alone and beside a server."""

import json
import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from inverterproto_cli.store import default_path
from tests.alphaess_vectors import RAW, SN, START
from tests.conftest import Run, invoke
from tests.programs import PATIENCE, fake_server
from tests.stores import FIRST, Came, filled
from tests.vectors import raw

MICRO, TSUN, STICK = "2301234567", "Y17E7A0123456789", "2712345679"
LOGGER = "2712345678"
SEEN = (
    Came(raw("tsun-handshake-212"), FIRST + 1),
    Came(raw("tsun-data-02b0"), FIRST + 2),
    Came(raw("handshake-86"), FIRST + 3),
    Came(raw("micro-5408-realtime"), FIRST + 4),
    Came(RAW["config-from-battery"] + RAW["status-1"], START, "alphaess"),
    Came(RAW["status-2"], START + 10, "alphaess"),
)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return filled(tmp_path / "own.db", SEEN)


def devices(*options: str | Path) -> Run:
    return invoke("devices", *options)


def by_serial(store: Path) -> dict[str, dict[str, Any]]:
    lines = devices("--json", "--store", store).out.splitlines()
    return {device["serial"]: device for device in map(json.loads, lines)}


class TestList:
    def test_each_device_tells_what_it_said_of_itself(self, store: Path) -> None:
        found = by_serial(store)
        assert found.keys() == {MICRO, LOGGER, TSUN, STICK, SN}
        assert found[MICRO] == {
            "family": "deye", "serial": MICRO, "via": LOGGER, "model": None,
            "firmware": "V1.2.1.8", "sensor_type": "0x5408", "first": "2024-04-08T17:14:14Z",
            "last": "2024-04-08T17:14:14Z", "clock_offset": None, "answered": "us",
        }  # fmt: skip
        assert found[STICK]["firmware"] == "LSW5BLE_17_02B0_1.05"
        battery = found[SN]
        assert (battery["model"], battery["firmware"]) == ("Storion-GINLANG-S5", "V1.01.05")
        assert battery["clock_offset"] == pytest.approx(39712, abs=1)
        assert (battery["first"], battery["via"]) == ("2021-03-23T23:00:00Z", None)

    def test_what_no_device_said_is_not_guessed(self, tmp_path: Path) -> None:
        store = filled(tmp_path / "own.db", [Came(raw("heartbeat") + raw("solis-0504"))])
        found = by_serial(store)
        assert found[LOGGER]["model"] is found[LOGGER]["firmware"] is None
        assert found["110AD0123456789"]["firmware"] is None
        assert found[LOGGER]["answered"] == "us", "though it spoke for its inverter only"

    def test_decode_says_what_shows_a_store(self, store: Path) -> None:
        shown = invoke("decode", store)
        assert (shown.code, shown.out) == (1, "")
        assert f"{store}: is a database; if it is a store, inverterproto readings" in shown.err

    @pytest.mark.parametrize("command", ["approve", "devices", "readings", "unknown"])
    def test_of_two_servers_in_the_configuration_it_is_the_proxys_store(
        self, command: str, store: Path, tmp_path: Path
    ) -> None:
        file = tmp_path / "config.toml"
        file.write_text(f"[proxy]\nstore = {str(store)!r}\n")
        shown = invoke("--config", file, command)
        assert shown.code == 0
        assert shown.err.startswith(f"store: {store}\n")
        file.write_text(f"[fake-server]\nstore = 'none.db'\n[proxy]\nstore = {str(store)!r}\n")
        assert invoke("--config", file, command).err.startswith(f"store: {store}\n")

    @pytest.mark.parametrize("command", ["devices", "readings", "unknown"])
    def test_the_store_is_the_servers_of_the_configuration(
        self, command: str, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / "config.toml"
        file.write_text(f"[fake-server]\nstore = {str(store)!r}\n")
        shown = invoke("--config", file, command)
        assert shown.code == 0
        assert shown.err.startswith(f"store: {store}\n")
        file.write_text(f"[fake-server]\nstore = 'none.db'\n[{command}]\nstore = {str(store)!r}")
        assert invoke("--config", file, command).err.startswith(f"store: {store}\n")
        file.write_text("[fake-server]\nheartbeat = 30\n")
        assert f"store {default_path()}: there is none" in invoke("--config", file, command).err
        file.write_text("[fake-server]\nstore = 'none.db'\n")
        assert "store none.db: there is none" in invoke("--config", file, command).err
        assert invoke("--config", file, command, "--store", store).code == 0
        monkeypatch.setenv("INVERTERPROTO_STORE", str(store))
        assert invoke("--config", file, command).code == 0

    def test_the_latest_handshake_counts(self, tmp_path: Path) -> None:
        came = [Came(raw("handshake-130")), Came(raw("handshake-86"), FIRST + 9)]
        store = filled(tmp_path / "own.db", came)
        assert by_serial(store)[LOGGER]["firmware"] == "MW_08_0501_1.58"

    def test_people_get_a_table_each_logger_with_its_inverters_below_it(self, store: Path) -> None:
        shown = devices("--store", store)
        assert shown.err == f"store: {store}\n"
        head, first, *rest = shown.out.splitlines()
        assert head.split()[:4] == ["serial", "family", "via", "model"]
        assert [line.split()[0] for line in (first, *rest)] == [LOGGER, MICRO, STICK, TSUN, SN]
        assert "Deye micro-inverter" in rest[0]
        assert "2024-04-08 17:14  " in rest[0]
        assert "Storion-GINLANG-S5 " in rest[-1]
        assert "+11 h 2 min" in rest[-1]

    @pytest.mark.parametrize("width", [60, 100])
    def test_on_a_terminal_it_fits(
        self, store: Path, width: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("inverterproto_cli.devices.terminal_width", lambda: width)
        lines = devices("--store", store).out.splitlines()
        assert max(map(len, lines)) <= max(width, 9 * 8 + 8 * 2)
        assert "…" in lines[1]

    def test_the_default_store_is_looked_into_and_not_named(self) -> None:
        filled(default_path(), SEEN[:1])
        shown = devices()
        assert (shown.code, shown.err) == (0, "")
        assert STICK in shown.out

    def test_text_of_a_device_does_nothing_to_a_terminal(self, store: Path) -> None:
        with sqlite3.connect(store) as db:
            db.execute("UPDATE device SET serial = char(27) || '[31m' WHERE serial = ?", (MICRO,))
        assert "\x1b" not in devices("--store", store).out
        assert "\\x1b[31m" in devices("--store", store).out

    def test_a_frame_that_was_damaged_in_the_file_hides_no_device(self, store: Path) -> None:
        with sqlite3.connect(store) as db:
            db.execute("UPDATE record SET frame = x'a5'")
        assert len(by_serial(store)) == 5


class TestStoreThatIsNotThere:
    @pytest.mark.parametrize("command", ["devices", "readings", "unknown"])
    def test_none_is_told_with_its_place(self, command: str) -> None:
        shown = invoke(command)
        assert (shown.code, shown.out) == (1, "")
        assert (
            shown.err == f"Error: store {default_path()}: there is none yet (a server makes it)\n"
        )

    @pytest.mark.parametrize("command", ["devices", "readings", "unknown"])
    def test_no_store_at_all_is_told(self, command: str, tmp_path: Path) -> None:
        path = tmp_path / "notes.txt"
        path.write_text("not a database, just some text" * 100)
        shown = invoke(command, "--store", path)
        assert (shown.code, shown.out) == (1, "")
        assert "not a database" in shown.err

    @pytest.mark.parametrize(
        ("version", "advice"),
        [(1, "start a server of this program once"), (9, "a later release wrote it")],
    )
    def test_of_one_of_another_version_it_says_what_to_do(
        self, store: Path, version: int, advice: str
    ) -> None:
        with sqlite3.connect(store) as db:
            db.execute(f"PRAGMA user_version = {version}")
        shown = devices("--store", store)
        assert (shown.code, shown.out) == (1, "")
        assert advice in shown.err

    def test_an_empty_one_is_told(self, tmp_path: Path) -> None:
        store = filled(tmp_path / "own.db", [])
        for command, said in (
            ("devices", "no devices yet"),
            ("readings", "no readings"),
            ("unknown", "nothing that is not understood"),
        ):
            shown = invoke(command, "--store", store)
            assert (shown.code, shown.out, shown.err) == (0, "", f"store: {store}\n{said}\n")


class TestForget:
    def test_a_logger_goes_with_what_it_carries(self, store: Path) -> None:
        shown = devices("forget", LOGGER, "--yes", "--store", store)
        assert (shown.code, shown.out) == (0, "")
        assert shown.err.endswith(f"forgot logger {LOGGER} with 1 inverter and 2 records\n")
        assert by_serial(store).keys() == {TSUN, STICK, SN}

    def test_a_battery_and_an_inverter_go_alone(self, store: Path) -> None:
        shown = invoke("devices", "--store", store, "forget", SN, "-y")
        assert shown.err.endswith(f"forgot battery {SN} with 3 records\n")
        shown = devices("forget", MICRO, "-y", "--store", store)
        assert shown.err.endswith(f"forgot inverter {MICRO} with 1 record\n")
        assert by_serial(store).keys() == {LOGGER, TSUN, STICK}

    def test_one_that_is_not_there_is_told(self, store: Path) -> None:
        shown = devices("forget", "7\x1b", "--yes", "--store", store)
        assert shown.code == 1
        assert shown.err.endswith("Error: there is no device 7\\x1b in the store\n")

    def test_without_a_terminal_it_wants_to_be_told_that_it_is_meant(self, store: Path) -> None:
        shown = devices("forget", LOGGER, "--store", store)
        assert shown.code == 2
        assert "--yes" in shown.err
        assert LOGGER in by_serial(store)

    @pytest.mark.parametrize(("said", "left"), [("n\n", 5), ("\n", 5), ("y\n", 3)])
    def test_on_a_terminal_it_asks(
        self, store: Path, said: str, left: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("inverterproto_cli.devices.at_a_terminal", lambda: True)
        shown = invoke("devices", "forget", LOGGER, "--store", store, stdin=said)
        assert f"Remove {LOGGER} with {MICRO} and all records from {store}?" in shown.err
        assert shown.code == (0 if left == 3 else 1)
        assert len(by_serial(store)) == left

    def test_beside_a_server_the_server_does_it_and_the_device_is_new(self, tmp_path: Path) -> None:
        store = tmp_path / "server.db"
        with fake_server("--store", store) as server:
            [port] = server.ports()
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as logger:
                logger.sendall(raw("micro-5408-realtime"))
                assert logger.recv(23)
                assert by_serial(store).keys() == {MICRO, LOGGER}
                shown = devices("forget", LOGGER, "--yes", "--store", store)
                assert shown.err.endswith(f"forgot logger {LOGGER} with 1 inverter and 1 record\n")
                assert by_serial(store) == {}
                assert logger.recv(1) == b"", "the connection is ended"
            server.line(f"forgotten.*{LOGGER}")
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as logger:
                logger.sendall(raw("micro-5408-realtime"))
                assert logger.recv(23), "it comes again, and is answered"
            assert by_serial(store).keys() == {MICRO, LOGGER}
            assert server.stop() == 0
        assert by_serial(store).keys() == {MICRO, LOGGER}
