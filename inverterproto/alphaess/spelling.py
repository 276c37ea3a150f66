"""How values are written as JSON: over old ones in the form that those had, or anew.

Written over a string, numbers and bools become strings: `"1250"` → `"1300"`, `"false"` → `"true"`;
over a JSON number or bool they stay bare. Written anew they take the form that the sender uses:
devices write numbers and bools as strings (`"4.6"`, `"False"`), the cloud numbers as strings and
bools as JSON (source: V's and D's configurations). Whatever the schema does not know is plain
JSON, so that reading it back gives the same value. All that is written is ASCII.
"""

import json
from collections.abc import Mapping
from typing import Any

from inverterproto.alphaess.fields import BY_NAME, GREATEST, Kind
from inverterproto.alphaess.text import Document, Names
from inverterproto.errors import FieldError


def is_same(old: Any, new: Any) -> bool:  # noqa: ANN401 - any JSON values
    """Return whether two values say the same; a bool is no number, but 1 is 1.0."""
    if isinstance(old, list | dict):
        return repr(old) == repr(new)
    return isinstance(old, bool) == isinstance(new, bool) and bool(old == new)


def plain(name: str, value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Return a value as JSON.

    Raises:
        FieldError: it cannot be written, or could not be read back.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and not -GREATEST <= value <= GREATEST:
        expected = f"{-GREATEST} to {GREATEST}"
        raise FieldError(name, "out of range", expected=expected, found=value)
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
        if isinstance(value, str):
            value.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise FieldError(
            name, "cannot be written", expected="JSON", found=type(value).__name__
        ) from error
    return text


def over(name: str, value: Any, token: str) -> str:  # noqa: ANN401 - any JSON value
    """Return a value in the form of the JSON token that it replaces."""
    text = plain(name, value)
    if not token.startswith('"') or not isinstance(value, int | float):
        return text
    if isinstance(value, bool) and token not in ('"false"', '"true"'):
        text = text.capitalize()
    return f'"{text}"'


def anew(name: str, value: Any, *, from_cloud: bool) -> str:  # noqa: ANN401 - any JSON value
    """Return a value in the form that the sender uses for its key."""
    text = plain(name, value)
    field = BY_NAME.get(name)
    if field is None or not isinstance(value, int | float):
        return text
    if isinstance(value, bool):
        quoted = field.kind is Kind.BOOL and not from_cloud
        return f'"{text.capitalize()}"' if quoted else text
    quoted = field.kind is Kind.NUMBER and not (from_cloud and field.bare)
    return f'"{text}"' if quoted else text


def edit(
    document: Document, old: Mapping[str, Any], new: Mapping[str, Any], *, from_cloud: bool
) -> bytes:
    """Return a payload changed to say `new`; what is the same keeps its bytes.

    Args:
        document: the payload as it is.
        old: what its names mean now.
        new: what they shall mean. What `old` lacks is put behind; what `new` lacks is left out.
        from_cloud: who sends it.

    Raises:
        FieldError: a value cannot be written.
    """
    text = document.payload.decode("latin-1")
    names = Names()
    pieces = [text[: document.inside]]
    end = document.inside
    for pair in document.pairs:
        gap, end, begun = text[end : pair.start], pair.end, len(pieces) > 1
        if pair.name not in new:
            continue
        value, token = new[pair.name], text[pair.value_start : pair.end]
        kept = is_same(old[pair.name], value)
        if begun:
            pieces.append(gap)
        pieces.append(text[pair.start : pair.value_start])
        pieces.append(token if kept else over(pair.name, value, token))
        names.give(pair.key)
    for name, value in new.items():
        if name not in old:
            if len(pieces) > 1:
                pieces.append(",")
            pieces.append(_pair(names, name, value, from_cloud=from_cloud))
    pieces.append(text[end:])
    return "".join(pieces).encode("latin-1")


def write(values: Mapping[str, Any], *, from_cloud: bool) -> bytes:
    """Return a payload, compact JSON, that says `values`."""
    names = Names()
    pairs = [_pair(names, name, value, from_cloud=from_cloud) for name, value in values.items()]
    return f"{{{','.join(pairs)}}}".encode("ascii")


def _pair(names: Names, name: str, value: Any, *, from_cloud: bool) -> str:  # noqa: ANN401 - any JSON value
    if not isinstance(name, str):
        raise FieldError(repr(name), "not a name", expected="text", found=type(name).__name__)
    key = names.key_of(name)
    return f"{plain(name, key)}:{anew(key, value, from_cloud=from_cloud)}"
