"""The scripts of the project are what they promise: POSIX sh, and one way to do a thing."""

import os
import re
import shutil
import subprocess
import sys
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


def test_scripts_test_takes_no_arguments() -> None:
    done = subprocess.run(  # noqa: S603 - our own script
        [ROOT / "scripts" / "test", "tests/test_x.py"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "scripts/test takes no arguments\n"


PROBE = """
ensure_environment all
echo "$PWD"
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a clone in a folder with spaces, and a Python that only notes what it is told."""
    clone = tmp_path / "a b" / "clone"
    shutil.copytree(ROOT / "scripts", clone / "scripts")
    shutil.copy(ROOT / "pyproject.toml", clone)
    python = tmp_path / "python3"
    python.write_text(
        '#!/bin/sh\n[ "$1" = -c ] && exit 0\necho "$*" >>"$NOTES"\n'
        '[ "$2" = venv ] || exit 0\nmkdir -p "$4/bin"\ncp "$0" "$4/bin/python"\n'
    )
    python.chmod(0o755)
    demo = clone / "scripts" / "demo"
    start = demo.read_text().partition("\n# decode INPUT")[0]
    demo.write_text(start + PROBE)
    return clone


def probe(script: Path, folder: Path, notes: Path) -> tuple[str, str]:
    """Return the folder in which a script works, and what it had its Python make."""
    notes.write_text("")
    done = subprocess.run(  # noqa: S603 - our own script
        [script],
        cwd=folder,
        env={
            "PATH": "/usr/bin:/bin",
            "CDPATH": "/tmp",  # noqa: S108 - must not matter
            "PYTHON": str(notes.parent / "python3"),
            "NOTES": str(notes),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip(), notes.read_text()


def test_a_script_finds_its_clone_by_symbolic_links_and_from_anywhere(
    clone: Path, tmp_path: Path
) -> None:
    (tmp_path / "links").mkdir()
    absolute, relative = tmp_path / "links" / "one", tmp_path / "two"
    absolute.symlink_to(clone / "scripts" / "demo")
    relative.symlink_to("links/one")
    for script in (clone / "scripts" / "demo", absolute, relative):
        assert probe(script, tmp_path, tmp_path / "notes")[0] == str(clone.resolve())


def test_a_clone_that_was_moved_gets_a_new_environment(clone: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    assert "venv --clear" in probe(clone / "scripts" / "demo", tmp_path, notes)[1]
    assert probe(clone / "scripts" / "demo", tmp_path, notes)[1] == ""
    moved = clone.rename(tmp_path / "moved")
    (moved / ".venv" / ".installed-all").unlink()  # what a real `--clear` takes away
    made = probe(moved / "scripts" / "demo", tmp_path, notes)[1]
    assert "venv --clear" in made
    assert "pip install" in made
    assert probe(moved / "scripts" / "demo", tmp_path, notes)[1] == ""


def test_the_demo_fails_if_the_program_does(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    shutil.copytree(ROOT / "scripts", clone / "scripts")
    shutil.copytree(ROOT / "fixtures", clone / "fixtures")
    shutil.copy(ROOT / "pyproject.toml", clone)
    (clone / ".venv" / "bin").mkdir(parents=True)
    python = clone / ".venv" / "bin" / "python"
    python.write_text("#!/bin/sh\ncase $2 in *main*) exit 1 ;; esac\nexit 0\n")
    python.chmod(0o755)
    (clone / ".venv" / ".clone").write_text(f"{clone.resolve()}\n")
    done = subprocess.run(  # noqa: S603 - our own script
        [clone / "scripts" / "demo"],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "was not decoded" in done.stderr


def test_the_demo_shows_both_families_and_what_becomes_of_their_readings() -> None:
    if not (ROOT / ".venv" / ".clone").exists():
        pytest.skip("the environment of this clone was made otherwise")
    done = subprocess.run(  # noqa: S603 - our own script
        [ROOT / "scripts" / "demo"],
        # What is made up goes to no sink of the user's.
        env={**os.environ, "INVERTERPROTO_WEBHOOK": "http://127.0.0.1:9/readings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"(?m)^files +files .* 0 +–", done.stdout)
    assert "webhook" not in done.stdout
    topic = "homeassistant/sensor/inverterproto_"
    assert (topic in done.stdout) is ("scripts/counterparts mosquitto" not in done.stdout)
    assert "load_power" in done.stdout
    assert "19316.0 kWh" in done.stdout
    assert done.stdout.count("meant to be broken: ") == 2
    assert len(done.stdout.splitlines()) < 200


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
