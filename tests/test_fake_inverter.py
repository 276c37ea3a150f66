"""`inverterproto fake-inverter`: through the fake server, and against servers that misbehave."""

import json
import re
from pathlib import Path
from signal import SIGINT, SIGTERM, Signals

import pytest

from inverterproto.deye.frame import Frame
from inverterproto_cli.store.reader import Kept, Reader
from tests.conftest import Run, invoke
from tests.peers import Peer, answer_by, right
from tests.programs import Program, fake_server
from tests.vectors import raw

FIXTURES = Path(__file__).parent.parent / "fixtures" / "deye"
REALTIME = FIXTURES / "sun-m80g3-MW3_16U_5406_2.32-D1" / "micro-5408-realtime.hex"
DAY = ("--begin", "09:00", "--speed", "8640", "--interval", "900")
"""A whole day in ten seconds, 96 records."""
MORNING = (*DAY, "--for", "1")


def live(peer: Peer | int, *options: str) -> Run:
    address = f"127.0.0.1:{peer}" if isinstance(peer, int) else peer.address
    return invoke("fake-inverter", "--server", address, *options)


def sent(run: Run) -> int:
    """Return how many messages were sent, all of which were answered."""
    found = re.search(
        r"^sent ([0-9,]+), answered ([0-9,]+), unanswered 0; latency", run.err, re.MULTILINE
    )
    assert found is not None, run.err
    assert found[1] == found[2]
    return int(found[1].replace(",", ""))


def stored(path: Path) -> list[Kept]:
    with Reader(path) as reader:
        return [kept for kept in reader.newest() if kept.kind == "data"]


OWN = {
    "micro": ("SIM0000001", "4290000000"),
    "hybrid": ("SIM1000001", "4291000000"),
    "string": ("SIM2000001", "4292000000"),
    "battery": ("SIM3000001", "4293000000"),
}


class TestThroughTheFakeServer:
    @pytest.mark.parametrize("model", ["micro", "hybrid", "string", "battery"])
    def test_each_model_is_stored_and_plausible(self, model: str, tmp_path: Path) -> None:
        path = tmp_path / "store.db"
        with fake_server("--store", path) as server:
            (port,) = server.ports()
            run = live(port, *MORNING, "--model", model, "--historic", "20", "--quiet")
            assert server.stop() == 0
        assert run.code == 0
        assert run.out == ""
        kept = stored(path)
        assert 0 <= sent(run) - len(kept) <= 5, "all but one series"
        assert sum(each.historic for each in kept) >= 20
        for each in kept:
            (reading,) = each.readings()
            assert (reading.device, reading.via) == OWN[model]
            assert reading.time is not None
            assert abs(reading.time - each.arrival) < 60
            assert each.message().problems in ((), ("layout hybrid not checked on real bytes",))

    def test_many_in_pieces_and_with_faults_lose_nothing(self, tmp_path: Path) -> None:
        path = tmp_path / "store.db"
        with fake_server("--store", path) as server:
            (port,) = server.ports()
            run = live(
                port, "--connections", "40", "--fragment", "--faults", "--seed", "5",
                "--wait", "2", "--begin", "09:00", "--speed", "1000", "--for", "2",
            )  # fmt: skip
            assert server.stop() == 0
        assert run.code == 0, run.err
        assert "noted: made on purpose: " in run.err
        assert sent(run) > 200
        serials = {each.via for each in stored(path)}
        assert serials == {str(4290000000 + number) for number in range(40)}

    def test_captures_are_sent_as_they_are(self, tmp_path: Path) -> None:
        path = tmp_path / "store.db"
        with fake_server("--store", path) as server:
            (port,) = server.ports()
            run = live(port, str(REALTIME), "--connections", "3", "--fragment")
            assert server.stop() == 0
        assert run.code == 0
        assert run.out == "", "of several connections only the summary is shown"
        assert sent(run) == 3
        assert raw("micro-5408-realtime") in {each.frame for each in stored(path)}

    @pytest.mark.parametrize("number", [SIGINT, SIGTERM])
    def test_a_signal_ends_it_with_the_summary(self, number: Signals) -> None:
        with Peer(answer_by(right)) as peer, Program(
            "fake-inverter", "--server", peer.address, "--begin", "12:00"
        ) as program:  # fmt: skip
            program.line("^data: status 1", of="out")
            assert program.stop(number) == 0
            assert program.line("^sent 2, answered 2, unanswered 0")


