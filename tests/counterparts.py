"""Real programs that the tests talk to: on the PATH, or fetched by `scripts/counterparts`."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FETCHED = ROOT / ".cache" / "counterparts" / "bin"
LONGEST = 60  # seconds


def find(program: str) -> str | None:
    """Return where a program is, if it is there."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:{FETCHED}")


def needs(*programs: str) -> pytest.MarkDecorator:
    """Mark tests that need programs."""
    missing = " ".join(program for program in programs if find(program) is None)
    return pytest.mark.skipif(bool(missing), reason=f"run: scripts/counterparts {missing}")


def run(program: str, *arguments: str | Path) -> str:
    """Run a program; return what it writes on standard output."""
    path = find(program)
    assert path is not None
    done = subprocess.run(  # noqa: S603 - our own choice
        [path, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=LONGEST
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
