"""`inverterproto export`: every format says what `readings` says, whole or not at all."""

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest

from inverterproto.quantity import lookup
from inverterproto.reading import utc_text
from inverterproto_cli.exporting import page as pages
from inverterproto_cli.exporting import working
from inverterproto_cli.exporting.csv_file import CsvFile
from inverterproto_cli.exporting.texts import time_texts
from tests.alphaess_vectors import RAW, SN, START, status
from tests.conftest import Run, invoke
from tests.programs import PATIENCE
from tests.stores import FIRST, Came, filled, time_zone
from tests.test_deye_columns import data
from tests.vectors import frame, raw

MICRO, LOGGER = "2301234567", "2712345678"
DEYE = ("micro-5408-realtime", "tsun-data-02b0", "solis-0504")


@pytest.fixture(autouse=True)
def _in_berlin() -> Iterator[None]:
    with time_zone("Europe/Berlin"):
        yield


def numbered(name: str, number: int) -> bytes:
    """Return a fixture's data frame as another record of the same device."""
    payload = frame(name).payload
    moved = (int.from_bytes(payload[3:7], "little") + 300 * number).to_bytes(4, "little")
    return data(payload[:3] + moved + payload[7:], frame(name).logger_serial)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many records of inverters, some of a battery, a handshake, some that nobody can date."""
    came = [Came(numbered(name, n), FIRST + 300 * n) for name in DEYE for n in range(60)]
    came += [Came(status(START + 39_600 + 10 * n), START + 10 * n, "alphaess") for n in range(30)]
    came += [Came(RAW["config-from-battery"] + RAW["status-1"], START - 10, "alphaess")]
    came += [Came(raw("handshake-86")), Came(status(FIRST), START + 400, "alphaess")]
    return filled(tmp_path_factory.mktemp("store") / "own.db", came)


@pytest.fixture(params=["columns", "one by one"])
def _both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decode with numpy, and as if there were none."""
    if request.param == "one by one":
        monkeypatch.setattr(pages, "has_numpy", lambda: False)
    else:
        pytest.importorskip("numpy")


def export(store: Path, *options: str | Path) -> Run:
    return invoke("export", "--store", store, *options)


def read(store: Path, *options: str) -> list[dict[str, Any]]:
    """Return what `readings` says, in the order of `export`."""
    shown = invoke("readings", "--store", store, "--json", "--oldest-first", *options).out
    return sorted(map(json.loads, shown.splitlines()), key=lambda each: each["time"] is None)


