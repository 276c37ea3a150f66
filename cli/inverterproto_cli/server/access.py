"""Who may connect, and how many."""

from collections import Counter
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address, ip_network

from inverterproto_cli.summary import count_of

PRIVATE = (
    "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
    "100.64.0.0/10", "::1/128", "fc00::/7", "fe80::/10",
)  # fmt: skip
"""The networks that are let in by default: loopback, private, link-local, carrier's NAT."""


class Access:
    """Counts connections, and refuses those that are too many or from elsewhere.

    Args:
        allowed: networks that are let in besides the private ones.
        most: connections at once.
        most_per_address: of one address.

    Raises:
        ValueError: something is no network.
    """

    def __init__(
        self, allowed: Iterable[str] = (), *, most: int = 10_000, most_per_address: int = 64
    ) -> None:
        self._networks = [ip_network(network, strict=False) for network in (*PRIVATE, *allowed)]
        self.most = most
        self.most_per_address = most_per_address
        self.count = 0
        self._by_address: Counter[str] = Counter()

    def refusal(self, address: str) -> str | None:
        """Return why an address is not let in now, or None: then it is counted until it leaves."""
        if not self._is_allowed(address):
            return f"{address} is in no network that may connect (--allow)"
        if self.count >= self.most:
            return f"at most {count_of(self.most, 'connection')} at once (--max-connections)"
        if self._by_address[address] >= self.most_per_address:
            most = count_of(self.most_per_address, "connection")
            return f"at most {most} of one address (--max-per-address)"
        self.count += 1
        self._by_address[address] += 1
        return None

    def leave(self, address: str) -> None:
        """Count a connection no more."""
        self.count -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]

    def _is_allowed(self, address: str) -> bool:
        parsed = ip_address(address.partition("%")[0])
        if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
            parsed = parsed.ipv4_mapped
        return any(
            parsed.version == network.version and parsed in network for network in self._networks
        )
