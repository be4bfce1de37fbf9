"""Who of the organisers is among those who compete, as the pages and calls ask that settle prizes.

A look takes its time, which belongs to the submissions until a round is ranked: before that nobody is found.
"""

from __future__ import annotations

from fastapi import Request

from services.events import ContestBook
from services.kit.web.console import console_of
from services.scoring.closing import Closing, Readiness
from services.scoring.organisers import Found, Organisers


class Looks:
    """Looks by the console's accounts. Found are people by participant; both raise StoreDown."""

    def __init__(self, organisers: Organisers, closing: Closing, book: ContestBook) -> None:
        self._organisers, self._closing, self._book = organisers, closing, book

    async def at_round(self, request: Request, ready: Readiness) -> dict[str, Found]:
        """Those with an attempt in a round, once it is ranked."""
        return await self._among(request, [ready.plan.id]) if ready.head is not None else {}

    async def at_contest(self, request: Request, contest: str) -> dict[str, Found]:
        """Those with an attempt in any round of a contest, once all are published."""
        if await self._closing.unpublished(contest):
            return {}
        return await self._among(request, [plan.id for plan in self._book.rounds(contest)])

    async def _among(self, request: Request, rounds: list[str]) -> dict[str, Found]:
        return await self._organisers.among(rounds, await console_of(request).directory.all())
