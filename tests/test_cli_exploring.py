"""`decode --guess`, `--diff` and `--find`: what they show, and what they refuse."""

import json
import re
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inverterproto_cli import exploring
from tests.conftest import Run, decode
from tests.exploring import MICRO, data, disguised, statuses
from tests.vectors import fixtures, raw

UNKNOWN = [disguised("micro-5408-realtime"), disguised("micro-5408-historic")]
HINT = "sensor type 0x1234 is not known: --guess tries the known layouts\n"


def run(*options: str, frames: list[bytes]) -> Run:
    return decode(*options, "-", stdin=b"".join(frames))


class TestHint:
    def test_an_unknown_sensor_type_leads_to_guessing(self) -> None:
        assert run(frames=UNKNOWN[:1]).err == f"1 frame: 1 data; 1 problem\n{HINT}"
        assert run("--json", frames=UNKNOWN).err.endswith(HINT)

    def test_several_are_named_once(self) -> None:
        other = data(b"\x01\x35\x12" + bytes(30))
        shown = run(frames=[*UNKNOWN, other]).err
        assert shown.endswith(
            "sensor types 0x1234, 0x1235 are not known: --guess tries the known layouts\n"
        )

    def test_many_are_named_in_part(self) -> None:
        many = [data(bytes((1, number, 0x12)) + bytes(30)) for number in range(20)]
        assert run(frames=many).err.count("0x12") == 5

    def test_it_is_not_said_where_it_does_not_help(self) -> None:
        assert "--guess" not in run("-q", frames=UNKNOWN).err
        assert "--guess" not in run("--guess", frames=UNKNOWN).err
        assert "--guess" not in run(frames=MICRO).err


class TestGuess:
    def test_the_right_layout_is_shown_with_what_it_would_say(self) -> None:
        shown = run("--guess", frames=UNKNOWN)
        assert shown.code == 0
        lines = shown.out.splitlines()
        assert lines[0] == "data 0x1234  Deye / Solarman V5  2 frames, payload 330 bytes"
        assert re.match(r" +\d+\.\d +111 of 112 +\d+  0x5408 +Deye micro-inverter ", lines[2])
        assert re.search(r"^ +37  energy_total +179.9 kWh +\+1  usual$", shown.out, re.MULTILINE)
        assert re.search(r"^ +65  temperature_65 +none +\+1  no reading$", shown.out, re.MULTILINE)
        assert shown.err == "2 frames: 2 data; 2 problems\n"

    def test_no_layout_that_fits_is_told_too(self) -> None:
        shown = run("--guess", frames=[data(b"\x01\x34\x12" + bytes(400))])
        assert "11 layouts more, which fit worse or not at all" in shown.out
        assert "If it were" not in shown.out

    @pytest.mark.parametrize(
        ("frames", "why"),
        [
            (MICRO, "nothing to guess: there is no data of an unknown sensor type"),
            (statuses(), "nothing to guess: these payloads are text"),
            ([], ""),
        ],
    )
    def test_where_nothing_is_to_guess_it_is_said_why(self, frames: list[bytes], why: str) -> None:
        shown = run("--guess", frames=[*frames, b"junk"])
        assert shown.out == ""
        assert why in shown.err

    def test_a_message_of_unknown_type_has_no_layouts_to_try(self) -> None:
        from inverterproto.deye.frame import Frame

        shown = run("--guess", frames=[Frame(0x7710, (1, 2), 1, b"abc").build()])
        assert "no layouts to try on a message of unknown type" in shown.err

    def test_nothing_of_a_guess_becomes_a_reading(self) -> None:
        (found,) = map(json.loads, run("--json", frames=UNKNOWN[:1]).out.splitlines())
        assert found["readings"] == []
        assert "energy_total" not in found["fields"]


