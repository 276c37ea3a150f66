"""What the tests of several modules share."""

import os
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner
from hypothesis import settings

from inverterproto_cli.main import group

# How long an example takes says more of the machine's other work than of ours.
settings.register_profile("inverterproto", deadline=None)
settings.load_profile("inverterproto")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let soaks come first: they wait for most of their time, and others can run beside them."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/test_soak"))


class Run(NamedTuple):
    """What a command did: its exit code, and what it wrote."""

    code: int
    out: str
    err: str


def invoke(*arguments: str | Path, stdin: bytes | str | None = None) -> Run:
    """Run the command line in this process; what it does not catch fails the test."""
    result = CliRunner(catch_exceptions=False).invoke(
        group, [str(argument) for argument in arguments], input=stdin, prog_name="inverterproto"
    )
    return Run(result.exit_code, result.stdout, result.stderr)


def decode(*arguments: str | Path, stdin: bytes | str | None = None) -> Run:
    """Run `inverterproto decode`."""
    return invoke("decode", *arguments, stdin=stdin)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the options of whoever runs the tests out of them."""
    for name in os.environ:
        if name.startswith("INVERTERPROTO_"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
