"""A closed and ranked round over a store in memory, as the console and the admin API of scoring find it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import msgspec
from fastapi import APIRouter

from services.events import ContestBook, ContestPublished, JournalDrained, RoundPlan, Unit, encode
from services.kit.bus import Bus, Outgoing, Record
from services.kit.clock import ManualClock, us_of
from services.kit.runtime import Face, Runtime
from services.kit.security import Secrets
from services.kit.settings import Settings
from services.kit.tokens import looked_at
from services.scoring.admin_api import AdminApi
from services.scoring.casebook import Casebook, Review
from services.scoring.certificate_pages import CertificatePages
from services.scoring.closing import Closing
from services.scoring.domain import Judged, Mark, Verdict
from services.scoring.exclusions import Exclusions
from services.scoring.journals import Journals
from services.scoring.jury import Jury
from services.scoring.looks import Looks
from services.scoring.mending import Trials
from services.scoring.organisers import Organisers
from services.scoring.overall_api import OverallApi
from services.scoring.overall_pages import OverallPages
from services.scoring.pages import Pages
from services.scoring.prizes import Award
from services.scoring.public_pages import PublicPages
from services.scoring.settle_pages import SettlePages
from services.scoring.settlement import Outcome, Settlements
from services.scoring.statistics import Sums
from services.scoring.stats_api import StatsApi
from services.scoring.store import Head, Standings, Verdicts
from tests.console_house import NOW, ConsoleHouse
from tests.contract.memory_store import memory_store

CLOSES = NOW - timedelta(hours=1)
PLAN = RoundPlan(
    id="thi.tuan-1",
    contest="thi",
    name="Tuần 1",
    opens=NOW - timedelta(days=7),
    closes=CLOSES,
    questions=20,
    minutes=15,
    attempts=3,
    counting="best",
    ranking=("correct desc", "elapsed asc"),
    prediction=None,
    show_score="at_once",
    show_key="after_close",
    state="closed",
)
CONTEST = ContestPublished(
    time=NOW,
    contest="thi",
    title="Hải Phòng làm theo lời Bác",
    kind="Cuộc thi trắc nghiệm",
    owner="Ban Tuyên giáo",
    timezone="Asia/Ho_Chi_Minh",
    documents=(),
    categories=(),
    units=(Unit(code="HP", parent=None, name="Hải Phòng", kind="city"), Unit(code="A", parent="HP", name="Quận A", kind="ward")),
    rounds=(PLAN,),
)


class Heard:
    """As much of a bus as decisions need: what was published, and what a topic is said to hold."""

    paused = ()

    def __init__(self) -> None:
        self.published: list[Outgoing] = []
        self.held: dict[str, list[Record]] = {}
        self.ends: dict[str, dict[int, int]] = {}

    async def batches(self, topic: str) -> AsyncIterator[Sequence[Record]]:
        yield self.held.get(topic, [])

    async def publish(self, records: Sequence[Outgoing]) -> None:
        self.published += records

    async def end_offsets(self, topic: str) -> Mapping[int, int]:
        return self.ends.get(topic, {})


class ScoringHouse:
    """`closing` and the pages above it. The round has been ranked, under the checksum "c" × 64, and no case is open."""

    def __init__(self, folder: Path) -> None:
        self.book, self.journals = ContestBook(), Journals()
        self.book.apply(CONTEST)
        self.clock = ManualClock(NOW)
        self.house = ConsoleHouse(folder, [Face(name="scoring", router=self._router(folder), start=_nothing)])

    def _router(self, folder: Path) -> APIRouter:
        self.store, settings = memory_store(), Settings(data_dir=folder)
        self.casebook, self.standings, self.settlements = Casebook(self.store), Standings(self.store), Settlements(self.store)
        exclusions, self.trials = Exclusions(self.store), Trials(self.store)
        self.bus = Heard()
        self.closing = Closing(
            self.book, self.casebook, Verdicts(self.store), self.standings, self.settlements, exclusions, self.trials,
            self.journals, self.clock, cast("Bus", self.bus),
        )  # fmt: skip
        runtime = Runtime(
            service="scoring", settings=settings, clock=self.clock, bus=cast("Bus", self.bus),
            journal=cast("Any", None), store=self.store, secrets=Secrets(folder), encode=encode,
        )  # fmt: skip
        router = APIRouter()
        looks = Looks(Organisers(self.store, runtime.secrets.get("phone.key")), self.closing, self.book)
        jury, seen = Jury(runtime, self.book), looked_at(runtime.secrets)
        for part in (
            SettlePages(self.closing, self.book, self.settlements, looks),
            CertificatePages(self.book, self.settlements, settings, bytes(32), self.clock),
            PublicPages(self.book, self.standings, self.settlements, bytes(32)),
            AdminApi(self.closing, self.casebook, jury, Trials(self.store), looks, seen),
            OverallPages(self.closing, self.book, self.settlements, looks),
            OverallApi(self.closing, self.settlements, looks),
            StatsApi(self.book, self.casebook, self.settlements, self.clock),
            Pages(self.book, self.casebook, Verdicts(self.store), self.standings, jury, self.trials, seen, self.clock),
        ):
            router.include_router(part.router)
        return router

    async def rank(
        self, submitted: int = 12, judged: int = 12, sums: Sums | None = None, marks: Mapping[int, Mark] | None = None
    ) -> None:
        """Reviews and ranks the round."""
        basis = msgspec.msgpack.encode(marks or {})
        review = Review(basis=basis, sums=sums or {}, seen=judged, at=NOW, submitted=submitted, judged=judged)
        await self.casebook.file(PLAN.id, [], review)
        head = Head(
            revision=0, checksum="c" * 64, closes=us_of(CLOSES), marks=basis, ranked_at=NOW, people=9, attempts=12, valid=12,
            perfect=1, told=True,
        )  # fmt: skip
        assert await self.standings.claim(PLAN.id, None, head)

    async def outcome(self, awards: tuple[Award, ...] = ()) -> None:
        """What the worker makes of a settlement that was asked for."""
        (asked,), head = await self.settlements.asked(), await self.standings.head(PLAN.id)
        assert head
        outcome = Outcome(
            awards=awards, draws=None, names={}, units={}, digest="d" * 64, checksum=asked.checksum, perfect=1, finalised_at=NOW,
            basis=head.basis,
        )  # fmt: skip
        assert await self.settlements.settle(PLAN.id, outcome)

    async def judge(self, participant: str, verdict: Verdict = "valid", revision: int = 0) -> str:
        """One attempt of the round with its verdict; returns its id."""
        judged = Judged(
            participant=participant, round=PLAN.id, n=1, unit="A", categories=(), started=0, received=1, digest=bytes(16),
            prediction=None, verdict=verdict, correct=9, total=20, key_version=1, rules=0, revision=revision,
        )  # fmt: skip
        await Verdicts(self.store).settle([judged])
        return judged.attempt

    def hear(self, host: str, until: datetime | None, at: datetime = NOW, *, left: bool = False) -> None:
        """A host says how far it has come."""
        event = JournalDrained(time=at, host=host, machine=f"may-{host}", until=until, left=left)
        self.journals.read(event.type, msgspec.json.encode(event))


async def _nothing() -> None: ...


LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
