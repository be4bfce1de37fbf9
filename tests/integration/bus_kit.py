"""What the bus tests share: the topics, the way to open a bus by its address, a consumer that remembers, and patience."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path

from services.kit.bus import Bus, Done, Outcome, Outgoing, Record, TopicSpec, dead_letter_topic
from services.kit.clock import SystemClock
from services.kit.kafka import KafkaBus, KafkaSettings
from services.kit.locallog import LocalLog, LocalLogSettings

PARTITIONS = 4
SESSION = 1.5
"""Seconds after which a silent member is dead, on either bus. Brokers that allow so little: `group.min.session.timeout.ms`."""
SETTINGS = LocalLogSettings(
    segment_bytes=128 * 1024, heartbeat=0.1, session=SESSION, idle=0.005, backoff=0.02, backoff_cap=0.2, batch_records=100
)
"""Small and quick, so that the kills fall on rolls and rebalances too."""

KAFKA = partial(
    KafkaSettings, heartbeat=0.2, session=SESSION, rebalance=60.0, idle=0.005, backoff=0.02, backoff_cap=0.2, batch_records=100
)


def _topics() -> dict[str, TopicSpec]:
    logs = {"orders": "orders", "returns": "orders", "bills": "bills", "notes": "notes"}
    kept = timedelta(days=90)
    topics = [TopicSpec(name=name, partitions=PARTITIONS, log=log, kept=kept) for name, log in logs.items()]
    topics.append(TopicSpec(name="single", partitions=1, log="single", kept=kept))
    letters = [
        TopicSpec(name=dead_letter_topic(topic.name), partitions=topic.partitions, log="dlq", kept=kept, secure=True)
        for topic in topics
    ]
    return {topic.name: topic for topic in topics + letters}


TOPICS = _topics()


def open_bus(address: str) -> Bus:
    """`local:DIRECTORY` or `kafka:HOST:PORT/PREFIX`."""
    kind, _, place = address.partition(":")
    if kind == "kafka":
        bootstrap, _, prefix = place.partition("/")
        return KafkaBus(TOPICS, SystemClock(), KAFKA(bootstrap=bootstrap, prefix=prefix))
    return LocalLog(Path(place), TOPICS, SystemClock(), offsets_in={"billing": "bills"}, settings=SETTINGS)


@dataclass
class Collector:
    """A consumer that remembers what it saw; `fail` may raise, `answer` may publish."""

    seen: list[Record] = field(default_factory=list)
    mine: set[int] = field(default_factory=set)
    revocations: int = 0

    async def assigned(self, partitions: Collection[int]) -> Mapping[tuple[str, int], int]:
        self.mine |= set(partitions)
        return {}

    async def revoked(self, partitions: Collection[int]) -> None:
        self.mine -= set(partitions)
        self.revocations += 1

    async def handle(self, batch: Sequence[Record]) -> Sequence[Outcome]:
        outcomes = [self.answer(record) for record in batch]
        self.seen += batch
        return outcomes

    def answer(self, record: Record) -> Outcome:
        return Done()

    def values(self) -> list[str]:
        return [record.value.decode() for record in self.seen]


class Biller(Collector):
    """Answers each order with a bill."""

    def answer(self, record: Record) -> Outcome:
        return Done([Outgoing("bills", record.key, record.value)])


async def until(true: Callable[..., object], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.01)


async def drained(bus: Bus, group: str) -> None:
    """Waits until the group has committed all orders that there are now."""
    async with asyncio.timeout(60):
        ends = {partition: end for partition, end in (await bus.end_offsets("orders")).items() if end}
        while await bus.committed(group, "orders") != ends:
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def consuming(
    bus: Bus, consumer: Collector, topics: Sequence[str] = ("orders",), group: str = "group"
) -> AsyncIterator[None]:
    """Runs a member until the block ends; it then finishes its batch, commits and leaves."""
    stop = asyncio.Event()
    task = asyncio.create_task(bus.consume(topics, group, consumer, stop.is_set))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 60)


async def values(bus: Bus, topic: str) -> list[str]:
    return [record.value.decode() for record in await bus.read(topic)]


KEYS = [f"key-{number}" for number in range(12)]


def orders(count: int, topic: str = "orders") -> list[Outgoing]:
    return [Outgoing(topic, KEYS[number % len(KEYS)], str(number).encode(), {"ce_id": str(number)}) for number in range(count)]
