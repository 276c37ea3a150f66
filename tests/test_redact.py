"""What is private is nowhere in redacted bytes, and all else is as it was."""

import json
import re
from collections.abc import Iterable
from ipaddress import IPv6Address, IPv6Network
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inverterproto import decode
from inverterproto.alphaess import messages as alphaess
from inverterproto.alphaess.fields import FIELDS, Field
from inverterproto.alphaess.frame import Frame as AlphaFrame
from inverterproto.checksum import crc16_modbus
from inverterproto.decoding import Decoded
from inverterproto.deye import modbus, payloads
from inverterproto.deye.commands import command
from inverterproto.deye.frame import Frame
from inverterproto.deye.layouts import MODULES, layout_of
from inverterproto.layout import Layout
from inverterproto.octets import Octets
from inverterproto.private import BLANKED, Private
from inverterproto.redact import Redactor
from inverterproto.sought import FIXED, FREE, Sought
from inverterproto.standin import StandIns, blank
from tests.vectors import fixtures

KEY = b"a key of the tests"
LOGGER = 2798765432
SECRETS = {
    Private.SERIAL: "ZK7731984402",
    Private.MAC: "8c:aa:b5:17:9e:d3",
    Private.IP: "192.168.77.231",
    Private.SSID: "FritzBox7590XY",
    Private.PASSWORD: "hunter2hunter",
    Private.LICENCE: "LICQ99X8W7V6",
    Private.ADDRESS: "77 Elm Walk",
    Private.PHONE: "0445556677889",
    Private.SIM: "89490200001234567890",
    Private.TEXT: "call Bob 5551234",
}


def redacted(data: bytes, *, keep_unknown: bool = False) -> bytes:
    redactor = Redactor(KEY, keep_unknown=keep_unknown)
    items = [found.item for found in decode(data)]
    for item in items:
        redactor.learn(item)
    out = b"".join(map(redactor.redact, items))
    assert len(out) == len(data)
    return out


def spellings(secret: str) -> set[bytes]:
    raw = secret.encode()
    found = {raw}
    if re.fullmatch(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}", secret):
        octets = bytes.fromhex(secret.replace(":", ""))
        found |= {octets, octets.hex().encode(), *(octets.hex(s).encode() for s in ":- .")}
    if secret.isdigit() and not secret.startswith("0") and int(secret) < 1 << 32:
        found |= {int(secret).to_bytes(4, "little"), int(secret).to_bytes(4, "big")}
    return found


def leaks(out: bytes, secrets: Iterable[str]) -> list[str]:
    """Grep for secrets: in bytes of either case, and in hex."""
    texts = [out, out.lower(), out.hex().encode()]
    wanted = {s: spellings(s) | {p.lower() for p in spellings(s)} for s in secrets}
    return [
        secret
        for secret, forms in wanted.items()
        if any(f in text or f.hex().encode() in texts[2] for f in forms for text in texts)
    ]


def v5(message_type: int, payload: bytes) -> bytes:
    return Frame(message_type << 8 | 0x10, (1, 2), LOGGER, payload).build()


def alpha(direction: int, code: int, payload: bytes) -> bytes:
    return AlphaFrame(1, direction, code, payload).build()


def layouts() -> list[tuple[int, bytes, Layout]]:
    found = [(0x41, b"", payloads.HANDSHAKE)]
    for sub_id, layout in payloads.WIFI_FORMS.items():
        found.append((0x43, bytes(13) + bytes([sub_id]), layout))
    for sensor_type in MODULES:
        data = layout_of(sensor_type)
        assert data is not None
        found.append((0x42, b"\1" + sensor_type.to_bytes(2, "little"), data))
    return found


