"""Files that a command writes: put in their place when they are whole, and over nothing unasked."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from inverterproto_cli.chunk import SourceError


def check_place(output: str, *, force: bool) -> None:
    """Complain if something is there already; `-` is standard output."""
    if output != "-" and not force and os.path.lexists(output):
        raise click.UsageError(f"{output} is there already (--force writes over it)")


@contextmanager
def placing(output: str) -> Iterator[Callable[[bytes], object]]:
    """Yield what writes to a file that is in its place only when all went well."""
    try:
        descriptor, path = tempfile.mkstemp(
            prefix=".inverterproto-", dir=os.path.dirname(os.path.abspath(output))
        )
    except OSError as error:
        raise SourceError(f"{output}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file.write
            file.flush()
            os.fsync(file.fileno())
        os.replace(path, output)
    except BaseException:
        os.unlink(path)
        raise
