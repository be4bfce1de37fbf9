"""Reports as jobs: asked → cut → rendering → ready, or failed, or cancelled. Kept in the store; the file in pieces.

A job's id follows from what is asked for, so that the same asked twice is one job. Whoever works on it holds a lease: a worker
that dies loses it, and another goes on, a few times. All figures come from a cut that never changes and from what was known when
the first report of that cut was made (`sources`), so that the same cut-off has the same figures for ever, in every format. Files
are kept for some days; who asks again gets one made anew.
"""

from __future__ import annotations

from collections.abc import Collection as Several
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import structlog
from bson import Binary

from services.kit.clock import time_of, us_of
from services.kit.problems import Problem
from services.kit.store import FACTS, LOOSE, find_ids, insert_facts, store_errors
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

MOST_OPEN = 20
"""Reports that one account may have waiting: each holds a core for seconds."""
MOST_TRIES = 3
"""Workers that may die of one job before it is given up."""
FAULT = "Không lập được báo cáo. Xin thử lại; nếu vẫn không được, hãy báo bộ phận kỹ thuật."

_DONE: tuple[Phase, ...] = ("ready", "failed", "cancelled")
_ANEW: dict[str, Any] = {"phase": "asked", "percent": 0, "fault": "", "lease": 0, "owner": "", "tries": 0}
_PIECE = 4 * 1024 * 1024
_RACED = 10
"""Jobs that a worker looks at in one turn: others may take the first ones under its hands."""

log = structlog.get_logger(__name__)


