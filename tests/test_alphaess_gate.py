"""What of the cloud's frames may pass to a battery: conversations as tables."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverterproto.alphaess.approval import LONGEST, MOST_TOLD, differences, fingerprint
from inverterproto.alphaess.clock import format_stamp, parse_stamp
from inverterproto.alphaess.frame import FRAMING, Frame
from inverterproto.alphaess.gate import MOST_MINUTES, MOST_OUTSTANDING
from inverterproto.alphaess.state import BatteryState
from inverterproto.families import ALPHAESS
from inverterproto.gate import Gate, Rights
from inverterproto.session import MOST_UNFRAMED, Action, Held, Send
from inverterproto.stream import StreamDecoder
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
from tests.playbook import GatePlaybook, closes, holds, notes, sends
from tests.vectors import CLIENT_HELLO

FILTERS = pytest.mark.parametrize("rights", [Rights.READ_ONLY, Rights.BLOCK])
SUCCESS = b'{"Status":"Success"}'
UNASKED, NO_COMMAND = "it answers no request that is outstanding", "no command may pass"
UNKNOWN_FORM = "not a command in a form that is known"
ASK = RAW["config-request"]
REQUESTS = {
    0: RAW["keep-alive"],
    2: RAW["login"],
    4: RAW["config-from-battery"],
    5: RAW["record"],
    9: RAW["event-log"],
    12: RAW["stored-records"],
    16: RAW["status-1"],
}


def local_time(now: float) -> float:
    return now + OFFSET


def shown(now: float) -> str:
    """Return what CheckTime says when it is made now."""
    return format_stamp(local_time(now)).replace("/", "-")


def gate(rights: Rights = Rights.BLOCK, memory: Memory | None = None, **options: Any) -> Gate:  # noqa: ANN401 - the gate's own
    return ALPHAESS.gate(
        rights, Memory() if memory is None else memory, **{"local_time": local_time, **options}
    )


def play(rights: Rights = Rights.BLOCK, memory: Memory | None = None) -> GatePlaybook:
    return GatePlaybook(gate(rights, memory))


def approved(payload: bytes = CONFIGURATION) -> Memory:
    """Return states in which a configuration is approved."""
    memory = Memory()
    memory(SN).trust(payload, SN)
    return memory


def configuration(now: float = START, **changes: Any) -> bytes:  # noqa: ANN401 - any setting
    """Return the cloud's configuration, its CheckTime made at some time, some settings changed."""
    return changed("config-from-cloud", **{"CheckTime": shown(now), **changes})


def edited(old: bytes, new: bytes, now: float = START) -> bytes:
    """Return the cloud's configuration with some bytes of it replaced."""
    payload = Frame.parse(configuration(now)).payload
    assert old in payload
    return raw_frame(2, 3, payload.replace(old, new, 1))


def command(**fields: Any) -> bytes:  # noqa: ANN401 - any field
    return raw_frame(1, 8, json.dumps(fields).encode())


# What a household needs


@FILTERS
@pytest.mark.parametrize("code", REQUESTS)
def test_success_answers_each_kind_of_request_once(rights: Rights, code: int) -> None:
    answer = raw_frame(2, code, SUCCESS)
    play(rights)(
        (START, "device", REQUESTS[code]),
        (START, "cloud", answer, sends(answer)),
        (START, "cloud", answer, holds(reason=UNASKED)),
    )


@FILTERS
def test_the_fixtures_own_replies_pass_in_their_conversation(rights: Rights) -> None:
    names = ["login", "keep-alive", "stored-records", "status"]
    book = play(rights)
    for name in names:
        request = RAW["status-1" if name == "status" else name]
        book(
            (START, "device", request),
            (START, "cloud", RAW[f"{name}-reply"], sends(RAW[f"{name}-reply"])),
        )


@FILTERS
def test_an_acknowledged_command_is_answered_as_a_keep_alive_is(rights: Rights) -> None:
    answer = raw_frame(2, 0, SUCCESS)
    play(rights)(
        (START, "device", RAW["resume-reply"]),
        (START, "cloud", answer, sends(answer)),
        (START, "cloud", answer, holds(reason=UNASKED)),
    )


