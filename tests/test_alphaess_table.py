"""Stored records as CSV: each frame's header line is the truth, and what is odd survives."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverterproto.alphaess.clock import parse_stamp
from inverterproto.alphaess.fields import BY_NAME, GREATEST, STORED, fields_of, to_value
from inverterproto.alphaess.frame import Frame
from inverterproto.alphaess.messages import MOST_PROBLEMS, Message, build, build_payload
from inverterproto.alphaess.payloads import build as build_fields
from inverterproto.alphaess.payloads import read
from inverterproto.errors import FieldError
from tests.vectors import fixtures
from tests.work import is_linear

REAL = Frame.parse(fixtures("alphaess")["stored-records"]).payload
SMALL = b"Date,Time,SN,SOC\n2021/03/24,09:40:59,AL2,26.0\n2021/03/24,09:42:00,AL2,26.4\n"


def message(payload: bytes) -> Message:
    return Message.parse(Frame(1, 1, 12, payload))


def edited(
    payload: bytes, columns: list[Any] | None = None, rows: list[Any] | None = None
) -> bytes:
    fields = read(STORED, payload).fields
    new = {
        "columns": columns or fields["columns"],
        "rows": fields["rows"] if rows is None else rows,
    }
    return build_payload(1, 12, new, onto=payload)


# Reading


def test_the_columns_are_those_of_the_real_header_line() -> None:
    fields = message(REAL).fields
    assert len(fields["columns"]) == 82
    assert {*fields["columns"]} == {field.name for field in fields_of(STORED)}
    assert [len(row) for row in fields["rows"]] == [82, 82, 82]
    assert fields["rows"][0][:6] == ["2021/03/24", "09:40:59", "AL2002000001234", 1029, 981, 278.2]


def test_each_row_is_a_historic_record_with_its_own_stamp() -> None:
    records = message(SMALL).records()
    assert [record.stamp for record in records] == [
        parse_stamp("2021/03/24 09:40:59"),
        parse_stamp("2021/03/24 09:42:00"),
    ]
    assert [record.values for record in records] == [
        {"state_of_charge": 26.0},
        {"state_of_charge": 26.4},
    ]
    assert all(record.historic and record.kind == "stored" for record in records)
    assert {record.device for record in records} == {"AL2"}


def test_a_stored_record_may_have_date_and_time_in_one_column() -> None:
    (record,) = message(b"Time,SN,SOC\n2021/03/24 09:40:59,AL2,5\n").records()
    assert record.stamp == parse_stamp("2021/03/24 09:40:59")


@pytest.mark.parametrize(
    "payload", [SMALL.replace(b"\n", end) for end in (b"\r\n", b"\n\n", b"\r")]
)
def test_line_ends_of_any_kind_and_blank_lines_are_survived(payload: bytes) -> None:
    found = message(payload)
    assert found.fields == message(SMALL).fields
    assert found.problems == ()
    assert edited(payload) == payload


def test_rows_of_another_width_are_read_and_told() -> None:
    found = message(b"Date,Time,SN,SOC\n2021/03/24,09:40:59,AL2\n2021/03/24,09:42:00,AL2,5,x,7\n")
    assert found.fields["rows"] == [
        ["2021/03/24", "09:40:59", "AL2"],
        ["2021/03/24", "09:42:00", "AL2", 5, "x", "7"],
    ]
    assert found.problems == (
        "row 1: 3 cells, 4 columns",
        "row 2: 6 cells, 4 columns",
        "row 1: nothing measured",
    )
    assert [record.values for record in found.records()] == [{"state_of_charge": 5}]


def test_blanks_beside_the_commas_do_not_count_and_stay() -> None:
    payload = b"Date, Time, SN, SOC\n2021/03/24, 09:40:59, AL2, 26.0\n"
    found = message(payload)
    assert found.fields["columns"] == ["Date", "Time", "SN", "SOC"]
    assert found.device == "AL2"
    assert found.problems == ()
    assert [record.values for record in found.records()] == [{"state_of_charge": 26.0}]
    assert found.replace(found.fields).payload == payload


def test_a_row_that_says_no_numbers_is_told() -> None:
    found = message(b'SN,SOC\n"AL2","26"\nSN,SOC\n')
    assert found.problems == (
        "row 1: SOC: no number: '\"26\"'",
        "row 1: nothing measured",
        "row 2: SOC: no number: 'SOC'",
        "row 2: nothing measured",
    )


def test_without_a_header_line_nothing_is_guessed() -> None:
    found = message(b"2021/03/24,09:40:59,AL2,26.0\n")
    assert found.fields == {"columns": [], "rows": [["2021/03/24", "09:40:59", "AL2", "26.0"]]}
    assert found.problems == ("no header line",)
    assert found.records() == []
    assert found.device is None


def test_without_a_serial_a_record_is_nobodys() -> None:
    found = message(b"Date,Time,SOC\n2021/03/24,09:40:59,5\n")
    assert found.problems == ("no column SN",)
    assert [record.device for record in found.records()] == [None]
    assert found.device is None


def test_the_device_is_the_first_serial_that_a_row_tells() -> None:
    assert message(b"SN,SOC\n,1\nAL2,2\nAL3,3\n").device == "AL2"


def test_a_time_that_is_none_is_a_problem_of_its_row() -> None:
    found = message(b"Date,Time,SN,SOC\n2021/13/24,09:40:59,AL2,5\n")
    assert found.problems == ("row 1: Time: no date that can be read",)
    assert [record.stamp for record in found.records()] == [None]


def test_of_a_repeated_column_the_last_counts_and_that_is_told() -> None:
    found = message(b"Date,Time,SN,SOC,SOC\n2021/03/24,09:40:59,AL2,5,6\n")
    assert found.problems == ("row 1: SOC stands more than once: the last counts",)
    assert [record.values for record in found.records()] == [{"state_of_charge": 6}]


def test_of_many_problems_the_number_is_told() -> None:
    found = message(SMALL + b"a,b\n" * 1000)
    assert len(found.problems) == MOST_PROBLEMS + 1
    assert found.problems[-1] == f"and {2 * 1000 - MOST_PROBLEMS} more problems"


def test_a_payload_that_is_not_utf_8_is_read_as_latin_1() -> None:
    found = message("SN,EmsStatus\nAL2,Störung\n".encode("latin-1"))
    assert found.fields["rows"] == [["AL2", "Störung"]]
    assert "payload is not UTF-8: read as Latin-1" in found.problems
    assert message("SN,EmsStatus\nAL2,Störung\n".encode()).fields["rows"] == [["AL2", "Störung"]]


def test_stored_records_may_also_be_what_they_never_were() -> None:
    assert message(b'{"SN":"AL2","SOC":"5"}').fields == {"SN": "AL2", "SOC": 5}
    assert message(b"\x00\x01").fields == {"raw": "0001"}
    assert message(b"").problems == ("empty payload",)
    assert message(b'{"SN":').fields == {"text": '{"SN":'}
    assert message(b"\n\n").fields == {"columns": [], "rows": []}


# Writing


def test_the_real_table_is_written_again_from_its_values() -> None:
    fields = message(REAL).fields
    built = build("stored_records", fields)
    assert json.dumps(Message.parse(built).fields) == json.dumps(fields)
    assert built.payload.startswith(REAL[: REAL.index(b"\n") + 1])


def test_an_edit_touches_only_its_cell() -> None:
    rows = message(SMALL).fields["rows"]
    changed = [[*rows[0][:3], 30], rows[1]]
    assert edited(SMALL, rows=changed) == SMALL.replace(b"26.0", b"30")


def test_rows_and_cells_are_added_and_removed() -> None:
    row = ["2021/03/24", "09:43:00", "AL2", 26.8]
    rows = message(SMALL).fields["rows"]
    assert edited(SMALL, rows=[*rows, row]) == SMALL + b"2021/03/24,09:43:00,AL2,26.8\n"
    assert edited(SMALL, rows=rows[:1]) == SMALL[: SMALL.rindex(b"2021")]
    assert edited(SMALL, rows=[rows[0][:2], rows[1]]).splitlines()[1] == b"2021/03/24,09:40:59"
    windows = SMALL.replace(b"\n", b"\r\n")
    assert edited(windows, rows=[*rows, row]) == windows + b"2021/03/24,09:43:00,AL2,26.8\r\n"
    assert edited(SMALL[:-1], rows=[*rows, row]).endswith(b"AL2,26.4\n2021/03/24,09:43:00,AL2,26.8")


def test_columns_are_renamed_and_a_header_line_is_added() -> None:
    assert edited(SMALL, columns=["Date", "Time", "SN", "BatV"]).startswith(
        b"Date,Time,SN,BatV\n2021"
    )
    bare = SMALL[SMALL.index(b"\n") + 1 :]
    assert edited(bare) == bare
    assert edited(bare, columns=["Date", "Time", "SN", "SOC"]) == SMALL
    assert build_payload(1, 12, {"columns": ["SN"], "rows": []}, onto=b"\n") == b"SN\n"


def test_a_bool_is_written_as_devices_write_it() -> None:
    fields = {"columns": ["SN", "Fan"], "rows": [["AL2", False], ["AL2", True]]}
    assert build("stored_records", fields).payload == b"SN,Fan\nAL2,False\nAL2,True\n"


def test_a_table_is_replaced_by_something_else() -> None:
    assert build_payload(1, 12, {"SN": "AL2"}, onto=SMALL) == b'{"SN":"AL2"}'


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"columns": "SN"}, "columns: not a list"),
        ({"columns": ["SN"], "rows": 5}, "rows: not a list"),
        ({"columns": ["SN"], "rows": ["AL2"]}, "rows: not a list"),
        ({"columns": [], "rows": []}, "columns: no header line"),
        ({"columns": ["nobody", "knows"], "rows": []}, "columns: no header line"),
        ({"columns": [], "rows": [["SN"]]}, "columns: no header line"),
        ({"columns": ["SN"], "rows": [], "more": 1}, "more: not in a table"),
        ({"columns": ["SN"], "rows": [[]]}, "rows: a blank line is no row"),
        ({"columns": ["SN"], "rows": [[""]]}, "rows: a blank line is no row"),
        ({"columns": ["SN"], "rows": [["a,b"]]}, "rows: no cell"),
        ({"columns": ["SN"], "rows": [["a\nb"]]}, "rows: no cell"),
        ({"columns": ["SN"], "rows": [["a\x00"]]}, "rows: no cell"),
        ({"columns": [" {", "SN"], "rows": []}, "columns: begins as JSON"),
        ({"columns": ["SN"], "rows": [[None]]}, "rows: no cell"),
        ({"columns": ["SN"], "rows": [["\ud800"]]}, "rows: no cell"),
        ({"columns": ["SOC"], "rows": [[float("nan")]]}, "rows: out of range"),
    ],
)
def test_what_a_table_cannot_carry_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(FieldError, match=message):
        build_payload(1, 12, fields)


def test_into_a_latin_1_table_only_latin_1_is_written() -> None:
    latin = "SN,EmsStatus\nAL2,Störung\n".encode("latin-1")
    assert edited(latin, rows=[["AL2", "Übel"]]) == "SN,EmsStatus\nAL2,Übel\n".encode("latin-1")
    with pytest.raises(FieldError, match="Latin-1"):
        edited(latin, rows=[["AL2", "€"]])
    assert edited(SMALL, rows=[["€"]]).splitlines()[1] == "€".encode()


# Properties

names = st.sampled_from(sorted(BY_NAME)) | st.text("abcß", max_size=3)
plain_signs = st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters=",")
cells = st.text(plain_signs, max_size=6).map(lambda text: text.strip(" "))
cell_values = cells | st.integers(-GREATEST, GREATEST) | st.floats(-1e15, 1e15)


@st.composite
def tables(draw: st.DrawFn) -> dict[str, Any]:
    columns = [draw(st.sampled_from(sorted(BY_NAME))), *draw(st.lists(names, max_size=4))]
    rows = draw(st.lists(st.lists(cell_values, min_size=1, max_size=6), max_size=4))
    typed = []
    for row in rows:
        line = [
            to_value(columns[at], str(v)) if at < len(columns) else str(v)
            for at, v in enumerate(row)
        ]
        typed.append(line if any(cell != "" for cell in line) or len(line) > 1 else ["x"])
    return {"columns": columns, "rows": typed}


lines = st.text("SN,O1.\r\n-ß", max_size=40)


@given(tables())
def test_a_table_of_any_values_is_read_back(fields: dict[str, Any]) -> None:
    payload = build_fields(STORED, fields, from_cloud=False)
    assert read(STORED, payload).fields == fields


@given(
    lines.map(str.encode) | lines.map(lambda text: text.encode("latin-1")) | st.binary(max_size=60)
)
def test_any_payload_is_read_and_unchanged_keeps_its_bytes(payload: bytes) -> None:
    fields = read(STORED, payload).fields
    assert json.dumps(fields)
    assert build_fields(STORED, fields, payload, from_cloud=False) == payload
    assert message(payload).records() is not None


@given(tables(), tables())
def test_a_table_edited_into_another_says_what_that_says(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    payload = build_fields(STORED, old, from_cloud=False)
    assert read(STORED, build_fields(STORED, new, payload, from_cloud=False)).fields == new


@pytest.mark.parametrize("unit", [b",", b"\n", b"x\n", b"\r", b"SOC,", b"1,2\n"])
def test_the_work_is_linear_in_hostile_tables(unit: bytes) -> None:
    def spent(size: int) -> float:
        payload = b"SN,SOC\n" + unit * (size // len(unit))
        begun = time.process_time()
        found = message(payload)
        found.replace({})
        assert found.problems is not None
        return time.process_time() - begun

    assert is_linear(spent, 4_000)
