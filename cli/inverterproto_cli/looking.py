"""What all commands share that look into the store: which file, and what to say if it is not there.

Nothing is written: a server may be at work on the same file.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from inverterproto_cli.configuration import File
from inverterproto_cli.show import printable
from inverterproto_cli.store import Reader, StoreError, default_path

_SERVERS = ("proxy", "fake-server")
"""Whose store is meant, by the configuration: of the first that names one."""

_Command = TypeVar("_Command", bound=Callable[..., Any])

store_option = click.option(
    "--store",
    "store_path",
    metavar="FILE",
    envvar="INVERTERPROTO_STORE",
    help="Look into this file.  [default: the proxy's of your configuration, else the "
    "fake-server's, else inverterproto.db in your data folder]",
)


def selection_options(command: _Command) -> _Command:
    """Give a command the options that say which records it looks at."""
    options = (
        click.option(
            "--device",
            metavar="SERIAL",
            envvar="INVERTERPROTO_SHOW_DEVICE",
            help="Only of this one; of a logger, all that it carries.",
        ),
        click.option(
            "--since",
            metavar="TIME",
            envvar="INVERTERPROTO_SINCE",
            help="Only what was measured since: 2h, 3d, today, yesterday, 17:44, 2024-04-08T17:14.",
        ),
        click.option(
            "--until",
            metavar="TIME",
            envvar="INVERTERPROTO_UNTIL",
            help="Only what was measured before; as --since.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def path_of(store: str | None) -> Path:
    """Return the store's file; one that is not the default is named on standard error.

    Args:
        store: the file that the user names; else it is where a server of this configuration
            keeps its records.
    """
    path = Path(store or _configured() or default_path())
    if path.absolute() != default_path().absolute():
        click.echo(printable(f"store: {path}"), err=True)
    return path


def _configured() -> str | None:
    """Return which file the configuration names for a server."""
    file = click.get_current_context().find_root().obj
    tables = file.tables if isinstance(file, File) else {}
    named = (tables.get(server, {}).get("store") for server in _SERVERS)
    return next((str(store) for store in named if store is not None), None)


@contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """Yield a reader of the store.

    Raises:
        click.ClickException: there is no store, or it cannot be read.
    """
    with explained(path), Reader(path) as reader:
        yield reader


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Make of the store's troubles a line for people."""
    try:
        yield
    except StoreError as error:
        raise click.ClickException(printable(str(error))) from error
    except sqlite3.Error as error:
        raise click.ClickException(printable(f"store {path}: {error}")) from error
