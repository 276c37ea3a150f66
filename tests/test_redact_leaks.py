"""Secrets of every kind in every place: none is left in what redaction gives.

Every private field of every declaration is seeded once (`SEEDS`), alone in its frame, and its
secret in all other places (`places`), before and after the frame that declares it.
"""

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from inverterproto import decode
from inverterproto.alphaess.fields import FIELDS
from inverterproto.deye import payloads
from inverterproto.layout import Layout
from inverterproto.octets import Octets
from inverterproto.private import BLANKED, Private, told_by_name
from inverterproto.redact import Redactor
from inverterproto.stream import Reason, Unframed
from tests.test_redact import KEY, LOGGER, SECRETS, alpha, layouts, leaks, redacted, v5

DIGITS = "2798123457"


class Seed(NamedTuple):
    """A frame that declares a secret, and the secret."""

    name: str
    kind: Private
    secret: str
    frame: bytes


def deye_seeds() -> Iterator[Seed]:
    for message_type, head, layout in layouts():
        for field in layout.fields:
            if field.private is None:
                continue
            texts = [SECRETS[field.private]]
            if field.private is Private.SERIAL:
                texts.append(DIGITS)
            for text in texts:
                secret = text if field.private is Private.MAC else text[: field.size]
                payload = bytearray(head.ljust(layout.size, b"\0"))
                payload[field.offset : field.end] = field.to_bytes(secret)
                frame = v5(message_type, bytes(payload))
                yield Seed(f"{layout.name}.{field.name} {text}", field.private, secret, frame)
    yield Seed("header.logger_serial", Private.SERIAL, str(LOGGER), v5(0x47, b"\0"))


def alphaess_seeds() -> Iterator[Seed]:
    for field in FIELDS:
        if field.private is None or field.derived:
            continue
        secret = SECRETS[field.private]
        if field.private is not Private.TEXT:
            json = f'{{"{field.name}":"{secret}","SOC":"50"}}'
            yield Seed(f"JSON {field.name}", field.private, secret, alpha(1, 4, json.encode()))
            table = f"Date,Time,{field.name}\n2021/03/24,10:00:00,{secret}\n"
            yield Seed(f"CSV {field.name}", field.private, secret, alpha(1, 12, table.encode()))
    mac = SECRETS[Private.MAC].replace(":", " ").upper()
    text = f'{{"MsgType":"System","MsgContent":"System is restart, reason:1 0!MAC:{mac}!"}}'
    yield Seed("event log", Private.MAC, SECRETS[Private.MAC], alpha(1, 9, text.encode()))


SEEDS = [*deye_seeds(), *alphaess_seeds()]


def places(secret: str) -> dict[str, bytes]:
    """Return every place but its own, with the secret in it."""
    raw = secret.encode()
    tentative = bytearray(v5(0x7E, b"\1" + raw))
    tentative[-2] ^= 1
    broken = bytearray(alpha(1, 16, b'{"Minv":"' + raw + b'"}'))
    broken[-1] ^= 1
    log = f'{{"MsgType":"Socket","MsgContent":"x {secret} y"}}'
    return {
        "unknown message": v5(0x7E, b"\1\2" + raw + b"\3"),
        "unknown sensor type": v5(0x42, b"\1\x99\x99" + bytes(20) + raw),
        "behind a known layout": v5(0x47, b"\0" * 5 + raw),
        "firmware": v5(0x41, bytes(19) + b"V1 " + raw[:37]),
        "AT text": v5(0x15, b"\1\1" + bytes(12) + b"+ok=" + raw),
        "AT command": v5(0x45, b"\1\2\0" + bytes(12) + b"AT+WSSSID=" + raw + b"\r"),
        "Modbus that is none": v5(0x15, b"\2\1" + bytes(12) + b"\1\3" + raw),
        "known text": alpha(1, 16, b'{"Minv":"SMILE ' + raw + b' B3"}'),
        "unknown key": alpha(1, 4, b'{"New":"' + raw + b'"}'),
        "key": alpha(1, 4, b'{"x' + raw + b'y":"1","SOC":"50"}'),
        "nested": alpha(1, 4, b'{"Minv":{"a":["' + raw + b'"]},"SOC":"50"}'),
        "text for a number": alpha(1, 4, b'{"SOC":"' + raw + b'"}'),
        "event log": alpha(1, 9, log.encode()),
        "escapes": alpha(1, 4, f'{{"Minv":"\\u{ord(secret[0]):04x}{secret[1:]}"}}'.encode()),
        "behind the JSON": alpha(1, 4, b'{"SOC":"50"} ' + raw),
        "broken JSON": alpha(1, 4, b'{"Minv":"' + raw + b'"'),
        "binary": alpha(1, 4, b"\0\1" + raw),
        "CSV": alpha(1, 12, b"Date,Time,Minv\n2021/03/24,10:00:00," + raw + b"\n"),
        "CSV, column": alpha(1, 12, b"Date,Time,X" + raw + b"\n2021/03/24,10:00:00,1\n"),
        "CSV, no header": alpha(1, 12, b"a," + raw + b",b\n"),
        "bad checksum": bytes(tentative),
        "bad CRC": bytes(broken),
        "incomplete": v5(0x7E, b"\1" + raw + bytes(30))[:-9],
        "modem text": b"AT+YZ=" + raw + b"\r\n",
        "junk": b"\0\1\2" + raw + b"\3",
        "capitals": b"junk " + secret.upper().encode() + b" junk",
    }


