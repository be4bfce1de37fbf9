"""The console's page of a round's key: what it is, a better one proposed, published or dropped."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from services.events import ContestBook, state_at
from services.kit.console.audit_log import sealed
from services.kit.problems import Problem
from services.kit.web import render
from services.kit.web.console import Organiser, OrganiserForm, audited
from services.quiz.authoring.commands import Authoring, find
from services.quiz.authoring.mending import Mending
from services.quiz.domain import LETTERS

STATES = {"proposed": "Chờ quyết định", "published": "Đã công bố đáp án", "dropped": "Đã bỏ"}


class MendingPages:
    """`/console/contests/{contest}/vong/{round}/dap-an`."""

    def __init__(self, authoring: Authoring, mending: Mending, book: ContestBook) -> None:
        self._authoring, self._mending, self._book = authoring, mending, book
        self.router = APIRouter(include_in_schema=False, prefix="/console/contests/{contest}/vong/{round}/dap-an")
        self.router.add_api_route("", self.look)
        self.router.add_api_route("", self.act, methods=["POST"])

    async def look(self, request: Request, _: Organiser, contest: str, round: str, cau: str = "", seen: str = "") -> Response:
        """The key as it stands, and its versions. `seen` comes from scoring's page of a trial."""
        draft = await self._authoring.get(contest)
        found = find(draft, round)
        plan = self._book.round(found.id)
        if plan is None:
            raise Problem(409, "no-key", "Vòng thi chưa có đề.")
        amendments = await self._mending.amendments(found.id)
        looked_at = bool(amendments) and self._mending.shown(plan, amendments[-1].version, seen)
        return render(
            request, "mending.html", draft=draft, round=found, letters=LETTERS, states=STATES, chosen=cau,
            questions=await self._mending.questions(plan), amendments=amendments,
            state=state_at(plan, self._authoring.now), seen=seen, looked_at=looked_at,
        )  # fmt: skip

    async def act(self, request: Request, who: Organiser, form: OrganiserForm, contest: str, round: str) -> Response:
        """Proposes, publishes or drops."""
        found = find(await self._authoring.get(contest), round)
        action = str(form.get("action", ""))
        if action == "propose":
            question, right, reason = (str(form.get(name, "")) for name in ("question", "right", "reason"))
            amendment = await self._mending.propose(found.id, question, right, reason, who.id)
            reason = sealed(amendment.reason)
            await audited(request, "key.proposed", found.id, version=amendment.version, question=question, reason=reason)
        elif action in ("publish", "drop"):
            version = str(form.get("version", ""))
            if not version.isdigit():
                raise Problem(404, "version", "Không có đáp án này.", field="version")
            state: Literal["published", "dropped"] = "published" if action == "publish" else "dropped"
            await self._mending.decide(found.id, int(version), state, str(form.get("seen", "")))
            await audited(request, f"key.{action}", found.id, version=int(version))
        else:
            raise Problem(422, "action", "Không có thao tác này.", field="action")
        return RedirectResponse(f"/console/contests/{contest}/vong/{round}/dap-an", 303)
