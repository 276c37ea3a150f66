"""The cloud's side of a V5 connection, and who only watches: conversations as tables."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverterproto.alphaess.frame import FRAMING as ALPHA
from inverterproto.deye.bodies import AT_KIND, MODBUS_KIND, POWER_KIND
from inverterproto.deye.cloud import CloudSession
from inverterproto.deye.commanding import MOST_WAITING as MOST_COMMANDS
from inverterproto.deye.commands import reply, reply_bytes
from inverterproto.deye.frame import ENVELOPE, FRAMING, PAYLOAD_AT, Frame
from inverterproto.deye.layouts import MODULES
from inverterproto.deye.messages import Message, is_request
from inverterproto.deye.modbus import ExceptionReply, Reply, Request, StickError
from inverterproto.deye.watching import (
    MOST_INVERTERS,
    MOST_LOGGERS,
    MOST_WAITING,
    LoggerState,
    Watcher,
)
from inverterproto.errors import FieldError
from inverterproto.families import DEYE
from inverterproto.reading import Dated, TimeSource
from inverterproto.session import MOST_UNFRAMED, Action, Answer, Close, Note, Record, Send
from inverterproto.stream import Framed, Item, Reason, Unframed
from tests.playbook import Playbook, answers, dates, keeps, notes, sends
from tests.vectors import AT_TEXT, BARE_MODBUS, VALID, fixtures, frame, raw

LOGGER, INVERTER = "2712345678", "2301234567"
TSUN, BATTERY = "2712345679", "2712345680"
DATA, STORED = raw("micro-5408-realtime"), raw("micro-5408-historic")
HELLO, HEARTBEAT = raw("handshake-130"), raw("heartbeat")
MEASURED = 1712596443.0
"""When `micro-5408-realtime` was measured, by its own stamp."""
STORED_AT = MEASURED + 81043.0
"""When `micro-5408-historic` was, by the offset of the other."""
TSUN_DATA_AT = 1711870044.0
BATTERY_DATA_AT = 1738995275.0


class Program:
    """What a program keeps: a state for each serial."""

    def __init__(self, refused: Iterable[str] = ()) -> None:
        self.kept: dict[str, LoggerState] = {}
        self.refused = set(refused)

    def states(self, serial: str) -> LoggerState | None:
        if serial in self.refused:
            return None
        return self.kept.setdefault(serial, LoggerState())


def cloud(**options: Any) -> CloudSession:  # noqa: ANN401 - the session's own
    return CloudSession(Program().states, **options)


def framed(data: bytes) -> Framed:
    return Framed(0, data, FRAMING)


def built(
    control_code: int, payload: bytes = b"", serial: int = 2712345678, sequence: int = 0
) -> bytes:
    return Frame(control_code, (sequence, 9), serial, payload).build()


def only(actions: Iterable[Action], kind: type) -> Any:  # noqa: ANN401 - of that kind
    (found,) = [action for action in actions if isinstance(action, kind)]
    return found


# What a logger says is kept, dated and answered


def test_a_battery_begins_as_its_real_frames_show() -> None:
    """One second after a handshake without a time its data has one, and dates the handshake."""
    Playbook(cloud(next_heartbeat=120))(
        (
            BATTERY_DATA_AT - 1,
            "device",
            raw("dcu-handshake-314"),
            keeps("handshake", device=BATTERY, via=BATTERY, historic=False, stamp=841866950.0),
            sends("handshake_reply", sequence=[146, 1], next_heartbeat=120, status=1),
        ),
        (
            BATTERY_DATA_AT,
            "device",
            raw("dcu-data-3026"),
            keeps("data", via=BATTERY, known=True, stamp=841866951.0),
            dates("device-corrected", BATTERY_DATA_AT - 1),
            dates("device", BATTERY_DATA_AT),
            sends("data_reply", sequence=[147, 2], frame_type=1, time=int(BATTERY_DATA_AT)),
        ),
        (
            BATTERY_DATA_AT + 9,
            "program",
            lambda session, now: session.command("power", POWER_KIND, 80, now, sensor_type=0x3026),
            sends("command", sequence=[148, 2]),  # the counters of the real command
        ),
    )


def test_real_data_are_answered_byte_for_byte() -> None:
    Playbook(cloud())(
        (
            MEASURED,
            "device",
            DATA,
            keeps("data", device=INVERTER, via=LOGGER, historic=False, frame=DATA, masked=False),
            dates("device", MEASURED),
            sends(bytes.fromhex("a50a0010121616 4e1caba1 0101 db251466 3c000000 c615")),
        ),
        (MEASURED + 3, "device", HEARTBEAT, sends("heartbeat_reply", sequence=[0x98, 0x6D])),
    )


def test_a_wifi_and_a_report_message_are_kept_and_answered() -> None:
    Playbook(cloud())(
        (
            1712990000.0,
            "device",
            raw("tsun-wifi"),
            keeps("wifi", device=TSUN, historic=False, known=True),
            sends("wifi_reply", sequence=[13, 13], frame_type=0x81),
        ),
        (
            1712995943.0,
            "device",
            raw("tsun-report"),
            keeps("report", device=TSUN),
            dates("device", 1712995942.0),
            sends("report_reply", sequence=[7, 7]),
        ),
    )


def test_a_record_of_the_night_is_dated_when_the_logger_is_known_on_both_sides_or_late() -> None:
    """The real stored record has no offset of its own; that of the day before dates it, in time."""
    program = Program()
    play = Playbook(CloudSession(program.states))
    play(
        (
            MEASURED,
            "device",
            DATA,
            keeps("data"),
            dates("device", MEASURED),
            sends("data_reply"),
        ),
        (
            STORED_AT + 90,
            "device",
            STORED,
            keeps("data", historic=True, device=INVERTER),
            sends("data_reply", frame_type=0x81),
        ),
    )
    state = program.kept[LOGGER]
    assert state.settle(STORED_AT + 90 + 800) == []
    assert state.settle(STORED_AT + 90 + 3600)[0][1:3] == (STORED_AT, TimeSource.ESTIMATED)


def test_what_is_sent_again_as_historic_is_the_same_record() -> None:
    """Another frame type, offset time and packet counter, and other counters: the same key."""
    live = framed(DATA)
    message = Message.parse(live.frame)
    again = message.replace({"frame_type": 0x81, "offset_time": 0, "packet_counter": 1})
    again = replace(again, sequence=(90, 91))
    session = cloud()
    first = only(session.receive(live, MEASURED), Record)
    second = only(session.receive(framed(again.build()), MEASURED + 600), Record)
    assert first.key == second.key
    assert (first.historic, second.historic) == (False, True)
    for change in ({"active_power": 5}, {"total_working_time": 1}, {"power_on_time": 1}):
        other = framed(message.replace(change).build())
        assert only(session.receive(other, MEASURED), Record).key != first.key
    elsewhere = framed(replace(live.frame, logger_serial=1).build())
    assert only(session.receive(elsewhere, MEASURED), Record).key != first.key


def test_a_duplicate_dates_its_original() -> None:
    """Data without an offset waits; the same again, now with one, gives its time."""
    early = Message.parse(frame("micro-5408-realtime")).replace({"offset_time": 0}).build()
    session = cloud()
    first = session.receive(framed(early), MEASURED + 1)
    second = session.receive(framed(DATA), MEASURED + 11)
    assert [type(action) for action in first] == [Record, Send]
    dated = [action for action in second if isinstance(action, Dated)]
    assert {date.key for date in dated} == {only(first, Record).key}
    assert {date.time for date in dated} == {MEASURED}


def test_what_is_not_understood_is_kept_and_answered() -> None:
    Playbook(cloud())(
        (
            MEASURED,
            "device",
            built(0x4910, b"\x05new"),
            keeps("unknown", device=LOGGER, known=False, stamp=None),
            dates("arrival", MEASURED),
            notes("unknown-message", device=LOGGER),
            sends("unknown", control_code=0x1910, sequence=[1, 9]),
        ),
        (
            MEASURED,
            "device",
            built(0x4210, b"\x01\xfe\xca" + bytes(60)),
            keeps("data", device=LOGGER, known=False, stamp=0.0),
            notes("unknown-message"),
            sends("data_reply"),
        ),
        (
            MEASURED,
            "device",
            built(0x4310, b"\x01" + bytes(12) + b"\x55"),
            keeps("wifi", known=False),
            notes("unknown-message"),
            sends("wifi_reply"),
        ),
        (MEASURED, "device", built(0x4010), keeps("unknown"), dates("arrival"),
         notes("unknown-message"), sends("unknown", control_code=0x1010)),
    )  # fmt: skip


def test_data_cut_before_the_end_of_its_head_is_kept() -> None:
    Playbook(cloud())(
        (MEASURED, "device", built(0x4210), keeps("data", known=False, historic=False),
         dates("arrival"), notes("unknown-message"), sends("data_reply", frame_type=0)),
        (MEASURED, "device", built(0x4210, b"\x81\x08\x54"),
         keeps("data", historic=True, known=True), dates("unknown"),
         sends("data_reply", frame_type=0x81)),
    )  # fmt: skip


@pytest.mark.parametrize("sensor_type", sorted(MODULES))
def test_the_inverters_serial_is_taken_where_the_layout_has_it(sensor_type: int) -> None:
    """The quick way names the same device as the message's own records."""
    for filling in (b"\0", b" ", b"A", b"\xe9", b"\n"):
        payload = b"\x01" + sensor_type.to_bytes(2, "little") + bytes(18) + filling * 500
        found = framed(built(0x4210, payload))
        serial = Message.parse(found.frame).fields.get("inverter_serial", "")
        record = only(cloud().receive(found, MEASURED), Record)
        assert record.via == LOGGER
        assert record.device == (serial if filling == b"A" and serial else LOGGER)
        for measured in Message.parse(found.frame).records("C"):
            assert (record.device, record.via) == (measured.device, measured.via)


