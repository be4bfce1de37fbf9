"""From a cut, and what else was known of the contest, to the figures of one report. Pure: the same input, the same figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from functools import cached_property

import msgspec

from services.events import ContestBook, ContestPublished, HeadcountApproved, PrizesAwarded, RoundPlan
from services.events.units import trees_of
from services.reporting.headcounts import Headcounts
from services.reporting.report import numbers
from services.reporting.report.figures import (
    CategoryLine,
    Count,
    Figures,
    LaggingLine,
    Named,
    PersonPrize,
    RoundLine,
    UnitLine,
    UnitPrize,
)
from services.reporting.report.jobs import Request
from services.reporting.report.wording import say
from services.reporting.share import Scope
from services.reporting.turnout import Figure, Shape, Table, day_of, shape
from services.reporting.watch import Judged, Rules, Situation, judge


class Reminded(msgspec.Struct, frozen=True):
    """How often a unit was reminded, and when last."""

    times: int
    last: datetime


class Measured(msgspec.Struct, frozen=True):
    """How many things a unit did to mobilise its people; the day (ISO 8601) and the words of the last one."""

    count: int
    last: str
    text: str


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """What was known beside the cut when its first report was made."""

    contest: ContestPublished
    rounds: tuple[RoundPlan, ...]
    headcounts: tuple[HeadcountApproved, ...] = ()
    awards: tuple[PrizesAwarded, ...] = ()
    reminders: dict[str, Reminded] = {}
    measures: dict[str, Measured] = {}
    rules: Rules = Rules()


def figures_of(
    sources: Sources, request: Request, cut: dict[str, Scope], before: dict[str, Scope] | None, address: str
) -> Figures:
    """The figures of a report. `cut` holds the scopes as of the cut-off ("" the whole contest), `before` those that are compared
    with; `address` is where the contest is found."""
    return _Maker(sources, request, cut, before).figures(address)


class _Maker:
    def __init__(self, sources: Sources, request: Request, cut: dict[str, Scope], before: dict[str, Scope] | None) -> None:
        self._sources, self._request, self._cut = sources, request, cut
        self._contest = sources.contest
        book = ContestBook()
        book.apply(sources.contest)
        self._headcounts = Headcounts(book)
        for entry in sources.headcounts:
            self._headcounts.apply(entry)
        self._units = book.units(self._contest.contest)
        self._day = day_of(request.as_of, self._contest.timezone)
        self._shape: Shape = shape(self._units, request.tree, self._day)
        self._table = self._of(cut.get("", Scope()))
        # The units as they are now: what a merged unit had before counts with the one it went into.
        self._before = None if before is None else self._of(before.get("", Scope()))
        tops = self._shape.children.get(None, [])
        self._root = request.unit or (tops[0] if len(tops) == 1 else None)
        # Another tree may have one top too, which is not all of the contest.
        first = request.tree == trees_of(self._contest)[0].id
        self._whole = self._root is None or (first and tops == [self._root])
        self._since = request.since or min(plan.opens for plan in sources.rounds)
        self._inside = dict(self._listed(self._root, ""))

    def _of(self, scope: Scope, category: str = "") -> Table:
        known = self._headcounts.table(self._contest.contest, self._request.tree, category, self._day)
        return Table(self._shape, scope.cells.get(category, {}), known)

    def figures(self, address: str) -> Figures:
        request, contest = self._request, self._contest
        judged = self._judged()
        lagging = self._lagging(judged)
        measured = [self._sources.measures[code] for code in (self._root, *self._inside) if code in self._sources.measures]
        single = lagging[0].code if len(lagging) == 1 else self._root if not self._whole else None
        root = self._table.figure(self._root)
        return Figures(
            contest=contest.contest,
            title=contest.title,
            kind=contest.kind,
            timezone=contest.timezone,
            documents=tuple(Named(number=d.number, date=d.date, issuer=d.issuer, title=d.title) for d in contest.documents),
            as_of=request.as_of,
            since=self._since,
            cumulative=request.since is None,
            before=request.before,
            before_since=request.before_since and max(request.before_since, min(plan.opens for plan in self._sources.rounds)),
            ends=max(plan.closes for plan in self._sources.rounds),
            unit=self._line(self._root, ""),
            whole=self._whole,
            ranking=request.form.ranking,
            units=tuple(self._line(code, place) for code, place in self._inside.items()),
            categories=tuple(self._categories()),
            rounds=tuple(self._rounds()),
            persons=tuple(self._persons()),
            prizes=tuple(self._prizes()),
            praised=tuple(self._line(row.unit.code, "") for row in judged.best),
            average=None if judged.average is None else numbers.tenths(judged.average),
            lagging=lagging,
            headcount_day=self._headcount_day(),
            excluded=root.excluded,
            measures=sum(each.count for each in measured),
            measuring=len(measured),
            link=f"{address}/q/{single}" if single else f"{address}/c/{contest.contest}",
        )

    def _listed(self, parent: str | None, place: str) -> Iterator[tuple[str, str]]:
        """The units below a unit, each with its place, e.g. "3.12", in the order of the contest's list."""
        for n, code in enumerate(self._shape.children.get(parent, []), 1):
            mine = f"{place}.{n}" if place else str(n)
            yield code, mine
            yield from self._listed(code, mine)

    @cached_property
    def _gone(self) -> Mapping[str, list[str]]:
        """The names of the units that went over into each."""
        found: dict[str, list[str]] = {}
        for code, to in self._shape.stands.items():
            if code != to:
                found.setdefault(to, []).append(self._units[code].name)
        return found

    def _line(self, code: str | None, place: str) -> UnitLine:
        figure = self._table.figure(code)
        unit = self._units[code] if code else None
        superior = self._shape.parents.get(code) if code else None
        gone = self._gone.get(code or "", [])
        return UnitLine(
            code=code or "",
            name=unit.name if unit else say("all_units"),
            place=place,
            superior=self._units[superior].name if superior else "",
            headcount=figure.headcount,
            people=figure.people,
            attempts=figure.attempts,
            perfect="withheld" if self._closed_to("") else figure.perfect,
            before=self._before.figure(code).people if self._before else None,
            rank=self._table.rank(code, self._request.form.ranking) if code and code in self._inside else None,
            note=say("tables.bieu-1.merged", units=", ".join(gone)) if gone else "",
        )

    def _closed_to(self, round: str) -> bool:
        """Whether perfect papers may not be told yet: a round with a prediction runs ("": any round of the contest)."""
        return any(
            plan.prediction is not None and plan.opens <= self._request.as_of < plan.closes
            for plan in self._sources.rounds
            if round in ("", plan.id)
        )

    def _categories(self) -> Iterator[CategoryLine]:
        for category in self._contest.categories:
            figure = self._of(self._cut.get("", Scope()), category.id).figure(self._root)
            yield CategoryLine(name=category.name, headcount=figure.headcount, people=figure.people, target=category.target)

    def _rounds(self) -> Iterator[RoundLine]:
        for plan in self._sources.rounds:
            if plan.opens > self._request.as_of:
                continue
            figure: Figure = self._of(self._cut.get(plan.id, Scope())).figure(self._root)
            if plan.closes <= self._since and not figure.attempts:
                continue
            shown: tuple[Count, Count, Count] = figure.perfect, figure.correct, figure.total
            if self._closed_to(plan.id):
                shown = "withheld", "withheld", "withheld"
            yield RoundLine(
                name=plan.name,
                opens=plan.opens,
                closes=plan.closes,
                people=figure.people,
                attempts=figure.attempts,
                perfect=shown[0],
                correct=shown[1],
                total=shown[2],
            )

    def _awards(self) -> Iterator[tuple[PrizesAwarded, str]]:
        """What was published in the period, the rounds in order, the contest's own last; each with the name of its round."""
        names = {plan.id: plan.name for plan in self._sources.rounds}
        order = {id: n for n, id in enumerate(names)}
        latest: dict[str, PrizesAwarded] = {}
        for award in sorted(self._sources.awards, key=lambda award: award.revision):
            if award.time <= self._request.as_of:
                latest[award.key] = award
        for award in sorted(latest.values(), key=lambda award: order.get(award.round or "", len(order))):
            if self._request.since is None or award.time > self._request.since:
                yield award, names.get(award.round or "", "")

    def _is_inside(self, unit: str) -> bool:
        to = self._shape.stands.get(unit)
        return self._root is None or self._whole or to == self._root or to in self._inside

    def _name(self, unit: str) -> str:
        return self._units[unit].name if unit in self._units else unit

    def _persons(self) -> Iterator[PersonPrize]:
        for award, round in self._awards():
            for person in award.persons:
                if self._is_inside(person.unit):
                    yield PersonPrize(
                        prize=person.prize,
                        round=round,
                        name=person.name,
                        unit=self._name(person.unit),
                        correct=person.correct,
                        predicted=person.predicted,
                        gap=person.gap,
                        received_at=person.received_at,
                    )

    def _prizes(self) -> Iterator[UnitPrize]:
        for award, round in self._awards():
            for unit in award.units:
                if self._is_inside(unit.unit):
                    yield UnitPrize(prize=unit.prize, round=round, unit=self._name(unit.unit), by=unit.by, figure=unit.figure)

    def _judged(self) -> Judged:
        """What the contest's rules say of the units, by the tree of the report."""
        situation = Situation(
            at=self._request.as_of,
            table=self._table,
            before=self._before,
            last=self._cut.get("", Scope()).last,
            opened=self._since,
            target=None,
        )
        rules = msgspec.structs.replace(self._sources.rules, tree=self._request.tree, by_round=False)
        return judge(rules, situation, self._root)

    def _lagging(self, judged: Judged) -> tuple[LaggingLine, ...]:
        """Whom a letter names, else who lags by the rules, the worst first."""
        wanted = self._request.units or [row.unit.code for row in judged.lagging if row.unit.code != self._root]
        return tuple(self._lagging_line(code) for code in wanted)

    def _lagging_line(self, code: str) -> LaggingLine:
        figure = self._table.figure(code)
        reminded, measured = self._sources.reminders.get(code), self._sources.measures.get(code)
        return LaggingLine(
            code=code,
            name=self._units[code].name,
            people=figure.people,
            attempts=figure.attempts,
            headcount=figure.headcount,
            reminded=reminded.times if reminded else 0,
            last=reminded.last if reminded else None,
            measures=_measures(measured) if measured else "",
            deadline=self._request.form.deadline,
        )

    def _headcount_day(self) -> str | None:
        known = self._headcounts.table(self._contest.contest, self._request.tree, "", self._day)
        days = [known[code].as_of for code in (self._root or "", *self._inside) if code in known]
        return max(days).isoformat() if days else None


def _measures(measured: Measured) -> str:
    text = measured.text if len(measured.text) <= _LONGEST else measured.text[:_LONGEST].rsplit(" ", 1)[0] + "…"
    return say("measures", text=text, day=numbers.day(date.fromisoformat(measured.last)))


_LONGEST = 120