@FILTERS
def test_success_alone_answers_a_configuration_request(rights: Rights) -> None:
    answer = raw_frame(2, 3, SUCCESS)
    play(rights)(
        (START, "device", ASK),
        (START, "cloud", answer, sends(answer)),
        (START, "cloud", answer, holds("cloud configuration, 20 bytes", reason=UNASKED)),
    )


@FILTERS
def test_the_answer_of_a_server_without_a_configuration_passes_for_the_asker(
    rights: Rights,
) -> None:
    answer = raw_frame(2, 3, b'{"Status":"Success","SN":"%b"}' % SN.encode())
    others = raw_frame(2, 3, b'{"Status":"Success","SN":"AL2002000001235"}')
    play(rights)(
        (START, "device", ASK),
        (START, "cloud", others, holds()),
        (START, "cloud", answer, sends(answer)),
        (START, "cloud", answer, holds(reason=UNASKED)),
    )


@pytest.mark.parametrize(
    "payload", [b'{ "Status" : "Success" }', SUCCESS + b"\r\n", b"\n" + SUCCESS]
)
def test_a_blank_more_or_less_is_no_matter(payload: bytes) -> None:
    answer = raw_frame(2, 16, payload)
    play()((START, "device", status(START)), (START, "cloud", answer, sends(answer)))


# Replies that do not pass


@FILTERS
@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b'{"Status":"Fail"}',
        b'{"Status":"success"}',
        b'{"Status":"Restart"}',
        b'{"Status":true}',
        b'{"Status":["Success"]}',
        b'{"Status":{"Status":"Success"}}',
        b'{"Status":"Success","Status":"Success"}',
        b'{"Status":"Success","Command":"SetConfig"}',
        b'{"Status":"Success","SN":"AL2002000001234"}',
        b'{"\\u0053tatus":"Success"}',
        b'{"Status":"Succes\\u0073"}',
        b'{"Status":"Success\xff"}',
        b'{"Status":"Success\0"}',
        SUCCESS + b"\0",
        SUCCESS + b"AT+Z\r",
        SUCCESS + SUCCESS,
        SUCCESS + b" " * 60_000,
        b"[" + SUCCESS + b"]",
        b"\xef\xbb\xbf" + SUCCESS,
        CONFIGURATION,
    ],
)
def test_a_reply_that_says_more_or_other_than_success_is_held(
    rights: Rights, payload: bytes
) -> None:
    good, other = raw_frame(2, 16, SUCCESS), raw_frame(2, 16, payload)
    play(rights)(
        (START, "device", status(START)),
        (START, "cloud", other, holds(reason="not Success alone", kind="held", device=SN)),
        (START, "cloud", good, sends(good)),
    )


@FILTERS
@pytest.mark.parametrize(
    ("direction", "code"),
    [(2, 5), (2, 3), (2, 77), (1, 16), (1, 0), (1, 3), (2, 8), (1, 77), (1, 4)],
)
def test_a_reply_to_nothing_and_what_no_cloud_sends_are_held(
    rights: Rights, direction: int, code: int
) -> None:
    unknown_request = raw_frame(1, 77, b"{}")
    play(rights)(
        (START, "device", status(START) + unknown_request),
        (START, "cloud", raw_frame(direction, code, SUCCESS), holds(sender="cloud")),
    )


def test_what_is_held_is_told() -> None:
    play()(
        (START, "device", status(START)),
        (START, "cloud", raw_frame(2, 5, SUCCESS), holds("record reply, 20 bytes")),
        (START, "cloud", raw_frame(1, 77, b"x"),
         holds("a message of direction 1, command 77, 1 bytes")),
    )  # fmt: skip


def test_what_is_held_is_kept_without_passwords() -> None:
    login = RAW["login"]
    (held,) = play()((START, "device", login), (START, "cloud", login, holds("login, 75 bytes")))
    assert isinstance(held, Held)
    assert held.record.masked
    assert b"secret" in login
    assert b"secret" not in held.record.frame
    assert Frame.parse(held.record.frame).payload.startswith(b'{"UserName"')


