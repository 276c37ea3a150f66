"""What the sinks that POST over HTTP share.

Theory of operation
-------------------
*A `Poster` is one server, as a sink talks to it*: where it is, how it is trusted, what must never
be shown of it. It makes its session at the first request, in the loop that runs then, and keeps a
connection only as long as one request follows the other: a reading a minute finds most servers'
connections closed, in the middle of being closed at worst.

*Everything has a bound.* A body is as large as `Poster.room`, which halves when the other side
says that it is too large (413), and grows again by and by: what stood in between may be gone. A
request has a time, and where no answer comes in it, that is told apart (`TooSlowError`). Of an
answer no more is read than shows what was wrong. An answer that is cut off in the middle is no
answer: what was sent comes again.

*No line holds a secret.* A server is shown by scheme, host and port alone: a user, a query, and
with webhooks a path may be secret. Whatever it says is taken for hostile: secrets that it repeats
are blanked, line breaks taken out, and it is cut.

*Redirects are not followed*: a POST that is followed becomes a GET, and a token goes elsewhere.
"""

import asyncio
import gzip
import json
import os
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

from inverterproto_cli.extra import MissingExtra
from inverterproto_cli.sinks.sink import Setting, Surroundings, TooSlowError, TroubleError
from inverterproto_cli.sinks.target import Target, without_user

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

ROOM = 1 << 20
"""Bytes of a body before it is packed."""
_GROWING = 10
"""After so many bodies that were taken a larger one is tried, where one was too large before."""
_READ = 1 << 16  # bytes of an answer
_SHOWN = 300  # characters of what a server says
_CONNECT = 10.0  # seconds
_IDLE = 2.0  # seconds that a connection waits for the next request
_BATCH = 60  # seconds that a batch has, see `delivery.py`
_LONGEST_QUIET = 600.0  # seconds; a server may ask for more, we ask again then

CONNECTION: tuple[Setting, ...] = (
    Setting("ca", "Trust certificates of the authorities in this PEM file only.", metavar="FILE"),
    Setting("insecure", "Trust any certificate, anybody may read all.", bool, default=False),
    Setting("gzip", "Pack what is sent.", bool, default=False),
    Setting("timeout", "Seconds that a request may take.", float, 30.0, flag=None),
)
"""What can be set of every connection."""


def json_bytes(value: object) -> bytes:
    """Return a value as JSON, whatever texts and numbers are in it: no number is null."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:  # not a number, or endless
        finite = json.loads(json.dumps(value), parse_constant=lambda _: None)
        return json_bytes(finite)
    return text.encode(errors="replace")  # half a surrogate pair is no text


def fitting(pieces: Sequence[bytes], room: int) -> int:
    """Return how many pieces, from the first on, fit into some bytes; one always does."""
    total = 0
    for count, piece in enumerate(pieces):
        total += len(piece) + 1
        if count and total > room:
            return count
    return len(pieces)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: of HTTP.
        headers: with names in lower case.
        body: the beginning of it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """Return the object that it is; an empty one if it is none."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def text(self) -> str:
        """Return what it says: the words of the error formats that we know, else the body."""
        found = self.json()
        for key in ("text", "error", "message"):
            if isinstance(said := found.get(key), str):
                return said
        said = self.body.decode(errors="replace").strip()
        return "" if said.startswith("<") else said  # a page for browsers


