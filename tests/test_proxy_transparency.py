"""Conversations of other protocols through the proxy, between programs that others wrote.

Both sides are real: curl, openssl, aiohttp, the standard library's HTTP server and SMTP client.
Where the cloud may not command, nothing of what the server says may arrive.
"""

import asyncio
import smtplib
import threading
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

from inverterproto.gate import Rights
from tests.counterparts import find, needs, run
from tests.relaying import Relaying, VendorCloud, event_loop_policy, relaying  # noqa: F401 - a fixture
from tests.serving import PATIENCE, Device, until

pytestmark = pytest.mark.asyncio
BODY = Random(5).randbytes((5 << 20) + 77)
"""More than all buffers between two programs hold, and no multiple of anything."""
PIECE = 100_003
BANNER = b"220 mail.example ready\r\n"
CURL = needs("curl")
OPENSSL = needs("curl", "openssl")
FILTERS = pytest.mark.parametrize("rights", [Rights.READ_ONLY, Rights.BLOCK])


# servers


async def _echo(request: web.Request) -> web.StreamResponse:
    """Send a body back, chunk by chunk, while it comes."""
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    async for piece in request.content.iter_any():
        await response.write(piece)
    return response


async def _size(request: web.Request) -> web.Response:
    """Tell of a body how long it is."""
    return web.Response(text=str(len(await request.read())))


async def _word(request: web.Request) -> web.Response:
    return web.Response(text=request.match_info["word"])


async def _body(_request: web.Request) -> web.Response:
    return web.Response(body=BODY)


async def _talk(request: web.Request) -> web.WebSocketResponse:
    """Send back what comes on a WebSocket."""
    talk = web.WebSocketResponse(max_msg_size=2 * len(BODY))
    await talk.prepare(request)
    async for message in talk:
        await talk.send_bytes(message.data)
    return talk


@asynccontextmanager
async def site() -> AsyncIterator[int]:
    """Serve HTTP by aiohttp; give the port."""
    app = web.Application(client_max_size=2 * len(BODY))
    app.router.add_post("/echo", _echo)
    app.router.add_post("/size", _size)
    app.router.add_get("/words/{word}", _word)
    app.router.add_get("/body", _body)
    app.router.add_get("/talk", _talk)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


class _Old(BaseHTTPRequestHandler):
    """Speaks HTTP/1.0: the end of the answer is the end of the connection."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@contextmanager
def old_site() -> Iterator[int]:
    """Serve HTTP by the standard library; give the port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Old) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(PATIENCE)


async def take_mail(client: Device) -> bytes:
    """Be a mail server: it speaks first. Return what it was sent."""
    client.send(BANNER)
    while (line := await client.reader.readline()).upper().strip() != b"DATA":
        client.send(b"221 bye\r\n" if line.upper().startswith(b"QUIT") else b"250 fine\r\n")
    client.send(b"354 go on\r\n")
    mail = await client.reader.readuntil(b"\r\n.\r\n")
    client.send(b"250 taken\r\n")
    assert (await client.reader.readline()).upper() == b"QUIT\r\n"
    client.send(b"221 bye\r\n")
    client.writer.close()
    return mail


# programs


class Done(NamedTuple):
    """What a program left behind."""

    code: int
    out: bytes
    err: str


async def start(program: str, *arguments: str | Path, folder: Path | None = None) -> Process:
    path = find(program)
    assert path is not None
    return await asyncio.create_subprocess_exec(
        path, *map(str, arguments), stdin=PIPE, stdout=PIPE, stderr=PIPE, cwd=folder
    )


async def end_of(process: Process, said: bytes = b"") -> Done:
    """Wait for the end of a program that is told something."""
    try:
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate(said)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return Done(process.returncode, out, err.decode(errors="replace"))


async def curl(*arguments: str | Path) -> Done:
    """Run curl, whatever the user's settings and proxies are."""
    return await end_of(await start("curl", "-q", "-sS", "--noproxy", "*", *arguments))


@asynccontextmanager
async def tls_server(folder: Path, *options: str) -> AsyncIterator[tuple[Process, int]]:
    """Run openssl's server with a certificate of its own, `cert`; give its port."""
    run(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
        "-nodes", "-days", "2", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-keyout", folder / "key", "-out", folder / "cert",
    )  # fmt: skip
    server = await start(
        "openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", "cert", "-key", "key", *options,
        folder=folder,
    )  # fmt: skip
    assert server.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            while not (line := await server.stdout.readline()).startswith(b"ACCEPT "):
                assert line, "openssl s_server ended"
        yield server, int(line.rpartition(b":")[2])
    finally:
        if server.returncode is None:
            server.kill()
            await server.wait()