@FILTERS
def test_damaged_frames_junk_and_tls_are_held(rights: Rights) -> None:
    setting = command(Command="SetConfig", CmdIndex="1")
    book = play(rights)
    book((START, "device", status(START)))
    for run in (setting[:-1] + b"!", b"AT+Z\r", b'{"Status":"Success"}', CLIENT_HELLO, setting[:9]):
        (held,) = [each for each in book.hear(START, run) if isinstance(each, Held)]
        assert held.record.frame == run
        assert held.reason == "no whole frame"
    book((START, "cloud", RAW["status-reply"], sends(RAW["status-reply"])))


@FILTERS
def test_a_command_behind_64_kib_of_junk_never_passes(rights: Rights) -> None:
    setting = command(Command="SetConfig", CmdIndex="1")
    book = play(rights)
    book((START, "device", status(START)))
    actions = book.hear(START, b"\xff" * MOST_UNFRAMED + setting + RAW["status-reply"])
    assert not [action for action in actions if isinstance(action, Send)]
    book((START, "cloud", setting + RAW["status-reply"]))
    assert closes().misfit(actions[-1]) == ""


# Commands


@FILTERS
@pytest.mark.parametrize(
    "fields",
    [
        {"Command": "SetConfig", "CmdIndex": "1"},
        {"Command": "Restart", "CmdIndex": "1"},
        {"Command": "resume", "CmdIndex": "1"},
        {"Command": "Resume"},
        {"CmdIndex": "1"},
        {},
        {"Command": "Resume", "CmdIndex": 1},
        {"Command": "Resume", "CmdIndex": "x"},
        {"Command": "Resume", "CmdIndex": "1\n"},
        {"Command": "Resume", "CmdIndex": "12345678901"},
        {"Command": ["Resume"], "CmdIndex": "1"},
        {"Command": {"Command": "Resume"}, "CmdIndex": "1"},
        {"Command": "SyncTime", "CmdIndex": "1", "Extra": "1"},
        {"Command": "SyncTime", "CmdIndex": "1", "Parameter1": "2021/03/24 10:00:00", "New": "1"},
        {"Command": "SyncTime", "CmdIndex": "1", "Parameter1": "x"},
        {"Command": "SyncTime", "CmdIndex": "1", "Parameter2": "2021/03/24 10:00:00"},
        {"Command": "SyncTime", "CmdIndex": "1", "Parameter1": "2021/03/24 10:10:01"},
        {"Command": "SyncTime", "CmdIndex": "1", "Parameter1": "2021/03/24 09:49:59"},
        {"Command": "Resume", "CmdIndex": "1", "Parameter1": "2021/03/24 09:40:13"},
        {"Command": "Resume", "CmdIndex": "1", "Parameter2": "21"},
        {"Command": "Resume", "CmdIndex": "1", "Parameter1": "nonsense", "Parameter2": "21"},
        {"Command": "Resume", "CmdIndex": "1", "Parameter1": "2021/03/24 09:40:13",
         "Parameter2": "0"},
        {"Command": "Resume", "CmdIndex": "1", "Parameter1": "2021/03/24 09:40:13",
         "Parameter2": "-1"},
        {"Command": "Resume", "CmdIndex": "1", "Parameter1": "2021/03/24 09:40:13",
         "Parameter2": str(MOST_MINUTES + 1)},
        {"Command": "Resume", "CmdIndex": "1", "Parameter1": "2021/02/01 09:40:13",
         "Parameter2": "21"},
        {"Command": "Resume", "CmdIndex": "1", "Parameter1": "2021/03/26 09:40:13",
         "Parameter2": "21"},
        {"Command": "Resume", "CmdIndex": "1", "Parameter1": "2021/03/24 09:40:13",
         "Parameter2": "21", "Parameter3": "1"},
    ],
)  # fmt: skip
def test_a_command_that_sets_or_is_in_no_known_form_is_held(
    rights: Rights, fields: dict[str, Any]
) -> None:
    reason = {} if rights is Rights.READ_ONLY else {"reason": NO_COMMAND}
    play(rights)(
        (START, "device", status(START + OFFSET)),
        (START, "cloud", command(**fields), holds(**reason)),
    )


