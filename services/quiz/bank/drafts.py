"""Files that were uploaded and checked, and wait for a person to say yes: kept a day, where every web process finds them."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import structlog
from bson import Binary

from services.kit.aside import Failed, aside
from services.kit.clock import Clock
from services.kit.store import store_errors
from services.quiz.bank.check import MOST_SECONDS, Checked, Job
from services.quiz.bank.sheet import Remark, Row
from services.quiz.bank.store import Bank, Media

if TYPE_CHECKING:
    from services.kit.store import Database

KEPT = timedelta(days=1)
SILENT = timedelta(seconds=60)
"""A reader that has said nothing for so long is gone."""
ROWS_TOGETHER = 200
"""Rows in one document: with the longest texts still below the store's 16 MB."""

State = Literal["reading", "ready", "failed", "imported"]
CHECKING = (sys.executable, "-m", "services.quiz.bank.check")
_ENVIRONMENT = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "HOME")

log = structlog.get_logger(__name__)


class CheckFailed(Exception):
    """The process that reads a file ended without a verdict: killed by its limits, or by a bug."""


@dataclass(frozen=True)
class Draft:
    """An upload. `rows` counts its questions, `wrong` those with faults, `doubtful` those with warnings alone, `known` those that
    the bank has and that are passed over, `corrected` new versions of questions that it has."""

    id: str
    contest: str
    name: str
    state: State
    done: int
    of: int
    rows: int = 0
    wrong: int = 0
    doubtful: int = 0
    known: int = 0
    corrected: int = 0
    counts: str = "line"
    faults: tuple[Remark, ...] = ()
    warnings: tuple[Remark, ...] = ()

    @property
    def wanted(self) -> int:
        """How many questions it would add or correct."""
        return self.rows - self.known

    @property
    def clean(self) -> bool:
        """Whether nothing stands against it."""
        return self.state == "ready" and not self.faults and not self.wrong


class Drafts:
    """Takes uploads, has them checked one after the other, and keeps what came of it. All calls raise StoreDown."""

    def __init__(self, database: Database, bank: Bank, media: Media, clock: Clock) -> None:
        self._drafts, self._rows = database["bank_drafts"], database["bank_draft_rows"]
        self._bank, self._media, self._clock = bank, media, clock
        self._turn = asyncio.Semaphore(1)
        self._tasks: set[asyncio.Task[None]] = set()

    async def begin(self, contest: str, job: Job) -> str:
        """Starts the check of a file; returns the draft's id."""
        id, now = uuid.uuid4().hex, self._clock.now()
        draft = {"_id": id, "contest": contest, "name": job.name, "state": "reading", "done": 0, "of": 0, "at": now, "seen": now}
        with store_errors():
            for collection in (self._drafts, self._rows):
                await collection.delete_many({"at": {"$lt": now - KEPT}})
            await self._drafts.insert_one(draft)
        task = asyncio.create_task(self._check(id, contest, job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return id

    async def get(self, id: str) -> Draft | None:
        """A draft, or None."""
        with store_errors():
            found = await self._drafts.find_one({"_id": id})
        if found is None:
            return None
        state = found["state"]
        if state == "reading" and found["seen"] < self._clock.now() - SILENT:
            state = "failed"
        summary = msgspec.json.decode(found["summary"]) if "summary" in found else {}
        return msgspec.convert({**found, **summary, "id": id, "state": state}, Draft)

    async def rows(self, id: str) -> list[Row]:
        """Every row of a draft that was read, with its verdict."""
        with store_errors():
            found = [d async for d in self._rows.find({"draft": id})]
        return [row for d in sorted(found, key=lambda d: d["n"]) for row in msgspec.msgpack.decode(d["body"], type=list[Row])]

    async def take(self, draft: Draft, by: str) -> int:
        """Adds the questions of a clean draft to the bank, once; returns how many there are. Raises Problem 409."""
        rows = [row for row in await self.rows(draft.id) if not row.known]
        questions = [row.question for row in rows if row.question]
        corrected = {row.question.id for row in rows if row.question and row.corrects}
        await self._bank.add(draft.contest, questions, by, draft.id, corrected)
        await self._note(draft.id, state="imported")
        return len(questions)

    async def _note(self, id: str, **values: Any) -> None:
        with store_errors():
            await self._drafts.update_one({"_id": id}, {"$set": {**values, "seen": self._clock.now()}})

    async def _check(self, id: str, contest: str, job: Job) -> None:
        try:
            async with self._turn:
                job.known = [entry.question for entry in await self._bank.entries(contest)]
                checked = await run(job, lambda done, of: self._note(id, done=done, of=of))
            await self._media.add(checked.pictures)
            await self._keep(id, checked)
        except Exception as error:  # the page that waits must learn of it, whatever it was
            log.warning("bank.check_failed", draft=id, error=repr(error))
            await self._note(id, state="failed")

    async def _keep(self, id: str, checked: Checked) -> None:
        rows, now = checked.rows, self._clock.now()
        await self._rows.create_index("draft")
        for n, start in enumerate(range(0, len(rows), ROWS_TOGETHER)):
            body = Binary(msgspec.msgpack.encode(rows[start : start + ROWS_TOGETHER]))
            await self._rows.insert_one({"_id": f"{id}/{n}", "draft": id, "n": n, "at": now, "body": body})
        summary = {
            "rows": len(rows),
            "wrong": sum(bool(row.faults) for row in rows),
            "doubtful": sum(bool(row.warnings) and not row.faults for row in rows),
            "known": sum(row.known for row in rows),
            "corrected": sum(row.corrects for row in rows),
            "counts": checked.counts,
            "faults": checked.faults,
            "warnings": checked.warnings,
        }
        await self._note(id, state="ready", summary=Binary(msgspec.json.encode(summary)))


async def run(job: Job, tell: Callable[[int, int], Awaitable[None]]) -> Checked:
    """Has a file checked by a process of its own, which may die of it. Raises CheckFailed."""
    env = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}

    async def beat(last: str) -> None:
        done, _, of = last.partition(" ")
        if done.isdigit() and of.isdigit():
            await tell(int(done), int(of))

    try:
        body = await aside(CHECKING, msgspec.msgpack.encode(job), seconds=2 * MOST_SECONDS, beat=beat, env=env)
    except Failed as error:
        raise CheckFailed(str(error)) from error
    return msgspec.msgpack.decode(body, type=Checked)
