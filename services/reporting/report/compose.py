"""Writes the official report: sections I–VI and Biểu 1–6 from figures. What a person must write stays a marked gap."""

from __future__ import annotations

import msgspec

from services.reporting.report import numbers, wording
from services.reporting.report.document import Block, Cell, Document, Heading, Item, Paragraph, Table
from services.reporting.report.figures import CategoryLine, Count, Figures, Form, RoundLine, UnitLine
from services.reporting.report.wording import Kinds, counted, say
from services.reporting.turnout import day_of


def compose(figures: Figures, form: Form) -> Document:
    """The report as it is printed. Pure: the same figures and form give the same document."""
    subject = say("report.subject", contest=wording.contest(figures))
    if not figures.whole:
        subject = say("report.subject_unit", contest=wording.contest(figures), unit=figures.unit.name)
    return Document(
        head=wording.head(figures, form, form.symbol),
        foot=wording.foot(form, form.recipients, addressed=bool(form.addressees)),
        name=say("report.name"),
        subject=subject,
        period=say(
            "report.period",
            since=wording.day(figures.since, figures),
            until=numbers.day(day_of(figures.as_of, figures.timezone)),
            as_of=wording.moment(figures.as_of, figures),
        ),
        addressed=say(f"heads.{form.style}.addressed"),
        addressees=form.addressees,
        body=(
            *_leading(figures, form),
            *_turnout(figures),
            *_results(figures),
            *_assessment(figures, form),
            *_rest(form),
        ),
        appendix=(by_unit(figures),),
        appendix_name=say("report.appendix"),
        appendix_title=say("report.appendix_title"),
        appendix_note=wording.attached(figures, form),
    )


def tables_only(report: Document) -> Document:
    """The six tables of a report without its text."""
    return msgspec.structs.replace(report, name=say("report.tables"), addressees=(), body=report.tables[1:], appendix_note="")


def _gap(form: Form, what: str, text: str = "") -> Paragraph:
    by = form.issuer or say("contest.kind")
    return Paragraph(text, say("report.gap", by=by, what=say(f"report.{what}")))


def _head(name: str, level: int = 1) -> Heading:
    return Heading(say(f"report.{name}"), level)


def _leading(figures: Figures, form: Form) -> list[Block]:
    blocks: list[Block] = [_head("s1")]
    if figures.documents:
        blocks.append(Paragraph(say("report.s1_documents")))
        blocks += [Item(document) for document in wording.documents(figures)]
    if figures.measures:
        blocks.append(Paragraph(say("report.s1_measures", units=figures.measuring, measures=figures.measures)))
    return [*blocks, _gap(form, "s1_gap")]


def _turnout(figures: Figures) -> list[Block]:
    units = len(figures.units)
    about = say("report.s2_units", n=numbers.whole(units)) if units else say("report.s2_no_units", unit=figures.unit.name)
    return [
        _head("s2"),
        _head("s2_1", 2),
        *(Paragraph(sentence) for sentence in general(figures)),
        _head("s2_2", 2),
        Paragraph(about),
        _head("s2_3", 2),
        by_category(figures),
        _head("s2_4", 2),
        by_round(figures),
    ]


def general(figures: Figures) -> list[str]:
    """The sentences of section II.1."""
    unit, at = figures.unit, wording.moment(figures.as_of, figures)
    period = "report.when" if figures.cumulative else "report.when_period"
    when = say(period, as_of=at, since=wording.moment(figures.since, figures))
    if not unit.people:
        return [say("report.s2_none", when=when, unit=unit.name)]
    found = [
        say(
            "report.s2_all",
            when=when,
            unit=unit.name,
            people=numbers.whole(unit.people),
            attempts=numbers.whole(unit.attempts),
            ratio=numbers.decimal(numbers.ratio(unit.attempts, unit.people)),
        )
    ]
    if unit.headcount:
        rate = numbers.decimal(numbers.percent(unit.people, unit.headcount))
        found.append(say("report.s2_rate", headcount=numbers.whole(unit.headcount), rate=rate))
    else:
        found.append(say("report.s2_no_rate"))
    if figures.before and unit.before is not None:
        found.append(say("report.s2_change", compared=_compared(figures), change=_change(unit)))
    return found


def _compared(figures: Figures) -> str:
    """What figures are compared with, as sentences name it."""
    if figures.before is None:
        return ""
    before = wording.moment(figures.before, figures)
    if figures.before_since is None:
        return say("report.compared", before=before)
    return say("report.compared_period", since=wording.moment(figures.before_since, figures), before=before)


