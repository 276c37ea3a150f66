"""`inverterproto fake-battery FILE…` over real sockets: what arrives, what it says, how it ends."""

import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from signal import SIGINT, SIGTERM, Signals

import pytest

from inverterproto.alphaess.commands import reply, resume
from inverterproto.alphaess.frame import Frame
from tests.conftest import Run, invoke
from tests.peers import PATIENCE, Peer, receive, receive_all, receive_frame
from tests.programs import Program, fake_server
from tests.vectors import FIXTURES

FOLDER = FIXTURES / "alphaess" / "storion-smile5-V1.01.05"
FRAMES = {
    path.stem: bytes.fromhex(path.read_text())
    for path in sorted(FOLDER.glob("*.hex"))
    if path.stem != "bad-crc"
}
NAME = "001-001-016.json"
COMMAND = (sys.executable, "-c", "from inverterproto_cli.main import main; main()")


@pytest.fixture
def status(tmp_path: Path) -> str:
    return file(tmp_path, NAME, FRAMES["status-1"][7:-2])


def file(folder: Path, name: str, payload: bytes) -> str:
    path = folder / name
    path.write_bytes(payload)
    return str(path)


def fake_battery(port: int, *arguments: str) -> Run:
    return invoke("fake-battery", "--server", f"127.0.0.1:{port}", *arguments)


def success(frame: bytes) -> bytes:
    return reply(Frame.parse(frame)).build()


def serve(connection: socket.socket) -> None:
    """Answer every frame as the cloud does."""
    try:
        while True:
            connection.sendall(success(receive_frame(connection)))
    except EOFError:
        return


def answering(make: Callable[[bytes], bytes]) -> Callable[[socket.socket], None]:
    """Treat a connection so: answer the first frame with some bytes, and wait for the end."""

    def treat(connection: socket.socket) -> None:
        connection.sendall(make(receive_frame(connection)))
        receive_all(connection)

    return treat


# What arrives


