"""What other sites show of a contest, and the tiles: right figures, cached, framed by those only who may, telling no secret."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from defusedxml.ElementTree import fromstring
from fastapi import APIRouter

from services.events import (
    Category,
    ContestBook,
    ContestPublished,
    RoundClosed,
    RoundExtended,
    RoundOpened,
    RoundPlan,
    Tree,
    Unit,
)
from services.events.contests import Placement
from services.kit.clock import ManualClock
from services.kit.runtime import Face
from services.kit.settings import Settings
from services.reporting.board import Board
from services.reporting.chronicle import Chronicle
from services.reporting.domain import HOUR, Id, Judgement, State, scored, view
from services.reporting.glance import Glances
from services.reporting.headcounts import Headcounts
from services.reporting.kept import Kept
from services.reporting.live import Live
from services.reporting.overview_pages import OverviewPages
from services.reporting.portal import Portal
from services.reporting.store import Views
from services.reporting.tables import Tables
from tests.console_house import NOW, ConsoleHouse
from tests.contract.memory_store import memory_store
from tests.unit.test_reporting_notes import records

AT = int(NOW.timestamp()) * 1_000_000
OPENS, CLOSES = NOW - timedelta(days=3), NOW + timedelta(days=4)
PARENTS = {"HP": None, "A": "HP", "A1": "A", "A2": "A", "B": "HP", "B1": "B"}
ATOM = "{http://www.w3.org/2005/Atom}"


def plan(revision: int = 0, **changed: Any) -> RoundPlan:
    values = {"state": "open", "closes": CLOSES} | changed
    return RoundPlan(
        id="hp.tuan-1", contest="hp", name="Tuần 1", opens=OPENS, questions=20, minutes=15, attempts=3, counting="best",
        ranking=("correct desc",), prediction="Có bao nhiêu người đúng hết?", show_score="at_once", show_key="after_close",
        revision=revision, **values,
    )  # fmt: skip


def unit(code: str, parent: str | None) -> Unit:
    places = [Placement(tree="territory", parent=parent)]
    if code in ("A", "A1"):
        places.append(Placement(tree="party", parent="A" if code == "A1" else None))
    return Unit(code=code, parent=parent, name=f"Phường {code} <b>", kind="", placements=tuple(places))


def contest() -> ContestPublished:
    return ContestPublished(
        time=OPENS, contest="hp", title="Hải Phòng làm theo lời Bác", kind="Cuộc thi trắc nghiệm", owner="Ban Tuyên giáo",
        timezone="Asia/Ho_Chi_Minh", documents=(), categories=(Category(id="hoc-sinh", name="Học sinh"),),
        units=tuple(unit(code, parent) for code, parent in PARENTS.items()), rounds=(plan(),),
        trees=(Tree(id="territory", name="Địa bàn"), Tree(id="party", name="Tổ chức Đảng")),
    )  # fmt: skip


class House(ConsoleHouse):
    """The console with reporting's portal and overview; votes are put straight into what the board reads."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.book, self.views = ContestBook(), memory_store()
        self.book.apply(contest())
        self.time, self.votes = ManualClock(NOW), 0
        store = self.views
        self.headcounts = Headcounts(self.book)
        board = Board(self.book, Tables(self.book, self.headcounts), self.time)
        glances = Glances(self.book, board, Live(Views(store), board, self.time))
        self.chronicle = Chronicle(store)
        router = APIRouter()
        router.include_router(OverviewPages(glances, self.time).router)
        options = Settings(data_dir=folder, **{"public_url": "https://thi.example.vn/"} | settings)
        router.include_router(Portal(self.book, board, glances, self.chronicle, self.time, options).router)

        async def start() -> None:
            """Nothing to wait for."""

        super().__init__(folder, [Face(name="reporting", router=router, start=start)])
        self.state = State()

    def vote(self, who: str, unit: str, hours: int = 0, n: int = 1) -> None:
        judgement = Judgement(unit, ("hoc-sinh",), AT + hours * HOUR, "valid", 0, 20, 20)
        scored(self.state, Id("hp", "hp.tuan-1", who, n), judgement)
        self.votes += 1
        self.views["views"].documents[0] = {"_id": 0, "offsets": {"scores": self.votes}, "body": view(self.state)}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    for who, where, hours in (("an", "A1", -30), ("binh", "A1", -29), ("chi", "B1", 0), ("dung", "A2", -1)):
        house.vote(who, where, hours)
    yield house
    await house.close()


