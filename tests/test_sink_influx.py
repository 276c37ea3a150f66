"""The sink of InfluxDB, with real databases, and with answers that those do not give."""

# ruff: noqa: F811 - fixtures that are imported

import time
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from inverterproto_cli.sinks.influx import INFLUX
from inverterproto_cli.sinks.sink import Entry, RefusedError, TroubleError
from tests.counterparts import needs
from tests.databases import PASSWORD, USER, Influx, Victoria, guarded, influx, victoria  # noqa: F401
from tests.posts import SERIAL, TIME, Answering, Around, cut, entry, opened, served, settings

pytestmark = pytest.mark.asyncio

MILLISECONDS = 1_712_596_443_250


def sink_of(url: str, **given: object) -> AbstractAsyncContextManager[Any]:
    return opened(INFLUX, None, **{"url": url, **given})


def moved(made: Entry, at: float) -> Entry:
    return made._replace(reading=replace(made.reading, time=at))


@needs("influxd")
class TestInflux:
    async def test_a_point_is_there_with_tags_and_every_type(self, influx: Influx) -> None:
        name = influx.fresh()
        values: dict[str, float | str] = {
            "active_power": 4,
            "pv_power": -0.25,
            "energy_total": 1e-7,
            "status": "Normal",
        }
        async with sink_of(influx.url, database=name, tags={"site": "home"}) as sink:
            assert await sink.deliver([entry(1, values, fields={"raw": 7})]) == 1
        assert influx.points(name) == [
            {**values, "fields_raw": 7, "time": MILLISECONDS}
            | {"device": SERIAL, "family": "deye", "site": "home"}
        ]
        [types] = influx.query('SHOW FIELD KEYS FROM "inverter"', name)
        assert dict(types["values"]) == {
            "active_power": "float", "pv_power": "float", "energy_total": "float",
            "status": "string", "fields_raw": "float",
        }  # fmt: skip

    async def test_the_same_point_twice_is_one_and_kinds_of_a_moment_are_one(
        self,
        influx: Influx,
    ) -> None:
        name = influx.fresh()
        data, wifi = entry(1), entry(2, {"signal_strength": 80}, kind="wifi")
        async with sink_of(influx.url, database=name) as sink:
            assert await sink.deliver([data, wifi, data]) == 3
            assert await sink.deliver([wifi, entry(3, {})]) == 2
        [point] = influx.points(name)
        assert (point["active_power"], point["signal_strength"]) == (4, 80)

    @pytest.mark.parametrize("packed", [False, True])
    async def test_a_thousand_points_come_in_order_and_all(
        self,
        influx: Influx,
        packed: bool,  # noqa: FBT001
    ) -> None:
        name = influx.fresh()
        batch = [entry(n, {"active_power": n}, time=TIME + n / 1000) for n in range(1000)]
        async with sink_of(influx.url, database=name, gzip=packed) as sink:
            assert await sink.deliver(batch) == 1000
        assert [point["active_power"] for point in influx.points(name)] == list(range(1000))

    @pytest.mark.parametrize(
        ("text", "tag", "field"),
        [
            ("a b,c=d", "a b,c=d", "a b,c=d"),
            ('"q"', '"q"', '"q"'),
            ("back\\slash\\", "back＼slash＼", "back\\slash\\"),
            ("\\,\\ \\=\\\"", "＼,＼ ＼=＼\"", "\\,\\ \\=\\\""),
            ("two\nlines\0", "two␊lines␀", "two␊lines␀"),
            ("#1 é☀", "#1 é☀", "#1 é☀"),
        ],
    )  # fmt: skip
    async def test_hostile_texts_come_back_as_they_were(
        self,
        influx: Influx,
        text: str,
        tag: str,
        field: str,
    ) -> None:
        name = influx.fresh()
        given: dict[str, object] = {"database": name, "measurement": "in v,e", "tags": {text: text}}
        async with sink_of(influx.url, **given) as sink:
            made = entry(1, {"status": text, "fault": 1}, device=text)
            assert await sink.deliver([made, entry(2)]) == 2
        points = influx.points(name, "in v,e")
        assert [each["device"] for each in points if each.get("fault")] == [tag]
        assert [each["status"] for each in points if each.get("fault")] == [field]
        assert all(each[tag] == tag for each in points)
        assert len(points) == 2

    async def test_a_point_that_does_not_fit_is_refused_until_it_is_alone(
        self,
        influx: Influx,
    ) -> None:
        name = influx.fresh()
        batch = [entry(n, {"status": "x"}, time=TIME + n) for n in range(3)]
        odd = entry(1, {"status": 5}, time=TIME + 1)
        async with sink_of(influx.url, database=name) as sink:
            assert await sink.deliver(batch[:1]) == 1
            with pytest.raises(RefusedError, match="partial write: field type conflict") as refused:
                await sink.deliver([entry(9, {}), batch[0], odd, batch[2]])
            assert refused.value.at is None
            with pytest.raises(RefusedError) as refused:
                await sink.deliver([entry(9, {}), odd])
            assert refused.value.at == 1, "alone it is known"
            assert await sink.deliver([batch[2]]) == 1
        assert [each["time"] for each in influx.points(name)] == [MILLISECONDS, MILLISECONDS + 2000]

    async def test_what_is_older_than_the_database_keeps_is_dropped_there_and_told(
        self, influx: Influx
    ) -> None:
        name, around, now = influx.fresh(), Around(), time.time()
        policy = f'"short" ON "{name}" DURATION 1h REPLICATION 1 DEFAULT'
        influx.query(f"CREATE RETENTION POLICY {policy}")
        batch = [entry(1), moved(entry(2), now), entry(3)]
        async with opened(INFLUX, around, url=influx.url, database=name) as sink:
            assert await sink.deliver(batch) == 3
            assert await sink.deliver([moved(entry(4), now + 1)]) == 1
        assert len(influx.points(name)) == 2
        [(_, told)] = around.told
        assert told.startswith(f"sink here: {influx.url}: ")
        assert told.endswith("it has dropped points that are older than it keeps: 2 of 3")

    async def test_a_database_that_is_missing_is_told_or_created(self, influx: Influx) -> None:
        name = 'new "base'
        async with sink_of(influx.url, database=name) as sink:
            with pytest.raises(TroubleError, match=r"404.*--influx-create"):
                await sink.deliver([entry()])
        async with sink_of(influx.url, database=name, create=True) as sink:
            assert await sink.deliver([entry()]) == 1
        assert len(influx.points(name)) == 1

    async def test_the_test_writes_into_a_measurement_of_its_own(self, influx: Influx) -> None:
        name = influx.fresh()
        async with sink_of(influx.url, database=name) as sink:
            said = await sink.test(entry())
        assert said == "a point in the measurement inverterproto_test was answered with 204"
        assert influx.points(name) == []
        [point] = influx.points(name, "inverterproto_test")
        assert (point["test"], point["active_power"]) == (1, 4)


