"""The command line as a whole: help, configuration, imports, pipes, terminals."""
# ruff: noqa: S603 - all processes are our own

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest

from inverterproto_cli.configuration import default_config
from inverterproto_cli.main import COMMANDS
from tests.conftest import Run, decode, invoke
from tests.test_cli_decode import MICRO, STATUS, capture, status
from tests.vectors import raw

REALTIME, HEARTBEAT = raw("micro-5408-realtime"), raw("heartbeat")
PROGRAM = [
    sys.executable,
    "-c",
    "from inverterproto_cli.main import main; main()",
]
PATIENCE = 60
"""Seconds until a program that hangs fails its test."""


def run(*arguments: str | Path, stdin: bytes = b"", **environment: str) -> Run:
    """Run the command line in a process of its own."""
    done = subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        timeout=PATIENCE,
        env={**os.environ, **environment},
        check=False,
    )
    return Run(done.returncode, done.stdout.decode(), done.stderr.decode())


class TestHelp:
    @pytest.mark.parametrize("option", ["-h", "--help"])
    def test_help_names_every_command_with_its_line(self, option: str) -> None:
        shown = invoke(option)
        assert shown.code == 0
        for name, line in COMMANDS.items():
            assert re.search(rf"\n  {name} +{re.escape(line[:30])}", shown.out)

    @pytest.mark.parametrize("name", COMMANDS)
    def test_the_line_of_a_command_is_the_first_of_its_own_help(self, name: str) -> None:
        shown = invoke(name, "--help")
        assert shown.code == 0
        assert COMMANDS[name] in re.sub(r"\s+", " ", shown.out)

    def test_the_examples_of_the_help_are_true(self, tmp_path: Path) -> None:
        shown = invoke("decode", "--help").out
        (example,) = re.findall(r"inverterproto decode ((?:[0-9a-f]{2} )+[0-9a-f]{2})\n", shown)
        assert decode(*example.split()).err == "1 frame: 1 heartbeat\n"
        lines = tmp_path / "capture.jsonl"
        lines.write_text(capture({"data": HEARTBEAT.hex()}))
        assert decode("--json", lines).code == 0

    def test_without_a_command_it_is_help_and_wrong_usage(self) -> None:
        shown = invoke()
        assert shown.code == 2
        assert "Commands:" in shown.out + shown.err

    def test_an_unknown_command_is_wrong_usage(self) -> None:
        shown = invoke("decod")
        assert shown.code == 2
        assert "No such command 'decod'" in shown.err

    def test_the_version_is_that_of_the_package(self) -> None:
        shown = invoke("--version")
        assert (shown.code, shown.out[:14]) == (0, "inverterproto ")
        assert re.fullmatch(r"inverterproto \d+\.\d+\.\d+\S*\n", shown.out)


def imported(*arguments: str | Path, stdin: bytes = b"") -> set[str]:
    """Return the modules that a command imports."""
    program = (
        "import sys\n"
        "from inverterproto_cli.main import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end\n"
        "finally: print(*sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        timeout=PATIENCE,
        check=True,
    )
    return set(done.stderr.decode().splitlines()[-1].split())


HEAVY = {"construct", "msgspec", "rich", "crcmod", "json", "csv", "tomllib", "asyncio"}


class TestImports:
    def test_help_imports_nothing_heavy_and_none_of_the_codecs(self) -> None:
        modules = imported("--help")
        assert not modules & HEAVY
        assert {name for name in modules if name.startswith("inverterproto")} == {
            "inverterproto_cli",
            "inverterproto_cli.main",
        }

    def test_the_help_of_decode_imports_no_family(self) -> None:
        modules = imported("decode", "--help")
        assert not modules & HEAVY
        assert not {
            name for name in modules if re.match(r"inverterproto\.(deye|alphaess|layout)", name)
        }

    @pytest.mark.parametrize("form", ["--json", "--raw", "--csv"])
    def test_decoding_v5_imports_neither_rich_nor_msgspec_nor_the_other_family(
        self, form: str
    ) -> None:
        modules = imported("decode", form, MICRO)
        assert not modules & {"rich", "msgspec", "asyncio", "tomllib"}
        assert "inverterproto.alphaess.messages" not in modules
        assert "inverterproto.deye.layouts.micro_inverter" in modules
        assert "inverterproto.deye.layouts.hybrid" not in modules

    @pytest.mark.parametrize("form", ["--json", "--csv"])
    def test_decoding_a_battery_imports_neither_rich_nor_construct_nor_the_other_family(
        self, form: str
    ) -> None:
        modules = imported("decode", form, "-", stdin=STATUS)
        assert not modules & {"rich", "msgspec", "construct", "asyncio", "tomllib"}
        assert "inverterproto.deye.messages" not in modules

    def test_the_tree_of_a_battery_imports_neither_rich_nor_msgspec(self) -> None:
        modules = imported("decode", "-", stdin=STATUS)
        assert not modules & {"rich", "msgspec", "asyncio", "tomllib"}


