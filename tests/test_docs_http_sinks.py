"""The pages of the sinks that POST: what they show can be set, and their example files fit."""

import configparser
import json
import re
import tomllib
from itertools import chain
from pathlib import Path
from xml.etree import ElementTree as ET

import click
import pytest
from click.testing import CliRunner

from inverterproto.quantity import lookup
from inverterproto_cli.configuration import read_config
from inverterproto_cli.sinks.influx import INFLUX
from inverterproto_cli.sinks.settings import Configured, configured, sink_options
from inverterproto_cli.sinks.sink import SinkType
from inverterproto_cli.sinks.splunk import SPLUNK, event
from inverterproto_cli.sinks.webhook import WEBHOOK
from tests.counterparts import needs
from tests.databases import Influx, influx  # noqa: F401 - a fixture
from tests.posts import Around, entry, opened

DOCS = Path(__file__).parent.parent / "docs"
PAGES = {"splunk": SPLUNK, "influxdb": INFLUX, "webhook": WEBHOOK}
EVENT = set(event(entry(values={}), Around().identity(entry().reading)))


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def understood(
    arguments: list[str], environment: dict[str, str], config: Path | None = None
) -> list[Configured]:
    """Return the sinks that a server would be given."""
    found: list[Configured] = []

    @click.command()
    @sink_options
    @click.pass_context
    def server(context: click.Context, /, **_: object) -> None:
        context.obj = None if config is None else read_config(str(config), {})
        found.extend(configured(context))

    runner = CliRunner(env=environment, catch_exceptions=False)
    done = runner.invoke(server, arguments)
    assert done.exit_code == 0, done.output
    return found


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file with a secret, which stands for all that the pages name; and a home."""
    path = tmp_path / "secret"
    path.write_text("s3cret\n")
    monkeypatch.setattr(
        "inverterproto_cli.sinks.posting._trust",
        lambda _kind, _values: __import__("ssl").SSLContext,
    )
    return path


@pytest.mark.parametrize("page", PAGES)
def test_the_tables_of_the_file_open_sinks(page: str, secrets: Path, tmp_path: Path) -> None:
    shown = blocks(page, "toml")
    assert shown
    for text in shown:
        config = tmp_path / "config.toml"
        config.write_text(re.sub(r'(-file = )".*"', rf'\1"{secrets}"', text))
        sinks = understood([], {}, config)
        assert [each.name for each in sinks] == list(tomllib.loads(text)["sink"])
        for each in sinks:
            assert each.type is PAGES[page]
            each.type.open(each.values, Around())


@pytest.mark.parametrize("page", PAGES)
def test_the_command_lines_and_environments_open_sinks(page: str, secrets: Path) -> None:
    shown = blocks(page, "sh")
    assert shown
    for text in shown:
        environment = dict(re.findall(r'^export (\w+)="?(.*?)"?$', text, re.MULTILINE))
        (command,) = re.findall(r"^inverterproto proxy ?(.*)$", text, re.MULTILINE)
        arguments = re.sub(r"(-file) \S+", rf"\1 {secrets}", command).split()
        (sink,) = understood(arguments, environment)
        assert sink.type is PAGES[page]
        sink.type.open(sink.values, Around())
        assert environment.keys() <= variables(sink.type)


def variables(kind: SinkType) -> set[str]:
    keys = (each.key.replace("-", "_").upper() for each in kind.settings[1:])
    name = kind.name.upper()
    return {f"INVERTERPROTO_{name}", *(f"INVERTERPROTO_{name}_{key}" for key in keys)}


def test_the_point_and_the_events_that_are_shown_are_such() -> None:
    (shown,) = blocks("splunk", "json")
    assert json.loads(shown)["event"].keys() >= EVENT
    (shown,) = blocks("webhook", "json")
    assert json.loads(shown)[0].keys() == entry().to_json().keys()


def test_splunks_aliases_lead_from_quantities_to_names_of_deye_mitm() -> None:
    text = (DOCS / "example" / "splunk-props.conf").read_text(encoding="utf-8")
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    stanza = dict(parser["inverterproto"])
    assert stanza.pop("KV_MODE") == "json"
    pairs = [re.findall(r'(\w+) AS "([\w.]+)"', value) for value in stanza.values()]
    for ours, theirs in chain(*pairs):
        assert ours == "device" or lookup(ours).key == ours
        assert re.match(r"(pv|grid|inv)\.", theirs)
    assert sum(map(len, pairs)) == sum(value.count(" AS ") for value in stanza.values()) == 16


def test_splunks_dashboard_asks_for_what_events_have() -> None:
    form = ET.parse(DOCS / "example" / "splunk-dashboard.xml").getroot()  # noqa: S314 - ours
    queries = [str(each.text) for each in form.iter("query")]
    base = next(each for each in queries if "| fields " in each)
    fields = base.partition("| fields ")[2].split(", ")
    for name in set(fields) - EVENT - {"_time"}:
        assert lookup(name).key == name
    used = {name for each in queries for name in re.findall(r"(?:avg|max|latest)\((\w+)\)", each)}
    assert used - {"_time"} <= set(fields)
    searches = {each.get("id") for each in form.iter("search")}
    assert {each.get("base") for each in form.iter("search")} - {None} <= searches


@needs("influxd")
@pytest.mark.asyncio
async def test_grafanas_dashboard_finds_what_the_sink_wrote(influx: Influx) -> None:  # noqa: F811
    board = json.loads((DOCS / "example" / "grafana-dashboard.json").read_text(encoding="utf-8"))
    queries = [each["query"] for panel in board["panels"] for each in panel["targets"]]
    keys = [re.findall(r'\("(\w+)"\)', each)[0] for each in queries]
    database = influx.fresh()
    async with opened(INFLUX, url=influx.url, database=database) as sink:
        await sink.deliver([entry(values={lookup(key).key: 5 for key in keys})])
    for each in queries:
        asked = each.replace("$timeFilter", "time < now()").replace("$__interval", "1m")
        (series,) = influx.query(asked.replace("$device", ".*"), database)
        assert series["tags"] == {"device": "2301234567"}
        assert [row[1] for row in series["values"]] == [5]
    variable = board["templating"]["list"][1]["query"]
    assert influx.query(variable, database)[0]["values"] == [["device", "2301234567"]]
