"""The cloud's side of a conversation with a battery.

A row of a playbook is who says what when, and behind it all that must come of it (see
`tests/playbook.py`). The battery's clock is 11 hours ahead of UTC.
"""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inverterproto import FAMILIES
from inverterproto.alphaess.clock import format_stamp
from inverterproto.alphaess.cloud import PATIENCE, CloudSession
from inverterproto.alphaess.commanding import MOST_WAITING, STEP_WITHIN
from inverterproto.alphaess.commands import acknowledge
from inverterproto.alphaess.frame import Frame
from inverterproto.alphaess.messages import Message
from inverterproto.alphaess.state import BatteryState, Gap
from inverterproto.errors import ProtocolError
from inverterproto.session import MOST_UNFRAMED, Action, Answer, Close, Note, Record, Send
from inverterproto.stream import Framed
from tests.alphaess_vectors import (
    CONFIGURATION,
    OFFSET,
    RAW,
    SN,
    START,
    Memory,
    changed,
    items,
    raw_frame,
    status,
)
from tests.playbook import Playbook, answers, closes, dates, keeps, notes, sends
from tests.vectors import CLIENT_HELLO, raw

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
CORRECTED, ARRIVAL = "device-corrected", "arrival"
SUCCESS: dict[str, Any] = {"Status": "Success"}


def local_time(now: float) -> float:
    """What a clock shows in this household: 11 hours more than UTC, as the battery's should."""
    return now + OFFSET


def no_time(now: float) -> None:
    """What time it is while the host's own clock is not to be trusted."""


def session(memory: Callable[[str], Any] | None = None, **options: Any) -> CloudSession:  # noqa: ANN401 - any
    return CloudSession(Memory() if memory is None else memory, **options)


def remembering(silence: float) -> Memory:
    """Return what is remembered of a battery that was last heard so long before `START`."""
    memory = Memory()
    for early in (20, 10, 0):
        time = START - silence - early
        memory(SN).observe(b"early", time + OFFSET, time)
    return memory


def live(now: float, *more: Any) -> tuple[Any, ...]:  # noqa: ANN401 - expectations
    """Return the row of an ordinary status, and what more comes of it."""
    said = status(now + OFFSET)
    return (now, "device", said, keeps("status"), dates(CORRECTED), sends("status_reply"), *more)


def row(shown: float) -> bytes:
    """Return a frame of one stored record."""
    day, time = format_stamp(shown).split()
    return raw_frame(1, 12, f"Date,Time,SN,SOC\n{day},{time},{SN},50\n".encode())


def acknowledged(command: Send, status: str = "Success") -> bytes:
    """Return a battery's acknowledgement of a command."""
    return acknowledge(Frame.parse(command.data), status).build()


def sent(actions: list[Action]) -> list[str]:
    """Return the names of the messages that are sent."""
    frames = [Frame.parse(action.data) for action in actions if isinstance(action, Send)]
    return [Message.parse(frame).name for frame in frames]


# Answers


def test_a_first_connection_as_it_was_seen() -> None:
    Playbook(session(local_time=local_time))(
        (START, "device", RAW["login"],
         keeps("login", masked=True), dates(ARRIVAL), notes("login"), sends(RAW["login-reply"])),
        (START, "device", RAW["keep-alive"], sends(RAW["keep-alive-reply"])),
        (START, "device", RAW["event-log"],
         keeps("event_log", device=SN), dates(ARRIVAL), sends("event_log_reply", **SUCCESS)),
        (START, "device", RAW["config-request"],
         sends(raw_frame(2, 3, b'{"Status":"Success","SN":"AL2002000001234"}'))),
        (START + 112, "device", RAW["status-1"],
         keeps("status", device=SN), dates(CORRECTED, START + 112), sends(RAW["status-reply"])),
        (START + 122, "device", RAW["status-2"],
         keeps("status"), dates(CORRECTED, START + 122), sends(RAW["status-reply"])),
        (START + 160, "device", RAW["record"],
         keeps("record"), dates(CORRECTED, START + 160), sends("record_reply", **SUCCESS)),
        (START + 170, "device", RAW["config-from-battery"],
         keeps("configuration"), dates(ARRIVAL), sends("configuration_reply", **SUCCESS)),
        (START + 180, "device", RAW["stored-records"],
         *[keeps("stored", historic=True), dates(CORRECTED)] * 3,
         sends(RAW["stored-records-reply"])),
    )  # fmt: skip


