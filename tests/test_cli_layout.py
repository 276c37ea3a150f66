"""`inverterproto layout`, and `--layout FILE` of the other commands."""

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from inverterproto.deye import layout_from_toml, layout_of
from inverterproto.deye.layouts import MODULES, sensor_types
from inverterproto_cli import evidence
from tests.conftest import Run, decode, invoke
from tests.test_cli_main import HEAVY, imported
from tests.vectors import FIXTURES, VALID, frame, raw

ROOT = FIXTURES.parent
EXAMPLE = ROOT / "docs" / "example" / "example.toml"
CAPTURE = ROOT / "docs" / "example" / "capture.jsonl"
MICRO = FIXTURES / "deye" / "sun-m80g3-MW3_16U_5406_2.32-D1"
PAIR = (MICRO / "micro-5408-realtime.hex", MICRO / "micro-5408-historic.hex")
DATA = {
    0x5408: "micro-5408-realtime",
    0x3026: "dcu-data-3026",
    0x02B0: "tsun-data-02b0",
    0x0504: "solis-0504",
}


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> object:
    """Whatever a command adds, it removes again."""
    yield
    assert sensor_types() == sorted(MODULES)
    known = layout_of(0x5408)
    assert known is not None
    assert known.name == "micro_inverter"


def patched(name: str, sensor_type: int = 0x1234, **fields: object) -> bytes:
    """Return a real frame with another sensor type, and some bytes changed by their offsets."""
    real = frame(name)
    payload = bytearray(real.payload)
    payload[1:3] = sensor_type.to_bytes(2, "little")
    for key, octets in fields.items():
        at = int(key.removeprefix("at"))
        assert isinstance(octets, bytes)
        payload[at : at + len(octets)] = octets
    return replace(real, payload=bytes(payload)).build()


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """The micro-inverter's layout in a file, for a sensor type that is not known."""
    path = tmp_path / "own.toml"
    assert invoke("layout", "export", "0x5408", "-o", path).code == 0
    path.write_text(path.read_text().replace("0x5408", "0x1234").replace("micro_", "own_"))
    return path


# list, show


def test_every_layout_is_listed() -> None:
    shown = invoke("layout", "list")
    assert shown.code == 0
    head, *lines = shown.out.splitlines()
    assert head.split("  ")[0] == "sensor type"
    assert [int(line.split()[0], 16) for line in lines] == sorted(MODULES)
    (micro,) = [line for line in lines if line.startswith("0x5408")]
    assert " ".join(micro.split()) == "0x5408 micro_inverter 62 yes H, M, I Deye micro-inverter"
    (hybrid,) = [line for line in lines if line.startswith("0x5411")]
    assert hybrid.split()[3] == "no"


def test_layouts_in_files_are_listed_among_the_others() -> None:
    shown = invoke("layout", "list", "--json", "--layout", EXAMPLE)
    listed = {entry["sensor_type"]: entry for entry in map(json.loads, shown.out.splitlines())}
    assert listed.keys() == {*MODULES, 0x1234}
    assert listed[0x1234] == {
        "name": "example_inverter",
        "title": "Example inverter EX-800",
        "sensor_type": 0x1234,
        "source": "own frames of April 2024, display, label",
        "checked": False,
        "fields": 14,
    }


@pytest.mark.parametrize("what", ["0x5408", "0X5408", "micro_inverter"])
def test_a_layout_is_shown_as_a_table(what: str) -> None:
    shown = invoke("layout", "show", what)
    assert shown.code == 0
    lines = shown.out.splitlines()
    assert lines[:5] == [
        "micro_inverter: Deye micro-inverter",
        "sensor type 0x5408, 316 bytes, checked on real bytes; sources: H, M, I",
        "PV inputs are counted by mppt_count",
        "phases are counted by phase_count",
        "",
    ]
    layout = layout_of(0x5408)
    assert layout is not None
    assert len(lines) == 6 + len(layout.fields)
    total = next(line for line in lines if " energy_total " in line)
    assert " ".join(total.split()) == (
        "37 u32le energy_total raw / 10; raw 0: none kWh energy_total A H, M"
    )
    assert any("private: serial; the inverter serial, a hyphen" in line for line in lines)


def test_a_sign_that_is_turned_is_shown() -> None:
    assert " −battery_current " in invoke("layout", "show", "0x3026").out