def _change(unit: UnitLine) -> str:
    difference = unit.people - (unit.before or 0)
    word = "s2_same" if not difference else "s2_more" if difference > 0 else "s2_less"
    return say(f"report.{word}", n=numbers.whole(abs(difference)))


def _results(figures: Figures) -> list[Block]:
    blocks: list[Block] = [_head("s3")]
    if figures.unit.perfect == "withheld":
        blocks.append(Paragraph(say("report.s3_perfect_withheld")))
    elif figures.unit.perfect is not None:
        blocks.append(Paragraph(say("report.s3_perfect", n=numbers.whole(figures.unit.perfect))))
    if not figures.persons and not figures.prizes:
        blocks.append(Paragraph(say("report.s3_none" if figures.cumulative else "report.s3_none_period")))
    return [*blocks, _head("s3_1", 2), by_person(figures), _head("s3_2", 2), by_prize(figures)]


def _assessment(figures: Figures, form: Form) -> list[Block]:
    praised = [
        say("report.s4_praise_unit", unit=unit.name, rate=numbers.decimal(numbers.percent(unit.people, unit.headcount)))
        if unit.headcount
        else unit.name
        for unit in figures.praised
    ]
    praise = Paragraph(say("report.s4_praise", units="; ".join(praised))) if praised else _gap(form, "s4_praise_gap", "")
    low = say("report.s4_low", n=numbers.whole(len(figures.lagging))) if figures.lagging else say("report.s4_no_low")
    return [
        _head("s4"),
        _head("s4_1", 2),
        _gap(form, "s4_1_gap"),
        praise,
        _head("s4_2", 2),
        _gap(form, "s4_2_gap"),
        Paragraph(low),
        to_urge(figures),
        _head("s4_3", 2),
        _gap(form, "s4_3_gap"),
    ]


def _rest(form: Form) -> list[Block]:
    return [_head("s5"), _gap(form, "s5_gap"), _head("s6"), _gap(form, "s6_gap")]


def rate_of(people: int, headcount: int | None) -> Cell:
    """A rate, or that it is not known."""
    return numbers.percent(people, headcount) if headcount else say("unknown")


def _notes(figures: Figures, *names: str) -> tuple[str, ...]:
    known = {
        "headcount": say("notes.headcount", day=numbers.day(wording.date_of(figures.headcount_day)))
        if figures.headcount_day
        else say("notes.headcount_unknown"),
        "excluded": say("notes.excluded", n=numbers.whole(figures.excluded)),
        "rank": say("notes.rank", by=say(f"notes.rank_{figures.ranking}")),
        "before": say("notes.before", compared=_compared(figures)) if figures.before else "",
        "period": "" if figures.cumulative else say("notes.period"),
    }
    return tuple(filter(None, (known.get(name) if name in known else say(f"notes.{name}") for name in names)))


def by_unit(figures: Figures) -> Table:
    """Biểu 1. The sum of all stands first: nobody looks for it on page 12."""
    kinds: Kinds = (
        ("code", 12), ("text", 41), ("text", 29), ("count", 26), ("count", 17), ("percent", 26), ("count", 16), ("ratio", 14),
        ("count", 23), ("change", 16), ("count", 13), ("text", 19),
    )  # fmt: skip
    rows = [_unit_row(figures, figures.unit, total=True), *(_unit_row(figures, unit) for unit in figures.units)]
    strong = {0} | {n for n, unit in enumerate(figures.units, 1) if "." not in unit.place and _has_children(figures)}
    notes = ["people", "period", "headcount", "rank", "before", "excluded"]
    if any(unit.perfect == "withheld" for unit in (figures.unit, *figures.units)):
        notes.append("withheld")
    return wording.table("bieu-1", kinds, rows, _notes(figures, *notes), frozenset(strong))


def _has_children(figures: Figures) -> bool:
    return any("." in unit.place for unit in figures.units)


def _unit_row(figures: Figures, unit: UnitLine, total: bool = False) -> tuple[Cell, ...]:
    nothing = say("nothing")
    change: Cell = nothing if figures.before is None else say("unknown") if unit.before is None else unit.people - unit.before
    return (
        "" if total else unit.place,
        say("tables.bieu-1.total") if total else unit.name,
        "" if total else unit.superior,
        counted(unit.headcount),
        unit.people,
        rate_of(unit.people, unit.headcount),
        unit.attempts,
        numbers.ratio(unit.attempts, unit.people) if unit.people else nothing,
        counted(unit.perfect),
        change,
        nothing if total or unit.rank is None else unit.rank,
        unit.note,
    )


