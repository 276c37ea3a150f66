"""`inverterproto encode`: the JSON of decode, edited or not, back to bytes."""

import codecs
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from inverterproto import decode as decode_bytes
from inverterproto_cli import json_objects
from inverterproto_cli.chunk import SourceError
from inverterproto_cli.json_objects import read_objects
from inverterproto_cli.main import group
from tests.conftest import decode, invoke
from tests.test_cli_main import PATIENCE, PROGRAM, on_a_terminal, plain
from tests.vectors import BROKEN, fixtures, raw

HEARTBEAT, MICRO = raw("heartbeat"), raw("micro-5408-realtime")
EVERY = {**fixtures("deye"), **fixtures("alphaess")}
ALL = b"".join(data for name, data in EVERY.items() if name != BROKEN) + EVERY[BROKEN]


def objects(data: bytes) -> list[dict[str, Any]]:
    return [found.to_json() for found in decode_bytes(data)]


def lines(*shown: object) -> str:
    return "".join(json.dumps(each) + "\n" for each in shown)


BEAT = objects(HEARTBEAT)[0]
LINE = lines(BEAT)


def encoded(text: str | bytes, *options: str) -> tuple[int, bytes, str]:
    """Return exit code, bytes and complaints of `encode` on its standard input."""
    result = CliRunner(catch_exceptions=False).invoke(
        group, ["encode", *options], input=text, prog_name="inverterproto"
    )
    return result.exit_code, result.stdout_bytes, result.stderr


def spread(**options: Any) -> str:  # noqa: ANN401 - those of json
    return "".join(json.dumps(each, **options) + "\n" for each in objects(ALL))


class TestSpellings:
    @pytest.mark.parametrize(
        "text",
        [
            spread(),
            spread(separators=(",", ":")),
            spread(indent=2, sort_keys=True),
            spread(indent="\t"),
            spread(indent=0),
            spread(indent=2).replace("\n", "\r\n"),
            spread(ensure_ascii=False).replace("\n", "\n\n \t\r\n"),
            spread().replace("\n", ""),
            spread().replace("\n", " "),
            spread(indent=1).replace("}\n{", "}{"),
            "\n  " + spread().strip(),
        ],
        ids=["json", "compact", "jq", "tabs", "flat", "crlf", "blank", "one", "spaces", "}{", "in"],
    )
    def test_every_way_to_write_objects_is_read(self, text: str) -> None:
        assert encoded(text) == (0, ALL, "")

    @pytest.mark.parametrize("mark", ["utf-8-sig", "utf-16"])
    def test_text_with_a_mark_of_its_encoding_is_read(self, mark: str) -> None:
        assert encoded(spread(indent=1).encode(mark)) == (0, ALL, "")
        assert encoded(codecs.BOM_UTF16_BE + LINE.encode("utf-16-be")) == (0, HEARTBEAT, "")

    def test_what_decode_writes_is_what_encode_reads(self, tmp_path: Path) -> None:
        dump, out = tmp_path / "dump.bin", tmp_path / "out.bin"
        dump.write_bytes(ALL + b"junk")
        shown = decode("--json", dump)
        assert encoded(shown.out) == (0, ALL + b"junk", "")
        file = tmp_path / "shown.jsonl"
        file.write_text(shown.out)
        run = invoke("encode", file, "-o", out)
        assert (run.code, run.out, run.err) == (0, "", "")
        assert out.read_bytes() == ALL + b"junk"

    def test_what_decode_shows_of_a_capture_is_read_too(self) -> None:
        entries = [
            {"at": 1712596443.8 + at, "connection": "x", "from": sender, "data": data.hex()}
            for at, (sender, data) in enumerate(
                [("device", MICRO), ("cloud", b"\1"), ("device", HEARTBEAT)]
            )
        ]
        shown = decode("--json", "-", stdin=lines(*entries)).out
        assert encoded(shown)[1] in {MICRO + HEARTBEAT + b"\1", MICRO + b"\1" + HEARTBEAT}
        capture = encoded(shown, "--capture")[1]
        back = [json.loads(line) for line in capture.splitlines()]
        assert sorted(map(str, back)) == sorted(map(str, entries))

    @pytest.mark.parametrize(
        "text",
        [
            json.dumps([BEAT, BEAT]),
            json.dumps([BEAT, BEAT], indent=2),
            json.dumps([BEAT, BEAT]).replace(", {", ",\n{"),
            f"[\n{json.dumps(BEAT)},\n{json.dumps(BEAT)}\n]\n",
            f"[]\n{json.dumps([BEAT])}\n[\n]\n{json.dumps([BEAT], indent=1)}",
        ],
    )
    def test_a_list_of_objects_is_taken_apart(self, text: str) -> None:
        assert encoded(text) == (0, HEARTBEAT * 2, "")


