"""What a proposed key would change: a trial on the answers in the log, which judges nobody. The owner of partition 0 makes it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
import structlog
from bson import Binary

from services.events import RoundKeyed, RoundPlan
from services.kit import tokens
from services.kit.cloudevents import type_of
from services.kit.runtime import Runtime
from services.kit.security import Signer
from services.kit.store import store_errors
from services.scoring import domain, handlers
from services.scoring.domain import Entry, Mark, Row, State, Unfit
from services.scoring.handlers import Library
from services.scoring.store import read_states

if TYPE_CHECKING:
    from services.kit.store import Database

MOST = 500
"""Changes that a trial shows."""

log = structlog.get_logger(__name__)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One person's place before and after."""

    name: str
    unit: str
    before: int
    after: int
    correct_before: int
    correct_after: int


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What a version of the key would change. `changes` holds those nearest to the top; the numbers count all."""

    round: str
    version: int
    reason: str
    at: datetime
    people: int
    up: int
    down: int
    perfect_before: int
    perfect_after: int
    changes: tuple[Change, ...]


def seen(signer: Signer, plan: RoundPlan, trial: Trial) -> str:
    """What quiz asks for; "" where the round was opened again since the trial."""
    return signer.sign(tokens.trial(plan.id, trial.version, plan.closes)) if trial.at >= plan.closes else ""


class Trials:
    """The collection `trials`."""

    def __init__(self, database: Database) -> None:
        self._trials = database["trials"]

    async def get(self, round: str, version: int) -> Trial | None:
        """A trial, once it has been made. Raises StoreDown."""
        with store_errors():
            found = await self._trials.find_one({"_id": f"{round}/{version}"})
        return None if found is None else msgspec.json.decode(found["body"], type=Trial)

    async def last(self, round: str) -> Trial | None:
        """The newest trial of a round. Raises StoreDown."""
        with store_errors():
            found = [document async for document in self._trials.find({"round": round})]
        trials = [msgspec.json.decode(document["body"], type=Trial) for document in found]
        return max(trials, key=lambda trial: trial.version, default=None)

    async def pending(self, round: str) -> bool:
        """Whether a proposed key waits for a person. Raises StoreDown."""
        with store_errors():
            found = await self._trials.find_one({"_id": f"pending/{round}"})
        return found is not None and found["version"] > 0

    async def note_pending(self, round: str, version: int) -> None:
        """Which proposal waits; 0 for none. Raises StoreDown."""
        with store_errors():
            await self._trials.update_one({"_id": f"pending/{round}"}, {"$set": {"version": version}}, upsert=True)

    async def put(self, trial: Trial) -> None:
        """Keeps a trial. Raises StoreDown."""
        body = {"round": trial.round, "body": Binary(msgspec.json.encode(trial))}
        with store_errors():
            await self._trials.update_one({"_id": f"{trial.round}/{trial.version}"}, {"$set": body}, upsert=True)


class Trier:
    """Makes the trial of each proposal once."""

    def __init__(self, runtime: Runtime, library: Library) -> None:
        self._runtime, self._library, self._trials = runtime, library, Trials(runtime.store)
        self._made: set[tuple[str, int, datetime]] = set()
        self._pending: dict[str, int] = {}

    async def turn(self, plan: RoundPlan, marks: Mapping[int, Mark]) -> None:
        """Tries what is proposed for a round. Raises StoreDown or BusDown."""
        keyed = self._library.proposal(plan.id)
        version = keyed.version if keyed else 0
        if self._pending.get(plan.id) != version:
            await self._trials.note_pending(plan.id, version)
            self._pending[plan.id] = version
        if keyed is None or (plan.id, keyed.version, plan.closes) in self._made:
            return
        tried = await self._trials.get(plan.id, keyed.version)
        if tried is None or tried.at < plan.closes:  # the round was opened again since
            states = await read_states(self._runtime.store, plan.id, marks)
            if states is None:
                return
            correct = await self._grades(plan, keyed, states)
            await self._trials.put(compare(plan, keyed, list(_entries(plan, states)), correct, self._runtime.clock.now()))
            log.info("key.tried", round=plan.id, version=keyed.version)
        self._made.add((plan.id, keyed.version, plan.closes))

    async def _grades(self, plan: RoundPlan, keyed: RoundKeyed, states: Mapping[int, State]) -> dict[tuple[str, int], int]:
        """The right answers of every standing attempt by the proposed key, where they differ."""
        found: dict[tuple[str, int], int] = {}
        async for batch in self._runtime.bus.batches("submissions"):
            for record in batch:
                event = handlers.submission(type_of(record.headers), record.value)
                if event is None or event.round != plan.id or event.paper not in keyed.papers or record.partition not in states:
                    continue
                held = states[record.partition].find(event.participant, event.round, event.n)
                try:
                    judged = handlers.regraded(event, held, keyed.papers[event.paper], keyed.version) if held else None
                except Unfit:
                    continue
                if judged is not None:
                    found[judged.participant, judged.n] = judged.correct
            await asyncio.sleep(0)
        return found


def compare(
    plan: RoundPlan, keyed: RoundKeyed, entries: Sequence[Entry], correct: Mapping[tuple[str, int], int], at: datetime
) -> Trial:
    """The trial of a key: `correct` holds the new grades by participant and n. Pure."""
    changed = [each._replace(correct=correct.get((each.participant, each.n), each.correct)) for each in entries]
    perfect_before, perfect_after = domain.perfect(entries), domain.perfect(changed)
    before = {row.participant: row for row in domain.standings(entries, plan.counting, plan.ranking, perfect_before)}
    after = domain.standings(changed, plan.counting, plan.ranking, perfect_after)
    moved = [row for row in after if _differs(before[row.participant], row)]
    moved.sort(key=lambda row: (min(row.rank, before[row.participant].rank), row.rank, row.participant))
    return Trial(
        round=plan.id,
        version=keyed.version,
        reason=keyed.reason,
        at=at,
        people=len(after),
        up=sum(row.rank < before[row.participant].rank for row in after),
        down=sum(row.rank > before[row.participant].rank for row in after),
        perfect_before=perfect_before,
        perfect_after=perfect_after,
        changes=tuple(
            Change(
                name=row.name,
                unit=row.unit,
                before=before[row.participant].rank,
                after=row.rank,
                correct_before=before[row.participant].correct,
                correct_after=row.correct,
            )
            for row in moved[:MOST]
        ),
    )


def _differs(one: Row, other: Row) -> bool:
    return (one.rank, one.correct) != (other.rank, other.correct)


def _entries(plan: RoundPlan, states: Mapping[int, State]) -> Iterable[Entry]:
    for state in states.values():
        for judged, name in state.judged(plan.id):
            if judged.verdict == "valid":
                yield handlers.entry(judged, name)
