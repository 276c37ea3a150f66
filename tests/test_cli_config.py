"""`inverterproto config`: what is in force, from where; and the template."""

import json
import re
import tomllib
from pathlib import Path

import click
import pytest

from inverterproto_cli.configuration import SecretOption, SinkOption, defaults
from inverterproto_cli.main import COMMANDS, group
from inverterproto_cli.sinks.registry import BUILT_IN
from inverterproto_cli.sinks.settings import COMMON
from tests.conftest import invoke


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the configuration is looked for."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = tmp_path / "inverterproto" / "config.toml"
    path.parent.mkdir()
    return path


def in_force(*words: str) -> dict[str, dict[str, dict[str, object]]]:
    shown = invoke("config", *words, "--json")
    assert (shown.code, shown.err) == (0, "")
    found: dict[str, dict[str, dict[str, object]]] = json.loads(shown.out)
    return found


class TestInForce:
    def test_each_value_tells_where_it_comes_from(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file.write_text('[fake-server]\nheartbeat = 30\nkeep_days = 10\nlisten = ["a:1", "b:2"]\n')
        monkeypatch.setenv("INVERTERPROTO_HEARTBEAT", "20")
        options = in_force("fake-server")["fake-server"]
        assert options["heartbeat"] == {
            "value": 20, "source": "environment", "place": "INVERTERPROTO_HEARTBEAT",
        }  # fmt: skip
        assert options["keep-days"] == {"value": 10.0, "source": "file", "place": str(file)}
        assert options["listen"]["value"] == ["a:1", "b:2"]
        assert options["resume"] == {"value": True, "source": "default", "place": None}
        assert options["capture"] == {"value": None, "source": "default", "place": None}

    def test_every_command_is_shown_and_sub_commands_after_their_group(self) -> None:
        shown = list(in_force())
        assert {name.partition(" ")[0] for name in shown} == set(COMMANDS)
        assert shown.index("devices") + 1 == shown.index("devices forget")
        assert "layout show" in shown
        assert "layout" not in shown  # it has no options of its own

    def test_flags_that_share_a_parameter_are_told_apart(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("INVERTERPROTO_FORM", "csv")
        options = in_force("decode")["decode"]
        assert (options["json"]["value"], options["csv"]["value"]) == (False, True)

    def test_people_get_tables_with_defaults_in_words(self, file: Path) -> None:
        shown = invoke("config", "fake-server")
        assert shown.err == f"no file: there is none at {file}\n"
        assert shown.out.startswith("[fake-server]\noption ")
        assert re.search(r"^allow +loopback and private ones +default$", shown.out, re.MULTILINE)

    def test_a_sub_command_is_asked_for_by_its_words(self) -> None:
        assert list(in_force("layout", "show")) == ["layout show"]
        assert len(in_force("layout")) > 3

    @pytest.mark.parametrize("words", [("nosuch",), ("layout", "nosuch"), ("decode", "json")])
    def test_a_command_that_is_none_is_wrong_usage(self, words: tuple[str, ...]) -> None:
        shown = invoke("config", *words)
        assert (shown.code, shown.out) == (2, "")
        assert "No such command" in shown.err

    def test_what_is_wrong_in_the_file_is_told_whatever_command_it_is_of(self, file: Path) -> None:
        file.write_text("[decode]\nnosuch = 1\n")
        shown = invoke("config", "layout")
        assert shown.code == 2
        assert "decode has no option 'nosuch'" in shown.err

    def test_what_is_wrong_in_the_environment_is_told(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("INVERTERPROTO_HEARTBEAT", "soon")
        shown = invoke("config", "fake-server")
        assert shown.code == 2
        assert "soon" in shown.err


class TestSubCommands:
    def test_a_table_in_a_table_is_that_of_a_sub_command(self, file: Path) -> None:
        file.write_text("[layout.show]\njson = true\n")
        assert in_force("layout", "show")["layout show"]["json"]["source"] == "file"
        assert invoke("layout", "show", "0x5408").out.startswith("{")
        assert not invoke("layout", "list").out.startswith("{")

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("[layout.nosuch]\njson = true", "layout has no option 'nosuch'"),
            ("[layout.show]\nnosuch = true", "layout show has no option 'nosuch'"),
            ("[layout.show]\njson = 1", "json of layout show cannot be 1: it is true or false"),
            ("[layout]\nshow = 3", "layout has no option 'show'"),
            ("[decode.json]\na = 1", "json of decode cannot be {'a': 1}"),
            ('[decode]\nconfidence = "D"', "config.toml)"),
        ],
    )
    def test_what_is_wrong_in_it_is_told(self, file: Path, text: str, complaint: str) -> None:
        file.write_text(text)
        shown = invoke("layout" if "layout" in text else "decode", "list")
        assert shown.code == 2
        assert complaint in shown.err


class TestSecrets:
    @pytest.fixture(autouse=True)
    def _with_a_secret(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let there be a command that has one."""

        @click.command("decode")
        @click.option("--token", cls=SecretOption, envvar="INVERTERPROTO_TOKEN", help="Secret.")
        def command(token: str) -> None: ...

        monkeypatch.setattr("inverterproto_cli.decode.command", command)

    @pytest.mark.parametrize("options", [(), ("--json",), ("--template",)])
    def test_they_are_shown_nowhere(
        self, options: tuple[str, ...], file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file.write_text('[decode]\ntoken = "hunter2"\n')
        shown = invoke("config", *options)
        assert "token" in shown.out
        assert "hunter2" not in shown.out + shown.err
        monkeypatch.setenv("INVERTERPROTO_TOKEN", "swordfish")
        shown = invoke("config", *options)
        assert "swordfish" not in shown.out + shown.err

    def test_that_one_is_set_is_shown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert in_force("decode")["decode"]["token"]["value"] is None
        monkeypatch.setenv("INVERTERPROTO_TOKEN", "swordfish")
        assert in_force("decode")["decode"]["token"]["value"] == "(set; not shown)"

    def test_one_of_a_wrong_kind_is_not_quoted(self, file: Path) -> None:
        file.write_text('[decode]\ntoken = ["hunter2"]\n')
        shown = invoke("config")
        assert (shown.code, "hunter2" in shown.err) == (2, False)
        assert "token of decode cannot be: it is a text" in shown.err


class TestSinks:
    def test_what_is_configured_is_shown_with_where_it_comes_from_and_no_secret(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file.write_text(
            '[sink.home]\ntype = "mqtt"\nbroker = "mqtt://me:s3cret@broker:1884"\n'
            'password = "s3cret"\nbackfill = true\n'
            '[sink.hook]\ntype = "webhook"\nurl = "http://h/"\nheaders = {X-Api-Key = "s3cret"}\n'
        )
        monkeypatch.setenv("INVERTERPROTO_WEBHOOK", "http://h:1/hook/s3cret?key=s3cret")
        for shown in (invoke("config"), invoke("config", "--json")):
            assert shown.code == 0
            assert "s3cret" not in shown.out + shown.err
        sinks = in_force("sink")
        assert sinks.keys() == {"sink home", "sink hook", "sink webhook"}
        home, hook = sinks["sink home"], sinks["sink webhook"]
        assert home["broker"]["value"] == "mqtt://broker:1884"
        assert home["password"]["value"] == "(set; not shown)"
        assert home["backfill"] == {"value": True, "source": "file", "place": None}
        assert home["prefix"]["source"] == "default"
        assert hook["url"] == {"value": "http://h:1/…", "source": "environment", "place": None}
        people = invoke("config", "sink", "home").out
        assert re.search(r"^broker +mqtt://broker:1884 +file$", people, re.MULTILINE)

    def test_a_sink_in_the_table_of_a_server_is_told_where_it_belongs(self, file: Path) -> None:
        file.write_text('[proxy]\nmqtt = "localhost"\n')
        shown = invoke("proxy")
        assert shown.code == 2
        assert "[sink.mqtt]" in shown.err


class TestTemplate:
    def test_as_it_is_it_sets_nothing(self, file: Path) -> None:
        file.write_text(invoke("config", "--template").out)
        assert tomllib.loads(file.read_text()) == {}
        sources = {one["source"] for options in in_force().values() for one in options.values()}
        assert sources == {"default"}

    def test_with_every_line_uncommented_it_sets_every_option_of_every_command(
        self, file: Path
    ) -> None:
        lines = invoke("config", "--template").out.splitlines()
        file.write_text("\n".join(line.removeprefix("#") for line in lines))
        tables = tomllib.loads(file.read_text())
        sinks = tables.pop("sink")
        assert tables.keys() == COMMANDS.keys()
        assert sinks.keys() == {kind.name for kind in BUILT_IN}
        for kind in BUILT_IN:
            assert sinks[kind.name].keys() == {one.key for one in (*kind.settings, *COMMON)}
        context = click.Context(group)
        for name, table in tables.items():
            command = group.get_command(context, name)
            assert command is not None
            assert isinstance(defaults(command, table, str(file)), dict)
            missing = {
                option.name
                for option in command.params
                if isinstance(option, click.Option)
                and not isinstance(option, SinkOption)
                and not {spelling.lstrip("-") for spelling in option.opts} & table.keys()
            }
            assert not missing, name
            assert invoke(name, "--help").code == 0
        assert tables["devices"]["forget"]["yes"] is False
        assert tables["fake-server"]["heartbeat"] == 60

    def test_each_option_has_its_help_its_kind_and_its_variable(self) -> None:
        shown = invoke("config", "--template", "fake-server").out
        assert (
            "\n## Tell loggers to send a heartbeat so often.\n"
            "## a number; environment: INVERTERPROTO_HEARTBEAT\n#heartbeat = 60\n"
        ) in shown
        assert "#[decode]" not in shown
