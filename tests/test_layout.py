"""The layout engine: one declaration, two parsers, a builder, and no byte without a name."""

from decimal import Decimal
from math import inf, nan
from typing import Any

import pytest
from construct import Int8sl, Int8ul, Int16sb, Int16ub, Int16ul, Int32sl, Int32ub
from hypothesis import given
from hypothesis import strategies as st

from inverterproto.deye.layouts import MODULES, layout_of
from inverterproto.errors import FieldError
from inverterproto.layout import (
    Clock,
    Field,
    Layout,
    Mac,
    Octets,
    Raw,
    Text,
    Values,
    decode_text,
    measured,
)

TOY = Layout(
    "toy",
    "One field of each kind",
    (
        Field(0, "u8", Int8ul),
        Field(1, "s8", Int8sl, "10", unit="W"),
        measured(2, "grid_voltage_l1", Int16ul, "1/10"),
        Field(4, "s16be", Int16sb, "1/100"),
        # a gap: 6, 7
        Field(8, "u32be", Int32ub, "1/1000", absent=(0, 0xFFFFFFFF)),
        Field(12, "s32le", Int32sl, bias=40),
        Field(16, "percent", Int16ub, "100/1024"),
        Field(18, "text", Text(6)),
        Field(24, "spaced", Text(4, pad=b" ")),
        Field(28, "clock", Clock),
        Field(34, "mac", Mac),
        Field(40, "raw", Raw(3)),
    ),
)
PAYLOAD = bytes.fromhex(
    "07 fe 1009 ff38 abcd 000003e9 28000000 0200 313233000000 34202020 18040811090a"
    "020000a1b2c3 0a0b0c"
)
VALUES: Values = {
    "u8": 7,
    "s8": -20,
    "grid_voltage_l1": 232.0,
    "s16be": -2.0,
    "unknown_6": b"\xab\xcd",
    "u32be": 1.001,
    "s32le": 0,
    "percent": 50.0,
    "text": "123",
    "spaced": "4",
    "clock": "2024-04-08 17:09:10",
    "mac": "02:00:00:a1:b2:c3",
    "raw": b"\n\x0b\x0c",
}


def registered(sensor_type: int) -> Layout:
    layout = layout_of(sensor_type)
    assert layout is not None
    return layout


LAYOUTS = [TOY, *map(registered, sorted(MODULES))]
every_layout = pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)


def exactly(layout: Layout) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=layout.size, max_size=layout.size)


def any_length(layout: Layout) -> st.SearchStrategy[bytes]:
    """Payloads cut anywhere, and longer ones."""
    lengths = st.integers(0, layout.size + 20)
    return lengths.flatmap(lambda length: st.binary(min_size=length, max_size=length))


def by_construct(layout: Layout, payload: bytes) -> Values:
    """Parse with the definition: the fields that are whole, and the rest."""
    count = sum(field.end <= len(payload) for field in layout.fields)
    container = layout.construct(count).parse(payload)
    values = {name: value for name, value in container.items() if name != "_io"}
    end = layout.fields[count - 1].end if count else 0
    return values if end == len(payload) else {**values, f"unknown_{end}": payload[end:]}


def in_ascii(layout: Layout, payload: bytes) -> bytes:
    """Return the payload with all texts made ASCII."""
    changed = bytearray(payload)
    for field, raw in layout.spans(payload):
        if field.type_name.startswith("text"):
            changed[field.offset : field.end] = bytes(byte & 0x7F for byte in raw)
    return bytes(changed)


# What a payload says


def test_a_payload_says_what_its_fields_declare() -> None:
    assert TOY.parse(PAYLOAD) == VALUES


def test_fields_come_in_the_order_of_their_offsets_however_they_are_declared() -> None:
    layout = Layout("l", "l", (Field(1, "b", Int8ul), Field(0, "a", Int8ul)))
    assert list(layout.parse(b"\x01\x02").items()) == [("a", 1), ("b", 2)]


def test_a_longer_payload_has_a_tail_named_by_its_offset() -> None:
    assert TOY.parse(PAYLOAD + b"more") == {**VALUES, "unknown_43": b"more"}


