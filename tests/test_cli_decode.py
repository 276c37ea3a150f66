"""`inverterproto decode`: what goes in, what comes out where, and with which exit code."""

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inverterproto.alphaess.frame import Frame as AlphaFrame
from inverterproto.alphaess.messages import Message as AlphaMessage
from inverterproto.decoding import MOST_CLOCK_OFFSET
from inverterproto.deye.frame import Frame
from inverterproto.deye.messages import Message
from inverterproto.quantity import QUANTITIES, template_of
from inverterproto_cli import decode as decode_module
from inverterproto_cli.csv_table import IDENTITY
from inverterproto_cli.summary import MOST_COMPLAINTS
from tests.conftest import Run, decode
from tests.vectors import (
    AT_TEXT,
    BARE_MODBUS_REQUEST,
    BROKEN,
    FIXTURES,
    VALID,
    fixtures,
    frame,
    raw,
)

MICRO = FIXTURES / "deye" / "sun-m80g3-MW3_16U_5406_2.32-D1" / "micro-5408-realtime.hex"
REALTIME, HISTORIC = raw("micro-5408-realtime"), raw("micro-5408-historic")
HEARTBEAT = raw("heartbeat")
ARRIVAL = 1_712_596_445.0  # 2024-04-08T17:14:05Z, two seconds after REALTIME
ALPHA = fixtures("alphaess")
KEEP_ALIVE, STATUS, STORED = ALPHA["keep-alive"], ALPHA["status-1"], ALPHA["stored-records"]
STATUS_TIME = "2021-03-24T00:01:52Z"  # by a clock ten hours ahead


def status(**changes: str) -> bytes:
    """Return the real status with other values, or with further ones."""
    message = AlphaMessage.parse(AlphaFrame.parse(STATUS))
    return message.replace(changes).build()


def damaged(data: bytes, at: int) -> bytes:
    """Return a frame with one bit wrong."""
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


def json_of(*arguments: str | Path, stdin: bytes | str | None = None) -> list[dict[str, Any]]:
    """Return the objects that `decode --json` writes."""
    return [json.loads(line) for line in decode("--json", *arguments, stdin=stdin).out.splitlines()]


def csv_of(*arguments: str | Path, stdin: bytes | str | None = None) -> list[dict[str, str]]:
    """Return the rows that `decode --csv` writes."""
    return list(csv.DictReader(io.StringIO(decode("--csv", *arguments, stdin=stdin).out)))


def capture(*lines: dict[str, object]) -> str:
    """Return a capture."""
    return "".join(json.dumps(line) + "\n" for line in lines)


