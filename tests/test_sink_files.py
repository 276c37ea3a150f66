"""The sink that writes files by day: whole lines, the right day, the right columns, no serials."""

import asyncio
import csv
import gzip
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from inverterproto.quantity import Number
from inverterproto.reading import Reading, TimeSource
from inverterproto_cli.sinks import stand_ins
from inverterproto_cli.sinks.files import FILES, HEAD, Files
from inverterproto_cli.sinks.folder import LOCK, Folder, place_of
from inverterproto_cli.sinks.sink import Entry, Identity, TroubleError
from tests.stores import time_zone

FIRST = 1_712_596_443.0
"""The 8th of April 2024, 17:14:03 UTC."""
DAY = 86_400.0
MICRO, LOGGER = "2301234567", "2712345678"


@pytest.fixture(autouse=True)
def _in_berlin() -> Iterator[None]:
    with time_zone("Europe/Berlin"):
        yield


class Around:
    """What a sink may ask, for one that asks hardly anything."""

    name = "files"

    def __init__(self) -> None:
        self.said: list[str] = []

    def identity(self, reading: Reading) -> Identity:
        raise AssertionError(reading)

    def logger(self, serial: str) -> Identity:
        raise AssertionError(serial)

    def known(self) -> set[tuple[str, str]]:
        raise AssertionError

    def newest(self, reading: Reading, before: int, until: float) -> float | None:
        raise AssertionError((reading, before, until))

    def present(self, until: float) -> list[Entry]:  # noqa: ARG002
        return []

    def say(self, event: str, text: str) -> None:
        self.said.append(f"{event}: {text}")


def entry(
    number: int = 1,
    time: float | None = FIRST,
    values: Mapping[str, Number | str] | None = None,
    arrival: float = FIRST + 7,
    fields: Mapping[str, Number] | None = None,
) -> Entry:
    source = TimeSource.UNKNOWN if time is None else TimeSource.DEVICE
    reading = Reading(
        "deye", MICRO, time, source, historic=False,
        values=values or {"active_power": 4, "pv_power": 12.5}, via=LOGGER,
    )  # fmt: skip
    return Entry(number, reading, arrival, "us", fields or {})


def opened(folder: Path, around: Around | None = None, **values: Any) -> Files:  # noqa: ANN401
    own = {setting.key: setting.default for setting in FILES.settings}
    named = {key.replace("_", "-"): value for key, value in values.items()}
    sink = FILES.open({**own, "folder": str(folder), **named}, around or Around())
    assert isinstance(sink, Files)
    return sink


def deliver(sink: Files, *entries: Entry) -> None:
    async def main() -> None:
        assert await sink.deliver(entries) == len(entries)
        await sink.close()

    asyncio.run(main())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != LOCK)


def text_of(path: Path) -> str:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()


def numbers(path: Path) -> list[int]:
    return [json.loads(line)["number"] for line in text_of(path).splitlines()]


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(text_of(path).splitlines()))


class TestLines:
    def test_each_is_what_readings_shows_with_the_number(self, tmp_path: Path) -> None:
        deliver(opened(tmp_path), entry(7))
        [line] = text_of(tmp_path / "readings-2024-04-08.jsonl").splitlines()
        assert json.loads(line) == entry(7).to_json()

    def test_later_ones_are_added(self, tmp_path: Path) -> None:
        sink = opened(tmp_path)
        deliver(sink, entry(1))
        deliver(sink, entry(2), entry(3))
        deliver(opened(tmp_path), entry(4))
        assert numbers(tmp_path / "readings-2024-04-08.jsonl") == [1, 2, 3, 4]

    def test_only_the_owner_may_read_them_unless_told_otherwise(self, tmp_path: Path) -> None:
        deliver(opened(tmp_path / "own", format="both"), entry())
        deliver(opened(tmp_path / "other", mode="640"), entry())
        assert (tmp_path / "own").stat().st_mode & 0o777 == 0o700
        for name in names(tmp_path / "own"):
            assert (tmp_path / "own" / name).stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "other").stat().st_mode & 0o077 == 0o050
        assert (tmp_path / "other/readings-2024-04-08.jsonl").stat().st_mode & 0o777 == 0o640


