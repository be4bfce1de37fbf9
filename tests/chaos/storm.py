"""`make chaos`: a steady load while a seeded schedule kills one process after another; at the end everything must balance.

Prints the seed, and a table: kills, receipts, lost, doubled, the longest time without an accepted submission.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.kafka.cluster import Cluster, fetch, free_ports
from deploy.local.audit import audit
from deploy.local.wiring import House
from tests.players import Players
from tests.site import Site

PATIENCE_S = 60.0
"""Seconds in which something must be accepted without any broker."""
WORKERS = ("web", "work-quiz", "work-scoring", "work-reporting", "work-notify", "store")
Kill = Callable[[], Awaitable[None]]


@dataclass
class Report:
    """What came of a storm. `gap` is the longest time without an accepted submission, in seconds, `gap_after` what had died."""

    seed: int
    seconds: float = 0.0
    kills: Counter[str] = field(default_factory=Counter)
    receipts: int = 0
    lost: set[str] = field(default_factory=set)
    doubled: int = 0
    gap: float = 0.0
    gap_after: str = ""
    outage: int | None = None
    differences: list[tuple[str, str]] = field(default_factory=list)

    @property
    def balanced(self) -> bool:
        return not (self.lost or self.doubled or self.differences)

    def table(self) -> str:
        """For a person."""
        kills = ", ".join(f"{name} {count}" for name, count in sorted(self.kills.items()))
        rows = [
            ("seed", self.seed),
            ("kills", f"{self.kills.total()} ({kills})"),
            ("receipts", f"{self.receipts:,} in {self.seconds:.0f} s, {self.receipts / self.seconds:.0f}/s"),
            ("lost", len(self.lost)),
            ("doubled", self.doubled),
            ("longest gap in acceptance", f"{self.gap:.1f} s (after: {self.gap_after})"),
        ]
        if self.outage is not None:
            rows.append(("accepted while all brokers were down", f"{self.outage:,}"))
        return "\n".join(f"{name:<38} {value}" for name, value in rows)


class Storm:
    """A load of `rate` attempts a second on a site, and kills drawn by `seed`."""

    def __init__(self, site: Site, cluster: Cluster | None, seed: int, rate: float) -> None:
        self._site, self._cluster, self._rate = site, cluster, rate
        self._random = random.Random(seed)
        self._players = Players(site.url, seed=seed, concurrency=200, persist=True)
        self.report = Report(seed)
        self._over = asyncio.Event()
        self._dead: list[str] = []
        self._attempts = 3
        """What each person takes, as the example's rules allow."""

    async def run(self, kills: int, every: float, outage: float) -> Report:
        """So many kills, one every so many seconds on average; halfway, with brokers, all of them away for `outage` seconds."""
        await self._players.open()
        load, watch, began = asyncio.create_task(self._load()), asyncio.create_task(self._watch()), time.monotonic()
        await asyncio.sleep(2)
        for number in range(kills):
            name, kill = self._random.choice(sorted(self._victims().items()))
            await kill()
            self._dead.append(name)
            self.report.kills[name] += 1
            await asyncio.sleep(every * self._random.uniform(0.5, 1.5))
            if self._cluster and number == kills // 2:
                await self._take_brokers_away(outage)
        self._over.set()
        await load
        self.report.seconds = time.monotonic() - began
        watch.cancel()
        await self._balance()
        await self._players.close()
        return self.report

    async def _load(self) -> None:
        """People come at an even pace; who meets a dead server tries again, as a phone would."""
        began, people = time.monotonic(), 0
        async with asyncio.TaskGroup() as group:
            while not self._over.is_set():
                due = int((time.monotonic() - began) * self._rate / self._attempts) + 1
                waiting = people - len(self._players.tally.receipts) / self._attempts
                for _ in range(min(due - people, max(0, 1000 - int(waiting)))):
                    group.create_task(self._players.take_part(people, self._attempts))
                    people += 1
                await asyncio.sleep(0.02)

    async def _watch(self) -> None:
        """Notes the longest time in which no submission was accepted."""
        last, count = time.monotonic(), 0
        while True:
            await asyncio.sleep(0.02)
            now = time.monotonic()
            if len(self._players.tally.receipts) > count:
                count, last = len(self._players.tally.receipts), now
            if now - last > self.report.gap:
                self.report.gap, self.report.gap_after = now - last, " ".join(self._dead[-3:])

    def _victims(self) -> Mapping[str, Kill]:
        names = [*WORKERS, "relay"] if self._cluster else list(WORKERS)
        victims: dict[str, Kill] = {name: lambda name=name: self._kill(name) for name in names}  # type: ignore[misc]
        if self._cluster:
            victims["broker"] = self._kill_broker
        return victims

    async def _kill(self, name: str) -> None:
        # It may be on its way up from the last kill.
        for _ in range(100):
            try:
                self._site.kill(name)
            except (KeyError, ProcessLookupError, FileNotFoundError):
                await asyncio.sleep(0.1)
            else:
                return
        raise AssertionError(f"{name} did not come up again")

    async def _kill_broker(self) -> None:
        assert self._cluster
        node = self._random.choice(self._cluster.nodes)
        await asyncio.to_thread(self._cluster.kill, node.number)
        node.start()
        # Of three brokers one may be away; another death meanwhile would be an outage, which has its own turn.
        await asyncio.to_thread(self._cluster.wait_ready)

    async def _take_brokers_away(self, seconds: float) -> None:
        assert self._cluster
        for node in self._cluster.nodes:
            await asyncio.to_thread(self._cluster.kill, node.number)
        before, until = len(self._players.tally.receipts), time.monotonic() + PATIENCE_S
        await asyncio.sleep(seconds)
        # What died just before may be on its way up yet.
        while len(self._players.tally.receipts) == before and time.monotonic() < until:
            await asyncio.sleep(0.2)
        self.report.outage = len(self._players.tally.receipts) - before
        for node in self._cluster.nodes:
            node.start()
        await asyncio.to_thread(self._cluster.wait_ready)

    async def _balance(self) -> None:
        """Compares what people hold in their hands with what every stage has."""
        await asyncio.to_thread(self._site.wait_ready, 180)
        receipts = self._players.tally.receipts.keys()
        self.report.receipts = len(receipts)
        house = House(self._site.settings)
        try:
            rounds = await audit(house, None, 180)
        finally:
            await house.close()
        judged = {attempt for found in rounds.values() for attempt in found.judged}
        valid = {attempt for found in rounds.values() for attempt in found.valid}
        self.report.lost = set(receipts) - judged
        self.report.differences = [each for found in rounds.values() for each in found.differences()]
        self.report.doubled = await self._shown() - len(valid)

    async def _shown(self) -> int:
        """The attempts that the board shows, all units together."""
        await asyncio.sleep(2)
        board = await self._players.call("GET", "/api/v1/turnout", params={"contest": self._players.contest["id"]})
        return sum(row["attempts"] for row in board["rows"])


