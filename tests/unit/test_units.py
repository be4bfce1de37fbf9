"""Units are found as people type them, best first."""

from __future__ import annotations

import time
import unicodedata
from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest

from services.events import ContestBook, ContestPublished, Unit
from services.events.contests import Placement, Tree
from services.kit.clock import ManualClock
from services.kit.names import fold
from services.quiz.units import UnitDays, UnitIndex, UnitsToday

UNITS = [
    Unit(code="HP", parent=None, name="Thành phố Hải Phòng", kind="city"),
    Unit(code="LC", parent="HP", name="Quận Lê Chân", kind="district"),
    Unit(code="KA", parent="HP", name="Quận Kiến An", kind="district"),
    Unit(code="DS", parent="HP", name="Quận Đồ Sơn", kind="district"),
    Unit(code="VD", parent="KA", name="Phường Văn Đẩu", kind="ward"),
    Unit(code="TM", parent="KA", name="Phường Trần Thành Ngọ", kind="ward"),
    Unit(code="TD", parent="VD", name="Tổ 5", kind="group"),
    Unit(code="DB", parent=None, name="Đảng bộ", kind="party"),
]


def contest(units: list[Unit]) -> ContestPublished:
    return ContestPublished(
        time=datetime(2025, 1, 1, tzinfo=UTC), contest="hp", title="T", kind="K", owner="O", timezone="Asia/Ho_Chi_Minh",
        documents=(), categories=(), units=tuple(units), rounds=(),
    )  # fmt: skip


def codes(query: str, units: list[Unit] = UNITS, limit: int = 20) -> list[str]:
    return [hit.code for hit in UnitIndex(units).search(query, limit)]


QUERIES = ["Kiến An", "kien an", "KIEN AN", "  kiến   an ", unicodedata.normalize("NFD", "Kiến An"), "quan kien an"]


@pytest.mark.parametrize("query", QUERIES)
def test_diacritics_case_and_spaces_do_not_matter(query: str) -> None:
    assert codes(query)[0] == "KA"


@pytest.mark.parametrize(("query", "code"), [("do son", "DS"), ("ĐỒ SƠN", "DS"), ("van dau", "VD"), ("dang bo", "DB")])
def test_d_stands_for_its_barred_sister(query: str, code: str) -> None:
    assert codes(query)[0] == code


def test_folding() -> None:
    assert fold("  Phường  Đằng Giang ") == "phuong dang giang"


def test_best_first() -> None:
    names = {
        "fuzzy": "Am Lão Tây",
        "inside": "Xã Toan Lão Hạ",
        "word": "Xã An Lão Hạ",
        "proper": "Huyện An Lão",
        "prefix": "An Lão Thượng",
        "exact": "An Lão",
    }
    units = [Unit(code=code, parent=None, name=name, kind="x") for code, name in names.items()]
    assert codes("an lao", units) == ["exact", "prefix", "proper", "word", "inside"]
    assert codes("an lao", [units[0]]) == ["fuzzy"]


def test_equals_keep_the_order_of_the_file() -> None:
    units = [Unit(code=str(n), parent=None, name="Tổ 1", kind="x") for n in range(30)]
    assert codes("to 1", units) == [str(n) for n in range(20)]
    assert codes("to 1", units, limit=3) == ["0", "1", "2"]


def test_a_path_leads_from_below_the_root_to_the_unit() -> None:
    paths = {hit.code: (hit.name, hit.path) for hit in UnitIndex(UNITS).search("")}
    assert paths["VD"] == ("Phường Văn Đẩu", "Quận Kiến An › Phường Văn Đẩu")
    assert paths["TD"] == ("Tổ 5", "Quận Kiến An › Phường Văn Đẩu › Tổ 5")
    assert paths["KA"] == ("Quận Kiến An", "Quận Kiến An")
    assert paths["HP"] == ("Thành phố Hải Phòng", "Thành phố Hải Phòng")