class TestCaptures:
    def capture(self, path: Path, *times: float) -> Path:
        lines = [
            {"at": at, "connection": "1", "from": sender, "data": data.hex()}
            for at in times
            for sender, data in (
                ("device", raw("micro-5408-realtime")),
                ("cloud", right(Frame.parse(raw("micro-5408-realtime")))),
                ("device", raw("heartbeat") + b"\r\n"),
            )
        ]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    def test_only_the_devices_side_is_sent_in_order(self, tmp_path: Path) -> None:
        came: list[bytes] = []

        def note(request: Frame) -> bytes:
            came.append(request.build())
            return right(request)

        with Peer(answer_by(note)) as peer:
            run = live(peer, str(self.capture(tmp_path / "a.jsonl", 1, 2)))
        assert run.code == 0
        assert came == [raw("micro-5408-realtime"), raw("heartbeat")] * 2
        assert "left out: frames of the cloud: 2\n" in run.err
        assert "left out: bytes that are no frame: 4\n" in run.err
        assert run.out.splitlines()[1] == (
            "frame 2 (heartbeat): status 1, time 2025-11-21T16:00:00Z, next heartbeat in 60 s"
        )

    def test_each_connection_has_loggers_of_its_own(self, tmp_path: Path) -> None:
        came: list[Frame] = []

        def note(request: Frame) -> bytes:
            came.append(request)
            return right(request)

        with Peer(answer_by(note)) as peer:
            path = self.capture(tmp_path / "a.jsonl", 1)
            assert live(peer, str(path), "--connections", "3", "--faults").code == 0
        serials = {frame.logger_serial for frame in came}
        own = {
            Frame.parse(raw(name)).logger_serial for name in ("micro-5408-realtime", "heartbeat")
        }
        assert own < serials
        assert len(serials) == 3 * len(own)
        assert min(serials - own) > 4_290_000_000

    def test_a_capture_keeps_its_own_time_where_a_speed_is_given(self, tmp_path: Path) -> None:
        path = self.capture(tmp_path / "a.jsonl", 0, 1e9)
        with Peer(answer_by(right)) as peer:
            assert sent(live(peer, str(path))) == 4
            run = live(peer, str(path), "--speed", "1", "--for", "1")
        assert run.code == 0
        assert sent(run) == 2, "the others are due in thirty years"

    def test_what_holds_no_frame_of_a_logger_is_an_error(self, tmp_path: Path) -> None:
        run = live(9, "a5 01 02")
        assert run.code == 1
        assert run.err.endswith("Error: no frame of a logger is in this\n")
        run = live(9, str(tmp_path / "none.jsonl"))
        assert run.code == 1
        assert "no such file" in run.err


class TestThePage:
    PAGE = (Path(__file__).parent.parent / "docs" / "fake-inverter.md").read_text("utf-8")

    def test_what_it_shows_is_what_is_printed(self) -> None:
        def form(line: str) -> str:
            return re.sub(r"[0-9.]+", "0", line)

        shown = re.search(r"```text\n(.*?)```", self.PAGE, re.DOTALL)
        assert shown is not None
        *replies, summary = map(form, shown[1].splitlines())
        with Peer(answer_by(right)) as peer:
            run = live(peer, "--begin", "12:00", "--speed", "60", "--for", "2")
        printed = [form(line) for line in run.out.splitlines()]
        assert len(printed) >= 2
        assert printed == replies[: len(printed)]
        assert form(run.err.strip()) == summary

    def test_it_names_every_model_with_its_sensor_type(self) -> None:
        from inverterproto_cli.fakes.inverters import MODELS

        told = re.findall(r"^\| `(\w+)` \|.*\| (0x[0-9]{4}) \|$", self.PAGE, re.MULTILINE)
        assert told == [(name, f"{model.sensor_type:#06x}") for name, model in MODELS.items()]
        assert re.search(rf"\[{'[|]'.join(MODELS)}\]", invoke("fake-inverter", "--help").out)


class TestUsage:
    @pytest.mark.parametrize(
        "arguments",
        [
            ("--begin", "25:00"),
            ("--begin", "noon"),
            ("--speed", "0"),
            ("--interval", "0.5"),
            ("--server", "nowhere"),
            ("--model", "toaster"),
            (str(REALTIME), "--speed", "2", "--interval", "1"),
            (str(REALTIME), "--model", "hybrid"),
            (str(REALTIME), "--begin", "12:00"),
            (str(REALTIME), "--historic", "0"),
            (str(REALTIME), "--serial", "4290000000"),
            ("--serial", "0"),
            ("--serial", "4294967296"),
            ("--serial", "4294967295", "--connections", "2"),
        ],
    )
    def test_wrong_usage_is_2(self, arguments: tuple[str, ...]) -> None:
        assert invoke("fake-inverter", *arguments).code == 2

    def test_at_night_it_says_why_nothing_is_measured(self) -> None:
        with Peer(answer_by(right)) as peer:
            run = live(peer, "--begin", "00:30", "--for", "0.2")
            assert run.code == 0
            assert "It is night" in run.err
            assert "It is night" not in live(peer, "--begin", "12:00", "--for", "0.2").err
