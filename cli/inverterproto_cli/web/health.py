"""Whether the server lives, and whether it does what it is for."""

from collections.abc import Sequence
from typing import NamedTuple

from inverterproto_cli.sinks.delivery import Delivery
from inverterproto_cli.web.asking import Told

STANDS = 10.0
"""Seconds without a turn after which the main thread stands; it turns once a second."""
_NOT_KNOWN = "not known"


class Check(NamedTuple):
    """What was looked at.

    Attributes:
        name: of it.
        wrong: what is, for anybody; None if nothing is.
        detail: the same, for those who may see more.
    """

    name: str
    wrong: str | None = None
    detail: str | None = None

    def told(self) -> str:
        """Return how it is, to those who may see more."""
        return self.detail or self.told_to_all()

    def told_to_all(self) -> str:
        """Return how it is, to anybody."""
        return self.wrong or "ok"


def alive(silent: float) -> Check:
    """Return whether the main thread turns.

    Args:
        silent: for how many seconds it has not done so.
    """
    stands = silent > STANDS
    return Check("main", f"the main thread stands for {silent:.0f} s" if stands else None)


def checks(silent: float, told: Told | None, deliveries: Sequence[Delivery]) -> list[Check]:
    """Return all that must be in order for the server to do what it is for.

    Args:
        silent: for how many seconds the main thread has not turned.
        told: what it tells; None if it does not answer.
        deliveries: one a sink.
    """
    main = alive(silent)
    if told is None:
        wrong = main.wrong or "the main thread does not answer"
        found = [Check("main", wrong), Check("store", _NOT_KNOWN), Check("listeners", _NOT_KNOWN)]
    else:
        store = listeners = None
        if told.trouble is not None:
            store = "it cannot be written"
        if not told.listening:
            listeners = "devices cannot connect"
        found = [main, Check("store", store, told.trouble), Check("listeners", listeners)]
    return found + [_sink(one) for one in deliveries]


def _sink(delivery: Delivery) -> Check:
    name = f"sink {delivery.row.name}"
    if not delivery.stuck():
        return Check(name)
    wrong = "nothing arrives there for long"
    return Check(name, wrong, f"{wrong}: {delivery.row.error}")