def test_a_layout_in_a_file_is_shown(exported: Path) -> None:
    own = invoke("layout", "show", exported).out.splitlines()
    micro = invoke("layout", "show", "0x5408").out.splitlines()
    assert own[0] == "own_inverter: Deye micro-inverter"
    assert own[2:] == micro[2:]
    named = invoke("layout", "show", "own_inverter", "--layout", exported)
    assert named.out.splitlines() == own


def test_a_layout_is_shown_as_json() -> None:
    shown = json.loads(invoke("layout", "show", "0x3026", "--json").out)
    assert (shown["name"], shown["sensor_type"], shown["size"]) == ("tsun_battery", 0x3026, 111)
    current = next(field for field in shown["fields"] if field["name"] == "battery_current")
    assert current == {
        "offset": 55,
        "size": 2,
        "name": "battery_current",
        "type": "s16be",
        "scale": "1/100",
        "unit": "A",
        "quantity": "battery_current",
        "turned": True,
        "confidence": "A",
        "source": "T",
        "meaning": "positive: charge",
    }
    assert [field["offset"] for field in shown["fields"]] == sorted(
        field["offset"] for field in shown["fields"]
    )


@pytest.mark.parametrize(
    ("what", "complaint"),
    [
        ("0x9999", "0x9999: no layout is known for this sensor type"),
        ("0x10000", "0x10000: expected a sensor type from 0x0000 to 0xFFFF"),
        ("0xyz", "0xyz: expected a sensor type from 0x0000 to 0xFFFF"),
        ("nosuch", "nosuch: No such file or directory"),
        ("docs", "docs: Is a directory"),
        ("fixtures/README.md", "fixtures/README.md: no TOML: "),
    ],
)
def test_what_is_no_layout_is_wrong_usage(
    what: str, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    for command in ("show", "export"):
        shown = invoke("layout", command, what)
        assert (shown.code, shown.out) == (2, "")
        assert complaint in shown.err


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xff\xfe")
    shown = invoke("layout", "show", path)
    assert shown.code == 2
    assert f"{path}: expected text in UTF-8, found other bytes" in shown.err


# export, new


@pytest.mark.parametrize("sensor_type", sorted(MODULES), ids=hex)
def test_what_is_exported_is_that_layout(sensor_type: int) -> None:
    text = invoke("layout", "export", f"{sensor_type:#x}").out
    assert text.startswith("# A layout for `inverterproto --layout FILE`")
    assert layout_from_toml(text) == layout_of(sensor_type)


def test_what_is_there_already_is_not_written_over_unless_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("mine")
    shown = invoke("layout", "export", "0x5408", "-o", path)
    assert (shown.code, path.read_text()) == (2, "mine")
    assert "is there already (--force writes over it)" in shown.err
    assert invoke("layout", "export", "0x5408", "-o", path, "--force").code == 0
    assert layout_from_toml(path.read_text()) == layout_of(0x5408)


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    shown = invoke("layout", "export", "0x5408", "-o", tmp_path / "nosuch" / "x")
    assert shown.code == 1
    assert "No such file or directory" in shown.err


def test_a_new_layout_begins_with_what_the_bytes_hold() -> None:
    text = invoke("layout", "new", CAPTURE).out
    told = tomllib.loads(text)
    assert (told["name"], told["sensor_type"], told["checked"]) == ("new_1234", 0x1234, False)
    assert layout_from_toml(text).size == 21
    assert "# In 2 frames, 330 bytes of payload:\n" in text
    for line in (
        "# 21 to 38: changing at 33 to 34, 37 to 38; text at 21 to 30",
        "# 39 to 44: zero",
        "# 45 to 46: changing at 45; 10 09",
        "# 277: constant; ff",
        "# 329: constant; 02",
    ):
        assert f"{line}\n" in text
    assert "2301234567" not in text
    assert b"2301234567".hex(" ") not in text


def test_the_example_in_a_new_layout_is_a_field() -> None:
    text = invoke("layout", "new", CAPTURE).out
    lines = [line.removeprefix("# ") for line in text.splitlines() if " = " in line or "[[" in line]
    layout = layout_from_toml("\n".join(line for line in lines if line != "source = ''"))
    assert layout.by_name["grid_voltage_l1"].scale == "1/10"


def test_of_several_unknown_types_one_is_to_be_chosen(tmp_path: Path) -> None:
    path = tmp_path / "two.bin"
    path.write_bytes(patched("solis-0504", 0x1111) + patched("micro-5408-realtime", 0x2222))
    shown = invoke("layout", "new", path)
    assert shown.code == 2
    assert "--sensor-type is one of 0x1111, 0x2222" in shown.err
    chosen = invoke("layout", "new", path, "--sensor-type", "0x2222", "-o", tmp_path / "x.toml")
    assert chosen.code == 0
    assert tomllib.loads((tmp_path / "x.toml").read_text())["sensor_type"] == 0x2222


def test_of_many_types_only_some_are_told(tmp_path: Path) -> None:
    path = tmp_path / "many.bin"
    path.write_bytes(b"".join(patched("solis-0504", 0x1100 + n) for n in range(10)))
    assert "0x1107 and 2 more" in invoke("layout", "new", path).err
    assert "there are: 0x1100, " in check(EXAMPLE, path, code=1)


def test_of_known_types_a_new_layout_is_begun_only_where_that_is_said() -> None:
    shown = invoke("layout", "new", *PAIR)
    assert (shown.code, shown.out) == (1, "")
    assert "no data frame of an unknown sensor type found" in shown.err
    assert invoke("layout", "new", *PAIR, "--sensor-type", "0x5408").code == 0
    shown = invoke("layout", "new", *PAIR, "--sensor-type", "0x1234")
    assert "no data frame of sensor type 0x1234 found" in shown.err
    assert invoke("layout", "new", *PAIR, "--sensor-type", "many").code == 2


# check


def check(what: object, *captures: object, code: int) -> str:
    """Run `layout check`; return what it says."""
    shown = invoke("layout", "check", str(what), *map(str, captures))
    assert shown.code == code, shown
    return shown.out


@pytest.mark.parametrize("sensor_type", DATA, ids=hex)
def test_nothing_is_wrong_with_what_was_checked_on_real_bytes(
    sensor_type: int, tmp_path: Path
) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(raw(DATA[sensor_type]))
    said = check(f"{sensor_type:#x}", path, code=0)
    assert said.endswith("\nnothing wrong\n")
    assert "1 frame," in said.splitlines()[0]


def test_what_the_fields_say_is_told_with_its_extremes() -> None:
    lines = [line.split() for line in check(EXAMPLE, CAPTURE, code=0).splitlines()]
    assert ["33", "energy_today", "0.9", "3.3", "kWh"] in lines
    assert ["57", "grid_frequency", "50.1", "Hz"] in lines
    assert ["0", "frame_type", "0x01", "0x81"] in lines
    assert ["21", "inverter_serial", "(private)"] in lines


def test_what_is_not_named_is_told_and_is_not_wrong() -> None:
    said = check(EXAMPLE, CAPTURE, code=0)
    assert "\nnot named (279 bytes)\n" in said
    assert "\n  51: changing at 51; 00\n" in said
    assert "\n  131 to 138: changing at 136, 138; 02 01 00 04 00 04 00 04\n" in said
    assert "\n  41 to 44: zero\n" in said


def test_of_one_frame_nothing_is_called_constant() -> None:
    said = check("0x0504", FIXTURES / "deye" / "solis-0504" / "solis-0504.hex", code=0)
    assert "\n  108 to 123: 32 03 00 00 e8 03 00 00 …\n" in said
    assert "constant" not in said


def test_a_value_that_is_impossible_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    good, bad = patched("micro-5408-realtime"), patched("micro-5408-realtime", at57=b"\xff\xff")
    path.write_bytes(good + b"junk" + bad + bad)
    said = check(EXAMPLE, path, code=1)
    at = len(good) + 4
    assert (
        f"  grid_frequency (57): 655.35 Hz is outside 0 to 100, at {at + 68} "
        f"in the frame at {at} of {path}; in 2 of 3 frames\n"
    ) in said


def test_a_turned_value_is_judged_as_it_is_published(tmp_path: Path) -> None:
    toml, dump = tmp_path / "x.toml", tmp_path / "x.bin"
    text = EXAMPLE.read_text().replace('"active_power"', '"battery_power"\nturned = true')
    toml.write_text(text)
    dump.write_bytes(patched("micro-5408-realtime", at59=(2_000_000).to_bytes(4, "little")))
    assert "battery_power (59): -2000000 W is outside" in check(toml, dump, code=1)


def test_a_field_behind_the_end_of_all_payloads_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    real = frame("micro-5408-realtime")
    path.write_bytes(replace(real, payload=real.payload[:131]).build())
    said = check("0x5408", path, code=1)
    assert (
        "  mppt_count (131): behind the end of every payload: the longest has 131 bytes\n" in said
    )
    assert "  pv1_energy_today (135 to 136): behind the end" in said
    assert "rated_power (129" not in said
    assert "1 frame, 131 bytes of payload" in said


def test_frames_of_several_lengths_are_told(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    real = frame("micro-5408-realtime")
    short = replace(real, payload=real.payload[:200]).build()
    path.write_bytes(short + raw("micro-5408-historic") + short)
    assert ": 3 frames, 200 and 330 bytes of payload" in check("0x5408", path, code=0)


def test_a_field_without_any_reading_is_told_and_is_not_wrong() -> None:
    said = check("0x5408", *PAIR, code=0)
    assert "\nno reading in any frame: temperature_65, temperature_67, " in said


@pytest.mark.parametrize(
    ("octets", "problem"),
    [
        ({"at33": b"\xff\xff\x00\x00"}, "energy_today: 655.35 kWh today is more than 177.5 kWh"),
        ({"at135": b"\xff\xff"}, "pv1_energy_today: 6553.5 kWh today is more than 80.7 kWh in all"),
    ],
)
def test_more_today_than_in_all_is_wrong(
    octets: dict[str, bytes], problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(patched("micro-5408-realtime", 0x5408, **octets))
    assert problem in check("0x5408", path, code=1)


def test_a_power_far_from_voltage_times_current_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(patched("tsun-data-02b0", 0x02B0, at217=b"\x27\x10"))
    said = check("0x02b0", path, code=1)
    assert "  pv1_power: pv1_power: " not in said
    assert "  pv1_power: 1000.0 W, but 35.3 V × 1.68 A is 59 W in the frame at 0 of" in said


def test_a_capture_without_such_frames_says_which_there_are() -> None:
    said = check(EXAMPLE, *PAIR, code=1)
    assert "layout example_inverter, sensor type 0x1234: 0 frames\n" in said
    assert "no data frame of sensor type 0x1234; there are: 0x5408\n" in said
    heartbeat = FIXTURES / "deye" / "unknown-modbus" / "heartbeat.hex"
    assert "there are: none\n" in check(EXAMPLE, heartbeat, code=1)


def test_a_serial_that_is_not_marked_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(EXAMPLE.read_text().replace('private = "serial"\n', ""))
    said = check(path, CAPTURE, code=1)
    assert "inverter_serial (21 to 30): called like a secret, but not marked" in said


def test_mistakes_in_the_file_are_told_all_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(EXAMPLE.read_text().replace('"u16le"', '"u16"').replace('"B"', '"D"'))
    shown = invoke("layout", "check", path, CAPTURE)
    assert (shown.code, shown.out) == (1, "")
    assert shown.err.startswith("Error: no layout:\n")
    lines = shown.err.splitlines()[1:]
    assert len(lines) == 4
    assert all(line.startswith(f"  {path}: field ") for line in lines)


def test_what_a_check_finds_is_given_as_json(tmp_path: Path) -> None:
    shown = invoke("layout", "check", EXAMPLE, CAPTURE, "--json")
    found = json.loads(shown.out)
    assert shown.code == 0
    assert (found["layout"], found["sensor_type"]) == ("example_inverter", 0x1234)
    assert (found["frames"], found["lengths"], found["wrong"]) == (2, [330], [])
    fields = {entry["name"]: entry for entry in found["fields"]}
    assert fields["energy_today"] == {
        "name": "energy_today",
        "values": 2,
        "none": 0,
        "lowest": 0.9,
        "highest": 3.3,
    }
    assert fields["inverter_serial"]["lowest"] is None
    assert {"offset": 51, "size": 1, "holds": "changing"} in found["gaps"]
    assert sum(gap["size"] for gap in found["gaps"]) == 279
    path = tmp_path / "x.toml"
    path.write_text(EXAMPLE.read_text() + EXTRA)
    found = json.loads(invoke("layout", "check", path, CAPTURE, "--json").out)
    assert found["fields"][-1]["lowest"] == "ff"


EXTRA = '\n[[field]]\noffset = 277\nname = "mark"\ntype = "bytes 1"\nconfidence = "C"\n'


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        ((EXAMPLE,), 2, "Missing argument 'CAPTURE...'"),
        ((EXAMPLE, "nosuch"), 1, "nosuch: no such file, and no hex either"),
        (("nosuch.toml", CAPTURE), 1, "nosuch.toml: No such file or directory"),
    ],
)
def test_what_cannot_be_checked_is_told(
    arguments: tuple[object, ...], code: int, complaint: str
) -> None:
    shown = invoke("layout", "check", *map(str, arguments))
    assert (shown.code, shown.out) == (code, "")
    assert complaint in shown.err


def test_frames_are_found_wherever_decode_finds_them(tmp_path: Path) -> None:
    """In text, among junk, and several connections mixed; a masked one is none."""
    first, second = patched("micro-5408-realtime"), patched("micro-5408-historic")
    log = tmp_path / "log.txt"
    masked = first.hex().replace(first[7:11].hex(), "********", 1)
    log.write_text(f"DEBUG: sent {first.hex(' ')}\nDEBUG: sent {masked}\n")
    mixed = tmp_path / "mixed.jsonl"
    parts = [("a", first[:100]), ("b", second[:50]), ("a", first[100:]), ("b", second[50:])]
    entries = [{"connection": name, "from": "device", "data": data.hex()} for name, data in parts]
    mixed.write_text("".join(json.dumps(entry) + "\n" for entry in entries) + "{no line\n")
    shown = invoke("layout", "check", EXAMPLE, log, mixed)
    assert shown.code == 0
    assert "0x1234: 3 frames," in shown.out
    assert f"{mixed}: line 5: no line of a capture" in shown.err


def test_a_frame_behind_a_damaged_one_is_found_at_the_end(tmp_path: Path) -> None:
    whole = patched("micro-5408-realtime")
    damaged = b"\xa5" + (4000).to_bytes(2, "little") + b"\x10\x42" + bytes(6)
    path = tmp_path / "x.bin"
    path.write_bytes(damaged + whole)
    assert "0x1234: 1 frame," in check(EXAMPLE, path, code=0)


def test_streams_beyond_those_followed_at_once_are_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "MOST_STREAMS", 2)
    whole = patched("micro-5408-realtime").hex()
    lines = [{"connection": name, "data": whole} for name in "abcdef"]
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert "0x1234: 6 frames," in check(EXAMPLE, path, code=0)


