"""Ranks rounds: once each when it has closed and all that can count has been judged, and again where a verdict came later still.

The owner of partition 0 does it, above what all owners have written: their views say how far they are, their snapshots hold the
verdicts. Two who rank at once, or one who begins again after a crash, come to the same rows, the same pages and the same events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

import msgspec
import structlog

from services.events import Event, RoundPlan, RoundRanked
from services.kit.bus import BusDown, Transient
from services.kit.clock import us_of
from services.kit.runtime import Runtime
from services.scoring import domain, handlers
from services.scoring.domain import Entry, Mark, Row, Tally
from services.scoring.handlers import Library
from services.scoring.headcounts import Headcounts
from services.scoring.mending import Trier
from services.scoring.reviewing import Reviewer
from services.scoring.scopes import by_unit, closing_day, day_of
from services.scoring.settlement import Settlements
from services.scoring.settling import Settler
from services.scoring.store import Head, Standings, View, encoded, marks_of, read_state, read_views, taken_in
from services.scoring.worker import TOPICS

GRACE = timedelta(seconds=5)
"""After the closing: the two seconds that the rules grant, and three for what is still on its way into the log."""

_LOOK_S = 1.0
_PROVISIONAL_S = 3.0
_SHARE = 20
"""Provisional standings may take one part in so many of the worker's time."""

log = structlog.get_logger(__name__)