async def peace(made: Relaying, connections: int) -> None:
    """See that so many connections have ended, all in peace, and that nobody saw a fault."""
    await until(lambda: not made.listener.connections)
    ends = {name: count for name, count in made.counts.items() if name.startswith("ended: ")}
    assert ends == {"ended: both sides ended it": connections}
    assert not made.counts["faults"]


async def pieces() -> AsyncIterator[bytes]:
    for at in range(0, len(BODY), PIECE):
        yield BODY[at : at + PIECE]


class TestHttpByCurl:
    pytestmark = CURL

    async def test_a_connection_is_kept_alive_over_several_requests(self) -> None:
        async with site() as port, relaying(port) as made:
            words = f"http://127.0.0.1:{made.port}/words/[1-5]"
            done = await curl("-w", " %{num_connects}\n", words)
            assert done.out == b"1 1\n2 0\n3 0\n4 0\n5 0\n"
            await peace(made, 1)

    async def test_megabytes_in_chunks_pass_both_ways_after_the_server_said_continue(
        self, tmp_path: Path
    ) -> None:
        body = tmp_path / "body"
        body.write_bytes(BODY)
        async with site() as port, relaying(port) as made:
            done = await curl(
                "-v", "--data-binary", f"@{body}", "--expect100-timeout", f"{PATIENCE}",
                "-H", "Transfer-Encoding: chunked", "-H", "Expect: 100-continue",
                f"http://127.0.0.1:{made.port}/echo",
            )  # fmt: skip
            assert "< HTTP/1.1 100 Continue" in done.err
            assert "< Transfer-Encoding: chunked" in done.err
            assert done.out == BODY
            await peace(made, 1)

    async def test_the_end_of_the_stream_ends_an_answer_of_http_1_0(self) -> None:
        with old_site() as port:
            async with relaying(port) as made:
                done = await curl("--http1.0", f"http://127.0.0.1:{made.port}/")
                assert (done.code, done.out) == (0, BODY)
                await peace(made, 1)

    async def test_many_at_once_do_not_mix(self) -> None:
        async with site() as port, relaying(port) as made:
            words = f"http://127.0.0.1:{made.port}/words/[100-139]"
            done = await curl("-Z", "--parallel-immediate", "-H", "Connection: close", words)
            found = sorted(done.out[at : at + 3] for at in range(0, len(done.out), 3))
            assert found == [b"%d" % number for number in range(100, 140)]
            await peace(made, 40)

    @FILTERS
    async def test_where_the_cloud_may_not_command_no_answer_arrives(self, rights: Rights) -> None:
        async with site() as port, relaying(port, rights=rights) as made:
            home = f"http://127.0.0.1:{made.port}"
            short = await curl("-H", "Connection: close", f"{home}/words/hello")
            assert (short.code, short.out) == (52, b"")  # an empty reply from the server
            long = await curl(f"{home}/body")
            assert (long.code, long.out) == (56, b"")  # the connection was reset
            assert made.counts["relayed bytes of clouds"] > 1 << 16


