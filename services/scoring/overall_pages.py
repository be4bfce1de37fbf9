"""The prizes of a contest over all its rounds, in the console: set, worked out, looked at, published."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from services.events import ContestBook
from services.kit.problems import Problem
from services.kit.web import render
from services.kit.web.console import Organiser, OrganiserForm, audited
from services.scoring.closing import Closing
from services.scoring.settle_pages import PHASES, SUGGESTED, lines_of, prizes_of
from services.scoring.settlement import Settlements


class OverallPages:
    """`/console/rounds/{contest}/overall`."""

    def __init__(self, closing: Closing, book: ContestBook, settlements: Settlements) -> None:
        self._closing, self._book, self._settlements = closing, book, settlements
        self.router = APIRouter(prefix="/console/rounds/{contest}/overall", include_in_schema=False)
        self.router.add_api_route("", self.look)
        self.router.add_api_route("", self.act, methods=["POST"])

    async def look(self, request: Request, session: Organiser, contest: str) -> Response:
        """Where it stands, and what can be done."""
        found, settlement = self._closing.contest(contest), await self._settlements.get(contest)
        committed = await self._settlements.committed(contest)
        return render(
            request,
            "overall.html",
            contest=found,
            settlement=settlement,
            outcome=settlement.outcome,
            phases=PHASES,
            waiting=await self._closing.unpublished(contest),
            commitment=committed.commitment if committed else "",
            committed_at=committed.committed_at if committed else None,
            persons=lines_of(settlement.prizes or SUGGESTED),
            unit_names={code: unit.name for code, unit in self._book.units(contest).items()},
        )

    async def act(self, request: Request, form: OrganiserForm, contest: str) -> Response:
        """Sets the prizes and asks for the outcome; takes it back; publishes it."""
        self._closing.contest(contest)
        action = str(form.get("action", ""))
        if action == "settle":
            await self._closing.settle_contest(contest, prizes_of(str(form.get("persons", "")), "persons"))
        elif action == "reopen":
            await self._closing.reopen_contest(contest)
        elif action == "publish":
            await self._closing.publish_contest(contest)
        else:
            raise Problem(422, "action", "Không có thao tác này.", field="action")
        await audited(request, f"results.{action}", contest)
        return RedirectResponse(f"/console/rounds/{contest}/overall", 303)
