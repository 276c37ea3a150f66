"""Credentials in bytes that no declaration takes apart: found by how they look, and masked.

What is kept for ever must not hold what opens a door. Fields that are declared to be passwords are
masked where they are declared; this is for the rest: text of a logger's modem, messages and bytes
that nobody knows. It works on bytes as they come, text or not, and keeps every length.

*What looks like a credential:*

- what an AT command sets whose name speaks of keys, passwords or users (`AT+WSKEY=…`, `AT+WEBU=…`);
- what a modem answers (`+ok=…`): only the question would tell whether it is one, and
  `+ok=admin,admin` is one;
- the third of authentication, cipher and key, as in `WPA2PSK,AES,…`;
- what has a name that speaks of passwords or tokens, in JSON, forms, headers, XML or plain text;
- the password in a URL;
- below a header line of a table (CSV), the cells of a column with such a name.

It masks too much rather than too little: to the end of the line where no quotation mark ends it
sooner. A credential without a name is not found. Text of two bytes a character (UTF-16) is looked
at as what it says, as far as its characters are Latin ones.

*Borders.* A long run comes in pieces, and damage divides one: a credential may begin in one piece
and end in the next. `RunMasker` looks at each with the end of the one before, and goes on masking
where that one ended inside a credential.

*Cost.* Each pattern begins with fixed words and repeats only what it cannot give back: linear. It
is tried only where such a word is there, for looking for words is a hundred times as fast.
"""

import re

from inverterproto.private import Private, told_by_name

_NAME = (
    rb"(?:passw(?:or)?d|passphrase|passwort|pass(?=\W{0,4}[:=]|>)|pwd|psk|secret|token|credential"
    rb"|authori[sz]ation|cookie"
    rb"|(?:api|wifi|wlan|access|private|auth|session)[_-]?key)[\w-]{0,24}"
)
_LINE = rb"(?P<value>[^\x00-\x1f\x7f]+)"
"""The rest of a line."""
_SEPARATOR = rb"\s{0,4}[:=]\s{0,4}"
_BEFORE = 96
"""So many bytes hold what tells that a credential follows."""

_NAMED = (
    b"pass", b"pwd", b"psk", b"secret", b"token", b"credential", b"authori", b"cookie", b"key",
)  # fmt: skip
"""What a name that speaks of passwords or tokens holds, at the least."""

_CREDENTIALS = tuple(
    (words, re.compile(pattern, re.IGNORECASE | re.DOTALL))
    for words, pattern in (
        (
            (b"at+",),
            rb"AT\+[A-Z]{0,12}(?:KEY|PSK|PWD|PSW|PASS|WEBU|ASWD|TOKEN|SECRET)[A-Z]{0,12}=" + _LINE,
        ),
        ((b"+ok=",), rb"\+ok=" + _LINE),
        (
            (b"wpa", b"wep", b"shared", b"open"),
            rb"(?:WPA[\w/-]{0,16}|WEP[\w-]{0,8}|SHARED|OPEN)\s?,\s?"
            rb"(?:TKIPAES|TKIP|AES|CCMP|WEP-?[AH]?|NONE)\s?," + _LINE,
        ),
        # Between quotation marks, perhaps escaped ones; then a bare JSON value.
        (
            _NAMED,
            _NAME
            + rb"""\\?["']"""
            + _SEPARATOR
            + rb"""\\?(?P<mark>["'])(?P<value>(?:(?!(?P=mark))[^\\\x00-\x1f]|\\.)+)""",
        ),
        (
            _NAMED,
            _NAME + rb"""["']""" + _SEPARATOR + rb"""(?P<value>[^\s"',\]}\\][^,\]}\x00-\x1f]*)""",
        ),
        (_NAMED, _NAME + _SEPARATOR + rb"(?P<value>[^&\x00-\x1f\x7f]+)"),
        (_NAMED, _NAME + rb">(?P<value>[^<\x00-\x1f]+)"),
        # At the end of a run nobody knows what follows.
        ((b"://",), rb"://[^\s/@:]{0,256}:(?P<value>[^\s/@]{1,256})(?:@|\Z)"),
    )
)


_WIDE = re.compile(rb"(?:[^\0]\0){8,}+[^\0]?")
"""Text of two bytes a character, whichever comes first."""
_LINE_END = re.compile(rb"([\r\n]+)")
_CELL_END = re.compile(rb"([,;\t|])")
_LONGEST_NAME = 64
_match_name = re.compile(rb"""[ "']*([\w .-]+)[ "']*""").fullmatch


def has_name(lower: bytes) -> bool:
    """Return whether bytes, in small letters, hold what each name of a credential holds."""
    return any(word in lower for word in _NAMED)


def mask_text(raw: bytes) -> bytes:
    """Return bytes with what looks like a credential masked by as many `*`."""
    lower = raw.lower()
    for words, pattern in _CREDENTIALS:
        if any(word in lower for word in words):
            raw = pattern.sub(_mask, raw)
    if has_name(lower):
        raw = _mask_columns(raw)
    return _WIDE.sub(_mask_wide, raw) if b"\0" in raw else raw


def _mask_columns(raw: bytes) -> bytes:
    """Return bytes with those columns masked that a header line above them calls a credential."""
    lines = _LINE_END.split(raw)
    hidden: list[int] = []
    width = 0
    for at in range(0, len(lines), 2):
        cells = _CELL_END.split(lines[at])[::2]
        names = [number for number, cell in enumerate(cells) if _is_name(cell)]
        if len(cells) > 1 and not set(names) <= set(hidden):  # else they may be the credentials
            hidden, width = names, len(cells)
        elif hidden:
            lines[at] = _mask_cells(lines[at], hidden, width)
    return b"".join(lines)


def _mask_cells(line: bytes, hidden: list[int], width: int) -> bytes:
    """Return a table's line with some cells masked."""
    parts = _CELL_END.split(line)
    if len(parts) // 2 >= width:
        hidden = [*range(hidden[0], len(parts) // 2 + 1)]  # nobody knows which cell is divided
    for number in hidden:
        if 2 * number < len(parts):
            parts[2 * number] = b"*" * len(parts[2 * number])
    return b"".join(parts)


def _is_name(cell: bytes) -> bool:
    """Return whether a cell is the name of a credential, and nothing else."""
    found = _match_name(cell) if len(cell) <= _LONGEST_NAME else None
    return found is not None and told_by_name(found[1].decode("latin-1")) is Private.PASSWORD


def _mask_wide(found: re.Match[bytes]) -> bytes:
    text = bytearray(found[0])
    text[::2] = mask_text(found[0][::2])
    return bytes(text)


class RunMasker:
    """Masks the unframed runs of one stream, in their order."""

    __slots__ = ("_before", "_end")

    def __init__(self) -> None:
        self._before = b""  # the end of the last run, as far as it may matter
        self._end = 0  # its offset

    def mask(self, offset: int, raw: bytes) -> bytes:
        """Return the run at an offset with what looks like a credential masked; as many bytes."""
        before = self._before if offset == self._end else b""
        whole = before + raw
        masked = mask_text(whole)
        open_at = len(masked.rstrip(b"*"))
        if open_at < len(masked):
            self._before = whole[max(0, open_at - _BEFORE) : open_at] + b"*"
        else:
            self._before = whole[-_BEFORE:]
        self._end = offset + len(raw)
        return masked[len(before) :]


def _mask(found: re.Match[bytes]) -> bytes:
    start, end = found.span("value")
    whole, begin = found[0], found.start()
    return whole[: start - begin] + b"*" * (end - start) + whole[end - begin :]
