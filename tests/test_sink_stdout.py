"""The sink that writes to standard output: readers that are slow, gone, or come back."""

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from inverterproto.reading import Reading, TimeSource
from inverterproto_cli.sinks.sink import Entry, TroubleError
from inverterproto_cli.sinks.stdout import STDOUT, Stdout

PATIENCE = 30.0


def entry(number: int, text: str = "normal") -> Entry:
    reading = Reading(
        "deye", "2301234567", 1_712_596_443.0 + number, TimeSource.DEVICE, historic=False,
        values={"pv_power": 12.5, "status": text}, via="2712345678",
    )  # fmt: skip
    return Entry(number, reading, 1_712_596_450.0, "us")


def numbers(data: bytes) -> list[int]:
    """Return the numbers of lines, each of which must be whole."""
    assert data.endswith(b"\n")
    return [json.loads(line)["number"] for line in data.splitlines()]


@pytest.fixture
def pipe() -> Iterator[list[int]]:
    """Two descriptors, to read and to write; those taken out of the list are not closed."""
    ends = list(os.pipe())
    yield ends
    for end in ends:
        os.close(end)


def read_until_closed(descriptor: int) -> bytes:
    with os.fdopen(os.dup(descriptor), "rb") as file:
        return file.read()


async def run(sink: Stdout, batch: list[Entry]) -> int:
    try:
        return await asyncio.wait_for(sink.deliver(batch), PATIENCE)
    finally:
        await asyncio.wait_for(sink.close(), PATIENCE)


def test_a_line_is_what_readings_shows_with_the_number(pipe: list[int]) -> None:
    assert asyncio.run(run(Stdout(pipe[1]), [entry(7)])) == 1
    shown = json.loads(os.read(pipe[0], 65536))
    assert shown == entry(7).to_json()
    assert shown["values"] == {"pv_power": 12.5, "status": "normal"}


def test_a_batch_that_is_more_than_a_pipe_holds_arrives_whole(pipe: list[int]) -> None:
    batch = [entry(number, "x" * 3000) for number in range(200)]
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(read_until_closed(pipe[0])))
    reader.start()
    assert asyncio.run(run(Stdout(pipe[1]), batch)) == 200
    os.close(pipe.pop())
    reader.join(PATIENCE)
    assert numbers(got[0]) == list(range(200))


def test_a_slow_reader_stops_nothing_else_in_the_loop(pipe: list[int]) -> None:
    batch = [entry(number, "x" * 3000) for number in range(200)]

    async def main() -> int:
        sink = Stdout(pipe[1])
        delivering = asyncio.ensure_future(sink.deliver(batch))
        # It is at work once the pipe has something; it cannot be through before it is read.
        await asyncio.wait_for(asyncio.to_thread(os.read, pipe[0], 1), PATIENCE)
        turns = 0
        while turns < 1000:
            await asyncio.sleep(0)
            turns += 1
        assert not delivering.done()
        await asyncio.wait_for(sink.close(), PATIENCE)
        return await delivering

    whole = asyncio.run(main())
    assert 0 < whole < 200, "what fitted into the pipe arrived"


def test_who_reads_nothing_at_all_is_trouble_and_later_gets_only_whole_lines(
    pipe: list[int],
) -> None:
    sink = Stdout(pipe[1], patience=1)
    batch = [entry(number, "x" * 3000) for number in range(100)]
    whole = asyncio.run(sink.deliver(batch))
    assert 0 < whole < 100
    with pytest.raises(TroubleError, match="nobody has read a line for 1 s"):
        asyncio.run(sink.deliver(batch[whole:]))
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(read_until_closed(pipe[0])))
    reader.start()
    sink._patience = PATIENCE
    assert asyncio.run(run(sink, batch[whole:])) == 100 - whole
    os.close(pipe.pop())
    reader.join(PATIENCE)
    assert sorted(set(numbers(got[0]))) == list(range(100))
    assert len(numbers(got[0])) - 100 in (0, 1), "at most the line that was begun comes twice"


def test_of_a_batch_that_takes_too_long_counts_what_was_read(pipe: list[int]) -> None:
    """The reader takes a line at a time, and never so long none that it would be trouble."""
    sink = Stdout(pipe[1], patience=2)
    batch = [entry(number, "x" * 60_000) for number in range(1000)]
    stop = threading.Event()

    def read_slowly() -> None:
        while not stop.wait(0.01):
            os.read(pipe[0], 60_000)

    reader = threading.Thread(target=read_slowly)
    reader.start()
    try:
        assert 1 <= asyncio.run(asyncio.wait_for(sink.deliver(batch), PATIENCE)) < 1000
    finally:
        stop.set()
        os.write(pipe[1], b"\n")  # for a reader that waits
        reader.join(PATIENCE)


def test_a_reader_that_is_gone_is_trouble(pipe: list[int]) -> None:
    os.close(pipe.pop(0))
    with pytest.raises(TroubleError, match="standard output: nobody reads it any more"):
        asyncio.run(run(Stdout(pipe[0]), [entry(1)]))


def test_a_full_disk_behind_it_is_trouble() -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(TroubleError, match="standard output: No space left on device"):
            asyncio.run(run(Stdout(descriptor), [entry(1)]))
    finally:
        os.close(descriptor)


def test_a_pipe_that_somebody_made_non_blocking_does_as_well(pipe: list[int]) -> None:
    os.set_blocking(pipe[1], False)
    batch = [entry(number, "x" * 3000) for number in range(200)]
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(read_until_closed(pipe[0])))
    reader.start()
    assert asyncio.run(run(Stdout(pipe[1]), batch)) == 200
    os.close(pipe.pop())
    reader.join(PATIENCE)
    assert numbers(got[0]) == list(range(200))


def test_who_gives_up_waiting_leaves_a_thread_that_ends_when_it_is_closed(pipe: list[int]) -> None:
    batch = [entry(number, "x" * 3000) for number in range(200)]

    async def main() -> None:
        sink = Stdout(pipe[1])
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sink.deliver(batch), 0.3)
        await asyncio.wait_for(sink.close(), PATIENCE)

    asyncio.run(main())


def test_a_test_is_marked_as_such(pipe: list[int]) -> None:
    async def main() -> str:
        sink = Stdout(pipe[1])
        told = await sink.test(entry(0))
        await sink.close()
        return told

    assert "standard output" in asyncio.run(main())
    shown: dict[str, Any] = json.loads(os.read(pipe[0], 65536))
    assert shown["test"] is True
    assert shown["device"] == "2301234567"


def test_its_first_setting_is_the_one_that_makes_it() -> None:
    assert STDOUT.settings[0].flag == "--stdout"
    assert STDOUT.settings[0].kind is bool
    assert not STDOUT.needs_time
