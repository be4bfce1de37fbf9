"""`make bench-report`: what a report of a million attempts costs those who submit meanwhile.

A whole installation on this machine, defaults; a contest of the past with so many attempts in its topics. Submissions come at a
steady rate, each at its own moment whether or not the one before is answered, and are timed from that moment. Turns with and
without reports being made alternate; in a turn with, one report after another is asked for, each of another cut-off, so that its
figures are cut, too. The ratio is that of the p99 of each pair.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import msgspec

from deploy.local.wiring import House
from services.events import AttemptScored, ContestPublished
from services.kit.bus import Outgoing
from services.kit.clock import SystemClock, us_of
from services.kit.cloudevents import cloudevent
from services.kit.security import Secrets, Signer
from services.kit.settings import Settings
from services.quiz.journal import Paper
from services.reporting import audit
from services.reporting.report.figures import Form
from services.reporting.report.jobs import Format, Jobs, Request
from tests import reported_contest
from tests.site import Site

FORMATS: tuple[Format, ...] = ("pdf", "docx", "xlsx", "csv")
GOAL = 1.1
HEAD = b"POST /api/v1/submissions HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"


def past_contest() -> ContestPublished:
    """The example under another name, as it was held."""
    contest = reported_contest.contest()
    rounds = tuple(
        msgspec.structs.replace(plan, id=plan.id.replace(contest.contest, "past"), contest="past") for plan in contest.rounds
    )
    return msgspec.structs.replace(contest, contest="past", rounds=rounds)


def verdicts(contest: ContestPublished, count: int) -> Iterator[Outgoing]:
    """So many attempts as their verdicts tell them, three a person."""
    rng = Random(7)
    leaves = [unit.code for unit in contest.units if unit.kind == "ward"]
    for number in range(count):
        plan = contest.rounds[number % 3]
        person, unit = f"{number // 3:020d}", leaves[number // 3 % len(leaves)]
        at = plan.opens + (plan.closes - plan.opens) * rng.random()
        event = AttemptScored(
            time=at, attempt=f"{person}:{plan.id}:1", participant=person, round=plan.id, n=1, unit=unit, categories=("hoc-sinh",),
            started_at=at, verdict="valid", correct=rng.randrange(21), total=20, elapsed_ms=1, digest="d", key_version=0,
        )  # fmt: skip
        headers = cloudevent(event.type, event.id, "/hoithi/scoring", event.time)
        yield Outgoing(event.topic, event.key, msgspec.json.encode(event), headers)


async def fill(settings: Settings, count: int) -> None:
    """Writes the attempts into the topics of an installation that has never run. Their contest is published later: `make run`
    loads its example where there is none."""
    house = House(settings.model_copy(update={"store": "mongodb://127.0.0.1:1"}))
    contest = past_contest()
    batch: list[Outgoing] = []
    for record in verdicts(contest, count):
        batch.append(record)
        if len(batch) == 5000:
            await house.bus.publish(batch)
            batch = []
    await house.bus.publish(batch)
    await house.close()


class Submissions:
    """Submissions of attempts that nobody else has, over connections that stay open."""

    def __init__(self, url: str, secrets: Path) -> None:
        at = urlsplit(url)
        self._address = (at.hostname or "", at.port or 0)
        self._signer, self._number = Signer(Secrets(secrets).get("token.key"), "paper"), 0
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    def _body(self) -> bytes:
        self._number += 1
        person, round = f"b{self._number:019d}", "hai-phong-2023.tuan-1"
        started = us_of(SystemClock().now())
        paper = Paper(f"{person}:{round}:1", person, round, 1, "001", "HP-307-11425", ("hoc-sinh",), started, "4" * 20)
        token = self._signer.sign(msgspec.msgpack.encode(paper))
        return json.dumps({"paper_token": token, "answers": "ABCDABCDABCDABCDABCD", "prediction": 1}).encode()

    async def turn(self, rate: float, seconds: float) -> list[float]:
        """The milliseconds from each submission's moment to its answer."""
        while self._idle:  # the server may have closed them meanwhile
            self._idle.pop()[1].close()
        count, began = int(rate * seconds), time.perf_counter() + 0.2
        bodies = [self._body() for _ in range(count)]
        return await asyncio.gather(*(self._submit(body, began + n / rate) for n, body in enumerate(bodies)))

    async def _submit(self, body: bytes, moment: float) -> float:
        await asyncio.sleep(moment - time.perf_counter())
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(*self._address)
        writer.write(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in answer.split(b"\r\n") if line.lower().startswith(b"content-length"))
        await reader.readexactly(length)
        assert b" 202 " in answer[:20], answer
        self._idle.append((reader, writer))
        return (time.perf_counter() - moment) * 1000