def by_category(figures: Figures) -> Table:
    """Biểu 2."""
    kinds: Kinds = (("code", 11), ("text", 41), ("count", 26), ("count", 18), ("percent", 26), ("percent", 15), ("count", 23))
    rows = [_category_row(n, category) for n, category in enumerate(figures.categories, 1)]
    return wording.table("bieu-2", kinds, rows, _notes(figures, "period", "categories", "headcount"))


def _category_row(n: int, category: CategoryLine) -> tuple[Cell, ...]:
    missing: Cell = say("nothing")
    if category.target is not None:
        missing = say("unknown")
        if category.headcount is not None:
            wanted = -(-round(category.target * 1000) * category.headcount // 100_000)
            missing = max(0, wanted - category.people)
    return (
        str(n),
        category.name,
        counted(category.headcount),
        category.people,
        rate_of(category.people, category.headcount),
        say("nothing") if category.target is None else numbers.tenths(category.target),
        missing,
    )


def by_round(figures: Figures) -> Table:
    """Biểu 3."""
    kinds: Kinds = (("text", 20), ("text", 40), ("count", 18), ("count", 18), ("count", 24), ("percent", 22), ("change", 18))
    rows: list[tuple[Cell, ...]] = []
    before: RoundLine | None = None
    for each in figures.rounds:
        period = f"{wording.day(each.opens, figures)}–{wording.day(each.closes, figures)}"
        change: Cell = say("nothing") if before is None else each.people - before.people
        rows.append(
            (each.name, period, each.people, each.attempts, counted(each.perfect), _right(each.correct, each.total), change)
        )
        before = each
    notes = ["people", "period", "rounds"]
    if any(each.perfect == "withheld" for each in figures.rounds):
        notes.append("withheld")
    return wording.table("bieu-3", kinds, rows, _notes(figures, *notes))


def _right(correct: Count, total: Count) -> Cell:
    if correct == "withheld" or total == "withheld":
        return say("withheld")
    if correct is None or total is None:
        return say("unknown")
    return numbers.percent(correct, total) if total else say("nothing")


def by_person(figures: Figures) -> Table:
    """Biểu 4."""
    kinds: Kinds = (
        ("code", 10),
        ("text", 28),
        ("text", 30),
        ("text", 28),
        ("count", 13),
        ("count", 16),
        ("count", 15),
        ("time", 20),
    )
    rows: list[tuple[Cell, ...]] = [
        (
            str(n),
            _prize(each.prize, each.round),
            each.name,
            each.unit,
            each.correct,
            say("nothing") if each.predicted is None else each.predicted,
            say("nothing") if each.gap is None else each.gap,
            say("unknown") if each.received_at is None else wording.local(each.received_at, figures),
        )
        for n, each in enumerate(figures.persons, 1)
    ]
    return wording.table("bieu-4", kinds, rows, _notes(figures, "masked"))


def by_prize(figures: Figures) -> Table:
    """Biểu 5."""
    kinds: Kinds = (("code", 11), ("text", 50), ("text", 43), ("text", 36), ("text", 20))
    rows: list[tuple[Cell, ...]] = [
        (
            str(n),
            _prize(each.prize, each.round),
            each.unit,
            say(f"tables.bieu-5.{each.by}"),
            round(each.figure) if each.by == "people" else numbers.tenths(each.figure),
        )
        for n, each in enumerate(figures.prizes, 1)
    ]
    return wording.table("bieu-5", kinds, rows, ())


def _prize(prize: str, round: str) -> str:
    return say("tables.bieu-4.prize", prize=prize, round=round) if round else prize


def to_urge(figures: Figures) -> Table:
    """Biểu 6."""
    kinds: Kinds = (
        ("code", 10),
        ("text", 34),
        ("percent", 17),
        ("percent", 18),
        ("count", 15),
        ("day", 21),
        ("text", 26),
        ("day", 19),
    )
    average = say("unknown") if figures.average is None else figures.average
    rows: list[tuple[Cell, ...]] = [
        (
            str(n),
            each.name,
            rate_of(each.people, each.headcount),
            average,
            each.reminded,
            say("nothing") if each.last is None else wording.local(each.last, figures),
            each.measures or say("unknown"),
            say("nothing") if each.deadline is None else wording.date_of(each.deadline.isoformat()),
        )
        for n, each in enumerate(figures.lagging, 1)
    ]
    return wording.table("bieu-6", kinds, rows, _notes(figures, "period", "average", "headcount"))
