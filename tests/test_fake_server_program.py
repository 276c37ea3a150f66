"""`inverterproto fake-server` as a process: start, signals, ends, options, and what it writes."""

import errno
import json
import logging
import os
import re
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from signal import SIGINT, SIGTERM, SIGUSR1, Signals

import pytest

from inverterproto_cli.address import Address
from inverterproto_cli.server import logs
from inverterproto_cli.server.logs import Log, formatter
from inverterproto_cli.server.outlet import Outlet
from inverterproto_cli.server.running import NOTHING_CAME, Watch, start_lines, why_not
from inverterproto_cli.store import Reader
from tests.alphaess_vectors import CONFIGURATION, RAW, SN
from tests.clients import INVERTER, Peer, data
from tests.conftest import invoke
from tests.programs import PATIENCE, Program, fake_server
from tests.serving import serving
from tests.test_fake_server import ANSWER, SUCCESS
from tests.vectors import FIXTURES, raw

DATA, HEARTBEAT, WIFI = raw("micro-5408-realtime"), raw("heartbeat"), raw("handshake-130")


def ask(port: int, *requests: bytes, size: int = ANSWER) -> bytes:
    """Send requests to a server on loopback, and wait for an answer to each."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as device:
        device.sendall(b"".join(requests))
        answers = device.makefile("rb").read(size * len(requests))
    assert len(answers) == size * len(requests)
    return answers


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


class TestStartAndEnd:
    @pytest.mark.parametrize("number", [SIGTERM, SIGINT])
    def test_it_says_what_listens_where_and_ends_in_peace(
        self, store: Path, number: Signals
    ) -> None:
        with fake_server("--store", store) as server:
            [port] = server.ports()
            server.line(f" listening on 127.0.0.1:{port}$")
            server.line(" nothing but this machine itself reaches this address$")
            server.line(f" records are kept in {store}$")
            ask(port, DATA)
            assert server.stop(number) == 0
            assert "stopping" in server.line("stopping")
            assert "record: data 1" in server.line("counters:")
            assert not [line for line in server.err if "Traceback" in line]
        with Reader(store) as reader:
            assert reader.count() == 1

    def test_it_ends_while_a_device_is_connected_and_says_nothing_of_it(self, store: Path) -> None:
        with fake_server("--store", store) as server:
            [port] = server.ports()
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as device:
                device.sendall(DATA)
                assert len(device.makefile("rb").read(ANSWER)) == ANSWER
                assert server.stop() == 0
                assert device.recv(1) == b""

    def test_a_port_in_use_is_one_clear_line(self, store: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            with Program(
                "fake-server", "--listen", f"127.0.0.1:{port}", "--store", store
            ) as server:
                assert server.end() == 1
                [line] = server.err
                assert line.startswith(f"Error: cannot listen on 127.0.0.1:{port}: the port is in")

    def test_with_a_place_to_listen_the_port_for_tests_is_left_to_others(self) -> None:
        listen = "--listen", "deye=127.0.0.1:0", "--no-store"
        with (
            Program("fake-server", *listen, "--listen", "alphaess=none") as one,
            Program("fake-server", *listen, "--listen", "test=127.0.0.1:0",
                    "--listen", "alphaess=NONE") as other,
        ):  # fmt: skip
            assert (len(one.ports()), len(other.ports())) == (1, 2)
            assert one.stop() == other.stop() == 0

    def test_an_address_of_another_machine_is_one_clear_line(self, store: Path) -> None:
        with Program("fake-server", "--listen", "192.0.2.1:0", "--store", store) as server:
            assert server.end() == 1
            assert server.err == [
                "Error: cannot listen on 192.0.2.1:0: that is no address of this machine"
            ]

    def test_a_store_that_another_process_has_is_one_clear_line(self, store: Path) -> None:
        with fake_server("--store", store) as first:
            first.ports()
            with fake_server("--store", store) as second:
                assert second.end() == 1
                assert len(second.err) == 1
                assert f"in use by process {first.pid}" in second.err[0]
                assert second.err[0].endswith("; name another (--store)")

    def test_a_store_in_a_folder_that_is_not_there_is_one_clear_line_and_makes_none(
        self, tmp_path: Path
    ) -> None:
        with fake_server("--store", tmp_path / "typo" / "store.db") as server:
            assert server.end() == 1
            [line] = server.err
            assert line.endswith(
                f"there is no folder {tmp_path}/typo: make it, or name another (--store)"
            )
        assert not list(tmp_path.iterdir())

    def test_without_a_store_it_says_so(self) -> None:
        with fake_server("--no-store", "--store", "a.db") as refused:
            refused.line("--store has no effect with --no-store")
            assert refused.end() == 2
        with fake_server("--no-store") as server:
            server.line(r"nothing is stored \(--no-store\)")
            [port] = server.ports()
            ask(port, DATA)
            assert server.stop() == 0

    def test_signals_ask_for_the_counters(self, store: Path) -> None:
        with fake_server("--store", store, "-q") as server:
            wait_until_it_listens(server)
            server.signal(SIGUSR1)
            assert "connections now 0" in server.line("counters:")
            assert server.stop() == 0


def wait_until_it_listens(server: Program) -> None:
    """Wait for a quiet server; its signal handlers are set before it listens."""
    command = [sys.executable, "-c", _FIND_LISTENER, str(server.pid)]
    subprocess.run(command, check=True, timeout=PATIENCE)  # noqa: S603


_FIND_LISTENER = """
import os, sys
from contextlib import suppress
folder = f"/proc/{sys.argv[1]}/fd"
found = False
while not found:
    with suppress(OSError):  # it opens and closes files meanwhile
        own = {os.readlink(f"{folder}/{number}") for number in os.listdir(folder)}
        rows = [row.split() for row in open("/proc/net/tcp").readlines()[1:]]
        found = any(row[3] == "0A" and f"socket:[{row[9]}]" in own for row in rows)
