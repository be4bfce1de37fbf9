"""What any bus does with a batch: hand it over, split what fails, hold it back, put poison away, publish, commit.

A batch that cannot be handled is split by partition; a partition that still fails is held back with its records in memory and
tried again with back-off, while the others go on. How partitions are shared out, and how records are read and offsets written,
is the business of each bus (`member.py` of each).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from services.kit.bus import BusDown, Consumer, Done, Fenced, Outcome, Outgoing, Record, Reject, Transient, dead_letter
from services.kit.clock import Clock
from services.kit.metrics import BATCH_SIZE, CONSUMED, DEAD_LETTERS, LAG, OLDEST, RETRIES

T = TypeVar("T")
logger = logging.getLogger(__name__)

Place = tuple[str, int]
"""A topic and a partition of it."""

TRACE = "traceparent"
"""The header of W3C Trace Context: what a record causes belongs to its trace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySettings:
    """Times are seconds."""

    batch_records: int = 1000
    idle: float = 0.02
    """How often a reader that has read everything looks again."""
    backoff: float = 0.1
    backoff_cap: float = 10.0
    poison_tries: int = 3
    """How often a record may raise before it is a dead letter."""
    poison_window: int = 200
    poison_least: int = 20
    poison_ratio: float = 0.5
    """More dead letters than this share of the last `poison_window` records, and at least `poison_least`: the member pauses."""


class Stopped(Exception):
    """It became time to leave during a wait: the batch stays uncommitted."""


class Offsets(Protocol):
    """What a group has committed in the topics of one member."""

    inside: frozenset[str]
    """The topics whose records become durable in one transaction with the offsets."""

    async def committed(self) -> Mapping[Place, int]:
        """The next offset of each place where there is one. Raises BusDown."""
        ...

    async def commit(self, publish: Sequence[Outgoing], known: Mapping[Place, int], nexts: Mapping[Place, int]) -> None:
        """Publishes what is `inside` and moves the offsets from `known` to `nexts`. Raises Fenced where another member has
        moved them, BusDown."""
        ...


@dataclass(frozen=True, slots=True)
class Held:
    """A partition's records that wait for their next try."""

    records: Sequence[Record]
    tries: int
    due: float


