"""The device's side of a V5 connection: what a stick says, and when, as conversations in tables."""

from collections.abc import Mapping
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverterproto.alphaess.frame import FRAMING as ALPHA
from inverterproto.deye.bodies import AT_KIND, MODBUS_KIND, POWER_KIND
from inverterproto.deye.commands import command, reply
from inverterproto.deye.dating import Stamp
from inverterproto.deye.frame import FRAMING, Frame
from inverterproto.deye.logger import BURST, LoggerSession
from inverterproto.deye.messages import DATA, HISTORIC, Message
from inverterproto.deye.modbus import Request
from inverterproto.deye.responding import CommandResponder
from inverterproto.deye.stick import Stick
from inverterproto.errors import FieldError
from inverterproto.session import MOST_UNFRAMED, Action, Answer, Close, Note, Send
from inverterproto.stream import Framed, Item, Reason, Unframed
from tests.playbook import Playbook, answers, closes, notes, sends
from tests.vectors import VALID, fixtures, frame, raw

STICK = Stick()
SERIAL = STICK.serial
ON = 1_700_000_000.0
"""When the stick got power."""
WORKED = 5000
OWN = STICK.heartbeat_seconds


def source(_now: float) -> Mapping[str, Any]:
    """Measure something."""
    return {"inverter_serial": STICK.inverter_serial, "active_power": 321}


def logger(**options: Any) -> LoggerSession:  # noqa: ANN401 - the session's own
    options = {"powered_on": ON, "working_time": WORKED, **options}
    given_source = options.pop("source", source)
    return LoggerSession(STICK, given_source, **options)


def accepts(
    message_type: int,
    sequence: tuple[int, int],
    time: float,
    *,
    frame_type: int = 1,
    wait: int = 60,
    status: int = 1,
) -> bytes:
    """Return the cloud's reply to a request of a type; `sequence` is the reply's."""
    request = Frame(
        message_type << 8 | 0x10, (sequence[0] - 1, sequence[1]), SERIAL, bytes((frame_type,))
    )
    return reply(request, int(time), next_heartbeat=wait, status=status).build()


def opens(session: LoggerSession, now: float) -> list[Action]:
    return session.connected(now)


def ends(session: LoggerSession, now: float) -> list[Action]:
    return session.disconnected(now)


def serve(session: LoggerSession, actions: list[Action], now: float, **options: Any) -> list[Frame]:  # noqa: ANN401 - those of reply
    """Answer all that a session sends, at once, until it is silent; return what it sent."""
    sent = [Frame.parse(action.data) for action in actions if isinstance(action, Send)]
    for request in sent:
        answer = Framed(0, reply(request, int(now), **options).build(), FRAMING)
        sent += [
            Frame.parse(action.data)
            for action in session.receive(answer, now)
            if isinstance(action, Send)
        ]
    return sent


def names(frames: list[Frame]) -> list[str]:
    return [Message.parse(each).name for each in frames]


# The series


def test_a_stick_begins_with_its_series_and_learns_the_time() -> None:
    """Handshake without a time, data a second later with one, wifi three times, report."""
    Playbook(logger())(
        (ON, "program", opens,
         sends("handshake", sequence=[0, 1], frame_type=2, total_working_time=WORKED,
               power_on_time=0, offset_time=0, sensor_type=0x5408, logger_serial=SERIAL)),
        (ON + 0.25, "cloud", accepts(0x41, (1, 1), ON + 7, frame_type=2),
         answers("handshake", problem="", seconds=0.25, status=1)),
        (ON + 1, "clock", None,
         sends("data", sequence=[1, 2], frame_type=1, packet_counter=1, total_working_time=WORKED,
               offset_time=int(ON) + 7 - WORKED, active_power=321)),
        (ON + 1.25, "cloud", accepts(0x42, (2, 2), ON + 1), answers("data")),
        (ON + 2, "clock", None,
         sends("wifi", sequence=[2, 3], frame_type=0x81, sub_id=0x0C, ssid="SIMULATED")),
        (ON + 2.25, "cloud", accepts(0x43, (3, 3), ON + 2, frame_type=0x81), answers("wifi")),
        (ON + 3, "clock", None,
         sends("wifi", frame_type=0x81, sub_id=0x1C, inverter_serial="SIM0000001")),
        (ON + 3.25, "cloud", accepts(0x43, (4, 4), ON + 3, frame_type=0x81), answers("wifi")),
        (ON + 4, "clock", None, sends("wifi", frame_type=0x01, sub_id=0x0C)),
        (ON + 4.25, "cloud", accepts(0x43, (5, 5), ON + 4), answers("wifi")),
        (ON + 5, "clock", None, sends("report", sequence=[5, 6], power_on_time=5)),
        (ON + 5.25, "cloud", accepts(0x48, (6, 6), ON + 5, wait=90), answers("report")),
        (ON + 95.25, "clock", None, sends("heartbeat", sequence=[6, 7], frame_type=0)),
    )  # fmt: skip


