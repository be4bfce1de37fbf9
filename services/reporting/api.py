"""The public API of reporting (design §9): turnout by unit and by hour, and the stream of what changes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from services.events import ContestBook
from services.kit.web import problems
from services.reporting.board import Board, Hour
from services.reporting.live import Live, Stream
from services.reporting.selection import select


class TurnoutRow(BaseModel):
    """One unit, with everything below it."""

    unit: str = Field(description="Code of the unit", examples=["HP-306"])
    name: str = Field(examples=["Quận Kiến An"])
    headcount: int | None = Field(description="How many people of the category the unit has; null: not known")
    people: int = Field(description="People (người), each once, in the unit of their latest valid attempt")
    attempts: int = Field(description="Valid attempts (lượt), where they were made")
    rate: float | None = Field(description="People per headcount in percent; null where the headcount is not known")
    rank: int = Field(description="Among its siblings, from 1: by people, then attempts; equals share a rank")


class Turnout(BaseModel):
    as_of: datetime = Field(description="When the figures were read; they are a second old at most while the store answers")
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
PARENT = Annotated[str, Query(description="Code of the unit whose children are wanted; without it, the top of the tree")]


class Api:
    """The calls, above what is held in memory."""

    def __init__(self, book: ContestBook, board: Board, live: Live, stream: Stream) -> None:
        self._book, self._board, self._live, self._stream = book, board, live, stream
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
        tree: Annotated[Literal["territory"], Query(description="Which tree of units")] = "territory",
        parent: PARENT = "",
        category: CATEGORY = "",
        round: ROUND = "",
    ) -> Turnout:
        """The children of a unit with all below them; without a parent, the top of the tree."""
        asked = select(self._book, contest, parent, category, round)
        as_of = await self._live.fresh()
        rows = [
            TurnoutRow(
                unit=row.unit.code,
                name=row.unit.name,
                headcount=None,
                people=row.count.people,
                attempts=row.count.attempts,
                rate=None,
                rank=row.rank,
            )
            for row in self._board.rows(contest, asked.parent, asked.category, asked.round)
        ]
        return Turnout(as_of=as_of, rows=rows)

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


def _hour_row(hour: Hour) -> HourRow:
    return HourRow(hour=hour.begin, attempts=hour.attempts, newcomers=hour.newcomers)