class Delivery:
    """One member's work on the partitions that are its own. `stop` says that a wait is to end (Stopped)."""

    def __init__(
        self,
        *,
        group: str,
        topics: Collection[str],
        consumer: Consumer,
        publish: Callable[[Sequence[Outgoing]], Awaitable[None]],
        offsets: Offsets,
        stop: Callable[[], bool],
        clock: Clock,
        settings: DeliverySettings,
    ) -> None:
        self.group, self.topics = group, topics
        self.paused = False
        self.mine: frozenset[int] = frozenset()
        self.held: dict[int, Held] = {}
        self._known: dict[Place, int] = {}
        self._consumer, self._publish, self._offsets = consumer, publish, offsets
        self._stop, self._clock, self._settings = stop, clock, settings
        self._guard = PoisonGuard(window=settings.poison_window, least=settings.poison_least, ratio=settings.poison_ratio)

    # -- partitions

    async def take(self, partitions: frozenset[int]) -> Mapping[Place, int]:
        """These are ours now. Returns where to read from. Raises Stopped."""
        self.mine |= partitions
        state = await self._insist(lambda: self._consumer.assigned(partitions))
        committed = await self._insist(self._offsets.committed)
        starts = {}
        for place in [(topic, partition) for topic in self.topics for partition in partitions]:
            reached = committed.get(place, 0)
            starts[place] = min(state.get(place, reached), reached)
            if place in committed:
                self._known[place] = reached
        return starts

    async def let_go(self, partitions: frozenset[int]) -> None:
        """These are no longer ours: forgets what was not committed."""
        self.mine -= partitions
        for place in [(topic, partition) for topic in self.topics for partition in partitions]:
            self._known.pop(place, None)
            with contextlib.suppress(KeyError):
                LAG.remove(self.group, place[0], str(place[1]))
        for partition in partitions:
            self.held.pop(partition, None)
        if partitions:
            await self._consumer.revoked(partitions)

    def measure_lag(self, topic: str, ends: Mapping[int, int]) -> None:
        """Compares what is committed with the ends of a topic's partitions."""
        furthest = 0
        for partition in self.mine:
            behind = max(0, ends.get(partition, 0) - self._known.get((topic, partition), 0))
            LAG.labels(self.group, topic, partition).set(behind)
            furthest = max(furthest, behind)
        if self.held or not furthest:
            self._tell_age([held.records[0] for held in self.held.values()])

    def _tell_age(self, waiting: Sequence[Record]) -> None:
        now = self._clock.now().timestamp()
        oldest = min((record.timestamp / 1000 for record in waiting), default=now)
        OLDEST.labels(self.group).set(max(0.0, now - oldest))

    async def still_ours(self) -> None:
        """Asks the consumer, to which no record may come, whether its state is still its own. Raises Fenced."""
        if not self.mine or self.paused:
            return
        try:
            await self._consumer.handle([])
        except Fenced:
            raise
        except Exception as error:  # What else is wrong will show with a record.
            logger.warning("%s: %r", self.group, error)

    # -- handling

    async def work(self, batch: Sequence[Record]) -> None:
        """Sees a batch through, or holds back what fails. Raises Fenced and Stopped: then nothing more of it is committed."""
        BATCH_SIZE.labels(self.group).observe(len(batch))
        self._tell_age(batch)
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

    async def retry(self) -> bool:
        """Tries what was held back and is due; False where nothing was."""
        now = self._clock.monotonic()
        due = [partition for partition, held in self.held.items() if held.due <= now]
        for partition in due:
            held = self.held.pop(partition)
            await self._deliver(held.records, held.tries)
        return bool(due)

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
        self.held[partition] = Held(part, tries, self._clock.monotonic() + wait)

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
                    await self.sleep(backoff(failures, self._settings.backoff, self._settings.backoff_cap))
            await self._finish([record], outcomes, self._settings.poison_tries)

    # -- finishing

    async def _finish(self, records: Sequence[Record], outcomes: Sequence[Outcome], tries: int) -> None:
        """Dead letters, then what the commit does not publish itself, each durable; then the rest and the offsets. Replays
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
                    (inside if outgoing.topic in self._offsets.inside else outside).append(_traced(outgoing, record))
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
            await self._insist(lambda: self._offsets.commit(inside, self._known, nexts))
            self._known.update(nexts)
        for topic, count in Counter(record.topic for record in records).items():
            CONSUMED.labels(self.group, topic).inc(count)

    async def _wait_for_a_person(self, letters: Sequence[Outgoing]) -> None:
        logger.error("%s: paused, too much poison: %s", self.group, letters[-1].headers["error"])
        self.paused = True
        try:
            while self.paused:
                await self.sleep(self._settings.idle)
        finally:
            self.paused = False
        self._guard.reset()

    async def _insist(self, action: Callable[[], Awaitable[T]]) -> T:
        """Until it succeeds, or it is time to leave."""
        tries = 0
        while True:
            try:
                return await action()
            except (Transient, BusDown) as error:
                wait = backoff(tries, self._settings.backoff, self._settings.backoff_cap)
                logger.warning("%s: trying again in %.1f s: %s", self.group, wait, error)
                await self.sleep(wait)
                tries += 1

    async def sleep(self, seconds: float) -> None:
        """Waits. Raises Stopped when it is time to leave."""
        until = self._clock.monotonic() + seconds
        while self._clock.monotonic() < until:
            if self._stop():
                raise Stopped
            await asyncio.sleep(min(seconds, self._settings.idle))


def _traced(outgoing: Outgoing, cause: Record) -> Outgoing:
    trace = cause.headers.get(TRACE)
    if trace is None or TRACE in outgoing.headers:
        return outgoing
    return Outgoing(outgoing.topic, outgoing.key, outgoing.value, {**outgoing.headers, TRACE: trace})


def backoff(tries: int, base: float, cap: float) -> float:
    """Seconds to wait after so many failures: doubled each time, capped, jittered so that members do not fall into step."""
    wait: float = min(cap, base * 2.0 ** min(tries, 30))
    return wait * random.uniform(0.5, 1.0)


class PoisonGuard:
    """Trips when too many of the last records were poison: more likely a bad deploy than bad records."""

    def __init__(self, *, window: int, least: int, ratio: float) -> None:
        self._recent: deque[bool] = deque(maxlen=window)
        self._least, self._ratio = least, ratio

    def trips(self, poison: bool) -> bool:
        """Notes one record's end and says whether that was too much."""
        self._recent.append(poison)
        dead = sum(self._recent) if poison else 0
        return dead >= self._least and dead > self._ratio * len(self._recent)

    def reset(self) -> None:
        self._recent.clear()