class TestDays:
    def test_the_day_is_the_local_one_of_the_measuring(self, tmp_path: Path) -> None:
        """At 22:00 UTC a day begins in Berlin in summer."""
        midnight = 1_712_613_600.0
        deliver(opened(tmp_path), entry(1, midnight - 1), entry(2, midnight), entry(3, FIRST))
        assert numbers(tmp_path / "readings-2024-04-08.jsonl") == [1, 3]
        assert numbers(tmp_path / "readings-2024-04-09.jsonl") == [2]

    def test_what_has_no_time_goes_by_its_arrival(self, tmp_path: Path) -> None:
        deliver(opened(tmp_path), entry(1, None, arrival=FIRST + 3 * DAY))
        assert numbers(tmp_path / "readings-2024-04-11.jsonl") == [1]

    def test_what_comes_late_finds_its_place_in_a_packed_file(self, tmp_path: Path) -> None:
        sink = opened(tmp_path, compress=True, format="both")
        deliver(sink, entry(1), entry(2))
        deliver(sink, entry(3, FIRST + DAY))
        deliver(sink, entry(4))
        deliver(sink, entry(5))
        kept = names(tmp_path)
        assert "readings-2024-04-08.jsonl.gz" in kept
        assert "readings-2024-04-08.csv.gz" in kept
        assert "readings-2024-04-08.jsonl" not in kept
        assert numbers(tmp_path / "readings-2024-04-08.jsonl.gz") == [1, 2, 4, 5]
        rows = table(tmp_path / "readings-2024-04-08.csv.gz")
        assert [row["number"] for row in rows] == ["1", "2", "4", "5"]
        assert (tmp_path / "readings-2024-04-08.csv.gz").stat().st_mode & 0o777 == 0o600


class TestTables:
    def test_one_has_the_columns_of_readings_with_the_number(self, tmp_path: Path) -> None:
        deliver(opened(tmp_path, format="csv"), entry(7))
        head, row = text_of(tmp_path / "readings-2024-04-08.csv").splitlines()
        assert head == ",".join((*HEAD, "active_power", "pv_power"))
        assert row == (
            f"deye,{MICRO},{LOGGER},data,2024-04-08T17:14:03Z,device,false,"
            "2024-04-08T17:14:10Z,us,7,4,12.5"
        )

    def test_what_a_device_shows_later_begins_a_part_with_a_head_of_its_own(
        self, tmp_path: Path
    ) -> None:
        sink = opened(tmp_path, format="csv")
        deliver(sink, entry(1))
        deliver(sink, entry(2, values={"load_power": 3}))
        deliver(sink, entry(3))
        first = table(tmp_path / "readings-2024-04-08.csv")
        second = table(tmp_path / "readings-2024-04-08.2.csv")
        assert [row["number"] for row in first] == ["1"]
        assert [row["number"] for row in second] == ["2", "3"]
        assert list(second[0])[len(HEAD) :] == ["active_power", "pv_power", "load_power"]
        assert (second[0]["load_power"], second[0]["pv_power"]) == ("3", "")
        assert (second[1]["load_power"], second[1]["pv_power"]) == ("", "12.5")

    def test_the_next_day_begins_with_all_columns(self, tmp_path: Path) -> None:
        sink = opened(tmp_path, format="csv")
        deliver(sink, entry(1), entry(2, values={"load_power": 3}))
        deliver(opened(tmp_path, format="csv"), entry(3, FIRST + DAY))
        [row] = table(tmp_path / "readings-2024-04-09.csv")
        assert row["load_power"] == ""
        assert not list(tmp_path.glob("*.2.csv"))

    def test_a_table_that_somebody_changed_is_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "readings-2024-04-08.csv"
        path.write_text("device;pv_power\na;1\n")
        deliver(opened(tmp_path, format="csv"), entry(1))
        assert path.read_text() == "device;pv_power\na;1\n"
        assert len(table(tmp_path / "readings-2024-04-08.2.csv")) == 1

    def test_text_of_a_device_does_no_harm(self, tmp_path: Path) -> None:
        values: dict[str, Number | str] = {"status": '=cmd|"x"!A1', "alarm": "a\nb\x1b[0m"}
        deliver(opened(tmp_path, format="csv"), entry(1, values=values))
        [row] = table(tmp_path / "readings-2024-04-08.csv")
        assert row["status"] == '\'=cmd|"x"!A1'
        assert row["alarm"] == "a\\nb\\x1b[0m"

    def test_fields_that_are_no_quantities_stand_behind_by_their_own_names(
        self, tmp_path: Path
    ) -> None:
        deliver(opened(tmp_path, format="csv"), entry(1, fields={"temperature_65": 21.5}))
        [row] = table(tmp_path / "readings-2024-04-08.csv")
        assert list(row)[-1] == "fields.temperature_65"
        assert row["fields.temperature_65"] == "21.5"


