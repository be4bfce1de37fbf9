"""What each contest wants to be watched for, kept; and the rules applied to a cut of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
from bson import Binary

from services.events import ContestBook, RoundPlan
from services.events.units import trees_of
from services.kit.store import FACTS, store_errors
from services.reporting.cuts import Cut
from services.reporting.tables import CutTables
from services.reporting.turnout import Shape
from services.reporting.watch import Rules, Situation

if TYPE_CHECKING:
    from services.kit.store import Database

WEEK = timedelta(days=7)


class WatchSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`on`: notices are made at these `hours`, for these categories ("" is everybody). `daily` and `weekly` digests are made at
    `digest_hour`, the weekly one on `weekday` (0 is Monday). Hours are those of the contest's timezone."""

    rules: Rules = Rules()
    categories: tuple[str, ...] = ("",)
    on: bool = False
    hours: tuple[int, ...] = (7,)
    daily: bool = False
    weekly: bool = False
    digest_hour: int = 17
    weekday: int = 4


class Watch:
    """The collection `watch`, and what the rules look at."""

    def __init__(self, database: Database, book: ContestBook, cuts: CutTables) -> None:
        self._settings = database["watch"].with_options(write_concern=FACTS)
        self._book, self._tables, self.cuts = book, cuts, cuts.cuts

    async def settings(self, contest: str) -> WatchSettings:
        """What was set for a contest; nothing is on before. Raises StoreDown."""
        with store_errors():
            found = await self._settings.find_one({"_id": contest})
        return msgspec.msgpack.decode(found["body"], type=WatchSettings) if found else WatchSettings()

    async def save(self, contest: str, settings: WatchSettings) -> None:
        """Sets it. Raises StoreDown."""
        body = Binary(msgspec.msgpack.encode(settings))
        with store_errors():
            await self._settings.update_one({"_id": contest}, {"$set": {"body": body}}, upsert=True)

    async def situation(self, cut: Cut, rules: Rules, category: str) -> Situation:
        """What there is to judge in a cut. Raises StoreDown."""
        contest, plans = self._book.contests[cut.contest], self._book.rounds(cut.contest)
        round = self.round_at(plans, cut.at) if rules.by_round else None
        name, tree = round.id if round else "", rules.tree or trees_of(contest)[0].id
        return Situation(
            at=cut.at,
            table=await self._tables.table(cut.contest, cut.at, tree, category, name),
            before=await self._tables.made(cut.contest, cut.at - WEEK, tree, category, name),
            # An attempt of any round breaks the silence.
            last=cut.scope().last,
            opened=(round or plans[0]).opens if plans else cut.at,
            target=next((each.target for each in contest.categories if each.id == category), None),
        )

    def shape(self, contest: str, tree: str, day: date) -> Shape:
        """A tree of a contest on a day."""
        return self._tables.tables.shape(contest, tree, day)

    @staticmethod
    def round_at(plans: Sequence[RoundPlan], at: datetime) -> RoundPlan | None:
        """The round that is on, or the last that was."""
        begun = [plan for plan in plans if plan.opens < at]
        return begun[-1] if begun else None
