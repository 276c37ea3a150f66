"""Where the cloud is, and whether it is away: real sockets, and a DNS server on loopback."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from itertools import pairwise
from logging import INFO, WARNING
from threading import Event
from time import monotonic
from typing import Any

import dns.message
import dns.rrset
import pytest

from inverterproto_cli.address import Address, is_address
from inverterproto_cli.relay import cloud as clouds
from inverterproto_cli.relay import resolving
from inverterproto_cli.relay.cloud import AwayError, Cloud, LoopError
from inverterproto_cli.relay.loops import MOST_HOPS, Loops, is_of_this_machine
from inverterproto_cli.relay.resolving import UnresolvedError, by_server, by_system
from tests.serving import Clock

PATIENCE = 30.0


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE):
            await test()

    asyncio.run(bounded())


def resolves_to(*addresses: str) -> Any:  # noqa: ANN401 - a Resolve
    async def resolve(host: str) -> list[str]:
        if not addresses:
            raise UnresolvedError(f"{host} does not resolve")
        return list(addresses)

    return resolve


class Told(list[tuple[str, str, int]]):
    """What was told."""

    def __call__(self, event: str, text: str, level: int) -> None:
        self.append((event, text, level))

    @property
    def events(self) -> list[str]:
        return [event for event, *_ in self]


def cloud_at(
    port: int,
    *addresses: str,
    host: str = "cloud.example",
    named: bool = True,
    told: Told | None = None,
    loops: Loops | None = None,
    ticks: Callable[[], float] = monotonic,
) -> Cloud:
    return Cloud(
        "deye",
        Address(host, port),
        resolves_to(*addresses),
        named=named,
        is_us=(loops or Loops()).is_us,
        tell=told if told is not None else Told(),
        meanwhile="its devices wait",
        ticks=ticks,
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class TestConnecting:
    def test_the_next_address_is_tried_where_one_refuses(self) -> None:
        async def test() -> None:
            server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            protocol = await cloud_at(port, "127.0.0.2", "127.0.0.1").connect(clouds._Nothing)
            assert protocol.transport.get_extra_info("peername") == ("127.0.0.1", port)
            protocol.transport.close()
            server.close()

        run(test)

    def test_the_next_address_is_tried_where_one_answers_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def test() -> None:
            monkeypatch.setattr(clouds, "CONNECT_WITHIN", 4.0)
            server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            with socket.create_server(("127.0.0.2", port), backlog=0) as deaf:
                fill = [socket.socket() for _ in range(4)]
                for each in fill:
                    each.setblocking(False)  # noqa: FBT003 - socket's way
                    each.connect_ex(deaf.getsockname())
                protocol = await cloud_at(port, "127.0.0.2", "127.0.0.1").connect(clouds._Nothing)
                assert protocol.transport.get_extra_info("peername") == ("127.0.0.1", port)
                protocol.transport.close()
                for each in fill:
                    each.close()
            server.close()

        run(test)

    def test_a_name_without_address_says_what_to_type(self) -> None:
        async def test() -> None:
            with pytest.raises(AwayError, match=r"does not resolve.*--upstream deye=.*--resolver"):
                await cloud_at(10000).connect(clouds._Nothing)

        run(test)

    def test_a_name_that_resolves_to_nothing_at_all_is_one_without_address(self) -> None:
        async def test() -> None:
            cloud = cloud_at(10000)

            async def nothing(_host: str) -> list[str]:
                return []

            cloud._resolve = nothing
            with pytest.raises(AwayError, match="has no address"):
                await cloud.connect(clouds._Nothing)

        run(test)

    def test_a_refusal_is_told_as_one(self) -> None:
        async def test() -> None:
            port = free_port()
            with pytest.raises(AwayError, match=f"cloud.example:{port} refuses the connection"):
                await cloud_at(port, "127.0.0.1").connect(clouds._Nothing)

        run(test)

    def test_no_answer_within_the_time_is_told_as_that(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def test() -> None:
            monkeypatch.setattr(clouds, "CONNECT_WITHIN", 0.05)
            # A full backlog answers nothing more: Linux drops the SYN.
            with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
                address = deaf.getsockname()
                fill = [socket.socket() for _ in range(4)]
                for each in fill:
                    each.setblocking(False)  # noqa: FBT003 - socket's way
                    each.connect_ex(address)
                with pytest.raises(AwayError, match="does not answer within"):
                    await cloud_at(address[1], "127.0.0.1").connect(clouds._Nothing)
                for each in fill:
                    each.close()

        run(test)

    @pytest.mark.parametrize("address", ["192.168.1.10", "10.0.0.1", "fd00::1", "127.0.0.1"])
    def test_the_vendors_name_at_home_is_refused_with_the_line_to_type(self, address: str) -> None:
        async def test() -> None:
            cloud = cloud_at(10000, address, named=False)
            with pytest.raises(AwayError, match=r"an address at home.*--upstream deye=cloud"):
                await cloud.connect(clouds._Nothing)

        run(test)

    @pytest.mark.parametrize("address", ["0.0.0.0", "::"])
    def test_of_a_name_that_leads_nowhere_it_is_said_that_it_is_blocked(self, address: str) -> None:
        async def test() -> None:
            cloud = cloud_at(10000, address, named=False)
            with pytest.raises(AwayError, match=r"nowhere: your DNS server blocks it.*--resolver"):
                await cloud.connect(clouds._Nothing)

        run(test)

    def test_a_cloud_at_home_that_the_user_named_is_meant(self) -> None:
        async def test() -> None:
            assert await cloud_at(10000, "192.168.1.10").addresses() == ["192.168.1.10"]

        run(test)


class TestLoops:
    def test_our_own_port_at_this_machine_is_a_loop_with_the_line_to_type(self) -> None:
        async def test() -> None:
            loops = Loops()
            loops.listens([Address("0.0.0.0", 10000)])
            cloud = cloud_at(10000, "127.0.0.1", loops=loops)
            with pytest.raises(LoopError, match=r"leads to this program.*--resolver"):
                await cloud.connect(clouds._Nothing)

        run(test)

    def test_where_an_address_was_named_nothing_is_said_of_names(self) -> None:
        async def test() -> None:
            loops = Loops()
            loops.listens([Address("0.0.0.0", 10000)])
            cloud = clouds.Cloud(
                "deye", Address("127.0.0.1", 10000), by_system, named=True, is_us=loops.is_us,
                tell=Told(), meanwhile="its devices wait",
            )  # fmt: skip
            with pytest.raises(LoopError, match=r"own address, or a router") as error:
                await cloud.connect(clouds._Nothing)
            assert "DNS" not in str(error.value)

        run(test)

    def test_another_port_of_this_machine_is_none(self) -> None:
        loops = Loops()
        loops.listens([Address("0.0.0.0", 10000)])
        assert not loops.is_us(Address("127.0.0.1", 10001))

    def test_all_that_it_listens_at_counts(self) -> None:
        loops = Loops()
        loops.listens([Address("0.0.0.0", 10000)])
        loops.listens([Address("::", 7777)])
        assert loops.is_us(Address("127.0.0.1", 10000))
        assert loops.is_us(Address("::1", 7777))

    def test_another_address_of_this_machine_is_another_programs(self) -> None:
        loops = Loops()
        loops.listens([Address("127.0.0.1", 10000)])
        assert loops.is_us(Address("127.0.0.1", 10000))
        assert not loops.is_us(Address("127.0.0.2", 10000))

    @pytest.mark.parametrize("accepted_first", [True, False])
    def test_our_own_connection_that_comes_back_again_and_again_is_a_loop(
        self, *, accepted_first: bool
    ) -> None:
        loops = Loops()
        places = [("192.0.2.1", 50000 + number) for number in range(MOST_HOPS + 1)]
        assert not loops.came(places[0])
        found = []
        for asked_from, place in pairwise(places):
            if accepted_first:
                assert not loops.came(place)
                found.append(loops.calls(place, asked_from))
            else:
                assert not loops.calls(place, asked_from)
                found.append(loops.came(place))
        assert found == [False] * (MOST_HOPS - 1) + [True]
        for place in places:
            loops.settled(place)
            loops.hung_up(place)
        assert loops.count == 0

    def test_a_device_that_calls_from_where_we_call_is_no_loop(self) -> None:
        """Two sockets of a machine may have the same port, if they lead to different places."""
        loops = Loops()
        for number in range(2 * MOST_HOPS):
            device, ours = ("192.0.2.1", 50000 + number), ("192.0.2.1", 40000 + number)
            assert not loops.came(device)
            assert not loops.calls(device, None)
            assert not loops.calls(ours, device)
            loops.settled(device)
        assert not loops.came(("192.0.2.1", 50000))

    def test_only_addresses_of_this_machine_are_ours(self) -> None:
        assert is_of_this_machine("127.0.0.1")
        assert not is_of_this_machine("192.0.2.1")
        assert not is_of_this_machine("2001:db8::1")


class TestAway:
    def test_it_is_said_once_that_it_is_away_and_once_that_it_is_back(self) -> None:
        async def test() -> None:
            told, port = Told(), free_port()
            clock = Clock(1000.0)
            cloud = cloud_at(port, "127.0.0.1", told=told, ticks=clock)
            for _ in range(3):
                with pytest.raises(AwayError):
                    await cloud.connect(clouds._Nothing)
            assert told.events == ["cloud-away"]
            clock.now += clouds.PROBE_EVERY - 1
            assert not cloud.is_to_be_probed
            clock.now += 1
            assert cloud.is_to_be_probed
            assert not await cloud.probe()  # still refused
            assert not cloud.is_to_be_probed
            server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", port)
            clock.now += clouds.PROBE_EVERY
            assert cloud.is_to_be_probed
            assert await cloud.probe()
            assert cloud.away is None
            assert told.events == ["cloud-away", "cloud-back"]
            (_, away, bad), (_, _, good) = told
            assert away.endswith("refuses the connection; its devices wait")
            assert (bad, good) == (WARNING, INFO)
            clock.now += 10 * clouds.PROBE_EVERY
            assert not cloud.is_to_be_probed  # there is no need
            server.close()

        run(test)

    def test_one_that_takes_connections_and_says_nothing_is_away_for_longer(self) -> None:
        async def test() -> None:
            clock = Clock(1000.0)
            server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
            told = Told()
            port = server.sockets[0].getsockname()[1]
            cloud = cloud_at(port, "127.0.0.1", told=told, ticks=clock)
            assert cloud.unanswered(None, clock.now - clouds.SILENT_AFTER - 1)
            clock.now += clouds.SILENT_FOR - 1
            assert not cloud.is_to_be_probed
            clock.now += 1
            assert cloud.is_to_be_probed
            assert await cloud.probe()
            assert told.events == ["cloud-away", "cloud-back"]
            server.close()

        run(test)


class _Dns(asyncio.DatagramProtocol):
    """A DNS server that knows one name."""

    transport: Any

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:  # noqa: ANN401 - asyncio's
        question = dns.message.from_wire(data)
        answer = dns.message.make_response(question)
        asked = question.question[0]
        if asked.name.to_text() == "cloud.example." and asked.rdtype == dns.rdatatype.A:
            answer.answer.append(dns.rrset.from_text(asked.name, 60, "IN", "A", "192.0.2.7"))
        elif asked.name.to_text() != "cloud.example.":
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self.transport.sendto(answer.to_wire(), address)


class TestResolving:
    def test_the_system_knows_localhost_and_not_a_name_that_is_none(self) -> None:
        async def test() -> None:
            assert "127.0.0.1" in await by_system("localhost")
            with pytest.raises(UnresolvedError):
                await by_system("no such name")

        run(test)

    def test_a_system_that_hangs_is_asked_once_and_the_end_does_not_wait_for_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked, answered, go_on = [], [], Event()

        def hang(host: str, *_arguments: object, **_options: object) -> list[Any]:
            asked.append(host)
            go_on.wait(PATIENCE)
            answered.append(host)
            return []

        async def test() -> None:
            for _ in range(2):  # the second time it still hangs
                tries = await asyncio.gather(
                    *(by_system("cloud.example") for _ in range(3)), return_exceptions=True
                )
                assert {type(each) for each in tries} == {UnresolvedError}
                assert "within 0.05 s" in str(tries[0])

        monkeypatch.setattr(socket, "getaddrinfo", hang)
        monkeypatch.setattr(resolving, "PATIENCE", 0.05)
        run(test)
        assert asked == ["cloud.example"]
        assert not answered
        go_on.set()

    def test_a_server_of_ones_own_is_asked(self) -> None:
        async def test() -> None:
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(_Dns, local_addr=("127.0.0.1", 0))
            resolve = by_server(Address(*transport.get_extra_info("sockname")))
            assert await resolve("cloud.example") == ["192.0.2.7"]
            assert await resolve("192.0.2.9") == ["192.0.2.9"]
            with pytest.raises(UnresolvedError, match=r"does not resolve at 127\.0\.0\.1"):
                await resolve("other.example")
            transport.close()

        run(test)

    def test_an_address_is_no_name(self) -> None:
        assert is_address("192.0.2.1")
        assert is_address("fe80::1%eth0")
        assert not is_address("www.example")
