"""What is not installed with the rest: libraries that only some features need."""

import click


class MissingExtra(click.ClickException):
    """Says what to install for a feature.

    Args:
        feature: what it is needed for.
        extra: the extra of this distribution that brings it.
    """

    exit_code = 2

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature}: pip install 'inverterproto[{extra}]'")
