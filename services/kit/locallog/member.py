"""One member of a consumer group on the local log: which partitions are its own, and reading them.

What becomes of a batch is `services.kit.delivery`. No wait there stops the heartbeat, which is a task of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

from services.kit.bus import BusDown, Consumer, Fenced, Outgoing, Record, TopicSpec
from services.kit.clock import Clock
from services.kit.delivery import Delivery, Place, Stopped
from services.kit.locallog.groups import Membership, committed, move
from services.kit.locallog.log import Log
from services.kit.locallog.settings import LocalLogSettings

logger = logging.getLogger(__name__)


class LogOffsets:
    """Where a group commits: in the log `offsets`, one transaction with what it publishes to the topics `inside` that log."""

    def __init__(self, group: str, topics: Sequence[str], offsets: Log, inside: frozenset[str]) -> None:
        self.inside = inside
        self._group, self._topics, self._log = group, topics, offsets

    async def committed(self) -> Mapping[Place, int]:
        connection = self._log.active()
        return committed(connection, self._group, self._topics) if connection else {}

    async def commit(self, publish: Sequence[Outgoing], known: Mapping[Place, int], nexts: Mapping[Place, int]) -> None:
        with self._log.transaction() as transaction:
            move(transaction.connection, self._group, known, nexts)
            if publish:
                transaction.append(publish)


class Member:
    """Runs one `consume`. `logs` are those that hold the topics; `offsets` is where the group commits."""

    def __init__(
        self,
        *,
        group: str,
        topics: Sequence[TopicSpec],
        logs: Mapping[str, Log],
        offsets: LogOffsets,
        publish: Callable[[Sequence[Outgoing]], Awaitable[None]],
        membership: Membership,
        consumer: Consumer,
        stop: Callable[[], bool],
        clock: Clock,
        settings: LocalLogSettings,
    ) -> None:
        self.delivery = Delivery(
            group=group,
            topics=[topic.name for topic in topics],
            consumer=consumer,
            publish=publish,
            offsets=offsets,
            stop=stop,
            clock=clock,
            settings=settings,
        )
        self._group = group
        self._topics = {topic.name: topic for topic in topics}
        self._partitions = topics[0].partitions
        self._logs, self._membership = dict(logs), membership
        self._stop, self._clock, self._settings = stop, clock, settings
        self._positions: dict[Place, int] = {}
        self._look_again = 0.0

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
                    logger.warning("%s: %s", self._group, down)
                    await asyncio.sleep(self._settings.backoff)
            await self._give_up()
        except Stopped:
            await self._give_up()
        finally:
            heart.cancel()
            with contextlib.suppress(sqlite3.Error):
                self._membership.leave()

    async def _turn(self) -> None:
        if self._clock.monotonic() >= self._look_again:
            await self._rebalance()
        retried = await self.delivery.retry()
        batch = self._poll()
        if batch:
            await self.delivery.work(batch)
        # Nothing else may ever give way to the heartbeat when a handler never waits.
        await asyncio.sleep(0 if batch or retried else self._settings.idle)

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(self._settings.heartbeat)
            self._beat()

    def _beat(self) -> None:
        try:
            self._membership.beat()
        except sqlite3.Error as error:
            logger.warning("%s: no heartbeat: %s", self._group, error)

    # -- which partitions

    async def _rebalance(self) -> None:
        self._look_again = self._clock.monotonic() + self._settings.heartbeat
        mine, had = self._membership.share(self._partitions), self.delivery.mine
        await self._let_go(had - mine)
        if mine - had:
            self._positions.update(await self.delivery.take(mine - had))
        for name, topic in self._topics.items():
            self.delivery.measure_lag(name, dict(enumerate(self._logs[topic.log].ends(name))))
        await self.delivery.still_ours()

    async def _let_go(self, partitions: frozenset[int]) -> None:
        self._positions = {place: position for place, position in self._positions.items() if place[1] not in partitions}
        await self.delivery.let_go(partitions)

    async def _give_up(self) -> None:
        """Forgets everything that was not written; the next turn joins anew."""
        self._look_again = 0.0
        await self._let_go(self.delivery.mine)

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
                logger.warning("%s: %s", self._group, down)
                break
        return batch

    def _poll_log(self, name: str, log: Log, room: int, size: int) -> Iterator[Record]:
        """Those in front go on, and those furthest behind catch up with the next: so nobody waits, and all places soon
        read as one."""
        fronts: dict[int, dict[str, list[int]]] = {}
        for (topic, partition), position in self._positions.items():
            if self._topics[topic].log == name and partition not in self.delivery.held:
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
