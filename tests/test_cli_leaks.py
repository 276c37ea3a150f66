"""What `sanitize` and `decode --redact` write, on either output, holds no secret of the input."""

import errno
import json
import os
import signal
import stat
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from inverterproto import decode as decode_bytes
from inverterproto.private import Private
from inverterproto_cli import redacting, sanitize
from inverterproto_cli.sources import Source
from tests.conftest import Run, decode, invoke
from tests.test_redact import LOGGER, SECRETS, leaks
from tests.test_redact_leaks import SEEDS, places
from tests.vectors import fixtures

ONE_OF_EACH = {(seed.kind, seed.frame[0]): seed for seed in SEEDS}.values()
DATA = b"".join(b"".join(places(seed.secret).values()) + seed.frame for seed in ONE_OF_EACH)
HIDDEN = [*{seed.secret for seed in SEEDS}, str(LOGGER)]
SERIAL = SECRETS[Private.SERIAL]


def capture(data: bytes) -> bytes:
    """Return a capture of data in small chunks on connections whose names are secret, too."""
    names = [f"{SECRETS[Private.IP]}:4431", f"bobs-{SERIAL}:99", SECRETS[Private.MAC], None]
    lines = []
    for number, at in enumerate(range(0, len(data), 977)):
        entry = {
            "at": 1712596443.5 + number,
            "connection": names[0],
            "data": data[at : at + 977].hex(),
        }
        lines.append(json.dumps({**entry, "from": "device", "note": SERIAL}))
    lines += [
        json.dumps({"connection": name, "data": DATA[:99].hex(), "from": SERIAL})
        for name in names[1:]
    ]
    lines.append(json.dumps({"at": SERIAL, "data": "00"}))
    lines.append(json.dumps({"data": f"{SERIAL}"}))
    lines.append('{"data": "' + SERIAL)
    return "\n".join(lines).encode()


def log(data: bytes) -> bytes:
    """Return a log of data with secrets between the bytes."""
    lines = [f"12:00:01 INFO serial {SERIAL} wifi {SECRETS[Private.SSID]}"]
    lines += [
        f"12:00:02 {SECRETS[Private.IP]} SENT: {found.item.raw.hex(' ')}"
        for found in decode_bytes(data)
    ]
    return "\n".join(lines).encode()


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "binary": lambda data: data,
    "hex": lambda data: data.hex(":").encode(),
    "capture": capture,
    "log": log,
}


@pytest.mark.parametrize("keep", [(), ("--keep-unknown",)], ids=["blank", "keep"])
@pytest.mark.parametrize("form", FORMS)
def test_sanitize_leaks_nothing(form: str, keep: tuple[str, ...], tmp_path: Path) -> None:
    source, out = tmp_path / f"{SERIAL}.dump", tmp_path / "out"
    source.write_bytes(FORMS[form](DATA))
    run = invoke("sanitize", source, "-o", out, *keep)
    assert run.code == 0
    assert not leaks(out.read_bytes() + run.err.encode() + run.out.encode(), HIDDEN)
    again = decode("--json", out)
    assert not leaks(again.out.encode(), HIDDEN)
    names = [entry["name"] for entry in map(json.loads, again.out.splitlines()) if "name" in entry]
    assert {"data", "handshake", "configuration", "event_log", "stored_records"} <= set(names)


@pytest.mark.parametrize("keep", [(), ("--keep-unknown",)], ids=["blank", "keep"])
@pytest.mark.parametrize("shown", [(), ("--raw",), ("--json",), ("--csv",), ("-v",)], ids=str)
@pytest.mark.parametrize("form", ["binary", "capture", "log"])
def test_decode_redacted_leaks_nothing(
    form: str, shown: tuple[str, ...], keep: tuple[str, ...], tmp_path: Path
) -> None:
    source = tmp_path / f"{SERIAL}.dump"
    source.write_bytes(FORMS[form](DATA))
    run = decode("--redact", *shown, *keep, source, source)
    assert not leaks(run.out.encode() + run.err.encode(), HIDDEN)
    assert run.code == (1 if form == "capture" and "-x" in shown else 0)


def test_of_standard_input_it_is_said_that_it_is_read_once() -> None:
    run = decode("--redact", "--json", stdin=DATA)
    assert "standard input is read once" in run.err
    frame = json.loads(decode("--redact", "--json", stdin=DATA).out.splitlines()[-1])
    assert frame["type"] == "frame"


