"""Judges: takes people and submissions in, partition by partition, and tells of the verdict that stands for each attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec
import structlog

from services.events import AttemptRuled, ParticipantErased, ParticipantRegistered, SubmissionReceived
from services.kit.bus import DONE, BusDown, Done, Outcome, Outgoing, Record, Reject, Subscription, Transient
from services.kit.clock import us_of
from services.kit.cloudevents import type_of
from services.kit.derived import Derived, Owned
from services.kit.runtime import Runtime
from services.scoring import handlers
from services.scoring.domain import Judged, Ruling, State, Unfit
from services.scoring.handlers import Library
from services.scoring.store import Verdicts, snapshots, views

GROUP = "scoring"
TOPICS = ("participants", "submissions", "rulings")
SUBSCRIPTIONS = (Subscription(GROUP, TOPICS), Subscription("", ("contests", "keys", "journals", "headcounts")))

_LOOK_S = 0.5
"""How often the rounds are looked at for a plan that has changed."""

log = structlog.get_logger(__name__)

Reading = Judged | AttemptRuled | ParticipantRegistered | ParticipantErased | Reject | None
"""What a record turned out to be."""


class ScoringWorker:
    """A `services.kit.bus.Consumer`. One thing at a time: a batch, a round to be judged anew, a change of partitions.

    Nothing of the state changes before the verdicts are facts, so that a batch that failed can be tried again from its start.
    """

    def __init__(self, runtime: Runtime, library: Library) -> None:
        self._runtime, self._library = runtime, library
        self._verdicts = Verdicts(runtime.store)
        self._turn = asyncio.Lock()
        self._key = runtime.secrets.get("phone.key")
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
        """Judges rounds anew whose closing has moved or whose key was mended, until `stop()`."""
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
                        changed = await self._let_stand(owned, handlers.judged_anew(owned.state, plan))
                        mark.closes, mark.rules = us_of(plan.closes), plan.revision
                        self.derived.touch(p)
                        log.info("round.judged_anew", round=round, partition=p, changed=changed)
            if behind := self._behind_their_keys():
                await self._grade_anew(behind)

    def _behind_their_keys(self) -> dict[tuple[int, str], int]:
        """The rounds of each partition that were judged by an older key than the one that stands, with the version that does."""
        found: dict[tuple[int, str], int] = {}
        for p, owned in self.derived.owned.items():
            for round, mark in owned.state.rounds.items():
                keyed = self._library.standing_key(round)
                if keyed is not None and keyed.version > mark.key:
                    found[p, round] = keyed.version
        return found

    async def _grade_anew(self, behind: Mapping[tuple[int, str], int]) -> None:
        """Reads the answers again, from the log: the state does not hold them. What was judged by the newer key stays."""
        regraded: dict[tuple[int, str], list[Judged]] = {place: [] for place in behind}
        async for batch in self._runtime.bus.batches("submissions"):
            for record in batch:
                judged = self._graded_anew(record, behind)
                if judged is not None:
                    regraded[record.partition, judged.round].append(judged)
            await asyncio.sleep(0)
        for (p, round), version in behind.items():
            owned = self.derived.owned[p]
            changed = await self._let_stand(owned, regraded[p, round])
            owned.state.rounds[round].key = version
            self.derived.touch(p)
            log.info("round.graded_anew", round=round, partition=p, version=version, changed=changed)

    def _graded_anew(self, record: Record, behind: Mapping[tuple[int, str], int]) -> Judged | None:
        event = self._event(record)
        if not isinstance(event, SubmissionReceived) or (record.partition, event.round) not in behind:
            return None
        held = self.derived.owned[record.partition].state.find(event.participant, event.round, event.n)
        try:
            return handlers.regraded(event, held, *self._library.key(event.round, event.paper)) if held else None
        except Unfit:
            return None  # It became a dead letter when it came.

    async def _let_stand(self, owned: Owned[State], changed: Sequence[Judged]) -> int:
        """Makes judgements facts, tells of them, and holds them. Returns how many there are."""
        standing, _ = await self._verdicts.settle(changed)
        await self._runtime.bus.publish([self._told(judged) for judged in standing.values()])
        for judged in standing.values():
            owned.state.put(judged, None)
        return len(standing)

    def _read(self, record: Record) -> Reading:
        event = self._event(record)
        return self._judge(event, record.partition) if isinstance(event, SubmissionReceived) else event

    def _event(self, record: Record) -> handlers.Heard | Reject | None:
        try:
            return handlers.read(type_of(record.headers), record.value)
        except msgspec.DecodeError as error:
            return Reject(str(error))

    def _judge(self, event: SubmissionReceived, partition: int) -> Judged | Reject:
        plan = self._library.plan(event.round)
        key, version = self._library.key(event.round, event.paper)
        state = self.derived.owned[partition].state
        mark = state.mark(plan.id, us_of(plan.closes), plan.revision, version)
        try:
            return handlers.judge(event, mark, plan.minutes, key, version, state.ruling(event.attempt))
        except Unfit as unfit:
            return Reject(str(unfit))

    async def _settle(self, batch: Sequence[Record], readings: Sequence[Reading]) -> dict[str, Judged]:
        """What stands for each attempt of the batch, now that it has become fact."""
        standing: dict[str, Judged] = {}
        new: dict[str, Judged] = {}
        rulings: dict[str, Ruling] = {}
        anew: set[str] = set()
        for record, reading in zip(batch, readings, strict=True):
            if not isinstance(reading, Judged | AttemptRuled):
                continue
            state, attempt = self.derived.owned[record.partition].state, reading.attempt
            held = state.find(reading.participant, reading.round, reading.n)
            best, ruling = standing.get(attempt, held), rulings.get(attempt, state.ruling(attempt))
            if isinstance(reading, Judged):
                other = reading if best is None or reading.outdoes(best) else None
            else:
                ruling = max(ruling, Ruling(reading.revision, reading.disqualified), key=lambda each: each.revision)
                rulings[attempt], other = ruling, best
            if other is not None:
                judged = self._ruled(state, other, ruling)
                if judged != best:
                    if isinstance(reading, Judged) and best is not None and judged.submission == best.submission:
                        anew.add(attempt)
                    best = new[attempt] = msgspec.structs.replace(judged, revision=held.revision + 1 if held else 0)
            if best is not None:
                standing[attempt] = best
        settled, differing = await self._verdicts.settle(list(new.values()))
        standing |= settled
        # Nobody may have told of these: a replayed record's outcome is not published.
        untold = anew.union(judged.attempt for judged in differing)
        if untold:
            await self._runtime.bus.publish([self._told(standing[attempt]) for attempt in sorted(untold)])
        return standing

    def _ruled(self, state: State, judged: Judged, ruling: Ruling) -> Judged:
        if judged.ruling >= ruling.revision:
            return judged
        return handlers.ruled(judged, ruling, state.rounds[judged.round], self._library.plan(judged.round).minutes)

    def _conclude(self, record: Record, reading: Reading, standing: Mapping[str, Judged]) -> Outcome:
        state = self.derived.take(record)
        if isinstance(reading, Reject):
            return reading
        if isinstance(reading, Judged):
            stands = standing[reading.attempt]
            if state is not None:
                state.put(stands, record.offset)
            return Done((self._told(stands),)) if stands.submission == reading.submission else DONE
        if isinstance(reading, AttemptRuled):
            return self._conclude_ruling(record, reading, standing, state)
        if state is not None and reading is not None:
            handlers.meet(state, reading, self._key)
        return DONE

    def _conclude_ruling(
        self, record: Record, ruling: AttemptRuled, standing: Mapping[str, Judged], state: State | None
    ) -> Outcome:
        stands = standing.get(ruling.attempt)
        if state is not None:
            state.rule(ruling.attempt, Ruling(ruling.revision, ruling.disqualified))
            if stands is not None:
                state.put(stands, None)
        return Done((self._told(stands),)) if stands is not None and stands.ruling == ruling.revision else DONE

    def _told(self, judged: Judged) -> Outgoing:
        return self._runtime.outgoing(handlers.scored(judged))


def _view(state: State) -> bytes:
    return msgspec.msgpack.encode(state.rounds)