def test_what_arrives_is_header_length_the_file_s_bytes_and_the_crc(tmp_path: Path) -> None:
    files = []
    for number, (name, frame) in enumerate(FRAMES.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        head = "-".join(f"{byte:03}" for byte in frame[:3])
        files.append(file(folder, f"{head}.{name}", frame[7:-2]))
    arrived: list[bytes] = []

    def treat(connection: socket.socket) -> None:
        for _ in FRAMES:
            frame = receive_frame(connection)
            arrived.append(frame)
            if frame[1:3] == b"\2\x08" or (frame[1] == 1 and frame[2] != 8):
                connection.sendall(success(frame))

    with Peer(treat) as peer:
        result = fake_battery(peer.port, *files)
    assert arrived == list(FRAMES.values())
    assert result.code == 0, result.err


def test_the_example_of_the_documentation_is_the_captured_status() -> None:
    path = FIXTURES.parent / "docs" / "example" / NAME
    arrived: list[bytes] = []

    def treat(connection: socket.socket) -> None:
        arrived.append(receive_frame(connection))
        connection.sendall(success(arrived[0]))

    with Peer(treat) as peer:
        result = fake_battery(peer.port, str(path))
    assert arrived == [FRAMES["status-1"]]
    assert result.out == f'{NAME}: 1,2,16 {{"Status":"Success"}}\n'


def test_files_go_in_their_order_as_often_as_asked(tmp_path: Path, status: str) -> None:
    login = file(tmp_path, "1-1-2.json", FRAMES["login"][7:-2])
    arrived: list[int] = []

    def treat(connection: socket.socket) -> None:
        for _ in range(6):
            frame = receive_frame(connection)
            arrived.append(frame[2])
            connection.sendall(success(frame))

    with Peer(treat) as peer:
        result = fake_battery(peer.port, login, status, "--loop", "3", "--interval", "0.01")
    assert arrived == [2, 16, 2, 16, 2, 16]
    assert result.out.count("1-1-2.json") == result.out.count(NAME) == 3
    assert "sent 6, answered 6, unanswered 0; latency in ms: 50 %" in result.err


def test_each_frame_waits_for_the_reply_to_the_one_before(status: str) -> None:
    early: list[bytes] = []

    def treat(connection: socket.socket) -> None:
        for _ in range(3):
            frame = receive_frame(connection)
            connection.settimeout(0)
            with suppress(BlockingIOError):
                early.append(connection.recv(1))
            connection.settimeout(PATIENCE)
            connection.sendall(success(frame))

    with Peer(treat) as peer:
        assert fake_battery(peer.port, status, "--loop", "3").code == 0
    assert early == []


def test_compact_and_time_change_what_they_say_and_nothing_else(tmp_path: Path) -> None:
    path = file(tmp_path, "1-1-16.json", b'{ "Time": "2021/03/24 10:01:52",\n "SN": "a  b" }\n')
    arrived: list[bytes] = []

    def treat(connection: socket.socket) -> None:
        arrived.append(receive_frame(connection))
        connection.sendall(success(arrived[0]))

    with Peer(treat) as peer:
        before = time.time()
        result = fake_battery(peer.port, path, "--compact", "--time", "now-86400")
        after = time.time()
    assert result.code == 0
    found = re.fullmatch(rb'\{"Time":"(.{19})","SN":"a  b"\}', arrived[0][7:-2])
    assert found is not None
    shown = time.mktime(time.strptime(found[1].decode(), "%Y/%m/%d %H:%M:%S"))
    assert int(before) <= shown + 86400 <= after


def test_many_connections_each_send_everything(status: str) -> None:
    with Peer(serve) as peer:
        result = fake_battery(peer.port, status, "--connections", "150", "--loop", "2")
    assert peer.connections == 150
    assert result.code == 0, result.err
    assert "sent 300, answered 300, unanswered 0" in result.err
    assert {line.split(":")[0] for line in result.out.splitlines()} == {
        str(number) for number in range(1, 151)
    }


# A server that answers


def test_replies_are_shown_a_line_each_and_the_summary_apart(status: str) -> None:
    with Peer(serve) as peer:
        result = fake_battery(peer.port, status)
    assert result.out == f'{NAME}: 1,2,16 {{"Status":"Success"}}\n'
    assert re.fullmatch(r"sent 1, answered 1, unanswered 0; latency in ms: .*\n", result.err)
    assert result.code == 0


def test_quiet_shows_the_summary_alone(status: str) -> None:
    with Peer(serve) as peer:
        result = fake_battery(peer.port, status, "--quiet")
    assert result.out == ""
    assert "sent 1, answered 1" in result.err


def test_json_has_an_object_for_each_exchange_and_one_for_all(status: str) -> None:
    with Peer(serve) as peer:
        result = fake_battery(peer.port, status, "--json")
    exchange, summary = map(json.loads, result.out.splitlines())
    assert 0 < exchange.pop("seconds") < PATIENCE
    assert exchange["sent"]["length"] == len(FRAMES["status-1"]) - 9
    assert exchange["sent"]["command"] == exchange["reply"]["command"] == 16
    assert exchange["payload"] == '{"Status":"Success"}'
    assert (exchange["type"], exchange["name"], exchange["connection"]) == ("exchange", NAME, 1)
    assert exchange["problem"] == ""
    assert (summary["sent"], summary["answered"], summary["unanswered"]) == (1, 1, 0)
    assert summary["wrong"] == {}
    assert set(summary["latency"]) == {"50%", "90%", "99%", "longest"}


def test_a_command_of_the_server_is_shown_and_no_reply(status: str) -> None:
    def make(frame: bytes) -> bytes:
        return resume(7).build() + success(frame)

    with Peer(answering(make)) as peer:
        result = fake_battery(peer.port, status)
    first, second = result.out.splitlines()
    assert first == 'the server commands: 1,1,8 {"CmdIndex":"7","Command":"Resume"}'
    assert second.startswith(f"{NAME}: 1,2,16")
    assert result.code == 0


def test_what_wants_no_reply_gets_none(tmp_path: Path) -> None:
    files = [file(tmp_path, name, b"{}") for name in ("2-1-16.json", "1-2-16.json", "1-1-8.json")]
    with Peer(receive_all) as peer:
        result = fake_battery(peer.port, *files)
    assert result.out.count("sent, no reply is due") == 3
    assert result.err == "sent 0, answered 0, unanswered 0\n"
    assert result.code == 0


def test_what_the_server_says_cannot_act_upon_the_terminal(status: str) -> None:
    evil = '{"Status":"Success","x":"\x1b[2J\u202e\r\n"}'

    def make(frame: bytes) -> bytes:
        return Frame(1, 2, frame[2], evil.encode()).build()

    with Peer(answering(make)) as peer:
        result = fake_battery(peer.port, status)
    assert len(result.out.splitlines()) == 1
    assert result.out.rstrip("\n").isprintable()
    assert result.code == 0


# A server that misbehaves


def other_class(frame: bytes) -> bytes:
    return Frame(1, 1, frame[2], b'{"Status":"Success"}').build()


def other_command(_frame: bytes) -> bytes:
    return Frame(1, 2, 5, b'{"Status":"Success"}').build()


def status_fail(frame: bytes) -> bytes:
    return Frame(1, 2, frame[2], b'{"Status":"Fail"}').build()


def no_status(frame: bytes) -> bytes:
    return Frame(1, 2, frame[2], b"").build()


def junk_before(frame: bytes) -> bytes:
    return b"\xff\xfe\xfd" + success(frame)


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        (other_class, f"wrong: {NAME}: the reply is 1,1,16, not 1,2,16"),
        (other_command, f"wrong: {NAME}: the reply is 1,2,5, not 1,2,16"),
        (status_fail, f"wrong: {NAME}: the reply's Status is 'Fail', not 'Success'"),
        (no_status, f"wrong: {NAME}: the reply has no Status"),
        (junk_before, "wrong: bytes came that are no frame"),
    ],
)
def test_a_wrong_reply_is_told_with_its_file(
    make: Callable[[bytes], bytes], wrong: str, status: str
) -> None:
    with Peer(answering(make)) as peer:
        result = fake_battery(peer.port, status)
    assert wrong in result.err.splitlines()
    assert "sent 1, answered 1, unanswered 0" in result.err
    assert result.code == 1