class TestJson:
    """The contract, key by key."""

    def test_the_real_frame_of_a_micro_inverter_says_what_the_contract_shows(self) -> None:
        (shown,) = json_of(MICRO)
        fields, readings = shown.pop("fields"), shown.pop("readings")
        assert shown == {
            "type": "frame",
            "offset": 0,
            "length": 343,
            "family": "deye",
            "name": "data",
            "from": "device",
            "device": "2712345678",
            "header": {
                "payload_length": 330,
                "control_code": 0x4210,
                "sequence": [21, 22],
                "logger_serial": 2712345678,
                "checksum": 80,
            },
            "problems": [],
            "raw": REALTIME.hex(),
        }
        expected = json.loads(MICRO.with_suffix(".json").read_text())["expect"]
        assert expected["fields"].items() <= fields.items()
        assert readings == [
            {
                "device": "2301234567",
                "via": "2712345678",
                "kind": "data",
                "time": "2024-04-08T17:14:03Z",
                "time_source": "device",
                "historic": False,
                "values": expected["readings"][0]["values"],
            }
        ]

    def test_what_follows_a_frame_is_an_object_of_its_own(self) -> None:
        frame_, unframed = json_of("-", stdin=REALTIME + b"\r\n")
        assert (frame_["type"], frame_["length"]) == ("frame", 343)
        assert unframed == {
            "type": "unframed",
            "offset": 343,
            "length": 2,
            "reason": "junk",
            "raw": "0d0a",
        }

    def test_a_damaged_frame_has_a_tentative_object_and_no_readings(self) -> None:
        run = decode("--json", "-", stdin=damaged(REALTIME, 70))
        shown = json.loads(run.out)
        assert run.code == 1
        assert list(shown) == ["type", "offset", "length", "reason", "tentative", "raw"]
        assert shown["reason"] == "bad checksum at offset 341: expected 0x51, found 0x50"
        assert "readings" not in shown["tentative"]
        assert shown["tentative"]["fields"]["active_power"] == 5

    def test_the_real_status_of_a_battery_says_what_was_read_in_it(self) -> None:
        (path,) = (FIXTURES / "alphaess").rglob("status-1.json")
        expected = json.loads(path.read_text())["expect"]
        (shown,) = json_of(path.with_suffix(".hex"), "--clock-offset", "36000")
        for key in ("header", "name", "from", "device", "fields", "problems"):
            assert shown[key] == expected[key]
        assert shown["readings"] == [
            {
                "device": "AL2002000001234",
                "via": None,
                "kind": "status",
                "time": STATUS_TIME,
                "time_source": "device-corrected",
                "historic": False,
                "values": expected["readings"][0]["values"],
            }
        ]

    def test_stored_records_give_a_reading_each(self) -> None:
        (shown,) = json_of("-", "--clock-offset", "36000", stdin=STORED)
        assert [(one["kind"], one["historic"], one["time"]) for one in shown["readings"]] == [
            ("stored", True, "2021-03-23T23:40:59Z"),
            ("stored", True, "2021-03-23T23:42:00Z"),
            ("stored", True, "2021-03-23T23:43:00Z"),
        ]

    @pytest.mark.parametrize("name", [*VALID, *sorted(ALPHA)])
    def test_every_fixture_is_one_line_that_holds_its_bytes(self, name: str) -> None:
        data = ALPHA.get(name) or raw(name)
        (shown,) = json_of("-", stdin=data)
        assert bytes.fromhex(shown["raw"]) == data
        assert (shown["type"] == "frame") == (name != "bad-crc")

    def test_the_raw_of_all_lines_put_together_is_the_input(self) -> None:
        data = AT_TEXT + HEARTBEAT + STATUS + b"\0" + raw(BROKEN) + damaged(STATUS, 40) + HISTORIC
        shown = json_of("-", stdin=data)
        assert bytes.fromhex("".join(one["raw"] for one in shown)) == data
        assert [one["offset"] for one in shown] == [
            sum(one["length"] for one in shown[:index]) for index in range(len(shown))
        ]

    def test_frames_of_both_families_may_be_mixed(self) -> None:
        shown = json_of("-", stdin=HEARTBEAT + STATUS + HEARTBEAT + KEEP_ALIVE)
        assert [(one["family"], one["name"], one["device"]) for one in shown] == [
            ("deye", "heartbeat", "2712345678"),
            ("alphaess", "status", "AL2002000001234"),
            ("deye", "heartbeat", "2712345678"),
            ("alphaess", "keep_alive", None),
        ]
        assert shown[1]["header"] == {
            "version": 1,
            "direction": 1,
            "command": 16,
            "length": len(STATUS) - 9,
            "crc": int.from_bytes(STATUS[-2:], "big"),
        }

    def test_of_one_input_its_name_is_not_told(self) -> None:
        (shown,) = json_of(MICRO)
        assert "input" not in shown

    def test_of_several_inputs_each_line_names_its_own_and_offsets_begin_anew(
        self, tmp_path: Path
    ) -> None:
        binary = tmp_path / "dump.bin"
        binary.write_bytes(HEARTBEAT)
        shown = json_of(MICRO, binary, *HEARTBEAT.hex(" ").split(), binary)
        assert [(one["input"], one["offset"], one["name"]) for one in shown] == [
            (str(MICRO), 0, "data"),
            (str(binary), 0, "heartbeat"),
            (str(binary), 0, "heartbeat"),
            ("hex", 0, "heartbeat"),
        ]

    def test_what_an_input_ends_with_comes_before_the_next_input(self, tmp_path: Path) -> None:
        cut_off = tmp_path / "cut.bin"
        cut_off.write_bytes(HEARTBEAT + REALTIME[:99])
        shown = json_of(cut_off, MICRO)
        assert [(one["type"], one["offset"]) for one in shown] == [
            ("frame", 0),
            ("unframed", 14),
            ("frame", 0),
        ]

    def test_nothing_but_the_objects_goes_to_standard_output(self) -> None:
        run = decode("--json", "-", stdin=HEARTBEAT + b"junk")
        assert [json.loads(line)["type"] for line in run.out.splitlines()] == ["frame", "unframed"]
        assert "junk" in run.err


