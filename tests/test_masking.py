"""Credentials in bytes that nobody declared: masked, and nothing else is."""

import pytest
from construct import Int8ul
from hypothesis import given
from hypothesis import strategies as st

from inverterproto.deye.frame import Frame
from inverterproto.deye.masking import mask_frame, mask_payload, password_spans
from inverterproto.layout import Field, Layout, Text
from inverterproto.masking import RunMasker, mask_text
from inverterproto.private import Private
from tests.vectors import AT_TEXT, BARE_MODBUS, CLIENT_HELLO, VALID, fixtures, raw

SECRET = b"hunter2x"


@pytest.mark.parametrize(
    "text",
    [
        b"AT+WSKEY=hunter2x\r",
        b"AT+WSKEY=WPA2PSK,AES,hunter2x\r\n",
        b"at+wakey=wpa2psk,aes,hunter2x",
        b"AT+WEBU=admin,hunter2x\r",
        b"AT+ASWD=hunter2x\r",
        b"AT+UPURL=http://me:hunter2x@203.0.113.9/fw.bin,LSW\r",
        b"+ok=WPA2PSK,AES,hunter2x\r\n\r\n",
        b"+ok=admin,hunter2x",
        b"+ok=hunter2x",
        b"\x00\x01WPAPSK,TKIP,hunter2x\x00",
        b"OPEN,WEP-H,hunter2x",
        b'{"SN":"A","Password":"hunter2x","User":"b"}',
        b'{"password" : "hunter2x\\"more"}',
        b"{'wifi_password': 'hunter2x'}",
        b'{\\"pwd\\":\\"hunter2x\\",\\"a\\":1}',
        b'{"token":hunter2x,"a":1}',
        b"ssid=home&psk=hunter2x&go=1",
        b"password=hunter2x with blanks\nnext",
        b'{"UserPass":"hunter2x"}',
        b"<pass>hunter2x</pass>",
        b"pass: hunter2x",
        b"Password: hunter2x",
        b"Authorization: Basic hunter2x==\r\n",
        b"Cookie: session=hunter2x",
        b"api_key=hunter2x",
        b"<password>hunter2x</password>",
        b"mqtt://user:hunter2x@broker:1883",
        b"mqtt://:hunter2x@broker",
        "password=hünter".encode() + SECRET,
        b"SN,Password\nAL2,hunter2x\n",
        b'SN;"Wifi Pwd";Name\r\n\r\nAL2; hunter2x ;b\r\n',
        b"SN,Token,Name\nA,a,b\nAL2,x,hunter2x,b\n",
        b"SN,Token\nA,a\nAL2,a,hunter2x\n",
        b"SN,Token\nA,secret\nAL2,hunter2x\n",
    ],
)
def test_what_looks_like_a_credential_is_masked_in_its_place(text: bytes) -> None:
    masked = mask_text(text)
    assert SECRET not in masked
    assert len(masked) == len(text)
    assert masked[text.find(SECRET)] == ord("*")
    assert mask_text(masked) == masked, "once is enough"


@pytest.mark.parametrize("coding", ["utf-16-le", "utf-16-be", "utf-16"])
def test_text_of_two_bytes_a_character_is_masked(coding: str) -> None:
    text = '{"UserName":"AL2","Password":"hunter2x"}'
    said = b"\x01" + text.encode(coding) + b"\x00\x07"
    assert mask_text(said) == said.replace(
        "hunter2x".encode(coding)[-16:], ("*" * 8).encode(coding)[-16:]
    )
    assert mask_text(said) != said


def test_columns_of_a_table_are_masked_below_each_header() -> None:
    assert mask_text(b"SN,Pwd,SOC\nA,abc,5\nB\n\nPwd,SN\nabc,C,more\n") == (
        b"SN,Pwd,SOC\nA,***,5\nB\n\nPwd,SN\n***,*,****\n"
    )


def test_only_the_value_is_masked() -> None:
    assert mask_text(b"AT+WSKEY=secret\r\nAT+WSSSID=home\r\n") == (
        b"AT+WSKEY=******\r\nAT+WSSSID=home\r\n"
    )
    assert mask_text(b'{"Password":"secret","SOC":"50"}') == b'{"Password":"******","SOC":"50"}'
    assert mask_text(b'{"Token":12345,"SOC":50}') == b'{"Token":*****,"SOC":50}'
    assert mask_text(b"user=me&password=secret&go=1") == b"user=me&password=******&go=1"
    assert mask_text(b"http://me:secret@host/") == b"http://me:******@host/"
    assert mask_text(b"<psk>secret</psk>") == b"<psk>******</psk>"


@pytest.mark.parametrize(
    "text",
    [
        AT_TEXT,
        BARE_MODBUS,
        CLIENT_HELLO,
        b"",
        b"+ok",
        b"+ERR=-1",
        b"AT+WSKEY\r",
        b"AT+TIME=214028,1,60,120\r",
        b"http://203.0.113.9:8080/a:b",
        b"GET / HTTP/1.1\r\nHost: a:1\r\n\r\n",
        b"password",
        b"password=\r\n",
        b"the key\r\nand more\r\n",
        b"SN,keys of the house\nA,b\n",
        b"SN," + b"n" * 60 + b"Password\nA,b\n",
    ],
)
def test_what_is_no_credential_stays(text: bytes) -> None:
    assert mask_text(text) == text


