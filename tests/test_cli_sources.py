"""What `decode` takes: files of every form, standard input, hex on the command line."""

import io
import json
import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverterproto_cli import captures, sources
from inverterproto_cli.chunk import Chunk, SourceError
from inverterproto_cli.sources import Listener, Source, find_sources, read
from tests.vectors import raw

HEARTBEAT, REALTIME = raw("heartbeat"), raw("micro-5408-realtime")
ARRIVAL = 1_712_596_445.25


def source(data: bytes, name: str = "dump") -> Source:
    """Return a source of these bytes."""
    return Source(name, lambda: io.BytesIO(data), len(data))


def content(data: bytes) -> bytes:
    """Return the bytes that a source holds."""
    return b"".join(chunk.data for chunk in read(source(data)))


def complaint(data: bytes) -> str:
    """Return why a source cannot be read."""
    with pytest.raises(SourceError) as caught:
        list(read(source(data)))
    return str(caught.value)


def capture(*entries: object) -> bytes:
    """Return the lines of a capture."""
    return b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)


class Trickle(io.RawIOBase):
    """A pipe: it gives what somebody has just written, never all at once."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self.pieces:
            return 0
        piece = self.pieces.pop(0)
        buffer[: len(piece)] = piece
        return len(piece)


def trickle(*pieces: bytes) -> list[Chunk]:
    """Return the chunks of a pipe in which these pieces come."""
    return list(read(Source("-", lambda: io.BufferedReader(Trickle(*pieces)))))


class TestForms:
    @pytest.mark.parametrize(
        "text",
        [
            REALTIME.hex(),
            REALTIME.hex(" ") + "\n",
            REALTIME.hex(":", 2).upper(),
            ", ".join(f"0x{byte:02x}" for byte in REALTIME),
            "".join(f"\\x{byte:02x}" for byte in REALTIME),
            "\n".join(REALTIME.hex()),
            "\r\n\r\n" + REALTIME.hex("-", 1),
        ],
        ids=["bare", "spaced", "colons", "0x", "\\x", "a digit a line", "after empty lines"],
    )
    def test_hex_text_is_read_whatever_separates_it(self, text: str) -> None:
        assert content(text.encode()) == REALTIME

    def test_a_byte_order_mark_before_text_is_no_part_of_it(self) -> None:
        assert content(b"\xef\xbb\xbf" + REALTIME.hex().encode()) == REALTIME
        assert content(b"\xef\xbb\xbf" + capture({"data": REALTIME.hex()})) == REALTIME

    def test_in_binary_the_bytes_of_a_byte_order_mark_are_bytes(self) -> None:
        assert content(b"\xef\xbb\xbf" + REALTIME) == b"\xef\xbb\xbf" + REALTIME

    @pytest.mark.parametrize("data", [REALTIME, b"\0", b"\x1b[31m", bytes(range(256)), b"{\xa5"])
    def test_what_holds_bytes_that_are_no_text_is_binary(self, data: bytes) -> None:
        assert content(data) == data

    def test_a_frame_behind_text_is_binary(self) -> None:
        data = b"AT+YZCMPVER=MW3_16U_5406_2.27\r\n" + REALTIME
        assert content(data) == data

    def test_a_pipe_is_read_as_it_comes(self) -> None:
        chunks = trickle(REALTIME[:9], REALTIME[9:], b"text behind")
        assert [chunk.data for chunk in chunks] == [REALTIME[:9], REALTIME[9:], b"text behind"]

    def test_hex_from_a_pipe_is_read_as_it_comes(self) -> None:
        first = HEARTBEAT.hex(" ").encode() + b"\n"
        chunks = trickle(first[:9], first[9:], b"a5 ", b"0", b"1\n", b"0x00")
        assert [chunk.data for chunk in chunks[:2]] == [HEARTBEAT, b"\xa5\x01"]
        assert b"".join(chunk.data for chunk in chunks) == HEARTBEAT + b"\xa5\x01\0"

    def test_a_capture_from_a_pipe_is_read_line_by_line(self) -> None:
        line = capture({"data": "a501"})
        chunks = trickle(line[:5], line[5:] + line[:3], line[3:])
        assert [chunk.data for chunk in chunks] == [b"\xa5\x01", b"\xa5\x01"]

    def test_who_stops_a_live_stream_has_what_came_until_then(self) -> None:
        class Interrupted(Trickle):
            def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
                if not self.pieces:
                    raise KeyboardInterrupt
                return super().readinto(buffer)

        live = Source("-", lambda: io.BufferedReader(Interrupted(b"a5 0", b"1 15")))
        assert b"".join(chunk.data for chunk in read(live)) == b"\xa5\x01\x15"

    def test_a_file_that_knows_no_partial_reading_is_read_too(self) -> None:
        unbuffered = Source("-", lambda: Trickle(REALTIME))  # type: ignore[arg-type,return-value]
        assert [chunk.data for chunk in read(unbuffered)] == [REALTIME]

    def test_progress_is_told_in_bytes_of_the_source(self) -> None:
        told: list[int] = []
        text = REALTIME.hex(" ").encode() * (sources.CHUNK // 1000)
        list(read(source(text), Listener(told.append)))
        assert sum(told) == len(text)
        assert len(told) > 1


class TestBadSources:
    def test_an_empty_one_is_told(self) -> None:
        assert complaint(b"") == "dump: is empty"

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (b"hello", "no hex digit at line 1, column 1: "),
            (b"a5 01\n01 zz", "no hex digit at line 2, column 4: "),
        ],
    )
    def test_what_is_no_hex_is_told_with_its_place(self, data: bytes, reason: str) -> None:
        assert complaint(data).startswith(f"dump: {reason}")

    def test_where_nothing_decodes_what_is_there_is_given_and_the_place_told(self) -> None:
        told: list[str] = []
        chunks = list(read(source(b"a5" * 4096 + b"\xff"), Listener(complain=told.append)))
        assert [chunk.data for chunk in chunks] == [b"\xa5" * 4096]
        (complaint,) = told
        assert complaint.startswith("dump: nothing in it decodes; shown as hex among text, ")
        assert "no hex digit at line 1, column 8193: " in complaint

    def test_what_goes_wrong_after_a_frame_costs_not_the_frame(self) -> None:
        told: list[str] = []
        chunks = list(read(source(REALTIME.hex().encode() + b"0"), Listener(complain=told.append)))
        assert b"".join(chunk.data for chunk in chunks) == REALTIME
        assert told == ["dump: odd number of hex digits: expected pairs, found half a byte"]

    def test_what_cannot_be_opened_is_told(self) -> None:
        def refuse() -> io.BytesIO:
            raise PermissionError(13, "Permission denied")

        with pytest.raises(SourceError, match=r"^dump: Permission denied$"):
            list(read(Source("dump", refuse)))

    def test_what_breaks_off_is_told(self) -> None:
        class Broken(io.BytesIO):
            def read1(self, size: int | None = -1) -> bytes:  # noqa: ARG002
                raise OSError("the disk is gone")

        with pytest.raises(SourceError, match=r"^dump: the disk is gone$"):
            list(read(Source("dump", Broken)))


class TestCaptures:
    def test_a_line_tells_when_where_and_who(self) -> None:
        line = {"at": ARRIVAL, "connection": "7", "from": "device", "data": HEARTBEAT.hex()}
        assert list(read(source(capture(line)))) == [
            Chunk("dump", HEARTBEAT, ARRIVAL, "7", "device", "capture")
        ]

    def test_only_the_data_is_needed(self) -> None:
        (chunk,) = read(source(capture({"data": "a5 01"})))
        assert chunk == Chunk("dump", b"\xa5\x01", form="capture")
        assert chunk.place(name_source=False) == ""

    @pytest.mark.parametrize("value", [7, {}, [], "", False, {"a": [1]}])
    def test_a_connection_or_sender_of_any_type_is_a_name(self, value: object) -> None:
        (chunk,) = read(source(capture({"data": "a5", "connection": value, "from": value})))
        assert (chunk.connection, chunk.sender) == (str(value), str(value))
        assert hash(chunk.stream)

    def test_a_capture_in_plain_utf8_is_one(self) -> None:
        line = '{"connection":"Küche","data":"a5"}'.encode()
        assert list(read(source(line))) == [
            Chunk("dump", b"\xa5", connection="Küche", form="capture")
        ]

    def test_empty_lines_are_passed_over_and_counted(self) -> None:
        good = capture({"data": "a5"})
        assert content(b"\n" + good + b"\r\n  \n" + good) == b"\xa5\xa5"
        told: list[str] = []
        list(read(source(b"\n" + good + b"\n" + b"nonsense"), Listener(complain=told.append)))
        assert told[0].startswith("dump: line 4: ")

    def test_the_last_line_needs_no_end(self) -> None:
        assert content(capture({"data": "a5"}) + b'{"data":"01"}') == b"\xa5\x01"

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            (b'{"', "not one whole JSON object"),
            (b"{}", "no 'data'"),
            (b'{"data":"a"}', "'data' is no hex text"),
            (b'{"data":"zz"}', "'data' is no hex text"),
            (b'{"data":7}', ""),
            (b'{"data":null}', ""),
            (b'{"data":"a5","at":"noon"}', "'at' is no unix time in seconds: no number"),
            (b'{"data":"a5","at":[]}', ""),
            (b'{"data":"a5","at":NaN}', "'at' is no unix time in seconds: nan"),
            (b'{"data":"a5","at":1e999}', "'at' is no unix time in seconds: inf"),
            (b'{"data":"a5","at":-1}', "'at' is no unix time in seconds: -1"),
            (b'{"data":"a5","at":1712596443000}', "'at' is no unix time in seconds: 1712596443000"),
            (b'{"data":"a5","at":1' + b"0" * 400 + b"}", ""),
            (b'{"data":"a5","at":' + b"1" * 5000 + b"}", ""),
            (b"[1,2]", ""),
            (b"7", ""),
            (b'"text"', ""),
            (b"null", ""),
            (b'{"data":"\xff"}', ""),
            (b'{"a":' * 100_000, ""),
        ],
    )
    def test_a_broken_line_is_told_with_its_number(self, line: bytes, reason: str) -> None:
        data = capture({"data": "a5"}) + line + b"\n" + capture({"data": "01"})
        complaints: list[str] = []
        chunks = read(source(data), Listener(complain=complaints.append))
        assert [chunk.data for chunk in chunks] == [b"\xa5", b"\x01"]
        (complaint,) = complaints
        assert complaint.startswith("dump: line 2: no line of a capture: ")
        assert reason in complaint
        assert len(complaint) < 200

    def test_a_giant_line_is_told_before_memory_is_full(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(captures, "LONGEST_LINE", 3 * sources.CHUNK)
        taken: list[int] = []
        with pytest.raises(SourceError, match=r"^dump: a line of more than 786,432 bytes$"):
            list(read(source(b'{"data":"' + b"a5" * 10 * sources.CHUNK), Listener(taken.append)))
        assert sum(taken) == 4 * sources.CHUNK

    def test_a_long_line_is_read(self) -> None:
        assert content(capture({"data": "a5" * sources.CHUNK})) == b"\xa5" * sources.CHUNK

    def test_the_place_is_told_as_far_as_there_is_a_choice(self) -> None:
        chunk = Chunk("dump", b"", None, "7", "cloud")
        assert chunk.place(name_source=True) == " (dump, connection 7, from cloud)"
        assert chunk._replace(sender=None).place(name_source=False) == " (connection 7)"
        assert Chunk("dump", b"").place(name_source=True) == " (dump)"


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8")))
def test_any_source_gives_bytes_or_a_source_error(data: bytes) -> None:
    with suppress(SourceError):
        assert all(isinstance(chunk.data, bytes) for chunk in read(source(data)))


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "data": json_values | st.binary().map(bytes.hex),
            "at": json_values,
            "connection": json_values,
            "from": json_values,
        },
    )
)
def test_any_line_of_json_gives_a_chunk_or_a_source_error(entry: dict[str, object]) -> None:
    complaints: list[str] = []
    try:
        chunks = list(read(source(capture(entry)), Listener(complain=complaints.append)))
    except SourceError:
        return  # it is no capture, then
    if any(chunk.form == "text" for chunk in chunks):
        return  # nor here, but a text with bytes in it
    assert len(chunks) + len(complaints) == 1
    assert all(hash(chunk) for chunk in chunks)


class TestArguments:
    @pytest.fixture(autouse=True)
    def _in_a_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        Path("dump.bin").write_bytes(REALTIME)
        Path("cafe").write_bytes(HEARTBEAT)
        Path("folder").mkdir()

    def test_without_arguments_it_is_standard_input(self) -> None:
        assert [found.name for found in find_sources(())] == ["-"]
        assert [found.size for found in find_sources(("-",))] == [None]

    def test_a_file_comes_with_its_size(self) -> None:
        (found,) = find_sources(("dump.bin",))
        assert (found.name, found.size) == ("dump.bin", 343)
        assert [chunk.data for chunk in read(found)] == [REALTIME]

    def test_neighbouring_words_of_hex_are_one_source(self) -> None:
        (found,) = find_sources(tuple(HEARTBEAT.hex(" ").split()))
        assert found.name == "hex"
        assert b"".join(chunk.data for chunk in read(found)) == HEARTBEAT

    def test_a_pair_broken_over_words_is_one_byte(self) -> None:
        (found,) = find_sources(("a", "5,0x01"))
        assert b"".join(chunk.data for chunk in read(found)) == b"\xa5\x01"

    def test_files_and_hex_may_be_mixed(self) -> None:
        found = find_sources(("dump.bin", "a5", "01", "-"))
        assert sorted(source.name for source in found) == ["-", "dump.bin", "hex"]

    def test_a_file_that_is_called_like_hex_is_a_file(self) -> None:
        assert [found.name for found in find_sources(("cafe",))] == ["cafe"]

    def test_a_pipe_has_no_size(self) -> None:
        os.mkfifo("pipe")
        assert [found.size for found in find_sources(("pipe",))] == [None]

    def test_a_folder_is_told(self) -> None:
        with pytest.raises(SourceError, match=r"^folder: is a folder; name the files in it$"):
            find_sources(("folder",))
        assert [bool(found.refused) for found in find_sources(("dump.bin", "folder"))] == [0, 1]

    @pytest.mark.parametrize("argument", ["nosuch.bin", "a5z", "", " ", "a\0b"])
    def test_what_is_neither_a_file_nor_hex_is_told(self, argument: str) -> None:
        with pytest.raises(SourceError, match="no such file, and no hex either"):
            find_sources((argument,))

    def test_standard_input_can_be_read_once(self) -> None:
        with pytest.raises(SourceError, match="only once"):
            find_sources(("-", "-"))

    def test_a_closed_standard_input_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.stdin", None)
        with pytest.raises(SourceError, match=r"^-: standard input is closed$"):
            find_sources(())

    def test_a_file_that_may_not_be_read_is_told(self) -> None:
        Path("secret").write_bytes(b"a5")
        Path("secret").chmod(0)
        if os.access("secret", os.R_OK):
            pytest.skip("root may read anything")
        (found,) = find_sources(("secret",))
        with pytest.raises(SourceError, match=r"^secret: Permission denied$"):
            list(read(found))

    def test_a_file_that_vanished_meanwhile_is_told(self) -> None:
        (found,) = find_sources(("dump.bin",))
        Path("dump.bin").unlink()
        with pytest.raises(SourceError, match=r"^dump\.bin: No such file or directory$"):
            list(read(found))
