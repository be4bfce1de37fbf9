"""What must be right in every figure, told as events to a worker on a real log: live, after a rebuild, and as of a cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from deploy.local.wiring import topics
from services.events import (
    AttemptScored,
    AttemptSubmitted,
    Category,
    ContestBook,
    ContestPublished,
    Event,
    HeadcountApproved,
    RoundPlan,
    Unit,
    encode,
)
from services.kit.clock import ManualClock, SystemClock
from services.kit.locallog import LocalLog
from services.kit.replay import rebuild
from services.kit.runtime import Runtime
from services.kit.settings import Settings
from services.reporting.board import Board
from services.reporting.counting import Counting
from services.reporting.cuts import Cuts
from services.reporting.cutter import Cutter
from services.reporting.handlers import TOPICS
from services.reporting.headcounts import Headcounts
from services.reporting.store import Views
from services.reporting.tables import CutTables, Tables
from services.reporting.turnout import Figure, Table
from services.reporting.worker import GROUP, ReportingWorker
from tests.contract.memory_store import memory_store

OPENS = datetime(2023, 5, 19, 1, tzinfo=UTC)
END_OF_MAY = datetime(2023, 5, 31, 17, tzinfo=UTC)
"""Midnight in Hải Phòng."""
NOW = datetime(2023, 6, 3, 12, tzinfo=UTC)

UNITS = [
    ("HP", None, None), ("A", "HP", None), ("B", "HP", None),
    ("A1", "A", None), ("A2", "A", "A1"), ("B1", "B", None), ("B2", "B", None),
]  # fmt: skip
"""Code, unit above, and what it was merged into on the first of June."""


def contest() -> ContestPublished:
    rounds = tuple(
        RoundPlan(
            id=f"hp.tuan-{n}", contest="hp", name=f"Tuần {n}", opens=OPENS + timedelta(days=7 * (n - 1)),
            closes=OPENS + timedelta(days=7 * n), questions=20, minutes=15, attempts=3, counting="best",
            ranking=("correct desc",), prediction=None, show_score="at_once", show_key="after_close",
        )
        for n in (1, 2, 3)
    )  # fmt: skip
    return ContestPublished(
        time=OPENS, contest="hp", title="", kind="", owner="", timezone="Asia/Ho_Chi_Minh", documents=(), rounds=rounds,
        categories=tuple(Category(id=id, name=id) for id in ("hoc-sinh", "doan-vien", "dang-vien")),
        units=tuple(
            Unit(code=code, parent=above, name=code, kind="", ended="2023-06-01" if into else None, merged_into=into)
            for code, above, into in UNITS
        ),
    )  # fmt: skip


def scored(who: str, unit: str, day: int, *, round: int = 1, n: int = 1, revision: int = 0, **more: Any) -> AttemptScored:
    """A verdict on an attempt that was handed in on that day of May (June's first is the 32nd)."""
    at = datetime(2023, 4, 30, 3, tzinfo=UTC) + timedelta(days=day)
    fields = {"categories": ("hoc-sinh",), "verdict": "valid", "correct": 15} | more
    return AttemptScored(
        time=at, attempt=f"{who}:hp.tuan-{round}:{n}", participant=who, round=f"hp.tuan-{round}", n=n, unit=unit, started_at=at,
        total=20, elapsed_ms=1, digest="d", key_version=1, revision=revision, **fields,
    )  # fmt: skip


class House:
    """A worker on a log of its own. `way` says how figures come about."""

    def __init__(self, folder: Path, way: str) -> None:
        self.way, self.clock, self.book = way, ManualClock(NOW), ContestBook()
        self.book.apply(contest())
        self.bus = LocalLog(folder / "bus", topics(), SystemClock())
        self.runtime = Runtime(
            service="reporting", settings=Settings(data_dir=folder), clock=self.clock, bus=self.bus, journal=self.bus,
            store=memory_store(), secrets=cast("Any", None), encode=encode,
        )  # fmt: skip
        self.headcounts = Headcounts(self.book)
        self.tables = Tables(self.book, self.headcounts)
        self.cuts = Cuts(self.runtime.store, self.bus, self.book, self.clock)

    def count(self, **people: int) -> None:
        for unit, number in people.items():
            self.headcounts.apply(
                HeadcountApproved(time=OPENS, contest="hp", unit=unit, category="", as_of="2023-05-19", people=number, source="")
            )

    async def tell(self, *events: Event) -> None:
        """Publishes, and lets the worker take all of it in."""
        await self.bus.publish([self.runtime.outgoing(event) for event in events])
        worker = ReportingWorker(self.runtime, self.book)
        cutter = Cutter(self.runtime, self.book, worker.derived, Counting())
        stop = asyncio.Event()
        task = asyncio.create_task(worker.consume(stop.is_set))
        async with asyncio.timeout(20):
            while not await self._taken_in():
                await asyncio.sleep(0.02)
            if self.way == "cut":
                for at in (END_OF_MAY, NOW):
                    await self.cuts.ask("hp", at)
                    await cutter.make()
            await worker.derived.write_views()
            await worker.derived.write_snapshots()
            stop.set()
            await task
        if self.way == "rebuilt":
            for name in ("snapshots_2", "views"):
                for document in self.runtime.store[name].documents.values():
                    document["body"] = b"spoilt"
            again = ReportingWorker(self.runtime, self.book)
            await rebuild(self.bus, again, again.derived, TOPICS, anew=True)

    async def _taken_in(self) -> bool:
        for topic in TOPICS:
            ends = {p: end for p, end in (await self.bus.end_offsets(topic)).items() if end}
            if await self.bus.committed(GROUP, topic) != ends:
                return False
        return True

    async def table(self, category: str = "", round: str = "", at: datetime = NOW) -> Table:
        if self.way == "cut":
            return await CutTables(self.cuts, self.tables).table("hp", at, "territory", category, round)
        board = Board(self.book, self.tables, self.clock)
        for partition, body in (await Views(self.runtime.store).changed()).items():
            board.take(partition, body)
        for _ in board.add_up():
            pass
        return board.table("hp", "territory", category, round)

    async def people(self, category: str = "", round: str = "", at: datetime = NOW) -> dict[str, int]:
        cells = (await self.table(category, round, at)).cells
        return {code: cell.people for code, cell in cells.items() if cell.people}

    async def figure(self, unit: str, round: str = "") -> Figure:
        return (await self.table(round=round)).figure(unit)


@pytest.fixture(params=["live", "rebuilt", "cut"])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path, request.param)
    yield house
    await house.bus.close()