"""


class TestOptions:
    def test_default_ports_are_those_that_devices_call(self) -> None:
        shown = invoke("fake-server", "--help").out
        assert re.sub(r"\s+", " ", shown).count(
            "deye=0.0.0.0:10000, alphaess=0.0.0.0:7777, test=127.0.0.1:7778"
        )

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--listen", "deye"], "'deye' is not HOST:PORT: the port is missing"),
            (["--listen", "deye=host:99999"], "'99999' is no port, they go up to 65535"),
            (["--listen", "deye=host:"], "'' is no port"),
            (["--listen", "deye=:10000"], "'' is neither a name nor an address"),
            (["--listen", "deye=a:1,alphaess=b:2"], "give --listen once for each address"),
            (["--timezone", "Berlin"], "there is no 'Berlin': Europe/Berlin?"),
            (["--timezone", "Nowhere"], "there is no 'Nowhere', but Europe/Berlin, for example"),
            (["--listen", "sma=1.2.3.4:5"], "there is no family 'sma'"),
            (
                ["--listen", "deye=none", "--listen", "alphaess=none", "--listen", "test=none"],
                "nothing is left to listen on",
            ),
            (["--allow", "everybody"], "'everybody' does not appear to be"),
            (["--config-file", "AL1"], "'AL1' is not SERIAL=FILE"),
            (["--max-unframed", "10"], "1024"),
            (["--timezone", "Mars/Olympus"], "there is no 'Mars/Olympus'"),
            (["--timezone", "../secret"], "there is no '../secret'"),
        ],
    )
    def test_wrong_ones_are_wrong_usage(self, options: list[str], said: str) -> None:
        shown = invoke("fake-server", *options)
        assert shown.code == 2
        assert said in shown.err

    def test_a_configuration_that_is_none_is_an_error(self, tmp_path: Path) -> None:
        file = tmp_path / "config.json"
        for content, said in ((b"{}", "Status"), (CONFIGURATION, "SN")):
            file.write_bytes(content)
            shown = invoke("fake-server", "--config-file", f"AL1={file}")
            assert (shown.code, said in shown.err) == (1, True)
        file.write_bytes(CONFIGURATION)
        given = ("--config-file", f"{SN}={file}")
        twice = invoke("fake-server", *given, *given)
        assert (twice.code, f"{SN} is given twice" in twice.err) == (2, True)
        missing = invoke("fake-server", "--config-file", f"AL1={tmp_path / 'none'}")
        assert (missing.code, "No such file" in missing.err) == (1, True)

    def test_a_capture_that_cannot_be_written_is_an_error(self, tmp_path: Path) -> None:
        shown = invoke("fake-server", "--capture", tmp_path / "none" / "raw.jsonl")
        assert (shown.code, "No such file" in shown.err) == (1, True)

    def test_they_reach_what_they_are_for(self, tmp_path: Path, store: Path) -> None:
        file, capture = tmp_path / "config.json", tmp_path / "raw.jsonl"
        file.write_bytes(CONFIGURATION)
        options = (
            "--store", store, "--heartbeat", "7", "--no-resume", "--sync-time",
            "--config-file", f"{SN}={file}", "--capture", capture, "--json", "--log-format", "json",
            "--max-devices", "3", "--max-connections", "5", "--max-per-address", "4",
            "--idle-timeout", "30", "--max-unframed", "2048", "--allow", "192.0.2.0/24", "-v",
        )  # fmt: skip
        with fake_server(*options) as server:
            [port] = _ports_of_json(server)
            assert struct.unpack_from("<I", ask(port, DATA), 17) == (7,)
            told = _battery(port, RAW["status-1"] + RAW["config-request"])
            assert b"SyncTime" in told
            assert b'"CheckTime"' in told
            _battery(port, b"x" * 8192)
            reading = json.loads(server.line("2301234567", of="out"))
            assert server.stop() == 0
            events = [json.loads(line) for line in server.err]
        assert reading["values"]["active_power"] == 4
        assert {"listening", "connected", "ended: closed", "ended: no frame", "counters"} <= {
            event["event"] for event in events
        }
        ended = next(event for event in events if event["event"] == "ended: closed")
        assert (ended["connection"], ended["family"], ended["device"], ended["level"]) == (
            1, "deye", "2712345678", "debug",
        )  # fmt: skip
        assert events[-1]["counters"]["record: data"] == 1
        assert [json.loads(line)["from"] for line in capture.read_text().splitlines()[:2]] == [
            "device", "cloud",
        ]  # fmt: skip

    def test_connections_are_bounded_by_them(self, store: Path) -> None:
        with fake_server("--store", store, "--max-connections", "1") as server:
            [port] = server.ports()
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as first:
                first.sendall(HEARTBEAT)
                assert first.recv(1)
                assert _battery(port, b"") == b""
                assert "--max-connections" in server.line("connection refused")

    def test_only_the_named_devices_are_served(self, store: Path) -> None:
        with fake_server("--store", store, "--device", "7") as server:
            [port] = server.ports()
            assert _battery(port, DATA) == b""
            assert "--device" in server.line("neither kept nor answered: it is not")

    def test_quiet_shows_nothing_but_what_is_wrong(self, store: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
        listen = ("--listen", f"127.0.0.1:{port}")
        with Program("fake-server", *listen, "--store", store, "-q") as server:
            wait_until_it_listens(server)
            ask(port, DATA)
            assert server.stop() == 0
            assert (server.out, server.err) == ([], [])


def _ports_of_json(server: Program) -> list[int]:
    text = json.loads(server.line('"listening"'))["text"]
    return [int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", text)]


def _battery(port: int, data: bytes) -> bytes:
    """Send something, half-close, and return all that comes."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as device:
        try:
            device.sendall(data)
            device.shutdown(socket.SHUT_WR)
            return device.makefile("rb").read()
        except ConnectionError:
            return b""