@pytest.mark.parametrize(
    ("make", "more"),
    [
        (lambda _: b"", ""),
        (lambda frame: success(frame)[:12], "; 12 bytes came that are no whole frame"),
        (lambda frame: success(frame)[:-1] + b"\0", "; 29 bytes came that are no whole frame"),
        (lambda _: b"HTTP/1.1 400\r\n", "; 14 bytes came that are no whole frame"),
    ],
    ids=["nothing", "half a frame", "bad checksum", "junk"],
)
def test_a_missing_reply_is_told_with_its_file(
    make: Callable[[bytes], bytes], more: str, status: str
) -> None:
    with Peer(answering(make)) as peer:
        result = fake_battery(peer.port, status, "--wait", "0.2")
    assert f"wrong: {NAME}: no reply within 0.2 s{more}" in result.err.splitlines()
    assert result.out == f"{NAME}: WRONG: no reply within 0.2 s{more}\n"
    assert "sent 1, answered 0, unanswered 1" in result.err
    assert result.code == 1


def test_a_connection_that_ends_is_told_with_what_was_not_sent(status: str) -> None:
    def close(connection: socket.socket) -> None:
        connection.sendall(success(receive_frame(connection)))
        receive_frame(connection)

    with Peer(close) as peer:
        result = fake_battery(peer.port, status, "--loop", "5")
    lines = result.err.splitlines()
    assert f"wrong: {NAME}: no reply: the server closed the connection" in lines
    assert "wrong: connection lost: 3 of 5 messages were not sent" in lines
    assert "sent 2, answered 1, unanswered 1" in result.err
    assert result.code == 1


