"""Publishing: an idempotent producer, one lane a partition, all that waits for a partition in as few batches as it fits.

While one bulk of a partition is on its way the next one gathers, so a lone record does not wait for company and many do not
cost a request each. Lanes do not wait for one another: a partition without a leader holds up its own records only.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError

from services.kit.batcher import Batcher
from services.kit.bus import BusDown, Outgoing, TopicSpec, partition_of
from services.kit.clock import Clock
from services.kit.delivery import Place
from services.kit.kafka.client import FAULTS, bounded, connection
from services.kit.kafka.records import headers
from services.kit.kafka.settings import KafkaSettings

_BULK = 1000
"""Publications in one bulk of a lane, at most."""


class Publisher:
    """`ready` is awaited before the first record goes out (the topics are made)."""

    def __init__(
        self, topics: Mapping[str, TopicSpec], ready: Callable[[], Awaitable[None]], clock: Clock, settings: KafkaSettings
    ) -> None:
        self._topics, self._ready, self._clock, self._settings = topics, ready, clock, settings
        self._lanes: dict[Place, Batcher[Sequence[Outgoing], None]] = {}
        self._waiting: set[asyncio.Future[list[BaseException | None]]] = set()
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._closed = False

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Returns when the brokers have acknowledged all (`acks=all`). Raises BusDown after two times `settings.publish` at
        the latest; what was sent may still arrive then."""
        if self._closed:
            raise BusDown("closed")
        parts: dict[Place, list[Outgoing]] = {}
        for record in records:
            partition = partition_of(record.key, self._topics[record.topic].partitions)
            parts.setdefault((record.topic, partition), []).append(record)
        waiting = asyncio.gather(*(self._lane(place).submit(part) for place, part in parts.items()), return_exceptions=True)
        self._waiting.add(waiting)
        waiting.add_done_callback(self._waiting.discard)
        for result in await waiting:
            if result is not None:
                raise result

    def _lane(self, place: Place) -> Batcher[Sequence[Outgoing], None]:
        lane = self._lanes.get(place)
        if lane is None:

            async def send(parts: Sequence[Sequence[Outgoing]]) -> Sequence[None]:
                await self._send(place, [record for part in parts for record in part])
                return [None] * len(parts)

            lane = self._lanes[place] = Batcher(send, most=_BULK, bound=self._settings.queue)
        return lane

    async def _send(self, place: Place, records: Sequence[Outgoing]) -> None:
        await self._ready()
        async with bounded("publishing", self._settings.publish):
            producer = await self._started()
            try:
                await self._send_batches(producer, place, records)
            except KafkaTimeoutError:
                raise
            except KafkaError:
                # A producer that has once lost its place in a sequence never recovers; a new one does.
                await self._drop(producer)
                raise

    async def _send_batches(self, producer: AIOKafkaProducer, place: Place, records: Sequence[Outgoing]) -> None:
        topic, partition = self._settings.prefix + place[0], place[1]
        now = round(self._clock.now().timestamp() * 1000)
        acknowledged = []
        batch = producer.create_batch()
        for record in records:
            key, carried = record.key.encode(), headers(record)
            if batch.append(timestamp=now, key=key, value=record.value, headers=carried) is None:
                acknowledged.append(await producer.send_batch(batch, topic, partition=partition))
                batch = producer.create_batch()
                batch.append(timestamp=now, key=key, value=record.value, headers=carried)
        acknowledged.append(await producer.send_batch(batch, topic, partition=partition))
        await asyncio.gather(*acknowledged)

    async def _started(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **connection(self._settings),
                    enable_idempotence=True,
                    acks="all",
                    max_batch_size=self._settings.send_bytes,
                    request_timeout_ms=round(self._settings.publish * 1000),
                )
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer

    async def _drop(self, producer: AIOKafkaProducer) -> None:
        current = self._producer is producer
        if current:
            self._producer = None
            with contextlib.suppress(*FAULTS):
                async with asyncio.timeout(self._settings.patience):
                    await producer.stop()

    async def close(self) -> None:
        """Waits until all that was taken is acknowledged or given up, then takes no more."""
        self._closed = True
        if self._waiting:
            await asyncio.wait(self._waiting)
        if self._producer is not None:
            await self._drop(self._producer)
