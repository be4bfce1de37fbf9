"""Makes the reports that were asked for, one at a time: the cut, what is known beside it, the file from a process of its own."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import msgspec
import structlog

from services.events import ReportReady
from services.kit.aside import Failed, aside
from services.kit.bus import BusDown, Transient
from services.kit.problems import Problem
from services.kit.runtime import Runtime
from services.reporting.cuts import Cut, Cuts
from services.reporting.report.inputs import Sources
from services.reporting.report.jobs import FAULT, Job, Jobs, Phase, Request
from services.reporting.report.making import REFUSED, Task

MAKING = (sys.executable, "-m", "services.reporting.report.making")
"""The process that takes a task on standard input and gives the file on standard output."""

RENDER_S = 600.0
"""Seconds after which a process that is still not done is ended: the largest report takes less than one of these ten minutes."""

_SWEEP_S = 3600.0
"""Seconds between two looks for files that are old enough to go."""
_LOOK_S = 1.0
_HOLD_S = 4.0
"""Seconds between two looks for a job, and between two prolongings of its lease."""

log = structlog.get_logger(__name__)


class Lost(Exception):
    """The job was cancelled, or another worker has it."""


class Maker:
    """`gather` tells what is known of a contest beside its figures; `address` is where people find the contest."""

    def __init__(
        self,
        runtime: Runtime,
        jobs: Jobs,
        cuts: Cuts,
        gather: Callable[[Request], Awaitable[Sources]],
        address: str,
        command: Sequence[str] = MAKING,
        render_s: float = RENDER_S,
    ) -> None:
        self._runtime, self._jobs, self._cuts, self._gather, self._address = runtime, jobs, cuts, gather, address
        self._command, self._render_s = command, render_s
        self._sweep_at = 0.0
        self._owner = uuid.uuid4().hex

    async def run(self, stop: Callable[[], bool]) -> None:
        """Makes what is asked for, until `stop()`; what is half done then is left to the next."""
        while not stop():
            try:
                await self._sweep()
                worked = await self.turn(stop)
            except (Transient, BusDown) as error:
                log.warning("report.put_off", error=str(error))
                worked = False
            if not worked:
                await asyncio.sleep(_LOOK_S)

    async def _sweep(self) -> None:
        now = self._runtime.clock.monotonic()
        if now < self._sweep_at:
            return
        if gone := await self._jobs.sweep(timedelta(days=self._runtime.settings.report_days)):
            log.info("report.swept", reports=gone)
        self._sweep_at = now + _SWEEP_S

    async def turn(self, stop: Callable[[], bool] = lambda: False) -> bool:
        """Makes the report that waits longest; False where none waits."""
        await self._tell()
        job = await self._jobs.take(self._owner)
        if job is None:
            return False
        try:
            await self._make(job, stop)
        except Lost:
            log.info("report.lost", report=job.id)
        except Problem as problem:
            await self._jobs.fail(job.id, self._owner, problem.detail)
        except (Transient, BusDown):
            await self._jobs.release(job, self._owner)
            raise
        except Exception as error:  # whoever asked must learn of it, and the next report must be made, whatever it was
            log.error("report.failed", report=job.id, error=repr(error))
            await self._jobs.fail(job.id, self._owner, FAULT)
        await self._tell()
        return True

    async def _make(self, job: Job, stop: Callable[[], bool]) -> None:
        request = job.request
        await self._hold(job, "cut", 5)
        before = None if request.before is None else await self._cut(job, request.before, request.before_since, stop)
        cut = await self._cut(job, request.as_of, request.since, stop)
        await self._hold(job, "rendering", 20)
        sources = await self._jobs.frozen(request.contest, request.as_of)
        if sources is None:
            known = msgspec.json.encode(await self._gather(request))
            sources = await self._jobs.freeze(request.contest, request.as_of, known)
        task = Task(
            request=request,
            sources=sources,
            cut=cut.scopes,
            before=None if before is None else before.scopes,
            address=self._address,
        )
        content = await self._rendered(job, msgspec.msgpack.encode(task), stop)
        if not await self._jobs.finish(job.id, self._owner, content):
            raise Lost
        log.info("report.made", report=job.id, kind=request.kind, format=request.format, bytes=len(content))

    async def _hold(self, job: Job, phase: Phase, percent: int) -> None:
        if not await self._jobs.hold(job.id, self._owner, phase, percent):
            raise Lost

    async def _stopped(self, job: Job) -> None:
        """Hands the job back before the worker ends."""
        await self._jobs.release(job, self._owner)
        raise Lost

    async def _cut(self, job: Job, at: datetime, since: datetime | None, stop: Callable[[], bool]) -> Cut:
        """The cut, asked for if need be, however long it takes. Raises Problem where it can never be."""
        contest = job.request.contest
        while (cut := await self._cuts.get(contest, at, since)) is None:
            if stop():
                await self._stopped(job)
            try:
                await self._cuts.ask(contest, at, since)
            except Problem as problem:
                if problem.status != 503:
                    raise
            await asyncio.sleep(_LOOK_S / 2)
            await self._hold(job, "cut", 10)
        return cut

    async def _rendered(self, job: Job, task: bytes, stop: Callable[[], bool]) -> bytes:
        """What the process makes of a task; it is ended where the job is cancelled or time is up. Raises Lost, or Problem where
        it fails."""

        async def beat(last: str) -> None:
            if stop():
                await self._stopped(job)
            await self._hold(job, "rendering", 20 + (75 * int(last) // 100 if last.isdigit() else 0))

        try:
            return await aside(self._command, task, seconds=self._render_s, beat=beat, every=_HOLD_S)
        except Failed as error:
            if error.status == REFUSED:
                raise Problem(422, "report", error.last) from error
            log.error("report.failed", report=job.id, why=str(error))
            raise Problem(500, "report", FAULT) from error

    async def _tell(self) -> None:
        """Says which reports are ready."""
        for job in await self._jobs.untold():
            request = job.request
            event = ReportReady(
                time=job.made_at or self._runtime.clock.now(),
                contest=request.contest,
                report=job.id,
                kind=request.kind,
                format=request.format,
                as_of=request.as_of,
            )
            await self._runtime.bus.publish([self._runtime.outgoing(event)])
            await self._jobs.told(job.id)
