"""What V5 frames say: every message on real bytes, both ways; then what nobody ever saw."""

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inverterproto.checksum import crc16_modbus
from inverterproto.decoding import plain
from inverterproto.deye import modbus
from inverterproto.deye.bodies import (
    AT_INTERIM_KIND,
    AT_KIND,
    COMMAND,
    COMMAND_REPLY,
    INTERIM_REPLY,
    MODBUS_KIND,
    POWER_KIND,
)
from inverterproto.deye.commands import command, reply
from inverterproto.deye.dating import Stamp
from inverterproto.deye.frame import ENVELOPE, Frame
from inverterproto.deye.layouts import MODULES, layout_of
from inverterproto.deye.messages import (
    DATA,
    HANDSHAKE,
    HEARTBEAT,
    REPORT,
    TYPES,
    WIFI,
    Message,
    build_payload,
    is_request,
)
from inverterproto.errors import FieldError, ProtocolError
from inverterproto.reading import TimeSource
from tests.vectors import FIXTURES, VALID, frame

LOGGER = 2712345678
ARRIVAL = int(datetime.fromisoformat("2024-04-08T17:14:03+00:00").timestamp())


def message(name: str) -> Message:
    return Message.parse(frame(name))


def made(message_type: int, payload: bytes | str, sequence: tuple[int, int] = (1, 2)) -> Message:
    """Return the message of a frame that nobody sent."""
    data = bytes.fromhex(payload) if isinstance(payload, str) else payload
    return Message.parse(Frame(message_type << 8 | 0x10, sequence, LOGGER, data))


def sealed(text: str) -> bytes:
    """Return the bytes of a Modbus message in hex with their CRC behind them."""
    data = bytes.fromhex(text)
    return data + crc16_modbus(data).to_bytes(2, "little")


# Real frames, in all their fields

TIMES = ("total_working_time", "power_on_time", "offset_time")


def times(*values: int) -> dict[str, int]:
    return dict(zip(TIMES, values, strict=True))


INTERVALS = {
    "upload_interval_minutes": 5,
    "collect_interval_seconds": 60,
    "heartbeat_interval_seconds": 120,
    "max_connected_devices": 1,
}
NO_TIMES = times(0, 0, 0)

