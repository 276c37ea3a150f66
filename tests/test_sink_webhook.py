"""The sink that POSTs JSON to a URL."""

import gzip
import json
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from aiohttp import web

from inverterproto_cli.sinks import webhook
from inverterproto_cli.sinks.sink import RefusedError, TroubleError
from inverterproto_cli.sinks.webhook import WEBHOOK
from tests.posts import (
    Answering,
    Around,
    Handler,
    cut,
    entry,
    hang_up,
    never,
    opened,
    served,
    settings,
)

pytestmark = pytest.mark.asyncio


def hook(place: str, **given: object) -> AbstractAsyncContextManager[Any]:
    return opened(WEBHOOK, None, **{"url": f"http://{place}", **given})


def bodies(answering: Answering) -> list[Any]:
    return [json.loads(sent.body) for sent in answering.sent]


async def test_a_request_is_an_array_of_what_readings_show() -> None:
    answering = Answering(usual=202)
    batch = [entry(1), entry(2, time=None, fields={"raw": 7})]
    async with served(answering) as place, hook(f"{place}/in/?a=b") as sink:
        assert await sink.deliver(batch) == 2
    assert bodies(answering) == [[made.to_json() for made in batch]]
    [sent] = answering.sent
    assert (sent.path, sent.query) == ("/in/", "a=b")
    assert sent.headers["Content-Type"] == "application/json"


async def test_single_entries_are_an_object_a_request() -> None:
    answering = Answering(usual=204)
    async with served(answering) as place, hook(place, single=True) as sink:
        assert await sink.deliver([entry(1), entry(2)]) == 2
    assert [body["number"] for body in bodies(answering)] == [1, 2]


async def test_a_webhook_that_fails_in_turns_gets_all_in_order() -> None:
    turns: list[web.Response | Handler] = [
        web.Response(status=500), web.Response(status=200), hang_up, web.Response(status=429), cut,
        web.Response(status=204),
    ]  # fmt: skip
    answering, batch, troubles, at = Answering(*turns), [entry(n) for n in range(8)], 0, 0
    async with served(answering) as place, hook(place, single=True) as sink:
        while at < len(batch):
            try:
                at += await sink.deliver(batch[at : at + 2])
            except TroubleError:
                troubles += 1
    numbers = [body["number"] for body in bodies(answering)]
    assert list(dict.fromkeys(numbers)) == list(range(8))
    assert troubles == 3
    assert len(numbers) == 8 + 4


@pytest.mark.parametrize("status", [400, 413, 415, 422])
async def test_what_it_cannot_take_is_refused(status: int) -> None:
    answering = Answering(usual=status)
    async with served(answering) as place, hook(place) as sink:
        with pytest.raises(RefusedError, match=str(status)) as refused:
            await sink.deliver([entry(1), entry(2)])
        assert refused.value.at == (0 if status == 413 else None)
        with pytest.raises(RefusedError) as refused:
            await sink.deliver([entry(1)])
        assert refused.value.at == 0


async def test_a_single_entry_that_is_refused_is_known() -> None:
    answers = web.Response(), web.Response(), web.Response(status=422, text="no such serial")
    async with served(Answering(*answers)) as place, hook(place, single=True) as sink:
        with pytest.raises(RefusedError, match=r"422 .no such serial") as refused:
            await sink.deliver([entry(n) for n in range(5)])
    assert refused.value.at == 2


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (301, "a redirect to /there: give that URL"),
        (401, "check --webhook-authorization-file"),
        (403, "check --webhook-authorization-file"),
        (404, "check the URL"),
        (405, "no POST is taken there"),
        (410, "check the URL"),
        (429, "429"),
        (502, "502"),
    ],
)
async def test_trouble_says_what_to_do(status: int, told: str) -> None:
    answering = Answering(web.Response(status=status, headers={"Location": "/there"}))
    async with served(answering) as place, hook(place) as sink:
        with pytest.raises(TroubleError, match=told):
            await sink.deliver([entry()])
    assert len(answering.sent) == 1, "no redirect is followed"


async def test_a_webhook_that_never_answers_is_trouble() -> None:
    async with served(Answering(never)) as place, hook(place, timeout=0.2) as sink:
        with pytest.raises(TroubleError, match="no answer within"):
            await sink.deliver([entry()])


async def test_an_endless_answer_is_read_up_to_a_bound() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b"x" * 65_536)

    async with served(endless) as place, hook(place) as sink:
        assert await sink.deliver([entry()]) == 1


