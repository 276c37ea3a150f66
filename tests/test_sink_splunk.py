"""The sink of Splunk, with a stand-in for its HTTP Event Collector."""

import json
import logging
import re
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from inverterproto.quantity import QUANTITIES
from inverterproto_cli.sinks import splunk
from inverterproto_cli.sinks.sink import RefusedError, TooSlowError, TroubleError
from inverterproto_cli.sinks.splunk import SPLUNK, event
from tests.posts import (
    SERIAL,
    TIME,
    Around,
    Handler,
    cut,
    entry,
    free_port,
    hang_up,
    never,
    opened,
    served,
    settings,
)
from tests.splunk_stub import TOKEN, SplunkStub, coded

pytestmark = pytest.mark.asyncio
PATH = "/services/collector/event"


def hec(place: str, **given: object) -> AbstractAsyncContextManager[Any]:
    return opened(SPLUNK, None, **{"url": f"http://{place}", "token": TOKEN, **given})


def numbers(stub: SplunkStub) -> list[int]:
    return [each["event"]["number"] for each in stub.indexed]


async def test_an_event_has_time_place_quantities_and_who_measured_them() -> None:
    stub = SplunkStub()
    async with served(stub) as place, hec(place, host="pi", index="solar") as sink:
        made = entry(17, {"active_power": 4, "status": "Normal"}, fields={"unknown_41": 3})
        assert await sink.deliver([made]) == 1
    assert stub.indexed == [
        {
            "time": TIME,
            "host": "pi",
            "source": "inverterproto",
            "sourcetype": "inverterproto",
            "index": "solar",
            "event": {
                "device": SERIAL,
                "via": "2712345678",
                "family": "deye",
                "kind": "data",
                "device_type": "inverter",
                "manufacturer": "Deye",
                "model": "SUN600",
                "firmware": "V1.2.1.8",
                "time": "2024-04-08T17:14:03.250Z",
                "time_source": "device",
                "historic": False,
                "arrival": "2024-04-08T17:14:10.250Z",
                "answered": "us",
                "number": 17,
                "active_power": 4,
                "status": "Normal",
                "fields": {"unknown_41": 3},
            },
        }
    ]
    assert stub.sent[0].path == PATH


async def test_what_stands_around_the_quantities_takes_the_name_of_none() -> None:
    told = event(entry(values={}, fields={"x": 1}), Around().identity(entry().reading))
    assert not told.keys() & QUANTITIES.keys()


async def test_nothing_is_sent_as_null_nor_as_what_json_does_not_have() -> None:
    stub = SplunkStub()
    async with served(stub) as place, hec(place) as sink:
        odd = entry(values={"status": 'a\ud800\n"b'}, fields={"x": float("nan"), "y": 1 << 70})
        assert await sink.deliver([odd]) == 1
    [sent] = stub.sent
    assert b"NaN" not in sent.body
    found = stub.indexed[0]["event"]
    assert found["status"] == 'a?\n"b'
    assert found["fields"] == {"x": None, "y": 1 << 70}
    assert "index" not in stub.indexed[0]


async def test_a_batch_larger_than_a_body_goes_in_parts() -> None:
    stub = SplunkStub()
    batch = [entry(number, {"status": "x" * 400_000}) for number in range(5)]
    async with served(stub) as place, hec(place) as sink:
        assert await sink.deliver(batch) == 2
        assert await sink.deliver(batch[2:]) == 2
        assert await sink.deliver(batch[4:]) == 1
    assert numbers(stub) == [0, 1, 2, 3, 4]


async def test_one_event_larger_than_a_body_goes_alone() -> None:
    stub = SplunkStub()
    async with served(stub) as place, hec(place) as sink:
        assert await sink.deliver([entry(1, {"status": "x" * 2_000_000}), entry(2)]) == 1
    assert numbers(stub) == [1]


async def test_a_server_that_takes_smaller_bodies_gets_smaller_ones() -> None:
    stub = SplunkStub()
    stub.room = 5_000
    batch = [entry(number) for number in range(40)]
    async with served(stub) as place, hec(place) as sink:
        at, turns = 0, 0
        while at < len(batch):
            at += await sink.deliver(batch[at:])
            turns += 1
        assert numbers(stub) == list(range(40))
        assert len(stub.sent) - turns <= 3, "it remembers what is too large"
        with pytest.raises(RefusedError, match="413") as refused:
            await sink.deliver([entry(50, {"status": "x" * 6_000}), entry(51)])
    assert refused.value.at == 0


