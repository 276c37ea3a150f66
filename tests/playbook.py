"""Conversations as tables: who says what when, and what the session does about it.

A playbook is a list of rows `(when, who, what, *expected)`, read from top to bottom:

- `"device"` or `"cloud"`, the session's peer, says bytes;
- `"clock"`: nothing is said (`what` is None), time has passed;
- `"program"`: whoever runs the session calls it (`what` is a function of session and time).

Behind it stands every action that must come of it, in order, and no other. An expectation names
what matters: `keeps("data", historic=True)`, `sends("data_reply", sequence=[22, 22])`. What is sent
is compared by its bytes, or by its message's name, header and fields.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from inverterproto.families import Family, framings, recognise
from inverterproto.gate import Gate
from inverterproto.reading import Dated
from inverterproto.session import (
    Action,
    Answer,
    Close,
    Held,
    Note,
    Record,
    Send,
    Session,
    undatable,
)
from inverterproto.stream import StreamDecoder


class Expected(NamedTuple):
    """An action that must come: of some type, and with some properties."""

    type: type
    properties: dict[str, Any]

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in self.properties.items())
        return f"{self.type.__name__}({told})"

    def misfit(self, action: Action) -> str:
        """Return what is different, or nothing."""
        if type(action) is not self.type:
            return f"a {type(action).__name__}"
        found = seen(action)
        wrong = [
            f"{name}={found.get(name)!r}"
            for name, value in self.properties.items()
            if found.get(name) != value
        ]
        return ", ".join(wrong)


def seen(action: Action) -> dict[str, Any]:
    """Return the properties of an action; of what is sent or answered, also what it says."""
    found = dict(action._asdict())
    if isinstance(action, Send):
        family = recognise(action.data)
        assert isinstance(family, Family)
        message = family.message(family.framing.parse(action.data))
        found |= {"message": message.name, **family.header(action.data), **message.fields}
    elif isinstance(action, Held):
        found |= action.record._asdict()
    elif isinstance(action, Answer) and action.message is not None:
        found |= {**action.message.fields, "message": action.message.name}
    return found


def keeps(kind: str, **properties: Any) -> Expected:  # noqa: ANN401 - of any kind
    return Expected(Record, {"kind": kind, **properties})


def dates(source: str, time: float | None = None) -> Expected:
    return Expected(Dated, {"source": source, **({} if time is None else {"time": time})})


def sends(what: str | bytes, **properties: Any) -> Expected:  # noqa: ANN401 - of any kind
    return Expected(Send, {"data" if isinstance(what, bytes) else "message": what, **properties})


def answers(key: object, **properties: Any) -> Expected:  # noqa: ANN401 - of any kind
    return Expected(Answer, {"key": key, **properties})


def notes(event: str, **properties: Any) -> Expected:  # noqa: ANN401 - of any kind
    return Expected(Note, {"event": event, **properties})


def holds(meaning: str | None = None, **properties: Any) -> Expected:  # noqa: ANN401 - of any kind
    return Expected(Held, {**({} if meaning is None else {"meaning": meaning}), **properties})


def closes() -> Expected:
    return Expected(Close, {})


class Playbook:
    """Plays rows to a session, and checks what it does."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._stream = StreamDecoder(*framings())

    def __call__(self, *rows: tuple[Any, ...]) -> list[Action]:
        """Play some rows; return all that the session did."""
        done: list[Action] = []
        for number, (when, who, what, *expected) in enumerate(rows):
            actions = list(self._act(when, who, what))
            assert not _misfits(expected, actions), _report(number, rows[number], actions)
            done += actions
        return done

    def _act(
        self, when: float, who: str, what: bytes | Callable[[Any, float], Iterable[Action]] | None
    ) -> Iterable[Action]:
        if who == "clock":
            assert when >= self.session.due, f"not due before {self.session.due}"
            yield from self.session.poll(when)
        elif who == "program":
            assert callable(what)
            yield from what(self.session, when)
        else:
            assert isinstance(what, bytes)
            for item in [*self._stream.feed(what), *self._stream.flush()]:
                yield from self.session.receive(item, when)


class GatePlaybook(Playbook):
    """Plays rows to a gate: both sides are its peers, and a row of `None` ends a side's stream.

    What one row says may be a piece of a frame. A held record is dated at once: that is checked
    here, and stands in no row.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._streams = {who: StreamDecoder(*framings()) for who in ("device", "cloud")}

    def _act(
        self, when: float, who: str, what: bytes | Callable[[Any, float], Iterable[Action]] | None
    ) -> Iterable[Action]:
        stream = self._streams[who]
        assert what is None or isinstance(what, bytes)
        for item in stream.flush() if what is None else stream.feed(what):
            if who == "device":
                self._gate.device_said(item, when)
                continue
            actions = self._gate.cloud_said(item, when)
            dated = [action for action in actions if isinstance(action, Dated)]
            held = [action.record for action in actions if isinstance(action, Held)]
            assert dated == [undatable(record.key, when) for record in held]
            yield from (action for action in actions if not isinstance(action, Dated))

    def hear(self, when: float, what: bytes) -> list[Action]:
        """Return what comes of bytes of the cloud, the last of its stream."""
        return [*self._act(when, "cloud", what), *self._act(when, "cloud", None)]


def _misfits(expected: list[Expected], actions: list[Action]) -> bool:
    return len(expected) != len(actions) or any(
        each.misfit(action) for each, action in zip(expected, actions, strict=True)
    )


def _report(number: int, row: tuple[Any, ...], actions: list[Action]) -> str:
    """Return a row and what came of it, for people."""
    when, who, _, *expected = row
    lines = [f"row {number}: at {when}, {who}"]
    for place in range(max(len(expected), len(actions))):
        want = expected[place] if place < len(expected) else "nothing"
        got = actions[place] if place < len(actions) else None
        misfit = want.misfit(got) if isinstance(want, Expected) and got is not None else "differs"
        lines.append(f"  expected {want!r}")
        lines.append(f"     found {got!r}" + (f"  << {misfit}" if misfit else ""))
    return "\n".join(lines)
