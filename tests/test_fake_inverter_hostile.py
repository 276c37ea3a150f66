"""`inverterproto fake-inverter` against servers that misbehave: what it says, and how it ends."""

import re
import socket
from functools import partial

import pytest

from inverterproto.deye.commands import reply
from inverterproto.deye.frame import Frame
from tests.peers import NOW, Peer, answer_by, requests, right
from tests.programs import Program
from tests.test_fake_inverter import DAY, REALTIME, live
from tests.vectors import raw

SHORT = (*DAY, "--for", "2")


def test_who_is_not_there_is_told_in_a_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    for arguments in (DAY, (str(REALTIME),)):
        run = live(port, *arguments)
        assert run.code == 1
        assert run.err == f"Error: 127.0.0.1:{port}: Connection refused\n"


def test_one_that_never_answers() -> None:
    with Peer(lambda connection: [*requests(connection)]) as peer:
        run = live(peer, *SHORT, "--wait", "0.1")
        assert run.code == 1
        assert "wrong: no reply to handshake" in run.err
        assert "wrong: no reply to data" in run.err
        assert "noted: the other side does not answer" in run.err
        run = live(peer, str(REALTIME), "--wait", "0.1")
    assert run.code == 1
    assert run.err == (
        "sent 1, answered 0, unanswered 1\n"
        "wrong: no reply to frame 1 (data) within 0.1 s\n"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"control_code": 0x1110}, "control code 0x1110, expected 0x1210"),
        ({"sequence": (9, 9)}, r"counters (9, 9), expected (22, 22)"),
        ({"logger_serial": 7}, "logger 7, expected 2712345678"),
        ({"payload": bytes((1, 0)) + bytes(8)}, "status 0, expected 1"),
        ({"payload": bytes((2, 1)) + bytes(8)}, "frame type 0x02, expected 0x01"),
        ({"payload": bytes((1, 1)) + bytes(9)}, "payload of 11 bytes, expected of 10 bytes"),
        ({"payload": b"\1\1"}, "a payload of 2 bytes, expected 10"),
    ],
)
def test_one_that_answers_wrong(change: dict[str, object], told: str) -> None:
    def wrong(request: Frame) -> bytes:
        good = reply(request, NOW)
        values = {name: getattr(good, name) for name in Frame.__slots__}
        return Frame(**{**values, **change}).build()

    with Peer(answer_by(wrong)) as peer:
        run = live(peer, str(REALTIME))
    assert run.code == 1
    assert f"wrong: reply to frame 1 (data): {told}\n" in run.err


def test_one_that_refuses_what_a_stick_says() -> None:
    refuse = answer_by(lambda request: reply(request, NOW, status=0).build())
    with Peer(refuse) as peer:
        run = live(peer, *SHORT, "--wait", "0.3")
    assert run.code == 1
    assert "wrong: reply to handshake: status 0, expected 1" in run.err
    assert "wrong: no reply to data" in run.err


def test_one_that_damages_its_replies() -> None:
    def damaged(request: Frame) -> bytes:
        good = right(request)
        return good[:-2] + bytes((good[-2] ^ 1,)) + good[-1:]

    with Peer(answer_by(damaged)) as peer:
        run = live(peer, str(REALTIME), "--wait", "0.1")
    assert run.code == 1
    assert "wrong: bytes that are no frame came from the server (bad checksum)" in run.err
    assert "wrong: no reply to frame 1 (data) within 0.1 s" in run.err


def test_one_that_sends_junk_between_right_replies() -> None:
    with Peer(answer_by(lambda request: b"junk\r\n" + right(request))) as peer:
        for arguments in (SHORT, (str(REALTIME),)):
            run = live(peer, *arguments)
            assert run.code == 1
            assert "unanswered 0;" in run.err
            assert "wrong: bytes that are no frame came from the server" in run.err


def test_one_that_answers_twice() -> None:
    with Peer(answer_by(lambda request: right(request) * 2)) as peer:
        run = live(peer, *SHORT)
    assert run.code == 1
    assert "wrong: a message of type 0x11 that answers nothing" in run.err


def test_one_that_closes_at_once() -> None:
    with Peer(lambda connection: connection.recv(1)) as peer:
        run = live(peer, *SHORT, "--wait", "0.1")
        assert run.code == 1
        assert "wrong: no reply to data" in run.err
        assert re.search("noted: (the server closed|Connection reset)", run.err)
        run = live(peer, str(REALTIME))
    assert run.code == 1
    assert "wrong: no reply to frame 1 (data)\n" in run.err


def test_one_that_closes_now_and_then_loses_nothing() -> None:
    data: set[bytes] = set()

    def serve(connection: socket.socket, most: int | None = None) -> None:
        for count, request in enumerate(requests(connection)):
            if count == most:
                return
            data.add(request.payload[21:])
            connection.sendall(right(request))

    with Peer(*[partial(serve, most=3)] * 4, serve) as peer:
        run = live(peer, *SHORT, "--historic", "30")
    assert run.code == 0
    assert "noted: " in run.err
    assert len(data) >= 30


def test_a_command_is_answered_by_a_stick_and_shown_in_a_capture() -> None:
    answered: list[int] = []
    command = raw("tsun-modbus-write")

    def serve(connection: socket.socket) -> None:
        for request in requests(connection):
            frame = Frame.parse(command)
            serial = request.logger_serial
            order = Frame(frame.control_code, (7, 0), serial, frame.payload).build()
            connection.sendall(order + right(request))
            answered.append(request.message_type)

    with Peer(serve) as peer:
        run = live(peer, str(REALTIME))
        assert run.code == 0
        assert "the server commands something: not answered\n" in run.out
        assert live(peer, *SHORT).code == 0


def test_one_that_goes_is_told_with_the_time_until_the_next_attempt() -> None:
    def leave(connection: socket.socket) -> None:
        for request in requests(connection):
            connection.sendall(right(request))
            if request.message_type == 0x42:
                peer.leave()
                return

    with Peer(leave) as peer, Program(
        "fake-inverter", "--server", peer.address, "--begin", "12:00", "--speed", "20"
    ) as program:  # fmt: skip
        program.line("^4290000000: the server closed the connection; again in 4 s of its time$")
        program.line(f"^4290000000: {peer.address}: Connection refused; again in 8 s of its time$")
        program.line(f"^4290000000: {peer.address}: Connection refused; again in 16 s of its time$")
        program.stop()


@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_one_that_says_nothing_is_told_while_it_is_waited_for(quiet: tuple[str, ...]) -> None:
    with Peer(lambda connection: [*requests(connection)]) as peer:
        run = live(peer, *SHORT, "--wait", "0.1", *quiet)
    told = "4290000000: nothing is answered for 0.1 s\n" in run.err
    assert told is not bool(quiet)


def test_of_many_that_are_closed_at_once_it_is_said_once_and_why_that_may_be() -> None:
    def close(connection: socket.socket) -> None:
        connection.shutdown(socket.SHUT_WR)
        list(requests(connection))

    with Peer(close) as peer:
        options = ("--server", peer.address, "--connections", "5", "--begin", "12:00")
        with Program("fake-inverter", *options, "--wait", "0.1") as sticks:
            sticks.line("again in")
            assert sticks.stop() == 1
    lines = [line for line in sticks.err if "again in" in line]
    assert len(lines) == 1
    assert "before it said anything" in lines[0]
    assert "(it may let in only so many of one address" in lines[0]
    assert "a proxy with --offline refuse, and its cloud is away" in lines[0]
    assert lines[0].endswith("again in 4 s of its time; it is said once, of all devices")
