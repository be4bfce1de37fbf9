"""One member of a consumer group at work: poll, handle, write dead letters, publish and commit as one.

A batch that cannot be handled is split by partition; a partition that still fails is held back with its records in memory and
tried again with back-off, while the others go on. No wait here stops the heartbeat, which is a task of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from services.kit.bus import (
    BusDown,
    Consumer,
    Done,
    Fenced,
    Outcome,
    Outgoing,
    Record,
    Reject,
    TopicSpec,
    Transient,
    dead_letter,
)
from services.kit.clock import Clock
from services.kit.locallog.delivery import PoisonGuard, backoff
from services.kit.locallog.groups import Membership, Place, committed, move
from services.kit.locallog.log import Log
from services.kit.locallog.settings import LocalLogSettings
from services.kit.metrics import BATCH_SIZE, CONSUMED, DEAD_LETTERS, LAG, RETRIES

T = TypeVar("T")
logger = logging.getLogger(__name__)


class _Stopped(Exception):
    """`stop()` came true during a wait: leave the batch uncommitted."""


@dataclass(frozen=True, slots=True)
class _Held:
    """A partition's records that wait for their next try."""

    records: Sequence[Record]
    tries: int
    due: float


class Member:
    """Runs one `consume`. `logs` are those that hold the topics; `offsets` is the log where the group commits."""

    def __init__(
        self,
        *,
        group: str,
        topics: Sequence[TopicSpec],
        logs: Mapping[str, Log],
        offsets: Log,
        offsets_hold: frozenset[str],
        publish: Callable[[Sequence[Outgoing]], Awaitable[None]],
        membership: Membership,
        consumer: Consumer,
        stop: Callable[[], bool],
        clock: Clock,
        settings: LocalLogSettings,
    ) -> None:
        self.group = group
        self.paused = False
        self._topics = {topic.name: topic for topic in topics}
        self._partitions = topics[0].partitions
        self._logs, self._offsets, self._offsets_hold = dict(logs), offsets, offsets_hold
        self._publish, self._membership, self._consumer = publish, membership, consumer
        self._stop, self._clock, self._settings = stop, clock, settings
        self._guard = PoisonGuard(window=settings.poison_window, least=settings.poison_least, ratio=settings.poison_ratio)
        self._mine: frozenset[int] = frozenset()
        self._positions: dict[Place, int] = {}
        self._known: dict[Place, int] = {}
        self._held: dict[int, _Held] = {}
        self._look_again = 0.0

    def resume(self) -> None:
        """A person says that the poison is real: write the dead letters and go on."""
        self.paused = False

    # -- the loop

    async def run(self) -> None:
        self._beat()
        heart = asyncio.create_task(self._keep_beating())
        try:
            while not self._stop():
                try:
                    await self._turn()
                except Fenced as fenced:
                    logger.warning("%s", fenced)
                    await self._give_up()
                except (BusDown, sqlite3.Error) as down:
                    logger.warning("%s: %s", self.group, down)
                    await asyncio.sleep(self._settings.backoff)
            await self._give_up()
        except _Stopped:
            await self._give_up()
        finally:
            heart.cancel()
            with contextlib.suppress(sqlite3.Error):
                self._membership.leave()

    async def _turn(self) -> None:
        if self._clock.monotonic() >= self._look_again:
            await self._rebalance()
        now = self._clock.monotonic()
        due = [partition for partition, held in self._held.items() if held.due <= now]
        for partition in due:
            held = self._held.pop(partition)
            await self._deliver(held.records, held.tries)
        batch = self._poll()
        if batch:
            await self._work(batch)
        # Nothing else may ever give way to the heartbeat when a handler never waits.
        await asyncio.sleep(0 if batch or due else self._settings.idle)

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(self._settings.heartbeat)
            self._beat()

    def _beat(self) -> None:
        try:
            self._membership.beat()
        except sqlite3.Error as error:
            logger.warning("%s: no heartbeat: %s", self.group, error)

    # -- which partitions

    async def _rebalance(self) -> None:
        self._look_again = self._clock.monotonic() + self._settings.heartbeat
        mine = self._membership.share(self._partitions)
        lost, gained = self._mine - mine, mine - self._mine
        if lost:
            await self._let_go(lost)
        if gained:
            await self._take(gained)
        self._measure_lag()

    def _measure_lag(self) -> None:
        for name, topic in self._topics.items():
            ends = self._logs[topic.log].ends(name)
            for partition in self._mine:
                behind = max(0, ends[partition] - self._known.get((name, partition), 0))
                LAG.labels(self.group, name, partition).set(behind)

    async def _let_go(self, partitions: frozenset[int]) -> None:
        self._mine -= partitions
        for place in [place for place in self._positions if place[1] in partitions]:
            del self._positions[place]
            self._known.pop(place, None)
        for partition in partitions:
            self._held.pop(partition, None)
        await self._consumer.revoked(partitions)

    async def _take(self, partitions: frozenset[int]) -> None:
        self._mine |= partitions
        state = await self._insist(lambda: self._consumer.assigned(partitions))
        connection = self._offsets.active()
        known = committed(connection, self.group, self._topics.keys()) if connection else {}
        for topic in self._topics:
            for partition in partitions:
                place = (topic, partition)
                reached = known.get(place, 0)
                self._positions[place] = min(state.get(place, reached), reached)
                if place in known:
                    self._known[place] = reached

    async def _give_up(self) -> None:
        """Forgets everything that was not written; the next turn joins anew."""
        self._look_again = 0.0
        if self._mine:
            await self._let_go(self._mine)

    # -- reading

    def _poll(self) -> list[Record]:
        batch: list[Record] = []
        room, size = self._settings.batch_records, self._settings.batch_bytes
        for name, log in list(self._logs.items()):
            if room <= 0 or size <= 0:
                break
            self._logs[name] = self._logs.pop(name)  # To the end of the row: next time another log comes first.
            try:
                for record in self._poll_log(name, log, room, size):
                    batch.append(record)
                    room -= 1
                    size -= len(record.value)
            except BusDown as down:  # What was read before it counts: its positions have moved.
                logger.warning("%s: %s", self.group, down)
                break
        return batch

    def _poll_log(self, name: str, log: Log, room: int, size: int) -> Iterator[Record]:
        """Those in front go on, and those furthest behind catch up with the next: so nobody waits, and all places soon
        read as one."""
        fronts: dict[int, dict[str, list[int]]] = {}
        for (topic, partition), position in self._positions.items():
            if self._topics[topic].log == name and partition not in self._held:
                fronts.setdefault(position, {}).setdefault(topic, []).append(partition)
        starts = sorted(fronts)
        spans: list[tuple[int, int | None]] = [(starts[-1], None)] if starts else []
        if len(starts) > 1:
            spans.append((starts[0], starts[1]))
        for start, end in spans:
            records, next_ = log.scan(start, end, fronts[start], -(-room // len(spans)), size)
            for topic, partitions in fronts[start].items():
                self._positions.update(dict.fromkeys([(topic, partition) for partition in partitions], next_))
            yield from records

    # -- handling

    async def _work(self, batch: Sequence[Record]) -> None:
        BATCH_SIZE.labels(self.group).observe(len(batch))
        try:
            outcomes = await self._handle(batch)
        except Fenced:
            raise
        except Exception as error:
            logger.warning("%s: batch of %d failed (%r), trying partition by partition", self.group, len(batch), error)
            parts: dict[int, list[Record]] = {}
            for record in batch:
                parts.setdefault(record.partition, []).append(record)
            for part in parts.values():
                await self._deliver(part, 1)
        else:
            await self._finish(batch, outcomes, 1)

    async def _deliver(self, part: Sequence[Record], tries: int) -> None:
        """One partition's records: handled, or held back."""
        try:
            outcomes = await self._handle(part)
        except Transient as error:
            self._hold(part, tries + 1, error)
        except Fenced:
            raise
        except Exception:
            await self._find_poison(part, tries)
        else:
            await self._finish(part, outcomes, tries)

    async def _handle(self, records: Sequence[Record]) -> Sequence[Outcome]:
        try:
            outcomes = await self._consumer.handle(records)
        except BusDown as down:  # It published by itself.
            raise Transient(str(down)) from down
        if len(outcomes) != len(records):
            raise RuntimeError(f"{len(outcomes)} outcomes for {len(records)} records")
        return outcomes

    def _hold(self, part: Sequence[Record], tries: int, error: Transient) -> None:
        RETRIES.labels(self.group).inc()
        partition = part[0].partition
        wait = backoff(tries - 2, self._settings.backoff, self._settings.backoff_cap)
        logger.warning("%s: partition %d waits %.1f s: %r", self.group, partition, wait, error)
        self._held[partition] = _Held(part, tries, self._clock.monotonic() + wait)

    async def _find_poison(self, part: Sequence[Record], tries: int) -> None:
        """A handler raised what it must not: record by record, until the one that keeps raising is out of the way."""
        for index, record in enumerate(part):
            for failures in range(self._settings.poison_tries):
                try:
                    outcomes = await self._handle([record])
                    break
                except Transient as error:
                    self._hold(part[index:], tries + 1, error)
                    return
                except Fenced:
                    raise
                except Exception as error:
                    logger.exception("%s: %s/%d@%d", self.group, record.topic, record.partition, record.offset)
                    outcomes = [Reject(f"{type(error).__name__}: {error}")]
                    await self._sleep(backoff(failures, self._settings.backoff, self._settings.backoff_cap))
            await self._finish([record], outcomes, self._settings.poison_tries)

    # -- finishing

    async def _finish(self, records: Sequence[Record], outcomes: Sequence[Outcome], tries: int) -> None:
        """Dead letters, then what goes to other logs, each durable; then the rest and the offsets in one commit. Replays
        below the committed offset leave nothing behind."""
        nexts: dict[Place, int] = {}
        letters: list[Outgoing] = []
        inside: list[Outgoing] = []
        outside: list[Outgoing] = []
        tripped = False
        for record, outcome in zip(records, outcomes, strict=True):
            place = (record.topic, record.partition)
            if record.offset < self._known.get(place, 0):
                continue
            nexts[place] = record.offset + 1
            if isinstance(outcome, Done):
                for outgoing in outcome.publish:
                    (inside if outgoing.topic in self._offsets_hold else outside).append(outgoing)
            else:
                letters.append(dead_letter(record, outcome.reason, tries))
            tripped = self._guard.trips(isinstance(outcome, Reject)) or tripped
        if tripped:
            await self._wait_for_a_person(letters)
        if letters:
            await self._insist(lambda: self._publish(letters))
            for letter in letters:
                DEAD_LETTERS.labels(letter.headers["topic"]).inc()
        if outside:
            await self._insist(lambda: self._publish(outside))
        if nexts:
            await self._insist(lambda: self._commit(inside, nexts))
        for topic, count in Counter(record.topic for record in records).items():
            CONSUMED.labels(self.group, topic).inc(count)

    async def _commit(self, inside: Sequence[Outgoing], nexts: Mapping[Place, int]) -> None:
        with self._offsets.transaction() as transaction:
            move(transaction.connection, self.group, self._known, nexts)
            if inside:
                transaction.append(inside)
        self._known.update(nexts)

    async def _wait_for_a_person(self, letters: Sequence[Outgoing]) -> None:
        logger.error("%s: paused, too much poison: %s", self.group, letters[-1].headers["error"])
        self.paused = True
        try:
            while self.paused:
                await self._sleep(self._settings.idle)
        finally:
            self.paused = False
        self._guard.reset()

    async def _insist(self, action: Callable[[], Awaitable[T]]) -> T:
        """Until it succeeds, or it is time to stop."""
        tries = 0
        while True:
            try:
                return await action()
            except (Transient, BusDown) as error:
                wait = backoff(tries, self._settings.backoff, self._settings.backoff_cap)
                logger.warning("%s: trying again in %.1f s: %s", self.group, wait, error)
                await self._sleep(wait)
                tries += 1

    async def _sleep(self, seconds: float) -> None:
        """Waits, unless it is time to stop."""
        until = self._clock.monotonic() + seconds
        while self._clock.monotonic() < until:
            if self._stop():
                raise _Stopped
            await asyncio.sleep(min(seconds, self._settings.idle))