async def test_an_invalid_event_is_refused_and_those_before_it_are_delivered() -> None:
    stub = SplunkStub()
    stub.poison = lambda found: found["number"] == 3
    async with served(stub) as place, hec(place) as sink:
        with pytest.raises(RefusedError, match="Invalid data format") as refused:
            await sink.deliver([entry(number) for number in range(6)])
    assert refused.value.at == 3
    assert numbers(stub) == [0, 1, 2]


@pytest.mark.parametrize("number", [None, -1, 2, "1", True, 1e99])
async def test_an_event_number_that_cannot_be_leaves_it_to_be_found(number: object) -> None:
    stub = SplunkStub()
    more = {} if number is None else {"invalid-event-number": number}
    stub.turns.append(coded(6, **more))
    async with served(stub) as place, hec(place) as sink:
        with pytest.raises(RefusedError) as refused:
            await sink.deliver([entry(1), entry(2)])
    assert refused.value.at is None


@pytest.mark.parametrize("code", [5, 12, 13, 15])
async def test_what_is_wrong_with_an_event_is_refused(code: int) -> None:
    stub = SplunkStub()
    stub.turns.append(coded(code, **{"invalid-event-number": 1}))
    async with served(stub) as place, hec(place) as sink:
        with pytest.raises(RefusedError) as refused:
            await sink.deliver([entry(1), entry(2), entry(3)])
    assert refused.value.at == 1


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ({"index": "nosuch"}, r"400 \(Incorrect index\): set --splunk-index"),
        ({"token": "0ther-t0ken"}, r"403 \(Invalid token\): check the token .*SPLUNK_TOKEN"),
    ],
)
async def test_a_fault_of_the_configuration_is_trouble_that_says_what_to_set(
    given: dict[str, object], advice: str
) -> None:
    stub = SplunkStub()
    async with served(stub) as place, hec(place, **given) as sink:
        with pytest.raises(TroubleError, match=advice):
            await sink.deliver([entry()])


async def test_a_disabled_token_and_one_that_wants_a_channel_are_told() -> None:
    stub = SplunkStub(acknowledge=True)
    async with served(stub) as place, hec(place) as sink:
        with pytest.raises(TroubleError, match="set --splunk-acknowledge"):
            await sink.deliver([entry()])
        stub.disabled = True
        with pytest.raises(TroubleError, match="the token is disabled there"):
            await sink.deliver([entry()])


@pytest.mark.parametrize("code", [8, 9])
async def test_a_busy_splunk_is_trouble_and_delivers_later(code: int) -> None:
    stub = SplunkStub()
    stub.turns.append(coded(code))
    async with served(stub) as place, hec(place) as sink:
        with pytest.raises(TroubleError, match=r"busy|trouble of its own"):
            await sink.deliver([entry(1)])
        assert await sink.deliver([entry(1)]) == 1
    assert numbers(stub) == [1]


@pytest.mark.parametrize(
    ("turn", "said"),
    [
        (cut, "its answer was cut off"),
        (hang_up, "it closed the connection without an answer"),
        (never, r"no answer within 0\.2 s"),
        (
            web.Response(status=200, text="<html>It works!</html>"),
            "does not answer as Splunk's HEC",
        ),
        (web.Response(status=200, text='{"code": "0"}'), "does not answer as Splunk's HEC"),
        (web.Response(status=200, text="[" * 60_000), "does not answer as Splunk's HEC"),
        (web.Response(status=400, text="plain HTTP to an HTTPS port"), "400 .plain HTTP"),
        (web.Response(status=404), "check the URL; Splunk's ends in /services/collector/event"),
        (
            web.Response(status=302, headers={"Location": "https://u:pw@else/where?token=x"}),
            "a redirect to https://else/where: give that URL",
        ),
    ],
)
async def test_an_answer_that_is_none_is_trouble(turn: web.Response | Handler, said: str) -> None:
    stub = SplunkStub()
    stub.turns.append(turn)
    async with served(stub) as place, hec(place, timeout=0.2) as sink:
        with pytest.raises(TroubleError, match=said):
            await sink.deliver([entry()])


async def test_where_nobody_listens_is_trouble() -> None:
    async with hec(f"127.0.0.1:{free_port()}") as sink:
        with pytest.raises(TroubleError, match=r"http://127.0.0.1:\d+: no connection"):
            await sink.deliver([entry()])


async def test_bodies_are_packed_where_that_is_asked_for() -> None:
    stub = SplunkStub()
    async with served(stub) as place, hec(place, gzip=True) as sink:
        assert await sink.deliver([entry(1), entry(2)]) == 2
    assert numbers(stub) == [1, 2]
    assert stub.sent[0].headers["Content-Encoding"] == "gzip"


