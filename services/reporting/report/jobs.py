"""Reports as jobs: asked → cut → rendering → ready, or failed, or cancelled. Kept in the store; the file in pieces.

A job's id follows from what is asked for, so that the same asked twice is one job. Whoever works on it holds a lease: a worker
that dies loses it, and another goes on. All figures come from a cut that never changes and from what was known when the first
report of that cut was made (`sources`), so that the same cut-off has the same figures for ever, in every format.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from bson import Binary

from services.kit.clock import time_of, us_of
from services.kit.store import FACTS, find_ids, insert_facts, store_errors
from services.reporting.report.figures import Form

if TYPE_CHECKING:
    from services.kit.clock import Clock
    from services.kit.store import Collection, Database

Kind = Literal["bao-cao", "bieu", "cong-van"]
Format = Literal["docx", "pdf", "xlsx", "csv"]
Phase = Literal["asked", "cut", "rendering", "ready", "failed", "cancelled"]

OPEN: tuple[Phase, ...] = ("asked", "cut", "rendering")
LEASE_S = 12
"""Seconds after which a worker that is not heard of has lost its job."""

_PIECE = 4 * 1024 * 1024


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for. `unit` is whose report it is ("" the top of the tree). `since` begins the period, `until` ends it,
    `before` is the cut-off that is compared with (None: none). `units` are whom a letter is for; none: those that lag."""

    contest: str
    kind: Kind
    format: Format
    unit: str
    tree: str
    since: datetime
    until: datetime
    as_of: datetime
    form: Form
    before: datetime | None = None
    units: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The same for the same request."""
        return blake2b(msgspec.json.encode(self), digest_size=12, person=b"report").hexdigest()


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Where a report stands. `percent` is how far; `fault` says what went wrong; `digest` names the file."""

    id: str
    request: Request
    phase: Phase
    percent: int
    by: str
    asked_at: datetime
    fault: str = ""
    digest: str = ""
    size: int = 0
    made_at: datetime | None = None
    lease: int = 0

    @property
    def open(self) -> bool:
        """Whether it is still being made."""
        return self.phase in OPEN