class TestStandardOutput:
    def test_a_reader_that_is_gone_is_told_once_and_devices_are_served_on(
        self, store: Path
    ) -> None:
        read, write = os.pipe()
        command = [sys.executable, "-c", "from inverterproto_cli.main import main; main()"]
        options = ["fake-server", "--listen", "127.0.0.1:0", "--store", str(store)]
        with subprocess.Popen(  # noqa: S603 - our own program
            [*command, *options], stdout=write, stderr=subprocess.PIPE, text=True
        ) as server:
            os.close(write)
            os.close(read)
            try:
                assert server.stderr is not None
                port = int(server.stderr.readline().split(":")[3])
                for serial in range(1, 6):
                    frame = DATA[:7] + serial.to_bytes(4, "little") + DATA[11:-2]
                    ask(port, frame + bytes((sum(frame[1:]) & 0xFF, 0x15)))
                assert any(
                    "standard output: Broken pipe; readings are shown no more" in line
                    for line in server.stderr
                )
                server.send_signal(SIGTERM)
                rest = server.stderr.read()
                assert server.wait(PATIENCE) == 0
                assert "Broken pipe" not in rest
                assert "Traceback" not in rest
            finally:
                server.kill()

    def test_a_reader_that_hangs_holds_up_nobody(self) -> None:
        read, write = os.pipe()
        with os.fdopen(write, "w", encoding="utf-8") as stream, os.fdopen(read, "rb") as reader:
            outlet = Outlet(stream, most=5)
            text = "x" * 65536
            for _ in range(1000):  # returns although nobody reads
                outlet.write(text)
            assert outlet.dropped > 900
            outlet.close(patience=0.0)
            got = 0
            while got < 5 * len(text):
                got += len(reader.read1(1 << 20))
            assert outlet.gone is None


