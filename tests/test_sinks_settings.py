"""What the user wants of sinks: by flags, the environment, and the configuration file."""

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from inverterproto_cli.configuration import read_config
from inverterproto_cli.sinks import settings
from inverterproto_cli.sinks.settings import Configured, configured, sink_options
from inverterproto_cli.sinks.sink import Setting, SinkType
from tests.conftest import invoke
from tests.sinking import Recorder, kind_of

BROKER = SinkType(
    "broker",
    "A broker",
    (
        Setting("server", "Where it is.", metavar="HOST", environment=("OTHER_BROKER",)),
        Setting("port", "Its port.", int, default=1883),
        Setting("wait", "How long.", float, default=1.5),
        Setting("discover", "Tell of devices.", bool, default=True, flag="--discover"),
        Setting("twice", "Everything twice.", bool, default=False),
        Setting("ca", "Whom to trust.", metavar="FILE"),
        Setting("tag", "Something more.", list, default=()),
        Setting("names", "Of devices.", dict, default=None),
        Setting("token", "What lets in.", secret=True, environment=("OTHER_TOKEN",)),
    ),
    lambda _values, _around: Recorder(),
)


@pytest.fixture(autouse=True)
def _types(monkeypatch: pytest.MonkeyPatch) -> None:
    types = (BROKER, kind_of(lambda _values, _around: Recorder()))
    monkeypatch.setattr(settings, "BUILT_IN", types)
    monkeypatch.setattr("inverterproto_cli.sinks.registry.BUILT_IN", types)


class Found:
    """What came of a command line."""

    def __init__(self, code: int, text: str, sinks: list[Configured]) -> None:
        self.code = code
        self.text = text
        self.sinks = {one.name: one for one in sinks}


def find(
    tmp_path: Path, *arguments: str, file: str = "", env: dict[str, str] | None = None
) -> Found:
    """Return what a command line, a file and an environment want."""
    found: list[Configured] = []

    @click.group()
    @click.pass_context
    def group(ctx: click.Context) -> None:
        path = tmp_path / "config.toml"
        path.write_text(file)
        ctx.obj = read_config(str(path), ["go"])  # type: ignore[arg-type]

    @group.command("go")
    @sink_options
    @click.pass_context
    def go(ctx: click.Context, /, **_options: Any) -> None:  # noqa: ANN401
        found.extend(configured(ctx))

    result = CliRunner().invoke(group, ["go", *arguments], env=env or {})
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return Found(result.exit_code, result.output, found)


def test_no_flag_is_no_sink(tmp_path: Path) -> None:
    assert find(tmp_path).sinks == {}


def test_a_flag_makes_a_sink_with_all_that_is_not_said(tmp_path: Path) -> None:
    found = find(tmp_path, "--broker", "localhost").sinks["broker"]
    assert found.type is BROKER
    assert found.values == {
        "server": "localhost", "port": 1883, "wait": 1.5, "discover": True, "twice": False,
        "ca": None, "tag": (), "names": None, "token": None,
    }  # fmt: skip
    assert found[3:7] == (False, False, "B", False)


def test_flags_say_the_rest(tmp_path: Path) -> None:
    found = find(
        tmp_path, "--broker", "a", "--broker-port", "1", "--no-discover", "--broker-twice",
        "--broker-tag", "x", "--broker-tag", "y", "--backfill", "--include-simulated",
        "--sink-confidence", "c", "--all-fields",
    ).sinks["broker"]  # fmt: skip
    values = found.values
    assert (values["port"], values["discover"], values["twice"]) == (1, False, True)
    assert values["tag"] == ["x", "y"]
    assert found[3:7] == (True, True, "C", True)


def test_the_environment_makes_a_sink_too_by_either_name(tmp_path: Path) -> None:
    for name in ("INVERTERPROTO_BROKER", "OTHER_BROKER"):
        env = {name: "there", "INVERTERPROTO_BROKER_PORT": "7"}
        values = find(tmp_path, env=env).sinks["broker"].values
        assert (values["server"], values["port"]) == ("there", 7)


