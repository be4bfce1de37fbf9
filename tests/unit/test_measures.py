"""What units do to mobilise: noted by the unit with a small picture, seen by who stands above it, the last one for the report."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from PIL import Image

from services.events import ContestBook
from services.kit.runtime import Face, UnitName
from services.reporting.measure_pages import MeasurePages
from services.reporting.measures import Measure, Measures
from tests.console_house import NOW, ConsoleHouse, token
from tests.console_house import UNITS as NAMES
from tests.contract.memory_store import memory_store
from tests.unit.test_headcounts import CONTEST

HERE = "/console/turnout/hp/measures"


class Desk:
    def __init__(self, folder: Path) -> None:
        async def start() -> None: ...

        def units() -> Mapping[str, UnitName]:
            return NAMES

        book, self.measures = ContestBook(), Measures(memory_store())
        book.apply(CONTEST)
        self.house = ConsoleHouse(folder)
        pages = MeasurePages(self.measures, book, self.house.clock)
        self.house = ConsoleHouse(folder, [Face(name="reporting", router=pages.router, start=start, units=units)])

    async def note(self, browser: httpx.AsyncClient, picture: bytes | None = None, **fields: str) -> httpx.Response:
        data = {
            "csrf": token(await browser.get("/console/account")),
            "unit": "A1",
            "day": "2026-11-20",
            "text": "Phát động",
        } | fields
        files = {"picture": ("a.png", picture)} if picture is not None else None
        return await browser.post(HERE, data=data, files=files)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    await desk.house.close()


def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (3000, 1500), "red").save(out, "PNG")
    return out.getvalue()


async def test_a_unit_notes_a_measure_with_a_picture_that_only_those_above_it_see(desk: Desk) -> None:
    unit, district = await desk.house.signed_in("unit", "A1"), await desk.house.signed_in("district", "A")
    assert (await desk.note(unit, picture())).status_code == 200
    (noted,) = await desk.measures.of("hp", "A1")
    page = await district.get(HERE)
    assert "Phát động" in page.text
    address = f"{HERE}/A1/{noted.picture}.webp"
    assert address in page.text
    shown = await district.get(address)
    assert Image.open(io.BytesIO(shown.content)).size == (1200, 600)
    outsider = await desk.house.signed_in("unit", "B")
    assert (await outsider.get(address)).status_code == 403
    assert "Phát động" not in (await outsider.get(HERE)).text
    assert (await desk.house.browser().get(address)).status_code == 401
    assert await desk.house.actions() == ["measure.noted"]


@pytest.mark.parametrize(
    ("role", "subtree", "fields", "status"),
    [
        ("unit", "B", {}, 403), ("reader", None, {}, 403), ("unit", "A1", {"text": " "}, 422), ("unit", "A1", {"day": ""}, 422),
        ("unit", "A1", {"day": "2026-11-26"}, 422), ("unit", "A1", {"picture": "not one"}, 422),
    ],
)  # fmt: skip
async def test_who_may_not_and_what_cannot_be(desk: Desk, role: str, subtree: str, fields: dict[str, str], status: int) -> None:
    browser = await desk.house.signed_in(role, subtree)
    sent = await desk.note(browser, (fields.pop("picture", "") or "").encode() or None, **fields)
    assert sent.status_code == status
    assert not await desk.measures.of("hp", "A1")


async def test_the_latest_is_that_of_the_latest_day_and_a_removal_brings_the_one_before_back(desk: Desk) -> None:
    for n, day in enumerate(["2026-11-02", "2026-11-10", "2026-11-05"]):
        measure = Measure(id=str(n), day=day, text=day, by="x", at=NOW + timedelta(minutes=n))
        await desk.measures.add("hp", "A1", measure)
        await desk.measures.add("hp", "A1", measure)
    assert {unit: m.day for unit, m in (await desk.measures.latest("hp", ["A1", "B"])).items()} == {"A1": "2026-11-10"}
    assert len(await desk.measures.of("hp", "A1")) == 3
    unit = await desk.house.signed_in("unit", "A1")
    data = {"csrf": token(await unit.get("/console/account")), "unit": "A1", "id": "1"}
    assert (await unit.post(f"{HERE}/remove", data=data)).status_code == 200
    assert (await desk.measures.latest("hp", ["A1"]))["A1"].day == "2026-11-05"