@FILTERS
@pytest.mark.parametrize(
    "payload",
    [
        b'{"Command":"Resume","CmdIndex":"1","CmdIndex":"1"}',
        b'{"Command":"Resume","Command":"SetConfig","CmdIndex":"1"}',
        b'{"Command":"Resume","CmdIndex":"1"}{"Command":"SetConfig","CmdIndex":"1"}',
        b'{"Command":"Resume","CmdIndex":"1"}\0',
        b'{"Comm\\u0061nd":"Resume","CmdIndex":"1"}',
        b'{"Command":"Resume","CmdIndex":"1"}' + b" " * 300,
        b'["Command","Resume"]',
        b"",
    ],
)
def test_a_command_that_can_be_read_in_two_ways_is_held(rights: Rights, payload: bytes) -> None:
    play(rights)(
        (START, "device", status(START)), (START, "cloud", raw_frame(1, 8, payload), holds())
    )


@pytest.mark.parametrize(
    "read",
    [
        RAW["resume"],
        RAW["sync-time"],
        command(Command="Resume", CmdIndex="7"),
        raw_frame(2, 9, RAW["resume"][7:-2]),
        command(Command="SyncTime", CmdIndex="7", Parameter1="2021/03/24 10:09:59"),
    ],
)
def test_resume_and_sync_time_pass_in_read_only_alone(read: bytes) -> None:
    play(Rights.READ_ONLY)(
        (START, "device", status(START + OFFSET)),
        (START, "cloud", read, sends(read)),
    )
    play(Rights.BLOCK)(
        (START, "device", status(START + OFFSET)), (START, "cloud", read, holds(reason=NO_COMMAND))
    )


def test_a_resume_goes_by_the_batterys_clock_where_that_is_known() -> None:
    memory, years = Memory(), -10 * 365 * 86400
    for ago in (20, 10, 0):
        memory(SN).observe(ago, START - ago + years, START - ago)
    old = {"Command": "Resume", "CmdIndex": "1", "Parameter2": "21"}
    then = command(**old, Parameter1=format_stamp(START + years))
    now = command(**old, Parameter1=format_stamp(START))
    play(Rights.READ_ONLY, memory)(
        (START, "device", status(START + years)),
        (START, "cloud", then, sends(then)),
        (START, "cloud", now, holds(reason="it begins in the future")),
    )


def test_a_command_passes_before_any_battery_is_named() -> None:
    play(Rights.READ_ONLY)(
        (START, "device", RAW["keep-alive"]),
        (START, "cloud", RAW["resume"], sends(RAW["resume"])),
        (START, "cloud", command(Command="SetConfig", CmdIndex="1"),
         holds("SetConfig (the battery would fetch a configuration)", device=None,
               reason="not a command that may only read")),
    )  # fmt: skip


def test_a_fingerprint_tells_settings_from_others_and_not_when_they_came() -> None:
    later = fingerprint(configuration(START + 60)[7:-2])
    assert fingerprint(configuration()[7:-2]) == later
    assert fingerprint(configuration(GridCharge=True)[7:-2]) != later


@FILTERS
def test_set_config_passes_while_what_comes_is_approved_and_nothing_else_then(
    rights: Rights,
) -> None:
    memory = approved()
    memory(SN).approve_for(START + 600)
    setting = command(Command="SetConfig", CmdIndex="1")
    more = command(Command="SetConfig", CmdIndex="1", Parameter1="x")
    other = command(Command="Restart", CmdIndex="1")
    reason = "not a command that may only read" if rights is Rights.READ_ONLY else NO_COMMAND
    play(rights, memory)(
        (START, "device", status(START + OFFSET)),
        (START, "cloud", setting, sends(setting)),
        (START, "cloud", more, holds(reason="not a SetConfig in a form that is known")),
        (START, "cloud", other, holds(reason=reason)),
        (START + 600, "cloud", setting, holds(reason=reason)),
    )


