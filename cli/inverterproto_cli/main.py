"""The `inverterproto` command group.

Commands are imported when they are called, so that `--help` and every small command start fast;
what `--help` says of each stands here.

Options come from flags, then from `INVERTERPROTO_*` in the environment, then from a TOML file
(`--config`, else `$XDG_CONFIG_HOME/inverterproto/config.toml`) with one table a command, then from
defaults.
"""

import atexit
import gc
import os
import sys
from importlib import import_module
from io import TextIOWrapper
from typing import Any

import click
from click.core import ParameterSource

COMMANDS = {
    "decode": "Show what bytes of an inverter, logger or battery say.",
    "encode": "Make frames of what decode --json shows, edited or not.",
    "sanitize": "Make a dump or capture fit to be posted.",
    "layout": "Show what each byte of a data payload means, and bring new layouts.",
    "proxy": "Pass devices on to their clouds, and keep what they say.",
    "fake-server": "Be the cloud for loggers and batteries, on your own machine.",
    "approve": "Let a battery have the settings that were held for it.",
    "devices": "Show the devices that were seen, or forget one.",
    "readings": "Show what was measured, the newest first, or as it comes.",
    "export": "Write what the store holds: readings for other programs, or the bytes.",
    "unknown": "Show what devices said that nobody understands.",
    "sinks": "Show how far each sink has got, try one, or forget one.",
    "mqtt": "Look after what the MQTT sink has published.",
    "config": "Show which options are in force and where they come from.",
    "fake-battery": "Be an AlphaESS battery: send messages to a server, and check what it replies.",
    "fake-inverter": "Be a logger stick: send an inverter's records to a server, and check what it "
    "replies.",
}
"""Every command with its line in `--help`; `fake-server` lives in `fake_server.py`."""
_MODULES = {"mqtt": "mqtt_topics", "sinks": "show_sinks"}
"""Where a command lives whose name is that of a package, or could be taken for one."""


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is called."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Run a command; standard output that takes no more is no reason for a traceback."""
        try:
            return super().invoke(ctx)
        except click.BadParameter as error:
            if ctx.obj is None or not _is_from_file(error):
                raise
            text = f"{error.message} (configuration {ctx.obj.path})"
            raise click.BadParameter(text, error.ctx, error.param, error.param_hint) from error
        except BrokenPipeError:
            _abandon_output()
            ctx.exit(0)
        except OSError as error:
            _abandon_output()
            raise click.ClickException(error.strerror or str(error)) from error

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if name not in COMMANDS:
            return None
        where = _MODULES.get(name, name.replace("-", "_"))
        module = import_module(f"inverterproto_cli.{where}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the commands' lines without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _is_from_file(error: click.BadParameter) -> bool:
    """Return whether a value that is wrong comes from the configuration file."""
    if error.ctx is None or error.param is None:
        return False
    source = error.ctx.get_parameter_source(error.param.name or "")
    return source is ParameterSource.DEFAULT_MAP


def _abandon_output() -> None:
    """Let what is left for standard output vanish: Python would complain of it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - click's callback
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"inverterproto {version('inverterproto')}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(dir_okay=False),
    envvar="INVERTERPROTO_CONFIG",
    help="Read options from this TOML file, one table a command.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
@click.pass_context
def group(ctx: click.Context, config: str | None) -> None:
    """Own the data of your solar inverter or home battery.

    Speaks Deye/Solarman V5 (loggers on TCP 10000) and AlphaESS (batteries on TCP 7777).
    """
    from inverterproto_cli.configuration import defaults, read_config

    file = ctx.obj = read_config(config, COMMANDS)
    name = ctx.invoked_subcommand or ""
    if file is None or name not in file.tables or not isinstance(ctx.command, click.Group):
        return
    command = ctx.command.get_command(ctx, name)
    if command is not None:
        ctx.default_map = {name: defaults(command, file.tables[name], file.path)}


def main() -> None:
    """Run the command line."""
    # A tenth of a small command's time went into collecting garbage of which there is none: what
    # importing allocates stays, and at the end the process gives all back anyway.
    gc.set_threshold(100_000, 50, 50)
    atexit.register(gc.freeze)
    if sys.stdout is None:
        sys.exit("Error: standard output is closed")
    if isinstance(sys.stdout, TextIOWrapper):
        # A terminal that has no ° or … gets \xb0, \u2026 and so on instead of a traceback.
        sys.stdout.reconfigure(errors="backslashreplace")
    group(prog_name="inverterproto")
