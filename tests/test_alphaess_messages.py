"""What AlphaESS frames say: every message, both ways; then what nobody ever saw."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverterproto.alphaess.clock import parse_stamp
from inverterproto.alphaess.commands import (
    acknowledge,
    keep_alive,
    login,
    reply,
    request_configuration,
    resume,
    set_config,
    sync_time,
)
from inverterproto.alphaess.frame import Frame, header_fields
from inverterproto.alphaess.messages import TYPES, Message, build, build_payload, code_of
from inverterproto.alphaess.typed import Status, decode
from inverterproto.errors import FieldError, ProtocolError
from inverterproto.layout import Row
from inverterproto.private import Private
from inverterproto.reading import TimeSource
from tests.vectors import fixtures

RAW = fixtures("alphaess")
VALID = sorted(RAW.keys() - {"bad-crc"})
SN = "AL2002000001234"


def frame(name: str) -> Frame:
    return Frame.parse(RAW[name])


def message(name: str) -> Message:
    return Message.parse(frame(name))


def made(direction: int, command: int, payload: bytes | str) -> Message:
    """Return the message of a frame that nobody sent."""
    raw = payload.encode() if isinstance(payload, str) else payload
    return Message.parse(Frame(1, direction, command, raw))


def status(**changes: object) -> Message:
    """Return a status with some values changed; those that are `...` are left out."""
    values = {**json.loads(frame("status-1").payload), **changes}
    return made(1, 16, json.dumps({key: v for key, v in values.items() if v is not ...}))


# Names and senders


def test_every_known_message_has_a_name_of_its_own() -> None:
    names = [entry.name for entry in TYPES.values()]
    assert len(names) == len(set(names)) == 18
    assert all(code_of(entry.name) == code for code, entry in TYPES.items())


def test_requests_come_from_the_device_and_commands_from_the_cloud() -> None:
    assert [(made(d, 8, "{}").name, made(d, 8, "{}").sender) for d in (1, 2)] == [
        ("command", "cloud"),
        ("command_reply", "device"),
    ]
    assert (made(1, 16, "").sender, made(2, 16, "").sender) == ("device", "cloud")


def test_a_command_nobody_knows_is_read_all_the_same() -> None:
    found = made(1, 77, '{"SN":"AL2","Ppv1":"5","New":"6"}')
    assert (found.name, found.sender, found.device) == ("unknown", None, "AL2")
    assert found.fields == {"SN": "AL2", "Ppv1": 5, "New": "6"}
    assert found.records() == []
    assert found.problems == made(1, 77, "").problems == ()
    assert made(1, 77, b"\x00\xff").fields == {"raw": "00ff"}


def test_a_resume_under_the_head_that_v_wrote_down_is_a_command() -> None:
    found = made(2, 9, frame("resume").payload)
    assert (found.name, found.sender) == ("command", "cloud")
    assert made(2, 9, '{"Status":"Success"}').name == "event_log_reply"


def test_a_name_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(FieldError, match=r"no known message.*status_reply"):
        code_of("nonsense")


def test_a_message_shows_itself_briefly() -> None:
    assert repr(message("status-1")) == "Message(status, 267 bytes)"
    assert Message(frame("status-1")).name == "status"


# Devices and times


@pytest.mark.parametrize("serial", ["", "a\nb", "ß", "x" * 65, 5, None, ["AL2"]])
def test_what_cannot_be_a_serial_names_no_device(serial: object) -> None:
    found = made(1, 16, json.dumps({"SN": serial, "SOC": "5"}))
    assert found.device is None
    assert [record.device for record in found.records()] == [None]


def test_the_stamp_is_the_batterys_own_naive_time() -> None:
    assert message("status-1").stamp == parse_stamp("2021/03/24 10:01:52")
    assert message("record").stamp == parse_stamp("2021/03/24 10:02:40")
    assert message("login").stamp is None
    assert message("stored-records").stamp is None


def test_a_time_that_is_none_is_a_problem_and_the_values_still_count() -> None:
    for time in ("", "2021/02/30 10:00:00", "yesterday", 5, ...):
        found = status(Time=time)
        assert found.problems == ("Time: no date that can be read",)
        (record,) = found.records()
        assert record.stamp is None
        assert record.values["state_of_charge"] == 33.2


def test_a_reading_of_one_message_alone_has_no_time() -> None:
    (reading,) = message("status-1").readings()
    assert (reading.time, reading.time_source) == (None, TimeSource.UNKNOWN)
    assert (reading.family, reading.kind, reading.via) == ("alphaess", "status", None)


# What goes wrong


def test_broken_json_is_kept_whole_and_measures_nothing() -> None:
    found = made(1, 16, '{"SN":""AL2","SOC":"5"}')
    assert found.fields == {"text": '{"SN":""AL2","SOC":"5"}'}
    assert found.problems == ("payload: broken JSON at offset 8: expected a comma or }, found 'A'",)
    assert (found.records(), found.device, found.typed, found.stamp) == ([], None, None, None)


def test_a_payload_that_is_no_utf_8_is_kept_as_latin_1() -> None:
    found = made(1, 16, b"caf\xe9")
    assert found.fields == {"text": "café"}
    assert found.problems[1:] == ("payload is not UTF-8: read as Latin-1",)
    assert found.replace({}) == found.frame


def test_an_empty_payload_is_a_problem_where_one_is_expected() -> None:
    assert made(1, 0, "").problems == ()
    assert made(1, 16, "").problems == ("empty payload",)
    assert made(1, 16, "").fields == {}


def test_impossible_values_stay_in_the_fields_and_are_told() -> None:
    found = status(SOC="133.2")
    assert found.fields["SOC"] == 133.2
    assert found.problems == ("state_of_charge: 133.2 % is outside 0 to 100",)
    assert "state_of_charge" not in found.records()[0].values


def test_only_what_a_battery_itself_says_is_measured() -> None:
    assert message("config-from-cloud").records() == []
    assert message("config-from-cloud").fields["Poinv"] == 4.6
    assert made(2, 16, frame("status-1").payload).records() == []


# The event log


def test_events_that_are_none_are_told_and_the_others_read() -> None:
    content = "21/03/24 10:01:40 41; ;21/13/24 10:01:40 41;nonsense;21/03/24 10:00:46 42"
    found = made(1, 9, json.dumps({"MsgType": "EventLog", "MsgContent": content}))
    assert [event["code"] for event in found.fields["events"]] == [41, 42]
    assert found.problems == (
        "event 2: not understood: '21/13/24 10:01:40 41'",
        "event 3: not understood: 'nonsense'",
    )


def test_a_socket_message_is_kept_as_it_is() -> None:
    fields = {"MsgType": "Socket", "MsgContent": "21/03/24 10:01:40 41;", "Description": "OK"}
    assert made(1, 9, json.dumps(fields)).fields == fields


@pytest.mark.parametrize("content", ["System is restart", "reason:!MAC:02 00!", 5, None])
def test_a_restart_without_reason_and_mac_has_none(content: object) -> None:
    fields = {"MsgType": "System", "MsgContent": content}
    assert made(1, 9, json.dumps(fields)).fields == fields


def test_what_is_read_out_of_the_text_is_changed_there() -> None:
    found = message("event-log")
    changed = Message.parse(found.replace({"MsgContent": "21/03/24 11:00:00 7;"}))
    assert changed.fields["events"] == [{"time": "2021-03-24 11:00:00", "code": 7}]
    assert b"events" not in changed.frame.payload
    with pytest.raises(FieldError, match="is read out of MsgContent"):
        found.replace({"events": []})
    with pytest.raises(FieldError, match="is read out of MsgContent"):
        build("event_log", {"events": []})


def test_a_key_of_the_payload_with_a_name_of_ours_is_the_payloads() -> None:
    payload = '{"events":"x","MsgType":"EventLog","MsgContent":"21/03/24 10:01:40 41;"}'
    found = made(1, 9, payload)
    assert found.fields["events"] == "x"
    assert found.replace({}).payload == payload.encode()
    assert b'"events":"y"' in found.replace({"events": "y"}).payload


# Changing and building


def test_a_changed_field_changes_only_its_own_bytes() -> None:
    found = message("config-from-cloud")
    changed = found.replace({"GridCharge": True, "TimeChaF2": 2, "BatHighCap": 95})
    before, after = found.frame.payload, changed.payload
    assert after == (
        before.replace(b'"GridCharge":false', b'"GridCharge":true')
        .replace(b'"TimeChaF2":"0"', b'"TimeChaF2":"2"')
        .replace(b'"BatHighCap":"100.00"', b'"BatHighCap":"95"')
    )
    assert Frame.parse(changed.build()) == changed


def test_fields_are_added_and_removed() -> None:
    changed = message("sync-time").replace({"Parameter1": "x"}, remove=["CmdIndex"])
    assert changed.payload == b'{"Command":"SyncTime","Parameter1":"x"}'


def test_messages_are_built_by_name_as_their_senders_write_them() -> None:
    assert build("configuration", {"Poinv": 4.6, "Fan": False}).payload == (
        b'{"Poinv":"4.6","Fan":"False"}'
    )
    assert build("cloud_configuration", {"Poinv": 4.6, "Fan": False, "EmsLanguage": 0}) == Frame(
        1, 2, 3, b'{"Poinv":"4.6","Fan":false,"EmsLanguage":0}'
    )
    assert build("keep_alive", {}) == Frame(1, 1, 0, b"")
    assert build("status", {}).payload == b"{}"


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "no JSON"},
        {"text": '{"a":1}'},
        {"text": ""},
        {"text": 5},
        {"text": "\x00"},
        {"text": "a", "more": "b"},
        {"raw": "00ff"},
        {"raw": "61"},
        {"raw": "no hex"},
        {"raw": 5},
    ],
)
@pytest.mark.parametrize("command", [16, 12, 77])
def test_what_is_not_json_is_built_too(fields: dict[str, Any], command: int) -> None:
    if fields == {"text": "no JSON"} and command == 12:
        return  # there it is a table
    payload = build_payload(1, command, fields)
    assert made(1, command, payload).fields == fields


def test_another_text_takes_the_place_of_what_could_not_be_read() -> None:
    found = made(1, 16, "no JSON")
    assert found.replace({"text": "nor this"}).payload == b"nor this"
    assert build_payload(1, 16, {"SOC": 5}, onto=b"no JSON") == b'{"SOC":"5"}'
    assert build_payload(1, 16, {"SOC": 5}, onto=b"") == b'{"SOC":"5"}'


# Replies and commands


@pytest.mark.parametrize(
    ("request_name", "reply_name"),
    [
        ("keep-alive", "keep-alive-reply"),
        ("login", "login-reply"),
        ("stored-records", "stored-records-reply"),
        ("status-1", "status-reply"),
        ("resume-reply", "keep-alive-reply"),
    ],
)
def test_the_replies_are_those_that_the_cloud_gave(request_name: str, reply_name: str) -> None:
    assert reply(frame(request_name)).build() == RAW[reply_name]


def test_a_configuration_request_is_answered_with_what_is_given() -> None:
    assert reply(frame("config-request"), SN=SN) == Frame(
        1, 2, 3, b'{"Status":"Success","SN":"AL2002000001234"}'
    )
    whole = message("config-from-cloud").fields
    assert Message.parse(reply(frame("config-request"), **whole)).fields == whole
    assert b'"EmsLanguage":0,' in reply(frame("config-request"), **whole).payload


def test_a_command_nobody_knows_is_answered_too() -> None:
    assert reply(Frame(1, 1, 77, b"x")) == Frame(1, 2, 77, b'{"Status":"Success"}')


@pytest.mark.parametrize("name", ["status-reply", "resume", "config-from-cloud"])
def test_what_is_no_request_of_a_battery_gets_no_reply(name: str) -> None:
    with pytest.raises(ProtocolError, match="no request of a battery"):
        reply(frame(name))


def test_the_known_commands_are_built_as_they_were_seen() -> None:
    since = parse_stamp("2021/03/24 09:40:13")
    assert resume("82915609", since, 21).build() == RAW["resume"]
    assert sync_time(20417060).build() == RAW["sync-time"]
    assert set_config(7).payload == b'{"Command":"SetConfig","CmdIndex":"7"}'
    assert resume(7).payload == b'{"CmdIndex":"7","Command":"Resume"}'


def test_what_a_battery_sends_first_is_built_as_it_was_seen() -> None:
    assert login(SN, "secret").build() == RAW["login"]
    assert keep_alive().build() == RAW["keep-alive"]
    assert request_configuration(SN).build() == RAW["config-request"]


def test_a_command_is_acknowledged_as_it_was_seen() -> None:
    assert acknowledge(frame("resume")).build() == RAW["resume-reply"]
    assert acknowledge(made(1, 8, "no JSON").frame, "Fail").payload == (
        b'{"Command":"","CmdIndex":"","Status":"Fail"}'
    )
    with pytest.raises(ProtocolError, match="no command"):
        acknowledge(frame("status-1"))


# The typed status


def test_a_real_status_is_typed_with_the_same_values_as_its_fields() -> None:
    for name in ("status-1", "status-2", "status-3"):
        found = message(name)
        assert isinstance(found.typed, Status)
        assert found.typed is found.typed
        assert {key: getattr(found.typed, key) for key in found.fields} == found.fields
        assert found.device == SN


@pytest.mark.parametrize("name", sorted(set(VALID) - {"status-1", "status-2", "status-3"}))
def test_other_messages_are_not_typed(name: str) -> None:
    assert message(name).typed is None


@pytest.mark.parametrize(
    "changes",
    [
        {"SOC": ...},
        *({"SOC": value} for value in ("", "nan", "-inf", "1e400", "9" * 30, "007", None, True)),
        *({"SOC": value} for value in ("1e16", 10**16, [1], {"a": 1})),
        {"SN": 5},
    ],
)
def test_a_status_out_of_the_ordinary_is_not_typed_but_read(changes: dict[str, object]) -> None:
    found = status(**changes)
    assert found.typed is None
    assert found.fields["Ppv1"] == 1250


def test_a_status_with_more_keys_is_typed_without_them() -> None:
    assert status(New="x").typed.SOC == 33.2
    deep = frame("status-1").payload[:-1] + b',"New":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert made(1, 16, deep).typed is None


numbers = st.integers(-(10**15), 10**15) | st.floats(-1e15, 1e15)
odd = st.sampled_from(
    ["nan", "NAN", "Inf", "infinity", "", " 1", "1 ", "+1", "1.", ".1", "00", "-"]
)
tokens = numbers | numbers.map(str) | odd | st.none() | st.booleans() | st.floats().map(str)


@given(st.dictionaries(st.sampled_from(sorted(message("status-1").fields)), tokens, max_size=4))
def test_where_a_status_is_typed_it_says_what_its_fields_say(changes: dict[str, Any]) -> None:
    found = status(**changes)
    if found.typed is None:
        return
    shown = {key: getattr(found.typed, key) for key in found.fields}
    assert json.dumps(shown) == json.dumps(found.fields)


def test_the_last_of_a_repeated_key_counts_in_either_way() -> None:
    payload = frame("status-1").payload[:-1] + b',"SOC":"44"}'
    found = made(1, 16, payload)
    assert found.typed.SOC == 44
    assert found.records()[0].values["state_of_charge"] == 44
    assert found.fields["SOC#2"] == 44
    assert decode(found.frame).SOC == 44


# Rows


def rows(found: Message) -> list[Row]:
    return list(found.rows(found.frame.build()))


@pytest.mark.parametrize("name", VALID)
def test_every_row_is_in_its_place(name: str) -> None:
    raw = RAW[name]
    shown = list(message(name).rows(raw))
    assert all(raw[row.offset : row.offset + len(row.raw)] == row.raw for row in shown)
    assert [row.field.name for row in shown[:4]] == ["version", "direction", "command", "length"]
    assert shown[-1].field.name == "crc"
    envelope = {row.field.name: row.value for row in (*shown[:4], shown[-1])}
    assert envelope == header_fields(raw)
    assert [row.offset for row in shown] == sorted(row.offset for row in shown)


def test_rows_tell_value_unit_and_meaning() -> None:
    shown = {row.field.name: row for row in rows(message("status-1"))}
    assert [name for name in shown if name in message("status-1").fields] == list(
        message("status-1").fields
    )
    row = shown["PmeterL1"]
    assert (row.raw, row.value, row.field.symbol) == (b"0", 0, "W")
    assert "import" in row.field.meaning
    assert shown["SN"].field.private is Private.SERIAL
    bare = {row.field.name: row.raw for row in rows(message("config-from-cloud"))}
    assert bare["GridCharge"] == b"false"
    assert bare["Channel1"] == b""


def test_repeated_and_unknown_keys_have_rows() -> None:
    found = made(1, 4, '{"Generator":"0","Generator":false,"New":[1]}')
    shown = {row.field.name: row for row in rows(found)}
    assert shown["Generator#2"].value is False
    assert shown["Generator#2"].field.source == "V, D"
    assert (shown["New"].raw, shown["New"].field.confidence) == (b"[1]", "C")


def test_rows_of_a_table_are_cell_by_cell() -> None:
    found = made(1, 12, "Date,SN,SOC\r\n\n2021/03/24,AL2,5,x\n")
    shown = [(row.field.name, row.raw, row.value) for row in rows(found)[4:-1]]
    assert shown == [
        ("columns", b"Date,SN,SOC", ["Date", "SN", "SOC"]),
        ("Date", b"2021/03/24", "2021/03/24"),
        ("SN", b"AL2", "AL2"),
        ("SOC", b"5", 5),
        ("unknown_4", b"x", "x"),
    ]
    assert [row.field.name for row in rows(made(1, 12, "a,b"))[4:-1]] == ["unknown_1", "unknown_2"]


@pytest.mark.parametrize("name", VALID)
def test_what_is_private_has_a_row_that_says_so(name: str) -> None:
    # All stand-ins for private values in the fixtures.
    secrets = [SN, "secret", "ABCDEF0123456789", "1 Example Street", "0123456789", "2012050000"]
    secrets += ["5000000000012345", "02 00 00 A1 B2 C3", "Australia"]
    raw = bytearray(RAW[name])
    for row in message(name).rows(RAW[name]):
        if row.field.private is not None:
            raw[row.offset : row.offset + len(row.raw)] = b"*" * len(row.raw)
    assert [secret for secret in secrets if secret.encode() in raw] == []


def test_what_could_not_be_read_is_a_row_with_its_private_parts_behind_it() -> None:
    found = message("malformed-json")
    text, *private = rows(found)[4:-1]
    assert (text.field.name, text.raw) == ("text", found.frame.payload)
    assert [(row.field.name, row.raw, row.value, row.field.private) for row in private] == [
        ("SN", SN.encode(), SN, Private.SERIAL),
        ("Address", b"x", "x", Private.ADDRESS),
        ("ZipCode", b"x", "x", Private.ADDRESS),
    ]
    (binary,) = rows(made(1, 77, b"\x00\x01"))[4:-1]
    assert (binary.field.name, binary.value) == ("raw", "0001")
    assert len(rows(made(1, 0, ""))) == 5


# Properties

frames = st.builds(
    Frame,
    st.just(1),
    st.integers(1, 2),
    st.sampled_from([0, 2, 3, 4, 5, 8, 9, 12, 16, 77]),
    st.binary(max_size=60)
    | st.text('{}[]":,SNOC01.\n #', max_size=40).map(str.encode)
    | st.sampled_from([frame(name).payload for name in VALID]),
)


@given(frames)
def test_any_frame_says_something_and_builds_to_itself(any_frame: Frame) -> None:
    found = Message.parse(any_frame)
    assert json.dumps(found.fields)
    assert isinstance(found.device, str | None)
    assert all(isinstance(problem, str) for problem in found.problems)
    assert found.typed is None or found.name == "status"
    raw = any_frame.build()
    assert all(raw[r.offset : r.offset + len(r.raw)] == r.raw for r in found.rows(raw))
    assert [reading.values for reading in found.readings()] == [r.values for r in found.records()]
    assert found.replace({}) == any_frame
    if found.fields == {"columns": [], "rows": []}:
        return  # blank lines: nothing that could be written
    payload = build_payload(any_frame.direction, any_frame.command, found.fields)
    again = Message.parse(replace(any_frame, payload=payload))
    assert again.fields == found.fields or again.name != found.name


def test_a_payload_of_blanks_has_no_rows_and_builds_to_none() -> None:
    found = made(1, 12, "  \r\n ")
    assert found.fields == {"columns": [], "rows": []}
    assert "no header line" in found.problems


def test_a_restart_reason_of_thousands_of_digits_stays_text() -> None:
    text = f"System is restart, reason:{'9' * 5000}!"
    found = made(1, 9, json.dumps({"MsgType": "System", "MsgContent": text}))
    assert "restart_reason" not in found.fields
    assert found.fields["MsgContent"] == text
