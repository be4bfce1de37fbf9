"""Settling a round in the console: prizes, who competes for none, the winners to be looked at, publication."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData

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
from services.scoring.settlement import Phase, Settlements

PHASES: dict[Phase, str] = {
    "draft": "Chuẩn bị giải thưởng",
    "asked": "Đang tính giải và lập tệp công bố",
    "settled": "Chờ xem lại và công bố",
    "published": "Đã công bố",
}


class SettlePages:
    """`/console/rounds/{round}/prizes` and what follows from it."""

    def __init__(self, closing: Closing, book: ContestBook, settlements: Settlements, looks: Looks) -> None:
        self._closing, self._book, self._settlements, self._looks = closing, book, settlements, looks
        self.router = APIRouter(prefix="/console/rounds/{round}", include_in_schema=False)
        self.router.add_api_route("/prizes", self.prizes)
        self.router.add_api_route("/prizes", self.act, methods=["POST"])

    async def prizes(self, request: Request, session: Organiser, round: str) -> Response:
        """Where the settlement stands, and what can be done."""
        plan, contest = self._closing.round(round)
        readiness = await self._closing.readiness(plan)
        settlement = readiness.settlement
        committed = await self._settlements.committed(round)
        found = await self._looks.at_round(request, readiness) if settlement.phase == "draft" else {}
        return render(
            request,
            "prizes.html",
            plan=plan,
            contest=contest,
            settlement=settlement,
            outcome=settlement.outcome,
            phases=PHASES,
            readiness=readiness,
            commitment=committed.commitment if committed else "",
            committed_at=committed.committed_at if committed else None,
            excluded=await self._closing.excluded(plan, found),
            found=found,
            whys=WHY_NAMES,
            unit_names={code: unit.name for code, unit in self._book.units(plan.contest).items()},
            **prize_forms.fields(contest, settlement, overall=False),
        )

    async def act(self, request: Request, form: OrganiserForm, round: str) -> Response:
        """Sets the prizes and asks for the outcome; takes it back; publishes it."""
        plan, _ = self._closing.round(round)
        action, noted = _text(form, "action"), dict[str, str]()
        if action == "settle":
            prizes, ready = prize_forms.read(form), await self._closing.unblocked(plan)
            await self._closing.settle(plan, *prizes, await self._looks.at_round(request, ready))
        elif action == "exclude":
            attempt, why, by = _text(form, "attempt"), _text(form, "why"), account_in(request).id
            made = await self._closing.exclude(plan, attempt, why, _text(form, "reason"), by)
            noted |= {"participant": made.participant, "why": made.why, "reason": sealed(made.reason)}
        elif action == "include":
            who, reason, by = _text(form, "participant"), reason_of(_text(form, "reason")), account_in(request).id
            found = await self._looks.at_round(request, await self._closing.readiness(plan))
            excluded = await self._closing.excluded(plan, found)
            await self._closing.include(round, excluded, who, reason, by)
            noted |= {"participant": who, "reason": sealed(reason)}
        elif action == "override":
            noted["reason"] = (await self._closing.set_aside(plan, _text(form, "reason"), account_in(request).id)).reason
        elif action == "reopen":
            await self._closing.reopen(plan)
        elif action == "publish":
            await self._closing.publish(plan)
        else:
            raise Problem(422, "action", "Không có thao tác này.", field="action")
        await audited(request, f"results.{action}", round, **noted)
        if action in ("exclude", "include"):
            await self._closing.still_in_draft(round)
        return RedirectResponse(f"/console/rounds/{round}/prizes", 303)


def _text(form: FormData, name: str) -> str:
    return str(form.get(name, "")).strip()
