"""What a scrape gives: all that is known at a moment, as Prometheus reads it.

`Scene` holds what was gathered in the loop; `exposed` makes the text of it, in a thread, for it
looks at the file, and texts of hundreds of devices take a while.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from os import stat
from pathlib import Path
from time import time
from typing import NamedTuple

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from inverterproto_cli.sinks.delivery import Delivery
from inverterproto_cli.store import Reader, StoreError
from inverterproto_cli.web import metrics
from inverterproto_cli.web.asking import Told
from inverterproto_cli.web.metrics import Metric
from inverterproto_cli.web.newest import Value

Family = CounterMetricFamily | GaugeMetricFamily
Sample = tuple[Metric, float]
"""A metric without labels, and its value."""


class Scene(NamedTuple):
    """What a scrape shows.

    Attributes:
        told: what the main thread tells; None if it does not answer.
        deliveries: one a sink.
        values: what was measured last, by device.
        store: the store's file; None if there is none.
    """

    told: Told | None
    deliveries: Sequence[Delivery]
    values: Sequence[Value]
    store: Path | None


class Scrape(Collector):
    """A scene as Prometheus's library takes it."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def collect(self) -> Iterator[Family]:
        """Yield all metrics."""
        scene = self._scene
        yield _plain(metrics.ANSWERS, scene.told is not None)
        if scene.told is not None:
            yield from _counted(scene.told.counters)
        yield from _store(scene)
        yield from _sinks(scene)
        yield from _devices(scene.values)


def exposed(scene: Scene, accept: str) -> tuple[bytes, str]:
    """Return the text of a scrape, and its type.

    Args:
        scene: what it shows.
        accept: which types who asks can read.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Scrape(scene))
    registry.register(ProcessCollector(registry=None))
    encode, kind = choose_encoder(accept)
    return encode(registry), kind


def _family(metric: Metric, *labels: str) -> Family:
    family = CounterMetricFamily if metric.counts else GaugeMetricFamily
    return family(metric.name, metric.meaning, labels=labels)


def _plain(metric: Metric, value: float) -> Family:
    family = _family(metric)
    family.add_metric((), float(value))
    return family


def _by(metric: Metric, values: Iterable[tuple[str, float]]) -> Family:
    """Return a metric of one label; of its values no more than may be."""
    known: dict[str, float] = {}
    for given, value in values:
        room = given in known or len(known) < metrics.MOST_VALUES
        name = given if room else metrics.OTHER
        known[name] = known.get(name, 0.0) + value
    family = _family(metric, str(metric.label))
    for name, value in known.items():
        family.add_metric((name,), value)
    return family


def _counted(counters: Mapping[str, int]) -> Iterator[Family]:
    """Yield the program's counters."""
    for name, metric in metrics.COUNTED.items():
        yield _plain(metric, counters.get(name, 0))
    parted: dict[str, list[tuple[str, float]]] = {name: [] for name in metrics.COUNTED_BY}
    unnamed: list[tuple[str, float]] = []
    for name, count in counters.items():
        kind, colon, value = name.partition(": ")
        if colon and kind in parted:
            parted[kind].append((value, count))
        elif name not in metrics.COUNTED:
            unnamed.append((name, count))
    for kind, values in parted.items():
        yield _by(metrics.COUNTED_BY[kind], values)
    if unnamed:
        yield _by(metrics.UNNAMED, unnamed)


def _store(scene: Scene) -> Iterator[Family]:
    if scene.store is None:
        return
    size = 0
    for suffix in ("", "-wal"):
        with suppress(OSError):
            size += stat(f"{scene.store}{suffix}").st_size
    yield _plain(metrics.STORE_BYTES, size)
    if scene.told is not None:
        yield _plain(metrics.STORE_TROUBLE, scene.told.trouble is not None)
        yield _plain(metrics.STORE_PENDING, scene.told.pending)


def _sinks(scene: Scene) -> Iterator[Family]:
    if not scene.deliveries:
        return
    rows = [one.row for one in scene.deliveries]
    yield _by(metrics.SINK_BEHIND, ((one.row.name, one.behind) for one in scene.deliveries))
    yield _by(metrics.SINK_BEHIND_SECONDS, _seconds_behind(scene))
    yield _by(metrics.SINK_DELIVERED, ((row.name, row.delivered) for row in rows))
    yield _by(metrics.SINK_LEFT_OUT, ((row.name, row.left_out) for row in rows))
    yield _by(metrics.SINK_SET_ASIDE, ((row.name, row.set_aside) for row in rows))
    yield _by(metrics.SINK_TROUBLE, ((row.name, row.error is not None) for row in rows))
    arrived = ((row.name, row.last) for row in rows if row.last is not None)
    yield _by(metrics.SINK_LAST, arrived)


def _seconds_behind(scene: Scene) -> Iterator[tuple[str, float]]:
    """Yield since when each sink is behind; nothing of one whose next record cannot be read."""
    late = [one for one in scene.deliveries if one.behind]
    for one in scene.deliveries:
        if one not in late:
            yield one.row.name, 0.0
    if not late or scene.store is None:
        return
    with suppress(StoreError, sqlite3.Error, OSError), Reader(scene.store) as reader:
        for one in late:
            arrivals = [kept.arrival for kept in reader.delivered_after(one.row.number, 1)]
            yield one.row.name, max(0.0, time() - arrivals[0]) if arrivals else 0.0


def _devices(values: Sequence[Value]) -> Iterator[Family]:
    """Yield what was measured; a metric's values must stand together."""
    families: dict[str, Family] = {}
    newest: dict[tuple[str, str], float] = {}
    for value in values:
        name = value.device, value.family
        if value.key not in families:
            families[value.key] = _family(metrics.metric_of(value.key), *metrics.OF_DEVICE)
        families[value.key].add_metric(name, value.value)
        newest[name] = max(newest.get(name, 0.0), value.time)
    if newest:
        families[""] = _family(metrics.READING_TIME, *metrics.OF_DEVICE)
        for name, at in newest.items():
            families[""].add_metric(name, at)
    yield from families.values()