class Ranker:
    """`owned` holds the partitions that this worker owns."""

    def __init__(self, runtime: Runtime, library: Library, owned: Mapping[int, object], headcounts: Headcounts) -> None:
        self._runtime, self._library, self._book, self._owned = runtime, library, library.book, owned
        self._standings, self._reviewer = Standings(runtime.store), Reviewer(runtime, library)
        self._settlements = Settlements(runtime.store)
        self._targets: dict[tuple[str, int], dict[tuple[str, int], int]] = {}
        self._ranked: dict[str, tuple[bytes, int]] = {}
        self._settler, self._trier = Settler(runtime, library, headcounts), Trier(runtime, library)
        self._provisional: dict[str, bytes] = {}
        self._shown: dict[str, set[str]] = {}
        self._due: dict[str, float] = {}

    async def run(self, stop: Callable[[], bool]) -> None:
        """Ranks what is to be ranked, until `stop()`."""
        while not stop():
            try:
                if 0 in self._owned:
                    await self.turn()
            except (Transient, BusDown) as error:
                log.warning("ranking.put_off", error=str(error))
            await asyncio.sleep(_LOOK_S)

    async def turn(self) -> None:
        """Looks at every round once."""
        await self._settler.turn()
        now = self._runtime.clock.now()
        plans = [plan for contest in self._book.contests for plan in self._book.rounds(contest) if now >= plan.opens]
        if not plans:
            return
        views = await read_views(self._runtime.store)
        ends = await self._runtime.bus.end_offsets("rulings")
        told = not await self._reviewer.tell_rulings() and taken_in("rulings", ends, views)
        for plan in plans:
            if now >= plan.closes + GRACE:
                marks = marks_of(plan.id, views)
                if told and await self._complete(plan, views) and await self._reviewer.cleared(plan, marks):
                    await self._rank(plan, marks)
                    await self._trier.turn(plan, marks)
            elif handlers.shown_live(plan) and self._runtime.clock.monotonic() >= self._due.get(plan.id, 0):
                await self._rank_for_now(plan, marks_of(plan.id, views))

    async def _complete(self, plan: RoundPlan, views: Mapping[int, View]) -> bool:
        """Whether the owners have judged, by this plan, all that was in the log when the round was first seen to have ended."""
        closes = us_of(plan.closes)
        ends = self._targets.get((plan.id, closes))
        if ends is None:
            ends = {(topic, p): end for topic in TOPICS for p, end in (await self._runtime.bus.end_offsets(topic)).items() if end}
            self._targets[plan.id, closes] = ends
        reached = all(p in views and views[p].offsets.get(topic, 0) >= end for (topic, p), end in ends.items())
        keyed = self._library.standing_key(plan.id)
        by = closes, keyed.version if keyed else 0
        return reached and all((mark.closes, mark.key) == by for mark in marks_of(plan.id, views).values())

    async def _rank(self, plan: RoundPlan, marks: Mapping[int, Mark]) -> None:
        basis, closes = encoded(marks), us_of(plan.closes)
        if self._ranked.get(plan.id) == (basis, closes):
            return
        head = await self._standings.head(plan.id)
        if head is not None and head.told and (head.marks, head.closes) == (basis, closes):
            self._ranked[plan.id] = basis, closes
            return
        if (await self._settlements.get(plan.id)).phase == "published":
            self._ranked[plan.id] = basis, closes
            log.warning("ranking.final", round=plan.id)  # what came later changes no published result
            return
        entries = await self._entries(plan.id, marks)
        if entries is None:
            return
        valid, attempts = entries
        tally = Tally(attempts, len(valid), domain.perfect(valid))
        rows = domain.standings(valid, plan.counting, plan.ranking, tally.perfect)
        checksum = handlers.checksum(plan.id, rows)
        if head is None or (head.checksum, head.closes, head.tally) != (checksum, closes, tally):
            contest = self._book.contests[plan.contest]
            scopes = by_unit(rows, contest, closing_day(contest, plan))
            whole = {code for code, held in scopes.items() if code and len(held) == len(rows)}
            await self._standings.write(plan.id, checksum, {code: scopes[code] for code in scopes.keys() - whole})
            new = self._head(head, checksum, closes, basis, len(rows), tally, tuple(sorted(whole)))
        else:
            new = msgspec.structs.replace(head, marks=basis)
        if await self._standings.claim(plan.id, head, new) and not new.told:
            # What was to be predicted is told with the final result alone: until then the round may be extended.
            if plan.prediction is None:
                await self._publish(handlers.ranking_told(new.told_as(RoundRanked, plan, new.ranked_at), rows))
            await self._standings.claim(plan.id, new, msgspec.structs.replace(new, told=True))
            log.info("round.ranked", round=plan.id, revision=new.revision, people=new.people)

    def _head(
        self, held: Head | None, checksum: str, closes: int, basis: bytes, people: int, tally: Tally, whole: tuple[str, ...]
    ) -> Head:
        return Head(
            revision=held.revision + 1 if held else 0,
            checksum=checksum,
            closes=closes,
            marks=basis,
            ranked_at=self._runtime.clock.now().replace(microsecond=0),  # as exact as the store gives it back
            people=people,
            attempts=tally.attempts,
            valid=tally.valid,
            perfect=tally.perfect,
            whole=whole,
        )

    async def _publish(self, events: Iterable[Event]) -> None:
        for event in events:
            await self._runtime.bus.publish([self._runtime.outgoing(event)])

    async def _rank_for_now(self, plan: RoundPlan, marks: Mapping[int, Mark]) -> None:
        """The top of a round that runs, and of every unit in it, where that may be shown: from the snapshots as they are."""
        basis, began = encoded(marks), self._runtime.clock.monotonic()
        if self._provisional.get(plan.id) == basis:
            return
        entries = await self._entries(plan.id, marks)
        if entries is not None:
            contest = self._book.contests[plan.contest]
            rows = domain.standings(entries[0], plan.counting, plan.ranking, 0)
            scopes = by_unit(rows, contest, day_of(contest, self._runtime.clock.now()), most=handlers.PAGE)
            gone: dict[str, list[Row]] = {code: [] for code in self._shown.get(plan.id, set()) - scopes.keys()}
            await self._standings.write_provisional(plan.id, scopes | gone)
            self._provisional[plan.id], self._shown[plan.id] = basis, set(scopes)
        took = self._runtime.clock.monotonic() - began
        self._due[plan.id] = began + max(_PROVISIONAL_S, _SHARE * took)

    async def _entries(self, round: str, marks: Mapping[int, Mark]) -> tuple[list[Entry], int] | None:
        """The valid attempts of a round and the number of all, from the snapshots; None while one of them is behind its view."""
        valid: list[Entry] = []
        attempts = 0
        for p, mark in marks.items():
            state = await read_state(self._runtime.store, p)
            if state.rounds.get(round) != mark:
                return None
            for judged, name in state.judged(round):
                attempts += 1
                if judged.verdict == "valid":
                    valid.append(handlers.entry(judged, name))
            await asyncio.sleep(0)
        return valid, attempts
