"""What is said to those who come from other tools: our names are ours, and what is shown works."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from inverterproto.alphaess.fields import BY_NAME
from inverterproto.quantity import lookup
from inverterproto_cli.sinks.mqtt_options import options_of
from inverterproto_cli.sinks.registry import BUILT_IN
from inverterproto_cli.sinks.settings import flag_of, variable_of

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "coming-from.md").read_text(encoding="utf-8")
NO_QUANTITIES = {"device", "firmware", "time"}


def part(heading: str) -> str:
    """Return what stands under a heading."""
    (text,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert isinstance(text, str)
    return text


def rows(heading: str) -> list[list[list[str]]]:
    """Return the names in the cells of all rows."""
    lines = re.findall(r"^\| (.*) \|$", part(heading), re.MULTILINE)
    return [[re.findall(r"`([^`]+)`", cell) for cell in line.split(" | ")] for line in lines]


def is_quantity(name: str) -> bool:
    try:
        lookup(name)
    except KeyError:
        return False
    return True


def test_events_of_deye_mitm_have_the_fields_that_splunk_is_told() -> None:
    props = (DOCS / "example" / "splunk-props.conf").read_text(encoding="utf-8")
    told = {old: new for new, old in re.findall(r'(\w+) AS "([^"]+)"', props)}
    shown = {
        old: new
        for row in rows("deye-mitm")
        for old, new in zip(row[0], row[1], strict=False)
        if re.match(r"(inv|grid|pv)\.", old)
    }
    assert shown == told
    assert all(is_quantity(new) for new in set(shown.values()) - NO_QUANTITIES)


def test_topics_of_dummycloud_have_quantities() -> None:
    shown = {row[0][0]: row[2] for row in rows("dummycloud") if len(row) == 3 and row[0]}
    assert len(shown) == 12
    assert {topic for topic, names in shown.items() if not names} == {"inverter/efficiency"}
    assert all(is_quantity(name) for names in shown.values() for name in names)


def test_keys_of_alphaess_to_mqtt_have_the_quantities_that_they_measure() -> None:
    shown = [row for row in rows("alphaess-to-mqtt") if row[0] and set(row[0]) <= BY_NAME.keys()]
    assert len(shown) > 20
    for row in shown:
        measured = [BY_NAME[name].quantity for name in row[0]]
        if row[0] == ["Time"]:
            assert row[1] == ["time"]
        elif len(set(measured)) == 1:
            assert row[1] == measured[:1], row
        else:
            assert row[1] == measured


def aliases(heading: str) -> dict[str, Any]:
    (text,) = re.findall(r"^```toml\n(.*?)^```$", part(heading), re.MULTILINE | re.DOTALL)
    (mqtt,) = [kind for kind in BUILT_IN if kind.name == "mqtt"]
    table = tomllib.loads(text)["sink"]["mqtt"]
    options_of({setting.key: setting.default for setting in mqtt.settings} | table)
    found: dict[str, Any] = table["alias"]
    return found


def test_aliases_of_dummycloud_are_the_unique_ids_of_its_topics() -> None:
    ((_, table),) = aliases("dummycloud").items()
    shown = {row[2][0]: row for row in rows("dummycloud") if len(row) == 3 and row[0] and row[2]}
    begin = "deye_dummycloud_2712345678_"
    for key, alias in table.items():
        row = shown[key.replace("pv2", "pv1")]
        number = "2" if key.startswith("pv2") else "1"
        assert alias["unique_id"] == begin + row[1][0].replace("_1_", f"_{number}_"), key
        if "topic" in alias:
            assert alias["topic"] == f"deye-dummycloud/2712345678/{row[0][0]}"
    assert set(shown) == {key for key in table if not key.startswith("pv2")}


def test_aliases_of_alphaess_to_mqtt_are_the_ids_of_its_entities() -> None:
    ((_, table),) = aliases("alphaess-to-mqtt").items()
    shown = {
        old: new
        for row in rows("alphaess-to-mqtt")
        for old, new in zip(row[0], row[1] if len(row) > 1 else [], strict=False)
    }
    assert table
    for key, alias in table.items():
        assert shown[alias["object_id"].removeprefix("alphaess1_")] == key


@pytest.mark.parametrize("heading", ["deye-mitm", "dummycloud", "alphaess-to-mqtt"])
def test_what_is_named_here_can_be_set(heading: str) -> None:
    flags = {
        (setting, flag): flag
        for kind in BUILT_IN
        for setting in kind.settings
        if (flag := flag_of(kind, setting))
    }
    known = {f"{flag}-file" if one.secret else flag for (one, flag) in flags}
    named = set(re.findall(r"--(?:mqtt|splunk)[\w-]*", part(heading)))
    assert named
    assert named <= known
    variables = {variable_of(flag) for flag in flags.values()}
    variables |= {name for one, _ in flags for name in one.environment}
    exported = set(re.findall(r"^export (\w+)=", part(heading), re.MULTILINE))
    assert exported
    assert exported <= variables
