"""`/api/v1/admin/rounds/{contest}/overall/…` of scoring: the prizes of a contest over all its rounds, for programs."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from services.kit.i18n import translate
from services.kit.web import language, problems
from services.kit.web.console import audited
from services.scoring.admin_api import AwardView, Caller, ExclusionView, FinaliseBody, award_views, exclusions
from services.scoring.closing import Closing
from services.scoring.looks import Looks
from services.scoring.settlement import Settlements


class OverallView(BaseModel):
    """How a contest's own prizes stand. Fields without a value are left out."""

    contest: str
    phase: Literal["draft", "asked", "settled", "published"]
    waiting: list[str] = Field(description="Ids of the rounds that must be published before")
    excluded: list[ExclusionView] = Field(description="Who competes for no prize; change it in the console")
    fault: str | None = Field(None, description="Why the last settlement was given up")
    awards: list[AwardView] | None = None
    file: str | None = Field(None, description="Path of the published file")


class OverallApi:
    """The calls."""

    def __init__(self, closing: Closing, settlements: Settlements, looks: Looks) -> None:
        self._closing, self._settlements, self._looks = closing, settlements, looks
        self.router = APIRouter(
            prefix="/api/v1/admin/rounds/{contest}/overall", tags=["admin"], responses=problems(401, 403, 404, 409, 422, 503)
        )
        post = self.router.post
        whole: dict[str, Any] = {"response_model": OverallView, "response_model_exclude_none": True}
        self.router.get("", summary="How the prizes over all rounds stand", **whole)(self.look)
        post("/finalise", summary="Set the prizes over all rounds and have the outcome made", status_code=202, **whole)(
            self.finalise
        )
        post("/finalise/reopen", summary="Take that outcome back", **whole)(self.reopen)
        post("/finalise/publish", summary="Publish that outcome, for good", **whole)(self.publish)

    async def look(self, request: Request, _: Caller, contest: str) -> OverallView:
        self._closing.contest(contest)
        settlement = await self._settlements.get(contest)
        outcome, published = settlement.outcome, settlement.phase == "published"
        found = await self._looks.at_contest(request, contest) if settlement.phase == "draft" else {}
        return OverallView(
            contest=contest,
            phase=settlement.phase,
            waiting=[plan.id for plan in await self._closing.unpublished(contest)],
            excluded=exclusions(await self._closing.excluded_overall(contest, found), found),
            fault=translate(settlement.fault, language(request)) if settlement.fault else None,
            awards=award_views(outcome) if outcome else None,
            file=f"/ket-qua/{contest}/tep/{outcome.digest}" if outcome and published else None,
        )

    async def finalise(self, request: Request, caller: Caller, contest: str, body: FinaliseBody) -> OverallView:
        self._closing.contest(contest)
        await self._closing.all_published(contest)
        await self._closing.settle_contest(contest, *body.asked(), await self._looks.at_contest(request, contest))
        await audited(request, "results.settle", contest)
        return await self.look(request, caller, contest)

    async def reopen(self, request: Request, caller: Caller, contest: str) -> OverallView:
        await self._closing.reopen_contest(contest)
        await audited(request, "results.reopen", contest)
        return await self.look(request, caller, contest)

    async def publish(self, request: Request, caller: Caller, contest: str) -> OverallView:
        await self._closing.publish_contest(contest)
        await audited(request, "results.publish", contest)
        return await self.look(request, caller, contest)
