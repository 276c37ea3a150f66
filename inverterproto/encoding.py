"""From what `decode` shows back to bytes: `Decoded.to_json()`, edited or not.

Theory of operation
-------------------
An object holds the bytes as they were (`raw`), what they say (`header`, `fields`), and what follows
from that (`name`, `device`, `length`, `readings`, `problems`, the checksum). `raw` is decoded anew,
so that what was edited shows by itself: it is what differs. Without an edit the answer is `raw`.
Else a family's `editing` writes the fields that differ over the payload, and length and checksum
are made right; without `raw` it builds the frame from header and fields alone.

*What follows is no place for edits.* It may be left out, stay as it was, or be already as it will
be (without `raw`, nobody knows what it was: it is passed over). Anything else is an error that
names what to edit instead: the fields from which it is made. Readings and problems go by the
confidence that was asked for, so that of any level is taken. How a reading was dated depends on
other frames and on arrivals: only a time that the device itself told is compared. What one frame
cannot know (`offset`, `at`, `connection`, `input`, `reason`) is passed over, as are keys that are
not known.

*Nothing else changes.* What was built is decoded again: all that was not edited must read as
before, and what was edited must be there.

*Without a frame*, a payload is edited in the same way, in a frame of nobody: its `kind` says what
it is. A bare Modbus message is given back as it was; edits of it are errors.

*Alike* are values that say the same in JSON: 230 is 230.0, which many tools write for it, but true
is not 1. The order of keys does not matter. Edits are not made out of anything alike.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from inverterproto.bare import PayloadMessage, family_of_kind
from inverterproto.decoding import plain
from inverterproto.errors import FieldError, ProtocolError, within
from inverterproto.families import FAMILIES, Family, Message, modbus_parts
from inverterproto.octets import as_bytes
from inverterproto.quantity import LEVELS
from inverterproto.reading import Reading, TimeSource

Json = Mapping[str, Any]


def encode(shown: Json) -> bytes:
    """Return the bytes of an object as `Decoded.to_json` gives it, edited or not.

    Args:
        shown: the object. With `raw`, `header` and `fields` are compared with what that says, and
            what differs is written; either may be left out. Without `raw`, a frame is built from
            `header` and `fields`, and `family` or the header's keys tell of which family.

    Raises:
        FieldError: a value is missing, is not to be edited, or cannot be carried; `field` is its
            path in the object.
        ProtocolError: the object is none, or `raw` is no frame.

    >>> encode({"header": {"control_code": 0x4710, "logger_serial": 2712345678},
    ...         "fields": {"frame_type": 0}}).hex()
    'a50100104700004e1caba1000e15'
    """
    try:
        if not isinstance(shown, Mapping):
            kind = type(shown).__name__
            raise ProtocolError("not an object", expected="one of decode --json", found=kind)
        kind = shown.get("type", "frame")
        if not isinstance(kind, str) or kind not in _ENCODERS:
            raise FieldError("type", "not known", expected=", ".join(_ENCODERS), found=kind)
        return _ENCODERS[kind](shown)
    except RecursionError as error:
        raise ProtocolError("values nested deeper than any frame's") from error


def _encode_unframed(shown: Json) -> bytes:
    """Return the bytes of what is no frame; if what it might say was edited, they become one."""
    raw = _given_raw(shown)
    for key in ("header", "fields"):
        if key in shown:
            expected = "type frame, or a part of tentative"
            raise FieldError(key, "no part of what is unframed", expected=expected, found=key)
    if "length" in shown and not alike(len(raw), shown["length"]):
        raise _follows("length", ("raw",), len(raw), shown["length"])
    tentative = _object(shown, "tentative")
    if tentative is None:
        return raw
    with within("tentative"):
        return _encode_frame(tentative, raw, verify=False)


def _encode_payload(shown: Json) -> bytes:
    """Return the bytes of a payload without a frame: it is edited in a frame of nobody."""
    raw = _given_raw(shown)
    kind = shown.get("kind", f"{shown.get('family')}:{shown.get('name')}")
    if not isinstance(kind, str):
        raise FieldError("kind", "not known", expected="text", found=repr(kind))
    family, name = family_of_kind(kind)
    if not alike(family.name, shown.get("family", family.name)):
        raise _follows("family", ("kind",), family.name, shown["family"])
    try:
        message = PayloadMessage(family, name, raw)
    except FieldError as error:
        raise FieldError("kind", "not known", expected=error.expected, found=kind) from error
    was = _State(family, raw, message)
    now, fields = was, _object(shown, "fields")
    if fields is not None and not alike(was.fields, fields):
        if message.doubts:
            why = f"cannot be edited, as {message.doubts[0]}"
            raise FieldError("fields", why, expected=f"raw of kind {kind}", found=kind)
        edited = {"family": family.name, "fields": fields}
        payload = message.unframed(_encode_frame(edited, message.framed, verify=True))
        now = _State(family, payload, PayloadMessage(family, message.name, payload))
    _check_derived(shown, was, now)
    return now.raw


def _encode_modbus(shown: Json) -> bytes:
    """Return the bytes of a bare Modbus message, which is not to be edited."""
    raw = _given_raw(shown)
    fields = _object(shown, "fields")
    message = next((part.message for part in modbus_parts(raw)), None)
    if fields is None or message is None or message.both:
        return raw  # what may be both a request and a reply was told by what stood before it
    told = plain(message.fields)
    if "address" not in told:
        # What a reply answers stands in the request before it.
        fields = {name: value for name, value in fields.items() if name != "address"}
    for name in {**told, **fields}:
        expected, found = told.get(name, _NOTHING), fields.get(name, _NOTHING)
        if not alike(expected, found):
            why = "cannot be edited in a bare Modbus message: edit raw and leave fields out"
            raise FieldError(f"fields.{name}", why, expected=expected, found=found)
    return raw


_ENCODERS: Mapping[str, Callable[[Json], bytes]] = {
    "frame": lambda shown: _encode_frame(shown, _raw(shown), verify=True),
    "unframed": _encode_unframed,
    "payload": _encode_payload,
    "modbus": _encode_modbus,
}
"""What makes bytes of an object, by its type."""


class _State(NamedTuple):
    """A frame, as it was or as it is now."""

    family: Family
    raw: bytes
    message: Message

    @property
    def header(self) -> dict[str, Any]:
        """Its envelope, checksum and all."""
        return self.family.header(self.raw)

    @property
    def fields(self) -> dict[str, Any]:
        """Its fields as JSON has them."""
        fields: dict[str, Any] = plain(self.message.fields)
        return fields

    def origins(self, key: str, record: int, level: str) -> tuple[str, ...]:
        """Return what makes something that `decode` shows (see the families' `editing`)."""
        message = self.message
        inner = message.inner if isinstance(message, PayloadMessage) else message
        return tuple(self.family.editing.origins(inner, key, record, level))


def _encode_frame(shown: Json, raw: bytes | None, *, verify: bool) -> bytes:
    """Return the bytes of a frame; `verify` says whether the checksum in `raw` must be right."""
    family = _family(shown, raw)
    header, fields = _object(shown, "header"), _object(shown, "fields")
    if raw is None:
        was = None
        name = shown.get("name")
        known = {**family.editing.DEFAULTS, **family.editing.header_of(str(name))}
        fields = fields or {}
    else:
        was = _State(family, raw, family.message(_parse(family, raw, verify=verify)))
        known = was.header
        fields = was.fields if fields is None else fields
    header = {**known, **(header or {})}
    for part in family.editing.PARTS:
        if part not in header:
            raise _missing(f"header.{part}", "a number")
    if was is not None and alike(known, header) and alike(was.fields, fields):
        now = was
    else:
        now = _build(family, header, fields, was)
    for part in header.keys() - now.header.keys():
        expected = ", ".join(now.header)
        raise FieldError(f"header.{part}", "no part of it", expected=expected, found=part)
    if was is not None:
        _check_header(header, was, now)
        _check_derived(shown, was, now)
    return now.raw


def _build(family: Family, header: Json, fields: Json, was: _State | None) -> _State:
    """Return the frame that says header and fields, and of all else what it said before."""
    old = {} if was is None else was.fields
    same = {name for name, value in fields.items() if name in old and alike(old[name], value)}
    if was is not None:
        read_out = same & family.editing.derived(was.message)
        same -= read_out
        fields = {
            name: was.message.fields[name] if name in same else value
            for name, value in fields.items()
            if name not in read_out
        }
    frame = family.editing.build(header, fields, None if was is None else was.message)
    with within("header"):
        raw: bytes = frame.build()
    if family.framing.match(raw, 0, len(raw)) != len(raw):
        raise FieldError(
            "fields", "no frame holds them", expected="a shorter payload", found=f"{len(raw)} bytes"
        )
    now = _State(family, raw, family.message(frame))
    new = now.fields
    for name in fields:
        if name not in new or (name in same and not alike(old[name], new[name])):
            found = new.get(name, "no such field")
            raise FieldError(
                f"fields.{name}",
                "would be read back otherwise",
                expected=plain(fields[name]),
                found=found,
            )
    return now


def _check_header(header: Json, was: _State, now: _State) -> None:
    """Complain of an edit of what is computed."""
    for part in header.keys() - set(now.family.editing.PARTS):
        possible = was.header[part], now.header[part]
        if not any(alike(each, header[part]) for each in possible):
            raise _follows(f"header.{part}", (), possible[1], header[part])


def _check_derived(shown: Json, was: _State, now: _State) -> None:
    """Complain of an edit of what follows from header and fields."""
    states = (was,) if now is was else (was, now)
    told = [
        {
            "name": state.message.name,
            "from": state.message.sender,
            "device": state.message.device,
            "length": len(state.raw),
        }
        for state in states
    ]
    for key, expected in told[-1].items():
        found = shown.get(key, expected)
        if key == "from" and None in (told[0][key], expected):
            continue  # only the capture told it
        if not any(alike(each[key], found) for each in told):
            origins = now.origins(key, 0, LEVELS[-1])
            raise _follows(key, origins, expected, found)
    if "readings" in shown:
        _check_readings(shown["readings"], states)
    if "problems" in shown:
        found = shown["problems"]
        possible = [state.message.find_problems(level) for state in states for level in _LEVELS]
        if not any(alike(problems, found) for problems in possible):
            raise _follows("problems", (), list(possible[0]), found)


_LEVELS = "BCA"
"""The levels of confidence that may have been asked for, the most likely first."""


class _Difference(NamedTuple):
    """An edit of a reading: of what it is, in which record, and what should stand there."""

    path: str
    key: str
    record: int
    expected: object
    found: object


def _check_readings(given: object, states: Iterable[_State]) -> None:
    """Complain of an edited reading, and say which field it is made of."""
    closest: tuple[list[_Difference], _State, str] | None = None
    for state in states:
        for level in _LEVELS:
            differences = list(_differences(given, state.message.readings(level)))
            if not differences:
                return
            if closest is None or len(differences) < len(closest[0]):
                closest = differences, state, level
    assert closest is not None  # noqa: S101 - there is a state, and are levels
    (path, key, record, expected, found), *_ = closest[0]
    origins = closest[1].origins(key, record, closest[2])
    raise _follows(path, origins, expected, found)


def _differences(given: object, readings: list[Reading]) -> Iterator[_Difference]:
    """Yield what is edited in readings, compared with these."""
    if not isinstance(given, list | tuple) or len(given) != len(readings):
        count = len(given) if isinstance(given, list | tuple) else repr(given)
        yield _Difference("readings", "", 0, len(readings), count)
        return
    for record, (shown, reading) in enumerate(zip(given, readings, strict=True)):
        path, told = f"readings[{record}]", reading.to_json()
        if not isinstance(shown, Mapping):
            yield _Difference(path, "", record, "an object", repr(shown))
            continue
        source = shown.get("time_source")
        if source == TimeSource.UNKNOWN:
            told |= {"time": None, "time_source": source}
        elif source != TimeSource.DEVICE:
            told |= {"time": shown.get("time"), "time_source": source}
        values: Any = told.pop("values")
        for name, expected in told.items():
            if not alike(expected, shown.get(name, expected)):
                key = "reading.time" if name == "time_source" else f"reading.{name}"
                yield _Difference(f"{path}.{name}", key, record, expected, shown[name])
        found = shown.get("values", values)
        if not isinstance(found, Mapping):
            yield _Difference(f"{path}.values", "", record, "an object", repr(found))
            continue
        for key in {**values, **found}:
            expected, value = (each.get(key, _NOTHING) for each in (values, found))
            if not alike(expected, value):
                yield _Difference(f"{path}.values.{key}", key, record, expected, value)


_NOTHING = "nothing"


def alike(old: Any, new: Any) -> bool:  # noqa: ANN401 - any JSON values
    """Return whether two values say the same in JSON: 230 is 230.0, but true is not 1."""
    if isinstance(old, bool) or isinstance(new, bool):
        return old is new
    if isinstance(old, Mapping):
        return (
            isinstance(new, Mapping)
            and old.keys() == new.keys()
            and all(alike(value, new[key]) for key, value in old.items())
        )
    if isinstance(old, list | tuple):
        return isinstance(new, list | tuple) and len(old) == len(new) and all(map(alike, old, new))
    return bool(old == new)


def _object(shown: Json, key: str) -> Json | None:
    """Return a part that is an object; None where there is none."""
    part = shown.get(key)
    if part is None and key not in shown:
        return None
    if not isinstance(part, Mapping):
        raise FieldError(key, "not an object", expected="an object", found=repr(part))
    return part


def _raw(shown: Json) -> bytes | None:
    """Return the bytes as they were, if the object tells them."""
    text = shown.get("raw")
    if text is None:
        return None
    try:
        return as_bytes(text)
    except (ValueError, TypeError) as error:
        raise FieldError(
            "raw", "not bytes", expected="hexadecimal text", found=repr(text)
        ) from error


def _given_raw(shown: Json) -> bytes:
    """Return the bytes as they were of what cannot be made without them."""
    raw = _raw(shown)
    if raw is None:
        raise _missing("raw", "the bytes in hexadecimal")
    return raw


def _family(shown: Json, raw: bytes | None) -> Family:
    """Return the family that the object names; or else that its bytes, or its header, tell."""
    name = shown.get("family")
    if name is not None:
        if not isinstance(name, str) or name not in FAMILIES:
            raise FieldError("family", "not known", expected=" or ".join(FAMILIES), found=name)
        return FAMILIES[name]
    header = shown.get("header")
    for family in FAMILIES.values():
        if raw is None:
            if isinstance(header, Mapping) and header.keys() & set(family.editing.PARTS):
                return family
        elif raw[:1] == bytes((family.start,)):
            return family
    raise _missing("family", " or ".join(FAMILIES))


def _parse(family: Family, raw: bytes, *, verify: bool) -> Any:  # noqa: ANN401 - the family's own Frame
    try:
        return family.framing.parse(raw, verify=verify)
    except ProtocolError as error:
        raise ProtocolError(
            f"raw: {error.message}",
            offset=error.offset,
            expected=error.expected,
            found=error.found,
        ) from error


def _missing(path: str, expected: str) -> FieldError:
    return FieldError(path, "is missing", expected=expected, found="none")


def _follows(path: str, origins: tuple[str, ...], expected: object, found: object) -> FieldError:
    """Return the error for an edit of what follows from something else."""
    source = " and ".join(filter(None, (", ".join(origins[:-1]), *origins[-1:])))
    why = f"follows from {source or 'header and fields'}: edit that"
    return FieldError(path, why, expected=expected, found=found)
