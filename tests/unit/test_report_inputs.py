"""From what is known to the figures of a report: what had happened by the cut-off, of the unit, its tree and its period."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest

from services.events import (
    ContestBook,
    ContestPublished,
    MessageDelivered,
    PersonAwarded,
    Placement,
    PrizesAwarded,
    RoundPlan,
    Unit,
    UnitAwarded,
)
from services.events.contests import Tree
from services.reporting.headcounts import Headcounts
from services.reporting.measures import Measure, Measures
from services.reporting.reminders import Reminders
from services.reporting.report.compose import compose
from services.reporting.report.document import Paragraph
from services.reporting.report.figures import Figures, Form
from services.reporting.report.inputs import Measured, Reminded, Sources, figures_of
from services.reporting.report.jobs import Request
from services.reporting.report.known import Known
from services.reporting.share import Cell, Scope
from services.reporting.tables import CutTables
from services.reporting.watching import Watch
from tests.contract.memory_store import memory_store

OPENS = datetime(2023, 5, 19, 1, tzinfo=UTC)
WEEK, DAY = timedelta(days=7), timedelta(days=1)
AS_OF = OPENS + 2 * WEEK
SCHOOLS = (Placement(tree="territory", parent="A"), Placement(tree="giao-duc", parent="PGD"))


def unit(code: str, parent: str | None, *placements: Placement, into: str | None = None) -> Unit:
    ended = "2023-05-25" if into else None
    return Unit(code=code, parent=parent, name=code, kind="", placements=placements, ended=ended, merged_into=into)


CONTEST = ContestPublished(
    time=OPENS, contest="hp", title="", kind="", owner="", timezone="Asia/Ho_Chi_Minh", documents=(), categories=(),
    trees=(Tree(id="territory", name=""), Tree(id="giao-duc", name="")),
    units=(
        unit("HP", None), unit("A", "HP"), unit("B", "HP"), unit("C", "HP", into="B"), unit("D", "HP", into="B"),
        unit("PGD", "A", Placement(tree="territory", parent="A"), Placement(tree="giao-duc", parent=None)),
        unit("T", "A", *SCHOOLS),
    ),
    rounds=tuple(
        RoundPlan(
            id=f"hp.{n}", contest="hp", name=f"Tuần {n}", opens=OPENS + n * WEEK, closes=OPENS + (n + 1) * WEEK, questions=20,
            minutes=15, attempts=3, counting="best", ranking=(), prediction=None, show_score="at_once", show_key="after_close",
        )
        for n in range(2)
    ),
)  # fmt: skip
AWARDS = tuple(
    PrizesAwarded(
        time=OPENS + (n + 1) * WEEK - DAY, contest="hp", round=f"hp.{n}",
        persons=tuple(
            PersonAwarded(prize="Nhất", participant="p", name=name, unit=code, correct=20, gap=0, predicted=0, received_at=OPENS)
            for name, code in (("Người A", "T"), ("Người B", "B"))
        ),
        units=(UnitAwarded(prize="Nhất", unit="B", by="people", figure=3),),
    )
    for n in range(2)
)  # fmt: skip
CUT = {"": Scope({"": {"T": Cell(3, 5), "B": Cell(4, 4), "C": Cell(1, 1)}}), "hp.1": Scope({"": {"T": Cell(2, 2)}})}


def request(**more: Any) -> Request:
    common: dict[str, Any] = {
        "contest": "hp",
        "kind": "bao-cao",
        "format": "csv",
        "unit": "",
        "tree": "territory",
        "as_of": AS_OF,
    }
    return Request(**common | {"form": Form(issuer="BTC")} | more)


def figures(**more: Any) -> Figures:
    return figures_of(
        Sources(contest=CONTEST, rounds=CONTEST.rounds, awards=AWARDS), request(**more), CUT, CUT, "https://x.example"
    )


def test_the_top_of_another_tree_is_not_all_of_the_contest() -> None:
    city, schools = figures(), figures(tree="giao-duc")
    assert (city.whole, city.unit.name, len(city.persons), len(city.prizes)) == (True, "HP", 4, 2)
    assert (schools.whole, schools.unit.name, schools.unit.people) == (False, "PGD", 3)
    assert ({each.name for each in schools.persons}, schools.prizes) == ({"Người A"}, ())
    assert "tại PGD" in compose(schools, Form()).subject
    assert figures(unit="HP").whole


def test_a_unit_names_those_that_went_over_into_it() -> None:
    lines = {line.code: line for line in figures().units}
    assert (lines["B"].note, lines["B"].people, lines["A"].note, set(lines)) == ("Gồm C, D", 5, "", {"A", "B", "PGD", "T"})


def test_a_report_of_a_period_tells_its_rounds_its_prizes_and_what_it_is_compared_with() -> None:
    since = OPENS + WEEK + 3 * DAY
    part = figures(since=since, before=since)
    assert [line.name for line in part.rounds] == ["Tuần 1"]
    assert [prize.round for prize in part.prizes] == ["Tuần 1"]
    assert (part.since, part.before_since, part.cumulative) == (since, since - 4 * DAY, False)
    assert figures(since=OPENS + DAY, before=OPENS + DAY).before_since == OPENS, "the contest had not begun before"
    text = "\n".join(block.text for block in compose(part, Form()).body if isinstance(block, Paragraph))
    assert "Từ 08 giờ 00 ngày 29/5/2023 đến 08 giờ 00 ngày 02/6/2023, HP có 8 người dự thi" in text
    assert "So với kỳ trước (từ 08 giờ 00 ngày 25/5/2023 đến 08 giờ 00 ngày 29/5/2023)" in text
    assert "(từ ngày 29/5/2023 đến ngày 02/6/2023; số liệu chốt lúc" in compose(part, Form()).period
    notes = "".join(compose(part, Form()).tables[0].notes)
    assert "là của kỳ báo cáo" in notes
    assert "là của kỳ báo cáo" not in "".join(compose(figures(), Form()).tables[0].notes)
    midnight = compose(figures(as_of=datetime(2023, 6, 1, 17, tzinfo=UTC)), Form())
    assert "đến ngày 01/6/2023;" in midnight.period, "midnight ends the day before"


async def test_what_happened_after_the_cut_off_is_in_no_report_of_it() -> None:
    book, store = ContestBook(), memory_store()
    book.apply(CONTEST)
    reminders, measures = Reminders(store), Measures(store)
    watch = Watch(store, book, cast("CutTables", type("T", (), {"cuts": None})()))
    known = Known(book, Headcounts(book), reminders, measures, watch)
    for code, hours in (("A", (-24, 0, 1)), ("B", (1,))):
        common: dict[str, Any] = {"contest": "hp", "channel": "sms", "purpose": "reminder", "unit": code}
        await reminders.take([MessageDelivered(time=AS_OF + timedelta(hours=n), message=f"{code}{n}", **common) for n in hours])
    local = AS_OF.astimezone(ZoneInfo(CONTEST.timezone))
    for id, code, days, noted in (("1", "A", -1, -1), ("2", "A", 1, -1), ("3", "A", 0, 1), ("4", "B", 0, 1)):
        day = f"{local + days * DAY:%Y-%m-%d}"
        await measures.add("hp", code, Measure(id=id, day=day, text=id, by="an", at=AS_OF + noted * DAY))
    sources = await known.gather(request())
    assert sources.reminders == {"A": Reminded(2, AS_OF)}
    assert sources.measures == {"A": Measured(1, f"{local - DAY:%Y-%m-%d}", "1")}


@pytest.mark.parametrize(("style", "kept"), [("state", "Lưu: VT, …"), ("party", "Lưu Văn phòng …")])
def test_who_gets_a_paper_is_proposed(style: Any, kept: str) -> None:
    form = Form(issuer="BTC", style=style)
    assert compose(figures(), form).foot.recipients == (kept,)
    addressed = Form(issuer="BTC", style=style, addressees=("Thường trực Quận ủy",))
    assert compose(figures(), addressed).foot.recipients == ("Như trên;", kept)
    assert compose(figures(), Form(style=style, recipients=("Lưu.",))).foot.recipients == ("Lưu.",)
