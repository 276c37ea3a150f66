"""All that is behind the sinks of a server, each by a line of its own, and what arrived there.

There are six sinks: one of each kind, and a second webhook, `dead`, whose line is refused until it
is opened once. What each tells of a reading is made here again, of the store's entry, by what the
documentation says of it, not by the sink's own code.
"""

import asyncio
import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path as File
from random import Random

from inverterproto.reading import utc_text
from inverterproto_cli.address import Address
from inverterproto_cli.sinks.sink import Entry
from inverterproto_cli.sinks.topics import SEEN, Topics
from soaking.arrivals import Arrival, Held, Mark, held_against, mark, points_of, points_wrong
from soaking.counterparts import DATABASE, Points, Receiver, broker, database, ok, quiet_port
from soaking.path import FAULTS, Ear, Path
from soaking.publishing import Publisher
from soaking.report import counted
from tests.posts import served
from tests.splunk_stub import TOKEN, SplunkStub

DEAD = "dead"
DISTURBED = ("mqtt", "influx", "splunk", "webhook")
"""The sinks whose lines have faults."""
SINKS = (*DISTURBED, DEAD, "files")
NEEDS_TIME = ("influx", "splunk")
IN_TIME = 5.0
"""Seconds that a request may take."""
_TOPICS = Topics("soaked")
_IDENTITY = frozenset({"via", "device_type", "manufacturer", "model", "firmware"})
"""What Splunk is told of a device, not of a reading: it may be learned later."""
_SHOWN = 100


class Outlets:
    """What is behind the sinks.

    Args:
        folder: for all that is on disk.
        seed: of all faults.

    Attributes:
        wrong: what must not be.
    """

    def __init__(self, folder: File, seed: int) -> None:
        self.wrong: list[str] = []
        self._seed = seed
        self._folder = folder
        ports = Random(os.getpid())
        self._broker = broker(folder, quiet_port(ports))
        self._database = database(folder, quiet_port(ports), quiet_port(ports))
        self._splunk = SplunkStub()
        self._receivers = {
            "splunk": Receiver(self._splunk, self._chance("splunk")),
            "webhook": Receiver(ok, self._chance("webhook")),
            DEAD: Receiver(ok, self._chance(DEAD)),
        }
        self._published: list[tuple[str, bytes]] = []
        publisher = partial(Publisher, lambda *one: self._published.append(one), self._blame)
        self._lines = {
            name: Path(publisher if name == "mqtt" else Ear, port=quiet_port(ports))
            for name in (*DISTURBED, DEAD)
        }
        self._stack = AsyncExitStack()

    def _chance(self, what: str) -> Random:
        return Random(f"{self._seed} {what}")

    def _blame(self, text: str) -> None:
        if text not in self.wrong:
            self.wrong.append(text)

    # Beginning, faults, end

    async def start(self) -> None:
        """Start all, and open all lines but one.

        Raises:
            ServerError: something does not come up.
        """
        await self._broker.start()
        await self._database.start()
        targets = {"mqtt": self._broker.address, "influx": self._database.address}
        for name, receiver in self._receivers.items():
            place = await self._stack.enter_async_context(served(receiver))
            host, _, port = place.rpartition(":")
            targets[name] = Address(host, int(port))
        for name, line in self._lines.items():
            line.target = targets[name]
            if name != DEAD:
                await line.open()

    def configuration(self) -> str:
        """Return the tables of the sinks."""
        at = {name: line.address for name, line in self._lines.items()}
        return f"""
[sink.mqtt]
broker = "{at["mqtt"]}"
prefix = "{_TOPICS.prefix}"
[sink.influx]
url = "http://{at["influx"]}"
database = "{DATABASE}"
create = true
timeout = {IN_TIME}
[sink.splunk]
url = "http://{at["splunk"]}"
token = "{TOKEN}"
[sink.webhook]
url = "http://{at["webhook"]}/readings"
timeout = {IN_TIME}
[sink.{DEAD}]
type = "webhook"
url = "http://{at[DEAD]}/readings"
[sink.files]
folder = "{self._folder / "files"}"
format = "both"
"""

    async def disturb(self, seconds: float) -> None:
        """Make faults everywhere for some time; then all but one is well."""
        receivers = [self._receivers[name] for name in ("splunk", "webhook")]
        try:
            for receiver in receivers:
                receiver.unwell = True
            async with asyncio.TaskGroup() as group:
                for name in DISTURBED:
                    chance = self._chance(f"line {name}")
                    group.create_task(self._lines[name].disturb(chance, seconds))
                group.create_task(self._broker.disturb(self._chance("broker"), seconds))
        finally:
            for receiver in receivers:
                receiver.unwell = False

    async def revive(self) -> None:
        """Open the line that was dead."""
        await self._lines[DEAD].open()

    async def end(self) -> None:
        """End all that runs."""
        for line in self._lines.values():
            await line.close()
        await self._stack.aclose()
        await self._broker.end()
        await self._database.end()

    def faults(self) -> dict[str, str]:
        """Return what went wrong, by where."""
        told = {
            f"faults of the line of {name}": ", ".join(
                f"{fault} {self._lines[name].faults[fault]:,}" for fault in FAULTS
            )
            for name in DISTURBED
        }
        told["broker ended"] = counted(self._broker.ends)
        for name in ("splunk", "webhook"):
            told[f"faults of {name}"] = counted(self._receivers[name].moods)
        return told

    # What arrived

    def caught_up(self, number: int) -> tuple[int, float] | None:
        """Return how fast what was dead has had all up to some number.

        Returns:
            How many readings behind the first request, in how many seconds; None if it has not.
        """
        taken = self._receivers[DEAD].taken
        count = 0
        for request in taken:
            objects = json.loads(request.body)
            count += len(objects) if request is not taken[0] else 0
            if objects[-1]["number"] >= number:
                return count, request.at - taken[0].at
        return None

    def held(self, entries: Sequence[Entry]) -> dict[str, Held]:
        """Hold what arrived against what was to arrive, but for the database."""
        timed = [entry for entry in entries if entry.reading.time is not None]
        return {
            "mqtt": held_against(entries, _of_mqtt, _published(self._published)),
            "splunk": held_against(timed, _of_splunk, _indexed(self._splunk)),
            "webhook": held_against(entries, _whole, _posted(self._receivers["webhook"])),
            DEAD: held_against(entries, _whole, _posted(self._receivers[DEAD])),
            "files (jsonl)": held_against(entries, _whole, self._lines_of("jsonl", _of_line)),
            "files (csv)": held_against(entries, _of_csv, self._lines_of("csv", _of_rows)),
        }

    def _lines_of(
        self, form: str, arrivals: Callable[[str, str], Iterable[Arrival]]
    ) -> Iterator[Arrival]:
        for path in sorted((self._folder / "files").glob(f"*.{form}")):
            text = path.read_text()
            if not text.endswith("\n"):
                self._blame(f"files: {path.name} does not end in a whole line")
            yield from arrivals(path.name, text)

    async def points(self, entries: Sequence[Entry]) -> int:
        """Look whether the points of all entries are in the database; return how many there are.

        Raises:
            ServerError: the database does not tell.
        """
        wanted = points_of(entry for entry in entries if entry.reading.time is not None)
        total = 0
        async with Points(self._database.address) as points:
            for device in sorted(wanted.keys() | await points.devices()):
                found = await points.of(device)
                total += len(found)
                for text in points_wrong(wanted.get(device, {}), found):
                    self._blame(text)
        return total


