"""TCP segments as a capture shows them: put together, whatever the wire did to them."""

import random
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverterproto_cli.tcp import FAR, HELD, PATIENCE, WEIGHT, Connection, Endpoint, Piece, Segment

DEVICE, CLOUD = Endpoint("192.168.1.5", 49152), Endpoint("47.88.8.200", 10000)
FIRST = 1000  # the number of the device's first byte


def sent(
    data: bytes = b"",
    number: int = FIRST,
    *,
    at: float | None = None,
    syn: bool = False,
    fin: bool = False,
    reset: bool = False,
) -> Segment:
    """Return a segment of the device."""
    return Segment(DEVICE, CLOUD, number % (1 << 32), data, syn=syn, fin=fin, reset=reset, at=at)


def acknowledged(number: int, at: float | None = None) -> Segment:
    """Return an acknowledgement of the cloud."""
    return Segment(CLOUD, DEVICE, 5000, acknowledged=number % (1 << 32), at=at)


def pieces(segments: Iterable[Segment], connection: Connection | None = None) -> list[Piece]:
    """Return what the device sent."""
    connection = connection or Connection(DEVICE, CLOUD)
    return [piece for each in segments for side, piece in connection.take(each) if side == 0]


def data(found: Iterable[Piece]) -> bytes:
    return b"".join(piece.data for piece in found)


class TestOrder:
    def test_segments_in_order_are_given_as_they_come(self) -> None:
        found = pieces([sent(b"ab", at=1.0), sent(b"cd", FIRST + 2, at=2.0)])
        assert found == [Piece(b"ab", 1.0), Piece(b"cd", 2.0)]

    def test_what_comes_too_early_waits_and_has_the_time_at_which_it_could_be_read(self) -> None:
        found = pieces(
            [
                sent(b"ab", at=1.0),
                sent(b"ef", FIRST + 4, at=2.0),
                sent(b"gh", FIRST + 6, at=3.0),
                sent(b"cd", FIRST + 2, at=4.0),
                sent(b"ij", FIRST + 8, at=5.0),
            ]
        )
        assert [piece.data for piece in found] == [b"ab", b"cd", b"ef", b"gh", b"ij"]
        assert [piece.at for piece in found] == [1.0, 4.0, 4.0, 4.0, 5.0]
        assert all(piece.missing is None for piece in found)

    def test_sequence_numbers_wrap(self) -> None:
        number = (1 << 32) - 3
        segments = [sent(b"abc", number), sent(b"gh", 3), sent(b"def", 0)]
        assert data(pieces(segments)) == b"abcdefgh"
        segments = [sent(b"", number - 1, syn=True), sent(b"efgh", 1), sent(b"abcd", number)]
        assert data(pieces(segments)) == b"abcdefgh"

    def test_a_syn_takes_a_number_and_may_bring_data(self) -> None:
        assert data(pieces([sent(b"", syn=True), sent(b"ab", FIRST + 1)])) == b"ab"
        assert data(pieces([sent(b"ab", syn=True), sent(b"cd", FIRST + 3)])) == b"abcd"

    def test_each_side_has_numbers_of_its_own(self) -> None:
        connection = Connection(DEVICE, CLOUD)
        answer = Segment(CLOUD, DEVICE, 77, b"answer", acknowledged=FIRST + 2)
        found = [each for s in (sent(b"ab"), answer) for each in connection.take(s)]
        assert [(side, piece.data) for side, piece in found] == [(0, b"ab"), (1, b"answer")]

    def test_who_sent_the_syn_opened_it(self) -> None:
        for segment, opener in (
            (sent(syn=True), 0),
            (Segment(CLOUD, DEVICE, 5000, syn=True), 1),
            (Segment(CLOUD, DEVICE, 5000, acknowledged=FIRST, syn=True), 0),
            (sent(b"ab"), None),
        ):
            connection = Connection(DEVICE, CLOUD)
            list(connection.take(segment))
            assert connection.opener == opener

    def test_an_endpoint_may_be_connected_to_itself(self) -> None:
        connection = Connection(DEVICE, DEVICE)
        segment = Segment(DEVICE, DEVICE, 1, b"ab", acknowledged=1)
        assert list(connection.take(segment)) == [(0, Piece(b"ab", None))]


