"""The units and containers of docs/example say what this program understands."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import click
import pytest

from inverterproto_cli.main import COMMANDS, group
from inverterproto_cli.proxy import LISTEN
from inverterproto_cli.sinks.settings import configured

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "docs" / "example"
UNIT = EXAMPLE / "inverterproto.service"
DROP_IN = EXAMPLE / "proxy.conf"
PROGRAM = "/usr/local/bin/inverterproto"
PAGE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")


def understood(arguments: list[str]) -> click.Context:
    """Return what a server would go by: its options, and the sinks that it opens."""
    command = group.get_command(click.Context(group), arguments[0])
    assert command is not None, arguments
    return command.make_context(arguments[0], arguments[1:])


def variables() -> set[str]:
    """Return all that an environment may hold."""
    found: set[str] = set()
    for name in COMMANDS:
        command = group.get_command(click.Context(group), name)
        assert command is not None
        for option in command.params:
            text = option.envvar or ()
            found |= {text} if isinstance(text, str) else set(text)
            # A secret may stand there itself, and not only the name of its file.
            found |= {each.removesuffix("_FILE") for each in found}
    return found


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in variables():
        monkeypatch.delenv(name, raising=False)


# systemd


def settings(path: Path) -> list[tuple[str, str]]:
    """Return the lines of a unit, with those that go on put together."""
    text = re.sub(r"\\\n\s*", "", path.read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line and line[0] not in "#["]
    return [(key, value) for key, _, value in (line.partition("=") for line in lines)]


def started(path: Path) -> list[str]:
    """Return what a unit starts, without the program's name."""
    program, *arguments = shlex.split([v for k, v in settings(path) if k == "ExecStart"][-1])
    assert program == PROGRAM
    return arguments


def test_the_unit_starts_a_server_that_this_program_has() -> None:
    assert understood(started(UNIT)).params["http"] is None


def test_the_unit_keeps_the_store_in_the_only_folder_that_it_may_write() -> None:
    said = settings(UNIT)
    assert {
        ("DynamicUser", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("NoNewPrivileges", "yes"),
        ("StateDirectory", "inverterproto"),
        ("StateDirectoryMode", "0700"),
        ("UMask", "0077"),
    } <= set(said)
    assert ("Environment", "INVERTERPROTO_STORE=%S/inverterproto/inverterproto.db") in said
    once = [key for key, _ in said if key != "Environment"]
    assert len(once) == len(set(once))


def test_the_drop_in_opens_its_sinks_with_the_secrets_that_it_is_given(tmp_path: Path) -> None:
    given = [value.split(":")[0] for key, value in settings(DROP_IN) if key == "LoadCredential"]
    for name in given:
        (tmp_path / name).write_text(f"secret of {name}, long enough to be one\n")
    (cleared, _) = [value for key, value in settings(DROP_IN) if key == "ExecStart"]
    assert cleared == "", "a drop-in replaces what the unit starts"
    text = shlex.join(started(DROP_IN))
    assert set(re.findall(r"%d/([\w-]+)", text)) == set(given)
    assert set(re.findall(r"%S/(\w+)", text)) == {"inverterproto"}
    folders = {"%d": tmp_path, "%S": tmp_path / "state"}
    context = understood(
        shlex.split(re.sub("%[dS]", lambda found: str(folders[found[0]]), text)),
    )
    with context:
        sinks = {sink.name: sink.values for sink in configured(context)}
    assert sinks["mqtt"]["password"] == "secret of mqtt-password, long enough to be one"
    assert sinks["files"]["folder"] == str(tmp_path / "state" / "inverterproto" / "readings")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
@pytest.mark.parametrize("drop_ins", [(), (DROP_IN,)], ids=["alone", "with the drop-in"])
def test_systemd_has_nothing_to_say_of_the_unit(tmp_path: Path, drop_ins: tuple[Path, ...]) -> None:
    (tmp_path / "inverterproto.service.d").mkdir()
    copies = {UNIT: tmp_path / UNIT.name}
    copies |= {each: tmp_path / "inverterproto.service.d" / each.name for each in drop_ins}
    for path, copy in copies.items():
        # It looks whether the program is there.
        copy.write_text(path.read_text(encoding="utf-8").replace(PROGRAM, sys.executable))
    done = subprocess.run(  # noqa: S603 - our own choice
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / UNIT.name)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in (done.stdout + done.stderr).splitlines() if "inverterproto" in line]
    assert (done.returncode, said) == (0, [])


