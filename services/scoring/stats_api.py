"""`GET /api/v1/stats/questions`: how each question of a round did."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from services.events import ContestBook, RoundPlan, state_at
from services.kit.clock import Clock
from services.kit.problems import Problem
from services.kit.web import problems
from services.kit.web.console import admin_api
from services.scoring.casebook import Casebook
from services.scoring.settlement import Settlements

_organiser = admin_api("city")


class QuestionStats(BaseModel):
    """One question, over the valid attempts that had it. Null where a figure says nothing."""

    question: str = Field(description="Its id in the bank")
    n: int
    facility: float | None = Field(description="Share of right answers, 0 to 1")
    discrimination: float | None = Field(description="Correlation with the rest of the paper (corrected item-total), -1 to 1")
    chosen: dict[str, int] | None = Field(
        None, description='How often each answer was chosen, in the question\'s own letters, "" for none; organisers only'
    )


class StatsApi:
    """The call."""

    def __init__(self, book: ContestBook, casebook: Casebook, settlements: Settlements, clock: Clock) -> None:
        self._book, self._casebook, self._settlements, self._clock = book, casebook, settlements, clock
        self.router = APIRouter(prefix="/api/v1/stats", tags=["scoring"])
        self.router.get(
            "/questions",
            response_model=list[QuestionStats],
            response_model_exclude_unset=True,
            responses=problems(404, 409, 503),
            summary="How each question of a round did",
        )(self.questions)

    async def questions(
        self, request: Request, round: Annotated[str, Query(max_length=200, examples=["hai-phong-2023.tuan-1"])]
    ) -> list[QuestionStats]:
        """For everybody once all rounds of the contest have closed and, where there is a prediction, this one is published; for
        organisers from its closing."""
        plan = self._book.round(round)
        if plan is None:
            raise Problem(404, "round", "Không có vòng thi này.", field="round")
        organiser = await _is_organiser(request)
        if not (organiser or await self._public(plan)):
            raise Problem(409, "stats-hidden", "Thống kê câu hỏi có sau khi cuộc thi kết thúc và kết quả được công bố.")
        review = await self._casebook.review(plan.id)
        found = []
        for question, item in sorted(review.sums.items() if review else ()):
            more = {"chosen": item.chosen} if organiser else {}
            stats = QuestionStats(question=question, n=item.n, facility=item.facility, discrimination=item.discrimination, **more)
            found.append(stats)
        return found

    async def _public(self, plan: RoundPlan) -> bool:
        """A later round may ask the same question, and what all chose tells its key; how many were right, the prediction."""
        now = self._clock.now()
        if any(state_at(each, now) not in ("closed", "final") for each in self._book.rounds(plan.contest)):
            return False
        return plan.prediction is None or (await self._settlements.get(plan.id)).phase == "published"


async def _is_organiser(request: Request) -> bool:
    try:
        await _organiser(request)
    except Problem:
        return False
    return True
