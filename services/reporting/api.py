"""The public API of reporting (design §9): turnout by unit and by hour, and the stream of what changes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from weakref import WeakKeyDictionary

import msgspec
from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, BaseModel, Field

from services.events import ContestBook
from services.kit.web import problems
from services.reporting.board import Board, Hour
from services.reporting.live import Live, Stream
from services.reporting.selection import select
from services.reporting.tables import CutTables
from services.reporting.turnout import By, Row, Table


class TurnoutRow(BaseModel):
    """One unit, with everything below it."""

    unit: str = Field(description="Code of the unit", examples=["HP-306"])
    name: str = Field(examples=["Quận Kiến An"])
    headcount: int | None = Field(description="How many people of the category the unit has; null: not known")
    people: int = Field(description="People (người), each once, in the unit of their latest valid attempt")
    attempts: int = Field(description="Valid attempts (lượt), where they were made")
    rate: float | None = Field(description="People per headcount in percent; null where the headcount is not known")
    rank: int | None = Field(
        description="Among its siblings, from 1; equals share a rank. By people, then attempts; or by rate, null without one"
    )


class Turnout(BaseModel):
    as_of: datetime = Field(
        description="The cut-off that was asked for; else when the figures were read: two seconds ago while the store answers"
    )
    average: float | None = Field(description="People per headcount of all these units whose headcount is known, in percent")
    rows: list[TurnoutRow] = Field(description="Best first; equals by name")


class HourRow(BaseModel):
    hour: datetime = Field(description="Begin of the hour, in the contest's timezone")
    attempts: int = Field(description="Valid attempts that were received in this hour")
    newcomers: int = Field(description="People whose first valid attempt (of the round, if one is asked for) came in this hour")


class Outcomes(BaseModel):
    started: int = Field(description="Attempts for which a paper was handed out")
    submitted: int = Field(description="Attempts that were handed in")
    valid: int
    late: int
    disqualified: int


class Hours(BaseModel):
    as_of: datetime
    timezone: str = Field(examples=["Asia/Ho_Chi_Minh"])
    outcomes: Outcomes
    hours: list[HourRow] = Field(description="In order; hours without an attempt are left out")


CONTEST = Annotated[str, Query(description="Id of the contest", examples=["hai-phong-2023"])]
ROUND = Annotated[str, Query(description="Id of a round; without it, all rounds together")]
CATEGORY = Annotated[str, Query(description="Id of a category; without it, everybody")]
TREE = Annotated[str, Query(description="Id of a tree of units; without it, the contest's first", examples=["territory"])]
AS_OF = Annotated[
    AwareDatetime | None,
    Query(description="A full hour, from the contest's first opening on: the figures as they were cut then, the same ever after"),
]
BY = Annotated[By, Query(description="What the ranks go by")]
PARENT = Annotated[str, Query(description="Code of the unit whose children are wanted; without it, the top of the tree")]


class Api:
    """The calls, above what is held in memory."""

    def __init__(self, book: ContestBook, board: Board, cuts: CutTables, live: Live, stream: Stream) -> None:
        self._book, self._board, self._cuts, self._live, self._stream = book, board, cuts, live, stream
        self._encoded: WeakKeyDictionary[Table, dict[tuple[str | None, By], msgspec.Raw]] = WeakKeyDictionary()
        self.router = APIRouter(prefix="/api/v1", tags=["reporting"])
        get = self.router.get
        get("/turnout", response_model=Turnout, responses=problems(404, 422, 503), summary="People and attempts by unit")(
            self.turnout
        )
        get("/turnout/hours", response_model=Hours, responses=problems(404, 422, 503), summary="Attempts by hour")(self.hours)
        get("/stream", response_class=EventStream, responses=problems(404, 503), summary="What changes, as it changes")(
            self.stream
        )

    async def turnout(
        self,
        contest: CONTEST,
        tree: TREE = "",
        parent: PARENT = "",
        category: CATEGORY = "",
        round: ROUND = "",
        as_of: AS_OF = None,
        by: BY = "people",
    ) -> Response:
        """The children of a unit with all below them; without a parent, the top of the tree. Trees change (units merge and move):
        figures as of a time are those of the tree as it stood that day. A cut that nobody has asked for yet is made at once; if
        that takes longer than a few seconds, the answer is 503."""
        asked = select(self._book, contest, parent, category, round, tree)
        if as_of is None:
            at = await self._live.fresh()
            table = self._board.table(contest, asked.tree, category, round)
        else:
            at, table = as_of, await self._cuts.table(contest, as_of, asked.tree, category, round)
        body = {"as_of": at, "average": shown(table.average(asked.parent)), "rows": self._rows(table, asked.parent, by)}
        return Response(msgspec.json.encode(body), media_type="application/json")

    def _rows(self, table: Table, parent: str | None, by: By) -> msgspec.Raw:
        """The rows as they are sent, kept as long as their table: there may be thousands, and many who ask. Pydantic would take
        longer than all the rest."""
        held = self._encoded.setdefault(table, {})
        if (parent, by) not in held:
            held[parent, by] = msgspec.Raw(msgspec.json.encode([_row(row) for row in table.rows(parent, by)]))
        return held[parent, by]

    async def hours(self, contest: CONTEST, round: ROUND = "") -> Hours:
        """Attempts and newcomers hour by hour, and what became of all attempts."""
        asked = select(self._book, contest, round=round)
        as_of = await self._live.fresh()
        timezone = asked.contest.timezone
        return Hours(
            as_of=as_of,
            timezone=timezone,
            outcomes=Outcomes(**self._board.outcomes(contest, round)),
            hours=[_hour_row(hour) for hour in self._board.hours(contest, round)],
        )

    async def stream(self, contest: CONTEST) -> StreamingResponse:
        """Server-sent events. `turnout`: `{as_of, whole, totals{people, attempts}, rows[{unit, people, attempts}]}`, units whose
        figures have changed, their superiors included; the first one is `whole`: units that are not in it have nobody. `round`:
        `{round, name, state}`, first of every round, then of those whose state changes. `heartbeat` every 15 seconds."""
        select(self._book, contest)
        self._stream.admit()
        # Proxies are asked not to gather it.
        return EventStream(self._stream.listen(contest), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


class EventStream(StreamingResponse):
    """An answer that goes on."""

    media_type = "text/event-stream"


def shown(rate: float | None) -> float | None:
    """A percentage as the API gives it."""
    return None if rate is None else round(rate, 3)


def _row(row: Row) -> dict[str, object]:
    figure = row.figure
    return {
        "unit": row.unit.code,
        "name": row.unit.name,
        "headcount": figure.headcount,
        "people": figure.people,
        "attempts": figure.attempts,
        "rate": shown(figure.rate),
        "rank": row.rank,
    }


def _hour_row(hour: Hour) -> HourRow:
    return HourRow(hour=hour.begin, attempts=hour.attempts, newcomers=hour.newcomers)
