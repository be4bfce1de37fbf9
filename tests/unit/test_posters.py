"""Posters: a sheet a unit, on the paper asked for, with its own code; no text is markup; one's own units only."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from fastapi import APIRouter
from PIL import Image

from services.events import Category, ContestBook, ContestPublished, RoundPlan, Unit
from services.kit.runtime import Face
from services.kit.settings import Settings
from services.quiz.pages import ConsolePages, UnitPages
from services.quiz.posters import dates, picture, render, sheet
from services.quiz.units import UnitDays
from tests.console_house import NOW, UNITS, ConsoleHouse

ROUND = RoundPlan(
    id="hp.t1", contest="hp", name="Tuần 1", opens=NOW - timedelta(days=1), closes=NOW + timedelta(days=6), questions=20,
    minutes=15, attempts=3, counting="best", ranking=("correct desc",), prediction=None, show_score="at_once",
    show_key="after_close", state="open",
)  # fmt: skip
CONTEST = ContestPublished(
    time=datetime(2026, 1, 1, tzinfo=UTC), contest="hp", title="Làm theo lời Bác", kind="Cuộc thi", owner="Ban Tuyên giáo",
    timezone="Asia/Ho_Chi_Minh", documents=(), categories=(Category(id="hs", name="Học sinh"),), rounds=(ROUND,),
    units=tuple(Unit(code=code, parent=unit.parent, name=unit.name, kind="x") for code, unit in UNITS.items()),
)  # fmt: skip
SIZES = {"a4": (595, 842), "a3": (842, 1191)}


def pages(pdf: bytes) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", pdf))


@pytest.mark.parametrize("paper", ["a4", "a3"])
def test_a_sheet_a_unit_of_the_size_asked_for(paper: Any) -> None:
    made = render(CONTEST, [ROUND], [sheet(f"Đơn vị {n}", "Quận A", f"https://x.vn/q/U{n}") for n in range(3)], paper)
    assert pages(made) == 3
    box = re.search(rb"/MediaBox\s*\[\s*0 0 ([\d.]+) ([\d.]+)", made)
    assert box
    assert (round(float(box[1])), round(float(box[2]))) == SIZES[paper]


@pytest.mark.parametrize("name", ["#pagebreak() *Tổ* _1_ $x$ @a <b>", "Trung tâm " + "Giáo dục thường xuyên " * 12])
def test_any_name_is_text_and_keeps_to_its_sheet(name: str) -> None:
    long = "https://" + "a-very-long-name." * 4 + "vn/q/HP-307-THPT-KA"
    assert pages(render(CONTEST, [ROUND] * 6, [sheet(name, name, long)])) == 1


def test_another_unit_has_another_code_and_the_same_one_the_same_picture() -> None:
    one, other = (sheet("Đơn vị", "", f"https://x.vn/q/{code}") for code in ("A", "B"))
    assert one.link == "x.vn/q/A"
    first = picture(CONTEST, [ROUND], one)
    assert first == picture(CONTEST, [ROUND], one) != picture(CONTEST, [ROUND], other)
    assert Image.open(io.BytesIO(first)).size[1] > 600


def test_many_rounds_are_said_in_a_line() -> None:
    assert dates(CONTEST, [ROUND]) == ["Tuần 1: 15:00 24/11/2026 – 15:00 1/12/2026"]
    assert dates(CONTEST, [ROUND] * 8) == ["8 vòng: 15:00 24/11/2026 – 15:00 1/12/2026"]


class NoDrafts:
    async def all(self) -> list[Any]:
        return []


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[ConsoleHouse]:
    book, router = ContestBook(), APIRouter()
    book.apply(CONTEST)

    async def start() -> None: ...

    house = ConsoleHouse(tmp_path)
    days = UnitDays(book, house.clock)
    settings = Settings(data_dir=tmp_path, public_url="https://thi.example.org")
    router.include_router(UnitPages(book, days, house.clock, settings).router)
    router.include_router(ConsolePages(book, days, house.clock, cast("Any", NoDrafts())).router)
    house = ConsoleHouse(tmp_path, [Face(name="quiz", router=router, start=start, units=days.names)])
    yield house
    await house.close()


async def test_everyone_gets_a_units_poster_and_an_account_those_of_its_own_units(house: ConsoleHouse) -> None:
    anybody, district = house.browser(), await house.signed_in("district", "A")
    unit, city = await house.signed_in("unit", "A1"), await house.signed_in("city")
    one = await anybody.get("/q/a1/ap-phich.pdf?paper=a3")
    assert (one.headers["content-type"], pages(one.content)) == ("application/pdf", 1)
    assert (await anybody.get("/q/no/ap-phich.pdf")).status_code == 404
    assert (await anybody.get("/q/a1/ap-phich.pdf?paper=a9")).status_code == 422
    every = "/console/contests/hp/ap-phich.pdf"
    assert (await anybody.get(every)).status_code == 401
    assert [await sheets(browser, every) for browser in (city, district, unit)] == [4, 2, 1]
    assert await sheets(city, f"{every}?unit=B") == 1
    assert (await district.get(f"{every}?unit=B")).status_code == 403


async def test_a_secretary_sees_the_code_of_her_unit_at_once_and_finds_no_others(house: ConsoleHouse) -> None:
    city, district, unit = [await house.signed_in(*who) for who in (("city",), ("district", "A"), ("unit", "A1"))]
    assert [await codes(browser) for browser in (city, district, unit)] == [set(), {"A"}, {"A1"}]
    name = UNITS["B"].name
    assert [await codes(browser, name) for browser in (city, district, unit)] == [{"B"}, set(), set()]
    assert await codes(unit, UNITS["A1"].name) == {"A1"}


async def codes(browser: httpx.AsyncClient, q: str = "") -> set[str]:
    """The units whose codes the page of contests shows."""
    return set(re.findall(r'<img src="/q/(\w+)\.svg"', (await browser.get("/console/contests", params={"q": q})).text))


async def sheets(browser: httpx.AsyncClient, path: str) -> int:
    return pages(cast("bytes", (await browser.get(path)).content))
