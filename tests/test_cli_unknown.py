"""`inverterproto unknown`: what nobody understands, counted, listed, and as a capture."""

import json
import socket
import sqlite3
from pathlib import Path

import pytest

from inverterproto.deye.frame import Frame
from inverterproto_cli.unknown import MOST_GROUPS
from tests.conftest import Run, invoke
from tests.programs import PATIENCE, fake_server
from tests.stores import FIRST, Came, filled, time_zone
from tests.vectors import AT_TEXT, frame, raw

LOGGER = "2712345678"


def strange(sensor_type: int, last: int) -> bytes:
    """Return a data frame of a sensor type that nobody knows."""
    known = frame("micro-5408-realtime")
    payload = known.payload[:1] + sensor_type.to_bytes(2, "little") + known.payload[3:-1]
    return Frame(
        known.control_code, known.sequence, known.logger_serial, payload + bytes([last])
    ).build()


SEEN = (
    Came(raw("micro-5408-realtime")),
    Came(strange(0x7777, 1), FIRST + 1),
    Came(strange(0x7777, 2), FIRST + 2),
    Came(strange(0x7777, 2), FIRST + 3),
    Came(strange(0x8888, 2), FIRST + 4),
    Came(raw("heartbeat") + AT_TEXT, FIRST + 5),
)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return filled(tmp_path / "own.db", SEEN)


def unknown(store: Path, *options: str) -> Run:
    return invoke("unknown", "--store", store, *options)


class TestCounted:
    def test_what_is_alike_is_one_line_the_most_frequent_first(self, store: Path) -> None:
        shown = unknown(store)
        head, *rows = shown.out.splitlines()
        assert head.split()[:7] == ["count", "family", "kind", "detail", "from", "device", "length"]
        cells = [row.split()[:6] for row in rows]
        assert cells[0] == ["3", "deye", "data", "0x7777", "device", LOGGER]
        assert sorted(cells[1:]) == [
            ["1", "deye", "data", "0x8888", "device", LOGGER],
            ["1", "–", "unframed", "–", "device", LOGGER],
        ]
        assert "a5 " in rows[0]
        with time_zone("UTC"):
            rows = unknown(store).out.splitlines()[1:]
        times = ["2024-04-08 17:14:11", "2024-04-08 17:14:13"]
        assert all(time in rows[0] for time in times), "the first, and the last repeat"

    def test_junk_without_end_makes_a_bounded_table(self, tmp_path: Path) -> None:
        many = b"".join(strange(0x6000 + n, 0) for n in range(MOST_GROUPS + 5))
        shown = unknown(filled(tmp_path / "own.db", [Came(many)]))
        assert len(shown.out.splitlines()) == 1 + MOST_GROUPS
        assert shown.err.endswith("… and 5 more kinds (--json has all)\n")


class TestEach:
    def test_each_has_a_line_the_newest_first(self, store: Path) -> None:
        head, *rows = unknown(store, "--each").out.splitlines()
        assert head.startswith("time (")
        assert len(rows) == 4
        assert "41 54 2b" in rows[0]
        assert "0x8888" in rows[1]
        assert max(map(len, rows)) <= 120

    def test_only_those_of_a_device_or_of_late(self, store: Path) -> None:
        assert len(unknown(store, "--each", "--device", LOGGER).out.splitlines()) == 1 + 4
        shown = unknown(store, "--each", "--since", "2024-04-08T17:14:14Z")
        assert len(shown.out.splitlines()) == 1 + 2
        shown = unknown(store, "--each", "--since", "2024-04-08T17:14:13Z")
        assert len(shown.out.splitlines()) == 1 + 3, "what came again since, too"
        assert unknown(store, "--device", "7").err.endswith("nothing that is not understood\n")


class TestJson:
    def test_it_has_all_bytes_and_is_a_capture_for_decode_and_layout(
        self, store: Path, tmp_path: Path
    ) -> None:
        shown = unknown(store, "--json")
        lines = [json.loads(line) for line in shown.out.splitlines()]
        assert [bytes.fromhex(line["data"]) for line in lines] == [
            AT_TEXT, strange(0x8888, 2), strange(0x7777, 2), strange(0x7777, 1),
        ]  # fmt: skip
        assert (lines[2]["repeated"], lines[2]["repeated_at"]) == (1, FIRST + 3)
        assert (lines[3]["repeated"], lines[3]["repeated_at"]) == (0, None)
        assert (lines[2]["detail"], lines[2]["via"]) == ("0x7777", LOGGER)
        capture = tmp_path / "unknown.jsonl"
        capture.write_text(shown.out)
        decoded = [
            json.loads(line) for line in invoke("decode", "--json", capture).out.splitlines()
        ]
        assert [one["type"] for one in decoded].count("frame") == 3
        assert "".join(one["raw"] for one in decoded) == "".join(line["data"] for line in lines)
        begun = invoke("layout", "new", capture, "--sensor-type", "0x7777")
        assert begun.code == 0
        assert "2 frames" in begun.out


def test_it_works_while_a_server_writes(tmp_path: Path) -> None:
    store = tmp_path / "server.db"
    with fake_server("--store", store) as server:
        [port] = server.ports()
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as logger:
            logger.sendall(strange(0x7777, 1))
            assert logger.recv(23)
            assert "0x7777" in unknown(store).out
        assert server.stop() == 0


def test_what_was_damaged_in_the_file_is_shown_all_the_same(store: Path) -> None:
    with sqlite3.connect(store) as db:
        db.execute("UPDATE record SET frame = x'a500'")
    assert "a5 00" in unknown(store).out
    assert unknown(store, "--json").out.count('"a500"') == 4
