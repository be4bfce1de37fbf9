"""`make bench-ranking`: 300,000 attempts of a closed round are ranked, drawn and written as the published file, on a real store;
then pages of the standings are read through the API. Prints seconds and milliseconds."""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
from bson import Binary
from fastapi import FastAPI

from deploy.local.wiring import House
from services.events import ContestBook, ContestPublished, RoundPlan, Unit
from services.kit.bus import partition_of
from services.kit.clock import ManualClock, us_of
from services.scoring import publication
from services.scoring.api import Api
from services.scoring.domain import Judged, State
from services.scoring.handlers import Library
from services.scoring.headcounts import Headcounts
from services.scoring.prizes import Prize
from services.scoring.ranking import Ranker
from services.scoring.settlement import Settlements
from services.scoring.settling import Settler
from services.scoring.store import Standings, Verdicts, marks_of, read_views, snapshots, views
from tests.site import Site

CLOSES = datetime(2026, 5, 29, 1, tzinfo=UTC)
PARTITIONS = 32
PER_PERSON = 3
UNITS = [Unit(code="HP", parent=None, name="Hải Phòng", kind="city")] + [
    Unit(code=f"HP-{n}", parent="HP", name=f"Phường {n}", kind="ward") for n in range(240)
]
PLAN = RoundPlan(
    id="bench.tuan-1", contest="bench", name="Tuần 1", opens=CLOSES - timedelta(days=7), closes=CLOSES, questions=20, minutes=15,
    attempts=PER_PERSON, counting="best", prediction="Bao nhiêu?", show_score="at_once", show_key="after_close", state="closed",
    ranking=("correct desc", "prediction_gap asc", "elapsed asc", "received_at asc"),
)  # fmt: skip
CONTEST = ContestPublished(
    time=PLAN.opens, contest="bench", title="Đo", kind="Trắc nghiệm", owner="Ban Tổ chức", timezone="Asia/Ho_Chi_Minh",
    documents=(), categories=(), units=tuple(UNITS), rounds=(PLAN,),
)  # fmt: skip


def attempts(count: int, rng: random.Random) -> Iterator[Judged]:
    """So many valid attempts, three a person."""
    opens = us_of(PLAN.opens)
    for number in range(count):
        person, n = divmod(number, PER_PERSON)
        started = opens + rng.randrange(6 * 24 * 3600) * 1_000_000
        yield Judged(
            participant=f"p{person:07d}", round=PLAN.id, n=n + 1, unit=UNITS[1 + person % 240].code, categories=(),
            started=started, received=started + rng.randrange(60_000_000, 900_000_000), digest=rng.randbytes(16),
            prediction=rng.randrange(20_000), verdict="valid", correct=min(20, int(rng.gauss(16, 3))) if n else rng.randrange(21),
            total=20, key_version=1, rules=0,
        )  # fmt: skip


async def fill(database: Any, count: int) -> None:
    """Writes the snapshots and views that the judges would have written."""
    states = [State() for _ in range(PARTITIONS)]
    for number, judged in enumerate(attempts(count, random.Random(1))):
        state = states[partition_of(judged.participant, PARTITIONS)]
        state.mark(PLAN.id, us_of(PLAN.closes), 0, 1)
        state.meet(judged.participant, 0, "Nguyễn T*** H***")
        state.put(judged, number)
    for p, state in enumerate(states):
        body = {"offsets": {"submissions": count}, "body": Binary(msgspec.msgpack.encode(state))}
        await snapshots(database).update_one({"_id": p}, {"$set": body}, upsert=True)
        body = {"offsets": {"submissions": count}, "body": Binary(msgspec.msgpack.encode(state.rounds))}
        await views(database).update_one({"_id": p}, {"$set": body}, upsert=True)


@contextmanager
def timed(name: str, into: dict[str, float]) -> Iterator[None]:
    began = time.perf_counter()
    yield
    into[name] = time.perf_counter() - began


async def run(site: Site, count: int, reads: int) -> dict[str, float]:
    house = House(site.settings)
    client = house.runtime("scoring").store.client
    runtime = replace(house.runtime("scoring"), store=client["bench_scoring"], clock=ManualClock(CLOSES + timedelta(minutes=1)))
    await fill(runtime.store, count)
    library = Library(ContestBook())
    library.book.apply(CONTEST)
    took: dict[str, float] = {}
    settlements, counts = Settlements(runtime.store), Headcounts()
    ranker, settler = Ranker(runtime, library, {}, counts), Settler(runtime, library, counts)
    await settlements.commit(PLAN.id, PLAN.opens)
    marks = marks_of(PLAN.id, await read_views(runtime.store))
    with timed("ranking", took):
        await ranker._rank(PLAN, marks)
    head = await Standings(runtime.store).head(PLAN.id)
    assert head is not None
    await settlements.plan(PLAN.id, [Prize(name="Nhất", count=1), Prize(name="Khuyến khích", count=20)], [])
    await settlements.ask(PLAN.id, head.checksum, override=None)
    committed, judged = await settlements.committed(PLAN.id), await settler._judged(PLAN.id, head)
    assert committed is not None
    assert judged is not None
    with timed("prizes and draw", took):
        final = await settler._final(PLAN, await settlements.get(PLAN.id), head, committed, judged)
        outcome = publication.conclude(final)
    assert len(outcome.awards) == 21
    with timed("the same again, published file", took):
        await settler.turn()
    assert (await settlements.get(PLAN.id)).outcome is not None
    await settlements.publish(PLAN.id)
    took |= await pages(runtime, library.book, head.pages, reads)
    await client.drop_database("bench_scoring")
    await house.close()
    return took


async def pages(runtime: Any, book: ContestBook, count: int, reads: int) -> dict[str, float]:
    """Milliseconds of a page of standings, anywhere in them."""
    app, rng = FastAPI(), random.Random(2)
    standings = Standings(runtime.store)
    head = await standings.head(PLAN.id)
    assert head is not None
    none: Any = None
    app.include_router(Api(book, Verdicts(runtime.store), standings, Settlements(runtime.store), none, runtime.clock).router)
    spent: list[float] = []
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://bench") as client:
        for _ in range(reads):
            params = (
                {"cursor": f"{head.checksum}-{rng.randrange(count)}"} if rng.random() < 0.7 else {"unit": rng.choice(UNITS).code}
            )
            began = time.perf_counter()
            reply = await client.get(f"/api/v1/rounds/{PLAN.id}/standings", params=params)
            spent.append((time.perf_counter() - began) * 1000)
            assert reply.status_code == 200
            assert reply.json()["rows"]
    spent.sort()
    return {"page, median ms": statistics.median(spent), "page, p99 ms": spent[int(len(spent) * 0.99)]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", type=int, default=300_000)
    parser.add_argument("--reads", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Site(Path(folder), HOITHI_EXAMPLE="0") as site:
        took = asyncio.run(run(site, options.attempts, options.reads))
    for name, value in took.items():
        print(f"{name:<32} {value:8.2f}")
    whole = took["ranking"] + took["prizes and draw"]
    print(f"{'ranking and prizes, s':<32} {whole:8.2f}   goal: under 10")
    return 0


if __name__ == "__main__":
    sys.exit(main())
