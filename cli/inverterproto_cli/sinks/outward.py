"""The thread that looks outward: it has all sinks, and what is shown over HTTP.

Theory of operation
-------------------
Its event loop is its own: whatever a broker, a database or a disk does there, devices do not wait
for it. Between the threads goes little: what is told to people, and how far each sink has got.

`turn`, which the server's main thread calls once a second, writes the positions, each time with
what was set aside before it, in one transaction. It begins none while the last is on its way: in a
trouble of the store only the newest positions wait.

*At the beginning* the store says how far each sink has got (`begin`). A new one begins with what is
dated from then on, or with all there is.

*At the end* each sink gets some seconds to deliver what is there already, but for those that are in
trouble; the last positions are written with what the store writes last.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from threading import Thread
from time import time
from typing import Protocol

import click

from inverterproto.reading import Reading
from inverterproto_cli.server.logs import Log
from inverterproto_cli.show import printable
from inverterproto_cli.sinks.delivery import Delivery
from inverterproto_cli.sinks.pace import Pace
from inverterproto_cli.sinks.pages import Pages
from inverterproto_cli.sinks.settings import Configured
from inverterproto_cli.sinks.sink import Identity, Sink
from inverterproto_cli.store import Store
from inverterproto_cli.store.sinks import SetAside, SinkRow, register, save

LAST_DELIVERY = 3.0
"""Seconds that sinks have at the end."""
LAST_WORD = 10.0
"""Seconds after which the end does not wait for the thread any more."""
AFTER_A_FAULT = 60.0
"""Seconds after which a delivery that has a fault begins again."""


class Page(Protocol):
    """What is shown over HTTP."""

    async def open(self) -> None:
        """Listen."""
        ...

    async def close(self) -> None:
        """Let the sinks come to their end, and write how far they got."""
        self._closing = True
        self._tell(self._stop.set)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, LAST_WORD)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), LAST_DELIVERY)
            self.turn()
