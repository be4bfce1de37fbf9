"""`/api/v1/admin/*`: what organisers do, for programs, with an API key or a session."""

from __future__ import annotations

import asyncio
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from services.events import RoundPlan
from services.kit.console import Account
from services.kit.console.audit_log import sealed
from services.kit.faults import FaultsFound
from services.kit.i18n import translate
from services.kit.problems import Problem
from services.kit.runtime import Runtime
from services.kit.web import language, problems
from services.kit.web.console import admin_api, audited
from services.quiz.authoring.commands import Authoring, Grant, find
from services.quiz.authoring.round_pages import DONE
from services.quiz.authoring.running import Change
from services.quiz.loading import load

Caller = Annotated[Account, Depends(admin_api("city"))]
Text = Annotated[str, Field(max_length=5_000_000)]
Reason = Annotated[str, Field(min_length=1, max_length=300, description="Everybody reads it on the contest's page")]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ContestFilesBody(Strict):
    """The files of a contest directory, as text."""

    contest_yaml: Text
    questions_csv: Text
    units_csv: Text
    trees_csv: Annotated[str | None, Field(max_length=5_000_000)] = None
    changes_csv: Annotated[str | None, Field(max_length=5_000_000)] = None


class UnitsBody(Strict):
    csv: Text = Field(description="`units.csv`, `trees.csv` or `changes.csv`: its columns say which")
    dry_run: bool = False


class ReasonBody(Strict):
    reason: Reason


class ClosingBody(ReasonBody):
    closes: datetime | None = Field(default=None, description="The new end; of a closing: now, where it is left out")


class ApprovalBody(Strict):
    alone: str = Field("", max_length=300, description="Why one person both submits and approves; else two must")


class BannerBody(Strict):
    text: str = Field(max_length=300, description="Empty takes the banner down")
    level: Literal["info", "warning"] = "info"
    until: datetime | None = None


class GrantBody(Strict):
    kind: Literal["participant", "unit", "category"]
    target: str = Field(max_length=100, description="The phone number of a person; the code of a unit; the id of a category")
    minutes: int = Field(ge=0, le=240)
    reason: Annotated[str, Field(min_length=1, max_length=300)]


class ContestState(BaseModel):
    id: str
    revision: int = Field(description="Publications so far, from 0; -1 where there is none yet")


class UnitVerdict(BaseModel):
    line: int | None
    code: str
    faults: list[str]


class UnitsView(BaseModel):
    good: bool
    taken: bool = Field(description="Whether the units are the contest's now")
    units: int
    rows: list[UnitVerdict] = Field(description="The rows that have a fault")


class PointView(BaseModel):
    ok: bool
    blocks: bool
    text: str


class StageView(BaseModel):
    id: str
    stage: Literal["draft", "submitted", "approved", "published"]


class RoundState(BaseModel):
    id: str
    state: str
    closes: datetime
    revision: int


