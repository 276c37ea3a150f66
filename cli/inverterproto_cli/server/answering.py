"""The cloud's side of a connection, as our servers take it: sessions with their options.

The reply of a V5 session sets the logger's clock, so none is given while the host's own clock is
known to be behind; that can change from one frame to the next. To a battery no time is told then.
"""

from collections.abc import Callable, Mapping
from datetime import tzinfo
from functools import partial
from typing import Any

from inverterproto.alphaess.session import CloudSession as BatteryCloud
from inverterproto.deye.session import CloudSession as LoggerCloud
from inverterproto.session import MOST_UNFRAMED, CloudSession
from inverterproto_cli.server.keeper import Keeper
from inverterproto_cli.zone import utc_offset


def opener(
    keeper: Keeper,
    *,
    heartbeat: int = 60,
    resume: bool = True,
    synchronise: bool = False,
    zone: tzinfo | None = None,
    configurations: Mapping[str, bytes] | None = None,
    most_unframed: int = MOST_UNFRAMED,
) -> Callable[[str], CloudSession]:
    """Return what makes the session of a family for a connection.

    Args:
        keeper: knows the devices, and whether the clock is right.
        heartbeat: seconds until a logger's next heartbeat.
        resume: whether batteries are asked for missing records.
        synchronise: whether batteries whose clock is wrong are told to set it.
        zone: the household's time zone; None for this machine's.
        configurations: what the user gave for batteries, by serial.
        most_unframed: bytes without a frame that end a connection.
    """
    given = configurations or {}

    def battery(serial: str) -> Any:  # noqa: ANN401 - a BatteryState or None
        state = keeper.state("alphaess", serial)
        if state is not None and serial in given:
            state.trust(given[serial], serial)
        return state

    def local_time(now: float) -> float | None:
        return now + utc_offset(now, zone) if keeper.clock_is_right(now) else None

    def open_session(family: str) -> CloudSession:
        if family == "deye":
            return LoggerCloud(
                partial(keeper.state, family),
                next_heartbeat=heartbeat,
                most_unframed=most_unframed,
                may_answer=keeper.clock_is_right,
            )
        return BatteryCloud(
            battery,
            local_time=local_time,
            resume=resume,
            synchronise=synchronise,
            most_unframed=most_unframed,
        )

    return open_session
