"""Judges: takes people and submissions in, partition by partition, and tells of the verdict that stands for each attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec
import structlog

from services.events import ParticipantErased, ParticipantRegistered, RoundPlan, SubmissionReceived
from services.kit.bus import DONE, BusDown, Done, Outcome, Outgoing, Record, Reject, Subscription, Transient
from services.kit.clock import us_of
from services.kit.cloudevents import type_of
from services.kit.derived import Derived, Owned
from services.kit.runtime import Runtime
from services.scoring import handlers
from services.scoring.domain import Judged, State, Unfit
from services.scoring.handlers import Library
from services.scoring.store import Verdicts, snapshots, views

GROUP = "scoring"
TOPICS = ("participants", "submissions")
SUBSCRIPTIONS = (Subscription(GROUP, TOPICS), Subscription("", ("contests", "keys")))

_LOOK_S = 0.5
"""How often the rounds are looked at for a plan that has changed."""

log = structlog.get_logger(__name__)

Reading = Judged | ParticipantRegistered | ParticipantErased | Reject | None
"""What a record turned out to be."""


class ScoringWorker:
    """A `services.kit.bus.Consumer`. One thing at a time: a batch, a round to be judged anew, a change of partitions.

    Nothing of the state changes before the verdicts are facts, so that a batch that failed can be tried again from its start.
    """

    def __init__(self, runtime: Runtime, library: Library) -> None:
        self._runtime, self._library = runtime, library
        self._verdicts = Verdicts(runtime.store)
        self._turn = asyncio.Lock()
        self.derived: Derived[State] = Derived(
            snapshots(runtime.store), views(runtime.store), State, State, _view, TOPICS, runtime.clock
        )

    async def consume(self, stop: Callable[[], bool]) -> None:
        """Works until `stop()`."""
        await self._runtime.bus.consume(TOPICS, GROUP, self, stop)

    async def write(self, stop: Callable[[], bool]) -> None:
        """Writes views and snapshots until `stop()`."""
        settings = self._runtime.settings
        await self.derived.run(stop, settings.flush_ms / 1000, settings.snapshot_s)

    async def follow_plans(self, stop: Callable[[], bool]) -> None:
        """Judges rounds anew whose closing has moved, until `stop()`."""
        while not stop():
            try:
                await self.judge_anew()
            except (Transient, BusDown) as error:
                log.warning("rejudging.put_off", error=str(error))
            await asyncio.sleep(_LOOK_S)

    async def assigned(self, partitions: Collection[int]) -> Mapping[tuple[str, int], int]:
        async with self._turn:
            return await self.derived.load(partitions)

    async def revoked(self, partitions: Collection[int]) -> None:
        async with self._turn:
            self.derived.drop(partitions)

    async def handle(self, batch: Sequence[Record]) -> Sequence[Outcome]:
        async with self._turn:
            self.derived.check()
            readings = [self._read(record) for record in batch]
            standing = await self._settle(batch, readings)
            return [self._conclude(record, reading, standing) for record, reading in zip(batch, readings, strict=True)]

    async def judge_anew(self) -> None:
        """Brings every partition's verdicts up to the plans of today. What a crash cuts short is done again: the facts are
        repeats then, and so are their events."""
        async with self._turn:
            for p, owned in list(self.derived.owned.items()):
                for round, mark in list(owned.state.rounds.items()):
                    plan = self._library.plan(round)
                    if us_of(plan.closes) != mark.closes:
                        await self._judge_round_anew(p, owned, plan)

    async def _judge_round_anew(self, p: int, owned: Owned[State], plan: RoundPlan) -> None:
        standing, _ = await self._verdicts.settle(handlers.judged_anew(owned.state, plan))
        await self._runtime.bus.publish([self._told(judged) for judged in standing.values()])
        mark = owned.state.rounds[plan.id]
        mark.closes, mark.rules = us_of(plan.closes), plan.revision
        for judged in standing.values():
            owned.state.put(judged, mark.changed)
        self.derived.touch(p)
        log.info("round.judged_anew", round=plan.id, partition=p, changed=len(standing))

    def _read(self, record: Record) -> Reading:
        try:
            event = handlers.read(type_of(record.headers), record.value)
        except msgspec.DecodeError as error:
            return Reject(str(error))
        return self._judge(event, record.partition) if isinstance(event, SubmissionReceived) else event

    def _judge(self, event: SubmissionReceived, partition: int) -> Judged | Reject:
        plan = self._library.plan(event.round)
        key, version = self._library.key(event.round, event.paper)
        mark = self.derived.owned[partition].state.mark(plan.id, us_of(plan.closes), plan.revision)
        try:
            return handlers.judge(event, mark, plan.minutes, key, version)
        except Unfit as unfit:
            return Reject(str(unfit))

    async def _settle(self, batch: Sequence[Record], readings: Sequence[Reading]) -> dict[str, Judged]:
        """What stands for each attempt of the batch, now that it has become fact."""
        standing: dict[str, Judged] = {}
        new: dict[str, Judged] = {}
        for record, reading in zip(batch, readings, strict=True):
            if isinstance(reading, Judged):
                held = self.derived.owned[record.partition].state.find(reading.participant, reading.round, reading.n)
                best = standing.get(reading.attempt, held)
                if best is None or reading.outdoes(best):
                    best = new[reading.attempt] = msgspec.structs.replace(reading, revision=held.revision + 1 if held else 0)
                standing[reading.attempt] = best
        settled, differing = await self._verdicts.settle(list(new.values()))
        if differing:
            # Nobody may have told of these: a replayed record's outcome is not published.
            await self._runtime.bus.publish([self._told(judged) for judged in differing])
        return standing | settled

    def _conclude(self, record: Record, reading: Reading, standing: Mapping[str, Judged]) -> Outcome:
        state = self.derived.take(record)
        if isinstance(reading, Reject):
            return reading
        if isinstance(reading, Judged):
            stands = standing[reading.attempt]
            if state is not None:
                state.put(stands, record.offset)
            return Done((self._told(stands),)) if stands.submission == reading.submission else DONE
        if state is not None and reading is not None:
            handlers.meet(state, reading)
        return DONE

    def _told(self, judged: Judged) -> Outgoing:
        return self._runtime.outgoing(handlers.scored(judged))


def _view(state: State) -> bytes:
    return msgspec.msgpack.encode(state.rounds)
