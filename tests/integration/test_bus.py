"""What any bus must do, in words of the `Bus` protocol only: it holds for the local log and for Kafka.

The topics are in `bus_kit.py`, the child processes in `bus_processes.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from services.kit.bus import Bus, BusDown, Done, Fenced, NotReady, Outcome, Outgoing, Record, Reject, Transient, partition_of
from tests.integration.bus_kit import PARTITIONS, SESSION, Biller, Collector, consuming, drained, open_bus, until, values
from tests.integration.bus_processes import start

pytestmark = pytest.mark.asyncio

KEYS = [f"key-{number}" for number in range(12)]


@pytest.fixture(params=["local", "kafka"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return f"local:{tmp_path}"
    return f"kafka:{request.getfixturevalue('kafka')}/{uuid.uuid4().hex}."


@pytest.fixture
async def bus_factory(address: str) -> AsyncIterator[Callable[[], Bus]]:
    """Opens the same bus as often as a test asks; each is closed after it."""
    opened: list[Bus] = []

    def factory() -> Bus:
        opened.append(open_bus(address))
        return opened[-1]

    yield factory
    for bus in opened:
        await bus.close()


@pytest.fixture
def bus(bus_factory: Callable[[], Bus]) -> Bus:
    return bus_factory()


def orders(count: int, topic: str = "orders") -> list[Outgoing]:
    return [Outgoing(topic, KEYS[number % len(KEYS)], str(number).encode(), {"ce_id": str(number)}) for number in range(count)]


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
            entered.set()
            await leave.wait()
            return await super().handle(batch)

    await bus.publish(orders(10))
    stop = asyncio.Event()
    task = asyncio.create_task(bus.consume(["orders"], "billing", Slow(), stop.is_set))
    await entered.wait()
    stop.set()
    leave.set()
    await asyncio.wait_for(task, 5)
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