async def test_an_answer_that_says_it_is_packed_is_not_unpacked() -> None:
    bomb = web.Response(
        status=500, body=gzip.compress(b"x" * 9), headers={"Content-Encoding": "gzip"}
    )
    async with served(Answering(bomb)) as place, hook(place) as sink:
        with pytest.raises(TroubleError, match="500"):
            await sink.deliver([entry()])


async def test_single_entries_to_a_slow_webhook_are_told_part_by_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhook, "_SINGLY", 0.0)
    async with served(Answering()) as place, hook(place, single=True) as sink:
        assert await sink.deliver([entry(1), entry(2)]) == 1


async def test_bodies_are_packed_where_that_is_asked_for_and_not_taken() -> None:
    answering = Answering(web.Response(), web.Response(status=415))
    async with served(answering) as place, hook(place, gzip=True) as sink:
        assert await sink.deliver([entry(1)]) == 1
        with pytest.raises(TroubleError, match="leave out --webhook-gzip"):
            await sink.deliver([entry(2)])
    assert answering.sent[0].headers["Content-Encoding"] == "gzip"
    assert bodies(answering)[0][0]["number"] == 1


@pytest.mark.parametrize("single", [False, True])
async def test_the_test_marks_its_entry(single: bool) -> None:  # noqa: FBT001
    answering = Answering(web.Response(text="thanks\nfriend"))
    async with served(answering) as place, hook(place, single=single) as sink:
        said = await sink.test(entry(5))
    assert said == 'an entry with "test": true was answered with 200 (thanks friend)'
    [body] = bodies(answering)
    assert (body if single else body[0])["test"] is True


async def test_headers_are_sent() -> None:
    answering = Answering()
    given: dict[str, object] = {"authorization": "Bearer t0k\n", "headers": {"X-Key": 7}}
    async with served(answering) as place:
        async with hook(place, **given) as sink:
            await sink.deliver([entry()])
        async with hook(f"me:p%40ss@{place}") as sink:
            await sink.deliver([entry()])
    first, second = (sent.headers for sent in answering.sent)
    assert (first["Authorization"], first["X-Key"]) == ("Bearer t0k", "7")
    assert second["Authorization"] == "Basic bWU6cEBzcw=="


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"url": "h/x"}, "--webhook needs a URL"),
        ({"url": "https://[::1"}, "--webhook needs a URL"),
        ({"headers": {"a b": "c"}}, "headers: 'a b'"),
        ({"headers": {"X-Key": "SeCr3t\r\nX: y"}}, "headers: 'X-Key'"),
        ({"headers": {"content-length": "1"}}, "headers: 'content-length'"),
        ({"authorization": "SeCr3t\r\nX: y"}, "one line"),
        ({"authorization": "SeCr3t", "url": "http://me:pw@h"}, "one of these is enough"),
        ({"authorization": "SeCr3t", "headers": {"AUTHORIZATION": "x"}}, "one of these is enough"),
    ],
)
async def test_settings_of_no_use_are_told_at_once(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told) as fault:
        WEBHOOK.open(settings(WEBHOOK, **{"url": "https://h", **given}), Around())
    assert "SeCr3t" not in str(fault.value)


@pytest.mark.parametrize("status", [200, 302, 400, 401, 404, 500])
async def test_no_secret_is_shown_whatever_a_server_says(status: int) -> None:
    async def echo(request: web.Request) -> web.Response:
        heads = [request.headers[name] for name in ("Authorization", "X-Key")]
        text = f"Cannot POST {request.path_qs} {heads} {heads[0].split()[1]}"
        there = {"Location": f"https://b34rer@{request.host}/T00/p4th?x=qu3ry"}
        return web.Response(status=status, text=text, headers=there)

    given: dict[str, object] = {"authorization": "Bearer b34rer", "headers": {"X-Key": "k3y-k3y"}}
    async with served(echo) as place, hook(f"{place}/T00/p4th?x=qu3ry", **given) as sink:
        told = f"{sink!r} {sink._poster!r} {sink._poster._target!r}"
        try:
            told += await sink.test(entry())
        except (TroubleError, RefusedError) as fault:
            told += f"{fault!r}{fault.__cause__!r}"
    assert "Cannot POST …" in told or "a redirect to http" in told
    assert [each for each in ("b34rer", "k3y", "p4th", "qu3ry") if each in told] == []
