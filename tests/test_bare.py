"""Payloads and Modbus messages without a frame around them say what they say inside one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverterproto.bare import decode_modbus, decode_payload
from inverterproto.decoding import Decoded, decode
from inverterproto.deye.layouts import MODULES, layout_of
from inverterproto.deye.modbus import FUNCTIONS, Reply, Request
from inverterproto.deye.rtu import split
from inverterproto.errors import FieldError
from inverterproto.families import ALPHAESS, DEYE, FAMILIES, Family
from tests.vectors import BARE_MODBUS, BARE_MODBUS_REQUEST, VALID, fixtures, frame, raw

ALPHA = fixtures("alphaess")
MICRO = frame("micro-5408-realtime").payload
REPLY, REQUEST = BARE_MODBUS, BARE_MODBUS_REQUEST
STATUS = ALPHA["status-1"][7:-2]


def said(found: Decoded) -> list[tuple[int, bytes, str, object]]:
    """Return what the rows of a message tell."""
    assert found.message is not None
    rows = found.message.rows(found.item.raw)
    return [(row.offset, row.raw, row.field.name, row.value) for row in rows]


class TestPayloads:
    @pytest.mark.parametrize("name", VALID)
    def test_of_every_real_v5_frame_says_what_the_frame_says(self, name: str) -> None:
        (whole,) = decode(raw(name))
        code = frame(name).control_code
        found = decode_payload(f"deye:{code:#x}", frame(name).payload)
        shown, expected = found.to_json(), whole.to_json()
        assert shown["fields"] == expected["fields"]
        assert shown["name"] == expected["name"]
        assert shown["raw"] == raw(name)[11:-2].hex()
        values = [reading["values"] for reading in shown["readings"]]
        assert values == [reading["values"] for reading in expected["readings"]]
        assert b"".join(part for _, part, _, _ in said(found)) == frame(name).payload

    @pytest.mark.parametrize("name", [n for n in ALPHA if n != "bad-crc"])
    def test_of_every_real_alphaess_frame_says_what_the_frame_says(self, name: str) -> None:
        (whole,) = decode(ALPHA[name])
        assert whole.message is not None
        found = decode_payload(f"alphaess:{whole.message.name}", ALPHA[name][7:-2])
        assert found.to_json()["fields"] == whole.to_json()["fields"]
        assert all(found.item.raw[at : at + len(part)] == part for at, part, _, _ in said(found))

    def test_the_sensor_type_alone_names_a_data_payload(self) -> None:
        found = decode_payload("0x5408", MICRO)
        shown = found.to_json()
        assert list(shown) == [
            *("type", "offset", "length", "family", "kind", "name"),
            *("fields", "readings", "problems", "raw"),
        ]
        assert (shown["type"], shown["offset"], shown["length"]) == ("payload", 0, 330)
        (reading,) = shown["readings"]
        assert (reading["device"], reading["via"]) == ("2301234567", None)
        assert reading["time"] == "2024-04-08T17:14:03Z"
        assert shown["problems"] == []
        assert found.message is not None
        assert found.message.problems == ()
        assert found.message.readings()[0].values == found.readings[0].values
        by_name = decode_payload("micro_inverter", MICRO).to_json()
        assert by_name == {**shown, "kind": "deye:micro_inverter"}
        assert decode_payload("21512", MICRO).to_json() == {**shown, "kind": "deye:21512"}

    def test_a_sensor_type_that_differs_is_told_and_the_asked_one_taken(self) -> None:
        found = decode_payload("0x5411", MICRO)
        assert found.problems[0] == "the payload says sensor type 0x5408, not 0x5411"
        assert found.to_json()["fields"]["sensor_type"] == 0x5408
        assert "battery_voltage" in found.to_json()["fields"]
        short = decode_payload("0x5408", b"\1")
        assert short.problems == ("the payload says no sensor type, not 0x5408",)

    def test_what_only_the_envelope_tells_is_not_told(self) -> None:
        shown = decode_payload("deye:handshake", frame("handshake-130").payload).to_json()
        (reading,) = shown["readings"]
        assert (reading["device"], reading["via"]) == (None, None)

    def test_a_battery_has_its_serial_and_with_its_offset_its_time(self) -> None:
        for kind in ("alphaess:16", "alphaess:status"):
            undated = decode_payload(kind, STATUS).to_json()["readings"][0]
            assert undated["device"].startswith("AL")
            assert undated["time"] is None
            dated = decode_payload(kind, STATUS, clock_offset=36000).to_json()["readings"][0]
            assert dated["time"] == "2021-03-24T00:01:52Z"

    @pytest.mark.parametrize(
        "kind",
        ["", "0x1234", "nonsense", "deye:", "deye:status", "alphaess:17", "alphaess:wifi", "x:1"],
    )
    def test_a_kind_that_is_not_known_is_told_with_those_that_are(self, kind: str) -> None:
        with pytest.raises(FieldError, match="payload: no known kind: expected ") as caught:
            decode_payload(kind, b"")
        known = "status" if kind.startswith("alphaess") else "0x5408"
        assert known in str(caught.value)

    @pytest.mark.parametrize("family", FAMILIES.values(), ids=str)
    def test_every_kind_that_is_told_is_known(self, family: Family) -> None:
        assert len(family.payload_kinds) > 15
        for kind in family.payload_kinds:
            found = decode_payload(f"{family.name}:{kind}", b"")
            assert found.family is family
            assert said(found) == []

    def test_the_kinds_are_those_of_the_tables(self) -> None:
        assert {f"{sensor_type:#06x}" for sensor_type in MODULES} <= set(DEYE.payload_kinds)
        assert set(DEYE.message_names) <= set(DEYE.payload_kinds)
        assert set(ALPHAESS.message_names) <= set(ALPHAESS.payload_kinds)

    @given(
        st.sampled_from(
            [f"deye:{k}" for k in DEYE.payload_kinds]
            + [f"alphaess:{k}" for k in ALPHAESS.payload_kinds]
        ),
        st.binary(max_size=400),
    )
    def test_any_bytes_are_decoded_as_any_kind(self, kind: str, data: bytes) -> None:
        found = decode_payload(kind, data)
        assert json.loads(json.dumps(found.to_json()))["raw"] == data.hex()
        assert all(data[at : at + len(part)] == part for at, part, _, _ in said(found))

    def test_a_layout_says_how_long_its_payload_should_be(self) -> None:
        layout = layout_of(0x5408)
        assert layout is not None
        found = decode_payload("0x5408", MICRO).message
        assert getattr(found, "expected_size", None) == layout.size


def shown(data: bytes) -> list[tuple[str, dict[str, object], list[str]]]:
    """Return name, fields and problems of each message, and the reason of what is none."""
    found = [one.to_json() for one in decode_modbus(data)]
    assert b"".join(bytes.fromhex(one["raw"]) for one in found) == data
    return [
        (one["name"], one["fields"], one["problems"])
        if one["type"] == "modbus"
        else ("-", {}, [one["reason"]])
        for one in found
    ]


class TestModbus:
    def test_a_request_and_the_reply_behind_it_are_put_together(self) -> None:
        assert shown(REQUEST + REPLY) == [
            ("request", {"slave": 1, "function": 3, "address": 170, "quantity": 1}, []),
            ("reply", {"slave": 1, "function": 3, "registers": [266], "address": 170}, []),
        ]

    def test_a_reply_alone_does_not_tell_its_registers(self) -> None:
        ((name, fields, problems),) = shown(REPLY)
        assert (name, fields) == ("reply", {"slave": 1, "function": 3, "registers": [266]})
        assert problems == ["a reply alone does not tell which registers these are"]

    def test_a_request_that_it_does_not_answer_tells_nothing_of_a_reply(self) -> None:
        for asked in (
            Request(2, 3, 170, 1),
            Request(1, 4, 170, 1),
            Request(1, 3, 170, 2),
        ):
            _, (_, fields, problems) = shown(asked.build() + REPLY)
            assert "address" not in fields
            assert problems == ["a reply alone does not tell which registers these are"]

    def test_coils_come_in_bytes(self) -> None:
        reply = Reply(1, 1, coils=(True,) * 16).build()
        ((_, _, problems),) = shown(reply)
        assert problems == ["a reply alone does not tell which coils these are"]
        _, (_, fields, problems) = shown(Request(1, 1, 5, 9).build() + reply)
        assert (fields["address"], problems) == (5, [])

    def test_a_write_and_its_echo_have_the_same_bytes(self) -> None:
        write = Request(1, 6, 40, registers=(1,)).build()
        (first, second) = shown(write + write)
        assert first[0] == "request"
        assert first[2] == ["a reply may have the same bytes"]
        assert (second[0], second[2]) == ("reply", [])

    def test_a_write_of_many_and_its_reply(self) -> None:
        write = Request(1, 16, 40, registers=(1, 2))
        answer = Reply(1, 16, 40, 2)
        assert [one[0] for one in shown(write.build() + answer.build())] == ["request", "reply"]

    def test_quirks_and_exceptions_are_told(self) -> None:
        data = REPLY + b"\0\0" + bytes.fromhex("ff018302c0f1") + REPLY
        assert [(name, problems[:-1]) for name, _, problems in shown(data)] == [
            ("reply", ["second CRC behind the Modbus message"]),
            ("exception", ["stray byte 0xFF in front of the Modbus message"]),
            ("reply", []),
        ]

    def test_zeros_behind_a_request_are_no_second_crc(self) -> None:
        assert [one[0] for one in shown(REQUEST + b"\0\0")] == ["request", "-"]

    def test_an_error_of_the_stick_stands_alone(self) -> None:
        ((name, fields, problems),) = shown(b"\x05\x00")
        assert (name, fields) == ("stick_error", {"stick_error": 5})
        assert problems == ["error 5 of the logger stick itself"]
        assert [one[0] for one in shown(REPLY + b"\x05\x00")] == ["reply", "-"]

    def test_a_function_that_is_not_known_is_kept_raw(self) -> None:
        from inverterproto.deye.modbus import Unknown

        message = Unknown(1, 0x2B, b"\x0e\x01\x00").build()
        ((name, fields, _),) = shown(message)
        bare_ = Unknown(1, 0x2B, b"").build()
        assert [name for one in decode_modbus(bare_) for _, _, name, _ in said(one)] == [
            *("slave", "function", "crc")
        ]
        assert (name, fields) == ("unknown", {"slave": 1, "function": 0x2B, "data": "0e0100"})

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (REPLY[:-1] + b"\0", "Modbus CRC at offset 5: expected 0xd339, found 0x0039"),
            (REPLY[:-1], "Modbus message cut at offset 6: expected 7, found 6"),
            (b"\x01\x77\x01\x02\x03", "no Modbus RTU message"),
            (b"\xff", "no Modbus RTU message"),
        ],
    )
    def test_what_is_no_message_is_told_with_its_reason(self, data: bytes, reason: str) -> None:
        assert shown(data) == [("-", {}, [reason])]
        assert shown(REQUEST + data + REQUEST)[1][0] == "-"

    def test_each_byte_has_its_row(self) -> None:
        data = REQUEST + REPLY + b"\0\0" + bytes.fromhex("ff018302c0f1") + b"\x11"
        for one in decode_modbus(data):
            if one.is_frame:
                assert b"".join(part for _, part, _, _ in said(one)) == one.item.raw
                assert one.message is not None
                assert [*one.message.records(), *one.message.readings(), *one.readings] == []
                assert one.message.sender is one.message.device is None
                assert one.message.problems == one.problems
        (error,) = decode_modbus(b"\x05\x00")
        assert said(error) == [(0, b"\x05\x00", "stick_error", 5)]

    def test_registers_have_their_addresses_where_the_request_told_them(self) -> None:
        names = [name for one in decode_modbus(REQUEST + REPLY)[1:] for _, _, name, _ in said(one)]
        assert names == ["slave", "function", "byte_count", "0x00aa", "crc"]
        names = [name for one in decode_modbus(REPLY) for _, _, name, _ in said(one)]
        assert names == ["slave", "function", "byte_count", "register_0", "crc"]

    @given(
        st.lists(
            st.sampled_from([REQUEST, REPLY, b"\0\0", b"\xff", b"\x01\x83\x02\xc0\xf1"])
            | st.binary(max_size=30)
        )
    )
    def test_nothing_is_lost(self, parts: list[bytes]) -> None:
        data = b"".join(parts)
        assert b"".join(part.raw for part in split(data)) == data
        for one in decode_modbus(data):
            json.dumps(one.to_json())
            if one.is_frame:
                assert b"".join(part for _, part, _, _ in said(one)) == one.item.raw

    def test_every_function_s_request_is_found(self) -> None:
        for function, known in FUNCTIONS.items():
            if function in (1, 2, 3, 4):
                request = Request(7, function, 1, 2).build()
                assert shown(request * 2)[1][0] == "request", known.name