class TestRepeated:
    def test_what_comes_again_is_dropped_and_counted(self) -> None:
        connection = Connection(DEVICE, CLOUD)
        again = [sent(b"ab"), sent(b"cd", FIRST + 2)] * 3
        assert data(pieces(again, connection)) == b"abcd"
        assert connection.repeated == 4

    def test_what_comes_again_with_more_brings_only_that(self) -> None:
        connection = Connection(DEVICE, CLOUD)
        assert data(pieces([sent(b"abcd"), sent(b"cdef", FIRST + 2)], connection)) == b"abcdef"
        assert connection.repeated == 0

    def test_of_bytes_that_differ_the_ones_given_first_stay(self) -> None:
        assert data(pieces([sent(b"abcd"), sent(b"XXXXef")])) == b"abcdef"
        early = [
            sent(b"ab"),
            sent(b"ef", FIRST + 4),
            sent(b"XX", FIRST + 4),
            sent(b"cd", FIRST + 2),
        ]
        assert data(pieces(early)) == b"abcdef"

    def test_a_keep_alive_probe_is_neither_data_nor_a_retransmission(self) -> None:
        connection = Connection(DEVICE, CLOUD)
        probes = [sent(b"b", FIRST + 1), sent(b"", FIRST + 1), sent(b"\0", FIRST + 1)]
        assert data(pieces([sent(b"ab"), *probes, sent(b"cd", FIRST + 2)], connection)) == b"abcd"
        assert connection.repeated == 0

    def test_a_capture_that_begins_with_a_keep_alive_begins_with_the_data(self) -> None:
        assert pieces([sent(b"", FIRST - 1), sent(b"ab")]) == [Piece(b"ab", None)]

    def test_what_was_sent_before_the_first_byte_seen_is_dropped(self) -> None:
        assert data(pieces([sent(b"cd", FIRST + 2), sent(b"ab"), sent(b"abcdef")])) == b"cdef"

    def test_a_syn_that_comes_again_begins_nothing(self) -> None:
        connection = Connection(DEVICE, CLOUD)
        syn = sent(b"", FIRST - 1, syn=True)
        assert data(pieces([syn, syn, sent(b"ab"), syn], connection)) == b"ab"
        assert not connection.is_left_by(syn)


class TestGaps:
    def test_what_was_received_but_not_captured_is_a_gap(self) -> None:
        found = pieces(
            [
                sent(b"ab", at=1.0),
                sent(b"ef", FIRST + 4, at=2.0),
                acknowledged(FIRST + 6, at=2.0 + PATIENCE),
                sent(b"gh", FIRST + 6, at=9.0),
            ]
        )
        assert found == [Piece(b"ab", 1.0), Piece(b"ef", 2.0, missing=2), Piece(b"gh", 9.0)]

    def test_data_may_be_captured_a_little_after_its_acknowledgement(self) -> None:
        found = pieces(
            [
                sent(b"ab", at=1.0),
                sent(b"ef", FIRST + 4, at=2.0),
                acknowledged(FIRST + 6, at=2.01),
                sent(b"cd", FIRST + 2, at=2.02),
            ]
        )
        assert data(found) == b"abcdef"
        assert all(piece.missing is None for piece in found)

    def test_without_times_an_acknowledgement_is_enough(self) -> None:
        segments = [sent(b"ab"), sent(b"ef", FIRST + 4), acknowledged(FIRST + 4)]
        assert pieces(segments)[-1] == Piece(b"ef", None, missing=2)

    def test_what_nobody_acknowledged_may_still_come(self) -> None:
        segments = [
            sent(b"ab", at=1.0),
            sent(b"ef", FIRST + 4, at=2.0),
            acknowledged(FIRST + 2, at=99.0),
        ]
        assert data(pieces(segments)) == b"ab"
        assert data(pieces([*segments, sent(b"cd", FIRST + 2, at=120.0)])) == b"abcdef"

    def test_an_acknowledgement_from_nowhere_makes_no_gap(self) -> None:
        segments = [sent(b"ab"), sent(b"ef", FIRST + 4), acknowledged(FIRST + 2 * FAR)]
        assert data(pieces(segments)) == b"ab"
        assert pieces([acknowledged(7), sent(b"ab")]) == [Piece(b"ab", None)]

    def test_at_the_end_every_hole_is_a_gap(self) -> None:
        connection = Connection(DEVICE, CLOUD)
        segments = [sent(b"ab"), sent(b"ef", FIRST + 4), sent(b"i", FIRST + 8)]
        assert data(pieces(segments, connection)) == b"ab"
        assert [piece for _, piece in connection.finish()] == [
            Piece(b"ef", None, missing=2),
            Piece(b"i", None, missing=2),
            Piece(b"", None, missing=0),
        ]

    def test_bytes_lost_before_a_fin_are_told(self) -> None:
        connection = Connection(DEVICE, CLOUD)
        assert data(pieces([sent(b"ab"), sent(b"", FIRST + 7, fin=True)], connection)) == b"ab"
        assert [piece for _, piece in connection.finish()] == [Piece(b"", None, missing=5)]

    def test_an_endless_stream_with_a_hole_is_held_in_bounds(self) -> None:
        connection = Connection(DEVICE, CLOUD)
        found = pieces([sent(b"ab")], connection)
        for n in range(3000):
            found += pieces([sent(b"x" * 1000, FIRST + 4 + n * 1000)], connection)
            assert connection.weight <= HELD
        assert [piece.missing for piece in found if piece.missing is not None] == [2]
        assert len(data(found)) == 2 + 3_000_000

    @pytest.mark.parametrize("step", [2, 1500, 60_000])
    def test_a_hole_before_every_byte_costs_bounded_memory(self, step: int) -> None:
        connection = Connection(DEVICE, CLOUD)
        given = 0
        for n in range(5000):
            given += len(data(pieces([sent(b"x", FIRST + n * step)], connection)))
            assert connection.weight <= HELD + WEIGHT
        given += len(data(piece for _, piece in connection.finish()))
        assert given == 5000


