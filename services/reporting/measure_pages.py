"""The console's pages of what units do to mobilise: a unit notes it, organisers see the last of all their units."""

from __future__ import annotations

import asyncio
import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData, UploadFile

from services.events import ContestBook
from services.kit.clock import Clock
from services.kit.i18n import translate
from services.kit.pictures import BadPicture, shrink
from services.kit.problems import Problem
from services.kit.sheets import read_day
from services.kit.web import language, render
from services.kit.web.console import Member, account_in, audited, needs_form
from services.reporting.measures import Measure, Measures
from services.reporting.unit_view import View, text_of, view_of

LARGEST = 15 * 1024 * 1024
"""Bytes of a picture that may be uploaded."""
SHOWN = 100

Writers = Annotated[FormData, Depends(needs_form("city", "district", "unit"))]


class MeasurePages:
    """`/console/turnout/{contest}/measures` and what lies below it."""

    def __init__(self, measures: Measures, book: ContestBook, clock: Clock) -> None:
        self._measures, self._book, self._clock = measures, book, clock
        self.router = APIRouter(include_in_schema=False, prefix="/console/turnout/{contest}/measures")
        self.router.add_api_route("", self.look)
        self.router.add_api_route("", self.note, methods=["POST"])
        self.router.add_api_route("/remove", self.remove, methods=["POST"])
        self.router.add_api_route("/{unit}/{digest}.webp", self.picture)

    async def look(self, request: Request, account: Member, contest: str, unit: str = "") -> Response:
        """A unit's measures; without a unit, the last of all that the account may see."""
        return await self._page(request, view_of(request, account, self._book, self._clock, (contest, unit, "")), None)

    async def note(self, request: Request, form: Writers, contest: str) -> Response:
        """A measure of a unit, with a picture where one was sent."""
        view = self._asked(request, form, contest)
        try:
            measure, picture = await self._measure(request, view, form)
            kept = await self._measures.add(contest, view.unit or "", measure, picture)
        except Problem as problem:
            return await self._page(request, view, problem)
        await audited(request, "measure.noted", f"{contest}/{view.unit}", day=kept.day, picture=kept.picture)
        return RedirectResponse(_page_of(view), 303)

    async def _measure(self, request: Request, view: View, form: FormData) -> tuple[Measure, bytes]:
        if view.unit is None:
            raise Problem(422, "unit", "Hãy chọn đơn vị.", field="unit")
        text, day, file = text_of(form, "text"), read_day(text_of(form, "day")), form.get("picture")
        if not text:
            raise Problem(422, "text", "Hãy ghi đơn vị đã làm gì.", field="text")
        if day is None or day > view.today:
            raise Problem(422, "day", "Hãy chọn ngày, không sau hôm nay.", field="day")
        picture = b""
        if isinstance(file, UploadFile) and file.filename:
            data = await file.read()
            if len(data) > LARGEST:
                raise Problem(413, "too-large", "Tệp quá lớn: nhiều nhất {mb} MB.", field="picture", mb=LARGEST >> 20)
            try:
                picture = await asyncio.to_thread(shrink, data)
            except BadPicture as error:
                raise Problem(422, "picture", str(error), field="picture", name=file.filename[:80]) from error
        by, now = account_in(request).id, self._clock.now()
        return Measure(id=uuid.uuid4().hex, day=day, text=text, by=by, at=now), picture

    async def remove(self, request: Request, form: Writers, contest: str) -> Response:
        """Takes a measure back."""
        view, id = self._asked(request, form, contest), text_of(form, "id")
        if view.unit is None:
            raise Problem(422, "unit", "Hãy chọn đơn vị.", field="unit")
        await self._measures.remove(contest, view.unit, id)
        await audited(request, "measure.removed", f"{contest}/{view.unit}", measure=id)
        return RedirectResponse(_page_of(view), 303)

    async def picture(
        self, request: Request, account: Member, contest: str, unit: str, digest: Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
    ) -> Response:
        """A picture, for those who may see its unit."""
        view = view_of(request, account, self._book, self._clock, (contest, unit, ""))
        body = await self._measures.picture(contest, view.unit or "", digest)
        if body is None:
            raise Problem(404, "picture", "Không có hình này.")
        return Response(body, media_type="image/webp", headers={"Cache-Control": "private, max-age=86400"})

    def _asked(self, request: Request, form: FormData, contest: str) -> View:
        asked = (contest, text_of(form, "unit"), "")
        return view_of(request, account_in(request), self._book, self._clock, asked)

    async def _page(self, request: Request, view: View, problem: Problem | None) -> Response:
        contest = view.contest.contest
        recent = [one for one in await self._measures.recent(contest, 10 * SHOWN) if one[0] in view.units and view.inside(one[0])]
        own = [(view.unit, measure) for measure in await self._measures.of(contest, view.unit)] if view.unit else []
        lang = language(request)
        return render(
            request, "measures.html", problem.status if problem else 200,
            view=view,
            own=own[:SHOWN],
            others=[(view.units[unit], measure) for unit, measure in recent if unit != view.unit][:SHOWN],
            writes=view.account.role in ("city", "district", "unit"),
            children=view.children(),
            problem={"field": problem.field or "", "detail": problem.document(lang)["detail"]} if problem else None,
            day=lambda iso: "/".join(reversed(iso.split("-"))),
            title=translate("Biện pháp vận động", lang),
        )  # fmt: skip


def _page_of(view: View) -> str:
    return f"/console/turnout/{view.contest.contest}/measures{view.here}"