class TestCaptures:
    def test_arrival_and_connection_are_told_and_offsets_count_in_each_direction(self) -> None:
        shown = json_of(
            "-",
            stdin=capture(
                {"at": ARRIVAL, "connection": "1", "from": "device", "data": REALTIME.hex()},
                {"at": ARRIVAL + 1, "connection": "1", "from": "cloud", "data": "00"},
                {"at": ARRIVAL + 2, "connection": "2", "from": "device", "data": "0d0a"},
                {"at": ARRIVAL + 3, "connection": "1", "from": "device", "data": HEARTBEAT.hex()},
            ),
        )
        assert [
            (one["offset"], one["from"], one["connection"], one["at"], one["raw"]) for one in shown
        ] == [
            (0, "device", "1", ARRIVAL, REALTIME.hex()),
            (343, "device", "1", ARRIVAL + 3, HEARTBEAT.hex()),
            (0, "cloud", "1", ARRIVAL + 1, "00"),
            (0, "device", "2", ARRIVAL + 2, "0d0a"),
        ]

    def test_a_frame_may_be_cut_over_lines(self) -> None:
        lines: list[dict[str, object]] = [
            {"data": REALTIME[at : at + 50].hex()} for at in range(0, 343, 50)
        ]
        (shown,) = json_of("-", stdin=capture(*lines))
        assert shown["raw"] == REALTIME.hex()
        assert "connection" not in shown
        assert "at" not in shown

    def test_the_capture_tells_the_sender_where_the_frame_does_not(self) -> None:
        unknown = Frame(0x5510, (1, 2), 2712345678, b"").build().hex()
        (shown,) = json_of("-", stdin=capture({"from": "cloud", "data": unknown}))
        assert (shown["name"], shown["from"]) == ("unknown", "cloud")

    def test_arrivals_date_a_battery_by_its_own_clock(self) -> None:
        lines: list[dict[str, object]] = [
            {"at": ARRIVAL, "data": status(Time="2024/04/09 03:14:05").hex()},
            {"at": ARRIVAL + 12, "data": status(Time="2024/04/09 03:14:15").hex()},
        ]
        shown = json_of("-", stdin=capture(*lines))
        assert [one["readings"][0]["time"] for one in shown] == [
            "2024-04-08T17:14:05Z",
            "2024-04-08T17:14:15Z",
        ]
        assert {one["readings"][0]["time_source"] for one in shown} == {"device-corrected"}

    def test_a_live_record_without_the_time_has_its_arrival(self) -> None:
        message = Message(frame("micro-5408-realtime"))
        undated = message.replace({"offset_time": 0}).build().hex()
        (shown,) = json_of("-", stdin=capture({"at": ARRIVAL, "data": undated}))
        assert shown["readings"][0]["time"] == "2024-04-08T17:14:05Z"
        assert shown["readings"][0]["time_source"] == "arrival"

    def test_frames_around_a_broken_line_are_shown_and_the_line_is_told(self) -> None:
        line = capture({"data": HEARTBEAT.hex()})
        run = decode("--json", "-", stdin=line + "{}\n" + line)
        assert [json.loads(text)["name"] for text in run.out.splitlines()] == ["heartbeat"] * 2
        assert "-: line 2: no line of a capture: no 'data'\n" in run.err
        assert "1 problem" in run.err
        assert run.code == 0
        assert decode("--strict", "--json", "-", stdin=line + "{}\n" + line).code == 1

    def test_complaints_name_connection_and_direction(self) -> None:
        line: dict[str, object] = {"connection": "7", "from": "device", "data": "0d0a"}
        assert "no frame in 2 bytes at 0 (connection 7, from device): junk\n" in (
            decode("-", stdin=capture(line)).err
        )

    def test_of_too_many_connections_the_one_longest_silent_is_ended(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(decode_module, "MOST_STREAMS", 2)
        half, rest = HEARTBEAT[:7].hex(), HEARTBEAT[7:].hex()
        lines: list[dict[str, object]] = [
            {"connection": "1", "data": half},
            {"connection": "2", "data": half},
            {"connection": "1", "data": rest},
            {"connection": "3", "data": half},
            {"connection": "3", "data": rest},
        ]
        shown = json_of("-", stdin=capture(*lines))
        assert [(one["connection"], one["type"]) for one in shown] == [
            ("1", "frame"),
            ("2", "unframed"),
            ("3", "frame"),
        ]


class TestCsv:
    def test_the_real_frame_is_a_row_in_the_order_of_the_vocabulary(self) -> None:
        header, row = csv.reader(io.StringIO(decode("--csv", MICRO).out))
        assert tuple(header[:6]) == IDENTITY
        order = list(QUANTITIES)
        places = [order.index(template_of(key)) for key in header[6:]]
        assert places == sorted(places)
        cells = dict(zip(header, row, strict=True))
        assert row[:6] == [
            "2301234567",
            "2712345678",
            "data",
            "2024-04-08T17:14:03Z",
            "device",
            "false",
        ]
        assert (cells["active_power"], cells["energy_total"]) == ("4", "177.5")

    def test_cells_are_in_natural_order(self) -> None:
        header = decode("--csv", "-", stdin=raw("dcu-data-3026")).out.partition("\n")[0].split(",")
        cells = [key for key in header if re.fullmatch(r"cell\d+_voltage", key)]
        assert cells == [f"cell{number}_voltage" for number in range(1, 17)]

    def test_each_stored_record_is_a_row(self) -> None:
        rows = csv_of("-", "--clock-offset", "36000", stdin=STORED)
        assert [row["time"] for row in rows] == [
            "2021-03-23T23:40:59Z",
            "2021-03-23T23:42:00Z",
            "2021-03-23T23:43:00Z",
        ]
        assert [row["state_of_charge"] for row in rows] == ["26.0", "26.4", "26.8"]

    def test_readings_of_all_devices_share_one_table(self) -> None:
        rows = csv_of("-", stdin=REALTIME + STATUS + raw("solis-0504"))
        assert [row["device"] for row in rows] == [
            "2301234567",
            "AL2002000001234",
            "110AD0123456789",
        ]
        assert [row["state_of_charge"] for row in rows] == ["", "33.2", ""]
        assert rows[1]["via"] == ""

    def test_without_readings_there_is_the_head_of_a_table(self) -> None:
        run = decode("--csv", "-", stdin=HEARTBEAT)
        assert (run.out, run.code) == (",".join(IDENTITY) + "\n", 0)

    @pytest.mark.parametrize(
        ("text", "cell"),
        [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\tx", "'\\tx"),
            ("\rx", "'\\rx"),
            ("\nx", "'\\nx"),
            ("On\x1b[2JGrid", "On\\x1b[2JGrid"),
            ('OnGrid, "2"', 'OnGrid, "2"'),
            ("OnGrid", "OnGrid"),
        ],
    )
    def test_text_of_a_device_does_no_harm_in_a_spreadsheet_or_terminal(
        self, text: str, cell: str
    ) -> None:
        (row,) = csv_of("-", stdin=status(EmsStatus=text))
        assert row["status"] == cell

    def test_negative_numbers_stay_numbers(self) -> None:
        (row,) = csv_of("-", stdin=status(Pbat="-688.8960"))
        assert row["battery_power"] == "-688.896"

    def test_what_is_historic_says_so_and_may_have_no_time(self) -> None:
        (row,) = csv_of("-", stdin=HISTORIC)
        assert (row["historic"], row["time"], row["time_source"]) == ("true", "", "unknown")

    def test_many_rows_wait_in_a_file(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("inverterproto_cli.csv_table._IN_MEMORY", 1000)
        rows = csv_of("-", stdin=REALTIME * 50)
        assert len(rows) == 50
        assert {row["active_power"] for row in rows} == {"4"}


class TestTree:
    def test_every_field_has_a_line_with_offset_bytes_value_unit_and_meaning(self) -> None:
        lines = decode(MICRO).out.splitlines()
        assert lines[0] == "data  Deye / Solarman V5  from device 2712345678  at 0, 343 bytes"
        assert lines[1] == "      0 a5                       start" + " " * 33 + "0xa5  0xA5"
        for expected in (
            r" +56 10 09 +grid_voltage_l1 +232\.0 V.*",
            r" +58 00 00 +grid_voltage_l2 +0\.0 V  \[confidence C\].*",
            r" +32 32 33 30 31 32 33 34 … +inverter_serial +2301234567",
            r" +52 00 00 00 00 +unknown_41 +4 × 00",
            r" +162 00 00 00 00 +pv3_energy_total +none",
            r" +341 50 +checksum +0x50  sum of all between start and checksum, modulo 256",
            r"  reading 2301234567  2024-04-08T17:14:03Z \(device\)",
            r"    active_power +4 W +AC output of the inverter",
        ):
            assert any(re.fullmatch(expected, line) for line in lines), expected

    def test_the_lines_cover_every_byte(self) -> None:
        for name in VALID:
            run = decode("-", stdin=raw(name))
            offsets = [
                int(line.split()[0])
                for line in run.out.splitlines()
                if re.match(r" {2} *\d+ [0-9a-f]{2}( |$)", line)
            ]
            assert offsets[0] == 0
            assert offsets[-1] == len(raw(name)) - 1

    def test_the_body_of_a_command_is_shown_key_by_key(self) -> None:
        out = decode("-", stdin=raw("modbus-read-reply")).out
        assert re.search(r"\n +25 01 03 02 01 0a 39 d3 +modbus\n", out)
        assert re.search(r"\n +registers +\[266\]\n", out)

    def test_a_value_of_a_battery_is_shown_in_its_place(self) -> None:
        out = decode("-", stdin=STATUS).out
        assert out.startswith("status  AlphaESS  from device AL2002000001234  at 0, ")
        offset = STATUS.index(b"33.2")
        assert re.search(rf"\n +{offset} 33 33 2e 32 +SOC +33\.2 %", out)

    def test_every_cell_of_stored_records_is_in_its_place(self) -> None:
        out = decode("-", stdin=STORED).out
        places = [at.start() for at in re.finditer(b"09:4[0-9]:[0-9]{2}", STORED)]
        assert len(places) == 3
        for offset in places:
            assert re.search(rf"\n +{offset} 30 39 3a 34 .* Time +09:4", out)
        assert out.count("  reading AL2002000001234  time unknown, historic") == 3

    def test_broken_json_is_shown_as_it_is_and_is_a_problem(self) -> None:
        run = decode("-", stdin=ALPHA["malformed-json"])
        assert "  problem: " in run.out
        assert run.err.endswith("; 1 problem\n")

    def test_a_damaged_status_is_tentative(self) -> None:
        run = decode("-", stdin=ALPHA["bad-crc"])
        assert run.out.startswith(
            "no frame  at 0, 276 bytes: bad CRC at offset 274: expected 0x1df1, found 0x1df0\n"
            "  TENTATIVE: "
        )
        assert "\n  reading" not in run.out
        assert run.code == 1

    def test_a_named_number_has_its_name(self) -> None:
        assert "1 (request or push)" in decode("-", stdin=KEEP_ALIVE).out

    def test_a_historic_reading_says_so(self) -> None:
        out = decode("-", stdin=HISTORIC).out
        assert "reading 2301234567  time unknown, historic\n" in out

    def test_problems_stand_below_the_frame(self) -> None:
        unknown = Message(frame("micro-5408-realtime")).replace({"sensor_type": 0x9999}).build()
        run = decode("-", stdin=unknown)
        assert "  problem: sensor type 0x9999 is not known\n" in run.out
        assert run.err == (
            "1 frame: 1 data; 1 problem\n"
            "sensor type 0x9999 is not known: --guess tries the known layouts\n"
        )

    def test_a_damaged_frame_is_tentative_and_loudly_marked(self) -> None:
        run = decode("-", stdin=damaged(REALTIME, 70))
        first, second, *_ = run.out.splitlines()
        assert first == (
            "no frame  at 0, 343 bytes: bad checksum at offset 341: expected 0x51, found 0x50"
        )
        assert second == (
            "  TENTATIVE: the checksum is wrong, so any byte of this may be wrong: "
            "data  Deye / Solarman V5  from device 2712345678"
        )
        assert "active_power" in run.out
        assert "\n  reading" not in run.out
        assert run.code == 1

    def test_what_is_no_frame_is_shown_in_hex_and_text(self) -> None:
        out = decode("-", stdin=AT_TEXT + b"\0").out
        assert out == (
            "no frame  at 0, 32 bytes: AT text\n"
            "  41 54 2b 59 5a 43 4d 50 56 45 52 3d 4d 57 33 5f 31 36 55 5f 35 34 30 36 5f 32 2e 32"
            " 37 0d 0a 0a  AT+YZCMPVER=MW3_16U_5406_2.27...\n"
            "no frame  at 32, 1 byte: junk\n"
            "  00  .\n"
        )

    def test_long_runs_and_texts_are_shown_in_part(self) -> None:
        assert " …  " in decode("-", stdin=b"\xff" * 99).out
        out = decode("-", stdin=status(Remark="x" * 500)).out
        assert "x" * 120 + "… (500 characters)" in out

    def test_of_several_inputs_each_item_names_its_own(self, tmp_path: Path) -> None:
        dump = tmp_path / "dump.bin"
        dump.write_bytes(HEARTBEAT + b"\0")
        run = decode(dump, MICRO)
        titles = [line for line in run.out.splitlines() if not line.startswith(" ")]
        assert titles == [
            f"heartbeat  Deye / Solarman V5  from device 2712345678  at 0, 14 bytes ({dump})",
            f"no frame  at 14, 1 byte ({dump}): junk",
            f"data  Deye / Solarman V5  from device 2712345678  at 0, 343 bytes ({MICRO})",
        ]
        assert f"no frame in 1 byte at 14 ({dump}): junk\n" in run.err

    def test_of_a_capture_each_frame_has_its_connection_and_arrival(self) -> None:
        line: dict[str, object] = {"at": ARRIVAL, "connection": "7", "data": HEARTBEAT.hex()}
        assert decode("-", stdin=capture(line)).out.startswith(
            "heartbeat  Deye / Solarman V5  from device 2712345678  "
            "at 0, 14 bytes (connection 7), arrived 2024-04-08T17:14:05Z\n"
        )

    def test_what_a_terminal_would_act_upon_is_escaped(self) -> None:
        evil = "\x1b]0;x\x07\u202e"
        message = Message(frame("micro-5408-realtime")).replace({"inverter_serial": "\x1b[2J"})
        data = message.build() + status(**{evil: evil}, EmsStatus=evil)
        line: dict[str, object] = {"connection": evil, "from": evil, "data": data.hex() + "00"}
        run = decode("-", stdin=capture(line))
        for text in (run.out, run.err):
            assert not set(text) & {"\x1b", "\x07", "\u202e"}
        assert r"\x1b[2J" in run.out
        assert run.out.count(r"\x1b]0;x\x07\u202e") >= 5


class TestByteMap:
    def test_each_byte_is_shown_with_its_field_and_unknown_ones_with_a_mark(self) -> None:
        out = decode("--raw", MICRO).out
        rows = re.findall(r"\n  ([0-9a-f]{4})  ((?:[0-9a-f]{2}[ ?]){1,16}) *", out)
        assert [int(offset, 16) for offset, _ in rows] == list(range(0, 343, 16))
        cells = "".join(cells for _, cells in rows)
        assert bytes.fromhex(re.sub(r"[ ?]", "", cells)) == REALTIME
        marked = [at for at in range(343) if cells[3 * at + 2] == "?"]
        assert {26, 42, 52, 342 - 2} <= set(marked)
        assert not {0, 56, 70, 341} & set(marked)

    def test_fields_are_named_where_they_begin(self) -> None:
        out = decode("--raw", "-", stdin=HEARTBEAT).out
        assert out.splitlines()[1] == (
            "  0000  a5 01 00 10 47 97 6d 4e 1c ab a1 00 12 15        ....G.mN......    start"
            " payload_length control_code sequence_first sequence_second logger_serial frame_type"
            " checksum end"
        )

    def test_a_damaged_frame_and_what_is_none_have_their_bytes_too(self) -> None:
        assert "  0000  a5 01 00" in decode("--raw", "-", stdin=damaged(HEARTBEAT, 5)).out
        assert "  0000  00 ff " in decode("--raw", "-", stdin=b"\0\xff").out

    def test_of_a_battery_the_bytes_between_values_are_shown(self) -> None:
        out = decode("--raw", "-", stdin=STATUS).out
        cells = re.findall(r"\n  [0-9a-f]{4}  ((?:[0-9a-f]{2}[ ?]){1,16})", out)
        assert bytes.fromhex(re.sub(r"[ ?]", "", "".join(cells))) == STATUS


class TestSummaryAndExitCode:
    def test_a_battery_without_a_time_is_told_what_would_give_it_one(self) -> None:
        hint, status = "1 reading without a time: --clock-offset", fixtures("alphaess")["status-1"]
        assert hint in decode("--json", "-", stdin=status).err
        assert hint not in decode("--clock-offset", "36000", "-", stdin=status).err
        assert "without a time" not in decode("-", stdin=raw("handshake-130")).err

    @pytest.mark.parametrize(
        ("data", "err", "code"),
        [
            (HEARTBEAT, "1 frame: 1 heartbeat\n", 0),
            (REALTIME + HEARTBEAT * 2, "3 frames: 2 heartbeat, 1 data\n", 0),
            (
                HEARTBEAT + b"\r\n",
                """\
no frame in 2 bytes at 14: junk
1 frame: 1 heartbeat; 2 bytes unframed
""",
                0,
            ),
            (b"\0", "no frame in 1 byte at 0: junk\nno frame found; 1 byte unframed\n", 1),
            (
                REALTIME[:-1],
                """\
no frame in 342 bytes at 0: incomplete frame at offset 0: expected 343 bytes, found 342
no frame found; 342 bytes unframed
""",
                1,
            ),
            (
                HEARTBEAT[:-1] + b"\0",
                """\
no frame in 14 bytes at 0: bad end marker at offset 13: expected 0x15, found 0x00
no frame found; 14 bytes unframed
""",
                1,
            ),
            (
                Frame(0x5510, (0, 0), 1, b"").build(),
                "1 frame: 1 unknown; 1 message of unknown type\n",
                0,
            ),
        ],
    )
    def test_the_end_is_a_summary_on_standard_error(self, data: bytes, err: str, code: int) -> None:
        run = decode("--json", "-", stdin=data)
        assert (run.err, run.code) == (err, code)

    def test_partly_good_input_is_good_unless_it_is_strict(self) -> None:
        data = damaged(REALTIME, 70) + HEARTBEAT
        assert decode("-", stdin=data).code == 0
        run = decode("--strict", "-", stdin=data)
        assert run.code == 1
        assert "heartbeat" in run.out

    def test_a_problem_in_a_good_frame_counts_for_strict_too(self) -> None:
        unknown = Message(frame("micro-5408-realtime")).replace({"sensor_type": 0x9999}).build()
        assert decode("-", stdin=unknown).code == 0
        assert decode("--strict", "-", stdin=unknown).code == 1
        assert decode("--strict", "-", stdin=REALTIME).code == 0

    def test_of_many_complaints_the_number_is_told(self) -> None:
        run = decode("--json", "-", stdin=(HEARTBEAT + b"\0") * (MOST_COMPLAINTS + 5))
        assert run.err.count("no frame in 1 byte at") == MOST_COMPLAINTS
        assert (
            "\n… and 5 more complaints\n25 frames: 25 heartbeat; 25 bytes unframed in 25 runs"
            in (run.err)
        )

    @pytest.mark.parametrize("option", ["-q", "--quiet"])
    def test_quiet_leaves_standard_error_empty_and_the_exit_code_as_it_is(
        self, option: str
    ) -> None:
        assert decode(option, "-", stdin=b"\0")[::2] == (1, "")
        run = decode(option, "--json", "-", stdin=(HEARTBEAT + b"\0") * 30)
        assert (run.code, run.err) == (0, "")
        assert len(run.out.splitlines()) == 60

    @pytest.mark.parametrize("option", ["-v", "--redact", "--modbus"])
    def test_what_can_be_read_is_decoded_though_another_input_cannot(
        self, option: str, tmp_path: Path
    ) -> None:
        good = tmp_path / "good.bin"
        good.write_bytes(BARE_MODBUS_REQUEST if option == "--modbus" else HEARTBEAT)
        shown = decode(option, "nosuch.hex", good, tmp_path)
        assert shown.code == 1
        assert ("request" if option == "--modbus" else "heartbeat") in shown.out
        assert "Error: nosuch.hex: no such file, and no hex either\n" in shown.err
        assert "is a folder; name the files in it\n" in shown.err

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("nosuch.bin",), "Error: nosuch.bin: no such file, and no hex either\n"),
            (("",), "Error: '': no such file, and no hex either\n"),
            (("-", "-"), "Error: -: standard input can be read only once\n"),
            (("\x1b[2J",), r"Error: \x1b[2J: no such file, and no hex either" + "\n"),
            ((str(FIXTURES),), f"Error: {FIXTURES}: is a folder; name the files in it\n"),
            (("/dev/null",), "Error: /dev/null: is empty\nno frame found\n"),
            (("-",), "Error: -: is empty\nno frame found\n"),
        ],
    )
    def test_bad_input_is_told_in_a_line(self, arguments: tuple[str, ...], message: str) -> None:
        run = decode(*arguments)
        assert (run.code, run.out, run.err) == (1, "", message)

    def test_text_that_is_no_hex_is_told_with_line_and_column(self, tmp_path: Path) -> None:
        letter = tmp_path / "letter.txt"
        letter.write_text("a5 01\nDear Sir")
        run = decode(letter)
        assert run.code == 1
        assert run.err.startswith(
            f"Error: {letter}: no hex digit at line 2, column 4: "
            "expected hex digits and separators, found 'r'\n"
        )

    def test_frames_around_what_is_no_hex_are_shown(self) -> None:
        line = HEARTBEAT.hex() + "\n"
        run = decode("--json", "-", stdin=line + "zz not hex\n" + line)
        assert [json.loads(text)["name"] for text in run.out.splitlines()] == ["heartbeat"] * 2
        assert run.code == 0
        run = decode("-v", "-", stdin=line + "zz not hex\n" + line)
        assert "left out line 2: nothing in it decodes\n" in run.err

    def test_one_bad_input_hides_no_good_one_and_is_not_forgotten(self, tmp_path: Path) -> None:
        empty, odd = tmp_path / "empty", tmp_path / "odd"
        empty.write_bytes(b"")
        odd.write_text(HEARTBEAT.hex() + "0")
        run = decode("--json", empty, odd, MICRO)
        assert [json.loads(line)["name"] for line in run.out.splitlines()] == ["heartbeat", "data"]
        assert f"Error: {empty}: is empty\n" in run.err
        assert f"\n{odd}: odd number of hex digits" in run.err
        assert run.code == 1

    @pytest.mark.parametrize(
        "arguments",
        [
            ("--nosuch",),
            ("--family", "growatt"),
            ("--confidence", "D"),
            ("--clock-offset", "soon"),
            ("--clock-offset", "nan"),
            ("--clock-offset", "inf"),
            ("--clock-offset", str(MOST_CLOCK_OFFSET * 2)),
        ],
    )
    def test_wrong_usage_is_exit_code_2(self, arguments: tuple[str, ...]) -> None:
        run = decode(*arguments, "a5")
        assert (run.code, run.out) == (2, "")
        assert "Error: " in run.err


