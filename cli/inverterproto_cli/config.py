"""`inverterproto config`: which options are in force, and where each comes from; or a file of all.

What is shown is what click itself makes of the environment, the file and the defaults.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import click
from click.core import ParameterSource

from inverterproto_cli.columns import print_columns
from inverterproto_cli.configuration import (
    NOT_SHOWN,
    SINKS,
    File,
    SecretOption,
    SinkOption,
    default_config,
    defaults,
    key_of,
    kind_of,
)

_find_default = re.compile(r"\s*\[default: (.*)\]").search


class _Command(NamedTuple):
    """A command with its own name and those of the groups that it is in."""

    words: tuple[str, ...]
    context: click.Context

    @property
    def options(self) -> list[click.Option]:
        return [
            one
            for one in self.context.command.params
            if isinstance(one, click.Option) and not isinstance(one, SinkOption)
        ]


@click.command("config")
@click.argument("words", nargs=-1, metavar="[COMMAND]...")
@click.option(
    "--template",
    is_flag=True,
    envvar="INVERTERPROTO_TEMPLATE",
    help="Write a configuration file of all options, each commented out.",
)
@click.option(
    "--json", "as_json", is_flag=True, envvar="INVERTERPROTO_JSON", help="JSON instead of tables."
)
@click.pass_context
def command(ctx: click.Context, words: tuple[str, ...], template: bool, as_json: bool) -> None:  # noqa: FBT001
    """Show which options are in force and where they come from.

    An option comes from its flag, else from its environment variable, else from the configuration
    file, else it has its default. Secrets are not shown.

    \b
    inverterproto config fake-server
    inverterproto config sink
    inverterproto config --template > config.toml
    """  # noqa: D301 - \b is meant: click keeps the lines below it as they are
    file: File | None = ctx.obj
    from inverterproto_cli import config_sinks

    commands = [one for one in _commands(ctx, file) if one.words[: len(words)] == words]
    sinks = [one for one in config_sinks.wanted(ctx) if (SINKS, one.name)[: len(words)] == words]
    types = config_sinks.template(words) if template else []
    if not (commands or sinks or types or words == (SINKS,)):
        raise click.UsageError(f"No such command {' '.join(words)!r}.")
    if template:
        click.echo("".join([*_template(commands), *types]), nl=False)
    elif as_json:
        found = {" ".join(one.words): _as_json(one, file) for one in commands}
        found |= {f"{SINKS} {one.name}": config_sinks.as_json(one) for one in sinks}
        click.echo(json.dumps(found))
    else:
        _show(commands, file)
        for number, one in enumerate(sinks):
            config_sinks.show(one, first=not (commands or number))


def _commands(ctx: click.Context, file: File | None) -> Iterator[_Command]:
    """Yield all commands, as they would run now."""
    root = ctx.find_root()
    assert isinstance(root.command, click.Group)  # noqa: S101 - it is the program
    for name in root.command.list_commands(root):
        found = root.command.get_command(root, name)
        assert found is not None  # noqa: S101 - it was listed
        table = file.tables.get(name) if file else None
        own = {} if table is None or file is None else defaults(found, table, file.path)
        context = click.Context(found, info_name=name, default_map=own)
        yield from _with_inner(_Command((name,), context))


def _with_inner(one: _Command) -> Iterator[_Command]:
    if one.options:
        yield one
    if isinstance(one.context.command, click.Group):
        for name in one.context.command.list_commands(one.context):
            found = one.context.command.get_command(one.context, name)
            if found is not None:
                context = click.Context(found, parent=one.context, info_name=name)
                yield from _with_inner(_Command((*one.words, name), context))


# What is in force


class _Value(NamedTuple):
    """What an option is, and where that comes from."""

    value: Any
    source: str
    place: str | None

    @property
    def told(self) -> str:
        return self.source if self.place is None else f"{self.source} {self.place}"


def _value_of(option: click.Option, context: click.Context, file: File | None) -> _Value:
    """Return what is in force.

    Raises:
        click.BadParameter: an option cannot be that.
    """
    raw, source = option.consume_value(context, {})
    default = source is ParameterSource.DEFAULT
    value = _default(option) if default else option.type_cast_value(context, raw)
    if option.is_flag and not option.is_bool_flag:
        value = value == option.flag_value
    if isinstance(option, SecretOption) and not default:
        value = NOT_SHOWN
    if source is ParameterSource.ENVIRONMENT:
        return _Value(value, "environment", str(option.envvar))
    if source is ParameterSource.DEFAULT_MAP and file is not None:
        return _Value(value, "file", file.path)
    return _Value(value, "default", None)


def _default(option: click.Option) -> Any:  # noqa: ANN401 - of any type
    """Return an option's default, None where there is none (click has a mark of its own)."""
    if isinstance(option.default, bool | int | float | str):
        return option.default
    if option.multiple:
        return ()
    return False if option.is_bool_flag else None


def _as_json(one: _Command, file: File | None) -> dict[str, dict[str, object]]:
    return {
        key_of(option): _value_of(option, one.context, file)._asdict() for option in one.options
    }


def _show(commands: list[_Command], file: File | None) -> None:
    from inverterproto_cli.show import printable

    path = default_config()
    shown = f"file: {file.path}" if file else f"no file: there is none at {path}"
    click.echo(printable(shown), err=True)
    for number, one in enumerate(commands):
        if number:
            click.echo()
        click.echo(f"[{'.'.join(one.words)}]")
        rows = []
        for option in one.options:
            value = _value_of(option, one.context, file)
            rows.append((key_of(option), printable(_text(option, value)), printable(value.told)))
        print_columns(("option", "value", "from"), rows)


def _text(option: click.Option, value: _Value) -> str:
    """Return a value for people; of a default that only the help tells, what it tells."""
    if value.value in (None, ()):
        told = _find_default(option.help or "")
        return told[1] if told else "–"
    if isinstance(value.value, bool):
        return str(value.value).lower()
    return ", ".join(value.value) if isinstance(value.value, tuple) else str(value.value)


# The template


def _template(commands: list[_Command]) -> Iterator[str]:
    """Yield a file in which nothing is set: taking one # from each line sets everything."""
    yield "## Options of inverterproto. To set one, uncomment it and its table's head.\n"
    for one in commands:
        yield f"\n#[{'.'.join(one.words)}]\n"
        for option in one.options:
            yield f"\n## {option.help}\n"
            yield f"## {kind_of(option)}"
            yield f"; environment: {option.envvar}\n" if option.envvar else "\n"
            yield f"#{key_of(option)} = {_example(option)}\n"


def _example(option: click.Option) -> str:
    """Return the default, or else what shows the form, as TOML."""
    default = _default(option)
    if option.is_flag:
        return str(default is True).lower()
    if default not in (None, ()):
        return json.dumps(default, ensure_ascii=False)
    if option.multiple:
        return f"[{json.dumps(option.metavar or '…', ensure_ascii=False)}]"
    if isinstance(option.type, click.Choice):
        return json.dumps(str(option.type.choices[0]))
    if isinstance(option.type, click.types.IntParamType | click.types.FloatParamType):
        return "0"
    return json.dumps(option.metavar or "…", ensure_ascii=False)
