"""Any text that holds frames gives these frames; any other text gives no trouble."""

import shutil
import subprocess
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inverterproto.alphaess.frame import Frame as AlphaFrame
from inverterproto.deye.frame import Frame
from inverterproto.errors import ProtocolError
from inverterproto.families import framings
from inverterproto.hexdump import DumpReader, Piece, Whole, readings
from inverterproto.hexdump import choice as choice_module
from inverterproto.hexdump import reader as reader_module
from inverterproto.hexdump import search as search_module
from inverterproto.hexdump.forms import FORMS
from inverterproto.hexdump.fragment import from_digits
from inverterproto.hexdump.rows import Rows
from inverterproto.hexdump.words import Misspelt
from inverterproto.stream import Framed, StreamDecoder
from tests.dumps import WRITERS, hexdump_c, log_line, xxd
from tests.vectors import VALID, fixtures, raw
from tests.work import is_linear

HEARTBEAT, REALTIME = raw("heartbeat"), raw("micro-5408-realtime")
REAL = [raw(name) for name in VALID]
REAL += [data for name, data in fixtures("alphaess").items() if name != "bad-crc"]


def pieces(*chunks: str, notes: list[str] | None = None) -> list[Piece]:
    """Read a text that comes in chunks."""
    told: list[str] = [] if notes is None else notes
    reader = DumpReader(framings(), told.append)
    found = [piece for chunk in chunks for piece in reader.feed(chunk)]
    return [piece for piece in [*found, *reader.finish()] if piece.data]


def content(*chunks: str) -> bytes:
    return b"".join(piece.data for piece in pieces(*chunks))


def frames(*chunks: str) -> list[bytes]:
    """Return the frames that a text holds."""
    decoder = StreamDecoder(*framings())
    items = decoder.feed(content(*chunks)) + decoder.flush()
    return [item.raw for item in items if isinstance(item, Framed)]


def notes_of(text: str) -> list[str]:
    notes: list[str] = []
    pieces(text, notes=notes)
    return notes


def damaged(data: bytes, at: int) -> bytes:
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


@pytest.mark.parametrize("form", WRITERS)
class TestForms:
    def test_every_real_frame_is_read_back(self, form: str) -> None:
        for data in REAL:
            assert frames(WRITERS[form](data)) == [data]

    def test_all_real_frames_one_after_another_are_read_back(self, form: str) -> None:
        assert frames("".join(map(WRITERS[form], REAL))) == REAL

    def test_text_around_and_windows_line_ends_do_no_harm(self, form: str) -> None:
        text = f"It's from 2024-04-08 17:14, see:\n\n{WRITERS[form](REALTIME)}\nThat's 343 bytes.\n"
        assert frames(text.replace("\n", "\r\n")) == [REALTIME]


deye_frames = st.builds(
    lambda *values: Frame(*values).build(),
    st.sampled_from([0x4110, 0x4210, 0x4310, 0x4510, 0x1510, 0x4710]),
    st.tuples(st.integers(0, 255), st.integers(0, 255)),
    st.integers(0, 0xFFFFFFFF),
    st.binary(max_size=120) | st.just(bytes(100)),
)
alphaess_frames = st.builds(
    lambda *values: AlphaFrame(1, *values).build(),
    st.sampled_from([1, 2]),
    st.integers(0, 255),
    st.binary(max_size=60) | st.just(b'{"SN":"AL2002000001234","Time":"2021/03/24 10:01:52"}'),
)
any_frame = deye_frames | alphaess_frames


@settings(max_examples=60)
@given(
    st.lists(st.tuples(any_frame, st.sampled_from(sorted(WRITERS))), min_size=1, max_size=4),
    st.lists(st.integers(0, 3000), max_size=5),
)
def test_any_frames_in_any_forms_cut_anywhere_are_read_back(
    written: list[tuple[bytes, str]], cuts: list[int]
) -> None:
    text = "\n".join(WRITERS[form](data) for data, form in written)
    ends = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    chunks = [text[a:b] for a, b in pairwise(ends)]
    found = pieces(*chunks)
    decoder = StreamDecoder(*framings())
    items = decoder.feed(b"".join(piece.data for piece in found)) + decoder.flush()
    expected = StreamDecoder(*framings())
    alone = expected.feed(b"".join(data for data, _ in written)) + expected.flush()
    assert [i.raw for i in items if isinstance(i, Framed)] == [
        i.raw for i in alone if isinstance(i, Framed)
    ]
    assert content(*chunks) == content(text)


