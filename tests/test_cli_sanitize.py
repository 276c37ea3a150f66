"""`sanitize` and `decode --redact`: what goes out may be shown to anybody."""

import json
from pathlib import Path

import pytest

from inverterproto import decode as decode_bytes
from inverterproto_cli import redacting
from tests.conftest import decode, invoke
from tests.vectors import fixtures

MICRO = fixtures("deye")["micro-5408-realtime"]
LOGIN = fixtures("alphaess")["login"]
SECRETS = (b"2301234567", b"2712345678", b"AL2002000001234", b'"secret"')


def clean(data: bytes) -> bool:
    hexes = data.lower()
    return not any(s in data or s.hex().encode() in hexes for s in SECRETS)


def names(data: bytes) -> list[str]:
    return [found.message.name for found in decode_bytes(data) if found.message]


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_bytes(b"0123456789abcdef")
    return path


def test_binary_stays_binary_and_hex_hex(tmp_path: Path, key: Path) -> None:
    data = MICRO + LOGIN
    binary, text = tmp_path / "in.bin", tmp_path / "in.hex"
    binary.write_bytes(data)
    text.write_text(data.hex(":"))
    for source in (binary, text):
        out = tmp_path / f"out{source.suffix}"
        run = invoke("sanitize", source, "-o", out, "--key-file", key)
        assert run.code == 0
        assert "1 password" in run.err
        assert "serial" in run.err
        assert clean(out.read_bytes())
    redacted = (tmp_path / "out.bin").read_bytes()
    assert names(redacted) == ["data", "login"]
    assert bytes.fromhex((tmp_path / "out.hex").read_text()) == redacted


def lines(chunks: list[tuple[str, bytes]]) -> bytes:
    entries = [
        {"at": 1712596443 + n, "connection": c, "from": "device", "data": d.hex(), "note": "bob"}
        for n, (c, d) in enumerate(chunks)
    ]
    return b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)


def test_a_capture_keeps_its_lines_though_frames_are_cut_and_connections_mixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = "192.0.2.7:4431", "bobs-host:99"
    capture = lines([(a, MICRO[:100]), (b, LOGIN[:9]), (a, MICRO[100:]), (b, LOGIN[9:]), (a, b"")])
    for limit, expected in ((1 << 20, ["data", "login"]), (20, [])):
        monkeypatch.setattr(redacting, "_HELD", limit)
        run = invoke("sanitize", "-", "-o", tmp_path / "out", "--force", stdin=capture)
        if not expected:
            assert run.code == 1
            continue
        assert run.code == 0, run.err
        out = (tmp_path / "out").read_bytes()
        assert clean(out)
        assert b"bob" not in out
        assert b"192.0.2.7" not in out
        entries = [json.loads(line) for line in out.splitlines()]
        assert [len(e["data"]) // 2 for e in entries] == [
            100,
            9,
            len(MICRO) - 100,
            len(LOGIN) - 9,
            0,
        ]
        assert [e["at"] for e in entries] == [1712596443 + n for n in range(5)]
        by = [e["connection"] for e in entries]
        assert by[0] == by[2] != by[1] == by[3]
        data = b"".join(bytes.fromhex(e["data"]) for e in entries if e["connection"] == by[0])
        assert names(data) == ["data"]


def test_a_broken_line_is_left_out_and_said(tmp_path: Path) -> None:
    capture = lines([("a", LOGIN)]) + b'{"data": "zz"}\n'
    run = invoke("sanitize", "-", "-o", tmp_path / "out", stdin=capture)
    assert run.code == 0
    assert "left out: input: line 2" in run.err


def test_streams_beyond_the_most_are_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redacting, "MOST_STREAMS", 2)
    capture = lines([(f"c{n}", LOGIN) for n in range(5)])
    run = invoke("sanitize", "-", "-q", "-o", tmp_path / "out", stdin=capture)
    assert (run.code, run.err) == (0, "")
    assert clean((tmp_path / "out").read_bytes())


def test_what_is_there_is_not_written_over_and_nothing_half_is_left(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("mine")
    source = tmp_path / "in.bin"
    source.write_bytes(LOGIN)
    assert invoke("sanitize", source, "-o", out).code == 2
    assert out.read_text() == "mine"
    assert invoke("sanitize", "00112233", "-o", out, "--force").code == 1
    assert out.read_text() == "mine"
    assert invoke("sanitize", source, "-o", out, "--force").code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.bin", "out"]
    assert invoke("sanitize", source, "-o", tmp_path / "no" / "out").code == 1


def test_the_input_is_never_written_over(tmp_path: Path) -> None:
    source, link = tmp_path / "in.bin", tmp_path / "link"
    source.write_bytes(LOGIN)
    link.symlink_to(source)
    for given, out in ((source, source), (source, link), (link, source)):
        run = invoke("sanitize", "--force", given, "-o", out)
        assert run.code == 2
        assert "is the input" in run.err
    assert source.read_bytes() == LOGIN


@pytest.mark.parametrize("option", [("--keep-unknown",), ("--key-file", "key")], ids=str)
def test_how_to_redact_is_not_said_without_redacting(option: tuple[str, ...]) -> None:
    run = decode(*option, LOGIN.hex())
    assert (run.code, run.out) == (2, "")
    assert f"{option[0]} is for --redact" in run.err


def test_wrong_usage_is_told(tmp_path: Path, key: Path) -> None:
    source = tmp_path / "in.bin"
    source.write_bytes(LOGIN)
    assert invoke("sanitize", source, key, "-o", "-").code == 2
    assert invoke("sanitize", source).code == 2
    assert invoke("sanitize", tmp_path / "none", "-o", "-").code == 1
    for bad in (tmp_path / "none", source):
        source.write_bytes(b"short")
        assert invoke("sanitize", "00", "-o", "-", "--key-file", bad).code == 2


def test_one_key_gives_one_output_and_a_random_one_others(key: Path) -> None:
    runs = [invoke("sanitize", LOGIN.hex(), "-o", "-", "--key-file", key).out for _ in range(2)]
    assert runs[0] == runs[1]
    assert invoke("sanitize", LOGIN.hex(), "-o", "-").out != runs[0]


@pytest.mark.parametrize("form", [(), ("--raw",), ("--json",), ("--csv",)], ids=str)
def test_decode_shows_nothing_private_when_asked_to(form: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "2301234567.bin").write_bytes(b"2301234567\0" + MICRO)
    (tmp_path / "b.bin").write_bytes(LOGIN)
    run = decode("--redact", *form, tmp_path / "2301234567.bin", tmp_path / "b.bin")
    assert run.code == 0
    assert clean(run.out.encode())
    assert "replaced or blanked" in run.err
    piped = decode("--redact", "-q", *form, stdin=MICRO + LOGIN)
    assert (piped.code, piped.err) == (0, "")
    assert clean(piped.out.encode())


def test_decode_gives_what_came_before_an_error(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(json.dumps({"data": LOGIN.hex()}) + "\n{" + " " * (1 << 25))
    run = decode("--redact", "--json", "--keep-unknown", "--family", "alphaess", path)
    assert run.code == 1
    assert json.loads(run.out.splitlines()[0])["name"] == "login"
    assert clean(run.out.encode())
