"""The scripts of the project are what they promise: POSIX sh, and one way to do a thing."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted(path for path in (ROOT / "scripts").iterdir() if path.suffix in {"", ".sh"})
SHELLS = [shell for shell in ("sh", "dash", "bash") if shutil.which(shell)]
BASHISMS = re.compile(
    r"\[\[|\]\]|^\s*function\s|\blocal\b|\bsource\b|\bdeclare\b|<\(|<<<|&>|\|&|\$'|\$\{\w+[,^/:]?[,^/]"
    r"|\becho -[en]|\bpipefail\b|\[ [^\]]*==|\$RANDOM|\bwhich\b",
    re.MULTILINE,
)


def code(script: Path) -> str:
    """Return a script without its comments."""
    return re.sub(r"(?m)^\s*#.*$", "", script.read_text())


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_script_is_read_by_every_shell(script: Path, shell: str) -> None:
    done = subprocess.run(  # noqa: S603 - our own scripts
        [shutil.which(shell) or "", "-n", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_no_script_needs_more_than_posix(script: Path) -> None:
    assert not BASHISMS.search(code(script))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_says_what_it_is_for_and_what_is_run_stops_at_the_first_failure(
    script: Path,
) -> None:
    first, second, *_ = script.read_text().splitlines()
    if script.suffix:
        assert first.startswith("# ")
        return
    assert (first, second[:2]) == ("#!/bin/sh", "# ")
    assert script.stat().st_mode & 0o111 == 0o111
    assert re.search(r"(?m)^set -eu$", code(script))


def test_the_two_scripts_of_the_readme_are_there() -> None:
    assert {"demo", "test"} <= {script.name for script in SCRIPTS}


def test_what_is_checked_elsewhere_is_what_scripts_test_checks() -> None:
    run = ROOT / ".ci" / "run"
    assert run.stat().st_mode & 0o111 == 0o111
    assert [line for line in code(run).splitlines() if line] == [
        'exec "$(dirname "$0")/../scripts/test"'
    ]


def test_what_the_scripts_make_is_ignored_by_git() -> None:
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {".venv/", ".cache/"} <= set(ignored)
    made = set(re.findall(r"(?m)^\w+=(\.[\w./]+)$", code(ROOT / "scripts" / "lib.sh")))
    assert made
    assert all(any(path.startswith(known.rstrip("/")) for known in ignored) for path in made)


def test_a_python_that_is_too_old_is_told(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.10.1 && exit 0\nexit 1\n')
    old.chmod(0o755)
    message = "Python 3.11 or later is needed; Python 3.10.1 was found. Set PYTHON to another.\n"
    assert complaint(tmp_path, str(old)) == message


def test_a_python_that_is_missing_is_told_with_what_to_install(tmp_path: Path) -> None:
    assert "apt-get install python3 python3-venv" in complaint(tmp_path, "nosuchpython")


def test_a_python_that_makes_no_environment_is_told_with_what_to_install(tmp_path: Path) -> None:
    bare = tmp_path / "python3"
    bare.write_text('#!/bin/sh\n[ "$1" = -m ] && echo "no ensurepip" && exit 1\nexit 0\n')
    bare.chmod(0o755)
    shown = complaint(tmp_path, str(bare))
    assert shown.startswith("no ensurepip\n")
    assert "apt-get install python3-venv" in shown


def complaint(folder: Path, python: str) -> str:
    """Return what the demo of a fresh clone says where this is all the Python there is."""
    clone = folder / "clone"
    shutil.copytree(ROOT / "scripts", clone / "scripts")
    done = subprocess.run(  # noqa: S603 - our own script
        [clone / "scripts" / "demo"],
        env={"PATH": "/usr/bin:/bin", "PYTHON": python},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert not (clone / ".venv").exists()
    return done.stderr
