"""The configuration file: options by command, in TOML.

One table a command (`[decode]`), and one a sub-command (`[layout.show]`). Keys are options as they
are spelled on the command line, without the dashes in front. Flags win over the environment, that
over the file, that over defaults: click sees to it, by the `default_map` that is made here.
"""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import click

Commands = Mapping[str, object]
"""The names of all commands."""
SINKS = "sink"
"""The table of the file that holds the tables of sinks, for all servers."""


NOT_SHOWN = "(set; not shown)"
"""What is shown of a secret."""


class SecretOption(click.Option):
    """An option whose value nobody may see: `config` masks it. Say `cls=SecretOption`."""


class SinkOption(click.Option):
    """An option of a sink: in the file it stands in the sink's own table."""


class File(NamedTuple):
    """A configuration file."""

    path: str
    tables: Mapping[str, Mapping[str, Any]]


def default_config() -> str:
    """Return where the configuration file is looked for."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return os.path.join(home, "inverterproto", "config.toml")


def read_config(named: str | None, commands: Commands) -> File | None:
    """Return the file that is named, or the default one if it is there, with its tables.

    Raises:
        click.UsageError: it cannot be read, or has a table of no command.
    """
    path = named or default_config()
    if named is None and not os.path.exists(path):
        return None
    import tomllib

    try:
        with open(path, "rb") as file:
            tables = tomllib.load(file)
    except OSError as error:
        raise click.UsageError(f"configuration {path}: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise click.UsageError(f"configuration {path}: {error}") from error
    for name, table in tables.items():
        if name not in (*commands, SINKS) or not isinstance(table, dict):
            raise click.UsageError(f"configuration {path}: no command called {name!r}")
    for name in _plural(tables):
        raise click.UsageError(
            f"configuration {path}: a sink has its table in [{SINKS}.{name}], not [{SINKS}s.{name}]"
        )
    return File(path, tables)


def _plural(tables: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return what stands where the sub-commands of `sinks` do, and is a sink."""
    inner = tables.get(f"{SINKS}s", {}).items()
    return [
        name
        for name, table in inner
        if isinstance(table, dict) and name not in ("remove", "set-aside", "set_aside", "test")
    ]


def defaults(
    command: click.Command, table: Mapping[str, Any], path: str, name: str = ""
) -> dict[str, Any]:
    """Return a command's table as click wants it: by parameters, of which flags may share one.

    Files that it names are looked for in the folder of the configuration. A table in it is that of
    a sub-command.

    Raises:
        click.UsageError: it names no option of the command, or one cannot be that.
    """
    name = name or command.name or ""
    where, folder = f"configuration {path}", os.path.dirname(path)
    known = options(command)
    found: dict[str, Any] = {}
    for key, value in table.items():
        inner = command.commands.get(key) if isinstance(command, click.Group) else None
        if inner is not None and isinstance(value, dict):
            found[key] = defaults(inner, value, path, f"{name} {key}")
            continue
        option = known.get(key.replace("_", "-"))
        if isinstance(option, SinkOption):
            raise click.UsageError(
                f"{where}: {key!r} is no option of {name} in the file: sinks have tables of their "
                f"own ([{SINKS}.mqtt], for one; inverterproto config --template shows all)"
            )
        if option is None:
            raise click.UsageError(f"{where}: {name} has no option {key!r}")
        if not _suits(option, value):
            shown = "" if isinstance(option, SecretOption) else f" {value!r}"
            raise click.UsageError(
                f"{where}: {key} of {name} cannot be{shown}: it is {kind_of(option)}"
            )
        if isinstance(option.type, click.Path):
            value = [os.path.join(folder, os.path.expanduser(path)) for path in value]
        if not option.is_flag or option.is_bool_flag:
            found[str(option.name)] = value
        elif value:
            found[str(option.name)] = option.flag_value
    return found


def options(command: click.Command) -> dict[str, click.Option]:
    """Return the options of a command by every spelling that the file may have."""
    return {
        spelling.lstrip("-"): option
        for option in command.params
        if isinstance(option, click.Option)
        for spelling in option.opts
    }


def key_of(option: click.Option) -> str:
    """Return how an option is spelled in the file."""
    return max(option.opts, key=len).lstrip("-")


def kind_of(option: click.Option) -> str:
    """Return what an option can be in the file."""
    if option.is_flag:
        return "true or false"
    if option.multiple:
        return 'a list of texts, ["…", …]'
    numeric = isinstance(option.type, click.types.IntParamType | click.types.FloatParamType)
    return "a number" if numeric else 'a text, "…"'


def _suits(option: click.Option, value: object) -> bool:
    """Return whether a value of a TOML file is of a type that the option can take."""
    if option.is_flag:
        return isinstance(value, bool)
    if option.multiple:
        return isinstance(value, list) and all(isinstance(part, str) for part in value)
    return isinstance(value, str | int | float) and not isinstance(value, bool)