class TestAcknowledgement:
    async def test_what_is_acknowledged_is_delivered(self) -> None:
        stub = SplunkStub(acknowledge=True, patience=3)
        async with served(stub) as place, hec(place, acknowledge=True) as sink:
            assert await sink.deliver([entry(1)]) == 1
            assert await sink.deliver([entry(2)]) == 1
        assert numbers(stub) == [1, 2]
        assert not stub.asked, "each was asked for until it was acknowledged"
        assert len(stub.channels) == 1

    async def test_what_is_not_acknowledged_in_its_time_is_sent_again(self) -> None:
        stub = SplunkStub(acknowledge=True, patience=1_000)
        given = {"acknowledge": True, "acknowledge_within": 0.3}
        async with served(stub) as place, hec(place, **given) as sink:
            with pytest.raises(
                TroubleError, match="does not acknowledge, the events are sent again"
            ):
                await sink.deliver([entry(1)])
            stub.patience = 1
            assert await sink.deliver([entry(1)]) == 1
        assert numbers(stub) == [1, 1]

    async def test_a_slow_indexer_gets_nothing_twice(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(splunk, "_AT_ONCE", 0.0)
        stub = SplunkStub(acknowledge=True, patience=3)
        batch = [entry(1, {"status": "x" * 700_000}), entry(2, {"status": "x" * 700_000})]
        async with served(stub) as place, hec(place, acknowledge=True) as sink:
            for _ in range(2):
                with pytest.raises(TroubleError, match="has not acknowledged yet"):
                    await sink.deliver(batch)
            assert await sink.deliver(batch) == 1, "only so much was sent"
            assert numbers(stub) == [1]
            with pytest.raises(TroubleError):
                await sink.deliver(batch[1:])
            with pytest.raises(TroubleError):
                await sink.deliver([entry(3)])
        assert numbers(stub) == [1, 2, 3], "another batch is another"

    async def test_who_is_slow_to_tell_of_an_acknowledgement_is_sent_nothing_anew(self) -> None:
        stub = SplunkStub(acknowledge=True, patience=1)
        stub.turns.extend([None, None, never])  # whether it can, the batch, whether it is indexed
        async with served(stub) as place, hec(place, acknowledge=True, timeout=0.5) as sink:
            with pytest.raises(TroubleError, match="no answer within") as told:
                await sink.deliver([entry(1), entry(2)])
            assert not isinstance(told.value, TooSlowError), "a smaller batch would be another one"
            assert await sink.deliver([entry(1), entry(2)]) == 2
        assert numbers(stub) == [1, 2]

    async def test_a_token_that_cannot_acknowledge_is_told_before_any_event_is_sent(self) -> None:
        stub = SplunkStub()
        async with served(stub) as place, hec(place, acknowledge=True) as sink:
            for _ in range(2):
                with pytest.raises(TroubleError, match="enable indexer acknowledgement"):
                    await sink.deliver([entry(1)])
        assert stub.indexed == []

    async def test_success_without_an_identifier_is_not_delivered(self) -> None:
        stub = SplunkStub(acknowledge=True)
        stub.turns.extend([None, coded(0)])
        async with served(stub) as place, hec(place, acknowledge=True) as sink:
            with pytest.raises(TroubleError, match="gave no ackId"):
                await sink.deliver([entry(1)])

    async def test_what_stands_before_an_invalid_event_is_not_acknowledged(self) -> None:
        stub = SplunkStub(acknowledge=True, patience=1)
        stub.poison = lambda found: found["number"] == 1
        async with served(stub) as place, hec(place, acknowledge=True) as sink:
            with pytest.raises(RefusedError) as refused:
                await sink.deliver([entry(0), entry(1)])
            assert refused.value.at is None
            assert await sink.deliver([entry(0)]) == 1
            with pytest.raises(RefusedError) as refused:
                await sink.deliver([entry(1), entry(2)])
            assert refused.value.at == 0

    async def test_an_answer_about_acknowledgement_that_is_cut_off_is_trouble(self) -> None:
        stub = SplunkStub(acknowledge=True)
        stub.turns.extend([None, None, cut])
        async with served(stub) as place, hec(place, acknowledge=True) as sink:
            with pytest.raises(TroubleError, match="cut off"):
                await sink.deliver([entry(1)])


async def test_the_test_sends_a_marked_event_and_tells_what_came_back() -> None:
    stub = SplunkStub(acknowledge=True)
    async with served(stub) as place, hec(place, acknowledge=True) as sink:
        said = await sink.test(entry(9))
    assert said.startswith('an event with "test": true was answered with 200 (Success), and the in')
    assert stub.indexed[0]["event"]["test"] is True


@pytest.mark.parametrize(
    ("url", "sent_to"),
    [
        ("splunk.lan", f"https://splunk.lan:8088{PATH}"),
        ("splunk.lan:443", f"https://splunk.lan:443{PATH}"),
        ("[::1]:8088", f"https://[::1]:8088{PATH}"),
        ("https://splunk.lan", f"https://splunk.lan{PATH}"),
        ("https://splunk.lan/", f"https://splunk.lan{PATH}"),
        ("http://splunk.lan:8088/services/collector", "http://splunk.lan:8088/services/collector"),
        (
            "https://hec.example/splunk/services/collector/event/",
            f"https://hec.example/splunk{PATH}",
        ),
        ("https://hec.example/?channel=1", f"https://hec.example{PATH}?channel=1"),
    ],
)
async def test_a_host_alone_is_enough(url: str, sent_to: str) -> None:
    async with opened(SPLUNK, url=url, token=TOKEN) as sink:
        assert sink._url == sent_to


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"url": "ftp://h"}, "--splunk needs a URL"),
        ({"url": ""}, "--splunk needs a URL"),
        ({"url": "h:port"}, "--splunk needs a URL"),
        ({"url": "https://h h"}, "--splunk needs a URL"),
        ({"url": "https://h:99999"}, "--splunk needs a URL"),
        ({"url": "https://x:SeCr3t@h"}, "leave user and password out"),
        ({"url": "https://h/services/collector/raw"}, "the URL of events ends in"),
        ({"url": "https://h/other", "acknowledge": True}, "--splunk-acknowledge needs a URL"),
        ({"token": None}, "--splunk needs a token: set INVERTERPROTO_SPLUNK_TOKEN"),
        ({"token": "SeCr3t\nSeCr3t"}, "must be one line"),
        ({"ca": __file__}, "holds no certificate"),
        ({"ca": __file__, "insecure": True}, "exclude each other"),
        ({"timeout": 0.0}, "more than 0 and less than 60 s"),
    ],
)
async def test_settings_of_no_use_are_told_at_once(given: dict[str, Any], said: str) -> None:
    values = settings(SPLUNK, **{"url": "https://h", "token": TOKEN, **given})
    with pytest.raises(ValueError, match=said) as fault:
        SPLUNK.open(values, Around())
    assert "SeCr3t" not in str(fault.value)


