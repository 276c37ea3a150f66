"""What `decode` shows, edited or not, back to bytes: the edit and nothing else."""

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverterproto import FieldError, ProtocolError, decode, encode
from inverterproto.alphaess.frame import Frame as AlphaFrame
from inverterproto.bare import decode_modbus, decode_payload
from inverterproto.decoding import Dates, Decoder, plain
from inverterproto.deye.bodies import AT_KIND, MODBUS_KIND
from inverterproto.deye.commands import command
from inverterproto.deye.frame import Frame
from inverterproto.deye.messages import Message
from inverterproto.encoding import alike
from inverterproto.families import DEYE
from inverterproto.octets import Octets
from inverterproto.stream import Framed, StreamDecoder
from tests.vectors import BARE_MODBUS, BARE_MODBUS_REQUEST, BROKEN, VALID, fixtures, frame, raw

ALPHA = fixtures("alphaess")
GOOD_ALPHA = sorted(ALPHA.keys() - {"bad-crc"})
EVERY = {**fixtures("deye"), **ALPHA}
SINGLE = {name: data for name, data in EVERY.items() if name not in {BROKEN, "bad-crc"}}

Json = dict[str, Any]


def told(data: bytes, **options: Any) -> Json:  # noqa: ANN401 - those of decode
    """Return the one object that some bytes are, as it comes out of a file."""
    (found,) = decode(data, **options)
    shown: Json = json.loads(json.dumps(found.to_json()))
    return shown


def put(shown: Json, path: str, value: object) -> Json:
    """Return an object with the value at a path (`fields.rows.0.3`) changed."""
    changed = deepcopy(shown)
    *way, last = path.split(".")
    inner: Any = changed
    for step in way:
        inner = inner[int(step) if isinstance(inner, list) else step]
    inner[int(last) if isinstance(inner, list) else last] = value
    return changed


def without(shown: Json, *paths: str) -> Json:
    changed = deepcopy(shown)
    for path in paths:
        *way, last = path.split(".")
        inner = changed
        for step in way:
            inner = inner[step]
        del inner[last]
    return changed


MICRO = told(raw("micro-5408-realtime"))
HEARTBEAT = told(raw("heartbeat"))
READ_REPLY = told(raw("modbus-read-reply"))
STATUS, STORED = told(ALPHA["status-1"]), told(ALPHA["stored-records"])
EVENTS, TWICE = told(ALPHA["event-log"]), told(ALPHA["duplicate-keys"])