def test_a_battery_that_connects_again_streams_at_once_and_is_answered() -> None:
    play = Playbook(session(remembering(MINUTE)))
    play(live(START), live(START + 10), live(START + 20))


def test_two_frames_at_once_are_answered_each() -> None:
    kept = keeps("status"), dates(CORRECTED), sends("status_reply")
    Playbook(session())((START, "device", RAW["status-1"] + RAW["status-2"], *kept, *kept))


def test_what_nobody_knows_is_kept_and_answered() -> None:
    Playbook(session())(
        (START, "device", raw_frame(1, 77, b'{"Weather":"fine"}'),
         keeps("unknown", known=False), dates(ARRIVAL), notes("unknown-message"),
         sends(raw_frame(2, 77, b'{"Status":"Success"}'))),
        (START, "device", raw_frame(1, 77),
         keeps("unknown"), dates(ARRIVAL), notes("unknown-message")),
        (START, "device", raw_frame(1, 0, b"{}"),
         keeps("unknown"), dates(ARRIVAL), notes("unknown-message"), sends("keep_alive_reply")),
    )  # fmt: skip


@pytest.mark.parametrize("command", [2, 3, 4, 5, 9, 12, 16])
def test_an_empty_frame_is_not_answered_unless_it_is_the_keep_alive(command: int) -> None:
    play = Playbook(session())
    assert sent(play.session.receive(items(raw_frame(1, command))[0], START)) == []
    assert sent(play.session.receive(items(raw_frame(1, 0))[0], START)) == ["keep_alive_reply"]


def test_broken_json_is_kept_and_answered() -> None:
    Playbook(session())(
        (START, "device", raw_frame(1, 16, RAW["malformed-json"][7:-2]),
         keeps("status", known=False), dates(ARRIVAL), notes("unknown-message"),
         sends("status_reply", **SUCCESS)),
    )  # fmt: skip


# Misbehaving peers


def test_replies_and_commands_from_a_device_are_not_answered() -> None:
    unknown = keeps("unknown"), dates(ARRIVAL), notes("unknown-message")
    Playbook(session())(
        (START, "device", RAW["status-reply"], *unknown),
        (START, "device", raw_frame(2, 77, b"{}"), *unknown),
        (START, "device", RAW["resume"], *unknown),
        (START, "device", raw_frame(2, 8)),
    )


def test_an_acknowledgement_of_nothing_is_answered_and_told() -> None:
    Playbook(session())(
        (START, "device", RAW["resume-reply"], sends("keep_alive_reply"), notes("unasked")),
    )


def test_who_is_refused_is_neither_kept_nor_answered() -> None:
    Playbook(session(lambda _serial: None))(
        (START, "device", RAW["keep-alive"], sends("keep_alive_reply")),
        (START, "device", RAW["login"], notes("refused")),
        (START, "device", RAW["keep-alive"]),
        (START, "device", RAW["status-1"]),
        (START, "device", RAW["stored-records"]),
        (START, "device", RAW["config-request"]),
        (START, "device", RAW["resume-reply"]),
        (START, "program", lambda s, now: s.set_config("k", now), answers("k", message=None)),
    )


def test_a_frame_of_stored_records_of_which_one_is_refused_is_not_acknowledged() -> None:
    table = b"Date,Time,SN\n2021/03/24,09:40:59,AL1\n2021/03/24,09:40:59,AL2\n"
    Playbook(session(lambda serial: BatteryState() if serial == "AL1" else None))(
        (START, "device", raw_frame(1, 12, table), keeps("stored"), notes("refused")),
    )