@given(
    st.integers(0x4000, 0x4FFF), st.binary(max_size=40), st.integers(0, 255), st.integers(0, 255)
)
def test_the_quick_reply_is_the_reply(
    control_code: int, payload: bytes, first: int, second: int
) -> None:
    request = Frame(control_code, (first, second), 2712345678, payload)
    if is_request(request.message_type):
        expected = reply(request, 1712596443, next_heartbeat=77).build()
        assert reply_bytes(request.build(), 1712596443, 77) == expected


# What is not answered


@pytest.mark.parametrize("name", [name for name in VALID if not is_request(raw(name)[4])])
def test_commands_and_answers_to_none_are_neither_kept_nor_answered(name: str) -> None:
    actions = cloud().receive(framed(raw(name)), MEASURED)
    assert {type(action) for action in actions} <= {Note}


@pytest.mark.parametrize("message_type", [0x11, 0x12, 0x13, 0x17, 0x18, 0x45])
def test_what_only_a_cloud_says_is_out_of_place(message_type: int) -> None:
    Playbook(cloud())(
        (MEASURED, "device", built(message_type << 8 | 0x10, b"\x01\x01" + bytes(20)),
         notes("out-of-place", device=LOGGER)),
    )  # fmt: skip


def test_while_it_is_told_not_to_answer_it_keeps_all_the_same() -> None:
    session = cloud()
    session.answering = False
    play = Playbook(session)
    play(
        (MEASURED, "device", DATA, keeps("data"), dates("device")),
        (MEASURED, "device", HEARTBEAT),
    )
    session.answering = True
    play((MEASURED, "device", HEARTBEAT, sends("heartbeat_reply")))


