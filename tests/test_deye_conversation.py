"""A stick and our cloud talk for days of virtual time, with outages: nothing is lost or doubled.

Between the two sessions is a wire that delays, cuts and loses bytes; behind the cloud's session
stands a store as a program has one. What the stick measured is compared with what is stored.
"""

from collections.abc import Mapping
from heapq import heappop, heappush
from itertools import count
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inverterproto.deye.bodies import MODBUS_KIND
from inverterproto.deye.cloud import CloudSession
from inverterproto.deye.frame import FRAMING, Frame
from inverterproto.deye.logger import LoggerSession
from inverterproto.deye.messages import Message
from inverterproto.deye.modbus import Request
from inverterproto.deye.responding import CommandResponder
from inverterproto.deye.stick import Stick
from inverterproto.deye.watching import LoggerState
from inverterproto.reading import Dated, TimeSource
from inverterproto.session import Action, Answer, Close, Note, Record, Send
from inverterproto.stream import StreamDecoder

STICK = Stick()
BEGIN = 1_700_000_000.0
HOUR = 3600.0
DELAY = 0.4  # seconds from one side to the other
RECONNECT = 30.0


class Outage(NamedTuple):
    """A time in which something does not work.

    `what`: "line": no connection; "replies": the cloud's bytes are lost; "silence": the cloud keeps
    records but does not answer; "power": the stick has none, and its counter runs on.
    """

    what: str
    begin: float
    end: float