class TestOptions:
    def test_only_the_family_asked_for_is_looked_for(self) -> None:
        shown = json_of("--family", "alphaess", "-", stdin=HEARTBEAT + STATUS)
        assert [one["type"] for one in shown] == ["unframed", "frame"]
        shown = json_of("--family", "deye", "-", stdin=HEARTBEAT + STATUS)
        assert [one["type"] for one in shown] == ["frame", "unframed"]

    @pytest.mark.parametrize("confidence", ["C", "c"])
    def test_guesses_are_published_where_they_are_asked_for(self, confidence: str) -> None:
        def keys(*options: str) -> set[str]:
            (shown,) = json_of(*options, "-", stdin=raw("solis-0504"))
            return set(shown["readings"][0]["values"])

        assert "reactive_power" in keys("--confidence", confidence) - keys()
        assert keys("--confidence", "B") == keys()

    def test_the_offset_of_its_clock_dates_a_battery(self) -> None:
        def reading(*options: str) -> tuple[str | None, str]:
            (shown,) = json_of(*options, "-", stdin=STATUS)
            return shown["readings"][0]["time"], shown["readings"][0]["time_source"]

        assert reading() == (None, "unknown")
        assert reading("--clock-offset", "36000") == (STATUS_TIME, "device-corrected")
        assert reading("--clock-offset", "35999.5") == (
            "2021-03-24T00:01:52.500Z",
            "device-corrected",
        )

    @pytest.mark.parametrize("offset", [MOST_CLOCK_OFFSET, 0, -MOST_CLOCK_OFFSET])
    @pytest.mark.parametrize("time", ["0001/01/01 00:00:00", "9999/12/31 23:59:59", "1970/01/01"])
    def test_a_clock_of_any_year_with_any_offset_is_no_reason_to_fail(
        self, time: str, offset: float
    ) -> None:
        data = status(Time=time)
        assert decode("--clock-offset", str(offset), "-", stdin=data).code == 0
        line: dict[str, object] = {"at": ARRIVAL, "data": data.hex()}
        assert decode("--clock-offset", str(offset), "-", stdin=capture(line)).code == 0

    @pytest.mark.parametrize(
        ("variable", "value", "data", "key", "shown"),
        [
            ("INVERTERPROTO_FAMILY", "alphaess", HEARTBEAT, "type", "unframed"),
            ("INVERTERPROTO_FAMILY", "deye", HEARTBEAT, "type", "frame"),
        ],
    )
    def test_the_environment_sets_options(
        self,
        monkeypatch: pytest.MonkeyPatch,
        variable: str,
        value: str,
        data: bytes,
        key: str,
        shown: str,
    ) -> None:
        monkeypatch.setenv(variable, value)
        assert json_of("-", stdin=data)[0][key] == shown

    def test_the_environment_sets_confidence_and_clock_offset(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("INVERTERPROTO_CONFIDENCE", "C")
        monkeypatch.setenv("INVERTERPROTO_CLOCK_OFFSET", "36000")
        solis, battery = json_of("-", stdin=raw("solis-0504") + STATUS)
        assert "reactive_power" in solis["readings"][0]["values"]
        assert battery["readings"][0]["time"] == STATUS_TIME

    def test_a_flag_wins_over_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("INVERTERPROTO_FAMILY", "alphaess")
        assert json_of("--family", "deye", "-", stdin=HEARTBEAT)[0]["type"] == "frame"

    def test_a_bad_value_in_the_environment_is_wrong_usage(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("INVERTERPROTO_CLOCK_OFFSET", "soon")
        run = decode("-", stdin=HEARTBEAT)
        assert run.code == 2
        assert "'--clock-offset'" in run.err


class TestInputForms:
    @pytest.mark.parametrize(
        "text",
        [
            HEARTBEAT.hex(" "),
            HEARTBEAT.hex().upper() + "\n",
            "".join(f"\\x{byte:02x}" for byte in HEARTBEAT),
            ", ".join(f"0x{byte:02x}" for byte in HEARTBEAT),
            HEARTBEAT.hex()[:7] + "\n" + HEARTBEAT.hex()[7:],
        ],
    )
    def test_hex_is_read_from_standard_input_and_from_arguments(self, text: str) -> None:
        for run in (decode(stdin=text), decode("-", stdin=text), decode(text)):
            assert run.code == 0
            assert run.out.startswith("heartbeat")

    def test_words_of_hex_are_one_input(self) -> None:
        assert decode(*HEARTBEAT.hex(" ").split()).err == "1 frame: 1 heartbeat\n"

    def test_a_binary_file_is_read(self, tmp_path: Path) -> None:
        dump = tmp_path / "dump.bin"
        dump.write_bytes(REALTIME + HEARTBEAT)
        assert decode(dump).err == "2 frames: 1 data, 1 heartbeat\n"

    def test_a_frame_may_be_cut_by_the_chunks_of_a_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("inverterproto_cli.sources.CHUNK", 100)
        dump = tmp_path / "dump.bin"
        dump.write_bytes(REALTIME * 5)
        assert decode(dump).err == "5 frames: 5 data\n"


def check(run: Run) -> None:
    """A run ends in a good way, whatever came."""
    assert run.code in {0, 1}
    assert "Traceback" not in run.err
    assert "\x1b" not in run.out + run.err


hostile = st.lists(
    st.one_of(
        st.binary(max_size=60),
        st.sampled_from([REALTIME, HEARTBEAT, HISTORIC, AT_TEXT, *ALPHA.values()]),
        st.builds(damaged, st.sampled_from([REALTIME, STATUS, STORED]), st.integers(0, 270)),
        st.builds(
            lambda code, payload: Frame(code, (0, 0), 1, payload).build(),
            st.sampled_from([0x4110, 0x4210, 0x4310, 0x4510, 0x1510, 0x0510, 0x4810, 0x1210]),
            st.binary(max_size=40)
            | st.binary(max_size=40).map(lambda tail: REALTIME[11:60] + tail),
        ),
        st.builds(
            lambda direction, code, payload: AlphaFrame(1, direction, code, payload).build(),
            st.integers(1, 2),
            st.sampled_from([0, 2, 3, 4, 5, 8, 9, 12, 16, 99]),
            st.binary(max_size=40)
            | st.dictionaries(
                st.text(max_size=5), st.text(max_size=5) | st.floats(), max_size=4
            ).map(lambda fields: json.dumps(fields).encode()),
        ),
    ),
    max_size=5,
).map(b"".join)
forms = st.sampled_from([(), ("--json",), ("--csv",), ("--raw",), ("--confidence", "C")])
few = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])