def test_who_is_refused_is_neither_kept_nor_answered() -> None:
    session = CloudSession(Program(refused=[LOGGER]).states)
    Playbook(session)(
        (MEASURED, "device", DATA, notes("refused", device=LOGGER)),
        (MEASURED, "device", HEARTBEAT, notes("refused")),
        (MEASURED, "device", raw("tsun-report"), keeps("report"), sends("report_reply")),
        (MEASURED, "device", HEARTBEAT, notes("refused")),
    )  # fmt: skip
    assert session.serials == (TSUN,)


def test_one_connection_speaks_for_a_few_loggers_only() -> None:
    program = Program()
    session = CloudSession(program.states)
    for serial in range(1000):
        session.receive(framed(built(0x4710, b"\0", serial)), MEASURED)
    assert list(program.kept) == list(session.serials) == [str(n) for n in range(MOST_LOGGERS)]
    again = session.receive(framed(built(0x4710, b"\0", 3)), MEASURED)
    assert [type(action) for action in again] == [Send]


# What is no frame


def test_unframed_bytes_are_kept_with_their_reason() -> None:
    Playbook(cloud())(
        (MEASURED, "device", AT_TEXT, keeps("unframed", device=None, family=None, frame=AT_TEXT),
         dates("arrival"), notes("unframed")),
        (MEASURED, "device", HEARTBEAT, sends("heartbeat_reply")),
        (MEASURED, "device", BARE_MODBUS, keeps("unframed", device=LOGGER, via=LOGGER, known=False),
         dates("arrival"), notes("unframed", device=LOGGER)),
        (MEASURED, "device", DATA[:-2] + b"\0\x15", keeps("unframed", family="deye", device=LOGGER),
         dates("arrival"), notes("unframed")),
        (MEASURED, "device", fixtures("alphaess")["status-1"], keeps("unframed", family="alphaess"),
         dates("arrival"), notes("unframed")),
    )  # fmt: skip


