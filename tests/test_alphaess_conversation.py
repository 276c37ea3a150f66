"""A battery and the cloud's side talk to each other for days, over a line that fails.

All in virtual time. What goes over the line goes through a `StreamDecoder`, cut into chunks at
random. What the program keeps it keeps by key, as a store does; states are written and read at
each new connection, as after a restart.
"""

import json
import random
from collections.abc import Mapping
from itertools import chain
from math import inf
from typing import Any

import pytest

from inverterproto.alphaess.battery import Battery
from inverterproto.alphaess.battery_session import BatterySession
from inverterproto.alphaess.cloud import CloudSession
from inverterproto.alphaess.frame import FRAMING, Frame
from inverterproto.alphaess.messages import Message
from inverterproto.alphaess.state import BatteryState
from inverterproto.reading import Dated, TimeSource
from inverterproto.session import Action, Answer, Note, Record, Send
from inverterproto.stream import StreamDecoder
from tests.alphaess_vectors import CONFIGURATION, RAW, SN, START

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
FIELDS = {
    **Message.parse(Frame.parse(RAW["status-1"])).fields,
    **Message.parse(Frame.parse(RAW["record"])).fields,
}
OWN = Message.parse(Frame.parse(RAW["config-from-battery"])).fields
LATENCY = 0.3


def measure(now: float) -> Mapping[str, Any]:
    """Return what is measured; EpvTotal tells when, so that a test can compare."""
    return {**FIELDS, "EpvTotal": (now - START) / MINUTE, "Ppv1": int(now - START)}


