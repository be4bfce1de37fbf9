"""What quiz does by itself: opens and closes rounds on time, finishes what a crash left behind, tidies its logs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import msgspec
import structlog

from services.events import ContestBook, PrizesAwarded, RoundClosed, RoundFinalised, RoundOpened, RoundPlan, decode, state_at
from services.events.base import UnknownEvent
from services.kit.bus import BusDown, Subscription, Transient
from services.kit.runtime import Runtime
from services.quiz.authoring.awards import Awards
from services.quiz.authoring.mending import Mending
from services.quiz.authoring.publishing import KeyTeller, Publisher
from services.quiz.authoring.running import Rounds
from services.quiz.authoring.store import Drafts
from services.quiz.bank.store import Bank
from services.quiz.store import QuizStore

log = structlog.get_logger(__name__)

SUBSCRIPTIONS = (Subscription("", ("contests", "results")),)

LOGS = ("contests", "keys", "participants", "journal", "dlq")
"""The logs that quiz trims and compacts."""


class QuizWorker:
    """Each task looks anew at every turn, so that a turn missed or done twice changes nothing."""

    def __init__(self, runtime: Runtime, book: ContestBook, store: QuizStore) -> None:
        self._runtime, self._book, self._store = runtime, book, store
        self.finals: set[str] = set()
        self._awarded: dict[str, PrizesAwarded] = {}
        self._awards = Awards(runtime.store)
        self._keys, self._rounds = KeyTeller(runtime), Rounds(runtime, book)
        self._mending = Mending(runtime, book)
        self._publisher = Publisher(runtime, Drafts(runtime.store), Bank(runtime.store))

    async def keep_time(self, stop: Callable[[], bool]) -> None:
        """Tells the key of each round that opens, and of each that opens or closes."""
        await self._every(0.5, self._turn_rounds, stop)

    def read_result(self, type: str, body: bytes) -> None:
        """Takes in a record of the topic `results`: which rounds are final, and who won."""
        try:
            event = decode(type, body)
        except UnknownEvent:
            return
        if isinstance(event, RoundFinalised):
            self.finals.add(event.round)
        elif isinstance(event, PrizesAwarded):
            self._awarded[event.key] = event

    async def sweep(self, stop: Callable[[], bool]) -> None:
        """Finishes the commands that a dead process left."""
        await self._every(5, self._sweep, stop)

    async def tidy(self, stop: Callable[[], bool]) -> None:
        """Trims what has outlived its time, and leaves of compacted topics the last word."""
        await self._every(600, self._tidy, stop)

    async def _every(self, seconds: float, turn: Callable[[], Awaitable[None]], stop: Callable[[], bool]) -> None:
        clock = self._runtime.clock
        due = clock.monotonic()
        while not stop():
            if clock.monotonic() >= due:
                try:
                    await turn()
                except (Transient, BusDown) as error:
                    log.warning("turn.put_off", error=str(error))
                due = clock.monotonic() + seconds
            await asyncio.sleep(min(seconds, 0.2))

    async def _turn_rounds(self) -> None:
        now = self._runtime.clock.now()
        plans = [plan for contest in self._book.contests for plan in self._book.rounds(contest)]
        for plan in plans:
            if now >= plan.opens:
                await self._keys.tell(plan)
        events = [event for plan in plans for event in turned(plan, now, final=plan.id in self.finals)]
        if events:
            await self._rounds.settle(events)
            for event in events:
                log.info("round.turned", round=event.round.id, state=event.round.state)

    async def _sweep(self) -> None:
        await self._store.sweep(self._runtime.clock.now())
        await self._rounds.left_untold()
        await self._publisher.finish()
        await self._mending.finish()
        for key, event in list(self._awarded.items()):
            await self._awards.put(event)
            if self._awarded[key] is event:
                del self._awarded[key]

    async def _tidy(self) -> None:
        if self._runtime.bus is self._runtime.journal:  # With brokers, the relay trims what it has forwarded.
            await self._runtime.journal.tidy(LOGS)


def turned(plan: RoundPlan, now: datetime, *, final: bool = False) -> Sequence[RoundOpened | RoundClosed]:
    """The event that the clock, or the publication of its results, owes a round: with the time and the revision that any worker
    would give it."""
    state = state_at(plan, now)
    if final and plan.state == "closed":
        ended = msgspec.structs.replace(plan, state="final", revision=plan.revision + 1)
        return [RoundClosed(time=plan.closes, round=ended)]
    if state == "open" and plan.state == "upcoming":
        opened = msgspec.structs.replace(plan, state="open", revision=plan.revision + 1)
        return [RoundOpened(time=plan.opens, round=opened)]
    if state == "closed" and plan.state not in ("closed", "final"):
        closed = msgspec.structs.replace(plan, state="closed", revision=plan.revision + 1)
        return [RoundClosed(time=plan.closes, round=closed)]
    return []