def test_credentials_are_masked_before_they_are_kept() -> None:
    Playbook(cloud())(
        (MEASURED, "device", b"AT+WSKEY=WPA2PSK,AES,hunter2\r\n",
         keeps("unframed", masked=True, frame=b"AT+WSKEY=*******************\r\n"),
         dates("arrival"), notes("unframed")),
        (MEASURED, "device", built(0x4910, b"\x01pwd=hunter2"),
         keeps("unknown", masked=True, frame=built(0x4910, b"\x01pwd=*******")),
         dates("arrival"), notes("unknown-message"), sends("unknown")),
        (MEASURED, "device", built(0x4210, b"\x01\xfe\xca" + bytes(18) + b"pwd=hunter2"),
         keeps("data", masked=True,
               frame=built(0x4210, b"\x01\xfe\xca" + bytes(18) + b"pwd=*******")),
         notes("unknown-message"), sends("data_reply")),
    )  # fmt: skip


def test_the_key_of_what_was_masked_tells_nothing_of_the_secret() -> None:
    keys = {
        only(cloud().receive(framed(built(0x4910, b"\x01pwd=" + secret)), 0.0), Record).key
        for secret in (b"hunter2", b"letmein")
    }
    assert len(keys) == 1


def test_64_kib_without_a_frame_end_the_connection() -> None:
    session = cloud()
    run = Unframed(0, bytes(4096), Reason.JUNK, "junk")
    pieces = MOST_UNFRAMED // 4096
    for _ in range(pieces - 1):
        assert not any(isinstance(a, Close) for a in session.receive(run, MEASURED))
    session.receive(framed(HEARTBEAT), MEASURED)
    for _ in range(pieces - 1):
        assert not any(isinstance(a, Close) for a in session.receive(run, MEASURED))
    other = Framed(0, fixtures("alphaess")["status-1"] * 16, ALPHA)
    assert isinstance(session.receive(other, MEASURED)[-1], Close)
    assert session.receive(run, MEASURED) == session.receive(framed(DATA), MEASURED) == []


# Commands

READ = Request(1, 3, 0x00AA, 1)
QUERY = "AT+VER\r"


def read(session: CloudSession, now: float) -> list[Action]:
    return session.command("read", MODBUS_KIND, READ, now)


def query(session: CloudSession, now: float) -> list[Action]:
    return session.command("query", AT_KIND, QUERY, now)


