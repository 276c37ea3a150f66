"""Layouts in files: they say what layouts of the package say, and every mistake is told."""

import json
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from construct import Int8ub, Int16ul
from hypothesis import given
from hypothesis import strategies as st

from inverterproto.deye import (
    Message,
    add_layout,
    layout_from_toml,
    layout_of,
    layout_to_toml,
    remove_layout,
)
from inverterproto.deye.layouts import MODULES, sensor_types
from inverterproto.deye.layouts.head import DATA_HEAD
from inverterproto.errors import LayoutError
from inverterproto.families import DEYE
from inverterproto.layout import Clock, Field, Layout, Mac, Octets, Raw, Text, measured
from inverterproto.layout_keys import FIELD_KEYS, LAYOUT_KEYS, LONGEST_PAYLOAD, TYPES
from inverterproto.layout_toml import LONGEST_HEADER, LONGEST_LINE, MOST_PROBLEMS, MOST_TEXT
from inverterproto.private import Private
from inverterproto.quantity import QUANTITIES, lookup, template_of
from tests.vectors import frame

UNKNOWN = 0x1234


def registered(sensor_type: int) -> Layout:
    layout = layout_of(sensor_type)
    assert layout is not None
    return layout


every_sensor_type = pytest.mark.parametrize("sensor_type", sorted(MODULES), ids=hex)
REAL = ["micro-5408-realtime", "micro-5408-historic", "tsun-data-02b0", "dcu-data-3026"]
REAL += ["solis-0504"]


@pytest.fixture
def added() -> Iterator[list[Layout]]:
    """Layouts that a test adds; they are removed behind it."""
    layouts: list[Layout] = []
    yield layouts
    for layout in layouts:
        remove_layout(layout)
    assert sensor_types() == sorted(MODULES)


# What is written is read again


@every_sensor_type
def test_every_layout_of_the_package_can_be_kept_in_a_file(sensor_type: int) -> None:
    layout = registered(sensor_type)
    assert layout_from_toml(layout_to_toml(layout)) == layout
    assert Layout.from_toml(layout.to_toml()) == layout


@every_sensor_type
def test_a_written_layout_says_of_each_field_just_what_it_declares(sensor_type: int) -> None:
    layout = registered(sensor_type)
    written = tomllib.loads(layout_to_toml(layout))
    assert written["sensor_type"] == sensor_type
    assert (written["name"], written["checked"]) == (layout.name, layout.checked)
    by_offset = {entry["offset"]: entry for entry in written.get("field", [])}
    for field in layout.fields:
        entry = by_offset.get(field.offset)
        if entry is None:
            assert field in DATA_HEAD or not field.known
            continue
        assert entry.get("name", entry.get("quantity")) == field.name
        assert entry["type"] == field.type_name
        assert entry["confidence"] == field.confidence
        assert entry.get("scale", "1") == field.scale
        assert tuple(entry.get("absent", ())) == field.absent
        assert entry.get("private") == field.private


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("as_unknown", [False, True])
def test_a_real_frame_says_the_same_by_a_layout_from_a_file(
    name: str, added: list[Layout], *, as_unknown: bool
) -> None:
    real = frame(name)
    expected = Message.parse(real)
    sensor_type = expected.fields["sensor_type"]
    text = layout_to_toml(registered(sensor_type))
    if as_unknown:
        text = text.replace(f"0x{sensor_type:04X}", f"0x{UNKNOWN:04X}", 1)
        payload = bytearray(real.payload)
        payload[1:3] = UNKNOWN.to_bytes(2, "little")
        real = replace(real, payload=bytes(payload))
        assert Message.parse(real).problems == ("sensor type 0x1234 is not known",)
        sensor_type = UNKNOWN
    layout = layout_from_toml(text)
    added.append(layout)
    add_layout(layout)
    message = Message.parse(real)
    assert message.layout is layout
    assert message.fields == {**expected.fields, "sensor_type": sensor_type}
    assert message.problems == expected.problems
    for confidence in "ABC":
        assert message.readings(confidence) == expected.readings(confidence)
    assert message.replace(message.fields) == real