def test_a_shorter_payload_lacks_its_last_fields() -> None:
    assert TOY.parse(PAYLOAD[:4]) == {"u8": 7, "s8": -20, "grid_voltage_l1": 232.0}


def test_a_field_cut_in_half_is_unknown_bytes() -> None:
    assert TOY.parse(PAYLOAD[:5]) == {**TOY.parse(PAYLOAD[:4]), "unknown_4": b"\xff"}


def test_an_empty_payload_says_nothing() -> None:
    assert TOY.parse(b"") == {}


def test_a_layout_without_fields_keeps_all_bytes() -> None:
    nothing = Layout("nothing", "Nothing known", ())
    assert nothing.size == 0
    assert nothing.parse(b"ab") == {"unknown_0": b"ab"}
    assert nothing.build({"unknown_0": b"ab"}) == b"ab"
    assert nothing.build({}) == b""


def test_a_gap_is_a_field_of_no_known_meaning() -> None:
    gap = TOY.by_name["unknown_6"]
    assert (gap.offset, gap.size, gap.known, gap.confidence) == (6, 2, False, "C")
    assert TOY.by_name["u8"].known


@pytest.mark.parametrize("raw", [b"\x00\x00\x00\x00", b"\xff\xff\xff\xff"])
def test_a_raw_value_that_means_no_reading_gives_none(raw: bytes) -> None:
    assert TOY.parse(PAYLOAD[:8] + raw)["u32be"] is None
    assert TOY.by_name["u32be"].to_value(int.from_bytes(raw, "big")) is None


@pytest.mark.parametrize("denominator", [10, 100, 1000])
def test_a_scaled_number_is_the_double_nearest_to_the_decimal(denominator: int) -> None:
    field = Field(0, "v", Int16ul, f"1/{denominator}")
    for raw in range(0x10000):
        value = field.to_value(raw)
        assert value == float(Decimal(raw) / denominator)
        assert field.to_raw(value) == raw


def test_a_scaled_number_prints_as_people_write_it() -> None:
    assert str(TOY.parse(PAYLOAD)["grid_voltage_l1"]) == "232.0"  # and not 231.99999999999997
    assert str(Field(0, "v", Int16ul, "1/100").to_value(4993)) == "49.93"


def test_a_number_without_a_denominator_stays_an_integer() -> None:
    values = TOY.parse(PAYLOAD)
    assert isinstance(values["s8"], int)
    assert isinstance(values["s32le"], int)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"abc\x00\x00\x00", "abc"),
        (b"abc   ", "abc"),
        (b"abc \x00 ", "abc"),
        (b"\x00\x00\x00\x00\x00\x00", ""),
        (b"a\x00b\x00\x00\x00", "a\x00b"),
        (b" abc\x00\x00", " abc"),
        ("°C".encode(), "°C"),
        (b"25\xb0C\x00\x00", "25°C"),
    ],
)
def test_a_text_loses_its_padding_and_nothing_else(raw: bytes, text: str) -> None:
    assert decode_text(raw) == text


@pytest.mark.parametrize(
    "raw", ["000000000000", "300000000000", "18020800003c", "180230000000", "18ff01000000"]
)
def test_a_clock_that_shows_no_date_is_none(raw: str) -> None:
    assert Clock.decode(bytes.fromhex(raw)) is None


def test_the_bytes_of_a_payload_are_tiled_by_its_fields() -> None:
    payload = PAYLOAD + b"more"
    spans = list(TOY.spans(payload))
    assert b"".join(raw for _, raw in spans) == payload
    assert [field.name for field, _ in spans] == list(TOY.parse(payload))
    assert [raw for _, raw in TOY.spans(b"\x07")] == [b"\x07"]


def test_rows_tell_where_in_the_frame_a_field_stands() -> None:
    rows = list(TOY.rows(PAYLOAD[:3], at=11))
    assert [(row.offset, row.raw, row.field.name, row.value) for row in rows] == [
        (11, b"\x07", "u8", 7),
        (12, b"\xfe", "s8", -20),
        (13, b"\x10", "unknown_2", b"\x10"),
    ]


# What a field says of itself


