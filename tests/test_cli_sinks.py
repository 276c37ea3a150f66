"""`inverterproto sinks`: how far each has got, a test of one, and how one is forgotten."""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from inverterproto_cli.sinks import registry, settings
from inverterproto_cli.sinks.registry import type_called
from inverterproto_cli.sinks.sink import Entry, RefusedError, TroubleError
from inverterproto_cli.store import Reader
from inverterproto_cli.store.sinks import MOST_SET_ASIDE, SetAside, SinkRow, save
from tests.conftest import invoke
from tests.sinking import NOW, Recorder, kind_of, stored

ROW = SinkRow("home", "mqtt", 2, NOW, delivered=2, last=NOW + 2)
BAD = SinkRow("far", "splunk", 1, NOW, 1, 4, 3, NOW + 1, "wrong token", NOW + 5)


def made(path: Path, *some: SinkRow, aside: tuple[SetAside, ...] = ()) -> Path:
    """Return a store that knows some sinks."""

    async def main() -> None:
        async with stored(path, range(1, 4)) as store:
            store.do(lambda connection: save(connection, some, aside))

    asyncio.run(main())
    return path


def known(path: Path) -> list[str]:
    with Reader(path) as reader:
        return [row.name for row in reader.sinks()]


def test_each_sink_is_shown_with_what_waits_and_what_is_wrong(tmp_path: Path) -> None:
    run = invoke("sinks", "--store", made(tmp_path / "s.db", ROW, BAD))
    assert run.code == 0
    head, far, home = run.out.splitlines()
    assert head.split()[:2] == ["sink", "type"]
    assert "far" in far
    assert "wrong token" in far
    assert home.split()[:2] == ["home", "mqtt"]


def test_json_tells_all_that_is_known(tmp_path: Path) -> None:
    run = invoke("sinks", "--json", "--store", made(tmp_path / "s.db", ROW, BAD))
    far, home = map(json.loads, run.out.splitlines())
    assert far["waiting"] == 2
    assert (far["left_out"], far["set_aside"], far["error"]) == (4, 3, "wrong token")
    assert far["waiting_since"] == "2026-09-21T14:13:22Z"
    assert (home["waiting"], home["number"], home["error"]) == (1, 2, None)


def test_a_store_without_sinks_says_so(tmp_path: Path) -> None:
    run = invoke("sinks", "--store", made(tmp_path / "s.db"))
    assert (run.code, run.out) == (0, "")
    assert "no sinks yet" in run.err


def test_what_was_set_aside_is_listed_with_its_reason(tmp_path: Path) -> None:
    aside = (
        SetAside("far", 1, NOW, "blank", '{"device": "2301234567"}'),
        SetAside("far", 2, NOW, "odd", "no JSON"),
    )
    path = made(tmp_path / "s.db", BAD, aside=aside)
    run = invoke("sinks", "set-aside", "far", "--store", path)
    one, other = map(json.loads, run.out.splitlines())
    assert (one["why"], one["reading"]) == ("blank", {"device": "2301234567"})
    assert other["reading"] == "no JSON"
    assert invoke("sinks", "set-aside", "near", "--store", path).code == 1


def test_what_is_set_aside_is_bounded(tmp_path: Path) -> None:
    aside = tuple(SetAside("far", number, NOW, "no", "{}") for number in range(MOST_SET_ASIDE + 10))
    with Reader(made(tmp_path / "s.db", BAD, ROW, aside=aside)) as reader:
        numbers = [one.number for one in reader.set_aside("far")]
    assert numbers == [*range(10, MOST_SET_ASIDE + 10)]


def test_a_sink_is_forgotten_with_what_it_set_aside(tmp_path: Path) -> None:
    path = made(tmp_path / "s.db", ROW, BAD, aside=(SetAside("far", 1, NOW, "no", "{}"),))
    run = invoke("sinks", "remove", "far", "--store", path)
    assert (run.code, run.err) == (0, f"store: {path}\nforgot the sink far\n")
    assert known(path) == ["home"]
    with Reader(path) as reader:
        assert reader.set_aside("far") == []
    again = invoke("sinks", "remove", "far", "--store", path)
    assert again.code == 1
    assert "there is no such sink" in again.err


@pytest.fixture
def put_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[Recorder], None]:
    """Let a recorder be the only type of sink."""

    def put(sink: Recorder) -> None:
        types = (kind_of(lambda _values, _around: sink),)
        monkeypatch.setattr(settings, "BUILT_IN", types)
        monkeypatch.setattr(registry, "BUILT_IN", types)

    return put


def configured(tmp_path: Path) -> Path:
    file = tmp_path / "config.toml"
    file.write_text(
        '[sink.recorder]\nplace = "here"\n[sink.second]\ntype = "recorder"\nplace = "x"\n'
    )
    return file


def test_a_test_sends_one_marked_reading_and_says_what_came_back(
    tmp_path: Path, put_in: Callable[[Recorder], None]
) -> None:
    sink = Recorder()
    put_in(sink)
    run = invoke("--config", configured(tmp_path), "sinks", "test", "second")
    assert (run.code, run.out) == (0, "sink second: got a test of SIM0000000\n")
    assert sink.closed


@pytest.mark.parametrize("error", [TroubleError("refused the token"), RefusedError("blank")])
def test_a_test_that_fails_says_why(
    tmp_path: Path, put_in: Callable[[Recorder], None], error: Exception
) -> None:
    class Failing(Recorder):
        async def test(self, _entry: Entry) -> str:
            raise error

    sink = Failing()
    put_in(sink)
    run = invoke("--config", configured(tmp_path), "sinks", "test", "recorder")
    assert run.code == 1
    assert run.err == f"Error: sink recorder: {error}\n"
    assert sink.closed


def test_a_test_of_what_is_not_configured_says_how_to() -> None:
    run = invoke("sinks", "test", "mqtt")
    assert run.code == 2
    assert "[sink.mqtt]" in run.err


# Sinks of others


def installed(folder: Path, module: str, value: str) -> None:
    """Put a package into a folder that brings a sink called `tin`."""
    (folder / "tin_sink.py").write_text(module)
    info = folder / "tin_sink-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tin-sink\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[inverterproto.sinks]\ntin = {value}\n")


TIN = """
from inverterproto_cli.sinks.sink import Setting, SinkType

class Tin:
    def __init__(self, place):
        self.place = place
    async def deliver(self, entries):
        return len(entries)
    async def test(self, entry):
        return f"in the tin {self.place}"
    async def close(self):
        pass

def open_tin(values, around):
    return Tin(values["place"])

TIN = SinkType("tin", "A tin", (Setting("place", "Where it is."),), open_tin)
"""


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "tin_sink", raising=False)
    return folder


def test_a_sink_of_another_package_is_used_like_ours(tmp_path: Path, elsewhere: Path) -> None:
    installed(elsewhere, TIN, "tin_sink:TIN")
    file = tmp_path / "config.toml"
    file.write_text('[sink.attic]\ntype = "tin"\nplace = "under the roof"\n')
    run = invoke("--config", file, "sinks", "test", "attic")
    assert run.out == "sink attic: in the tin under the roof\n"


@pytest.mark.parametrize(
    ("module", "told"),
    [("raise RuntimeError('torn')", "torn"), ("TIN = 1", "is no SinkType")],
)
def test_a_sink_of_another_package_that_is_broken_is_told(
    elsewhere: Path, module: str, told: str
) -> None:
    installed(elsewhere, module, "tin_sink:TIN")
    with pytest.raises(Exception, match=told):
        type_called("tin")