@pytest.mark.parametrize(
    ("kind", "head", "layout"), layouts(), ids=lambda v: getattr(v, "name", "")
)
def test_no_private_field_of_a_layout_leaks_and_all_others_keep_their_values(
    kind: int, head: bytes, layout: Layout
) -> None:
    private = [field for field in layout.fields if field.private]
    for field in private:
        assert isinstance(field.type, Octets), "only the envelope's serial is a number"
        secret = SECRETS[field.private or Private.TEXT][: field.size]
        secret = SECRETS[Private.MAC] if field.private is Private.MAC else secret
        payload = bytearray(head.ljust(layout.size, b"\0"))
        payload[field.offset : field.end] = field.to_bytes(secret)
        # The same secret is in unknown bytes of the first frame, which comes before it is declared.
        early = v5(0x7E, b"\1\2" + secret.encode() + b"\3" + str(LOGGER).encode())
        data = early + v5(kind, bytes(payload)) + b"\0junk " + secret.upper().encode()
        out = redacted(data, keep_unknown=True)
        assert not leaks(out, [secret, str(LOGGER)]), field.name
        before, after = decode(data)[1].message, decode(out)[1].message
        assert before is not None
        assert after is not None
        hidden = {f.name for f in private}
        assert all(after.fields[k] == v for k, v in before.fields.items() if k not in hidden)


@pytest.mark.parametrize("field", [f for f in FIELDS if f.private and not f.derived], ids=str)
@pytest.mark.parametrize("form", ["json", "escaped", "nested", "broken", "table", "bad CRC", "cut"])
def test_no_private_key_of_a_battery_leaks(field: Field, form: str) -> None:
    assert field.private is not None
    secret = SECRETS[field.private]
    name = field.name
    spelled = {
        "escaped": f'{{"{name}":"\\u{ord(secret[0]):04x}{secret[1:]}","SOC":"50"}}',
        "nested": f'{{"{name}":["{secret}",true],"SOC":"50"}}',
        "broken": f'{{"{name}":""{secret}","SOC":"50"}}',
        "table": f"Date,Time,{name},SOC\n2021/03/24,10:00:00,{secret},50\n",
    }.get(form, f'{{"{name}":"{secret}","SOC":"50"}}')
    code = 12 if form == "table" else 4
    frame = bytearray(alpha(1, code, spelled.encode()))
    if form == "bad CRC":
        frame[-1] ^= 1
    if form == "cut":
        del frame[-3:]
    out = redacted(bytes(frame))
    assert not leaks(out, [secret]), out
    found = decode(out)[0]
    if form in ("json", "escaped", "nested"):
        assert found.message is not None
        assert found.message.fields["SOC"] == 50
    if form == "bad CRC":
        assert found.tentative is not None
        assert found.tentative.fields["SOC"] == 50


def test_text_that_nobody_declared_is_blanked_or_at_least_searched() -> None:
    serial, mac, bob = SECRETS[Private.SERIAL], SECRETS[Private.MAC], SECRETS[Private.TEXT]
    status = alpha(1, 16, f'{{"SN":"{serial}"}}'.encode())
    spaced = mac.replace(":", " ").upper()
    texts = [
        alpha(1, 9, f'{{"MsgType":"System","MsgContent":"x reason:1 0!MAC:{spaced}!"}}'.encode()),
        alpha(1, 9, f'{{"MsgType":"Socket","MsgContent":"{bob} {serial}"}}'.encode()),
        alpha(1, 4, f'{{"New":"{bob}","More":{{"a":["{bob}",123456789,12,null,""]}}}}'.encode()),
        alpha(1, 4, f'{{"Name":"\\u005a{serial[1:]}","N2":5551234567,"N3":"12.5"}}'.encode()),
        alpha(1, 12, f"{bob},{serial},12,1234567,true\n".encode()),
        alpha(1, 5, b"\0binary " + bob.encode() + serial.encode()),
        v5(0x45, b"\1\2" + bytes(13) + f"AT+WSKEY=WPA2PSK,AES,{bob}\r".encode()),
        v5(0x7E, bob.encode() + LOGGER.to_bytes(4, "big") + bytes.fromhex(mac.replace(":", ""))),
        b"AT+WSSSID=" + bob.encode() + serial.encode() + mac.encode() + b"\r\n",
        f"tail {mac.replace(':', '')} {LOGGER:08x} {LOGGER} Bo".encode(),
    ]
    data = b"".join([*texts, status])
    seen = [serial, mac, str(LOGGER), f"{LOGGER:08x}"]
    assert not leaks(redacted(data), [*seen, bob, "5551234"])
    kept = redacted(data, keep_unknown=True)
    assert not leaks(kept, seen)
    assert bob.encode() in kept
    names = [found.message and found.message.name for found in decode(redacted(data))]
    assert [n for n in names if n] == [
        n for n in (d.message and d.message.name for d in decode(data)) if n
    ]
    assert b"AT+WSKEY" in redacted(data), "which command it is"


