"""The sink that POSTs readings as JSON to a URL: what `readings --json` shows, with a number.

A body is an array of objects, or one object with `single`. What the other side takes is delivered
by its status alone (2xx). The `number` of an entry never changes: who must not count twice what
comes twice after a crash goes by it.
"""

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from inverterproto_cli.sinks.posting import CONNECTION, Answer, Poster, json_bytes
from inverterproto_cli.sinks.sink import (
    Entry,
    RefusedError,
    Setting,
    SinkType,
    Surroundings,
    TroubleError,
)
from inverterproto_cli.sinks.target import Target, basic, parse_target

_JSON = {"Content-Type": "application/json"}
_SINGLY = 5.0  # seconds after which `single` tells how far it is, so that this is kept
_REFUSED = (400, 413, 415, 422)
_ADVICE = {
    401: "check --webhook-authorization-file",
    403: "check --webhook-authorization-file, and whether it may do this",
    404: "check the URL",
    405: "no POST is taken there, check the URL",
    410: "there is no such place any more, check the URL",
    415: "it does not take packed bodies: leave out --webhook-gzip",
}


class WebhookSink:
    """Sends JSON.

    Args:
        poster: sends it.
        url: where to.
        single: whether each entry gets a request of its own.
        packed: whether bodies are packed, which not everybody takes.
    """

    def __init__(self, poster: Poster, url: str, *, single: bool, packed: bool) -> None:
        self._poster = poster
        self._url = url
        self._single = single
        self._packed = packed

    async def deliver(self, entries: Sequence[Entry]) -> int:
        """Send entries in one request, or one by one."""
        if self._single:
            return await self._one_by_one(entries)
        pieces = [json_bytes(entry.to_json()) for entry in entries]
        count, answer = await self._poster.post_most(self._url, pieces, _array, _JSON)
        self._judge(answer, 0 if count == 1 else None)
        return count

    async def test(self, entry: Entry) -> str:
        """Send an entry with `"test": true` in it."""
        piece = json_bytes({"test": True, **entry.to_json()})
        body = piece if self._single else _array([piece])
        answer = await self._poster.post(self._url, body, _JSON)
        self._judge(answer, None)
        return f'an entry with "test": true was answered with {self._poster.said(answer)}'

    async def close(self) -> None:
        """Close the connection."""
        await self._poster.close()

    async def _one_by_one(self, entries: Sequence[Entry]) -> int:
        begun = time.monotonic()
        for place, entry in enumerate(entries):
            try:
                answer = await self._poster.post(self._url, json_bytes(entry.to_json()), _JSON)
                self._judge(answer, place)
            except TroubleError:
                if place:
                    return place
                raise
            if time.monotonic() - begun > _SINGLY:
                return place + 1
        return len(entries)

    def _judge(self, answer: Answer, at: int | None) -> None:
        if 200 <= answer.status < 300:
            return
        if answer.status in _REFUSED and not (answer.status == 415 and self._packed):
            raise RefusedError(f"the webhook refuses it: {self._poster.said(answer)}", at)
        raise self._poster.trouble_of(answer, _ADVICE)


def _array(pieces: Sequence[bytes]) -> bytes:
    return b"[" + b",".join(pieces) + b"]"


_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OURS = ("content-type", "content-length", "content-encoding", "transfer-encoding", "connection")


def _headers(values: Mapping[str, Any], target: Target) -> dict[str, str]:
    """Return the headers that the user sets."""
    headers = {str(name): str(value) for name, value in (values["headers"] or {}).items()}
    for name, value in headers.items():
        if not _HEADER.fullmatch(name) or not value.isprintable() or name.lower() in _OURS:
            raise ValueError(f"headers: {name!r} cannot be set so")
    given = [name for name in headers if name.lower() == "authorization"]
    if values["authorization"]:
        given.append("authorization")
        headers["Authorization"] = values["authorization"].strip()
    if target.user is not None:
        given.append("user in the URL")
        headers["Authorization"] = basic(target.user, target.password or "")
    if len(given) > 1:
        raise ValueError(f"one of these is enough: {', '.join(given)}")
    return headers


def _open(values: Mapping[str, Any], surroundings: Surroundings) -> WebhookSink:
    target = parse_target(values["url"], "--webhook needs a URL such as https://host/path")
    headers = _headers(values, target)
    # Also what follows the scheme: "Bearer SECRET" may come back as SECRET.
    secrets = [part for value in headers.values() for part in (value, value.split(" ")[-1])]
    # In many services' URLs the path is the password.
    secrets += [target.path, *(part for part in target.path.split("/") if len(part) > 5)]
    poster = Poster("webhook", target, headers, secrets, values, surroundings)
    path = target.path or "/"
    return WebhookSink(
        poster, target.url(path), single=bool(values["single"]), packed=bool(values["gzip"])
    )


WEBHOOK = SinkType(
    "webhook",
    "JSON to a URL",
    (
        Setting("url", "POST readings as JSON to this URL.", flag="--webhook", metavar="URL"),
        Setting("single", "Send an object a request, no arrays.", bool, default=False),
        Setting("authorization", "The Authorization header, as it is sent.", secret=True),
        Setting("headers", "Headers of every request.", dict, flag=None, secret=True),
        *CONNECTION,
    ),
    _open,
)
"""JSON by POST."""
