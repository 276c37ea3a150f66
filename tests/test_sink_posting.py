"""What the sinks that POST share, apart from any of them."""

import socket
import subprocess
import sys
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from inverterproto_cli.extra import MissingExtra
from inverterproto_cli.sinks import posting
from inverterproto_cli.sinks.influx import INFLUX
from inverterproto_cli.sinks.posting import fitting, json_bytes
from inverterproto_cli.sinks.sink import SinkType, TooSlowError, TroubleError
from inverterproto_cli.sinks.splunk import SPLUNK
from inverterproto_cli.sinks.target import parse_target
from inverterproto_cli.sinks.webhook import WEBHOOK
from tests.posts import Answering, Around, entry, hang_up, never, opened, served, settings

TYPES = [INFLUX, SPLUNK, WEBHOOK]
GIVEN: dict[str, Any] = {"url": "http://127.0.0.1:1", "token": "t"}


def of(kind: SinkType) -> dict[str, Any]:
    """Return settings with which a sink of a type can be opened."""
    keys = {each.key for each in kind.settings} - ({"token"} if kind is INFLUX else set())
    return settings(kind, **{key: value for key, value in GIVEN.items() if key in keys})


def test_naming_the_sinks_needs_no_library() -> None:
    names = ", ".join(f"inverterproto_cli.sinks.{kind.name}" for kind in TYPES)
    code = f"import sys, {names}; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603 - ours


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.name)
def test_a_missing_library_is_told(kind: SinkType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(MissingExtra, match=r"pip install 'inverterproto\[http\]'"):
        kind.open(of(kind), Around())


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.name)
def test_settings_are_told_in_a_line_and_the_first_says_where_to(kind: SinkType) -> None:
    first, *others = kind.settings
    assert (first.key, first.flag, first.default) == ("url", f"--{kind.name}", None)
    for each in (first, *others):
        assert each.help.endswith(".")
        assert "\n" not in each.help
        assert each.default is None or isinstance(each.default, each.kind)
    assert len({each.key for each in kind.settings}) == len(kind.settings)


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.name)
async def test_a_sink_that_was_never_used_closes_and_one_that_is_closed_can_be_used(
    kind: SinkType,
) -> None:
    sink = kind.open(of(kind), Around())
    for _ in range(2):
        await sink.close()
        with pytest.raises(
            TroubleError, match=r"127\.0\.0\.1:1: no connection: Connection refused"
        ):
            await sink.deliver([entry()])
    await sink.close()


@pytest.mark.asyncio
async def test_a_name_that_nobody_knows_is_told() -> None:
    async with opened(WEBHOOK, url="http://nosuch.invalid/") as sink:
        with pytest.raises(TroubleError, match=r"nosuch\.invalid: (no such host|no connection)"):
            await sink.deliver([entry()])


@pytest.mark.asyncio
async def test_a_server_that_speaks_no_http_is_told() -> None:
    async def babble(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(b"220 mail.example ESMTP\r\n")
        return await hang_up(request)

    async with served(babble) as place, opened(WEBHOOK, url=f"http://{place}") as sink:
        with pytest.raises(TroubleError, match="does not speak HTTP"):
            await sink.deliver([entry()])


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.name)
async def test_who_does_not_answer_in_time_is_told_apart_from_who_is_not_there(
    kind: SinkType,
) -> None:
    async with served(Answering(never)) as place:
        for where, slow in ((place, True), ("127.0.0.1:1", False)):
            sink = kind.open({**of(kind), "url": f"http://{where}", "timeout": 0.3}, Around())
            with pytest.raises(TroubleError) as told:
                await sink.deliver([entry()])
            assert isinstance(told.value, TooSlowError) is slow
            await sink.close()


@pytest.mark.asyncio
async def test_no_connection_in_time_is_not_the_fault_of_what_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A listener whose queue is full answers no one who wants to connect."""
    monkeypatch.setattr(posting, "_CONNECT", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            async with opened(WEBHOOK, url=f"http://127.0.0.1:{port}/") as sink:
                with pytest.raises(TroubleError) as told:
                    await sink.deliver([entry()])
    assert "no connection within 0.2 s" in str(told.value)
    assert not isinstance(told.value, TooSlowError)


@pytest.mark.asyncio
async def test_after_one_body_that_was_too_large_they_grow_again() -> None:
    answering = Answering(web.Response(status=413))
    batch = [entry(number) for number in range(8)]
    async with served(answering) as place, opened(WEBHOOK, url=f"http://{place}/") as sink:
        arrived = [await sink.deliver(batch) for _ in range(10 * posting._GROWING)]
    assert arrived[0] < len(batch)
    assert arrived[-1] == len(batch)
    assert sink._poster.room <= posting.ROOM


@pytest.mark.asyncio
async def test_bodies_never_grow_beyond_their_bound_and_not_by_what_was_not_taken() -> None:
    answering = Answering(web.Response(status=413))
    batch = [entry(number) for number in range(8)]
    async with served(answering) as place, opened(WEBHOOK, url=f"http://{place}/") as sink:
        await sink.deliver(batch)
        small, answering.usual = sink._poster.room, 500
        for _ in range(3 * posting._GROWING):
            with pytest.raises(TroubleError):
                await sink.deliver(batch)
        assert sink._poster.room == small
        answering.usual = 200
        for _ in range(20 * posting._GROWING):
            await sink.deliver(batch)
    assert sink._poster.room == posting.ROOM


@pytest.mark.asyncio
async def test_a_connection_is_used_again_while_one_request_follows_the_other() -> None:
    seen = set()

    async def note(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        seen.add(request.transport.get_extra_info("peername"))
        return await Answering()(request)

    async with served(note) as place, opened(WEBHOOK, url=f"http://{place}", single=True) as sink:
        assert await sink.deliver([entry(1), entry(2), entry(3)]) == 3
    assert len(seen) == 1


@given(st.lists(st.binary(max_size=9)), st.integers(0, 40))
def test_what_fits_is_the_most_that_does_and_one_at_least(pieces: list[bytes], room: int) -> None:
    count = fitting(pieces, room)
    size = [len(b"\n".join(pieces[:n])) for n in range(len(pieces) + 1)]
    assert count == 0 if not pieces else count >= 1
    assert count <= 1 or size[count] <= room
    assert count == len(pieces) or size[count + 1] + 1 > room


def test_json_has_no_number_that_json_does_not_have() -> None:
    assert json_bytes({"a": [float("nan"), float("-inf"), 1 << 80], "b": "é\udc00"}) == (
        '{"a":[null,null,1208925819614629174706176],"b":"é?"}'.encode()
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "http://",
        "http:///x",
        "file:///etc/passwd",
        "http://h:0x",
        "http://[",
        "http://h\n",
    ],
)
def test_what_is_no_url_is_told_without_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"^a hint$"):
        parse_target(text, "a hint")


def test_a_target_shows_its_origin_alone() -> None:
    target = parse_target("https://us%40er:p%3Aw@[::1]:8443/p/ath?tok=en#x", "")
    assert repr(target) == "Target(origin='https://[::1]:8443')"
    assert (target.user, target.password) == ("us@er", "p:w")
    assert target.url("/other", "a=b") == "https://[::1]:8443/other?tok=en&a=b"