async def test_a_file_of_authorities_that_is_not_there_is_told(tmp_path: Path) -> None:
    missing = str(tmp_path / "ca.pem")
    with pytest.raises(FileNotFoundError, match=re.escape(missing)):
        SPLUNK.open(settings(SPLUNK, url="h", token=TOKEN, ca=missing), Around())


async def test_the_names_of_the_environment_that_others_use_hold() -> None:
    names = {each.key: each.environment for each in SPLUNK.settings}
    assert "DEYE_SPLUNK_HEC_URL" in names["url"]
    assert "DEYE_SPLUNK_HEC_TOKEN" in names["token"]
    assert [each.key for each in SPLUNK.settings if each.secret] == ["token"]


async def test_no_secret_is_shown_whatever_a_server_says(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    stub = SplunkStub()
    secret = "qu3ry/s3cret"
    echo = json.dumps({"text": f"bad Splunk {TOKEN} at ?x=qu3ry%2Fs3cret, {secret}\r\nX: \x1b[31m"})
    stub.turns.extend(web.Response(status=status, text=echo) for status in (400, 403, 500, 413))
    stub.turns.append(coded(6, text=f"no: {TOKEN}"))
    url = f"?x={secret}"
    async with served(stub) as place, hec(place + url) as sink:
        shown = [repr(sink), repr(sink._poster), repr(sink._poster._target)]
        for _ in range(5):
            with pytest.raises((TroubleError, RefusedError)) as fault:
                await sink.deliver([entry()])
            shown.append(f"{fault.value!r} {fault.value} {fault.value.__cause__!r}")
    async with hec(f"127.0.0.1:{free_port()}{url}") as sink:
        with pytest.raises(TroubleError) as trouble:
            await sink.deliver([entry()])
        shown.append(f"{trouble.value!r}")
    told = "\n".join([*shown, caplog.text])
    for each in (TOKEN, "s3cret", "\x1b", "\r"):
        assert each not in told
    assert "bad Splunk … at ?x=…, … X: [31m" in told
    assert stub.sent[0].query == "x=qu3ry/s3cret", "it is sent all the same"
