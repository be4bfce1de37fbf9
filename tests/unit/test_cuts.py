"""Cuts: made once by all workers together, whoever dies in between; afterwards nothing changes them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.events import ContestBook, ContestPublished
from services.kit.bus import Transient
from services.kit.clock import ManualClock, us_of
from services.kit.derived import Derived, Owned
from services.kit.problems import Problem
from services.kit.runtime import Runtime
from services.reporting.counting import Counting, done
from services.reporting.cuts import MOST_OPEN, Cuts
from services.reporting.cutter import PATIENCE, Cutter
from services.reporting.domain import Id, Judgement, State, scored, submitted
from services.reporting.share import Cell
from tests.contract.memory_store import memory_store
from tests.unit.test_reporting_board import plan

OPENS = plan(1).opens
AT = OPENS + timedelta(hours=5)
HOUR = timedelta(hours=1)


async def at_once(task: bytes) -> bytes:
    """Counts in this process."""
    return done(task)


class House:
    """Two partitions whose topics end where a test says, and workers that own some."""

    def __init__(self) -> None:
        self.clock, self.book, self.store = ManualClock(AT + timedelta(minutes=2)), ContestBook(), memory_store()
        self.book.apply(
            ContestPublished(
                time=OPENS, contest="hp", title="", kind="", owner="", timezone="Asia/Ho_Chi_Minh", documents=(), categories=(),
                units=(), rounds=(plan(1),),
            )
        )  # fmt: skip
        self.ends = {0: 4, 1: 0}
        self.runtime = cast("Runtime", SimpleNamespace(store=self.store, bus=self, clock=self.clock))
        self.cuts = Cuts(self.store, cast("Any", self), self.book, self.clock)
        self.states = {0: State(), 1: State()}

    async def end_offsets(self, topic: str) -> Mapping[int, int]:
        return self.ends

    def worker(self, *partitions: int, reached: int = 4) -> Cutter:
        owned = {p: Owned(self.states[p], {"attempts": reached, "scores": reached}) for p in partitions}
        return Cutter(self.runtime, self.book, cast("Derived[State]", SimpleNamespace(owned=owned)), Counting(at_once))

    def vote(self, partition: int, who: str, at: datetime = AT, correct: int = 20) -> None:
        judgement = Judgement("HP-1", ("hoc-sinh",), us_of(at), "valid", 0, correct, 20)
        scored(self.states[partition], Id("hp", "hp.tuan-1", who, 1), judgement)

    async def people(self, at: datetime = AT) -> int | None:
        cut = await self.cuts.get("hp", at)
        return cut.scope().whole.people if cut else None


@pytest.fixture
def house() -> House:
    return House()


async def test_a_cut_is_made_when_every_partition_has_read_what_was_there(house: House) -> None:
    house.vote(0, "an")
    house.vote(0, "binh", AT + timedelta(microseconds=1))
    house.vote(1, "chi", correct=3)
    await house.cuts.ask("hp", AT)
    await house.worker(0, reached=3).make()
    await house.worker(1, reached=0).make()
    assert await house.people() is None, "partition 0 has not come as far as the topics had when the cut was asked for"
    await house.worker(0).make()
    cut = await house.cuts.get("hp", AT)
    assert cut is not None
    assert cut.scope("hp.tuan-1").cells["hoc-sinh"] == {"HP-1": Cell(2, 2, 1, 23, 40, 0)}
    assert cut.scope().last == {"HP-1": us_of(AT)}
    assert not house.store["cuts_open"].documents
    assert not house.store["cuts_parts"].documents


async def test_a_cut_of_a_period_has_who_took_part_in_it_beside_the_cut_of_all(house: House) -> None:
    for n, at in enumerate([OPENS, OPENS + HOUR, OPENS + 2 * HOUR, AT]):
        house.vote(n % 2, f"p{n}", at)
    for since in (None, OPENS + HOUR):
        await house.cuts.ask("hp", AT, since)
        await house.worker(0, 1).make()
    await house.cuts.ask("hp", AT, OPENS + HOUR)
    assert not await house.cuts.opened(), "it is there"
    part = await house.cuts.get("hp", AT, OPENS + HOUR)
    assert part is not None
    assert (part.since, part.scope().whole.people, part.scope().whole.attempts) == (OPENS + HOUR, 2, 2)
    assert await house.people() == 4


async def test_what_comes_later_does_not_change_it(house: House) -> None:
    house.vote(0, "an")
    await house.cuts.ask("hp", AT)
    await house.worker(0, 1).make()
    house.vote(0, "binh")
    await house.cuts.ask("hp", AT)
    await house.worker(0, 1).make()
    assert await house.people() == 1


async def test_every_step_may_be_done_twice_and_the_first_one_stands(house: House) -> None:
    house.vote(0, "an")
    await house.cuts.ask("hp", AT)
    (cut,) = await house.cuts.opened()
    await house.worker(1).make()
    slow = house.worker(0)
    await house.worker(0)._count(cut, [0])  # and dies
    house.vote(0, "binh")
    await slow._count(cut, [0])
    await slow._finish(cut)
    house.store["cuts_open"].documents[cut.id] = {"_id": cut.id, "contest": "hp", "at": AT, "asked_at": AT, "ends": cut.ends}
    await house.worker(0, 1).make()  # one that died after it was made, before it was closed, is closed again
    assert await house.people() == 1
    assert not house.store["cuts_open"].documents


async def test_a_cut_waits_for_the_verdicts_on_what_was_handed_in_but_not_for_ever(house: House) -> None:
    submitted(house.states[0], Id("hp", "hp.tuan-1", "an", 1), us_of(AT))
    await house.cuts.ask("hp", AT)
    worker = house.worker(0, 1)
    await worker.make()
    assert await house.people() is None
    house.clock.advance(PATIENCE)
    await worker.make()
    assert await house.people() == 0


async def test_while_a_round_is_open_there_is_a_cut_every_hour(house: House) -> None:
    worker = house.worker(0, 1)
    hours = [OPENS + n * HOUR for n in range(8)]
    for _ in range(2 * len(hours) + 1):
        await worker.turn()
    assert await house.cuts.made("hp", hours) == set(hours[:6])
    house.clock.advance(timedelta(minutes=58, seconds=30))
    await worker.turn()
    assert not await house.cuts.opened(), "the minute of grace is not over"
    house.clock.advance(timedelta(minutes=1))
    for _ in range(3):
        await worker.turn()
    assert await house.cuts.made("hp", hours) == set(hours[:7])
    house.clock.advance(timedelta(days=20))
    await worker.turn()
    assert not await house.cuts.opened(), "no round is open any more"


async def test_a_cut_has_a_full_hour_of_the_contest_and_so_many_are_made_at_a_time(house: House) -> None:
    for at, status in [(AT + timedelta(minutes=1), 422), (AT + HOUR, 422), (OPENS - HOUR, 422)]:
        with pytest.raises(Problem) as refused:
            await house.cuts.ask("hp", at)
        assert (refused.value.status, refused.value.field) == (status, "as_of")
    for n in range(MOST_OPEN):
        await house.cuts.ask("hp", AT - n * HOUR)
    with pytest.raises(Problem) as busy:
        await house.cuts.wait("hp", OPENS, seconds=0)
    assert (busy.value.status, "Retry-After" in busy.value.headers) == (503, True)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:00:00+00:00", "9999-12-31T23:00:00-12:00"])
async def test_a_time_beyond_all_calendars_is_refused(house: House, text: str) -> None:
    with pytest.raises(Problem, match="cut-off"):
        await house.cuts.wait("hp", datetime.fromisoformat(text))


async def test_what_has_not_changed_is_stored_once(house: House) -> None:
    house.vote(0, "an", OPENS)
    worker = house.worker(0, 1)
    for at in (AT, AT - HOUR):
        await house.cuts.ask("hp", at)
        await worker.make()
    assert await house.people() == await house.people(AT - HOUR) == 1
    assert len(house.store["cuts_scopes"].documents) == 1, "the contest and its only round, at both hours, look alike"


async def test_a_share_that_was_lost_again_is_in_no_sum(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.vote(0, "an")
    await house.cuts.ask("hp", AT)
    (cut,) = await house.cuts.opened()
    worker = house.worker(0, 1)
    await worker._count(cut, [0, 1])

    async def both(_: object) -> set[int]:
        return {0, 1}

    monkeypatch.setattr(worker._cuts, "shares_there", both)
    del house.store["cuts_parts"].documents[f"{cut.id}/0"]
    await worker._finish(cut)
    assert await house.people() is None


async def test_a_process_of_its_own_counts_the_same() -> None:
    house = House()
    for who in ("an", "binh", "chi"):
        house.vote(0, who)
    here, aside = Counting(at_once), Counting()
    shares = await here.count(house.states, ["hp.tuan-1"], us_of(AT))
    assert await aside.count(house.states, ["hp.tuan-1"], us_of(AT)) == shares
    packed = [counted.share for counted in shares.values()]
    assert await aside.add_up(packed) == await here.add_up(packed)


async def test_a_count_that_fails_is_put_off() -> None:
    with pytest.raises(Transient, match="exit status 1"):
        await Counting().add_up([b"no share"])
