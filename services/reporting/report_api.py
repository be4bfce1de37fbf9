"""The API of reports (design §9): asked for by its address, made by a worker, fetched from the same address once it is ready."""

from __future__ import annotations

import io
import zipfile
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from services.kit.console.accounts import Account
from services.kit.problems import Problem
from services.kit.web import problems
from services.kit.web.console import admin_api, audited
from services.reporting.report.desk import MEDIA, Desk, file_name
from services.reporting.report.jobs import FAULT, FileGone, Format, Job, Kind
from services.reporting.report.jobs import Request as Asked

Reporter = Annotated[Account, Depends(admin_api("city", "district", "unit", "reader"))]


class Progress(BaseModel):
    """A report that is being made."""

    id: str
    phase: Literal["asked", "cut", "rendering", "ready", "failed", "cancelled"]
    percent: int = Field(ge=0, le=100)
    as_of: str = Field(description="The cut-off of all figures, a full hour")
    url: str = Field(description="Where the very same report is, whatever the hour")


class ReportApi:
    """`/api/v1/reports/…`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.router = APIRouter(prefix="/api/v1/reports", tags=["reporting"])
        answers = problems(401, 403, 404, 422, 429, 500, 503) | {200: {"description": "The file"}, 202: {"model": Progress}}
        self.router.get(
            "/{kind}.{format}", response_class=Response, responses=answers, summary="An official report, its tables, or a letter"
        )(self.report)

    async def report(
        self,
        request: Request,
        account: Reporter,
        kind: Annotated[Kind, Path()],
        format: Annotated[Format, Path()],
        contest: Annotated[str, Query(description="Id of the contest", examples=["hai-phong-2023"])],
        as_of: Annotated[str, Query(description="Cut-off, a full hour; without it, the last one")] = "",
        unit: Annotated[str, Query(description="Code of the unit; without it, all that the account may see")] = "",
        tree: Annotated[str, Query(description="Id of a unit tree; without it, the contest's first")] = "",
        since: Annotated[str, Query(alias="from", description="Begin of the period; without it, that of the contest")] = "",
        until: Annotated[str, Query(alias="to", description="Last day of the period: another way to name the cut-off")] = "",
        units: Annotated[str, Query(description="Of a letter: codes of the units, separated by commas; without: who lags")] = "",
        table: Annotated[str, Query(description="Of a CSV: only this table, e.g. bieu-1")] = "",
    ) -> Response:
        """200 with the file; 202 with how far it is, `Retry-After`, and an address that stays the same. A CSV is a zip with one
        file a table, unless one is asked for. A letter has no period: it says how things stand."""
        asked = {"contest": contest, "kind": kind, "format": format, "unit": unit, "tree": tree}
        times = {"from": since, "to": until, "as_of": as_of, "units": units}
        wanted = await self._desk.request(account, asked | times)
        job = await self._desk.jobs.get(wanted.id)
        if job is None or job.phase == "cancelled":
            job, new = await self._desk.jobs.ask(wanted, account.id)
            if new:
                await audited(request, "report.asked", job.id, contest=contest, kind=kind, format=format, unit=wanted.unit)
        if job.phase == "failed":
            raise Problem(500 if job.fault == FAULT else 422, "report", job.fault)
        if job.phase != "ready":
            return _progress(job, wanted)
        try:
            found = await answer(self._desk, job, table)
        except FileGone:
            return _progress(await self._desk.jobs.get(job.id) or job, wanted)
        await audited(request, "report.fetched", job.id)
        return found


async def answer(desk: Desk, job: Job, table: str = "") -> Response:
    """The file of a job that is ready; of a CSV's tables, only the one that is named. Raises FileGone, Problem 404,
    StoreDown."""
    request = job.request
    content, media, extension = await desk.jobs.file(job), MEDIA[request.format], str(request.format)
    if request.format == "csv":
        extension = f"{table}.csv" if table else "csv.zip"
        if table:
            content, media = _only(content, table), "text/csv; charset=utf-8"
    headers = {"Content-Disposition": f'attachment; filename="{file_name(request, extension)}"', "Cache-Control": "no-store"}
    return Response(content, media_type=media, headers=headers)


def _only(content: bytes, table: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as files:
        if f"{table}.csv" not in files.namelist():
            raise Problem(404, "table", "Báo cáo không có biểu này.", field="table")
        return files.read(f"{table}.csv")


def _progress(job: Job, wanted: Asked) -> Response:
    fixed = {
        "contest": wanted.contest,
        "unit": wanted.unit,
        "tree": wanted.tree,
        "from": wanted.since.isoformat() if wanted.since else "",
        "as_of": wanted.as_of.isoformat(),
        "units": ",".join(wanted.units),
    }
    query = urlencode({name: value for name, value in fixed.items() if value})
    body = Progress(
        id=job.id,
        phase=job.phase,
        percent=job.percent,
        as_of=wanted.as_of.isoformat(),
        url=f"/api/v1/reports/{wanted.kind}.{wanted.format}?{query}",
    )
    return JSONResponse(body.model_dump(), 202, headers={"Retry-After": "2", "Location": body.url})
