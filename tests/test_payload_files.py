"""Files whose names say which messages they hold: names, bytes, white space, times."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverterproto.alphaess.clock import format_stamp, parse_stamp
from inverterproto.alphaess.frame import Frame
from inverterproto.alphaess.messages import Message
from inverterproto.checksum import crc16_modbus
from inverterproto_cli.fakes.payload_files import (
    LONGEST_PAYLOAD,
    FileError,
    NoMessageError,
    Payload,
    compacted,
    header_of,
    load,
)
from tests.vectors import FIXTURES

FOLDER = FIXTURES / "alphaess" / "storion-smile5-V1.01.05"
GOOD = sorted(path for path in FOLDER.glob("*.hex") if path.stem != "bad-crc")
AT = 1_700_000_000.0
BYTES = st.integers(0, 255)


def frame_of(path: Path) -> bytes:
    return bytes.fromhex(path.read_text())


def payload_of(name: str) -> bytes:
    return frame_of(FOLDER / f"{name}.hex")[7:-2]


def file(folder: Path, name: str, payload: bytes) -> str:
    path = folder / name
    path.write_bytes(payload)
    return str(path)


# Names


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("001-001-016.json", (1, 1, 16)),
        ("1-1-16.json", (1, 1, 16)),
        ("1-1-16.direct.json", (1, 1, 16)),
        ("1-1-12.csv", (1, 1, 12)),
        ("1-1-16", (1, 1, 16)),
        ("1-2-8-acknowledgement.txt", (1, 2, 8)),
        ("255-0-255 and so on", (255, 0, 255)),
        ("some/where/2-1-5.json", (2, 1, 5)),
    ],
)
def test_a_name_begins_with_the_three_bytes_of_the_header(
    name: str, header: tuple[int, int, int]
) -> None:
    assert header_of(name) == header


@pytest.mark.parametrize(
    "name",
    [
        "status.json", "1-1.json", "1-1-.json", "-1-1-16.json", "1-1-256.json", "1-1-1600.json",
        "0001-1-1.json", "1_1_16.json", "1-1-١.json", " 1-1-16.json", "", "1-1-16/",
    ],
)  # fmt: skip
def test_other_names_say_no_message(name: str) -> None:
    with pytest.raises(NoMessageError, match="three numbers 0 to 255"):
        header_of(name)


@given(
    BYTES, BYTES, BYTES, st.integers(1, 3), st.text().filter(lambda t: t[:1] not in "0123456789")
)
def test_any_three_bytes_can_be_named_and_what_follows_is_free(
    version: int, direction: int, command: int, width: int, rest: str
) -> None:
    name = "-".join(f"{number:0{width}}" for number in (version, direction, command))
    found = header_of(name + "." + rest.replace("/", ""))
    assert found == (version, direction, command)


@given(st.text(alphabet="0123456789-. j", max_size=14))
def test_a_name_is_taken_or_refused_and_never_fails_otherwise(name: str) -> None:
    try:
        header = header_of(name)
    except NoMessageError:
        return
    assert all(0 <= number <= 255 for number in header)


# Content


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_captured_payload_in_a_file_makes_the_captured_frame_again(
    path: Path, tmp_path: Path
) -> None:
    raw = frame_of(path)
    name = f"{raw[0]:03}-{raw[1]:03}-{raw[2]:03}.json"
    assert load(file(tmp_path, name, raw[7:-2])).build() == raw


@given(BYTES, BYTES, BYTES, st.binary(max_size=300))
def test_any_payload_stands_byte_for_byte_behind_its_header(
    version: int, direction: int, command: int, payload: bytes
) -> None:
    frame = Payload("any", (version, direction, command), payload).build()
    body, crc = frame[:-2], frame[-2:]
    assert body == bytes((version, direction, command)) + len(payload).to_bytes(4, "big") + payload
    assert int.from_bytes(crc, "big") == crc16_modbus(body)


def test_a_file_that_is_missing_empty_or_too_large_is_an_error(tmp_path: Path) -> None:
    for path, reason in (
        (str(tmp_path / "1-1-16.json"), "No such file"),
        (file(tmp_path, "1-1-5.json", b""), "is empty"),
        (file(tmp_path, "1-1-4.json", b" " * (LONGEST_PAYLOAD + 1)), "is too large"),
        (str(tmp_path / "1-1-16\0.json"), "null"),
    ):
        with pytest.raises(FileError, match=reason):
            load(path)
    (tmp_path / "1-1-9").mkdir()
    with pytest.raises(FileError, match="directory"):
        load(str(tmp_path / "1-1-9"))


def test_the_longest_payload_is_not_too_large(tmp_path: Path) -> None:
    assert len(load(file(tmp_path, "1-1-99", b"x" * LONGEST_PAYLOAD)).build()) == 65536


def test_a_file_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    endless = tmp_path / "1-1-16.json"
    endless.symlink_to("/dev/zero")
    with pytest.raises(FileError, match="too large"):
        load(str(endless))


def test_only_a_keep_alive_may_be_empty(tmp_path: Path) -> None:
    payload = load(file(tmp_path, "1-1-0.json", b""))
    assert payload.build() == frame_of(FOLDER / "keep-alive.hex")
    assert not payload.doubt


@pytest.mark.parametrize(
    ("name", "payload", "doubt"),
    [
        ("1-1-16.json", payload_of("status-1"), ""),
        ("1-1-4.json", payload_of("duplicate-keys"), ""),
        ("1-1-4.json", payload_of("malformed-json"), "no JSON"),
        ("1-1-16.JSON", b"Time,SN\n", "no JSON"),
        ("1-1-16.json", '{"Time":"ü"}'.encode("latin-1"), "no JSON"),
        ("1-1-16.json", '{"SN":"x"}'.encode("utf-16"), "no JSON"),
        ("1-1-16.json", b"[" * 60_000, "no JSON"),
        ("1-1-16.json", b'{"SOC":NaN}', "NaN is no number"),
        ("1-1-16.json", b'{"SOC":' + b"9" * 6000 + b"}", ""),
        ("1-1-12.csv", payload_of("stored-records"), ""),
        ("1-1-12.csv", b"Date,Time,SN\n1,2\n", "no CSV of stored records: row 1: 2 cells"),
        ("1-1-12.csv", b"{}", "no CSV of stored records: no header line"),
        ("1-1-16", b"\0\1\2", ""),
        ("1-1-16.txt", b"\0\1\2", ""),
    ],
)
def test_content_that_is_not_what_the_name_says_is_doubted_and_kept(
    name: str, payload: bytes, doubt: str, tmp_path: Path
) -> None:
    found = load(file(tmp_path, name, payload), compact=bool(doubt))
    assert found.payload == payload
    assert found.doubt.startswith(doubt) if not doubt else doubt in found.doubt
    assert bool(found.doubt) == bool(doubt)


# Without white space

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON, st.sampled_from([None, 0, 1, "\t", " \t"]), st.booleans())
def test_compacting_takes_the_white_space_and_nothing_else(
    value: object,
    indent: int | str | None,
    escaped: bool,  # noqa: FBT001
) -> None:
    wide = json.dumps(value, indent=indent, separators=(" , ", "\r : "), ensure_ascii=escaped)
    narrow = json.dumps(value, separators=(",", ":"), ensure_ascii=escaped)
    assert compacted(f"\n {wide} \r\n".encode()) == narrow.encode()


@given(st.lists(st.sampled_from([b'"', b"\\", b" ", b"\n", b"a", b"{", b":"]), max_size=40))
def test_compacting_loses_no_byte_that_is_no_white_space(pieces: list[bytes]) -> None:
    before = b"".join(pieces)
    after = compacted(before.replace(b'"', b"'"))
    assert after == b"".join(before.replace(b'"', b"'").split())


def test_compacting_keeps_repeated_keys_spellings_and_spaces_in_texts(tmp_path: Path) -> None:
    wide = b'{ "A b" : "1 \\" 2" ,\n "Generator":"0", "Generator" : 1.50e0 , "U":"\\u00fc" }\n'
    narrow = b'{"A b":"1 \\" 2","Generator":"0","Generator":1.50e0,"U":"\\u00fc"}'
    path = file(tmp_path, "1-1-4.json", wide)
    assert load(path, compact=True).payload == narrow
    assert load(path).payload == wide


def test_what_is_not_named_json_is_never_compacted(tmp_path: Path) -> None:
    table = payload_of("stored-records") + b" "
    assert load(file(tmp_path, "1-1-12.csv", table), compact=True).payload == table
    assert load(file(tmp_path, "1-1-99", b'{ "a": 1 }'), compact=True).payload == b'{ "a": 1 }'


# Times


def moved(header: tuple[int, int, int], payload: bytes, at: float = AT) -> bytes:
    return Payload("any", header, payload).build(at)[7:-2]


@pytest.mark.parametrize(("name", "command"), [("status-1", 16), ("record", 5)])
def test_a_time_is_rewritten_and_every_other_byte_stays(name: str, command: int) -> None:
    payload = payload_of(name)
    old = Message.parse(Frame(1, 1, command, payload)).fields["Time"]
    new = moved((1, 1, command), payload)
    assert new == payload.replace(old.encode(), b"2023/11/14 22:13:20")
    assert new != payload


@pytest.mark.parametrize("header", [(1, 1, 16), (1, 1, 77), (2, 1, 16), (9, 9, 16), (1, 2, 16)])
def test_times_are_rewritten_whatever_the_header_says(header: tuple[int, int, int]) -> None:
    payload = b'{ "Time" : "2021/03/24 10:01:52", "SN":"x", "Time":"" }'
    stamp = b'"2023/11/14 22:13:20"'
    expected = b'{ "Time" : %b, "SN":"x", "Time":%b }' % (stamp, stamp)
    assert moved(header, payload) == expected


def test_stored_records_keep_their_distances_and_the_last_is_now() -> None:
    payload = payload_of("stored-records")
    before = Message.parse(Frame(1, 1, 12, payload)).records()
    after = Message.parse(Frame(1, 1, 12, moved((1, 1, 12), payload))).records()
    stamps = [record.stamp for record in after]
    first, last = before[0].stamp, before[-1].stamp
    assert None not in (first, last)
    assert stamps[-1] == AT
    assert stamps[-1] - stamps[0] == last - first  # type: ignore[operator]
    assert [record.values for record in after] == [record.values for record in before]


@pytest.mark.parametrize(
    "payload",
    [payload_of("malformed-json"), payload_of("login"), b"", b"\0\1", b"[1]", b'"Time"', b"Time"],
)
def test_a_payload_without_a_time_stays(payload: bytes) -> None:
    for command in (2, 4, 12, 16):
        assert moved((1, 1, command), payload) == payload


CELLS = st.sampled_from(
    ["Date", "Time", "SN", "SOC", "", " ", "2021/03/24", "10:01:52", "2021/03/24 10:01:52",
     " 10:01:52 ", "x", '"', "{", "\x0b{", "\x0b", "ü", "1", "\0"]
)  # fmt: skip
LINES = st.lists(st.lists(CELLS, max_size=5).map(",".join), max_size=5)


@given(LINES, st.sampled_from(["\n", "\r\n", "\n\n"]))
def test_no_table_however_odd_makes_it_fail(lines: list[str], newline: str) -> None:
    payload = newline.join(["Date,Time,SN", *lines]).encode()
    changed = moved((1, 1, 12), payload)
    assert Message.parse(Frame(1, 1, 12, changed)).name == "stored_records"
    payload = newline.join(lines).encode()
    assert moved((1, 1, 12), payload).count(b",") == payload.count(b",")


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()), BYTES)
def test_no_payload_however_odd_makes_it_fail(payload: bytes, command: int) -> None:
    assert isinstance(moved((1, 1, command), payload), bytes)


def test_the_shown_time_is_the_one_asked_for() -> None:
    payload = moved((1, 1, 16), b'{"Time":""}', at=AT + 3600.9)
    assert json.loads(payload) == {"Time": format_stamp(AT + 3600)}
    assert parse_stamp(json.loads(payload)["Time"]) == AT + 3600