def sanitized(tmp_path: Path, *options: str | Path) -> Run:
    source = tmp_path / "in.bin"
    source.write_bytes(DATA)
    return invoke("sanitize", source, *options)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_file(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(number)

    def stopped(_self: object, _chunk: object) -> bytes:
        signal.raise_signal(number)
        return b""

    monkeypatch.setattr(sanitize._Spelling, "feed", stopped)
    assert sanitized(tmp_path, "-o", tmp_path / "out").code == 128 + number
    assert [path.name for path in tmp_path.iterdir()] == ["in.bin"]
    assert signal.getsignal(number) is before


def test_a_signal_while_reading_makes_no_shorter_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:
            if self.tell():
                signal.raise_signal(signal.SIGINT)
            return super().read1(size)

    found = [Source("x", lambda: Interrupted(DATA), len(DATA))]
    monkeypatch.setattr(sanitize, "find_sources", lambda _inputs: found)
    assert sanitized(tmp_path, "-o", tmp_path / "out").code == 130
    assert [path.name for path in tmp_path.iterdir()] == ["in.bin"]


def test_a_full_disk_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    run = sanitized(tmp_path, "-o", tmp_path / "out")
    assert (run.code, "No space left" in run.err) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == ["in.bin"]


def test_a_file_is_written_over_if_asked_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "old.bin"
    path.write_bytes(DATA)
    assert sanitized(tmp_path, "-o", path).code == 2
    assert path.read_bytes() == DATA
    assert sanitized(tmp_path, "-o", path, "--force").code == 0
    assert len(path.read_bytes()) == len(DATA)
    assert not leaks(path.read_bytes(), HIDDEN)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_stays_and_what_it_names_is_written_over(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("old")
    link.symlink_to(real)
    assert sanitized(tmp_path, "-o", link).code == 2
    assert sanitized(tmp_path, "-o", link, "--force").code == 0
    assert link.is_symlink()
    assert len(real.read_bytes()) == len(DATA)


def test_what_is_no_file_is_written_to_and_stays_what_it_is(tmp_path: Path) -> None:
    assert sanitized(tmp_path, "-o", "/dev/null", "--force").code == 0
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert sanitized(tmp_path, "-o", "/dev/full").code == 1
    assert sanitized(tmp_path, "-o", tmp_path).code == 2
    assert sanitized(tmp_path, "-o", tmp_path, "--force").code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in.bin"]


def test_masked_bytes_stay_masked_and_of_a_text_the_bytes_alone_are_kept(tmp_path: Path) -> None:
    frame = next(seed.frame for seed in SEEDS if seed.name.startswith("handshake.ssid"))
    digits = frame.hex(" ")
    masked = digits[:21] + "** ** **" + digits[29:]
    out = tmp_path / "out"
    run = invoke("sanitize", f"my log: {masked}", "-o", out)
    assert run.code == 0, run.err
    assert "only its bytes were kept" in run.err
    assert "******" in out.read_text()
    assert "my log" not in out.read_text()
    assert not leaks(out.read_bytes(), [SECRETS[Private.SSID]])
    again = decode("--json", out)
    assert '"reason": "masked' in again.out.replace('":"', '": "')


def test_empty_lines_of_a_capture_do_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redacting, "_HELD", 10_000)
    most = 0
    give = redacting.Redacting._give

    def watched(self: redacting.Redacting) -> object:
        nonlocal most
        most = max(most, len(self._waiting))
        return give(self)

    monkeypatch.setattr(redacting.Redacting, "_give", watched)
    lines = ['{"data": "a5ff00"}', *['{"data": ""}'] * 1000, json.dumps({"data": DATA.hex()})]
    source = tmp_path / "in.jsonl"
    source.write_text("\n".join(lines))
    assert invoke("sanitize", source, "-o", tmp_path / "out").code == 0
    assert len((tmp_path / "out").read_text().splitlines()) == len(lines)
    assert most < 100


OWN_LAYOUT = 'name = "own"\ntitle = "Own"\nsensor_type = 0x5408\nchecked = true\nsource = "own"\n'


@pytest.mark.parametrize(
    "fields",
    [
        "",
        'offset = 21\nname = "sticker"\ntype = "text 10"',
        'offset = 21\nname = "sticker"\ntype = "u16le"',
        'offset = 40\nname = "inverter_serial"\ntype = "u8"',
    ],
    ids=["nothing", "text", "number", "name"],
)
def test_what_a_layout_forgets_to_mark_as_private_is_so_as_before(
    fields: str, tmp_path: Path
) -> None:
    path = tmp_path / "own.toml"
    declared = f'[[field]]\n{fields}\nconfidence = "A"\nsource = "own"\n' if fields else ""
    path.write_text(OWN_LAYOUT + declared)
    source = tmp_path / "in.bin"
    source.write_bytes(fixtures("deye")["micro-5408-realtime"])
    run = invoke("sanitize", "--keep-unknown", "--layout", path, source, "-o", tmp_path / "out")
    assert run.code == 0, run.err
    assert "private bytes not marked so: taken for private as before" in run.err
    assert b"23012345" not in (tmp_path / "out").read_bytes()
    assert b"01234567" not in (tmp_path / "out").read_bytes()
    path.write_text(invoke("layout", "export", "0x5408").out)
    assert "private" not in invoke("decode", "-q", "--layout", path, source).err
