"""A logger stick with a micro-inverter that says what the trial wants it to say.

Its inverter measures what it is told to have measured, at the times that it is told. What it sends
goes the way of all devices; only a day's backlog, which no device sends, is put into the store
itself while no proxy runs (`keep`).
"""

import asyncio
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from time import time
from typing import Any, NamedTuple

from inverterproto.deye.dating import Stamp
from inverterproto.deye.frame import FRAMING, Frame
from inverterproto.deye.messages import CONTROL_LOW, DATA, HANDSHAKE
from inverterproto.deye.stick import Stick as Identity
from inverterproto.deye.stick import as_historic
from inverterproto.reading import Dated, TimeSource
from inverterproto.session import Record
from inverterproto.stream import StreamDecoder
from inverterproto_cli.address import Address
from inverterproto_cli.fakes.inverters import MODELS
from inverterproto_cli.fakes.serials import inverter_serial
from inverterproto_cli.store import Store
from inverterproto_cli.store.retention import ALL

LOGGER = 4_290_000_100
INVERTER = inverter_serial(LOGGER)
_COUNTED_FROM = 1_727_740_800
"""When its counter was 0."""
_PATIENCE = 20.0
_NOON = 1_718_964_000.0
"""A time at which there is sun."""


class Moment(NamedTuple):
    """What the inverter measured, and when.

    Attributes:
        time: in unix seconds.
        energy_total: in kWh; None is sent as the 0 that the inverter says when the night begins.
        active_power: in W.
        energy_today: in kWh.
    """

    time: float
    energy_total: float | None
    active_power: int
    energy_today: float = 1.0


class Stick:
    """The stick.

    Args:
        server: where it calls.
    """

    def __init__(self, server: Address) -> None:
        self._server = server
        self._identity = Identity(LOGGER, INVERTER)
        model = MODELS["micro"]
        fields = model.measure(INVERTER, model.household(7), _NOON)(_NOON)
        self._fields = fields or {}  # there is sun
        self._packets = 0

    async def send(self, live: Iterable[Moment] = (), historic: Iterable[Moment] = ()) -> None:
        """Call the server, say who it is, and send what was measured.

        Raises:
            OSError: the server is not there, or does not answer.
        """
        payloads = [self._payload(one) for one in live]
        payloads += [as_historic(self._payload(one), _COUNTED_FROM) for one in historic]
        async with asyncio.timeout(_PATIENCE):
            reader, writer = await asyncio.open_connection(*self._server)
            try:
                decoder = StreamDecoder(FRAMING)
                hello = self._identity.handshake(_stamp(time()))
                await self._ask(reader, writer, decoder, HANDSHAKE, hello)
                for payload in payloads:
                    await self._ask(reader, writer, decoder, DATA, payload)
            finally:
                writer.close()

    async def _ask(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        decoder: StreamDecoder,
        type_: int,
        payload: bytes,
    ) -> None:
        """Send a request, and wait until it is answered."""
        writer.write(self._frame(type_, payload))
        while True:
            chunk = await reader.read(65536)
            if not chunk:
                raise ConnectionAbortedError("the server has hung up")
            if decoder.feed(chunk):
                return

    def _frame(self, type_: int, payload: bytes) -> bytes:
        self._packets += 1
        sequence = 0, self._packets & 0xFF
        return Frame(type_ << 8 | CONTROL_LOW, sequence, LOGGER, payload).build()

    def _payload(self, moment: Moment) -> bytes:
        self._packets += 1
        return self._identity.data(
            _measured(self._fields, moment), _stamp(moment.time), self._packets
        )

    async def keep(self, store: Path, moments: Iterable[Moment]) -> None:
        """Put live records into a store, each as it would be if it had come at its time."""
        said: list[str] = []
        kept = Store(store, lambda _, text: said.append(text), keep=ALL)
        kept.open()
        try:
            for moment in moments:
                frame = self._frame(DATA, self._payload(moment))
                record = Record(
                    sha256(frame).digest()[:16], "deye", "data", INVERTER, str(LOGGER),
                    historic=False, stamp=moment.time - _COUNTED_FROM, frame=frame,
                )  # fmt: skip
                kept.keep(record, moment.time)
                kept.date(Dated(record.key, moment.time, TimeSource.DEVICE, float(_COUNTED_FROM)))
            safe = asyncio.Event()
            kept.when_safe(safe.set)
            async with asyncio.timeout(_PATIENCE):
                await safe.wait()
        finally:
            await kept.close()
        if said:
            raise OSError(f"the store cannot be written: {said[0]}")


def _stamp(now: float) -> Stamp:
    """Return the stick's three times at a moment; it got power when its counter was 0."""
    count = int(now) - _COUNTED_FROM
    return Stamp(count, count, _COUNTED_FROM)


def _measured(fields: Mapping[str, Any], moment: Moment) -> Mapping[str, Any]:
    total = moment.energy_total
    return {
        **fields,
        "energy_total": total,
        "energy_today": moment.energy_today,
        "active_power": moment.active_power,
        **{f"pv{n}_energy_total": None if total is None else 100.0 for n in (1, 2)},
    }
