"""Counts: takes attempts and verdicts in, partition by partition, and writes what the board reads."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

import msgspec

from services.events import AttemptScored, AttemptStarted, AttemptSubmitted, ContestBook, Event, decode
from services.events.base import UnknownEvent
from services.kit.bus import DONE, NotReady, Outcome, Record, Reject, Subscription
from services.kit.cloudevents import type_of
from services.kit.derived import Derived
from services.kit.metrics import BOARD_SECONDS
from services.kit.runtime import Runtime
from services.reporting import domain, reminders
from services.reporting.domain import State
from services.reporting.handlers import TOPICS, Counted, apply
from services.reporting.store import snapshots, views

GROUP = "reporting"
SUBSCRIPTIONS = (Subscription(GROUP, TOPICS), reminders.SUBSCRIPTION, Subscription("", ("contests", "headcounts", "results")))


class ReportingWorker:
    """A `services.kit.bus.Consumer`. `book` says which contest a round belongs to."""

    def __init__(self, runtime: Runtime, book: ContestBook) -> None:
        self._runtime, self._book = runtime, book
        self._unseen: dict[int, datetime] = {}
        self.derived: Derived[State] = Derived(
            snapshots(runtime.store), views(runtime.store), State, State, self._view, TOPICS, runtime.clock
        )

    async def consume(self, stop: Callable[[], bool]) -> None:
        """Works until `stop()`."""
        await self._runtime.bus.consume(TOPICS, GROUP, self, stop)

    async def write(self, stop: Callable[[], bool]) -> None:
        """Writes views and snapshots until `stop()`."""
        settings = self._runtime.settings
        await self.derived.run(stop, settings.flush_ms / 1000, settings.snapshot_s)

    async def assigned(self, partitions: Collection[int]) -> Mapping[tuple[str, int], int]:
        return await self.derived.load(partitions)

    async def revoked(self, partitions: Collection[int]) -> None:
        self.derived.drop(partitions)

    async def handle(self, batch: Sequence[Record]) -> Sequence[Outcome]:
        self.derived.check()
        return [self._handle(record) for record in batch]

    def _handle(self, record: Record) -> Outcome:
        try:
            event = _decode(record)
        except msgspec.DecodeError as error:
            self.derived.take(record)
            return Reject(str(error))
        # Before the record is taken: once it is, a second try would pass it over.
        contest = None if event is None else self._contest(event)
        state = self.derived.take(record)
        if state is not None and event is not None and contest is not None:
            apply(state, event, contest)
            if isinstance(event, AttemptScored):
                self._unseen.setdefault(id(state), event.time)
        return DONE

    def _contest(self, event: Counted) -> str:
        plan = self._book.round(event.round)
        if plan is None:
            raise NotReady(f"the round {event.round} has not been published here yet")
        return plan.contest

    def _view(self, state: State) -> bytes:
        received = self._unseen.pop(id(state), None)
        if received is not None:
            BOARD_SECONDS.observe(max(0.0, (self._runtime.clock.now() - received).total_seconds()))
        return domain.view(state)


def _decode(record: Record) -> Counted | None:
    """The event of a record, or None where it is none that counts."""
    try:
        event: Event = decode(type_of(record.headers), record.value)
    except UnknownEvent:
        return None
    return event if isinstance(event, AttemptStarted | AttemptSubmitted | AttemptScored) else None
