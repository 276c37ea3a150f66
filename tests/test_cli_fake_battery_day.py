"""`inverterproto fake-battery` without files: a battery's day, its connections, what is kept."""

import re
import socket
from collections import Counter
from pathlib import Path

import pytest

from inverterproto.alphaess.frame import Frame
from inverterproto.alphaess.messages import Message
from inverterproto_cli.fakes import driving
from inverterproto_cli.fakes.exchange import Tally
from inverterproto_cli.fakes.shown import Exchange
from inverterproto_cli.fakes.simulated import simulated_battery
from inverterproto_cli.store.reader import Reader
from tests.peers import Peer, receive_all, receive_frame
from tests.programs import Program, fake_server
from tests.test_cli_fake_battery import fake_battery, serve, success

SERIAL = "SIM000000000001"


def battery_of(peer: Peer, *options: str) -> Program:
    """Start a battery that talks to a server."""
    return Program("fake-battery", "--server", f"127.0.0.1:{peer.port}", "--speed", "600", *options)


def answer(connection: socket.socket, count: int, seen: list[int]) -> None:
    """Answer so many frames, and note their commands."""
    for _ in range(count):
        frame = receive_frame(connection)
        seen.append(frame[2])
        connection.sendall(success(frame))


def test_a_whole_day_passes_as_fast_as_the_server_answers_and_ends_by_itself() -> None:
    seen: Counter[int] = Counter()
    stamps: list[str] = []

    def treat(connection: socket.socket) -> None:
        while True:
            frame = receive_frame(connection)
            seen[frame[2]] += 1
            if frame[2] == 16:
                stamps.append(frame[16:35].decode())
            connection.sendall(success(frame))

    with Peer(treat) as peer:
        result = fake_battery(peer.port, "--speed", "1e9", "-q")
    assert result.code == 0, result.err
    assert seen == {2: 1, 0: 1, 9: 1, 3: 1, 16: 8640, 5: 288, 4: 24}
    assert "sent 8,956, answered 8,956, unanswered 0" in result.err
    assert stamps == sorted(set(stamps))
    assert peer.connections == 1


def test_our_fake_server_keeps_each_record_once_and_they_are_plausible(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    with fake_server("--store", store) as server:
        [port] = server.ports()
        with Program(
            "fake-battery", "--server", f"127.0.0.1:{port}", "--speed", "600", "--json"
        ) as battery:
            battery.line(r'"name": "record"', of="out", count=4)
            assert battery.stop() == 0
            shown = Counter(re.findall(r'"name": "(\w+)"', "\n".join(battery.out)))
        server.line(SERIAL, of="out", count=shown["status"] + shown["record"])
        assert server.stop() == 0
    with Reader(store) as reader:
        kept = [one for one in reader.newest() if one.kind in ("status", "record")]
    for kind in ("status", "record"):
        # One whose reply was under way may have been kept and not shown.
        assert sum(one.kind == kind for one in kept) - shown[kind] in (0, 1)
    assert {one.device for one in kept} == {SERIAL}
    assert {one.repeated for one in kept} == {0}
    for one in kept:
        [reading] = one.readings()
        pv, battery_power, output = (
            float(reading.values[key]) for key in ("pv_power", "battery_power", "active_power")
        )
        assert abs(pv + battery_power - output) <= 1


# Connections


def test_after_a_lost_connection_it_streams_on_without_a_login() -> None:
    first: list[int] = []
    second: list[int] = []

    def close(connection: socket.socket) -> None:
        answer(connection, 8, first)

    def stay(connection: socket.socket) -> None:
        while True:
            answer(connection, 1, second)

    with Peer(close, stay) as peer, battery_of(peer) as battery:
        lost = battery.line("again in")
        battery.line(r"^status: 1,2,16", of="out", count=20)
        assert battery.stop() in (0, 1)  # a status may have been under way
    assert first == [2, 0, 9, 3, 16, 5, 4, 16]
    assert 2 not in second
    assert second[:3] == [16, 5, 4]
    assert peer.connections == 2
    assert lost == f"{SERIAL}: the connection ended: the server closed it; again in 4 s of its time"


def test_pauses_grow_while_nothing_is_answered_and_are_bounded() -> None:
    with Peer(receive_frame) as peer, battery_of(peer) as battery:
        battery.line("again in 120 s", count=2)
        assert battery.stop() == 1
        pauses = re.findall(r"again in (\d+) s", "\n".join(battery.err))
    assert pauses[:6] == ["8", "16", "32", "64", "120", "120"]
    assert "wrong: login: not answered" in "\n".join(battery.err)


def test_a_server_that_goes_for_good_is_told_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driving, "_SHORTEST_PAUSE", 0.0)

    def treat(connection: socket.socket) -> None:
        answer(connection, 10, [])
        peer.leave()

    with Peer(treat) as peer:
        result = fake_battery(peer.port, "--speed", "1e9")
    gone = f"no connection at the end: 127.0.0.1:{peer.port}: Connection refused"
    assert f"wrong: {gone}" in result.err.splitlines()
    assert result.err.count("again in 120 s") > 600
    assert result.code == 1