odd_text = st.text() | st.text(alphabet="a5 01*x?'\"\\/|>:,-=\n\r\tb0{}[]<")


@given(st.lists(odd_text, max_size=6))
def test_any_text_gives_bytes_or_an_error_and_the_chunks_do_not_matter(chunks: list[str]) -> None:
    def outcome(*parts: str) -> bytes | str:
        try:
            return content(*parts)
        except ProtocolError as error:
            return str(error)

    assert outcome(*chunks) == outcome("".join(chunks))


class TestPlainHex:
    def test_of_plain_hex_every_byte_is_given(self) -> None:
        junk = b"\x0d\x0a" + damaged(HEARTBEAT, 12)
        text = f"0d0a {HEARTBEAT.hex()}\n{junk.hex()}\nff"
        assert content(text) == b"\r\n" + HEARTBEAT + junk + b"\xff"
        assert content(*text) == content(text)

    def test_without_a_frame_it_is_given_at_the_end(self) -> None:
        assert content("a5 01\n02") == b"\xa5\x01\x02"

    def test_what_comes_behind_plain_hex_is_read_in_any_form(self) -> None:
        text = f"{HEARTBEAT.hex()}\n0x\na5 00\nbut then:\n{xxd(REALTIME)}"
        for chunks in ((text,), tuple(text), tuple(text.splitlines(keepends=True))):
            assert content(*chunks) == HEARTBEAT + b"\xa5\x00" + REALTIME

    def test_a_frame_that_is_seen_only_at_the_end_makes_all_of_it_plain(self) -> None:
        text = f"a5 00 0f\n{HEARTBEAT.hex()}"  # as if a frame of 3,853 bytes began
        assert content(text) == b"\xa5\0\x0f" + HEARTBEAT
        assert notes_of(text) == ["read as plain hex"]

    def test_a_prefix_may_be_cut_by_a_chunk(self) -> None:
        text = f"{HEARTBEAT.hex()}\n"
        assert content(text, "0", "xa5", "\\", "x01") == HEARTBEAT + b"\xa5\x01"

    def test_a_backslash_at_the_end_of_a_line_ends_it(self) -> None:
        text = f"{HEARTBEAT.hex()}\n{HEARTBEAT.hex()}\\\n{xxd(REALTIME)}"
        assert frames(text) == [HEARTBEAT, HEARTBEAT, REALTIME]

    def test_what_seems_to_begin_in_a_dump_is_plain_hex_at_the_end(self) -> None:
        text = f"0000: a5 40 00 10 47\n{HEARTBEAT.hex()}\n"
        assert content(text) == b"\0\0\xa5\x40\0\x10\x47" + HEARTBEAT

    def test_an_odd_digit_is_an_error_behind_the_frames(self) -> None:
        reader = DumpReader(framings())
        assert b"".join(p.data for p in reader.feed(HEARTBEAT.hex() + "\n0")) == HEARTBEAT
        with pytest.raises(ProtocolError, match="odd number of hex digits"):
            list(reader.finish())

    def test_much_of_it_without_a_frame_is_given_before_the_end(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reader_module, "MOST_PLAIN", 2000)
        reader = DumpReader(framings())
        text = "00 11 22\n" * 1000
        assert b"".join(p.data for p in reader.feed(text)) == b"\x00\x11\x22" * 1000
        reader.feed("nonsense\n")
        with pytest.raises(ProtocolError, match="line 1001, column 1"):
            list(reader.finish())

    def test_what_decodes_nowhere_is_told_as_hex_that_is_none(self) -> None:
        with pytest.raises(ProtocolError, match="no hex digit at line 2, column 1"):
            content("a5 01\nhello 01 02")

    def test_a_would_be_frame_of_a_dump_beats_noise(self) -> None:
        text = WRITERS["od -A d"](damaged(REALTIME, 40))
        assert content(text) == damaged(REALTIME, 40)
        plain = damaged(REALTIME, 40).hex()
        assert content(plain) == damaged(REALTIME, 40)