@pytest.mark.parametrize(
    ("name", "type_name", "symbol"),
    [
        ("u8", "u8", ""),
        ("s8", "s8", "W"),
        ("grid_voltage_l1", "u16le", "V"),
        ("s16be", "s16be", ""),
        ("unknown_6", "bytes 2", ""),
        ("u32be", "u32be", ""),
        ("s32le", "s32le", ""),
        ("text", "text 6", ""),
        ("clock", "clock 6", ""),
        ("mac", "MAC 6", ""),
    ],
)
def test_a_field_tells_its_type_and_unit(name: str, type_name: str, symbol: str) -> None:
    field = TOY.by_name[name]
    assert (field.type_name, field.symbol) == (type_name, symbol)


def test_the_unit_of_a_quantity_without_one_is_nothing() -> None:
    assert measured(0, "status", Int8ul).symbol == ""


def test_a_layout_shows_its_size() -> None:
    assert repr(TOY) == "Layout('toy', 13 fields, 43 bytes)"


# Building


def test_values_build_the_payload_that_they_were_parsed_from() -> None:
    assert TOY.build(VALUES) == PAYLOAD


def test_construct_builds_what_the_builder_builds() -> None:
    assert TOY.construct().build(VALUES) == PAYLOAD


def test_a_payload_reaches_as_far_as_the_last_field_named() -> None:
    assert TOY.build({"grid_voltage_l1": 232.0}) == b"\x00\x00\x10\x09"
    assert TOY.build({}) == b""


def test_what_is_not_named_says_no_reading_where_a_field_can_say_so() -> None:
    layout = Layout("l", "l", (Field(0, "a", Int8ul, absent=(0xFF,)), Field(1, "b", Int8ul)))
    assert layout.build({"b": 1}) == b"\xff\x01"
    assert layout.build({"a": 1}) == b"\x01"


def test_none_is_written_as_the_first_raw_value_that_means_it() -> None:
    assert TOY.by_name["u32be"].to_bytes(None) == bytes(4)
    assert TOY.by_name["clock"].to_bytes(None) == bytes(6)


def test_unknown_bytes_can_be_given_as_hex() -> None:
    assert TOY.by_name["raw"].to_bytes("0a0b0c") == b"\n\x0b\x0c"
    assert TOY.build({**VALUES, "unknown_43": "6d6f"}) == PAYLOAD + b"mo"


def test_a_tail_is_written_where_its_name_says() -> None:
    assert TOY.build({"unknown_43": b"end"}) == bytes(43) + b"end"


def test_a_change_leaves_all_other_bytes_alone() -> None:
    padded = bytearray(PAYLOAD)
    padded[18:24] = b"123 \x00 "  # no padding of ours
    padded[28:34] = bytes.fromhex("300000000000")  # no date: None says less than that
    changed = TOY.build({**TOY.parse(bytes(padded)), "u8": 8}, bytes(padded))
    assert changed == b"\x08" + padded[1:]


def test_a_change_can_name_one_field_alone() -> None:
    assert TOY.build({"u8": 8}, PAYLOAD) == b"\x08" + PAYLOAD[1:]


def test_a_change_behind_the_end_makes_the_payload_longer() -> None:
    assert TOY.build({"s16be": -2.0}, b"\x07") == bytes.fromhex("07 00 0000 ff38")


