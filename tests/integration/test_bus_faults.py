"""What any bus must do with records that will not go through: it holds for the local log and for Kafka.

The topics are in `bus_kit.py`, the child processes in `bus_processes.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from services.kit.bus import Bus, BusDown, Done, NotReady, Outcome, Outgoing, Record, Reject, Transient, partition_of
from tests.integration.bus_kit import (
    KEYS,
    PARTITIONS,
    SESSION,
    Biller,
    Collector,
    consuming,
    drained,
    orders,
    until,
    values,
)

pytestmark = pytest.mark.asyncio


async def test_a_transient_fault_is_redelivered_until_it_passes(bus: Bus) -> None:
    class Flaky(Biller):
        failures = 0

        async def handle(self, batch: Sequence[Record]) -> Sequence[Outcome]:
            if self.failures < 7:
                self.failures += 1
                raise Transient("store down")
            return await super().handle(batch)

    consumer = Flaky()
    await bus.publish(orders(10))
    async with consuming(bus, consumer):
        await until(lambda: len(consumer.seen) == 10)
    assert consumer.failures == 7
    assert sorted(map(int, await values(bus, "bills"))) == list(range(10))
    assert await values(bus, "orders.dlq") == []


async def test_a_partition_that_fails_waits_while_the_others_go_on(bus: Bus) -> None:
    stuck = partition_of(KEYS[0], PARTITIONS)

    class Stuck(Collector):
        blocked = True

        async def handle(self, batch: Sequence[Record]) -> Sequence[Outcome]:
            if self.blocked and any(record.partition == stuck for record in batch):
                raise Transient("no key yet")
            return await super().handle(batch)

    consumer = Stuck()
    await bus.publish(orders(60))
    others = sum(partition_of(key, PARTITIONS) != stuck for key in KEYS)
    assert 0 < others < len(KEYS)
    async with consuming(bus, consumer):
        await until(lambda: len(consumer.seen) == 5 * others)
        await bus.publish(orders(60))
        await until(lambda: len(consumer.seen) == 10 * others)
        assert stuck not in await bus.committed("group", "orders")
        consumer.blocked = False
        await until(lambda: len(consumer.seen) == 120)
    for key in KEYS:
        of_key = [record.offset for record in consumer.seen if record.key == key]
        assert of_key == sorted(of_key)


async def test_poison_goes_to_the_dead_letters_and_the_rest_goes_on(bus: Bus) -> None:
    class Picky(Collector):
        def answer(self, record: Record) -> Outcome:
            return Reject("seven is no number") if record.value == b"7" else Done()

    consumer = Picky()
    await bus.publish(orders(20))
    async with consuming(bus, consumer):
        await until(lambda: len(consumer.seen) == 20)
    (letter,) = await bus.read("orders.dlq")
    original = consumer.seen[consumer.values().index("7")]
    assert (letter.key, letter.value) == (original.key, b"7")
    fate = {"topic": "orders", "partition": str(original.partition), "offset": str(original.offset)}
    assert letter.headers == {"ce_id": "7", "error": "seven is no number", "tries": "1", **fate}
    assert await bus.committed("group", "orders") == await bus.end_offsets("orders")


async def test_a_record_that_breaks_the_handler_is_found_and_put_away(bus: Bus) -> None:
    class Broken(Collector):
        def answer(self, record: Record) -> Outcome:
            if record.value == b"7":
                raise KeyError("seven")
            return Done()

    consumer = Broken()
    await bus.publish(orders(20))
    async with consuming(bus, consumer):
        await until(lambda: {*consumer.values()} == {str(number) for number in range(20) if number != 7})
        await drained(bus, "group")
    (letter,) = await bus.read("orders.dlq")
    assert letter.value == b"7"
    assert (letter.headers["error"], letter.headers["tries"]) == ("KeyError: 'seven'", "3")


async def test_nothing_is_committed_before_its_dead_letter_stands(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    class Sour(Collector):
        def answer(self, record: Record) -> Outcome:
            return Reject("sour")

    publish, refused = bus.publish, 0

    async def refuse(records: Sequence[Outgoing]) -> None:
        nonlocal refused
        refused += 1
        raise BusDown("no dead letters today")

    monkeypatch.setattr(bus, "publish", refuse)
    await publish(orders(3))
    async with consuming(bus, Sour()):
        await until(lambda: refused > 2)
        assert await bus.committed("group", "orders") == {}
    assert await bus.committed("group", "orders") == {}
    monkeypatch.setattr(bus, "publish", publish)
    async with consuming(bus, Sour()):
        await drained(bus, "group")
    assert len(await bus.read("orders.dlq")) == 3


async def test_too_much_poison_pauses_the_member_until_a_person_resumes_it(bus_factory: Callable[[], Bus]) -> None:
    class Sour(Collector):
        def answer(self, record: Record) -> Outcome:
            return Reject("sour")

    bus, sour = bus_factory(), Sour()
    await bus.publish([Outgoing("orders", "one key", str(number).encode()) for number in range(50)])
    async with consuming(bus, sour):
        await until(lambda: bus.paused == ["group"])
        await asyncio.sleep(2 * SESSION)  # It waits, and is not dead: nobody else gets its partitions.
        assert bus.paused == ["group"]
        assert sour.revocations == 0
        assert await bus.read("orders.dlq") == []
        assert await bus.committed("group", "orders") == {}
        bus.resume()
        await drained(bus, "group")
        assert not bus.paused
    assert len(await bus.read("orders.dlq")) == 50


async def test_a_paused_member_lets_another_join(bus_factory: Callable[[], Bus]) -> None:
    class Sour(Collector):
        def answer(self, record: Record) -> Outcome:
            return Reject("sour") if record.value == b"bad" else Done()

    bus, one, two = bus_factory(), Sour(), Sour()
    await bus.publish([Outgoing("orders", KEYS[0], b"bad")] * 50)
    async with consuming(bus, one):
        await until(lambda: bus.paused)
        await bus.publish([Outgoing("orders", key, b"good") for key in KEYS])
        async with consuming(bus_factory(), two):
            await until(lambda: "good" in {*one.values(), *two.values()})
    assert await bus.read("orders.dlq") == []


async def test_what_a_record_causes_belongs_to_its_trace(bus: Bus) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    await bus.publish([Outgoing("orders", "a", b"1", {"traceparent": trace}), Outgoing("orders", "b", b"2")])
    async with consuming(bus, Biller(), group="billing"):
        await drained(bus, "billing")
    assert {record.value: record.headers for record in await bus.read("bills")} == {b"1": {"traceparent": trace}, b"2": {}}


async def test_a_member_that_waits_for_a_key_is_not_taken_for_dead(bus: Bus) -> None:
    class Waiting(Collector):
        ready = False

        async def handle(self, batch: Sequence[Record]) -> Sequence[Outcome]:
            if not self.ready:
                raise NotReady("no key yet")
            return await super().handle(batch)

    consumer = Waiting()
    await bus.publish(orders(10))
    async with consuming(bus, consumer):
        await until(lambda: consumer.mine)
        await asyncio.sleep(2 * SESSION)
        assert consumer.revocations == 0
        consumer.ready = True
        await until(lambda: len(consumer.seen) == 10)
