"""A closed and ranked round over a store in memory, as the console and the admin API of scoring find it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from services.events import ContestBook, ContestPublished, JournalDrained, RoundPlan, Unit
from services.kit.clock import ManualClock, us_of
from services.kit.runtime import Face
from services.kit.settings import Settings
from services.scoring.casebook import Casebook, Review
from services.scoring.closing import Closing
from services.scoring.journals import Journals
from services.scoring.settle_pages import SettlePages
from services.scoring.settlement import Settlements
from services.scoring.store import Head, Standings
from tests.console_house import NOW, ConsoleHouse

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


class ScoringHouse:
    """`closing` and the pages above it. The round has been ranked, under the checksum "c" × 64, and no case is open."""

    def __init__(self, folder: Path) -> None:
        self.book, self.journals = ContestBook(), Journals()
        self.book.apply(CONTEST)
        self.clock = ManualClock(NOW)
        self.house = ConsoleHouse(folder, [Face(name="scoring", router=self._router(folder), start=_nothing)])

    def _router(self, folder: Path) -> Any:
        from tests.contract.memory_store import memory_store

        store = memory_store()
        self.casebook, self.standings, self.settlements = Casebook(store), Standings(store), Settlements(store)
        self.closing = Closing(self.book, self.casebook, self.standings, self.settlements, self.journals, self.clock)
        settings = Settings(data_dir=folder)
        return SettlePages(self.closing, self.book, self.settlements, settings, bytes(32), self.clock).router

    async def rank(self, submitted: int = 12, judged: int = 12) -> None:
        """Reviews and ranks the round."""
        basis = msgspec.msgpack.encode({})
        review = Review(basis=basis, sums={}, seen=judged, at=NOW, submitted=submitted, judged=judged)
        await self.casebook.file(PLAN.id, [], review)
        head = Head(
            revision=0, checksum="c" * 64, closes=us_of(CLOSES), marks=basis, ranked_at=NOW, people=9, attempts=12, valid=12,
            perfect=1, told=True,
        )  # fmt: skip
        assert await self.standings.claim(PLAN.id, None, head)

    def hear(self, host: str, until: datetime | None, at: datetime = NOW, *, left: bool = False) -> None:
        """A host says how far it has come."""
        event = JournalDrained(time=at, host=host, machine=f"may-{host}", until=until, left=left)
        self.journals.read(event.type, msgspec.json.encode(event))


async def _nothing() -> None: ...


LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
