"""The public API of scoring (design §9): the result of an attempt, and the standings of a round."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from services.events import ContestBook, RoundPlan, state_at
from services.events.units import successor
from services.kit.clock import Clock, us_of
from services.kit.problems import Problem
from services.kit.tokens import Bearers
from services.kit.web import OWNER, problems
from services.scoring.domain import Judged, Row
from services.scoring.handlers import shown_live
from services.scoring.publication import person_of, row_code
from services.scoring.scopes import day_of
from services.scoring.settlement import Settlements
from services.scoring.store import Head, Standings, Verdicts

_CURSOR = re.compile(r"([0-9a-f]{64})-([0-9]{1,6})")


class ResultView(BaseModel):
    """What became of an attempt."""

    attempt_id: str = Field(examples=["k3vqx7mzt2rwn5hjd4ba:hai-phong-2023.tuan-1:1"])
    status: Literal["pending", "scored"] = Field(description="`pending` until a submission of the attempt has been judged")
    verdict: Literal["valid", "late", "disqualified"] | None = Field(None, description="Null while pending")
    correct: int | None = Field(
        None, description="Right answers; null while pending, or until the round has closed where its rules say so", examples=[18]
    )
    total: int = Field(description="Questions of the paper", examples=[20])
    elapsed_ms: int | None = Field(
        None, description="From the start to the receipt, in milliseconds; null while pending", examples=[688556]
    )
    rank: int | None = Field(
        None, description="In the whole round: once it is final, and if this is the person's attempt that counts"
    )
    row_person: str | None = Field(None, description="Once published: under which name the caller stands in the published file")
    row_code: str | None = Field(
        None, description="Once published: the look-up code (mã tra cứu) that proves the attempt's row to be the caller's"
    )


class StandingView(BaseModel):
    """One person's place, by the attempt of theirs that counts."""

    rank: int = Field(description="In the whole round, also where one unit is asked for; equals share a rank", examples=[1])
    name: str = Field(description="Masked: the family name, then first letters", examples=["Nguyễn T*** H***"])
    unit: str = Field(description="Code of the unit", examples=["HP-307-11446"])
    correct: int = Field(examples=[20])
    elapsed_ms: int = Field(examples=[402117])


class StandingsView(BaseModel):
    """A page of standings, best first."""

    state: Literal["hidden", "provisional", "final"] = Field(
        description="`hidden`: not public yet; `provisional`: not published for good; `final`: they do not change any more"
    )
    rows: list[StandingView]
    next: str | None = Field(description="The cursor of the next page; null on the last one")