def numbers_as_jq_writes_them(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return JSON with 230 for 230.0, and keys in another order."""
    if isinstance(value, dict):
        return {key: numbers_as_jq_writes_them(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [numbers_as_jq_writes_them(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


class TestUnedited:
    @pytest.mark.parametrize("name", EVERY)
    def test_every_fixture_gives_its_bytes_again(self, name: str) -> None:
        found = decode(EVERY[name])
        shown = [json.loads(json.dumps(each.to_json())) for each in found]
        assert b"".join(map(encode, shown)) == EVERY[name]

    @pytest.mark.parametrize("name", EVERY)
    def test_another_spelling_of_the_json_is_no_edit(self, name: str) -> None:
        for found in decode(EVERY[name]):
            shown = numbers_as_jq_writes_them(json.loads(json.dumps(found.to_json())))
            assert encode(shown) == found.item.raw

    @pytest.mark.parametrize("confidence", "ABC")
    @pytest.mark.parametrize("clock_offset", [None, 39600.5])
    @pytest.mark.parametrize("name", SINGLE)
    def test_whatever_confidence_and_clock_were_asked_for(
        self, name: str, confidence: str, clock_offset: float | None
    ) -> None:
        shown = told(SINGLE[name], confidence=confidence, clock_offset=clock_offset)
        assert encode(shown) == SINGLE[name]

    def test_dates_by_other_frames_and_by_arrivals_are_no_edits(self) -> None:
        for arrival in (None, 0.0, 1712596445.0):
            decoder = Decoder(dates=Dates(39600.0))
            found = decoder.feed(raw("micro-5408-historic") + raw("micro-5408-realtime"), arrival)
            found += decoder.feed(ALPHA["status-1"] + ALPHA["stored-records"], arrival)
            found += decoder.finish()
            sources = {str(one.time_source) for each in found for one in each.readings}
            assert len(sources) > 1
            for each in found:
                assert encode(each.to_json()) == each.item.raw

    @pytest.mark.parametrize(
        "key", ["header", "fields", "readings", "problems", "name", "device", "length", "from"]
    )
    def test_what_is_left_out_is_not_edited(self, key: str) -> None:
        for shown in (MICRO, STATUS):
            assert encode(without(shown, key)).hex() == shown["raw"]

    def test_the_raw_bytes_alone_are_enough(self) -> None:
        for name, data in SINGLE.items():
            assert encode({"raw": data.hex(" ")}) == data, name

    def test_what_a_capture_told_and_notes_of_others_are_passed_over(self) -> None:
        more = {"at": None, "connection": "x", "input": "-", "offset": 99, "note": [1]}
        assert encode({**MICRO, **more}).hex() == MICRO["raw"]

    def test_the_sender_of_an_unknown_message_is_the_capture_s_to_tell(self) -> None:
        unknown = told(Frame(0x6310, (1, 2), 3, b"\1\2").build())
        assert unknown["from"] is None
        assert encode({**unknown, "from": "cloud"}).hex() == unknown["raw"]

    @given(st.binary(max_size=60))
    def test_any_bytes_come_back(self, data: bytes) -> None:
        for stream in (data, data + raw("heartbeat") + data, ALPHA["keep-alive"] + data):
            shown = [json.loads(json.dumps(each.to_json())) for each in decode(stream)]
            assert b"".join(map(encode, shown)) == stream

    @given(st.sampled_from(sorted(SINGLE)), st.binary(max_size=40), st.integers(0, 400))
    def test_frames_with_another_payload_come_back(self, name: str, new: bytes, at: int) -> None:
        data = SINGLE[name]
        kind = Frame if data[0] == 0xA5 else AlphaFrame
        old = kind.parse(data)
        payload = old.payload[:at] + new + old.payload[at + len(new) :]
        changed = type(old)(**{**{s: getattr(old, s) for s in old.__slots__}, "payload": payload})
        shown = told(changed.build())
        assert encode(shown) == changed.build()
        assert encode(numbers_as_jq_writes_them(shown)) == changed.build()


def step(data: st.DataObject, name: str) -> tuple[str, Any]:
    """Draw a field of a V5 fixture and another value that it can carry, as JSON has it."""
    message = Message(frame(name))
    chooses = {"sensor_type", "sub_id", "frame_type"}
    payload = message.frame.payload
    spans = [
        (field, raw_)
        for field, raw_ in message.layout.spans(payload[: message.layout.size] or payload)
        if field.name not in chooses
    ]
    if not spans:
        return "frame_type", 7
    field, old = data.draw(st.sampled_from(spans))
    if isinstance(field.type, Octets):
        if field.type.title.startswith("text"):
            return field.name, data.draw(st.text("abc xyz-09ü", max_size=field.size // 2)).strip()
        if field.type.title.startswith("clock"):
            return field.name, "2021-02-28 23:59:59"
        return field.name, plain(field.type.decode(bytes(byte ^ 0x55 for byte in old)))
    signed = field.code.islower()
    order: Any = "big" if field.order == ">" else "little"
    number = int.from_bytes(old, order, signed=signed)
    near = [number - 2, number - 1, number + 1, number + 2]
    low, high = field.raw_range
    new_raw = data.draw(st.sampled_from([n for n in near if low <= n <= high]))
    return field.name, field.to_value(new_raw)


class TestOneEdit:
    @given(st.data(), st.sampled_from(VALID))
    def test_a_field_of_v5_changes_and_nothing_else(self, data: st.DataObject, name: str) -> None:
        shown = told(raw(name))
        field, value = step(data, name)
        edited = put(shown, f"fields.{field}", value)
        made = encode(edited)
        again = told(made)
        assert again["fields"] == edited["fields"]
        assert without(again["header"], "checksum") == without(shown["header"], "checksum")
        spans = {
            row.field.name: range(row.offset, row.offset + len(row.raw))
            for row in Message(frame(name)).rows(raw(name))
        }
        places = {*spans[field], len(made) - 2}
        assert {at for at, byte in enumerate(made) if byte != raw(name)[at]} <= places

    @given(st.data(), st.sampled_from(GOOD_ALPHA))
    def test_a_key_of_alphaess_changes_and_nothing_else(
        self, data: st.DataObject, name: str
    ) -> None:
        shown = told(ALPHA[name])
        names = [
            key
            for key, value in shown["fields"].items()
            if isinstance(value, str | int | float)
            and key not in {"text", "MsgType", "MsgContent", "mac"}
        ]
        if not names:
            return
        key = data.draw(st.sampled_from(names))
        old = shown["fields"][key]
        if isinstance(old, bool):
            value: Any = not old
        elif isinstance(old, str):
            value = f"{old}x"
        else:
            value = data.draw(st.sampled_from([old + 1, old - 0.125, -old - 1]))
        edited = put(shown, f"fields.{key}", value)
        again = told(encode(edited))
        assert again["fields"] == edited["fields"]
        assert without(again["header"], "crc", "length") == without(
            shown["header"], "crc", "length"
        )
        # All in front of the key keeps its bytes, odd spacing and other keys included.
        at = ALPHA[name].find(f'"{key.partition("#")[0]}"'.encode())
        assert bytes.fromhex(again["raw"])[7:at] == ALPHA[name][7:at]

    def test_the_readings_follow(self) -> None:
        again = told(encode(put(MICRO, "fields.active_power", 600)))
        assert again["readings"][0]["values"]["active_power"] == 600
        assert (
            again["raw"]
            == Message(frame("micro-5408-realtime")).replace({"active_power": 600}).build().hex()
        )

    def test_a_value_a_hair_off_its_step_is_that_step(self) -> None:
        made = encode(put(MICRO, "fields.grid_frequency", 50.02009))
        assert told(made)["fields"]["grid_frequency"] == 50.02

    def test_null_is_the_raw_value_that_means_no_reading(self) -> None:
        made = encode(put(MICRO, "fields.energy_total", None))
        assert told(made)["fields"]["energy_total"] is None
        assert made[48:52] == bytes(4)

    def test_a_text_keeps_what_follows_it_only_while_it_is_not_edited(self) -> None:
        made = encode(put(MICRO, "fields.pv1_id", "2301234567-9"))
        assert made[170:186] == b"2301234567-9    "

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("sequence", [0, 255]),
            ("control_code", 0x4215),
            ("logger_serial", 0xFFFFFFFF),
            ("logger_serial", 1e2),
        ],
    )
    def test_the_header_of_v5_can_be_changed(self, path: str, value: object) -> None:
        made = encode(put(MICRO, f"header.{path}", value))
        again = told(made)
        assert again["header"][path] == value
        assert again["fields"] == MICRO["fields"]
        assert made[11:-2] == raw("micro-5408-realtime")[11:-2]

    def test_the_header_of_alphaess_can_be_changed(self) -> None:
        made = encode(put(STATUS, "header.direction", 2))
        assert made[1] == 2
        assert made[7:-2] == ALPHA["status-1"][7:-2]
        assert told(made)["name"] == "status_reply"

    def test_duplicate_keys_and_odd_spacing_stay_beside_an_edit(self) -> None:
        made = encode(put(TWICE, "fields.Generator#2", "0"))
        old, new = ALPHA["duplicate-keys"], made
        assert len(old) == len(new)
        assert [at for at in range(len(old) - 2) if old[at] != new[at]] == [old.rindex(b'"1"') + 1]

    def test_keys_of_alphaess_come_and_go(self) -> None:
        made = encode(put(without(STATUS, "fields.Sva"), "fields.New key", [1.5, {"a": None}]))
        fields = told(made)["fields"]
        assert "Sva" not in fields
        assert fields["New key"] == [1.5, {"a": None}]

    def test_a_cell_of_stored_records_keeps_its_neighbours(self) -> None:
        assert STORED["fields"]["columns"][3] == "Ppv1"
        made = encode(put(STORED, "fields.rows.1.3", 1111))
        assert made[7:-2] == ALPHA["stored-records"][7:-2].replace(
            b"AL2002000001234,1028,", b"AL2002000001234,1111,"
        )

    def test_the_last_fields_of_v5_can_be_left_out(self) -> None:
        made = encode(without(MICRO, "fields.unknown_316"))
        assert told(made)["header"]["payload_length"] == 316
        fields = {"frame_type": 1}
        assert encode({**MICRO, "fields": fields})[11:-2] == b"\1"
        assert encode({**MICRO, "fields": {}})[11:-2] == b""

    def test_fields_behind_the_last_can_be_added(self) -> None:
        short = told(encode(without(MICRO, "fields.unknown_316")))
        made = encode(put(short, "fields.unknown_316", "0102"))
        assert made[-4:-2] == b"\1\2"

    def test_a_body_of_a_command_can_be_changed_left_out_or_made_another(self) -> None:
        made = encode(put(READ_REPLY, "fields.modbus.registers", [1, 2]))
        assert told(made)["fields"]["modbus"]["registers"] == [1, 2]
        assert len(encode(without(READ_REPLY, "fields.modbus"))) == 27
        at = {**READ_REPLY["fields"], "frame_type": 1, "at": "+ok"}
        del at["modbus"]
        assert told(encode({**READ_REPLY, "fields": at}))["fields"] == at

    def test_of_another_type_the_frame_is_built_from_its_fields(self) -> None:
        shown = told(raw("heartbeat"))
        reply = {"frame_type": 2, "status": 1, "time": 1712596443, "next_heartbeat": 60}
        made = encode({**put(shown, "header.control_code", 0x1710), "fields": reply})
        assert told(made)["fields"] == reply
        assert told(made)["name"] == "heartbeat_reply"

    def test_with_another_sensor_type_the_fields_are_those_of_its_layout(self) -> None:
        head = list(MICRO["fields"])[:8]
        fields = {name: MICRO["fields"][name] for name in head}
        fields |= {"sensor_type": 0x3026, "state_of_charge": 55.5}
        again = told(encode({**MICRO, "fields": fields}))
        assert again["fields"].items() >= fields.items()
        assert again["readings"][0]["values"]["state_of_charge"] == 55.5

    def test_unknown_bytes_are_hexadecimal_text_whole_or_cut(self) -> None:
        assert encode(put(MICRO, "fields.unknown_41", "01020304"))[52:56] == b"\1\2\3\4"
        cut = told(Frame(0x4210, (0, 0), 1, b"\1\x08").build())
        assert cut["fields"] == {"frame_type": 1, "unknown_1": "08"}
        assert encode(put(cut, "fields.unknown_1", "09"))[11:-2] == b"\1\x09"

    def test_a_cut_text_of_unknown_meaning_is_bytes(self) -> None:
        cut = told(Frame(0x4110, (0, 0), 1, bytes(132) + b"ab").build())
        assert cut["fields"]["unknown_132"] == "6162"
        made = encode(put(cut, "fields.unknown_132", "6163"))
        assert made[11:-2] == bytes(132) + b"ac"
        assert encode(without(cut, "raw"))[11:-2] == bytes(132) + b"ab"
        whole = told(Frame(0x4110, (0, 0), 1, bytes(132) + b"ab".ljust(40, b"\0")).build())
        assert encode(put(whole, "fields.unknown_132", "6163"))[143:147] == b"6163"

    def test_a_text_that_is_read_out_of_another_follows_it(self) -> None:
        content = "21/03/24 10:01:40 42;"
        changed = put(EVENTS, "fields.MsgContent", content)
        again = told(encode(changed))
        assert again["fields"]["events"] == [{"time": "2021-03-24 10:01:40", "code": 42}]
        assert encode(without(EVENTS, "fields.events")).hex() == EVENTS["raw"]
        consistent = put(changed, "fields.events", again["fields"]["events"])
        assert encode(consistent).hex() == again["raw"]


class TestWhatFollows:
    @pytest.mark.parametrize(
        ("shown", "path", "value", "complaint"),
        [
            (MICRO, "name", "wifi", "name: follows from header.control_code: edit that"),
            (MICRO, "from", "cloud", "from: follows from header.control_code"),
            (MICRO, "device", "2712345679", "device: follows from header.logger_serial"),
            (MICRO, "length", 344, "length: follows from header and fields"),
            (MICRO, "header.payload_length", 9, "header.payload_length: follows from header and"),
            (MICRO, "header.checksum", 9, "header.checksum: .*: expected 80, found 9"),
            (MICRO, "problems", ["x"], "problems: follows from header and fields"),
            (MICRO, "problems", None, "problems: follows from"),
            (MICRO, "readings", [], "readings: .*: expected 1, found 0"),
            (MICRO, "readings", "x", "readings: .*: expected 1, found 'x'"),
            (MICRO, "readings.0", 7, r"readings\[0\]: .*: expected an object, found 7"),
            (MICRO, "readings.0.values", 7, r"readings\[0\]\.values: .*: expected an object"),
            (
                MICRO,
                "readings.0.values.active_power",
                600,
                r"\.active_power: follows from fields\.active_power: edit that: .* 4, found 600",
            ),
            (
                MICRO,
                "readings.0.values.pv_power",
                600,
                "from fields.pv1_voltage, fields.pv1_current, fields.pv2_voltage and fields.pv2_cu",
            ),
            (MICRO, "readings.0.values.soc", 1, "soc: .* header and fields: .* nothing, found 1"),
            (MICRO, "readings.0.device", "x", "follows from fields.inverter_serial"),
            (MICRO, "readings.0.via", "x", "follows from header.logger_serial"),
            (MICRO, "readings.0.kind", "x", "follows from header.control_code"),
            (MICRO, "readings.0.historic", True, "follows from fields.frame_type"),
            (MICRO, "readings.0.time", None, "fields.total_working_time and fields.offset_time"),
            (
                told(raw("micro-5408-historic")),
                "readings.0.time_source",
                "device",
                r"readings\[0\]\.time_source: follows from fields\.total_working_time",
            ),
            (told(raw("tsun-wifi")), "readings.0.device", "x", "from header.logger_serial"),
            (
                told(raw("dcu-data-3026")),
                "readings.0.values.battery_current",
                3,
                r"follows from fields\.battery_current \(which counts the other way round\)",
            ),
            (STATUS, "name", "record", "follows from header.direction and header.command"),
            (STATUS, "device", "x", "device: follows from fields.SN"),
            (STATUS, "header.crc", 1, "header.crc: follows from"),
            (STATUS, "readings.0.values.state_of_charge", 1, "from fields.SOC: edit that"),
            (STATUS, "readings.0.values.fault", "x", "from fields.ErrInv"),
            (
                STATUS,
                "readings.0.values.load_power",
                1,
                "follows from fields.PrealL1, fields.PrealL2, .* and fields.PmeterDC: edit",
            ),
            (STATUS, "readings.0.time", "2021-03-24T00:00:00Z", "from fields.Time: edit that"),
            (STATUS, "readings.0.via", "x", "via: follows from header and fields"),
            (STORED, "readings.2.values.battery_voltage", 1, r"rows\[2\]\[30\] \(BatV\)"),
            (STORED, "readings.1.device", "x", r"fields\.rows\[1\]\[2\] \(SN\)"),
            (STORED, "readings.1.historic", False, "header.direction and header.command"),
            (EVENTS, "fields.events", [], r"fields\.events: is read out of MsgContent: change"),
            (told(ALPHA["login"]), "device", "x", "follows from fields.UserName"),
        ],
    )
    def test_an_edit_of_it_is_an_error_that_names_what_to_edit(
        self, shown: Json, path: str, value: object, complaint: str
    ) -> None:
        with pytest.raises(FieldError, match=complaint):
            encode(put(shown, path, value))

    def test_a_quantity_that_is_left_out_of_a_reading_is_an_edit(self) -> None:
        readings = deepcopy(MICRO["readings"])
        del readings[0]["values"]["active_power"]
        with pytest.raises(FieldError, match=r"active_power: .*: expected 4, found nothing"):
            encode({**MICRO, "readings": readings})

    def test_it_may_stay_as_it_was_or_be_as_it_will_be(self) -> None:
        edited = put(MICRO, "fields.active_power", 600)
        edited = put(edited, "header.logger_serial", 1)
        after = told(encode(edited))
        for key in ("device", "readings", "problems", "length"):
            assert encode({**edited, key: after[key]}).hex() == after["raw"]
        assert encode(after).hex() == after["raw"]
        with pytest.raises(FieldError, match=r"values\.active_power: follows from fields"):
            encode(put(edited, "readings.0.values.active_power", 601))

    def test_a_reading_of_a_time_that_the_device_did_not_tell_is_passed_over(self) -> None:
        dated = put(put(STATUS, "readings.0.time", "x"), "readings.0.time_source", "arrival")
        assert encode(dated).hex() == STATUS["raw"]


OUT_OF_RANGE = [
    ("grid_frequency", 655.36, "out of range: expected 0.0 to 655.35 in steps of 0.01"),
    ("grid_frequency", 50.0102, "not a step of the scale: expected 0.0 to 655.35 in steps of 0.01"),
    ("grid_frequency", 50.005, "not a step"),
    ("grid_frequency", float("nan"), "out of range"),
    ("grid_frequency", float("inf"), "out of range"),
    ("grid_frequency", 10**400, "out of range"),
    ("grid_frequency", "230.40", "not a number: expected 0.0 to 655.35 .*, found '230.40'"),
    ("grid_frequency", True, "not a number"),
    ("grid_frequency", None, "not a number"),
    ("grid_frequency", [1], "not a number"),
    ("grid_frequency", {}, "not a number"),
    ("active_power", -1, "out of range: expected 0 to 4294967295 in steps of 1, found -1"),
    ("active_power", 0.5, "not a step"),
    ("energy_total", 0, "stands for 'no reading'"),
    ("inverter_serial", "12345678901", "cannot be written: expected text 10"),
    ("inverter_serial", 2301234567, "cannot be written"),
    ("inverter_serial", "\ud800", "cannot be written"),
    ("inverter_clock", "2023-02-29 00:00:00", "cannot be written: expected clock 6"),
    ("inverter_clock", 5, "cannot be written"),
    ("unknown_41", "0102", "not behind the last whole field: expected 4 bytes, found 2 bytes"),
    ("unknown_41", "01020304ff", "cannot be written: expected bytes 4"),
    ("unknown_41", "zz", "not bytes: expected hexadecimal text, found zz"),
    ("unknown_41", 7, "cannot be written"),
    ("unknown_316", 7, "not bytes"),
    ("unknown_999", "00", "no field of this layout"),
    ("foo", 1, "no field of this layout: expected micro_inverter, found 'foo'"),
]


class TestRefused:
    @pytest.mark.parametrize(("field", "value", "complaint"), OUT_OF_RANGE)
    def test_a_value_that_its_field_cannot_carry(
        self, field: str, value: object, complaint: str
    ) -> None:
        with pytest.raises(FieldError, match=f"^fields.{field}: {complaint}") as caught:
            encode(put(MICRO, f"fields.{field}", value))
        assert caught.value.field == f"fields.{field}"

    @pytest.mark.parametrize(
        ("shown", "path", "value", "complaint"),
        [
            (MICRO, "header.sequence", [1], "header.sequence: not a pair"),
            (MICRO, "header.sequence", 5, "header.sequence: not a pair"),
            (
                MICRO,
                "header.sequence",
                [1, 256],
                r"header.sequence\[1\]: out of range: .* 0 to 255",
            ),
            (MICRO, "header.sequence", [True, 2], r"header.sequence\[0\]: not a number"),
            (MICRO, "header.control_code", 0x1_0000, "header.control_code: out of range"),
            (MICRO, "header.control_code", 0x4710, "fields.sensor_type: no field of this layout"),
            (MICRO, "header.logger_serial", "27", "header.logger_serial: not a number"),
            (MICRO, "header.logger_serial", -1, "header.logger_serial: out of range"),
            (MICRO, "header.serial", 1, "header.serial: no part of it: expected payload_length"),
            (MICRO, "header", None, "header: not an object"),
            (MICRO, "fields", [], "fields: not an object"),
            (MICRO, "fields.sensor_type", 0x5411, "fields.unknown_31: no field of this layout"),
            (MICRO, "raw", "a5", "raw: incomplete frame"),
            (MICRO, "raw", "zz", "raw: not bytes: expected hexadecimal text, found 'zz'"),
            (MICRO, "raw", 5, "raw: not bytes"),
            (MICRO, "raw", "ff", "raw: bad start marker at offset 0"),
            (MICRO, "family", "growatt", "family: not known: expected deye or alphaess"),
            (MICRO, "family", ["deye"], "family: not known"),
            (MICRO, "family", "alphaess", "raw: bad version at offset 0"),
            (
                MICRO,
                "type",
                "reading",
                "type: not known: expected frame, unframed, payload, modbus",
            ),
            (MICRO, "type", ["frame"], "type: not known"),
            (READ_REPLY, "fields.modbus.registers", [65536], "fields.modbus.registers: does not"),
            (READ_REPLY, "fields.modbus.registers", [], "fields.modbus.registers: do not fit"),
            (READ_REPLY, "fields.modbus.registers", 1, "fields.modbus.registers: do not fit"),
            (READ_REPLY, "fields.modbus.nix", 1, "fields.modbus.nix: is out of place"),
            (READ_REPLY, "fields.modbus", 4, "fields.modbus: not an object"),
            (READ_REPLY, "fields.at", "+ok", "fields.at: not in a command of this frame type"),
            (READ_REPLY, "fields.unknown_14", "00", "fields.modbus: would be read back otherwise"),
            (STATUS, "header.version", 2, "header.version: out of range: expected 1 to 1"),
            (STATUS, "header.direction", 3, "header.direction: out of range: expected 1 to 2"),
            (STATUS, "header.command", 1.5, "header.command: not a step"),
            (STATUS, "fields.SOC", 1e16, "fields.SOC: out of range: expected -1000000000000000 to"),
            (STATUS, "fields.SOC", float("nan"), "fields.SOC: out of range"),
            (STATUS, "fields.SN", "\ud800", "fields.SN: cannot be written"),
            (STATUS, "fields.SN", "x" * 70_000, "fields: no frame holds them"),
            (STORED, "fields.rows.0.0", "a,b", "fields.rows: no cell: .*, found 'a,b'"),
            (STORED, "fields.rows.0", 5, "fields.rows: not a list"),
            (STORED, "fields.columns", None, "fields.columns: not a list"),
            (STORED, "fields.more", 1, "fields.more: not in a table"),
        ],
    )
    def test_what_is_no_value_or_out_of_place(
        self, shown: Json, path: str, value: object, complaint: str
    ) -> None:
        with pytest.raises(ProtocolError, match=f"^{complaint}"):
            encode(put(shown, path, value))

    def test_a_hole_in_a_v5_payload(self) -> None:
        complaint = "fields.active_power: cannot be left out before radiator_temperature"
        with pytest.raises(FieldError, match=complaint):
            encode(without(MICRO, "fields.active_power"))

    def test_a_first_one_of_repeated_keys_that_is_left_out(self) -> None:
        with pytest.raises(FieldError, match="Generator#2: would be read back otherwise"):
            encode(without(TWICE, "fields.Generator"))

    def test_a_middle_one_of_repeated_keys_that_is_left_out(self) -> None:
        thrice = AlphaFrame(1, 1, 4, b'{"Fan":"a","Fan":"b","Fan":"c"}').build()
        with pytest.raises(FieldError, match=r"Fan#2: would be .*: expected b, found c"):
            encode(without(told(thrice), "fields.Fan"))

    def test_raw_bytes_that_were_edited(self) -> None:
        changed = bytearray(raw("micro-5408-realtime"))
        changed[60] ^= 1
        with pytest.raises(ProtocolError, match="raw: bad checksum at offset 341"):
            encode({**MICRO, "raw": changed.hex()})

    @pytest.mark.parametrize("shown", [None, [], "x", 5, [MICRO]])
    def test_what_is_no_object(self, shown: Any) -> None:  # noqa: ANN401 - anything
        with pytest.raises(ProtocolError, match="not an object"):
            encode(shown)

    def test_values_nested_beyond_all_measure(self) -> None:
        deep: Any = 0
        for _ in range(100_000):
            deep = [deep]
        for path in ("fields.active_power", "fields.inverter_serial", "readings", "raw"):
            with pytest.raises(ProtocolError, match=r"nested deeper|follows|no"):
                encode(put(MICRO, path, deep))
        with pytest.raises(ProtocolError, match=r"nested deeper|SOC"):
            encode(put(STATUS, "fields.SOC", deep))


class TestRefusedBytes:
    def test_unknown_bytes_of_a_wrong_length_are_told_in_hexadecimal(self) -> None:
        shown = told(raw("micro-5408-realtime"))
        name = next(name for name in shown["fields"] if name.startswith("unknown_"))
        with pytest.raises(FieldError, match=r"found abcdefabcdef$"):
            encode(put(shown, f"fields.{name}", "abcdefabcdef"))


class TestFromNothing:
    @pytest.mark.parametrize("name", SINGLE)
    def test_header_and_fields_alone_make_a_frame_that_says_the_same(self, name: str) -> None:
        shown = told(SINGLE[name])
        made = told(encode({key: shown[key] for key in ("header", "fields")}))
        assert made["fields"] == shown["fields"]
        assert made["name"] == shown["name"]
        assert made["readings"] == shown["readings"]

    @pytest.mark.parametrize("name", sorted(VALID, key=len)[:12])
    def test_where_nothing_hides_in_the_padding_it_is_the_same_frame(self, name: str) -> None:
        assert encode(without(told(raw(name)), "raw")) == raw(name)

    def test_what_followed_from_the_bytes_is_passed_over(self) -> None:
        edited = put(without(MICRO, "raw"), "fields.active_power", 600)
        again = told(encode(edited))
        assert again["fields"] == edited["fields"]

    def test_the_name_may_stand_for_the_control_code(self) -> None:
        shown = {"name": "heartbeat", "header": {"logger_serial": 2712345678}}
        made = told(encode(shown))
        assert made["header"]["control_code"] == 0x4710
        assert made["header"]["sequence"] == [0, 0]
        assert made["fields"] == {}

    def test_the_name_may_stand_for_direction_and_command(self) -> None:
        shown = {"family": "alphaess", "name": "status", "fields": {"SN": "x", "SOC": 50.5}}
        assert encode(shown)[7:-2] == b'{"SN":"x","SOC":"50.5"}'
        assert encode({"family": "alphaess", "name": "keep_alive"}) == ALPHA["keep-alive"]

    def test_commands_are_made_as_the_library_makes_them(self) -> None:
        header = {"control_code": 0x4510, "logger_serial": 5, "sequence": [3, 2]}
        fields = {"frame_type": 1, "sensor_type": 2, "at": "AT+Z\r"}
        made = encode({"header": header, "fields": fields})
        assert made == command(AT_KIND, "AT+Z\r", 5, (3, 2), 2).build()
        read = {"slave": 1, "function": 3, "address": 60, "quantity": 57}
        fields = {"frame_type": 2, "modbus": read}
        made = encode({"header": header, "fields": fields})
        assert made == command(MODBUS_KIND, read, 5, (3, 2)).build()

    def test_the_answer_to_a_power_command_is_hexadecimal(self) -> None:
        header = {"control_code": 0x1510, "logger_serial": 5}
        fields = {"frame_type": 5, "status": 1, "output_power_reply": "010101"}
        assert encode({"header": header, "fields": fields})[-5:-2] == b"\1\1\1"
        for wrong in ("0", 7, None):
            fields["output_power_reply"] = wrong
            with pytest.raises(FieldError, match=r"^fields\.output_power_reply: not bytes"):
                encode({"header": header, "fields": fields})

    @pytest.mark.parametrize(
        ("shown", "complaint"),
        [
            ({}, "family: is missing: expected deye or alphaess, found none"),
            ({"header": 5}, "family: is missing"),
            ({"header": {"nix": 1}}, "family: is missing"),
            ({"name": "heartbeat"}, "family: is missing"),
            ({"family": "deye"}, "header.control_code: is missing"),
            ({"family": "deye", "name": "status"}, "header.control_code: is missing"),
            ({"family": "deye", "name": "data"}, "header.logger_serial: is missing"),
            ({"family": "alphaess", "name": "data"}, "header.direction: is missing"),
            ({"family": "alphaess", "header": {"direction": 1}}, "header.command: is missing"),
            ({"family": "deye", "header": {"control_code": None}}, "header.logger_serial: is miss"),
            ({"type": "unframed"}, "raw: is missing: expected the bytes in hexadecimal"),
        ],
    )
    def test_what_cannot_be_guessed_must_be_said(self, shown: Json, complaint: str) -> None:
        with pytest.raises(FieldError, match=f"^{complaint}"):
            encode(shown)


def payload_told(kind: str, payload: bytes) -> Json:
    """Return what a payload without a frame says, as JSON has it."""
    shown: Json = json.loads(json.dumps(decode_payload(kind, payload).to_json()))
    return shown


def modbus_told(data: bytes) -> list[Json]:
    """Return what Modbus messages say, as JSON has it."""
    return [json.loads(json.dumps(one.to_json())) for one in decode_modbus(data)]


class TestWithoutAFrame:
    @pytest.mark.parametrize("name", VALID)
    def test_an_unedited_v5_payload_gives_the_same_bytes(self, name: str) -> None:
        payload = frame(name).payload
        assert encode(payload_told(f"{frame(name).control_code:#x}", payload)) == payload

    @pytest.mark.parametrize("name", GOOD_ALPHA)
    def test_an_unedited_alphaess_payload_gives_the_same_bytes(self, name: str) -> None:
        payload = ALPHA[name][7:-2]
        kind = f"alphaess:{told(ALPHA[name])['name']}"
        assert encode(payload_told(kind, payload)) == payload

    def test_an_edited_field_changes_its_bytes_only(self) -> None:
        payload = frame("micro-5408-realtime").payload
        shown = payload_told("0x5408", payload)
        made = encode(put(shown, "fields.active_power", 600))
        assert payload_told("0x5408", made)["fields"]["active_power"] == 600
        assert made[:59] + payload[59:61] + made[61:] == payload
        assert encode(without(put(shown, "fields.active_power", 600), "kind")) == made

    def test_a_payload_that_is_not_of_its_kind_is_given_back_but_not_edited(self) -> None:
        payload = frame("micro-5408-realtime").payload
        shown = payload_told("0x5411", payload)
        assert encode(shown) == payload
        with pytest.raises(FieldError, match="fields: cannot be edited, as the payload says"):
            encode(put(shown, "fields.frame_type", 9))

    @pytest.mark.parametrize(
        ("key", "value", "complaint"),
        [
            ("kind", "deye:tea", "kind: not known"),
            ("kind", 7, "kind: not known"),
            ("family", "alphaess", "family: follows from kind"),
            ("length", 7, "length: follows from"),
            ("readings", [], "readings: follows from"),
            ("raw", None, "raw: is missing"),
        ],
    )
    def test_all_but_fields_of_a_payload_is_no_place_for_edits(
        self, key: str, value: object, complaint: str
    ) -> None:
        shown = payload_told("0x5408", frame("micro-5408-realtime").payload)
        with pytest.raises(FieldError, match=complaint):
            encode(put(shown, key, value))

    def test_an_edited_reading_of_a_payload_names_its_field(self) -> None:
        shown = payload_told("0x5408", frame("micro-5408-realtime").payload)
        shown["readings"][0]["values"]["active_power"] = 5000
        with pytest.raises(FieldError, match=r"follows from fields\.active_power: edit that"):
            encode(shown)

    def test_modbus_messages_give_the_same_bytes(self) -> None:
        data = BARE_MODBUS_REQUEST + BARE_MODBUS
        shown = modbus_told(data)
        assert "address" in shown[1]["fields"]
        assert b"".join(map(encode, shown)) == data
        assert encode(without(shown[0], "fields")) == BARE_MODBUS_REQUEST

    def test_an_edited_modbus_message_is_refused_and_says_what_can_be_done(self) -> None:
        shown = modbus_told(BARE_MODBUS_REQUEST)[0]
        with pytest.raises(FieldError, match="leave fields out: expected 170, found 9"):
            encode(put(shown, "fields.address", 9))

    def test_an_unknown_type_is_refused(self) -> None:
        with pytest.raises(FieldError, match="frame, unframed, payload, modbus"):
            encode({"type": "tea"})


class TestUnframed:
    @pytest.mark.parametrize("key", ["header", "fields"])
    def test_a_frame_called_unframed_is_refused_as_its_edits_would_be_lost(self, key: str) -> None:
        shown = told(raw("heartbeat"))
        shown = {"type": "unframed", "raw": shown["raw"], key: shown[key]}
        with pytest.raises(FieldError, match=f"{key}: no part of what is unframed"):
            encode(shown)

    def broken(self) -> Json:
        """Return a heartbeat whose serial somebody overwrote."""
        data = bytearray(raw("heartbeat"))
        data[7] ^= 1
        shown = told(bytes(data))
        assert shown["tentative"]["header"]["checksum"] == 0x12
        return shown

    def test_its_bytes_come_back(self) -> None:
        for data in (b"AT+OK\r\n", b"\xff" * 9, raw("heartbeat")[:9]):
            assert encode(told(data)) == data
        assert encode({"type": "unframed", "raw": ""}) == b""

    def test_what_it_might_say_comes_back_with_its_wrong_checksum(self) -> None:
        shown = self.broken()
        assert encode(shown).hex() == shown["raw"]
        assert encode(without(shown, "tentative")).hex() == shown["raw"]

    def test_edited_it_becomes_a_frame(self) -> None:
        edited = put(self.broken(), "tentative.header.logger_serial", 2712345678)
        assert encode(edited) == raw("heartbeat")

    def test_the_right_checksum_makes_it_a_frame_too(self) -> None:
        edited = put(self.broken(), "tentative.header.checksum", 0x11)
        made = told(encode(put(edited, "tentative.header.checksum", 0x13)))
        assert made["type"] == "frame"
        with pytest.raises(FieldError, match=r"^tentative\.header\.checksum: follows"):
            encode(put(edited, "tentative.header.checksum", 0x55))

    def test_masked_digits_can_be_filled_in(self) -> None:
        data = bytearray(raw("heartbeat"))
        data[7:11] = bytes(4)
        (item,) = StreamDecoder(DEYE.framing).pass_over(bytes(data), range(7, 11))
        decoder = Decoder()
        (found,) = decoder.feed_masked(bytes(data), range(7, 11))
        shown = found.to_json()
        assert not isinstance(item, Framed)
        assert encode(shown) == bytes(data)
        edited = put(shown, "tentative.header.logger_serial", 2712345678)
        assert encode(edited) == raw("heartbeat")

    @pytest.mark.parametrize(
        ("path", "value", "complaint"),
        [
            ("length", 15, "length: follows from raw: edit that"),
            ("raw", None, "raw: is missing"),
            ("tentative", 5, "tentative: not an object"),
            ("tentative.name", "data", "tentative.name: follows from header.control_code"),
            ("tentative.fields.frame_type", 256, "tentative.fields.frame_type: out of range"),
            ("tentative.header", 5, "tentative.header: not an object"),
        ],
    )
    def test_what_is_wrong_is_told(self, path: str, value: object, complaint: str) -> None:
        with pytest.raises(FieldError, match=f"^{complaint}"):
            encode(put(self.broken(), path, value))


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (True, True, True),
        (None, None, True),
        (None, 0, False),
        ("1", 1, False),
        ([1.0, "a"], [1, "a"], True),
        ([1], [1, 2], False),
        ([1], 1, False),
        ({"a": 1, "b": [2]}, {"b": [2.0], "a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": 1}, [1], False),
        ({"a": True}, {"a": 1}, False),
    ],
)
def test_values_are_alike_if_they_say_the_same(old: object, new: object, same: bool) -> None:  # noqa: FBT001
    assert alike(old, new) is same


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def paths(value: object, path: tuple[str, ...] = ()) -> list[str]:
    """Return the paths of all that is in an object."""
    found = [".".join(path)] if path else []
    inner: Any = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    for key, part in inner:
        if "." not in str(key):
            found += paths(part, (*path, str(key)))
    return found


HOSTS = [MICRO, READ_REPLY, STATUS, STORED, EVENTS, TWICE, told(raw("tsun-at-reply"))]
HOSTS += [
    told(ALPHA[name]) for name in ("malformed-json", "record", "config-from-cloud", "bad-crc")
]
PATHS = [(host, path) for host in HOSTS for path in [*paths(host), "fields.new", "header.new"]]


@given(st.sampled_from(PATHS), anything, st.booleans())
def test_whatever_stands_in_the_object_it_is_bytes_or_a_clear_error(
    place: tuple[Json, str],
    value: object,
    keep_raw: bool,  # noqa: FBT001 - drawn
) -> None:
    host, path = place
    if path.startswith(("fields.", "header.")) and "tentative" in host:
        path = f"tentative.{path}"
    changed = put(host, path, value)
    if not keep_raw and path != "raw":
        del changed["raw"]
    made = bytes_or_complaint(changed)
    assert b"".join(found.item.raw for found in decode(made or b"")) == (made or b"")


def bytes_or_complaint(shown: Any) -> bytes | None:  # noqa: ANN401 - anything
    """Return what is made of an object; None where an error says what is wrong with it."""
    try:
        return encode(shown)
    except ProtocolError as error:
        if not str(error):
            raise
        return None


@given(anything)
def test_any_value_at_all_is_bytes_or_a_clear_error(value: object) -> None:
    assert bytes_or_complaint(value) is None or isinstance(value, dict)
