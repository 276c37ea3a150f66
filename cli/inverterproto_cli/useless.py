"""Options that have no effect beside others: who gives one is told, rather than left to wonder."""

import click
from click.core import ParameterSource


def refuse_given(ctx: click.Context, where: str, *names: str) -> None:
    """Refuse options that were given on the command line and have no effect.

    Args:
        ctx: of the command.
        where: they have none, in words: `"with captures"`.
        names: of the options' parameters.

    Raises:
        click.UsageError: one was given.
    """
    for option in ctx.command.params:
        source = ctx.get_parameter_source(option.name or "")
        if option.name in names and source is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{option.opts[0]} has no effect {where}.", ctx)