def answered(body: Any, first: int, *, kind: int = MODBUS_KIND, of: int = 0x15) -> bytes:  # noqa: ANN401 - by kind
    key = "modbus" if kind == MODBUS_KIND else "at"
    payload = bytes((kind, 1)) + bytes(12)
    text = body.encode() if key == "at" else body.build()
    return Frame(of << 8 | 0x10, (first, 1), 2712345678, payload + text).build()


def spoken() -> Playbook:
    """A conversation in which the logger's first counter is 151, the cloud's reply 152."""
    play = Playbook(cloud())
    play((0.0, "device", HEARTBEAT, sends("heartbeat_reply", sequence=[152, 109])))
    return play


def test_a_command_goes_out_as_a_real_cloud_sent_it_and_its_real_answer_is_told() -> None:
    """`tsun-at-command` stands behind `tsun-data-02b0`; interim answer and answer are real, too."""
    play = Playbook(cloud())
    play(
        (TSUN_DATA_AT, "device", raw("tsun-data-02b0"), keeps("data", via=TSUN), dates("device"),
         sends("data_reply", sequence=[2, 2])),
        (TSUN_DATA_AT + 1, "program",
         lambda session, now: session.command("time", AT_KIND, "AT+TIME=214028,1,60,120\r", now),
         sends(raw("tsun-at-command"))),
        (TSUN_DATA_AT + 2, "device", raw("tsun-at-interim-reply"),
         answers("time", final=False, at="+ok=10,start download\r\n", seconds=1.0)),
        (TSUN_DATA_AT + 4, "device", raw("tsun-at-reply"),
         answers("time", final=True, at="+ok", seconds=3.0, message="command_reply", problem="")),
        (TSUN_DATA_AT + 5, "device", raw("tsun-at-reply"), notes("unasked", device=TSUN)),
    )  # fmt: skip
    assert play.session.due == float("inf")


def test_an_answer_teaches_the_loggers_clock() -> None:
    """The real reply to a Modbus read has a stamp, though it is no record."""
    program = Program()
    session = CloudSession(program.states)
    session.receive(framed(raw("modbus-read-reply")), 1662459146.0)
    assert program.kept[LOGGER].revision == 1


def test_a_read_is_asked_twice_then_given_up() -> None:
    play = spoken()
    play(
        (10.0, "program", read, sends("command", sequence=[153, 109])),
        (18.0, "clock", None, sends("command", sequence=[154, 109])),
        (26.0, "clock", None,
         answers("read", message=None, seconds=16.0, problem="no answer in time")),
        (27.0, "device", answered(Reply(1, 3, registers=(7,)), 154), notes("unasked")),
    )  # fmt: skip
    assert play.session.poll(100.0) == []


@pytest.mark.parametrize("first", [153, 154])
def test_an_answer_to_either_attempt_is_the_answer(first: int) -> None:
    spoken()(
        (10.0, "program", read, sends("command")),
        (18.0, "clock", None, sends("command")),
        (19.0, "device", answered(Reply(1, 3, registers=(7,)), first),
         answers("read", modbus={"slave": 1, "function": 3, "registers": [7]})),
    )  # fmt: skip


def test_before_its_time_nothing_is_sent_again() -> None:
    play = spoken()
    play((10.0, "program", read, sends("command")))
    assert play.session.due == 18.0
    assert play.session.poll(17.9) == []


def test_what_must_not_happen_twice_is_sent_once() -> None:
    spoken()(
        (10.0, "program", lambda s, now: s.command("z", AT_KIND, "AT+Z\r", now, attempts=1),
         sends("command", at="AT+Z\r", sensor_type=2)),
        (18.0, "clock", None, answers("z", message=None)),
    )  # fmt: skip


