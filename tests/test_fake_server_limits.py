"""The fake server's bounds, and what it says when they bite."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from inverterproto.alphaess.messages import LIVE_STATUS
from inverterproto.deye.commands import reply_bytes
from inverterproto.deye.frame import Frame
from inverterproto.deye.messages import Message
from inverterproto.session import MOST_UNFRAMED
from inverterproto_cli.server.access import Access
from inverterproto_cli.server.logs import MOST_LINES, Log
from tests.alphaess_vectors import RAW, SN, raw_frame
from tests.conftest import decode
from tests.serving import NOW, PATIENCE, Clock, Served, listened, serving, until
from tests.test_fake_server import ANSWER, DATA, HANDSHAKE, HEARTBEAT, SUCCESS, answer
from tests.test_store import no_room_beyond
from tests.vectors import AT_TEXT, BROKEN, CLIENT_HELLO, fixtures, raw

pytestmark = pytest.mark.asyncio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def of_logger(serial: int, frame: bytes = HEARTBEAT) -> bytes:
    """Return a frame as another logger would send it."""
    changed = frame[:7] + serial.to_bytes(4, "little") + frame[11:-2]
    return changed + bytes((sum(changed[1:]) & 0xFF, 0x15))


class TestConnections:
    async def test_more_than_so_many_are_refused_until_one_leaves(self) -> None:
        async with serving(access=Access(most=2)) as served:
            first, second = await served.device(), await served.device()
            await first.ask(HEARTBEAT, ANSWER)
            await second.ask(HEARTBEAT, ANSWER)
            for _ in range(2):
                async with await served.device() as third:
                    assert await third.rest() == b""
            assert served.lines.of("refused") == [
                "connection refused: at most 2 connections at once (--max-connections)"
            ]
            assert served.counts["connections refused"] == 2
            first.writer.close()
            await until(lambda: len(served.listener.connections) == 1)
            async with await served.device() as third:
                assert await third.ask(HEARTBEAT, ANSWER) == answer(HEARTBEAT)
            second.writer.close()
        assert served.listener.access.count == 0

    async def test_so_many_come_from_one_address(self) -> None:
        async with (
            serving(access=Access(most_per_address=1)) as served,
            await served.device() as first,
        ):
            await first.ask(HEARTBEAT, ANSWER)
            async with await served.device() as second:
                assert await second.rest() == b""
            assert "--max-per-address" in served.lines.of("refused")[0]

    async def test_who_says_no_frame_at_first_is_ended_after_a_minute(self) -> None:
        async with serving() as served, await served.device() as device:
            await until(lambda: served.listener.connections)
            served.pass_time(59)
            assert len(served.listener.connections) == 1
            served.pass_time(2)
            assert await device.rest() == b""
            assert served.counts["ended: silent"] == 1

    async def test_bytes_that_make_no_frame_are_no_life(self) -> None:
        async with serving(idle=100) as served, await served.device() as device:
            await device.ask(HEARTBEAT, ANSWER)
            for byte in DATA[:11]:
                device.send(bytes((byte,)))
                await until(lambda: served.listener.heard)
                served.pass_time(10)
            assert await device.rest() == b""
            assert served.counts["ended: silent"] == 1

    async def test_frames_are(self) -> None:
        async with serving(idle=100) as served, await served.device() as device:
            for step in range(5):
                now = NOW + 90 * step
                assert await device.ask(HEARTBEAT, ANSWER) == answer(HEARTBEAT, now)
                served.pass_time(90)
            served.pass_time(11)
            assert await device.rest() == b""

    async def test_who_does_not_read_its_answers_is_ended(self) -> None:
        async with serving() as served, await served.device() as device:
            device.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await until(lambda: served.listener.connections)
            [connection] = served.listener.connections
            burst = HEARTBEAT * 20_000
            async with asyncio.timeout(PATIENCE):
                while connection._stalled_since is None:
                    device.send(burst)
                    await asyncio.sleep(0)
            served.pass_time(61)
            await until(lambda: not served.listener.connections)
            assert served.counts["ended: stalled"] == 1


class TestWhatIsNoFrame:
    async def test_so_much_of_it_ends_a_connection(self, path: Path) -> None:
        async with serving(path) as served, await served.device() as device:
            await device.ask(HEARTBEAT, ANSWER)
            device.send(b"x" * (MOST_UNFRAMED + 4096))
            assert await device.rest() == b""
            [line] = served.lines.of("ended: no frame")
            assert "without a frame" in line

    async def test_it_is_kept_and_complained_of_once_an_hour(self, path: Path) -> None:
        async with serving(path) as served, await served.device() as device:
            await device.ask(HEARTBEAT, ANSWER)
            for number in range(5):
                device.send(AT_TEXT + bytes((0x31 + number,)) * 7 + HEARTBEAT)
                await device.receive(ANSWER)
            assert len(served.lines.of("unframed")) == 2  # as two kinds: AT text, and junk
            await served.safe()
            runs = [kept for kept in served.kept() if kept.kind == "unframed"]
            assert {kept.frame[:4] for kept in runs} >= {AT_TEXT[:4], b"1111", b"5555"}

    async def test_text_that_nothing_follows_is_told_after_half_a_minute(self, path: Path) -> None:
        async with serving(path) as served, await served.device() as device:
            await device.ask(HEARTBEAT, ANSWER)
            device.send(AT_TEXT)
            [connection] = served.listener.connections
            await until(lambda: connection._decoder.held)
            served.pass_time(29)
            assert served.lines.of("unframed") == []
            served.pass_time(2)
            assert "AT text" in served.lines.of("unframed")[0]

    async def test_a_broken_length_does_not_swallow_what_comes_next_for_long(self) -> None:
        broken = DATA[:1] + b"\xf0\x0f" + DATA[3:]  # it claims 4 KiB
        async with serving() as served, await served.device() as device:
            device.send(broken + HEARTBEAT)
            await until(lambda: served.listener.heard)
            served.pass_time(31)
            assert await device.receive(ANSWER) == answer(HEARTBEAT, NOW + 31)

    async def test_tls_is_told_and_ended_at_once(self) -> None:
        async with serving() as served:
            for _ in range(3):
                async with await served.device() as device:
                    device.send(CLIENT_HELLO)
                    assert await device.rest() == b""
            [line] = served.lines.of("tls")
            assert not served.lines.of("unframed"), "it is told already"
            assert "encrypts" in line
            assert served.counts["ended: tls"] == 3

    async def test_an_unknown_message_is_answered_kept_and_told_once_an_hour(
        self, path: Path
    ) -> None:
        unknown = [of_logger(2712345678, HEARTBEAT[:4] + b"\x4f" + HEARTBEAT[5:])]
        unknown += [frame[:5] + b"\x09" + frame[6:] for frame in unknown]
        unknown = [frame[:-2] + bytes((sum(frame[1:-2]) & 0xFF, 0x15)) for frame in unknown]
        async with serving(path) as served, await served.device() as device:
            for frame in unknown:
                assert await device.ask(frame, ANSWER) == reply_bytes(frame, int(NOW), 60)
            assert len(served.lines.of("unknown-message")) == 1
            assert served.lines.where("unknown-message") == (1, "deye", "2712345678")
            served.pass_time(3601)
            async with await served.device() as again:
                await again.ask(unknown[0], ANSWER)
            assert "1 times more" in served.lines.of("unknown-message")[1]
            assert {kept.kind for kept in served.kept()} == {"unknown"}


class TestDevices:
    async def test_so_many_are_kept_and_answered(self, path: Path) -> None:
        async with (
            serving(path, keeper={"most_devices": 2}) as served,
            await served.device() as device,
        ):
            for serial in (1, 2):
                await device.ask(of_logger(serial), ANSWER)
            for serial in range(3, 1000):
                device.send(of_logger(serial, DATA))
            assert await device.ask(of_logger(2), ANSWER) == answer(of_logger(2))
            [line] = served.lines.of("device-refused")
            assert "--max-devices" in line
            assert not served.lines.of("refused"), "it is told already"
            assert served.kept() == []

    async def test_only_those_that_are_named(self, path: Path) -> None:
        async with (
            serving(path, keeper={"only": ["2712345678"]}) as served,
            await served.device() as device,
        ):
            device.send(of_logger(7, DATA) + RAW["status-1"])
            assert await device.ask(DATA, ANSWER) == answer(DATA)
            assert [kept.via for kept in served.kept()] == ["2712345678"]
            assert "--device" in served.lines.of("device-refused")[0]

    async def test_who_does_not_say_its_name_is_none_of_them(self, path: Path) -> None:
        async with serving(path, keeper={"only": [SN]}) as served:
            async with await served.device() as device:
                for serial in (b"", b'"SN":"%b",' % (b"A" * 80)):
                    device.send(raw_frame(1, LIVE_STATUS, b'{%b"SOC":"50"}' % serial))
                device.send(RAW["event-log"] + raw_frame(1, 77, b"?"))
                device.half_close()
                assert await device.rest() == b""
            async with await served.device() as battery:
                assert await battery.ask(RAW["status-1"], SUCCESS)
                assert await battery.ask(RAW["event-log"], SUCCESS)
            assert {kept.device for kept in served.kept()} == {SN}


async def capture_ends(served: Served) -> None:
    """Wait until it is told that the capture has ended."""
    capture = served.listener.capture
    assert capture is not None

    def ended() -> bool:
        capture.look()
        return bool(served.lines.of("capture-ended"))

    await until(ended)


class TestACapture:
    async def test_a_pipe_whose_reader_stops_ends_it_and_holds_up_nobody(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("inverterproto_cli.server.outlet.MOST_SIZE", 100_000)
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        try:
            async with serving(capture=pipe) as served, await served.device() as stick:
                while not served.lines.of("capture-ended"):
                    assert await stick.ask(DATA, ANSWER) == answer(DATA)
                assert await stick.ask(DATA, ANSWER) == answer(DATA)
                [line] = served.lines.of("capture-ended")
                assert "not written as fast as it grows" in line
                os.close(reader)
                reader = -1
        finally:
            if reader >= 0:
                os.close(reader)

    async def test_it_ends_when_its_file_is_as_large_as_it_may_be(self, tmp_path: Path) -> None:
        capture = tmp_path / "capture.jsonl"
        for most in (1500, 1500, 2500):  # the second finds it nearly full
            async with (
                serving(capture=capture, capture_size=most) as served,
                await served.device() as stick,
            ):
                for _ in range(20):
                    assert await stick.ask(DATA, ANSWER) == answer(DATA)
                [line] = served.lines.of("capture-ended")
                assert line.endswith("0 MiB are the most (--capture-size); it ends here")
                await until(lambda most=most: most - 1000 < capture.stat().st_size)  # type: ignore[misc]
                text = capture.read_bytes()
                assert most - 1000 < len(text) <= most
                assert all(json.loads(one)["data"] for one in text.splitlines())
            assert capture.read_bytes() == text

    async def test_a_disk_without_room_ends_it_and_nothing_else(self) -> None:
        async with (
            serving(capture=Path("/dev/full")) as served,
            await served.device() as stick,
        ):
            for _ in range(100):
                assert await stick.ask(DATA, ANSWER) == answer(DATA)
            await capture_ends(served)
            [line] = served.lines.of("capture-ended")
            assert "No space left on device" in line


class TestAStoreInTrouble:
    async def test_answers_that_wait_for_the_store_count_with_their_bytes(self, path: Path) -> None:
        async with serving(path) as served, await served.device() as device:
            with served.commits_held():
                device.send(DATA + HEARTBEAT * 20)
                await until(lambda: served.store.pending > 21 * ANSWER)
                device.reset()  # who is gone frees nothing: its answers are held all the same
                await until(lambda: not served.listener.connections)
                assert served.store.pending > 21 * ANSWER

    async def test_what_finds_no_room_ends_its_connection_and_new_ones_are_refused(
        self, path: Path
    ) -> None:
        async with serving(path, store={"most_pending": 2000}) as served:
            with no_room_beyond(0):
                async with await served.device() as device:
                    for number in range(20):
                        device.send(of_logger(100 + number, DATA))
                    assert await device.rest() == b""
                await until(lambda: served.lines.of("store-trouble"))
                assert served.counts["ended: no room"] == 1
                async with await served.device() as device:
                    assert await device.rest() == b""
                assert "--max-waiting" in served.lines.of("refused")[0]
            await served.safe()
            async with await served.device() as device:
                assert await device.ask(DATA, ANSWER) == answer(DATA)

    async def test_heartbeats_behind_what_waits_fill_no_memory(self, path: Path) -> None:
        async with serving(path, store={"most_pending": 20_000}) as served:
            with served.commits_held():
                devices = [await served.device() for _ in range(8)]
                for device in devices:
                    device.send(HANDSHAKE)
                await until(lambda: served.counts["record: handshake"] == 8)
                async with asyncio.timeout(PATIENCE):
                    while not served.counts["ended: no room"]:
                        for device in devices:
                            device.send(HEARTBEAT)
                        await asyncio.sleep(0)
                assert served.store.pending <= 20_000 + 8 * 1000
            for device in devices:
                device.writer.close()


async def test_a_capture_is_read_by_decode_and_holds_no_password(tmp_path: Path) -> None:
    path = tmp_path / "raw.jsonl"
    login = RAW["login"]
    password = json.loads(login[7:-2])["Password"]
    async with serving(capture=path) as served:
        async with await served.device() as device:
            await device.ask(DATA, ANSWER)
            device.send(AT_TEXT + HEARTBEAT)
            await device.receive(ANSWER)
        async with await served.device() as battery:
            await battery.ask(login, SUCCESS)
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    assert password not in text
    assert password.encode().hex() not in text
    shown = decode("--json", path)
    assert shown.code == 0
    lines = [json.loads(line) for line in shown.out.splitlines()]
    assert [(line["connection"], line["name"]) for line in lines if line["type"] == "frame"] == [
        ("1", "data"), ("1", "data_reply"), ("1", "heartbeat"), ("1", "heartbeat_reply"),
        ("2", "login"), ("2", "login_reply"),
    ]  # fmt: skip
    assert lines[0]["raw"] == DATA.hex()
    assert lines[0]["at"] == NOW


async def test_a_capture_without_room_ends_and_devices_are_served_on(tmp_path: Path) -> None:
    async with serving(capture=tmp_path / "raw.jsonl") as served, await served.device() as device:
        with no_room_beyond(0):
            await device.ask(DATA, ANSWER)
            await capture_ends(served)
            assert await device.ask(DATA, ANSWER) == answer(DATA)
            served.listener.capture.look()
        assert len(served.lines.of("capture-ended")) == 1


class TestComplaints:
    async def test_of_one_kind_there_are_so_many_lines_an_hour(self) -> None:
        log, clock = Log(), Clock(NOW)
        with listened() as lines:
            for number in range(MOST_LINES + 100):
                log.complain("refused", f"device {number}", clock(), about=number)
            log.complain("other", "something else", clock())
            assert len(lines.of("refused")) == MOST_LINES
            assert "no more of it is told within the hour" in lines.of("refused")[-1]
            assert len(lines.of("other")) == 1
            clock.now += 3601
            log.complain("refused", "device 7", clock(), about=7)
            assert len(lines.of("refused")) == MOST_LINES + 1

    async def test_a_clock_set_back_silences_nothing(self) -> None:
        log = Log()
        with listened() as lines:
            log.complain("tls", "it encrypts", NOW)
            log.complain("tls", "it encrypts", NOW - 86400)
            assert len(lines.of("tls")) == 2


async def test_the_log_tells_no_secret_and_no_network_name(path: Path) -> None:
    """Whatever devices say: all fixtures, whole and damaged, and text with a password."""
    at_text = b"AT+WSSSID=HomeNetwork42\r\n+ok=WPA2PSK,AES,hunter2secret\r\n"
    said = [frame for family in ("deye", "alphaess") for frame in fixtures(family).values()]
    said += [frame[:-3] + b"\0" + frame[-2:] for frame in said]
    async with serving(path) as served:
        for data in (*said, at_text):
            async with await served.device() as device:
                device.send(data)
                device.half_close()
                await device.rest()
        text = "\n".join(record.getMessage() for record in served.lines.records)
        assert served.lines.of("fault") == []
    private = {"HomeNetwork42", "hunter2secret", json.loads(RAW["login"][7:-2])["Password"]}
    for name in (*(n for n in fixtures("deye") if n != BROKEN),):
        fields = Message.parse(Frame.parse(raw(name))).fields
        private |= {str(v) for key, v in fields.items() if "ssid" in key and v}
    for secret in private:
        assert secret not in text, secret
    assert len(private) > 3
