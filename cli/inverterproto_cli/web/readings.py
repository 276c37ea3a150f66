"""What `/api/readings` and `/api/devices` give: what the commands of these names show, in pieces.

A piece is read with a connection of its own, which is let go of at once; the next one goes on
behind the last record of the one before (`place_of`). So does the next request: `next` is where to
ask for it, with times that stand still, and `after` tells the place.
"""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from time import time
from typing import NamedTuple
from urllib.parse import urlencode

import click

from inverterproto.reading import utc_text
from inverterproto_cli import devices
from inverterproto_cli.local_time import parse_since
from inverterproto_cli.readings import Wanted, to_json
from inverterproto_cli.store import Reader
from inverterproto_cli.store.reader import place_of

LIMIT = 1000
"""Readings in an answer, unless asked for otherwise."""
MOST = 10_000
"""Readings that may be asked for."""
PIECE = 200
"""Records that are read at once."""
_LONGEST = 100
"""Characters of a parameter."""
_YES, _NO = ("", "1", "true", "yes"), ("0", "false", "no")
_match_place = re.compile(r"(-?\d{1,15}(?:\.\d{1,20})?)-(\d{1,18})", re.ASCII).fullmatch


class BadQuestionError(Exception):
    """A parameter cannot be that; the message is for people."""


class Question(NamedTuple):
    """What is asked for.

    Attributes:
        device: only of this one and, if it is a logger, of all that it carries.
        since: only what was measured from then on, in unix seconds.
        until: only what was measured before.
        limit: readings in the answer.
        oldest_first: not the newest first.
        after: only what comes behind the record at this place.
    """

    device: str | None = None
    since: float | None = None
    until: float | None = None
    limit: int = LIMIT
    oldest_first: bool = False
    after: tuple[float, int] | None = None

    def path(self) -> str:
        """Return how to ask for it."""
        after = None if self.after is None else f"{self.after[0]:.9f}-{self.after[1]}"
        told = {
            "device": self.device,
            "since": None if self.since is None else utc_text(self.since),
            "until": None if self.until is None else utc_text(self.until),
            "limit": self.limit,
            "oldest_first": 1 if self.oldest_first else None,
            "after": after,
        }
        query = urlencode({name: value for name, value in told.items() if value is not None})
        return f"/api/readings?{query}"


def question_of(parameters: Mapping[str, str]) -> Question:
    """Return what some parameters ask for.

    Raises:
        BadQuestionError: one is not known, or cannot be that.
    """
    for name, text in parameters.items():
        if name not in Question._fields:
            known = ", ".join(Question._fields)
            raise BadQuestionError(f"there is no parameter {name[:_LONGEST]!r}, only {known}")
        if len(text) > _LONGEST:
            raise BadQuestionError(f"{name}: it is too long")
    now = time()
    return Question(
        parameters.get("device"),
        _time(parameters, "since", now),
        _time(parameters, "until", now),
        _limit(parameters.get("limit")),
        _switch(parameters.get("oldest_first")),
        _place(parameters.get("after")),
    )


def _time(parameters: Mapping[str, str], name: str, now: float) -> float | None:
    text = parameters.get(name)
    if text is None:
        return None
    if "T" in text:
        text = text.replace(" ", "+")  # which means a space in an address
    try:
        found = parse_since(text, now)
        utc_text(found)
    except click.BadParameter as error:
        raise BadQuestionError(f"{name}: {error.message}") from error
    except (ValueError, OverflowError, OSError) as error:
        raise BadQuestionError(f"{name}: {text!r} is too long ago, or too late") from error
    return found


def _limit(text: str | None) -> int:
    if text is None:
        return LIMIT
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise BadQuestionError(f"limit: {text!r} is no number from 1 to {MOST}")
    return int(text)


def _switch(text: str | None) -> bool:
    if text is not None and text.lower() not in (*_YES, *_NO):
        raise BadQuestionError(f"oldest_first: {text!r} is neither true nor false")
    return text is not None and text.lower() in _YES


def _place(text: str | None) -> tuple[float, int] | None:
    if text is None:
        return None
    found = _match_place(text)
    if found is None or not math.isfinite(float(found[1])):
        raise BadQuestionError(f"after: {text!r} is no place that an answer told")
    return float(found[1]), int(found[2])


class Piece(NamedTuple):
    """Some readings.

    Attributes:
        texts: each as JSON.
        place: of the last record that was read for them.
        ended: whether there are no more.
    """

    texts: list[str]
    place: tuple[float, int] | None
    ended: bool


def read_piece(path: Path, question: Question) -> Piece:
    """Return the next readings.

    Args:
        path: of the store.
        question: what is asked for; no more records are read than it wants readings.

    Raises:
        StoreError, sqlite3.Error, OSError: the store cannot be read.
    """
    place, count = question.after, 0
    texts: list[str] = []
    most = min(question.limit, PIECE)
    wanted = Wanted("B", (), everything=True)
    with Reader(path) as reader:
        records = reader.newest(
            question.device,
            question.since,
            question.until,
            oldest_first=question.oldest_first,
            behind=question.after,
        )
        for kept in records:
            if count == most:
                return Piece(texts, place, ended=False)
            count += 1
            place = place_of(kept)
            texts += (json.dumps(to_json(*found)) for found in wanted.found([kept]))
    return Piece(texts, place, ended=True)


def all_devices(path: Path) -> list[dict[str, object]]:
    """Return all devices that were seen.

    Raises:
        StoreError, sqlite3.Error, OSError: the store cannot be read.
    """
    with Reader(path) as reader:
        return [devices.to_json(device, known) for device, known in devices.listed(reader)]