async def storm(folder: Path, bus: str, *, kills: int, rate: float, every: float, outage: float, seed: int) -> Report:
    """A site of its own, on the local log or on three brokers of its own, through a storm."""
    if bus == "local":
        with Site(folder) as site:
            return await Storm(site, None, seed, rate).run(kills, every, outage)
    await asyncio.to_thread(fetch)
    cluster = Cluster(folder / "kafka", free_ports(3))
    try:
        await asyncio.to_thread(cluster.start)
        with Site(folder, HOITHI_BUS=f"kafka://{cluster.bootstrap}") as site:
            return await Storm(site, cluster, seed, rate).run(kills, every, outage)
    finally:
        for node in cluster.nodes:  # Their data goes too: they need not shut down in order.
            await asyncio.to_thread(cluster.kill, node.number)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bus", choices=["kafka", "local"], default="kafka")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--rate", type=float, default=300.0, help="attempts a second")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between kills, on average")
    parser.add_argument("--outage", type=float, default=60.0, help="seconds without any broker")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # Dead brokers are what this is about.
    options = vars(parser.parse_args())
    print(f"seed {options['seed']}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(storm(Path(folder), options.pop("bus"), **options))
    print(report.table())
    for attempt, what in report.differences[:50]:
        print(f"  {attempt}  {what}")
    return 0 if report.balanced else 1


if __name__ == "__main__":
    sys.exit(main())
