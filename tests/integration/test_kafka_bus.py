"""What only Kafka can do to a bus: topics with a configuration, gaps, foreign records, dying brokers, frozen members, rights."""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from deploy.kafka.cluster import Cluster
from deploy.local.wiring import topics as table
from services.kit.bus import BusDown, Outcome, Outgoing, Record, TooLarge, TopicSpec, dead_letter, dead_letter_topic
from services.kit.clock import SystemClock
from services.kit.kafka import KafkaBus, KafkaSettings
from services.kit.kafka.member import Member
from services.kit.kafka.topics import configuration
from tests.integration.bus_kit import KAFKA, PARTITIONS, TOPICS, Biller, Collector, consuming, drained, until, values
from tests.integration.bus_processes import start
from tests.integration.kafka_brokers import Secured, cluster_in

NUMBERS = [str(number) for number in range(40)]


@pytest.fixture
def settings(kafka: str) -> KafkaSettings:
    """One broker, topics and groups of the test's own; little patience."""
    return KAFKA(bootstrap=kafka, prefix=f"{uuid.uuid4().hex}.", publish=3.0, commit=2.0, patience=5.0)


@pytest.fixture
async def bus(settings: KafkaSettings) -> AsyncIterator[KafkaBus]:
    bus = KafkaBus(TOPICS, SystemClock(), settings)
    yield bus
    await bus.close()


@pytest.fixture
def one(kafka_jars: None, tmp_path: Path) -> Iterator[Cluster]:
    """A broker to kill."""
    yield from cluster_in(tmp_path / "kafka", 1)


def numbered(numbers: list[str]) -> list[Outgoing]:
    return [Outgoing("orders", number, number.encode()) for number in numbers]


def test_a_topics_configuration_follows_the_table() -> None:
    kept = TopicSpec(name="t", partitions=1, log="", kept=timedelta(days=90))
    assert configuration(kept, 3) == {"min.insync.replicas": "2", "cleanup.policy": "delete", "retention.ms": "7776000000"}
    compacted = configuration(replace(kept, kept=None), 1)
    assert (compacted["cleanup.policy"], compacted["min.insync.replicas"]) == ("compact", "1")
    assert int(compacted["max.compaction.lag.ms"]) <= 24 * 3600 * 1000
    assert "max.message.bytes" not in compacted
    assert int(configuration(table()["contests"], 1)["max.message.bytes"]) > 8 * 1024 * 1024


async def test_topics_are_made_as_the_table_says(settings: KafkaSettings) -> None:
    topics = {"facts": TopicSpec(name="facts", partitions=3, log="", kept=None)}
    bus = KafkaBus(topics, SystemClock(), settings)
    assert await bus.end_offsets("facts") == {0: 0, 1: 0, 2: 0}
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await admin.start()
    (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, f"{settings.prefix}facts")])
    await admin.close()
    found = {name: value for name, value, *_ in response.resources[0][4]}
    assert configuration(topics["facts"], 1).items() <= found.items()


async def test_a_contest_of_eight_mebibytes_passes_and_a_larger_one_is_refused_at_once(settings: KafkaSettings) -> None:
    specs = {name: spec for name, spec in table().items() if name.startswith("contests")}
    bus = KafkaBus(specs, SystemClock(), settings)
    largest = specs["contests"].largest
    whole = [Outgoing("contests", "hp", bytes([97 + n]) * largest, {"ce_id": str(n)}) for n in range(2)]
    small = Outgoing("contests", "hp.t1", b"small")
    await bus.publish([small, *whole])
    with pytest.raises(TooLarge):
        await bus.publish([small, Outgoing("contests", "hp", b"x" * (largest + 1))])
    found = await bus.read("contests")
    assert [(len(record.value), record.value[:1]) for record in found] == [(5, b"s"), (largest, b"a"), (largest, b"b")]
    followed = [record async for record in first(bus.follow("contests", {0: 0}), 2)]
    assert [len(record.value) for record in followed] == [largest, largest]
    await bus.publish([dead_letter(found[1], "unreadable", 1)])
    await bus.close()


async def first(batches: AsyncIterator[Sequence[Record]], count: int) -> AsyncIterator[Record]:
    async for batch in batches:
        for record in batch:
            yield record
            count -= 1
        if count <= 0:
            return


async def test_a_topic_with_other_partitions_is_refused(settings: KafkaSettings, bus: KafkaBus) -> None:
    await bus.publish(numbered(["1"]))
    other = KafkaBus({"orders": replace(TOPICS["orders"], partitions=8)}, SystemClock(), settings)
    with pytest.raises(ValueError, match="4 partitions at the brokers, and 8"):
        await other.publish(numbered(["1"]))


