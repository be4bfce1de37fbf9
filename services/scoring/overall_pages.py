"""The prizes of a contest over all its rounds, in the console: set, worked out, looked at, published."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from services.events import ContestBook
from services.kit.console.audit_log import sealed
from services.kit.problems import Problem
from services.kit.web import render
from services.kit.web.console import Organiser, OrganiserForm, account_in, audited
from services.scoring import prize_forms
from services.scoring.closing import Closing
from services.scoring.exclusions import WHY_NAMES
from services.scoring.jury import reason_of
from services.scoring.looks import Looks
from services.scoring.settle_pages import PHASES
from services.scoring.settlement import Settlements


class OverallPages:
    """`/console/rounds/{contest}/overall`."""

    def __init__(self, closing: Closing, book: ContestBook, settlements: Settlements, looks: Looks) -> None:
        self._closing, self._book, self._settlements, self._looks = closing, book, settlements, looks
        self.router = APIRouter(prefix="/console/rounds/{contest}/overall", include_in_schema=False)
        self.router.add_api_route("", self.look)
        self.router.add_api_route("", self.act, methods=["POST"])

    async def look(self, request: Request, session: Organiser, contest: str) -> Response:
        """Where it stands, and what can be done."""
        published, settlement = self._closing.contest(contest), await self._settlements.get(contest)
        found = await self._looks.at_contest(request, contest) if settlement.phase == "draft" else {}
        committed = await self._settlements.committed(contest)
        return render(
            request,
            "overall.html",
            contest=published,
            settlement=settlement,
            outcome=settlement.outcome,
            phases=PHASES,
            waiting=await self._closing.unpublished(contest),
            commitment=committed.commitment if committed else "",
            committed_at=committed.committed_at if committed else None,
            excluded=await self._closing.excluded_overall(contest, found),
            found=found,
            whys=WHY_NAMES,
            unit_names={code: unit.name for code, unit in self._book.units(contest).items()},
            **prize_forms.fields(published, settlement, overall=True),
        )

    async def act(self, request: Request, form: OrganiserForm, contest: str) -> Response:
        """Sets the prizes and asks for the outcome; takes it back; publishes it."""
        self._closing.contest(contest)
        action, noted = str(form.get("action", "")), dict[str, str]()
        if action == "settle":
            prizes = prize_forms.read(form)
            await self._closing.all_published(contest)
            await self._closing.settle_contest(contest, *prizes, await self._looks.at_contest(request, contest))
        elif action == "include":
            who, reason, by = str(form.get("participant", "")), reason_of(str(form.get("reason", ""))), account_in(request).id
            excluded = await self._closing.excluded_overall(contest, await self._looks.at_contest(request, contest))
            await self._closing.include(contest, excluded, who, reason, by)
            noted |= {"participant": who, "reason": sealed(reason)}
        elif action == "reopen":
            await self._closing.reopen_contest(contest)
        elif action == "publish":
            await self._closing.publish_contest(contest)
        else:
            raise Problem(422, "action", "Không có thao tác này.", field="action")
        await audited(request, f"results.{action}", contest, **noted)
        if action == "include":
            await self._closing.still_in_draft(contest)
        return RedirectResponse(f"/console/rounds/{contest}/overall", 303)
