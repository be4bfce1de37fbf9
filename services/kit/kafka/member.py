"""One member of a consumer group on Kafka: a FastStream batch subscriber, and what it leaves to its user.

FastStream connects, joins, polls and hands over whole batches (`batch=True`, `AckPolicy.MANUAL`). It acknowledges only all
that has been read, stops at the first record it cannot decode, knows no pause and no offset to begin at. So these go through
its public seams:

- a parser and a decoder of our own, which cannot fail on a single record;
- `listener=`, which hears of rebalances: partitions begin paused until the state is loaded and its offset sought;
- `subscriber.consumer`, aiokafka's: explicit next offsets, `seek`, `pause` and `resume`.

What becomes of a batch is `services.kit.delivery`. Batches, retries and changes of the partitions take turns by one lock;
aiokafka keeps the heartbeat in a task of its own. Topics are assigned by range: with equally many partitions, and all members
reading the same topics, partition p of each goes to the same member. A member that is told to give its partitions up finishes
the batch at hand, lets go, and gets them anew, as aiokafka's eager protocol has it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalOperation, IllegalStateError, KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage

from services.kit.bus import BusDown, Consumer, Fenced, Outgoing, Record
from services.kit.clock import Clock
from services.kit.delivery import Delivery, Place, Stopped, backoff
from services.kit.kafka.client import CLIENT_ID, FAULTS, FETCH_WAIT_MS, bounded, security
from services.kit.kafka.records import received
from services.kit.kafka.settings import KafkaSettings

logger = logging.getLogger(__name__)

_faststream = logging.getLogger(f"{__name__}.faststream")
# It warns at every joining that it makes no topics, and tells of each batch.
_faststream.setLevel(logging.ERROR)

_FOR_EVER_MS = 7 * 24 * 3600 * 1000
"""A member that waits for a person polls nothing and is not dead."""


class Member(ConsumerRebalanceListener):  # type: ignore[misc]
    """Runs one `consume`. `ready` is awaited before it joins (the topics are made)."""

    inside: frozenset[str] = frozenset()

    def __init__(
        self,
        *,
        group: str,
        topics: Sequence[str],
        ready: Callable[[], Awaitable[None]],
        publish: Callable[[Sequence[Outgoing]], Awaitable[None]],
        consumer: Consumer,
        stop: Callable[[], bool],
        clock: Clock,
        settings: KafkaSettings,
    ) -> None:
        self.delivery = Delivery(
            group=group,
            topics=topics,
            consumer=consumer,
            publish=publish,
            offsets=self,
            stop=self._leaving,
            clock=clock,
            settings=settings,
        )
        self._group, self._topics, self._ready = group, topics, ready
        self._stop, self._clock, self._settings = stop, clock, settings
        self._lock = asyncio.Lock()
        self._broker, self._subscriber = self._subscribe()
        self._fresh: frozenset[int] | None = None
        self._yielding = False
        self._waits_since: float | None = None
        self._measured = 0.0
        self._failure: Exception | None = None

    # -- joining and leaving

    async def run(self) -> None:
        """Joins, works and leaves; joins anew after it was fenced, or when the brokers were away. Raises BusDown where leaving
        does not come to an end either."""
        tries = 0
        while not self._stop():
            began = self._clock.monotonic()
            try:
                await self._ready()
                await self._join()
                while not self._stop():
                    await self._turn()
            except Stopped:
                pass
            except (Fenced, BusDown, *FAULTS) as error:
                logger.warning("%s: joining anew: %r", self._group, error)
            finally:
                await self._leave()
            tries = 0 if self._clock.monotonic() - began > self._settings.session else tries + 1
            with contextlib.suppress(Stopped):
                await self.delivery.sleep(backoff(tries, self._settings.backoff, self._settings.backoff_cap))

    async def _join(self) -> None:
        # All anew: a client that could not commit is not trusted again.
        self._broker, self._subscriber = self._subscribe()
        self._fresh, self._yielding, self._waits_since, self._failure = None, False, None, None
        starting = asyncio.create_task(self._broker.start())
        try:
            async with bounded("joining", self._settings.rebalance + self._settings.patience):
                while not starting.done():
                    if self._stop():
                        raise Stopped
                    await asyncio.wait({starting}, timeout=self._settings.idle)
                await starting
        finally:
            starting.cancel()
            await asyncio.wait({starting})

    async def _leave(self) -> None:
        self._yielding = True
        async with bounded("leaving", self._settings.grace + self._settings.patience):
            await self._broker.stop()
        await self.delivery.let_go(self.delivery.mine)
        self._yielding = False

    def _subscribe(self) -> tuple[KafkaBroker, Any]:
        settings = self._settings
        broker = KafkaBroker(
            settings.bootstrap.split(","),
            client_id=CLIENT_ID,
            security=security(settings),
            consumer_only=True,
            allow_auto_create_topics=False,
            apply_types=False,
            logger=_faststream,
            graceful_timeout=settings.grace,
        )
        subscriber = broker.subscriber(
            *(settings.prefix + topic for topic in self._topics),
            batch=True,
            group_id=settings.prefix + self._group,
            ack_policy=AckPolicy.MANUAL,
            listener=self,
            parser=self._parse,
            decoder=self._decode,
            max_records=settings.batch_records,
            batch_timeout_ms=max(1, round(settings.idle * 1000)),
            auto_offset_reset="earliest",
            partition_assignment_strategy=(RangePartitionAssignor,),
            fetch_max_wait_ms=FETCH_WAIT_MS,
            fetch_max_bytes=settings.fetch_bytes,
            max_partition_fetch_bytes=settings.fetch_bytes // 16,
            session_timeout_ms=round(settings.session * 1000),
            heartbeat_interval_ms=round(settings.heartbeat * 1000),
            rebalance_timeout_ms=round(settings.rebalance * 1000),
            max_poll_interval_ms=_FOR_EVER_MS,
        )
        subscriber(self._receive)
        return broker, subscriber

    # -- what FastStream calls

    async def _parse(self, raw: Sequence[ConsumerRecord[bytes, bytes]]) -> KafkaAckableMessage:
        return KafkaAckableMessage(body=b"", raw_message=tuple(raw), consumer=self._consumer)

    async def _decode(self, message: KafkaAckableMessage) -> list[Record]:
        prefix = len(self._settings.prefix)
        return [received(raw, raw.topic[prefix:]) for raw in message.raw_message]

    async def _receive(self, batch: list[Record]) -> None:
        # The lock is fair, and nothing between the poll and this line gives way to other tasks: so a batch has its turn before
        # the rebalance that takes its partitions away.
        async with self._lock:
            if self._failure is None and not self._stop():
                await self._attempt(self.delivery.work(batch))
                self._pause_held()

    # -- what aiokafka calls

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """The group is being shared out anew: ends waits, sees the batch at hand through, lets go of everything."""
        self._yielding = True
        self._waits_since = self._clock.monotonic()
        async with self._lock:
            await self._attempt(self.delivery.let_go(self.delivery.mine))

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Only notes them, for heartbeats begin when it returns: nothing of them is read before the next turn took them."""
        self._consumer.pause(*assigned)
        self._fresh = frozenset(place.partition for place in assigned)
        self._yielding, self._waits_since = False, None

    # -- between batches

    async def _turn(self) -> None:
        async with self._lock:
            if self._fresh is not None:
                fresh, self._fresh = self._fresh, None
                await self._attempt(self._take(fresh))
            await self._attempt(self.delivery.retry())
            self._pause_held()
        if self._failure is not None:
            raise self._failure
        now = self._clock.monotonic()
        if self._waits_since is not None and now - self._waits_since > 2 * self._settings.rebalance:
            raise Fenced(f"no word from the group for {now - self._waits_since:.0f} s")
        if now - self._measured > self._settings.lag_every:
            self._measured = now
            await self._measure_lag()
            async with self._lock:
                if self._fresh is None and not self._yielding:
                    await self._attempt(self.delivery.still_ours())
        await asyncio.sleep(self._settings.idle)

    async def _take(self, partitions: frozenset[int]) -> None:
        for (topic, partition), start in (await self.delivery.take(partitions)).items():
            place = self._place(topic, partition)
            self._consumer.seek(place, start)
            self._consumer.resume(place)

    def _pause_held(self) -> None:
        """Partitions that are held back are not read, all others are."""
        if self._yielding or self._fresh is not None:
            return
        held = {self._place(topic, partition) for topic in self._topics for partition in self.delivery.held}
        paused = set(self._consumer.paused())
        self._consumer.pause(*(held - paused))
        self._consumer.resume(*(paused - held))

    async def _attempt(self, work: Awaitable[object]) -> None:
        """Keeps what goes wrong for the next turn to raise: FastStream and aiokafka would swallow it."""
        try:
            await work
        except Stopped:
            pass  # Not committed: whoever has the partitions next begins there.
        except Exception as error:
            self._failure = error

    async def _measure_lag(self) -> None:
        with contextlib.suppress(BusDown):
            async with bounded("lag", self._settings.patience):
                ends = await self._consumer.end_offsets(list(self._consumer.assignment()))
            for topic in self._topics:
                name = self._settings.prefix + topic
                self.delivery.measure_lag(topic, {place.partition: end for place, end in ends.items() if place.topic == name})

    # -- offsets, as `services.kit.delivery.Offsets` has it

    async def committed(self) -> Mapping[Place, int]:
        places = {(topic, partition): self._place(topic, partition) for topic in self._topics for partition in self.delivery.mine}
        async with bounded("committed offsets", self._settings.patience):
            found = await asyncio.gather(*(self._consumer.committed(place) for place in places.values()))
        return {place: offset for place, offset in zip(places, found, strict=True) if offset is not None}

    async def commit(self, publish: Sequence[Outgoing], known: Mapping[Place, int], nexts: Mapping[Place, int]) -> None:
        offsets = {self._place(topic, partition): next_ for (topic, partition), next_ in nexts.items()}
        try:
            async with asyncio.timeout(self._settings.commit):
                await self._consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError, IllegalOperation) as error:
            raise Fenced(f"{self._group}: the group went on without this member: {error!r}") from error
        except TimeoutError as error:
            raise Fenced(f"{self._group}: no answer to a commit for {self._settings.commit:.0f} s") from error
        except KafkaError as error:
            raise BusDown(f"Kafka: committing: {error!r}") from error

    @property
    def _consumer(self) -> AIOKafkaConsumer:
        return self._subscriber.consumer

    def _leaving(self) -> bool:
        return self._stop() or self._yielding

    def _place(self, topic: str, partition: int) -> TopicPartition:
        return TopicPartition(self._settings.prefix + topic, partition)
