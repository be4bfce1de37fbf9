"""The counter as a consumer: what it takes, what it turns away, what it leaves for later, and what it proves afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.events import AttemptScored, AttemptSubmitted, ContestBook, Event, RoundOpened, RoundPlan, encode
from services.kit.bus import DONE, Fenced, NotReady, Record, Reject
from services.kit.clock import ManualClock
from services.kit.cloudevents import cloudevent
from services.kit.runtime import Runtime
from services.reporting import audit
from services.reporting.worker import ReportingWorker

NOW = datetime(2023, 5, 20, 12, tzinfo=UTC)
ROUND = RoundPlan(
    id="hp.tuan-1", contest="hp", name="Tuần 1", opens=NOW, closes=NOW + timedelta(days=7), questions=20, minutes=15, attempts=3,
    counting="best", ranking=("correct desc",), prediction=None, show_score="at_once", show_key="after_close",
)  # fmt: skip


class FakeCollection:
    """As much of a collection as partitions need."""

    def __init__(self) -> None:
        self.documents: dict[int, dict[str, Any]] = {}

    def with_options(self, **_: object) -> FakeCollection:
        return self

    async def find_one(self, query: dict[str, Any], fields: object = None) -> dict[str, Any] | None:
        return self.documents.get(query["_id"])

    async def find(self, query: object, fields: object = None) -> AsyncIterator[dict[str, Any]]:
        for document in self.documents.values():
            yield document

    async def update_one(self, query: dict[str, Any], change: dict[str, Any], upsert: bool = False) -> SimpleNamespace:
        id, found = query["_id"], self.documents.get(query["_id"])
        if upsert and found is None:
            self.documents[id] = {"_id": id, **change["$setOnInsert"]}
            return SimpleNamespace(upserted_id=id)
        if not upsert and found is not None and found["offsets"] == query["offsets"]:
            found |= change["$set"]
            return SimpleNamespace(matched_count=1, upserted_id=None)
        return SimpleNamespace(matched_count=0, upserted_id=None)


class Rig:
    """Workers above one store, as two processes would be."""

    def __init__(self) -> None:
        self.store = {"snapshots_2": FakeCollection(), "views": FakeCollection()}
        self.runtime = cast("Runtime", SimpleNamespace(store=self.store, clock=ManualClock(NOW)))
        self.book = ContestBook()
        self.book.apply(RoundOpened(time=NOW, round=ROUND))

    def worker(self, book: ContestBook | None = None) -> ReportingWorker:
        return ReportingWorker(self.runtime, book or self.book)

    async def counted(self) -> dict[str, audit.Seen]:
        return await audit.counted(self.runtime)


def record(event: Event, offset: int, value: bytes | None = None) -> Record:
    headers = cloudevent(event.type, event.id, "/test", event.time)
    return Record(event.topic, 5, offset, event.key, encode(event) if value is None else value, headers, 0)


COMMON: dict[str, Any] = {
    "attempt": "an:hp.tuan-1:1", "participant": "an", "round": "hp.tuan-1", "n": 1, "unit": "HP-1", "categories": ("hoc-sinh",),
    "started_at": NOW,
}  # fmt: skip
SUBMITTED = AttemptSubmitted(time=NOW, **COMMON)
SCORED = AttemptScored(time=NOW, verdict="valid", correct=18, total=20, elapsed_ms=1, digest="d", key_version=1, **COMMON)


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_what_is_counted_outlives_the_worker_and_a_replay_changes_nothing(rig: Rig) -> None:
    first = rig.worker()
    assert await first.assigned([5]) == {("attempts", 5): 0, ("scores", 5): 0}
    assert await first.handle([record(SUBMITTED, 7), record(SCORED, 3)]) == [DONE, DONE]
    await first.derived.write_views()
    await first.derived.write_snapshots()
    assert await rig.counted() == {"an:hp.tuan-1:1": audit.Seen(submitted=True, verdict="valid")}
    view = rig.store["views"].documents[5]["body"]

    second = rig.worker()
    assert await second.assigned([5]) == {("attempts", 5): 8, ("scores", 5): 4}
    await second.handle([record(SUBMITTED, 7), record(SCORED, 3), record(SUBMITTED, 8), record(SCORED, 4)])
    await second.derived.write_views()
    assert rig.store["views"].documents[5] == {"_id": 5, "offsets": {"attempts": 9, "scores": 5}, "body": view}


async def test_poison_is_turned_away_and_does_not_hold_up_the_audit(rig: Rig) -> None:
    worker = rig.worker()
    await worker.assigned([5])
    (outcome,) = await worker.handle([record(SCORED, 0, b'{"attempt": 5}')])
    assert isinstance(outcome, Reject)
    assert worker.derived.owned[5].offsets == {"scores": 1}


async def test_a_round_that_is_not_known_yet_is_waited_for(rig: Rig) -> None:
    book = ContestBook()
    worker = rig.worker(book)
    await worker.assigned([5])
    with pytest.raises(NotReady):
        await worker.handle([record(SCORED, 0)])
    book.apply(RoundOpened(time=NOW, round=ROUND))
    await worker.handle([record(SCORED, 0)])
    await worker.derived.write_snapshots()
    assert (await rig.counted())["an:hp.tuan-1:1"].counted


async def test_of_two_owners_one_wins(rig: Rig) -> None:
    old, new = rig.worker(), rig.worker()
    for worker in (old, new):
        await worker.assigned([5])
        await worker.handle([record(SCORED, 0)])
    await new.derived.write_views()
    await old.derived.write_views()
    with pytest.raises(Fenced):
        await old.handle([record(SUBMITTED, 0)])


async def test_the_trace_of_an_attempt_tells_its_verdict_and_offsets(rig: Rig) -> None:
    worker = rig.worker()
    await worker.assigned([5])
    await worker.handle([record(SUBMITTED, 7), record(SCORED, 3)])
    await worker.derived.write_snapshots()
    (step,) = await audit.trace(rig.runtime, "an:hp.tuan-1:1")
    assert (step["at"], step["what"], step["where"], step["unit"]) == (NOW, "counted", "snapshots/5", "HP-1")
    assert step["offsets"] == {"attempts": 8, "scores": 4}
    assert await audit.trace(rig.runtime, "an:hp.tuan-1:2") == []
