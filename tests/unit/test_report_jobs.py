"""Reports as jobs: one job for one request, one worker at a time, another after a crash, a stop when it is cancelled."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.events import encode
from services.kit.clock import ManualClock
from services.kit.runtime import Runtime
from services.reporting.cuts import Cut
from services.reporting.report.inputs import Sources
from services.reporting.report.jobs import LEASE_S, Forms, Jobs, Request
from services.reporting.report.maker import MAKING, Maker
from services.reporting.share import Cell, Scope
from tests import reported_contest
from tests.contract.memory_store import memory_store
from tests.unit.report_sample import AS_OF, FORM

CONTEST = reported_contest.contest()
SOURCES = Sources(contest=CONTEST, rounds=CONTEST.rounds)


class House:
    """A store and a bus in memory, and workers above them. `waits` is whether cuts are not made yet."""

    def __init__(self) -> None:
        self.clock, self.store, self.published = ManualClock(AS_OF + timedelta(hours=1)), memory_store(), list[Any]()
        self.runtime = cast(
            "Runtime",
            SimpleNamespace(store=self.store, clock=self.clock, bus=self, outgoing=lambda event: event),
        )
        self.jobs, self.waits, self.people = Jobs(self.store, self.clock), False, 5
        self.gathered = 0

    async def publish(self, events: list[Any]) -> None:
        self.published += events

    async def get(self, contest: str, at: Any) -> Cut | None:
        cells = {"": {"HP-307": Cell(self.people, 7)}}
        return None if self.waits else Cut(contest, at, self.clock.now(), {"": Scope(cells)})

    async def ask(self, contest: str, at: Any) -> None:
        """Somebody will make it."""

    async def gather(self, request: Request) -> Sources:
        self.gathered += 1
        return SOURCES

    def worker(self, *command: str) -> Maker:
        """One whose files are the tasks themselves, unless a test wants it otherwise."""
        return Maker(self.runtime, self.jobs, cast("Any", self), self.gather, "https://thi.example", command or ("cat",))


@pytest.fixture
def house() -> House:
    return House()


def request(**more: Any) -> Request:
    common: dict[str, Any] = {
        "contest": CONTEST.contest, "kind": "bao-cao", "format": "csv", "unit": "", "tree": "territory",
        "since": CONTEST.rounds[0].opens, "until": AS_OF, "as_of": AS_OF, "form": FORM,
    }  # fmt: skip
    return Request(**common | more)


async def test_the_same_asked_twice_is_one_job_and_told_once(house: House) -> None:
    job, new = await house.jobs.ask(request(), "an")
    assert new
    assert await house.jobs.ask(request(), "binh") == (job, False)
    assert await house.worker(*MAKING).turn()
    assert not await house.worker().turn()
    done = await house.jobs.get(job.id)
    assert done is not None
    assert (done.phase, done.percent) == ("ready", 100)
    assert len(await house.jobs.file(done)) == done.size > 0
    assert [event.report for event in house.published] == [job.id]
    assert encode(house.published[0])


async def test_a_worker_that_died_loses_its_job_to_another(house: House) -> None:
    job, _ = await house.jobs.ask(request(), "an")
    assert await house.jobs.take("one that dies")
    assert await house.jobs.hold(job.id, "one that dies", "rendering", 60)
    assert not await house.worker().turn(), "it is leased"
    house.clock.advance(timedelta(seconds=LEASE_S + 1))
    assert await house.worker().turn()
    assert not await house.jobs.hold(job.id, "one that dies", "rendering", 70), "whoever comes back late has lost it"
    assert not await house.jobs.finish(job.id, "one that dies", b"too late")
    done = await house.jobs.get(job.id)
    assert done is not None
    assert done.phase == "ready"
    assert await house.jobs.file(done) != b"too late"


async def test_a_report_of_which_nobody_was_told_is_told_after_a_crash(house: House) -> None:
    job, _ = await house.jobs.ask(request(), "an")
    await house.jobs.take("one that dies")
    assert await house.jobs.finish(job.id, "one that dies", b"a file")
    await house.worker().turn()
    assert [event.report for event in house.published] == [job.id]


async def test_a_cancelled_job_stops_and_may_be_asked_for_again(house: House) -> None:
    house.waits = True
    job, _ = await house.jobs.ask(request(), "an")
    taken = await house.jobs.take("worker")
    assert taken is not None
    assert await house.jobs.cancel(job.id)
    assert not await house.jobs.hold(job.id, "worker", "rendering", 50)
    assert not await house.worker().turn()
    house.waits = False
    assert (await house.jobs.ask(request(), "an"))[1]
    assert await house.worker().turn()
    assert not await house.jobs.cancel(job.id), "what is ready stays"


async def test_a_worker_that_is_told_to_stop_hands_its_job_back(house: House) -> None:
    house.waits = True
    await house.jobs.ask(request(), "an")
    assert await house.worker().turn(lambda: True)
    house.waits = False
    assert await house.worker().turn(), "at once, without waiting for the lease to end"
    assert len(house.published) == 1


async def test_what_cannot_be_made_fails_with_a_reason(house: House) -> None:
    job, _ = await house.jobs.ask(request(), "an")
    await house.worker("false").turn()
    failed = await house.jobs.get(job.id)
    assert failed is not None
    assert failed.phase == "failed"
    assert failed.fault


async def test_what_was_known_at_the_first_report_of_a_cut_stands(house: House) -> None:
    first = await house.jobs.freeze("hp", AS_OF, b"first")
    assert (first, await house.jobs.freeze("hp", AS_OF, b"second")) == (b"first", b"first")
    assert await house.jobs.frozen("hp", AS_OF + timedelta(hours=1)) is None
    await house.jobs.ask(request(), "an")
    await house.jobs.ask(request(format="xlsx"), "an")
    worker = house.worker()
    assert await worker.turn()
    assert await worker.turn()
    assert house.gathered == 1


async def test_forms_are_kept_by_contest_and_unit(house: House) -> None:
    forms = Forms(house.store)
    await forms.put("hp", "A", FORM)
    assert await forms.get("hp", "A") == FORM
    assert await forms.get("hp", "") is None


def test_a_job_is_the_same_for_the_same_request_only() -> None:
    other = [request(format="pdf"), request(unit="HP-307"), request(as_of=AS_OF + timedelta(hours=1)), request(units=("A",))]
    assert request().id == request().id
    assert len({each.id for each in [request(), *other]}) == 5
