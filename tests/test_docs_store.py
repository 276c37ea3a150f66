"""The page about the store: its examples are what commands show, its tables what the store has."""

import re
from pathlib import Path

import pytest

from inverterproto_cli.store import default_path
from inverterproto_cli.store.schema import open_for_writing
from tests.alphaess_vectors import RAW, START
from tests.conftest import invoke
from tests.stores import FIRST, Came, filled, time_zone
from tests.test_cli_unknown import strange
from tests.vectors import raw

PAGE = Path(__file__).parent.parent / "docs" / "store.md"
TEXT = PAGE.read_text(encoding="utf-8")
EXAMPLES = re.findall(
    r"^```text\n\$ inverterproto (.*)\n((?:(?!```).*\n)*)```$", TEXT, re.MULTILINE
)
SEEN = (
    Came(RAW["config-from-battery"] + RAW["status-1"], START, "alphaess"),
    Came(RAW["status-2"], START + 10, "alphaess"),
    Came(raw("handshake-86")),
    Came(raw("micro-5408-realtime"), FIRST + 30),
    Came(strange(0x7777, 1) + strange(0x7777, 2), FIRST + 60),
)


@pytest.mark.parametrize(("command", "shown"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_examples_show_what_the_commands_show(command: str, shown: str) -> None:
    filled(default_path(), SEEN)
    with time_zone("UTC"):
        found = invoke(*command.split())
    assert (found.code, found.err) == (0, "")
    pattern = ".*".join(map(re.escape, shown.split("…")))
    assert re.fullmatch(pattern, found.out), found.out


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == TEXT.count("```text") == 4


@pytest.mark.parametrize("table", ["record", "device"])
def test_every_column_has_its_row(table: str, tmp_path: Path) -> None:
    with open_for_writing(tmp_path / "store.db") as db:
        columns = {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
        tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'")}
    section = TEXT.split(f"Columns of `{table}`:")[1].split("\n\n")[1]
    first = [row.split("|")[1] for row in section.splitlines()[2:]]
    assert set(re.findall(r"`(\w+)`", "".join(first))) == columns
    listed = TEXT.split("| table |")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)`", listed, re.MULTILINE)) == tables
