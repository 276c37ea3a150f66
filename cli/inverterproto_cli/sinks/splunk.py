"""The sink of Splunk: its HTTP Event Collector (HEC).

A body is JSON objects, one after the other. Splunk takes them in order up to the first that it
cannot read, and tells which that was, counted from 0: those before it are indexed. It has no memory
of what it indexed: what comes twice (after a crash, after a lost answer) is there twice, with the
same `device` and `number`.

*Success* means that Splunk has the events, in memory. With `acknowledge` they are delivered when
its indexer says that they are on disk: a channel of our own, and asking for the answer's `ackId`
until it is acknowledged. Whether the token can do that is asked before the first event: Splunk
takes events that it will never acknowledge, and they would come again and again. An indexer may
take longer than a batch may: then the same batch, when it is tried again, is not sent again, but
asked for on.
"""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from inverterproto.reading import utc_text
from inverterproto_cli.sinks.posting import CONNECTION, Answer, Poster, json_bytes
from inverterproto_cli.sinks.sink import (
    Entry,
    Identity,
    RefusedError,
    Setting,
    SinkType,
    Surroundings,
    TooSlowError,
    TroubleError,
)
from inverterproto_cli.sinks.target import Target, parse_target

PORT = 8088
_PATH = "/services/collector/event"
_JSON = {"Content-Type": "application/json"}
_ASK_FIRST, _ASK_LAST = 0.25, 5.0  # seconds between questions for an acknowledgement
_AT_ONCE = 25.0  # seconds of asking before the batch is given back, to be asked for again

_REFUSED = {5, 6, 12, 13, 15}
"""Codes of answers that tell of an event: no data, invalid format, event missing, blank, fields."""
_DISABLED = 14
_TOKEN = "check the token (INVERTERPROTO_SPLUNK_TOKEN or --splunk-token-file)"  # noqa: S105 - advice
_ADVICE = {
    1: "the token is disabled there: enable it, or give another",
    2: _TOKEN,
    3: _TOKEN,
    4: _TOKEN,
    7: "set --splunk-index to an index that this token may write to, or leave it out",
    8: "Splunk has trouble of its own",
    9: "Splunk is busy",
    10: "this token wants acknowledgement: set --splunk-acknowledge",
    11: "this token wants acknowledgement: set --splunk-acknowledge",
    _DISABLED: "enable indexer acknowledgement for this token, or leave out --splunk-acknowledge",
}
"""What to do, by the code of an answer."""
_STATUS_ADVICE = {
    401: _TOKEN,
    403: _TOKEN,
    404: f"check the URL; Splunk's ends in {_PATH}, and HEC must be enabled",
    405: f"check the URL; Splunk's ends in {_PATH}",
}


def event(entry: Entry, identity: Identity) -> dict[str, object]:
    """Return what Splunk shows of an entry: flat, quantities by their keys, no nulls."""
    reading = entry.reading
    told: dict[str, object] = {
        "device": identity.serial,
        "via": reading.via or identity.via,
        "family": reading.family,
        "kind": reading.kind,
        "device_type": identity.kind,
        "manufacturer": identity.manufacturer,
        "model": identity.model,
        "firmware": identity.firmware,
        "time": None if reading.time is None else utc_text(reading.time),
        "time_source": str(reading.time_source),
        "historic": reading.historic,
        "arrival": utc_text(entry.arrival),
        "answered": entry.answered,
        "number": entry.number,
    }
    fields = {"fields": dict(entry.fields)} if entry.fields else {}
    known = {key: value for key, value in told.items() if value is not None}
    return {**reading.values, **known, **fields}


