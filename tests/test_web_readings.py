"""`/api/readings` and `/api/devices`: what the commands of these names show, in pages."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from inverterproto.families import FAMILIES
from inverterproto.private import Private
from inverterproto_cli.web import page, readings
from inverterproto_cli.web.readings import (
    LIMIT,
    BadQuestionError,
    Question,
    question_of,
    read_piece,
)
from inverterproto_cli.web.working import AT_ONCE
from tests.alphaess_vectors import RAW, SN, START, status
from tests.browsing import PATIENCE, Answer, Shown, shown
from tests.clients import data
from tests.conftest import invoke
from tests.serving import until
from tests.stores import FIRST, Came, filled, time_zone
from tests.vectors import fixtures, raw

MICRO, LOGGER = "2301234567", "2712345678"
SEEN = (
    *(Came(status(START + 39_600 + 10 * n, SN), START + n, "alphaess") for n in range(40)),
    *(Came(status(START + 39_600 + 10 * n, f"{SN}9"), START + n, "alphaess") for n in range(40)),
    Came(RAW["config-from-battery"], START + 50, "alphaess"),
    Came(raw("handshake-86")),
    Came(raw("micro-5408-realtime")),
    # They have no time yet, and came in one moment.
    *(Came(RAW["stored-records"], FIRST + 5, "alphaess") for _ in range(1)),
    *(Came(data(n, int(LOGGER), f"23012345{n}"), FIRST + 5) for n in range(10, 30)),
    Came(raw("tsun-data-02b0"), FIRST + 5),
)


@pytest.fixture(autouse=True)
def _utc() -> Iterator[None]:
    with time_zone("UTC"):
        yield


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return filled(tmp_path / "own.db", SEEN)


def of_command(store: Path, *options: str) -> list[dict[str, Any]]:
    """Return what `inverterproto readings --json` shows."""
    found = invoke("readings", "--json", "--store", store, *options)
    assert found.code == 0
    return [json.loads(line) for line in found.out.splitlines()]


async def all_pages(made: Shown, path: str) -> list[list[dict[str, Any]]]:
    """Return the readings of all pages, from the first on."""
    pages, after = [], path
    while after is not None:
        answer = await made.get(after)
        assert answer.status == 200, answer.body
        pages.append(answer.json["readings"])
        after = answer.json["next"]
        assert len(pages) < 200
    return pages


class TestPages:
    @pytest.mark.parametrize(
        "options",
        [
            (),
            ("--oldest-first",),
            ("--device", LOGGER),
            ("--device", SN, "--oldest-first"),
            ("--since", "2021-03-23T23:01:00", "--until", "2024-04-08T17:14:10"),
            ("--until", "2021-03-23T23:03:00", "--oldest-first"),
            ("--device", "nobody"),
        ],
    )
    @pytest.mark.parametrize("limit", [1, 7, 1000])
    def test_all_pages_together_are_what_the_command_shows(
        self, options: tuple[str, ...], limit: int, store: Path
    ) -> None:
        expected = of_command(store, *options)
        names = iter(options)
        given = {
            name.lstrip("-").replace("-", "_"): "1" if name == "--oldest-first" else next(names)
            for name in names
        }
        path = question_of({**given, "limit": str(limit)}).path()

        async def main() -> list[list[dict[str, Any]]]:
            async with shown(store) as made:
                return await all_pages(made, path)

        pages = asyncio.run(main())
        found = [one for each in pages for one in each]
        assert found == expected
        assert (expected == []) is ("nobody" in options)
        most = max(len(each) for each in pages)
        # A record's readings stay together: the TSUN's battery has some, all others one.
        assert most < limit + 10

    @pytest.mark.asyncio
    async def test_an_answer_is_put_together_of_pieces(
        self, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with shown(store) as made:
            at_once = (await made.get("/api/readings")).json
            monkeypatch.setattr(readings, "PIECE", 3)
            assert (await made.get("/api/readings")).json == at_once
            assert at_once["next"] is None
            some = (await made.get("/api/readings?limit=20")).json
            assert some["readings"] == at_once["readings"][: len(some["readings"])]
            assert 20 <= len(some["readings"]) < 30

    @pytest.mark.asyncio
    async def test_what_has_no_readings_is_passed_over_and_bounded(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = await asyncio.to_thread(filled, tmp_path / "a.db", SEEN)
        monkeypatch.setattr(readings, "PIECE", 2)
        monkeypatch.setattr(page, "_MOST_PIECES", 3)
        async with shown(store) as made:
            answer = (await made.get("/api/readings")).json
            assert 0 < len(answer["readings"]) <= 20
            assert answer["next"] is not None

    def test_next_stands_still_while_time_goes_on(self) -> None:
        first = question_of({"since": "2h", "device": "a&b=c"})
        query = parse_qs(urlsplit(first._replace(after=(1.1, 7)).path()).query)
        again = question_of({name: values[0] for name, values in query.items()})
        assert again.since == pytest.approx(first.since, abs=0.001)
        assert again[3:] == (LIMIT, False, (1.1, 7))
        assert again.device == "a&b=c"

    def test_any_place_is_found_again(self) -> None:
        for place in ((1712596443.1234567, 12), (0.0, 1), (-5.5, 3), (1e9 / 3, 1 << 50)):
            query = parse_qs(urlsplit(Question(after=place).path()).query)
            assert question_of({"after": query["after"][0]}).after == place

    def test_a_plus_in_a_time_may_have_become_a_space(self) -> None:
        asked = question_of({"since": "2024-04-08T17:14:00 02:00"})
        assert asked.since == 1712589240

    def test_a_piece_has_no_more_records_than_it_wants_readings(self, store: Path) -> None:
        piece = read_piece(store, Question(device=SN, limit=2))
        assert (len(piece.texts), piece.ended) == (2, False)
        assert read_piece(store, Question(device="nobody")) == ([], None, True)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("limit=0", "limit: '0' is no number from 1 to 10000"),
        ("limit=10001", "is no number from 1 to 10000"),
        ("limit=-1", "is no number"),
        ("limit=١", "is no number"),
        ("limit=", "is no number"),
        ("since=whenever", "since: 'whenever' is no time: 90m, 2h"),
        ("until=", "until: '' is no time"),
        ("since=999999999d", "is too long ago"),
        ("oldest_first=perhaps", "neither true nor false"),
        ("after=x", "no place"),
        ("after=nan-1", "no place"),
        ("after=1", "no place"),
        ("colour=red", "there is no parameter 'colour', only device, since, until, limit"),
        ("limit=1&limit=2", "a parameter is given twice"),
        ("device=" + "x" * 101, "device: it is too long"),
    ],
)
@pytest.mark.asyncio
async def test_a_parameter_that_cannot_be_is_told_in_a_line(
    query: str, said: str, tmp_path: Path
) -> None:
    async with shown(tmp_path / "a.db") as made:
        answer = await made.get(f"/api/readings?{query}")
        assert answer.status == 400
        assert said in answer.json["error"]
        assert "\n" not in answer.json["error"]


def test_switches_may_be_spelled_in_several_ways() -> None:
    for text in ("", "1", "true", "True", "yes"):
        assert question_of({"oldest_first": text}).oldest_first
    for text in ("0", "false", "no"):
        assert not question_of({"oldest_first": text}).oldest_first
    with pytest.raises(BadQuestionError):
        question_of({"oldest_first": "2"})


class TestDevices:
    def test_they_are_those_of_the_command(self, store: Path) -> None:
        found = invoke("devices", "--json", "--store", store)
        expected = [json.loads(line) for line in found.out.splitlines()]
        assert len(expected) > 5

        async def main() -> Answer:
            async with shown(store) as made:
                assert (await made.get("/api/devices?limit=1")).status == 400
                return await made.get("/api/devices")

        assert asyncio.run(main()).json == {"devices": expected}


class TestTheStore:
    @pytest.mark.asyncio
    async def test_only_some_read_it_at_once_and_the_next_is_told_to_come_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        go_on, reading = threading.Event(), []

        def wait(*arguments: Any) -> readings.Piece:  # noqa: ANN401
            reading.append(arguments)
            go_on.wait(PATIENCE)
            return readings.Piece([], None, ended=True)

        monkeypatch.setattr(page, "read_piece", wait)
        async with shown(tmp_path / "a.db") as made:
            await made.get("/healthz")  # the thread is there
            asked = [asyncio.create_task(made.get("/api/readings")) for _ in range(AT_ONCE)]
            await until(lambda: made.page._reading._left == 0)
            answer = await made.get("/api/readings")
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "1"
            assert (await made.get("/metrics")).status == 200
            assert (await made.get("/readyz")).status == 200
            go_on.set()
            assert [one.status for one in await asyncio.gather(*asked)] == [200] * AT_ONCE
            assert (await made.get("/api/readings")).status == 200

    @pytest.mark.asyncio
    async def test_one_that_cannot_be_read_is_told_and_no_half_answer_looks_whole(
        self, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(readings, "PIECE", 2)
        whole, done = readings.read_piece, []

        def fail_later(*arguments: Any) -> readings.Piece:  # noqa: ANN401
            done.append(arguments)
            if len(done) == 2:
                store.rename(store.with_suffix(".away"))
            return whole(*arguments)

        monkeypatch.setattr(page, "read_piece", fail_later)
        async with shown(store) as made:
            with pytest.raises(aiohttp.ClientPayloadError):
                await made.get("/api/readings")
            answer = await made.get("/api/readings")
            assert answer.status == 503
            assert "there is none yet" in answer.json["error"]
            store.with_suffix(".away").rename(store)


PUBLIC = (Private.SERIAL,)
"""What of the private values names a device, and is shown."""


def test_nothing_private_is_in_any_answer(tmp_path: Path) -> None:
    """All frames there are go in; every private value in them is looked for in all that comes."""
    came = [
        Came(frame, FIRST + number, family)
        for family in FAMILIES
        for number, frame in enumerate(fixtures(family).values())
    ]
    store = filled(tmp_path / "a.db", came)
    secrets = {
        value
        for one in came
        for value in _private_values(one)
        if len(value) >= 4 and not value.isdecimal()
    }
    assert len(secrets) > 10

    async def main() -> str:
        async with shown(store) as made:
            paths = ("/metrics", "/healthz", "/readyz", "/api/devices", "/api/readings?limit=10000")
            return "".join([(await made.get(path)).body for path in paths])

    shown_ = asyncio.run(main())
    assert MICRO in shown_
    for secret in secrets:
        assert secret not in shown_, secret


def _private_values(came: Came) -> Iterator[str]:
    family = FAMILIES[came.family]
    private = family.private_fields
    try:
        message = family.message(family.framing.parse(came.data))
    except ValueError:
        return
    for name, value in message.fields.items():
        if name in private and private[name] not in PUBLIC and isinstance(value, str):
            yield value
