"""`scripts/counterparts`: real programs, without anything installed on the machine."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

APT_GET = """#!/bin/sh
echo "$*" >>"$NOTES"
case $* in
*update) exit 0 ;;
*Dir::State::lists*) ;;
*) [ -z "${STALE-}" ] || { echo "E: Unable to locate package" >&2; exit 100; } ;;
esac
case $* in
*"install -s"*)
    printf '%s\\n' "Inst libthing (1.0 Debian)" "Inst tshark (4.0 Debian)" "Conf tshark"
    ;;
*download*) touch libthing_1.deb tshark_4.deb ;;
esac
"""
DPKG_DEB = """#!/bin/sh
case $2 in
*tshark*) mkdir -p "$3/usr/bin" && echo '#!/bin/sh
echo "$@ with $LD_LIBRARY_PATH"' >"$3/usr/bin/tshark" && chmod +x "$3/usr/bin/tshark" ;;
*) mkdir -p "$3/usr/lib/x86_64-linux-gnu" ;;
esac
"""
TOOLS = ("sh", "dirname", "mkdir", "rm", "sed", "cat", "chmod", "touch", "tail", "env")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Return a folder with a clone and a `bin` in which is all that there is on the PATH."""
    shutil.copytree(ROOT / "scripts", tmp_path / "a clone" / "scripts")
    path = tmp_path / "bin"
    path.mkdir()
    for tool in TOOLS:
        (path / tool).symlink_to(shutil.which(tool) or "")
    for name, text in (("apt-get", APT_GET), ("dpkg-deb", DPKG_DEB)):
        (path / name).write_text(text)
        (path / name).chmod(0o755)
    return tmp_path


def call(machine: Path, *programs: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603 - our own script
        [machine / "a clone" / "scripts" / "counterparts", *programs],
        env={"PATH": str(machine / "bin"), "NOTES": str(machine / "notes"), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def notes(machine: Path) -> list[str]:
    path = machine / "notes"
    return path.read_text().splitlines() if path.exists() else []


def test_what_is_on_the_path_is_not_fetched(machine: Path) -> None:
    (machine / "bin" / "tshark").symlink_to("/bin/true")
    assert call(machine, "tshark").returncode == 0
    assert notes(machine) == []


def test_a_package_and_what_it_needs_are_unpacked_into_the_clone_and_called_from_there(
    machine: Path,
) -> None:
    done = call(machine, "tshark")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    simulated, downloaded = notes(machine)
    assert "install -s --no-install-recommends tshark" in simulated
    assert downloaded.endswith("download libthing tshark")
    home = machine / "a clone" / ".cache" / "counterparts"
    moved = home.rename(machine / "moved")
    said = subprocess.run(  # noqa: S603 - ours
        [moved / "bin" / "tshark", "-r", "a b"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said.startswith("-r a b with ")
    assert str(moved / "tree" / "usr" / "lib" / "x86_64-linux-gnu") in said


def test_what_was_fetched_is_not_fetched_again(machine: Path) -> None:
    for _ in range(2):
        assert call(machine, "tshark").returncode == 0
    assert len(notes(machine)) == 2


def test_where_the_machine_knows_no_such_package_own_lists_are_fetched(machine: Path) -> None:
    assert call(machine, "tshark", STALE="yes").returncode == 0
    assert [line.rsplit(" ", 1)[-1] for line in notes(machine)][:2] == ["tshark", "update"]
    assert all("Dir::State::lists" in line for line in notes(machine)[1:])


def test_what_cannot_be_fetched_is_told(machine: Path) -> None:
    (machine / "bin" / "apt-get").write_text("#!/bin/sh\necho E: no network >&2\nexit 100\n")
    done = call(machine, "tshark", "editcap")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-2:] == [
        "E: no network",
        "Not to be fetched: tshark editcap (packages of Debian: tshark wireshark-common).",
    ]


def test_on_another_system_it_says_what_it_needs(machine: Path) -> None:
    (machine / "bin" / "apt-get").unlink()
    done = call(machine, "editcap")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "For some tests put these on the PATH: editcap (packages of Debian: wireshark-common).\n"
    )


def test_wrong_usage_is_told(machine: Path) -> None:
    assert call(machine).returncode == 2
    done = call(machine, "nosuchprogram")
    assert (done.returncode, notes(machine)) == (2, [])
    assert done.stderr == "scripts/counterparts knows no program called nosuchprogram\n"
