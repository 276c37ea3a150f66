"""`inverterproto readings`: tables, JSON, CSV, and what comes as it comes."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from inverterproto_cli.csv_table import CsvWriter
from inverterproto_cli.local_time import LocalTimes, parse_since
from inverterproto_cli.readings import LIMIT, new_records
from inverterproto_cli.server.live import line
from inverterproto_cli.store import Reader
from tests.alphaess_vectors import RAW, SN, START, status
from tests.conftest import Run, invoke
from tests.programs import PATIENCE, Program, fake_server
from tests.stores import FIRST, Came, filled, time_zone
from tests.vectors import raw

MICRO, LOGGER = "2301234567", "2712345678"
SEEN = (
    Came(RAW["status-1"], START, "alphaess"),
    Came(RAW["status-2"], START + 10, "alphaess"),
    Came(raw("handshake-86")),
    Came(raw("micro-5408-realtime")),
    Came(raw("tsun-data-02b0"), FIRST + 5),
)


@pytest.fixture(autouse=True)
def _in_berlin() -> Iterator[None]:
    """Let local time be another than UTC."""
    with time_zone("Europe/Berlin"):
        yield


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return filled(tmp_path / "own.db", SEEN)


def many(path: Path, count: int) -> Path:
    """Fill a store with statuses of a battery, 10 s apart."""
    came = b"".join(status(START + 39_600 + 10 * number) for number in range(count))
    return filled(path, [Came(came, START, "alphaess")])


def readings(store: Path, *options: str) -> Run:
    return invoke("readings", "--store", store, *options)


def as_json(store: Path, *options: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in readings(store, "--json", *options).out.splitlines()]


class TestJson:
    def test_it_is_that_of_decode_with_what_the_store_knows(self, store: Path) -> None:
        [decoded] = invoke(
            "decode", "--json", "-q", raw("micro-5408-realtime").hex()
        ).out.splitlines()
        [reading] = json.loads(decoded)["readings"]
        [found] = as_json(store, "--device", MICRO)
        assert found == {
            "family": "deye", **reading, "arrival": "2024-04-08T17:14:10Z", "answered": "us",
        }  # fmt: skip

    @pytest.mark.parametrize("device", [(), ("--device", LOGGER)])
    def test_the_newest_come_first_and_the_undated_as_they_came(
        self, store: Path, device: tuple[str, ...]
    ) -> None:
        found = as_json(store, *device)
        assert None in [one["time"] for one in found]
        times = [one["time"] or one["arrival"] for one in found]
        assert times == sorted(times, reverse=True)
        assert as_json(store, "--oldest-first", *device) == found[::-1]
        assert as_json(store, "--oldest-first", "--limit", "1", *device) == found[:1]

    def test_a_logger_stands_for_what_it_carries(self, store: Path) -> None:
        assert {one["device"] for one in as_json(store, "--device", LOGGER)} == {MICRO, LOGGER}
        assert as_json(store, "--device", "7") == []

    def test_since_and_until_leave_out_what_is_older_or_later(self, store: Path) -> None:
        every = as_json(store)
        later = as_json(store, "--since", "2024-04-08T17:00:00Z")
        before = as_json(store, "--until", "2024-04-08T17:00:00Z")
        assert 1 < len(later) < len(every)
        assert later + before == every
        moment = before[0]["time"]
        assert as_json(store, "--since", moment, "--until", "2024-04-08T17:00:00Z") == [before[0]]
        assert as_json(store, "--until", moment) == before[1:]
        up = as_json(store, "--since", moment, "--until", "2024-04-08T17:00:00Z", "--oldest-first")
        assert up == [before[0]]

    def test_the_confidence_may_be_another(self, tmp_path: Path) -> None:
        store = filled(tmp_path / "own.db", [Came(raw("solis-0504"))])
        sure, guessed = (
            set(as_json(store, "--confidence", level)[0]["values"]) for level in ("b", "C")
        )
        assert guessed > sure


class TestTable:
    def test_it_has_local_times_with_the_offset_told_once(self, store: Path) -> None:
        shown = readings(store)
        assert shown.err == f"store: {store}\n"
        head, *rows = shown.out.splitlines()
        assert head.startswith(("time (+01:00)", "time (+02:00)"))
        assert "active_power W" in head
        assert len(rows) == 4, "what tells of the logger alone has nothing to show"
        assert "2024-04-08 19:14:03" in rows[0]
        assert rows[0].index(" 4 ") + 2 == head.index("active_power W") + len("active_power W")

    def test_it_fits(self, store: Path) -> None:
        assert max(map(len, readings(store).out.splitlines())) <= 120

    def test_it_has_as_many_columns_as_the_terminal_has_room_for(
        self, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "200")
        head, *rows = readings(store, "--device", SN).out.splitlines()
        assert "state_of_charge %" in head
        assert "load_power W" in head
        assert 160 < max(map(len, (head, *rows))) <= 200

    def test_it_has_the_columns_that_are_asked_for(self, store: Path) -> None:
        head, *rows = readings(
            store, "--columns", "state_of_charge,grid_frequency"
        ).out.splitlines()
        assert head.split()[4:] == ["state_of_charge", "%", "grid_frequency", "Hz"]
        assert SN in rows[-1]
        assert LOGGER not in readings(store, "--columns", "state_of_charge").out

    def test_what_has_no_time_is_shown_with_that_of_its_arrival(self, tmp_path: Path) -> None:
        """A clock that jumped: nobody knows yet what the second status is of."""
        came = [SEEN[0], Came(status(FIRST), START + 20, "alphaess")]
        rows = readings(filled(tmp_path / "own.db", came)).out.splitlines()[1:]
        assert [row.split("  ")[0] for row in rows] == [
            "~2021-03-24 00:00:20",
            "2021-03-24 00:00:00",
        ]

    def test_so_many_are_shown_and_it_says_that_there_are_more(self, tmp_path: Path) -> None:
        store = many(tmp_path / "own.db", LIMIT + 1)
        shown = readings(store)
        assert len(shown.out.splitlines()) == 1 + LIMIT
        assert shown.err.endswith(f"the newest {LIMIT} (--limit 0 shows all)\n")
        shown = readings(store, "--limit", "0")
        assert len(shown.out.splitlines()) == 1 + LIMIT + 1
        assert shown.err == f"store: {store}\n"
        assert len(as_json(store)) == LIMIT + 1
        assert len(as_json(store, "--limit", "7")) == 7

    def test_a_long_one_comes_in_blocks_each_with_its_head(self, tmp_path: Path) -> None:
        lines = readings(many(tmp_path / "own.db", 450), "--limit", "0").out.splitlines()
        assert len(lines) == 450 + 3
        assert sum(line.startswith("time") for line in lines) == 3


class TestCsv:
    def test_it_has_the_columns_of_decode_and_more(self, store: Path) -> None:
        rows = list(csv.DictReader(StringIO(readings(store, "--csv").out)))
        assert len(rows) == len(as_json(store)) - 1, "a handshake measured nothing"
        whole = list(csv.DictReader(StringIO(readings(store, "--csv", "--all").out)))
        assert len(whole) == len(rows) + 1
        micro = next(row for row in rows if row["device"] == MICRO)
        assert (micro["family"], micro["active_power"], micro["answered"]) == ("deye", "4", "us")
        assert micro["arrival"] == "2024-04-08T17:14:10Z"

    def test_it_has_the_columns_that_are_asked_for(self, store: Path) -> None:
        shown = readings(store, "--csv", "--columns", "state_of_charge, pv_power")
        head, *rows = shown.out.splitlines()
        assert head.endswith(",answered,state_of_charge,pv_power")
        assert len(rows) == 4
        assert readings(store, "--columns", "state_of_charge", "--csv").out.count("\n") == 1 + 2
        assert readings(store, "--columns", "charge").code == 2

    def test_it_can_be_followed_and_has_the_columns_of_the_first_ones(self, store: Path) -> None:
        with Program("readings", "-f", "--csv", "--store", store) as following:
            following.line(f",{MICRO},|^deye,{MICRO}", of="out")
            assert following.stop() == 0
        rows = list(csv.DictReader(StringIO("\n".join(following.out))))
        assert [row["device"] for row in rows][:2] == [SN, SN]
        assert rows[0]["pv_power"]

    def test_one_that_begins_with_nothing_has_the_columns_of_what_comes_first(self) -> None:
        out = StringIO()
        table = CsvWriter(out, ("device",))
        table.begin()
        assert out.getvalue() == ""
        table.add({"device": "a", "values": {"pv_power": 1}}, ["pv_power"])
        table.add({"device": "b", "values": {"pv_power": 2, "load_power": 3}}, ["load_power"])
        assert out.getvalue() == "device,pv_power\na,1\nb,2\n"


class TestUsage:
    @pytest.mark.parametrize(
        "options",
        [
            ("--json", "--csv"),
            ("--json", "--columns", "pv_power"),
            ("--all",),
            ("--json", "--all"),
            ("--follow", "--until", "today"),
            ("--follow", "--oldest-first"),
        ],
    )
    def test_options_that_have_no_effect_are_refused(
        self, store: Path, options: tuple[str, ...]
    ) -> None:
        assert readings(store, *options).code == 2


class TestSince:
    @pytest.mark.parametrize(
        ("text", "ago"),
        [
            ("90s", 90),
            ("15m", 900),
            ("2h", 7200),
            ("1.5 h", 5400),
            ("3D", 259_200),
            ("1w", 604_800),
        ],
    )
    def test_it_may_be_a_span(self, text: str, ago: float) -> None:
        assert parse_since(text, FIRST) == FIRST - ago

    @pytest.mark.parametrize(
        "text", ["2024-04-08T17:14:10Z", "2024-04-08T19:14:10", "2024-04-08 18:14:10+01:00"]
    )
    def test_it_may_be_a_time_local_if_it_does_not_say(self, text: str) -> None:
        assert parse_since(text, 0) == FIRST

    def test_it_may_be_a_day_or_the_time_of_one(self) -> None:
        """It is 19:14:10 in Berlin."""
        midnight = FIRST - (19 * 3600 + 14 * 60 + 10)
        assert parse_since("today", FIRST) == midnight
        assert parse_since("Yesterday", FIRST) == midnight - 86_400
        assert parse_since("17:44", FIRST) == midnight + 17 * 3600 + 44 * 60
        assert parse_since("9:05:01", FIRST) == midnight + 9 * 3600 + 5 * 60 + 1
        assert parse_since("19:15", FIRST) == midnight - 86_400 + 19 * 3600 + 15 * 60

    @pytest.mark.parametrize("text", ["25:00", "1:7", "", "soon", "2", "h", "-2h", "9" * 400 + "h"])
    def test_what_is_no_time_is_wrong_usage(self, text: str, store: Path) -> None:
        shown = readings(store, "--since", text)
        assert shown.code == 2
        assert "is no time" in shown.err

    def test_summer_and_winter_are_told_apart(self) -> None:
        times = LocalTimes(FIRST)
        assert times.head("time") == "time (+02:00)"
        assert times.text(FIRST) == "2024-04-08 19:14:10"
        assert times.text(FIRST - 60 * 86400) == "2024-02-08 18:14:10+0100"
        assert times.text(FIRST, "minutes") == "2024-04-08 19:14"


def looks(*steps: Callable[[], object]) -> Callable[[], bool]:
    """Return what waits: each time something befalls, and at last nobody wants to see more."""
    left = list(steps)

    def wait() -> bool:
        if not left:
            return False
        left.pop(0)()
        return True

    return wait


class TestNewRecords:
    def test_each_is_given_once_when_it_is_dated(self, tmp_path: Path) -> None:
        store = filled(tmp_path / "own.db", SEEN[:2])

        def come(more: Came) -> Callable[[], object]:
            return lambda: filled(store, [more], anew=False)

        later = [SEEN[1], Came(status(START + 39_712 + 20), START + 20, "alphaess")]
        wait = looks(*map(come, later), lambda: None)
        assert [kept.number for kept in new_records(store, 2, wait)] == [3]

    def test_one_that_was_begun_anew_is_followed_from_its_beginning(self, tmp_path: Path) -> None:
        store = filled(tmp_path / "own.db", SEEN)
        other = filled(tmp_path / "other.db", SEEN[:2])
        wait = looks(lambda: os.replace(other, store))
        assert [kept.number for kept in new_records(store, 5, wait)] == [1, 2]

    def test_when_the_last_ones_are_forgotten_the_next_ones_are_shown_and_no_others(
        self, tmp_path: Path
    ) -> None:
        store = filled(tmp_path / "own.db", [SEEN[0], SEEN[3]])
        wait = looks(
            lambda: invoke("devices", "forget", LOGGER, "--yes", "--store", store),
            lambda: filled(store, [SEEN[1]], anew=False),
        )
        assert [kept.device for kept in new_records(store, 2, wait)] == [SN]


class TestFollow:
    @pytest.mark.parametrize(
        ("now", "when"),
        [
            (FIRST, "2024-04-08 19:14:03  "),
            (FIRST - 90 * 86400, "2024-04-08 19:14:03+0200  "),  # while it is winter
        ],
    )
    def test_a_time_at_which_another_offset_held_tells_its_own(
        self, store: Path, now: float, when: str
    ) -> None:
        with Reader(store) as reader:
            [kept] = [each for each in reader.newest() if each.device == MICRO]
        assert line(kept.readings()[0], LocalTimes(now)).startswith(when + MICRO)

    def test_what_comes_is_shown_as_it_comes_and_ctrl_c_ends_it(self, tmp_path: Path) -> None:
        store = tmp_path / "server.db"
        with fake_server("--store", store) as server:
            [port] = server.ports()
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as logger:
                logger.sendall(raw("tsun-data-02b0"))
                assert logger.recv(23)
                with Program("readings", "--follow", "--json", "--store", store) as following:
                    following.line("Y17E7A0123456789", of="out")
                    logger.sendall(raw("micro-5408-realtime"))
                    shown = json.loads(following.line(MICRO, of="out"))
                    assert shown["values"]["active_power"] == 4
                    assert following.stop(signal.SIGINT) == 0
                    assert following.err == [f"store: {store}"]
            assert server.stop() == 0

    def test_a_reader_that_goes_ends_it_though_nothing_comes(self, store: Path) -> None:
        program = "from inverterproto_cli.main import main; main()"
        with subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", program, "readings", "-f", "--store", str(store)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            first = process.stdout.readline()
            process.stdout.close()
            complaints = process.stderr.read()
            assert process.wait(PATIENCE) == 0
        assert SN in first, "the last ones come first, the oldest of them at the top"
        assert "times are local, UTC+0" in complaints
        assert "Traceback" not in complaints

    def test_since_and_limit_say_how_far_back_it_begins(self, store: Path) -> None:
        with Program(
            "readings", "-f", "--limit", "1", "--since", "100000d", "--store", store
        ) as following:
            following.line(MICRO, of="out")
            assert following.stop() == 0
        assert len(following.out) == 1