def test_a_reset_is_told(status: str) -> None:
    def reset(connection: socket.socket) -> None:
        receive(connection, 1)  # and what else came is not read

    with Peer(reset) as peer:
        result = fake_battery(peer.port, status)
    assert f"wrong: {NAME}: no reply: Connection reset by peer" in result.err.splitlines()
    assert result.code == 1


def test_half_a_frame_before_the_end_is_told(status: str) -> None:
    def close(connection: socket.socket) -> None:
        connection.sendall(success(receive_frame(connection))[:9])

    with Peer(close) as peer:
        result = fake_battery(peer.port, status)
    expected = "no reply: the server closed the connection; 9 bytes came that are no whole frame"
    assert f"wrong: {NAME}: {expected}" in result.err.splitlines()


def test_a_late_reply_does_not_spoil_the_next(tmp_path: Path, status: str) -> None:
    record = file(tmp_path, "1-1-5.json", FRAMES["record"][7:-2])

    def treat(connection: socket.socket) -> None:
        late = success(receive_frame(connection))
        connection.sendall(late + success(receive_frame(connection)))
        receive_all(connection)

    with Peer(treat) as peer:
        result = fake_battery(peer.port, status, record, "--wait", "2")
    first, second, third = result.out.splitlines()
    assert first == f"{NAME}: WRONG: no reply within 2 s"
    assert second == 'late: 1,2,16 {"Status":"Success"}'
    assert third == '1-1-5.json: 1,2,5 {"Status":"Success"}'
    assert "sent 2, answered 1, unanswered 1" in result.err
    assert result.code == 1


def test_a_server_that_reads_nothing_does_not_hold_it(tmp_path: Path) -> None:
    path = file(tmp_path, "2-1-99", b"x" * 60_000)
    done = threading.Event()
    with Peer(lambda _: done.wait(PATIENCE)) as peer:
        result = fake_battery(peer.port, path, "--loop", "200", "--wait", "0.01", "-q")
        done.set()
    assert "wrong: 2-1-99: the server did not take it within 0.01 s" in result.err
    assert result.code == 1