class TestTornEnds:
    @pytest.mark.parametrize("torn", [b'{"number": 2, "dev', b"\0" * 5000])
    def test_half_a_line_is_cut_off(self, torn: bytes, tmp_path: Path) -> None:
        path = tmp_path / "readings-2024-04-08.jsonl"
        deliver(opened(tmp_path), entry(1))
        with path.open("ab") as file:
            file.write(torn)
        deliver(opened(tmp_path), entry(2))
        assert numbers(path) == [1, 2]

    def test_a_line_that_is_longer_than_what_is_read_at_once_is_cut_off(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "readings-2024-04-08.jsonl"
        deliver(opened(tmp_path), entry(1))
        with path.open("ab") as file:
            file.write(b"x" * 1_000_000)
        deliver(opened(tmp_path), entry(2))
        assert numbers(path) == [1, 2]

    def test_half_a_head_is_written_anew(self, tmp_path: Path) -> None:
        path = tmp_path / "readings-2024-04-08.csv"
        path.write_text("family,devi")
        deliver(opened(tmp_path, format="csv"), entry(1))
        assert [row["number"] for row in table(path)] == ["1"]

    def test_a_packed_file_of_many_members_is_whole(self, tmp_path: Path) -> None:
        path = tmp_path / "readings-2024-04-08.jsonl.gz"
        large = b"".join(b'{"number": %d}\n' % number for number in range(100_000))
        path.write_bytes(gzip.compress(large) * 3 + gzip.compress(large)[:-1])
        deliver(opened(tmp_path), entry(2))
        assert numbers(path) == [*range(100_000)] * 3 + [2]

    @pytest.mark.parametrize("keep", [1, 9, 40, -1])
    def test_half_a_member_of_a_packed_file_is_cut_off(self, keep: int, tmp_path: Path) -> None:
        path = tmp_path / "readings-2024-04-08.jsonl.gz"
        path.write_bytes(gzip.compress(b""))
        deliver(opened(tmp_path), entry(1))
        whole = path.read_bytes()
        path.write_bytes(whole + gzip.compress(b'{"number": 9}\n' * 100)[:keep])
        deliver(opened(tmp_path), entry(2))
        assert numbers(path) == [1, 2]

    def test_zeros_behind_a_member_are_cut_off(self, tmp_path: Path) -> None:
        path = tmp_path / "readings-2024-04-08.csv.gz"
        path.write_bytes(b"")
        deliver(opened(tmp_path, format="csv"), entry(1))
        with path.open("ab") as file:
            file.write(bytes(3000))
        deliver(opened(tmp_path, format="csv"), entry(2))
        assert [row["number"] for row in table(path)] == ["1", "2"]

    def test_a_packed_file_that_is_damaged_inside_is_named_and_kept(self, tmp_path: Path) -> None:
        path = tmp_path / "readings-2024-04-08.jsonl.gz"
        damaged = bytearray(gzip.compress(b'{"number": 1}\n' * 1000) * 2)
        damaged[20:24] = b"\xff" * 4
        path.write_bytes(damaged)
        with pytest.raises(TroubleError, match=r"readings-2024-04-08.jsonl.gz: is damaged"):
            deliver(opened(tmp_path), entry(2))
        assert path.read_bytes() == damaged
        path.rename(tmp_path / "away")
        deliver(opened(tmp_path), entry(2))
        assert numbers(tmp_path / "readings-2024-04-08.jsonl") == [2]

    def test_a_process_that_is_killed_leaves_whole_lines(self, tmp_path: Path) -> None:
        """One that delivers without end, killed in the middle, three times."""
        program = (
            "import asyncio\n"
            "from pathlib import Path\n"
            "from tests.test_sink_files import entry, opened\n"
            f"sink = opened(Path({str(tmp_path)!r}), format='both', compress=True)\n"
            "async def main():\n"
            "    number = 0\n"
            "    while True:\n"
            "        number += 1\n"
            "        await sink.deliver([entry(number, values={'status': 'x' * 50_000})] * 3)\n"
            "        print(number, flush=True)\n"
            "asyncio.run(main())\n"
        )
        delivered = 0
        for _ in range(3):
            with subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
            ) as process:
                assert process.stdout is not None
                for _ in range(20):
                    assert process.stdout.readline()
                process.kill()
                delivered += 3 * (20 + len(process.stdout.read().split()))
        deliver(opened(tmp_path, format="both"), entry(1))
        lines = [number for path in tmp_path.glob("*.jsonl*") for number in numbers(path)]
        rows = [row for path in tmp_path.glob("*.csv*") for row in table(path)]
        assert len(lines) >= delivered + 1
        assert len(rows) >= delivered + 1
        assert all(row["status"] in ("", "x" * 50_000) for row in rows)