class TestDiff:
    def test_known_fields_are_shown_with_their_values(self) -> None:
        shown = run("--diff", frames=MICRO)
        assert re.search(
            r"^ +37 +4 +2  goes up +ef 06 00 00 → 07 07 00 00 +u32le 177.5 → 179.9 kWh +"
            r"energy_total$",
            shown.out,
            re.MULTILINE,
        )
        assert shown.out.endswith("offsets count in the payload; in the frame they are 11 more\n")

    def test_unknown_bytes_are_shown_with_what_they_read_like(self) -> None:
        shown = run("--diff", frames=UNKNOWN)
        assert re.search(r"^ +45 .* u16le 2320 → 2400; ", shown.out, re.MULTILINE)
        assert re.search(r"^ +21 +10 +1  same .* text 2301234567$", shown.out, re.MULTILINE)
        assert re.search(r"^ +39 +6 +1  same +00 00 00 00 00 00$", shown.out, re.MULTILINE)

    def test_each_kind_has_a_table_and_a_single_frame_none(self) -> None:
        shown = run("--diff", frames=[*MICRO, *UNKNOWN, raw("heartbeat"), *statuses()])
        titles = [line for line in shown.out.splitlines() if not line.startswith(" ")]
        assert [title.partition("  ")[0] for title in titles] == [
            "data 0x5408",
            "data 0x1234",
            "status",
        ]
        assert "heartbeat: one frame, and nothing to compare it with" in shown.err

    def test_frames_of_several_lengths_say_how_many_have_it(self) -> None:
        short = data(b"\x01\x34\x12" + bytes(30))
        shown = run("--diff", frames=[*UNKNOWN, short])
        assert "3 frames, payload 33 to 330 bytes" in shown.out
        assert "(in 2)" in shown.out

    def test_the_keys_of_a_battery_are_compared(self) -> None:
        shown = run("--diff", frames=statuses())
        assert re.search(r"^  SOC +3 +2  goes up +33.2 → 93.6$", shown.out, re.MULTILINE)

    def test_json_has_one_object_for_each_stretch(self) -> None:
        objects = [
            json.loads(line) for line in run("--diff", "--json", frames=MICRO).out.splitlines()
        ]
        (energy,) = [found for found in objects if found["field"] == "energy_total"]
        assert energy == {
            "type": "diff",
            "family": "deye",
            "name": "data",
            "detail": "0x5408",
            "frames": 2,
            "offset": 37,
            "length": 4,
            "field": "energy_total",
            "unit": "kWh",
            "values": 2,
            "different": 2,
            "change": "goes up",
            "first": "ef060000",
            "last": "07070000",
            "readings": [{"encoding": "u32le", "offset": 37, "first": 177.5, "last": 179.9}],
        }
        keys = [
            json.loads(line) for line in run("--diff", "--json", frames=statuses()).out.splitlines()
        ]
        (charge,) = [found for found in keys if found["field"] == "SOC"]
        assert (charge["offset"], charge["first"], charge["last"]) == (None, 33.2, 93.6)

    def test_keys_beyond_the_bound_are_counted(self) -> None:
        from inverterproto.alphaess.frame import Frame

        keys = json.dumps({f"k{number}": number for number in range(2003)}).encode()
        shown = run("--diff", frames=[Frame(1, 1, 99, keys).build()] * 2)
        assert "unknown 1, 99: 3 keys more are left out" in shown.err

    def test_it_may_be_redacted(self) -> None:
        shown = run("--diff", "--redact", frames=MICRO)
        assert "goes up" in shown.out
        assert "2301234567" not in shown.out