class TestConfiguration:
    @pytest.fixture
    def config(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Where the configuration is looked for."""
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        path = tmp_path / "inverterproto" / "config.toml"
        path.parent.mkdir()
        assert default_config() == str(path)
        return path

    def test_it_is_looked_for_in_the_home_where_nothing_else_is_said(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XDG_CONFIG_HOME", "")
        monkeypatch.setenv("HOME", "/home/somebody")
        assert default_config() == "/home/somebody/.config/inverterproto/config.toml"

    def test_it_sets_the_options_of_a_command(self, config: Path) -> None:
        config.write_text(
            '[decode]\njson = true\nquiet = true\nconfidence = "C"\nclock-offset = 36000\n'
        )
        shown = decode("-", stdin=raw("solis-0504") + STATUS)
        solis, battery = map(json.loads, shown.out.splitlines())
        assert "reactive_power" in solis["readings"][0]["values"]
        assert battery["readings"][0]["time"] == "2021-03-24T00:01:52Z"
        assert shown.err == ""

    def test_an_option_may_be_spelled_with_an_underscore(self, config: Path) -> None:
        config.write_text("[decode]\nclock_offset = 36000.5\njson = true\n")
        shown = json.loads(decode("-", stdin=STATUS).out)
        assert shown["readings"][0]["time"] == "2021-03-24T00:01:51.500Z"

    def test_the_environment_wins_over_it_and_a_flag_over_both(
        self, config: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config.write_text('[decode]\nfamily = "alphaess"\njson = true\n')
        assert '"unframed"' in decode("-", stdin=HEARTBEAT).out
        assert decode("--csv", "-", stdin=HEARTBEAT).out.startswith("device,")
        monkeypatch.setenv("INVERTERPROTO_FAMILY", "deye")
        assert '"frame"' in decode("-", stdin=HEARTBEAT).out
        assert '"unframed"' in decode("--family", "alphaess", "-", stdin=HEARTBEAT).out

    def test_a_flag_may_be_true_or_false(self, config: Path) -> None:
        config.write_text("[decode]\njson = false\nstrict = false\n")
        shown = decode("-", stdin=HEARTBEAT + b"\0")
        assert (shown.code, shown.out[:9]) == (0, "heartbeat")
        config.write_text("[decode]\ncsv = true\nstrict = true\n")
        shown = decode("-", stdin=HEARTBEAT + b"\0")
        assert (shown.code, shown.out[:7]) == (1, "device,")

    @pytest.mark.parametrize("how", ["--config", "INVERTERPROTO_CONFIG"])
    def test_another_file_may_be_named(
        self, config: Path, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config.write_text("this is not read")
        other = tmp_path / "other.toml"
        other.write_text("[decode]\njson = true\n")
        options = ["--config", str(other)]
        if how != "--config":
            monkeypatch.setenv(how, str(other))
            options = []
        assert invoke(*options, "decode", "-", stdin=HEARTBEAT).out.startswith('{"type":"frame"')

    def test_an_empty_one_sets_nothing(self, config: Path) -> None:
        config.write_text("")
        assert decode("-", stdin=HEARTBEAT).code == 0

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("[decode", "Expected ']'"),
            ("[nosuch]\na = 1", "no command called 'nosuch'"),
            ("decode = 3", "no command called 'decode'"),
            ("json = true", "no command called 'json'"),
            ("[decode]\nnosuch = 1", "decode has no option 'nosuch'"),
            ("[decode]\nform = 'json'", "decode has no option 'form'"),
            ("[decode]\ninputs = ['a5']", "decode has no option 'inputs'"),
            ("[decode]\nquiet = 1", "quiet of decode cannot be 1: it is true or false"),
            ("[decode]\nquiet = 'yes'", "quiet of decode cannot be 'yes'"),
            ("[decode]\nfamily = true", "family of decode cannot be True: it is a text"),
            ("[decode]\nclock-offset = []", "clock-offset of decode cannot be []: it is a number"),
            ("[decode]\nconfidence = 1979-05-27", "confidence of decode cannot be datetime"),
            ("[decode]\nlayout = 'x.toml'", "layout of decode cannot be 'x.toml': it is a list of"),
            ("[decode]\nlayout = ['x.toml']", "inverterproto/x.toml: No such file"),
            ("[decode]\nfamily = 'growatt'", "'--family'"),
            ("[decode]\nclock-offset = nan", "'--clock-offset'"),
            ("[decode]\nclock-offset = 'soon'", "'--clock-offset'"),
        ],
    )
    def test_what_is_wrong_in_it_is_told_and_is_wrong_usage(
        self, config: Path, text: str, complaint: str
    ) -> None:
        config.write_text(text)
        shown = decode("-", stdin=HEARTBEAT)
        assert (shown.code, shown.out) == (2, "")
        assert complaint in shown.err

    @pytest.mark.parametrize("name", COMMANDS)
    def test_each_command_is_called_by_its_own_name(self, config: Path, name: str) -> None:
        config.write_text(f"[{name}]\nnosuch = 1")
        assert f"{name} has no option 'nosuch'" in invoke(name).err

    def test_bytes_that_are_no_text_are_told(self, config: Path) -> None:
        config.write_bytes(b"\xff\xfe[decode]")
        shown = decode("-", stdin=HEARTBEAT)
        assert shown.code == 2
        assert f"configuration {config}: " in shown.err

    def test_one_that_is_named_must_be_there(self, tmp_path: Path) -> None:
        shown = invoke("--config", str(tmp_path / "nosuch.toml"), "decode", "a5")
        assert shown.code == 2
        assert f"{tmp_path / 'nosuch.toml'}: No such file or directory" in shown.err

    def test_an_option_that_may_be_given_several_times_takes_a_list_of_texts(self) -> None:
        import click

        from inverterproto_cli.configuration import defaults

        @click.command("serve")
        @click.option("--listen", multiple=True)
        def serve() -> None: ...

        table: dict[str, Any] = {"listen": ["deye=0.0.0.0:10000", "alphaess=[::]:7777"]}
        assert defaults(serve, table, "here") == table
        for wrong in ("deye", [1], 1):
            with pytest.raises(click.UsageError, match="listen of serve cannot be"):
                defaults(serve, {"listen": wrong}, "here")


def wait_until_it_waits(process: subprocess.Popen[bytes]) -> None:
    """Return when a process has nothing to do but to wait for input."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        state = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
        if state == "S":
            return
    pytest.fail("it never waited")


MANY = 2000
"""Frames whose text fits no pipe's buffer."""


class TestPipes:
    @pytest.mark.parametrize("form", [(), ("--json",), ("--csv",), ("--raw",)])
    def test_a_reader_that_has_enough_is_no_error(
        self, form: tuple[str, ...], tmp_path: Path
    ) -> None:
        dump = tmp_path / "dump.bin"
        dump.write_bytes(REALTIME * MANY)
        with subprocess.Popen(
            [*PROGRAM, "decode", *form, str(dump)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.read(1)
            process.stdout.close()
            complaints = process.stderr.read().decode()
            assert process.wait(PATIENCE) == 0
        assert complaints == ""

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk here")
    @pytest.mark.parametrize("frames", [1, MANY])
    def test_a_full_disk_is_told_in_a_line(self, frames: int) -> None:
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [*PROGRAM, "decode", "-q", "--json", "-"],
                input=REALTIME * frames,
                stdout=full,
                stderr=subprocess.PIPE,
                timeout=PATIENCE,
                check=False,
            )
        assert (done.returncode, done.stderr) == (1, b"Error: No space left on device\n")

    @pytest.mark.parametrize(
        ("closed", "complaint"),
        [
            (">&-", "Error: standard output is closed\n"),
            ("<&-", "Error: -: standard input is closed\n"),
        ],
    )
    def test_what_is_closed_is_told_in_a_line(self, closed: str, complaint: str) -> None:
        program = f'exec "$0" "$@" {closed}'
        done = subprocess.run(
            ["/bin/sh", "-c", program, *PROGRAM, "decode"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert (done.returncode, done.stderr) == (1, complaint)

    def test_a_live_stream_is_shown_as_it_comes(self) -> None:
        with subprocess.Popen(
            [*PROGRAM, "decode", "--json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for _ in range(3):
                process.stdin.write(HEARTBEAT)
                process.stdin.flush()
                readable, _, _ = select.select([process.stdout], [], [], PATIENCE)
                assert readable
                assert json.loads(process.stdout.readline())["name"] == "heartbeat"
            process.stdin.close()
            assert process.wait(PATIENCE) == 0

    @pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks Linux for its state")
    @pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
    def test_who_stops_a_live_stream_has_all_that_came(self, stop: signal.Signals) -> None:
        with subprocess.Popen(
            [*PROGRAM, "decode", "--csv"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stdin is not None
            assert process.stderr is not None
            assert process.stdout is not None
            process.stdin.write(b"\0" + REALTIME)
            process.stdin.flush()
            assert process.stderr.readline() == b"no frame in 1 byte at 0: junk\n"
            wait_until_it_waits(process)
            process.send_signal(stop)
            assert process.wait(PATIENCE) == 0
            assert process.stderr.read() == b"1 frame: 1 data; 1 byte unframed\n"
            assert len(process.stdout.read().splitlines()) == 2

    def test_an_output_without_the_signs_of_units_is_written_to_all_the_same(self) -> None:
        shown = run("decode", MICRO, PYTHONIOENCODING="ascii")
        assert shown.code == 0
        assert r"27.7 \xb0C" in shown.out
        assert shown.out.isascii()


def on_a_terminal(*arguments: str | Path, both: bool = True, **environment: str) -> str:
    """Return what a terminal shows, of standard output too or of standard error only."""
    own, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (50, 200))
    with subprocess.Popen(
        [*PROGRAM, *map(str, arguments)],
        stdin=theirs,
        stdout=theirs if both else subprocess.DEVNULL,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "200", **environment},
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            readable, _, _ = select.select([own], [], [], PATIENCE)
            assert readable
            try:
                piece = os.read(own, 1 << 16)
            except OSError:  # so Linux says that nobody is left at the other side
                break
            if not piece:
                break
            shown += piece
        os.close(own)
        process.wait(PATIENCE)
    return shown.decode().replace("\r\n", "\n")


def plain(text: str) -> str:
    """Return what a terminal showed without its colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


class TestTerminal:
    def test_the_tree_is_in_colour(self) -> None:
        shown = on_a_terminal("decode", MICRO)
        assert "\x1b[1mdata\x1b[0m" in shown
        lines = plain(shown).splitlines()
        assert lines[0] == "data  Deye / Solarman V5  from device 2712345678  at 0, 343 bytes"
        assert any(
            re.fullmatch(r"├── +56 10 09 +grid_voltage_l1 +232\.0 V.*", line) for line in lines
        )
        assert any(re.fullmatch(r"└── reading 2301234567 .*", line) for line in lines)
        assert any(re.fullmatch(r" +└── pv_power +0\.0 W +.*", line) for line in lines)
        assert lines[-1] == "1 frame: 1 data"

    def test_colours_are_left_out_where_they_are_not_wanted(self) -> None:
        shown = on_a_terminal("decode", MICRO, NO_COLOR="1")
        assert not re.search(r"\x1b\[3\dm", shown)

    def test_a_command_s_body_and_a_damaged_frame_are_drawn_too(self, tmp_path: Path) -> None:
        dump = tmp_path / "dump.bin"
        dump.write_bytes(raw("modbus-read-reply") + HEARTBEAT[:5] + b"\1" + HEARTBEAT[6:])
        shown = plain(on_a_terminal("decode", "--raw", dump))
        assert re.search(r"\n│   └── +registers +\[266\]\n", shown)
        assert "TENTATIVE" in shown
        assert "?" not in shown.partition("0000  ")[2].partition("\n")[0]

    def test_what_it_would_act_upon_is_escaped(self, tmp_path: Path) -> None:
        evil = "\x1b]0;x\x07\u202e[red]"
        lines = tmp_path / "capture.jsonl"
        data = status(**{evil: evil}, EmsStatus=evil)
        lines.write_text(capture({"connection": evil, "from": evil, "data": data.hex() + "00"}))
        for form in ([], ["--raw"], ["--csv"], ["--json"]):
            shown = plain(on_a_terminal("decode", *form, lines))
            assert not set(shown) & {"\x1b", "\x07", "\u202e"}
            assert r"\u202e[red]" in shown

    def test_without_arguments_it_says_what_to_give(self) -> None:
        shown = on_a_terminal("decode")
        assert "Error: Give a file, '-' for standard input, or hex (see --help)." in shown

    def test_a_bar_shows_how_far_a_great_file_is(self, tmp_path: Path) -> None:
        dump = tmp_path / "dump.bin"
        with dump.open("wb") as file:
            file.truncate(5 << 20)
        shown = on_a_terminal("decode", "--json", dump, both=False)
        assert "decoding" in shown
        assert "100%" in shown

    def test_there_is_no_bar_for_small_files_nor_off_the_terminal(self, tmp_path: Path) -> None:
        assert on_a_terminal("decode", MICRO, both=False) == "1 frame: 1 data\n"
        dump = tmp_path / "dump.bin"
        with dump.open("wb") as file:
            file.truncate(5 << 20)
        shown = run("decode", "-q", "--json", dump)
        assert (shown.code, shown.err) == (1, "")