class AdminApi:
    """The calls."""

    def __init__(self, authoring: Authoring, runtime: Runtime) -> None:
        self._authoring, self._runtime = authoring, runtime
        self.router = APIRouter(prefix="/api/v1/admin", tags=["admin"], responses=problems(401, 403, 404, 409, 422, 503))
        get, post = self.router.get, self.router.post
        post("/contests", status_code=201, summary="Load a contest directory and publish it")(self.load)
        post("/contests/{contest}/units", summary="Import units, all or nothing")(self.units)
        post("/contests/{contest}/publish", summary="Publish changed texts and units")(self.publish_contest)
        post("/contests/{contest}/banner", status_code=204, summary="A line above all participants' pages")(self.banner)
        get("/rounds/{round}/checklist", summary="What a round still lacks")(self.checklist)
        post("/rounds/{round}/submit", summary="Ask for approval")(self.submit)
        post("/rounds/{round}/approve", summary="Approve, as a second person")(self.approve)
        post("/rounds/{round}/publish", summary="Draw the papers, seal them, tell everyone")(self.publish)
        post("/rounds/{round}/pause", summary="No starts from now on")(self.pause)
        post("/rounds/{round}/resume", summary="Starts again")(self.resume)
        post("/rounds/{round}/extend", summary="A later end")(self.extend)
        post("/rounds/{round}/close", summary="An earlier end, or the end now")(self.close)
        post("/rounds/{round}/extra-time", status_code=204, summary="Extra minutes for a person or a group")(self.grant)

    async def load(self, request: Request, _: Caller, body: ContestFilesBody) -> ContestState:
        with tempfile.TemporaryDirectory() as folder:
            for name, text in body.model_dump(exclude_none=True).items():
                (Path(folder) / name.replace("_", ".")).write_text(text, encoding="utf-8")
            try:
                contest = await load(self._runtime, Path(folder))
            except FaultsFound as errors:
                lines = [error.show(language(request)) for error in errors.errors]
                raise Problem(
                    422, "contest-files", "Bộ tệp cuộc thi có {n} lỗi.", n=len(lines), extra={"faults": lines}
                ) from errors
        await audited(request, "contest.loaded", contest)
        return ContestState(id=contest, revision=0)

    async def units(self, request: Request, _: Caller, contest: str, body: UnitsBody) -> UnitsView:
        draft = await self._authoring.get(contest)
        sheet = await asyncio.to_thread(self._authoring.sheet, draft, body.csv.encode())
        taken = sheet.good and not body.dry_run
        if taken:
            await self._authoring.put_units(draft, sheet.units)
            await audited(request, "units.imported", contest, units=len(sheet.units))
        lang = language(request)
        rows = [UnitVerdict(line=r.line, code=r.code, faults=[f.show(lang) for f in r.faults]) for r in sheet.rows if r.faults]
        rows += [UnitVerdict(line=None, code="", faults=[fault.show(lang)]) for fault in sheet.faults]
        return UnitsView(good=sheet.good, taken=taken, units=len(sheet.units), rows=rows)

    async def publish_contest(self, request: Request, _: Caller, contest: str) -> ContestState:
        draft = await self._authoring.publish(contest)
        await audited(request, "contest.published", contest, revision=draft.published)
        return ContestState(id=contest, revision=draft.published)

    async def banner(self, request: Request, _: Caller, contest: str, body: BannerBody) -> None:
        await self._authoring.get(contest)
        await self._authoring.put_banner(contest, body.text, body.level, _aware(body.until))
        await audited(request, "contest.banner", contest, text=body.text, until=str(body.until or ""))

    async def checklist(self, request: Request, _: Caller, round: str) -> list[PointView]:
        draft = await self._authoring.get(_contest(round))
        points = await self._authoring.points(draft, find(draft, round))
        said = [translate(point.text, language(request)).format(**point.values) for point in points]
        return [PointView(ok=p.ok, blocks=p.blocks, text=text) for p, text in zip(points, said, strict=True)]

    async def submit(self, request: Request, session: Caller, round: str) -> StageView:
        found = await self._authoring.submit(await self._authoring.get(_contest(round)), round, session.person)
        await audited(request, "round.submitted", round)
        return StageView(id=found.id, stage=found.stage)

    async def approve(self, request: Request, session: Caller, round: str, body: ApprovalBody) -> StageView:
        draft = await self._authoring.get(_contest(round))
        found = await self._authoring.approve(draft, round, session.person, body.alone)
        reason = found.alone and sealed(found.alone)
        await audited(request, "round.approved_alone" if found.alone else "round.approved", round, reason=reason)
        return StageView(id=found.id, stage=found.stage)

    async def publish(self, request: Request, _: Caller, round: str) -> StageView:
        await self._authoring.publish(_contest(round), round)
        await audited(request, "round.published", round)
        return StageView(id=round, stage="published")

    async def pause(self, request: Request, session: Caller, round: str, body: ReasonBody) -> RoundState:
        return await self._change(request, session, round, "pause", body.reason)

    async def resume(self, request: Request, session: Caller, round: str, body: ReasonBody) -> RoundState:
        return await self._change(request, session, round, "resume", body.reason)

    async def extend(self, request: Request, session: Caller, round: str, body: ClosingBody) -> RoundState:
        return await self._change(request, session, round, "extend", body.reason, body.closes)

    async def close(self, request: Request, session: Caller, round: str, body: ClosingBody) -> RoundState:
        return await self._change(request, session, round, "close", body.reason, body.closes)

    async def _change(
        self, request: Request, session: Account, round: str, change: Change, reason: str, closes: datetime | None = None
    ) -> RoundState:
        plan: RoundPlan = await self._authoring.change(round, change, session.id, reason, _aware(closes))
        await audited(request, DONE[change], round, reason=reason, closes=plan.closes.isoformat())
        return RoundState(id=round, state=plan.state, closes=plan.closes, revision=plan.revision)

    async def grant(self, request: Request, session: Caller, round: str, body: GrantBody) -> None:
        draft = await self._authoring.get(_contest(round))
        grant = Grant(body.kind, body.target, body.minutes, body.reason)
        kept = await self._authoring.grant(draft, round, grant, session.id)
        reason = sealed(body.reason.strip())
        await audited(request, "round.extra_time", round, kind=body.kind, target=kept, minutes=body.minutes, reason=reason)


def _contest(round: str) -> str:
    """The contest of a round's id."""
    return round.rpartition(".")[0]


def _aware(time: datetime | None) -> datetime | None:
    """Raises Problem 422 for a time without its offset from UTC."""
    if time is not None and time.tzinfo is None:
        raise Problem(422, "time", "Ngày giờ phải có múi giờ, ví dụ 2026-05-19T08:00:00+07:00.", field="closes")
    return time