def test_after_an_interim_answer_nothing_is_sent_again() -> None:
    spoken()(
        (10.0, "program", query, sends("command")),
        (15.0, "device", answered("+ok=10", 153, kind=8, of=0x05),
         answers("query", final=False, at="+ok=10")),
        (23.0, "clock", None, answers("query", message=None, final=True)),
    )  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        Reply(1, 3, registers=(7, 8)),  # another number of registers: to another question
        Reply(2, 3, registers=(7,)),
        Reply(1, 4, registers=(7,)),
        ExceptionReply(1, 4, 2),
    ],
)
def test_an_answer_that_does_not_fit_the_question_is_not_taken_for_its_answer(body: Any) -> None:  # noqa: ANN401
    spoken()(
        (10.0, "program", read, sends("command")),
        (11.0, "device", answered(body, 153), notes("unasked")),
        (12.0, "device", answered("+ok", 153, kind=1), notes("unasked")),
        (13.0, "device", answered(Reply(1, 3, registers=(7,)), 152), notes("unasked")),
        (14.0, "device", replace(Frame.parse(answered(Reply(1, 3, registers=(7,)), 153)),
                                 logger_serial=5).build(), notes("unasked")),
        (15.0, "device", built(0x1510, b"", sequence=153), notes("unasked")),
        (16.0, "device", answered(Reply(1, 3, registers=(7,)), 153), answers("read")),
    )  # fmt: skip


@pytest.mark.parametrize(
    "body", [ExceptionReply(1, 3, 2), StickError(5), Reply(1, 3, registers=(7,), doubled_crc=True)]
)
def test_a_refusal_is_an_answer(body: Any) -> None:  # noqa: ANN401 - any
    play = spoken()
    play((10.0, "program", read, sends("command")))
    actions = play((11.0, "device", answered(body, 153), answers("read", final=True)))
    assert only(actions, Answer).message.problems


def test_a_write_is_matched_by_its_function() -> None:
    write = Request(1, 16, 0x80, registers=(1, 2))
    spoken()(
        (10.0, "program", lambda s, now: s.command("w", MODBUS_KIND, write, now), sends("command")),
        (11.0, "device", answered(Reply(1, 16, 0x80, 2), 153), answers("w")),
    )  # fmt: skip


def test_commands_wait_for_each_other() -> None:
    play = spoken()
    play(
        (10.0, "program", read, sends("command", sequence=[153, 109])),
        (10.5, "program", query),
        (11.0, "device", answered(Reply(1, 3, registers=(7,)), 153), answers("read"),
         sends("command", at=QUERY, sequence=[154, 1])),
        (12.0, "program", read),
        (19.0, "clock", None, sends("command", at=QUERY, sequence=[155, 1])),
        (27.0, "clock", None, answers("query", message=None, seconds=16.5),
         sends("command", sequence=[156, 1])),
        (28.0, "program", lambda session, now: session.end(now),
         answers("read", message=None, problem="the connection has ended")),
    )  # fmt: skip
    assert play.session.poll(99.0) == []


def test_commands_do_not_pile_up() -> None:
    play = spoken()
    session: Any = play.session
    for _ in range(MOST_COMMANDS + 1):
        assert not any(isinstance(action, Answer) for action in read(session, 10.0))
    assert "waiting already" in only(read(session, 10.0), Answer).problem
    assert len(session.end(11.0)) == MOST_COMMANDS + 1
    assert session.end(11.0) == []


def test_no_counter_comes_twice_though_the_loggers_frames_cross_the_command() -> None:
    """A heartbeat that left before the command came still has the old first counter."""
    spoken()(
        (10.0, "program", read, sends("command", sequence=[153, 109])),
        (10.1, "device", HEARTBEAT, sends("heartbeat_reply", sequence=[152, 109])),
        (18.0, "clock", None, sends("command", sequence=[154, 109])),
    )  # fmt: skip


def test_counters_wrap() -> None:
    play = Playbook(cloud())
    play(
        (0.0, "device", Frame(0x4710, (255, 255), 1, b"\0").build(),
         sends("heartbeat_reply", sequence=[0, 255])),
        (1.0, "program", read, sends("command", sequence=[1, 255])),
    )  # fmt: skip


