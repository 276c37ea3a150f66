"""What a payload says as fields, and fields as a payload: JSON, a table, text, or bytes.

Most payloads are JSON objects (`text.py`), stored records a table (`table.py`). What is neither,
broken JSON above all, is kept whole under one key: `text`, or `raw` in hexadecimal where it is
binary; and a problem says where the JSON breaks. An empty payload has no fields.

Building goes back the same way. Given the payload that the fields were read from, only what
differs is written, so that unchanged fields build to the very same bytes.
"""

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

from inverterproto.alphaess import events
from inverterproto.alphaess.fields import BY_NAME, EVENT_LOG, STORED, to_value
from inverterproto.alphaess.spelling import edit, write
from inverterproto.alphaess.table import COLUMNS, edit_table, scan_table, write_table
from inverterproto.alphaess.text import Document, load, scan
from inverterproto.errors import FieldError, ProtocolError

TEXT = "text"
RAW = "raw"
EMPTY = ("keep_alive",)
"""Messages that ordinarily have no payload."""

_find_binary = re.compile(rb"[^\t\r\n\x20-\x7e\x80-\xff]").search


class Form(Enum):
    """What a payload is."""

    JSON = "JSON"
    TABLE = "table"
    NEITHER = "neither"


class Content(NamedTuple):
    """What a payload says.

    Attributes:
        fields: values by name.
        form: what it is: JSON, a table, or neither.
        problems: what is wrong with it.
        derived: names of those fields that we read out of others.
    """

    fields: dict[str, Any]
    form: Form = Form.NEITHER
    problems: tuple[str, ...] = ()
    derived: frozenset[str] = frozenset()


_NOTHING = Content({})


def read(name: str, payload: bytes) -> Content:
    """Return what the payload of a message, by its name, says; never fails."""
    if not payload:
        expected = name in EMPTY or name == "unknown"
        return Content({}, problems=() if expected else ("empty payload",))
    if name == STORED and not payload.lstrip().startswith(b"{") and not _find_binary(payload):
        table = scan_table(payload)
        return Content(table.fields(), Form.TABLE, table.problems)
    try:
        fields, problems = _read_json(payload)
    except ProtocolError as error:
        return _unread(payload, f"payload: {error}")
    if name != EVENT_LOG:
        return Content(fields, Form.JSON, problems)
    derived, more = events.derive(fields)
    # A key that happens to have one of our names is the payload's.
    added = {key: value for key, value in derived.items() if key not in fields}
    return Content({**fields, **added}, Form.JSON, (*problems, *more), frozenset(added))


def _read_json(payload: bytes) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the typed values of a JSON object by name, and what is odd about it."""
    pairs = load(payload)
    if pairs is None:
        document = scan(payload)
        return _typed(document), document.problems
    fields = {key: to_value(key, value) for key, value in pairs}
    return (fields if len(fields) == len(pairs) else _typed(scan(payload))), ()


def _typed(document: Document) -> dict[str, Any]:
    return {pair.name: to_value(pair.key, pair.value) for pair in document.pairs}


def _unread(payload: bytes, problem: str) -> Content:
    """Return a payload whole."""
    if _find_binary(payload):
        return Content({RAW: payload.hex()}, problems=(problem,))
    try:
        return Content({TEXT: payload.decode()}, problems=(problem,))
    except UnicodeDecodeError:
        problems = (problem, "payload is not UTF-8: read as Latin-1")
        return Content({TEXT: payload.decode("latin-1")}, problems=problems)


def build(
    name: str, fields: Mapping[str, Any], onto: bytes | None = None, *, from_cloud: bool
) -> bytes:
    """Return the payload of a message, by its name, that says `fields`.

    Args:
        name: the message's name.
        fields: all that it shall say.
        onto: the payload to change; what it says already keeps its bytes.
        from_cloud: who sends it: the two write numbers and bools differently.

    Raises:
        FieldError: a value cannot be written.
    """
    content = _NOTHING if onto is None else read(name, onto)
    if name == EVENT_LOG:
        fields = _written(fields, content)
    if onto is not None and content.form is Form.JSON:
        document = scan(onto)
        return edit(document, _typed(document), fields, from_cloud=from_cloud)
    if onto is not None and content.fields == fields:
        return onto
    if onto is not None and content.form is Form.TABLE and COLUMNS in fields:
        return edit_table(scan_table(onto), fields)
    if name == STORED and COLUMNS in fields:
        return write_table(fields)
    if not fields and name in EMPTY:
        return b""
    whole = _whole(fields)
    if whole is not None and read(name, whole).fields == fields:
        return whole
    return write(fields, from_cloud=from_cloud)


def _written(fields: Mapping[str, Any], content: Content) -> dict[str, Any]:
    """Return what is to be written of an event log: not what is read out of its text."""
    derived = events.derive(fields)[0]
    written = {}
    for name, value in fields.items():
        field = BY_NAME.get(name)
        own = name in content.fields and name not in content.derived
        if own or field is None or not field.derived:
            written[name] = value
        elif value != derived.get(name):
            message = "is read out of MsgContent: change that"
            raise FieldError(name, message, expected=derived.get(name), found=value)
    return written


def _whole(fields: Mapping[str, Any]) -> bytes | None:
    """Return the payload that `text` or `raw` is, if that is all there is."""
    if len(fields) != 1:
        return None
    [(name, value)] = fields.items()
    try:
        if name == TEXT:
            return str(value).encode()
        return bytes.fromhex(value) if name == RAW else None
    except (ValueError, TypeError):
        return None  # a key of that name, to be written as JSON