class TestMixed:
    def test_a_dump_behind_plain_hex_is_a_dump(self) -> None:
        for form in ("od -A d", "od -A o", "od -A x", "od -x", "od -b", "od"):
            text = f"{HEARTBEAT.hex()}\n{WRITERS[form](REALTIME)}{HEARTBEAT.hex(' ')}\n"
            for chunks in ((text,), tuple(text), tuple(text.splitlines(keepends=True))):
                assert content(*chunks) == HEARTBEAT + REALTIME + HEARTBEAT, form

    def test_each_dump_has_addresses_of_its_own_base(self) -> None:
        zeros = Frame(0x4210, (1, 2), 3, bytes(100)).build()
        forms = ("od -A d", "od -A o", "od -A x", "od -t u1", "od -b", "hexdump", "od -A d")
        text = "\n".join(WRITERS[form](zeros) for form in forms)
        assert frames(text) == [zeros] * len(forms)

    def test_plain_hex_of_zeros_is_no_dump(self) -> None:
        text = f"{HEARTBEAT.hex()}\n0000 0000 0000\n0000000000000000\n00000000 00000000\n"
        assert content(text) == HEARTBEAT + bytes(6 + 8 + 8)

    def test_a_long_line_of_plain_hex_is_given_before_it_ends(self) -> None:
        reader = DumpReader(framings())
        reader.feed(HEARTBEAT.hex() + "\n")
        assert b"".join(p.data for p in reader.feed("00" * 5000)) == bytes(4999)
        assert b"".join(p.data for p in reader.feed("00 hm\n")) == b""

    def test_what_seems_to_begin_hides_nothing_that_follows(self) -> None:
        noise = "x a5 00 0f\n"  # it would have 3,853 bytes
        text = noise + log_line(HEARTBEAT) + "\n" + xxd(REALTIME) + WRITERS["decimals"](HEARTBEAT)
        assert frames(text) == [HEARTBEAT, REALTIME, HEARTBEAT]

    def test_what_waited_in_lines_not_read_yet_comes_first(self) -> None:
        noise = "quiet\n0000: a5 40 00 10 47\n"  # it would have 77 bytes
        text = log_line(HEARTBEAT) + noise + WRITERS["decimals"](HEARTBEAT) + xxd(REALTIME)
        assert frames(text) == [HEARTBEAT, HEARTBEAT, REALTIME]

    def test_lines_that_wait_for_a_frame_are_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(choice_module, "MOST_DEFERRED", 100)
        noise = log_line(HEARTBEAT) + "x a5 00 0f\n"
        reader = DumpReader(framings())
        found = reader.feed(noise + WRITERS["decimals"](REALTIME))
        found += reader.feed("nothing\n" * 100)
        assert [piece.data for piece in [*found, *reader.finish()]] == [HEARTBEAT, REALTIME]


