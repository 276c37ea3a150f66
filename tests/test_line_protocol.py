"""Readings as lines of InfluxDB's line protocol."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverterproto_cli.sinks.line_protocol import check_series, escape_name, line
from tests.posts import entry

MILLISECONDS = "1712596443250"


def test_a_reading_is_a_point_at_the_millisecond_it_was_measured() -> None:
    made = line(entry(values={"active_power": 4, "pv_power": -0.5}), "inverter", {"site": "home"})
    tags = "device=2301234567,family=deye,site=home"
    assert made.decode() == f"inverter,{tags} active_power=4.0,pv_power=-0.5 {MILLISECONDS}"


def test_texts_are_strings_and_numbers_are_floats_always() -> None:
    values: dict[str, float | str] = {
        "status": "Normal",
        "fault": 0,
        "energy_total": 1e16,
        "pv_power": 1e-7,
    }
    text = line(entry(values=values), "inverter", {}).decode()
    assert ' status="Normal",fault=0.0,energy_total=1e+16,pv_power=1e-07 ' in text


def test_what_is_no_finite_number_is_no_field() -> None:
    odd = {"pv_power": float("nan"), "load_power": float("-inf"), "grid_power": 10**400}
    assert line(entry(values=odd), "inverter", {}) == b""
    assert b" status=1.0 " in line(entry(values={**odd, "status": 1}), "inverter", {})


def test_a_reading_without_values_is_no_point() -> None:
    assert line(entry(values={}), "inverter", {}) == b""


def test_a_device_that_nobody_knows_is_no_tag() -> None:
    for device in (None, ""):
        assert line(entry(device=device), "inverter", {}).startswith(b"inverter,family=deye ")


def test_other_fields_stand_apart_from_quantities_of_their_name() -> None:
    made = line(entry(values={"grid_power": -1}, fields={"grid_power": 1}), "inverter", {})
    assert b" grid_power=-1.0,fields_grid_power=1.0 " in made


@pytest.mark.parametrize(
    ("serial", "tag"),
    [
        ("a b", r"a\ b"),
        ("a,b=c", r"a\,b\=c"),
        ('a"b', 'a"b'),
        ("a\\", "a＼"),
        ("a\\,b", r"a＼\,b"),
        ("a\nb\r\0", "a␊b␍␀"),
        ("a\u2028b\x85", "a␤b␤"),
        ("é ☀", r"é\ ☀"),
        ("a\ud800", "a?"),
    ],
)
def test_a_hostile_serial_stays_within_its_tag(serial: str, tag: str) -> None:
    text = line(entry(device=serial), "inverter", {}).decode()
    assert text.startswith(f"inverter,device={tag},family=deye active_power=4.0,")


def test_a_hostile_text_stays_within_its_string() -> None:
    made = line(entry(values={"status": 'a"b\\ c,d=e\n#f'}), "inverter", {}).decode()
    assert r' status="a\"b\\ c,d=e␊#f" ' in made


_LINE = re.compile(
    r"""(?:\\[, ]|[^\\, ])+                           # measurement
        (?:,(?:\\[,= ]|[^\\,= ])+=(?:\\[,= ]|[^\\,= ])+)*  # tags
        [ ](?:\\[,= ]|[^\\,= ])+=(?:-?[0-9.]+|"(?:\\["\\]|[^"\\])*")
        [ ]-?[0-9]+""",
    re.VERBOSE,
)


@given(st.text(min_size=1), st.text(), st.text(min_size=1), st.text(min_size=1))
def test_whatever_is_in_it_one_point_is_one_line_of_the_grammar(
    device: str, status: str, key: str, value: str
) -> None:
    made = line(entry(values={"status": status}, device=device), "my meas,ure", {key: value})
    text = made.decode()
    assert _LINE.fullmatch(text), text
    assert text.splitlines() == [text]


@pytest.mark.parametrize(
    ("measurement", "tags"),
    [
        ("", {}),
        ("#x", {}),
        ("_x", {}),
        ("x", {"device": "1"}),
        ("x", {"family": "1"}),
        ("x", {"time": "1"}),
        ("x", {"": "1"}),
        ("x", {"_x": "1"}),
        ("x", {"site": ""}),
        ("x", {"site": ["home"]}),
    ],
)
def test_a_measurement_or_tag_that_cannot_be_is_told(
    measurement: str, tags: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match=r"is needed|is taken|needs a text"):
        check_series(measurement, tags)


def test_a_tag_may_be_a_number() -> None:
    check_series("inverter", {"roof": 2})
    assert escape_name("roof 2") == r"roof\ 2"
    assert b",roof=2 " in line(entry(), "inverter", {"roof": 2})