class TestTrouble:
    def test_a_file_that_was_moved_is_begun_anew(self, tmp_path: Path) -> None:
        sink = opened(tmp_path, format="both")
        deliver(sink, entry(1))
        (tmp_path / "readings-2024-04-08.csv").rename(tmp_path / "mine.csv")
        (tmp_path / "readings-2024-04-08.jsonl").unlink()
        deliver(sink, entry(2))
        assert numbers(tmp_path / "readings-2024-04-08.jsonl") == [2]
        assert [row["number"] for row in table(tmp_path / "readings-2024-04-08.csv")] == ["2"]

    def test_a_folder_that_was_removed_is_made_again(self, tmp_path: Path) -> None:
        sink = opened(tmp_path / "a/b")
        deliver(sink, entry(1))
        (tmp_path / "a/b").rename(tmp_path / "c")
        deliver(sink, entry(2))
        assert numbers(tmp_path / "a/b/readings-2024-04-08.jsonl") == [2]

    def test_where_a_folder_cannot_be_it_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(TroubleError, match=f"files {tmp_path}/file/in: Not a directory"):
            deliver(opened(tmp_path / "file/in"), entry())

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_folder_that_may_not_be_written_is_named(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o500)
        with pytest.raises(TroubleError, match=f"files {tmp_path}.*: Permission denied"):
            deliver(opened(tmp_path), entry())

    def test_where_there_is_no_room_all_of_a_batch_is_taken_back(self, tmp_path: Path) -> None:
        """What the system gives here is "File too large", half of it written, as on a full disk."""
        sink = opened(tmp_path, format="both")
        deliver(sink, entry(1), entry(2, FIRST + DAY))
        before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
        most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, most[1]))
        try:
            large: dict[str, Number | str] = {"status": "x" * 3000, "pv_power": 1}
            batch = (entry(3), entry(4, FIRST + 2 * DAY), entry(5, FIRST + DAY, large))
            with pytest.raises(TroubleError, match=f"files {tmp_path}.*: File too large"):
                deliver(sink, *batch)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, most)
        assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before
        deliver(sink, *batch)
        assert numbers(tmp_path / "readings-2024-04-09.jsonl") == [2, 5]
        assert numbers(tmp_path / "readings-2024-04-10.jsonl") == [4]

    def test_what_is_no_file_is_not_written_to(self, tmp_path: Path) -> None:
        (tmp_path / "readings-2024-04-08.jsonl").symlink_to("/dev/full")
        with pytest.raises(TroubleError, match=r"readings-2024-04-08\.jsonl: "):
            deliver(opened(tmp_path), entry())
        (tmp_path / "readings-2024-04-08.jsonl").unlink()
        os.mkfifo(tmp_path / "readings-2024-04-08.jsonl")
        with pytest.raises(TroubleError, match="is no file: move it away"):
            deliver(opened(tmp_path), entry())

    def test_two_programs_write_whole_lines_beside_each_other(self, tmp_path: Path) -> None:
        program = (
            "import asyncio, sys\n"
            "from pathlib import Path\n"
            "from tests.test_sink_files import deliver, entry, opened\n"
            f"sink = opened(Path({str(tmp_path)!r}), format='both')\n"
            "for number in range(20):\n"
            "    deliver(sink, *[entry(int(sys.argv[1]) + number)] * 50)\n"
        )
        both = [
            subprocess.Popen([sys.executable, "-c", program, begin])  # noqa: S603 - our own program
            for begin in ("100", "200")
        ]
        assert [process.wait(60) for process in both] == [0, 0]
        found = numbers(tmp_path / "readings-2024-04-08.jsonl")
        assert sorted(found) == sorted([*range(100, 120), *range(200, 220)] * 50)
        rows = table(tmp_path / "readings-2024-04-08.csv")
        assert sorted(int(row["number"]) for row in rows) == sorted(found)

    def test_who_waits_for_it_no_longer_leaves_it_at_work_until_it_is_closed(
        self, tmp_path: Path
    ) -> None:
        async def main() -> None:
            sink = opened(tmp_path)
            delivering = asyncio.ensure_future(sink.deliver([entry(1)]))
            await asyncio.sleep(0)
            delivering.cancel()
            await sink.close()
            assert numbers(tmp_path / "readings-2024-04-08.jsonl") == [1]

        asyncio.run(main())