class Day:
    """Both sides, the wire between them, and the store."""

    def __init__(self, outages: list[Outage], piece: int = 100) -> None:
        self.now = BEGIN
        self.measured: dict[int, float] = {}  # energy → when
        self.kept: dict[bytes, Record] = {}
        self.doubled = 0
        self.asleep = False
        self.dates: dict[bytes, Dated] = {}
        self.answers: list[Answer] = []
        self.notes: list[Note] = []
        self.state = LoggerState()
        self.stick = LoggerSession(
            STICK,
            self.measure,
            powered_on=BEGIN,
            working_time=12345,
            responder=CommandResponder({60: 7}),
        )
        self.outages = outages
        self.piece = piece
        self.cloud: CloudSession | None = None
        self._line = 0  # the number of the connection
        self._events: list[tuple[float, int, str, Any]] = []
        self._order = count()
        for outage in outages:
            self._plan(outage.begin, "break", outage)
            self._plan(outage.end, "mend", outage)
        self._plan(BEGIN, "connect", None)

    def measure(self, now: float) -> Mapping[str, Any] | None:
        if self.asleep:
            return None
        number = len(self.measured) + 1
        self.measured[number] = now
        return {"inverter_serial": STICK.inverter_serial, "energy_today": number / 100}

    def run(self, until: float) -> None:
        """Let time pass."""
        settle = self.now
        while True:
            stick = float("inf") if self.is_broken("power") else self.stick.due
            cloud = self.cloud.due if self.cloud else float("inf")
            planned = self._events[0][0] if self._events else float("inf")
            self.now = max(self.now, min(stick, cloud, planned, settle))
            if self.now > until:
                return
            if settle <= self.now:
                settle = self.now + 60
                self.date(self.state.settle(self.now))
            elif planned <= self.now:
                _, _, what, about = heappop(self._events)
                getattr(self, what)(about)
            elif stick <= self.now:
                self.do(self.stick.poll(self.now), "device")
            elif self.cloud:
                self.do(self.cloud.poll(self.now), "cloud")

    def finish(self, until: float) -> None:
        """Let time pass; then nothing is measured any more, and what is under way arrives."""
        self.run(until)
        self.asleep = True
        self.run(until + HOUR)

    def is_broken(self, what: str) -> bool:
        return any(o.what == what and o.begin <= self.now < o.end for o in self.outages)

    def _plan(self, when: float, what: str, about: object) -> None:
        heappush(self._events, (when, next(self._order), what, about))

    # What happens

    def connect(self, _about: None) -> None:
        if self.cloud or self.is_broken("power"):
            return
        if self.is_broken("line"):
            self._plan(self.now + RECONNECT, "connect", None)
            return
        self._line += 1
        self.cloud = CloudSession(
            lambda serial: self.state if serial == str(STICK.serial) else None
        )
        self.cloud.answering = not self.is_broken("silence")
        self._streams = {"device": StreamDecoder(FRAMING), "cloud": StreamDecoder(FRAMING)}
        self.do(self.stick.connected(self.now), "device")

    def hang_up(self, line: int) -> None:
        if self.cloud and line == self._line:
            self.do(self.cloud.end(self.now), "cloud")
            self.cloud = None
            self.do(self.stick.disconnected(self.now), "device")
            self._plan(self.now + RECONNECT, "connect", None)

    def arrive(self, about: tuple[int, str, bytes]) -> None:
        line, sender, data = about
        if not self.cloud or line != self._line:
            return
        for item in self._streams[sender].feed(data):
            if sender == "device":
                self.do(self.cloud.receive(item, self.now), "cloud")
            else:
                self.do(self.stick.receive(item, self.now), "device")

    def do(self, actions: list[Action], who: str) -> None:
        for action in actions:
            if isinstance(action, Send):
                if who == "device" or not self.is_broken("replies"):
                    for at in range(0, len(action.data), self.piece):
                        part = action.data[at : at + self.piece]
                        self._plan(self.now + DELAY, "arrive", (self._line, who, part))
            elif isinstance(action, Record):
                self.doubled += action.key in self.kept
                self.kept.setdefault(action.key, action)
            elif isinstance(action, Dated):
                self.date([action])
            elif isinstance(action, Answer):
                self.answers.append(action)
            elif isinstance(action, Close):
                self._plan(self.now, "hang_up", self._line)
            else:
                assert isinstance(action, Note)
                self.notes.append(action)

    def date(self, dates: list[Dated]) -> None:
        for date in dates:
            assert isinstance(date.key, bytes)
            assert date.key in self.kept
            self.dates.setdefault(date.key, date)

    # Named in the plan: `break` is a keyword.

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - a method
        if name == "break":
            return self.broken
        raise AttributeError(name)

    def broken(self, outage: Outage) -> None:
        if outage.what in ("line", "power"):
            self.hang_up(self._line)
        elif outage.what == "silence" and self.cloud:
            self.cloud.answering = False

    def mend(self, outage: Outage) -> None:
        if outage.what == "power" and not self.is_broken("power"):
            self.stick.restarted(self.now)
            self._plan(self.now + 5, "connect", None)
        elif outage.what == "silence" and self.cloud:
            self.cloud.answering = not self.is_broken("silence")

    # What was to come of it

    def stored(self) -> dict[int, tuple[Record, Dated]]:
        """Return the data records by the energy that was measured."""
        found: dict[int, tuple[Record, Dated]] = {}
        for key, record in self.kept.items():
            if record.kind == "data":
                fields = Message.parse(Frame.parse(record.frame)).fields
                number = round(fields["energy_today"] * 100)
                assert number not in found, "the same twice, under two keys"
                found[number] = record, self.dates[key]
        return found

    def check(self) -> None:
        """Every record that was measured is stored once, with the time at which it was."""
        stored = self.stored()
        assert sorted(stored) == sorted(self.measured)
        for number, (record, dated) in stored.items():
            assert record.device == STICK.inverter_serial
            assert dated.time is not None
            assert abs(dated.time - self.measured[number]) <= 2, (number, record, dated)
            assert dated.source is not TimeSource.ARRIVAL or not record.historic


def test_three_days_with_outages_lose_nothing() -> None:
    day = Day(
        [
            # The first data are stored, but not answered: they come again as historic ones.
            Outage("replies", BEGIN + 1.2, BEGIN + 22),
            Outage("line", BEGIN + 3 * HOUR, BEGIN + 9 * HOUR),
            Outage("replies", BEGIN + 12 * HOUR, BEGIN + 13 * HOUR),
            Outage("silence", BEGIN + 16 * HOUR, BEGIN + 18.5 * HOUR),
            Outage("power", BEGIN + 20 * HOUR, BEGIN + 21 * HOUR),
            Outage("line", BEGIN + 30 * HOUR, BEGIN + 54 * HOUR),
            # A boot that is never told the time, between two that are.
            Outage("power", BEGIN + 40 * HOUR, BEGIN + 40.1 * HOUR),
            Outage("power", BEGIN + 45 * HOUR, BEGIN + 45.1 * HOUR),
        ]
    )
    day.finish(BEGIN + 72 * HOUR)
    day.check()
    assert len(day.measured) > 72 * 12 - 15, "one every 5 minutes but in the hour without power"
    historic = [record for record, _ in day.stored().values() if record.historic]
    assert len(historic) > 12 * (6 + 24)
    sources = {dated.source for _, dated in day.stored().values()}
    assert sources == {TimeSource.DEVICE, TimeSource.DEVICE_CORRECTED, TimeSource.ESTIMATED}
    assert day.doubled > 10, "what was stored and not answered came again"
    assert not day.notes
    kinds = {record.kind for record in day.kept.values()}
    assert kinds == {"data", "handshake", "wifi", "report"}
    assert not [a for a in day.answers if a.final and a.problem and "not answered" not in a.problem]


