"""How much of the machine the sinks' thread takes."""

import pytest

from inverterproto_cli.sinks.pace import BUSY, LONGEST, SHARE, Pace

pytestmark = pytest.mark.asyncio


class Machine:
    """Clocks that go as told; rests are noted."""

    def __init__(self) -> None:
        self.ticks = self.own = self.whole = 0.0
        self.rests: list[float] = []
        self.answers_after = 0.0
        self.pace = Pace(
            self._answer,
            ticks=lambda: self.ticks,
            own=lambda: self.own,
            whole=lambda: self.whole,
            sleep=self._sleep,
        )

    async def _sleep(self, seconds: float) -> None:
        self.rests.append(seconds)
        self.ticks += seconds

    async def _answer(self) -> None:
        self.ticks += self.answers_after

    def work(self, span: float, own: float, others: float) -> None:
        self.ticks += span
        self.own += own
        self.whole += own + others


async def test_an_idle_machine_is_used_whole() -> None:
    machine = Machine()
    machine.work(span=1.0, own=0.9, others=0.1)
    await machine.pace.rest()
    assert machine.rests == [0]


async def test_a_busy_machine_is_left_to_the_devices() -> None:
    machine = Machine()
    machine.work(span=0.1, own=0.02, others=0.1 * BUSY + 0.01)
    await machine.pace.rest()
    assert machine.rests == [pytest.approx(0.02 / SHARE - 0.1)]
    machine.work(span=0.02, own=SHARE * 0.01, others=0.02)
    await machine.pace.rest()
    assert machine.rests[1:] == [0.0]  # it has been little enough


async def test_a_main_thread_that_answers_late_is_busy() -> None:
    machine = Machine()
    machine.answers_after = 0.01
    machine.work(span=0.1, own=0.02, others=0.0)
    await machine.pace.rest()
    assert machine.rests == [pytest.approx(0.02 / SHARE - 0.1)]


async def test_no_rest_is_endless() -> None:
    machine = Machine()
    machine.work(span=10.0, own=9.0, others=10.0)
    await machine.pace.rest()
    assert machine.rests == [LONGEST]


async def test_many_short_pieces_of_work_are_counted_together() -> None:
    machine = Machine()
    for _ in range(100):
        machine.work(span=0.001, own=0.0005, others=0.001)
        await machine.pace.rest()
    assert sum(machine.rests) == pytest.approx(
        0.05 / SHARE - machine.ticks + sum(machine.rests), abs=0.3
    )
