"""What the user wants of sinks: flags, the environment, and tables of the configuration file.

All of it is made of the `Setting`s of a `SinkType`. The first flag of a type (`--mqtt HOST`) makes
a sink that is called like its type; so does a table `[sink.mqtt]`. Tables of other names say which
`type` they are, so that there may be several. A flag or a variable of the environment wins over the
table of the sink that is called like its type.

A secret has no flag: it stands in the environment, in the table, or in a file of its own.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click
from click.core import ParameterSource

from inverterproto_cli.configuration import SINKS, File, SinkOption
from inverterproto_cli.show import printable
from inverterproto_cli.sinks.registry import BUILT_IN, type_called
from inverterproto_cli.sinks.sink import Setting, SinkType

_Command = TypeVar("_Command", bound=Callable[..., Any])

COMMON = (
    Setting(
        "backfill",
        "A sink that is new begins with all that is in the store, not with what comes from now on.",
        bool,
        default=False,
        flag="--backfill",
    ),
    Setting(
        "include-simulated",
        "Deliver also what simulated devices say.",
        bool,
        default=False,
        flag="--include-simulated",
    ),
    Setting(
        "confidence",
        "Least confidence of what is delivered: A sure, B one source, C a guess.",
        str,
        default="B",
        flag="--sink-confidence",
        metavar="[A|B|C]",
    ),
    Setting(
        "all-fields",
        "Deliver also the numbers in a message that are no quantities, but for private ones.",
        bool,
        default=False,
        flag="--all-fields",
    ),
)
"""What can be set of every sink; its flag is for all that have not set it in their table."""
_LONGEST_SECRET = 10_000
_MOST_NAME = 64


class Configured(NamedTuple):
    """A sink that the user wants.

    Attributes:
        name: its own.
        type: of what kind it is.
        values: of all settings of its type, by their keys.
        backfill, include_simulated, confidence, all_fields: see `COMMON`.
        sources: where values come from: `"file"` or `"environment"` (also a flag), by their keys;
            those that are not there are as they are by default.
    """

    name: str
    type: SinkType
    values: Mapping[str, Any]
    backfill: bool = False
    include_simulated: bool = False
    confidence: str = "B"
    all_fields: bool = False
    sources: Mapping[str, str] = {}


def flag_of(kind: SinkType, setting: Setting) -> str | None:
    """Return the flag of a setting, without the one that says no; None if it has none."""
    if setting.flag is None or setting.kind is dict:
        return None
    if setting.flag:
        return setting.flag
    key = "" if setting is kind.settings[0] else f"-{setting.key}"
    return f"--{kind.name}{key}"


def variable_of(flag: str) -> str:
    """Return the variable of the environment that does what a flag does."""
    return "INVERTERPROTO_" + flag.lstrip("-").replace("-", "_").upper()


def variables_of(setting: Setting, flag: str | None) -> list[str]:
    """Return all variables of the environment that do what the flag of a setting does."""
    return [variable_of(flag), *setting.environment] if flag else []


def sink_options(command: _Command) -> _Command:
    """Give a command the options of all sinks that come with this program."""
    flags = [(setting, setting.flag or "") for setting in COMMON]
    for kind in BUILT_IN:
        flags += ((one, flag) for one in kind.settings if (flag := flag_of(kind, one)))
    for setting, flag in reversed(flags):
        command = _option(setting, flag)(command)
    return command


def _option(setting: Setting, flag: str) -> Callable[[_Command], _Command]:
    """Return the option of a setting; of a secret, that of the file which holds it."""
    help_, name = setting.help, _parameter(flag)
    if setting.secret:
        help_ = f"{help_[:-1]}, in this file; or set {variable_of(flag)}."
        flag = f"{flag}-file"
        return click.option(
            flag, name, metavar="FILE", envvar=variable_of(flag), help=help_, cls=SinkOption,
        )  # fmt: skip
    variables = variables_of(setting, flag)
    spelled = f"{flag}/--no-{flag[2:]}" if setting.kind is bool and setting.default else flag
    return click.option(
        spelled,
        name,
        type=None if setting.kind in (bool, list) else setting.kind,
        is_flag=setting.kind is bool,
        multiple=setting.kind is list,
        default=setting.default if setting.kind is not list else (),
        show_default=setting.default not in (None, False, ()),
        metavar=None if setting.kind is bool else setting.metavar,
        envvar=variables if setting.environment else variables[0],
        help=help_,
        cls=SinkOption,
    )


def _parameter(flag: str) -> str:
    return "sink_" + flag.lstrip("-").replace("-", "_")


class SinkCommand(click.Command):
    """A command that shows the options of sinks in a section of their own, behind the others."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write all options."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": [], "Sinks": []}
        for option in self.get_params(ctx):
            if (told := option.get_help_record(ctx)) is not None:
                sections["Sinks" if isinstance(option, SinkOption) else "Options"].append(told)
        for title, told_ones in sections.items():
            if told_ones:
                with formatter.section(title):
                    formatter.write_dl(told_ones)


