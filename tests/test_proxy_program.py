"""`inverterproto proxy` as a process: start, options, DNS, signals, and what it writes."""

import re
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from signal import SIGINT, SIGTERM, SIGUSR1, Signals
from time import monotonic

import dns.message
import dns.rdatatype
import dns.rrset
import pytest

from inverterproto_cli.relay import relaying
from inverterproto_cli.store import Reader
from tests.clients import LOGGER, Peer, battery_status, data
from tests.conftest import invoke
from tests.peers import Peer as Server
from tests.peers import answer_by, right
from tests.programs import PATIENCE, Program
from tests.test_fake_server import ANSWER, DATA
from tests.vectors import FIXTURES

_WHAT_TO_TYPE = (
    "your DNS entry holds for this machine, too. Ask another DNS server (--resolver 9.9.9.9), or "
    "name the cloud by its address (--upstream deye=ADDRESS:"
)


def proxy(*options: str | Path) -> Program:
    """Start a proxy at free ports of loopback."""
    listen = ("--listen", "deye=127.0.0.1:0", "--listen", "alphaess=127.0.0.1:0")
    return Program("proxy", *listen, *options)


def ask(port: int, request: bytes, size: int = ANSWER) -> bytes:
    """Ask something; return what comes."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as device:
        device.sendall(request)
        try:
            return device.makefile("rb").read(size)
        except ConnectionError:
            return b""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def dns_server() -> Iterator[tuple[str, dict[str, str]]]:
    """Give the address of a DNS server, and the addresses that it knows."""
    known: dict[str, str] = {}
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            data, peer = server.recvfrom(4096)
            if not data:
                return
            question = dns.message.from_wire(data)
            answer = dns.message.make_response(question)
            asked = question.question[0]
            address = known.get(asked.name.to_text().rstrip("."))
            if address is None:
                answer.set_rcode(dns.rcode.NXDOMAIN)
            elif asked.rdtype == dns.rdatatype.A:
                answer.answer.append(dns.rrset.from_text(asked.name, 60, "IN", "A", address))
            server.sendto(answer.to_wire(), peer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    host, port = server.getsockname()
    yield f"{host}:{port}", known
    server.sendto(b"", server.getsockname())
    thread.join(PATIENCE)
    server.close()


def wait_until_kept(store: Path) -> None:
    """Wait until a device is in the store: the wire does not."""
    end = monotonic() + PATIENCE
    while monotonic() < end:
        with Reader(store) as reader:
            if reader.devices():
                return
    raise AssertionError("nothing was kept")


class TestStartAndEnd:
    @pytest.mark.parametrize("number", [SIGTERM, SIGINT])
    def test_it_says_where_devices_go_and_ends_in_peace_with_all_that_was_acknowledged(
        self, store: Path, number: Signals
    ) -> None:
        with Server(answer_by(right)) as cloud:
            upstream = ("--upstream", f"deye={cloud.address}", "--upstream", "alphaess=none")
            with proxy(*upstream, "--store", store) as made:
                for told in (
                    f" deye goes to {cloud.address}$",
                    " alphaess is answered here$",
                    " cloud away: we answer, and its portal has a gap .--offline.$",
                    " the cloud may command the devices .--cloud-commands.$",
                    f" records are kept in {store}$",
                ):
                    made.line(told)
                deye, alphaess = made.ports()
                assert len(ask(deye, DATA)) == ANSWER
                assert b"Success" in ask(alphaess, battery_status(1, "AL1"), 29)
                made.line("2301234567", of="out")
                made.signal(SIGUSR1)
                assert f"relayed bytes of devices {len(DATA)}" in made.line("counters:")
                with socket.create_connection(("127.0.0.1", deye), timeout=PATIENCE) as device:
                    device.sendall(DATA)
                    assert len(device.makefile("rb").read(ANSWER)) == ANSWER
                    assert made.stop(number) == 0
                    assert device.recv(1) == b""
                assert not [line for line in made.err if "Traceback" in line]
                last = made.line("counters:", count=2)
                assert "relayed connections 2" in last
                assert "ended: the proxy stops 1" in last
        with Reader(store) as reader:
            assert {(each.kind, each.answered) for each in reader.newest()} == {
                ("data", "cloud"), ("status", "us"),
            }  # fmt: skip

    @pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits another")
    @pytest.mark.parametrize(
        ("options", "meanwhile", "lost"),
        [
            ([], "what their cloud acknowledges meanwhile may be missing here",
             "their cloud may have acknowledged them"),
            (["--durable"], "nothing is acknowledged meanwhile", "none of them was acknowledged"),
        ],
        ids=["passed on", "durable"],
    )  # fmt: skip
    def test_what_a_full_disk_means_is_told_as_it_is(
        self, store: Path, options: list[str], meanwhile: str, lost: str
    ) -> None:
        with Server(answer_by(right)) as cloud:
            upstream = ("--upstream", f"deye={cloud.address}", "--upstream", "alphaess=none")
            with proxy(*upstream, "--store", store, *options) as made:
                made.line("listening on")
                resource.prlimit(made.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
                with socket.create_connection(("127.0.0.1", made.ports()[0])) as device:
                    device.settimeout(PATIENCE)
                    device.sendall(DATA)
                    assert made.line("tried again until it works").endswith(meanwhile)
                    if not options:
                        assert len(device.makefile("rb").read(ANSWER)) == ANSWER
                    assert made.stop() == 1
                assert made.line("1 records were not written").endswith(lost)

    def test_it_says_what_refusing_costs_and_what_a_filter_leaves(self, store: Path) -> None:
        options = (
            "--offline", "refuse", "--cloud-commands", "block", "--durable", "--tee", "127.0.0.1:9",
            "--upstream", f"deye=127.0.0.1:{free_port()}", "--upstream", "alphaess=none",
        )  # fmt: skip
        with proxy(*options, "--store", store) as made:
            made.line(" cloud away: devices keep their records, you see none .--offline.$")
            made.line(" the cloud may command nothing .--cloud-commands.$")
            made.line(" what a cloud says waits for the records before it .--durable.$")
            made.line(" a copy goes to 127.0.0.1:9 .--tee.$")
            assert ask(made.ports()[0], DATA) == b""
            made.line("deye is away: .* refuses the connection; its devices are turned away")
            assert made.stop() == 0

    def test_a_signal_while_the_cloud_is_called_is_heeded_at_once(self, store: Path) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
            fill = [socket.socket() for _ in range(4)]
            for each in fill:
                each.setblocking(False)  # noqa: FBT003 - socket's way
                each.connect_ex(deaf.getsockname())
            options = ("--upstream", f"deye=127.0.0.1:{deaf.getsockname()[1]}",
                       "--upstream", "alphaess=none", "--store", store, "-v")  # fmt: skip
            with proxy(*options) as made:
                port = made.ports()[0]
                with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as device:
                    device.sendall(DATA)
                    made.line("connected from")
                    assert made.stop() == 0
                assert not [line for line in made.err if "Traceback" in line]
                assert "ended: the proxy stops 1" in made.line("counters:")
            for each in fill:
                each.close()

    @pytest.mark.parametrize("durable", [False, True])
    def test_a_signal_under_load_loses_nothing_that_was_acknowledged(
        self, store: Path, *, durable: bool
    ) -> None:
        told: list[tuple[int, int]] = []
        enough = threading.Event()

        def talk(logger: int, port: int) -> None:
            with suppress(OSError), Peer(port) as device:
                for number in range(100_000):
                    device.ask(data(number, logger))
                    told.append((logger, number))
                    if len(told) > 200:
                        enough.set()

        with Server(answer_by(right)) as cloud:
            upstream = ("--upstream", f"deye={cloud.address}", "--upstream", "alphaess=none")
            options = ("--store", store, "-v", *(("--durable",) if durable else ()))
            with proxy(*upstream, *options) as made:
                port = made.ports()[0]
                threads = [
                    threading.Thread(target=talk, args=(2_700_000_000 + number, port))
                    for number in range(8)
                ]
                for thread in threads:
                    thread.start()
                assert enough.wait(PATIENCE)
                assert made.stop() == 0
                for thread in threads:
                    thread.join(PATIENCE)
                assert not [line for line in made.err if "Traceback" in line or "ERROR" in line]
        with Reader(store) as reader:
            kept = {each.frame for each in reader.newest()}
        assert not [one for one in told if data(one[1], one[0]) not in kept]

    def test_a_device_that_is_forgotten_is_let_go_and_kept_as_a_new_one(self, store: Path) -> None:
        with Server(answer_by(right)) as cloud:
            upstream = ("--upstream", f"deye={cloud.address}", "--upstream", "alphaess=none")
            with proxy(*upstream, "--store", store) as made:
                port = made.ports()[0]
                with Peer(port) as device:
                    device.ask(data(1))
                    wait_until_kept(store)
                    done = invoke("devices", "forget", str(LOGGER), "--yes", "--store", store)
                    assert done.code == 0, done.err
                    assert device.read_to_end() == b""
                made.line("connection ended: the device is forgotten")
                with Peer(port) as device:
                    device.ask(data(2))
                assert made.stop() == 0
        with Reader(store) as reader:
            assert [each.frame for each in reader.newest()] == [data(2)]


class TestFindingTheCloud:
    def test_a_name_that_does_not_resolve_is_told_and_devices_are_answered(
        self, store: Path, dns_server: tuple[str, dict[str, str]]
    ) -> None:
        address, _ = dns_server
        options = ("--resolver", address, "--upstream", "alphaess=none", "--store", store)
        with proxy(*options) as made:
            line = made.line("deye would go to")
            assert f"5406.deviceaccess.host does not resolve at {address}" in line
            assert "--upstream deye=ADDRESS:10000" in line
            assert len(ask(made.ports()[0], DATA)) == ANSWER
            assert made.stop() == 0

    def test_a_vendors_name_that_leads_home_is_told_with_the_line_to_type(
        self, store: Path, dns_server: tuple[str, dict[str, str]]
    ) -> None:
        address, known = dns_server
        known["5406.deviceaccess.host"] = "192.168.1.10"
        options = ("--resolver", address, "--upstream", "alphaess=none", "--store", store)
        with proxy(*options) as made:
            line = made.line("deye would go to")
            assert "leads to 192.168.1.10, an address at home" in line
            assert "--upstream deye=5406.deviceaccess.host:10000" in line
            assert made.stop() == 0

    def test_a_name_that_leads_to_the_proxy_itself_ends_it_with_the_line_to_type(
        self, store: Path, dns_server: tuple[str, dict[str, str]]
    ) -> None:
        address, known = dns_server
        known["my.cloud"] = "127.0.0.1"
        port = free_port()
        with Program(
            "proxy", "--listen", f"deye=127.0.0.1:{port}", "--listen", "alphaess=none",
            "--upstream", f"deye=my.cloud:{port}", "--upstream", "alphaess=none",
            "--resolver", address, "--store", store,
        ) as made:  # fmt: skip
            assert made.end() == 1
            assert made.err == [
                f"Error: my.cloud leads to this program itself (127.0.0.1): {_WHAT_TO_TYPE}{port})"
            ]

    def test_a_second_server_that_is_the_proxy_itself_ends_it(self, store: Path) -> None:
        port = free_port()
        with Program(
            "proxy", "--listen", f"deye=127.0.0.1:{port}", "--listen", "alphaess=none",
            "--upstream", "deye=none", "--upstream", "alphaess=none",
            "--tee", f"localhost:{port}", "--store", store,
        ) as made:  # fmt: skip
            assert made.end() == 1
            assert made.err == [f"Error: --tee localhost:{port} is this program itself"]


class TestOptions:
    def test_the_defaults_are_the_vendors_own_hosts(self) -> None:
        shown = re.sub(r"\s+", " ", invoke("proxy", "--help").out)
        assert "deye=5406.deviceaccess.host:10000, alphaess=www.alphaess.com:7777" in shown
        assert "deye=0.0.0.0:10000, alphaess=0.0.0.0:7777" in shown

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (
                ["--listen", "1.2.3.4:5"],
                "say for which family: deye=1.2.3.4:5 or alphaess=1.2.3.4:5",
            ),
            (["--listen", "sma=1.2.3.4:5"], "there is no family 'sma'"),
            (["--listen", "deye=none", "--listen", "alphaess=none"], "nothing is left"),
            (
                ["--listen", "deye=1.2.3.4:5", "--listen", "alphaess=1.2.3.4:5"],
                "needs its own port",
            ),
            (["--upstream", "1.2.3.4:5"], "is not FAMILY=HOST:PORT"),
            (["--upstream", "sma=1.2.3.4:5"], "is not FAMILY=HOST:PORT"),
            (["--upstream", "deye=host"], "is not HOST:PORT: the port is missing"),
            (["--upstream", "deye=a:1,alphaess=b:2"], "give --upstream once for each"),
            (["--upstream", "deye=http://1.2.3.4:5"], "give it without http://"),
            (["--upstream", "deye=a b:5"], "'a b' is neither a name nor an address"),
            (["--upstream", "deye=fe80::1"], "'fe80:' is neither a name nor an address"),
            (["--tee", "deye=1.2.3.4:5"], "give it without deye="),
            (["--upstream", "deye=none", "--upstream", "deye=a:1"], "deye is given twice"),
            (["--resolver", "dns"], "'dns' is not IP[:PORT]"),
            (["--resolver", "dns.example:53"], "'dns.example:53' is not IP[:PORT]"),
            (["--resolver", "1.2.3.4:dns"], "'dns' is no port"),
            (["--offline", "wait"], "answer"),
            (["--cloud-commands", "some"], "read-only"),
            (["--approve-for", "10m"], "--cloud-commands read-only or block"),
            (["--cloud-commands", "block", "--approve-for", "soon"], "--approve-for"),
            (["--tee", "somewhere"], "is not HOST:PORT"),
            (["--durable", "--no-store"], "--durable waits for the store"),
        ],
    )
    def test_wrong_ones_are_wrong_usage(self, options: list[str], said: str) -> None:
        shown = invoke("proxy", *options)
        assert shown.code == 2
        assert said in shown.err


def test_every_event_is_documented() -> None:
    page = (FIXTURES.parent / "docs" / "proxy.md").read_text(encoding="utf-8")
    told = re.compile(r"(?:tell|complain)\(\s*\"([a-z-]+)\"")
    relay = Path(relaying.__file__).parent
    own = {event for file in relay.glob("*.py") for event in told.findall(file.read_text())}
    assert {"cloud-away", "cloud-back", "tls", "copy", "records-dropped"} <= own
    for event in own:
        assert f"`{event}`" in page, event
