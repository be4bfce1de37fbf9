"""The console's pages of units: a file is tried before it is taken, a merge is looked at before it is made; both are told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter

from services.events import ContestPublished
from services.kit.runtime import Face
from services.quiz.authoring.pages import ContestPages
from services.quiz.authoring.unit_pages import UnitTreePages
from services.quiz.authoring.units import read
from tests.console_house import ConsoleHouse, token
from tests.unit.test_publishing import ROUND
from tests.unit.test_publishing import House as QuizHouse

HERE = "/console/contests/hp/don-vi"
UNITS = "code,parent,name,kind\nHP,,Hải Phòng,city\nA,HP,Phường A,ward\nA1,A,Tổ 1,group\nB,HP,Phường B,ward\nKA,HP,Kiến An,ward\n"


@dataclass
class Desk:
    """An organiser's browser, and the house behind it."""

    browser: httpx.AsyncClient
    console: ConsoleHouse
    quiz: QuizHouse

    async def send(self, path: str = "", file: str | None = None, **fields: str) -> httpx.Response:
        data = {"csrf": token(await self.browser.get(HERE)), **fields}
        files = {"file": ("tep.csv", file.encode())} if file is not None else None
        return await self.browser.post(HERE + path, data=data, files=files)

    def told(self) -> ContestPublished:
        return self.quiz.book.contests["hp"]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    quiz = QuizHouse(tmp_path / "quiz")
    await quiz.draft()
    await quiz.authoring.publish("hp", ROUND.id)

    async def start() -> None: ...

    router = APIRouter()
    for pages in (UnitTreePages(quiz.authoring, quiz.book), ContestPages(quiz.authoring, quiz.book)):
        router.include_router(pages.router)
    house = ConsoleHouse(tmp_path / "console", [Face(name="quiz", router=router, start=start)])
    desk = Desk(await house.signed_in(), house, quiz)
    yield desk
    await house.close()


async def with_units(desk: Desk, text: str = UNITS) -> None:
    tried = await desk.send(file=text)
    assert tried.status_code == 200, tried.text
    digest = tried.text.partition('name="digest" value="')[2].partition('"')[0]
    assert (await desk.send(digest=digest)).status_code == 200


async def test_a_file_is_tried_and_taken_and_told(desk: Desk) -> None:
    before = (await desk.quiz.authoring.get("hp")).units
    bad = await desk.send(file=UNITS + "A,HP,Phường A,ward\n")
    assert bad.status_code == 422
    assert "đã có ở dòng 3" in bad.text
    assert (await desk.quiz.authoring.get("hp")).units == before
    await with_units(desk)
    assert len((await desk.quiz.authoring.get("hp")).units) == 5
    assert desk.told().units == before
    await desk.quiz.authoring.publish("hp")
    assert [unit.code for unit in desk.told().units] == ["HP", "A", "B", "KA", "A1"]
    assert await desk.console.actions() == ["units.imported"]
    assert (await desk.send(digest="0" * 16)).status_code == 409


@pytest.mark.parametrize("lang", ["vi", "en"])
async def test_the_file_to_fill_in_reads_as_it_is(desk: Desk, lang: str) -> None:
    file = await desk.browser.get(f"{HERE}/mau.xlsx", headers={"accept-language": lang})
    sheet = read(file.content)
    assert [(unit.code, unit.parent) for unit in sheet.units] == [("HP", None), ("HP-KA", "HP"), ("HP-KA-THPT", "HP-KA")]
    assert sheet.good


async def test_a_good_file_shows_its_first_rows_in_words_and_what_people_wrote_as_text(desk: Desk) -> None:
    rows = "".join(f"C{n},HP,Phường {n},ward\n" for n in range(20))
    named = UNITS.replace("code,parent,name,kind", "Mã,Cấp trên,Tên,Loại").replace("Hải Phòng", "<b>Hải Phòng</b>")
    tried = await desk.send(file=named + rows)
    assert "Phường, xã" in tried.text
    assert "&lt;b&gt;Hải Phòng" in tried.text
    assert "Còn 15 dòng nữa." in tried.text


async def test_a_merge_is_looked_at_made_and_told(desk: Desk) -> None:
    await with_units(desk)
    form = {"change": "merge", "unit": "phường a", "to": "B", "day": "2026-07-01"}
    seen = await desk.send("/bien-dong", **form)
    assert "Từ ngày 01/07/2026, Phường A tính vào Phường B." in seen.text
    assert "1 đơn vị trực thuộc chuyển theo: Tổ 1" in seen.text.replace("\n", " ").replace("  ", " ")
    assert not any(unit.ended for unit in (await desk.quiz.authoring.get("hp")).units)
    revision = (await desk.quiz.authoring.get("hp")).revision
    done = await desk.send("/bien-dong", **form, confirmed="1", revision=str(revision))
    assert "Từ ngày 01/07/2026, Phường A tính vào Phường B." in done.text
    assert "Có thay đổi mà người dự thi chưa thấy." in done.text
    late = await desk.send("/bien-dong", **form, confirmed="1", revision=str(revision))
    assert late.status_code == 409
    await desk.quiz.authoring.publish("hp")
    told = {unit.code: unit for unit in desk.told().units}
    assert (told["A"].ended, told["A"].merged_into) == ("2026-07-01", "B")
    assert [(place.parent, place.since, place.until) for place in told["A1"].placements] == [
        ("A", None, "2026-07-01"), ("B", "2026-07-01", None),
    ]  # fmt: skip
    assert await desk.console.actions() == ["units.imported", "unit.merge"]


@pytest.mark.parametrize(
    ("field", "value"), [("unit", "Phường Z"), ("to", ""), ("to", "A"), ("day", "hôm nay"), ("change", "eat")]
)
async def test_a_change_that_cannot_be_changes_nothing(desk: Desk, field: str, value: str) -> None:
    await with_units(desk)
    held = await desk.quiz.authoring.get("hp")
    form = {"change": "merge", "unit": "A", "to": "B", "day": "2026-07-01", "confirmed": "1"} | {field: value}
    assert (await desk.send("/bien-dong", **form)).status_code == 422
    assert await desk.quiz.authoring.get("hp") == held


async def test_trees_are_named_and_filled_and_come_back_as_files(desk: Desk) -> None:
    await with_units(desk)
    await desk.send("/cay", trees="Địa bàn\nCông đoàn\n")
    await with_units(desk, "tree,code,parent\ncong-doan,A,\ncong-doan,A1,A\n")
    text = (await desk.browser.get(f"{HERE}/trees.csv")).text
    assert text.lstrip("\ufeff").splitlines() == ["tree,code,parent,since,until", "cong-doan,A,,,", "cong-doan,A1,A,,"]
    refused = await desk.send("/cay", trees="Địa bàn\n")
    assert refused.status_code == 422
    assert "Công đoàn" in refused.text
    await desk.quiz.authoring.publish("hp")
    assert [tree.id for tree in desk.told().trees] == ["territory", "cong-doan"]


@pytest.mark.parametrize("role", ["district", "unit", "reader", "operator"])
async def test_only_the_citys_organiser_changes_units(desk: Desk, role: str) -> None:
    browser = await desk.console.signed_in(role, "A" if role in ("district", "unit") else None)
    assert (await browser.get(HERE)).status_code == 403
    assert (
        await browser.post(f"{HERE}/bien-dong", data={"change": "close", "unit": "A", "day": "2026-07-01"})
    ).status_code == 403
