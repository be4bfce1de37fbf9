"""Standings as everyone asks for them: by unit as the trees stand on the day, and nothing that the rules still hide."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from fastapi import FastAPI

from services.events import ContestPublished, Placement, RoundRanked, SubmissionReceived, Tree, Unit
from services.events.results import ResultsPublished
from services.scoring import handlers
from services.scoring.api import Api
from services.scoring.domain import Row
from services.scoring.scopes import by_unit
from services.scoring.settlement import Settlements
from services.scoring.store import Standings, Verdicts
from tests.unit.test_scoring_handlers import CLOSES, CONTEST, LATER, OPENS, PLAN, House, submission

DAY = "2023-05-19"
"""On which PLAN closes."""


def unit(code: str, *above: str, parent: str = "HP", **more: str) -> Unit:
    """`above` are "tree parent", or "tree parent until", in order."""
    places: list[Placement] = []
    for tree, up, *until in map(str.split, above):
        since = places[-1].until if places and places[-1].tree == tree else None
        places.append(Placement(tree=tree, parent=None if up == "-" else up, since=since, until=until[0] if until else None))
    return Unit(code=code, parent=parent, name=code, kind="ward", placements=tuple(places), **more)  # type: ignore[arg-type]


UNITS = (
    unit("HP", "territory -"),
    unit("A", "territory HP"),
    unit("B", "territory HP"),
    unit("a1", "territory A " + DAY, "territory B", "party P", parent="A"),
    unit("b1", "territory B", parent="B"),
    unit("old", "territory A", "party P", parent="A", ended=DAY, merged_into="b1"),
    unit("P", "party -"),
)
ROWS = {"a1": ["an"], "b1": ["binh"], "old": ["chi"], "A": ["dung"]}
"""Who stands in which unit by their attempts."""


def contest(*trees: str) -> ContestPublished:
    return msgspec.structs.replace(CONTEST, units=UNITS, trees=tuple(Tree(id=tree, name=tree) for tree in trees))


@pytest.mark.parametrize(
    ("day", "people"),
    [
        ("2023-05-18", {"HP": "an binh chi dung", "A": "an chi dung", "B": "binh", "P": "an chi"}),
        (DAY, {"HP": "an binh chi dung", "A": "dung", "B": "an binh chi", "b1": "binh chi", "P": "an"}),
    ],
)
def test_rows_stand_in_every_unit_above_theirs_in_every_tree_of_the_day(day: str, people: dict[str, str]) -> None:
    rows = [Row(1, who, 1, who, unit, 9, 1000, None) for unit, members in ROWS.items() for who in members]
    found = by_unit(rows, contest("territory", "party"), date.fromisoformat(day))
    assert {code: " ".join(sorted(row.participant for row in found[code])) for code in people} == people
    assert found[""] == rows
    assert "P" not in by_unit(rows, contest("territory"), date.fromisoformat(day))


def took_part(who: str, unit: str, seconds: int) -> SubmissionReceived:
    """A perfect paper, the later the better."""
    return msgspec.structs.replace(submission(who, 1, timedelta(seconds=-seconds), "AB(AC)", seconds), unit=unit)


EVENTS = [took_part(who, unit, n) for n, (unit, members) in enumerate(ROWS.items(), 1) for who in members]


class Asked:
    """A round with a worker on it, and who asks for its standings."""

    def __init__(self, folder: Path, **rules: Any) -> None:
        self.house = House(EVENTS, folder, plan=msgspec.structs.replace(PLAN, **rules), units=UNITS)
        store, book, nobody = self.house.runtime.store, self.house.library.book, Any
        book.apply(msgspec.structs.replace(contest("territory", "party"), revision=1))
        self.settlements, app = Settlements(store), FastAPI()
        api = Api(book, Verdicts(store), Standings(store), self.settlements, nobody, self.house.clock)  # type: ignore[arg-type]
        app.include_router(api.router)
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test")

    async def turn(self, at: timedelta) -> None:
        """All is judged, and ranked as far as it may be at this time after the opening."""
        self.house.clock.advance(OPENS + at - self.house.clock.now())
        await self.house.start()
        await self.house.finish()
        await self.house.rank()

    async def standings(self, unit: str = "") -> tuple[str, str]:
        reply = (await self._client.get("/api/v1/rounds/r/standings", params={"unit": unit})).json()
        return reply["state"], " ".join(row["unit"] for row in reply["rows"])

    @property
    def told(self) -> list[object]:
        return [each for each in self.house.bus.published if isinstance(each, ResultsPublished | RoundRanked)]


OPEN, CLOSED = CLOSES - OPENS - timedelta(seconds=1), CLOSES - OPENS + timedelta(seconds=10)


@pytest.mark.parametrize("at", [OPEN, CLOSED])
async def test_a_unit_that_moved_or_merged_is_found_where_it_stands(tmp_path: Path, at: timedelta) -> None:
    asked = Asked(tmp_path)
    await asked.turn(at)
    everybody = "A old b1 a1"
    units = {"": everybody, "HP": everybody, "A": "A", "B": "old b1 a1", "b1": "old b1", "old": "old b1", "P": "a1"}
    for code, shown in units.items():
        assert await asked.standings(code) == ("provisional", shown), code


async def test_while_a_round_runs_a_unit_has_its_own_top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "PAGE", 1)
    asked = Asked(tmp_path)
    await asked.turn(OPEN)
    assert await asked.standings() == ("provisional", "A")
    assert await asked.standings("P") == ("provisional", "a1")


async def test_scores_that_are_shown_after_closing_are_not_in_the_standings_before(tmp_path: Path) -> None:
    asked = Asked(tmp_path, show_score="after_close")
    await asked.turn(OPEN)
    assert await asked.standings() == ("hidden", "")
    assert not asked.house.runtime.store["provisional"].documents
    await asked.turn(CLOSED)
    assert await asked.standings() == ("provisional", "A old b1 a1")


async def test_what_is_to_be_predicted_is_hidden_until_the_result_is_final_for_the_round_may_be_extended(tmp_path: Path) -> None:
    asked = Asked(tmp_path, prediction="Bao nhiêu?")
    await asked.turn(CLOSED)
    head = await Standings(asked.house.runtime.store).head("r")
    assert head
    assert (head.told, head.perfect) == (True, 4)
    assert await asked.standings() == ("hidden", "")
    asked.house.extend()
    await asked.turn(CLOSED)
    assert await asked.standings() == ("hidden", "")
    await asked.turn(LATER - OPENS + timedelta(seconds=10))
    again = await Standings(asked.house.runtime.store).head("r")
    assert again
    assert (again.revision, again.told) == (1, True)
    assert await asked.standings() == ("hidden", "")
    assert not asked.told
    await asked.house.runtime.store["settlements"].insert_many([{"_id": "r", "phase": "published", "told": True}])
    assert await asked.standings("B") == ("final", "old b1 a1")
