"""`/api/v1/admin/rounds/{round}/…` of scoring: what organisers do after a round has closed, for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from services.events import RoundPlan
from services.kit.console import Account
from services.kit.console.audit_log import sealed
from services.kit.i18n import translate
from services.kit.problems import Problem
from services.kit.security import Signer
from services.kit.web import language, problems
from services.kit.web.console import admin_api, audited
from services.scoring.anomalies import Kind
from services.scoring.casebook import Casebook, CaseState
from services.scoring.closing import Closing, Readiness
from services.scoring.exclusions import Exclusion, Why
from services.scoring.jury import Jury, reason_of
from services.scoring.looks import Looks
from services.scoring.mending import Trials, seen
from services.scoring.organisers import Found
from services.scoring.prizes import By, Prize
from services.scoring.settlement import Outcome

CASES = 100
"""Cases on a page."""

Caller = Annotated[Account, Depends(admin_api("city"))]
Reason = Annotated[str, Field(description="5 to 500 letters; the audit log holds its SHA-256")]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AttemptBody(Strict):
    attempt: str = Field(max_length=200, examples=["k3vqx7mzt2rwn5hjd4ba:hai-phong-2023.tuan-1:1"])
    reason: Reason


class DecisionBody(Strict):
    case: str = Field(max_length=300, description="Its id, as the list of cases has it")
    action: Literal["clear", "disqualify"]
    reason: Reason


class ReasonBody(Strict):
    reason: Reason


class PrizeBody(Strict):
    """So many prizes of a name."""

    name: str = Field(min_length=1, max_length=80, examples=["Giải Nhất"])
    count: int = Field(ge=1, le=1000)


class UnitPrizeBody(PrizeBody):
    by: By = Field("people", description="What ranks the units: people who took part, or their share of the headcount")
    least: int = Field(0, ge=0, description="Units with a smaller headcount do not compete")
    tree: str = Field("", max_length=60, description="Where the units stand; empty: the contest's first tree")
    level: int = Field(0, ge=0, le=9, description="How deep: 1 is the top of the tree; 0: all below which no other stands")


class FinaliseBody(Strict):
    prizes: list[PrizeBody] = []
    unit_prizes: list[UnitPrizeBody] = []

    def asked(self) -> tuple[list[Prize], list[Prize]]:
        """The prizes of persons, and of units."""
        return [Prize(**each.model_dump()) for each in self.prizes], [Prize(**each.model_dump()) for each in self.unit_prizes]


class LackView(BaseModel):
    code: str = Field(description="`cases`, `not-ranked`, `audit`, `journals`, …")
    text: str
    blocks: bool = Field(description="False where an organiser has set it aside")


class HostView(BaseModel):
    """A host whose journal may still hold submissions of the round."""

    host: str
    machine: str
    heard: datetime = Field(description="When it spoke last")
    until: datetime | None = Field(None, description="The brokers hold all that it received before this")


class AuditView(BaseModel):
    submitted: int
    judged: int
    agrees: bool


class RankingView(BaseModel):
    revision: int
    checksum: str
    people: int
    attempts: int
    valid: int
    perfect: int
    ranked_at: datetime


class AwardView(BaseModel):
    ladder: str
    prize: str
    place: int
    rank: int
    name: str = Field(description="As everyone may see it")
    unit: str | None = Field(None, description="Code of the winner's unit")


class ExclusionView(BaseModel):
    participant: str
    why: Why
    name: str | None = Field(None, description="Masked; of whom an account of the organisers gives away")


class ResultsView(BaseModel):
    """How a round stands. Fields without a value are left out."""

    round: str
    phase: Literal["draft", "asked", "settled", "published"]
    lacks: list[LackView]
    audit: AuditView | None = None
    cases: int = Field(description="Cases that wait for a decision")
    hosts: list[HostView]
    ranking: RankingView | None = None
    excluded: list[ExclusionView] = Field(description="Who competes for no prize; change it in the console")
    override: str | None = Field(None, description="Why it is settled without what is missing")
    fault: str | None = Field(None, description="Why the last settlement was given up")
    awards: list[AwardView] | None = None
    file: str | None = Field(None, description="Path of the published file")


class ChangeView(BaseModel):
    """One person's place before and after."""

    name: str
    unit: str
    before: int
    after: int
    correct_before: int
    correct_after: int


