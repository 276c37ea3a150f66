"""Who may look over HTTP, what is answered to whom, and what the server's health is."""

import asyncio
import socket
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path
from time import time
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from click import ClickException

from inverterproto_cli.sinks import outward
from inverterproto_cli.sinks.delivery import STUCK
from inverterproto_cli.sinks.settings import Configured
from inverterproto_cli.sinks.sink import Sink, SinkType, Surroundings, TroubleError
from inverterproto_cli.web import asking, page
from inverterproto_cli.web.health import STANDS
from inverterproto_cli.web.rights import has_token, is_own_name
from tests.browsing import INSIDE, PATIENCE, Shown, shown
from tests.clients import data
from tests.serving import until

pytestmark = pytest.mark.asyncio
PATHS = ["/metrics", "/healthz", "/readyz", "/api/devices", "/api/readings"]
TOKEN = "a-token-of-the-test"
SECRET = "the-other-side-is-at-home-77"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


class Away:
    """A sink whose other side is away."""

    async def deliver(self, _entries: Any) -> int:  # noqa: ANN401
        raise TroubleError(SECRET)

    async def test(self, _entry: Any) -> str:  # noqa: ANN401
        raise NotImplementedError

    async def close(self) -> None:
        """Have nothing."""


def away(_values: Any, _around: Surroundings) -> Sink:  # noqa: ANN401
    return Away()


AWAY = Configured("far", SinkType("away", "Away", (), away), {})


async def asked_by_a_thread(made: Shown, *paths: str) -> list[tuple[int, str]]:
    """Ask while the main thread stands: this function does not await until all is answered."""
    answers: list[tuple[int, str]] = []

    def ask() -> None:
        for one in paths:
            url = f"http://127.0.0.1:{made.port}{one}"
            try:
                with urlopen(url, timeout=PATIENCE) as answer:
                    answers.append((answer.status, answer.read().decode()))
            except HTTPError as error:
                answers.append((error.code, error.read().decode()))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(PATIENCE)
    return answers


