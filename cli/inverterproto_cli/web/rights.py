"""Who may look: by which name it is asked, and with which token."""

import hmac
from ipaddress import ip_address


def is_own_name(host: str | None, configured: str) -> bool:
    """Return whether a Host header names this machine itself.

    A page in a browser that had its own name lead here (DNS rebinding) would name that.

    Args:
        host: the header.
        configured: the host that the user named.
    """
    if host is None:
        return False
    name = host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    name = name.lower().removesuffix(".")
    if name in ("localhost", configured.lower()):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def has_token(authorization: str | None, token: str) -> bool:
    """Return whether an Authorization header has the token; takes the same time in any case."""
    scheme, _, given = (authorization or "").partition(" ")
    right = hmac.compare_digest(given.strip().encode("utf-8", "replace"), token.encode())
    return right and scheme.lower() == "bearer"
