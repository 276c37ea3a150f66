"""JSON as devices write it: read like JSON, every value in its place, edited in place."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverterproto.alphaess.fields import GREATEST, to_number, to_value
from inverterproto.alphaess.payloads import build, read
from inverterproto.alphaess.spelling import edit, is_same, write
from inverterproto.alphaess.text import DEEPEST, Document, Names, load, scan
from inverterproto.errors import FieldError, ProtocolError
from tests.vectors import fixtures
from tests.work import is_linear

PAYLOADS = sorted(raw[7:-2] for raw in fixtures("alphaess").values() if raw[7:8] == b"{")


def values_of(document: Document) -> dict[str, Any]:
    return {pair.name: pair.value for pair in document.pairs}


def edited(payload: bytes | str, *, from_cloud: bool = False, **changes: object) -> bytes:
    """Return a payload with some fields changed, those that are `...` removed."""
    raw = payload.encode() if isinstance(payload, str) else payload
    new = {**read("unknown", raw).fields, **changes}
    new = {name: value for name, value in new.items() if value is not ...}
    return build("unknown", new, raw, from_cloud=from_cloud)


# Numbers


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1250", 1250),
        ("-688.8960", -688.896),
        ("0.0", 0.0),
        ("-0", 0),
        ("10.100", 10.1),
        ("1e3", 1000.0),
        ("1E-2", 0.01),
        ("1000000000000000", 10**15),
        ("-1000000000000000", -(10**15)),
    ],
)
def test_a_text_that_json_would_call_a_number_is_one(text: str, number: float) -> None:
    found = to_number(text)
    assert found == number
    assert type(found) is type(number)


@pytest.mark.parametrize(
    "text",
    [
        *("", "-", "+5", "\t5", "5\t", "5.", ".5", "007", "1_000", "0x10", "--1", "1e", "٣", "5\n"),
        *("nan", "NaN", "inf", "-Infinity", "1e400", "1e16", "1000000000000001", "9" * 5000),
        "-" + "9" * 17,
    ],
)
def test_any_other_text_is_none(text: str) -> None:
    assert to_number(text) is None


def test_a_value_is_what_its_key_says() -> None:
    assert to_value("Ppv1", "1250") == 1250
    assert to_value("Ppv1", "") == ""
    assert to_value("Ppv1", "nan") == "nan"
    assert to_value("SN", "123") == "123"
    assert to_value("NobodyKnows", "123") == "123"
    assert [to_value("Fan", text) for text in ("False", "false", "True", "true", "0")] == [
        *(False, False, True, True),
        "0",
    ]
    assert to_value("Ppv1", value=True) is True
    assert to_value("SN", 123) == 123


# Reading


def test_the_bytes_of_every_key_and_value_are_where_the_pairs_say() -> None:
    payload = b' { "a" : "1\\"2" ,"b":-1.5e3,\t"c":[1,{"d":"]"}],"e":null}'
    document = scan(payload)
    assert [payload[p.start : p.start + 3] for p in document.pairs] == [
        *(b'"a"', b'"b"', b'"c"', b'"e"'),
    ]
    assert [payload[p.value_start : p.end] for p in document.pairs] == [
        b'"1\\"2"',
        b"-1.5e3",
        b'[1,{"d":"]"}]',
        b"null",
    ]
    assert values_of(document) == {"a": '1"2', "b": -1500.0, "c": [1, {"d": "]"}], "e": None}


def test_repeated_keys_get_names_of_their_own() -> None:
    assert values_of(scan(b'{"a":1,"a":2,"b":3,"a":4}')) == {"a": 1, "a#2": 2, "b": 3, "a#3": 4}
    assert values_of(scan(b'{"a":1,"a#2":2,"a":3}')) == {"a": 1, "a#2": 2, "a#3": 3}
    assert values_of(scan(b'{"x":{"a":1,"a":2}}')) == {"x": {"a": 1, "a#2": 2}}


def test_what_is_odd_but_clear_is_read() -> None:
    assert values_of(scan(b'{"a":NaN,"b":-Infinity,"c":1e999}')) == {
        "a": "NaN",
        "b": "-Infinity",
        "c": "1e999",
    }
    assert values_of(scan(b'{"a":[NaN,1e999,-Infinity]}')) == {"a": ["NaN", "1e999", "-Infinity"]}
    assert values_of(scan(b'{"a":"line\nbreak\x00"}')) == {"a": "line\nbreak\x00"}
    assert values_of(scan(b"{}")) == values_of(scan(b" {\n} ")) == {}
    assert values_of(scan(b'{"a":' + b"9" * 5000 + b"}")) == {"a": "9" * 5000}


def test_bytes_behind_the_object_are_a_problem_but_space_is_none() -> None:
    assert scan(b'{"a":1} \r\n').problems == ()
    (problem,) = scan(b'{"a":1}\x00\x00').problems
    assert problem == "2 bytes behind the JSON object, at offset 7 of payload"


def test_a_payload_that_is_not_utf_8_is_read_as_latin_1() -> None:
    utf8, latin = '{"Address":"Straße"}'.encode(), '{"Address":"Straße"}'.encode("latin-1")
    assert values_of(scan(utf8)) == values_of(scan(latin)) == {"Address": "Straße"}
    assert scan(utf8).problems == ()
    assert scan(latin).problems == ("payload is not UTF-8: read as Latin-1",)
    assert values_of(scan('{"a":["ß",1]}'.encode())) == {"a": ["ß", 1]}
    assert values_of(scan('{"a":["ß",1]}'.encode("latin-1"))) == {"a": ["ß", 1]}
    assert values_of(scan('{"a":"ß\\u00df\\n"}'.encode())) == {"a": "ßß\n"}


def test_a_lone_surrogate_stays_as_it_is_written() -> None:
    document = scan(rb'{"a":"x\ud800","b":["\uDC00"],"c":"\ud83d\ude00"}')
    assert values_of(document) == {"a": r"x\ud800", "b": r'["\uDC00"]', "c": "\U0001f600"}
    assert json.dumps(values_of(document), ensure_ascii=False).encode()


def test_what_is_nested_too_deep_stays_as_it_is_written() -> None:
    deep = "[" * DEEPEST + "]" * DEEPEST
    assert isinstance(values_of(scan(f'{{"a":{deep}}}'.encode()))["a"], list)
    assert values_of(scan(f'{{"a":[{deep}]}}'.encode())) == {"a": f"[{deep}]"}
    deeper = "[" * 30_000 + "]" * 30_000
    assert values_of(scan(f'{{"a":{deeper}}}'.encode())) == {"a": deeper}


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"", "at offset 0: expected {, found the end"),
        (b"  ", "at offset 2: expected {, found the end"),
        (b"[1]", "at offset 0: expected {, found '['"),
        (b'"x"', "at offset 0: expected {, found '\"'"),
        (b"\xef\xbb\xbf{}", "at offset 0: expected {, found 'ï'"),
        (b"{", "at offset 1: expected a key in quotation marks and a colon, found the end"),
        (b"{a:1}", "at offset 1: expected a key in quotation marks and a colon, found 'a'"),
        (b'{"a" 1}', "at offset 1: expected a key in quotation marks and a colon, found '\"'"),
        (b'{"a":}', "at offset 5: expected a value, found '}'"),
        (b'{"a":01}', "at offset 6: expected a comma or }, found '1'"),
        (b'{"a":nan}', "at offset 5: expected a value, found 'n'"),
        (b'{"a":"x\\y"}', "at offset 5: expected a value, found '\"'"),
        (b'{"a":1', "at offset 6: expected a comma or }, found the end"),
        (b'{"a":1,}', "at offset 7: expected a key in quotation marks and a colon, found '}'"),
        (b'{"SN":""AL2"}', "at offset 8: expected a comma or }, found 'A'"),
        (b'{"a":[1', "at offset 7: expected the end of a nested value, found the end"),
        (b'{"a":[1}', "at offset 7: expected JSON, found '}'"),
        (b'{"a":["]}', "at offset 9: expected the end of a nested value, found the end"),
        ('{"a":["ß",x]}'.encode(), "at offset 11: expected JSON, found 'x'"),
        (b'{"a":]}', "at offset 5: expected a value, found ']'"),
        (b'{"a":[1]"b"}', "at offset 8: expected a comma or }, found '\"'"),
    ],
)
def test_broken_json_says_where_what_is_expected_and_found(payload: bytes, text: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        scan(payload)
    assert str(caught.value) == f"broken JSON {text}"


# Writing


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_real_payload_that_is_not_changed_keeps_its_bytes(payload: bytes) -> None:
    assert edited(payload) == payload


@pytest.mark.parametrize(
    ("payload", "changes", "result"),
    [
        ('{"Ppv1":"1250", "Ppv2":"1"}', {"Ppv1": 1300}, '{"Ppv1":"1300", "Ppv2":"1"}'),
        ('{"Ppv1":"1250"}', {"Ppv1": -0.5}, '{"Ppv1":"-0.5"}'),
        ('{"Ppv1":"1250"}', {"Ppv1": "n/a"}, '{"Ppv1":"n/a"}'),
        ('{"Ppv1":"1250"}', {"Ppv1": None}, '{"Ppv1":null}'),
        ('{"Ppv1": 1250 }', {"Ppv1": 1300}, '{"Ppv1": 1300 }'),
        ('{"Ppv1":"1250"}', {"Ppv1": 1250.0}, '{"Ppv1":"1250"}'),
        ('{"Fan":"False"}', {"Fan": True}, '{"Fan":"True"}'),
        ('{"Fan":"false"}', {"Fan": True}, '{"Fan":"true"}'),
        ('{"Fan":false}', {"Fan": True}, '{"Fan":true}'),
        ('{"New":"1"}', {"New": 2}, '{"New":"2"}'),
        ('{"New":"1"}', {"New": True}, '{"New":"True"}'),
        ('{"Fan":"0"}', {"Fan": False}, '{"Fan":"False"}'),
        ('{"EmsLanguage":0}', {"EmsLanguage": False}, '{"EmsLanguage":false}'),
        ('{"SN":"A"}', {"SN": 'a"\\\nß'}, '{"SN":"a\\"\\\\\\n\\u00df"}'),
        ('{"a":[1]}', {"a": [True]}, '{"a":[true]}'),
        ('{"a":[1]}', {"a": [1]}, '{"a":[1]}'),
        ('{"a":1,"a":2}', {"a#2": 3}, '{"a":1,"a":3}'),
        ('{ "a":1, "b":2 , "c":3 }', {"a": ...}, '{ "b":2 , "c":3 }'),
        ('{ "a":1, "b":2 , "c":3 }', {"b": ...}, '{ "a":1 , "c":3 }'),
        ('{ "a":1, "b":2 , "c":3 }', {"c": ...}, '{ "a":1, "b":2 }'),
        ('{ "a":1 }x', {"a": ...}, "{  }x"),
        ('{"a":1}', {"b": "x", "Fan": True}, '{"a":1,"b":"x","Fan":"True"}'),
        ("{ }", {"b": 1}, '{ "b":1}'),
        ('{"a":1}', {"a#2": 2, "a#3": 3, "x#2": 4}, '{"a":1,"a":2,"a":3,"x#2":4}'),
    ],
)
def test_an_edit_touches_only_what_it_changes(
    payload: str, changes: dict[str, Any], result: str
) -> None:
    assert edited(payload, **changes).decode() == result


def test_each_sender_writes_numbers_and_bools_in_its_own_way() -> None:
    fields = {"Ppv1": 1, "EmsLanguage": 0, "Fan": False, "x": 1, "y": True, "SN": 5}
    assert write(fields, from_cloud=False).decode() == (
        '{"Ppv1":"1","EmsLanguage":"0","Fan":"False","x":1,"y":true,"SN":5}'
    )
    assert write(fields, from_cloud=True).decode() == (
        '{"Ppv1":"1","EmsLanguage":0,"Fan":false,"x":1,"y":true,"SN":5}'
    )


@pytest.mark.parametrize(
    "value",
    [
        *(float("nan"), float("inf"), GREATEST + 1, -1e300, b"bytes", {1, 2}, object()),
        *("\ud800", [float("nan")], {"a": b""}),
    ],
)
def test_what_json_cannot_carry_is_refused(value: object) -> None:
    with pytest.raises(FieldError) as caught:
        write({"Ppv1": value}, from_cloud=False)
    assert caught.value.field == "Ppv1"
    with pytest.raises(FieldError):
        edited('{"Ppv1":"1"}', Ppv1=value)


def test_a_value_nested_without_end_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (endless, deep):
        with pytest.raises(FieldError):
            write({"a": value}, from_cloud=False)


@pytest.mark.parametrize("name", [5, None, "\ud800"])
def test_a_name_that_is_no_text_is_refused(name: object) -> None:
    values: dict[Any, int] = {name: 1}
    with pytest.raises(FieldError):
        write(values, from_cloud=False)


def test_values_that_say_the_same_are_the_same_but_a_bool_is_no_number() -> None:
    assert is_same(1, 1.0)
    assert not is_same([1], [True])
    one, true = 1, True
    assert not is_same(one, true)
    assert not is_same("1", 1)


def test_names_are_given_and_taken_back_alike() -> None:
    keys = ["a", "a", "a#2", "a", "a#2#2", "a#2", "b#2", "b", "b", "#2", "", "", "#2"]
    given_names = Names()
    names = [given_names.give(key) for key in keys]
    assert len(set(names)) == len(names)
    taken = Names()
    renamed = Names()
    assert [renamed.give(taken.key_of(name)) for name in names] == names


# Properties

keys = st.sampled_from(["a", "a#2", "Ppv1", "Fan", "SN", "x"]) | st.text(max_size=5)
numbers = st.integers(-GREATEST, GREATEST) | st.floats(-1e15, 1e15)
texts = st.text(st.characters(codec="utf-8"), max_size=12)
scalars = st.none() | st.booleans() | numbers | texts | numbers.map(str)
nested = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("ab#2", max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def written(draw: st.DrawFn) -> bytes:
    """An object as any JSON writer might write it."""
    space = st.sampled_from(["", "", " ", "\t\n"])
    ascii_only = draw(st.booleans())
    pairs = []
    for _ in range(draw(st.integers(0, 5))):
        key = json.dumps(draw(keys), ensure_ascii=True)
        value = json.dumps(draw(nested), ensure_ascii=ascii_only)
        pairs.append(f"{draw(space)}{key}{draw(space)}:{draw(space)}{value}{draw(space)}")
    text = f"{draw(space)}{{{','.join(pairs) or draw(space)}}}{draw(space)}"
    return text.encode("utf-8")


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = Names()
    return {names.give(key): value for key, value in pairs}


@given(written())
def test_json_is_read_as_python_reads_it(payload: bytes) -> None:
    found = values_of(scan(payload))
    expected = json.loads(payload, object_pairs_hook=unique)
    assert json.dumps(found) == json.dumps(expected) or "\\ud" in payload.decode().lower()


@given(
    written() | st.binary(max_size=60) | st.text('{}[]":,01aeE.-\\ u', max_size=30).map(str.encode)
)
def test_the_two_ways_to_read_agree(payload: bytes) -> None:
    quick = load(payload)
    if quick is None:
        return
    document = scan(payload)
    assert repr([(pair.key, pair.value) for pair in document.pairs]) == repr(
        [(key, value) for key, value in quick]
    )
    assert document.problems == ()


@given(written() | st.sampled_from(PAYLOADS), st.booleans())
def test_fields_that_are_not_changed_build_to_the_same_bytes(payload: bytes, cloud: bool) -> None:  # noqa: FBT001 - Hypothesis calls it
    fields = read("unknown", payload).fields
    assert build("unknown", fields, payload, from_cloud=cloud) == payload


@given(written(), st.dictionaries(keys, nested, max_size=3), st.booleans(), st.data())
def test_an_edited_payload_says_what_it_was_edited_to(
    payload: bytes,
    changes: dict[str, Any],
    cloud: bool,  # noqa: FBT001 - Hypothesis calls it
    data: st.DataObject,
) -> None:
    old = read("unknown", payload).fields
    # What was a string stays one: a number is then only read back where its key has numbers.
    changes = {
        key: value
        for key, value in changes.items()
        if "#" not in key and not (isinstance(old.get(key), str) and isinstance(value, int | float))
    }
    gone = data.draw(st.sets(st.sampled_from(sorted(old)), max_size=2) if old else st.just(set()))
    if any("#" in name for name in old):
        gone = set()
    new = {name: value for name, value in {**old, **changes}.items() if name not in gone}
    found = read("unknown", build("unknown", new, payload, from_cloud=cloud)).fields
    expected = {name: to_value(name.partition("#")[0], value) for name, value in new.items()}
    assert found == expected


@given(st.dictionaries(keys, nested, max_size=5), st.booleans())
def test_fields_are_read_back_from_what_is_built_of_them(
    values: dict[str, Any],
    cloud: bool,  # noqa: FBT001 - Hypothesis calls it
) -> None:
    # A text that says a number is that number, where its key measures one.
    fields = {name: to_value(name, value) for name, value in values.items()}
    payload = build("unknown", fields, from_cloud=cloud)
    found = read("unknown", payload).fields
    assert json.dumps(found) == json.dumps(fields)


@given(st.binary(max_size=80) | st.text('{}[]":,01ae.-\\ #', max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused(payload: bytes) -> None:
    content = read("unknown", payload)
    assert json.dumps(content.fields)
    assert build("unknown", content.fields, payload, from_cloud=False) == payload


# Bounds


@pytest.mark.parametrize(
    ("head", "unit", "tail"),
    [
        (b'{"a":1', b',"a":1', b"}"),
        (b'{"a":1', b',"a#2":1,"a":1', b"}"),
        (b"{", b'"', b""),
        (b'{"a":"', b"\\", b""),
        (b'{"a":"', b'\\"', b""),
        (b'{"a":', b"[", b""),
        (b'{"a":', b"[]", b""),
        (b'{"a":["', b'\\"', b""),
        (b"{", b" ", b""),
        (b'{"a":', b"9", b"}"),
        (b'{"a":1e', b"9", b"}"),
        (b'{"a":0.', b"0", b"}"),
        (b'{"a":[', b"[],", b"1]}"),
        (b'{"a":1', b',"b":[1]', b"}"),
    ],
)
def test_the_work_is_linear_in_hostile_json(head: bytes, unit: bytes, tail: bytes) -> None:
    def spent(size: int) -> float:
        payload = head + unit * (size // len(unit)) + tail
        begun = time.process_time()
        fields = read("unknown", payload).fields
        build("unknown", fields, payload, from_cloud=False)
        return time.process_time() - begun

    assert is_linear(spent, 4_000)


def test_the_quick_way_leaves_what_it_cannot_read_to_the_other() -> None:
    assert load(b'{"a":"1","b":2}') == (("a", "1"), ("b", 2))
    for payload in (
        b"[1]",
        b'{"a":[1]}',
        b'{"a":{}}',
        b'{"a":"\\n"}',
        b'{"a":"\xff"}',
        b'{"a":1}x',
    ):
        assert load(payload) is None
    assert load(b'{"a":' + b"[" * 60_000) is None


def test_editing_needs_no_fields_of_its_own() -> None:
    document = scan(b'{"a":"1"}')
    assert edit(document, {"a": "1"}, {"a": "2"}, from_cloud=False) == b'{"a":"2"}'