def test_a_serial_in_the_registers_of_a_modbus_reply_follows_and_its_checksum_is_right() -> None:
    words = SECRETS[Private.SERIAL].encode()
    body = bytes([1, 3, len(words)]) + words
    body += crc16_modbus(body).to_bytes(2, "little")
    status = alpha(1, 16, f'{{"SN":"{SECRETS[Private.SERIAL]}"}}'.encode())
    for keep in (True, False):
        out = redacted(v5(0x15, b"\2\1" + bytes(12) + body) + status, keep_unknown=keep)
        assert not leaks(out, [SECRETS[Private.SERIAL]])
        found = decode(out)[0].message
        assert found is not None
        assert "modbus" in found.fields
        assert not found.problems
        assert modbus.parse_reply(Frame.parse(out[: 25 + len(body) + 2]).payload[14:])


def test_words_and_few_digits_are_left_where_numbers_and_other_words_stand() -> None:
    config = alpha(1, 4, b'{"Password":"main","ZipCode":"1250","Ppv1":"1250","Minv":"domain"}')
    status = alpha(1, 16, b'{"Ppv1":"1250","Time":"1250/01/02 10:00:00","Minv":"the main one"}')
    out = redacted(config + status)
    assert b'"Ppv1":"1250"' in out
    assert b"1250/01/02" in out
    assert b"domain" in out
    assert b"the **** one" in out


def test_a_phone_in_the_place_of_a_number_leaves_it_one() -> None:
    data = alpha(1, 3, b'{"PhoneNumber":"5550012345","Ppv1":5550012345}')
    assert b'"Ppv1":1111111111' in redacted(data)
    assert b'{"SN":' in redacted(alpha(1, 3, b'{"SN":12345678,"License":12345678}'))
    assert b"12345678" not in redacted(alpha(1, 3, b'{"SN":12345678,"License":12345678}'))


def test_what_is_no_secret_stays() -> None:
    for nothing in ('"SN":""', '"SN":"0"', '"SN":"0000"', '"ICCID":"FFFF"', '"SN":null'):
        data = alpha(1, 3, f"{{{nothing}}}".encode())
        assert redacted(data) == data
    handshake = v5(0x41, bytes(59) + b"\xff" * 6 + b"0.0.0.0".ljust(16, b"\0"))
    message = decode(redacted(handshake))[0].message
    assert message is not None
    assert message.fields["mac"] == "ff:ff:ff:ff:ff:ff"


def test_odd_serials_are_blanked() -> None:
    for odd in ("Ünïköde-77".encode(), b"\xff\xfe7788", b"A" * 70, rb"\u00e9t\u00e988"):
        data = alpha(1, 3, b'{"SN":"' + odd + b'"}')
        out = redacted(data)
        assert odd not in out
        assert decode(out)[0].message is not None


def test_nested_ids_follow_their_serial() -> None:
    for data in (fixtures("deye")["micro-5408-realtime"],):
        message = decode(redacted(data))[0].message
        assert message is not None
        serial = message.fields["inverter_serial"]
        assert serial != "2301234567"
        assert [message.fields[f"pv{n}_id"] for n in (1, 2)] == [f"{serial}-1", f"{serial}-2"]


@pytest.mark.parametrize("family", ["deye", "alphaess"])
def test_every_fixture_decodes_as_before(family: str) -> None:
    for name, data in fixtures(family).items():
        before, after = decode(data), decode(redacted(data, keep_unknown=True))
        assert [d.message and d.message.name for d in before] == [
            d.message and d.message.name for d in after
        ], name
        assert [r.values for d in before for r in d.readings] == [
            r.values for d in after for r in d.readings
        ]


def test_of_a_stream_what_comes_later_is_found() -> None:
    serial = SECRETS[Private.SERIAL]
    data = alpha(1, 16, f'{{"SN":"{serial}"}}'.encode()) + b"junk " + serial.encode()
    redactor = Redactor(KEY, keep_unknown=True)
    out = b"".join(redactor.redact(found.item) for found in decode(data))
    assert not leaks(out, [serial])
    assert redactor.replaced[Private.SERIAL] == 2
    assert redactor.unjudged