class TestHealth:
    async def test_a_server_that_turns_is_healthy_and_one_that_stands_is_not(self) -> None:
        async with shown() as made:
            assert (await made.get("/healthz")).json == {"healthy": True}
            made.served.ticks.now += STANDS + 1
            answer = await made.get("/healthz")
            assert answer.status == 503
            assert answer.json == {"healthy": False, "wrong": "the main thread stands for 11 s"}
            made.watch.turn()
            assert (await made.get("/healthz")).status == 200

    async def test_it_is_told_while_the_main_thread_stands(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(asking, "DEADLINE", 0.05)
        async with shown(path) as made:
            await made.get("/healthz")
            made.served.ticks.now += STANDS + 1
            alive, ready, scrape, again = await asked_by_a_thread(
                made, "/healthz", "/readyz", "/metrics", "/readyz"
            )
            assert alive[0] == ready[0] == again[0] == 503
            assert '"main": "the main thread stands for 11 s"' in ready[1]
            assert '"store": "not known"' in ready[1]
            assert scrape[0] == 200
            assert "inverterproto_main_thread_answers 0.0" in scrape[1]
            assert "inverterproto_connections_total" not in scrape[1]
            made.watch.turn()
            assert (await made.get("/readyz")).status == 200
            assert (await made.get("/metrics")).value("main_thread_answers") == 1

    async def test_one_that_turns_and_does_not_answer_is_healthy_and_not_ready(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(asking, "DEADLINE", 0.05)
        async with shown() as made:
            await made.get("/healthz")
            alive, ready = await asked_by_a_thread(made, "/healthz", "/readyz")
            assert alive[0] == 200
            assert ready[0] == 503
            assert "the main thread does not answer" in ready[1]

    async def test_what_is_asked_while_it_stands_does_not_pile_up(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(asking, "DEADLINE", 0.01)
        counted: list[str] = []

        async with shown() as made:
            listener = made.served.listener
            monkeypatch.setattr(
                asking,
                "counters",
                lambda _: counted.append("asked") or {},  # type: ignore[func-returns-value]
            )
            await made.get("/healthz")
            await asked_by_a_thread(made, *["/readyz"] * 10)
            await made.get("/readyz")
            assert 1 <= len(counted) <= 2
            assert listener.listening

    async def test_it_is_ready_where_nothing_is_stored(self) -> None:
        async with shown() as made:
            answer = await made.get("/readyz")
            assert answer.status == 200
            assert answer.json == {
                "ready": True,
                "checks": {"main": "ok", "store": "ok", "listeners": "ok"},
            }

    async def test_a_store_in_trouble_is_told_and_that_it_works_again(self, path: Path) -> None:
        async with shown(path) as made:
            with sqlite3.connect(path) as other:
                other.execute("BEGIN IMMEDIATE")
                made.served.store.do(lambda _: None)  # type: ignore[union-attr]
                await until(lambda: made.served.store.trouble)
                answer = await made.get("/readyz")
                assert answer.status == 503
                assert answer.json["checks"]["store"].endswith("database is locked")
                assert (await made.get("/metrics")).value("store_trouble") == 1
                assert (await made.get("/healthz")).status == 200
                other.rollback()
            await until(lambda: made.served.store.trouble is None)
            assert (await made.get("/readyz")).status == 200
            assert (await made.get("/metrics")).value("store_trouble") == 0

    async def test_one_that_is_in_trouble_from_the_beginning_is_told_too(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        monkeypatch.setattr(outward, "register", fail)
        async with shown(path, sinks=[AWAY]) as made:
            await until(lambda: made.served.store.trouble)
            answer = await made.get("/readyz")
            assert answer.status == 503
            assert "disk I/O error" in answer.json["checks"]["store"]
            assert made.outward.deliveries == []
            monkeypatch.undo()
            await until(lambda: made.outward.deliveries)
            assert (await made.get("/readyz")).json["checks"]["sink far"] == "ok"

    async def test_a_server_that_devices_cannot_reach_is_not_ready(self) -> None:
        async with shown() as made:
            made.served.listener._servers[0].close()
            answer = await made.get("/readyz")
            assert answer.status == 503
            assert answer.json["checks"]["listeners"] == "devices cannot connect"

    async def test_a_sink_is_stuck_after_long_trouble_and_the_details_are_for_the_trusted(
        self, path: Path
    ) -> None:
        async with shown(path, sinks=[AWAY], token=TOKEN) as made:
            await until(lambda: made.outward.deliveries)
            async with await made.served.device() as device:
                await device.ask(data(1), 23)
            [delivery] = made.outward.deliveries
            await until(lambda: delivery.row.error)
            assert (await made.get("/readyz")).status == 200
            long_ago = time() - STUCK - 1
            delivery.row = delivery.row._replace(error_at=long_ago)
            answer = await made.get("/readyz")
            assert answer.status == 503
            assert answer.json["checks"]["sink far"] == "nothing arrives there for long"
            trusted = await made.get("/readyz", headers={"Authorization": f"Bearer {TOKEN}"})
            assert trusted.json["checks"]["sink far"].endswith(SECRET)


class TestRights:
    async def test_only_health_is_for_those_without_the_token(self, path: Path) -> None:
        async with shown(path, token=TOKEN) as made:
            for one in PATHS:
                answer = await made.get(one)
                assert answer.status == (200 if one.endswith("z") else 401), one
                assert ("WWW-Authenticate" in answer.headers) is (answer.status == 401)
                assert TOKEN not in answer.body
            for wrong in ("Bearer x", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer ü"):
                answer = await made.get("/metrics", headers={"Authorization": wrong})
                assert answer.status == 401, wrong
            for one in PATHS:
                right = {"Authorization": f"Bearer {TOKEN}"}
                assert (await made.get(one, headers=right)).status == 200, one

    async def test_by_another_name_nothing_is_told_to_a_browser(self, path: Path) -> None:
        async with shown(path) as made:
            for one in [*PATHS, "/"]:
                answer = await made.get(one, headers={"Host": f"rebound.example:{made.port}"})
                assert answer.status == 403, one
            for name in ("localhost", "LOCALHOST:1", "127.0.0.1", "127.9.9.9:80", "[::1]:8099"):
                assert (await made.get("/metrics", headers={"Host": name})).status == 200, name

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
    async def test_nothing_can_be_changed(self, method: str, path: Path) -> None:
        async with shown(path) as made:
            answer = await made.get("/api/readings", method)
            assert answer.status == 405
            assert answer.headers["Allow"] == "GET, HEAD"

    async def test_no_answer_lets_other_sites_read_it_or_tells_a_version(self, path: Path) -> None:
        async with shown(path) as made:
            for one in [*PATHS, "/", "/api/readings?limit=0"]:
                headers = (await made.get(one, headers={"Origin": "http://a.example"})).headers
                assert headers["Server"] == "inverterproto"
                assert not any(name.lower().startswith("access-control") for name in headers)
                assert headers["Cache-Control"] == "no-store"

    async def test_head_is_answered_without_a_body(self, path: Path) -> None:
        async with shown(path) as made:
            for one in PATHS:
                answer = await made.get(one, "HEAD")
                assert (answer.status, answer.body) == (200, "")


class TestPaths:
    async def test_elsewhere_there_is_nothing_but_where_to_look(self) -> None:
        async with shown() as made:
            for one in ("/", "/api", "/metrics/", "/%2e%2e/etc/passwd"):
                answer = await made.get(one)
                assert answer.status == 404
                assert answer.json["paths"] == PATHS

    async def test_without_a_store_there_is_nothing_to_read_and_the_rest_works(self) -> None:
        async with shown() as made:
            async with await made.served.device() as device:
                await device.ask(data(1), 23)
            for one in ("/api/devices", "/api/readings"):
                answer = await made.get(one)
                assert answer.status == 404
                assert "--no-store" in answer.json["error"]
            scrape = await made.get("/metrics")
            assert scrape.value("connections_total") == 1
            assert scrape.value("store_bytes") is None

    async def test_a_fault_is_told_costs_one_answer_and_quotes_nothing(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise ValueError(SECRET)

        monkeypatch.setattr(page, "all_devices", fail)
        async with shown(path) as made:
            answer = await made.get("/api/devices")
            assert answer.status == 500
            assert SECRET not in answer.body
            await until(lambda: made.served.lines.of("fault"))
            [line] = made.served.lines.of("fault")
            assert "http: ValueError at " in line
            assert SECRET not in line
            assert (await made.get("/api/readings")).status == 200


async def test_its_end_waits_for_nobody_who_looks(path: Path) -> None:
    async with shown(path) as made:
        reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        await writer.drain()
        await made.get("/healthz")
        begin = asyncio.get_running_loop().time()
        await made.outward.close()
        assert asyncio.get_running_loop().time() - begin < PATIENCE / 2
        with suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
        writer.close()


async def test_a_name_of_two_addresses_has_one_port(path: Path) -> None:
    both = ((socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_INET, ("127.0.0.2", 0)))
    async with shown(path, places=both) as made:
        ports = {one.getsockname() for one in made.page._sockets}
        assert ports == {("127.0.0.1", made.port), ("127.0.0.2", made.port)}


async def test_of_a_name_those_addresses_are_taken_that_the_machine_has(path: Path) -> None:
    elsewhere = (socket.AF_INET, ("192.0.2.7", 0))
    async with shown(path, places=(elsewhere, *INSIDE)) as made:
        assert len(made.page._sockets) == 1
        assert (await made.get("/healthz")).status == 200
    with pytest.raises(ClickException, match="that is no address of this machine"):
        async with shown(path, places=(elsewhere,)):
            raise AssertionError


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("localhost", True),
        ("localhost.:8099", True),
        ("127.0.0.1:8099", True),
        ("[::1]:8099", True),
        ("[::1]", True),
        ("solar.home:8099", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("192.168.1.2:8099", False),
        ("[fe80::1]:8099", False),
        ("", False),
        (None, False),
    ],
)
async def test_which_names_are_this_machines_own(host: str | None, *, own: bool) -> None:
    assert is_own_name(host, "Solar.home") is own


@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer ", "bearer other", "Basic t0ken"])
async def test_what_is_no_token_is_none(given: str | None) -> None:
    assert not has_token(given, "t0ken")
    assert has_token("bearer  t0ken", "t0ken")
