"""The certificate of each award in the console, of a round or of a contest over all its rounds."""

from __future__ import annotations

import asyncio
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response

from services.events import ContestBook, ContestPublished, RoundPlan
from services.kit.clock import Clock
from services.kit.problems import Problem
from services.kit.settings import Settings
from services.kit.web.console import OrganiserForm, audited
from services.scoring.certificates import Certificate, code_of, render
from services.scoring.closing import place_of
from services.scoring.prizes import Award
from services.scoring.settlement import Settlement, Settlements


class CertificatePages:
    """`/console/rounds/{round}/certificate`; `round` may be a contest."""

    def __init__(self, book: ContestBook, settlements: Settlements, settings: Settings, key: bytes, clock: Clock) -> None:
        self._book, self._settlements, self._settings, self._key, self._clock = book, settlements, settings, key, clock
        self.router = APIRouter(prefix="/console/rounds/{round}", include_in_schema=False)
        self.router.add_api_route("/certificate", self.certificate, methods=["POST"])

    async def certificate(self, request: Request, form: OrganiserForm, round: str) -> Response:
        """The certificate of an award as a PDF, with the name as its owner's papers have it: it is not kept."""
        plan, contest = place_of(self._book, round)
        settlement = await self._settlements.get(round)
        ladder, _, place = str(form.get("award", "")).strip().rpartition("|")
        award = award_of(settlement, ladder, place)
        name = " ".join(str(form.get("name", "")).split())
        if not 1 <= len(name) <= 120:
            raise Problem(422, "name", "Hãy ghi họ và tên.", field="name")
        content = await asyncio.to_thread(render, self._certificate(request, plan, contest, settlement, award, name))
        await audited(request, "certificate.made", round, ladder=award.ladder, place=award.place)
        headers = {"Content-Disposition": f'inline; filename="giay-chung-nhan-{award.place}.pdf"', "Cache-Control": "no-store"}
        return Response(content, media_type="application/pdf", headers=headers)

    def _certificate(
        self,
        request: Request,
        plan: RoundPlan | None,
        contest: ContestPublished,
        settlement: Settlement,
        award: Award,
        name: str,
    ) -> Certificate:
        code = code_of(self._key, settlement.round, award.ladder, award.place)
        units = self._book.units(contest.contest)
        unit = settlement.outcome.units.get(award.winner, "") if settlement.outcome else ""
        base = self._settings.public_url or str(request.base_url)
        at = settlement.outcome.finalised_at if settlement.outcome else self._clock.now()
        title = f"{contest.kind} “{contest.title}”" if contest.kind else contest.title
        return Certificate(
            code=code,
            link=f"{base.rstrip('/')}/chung-nhan/{code}",
            name=name,
            unit=units[unit].name if unit in units else "",
            prize=award.prize,
            contest_line=f"{plan.name}, {title}" if plan else title,
            issuer=contest.owner,
            place="",
            day=at.astimezone(ZoneInfo(contest.timezone)),
        )


def award_of(settlement: Settlement, ladder: str, place: str) -> Award:
    """An award that stands. Raises Problem 404."""
    for award in settlement.outcome.awards if settlement.outcome else ():
        if award.ladder == ladder and str(award.place) == place:
            return award
    raise Problem(404, "award", "Không có giải này.")