class TestClearingUp:
    """It is the 12th, an hour after the clock was last set."""

    NOW = FIRST + 4 * DAY

    def cleared(self, path: Path, keep_days: int | None = None, *, pack: bool = False) -> Folder:
        folder = Folder(path, 0o600, pack=pack, keep_days=keep_days)
        folder.clear_up(self.NOW - 3600, 0.0)
        folder.clear_up(self.NOW, 3600.0)
        return folder

    def test_what_is_too_old_is_removed_and_nothing_else(self, tmp_path: Path) -> None:
        others = ["readings-2024-04-08.txt", "readings-2024-04-08.1.csv", "readings-2024-13-01.csv",
                  "readings-2024-04-08.jsonl.bak", "notes"]  # fmt: skip
        ours = ["readings-2024-04-08.jsonl", "readings-2024-04-08.2.csv", "readings-2024-04-09.csv",
                "readings-2024-04-09.csv.gz"]  # fmt: skip
        for name in (*others, *ours, "readings-2024-04-10.csv"):
            (tmp_path / name).touch()
        self.cleared(tmp_path, keep_days=2)
        assert names(tmp_path) == sorted([*others, "readings-2024-04-10.csv"])

    def test_unless_told_so_all_is_kept(self, tmp_path: Path) -> None:
        (tmp_path / "readings-1999-04-08.jsonl").touch()
        self.cleared(tmp_path)
        assert names(tmp_path) == ["readings-1999-04-08.jsonl"]

    def test_nothing_is_too_old_while_the_clock_may_be_wrong(self, tmp_path: Path) -> None:
        (tmp_path / "readings-2024-04-08.jsonl").touch()
        folder = Folder(tmp_path, 0o600, pack=False, keep_days=2)
        folder.clear_up(self.NOW, 0.0)
        folder.clear_up(self.NOW + 3000, 3000.0)
        folder.clear_up(self.NOW + 100 * DAY, 3600.0)
        assert names(tmp_path) == ["readings-2024-04-08.jsonl"]
        folder.clear_up(self.NOW + 100 * DAY + 3600, 7200.0)
        assert names(tmp_path) == []

    def test_what_was_unpacked_and_added_to_is_packed_again(self, tmp_path: Path) -> None:
        packed = tmp_path / "readings-2024-04-08.jsonl.gz"
        packed.write_bytes(gzip.compress(b"1\n2\n") + gzip.compress(b"3\n")[:9])
        plain = tmp_path / "readings-2024-04-08.jsonl"
        plain.write_text("4\n")
        self.cleared(tmp_path, pack=True)
        assert names(tmp_path) == [packed.name]
        assert text_of(packed) == "1\n2\n4\n"
        plain.write_text("1\n2\n")  # as a crash leaves it that comes before it is removed
        self.cleared(tmp_path, pack=True)
        assert names(tmp_path) == [packed.name]
        assert text_of(packed) == "1\n2\n4\n"

    def test_what_cannot_be_packed_is_said_and_delivers_all_the_same(self, tmp_path: Path) -> None:
        around = Around()
        (tmp_path / "readings-2024-04-01.jsonl").write_text("1\n")
        (tmp_path / "readings-2024-04-01.jsonl.gz").mkdir()
        deliver(opened(tmp_path, around, compress=True), entry(1))
        assert numbers(tmp_path / "readings-2024-04-08.jsonl") == [1]
        assert len(around.said) == 1
        assert "readings-2024-04-01.jsonl.gz" in around.said[0]

    def test_a_name_is_that_of_one_file(self) -> None:
        place = place_of("readings-2024-04-08.12.csv.gz")
        assert place is not None
        assert (place.day, place.part, place.packed) == (date(2024, 4, 8), 12, True)
        assert place.name == "readings-2024-04-08.12.csv.gz"