@pytest.mark.parametrize("keep_unknown", [False, True], ids=["blank", "keep"])
@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.name)
def test_a_secret_is_found_in_every_place(seed: Seed, keep_unknown: bool) -> None:  # noqa: FBT001
    for name, place in places(seed.secret).items():
        for data in (seed.frame + place, place + seed.frame):
            out = redacted(data, keep_unknown=keep_unknown)
            assert not leaks(out, [seed.secret]), name
            names = [found.message and found.message.name for found in decode(data)]
            after = [found.message and found.message.name for found in decode(out)]
            assert [n for n in after if n] == [n for n in names if n], name


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.name)
def test_a_secret_is_hidden_in_its_own_frame_though_that_is_damaged(seed: Seed) -> None:
    wrong, ended, short = bytearray(seed.frame), bytearray(seed.frame), bytearray(seed.frame)
    wrong[-2] ^= 1
    ended[-1] ^= 0x55
    good = v5(0x47, b"\0") if seed.frame[0] == 0xA5 else alpha(1, 1, b"")
    lying = short[:1] + b"\xff\x0f" + short[3:] if short[0] == 0xA5 else short
    for data in (wrong, ended, seed.frame[:-2], seed.frame[:-3] + good, b"\1" + lying, lying):
        out = redacted(bytes(data))
        assert not leaks(out, [seed.secret])
    for data in (wrong, ended, seed.frame[:-2], seed.frame[:-3] + good):
        again = redacted(bytes(data) + v5(0x7E, seed.secret.encode()), keep_unknown=True)
        assert not leaks(again, [seed.secret])


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.name)
def test_of_a_frame_cut_anywhere_no_half_of_a_serial_is_left(seed: Seed) -> None:
    own = LOGGER.to_bytes(4, "little")
    for size in range(len(seed.frame)):
        out = redacted(seed.frame[:size])
        assert len(out) == size
        if seed.frame[0] == 0xA5:
            assert out[7:10] != own[:3] or size < 10
        assert seed.secret[:6].encode() not in out