# A server that misbehaves


def test_a_reply_that_does_not_come_is_missing_and_the_battery_goes_on() -> None:
    seen: list[int] = []

    def treat(connection: socket.socket) -> None:
        answer(connection, 4, seen)
        while True:
            frame = receive_frame(connection)
            seen.append(frame[2])
            if frame[2] != 5:
                connection.sendall(success(frame))

    with Peer(treat) as peer, battery_of(peer, "--wait", "0.2") as battery:
        battery.line("record: WRONG: not answered", of="out", count=2)
        assert battery.stop() == 1
    assert "wrong: record: not answered (2 times)" in battery.err
    assert seen.count(16) > 30
    assert seen.count(5) >= 2


def test_a_server_that_never_answers_is_told() -> None:
    with Peer(receive_all) as peer, battery_of(peer, "--wait", "0.05") as battery:
        for name in ("login", "keep_alive", "event_log", "configuration_request", "status"):
            battery.line(f"{name}: WRONG: not answered", of="out")
        assert battery.stop() == 1
    assert re.search(
        r"sent (\d+), answered 0, unanswered \1$", "\n".join(battery.err), re.MULTILINE
    )


def test_a_wrong_status_is_told() -> None:
    def treat(connection: socket.socket) -> None:
        while True:
            frame = receive_frame(connection)
            connection.sendall(Frame(1, 2, frame[2], b'{"Status":"Fail"}').build())

    with Peer(treat) as peer, battery_of(peer) as battery:
        battery.line("login: 1,2,2 .*WRONG: the cloud does not say Success", of="out")
        assert battery.stop() == 1
    assert "wrong: login: the cloud does not say Success" in battery.err


def test_it_ends_after_the_time_that_is_given() -> None:
    with Peer(serve) as peer:
        result = fake_battery(peer.port, "--for", "0.2")
    assert result.err.startswith("sent ")
    assert result.code == 0


def test_a_flood_of_junk_ends_the_connection_and_the_battery_comes_again() -> None:
    def flood(connection: socket.socket) -> None:
        receive_frame(connection)
        while True:
            connection.sendall(b"\xff" * 65536)

    with Peer(flood, serve) as peer, battery_of(peer) as battery:
        assert "bytes without a frame" in battery.line("again in")
        battery.line(r"^status: 1,2,16", of="out")
        assert battery.stop() == 1
    assert peer.connections == 2


def test_many_batteries_live_at_once_each_with_its_serial() -> None:
    serials: set[str] = set()

    def treat(connection: socket.socket) -> None:
        while True:
            frame = receive_frame(connection)
            serials.add(str(Message.parse(Frame.parse(frame)).device))
            connection.sendall(success(frame))

    with Peer(treat) as peer, battery_of(peer, "--connections", "30") as battery:
        battery.line("status: 1,2,16", of="out", count=60)
        assert peer.connections == 30
    assert serials - {"None"} <= {f"SIM{number:012d}" for number in range(1, 31)}
    assert len(serials) == 31


