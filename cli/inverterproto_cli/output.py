"""Files that a command writes: put in their place when they are whole, and over nothing unasked.

What nothing is lost by writing to (standard output, a pipe, a device) is written to as it is, once
all is there. A file is written beside its place, readable for its owner only; what a link names is
written over, not the link.
"""

import os
import shutil
import signal
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO

import click

from inverterproto_cli.chunk import SourceError

_SPOOLED = 8 << 20

output_option = click.option(
    "-o",
    "--output",
    default="-",
    metavar="OUT",
    envvar="INVERTERPROTO_OUTPUT",
    help="Where to.  [default: standard output]",
)
force_option = click.option(
    "--force", is_flag=True, envvar="INVERTERPROTO_FORCE", help="Write over a file that is there."
)
_STOPS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


def check_place(output: str, inputs: Iterable[str] = (), *, force: bool) -> None:
    """Complain if a file is there already, or is one that is read."""
    if not _is_stream(output) and any(_is_same(output, path) for path in inputs):
        raise click.UsageError(f"{output} is the input: choose another place")
    if not force and os.path.lexists(output) and not _is_stream(output):
        raise click.UsageError(f"{output} is there already (--force writes over it)")


def _is_same(output: str, path: str) -> bool:
    try:
        read = os.fstat(sys.stdin.fileno()) if path == "-" else os.stat(path)
        return os.path.samestat(os.stat(output), read)
    except (OSError, ValueError, AttributeError):
        return False  # one of them is no file


@contextmanager
def placing(output: str) -> Iterator[Callable[[bytes], object]]:
    """Yield what writes to an output (`-`: standard output), there only when all went well.

    Raises:
        SourceError: it cannot be written.
    """
    try:
        with _file(output) as file:
            yield file.write
    except BrokenPipeError:
        raise
    except OSError as error:
        raise SourceError(f"{output}: {error.strerror or error}") from error


@contextmanager
def stoppable() -> Iterator[None]:
    """Let signals end the command at once: what is half written goes, and is no output."""

    def stop(number: int, _frame: object) -> None:
        sys.exit(128 + number)  # no KeyboardInterrupt: that ends the reading only, for `decode`

    before = {number: signal.signal(number, stop) for number in _STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_stream(output: str) -> bool:
    """Return whether something is written to as it is, such as a pipe: nothing is lost there."""
    try:
        mode = os.stat(output).st_mode
    except OSError:
        return output == "-"
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


@contextmanager
def _file(output: str) -> Iterator[IO[bytes]]:
    """Yield a file that becomes the output when all went well."""
    if _is_stream(output):
        with tempfile.SpooledTemporaryFile(_SPOOLED) as held:
            yield held
            held.seek(0)
            if output == "-":
                shutil.copyfileobj(held, sys.stdout.buffer)
                sys.stdout.buffer.flush()
            else:
                with open(output, "wb") as stream:
                    shutil.copyfileobj(held, stream)
        return
    place = os.path.realpath(output)
    descriptor, path = tempfile.mkstemp(prefix=".inverterproto-", dir=os.path.dirname(place))
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(path, place)
    except BaseException:
        os.unlink(path)
        raise