def test_the_series_is_that_of_a_real_stick_byte_for_byte_where_it_says_the_same() -> None:
    """The report's form is that of a real one, the handshake is as long as T's."""
    times = Stamp(841890981, 44, 871104961)
    report = Message.parse(frame("tsun-report"))
    assert STICK.report(times) == report.frame.payload
    assert len(STICK.handshake(times)) == len(frame("tsun-handshake-212").payload)
    assert len(STICK.network(times)) == len(frame("tsun-wifi").payload)
    assert len(STICK.inverter(times)) == 31


def test_the_series_comes_again_every_three_hours() -> None:
    session = logger(interval=1e9)
    first = serve(session, session.connected(ON), ON)
    sent = [*first]
    when = ON
    while when < ON + 6 * 3600 + 60:
        when = session.due
        sent += serve(session, session.poll(when), when)
    series = [name for name in names(sent) if name not in ("heartbeat", "data")]
    assert series == ["handshake", "wifi", "wifi", "wifi", "report"] * 3


def test_data_come_at_their_interval_and_restart_the_heartbeats_time() -> None:
    session = logger()
    sent: list[tuple[float, str]] = []
    when, actions = ON, session.connected(ON)
    while when < ON + 1200:
        sent += [(when, name) for name in names(serve(session, actions, when, next_heartbeat=170))]
        when = session.due
        actions = session.poll(when)
    assert [at - ON for at, name in sent if name == "data"] == [1, 300, 600, 900]
    beats = [at - ON for at, name in sent if name == "heartbeat"]
    assert beats == [175, 470, 770, 1070], "always 170 s after the last of the others"


def test_a_reply_that_tells_no_heartbeat_leaves_the_sticks_own() -> None:
    session = logger(source=lambda _now: None, interval=1e9)
    when, actions, beats = ON, session.connected(ON), []
    while when < ON + 600:
        if "heartbeat" in names(serve(session, actions, when, next_heartbeat=0)):
            beats.append(when - ON)
        when = session.due
        actions = session.poll(when)
    assert beats == [4 + OWN, 4 + 2 * OWN, 4 + 3 * OWN, 4 + 4 * OWN]


def test_a_source_that_measures_nothing_sends_nothing() -> None:
    session = logger(source=lambda _now: None)
    assert "data" not in names(serve(session, session.connected(ON), ON))
    assert session.kept == 0


def test_payloads_of_captures_get_the_sticks_own_head() -> None:
    captured = frame("micro-5408-historic").payload
    session = logger(source=lambda _now: captured, pause=0.0)
    sent = serve(session, session.connected(ON), ON)
    (data,) = [each for each in sent if each.message_type == DATA]
    fields = Message.parse(data).fields
    assert data.payload[21:] == captured[21:]
    assert (fields["frame_type"], fields["sensor_type"]) == (1, 0x5408)
    assert (fields["total_working_time"], fields["packet_counter"]) == (WORKED, 1)


def test_a_source_that_gives_what_no_layout_has_is_told_so() -> None:
    with pytest.raises(FieldError):
        logger(source=lambda _now: {"nonsense": 1}).connected(ON)


# What is not answered