class Jobs:
    """The collections `reports`, `report_files` and `report_sources`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._jobs: Collection = database["reports"].with_options(write_concern=FACTS)
        self._files, self._sources, self._clock = database["report_files"], database["report_sources"], clock

    async def ask(self, request: Request, by: str) -> tuple[Job, bool]:
        """The job of a request, and whether it is asked for now: new, or again after it failed or was cancelled."""
        asked = {"phase": "asked", "percent": 0, "by": by, "asked_at": self._clock.now(), "fault": "", "lease": 0, "owner": ""}
        fact = {"_id": request.id, "contest": request.contest, "request": Binary(msgspec.json.encode(request)), **asked}
        new = not await insert_facts(self._jobs, [fact])
        if not new:
            new = await self._set(request.id, {"phase": {"$in": ["cancelled", "failed"]}}, asked)
        job = await self.get(request.id)
        if job is None:
            raise RuntimeError("a job that was just written is not there")
        return job, new

    async def get(self, id: str) -> Job | None:
        """One job. Raises StoreDown."""
        found = await find_ids(self._jobs, [id])
        return _job(found[id]) if id in found else None

    async def of(self, contest: str) -> list[Job]:
        """The jobs of a contest, the newest first. Raises StoreDown."""
        with store_errors():
            found = [_job(each) async for each in self._jobs.find({"contest": contest})]
        return sorted(found, key=lambda job: (job.asked_at, job.id), reverse=True)

    async def cancel(self, id: str) -> bool:
        """Stops a job that is being made; False where there is nothing to stop. Raises StoreDown."""
        return await self._set(id, {"phase": {"$in": list(OPEN)}}, {"phase": "cancelled", "owner": "", "lease": 0})

    async def take(self, owner: str) -> Job | None:
        """A job that waits for somebody, the oldest first, leased to `owner`. Raises StoreDown."""
        with store_errors():
            found = [_job(each) async for each in self._jobs.find({"phase": {"$in": list(OPEN)}})]
        now = us_of(self._clock.now())
        for job in sorted(found, key=lambda job: (job.asked_at, job.id)):
            lease = {"owner": owner, "lease": now + LEASE_S * 1_000_000}
            if job.lease < now and await self._set(job.id, {"phase": job.phase, "lease": job.lease}, lease):
                return job
        return None

    async def hold(self, id: str, owner: str, phase: Phase, percent: int) -> bool:
        """Prolongs a lease and says how far the job is; False where the job was cancelled or is another's. Raises StoreDown."""
        lease = us_of(self._clock.now()) + LEASE_S * 1_000_000
        return await self._set(
            id, {"owner": owner, "phase": {"$in": list(OPEN)}}, {"phase": phase, "percent": percent, "lease": lease}
        )

    async def release(self, id: str, owner: str) -> None:
        """Gives a job back for whoever looks next. Raises StoreDown."""
        await self._set(id, {"owner": owner}, {"owner": "", "lease": 0})

    async def fail(self, id: str, owner: str, fault: str) -> bool:
        """Gives a job up. Raises StoreDown."""
        return await self._set(id, {"owner": owner, "phase": {"$in": list(OPEN)}}, {"phase": "failed", "fault": fault})

    async def finish(self, id: str, owner: str, content: bytes) -> bool:
        """Keeps the file, then says that the job is ready; False where it was cancelled or is another's. Raises StoreDown."""
        digest = blake2b(content, digest_size=16).hexdigest()
        await self._keep(self._files, f"{id}/{digest}", content)
        made = {"digest": digest, "size": len(content), "made_at": self._clock.now(), "told": False}
        return await self._set(id, {"owner": owner, "phase": {"$in": list(OPEN)}}, {"phase": "ready", "percent": 100, **made})

    async def file(self, job: Job) -> bytes:
        """The file of a job that is ready. Raises StoreDown."""
        return await self._kept(self._files, f"{job.id}/{job.digest}")

    async def untold(self) -> list[Job]:
        """Jobs that are ready and of which nobody was told. Raises StoreDown."""
        with store_errors():
            return [_job(each) async for each in self._jobs.find({"phase": "ready", "told": False})]

    async def told(self, id: str) -> None:
        """The event of a job is out. Raises StoreDown."""
        await self._set(id, {"phase": "ready"}, {"told": True})

    async def freeze(self, contest: str, as_of: datetime, sources: bytes) -> bytes:
        """Keeps what is known beside the cut, unless another report of it came first; returns what stands. Raises StoreDown."""
        key = _sources_key(contest, as_of)
        if found := await self.frozen(contest, as_of):
            return found
        digest = blake2b(sources, digest_size=16).hexdigest()
        await self._keep(self._sources, f"{key}/{digest}", sources)
        await insert_facts(self._sources, [{"_id": key, "digest": digest}])
        return await self.frozen(contest, as_of) or sources

    async def frozen(self, contest: str, as_of: datetime) -> bytes | None:
        """What was known when the first report of a cut was made; None where none was made yet. Raises StoreDown."""
        key = _sources_key(contest, as_of)
        head = (await find_ids(self._sources, [key])).get(key)
        return await self._kept(self._sources, f"{key}/{head['digest']}") if head else None

    async def _set(self, id: str, where: Mapping[str, Any], change: Mapping[str, Any]) -> bool:
        with store_errors():
            result = await self._jobs.update_one({"_id": id, **where}, {"$set": dict(change)})
        return bool(result.matched_count)

    async def _keep(self, files: Collection, key: str, content: bytes) -> None:
        for number, start in enumerate(range(0, max(len(content), 1), _PIECE)):
            await insert_facts(files, [{"_id": f"{key}/{number}", "body": Binary(content[start : start + _PIECE])}])

    async def _kept(self, files: Collection, key: str) -> bytes:
        pieces: list[bytes] = []
        while found := (await find_ids(files, [f"{key}/{len(pieces)}"])).get(f"{key}/{len(pieces)}"):
            pieces.append(bytes(found["body"]))
        return b"".join(pieces)


class Forms:
    """The collection `report_forms`: what the body of a unit writes of itself, by contest and unit ("" the whole contest)."""

    def __init__(self, database: Database) -> None:
        self._forms: Collection = database["report_forms"].with_options(write_concern=FACTS)

    async def get(self, contest: str, unit: str) -> Form | None:
        """The form of a unit. Raises StoreDown."""
        found = (await find_ids(self._forms, [f"{contest}/{unit}"])).get(f"{contest}/{unit}")
        return msgspec.json.decode(found["form"], type=Form) if found else None

    async def put(self, contest: str, unit: str, form: Form) -> None:
        """Keeps it. Raises StoreDown."""
        with store_errors():
            body = {"form": Binary(msgspec.json.encode(form))}
            await self._forms.update_one({"_id": f"{contest}/{unit}"}, {"$set": body}, upsert=True)


def _sources_key(contest: str, as_of: datetime) -> str:
    return f"{contest}@{as_of:%Y%m%dT%H}"


def _job(found: Mapping[str, Any]) -> Job:
    return Job(
        id=found["_id"],
        request=msgspec.json.decode(found["request"], type=Request),
        phase=found["phase"],
        percent=found["percent"],
        by=found["by"],
        asked_at=found["asked_at"],
        fault=found.get("fault", ""),
        digest=found.get("digest", ""),
        size=found.get("size", 0),
        made_at=found.get("made_at"),
        lease=found.get("lease", 0),
    )


def floor_hour(at: datetime) -> datetime:
    """The full hour that has begun last."""
    return time_of(us_of(at) // 3_600_000_000 * 3_600_000_000)