def test_names_of_connections_are_redacted() -> None:
    redactor = Redactor(KEY)
    label = redactor.label("10.1.2.3:4431")
    assert label.endswith(":4431")
    assert label != "10.1.2.3:4431"
    assert label == redactor.label("10.1.2.3:4431")
    assert "bobs" not in redactor.label("bobs-laptop.lan:80")
    assert redactor.label("é" * 9) == "*" * 9
    assert redactor.label("7") == "7"


def test_of_a_connection_in_a_pcap_the_addresses_are_replaced_and_the_ports_stay() -> None:
    redactor = Redactor(KEY)
    label = redactor.label("192.168.1.5:49152->47.88.8.200:10000 #12")
    found = re.fullmatch(r"([0-9.]+):49152->([0-9.]+):10000 #12", label)
    assert found is not None
    assert not set(found.groups()) & {"192.168.1.5", "47.88.8.200"}
    assert redactor.label("[2001:470::1]:49152->[::1]:7777") == redactor.label(
        "[2001:470::1]:49152->[::1]:7777"
    )
    label = redactor.label("[2001:470::a]:49152->[::ffff:1.2.3.4]:7777")
    found = re.fullmatch(r"\[([0-9a-f:]+)\]:49152->\[([0-9a-f:]+)\]:7777", label)
    assert found is not None
    assert all(IPv6Address(each) in IPv6Network("fd00::/8") for each in found.groups())
    assert redactor.label("[2001:470::A]:1") == f"[{found[1]}]:1"


def test_a_secret_that_is_another_kind_elsewhere_is_found_once() -> None:
    both = b'{"SN":"KK73319944","Password":"KK73319944","New":"1 KK73319944"}'
    out = redacted(alpha(1, 4, both), keep_unknown=True)
    assert b"KK73319944" not in out
    assert b'"Password":"**********"' in out


def test_an_address_that_is_none_is_hidden_all_the_same() -> None:
    handshake = bytearray(130)
    for text in (b"host-77.lan", b"300.200.999.1", b"192.168.1.999"):
        handshake[65:81] = text.ljust(16, b"\0")
        assert text not in redacted(v5(0x41, bytes(handshake)) + text)


def test_few_places_for_public_addresses_are_all_used() -> None:
    stand_ins = StandIns(KEY)
    found = {
        stand_ins.of(Private.IP, f"{a}.{b}.3.{c}".encode())
        for a in range(1, 9)
        for b in range(9)
        for c in range(9)
    }
    assert len(found) == 8 * 9 * 9


def test_what_only_begins_like_a_frame_is_looked_at_as_far_as_it_goes() -> None:
    whole = v5(0x41, bytes(172) + b"FritzBox7590XY".ljust(40, b"\0"))
    for size in range(len(whole)):
        out = redacted(whole[:size], keep_unknown=True)
        assert b"FritzB" not in out
        assert LOGGER.to_bytes(4, "little") not in out
    login = alpha(1, 2, b'{"UserName":"KK73319944"}')
    for size in range(len(login)):
        assert b"KK7331" not in redacted(login[:size], keep_unknown=True)


def test_five_printable_bytes_in_registers_and_spaces_in_a_name_stay() -> None:
    body = bytes([1, 3, 6]) + b"12345\0"
    body += crc16_modbus(body).to_bytes(2, "little")
    assert body in redacted(v5(0x15, b"\2\1" + bytes(12) + body))
    padded = v5(0x41, bytes(172) + b"HomeNet7\0  \0 x".ljust(40, b"\0"))
    assert len(redacted(padded)) == len(padded)


def test_there_is_an_end_to_looking_for_a_free_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inverterproto.standin._STEPS", 0)
    assert StandIns(KEY).of(Private.IP, b"8.8.8.8")[:2] == b"0."


def test_serials_are_found_as_numbers_but_where_zeros_make_them_stand_anywhere() -> None:
    for number, found in ((17_000_001, True), (12_345_678, True), (0x01000001, False)):
        status = alpha(1, 16, f'{{"SN":"{number}"}}'.encode())
        octets = number.to_bytes(4, "little")
        out = redacted(v5(0x7E, b"\xff" * 4 + octets) + status, keep_unknown=True)
        assert (octets not in out) is found