class TrialView(BaseModel):
    """What a version of the key would change; `changes` holds those nearest to the top."""

    round: str
    version: int
    reason: str
    at: datetime
    people: int
    up: int
    down: int
    perfect_before: int
    perfect_after: int
    changes: list[ChangeView]
    seen: str = Field(description="To be sent along where this version is published")


class CaseView(BaseModel):
    id: str
    kind: Kind
    state: CaseState
    attempts: list[str]
    figure: int


class AdminApi:
    """The calls."""

    def __init__(self, closing: Closing, casebook: Casebook, jury: Jury, trials: Trials, looks: Looks, looked_at: Signer) -> None:
        self._closing, self._casebook, self._jury, self._trials = closing, casebook, jury, trials
        self._looks, self._looked_at = looks, looked_at
        self.router = APIRouter(
            prefix="/api/v1/admin/rounds/{round}", tags=["admin"], responses=problems(401, 403, 404, 409, 422, 503)
        )
        get, post = self.router.get, self.router.post
        whole: dict[str, Any] = {"response_model": ResultsView, "response_model_exclude_none": True}
        get("/results", summary="How a round stands after closing, and what it lacks", **whole)(self.results)
        get("/cases", summary="What waits for a person, or was decided")(self.cases)
        post("/cases/decide", summary="Clear a case, or disqualify its attempts", status_code=204)(self.decide)
        post("/disqualify", summary="Disqualify an attempt", status_code=204)(self.disqualify)
        post("/reinstate", summary="Take a disqualification back", status_code=204)(self.reinstate)
        post("/finalise", summary="Set the prizes and have the outcome made", status_code=202, **whole)(self.finalise)
        post("/finalise/override", summary="Set aside a silent host or an audit that does not agree", **whole)(self.override)
        post("/finalise/reopen", summary="Take an outcome back", **whole)(self.reopen)
        post("/finalise/publish", summary="Publish the outcome, for good", **whole)(self.publish)
        get("/key/trial", summary="What the newest proposed key would change")(self.trial)

    async def results(self, request: Request, _: Caller, round: str) -> ResultsView:
        return await self._shown(request, self._plan(round))

    async def cases(
        self, _: Caller, round: str, state: CaseState = "open", page: Annotated[int, Query(ge=0)] = 0
    ) -> list[CaseView]:
        found = await self._casebook.page(self._plan(round).id, state, page * CASES, CASES)
        return [CaseView(id=c.id, kind=c.kind, state=c.state, attempts=list(c.attempts), figure=c.figure) for c in found]

    async def decide(self, request: Request, caller: Caller, round: str, body: DecisionBody) -> None:
        if not body.case.startswith(f"{self._plan(round).id}/"):
            raise Problem(404, "case", "Không có trường hợp này.", field="case")
        decide = self._jury.clear if body.action == "clear" else self._jury.disqualify
        case = await decide(body.case, body.reason, caller.id)
        await audited(request, f"case.{body.action}", case.id, attempts=len(case.attempts), reason=sealed(reason_of(body.reason)))

    async def disqualify(self, request: Request, caller: Caller, round: str, body: AttemptBody) -> None:
        await self._rule(request, caller, round, body, True)

    async def reinstate(self, request: Request, caller: Caller, round: str, body: AttemptBody) -> None:
        await self._rule(request, caller, round, body, False)

    async def finalise(self, request: Request, _: Caller, round: str, body: FinaliseBody) -> ResultsView:
        plan = self._plan(round)
        prizes, ready = body.asked(), await self._closing.unblocked(plan)
        await self._closing.settle(plan, *prizes, await self._looks.at_round(request, ready))
        await audited(request, "results.settle", round)
        return await self._shown(request, plan)

    async def override(self, request: Request, caller: Caller, round: str, body: ReasonBody) -> ResultsView:
        plan = self._plan(round)
        override = await self._closing.set_aside(plan, body.reason, caller.id)
        await audited(request, "results.override", round, reason=override.reason)
        return await self._shown(request, plan)

    async def reopen(self, request: Request, _: Caller, round: str) -> ResultsView:
        plan = self._plan(round)
        await self._closing.reopen(plan)
        await audited(request, "results.reopen", round)
        return await self._shown(request, plan)

    async def publish(self, request: Request, _: Caller, round: str) -> ResultsView:
        plan = self._plan(round)
        await self._closing.publish(plan)
        await audited(request, "results.publish", round)
        return await self._shown(request, plan)

    async def trial(self, _: Caller, round: str) -> TrialView:
        plan = self._plan(round)
        found = await self._trials.last(plan.id)
        if found is None:
            raise Problem(404, "trial", "Chưa có bản chấm thử nào. Nếu vừa đề nghị, hãy đợi vài giây rồi tải lại trang.")
        return TrialView.model_validate(msgspec.to_builtins(found) | {"seen": seen(self._looked_at, plan, found)})

    async def _rule(self, request: Request, caller: Account, round: str, body: AttemptBody, disqualified: bool) -> None:
        if body.attempt.partition(":")[2].rpartition(":")[0] != self._plan(round).id:
            raise Problem(404, "attempt", "Không có lượt thi này.", field="attempt")
        await self._jury.rule(body.attempt, disqualified, body.reason, caller.id)
        action = "attempt.disqualified" if disqualified else "attempt.reinstated"
        await audited(request, action, body.attempt, reason=sealed(reason_of(body.reason)))

    def _plan(self, round: str) -> RoundPlan:
        return self._closing.round(round)[0]

    async def _shown(self, request: Request, plan: RoundPlan) -> ResultsView:
        ready = await self._closing.readiness(plan)
        found = await self._looks.at_round(request, ready) if ready.settlement.phase == "draft" else {}
        return _view(plan, ready, exclusions(await self._closing.excluded(plan, found), found), language(request))