class TestHttpByAiohttp:
    @pytest.mark.parametrize("durable", [False, True])
    async def test_a_session_passes_over_one_connection(
        self, tmp_path: Path, *, durable: bool
    ) -> None:
        async with (
            site() as port,
            relaying(port, tmp_path / "store.db", durable=durable) as made,
        ):
            async with ClientSession(
                f"http://127.0.0.1:{made.port}",
                connector=TCPConnector(limit=1),
                timeout=ClientTimeout(PATIENCE),
            ) as session:
                for word in ("one", "two"):
                    async with session.get(f"/words/{word}") as answer:
                        assert await answer.text() == word
                async with session.post("/echo", data=pieces(), chunked=True) as answer:
                    assert await answer.read() == BODY
                async with session.post("/size", data=BODY, expect100=True) as answer:
                    assert await answer.text() == str(len(BODY))
                async with session.get("/body") as answer:
                    assert await answer.read() == BODY
            await peace(made, 1)

    async def test_a_web_socket_passes(self) -> None:
        async with site() as port, relaying(port) as made:
            async with (
                ClientSession(f"http://127.0.0.1:{made.port}") as session,
                session.ws_connect("/talk", max_msg_size=2 * len(BODY)) as talk,
            ):
                for said in (b"hello", BODY, b""):
                    await talk.send_bytes(said)
                    assert await talk.receive_bytes(timeout=PATIENCE) == said
            await peace(made, 1)

    async def test_pipelined_requests_are_answered_in_their_order(self) -> None:
        async with site() as port, relaying(port) as made:
            words = [f"word-{number}" for number in range(200)]
            asked = [f"GET /words/{word} HTTP/1.1\r\nHost: x\r\n\r\n" for word in words[:-1]]
            asked.append(f"GET /words/{words[-1]} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            async with await made.device() as client:
                client.send("".join(asked).encode())
                said = (await client.rest()).decode()
            answered = [part.partition("\r\n\r\n")[2] for part in said.split("HTTP/1.1 200 OK")[1:]]
            assert answered == words
            await peace(made, 1)


class TestHalfClose:
    async def test_a_client_that_says_no_more_still_gets_the_whole_answer(self) -> None:
        with old_site() as port:
            async with relaying(port) as made, await made.device() as client:
                client.send(b"GET / HTTP/1.0\r\n\r\n")
                client.half_close()
                said = await client.rest()
                client.writer.close()
                assert said.startswith(b"HTTP/1.0 200 OK\r\n")
                assert said.partition(b"\r\n\r\n")[2] == BODY
                await peace(made, 1)


class TestTheServerSpeaksFirst:
    async def test_a_mail_is_handed_over(self) -> None:
        def send(port: int) -> None:
            with smtplib.SMTP("127.0.0.1", port, "client.example", timeout=PATIENCE) as client:
                client.sendmail("a@client.example", ["b@mail.example"], "Subject: x\n\nhello\n")

        async with VendorCloud() as vendor, relaying(vendor.port) as made:
            sending = asyncio.create_task(asyncio.to_thread(send, made.port))
            mail = await take_mail(await vendor.accept())
            await sending
            assert mail == b"Subject: x\r\n\r\nhello\r\n.\r\n"
            await peace(made, 1)

    @FILTERS
    async def test_where_the_cloud_may_not_command_no_banner_arrives(self, rights: Rights) -> None:
        async with VendorCloud() as vendor, relaying(vendor.port, rights=rights) as made:
            client, server = await made.line(vendor)
            server.send(BANNER)
            server.writer.close()
            assert await client.rest() == b""
            client.writer.close()
            await until(lambda: not made.listener.connections)
            assert made.counts["relayed bytes of clouds"] == len(BANNER)


class TestTls:
    pytestmark = OPENSSL

    async def test_a_handshake_and_data_pass_and_are_told_of_once(self, tmp_path: Path) -> None:
        async with (
            tls_server(tmp_path, "-rev") as (_, port),
            relaying(port, tmp_path / "store.db") as made,
        ):
            client = await start(
                "openssl", "s_client", "-connect", f"127.0.0.1:{made.port}", "-quiet",
                "-CAfile", tmp_path / "cert", "-verify_return_error", "-servername", "localhost",
            )  # fmt: skip
            done = await end_of(client, b"hello\nworld\nCLOSE\n")
            assert done.out.splitlines()[:2] == [b"olleh", b"dlrow"]
            [line] = made.lines.of("tls")
            assert "passed on as it is" in line
            await until(lambda: not made.listener.connections)

    @pytest.mark.parametrize("version", ["--tlsv1.3", "--tls-max=1.2"])
    async def test_megabytes_pass_encrypted(self, tmp_path: Path, version: str) -> None:
        (tmp_path / "body").write_bytes(BODY)
        async with tls_server(tmp_path, "-WWW") as (_, port), relaying(port) as made:
            done = await curl(
                *version.split("="), "--http1.0", "--cacert", tmp_path / "cert",
                f"https://127.0.0.1:{made.port}/body",
            )  # fmt: skip
            assert (done.code, done.out) == (0, BODY)
            assert len(made.lines.of("tls")) == 1
            await until(lambda: not made.listener.connections)

    @FILTERS
    async def test_where_the_cloud_may_not_command_no_handshake_comes_about(
        self, tmp_path: Path, rights: Rights
    ) -> None:
        async with (
            tls_server(tmp_path, "-rev") as (server, port),
            relaying(port, rights=rights) as made,
        ):
            client = await start("openssl", "s_client", "-connect", f"127.0.0.1:{made.port}")
            await until(lambda: made.listener.counters().get("relayed bytes of clouds"))
            server.kill()
            done = await end_of(client)
            assert b"SSL handshake has read 0 bytes" in done.out
            [line] = made.lines.of("tls")
            assert "--cloud-commands allow" in line