def test_a_time_that_cannot_be_judged_is_held() -> None:
    timed = command(Command="SyncTime", CmdIndex="7", Parameter1="2021/03/24 10:00:00")
    book = GatePlaybook(ALPHAESS.gate(Rights.READ_ONLY, Memory()))
    book(
        (START, "device", status(START)),
        (START, "cloud", timed, holds("SyncTime 2021/03/24 10:00:00")),
        (START, "cloud", RAW["sync-time"], sends(RAW["sync-time"])),
    )


@pytest.mark.parametrize(
    ("fields", "meaning"),
    [
        ({"Command": "Resume", "Parameter1": "2021/03/24 09:40:13", "Parameter2": 21},
         "Resume 2021/03/24 09:40:13, 21"),
        ({"Command": "Resume", "Parameter1": "password"}, "Resume …"),
        ({"Command": "Set Wifi key"}, "a command without a plain name, 27 bytes"),
        ({"Command": 5}, "5"),
    ],
)  # fmt: skip
def test_the_meaning_of_a_command_tells_no_more_than_names_and_times(
    fields: dict[str, Any], meaning: str
) -> None:
    play()((START, "device", status(START)), (START, "cloud", command(**fields), holds(meaning)))


# Configurations


@FILTERS
def test_the_first_configuration_is_taken_as_approved_and_said(rights: Rights) -> None:
    memory, first = Memory(), configuration()
    play(rights, memory)(
        (START, "device", ASK),
        (START, "cloud", first, notes("configuration-approved", device=SN), sends(first)),
        (START + 9, "device", ASK),
        (START + 9, "cloud", configuration(START + 9), sends(configuration(START + 9))),
        (START + 9, "cloud", configuration(START + 9), holds(reason=UNASKED)),
    )
    assert memory(SN).configuration == Frame.parse(first).payload


@FILTERS
def test_a_changed_configuration_is_held_and_the_approved_one_sent_instead(rights: Rights) -> None:
    memory, now = approved(), START + 5
    other = configuration(now, GridCharge=True, TimeChaF2="3", License="X", Address="Elsewhere 1")
    told = "configuration differs: License (not shown) -> (not shown), "
    told += "Address (not shown) -> (not shown), GridCharge false -> true, TimeChaF2 0 -> 3"
    reason = f"it is not approved: inverterproto approve {SN}"
    (held, _) = play(rights, memory)(
        (START, "device", status(START) + RAW["resume-reply"] + ASK),
        (now, "cloud", other, holds(told, reason=reason, device=SN),
         sends(configuration(now))),
    )  # fmt: skip
    assert isinstance(held, Held)
    assert held.record.frame == other
    assert memory(SN).configuration == CONFIGURATION
    assert memory(SN).candidate == Frame.parse(other).payload


def test_what_was_held_passes_once_it_is_approved() -> None:
    memory, other = approved(), configuration(GridCharge=True)
    book = play(memory=memory)
    book(
        (START, "device", ASK),
        (START, "cloud", other, holds(), sends(configuration())),
    )
    assert memory(SN).approve() == Frame.parse(other).payload
    book((START, "device", ASK), (START, "cloud", other, sends(other)))
    book((START, "device", ASK), (START, "cloud", configuration(), holds(), sends(other)))


def test_within_the_time_of_approving_what_the_cloud_sends_is_approved() -> None:
    memory, second, third = (
        approved(),
        configuration(GridCharge=True),
        configuration(GridCharge=True, BatUseCap="5.00"),
    )
    memory(SN).approve_for(START + 600)
    told = f"approved, as asked: the configuration of {SN} is now GridCharge false -> true"
    book = play(memory=memory)
    book(
        (START, "device", ASK + ASK + ASK),
        (START, "cloud", second, notes("configuration-approved", text=told), sends(second)),
        (START, "cloud", second, sends(second)),
        (START + 1, "cloud", third, notes("configuration-approved"), sends(third)),
        (START + 600, "device", ASK),
        (START + 600, "cloud", configuration(START + 600), holds(),
         sends(configuration(START + 600, GridCharge=True, BatUseCap="5.00"))),
    )  # fmt: skip


