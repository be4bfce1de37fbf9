"""Turnout in the console: a secretary's start view, drill-down, a week before, the export; and nothing of a foreign subtree."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi import APIRouter

from services.events import Category, ContestPublished, HeadcountApproved, Placement, Tree, Unit
from services.kit.clock import ManualClock
from services.kit.runtime import Face, UnitName
from services.reporting.board import Board
from services.reporting.cuts import Cuts
from services.reporting.domain import State, view
from services.reporting.headcounts import Headcounts
from services.reporting.live import Live
from services.reporting.share import Cell, Scope, pack
from services.reporting.store import Views
from services.reporting.tables import CutTables, Tables
from services.reporting.turnout_pages import TurnoutPages
from tests.console_house import ConsoleHouse
from tests.contract.memory_store import memory_store
from tests.unit.test_reporting_board import NOW, FakeViews, plan, vote

UNITS = (
    Unit(code="HP", parent=None, name="Hải Phòng", kind=""),
    Unit(code="A", parent="HP", name="Quận An", kind=""),
    Unit(code="B", parent="HP", name="Quận Bình", kind=""),
    Unit(code="A1", parent="A", name="Phường Một", kind=""),
    Unit(
        code="B1", parent="B", name="=Phường Hai", kind="",
        placements=(Placement(tree="territory", parent="B"), Placement(tree="dang", parent=None)),
    ),
)  # fmt: skip


class House:
    """The pages over figures that a test sets, and browsers of every role."""

    def __init__(self, folder: Path) -> None:
        from services.events import ContestBook

        self.book, self.clock = ContestBook(), ManualClock(NOW + timedelta(days=8))
        self.book.apply(
            ContestPublished(
                time=NOW, contest="hp", title="Làm theo lời Bác", kind="", owner="", timezone="Asia/Ho_Chi_Minh", documents=(),
                categories=(Category(id="hoc-sinh", name="Học sinh", target=80), Category(id="giao-vien", name="Giáo viên")),
                units=UNITS, rounds=(plan(1), plan(2)),
                trees=(Tree(id="territory", name="Địa bàn"), Tree(id="dang", name="Đảng bộ")),
            )
        )  # fmt: skip
        self.headcounts, self.state, self.views = Headcounts(self.book), State(), FakeViews()
        tables = Tables(self.book, self.headcounts)
        board = Board(self.book, tables, self.clock)
        self.cuts = Cuts(memory_store(), cast("Any", self), self.book, self.clock)
        live = Live(cast("Views", self.views), board, self.clock)
        router = APIRouter()
        router.include_router(TurnoutPages(self.book, board, CutTables(self.cuts, tables), live, self.clock).router)
        names = {unit.code: UnitName(unit.name, unit.parent) for unit in UNITS}
        self.console = ConsoleHouse(folder, [Face(name="reporting", router=router, start=_nothing, units=lambda: names)])

    async def end_offsets(self, topic: str) -> dict[int, int]:
        return {0: 0}

    def vote(self, who: str, unit: str, **more: Any) -> None:
        vote(self.state, who, unit, **more)
        self.views.new = {0: view(self.state)}

    def count(self, unit: str, people: int, category: str = "") -> None:
        event = HeadcountApproved(
            time=NOW, contest="hp", unit=unit, category=category, as_of="2023-05-19", people=people, source=""
        )
        self.headcounts.apply(event)

    async def page(self, role: str, subtree: str | None = None, path: str = "/hp", **params: str) -> tuple[int, str]:
        browser = await self.console.signed_in(role, subtree)
        reply = await browser.get("/console/turnout" + path, params=params, headers={"accept": "text/html"})
        return reply.status_code, reply.text


async def _nothing() -> None:
    pass


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    yield house
    await house.console.close()


def words(page: str) -> str:
    """What a person reads."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).replace("\u00a0", " ").split())