def test_a_command_needs_a_logger_that_is_there() -> None:
    play = Playbook(cloud())
    play((0.0, "program", read, answers("read", problem="0 loggers are here")))
    session: Any = play.session
    for serial in (1, 2):
        session.receive(framed(built(0x4710, b"\0", serial)), 0.0)
    play(
        (0.0, "program", read, answers("read", problem="2 loggers are here", message=None)),
        (0.0, "program", lambda s, now: s.command("x", MODBUS_KIND, READ, now, logger="3"),
         answers("x", problem="3 is not here")),
        (0.0, "program", lambda s, now: s.command("x", MODBUS_KIND, READ, now, logger="2"),
         sends("command", logger_serial=2, sensor_type=0)),
    )  # fmt: skip
    with pytest.raises(FieldError):
        session.command("x", MODBUS_KIND, {"slave": 1}, 0.0, logger="2")


# Who only watches


def test_a_watcher_keeps_of_the_cloud_only_what_is_not_known() -> None:
    program = Program()
    watcher = Watcher(program.states)

    def watch(data: bytes) -> list[Action]:
        return watcher.watch(framed(data), MEASURED, "cloud")

    assert watch(raw("tsun-at-command")) == []
    assert watch(reply(frame("heartbeat"), 1).build()) == []
    odd = watch(built(0x9910, b"\x01password=hunter2"))
    assert [type(action) for action in odd] == [Record, Dated, Note]
    assert (odd[0].sender, odd[0].masked) == ("cloud", True)  # type: ignore[union-attr]
    run = watcher.watch(Unframed(0, b"\x07", Reason.JUNK, "junk"), MEASURED, "cloud")
    assert (only(run, Record).sender, only(run, Record).device) == ("cloud", None)
    assert only(watch(DATA), Note).event == "out-of-place"
    assert program.kept == {}, "a cloud's frame names no device that speaks here"


# What outlives a connection


def test_a_state_that_was_saved_dates_as_before() -> None:
    program = Program()
    CloudSession(program.states).receive(framed(DATA), MEASURED)
    saved = program.kept[LOGGER].to_state()
    state: Any = DEYE.state(saved)
    assert state.to_state() == saved
    record = only(cloud().receive(framed(STORED), STORED_AT), Record)
    assert state.recall(record, STORED_AT + 90) == []
    (dated,) = state.settle(STORED_AT + 3 * 86400)
    assert (dated.key, dated.time) == (record.key, STORED_AT)


def test_a_record_without_a_stamp_is_dated_at_once_when_it_is_recalled() -> None:
    state = DEYE.state()
    record = only(cloud().receive(framed(built(0x4910)), 5.0), Record)
    assert state.recall(record, 7.0) == [Dated(record.key, 7.0, TimeSource.ARRIVAL)]
    assert state.revision == 0


def test_the_registry_gives_the_sessions() -> None:
    program = Program()
    session = DEYE.cloud_session(program.states, next_heartbeat=90)
    sent = only(session.receive(framed(HEARTBEAT), 5.0), Send)
    assert Message.parse(Frame.parse(sent.data)).fields["next_heartbeat"] == 90
    assert DEYE.watcher(program.states).watch(framed(HEARTBEAT), 5.0) == []


def with_inverter(number: int) -> bytes:
    """Return live data of an inverter with another serial."""
    return built_of(DATA.replace(INVERTER.encode(), b"%010d" % number))


def built_of(raw: bytes) -> bytes:
    """Return a frame's bytes with the checksum made right."""
    return Frame.parse(raw, verify=False).build()


def test_a_logger_carries_so_many_inverters_and_no_more() -> None:
    """Anybody can invent serials; those that were there first go on."""
    program = Program()
    for number in range(MOST_INVERTERS):
        session = CloudSession(program.states)
        actions = session.receive(framed(with_inverter(number)), MEASURED)
        assert only(actions, Record).device == f"{number:010}"
        only(actions, Send)
    state = program.kept[LOGGER]
    revision = state.revision
    actions = session.receive(framed(with_inverter(MOST_INVERTERS)), MEASURED)
    assert [type(action) for action in actions] == [Note]
    assert only(actions, Note).device == LOGGER
    assert state.revision == revision
    only(session.receive(framed(with_inverter(7)), MEASURED), Send)

    saved = LoggerState.from_state(state.to_state())
    assert saved.carries("0000000007")
    assert not saved.carries("0000000099")


