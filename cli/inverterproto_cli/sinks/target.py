"""Where a sink sends to: a URL, taken apart into what may be shown and what may not.

Of a URL only scheme, host and port are ever shown. A user and password before the host, a query,
and the path of many a webhook are secret.
"""

from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit


@dataclass(frozen=True, slots=True)
class Target:
    """A URL, taken apart.

    Attributes:
        origin: scheme, host and port: what may be shown.
        path: as it stands there.
        query: without the question mark.
        user, password: from before the host; None where there are none.
    """

    origin: str
    path: str = field(repr=False)
    query: str = field(repr=False)
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    def url(self, path: str, query: str = "") -> str:
        """Return the URL of another path there, with the query and more of it."""
        both = "&".join(filter(None, (self.query, query)))
        return f"{self.origin}{path}" + (f"?{both}" if both else "")

    def secrets(self) -> list[str]:
        """Return what of it may be secret, the path aside."""
        values = [value for _, value in parse_qsl(self.query)]
        return [text for text in (self.user, self.password, self.query, *values) if text]


def parse_target(text: str, hint: str) -> Target:
    """Take a URL apart.

    Args:
        text: the URL.
        hint: what to say if it is none. The URL itself is never said: it may hold a password.

    Raises:
        ValueError: it is no http or https URL.
    """
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(hint) from None
    if parts.scheme not in ("http", "https") or not host or not text.isprintable() or " " in text:
        raise ValueError(hint)
    user = None if parts.username is None else unquote(parts.username)
    password = None if parts.password is None else unquote(parts.password)
    place = parts.netloc.rpartition("@")[2]
    return Target(f"{parts.scheme}://{place}", parts.path, parts.query, user, password)


def basic(user: str, password: str) -> str:
    """Return the value of an `Authorization` header."""
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def shown(text: str) -> str:
    """Return a value that a user gave as it may be shown: of a URL no more than is no secret."""
    if "://" not in text and "@" not in text:
        return text
    scheme, slashes, rest = text.rpartition("://")
    place, slash, path = rest.partition("/")
    host = place.rpartition("@")[2].partition("?")[0]
    return f"{scheme}{slashes}{host}{slash}{'…' if path else ''}"


def without_user(url: str) -> str:
    """Return a URL of somebody else's without user and password, whatever it is like."""
    head, slashes, rest = url.partition("//")
    place, slash, path = rest.partition("/")
    return f"{head}{slashes}{place.rpartition('@')[2]}{slash}{path}"