def test_the_approved_one_again_ends_the_waiting_of_the_other() -> None:
    memory = approved()
    play(memory=memory)(
        (START, "device", ASK + ASK),
        (START, "cloud", configuration(GridCharge=True), holds(), sends(configuration())),
        (START, "cloud", configuration(), sends(configuration())),
    )
    assert memory(SN).candidate is None
    assert memory(SN).approve() is None
    assert memory(SN).configuration == CONFIGURATION


@FILTERS
@pytest.mark.parametrize("minutes", [-600, -11, 11, 600])
def test_a_check_time_far_off_is_held_and_made_now(rights: Rights, minutes: int) -> None:
    memory, stale = approved(), configuration(START + 60 * minutes)
    reason = f"its CheckTime is {minutes:+} minutes off"
    play(rights, memory)(
        (START, "device", ASK),
        (START, "cloud", stale, holds("the approved configuration", reason=reason),
         sends(configuration())),
    )  # fmt: skip
    assert memory(SN).candidate is None


def test_a_first_configuration_with_a_stale_check_time_is_sent_with_the_right_one() -> None:
    play()(
        (START, "device", ASK),
        (START, "cloud", configuration(START - 700), holds(), notes("configuration-approved"),
         sends(configuration())),
    )  # fmt: skip


@pytest.mark.parametrize("minutes", [-10, 10])
def test_a_check_time_ten_minutes_off_passes(minutes: int) -> None:
    near = configuration(START + 60 * minutes)
    play(memory=approved())((START, "device", ASK), (START, "cloud", near, sends(near)))


def test_without_a_clock_no_check_time_passes() -> None:
    book = GatePlaybook(ALPHAESS.gate(Rights.BLOCK, approved()))
    (_, instead) = book(
        (START, "device", ASK),
        (START, "cloud", configuration(), holds(), sends("cloud_configuration")),
    )
    assert isinstance(instead, Send)
    assert b"CheckTime" not in instead.data
    assert b'"GridCharge":false' in instead.data


def test_without_a_check_time_there_is_none_to_judge() -> None:
    bare = edited(f'"CheckTime":"{shown(START)}",'.encode(), b"")
    play(memory=approved())((START, "device", ASK), (START, "cloud", bare, sends(bare)))


CHECK = f'"CheckTime":"{shown(START)}"'.encode()
ODD = {
    "a key stands twice": edited(b'"Fan":false', b'"Fan":false,"GridCharge":true'),
    "a second CheckTime": edited(CHECK, CHECK + b',"CheckTime":"2001-01-01 00:00:00"'),
    "a second serial": edited(b'"Fan":false', b'"Fan":false,"SN":"AL2002000001234"'),
    "another serial": edited(SN.encode(), b"AL2002000009999"),
    "no serial": edited(b'"SN":"AL2002000001234",', b""),
    "another status": edited(b'"Status":"Success"', b'"Status":"Fail"'),
    "no settings": raw_frame(2, 3, b'{"SN":"AL2002000001234","Status":"Success"}'),
    "no JSON": raw_frame(2, 3, b"GridCharge=1"),
    "nothing": raw_frame(2, 3),
    "bytes behind it": raw_frame(2, 3, Frame.parse(configuration()).payload + b"{}"),
    "NUL behind it": raw_frame(2, 3, Frame.parse(configuration()).payload + b"\0"),
    "not UTF-8": edited(b'"Address":"1 Example', b'"Address":"\xff Example'),
    "a key with escapes": edited(b'"GridCharge":', b'"Grid\\u0043harge":'),
    "too long": edited(b'"Address":"', b'"Address":"' + b"x" * LONGEST),
    "nested": raw_frame(2, 3, b"[" + Frame.parse(configuration()).payload + b"]"),
}


