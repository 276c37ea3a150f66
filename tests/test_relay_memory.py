"""What the proxy holds of a connection, which is gone with it: no search for garbage is needed."""

import gc
import inspect
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from inverterproto.gate import Rights
from inverterproto_cli.address import Address
from inverterproto_cli.relay.cloud import Cloud
from inverterproto_cli.relay.copying import Copy
from inverterproto_cli.relay.observing import Observer
from inverterproto_cli.relay.relaying import Relayed
from inverterproto_cli.relay.wire import End, Wire
from inverterproto_cli.server.connection import DeviceConnection
from tests.relaying import Relaying, VendorCloud, event_loop_policy, relaying  # noqa: F401 - a fixture
from tests.serving import Device, until
from tests.test_cloud import free_port
from tests.test_fake_server import ANSWER, DATA, HANDSHAKE
from tests.test_relay import converse, nothing_is_left, peace
from tests.test_relay_away import black_hole, calling

pytestmark = pytest.mark.asyncio
HELD = (Relayed, Wire, End, Observer, DeviceConnection, Copy)
"""What there is of each connection; the rest hangs on these."""


@pytest.fixture(autouse=True)
def _no_search() -> Iterator[None]:
    """Let nothing but the count of references free anything."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def held() -> Counter[str]:
    return Counter(type(one).__name__ for one in gc.get_objects() if isinstance(one, HELD))


def frames_of(function: Callable[..., object]) -> list[object]:
    frames = (one for one in gc.get_objects() if inspect.isframe(one))
    return [one for one in frames if one.f_code is function.__code__]


async def gone(made: Relaying) -> None:
    """Wait until a proxy has no connection, then see that it holds nothing of one."""
    await until(lambda: nothing_is_left(made))
    await until(lambda: not held())


@asynccontextmanager
async def line(**options: object) -> AsyncIterator[tuple[Relaying, Device, Device]]:
    """Give a proxy, and both ends of a connection on which both sides have spoken."""
    async with VendorCloud() as vendor, relaying(vendor.port, **options) as made:  # type: ignore[arg-type]
        device, cloud = await made.line(vendor)
        async with device, cloud:
            await converse(device, cloud, HANDSHAKE)
            await converse(device, cloud, DATA)
            assert held() >= Counter(Relayed=1, Wire=1, DeviceEnd=1, CloudEnd=1, Observer=1)
            yield made, device, cloud


async def device_resets(_made: Relaying, device: Device, _cloud: Device) -> None:
    device.reset()


async def cloud_resets(_made: Relaying, _device: Device, cloud: Device) -> None:
    cloud.reset()


@pytest.mark.parametrize("end", [peace, device_resets, cloud_resets])
async def test_nothing_is_held_of_a_connection_that_was_passed_on(
    end: Callable[[Relaying, Device, Device], Awaitable[None]],
) -> None:
    async with line() as (made, device, cloud):
        await end(made, device, cloud)
        await gone(made)


@pytest.mark.parametrize("options", [{"rights": Rights.READ_ONLY}, {"durable": True}])
async def test_nothing_is_held_of_one_whose_cloud_waited(
    tmp_path: Path, options: dict[str, object]
) -> None:
    async with line(path=tmp_path / "store.db", **options) as (made, device, cloud):
        await peace(made, device, cloud)
        await gone(made)


async def test_nothing_is_held_of_one_that_was_copied_to_a_second_server() -> None:
    async with VendorCloud() as second:
        copies_to = Address("127.0.0.1", second.port)
        async with line(copies_to=copies_to) as (made, device, cloud):
            copy = await second.accept()
            await peace(made, device, cloud)
            assert await copy.rest()
            copy.writer.close()
            await gone(made)


async def test_nothing_is_held_of_one_whose_second_server_refuses() -> None:
    async with line(copies_to=Address("127.0.0.1", free_port())) as (made, device, cloud):
        await until(lambda: made.counts["copies given up"])
        await peace(made, device, cloud)
        await gone(made)


async def test_nothing_is_held_of_one_that_was_answered_in_the_clouds_place() -> None:
    async with relaying(free_port()) as made:
        for _ in range(2):  # the first finds out that the cloud is away
            async with await made.device() as device:
                await device.ask(DATA, ANSWER)
        await gone(made)


async def test_nothing_is_held_of_one_that_was_turned_away() -> None:
    async with relaying(free_port(), refuses=True) as made:
        for _ in range(2):
            async with await made.device() as device:
                assert await device.rest() == b""
        await gone(made)


async def test_nothing_is_held_of_a_device_that_left_while_the_cloud_was_called() -> None:
    with black_hole() as port:
        async with relaying(port) as made:
            async with await made.device() as device:
                await calling(made)
                device.reset()
            await gone(made)


async def test_nothing_is_held_of_a_look_at_a_cloud_that_is_away() -> None:
    async with relaying(free_port()) as made:
        assert not await made.cloud.probe()
        await until(lambda: not frames_of(Cloud._connect))
