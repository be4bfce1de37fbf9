"""Looks a closed round through before it is ranked: one pass over its answers in the log gives its item statistics and its cases.

What stands is judged already; the log is read again because nothing else holds the answers. The owner of partition 0 does it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from hashlib import blake2b

import msgspec
import structlog

from services.events import RoundKeyed, RoundPlan, SubmissionReceived
from services.kit.bus import Record
from services.kit.clock import us_of
from services.kit.cloudevents import type_of
from services.kit.runtime import Runtime
from services.scoring import handlers, statistics
from services.scoring.anomalies import Limits, Sight, Watch
from services.scoring.casebook import Casebook, Review
from services.scoring.domain import Judged, Mark, State
from services.scoring.handlers import Library
from services.scoring.statistics import Answer, Sums, answers_of
from services.scoring.store import read_states

MOST_MISSING = 10
"""Attempts without a verdict that a review names."""

log = structlog.get_logger(__name__)


class Reviewer:
    """Reviews rounds, each anew when its marks have changed."""

    def __init__(self, runtime: Runtime, library: Library) -> None:
        self._runtime, self._library = runtime, library
        self.casebook = Casebook(runtime.store)
        self._reviewed: dict[str, bytes] = {}
        self._clear: dict[str, bytes] = {}

    async def tell_rulings(self) -> bool:
        """Tells of rulings that a crash left untold; whether there were any. Raises StoreDown or BusDown."""
        untold = await self.casebook.untold()
        if untold:
            await self._runtime.bus.publish([self._runtime.outgoing(ruling) for ruling in untold])
            await self.casebook.told(untold)
        return bool(untold)

    async def cleared(self, plan: RoundPlan, marks: Mapping[int, Mark]) -> bool:
        """Whether the round has been reviewed as it stands and no case waits for a person. Raises StoreDown or BusDown."""
        basis = msgspec.msgpack.encode(marks)
        if self._clear.get(plan.id) == basis:
            return True  # Cases are opened by a review alone, and a decision is not taken back.
        if self._reviewed.get(plan.id) != basis:
            review = await self.casebook.review(plan.id)
            if (review is None or review.basis != basis) and not await self._review(plan, marks, basis):
                return False
            self._reviewed[plan.id] = basis
        if (await self.casebook.counts(plan.id))["open"]:
            return False
        self._clear[plan.id] = basis
        return True

    async def _review(self, plan: RoundPlan, marks: Mapping[int, Mark], basis: bytes) -> bool:
        states = await read_states(self._runtime.store, plan.id, marks)
        keyed = self._library.standing_key(plan.id)
        if states is None or keyed is None:
            return False
        settings = self._runtime.settings
        sighting = _Sighting(plan, keyed, states, Limits(pace_ms=settings.review_pace_ms, people=settings.review_people))
        async for batch in self._runtime.bus.batches("submissions"):
            sighting.take(batch)
            await asyncio.sleep(0)
        cases = sighting.watch.cases()
        judged = {judged.attempt for state in states.values() for judged, _ in state.judged(plan.id)}
        review = Review(
            basis=basis,
            sums=sighting.sums,
            seen=len(sighting.seen),
            at=self._runtime.clock.now(),
            submitted=len(sighting.submitted),
            judged=len(judged),
            missing=tuple(sorted(sighting.submitted - judged)[:MOST_MISSING]),
        )
        await self.casebook.file(plan.id, cases, review)
        log.info("round.reviewed", round=plan.id, attempts=review.seen, cases=len(cases), agrees=review.agrees)
        return True


class _Sighting:
    """One pass. A submission that the log holds twice is seen once."""

    def __init__(self, plan: RoundPlan, keyed: RoundKeyed, states: Mapping[int, State], limits: Limits) -> None:
        self._plan, self._keyed, self._states = plan, keyed, states
        self.watch, self.seen, self.submitted = Watch(limits), set[str](), set[str]()
        self.sums: Sums = {}

    def take(self, batch: Sequence[Record]) -> None:
        for record in batch:
            event = handlers.submission(type_of(record.headers), record.value)
            if event is None or event.round != self._plan.id:
                continue
            self.submitted.add(event.attempt)
            if event.attempt in self.seen:
                continue
            state = self._states.get(record.partition)
            held = state.find(event.participant, event.round, event.n) if state else None
            if (
                held is not None
                and held.verdict != "late"
                and held.submission == (us_of(event.time), bytes.fromhex(event.digest))
            ):
                self.seen.add(event.attempt)
                self._look(event, held, state.people[event.participant].block if state else b"")

    def _look(self, event: SubmissionReceived, held: Judged, block: bytes) -> None:
        answers = self._answers(event)
        if held.verdict == "valid" and answers is not None:
            statistics.take(self.sums, answers)
        digest, faults = _digest(event, answers)
        self.watch.see(
            Sight(
                attempt=event.attempt,
                participant=event.participant,
                elapsed_ms=held.elapsed_ms,
                correct=held.correct,
                total=held.total,
                answers=digest,
                faults=faults if answers is not None else held.total - held.correct,
                device=event.device,
                block=block,
            )
        )

    def _answers(self, event: SubmissionReceived) -> list[Answer] | None:
        """What was answered, question by question; None where the paper's layout is not known."""
        layout = self._keyed.layouts.get(event.paper)
        return None if layout is None else list(answers_of(event.answers, self._keyed.papers[event.paper], layout))


def _digest(event: SubmissionReceived, answers: Sequence[Answer] | None) -> tuple[bytes, int]:
    """The same for the same answers to the same questions, in whatever order a paper shows them; and how many are wrong, blanks
    not counted."""
    if answers is None:
        parts, faults = [event.paper, event.answers], 0
    else:
        parts = sorted(f"{answer.question}={answer.chosen}" for answer in answers)
        faults = sum(not answer.right and bool(answer.chosen) for answer in answers)
    return blake2b("\n".join(parts).encode(), digest_size=8).digest(), faults