FIELDS: dict[str, dict[str, Any]] = {
    "handshake-86": {
        "frame_type": 2,
        **times(1327481, 680, 0),
        **INTERVALS,
        "signal_strength": 100,
        "unknown_18": 3,
        "logger_firmware": "MW_08_0501_1.58",
        "mac": "02:00:00:a1:b2:c4",
        "ip": "192.168.1.210",
        "unknown_81": 0x41,
        "unknown_82": b"\x00",
        "sensor_type_count": 1,
        "sensor_type": 0x0501,
    },
    "handshake-130": {
        "frame_type": 2,
        **times(444938, 120, 0),
        **INTERVALS,
        "signal_strength": 54,
        "unknown_18": 3,
        "logger_firmware": "LSW5BLE_17_DD01_1.23",
        "mac": "02:00:00:a1:b2:c3",
        "ip": "192.168.1.42",
        "unknown_81": 3,
        "unknown_82": b"\x00",
        "sensor_type_count": 1,
        "sensor_type": 0xDD01,
        "unknown_86": bytes.fromhex("0700ff"),
        "hardware_version": "V1.1.00.0B",
        "unknown_129": b"\xff",  # this form ends within the field
    },
    "tsun-handshake-212": {
        "frame_type": 2,
        **times(53946, 25, 0),
        **INTERVALS,
        "signal_strength": 100,
        "unknown_18": 1,
        "logger_firmware": "LSW5BLE_17_02B0_1.05",
        "mac": "02:00:00:a1:b2:c5",
        "ip": "192.168.80.49",
        "unknown_81": 0x0F,
        "unknown_82": b"\x00",
        "sensor_type_count": 1,
        "sensor_type": 0x02B0,
        "unknown_86": bytes.fromhex("0f00ff"),
        "hardware_version": "V1.1.00.0B",
        "unknown_129": bytes.fromhex("fefe"),
        "certificate_status": 0,
        "unknown_132": "",
        "ssid": "HomeNetwork",
    },
    "dcu-handshake-314": {
        "frame_type": 2,
        **times(841866950, 39, 0),
        **INTERVALS,
        "signal_strength": 92,
        "unknown_18": 1,
        "logger_firmware": "LSW5_01_3026_NS_05_01.00.00.00",
        "mac": "02:00:00:a1:b2:c6",
        "ip": "192.168.9.14",
        "unknown_81": 1,
        "unknown_82": b"\x00",
        "sensor_type_count": 1,
        "sensor_type": 0x3026,
        "unknown_86": bytes.fromhex("0f00ff"),
        "hardware_version": "V1.1.00.0B",
        "unknown_129": bytes.fromhex("fefe"),
        "certificate_status": 0,
        "unknown_132": "",
        "ssid": "network",
        "unknown_212": bytes(89) + bytes.fromhex("08010101") + bytes(8) + b"\x01",
    },
    "tsun-wifi": {
        "frame_type": 0x81,
        **times(841878394, 57, 0),
        "sub_id": 0x0C,
        "unknown_14": 0,
        "ssid": "HomeNetwork",
        "signal_strength": 97,
        "unknown_46": 1,
    },
    "heartbeat": {"frame_type": 0},
    "tsun-report": {
        "frame_type": 1,
        **times(841890981, 44, 871104961),
        "unknown_13": 1,
        "unknown_14": 5,
        "following_length": 44,
        "unknown_16": b"\xff" * 44,
    },
    "request-from-decoder": {
        "frame_type": 2,
        "sensor_type": 0,
        **NO_TIMES,
        "modbus": {"slave": 1, "function": 3, "address": 3, "quantity": 5},
    },
    "modbus-read-request": {
        "frame_type": 2,
        "sensor_type": 0,
        **NO_TIMES,
        "modbus": {"slave": 1, "function": 3, "address": 170, "quantity": 1},
    },
    "modbus-read-reply": {
        "frame_type": 2,
        "status": 1,
        **times(1025718, 10011, 1661433427),
        "modbus": {"slave": 1, "function": 3, "registers": [266]},
    },
    "tsun-modbus-write": {
        "frame_type": 2,
        "sensor_type": 0x02B0,
        **NO_TIMES,
        "modbus": {"slave": 1, "function": 6, "address": 0x2008, "registers": [0]},
    },
    "tsun-at-command": {
        "frame_type": 1,
        "sensor_type": 2,
        **NO_TIMES,
        "at": "AT+TIME=214028,1,60,120\r",
    },
    "tsun-at-reply": {
        "frame_type": 1,
        "status": 1,
        **times(841366433, 120, 869550000),
        "at": "+ok",
    },
    "tsun-at-interim-reply": {
        "frame_type": 8,
        "status": 1,
        **times(841366433, 120, 869550000),
        "at": "+ok=10,start download\r\n",
    },
    "dcu-power-command": {
        "frame_type": 5,
        "sensor_type": 0x3026,
        **NO_TIMES,
        "output_power_limit": 100.0,
    },
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_real_message_says_all_this_and_no_more(name: str) -> None:
    assert message(name).fields == FIELDS[name]


def told(name: str) -> dict[str, Any]:
    """Return what a fixture says that its frame says, read from the bytes by hand."""
    (path,) = (FIXTURES / "deye").rglob(f"{name}.json")
    expect: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["expect"]
    return expect


@pytest.mark.parametrize("name", VALID)
def test_a_real_frame_has_its_name_its_sender_and_its_logger(name: str) -> None:
    found, expect = message(name), told(name)
    assert (found.name, found.sender) == (expect["name"], expect["from"])
    assert found.device == str(expect["header"]["logger_serial"])


@pytest.mark.parametrize("name", VALID)
def test_a_real_frame_says_what_its_fixture_tells(name: str) -> None:
    fields = plain(message(name).fields)
    for key, value in told(name)["fields"].items():
        assert fields[key] == value, key


@pytest.mark.parametrize("name", VALID)
def test_a_real_frame_measures_what_its_fixture_tells(name: str) -> None:
    expected = told(name).get("readings")
    if expected is None:
        return
    found: list[dict[str, Any]] = [reading.to_json() for reading in message(name).readings()]
    assert len(found) == len(expected)
    for reading, wanted in zip(found, expected, strict=True):
        for key, value in wanted.items():
            if key == "values":
                assert reading["values"].items() >= value.items()
            else:
                assert reading[key] == value


def test_real_frames_show_every_message_that_a_device_sends() -> None:
    shown = {told(name)["name"] for name in VALID if told(name)["from"] == "device"}
    assert shown == {entry.name for entry in TYPES.values() if entry.sender == "device"}


def test_a_message_shows_itself_in_a_line() -> None:
    assert repr(message("heartbeat")) == "Message(heartbeat, logger 2712345678, 1 bytes)"


HEADS = {
    "micro-5408-realtime": (0x01, 0x5408, 6755845, 873, 1705840598, 1, 1422),
    "micro-5408-historic": (0x81, 0x5408, 6836888, 6133, 0, 1, 1711),
    "solis-0504": (0x01, 0x0504, 16575, 17, 1617797204, 1, 25),
    "tsun-data-02b0": (0x01, 0x02B0, 841271484, 8044, 870598560, 1, 2051),
    "dcu-data-3026": (0x01, 0x3026, 841866951, 40, 897128324, 1, 4684),
}


@pytest.mark.parametrize("name", HEADS)
def test_the_head_of_real_data_is_the_same_whatever_the_sensor_type(name: str) -> None:
    fields = message(name).fields
    names = ("frame_type", "sensor_type", *TIMES, "unknown_15", "packet_counter")
    assert tuple(fields[field] for field in names) == HEADS[name]


def test_the_real_micro_inverter_says_all_that_its_source_read() -> None:
    fields = message("micro-5408-realtime").fields
    expected = {
        "inverter_serial": "2301234567",
        "energy_today": 0.9,
        "energy_total": 177.5,
        "grid_voltage_l1": 232.0,
        "grid_current_l1": 0.0,
        "grid_frequency": 50.1,
        "active_power": 4,
        "radiator_temperature": 27.7,
        "pv1_voltage": 27.1,
        "pv1_current": 0.0,
        "pv2_voltage": 27.8,
        "pv2_current": 0.0,
        "protocol_version": "V0.2.0.1",
        "dc_master_firmware": "V0.1.1.7",
        "ac_firmware": "V1.2.1.8",
        "rated_power": 800.0,
        "mppt_count": 2,
        "phase_count": 1,
        "pv1_energy_today": 0.4,
        "pv2_energy_today": 0.4,
        "pv1_energy_total": 80.7,
        "pv2_energy_total": 88.1,
        "pv1_id": "2301234567-1",
        "pv4_id": "2301234567-4",
        "over_frequency_start": 50.2,
        "over_frequency_load_reduction": 44,
        "grid_voltage_limit_upper": 275.0,
        "grid_voltage_limit_lower": 183.0,
        "grid_frequency_limit_upper": 51.5,
        "grid_frequency_limit_lower": 47.5,
        "self_check_time": 60,
        "inverter_clock": "2024-04-08 17:09:01",
    }
    assert {name: fields[name] for name in expected} == expected


def test_a_temperature_sensor_that_is_not_fitted_says_nothing() -> None:
    fields = message("micro-5408-realtime").fields
    assert [fields[f"temperature_{at}"] for at in (65, 67, 69, 71)] == [None] * 4


def test_a_nonsensical_clock_says_nothing() -> None:
    assert message("micro-5408-historic").fields["inverter_clock"] is None


def test_the_real_replies_carry_their_registers() -> None:
    micro = message("modbus-micro-reply").fields["modbus"]["registers"]
    assert len(micro) == 57
    assert (micro[0], micro[13], micro[19]) == (19, 2400, 5000)  # 1.9 kWh, 240.0 V, 50.00 Hz
    assert len(message("modbus-sofar-reply").fields["modbus"]["registers"]) == 40


@pytest.mark.parametrize("name", VALID)
def test_nothing_is_wrong_with_a_real_frame(name: str) -> None:
    assert message(name).problems == ()


# The logger's times


@pytest.mark.parametrize(
    ("name", "stamp"),
    [
        ("micro-5408-realtime", Stamp(6755845, 873, 1705840598)),
        ("handshake-86", Stamp(1327481, 680, 0)),
        ("tsun-wifi", Stamp(841878394, 57, 0)),
        ("tsun-report", Stamp(841890981, 44, 871104961)),
        ("modbus-read-reply", Stamp(1025718, 10011, 1661433427)),
        ("tsun-at-interim-reply", Stamp(841366433, 120, 869550000)),
        ("heartbeat", None),
        ("modbus-read-request", None),  # zeros of the cloud, no times of a logger
    ],
)
def test_a_message_of_the_logger_tells_its_times(name: str, stamp: Stamp | None) -> None:
    assert message(name).stamp == stamp


def test_times_that_are_cut_are_not_told() -> None:
    payload = frame("micro-5408-realtime").payload
    assert made(DATA, payload[:14]).stamp is None
    assert made(DATA, payload[:15]).stamp == Stamp(6755845, 873, 1705840598)


# The cloud's replies


def test_the_reply_to_a_real_data_frame_has_these_23_bytes() -> None:
    answer = reply(frame("micro-5408-realtime"), ARRIVAL).build()
    payload = "0101" + ARRIVAL.to_bytes(4, "little").hex() + "3c000000"
    assert answer[:11].hex() == "a50a001012" + "1616" + "4e1caba1"
    assert answer[11:21].hex() == payload
    assert len(answer) == 23


REPLIES = {
    HANDSHAKE: (0x11, "handshake_reply"),
    DATA: (0x12, "data_reply"),
    WIFI: (0x13, "wifi_reply"),
    HEARTBEAT: (0x17, "heartbeat_reply"),
    REPORT: (0x18, "report_reply"),
    0x44: (0x14, "unknown"),
    0x40: (0x10, "unknown"),
    0x4F: (0x1F, "unknown"),
}


@pytest.mark.parametrize("request_type", REPLIES)
def test_the_reply_is_the_cloud_s_and_its_type_the_request_s_less_0x30(request_type: int) -> None:
    reply_type, name = REPLIES[request_type]
    answer = Message.parse(reply(made(request_type, b"\x81").frame, ARRIVAL))
    assert answer.frame.control_code == reply_type << 8 | 0x10
    assert answer.name == name
    if name != "unknown":
        assert answer.sender == "cloud"
        assert answer.fields == {
            "frame_type": 0x81,
            "status": 1,
            "time": ARRIVAL,
            "next_heartbeat": 60,
        }
        assert answer.problems == ()
        assert answer.stamp is None


@pytest.mark.parametrize(
    ("asked", "answered"),
    [((0x97, 0x6D), (0x98, 0x6D)), ((0xFF, 0xFF), (0x00, 0xFF)), ((0, 1), (1, 1))],
)
def test_the_reply_counts_the_first_counter_on_and_echoes_the_second(
    asked: tuple[int, int], answered: tuple[int, int]
) -> None:
    request = replace(frame("heartbeat"), sequence=asked)
    assert reply(request, ARRIVAL).sequence == answered
    assert reply(request, ARRIVAL).logger_serial == request.logger_serial


@pytest.mark.parametrize("name", ["handshake-86", "micro-5408-historic", "tsun-wifi", "heartbeat"])
def test_the_reply_echoes_the_frame_type(name: str) -> None:
    assert reply(frame(name), ARRIVAL).payload[0] == frame(name).payload[0]


def test_the_reply_to_an_empty_payload_echoes_nothing() -> None:
    assert reply(made(HEARTBEAT, b"").frame, ARRIVAL).payload[0] == 0


def test_a_whole_number_of_seconds_may_be_a_float() -> None:
    assert reply(frame("heartbeat"), float(ARRIVAL)) == reply(frame("heartbeat"), ARRIVAL)  # type: ignore[arg-type]


def test_the_reply_carries_what_the_user_configured() -> None:
    answer = Message.parse(reply(frame("heartbeat"), ARRIVAL, next_heartbeat=120, status=0))
    assert (answer.fields["next_heartbeat"], answer.fields["status"]) == (120, 0)


@pytest.mark.parametrize("message_type", range(0x100))
def test_only_device_requests_expect_a_reply(message_type: int) -> None:
    expected = 0x40 <= message_type <= 0x4F and message_type != COMMAND
    assert is_request(message_type) is expected
    if not expected:
        with pytest.raises(ProtocolError, match="no request at offset 4"):
            reply(made(message_type, b"\x00").frame, ARRIVAL)


@pytest.mark.parametrize(
    "time", [-1, 2**32, 1.5, float("nan"), float("inf"), pytest.param(10**400, id="10^400")]
)
def test_a_time_that_the_reply_cannot_carry_is_refused(time: float) -> None:
    with pytest.raises(FieldError, match="time"):
        reply(frame("heartbeat"), time)  # type: ignore[arg-type]


# Commands and their replies


def test_commands_are_built_to_the_very_bytes_that_were_seen() -> None:
    read = {"slave": 1, "function": 3, "address": 170, "quantity": 1}
    assert command(MODBUS_KIND, read, LOGGER, (0x97, 0)) == frame("modbus-read-request")
    assert command(MODBUS_KIND, modbus.Request(1, 3, 170, 1), LOGGER, (0x97, 0)) == frame(
        "modbus-read-request"
    )
    write = {"slave": 1, "function": 6, "address": 0x2008, "registers": [0]}
    assert command(MODBUS_KIND, write, LOGGER + 1, (3, 2), 0x02B0) == frame("tsun-modbus-write")
    text = "AT+TIME=214028,1,60,120\r"
    assert command(AT_KIND, text, LOGGER + 1, (3, 2), 2) == frame("tsun-at-command")
    assert command(POWER_KIND, 100, LOGGER + 2, (0x94, 2), 0x3026) == frame("dcu-power-command")


BODIES: list[tuple[int, int, bytes, str, Any, str]] = [
    (
        COMMAND_REPLY,
        MODBUS_KIND,
        sealed("018302"),
        "modbus",
        {"slave": 1, "function": 3, "exception": 2},
        "Modbus exception 2: illegal data address",
    ),
    (
        COMMAND_REPLY,
        MODBUS_KIND,
        sealed("010302010a") + b"\x00\x00",
        "modbus",
        {"slave": 1, "function": 3, "registers": [266], "doubled_crc": True},
        "second CRC behind the Modbus message",
    ),
    (
        COMMAND_REPLY,
        MODBUS_KIND,
        b"\xff" + sealed("010302010a"),
        "modbus",
        {"slave": 1, "function": 3, "registers": [266], "stray_ff": True},
        "stray byte 0xFF in front of the Modbus message",
    ),
    (COMMAND_REPLY, MODBUS_KIND, bytes.fromhex("0500"), "modbus", {"stick_error": 5}, "error 5 of"),
    (
        COMMAND,
        MODBUS_KIND,
        sealed("010f0013000a02cd01"),
        "modbus",
        {
            "slave": 1,
            "function": 15,
            "address": 19,
            "coils": [True, False, True, True, False, False, True, True, True, False],
        },
        "",
    ),
    (
        COMMAND,
        MODBUS_KIND,
        sealed("016301"),
        "modbus",
        {"slave": 1, "function": 0x63, "data": "01"},
        "Modbus message kept raw",
    ),
    (
        INTERIM_REPLY,
        MODBUS_KIND,
        sealed("010302010a"),
        "modbus",
        {"slave": 1, "function": 3, "registers": [266]},
        "",
    ),
    (COMMAND, AT_KIND, b"AT+Z\r", "at", "AT+Z\r", ""),
    (COMMAND_REPLY, AT_KIND, b"+ok=\xe9\x00", "at", "+ok=é\x00", ""),
    (COMMAND_REPLY, AT_INTERIM_KIND, b"+ok", "at", "+ok", ""),
    (INTERIM_REPLY, AT_KIND, b"+ok", "at", "+ok", ""),
    (COMMAND, POWER_KIND, bytes.fromhex("010106010001ffff"), "output_power_limit", 6553.5, ""),
]


def head_of(message_type: int, kind: int) -> bytes:
    accepted = () if message_type == COMMAND else (1,)
    return bytes((kind, *accepted, *bytes(14 if message_type == COMMAND else 12)))


@pytest.mark.parametrize(("message_type", "kind", "body", "key", "value", "problem"), BODIES)
def test_a_body_is_read_by_its_kind_and_built_again(
    message_type: int, kind: int, body: bytes, key: str, value: object, problem: str
) -> None:
    found = made(message_type, head_of(message_type, kind) + body)
    assert found.fields[key] == value
    assert len(found.problems) == bool(problem)
    assert all(text.startswith(problem) for text in found.problems)
    assert build_payload(message_type, found.fields) == found.frame.payload


NOT_UNDERSTOOD = [
    (
        COMMAND,
        MODBUS_KIND,
        bytes.fromhex("01030003000575c8"),
        "body of the command: Modbus CRC at offset 32: expected 0xc975, found 0xc875",
    ),
    (
        COMMAND_REPLY,
        MODBUS_KIND,
        bytes.fromhex("0103020100"),
        "body of the command: Modbus message cut at offset 30: expected 7, found 5",
    ),
    (
        COMMAND,
        POWER_KIND,
        bytes.fromhex("010106010002ffff"),
        (
            "body of the command: not the known command of the third kind at offset 26: expected "
            "01 01 06 01 00 01 and 2 bytes, found 01 01 06 01 00 02 ff ff"
        ),
    ),
    (COMMAND, 0x03, b"\x01", "frame type 0x03 is not known in a command"),
    (COMMAND, AT_INTERIM_KIND, b"AT", "frame type 0x08 is not known in a command"),
    (INTERIM_REPLY, 0x77, b"\x01", "frame type 0x77 is not known in a interim_reply"),
]


@pytest.mark.parametrize(("message_type", "kind", "body", "problem"), NOT_UNDERSTOOD)
def test_a_body_that_is_not_understood_is_kept_and_said(
    message_type: int, kind: int, body: bytes, problem: str
) -> None:
    head = head_of(message_type, kind)
    found = made(message_type, head + body)
    assert found.fields[f"unknown_{len(head)}"] == body
    assert found.problems == (problem,)
    assert build_payload(message_type, found.fields) == found.frame.payload


@pytest.mark.parametrize("length", range(16))
def test_a_command_that_ends_within_its_head_has_no_body(length: int) -> None:
    found = made(COMMAND, bytes((MODBUS_KIND, *bytes(14)))[:length])
    assert not {"modbus", "at", "output_power_limit"} & found.fields.keys()
    assert found.problems == ()
    assert build_payload(COMMAND, found.fields) == found.frame.payload


def test_the_reply_to_the_third_kind_has_a_name_of_its_own() -> None:
    found = made(COMMAND_REPLY, head_of(COMMAND_REPLY, POWER_KIND) + b"\x01\x01\x01")
    assert found.fields["output_power_reply"] == b"\x01\x01\x01"
    assert found.problems == ()
    assert build_payload(COMMAND_REPLY, found.fields) == found.frame.payload


def test_a_command_that_was_not_carried_out_is_a_problem() -> None:
    found = made(COMMAND_REPLY, bytes((AT_KIND, 4, *bytes(12))) + b"+ERR")
    assert found.problems == ("status 0x04: the logger did not carry the command out",)


def test_there_is_no_fourth_kind_of_command() -> None:
    with pytest.raises(FieldError, match="no kind of command"):
        command(9, "AT+Z", 2712345678)


# Building and changing


@pytest.mark.parametrize("name", VALID)
def test_a_real_message_changed_to_what_it_says_stays_as_it_is(name: str) -> None:
    assert message(name).replace({}) == frame(name)
    assert message(name).replace(message(name).fields) == frame(name)


@pytest.mark.parametrize("name", VALID)
def test_what_a_real_message_says_can_be_built_from_nothing(name: str) -> None:
    found = message(name)
    payload = build_payload(found.frame.message_type, found.fields)
    assert made(found.frame.message_type, payload).fields == found.fields
    assert len(payload) == len(found.frame.payload)


def changed(name: str, fields: dict[str, Any]) -> list[int]:
    """Return the payload offsets at which a change of some fields changes bytes."""
    after = message(name).replace(fields)
    assert replace(after, payload=b"") == replace(frame(name), payload=b"")
    assert {key: Message.parse(after).fields[key] for key in fields} == fields
    assert len(after.payload) == len(frame(name).payload)
    pairs = zip(frame(name).payload, after.payload, strict=True)
    return [at for at, (old, new) in enumerate(pairs) if old != new]


def test_a_changed_field_changes_its_own_bytes_only() -> None:
    assert changed("micro-5408-realtime", {"active_power": 300}) == [59, 60]
    assert changed("micro-5408-realtime", {"radiator_temperature": -3.21}) == [63, 64]
    assert changed("micro-5408-realtime", {"rated_power": 300}) == [129, 130]
    assert changed("micro-5408-historic", {"inverter_clock": "2024-04-08 17:09:01"}) == [
        *range(245, 251)
    ]
    assert changed("tsun-wifi", {"ssid": "Home"}) == [*range(19, 26)]
    assert changed("handshake-86", {"mac": "02:00:00:a1:b2:ff"}) == [64]
    assert changed("tsun-at-reply", {"status": 0}) == [1]
    assert changed("tsun-at-reply", {"at": "+no"}) == [15, 16]
    assert changed("dcu-power-command", {"output_power_limit": 100.1}) == [22]


def test_a_body_that_stays_keeps_its_bytes_though_the_head_changes() -> None:
    body = sealed("016301")
    found = made(COMMAND, head_of(COMMAND, MODBUS_KIND) + body)
    assert found.replace({"sensor_type": 0x02B0}).payload.endswith(body)
    misfit = made(COMMAND, head_of(COMMAND, MODBUS_KIND) + b"?")
    assert misfit.replace({"sensor_type": 0x02B0}).payload[15:] == b"?"


def test_a_body_that_said_nothing_is_replaced_by_one_that_does() -> None:
    misfit = made(COMMAND, head_of(COMMAND, MODBUS_KIND) + b"?????")
    read = {"slave": 1, "function": 3, "address": 3, "quantity": 5}
    assert misfit.replace({"modbus": read}).payload[15:].hex() == "01030003000575c9"


def test_a_field_that_lies_behind_the_end_lengthens_the_payload() -> None:
    short = made(DATA, frame("micro-5408-realtime").payload[:63])
    longer = Message.parse(short.replace({"rated_power": 800}))
    assert len(longer.frame.payload) == 131
    assert longer.fields["active_power"] == 4
    assert longer.fields["rated_power"] == 800
    assert longer.fields["pv1_voltage"] == 0


def test_data_is_built_by_its_sensor_type_and_wifi_by_its_sub_id() -> None:
    data = build_payload(DATA, {"sensor_type": 0x5408, "active_power": 300})
    assert data[1:3] + data[59:63] == bytes.fromhex("08542c010000")
    wifi = build_payload(WIFI, {"sub_id": 0x1C, "inverter_serial": "Y17E7A0123456789"})
    assert made(WIFI, wifi).fields["inverter_serial"] == "Y17E7A0123456789"
    assert made(WIFI, wifi).layout.name == "wifi_inverter"


def test_an_absent_value_is_built_as_what_stands_for_it() -> None:
    data = build_payload(DATA, {"sensor_type": 0x5408, "temperature_65": None, "pv1_voltage": 1})
    assert data[65:67] == data[71:73] == (-1000).to_bytes(2, "little", signed=True)


@pytest.mark.parametrize(
    ("message_type", "fields", "text"),
    [
        (DATA, {"active_power": 1}, "active_power: no field of this layout"),
        (DATA, {"sensor_type": 0x5408, "active_power": -1}, "active_power: out of range"),
        (DATA, {"sensor_type": 0x5408, "active_power": "4"}, "active_power: not a number"),
        (DATA, {"sensor_type": 0x5408, "grid_frequency": 50.001}, "grid_frequency: not a step"),
        (DATA, {"sensor_type": 0x1_0000}, "sensor_type: out of range"),
        (WIFI, {"sub_id": 0x0C, "ssid": "s" * 31}, "ssid: cannot be written"),
        (HEARTBEAT, {"time": 1}, "time: no field of this layout"),
        (HANDSHAKE, {"mac": "02:00:00"}, "mac: cannot be written"),
        (HANDSHAKE, {"mac": "02:00:00:a1:b2:c3:d4"}, "mac: cannot be written"),
        (HANDSHAKE, {"unknown_82": 1}, "unknown_82: cannot be written"),
        (0x99, {"anything": 1}, "anything: no field of this layout"),
        (0x99, {"unknown_0": 3}, "unknown_0: not bytes"),
        (0x99, {"unknown_0": "no hex"}, "unknown_0: not bytes"),
        (0x99, {"unknown_0": 1.5}, "unknown_0: not bytes"),
        (0x99, {"unknown_1": b""}, "unknown_1: no field of this layout"),
        (COMMAND, {"frame_type": AT_KIND, "modbus": {}}, "modbus: not in a command of this"),
        (COMMAND, {"frame_type": MODBUS_KIND, "at": "AT+Z\r"}, "at: not in a command of this"),
        (COMMAND, {"frame_type": 3, "at": "AT+Z\r"}, "at: not in a command of this"),
        (COMMAND, {"at": "AT+Z\r"}, "at: not in a command of this"),
        (COMMAND, {"frame_type": AT_KIND, "at": "AT+TIME=€\r"}, "at: not text"),
        (COMMAND, {"frame_type": AT_KIND, "at": 4}, "at: not text"),
        (COMMAND, {"frame_type": MODBUS_KIND, "modbus": "0103"}, "modbus: "),
        (
            COMMAND,
            {"frame_type": MODBUS_KIND, "modbus": {"slave": 1}},
            "modbus.function: is missing",
        ),
        (
            COMMAND,
            {"frame_type": POWER_KIND, "output_power_limit": 7000},
            "output_power_limit: out of range",
        ),
    ],
)
def test_what_a_message_cannot_say_is_refused_with_the_field_s_name(
    message_type: int, fields: dict[str, Any], text: str
) -> None:
    with pytest.raises(FieldError, match=f"^{text}"):
        build_payload(message_type, fields)


def test_a_number_beyond_all_measure_is_refused_like_any_other() -> None:
    for huge in (10**400, -(10**400)):
        with pytest.raises(FieldError, match="time"):
            build_payload(0x12, {"time": huge})


# What nobody knows is kept


@pytest.mark.parametrize("message_type", sorted(set(range(0x100)) - TYPES.keys()))
def test_an_unknown_type_keeps_its_payload_whole(message_type: int) -> None:
    found = made(message_type, "00ff10")
    assert (found.name, found.sender) == ("unknown", None)
    assert found.fields == {"unknown_0": bytes.fromhex("00ff10")}
    assert found.stamp is None
    assert found.readings() == []
    assert found.replace({"unknown_0": b"other"}).payload == b"other"


def test_another_low_byte_of_the_control_code_changes_nothing_that_is_said() -> None:
    other = replace(frame("micro-5408-realtime"), control_code=0x4217)
    assert Message.parse(other).fields == message("micro-5408-realtime").fields


def test_an_unknown_sensor_type_is_a_head_and_the_rest() -> None:
    payload = frame("micro-5408-realtime").payload
    found = made(DATA, payload[:1] + b"\xcd\xab" + payload[3:])
    assert found.layout.name == "head_only"
    assert found.fields["sensor_type"] == 0xABCD
    assert found.fields["unknown_21"] == payload[21:]
    assert found.problems == ("sensor type 0xabcd is not known",)
    assert found.readings() == []


@pytest.mark.parametrize("low", [0x08, 0x11, 0x13, 0x04, 0xB0, 0x26])
def test_the_low_byte_of_the_sensor_type_alone_is_no_key(low: int) -> None:
    known = {sensor_type for sensor_type in MODULES if sensor_type & 0xFF == low}
    assert known
    for high in range(0x100):
        assert (layout_of(high << 8 | low) is not None) is (high << 8 | low in known)


@pytest.mark.parametrize("sensor_type", sorted(MODULES))
def test_a_layout_that_no_real_bytes_confirmed_says_so(sensor_type: int) -> None:
    found = made(DATA, b"\x01" + sensor_type.to_bytes(2, "little") + bytes(18))
    layout = layout_of(sensor_type)
    assert layout is not None
    assert found.layout is layout
    warning = f"layout {layout.name} not checked on real bytes"
    assert (warning in found.problems) is not layout.checked


@pytest.mark.parametrize("length", range(3))
def test_data_too_short_for_a_sensor_type_is_kept(length: int) -> None:
    found = made(DATA, b"\x01\x08"[:length])
    assert found.layout.name == "head_only"
    assert found.problems == ()
    assert found.replace(found.fields) == found.frame


@pytest.mark.parametrize("sub_id", [0x00, 0x0D, 0xFF])
def test_an_unknown_form_of_wifi_is_a_head_and_the_rest(sub_id: int) -> None:
    found = made(WIFI, bytes((1, *bytes(12), sub_id, 0, 1, 2, 3)))
    assert found.layout.name == "wifi"
    assert found.fields["sub_id"] == sub_id
    assert found.fields["unknown_15"] == b"\x01\x02\x03"


def test_wifi_too_short_for_a_sub_id_is_kept() -> None:
    found = made(WIFI, bytes(13))
    assert found.layout.name == "wifi"
    assert found.replace(found.fields) == found.frame


@pytest.mark.parametrize("length", range(1, 331))
def test_real_data_of_any_length_says_what_is_there(length: int) -> None:
    payload = frame("micro-5408-realtime").payload[:length]
    found = made(DATA, payload)
    *names, last = found.fields
    if length > 2:
        whole = message("micro-5408-realtime").fields
        assert {name: found.fields[name] for name in names} == {name: whole[name] for name in names}
        start = found.layout.by_name[names[-1]].end
        assert found.fields[last] in (whole.get(last), payload[start:])
    assert found.replace(found.fields).payload == payload


# When it was measured, as far as the frame itself tells


def test_a_frame_with_an_offset_dates_itself() -> None:
    (reading,) = message("micro-5408-realtime").readings()
    assert (reading.time, reading.time_source) == (ARRIVAL, TimeSource.DEVICE)
    assert reading.historic is False
    assert (reading.device, reading.via, reading.kind) == ("2301234567", "2712345678", "data")


def test_a_stored_frame_without_an_offset_has_no_time_of_its_own() -> None:
    (reading,) = message("micro-5408-historic").readings()
    assert (reading.time, reading.time_source) == (None, TimeSource.UNKNOWN)
    assert reading.historic is True


def test_a_stored_frame_with_an_offset_dates_itself() -> None:
    stored = message("micro-5408-historic").replace({"offset_time": 1705840598})
    (reading,) = Message.parse(stored).readings()
    assert reading.to_json()["time"] == "2024-04-09T15:44:46Z"
    assert reading.historic is True


def test_an_offset_that_is_nonsense_gives_no_time() -> None:
    early = message("micro-5408-realtime").replace({"offset_time": 1})
    (reading,) = Message.parse(early).readings()
    assert (reading.time, reading.time_source) == (None, TimeSource.UNKNOWN)


# Anything at all

payloads = st.binary(max_size=420)
sensor_types = st.sampled_from(sorted(MODULES)) | st.integers(0, 0xFFFF)


@st.composite
def any_messages(draw: st.DrawFn) -> Message:
    message_type = draw(st.sampled_from(sorted(TYPES)) | st.integers(0, 0xFF))
    payload = draw(payloads)
    if message_type == DATA and len(payload) >= 3:
        payload = payload[:1] + draw(sensor_types).to_bytes(2, "little") + payload[3:]
    if message_type == WIFI and len(payload) >= 14:
        payload = payload[:13] + bytes((draw(st.sampled_from([0x0C, 0x1C, 0])),)) + payload[14:]
    if message_type in (COMMAND, COMMAND_REPLY, INTERIM_REPLY) and payload:
        kind = draw(st.sampled_from([MODBUS_KIND, AT_KIND, POWER_KIND, AT_INTERIM_KIND, 3]))
        payload = bytes((kind,)) + payload[1:]
    low = draw(st.just(0x10) | st.integers(0, 0xFF))
    return Message.parse(Frame(message_type << 8 | low, (1, 2), LOGGER, payload))


@st.composite
def mutated_messages(draw: st.DrawFn) -> Message:
    """A real message with some bytes changed, shortened or lengthened."""
    real = frame(draw(st.sampled_from(VALID)))
    payload = bytearray(real.payload)
    for _ in range(draw(st.integers(0, 5))):
        payload[draw(st.integers(0, len(payload) - 1))] = draw(st.integers(0, 0xFF))
    end = draw(st.integers(0, len(payload)))
    cut = bytes(payload[:end]) if draw(st.booleans()) else bytes(payload) + draw(payloads)
    return Message.parse(replace(real, payload=cut))


messages = any_messages() | mutated_messages()


@given(messages)
def test_whatever_comes_is_told_without_a_fault(found: Message) -> None:
    assert repr(found)
    assert found.name in {entry.name for entry in TYPES.values()} | {"unknown"}
    assert found.sender in {"device", "cloud", None}
    assert json.dumps(plain(found.fields), allow_nan=False)
    assert all(isinstance(text, str) for text in found.problems)
    for confidence in "ABC":
        for reading in found.readings(confidence):
            assert json.dumps(reading.to_json(), allow_nan=False)


@given(messages)
def test_every_byte_of_a_frame_stands_in_one_row(found: Message) -> None:
    raw = found.frame.build()
    rows = list(found.rows(raw))
    assert b"".join(row.raw for row in rows) == raw
    at = 0
    for row in rows:
        assert row.offset == at
        assert row.raw
        at += len(row.raw)
    inner = {row.field.name: row.value for row in rows if 11 <= row.offset < len(raw) - 2}
    assert inner == found.fields


@given(messages)
def test_a_message_changed_to_what_it_says_stays_as_it_is(found: Message) -> None:
    assert found.replace(found.fields) == found.frame
    assert found.replace({}) == found.frame


@given(messages)
@example(made(DATA, frame("micro-5408-realtime").payload[:32]))  # ends within unknown_31
@example(made(DATA, frame("micro-5408-realtime").payload[:43]))  # ends within unknown_41
@example(made(DATA, frame("micro-5408-realtime").payload[:21] + b"\xe9" * 10))  # no UTF-8
def test_what_a_message_says_can_be_built_from_nothing_and_says_the_same(found: Message) -> None:
    message_type = found.frame.message_type
    payload = build_payload(message_type, found.fields)
    assert len(payload) == len(found.frame.payload)
    assert Message.parse(replace(found.frame, payload=payload)).fields == found.fields


@given(
    messages.filter(lambda found: is_request(found.frame.message_type)), st.integers(0, 2**32 - 1)
)
def test_every_request_has_a_reply_of_23_bytes(found: Message, time: int) -> None:
    answer = reply(found.frame, time)
    assert len(answer.build()) == ENVELOPE + 10
    assert Frame.parse(answer.build()) == answer
    assert answer.message_type == found.frame.message_type - 0x30
    assert answer.payload[2:6] == time.to_bytes(4, "little")


@given(
    st.integers(0, 0xFFFFFFFF),
    st.tuples(st.integers(0, 255), st.integers(0, 255)),
    st.integers(0, 0xFFFF),
    st.one_of(
        st.tuples(st.just(AT_KIND), st.text(st.characters(max_codepoint=255), min_size=1)),
        st.tuples(st.just(POWER_KIND), st.integers(0, 0xFFFF).map(lambda raw: raw / 10)),
        st.tuples(
            st.just(MODBUS_KIND),
            st.fixed_dictionaries(
                {
                    "slave": st.integers(0, 255),
                    "function": st.sampled_from([3, 4]),
                    "address": st.integers(0, 0xFFFF),
                    "quantity": st.integers(1, 125),
                }
            ),
        ),
    ),
)
def test_a_command_says_what_it_was_built_of(
    logger: int, sequence: tuple[int, int], sensor_type: int, kind_and_value: tuple[int, Any]
) -> None:
    kind, value = kind_and_value
    built = Frame.parse(command(kind, value, logger, sequence, sensor_type).build())
    key = {AT_KIND: "at", POWER_KIND: "output_power_limit", MODBUS_KIND: "modbus"}[kind]
    said = Message.parse(built)
    assert (built.logger_serial, built.sequence) == (logger, sequence)
    assert said.fields == {
        "frame_type": kind,
        "sensor_type": sensor_type,
        **NO_TIMES,
        key: value,
    }
    assert said.problems == ()