# What is wanted


def configured(context: click.Context) -> list[Configured]:
    """Return all sinks that the user wants.

    Args:
        context: of a command with `sink_options`.

    Raises:
        click.UsageError: something in the file or the environment is not as it should be.
    """
    tables = _tables(context.find_root().obj)
    kinds = {name: _type_of(name, table) for name, table in tables.items()}
    given: dict[str, dict[str, Any]] = {}
    for kind in BUILT_IN:
        said = dict(_given(context, kind))
        makes = said.get(kind.settings[0].key) is not None
        if makes and kinds.setdefault(kind.name, kind) is not kind:
            raise click.UsageError(
                f"[{SINKS}.{kind.name}] is of another type: --{kind.name} needs that name for its "
                "own sink; give the table another."
            )
        given[kind.name] = said if kinds.get(kind.name) is kind else {}
        if kind.name not in kinds:
            _refuse_useless(context, kind)
    if not kinds:
        _refuse_useless(context, None)
    return [
        _configured(context, name, kind, tables.get(name, {}), given.get(name, {}))
        for name, kind in kinds.items()
    ]


def _refuse_useless(context: click.Context, kind: SinkType | None) -> None:
    """Refuse flags of a sink that there is not; of all sinks if there is none.

    Raises:
        click.UsageError: one was given.
    """
    flags = (
        [setting.flag for setting in COMMON if setting.key != "include-simulated"]  # metrics, too
        if kind is None
        else [flag_of(kind, setting) for setting in kind.settings]
    )
    for flag in flags:
        if (
            flag is not None
            and context.get_parameter_source(_parameter(flag)) is ParameterSource.COMMANDLINE
        ):
            wanted = "a sink (as --mqtt)" if kind is None else flag_of(kind, kind.settings[0])
            raise click.UsageError(f"{flag} has no effect without {wanted}.")


def switched_off(context: click.Context) -> list[str]:
    """Return the names of the sinks that stand in the file and are switched off."""
    file = context.find_root().obj
    tables = file.tables.get(SINKS, {}) if isinstance(file, File) else {}
    return [
        name
        for name, table in tables.items()
        if isinstance(table, dict) and table.get("enabled", True) is False
    ]


def _tables(file: object) -> dict[str, Mapping[str, Any]]:
    """Return the tables of sinks in the file, but for those that are switched off."""
    if not isinstance(file, File):
        return {}
    tables: dict[str, Mapping[str, Any]] = {}
    for name, table in file.tables.get(SINKS, {}).items():
        where = f"configuration {file.path}: [{SINKS}.{name}]"
        if not isinstance(table, dict):
            raise click.UsageError(f"{where} is no table.")
        if not name or len(name) > _MOST_NAME or not name.isprintable():
            raise click.UsageError(f"{where}: that is no name for a sink.")
        if not isinstance(enabled := table.get("enabled", True), bool):
            raise click.UsageError(f"{where}: enabled is true or false, not {enabled!r}.")
        if enabled:
            tables[name] = {key: value for key, value in table.items() if key != "enabled"}
    return tables


def _type_of(name: str, table: Mapping[str, Any]) -> SinkType:
    kind = type_called(str(table.get("type", name)))
    if kind is None:
        known = ", ".join(sorted(one.name for one in BUILT_IN))
        raise click.UsageError(
            f"[{SINKS}.{name}]: there is no type {table.get('type', name)!r} of sinks, only {known}"
            " and what other packages bring."
        )
    return kind


def _given(context: click.Context, kind: SinkType) -> Iterator[tuple[str, Any]]:
    """Yield what flags and the environment say of the sink that is called like its type."""
    for setting in kind.settings:
        flag = flag_of(kind, setting)
        if flag is None:
            continue
        parameter = _parameter(flag)
        source = context.get_parameter_source(parameter)
        value = context.params.get(parameter)
        if setting.secret:
            if value is not None:
                yield setting.key, read_secret(value, f"{flag}-file")
            else:
                for variable in variables_of(setting, flag):
                    if os.environ.get(variable):
                        yield setting.key, os.environ[variable]
                        break
        elif source not in (None, ParameterSource.DEFAULT):
            yield setting.key, list(value) if setting.kind is list and value else value


