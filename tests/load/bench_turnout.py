"""`make bench-turnout`: what turnout costs through HTTP, in a whole installation, for a contest of 1,000,000 attempts in 2,000
units and for one of 100,000 beside it, asked in turns while the figures move; and how long a cut takes. Prints milliseconds."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
from bson import Binary

from deploy.local.wiring import House
from services.events import AttemptScored, Category, ContestPublished, HeadcountApproved, Placement, RoundPlan, Tree, Unit
from services.kit.clock import us_of
from services.reporting.domain import Id, Judgement, State, scored, view
from services.reporting.store import snapshots, views
from tests.site import Site

PARTITIONS, PER_PERSON, DISTRICTS = 32, 3, 20
CATEGORIES = ("hoc-sinh", "doan-vien", "dang-vien", "cong-doan")
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
OPENS = NOW - timedelta(hours=2)
CUTS = 3
"""Full hours since then."""
GOAL_MS = 20.0
NEWS = 100
"""Verdicts a second that come in for each contest meanwhile."""


def units(count: int) -> list[Unit]:
    """A city of districts with wards below them; in a second tree all wards stand below one top."""
    made = [Unit(code="C", parent=None, name="Thành phố", kind="")]
    made += [Unit(code=f"D{n}", parent="C", name=f"Quận {n}", kind="") for n in range(DISTRICTS)]
    made.append(Unit(code="P", parent=None, name="Đảng bộ", kind="", placements=(Placement(tree="party", parent=None),)))
    for n in range(count):
        places = Placement(tree="territory", parent=f"D{n % DISTRICTS}"), Placement(tree="party", parent="P")
        made.append(Unit(code=f"W{n}", parent=f"D{n % DISTRICTS}", name=f"Phường {n}", kind="", placements=places))
    return made


def contest(id: str, several: list[Unit]) -> ContestPublished:
    plan = RoundPlan(
        id=f"{id}.tuan-1", contest=id, name="Tuần 1", opens=OPENS, closes=OPENS + timedelta(days=7), questions=20, minutes=15,
        attempts=PER_PERSON, counting="best", ranking=("correct desc",), prediction=None, show_score="at_once",
        show_key="after_close",
    )  # fmt: skip
    return ContestPublished(
        time=OPENS, contest=id, title="Đo", kind="", owner="", timezone="Asia/Ho_Chi_Minh", documents=(), units=tuple(several),
        categories=tuple(Category(id=each, name=each) for each in CATEGORIES), rounds=(plan,),
        trees=(Tree(id="territory", name="Địa bàn"), Tree(id="party", name="Đảng")),
    )  # fmt: skip


def count(state: State, contest: str, attempts: int, wards: int, rng: random.Random) -> None:
    """Has so many valid attempts counted, as the worker counts them."""
    begin, length = us_of(OPENS), int((NOW - OPENS).total_seconds())
    for number in range(attempts):
        person, n = divmod(number, PER_PERSON)
        who, categories = f"{contest}-p{person:07d}", (CATEGORIES[person % 4], CATEGORIES[person % 3])
        at = begin + rng.randrange(length) * 1_000_000
        judgement = Judgement(f"W{person % wards}", categories[: 1 + person % 2], at, "valid", 0, 12 + number % 9, 20)
        scored(state, Id(contest, f"{contest}.tuan-1", who, n + 1), judgement)


async def fill(house: House, sizes: dict[str, int], wards: int) -> None:
    """Writes the snapshots and views that a worker would have written. All partitions look alike, with other people."""
    store, one, rng = house.runtime("reporting").store, State(), random.Random(1)
    for id, attempts in sizes.items():
        count(one, id, attempts // PARTITIONS, wards, rng)
    for documents, body in ((snapshots(store), msgspec.msgpack.encode(one)), (views(store), view(one))):
        document = {"offsets": {"scores": 0, "attempts": 0}, "body": Binary(body)}
        for p in range(PARTITIONS):
            await documents.update_one({"_id": p}, {"$set": document}, upsert=True)


async def publish(house: House, sizes: dict[str, int], wards: int) -> None:
    """Publishes the contests, and the headcounts of all wards."""
    runtime, several = house.runtime("reporting"), units(wards)
    events: list[Any] = [contest(id, several) for id in sizes]
    for id in sizes:
        events += [
            HeadcountApproved(
                time=OPENS, contest=id, unit=f"W{n}", category="", as_of=f"{OPENS:%Y-%m-%d}", people=900 + n % 100, source="đo"
            )
            for n in range(wards)
        ]
    for start in range(0, len(events), 500):
        await runtime.bus.publish([runtime.outgoing(event) for event in events[start : start + 500]])


@contextlib.asynccontextmanager
async def moving(house: House, contests: list[str], wards: int) -> AsyncIterator[None]:
    """While it lasts, verdicts on attempts of new people come in four times a second, for the worker to count."""
    runtime, rng = house.runtime("reporting"), random.Random(2)

    def verdict(id: str, person: str) -> AttemptScored:
        return AttemptScored(
            time=NOW, attempt=f"{person}:{id}.tuan-1:1", participant=person, round=f"{id}.tuan-1", n=1,
            unit=f"W{rng.randrange(wards)}", categories=(rng.choice(CATEGORIES),), started_at=NOW, verdict="valid", correct=15,
            total=20, elapsed_ms=1, digest="d", key_version=0,
        )  # fmt: skip

    async def move() -> None:
        for turn in range(1_000_000):
            events = [verdict(id, f"{id}-late-{turn}-{n}") for n in range(NEWS // 4) for id in contests]
            await runtime.bus.publish([runtime.outgoing(event) for event in events])
            await asyncio.sleep(0.25)

    task = asyncio.create_task(move())
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


QUESTIONS: dict[str, dict[str, str]] = {
    "top of the tree": {},
    "100 wards of a district": {"parent": "D3"},
    "2,000 wards in one list": {"tree": "party", "parent": "P"},
    "the same by rate": {"tree": "party", "parent": "P", "by": "rate"},
    "a category": {"tree": "party", "parent": "P", "category": "hoc-sinh"},
    "a round": {"parent": "D3", "round": "tuan-1"},
    "as of a cut": {"tree": "party", "parent": "P", "as_of": NOW.isoformat()},
}


async def ask(client: httpx.AsyncClient, contest: str, question: dict[str, str]) -> float:
    """Milliseconds of one call."""
    params = question | {"contest": contest}
    if "round" in params:
        params["round"] = f"{contest}.{params['round']}"
    began = time.perf_counter()
    reply = await client.get("/api/v1/turnout", params=params)
    took = (time.perf_counter() - began) * 1000
    assert reply.status_code == 200, reply.text
    assert reply.json()["rows"]
    return took


async def cuts(site: Site, count: int) -> list[dict[str, Any]]:
    """What the worker says of so many cuts, once it has made them."""
    log = site.data / "logs" / "work-reporting.log"
    while True:
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        made = [line for line in lines if line["event"] == "cut.made"]
        if len(made) >= count:
            return made
        await asyncio.sleep(0.5)


async def run(site: Site, sizes: dict[str, int], wards: int, reads: int) -> dict[str, dict[str, list[float]]]:
    house, spent = House(site.settings), {name: {id: list[float]() for id in sizes} for name in QUESTIONS}
    await fill(house, sizes, wards)
    site.kill("work-reporting")  # its successor takes over what has just been written
    await publish(house, sizes, wards)
    made = await cuts(site, CUTS * len(sizes))
    for id in sizes:
        took = [each["seconds"] for each in made if each["contest"] == id]
        print(f"{'a cut of ' + id:<28} {min(took):.1f} to {max(took):.1f} s", flush=True)
    async with httpx.AsyncClient(base_url=site.url, timeout=20) as client, moving(house, list(sizes), wards):
        for turn in range(reads):
            for name, question in QUESTIONS.items():
                for id in sorted(sizes, reverse=bool(turn % 2)):
                    spent[name][id].append(await ask(client, id, question))
    await house.close()
    return spent


def p99(spent: list[float]) -> float:
    return sorted(spent)[int(len(spent) * 0.99)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", type=int, default=1_000_000)
    parser.add_argument("--units", type=int, default=2_000)
    parser.add_argument("--reads", type=int, default=300)
    options = parser.parse_args()
    sizes = {"large": options.attempts, "small": options.attempts // 10}
    with tempfile.TemporaryDirectory() as folder, Site(Path(folder), HOITHI_EXAMPLE="0") as site:
        spent = asyncio.run(run(site, sizes, options.units, options.reads))
    print(f"{'ms of a call':<28} {'p50':>7} {'p99':>7}   ÷ a tenth of the attempts (p50, p99)")
    for name, both in spent.items():
        large, small = both["large"], both["small"]
        ratios = statistics.median(large) / statistics.median(small), p99(large) / p99(small)
        print(f"{name:<28} {statistics.median(large):7.1f} {p99(large):7.1f}   {ratios[0]:.2f}  {ratios[1]:.2f}")
    everything = [ms for both in spent.values() for ms in both["large"]]
    print(f"{'all of them':<28} {statistics.median(everything):7.1f} {p99(everything):7.1f}   goal: p99 at most {GOAL_MS:.0f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