class TestOutput:
    def test_hex_is_a_line_an_object(self) -> None:
        junk = {"type": "unframed", "raw": "0102"}
        code, out, _ = encoded(lines(BEAT, junk, BEAT), "--hex")
        assert (code, out) == (0, f"{BEAT['raw']}\n0102\n{BEAT['raw']}\n".encode())
        assert decode("-q", "--json", stdin=out).out.count(BEAT["raw"]) == 2

    def test_a_terminal_gets_hex(self, tmp_path: Path) -> None:
        file = tmp_path / "shown.jsonl"
        file.write_text(LINE)
        assert on_a_terminal("encode", file) == f"{BEAT['raw']}\n"

    def test_a_capture_has_what_the_objects_tell(self) -> None:
        told = {**BEAT, "at": 1712596443.8, "connection": "10.0.0.7:4431"}
        odd = {"type": "unframed", "raw": "01", "from": "me", "connection": 5, "at": None}
        code, out, err = encoded(lines(told, odd, BEAT), "--capture")
        assert (code, err) == (0, "")
        assert [json.loads(line) for line in out.splitlines()] == [
            {
                "at": 1712596443.8,
                "connection": "10.0.0.7:4431",
                "from": "device",
                "data": BEAT["raw"],
            },
            {"connection": "5", "data": "01"},
            {"from": "device", "data": BEAT["raw"]},
        ]

    @pytest.mark.parametrize("at", ["soon", -1, 1e300, True, [1]])
    def test_an_arrival_that_is_none_goes_into_no_capture(self, at: object) -> None:
        code, out, err = encoded(lines({**BEAT, "at": at}, BEAT), "--capture")
        assert code == 1
        assert out.count(b"\n") == 1
        assert err.startswith("-: line 1: capture: 'at' is no unix time in seconds")
        assert encoded(lines({**BEAT, "at": at})) == (0, HEARTBEAT, "")

    def test_a_file_that_is_there_stays_unless_forced(self, tmp_path: Path) -> None:
        out = tmp_path / "out.bin"
        out.write_text("mine")
        assert invoke("encode", "-", "-o", out, stdin=LINE).code == 2
        assert out.read_text() == "mine"
        assert invoke("encode", "-", "-o", out, "--force", stdin=LINE).code == 0
        assert out.read_bytes() == HEARTBEAT

    def test_a_file_is_only_there_when_nothing_was_wrong(self, tmp_path: Path) -> None:
        out = tmp_path / "out.bin"
        run = invoke("encode", "-o", out, stdin=f"{LINE}{{}}\n{LINE}")
        assert run.code == 1
        assert f"Error: {out}: not written" in run.err
        assert list(tmp_path.iterdir()) == []
        assert invoke("encode", "-o", tmp_path / "no" / "out", stdin=LINE).code == 1

    def test_options_come_from_the_environment_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("INVERTERPROTO_HEX", "1")
        assert encoded(LINE)[1] == f"{BEAT['raw']}\n".encode()

    def test_a_live_stream_is_written_as_it_comes(self) -> None:
        with subprocess.Popen(  # noqa: S603 - our own
            [*PROGRAM, "encode"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for text in (LINE, json.dumps(BEAT, indent=2) + "\n", LINE):
                process.stdin.write(text.encode())
                process.stdin.flush()
                assert os.read(process.stdout.fileno(), 100) == HEARTBEAT
            process.stdin.close()
            assert process.wait(PATIENCE) == 0

    def test_a_reader_that_has_enough_is_no_error(self, tmp_path: Path) -> None:
        file = tmp_path / "shown.jsonl"
        file.write_text(lines(*objects(MICRO)) * 1000)
        with subprocess.Popen(  # noqa: S603 - our own
            [*PROGRAM, "encode", str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.read(1)
            process.stdout.close()
            assert process.stderr.read() == b""
            assert process.wait(PATIENCE) == 0


class TestComplaints:
    def test_what_cannot_be_encoded_is_told_with_its_line_and_the_rest_goes_on(self) -> None:
        wrong = {**BEAT, "fields": {"frame_type": 256}}
        code, out, err = encoded(LINE + json.dumps(wrong, indent=2) + "\n" + LINE)
        assert (code, out) == (1, HEARTBEAT * 2)
        assert err == (
            "-: line 2: fields.frame_type: out of range: expected 0 to 255 in steps of 1, "
            "found 256\n"
        )

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("hello", "line 2, column 1: broken JSON: expected an object, {…}"),
            ("  [1, 2]", "line 2, column 3: broken JSON: expected an object, {…}"),
            ('{"a" 1}', "line 2, column 6: broken JSON: expected ':' delimiter"),
            ('{"a":1 "b":2}', "line 2, column 8: broken JSON: expected ',' delimiter"),
            ('{"a":}', "line 2, column 6: broken JSON: expected value"),
            ("{'a':1}", "line 2, column 2: broken JSON: expected property name enclosed in double"),
            ('{"a":"x}', "line 3, column 1: broken JSON: expected the end of the object before it"),
            ('{\n "a": 1,\n "b" 2\n}', "line 4, column 6: broken JSON: expected ':' delimiter"),
            ('{\n "a": "\n}', "line 3, column 8: broken JSON: invalid control character"),
            ('{"a":"\\x"}', "line 2, column 7: broken JSON: invalid \\escape"),
            ('{"a":1,"a":1}', "line 2: the key 'a' stands twice in an object"),
            ('{\n"a":{"b":\n{"b":1,"b":1}}}', "line 2: the key 'b' stands twice in an object"),
            ('{"raw":"' + BEAT["raw"], "line 3, column 1: broken JSON: expected the end of the"),
            (LINE.strip() + " x", "line 2, column"),
            ("{}", "line 2: family: is missing"),
            ("}", "line 2, column 1: broken JSON: expected an object"),
            ('{"a":' * 2000 + "1" + "}" * 2000, "line 2: values nested too deep"),
        ],
    )
    def test_broken_json_is_told_with_its_place_and_the_next_object_is_read(
        self, text: str, complaint: str
    ) -> None:
        for behind in (LINE, json.dumps(BEAT, indent=2)):
            code, out, err = encoded(f"{LINE}{text}\n{behind}")
            assert code == 1
            assert out in {HEARTBEAT * 2, HEARTBEAT * 3}
            assert err.startswith(f"-: {complaint}")
            assert err.count("\n") == 1

    def test_an_object_without_end_is_told(self) -> None:
        code, out, err = encoded(LINE + '{\n "a": [1,\n')
        assert (code, out) == (1, HEARTBEAT)
        assert err == "-: line 4, column 1: broken JSON: expected value\n"

    def test_bytes_that_are_no_text_are_no_values(self) -> None:
        login = lines(*objects(EVERY["login"])).encode()
        code, out, err = encoded(login.replace(b"secret", b"secre\xff") + LINE.encode())
        assert (code, out) == (1, HEARTBEAT)
        assert "line 1: fields.Password: cannot be written" in err
        assert encoded(LINE.encode() + b"\xc3")[0] == 1

    def test_what_a_terminal_would_act_upon_is_escaped_and_no_complaint_is_endless(self) -> None:
        for value in ("\x1b]0;x\x07", "\ud800", "x" * 100_000):
            name = {**BEAT, "name": value}
            code, out, err = encoded(lines(name))
            assert (code, out) == (1, b"")
            assert len(err) < 1100
            assert err[:-1].isprintable()

    def test_numbers_beyond_all_measure_are_told(self) -> None:
        shown = LINE.replace('"frame_type": 0', '"frame_type": ' + "9" * 5000)
        code, _, err = encoded(shown)
        assert code == 1
        assert "fields.frame_type: out of range" in err
        assert encoded(LINE.replace('"frame_type": 0', '"frame_type": 1e400'))[0] == 1
        assert encoded(LINE.replace('"frame_type": 0', '"frame_type": NaN'))[0] == 1

    def test_what_is_no_json_at_all_is_given_up_soon(self) -> None:
        code, out, err = encoded("no json\n" * 10_000 + LINE)
        assert (code, out) == (1, b"")
        assert err == (
            "Error: -: line 1, column 1: broken JSON: expected an object, {…}; "
            "this is no output of decode --json\n"
        )

    def test_what_decode_shows_for_people_is_complained_of_once(self) -> None:
        for form in ([], ["--csv"]):
            _, out, _ = decode(*form, stdin=HEARTBEAT)
            code, _, err = encoded(out)
            assert code == 1
            assert err.count("\n") == 1
            assert err.endswith("this is no output of decode --json\n")

    def test_wrong_usage_and_missing_input_are_told(self, tmp_path: Path) -> None:
        assert invoke("encode", "--hex", "--capture", stdin=LINE).code == 2
        missing = invoke("encode", tmp_path / "none")
        assert (missing.code, missing.err) == (1, f"Error: {tmp_path / 'none'}: no such file\n")
        assert invoke("encode", tmp_path).code == 1
        for empty in ("", "\n \n"):
            run = invoke("encode", stdin=empty)
            assert (run.code, run.err) == (1, "Error: -: is empty\n")
        assert "Error: Give a file" in plain(on_a_terminal("encode"))

    def test_several_files_follow_one_another(self, tmp_path: Path) -> None:
        for name in "ab":
            (tmp_path / name).write_text(LINE)
        run = invoke("encode", "--hex", tmp_path / "a", "-", tmp_path / "b", stdin="x\n" + LINE)
        assert run.code == 1
        assert run.out.count(BEAT["raw"]) == 3
        assert run.err.startswith("-: line 1, column 1: ")


def read(chunks: list[bytes]) -> tuple[list[Any], list[str]]:
    """Return the objects of a text and the complaints about it."""
    complaints: list[str] = []
    found = [each.value for each in read_objects("x", chunks, complaints.append)]
    return found, complaints


pieces = st.lists(
    st.sampled_from(
        ["{", "}", "[", "]", '"', "\\", ":", ",", "\n", " ", "1", "true", '"a":', "{}", '{"b":2}']
    ),
    max_size=40,
).map("".join)


class TestObjects:
    @given(pieces, st.integers(1, 7))
    def test_however_a_text_is_cut_it_is_the_same(self, text: str, size: int) -> None:
        data = text.encode()
        cut = [data[at : at + size] for at in range(0, len(data), size)]
        assert read(cut) == read([data])

    @given(
        st.lists(st.dictionaries(st.text(), st.floats(allow_nan=False) | st.text()), max_size=4),
        st.sampled_from([None, 0, 2, "\t"]),
    )
    def test_all_objects_are_found_in_their_lines(
        self, values: list[dict[str, Any]], indent: int | str | None
    ) -> None:
        text = "\n".join(json.dumps(value, indent=indent) for value in values)
        assert read([text.encode()]) == (values, [])

    def test_what_is_held_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(json_objects, "LONGEST", 1000)

        def endless() -> Iterator[bytes]:
            yield b"{\n"
            for _ in range(300):
                yield b' "a": 1,\n'
            yield b'{"b": 2}\n'
            for _ in range(300):
                yield b"x" * 10

        complaints: list[str] = []
        found = read_objects("x", endless(), complaints.append)
        assert next(found).value == {"b": 2}
        assert complaints[0].endswith("broken JSON: expected an object of at most 1,000 characters")
        with pytest.raises(SourceError, match="a line of more than 1,000 characters"):
            next(found)

    @pytest.mark.parametrize(
        "text", ['"\\"' * 300_000, "{" * 500_000, "{}" * 300_000, '{"a' * 200_000, '{"a\\' * 99_999]
    )
    def test_no_text_takes_more_than_linear_time(self, text: str) -> None:
        complaints: list[str] = []
        assert sum(1 for _ in read_objects("x", [b"{", text.encode()], complaints.append)) < 10**6


def test_the_help_of_encode_imports_no_codec() -> None:
    program = (
        "import sys\n"
        "from inverterproto_cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(*[n for n in sys.modules if 'deye' in n or 'alphaess' in n or n == 'json'])\n"
    )
    done = subprocess.run(  # noqa: S603 - our own
        [sys.executable, "-c", program, "encode", "--help"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == ""