async def test_a_secretary_sees_people_of_headcount_attempts_and_rank_at_once(house: House) -> None:
    for person in ("an", "binh"):
        house.vote(person, "A1")
    house.vote("an", "A1", n=2)
    house.vote("chi", "B1")
    house.count("A1", 4)
    house.count("A1", 5, "hoc-sinh")
    status, page = await house.page("unit", "A1")
    text = words(page)
    assert status == 200
    assert "2/4 người (50,0 %) · 3 lượt" in text
    assert "Học sinh 2 /5 40,0 % 80,0 % 2" in text, "people, headcount, rate, target, missing"
    assert "Giáo viên 0 – chưa có số liệu –" in text
    _, page = await house.page("district", "A")
    assert "2/4 người (50,0 %) · 3 lượt · xếp 1/2" in words(page)
    assert "Bình quân chung 50,0 %" in words(page)
    assert "Nhập tổng số" not in words(page)
    assert "Chưa có tổng số thuộc diện. Nhập tổng số" in words((await house.page("unit", "B1"))[1])


async def test_who_looks_after_a_unit_comes_to_its_turnout_first(house: House) -> None:
    for role, subtree, first in (("unit", "A1", "/console/turnout/hp"), ("district", "A", "/console/contests")):
        browser = await house.console.signed_in(role, subtree)
        assert str((await browser.get("/console")).url).endswith(first)


async def test_a_foreign_subtree_is_nowhere(house: House) -> None:
    house.vote("an", "A1")
    house.vote("chi", "B1")
    for role, subtree in (("district", "A"), ("unit", "A1"), ("reader", "A")):
        for foreign in ("B", "B1", "HP"):
            assert (await house.page(role, subtree, unit=foreign))[0] == 403
            assert (await house.page(role, subtree, "/hp/so-lieu.csv", unit=foreign))[0] == 403
            assert (await house.page(role, subtree, unit=foreign, tree="dang"))[0] in (403, 404)
        status, own = await house.page(role, subtree)
        _, export = await house.page(role, subtree, "/hp/so-lieu.csv")
        assert status == 200
        for name in ("Quận Bình", "Phường Hai", "Hải Phòng</a>"):
            assert name not in own + export
    assert (await house.page("operator"))[0] == 403
    assert (await house.page("unit", "B1", tree="dang"))[0] == 200
    assert (await house.page("city"))[0] == 200


async def test_the_units_below_are_compared_with_a_week_before_and_ranked_by_rate(house: House) -> None:
    now = house.clock.now().replace(minute=0)
    week = now - timedelta(days=7)
    house.count("A", 10)
    house.count("B", 2)
    house.vote("an", "A1", hour=1)
    house.vote("binh", "A1", hour=24 * 8)
    house.vote("chi", "B1", hour=24 * 8)
    await house.cuts.ask("hp", week)
    (cut,) = await house.cuts.opened()
    _, page = await house.page("city", unit="HP")
    assert "đang chốt số liệu lúc" in words(page)
    await house.cuts.put(cut, {"": pack({"": Scope({"": {"A1": Cell(1, 1)}})})})
    _, page = await house.page("city", unit="HP", by="rate")
    assert "+2 người, +2 lượt, +16,7 điểm %" in words(page)
    assert "1 Quận Bình 1 /2 50,0 % 1 1 +1 +50 điểm % 2 Quận An 2 /10 20,0 % 2 1 +1 +10 điểm %" in words(page)
    _, page = await house.page("city", unit="HP", as_of=week.isoformat())
    assert "1/12 người (8,3 %) · 1 lượt" in words(page)
    assert "đã chốt" in words(page)


async def test_the_export_has_every_unit_category_and_round_as_text_and_numbers(house: House) -> None:
    house.count("B1", 4)
    house.vote("chi", "B1", round=2)
    _, text = await house.page("district", "B", "/hp/so-lieu.csv")
    assert text.startswith("\ufeff")
    rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
    assert rows[0][:3] == ["Mã đơn vị", "Đơn vị", "Cấp trên"]
    assert ["B1", "'=Phường Hai", "B", "", "Tất cả đối tượng", "4", "1", "25,0", "1"] in rows
    assert ["B", "Quận Bình", "HP", "Tuần 2", "Học sinh", "", "1", "", "1"] in rows
    assert {row[0] for row in rows[1:]} == {"B", "B1"}