class FileGone(Exception):
    """The file of a ready job, or a piece of it, is not in the store any more: the job waits to be made again."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for. `unit` is whose report it is ("" the top of the tree). The period begins at `since` (None: with the
    contest) and ends at the cut-off; `before` is the cut-off that is compared with (None: none). `units` are whom a letter is
    for; none: those that lag."""

    contest: str
    kind: Kind
    format: Format
    unit: str
    tree: str
    as_of: datetime
    form: Form
    since: datetime | None = None
    before: datetime | None = None
    units: tuple[str, ...] = ()

    @property
    def before_since(self) -> datetime | None:
        """Where the period begins that is compared with: as long as this one, and right before it."""
        return None if self.since is None else self.since - (self.as_of - self.since)

    @property
    def id(self) -> str:
        """The same for the same request."""
        return blake2b(msgspec.json.encode(self), digest_size=12, person=b"report").hexdigest()


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Where a report stands. `percent` is how far; `fault` says what went wrong; `digest` names the file; `tries` counts workers
    that took the job and were not heard of again."""

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
    tries: int = 0

    @property
    def open(self) -> bool:
        """Whether it is still being made."""
        return self.phase in OPEN


class Jobs:
    """The collections `reports`, `report_files` and `report_sources`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._jobs: Collection = database["reports"].with_options(write_concern=FACTS)
        # Who works on a job, and how far it is: after a crash of the store it is simply taken again.
        self._course = self._jobs.with_options(write_concern=LOOSE)
        self._files, self._sources, self._clock = database["report_files"], database["report_sources"], clock

    async def prepare(self) -> None:
        """Makes the indexes. Raises StoreDown."""
        with store_errors():
            await self._jobs.create_index([("phase", 1), ("asked_at", 1)])
            await self._jobs.create_index([("contest", 1), ("asked_at", 1)])
            await self._jobs.create_index("told")

    async def ask(self, request: Request, by: str) -> tuple[Job, bool]:
        """The job of a request, and whether it is asked for now: new, or again after it failed or was cancelled. Raises Problem
        429 where the account has as many open as it may, StoreDown."""
        job = await self.get(request.id)
        if job is not None and job.phase not in ("cancelled", "failed"):
            return job, False
        await self._check_open(by)
        asked = _ANEW | {"by": by, "asked_at": self._clock.now(), "request": Binary(msgspec.json.encode(request))}
        fact = {"_id": request.id, "contest": request.contest, "unit": request.unit, **asked}
        new = not await insert_facts(self._jobs, [fact])
        if not new:
            new = await self._set(request.id, {"phase": {"$in": ["cancelled", "failed"]}}, asked)
        job = await self.get(request.id)
        if job is None:
            raise RuntimeError("a job that was just written is not there")
        return job, new

    async def _check_open(self, by: str) -> None:
        with store_errors():
            waiting = await self._jobs.count_documents({"by": by, "phase": {"$in": list(OPEN)}}, limit=MOST_OPEN)
        if waiting >= MOST_OPEN:
            fault = "Bạn đang có {most} báo cáo chưa lập xong. Xin đợi, hoặc hủy bớt."
            raise Problem(429, "reports-open", fault, headers={"Retry-After": "30"}, most=MOST_OPEN)

    async def get(self, id: str) -> Job | None:
        """One job; None also where it cannot be read. Raises StoreDown."""
        found = await find_ids(self._jobs, [id])
        return _job(found[id]) if id in found else None

    async def of(self, contest: str, most: int, units: Several[str] | None = None) -> list[Job]:
        """The newest jobs of a contest, `most` of them; only those of these units, where some are named. Raises StoreDown."""
        wanted: dict[str, Any] = {"contest": contest}
        if units is not None:
            wanted["unit"] = {"$in": list(units)}
        with store_errors():
            found = [_job(each) async for each in self._jobs.find(wanted).sort("asked_at", -1).limit(most)]
        return [job for job in found if job is not None]

    async def cancel(self, id: str) -> bool:
        """Stops a job that is being made; False where there is nothing to stop. Raises StoreDown."""
        return await self._set(id, {"phase": {"$in": list(OPEN)}}, {"phase": "cancelled", "owner": "", "lease": 0})

    async def take(self, owner: str) -> Job | None:
        """A job that waits for somebody, the oldest first, leased to `owner`. One that cannot be read, or that too many workers
        died of, fails. Raises StoreDown."""
        now = us_of(self._clock.now())
        free = {"phase": {"$in": list(OPEN)}, "lease": {"$lt": now}}
        with store_errors():
            found = [each async for each in self._jobs.find(free).sort("asked_at", 1).limit(_RACED)]
        for each in found:
            job, still = _job(each), {"phase": each["phase"], "lease": each["lease"]}
            if job is None or job.tries >= MOST_TRIES:
                log.error("report.given_up", report=each["_id"], tries=each.get("tries", 0))
                await self._set(each["_id"], still, {"phase": "failed", "fault": FAULT})
                continue
            lease = {"owner": owner, "lease": now + LEASE_S * 1_000_000, "tries": job.tries + 1}
            if await self._set(job.id, still, lease, self._course):
                return job
        return None

    async def hold(self, id: str, owner: str, phase: Phase, percent: int) -> bool:
        """Prolongs a lease and says how far the job is; False where the job was cancelled or is another's. Raises StoreDown."""
        lease = us_of(self._clock.now()) + LEASE_S * 1_000_000
        where = {"owner": owner, "phase": {"$in": list(OPEN)}}
        return await self._set(id, where, {"phase": phase, "percent": percent, "lease": lease}, self._course)

    async def release(self, job: Job, owner: str) -> None:
        """Gives a job back, as it was taken, for whoever looks next. Raises StoreDown."""
        await self._set(job.id, {"owner": owner}, {"owner": "", "lease": 0, "tries": job.tries}, self._course)

    async def fail(self, id: str, owner: str, fault: str) -> bool:
        """Gives a job up. Raises StoreDown."""
        return await self._set(id, {"owner": owner, "phase": {"$in": list(OPEN)}}, {"phase": "failed", "fault": fault})

    async def finish(self, id: str, owner: str, content: bytes) -> bool:
        """Keeps the file, then says that the job is ready; False where it was cancelled or is another's. Raises StoreDown."""
        digest = blake2b(content, digest_size=16).hexdigest()
        await self._keep(self._files, f"{id}/{digest}", content, loose=True)  # one that is gone is made again
        made = {"digest": digest, "size": len(content), "made_at": self._clock.now(), "told": False}
        mine = {"owner": owner, "phase": {"$in": list(OPEN)}}
        if await self._set(id, mine, {"phase": "ready", "percent": 100, **made}):
            return True
        job = await self.get(id)
        if job is None or job.phase in ("cancelled", "failed"):  # another worker's file has the same name: it stays
            await self._drop([(id, digest, len(content))])
        return False

    async def file(self, job: Job) -> bytes:
        """The file of a job that is ready. Raises FileGone, StoreDown."""
        content = await self._kept(self._files, f"{job.id}/{job.digest}")
        if len(content) != job.size:
            log.warning("report.file_gone", report=job.id)
            await self._set(job.id, {"phase": "ready", "digest": job.digest}, _ANEW)
            raise FileGone
        return content

    async def sweep(self, kept: timedelta) -> int:
        """Deletes jobs that are done and were asked for longer ago than `kept`, with their files; returns how many. Figures
        stay: cut and sources are not a job's. Raises StoreDown."""
        old = {"phase": {"$in": list(_DONE)}, "asked_at": {"$lt": self._clock.now() - kept}}
        with store_errors():
            done = [each async for each in self._jobs.find(old, {"digest": 1, "size": 1})]
        await self._drop([(each["_id"], each["digest"], each["size"]) for each in done if each.get("digest")])
        with store_errors():
            await self._jobs.delete_many({"_id": {"$in": [each["_id"] for each in done]}, **old})
        return len(done)

    async def untold(self) -> list[Job]:
        """Jobs that are ready and of which nobody was told. Raises StoreDown."""
        with store_errors():
            found = [_job(each) async for each in self._jobs.find({"told": False, "phase": "ready"})]
        return [job for job in found if job is not None]

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

    async def _drop(self, files: Several[tuple[str, str, int]]) -> None:
        """Deletes files, by job, digest and size."""
        pieces = [key for id, digest, size in files for key in _pieces(f"{id}/{digest}", size)]
        with store_errors():
            await self._files.delete_many({"_id": {"$in": pieces}})

    async def _set(self, id: str, where: Mapping[str, Any], change: Mapping[str, Any], jobs: Collection | None = None) -> bool:
        with store_errors():
            result = await (self._jobs if jobs is None else jobs).update_one({"_id": id, **where}, {"$set": dict(change)})
        return bool(result.matched_count)

    async def _keep(self, files: Collection, key: str, content: bytes, *, loose: bool = False) -> None:
        for number, piece in enumerate(_pieces(key, len(content))):
            start = number * _PIECE
            await insert_facts(files, [{"_id": piece, "body": Binary(content[start : start + _PIECE])}], loose=loose)

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


def _pieces(key: str, size: int) -> list[str]:
    """The ids under which a file of that size lies."""
    return [f"{key}/{number}" for number in range(max(1, -(-size // _PIECE)))]


def _sources_key(contest: str, as_of: datetime) -> str:
    return f"{contest}@{as_of:%Y%m%dT%H}"


def _job(found: Mapping[str, Any]) -> Job | None:
    """A job as it is kept; None where it was asked for in another version's words."""
    try:
        request = msgspec.json.decode(found["request"], type=Request)
    except msgspec.DecodeError:
        return None
    return Job(
        id=found["_id"],
        request=request,
        phase=found["phase"],
        percent=found["percent"],
        by=found["by"],
        asked_at=found["asked_at"],
        fault=found.get("fault", ""),
        digest=found.get("digest", ""),
        size=found.get("size", 0),
        made_at=found.get("made_at"),
        lease=found.get("lease", 0),
        tries=found.get("tries", 0),
    )


def floor_hour(at: datetime) -> datetime:
    """The full hour that has begun last."""
    return time_of(us_of(at) // 3_600_000_000 * 3_600_000_000)