def numbers(serial: str) -> dict[str, bytes]:
    number = int(serial)
    size = max(4, (number.bit_length() + 7) // 8)
    big = number.to_bytes(size, "big")
    found = {"big": big, "little": big[::-1], "two digits a byte": bytes.fromhex(serial)}
    if size == 4:
        found |= {"words turned": big[2:] + big[:2], "bytes turned": big[1::-1] + big[:1:-1]}
    return found


@pytest.mark.parametrize("serial", [DIGITS, "17000001", "99999999", "123456789012", "9876543210"])
def test_a_serial_is_found_where_it_is_a_number_in_unknown_bytes(serial: str) -> None:
    status = alpha(1, 16, f'{{"SN":"{serial}"}}'.encode())
    for name, octets in numbers(serial).items():
        for place in (v5(0x7E, b"\xff" + octets + b"\xff"), b"\xff" + octets, b"\0\0" + octets):
            out = redacted(place + status, keep_unknown=True)
            assert octets not in out, name


@pytest.mark.parametrize("upper", [False, True], ids=["small", "capital"])
@pytest.mark.parametrize("order", [1, -1], ids=["big", "little"])
def test_hexadecimal_text_is_found_whatever_separates_its_digits(order: int, upper: bool) -> None:  # noqa: FBT001
    mac = bytes.fromhex(SECRETS[Private.MAC].replace(":", ""))
    for octets in (LOGGER.to_bytes(4, "big"), mac):
        digits = octets[::order].hex()
        digits = digits.upper() if upper else digits
        pairs = [digits[at : at + 2] for at in range(0, len(digits), 2)]
        fours = [digits[at : at + 4] for at in range(0, len(digits), 4)]
        texts = [sep.join(pairs) for sep in ("", ":", "-", " ", ".", "_", ",", ", ", ",0x", "\\x")]
        texts += [sep.join(fours) for sep in ":-. "]
        texts += [f"0x{text}" for text in texts[:]]
        for text in texts:
            line = f"note peer {text} here".encode()
            for place in (
                line + b"\r\n",
                v5(0x7E, b"\1" + line),
                alpha(1, 4, b'{"M":"%b"}' % line),
            ):
                out = redacted(v5(0x41, bytes(59) + mac) + place, keep_unknown=True)
                assert text.encode() not in out, text
                assert b"note peer " in out
                assert b" here" in out


def test_a_secret_cut_in_two_by_the_border_of_two_runs_is_found() -> None:
    serial, mac = SECRETS[Private.SERIAL], bytes.fromhex(SECRETS[Private.MAC].replace(":", ""))
    redactor = Redactor(KEY, keep_unknown=True)
    declared = alpha(1, 16, f'{{"SN":"{serial}"}}'.encode()) + v5(0x41, bytes(59) + mac)
    for found in decode(declared):
        redactor.learn(found.item)
    for secret in (serial.encode(), mac):
        for cut in range(1, len(secret)):
            left, right = b"\xee" + secret[:cut], secret[cut:] + b"\xee"
            one, two = (
                redactor.redact(Unframed(0, raw, Reason.JUNK, ""), before, after)
                for raw, before, after in ((left, b"", right), (right, left, b""))
            )
            assert len(one + two) == len(left + right)
            assert not leaks(one + two, [serial, SECRETS[Private.MAC]])
            assert secret[:cut] not in one or cut < 3


def test_secrets_that_overlap_are_blanked_whole() -> None:
    declared = alpha(1, 4, b'{"InvSN":"ABCD123456","WifiSN":"3456EFGHIJ"}')
    out = redacted(declared + b"\0ABCD123456EFGHIJ\0", keep_unknown=True)
    assert b"\0" + b"*" * 16 + b"\0" in out
    inner = alpha(1, 4, b'{"InvSN":"ABCD123456","WifiSN":"CD1234"}')
    out = redacted(inner + b"\0ABCD123456\0", keep_unknown=True)
    first = decode(out)[0].message
    assert first is not None
    assert b"\0" + first.fields["InvSN"].encode() + b"\0" in out


def test_numbers_under_private_keys_stay_numbers_and_what_is_to_be_blanked_is() -> None:
    payload = b'{"PhoneNumber":5551234567,"License":-77788899,"SN":12345678,"Address":0,"SOC":"5"}'
    message = decode(redacted(alpha(1, 4, payload)))[0].message
    assert message is not None
    assert message.fields["PhoneNumber"] == 1111111111
    assert message.fields["License"] == -11111111
    assert message.fields["Address"] == 0
    assert len(str(message.fields["SN"])) == 8
    assert message.fields["SN"] != 12345678
    assert message.fields["SOC"] == 5


def test_known_keys_stay_in_text_that_cannot_be_read_as_messages_are_told_by_them() -> None:
    data = alpha(2, 9, b'\0{"Command":"Bob 5551234","Bob":"Command"')
    out = redacted(data)
    assert b'{"Command":"***********","***":"Command"' in out
    names = [found.message and found.message.name for found in (*decode(data), *decode(out))]
    assert names == ["command", "command"]


def test_a_serial_that_is_an_endless_number_is_blanked() -> None:
    out = redacted(alpha(1, 16, b'{"SN":' + b"9" * 5001 + b"}"))
    assert b'{"SN":' + b"1" * 5001 + b"}" in out


def test_keys_that_nobody_declared_are_known_by_their_names() -> None:
    for key, kind in {
        "UserPassword": Private.PASSWORD,
        "WSKEY": Private.PASSWORD,
        "BatterySN19": Private.SERIAL,
        "sn": Private.SERIAL,
        "Latitude": Private.ADDRESS,
        "lng": Private.ADDRESS,
        "EMail": Private.USER,
        "MacAddress": Private.MAC,
        "LocalIP": Private.IP,
        "Capacity": None,
        "Platform": None,
        "Relay": None,
    }.items():
        assert told_by_name(key) is kind
    payload = b'{"UserPassword":"hunter2hunter","BatterySN19":"QQ77345678","Latitude":"48.13"}'
    out = redacted(alpha(1, 4, payload) + b"\0 QQ77345678", keep_unknown=True)
    assert not leaks(out, ["hunter2hunter", "QQ77345678", "48.13"])


def test_keys_inside_nested_values_are_judged_as_those_outside() -> None:
    payload = (
        b'{"net": {"Password" : "deepsecret", "SN":"DEEPSN12345", "a":"plain", "n":7},'
        b'"list":[{"WifiPassword":"pw-in-list"},'
        b'{"x":{"token":{"a":["of a token",7788991],"b":""}}}],'
        rb'"text":"{\"a]}}","SOC":"50","\u0050assword":{"Pass\u0077ord":"again"}}'
    )
    frame = alpha(1, 4, payload)
    private = ["deepsecret", "DEEPSN12345", "pw-in-list", "of a token", "7788991", "again"]
    for data in (frame, frame[:-1] + b"\0", frame[:-2], frame.replace(b'"}}', b'"} ')):
        out = redacted(data + b"\0 DEEPSN12345 pw-in-list", keep_unknown=True)
        hidden = private if data is frame else private[:3]
        assert not leaks(out, hidden)
        assert b'"a":"plain", "n":7}' in out
    message = decode(redacted(frame, keep_unknown=True))[0].message
    assert message is not None
    assert message.fields["SOC"] == 50
    assert message.fields["list"][1] == {"x": {"token": {"a": ["*" * 10, 1111111], "b": ""}}}


def test_what_stands_behind_a_word_for_a_credential_is_blanked_in_any_case() -> None:
    for text in (b"AT+WSKEY=WPA2PSK,AES,tell nobody\r", b'"wifiPass" : "tell nobody", "a":1'):
        frame = v5(0x45, b"\1\2\0" + bytes(12) + text)
        out = redacted(frame + b"\0" + text, keep_unknown=True)
        assert not leaks(out, ["tell nobody"])
        assert text[:6] in out


def test_what_is_seen_of_a_masked_frame_is_hidden_and_not_looked_for() -> None:
    redactor = Redactor(KEY)
    frame = v5(0x47, b"\0")
    item = Unframed(0, frame, Reason.MASKED, "", decode(frame)[0].item.framing)
    assert LOGGER.to_bytes(4, "little") not in redactor.redact(item)
    assert len(redactor._sought) == 0


@pytest.mark.parametrize("lost", range(1, 5))
def test_behind_a_header_whose_first_bytes_are_lost_all_is_hidden(lost: int) -> None:
    mac = bytes.fromhex(SECRETS[Private.MAC].replace(":", ""))
    whole = v5(0x41, bytes(59) + mac + bytes(101) + SECRETS[Private.SSID].encode())
    serial = LOGGER.to_bytes(4, "little")
    for keep_unknown in (False, True):
        out = redacted(whole[lost:], keep_unknown=keep_unknown)
        assert not leaks(out, [str(LOGGER), SECRETS[Private.MAC], SECRETS[Private.SSID]])
        if lost < 4:
            assert serial not in redacted(b"\0" * 9 + whole[lost:], keep_unknown=keep_unknown)
    if lost < 4:
        masked = Unframed(0, bytes(lost) + whole[lost:], Reason.MASKED, "")
        assert not leaks(Redactor(KEY, keep_unknown=True).redact(masked), [str(LOGGER)])


def test_what_can_be_no_serial_behind_a_control_code_stays() -> None:
    for data in (
        b"\0\0\0\0\0\x10\x42\1\2\3\0\0\0\xff",
        b"\x42\1\2\xff\xff\xff\xff",
        b"\0\x10\x42\1",
    ):
        assert redacted(data, keep_unknown=True) == data


def test_texts_that_would_hardly_change_are_blanked() -> None:
    for odd in (b"!!!!----", b"(-_-)7"):
        out = redacted(v5(0x41, bytes(172) + odd.ljust(40, b"\0")) + odd, keep_unknown=True)
        assert odd not in out
        assert b"*" * len(odd) in out


def test_labels_hide_hosts_serials_and_secrets_that_are_known() -> None:
    redactor = Redactor(KEY, keep_unknown=True)
    redactor.learn(decode(v5(0x47, b"\0"))[0].item)
    label = redactor.label(f"logger-{LOGGER}@192.168.77.231:99")
    assert not leaks(label.encode(), [str(LOGGER), "192.168.77.231", "logger"])
    stand_in = redactor.redact(decode(v5(0x47, b"\0"))[0].item)[7:11]
    assert str(int.from_bytes(stand_in, "little")) in label
    assert redactor.label("12345678") != "12345678"
    assert redactor.label("conn 12345")[-6:] == " 12345" or redactor.label("12345") == "12345"
    junk = decode(b"\0see 192.168.77.231")[0].item
    assert b"192.168.77.231" not in redactor.redact(junk), "an address of a label is looked for"


def test_a_key_that_nobody_knows_tells_no_long_number() -> None:
    out = redacted(alpha(1, 4, b'{"n5551234567":"1","SOC":"50"}'))
    message = decode(out)[0].message
    assert message is not None
    assert message.fields == {"n1111111111": "1", "SOC": 50}


def test_digits_in_quotation_marks_under_a_key_that_nobody_knows_may_be_a_pin() -> None:
    out = redacted(alpha(1, 4, b'{"Code":"9912","A":"991","B":"99.12","C":"-9912","D":9912}'))
    values = [b"****", b"991", b"99.12", b"-9912"]
    assert all(b'":"' + value + b'"' in out for value in values)
    assert b":9912}" in out


def test_a_text_in_the_place_of_a_number_becomes_none() -> None:
    out = redacted(alpha(1, 16, b'{"Ppv1":"0000000","Ppv2":"00.50","PmeterL1":"12 34 56"}'))
    assert b'{"Ppv1":"*******","Ppv2":"00.50","PmeterL1":"********"}' in out


def test_what_stands_beside_unframed_bytes_stays_where_it_is() -> None:
    redactor = Redactor(KEY, keep_unknown=True)
    redactor.learn(decode(alpha(1, 16, b'{"SN":"QX55667788"}'))[0].item)
    item = Unframed(0, b"plain", Reason.JUNK, "")
    assert redactor.redact(item, b"QX55667788", b" QX55667788") == b"plain"


def test_secrets_are_found_plain_and_with_escapes_in_one_text() -> None:
    text = rb'{"SN":"QX55667788","Minv":"QX55667788 \u0051X\u00355667788 Q\/"}'
    out = redacted(alpha(1, 16, text))
    message = decode(out)[0].message
    assert message is not None
    assert message.fields["Minv"] == f"{message.fields['SN']} {message.fields['SN']} Q/"


def test_secrets_of_very_many_lengths_that_begin_alike_are_counted() -> None:
    redactor = Redactor(KEY)
    for length in range(6, 60):
        serial = "AB12" + "7" * length
        out = redactor.redact(decode(alpha(1, 16, f'{{"SN":"{serial}"}}'.encode()))[0].item)
        assert serial.encode() not in out
    assert sum(redactor.unjudged.values()) > 20


def test_every_kind_is_seeded() -> None:
    assert {seed.kind for seed in SEEDS} >= set(Private) - {Private.TEXT, Private.USER}
    assert BLANKED
    assert isinstance(payloads.HANDSHAKE, Layout)
    assert isinstance(payloads.HANDSHAKE.by_name["mac"].type, Octets)