def fields_of(size: int) -> st.SearchStrategy[list[Field]]:
    """Fields side by side, with gaps, of every type."""
    return st.lists(a_field(), max_size=size).map(_placed)


def _placed(drawn: list[tuple[int, Field]]) -> list[Field]:
    """Put fields behind one another; a quantity is measured once, names are by place."""
    fields: list[Field] = []
    end, measured_ones = 0, set[str]()
    for gap, drawn_field in drawn:
        field = drawn_field._replace(offset=end + gap)
        if field.quantity in measured_ones:
            field = field._replace(quantity=None, unit="x", turned=False)
        if field.quantity is None:
            field = field._replace(name=f"f{field.offset}")
        measured_ones |= {field.quantity} if field.quantity else set()
        fields.append(field)
        end = field.end
    return fields


SAFE = st.text(st.characters(exclude_categories=("C", "Z")), max_size=20)
CONCRETE = [
    key.replace("{n}", "2").replace("{phase}", "l2") for key in QUANTITIES if key != "status"
]


@st.composite
def a_field(draw: st.DrawFn) -> tuple[int, Field]:
    """Draw a field, and the gap before it."""
    about: dict[str, Any] = {
        "confidence": draw(st.sampled_from("ABC")),
        "source": draw(SAFE),
        "meaning": draw(SAFE),
        "private": draw(st.none() | st.sampled_from(Private)),
    }
    sized = st.builds(Text, st.integers(1, 40), st.sampled_from([b" ", b"\0"]))
    octets = sized | st.builds(Raw, st.integers(1, 40)) | st.sampled_from([Clock, Mac])
    type_ = draw(octets | st.sampled_from([*TYPES.values()]))
    if not isinstance(type_, Octets):
        about["quantity"] = draw(st.none() | st.sampled_from(CONCRETE))
        about["turned"] = about["quantity"] is not None and draw(st.booleans())
        about["hexadecimal"] = draw(st.booleans())
        about["absent"] = tuple(draw(st.lists(st.integers(0, 127), unique=True, max_size=3)))
        if draw(st.booleans()):
            about["names"] = draw(st.dictionaries(st.integers(0, 127), SAFE, min_size=1))
        else:
            about["scale"] = draw(st.sampled_from(["1", "10", "1/10", "100/1024"]))
            about["bias"] = draw(st.integers(-1000, 1000))
    if about.get("quantity") is None:
        about["unit"] = draw(st.none() | SAFE)
    name = about.get("quantity") or "f"
    return draw(st.integers(0, 3)), Field(0, name, type_, **about)


@given(fields_of(12), SAFE, SAFE, st.booleans(), st.integers(0, 0xFFFF))
def test_every_layout_can_be_kept_in_a_file(
    fields: list[Field],
    title: str,
    source: str,
    checked: bool,  # noqa: FBT001 - drawn
    sensor_type: int,
) -> None:
    layout = Layout("l", title, fields, source=source, checked=checked, sensor_type=sensor_type)
    assert Layout.from_toml(layout.to_toml()) == layout


def test_unknown_bytes_that_a_layout_ends_with_are_kept() -> None:
    last = Field(4, "unknown_4", Raw(3), confidence="C")
    layout = Layout("l", "l", [Field(0, "a", Int16ul), last], sensor_type=1)
    text = layout.to_toml()
    assert "# 2 to 3: not known\n" in text
    assert Layout.from_toml(text) == layout
    assert Layout.from_toml(text).size == 7


def test_a_single_unknown_byte_is_told_by_its_offset() -> None:
    layout = Layout("l", "l", [Field(1, "a", Int16ul)], sensor_type=1)
    assert "# 0: not known\n" in layout.to_toml()


