"""The sink of InfluxDB 1 and 2, and of whatever takes their line protocol, as VictoriaMetrics does.

How a reading becomes a line stands in `line_protocol.py`. With a bucket it is written as to
InfluxDB 2 (`/api/v2/write`), else to a database as to InfluxDB 1 (`/write`).

The same point twice is one point, so what is delivered twice does no harm. A batch with a point
that does not fit into the database (a field that is a text there, say) is refused, though the
others of it may be written: then smaller batches are tried, until it is alone. Points older than
the database keeps it drops, says so, and writes the others: that is delivered, trying again does
not make them younger.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from inverterproto_cli.sinks import line_protocol
from inverterproto_cli.sinks.posting import CONNECTION, Answer, Poster
from inverterproto_cli.sinks.sink import Entry, RefusedError, Setting, SinkType, Surroundings
from inverterproto_cli.sinks.target import Target, basic, parse_target

_TOO_OLD = "points beyond retention policy"
TEST_MEASUREMENT = "inverterproto_test"
_PLAIN = {"Content-Type": "text/plain; charset=utf-8"}
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class InfluxSink:
    """Writes points.

    Args:
        poster: sends them.
        url: where to.
        series: measurement and constant tags.
        advice: what to do, by an answer's status.
        surroundings: are told what the database drops.
        create: the request that makes the database (URL, body) and its name, if that is asked for.
    """

    def __init__(
        self,
        poster: Poster,
        url: str,
        series: tuple[str, Mapping[str, object]],
        advice: Mapping[int, str],
        create: tuple[str, bytes, str] | None,
        surroundings: Surroundings,
    ) -> None:
        self._surroundings = surroundings
        self._poster = poster
        self._url = url
        self._measurement, self._tags = series
        self._advice = advice
        self._create = create

    async def deliver(self, entries: Sequence[Entry]) -> int:
        """Write the points of entries; those without a field in them are passed over."""
        made = [line_protocol.line(entry, self._measurement, self._tags) for entry in entries]
        places = [place for place, line in enumerate(made) if line]
        if not places:
            return len(entries)
        count, answer = await self._write([made[place] for place in places])
        if _taken(answer) or self._dropped(answer, count):
            return len(entries) if count == len(places) else places[count]
        raise self._fault(answer, places[0] if count == 1 else None)

    async def test(self, entry: Entry) -> str:
        """Write a point into a measurement of its own."""
        point = line_protocol.line(entry, TEST_MEASUREMENT, self._tags, "test=1.0")
        _, answer = await self._write([point])
        if not _taken(answer):
            raise self._fault(answer, None)
        said = self._poster.said(answer)
        return f"a point in the measurement {TEST_MEASUREMENT} was answered with {said}"

    async def close(self) -> None:
        """Close the connection."""
        await self._poster.close()

    async def _write(self, lines: Sequence[bytes]) -> tuple[int, Answer]:
        count, answer = await self._poster.post_most(self._url, lines, b"\n".join, _PLAIN)
        if answer.status == 404 and self._create is not None:
            await self._make()
            count, answer = await self._poster.post_most(self._url, lines, b"\n".join, _PLAIN)
        return count, answer

    def _dropped(self, answer: Answer, count: int) -> bool:
        """Return whether nothing is wrong but that some points are older than the database keeps.

        The others are written then: a worse fault would be told instead.
        """
        if answer.status not in (400, 422) or _TOO_OLD not in answer.text():
            return False
        dropped = answer.text().rpartition("dropped=")[2].strip()
        text = "it has dropped points that are older than it keeps"
        many = f": {dropped} of {count}" if dropped.isdigit() else ""
        told = self._poster.trouble(text + many)
        self._surroundings.say("influx-too-old", f"sink {self._surroundings.name}: {told}")
        return True

    async def _make(self) -> None:
        """Create the database."""
        assert self._create is not None  # noqa: S101 - asked for only then
        url, body, name = self._create
        answer = await self._poster.post(url, body, _FORM)
        if answer.status != 200:
            raise self._poster.trouble_of(answer, {**self._advice, **_CREATE_ADVICE})
        if error := _error_of(answer):
            reason = self._poster.clean(error)
            raise self._poster.trouble(f"the database {name} cannot be created: {reason}")

    def _fault(self, answer: Answer, at: int | None) -> Exception:
        if answer.status == 200:
            return self._poster.trouble(f"it is no database that answers there: {_ADDRESS}")
        if answer.status in (400, 413, 422) and " is required" not in answer.text():
            return RefusedError(f"the database refuses it: {self._poster.said(answer)}", at)
        return self._poster.trouble_of(answer, self._advice)


def _taken(answer: Answer) -> bool:
    # A page for browsers comes with 200, too: a database has nothing to say then.
    return answer.status == 204 or (answer.status == 200 and not answer.body.strip())


def _error_of(answer: Answer) -> str | None:
    """Return the error that an answer to a query tells of."""
    found = answer.json()
    results = found.get("results")
    for each in (found, *(results if isinstance(results, list) else ())):
        if isinstance(each, dict) and "error" in each:
            return str(each["error"])
    return None


_ADDRESS = "check the URL"
_CREATE_ADVICE = {403: "the user may not create a database: create it as an administrator"}


def _open(values: Mapping[str, Any], surroundings: Surroundings) -> InfluxSink:
    target = parse_target(values["url"], "--influx needs a URL such as http://192.168.1.2:8086")
    tags = dict(values["tags"] or {})
    line_protocol.check_series(values["measurement"], tags)
    if values["bucket"]:
        path, query, headers, secrets, advice = _second(values, target)
    else:
        path, query, headers, secrets, advice = _first(values, target)
    poster = Poster("influx", target, headers, secrets, values, surroundings)
    base = target.path.rstrip("/").removesuffix(path).removesuffix("/write")
    create = None
    if values["create"]:
        if values["bucket"]:
            raise ValueError("--influx-create makes databases, no buckets: `influx bucket create`")
        name = values["database"].replace("\\", "\\\\").replace('"', '\\"')
        body = urlencode({"q": f'CREATE DATABASE "{name}"'}).encode()
        create = target.url(f"{base}/query"), body, values["database"]
    url = target.url(base + path, urlencode({**query, "precision": "ms"}))
    return InfluxSink(poster, url, (values["measurement"], tags), advice, create, surroundings)


_Way = tuple[str, dict[str, str], dict[str, str], list[str], dict[int, str]]
"""Path, query, headers, secrets, advice."""


def _first(values: Mapping[str, Any], target: Target) -> _Way:
    if values["token"] or values["org"]:
        raise ValueError("--influx with a token or organisation needs --influx-bucket")
    if not values["database"]:
        raise ValueError("--influx-database must not be empty")
    user, password = values["user"] or target.user, values["password"] or target.password or ""
    headers: dict[str, str] = {}
    secrets: list[str] = []
    if user:
        headers["Authorization"] = basic(user, password)
        secrets = [password, headers["Authorization"].partition(" ")[2]]
    name = values["database"]
    who = "--influx-user and --influx-password-file"
    advice = {
        401: f"check {who}",
        403: f"check {who}, and whether the user may write to the database {name}",
        404: f"create the database {name} there, or have it created with --influx-create; "
        "if it is there, check the URL",
        405: _ADDRESS,
    }
    return "/write", {"db": name}, headers, secrets, advice


def _second(values: Mapping[str, Any], target: Target) -> _Way:
    if not values["org"]:
        raise ValueError("--influx-bucket needs --influx-org")
    if values["user"] or values["password"] or target.user is not None:
        raise ValueError("--influx-bucket goes with --influx-token-file, not with a user")
    token, bucket = values["token"], values["bucket"]
    headers = {"Authorization": f"Token {token}"} if token else {}
    advice = {
        401: "check --influx-token-file, and whether the token may write to the bucket",
        403: f"the token may not write to the bucket {bucket}: give it that right",
        404: f"check --influx-org and --influx-bucket: is there a bucket {bucket}?",
        405: _ADDRESS,
    }
    query = {"org": values["org"], "bucket": bucket}
    return "/api/v2/write", query, headers, [token or ""], advice


INFLUX = SinkType(
    "influx",
    "InfluxDB 1 and 2, VictoriaMetrics",
    (
        Setting("url", "Write to this database.", flag="--influx", metavar="URL"),
        Setting("database", "The database of InfluxDB 1.", default="inverterproto"),
        Setting("user", "Who writes, with InfluxDB 1."),
        Setting("password", "The user's password.", secret=True),
        Setting("create", "Create the database if it is missing.", bool, default=False),
        Setting("bucket", "The bucket of InfluxDB 2."),
        Setting("org", "The organisation that has the bucket."),
        Setting("token", "The token that may write to the bucket.", secret=True),
        Setting("measurement", "What the points are called.", default="inverter"),
        Setting("tags", "Tags that every point gets.", dict, flag=None),
        *CONNECTION,
    ),
    _open,
    needs_time=True,
    batch=1000,
)
"""Points in InfluxDB's line protocol."""