def test_data_too_short_for_a_sensor_type_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(replace(frame("solis-0504"), payload=b"\x01\x34").build())
    assert "there are: none" in check(EXAMPLE, path, code=1)


# --layout


def values(shown: Run) -> dict[str, object]:
    (reading,) = json.loads(shown.out)["readings"]
    found: dict[str, object] = reading["values"]
    return found


def test_decode_uses_a_layout_from_a_file(exported: Path) -> None:
    dump = patched("micro-5408-realtime").hex()
    assert json.loads(decode("--json", dump).out)["readings"] == []
    own = decode("--json", "--layout", exported, dump)
    known = decode("--json", raw("micro-5408-realtime").hex())
    assert values(own) == values(known)
    theirs = json.loads(known.out)["fields"]
    assert json.loads(own.out)["fields"] == {**theirs, "sensor_type": 0x1234}
    assert json.loads(decode("--json", dump).out)["readings"] == []


@pytest.mark.parametrize("name", sorted(set(VALID) - set(DATA.values())))
def test_what_is_of_another_type_is_decoded_as_before(name: str, exported: Path) -> None:
    dump = raw(name).hex()
    assert decode("--json", "--layout", exported, dump).out == decode("--json", dump).out


def test_a_layout_may_come_from_the_environment_or_the_configuration(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump = patched("micro-5408-realtime").hex()
    config = tmp_path / "config.toml"
    config.write_text(f"[decode]\njson = true\nlayout = ['{exported}']\n")
    assert values(invoke("--config", config, "decode", dump))["active_power"] == 4
    spaced = tmp_path / "with space.toml"
    spaced.write_text(exported.read_text().replace("0x1234", "0x1235"))
    monkeypatch.setenv("INVERTERPROTO_LAYOUT", f"{exported}:{spaced}")
    assert values(decode("--json", dump))["active_power"] == 4
    other = patched("micro-5408-realtime", 0x1235).hex()
    assert values(decode("--json", other))["active_power"] == 4


def test_that_a_layout_takes_the_place_of_another_is_said_where_that_is_asked_for(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.toml"
    path.write_text(EXAMPLE.read_text().replace("0x1234", "0x5408"))
    shown = decode("-v", "--json", "--layout", path, PAIR[0])
    assert f"{path}: layout example_inverter in the place of micro_inverter for 0x5408" in shown.err
    assert "pv1_voltage" not in json.loads(shown.out)["fields"]
    assert "in the place" not in decode("--layout", path, PAIR[0]).err
    assert "in the place" not in decode("-v", "--layout", EXAMPLE, PAIR[0]).err


def test_one_file_given_twice_is_given_once() -> None:
    shown = decode("-q", "--json", "--layout", EXAMPLE, "--layout", EXAMPLE, CAPTURE)
    assert shown.code == 0


def test_files_that_are_no_layouts_or_for_one_type_are_wrong_usage(
    exported: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "\x1b[31m.toml"
    broken.write_text("name = 3")
    layouts = [part for path in (EXAMPLE, broken, exported) for part in ("--layout", path)]
    shown = decode(*layouts, CAPTURE)
    assert (shown.code, shown.out) == (2, "")
    assert f"{exported}: {EXAMPLE} is for sensor type 0x1234, too" in shown.err
    assert r"\x1b[31m.toml: name: expected" in shown.err
    assert "sensor_type: expected an integer from 0 to 0xFFFF, found nothing" in shown.err


def test_what_a_layout_marks_as_private_is_replaced(tmp_path: Path) -> None:
    out = tmp_path / "shared.jsonl"
    shown = invoke("sanitize", CAPTURE, "-o", out, "--layout", EXAMPLE)
    assert shown.code == 0
    assert b"2301234567".hex() not in out.read_text()
    serials = {
        json.loads(line)["fields"]["inverter_serial"]
        for line in decode("--json", "--layout", EXAMPLE, out).out.splitlines()
    }
    (serial,) = serials
    assert serial.isdecimal()
    assert serial != "2301234567"
    redacted = decode("--redact", "--json", "--layout", EXAMPLE, CAPTURE)
    assert "2301234567" not in redacted.out
    assert "inverter_serial" in redacted.out


def test_what_measures_is_the_same_in_what_is_shared(tmp_path: Path) -> None:
    out = tmp_path / "shared.jsonl"
    assert invoke("sanitize", CAPTURE, "-o", out, "--layout", EXAMPLE).code == 0
    assert check(EXAMPLE, out, code=0) == check(EXAMPLE, CAPTURE, code=0)


# What it imports


@pytest.mark.parametrize("words", [["--help"], ["check", "--help"], ["list", "--help"]])
def test_the_help_imports_nothing_heavy_and_none_of_the_codecs(words: list[str]) -> None:
    modules = imported("layout", *words)
    assert not modules & HEAVY
    assert not {name for name in modules if name.startswith("inverterproto.")}


def test_no_command_imports_what_only_a_coloured_tree_needs() -> None:
    for words in (["list"], ["check", EXAMPLE, CAPTURE]):
        assert not imported("layout", *words) & {"rich", "msgspec", "asyncio"}


# The example of the documentation


def test_the_example_is_two_real_frames_with_another_sensor_type() -> None:
    data = [json.loads(line)["data"] for line in CAPTURE.read_text().splitlines()]
    names = ("micro-5408-realtime", "micro-5408-historic")
    assert data == [patched(name).hex() for name in names]


def test_the_example_says_of_its_fields_what_is_known_of_them() -> None:
    micro = layout_of(0x5408)
    example = layout_from_toml(EXAMPLE.read_text())
    assert micro is not None
    for field in example.fields:
        if field.known:
            known = micro.by_name[field.name]
            assert (field.offset, field.type, field.scale) == (
                known.offset,
                known.type,
                known.scale,
            )


def test_a_sensor_type_without_its_0x_is_told() -> None:
    shown = invoke("layout", "show", "5408")
    assert shown.code == 2
    assert "5408: no such file; did you mean 0x5408?" in shown.err