def test_an_unanswered_request_is_sent_again_and_then_the_stick_hangs_up() -> None:
    play = Playbook(logger(answer_within=10.0, attempts=3))
    play(
        (ON, "program", opens, sends("handshake", sequence=[0, 1])),
        (ON + 10, "clock", None, sends("handshake", sequence=[0, 2])),
        (ON + 20, "clock", None, sends("handshake", sequence=[0, 3])),
        (ON + 30, "clock", None,
         answers("handshake", message=None, seconds=30.0, problem="not answered, 3 times"),
         closes()),
        (ON + 31, "program", ends),
        # Counters live on; the record of before is historic by now, and without a time.
        (ON + 40, "program", opens, sends("handshake", sequence=[0, 4])),
        (ON + 40, "cloud", accepts(0x41, (1, 4), ON + 40, frame_type=2), answers("handshake")),
        (ON + 41, "clock", None,
         sends("data", frame_type=0x81, offset_time=0, packet_counter=1, power_on_time=0)),
    )  # fmt: skip
    assert play.session.due == ON + 51


def test_only_the_last_number_of_a_request_is_awaited() -> None:
    Playbook(logger())(
        (ON, "program", opens, sends("handshake", sequence=[0, 1])),
        (ON + 10, "clock", None, sends("handshake", sequence=[0, 2])),
        (ON + 11, "cloud", accepts(0x41, (1, 1), ON, frame_type=2), notes("unasked")),
        (ON + 12, "cloud", accepts(0x41, (1, 2), ON, frame_type=2),
         answers("handshake", seconds=12.0), sends("data")),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (accepts(0x41, (1, 1), ON, frame_type=2, status=0), "status 0, expected 1"),
        (
            Frame(0x1110, (1, 1), SERIAL, b"\2\1").build(),
            "a payload of 2 bytes, expected 10",
        ),
        (Frame(0x1110, (1, 1), SERIAL, b"").build(), "a payload of 0 bytes, expected 10"),
    ],
)
def test_what_is_not_accepted_is_as_if_not_answered(answer: bytes, problem: str) -> None:
    play = Playbook(logger())
    play(
        (ON, "program", opens, sends("handshake")),
        (ON + 1, "cloud", answer, answers("handshake", final=False, problem=problem)),
        (ON + 10, "clock", None, sends("handshake")),
    )  # fmt: skip


def test_a_reply_that_is_odd_but_accepts_is_told_so() -> None:
    Playbook(logger())(
        (ON, "program", opens, sends("handshake")),
        (ON, "cloud", accepts(0x41, (5, 1), ON),
         answers("handshake", final=True,
                 problem="first counter 5, expected 1; frame type 0x01, expected 0x02")),
    )  # fmt: skip


def test_a_reply_of_another_type_answers_nothing() -> None:
    Playbook(logger())(
        (ON, "program", opens, sends("handshake")),
        (ON, "cloud", accepts(0x42, (1, 1), ON), notes("unasked")),
        (ON, "cloud", raw("heartbeat"), notes("other-serial")),
    )  # fmt: skip


# What is kept


def offline(session: LoggerSession, until: float) -> None:
    """Let time pass without a connection."""
    while session.due <= until:
        assert session.poll(session.due) == []


def test_what_was_measured_offline_comes_later_newest_first_in_bursts() -> None:
    session = logger()
    offline(session, ON + 25 * 300)
    assert session.kept == 26
    sent, when, actions = [], ON + 7600.0, session.connected(ON + 7600)
    while when < ON + 7620:
        answered = serve(session, actions, when)
        sent.append([each for each in answered if each.message_type == DATA])
        when = session.due
        actions = session.poll(when)
    assert session.kept == 0
    bursts = [[Message.parse(each).fields for each in burst] for burst in sent if burst]
    assert [len(burst) for burst in bursts] == [BURST, BURST, 4]
    fields = [each for burst in bursts for each in burst]
    assert [each["packet_counter"] for each in fields] == list(range(26, 0, -1))
    assert {(each["frame_type"], each["offset_time"]) for each in fields} == {(0x81, 0)}
    assert [each["power_on_time"] for each in fields] == [n * 300 for n in range(25, -1, -1)]