@needs("influxd")
class TestWhoWrites:
    @pytest.mark.parametrize(
        "given", [{}, {"user": USER, "password": "wr0ng-one"}, {"user": "nobody"}]
    )
    async def test_who_may_not_write_is_told_what_to_check(
        self,
        guarded: Influx,
        given: dict[str, object],
    ) -> None:
        async with sink_of(guarded.url, **given) as sink:
            with pytest.raises(TroubleError, match=r"401 .*check --influx-user") as trouble:
                await sink.deliver([entry()])
        assert "wr0ng-one" not in str(trouble.value)

    async def test_user_and_password_of_settings_or_url_may_write(self, guarded: Influx) -> None:
        place = guarded.url.removeprefix("http://")
        url = f"http://{USER}:p%3Aw%20d%2F1@{place}"
        for number, given in enumerate(
            ({"url": guarded.url, "user": USER, "password": PASSWORD}, {"url": url})
        ):
            made = opened(INFLUX, None, **given, create=True, database=f"own{number}")
            async with made as sink:
                assert await sink.deliver([entry()]) == 1


@needs("victoria-metrics")
class TestVictoria:
    async def test_each_field_is_a_series_and_the_same_point_is_one_sample(
        self,
        victoria: Victoria,
    ) -> None:
        made = entry(1, {"active_power": 4.5, "status": "Normal"}, device='a b,c=\\d"\ne')
        async with sink_of(victoria.url, tags={"site": "home"}) as sink:
            assert await sink.deliver([made]) == 1
            assert await sink.deliver([made, moved(made, TIME + 0.001)]) == 2
        [series] = victoria.samples("inverter_active_power")
        assert series["metric"]["device"] == 'a b,c=＼d"␊e'
        assert (series["metric"]["site"], series["metric"]["family"]) == ("home", "deye")
        assert series["timestamps"] == [MILLISECONDS, MILLISECONDS + 1]
        assert series["values"] == [4.5, 4.5]

    async def test_the_way_of_influxdb_2_is_taken_too(self, victoria: Victoria) -> None:
        given: dict[str, object] = {"bucket": "b", "org": "o", "token": "t", "gzip": True}
        async with sink_of(victoria.url, measurement="second", **given) as sink:
            assert await sink.deliver([entry()]) == 1
        assert victoria.samples("second_active_power")[0]["values"] == [4]

    async def test_the_test_says_what_came_back(self, victoria: Victoria) -> None:
        async with sink_of(victoria.url) as sink:
            assert "was answered with 204" in await sink.test(entry())