def test_who_sends_64_kib_without_a_frame_is_let_go() -> None:
    unframed = keeps("unframed"), dates(ARRIVAL), notes("unframed")
    part = b"A" * 4096
    play = Playbook(session())
    play(
        *[(START, "device", part, *unframed)] * (MOST_UNFRAMED // len(part) - 1),
        live(START),
        *[(START, "device", part, *unframed)] * (MOST_UNFRAMED // len(part) - 1),
        (START, "device", part, *unframed, closes()),
        (START, "device", RAW["status-1"]),
    )


def test_other_protocols_are_kept_and_not_answered() -> None:
    Playbook(session())(
        (START, "device", CLIENT_HELLO, keeps("unframed"), dates(ARRIVAL), notes("unframed")),
        (START, "device", raw("heartbeat"),
         keeps("unknown", family="deye"), dates(ARRIVAL), notes("other-family")),
    )  # fmt: skip


# Resume


def test_after_an_outage_the_missing_minutes_are_asked_for() -> None:
    """As V's battery was asked: since the last record that the cloud has, for so many minutes."""
    memory = remembering(20 * MINUTE)
    play = Playbook(session(memory))
    *_, command = play(
        live(START, notes("resume"),
             sends("command", Command="Resume", CmdIndex="1", Parameter1="2021/03/24 09:40:00",
                   Parameter2=21)),
    )  # fmt: skip
    assert isinstance(command, Send)
    play(
        (START, "device", acknowledged(command),
         sends(RAW["keep-alive-reply"]), answers("Resume", final=True, problem="", seconds=0.0)),
        *[
            (START + 1, "device", row(START + OFFSET - minutes * MINUTE),
             keeps("stored"), dates(CORRECTED), sends("stored_records_reply"))
            for minutes in range(20, 0, -1)
        ],
        live(START + 10),
    )  # fmt: skip
    assert memory[SN].gap == Gap(START + OFFSET - MINUTE, START + OFFSET)
    play((START + 1 + PATIENCE, "clock", None, notes("not-resumed")))
    assert memory[SN].gap is None
    assert play.session.due == float("inf")


def test_stored_records_that_reach_the_present_end_the_waiting() -> None:
    play = Playbook(session(memory := remembering(3 * MINUTE)))
    play(live(START, notes("resume"), sends("command", Parameter2=4)))
    stored = keeps("stored"), dates(CORRECTED), sends("stored_records_reply")
    play(
        (START, "device", row(START + OFFSET - 90), *stored),
        (START, "device", row(START + OFFSET - 30), *stored),
    )
    assert memory[SN].gap is None
    play((START + STEP_WITHIN, "clock", None, answers("Resume", message=None)))
    assert play.session.due == float("inf")


def test_resume_is_asked_for_once_a_connection() -> None:
    memory = remembering(HOUR)
    first = Playbook(session(memory))
    first(live(START, notes("resume"), sends("command", Parameter2=61)))
    first(live(START + 10), live(START + HOUR), live(START + 2 * HOUR))
    second = Playbook(session(memory))
    now = START + 2 * HOUR + 10
    second(live(now, notes("resume"), sends("command", Parameter2=181)))


def test_a_dump_that_broke_off_is_asked_for_again_from_where_it_got() -> None:
    memory = remembering(HOUR)
    Playbook(session(memory))(
        live(START, notes("resume"), sends("command", Parameter2=61)),
        (START, "device", row(START + OFFSET - 30 * MINUTE),
         keeps("stored"), dates(CORRECTED), sends("stored_records_reply")),
    )  # fmt: skip
    Playbook(session(memory))(
        live(START + 30, notes("resume"),
             sends("command", Parameter1=format_stamp(START + OFFSET - 30 * MINUTE),
                   Parameter2=31)),
    )  # fmt: skip


def test_what_went_missing_while_waiting_is_left_for_the_next_connection() -> None:
    memory = remembering(HOUR)
    play = Playbook(session(memory))
    play(live(START, notes("resume"), sends("command")))
    play((START + STEP_WITHIN, "clock", None, answers("Resume", message=None)))
    play(live(START + 200), (START + PATIENCE, "clock", None))
    assert memory[SN].gap == Gap(START + OFFSET - HOUR, START + OFFSET + 200)


def test_resume_can_be_switched_off() -> None:
    Playbook(session(memory := remembering(HOUR), resume=False))(live(START), live(START + 10))
    assert memory[SN].gap is not None


def test_a_battery_never_heard_before_is_asked_for_nothing() -> None:
    Playbook(session())(
        (START, "device", RAW["login"],
         keeps("login"), dates(ARRIVAL), notes("login"), sends("login_reply")),
        live(START),
    )  # fmt: skip


def test_each_battery_behind_a_connection_is_asked_for_what_it_misses() -> None:
    memory = remembering(HOUR)
    for early in (20, 10, 0):
        memory("AL2").observe(b"early", START - 600 - early, START - 600 - early)
    Playbook(session(memory))(
        live(START, notes("resume"), sends("command", Parameter2=61)),
        (START, "device", status(START, "AL2"), keeps("status"), dates(CORRECTED),
         sends("status_reply"), notes("resume"), sends("command", Parameter2=11)),
        live(START + 10),
        (START + 10, "device", status(START + 10, "AL2"), keeps("status"), dates(CORRECTED),
         sends("status_reply")),
    )  # fmt: skip


def test_a_battery_that_does_not_carry_out_a_command_is_told_of() -> None:
    play = Playbook(session(remembering(HOUR)))
    *_, command = play(live(START, notes("resume"), sends("command")))
    assert isinstance(command, Send)
    play(
        (START + 1, "device", acknowledged(command, "Fail"), sends("keep_alive_reply"),
         answers("Resume", final=True, problem="the battery does not say Success", seconds=1.0)),
    )  # fmt: skip


# The configuration


def trusting() -> Memory:
    memory = Memory()
    memory(SN).trust(CONFIGURATION, SN)
    return memory


def test_the_trusted_configuration_is_served_as_it_is_but_for_its_check_time() -> None:
    play = Playbook(session(trusting(), local_time=local_time))
    (answer,) = play(
        (START, "device", RAW["config-request"],
         sends("cloud_configuration", SN=SN, CheckTime="2021-03-24 10:00:00")),
    )  # fmt: skip
    assert isinstance(answer, Send)
    expected = CONFIGURATION.replace(b"2021-03-23 11:17:53", b"2021-03-24 10:00:00")
    assert expected != CONFIGURATION
    assert answer.data[7:-2] == expected


def test_no_check_time_is_sent_while_nobody_knows_what_time_it_is() -> None:
    (answer,) = Playbook(session(trusting(), local_time=no_time))(
        (START, "device", RAW["config-request"], sends("cloud_configuration", GridCharge=False)),
    )
    assert isinstance(answer, Send)
    sent = Message.parse(Frame.parse(answer.data)).fields
    trusted = Message.parse(Frame.parse(RAW["config-from-cloud"])).fields
    assert sent == {name: value for name, value in trusted.items() if name != "CheckTime"}


def test_every_check_time_of_a_configuration_is_made_now() -> None:
    memory = Memory()
    memory(SN).trust(CONFIGURATION[:-1] + b',"CheckTime":"2020-01-01 00:00:00"}', SN)
    (answer,) = Playbook(session(memory, local_time=local_time))(
        (START, "device", RAW["config-request"], sends("cloud_configuration")),
    )
    assert isinstance(answer, Send)
    assert answer.data.count(b'"CheckTime":"2021-03-24 10:00:00"') == 2


def test_a_configuration_without_a_check_time_gets_one() -> None:
    fields = Message.parse(Frame.parse(RAW["config-from-cloud"]))
    memory = Memory()
    memory(SN).trust(fields.replace({}, remove=["CheckTime"]).payload, SN)
    Playbook(session(memory, local_time=local_time))(
        (START, "device", RAW["config-request"],
         sends("cloud_configuration", CheckTime="2021-03-24 10:00:00")),
    )  # fmt: skip


def test_a_battery_gets_no_other_batterys_configuration() -> None:
    request = raw_frame(1, 3, b'{"SN":"AL999"}')
    Playbook(session(trusting(), local_time=local_time))(
        (START, "device", request, sends(raw_frame(2, 3, b'{"Status":"Success","SN":"AL999"}'))),
    )


def test_what_a_battery_claims_to_be_its_configuration_is_never_served() -> None:
    play = Playbook(session(local_time=local_time))
    alone = raw_frame(2, 3, b'{"Status":"Success","SN":"AL2002000001234"}')
    play(
        (START, "device", RAW["config-from-battery"],
         keeps("configuration"), dates(ARRIVAL), sends("configuration_reply")),
        (START, "device", RAW["config-from-cloud"],
         keeps("unknown"), dates(ARRIVAL), notes("unknown-message")),
        (START, "device", RAW["config-request"], sends(alone)),
    )  # fmt: skip


def test_a_connection_tells_all_the_serials_that_it_named() -> None:
    cloud = session()
    Playbook(cloud)(
        (START, "device", raw_frame(1, 3, b"{}"), sends(raw_frame(2, 3, b'{"Status":"Success"}')))
    )
    assert not cloud.serials
    for serial in ("AL1", "AL2", "AL1"):
        [item] = items(status(START + OFFSET, serial))
        cloud.receive(item, START)
    assert cloud.serials == ("AL1", "AL2")


def test_a_request_that_names_nobody_gets_success() -> None:
    Playbook(session())(
        (START, "device", raw_frame(1, 3, b"{}"), sends(raw_frame(2, 3, b'{"Status":"Success"}'))),
    )


# SetConfig and SyncTime


def test_set_config_is_an_exchange_of_which_each_step_is_told() -> None:
    play = Playbook(session(memory := trusting(), local_time=local_time))
    play(live(START))
    new = changed("config-from-cloud", GridCharge=True)[7:-2]
    (command,) = play(
        (START + 1, "program", lambda s, now: s.set_config("mine", now, new),
         sends("command", Command="SetConfig", CmdIndex="1")),
    )  # fmt: skip
    assert isinstance(command, Send)
    assert memory[SN].configuration == new
    play(
        live(START + 2),
        (START + 3, "device", acknowledged(command),
         sends(RAW["keep-alive-reply"]), answers("mine", final=False, Command="SetConfig")),
        live(START + 4),
        (START + 5, "device", RAW["config-request"],
         sends("cloud_configuration", GridCharge=True, CheckTime="2021-03-24 10:00:05"),
         answers("mine", final=False, message="configuration_request")),
        (START + 6, "device", RAW["config-from-battery"],
         keeps("configuration"), dates(ARRIVAL), sends("configuration_reply"),
         answers("mine", final=True, message="configuration", seconds=5.0, problem="")),
        (START + 7, "device", RAW["config-from-battery"],
         keeps("configuration"), dates(ARRIVAL), sends("configuration_reply")),
    )  # fmt: skip
    assert play.session.due == float("inf")


def test_the_index_goes_on_from_the_clouds() -> None:
    memory = trusting()
    memory[SN].see_index("82915609")
    Playbook(session(memory))(
        live(START),
        (START, "program", lambda s, now: s.set_config("k", now),
         sends("command", CmdIndex="82915610")),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("steps", "missing"),
    [
        (0, "no command_reply: not in time"),
        (1, "no configuration_request: not in time"),
        (2, "no configuration: not in time"),
    ],
)
def test_an_exchange_that_stops_half_way_is_told_after_a_minute(steps: int, missing: str) -> None:
    play = Playbook(session(trusting()))
    play(live(START))
    (command,) = play((START, "program", lambda s, now: s.set_config("k", now), sends("command")))
    assert isinstance(command, Send)
    for data in (acknowledged(command), RAW["config-request"])[:steps]:
        play.session.receive(items(data)[0], START)
    play((START + STEP_WITHIN, "clock", None, answers("k", message=None, problem=missing)))
    assert play.session.due == float("inf")


def test_the_steps_of_one_battery_are_not_anothers() -> None:
    play = Playbook(session(trusting()))
    play(live(START))
    (command,) = play((START, "program", lambda s, now: s.set_config("k", now), sends("command")))
    assert isinstance(command, Send)
    play(
        (START, "device", raw_frame(1, 3, b'{"SN":"AL2"}'), sends("cloud_configuration")),
        (START, "device", acknowledged(command), sends("keep_alive_reply"), notes("unasked")),
    )


def test_a_configuration_of_another_battery_is_not_taken() -> None:
    play = Playbook(session())
    play(live(START))
    with pytest.raises(ProtocolError, match="no configuration of this battery"):
        play.session.set_config("k", START, changed("config-from-cloud", SN="AL2")[7:-2])  # type: ignore[attr-defined]


def test_what_cannot_be_asked_is_answered_at_once() -> None:
    Playbook(session(local_time=local_time))(
        (START, "program", lambda s, now: s.set_config("k", now),
         answers("k", problem="no battery has told its serial here")),
        (START, "program", lambda s, now: s.sync_time("k", now),
         answers("k", problem="no battery has told its serial here")),
        live(START),
        (START, "program", lambda s, now: s.set_config("k", now),
         answers("k", problem="no configuration of it is trusted")),
    )  # fmt: skip
    Playbook(session(local_time=no_time))(
        live(START),
        (START, "program", lambda s, now: s.sync_time("k", now),
         answers("k", problem="nobody knows what time it is")),
    )  # fmt: skip


def test_only_so_many_commands_are_waited_for() -> None:
    play = Playbook(session(local_time=local_time))
    play(live(START))
    ask = (START, "program", lambda s, now: s.sync_time("k", now))
    play(*[(*ask, sends("command", Command="SyncTime"))] * MOST_WAITING)
    play((*ask, answers("k", problem="too many commands are waited for")))
    given = play.session.poll(START + STEP_WITHIN)
    assert len(given) == MOST_WAITING
    play((*ask, sends("command")))


def test_what_is_still_asked_when_the_connection_ends_is_told() -> None:
    cloud = session(remembering(HOUR))
    for item in items(status(START + OFFSET)):
        cloud.receive(item, START)
    why = "no command_reply: the connection has ended"
    assert cloud.end(START + 5) == [Answer("Resume", None, 5.0, problem=why)]
    assert cloud.end(START + 5) == []


def test_a_clock_that_is_wrong_is_told_to_be_set_once_a_connection() -> None:
    wrong = START + OFFSET + HOUR
    said = [status(wrong + time) for time in range(0, 40, 10)]
    kept = keeps("status"), dates(CORRECTED), sends("status_reply")
    Playbook(session(local_time=local_time, synchronise=True))(
        (START, "device", said[0], *kept, sends("command", Command="SyncTime")),
        (START + 10, "device", said[1], *kept),
        (START + 20, "device", said[2], *kept),
    )


@pytest.mark.parametrize("known_time", [local_time, no_time])
def test_a_clock_that_is_right_or_cannot_be_judged_is_left_alone(known_time: Any) -> None:  # noqa: ANN401
    off = 20 if known_time is local_time else 0
    Playbook(session(local_time=known_time, synchronise=True))(
        (START, "device", status(START + OFFSET + off),
         keeps("status"), dates(CORRECTED), sends("status_reply")),
    )  # fmt: skip


def test_without_a_time_nothing_is_known_of_the_clock() -> None:
    Playbook(session(local_time=local_time, synchronise=True))(
        (START, "device", changed("status-1", Time="nonsense"),
         keeps("status"), dates(ARRIVAL), sends("status_reply")),
    )  # fmt: skip


# The registry


def test_the_registry_gives_the_sessions_and_the_state() -> None:
    alphaess = FAMILIES["alphaess"]
    state = alphaess.state()
    assert isinstance(state, BatteryState)
    assert isinstance(alphaess.state(state.to_state()), BatteryState)
    cloud = alphaess.cloud_session(lambda _serial: state, resume=False)
    assert isinstance(cloud, CloudSession)
    (item,) = items(RAW["status-1"])
    assert len(cloud.receive(item, START)) == 3
    assert len(alphaess.watcher(lambda _serial: state).watch(item, START)) == 2


# Whatever comes

JSON = st.dictionaries(
    st.sampled_from(["SN", "Time", "Status", "CmdIndex", "Command", "UserName", "Password"]),
    st.one_of(
        st.sampled_from([SN, "AL1", "", "2021/03/24 10:01:52", "Success", "1", "2"]),
        st.integers(),
        st.none(),
        st.lists(st.text(max_size=3), max_size=2),
    ),
    max_size=4,
)


def _json(fields: dict[str, Any]) -> bytes:
    from json import dumps

    return dumps(fields).encode()


SAID = st.one_of(
    st.sampled_from(sorted(RAW.values())),
    st.binary(min_size=1, max_size=40),
    st.builds(
        raw_frame,
        st.sampled_from([1, 2]),
        st.one_of(st.sampled_from([0, 2, 3, 4, 5, 8, 9, 12, 16]), st.integers(0, 255)),
        st.one_of(st.just(b""), st.binary(max_size=40), st.builds(_json, JSON)),
    ),
)


def expects_answer(item: Any) -> bool:  # noqa: ANN401 - an item
    """Return whether an item is a request, as the protocol tells."""
    if not isinstance(item, Framed):
        return False
    frame = item.frame
    if frame.direction == 2:
        return bool(frame.command == 8 and frame.payload)
    return frame.command != 8 and bool(frame.payload or frame.command == 0)


@settings(max_examples=300)
@given(
    st.lists(st.tuples(SAID, st.floats(0, 400)), max_size=25),
    st.booleans(),
    st.sampled_from([local_time, no_time]),
)
def test_each_request_is_answered_once_whatever_comes_in_any_order(
    said: list[tuple[bytes, float]],
    synchronise: bool,  # noqa: FBT001 - Hypothesis chooses
    known_time: Any,  # noqa: ANN401 - one of two functions
) -> None:
    cloud = session(trusting(), synchronise=synchronise, local_time=known_time)
    now = START
    for number, (data, later) in enumerate(said):
        now += later
        if number % 5 == 4 and cloud.serial is not None:
            cloud.set_config(number, now)
        for item in items(data):
            actions = cloud.receive(item, now)
            replies = [a for a in actions if isinstance(a, Send) and a.data[1] == 2]
            assert len(replies) == expects_answer(item)
            for reply in replies:
                assert isinstance(item, Framed)
                asked = item.frame
                assert reply.data[2] == (0 if asked.direction == 2 else asked.command)
                behind = actions[actions.index(reply) :]
                assert not any(isinstance(action, Record) for action in behind)
        if now >= cloud.due:
            cloud.poll(now)
        assert cloud.due > now


@pytest.mark.parametrize("kind", ["serials", "acknowledgements", "unknown", "requests"])
def test_a_flood_makes_a_session_remember_no_more(kind: str) -> None:
    cloud = session(Memory())
    for number in range(2000):
        data = {
            "serials": status(START + OFFSET, f"AL{number}"),
            "acknowledgements": raw_frame(2, 8, b'{"CmdIndex":"%d","Status":"Success"}' % number),
            "unknown": raw_frame(1, number % 256, b"%d" % number),
            "requests": raw_frame(1, 3, b'{"SN":"AL%d"}' % number),
        }[kind]
        (item,) = items(data)
        cloud.receive(item, START + number)
    watcher = cloud._watcher
    assert len(watcher._known) <= 16
    assert len(cloud._asked) + len(cloud._waiting) + len(cloud._commands._given) <= 16


def test_notes_and_problems_tell_no_secret() -> None:
    cloud = session(trusting(), local_time=local_time)
    actions = [
        action
        for data in [*sorted(RAW.values()), b'junk "Password":"secret"']
        for item in items(data)
        for action in cloud.receive(item, START)
    ]
    for action in actions:
        if not isinstance(action, Send | Answer):
            assert b"secret" not in repr(action).encode()
        if isinstance(action, Note | Close):
            assert "Example Street" not in repr(action)
