"""The pages about export and files: their examples are what comes out."""

import asyncio
import re
from pathlib import Path

import pytest

from inverterproto_cli.sinks.files import FILES
from inverterproto_cli.sinks.folder import LOCK
from inverterproto_cli.sinks.sink import Entry
from inverterproto_cli.store import Reader, default_path
from tests.conftest import invoke
from tests.stores import filled, time_zone
from tests.test_docs_store import SEEN
from tests.test_sink_files import Around

DOCS = Path(__file__).parent.parent / "docs"


def examples(page: str, command: str) -> list[tuple[str, str]]:
    """Return what is typed behind a command, and what comes out."""
    text = (DOCS / page).read_text(encoding="utf-8")
    pattern = rf"^```text\n\$ {command} (.*)\n((?:(?!```).*\n)*)```$"
    found = re.findall(pattern, text, re.MULTILINE)
    return [(typed, shown) for typed, shown in found]


def is_shown(shown: str, found: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, shown.split("…"))), found) is not None


@pytest.mark.parametrize(("options", "shown"), examples("export.md", "inverterproto export"))
def test_export_writes_what_its_page_shows(options: str, shown: str) -> None:
    filled(default_path(), SEEN)
    with time_zone("UTC"):
        found = invoke("export", *options.split())
    assert (found.code, found.err) == (0, "")
    assert is_shown(shown, found.out), found.out


def test_the_page_of_export_has_its_examples() -> None:
    assert len(examples("export.md", "inverterproto export")) == 3
    assert "<!-- table: options export -->" in (DOCS / "export.md").read_text()


def test_files_are_what_their_page_shows(tmp_path: Path) -> None:
    filled(default_path(), SEEN)
    own = {setting.key: setting.default for setting in FILES.settings}
    sink = FILES.open({**own, "folder": str(tmp_path / "out"), "format": "both"}, Around())

    async def deliver() -> None:
        with Reader(default_path()) as reader:
            entries = [
                Entry(kept.number or 0, reading, kept.arrival, kept.answered)
                for kept in reader.delivered_after(0)
                for reading in kept.readings()
            ]
        await sink.deliver(entries)
        await sink.close()

    with time_zone("UTC"):
        asyncio.run(deliver())
    listed = sorted(path.name for path in (tmp_path / "out").iterdir() if path.name != LOCK)
    [(_, names)] = examples("files.md", "ls")
    assert listed == names.split()
    for path, shown in examples("files.md", "cat"):
        found = (tmp_path / "out" / Path(path).name).read_text()
        assert is_shown(shown, found), found
    assert len(examples("files.md", "cat")) == 2