SECOND: dict[str, object] = {"bucket": "solar", "org": "my home", "token": "t0ken-0f-mine"}


def said(status: int, text: str, **headers: str) -> web.Response:
    return web.json_response({"code": "x", "message": text}, status=status, headers=headers)


async def test_influxdb_2_gets_bucket_organisation_and_token() -> None:
    answering = Answering(usual=204)
    async with served(answering) as place, sink_of(f"http://{place}/", **SECOND) as sink:
        assert await sink.deliver([entry(1), entry(2, {}), entry(3)]) == 3
    [sent] = answering.sent
    assert sent.path == "/api/v2/write"
    assert sent.query == "org=my home&bucket=solar&precision=ms"
    assert sent.headers["Authorization"] == "Token t0ken-0f-mine"
    assert sent.body.count(b"\n") == 1
    assert sent.body.endswith(b" 1712596443250")


@pytest.mark.parametrize(
    ("path", "sent_to"),
    [
        ("", "/write"),
        ("/insert/0/influx", "/insert/0/influx/write"),
        ("/influx/write", "/influx/write"),
    ],
)
async def test_a_path_before_write_is_kept(path: str, sent_to: str) -> None:
    answering = Answering(usual=204)
    async with served(answering) as place, sink_of(f"http://{place}{path}") as sink:
        assert await sink.deliver([entry()]) == 1
    assert answering.sent[0].path == sent_to


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (said(401, "unauthorized access"), "check --influx-token-file"),
        (said(403, "forbidden"), "may not write to the bucket solar"),
        (said(404, 'bucket "solar" not found'), "check --influx-org and --influx-bucket"),
        (said(400, "org id or name is required"), "400 .org id or name is required"),
        (said(500, "internal"), "500 .internal"),
        (said(503, "too busy"), "503 .too busy"),
        (
            web.Response(text="<html>Grafana</html>"),
            "no database that answers there: check the URL",
        ),
        (web.Response(status=405), "405: check the URL"),
    ],
)
async def test_trouble_says_what_to_do(answer: web.Response, told: str) -> None:
    async with served(Answering(answer)) as place, sink_of(f"http://{place}", **SECOND) as sink:
        with pytest.raises(TroubleError, match=told):
            await sink.deliver([entry(1), entry(2)])


async def test_an_answer_that_is_cut_off_is_trouble() -> None:
    async with served(Answering(cut)) as place, sink_of(f"http://{place}", **SECOND) as sink:
        with pytest.raises(TroubleError, match="cut off"):
            await sink.deliver([entry()])


async def test_what_influxdb_2_cannot_take_is_refused() -> None:
    answers = said(422, "failure writing points"), said(400, "unable to parse 'x'")
    async with served(Answering(*answers)) as place, sink_of(f"http://{place}", **SECOND) as sink:
        for _ in answers:
            with pytest.raises(RefusedError) as refused:
                await sink.deliver([entry(1), entry(2)])
            assert refused.value.at is None


