"""What `inverterproto config` tells of sinks: those that are configured, and all that can be set.

Secrets are not shown, and of a URL only what is none.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import click

from inverterproto_cli.columns import print_columns
from inverterproto_cli.configuration import NOT_SHOWN, SINKS
from inverterproto_cli.show import printable
from inverterproto_cli.sinks.registry import BUILT_IN
from inverterproto_cli.sinks.settings import (
    CALLED,
    COMMON,
    Configured,
    configured,
    flag_of,
    sink_options,
    variables_of,
)
from inverterproto_cli.sinks.sink import SinkType
from inverterproto_cli.sinks.target import shown


def wanted(context: click.Context) -> list[Configured]:
    """Return the sinks that a server would have now, without flags."""

    @click.command()
    @sink_options
    def server(**_options: object) -> None:
        """Take the options of sinks."""

    return configured(server.make_context("server", [], parent=context))


def _values(one: Configured) -> Iterator[tuple[str, Any, str]]:
    """Yield each setting's key, its value as it may be shown, and where it comes from."""
    common = {each.key: getattr(one, each.key.replace("-", "_")) for each in COMMON}
    values = {**one.values, **common}
    for setting in (*one.type.settings, *COMMON):
        value = values.get(setting.key)
        if value not in (None, ""):
            value = (
                NOT_SHOWN if setting.secret else shown(value) if isinstance(value, str) else value
            )
        yield setting.key, value, one.sources.get(setting.key, "default")


def as_json(one: Configured) -> dict[str, dict[str, object]]:
    """Return what is in force, for machines."""
    values = {"type": (one.type.name, "file" if one.name != one.type.name else "default")}
    values |= {key: (value, source) for key, value, source in _values(one)}
    return {
        key: {"value": value, "source": source, "place": None}
        for key, (value, source) in values.items()
    }


def show(one: Configured, *, first: bool) -> None:
    """Write what is in force, for people."""
    if not first:
        click.echo()
    click.echo(printable(f"[{SINKS}.{one.name}]"))
    rows = [("type", one.type.name, "")]
    rows += (
        (key, "–" if value in (None, "", ()) else printable(_text(value)), source)
        for key, value, source in _values(one)
    )
    print_columns(("setting", "value", "from"), rows)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


# The template


def template(words: Sequence[str]) -> list[str]:
    """Return the tables of all types of sinks, each line commented out.

    Args:
        words: only those of this table; all if there are none.
    """
    return [
        line
        for kind in BUILT_IN
        if (SINKS, kind.name)[: len(words)] == tuple(words)
        for line in _table_of(kind)
    ]


def _table_of(kind: SinkType) -> Iterator[str]:
    yield f"\n#[{SINKS}.{kind.name}]\n"
    for setting in (*kind.settings, *COMMON):
        variables = variables_of(setting, flag_of(kind, setting))
        form, example = _FORMS[setting.kind]
        if setting.default not in (None, (), False):
            example = json.dumps(setting.default, ensure_ascii=False)
        yield f"\n## {setting.help}\n## {CALLED[setting.kind]}{form}"
        yield f"; environment: {', '.join(variables)}\n" if variables else "\n"
        yield f"#{setting.key} = {example}\n"


_FORMS: dict[type, tuple[str, str]] = {
    str: (', "…"', '"…"'),
    int: ("", "0"),
    float: ("", "0"),
    bool: ("", "false"),
    list: (', ["…", …]', "[]"),
    dict: (", {…}", "{}"),
}
"""What shows the form of a value of a kind, behind how it is called; and one such value."""