async def test_records_of_others_and_gaps_are_taken_as_they_are(settings: KafkaSettings, bus: KafkaBus) -> None:
    """A transaction leaves a marker in each partition: offsets have gaps, and the last offset is no record."""
    await bus.publish(numbered(NUMBERS))
    topic = f"{settings.prefix}orders"
    async with (
        AIOKafkaProducer(bootstrap_servers=settings.bootstrap, transactional_id=settings.prefix) as foreign,
        foreign.transaction(),
    ):
        for partition in range(PARTITIONS):
            await foreign.send(topic, key=b"\xff", headers=[("h", b"\xff")], partition=partition)
    assert len(await bus.read("orders")) == len(NUMBERS) + PARTITIONS
    consumer = Collector()
    async with consuming(bus, consumer):
        await until(lambda: len(consumer.seen) == len(NUMBERS) + PARTITIONS)
        await bus.publish(numbered(NUMBERS))
        await drained(bus, "group")
    assert len(consumer.seen) == 2 * len(NUMBERS) + PARTITIONS
    strange = [record for record in consumer.seen if record.headers]
    assert {(record.key, record.value, record.headers["h"]) for record in strange} == {("\ufffd", b"", "\ufffd")}


async def test_a_group_that_retention_overtook_goes_on_with_what_is_left(settings: KafkaSettings, bus: KafkaBus) -> None:
    await bus.publish(numbered(NUMBERS))
    left = [record for record in await bus.read("orders") if record.offset >= 2]
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await admin.start()
    places = [TopicPartition(f"{settings.prefix}orders", partition) for partition in range(PARTITIONS)]
    await admin.delete_records({place: RecordsToDelete(before_offset=2) for place in places})
    await admin.close()
    consumer = Collector()
    async with consuming(bus, consumer):
        await drained(bus, "group")
    assert {record.offset for record in left} == {record.offset for record in consumer.seen}
    assert len(left) == len(consumer.seen) == len(await bus.read("orders"))


async def test_without_brokers_nothing_is_promised() -> None:
    bus = KafkaBus(TOPICS, SystemClock(), KAFKA(bootstrap="127.0.0.1:9", publish=1.0, patience=1.0))
    for attempt in (bus.publish(numbered(["1"])), bus.read("orders"), bus.committed("group", "orders")):
        with pytest.raises(BusDown):
            await asyncio.wait_for(attempt, 60)
    await bus.close()


async def test_an_outage_of_all_brokers_loses_nothing(one: Cluster) -> None:
    bus = KafkaBus(TOPICS, SystemClock(), KAFKA(bootstrap=one.bootstrap, publish=2.0, commit=1.0, patience=5.0))
    biller = Biller()
    async with consuming(bus, biller, group="billing"):
        await bus.publish(numbered(NUMBERS[:20]))
        await until(lambda: biller.seen)
        await asyncio.to_thread(one.kill, 0)
        with pytest.raises(BusDown):
            await asyncio.wait_for(bus.publish(numbered(["refused"])), 60)
        await asyncio.to_thread(one.start)
        await until(lambda: biller.mine)
        async with asyncio.timeout(60):
            while not await published(bus, NUMBERS[20:]):
                pass
        await until(lambda: {*biller.values()} >= {*NUMBERS}, 40)
        await drained(bus, "billing")
    assert {*await values(bus, "bills")} >= {*NUMBERS}
    await bus.close()


async def published(bus: KafkaBus, numbers: list[str]) -> bool:
    try:
        await bus.publish(numbered(numbers))
    except BusDown:
        return False
    return True


async def test_one_of_three_brokers_may_die_under_load(kafka3: Cluster) -> None:
    bus = KafkaBus(TOPICS, SystemClock(), KAFKA(bootstrap=kafka3.bootstrap, publish=20.0))
    biller, accepted, done = Biller(), list[str](), asyncio.Event()

    async def line(lane: int) -> None:
        number = 0
        while not done.is_set():
            value = f"{lane}-{number}"
            if await published(bus, [value]):
                accepted.append(value)
            number += 1

    async with consuming(bus, biller, group="billing"):
        await until(lambda: biller.mine)
        lines = [asyncio.create_task(line(lane)) for lane in range(4)]
        await until(lambda: len(accepted) > 200)
        await asyncio.to_thread(kafka3.kill, 1)
        before = len(accepted)
        await until(lambda: len(accepted) > before + 500, 60)
        done.set()
        await asyncio.gather(*lines)
        await until(lambda: {*biller.values()} >= {*accepted}, 60)
        await drained(bus, "billing")
    assert {*await values(bus, "bills")} >= {*accepted}
    await bus.close()


