"""Who won, with the names and numbers that organisers need to reach them: looked up where people are kept, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from services.events import ContestBook, PersonAwarded, PrizesAwarded
from services.kit.store import find_ids
from services.kit.web import render
from services.kit.web.console import Organiser, audited
from services.quiz.authoring.awards import Awards
from services.quiz.authoring.commands import Authoring
from services.quiz.handlers import PARTICIPANTS

if TYPE_CHECKING:
    from services.kit.store import Database


@dataclass(frozen=True)
class Winner:
    """A prize and who won it; `person` is None where they are no more (erased)."""

    award: PersonAwarded
    person: Mapping[str, Any] | None


class WinnersPages:
    """`/console/contests/{contest}/dat-giai`."""

    def __init__(self, database: Database, authoring: Authoring, book: ContestBook) -> None:
        self._people, self._awards = database[PARTICIPANTS], Awards(database)
        self._authoring, self._book = authoring, book
        self.router = APIRouter(include_in_schema=False)
        self.router.add_api_route("/console/contests/{contest}/dat-giai", self.look)

    async def look(self, request: Request, _: Organiser, contest: str) -> Response:
        """The winners with what they said of themselves. Every look is in the audit log."""
        draft, told = await self._authoring.get(contest), await self._awards.of(contest)
        ids = {award.participant for event in told for award in event.persons}
        people = await find_ids(self._people, sorted(ids))
        await audited(request, "winners.viewed", contest, people=len(ids))
        groups = [(self._name(event), list(_winners(event, people))) for event in told]
        units = self._book.units(contest)
        return render(request, "winners.html", draft=draft, groups=groups, units=units)

    def _name(self, event: PrizesAwarded) -> str:
        """The round's name; empty for the prizes of the whole contest."""
        plan = self._book.round(event.round) if event.round else None
        return plan.name if plan else event.round or ""


def _winners(event: PrizesAwarded, people: Mapping[str, Mapping[str, Any]]) -> Iterator[Winner]:
    for award in event.persons:
        yield Winner(award, people.get(award.participant))
