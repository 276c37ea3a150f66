"""Who lets the MQTT sink in, and what it says if nobody does: passwords, rights, TLS."""

import asyncio
import base64
import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inverterproto_cli.sinks import mqtt_connection
from inverterproto_cli.sinks.sink import TroubleError
from tests.brokers import (
    Server,
    Tls,
    certificates,
    free_port,
    mosquitto,
    needs_mosquitto,
)
from tests.counterparts import find
from tests.mqtt_sinks import (
    Around,
    entry,
    made,
    many,
    sink,
    until,
)

pytestmark = needs_mosquitto

SECRET = "correct horse"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    if find("openssl") is None:
        pytest.skip("run: scripts/counterparts openssl")
    return certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Server]:
    """Yield a broker that lets only `solar` in, and write below `inverterproto/` alone."""
    passwords = tmp_path / "passwords"
    hashed = hashlib.pbkdf2_hmac("sha512", SECRET.encode(), b"twelve bytes", 101)
    parts = ("$7", "101", *(base64.b64encode(each).decode() for each in (b"twelve bytes", hashed)))
    passwords.write_text(f"solar:{'$'.join(parts)}\n")
    passwords.chmod(0o644)
    (tmp_path / "rights").write_text(
        "user solar\ntopic readwrite inverterproto/#\ntopic write homeassistant/sensor/#\n"
    )
    (tmp_path / "rights").chmod(0o644)
    lines = ("allow_anonymous false", f"password_file {passwords}", f"acl_file {tmp_path}/rights")
    with mosquitto(tmp_path, *lines) as server:
        yield server


@pytest.mark.asyncio
async def test_a_right_password_lets_us_in(guarded: Server) -> None:
    async with sink(guarded.port, user="solar", password=SECRET) as one:
        assert await one.deliver([entry(1)]) == 1


@pytest.mark.parametrize("user", ["solar", "nobody", None])
@pytest.mark.asyncio
async def test_a_wrong_password_is_told_and_not_shown(guarded: Server, user: str | None) -> None:
    wrong = f"not {SECRET}" if user else None
    one = made(guarded.port, user=user, password=wrong)
    for call in (one.deliver([entry(1)]), one.test(entry(1))):
        with pytest.raises(TroubleError) as error:
            await call
        assert str(error.value) == (
            f"the broker 127.0.0.1:{guarded.port} does not let us in (Not authorized): "
            "look at user and password"
        )
    await one.close()
    assert SECRET not in repr(one._options)


@pytest.mark.asyncio
async def test_who_may_not_write_is_told_where_and_nothing_is_set_aside(guarded: Server) -> None:
    one = made(guarded.port, user="solar", password=SECRET, prefix="elsewhere")
    with pytest.raises(TroubleError) as error:
        await one.deliver([entry(1)])
    assert str(error.value) == (
        f"the broker 127.0.0.1:{guarded.port} does not let the user solar write to "
        "elsewhere/status: let them write to elsewhere/#"
    )
    await one.close()


@pytest.mark.asyncio
async def test_discovery_that_is_refused_is_told_and_keeps_no_reading_back(guarded: Server) -> None:
    around = Around()
    changes = {"user": "solar", "password": SECRET, "discovery_prefix": "ha"}
    async with sink(guarded.port, around, **changes) as one:
        assert await one.deliver([entry(1, active_power=4)]) == 1
        await until(lambda: any(event == "mqtt-discovery" for event, _ in around.said))
    assert (
        "mqtt-discovery",
        (
            "sink mqtt: the broker does not take what is for Home Assistant (Not authorized): "
            "let us write to ha/#, or set discovery to false"
        ),
    ) in around.said


def tls_lines(files: Tls, *more: str) -> tuple[str, ...]:
    return (f"certfile {files.certificate}", f"keyfile {files.key}", *more)


@pytest.mark.asyncio
async def test_a_broker_whose_ca_is_named_is_trusted(tmp_path: Path, tls: Tls) -> None:
    with mosquitto(tmp_path, *tls_lines(tls)) as server:
        url = f"mqtts://127.0.0.1:{server.port}"
        async with sink(server.port, broker=url, ca=str(tls.ca), discovery=False) as one:
            assert await one.deliver(many(500)) == 500


@pytest.mark.asyncio
async def test_a_client_certificate_is_shown_to_a_broker_that_asks_for_it(
    tmp_path: Path, tls: Tls
) -> None:
    lines = tls_lines(tls, f"cafile {tls.ca}", "require_certificate true")
    with mosquitto(tmp_path, *lines) as server:
        url = f"mqtts://127.0.0.1:{server.port}"
        own: dict[str, Any] = {"certificate": str(tls.certificate), "key": str(tls.key)}
        async with sink(server.port, broker=url, ca=str(tls.ca), **own) as one:
            assert await one.deliver([entry(1)]) == 1
        async with sink(server.port, broker=url, ca=str(tls.ca)) as one:
            with pytest.raises(TroubleError):
                await one.deliver([entry(1)])


@pytest.mark.parametrize("ca", ["other", None])
@pytest.mark.asyncio
async def test_a_broker_whom_nobody_vouches_for_gets_nothing(
    tmp_path: Path, tls: Tls, ca: str | None
) -> None:
    named = str(tls.other_ca) if ca else None
    with mosquitto(tmp_path, *tls_lines(tls)) as server:
        one = made(server.port, broker=f"mqtts://127.0.0.1:{server.port}", ca=named)
        with pytest.raises(TroubleError, match=r"is not trusted .*: name its CA with ca"):
            await one.deliver([entry(1)])
        await one.close()


@pytest.mark.asyncio
async def test_a_port_without_tls_is_told(tmp_path: Path, tls: Tls) -> None:
    with mosquitto(tmp_path) as server:
        one = made(server.port, broker=f"mqtts://127.0.0.1:{server.port}", ca=str(tls.ca))
        with pytest.raises(TroubleError, match=r"no TLS with the broker|cannot be reached"):
            await one.deliver([entry(1)])
        await one.close()


@pytest.mark.asyncio
async def test_a_port_with_tls_alone_is_told(tmp_path: Path, tls: Tls) -> None:
    with mosquitto(tmp_path, *tls_lines(tls)) as server:
        one = made(server.port)
        with pytest.raises(TroubleError, match="hangs up: is it an MQTT broker, and has it TLS"):
            await one.deliver([entry(1)])
        await one.close()


@pytest.mark.asyncio
async def test_where_nobody_listens_is_told() -> None:
    port = free_port()
    one = made(port)
    with pytest.raises(TroubleError, match=f"no broker listens at 127.0.0.1:{port}"):
        await one.deliver([entry(1)])
    await one.close()


@pytest.mark.asyncio
async def test_who_says_nothing_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_connection, "CONNECTING", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        one = made(silent.getsockname()[1])
        with pytest.raises(TroubleError, match="says nothing: is it an MQTT broker"):
            await one.deliver([entry(1)])
        await one.close()


@pytest.mark.asyncio
async def test_who_speaks_something_else_is_told() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 100)
        writer.close()

    web = await asyncio.start_server(answer, "127.0.0.1", 0)
    one = made(web.sockets[0].getsockname()[1])
    with pytest.raises(TroubleError):
        await one.deliver([entry(1)])
    await one.close()
    web.close()
