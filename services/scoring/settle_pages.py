"""Settling a round in the console: prizes, the winners to be looked at, publication; and the certificate of each award."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData

from services.events import ContestBook, ContestPublished, RoundPlan
from services.kit.clock import Clock
from services.kit.console.audit_log import sealed
from services.kit.problems import Problem
from services.kit.settings import Settings
from services.kit.web import render
from services.kit.web.console import Organiser, OrganiserForm, account_in, audited
from services.scoring.certificates import Certificate, code_of
from services.scoring.certificates import render as render_certificate
from services.scoring.closing import Closing
from services.scoring.exclusions import WHY_NAMES
from services.scoring.prizes import Award, By, Prize
from services.scoring.settlement import Phase, Settlement, Settlements

PHASES: dict[Phase, str] = {
    "draft": "Chuẩn bị giải thưởng",
    "asked": "Đang tính giải và lập tệp công bố",
    "settled": "Chờ xem lại và công bố",
    "published": "Đã công bố",
}

SUGGESTED = (
    Prize(name="Giải Nhất", count=1),
    Prize(name="Giải Nhì", count=2),
    Prize(name="Giải Ba", count=3),
    Prize(name="Giải Khuyến khích", count=10),
)
"""What a form begins with where no prizes were set."""

_LINE = re.compile(r"(?P<name>.{1,80}?)\s*:\s*(?P<count>\d{1,4})")


class SettlePages:
    """`/console/rounds/{round}/prizes` and what follows from it."""

    def __init__(
        self, closing: Closing, book: ContestBook, settlements: Settlements, settings: Settings, key: bytes, clock: Clock
    ) -> None:
        self._closing, self._book, self._settlements = closing, book, settlements
        self._settings, self._key, self._clock = settings, key, clock
        self.router = APIRouter(prefix="/console/rounds/{round}", include_in_schema=False)
        self.router.add_api_route("/prizes", self.prizes)
        self.router.add_api_route("/prizes", self.act, methods=["POST"])
        self.router.add_api_route("/certificate", self.certificate, methods=["POST"])

    async def prizes(self, request: Request, session: Organiser, round: str) -> Response:
        """Where the settlement stands, and what can be done."""
        plan, contest = self._closing.round(round)
        readiness = await self._closing.readiness(plan)
        settlement = readiness.settlement
        committed = await self._settlements.committed(round)
        names = {code: unit.name for code, unit in self._book.units(plan.contest).items()}
        by_rate = [prize for prize in settlement.unit_prizes if prize.by == "rate"]
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
            persons=lines_of(settlement.prizes or SUGGESTED),
            units=lines_of([prize for prize in settlement.unit_prizes if prize.by != "rate"]),
            by_rate=by_rate,
            rates=lines_of(by_rate),
            excluded=await self._closing.excluded(plan),
            whys=WHY_NAMES,
            unit_names=names,
        )

    async def act(self, request: Request, form: OrganiserForm, round: str) -> Response:
        """Sets the prizes and asks for the outcome; takes it back; publishes it."""
        plan, _ = self._closing.round(round)
        action, noted = _text(form, "action"), dict[str, str]()
        if action == "settle":
            persons, least = prizes_of(_text(form, "persons"), "persons"), _number(form, "least")
            rates = prizes_of(_text(form, "rates"), "rates", "rate", least)
            await self._closing.settle(plan, persons, (*rates, *prizes_of(_text(form, "units"), "units", "people")))
        elif action == "exclude":
            attempt, why, by = _text(form, "attempt"), _text(form, "why"), account_in(request).id
            made = await self._closing.exclude(plan, attempt, why, _text(form, "reason"), by)
            noted |= {"participant": made.participant, "why": made.why, "reason": sealed(made.reason)}
        elif action == "include":
            noted["participant"] = _text(form, "participant")
            await self._closing.include(plan, noted["participant"])
        elif action == "override":
            override = await self._closing.set_aside(plan, _text(form, "reason"), account_in(request).id)
            noted["reason"] = sealed(override.reason)
        elif action == "reopen":
            await self._closing.reopen(plan)
        elif action == "publish":
            await self._closing.publish(plan)
        else:
            raise Problem(422, "action", "Không có thao tác này.", field="action")
        await audited(request, f"results.{action}", round, **noted)
        return RedirectResponse(f"/console/rounds/{round}/prizes", 303)

    async def certificate(self, request: Request, form: OrganiserForm, round: str) -> Response:
        """The certificate of an award as a PDF, with the name as its owner's papers have it: it is not kept."""
        plan, contest = self._closing.round(round)
        settlement = await self._settlements.get(round)
        ladder, _, place = _text(form, "award").rpartition("|")
        award = award_of(settlement, ladder, place)
        name = " ".join(_text(form, "name").split())
        if not 1 <= len(name) <= 120:
            raise Problem(422, "name", "Hãy ghi họ và tên.", field="name")
        content = await asyncio.to_thread(render_certificate, self._certificate(request, plan, contest, settlement, award, name))
        await audited(request, "certificate.made", round, ladder=award.ladder, place=award.place)
        headers = {"Content-Disposition": f'inline; filename="giay-chung-nhan-{award.place}.pdf"', "Cache-Control": "no-store"}
        return Response(content, media_type="application/pdf", headers=headers)

    def _certificate(
        self, request: Request, plan: RoundPlan, contest: ContestPublished, settlement: Settlement, award: Award, name: str
    ) -> Certificate:
        code = code_of(self._key, plan.id, award.ladder, award.place)
        units = self._book.units(plan.contest)
        unit = settlement.outcome.units.get(award.winner, "") if settlement.outcome else ""
        base = self._settings.public_url or str(request.base_url)
        at = settlement.outcome.finalised_at if settlement.outcome else self._clock.now()
        return Certificate(
            code=code,
            link=f"{base.rstrip('/')}/chung-nhan/{code}",
            name=name,
            unit=units[unit].name if unit in units else "",
            prize=award.prize,
            contest_line=f"{plan.name}, {contest.kind} “{contest.title}”" if contest.kind else f"{plan.name}, {contest.title}",
            issuer=contest.owner,
            place="",
            day=_local(at, contest.timezone),
        )