# Stand-ins


TEXTS = st.text("abcXYZ0189-_ ", min_size=1, max_size=20)


@given(st.sets(TEXTS, min_size=2, max_size=6), st.binary(max_size=80))
@settings(max_examples=50)
def test_stand_ins_are_injective_consistent_and_of_the_same_kind(
    texts: set[str], key: bytes
) -> None:
    ours, theirs = StandIns(key), StandIns(key)
    found = {text: ours.of(Private.SERIAL, text.encode()).decode() for text in texts}
    assert len(set(found.values())) == len(texts)
    for text in sorted(texts):
        other = found[text]
        assert theirs.of(Private.SERIAL, text.encode()).decode() == other
        shapes = [re.sub("[a-z]", "a", re.sub("[0-9]", "0", t)) for t in (text, other)]
        assert re.sub("[A-Z]", "A", shapes[0]) == re.sub("[A-Z]", "A", shapes[1])
        if any(c.isalpha() for c in text) or text.strip("0-_ "):
            assert other != text


@given(st.sets(st.integers(1, 0xFFFFFFFF), min_size=2, max_size=6))
@settings(max_examples=50)
def test_numbers_of_32_bits_stay_such_with_as_many_digits(numbers: set[int]) -> None:
    stand_ins = StandIns(KEY)
    found = {number: stand_ins.number(number) for number in numbers}
    assert len(set(found.values())) == len(numbers)
    for number, other in found.items():
        assert other != number
        assert len(str(other)) == len(str(number))
        assert other < 1 << 32


@given(st.sets(st.ip_addresses(v=4).map(str), min_size=2, max_size=5))
@settings(max_examples=50)
def test_addresses_become_private_ones_of_the_same_length(addresses: set[str]) -> None:
    stand_ins = StandIns(KEY)
    found = [(a, stand_ins.of(Private.IP, a.encode()).decode()) for a in sorted(addresses)]
    assert len({other for _, other in found}) == len(found)
    for address, other in found:
        assert other != address
        assert len(other) == len(address)
        assert re.match(r"10\.|192\.168\.|172\.(1[6-9]|2.|3[01])\.|0\.", other)
        assert all(int(part) < 256 for part in other.split("."))


def test_a_mac_address_is_the_same_in_each_spelling() -> None:
    stand_ins = StandIns(KEY)
    octets = stand_ins.of(Private.MAC, bytes.fromhex("8caab5179ed3"))
    assert octets[0] & 3 == 2
    for spelled in ("8caab5179ed3", "8c:aa:b5:17:9e:d3", "8C AA B5 17 9E D3"):
        other = stand_ins.of(Private.MAC, spelled.encode()).decode()
        assert bytes.fromhex(other.replace(":", "")) == octets
        assert other.isupper() == spelled.isupper()
    assert stand_ins.of(Private.MAC, b"no MAC") != b"no MAC"
    assert stand_ins.of(Private.MAC, b"no MAC at all") == b"*" * 13


def test_another_key_gives_other_stand_ins() -> None:
    assert StandIns(b"1").of(Private.SSID, b"HomeNet") != StandIns(b"2").of(
        Private.SSID, b"HomeNet"
    )


def test_blanking_keeps_what_is_no_utf_8_none() -> None:
    assert blank("é7".encode()) == b"***"
    assert blank(b"\xe97") == b"\xff*"


# Whatever bytes come


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from([0x41, 0x42, 0x43, 0x45, 0x15, 0x7E, None]))
        body = draw(st.binary(max_size=60))
        if kind is None:
            parts.append(alpha(1, draw(st.sampled_from([4, 5, 9, 12, 16])), body))
        else:
            parts.append(v5(kind, body))
        parts.append(draw(st.binary(max_size=8)))
    return b"".join(parts)


WORDS = st.text('ab0159 :/.-"\\é', max_size=12)
KEYS = st.sampled_from([f.name for f in FIELDS if not (f.derived or f.private)])
VALUES = st.one_of(
    WORDS, st.integers(-9999, 9999).map(str), st.integers(-(10**9), 10**9), st.none(), st.booleans()
)
SECRET_TEXTS = st.sampled_from(
    ["QX55667788", "8877665544", "a5b6", "Time", "Normal", "12:00", "SOC"]
)


