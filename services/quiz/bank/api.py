"""`/api/v1/admin/bank/import`: a file of questions checked, and taken in whole or not at all, for programs."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from services.kit.console import Account
from services.kit.i18n import translate
from services.kit.problems import Problem
from services.kit.web import language, problems
from services.kit.web.console import admin_api, audited
from services.quiz.bank.check import Job
from services.quiz.bank.drafts import Draft, Drafts
from services.quiz.bank.pages import LARGEST, Contests, Verdict, known_contest, small_enough, verdict_of
from services.quiz.bank.sheet import Remark

_LOOK_S = 0.2
"""How often a file that is being read is looked at."""

Caller = Annotated[Account, Depends(admin_api("city"))]


class RemarkView(BaseModel):
    column: str = Field(description="Empty for the row as a whole")
    text: str


class RowView(BaseModel):
    row: int
    sheet: str
    question: str = Field(description="The id that it has, or would have; empty where the row is no question")
    verdict: Verdict
    faults: list[RemarkView]
    warnings: list[RemarkView]


class ImportView(BaseModel):
    """What came of a file. Rows count lines or questions, from 1."""

    draft: str
    good: bool
    taken: bool = Field(description="Whether the questions are in the bank now")
    questions: int = Field(description="How many were added or corrected, or would be")
    faults: list[RemarkView]
    warnings: list[RemarkView]
    rows: list[RowView]


class BankApi:
    """The call."""

    def __init__(self, drafts: Drafts, contests: Contests) -> None:
        self._drafts, self._contests = drafts, contests
        self.router = APIRouter(prefix="/api/v1/admin/bank", tags=["admin"])
        self.router.post(
            "/import",
            summary="Import a file of questions, all or nothing",
            responses=problems(401, 403, 404, 413, 422, 503),
            dependencies=[Depends(small_enough)],
            openapi_extra={"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {
                "type": "string", "format": "binary"}}}}},
        )(self.take)  # fmt: skip

    async def take(
        self,
        request: Request,
        caller: Caller,
        contest: Annotated[str, Query(max_length=100)],
        name: Annotated[str, Query(min_length=1, max_length=200, description="The file's name: its ending tells the format")],
        topic: Annotated[str, Query(max_length=100, description="For questions whose file names none")] = "",
        skip_known: Annotated[bool, Query(description="Pass over what the bank has instead of refusing it")] = False,
        correct: Annotated[bool, Query(description="A row with the id of a question of the bank corrects that question")] = False,
        dry_run: bool = False,
    ) -> ImportView:
        """The body is the file: Excel, CSV, GIFT, Aiken, Moodle XML, or a zip with pictures."""
        known_contest(await self._contests(), contest)
        data = await request.body()
        if not 0 < len(data) <= LARGEST:
            raise Problem(422, "file", "Hãy chọn một tệp.", field="file")
        draft = await self._read(await self._drafts.begin(contest, Job(name, data, topic, skip_known, correct=correct)))
        rows = await self._drafts.rows(draft.id)
        if draft.clean and not dry_run:
            added = await self._drafts.take(draft, caller.id)
            await audited(request, "bank.imported", contest, draft=draft.id, questions=added)
        lang = language(request)
        return ImportView(
            draft=draft.id,
            good=draft.clean,
            taken=draft.clean and not dry_run,
            questions=draft.wanted,
            faults=_shown(draft.faults, lang),
            warnings=_shown(draft.warnings, lang),
            rows=[
                RowView(
                    row=row.row,
                    sheet=row.sheet,
                    question=row.question.id if row.question else "",
                    verdict=verdict_of(row),
                    faults=_shown(row.faults, lang),
                    warnings=_shown(row.warnings, lang),
                )
                for row in rows
            ],
        )

    async def _read(self, id: str) -> Draft:
        """The draft once the file has been read. Raises Problem 422 where its reader gave up."""
        while True:
            draft = await self._drafts.get(id)
            state: Literal["reading", "ready", "failed", "imported"] = draft.state if draft else "failed"
            if draft is not None and state == "ready":
                return draft
            if state != "reading":
                raise Problem(422, "file", "Không đọc được tệp này.", field="file")
            await asyncio.sleep(_LOOK_S)


def _shown(remarks: list[Remark] | tuple[Remark, ...], lang: str) -> list[RemarkView]:
    return [RemarkView(column=each.column, text=translate(each.message, lang).format(**each.values)) for each in remarks]
