"""What a closed round still lacks before its result may be settled and published, and the steps of that, for pages and API alike.

All calls raise StoreDown.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from services.events import ContestBook, ContestPublished, JournalDrained, RoundPlan
from services.events.units import trees_of
from services.kit.bus import Bus
from services.kit.clock import Clock, us_of
from services.kit.problems import Problem
from services.scoring.casebook import Casebook, Review
from services.scoring.exclusions import WHYS, Exclusion, Exclusions, Why
from services.scoring.journals import Journals
from services.scoring.jury import reason_of
from services.scoring.mending import Trials
from services.scoring.organisers import Found
from services.scoring.prizes import Prize
from services.scoring.settlement import Override, Settlement, Settlements
from services.scoring.store import Head, Standings, Verdicts, encoded, marks_of, taken_in

PROPOSED = "Đang có một đáp án mới chờ quyết định. Hãy công bố hoặc bỏ nó trước."

NOBODY: Mapping[str, Found] = MappingProxyType({})
MOST_PRIZES = 12
MOST_WINNERS = 1000


@dataclass(frozen=True, kw_only=True)
class Lack:
    """One thing that is missing. `text` is the Vietnamese sentence, `values` fill its braces; `yields`: a person may set it aside
    with a reason."""

    code: str
    text: str
    values: dict[str, Any] = field(default_factory=dict)
    yields: bool = False


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """How a round stands. `head` is there once it is ranked as it closed and was reviewed; `hosts` are those whose journals may
    still hold submissions of it, once it has closed; `mending`: a proposed key waits for a person."""

    plan: RoundPlan
    head: Head | None
    review: Review | None
    cases: int
    hosts: Sequence[JournalDrained]
    settlement: Settlement
    mending: bool = False

    @property
    def lacks(self) -> list[Lack]:
        """Everything that is missing, what was set aside included."""
        found = []
        if self.cases:
            found.append(Lack(code="cases", text="Còn {n} trường hợp bất thường chờ quyết định.", values={"n": self.cases}))
        if self.head is None:
            found.append(Lack(code="not-ranked", text="Vòng thi chưa xếp hạng xong."))
        if self.mending:
            found.append(Lack(code="key-proposed", text=PROPOSED))
        if self.review is not None and not self.review.agrees:
            values = {"submitted": self.review.submitted, "judged": self.review.judged}
            found.append(
                Lack(code="audit", text="Đối soát chưa khớp: {submitted} lượt, {judged} điểm.", values=values, yields=True)
            )
        if self.hosts:
            names = ", ".join(host.machine or host.host for host in self.hosts)
            text = "Chưa chắc mọi bài đã về: còn chờ máy chủ {names}."
            found.append(Lack(code="journals", text=text, values={"names": names}, yields=True))
        return found

    @property
    def yields(self) -> bool:
        """Whether there is something that a person may set aside: once all else is done."""
        return all(lack.yields for lack in self.lacks) and bool(self.lacks)

    @property
    def blocks(self) -> list[Lack]:
        """What stands in the way: all that is missing but what a person has set aside."""
        override = self.settlement.override
        aside = override is not None and override.at >= self.plan.closes
        return [lack for lack in self.lacks if not (lack.yields and aside)]


class Ready(NamedTuple):
    """A round that nothing stands in the way of; `overridden`: because somebody said so."""

    head: Head
    settlement: Settlement
    overridden: bool


class Closing:
    """The steps from a ranked round to a published one. What looks at how a round stands raises BusDown, too."""

    def __init__(
        self,
        book: ContestBook,
        casebook: Casebook,
        verdicts: Verdicts,
        standings: Standings,
        settlements: Settlements,
        exclusions: Exclusions,
        trials: Trials,
        journals: Journals,
        clock: Clock,
        bus: Bus,
    ) -> None:
        self._book, self._casebook, self._verdicts = book, casebook, verdicts
        self._standings, self._settlements = standings, settlements
        self._exclusions, self._trials, self._journals, self._clock, self._bus = exclusions, trials, journals, clock, bus

    def round(self, round: str) -> tuple[RoundPlan, ContestPublished]:
        """A round and its contest. Raises Problem 404."""
        plan, contest = place_of(self._book, round)
        if plan is None:
            raise Problem(404, "round", "Không có vòng thi này.", field="round")
        return plan, contest

    async def readiness(self, plan: RoundPlan) -> Readiness:
        """How a round stands."""
        head, review = await self._standings.head(plan.id), await self._casebook.review(plan.id)
        cases, settlement = (await self._casebook.counts(plan.id))["open"], await self._settlements.get(plan.id)
        if head is not None:
            stands = review is not None and (head.closes, head.marks) == (us_of(plan.closes), review.basis)
            newest = settlement.phase == "published" or await self._is_newest(plan, head)
            head = head if stands and newest and head.told and not cases else None
        return Readiness(
            plan=plan,
            head=head,
            review=review,
            cases=cases,
            hosts=self._journals.waiting(plan) if self._clock.now() >= plan.closes else (),
            settlement=settlement,
            mending=await self._trials.pending(plan.id),
        )

    async def _is_newest(self, plan: RoundPlan, head: Head) -> bool:
        """Whether a ranking holds all that people have ruled and all that was judged by now: to rank anew takes its time."""
        ruled = {ruling.attempt: ruling.disqualified for ruling in await self._casebook.ruled(plan.id)}
        standing = await self._verdicts.standing(ruled)
        if any((judged.verdict == "disqualified") != ruled[attempt] for attempt, judged in standing.items()):
            return False  # A ruling is on its way: the brokers may not even have it yet.
        ends = await self._bus.end_offsets("rulings")
        views = await self._standings.views()
        return taken_in("rulings", ends, views) and head.marks == encoded(marks_of(plan.id, views))

    async def set_aside(self, plan: RoundPlan, reason: str, by: str) -> Override:
        """Goes on without what may be set aside. Raises Problem 409 where there is no such thing, or 422."""
        if not (await self.readiness(plan)).yields:
            raise Problem(409, "nothing-to-set-aside", "Không còn gì phải bỏ qua.")
        override = Override(reason=reason_of(reason), by=by, at=self._clock.now())
        _done(await self._settlements.set_aside(plan.id, override))
        return override

    async def settle(
        self, plan: RoundPlan, persons: Sequence[Prize], units: Sequence[Prize], found: Mapping[str, Found] = NOBODY
    ) -> None:
        """Sets the prizes, excludes who was found to have an organiser's account, and asks for the outcome. Raises Problem 409,
        or 422 for more prizes than there may be, or a tree that is not there."""
        units = self._checked(self.contest(plan.contest), persons, units)
        ready = _ready(await self.unblocked(plan))
        await self._exclusions.propose(plan.id, self._proposed(found, await self._exclusions.decided([plan.id])))
        _done(await self._settlements.plan(plan.id, persons, units))
        override = ready.settlement.override if ready.overridden else None
        _done(await self._settlements.ask(plan.id, ready.head.checksum, override))

    async def excluded(self, plan: RoundPlan, found: Mapping[str, Found] = NOBODY) -> list[Exclusion]:
        """Who competes for no prize of a round: who was excluded, and who was found to have an organiser's account, unless a
        person has said something of them."""
        decided = await self._exclusions.decided([plan.id])
        return [*await self._exclusions.of(plan.id), *self._proposed(found, decided)]

    async def excluded_overall(self, contest: str, found: Mapping[str, Found] = NOBODY) -> list[Exclusion]:
        """The same over all rounds of a contest."""
        rounds = [plan.id for plan in self._book.rounds(contest)]
        decided = await self._exclusions.decided([*rounds, contest])
        return [*await self._exclusions.overall(contest, rounds), *self._proposed(found, decided)]

    def _proposed(self, found: Mapping[str, Found], decided: Collection[str]) -> list[Exclusion]:
        now = self._clock.now()
        return [
            Exclusion(participant=who, why="account", reason=each.account, by="", at=now)
            for who, each in sorted(found.items())
            if who not in decided
        ]

    async def exclude(self, plan: RoundPlan, attempt: str, why: str, reason: str, by: str) -> Exclusion:
        """Lets the person of an attempt compete for no prize of a round; the rank stays. Raises Problem 404, 409 or 422."""
        participant = await self._ranked(plan, attempt)
        known: Why | None = next((each for each in WHYS if each == why and why != "account"), None)
        if known is None:
            raise Problem(422, "why", "Hãy chọn lý do.", field="why")
        await self._in_draft(plan.id)
        made = Exclusion(participant=participant, why=known, reason=reason_of(reason), by=by, at=self._clock.now())
        await self._exclusions.put(plan.id, made)
        return made

    async def include(self, id: str, excluded: Sequence[Exclusion], participant: str, reason: str, by: str) -> None:
        """Lets one of those excluded from the prizes of a round, or a contest, compete again. Raises Problem 404, 409 or 422."""
        await self._in_draft(id)
        if participant not in {each.participant for each in excluded}:
            raise Problem(404, "participant", "Người này không ở trong danh sách.", field="participant")
        await self._exclusions.end(id, participant, reason_of(reason), by, self._clock.now())

    def contest(self, contest: str) -> ContestPublished:
        """A contest. Raises Problem 404."""
        found = self._book.contests.get(contest)
        if found is None:
            raise Problem(404, "contest", "Không có cuộc thi này.", field="contest")
        return found

    async def unpublished(self, contest: str) -> list[RoundPlan]:
        """The rounds that must be published before the contest's own prizes: those that are not yet."""
        plans = self._book.rounds(contest)
        return [plan for plan in plans if (await self._settlements.get(plan.id)).phase != "published"]

    async def all_published(self, contest: str) -> None:
        """Raises Problem 409 where a round of a contest is not published, or there is none."""
        waiting = await self.unpublished(contest)
        if waiting or not self._book.rounds(contest):
            names = ", ".join(plan.name for plan in waiting)
            raise Problem(409, "rounds-unpublished", "Còn vòng thi chưa công bố kết quả: {names}.", names=names)

    async def settle_contest(
        self, contest: str, persons: Sequence[Prize], units: Sequence[Prize] = (), found: Mapping[str, Found] = NOBODY
    ) -> None:
        """Sets the prizes over all rounds, excludes who was found to have an organiser's account, and asks for the outcome.
        Raises Problem 409 or 422."""
        units = self._checked(self.contest(contest), persons, units)
        await self.all_published(contest)
        decided = await self._exclusions.decided([contest, *(plan.id for plan in self._book.rounds(contest))])
        await self._exclusions.propose(contest, self._proposed(found, decided))
        _done(await self._settlements.plan(contest, persons, units))
        _done(await self._settlements.ask(contest, await self._basis(contest), None))

    async def reopen_contest(self, contest: str) -> None:
        """Takes a settled contest back. Raises Problem 409."""
        _done(await self._settlements.reopen(contest))

    async def publish_contest(self, contest: str) -> None:
        """For good. Raises Problem 409 where a round has come since."""
        outcome = (await self._settlements.get(contest)).outcome
        if await self.unpublished(contest) or outcome is None or outcome.checksum != await self._basis(contest):
            raise Problem(409, "rounds-changed", "Cuộc thi có thêm vòng từ khi tính giải. Hãy mở lại và tính lại.")
        _done(await self._settlements.publish(contest))

    async def _basis(self, contest: str) -> str:
        """Names the published results that a contest's prizes rest on."""
        outcomes = [(await self._settlements.get(plan.id)).outcome for plan in self._book.rounds(contest)]
        return sha256("\n".join(outcome.digest for outcome in outcomes if outcome).encode()).hexdigest()

    def _checked(self, contest: ContestPublished, persons: Sequence[Prize], units: Sequence[Prize]) -> list[Prize]:
        """The prizes of units, those of the first tree under its one name (""): under two they would be two ladders of the same
        units, and the best might win on both."""
        _check_number(persons, "prizes")
        _check_number(units, "unit_prizes")
        trees = [tree.id for tree in trees_of(contest)]
        for prize in units:
            if prize.tree and prize.tree not in trees:
                names = ", ".join(sorted(trees))
                raise Problem(422, "tree", "Không có cây đơn vị này. Các cây: {names}.", field="unit_prizes", names=names)
        return [msgspec.structs.replace(prize, tree="") if prize.tree == trees[0] else prize for prize in units]

    async def _ranked(self, plan: RoundPlan, attempt: str) -> str:
        """The person of an attempt, who has a rank in the round."""
        participant, _, rest = attempt.strip().partition(":")
        head = (await self.readiness(plan)).head
        if head is None:
            raise Problem(409, "not-ranked", "Vòng thi chưa xếp hạng xong.")
        if rest.rpartition(":")[0] != plan.id or await self._standings.rank(plan.id, head, participant) is None:
            raise Problem(404, "attempt", "Không có lượt thi này.", field="attempt")
        return participant

    async def _in_draft(self, id: str) -> None:
        if (await self._settlements.get(id)).phase != "draft":
            raise Problem(409, "phase", "Giải đã tính: hãy mở lại rồi mới thay đổi.")

    async def still_in_draft(self, id: str) -> None:
        """After somebody was excluded or included: says so where the prizes were asked for meanwhile, perhaps without that.
        Raises Problem 409."""
        if (await self._settlements.get(id)).phase != "draft":
            raise Problem(409, "phase", "Đã ghi, nhưng giải vừa được tính cùng lúc: hãy mở lại rồi tính lại.")

    async def reopen(self, plan: RoundPlan) -> None:
        """Takes a settled round back. Raises Problem 409."""
        _done(await self._settlements.reopen(plan.id))

    async def publish(self, plan: RoundPlan) -> None:
        """For good. Raises Problem 409."""
        ready = _ready(await self.unblocked(plan))
        outcome = ready.settlement.outcome
        if outcome is None or outcome.basis != ready.head.basis:
            raise Problem(409, "ranking-changed", "Xếp hạng đã thay đổi từ khi tính giải. Hãy mở lại và tính lại.")
        _done(await self._settlements.publish(plan.id))

    async def unblocked(self, plan: RoundPlan) -> Readiness:
        """How a round stands that nothing stands in the way of: it is ranked. Raises Problem 409."""
        readiness = await self.readiness(plan)
        if readiness.blocks:
            first = readiness.blocks[0]
            codes = [lack.code for lack in readiness.blocks]
            raise Problem(409, first.code, first.text, extra={"lacks": codes}, **first.values)
        return readiness


def _ready(readiness: Readiness) -> Ready:
    assert readiness.head is not None
    return Ready(readiness.head, readiness.settlement, bool(readiness.lacks))


def place_of(book: ContestBook, id: str) -> tuple[RoundPlan | None, ContestPublished]:
    """What an id names: a round with its contest, or a contest alone. Raises Problem 404."""
    plan = book.round(id)
    contest = book.contests.get(plan.contest if plan else id)
    if contest is None:
        raise Problem(404, "round", "Không có vòng thi này.", field="round")
    return plan, contest


def _check_number(prizes: Sequence[Prize], field: str) -> None:
    if len(prizes) > MOST_PRIZES or sum(prize.count for prize in prizes) > MOST_WINNERS:
        raise Problem(
            422, "prizes", "Nhiều nhất {most} loại giải, {winners} giải.", field=field, most=MOST_PRIZES, winners=MOST_WINNERS
        )


def _done(moved: bool) -> None:
    if not moved:
        raise Problem(409, "phase", "Người khác vừa thay đổi. Hãy tải lại trang.")
