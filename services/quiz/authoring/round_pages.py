"""The console's pages of a round: made, checked, tried, approved, published, and run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from services.events import ContestBook, state_at
from services.kit.console.audit_log import sealed
from services.kit.i18n import translate
from services.kit.problems import Problem
from services.kit.web import language, render
from services.kit.web.console import Organiser, OrganiserForm, audited
from services.quiz.authoring import forms
from services.quiz.authoring.checklist import blocked
from services.quiz.authoring.commands import Authoring, Grant, find
from services.quiz.authoring.drafts import RANKING, ContestDraft, RoundDraft, Rules, round_id
from services.quiz.authoring.live import Banner
from services.quiz.authoring.pages import STAGES, read_at, said
from services.quiz.authoring.running import Change
from services.quiz.authoring.words import FAVOURS, explain
from services.quiz.domain import REST
from services.quiz.pages import STATES, times

CHANGE: dict[str, Change] = {"tam-dung": "pause", "tiep-tuc": "resume", "gia-han": "extend", "dong": "close"}
"""The address of each change of a running round."""

PREVIEW = "Đây là bản xem thử, đề rút riêng cho lần xem này. Không có gì được ghi lại."

DONE = {"pause": "round.paused", "resume": "round.resumed", "extend": "round.extended", "close": "round.closed"}


class RoundPages:
    """`/console/contests/{contest}/vong/…`."""

    def __init__(self, authoring: Authoring, book: ContestBook) -> None:
        self._authoring, self._book = authoring, book
        self.router = APIRouter(include_in_schema=False, prefix="/console/contests/{contest}/vong")
        get, post = self.router.get, self.router.post
        get("/moi")(self.new)
        post("/moi")(self.create)
        get("/{round}")(self.look)
        get("/{round}/sua")(self.edit)
        post("/{round}/sua")(self.save)
        get("/{round}/xem-thu")(self.preview)
        post("/{round}/trinh-duyet")(self.submit)
        post("/{round}/duyet")(self.approve)
        post("/{round}/cong-bo")(self.publish)
        post("/{round}/them-gio")(self.grant)
        for action in CHANGE:
            post(f"/{{round}}/{action}")(self.change)

    async def new(self, request: Request, _: Organiser, contest: str, tu: str = Query("", max_length=130)) -> Response:
        """The form of a new round; `tu` is the round that it is to be like, a week later."""
        draft = await self._authoring.get(contest)
        proposed = self._authoring.proposed(draft, tu)
        return await self._form(request, draft, proposed, values_of(draft, proposed), None, new=True)

    async def create(self, request: Request, _: Organiser, form: OrganiserForm, contest: str) -> Response:
        draft = await self._authoring.get(contest)
        proposed = self._authoring.proposed(draft)
        try:
            read_at(draft, form)
            round = forms.round_of(form, draft, proposed)
            round = msgspec.structs.replace(round, id=round_id(draft, round.name))
            await self._authoring.put_round(draft, round)
        except Problem as problem:
            return await self._form(request, draft, proposed, form, problem, new=True)
        await audited(request, "round.created", round.id)
        return _to(round, contest)

    async def edit(self, request: Request, _: Organiser, contest: str, round: str) -> Response:
        """The form of a round."""
        draft = await self._authoring.get(contest)
        found = find(draft, round)
        return await self._form(request, draft, found, values_of(draft, found), None, new=False)

    async def save(self, request: Request, _: Organiser, form: OrganiserForm, contest: str, round: str) -> Response:
        draft = await self._authoring.get(contest)
        found = find(draft, round)
        try:
            read_at(draft, form)
            await self._authoring.put_round(draft, forms.round_of(form, draft, found))
        except Problem as problem:
            return await self._form(request, draft, found, form, problem, new=False)
        await audited(request, "round.changed", found.id)
        return _to(found, contest)

    async def _form(
        self, request: Request, draft: ContestDraft, round: RoundDraft, values: forms.Form, problem: Problem | None, *, new: bool
    ) -> Response:
        topics = await self._authoring.topics(draft.id)
        names = [REST, *sorted({*topics, *round.rules.blueprint} - {REST})]
        return render(
            request,
            "authoring_round_form.html",
            problem.status if problem else 200,
            draft=draft,
            round=round,
            new=new,
            values=values,
            problem=said(request, problem),
            topics=[(name, topics.get(name, sum(topics.values()) if name == REST else 0)) for name in names],
            ranking=RANKING,
            favours=FAVOURS,
        )

    async def look(self, request: Request, session: Organiser, contest: str, round: str) -> Response:
        """A round at a glance: its checklist until it is published, then what can be done to it."""
        draft = await self._authoring.get(contest)
        found = find(draft, round)
        plan, now = self._book.round(found.id), self._authoring.now
        points = [] if found.stage == "published" else await self._authoring.points(draft, found)
        return render(
            request,
            "authoring_round.html",
            draft=draft,
            round=found,
            plan=plan or found.plan(contest),
            state=state_at(plan, now) if plan else "",
            states=STATES,
            stages=STAGES,
            points=points,
            blocked=blocked(points),
            mine=found.submitted_by == session.person,
            explained=explain(plan or found.plan(contest)),
            grants=self._grants(draft, found),
            until=forms.local((plan or found).closes + timedelta(days=1), draft),
        )

    def _grants(self, draft: ContestDraft, round: RoundDraft) -> list[tuple[str, str, int]]:
        """The extra time of a round: kind, name, minutes. A person's name is not shown."""
        names = {("unit", unit.code): unit.name for unit in draft.units}
        names |= {("category", category.id): category.name for category in draft.categories}
        grants = self._authoring.live.grants(round.id).items()
        return [(kind, names.get((kind, target), target), minutes) for (kind, target), minutes in grants if minutes]

    async def preview(self, request: Request, _: Organiser, contest: str, round: str) -> Response:
        """A sample on the page that participants will see; nothing is recorded."""
        draft = await self._authoring.get(contest)
        found = find(draft, round)
        paper = await self._authoring.sample(draft, found)
        plan, now = found.plan(contest), self._authoring.now
        questions = msgspec.json.decode(paper.questions)
        answer: dict[str, Any] = {
            "attempt_id": f"preview:{found.id}:1", "n": 1, "attempts_left": plan.attempts - 1, "paper_token": "",
            "paper": {"code": "000", "minutes": plan.minutes, "questions": questions, "prediction": plan.prediction},
        }  # fmt: skip
        return render(
            request,
            "paper.html",
            contest=msgspec.structs.replace(draft.publication(now), rounds=()),
            plan=plan,
            state="open",
            times=times(draft.publication(now), now),
            banner=Banner(translate(PREVIEW, language(request)), "info", now),
            preview={"answer": answer, "name": "An", "back": f"/console/contests/{contest}/vong/{found.slug}"},
        )

    async def submit(self, request: Request, session: Organiser, form: OrganiserForm, contest: str, round: str) -> Response:
        draft = await self._authoring.get(contest)
        found = await self._authoring.submit(draft, find(draft, round).id, session.person)
        await audited(request, "round.submitted", found.id)
        return _to(found, contest)

    async def approve(self, request: Request, session: Organiser, form: OrganiserForm, contest: str, round: str) -> Response:
        draft = read_at(await self._authoring.get(contest), form)
        found = await self._authoring.approve(draft, find(draft, round).id, session.person, forms.text(form, "alone"))
        reason = found.alone and sealed(found.alone)
        await audited(request, "round.approved_alone" if found.alone else "round.approved", found.id, reason=reason)
        return _to(found, contest)

    async def publish(self, request: Request, _: Organiser, form: OrganiserForm, contest: str, round: str) -> Response:
        found = find(await self._authoring.get(contest), round)
        await self._authoring.publish(contest, found.id)
        await audited(request, "round.published", found.id)
        return _to(found, contest)

    async def change(self, request: Request, session: Organiser, form: OrganiserForm, contest: str, round: str) -> Response:
        """Pause, resume, extend or close, by the address."""
        change = CHANGE[request.url.path.rpartition("/")[2]]
        draft = await self._authoring.get(contest)
        found, reason = find(draft, round), forms.text(form, "reason", 300)
        plan = await self._authoring.change(found.id, change, session.id, reason, forms.moment(form, "closes", draft.zone))
        await audited(request, DONE[change], found.id, reason=reason, closes=plan.closes.isoformat())
        return _to(found, contest)

    async def grant(self, request: Request, session: Organiser, form: OrganiserForm, contest: str, round: str) -> Response:
        """Extra time. A phone number comes in the form and goes no further."""
        draft = await self._authoring.get(contest)
        kind = forms.text(form, "kind")
        target = forms.text(form, kind) if kind in ("participant", "unit", "category") else ""
        grant = Grant(kind, target, forms.number(form, "minutes", 0, 240), forms.text(form, "reason", 300))
        found = find(draft, round)
        kept = await self._authoring.grant(draft, found.id, grant, session.id)
        reason = sealed(grant.reason.strip())
        await audited(request, "round.extra_time", found.id, kind=kind, target=kept, minutes=grant.minutes, reason=reason)
        return _to(found, contest)


def values_of(draft: ContestDraft, round: RoundDraft) -> dict[str, str]:
    """A round as its form shows it."""
    rules: Rules = round.rules
    values = {f"{forms.TOPIC}{topic}": str(count) for topic, count in rules.blueprint.items()}
    values |= {f"ranking{place}": name for place, name in enumerate(rules.ranking, 1)}
    return values | {
        "name": round.name,
        "opens": forms.local(round.opens, draft),
        "closes": forms.local(round.closes, draft),
        "codes": str(rules.codes),
        "minutes": str(rules.minutes),
        "attempts": str(rules.attempts),
        "counting": rules.counting,
        "prediction": rules.prediction or "",
        "show_score": rules.show_score,
        "revision": str(draft.revision),
    }


def _to(round: RoundDraft, contest: str) -> Response:
    return RedirectResponse(f"/console/contests/{contest}/vong/{round.slug}", 303)