def test_a_record_keeps_the_offset_that_was_known_when_it_was_kept() -> None:
    session = logger(pause=0.0)
    serve(session, session.connected(ON), ON)
    session.disconnected(ON + 1)
    offline(session, ON + 300)
    sent = serve(session, session.connected(ON + 400), ON + 400)
    (kept,) = [Message.parse(each).fields for each in sent if each.message_type == DATA]
    assert kept["frame_type"] == 0x81
    assert kept["total_working_time"] + kept["offset_time"] == ON + 300


def test_new_data_go_before_kept_ones() -> None:
    session = logger(interval=10.0)
    offline(session, ON + 300)
    when, actions, sent = ON + 305.0, session.connected(ON + 305), []
    while when < ON + 330:
        sent += [each for each in serve(session, actions, when) if each.message_type == DATA]
        when = session.due
        actions = session.poll(when)
    live = [at for at, each in enumerate(sent) if not each.payload[0] & HISTORIC]
    assert live, "new ones came while kept ones were sent"
    assert live[0] < len(sent) - 1


def test_what_waits_is_all_that_has_no_answer_yet_sent_or_not() -> None:
    session = logger()
    assert session.waiting == 0
    session.poll(ON + 600)
    assert (session.kept, session.waiting) == (3, 3), "three measurements, no connection"
    (handshake,) = (a for a in session.connected(ON + 601) if isinstance(a, Send))
    assert session.waiting == 4
    sequence = Frame.parse(handshake.data).sequence
    answer = accepts(0x41, (sequence[0] + 1, sequence[1]), ON + 602, frame_type=2)
    session.receive(Framed(0, answer, FRAMING), ON + 602)
    session.poll(ON + 602.5)
    assert (session.kept, session.waiting) == (0, 3), "a burst is under way"


def test_when_a_burst_is_cut_off_what_was_not_answered_is_kept_in_order() -> None:
    session = logger(pause=0.0)
    offline(session, ON + 14 * 300)
    actions = session.connected(ON + 4300)
    burst: list[Action] = []
    hello = Frame.parse(next(a.data for a in actions if isinstance(a, Send)))
    answer = Framed(0, reply(hello, int(ON) + 4300).build(), FRAMING)
    burst = [a for a in session.receive(answer, ON + 4300) if isinstance(a, Send)]
    assert len(burst) == BURST
    first = Frame.parse(burst[0].data)  # type: ignore[union-attr]
    session.receive(Framed(0, reply(first, int(ON) + 4300).build(), FRAMING), ON + 4300)
    session.disconnected(ON + 4301)
    assert session.kept == 14
    sent = serve(session, session.connected(ON + 4400), ON + 4400)
    counters = [
        Message.parse(each).fields["packet_counter"] for each in sent if each.message_type == DATA
    ]
    assert counters == list(range(14, 0, -1))


def test_live_data_that_were_not_answered_are_kept() -> None:
    session = logger(pause=0.0)
    hello = session.connected(ON)
    request = Frame.parse(hello[0].data)  # type: ignore[union-attr]
    answer = Framed(0, reply(request, int(ON)).build(), FRAMING)
    assert names([Frame.parse(a.data) for a in session.receive(answer, ON) if isinstance(a, Send)])
    session.disconnected(ON + 1)
    assert session.kept == 1


def test_of_too_many_kept_records_the_oldest_are_lost() -> None:
    session = logger(most_kept=5)
    offline(session, ON + 9 * 300)
    assert (session.kept, session.dropped) == (5, 5)
    sent = serve(session, session.connected(ON + 2800), ON + 2800)
    session.poll(session.due)
    assert names(sent) == ["handshake"]


def test_years_without_a_poll_are_made_up_for_in_bounds() -> None:
    calls = count()

    def counting(now: float) -> Mapping[str, Any]:
        next(calls)
        return source(now)

    session = logger(source=counting, most_kept=10)
    session.poll(ON + 1e9)
    assert (session.kept, next(calls)) == (10, 11)
    assert ON + 1e9 < session.due <= ON + 1e9 + 300


