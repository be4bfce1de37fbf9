"""The organisers' list of units that lag: right rows, each account within its own subtree, settings that are checked and kept."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi import APIRouter

from services.events import HeadcountApproved, MessageDelivered
from services.kit.clock import ManualClock, us_of
from services.kit.runtime import Face
from services.reporting.cuts import Cuts
from services.reporting.headcounts import Headcounts
from services.reporting.measures import Measure, Measures
from services.reporting.reminders import Reminders
from services.reporting.share import Cell, Scope, pack
from services.reporting.tables import CutTables, Tables
from services.reporting.watch import Rules
from services.reporting.watch_pages import WatchPages
from services.reporting.watching import Watch, WatchSettings
from tests.console_house import NOW, ConsoleHouse, submit
from tests.contract.memory_store import memory_store
from tests.unit.test_portal import contest
from tests.unit.test_watch import ContestBook

AT = NOW - timedelta(hours=1)
LAGGING, WATCH = "/console/turnout/hp/lagging", "/console/turnout/hp/watch"


class House(ConsoleHouse):
    """The console with the pages of who lags; a cut is there, and a headcount of 100 for A1 and B1."""

    def __init__(self, folder: Path) -> None:
        store, book, self.time = memory_store(), ContestBook(), ManualClock(NOW)
        book.apply(contest())
        headcounts = Headcounts(book)
        for unit in ("A1", "B1"):
            headcounts.apply(
                HeadcountApproved(time=NOW, contest="hp", unit=unit, category="", as_of="2026-01-01", people=100, source="")
            )
        self.cuts = Cuts(store, cast("Any", self), book, self.time)
        self.watch = Watch(store, book, CutTables(self.cuts, Tables(book, headcounts)))
        self.reminders, self.measures = Reminders(store), Measures(store)
        router = APIRouter()
        router.include_router(WatchPages(book, self.watch, self.reminders, self.measures, self.time).router)

        async def start() -> None:
            """Nothing to wait for."""

        super().__init__(folder, [Face(name="reporting", router=router, start=start)])

    async def end_offsets(self, topic: str) -> Mapping[int, int]:
        return {0: 0}

    async def cut(self, **people: int) -> None:
        await self.cuts.ask("hp", AT)
        (opened,) = await self.cuts.opened()
        cells = {code: Cell(count, 2 * count) for code, count in people.items()}
        scope = Scope({"": cells}, {}, {code: us_of(AT - timedelta(days=1)) for code in people})
        await self.cuts.put(opened, {"": pack({"": scope})})


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    await house.cut(A1=10, A2=3, B1=80)
    yield house
    await house.close()


async def test_an_organiser_sees_who_lags_who_was_reminded_and_what_to_do(house: House) -> None:
    event = MessageDelivered(time=NOW, message="m", contest="hp", channel="sms", purpose="reminder", unit="A1")
    await house.reminders.take([event])
    await house.measures.add("hp", "A1", Measure(id="1", day="2026-11-24", text="Phát loa toàn phường", by="an", at=NOW))
    page = await (await house.signed_in()).get(LAGGING)
    assert "Phát loa toàn phường" in page.text
    assert "1/3 đơn vị cần đôn đốc" in page.text
    assert "1 đơn vị chưa có tổng số thuộc diện" in page.text
    assert "dưới bình quân" in page.text
    assert "1 lần" in page.text
    assert '<input type="hidden" name="units" value="A1">' in page.text
    at = AT.strftime("%Y-%m-%dT%H:%MZ")
    assert f'href="/console/reminders/new?contest=hp&amp;figures=A1:10:100:&amp;as_of={at}"' in page.text
    page = await (await house.signed_in()).get(LAGGING, params={"category": "hoc-sinh"})
    assert "figures=" not in page.text
    assert "style=" not in page.text


async def test_a_reminder_begins_with_as_many_units_as_an_address_holds(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.reporting.watch_pages.MOST_REMINDED", 1)
    await house.watch.save("hp", WatchSettings(rules=Rules(target=90.0)))
    page = (await (await house.signed_in()).get(LAGGING)).text
    assert "2/3 đơn vị cần đôn đốc" in page
    assert "figures=A1:10:100:&amp;" in page
    assert "Nhắc 1 đơn vị đầu danh sách" in page


async def test_a_letter_names_no_more_units_than_it_may(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.reporting.watch_pages.MOST_UNITS", 1)
    await house.watch.save("hp", WatchSettings(rules=Rules(target=90.0)))
    page = (await (await house.signed_in()).get(LAGGING)).text
    assert '<input type="hidden" name="units" value="A1">' in page
    assert "Soạn công văn cho 1 đơn vị đầu danh sách (Word)" in page


async def test_the_list_as_csv_has_rows_that_a_spreadsheet_reads(house: House) -> None:
    answer = await (await house.signed_in("reader")).get("/console/turnout/hp/lagging.csv")
    assert answer.text.startswith("\ufeff")
    head, *rows = csv.reader(io.StringIO(answer.text.removeprefix("\ufeff")))
    assert [dict(zip(head, row, strict=True)) for row in rows] == [
        {
            "TT": "1", "Mã đơn vị": "A1", "Đơn vị": "Phường A1 <b>", "Cấp trên": "Phường A <b>", "Tổng số thuộc diện": "100",
            "Số người dự thi": "10", "Tỷ lệ (%)": "10,0", "Bình quân chung (%)": "45,0", "Chỉ tiêu (%)": "", "Còn thiếu": "35",
            "Số lượt": "20", "Số ngày không có lượt mới": "1", "Lý do": "dưới bình quân", "Số lần đã nhắc": "0",
            "Ngày nhắc gần nhất": "", "Biện pháp": "",
        }
    ]  # fmt: skip


@pytest.mark.parametrize("path", [LAGGING, "/console/turnout/hp/lagging.csv"])
async def test_a_district_sees_its_own_subtree_against_the_average_of_all(house: House, path: str) -> None:
    own = await house.signed_in("district", "B")
    page = await own.get(path)
    assert page.status_code == 200
    assert "A1" not in page.text
    for foreign in ("A", "A1", "HP"):
        answer = await own.get(path, params={"unit": foreign})
        assert answer.status_code == 403
        assert "Phường A1" not in answer.text
    assert (await (await house.signed_in("unit", "B1")).get(path)).status_code == 403
    assert (await house.browser().get(path)).status_code == 401


async def test_figures_of_an_hour_that_is_not_cut_yet_are_asked_for(house: House) -> None:
    browser = await house.signed_in()
    for wrong, status in (("2026-11-25T14:30Z", 422), ("gần đây", 422), ("2026-11-25T14:00", 422), ("2030-01-01T00:00Z", 422)):
        assert (await browser.get(LAGGING, params={"as_of": wrong})).status_code == status
    assert (await browser.get(LAGGING, params={"level": "2"})).status_code == 200
    assert (await browser.get(LAGGING, params={"category": "x"})).status_code == 422


GOOD = {
    "level": "2", "target": "62,5", "silent_days": "4", "by_round": "on", "on": "on", "hours": "17, 7", "categories": "hoc-sinh",
    "weekly": "on", "weekday": "0", "digest_hour": "8", "tree": "party",
}  # fmt: skip


async def test_what_is_watched_for_is_set_by_the_city_and_noted(house: House) -> None:
    browser = await house.signed_in()
    page = await submit(browser, WATCH, WATCH, **GOOD)
    assert page.status_code == 200
    rules = Rules(tree="party", level=2, target=62.5, below_average=False, silent_days=4, by_round=True)
    kept = WatchSettings(
        rules=rules, categories=("hoc-sinh",), on=True, hours=(7, 17), daily=False, weekly=True, digest_hour=8, weekday=0
    )
    assert await house.watch.settings("hp") == kept
    assert (await house.actions())[-1] == "watch.changed"
    assert (await (await house.signed_in("district", "A")).get(WATCH)).status_code == 403


@pytest.mark.parametrize(
    ("field", "value"),
    [("target", "0"), ("target", "101"), ("target", "x"), ("hours", "24"), ("hours", ""), ("silent_days", "-1"), ("level", "99"),
     ("tree", "x"), ("categories", "x"), ("weekday", "7"), ("digest_hour", "24")],
)  # fmt: skip
async def test_what_cannot_be_is_refused_and_changes_nothing(house: House, field: str, value: str) -> None:
    page = await submit(await house.signed_in(), WATCH, WATCH, **(GOOD | {field: value}))
    assert page.status_code == 422
    assert page.text.count('role="alert"') == 1
    assert '<input type="checkbox" name="on" checked>' in page.text, "what was filled in stays"
    assert await house.watch.settings("hp") == WatchSettings()
    assert "watch.changed" not in await house.actions()
