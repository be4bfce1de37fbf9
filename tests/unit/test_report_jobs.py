"""Reports as jobs: one job for one request, one worker at a time, another after a crash, a stop when it is cancelled."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from services.events import encode
from services.kit.clock import ManualClock
from services.kit.problems import Problem
from services.kit.runtime import Runtime
from services.kit.settings import Settings
from services.reporting.cuts import Cut
from services.reporting.report.inputs import Sources
from services.reporting.report.jobs import FAULT, LEASE_S, MOST_OPEN, MOST_TRIES, FileGone, Forms, Job, Jobs, Request
from services.reporting.report.maker import MAKING, Maker
from services.reporting.share import Cell, Scope
from services.reporting.watch import Rules
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
            SimpleNamespace(store=self.store, clock=self.clock, bus=self, outgoing=lambda event: event, settings=Settings()),
        )
        self.jobs, self.waits, self.people = Jobs(self.store, self.clock), False, 5
        self.gathered = 0

    async def publish(self, events: list[Any]) -> None:
        self.published += events

    async def get(self, contest: str, at: Any, since: Any = None) -> Cut | None:
        cells = {"": {"HP-307": Cell(self.people, 7)}}
        return None if self.waits else Cut(contest, at, self.clock.now(), {"": Scope(cells)})

    async def ask(self, contest: str, at: Any, since: Any = None) -> None:
        """Somebody will make it."""

    async def job(self, id: str) -> Job:
        found = await self.jobs.get(id)
        assert found is not None
        return found

    def pieces(self) -> list[str]:
        """The files that are kept, as the store names them."""
        return sorted(self.store["report_files"].documents)

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
        "as_of": AS_OF, "form": FORM,
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


async def test_a_renderer_that_hangs_is_ended_and_its_report_fails(house: House) -> None:
    job, _ = await house.jobs.ask(request(), "an")
    worker = Maker(house.runtime, house.jobs, cast("Any", house), house.gather, "", ("sleep", "60"), render_s=0.05)
    assert await worker.turn()
    assert ((await house.job(job.id)).phase, (await house.job(job.id)).fault) == ("failed", FAULT)


async def test_no_report_ends_the_worker(house: House) -> None:
    missing, _ = await house.jobs.ask(request(), "an")
    await house.worker("/no/such/program").turn()
    assert (await house.job(missing.id)).phase == "failed"
    strange, _ = await house.jobs.ask(request(format="pdf"), "an")
    house.store["reports"].documents[strange.id]["request"] = b'{"of": "another version"}'
    assert not await house.worker().turn()
    assert house.store["reports"].documents[strange.id]["phase"] == "failed"
    assert [job.id for job in await house.jobs.of(CONTEST.contest, 10)] == [missing.id]
    assert (await house.jobs.ask(request(format="pdf"), "an"))[1]
    assert await house.worker().turn()


async def test_a_report_that_workers_die_of_is_given_up(house: House) -> None:
    job, _ = await house.jobs.ask(request(), "an")
    house.waits = True
    for _ in range(MOST_TRIES):
        assert await house.worker().turn(lambda: True), "one that is told to stop has not died of it"
    for _ in range(MOST_TRIES):
        assert await house.jobs.take("one that dies")
        house.clock.advance(timedelta(seconds=LEASE_S + 1))
    assert await house.jobs.take("one that lives") is None
    assert ((await house.job(job.id)).phase, (await house.job(job.id)).fault) == ("failed", FAULT)


async def test_an_account_has_so_many_open_and_no_more(house: House) -> None:
    wanted = [request(as_of=AS_OF + timedelta(hours=n)) for n in range(MOST_OPEN + 1)]
    for each in wanted[:-1]:
        await house.jobs.ask(each, "an")
    with pytest.raises(Problem) as refused:
        await house.jobs.ask(wanted[-1], "an")
    assert (refused.value.status, refused.value.params) == (429, {"most": MOST_OPEN})
    assert not (await house.jobs.ask(wanted[0], "an"))[1], "what is asked for already is still shown"
    assert (await house.jobs.ask(wanted[-1], "binh"))[1]
    await house.jobs.cancel(wanted[0].id)
    assert (await house.jobs.ask(request(format="pdf"), "an"))[1]


async def test_the_newest_jobs_of_a_contest_are_listed_by_unit(house: House) -> None:
    for n, unit in enumerate(("", "HP-306", "HP-307")):
        await house.jobs.ask(request(unit=unit), "an")
        house.clock.advance(timedelta(minutes=n + 1))
    assert [job.request.unit for job in await house.jobs.of(CONTEST.contest, 2)] == ["HP-307", "HP-306"]
    assert [job.request.unit for job in await house.jobs.of(CONTEST.contest, 2, ["HP-306"])] == ["HP-306"]


async def test_old_reports_go_with_their_files_and_come_again_the_same(house: House) -> None:
    old, _ = await house.jobs.ask(request(), "an")
    worker = house.worker()
    await worker.turn()
    first = await house.jobs.file(await house.job(old.id))
    house.clock.advance(timedelta(days=29))
    young, _ = await house.jobs.ask(request(format="pdf"), "an")
    await worker.turn()
    house.waits = True
    waiting, _ = await house.jobs.ask(request(format="xlsx"), "an")
    house.clock.advance(timedelta(days=2))
    stops = iter([False, True, True])
    await worker.run(lambda: next(stops))
    assert await house.jobs.get(old.id) is None
    assert [name.split("/")[0] for name in house.pieces()] == [young.id]
    assert (await house.job(waiting.id)).open
    house.waits = False
    await house.jobs.cancel(waiting.id)
    await house.jobs.ask(request(), "an")
    await worker.turn()
    assert await house.jobs.file(await house.job(old.id)) == first
    assert house.gathered == 1


async def test_a_cancelled_job_leaves_no_file(house: House) -> None:
    job, _ = await house.jobs.ask(request(), "an")
    await house.jobs.take("worker")
    await house.jobs.cancel(job.id)
    assert not await house.jobs.finish(job.id, "worker", b"a file")
    assert house.pieces() == []


async def test_a_file_that_is_gone_is_made_again(house: House) -> None:
    job, _ = await house.jobs.ask(request(), "an")
    worker = house.worker()
    await worker.turn()
    content = await house.jobs.file(await house.job(job.id))
    house.store["report_files"].documents.clear()
    with pytest.raises(FileGone):
        await house.jobs.file(await house.job(job.id))
    assert (await house.job(job.id)).phase == "asked"
    await worker.turn()
    assert await house.jobs.file(await house.job(job.id)) == content


async def test_a_letter_to_nobody_fails_with_its_reason(house: House) -> None:
    job, _ = await house.jobs.ask(request(kind="cong-van"), "an")
    quiet = msgspec.structs.replace(SOURCES, rules=Rules(below_average=False, silent_days=0))
    await house.jobs.freeze(CONTEST.contest, AS_OF, msgspec.json.encode(quiet))
    await house.worker(*MAKING).turn()
    failed = await house.jobs.get(job.id)
    assert failed is not None
    assert (failed.phase, failed.fault) == ("failed", "Không có đơn vị nào cần đôn đốc, nên không có công văn để lập.")


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