@FILTERS
@pytest.mark.parametrize("name", ODD)
def test_a_configuration_that_can_be_read_in_two_ways_is_never_approved(
    rights: Rights, name: str
) -> None:
    memory = Memory()
    play(rights, memory)(
        (START, "device", ASK),
        (START, "cloud", ODD[name], holds()),
        (START, "cloud", configuration(), notes("configuration-approved"), sends(configuration())),
        (START, "device", ASK),
        (START, "cloud", ODD[name], holds(), sends(configuration())),
        (START, "cloud", configuration(), holds(reason=UNASKED)),
    )
    assert memory(SN).candidate is None
    memory(SN).approve_for(START + 10)
    play(rights, memory)(
        (START, "device", ASK), (START, "cloud", ODD[name], holds(), sends(configuration()))
    )


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (b'"GridCharge":false', b'"GridCharge":"false"', "GridCharge false -> false"),
        (b'"GridCharge":false,', b"", "GridCharge false -> (none)"),
        (b'"Fan":false', b'"Fan":false,"CHA_CHA1Start":"2"', "CHA_CHA1Start (none) -> 2"),
        (b'"Fan":false', b'"Fan":false,"New":"secret"', "New (none) -> (not shown)"),
        (b'"Fan":false', b'"Fan":false,"WifiPassword":"1234"',
         "WifiPassword (none) -> (not shown)"),
        (b'"NetType":"E_Linker"', b'"NetType":"WPA2PSK,AES,hunter2"',
         "NetType E_Linker -> (not shown)"),
        (b'"Fan":false', b'"Fan":false,"A b":""', 'a key of 3 characters (none) -> ""'),
        (b'"Fan":false', b'"Fan":false,"New":[1]', "New (none) -> (not shown)"),
        (b'"Minv":"Storion-GINLANG-S5"', b'"Minv":"a\x1bb"',
         "Minv Storion-GINLANG-S5 -> (not shown)"),
        (b'"GridCharge":false,"BatHighCap":"100.00"', b'"BatHighCap":"100.00","GridCharge":false',
         "the keys stand in another order"),
        (CHECK, b'"CheckTime":5', None),
        (CHECK, b'"CheckTime":"2021-03-24T10:00:00"', None),
        (CHECK, b'"CheckTime":"2021-13-24 10:00:00"', None),
    ],
)  # fmt: skip
def test_every_change_is_seen_and_told_without_secrets(
    old: bytes, new: bytes, told: str | None
) -> None:
    meaning = "the approved configuration" if told is None else f"configuration differs: {told}"
    play(memory=approved())(
        (START, "device", ASK),
        (START, "cloud", edited(old, new), holds(meaning), sends(configuration())),
    )


def test_of_many_changes_the_number_is_told() -> None:
    many = {f"Key{number}": number for number in range(MOST_TOLD + 5)}
    before = b'{"Status":"Success"}'
    after = json.dumps({"Status": "Success", **many}).encode()
    changes = differences(before, after)
    assert changes[:2] == ["Key0 (none) -> 0", "Key1 (none) -> 1"]
    assert changes[MOST_TOLD:] == ["and 5 more"]
    assert differences(before, before) == []


def test_a_repeated_key_of_an_approved_configuration_is_told_by_its_number() -> None:
    before, after = b'{"A":1,"A":2}', b'{"A":1,"A":3}'
    assert differences(before, after) == ["A#2 2 -> 3"]


@FILTERS
def test_a_configuration_for_nobody_or_for_who_is_not_wanted_is_held(rights: Rights) -> None:
    first = configuration()
    play(rights)(
        (START, "device", raw_frame(1, 3, b"{}")),
        (START, "cloud", first, holds(reason="whose configuration it is, is not known here")),
    )
    book = GatePlaybook(ALPHAESS.gate(rights, lambda _serial: None, local_time=local_time))
    book(
        (START, "device", ASK),
        (START, "cloud", first, holds(device=None)),
        (START, "device", status(START)),
        (START, "cloud", RAW["status-reply"], sends(RAW["status-reply"])),
    )


def test_who_asks_without_a_name_is_who_was_named_last() -> None:
    first = configuration()
    play()(
        (START, "device", status(START) + raw_frame(1, 3, b"{}")),
        (START, "cloud", first, notes("configuration-approved"), sends(first)),
    )


