"""The documentation tells the truth: what it shows runs, and gives what it shows.

In README and docs, blocks marked `python` run; those with `>>>` must give the output below them,
those with a title are whole programs. Blocks marked `console` are run line by line, and what they
show is compared: standard output first, then standard error; `…` stands for any text, on a line of
its own for any lines.
"""

import doctest
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import inverterproto
from docs import hooks
from inverterproto.alphaess import messages as alphaess_messages
from inverterproto.alphaess.fields import FIELDS
from inverterproto.deye import modbus, payloads
from inverterproto.deye.commands import reply
from inverterproto.deye.frame import Frame
from inverterproto.deye.layouts import MODULES, layout_of
from inverterproto.deye.messages import TYPES, Message
from inverterproto.layout import Layout
from inverterproto.quantity import QUANTITIES
from tests.vectors import FIXTURES, raw

ROOT = FIXTURES.parent
PAGES = sorted([*ROOT.glob("*.md"), FIXTURES / "README.md", *(ROOT / "docs").rglob("*.md")])
LONGEST = 20  # seconds that a program of the documentation may take


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


class Block(NamedTuple):
    page: Path
    line: int
    language: str
    title: str
    text: str

    @property
    def place(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


_FENCE = re.compile(r'^( *)```(\w+)(?: title="([^"]+)")?\n(.*?)^\1```$', re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for fence in _FENCE.finditer(text):
        line = text.count("\n", 0, fence.start()) + 1
        indent, language, title, body = fence.groups()
        body = "\n".join(each.removeprefix(indent) for each in body.splitlines())
        yield Block(page, line, language, title or "", body + "\n")


def pages_with(language: str) -> list[Path]:
    return [page for page in PAGES if any(b.language == language for b in blocks(page))]


# Python


@pytest.mark.parametrize("page", pages_with("python"), ids=name_of)
def test_python_examples_of_a_page_run_and_give_what_they_show(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    scope: dict[str, Any] = {}
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
    for block in blocks(page):
        if block.language != "python" or block.title:
            continue
        if ">>>" not in block.text:
            exec(compile(block.text, block.place, "exec"), scope)  # noqa: S102 - our own example
            continue
        examples = doctest.DocTestParser().get_doctest(
            block.text, scope, block.place, str(page), block.line
        )
        for example in examples.examples:
            example.want = example.want.replace("…", "...")
        said: list[str] = []
        runner.run(examples, out=said.append, clear_globs=False)
        assert not said, "".join(said)
        scope = examples.globs


class Running(NamedTuple):
    """A program of the documentation that listens."""

    process: "subprocess.Popen[str]"
    port: int


def programs() -> dict[str, str]:
    return {b.title: b.text for page in PAGES for b in blocks(page) if b.title}


@pytest.fixture(params=["asyncio_server.py", "threaded_server.py"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    path = tmp_path / request.param
    path.write_text(programs()[request.param], encoding="utf-8")
    command = [sys.executable, "-u", str(path), "127.0.0.1", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ours
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().rpartition(" ")[2])
            yield Running(process, port)
        finally:
            process.kill()


def test_the_servers_of_the_documentation_answer_a_logger_correctly(server: Running) -> None:
    """Real frames, one cut in two, two in one segment, junk between; each request is answered."""
    first, second, hello = raw("micro-5408-realtime"), raw("heartbeat"), raw("handshake-130")
    with socket.create_connection(("127.0.0.1", server.port), timeout=LONGEST) as logger:
        replies = logger.makefile("rb")
        for sent, asked in (
            ((hello[:20], hello[20:]), [hello]),
            ((b"AT+YZCMPVER=1\r\n\n" + first + second,), [first, second]),
            ((raw("modbus-read-reply") + second,), [second]),
        ):
            for chunk in sent:
                logger.sendall(chunk)
            for request in asked:
                answer = Frame.parse(replies.read(23))
                time = Message.parse(answer).fields["time"]
                assert answer == reply(Frame.parse(request), time)
        logger.shutdown(socket.SHUT_WR)
        assert replies.read() == b""
    server.process.kill()
    said = server.process.communicate(timeout=LONGEST)[0]
    assert "2301234567" in said, "the reading is printed"


def test_the_servers_of_the_documentation_outlive_a_logger_that_resets(server: Running) -> None:
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", server.port), timeout=LONGEST) as logger:
            logger.sendall(raw("heartbeat")[:5])
            logger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with socket.create_connection(("127.0.0.1", server.port), timeout=LONGEST) as logger:
        logger.sendall(raw("heartbeat"))
        assert Frame.parse(logger.makefile("rb").read(23)).control_code == 0x1710


def test_the_server_examples_are_short() -> None:
    for title, text in programs().items():
        assert len(text.splitlines()) <= 30, title


# The command line


class Call(NamedTuple):
    command: str
    shown: str


def calls(block: Block) -> Iterator[Call]:
    parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
    assert not parts[0], f"{block.place}: a console block begins with a command"
    for part in parts[1:]:
        command, _, shown = part.partition("\n")
        while command.endswith("\\"):
            more, _, shown = shown.partition("\n")
            command = f"{command}\n{more.removeprefix('> ')}"
        yield Call(command, shown)


def _matches(shown: str, output: str) -> bool:
    pattern = ""
    for line in shown.rstrip("\n").splitlines():
        if line.strip() == "…":
            pattern += r"(?:[^\n]*\n)*"
        else:
            pattern += ".*".join(map(re.escape, line.rstrip().split("…"))) + r" *\n"
    return re.fullmatch(pattern, output) is not None


CONSOLE = [b for page in PAGES for b in blocks(page) if b.language == "console"]
NOT_RUN = ("pipx ", "scripts/", "git ", "pip ", ".venv/", "mkdocs ", "pytest", "ruff ", "mypy")
"""Commands that a reader types and no test can: they install, or run all the tests."""


@pytest.mark.parametrize("block", CONSOLE, ids=[block.place for block in CONSOLE])
def test_console_examples_give_what_they_show(block: Block) -> None:
    bin_ = Path(sys.executable).parent
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("INVERTERPROTO_")},
        "PATH": f"{bin_}:{os.environ['PATH']}",
        "XDG_CONFIG_HOME": "/nonexistent",
        "PYTHONIOENCODING": "utf-8",
    }
    status = 0
    if "| jq " in block.text and shutil.which("jq") is None:
        pytest.skip("there is no jq here")
    for call in calls(block):
        if call.command.startswith(NOT_RUN):
            assert not call.shown.strip(), f"{block.place}: output of a command that is not run"
            continue
        if call.command == "echo $?":
            assert call.shown.strip() == str(status), block.place
            continue
        done = subprocess.run(  # noqa: S603 - our own example
            ["sh", "-c", call.command],  # noqa: S607 - whatever sh there is
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=LONGEST,
            check=False,
        )
        status = done.returncode
        output = done.stdout + done.stderr
        assert _matches(call.shown, output), f"{block.place}: {call.command}\n{output}"


def test_the_only_commands_that_are_shown_exist() -> None:
    from inverterproto_cli.main import COMMANDS

    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        named = re.findall(r"^(?:\$ |.*\| )inverterproto ([a-z][a-z-]*)", text, re.MULTILINE)
        assert set(named) <= COMMANDS.keys(), name_of(page)


# Links


def _anchors(text: str) -> set[str]:
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", head).strip().lower() for head in heads)
    return {re.sub(r"[\s-]+", "-", head) for head in plain}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        to = (page.parent / path).resolve() if path else page
        assert to.exists(), target
        if anchor:
            filled = hooks.on_page_markdown(to.read_text(encoding="utf-8"))
            assert anchor in _anchors(filled), target


def test_nothing_is_fetched_from_elsewhere_when_the_pages_are_read() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert "font: false" in text
    assert "://" not in text


# What is made from declarations


@cache
def filled(name: str) -> str:
    return hooks.on_page_markdown((ROOT / "docs" / name).read_text(encoding="utf-8"))


def _every_layout() -> list[tuple[str, ...]]:
    named = [
        (name,)
        for name, value in vars(payloads).items()
        if isinstance(value, Layout) and value.size
    ]
    forms = [("WIFI_FORMS", f"0x{sub_id:02X}") for sub_id in payloads.WIFI_FORMS]
    data = [(f"0x{sensor_type:04X}",) for sensor_type in MODULES]
    return [*data, *named, *forms, ("HEAD_ONLY",)]


@pytest.mark.parametrize("words", _every_layout(), ids=" ".join)
def test_every_layout_has_its_table_with_all_its_fields(words: tuple[str, ...]) -> None:
    page = (ROOT / "docs/protocol/deye-v5-fields.md").read_text(encoding="utf-8")
    assert f"<!-- table: layout {' '.join(words)} -->" in page
    table = hooks.layout_table(*words)
    layout = hooks.layout_at(*words)
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    assert len(rows) == len(layout.fields)
    for row, field in zip(rows, layout.fields, strict=True):
        assert row.startswith(f"| {field.offset} | {field.type_name} | `{field.name}` |")
        assert field.source in row
        assert field.meaning.replace("|", "\\|") in row
        assert f"`{field.quantity}`" in row if field.quantity else True
        assert f"| {field.private} |" in row if field.private else True
    assert ("**Not checked on real bytes.**" in table) is not layout.checked


def test_the_tables_tell_how_values_follow_from_raw_integers() -> None:
    micro, tsun = hooks.layout_table("0x5408"), hooks.layout_table("0x02B0")
    assert "| 37 | u32le | `energy_total` | raw / 10; raw 0: none | kWh | `energy_total` |" in micro
    assert "| 205 | u16be | `inverter_temperature` | raw − 40 | °C |" in tsun
    assert "| 287 | u16be | `input_coefficient` | raw × 100 / 1024 | % |" in tsun
    assert "| (raw − 1000) / 10 | °C |" in hooks.layout_table("0x5411")
    assert "| −`battery_current` | A |" in hooks.layout_table("0x3026")


def test_every_alphaess_key_has_its_row() -> None:
    page = filled("protocol/alphaess-fields.md")
    for field in FIELDS:
        assert f"| `{field.name}` |" in page


def test_every_quantity_has_its_row() -> None:
    page = filled("quantities.md")
    for entry in QUANTITIES.values():
        assert f"| `{entry.key}` | {entry.unit or ''} | {entry.meaning}" in page


def test_every_message_type_and_modbus_function_has_its_row() -> None:
    page = filled("protocol/deye-v5.md")
    for code, entry in TYPES.items():
        assert f"| 0x{code:02X} | `{entry.name}` |" in page
    for code, function in modbus.FUNCTIONS.items():
        assert f"| {code} | {function.name} |" in page


def test_every_alphaess_message_has_its_row() -> None:
    page = (ROOT / "docs/protocol/alphaess.md").read_text(encoding="utf-8")
    for (direction, command), entry in alphaess_messages.TYPES.items():
        sender = {"device": "battery", "cloud": "cloud"}[entry.sender or ""]
        assert f"| {direction}, {command} | {sender} | `{entry.name}` |" in page


def test_no_marker_is_left() -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        left = filled(str(page.relative_to(ROOT / "docs")))
        assert not re.search(r"^<!--", left, re.MULTILINE), name_of(page)


def test_every_public_name_is_described_once() -> None:
    page = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
    described = [
        name
        for names in re.findall(r"<!-- api: inverterproto (.+) -->", page)
        for name in names.split()
    ]
    assert sorted(described) == sorted(inverterproto.__all__)
    for name in described:
        assert f"#### `{name}`\n" in filled("reference.md")


def test_the_readme_names_every_device_and_whether_it_was_checked() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    for sensor_type in MODULES:
        layout = layout_of(sensor_type)
        assert layout is not None
        checked = "yes" if layout.checked else "no"
        assert re.search(rf"^\| 0x{sensor_type:04X} \|.*\| {checked} \|", page, re.MULTILINE)


# The JSON contract


def _keys(value: object, under: str = "") -> Iterator[str]:
    """Yield the keys of the contract: not those of fields and values, which are the protocol's."""
    if isinstance(value, list):
        for part in value:
            yield from _keys(part, under)
    if isinstance(value, dict):
        for key, part in value.items():
            yield key
            if key not in {"fields", "values"}:
                yield from _keys(part, key)


def test_every_key_of_the_json_is_documented() -> None:
    data = b"".join(bytes.fromhex(p.read_text()) for p in sorted(FIXTURES.rglob("*.hex")))
    broken = bytearray(raw("heartbeat"))
    broken[-2] ^= 1
    found = inverterproto.decode(data + broken + b"junk")
    keys = {key for decoded in found for key in _keys(decoded.to_json())}
    assert {"tentative", "readings", "values"} <= keys
    page = (ROOT / "docs/json.md").read_text(encoding="utf-8")
    for key in keys | {"at", "connection", "input"}:
        assert re.search(rf"^\|[^|]*`{key}`[^|]*\|", page, re.MULTILINE), key


def test_the_json_examples_are_json() -> None:
    for page in PAGES:
        for block in blocks(page):
            if block.language == "json":
                json.loads(block.text)


# Style


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_headings_go_down_one_step_at_a_time(page: Path) -> None:
    text = re.sub(
        r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    depths = [len(marks) for marks in re.findall(r"^(#+) ", text, re.MULTILINE)]
    assert depths[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(depths))


def test_the_unit_that_is_shown_is_that_of_the_example() -> None:
    unit = (ROOT / "docs" / "example" / "inverterproto.service").read_text("utf-8").splitlines()
    [shown] = [b for b in blocks(ROOT / "docs" / "point-a-device.md") if b.language == "ini"]
    assert set(shown.text.splitlines()) <= set(unit)
