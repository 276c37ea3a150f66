"""What is to arrive at sinks, and whether it did: each reading once at least, in order.

What is to arrive stands in the store in the end: the entries that it makes of its records, by their
numbers. What arrived is a row of marks. A *mark* is a digest of all that a sink tells of an entry,
made here of the entry, and there of what arrived: so an entry is found only if every value in it
is the same. One that may be told in two ways (by MQTT, as state or as history) has two marks. Two
that are told alike (a state has no number) have one, and it must arrive twice.

*Order* is that of first arrivals: of each device their numbers never fall. What comes again is a
duplicate, and is counted.

*A database* that folds points is asked in the end instead (`points_wrong`).
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from inverterproto_cli.sinks.pages import Wanted, entries_of
from inverterproto_cli.sinks.sink import Entry
from inverterproto_cli.store import Reader
from soaking.report import some

Mark = bytes


class Arrival(NamedTuple):
    """Something that arrived.

    Attributes:
        mark: of it.
        text: for people.
        stream: in which it stands: order is that of one stream.
    """

    mark: Mark
    text: str
    stream: str = ""


class Held(NamedTuple):
    """What came of holding arrivals against what was to arrive.

    Attributes:
        arrived: how many different readings did.
        duplicates: how many came that had arrived already.
        lost: those that did not.
        disordered: those that first came after a later one of the same device.
        strange: what came and is nowhere in the store.
    """

    arrived: int
    duplicates: int
    lost: list[str]
    disordered: list[str]
    strange: list[str]

    def wrong(self, name: str) -> list[str]:
        """Return what must not be."""
        return [
            *some(f"{name}: never arrived", self.lost),
            *some(f"{name}: arrived after a later one of its device", self.disordered),
            *some(f"{name}: arrived and is not in the store", self.strange),
        ]


def mark(*told: object) -> Mark:
    """Return the mark of something that JSON has."""
    return blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=16).digest()


def committed(path: Path) -> list[Entry]:
    """Return all entries that a store makes of its records, in the order of delivery."""
    found: list[Entry] = []
    with Reader(path) as reader:
        number = 0
        while kept := reader.delivered_after(number):
            found += (entry for one in kept for entry in entries_of(one, Wanted()))
            number = kept[-1].number or 0
    return found


def named(entry: Entry) -> str:
    """Return an entry for people."""
    return f"{entry.number} {entry.reading.device} {entry.reading.kind} {entry.reading.time}"


def held_against(
    entries: Sequence[Entry],
    marks_of: Callable[[Entry], Iterable[Mark]],
    arrivals: Iterable[Arrival],
) -> Held:
    """Hold what arrived against what was to arrive.

    Args:
        entries: what was to arrive.
        marks_of: gives all marks that one may arrive with.
        arrivals: what arrived, as it came.
    """
    places: dict[Mark, list[int]] = {}
    for place, entry in enumerate(entries):
        for each in marks_of(entry):
            places.setdefault(each, []).append(place)
    there: set[int] = set()
    newest: dict[object, int] = {}
    duplicates, disordered, strange = 0, [], []
    for arrival in arrivals:
        may_be = places.get(arrival.mark)
        if may_be is None:
            strange.append(arrival.text)
            continue
        found = next((place for place in may_be if place not in there), None)
        if found is None:
            duplicates += 1
            continue
        there.add(found)
        entry = entries[found]
        whose = arrival.stream, entry.reading.family, entry.reading.device
        if entry.number < newest.get(whose, 0):
            disordered.append(f"{named(entry)} after {newest[whose]}")
        else:
            newest[whose] = entry.number
    lost = [named(one) for place, one in enumerate(entries) if place not in there]
    return Held(len(there), duplicates, lost, disordered, strange)


Series = Mapping[int, Mapping[str, object]]
"""Points of a device by their time in milliseconds; what is in them."""


def points_of(entries: Iterable[Entry]) -> dict[str, dict[int, list[Entry]]]:
    """Return the points that a database is to have, by device and time: the entries in each."""
    points: dict[str, dict[int, list[Entry]]] = {}
    for entry in entries:
        time = entry.reading.time
        assert time is not None
        series = points.setdefault(entry.reading.device or "", {})
        series.setdefault(round(time * 1000), []).append(entry)
    return points


def points_wrong(wanted: Mapping[int, Sequence[Entry]], found: Series) -> list[str]:
    """Return what is wrong with the points of a device."""
    lost: list[str] = []
    other: list[str] = []
    for time, entries in wanted.items():
        point = found.get(time)
        if point is None:
            lost += map(named, entries)
            continue
        may_be: dict[str, list[object]] = {}
        for entry in entries:
            for key, value in entry.reading.values.items():
                may_be.setdefault(key, []).append(value)
        other += (
            f"{named(entries[0])}: {key} is {point.get(key)}, was {values}"
            for key, values in may_be.items()
            if point.get(key) not in values
        )
    strange = [str(time) for time in found.keys() - wanted.keys()]
    return [
        *some("influx: never arrived", lost),
        *some("influx: has another value", other),
        *some("influx: is there and not in the store", strange),
    ]