@st.composite
def batteries(draw: st.DrawFn) -> tuple[bytes, list[str]]:
    """Draw messages of a battery that declare secrets, also such as equal ordinary values."""
    secrets = draw(st.lists(SECRET_TEXTS, min_size=1, max_size=3))
    private = ["SN", "Password", "License", "PhoneNumber", "WifiSN"]
    parts = []
    for secret in secrets:
        told: dict[str, object] = {
            "Time": "2021/03/24 12:00:00",
            "EmsStatus": "Normal",
            "Ppv1": "120",
        }
        told |= draw(st.dictionaries(KEYS, VALUES, max_size=5))
        told[draw(st.sampled_from(private))] = secret
        parts.append(alpha(1, draw(st.sampled_from([4, 10, 16])), json.dumps(told).encode()))
    return b"".join(parts), secrets


@given(batteries(), st.booleans())
@settings(max_examples=150)
def test_whatever_is_secret_all_that_was_measured_stays(
    drawn: tuple[bytes, list[str]],
    keep: bool,  # noqa: FBT001
) -> None:
    data, secrets = drawn
    out = redacted(data, keep_unknown=keep)
    before, after = decode(data), decode(out)
    for old, new in zip(before, after, strict=True):
        assert old.message is not None
        assert new.message is not None
        assert list(old.message.fields) == list(new.message.fields)
        assert [reading.values for reading in old.readings] == [r.values for r in new.readings]
    assert not leaks(out, [secret for secret in secrets if len(secret) == 10])


@given(streams(), st.booleans())
@settings(max_examples=150)
def test_any_bytes_keep_their_frames_and_lose_the_logger(data: bytes, keep: bool) -> None:  # noqa: FBT001
    before = decode(data)
    out = redacted(data, keep_unknown=keep)
    assert out == redacted(data, keep_unknown=keep)
    assert not leaks(out, [str(LOGGER)])
    for found in before:
        if found.message is not None:
            raw = out[found.item.offset :][: len(found.item.raw)]
            again = decode(raw)
            assert [d.message and d.message.name for d in again] == [found.message.name]
            assert [r.values for r in again[0].readings] == [r.values for r in found.readings]
            _same_values(found, again[0])


def _same_values(before: Decoded, after: Decoded) -> None:
    assert before.message is not None
    assert after.message is not None
    rows = list(before.message.rows(before.item.raw))
    for row, other in zip(rows, after.message.rows(after.item.raw), strict=False):
        known = row.field.known and row.field.source and not row.field.private
        if known and isinstance(row.value, int) and row.field.name not in ("checksum", "crc"):
            assert (row.field.name, row.value) == (other.field.name, other.value)


def test_the_cost_is_linear_and_what_is_remembered_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inverterproto.sought.MOST", 10)
    monkeypatch.setattr("inverterproto.standin.MOST", 10)
    redactor = Redactor(KEY)
    for number in range(40):
        frame = alpha(1, 16, f'{{"SN":"AB{number:08}"}}'.encode())
        assert f"AB{number:08}".encode() not in redactor.redact(decode(frame)[0].item)
    assert len(redactor._sought) == 10
    assert sum(redactor.unjudged.values()) >= 30


def test_every_kind_is_blanked_or_has_stand_ins() -> None:
    for kind in Private:
        assert kind in BLANKED or StandIns(KEY).of(kind, b"a1b2c3d4e5f6") != b"a1b2c3d4e5f6"
    assert all(a < b for a, b in pairwise(sorted(Private)))
    assert alphaess.TYPES
    assert command(1, "AT+Z\r", LOGGER)


def test_a_number_in_hex_is_hidden_only_where_a_number_may_be_one() -> None:
    sought = Sought(StandIns(b"a key of a test!"))
    sought.add(Private.SERIAL, b"2712345678")
    text = b"id a1ab1c4e of 2024"
    assert [found.start for found in sought.find(text, bytes((FREE,)) * len(text))] == [3]
    assert not list(sought.find(text, bytes((FIXED,)) * len(text)))