def test_after_a_loss_of_power_the_time_is_unknown_and_the_counters_begin_anew() -> None:
    session = logger(pause=0.0)
    serve(session, session.connected(ON), ON)
    assert session.times(ON + 10) == (WORKED + 10, 10, ON - WORKED)
    session.restarted(ON + 1000)
    assert session.times(ON + 1010) == (WORKED + 1010, 10, 0)
    session.restarted(ON + 2000, working_time=7)
    assert session.times(ON + 2010) == (17, 10, 0)
    assert session.due == ON + 2000


def test_after_a_loss_of_power_what_was_live_keeps_its_own_offset() -> None:
    session = logger(interval=10.0)
    serve(session, session.connected(ON), ON)
    serve(session, session.poll(ON + 1), ON + 1)
    session.poll(ON + 10)
    session.restarted(ON + 11)
    sent = serve(session, session.connected(ON + 12), ON + 12)
    sent += serve(session, session.poll(ON + 13), ON + 13)
    sent += serve(session, session.poll(ON + 14), ON + 14)
    kept = [Message.parse(each).fields for each in sent if each.payload[:1] == b"\x81"]
    assert [each["offset_time"] for each in kept if "packet_counter" in each][-1] != 0


# Commands


def asks(kind: int, value: Any, sequence: tuple[int, int] = (9, 0), **more: Any) -> bytes:  # noqa: ANN401
    return command(kind, value, SERIAL, sequence, **more).build()


REGISTERS = {60: 190, 61: 0, 62: 65535}


def bench(**options: Any) -> Playbook:  # noqa: ANN401 - those of the responder
    responder = CommandResponder(REGISTERS, {"AT+VER": "1.0", "AT+TIME": "1"}, **options)
    play = Playbook(logger(responder=responder))
    play((ON, "program", opens, sends("handshake", sequence=[0, 1])))
    return play


def test_registers_are_read_and_the_counters_echoed() -> None:
    bench()(
        (ON + 3, "cloud", asks(MODBUS_KIND, Request(1, 3, 60, 3)),
         sends("command_reply", sequence=[9, 2], frame_type=2, status=1, power_on_time=3,
               modbus={"slave": 1, "function": 3, "registers": [190, 0, 65535]})),
        (ON + 4, "cloud", asks(MODBUS_KIND, Request(1, 4, 61, 1), (10, 2)),
         sends("command_reply", sequence=[10, 3],
               modbus={"slave": 1, "function": 4, "registers": [0]})),
        # The next frame of its own has the command's first counter, too.
        (ON + 10, "clock", None, sends("handshake", sequence=[10, 4])),
    )  # fmt: skip


def refused(request: Request, code: int, **options: Any) -> None:  # noqa: ANN401
    bench(**options)(
        (ON, "cloud", asks(MODBUS_KIND, request),
         sends("command_reply", status=1,
               modbus={"slave": 1, "function": request.function, "exception": code})),
    )  # fmt: skip


def test_what_is_not_there_is_refused() -> None:
    refused(Request(1, 3, 62, 2), 2)
    refused(Request(1, 3, 65535, 10), 2)
    refused(Request(1, 1, 0, 8), 1)


@pytest.mark.parametrize(
    "request_",
    [
        Request(1, 6, 60, registers=(1,)),
        Request(1, 16, 60, registers=(1, 2)),
        Request(1, 22, 60, registers=(1, 2)),
        Request(1, 5, 60, coils=(True,)),
    ],
)
def test_writes_are_refused_unless_they_are_allowed(request_: Request) -> None:
    refused(request_, 1)


def test_a_coil_or_a_register_that_is_not_there_cannot_be_written() -> None:
    refused(Request(1, 5, 60, coils=(True,)), 1, writable=True)
    refused(Request(1, 6, 59, registers=(1,)), 2, writable=True)
    refused(Request(1, 16, 62, registers=(1, 2)), 2, writable=True)
    refused(Request(1, 22, 1, registers=(1, 2)), 2, writable=True)