@few
@given(hostile, forms)
def test_no_bytes_make_it_fail(data: bytes, form: tuple[str, ...]) -> None:
    check(decode(*form, "-", stdin=b"\0" + data))


@few
@given(hostile, st.none() | st.floats(), forms)
def test_no_capture_makes_it_fail(data: bytes, at: float | None, form: tuple[str, ...]) -> None:
    check(decode(*form, "-", stdin=capture({"at": at, "from": "device", "data": data.hex()})))


@few
@given(st.text(max_size=80), forms)
def test_no_text_makes_it_fail(text: str, form: tuple[str, ...]) -> None:
    check(decode(*form, "-", stdin=text.encode("utf-8", "replace")))


@few
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=3))
def test_no_arguments_make_it_fail(words: list[str]) -> None:
    words = [word for word in words if word != "-" and not Path(word or "x").exists()]
    check(decode("--", *words, "a5"))


def peak(dump: Path, *options: str) -> int:
    """Return the most memory, in KiB, that decoding a file takes."""
    # Not getrusage: its figure would begin with that of the tests' own process.
    program = (
        "import sys\n"
        "from inverterproto_cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "status = open('/proc/self/status').read()\n"
        "print(status.partition('VmHWM:')[2].split()[0], file=sys.stderr)\n"
    )
    run = subprocess.run(  # noqa: S603 - our own
        [sys.executable, "-c", program, "decode", "-q", *options, str(dump)],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    return int(run.stderr)


UNDATED = Message(frame("micro-5408-realtime")).replace({"offset_time": 0}).build()
MEGABYTE = 1 << 20


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for the figure")
@pytest.mark.parametrize(
    ("form", "piece"),
    [
        ("--json", REALTIME + HEARTBEAT + b"\r\n" + STATUS),
        ("--json", UNDATED),  # every time must be waited for
        ("--json", b"\0"),
        ("--csv", REALTIME + STATUS),
    ],
    ids=["json", "undated", "junk", "csv"],
)
def test_memory_does_not_grow_with_the_input(form: str, piece: bytes, tmp_path: Path) -> None:
    dump = tmp_path / "dump.bin"
    figures = []
    for size in (MEGABYTE // 2, 3 * MEGABYTE):
        dump.write_bytes(piece * (size // len(piece)))
        figures.append(peak(dump, form))
    small, large = figures
    rows = 8 * 1024 if form == "--csv" else 0  # so many wait in memory before they go to a file
    assert large < 1.1 * small + rows


class TestTexts:
    def test_masked_bytes_are_told_and_the_frame_is_tentative(self) -> None:
        text = f"{HEARTBEAT.hex()} and {HEARTBEAT[:7].hex()}********{HEARTBEAT[11:].hex()} {{"
        first, shown = json_of("-", stdin=text)
        assert (first["type"], first["offset"], shown["offset"]) == ("frame", 0, 14)
        assert shown["reason"] == "masked: of 14 bytes not told: 7 to 10"
        assert shown["tentative"]["name"] == "heartbeat"
        assert "some bytes are masked" in decode("-", stdin=text).out

    def test_masked_bytes_apart_are_told_apart(self) -> None:
        text = f"x: {HEARTBEAT[:5].hex()}**{HEARTBEAT[6:8].hex()}****{HEARTBEAT[10:].hex()}"
        (shown,) = json_of("-", stdin=text)
        assert shown["reason"] == "masked: of 14 bytes not told: 5, 8 to 9"

    def test_how_a_text_was_read_is_told_where_that_is_asked_for(self) -> None:
        text = f"one\nSENT: {HEARTBEAT.hex()}\n"
        assert "-: left out line 1: nothing in it decodes\n" in decode("-v", "-", stdin=text).err
        assert "left out" not in decode("-", stdin=text).err

    def test_any_text_on_the_command_line_that_holds_a_frame_is_taken(self) -> None:
        (shown,) = json_of(repr(HEARTBEAT))
        assert shown["raw"] == HEARTBEAT.hex()

    def test_utf16_with_or_without_its_mark_is_read(self) -> None:
        for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
            (shown,) = json_of("-", stdin=f"SENT: {HEARTBEAT.hex()}\r\n".encode(encoding))
            assert shown["raw"] == HEARTBEAT.hex()

    def test_what_decode_wrote_it_reads_again(self) -> None:
        data = HEARTBEAT + b"\r\n" + KEEP_ALIVE
        written = decode("--json", "-", stdin=data).out
        assert decode("--json", "-", stdin=written).out == written

    def test_text_on_the_command_line_in_which_nothing_decodes_is_shown_unless_it_may_be_a_name(
        self,
    ) -> None:
        run = decode("RECD: a5 4a 01 10 42 15 16 4e 1c ab a1 01 ...")
        assert run.out.startswith("no frame  at 0, 12 bytes: incomplete frame at offset 0: ")
        assert (
            "hex: nothing in it decodes; shown as hex among text, as it is no plain hex" in run.err
        )
        assert run.code == 1
        assert "no such file" in decode("2024-04-08-1714.log").err


def test_one_byte_is_a_byte_and_bytes_are_bytes() -> None:
    shown = decode("-", stdin=HEARTBEAT).out
    assert re.search(r"payload_length +1 byte$", shown, re.MULTILINE)
    assert "at 0, 14 bytes\n" in shown


def test_a_device_of_blanks_is_no_name() -> None:
    from inverterproto.alphaess.frame import Frame

    login = Frame(1, 1, 2, b'{"UserName":" ","Password":"x"}').build()
    assert re.match(r"login  AlphaESS  from device  at 0, ", decode("-", stdin=login).out)