# What each sink tells of an entry, and what arrived


def _whole(entry: Entry) -> Iterator[Mark]:
    yield mark(entry.to_json())


def _of_mqtt(entry: Entry) -> Iterator[Mark]:
    reading = entry.reading
    yield mark(_TOPICS.history(reading.family, reading.device), entry.to_json())
    if reading.time is not None:
        said = {"time": utc_text(reading.time), "time_source": str(reading.time_source)}
        topic = _TOPICS.state(reading.family, reading.device, reading.kind)
        yield mark(topic, {**said, **reading.values})


def _of_splunk(entry: Entry) -> Iterator[Mark]:
    told = entry.to_json()
    assert entry.reading.time is not None
    flat = {**entry.reading.values, **told}
    event = {
        key: value
        for key, value in flat.items()
        if key not in _IDENTITY and key != "values" and value is not None
    }
    yield mark(round(entry.reading.time, 3), {"device": "", **event})


def _of_csv(entry: Entry) -> Iterator[Mark]:
    told = entry.to_json()
    yield mark(*(str(told[key] or "") for key in ("number", "device", "kind", "time")))


def _published(published: Iterable[tuple[str, bytes]]) -> Iterator[Arrival]:
    """Yield what is of readings: no discovery, nor who is there and was heard when."""
    for topic, payload in published:
        beginning, _, end = topic.rpartition("/")
        ours = topic.startswith(f"{_TOPICS.prefix}/") and not beginning.endswith(f"/{SEEN}")
        if ours and end in ("state", "history"):
            text = payload.decode()
            yield Arrival(mark(topic, json.loads(text)), f"{topic} {text[:_SHOWN]}")


def _indexed(stub: SplunkStub) -> Iterator[Arrival]:
    for one in stub.indexed:
        event = {key: value for key, value in one["event"].items() if key not in _IDENTITY}
        yield Arrival(mark(one["time"], event), str(event)[:_SHOWN])


def _posted(receiver: Receiver) -> Iterator[Arrival]:
    for request in receiver.taken:
        for told in json.loads(request.body):
            yield Arrival(mark(told), str(told)[:_SHOWN])


def _of_line(name: str, text: str) -> Iterator[Arrival]:
    for line in text.splitlines():
        yield Arrival(mark(json.loads(line)), line[:_SHOWN], name)


def _of_rows(name: str, text: str) -> Iterator[Arrival]:
    head, *rows = csv.reader(text.splitlines())
    for row in rows:
        named = dict(zip(head, row, strict=True))
        shown = [named[key] for key in ("number", "device", "kind", "time")]
        yield Arrival(mark(*shown), f"{name}: {' '.join(shown)}", name)
