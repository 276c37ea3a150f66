"""`--http` of the servers as processes: where it is, who may look, and why it cannot be."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.browsing import Answer
from tests.clients import Peer, battery_status, data
from tests.conftest import invoke
from tests.programs import PATIENCE, Program, fake_server

TOKEN = "0123456789-a-token-of-the-test"
BATTERY = "AL2002000001234"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def port_of(server: Program) -> int:
    """Wait until it says where it is; return its port."""
    found = re.search(r"http: http://127\.0\.0\.1:(\d+)/metrics, ", server.line("http: "))
    assert found is not None
    return int(found[1])


def get(port: int, path: str, token: str | None = None) -> Answer:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    asked = Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urlopen(asked, timeout=PATIENCE) as answer:  # noqa: S310 - our own server
            return Answer(answer.status, dict(answer.headers), answer.read().decode())
    except HTTPError as error:
        return Answer(error.code, dict(error.headers), error.read().decode())


def wait_for(condition: Callable[[], object]) -> None:
    begin = monotonic()
    while not condition():
        assert monotonic() - begin < PATIENCE
        sleep(0.05)


def test_a_reading_that_came_is_a_metric_and_in_the_api(store: Path) -> None:
    with fake_server("--store", store, "--http", "127.0.0.1:0") as server:
        port = port_of(server)
        line = server.line("http: ")
        assert line.endswith("/api/readings; nothing but this machine itself reaches it")
        [own] = server.ports()
        with Peer(own) as device:
            device.ask(battery_status(1, BATTERY))
            device.ask(data(1))
        labels = {"device": BATTERY, "family": "alphaess"}
        wait_for(lambda: get(port, "/metrics").value("pv_power_watts", **labels) == 3555)
        scrape = get(port, "/metrics")
        assert scrape.value("records_committed_total") == 2
        # What the micro-inverter says is of another year: it is no reading of now.
        assert scrape.value("pv_power_watts", device="2301234567", family="deye") is None
        assert get(port, "/healthz").status == get(port, "/readyz").status == 200
        serials = {one["serial"] for one in get(port, "/api/devices").json["devices"]}
        assert serials == {BATTERY, "2712345678", "2301234567"}
        found = get(port, f"/api/readings?device={BATTERY}").json["readings"]
        assert [one["values"]["pv_power"] for one in found] == [3555.0]
        assert server.stop() == 0
        assert not [one for one in server.err if "Traceback" in one or "aiohttp" in one]


def test_after_a_restart_what_was_measured_last_is_there_at_once(store: Path) -> None:
    with fake_server("--store", store, "--http", "127.0.0.1:0") as server:
        with Peer(server.ports()[0]) as device:
            device.ask(battery_status(1, BATTERY))
        assert server.stop() == 0
    with fake_server("--store", store, "--http", "127.0.0.1:0") as server:
        port, labels = port_of(server), {"device": BATTERY, "family": "alphaess"}
        wait_for(lambda: get(port, "/metrics").value("pv_power_watts", **labels) == 3555)


@pytest.mark.parametrize("wanted", [False, True])
def test_the_proxy_shows_it_too_and_simulated_devices_only_if_wanted(
    store: Path, *, wanted: bool
) -> None:
    own = ["--upstream", "deye=none", "--upstream", "alphaess=none", "--listen", "deye=none"]
    own += ["--listen", "alphaess=127.0.0.1:0", "--http", "127.0.0.1:0"]
    own += ["--include-simulated"] if wanted else []
    with Program("proxy", *own, "--store", store) as server:
        port = port_of(server)

        def value(device: str) -> float | None:
            scrape = get(port, "/metrics")
            return scrape.value("pv_power_watts", device=device, family="alphaess")

        with Peer(server.ports()[0]) as device:
            device.ask(battery_status(1, "SIM000000000001"))
            device.ask(battery_status(1, BATTERY))
        wait_for(lambda: value(BATTERY))
        assert value("SIM000000000001") == (3555 if wanted else None)
        assert get(port, "/metrics").value("open_relayed_connections") == 0
        assert server.stop() == 0


def test_without_a_store_metrics_and_health_are_there(store: Path) -> None:
    with fake_server("--no-store", "--http", "127.0.0.1:0") as server:
        port = port_of(server)
        assert get(port, "/readyz").status == get(port, "/healthz").status == 200
        assert get(port, "/metrics").value("open_connections") == 0
        assert get(port, "/api/devices").status == 404
        assert server.stop() == 0
    assert not store.exists()


class TestWhereItCannotBe:
    def test_a_port_that_is_in_use_is_a_clear_line(self, store: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            place = f"127.0.0.1:{other.getsockname()[1]}"
            with fake_server("--store", store, "--http", place) as server:
                assert server.end() == 1
                why = "the port is in use (by another server?); name another (--http)"
                assert server.err == [f"Error: cannot listen on {place}: {why}"]

    @pytest.mark.parametrize("place", ["8099", "127.0.0.1", "127.0.0.1:x", ":8099"])
    def test_what_is_no_address_is_wrong_usage(self, place: str, store: Path) -> None:
        with fake_server("--store", store, "--http", place) as server:
            assert server.end() == 2
            assert "is not HOST:PORT" in server.err[-1]

    def test_without_its_libraries_it_says_what_to_install(self, store: Path) -> None:
        code = (
            "import sys; sys.modules['aiohttp'] = None;"
            "from inverterproto_cli.main import main; main()"
        )
        options = ("fake-server", "--listen", "127.0.0.1:0", "--store", str(store))
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-c", code, *options, "--http", "127.0.0.1:0"],
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert "pip install 'inverterproto[http]'" in done.stderr.splitlines()[-1]


class TestTheToken:
    @pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.0.2.7"])
    def test_an_address_that_others_reach_needs_one_and_the_line_to_type_is_told(
        self, host: str, store: Path
    ) -> None:
        with fake_server("--store", store, "--http", f"{host}:0") as server:
            assert server.end() == 2
            [line] = [one for one in server.err if one.startswith("Error")]
            assert "(umask 077; head -c 24 /dev/urandom | base64 > http-token)" in line
            assert "--http-token-file http-token" in line
            assert not store.exists()

    def test_the_line_to_type_makes_one_that_is_taken(self, store: Path, tmp_path: Path) -> None:
        made = "umask 077; head -c 24 /dev/urandom | base64 > http-token"
        subprocess.run(["sh", "-c", made], cwd=tmp_path, check=True)  # noqa: S603, S607
        file = tmp_path / "http-token"
        options = ("--http", "0.0.0.0:0", "--http-token-file", file)
        with fake_server("--store", store, *options) as server:
            line = server.line("http: ")
            assert line.endswith("; who looks must send the token")
            found = re.search(r"http://0\.0\.0\.0:(\d+)/", line)
            assert found is not None
            port = int(found[1])
            assert get(port, "/metrics").status == 401
            assert get(port, "/readyz").status == 200
            assert get(port, "/metrics", file.read_text().strip()).status == 200
            assert server.stop() == 0
            said = "\n".join([*server.err, *server.out])
            assert file.read_text().strip() not in said

    def test_it_may_stand_in_the_environment(
        self, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("INVERTERPROTO_HTTP_TOKEN", TOKEN)
        monkeypatch.setenv("INVERTERPROTO_HTTP", "127.0.0.1:0")
        with fake_server("--store", store) as server:
            port = port_of(server)
            assert get(port, "/api/devices").status == 401
            assert get(port, "/api/devices", TOKEN).json == {"devices": []}
            assert server.stop() == 0
            assert TOKEN not in "\n".join(server.err)

    @pytest.mark.parametrize("text", ["", "\n", "two words", "two\nlines", "schlüssel"])
    def test_what_is_none_is_refused_and_not_shown(
        self, text: str, store: Path, tmp_path: Path
    ) -> None:
        file = tmp_path / "token"
        file.write_text(text, encoding="utf-8")
        options = ("--http", "127.0.0.1:0", "--http-token-file", file)
        with fake_server("--store", store, *options) as server:
            assert server.end() == 2
            said = server.err[-1]
            assert "a token is one line of ASCII characters without spaces" in said
            assert not text.strip() or text.strip().split()[0] not in said

    def test_a_file_that_is_not_there_is_a_clear_line(self, store: Path) -> None:
        options = ("--http", "127.0.0.1:0", "--http-token-file", "/nowhere/token")
        with fake_server("--store", store, *options) as server:
            assert server.end() == 2
            assert "/nowhere/token: No such file or directory" in server.err[-1]

    def test_it_has_no_effect_without_an_address(self, store: Path, tmp_path: Path) -> None:
        with fake_server("--store", store, "--http-token-file", tmp_path / "t") as server:
            assert server.end() == 2
            assert "--http-token-file has no effect without --http" in server.err[-1]

    def test_the_configuration_that_is_shown_has_only_the_files_name(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("INVERTERPROTO_HTTP_TOKEN", TOKEN)
        monkeypatch.setenv("INVERTERPROTO_HTTP_TOKEN_FILE", "/etc/token")
        shown = invoke("config", "proxy", "--json").out
        assert json.loads(shown)["proxy"]["http-token-file"]["value"] == "/etc/token"
        assert TOKEN not in shown


def test_who_holds_connections_without_a_token_cannot_hide_that_the_server_lives(
    tmp_path: Path,
) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    with fake_server("--no-store", "--http", "0.0.0.0:0", "--http-token-file", token) as server:
        found = re.search(r"http: http://0\.0\.0\.0:(\d+)/metrics", server.line("http: "))
        assert found is not None
        port = int(found[1])
        held = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
        assert get(port, "/healthz").status == get(port, "/readyz").status == 200
        assert get(port, "/metrics", TOKEN).status == 200
        for one in held:
            one.close()
        assert server.stop() == 0
