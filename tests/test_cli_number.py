"""Numbers on the command line: finite ones only, in every option that takes a fraction."""

from collections.abc import Iterator

import click
import pytest

from inverterproto_cli.main import group
from inverterproto_cli.number import Number
from tests.conftest import invoke


def fractions(command: click.Command) -> Iterator[click.Option]:
    """Yield the options that take any number, of a command and those below it."""
    for option in command.params:
        if isinstance(option, click.Option) and isinstance(option.type, click.types.FloatParamType):
            yield option
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from fractions(found)


def test_every_option_that_takes_a_fraction_takes_finite_ones_only() -> None:
    types = [option.type for option in fractions(group)]
    assert len(types) > 8
    assert all(isinstance(one, Number) for one in types)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999", float("nan"), float("inf")])
@pytest.mark.parametrize("number", [Number(), Number(min=0), Number(-1, 1)])
def test_what_is_not_finite_is_refused(number: Number, value: object) -> None:
    with pytest.raises(click.BadParameter):
        number.convert(value, None, None)


def test_a_finite_number_is_taken() -> None:
    assert Number(min=0.5).convert("0.5", None, None) == 0.5


@pytest.mark.parametrize(
    "arguments",
    [
        ("fake-server", "--no-store", "--keep-days", "nan"),
        ("fake-server", "--no-store", "--idle-timeout", "nan"),
        ("fake-battery", "--interval", "nan"),
        ("fake-battery", "--for", "inf"),
        ("fake-inverter", "--speed", "nan"),
    ],
)
def test_the_message_names_the_option(arguments: tuple[str, ...]) -> None:
    run = invoke(*arguments)
    assert run.code == 2
    assert f"Invalid value for '{arguments[-2]}': " in run.err
    assert "is not a finite number." in run.err