class Reports:
    """Asks for one report after another while a turn lasts."""

    def __init__(self, house: House) -> None:
        self._jobs = Jobs(house.runtime("reporting").store, house.clock)
        self._asked, self.seconds = 0, list[float]()

    async def one(self) -> None:
        """A report of a cut-off that nobody has asked for yet, until it is ready."""
        contest = past_contest()
        as_of = contest.rounds[-1].closes + timedelta(hours=self._asked)
        format = FORMATS[self._asked % len(FORMATS)]
        self._asked += 1
        request = Request(
            contest="past", kind="bao-cao", format=format, unit="", tree="territory", as_of=as_of, form=Form(issuer="Bench"),
        )  # fmt: skip
        began = time.perf_counter()
        await self._jobs.ask(request, "bench")
        while (job := await self._jobs.get(request.id)) is not None and job.open:
            await asyncio.sleep(0.5)  # as a page would: who asks shares the loop with those who submit
        assert job is not None
        assert job.phase == "ready", job.fault
        self.seconds.append(time.perf_counter() - began)

    async def until(self, stop: asyncio.Event) -> None:
        """One after another."""
        while not stop.is_set():
            await self.one()


async def measure(site: Site, options: argparse.Namespace) -> int:
    """The pairs, and what they come to."""
    house = House(site.settings)
    await house.bus.publish([house.runtime("quiz").outgoing(past_contest())])
    began = time.perf_counter()
    while await audit.behind(house.runtime("reporting")):
        await asyncio.sleep(2)
    print(f"all is read after {time.perf_counter() - began:.0f} s", flush=True)
    submissions, reports = Submissions(site.url, site.data / "secrets"), Reports(house)
    await submissions.turn(options.rate, 3)
    await reports.one()
    pairs: list[tuple[float, float]] = []
    for pair in range(options.pairs):
        found: dict[bool, list[float]] = {}
        for busy in (False, True) if pair % 2 else (True, False):
            stop = asyncio.Event()
            making = asyncio.create_task(reports.until(stop)) if busy else None
            found[busy] = sorted(await submissions.turn(options.rate, options.seconds))
            stop.set()
            if making:
                await making
        with_, without = (found[busy][int(0.99 * len(found[busy]))] for busy in (True, False))
        pairs.append((with_, without))
        print(f"pair {pair + 1}: p99 with {with_:.2f} ms, without {without:.2f} ms, {with_ / without:.2f}", flush=True)
    await house.close()
    ratios = sorted(with_ / without for with_, without in pairs)
    low, high = ratios[len(ratios) // 10], ratios[-1 - len(ratios) // 10]
    print(f"{len(reports.seconds)} reports of {options.attempts:,} attempts, {statistics.median(reports.seconds):.1f} s each")
    print(f"p99 with {statistics.median(w for w, _ in pairs):.2f} ms, without {statistics.median(w for _, w in pairs):.2f} ms")
    print(f"with ÷ without: median {statistics.median(ratios):.2f}, from {low:.2f} to {high:.2f} (goal {GOAL})")
    return 0 if statistics.median(ratios) <= GOAL else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=float, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        asyncio.run(fill(site.settings, options.attempts))
        print(f"{options.attempts:,} attempts are in the topics", flush=True)
        with site:
            return asyncio.run(measure(site, options))


if __name__ == "__main__":
    sys.exit(main())
