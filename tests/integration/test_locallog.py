"""What only the local log does: segments, compaction, one commit for publishing and offsets, a full disk, too much poison."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.kit.bus import BusDown, Fenced, Outcome, Outgoing, Record, TopicSpec, partition_of
from services.kit.clock import Clock, ManualClock, SystemClock
from services.kit.locallog import GroupCommit, LocalLog, LocalLogSettings
from services.kit.locallog.groups import committed, move
from services.kit.locallog.segments import segment_files, segment_path
from tests.integration.bus_kit import SETTINGS, TOPICS, Biller, Collector, until

pytestmark = pytest.mark.asyncio

DAY = timedelta(days=1)
SMALL = LocalLogSettings(segment_bytes=64 * 1024, idle=0.005, heartbeat=0.05)
PEOPLE = {
    "people": TopicSpec(name="people", partitions=2, log="people", kept=None, secure=True),
    "events": TopicSpec(name="events", partitions=2, log="events", kept=DAY),
    "people.dlq": TopicSpec(name="people.dlq", partitions=2, log="dlq", kept=DAY, secure=True),
}
OWN = "CREATE TABLE IF NOT EXISTS receipt (attempt TEXT PRIMARY KEY) WITHOUT ROWID;"


def open_log(directory: Path, clock: Clock | None = None) -> LocalLog:
    return LocalLog(directory, PEOPLE, clock or SystemClock(), settings=SMALL, schemas={"events": OWN})


def events(first: int, count: int, size: int = 500) -> list[Outgoing]:
    return [Outgoing("events", f"k{n % 7}", str(n).encode().ljust(size), {"ce_id": str(n)}) for n in range(first, first + count)]


def numbers(records: Sequence[Record]) -> list[int]:
    return [int(record.value) for record in records]


async def fill(bus: LocalLog, count: int = 1000) -> None:
    for first in range(0, count, 50):
        await bus.publish(events(first, 50))


async def test_segments_roll_and_readers_pass_over_the_seams(tmp_path: Path) -> None:
    bus, reader = open_log(tmp_path), open_log(tmp_path)
    seen: list[Record] = []

    async def follow() -> None:
        async for news in reader.follow("events", {}):
            seen.extend(news)

    task = asyncio.create_task(follow())
    await fill(bus)
    await until(lambda: len(seen) == 1000)
    task.cancel()
    assert len(segment_files(tmp_path / "events")) > 5
    assert numbers(seen) == numbers(await bus.read("events")) == list(range(1000))
    assert await reader.end_offsets("events") == await bus.end_offsets("events")


async def test_offsets_and_ends_survive_rolls(tmp_path: Path) -> None:
    bus = open_log(tmp_path)
    log = bus.log("events")
    await bus.publish(events(0, 10))
    with log.transaction() as transaction:
        move(transaction.connection, "group", {}, {("events", 0): 5, ("events", 1): 6})
    ends = await bus.end_offsets("events")
    for _ in range(20):  # One key: the other partition gets nothing after the roll.
        await bus.publish([Outgoing("events", "k0", bytes(5000)) for _ in range(10)])
    assert len(segment_files(tmp_path / "events")) > 1
    active = log.active()
    assert active is not None
    assert committed(active, "group", ["events"]) == {("events", 0): 5, ("events", 1): 6}
    grown = await bus.end_offsets("events")
    assert [partition for partition in ends if grown[partition] == ends[partition]] == [1 - partition_of("k0", 2)]


async def test_two_writers_follow_one_another_over_a_roll(tmp_path: Path) -> None:
    one, two = open_log(tmp_path), open_log(tmp_path)
    for first in range(0, 1000, 20):
        await one.publish(events(first, 10))
        await two.publish(events(first + 10, 10))
    assert numbers(await one.read("events")) == list(range(1000))


async def test_trim_drops_what_every_topic_has_outlived(tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 5, 19, tzinfo=UTC))
    bus = open_log(tmp_path, clock)
    await fill(bus)
    before = len(segment_files(tmp_path / "events"))
    clock.advance(DAY / 2)
    await bus.tidy(["events"])
    assert len(segment_files(tmp_path / "events")) == before
    assert len(bus.log("events").since(clock.now() - DAY)) == before
    assert len(bus.log("events").since(clock.now())) == 1
    other = open_log(tmp_path, clock)
    await other.read("events")
    clock.advance(DAY)
    await bus.tidy(["events"])
    assert len(segment_files(tmp_path / "events")) == 1
    kept = numbers(await bus.read("events"))
    assert kept == list(range(kept[0], 1000))
    await other.publish(events(1000, 1))
    assert numbers(await bus.read("events"))[-1] == 1000


@pytest.mark.parametrize("torn", ["empty file", "whole segment"])
async def test_a_roll_that_a_crash_cut_short_is_done_again(tmp_path: Path, torn: str) -> None:
    """A crash left the next segment's file but not the mark in the old one; more was appended to that since."""
    model, bus = open_log(tmp_path / "model"), open_log(tmp_path)
    await fill(model)
    await fill(bus, 50)
    await bus.close()
    directory = tmp_path / "events"
    leftovers = [segment_path(directory, segment_files(tmp_path / "model" / "events")[1]), segment_path(directory, 51)]
    for leftover in leftovers:
        leftover.write_bytes(segment_path(directory, 1).read_bytes() if torn == "whole segment" else b"")
    bus = open_log(tmp_path)
    assert numbers(await bus.read("events")) == list(range(50))
    for first in range(50, 1000, 50):
        await bus.publish(events(first, 50))
    assert numbers(await bus.read("events")) == numbers(await open_log(tmp_path).read("events")) == list(range(1000))
    assert not leftovers[1].exists()


