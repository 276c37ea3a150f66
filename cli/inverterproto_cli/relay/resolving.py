"""From a host's name to its addresses: by the system, or by a DNS server that is asked itself.

Who lets a DNS entry lead the devices here must ask somebody else where the cloud really is.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from ipaddress import ip_address

from inverterproto_cli.address import Address

Resolve = Callable[[str], Awaitable[list[str]]]
"""Returns the addresses of a host; raises `UnresolvedError`."""

PATIENCE = 5.0
"""Seconds for a DNS server to answer."""


class UnresolvedError(Exception):
    """A name has no address; the message says why."""


async def by_system(host: str) -> list[str]:
    """Ask as every program here does."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(PATIENCE):
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except TimeoutError as error:
        raise UnresolvedError(f"{host} does not resolve within {PATIENCE:g} s") from error
    except (OSError, UnicodeError) as error:
        raise UnresolvedError(f"{host} does not resolve") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


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


def is_address(host: str) -> bool:
    """Return whether a host is named by its address."""
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