class SplunkSink:
    """Sends events.

    Args:
        poster: sends them.
        url: where to.
        envelope: what stands around each: host, source, sourcetype, and the index if it is set.
        surroundings: know the devices.
        acknowledging: where and how long to ask for acknowledgement, if that is wanted.
    """

    def __init__(
        self,
        poster: Poster,
        url: str,
        envelope: Mapping[str, str],
        surroundings: Surroundings,
        acknowledging: tuple[str, float] | None,
    ) -> None:
        self._poster = poster
        self._url = url
        self._envelope = dict(envelope)
        self._surroundings = surroundings
        self._acknowledging = acknowledging
        self._asked = False
        self._taken: tuple[tuple[Entry, ...], int, float] | None = None  # batch, ackId, until when
        channel = {"X-Splunk-Request-Channel": str(uuid4())} if acknowledging else {}
        self._headers = {**_JSON, **channel}

    async def deliver(self, entries: Sequence[Entry]) -> int:
        """Send as many entries as one body may hold."""
        if self._acknowledging is None:
            return (await self._send([self._object(entry, {}) for entry in entries]))[0]
        if self._taken is None or tuple(entries[: len(self._taken[0])]) != self._taken[0]:
            await self._ask_first()
            count, answer = await self._send([self._object(entry, {}) for entry in entries])
            self._taken = tuple(entries[:count]), *self._awaited(answer)
        sent, number, until = self._taken
        await self._acknowledged(number, until)
        self._taken = None
        return len(sent)

    async def test(self, entry: Entry) -> str:
        """Send an event that has `"test": true`."""
        await self._ask_first()
        _, answer = await self._send([self._object(entry, {"test": True})])
        if self._acknowledging:
            await self._acknowledged(*self._awaited(answer))
        indexed = ", and the indexer acknowledged it" if self._acknowledging else ""
        return f'an event with "test": true was answered with {self._poster.said(answer)}{indexed}'

    async def close(self) -> None:
        """Close the connection."""
        await self._poster.close()

    def _object(self, entry: Entry, mark: dict[str, object]) -> bytes:
        time = entry.reading.time
        when = {} if time is None else {"time": round(time, 3)}
        told = event(entry, self._surroundings.identity(entry.reading))
        return json_bytes({**when, **self._envelope, "event": {**mark, **told}})

    async def _send(self, objects: Sequence[bytes]) -> tuple[int, Answer]:
        count, answer = await self._poster.post_most(self._url, objects, b"\n".join, self._headers)
        if answer.status != 200 or _code(answer) != 0:
            raise self._fault(answer, count)
        return count, answer

    def _fault(self, answer: Answer, count: int) -> Exception:
        if answer.status == 413 or (answer.status == 400 and _code(answer) in _REFUSED):
            told = answer.json().get("invalid-event-number")
            at = 0 if count == 1 else _place(told, count)
            if self._acknowledging and at:
                at = None  # those before it are taken, not acknowledged
            return RefusedError(f"Splunk refuses it: {self._poster.said(answer)}", at)
        if answer.status == 200:
            return self._poster.trouble(
                f"it does not answer as Splunk's HEC: {_STATUS_ADVICE[404]}"
            )
        return self._trouble(answer)

    def _trouble(self, answer: Answer) -> Exception:
        code = _code(answer)
        advice = None if code is None else _ADVICE.get(code)
        by_status = {answer.status: advice} if advice else _STATUS_ADVICE
        return self._poster.trouble_of(answer, by_status)

    async def _ask_first(self) -> None:
        """See once whether the token can acknowledge, if that is wanted."""
        if self._acknowledging and not self._asked:
            await self._ask(0)
            self._asked = True

    def _awaited(self, answer: Answer) -> tuple[int, float]:
        """Return what to ask for, and until when."""
        assert self._acknowledging is not None  # noqa: S101 - asked for only then
        number = _integer(answer.json().get("ackId"))
        if number is None:
            raise self._poster.trouble(f"Splunk gave no ackId: {_ADVICE[_DISABLED]}")
        return number, asyncio.get_running_loop().time() + self._acknowledging[1]

    async def _acknowledged(self, number: int, until: float) -> None:
        """Wait until the indexer acknowledges."""
        ticks = asyncio.get_running_loop().time
        pause, pausing_until = _ASK_FIRST, min(until, ticks() + _AT_ONCE)
        while not await self._ask(number):
            if ticks() >= until:
                self._taken = None
                raise self._poster.trouble(
                    "the indexer does not acknowledge, the events are sent again; has it room?"
                )
            if ticks() >= pausing_until:
                raise self._poster.trouble("the indexer has not acknowledged yet")
            await asyncio.sleep(max(0.0, min(pause, pausing_until - ticks())))
            pause = min(2 * pause, _ASK_LAST)

    async def _ask(self, number: int) -> bool:
        """Return whether something is acknowledged."""
        assert self._acknowledging is not None  # noqa: S101 - asked for only then
        body = json_bytes({"acks": [number]})
        try:
            answer = await self._poster.post(self._acknowledging[0], body, self._headers)
        except TooSlowError as error:
            # The batch is there already: a smaller one would be sent anew.
            raise TroubleError(str(error)) from None
        acks = answer.json().get("acks")
        if answer.status != 200 or not isinstance(acks, dict):
            raise self._trouble(answer)
        return acks.get(str(number)) is True


