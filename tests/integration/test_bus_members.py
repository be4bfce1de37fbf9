"""What any bus must do when members come, go, die and overtake one another: it holds for the local log and for Kafka.

The topics are in `bus_kit.py`, the child processes in `bus_processes.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from services.kit.bus import Bus, BusDown, Fenced, Outcome, Record, Reject
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


async def test_a_key_is_one_members_in_all_topics(bus_factory: Callable[[], Bus]) -> None:
    members, topics = [Collector() for _ in range(3)], ["orders", "returns", "notes"]
    async with contextlib.AsyncExitStack() as stack:
        for member in members:
            await stack.enter_async_context(consuming(bus_factory(), member, topics))
        await until(lambda: all(m.mine for m in members) and sum(len(m.mine) for m in members) == PARTITIONS)
        await bus_factory().publish([record for topic in topics for record in orders(24, topic)])
        await until(lambda: len({(r.topic, r.value) for member in members for r in member.seen}) == 72)
        for member in members:
            assert {record.partition for record in member.seen} <= member.mine
            assert {record.topic for record in member.seen} == set(topics)


async def test_two_members_share_and_take_over_when_one_leaves(bus_factory: Callable[[], Bus]) -> None:
    one, two = Collector(), Collector()
    bus = bus_factory()
    async with consuming(bus, one):
        await until(lambda: one.mine == set(range(PARTITIONS)))
        async with consuming(bus_factory(), two):
            await until(
                lambda: one.mine and two.mine and one.mine | two.mine == set(range(PARTITIONS)) and not one.mine & two.mine
            )
            await bus.publish(orders(40))
            await until(lambda: {*one.values(), *two.values()} == {str(number) for number in range(40)})
            assert one.seen
            assert two.seen
        await until(lambda: one.mine == set(range(PARTITIONS)))
        assert two.mine == set()


async def test_members_come_and_go_under_load(bus_factory: Callable[[], Bus]) -> None:
    """A record may be seen twice; none is passed over, and none is first seen after a later one of its key."""
    bus, dice, seen = bus_factory(), random.Random(3), list[Record]()

    class Noting(Biller):
        async def handle(self, batch: Sequence[Record]) -> Sequence[Outcome]:
            await asyncio.sleep(0.003)  # So that rebalances fall into batches.
            seen.extend(batch)
            return await super().handle(batch)

    async def load() -> None:
        for first in range(0, 4000, 25):
            await bus.publish(orders(4000)[first : first + 25])
            await asyncio.sleep(0.01)

    loading = asyncio.create_task(load())
    async with consuming(bus, Noting(), group="billing"):
        while not loading.done():
            async with consuming(bus_factory(), Noting(), group="billing"):
                await asyncio.sleep(dice.uniform(0.05, 0.5))
        await loading
        await drained(bus, "billing")
    for key in KEYS:
        first_seen = list(dict.fromkeys(int(record.value) for record in seen if record.key == key))
        assert first_seen == sorted(first_seen)
    assert {record.value.decode() for record in seen} == {str(number) for number in range(4000)}
    assert set(await values(bus, "bills")) == {str(number) for number in range(4000)}


async def test_a_member_takes_over_from_one_that_was_killed(address: str, bus: Bus) -> None:
    child, heard = await start(address, "consume", "billing")
    await until(lambda: any(line.startswith("assigned") for line in child.said))
    consumer = Biller()
    async with consuming(bus, consumer, group="billing"):
        await until(lambda: len(consumer.mine) == PARTITIONS // 2)
        await child.kill()
        await heard
        await bus.publish(orders(40))
        await until(lambda: len(consumer.mine) == PARTITIONS)
        await drained(bus, "billing")
    assert set(await values(bus, "bills")) == {str(number) for number in range(40)}


async def test_a_handler_that_finds_itself_fenced_joins_anew(bus: Bus) -> None:
    class Evicted(Biller):
        async def handle(self, batch: Sequence[Record]) -> Sequence[Outcome]:
            if not self.revocations:
                raise Fenced("another owner's snapshot")
            return await super().handle(batch)

    await bus.publish(orders(10))
    consumer = Evicted()
    async with consuming(bus, consumer, group="billing"):
        await drained(bus, "billing")
    assert len(await bus.read("bills")) == 10
    assert await bus.read("orders.dlq") == []


async def test_a_replay_is_handled_but_published_only_once(bus: Bus) -> None:
    class Rereader(Biller):
        start = 0

        async def assigned(self, partitions: object) -> dict[tuple[str, int], int]:
            return {("orders", partition): self.start for partition in range(PARTITIONS)}

        def answer(self, record: Record) -> Outcome:
            return Reject("sour") if record.value == b"3" else super().answer(record)

    await bus.publish(orders(20))
    for count in (20, 40):
        consumer = Rereader()
        async with consuming(bus, consumer, group="billing"):
            await until(lambda consumer=consumer, count=count: len(consumer.seen) == count)
        assert Counter(await values(bus, "bills")).most_common(1)[0][1] == 1 + (count == 40)
        if count == 20:
            await bus.publish(orders(20))
    assert len(await bus.read("bills")) == 38
    assert len(await bus.read("orders.dlq")) == 2


async def test_a_state_ahead_of_the_commit_hides_nothing(bus: Bus) -> None:
    """A worker died after it wrote its state and before the commit: what it would have published must still go out."""

    class Ahead(Biller):
        async def assigned(self, partitions: object) -> dict[tuple[str, int], int]:
            return {("orders", partition): 10_000 for partition in range(PARTITIONS)}

    await bus.publish(orders(10))
    consumer = Ahead()
    async with consuming(bus, consumer, group="billing"):
        await until(lambda: len(consumer.seen) == 10)
    assert len(await bus.read("bills")) == 10


async def test_stop_finishes_the_batch_at_hand(bus: Bus) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    class Slow(Biller):
        async def handle(self, batch: Sequence[Record]) -> Sequence[Outcome]:
            if batch:
                entered.set()
                await leave.wait()
            return await super().handle(batch)

    await bus.publish(orders(10))
    stop = asyncio.Event()
    task = asyncio.create_task(bus.consume(["orders"], "billing", Slow(), stop.is_set))
    await entered.wait()
    stop.set()
    leave.set()
    await asyncio.wait_for(task, 60)
    assert len(await bus.read("bills")) == 10
    assert await bus.committed("billing", "orders") == {p: end for p, end in (await bus.end_offsets("orders")).items() if end}


async def test_a_closed_bus_has_written_what_it_took_and_takes_no_more(bus_factory: Callable[[], Bus]) -> None:
    bus = bus_factory()
    tasks = [asyncio.create_task(bus.publish([order])) for order in orders(50)]
    await asyncio.sleep(0)
    await bus.close()
    done, _ = await asyncio.wait(tasks, timeout=0.01)
    assert len(done) == len(tasks)
    await asyncio.gather(*tasks)
    with pytest.raises(BusDown):
        await bus.publish(orders(1))
    assert len(await bus_factory().read("orders")) == 50