def test_of_many_that_are_closed_at_once_it_is_said_once_and_why_that_may_be() -> None:
    with Peer(receive_frame) as peer, battery_of(peer, "--connections", "5") as battery:
        line = battery.line("again in")
        battery.line("login: WRONG", of="out", count=15)
        assert battery.stop() == 1
        assert [each for each in battery.err if "again in" in each] == [line]
    assert "before it said anything (it may let in only so many of one address" in line
    with Peer(receive_frame) as peer:
        result = fake_battery(peer.port, "--speed", "600", "-q", "--for", "3")
    assert "again in" not in result.err


def test_it_has_the_serial_that_is_given_and_counts_up_from_it() -> None:
    serials: set[str] = set()

    def treat(connection: socket.socket) -> None:
        while True:
            frame = receive_frame(connection)
            serials.add(str(Message.parse(Frame.parse(frame)).device))
            connection.sendall(success(frame))

    with Peer(treat) as peer:
        with battery_of(peer, "--connections", "2", "--serial", "AL0999") as battery:
            battery.line("^1: status: 1,2,16", of="out")
            battery.line("^2: status: 1,2,16", of="out")
        assert serials - {"None"} == {"AL0999", "AL1000"}
        for wrong in (("--serial", "AL"), ("--serial", "AL99", "--connections", "2")):
            assert fake_battery(peer.port, *wrong).code == 2


def test_options_that_have_no_effect_are_refused() -> None:
    example = str(Path(__file__).parent.parent / "docs" / "example" / "001-001-016.json")
    for useless in (("--time", "now"), ("--compact",), ("--loop", "2"), ("--interval", "1")):
        result = fake_battery(9, *useless)
        assert result.code == 2
        assert f"{useless[0]} has no effect without files" in result.err
    for useless in (("--speed", "2"), ("--serial", "SIM1")):
        assert fake_battery(9, example, *useless).code == 2


def test_what_is_counted_is_bounded_though_a_server_finds_ever_new_faults() -> None:
    tally = Tally()
    for number in range(5000):
        tally.blame(f"fault {number}")
        tally.reply(0.001)
    assert len(tally.wrong) <= 1001
    assert tally.wrong.total() == 5000
    assert tally.to_json()["answered"] == 5000


def test_a_summary_tells_the_longest_of_many_latencies() -> None:
    tally = Tally()
    for number in range(250_001):
        tally.reply(9.0 if number == 3 else 0.001)
    assert tally.latencies() == {"50 %": 0.001, "90 %": 0.001, "99 %": 0.001, "longest": 9.0}


def test_an_exchange_is_shown_in_one_line() -> None:
    assert str(Exchange("exchange", 1, "a.json", b"")) == "a.json: sent, no reply is due"
    assert str(Exchange("late", 1, reply=Frame(1, 2, 5, b""))) == "late: 1,2,5"


def test_what_was_measured_is_shown_in_a_simulated_day_as_the_page_says() -> None:
    battery = simulated_battery(1, 1_763_721_600.0)
    sent = battery.status(1_763_721_600.0).build()
    reply = Frame(1, 2, 16, b'{"Status":"Success"}')
    shown = str(Exchange("exchange", 1, "status", sent, reply, lived=True))
    pattern = r'status: 1,2,16 {"Status":"Success"}  \[\d\d:40:00  state_of_charge [\d.]+ %'
    pattern += r"  pv_power [\d.]+ W  battery_power -?[\d.]+ W  grid_power -?[\d.]+ W\]"
    assert re.fullmatch(pattern, shown)
    page = (Path(__file__).parent.parent / "docs" / "fake-battery.md").read_text("utf-8")
    assert re.search(pattern, page)
    login = Exchange("exchange", 1, "login", battery.login().build(), reply, lived=True)
    assert str(login) == 'login: 1,2,16 {"Status":"Success"}'