async def test_a_first_segment_that_a_crash_left_empty_is_an_empty_log(tmp_path: Path) -> None:
    (tmp_path / "events").mkdir()
    segment_path(tmp_path / "events", 1).touch()
    bus = open_log(tmp_path)
    assert await bus.read("events") == []
    assert await bus.end_offsets("events") == {0: 0, 1: 0}
    await bus.publish(events(0, 1))
    assert numbers(await bus.read("events")) == [0]


async def test_reading_makes_nothing(tmp_path: Path) -> None:
    bus = open_log(tmp_path / "missing")
    assert await bus.read("events") == []
    assert await bus.committed("group", "events") == {}
    assert not (tmp_path / "missing").exists()


async def test_compaction_keeps_the_last_of_each_key_and_wipes_the_rest(tmp_path: Path) -> None:
    bus = open_log(tmp_path)
    for version in range(30):
        await bus.publish([Outgoing("people", f"p{n}", f"secret-{n}-{version}.".encode()) for n in range(100)])
    ends = await bus.end_offsets("people")
    await bus.tidy(["people"])
    assert {record.key: record.value for record in await bus.read("people")} == {
        f"p{n}": f"secret-{n}-29.".encode() for n in range(100)
    }
    assert len(await bus.read("people")) == 100
    raw = b"".join(path.read_bytes() for path in (tmp_path / "people").iterdir())
    assert b"secret-5-28." not in raw
    assert b"secret-5-29." in raw
    await bus.publish([Outgoing("people", "p0", b"new")])
    assert max((await bus.end_offsets("people")).values()) == max(ends.values()) + 1
    assert len(segment_files(tmp_path / "people")) == 1


async def test_a_persons_dead_letters_are_overwritten(tmp_path: Path) -> None:
    bus = open_log(tmp_path)
    await bus.publish([Outgoing("people.dlq", f"p{n}", f"phone of {n}".encode()) for n in range(3)])
    bus.erase("people.dlq", "p2")
    assert sorted(record.value for record in await bus.read("people.dlq")) == [b"", b"phone of 0", b"phone of 1"]
    assert not any(b"phone of 2" in path.read_bytes() for path in (tmp_path / "dlq").iterdir())
    await bus.publish([Outgoing("people.dlq", "p3", b"3")])
    assert len({record.offset for record in await bus.read("people.dlq")}) == 4


async def test_a_callers_rows_share_the_records_fate(tmp_path: Path) -> None:
    bus = open_log(tmp_path)
    log = bus.log("events")

    def submit(attempt: str, *, fail: bool = False) -> None:
        with log.transaction() as transaction:
            transaction.append(events(0, 1))
            transaction.connection.execute("INSERT INTO receipt VALUES (?)", (attempt,))
            if fail:
                raise RuntimeError("no")

    submit("a1")
    with pytest.raises(RuntimeError):
        submit("a2", fail=True)
    with pytest.raises(BusDown):
        submit("a1")
    submit("a3")
    active = log.active()
    assert active is not None
    assert active.execute("SELECT attempt FROM receipt ORDER BY 1").fetchall() == [("a1",), ("a3",)]
    assert len(await bus.read("events")) == 2