class TestFind:
    def test_places_are_shown_with_the_field_that_is_known(self) -> None:
        shown = run("--find", "232.0,240.0", "--find", "50.1", frames=MICRO)
        assert re.search(
            r"^ +45  u16le  × 1/10  u32le at 45, u24le at 45  grid_voltage_l1$",
            shown.out,
            re.MULTILINE,
        )
        assert "50.1 in data 0x5408" in shown.out

    def test_a_place_in_another_field_says_so_and_a_bias_is_told(self) -> None:
        shown = run("--find", "14", frames=[disguised("tsun-data-02b0")])
        assert "(raw − 40)" in shown.out
        assert re.search(
            r" in pv1_id$", run("--find", "2301234567", frames=MICRO).out, re.MULTILINE
        )

    def test_a_time_off_by_a_zone_is_told(self) -> None:
        shown = run("--find", "2024-01-21T13:36:38", frames=MICRO[:1])
        assert re.search(r"unix u32le  -1 hours +offset_time", shown.out)

    def test_what_is_nowhere_is_told(self) -> None:
        shown = run("--find", "777.77", frames=MICRO)
        assert shown.out == (
            "777.77 in data 0x5408  Deye / Solarman V5  2 frames, payload 330 bytes: nowhere\n"
        )
        assert shown.code == 0

    def test_a_list_that_is_too_long_is_told_kind_by_kind(self) -> None:
        shown = run("--find", "1,2,3", frames=MICRO)
        assert shown.out == ""
        assert "data 0x5408: 1,2,3: 3 values, 2 frames" in shown.err
        assert "Error: --find: a list needs one value for each frame of a kind" in shown.err
        assert shown.code == 1

    @pytest.mark.parametrize(
        ("value", "hint"),
        [
            ("232.0V", "looked for as text; leave the unit out: 232.0"),
            ("-12.5 °C", "looked for as text; leave the unit out: -12.5"),
            ("232,5", "looked for as two values; with a decimal point: 232.5"),
        ],
    )
    def test_what_is_nowhere_as_it_was_written_is_told_why(self, value: str, hint: str) -> None:
        assert f"{value}: {hint}\n" in run("--find", value, frames=MICRO[:1]).err
        assert hint not in run("--find", "777.77", frames=MICRO[:1]).err

    def test_a_negative_number_and_the_other_sign(self) -> None:
        shown = run("--find", "-2", frames=[raw("dcu-data-3026")])
        assert "other sign" in shown.out

    def test_of_many_places_the_best_are_shown(self) -> None:
        shown = run("--find", "0", frames=UNKNOWN)
        assert len(shown.out.splitlines()) == 2 + exploring.MOST_PLACES + 2
        assert re.search(r"\d+ places more, less likely", shown.out)

    def test_a_key_is_found(self) -> None:
        shown = run("--find", "-1.613", frames=statuses()[:1])
        assert re.search(r"^  Sva +× 1/1000 other sign$", shown.out, re.MULTILINE)

    def test_json_has_one_object_for_each_place(self) -> None:
        (found,) = map(json.loads, run("--find", "50.1", "--json", frames=MICRO).out.splitlines())
        assert found.pop("score") > 100
        assert found == {
            "type": "find",
            "family": "deye",
            "name": "data",
            "detail": "0x5408",
            "frames": 2,
            "sought": "50.1",
            "offset": 57,
            "length": 2,
            "encoding": "u16le",
            "scale": "1/100",
            "bias": 0,
            "turned": False,
            "note": "",
            "others": [],
            "field": "grid_frequency",
            "exact": True,
        }


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "why"),
        [
            (("--guess", "--diff"), "--guess and --diff: one at a time"),
            (("--diff", "--find", "1"), "--diff and --find: one at a time"),
            (("--guess", "--csv"), "leave --csv out"),
            (("--diff", "--raw"), "leave --raw out"),
            (("--guess", "--json"), "--guess is for the eye only"),
            (("--find", "1", "--redact"), "cannot be redacted"),
            (("--find", "ab"), "too short"),
            (("--find", "\x1b[2Jx,"), "a value is missing"),
            (("--find", "1") * 21, "at most 20"),
        ],
    )
    def test_what_does_not_go_together_is_wrong_usage(
        self, options: tuple[str, ...], why: str
    ) -> None:
        shown = run(*options, frames=MICRO)
        assert (shown.code, shown.out) == (2, "")
        assert why in shown.err
        assert "\x1b" not in shown.err

    def test_frames_beyond_the_bound_are_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(exploring, "MOST_FRAMES", 2)
        assert "too many frames: the last 2 are left out" in run("--diff", frames=MICRO * 2).err

    def test_all_that_decode_reads_is_read(self, tmp_path: Path) -> None:
        capture = tmp_path / "capture.jsonl"
        capture.write_text("".join(json.dumps({"data": each.hex()}) + "\n" for each in MICRO))
        dump = tmp_path / "dump.hex"
        dump.write_text("\n".join(each.hex(" ") for each in MICRO))
        shown = decode("--diff", capture).out
        assert "energy_total" in shown
        assert decode("--diff", dump).out == shown

    def test_without_a_frame_the_exit_code_says_so(self) -> None:
        assert run("--diff", frames=[b"junk"]).code == 1

    def test_text_of_a_device_is_harmless(self) -> None:
        evil = data(b"\x01\x34\x12" + bytes(18) + b"\x1b[31mred")
        for options in (("--diff",), ("--guess",), ("--find", "[31mred")):
            assert "\x1b" not in run(*options, frames=[evil, evil]).out

    def test_on_a_terminal_tables_are_drawn(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(type(sys.stdout), "isatty", lambda _self: True, raising=False)
        table = exploring.Table("a title", (">offset", "field"), [("5", "[red]x")], ["a note"])
        writer = exploring.explorer(
            None, guess=False, diff=True, find=(), byte_map=False, redact=False, quiet=False
        )
        writer.put(table)
        writer.put(exploring.Table("nothing", (), ()))
        shown = capsys.readouterr().out
        assert "[red]x" in shown
        assert all(text in shown for text in ("a title", "a note", "nothing"))

    @settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.lists(st.binary(max_size=60), max_size=3),
        st.sampled_from([("--guess",), ("--diff",), ("--find", "1"), ("--diff", "--json")]),
        st.binary(max_size=30),
    )
    def test_any_frames_are_explored(
        self, rests: list[bytes], options: tuple[str, ...], junk: bytes
    ) -> None:
        payloads = [b"\x01\x34\x12" + rest for rest in rests]
        shown = run(*options, frames=[*map(data, payloads), junk, *fixtures("alphaess").values()])
        assert shown.code == 0
