"""The page about sinks: its example is a sink, its tables name what there is."""

import asyncio
import re
from pathlib import Path
from typing import Any

from docs import hooks
from inverterproto_cli.show_sinks import test_entry as marked_entry
from inverterproto_cli.sinks.registry import BUILT_IN
from inverterproto_cli.sinks.settings import COMMON
from inverterproto_cli.sinks.sink import SinkType

DOCS = Path(__file__).parent.parent / "docs"
TEXT = (DOCS / "sinks.md").read_text(encoding="utf-8")


def test_the_example_of_a_sink_delivers(tmp_path: Path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - it is ours
    kind = names["NOTEBOOK"]
    assert isinstance(kind, SinkType)
    file = tmp_path / "notes.txt"
    sink = kind.open({"file": str(file)}, None)  # type: ignore[arg-type]
    entry = marked_entry(1_790_000_000.0)
    assert asyncio.run(sink.deliver([entry, entry])) == 2
    assert file.read_text() == "0 SIM0000000 {'active_power': 0, 'status': 'test'}\n" * 2


def test_every_type_of_sink_has_its_row_and_its_page() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\[.*\]\(([\w.-]+)", TEXT, re.MULTILINE)
    listed = {name: page for name, page in rows if page.endswith(".md")}
    assert set(listed) == {kind.name for kind in BUILT_IN}
    for name, page in listed.items():
        assert f"<!-- table: sink-settings {name} -->" in (DOCS / page).read_text(), page


def test_tables_of_settings_show_all_of_them() -> None:
    table = hooks.on_page_markdown("<!-- table: sink-settings -->")
    assert all(f"| `{one.key}` |" in table for one in COMMON)
    for kind in BUILT_IN:
        table = hooks.on_page_markdown(f"<!-- table: sink-settings {kind.name} -->")
        assert all(f"| `{one.key}` |" in table for one in kind.settings)