class Poster:
    """Sends requests to a server.

    Args:
        kind: the sink type's name, as it is in options.
        target: where it is.
        headers: go with each request.
        secrets: texts that must not be shown, beside those in `target`.
        values: of the settings in `CONNECTION`.
        surroundings: of the sink.

    Raises:
        ValueError, OSError: a setting is of no use, or the file of authorities cannot be read.
        MissingExtra: aiohttp is missing.
    """

    def __init__(
        self,
        kind: str,
        target: Target,
        headers: Mapping[str, str],
        secrets: Iterable[str],
        values: Mapping[str, Any],
        surroundings: Surroundings,
    ) -> None:
        _need_aiohttp(kind)
        self.kind = kind
        self.room = ROOM
        self._taken = 0  # bodies since the room changed
        self._target = target
        if not all(value.isprintable() for value in headers.values()):
            raise ValueError(f"{kind}: what goes into a header must be one line, a token too")
        self._headers = {"User-Agent": f"inverterproto/{version('inverterproto')}", **headers}
        self._secrets = _forms([*target.secrets(), *secrets])
        self._tls = _trust(kind, values)
        self._gzip = bool(values["gzip"])
        self._seconds = float(values["timeout"])
        if not 0 < self._seconds < _BATCH:
            raise ValueError(f"timeout of {kind}: more than 0 and less than {_BATCH} s is possible")
        self._session: ClientSession | None = None
        self._quiet_until = 0.0
        if values["insecure"] and target.origin.startswith("https"):
            surroundings.say(
                "sink-insecure",
                f"sink {surroundings.name}: the certificate of {target.origin} is not checked, "
                f"anybody in between can read what is sent; --{kind}-ca FILE is the better way",
            )

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send a body; return what came back.

        Raises:
            TroubleError: there is no whole answer.
        """
        import aiohttp

        left = self._quiet_until - asyncio.get_running_loop().time()
        if left > 0:
            raise self.trouble(f"it asked to wait, {left:.0f} s more")
        if self._gzip:
            body, headers = gzip.compress(body, 5, mtime=0), {**headers, "Content-Encoding": "gzip"}
        try:
            async with self._session_here().post(
                url, data=body, headers=headers, allow_redirects=False
            ) as response:
                answer = await _read(response)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            told = self.trouble(self._reason(error))
            # Where not even a connection comes about, the size of what is sent is not to blame.
            connected = not isinstance(error, aiohttp.ConnectionTimeoutError)
            slow = isinstance(error, TimeoutError) and connected
            raise TooSlowError(str(told)) if slow else told from None
        self._heed(answer)
        return answer

    async def post_most(
        self,
        url: str,
        pieces: Sequence[bytes],
        join: Callable[[Sequence[bytes]], bytes],
        headers: Mapping[str, str],
    ) -> tuple[int, Answer]:
        """Send as many pieces, from the first on, as one body may hold.

        Returns:
            How many these were, and what came back.
        """
        while True:
            count = fitting(pieces, self.room)
            answer = await self.post(url, join(pieces[:count]), headers)
            if answer.status != 413 or count == 1:
                self._grow(answer)
                return count, answer
            self.room, self._taken = sum(map(len, pieces[:count])) // 2, 0

    def _grow(self, answer: Answer) -> None:
        """Try more at once after a while: what was too large once need not be so for ever."""
        if self.room >= ROOM or not 200 <= answer.status < 300:
            return
        self._taken += 1
        if self._taken >= _GROWING:
            self.room, self._taken = min(max(2 * self.room, 1), ROOM), 0

    def trouble(self, text: str) -> TroubleError:
        """Return the error that says something of this server."""
        return TroubleError(f"{self._target.origin}: {text}")

    def said(self, answer: Answer) -> str:
        """Return what an answer says, for people."""
        text = self.clean(answer.text())
        return f"{answer.status} ({text})" if text else str(answer.status)

    def trouble_of(self, answer: Answer, advice: Mapping[int, str]) -> TroubleError:
        """Return the error for an answer that does not take what was sent.

        Args:
            answer: what came back.
            advice: what to do, by status.
        """
        if 300 <= answer.status < 400:
            place = self.clean(answer.headers.get("location", "").partition("?")[0])
            elsewhere = f" to {without_user(place)}" if place else ""
            return self.trouble(f"it answers {answer.status}, a redirect{elsewhere}: give that URL")
        todo = advice.get(answer.status)
        return self.trouble(f"it answers {self.said(answer)}" + (f": {todo}" if todo else ""))

    def clean(self, text: str) -> str:
        """Return what somebody else said as a short line without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "…")
        line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"

    async def close(self) -> None:
        """Close what is open."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _session_here(self) -> "ClientSession":
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls, keepalive_timeout=_IDLE),
                timeout=aiohttp.ClientTimeout(total=self._seconds, sock_connect=_CONNECT),
                headers={**self._headers, "Accept-Encoding": "identity"},
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                requote_redirect_url=False,
            )
        return self._session

    def _heed(self, answer: Answer) -> None:
        """Wait as long as the server asks."""
        asked = answer.headers.get("retry-after", "")
        if answer.status in (429, 503) and asked.isascii() and asked.isdigit():
            # More digits than that is for ever anyhow, and Python refuses thousands of them.
            seconds = min(float(asked[:9]), _LONGEST_QUIET)
            self._quiet_until = asyncio.get_running_loop().time() + seconds

    def _reason(self, error: Exception) -> str:
        """Return why there is no answer. What aiohttp says may hold the URL: it is not shown."""
        import aiohttp

        match error:
            case aiohttp.ClientConnectorCertificateError():
                return f"its certificate is not trusted{_why(error)}: " + self._trust_advice()
            case aiohttp.ClientSSLError() if "WRONG_VERSION_NUMBER" in str(error):
                return "no TLS is spoken there: http:// in place of https://?"
            case aiohttp.ClientSSLError():
                return f"no TLS connection comes about{_why(error)}"
            case aiohttp.ClientConnectorDNSError():
                return "no such host is known"
            case aiohttp.ClientConnectorError():
                number = error.os_error.errno
                return (
                    f"no connection: {os.strerror(number) if number else 'none of its addresses'}"
                )
            case aiohttp.ConnectionTimeoutError():
                return f"no connection within {_CONNECT:g} s"
            case TimeoutError():
                return f"no answer within {self._seconds:g} s"
            case aiohttp.ServerDisconnectedError() | ConnectionError():
                return "it closed the connection without an answer"
            case aiohttp.ClientPayloadError():
                return "its answer was cut off"
            case aiohttp.ClientResponseError():
                return "what answers there does not speak HTTP as it should"
        return f"no answer ({type(error).__name__})"

    def _trust_advice(self) -> str:
        ca, insecure = f"--{self.kind}-ca", f"--{self.kind}-insecure"
        return f"name the file of its authority with {ca}, or do without safety with {insecure}"


def _need_aiohttp(kind: str) -> None:
    try:
        import aiohttp  # noqa: F401 - only whether it is there
    except ImportError:
        raise MissingExtra(f"--{kind} needs aiohttp", "http") from None


def _trust(kind: str, values: Mapping[str, Any]) -> ssl.SSLContext:
    """Return how certificates are checked."""
    ca = values["ca"]
    if ca and values["insecure"]:
        raise ValueError(f"--{kind}-ca and --{kind}-insecure exclude each other")
    try:
        context = ssl.create_default_context(cafile=ca or None)
    except ssl.SSLError:
        raise ValueError(f"--{kind}-ca: {ca} holds no certificate in PEM format") from None
    except OSError as error:  # which does not say of what file
        raise OSError(error.errno, error.strerror, ca) from None
    if values["insecure"]:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _forms(secrets: Iterable[str]) -> list[str]:
    """Return secrets in all the forms in which a server may repeat them, the longest first."""
    forms = {
        form
        for secret in secrets
        for form in (secret, quote(secret), quote(secret, safe=""), quote_plus(secret))
        if form.strip("/ ")
    }
    return sorted(forms, key=len, reverse=True)


def _why(error: Exception) -> str:
    """Return in brackets what the TLS library says, as far as that is for people."""
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None)
    text = getattr(cause, "verify_message", None) or getattr(cause, "reason", None)
    return f" ({text})" if text else ""


async def _read(response: "ClientResponse") -> Answer:
    """Read an answer, up to a bound."""
    body = bytearray()
    while len(body) < _READ and (chunk := await response.content.read(_READ - len(body))):
        body += chunk
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status, headers, bytes(body))