def exclusions(excluded: Iterable[Exclusion], found: Mapping[str, Found]) -> list[ExclusionView]:
    """Who competes for no prize, as programs see it."""
    return [
        ExclusionView(
            participant=each.participant, why=each.why, name=match.name if (match := found.get(each.participant)) else None
        )
        for each in excluded
    ]


def award_views(outcome: Outcome) -> list[AwardView]:
    """The awards as programs see them."""
    return [
        AwardView(ladder=a.ladder, prize=a.prize, place=a.place, rank=a.rank, name=a.name, unit=outcome.units.get(a.winner))
        for a in outcome.awards
    ]


def _view(plan: RoundPlan, ready: Readiness, excluded: list[ExclusionView], lang: str) -> ResultsView:
    settlement, head, review = ready.settlement, ready.head, ready.review
    outcome = settlement.outcome
    blocking = {lack.code for lack in ready.blocks} if settlement.phase in ("draft", "settled") else set()
    lacks = ready.lacks if settlement.phase in ("draft", "settled") else []
    return ResultsView(
        round=plan.id,
        phase=settlement.phase,
        lacks=[
            LackView(code=lack.code, text=translate(lack.text, lang).format(**lack.values), blocks=lack.code in blocking)
            for lack in lacks
        ],
        audit=AuditView(submitted=review.submitted, judged=review.judged, agrees=review.agrees) if review else None,
        cases=ready.cases,
        hosts=[HostView(host=h.host, machine=h.machine, heard=h.time, until=h.until) for h in ready.hosts],
        ranking=RankingView(
            revision=head.revision, checksum=head.checksum, people=head.people, attempts=head.attempts, valid=head.valid,
            perfect=head.perfect, ranked_at=head.ranked_at,
        ) if head else None,
        override=settlement.override.reason if settlement.override else None,
        fault=translate(settlement.fault, lang) if settlement.fault else None,
        excluded=excluded,
        awards=award_views(outcome) if outcome else None,
        file=f"/ket-qua/{plan.id}/tep/{outcome.digest}" if outcome and settlement.phase == "published" else None,
    )  # fmt: skip
