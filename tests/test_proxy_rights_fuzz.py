"""Whatever a cloud says, however it is cut: what a filter lets through is whole, good frames."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverterproto.families import framings
from inverterproto.gate import Rights
from inverterproto.session import MOST_UNFRAMED
from inverterproto.stream import Framed, StreamDecoder
from inverterproto_cli import proxy
from inverterproto_cli.relay.observing import Observer
from inverterproto_cli.server.answering import Answers
from inverterproto_cli.server.keeper import Keeper
from inverterproto_cli.server.logs import Log
from inverterproto_cli.store import NoStore
from tests.alphaess_vectors import RAW, START, status
from tests.filtering import ZONE
from tests.test_alphaess_gate import ASK, configuration
from tests.test_deye_gate import answer
from tests.test_proxy_rights import BATTERY_ATTACKS, READS, V5_ATTACKS, heartbeat
from tests.vectors import CLIENT_HELLO, raw

FILTERS = pytest.mark.parametrize("rights", [Rights.READ_ONLY, Rights.BLOCK])
ASKED = {
    "deye": b"".join(map(heartbeat, range(4))) + raw("micro-5408-realtime"),
    "alphaess": RAW["login"] + ASK * 2 + status(START) + RAW["keep-alive"],
}
GOOD = {
    "deye": [*(answer(heartbeat(number)) for number in range(4))],
    "alphaess": [
        RAW["login-reply"],
        RAW["status-reply"],
        RAW["keep-alive-reply"],
        configuration(),
        configuration(GridCharge=True),
    ],
}
ATTACKS = {"deye": list(V5_ATTACKS.values()), "alphaess": list(BATTERY_ATTACKS.values())}


class _Wire:
    """A wire without sockets, which takes down what goes to the device."""

    def __init__(self) -> None:
        self.released = b""
        self.reason = ""
        self.heard_at = 1.0
        self.turns = SimpleNamespace(piece=memoryview(b""))
        self.device = self.cloud = SimpleNamespace(weigh=lambda *, heavy: heavy, ended=False)

    def release(self, data: bytes) -> None:
        if not self.reason:
            self.released += data

    def fail(self, reason: str) -> None:
        self.reason = self.reason or reason

    def pass_end(self, end: object) -> None:
        """Nobody is there to be told."""


class _Heard:
    """What came of a conversation."""

    def __init__(self, rights: Rights, family: str, chunks: list[bytes]) -> None:
        keeper = Keeper(NoStore(), Log(), clock=lambda: START)
        answers = Answers(keeper, zone=ZONE)
        serving: Any = SimpleNamespace(keeper=keeper, log=Log(), capture=None)
        options = {"cloud_commands": rights.value, "durable": False}
        hearing = proxy._hearing(serving, answers, options)._replace(clock=lambda: START)
        wire: Any = _Wire()
        cloud: Any = SimpleNamespace(named=True, spoke_at=0.0, answered=lambda _device: None)
        observer = Observer(wire, hearing, 1, cloud)
        observer.device_said(ASKED[family])
        for chunk in chunks:
            observer.cloud_said(chunk)
        observer.ended("cloud")
        self.arrived: bytes = wire.released
        self.reason: str = wire.reason


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = [*sorted({place % len(data) for place in places} - {0}), len(data)]
    return [data[begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True)]


def said_by(family: str) -> st.SearchStrategy[bytes]:
    """Return what a cloud may say: good and bad frames, parts of them, and anything else."""
    known = st.sampled_from([*GOOD[family], *ATTACKS[family], *READS[family]])
    parts = st.builds(lambda one, place: one[: place % (len(one) + 1)], known, st.integers(0, 400))
    spoilt = st.builds(
        lambda one, place, byte: one[: place % len(one)] + byte + one[place % len(one) + 1 :],
        known, st.integers(0, 400), st.binary(min_size=1, max_size=1),
    )  # fmt: skip
    pieces = st.one_of(known, known, parts, spoilt, st.binary(max_size=40))
    return st.lists(pieces, min_size=1, max_size=8).map(b"".join).filter(bool)


@FILTERS
@pytest.mark.parametrize("family", ASKED)
@given(data=st.data())
def test_what_arrives_is_made_of_good_frames_however_it_was_cut(
    rights: Rights, family: str, data: st.DataObject
) -> None:
    said = data.draw(said_by(family))
    places = data.draw(st.lists(st.integers(0, len(said)), max_size=20))
    heard = _Heard(rights, family, cut(said, places))
    assert heard.arrived == _Heard(rights, family, [said]).arrived
    decoder = StreamDecoder(*framings())
    items = [*decoder.feed(heard.arrived), *decoder.flush()]
    allowed = {*GOOD[family], *(READS[family] if rights is Rights.READ_ONLY else ())}
    for item in items:
        assert isinstance(item, Framed)
        assert item.raw in allowed


@FILTERS
@pytest.mark.parametrize("family", ASKED)
@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=10))
def test_nothing_at_all_arrives_of_arbitrary_bytes(
    rights: Rights, family: str, junk: bytes, places: list[int]
) -> None:
    if junk:
        assert _Heard(rights, family, cut(junk, places)).arrived == b""


@FILTERS
def test_a_good_reply_behind_tls_arrives_wherever_it_is_cut(rights: Rights) -> None:
    said = CLIENT_HELLO + GOOD["deye"][0]
    for place in range(1, len(said)):
        assert _Heard(rights, "deye", cut(said, [place])).arrived == GOOD["deye"][0]


@FILTERS
@pytest.mark.parametrize("size", [1, 7, 4096, MOST_UNFRAMED + 1])
def test_behind_too_much_junk_nothing_arrives_in_whatever_chunks(rights: Rights, size: int) -> None:
    said = b"\xff" * (MOST_UNFRAMED + 1) + GOOD["deye"][0]
    heard = _Heard(rights, "deye", [said[at : at + size] for at in range(0, len(said), size)])
    assert heard.arrived == b""
    assert "without a frame" in heard.reason