class TestRealTools:
    """What the tools themselves write, where they are installed."""

    @pytest.mark.parametrize(
        "command",
        [
            *(
                "xxd",
                "xxd -p",
                "xxd -i",
                "xxd -b",
                "xxd -e",
                "xxd -u -c 20",
                "xxd -g 1",
                "xxd -g 4",
                "xxd -c 8",
            ),
            *("od", "od -x", "od -b", "od -c", "od -An -v -t x1z", "od -A d -t x1", "od -t x1z"),
            *(
                "od -A x -t x1",
                "od -t x2",
                "od -t x4",
                "od -t u1",
                "od -A n -v -t d1",
                "od -t d1",
                "od -v -A d -t x1",
            ),
            *("hexdump", "hexdump -C", "hexdump -b", "hexdump -c", "hexdump -x", "hexdump -v"),
            *("base64", "base64 -w 0", "base64 -w 64"),
            "python3 -c 'import sys; print(sys.stdin.buffer.read())'",
            "python3 -c 'import sys; print(list(sys.stdin.buffer.read()))'",
            "node -p 'JSON.stringify(require(\"fs\").readFileSync(0))'",
            "perl -e 'undef $/; print unpack(\"H*\", <STDIN>)'",
        ],
    )
    def test_is_read_back(self, command: str) -> None:
        if shutil.which(command.split()[0]) is None:
            pytest.skip("not installed here")
        for data in (HEARTBEAT, REALTIME, REAL[-1]):
            text = subprocess.run(  # noqa: S602 - ours
                command, shell=True, input=data, capture_output=True, check=True, timeout=20
            ).stdout.decode()
            assert frames(text) == [data]


