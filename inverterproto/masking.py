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
- the password in a URL.

It masks too much rather than too little: to the end of the line where no quotation mark ends it
sooner. A credential without a name is not found.

*Borders.* A long run comes in pieces, and damage divides one: a credential may begin in one piece
and end in the next. `RunMasker` looks at each with the end of the one before, and goes on masking
where that one ended inside a credential.

*Cost.* Each pattern begins with fixed words and repeats only what it cannot give back: linear. It
is tried only where such a word is there, for looking for words is a hundred times as fast.
"""

import re

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


def mask_text(raw: bytes) -> bytes:
    """Return bytes with what looks like a credential masked by as many `*`."""
    lower = raw.lower()
    for words, pattern in _CREDENTIALS:
        if any(word in lower for word in words):
            raw = pattern.sub(_mask, raw)
    return raw


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
