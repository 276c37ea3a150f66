"""The proxy as a process, between the devices and a cloud that is a fake server.

Theory of operation
-------------------
The devices' bytes go through five: the devices, a faithful `Path` that hears what they send, the
proxy, a `Path` with faults that hears what goes to the cloud, the cloud. There is a pair of paths
for each family, so one's cloud may be away while the other's is there. `Matching` holds what was
heard at both against each other.

*Waits* of the proxy that are a minute or more in life are seconds here, as a soak of minutes would
see few of them: how long until it looks whether a cloud is back, and how long one may be silent.
What passes and what is kept does not depend on them.

*Who answers* is both: the cloud, and while it is away the proxy. If one of them answered nothing,
nothing was shown.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from pathlib import Path as File
from random import Random

from inverterproto.families import FAMILIES
from inverterproto_cli.address import Address
from soaking.matching import Matching
from soaking.path import FAULTS, Path
from soaking.server import MAIN, FakeServer, Figures

_PROBE_EVERY, _SILENT_FOR, _FIRST_FRAME = 5.0, 8.0, 10.0
"""Seconds instead of the proxy's own."""
_HOME = "127.0.0.2"
"""From where the devices call: as in life, from another address than the proxy itself."""
_MAIN = f"""
from inverterproto_cli.relay import cloud, relaying
cloud.PROBE_EVERY, cloud.SILENT_FOR = {_PROBE_EVERY}, {_SILENT_FOR}
relaying.FIRST_BYTE = {_FIRST_FRAME}
{MAIN}
"""


class _Cloud(FakeServer):
    """A cloud that keeps nothing, so it answers before the proxy has anything on disk."""

    def _keeping(self) -> list[str]:
        return ["--no-store"]


class Proxied(FakeServer):
    """A proxy on loopback, and a cloud behind it; the proxy can be killed and started again.

    Args:
        store: the file of the proxy's store.
        devices: how many there will be.
        seed: of the faults on the way to the cloud.
        durable: whether what the cloud says waits for the store.
    """

    main = _MAIN

    def __init__(self, store: File, devices: int, *, seed: int, durable: bool = False) -> None:
        super().__init__(store, devices)
        self._ports = [0] * len(FAMILIES)
        self._durable = durable
        self._chances = {family: Random(f"{seed} way {family}") for family in FAMILIES}
        self._matchings = {family: Matching() for family in FAMILIES}
        self._near = {family: Path(one.sent, _HOME) for family, one in self._matchings.items()}
        self._far = {family: Path(one.got) for family, one in self._matchings.items()}
        self._cloud = _Cloud(store, devices)

    @property
    def addresses(self) -> Mapping[str, Address]:
        """Where the devices of each family call."""
        return {family: path.address for family, path in self._near.items()}

    def _command(self) -> list[str]:
        """Return the command and the options that only it has."""
        options = ["--durable"] if self._durable else []
        for family, port in zip(FAMILIES, self._ports, strict=True):
            options += ["--listen", f"{family}=127.0.0.1:{port}"]
            options += ["--upstream", f"{family}={self._far[family].address}"]
        return ["proxy", *options]

    async def start(self) -> None:
        """Start it, and what stands before and behind it, unless that is there.

        Raises:
            ServerError: it does not come up.
        """
        if not self._cloud.runs:
            await self._cloud.start()
            for family, far in self._far.items():
                far.target = self._cloud.addresses[family]
                await far.open()
        await super().start()
        for matching in self._matchings.values():
            matching.excuse(later=False)  # calls of a killed proxy may have come in meanwhile
        for port, near in zip(self._ports, self._near.values(), strict=True):
            near.target = Address("127.0.0.1", port)
            await near.open()

    async def disturb(self, seconds: float) -> None:
        """Make faults on the ways to the cloud for some time."""
        async with asyncio.TaskGroup() as group:
            for family, far in self._far.items():
                group.create_task(far.disturb(self._chances[family], seconds))

    async def at_rest(self) -> Figures:
        """Wait until all connections are closed; return what the proxy holds then.

        Raises:
            ServerError: it does not tell how many there are.
        """
        held = await super().at_rest()
        for name, paths in (("devices", self._near), ("the cloud", self._far)):
            for path in paths.values():
                if path.passages:
                    self._blame(f"{len(path.passages):,} connections of {name} are there still")
        return held

    async def kill(self) -> None:
        """Kill it. What it says then is no promise."""
        for matching in self._matchings.values():
            matching.excuse(later=True)
        await super().kill()

    async def stop(self) -> None:
        """Let it end by itself, then what stands behind it."""
        await super().stop()
        await self._cloud.stop()
        await self._close()
        self.wrong += [f"the cloud: {text}" for text in self._cloud.wrong]
        for matching in self._matchings.values():
            self.wrong += matching.wrong
            if not matching.counts["whole"]:
                self._blame("no connection reached the cloud whole: nothing is shown")

    async def abandon(self) -> None:
        """Kill all that runs, whatever happened."""
        await super().abandon()
        await self._cloud.abandon()
        await self._close()

    async def _close(self) -> None:
        for path in (*self._near.values(), *self._far.values()):
            await path.close()

    def report(self) -> dict[str, str]:
        """Return what else is to be told in the end, by what it is about."""
        faults: Counter[str] = Counter()
        for path in self._far.values():
            faults.update(path.faults)
        told = {"faults of the way": ", ".join(f"{name} {faults[name]:,}" for name in FAULTS)}
        for family, matching in self._matchings.items():
            sorts = [f"{count:,} {sort}" for sort, count in sorted(matching.counts.items())]
            told[f"{family} connections to the cloud"] = (
                f"{', '.join(sorts)}; {matching.compared / 2**20:.1f} MiB the same"
            )
        return told