async def test_a_merge_of_two_wards_mid_contest(house: House) -> None:
    await house.tell(
        scored("an", "A1", 20),
        scored("binh", "A2", 20),
        scored("chi", "A2", 21),
        scored("chi", "A1", 33, round=3),  # the same person, after the merge
    )
    assert await house.people() == {"": 3, "HP": 3, "A": 3, "A1": 3}
    assert [row.unit.code for row in (await house.table()).rows("A")] == ["A1"]
    assert (await house.figure("A1")).attempts == 4
    if house.way == "cut":
        assert await house.people(at=END_OF_MAY) == {"": 3, "HP": 3, "A": 3, "A1": 1, "A2": 2}


async def test_a_person_in_three_categories(house: House) -> None:
    await house.tell(scored("an", "A1", 20, categories=("hoc-sinh", "doan-vien", "dang-vien")), scored("binh", "A1", 20))
    assert (await house.people())["HP"] == 2
    found = [(await house.people(category))["HP"] for category in ("hoc-sinh", "doan-vien", "dang-vien")]
    assert found == [2, 1, 1]


async def test_a_unit_without_a_headcount(house: House) -> None:
    house.count(A1=4, A2=4, B1=10)
    await house.tell(scored("an", "A1", 20), scored("binh", "B1", 20), scored("chi", "B2", 20))
    table = await house.table()
    rows = [
        (row.unit.code, row.figure.people, row.figure.headcount, row.figure.rate, row.rank) for row in table.rows("B", "rate")
    ]
    assert rows == [("B1", 1, 10, 10.0, 1), ("B2", 1, None, None, None)]
    assert table.average("B") == 10.0
    assert table.figure("B").rate is None, "what is below is not all known"
    assert table.figure("A").rate == table.figure("A1").rate == 12.5, "A1 has the people of A2, which it took in"
    assert table.figure(None).rate is None


async def test_a_person_who_moved(house: House) -> None:
    await house.tell(scored("an", "A1", 20), scored("an", "B1", 27, round=2), scored("an", "A1", 20, n=2))
    assert await house.people() == {"": 1, "HP": 1, "B": 1, "B1": 1}
    assert ((await house.figure("A1")).attempts, (await house.figure("HP")).attempts) == (2, 3)
    assert await house.people(round="hp.tuan-1") == {"": 1, "HP": 1, "A": 1, "A1": 1}


async def test_a_disqualified_person(house: House) -> None:
    out = partial(scored, "an", verdict="disqualified", revision=1)
    await house.tell(
        scored("binh", "A1", 20), scored("an", "A1", 20), out("A1", 20), scored("an", "A1", 20, n=2), out("A1", 20, n=2)
    )
    assert (await house.people())["HP"] == 1
    figure = await house.figure("A1")
    assert figure.attempts == 1
    if house.way == "cut":
        assert figure.excluded == 2
        cut = await house.cuts.get("hp", NOW)
        assert cut is not None
        assert cut.scope("hp.tuan-1").outcomes == {"valid": 1, "disqualified": 2}


async def test_a_round_that_was_scored_anew(house: House) -> None:
    first = [scored(f"p{n}", "A1", 20, correct=19) for n in range(3)]
    anew = [scored(f"p{n}", "A1", 20, correct=20, revision=1) for n in range(3)]
    told = [AttemptSubmitted(**_outside(event)) for event in first]
    await house.tell(*told, *anew, *first)  # in whatever order
    figure = await house.figure("A1", "hp.tuan-1")
    assert (figure.people, figure.attempts) == (3, 3)
    if house.way == "cut":
        assert (figure.perfect, figure.correct, figure.total) == (3, 60, 60)


def _outside(event: AttemptScored) -> dict[str, Any]:
    names = ("time", "attempt", "participant", "round", "n", "unit", "categories", "started_at")
    return {name: getattr(event, name) for name in names}