def test_every_sign_of_a_text_is_read_as_it_was_written() -> None:
    layout = Layout("l", 'a"b\\c °… \x7f\n', [], sensor_type=1)
    assert tomllib.loads(layout.to_toml())["title"] == layout.title


def test_a_layout_for_no_sensor_type_is_for_no_file() -> None:
    with pytest.raises(ValueError, match="layout l: for no sensor type"):
        Layout("l", "l", []).to_toml()


@pytest.mark.parametrize("title", ["flag", "clock 6x", "text 4"])
def test_a_type_of_code_of_its_own_is_for_no_file(title: str) -> None:
    own = Octets(title, 4, bytes, bytes)
    own.title = title
    layout = Layout("l", "l", [Field(0, "a", own)], sensor_type=1)
    if title == "text 4":
        assert "text 4" in layout.to_toml()  # types of one title are the same type
        return
    with pytest.raises(ValueError, match=f"a: the type {title} has no name in TOML"):
        layout.to_toml()


def test_an_integer_that_only_looks_like_one_that_has_a_name_is_for_no_file() -> None:
    with pytest.raises(ValueError, match="a: the type u8 has no name in TOML"):
        Layout("l", "l", [Field(0, "a", Int8ub)], sensor_type=1).to_toml()


# What a file may leave out


HEAD = 'name = "l"\ntitle = "L"\nsensor_type = 1\n'
FIELD = {"offset": 21, "name": "a", "type": "u16le", "confidence": "B"}