def as_rows(found: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Return readings as the rows of a table, without empty cells."""
    rows = []
    for each in found:
        told = {**each, **each["values"]}
        del told["values"]
        rows.append(
            {
                key: str(value).lower() if isinstance(value, bool) else str(value)
                for key, value in told.items()
                if value is not None
            }
        )
    return rows


def table(text: str) -> list[dict[str, str]]:
    found = csv.DictReader(StringIO(text))
    return [{key: cell for key, cell in row.items() if cell} for row in found]


@pytest.mark.usefixtures("_both_ways")
class TestFormats:
    def test_csv_has_what_readings_says(self, store: Path) -> None:
        shown = export(store)
        assert table(shown.out) == as_rows(read(store))
        assert shown.err == f"store: {store}\n"
        head = shown.out.splitlines()[0].split(",")
        whole = invoke("readings", "--store", store, "--csv", "--all").out.splitlines()[0]
        assert head == whole.split(",")

    def test_json_lines_are_those_of_readings(self, store: Path) -> None:
        lines = export(store, "--format", "jsonl").out.splitlines()
        assert list(map(json.loads, lines)) == read(store)
        assert lines == [json.dumps(each) for each in read(store)]

    def test_parquet_has_the_same_rows_and_types(self, store: Path, tmp_path: Path) -> None:
        pq = pytest.importorskip("pyarrow.parquet")
        assert export(store, "-o", tmp_path / "out.parquet").code == 0
        found = pq.read_table(tmp_path / "out.parquet")
        rows = []
        for row in found.to_pylist():
            shown = {key: value for key, value in row.items() if value is not None}
            for key in ("time", "arrival"):
                if key in shown:
                    shown[key] = utc_text(shown[key].timestamp())
            rows.append(shown)
        wanted = []
        for each in read(store):
            values = {
                key: str(value) if lookup(key).unit is None else value
                for key, value in each.pop("values").items()
            }
            told = {**each, **values}
            wanted.append({key: value for key, value in told.items() if value is not None})
        assert rows == wanted
        types = {field.name: str(field.type) for field in found.schema}
        assert types["time"] == "timestamp[ms, tz=UTC]"
        assert types["active_power"] == "double"
        assert "string" in types["status"]

    def test_line_protocol_has_what_has_a_time(self, store: Path) -> None:
        lines = export(store, "--format", "influx").out.splitlines()
        assert len(lines) == sum(each["time"] is not None for each in read(store))
        [line] = [line for line in lines if f"device={MICRO}" in line][:1]
        assert line.startswith(f"inverter,device={MICRO},family=deye energy_today=0.9,")
        assert line.endswith(" 1712596443000")

    @pytest.mark.parametrize(
        "options",
        [
            ("--device", MICRO),
            ("--device", SN),
            ("--device", LOGGER),
            ("--device", "7"),
            ("--since", "2024-04-08T20:00"),
            ("--until", "2024-04-08T20:00"),
            ("--since", "2021-03-23T23:00:20Z", "--until", "2024-04-08T18:00"),
            ("--confidence", "C"),
        ],
    )
    def test_it_is_chosen_from_as_readings_is(self, options: tuple[str, ...], store: Path) -> None:
        assert table(export(store, *options).out) == as_rows(read(store, *options))

    @pytest.mark.parametrize("form", ["csv", "jsonl"])
    def test_only_the_quantities_that_are_asked_for(self, form: str, store: Path) -> None:
        keys = ("state_of_charge", "pv_power", "pv2_voltage")
        shown = export(store, "--columns", ",".join(keys), "--format", form).out
        wanted = []
        for each in read(store):
            values = {key: each["values"][key] for key in keys if key in each["values"]}
            if values:
                wanted.append({**each, "values": values})
        assert len(wanted) < len(read(store))
        if form == "csv":
            assert shown.splitlines()[0].endswith(",answered," + ",".join(keys))
            assert table(shown) == as_rows(wanted)
        else:
            assert list(map(json.loads, shown.splitlines())) == wanted


class TestFrames:
    def test_they_are_a_capture_of_all_that_came(self, store: Path, tmp_path: Path) -> None:
        shown = export(store, "--frames").out
        with sqlite3.connect(store) as db:
            kept = [bytes(frame) for (frame,) in db.execute("SELECT frame FROM record ORDER BY id")]
        lines = list(map(json.loads, shown.splitlines()))
        assert [bytes.fromhex(line["data"]) for line in lines] == kept
        assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)
        (tmp_path / "capture.jsonl").write_text(shown)
        decoded = invoke("decode", "--json", "-q", tmp_path / "capture.jsonl").out.splitlines()
        devices = {
            reading["device"] for line in decoded for reading in json.loads(line)["readings"]
        }
        assert devices >= {MICRO, SN}

    def test_they_are_chosen_from_alike(self, store: Path) -> None:
        lines = export(store, "--frames", "--device", LOGGER, "--until", "2024-04-08T18:00Z").out
        found = list(map(json.loads, lines.splitlines()))
        whole = export(store, "--frames", "--device", LOGGER).out.splitlines()
        assert 0 < len(found) < len(whole)
        assert {line["connection"] for line in found} == {LOGGER}


class TestOutput:
    def test_the_ending_of_the_name_tells_the_format(self, store: Path, tmp_path: Path) -> None:
        for name, begin in (
            ("a.jsonl", "{"),
            ("a.csv", "family,"),
            ("a.lp", "inverter,"),
            ("a", "family,"),
        ):
            assert export(store, "-o", tmp_path / name).out == ""
            assert (tmp_path / name).read_text().startswith(begin)
            assert (tmp_path / name).stat().st_mode & 0o777 == 0o600

    def test_nothing_is_written_over_unasked(self, store: Path, tmp_path: Path) -> None:
        (tmp_path / "out.csv").write_text("mine")
        shown = export(store, "-o", tmp_path / "out.csv")
        assert shown.code == 2
        assert "is there already" in shown.err
        assert (tmp_path / "out.csv").read_text() == "mine"
        assert export(store, "-o", tmp_path / "out.csv", "--force").code == 0
        assert export(store, "-o", store, "--force").code == 2

    def test_a_disk_without_room_leaves_nothing(self, store: Path, tmp_path: Path) -> None:
        shown = export(store, "-o", tmp_path / "none/out.csv")
        assert shown.code == 1
        assert "none/out.csv: No such file or directory" in shown.err
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        "options", [("--frames", "--format", "csv"), ("--frames", "--columns", "pv_power")]
    )
    def test_options_that_have_no_effect_are_refused(
        self, options: tuple[str, ...], store: Path
    ) -> None:
        assert export(store, *options).code == 2

    def test_an_empty_store_gives_a_table_without_rows(self, tmp_path: Path) -> None:
        store = filled(tmp_path / "own.db", [])
        assert export(store).out == (
            "family,device,via,kind,time,time_source,historic,arrival,answered\n"
        )
        assert export(store, "--format", "jsonl").out == ""
        pq = pytest.importorskip("pyarrow.parquet")
        assert export(store, "-o", tmp_path / "out.parquet").code == 0
        assert pq.read_table(tmp_path / "out.parquet").num_rows == 0

    def test_where_there_is_no_store_it_says_so(self, tmp_path: Path) -> None:
        shown = export(tmp_path / "none.db", "-o", tmp_path / "out.csv")
        assert shown.code == 1
        assert "there is none yet" in shown.err
        assert list(tmp_path.iterdir()) == []


class TestLargeStores:
    """What is done in pages and by several processes, with pages so small that there are many."""

    @pytest.fixture(autouse=True)
    def _small_pages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pages, "SIZE", 7)

    @pytest.mark.parametrize("form", ["csv", "jsonl"])
    @pytest.mark.parametrize("processes", ["1", "2"])
    def test_all_comes_in_order(self, form: str, processes: str, store: Path) -> None:
        shown = export(store, "--format", form, "--processes", processes).out
        if form == "csv":
            assert table(shown) == as_rows(read(store))
            widths = {len(row) for row in csv.reader(StringIO(shown))}
            assert len(widths) == 1
        else:
            assert list(map(json.loads, shown.splitlines())) == read(store)

    def test_columns_that_occur_later_stand_behind(self, store: Path) -> None:
        """The battery comes first: of it there are no PV voltages in statuses."""
        head = export(store).out.splitlines()[0].split(",")
        assert sorted(head) == sorted(
            invoke("readings", "--store", store, "--csv", "--all").out.splitlines()[0].split(",")
        )

    def test_parts_of_parquet_are_put_together(
        self, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pq = pytest.importorskip("pyarrow.parquet")
        from inverterproto_cli.exporting import parquet_file

        monkeypatch.setattr(parquet_file, "GROUP", 10)
        assert export(store, "-o", tmp_path / "out.parquet").code == 0
        found = pq.ParquetFile(tmp_path / "out.parquet")
        assert found.num_row_groups > 3
        assert found.metadata.num_rows == len(read(store))
        keys = {key for each in read(store) for key in each["values"]}
        assert keys <= set(found.schema_arrow.names)

    def test_lines_of_columns_that_another_process_does_not_know_are_made_again(self) -> None:
        out = BytesIO()
        table = CsvFile(out.write)
        assert table.write(b"1\n", ("pv_power",))
        assert table.write(b"1,2\n", ("pv_power", "load_power"))
        assert not table.write(b"1,3\n", ("pv_power", "grid_power"))
        assert table.write(b"5\n", ("pv_power",))
        table.finish()
        table.close()
        assert out.getvalue().split(b"\n")[1:] == [b"1,", b"1,2", b"5,", b""]


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("processes", ["1", "2"])
def test_who_stops_it_finds_no_half_file(
    stop: signal.Signals, processes: str, store: Path, tmp_path: Path
) -> None:
    """It is stopped when it waits to write to a pipe: behind the output there is nobody yet."""
    program = (
        "import sys\n"
        "from inverterproto_cli.exporting import forms\n"
        "from inverterproto_cli.main import main\n"
        "if __name__ == '__main__':\n"
        "    jsonl = forms.FORMS['jsonl']\n"
        "    def slow(*arguments):\n"
        "        for count in jsonl(*arguments):\n"
        "            print('begun', flush=True)\n"
        "            sys.stdin.read()\n"
        "            yield count\n"
        "    forms.FORMS['jsonl'] = slow\n"
        "    main()\n"
    )
    (tmp_path / "program.py").write_text(program)
    folder = tmp_path / "out"
    folder.mkdir()
    command: list[str | Path]
    command = [sys.executable, tmp_path / "program.py", "export", "--store", store, "-o",
               folder / "all.jsonl", "--processes", processes]  # fmt: skip
    with subprocess.Popen(  # noqa: S603 - our own program
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        assert [path.name for path in folder.iterdir()] != ["all.jsonl"]
        process.send_signal(stop)
        complaints = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 128 + stop
    assert list(folder.iterdir()) == []
    assert "Traceback" not in complaints


def test_a_reader_that_goes_ends_it_quietly(store: Path) -> None:
    program = "from inverterproto_cli.main import main; main()"
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-c", program, "export", "--store", str(store)],
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
            text=True,
            check=False,
        )
    finally:
        os.close(writing)
    assert "Traceback" not in done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize(
    "parts",
    [
        (0, 1, 1.5, 1e9),
        (1712596443.0625, 1712596443.1875),
        (1712596443.9996, 1712596443.0004, 1712596443.123456),
        (None, 1.0),
    ],
)
def test_times_are_spelled_as_everywhere(parts: tuple[float | None, ...]) -> None:
    pytest.importorskip("numpy")
    assert time_texts(parts) == ["" if each is None else utc_text(each) for each in parts]


def test_few_records_are_done_by_one_process() -> None:
    assert working.default_processes(working.WORTHWHILE - 1, layouts=False) == 1
    assert working.default_processes(10**6, layouts=True) == 1
    assert 1 <= working.default_processes(10**6, layouts=False) <= working.MOST


@pytest.mark.parametrize("name", ["table.xlsx", "readings.json", "table.csv.gz"])
def test_an_ending_that_promises_another_format_is_refused(tmp_path: Path, name: str) -> None:
    shown = invoke("export", "-o", tmp_path / name)
    assert shown.code == 2
    assert "--format" in shown.err
    assert not (tmp_path / name).exists()