def test_a_secret_comes_from_the_environment_or_a_file_and_has_no_flag(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    for arguments, env in (
        ((), {"INVERTERPROTO_BROKER_TOKEN": "s3cret"}),
        ((), {"OTHER_TOKEN": "s3cret"}),
        (("--broker-token-file", str(tmp_path / "token")), {}),
    ):
        found = find(tmp_path, "--broker", "a", *arguments, env=env)
        assert found.sinks["broker"].values["token"] == "s3cret"
    assert find(tmp_path, "--broker", "a", "--broker-token", "s3cret").code == 2


def test_a_secret_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    found = find(tmp_path, "--broker", "a", "--broker-token-file", "/nowhere/token")
    assert found.code == 2
    assert "/nowhere/token" in found.text
    (tmp_path / "odd").write_bytes(b"\xff\xfe")
    assert (
        "no text"
        in find(tmp_path, "--broker", "a", "--broker-token-file", str(tmp_path / "odd")).text
    )
    (tmp_path / "long").write_bytes(b"x" * 20_000)
    assert (
        "too long"
        in find(tmp_path, "--broker", "a", "--broker-token-file", str(tmp_path / "long")).text
    )


def test_a_table_makes_a_sink_and_flags_win_over_it(tmp_path: Path) -> None:
    file = (
        '[sink.broker]\nserver = "a"\nport = 5\ntoken = "t"\nnames = {x = "y"}\nbackfill = true\n'
    )
    found = find(tmp_path, file=file).sinks["broker"]
    assert (found.values["server"], found.values["port"], found.values["token"]) == ("a", 5, "t")
    assert found.values["names"] == {"x": "y"}
    assert found.backfill
    again = find(tmp_path, "--broker", "b", file=file).sinks["broker"]
    assert (again.values["server"], again.values["port"]) == ("b", 5)


def test_tables_of_other_names_are_more_sinks(tmp_path: Path) -> None:
    file = '[sink.home]\ntype = "broker"\nserver = "a"\n[sink.recorder]\nplace = "b"\n'
    found = find(tmp_path, "--broker", "c", file=file).sinks
    assert {name: one.type.name for name, one in found.items()} == {
        "broker": "broker", "home": "broker", "recorder": "recorder",
    }  # fmt: skip
    assert found["home"].values["server"] == "a"


def test_a_table_can_be_switched_off(tmp_path: Path) -> None:
    assert find(tmp_path, file='[sink.broker]\nserver = "a"\nenabled = false\n').sinks == {}


def test_a_table_of_another_type_is_not_the_flags(tmp_path: Path) -> None:
    file = '[sink.broker]\ntype = "recorder"\nplace = "x"\n'
    assert find(tmp_path, file=file).sinks["broker"].type.name == "recorder"
    found = find(tmp_path, "--broker", "a", file=file)
    assert found.code == 2
    assert "of another type" in found.text


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ('sink = "x"', "no command called 'sink'"),
        ('[sink]\nbroker = "x"', "is no table"),
        ('[sink.broker]\nhost = "x"', "a sink of type broker has no 'host'"),
        ('[sink.broker]\nserver = "a"\nenabled = "false"', "enabled is true or false, not 'false'"),
        ("[sink.broker]\nport = 1", "server is not set"),
        ('[sink.broker]\nserver = "a"\nport = "1"', "port is a whole number, not '1'"),
        ('[sink.broker]\nserver = "a"\nport = true', "port is a whole number, not True"),
        ('[sink.broker]\nserver = "a"\ntag = [1]', "tag is a list of texts"),
        ('[sink.broker]\nserver = "a"\nconfidence = "D"', "confidence is A, B or C"),
        ('[sink.x]\ntype = "tin"\n', "no type 'tin' of sinks"),
        ("[sink.tin]\n", "no type 'tin' of sinks"),
        ('[sink."a\\nb"]\n', "no name for a sink"),
    ],
)
def test_what_is_wrong_in_the_file_is_told(tmp_path: Path, file: str, told: str) -> None:
    found = find(tmp_path, file=file)
    assert found.code == 2
    assert told in found.text


def test_a_secret_of_the_wrong_type_is_not_shown(tmp_path: Path) -> None:
    found = find(tmp_path, file='[sink.broker]\nserver = "a"\ntoken = 987654321\n')
    assert found.code == 2
    assert "987654321" not in found.text


def test_a_secret_of_a_table_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret")
    file = f'[sink.broker]\nserver = "a"\ntoken-file = "{tmp_path / "token"}"\n'
    assert find(tmp_path, file=file).sinks["broker"].values["token"] == "s3cret"


def test_places_in_the_file_are_beside_it(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret")
    file = '[sink.broker]\nserver = "a"\ntoken-file = "token"\nca = "ca.pem"\n'
    found = find(tmp_path, file=file).sinks["broker"].values
    assert (found["token"], found["ca"]) == ("s3cret", str(tmp_path / "ca.pem"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--broker-port", "1"), "--broker-port has no effect without --broker."),
        (("--backfill",), "--backfill has no effect without a sink"),
    ],
)
def test_a_flag_of_no_sink_is_refused(
    tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    found = find(tmp_path, *arguments)
    assert found.code == 2
    assert told in found.text
    file = '[sink.broker]\nserver = "a"\n'
    assert find(tmp_path, *arguments, file=file).code == 0


def test_the_plural_is_told_to_be_none(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[sinks.mqtt]\nbroker = "a"\n')
    shown = invoke("--config", file, "fake-server")
    assert shown.code == 2
    assert "[sink.mqtt], not [sinks.mqtt]" in shown.err


def test_a_sink_that_is_switched_off_is_told_to_be(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[sink.broker]\nserver = "a"\nenabled = false\n')
    shown = invoke("--config", file, "sinks", "test", "broker")
    assert shown.code == 2
    assert "enabled = false" in shown.err
