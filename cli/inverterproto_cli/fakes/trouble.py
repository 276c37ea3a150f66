"""What a person wants to read while a simulated device has no connection."""

import click

from inverterproto_cli.show import printable

CLOSED_AT_ONCE = (
    "the server closed the connection before it said anything (it may let in only so many of one "
    "address, as fake-server does: --max-per-address; or it is a proxy with --offline refuse, and "
    "its cloud is away)"
)
_KINDS = 20
"""Different troubles of many devices that are told."""


class Trouble:
    """Says on standard error what is in the way; nothing at all where somebody wants it quiet.

    Args:
        quiet: whether to say nothing.
        many: whether there are many devices: then each thing is said once, of whom it befell first.
    """

    def __init__(self, *, quiet: bool = False, many: bool = False) -> None:
        self._quiet = quiet
        self._many = many
        self._said: set[str] = set()

    def lost(self, serial: str, reason: str, pause: float) -> None:
        """Say that a device has no connection, and in how many of its seconds it tries again."""
        self.say(serial, reason, f"; again in {pause:g} s of its time")

    def say(self, serial: str, reason: str, then: str = "") -> None:
        """Say what is in a device's way, and what it does then."""
        if self._quiet:
            return
        if self._many:
            if reason in self._said or len(self._said) >= _KINDS:
                return
            self._said.add(reason)
            then += "; it is said once, of all devices"
        click.echo(printable(f"{serial}: {reason}{then}"), err=True)