def test_writes_are_carried_out_where_they_are_allowed() -> None:
    responder = CommandResponder(REGISTERS, writable=True)
    play = Playbook(logger(responder=responder))
    play(
        (ON, "program", opens, sends("handshake")),
        (ON, "cloud", asks(MODBUS_KIND, Request(1, 6, 60, registers=(7,))),
         sends("command_reply",
               modbus={"slave": 1, "function": 6, "address": 60, "registers": [7]})),
        (ON, "cloud", asks(MODBUS_KIND, Request(1, 16, 61, registers=(8, 9))),
         sends("command_reply",
               modbus={"slave": 1, "function": 16, "address": 61, "quantity": 2})),
        (ON, "cloud", asks(MODBUS_KIND, Request(1, 22, 61, registers=(0xF0, 0x05))),
         sends("command_reply",
               modbus={"slave": 1, "function": 22, "address": 61, "registers": [0xF0, 0x05]})),
    )  # fmt: skip
    assert responder.registers == {60: 7, 61: (8 & 0xF0) | 0x05, 62: 9}
    assert REGISTERS[60] == 190, "the given map stays as it is"


@pytest.mark.parametrize(
    "body", [Request(2, 3, 60, 1).build(), Request(1, 3, 60, 1).build()[:-1] + b"\0", b""]
)
def test_what_reaches_no_inverter_is_an_error_of_the_stick(body: bytes) -> None:
    payload = b"\2" + bytes(14) + body
    bench()(
        (ON, "cloud", Frame(0x4510, (1, 1), SERIAL, payload).build(),
         sends("command_reply", modbus={"stick_error": 5})),
    )  # fmt: skip


def test_a_stick_without_registers_reaches_no_inverter() -> None:
    Playbook(logger())(
        (ON, "program", opens, sends("handshake")),
        (ON, "cloud", asks(MODBUS_KIND, Request(1, 3, 60, 1)),
         sends("command_reply", modbus={"stick_error": 5})),
        (ON, "cloud", asks(AT_KIND, "AT+VER\r"), sends("command_reply", at="+ERR=-2")),
    )  # fmt: skip


def test_an_unknown_function_is_refused() -> None:
    bench()(
        (ON, "cloud", asks(MODBUS_KIND, {"slave": 1, "function": 99, "data": "00"}),
         sends("command_reply", modbus={"slave": 1, "function": 99, "exception": 1})),
    )  # fmt: skip


def test_at_queries_are_answered_and_settings_refused() -> None:
    bench()(
        (ON, "cloud", asks(AT_KIND, "AT+VER\r", sensor_type=2),
         sends("command_reply", frame_type=1, at="+ok=1.0")),
        (ON, "cloud", asks(AT_KIND, "AT+NONSENSE\r"), sends("command_reply", at="+ERR=-2")),
        (ON, "cloud", asks(AT_KIND, "AT+TIME=2\r"), sends("command_reply", at="+ERR=-5")),
        (ON, "cloud", Frame(0x4510, (1, 1), SERIAL, b"\1").build(),
         sends("command_reply", at="+ERR=-2")),
    )  # fmt: skip


def test_at_settings_are_taken_where_they_are_allowed() -> None:
    bench(writable=True)(
        (ON, "cloud", asks(AT_KIND, "AT+TIME=2\r"), sends("command_reply", at="+ok")),
        (ON, "cloud", asks(AT_KIND, "AT+TIME\r"), sends("command_reply", at="+ok=2")),
    )  # fmt: skip


def test_the_output_power_is_set_only_where_that_is_allowed() -> None:
    bench()(
        (ON, "cloud", asks(POWER_KIND, 80), sends("command_reply", frame_type=5, status=0)),
    )  # fmt: skip
    responder = CommandResponder(writable=True)
    Playbook(logger(responder=responder))(
        (ON, "program", opens, sends("handshake")),
        (ON, "cloud", asks(POWER_KIND, 80),
         sends("command_reply", frame_type=5, status=1, output_power_reply=b"\1\1\1")),
    )  # fmt: skip
    assert responder.output_power_limit == 80