async def test_the_news_block_tells_people_attempts_and_who_leads(house: House) -> None:
    browser = house.browser()
    page = await browser.get("/portal/hp/tin")
    assert "đã có 4 người dự thi với 4 lượt thi." in page.text
    assert "Tuần 1 đang diễn ra" in page.text
    assert "Dẫn đầu về số người dự thi: Phường A &lt;b&gt; (3 người), Phường B &lt;b&gt; (1 người)." in page.text
    assert "Ngày 24/11/2026 có thêm 2 người dự thi và 2 lượt thi." in page.text
    assert "https://thi.example.vn/c/hp" in page.text
    bare = await browser.get("/portal/hp/tin.html", params={"lang": "en"})
    assert bare.text.lstrip().startswith('<article class="hoithi-news" lang="en">')
    assert "4 people with 4 attempts" in bare.text
    assert "<html" not in bare.text
    assert (await browser.get("/portal/nope/tin")).status_code == 404


@pytest.mark.parametrize("what", ["tin", "tin.html", "widget", "atom.xml", "og.png"])
async def test_what_is_the_same_for_all_is_cached_and_sent_once(house: House, what: str) -> None:
    browser = house.browser()
    first = await browser.get(f"/portal/hp/{what}")
    assert first.status_code == 200
    assert first.headers["cache-control"].startswith("public, max-age=")
    assert "set-cookie" not in first.headers
    again = await browser.get(f"/portal/hp/{what}", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    house.vote("giang", "B1")
    assert (await browser.get(f"/portal/hp/{what}")).content == first.content
    for text in ("perfect", "đúng hết"):
        assert text not in first.text


async def test_a_minute_later_the_figures_are_new(house: House) -> None:
    browser = house.browser()
    await browser.get("/portal/hp/widget")
    house.vote("giang", "B1")
    house.time.advance(timedelta(minutes=1))
    assert "<dd>5</dd>" in (await browser.get("/portal/hp/widget")).text


async def test_only_the_widget_may_be_framed_and_by_whom_the_setting_says(tmp_path: Path) -> None:
    house = House(tmp_path, frame_ancestors="https://haiphong.gov.vn")
    browser = house.browser()
    policies = {
        path: (await browser.get(path)).headers["content-security-policy"]
        for path in ("/portal/hp/widget", "/portal/hp/tin", "/board/hp/toan-canh", "/healthz")
    }
    assert policies.pop("/portal/hp/widget").count("frame-ancestors https://haiphong.gov.vn;") == 1
    assert all("frame-ancestors 'none'" in policy for policy in policies.values())
    await house.close()


async def test_the_feed_is_atom_and_its_entries_keep_their_ids(house: House) -> None:
    events = (
        RoundOpened(time=OPENS, round=plan(1)),
        RoundOpened(time=OPENS + timedelta(hours=1), round=plan(2)),
        RoundExtended(time=NOW - timedelta(hours=2), round=plan(3, closes=CLOSES + timedelta(days=1))),
        RoundClosed(time=CLOSES, round=plan(4, state="final")),
    )
    for record in records(*events):
        house.chronicle.hear(record)
    await house.chronicle.write()
    browser = house.browser()
    answer = await browser.get("/portal/hp/atom.xml")
    assert answer.headers["content-type"].startswith("application/atom+xml")
    feed = fromstring(answer.content)
    assert feed.tag == f"{ATOM}feed"
    assert (feed.findtext(f"{ATOM}id"), feed.findtext(f"{ATOM}title")) == ("urn:hoithi:contest:hp", contest().title)
    links = {link.get("rel"): link.get("href") for link in feed.findall(f"{ATOM}link")}
    assert links["self"] == "https://thi.example.vn/portal/hp/atom.xml"
    found = {entry.findtext(f"{ATOM}id"): entry for entry in feed.findall(f"{ATOM}entry")}
    assert list(found) == [
        "urn:hoithi:round:hp.tuan-1/3",
        "urn:hoithi:day:hp/2026-11-24",
        "urn:hoithi:round:hp.tuan-1/1",
        "urn:hoithi:round:hp.tuan-1/4",
    ]
    for entry in found.values():
        assert datetime.fromisoformat(entry.findtext(f"{ATOM}updated") or "").tzinfo
        assert all(entry.findtext(f"{ATOM}{name}") for name in ("title", "content"))
        assert (entry.find(f"{ATOM}link").get("href") or "").startswith("https://thi.example.vn/")  # type: ignore[union-attr]
    day = found["urn:hoithi:day:hp/2026-11-24"].findtext(f"{ATOM}content")
    assert day == "Trong ngày có thêm 2 người dự thi và 2 lượt thi. Tổng cộng đã có 2 người, 2 lượt."


async def test_the_picture_is_what_networks_ask_for(house: House) -> None:
    picture = (await house.browser().get("/portal/hp/og.png")).content
    assert picture.startswith(b"\x89PNG")
    assert struct.unpack(">II", picture[16:24]) == (1200, 630)


async def test_organisers_see_what_to_paste(house: House) -> None:
    assert (await house.browser().get("/console/turnout/hp/portal")).status_code == 401
    page = await (await house.signed_in("reader")).get("/console/turnout/hp/portal")
    assert "&lt;iframe src=&#34;https://thi.example.vn/portal/hp/widget&#34;" in page.text


async def test_one_makes_it_for_all_who_wait_and_a_failure_is_not_kept() -> None:
    clock, made = ManualClock(datetime(2026, 1, 1, tzinfo=UTC)), []
    kept = Kept(clock)

    async def make() -> bytes:
        made.append(1)
        await asyncio.sleep(0)
        if len(made) == 1:
            raise OSError
        return b"made"

    assert await asyncio.gather(*(kept.get(("a",), 60, make) for _ in range(3)), return_exceptions=True) != [b"made"] * 3
    assert await asyncio.gather(*(kept.get(("a",), 60, make) for _ in range(3))) == [b"made"] * 3
    assert len(made) == 2


async def test_the_overview_is_kept_by_what_was_asked_for(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    monkeypatch.setattr(Glances, "of", lambda glances, *asked, _of=Glances.of: made.append(asked) or _of(glances, *asked))
    browser = house.browser()
    for query in ("", "?x=1", "?x=2&parent=", "?by=&tree="):
        assert (await browser.get(f"/board/hp/toan-canh{query}")).status_code == 200
    for wrong in range(3):
        assert (await browser.get(f"/board/hp/toan-canh?round={wrong}")).status_code == 422
    assert len(made) == 1


async def test_the_overview_has_a_tile_for_each_unit_and_leads_on(house: House) -> None:
    browser = house.browser()
    page = await browser.get("/board/hp/toan-canh")
    for code in ("A1", "A2", "B1"):
        assert f'href="/board/hp?parent={code}"' in page.text
    assert 'href="/board/hp/toan-canh?parent=A"' in page.text
    assert "Phường A1 &lt;b&gt;: 2 người" in page.text
    assert "style=" not in page.text
    party = await browser.get("/board/hp/toan-canh", params={"tree": "party", "round": "hp.tuan-1"})
    assert "B1" not in party.text
    assert 'href="/board/hp?tree=party&amp;round=hp.tuan-1&amp;parent=A1"' in party.text
    for wrong in ({"parent": "X"}, {"tree": "x"}, {"category": "x"}, {"round": "x"}, {"by": "x"}):
        assert (await browser.get("/board/hp/toan-canh", params=wrong)).status_code == 422


async def test_a_district_sees_the_tiles_of_its_own_subtree_alone(house: House) -> None:
    district = await house.signed_in("district", "A")
    page = await district.get("/console/turnout/hp/toan-canh")
    assert 'href="/console/turnout/hp?unit=A1"' in page.text
    assert "B1" not in page.text
    foreign: httpx.Response = await district.get("/console/turnout/hp/toan-canh", params={"parent": "B"})
    assert foreign.status_code == 403
    assert "B1" not in foreign.text