class TestStandIns:
    def test_they_are_the_same_in_all_files_also_after_a_restart(self, tmp_path: Path) -> None:
        folder = tmp_path / "shared"
        deliver(opened(folder, sanitize=True, format="both"), entry(1))
        deliver(opened(folder, sanitize=True, format="both"), entry(2, FIRST + DAY))
        devices = set()
        for path in folder.glob("*.jsonl"):
            [line] = map(json.loads, text_of(path).splitlines())
            devices.add((line["device"], line["via"]))
        for path in folder.glob("*.csv"):
            [row] = table(path)
            devices.add((row["device"], row["via"]))
        [(device, via)] = devices
        assert len(device) == len(MICRO)
        assert device.isdigit()
        assert device != MICRO
        assert via not in (LOGGER, device)

    def test_nothing_in_the_folder_tells_a_serial_or_turns_a_stand_in_back(
        self, tmp_path: Path
    ) -> None:
        folder = tmp_path / "shared"
        values: dict[str, Number | str] = {"status": f"{MICRO} is on", "pv_power": 1}
        deliver(opened(folder, sanitize=True, format="both"), entry(1, values=values))
        written = b"".join(path.read_bytes() for path in folder.iterdir())
        secret = stand_ins.secret_path().read_bytes()
        assert stand_ins.secret_path().stat().st_mode & 0o777 == 0o600
        key = stand_ins.key_of(folder)
        for private in (MICRO, LOGGER):
            assert private.encode() not in written
        for hidden in (secret, key):
            assert hidden not in written
            assert hidden.hex().encode() not in written
        assert b" is on" in written

    def test_those_of_another_folder_are_others(self, tmp_path: Path) -> None:
        found = set()
        for name in ("one", "two"):
            deliver(opened(tmp_path / name, sanitize=True), entry(1))
            line = text_of(tmp_path / name / "readings-2024-04-08.jsonl")
            found.add(json.loads(line)["device"])
        assert len(found) == 2

    def test_a_folder_may_be_moved(self, tmp_path: Path) -> None:
        deliver(opened(tmp_path / "one", sanitize=True), entry(1))
        (tmp_path / "one").rename(tmp_path / "two")
        deliver(opened(tmp_path / "two", sanitize=True), entry(2))
        lines = text_of(tmp_path / "two/readings-2024-04-08.jsonl").splitlines()
        assert len({json.loads(line)["device"] for line in lines}) == 1

    def test_private_fields_are_left_out(self, tmp_path: Path) -> None:
        fields: dict[str, Number] = {"inverter_serial": 1, "latitude": 52.5, "self_check_time": 60}
        deliver(opened(tmp_path, sanitize=True), entry(1, fields=fields))
        line = json.loads(text_of(tmp_path / "readings-2024-04-08.jsonl"))
        assert line["fields"] == {"self_check_time": 60}

    def test_a_reading_of_nobody_stays_so(self, tmp_path: Path) -> None:
        reading = Reading("alphaess", None, FIRST, TimeSource.ARRIVAL, False, {"pv_power": 1})  # noqa: FBT003
        deliver(opened(tmp_path, sanitize=True), Entry(1, reading, FIRST))
        line = json.loads(text_of(tmp_path / "readings-2024-04-08.jsonl"))
        assert (line["device"], line["via"]) == (None, None)

    def test_a_folder_has_them_everywhere_or_nowhere(self, tmp_path: Path) -> None:
        deliver(opened(tmp_path / "plain"), entry(1))
        with pytest.raises(TroubleError, match="there are files with serials"):
            deliver(opened(tmp_path / "plain", sanitize=True), entry(2))
        deliver(opened(tmp_path / "hidden", sanitize=True), entry(1))
        with pytest.raises(TroubleError, match="its files have stand-ins"):
            deliver(opened(tmp_path / "hidden"), entry(2))

    def test_with_the_secret_lost_a_folder_is_not_continued(self, tmp_path: Path) -> None:
        deliver(opened(tmp_path / "own", sanitize=True), entry(1))
        stand_ins.secret_path().unlink()
        with pytest.raises(TroubleError, match="with another secret"):
            deliver(opened(tmp_path / "own", sanitize=True), entry(2))
        stand_ins.secret_path().write_bytes(b"short")
        with pytest.raises(TroubleError, match="is damaged"):
            deliver(opened(tmp_path / "own", sanitize=True), entry(2))
        (tmp_path / "own" / stand_ins.SALT).write_text("{")
        stand_ins.secret_path().unlink()
        with pytest.raises(TroubleError, match="cannot be read"):
            deliver(opened(tmp_path / "own", sanitize=True), entry(2))


class TestSettings:
    def test_the_first_is_the_folder(self) -> None:
        assert FILES.settings[0].key == "folder"
        assert FILES.settings[0].flag == "--files"

    @pytest.mark.parametrize(
        ("wrong", "told"),
        [
            ({"folder": ""}, "name a folder"),
            ({"folder": "/dev/null"}, "no folder"),
            ({"format": "xml"}, "jsonl, csv, both"),
            ({"keep_days": 0}, "1 at least"),
            ({"mode": "0600"}, "such as 600"),
            ({"mode": "044"}, "such as 600"),
        ],
    )
    def test_values_of_no_use_are_told(
        self, wrong: dict[str, Any], told: str, tmp_path: Path
    ) -> None:
        with pytest.raises(ValueError, match=told):
            opened(**{"folder": tmp_path, **wrong})

    def test_a_test_leaves_nothing_behind(self, tmp_path: Path) -> None:
        async def main() -> str:
            sink = opened(tmp_path)
            told = await sink.test(entry())
            await sink.close()
            return told

        assert str(tmp_path) in asyncio.run(main())
        assert names(tmp_path) == []
