"""Wires the reports: what is shown of them, and the tasks that make them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.events import ContestBook
from services.kit.followed import Followed
from services.kit.lifecycle import Task
from services.kit.runtime import Runtime
from services.reporting.cuts import Cuts
from services.reporting.headcounts import Headcounts
from services.reporting.measures import Measures
from services.reporting.reminders import Reminders
from services.reporting.report.desk import Desk
from services.reporting.report.jobs import Forms, Jobs
from services.reporting.report.known import Known
from services.reporting.report.maker import Maker
from services.reporting.watching import Watch

if TYPE_CHECKING:
    from fastapi import APIRouter


@dataclass(frozen=True)
class Making:
    """What a worker starts with, and what it then does, to make reports."""

    start: Callable[[], Awaitable[None]]
    tasks: Sequence[Task]


def reports(runtime: Runtime, book: ContestBook) -> APIRouter:
    """The API and the pages."""
    # Imported by need: a worker carries no page and no web framework.
    from fastapi import APIRouter

    from services.reporting.report_api import ReportApi
    from services.reporting.report_pages import ReportPages

    desk = Desk(book, Jobs(runtime.store, runtime.clock), Forms(runtime.store), runtime.clock)
    router = APIRouter()
    router.include_router(ReportApi(desk).router)
    router.include_router(ReportPages(desk, runtime.clock).router)
    return router


def making(runtime: Runtime, book: ContestBook, headcounts: Headcounts, watch: Watch) -> Making:
    """The worker's part."""
    known = Known(book, headcounts, Reminders(runtime.store), Measures(runtime.store), watch)
    results = Followed(runtime.bus, "results", known.read_result)
    address = (runtime.settings.public_url or f"http://localhost:{runtime.settings.port}").rstrip("/")
    cuts = Cuts(runtime.store, runtime.bus, book, runtime.clock)
    maker = Maker(runtime, Jobs(runtime.store, runtime.clock), cuts, known.gather, address)
    return Making(results.start, (results.run, maker.run))
