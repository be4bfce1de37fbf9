"""Apache Kafka as a bus: what `services.kit.bus.Bus` promises, on brokers.

The topics are made, as the table says, before the first use. Offsets of a partition have gaps here: compaction leaves them,
and so do transactions of other producers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition

from services.kit.bus import BusDown, Consumer, Outgoing, Record, TopicSpec, check_sizes, dead_letter_topic
from services.kit.clock import Clock
from services.kit.delivery import backoff
from services.kit.kafka.client import admin, bounded, reader
from services.kit.kafka.member import Member
from services.kit.kafka.publisher import Publisher
from services.kit.kafka.records import received
from services.kit.kafka.settings import KafkaSettings
from services.kit.kafka.topics import make_topics

logger = logging.getLogger(__name__)

_READ = 5000
"""Records of one piece of `batches`, at most."""


class KafkaBus:
    """A Bus on the brokers of `settings`. `topics` are all topics, dead-letter topics too."""

    def __init__(self, topics: Mapping[str, TopicSpec], clock: Clock, settings: KafkaSettings) -> None:
        self._topics, self._clock, self._settings = dict(topics), clock, settings
        self._publisher = Publisher(self._topics, self._ready, clock, settings)
        self._members: list[Member] = []
        self._making = asyncio.Lock()
        self._made = False

    async def _ready(self) -> None:
        """Makes the topics, once. Raises BusDown, ValueError."""
        async with self._making:
            if not self._made:
                await make_topics(self._topics.values(), self._settings)
                self._made = True

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """See `Publisher.publish`."""
        for record in records:
            self._topic(record.topic)
        check_sizes(records, self._topics)
        await self._publisher.publish(records)

    # -- consuming

    async def consume(self, topics: Sequence[str], group: str, consumer: Consumer, stop: Callable[[], bool]) -> None:
        """Raises ValueError when the topics differ in their number of partitions: such are consumed apart. Raises BusDown
        where a member cannot leave the group any more: then the process is to be started anew."""
        specs = [self._topic(name) for name in topics]
        if len({spec.partitions for spec in specs}) != 1:
            raise ValueError(f"{group}: topics with different numbers of partitions are consumed apart: {list(topics)}")
        for name in topics:
            self._topic(dead_letter_topic(name))
        member = Member(
            group=group,
            topics=topics,
            ready=self._ready,
            publish=self.publish,
            consumer=consumer,
            stop=stop,
            clock=self._clock,
            settings=self._settings,
        )
        self._members.append(member)
        try:
            await member.run()
        finally:
            self._members.remove(member)

    @property
    def paused(self) -> Sequence[str]:
        return [member.delivery.group for member in self._members if member.delivery.paused]

    def resume(self) -> None:
        for member in self._members:
            member.delivery.paused = False

    # -- reading without a group

    async def read(self, topic: str) -> Sequence[Record]:
        return [record async for batch in self.batches(topic) for record in batch]

    async def batches(self, topic: str) -> AsyncIterator[Sequence[Record]]:
        async with self._reading(topic) as (consumer, places):
            async with bounded("offsets", self._settings.patience):
                begins, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
            left = {place for place in places if begins[place] < ends[place]}
            consumer.pause(*(set(places) - left))
            while left:
                async with bounded(f"reading {topic}", self._settings.patience):
                    records: list[Record] = []
                    while not records and left:
                        records = await self._fetch(consumer, topic)
                        done = {place for place in left if await consumer.position(place) >= ends[place]}
                        consumer.pause(*done)
                        left -= done
                if records:
                    yield records

    async def follow(self, topic: str, after: Mapping[int, int]) -> AsyncIterator[Sequence[Record]]:
        positions = {partition: offset + 1 for partition, offset in after.items()}
        tries = 0
        while True:
            try:
                async with self._reading(topic) as (consumer, places):
                    for place in places:
                        if place.partition in positions:
                            consumer.seek(place, positions[place.partition])
                    while True:
                        news = await self._fetch(consumer, topic)
                        if news:
                            tries = 0
                            yield news
                            positions |= {record.partition: record.offset + 1 for record in news}
            except BusDown as down:
                wait = backoff(tries, self._settings.backoff, self._settings.backoff_cap)
                logger.warning("following %s again in %.1f s: %s", topic, wait, down)
                tries += 1
                await asyncio.sleep(wait)

    @contextlib.asynccontextmanager
    async def _reading(self, topic: str) -> AsyncIterator[tuple[AIOKafkaConsumer, Sequence[TopicPartition]]]:
        name, partitions = self._settings.prefix + topic, self._topic(topic).partitions
        await self._ready()
        async with reader(self._settings) as consumer:
            async with bounded("topics", self._settings.patience):
                if name not in await consumer.topics():
                    raise BusDown(f"Kafka: no topic {name} that {self._settings.user or 'anybody'} may read")
            places = [TopicPartition(name, partition) for partition in range(partitions)]
            consumer.assign(places)
            yield consumer, places

    async def _fetch(self, consumer: AIOKafkaConsumer, topic: str) -> list[Record]:
        fetched = await consumer.getmany(timeout_ms=200, max_records=_READ)
        return [received(raw, topic) for part in fetched.values() for raw in part]

    async def end_offsets(self, topic: str) -> Mapping[int, int]:
        async with self._reading(topic) as (consumer, places), bounded("offsets", self._settings.patience):
            return {place.partition: end for place, end in (await consumer.end_offsets(places)).items()}

    async def committed(self, group: str, topic: str) -> Mapping[int, int]:
        name = self._settings.prefix + topic
        await self._ready()
        async with admin(self._settings) as client:
            offsets = await client.list_consumer_group_offsets(self._settings.prefix + group)
        return {place.partition: found.offset for place, found in offsets.items() if place.topic == name and found.offset >= 0}

    async def close(self) -> None:
        await self._publisher.close()

    def _topic(self, name: str) -> TopicSpec:
        try:
            return self._topics[name]
        except KeyError:
            raise ValueError(f"no topic {name!r}") from None