class TestChoice:
    def test_a_frame_in_all_but_its_checksum_is_given_in_its_place(self) -> None:
        text = log_line(HEARTBEAT) + xxd(damaged(REALTIME, 40)) + log_line(REALTIME)
        assert content(text) == HEARTBEAT + damaged(REALTIME, 40) + REALTIME

    def test_at_the_end_it_is_given_too(self) -> None:
        assert content("x\n" + xxd(damaged(REALTIME, 40))) == damaged(REALTIME, 40)

    def test_a_live_log_gives_a_frame_with_its_line(self) -> None:
        reader = DumpReader(framings())
        assert reader.feed(log_line(HEARTBEAT)) == [Piece(HEARTBEAT)]
        assert reader.feed(f"and 0000: {HEARTBEAT.hex()}\n") == [Piece(HEARTBEAT)]

    def test_many_would_be_frames_do_not_wait_for_ever(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(choice_module, "MOST_WAITING", 3)
        reader = DumpReader(framings())
        bad = damaged(HEARTBEAT, 12)
        given_ = [piece for _ in range(20) for piece in reader.feed(log_line(bad))]
        assert len(given_) > 10
        assert [*given_, *reader.finish()] == [Piece(bad)] * 20

    def test_a_frame_of_a_weak_form_waits_for_a_stronger_one_that_began_before(self) -> None:
        inner = HEARTBEAT
        outer = Frame(0x4210, (1, 2), 3, bytes(5) + inner + bytes(20)).build()
        assert frames(xxd(outer)) == [outer]

    def test_a_long_line_is_cut_between_words(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reader_module, "LONGEST_LINE", 2000)
        text = ("[" + ", ".join(map(str, REALTIME * 5))) + "]"
        assert frames(text) == [REALTIME] * 5
        assert content("zz" * 2500 + " " + REALTIME.hex(" ")) == REALTIME

    def test_a_row_that_is_too_long_is_none(self) -> None:
        assert frames("0000: " + HEARTBEAT.hex() + " " * 5000 + ".") == [HEARTBEAT]


def shown(text: str) -> tuple[bytes, str]:
    """Return what is given of a text in which nothing decodes, and what is said."""
    reader = DumpReader(framings())
    given_ = reader.feed(text)
    last = reader.finish()
    with pytest.raises(ProtocolError) as caught:
        given_.extend(last)
    return b"".join(piece.data for piece in given_), str(caught.value)


class TestWhereNothingDecodes:
    CUT = REALTIME[:50]

    @pytest.mark.parametrize(
        "form", sorted(WRITERS.keys() - {"log rows", "socat -x", "tcpdump -X", "xxd -b"})
    )
    def test_the_beginning_of_a_frame_is_shown_in_any_form(self, form: str) -> None:
        data, said = shown(f"It's this:\n{WRITERS[form](self.CUT)}")
        assert data.startswith(self.CUT)
        assert said.startswith("nothing in it decodes; shown as ")
        assert said.endswith("line 1, column 1: expected hex digits and separators, found 'I'")

    def test_of_a_log_line_what_stands_before_the_frame_is_left_out(self) -> None:
        data, said = shown(f"2024-04-08 17:14:03,123 SENT: {self.CUT.hex(' ')} ...\n")
        assert data == self.CUT
        assert "no hex digit at line 1, column 25: " in said

    def test_a_cut_dump_of_nothing_but_digits_is_read_as_a_dump(self) -> None:
        data, said = shown(WRITERS["od -A d"](self.CUT))
        assert data == self.CUT
        assert said == "nothing in it decodes; shown as dump with addresses"

    def test_a_lost_digit_costs_its_byte(self) -> None:
        hex_ = REALTIME.hex(" ")
        data, _ = shown(f"x: {hex_[:100]}{hex_[101:]}")
        assert data == REALTIME[:33] + REALTIME[34:]

    @pytest.mark.parametrize("text", ["TX: 01 03 02 01 0a 39 d3", "got: [1, 3, 2, 1, 10, 57, 211]"])
    def test_a_bare_modbus_message_is_shown(self, text: str) -> None:
        data, said = shown(text)
        assert data == bytes.fromhex("0103 0201 0a39 d3")
        assert "it is no plain hex: no hex digit at line 1, column " in said

    def test_any_other_hex_is_shown(self) -> None:
        assert shown("that: de ad be ef 00\n")[0] == bytes.fromhex("deadbeef00")

    @pytest.mark.parametrize("text", ["hello", "say 'hello, world'", "q\nde ad\nbe ef", "x 12"])
    def test_what_holds_hardly_anything_is_an_error(self, text: str) -> None:
        data, said = shown(text)
        assert data == b""
        assert said.startswith("no hex digit at line ")

    def test_of_much_text_the_beginning_is_shown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(search_module, "MOST_KEPT", 1002)
        reader = DumpReader(framings())
        assert reader.feed("x: 11 22 33 44 55\n" * 500) == []
        assert len(next(reader.finish()).data) == 1002

    def test_masked_digits_are_told_here_too(self) -> None:
        reader = DumpReader(framings())
        (*_, piece) = [
            *reader.feed(f"x: {REALTIME[:7].hex()}****{self.CUT[9:].hex()} cut"),
            next(reader.finish()),
        ]
        assert piece == Piece(self.CUT[:7] + b"\0\0" + self.CUT[9:], (7, 8))


class TestMisspelt:
    @pytest.mark.parametrize("written", ["g", "O", "l", "\u00e9"])
    @pytest.mark.parametrize(
        "text", [REALTIME.hex(), REALTIME.hex(" "), f"got: {REALTIME.hex(':')}"]
    )
    def test_a_letter_that_is_no_digit_is_not_guessed(self, text: str, written: str) -> None:
        at = text.index(f"{REALTIME[20]:02x}", 50)
        (piece,) = pieces(text[:at] + written + text[at + 1 :])
        (place,) = piece.masked
        assert (
            piece.data[:place] + piece.data[place + 1 :] == REALTIME[:place] + REALTIME[place + 1 :]
        )

    def test_text_is_not_taken_for_misspelt_hex(self) -> None:
        assert Misspelt().read("0xa5 the cafe is added at face value by decade") == (b"", ())


class TestMasked:
    @pytest.mark.parametrize("mask", ["**", "xx", "XX", "??", "••", "█*"])
    def test_masked_digits_are_told_and_not_guessed(self, mask: str) -> None:
        text = f"serial hidden: {REALTIME[:7].hex()}{mask * 4}{REALTIME[11:].hex()}\n"
        hidden = REALTIME[:7] + bytes(4) + REALTIME[11:]
        assert pieces(text) == [Piece(hidden, (7, 8, 9, 10))]

    def test_they_are_found_in_a_dump_too(self) -> None:
        text = xxd(HEARTBEAT).replace("6d4e 1cab a1", "6d** **** **")
        assert pieces(text) == [Piece(HEARTBEAT[:7] + bytes(4) + HEARTBEAT[11:], (7, 8, 9, 10))]

    def test_with_a_sum_that_is_right_by_chance_it_is_masked_still(self) -> None:
        zero = Frame(0x4710, (1, 2), 0, b"\0").build()
        text = f"x {zero[:7].hex()}********{zero[11:].hex()} {HEARTBEAT.hex()}"
        assert pieces(text) == [Piece(zero, (7, 8, 9, 10)), Piece(HEARTBEAT)]

    @pytest.mark.parametrize(
        "form",
        [
            "xxd",
            "hexdump -C",
            "od -A x",
            "bars",
            "plain",
            "log line",
            "request line",
            "log rows",
            "Node",
        ],
    )
    def test_they_are_found_in_every_form_of_hex(self, form: str) -> None:
        text = WRITERS[form](HEARTBEAT)
        assert "ab" in text.lower()
        found = pieces("x\n" + text.replace("ab", "**").replace("AB", "**"))
        assert found == [Piece(HEARTBEAT.replace(b"\xab", b"\0"), (9,))]

    @pytest.mark.parametrize("mask", ["▒▒", "..", "xX", "●●"])
    @pytest.mark.parametrize("between", ["", " ", ":", "-"])
    def test_there_are_many_ways_to_mask(self, mask: str, between: str) -> None:
        hidden = between.join([mask] * 4)
        text = f"got {HEARTBEAT[:7].hex(between or ' ')}{between or ' '}{hidden}{between or ' '}"
        text += HEARTBEAT[11:].hex(between or " ")
        assert pieces(text) == [Piece(HEARTBEAT[:7] + bytes(4) + HEARTBEAT[11:], (7, 8, 9, 10))]

    @pytest.mark.parametrize("hidden", [(0,), (1, 2), (0, 1, 2)])
    def test_a_mask_over_start_or_length_leaves_bytes(self, hidden: tuple[int, ...]) -> None:
        hex_ = [f"{byte:02x}" for byte in HEARTBEAT]
        for at in hidden:
            hex_[at] = "**"
        reader = DumpReader(framings())
        assert reader.feed("got " + " ".join(hex_)) == []
        piece = next(reader.finish())
        assert piece.masked == hidden
        assert len(piece.data) == len(HEARTBEAT)

    def test_after_squeezed_rows_they_are_where_they_belong(self) -> None:
        data = Frame(0x4210, (1, 2), 3, bytes(5) + bytes(96) + b"\x07" * 16).build()
        text = hexdump_c(data)
        assert "*\n" in text
        assert frames("x\n" + text) == [data]
        text = text.replace("07 07 07", "** 07 07", 1)
        (piece,) = pieces(text)
        assert piece.masked == (piece.data.index(b"\x07") - 1,)

    def test_ranges_are_noted(self) -> None:
        text = f"x {REALTIME[:7].hex()}********{REALTIME[11:].hex()}\n"
        assert "line 1: a frame with 4 masked bytes" in notes_of(text)


class TestNotes:
    def test_what_was_read_how_and_what_was_left_out_is_told(self) -> None:
        text = f"one\ntwo\n{log_line(HEARTBEAT)}three\n{xxd(HEARTBEAT)}four\nfive\n"
        assert notes_of(text) == [
            "left out lines 1 to 2: nothing in it decodes",
            "from line 3: read as hex among text",
            "left out line 4: nothing in it decodes",
            "from line 5: read as dump with addresses",
            "left out lines 6 to 7: nothing in it decodes",
        ]

    def test_of_plain_hex_it_is_said_that_it_is_that(self) -> None:
        assert notes_of(HEARTBEAT.hex()) == ["read as plain hex"]


class TestTextBeside:
    """What stands behind the bytes of a row is left out only if it spells them."""

    @pytest.mark.parametrize(
        ("line", "data"),
        [
            ("0000: 6162 6363  abcc", b"abcc"),
            ("0000: 6162 0a63  ab.c", b"ab\nc"),
            ("0000: 6162 20    ab", b"ab "),
            ("0000: 2030 3020   00", b" 00 "),
            ("0000: 6162 **63  ab?c", b"ab\0c"),
            ("0000: 6162 6363  dddd", b"abcc\xdd\xdd"),
            ("0000: 6162 0a63  abcc", b"ab\nc\xab\xcc"),
        ],
    )
    def test_of_a_row(self, line: str, data: bytes) -> None:
        assert Rows().read(line).data == data


class TestReadings:
    def test_every_form_that_gives_something_is_there_once(self) -> None:
        assert readings("01 03 02") == [
            Whole("plain hex", Piece(b"\x01\x03\x02")),
        ]
        assert Whole("decimal numbers", Piece(b"\x01\x03\x02\x01\x0a")) in readings(
            "TX: [1, 3, 2, 1, 10]"
        )

    def test_masked_digits_are_told(self) -> None:
        assert readings("x 01\nx 0* 02\r\n")[0].piece == Piece(b"\x01\0\x02", (1,))

    def test_nothing_gives_nothing(self) -> None:
        assert readings("") == []


class TestOddities:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            (r'"\245\1\0\020G\227mN\034\253\241\0\x12\x15"', True),
            ('"\\u00a5\\x01\\0\\x10G\\x97mN\\x1c\\xab\\xa1\\0\\x12\\x15"', True),
            ("E'" + "".join(f"\\\\x{byte:02x}" for byte in HEARTBEAT) + "'", True),
            ("".join(f"\\\\x{byte:02x}" for byte in HEARTBEAT), True),
            ("b'\\xa5\\x01\\x00\\x10G\\x97mN\\x1c\\xab\\xa1\\x00\\x12\\x15", True),
            ("{0xa5,0x1,0x0,0x10,0x47,0x97,0x6d,0x4e,0x1c,0xab,0xa1,0x0,0x12,0x15}", True),
            (
                (
                    "0xa5, /* start */ 0x01, 0x00 /* length */, 0x10, 0x47, 0x97, 0x6d,"
                    "0x4e, 0x1c, 0xab, 0xa1, 0x00, 0x12, 0x15 /* end"
                ),
                True,
            ),
            ("0000: a5 01 00 10 47 97 6d 4e 1c ab a1  00 12 15", True),
            ("0000: 40 40 40 40 a5 01 00 10 47 97 6d 4e 1c ab a1  00 12 15", True),
            ("0000: 40 40\n*\n000b: a5 01 00 10 47 97 6d 4e 1c ab a1 00 12 15", True),
            ("*\n0000\n*\n000b: a5 01 00 10 47 97 6d 4e 1c ab a1 00 12 15", True),
            ("0000: a501 0010 4797 6d4e 1cab a100 1215 |", True),
            ("0000  a5 01 00 10 47 97 6d 4e 1c ab a1 00 12 15  and more", True),
            ("a5 01 00 10 47 97 6d 4e 1c ab a1 00 12 15 {", True),
            ("a501001047976d4e1ca\nba1001215 {", True),
            ("x: a501001047976d4e1ca\nba1001215\n", True),
            ("x: a501001047976d4e1ca ...\nba1001215\n", False),
        ],
    )
    def test_what_people_write(self, text: str, found: bool) -> None:  # noqa: FBT001
        outcome: list[bytes] = []
        with suppress(ProtocolError):
            outcome = frames(text)
        assert outcome == ([HEARTBEAT] if found else [])

    def test_digits_are_bytes_unless_masked(self) -> None:
        assert from_digits("a501") == (b"\xa5\x01", ())
        assert from_digits("a5*1x?") == (b"\xa5\0\0", (1, 2))


