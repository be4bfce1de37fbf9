"""Participants of a contest as programs: they register, start, answer, submit and read their result through the public API."""

from __future__ import annotations

import asyncio
import csv
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.client import Client

EXAMPLE = Path(__file__).parent.parent / "examples" / "hai-phong-2023"


@dataclass
class Tally:
    """What the players did, counted by themselves: the truth that the system is compared with."""

    receipts: dict[str, str] = field(default_factory=dict)
    correct: dict[str, int] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    chosen: dict[str, dict[str, str]] = field(default_factory=dict)
    predicted: dict[str, int] = field(default_factory=dict)
    unit: dict[str, str] = field(default_factory=dict)
    received: dict[str, str] = field(default_factory=dict)
    people: Counter[str] = field(default_factory=Counter)


class Players:
    """`persist` makes them try again as a phone would, when the connection breaks or the server is busy."""

    def __init__(self, url: str, *, seed: int, concurrency: int = 32, persist: bool = False) -> None:
        with (EXAMPLE / "questions.csv").open(encoding="utf-8-sig") as file:
            self._key = {row["text"].strip(): row[row["answer"].strip()].strip() for row in csv.DictReader(file)}
        with (EXAMPLE / "units.csv").open(encoding="utf-8-sig") as file:
            self.wards = [row["code"] for row in csv.DictReader(file) if row["kind"] == "ward"]
        self._client = Client(url, concurrency)
        self._turns = asyncio.Semaphore(concurrency)
        self._random, self._seed, self._persist = random.Random(seed), seed, persist
        self.tally = Tally()
        self.right = 0.7
        """How much a player knows: the chance of a right answer, before guessing."""

    async def open(self) -> None:
        """Learns what contest there is."""
        contest = (await self.call("GET", "/api/v1/contests"))[0]["id"]
        self.contest = await self.call("GET", f"/api/v1/contests/{contest}")
        self.round = next(r["id"] for r in self.contest["rounds"] if r["state"] == "open")

    async def close(self) -> None:
        self._client.close()

    async def call(
        self,
        method: str,
        path: str,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        ok: tuple[int, ...] = (200, 201, 202),
    ) -> Any:
        """One call; any other status than `ok` fails the test, but what passes is tried again by the persistent."""
        target = f"{path}?{urlencode(params)}" if params else path
        for _ in range(400):
            try:
                async with asyncio.timeout(20):
                    status, reply = await self._client.call(method, target, json, headers)
            except (OSError, EOFError, TimeoutError):
                if not self._persist:
                    raise
            else:
                if not (self._persist and status >= 500):
                    assert status in ok, f"{method} {path}: {status} {reply}"
                    return reply
            await asyncio.sleep(0.3)
        raise AssertionError(f"{method} {path}: no answer")

    async def play(self, count: int, first: int = 0, after: Callable[[int], Awaitable[None]] | None = None) -> None:
        """`count` different people take part once each."""
        async with asyncio.TaskGroup() as group:
            for i in range(first, first + count):
                group.create_task(self._one(i, after))

    async def _one(self, i: int, after: Callable[[int], Awaitable[None]] | None) -> None:
        async with self._turns:
            await self.take_part(i)
        if after:
            await after(i)

    async def take_part(self, i: int, attempts: int = 1) -> None:
        """One person registers and takes so many attempts, one after the other."""
        ward = self.wards[i % len(self.wards)]
        category = self.contest["categories"][i % len(self.contest["categories"])]["id"]
        person = await self.call("POST", "/api/v1/participants", json={
            "contest": self.contest["id"], "name": f"Nguyễn Thị {i}", "phone": f"09{self._seed % 100:02d}{i:06d}",
            "unit": ward, "categories": [category],
            "consent": {"version": self.contest["consent"]["version"], "accepted": True},
        })  # fmt: skip
        headers, last = {"Authorization": f"Bearer {person['token']}"}, {}
        for _ in range(attempts):
            attempt = await self.call("POST", "/api/v1/attempts", json={"round": self.round, **last}, headers=headers)
            answers, right = self.answer(attempt["paper"])
            body = {"paper_token": attempt["paper_token"], "answers": answers, "prediction": i}
            submitted = await self.call("POST", "/api/v1/submissions", json=body)
            last = {"after": submitted["receipt"]}
            self.tally.receipts[submitted["attempt_id"]] = submitted["receipt"]
            self.tally.correct[submitted["attempt_id"]] = right
            self.tally.headers[submitted["attempt_id"]] = headers
            self.tally.chosen[submitted["attempt_id"]] = {
                question["text"]: question["options"]["ABCDEFGH".index(letter)]
                for question, letter in zip(attempt["paper"]["questions"], answers, strict=True)
            }
            self.tally.predicted[submitted["attempt_id"]], self.tally.unit[submitted["attempt_id"]] = i, ward
            self.tally.received[submitted["attempt_id"]] = submitted["received_at"]
        self.tally.people[ward] += 1

    def answer(self, paper: dict[str, Any]) -> tuple[str, int]:
        """Answers of a middling pupil, and how many of them are right."""
        answers, right = "", 0
        for question in paper["questions"]:
            correct = question["options"].index(self._key[question["text"]])
            chosen = correct if self._random.random() < self.right else self._random.randrange(len(question["options"]))
            answers += "ABCDEFGH"[chosen]
            right += chosen == correct
        return answers, right

    def right_answers(self, paper: dict[str, Any]) -> str:
        """What one who knows everything answers."""
        return "".join("ABCDEFGH"[question["options"].index(self._key[question["text"]])] for question in paper["questions"])

    async def check_results(self, seconds: float) -> None:
        """Every result, once it is there, is what the player counted."""
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            for attempt in self.tally.correct:
                group.create_task(self._check_result(attempt))

    async def _check_result(self, attempt: str) -> None:
        while True:
            async with self._turns:
                result = await self.call("GET", f"/api/v1/results/{attempt}", headers=self.tally.headers[attempt])
            if result["status"] == "scored":
                assert (result["verdict"], result["correct"]) == ("valid", self.tally.correct[attempt]), attempt
                return
            await asyncio.sleep(0.3)

    async def board(self) -> Counter[str]:
        """People per ward as the board shows them."""
        people: Counter[str] = Counter()
        for parent in sorted({ward.rsplit("-", 1)[0] for ward in self.wards}):
            rows = await self.call("GET", "/api/v1/turnout", params={"contest": self.contest["id"], "parent": parent})
            people |= {row["unit"]: row["people"] for row in rows["rows"] if row["people"]}
        return people

    async def check_board(self, seconds: float) -> None:
        """The board comes to show each ward's people as the players counted them, and no more."""
        shown: Counter[str] = Counter()
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end:
            shown = await self.board()
            if shown == self.tally.people:
                return
            await asyncio.sleep(0.5)
        wrong = {w: (shown[w], self.tally.people[w]) for w in self.wards if shown[w] != self.tally.people[w]}
        raise AssertionError(f"shown and counted differ: {wrong}")