class TestEnds:
    def test_a_fin_ends_its_direction_once(self) -> None:
        found = pieces(
            [sent(b"ab", fin=True), sent(b"ab", fin=True), sent(b"", FIRST + 2, fin=True)]
        )
        assert found == [Piece(b"ab", None), Piece(b"", None, missing=0)]

    def test_a_fin_waits_for_the_bytes_before_it(self) -> None:
        found = pieces([sent(b"ab"), sent(b"ef", FIRST + 4, fin=True), sent(b"cd", FIRST + 2)])
        assert [piece.data for piece in found] == [b"ab", b"cd", b"ef", b""]
        assert found[-1].missing == 0

    def test_a_reset_ends_both_directions_with_what_waited(self) -> None:
        found = pieces([sent(b"ab"), sent(b"ef", FIRST + 4), sent(b"", FIRST + 6, reset=True)])
        assert found[1:] == [Piece(b"ef", None, missing=2), Piece(b"", None, missing=0)]

    def test_what_is_repeated_after_the_end_comes_not_twice(self) -> None:
        ended = [sent(b"ab", fin=True), acknowledged(FIRST + 3), sent(b"", FIRST + 3, reset=True)]
        assert data(pieces([*ended, sent(b"ab", fin=True), sent(b"ab")])) == b"ab"


class TestPortsUsedAgain:
    def test_a_syn_with_another_number_is_of_another_connection(self) -> None:
        connection = Connection(DEVICE, CLOUD)
        list(connection.take(sent(b"", FIRST - 1, syn=True)))
        assert connection.is_left_by(sent(b"", 987654, syn=True))
        answer = Segment(CLOUD, DEVICE, 5000, acknowledged=FIRST, syn=True)
        assert not connection.is_left_by(answer)
        list(connection.take(answer))
        assert not connection.is_left_by(answer)
        assert connection.is_left_by(answer._replace(sequence=9))

    def test_data_far_from_what_is_wanted_is_of_another_connection(self) -> None:
        connection = Connection(DEVICE, CLOUD)
        list(connection.take(sent(b"ab")))
        for away in (FAR + 3, -FAR - 1, 1 << 31):
            assert connection.is_left_by(sent(b"ab", FIRST + 2 + away))
            assert not connection.is_left_by(sent(b"", FIRST + 2 + away))
        for away in (FAR, -FAR, 0):
            assert not connection.is_left_by(sent(b"ab", FIRST + 2 + away))


@given(
    st.binary(min_size=1, max_size=300),
    st.lists(st.integers(1, 299), max_size=12),
    st.integers(0, (1 << 32) - 1),
    st.integers(0, 3),
    st.randoms(use_true_random=False),
)
def test_however_cut_shuffled_and_repeated_the_bytes_come_out(
    whole: bytes, cuts: list[int], first: int, shuffling: int, chance: random.Random
) -> None:
    borders = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    segments = [sent(whole[start:end], first + 1 + start) for start, end in pairwise(borders)]
    for _ in range(shuffling):
        start = chance.randrange(len(segments))
        end = start + chance.randrange(1, 40)
        segments.insert(
            chance.randrange(len(segments)), sent(whole[start:end] or b"", first + 1 + start)
        )
    order = sorted(range(len(segments)), key=lambda n: n + chance.uniform(0, shuffling))
    found = pieces([sent(b"", first, syn=True), *(segments[n] for n in order)])
    assert data(found) == whole
    assert all(piece.missing is None for piece in found)


segments = st.builds(
    Segment,
    st.sampled_from([DEVICE, CLOUD]),
    st.sampled_from([DEVICE, CLOUD]),
    st.integers(0, (1 << 32) - 1) | st.integers(0, 50),
    st.binary(max_size=20),
    st.none() | st.integers(0, (1 << 32) - 1) | st.integers(0, 50),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.none() | st.floats(0, 100),
)


@given(st.lists(segments, max_size=40))
def test_any_segments_give_pieces_and_no_byte_twice(found: list[Segment]) -> None:
    connection = Connection(DEVICE, CLOUD)
    given = [each for segment in found for each in connection.take(segment)]
    given += connection.finish()
    assert connection.weight == 0
    assert sum(len(piece.data) for _, piece in given) <= sum(len(s.data) for s in found)
    assert all(piece.missing is None or piece.missing >= 0 for _, piece in given)
    assert not list(connection.finish())[2:]
