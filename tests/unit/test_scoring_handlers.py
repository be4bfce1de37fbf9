"""However submissions arrive, are cut into batches, repeated, and interrupted by crashes: the same verdicts and standings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.events import (
    AttemptRuled,
    AttemptScored,
    ContestBook,
    ContestPublished,
    Event,
    ParticipantErased,
    ParticipantRegistered,
    RoundExtended,
    RoundKeyed,
    RoundPlan,
    RoundRanked,
    SubmissionReceived,
    Unit,
    decode,
    encode,
)
from services.events.results import ResultsPublished
from services.kit.bus import DONE, Bus, BusDown, Done, NotReady, Outgoing, Record, Reject
from services.kit.clock import ManualClock, us_of
from services.kit.locallog import LocalLog
from services.kit.runtime import Runtime
from services.kit.security import Secrets
from services.kit.settings import Settings
from services.scoring import audit, domain
from services.scoring.handlers import Library, entry, judge, read
from services.scoring.headcounts import Headcounts
from services.scoring.ranking import Ranker
from services.scoring.store import Standings
from services.scoring.worker import ScoringWorker
from tests.contract.memory_store import memory_store

OPENS = datetime(2023, 5, 19, 1, tzinfo=UTC)
CLOSES = OPENS + timedelta(hours=1)
LATER = CLOSES + timedelta(minutes=5)
KEY = RoundKeyed(time=OPENS, round="r", version=1, papers={"001": "AB(AC)"})
MENDED = RoundKeyed(time=LATER, round="r", version=2, papers={"001": "AB-"}, reason="no right option")
PLAN = RoundPlan(
    id="r", contest="c", name="Tuần 1", opens=OPENS, closes=CLOSES, questions=3, minutes=15, attempts=3, counting="best",
    ranking=("correct desc", "prediction_gap asc", "elapsed asc", "received_at asc"),
    prediction=None, show_score="at_once", show_key="after_close",
)  # fmt: skip
CONTEST = ContestPublished(
    time=OPENS, contest="c", title="Thi", kind="", owner="", timezone="Asia/Ho_Chi_Minh", documents=(), categories=(),
    units=(Unit(code="u", parent=None, name="U", kind="ward"),), rounds=(),
)  # fmt: skip
EXTENDED = msgspec.structs.replace(PLAN, closes=LATER, revision=1)


class FakeBus:
    """Remembers what is published; `ends` are the ends of the log of partition 0."""

    def __init__(self) -> None:
        self.published: list[Event] = []
        self.ends: dict[str, int] = {}
        self.down = False
        self.log: Sequence[Record] = []

    async def publish(self, records: Sequence[Outgoing]) -> None:
        if self.down:
            raise BusDown("for the test")
        self.published += [decode(record.headers["ce_type"], record.value) for record in records]

    async def end_offsets(self, topic: str) -> Mapping[int, int]:
        return {0: self.ends.get(topic, 0), 1: 0}

    async def batches(self, topic: str) -> AsyncIterator[Sequence[Record]]:
        for each in self.log:
            if each.topic == topic:
                yield [each]


def submission(who: str, n: int, at: timedelta, answers: str, digest: int, prediction: int | None = None) -> SubmissionReceived:
    return SubmissionReceived(
        time=CLOSES + at, attempt=f"{who}:r:{n}", participant=who, round="r", n=n, paper="001", unit="u", categories=("k",),
        started_at=CLOSES - timedelta(minutes=1), answers=answers, prediction=prediction, digest=f"{digest:032x}",
    )  # fmt: skip


def registered(who: str, name: str = "Nguyễn Văn An") -> ParticipantRegistered:
    return ParticipantRegistered(
        time=OPENS, participant=who, contest="c", name=name, phone="+84900000000", unit="u", categories=("k",), consent="1"
    )


def record(offset: int, event: Event) -> Record:
    return Record(event.topic, 0, offset, event.key, encode(event), {"ce_type": event.type}, 0)


class House:
    """One partition of the log with a worker on it, which a test may kill, replace, and let linger."""

    def __init__(
        self, log: Sequence[Event], folder: Path, *, keyed: bool = True, plan: RoundPlan = PLAN, units: Sequence[Unit] = ()
    ) -> None:
        self.log = [record(offset, event) for offset, event in enumerate(log)]
        self.bus, self.clock = FakeBus(), ManualClock(OPENS)
        self.bus.log = self.log
        for each in self.log:
            self.bus.ends[each.topic] = each.offset + 1
        self.runtime = Runtime(
            service="scoring", settings=Settings(data_dir=folder), clock=self.clock, bus=cast("Bus", self.bus),
            journal=cast("LocalLog", None), store=memory_store(), secrets=Secrets(folder), encode=encode,
        )  # fmt: skip
        self.library = Library(ContestBook())
        self.library.book.apply(msgspec.structs.replace(CONTEST, rounds=(plan,), units=tuple(units) or CONTEST.units))
        if keyed:
            self.library.read_key(KEY.type, encode(KEY))
        self.committed = self.position = 0

    async def start(self) -> None:
        """A worker takes over with what was written; the one before may not know yet."""
        self.worker = ScoringWorker(self.runtime, self.library)
        starts = await self.worker.assigned([0])
        # One log holds both topics here, so one position does.
        self.position = min([self.committed, max(starts.values(), default=0)])

    async def work(self, size: int, *, committed: bool = True) -> None:
        """Handles a batch; without its commit, nothing that it said is heard."""
        batch = self.log[self.position : self.position + size]
        outcomes = await self.worker.handle(batch)
        if committed:
            for each, outcome in zip(batch, outcomes, strict=True):
                if isinstance(outcome, Done) and each.offset >= self.committed:
                    await self.bus.publish(outcome.publish)
            self.position += len(batch)
            self.committed = max(self.committed, self.position)

    async def finish(self) -> None:
        """Everything that is in the log, and the last plan."""
        while self.position < len(self.log):
            await self.work(len(self.log))
        await self.worker.judge_anew()

    def extend(self) -> None:
        (plan,) = self.library.book.rounds("c")
        self.library.book.apply(RoundExtended(time=CLOSES, round=msgspec.structs.replace(plan, closes=LATER, revision=1)))

    def mend(self) -> None:
        self.library.read_key(MENDED.type, encode(MENDED))

    async def rank(self) -> None:
        await self.worker.derived.write_views()
        await self.worker.derived.write_snapshots()
        await Ranker(self.runtime, self.library, {0: None}, Headcounts()).turn()

    def heard(self) -> dict[str, AttemptScored]:
        """What a consumer of `scores` holds: the highest revision of each attempt."""
        heard: dict[str, AttemptScored] = {}
        for event in self.bus.published:
            if isinstance(event, AttemptScored):
                held = heard.get(event.attempt, event)
                heard[event.attempt] = event if event.revision >= held.revision else held
        return heard


def truth(log: Sequence[Event], plan: RoundPlan, keyed: RoundKeyed) -> dict[str, domain.Judged]:
    """The judgements that the rules ask for, made from the facts at once."""
    mark = domain.Mark(us_of(plan.closes), plan.revision)
    rulings = domain.State()
    for event in log:
        if isinstance(event, AttemptRuled):
            rulings.rule(event.attempt, domain.Ruling(event.revision, event.disqualified))
    first: dict[str, domain.Judged] = {}
    for event in log:
        if isinstance(event, SubmissionReceived):
            judged = judge(event, mark, plan.minutes, keyed.papers["001"], keyed.version, rulings.ruling(event.attempt))
            if judged.attempt not in first or judged.submission < first[judged.attempt].submission:
                first[judged.attempt] = judged
    return first


def judgement(judged: domain.Judged) -> tuple[object, ...]:
    return judged.submission, judged.verdict, judged.correct


ANSWERS = ("AB(AC)", "AB(CA)", "ABC", "---", "BBA")


def distinct(who: str, n: int, at: timedelta, answers: str, digest: int, prediction: int | None) -> SubmissionReceived:
    """A submission whose digest depends on its content, as real ones do."""
    number = (digest * len(ANSWERS) + ANSWERS.index(answers)) * 4 + (3 if prediction is None else prediction)
    return submission(who, n, at, answers, number, prediction)


submissions = st.builds(
    distinct,
    st.sampled_from(["an", "binh"]),
    st.integers(1, 2),
    st.sampled_from([timedelta(seconds=s) for s in (-30, -10, 1, 3, 60, 400)]),
    st.sampled_from(ANSWERS),
    st.integers(0, 2),
    st.none() | st.integers(0, 2),
)


def ruling(who: str, n: int, revision: int) -> AttemptRuled:
    return AttemptRuled(
        time=CLOSES, attempt=f"{who}:r:{n}", participant=who, round="r", n=n, disqualified=revision % 2 == 1, reason="nhờ thi hộ",
        by="o1", revision=revision,
    )  # fmt: skip


rulings = st.builds(ruling, st.sampled_from(["an", "binh"]), st.integers(1, 2), st.integers(1, 3))
steps = st.lists(
    st.tuples(
        st.sampled_from(["work", "work", "lost", "taken over", "snapshot", "extend", "mend", "anew", "stale"]), st.integers(1, 4)
    ),
    max_size=14,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(submissions | rulings, max_size=8), steps, st.data())
def test_any_arrival_any_batches_any_crashes_end_in_the_same(
    tmp_path: Path, facts: list[SubmissionReceived | AttemptRuled], steps: list[tuple[str, int]], data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(facts), max_size=4)) if facts else []
    log: list[Event] = data.draw(st.permutations([*facts, *again, registered("an"), registered("binh", "Trần Thị Bình")]))

    async def play() -> None:
        house = House(log, tmp_path)
        await house.start()
        before, behind = house.worker, 0
        for step, size in steps:
            if step == "work":
                await house.work(size)
            elif step == "lost":
                await house.work(size, committed=False)
                await house.start()
            elif step == "taken over":
                before, behind = house.worker, house.position
                await house.start()
            elif step == "snapshot":
                await house.worker.derived.write_views()
                await house.worker.derived.write_snapshots()
            elif step == "extend":
                house.extend()
            elif step == "mend":
                house.mend()
            elif step == "anew":
                await house.worker.judge_anew()
            elif before is not house.worker and not before.derived.fenced:
                await before.judge_anew()
                await before.handle(house.log[behind : behind + size])
                behind += size
        house.extend()
        house.mend()
        await house.finish()

        expected = truth(log, EXTENDED, MENDED)
        judged = {j.attempt: j for j, _ in house.worker.derived.owned[0].state.judged("r")}
        assert {a: judgement(j) for a, j in judged.items()} == {a: judgement(j) for a, j in expected.items()}
        assert await audit.verdicts(house.runtime) == {a: j.verdict for a, j in expected.items()}
        assert {
            a: (us_of(e.time), e.digest, e.verdict, e.correct) for a, e in house.heard().items()
        } == {a: (j.received, j.digest.hex(), j.verdict, j.correct) for a, j in expected.items()}  # fmt: skip
        for attempt, held in judged.items():
            assert [step["revision"] for step in await audit.trace(house.runtime, attempt)] == list(range(held.revision + 1))

        house.clock.advance(LATER - OPENS + timedelta(seconds=10))
        await house.rank()
        names = {"an": "Nguyễn V*** A***", "binh": "Trần T*** B***"}
        valid = [entry(j, names[j.participant]) for j in expected.values() if j.verdict == "valid"]
        rows = domain.standings(valid, "best", PLAN.ranking, domain.perfect(valid))
        told = [e for e in house.bus.published if isinstance(e, ResultsPublished)]
        assert [(row.rank, row.participant, row.name, row.correct) for e in told for row in e.rows] == [
            (row.rank, row.participant, row.name, row.correct) for row in rows
        ]

    asyncio.run(play())


@pytest.fixture
def house(tmp_path: Path) -> House:
    first = submission("an", 1, timedelta(seconds=-30), "ABC", 1)
    second = submission("an", 1, timedelta(seconds=-40), "AB(AC)", 2)
    return House([registered("an"), first, second], tmp_path)


async def test_a_winner_found_late_is_told_at_a_higher_revision_and_the_loser_says_nothing_more(house: House) -> None:
    await house.start()
    await house.work(2)
    await house.work(1)
    assert [(e.revision, e.correct) for e in house.bus.published if isinstance(e, AttemptScored)] == [(0, 2), (1, 3)]
    assert await house.worker.handle([msgspec.structs.replace(house.log[1], offset=3)]) == [DONE]


async def test_a_round_is_ranked_once_and_again_for_a_winner_found_later(house: House) -> None:
    await house.start()
    await house.work(2)
    house.bus.ends["submissions"] = 2
    await house.rank()
    assert not [e for e in house.bus.published if isinstance(e, RoundRanked)], "the round still runs"
    house.clock.advance(CLOSES - OPENS + timedelta(seconds=10))
    for _ in range(3):
        await house.rank()
    ranked = [e for e in house.bus.published if isinstance(e, RoundRanked)]
    assert [(e.revision, e.people, e.attempts, e.valid, e.perfect, e.pages) for e in ranked] == [(0, 1, 1, 1, 0, 1)]
    await house.work(1)
    for _ in range(3):
        await house.rank()
    ranked = [e for e in house.bus.published if isinstance(e, RoundRanked)]
    assert [(e.revision, e.perfect) for e in ranked] == [(0, 0), (1, 1)]
    assert ranked[0].checksum != ranked[1].checksum
    standings = Standings(house.runtime.store)
    head = await standings.head("r")
    assert head is not None
    assert head.told
    assert await standings.rank("r", head, "an") == (1, 1)


async def test_what_comes_after_the_publication_changes_no_published_rank(house: House) -> None:
    await house.start()
    await house.work(2)
    house.bus.ends["submissions"] = 2
    house.clock.advance(CLOSES - OPENS + timedelta(seconds=10))
    await house.rank()
    before = await Standings(house.runtime.store).head("r")
    await house.runtime.store["settlements"].insert_many([{"_id": "r", "phase": "published", "told": True}])
    await house.work(1)  # a journal that was thought to be empty
    await house.rank()
    assert await Standings(house.runtime.store).head("r") == before
    assert [e.revision for e in house.bus.published if isinstance(e, RoundRanked)] == [0]


async def test_nothing_is_ranked_before_every_partition_has_judged_all_of_it(house: House) -> None:
    await house.start()
    await house.work(2)
    house.clock.advance(CLOSES - OPENS + timedelta(seconds=10))
    await house.rank()
    assert not [e for e in house.bus.published if isinstance(e, RoundRanked)]
    await house.work(1)
    await house.rank()
    assert [e.perfect for e in house.bus.published if isinstance(e, RoundRanked)] == [1]


async def test_an_extension_turns_late_into_valid_and_the_round_is_ranked_by_it(tmp_path: Path) -> None:
    house = House([registered("an"), submission("an", 1, timedelta(seconds=3), "AB(AC)", 1)], tmp_path)
    await house.start()
    await house.finish()
    house.clock.advance(CLOSES - OPENS + timedelta(seconds=10))
    await house.rank()
    house.extend()
    await house.worker.judge_anew()
    await house.worker.judge_anew()
    house.clock.advance(LATER - CLOSES)
    await house.rank()
    scored = [e for e in house.bus.published if isinstance(e, AttemptScored)]
    assert [(e.revision, e.verdict) for e in scored] == [(0, "late"), (1, "valid")]
    assert [(e.revision, e.valid) for e in house.bus.published if isinstance(e, RoundRanked)] == [(0, 0), (1, 1)]


async def test_an_extension_reaches_what_a_dead_worker_had_judged_and_not_committed(tmp_path: Path) -> None:
    late = [submission("an", 1, timedelta(seconds=3), "AB(AC)", digest) for digest in (1, 0)]
    house = House(late, tmp_path)
    await house.start()
    await house.work(1)
    await house.work(1, committed=False)
    await house.start()
    house.extend()
    await house.work(1)
    await house.finish()
    assert await audit.verdicts(house.runtime) == {"an:r:1": "valid"}


async def test_a_ranking_that_died_before_it_told_tells_the_same(house: House) -> None:
    await house.start()
    await house.finish()
    house.clock.advance(CLOSES - OPENS + timedelta(seconds=10))
    house.bus.down = True
    with pytest.raises(BusDown):
        await house.rank()
    house.clock.advance(timedelta(seconds=60))
    house.bus.down = False
    await house.rank()
    (page,) = [e for e in house.bus.published if isinstance(e, ResultsPublished)]
    (ranked,) = [e for e in house.bus.published if isinstance(e, RoundRanked)]
    assert (page.time, page.revision, ranked.revision) == (CLOSES + timedelta(seconds=10), 0, 0)


async def test_a_missing_key_stops_the_batch_and_changes_nothing(tmp_path: Path) -> None:
    house = House([submission("an", 1, timedelta(0), "ABC", 1)], tmp_path, keyed=False)
    await house.start()
    with pytest.raises(NotReady):
        await house.work(1)
    house.library.read_key(KEY.type, encode(KEY))
    await house.work(1)
    assert [e.correct for e in house.bus.published if isinstance(e, AttemptScored)] == [2]


@pytest.mark.parametrize(
    "change",
    [
        {"answers": "AB"},
        {"answers": "ab-"},
        {"digest": "xy"},
        {"digest": "00"},
        {"n": 2},
        {"prediction": -1},
        {"prediction": 2**53},
    ],
)
async def test_what_cannot_be_is_rejected_with_its_reason(tmp_path: Path, change: dict[str, Any]) -> None:
    house = House([msgspec.structs.replace(submission("an", 1, timedelta(0), "ABC", 1), **change)], tmp_path)
    await house.start()
    (outcome,) = await house.worker.handle(house.log)
    assert isinstance(outcome, Reject)
    assert outcome.reason


async def test_the_erased_lose_their_name_and_a_repeat_of_the_past_does_not_bring_it_back(tmp_path: Path) -> None:
    erased = ParticipantErased(time=CLOSES, participant="an", contest="c", revision=1)
    house = House([registered("an"), erased, registered("an"), submission("an", 1, timedelta(0), "ABC", 1)], tmp_path)
    await house.start()
    await house.finish()
    ((_, name),) = house.worker.derived.owned[0].state.judged("r")
    assert name == "***"


def test_what_is_none_of_its_business_passes() -> None:
    assert read("vn.hoithi.thing.happened.v9", b"{}") is None
    assert read(KEY.type, encode(KEY)) is None
