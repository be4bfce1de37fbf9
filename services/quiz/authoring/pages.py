"""The console's pages of a contest: made, described, published, its banner. Units and rounds have pages of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from services.events import ContestBook, state_at
from services.kit.problems import Problem
from services.kit.web import language, render
from services.kit.web.console import Organiser, OrganiserForm, audited
from services.quiz.authoring import forms
from services.quiz.authoring.commands import Authoring
from services.quiz.authoring.drafts import ContestDraft, RoundDraft
from services.quiz.pages import STATES

STAGES = {"draft": "Bản nháp", "submitted": "Chờ duyệt", "approved": "Đã duyệt", "published": "Đã công bố"}
"""How far a round has come, in words."""


class ContestPages:
    """`/console/contests/{contest}` and what lies below it but rounds."""

    def __init__(self, authoring: Authoring, book: ContestBook) -> None:
        self._authoring, self._book = authoring, book
        self.router = APIRouter(include_in_schema=False)
        get, post = self.router.get, self.router.post
        get("/console/contests/moi")(self.new)
        post("/console/contests/moi")(self.create)
        get("/console/contests/{contest}")(self.look)
        get("/console/contests/{contest}/sua")(self.edit)
        post("/console/contests/{contest}/sua")(self.save)
        post("/console/contests/{contest}/cong-bo")(self.publish)
        post("/console/contests/{contest}/thong-bao")(self.banner)

    async def new(self, request: Request, _: Organiser) -> Response:
        """The form of a new contest."""
        return self._new(request, {"kind": "Cuộc thi trắc nghiệm trên Internet"}, None)

    def _new(self, request: Request, values: forms.Form, problem: Problem | None) -> Response:
        status = problem.status if problem else 200
        return render(request, "authoring_new.html", status, values=values, problem=said(request, problem))

    async def create(self, request: Request, _: Organiser, form: OrganiserForm) -> Response:
        try:
            title, kind, owner = (forms.text(form, name, 200) for name in ("title", "kind", "owner"))
            draft = await self._authoring.create(title, kind, owner, forms.text(form, "id", 60))
        except Problem as problem:
            return self._new(request, form, problem)
        await audited(request, "contest.created", draft.id)
        return RedirectResponse(f"/console/contests/{draft.id}/sua", 303)

    async def look(self, request: Request, _: Organiser, contest: str) -> Response:
        """The contest at a glance: what is done, what comes next."""
        draft = await self._authoring.get(contest)
        published = self._book.contests.get(contest)
        return render(
            request,
            "authoring_contest.html",
            draft=draft,
            topics=await self._authoring.topics(contest),
            rounds=self._rounds(draft),
            stages=STAGES,
            states=STATES,
            banner=self._authoring.live.banner(contest),
            published=published,
            unpublished=await self._authoring.unpublished(draft),
        )

    def _rounds(self, draft: ContestDraft) -> Sequence[tuple[RoundDraft, Any, str]]:
        """The rounds, each with its plan as everyone knows it (None before), and the plan's state."""
        plans = [(round, self._book.round(round.id)) for round in draft.rounds]
        return [(round, plan, state_at(plan, self._authoring.now) if plan else "") for round, plan in plans]

    async def edit(self, request: Request, _: Organiser, contest: str) -> Response:
        """The form of a contest's texts."""
        draft = await self._authoring.get(contest)
        values = {
            "title": draft.title,
            "kind": draft.kind,
            "owner": draft.owner,
            "timezone": draft.timezone,
            "documents": forms.documents_text(draft.documents),
            "categories": forms.categories_text(draft.categories),
            "consent": draft.consent_text,
            "publish_names": draft.publish_names,
            "revision": str(draft.revision),
        }
        return self._edit(request, draft, values, None)

    def _edit(self, request: Request, draft: ContestDraft, values: forms.Form, problem: Problem | None) -> Response:
        status = problem.status if problem else 200
        return render(request, "authoring_edit.html", status, draft=draft, values=values, problem=said(request, problem))

    async def save(self, request: Request, _: Organiser, form: OrganiserForm, contest: str) -> Response:
        draft = read_at(await self._authoring.get(contest), form)
        try:
            await self._authoring.edit(forms.contest_of(form, draft))
        except Problem as problem:
            return self._edit(request, draft, form, problem)
        await audited(request, "contest.changed", contest)
        return RedirectResponse(f"/console/contests/{contest}", 303)

    async def publish(self, request: Request, _: Organiser, form: OrganiserForm, contest: str) -> Response:
        """Tells everyone of changed texts and units."""
        draft = await self._authoring.publish(contest)
        await audited(request, "contest.published", contest, revision=draft.published)
        return RedirectResponse(f"/console/contests/{contest}", 303)

    async def banner(self, request: Request, _: Organiser, form: OrganiserForm, contest: str) -> Response:
        draft = await self._authoring.get(contest)
        text = forms.text(form, "text", 1000)
        until = forms.moment(form, "until", draft.zone)
        await self._authoring.put_banner(contest, text, forms.text(form, "level"), until)
        await audited(request, "contest.banner", contest, text=text, until=str(until or ""))
        return RedirectResponse(f"/console/contests/{contest}#thong-bao", 303)


def read_at(draft: ContestDraft, form: forms.Form) -> ContestDraft:
    """The draft as the form was made from it: if somebody has changed it since, keeping it will fail."""
    if forms.text(form, "revision") not in ("", str(draft.revision)):
        raise Problem(409, "draft-changed", "Người khác vừa sửa cuộc thi này. Hãy tải lại trang rồi làm lại.")
    return draft


def said(request: Request, problem: Problem | None) -> dict[str, str]:
    """A problem for a form that is shown again: the field that is wrong, and why."""
    if problem is None:
        return {"field": "", "detail": ""}
    return {"field": problem.field or "", "detail": problem.document(language(request))["detail"]}
