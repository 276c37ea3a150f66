"""`decode --payload` and `--modbus`: any form of dump, every writer, what is refused."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverterproto_cli import bare
from tests.conftest import decode
from tests.dumps import WRITERS
from tests.vectors import BARE_MODBUS, BARE_MODBUS_REQUEST, fixtures, frame

MICRO = frame("micro-5408-realtime").payload
STATUS = fixtures("alphaess")["status-1"][7:-2]
TWO = BARE_MODBUS_REQUEST + BARE_MODBUS
# Headers of IP or of each segment stand in the data; a bare payload has nothing to tell them by.
NOT_ALONE = {"tcpdump -X", "socat -x", "log rows", "decimals by line"}


def json_of(*arguments: str | Path, stdin: bytes | str | None = None) -> list[dict[str, Any]]:
    return [json.loads(line) for line in decode("--json", *arguments, stdin=stdin).out.splitlines()]


class TestPayload:
    @pytest.mark.parametrize("form", sorted(WRITERS.keys() - NOT_ALONE - {"data line"}))
    def test_is_read_in_any_form_of_dump(self, form: str) -> None:
        (shown,) = json_of("--payload", "0x5408", "-", stdin=WRITERS[form](MICRO))
        assert shown["type"] == "payload"
        assert shown["raw"] == MICRO.hex()
        assert shown["readings"][0]["values"]["active_power"] == 4

    def test_several_one_behind_another_are_told_apart(self) -> None:
        shown = json_of("--payload", "0x5408", "-", stdin=f"{MICRO.hex()}\n{MICRO.hex()}\n")
        assert [one["raw"] for one in shown] == [MICRO.hex()] * 2
        for other in (MICRO + bytes(330), MICRO + MICRO[:40]):
            assert len(json_of("--payload", "0x5408", "-", stdin=other.hex())) == 1

    def test_json_is_found_in_lines_of_a_log(self) -> None:
        text = '{"Time":"2021/03/24 10:01:52","SN":"AL2002000001234"}'
        log = f"2024 RX {text}\nthen {{ }} }}\n2024 RX {text}\n"
        shown = json_of("--payload", "alphaess:16", "-", stdin=log)
        assert [bytes.fromhex(one["raw"]).decode() for one in shown] == [text] * 2

    @pytest.mark.parametrize("written", [bytes(66_000), b"00" * 66_000])
    def test_of_more_bytes_than_a_payload_has_it_is_an_error(self, written: bytes) -> None:
        run = decode("--payload", "0x5408", "-", stdin=written)
        assert run.code == 1
        assert "payload_length" in run.err
        assert "Traceback" not in run.err

    def test_is_read_from_a_binary_file(self, tmp_path: Path) -> None:
        path = tmp_path / "payload.bin"
        path.write_bytes(MICRO)
        run = decode("--payload", "0x5408", path, "-v")
        assert run.code == 0
        assert run.out.startswith(
            "data  Deye / Solarman V5  from device  at 0, 330 bytes\n      0 01 "
        )
        assert run.err == f"{path}: read as binary\n1 payload: 1 data\n"

    def test_of_a_battery_is_read_as_text_or_hex(self) -> None:
        for text in (STATUS.decode(), STATUS.decode() + "\n", STATUS.hex(" "), f"got {STATUS!r}"):
            (shown,) = json_of("--payload", "alphaess:16", "-", stdin=text)
            assert bytes.fromhex(shown["raw"]) == STATUS
            assert shown["name"] == "status"
        dated = decode("--payload", "alphaess:status", "--clock-offset", "36000", STATUS.decode())
        assert "2021-03-24T00:01:52Z" in dated.out

    def test_gives_a_row_of_a_table(self) -> None:
        run = decode("--csv", "--payload", "0x5408", "-", stdin=MICRO.hex())
        (row,) = csv.DictReader(io.StringIO(run.out))
        assert (row["device"], row["active_power"]) == ("2301234567", "4")

    def test_has_its_bytes_mapped_from_its_own_beginning(self) -> None:
        run = decode("--raw", "--payload", "0x5408", MICRO.hex())
        assert "  0000  01 08 54 05 16" in run.out

    def test_several_are_several_inputs(self, tmp_path: Path) -> None:
        for name in "ab":
            (tmp_path / name).write_text(MICRO.hex())
        found = json_of("--payload", "0x5408", tmp_path / "a", tmp_path / "b")
        assert [one["input"] for one in found] == [str(tmp_path / "a"), str(tmp_path / "b")]

    def test_of_another_sensor_type_is_told(self) -> None:
        run = decode("--payload", "0x5411", MICRO.hex())
        assert "problem: the payload says sensor type 0x5408, not 0x5411" in run.out
        assert run.code == 0
        assert decode("--strict", "--payload", "0x5411", MICRO.hex()).code == 1

    def test_masked_bytes_are_told(self) -> None:
        text = MICRO[:40].hex() + "****" + MICRO[42:].hex()
        run = decode("--json", "--payload", "0x5408", f"x: {text}")
        assert json.loads(run.out)["raw"] == (MICRO[:40] + b"\0\0" + MICRO[42:]).hex()
        assert "hex: masked bytes, taken for 00: 2\n" in run.err

    def test_that_is_a_whole_frame_is_told(self) -> None:
        run = decode("--payload", "deye:wifi", frame("heartbeat").build().hex())
        assert "hex: this is a whole frame, no bare payload\n" in run.err


class TestModbus:
    @pytest.mark.parametrize("form", sorted(WRITERS.keys() - NOT_ALONE))
    def test_is_read_in_any_form_of_dump(self, form: str) -> None:
        found = json_of("--modbus", "-", stdin=WRITERS[form](TWO))
        messages = [one for one in found if one["type"] == "modbus"]
        assert [one["name"] for one in messages] == ["request", "reply"]
        assert "".join(one["raw"] for one in messages) == TWO.hex()
        assert messages[1]["fields"]["address"] == 170

    def test_is_shown_with_what_is_none(self) -> None:
        run = decode("--modbus", (BARE_MODBUS + b"\1\2\3").hex())
        assert run.out.startswith("reply  Modbus RTU  at 0, 7 bytes\n")
        assert "no frame  at 7, 3 bytes: " in run.out
        assert run.err.endswith("1 Modbus message: 1 reply; 3 bytes unframed; 1 problem\n")
        assert run.code == 0

    def test_has_its_bytes_mapped(self) -> None:
        assert (
            " slave function byte_count register_0 crc\n"
            in decode("--raw", "--modbus", BARE_MODBUS.hex()).out
        )

    def test_with_a_wrong_crc_is_no_message(self) -> None:
        run = decode("--modbus", "--json", (BARE_MODBUS[:-1] + b"\0").hex())
        assert json.loads(run.out)["reason"].startswith("Modbus CRC at offset 5")
        assert run.err.endswith("no Modbus message found; 7 bytes unframed\n")
        assert run.code == 1


class TestRefused:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--modbus", "--csv"), "--modbus and --csv do not go together."),
            (("--modbus", "--payload", "0x5408"), "--payload and --modbus do not go together."),
            (
                ("--modbus", "--clock-offset", "0"),
                "--modbus and --clock-offset do not go together.",
            ),
            (("--modbus", "--family", "deye"), "--modbus and --family do not go together."),
            (("--payload", "0x5408", "--redact"), "--payload and --redact do not go together."),
            (("--payload", "0x5408", "--keep-unknown"), "--payload and --keep-unknown do not"),
            (("--payload", "0x5408", "--key-file", "x"), "--payload and --key-file do not"),
            (("--payload", "0x1234"), "--payload 0x1234: no known kind. Known are"),
            (("--payload", "5408"), "--payload 5408: no known kind: did you mean 0x5408?"),
        ],
    )
    def test_what_makes_no_sense_is_wrong_usage(
        self, arguments: tuple[str, ...], message: str
    ) -> None:
        run = decode(*arguments, "01 02 03 04")
        assert run.code == 2
        assert message in run.err.replace("\n", " ")

    def test_the_known_kinds_are_listed(self) -> None:
        said = decode("--payload", "wrong", "00").err
        assert "`inverterproto layout list`" in said
        assert "deye:wifi, " in said
        assert "alphaess:16" in said
        assert "alphaess:status, " in said

    @pytest.mark.parametrize("option", [("--payload", "0x5408"), ("--modbus",)])
    def test_bad_sources_are_told(
        self, option: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "dump"
        path.write_bytes(b"")
        assert decode(*option, path).err.startswith(f"Error: {path}: is empty\n")
        path.write_bytes(b"hello")
        assert decode(*option, path).err.startswith(f"Error: {path}: holds no bytes in any form\n")
        monkeypatch.setattr(bare, "MOST", 3)
        run = decode(*option, path)
        assert run.err.startswith(f"Error: {path}: more than 3 bytes\n")
        assert run.code == 1
        assert decode(*option, "nonsense").code == 1

    def test_the_environment_sets_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("INVERTERPROTO_MODBUS", "1")
        assert json_of(BARE_MODBUS.hex())[0]["type"] == "modbus"
        monkeypatch.setenv("INVERTERPROTO_MODBUS", "0")
        monkeypatch.setenv("INVERTERPROTO_PAYLOAD", "0x5408")
        assert json_of(MICRO.hex())[0]["type"] == "payload"


@given(
    st.binary(min_size=1, max_size=200) | st.text(min_size=1, max_size=200).map(str.encode),
    st.sampled_from([("--modbus",), ("--payload", "0x5408"), ("--payload", "alphaess:12")]),
    st.sampled_from([(), ("--raw",), ("--json",)]),
)
def test_no_bytes_make_it_fail(data: bytes, option: tuple[str, ...], form: tuple[str, ...]) -> None:
    assert decode(*option, *form, "-", stdin=data).code in (0, 1)
