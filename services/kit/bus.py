"""The bus: publish a batch, subscribe a handler that gets batches and returns an outcome a record.

What stands here is the whole contract; the local log (`kit/locallog/`) and Kafka each fulfil it, and one behaviour suite
(`tests/integration/test_bus.py`) holds both to it. The bus carries bytes and knows no event.

    Transient      raised by a handler: nothing happened, try the same batch again, later
    └─ NotReady    a fact it needs is not there yet (a key, a contest)
    Fenced         raised by the bus: another member owns the partition now; drop what was not written
    BusDown        raised by publish: nothing of the batch is promised
    TooLarge       raised by publish: a record that its topic never takes; nothing of the batch was published

Order of work for a batch (design §4.7): the handler decodes, writes its facts and returns outcomes; the bus writes the dead
letters and waits for them; then it publishes what the outcomes carry and commits explicit next offsets. On the local log these
last two are one transaction. Records below the committed offset are replays for the handler's memory alone: what their
outcomes carry is not published again and nothing is committed for them.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Protocol

import msgspec


class Transient(Exception):
    """The world is not as it should be (store down, peer away). Retried in place with back-off, without an end."""


class NotReady(Transient):
    """What the batch needs has not arrived yet."""


class Fenced(Exception):
    """Another member of the group has moved on with this partition."""


class BusDown(Exception):
    """The bus could not take the batch."""


class TooLarge(ValueError):
    """A record is larger than its topic takes, today and tomorrow: to try again is no use."""


MIB = 1024 * 1024
LARGEST = MIB - 64 * 1024
"""Bytes of a record that every broker takes, with what it is wrapped in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSpec:
    """A topic as a bus sees it. `log` names the files of the local log that hold it; `kept` is None where the topic is
    compacted: the last record of each key stays for ever. What is `secure` is overwritten when it is deleted. `largest` is how
    many bytes a record's value may have."""

    name: str
    partitions: int
    log: str
    kept: timedelta | None
    secure: bool = False
    largest: int = LARGEST


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a worker declares that it reads, for the event catalogue and the contract tests. `group` is empty where the topics are
    read whole and followed, without a group."""

    group: str
    topics: tuple[str, ...]


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """A record to publish. `headers` holds the CloudEvents attributes (`ce_type`, …) as Kafka's binary mode names them."""

    topic: str
    key: str
    value: bytes
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record as read. Offsets of a partition grow, with gaps. `timestamp` is milliseconds since the epoch, at append."""

    topic: str
    partition: int
    offset: int
    key: str
    value: bytes
    headers: Mapping[str, str]
    timestamp: int


@dataclass(frozen=True, slots=True)
class Done:
    """Handled; `publish` goes out with the commit."""

    publish: Sequence[Outgoing] = ()


@dataclass(frozen=True, slots=True)
class Reject:
    """Poison: goes to the dead-letter topic with its reason, never retried."""

    reason: str


Outcome = Done | Reject

DONE = Done()
"""Handled, nothing to say about it (also: not meant for this consumer)."""


class Consumer(Protocol):
    """One member's handler. The bus calls these one at a time, never two at once."""

    async def assigned(self, partitions: Collection[int]) -> Mapping[tuple[str, int], int]:
        """These partition numbers, of every topic subscribed, are ours now. Returns the offset at which the state is true for
        each (topic, partition) that has one. Reading starts there or at the committed offset, whichever is lower: a state
        that was written before its commit must not keep what its records publish from going out. May raise Transient."""
        ...

    async def handle(self, batch: Sequence[Record]) -> Sequence[Outcome]:
        """Does the work of a batch and returns one outcome a record, in order. A batch may hold records of several topics
        and partitions, each in its order. Raises Transient: then the bus tries again partition by partition, and pauses
        those that still fail while the others go on. Raises Fenced when the state says that another owns it: then the bus
        revokes what this member has and joins anew. From time to time the batch is empty, so that a member to which no
        record comes learns that too."""
        ...

    async def revoked(self, partitions: Collection[int]) -> None:
        """These are no longer ours: forget what was not written."""
        ...


class Bus(Protocol):
    """A log of topics with partitions, read by groups."""

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Returns when all records are durable. Raises BusDown. Records of one key keep their order."""
        ...

    async def consume(self, topics: Sequence[str], group: str, consumer: Consumer, stop: Callable[[], bool]) -> None:
        """Joins `group` and works until `stop()` is true: then finishes the batch at hand, commits and leaves. Topics with
        the same number of partitions are assigned together, so that one member sees all that a key does."""
        ...

    async def read(self, topic: str) -> Sequence[Record]:
        """All that a topic holds now, in order of offset within each partition, without a group."""
        ...

    def batches(self, topic: str) -> AsyncIterator[Sequence[Record]]:
        """The same, piece by piece: for topics that memory would not hold."""
        ...

    def follow(self, topic: str, after: Mapping[int, int]) -> AsyncIterator[Sequence[Record]]:
        """What comes after these offsets (per partition, exclusive), as it comes, without a group, without an end."""
        ...

    async def end_offsets(self, topic: str) -> Mapping[int, int]:
        """Per partition, the offset that the next record will have at least."""
        ...

    async def committed(self, group: str, topic: str) -> Mapping[int, int]:
        """Per partition, the next offset that the group will read; partitions without a commit are left out."""
        ...

    @property
    def paused(self) -> Sequence[str]:
        """The groups of this process that met too much poison and wait for `resume`."""
        ...

    def resume(self) -> None:
        """A person says that the poison is real: lets paused members write their dead letters and go on."""
        ...

    async def close(self) -> None:
        """Waits for what was accepted, then lets go."""
        ...


def check_sizes(records: Sequence[Outgoing], topics: Mapping[str, TopicSpec]) -> None:
    """Raises TooLarge for the first record that its topic does not take."""
    for record in records:
        if len(record.value) > (largest := topics[record.topic].largest):
            raise TooLarge(f"{record.topic}: a record of {len(record.value)} bytes, of {largest} at most")


FATE = ("error", "topic", "partition", "offset", "tries")
"""The headers that a dead letter has beside its own: why it is dead, where it stood, and how often it was tried."""


def dead_letter_topic(topic: str) -> str:
    return topic + ".dlq"


def dead_letter(record: Record, error: str, tries: int) -> Outgoing:
    """The original bytes and headers, and what became of them."""
    fate = dict(zip(FATE, (error, record.topic, str(record.partition), str(record.offset), str(tries)), strict=True))
    headers = {**record.headers, **fate}
    return Outgoing(dead_letter_topic(record.topic), record.key, record.value, headers)


@lru_cache(maxsize=1 << 16)
def partition_of(key: str, partitions: int) -> int:
    """Where a key lives: Kafka's default partitioner (murmur2), so that both buses agree."""
    if partitions == 1:
        return 0
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """Murmur2 as Kafka's Java client computes it (org.apache.kafka.common.utils.Utils.murmur2), unsigned 32 bits."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    length = len(data)
    h = 0x9747B28C ^ length
    end = length & ~3
    for word in struct.unpack_from(f"<{length >> 2}I", data):
        k = word * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    tail = data[end:]
    if tail:
        h = (h ^ int.from_bytes(tail, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15