# Values that no field can carry


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("u8", 256, "out of range: expected 0 to 255 in steps of 1, found 256"),
        ("u8", -1, "out of range"),
        ("s8", 1280, "out of range: expected -1280 to 1270 in steps of 10, found 1280"),
        ("s8", 5, "not a step of the scale: expected -1280 to 1270 in steps of 10, found 5"),
        ("grid_voltage_l1", 6553.6, "out of range"),
        ("grid_voltage_l1", 0.05, "not a step of the scale"),
        ("s32le", -(2**31) - 41, "out of range"),
        ("grid_voltage_l1", nan, "out of range"),
        ("grid_voltage_l1", inf, "out of range"),
        ("grid_voltage_l1", -inf, "out of range"),
        ("grid_voltage_l1", 1e300, "out of range"),
        ("u8", True, "not a number"),
        ("u8", "7", "not a number"),
        ("u8", b"\x07", "not a number"),
        ("u8", None, "not a number"),
        ("u32be", 0, "stands for 'no reading': expected null for that, found 0"),
        ("u32be", 4294967.295, "stands for 'no reading'"),
        ("text", "1234567", "cannot be written: expected text 6, found '1234567'"),
        ("text", "12 ", "cannot be written"),
        ("text", "12\x00", "cannot be written"),
        ("text", "\ud800", "cannot be written"),
        ("text", 12, "cannot be written"),
        ("text", None, "cannot be written"),
        ("clock", "yesterday", "cannot be written"),
        ("clock", "1999-01-01 00:00:00", "cannot be written"),
        ("clock", "2256-01-01 00:00:00", "cannot be written"),
        ("clock", 0, "cannot be written"),
        ("mac", "no MAC", "cannot be written"),
        ("mac", None, "cannot be written"),
        ("raw", b"\x00", "cannot be written: expected bytes 3"),
        ("raw", "0a0b", "cannot be written"),
        ("raw", "0a0b0z", "cannot be written"),
        ("raw", None, "cannot be written"),
    ],
)
def test_a_value_that_its_field_cannot_carry_is_refused(name: str, value: Any, what: str) -> None:  # noqa: ANN401
    with pytest.raises(FieldError, match="(?s)^" + name) as caught:
        TOY.build({name: value})
    assert what in str(caught.value)
    assert caught.value.field == name


def test_a_value_hardly_off_its_step_is_taken_for_it() -> None:
    assert TOY.by_name["grid_voltage_l1"].to_raw(231.99999999999997) == 2320


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("voltage", 1, "no field of this layout"),
        ("unknown_x", b"", "no field of this layout"),
        ("unknown_", b"", "no field of this layout"),
        ("unknown_5", b"", "no field of this layout"),
        ("unknown_44", b"", "no field of this layout"),
        ("unknown_43", "no hex", "not bytes"),
        ("unknown_43", 1.5, "not bytes"),
    ],
)
def test_a_name_or_tail_that_the_layout_does_not_have_is_refused(
    name: str,
    value: Any,  # noqa: ANN401
    what: str,
) -> None:
    with pytest.raises(FieldError, match=what) as caught:
        TOY.build({"u8": 1, name: value})
    assert caught.value.field == name


# Wrong declarations


def test_fields_that_overlap_are_no_layout() -> None:
    with pytest.raises(ValueError, match="layout l: b overlaps the field before it"):
        Layout("l", "l", (Field(0, "a", Int16ul), Field(1, "b", Int8ul)))


@pytest.mark.parametrize("name", ["", "Name", "1st", "a-b", "a b", "a\n", "class'"])
def test_a_name_that_is_none_is_no_field(name: str) -> None:
    with pytest.raises(ValueError, match="is no name, or stands twice"):
        Layout("l", "l", (Field(0, name, Int8ul),))


def test_a_name_stands_once() -> None:
    with pytest.raises(ValueError, match="'a' is no name, or stands twice"):
        Layout("l", "l", (Field(0, "a", Int8ul), Field(1, "a", Int8ul)))


def test_a_type_of_octets_can_be_declared_by_who_needs_it() -> None:
    flag = Octets("flag", 1, lambda raw: "yes" if raw == b"\x01" else "no", str.encode)
    layout = Layout("l", "l", (Field(0, "flag", flag),))
    assert layout.parse(b"\x01") == {"flag": "yes"}
    assert layout.construct().parse(b"\x00")["flag"] == "no"
    assert layout.by_name["flag"].type_name == "flag"


# What holds for all bytes


@every_layout
@given(data=st.data())
def test_plan_and_construct_read_the_same_in_whole_payloads(
    layout: Layout, data: st.DataObject
) -> None:
    payload = data.draw(exactly(layout))
    assert layout.parse(payload) == by_construct(layout, payload)


@every_layout
@given(data=st.data())
def test_plan_and_construct_read_the_same_in_payloads_of_any_length(
    layout: Layout, data: st.DataObject
) -> None:
    payload = data.draw(any_length(layout))
    assert layout.parse(payload) == by_construct(layout, payload)


@every_layout
@given(data=st.data())
def test_the_fields_tile_any_payload(layout: Layout, data: st.DataObject) -> None:
    payload = data.draw(any_length(layout))
    spans = list(layout.spans(payload))
    assert b"".join(raw for _, raw in spans) == payload
    assert [field.name for field, _ in spans] == list(layout.parse(payload))


