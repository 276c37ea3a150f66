"""The battery's side: what it says in which order, and what it does when it is told to."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inverterproto.alphaess import commands
from inverterproto.alphaess.battery import Battery
from inverterproto.alphaess.battery_session import BatterySession
from inverterproto.alphaess.clock import format_stamp
from inverterproto.alphaess.frame import Frame
from inverterproto.alphaess.messages import Message
from inverterproto.deye.frame import FRAMING as V5
from inverterproto.session import MOST_UNFRAMED, Action, Answer, Send
from inverterproto.stream import Framed
from tests.alphaess_vectors import CONFIGURATION, RAW, SN, START, items, raw_frame
from tests.playbook import Playbook, answers, closes, notes, sends
from tests.vectors import raw

HOUR, DAY = 3600.0, 86400.0
RECORD = Message.parse(Frame.parse(RAW["record"])).fields
STATUS = Message.parse(Frame.parse(RAW["status-1"])).fields
OWN = Message.parse(Frame.parse(RAW["config-from-battery"])).fields
SUCCESS = {name: RAW[f"{name}-reply"] for name in ("login", "keep-alive", "status")}
NO_ANSWER: dict[str, Any] = {"message": None, "problem": "not answered"}


def measure(now: float) -> Mapping[str, Any]:
    """Return what the battery of the fixtures measures, the charge changing with time."""
    return {**STATUS, **RECORD, "SOC": int(now) % 100}


def battery(**options: Any) -> Battery:  # noqa: ANN401 - any
    options = {"password": "secret", "configuration": OWN, **options}
    return Battery(SN, measure, START, **options)


def familiar(**options: Any) -> Battery:  # noqa: ANN401 - any
    """Return a battery that has logged in before."""
    found = battery(**options)
    found.logged_in = True
    return found


def success(command: int) -> bytes:
    return raw_frame(2, command, b'{"Status":"Success"}')


def streaming(one: Battery | None = None, now: float = START) -> Playbook:
    """Return a battery that has begun to stream, and got all answers."""
    play = Playbook(BatterySession(one or familiar(), now))
    play(
        (now, "clock", None, sends("status"), sends("record"), sends("configuration")),
        (now, "cloud", success(16), answers("status")),
        (now, "cloud", success(5), answers("record")),
        (now, "cloud", success(4), answers("configuration")),
    )
    return play


def messages(actions: list[Action]) -> list[Message]:
    frames = [Frame.parse(action.data) for action in actions if isinstance(action, Send)]
    return [Message.parse(frame) for frame in frames]


# Its order and times


def test_a_battery_opens_as_it_was_seen_to_and_each_step_waits_for_the_answer() -> None:
    one = battery()
    play = Playbook(BatterySession(one, START))
    assert play.session.due < START
    play(
        (START, "clock", None, sends("login", UserName=SN, Password="secret")),
        (START + 1, "cloud", SUCCESS["login"],
         answers("login", problem="", seconds=1.0), sends(RAW["keep-alive"])),
        (START + 2, "cloud", SUCCESS["keep-alive"],
         answers("keep_alive"), sends("event_log", MsgType="EventLog")),
        (START + 3, "cloud", success(9),
         answers("event_log"), sends(RAW["config-request"])),
        (START + 4, "cloud", RAW["config-from-cloud"],
         answers("configuration_request", message="cloud_configuration"),
         sends("status", SN=SN, SOC=(int(START) + 4) % 100), sends("record"),
         sends("configuration")),
    )  # fmt: skip
    assert one.logged_in


def test_a_battery_that_connects_again_streams_without_a_login() -> None:
    streaming()


def test_a_status_comes_every_10_s_a_record_every_5_minutes_the_configuration_every_hour() -> None:
    play, count = streaming(), {"status": 0, "record": 0, "configuration": 0}
    now = START
    while (now := play.session.due) <= START + HOUR:
        for message in messages(play.session.poll(now)):
            count[message.name] += 1
            for item in items(success(message.frame.command)):
                play.session.receive(item, now)
    assert count == {"status": 360, "record": 12, "configuration": 1}


def test_what_was_due_in_a_pause_comes_once() -> None:
    play = streaming()
    play((START + 1000, "clock", None, sends("status"), sends("record")))
    assert play.session.due == START + 1010


@pytest.mark.parametrize("name", ["status", "record", "configuration"])
def test_a_message_has_the_keys_of_a_real_one(name: str) -> None:
    one = familiar()
    frame = {
        "status": one.status(START),
        "record": one.record(START),
        "configuration": one.own_configuration(),
    }[name]
    real = {"status": "status-1", "configuration": "config-from-battery"}.get(name, name)
    expected = Message.parse(Frame.parse(RAW[real])).fields
    found = Message.parse(frame).fields
    assert found.keys() == expected.keys()
    assert Message.parse(frame).problems == ()


# Unanswered


def test_an_opening_that_nobody_answers_goes_on_after_10_s() -> None:
    one = battery()
    play = Playbook(BatterySession(one, START))
    play(
        (START, "clock", None, sends("login")),
        (START + 10, "clock", None, answers("login", **NO_ANSWER), sends("keep_alive")),
        (START + 20, "clock", None, answers("keep_alive", **NO_ANSWER), sends("event_log")),
        (START + 30, "clock", None,
         answers("event_log", **NO_ANSWER), sends("configuration_request")),
        (START + 40, "clock", None, answers("configuration_request", **NO_ANSWER),
         sends("status"), sends("record"), sends("configuration")),
    )  # fmt: skip
    assert not one.logged_in


def test_a_status_or_record_that_was_not_answered_is_not_repeated() -> None:
    play = Playbook(BatterySession(familiar(), START))
    play(
        (START, "clock", None, sends("status"), sends("record"), sends("configuration")),
        (START + 1, "cloud", success(4), answers("configuration")),
        (START + 10, "clock", None, answers("status", **NO_ANSWER), answers("record", **NO_ANSWER),
         sends("status", SOC=(int(START) + 10) % 100)),
    )  # fmt: skip


def test_its_own_configuration_is_sent_again_after_the_next_status() -> None:
    play = Playbook(BatterySession(familiar(), START))
    play((START, "clock", None, sends("status"), sends("record"), sends("configuration")))
    for command in (16, 5):
        play.session.receive(items(success(command))[0], START)
    play(
        (START + 10, "clock", None, answers("configuration", **NO_ANSWER),
         sends("status"), sends("configuration")),
        (START + 11, "cloud", success(4), answers("configuration", seconds=1.0)),
        (START + 20, "clock", None, answers("status", **NO_ANSWER), sends("status")),
    )  # fmt: skip


def test_an_answer_that_says_no_success_is_told() -> None:
    play = streaming()
    play(
        (START + 10, "clock", None, sends("status")),
        (START + 10, "cloud", raw_frame(2, 16, b'{"Status":"No"}'),
         answers("status", problem="the cloud does not say Success")),
        (START + 20, "clock", None, sends("status")),
        (START + 20, "cloud", raw_frame(2, 16),
         answers("status", problem="the cloud does not say Success")),
    )  # fmt: skip


def test_what_was_not_asked_for_is_told_and_not_answered() -> None:
    play = streaming()
    play(
        (START, "cloud", success(16), notes("unexpected")),
        (START, "cloud", RAW["config-from-cloud"], notes("unexpected")),
        (START, "cloud", RAW["status-1"], notes("unexpected")),
        (START, "cloud", b"junk", notes("unframed")),
    )
    item = Framed(0, raw("heartbeat"), V5)
    assert len(play.session.receive(item, START)) == 1


def test_what_is_unanswered_when_the_connection_ends_is_told() -> None:
    session = BatterySession(battery(), START)
    session.poll(START)
    assert session.end(START + 3) == [Answer("login", None, 3.0, problem="not answered")]


def test_64_kib_without_a_frame_end_the_connection() -> None:
    play = streaming()
    part = b"A" * 4096
    play(
        *[(START, "cloud", part, notes("unframed"))] * (MOST_UNFRAMED // len(part) - 1),
        (START, "cloud", part, notes("unframed"), closes()),
        (START, "cloud", part),
        (float("inf"), "clock", None),
    )


# Stored records


def stored_stamps(actions: list[Action]) -> list[list[Any]]:
    return [
        [" ".join(row[:2]) for row in message.fields["rows"]]
        for message in messages(actions)
        if message.name == "stored_records"
    ]


def resume(since: float | None = None, minutes: int = 0) -> bytes:
    return commands.resume(7, since, minutes).build()


def test_told_to_resume_it_acknowledges_and_sends_three_records_a_frame() -> None:
    one = familiar(offset=HOUR)
    now = START + 600
    play = streaming(one, now)
    done = play(
        (now, "cloud", resume(START + HOUR + 180, 5),
         sends("command_reply", Command="Resume", CmdIndex="7", Status="Success"),
         sends("stored_records")),
        (now + 1, "cloud", success(12), answers("stored_records"), sends("stored_records")),
        (now + 2, "cloud", success(12), answers("stored_records")),
    )  # fmt: skip
    expected = [format_stamp(START + HOUR + 60 * minute) for minute in range(3, 8)]
    assert stored_stamps(done) == [expected[:3], expected[3:]]


def test_a_stored_record_says_what_was_measured_then_and_the_same_when_asked_again() -> None:
    one = familiar()
    now = START + 600
    play = streaming(one, now)
    (ask,), (got,) = items(resume(START + 60, 1)), items(success(12))
    _, first = messages(play.session.receive(ask, now))
    play.session.receive(got, now)
    _, again = messages(play.session.receive(ask, now + 5))
    assert first.frame == again.frame
    (record,) = first.records()
    assert record.values["state_of_charge"] == (int(START) + 60) % 100
    assert record.device == SN
    assert first.problems == ()
    real = Message.parse(Frame.parse(RAW["stored-records"])).fields
    assert set(first.fields["columns"]) == set(real["columns"])
    assert first.fields["columns"][:3] == real["columns"][:3]


def test_a_dump_is_sent_before_what_else_waits_while_the_stream_goes_on() -> None:
    one = battery()
    now = START + 600
    play = Playbook(BatterySession(one, now))
    play(
        (now, "clock", None, sends("login")),
        (now, "cloud", resume(START, 4), sends("command_reply")),
        (now, "cloud", SUCCESS["login"], answers("login"), sends("stored_records")),
        (now, "cloud", success(12), answers("stored_records"), sends("stored_records")),
        (now, "cloud", success(12), answers("stored_records"), sends("keep_alive")),
    )
    play = streaming(familiar(), START)
    now = START + 300
    play(
        (now, "clock", None, sends("status"), sends("record")),
        (now, "cloud", resume(START, 5), sends("command_reply"), sends("stored_records")),
        (now + 10, "clock", None, answers("status", **NO_ANSWER), answers("record", **NO_ANSWER),
         answers("stored_records", **NO_ANSWER), sends("stored_records"), sends("status")),
    )  # fmt: skip


def test_resume_without_parameters_gives_all_that_is_held() -> None:
    one = familiar()
    now = START + 10 * 60
    play = streaming(one, now)
    next_frame = (now, "cloud", success(12), answers("stored_records"), sends("stored_records"))
    done = play(
        (now, "cloud", resume(), sends("command_reply"), sends("stored_records")),
        *[next_frame] * 3,
        (now, "cloud", success(12), answers("stored_records")),
    )
    assert [len(rows) for rows in stored_stamps(done)] == [3, 3, 3, 1]


@pytest.mark.parametrize(
    "parameters",
    [
        {"Parameter1": "nonsense", "Parameter2": "5"},
        {"Parameter1": "2021/03/24 09:40:13", "Parameter2": "x"},
        {"Parameter1": "2021/03/24 09:40:13", "Parameter2": "-5"},
        {"Parameter1": "2021/03/24 09:40:13"},
        {"Parameter2": "5"},
    ],
)
def test_a_resume_that_makes_no_sense_is_acknowledged_as_failed(parameters: dict[str, str]) -> None:
    play = streaming(familiar(), START + 600)
    frame = Message.parse(Frame.parse(RAW["resume"])).replace(
        parameters, remove={"Parameter1", "Parameter2"} - parameters.keys()
    )
    play((START + 600, "cloud", frame.build(), sends("command_reply", Status="Fail")))


def test_resume_for_minutes_that_are_not_held_gives_none() -> None:
    play = streaming(familiar(), START + 600)
    play((START + 600, "cloud", resume(START + DAY, 5), sends("command_reply", Status="Success")))


def test_a_resume_takes_the_place_of_the_one_before() -> None:
    play = streaming(familiar(), START + 600)
    now = START + 600
    play(
        (now, "cloud", resume(START, 10), sends("command_reply"), sends("stored_records")),
        (now, "cloud", resume(START, 1), sends("command_reply")),
        (now, "cloud", success(12), answers("stored_records"), sends("stored_records")),
        (now, "cloud", success(12), answers("stored_records")),
    )


def test_a_battery_holds_only_so_many_minutes_however_long_it_was_alone() -> None:
    one = familiar(capacity=100)
    one.store(START + 30 * 365 * DAY)
    held = one.held(None, None)
    assert len(held) == 100
    assert held[-1][0] == pytest.approx(START + 30 * 365 * DAY, abs=60)
    assert held == sorted(held)
    one.store(START + 30 * 365 * DAY + 60)
    assert len(one.held(None, None)) == 100
    empty = familiar(capacity=0)
    empty.store(START + DAY)
    assert empty.held(None, None) == []


# Its clock


def test_its_clock_is_off_and_drifts() -> None:
    one = familiar(offset=HOUR, drift=1e-4)
    assert one.clock(START) == START + HOUR
    assert one.clock(START + 10_000) == START + 10_000 + HOUR + 1
    assert Message.parse(one.status(START)).stamp == int(START + HOUR)


def test_what_was_stored_before_the_clock_was_set_keeps_its_stamp() -> None:
    one = familiar(offset=HOUR)
    one.set_clock(START + 150, START + 150)
    one.store(START + 240)
    stamps = [stamp for _, stamp in one.held(None, None)]
    assert stamps == [START + HOUR + 60, START + HOUR + 120, START + 180, START + 240]


def test_told_sync_time_it_takes_the_time_from_the_configuration() -> None:
    one = familiar(offset=HOUR)
    play = streaming(one)
    answer = Message.parse(Frame.parse(RAW["config-from-cloud"])).replace(
        {"CheckTime": format_stamp(START + 5).replace("/", "-")}
    )
    play(
        (START + 4, "cloud", RAW["sync-time"],
         sends("command_reply", Command="SyncTime", Status="Success"),
         sends("configuration_request")),
        (START + 5, "cloud", answer.build(), answers("configuration_request")),
    )  # fmt: skip
    assert one.clock(START + 6) == START + 6


def test_without_a_check_time_its_clock_stays_and_a_later_one_does_not_set_it() -> None:
    one = familiar(offset=HOUR)
    play = streaming(one)
    ask = sends("command_reply"), sends("configuration_request")
    play(
        (START, "cloud", RAW["sync-time"], *ask),
        (START, "cloud", success(3), answers("configuration_request")),
        (START, "cloud", commands.set_config(8).build(), *ask),
        (START, "cloud", RAW["config-from-cloud"],
         answers("configuration_request"), sends("configuration")),
    )  # fmt: skip
    assert one.clock(START) == START + HOUR


# Its configuration


def test_told_set_config_it_fetches_the_configuration_and_sends_its_own() -> None:
    one = familiar()
    play = streaming(one)
    changed = Message.parse(Frame.parse(RAW["config-from-cloud"])).replace(
        {"GridCharge": True, "BatHighCap": 77}
    )
    play(
        (START, "cloud", commands.set_config(8).build(),
         sends("command_reply", Command="SetConfig", CmdIndex="8", Status="Success"),
         sends("configuration_request", SN=SN)),
        (START, "cloud", changed.build(), answers("configuration_request"),
         sends("configuration", GridCharge=True, BatHighCap=77, Address="1 Example Street")),
        (START, "cloud", success(4), answers("configuration")),
    )  # fmt: skip
    own = Message.parse(one.own_configuration()).fields
    assert own.keys() == OWN.keys()
    assert b'"GridCharge":"True"' in one.own_configuration().payload


def test_success_alone_changes_no_setting() -> None:
    one = familiar()
    play = streaming(one)
    alone = raw_frame(2, 3, b'{"Status":"Success","SN":"AL2002000001234"}')
    play(
        (START, "cloud", commands.set_config(8).build(),
         sends("command_reply"), sends("configuration_request")),
        (START, "cloud", alone, answers("configuration_request"), sends("configuration")),
    )  # fmt: skip
    assert Message.parse(one.own_configuration()).fields == OWN


def test_commands_in_a_row_are_acknowledged_each_and_queued_once() -> None:
    play = streaming()
    again = commands.set_config(9).build()
    play(
        (START, "cloud", again, sends("command_reply"), sends("configuration_request")),
        *[(START, "cloud", again, sends("command_reply"))] * 50,
        (START, "cloud", success(3), answers("configuration_request"), sends("configuration")),
        (START, "cloud", success(4), answers("configuration"), sends("configuration_request")),
        (START, "cloud", success(3), answers("configuration_request")),
    )


def test_a_command_that_it_does_not_know_is_acknowledged_as_failed() -> None:
    play = streaming()
    play(
        (START, "cloud", raw_frame(1, 8, b'{"Command":"Explode","CmdIndex":"5"}'),
         sends("command_reply", Command="Explode", CmdIndex="5", Status="Fail")),
        (START, "cloud", raw_frame(1, 8, b"nonsense"),
         sends("command_reply", Command="", CmdIndex="", Status="Fail")),
        (START, "cloud", raw_frame(2, 9, b'{"Command":"SyncTime","CmdIndex":"5"}'),
         sends("command_reply", Status="Success"), sends("configuration_request")),
    )  # fmt: skip


# Whatever comes

SAID = st.one_of(
    st.sampled_from(sorted(RAW.values())),
    st.binary(min_size=1, max_size=40),
    st.builds(
        raw_frame,
        st.sampled_from([1, 2]),
        st.one_of(st.sampled_from([0, 2, 3, 4, 5, 8, 9, 12, 16]), st.integers(0, 255)),
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from(
                [
                    CONFIGURATION,
                    b'{"Command":"Resume","CmdIndex":[1,{"a":1e400}]}',
                    b'{"Command":"Resume","Parameter1":"2021/03/24 09:40:13","Parameter2":1e15}',
                    b'{"Command":"SetConfig","CmdIndex":"\xff"}',
                    b'{"Command":["SyncTime"]}',
                ]
            ),
        ),
    ),
)


@settings(max_examples=200)
@given(st.lists(st.tuples(SAID, st.floats(0, 400)), max_size=25), st.booleans())
def test_each_command_is_acknowledged_once_whatever_comes_in_any_order(
    said: list[tuple[bytes, float]],
    fresh: bool,  # noqa: FBT001 - Hypothesis chooses
) -> None:
    one = battery(capacity=50) if fresh else familiar(capacity=50)
    session = BatterySession(one, START)
    now = START
    for data, later in said:
        now += later
        for item in items(data):
            actions = session.receive(item, now)
            replies = [a for a in actions if isinstance(a, Send) and a.data[1] == 2]
            is_command = isinstance(item, Framed) and Message.parse(item.frame).name == "command"
            assert len(replies) == is_command
            assert [reply.data[2] for reply in replies] == [8] * is_command
        while session.due <= now:
            session.poll(now)
        assert len(session._dump) <= 50
        assert len(session._queue) <= 6
        assert len(session._unanswered) <= 8
