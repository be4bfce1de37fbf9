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
from services.kit.clock import Clock, us_of
from services.kit.problems import Problem
from services.kit.settings import Settings
from services.kit.web import render
from services.kit.web.console import Organiser, OrganiserForm, audited
from services.scoring.casebook import Casebook
from services.scoring.certificates import Certificate, code_of
from services.scoring.certificates import render as render_certificate
from services.scoring.prizes import Award, Prize
from services.scoring.settlement import Phase, Settlement, Settlements
from services.scoring.store import Head, Standings

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

MOST_PRIZES = 12
MOST_WINNERS = 1000
_LINE = re.compile(r"(?P<name>.{1,80}?)\s*:\s*(?P<count>\d{1,4})")


class SettlePages:
    """`/console/rounds/{round}/prizes` and what follows from it."""

    def __init__(
        self,
        book: ContestBook,
        casebook: Casebook,
        standings: Standings,
        settlements: Settlements,
        settings: Settings,
        key: bytes,
        clock: Clock,
    ) -> None:
        self._book, self._casebook, self._standings, self._settlements = book, casebook, standings, settlements
        self._settings, self._key, self._clock = settings, key, clock
        self.router = APIRouter(prefix="/console/rounds/{round}", include_in_schema=False)
        self.router.add_api_route("/prizes", self.prizes)
        self.router.add_api_route("/prizes", self.act, methods=["POST"])
        self.router.add_api_route("/certificate", self.certificate, methods=["POST"])

    async def prizes(self, request: Request, session: Organiser, round: str) -> Response:
        """Where the settlement stands, and what can be done."""
        plan, contest = self._round(round)
        settlement = await self._settlements.get(round)
        committed = await self._settlements.committed(round)
        names = {code: unit.name for code, unit in self._book.units(plan.contest).items()}
        return render(
            request,
            "prizes.html",
            plan=plan,
            contest=contest,
            settlement=settlement,
            outcome=settlement.outcome,
            phases=PHASES,
            ready=await self._ready(plan),
            commitment=committed.commitment if committed else "",
            committed_at=committed.committed_at if committed else None,
            persons=lines_of(settlement.prizes or SUGGESTED),
            units=lines_of(settlement.unit_prizes),
            unit_names=names,
        )

    async def act(self, request: Request, form: OrganiserForm, round: str) -> Response:
        """Sets the prizes and asks for the outcome; takes it back; publishes it."""
        plan, _ = self._round(round)
        action = _text(form, "action")
        if action == "settle":
            await self._settle(plan, form)
        elif action == "reopen":
            _done(await self._settlements.reopen(round))
        elif action == "publish":
            await self._publish(plan)
        else:
            raise Problem(422, "action", "Không có thao tác này.", field="action")
        await audited(request, f"results.{action}", round)
        return RedirectResponse(f"/console/rounds/{round}/prizes", 303)

    async def _settle(self, plan: RoundPlan, form: FormData) -> None:
        head = await self._ready(plan)
        if head is None:
            raise Problem(409, "not-ranked", "Vòng thi chưa xếp hạng xong, hoặc còn bất thường chờ quyết định.")
        persons = prizes_of(_text(form, "persons"), "persons", None)
        units = prizes_of(_text(form, "units"), "units", "people")
        _done(await self._settlements.plan(plan.id, persons, units))
        _done(await self._settlements.ask(plan.id, head.checksum))

    async def _publish(self, plan: RoundPlan) -> None:
        head, settlement = await self._ready(plan), await self._settlements.get(plan.id)
        if head is None or settlement.outcome is None or settlement.outcome.checksum != head.checksum:
            raise Problem(409, "ranking-changed", "Xếp hạng đã thay đổi từ khi tính giải. Hãy mở lại và tính lại.")
        _done(await self._settlements.publish(plan.id))

    async def certificate(self, request: Request, form: OrganiserForm, round: str) -> Response:
        """The certificate of an award as a PDF, with the name as its owner's papers have it: it is not kept."""
        plan, contest = self._round(round)
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

    def _round(self, round: str) -> tuple[RoundPlan, ContestPublished]:
        plan = self._book.round(round)
        contest = self._book.contests.get(plan.contest) if plan else None
        if plan is None or contest is None:
            raise Problem(404, "round", "Không có vòng thi này.", field="round")
        return plan, contest

    async def _ready(self, plan: RoundPlan) -> Head | None:
        """The standings that a settlement can rest on: of the round as it closed and was reviewed, with no case open."""
        head, review = await self._standings.head(plan.id), await self._casebook.review(plan.id)
        if head is None or review is None or not head.told or (head.closes, head.marks) != (us_of(plan.closes), review.basis):
            return None
        return None if (await self._casebook.counts(plan.id))["open"] else head


def award_of(settlement: Settlement, ladder: str, place: str) -> Award:
    """An award that stands. Raises Problem 404."""
    for award in settlement.outcome.awards if settlement.outcome else ():
        if award.ladder == ladder and str(award.place) == place:
            return award
    raise Problem(404, "award", "Không có giải này.")


def prizes_of(text: str, field: str, by: str | None) -> tuple[Prize, ...]:
    """The prizes that a form names, a line each: "Giải Nhất: 1". Raises Problem 422."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        match = _LINE.fullmatch(line)
        if match is None or not int(match["count"]):
            raise Problem(422, "prize", "Mỗi dòng ghi tên giải, dấu hai chấm và số lượng, như “Giải Nhất: 1”.", field=field)
        found.append(Prize(name=match["name"], count=int(match["count"]), by="people" if by else None))
    if len(found) > MOST_PRIZES or sum(prize.count for prize in found) > MOST_WINNERS:
        raise Problem(
            422, "prizes", "Nhiều nhất {most} loại giải, {winners} giải.", field=field, most=MOST_PRIZES, winners=MOST_WINNERS
        )
    return tuple(found)


def lines_of(prizes: Sequence[Prize]) -> str:
    """Prizes as the form has them."""
    return "\n".join(f"{prize.name}: {prize.count}" for prize in prizes)


def _local(at: datetime, timezone: str) -> datetime:
    return at.astimezone(ZoneInfo(timezone))


def _done(moved: bool) -> None:
    if not moved:
        raise Problem(409, "phase", "Người khác vừa thay đổi. Hãy tải lại trang.")


def _text(form: FormData, name: str) -> str:
    return str(form.get(name, "")).strip()
