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

*What nobody declared.* Printable runs in fields of unknown meaning, in free text and in unframed
bytes are blanked unless `keep_unknown` is given. Of text that is or was JSON the punctuation stays.

*Still the same message.* Lengths stay, the frame's checksum and that of Modbus inside it are made
right; a frame with a wrong checksum gets another wrong one, which tells nothing. So it decodes as
it did, with its other values.

*Bounds.* Linear; 20,000 secrets are remembered, and later ones still replaced where they are
declared. `unjudged` counts what could not be looked for.

What it cannot hide
-------------------
Measurements and times: who knows when the sun shone on your roof, or what your meter showed, may
recognise you. Secrets in unknown fields that are no text (a serial as a number, a position) unless
they also stand where they are declared. Text that is encoded (UTF-16, base64, compressed), what is
encrypted, a secret of less than four characters elsewhere than in its place, a secret cut in two
by the border of two unframed items. Models, firmware versions, settings and the kinds of messages
are shown as they are: they are what such a dump is for.
"""

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from inverterproto.checksum import crc16_modbus
from inverterproto.jsontext import SHORT_TEXT, blank_value, respelled, unescaped
from inverterproto.octets import Octets
from inverterproto.private import BLANKED, Private
from inverterproto.sought import FREE, Sought
from inverterproto.standin import LONGEST, StandIns, blank
from inverterproto.stream import Item
from inverterproto.view import View, secrets

if TYPE_CHECKING:
    from inverterproto.layout import Row

UNKNOWN = "unknown text"
"""What `Redactor.replaced` calls blanked runs that no declaration names."""

_PRINTABLE = (
    rb"[\x20-\x7e]|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
_RUN = re.compile(rb"(?:" + _PRINTABLE + rb"){4,}")
_EDGE = re.compile(rb"\A(?:" + _PRINTABLE + rb")+|(?:" + _PRINTABLE + rb")+\Z")
_match_verb = re.compile(rb"AT\+[A-Z]{1,16}|\+(?:ok|ERR)").match
_KEPT = frozenset(b'{}[]":,')
_NESTED_ID = re.compile(rb"(.{4,})([-_/][0-9]{1,2})", re.DOTALL)
_IP = re.compile(
    r"(?<![0-9.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9.])|(?<=\[)[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(?=\])"
)
_match_port = re.compile(r"\]?:[0-9]{1,5}(?: #[0-9]+|->\[?)?").fullmatch


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
        if view.whole:
            for row in view.rows:
                for kind, start, end in secrets(row, view):
                    self._note(kind, row, start, end)

    def redact(self, item: Item) -> bytes:
        """Return an item's bytes, redacted; as many as they were."""
        view = View(item)
        self._learn(view)
        page = _Page(view.raw)
        for row in view.rows:
            for kind, start, end in secrets(row, view):
                self._hide(page, kind, row, start, end)
        for row in view.rows:
            if row.field.private is None and b"\\" in row.raw and view.textual:
                self._look_behind_escapes(page, row)
        areas = view.areas()
        for found in self._sought.find(bytes(page.old), areas):
            if page.write(found.start, found.stand_in):
                self.replaced[found.kind] += 1
        self._blank_unknown(page, view)
        self._mend_modbus(page, view)
        return view.finished(bytes(page.new))

    def label(self, text: str) -> str:
        """Return the name of a connection, redacted: its addresses, and whatever names a host."""
        parts, end = [], 0
        for found in _IP.finditer(text):
            parts += [self._host(text[end : found.start()]), self._address(found[0])]
            end = found.end()
        return "".join((*parts, self._host(text[end:])))

    def _address(self, text: str) -> str:
        self.replaced[Private.IP] += 1
        if ":" in text:
            return self._stand_ins.address6(text)
        return self._stand_ins.of(Private.IP, text.encode()).decode()

    def _host(self, text: str) -> str:
        if not any(letter.isalpha() for letter in text) and len(text) <= len(":65535->"):
            return text
        if _match_port(text):
            return text
        self.replaced[Private.USER] += 1
        raw = text.encode("utf-8", "replace")
        if len(raw) > LONGEST or not raw.isascii():
            return "*" * len(text)
        return self._stand_ins.of(Private.USER, raw).decode()

    def _note(self, kind: Private, row: "Row", start: int, end: int) -> None:
        """Look for a secret everywhere from now on."""
        if kind is Private.TEXT:
            return
        raw = row.raw[start:end]
        if not isinstance(row.field.type, Octets):
            raw = b"%d" % row.value
        elif kind is Private.MAC and len(raw) != 6:
            digits = re.sub(rb"[:. -]", b"", raw)
            raw = bytes.fromhex(digits.decode()) if _is_hex(digits) else raw
            kind = kind if len(raw) == 6 else Private.SERIAL
        elif b"\\" in raw:
            raw = unescaped(raw)
        if kind is Private.SERIAL and (nested := _NESTED_ID.fullmatch(raw)):
            raw = nested[1]
        if _is_none(raw):
            return
        if kind not in BLANKED and kind is not Private.MAC and not _has_stand_in(raw):
            kind = Private.USER  # it is blanked, here and elsewhere
        if not self._sought.add(kind, raw):
            self.unjudged["secrets too short, too long or too many to be looked for"] += 1

    def _hide(self, page: "_Page", kind: Private, row: "Row", start: int, end: int) -> None:
        """Replace or blank a declared secret in its place."""
        raw = row.raw[start:end]
        if not isinstance(row.field.type, Octets):
            order: Any = "big" if row.field.order == ">" else "little"
            number = row.value and self._stand_ins.number(row.value)
            new = number.to_bytes(len(raw), order)
        elif kind is Private.TEXT:
            self._hide_text(page, row.offset + start, raw)
            return
        elif b"\\" in raw and kind not in BLANKED:
            printable = _has_stand_in(unescaped(raw))
            new = respelled(raw, lambda t: self._value(kind, t)) if printable else blank(raw)
        else:
            new = self._value(kind, raw)
        if page.write(row.offset + start, new):
            self.replaced[kind] += 1

    def _value(self, kind: Private, text: bytes) -> bytes:
        """Return what is shown in place of a secret."""
        if kind in BLANKED:
            return blank(text)
        if _is_none(text):
            return text
        if kind is Private.MAC and len(text) == 6:
            return self._stand_ins.of(kind, text)
        if not _has_stand_in(text):
            return blank(text)
        if kind is Private.SERIAL and (nested := _NESTED_ID.fullmatch(text)):
            return self._stand_ins.of(kind, nested[1]) + nested[2]
        return self._stand_ins.of(kind, text)

    def _hide_text(self, page: "_Page", at: int, raw: bytes) -> None:
        """Blank free text, which no declaration takes apart."""
        if not self.keep_unknown:
            self._blank_runs(page, at, at + len(raw))
        elif len(raw) > SHORT_TEXT:
            self.unjudged["characters of free text"] += len(raw)

    def _look_behind_escapes(self, page: "_Page", row: "Row") -> None:
        """Replace secrets that a JSON string spells with escapes."""
        text = unescaped(row.raw)
        change = _Page(text)
        for found in self._sought.find(text, bytes((FREE,)) * len(text)):
            change.write(found.start, found.stand_in)
            self.replaced[found.kind] += 1
        if change.new != change.old:
            page.write(row.offset, respelled(row.raw, lambda _text: bytes(change.new)))

    def _blank_unknown(self, page: "_Page", view: "View") -> None:
        """Blank the printable runs whose meaning nobody knows."""
        for start, end in view.unknown_spans():
            if self.keep_unknown:
                self.unjudged["bytes of unknown meaning"] += end - start
            else:
                self._blank_runs(page, start, end, edges=not view.framed)
                rest = sum(
                    1
                    for at in range(start, end)
                    if not (page.done[at] or page.old[at] == 0 or 0x20 <= page.old[at] < 0x7F)
                )
                self.unjudged["bytes of unknown meaning that are no text"] += rest
        for row in view.unknown_values():
            if not self.keep_unknown:
                page.write_where_free(row.offset, blank_value(row.raw, quoted=view.quoted(row)))
                self.replaced[UNKNOWN] += 1
            else:
                self.unjudged["bytes of unknown meaning"] += len(row.raw)
        for start, end in view.registers():
            # Numbers before all: five printable bytes in a row may be such.
            if not self.keep_unknown:
                self._blank_runs(page, start, end, least=6)

    def _blank_runs(
        self, page: "_Page", start: int, end: int, *, least: int = 4, edges: bool = False
    ) -> None:
        text = bytes(page.old[start:end])
        runs = [run.span() for run in _RUN.finditer(text)]
        if edges:  # what is cut off here goes on in the bytes next to these
            runs += [run.span() for run in _EDGE.finditer(text)]
        for first, last in runs:
            if last - first < least and not edges:
                continue
            blanked = bytearray(blank(text[first:last]))
            for at in range(first, last):
                if text[at] in _KEPT:
                    blanked[at - first] = text[at]
            if verb := _match_verb(text, first, last):
                blanked[: len(verb[0])] = verb[0]  # which command it is, tells nothing
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

    def write_where_free(self, start: int, new: bytes) -> bool:
        """Write over what of a place was not written before; return whether that changed it."""
        changed = False
        for at, byte in enumerate(new, start):
            if not self.done[at] and self.new[at] != byte:
                self.new[at] = byte
                self.done[at] = changed = True
        return changed


def _is_none(value: bytes) -> bool:
    """Return whether a value stands for none: nothing, zeros, all ones."""
    return not value.strip(b"0 \0") or not value.strip(b"\xff") or not value.strip(b"fF:. -")


def _has_stand_in(text: bytes) -> bool:
    return text.isascii() and len(text) <= LONGEST and text.decode().isprintable()


def _is_hex(digits: bytes) -> bool:
    return len(digits) == 12 and re.fullmatch(rb"[0-9A-Fa-f]+", digits) is not None
