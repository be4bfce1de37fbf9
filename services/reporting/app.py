"""Wires the reporting service: what it shows (`face`) and how it counts (`work`)."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter

from services.events import ContestBook
from services.kit.bus import Record
from services.kit.cloudevents import type_of
from services.kit.followed import Followed
from services.kit.replay import rebuild
from services.kit.runtime import Face, Runtime, Work
from services.kit.store import answers
from services.reporting.api import Api
from services.reporting.board import Board
from services.reporting.cuts import Cuts
from services.reporting.cutter import Cutter
from services.reporting.handlers import TOPICS
from services.reporting.headcounts import Headcounts
from services.reporting.live import Live, Stream
from services.reporting.pages import Pages
from services.reporting.report.desk import Desk
from services.reporting.report.jobs import Forms, Jobs
from services.reporting.report.known import Known
from services.reporting.report.maker import Maker
from services.reporting.report_api import ReportApi
from services.reporting.report_pages import ReportPages
from services.reporting.store import Views
from services.reporting.worker import ReportingWorker


def face(runtime: Runtime) -> Face:
    """The public board and its API."""
    book = ContestBook()
    followed = Followed(runtime.bus, "contests", partial(_apply, book), copy=runtime.copy_of("contests"))
    board = Board(book)
    live = Live(Views(runtime.store), board, runtime.clock)
    stream = Stream(live, board, book, runtime.clock)
    router = APIRouter()
    router.include_router(Api(book, board, live, stream).router)
    router.include_router(Pages(book, board, live, runtime.clock).router)
    desk = Desk(book, Jobs(runtime.store, runtime.clock), Forms(runtime.store), runtime.clock)
    router.include_router(ReportApi(desk).router)
    router.include_router(ReportPages(desk, runtime.clock).router)
    return Face(
        name="reporting",
        router=router,
        start=followed.start,
        tasks=(followed.run, stream.run),
        ready={"store": partial(answers, runtime.store)},
    )


def work(runtime: Runtime) -> Work:
    """The counter."""
    book = ContestBook()
    followed = Followed(runtime.bus, "contests", partial(_apply, book))
    worker = ReportingWorker(runtime, book)
    cutter = Cutter(runtime, book, worker.derived)
    headcounts = Headcounts(book)
    entries = Followed(runtime.bus, "headcounts", headcounts.read)
    known = Known(book, headcounts, _none, _none)
    results = Followed(runtime.bus, "results", known.read_result)
    address = (runtime.settings.public_url or f"http://localhost:{runtime.settings.port}").rstrip("/")
    cuts = Cuts(runtime.store, runtime.bus, book, runtime.clock)
    maker = Maker(runtime, Jobs(runtime.store, runtime.clock), cuts, known.gather, address)

    async def start() -> None:
        for each in (followed, entries, results):
            await each.start()

    return Work(
        name="reporting",
        start=start,
        tasks=(followed.run, entries.run, results.run, worker.consume, worker.write, cutter.run, maker.run),
        ready={"store": partial(answers, runtime.store)},
        rebuild=partial(rebuild, runtime.bus, worker, worker.derived, TOPICS),
    )


async def _none(contest: str) -> dict[str, Any]:
    """Nothing of the kind is known yet."""
    return {}


def _apply(book: ContestBook, record: Record) -> None:
    book.read(type_of(record.headers), record.value)