def spelled(value: object) -> str:
    """Return a value as TOML has it: as JSON, but for tables."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {spelled(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(spelled, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return str(value).lower() if isinstance(value, bool) else repr(value)


def table(**entries: object) -> str:
    """Return a field with entries changed; None takes one out."""
    merged = {**FIELD, **entries}
    lines = [f"{key} = {spelled(value)}" for key, value in merged.items() if value is not None]
    return "\n".join(["[[field]]", *lines, ""])


def read(**entries: object) -> Field:
    """Read a field."""
    return layout_from_toml(HEAD + table(**entries)).fields[len(DATA_HEAD)]


def problems(text: str) -> list[str]:
    """Return what is wrong with a text."""
    with pytest.raises(LayoutError) as caught:
        layout_from_toml(text)
    assert caught.value.problems
    assert str(caught.value) == "\n".join(caught.value.problems)
    return list(caught.value.problems)


def test_a_file_begins_behind_the_head_of_all_payloads() -> None:
    layout = layout_from_toml(HEAD)
    assert layout.fields == DATA_HEAD
    assert (layout.name, layout.title, layout.sensor_type) == ("l", "L", 1)
    assert not layout.checked
    assert read() == Field(21, "a", Int16ul, confidence="B")


def test_a_file_may_name_the_head_as_it_is() -> None:
    text = registered(0x5413).to_toml()
    assert "packet_counter" in text
    assert layout_from_toml(text).fields == DATA_HEAD


def test_without_a_head_a_file_says_all_there_is() -> None:
    layout = Layout.from_toml(HEAD + table(offset=2))
    assert [field.name for field in layout.fields] == ["unknown_0", "a"]


def test_what_measures_a_quantity_is_called_so_where_no_name_is_given() -> None:
    field = read(name=None, quantity="pv2_voltage")
    assert field == measured(21, "pv2_voltage", Int16ul, confidence="B")
    assert field.symbol == "V"


@pytest.mark.parametrize(
    ("given_scale", "scale"),
    [
        *[("1/10", "1/10"), ("100/1024", "100/1024"), (10, "10"), (0.1, "1/10"), (0.01, "1/100")],
        *[(2.5, "5/2"), ("0.1", "1/10"), (1, "1"), (1e-6, "1/1000000"), ("10", "10")],
    ],
)
def test_a_scale_may_be_written_as_people_write_it(given_scale: object, scale: str) -> None:
    assert read(scale=given_scale).scale == scale


def test_a_single_raw_value_needs_no_list() -> None:
    assert read(absent=0).absent == (0,)
    assert read(absent=[0, 0xFFFF]).absent == (0, 0xFFFF)


def test_names_may_stand_for_numbers_of_either_base() -> None:
    assert read(names={"0": "off", "0x10": "on"}).names == {0: "off", 16: "on"}
    assert read(type="s16le", names={"-1": "off"}).names == {-1: "off"}


@pytest.mark.parametrize("name", TYPES)
def test_every_type_is_called_as_the_tables_call_it(name: str) -> None:
    assert read(type=name).type_name == name


@pytest.mark.parametrize("name", ["text 16", "text 16 spaces", "bytes 3"])
def test_texts_and_bytes_come_in_every_size(name: str) -> None:
    field = read(type=name)
    assert (field.type_name, field.size) == (name, int(name.split()[1]))


def test_the_types_of_one_size_stand_in_what_is_expected() -> None:
    expected = FIELD_KEYS["type"].expected
    for name, type_ in TYPES.items():
        assert name in expected or not isinstance(type_, Octets)


def test_the_keys_are_the_attributes() -> None:
    assert set(FIELD_KEYS) == set(Field._fields)
    layout = registered(0x5408)
    assert all(hasattr(layout, key) for key in LAYOUT_KEYS)


# What is wrong with a file


WHERE = "field 1 ('a'): "


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ({"offset": "21"}, "offset: expected an integer from 0 to 4095, found '21'"),
        ({"offset": 1.5}, "offset: expected an integer from 0 to 4095, found 1.5"),
        ({"offset": True}, "offset: expected an integer from 0 to 4095, found True"),
        ({"offset": -1}, "offset: expected an integer from 0 to 4095, found -1"),
        ({"offset": 4096}, "offset: expected an integer from 0 to 4095, found 4096"),
        ({"offset": 4095}, "ends at 4097: no payload is longer than 4096 bytes"),
        ({"offset": None}, "offset: expected an integer from 0 to 4095, found nothing"),
        ({"offset": 20}, "offset: expected 21 or more, behind the head of all payloads"),
        ({"ofset": 1}, "no key is called 'ofset' (did you mean 'offset'?)"),
        ({"xyzzy": 1}, "no key is called 'xyzzy'"),
        ({"type": "u16"}, "type: expected an integer (u8, s8, …, found 'u16' (did you mean"),
        ({"type": "text"}, "type: … found 'text' (did you mean 'text 16'?)"),
        ({"type": "text 0"}, "type: … found 'text 0'"),
        ({"type": "bytes 10000"}, "type: … found 'bytes 10000'"),
        ({"type": 16}, "type: … found 16"),
        ({"type": None}, "type: … found nothing"),
        ({"type": "text 4076"}, "ends at 4097: no payload is longer than 4096 bytes"),
        ({"scale": "1:10"}, "scale: expected a fraction such as \"1/10\"…, found '1:10'"),
        ({"scale": "1/0"}, "scale: … found '1/0'"),
        ({"scale": 0}, "scale: … found 0"),
        ({"scale": -1}, "scale: … found -1"),
        ({"scale": "0.0"}, "scale: … found '0.0'"),
        ({"scale": 10**9}, "scale: … found 1000000000"),
        ({"scale": float("nan")}, "scale: … found nan"),
        ({"scale": float("inf")}, "scale: … found inf"),
        ({"scale": True}, "scale: … found True"),
        ({"bias": 2**32}, "bias: expected an integer, found 4294967296"),
        ({"bias": "40"}, "bias: expected an integer, found '40'"),
        ({"unit": 3}, "unit: expected text of up to 200 characters, found 3"),
        ({"meaning": "x" * 201}, "meaning: expected text of up to 200 characters, found 'xxx"),
        ({"meaning": "\x1b[31m"}, "meaning: expected text of up to 200 characters, found '\\x1b"),
        (
            {"quantity": "grid_volts_l1"},
            "quantity: expected a key of the vocabulary, … (did you mean 'grid_voltage_l1'?)",
        ),
        ({"quantity": "pv3_volt"}, "quantity: … (did you mean 'pv3_voltage'?)"),
        ({"quantity": "pv{n}_voltage"}, "quantity: … found 'pv{n}_voltage'"),
        ({"quantity": 3}, "quantity: … found 3"),
        ({"turned": 1, "quantity": "grid_power"}, "turned: expected true or false, found 1"),
        ({"turned": True}, "turned: expected a quantity, found none"),
        ({"absent": 65536}, "absent: expected 0 to 65535, found 65536"),
        ({"absent": [-1]}, "absent: expected 0 to 65535, found -1"),
        ({"absent": ["0"]}, "absent: expected an integer or a list of such, found ['0']"),
        ({"names": {}}, "names: expected a table such as …, found {}"),
        ({"names": {"on": "on"}}, "names: expected a table such as …, found {'on': 'on'}"),
        ({"names": {"0": 1}}, "names: expected a table such as …, found {'0': 1}"),
        ({"names": "on"}, "names: expected a table such as …, found 'on'"),
        ({"names": {"70000": "x"}}, "names: expected 0 to 65535, found 70000"),
        ({"names": {"1": "x"}, "scale": 10}, "names: expected neither scale nor bias beside them"),
        ({"names": {"1": "x"}, "bias": 10}, "names: expected neither scale nor bias beside them"),
        ({"confidence": "b"}, "confidence: expected A, B or C, found 'b'"),
        ({"confidence": ""}, "confidence: expected A, B or C, found ''"),
        ({"confidence": None}, "confidence: expected A, B or C, found nothing"),
        ({"private": "serail"}, "private: expected one of serial, mac, … (did you mean 'serial'?)"),
        ({"private": True}, "private: expected one of serial, mac, …, found True"),
        ({"unit": "kV", "quantity": "bus_voltage"}, "unit: expected V, as bus_voltage has, found"),
        ({"unit": "V", "quantity": "alarm"}, "unit: expected none, as alarm has, found 'V'"),
        (
            {"type": "text 4", "quantity": "bus_voltage"},
            "type: expected an integer for a quantity in V, found text 4",
        ),
        ({"type": "text 4", "scale": 2}, "scale: only integers have it, and text 4 is none"),
        ({"type": "clock 6", "bias": 2}, "bias: only integers have it, and clock 6 is none"),
        ({"type": "MAC 6", "absent": 0}, "absent: only integers have it, and MAC 6 is none"),
        ({"type": "bytes 2", "hexadecimal": True}, "hexadecimal: only integers have it, and bytes"),
        ({"type": "text 2", "names": {"0": "x"}}, "names: only integers have it, and text 2 is"),
    ],
)
def test_a_mistake_is_told_with_its_field_and_key(entries: dict[str, Any], problem: str) -> None:
    found = problems(HEAD + table(**entries))
    assert all(line.startswith(WHERE) for line in found)
    start, *rest = problem.split("…")
    assert any(
        line.removeprefix(WHERE).startswith(start) and all(part in line for part in rest)
        for line in found
    ), found


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("Name", "field 1 ('Name'): name: expected lower-case letters"),
        ("x" * 65, "field 1 ('xxx"),
        ("unknown_22", "field 1 ('unknown_22'): name: expected 'unknown_21', found 'unknown_22'"),
        ("unknown_21", "field 1 ('unknown_21'): confidence: expected C for what is unknown"),
        ("grid_power", "field 1 ('grid_power'): name: a field of this name has the quantity"),
        ("frame_type", "field 1 ('frame_type'): 'frame_type' is no name, or stands twice"),
        (3, "field 1: name: expected lower-case letters"),
        (None, "field 1: name: expected lower-case letters"),
    ],
)
def test_a_wrong_name_is_told(name: object, problem: str) -> None:
    assert problems(HEAD + table(name=name))[0].startswith(problem)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "name: expected lower-case letters, digits and underscores, a letter first, found"),
        (HEAD + "titel = 'x'", "no key is called 'titel' (did you mean 'title'?)"),
        (HEAD.replace("1", "70000"), "sensor_type: expected an integer from 0 to 0xFFFF, found 7"),
        (HEAD + "checked = 1", "checked: expected true or false, found 1"),
        (HEAD + "field = 3", "field 1: expected a table [[field]], found None"),
        (HEAD + "field = [3]", "field 1: expected a table [[field]], found 3"),
        (HEAD + "trackers = 'b'\n" + table(), "trackers: no field is called 'b'"),
        (HEAD + "phases = 'aa'\n" + table(), "phases: no field is called 'aa' (did you mean 'a'?)"),
        (HEAD + table() + table(name="b"), "field 2 ('b'): b overlaps the field before it"),
        (HEAD + table() + table(offset=23), "field 2 ('a'): 'a' is no name, or stands twice"),
        (
            HEAD + table(quantity="alarm") + table(offset=23, name="b", quantity="alarm"),
            "field 2 ('b'): quantity: another field measures alarm already",
        ),
        ("name = ", "no TOML: Invalid value (at end of document)"),
        (HEAD + "name = 'x'", "no TOML: Cannot overwrite a value (at end of document)"),
        ("x = 2024-13-01", "no TOML: "),
        ("x = " + "1" * 1990, "no key is called 'x'"),
    ],
)
def test_a_mistake_in_the_whole_is_told(text: str, problem: str) -> None:
    assert any(line.startswith(problem) for line in problems(text)), problems(text)


def test_all_mistakes_are_told_at_once() -> None:
    text = "checked = 3\n" + table(type="u17", scale="x") + table(offset=30, confidence="D")
    assert [line.split(": expected")[0] for line in problems(text)] == [
        "name",
        "title",
        "sensor_type",
        "checked",
        "field 1 ('a'): type",
        "field 1 ('a'): scale",
        "field 2 ('a'): confidence",
    ]


def test_a_field_in_the_middle_of_a_long_one_overlaps_though_another_stands_between() -> None:
    fields = table(type="text 16") + table(offset=22, name="b") + table(offset=30, name="c")
    assert [line.partition(" overlaps")[0] for line in problems(HEAD + fields)] == [
        "field 2 ('b'): b",
        "field 3 ('c'): c",
    ]


# Hostile files


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("#" * 10 + "\n" * MOST_TEXT, f"expected at most {MOST_TEXT:,} characters, found more"),
        ("# " + "x" * LONGEST_LINE, "line 1: expected at most 2,000 characters, found 2,002"),
        (
            "\n [" + "a." * LONGEST_HEADER + "a]",
            "line 2: expected at most 200 characters, found 40",
        ),
        ("x = [\n" + "[\n" * 100_000, "no TOML: nested too deeply"),
        ("x = 0x" + "f" * 1900, "no key is called 'x'"),
        (
            HEAD + table() + "bias = 0x" + "f" * 1900,
            "field 1 ('a'): bias: expected an integer, found",
        ),
        ("\n".join(f"k{n} = 1" for n in range(20_000)), "no key is called 'k0'"),
        ("[[field]]\n" * 20_000, "name: expected"),
        ("a" + ".a" * 900 + " = 1", "no key is called 'a'"),
    ],
)
def test_a_hostile_file_is_refused_with_few_words(text: str, problem: str) -> None:
    found = problems(text)
    assert found[0].startswith(problem)
    assert len(found) <= MOST_PROBLEMS + 10
    assert all(len(line) < 400 and line.isprintable() for line in found)


def test_only_so_many_mistakes_are_told() -> None:
    found = problems(HEAD + "[[field]]\n" * 1000)
    assert found[-1] == "and perhaps more"
    assert MOST_PROBLEMS < len(found) < MOST_PROBLEMS + 10


@given(st.text(max_size=200))
def test_any_text_is_a_layout_or_an_error(text: str) -> None:
    for whole in (text, HEAD + text, HEAD + table() + text):
        try:
            assert isinstance(layout_from_toml(whole), Layout)
        except LayoutError as error:
            assert error.problems  # noqa: PT017 - either may come


VALUES = st.recursive(
    st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text("ab1/_ °", max_size=9),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.sampled_from("01ab"), part),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from([*FIELD_KEYS, "nonsense"]), VALUES, max_size=4))
def test_any_values_of_the_keys_make_a_layout_that_works_or_an_error(
    entries: dict[str, Any],
) -> None:
    try:
        layout = layout_from_toml(HEAD + table(**entries))
    except LayoutError:
        return
    payload = bytes(range(200))
    assert layout.build(layout.parse(payload), payload) == payload
    assert layout.size <= LONGEST_PAYLOAD


# Added to those of the package


def test_a_layout_that_is_added_is_known_until_it_is_removed(added: list[Layout]) -> None:
    layout = layout_from_toml(HEAD.replace("= 1", f"= {UNKNOWN}") + table(private="phone"))
    assert "a" not in DEYE.private_fields
    added.append(layout)
    add_layout(layout)
    assert layout_of(UNKNOWN) is layout
    assert UNKNOWN in sensor_types()
    assert DEYE.private_fields["a"] is Private.PHONE
    remove_layout(layout)
    remove_layout(layout)
    assert layout_of(UNKNOWN) is None
    assert "a" not in DEYE.private_fields


def test_the_layout_that_was_added_last_stands(added: list[Layout]) -> None:
    text = HEAD.replace("= 1", "= 0x5408")
    first, second = layout_from_toml(text), layout_from_toml(text + table())
    added += [first, second]
    add_layout(first)
    add_layout(second)
    remove_layout(first)
    assert layout_of(0x5408) is second
    remove_layout(second)
    assert registered(0x5408).name == "micro_inverter"


def test_only_a_layout_of_data_payloads_can_be_added() -> None:
    with pytest.raises(ValueError, match="layout l: for no sensor type"):
        add_layout(Layout("l", "l", DATA_HEAD))
    remove_layout(Layout("l", "l", DATA_HEAD))
    with pytest.raises(ValueError, match="layout l: does not begin with the head"):
        add_layout(Layout.from_toml(HEAD + table()))


def test_a_layout_that_was_not_checked_publishes_and_says_so(added: list[Layout]) -> None:
    real = frame("micro-5408-realtime")
    known = registered(0x5408)
    text = layout_to_toml(known).replace("checked = true", "checked = false")
    layout = layout_from_toml(text)
    added.append(layout)
    add_layout(layout)
    message = Message.parse(real)
    assert message.problems == ("layout micro_inverter not checked on real bytes",)
    assert message.readings()[0].values["grid_voltage_l1"] == 232.0


# Layouts that are the same


def test_layouts_are_the_same_that_declare_the_same() -> None:
    layout = registered(0x5408)
    same = layout_from_toml(layout_to_toml(layout))
    assert same is not layout
    assert (same == layout, hash(same) == hash(layout)) == (True, True)
    assert layout != layout_from_toml(layout_to_toml(layout).replace("H, M, I", "H, M"))
    assert layout != "micro_inverter"


def test_types_are_the_same_that_are_called_the_same() -> None:
    assert Text(4) == Text(4, b"\0") != Text(4, b" ")
    assert len({Text(4), Text(4), Raw(4)}) == 2
    assert Text(4) != "text 4"


def test_the_suggestions_are_keys_that_exist() -> None:
    for key in CONCRETE:
        assert lookup(key).key == key
        assert template_of(key) in QUANTITIES
