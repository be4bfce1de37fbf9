"""What any bus must do with records, in words of the `Bus` protocol only: it holds for the local log and for Kafka.

The topics are in `bus_kit.py`, the child processes in `bus_processes.py`.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable

import pytest

from services.kit.bus import Bus, Outgoing, Record, partition_of
from tests.integration.bus_kit import (
    KEYS,
    PARTITIONS,
    Biller,
    Collector,
    consuming,
    drained,
    orders,
    until,
    values,
)
from tests.integration.bus_processes import start

pytestmark = pytest.mark.asyncio


async def test_a_record_comes_back_as_it_was_published(bus: Bus) -> None:
    await bus.publish([Outgoing("orders", "khoá", "giá trị".encode(), {"ce_type": "vn.hoithi.x.v1", "ce_id": "é"})])
    (record,) = await bus.read("orders")
    assert (record.topic, record.key, record.value.decode()) == ("orders", "khoá", "giá trị")
    assert record.headers == {"ce_type": "vn.hoithi.x.v1", "ce_id": "é"}
    assert record.partition == partition_of("khoá", PARTITIONS)
    assert (await bus.end_offsets("orders"))[record.partition] > record.offset


async def test_records_of_a_key_keep_their_order(bus: Bus) -> None:
    consumer = Collector()
    async with consuming(bus, consumer):
        for first in range(0, 600, 50):
            await bus.publish(orders(600)[first : first + 50])
        await until(lambda: len(consumer.seen) == 600)
    for key in KEYS:
        of_key = [int(record.value) for record in consumer.seen if record.key == key]
        assert of_key == sorted(of_key)
        assert len({record.partition for record in consumer.seen if record.key == key}) == 1


async def test_each_group_reads_all_and_goes_on_where_it_committed(bus_factory: Callable[[], Bus]) -> None:
    bus = bus_factory()
    await bus.publish(orders(30))
    for group in ("one", "two"):
        consumer = Collector()
        async with consuming(bus, consumer, group=group):
            await until(lambda consumer=consumer: len(consumer.seen) == 30)
        assert await bus.committed(group, "orders") == await bus.end_offsets("orders")
    await bus.publish(orders(1))
    consumer = Collector()
    async with consuming(bus_factory(), consumer, group="one"):
        await until(lambda: consumer.seen)
    assert consumer.values() == ["0"]


async def test_follow_gives_what_is_there_and_what_comes(bus: Bus) -> None:
    await bus.publish(orders(20))
    before = await bus.read("orders")
    after = {record.partition: record.offset for record in before[:10]}
    seen: list[Record] = []

    async def follow() -> None:
        async for news in bus.follow("orders", after):
            seen.extend(news)

    task = asyncio.create_task(follow())
    await until(lambda: len(seen) == 10)
    await bus.publish(orders(5))
    await until(lambda: len(seen) == 15)
    task.cancel()
    assert {record.offset for record in before[10:]} <= {record.offset for record in seen}


async def test_topics_are_handled_together_per_key(bus: Bus) -> None:
    consumer = Collector()
    await bus.publish([*orders(20), *orders(20, "returns"), *orders(20, "notes")])
    async with consuming(bus, consumer, ["orders", "returns", "notes"]):
        await until(lambda: len(consumer.seen) == 60)
        assert consumer.mine == set(range(PARTITIONS))
    assert Counter(record.topic for record in consumer.seen) == {"orders": 20, "returns": 20, "notes": 20}


async def test_topics_with_other_partition_counts_are_consumed_apart(bus: Bus) -> None:
    with pytest.raises(ValueError, match="partitions"):
        await bus.consume(["orders", "single"], "group", Collector(), lambda: True)


async def test_no_acknowledged_record_is_lost_to_kill_9(address: str, bus: Bus) -> None:
    acknowledged: list[str] = []
    dice = random.Random(9)
    for life in range(4):
        children = [await start(address, "publish", f"p{life}{twin}", 100_000) for twin in range(2)]
        await until(lambda children=children: all(child.said for child, _ in children))
        await asyncio.sleep(dice.uniform(0.05, 0.4))
        for child, heard in children:
            await child.kill()
            await heard
            acknowledged += child.said
    found = await values(bus, "orders")
    assert set(acknowledged) <= set(found)
    assert len(found) == len(set(found))
    assert len(acknowledged) > 100


async def test_several_processes_write_at_once(address: str, bus: Bus) -> None:
    children = [await start(address, "publish", f"writer{number}", 50) for number in range(3)]
    for child, heard in children:
        await child.process.wait()
        await heard
        assert child.process.returncode == 0
    found = await bus.read("orders")
    assert len(found) == 3 * 4 * 50
    for key in {record.key for record in found}:
        assert [int(record.value.decode().split("-")[2]) for record in found if record.key == key] == list(range(50))


async def test_a_group_resumes_after_kill_9(address: str, bus: Bus) -> None:
    total = 1500
    await bus.publish(orders(total))
    seen: list[str] = []
    for _ in range(3):
        child, heard = await start(address, "consume", "billing")
        await until(lambda child=child: sum(line.startswith("seen") for line in child.said) > 150)
        await child.kill()
        await heard
        seen += [line.split()[1] for line in child.said if line.startswith("seen ")]
    consumer = Biller()
    async with consuming(bus, consumer, group="billing"):
        await drained(bus, "billing")
    assert {*seen, *consumer.values()} == {str(number) for number in range(total)}
    assert len(consumer.seen) < total
    assert set(await values(bus, "bills")) == {str(number) for number in range(total)}


async def test_outcomes_are_published_before_the_commit(bus: Bus) -> None:
    await bus.publish(orders(25))
    consumer = Biller()
    async with consuming(bus, consumer, group="elsewhere"):
        await until(lambda: len(consumer.seen) == 25)
    assert sorted(map(int, await values(bus, "bills"))) == list(range(25))