def test_a_terminal_that_hangs_does_not_keep_the_server_from_ending(store: Path) -> None:
    read, write = os.pipe()
    command = [sys.executable, "-c", "from inverterproto_cli.main import main; main()"]
    options = ["fake-server", "--listen", "127.0.0.1:0", "--store", str(store)]
    with subprocess.Popen(  # noqa: S603 - our own program
        [*command, *options], stdout=write, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            os.set_blocking(write, False)
            with suppress(BlockingIOError):
                while os.write(write, b"x" * 4096):
                    pass  # until the pipe is full
            os.set_blocking(write, True)
            assert server.stderr is not None
            port = int(server.stderr.readline().split(":")[3])
            ask(port, DATA)
            assert len(ask(port, WIFI)) == ANSWER
            server.send_signal(SIGTERM)
            assert server.wait(PATIENCE) == 0
        finally:
            server.kill()
            os.close(read)
            os.close(write)


class TestHint:
    @pytest.mark.asyncio
    @pytest.mark.parametrize("heard", [False, True])
    async def test_after_five_minutes_of_nothing_it_says_what_to_check(
        self, *, heard: bool
    ) -> None:
        async with serving() as served:
            watch = Watch(served.listener, _Nothing(served.keeper))  # type: ignore[arg-type]
            if heard:
                async with await served.device() as device:
                    await device.ask(HEARTBEAT, ANSWER)
            for _ in range(3):
                served.ticks.now += NOTHING_CAME - 1
                watch.turn()
            lines = served.lines.of("nothing-came")
            assert len(lines) == (0 if heard else 1)
            if not heard:
                assert "firewall" in lines[0]

    @pytest.mark.asyncio
    async def test_a_fault_in_the_looking_after_ends_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with serving() as served, await served.device() as device:

            def fail() -> None:
                raise RuntimeError

            monkeypatch.setattr(served.listener, "sweep", fail)
            Watch(served.listener, _Nothing(served.keeper)).turn()  # type: ignore[arg-type]
            assert len(served.lines.of("fault")) == 1
            assert len(await device.ask(RAW["status-1"], SUCCESS)) == SUCCESS


class _Nothing:
    """What `Watch` needs to know of the options."""

    capture = None
    outward = None

    def __init__(self, keeper: object) -> None:
        self.keeper = keeper
        self.log = Log()


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, "ports below 1024 need a right that you do not have"),
        (errno.EADDRINUSE, "the port is in use (by another server?); name another (--listen)"),
        (errno.EAFNOSUPPORT, "Address family not supported by protocol"),
    ],
)
def test_why_a_port_cannot_be_had_is_told(number: int, said: str) -> None:
    error = OSError(number, os.strerror(number))
    assert why_not(Address("::1", 80), error) == f"cannot listen on [::1]:80: {said}"