def award_of(settlement: Settlement, ladder: str, place: str) -> Award:
    """An award that stands. Raises Problem 404."""
    for award in settlement.outcome.awards if settlement.outcome else ():
        if award.ladder == ladder and str(award.place) == place:
            return award
    raise Problem(404, "award", "Không có giải này.")


def prizes_of(text: str, field: str, by: By | None = None, least: int = 0) -> tuple[Prize, ...]:
    """The prizes that a form names, a line each: "Giải Nhất: 1". Raises Problem 422."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        match = _LINE.fullmatch(line)
        if match is None or not int(match["count"]):
            raise Problem(422, "prize", "Mỗi dòng ghi tên giải, dấu hai chấm và số lượng, như “Giải Nhất: 1”.", field=field)
        found.append(Prize(name=match["name"], count=int(match["count"]), by=by, least=least))
    return tuple(found)


def lines_of(prizes: Sequence[Prize]) -> str:
    """Prizes as the form has them."""
    return "\n".join(f"{prize.name}: {prize.count}" for prize in prizes)


def _local(at: datetime, timezone: str) -> datetime:
    return at.astimezone(ZoneInfo(timezone))


def _text(form: FormData, name: str) -> str:
    return str(form.get(name, "")).strip()


def _number(form: FormData, name: str) -> int:
    """A whole number of a form, 0 where it is empty. Raises Problem 422."""
    text = _text(form, name)
    if text and not (text.isascii() and text.isdigit() and len(text) < 8):
        raise Problem(422, "number", "Cần một số nguyên.", field=name)
    return int(text or 0)