async def test_a_server_that_asks_to_wait_is_left_alone() -> None:
    answering = Answering(said(429, "slow down", **{"Retry-After": "3600"}), usual=204)
    async with served(answering) as place, sink_of(f"http://{place}", **SECOND) as sink:
        with pytest.raises(TroubleError, match="429"):
            await sink.deliver([entry()])
        with pytest.raises(TroubleError, match=r"it asked to wait, \d\d\d s more"):
            await sink.deliver([entry()])
    assert len(answering.sent) == 1


async def test_what_is_too_large_is_sent_in_smaller_parts() -> None:
    async def picky(request: web.Request) -> web.Response:
        return web.Response(status=413 if len(await request.read()) > 3000 else 204)

    batch = [entry(number, time=TIME + number) for number in range(100)]
    async with served(picky) as place, sink_of(f"http://{place}") as sink:
        at = 0
        while at < len(batch):
            at += await sink.deliver(batch[at:])
        with pytest.raises(RefusedError, match="413") as refused:
            await sink.deliver([entry(1, {}), entry(2, {"status": "x" * 4000}), entry(3)])
        assert refused.value.at == 1


async def test_entries_without_a_field_behind_a_part_are_not_told_as_delivered() -> None:
    answering = Answering(usual=204)
    large = {"status": "x" * 700_000}
    async with served(answering) as place, sink_of(f"http://{place}") as sink:
        batch = [entry(1, {}), entry(2, large), entry(3, {}), entry(4, large), entry(5, {})]
        assert await sink.deliver(batch) == 3
        assert await sink.deliver(batch[3:]) == 2
        assert await sink.deliver(batch[4:]) == 1
    assert len(answering.sent) == 2


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (said(403, "no"), "create it as an administrator"),
        (
            web.json_response({"results": [{"error": "no room"}]}),
            "inverterproto cannot be created: no room",
        ),
    ],
)
async def test_a_database_that_cannot_be_created_is_told(answer: web.Response, told: str) -> None:
    answers = said(404, "database not found"), answer
    async with (
        served(Answering(*answers)) as place,
        sink_of(f"http://{place}", create=True) as sink,
    ):
        with pytest.raises(TroubleError, match=told):
            await sink.deliver([entry()])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"url": "192.168.1.2:8086"}, "--influx needs a URL such as http://"),
        ({"bucket": "b", "token": "SeCr3t"}, "--influx-bucket needs --influx-org"),
        ({"token": "SeCr3t"}, "needs --influx-bucket"),
        ({**SECOND, "password": "SeCr3t"}, "goes with --influx-token-file"),
        ({**SECOND, "url": "http://u:SeCr3t@h"}, "goes with --influx-token-file"),
        ({**SECOND, "create": True}, "makes databases, no buckets"),
        ({"database": ""}, "must not be empty"),
        ({"measurement": "#x"}, "measurement"),
        ({"tags": {"device": "x"}}, "tags"),
    ],
)
async def test_settings_of_no_use_are_told_at_once(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told) as fault:
        INFLUX.open(settings(INFLUX, **{"url": "http://h", **given}), Around())
    assert "SeCr3t" not in str(fault.value)


def _echoes() -> Iterator[web.Response]:
    text = "no: t0ken-0f-mine, p4ss%20word, p4ss word, cDRzczpwNHNzIHdvcmQ=, k3y"
    for status in (400, 401, 404, 500):
        yield said(status, text)


@pytest.mark.parametrize("given", [SECOND, {"user": "p4ss", "password": "p4ss word"}, {}])
async def test_no_secret_is_shown_whatever_a_server_says(given: dict[str, object]) -> None:
    shown = []
    async with served(Answering(*_echoes())) as place:
        user = "" if given else "p4ss:p4ss%20word@"
        async with sink_of(f"http://{user}{place}/?key=k3y", **given) as sink:
            shown.append(repr(sink) + repr(vars(sink._poster)["_target"]))
            for _ in range(4):
                with pytest.raises((TroubleError, RefusedError)) as fault:
                    await sink.deliver([entry()])
                shown.append(f"{fault.value!r}")
    secrets = ["k3y", *(["t0ken"] if given is SECOND else ["p4ss word", "p4ss%20", "cDRzczpw"])]
    assert [each for each in secrets if each in " ".join(shown)] == []