def test_words_may_lie_on_the_way_to_the_unit() -> None:
    assert codes("kien an to 5") == ["TD"]
    assert codes("phuong kien an") == ["VD", "TM", "TD"]


def test_a_slip_of_the_finger_is_forgiven_and_nonsense_finds_nothing() -> None:
    assert codes("kein an")[0] == "KA"
    assert codes("zzzzzz") == []


def test_an_empty_query_means_the_first_of_all() -> None:
    assert codes("", limit=2) == codes("   ", limit=2) == ["HP", "LC"]


@pytest.mark.parametrize("query", ["kien an", "an", "kein na 77"])
def test_five_thousand_units_are_searched_in_milliseconds(query: str) -> None:
    names = ["Kiến An", "Lê Chân", "Đồ Sơn", "Tràng Minh", "Hải An"]
    wards = [Unit(code=str(n), parent="KA", name=f"Phường {names[n % 5]} {n}", kind="ward") for n in range(5000)]
    index = UnitIndex([*UNITS, *wards])
    taken = []
    for _ in range(5):
        begun = time.process_time()
        index.search(query)
        taken.append(time.process_time() - begun)
    assert min(taken) < 0.5  # a few ms; the bound only catches another kind of search, and leaves room for a busy machine


def test_what_has_ended_is_not_found_and_what_it_went_into_stands_for_it() -> None:
    units = [
        *UNITS,
        Unit(code="OLD", parent="KA", name="Phường Cũ", kind="ward", ended="2025-07-01", merged_into="VD"),
        Unit(code="GONE", parent="KA", name="Phường Mất", kind="ward", ended="2025-07-01"),
    ]
    book, clock = ContestBook(), ManualClock(datetime(2025, 6, 30, 16, 59, tzinfo=UTC))
    book.apply(contest(units))
    days = UnitDays(book, clock)
    assert [hit.code for hit in days.of("hp").index.search("phuong cu")] == ["OLD"]
    assert days.names()["OLD"].parent == "KA"
    clock.advance(timedelta(minutes=1))  # the first of July in Hải Phòng
    today = days.of("hp")
    assert [hit.code for hit in today.index.search("phuong cu")][:1] != ["OLD"]
    assert ((found := today.standing("OLD")) and found.code, today.standing("GONE"), today.standing("NO")) == ("VD", None, None)
    assert days.names()["OLD"].parent == "VD"
    assert today.upwards("OLD") == ["OLD", "VD", "KA", "HP"]


def test_a_unit_of_another_tree_alone_is_found_with_its_path_there() -> None:
    party = [
        Unit(code="DU", parent=None, name="Đảng ủy Khối", kind="party", placements=(Placement(tree="dang", parent="DBTP"),)),
        Unit(code="CB", parent=None, name="Chi bộ 1", kind="party", placements=(Placement(tree="dang", parent="DU"),)),
        Unit(code="DBTP", parent=None, name="Đảng bộ Thành phố", kind="party", placements=(Placement(tree="dang", parent=None),)),
    ]
    trees = (Tree(id="territory", name="Địa bàn"), Tree(id="dang", name="Đảng"))
    both = Unit(
        code="PT", parent="KA", name="Trường PT", kind="school",
        placements=(Placement(tree="dang", parent="DU"), Placement(tree="territory", parent="KA")),
    )  # fmt: skip
    published = msgspec.structs.replace(contest([*UNITS, *party, both]), trees=trees)
    today = UnitsToday(published, {unit.code: unit for unit in published.units}, date(2025, 1, 1))
    paths = {hit.code: hit.path for hit in today.index.search("", 50)}
    assert (paths["CB"], paths["PT"]) == ("Đảng ủy Khối › Chi bộ 1", "Quận Kiến An › Trường PT")
    assert set(today.upwards("PT")) == {"PT", "KA", "HP", "DU", "DBTP"}
