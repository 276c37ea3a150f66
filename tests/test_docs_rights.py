"""The page about what the cloud may do: its examples are what `approve` shows."""

import re
from pathlib import Path

from inverterproto.alphaess.state import BatteryState
from inverterproto_cli.store import default_path
from tests.alphaess_vectors import RAW, SN, START
from tests.conftest import invoke
from tests.stores import Came, filled
from tests.test_alphaess_gate import configuration
from tests.test_cli_approve import put

TEXT = (Path(__file__).parent.parent / "docs" / "cloud-rights.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(
    r"^```text\n\$ inverterproto (.*)\n((?:(?!```).*\n)*)```$", TEXT, re.MULTILINE
)


def test_examples_show_what_approve_shows() -> None:
    path = filled(default_path(), [Came(RAW["status-1"], START, "alphaess")])
    state = BatteryState()
    state.trust(configuration()[7:-2], SN)
    state.hold(configuration(GridCharge=True, TimeChaE2=6)[7:-2])
    put(path, state)
    assert len(EXAMPLES) == TEXT.count("```text") == 2
    for command, shown in EXAMPLES:
        found = invoke(*command.split())
        assert (found.code, found.out + found.err) == (0, shown)
