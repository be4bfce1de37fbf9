"""Writes the draft letter that urges units on (công văn đôn đốc), with the figures of each; its model is 1579-CV/QU."""

from __future__ import annotations

from services.kit.problems import Problem
from services.reporting.report import numbers, wording
from services.reporting.report.compose import rate_of
from services.reporting.report.document import Block, Cell, Code, Document, Paragraph, Table
from services.reporting.report.figures import Figures, Form
from services.reporting.report.wording import Kinds, counted, say


def compose_letter(figures: Figures, form: Form) -> Document:
    """The letter to the units of `figures.lagging`. Pure. Raises Problem 422 where there are none: it says that they lag."""
    if not figures.lagging:
        raise Problem(422, "units", "Không có đơn vị nào cần đôn đốc, nên không có công văn để lập.", field="units")
    contest, one = wording.contest(figures), len(figures.lagging) == 1
    issuer = form.issuer or say("contest.kind")
    units = tuple(unit.name for unit in figures.lagging)
    return Document(
        head=wording.head(figures, form, form.letter_symbol, say("letter.subject", contest=contest)),
        foot=wording.foot(form, form.letter_recipients, addressed=True),
        name="",
        subject="",
        period="",
        addressed=say(f"heads.{form.style}.addressed"),
        addressees=units if len(units) <= 12 else (say("letter.to_units"),),
        body=(
            *_situation(figures, issuer, one),
            watched(figures),
            *_asks(figures, form, issuer, units[0] if one else ""),
        ),
    )


def _situation(figures: Figures, issuer: str, one: bool) -> list[Block]:
    documents = wording.documents(figures)
    rate = ""
    if figures.unit.headcount:
        rate = say("letter.state_rate", rate=numbers.decimal(numbers.percent(figures.unit.people, figures.unit.headcount)))
    dates = {"since": wording.day(figures.since, figures), "until": wording.day(figures.ends or figures.as_of, figures)}
    about = "letter.basis" if documents else "letter.no_basis"
    low = say("letter.low_one", unit=figures.lagging[0].name) if one else say("letter.low_many")
    state = say(
        "letter.state",
        as_of=wording.moment(figures.as_of, figures),
        unit=figures.unit.name,
        people=numbers.whole(figures.unit.people),
        attempts=numbers.whole(figures.unit.attempts),
        rate=rate,
    )
    return [
        Paragraph(say(about, documents="; ".join(documents), contest=wording.contest(figures), **dates)),
        Paragraph(state, say("report.gap", by=issuer, what=say("letter.gap_head"))),
        Paragraph(low),
    ]


def watched(figures: Figures) -> Table:
    """The figures of the units that are written to."""
    kinds: Kinds = (
        ("code", 10), ("text", 39), ("count", 25), ("count", 16), ("percent", 25), ("count", 14), ("percent", 16), ("count", 15),
    )  # fmt: skip
    average = say("unknown") if figures.average is None else figures.average
    rows: list[tuple[Cell, ...]] = [
        (
            str(n),
            unit.name,
            counted(unit.headcount),
            unit.people,
            rate_of(unit.people, unit.headcount),
            unit.attempts,
            average,
            say("unknown") if unit.headcount is None else max(0, unit.headcount - unit.people),
        )
        for n, unit in enumerate(figures.lagging, 1)
    ]
    notes = (say("notes.people"), say("notes.average"))
    return wording.table("cong-van", kinds, rows, notes)


def _asks(figures: Figures, form: Form, issuer: str, unit: str) -> list[Block]:
    targets = [
        say("letter.target", target=numbers.target(category.target), category=category.name.lower())
        for category in figures.categories
        if category.target is not None
    ]
    deadline = Paragraph(say("letter.ask_5_gap", issuer=issuer), say("report.gap", by=issuer, what=say("letter.gap_deadline")))
    if form.deadline:
        deadline = Paragraph(say("letter.ask_5", issuer=issuer, deadline=numbers.day(form.deadline)))
    link: list[Block] = [Paragraph(say("letter.ask_4")), Code(figures.link)] if figures.link else []
    return [
        Paragraph(say("letter.ask", issuer=issuer, whom=unit or say("letter.whom_many"))),
        Paragraph(say("letter.ask_1")),
        Paragraph(say("letter.ask_2", targets=", ".join(targets)) if targets else say("letter.ask_2_none")),
        Paragraph(say("letter.ask_3")),
        *link,
        deadline,
        Paragraph(say("letter.watch", issuer=issuer)),
        Paragraph(say("letter.close")),
    ]
