"""From a host's name to its addresses: by the system, or by a DNS server that is asked itself.

Who lets a DNS entry lead the devices here must ask somebody else where the cloud really is.

The system's own way may hang for long, and cannot be called off. So it goes in a thread that the
program's end does not wait for, and of each host it is asked once at a time, however many wait.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from threading import Thread
from typing import Any

from inverterproto_cli.address import Address, is_address

Resolve = Callable[[str], Awaitable[list[str]]]
"""Returns the addresses of a host; raises `UnresolvedError`."""

PATIENCE = 5.0
"""Seconds for a DNS server to answer."""

_asked: dict[str, Future[list[Any]]] = {}
"""What the system was asked last, by host."""


class UnresolvedError(Exception):
    """A name has no address; the message says why."""


async def by_system(host: str) -> list[str]:
    """Ask as every program here does."""
    try:
        async with asyncio.timeout(PATIENCE):
            found = await asyncio.wrap_future(_ask_system(host))
    except TimeoutError as error:
        raise UnresolvedError(f"{host} does not resolve within {PATIENCE:g} s") from error
    except (OSError, UnicodeError) as error:
        raise UnresolvedError(f"{host} does not resolve") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _ask_system(host: str) -> Future[list[Any]]:
    """Return what will be the system's answer: the one that is awaited already, or a new one."""
    asked = _asked.get(host)
    if asked is None or asked.done():
        asked = Future()
        asked.set_running_or_notify_cancel()  # who waits no more takes it from nobody else
        Thread(target=_wait_for_system, args=(host, asked), daemon=True).start()
        _asked[host] = asked
    return asked


def _wait_for_system(host: str, asked: Future[list[Any]]) -> None:
    try:
        asked.set_result(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
    except Exception as error:  # noqa: BLE001 - whoever waits for it meets it
        asked.set_exception(error)


def by_server(server: Address) -> Resolve:
    """Return what asks a DNS server, whatever the system would say."""
    from dns.asyncresolver import Resolver
    from dns.exception import DNSException

    resolver = Resolver(configure=False)
    resolver.nameservers = [server.host]
    resolver.port = server.port
    resolver.lifetime = PATIENCE

    async def resolve(host: str) -> list[str]:
        if is_address(host):
            return [host]
        try:
            answers = await resolver.resolve_name(host)
        except (DNSException, OSError) as error:
            raise UnresolvedError(f"{host} does not resolve at {server}") from error
        return [str(address) for address in answers.addresses()]

    return resolve