class World:
    """A battery, the cloud's side, and the line between them."""

    def __init__(self, seed: int = 1, *, status_every: float = 30.0, **options: Any) -> None:  # noqa: ANN401 - of the battery
        self.now = START
        self.battery = Battery(SN, measure, START, configuration=OWN, password="secret", **options)
        self.status_every = status_every
        self.random = random.Random(seed)
        self.saved = json.dumps(BatteryState().to_state())
        self.kept: dict[bytes, Record] = {}
        self.times: dict[bytes, Dated] = {}
        self.again: list[Record] = []  # what came more than once
        self.told: list[Answer | Note] = []
        self.zone = 0.0
        self.frames_left = inf
        self.state = BatteryState()

    def local_time(self, now: float) -> float:
        return now + self.zone

    def connect(self, **options: Any) -> None:  # noqa: ANN401 - of the cloud's side
        """Begin a connection; what was remembered was written and is read again."""
        self.state = BatteryState.from_state(json.loads(self.saved))
        self.cloud = CloudSession(lambda _serial: self.state, local_time=self.local_time, **options)
        self.device = BatterySession(self.battery, self.now, status_every=self.status_every)
        self.up, self.down = StreamDecoder(FRAMING), StreamDecoder(FRAMING)

    def run(self, seconds: float, frames: float = inf) -> None:
        """Let the connection live for some time; the line takes so many frames of the battery."""
        until, self.frames_left = self.now + seconds, frames
        while (due := min(self.device.due, self.cloud.due)) <= until:
            self.now = max(self.now, due)
            if self.device.due <= self.now:
                self.exchange(self.device.poll(self.now), [])
            if self.cloud.due <= self.now:
                self.exchange([], self.cloud.poll(self.now))
        self.now = until

    def exchange(self, up: list[Action], down: list[Action]) -> None:
        """Carry what is sent, and what is answered to it, till nobody has anything to say."""
        while up or down:
            arrival = self.now + LATENCY
            received = [self.device.receive(i, arrival) for i in self.carry(down, self.down)]
            up, down = [*up, *chain(*received)], []
            for item in self.carry(up, self.up):
                self.frames_left -= 1
                if self.frames_left >= 0:
                    down += self.cloud.receive(item, arrival)
            up = []

    def drop(self, seconds: float) -> None:
        """Let the line be dead for some time."""
        self.take(self.cloud.end(self.now))
        self.take(self.device.end(self.now))
        self.take([*self.state.settle(self.now)])
        self.saved = json.dumps(self.state.to_state())
        self.now += seconds

    def carry(self, actions: list[Action], stream: StreamDecoder) -> list[Any]:
        data = b"".join(action.data for action in self.take(actions))
        found = []
        while data:
            size = self.random.randint(1, 1500)
            found += stream.feed(data[:size])
            data = data[size:]
        return found

    def take(self, actions: list[Action]) -> list[Send]:
        """Keep what is to be kept; return what is to be sent."""
        sent = []
        for action in actions:
            if isinstance(action, Record):
                if action.key in self.kept and action.kind in ("status", "record", "stored"):
                    self.again.append(action)
                self.kept.setdefault(action.key, action)
            elif isinstance(action, Dated):
                assert isinstance(action.key, bytes)
                self.times.setdefault(action.key, action)
            elif isinstance(action, Send):
                sent.append(action)
            else:
                assert isinstance(action, Answer | Note)
                self.told.append(action)
        return sent

    def measured(self, kind: str) -> dict[float, float | None]:
        """Return when the records of a kind were measured in truth, and the time given to each."""
        found = {}
        for key, record in self.kept.items():
            if record.kind == kind:
                (one,) = Message.parse(Frame.parse(record.frame)).records()
                true = START + float(one.values["pv1_power"])
                assert true not in found
                found[true] = self.times[key].time
        return found

    def minutes(self, begin: float, end: float) -> set[float]:
        """Return the minutes that the battery stored in some time."""
        first = int((begin - START) // MINUTE) + 1
        return {START + MINUTE * n for n in range(first, int((end - START) // MINUTE) + 1)}

    def problems(self) -> list[str]:
        return [told.problem for told in self.told if isinstance(told, Answer) and told.problem]

    def events(self) -> list[str]:
        return [told.event for told in self.told if isinstance(told, Note)]


def assert_dated(times: Mapping[float, float | None], *, within: float) -> None:
    for true, given in times.items():
        assert given is not None
        assert abs(given - true) <= within


@pytest.mark.parametrize(("offset", "drift"), [(0.0, 0.0), (11 * HOUR, 44e-6), (-5 * HOUR, -44e-6)])
def test_after_each_outage_every_minute_arrives_once_and_is_dated(
    offset: float, drift: float
) -> None:
    world = World(offset=offset, drift=drift, status_every=60.0)
    world.connect()
    missing: set[float] = set()
    for outage in (20 * MINUTE, 5 * MINUTE, 3 * HOUR, 130.0, 14 * HOUR):
        world.run(5 * HOUR + 17)
        begin = world.now
        world.drop(outage)
        missing |= world.minutes(begin, world.now)
        world.connect()
    world.run(2 * HOUR)
    stored = world.measured("stored")
    assert missing <= stored.keys()
    # What is asked for begins with the last live record, which may be a minute before the outage.
    assert len(stored) <= len(missing) + 5
    assert world.again == []
    assert_dated(stored, within=1.5 + 44e-6 * 14 * HOUR)
    live = world.measured("status")
    assert len(live) == pytest.approx(27 * 60, abs=20)
    assert_dated(live, within=1.5 + 44e-6 * 14 * HOUR)
    assert set(world.problems()) <= {"not answered", "the connection has ended"}


def test_reconnecting_asks_for_nothing() -> None:
    world = World()
    world.connect()
    for _ in range(20):
        world.run(10 * MINUTE)
        world.drop(60)
        world.connect()
    world.run(10 * MINUTE)
    assert world.measured("stored") == {}


def test_a_dump_that_breaks_off_again_and_again_comes_to_its_end_and_nothing_twice() -> None:
    world = World()
    world.connect()
    world.run(HOUR)
    begin = world.now
    world.drop(10 * HOUR)
    missing = world.minutes(begin, world.now)
    for _ in range(5):
        world.connect()
        before = len(world.measured("stored"))
        world.run(20, frames=30)
        assert len(world.measured("stored")) > before
        world.drop(45)
    world.connect()
    world.run(HOUR)
    stored = world.measured("stored")
    assert missing <= stored.keys()
    assert len(world.again) <= 5  # each time the last that had come
    assert_dated(stored, within=1.5)
    assert world.state.gap is None


@pytest.mark.parametrize("change", [HOUR, -HOUR])
def test_clocks_that_change_while_the_battery_is_heard_leave_no_doubt(change: float) -> None:
    world = World(offset=HOUR)
    world.connect()
    world.run(3 * HOUR)
    world.battery.set_clock(world.now, world.battery.clock(world.now) + change)
    world.run(3 * HOUR)
    begin = world.now
    world.drop(HOUR)
    missing = world.minutes(begin, world.now)
    world.connect()
    world.run(HOUR)
    stored = world.measured("stored")
    assert missing <= stored.keys()
    assert_dated(stored, within=1.5)
    assert_dated(world.measured("status"), within=1.5)
    assert len(world.state.clock.steps) == 1


@pytest.mark.parametrize("change", [HOUR, -HOUR])
def test_clocks_that_change_in_an_outage_lose_no_minute(change: float) -> None:
    """When exactly the clock was set nobody can know: those in between may be an hour off."""
    world = World(offset=HOUR)
    world.connect()
    world.run(3 * HOUR)
    begin = world.now
    world.drop(20 * MINUTE)
    world.battery.set_clock(world.now, world.battery.clock(world.now) + change)
    world.now += 20 * MINUTE
    missing = world.minutes(begin, world.now)
    world.connect()
    world.run(HOUR)
    assert missing <= world.measured("stored").keys()
    assert_dated(world.measured("stored"), within=HOUR + 1.5)
    assert_dated(world.measured("status"), within=1.5)


def test_a_server_that_crashes_asks_from_what_it_had_saved() -> None:
    world = World()
    world.connect()
    world.run(HOUR)
    saved = json.dumps(world.state.to_state())
    world.run(50)  # of this nothing is saved
    begin = world.now
    world.drop(10 * MINUTE)
    world.saved = saved
    missing = world.minutes(begin, world.now)
    world.connect()
    world.run(20 * MINUTE)
    assert missing <= world.measured("stored").keys()


def test_a_battery_that_holds_less_than_is_missing_gives_what_it_has() -> None:
    world = World(capacity=60)
    world.connect()
    world.run(HOUR)
    world.drop(5 * HOUR)
    world.connect()
    world.run(HOUR)
    assert len(world.measured("stored")) == 60
    assert world.state.gap is None


def test_a_battery_that_does_not_resume_is_asked_once_a_connection_and_then_left_alone() -> None:
    world = World(capacity=0)
    world.connect()
    world.run(HOUR)
    world.drop(HOUR)
    world.connect()
    world.run(HOUR)
    assert world.events().count("resume") == 1
    assert world.events().count("not-resumed") == 1
    world.drop(60)
    world.connect()
    world.run(HOUR)
    assert world.events().count("resume") == 1


def test_a_wrong_clock_is_set_by_sync_time_and_everything_stays_dated() -> None:
    world = World(offset=-3 * HOUR, drift=1e-4)
    world.zone = HOUR
    world.state.trust(CONFIGURATION, SN)
    world.saved = json.dumps(world.state.to_state())
    world.connect(synchronise=True)
    world.run(3 * HOUR)
    assert world.battery.clock(world.now) == pytest.approx(world.now + HOUR, abs=3)
    assert_dated(world.measured("status"), within=1.5)
    assert [t.key for t in world.told if isinstance(t, Answer)].count("SyncTime") == 1


def test_a_setting_reaches_the_battery_and_comes_back_in_its_own_configuration() -> None:
    world = World()
    world.connect()
    world.run(HOUR)
    changed = Message.parse(Frame.parse(RAW["config-from-cloud"])).replace({"GridCharge": True})
    world.exchange([], world.cloud.set_config("mine", world.now, changed.payload))
    steps = [told for told in world.told if isinstance(told, Answer) and told.key == "mine"]
    assert [step.final for step in steps] == [False, False, True]
    assert steps[-1].message.fields["GridCharge"] is True
    assert steps[-1].problem == ""


def test_all_that_is_kept_is_dated_in_the_end() -> None:
    world = World(offset=HOUR)
    world.connect()
    world.run(HOUR)
    world.drop(HOUR)
    world.connect()
    world.run(HOUR)
    assert world.kept.keys() == world.times.keys()
    sources = {dated.source for dated in world.times.values()}
    assert sources == {TimeSource.DEVICE_CORRECTED, TimeSource.ARRIVAL}
    assert not any(b"secret" in record.frame for record in world.kept.values())