async def test_nothing_is_read_before_the_state_is_loaded(settings: KafkaSettings) -> None:
    strays = list[Record]()

    class Watchful(Collector):
        async def handle(self, batch: Sequence[Record]) -> Sequence[Outcome]:
            strays.extend(record for record in batch if record.partition not in self.mine)
            return await super().handle(batch)

    slow = replace(settings, idle=0.2)  # So long a member may take to notice its new partitions.
    bus, other, one = KafkaBus(TOPICS, SystemClock(), slow), KafkaBus(TOPICS, SystemClock(), slow), Watchful()

    enough = asyncio.Event()

    async def load() -> None:
        while not enough.is_set():
            await bus.publish(numbered(NUMBERS))
            await asyncio.sleep(0.05)

    async with consuming(bus, one):
        loading = asyncio.create_task(load())
        for _ in range(4):
            async with consuming(other, two := Watchful()):
                await until(lambda two=two: two.seen)
        enough.set()
        await loading
        await until(lambda: len(one.mine) == PARTITIONS)
        await drained(bus, "group")
    assert strays == []
    await other.close()
    await bus.close()


async def test_a_batch_is_handed_over_in_the_turn_that_polled_it(bus: KafkaBus, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Member._receive` counts on FastStream and aiokafka not giving way in between: so a batch and a rebalance cannot cross."""
    getmany, receive = AIOKafkaConsumer.getmany, Member._receive
    turns: list[str] = []

    async def polling(consumer: AIOKafkaConsumer, *args: object, **settings: object) -> object:
        polled = await getmany(consumer, *args, **settings)
        turns.clear()
        asyncio.get_running_loop().call_soon(turns.append, "the next turn of the loop")
        return polled

    async def receiving(member: Member, batch: list[Record]) -> None:
        assert turns == []
        await receive(member, batch)

    monkeypatch.setattr(AIOKafkaConsumer, "getmany", polling)
    monkeypatch.setattr(Member, "_receive", receiving)
    await bus.publish(numbered(NUMBERS))
    consumer = Collector()
    async with consuming(bus, consumer):
        await until(lambda: len(consumer.seen) == len(NUMBERS))


async def test_a_member_frozen_past_its_session_does_no_harm(settings: KafkaSettings, bus: KafkaBus) -> None:
    """On the local log this cannot be said: whoever is frozen within a commit holds the one lock that all commits need."""
    orders = [str(number) for number in range(1600)]
    child, heard = await start(f"kafka:{settings.bootstrap}/{settings.prefix}", "consume", "billing")
    await until(lambda: any(line.startswith("assigned") for line in child.said))
    await bus.publish(numbered(orders[:1500]))
    await until(lambda: sum(line.startswith("seen") for line in child.said) > 100)
    child.process.send_signal(signal.SIGSTOP)
    biller = Biller()
    async with consuming(bus, biller, group="billing"):
        await drained(bus, "billing")
        said = len(child.said)
        child.process.send_signal(signal.SIGCONT)
        await until(lambda: any(line.startswith("assigned ") for line in child.said[said:]))
        await bus.publish(numbered(orders[1500:]))
        await drained(bus, "billing")
        child.process.terminate()
        await child.process.wait()
        await heard
        await drained(bus, "billing")
    assert {*await values(bus, "bills")} == {*orders}


async def test_services_are_who_they_say_and_read_what_they_may(kafka_secure: Secured) -> None:
    def open_as(user: str) -> KafkaBus:
        return KafkaBus(
            table(),
            SystemClock(),
            KAFKA(
                bootstrap=kafka_secure.cluster.bootstrap,
                tls=True,
                ca=kafka_secure.security.certificate,
                user=user,
                password=kafka_secure.security.passwords[user],
                mechanism="PLAIN",
                patience=20.0,
            ),
        )

    admin, quiz, scoring, outside = (open_as(user) for user in ("admin", "quiz", "scoring", "outside"))
    await admin.end_offsets("submissions")
    await quiz.publish([Outgoing("submissions", "p", b"{}"), Outgoing("attempts", "p", b"{}")])
    assert len(await outside.read("attempts")) == 1
    for topic in ("submissions", "keys", "participants", "scores"):
        with pytest.raises(BusDown, match=f"no topic {topic} that outside may read"):
            await outside.read(topic)
    with pytest.raises(BusDown, match="Authorization"):
        await scoring.publish([Outgoing("submissions", "p", b"{}")])
    collector = Collector()
    async with consuming(scoring, collector, ["submissions"], "scoring"):
        await until(lambda: collector.seen)
    await scoring.publish([Outgoing(dead_letter_topic("submissions"), "p", b"{}")])
    for bus in (admin, quiz, scoring, outside):
        await bus.close()
