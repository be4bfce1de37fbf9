"""Headcounts: the rules of a unit's book, files, each approval an event exactly once whatever dies, and the pages by role."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st

from services.events import Category, ContestBook, ContestPublished, Event, Unit, decode, encode
from services.events.headcounts import HeadcountApproved
from services.kit.bus import Bus, BusDown, Outgoing
from services.kit.clock import ManualClock
from services.kit.faults import FaultsFound
from services.kit.locallog import LocalLog
from services.kit.problems import Problem
from services.kit.runtime import Face, Runtime, UnitName
from services.kit.security import Secrets
from services.kit.settings import Settings
from services.kit.sheets import as_csv
from services.kit.store import StoreDown
from services.reporting.headcount_book import Book, Decide, Enter, Order, apply
from services.reporting.headcount_file import number_of, read
from services.reporting.headcount_loading import load
from services.reporting.headcount_pages import HeadcountPages
from services.reporting.headcount_store import HeadcountStore
from tests.console_house import UNITS as NAMES
from tests.console_house import ConsoleHouse, token
from tests.contract.memory_store import MemoryCollection, memory_store

NOW = datetime(2026, 11, 25, 8, tzinfo=UTC)
UNITS = [Unit(code=code, parent=unit.parent, name=unit.name, kind="x") for code, unit in NAMES.items()]
CONTEST = ContestPublished(
    time=NOW, contest="hp", title="Hội thi", kind="K", owner="O", timezone="Asia/Ho_Chi_Minh", documents=(),
    categories=(Category(id="hs", name="Học sinh", target=100), Category(id="gv", name="Giáo viên")), units=tuple(UNITS),
    rounds=(),
)  # fmt: skip
HERE = "/console/turnout/hp/headcounts"


def enter(
    id: str, people: int | None = 10, *, approved: bool = True, at: int = 0, category: str = "", day: str = "2026-05-01"
) -> Enter:
    return Enter(
        id=id,
        category=category,
        as_of=day,
        people=people,
        source="s",
        by="who",
        at=NOW + timedelta(minutes=at),
        approved=approved,
    )


def decide(id: str, entry: str, state: Any = "approved", at: int = 0) -> Decide:
    return Decide(id=id, entry=entry, state=state, reason="", by="boss", at=NOW + timedelta(minutes=at))


def booked(*orders: Order) -> Book:
    book = Book()
    for order in orders:
        book = apply(book, order)
    return book


# The book


def test_a_proposal_counts_once_it_is_approved_and_the_highest_revision_stands() -> None:
    book = booked(enter("a", 10), enter("b", 12, approved=False, at=1))
    assert book.latest("2026-06-01")[""].people == 10
    book = apply(book, decide("d", "b", at=2))
    assert (book.latest("2026-06-01")[""].people, book.standing()["", "2026-05-01"].revision) == (12, 1)
    assert apply(book, decide("d", "b", at=2)) == book
    with pytest.raises(Problem):
        apply(book, decide("other", "b", "refused", at=3))


def test_what_was_refused_or_withdrawn_never_counts_and_a_day_before_the_first_is_unknown() -> None:
    book = booked(enter("a", 10, approved=False), decide("d", "a", "refused"))
    assert not book.latest("2030-01-01")
    book = booked(enter("a", 10), enter("b", None, at=1))
    assert not book.latest("2030-01-01")
    assert book.standing()["", "2026-05-01"].people is None
    assert not booked(enter("a", 10)).latest("2026-04-30")
    with pytest.raises(Problem):
        apply(Book(), enter("a", None))


def test_a_later_day_takes_over_from_its_day_on() -> None:
    book = booked(enter("a", 10), enter("b", 20, day="2026-08-01", at=1))
    assert [book.latest(day)[""].people for day in ("2026-07-31", "2026-08-01")] == [10, 20]


def test_a_new_proposal_stands_in_the_place_of_the_old_one() -> None:
    book = booked(
        enter("a", 10, approved=False), enter("b", 11, approved=False, at=1), enter("c", 5, approved=False, category="gv")
    )
    assert sorted(entry.id for entry in book.proposals()) == ["b", "c"]


orders = st.lists(
    st.one_of(
        st.builds(
            enter, st.sampled_from("abcdef"), st.sampled_from([None, 1, 2]), approved=st.booleans(), at=st.integers(0, 9),
            day=st.sampled_from(["2026-05-01", "2026-06-01"]),
        ),
        st.builds(
            decide, st.sampled_from("uvw"), st.sampled_from("abcdef"), st.sampled_from(["approved", "refused"]), st.integers(0, 9)
        ),
    ),
    max_size=12,
)  # fmt: skip


@given(orders)
def test_orders_done_again_change_nothing_and_revisions_never_come_twice(given_orders: list[Order]) -> None:
    book, done = Book(), []
    for order in given_orders:
        try:
            book = apply(book, order)
        except Problem:
            continue
        done.append(order)
        assert apply(book, order) == book
    approved = [(entry.key, entry.revision) for entry in book.entries if entry.state == "approved"]
    assert len(set(approved)) == len(approved)
    assert all(entry.revision >= 0 for entry in book.entries if entry.state == "approved")


# Files


def test_numbers_as_people_write_them() -> None:
    assert [number_of(text) for text in ("0", "1250", "1.250", "1 250", " 12.345.678 ")] == [0, 1250, 1250, 1250, None]
    assert {number_of(text) for text in ("", "-1", "12,5", "1.25", "12a", "٣", "99999999999")} == {None}


FILE = "unit,category,count,as_of,source\nA,,1.250,01/05/2026,Báo cáo\nA1,Học sinh,300,2026-05-01,\nB,gv,,2026-05-01,\n"


def test_a_file_is_read_and_an_empty_count_stays_unknown() -> None:
    units = {unit.code: unit for unit in UNITS}
    sheet = read(FILE, units, CONTEST.categories)
    assert sheet.good
    assert [(row.unit, row.category, row.people, row.as_of) for row in sheet.rows] == [
        ("A", "", 1250, "2026-05-01"), ("A1", "hs", 300, "2026-05-01"), ("B", "gv", None, "2026-05-01"),
    ]  # fmt: skip
    assert len(sheet.figures) == 2
    bad = read(
        "unit,category,count,as_of,source\nX,,1,2026-05-01,\nA,no,1,2026-05-01,\nA,,many,2026-05-01,\nA,,1,soon,\nA1,,1,2026-05-01,\n"
        "B,,1,2026-05-01,\nB,,2,2026-05-01,\n,,1,,\n",
        units, CONTEST.categories, own={"A", "B"},
    )  # fmt: skip
    assert [(row.line, [fault.column for fault in row.faults]) for row in bad.rows] == [
        (2, ["unit"]), (3, ["category"]), (4, ["count"]), (5, ["as_of"]), (6, ["unit"]), (7, []), (8, ["unit"]),
        (9, ["unit", "as_of"]),
    ]  # fmt: skip
    assert not read("unit,category,count,as_of,source\n", units, CONTEST.categories).good
    assert not read("unit,count\nA,1\n", units, CONTEST.categories).good


def test_excel_says_the_same() -> None:
    memory = io.BytesIO()
    book = xlsxwriter.Workbook(memory)
    sheet, day = book.add_worksheet(), book.add_format({"num_format": "dd/mm/yyyy"})
    sheet.write_row(0, 0, ["unit", "category", "count", "as_of", "source"])
    sheet.write_row(1, 0, ["A", "", 1250])
    sheet.write_datetime(1, 3, datetime(2026, 5, 1), day)
    book.close()
    read_back = read(as_csv(memory.getvalue()), {unit.code: unit for unit in UNITS}, CONTEST.categories)
    assert [(row.people, row.as_of, row.faults) for row in read_back.rows] == [(1250, "2026-05-01", [])]


@pytest.mark.parametrize("last", [(1_048_575, 16_383), (60_000, 0)])
def test_an_excel_file_that_is_far_too_large_when_laid_out_is_refused(last: tuple[int, int]) -> None:
    memory = io.BytesIO()
    book = xlsxwriter.Workbook(memory)
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, ["unit", "category", "count", "as_of", "source"])
    sheet.write(*last, "x")
    book.close()
    with pytest.raises(Problem) as refused:
        as_csv(memory.getvalue())
    assert refused.value.status == 422


# The store and the topic


class Faulty:
    """How many writes still go well, of the store and the bus together."""

    def __init__(self) -> None:
        self.left = 10_000

    def write(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise StoreDown("gone")


class Collection(MemoryCollection):
    faulty = Faulty()

    async def insert_many(self, documents: Sequence[dict[str, Any]], ordered: bool = True) -> None:
        self.faulty.write()
        await super().insert_many(documents, ordered)

    async def update_one(self, query: Mapping[str, Any], update: Mapping[str, Any], upsert: bool = False) -> Any:
        self.faulty.write()
        return await super().update_one(query, update, upsert)

    async def delete_one(self, query: Mapping[str, Any]) -> None:
        self.faulty.write()
        await super().delete_one(query)


class Topic:
    """A bus that remembers what it was told; what a dying process had begun to publish is there or is not."""

    def __init__(self, faulty: Faulty) -> None:
        self.records: list[Outgoing] = []
        self.published: list[Event] = [CONTEST]
        self._faulty = faulty

    async def publish(self, records: Sequence[Outgoing]) -> None:
        try:
            self._faulty.write()
        except StoreDown as error:
            raise BusDown(str(error)) from error
        self.records += records
        self.published += [decode(record.headers["ce_type"], record.value) for record in records]

    async def read(self, topic: str) -> list[Any]:
        house = Outgoing("contests", "hp", encode(CONTEST), {"ce_type": CONTEST.type})
        return [house] if topic == "contests" else self.records

    def told(self) -> list[HeadcountApproved]:
        return [event for event in self.published if isinstance(event, HeadcountApproved)]

    def compacted(self) -> dict[str, tuple[int | None, int]]:
        """What a reader finds who comes late: the last record of each key."""
        return {event.key: (event.people, event.revision) for event in self.told()}


class Reporting:
    def __init__(self, folder: Path) -> None:
        self.faulty, self.clock = Faulty(), ManualClock(NOW)
        Collection.faulty = self.faulty
        self.database = memory_store()
        self.database.default_factory = Collection
        self.bus, self.book = Topic(self.faulty), ContestBook()
        self.book.apply(CONTEST)
        self.runtime = Runtime(
            service="reporting", settings=Settings(data_dir=folder), clock=self.clock, bus=cast("Bus", self.bus),
            journal=cast("LocalLog", None), store=self.database, secrets=Secrets(folder), encode=encode,
        )  # fmt: skip
        self.store = HeadcountStore(self.runtime)


@pytest.fixture
def reporting(tmp_path: Path) -> Reporting:
    return Reporting(tmp_path)


@pytest.mark.parametrize("writes", range(9))
async def test_an_approval_that_was_cut_off_anywhere_is_told_exactly_as_it_stands(reporting: Reporting, writes: int) -> None:
    store = reporting.store
    await store.submit("hp", [("A", enter("first", 9)), ("A", enter("p", 11, approved=False, at=1)), ("B", enter("b", 7))])
    assert await store.waiting("hp") == ["A"]
    before = len(reporting.bus.told())
    reporting.faulty.left, done = writes, True
    try:
        await store.submit("hp", [("A", decide("d", "p", at=2)), ("B", enter("c", 8, at=2))])
    except (StoreDown, BusDown):
        done = False
    reporting.faulty.left = 10_000
    begun = bool(reporting.database["headcount_intents"].documents) or done
    reporting.clock.advance(timedelta(seconds=20))
    await HeadcountStore(reporting.runtime).sweep()
    assert not reporting.database["headcount_intents"].documents
    day = "2026-05-01"
    expected = {f"hp/A//{day}": (11, 1), f"hp/B//{day}": (8, 1)} if begun else {f"hp/A//{day}": (9, 0), f"hp/B//{day}": (7, 0)}
    assert reporting.bus.compacted() == expected
    by_id: dict[str, set[bytes]] = {}
    for event in reporting.bus.told():
        by_id.setdefault(event.id, set()).add(encode(event))
    assert all(len(bodies) == 1 for bodies in by_id.values())  # told twice, perhaps; never two ways
    assert await store.waiting("hp") == ([] if begun else ["A"])
    assert begun == (len({event.id for event in reporting.bus.told()}) > before)


async def test_a_sweep_never_puts_an_older_word_over_a_newer_one(reporting: Reporting) -> None:
    store = reporting.store
    reporting.faulty.left = 2  # the intent and the book, not the topic
    with pytest.raises((StoreDown, BusDown)):
        await store.submit("hp", [("A", enter("old", 5))])
    reporting.faulty.left = 10_000
    await store.submit("hp", [("A", enter("new", 6, at=1))])
    reporting.clock.advance(timedelta(seconds=20))
    assert await store.sweep() == 1
    assert reporting.bus.compacted() == {"hp/A//2026-05-01": (6, 1)}
    assert await store.sweep() == 0


async def test_all_or_nothing(reporting: Reporting) -> None:
    with pytest.raises(Problem):
        await reporting.store.submit("hp", [("A", enter("a", 5)), ("B", decide("d", "nothing"))])
    assert not reporting.bus.told()
    assert not reporting.database["headcounts"].documents
    assert not reporting.database["headcount_intents"].documents


async def test_a_directorys_headcounts_are_loaded_once_however_often(reporting: Reporting, tmp_path: Path) -> None:
    file = tmp_path / "headcounts.csv"
    file.write_text(FILE)
    assert await load(reporting.runtime, file, "hp") == 2
    first = reporting.bus.compacted()
    reporting.clock.advance(timedelta(minutes=5))
    assert await load(reporting.runtime, file, "hp") == 2
    assert reporting.bus.compacted() == first == {"hp/A//2026-05-01": (1250, 0), "hp/A1/hs/2026-05-01": (300, 0)}
    file.write_text(FILE.replace("A1,", "A9,"))
    with pytest.raises(FaultsFound):
        await load(reporting.runtime, file, "hp")


# The pages


class Desk:
    def __init__(self, reporting: Reporting, house: ConsoleHouse) -> None:
        self.reporting, self.house = reporting, house

    async def send(self, browser: httpx.AsyncClient, path: str = "", file: str | None = None, **fields: str) -> httpx.Response:
        unit = fields.get("unit", "")
        page = await browser.get(HERE, params={"unit": unit} if unit else None)
        data = {"csrf": token(page), **fields}
        files = {"file": ("tep.csv", file.encode())} if file is not None else None
        return await browser.post(HERE + path, data=data, files=files)

    async def entries(self, unit: str) -> list[tuple[int | None, str]]:
        return [(entry.people, entry.state) for entry in (await self.reporting.store.books("hp", [unit]))[unit].entries]


@pytest.fixture
async def desk(reporting: Reporting, tmp_path: Path) -> AsyncIterator[Desk]:
    async def start() -> None: ...

    pages = HeadcountPages(reporting.runtime, reporting.book)

    def units() -> Mapping[str, UnitName]:
        return NAMES

    house = ConsoleHouse(tmp_path / "console", [Face(name="reporting", router=pages.router, start=start, units=units)])
    yield Desk(reporting, house)
    await house.close()


FIGURE = {"unit": "A1", "category": "hs", "people": "1.200", "as_of": "2026-05-01", "source": "Báo cáo của trường"}


async def test_a_unit_proposes_the_district_approves_and_everyone_is_told_once(desk: Desk) -> None:
    unit, district = await desk.house.signed_in("unit", "A1"), await desk.house.signed_in("district", "A")
    sent = await desk.send(unit, **FIGURE)
    assert sent.status_code == 200
    assert "Chờ duyệt" in sent.text
    assert not desk.reporting.bus.told()
    page = await district.get(HERE)
    assert "Phường A1" in page.text
    entry = page.text.partition('name="entry" value="')[2].partition('"')[0]
    approved = await desk.send(district, "/decide", unit="A1", entry=entry, decision="approve")
    assert approved.status_code == 200
    (event,) = desk.reporting.bus.told()
    assert (event.unit, event.category, event.people, event.as_of, event.source) == (
        "A1", "hs", 1200, "2026-05-01", "Báo cáo của trường",
    )  # fmt: skip
    again = await desk.send(district, "/decide", unit="A1", entry=entry, decision="approve")
    assert again.status_code == 409
    assert len(desk.reporting.bus.told()) == 1
    assert await desk.house.actions() == ["headcount.proposed", "headcount.approved"]
    assert "1.200" in (await unit.get(HERE)).text


async def test_a_refusal_needs_a_reason_and_a_unit_may_take_its_proposal_back(desk: Desk) -> None:
    unit, city = await desk.house.signed_in("unit", "A1"), await desk.house.signed_in("city")
    await desk.send(unit, **FIGURE)
    entry = (await unit.get(HERE)).text.partition('name="entry" value="')[2].partition('"')[0]
    assert (await desk.send(city, "/decide", unit="A1", entry=entry, decision="refuse")).status_code == 422
    assert (await desk.send(city, "/decide", unit="A1", entry=entry, decision="refuse", reason="Quá cao")).status_code == 200
    assert await desk.entries("A1") == [(1200, "refused")]
    assert "Quá cao" in (await unit.get(HERE)).text
    await desk.send(unit, **{**FIGURE, "people": "900"})
    entry = (await unit.get(HERE)).text.partition('name="entry" value="')[2].partition('"')[0]
    assert (await desk.send(unit, "/decide", unit="A1", entry=entry, decision="withdraw")).status_code == 200
    assert await desk.entries("A1") == [(1200, "refused"), (900, "withdrawn")]


@pytest.mark.parametrize(
    ("role", "subtree", "fields", "status"),
    [
        ("unit", "A1", {"unit": "B"}, 403), ("district", "A", {"unit": "B"}, 403), ("unit", "A1", {"unit": "A"}, 403),
        ("reader", None, {}, 403), ("operator", None, {}, 403), ("city", None, {"people": "nhiều"}, 422),
        ("city", None, {"category": "x"}, 422), ("city", None, {"as_of": ""}, 422), ("city", None, {"source": " "}, 422),
        ("city", None, {"unit": "no"}, 404), ("city", None, {"withdraw": "1"}, 409), ("unit", "A1", {"withdraw": "1"}, 403),
    ],
)  # fmt: skip
async def test_who_may_not_and_what_cannot_be_changes_nothing(
    desk: Desk, role: str, subtree: str | None, fields: dict[str, str], status: int
) -> None:
    browser = await desk.house.signed_in(role, subtree)
    data = {"csrf": token(await browser.get("/console/account")), **FIGURE, **fields}
    assert (await browser.post(HERE, data=data)).status_code == status
    assert not desk.reporting.database["headcounts"].documents
    assert not await desk.house.actions()


async def test_a_file_is_tried_then_taken_whole_and_outside_ones_own_units_refused(desk: Desk) -> None:
    district = await desk.house.signed_in("district", "A")
    refused = await desk.send(district, "/import", file=FILE)
    assert refused.status_code == 422
    assert "không thuộc phạm vi" in refused.text
    tried = await desk.send(district, "/import", file=FILE.replace("B,gv", "A,gv"))
    assert tried.status_code == 200
    assert not desk.reporting.bus.told()
    digest = tried.text.partition('name="digest" value="')[2].partition('"')[0]
    assert (await desk.send(district, "/import", digest=digest)).status_code == 200
    assert {(event.unit, event.people) for event in desk.reporting.bus.told()} == {("A", 1250), ("A1", 300)}
    assert (await desk.send(district, "/import", digest="0" * 16)).status_code == 409
    listed = (await district.get(f"{HERE}/file.csv")).text.lstrip("\ufeff").splitlines()
    assert listed[:2] == ["unit,category,count,as_of,source", "A,,1250,2026-05-01,Báo cáo"]
    assert "A1,hs,300,2026-05-01," in listed
    assert "A1,,,2026-11-25," in listed


async def test_the_words_of_a_source_are_no_formula_of_a_spreadsheet(desk: Desk) -> None:
    city = await desk.house.signed_in("city")
    await desk.send(city, **FIGURE | {"source": '=HYPERLINK("http://a.vn")'})
    listed = (await city.get(f"{HERE}/file.csv", params={"unit": "A1"})).text
    assert "A1,hs,1200,2026-05-01,\"'=HYPERLINK(" in listed


async def test_unknown_is_said_to_be_unknown(desk: Desk) -> None:
    page = await (await desk.house.signed_in("reader")).get(HERE, params={"unit": "A"})
    assert page.text.count("Chưa có số liệu") == 4  # three of the unit's own, one of the unit below
    assert "0 %" not in page.text
    assert "<button" not in page.text.partition('class="tabs"')[2]