def test_the_start_lines_say_what_only_this_machine_reaches() -> None:
    everywhere, inside = Address("0.0.0.0", 10000), Address("::1", 7778)
    assert start_lines([everywhere], ["kept"]) == ["listening on 0.0.0.0:10000", "kept"]
    assert start_lines([everywhere, inside], ["kept"]) == [
        "listening on 0.0.0.0:10000, [::1]:7778",
        "nothing but this machine itself reaches [::1]:7778",
        "kept",
    ]
    assert start_lines([inside], ["kept"])[1] == (
        "nothing but this machine itself reaches this address"
    )


def test_the_first_message_imports_nothing() -> None:
    """Both families' sessions are there before the server listens."""
    code = (
        "import sys; from inverterproto_cli.server.answering import Answers;"
        "from inverterproto_cli.server.keeper import Keeper;"
        "from inverterproto_cli.server.logs import Log;"
        "from inverterproto_cli.store import NoStore;"
        "open_session = Answers(Keeper(NoStore(), Log())).open; before = set(sys.modules);"
        "[open_session(name) for name in ('deye', 'alphaess')];"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    assert done.stdout == "[]\n"


class TestTheLog:
    def _record(self) -> logging.LogRecord:
        try:
            raise ValueError("hunter" + str(2))
        except ValueError:
            fault = sys.exc_info()
        record = logging.LogRecord("x", logging.ERROR, "", 0, "%s", ("a\x1b[31mb",), fault)
        record.__dict__ |= {"event": "fault", "connection": 3, "device": "AL\n1", "family": None}
        return record

    def test_a_fault_is_told_by_its_place_and_kind_and_quotes_nothing(self) -> None:
        for form in ("text", "json"):
            line = formatter(form).format(self._record())
            assert "ValueError" in line
            assert "_record" in line
            assert "hunter2" not in line

    def test_nothing_in_a_line_acts_upon_a_terminal(self) -> None:
        line = formatter("text").format(self._record()).splitlines()[0]
        assert line.endswith("ERROR: a\\x1b[31mb (connection 3 device AL\\n1)")

    def test_every_event_is_documented(self) -> None:
        docs = FIXTURES.parent / "docs"
        page = "".join(
            (docs / f"{name}.md").read_text() for name in ("fake-server", "proxy", "sinks")
        )
        told = re.compile(r"(?:tell|complain|say)\(\s*\"([a-z-]+)\"")
        package = Path(logs.__file__).parent
        files = [*package.glob("*.py"), *package.parent.glob("sinks/*.py")]
        events = {event for file in files for event in told.findall(file.read_text())}
        assert len(events) > 8
        for event in events:
            assert f"`{event}`" in page, event


def test_a_sink_on_standard_output_has_it_for_itself(store: Path) -> None:
    with fake_server("--store", store, "--stdout") as server:
        (port,) = server.ports()
        with Peer(port) as device:
            device.ask(data(1))
        line = server.line(r'"number": 1[,}]', of="out")
        assert json.loads(line)["device"] == INVERTER
        assert all(one.startswith("{") for one in server.out)
