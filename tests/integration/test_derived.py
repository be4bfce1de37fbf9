"""A partition's state outlives its owner, and of two owners one wins: on a real store, through both drivers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import pytest

from services.kit.bus import Fenced, Record
from services.kit.clock import ManualClock
from services.kit.derived import TOUCHED, Derived

if TYPE_CHECKING:
    from services.kit.store import Database


class Sum(msgspec.Struct):
    """A state to test with."""

    total: int = 0


def owner(database: Database) -> Derived[Sum]:
    clock = ManualClock(datetime(2023, 5, 19, tzinfo=UTC))
    return Derived(database["snapshots"], database["views"], Sum, Sum, lambda state: b"%d" % state.total, ("a", "b"), clock)


def add(derived: Derived[Sum], topic: str, offset: int, amount: int, partition: int = 3) -> bool:
    state = derived.take(Record(topic, partition, offset, "", b"", {}, 0))
    if state is not None:
        state.total += amount
    return state is not None


async def written(database: Database, partition: int = 3) -> tuple[bytes, dict[str, int]]:
    view = await database["views"].find_one({"_id": partition})
    assert view is not None
    return view["body"], view["offsets"]


async def test_a_new_owner_goes_on_where_the_snapshot_ends(database: Database) -> None:
    one = owner(database)
    assert await one.load([3, 4]) == {("a", 3): 0, ("b", 3): 0, ("a", 4): 0, ("b", 4): 0}
    assert add(one, "b", 0, 5)
    assert add(one, "a", 7, 6)
    await one.write_views()
    await one.write_snapshots()
    assert add(one, "a", 9, 100)
    two = owner(database)
    assert await two.load([3, 4]) == {("b", 3): 1, ("a", 3): 8, ("a", 4): 0, ("b", 4): 0}
    assert not add(two, "a", 7, 6)
    assert add(two, "a", 9, 1)
    await two.write_views()
    await two.write_snapshots()
    assert await written(database) == (b"12", {"b": 1, "a": 10})
    assert await database["views"].find_one({"_id": 4}) is None


async def test_the_owner_before_loses_and_learns_it(database: Database) -> None:
    one, two = owner(database), owner(database)
    for each in (one, two):
        await each.load([3])
    add(two, "a", 0, 2)
    await two.write_views()
    add(one, "a", 0, 2)
    add(one, "a", 1, 50)
    await one.write_views()
    assert await written(database) == (b"2", {"a": 1})
    with pytest.raises(Fenced):
        add(one, "a", 2, 1)
    add(two, "a", 1, 3)
    await two.write_views()
    assert await written(database) == (b"5", {"a": 2})
    await one.load([3])
    assert add(one, "a", 0, 1), "nothing of it was in a snapshot"


async def test_what_no_snapshot_holds_is_read_from_the_beginning(database: Database) -> None:
    """A worker may die after its group's commit and before its first snapshot: the commit must not hide what is lost."""
    one, two = owner(database), owner(database)
    assert await one.load([3, 4]) == {("a", 3): 0, ("b", 3): 0, ("a", 4): 0, ("b", 4): 0}
    add(one, "a", 0, 1)
    await one.write_snapshots()
    add(one, "b", 0, 1)
    assert await two.load([3, 4]) == {("a", 3): 1, ("b", 3): 0, ("a", 4): 0, ("b", 4): 0}


async def test_a_view_does_not_go_back_while_a_new_owner_replays(database: Database) -> None:
    one, two = owner(database), owner(database)
    await one.load([3])
    for offset in range(3):
        add(one, "a", offset, 1)
    await one.write_views()
    await two.load([3])
    add(two, "a", 0, 1)
    await two.write_views()
    assert await written(database) == (b"3", {"a": 3})
    for offset in range(1, 4):
        add(two, "a", offset, 1)
    await two.write_views()
    assert await written(database) == (b"4", {"a": 4})


async def test_a_change_that_no_record_brought_is_written_and_guarded_too(database: Database) -> None:
    one, two = owner(database), owner(database)
    await one.load([3])
    add(one, "a", 0, 1)
    await one.write_snapshots()
    assert await two.load([3]) == {("a", 3): 1, ("b", 3): 0}
    two.owned[3].state.total = 9
    two.touch(3)
    await two.write_views()
    await two.write_snapshots()
    assert await written(database) == (b"9", {"a": 1, TOUCHED: 1})
    add(one, "a", 1, 1)
    await one.write_snapshots()
    assert one.fenced == {3}
    assert await one.load([3]) == {("a", 3): 1, ("b", 3): 0}
    assert one.owned[3].state.total == 9