# Whatever comes

ITEMS: st.SearchStrategy[Item] = st.one_of(
    st.sampled_from([framed(raw(name)) for name in VALID]),
    st.builds(
        lambda code, first, second, serial, payload: framed(
            Frame(code, (first, second), serial, payload).build()
        ),
        st.integers(0, 0xFFFF) | st.integers(0x40, 0x4F).map(lambda high: high << 8 | 0x10),
        st.integers(0, 255),
        st.integers(0, 255),
        st.integers(0, 40) | st.integers(0, 0xFFFFFFFF),
        st.binary(max_size=60),
    ),
    st.binary(min_size=1, max_size=60).map(lambda data: Unframed(0, data, Reason.JUNK, "junk")),
    st.sampled_from([Framed(0, data, ALPHA) for data in fixtures("alphaess").values()]),
)


@given(st.lists(ITEMS, max_size=30), st.floats(0, 2**32 - 1), st.integers(0, 3))
def test_whatever_comes_each_request_is_answered_once_and_nothing_else(
    items: list[Item], now: float, commands: int
) -> None:
    session = cloud()
    for item in items:
        actions = session.receive(item, now)
        kept = [action for action in actions if isinstance(action, Record)]
        sent = [action.data for action in actions if isinstance(action, Send)]
        taken = (
            isinstance(item, Framed)
            and item.family == "deye"
            and str(item.frame.logger_serial) in session.serials
        )
        assert len(kept) <= 1
        assert all(len(record.frame) == len(item.raw) for record in kept)
        assert len(sent) == (taken and is_request(item.raw[4]))
        assert all(len(data) == ENVELOPE + 10 <= 2 * len(item.raw) for data in sent)
        if kept and sent:
            assert actions.index(kept[0]) < len(actions) - 1, "the answer comes last"
            assert isinstance(actions[-1], Send)
        if kept and not taken:
            assert any(isinstance(a, Dated) and a.key == kept[0].key for a in actions)
    for _ in range(commands):
        session.command("c", MODBUS_KIND, READ, now)
    while session.due < float("inf"):
        session.poll(session.due)


@given(st.lists(ITEMS, max_size=20))
def test_every_record_gets_a_date_in_the_end(items: list[Item]) -> None:
    program = Program()
    session = CloudSession(program.states)
    kept, dated = set(), set()
    for item in items:
        for action in session.receive(item, MEASURED):
            if isinstance(action, Record):
                kept.add(action.key)
            elif isinstance(action, Dated):
                dated.add(action.key)
    for state in program.kept.values():
        for now in (MEASURED + 61, MEASURED + 50 * 3600):
            dated |= {date.key for date in state.settle(now)}
    assert kept == dated


def test_a_flood_of_records_without_a_time_waits_in_bounds() -> None:
    """Each has a boot of its own, so nothing is ever known; the oldest get their last word."""
    program = Program()
    session = CloudSession(program.states)
    message = Message.parse(frame("micro-5408-historic"))
    dated = 0
    for number in range(MOST_WAITING + 500):
        flood = message.replace({"total_working_time": 9_000_000 + 1000 * number})
        actions = session.receive(framed(flood.build()), MEASURED)
        dated += sum(isinstance(action, Dated) for action in actions)
    assert dated == 500
    assert len(program.kept[LOGGER].settle(MEASURED + 60 * 3600)) == MOST_WAITING


def test_the_payload_is_where_the_quick_reply_looks_for_it() -> None:
    assert DATA[PAYLOAD_AT] == frame("micro-5408-realtime").payload[0]


def test_bytes_that_are_no_frame_wait_for_no_counter() -> None:
    record = Record(
        b"k", "deye", "unframed", None, None, historic=False, stamp=None, frame=b"AT+VER"
    )
    (dated,) = LoggerState().recall(record, 7.0)
    assert (dated.key, dated.time, dated.source) == (b"k", 7.0, TimeSource.ARRIVAL)
