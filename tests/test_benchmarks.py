"""The benchmark command: every group runs, all contenders agree, goals are judged rightly."""

import json
from importlib import import_module

import pytest
from click.testing import CliRunner

pytest.importorskip("crccheck")
pytest.importorskip("fastcrc")
pytest.importorskip("kaitaistruct")
pytest.importorskip("pysolarmanv5")

from benchmarks import node, table
from benchmarks.__main__ import GROUPS, command
from benchmarks.measure import Effort, Line, Samples, at_least, at_most

HARDLY_ANY = Effort(turns=2, seconds=0.0005, starts=1, bulk_bytes=20_000, stream_bytes=2_000)


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_measures_what_it_says(group: str) -> None:
    module = import_module(f"benchmarks.{GROUPS[group]}")

    lines = list(module.run(HARDLY_ANY))

    assert module.TITLE
    assert all(line.value is None or line.value > 0 for line in lines)
    assert len({line.what for line in lines}) == len(lines)


def test_without_node_its_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "find", lambda: None)

    lines = import_module("benchmarks.micro_inverter").run(HARDLY_ANY)

    [line] = [line for line in lines if line.what == "Node"]
    assert line.value is None
    assert line.note == "not found"
    assert line.met is None


def test_without_node_the_servers_are_measured_and_compared_with_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(node, "find", lambda: None)

    lines = list(import_module("benchmarks.server").run(HARDLY_ANY))

    assert all("Node: not found" in line.note for line in lines)
    for line in lines:
        assert (line.value is None) == line.what.startswith("Node")
        assert line.met is None


def test_without_haproxy_the_relays_are_compared_with_each_other_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    relay = import_module("benchmarks.relay")
    monkeypatch.setattr(relay, "find_haproxy", lambda: None)

    lines = list(relay.run(HARDLY_ANY))

    assert not any(line.what.startswith(relay.HAPROXY) for line in lines)
    for line in lines:
        beside = " beside " in line.what or "idle" in line.what
        assert (line.ratio is not None) == beside
        assert (line.met is not None) == beside


def test_a_goal_counts_in_its_own_direction() -> None:
    assert at_least(3).met(3.1)
    assert not at_least(3).met(2.9)
    assert at_most(1.3).met(1.2)
    assert not at_most(1.3).met(1.4)
    assert str(at_least(25)) == "≥ 25×"
    assert str(at_most(1.3)) == "≤ 1.3×"


def test_ratios_are_taken_turn_by_turn() -> None:
    # In the second turn the machine was three times as slow, for both.
    samples = Samples({"ours": [1e-6, 3e-6, 1e-6], "peer": [5e-6, 15e-6, 5e-6]})

    assert samples.line("peer", "ours", at_least(4)).ratio == pytest.approx(5)
    assert samples.line("peer", "ours", at_most(4)).ratio == pytest.approx(0.2)
    assert samples.line("ours", "ours").value == pytest.approx(1)


def test_the_table_shows_what_is_missed() -> None:
    lines = [
        Line("ours", 6.25),
        Line("peer", 156.7, ratio=25.04, goal=at_least(25)),
        Line("other", 4.0, ratio=1.56, goal=at_most(1.3)),
        Line("away", None, goal=at_most(1.1), note="not found"),
    ]

    assert table.text("Title", lines).splitlines() == [
        "Title",
        "  ours   6.25 µs",
        "  peer    157 µs  25.0×   ≥ 25×  pass",
        "  other  4.00 µs  1.56×  ≤ 1.3×  MISS",
        "  away         –         ≤ 1.1×        not found",
    ]


def test_the_command_gives_json_lines() -> None:
    result = CliRunner().invoke(command, ["checksums", "--quick", "--json", "--check"])

    assert result.exit_code == 0
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert {line["group"] for line in lines} == {"checksums"}
    assert lines[0]["unit"] == "µs"
    assert lines[0]["goal"] is None