@pytest.mark.parametrize("name", sorted(fixtures("deye").keys() - {"tsun-at-interim-reply"}))
def test_real_frames_hold_none(name: str) -> None:
    assert mask_text(raw(name)) == raw(name)


@given(st.binary(max_size=300))
def test_masking_keeps_the_length_and_is_done_at_once(data: bytes) -> None:
    masked = mask_text(data)
    assert len(masked) == len(data)
    assert mask_text(masked) == masked


@pytest.mark.parametrize(
    "piece",
    [
        b"password",
        b"password=",
        b"AT+",
        b"AT+KEY",
        b"WPA",
        b"WPA,AES,",
        b"://",
        b"://a:",
        b'pwd":"',
        b"+ok=",
        b"key,\n",
        b"p\0w\0d\0=\0",
    ],
)
def test_masking_is_linear(piece: bytes) -> None:
    """A megabyte takes a second; were it quadratic, an hour, and the test's time would be up."""
    data = piece * (2**20 // len(piece))
    assert len(mask_text(data)) == len(data)


# V5 frames


@pytest.mark.parametrize("name", sorted(set(VALID) - {"tsun-at-interim-reply"}))
def test_a_frame_without_credentials_is_the_same_object(name: str) -> None:
    data = raw(name)
    assert mask_frame(data) is data


@pytest.mark.parametrize(
    ("control_code", "payload"),
    [
        (0x4510, b"\x01" + bytes(14) + b"AT+WSKEY=WPA2PSK,AES,hunter2x\r"),
        (0x1510, b"\x01\x01" + bytes(12) + b"+ok=WPA2PSK,AES,hunter2x"),
        (0x4910, b"\x01password=hunter2x"),
        (0x4210, b"\x01\xfe\xca" + bytes(18) + b"password=hunter2x"),
        (0x4310, b"\x01" + bytes(14) + b"password=hunter2x"),
    ],
)
def test_a_credential_in_a_frame_is_masked_and_the_checksum_right(
    control_code: int, payload: bytes
) -> None:
    frame = Frame(control_code, (1, 2), 2712345678, payload)
    masked = mask_frame(frame.build())
    again = Frame.parse(masked)
    assert SECRET not in masked
    assert len(masked) == len(frame.build())
    assert (again.control_code, again.sequence) == (control_code, (1, 2))


def test_data_of_a_known_sensor_type_is_not_looked_through() -> None:
    payload = b"\x01\x08\x54" + bytes(18) + b"pwd=123456"
    data = Frame(0x4210, (1, 2), 1, payload).build()
    assert mask_frame(data) is data


def test_a_declared_password_is_masked_where_it_is_declared() -> None:
    layout = Layout(
        "door",
        "Door",
        (
            Field(0, "kind", Int8ul),
            Field(1, "key", Text(8), private=Private.PASSWORD),
            Field(9, "more", Int8ul),
        ),
    )
    assert password_spans(layout) == ((1, 9),)
    assert mask_payload(layout, b"\1abc\0\0\0\0\0\7", search=False) == b"\1***\0\0\0\0\0\7"
    assert mask_payload(layout, b"\1ab", search=False) == b"\1**", "one that is cut short"
    assert mask_payload(layout, b"\1", search=False) == b"\1"


SPLIT = b'x{"Password":"hunter2x, and long","b":1}\r\nAT+WSKEY=WPA2PSK,AES,hunter2x\r\n'


@pytest.mark.parametrize("at", range(1, len(SPLIT)))
def test_a_credential_is_masked_across_the_border_of_two_runs(at: int) -> None:
    masker = RunMasker()
    masked = masker.mask(7, SPLIT[:at]) + masker.mask(7 + at, SPLIT[at:])
    assert masked.replace(b"*", b"") == mask_text(SPLIT).replace(b"*", b"")
    assert len(masked) == len(SPLIT)


@given(st.data())
def test_a_credential_is_masked_in_however_many_runs_it_comes(data: st.DataObject) -> None:
    secret = b"s3cret" * 100
    text = b"AT+WSKEY=" + secret + b"\r\n"
    masker, masked, at = RunMasker(), b"", 0
    while at < len(text):
        size = data.draw(st.integers(1, 200))
        masked += masker.mask(at, text[at : at + size])
        at += size
    assert masked == mask_text(text)


def test_what_is_no_continuation_is_looked_at_by_itself() -> None:
    masker = RunMasker()
    assert masker.mask(0, b"AT+WSKEY=hunter2x") == b"AT+WSKEY=********"
    assert masker.mask(100, b"nothing of that\r\n") == b"nothing of that\r\n"
    assert masker.mask(117, b"AT+TIME=1") == b"AT+TIME=1"


def test_the_password_of_an_address_at_the_end_of_a_run_is_masked() -> None:
    masker = RunMasker()
    assert masker.mask(0, b"mqtt://me:hunt") == b"mqtt://me:****"
    assert masker.mask(14, b"er2x@broker") == b"****@broker"
