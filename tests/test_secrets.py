"""What a full run of the server writes holds no password and no token, wherever one was sent.

Every place gets a secret of its own. Afterwards all that was written (the store, its log, the
capture, the log, the readings) is searched for each six characters of each secret, as they are and
as hex, so that half a secret is found, too.
"""

import json
import re
import string
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from signal import SIGUSR1

import pytest

from inverterproto.alphaess.messages import (
    EVENTS,
    FULL_RECORD,
    KEEP_ALIVE,
    LIVE_STATUS,
    LOGIN,
    OWN_CONFIGURATION,
    STORED_RECORDS,
)
from inverterproto.deye.bodies import AT_INTERIM_KIND, AT_KIND
from inverterproto.stream import PIECE
from inverterproto_cli.store import Reader
from tests.alphaess_vectors import CONFIGURATION, RAW, SN, raw_frame
from tests.clients import Peer, battery_record, battery_status, data, v5
from tests.programs import Program, fake_server
from tests.vectors import frame

WINDOW = 6
"""So many characters of a secret in a row are a leak."""
_LETTERS = string.ascii_letters + string.digits
_find_runs = re.compile(rb"[A-Za-z0-9]{%d,}" % WINDOW).findall
_find_hex = re.compile(rb"[0-9A-Fa-f]{%d,}" % (2 * WINDOW)).findall


class Secrets:
    """Makes secrets, and finds them again.

    Attributes:
        made: each secret, with the place it was made for.
    """

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self.made: dict[bytes, str] = {}
        self._windows: dict[bytes, str] = {}

    def __call__(self, place: str, length: int = 20) -> bytes:
        secret = "".join(self._random.choices(_LETTERS, k=length)).encode()
        self.made[secret] = place
        for at in range(length - WINDOW + 1):
            self._windows[secret[at : at + WINDOW]] = place
        return secret

    def found_in(self, written: bytes) -> set[str]:
        """Return the places whose secrets stand in what was written, in whole or in part."""
        return {
            place
            for text in (written, *spelled_as_hex(written))
            for run in _find_runs(text)
            for at in range(len(run) - WINDOW + 1)
            if (place := self._windows.get(run[at : at + WINDOW])) is not None
        }