def _code(answer: Answer) -> int | None:
    return _integer(answer.json().get("code"))


def _integer(told: object) -> int | None:
    return told if isinstance(told, int) and not isinstance(told, bool) else None


def _place(told: object, count: int) -> int | None:
    """Return which event is told, if it can be that."""
    place = _integer(told)
    return place if place is not None and 0 <= place < count else None


def _target(text: str) -> Target:
    """Return where HEC is: of a host alone, at its ordinary port and path, with TLS."""
    hint = "--splunk needs a URL such as https://splunk.example:8088, or a host"
    if "://" not in text:
        text = f"https://{text}"
        try:
            parts = urlsplit(text)
            bare = parts.port is None and not parts.path.strip("/")
        except ValueError:
            raise ValueError(hint) from None
        text = f"{text.rstrip('/')}:{PORT}" if bare else text
    target = parse_target(text, hint)
    if target.user is not None:
        raise ValueError(
            "--splunk: leave user and password out of the URL; set --splunk-token-file"
        )
    path = target.path.rstrip("/") or _PATH
    if path.endswith("/collector/raw"):
        raise ValueError(f"--splunk: the URL of events ends in {_PATH}")
    return Target(target.origin, path, target.query)


def _open(values: Mapping[str, Any], surroundings: Surroundings) -> SplunkSink:
    target = _target(values["url"])
    token = (values["token"] or "").strip()
    if not token:
        raise ValueError(
            "--splunk needs a token: set INVERTERPROTO_SPLUNK_TOKEN or --splunk-token-file"
        )
    token = token.removeprefix("Splunk ")
    headers = {"Authorization": f"Splunk {token}"}
    poster = Poster("splunk", target, headers, [token], values, surroundings)
    wanted = {key: values[key] for key in ("host", "source", "sourcetype", "index")}
    wanted["host"] = wanted["host"] or socket.gethostname()
    envelope = {key: value for key, value in wanted.items() if value}
    acknowledging = None
    if values["acknowledge"]:
        before, collector, _ = target.path.rpartition("/collector")
        if not collector:
            raise ValueError(f"--splunk-acknowledge needs a URL that ends in {_PATH}")
        acknowledging = target.url(f"{before}/collector/ack"), float(values["acknowledge-within"])
    return SplunkSink(poster, target.url(target.path), envelope, surroundings, acknowledging)


SPLUNK = SinkType(
    "splunk",
    "Splunk's HTTP Event Collector",
    (
        Setting(
            "url",
            "Send events to this HTTP Event Collector.",
            flag="--splunk",
            environment=("INVERTERPROTO_SPLUNK_HEC_URL", "DEYE_SPLUNK_HEC_URL"),
            metavar="URL",
        ),
        Setting(
            "token",
            "Its token.",
            environment=("INVERTERPROTO_SPLUNK_HEC_TOKEN", "DEYE_SPLUNK_HEC_TOKEN"),
            secret=True,
        ),
        Setting("index", "The index, if it is not the token's own."),
        Setting("source", "What events have as their source.", default="inverterproto"),
        Setting("sourcetype", "What events have as their source type.", default="inverterproto"),
        Setting("host", "What events have as their host, if it is not this machine's name."),
        Setting("acknowledge", "Wait until they are on the indexer's disk.", bool, default=False),
        Setting("acknowledge-within", "Seconds that this may take.", float, 300.0, flag=None),
        *CONNECTION,
    ),
    _open,
    needs_time=True,
)
"""Events for Splunk."""