# Containers


def instructions() -> list[tuple[str, str]]:
    """Return the lines of the Dockerfile, with those that go on put together."""
    text = (EXAMPLE / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", text)).splitlines()
    return [(key, value) for key, _, value in (line.partition(" ") for line in lines if line)]


def the(name: str) -> str:
    """Return what the only instruction of a name says."""
    (value,) = [value for key, value in instructions() if key == name]
    return value


def compose() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")
    found: dict[str, Any] = yaml.safe_load((EXAMPLE / "compose.yaml").read_text(encoding="utf-8"))
    return found


def test_the_image_begins_with_python_and_starts_a_server_that_this_program_has() -> None:
    assert re.fullmatch(r"python:3\.1[1-9]-slim", the("FROM"))
    (program,) = json.loads(the("ENTRYPOINT"))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'{program} = "inverterproto_cli.main:main"' in project
    assert understood(json.loads(the("CMD")))


def test_what_the_image_installs_is_an_extra_of_this_project() -> None:
    (extra,) = re.findall(r"'inverterproto\[(\w+)\]'", the("RUN"))
    assert f"\n{extra} = [" in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for key, value in instructions():
        if key in {"COPY", "ADD"}:
            assert all((EXAMPLE / source).exists() for source in value.split()[:-1]), value


def test_the_image_runs_as_nobody_who_may_write_the_volume_only() -> None:
    assert the("USER") == "nobody"
    order = [key for key, _ in instructions()]
    assert order.index("RUN") < order.index("USER") < order.index("VOLUME")
    assert f"-o nobody -g nogroup -m 0700 {the('VOLUME')}" in the("RUN")
    told = dict(pair.split("=", 1) for pair in the("ENV").split())
    assert set(told) <= variables()
    assert told["INVERTERPROTO_STORE"] == f"{the('VOLUME')}/inverterproto.db"


def test_the_image_tells_the_ports_that_devices_call() -> None:
    ports = [address.rpartition(":")[2] for address in LISTEN.values()]
    assert the("EXPOSE").split() == ports


@pytest.fixture(params=[200, 503])
def health(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """Return a port where the answer to /healthz is a status, and that status."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(request.param if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, request.param
        server.shutdown()


def test_the_container_is_healthy_while_healthz_says_so(health: tuple[int, int]) -> None:
    port, status = health
    told = dict(pair.split("=", 1) for pair in the("ENV").split())["INVERTERPROTO_HTTP"]
    _, text = the("HEALTHCHECK").split(" CMD ")
    program, *arguments = json.loads(text)
    assert program == "python3"
    assert told in arguments[-1]
    arguments[-1] = arguments[-1].replace(told, f"127.0.0.1:{port}")
    done = subprocess.run([sys.executable, *arguments], capture_output=True, check=False)  # noqa: S603
    assert (done.returncode == 0) is (status == 200)


def test_the_services_fit_the_image_and_each_other() -> None:
    said = compose()
    service = said["services"]["inverterproto"]
    assert (EXAMPLE / service["build"] / "Dockerfile").is_file()
    assert service["volumes"] == [f"{name}:{the('VOLUME')}" for name in said["volumes"]]
    assert [port.split(":")[-1] for port in service["ports"]] == the("EXPOSE").split()
    assert set(service["depends_on"]) < set(said["services"])
    context = understood(service["command"])
    with context:
        sinks = {sink.name: sink.values for sink in configured(context)}
    assert sinks["mqtt"]["broker"] in service["depends_on"]
    assert sinks["files"]["folder"].startswith(f"{the('VOLUME')}/")


# The page


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_what_the_page_shows_of_the_drop_in_stands_there() -> None:
    environment, shown = blocks("ini")
    assert set(shown.splitlines()) <= set(DROP_IN.read_text(encoding="utf-8").splitlines())
    named = {line.partition("=")[0] for line in environment.splitlines()}
    assert named
    assert named <= variables()


def test_the_secret_of_the_page_reaches_the_container(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    (text,) = blocks("yaml")
    said = yaml.safe_load(text)
    service = said["services"]["inverterproto"]
    assert service["secrets"] == list(said["secrets"])
    for name in said["secrets"]:
        (tmp_path / name).write_text("secret\n")
    command = [word.replace("/run/secrets", str(tmp_path)) for word in service["command"]]
    with understood(command) as context:
        (sink,) = configured(context)
    assert sink.values["password"] == "secret"