def test_a_server_that_is_not_there_is_one_clear_line(status: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for arguments in ((status,), (status, "--connections", "3"), ()):
        result = fake_battery(port, *arguments)
        assert result.err == f"Error: 127.0.0.1:{port}: Connection refused\n"
        assert result.out == ""
        assert result.code == 1


# Before anything is sent


@pytest.fixture
def untouched() -> Iterator[int]:
    """Give the port of a server, and see to it that nobody has called there."""
    with Peer(lambda _: None) as peer:
        yield peer.port
        assert peer.connections == 0


def test_a_name_without_three_numbers_is_wrong_usage(
    untouched: int, status: str, tmp_path: Path
) -> None:
    for name in ("status.json", "1-1-256.json", "1-1.json", "1-1-x\x1b[2J.json"):
        path = file(tmp_path, name, b"{}")
        result = fake_battery(untouched, status, path)
        assert result.code == 2
        assert "does not begin with three numbers 0 to 255" in result.err
        assert "\x1b" not in result.err


def test_a_name_is_looked_at_before_any_file(untouched: int, tmp_path: Path) -> None:
    result = fake_battery(untouched, str(tmp_path / "1-1-16.json"), "no-message.json")
    assert result.code == 2


def test_a_file_that_cannot_be_sent_is_an_error(
    untouched: int, status: str, tmp_path: Path
) -> None:
    missing = str(tmp_path / "1-1-5.json")
    empty = file(tmp_path, "1-1-4.json", b"")
    large = file(tmp_path, "1-1-9.json", b" " * 65_528)
    for path, reason in (
        (missing, "No such file or directory"),
        (empty, "is empty"),
        (large, "is too large: a frame takes 65,527 bytes"),
    ):
        result = fake_battery(untouched, status, path)
        assert result.err == f"Error: {path}: {reason}\n"
        assert result.code == 1


@pytest.mark.parametrize(
    "options",
    [
        ("--time", "later"), ("--time", "now+"), ("--time", "now+nan"), ("--time", "now+1e99"),
        ("--time", "now5"), ("--wait", "0"), ("--wait", "-1"), ("--interval", "-1"),
        ("--loop", "0"), ("--connections", "0"), ("--speed", "0"), ("--server", "here"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_wrong_usage(
    untouched: int, status: str, options: tuple[str, str]
) -> None:
    assert fake_battery(untouched, status, *options).code == 2


def test_what_is_no_json_is_sent_with_a_warning(tmp_path: Path) -> None:
    payload = FRAMES["malformed-json"][7:-2]
    path = file(tmp_path, "1-1-4.json", payload)
    arrived: list[bytes] = []

    def treat(connection: socket.socket) -> None:
        arrived.append(receive_frame(connection))
        connection.sendall(success(arrived[0]))

    with Peer(treat) as peer:
        result = fake_battery(peer.port, path, "--compact", "--time", "now")
    assert arrived[0][7:-2] == payload
    assert "Warning: 1-1-4.json: no JSON" in result.err
    assert "sent all the same" in result.err
    assert result.code == 0


# Our own server, and a stop


def test_our_fake_server_answers_every_captured_payload(tmp_path: Path) -> None:
    wanted = {name: frame for name, frame in FRAMES.items() if frame[1] == 1 and frame[2] != 8}
    files = []
    for name, frame in wanted.items():
        files.append(file(tmp_path, f"1-1-{frame[2]}.{name}", frame[7:-2]))
    with fake_server("--store", tmp_path / "store.db") as server:
        [port] = server.ports()
        result = fake_battery(port, *files)
        assert server.stop() == 0
    assert result.code == 0, result.err
    assert f"sent {len(wanted)}, answered {len(wanted)}, unanswered 0" in result.err
    for name in wanted:
        assert f".{name}: 1,2," in result.out


@pytest.mark.parametrize("number", [SIGINT, SIGTERM])
@pytest.mark.parametrize("files", [True, False])
def test_a_signal_ends_it_with_the_summary(number: Signals, files: bool, status: str) -> None:  # noqa: FBT001
    arguments = (status, "--interval", "0.01", "--loop", "1000000") if files else ()
    with (
        Peer(serve) as peer,
        Program("fake-battery", "--server", f"127.0.0.1:{peer.port}", *arguments) as battery,
    ):
        battery.line("Success", of="out", count=4)
        assert battery.stop(number) == 0
        assert battery.err[-1].startswith("sent ")
        sent, answered = re.findall(r"(?:sent|answered) ([\d,]+)", battery.err[-1])[:2]
        assert sent == answered
        assert "Traceback" not in "\n".join(battery.err)


def test_a_reply_that_is_awaited_when_it_is_stopped_is_not_missing(status: str) -> None:
    asked = threading.Event()

    def treat(connection: socket.socket) -> None:
        receive_frame(connection)
        asked.set()
        receive_all(connection)

    with (
        Peer(treat) as peer,
        Program("fake-battery", "--server", f"127.0.0.1:{peer.port}", status) as battery,
    ):
        assert asked.wait(PATIENCE)
        assert battery.stop() == 0
        assert battery.err == ["sent 0, answered 0, unanswered 0"]


@pytest.mark.parametrize("files", [True, False])
def test_it_ends_when_nobody_reads_what_it_shows(files: bool, status: str) -> None:  # noqa: FBT001
    arguments = [status, "--loop", "1000000"] if files else ["--speed", "1e9"]
    with Peer(serve) as peer:
        assert run_to_first_line(peer.port, arguments) == (0, "")


def run_to_first_line(port: int, arguments: list[str]) -> tuple[int, str]:
    """Read one line of what the program shows, and no more; return its end and its complaints."""
    with subprocess.Popen(  # noqa: S603 - our own program
        [*COMMAND, "fake-battery", "--server", f"127.0.0.1:{port}", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "Success" in process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
        return process.wait(PATIENCE), said