@pytest.mark.parametrize(
    "unit",
    [
        "a", "a5", "a5 ", "0x", "0xa5,", "*", "* ", "'", "\\'", "'\\", '"\\x', "/*", "/* */", "=",
        "1 ", "-1,", "a5  ", "a5 01  .", "0000: a5 01  ..\n", "*\n", "0000 \n", "|", ">", "\\x",
        "b'",         "abcdefgh1234", "aB+/", "a5 00 10 ", "0101000000", "a5ff0f", "A:", "   ",
        "xx",
        "x ",
        "\x1b[",
        "0x0x", "0X", "/*/", "*/", "xx ", "..", ". ", "a5 .. ", "a5..", "[", "[1,", "1,",
        "245 ", "g", "a5g",
        "0000000 a5\n", "0000000 4aa5\n", "0000000 245  \\0\n", "0000000 165\n*\n", "10100101 ",
        "x a5 00 0f\n", "x a5 01 00 10\n", "x 01 01 10 00 00 f0 00\n", "165, 1, 0\n",
        "pQEAEEeXbU4c\n",
        "x: a5 01 00 10 47 97 6d 4e 1c ab a1 00 12 15\n",
        "x: a5 01 00 10 47 97 ** 4e 1c ab a1 00 12 15\n",
        "x a5 00 0f\nx: a5 01 00 10 47 97 6d 4e 1c ab a1 00 12 15\n",
        "0000: a5 00 0f\nb'\\xa5\\x01\\0\\x10G\\x97mN\\x1c\\xab\\xa1\\0\\x12\\x15'\n",
        "a5 01 00 10 47 97 6d 4e 1c ab a1 00 13 15\n", "1\n", "a\n", "٣", "\xa0",
    ],
)  # fmt: skip
def test_reading_is_linear(unit: str) -> None:
    from time import process_time

    def took(size: int) -> float:
        text = "; " + unit * (size // len(unit))
        begin = process_time()
        with suppress(ProtocolError):
            content(text)
        return process_time() - begin

    assert is_linear(took, 1_000)


def test_a_line_without_end_takes_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    import tracemalloc

    monkeypatch.setattr(reader_module, "LONGEST_LINE", 1 << 16)
    monkeypatch.setattr(choice_module, "MOST_DEFERRED", 1 << 16)
    monkeypatch.setattr(search_module, "MOST_KEPT", 1 << 12)
    reader = DumpReader(framings())
    tracemalloc.start()
    try:
        for _ in range(12):
            reader.feed("q a5, 165 \\x01 " * 900)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    with suppress(ProtocolError):
        list(reader.finish())
    assert most < 2.5e6


@pytest.mark.parametrize("head", ["", "x a5 40 00 10 47\n", "x\n0000: a5 40 00 10 47\n"])
@pytest.mark.parametrize("line", ["\n", "q\n"])
def test_many_short_lines_take_bounded_memory(
    line: str, head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tracemalloc

    monkeypatch.setattr(choice_module, "MOST_DEFERRED", 1 << 12)
    monkeypatch.setattr(reader_module, "MOST_PLAIN", 1 << 10)
    monkeypatch.setattr(search_module, "MOST_KEPT", 1 << 10)

    reader = DumpReader(framings())
    reader.feed(head + line * 500)
    tracemalloc.start()
    try:
        for _ in range(40):
            reader.feed(line * 100)
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert left < 20_000


def test_every_form_has_its_own_name() -> None:
    assert len({form().name for form in FORMS}) == len(FORMS)


class TestBrokenFramesBesideGoodOnes:
    def test_what_begins_like_a_frame_is_given_though_it_is_cut_short(self) -> None:
        cut = REALTIME[:300]
        text = "\n".join(f"line SENT: {data.hex()}" for data in (HEARTBEAT, cut, HEARTBEAT, cut))
        assert content(text) == HEARTBEAT + cut + HEARTBEAT + cut
        assert content(f"SENT: {cut.hex()}\nSENT: {HEARTBEAT.hex()}\n") == cut + HEARTBEAT

    def test_of_one_with_another_end_too(self) -> None:
        other = REALTIME[:-1] + b"\x16"
        text = "\n".join(f"line SENT: {data.hex()}" for data in (HEARTBEAT, other, HEARTBEAT))
        assert content(text) == HEARTBEAT + other + HEARTBEAT

    def test_what_only_looks_so_is_left_out(self) -> None:
        text = f"SENT: {HEARTBEAT.hex()}\nkey a5 11 22 33 44 55 66 77 88 99 aa bb cc\n"
        assert content(text) == HEARTBEAT
        assert "line 2" in " ".join(notes_of(text))