@pytest.mark.parametrize("payload", [b"", b"\x07", b"\5" + bytes(14) + b"\1\2\3"])
def test_a_command_of_no_known_kind_is_not_answered(payload: bytes) -> None:
    bench()((ON, "cloud", Frame(0x4510, (1, 1), SERIAL, payload).build(), notes("unknown-command")))


def test_a_register_that_is_no_number_of_16_bits_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="register 60"):
        CommandResponder({60: 65536})


# Whatever comes


def test_64_kib_without_a_frame_end_the_connection() -> None:
    session = logger()
    session.connected(ON)
    run = Unframed(0, bytes(4096), Reason.JUNK, "junk")
    actions = [session.receive(run, ON) for _ in range(MOST_UNFRAMED // 4096 + 3)]
    closed = [action for each in actions for action in each]
    assert [type(action) for action in closed] == [Close]
    assert session.receive(Framed(0, fixtures("alphaess")["status-1"], ALPHA), ON) == []
    session.disconnected(ON)
    assert session.connected(ON + 5), "the next connection is a new one"
    assert session.receive(run, ON + 5) == []


def test_without_a_connection_nothing_is_said() -> None:
    session = logger()
    assert session.receive(Framed(0, asks(AT_KIND, "AT+VER\r"), FRAMING), ON) == []
    assert session.poll(ON) == []


ITEMS: st.SearchStrategy[Item] = st.one_of(
    st.sampled_from([Framed(0, raw(name), FRAMING) for name in VALID]),
    st.builds(
        lambda high, first, second, payload: Framed(
            0, Frame(high << 8 | 0x10, (first, second), SERIAL, payload).build(), FRAMING
        ),
        st.sampled_from([0x11, 0x12, 0x13, 0x15, 0x17, 0x18, 0x41, 0x42, 0x45])
        | st.integers(0, 255),
        st.integers(0, 255),
        st.integers(0, 12),
        st.binary(max_size=12) | st.just(b"\1\1" + b"\xff" * 8) | st.just(b"\2\1" + bytes(8)),
    ),
    st.builds(
        lambda address, quantity: Framed(
            0, asks(MODBUS_KIND, Request(1, 3, address, quantity)), FRAMING
        ),
        st.integers(0, 70),
        st.integers(1, 125),
    ),
    st.builds(
        lambda text: Framed(0, asks(AT_KIND, text), FRAMING),
        st.text(st.characters(max_codepoint=255), max_size=20),
    ),
    st.binary(min_size=1, max_size=60).map(lambda data: Unframed(0, data, Reason.JUNK, "junk")),
)

MOVES = st.one_of(
    ITEMS,
    st.floats(0, 5000).map(lambda seconds: ("wait", seconds)),
    st.sampled_from([("connect", 0.0), ("disconnect", 0.0), ("restart", 0.0)]),
)


@given(st.lists(MOVES, max_size=40))
def test_whatever_comes_a_stick_stays_within_its_bounds(moves: list[Any]) -> None:
    session = logger(
        most_kept=20,
        responder=CommandResponder(dict.fromkeys(range(70), 5), {"AT+VER": "1.0"}, writable=True),
    )
    now, said = ON, 0
    for move in moves:
        if isinstance(move, Framed | Unframed):
            actions = session.receive(move, now)
            assert isinstance(move, Framed) or not actions
            assert sum(isinstance(a, Send) for a in actions) <= BURST
            answered = [a for a in actions if isinstance(a, Answer)]
            if not answered:  # what is sent answers a command: at most its registers
                size = sum(len(a.data) for a in actions if isinstance(a, Send))
                assert size <= 10 * len(move.raw)
        elif move[0] == "wait":
            now += move[1]
            actions = session.poll(now)
        elif move[0] == "connect":
            actions = session.connected(now)
        elif move[0] == "disconnect":
            actions = session.disconnected(now)
        else:
            session.restarted(now)
            actions = []
        assert all(isinstance(a, Send | Answer | Note | Close) for a in actions)
        for action in actions:
            if isinstance(action, Send):
                said += 1
                assert Frame.parse(action.data).logger_serial == SERIAL
        assert session.kept <= 20
        assert session.due >= ON