def _configured(
    context: click.Context,
    name: str,
    kind: SinkType,
    table: Mapping[str, Any],
    given: Mapping[str, Any],
) -> Configured:
    """Return a sink as its table and the flags have it."""
    where = f"[{SINKS}.{name}]"
    file = context.find_root().obj
    folder = os.path.dirname(file.path) if isinstance(file, File) else ""
    values = {one.key: one.default for one in kind.settings}
    common = {one.key: context.params.get(_parameter(str(one.flag))) for one in COMMON}
    known = {one.key: one for one in (*kind.settings, *COMMON)}
    sources: dict[str, str] = {}
    for spelled, value in table.items():
        key = spelled.replace("_", "-")
        if key == "type":
            continue
        plain = key.removesuffix("-file")
        if key not in known and plain in known and known[plain].secret and known[plain].kind is str:
            values[plain] = read_secret(_beside(folder, str(value)), f"{where} {key}")
            sources[plain] = "file"
            continue
        if key not in known:
            raise click.UsageError(f"{where}: a sink of type {kind.name} has no {spelled!r}.")
        _check(known[key], value, f"{where}: {spelled}")
        sources[key] = "file"
        if known[key].metavar in _PLACES:
            value = _beside(folder, value)
        (common if any(one.key == key for one in COMMON) else values)[key] = value
    values |= given
    first = kind.settings[0]
    if values[first.key] in (None, "", False):
        raise click.UsageError(f"{where}: {first.key} is not set: {first.help}")
    confidence = str(common["confidence"] or "B").upper()
    if confidence not in ("A", "B", "C"):
        raise click.UsageError(f"{where}: confidence is A, B or C, not {confidence!r}.")
    return Configured(
        name,
        kind,
        values,
        bool(common["backfill"]),
        bool(common["include-simulated"]),
        confidence,
        bool(common["all-fields"]),
        sources | dict.fromkeys(given, "environment"),
    )


@contextmanager
def of_use(one: Configured) -> Iterator[None]:
    """Make a wrong use of values of which no sink can be made.

    Raises:
        click.UsageError: they are of no use.
    """
    try:
        yield
        return
    except ValueError as error:
        text = f"sink {one.name}: {error}"
    except OSError as error:
        text = f"sink {one.name}: {error.filename}: {error.strerror}"
    if one.name != one.type.name:
        text += f" (in [{SINKS}.{one.name}] stands KEY for --{one.type.name}-KEY)"
    raise click.UsageError(printable(text))


_PLACES = ("FILE", "FOLDER")
"""What settings are shown with that name a place: in the file, beside it."""


def _beside(folder: str, path: str) -> str:
    """Return where a place is that the configuration in a folder names."""
    return os.path.join(folder, os.path.expanduser(path)) if path else path


CALLED = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list of texts",
    dict: "a table",
}
"""How a value of a kind is called, for people."""


def _check(setting: Setting, value: object, where: str) -> None:
    """See that a value of the file is of the right type.

    Raises:
        click.UsageError: it is not.
    """
    kinds: tuple[type, ...] = (int, float) if setting.kind is float else (setting.kind,)
    fits = isinstance(value, kinds) and not (setting.kind is not bool and isinstance(value, bool))
    if fits and setting.kind is list:
        fits = all(isinstance(one, str) for one in value)  # type: ignore[attr-defined]
    if not fits:
        shown = "" if setting.secret else f", not {value!r}"
        raise click.UsageError(f"{where} is {CALLED[setting.kind]}{shown}.")


def read_secret(path: str, where: str) -> str:
    """Return what a file holds, without the end of its line.

    Raises:
        click.UsageError: it cannot be read, or is no secret.
    """
    try:
        with Path(path).expanduser().open("rb") as file:
            secret = file.read(_LONGEST_SECRET + 1)
        if len(secret) > _LONGEST_SECRET:
            raise click.UsageError(f"{where} {path}: it is too long to be a secret.")
        return secret.decode().rstrip("\r\n")
    except OSError as error:
        raise click.UsageError(f"{where} {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{where} {path}: it is no text.") from error
