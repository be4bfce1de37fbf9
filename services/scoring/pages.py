"""The organisers' rounds: how far each has come after closing, what waits for a decision, who stands where, how questions did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData

from services.events import ContestBook, ContestPublished, RoundPlan, state_at
from services.events.contests import RoundState
from services.kit.clock import Clock, us_of
from services.kit.console.audit_log import sealed
from services.kit.problems import Problem
from services.kit.security import Signer
from services.kit.web import render
from services.kit.web.console import Organiser, OrganiserForm, account_in, audited
from services.scoring.anomalies import KINDS, Kind
from services.scoring.casebook import Casebook, CaseState, Review
from services.scoring.domain import Judged
from services.scoring.jury import Jury, reason_of
from services.scoring.mending import Trials, seen
from services.scoring.statistics import doubtful
from services.scoring.store import Head, Standings, Verdicts

Step = Literal["running", "judging", "review", "ranking", "ranked", "published"]

STEPS: dict[Step, str] = {
    "running": "Vòng thi chưa kết thúc",
    "judging": "Đang đối soát và chấm những bài cuối cùng",
    "review": "Chờ xem xét bất thường",
    "ranking": "Đang xếp hạng",
    "ranked": "Xét giải",
    "published": "Đã công bố",
}

STATES: dict[RoundState, str] = {
    "upcoming": "Sắp mở",
    "open": "Đang mở",
    "paused": "Tạm dừng",
    "closed": "Đã kết thúc",
    "final": "Đã có kết quả",
}

CASE_STATES: dict[CaseState, str] = {"open": "Chờ quyết định", "cleared": "Hợp lệ", "disqualified": "Đã loại"}

KIND_NAMES: dict[Kind, str] = {
    "too_fast": "Làm bài quá nhanh",
    "shared_device": "Nhiều người nộp từ một máy",
    "identical_answers": "Nhiều người sai giống hệt nhau",
    "phone_block": "Nhiều số điện thoại liền nhau",
}

FIGURES: dict[Kind, str] = {
    "too_fast": "{figure} ms mỗi câu",
    "shared_device": "{figure} người",
    "identical_answers": "{figure} người",
    "phone_block": "{figure} người",
}

PAGE = 25
TOP = 50
"""Rows of the top that a round's page shows."""

SHOWN = 10
"""Attempts of a case that its page shows."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a round has come. `head` is there once it is ranked as it stands now."""

    plan: RoundPlan
    contest: ContestPublished
    state: RoundState
    step: Step
    cases: dict[CaseState, int]
    review: Review | None
    head: Head | None


