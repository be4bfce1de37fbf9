"""What everyone sees of a published round: winners, how they were drawn, the file to recompute it all, whether a certificate is
genuine. Before it is published, only what its draw was committed to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, StreamingResponse

from services.events import ContestBook
from services.kit.problems import Problem
from services.kit.web import render
from services.scoring.certificates import code_of
from services.scoring.closing import place_of
from services.scoring.prizes import PERSONS
from services.scoring.settlement import Settlements
from services.scoring.store import Standings

TOP = 50
VERIFIER = Path(__file__).parents[2] / "examples" / "verify" / "verify.py"


class PublicPages:
    """`/ket-qua/{round}`, its file, and `/chung-nhan/{code}`."""

    def __init__(self, book: ContestBook, standings: Standings, settlements: Settlements, key: bytes) -> None:
        self._book, self._standings, self._settlements, self._key = book, standings, settlements, key
        self.router = APIRouter(include_in_schema=False)
        self.router.add_api_route("/ket-qua/verify.py", self.verifier)
        self.router.add_api_route("/ket-qua/{round}", self.results)
        self.router.add_api_route("/ket-qua/{round}/tep/{digest}", self.file)
        self.router.add_api_route("/chung-nhan/{code}", self.certificate)

    async def results(self, request: Request, round: str) -> Response:
        """The results of a round, or of a contest over all its rounds; or what is known before: the commitment of its draw."""
        plan, contest = place_of(self._book, round)
        settlement, committed = await self._settlements.get(round), await self._settlements.committed(round)
        outcome = settlement.outcome if settlement.phase == "published" else None
        if plan is None:
            return render(
                request, "overall_results.html", contest=contest, outcome=outcome, rounds=self._book.rounds(round),
                units=self._book.units(round), unit_names=self._names(round), persons_ladder=PERSONS,
                commitment=committed.commitment if committed else "", committed_at=committed.committed_at if committed else None,
            )  # fmt: skip
        top = await self._standings.page(round, outcome.checksum, "", 0) if outcome else None
        return render(
            request, "results.html", plan=plan, contest=contest, outcome=outcome, top=top[0][:TOP] if top else [],
            units=self._book.units(plan.contest), unit_names=self._names(plan.contest), persons_ladder=PERSONS,
            commitment=committed.commitment if committed else "", committed_at=committed.committed_at if committed else None,
        )  # fmt: skip

    async def file(self, round: str, digest: str) -> Response:
        """The published file, compressed."""
        settlement = await self._settlements.get(round)
        outcome = settlement.outcome
        if settlement.phase != "published" or outcome is None or outcome.digest != digest:
            raise Problem(404, "file", "Không có tệp này.")

        async def pieces() -> AsyncIterator[bytes]:
            async for piece in self._settlements.file(round, digest):
                yield piece

        headers = {
            "Content-Disposition": f'attachment; filename="{round}.jsonl.gz"',
            "Cache-Control": "public, max-age=31536000, immutable",
        }
        return StreamingResponse(pieces(), media_type="application/gzip", headers=headers)

    async def verifier(self) -> Response:
        """The program that recomputes a published file."""
        return FileResponse(VERIFIER, media_type="text/x-python; charset=utf-8", filename=VERIFIER.name)

    async def certificate(self, request: Request, code: str) -> Response:
        """Whether there is an award of this code, and which."""
        for settlement in await self._settlements.published():
            for award in settlement.outcome.awards if settlement.outcome else ():
                if code_of(self._key, settlement.round, award.ladder, award.place) == code:
                    plan, contest = place_of(self._book, settlement.round)
                    found: dict[str, Any] = {"plan": plan, "contest": contest, "award": award, "outcome": settlement.outcome}
                    units = self._book.units(contest.contest)
                    return render(request, "certificate.html", results=settlement.round, units=units, **found)
        raise Problem(404, "certificate", "Không có giấy chứng nhận mang mã này.")

    def _names(self, contest: str) -> dict[str, str]:
        return {code: unit.name for code, unit in self._book.units(contest).items()}