class Api:
    """The calls, above what the worker has written."""

    def __init__(
        self,
        book: ContestBook,
        verdicts: Verdicts,
        standings: Standings,
        settlements: Settlements,
        bearers: Bearers,
        clock: Clock,
    ) -> None:
        self._book, self._verdicts, self._standings, self._settlements = book, verdicts, standings, settlements
        self._bearers, self._clock = bearers, clock
        self.router = APIRouter(prefix="/api/v1", tags=["scoring"])
        get = self.router.get
        get(
            "/results/{attempt_id}",
            response_model=ResultView,
            responses=problems(401, 404, 422, 503),
            summary="The result of an attempt",
            dependencies=[OWNER],
        )(self.result)
        get(
            "/rounds/{round}/standings",
            response_model=StandingsView,
            responses=problems(404, 422, 503),
            summary="The standings of a round, 500 rows a page",
        )(self.standings)

    async def result(self, request: Request, attempt_id: str) -> ResultView:
        """The caller's own attempt; another's is not found."""
        bearer = self._bearers.check(request)
        participant, _, rest = attempt_id.partition(":")
        round, _, n = rest.rpartition(":")
        plan = self._book.round(round)
        if plan is None or (participant, plan.contest) != (bearer.participant, bearer.contest):
            raise _no_attempt()
        if n not in map(str, range(1, plan.attempts + 1)):
            raise _no_attempt()
        judged = (await self._verdicts.standing([attempt_id])).get(attempt_id)
        if judged is None:
            return ResultView(attempt_id=attempt_id, status="pending", total=plan.questions)
        shown = plan.show_score == "at_once" or self._clock.now() >= plan.closes
        return ResultView(
            attempt_id=attempt_id,
            status="scored",
            verdict=judged.verdict,
            correct=judged.correct if shown else None,
            total=judged.total,
            elapsed_ms=judged.elapsed_ms,
            rank=await self._rank(plan, judged),
            **await self._row(plan, attempt_id),
        )

    async def standings(
        self,
        round: str,
        unit: Annotated[str, Query(description="Code of a unit: only its people and those below it, in any tree")] = "",
        cursor: Annotated[str, Query(description="`next` of the page before")] = "",
    ) -> StandingsView:
        """Who stands where. With a prediction to be made, nothing before the result is published; where scores are shown after
        closing, nothing before that. While the round runs, the first 500 of everybody or of the unit."""
        plan = self._book.round(round)
        if plan is None:
            raise Problem(404, "round", "Không có vòng thi này.")
        if unit and unit not in self._book.units(plan.contest):
            raise Problem(404, "unit", "Không có đơn vị này trong cuộc thi.", field="unit")
        checksum, page = _position(cursor)
        head, final = await self._head(plan), await self._is_final(plan)
        if head is None or not (final or plan.prediction is None):
            return await self._provisional(plan, unit)
        code = self._standing(plan, unit, plan.closes)
        scope = "" if code in head.whole else code
        found = await self._standings.page(round, checksum or head.checksum, scope, page)
        if found is None and cursor:
            raise _bad_cursor()
        rows, more = found or ([], False)
        next = f"{checksum or head.checksum}-{page + 1}" if more else None
        return StandingsView(state="final" if final else "provisional", rows=list(map(_shown, rows)), next=next)

    def _standing(self, plan: RoundPlan, unit: str, at: datetime) -> str:
        """The unit that stands for one then: where it has gone over into another, its rows count there."""
        contest = self._book.contests.get(plan.contest)
        return successor(self._book.units(plan.contest), unit, day_of(contest, at)) if contest else unit

    async def _head(self, plan: RoundPlan) -> Head | None:
        """The ranking of the round as it closed; None while it runs (again), or is being ranked."""
        if state_at(plan, self._clock.now()) not in ("closed", "final"):
            return None
        head = await self._standings.head(plan.id)
        return head if head is not None and head.closes == us_of(plan.closes) else None

    async def _provisional(self, plan: RoundPlan, unit: str) -> StandingsView:
        now = self._clock.now()
        if not shown_live(plan) or now < plan.opens:
            return StandingsView(state="hidden", rows=[], next=None)
        rows = await self._standings.provisional(plan.id, self._standing(plan, unit, now))
        return StandingsView(state="provisional", rows=list(map(_shown, rows)), next=None)

    async def _is_final(self, plan: RoundPlan) -> bool:
        return (await self._settlements.get(plan.id)).phase == "published"

    async def _rank(self, plan: RoundPlan, judged: Judged) -> int | None:
        if not await self._is_final(plan):
            return None
        head = await self._head(plan)
        standing = await self._standings.rank(plan.id, head, judged.participant) if head else None
        return standing[1] if standing is not None and standing[0] == judged.n else None

    async def _row(self, plan: RoundPlan, attempt: str) -> dict[str, str]:
        """Where an attempt stands in the published file: for its participant alone."""
        committed = await self._settlements.committed(plan.id) if await self._is_final(plan) else None
        if committed is None:
            return {}
        participant = attempt.partition(":")[0]
        return {"row_person": person_of(committed.salt, participant), "row_code": row_code(committed.salt, attempt)}


def _shown(row: Row) -> StandingView:
    return StandingView(rank=row.rank, name=row.name, unit=row.unit, correct=row.correct, elapsed_ms=row.elapsed_ms)


def _position(cursor: str) -> tuple[str, int]:
    """The pages and the page that a cursor means; an empty one means the newest and their first."""
    if not cursor:
        return "", 0
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise _bad_cursor()
    return found[1], int(found[2])


def _bad_cursor() -> Problem:
    return Problem(422, "cursor", "Con trỏ trang không hợp lệ. Hãy xem lại từ trang đầu.", field="cursor")


def _no_attempt() -> Problem:
    return Problem(404, "attempt", "Không tìm thấy bài thi này của bạn.")