def spelled_as_hex(written: bytes) -> Iterator[bytes]:
    """Yield the bytes that stand somewhere as hex, wherever they may begin."""
    for run in _find_hex(written):
        for start in (0, 1):
            yield bytes.fromhex(run[start : start + (len(run) - start) // 2 * 2].decode())


def broken(raw: bytes) -> bytes:
    """Return a frame with a wrong checksum."""
    at = -2
    return raw[:at] + bytes((raw[at] ^ 0x55,)) + raw[at + 1 :]


def at_text(kind: int, text: bytes) -> bytes:
    """Return a payload that a stick answers an AT command with."""
    return bytes((kind, 1)) + bytes(12) + text


def battery_says(secret: Secrets) -> Iterator[bytes]:
    """Yield what a battery sends, a connection each."""

    def login(password: bytes) -> bytes:
        said = b'{"UserName":"%b","Password":"%b","CompanyName":"AlphaESS"}'
        return raw_frame(1, LOGIN, said % (SN.encode(), password))

    yield login(secret("login"))
    yield login(secret("login with an escape") + b'\\"' + secret("behind an escape"))
    yield broken(login(secret("login with a bad checksum")))
    for size in range(30, 70, 3):
        yield login(secret(f"login broken off after {size} bytes"))[:size]
    for change in (-9, -1, 1, 9):
        raw = login(secret(f"login with a length wrong by {change}"))
        yield raw[:6] + bytes((raw[6] + change,)) + raw[7:] + RAW["keep-alive"] * 3
    for size in range(20, 75, 5):
        # A broken frame that ends somewhere in the text of the next.
        head = b"\x01\x01\x10\x00\x00\x00" + bytes((size,)) + b'{"a":"b"'
        yield head + login(secret(f"login in a broken frame of {size}")) + RAW["keep-alive"]
    keys = ("WifiPassword", "InstallerPass", "ApiToken", "WifiKey", "RouterPwd", "MqttSecret")
    for key in keys:
        said = b'{"SN":"%b","%b":"%b","Popv":"9.2"}'
        value = secret(f"configuration: {key}")
        whole = raw_frame(1, OWN_CONFIGURATION, said % (SN.encode(), key.encode(), value))
        yield whole
        yield broken(whole.replace(value, secret(f"broken configuration: {key}")))
    yield raw_frame(1, EVENTS, b'{"Description":"password: %b"}' % secret("event log"))
    yield raw_frame(1, EVENTS, b'{"Description":"{\\"pwd\\":\\"%b\\"}"}' % secret("nested"))
    yield raw_frame(1, KEEP_ALIVE, b"token=%b&a=b" % secret("keep-alive"))
    yield raw_frame(1, 77, b"user=me&password=%b" % secret("unknown command"))
    yield raw_frame(1, 77, b"SN,Password\n%b,%b\n" % (SN.encode(), secret("unknown table")))
    for command in (LIVE_STATUS, FULL_RECORD):
        said = b'{"SN":"%b","Time":"2021/03/24 09:40:13","Password":"%b"}'
        yield raw_frame(1, command, said % (SN.encode(), secret(f"measurement {command}")))
    said = b"SN,Time,Password\n%b,2021/03/24 09:40:13,%b\n"
    yield raw_frame(1, STORED_RECORDS, said % (SN.encode(), secret("stored record")))
    yield raw_frame(2, 77, b'{"access_token":"%b"}' % secret("unknown reply"))


def logger_says(secret: Secrets) -> Iterator[bytes]:
    """Yield what a logger sends, a connection each."""
    for what, text in {
        "+ok": b"+ok=%b\r\n\r\n",
        "+ok with a cipher": b"+ok=WPA2PSK,AES,%b\r\n",
        "key": b"AT+WSKEY=WPA2PSK,AES,%b\r",
        "users": b"AT+WEBU=admin,%b\r",
        "address": b"AT+UPURL=http://me:%b@203.0.113.9/fw.bin,LSW\r",
    }.items():
        for kind, code in ((AT_KIND, 0x1510), (AT_INTERIM_KIND, 0x0510), (AT_KIND, 0x4510)):
            where = f"{what} in {code:#06x}"
            yield v5(code, at_text(kind, text % secret(where)))
            yield broken(v5(code, at_text(kind, text % secret(f"{where}, bad checksum"))))
            yield v5(code, at_text(kind, text % secret(f"{where}, cut")))[:-9]
        yield text % secret(f"{what}, unframed")
        yield b"\xa5\x01" + text % secret(f"{what} beside junk") + b"\xa5\xff\xff\x10"
        yield data(1) + text % secret(f"{what} between frames") + data(2)
        for before in (3, 8, 12, 20, 26, 30, 45):
            filler = b"x" * (PIECE - before - 2) + b"\r\n"
            yield filler + text % secret(f"{what}, {before} before a border") + b"\r\n"
        for size in range(4, 60, 5):
            # A broken frame that ends somewhere in the text.
            head = b"\xa5" + bytes((size,)) + b"\x00\x10\x42\x01\x01"
            said = text % secret(f"{what} in a broken frame of {size}")
            yield head + said + b"\x00" * 60 + data(3)
    long = secret("longer than a piece", 3 * PIECE)
    yield b"AT+WSKEY=" + long + b"\r\n"
    yield b"GET /a?token=%b HTTP/1.1\r\n\r\n" % secret("query")
    for name in ("Authorization: Basic", "Cookie: a=b; session=", "Password:"):
        yield b"GET / HTTP/1.1\r\n%b %b\r\n\r\n" % (name.encode(), secret(name))
    for code in (0x4110, 0x4310, 0x4810, 0x4910, 0x9910):
        yield v5(code, bytes(40) + b"psk=%b\0\0" % secret(f"in {code:#06x}"))
    yield v5(0x4210, b"\x01\xee\xee" + bytes(40) + b"WPA2PSK,AES,%b\0" % secret("unknown data"))


def say(port: int, raw: bytes, step: int) -> None:
    """Send some bytes in segments, then say that this was all; wait for the server's end."""
    with Peer(port) as peer:
        for at in range(0, len(raw), step):
            peer.send(raw[at : at + step])
        peer.half_close()
        peer.read_to_end()


def written(folder: Path, server: Program) -> bytes:
    """Return all that a server wrote until now."""
    files = [path.read_bytes() for path in sorted(folder.iterdir())]
    return b"\n".join((*files, said(server)))


def said(server: Program) -> bytes:
    """Return what a server wrote on standard output and standard error."""
    return "\n".join((*server.out, *server.err)).encode()


def household(private: Secrets) -> Iterator[bytes]:
    """Yield what tells of a household: to be kept, and not to be said."""
    wifi = frame("tsun-wifi")
    yield replace(wifi, payload=wifi.payload.replace(b"HomeNetwork", private("SSID", 11))).build()
    yield b"AT+WSSSID=%b\r\n" % private("SSID, unframed")
    keys = ("License", "Address", "ZipCode", "PhoneNumber", "OwnerEmail")
    members = b",".join(b'"%b":"%b"' % (key.encode(), private(key)) for key in keys)
    yield raw_frame(1, OWN_CONFIGURATION, b'{"SN":"%b",%b}' % (SN.encode(), members))
    yield broken(raw_frame(1, OWN_CONFIGURATION, b'{"Address":"%b"}' % private("broken")))


@pytest.mark.parametrize(("form", "step"), [("text", 1 << 16), ("json", 7), ("json", 1)])
def test_no_secret_is_written_anywhere(form: str, step: int, tmp_path: Path) -> None:
    secret, private = Secrets(step), Secrets(99)
    folder = tmp_path / "written"
    folder.mkdir()
    configuration = tmp_path / "configuration.json"
    members = b',"WifiPassword":"%b"}' % secret("configuration file")
    configuration.write_bytes(CONFIGURATION.rstrip()[:-1] + members)
    served = next(iter(secret.made))
    options = ("--json", "-v", "--log-format", form, "--config-file", f"{SN}={configuration}")
    store, capture = folder / "store.db", folder / "capture.jsonl"
    with fake_server("--store", store, "--capture", capture, *options) as server:
        (port,) = server.ports()
        with Peer(port) as peer:
            peer.ask(battery_status(1, SN))
            assert served in peer.ask(RAW["config-request"]), "the battery gets it"
            peer.ask(battery_record(1, SN))
        with Peer(port) as peer:
            peer.ask(data(0))
        for raw in (*battery_says(secret), *logger_says(secret), *household(private)):
            say(port, raw, max(step, len(raw) // 400))
        server.line(r'"active_power"', of="out")
        server.signal(SIGUSR1)
        server.line("counters: ")
        assert secret.found_in(written(folder, server)) == set()
        assert server.stop() == 0
        assert secret.found_in(written(folder, server)) == set()
        assert private.found_in(said(server)) == set()
        assert len(private.found_in(store.read_bytes())) == len(private.made), "it is to be kept"
        assert "fault" not in " ".join(server.err)
    with Reader(store) as reader:
        masked = [record for record in (*reader.newest(), *reader.unknown()) if record.masked]
        assert len(masked) > 100, "what held a secret is kept but for the secret"
    assert all(json.loads(line)["data"] for line in capture.read_text().splitlines())


def test_half_a_secret_would_be_found() -> None:
    secret = Secrets(1)
    value = secret("a place")
    for text in (value, value[3:9], value[5:11].hex().encode(), b"0" + value[9:15].hex().encode()):
        assert secret.found_in(b'{"data": "' + text + b'"}') == {"a place"}
    assert secret.found_in(value[:5] + b"*" + value[7:12]) == set()