def test_a_stick_that_never_knew_the_time_is_dated_once_it_does() -> None:
    """It has power, but no connection for a day: no offset; then one reply dates all."""
    day = Day([Outage("line", BEGIN - 1, BEGIN + 24 * HOUR)])
    day.finish(BEGIN + 25 * HOUR)
    day.check()
    early = [dated for record, dated in day.stored().values() if record.historic]
    assert {dated.source for dated in early} == {TimeSource.DEVICE_CORRECTED}
    assert len(early) == 24 * 12


def test_a_command_reaches_the_stick_between_its_own_messages() -> None:
    day = Day([], piece=1)
    for number in range(40):
        day.run(BEGIN + 3 + number * 7.3)
        assert day.cloud is not None
        day.do(day.cloud.command(number, MODBUS_KIND, Request(1, 3, 60, 1), day.now), "cloud")
    day.finish(BEGIN + HOUR)
    answered = [a for a in day.answers if isinstance(a.key, int)]
    assert [a.key for a in answered] == list(range(40))
    assert all(a.message.fields["modbus"]["registers"] == [7] for a in answered)
    day.check()


def test_a_command_that_is_cut_off_is_told_so() -> None:
    day = Day([Outage("line", BEGIN + 600, BEGIN + 700)])
    day.run(BEGIN + 599.9)
    assert day.cloud is not None
    day.do(day.cloud.command("cut", MODBUS_KIND, Request(1, 3, 60, 1), day.now), "cloud")
    day.run(BEGIN + 650)
    (answer,) = [a for a in day.answers if a.key == "cut"]
    assert (answer.message, answer.problem) == (None, "the connection has ended")


@settings(max_examples=25)
@given(
    st.lists(
        st.builds(
            lambda what, begin, length: Outage(what, BEGIN + begin, BEGIN + begin + length),
            st.sampled_from(["line", "replies", "silence", "power"]),
            st.floats(0, 8 * HOUR),
            st.floats(1, 2 * HOUR),
        ),
        max_size=5,
    ),
    st.sampled_from([7, 100, 5000]),
)
@example([Outage("power", BEGIN + 3038.5, BEGIN + 8340)], 7)  # it measures as the day ends
def test_whatever_fails_and_when_nothing_is_lost_or_doubled(
    outages: list[Outage], piece: int
) -> None:
    """Times are right within 2 s; those that are only arrivals, within the minute of waiting."""
    day = Day(outages, piece)
    day.finish(BEGIN + 12 * HOUR)
    stored = day.stored()
    assert sorted(stored) == sorted(day.measured)
    for number, (_record, dated) in stored.items():
        assert dated.time is not None
        limit = 2 if dated.source is not TimeSource.ARRIVAL else 60
        assert abs(dated.time - day.measured[number]) <= limit, (number, dated)


@pytest.mark.parametrize("kept", [30, 576])
def test_a_bounded_stick_loses_the_oldest_and_says_how_many(kept: int) -> None:
    day = Day([Outage("line", BEGIN + 300, BEGIN + 10 * HOUR)])
    day.stick = LoggerSession(
        STICK, day.measure, powered_on=BEGIN, working_time=12345, most_kept=kept
    )
    day.finish(BEGIN + 12 * HOUR)
    missing = day.measured.keys() - day.stored().keys()
    assert len(missing) == day.stick.dropped
    assert (day.stick.dropped > 0) == (kept < 120)
    assert all(BEGIN + 300 <= day.measured[number] < BEGIN + 8 * HOUR for number in missing)
