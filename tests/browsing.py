"""A server's page, in a thread of its own as in the program, and who looks at it."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from inverterproto_cli.address import Address
from inverterproto_cli.server.logs import Log
from inverterproto_cli.server.running import Watch
from inverterproto_cli.sinks.outward import Outward
from inverterproto_cli.sinks.settings import Configured
from inverterproto_cli.web.options import Http
from inverterproto_cli.web.page import Page
from tests.serving import Served, serving

if TYPE_CHECKING:
    from inverterproto_cli.server.options import Serving

PATIENCE = 30.0
"""Seconds after which what has not come will not come."""
INSIDE = ((socket.AF_INET, ("127.0.0.1", 0)),)


class Answer(NamedTuple):
    """What was answered."""

    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever it is
        return json.loads(self.body)

    def samples(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """Return the values of a scrape by name and labels."""
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(self.body)
            for sample in family.samples
        }

    def value(self, name: str, /, **labels: str) -> float | None:
        """Return a value of a scrape, or None if it is not there."""
        return self.samples().get((f"inverterproto_{name}", tuple(sorted(labels.items()))))


class Shown(NamedTuple):
    """A server, and what it shows."""

    served: Served
    outward: Outward
    watch: Watch
    page: Page
    port: int

    async def get(
        self, path: str, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Ask for something, on a connection of its own."""
        url = f"http://127.0.0.1:{self.port}{path}"
        timeout = aiohttp.ClientTimeout(PATIENCE)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(method, url, headers=headers) as response,
        ):
            return Answer(response.status, response.headers, await response.text())


class _Options(NamedTuple):
    """What `Watch` needs of the options."""

    keeper: Any
    log: Log
    outward: Outward
    capture: None = None


@asynccontextmanager
async def shown(
    path: Path | None = None,
    *,
    token: str | None = None,
    sinks: Sequence[Configured] = (),
    simulated: bool = False,
    places: tuple[tuple[int, tuple[Any, ...]], ...] = INSIDE,
    **options: Any,  # noqa: ANN401 - of `serving`
) -> AsyncIterator[Shown]:
    """Serve devices and who looks, until the end of the block.

    Args:
        path: of the store; none without.
        token: that who looks must have.
        sinks: that are wanted.
        simulated: whether simulated devices are shown.
        places: where to listen.
        options: of `serving`.
    """
    async with serving(path, **options) as served:
        log = Log()
        http = Http(Address("127.0.0.1", 0), places, token, simulated)
        outward = Outward(sinks, served.store, log, partial(Page, http, log))
        page = cast("Page", outward._page)
        watch = Watch(served.listener, cast("Serving", _Options(served.keeper, log, outward)))
        outward.bind(watch)
        outward.begin()
        port = page._sockets[0].getsockname()[1]
        try:
            yield Shown(served, outward, watch, page, port)
        finally:
            await asyncio.wait_for(outward.close(), PATIENCE)
