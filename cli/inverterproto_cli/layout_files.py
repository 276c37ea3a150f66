"""Layouts in files, for every command that decodes: `@takes_layouts` gives it `--layout FILE`.

What the files declare stands for its sensor types while the command runs, in the place of what the
package declares for them; but what that declares as private stays so, and this is said.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from inverterproto.layout import Layout


class LayoutFileError(Exception):
    """A file that holds no layout.

    Attributes:
        problems: a line for each thing that is wrong with it.
    """

    def __init__(self, path: str, problems: Sequence[str]) -> None:
        from inverterproto_cli.show import printable

        self.problems = [printable(f"{path}: {problem}") for problem in problems]
        super().__init__("\n".join(self.problems))


def read_layout(path: str) -> "Layout":
    """Return the layout in a file.

    Raises:
        LayoutFileError: it cannot be read, or holds none.
    """
    from inverterproto.deye.layouts import layout_from_toml
    from inverterproto.errors import LayoutError
    from inverterproto.layout_toml import MOST_TEXT

    try:
        with open(path, encoding="utf-8") as file:
            return layout_from_toml(file.read(MOST_TEXT + 1))
    except OSError as error:
        raise LayoutFileError(path, [error.strerror or str(error)]) from error
    except UnicodeDecodeError as error:
        raise LayoutFileError(path, ["expected text in UTF-8, found other bytes"]) from error
    except LayoutError as error:
        raise LayoutFileError(path, error.problems) from error


def takes_layouts(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option `--layout`; with its `-v`, what takes another's place is told."""

    @click.option(
        "--layout",
        "layouts",
        multiple=True,
        type=click.Path(dir_okay=False),
        metavar="FILE",
        envvar="INVERTERPROTO_LAYOUT",
        help="Decode by the layout in this TOML file, too. May be given several times.",
    )
    @wraps(command)
    def run(*, layouts: tuple[str, ...], **options: Any) -> None:  # noqa: ANN401 - the command's own
        if not layouts:
            return command(**options)
        from inverterproto_cli.show import printable

        with using(layouts) as notes:
            if options.get("verbose"):
                for note in notes:
                    click.echo(printable(note), err=True)
            return command(**options)

    return run


@contextmanager
def using(paths: Sequence[str]) -> Iterator[list[str]]:
    """Let the layouts in files stand for their sensor types; yield what there is to tell of it."""
    from inverterproto.deye.layouts import add_layout, layout_of, remove_layout
    from inverterproto_cli.show import printable

    layouts: dict[int, tuple[str, Layout]] = {}
    notes, complaints = list[str](), list[str]()
    for path in dict.fromkeys(paths):
        try:
            layout = read_layout(path)
        except LayoutFileError as error:
            complaints += error.problems
            continue
        sensor_type = layout.sensor_type or 0
        if sensor_type in layouts:
            other = layouts[sensor_type][0]
            complaints.append(
                printable(f"{path}: {other} is for sensor type {sensor_type:#06x}, too")
            )
        layouts[sensor_type] = path, layout
    if complaints:
        raise click.UsageError("no layout:\n" + "\n".join(f"  {line}" for line in complaints))
    with ExitStack() as added:
        for sensor_type, (path, layout) in layouts.items():
            if replaced := layout_of(sensor_type):
                place = f"in the place of {replaced.name}"
                notes.append(f"{path}: layout {layout.name} {place} for {sensor_type:#06x}")
                own, layout = layout, layout.keeping_private(replaced)
                if layout is not own:
                    told = f"{path}: private bytes not marked so: taken for private as before"
                    click.echo(printable(told), err=True)
            add_layout(layout)
            added.callback(remove_layout, layout)
        yield notes


def sensor_type_of(layout: "Layout") -> str:
    """Return a layout's sensor type as people write it."""
    return f"0x{layout.sensor_type or 0:04X}"
