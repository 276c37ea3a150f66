"""Bytes made fit to be shown: what is private replaced or blanked, all else as it was.

Theory of operation
-------------------
A `Redactor` takes items (frames and unframed bytes, see `stream.py`) and gives bytes of the same
length. What is private is only in the declarations: a message's `rows` put every field in its
place, and `Field.private` says which kind of secret it holds. There is no list of ours here.

*Declared secrets.* Serials, MAC and IP addresses, network names and SIM numbers get stand-ins
(`standin.py`): the same secret the same one, all through the input, of the same length and kind.
Passwords, licences, postal addresses, phones and names of users are blanked with `*`. A serial
with a number behind it (`2301234567-1`) is that serial, and keeps the number.

*The same elsewhere.* Every secret once seen is looked for in all other bytes, in all its spellings
(`sought.py`). Who can read the input twice calls `learn` with every item first, then `redact`, and
finds it also where it stood earlier. Of a stream, `redact` alone knows only what it has seen.
Neighbours of unframed bytes are looked at with them, so that a secret may lie across a border.

*What nobody declared.* Unknown keys whose name tells what they hold are as good as declared. Else
printable runs in fields of unknown meaning, in free text and in unframed bytes are blanked, unless
`keep_unknown` is given: then only what stands behind a word such as `KEY=`. Of text that is or was
JSON the punctuation stays.

*Still the same message.* Lengths stay, the frame's checksum and that of Modbus inside it are made
right; a frame with a wrong checksum gets another wrong one, which tells nothing. So it decodes as
it did, with its other values.

*Bounds.* Linear; 20,000 secrets are remembered, and later ones still replaced where they are
declared. `unjudged` counts what could not be looked for.

What it cannot hide
-------------------
Measurements and times: who knows when the sun shone on your roof, or what your meter showed, may
recognise you. Secrets in unknown fields that are no text (a serial as a number, a position) unless
they also stand where they are declared. Text that is encoded (UTF-16, base64, percent signs,
compressed), what is encrypted, a secret of less than four characters elsewhere than in its place.
Models, firmware versions, settings and the kinds of messages are shown as they are: they are what
such a dump is for.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from inverterproto.checksum import crc16_modbus
from inverterproto.jsontext import (
    SHORT_TEXT,
    blank_value,
    has_escapes,
    ones,
    respelled,
    split_escapes,
    unescaped,
)
from inverterproto.octets import Octets
from inverterproto.private import BLANKED, Private
from inverterproto.sought import BINARY, FREE, LONGEST, Found, Sought
from inverterproto.standin import StandIns, blank, has_stand_in
from inverterproto.stream import Item
from inverterproto.view import Secret, View

if TYPE_CHECKING:
    from inverterproto.layout import Row

UNKNOWN = "unknown text"
"""What `Redactor.replaced` calls blanked runs that no declaration names."""
AROUND = LONGEST
"""So many bytes of its neighbours are enough for `Redactor.redact`."""
_NUMBER = 4
"""Bytes of a serial that is a number; others get no stand-in."""

_PRINTABLE = (
    rb"[\x20-\x7e]|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
_RUN = re.compile(rb"(?:" + _PRINTABLE + rb")++")
_CREDENTIAL = re.compile(
    rb"(?i:key|pass|pwd|secret|token|ssid)[A-Za-z_]{0,16}[\"']?\s{0,4}[=:]\s{0,4}"
    rb'(?:"([^"\r\n\0]++)|([^"\r\n\0][^\r\n\0]*+))'
)
_match_verb = re.compile(rb"AT\+[A-Z]{1,16}|\+(?:ok|ERR)").match
_WORD = re.compile(rb'(?<=")([A-Za-z][A-Za-z0-9_.]*+)(?=")')
_KEPT = frozenset(b'{}[]":,')
_NESTED_ID = re.compile(rb"(.{4,})([-_/][0-9]{1,2})", re.DOTALL)
_IP = re.compile(r"(?<![0-9.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9.])")
_LONG_NUMBER = re.compile(rb"[0-9]{6,}")
_tells_host = re.compile(r"[^\W\d_]|[0-9]{6}").search
_TOO_MANY = "secrets too short, too long or too many to be looked for"
_IP6 = re.compile(r"(?<=\[)[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(?=\])")


class Redactor:
    """Redacts the items of one input, whatever streams it has.

    Args:
        key: makes the stand-ins; whoever has it can turn them back, so it is thrown away, or kept
            as a secret by who wants the same stand-ins tomorrow.
        keep_unknown: leave text of unknown meaning as it is, but for secrets seen elsewhere.

    Attributes:
        replaced: how many places of which kind were replaced or blanked.
        unjudged: what could not be judged or looked for, and how much of it there was.
    """

    def __init__(self, key: bytes, *, keep_unknown: bool = False) -> None:
        self.keep_unknown = keep_unknown
        self.replaced: Counter[str] = Counter()
        self.unjudged: Counter[str] = Counter()
        self._stand_ins = StandIns(key)
        self._sought = Sought(self._stand_ins)

    def learn(self, item: Item) -> None:
        """Note the secrets that an item declares."""
        self._learn(View(item))

    def _learn(self, view: View) -> None:
        if not view.masked:
            for row, secret in view.secrets:
                self._note(secret, row)

    def redact(self, item: Item, before: bytes = b"", after: bytes = b"") -> bytes:
        """Return an item's bytes, redacted; as many as they were.

        Args:
            item: what to redact.
            before: the unframed bytes just before it in the stream, if it is unframed itself.
            after: those just behind it. Of both the nearest `AROUND` are enough.
        """
        view = View(item)
        self._learn(view)
        page = _Page(view.raw)
        for row, secret in view.secrets:
            self._hide(page, secret, row)
        areas = view.areas()
        for found in self._elsewhere(view, areas, before, after):
            if page.write(found.start, found.stand_in):
                self.replaced[found.kind] += 1
            elif min(areas[found.start : found.end]) >= FREE:
                page.write_where_free(found.start, blank(page.old[found.start : found.end]))
        self._blank_unknown(page, view)
        self._mend_modbus(page, view)
        return view.finished(bytes(page.new))

    def label(self, text: str) -> str:
        """Return the name of a connection, redacted: its addresses, and whatever names a host."""
        parts, end = [], 0
        for found in _IP6.finditer(text):
            parts += [self._label(text[end : found.start()]), self._address6(found[0])]
            end = found.end()
        return "".join((*parts, self._label(text[end:])))

    def _address6(self, text: str) -> str:
        self.replaced[Private.IP] += 1
        return self._stand_ins.address6(text)

    def _label(self, text: str) -> str:
        for address in _IP.findall(text):
            self._sought.add(Private.IP, address.encode())
        raw = text.encode("utf-8", "replace")
        parts: list[bytes] = []
        end = 0
        for found in self._sought.find(raw, bytes((FREE,)) * len(raw)):
            self.replaced[found.kind] += 1
            parts += [self._host(raw[end : found.start]), found.stand_in]
            end = found.end
        return b"".join((*parts, self._host(raw[end:]))).decode("utf-8", "replace")

    def _host(self, raw: bytes) -> bytes:
        text = raw.decode("utf-8", "replace")
        if not _tells_host(text):
            return raw  # the number of a port, or of a connection
        self.replaced[Private.USER] += 1
        self._sought.add(Private.USER, raw)
        if not has_stand_in(raw):
            return b"*" * len(text)
        return self._stand_ins.of(Private.USER, raw)

    def _note(self, secret: Secret, row: "Row") -> None:
        """Look for a secret everywhere from now on."""
        kind, raw = secret.kind, secret.raw
        if not isinstance(row.field.type, Octets):
            if len(raw) != _NUMBER:
                return  # cut in half, or part of a secret
            raw = b"%d" % int.from_bytes(raw, _order(row))
        elif kind is Private.MAC and len(raw) != 6:
            digits = re.sub(rb"[:. -]", b"", raw)
            raw = bytes.fromhex(digits.decode()) if _is_hex(digits) else raw
            kind = kind if len(raw) == 6 else Private.USER
        elif b"\\" in raw:
            raw = unescaped(raw)
        elif secret.number:
            raw = raw.lstrip(b"-")
        if kind is Private.SERIAL and (nested := _NESTED_ID.fullmatch(raw)):
            raw = nested[1]
        if _is_none(kind, raw):
            return
        if kind not in BLANKED and kind is not Private.MAC and not has_stand_in(raw):
            kind = Private.USER  # it is blanked, here and elsewhere
        if not self._sought.add(kind, raw):
            self.unjudged[_TOO_MANY] += 1

    def _hide(self, page: "_Page", secret: Secret, row: "Row") -> None:
        """Replace or blank a declared secret in its place."""
        kind, raw = secret.kind, secret.raw
        if not isinstance(row.field.type, Octets):
            number = int.from_bytes(raw, _order(row)) if len(raw) == _NUMBER else 0
            new = (number and self._stand_ins.number(number)).to_bytes(len(raw), _order(row))
        elif b"\\" in raw and kind not in BLANKED:
            text = unescaped(raw)
            new = respelled(raw, self.shown(kind, text)) if has_stand_in(text) else blank(raw)
        elif secret.number:
            new = self._number(kind, raw)
        else:
            new = self.shown(kind, raw)
        if page.write(secret.start, new):
            self.replaced[kind] += 1

    def shown(self, kind: Private, text: bytes) -> bytes:
        """Return what is shown in place of a secret: its stand-in, or that it is blanked."""
        if kind in BLANKED:
            return blank(text)
        if _is_none(kind, text):
            return text
        if kind is Private.MAC and len(text) == 6:
            return self._stand_ins.of(kind, text)
        if not has_stand_in(text):
            return blank(text)
        if kind is Private.SERIAL and (nested := _NESTED_ID.fullmatch(text)):
            return self._stand_ins.of(kind, nested[1]) + nested[2]
        return self._stand_ins.of(kind, text)

    def _number(self, kind: Private, text: bytes) -> bytes:
        """Return what is shown in place of a number of JSON: another number."""
        if _is_none(kind, text):
            return text
        fits = text.isdigit() and has_stand_in(text)
        if kind in BLANKED or kind is Private.MAC or not fits:
            return ones(text)
        return self._stand_ins.of(kind, text)

    def _elsewhere(self, view: View, areas: bytes, before: bytes, after: bytes) -> Iterator[Found]:
        """Yield the secrets that stand anywhere in an item, as far as they stand in it."""
        raw, around = view.raw, bytes((BINARY,))
        before, after = before[-AROUND:], after[:AROUND]
        shift = len(before)
        wide = around * shift + areas + around * len(after)
        for found in self._sought.find(before + raw + after, wide):
            start, end = max(found.start - shift, 0), min(found.end - shift, len(raw))
            if start < end:
                skip = start + shift - found.start
                stand_in = found.stand_in[skip : skip + end - start]
                yield Found(start, end, found.kind, stand_in)
        if (view.textual or not view.framed) and has_escapes(raw):
            yield from self._behind_escapes(raw, areas)

    def _behind_escapes(self, raw: bytes, areas: bytes) -> Iterator[Found]:
        """Yield the secrets that a JSON string spells with escapes."""
        text, starts = split_escapes(raw)
        units = bytes(min(areas[start], FREE) for start in starts[:-1])
        for found in self._sought.find(text, units):
            start, end = starts[found.start], starts[found.end]
            if b"\\" in raw[start:end]:
                yield Found(start, end, found.kind, respelled(raw[start:end], found.stand_in))

    def _blank_unknown(self, page: "_Page", view: View) -> None:
        """Blank the printable runs whose meaning nobody knows."""
        for start, end in view.unknown_bytes():
            if self.keep_unknown:
                self.unjudged["bytes of unknown meaning"] += end - start
                self._blank_credentials(page, start, end)
            else:
                self._blank_runs(page, start, end, edges=not view.framed, keys=view.keys)
                self.unjudged["bytes of unknown meaning that are no text"] += page.left(start, end)
        for row in view.unknown_values():
            if self.keep_unknown:
                if len(row.raw) > SHORT_TEXT:
                    self.unjudged["bytes of unknown meaning"] += len(row.raw)
            elif page.write_where_free(row.offset, blank_value(row.raw, quoted=view.quoted(row))):
                self.replaced[UNKNOWN] += 1
        if self.keep_unknown:
            return
        for start, end in view.unknown_keys():
            for number in _LONG_NUMBER.finditer(page.old, start, end):
                if page.write_where_free(number.start(), ones(number[0])):
                    self.replaced[UNKNOWN] += 1
        for start, end in view.registers():
            # Numbers before all: five printable bytes in a row may be such.
            self._blank_runs(page, start, end, least=6)

    def _blank_credentials(self, page: "_Page", start: int, end: int) -> None:
        """Blank what stands behind a word that announces a credential."""
        for found in _CREDENTIAL.finditer(page.old, start, end):
            group = 1 if found[1] is not None else 2
            if page.write_where_free(found.start(group), blank(found[group])):
                self.replaced[Private.PASSWORD] += 1

    def _blank_runs(
        self,
        page: "_Page",
        start: int,
        end: int,
        *,
        least: int = 4,
        edges: bool = False,
        keys: frozenset[bytes] = frozenset(),
    ) -> None:
        text = page.old[start:end]
        for run in _RUN.finditer(text):
            first, last = run.span()
            # What is cut off at an edge goes on in the bytes next to these.
            cut = edges and (first == 0 or last == len(text))
            if last - first < least and not cut:
                continue
            blanked = bytearray(blank(text[first:last]))
            for at in range(first, last):
                if text[at] in _KEPT:
                    blanked[at - first] = text[at]
            if verb := _match_verb(text, first, last):
                blanked[: len(verb[0])] = verb[0]  # which command it is, tells nothing
            for word in _WORD.finditer(text, first, last):
                if word[1] in keys:  # by it a message may be told
                    blanked[word.start(1) - first : word.end(1) - first] = word[1]
            if page.write_where_free(start + first, bytes(blanked)):
                self.replaced[UNKNOWN] += 1

    @staticmethod
    def _mend_modbus(page: "_Page", view: "View") -> None:
        """Make the checksums of Modbus messages right that were right."""
        for start, end in view.checked_spans():
            old = page.old[start:end]
            if len(old) > 4 and crc16_modbus(bytes(old[:-2])) == old[-2] | old[-1] << 8:
                crc = crc16_modbus(bytes(page.new[start : end - 2]))
                page.new[end - 2 : end] = crc.to_bytes(2, "little")


class _Page:
    """Bytes that are being rewritten; each place once."""

    def __init__(self, raw: bytes) -> None:
        self.old = raw
        self.new = bytearray(raw)
        self.done = bytearray(len(raw))

    def write(self, start: int, new: bytes) -> bool:
        """Write over a place; return whether it was neither written before nor stays the same."""
        end = start + len(new)
        if any(self.done[start:end]) or end > len(self.new):
            return False
        self.done[start:end] = b"\1" * len(new)
        self.new[start:end] = new
        return new != self.old[start:end]

    def left(self, start: int, end: int) -> int:
        """Return how many bytes are still as they were and neither zero nor printable."""
        span = zip(self.old[start:end], self.done[start:end], strict=True)
        return sum(1 for byte, done in span if not (done or byte == 0 or 0x20 <= byte < 0x7F))

    def write_where_free(self, start: int, new: bytes) -> bool:
        """Write over what of a place was not written before; return whether that changed it."""
        changed = False
        for at, byte in enumerate(new, start):
            if not self.done[at] and self.new[at] != byte:
                self.new[at] = byte
                self.done[at] = changed = True
        return changed


def _order(row: "Row") -> Literal["big", "little"]:
    return "big" if row.field.order == ">" else "little"


def _is_none(kind: Private, value: bytes) -> bool:
    """Return whether a value stands for none: nothing, zeros, all ones."""
    if kind is Private.SSID:
        return not value.strip(b"\0")
    return not value.strip(b"0. \0") or not value.strip(b"\xff") or not value.strip(b"fF:. -")


def _is_hex(digits: bytes) -> bool:
    return len(digits) == 12 and re.fullmatch(rb"[0-9A-Fa-f]+", digits) is not None