async def test_publishing_and_the_offsets_are_one_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever moment is looked at: as many bills as orders are committed."""
    bus = LocalLog(tmp_path, TOPICS, SystemClock(), offsets_in={"billing": "bills"}, settings=SETTINGS)
    await bus.publish([Outgoing("orders", f"k{n % 9}", b"x") for n in range(300)])
    places = [(record.partition, record.offset) for record in await bus.read("orders")]
    stop = asyncio.Event()
    task = asyncio.create_task(bus.consume(["orders"], "billing", Biller(), stop.is_set))
    watcher = LocalLog(tmp_path, TOPICS, SystemClock(), offsets_in={"billing": "bills"}, settings=SETTINGS)
    seen: set[int] = set()
    async with asyncio.timeout(10):
        while 300 not in seen:
            active = watcher.log("bills").active()
            if active is not None:
                active.execute("BEGIN")
                (bills,) = active.execute("SELECT count(*) FROM record").fetchone()
                reached = {partition: next_ for (_, partition), next_ in committed(active, "billing", ["orders"]).items()}
                active.execute("COMMIT")
                assert bills == sum(offset < reached.get(partition, 0) for partition, offset in places)
                seen.add(bills)
            await asyncio.sleep(0)
    stop.set()
    await task
    assert len(seen) > 2


async def test_of_two_owners_one_wins_and_the_other_starts_again(tmp_path: Path) -> None:
    bus = LocalLog(tmp_path, TOPICS, SystemClock(), offsets_in={"billing": "bills"}, settings=SETTINGS)
    stale, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Biller):
        async def handle(self, batch: Sequence[Record]) -> Sequence[Outcome]:
            stale.set()
            await go_on.wait()
            return await super().handle(batch)

    slow, stop = Slow(), asyncio.Event()
    await bus.publish([Outgoing("orders", "k", str(n).encode()) for n in range(10)])
    (partition,) = {record.partition for record in await bus.read("orders")}
    task = asyncio.create_task(bus.consume(["orders"], "billing", slow, stop.is_set))
    await stale.wait()
    with bus.log("bills").transaction() as transaction:  # Another member has done the same ten meanwhile.
        move(transaction.connection, "billing", {}, {("orders", partition): 11})
        transaction.append([Outgoing("bills", "k", b"from the other")])
    with pytest.raises(Fenced), bus.log("bills").transaction() as transaction:
        move(transaction.connection, "billing", {("orders", partition): 10}, {("orders", partition): 12})
    go_on.set()
    await until(lambda: slow.revocations == 1)
    await bus.publish([Outgoing("orders", "k", b"10")])
    await until(lambda: slow.values().count("10") == 1)
    stop.set()
    await task
    assert [record.value for record in await bus.read("bills")] == [b"from the other", b"10"]


async def test_places_at_different_offsets_all_go_on(tmp_path: Path) -> None:
    """After a replay every partition stands elsewhere; those behind catch up without holding the others."""
    bus = open_log(tmp_path)
    await fill(bus, 400)
    records = await bus.read("events")
    starts = {0: records[10].offset, 1: records[300].offset}
    with bus.log("group").transaction() as transaction:
        move(transaction.connection, "group", {}, {("events", p): start for p, start in starts.items()})
    bus = LocalLog(tmp_path, {**PEOPLE, "events.dlq": PEOPLE["people.dlq"]}, SystemClock(), settings=SMALL)
    consumer, stop = Collector(), asyncio.Event()
    task = asyncio.create_task(bus.consume(["events"], "group", consumer, stop.is_set))
    expected = [record for record in records if record.offset >= starts[record.partition]]
    await until(lambda: len(consumer.seen) >= len(expected))
    stop.set()
    await task
    assert sorted(consumer.seen, key=lambda record: record.offset) == expected


async def test_a_disk_that_refuses_says_so_and_is_tried_again(tmp_path: Path) -> None:
    bus = open_log(tmp_path)
    await bus.publish(events(0, 10))
    log = bus.log("events")
    with log.transaction() as transaction:
        (pages,) = transaction.connection.execute("PRAGMA page_count").fetchone()
    assert log._writer is not None
    log._writer.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(BusDown, match="full"):
        await bus.publish(events(10, 100))
    await bus.publish(events(10, 5))  # A fresh connection: the disk has room again.
    assert numbers(await bus.read("events")) == list(range(15))
    (tmp_path / "taken").write_text("not a directory")
    with pytest.raises(BusDown, match="taken"):
        await open_log(tmp_path / "taken").publish(events(0, 1))


async def test_a_group_commit_is_bounded_and_survives_a_failed_commit() -> None:
    commits: list[list[int]] = []

    def commit(items: Sequence[int]) -> list[int]:
        commits.append(list(items))
        if 13 in items:
            raise sqlite3.OperationalError("disk I/O error")
        return [item * 2 for item in items]

    group = GroupCommit(commit, linger=0.005, full=5, bound=8)
    futures = [group.submit(item) for item in range(8)]
    with pytest.raises(BusDown, match="overloaded"):
        group.submit(8)
    assert await asyncio.gather(*futures) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert len(commits) == 1
    with pytest.raises(BusDown, match="disk I/O error"):
        await group.submit(13)
    late = group.submit(21)
    group.close()
    assert await late == 42
    with pytest.raises(BusDown, match="closed"):
        group.submit(1)


async def test_partition_counts_never_change(tmp_path: Path) -> None:
    await open_log(tmp_path).publish(events(0, 1))
    more = {"events": TopicSpec(name="events", partitions=3, log="events", kept=DAY)}
    with pytest.raises((BusDown, ValueError), match="partitions"):
        await LocalLog(tmp_path, more, SystemClock()).publish(events(1, 1))


class _Idle:
    async def assigned(self, partitions: Collection[int]) -> Mapping[tuple[str, int], int]:
        return {}

    async def handle(self, batch: Sequence[Record]) -> Sequence[Outcome]:
        return []

    async def revoked(self, partitions: Collection[int]) -> None:
        return None


async def test_a_topic_without_dead_letters_cannot_be_consumed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"events\.dlq"):
        await open_log(tmp_path).consume(["events"], "group", _Idle(), lambda: True)