@every_layout
@given(data=st.data())
def test_what_was_parsed_builds_the_same_bytes_again(layout: Layout, data: st.DataObject) -> None:
    payload = data.draw(any_length(layout))
    assert layout.build(layout.parse(payload), payload) == payload


@every_layout
@given(data=st.data())
def test_what_is_built_from_values_says_these_values(layout: Layout, data: st.DataObject) -> None:
    payload = in_ascii(layout, data.draw(exactly(layout))) + data.draw(st.binary(max_size=4))
    values = layout.parse(payload)
    assert layout.parse(layout.build(values)) == values


@every_layout
@given(data=st.data())
def test_what_cannot_be_built_is_a_field_error(layout: Layout, data: st.DataObject) -> None:
    values = layout.parse(data.draw(any_length(layout)))
    try:
        built = layout.build(values)
    except FieldError:
        return
    assert layout.parse(built) == values


NUMBERS = [field.name for field in TOY.fields if not isinstance(field.type, Octets)]
words = st.one_of(
    st.none(), st.floats(), st.text("0123456789abcdef:- °\0", max_size=20), st.binary(max_size=20)
)
numbers = st.one_of(words, st.booleans(), st.integers(-(2**70), 2**70))


@given(
    st.dictionaries(st.sampled_from(NUMBERS), numbers),
    st.dictionaries(st.sampled_from([*VALUES, "nonsense", "unknown_43"]), words),
)
def test_any_values_are_built_or_refused(some: dict[str, Any], others: dict[str, Any]) -> None:
    try:
        built = TOY.build({**others, **some})
    except FieldError:
        return
    assert len(built) <= TOY.size + 20


# What is wrong in the engine


@pytest.mark.parametrize("text", ["02:00", "02:00:00:a1:b2:c3:d4"])
def test_a_mac_has_six_bytes(text: str) -> None:
    with pytest.raises(FieldError):
        TOY.build({"mac": text})


@pytest.mark.parametrize(
    ("name", "value"),
    [("raw", 3), ("raw", 10**30), ("unknown_43", 3), ("unknown_43", True), ("unknown_43", 10**30)],
)
def test_a_number_is_no_bytes(name: str, value: int) -> None:
    with pytest.raises(FieldError):
        TOY.build({name: value})


@pytest.mark.parametrize("name", ["u8", "grid_voltage_l1"])
def test_a_number_greater_than_any_double_is_refused(name: str) -> None:
    with pytest.raises(FieldError):
        TOY.build({name: 10**400})


@pytest.mark.parametrize("layout", [TOY, registered(0x5408)], ids=lambda layout: layout.name)
def test_values_of_a_payload_cut_in_unknown_bytes_can_be_built(layout: Layout) -> None:
    for length in range(layout.size):
        values = layout.parse(bytes(length))
        assert layout.parse(layout.build(values)) == values


def test_a_tail_and_a_field_behind_its_beginning_contradict_each_other() -> None:
    with pytest.raises(FieldError):
        TOY.build({"u8": 1, "unknown_1": b"", "s16be": 1.0})


def test_a_truth_is_no_number_also_where_the_number_is_1() -> None:
    with pytest.raises(FieldError):
        TOY.build({"u8": True}, b"\x01")


def test_a_latin_1_text_that_fills_its_field_can_be_built() -> None:
    text = TOY.by_name["spaced"]
    assert text.to_bytes(text.to_value(b"25\xb0C")) == b"25\xb0C"


def test_an_unknown_field_has_no_other_number_than_its_offset() -> None:
    with pytest.raises(ValueError, match="unknown_0"):
        Layout("l", "l", (Field(4, "unknown_0", Int8ul),))


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"quantity": "grid_volts"}, "no quantity called 'grid_volts'"),
        ({"scale": "1/0"}, "a scale of '1/0'"),
        ({"scale": "0"}, "a scale of '0'"),
        ({"confidence": "D"}, "confidence is one of ABC"),
    ],
)
def test_what_would_fail_only_in_use_is_no_declaration(wrong: dict[str, str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Layout("toy", "Toy", [Field(0, "a", Int8ul, **wrong)])  # type: ignore[arg-type]