class Pages:
    """`/console/rounds`."""

    def __init__(
        self,
        book: ContestBook,
        casebook: Casebook,
        verdicts: Verdicts,
        standings: Standings,
        jury: Jury,
        trials: Trials,
        looked_at: Signer,
        clock: Clock,
    ) -> None:
        self._book, self._casebook, self._verdicts, self._standings = book, casebook, verdicts, standings
        self._jury, self._trials, self._looked_at, self._clock = jury, trials, looked_at, clock
        self.router = APIRouter(prefix="/console/rounds", include_in_schema=False)
        self.router.add_api_route("", self.rounds)
        self.router.add_api_route("/{round}", self.round)
        self.router.add_api_route("/{round}/cases", self.cases)
        self.router.add_api_route("/{round}/cases", self.decide, methods=["POST"])
        self.router.add_api_route("/{round}/rulings", self.rule, methods=["POST"])
        self.router.add_api_route("/{round}/questions", self.questions)
        self.router.add_api_route("/{round}/key", self.key)

    async def rounds(self, request: Request, session: Organiser) -> Response:
        """Every round that has opened, the newest first."""
        now = self._clock.now()
        plans = [plan for contest in self._book.contests for plan in self._book.rounds(contest) if now >= plan.opens]
        plans.sort(key=lambda plan: plan.opens, reverse=True)
        found = [await self._progress(plan.id) for plan in plans]
        return render(request, "rounds.html", rounds=found, steps=STEPS, states=STATES, contests=self._book.contests)

    async def round(self, request: Request, session: Organiser, round: str) -> Response:
        """One round: its steps, and the top once it is ranked."""
        progress = await self._progress(round)
        top = await self._standings.page(round, progress.head.checksum, "", 0) if progress.head else None
        units = self._book.units(progress.plan.contest)
        ruled = await self._casebook.ruled(round)
        return render(
            request, "round.html", progress=progress, steps=STEPS, states=STATES, order=tuple(STEPS), units=units,
            top=top[0][:TOP] if top else [], final=await self._jury.is_final(round),
            ruled=[each for each in ruled if each.disqualified],
        )  # fmt: skip

    async def cases(
        self, request: Request, session: Organiser, round: str, state: CaseState = "open", page: Annotated[int, Query(ge=0)] = 0
    ) -> Response:
        """What waits for a decision, and what was decided."""
        progress = await self._progress(round)
        found = await self._casebook.page(round, state, page * PAGE, PAGE + 1)
        judged = await self._verdicts.standing(attempt for case in found[:PAGE] for attempt in case.attempts[:SHOWN])
        return render(
            request, "cases.html", progress=progress, cases=found[:PAGE], more=len(found) > PAGE, page=page, state=state,
            case_states=CASE_STATES, kinds=KIND_NAMES, figures=FIGURES, judged=judged, shown=SHOWN, elapsed=elapsed,
            units=self._book.units(progress.plan.contest), all_kinds=KINDS,
        )  # fmt: skip

    async def decide(self, request: Request, form: OrganiserForm, round: str) -> Response:
        """A case cleared or its attempts disqualified, or all cases of a kind cleared."""
        action, reason, by = _text(form, "action"), _text(form, "reason"), account_in(request).id
        if action == "clear_all":
            kind = _text(form, "kind")
            count = await self._jury.clear_all(round, kind, reason, by)
            await audited(request, "cases.cleared", round, kind=kind, count=count, reason=sealed(reason_of(reason)))
        elif action in ("clear", "disqualify"):
            decide = self._jury.clear if action == "clear" else self._jury.disqualify
            case = await decide(_text(form, "case"), reason, by)
            await audited(request, f"case.{action}", case.id, attempts=len(case.attempts), reason=sealed(reason_of(reason)))
        else:
            raise Problem(422, "action", "Không có thao tác này.", field="action")
        return RedirectResponse(f"/console/rounds/{round}/cases", 303)

    async def rule(self, request: Request, form: OrganiserForm, round: str) -> Response:
        """A single attempt disqualified, or that taken back."""
        attempt, reason, disqualified = _text(form, "attempt"), _text(form, "reason"), _text(form, "action") == "disqualify"
        if attempt.partition(":")[2].rpartition(":")[0] != round:
            raise Problem(404, "attempt", "Không có lượt thi này.", field="attempt")
        await self._jury.rule(attempt, disqualified, reason, account_in(request).id)
        action = "attempt.disqualified" if disqualified else "attempt.reinstated"
        await audited(request, action, attempt, reason=sealed(reason_of(reason)))
        return RedirectResponse(f"/console/rounds/{round}", 303)

    async def questions(self, request: Request, session: Organiser, round: str) -> Response:
        """How each question did."""
        progress = await self._progress(round)
        sums = progress.review.sums if progress.review else {}
        wrong = set(doubtful(sums))
        ordered = sorted(sums.items(), key=lambda item: (item[0] not in wrong, item[1].facility or 0, item[0]))
        return render(request, "questions.html", progress=progress, items=ordered, doubtful=wrong)

    async def key(self, request: Request, session: Organiser, round: str) -> Response:
        """What the newest proposed key would change."""
        plan = (await self._progress(round)).plan
        trial = await self._trials.last(round)
        shown = seen(self._looked_at, plan, trial) if trial else ""
        return render(request, "key.html", plan=plan, trial=trial, seen=shown, units=self._book.units(plan.contest))

    async def _progress(self, round: str) -> Progress:
        plan = self._book.round(round)
        contest = self._book.contests.get(plan.contest) if plan else None
        if plan is None or contest is None:
            raise Problem(404, "round", "Không có vòng thi này.", field="round")
        state = state_at(plan, self._clock.now())
        review, head = await self._casebook.review(round), await self._standings.head(round)
        cases = await self._casebook.counts(round)
        if head is not None and (head.closes != us_of(plan.closes) or review is None or head.marks != review.basis):
            head = None
        step: Step = "running"
        if state == "final":
            step = "published"
        elif state == "closed":
            step = "judging" if review is None else "review" if cases["open"] else "ranked" if head else "ranking"
        return Progress(plan=plan, contest=contest, state=state, step=step, cases=cases, review=review, head=head)


def elapsed(judged: Judged) -> str:
    """Minutes and seconds that an attempt took, e.g. "3:05"."""
    seconds = judged.elapsed_ms // 1000
    return f"{seconds // 60}:{seconds % 60:02d}"


def _text(form: FormData, name: str) -> str:
    return str(form.get(name, "")).strip()