@FILTERS
@pytest.mark.parametrize("payload", [b"{}", b'{"SN":"AL2002000009999"}'], ids=["nobody", "unknown"])
def test_who_asks_and_is_not_known_is_in_nobodys_way(rights: Rights, payload: bytes) -> None:
    first, memory = configuration(), Memory()
    book = GatePlaybook(
        ALPHAESS.gate(rights, lambda sn: memory(sn) if sn == SN else None, local_time=local_time)
    )
    book(
        (START, "device", raw_frame(1, 3, payload) + ASK * 2),
        (START, "cloud", first, notes("configuration-approved"), sends(first)),
        (START, "cloud", first, sends(first)),
        (START, "cloud", first, holds(reason="whose configuration it is, is not known here")),
    )


# Bounds


def test_so_many_requests_of_a_kind_are_remembered() -> None:
    for request, answer in ((status(START), RAW["status-reply"]), (ASK, raw_frame(2, 3, SUCCESS))):
        book = play()
        book((START, "device", request * (MOST_OUTSTANDING + 1)))
        book(*[(START, "cloud", answer, sends(answer))] * MOST_OUTSTANDING)
        book((START, "cloud", answer, holds(reason=UNASKED)))


# Whatever the cloud sends

_PAYLOADS = st.sampled_from(
    [
        SUCCESS,
        Frame.parse(configuration()).payload,
        *[Frame.parse(each).payload for each in ODD.values()],
        Frame.parse(configuration(GridCharge=True)).payload,
        Frame.parse(configuration(START - 3600)).payload,
        RAW["resume"][7:-2],
        b'{"Status":"Fail"}',
    ]
)


@st.composite
def sendings(draw: st.DrawFn) -> bytes:
    """Give what a cloud may send: frames of all kinds, some damaged, and anything."""
    payload = bytearray(draw(_PAYLOADS))
    if payload and draw(st.booleans()):
        payload[draw(st.integers(0, len(payload) - 1))] = draw(st.integers(0, 255))
    code = draw(st.sampled_from([0, 2, 3, 3, 3, 4, 5, 8, 9, 12, 16, 77]))
    framed = bytearray(raw_frame(draw(st.sampled_from([1, 2, 2, 2])), code, bytes(payload)))
    if draw(st.integers(0, 5)) == 0:
        framed[draw(st.integers(0, len(framed) - 1))] ^= draw(st.integers(0, 255))
    return draw(st.one_of(st.just(bytes(framed)), st.just(bytes(framed)), st.binary(max_size=40)))


def settings(payload: bytes) -> list[tuple[str, str]]:
    """Return what a configuration sets, by a parser of others, CheckTime aside."""
    pairs = json.loads(payload, parse_int=str, object_pairs_hook=list)
    return [(key, repr(value)) for key, value in pairs if key != "CheckTime"]


@given(
    st.lists(st.sampled_from([*REQUESTS, 3, 3, 3])), st.lists(sendings(), max_size=12),
    st.integers(1, 4000),
)  # fmt: skip
def test_whatever_a_cloud_sends_only_success_and_the_approved_configuration_pass(
    asked: list[int], sent: list[bytes], size: int
) -> None:
    closed, data, outstanding = gate(memory=approved()), b"".join(sent), [*asked]
    for code in asked:
        for item in items(REQUESTS.get(code, ASK)):
            closed.device_said(item, START)
    decoder = StreamDecoder(FRAMING)
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    actions: list[Action] = []
    for item in [item for chunk in chunks for item in decoder.feed(chunk)] + decoder.flush():
        actions += closed.cloud_said(item, START)
    for action in actions:
        if not isinstance(action, Send):
            continue
        passed = Frame.parse(action.data)
        assert passed.direction == 2
        outstanding.remove(passed.command)
        if passed.payload == SUCCESS:
            continue
        assert passed.command == 3
        assert settings(passed.payload) == settings(CONFIGURATION)
        stamp = parse_stamp(json.loads(passed.payload)["CheckTime"].replace("-", "/"))
        assert stamp is not None
        assert abs(stamp - local_time(START)) <= 600


def test_states_are_saved_with_what_was_held() -> None:
    memory, other = approved(), configuration(GridCharge=True)
    play(memory=memory)(
        (START, "device", ASK), (START, "cloud", other, holds(), sends(configuration()))
    )
    again = BatteryState.from_state(json.loads(json.dumps(memory(SN).to_state())))
    assert again.approve() == again.configuration == Frame.parse(other).payload
