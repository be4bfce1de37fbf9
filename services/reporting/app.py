"""Wires the reporting service: what it shows (`face`) and how it counts (`work`)."""

from __future__ import annotations

from functools import partial

from services.events import ContestBook
from services.kit.bus import Record
from services.kit.cloudevents import type_of
from services.kit.followed import Followed
from services.kit.replay import rebuild
from services.kit.runtime import Face, Runtime, Work
from services.kit.store import answers
from services.reporting.chronicle import Chronicle
from services.reporting.cuts import Cuts
from services.reporting.cutter import Cutter
from services.reporting.digests import Herald
from services.reporting.handlers import TOPICS
from services.reporting.headcount_store import HeadcountStore
from services.reporting.headcounts import Headcounts
from services.reporting.reminders import Reminders, RemindersWorker
from services.reporting.report_wiring import making, reports
from services.reporting.store import Views
from services.reporting.tables import CutTables, Tables
from services.reporting.watching import Watch
from services.reporting.worker import ReportingWorker


def face(runtime: Runtime) -> Face:
    """The public board and its API."""
    # Imported by need: a worker carries no page and no web framework.
    from fastapi import APIRouter

    from services.reporting.api import Api
    from services.reporting.board import Board
    from services.reporting.glance import Glances
    from services.reporting.headcount_pages import HeadcountPages
    from services.reporting.live import Live, Stream
    from services.reporting.measure_pages import MeasurePages
    from services.reporting.measures import Measures
    from services.reporting.overview_pages import OverviewPages
    from services.reporting.pages import Pages
    from services.reporting.portal import Portal
    from services.reporting.turnout_pages import TurnoutPages
    from services.reporting.watch_pages import WatchPages

    book = ContestBook()
    followed = Followed(runtime.bus, "contests", partial(_apply, book), copy=runtime.copy_of("contests"))
    headcounts = Headcounts(book)
    counted = Followed(runtime.bus, "headcounts", headcounts.read, copy=runtime.copy_of("headcounts"))
    tables = Tables(book, headcounts)
    board = Board(book, tables, runtime.clock)
    cuts = CutTables(Cuts(runtime.store, runtime.bus, book, runtime.clock), tables)
    live = Live(Views(runtime.store), board, runtime.clock)
    stream = Stream(live, board, book, runtime.clock)
    router = APIRouter()
    router.include_router(Api(book, board, cuts, live, stream).router)
    glances, watch = Glances(book, board, live), Watch(runtime.store, book, cuts)
    router.include_router(WatchPages(book, watch, Reminders(runtime.store), Measures(runtime.store), runtime.clock).router)
    router.include_router(OverviewPages(glances, runtime.clock).router)
    router.include_router(Portal(book, board, glances, Chronicle(runtime.store), runtime.clock, runtime.settings).router)
    router.include_router(HeadcountPages(runtime, book).router)
    router.include_router(MeasurePages(Measures(runtime.store), book, runtime.clock).router)
    router.include_router(Pages(book, board, live, runtime.clock).router)
    router.include_router(TurnoutPages(book, board, cuts, live, runtime.clock).router)
    router.include_router(reports(runtime, book))

    async def start() -> None:
        await followed.start()
        await counted.start()

    return Face(
        name="reporting",
        router=router,
        start=start,
        tasks=(followed.run, counted.run, stream.run),
        ready={"store": partial(answers, runtime.store)},
    )


def work(runtime: Runtime) -> Work:
    """The counter, and what takes down reminders and what has happened to rounds."""
    book, chronicle = ContestBook(), Chronicle(runtime.store)

    def apply(record: Record) -> None:
        _apply(book, record)
        chronicle.hear(record)

    followed = Followed(runtime.bus, "contests", apply)
    headcounts = Headcounts(book)
    counted = Followed(runtime.bus, "headcounts", headcounts.read)
    cuts = CutTables(Cuts(runtime.store, runtime.bus, book, runtime.clock), Tables(book, headcounts))
    worker = ReportingWorker(runtime, book)
    cutter = Cutter(runtime, book, worker.derived)
    watch = Watch(runtime.store, book, cuts)
    herald = Herald(runtime, book, worker.derived, watch)
    reminders = RemindersWorker(runtime.bus, Reminders(runtime.store))
    papers = making(runtime, book, headcounts, watch)

    async def start() -> None:
        await followed.start()
        await counted.start()
        await papers.start()

    return Work(
        name="reporting",
        start=start,
        tasks=(
            followed.run,
            counted.run,
            worker.consume,
            worker.write,
            cutter.run,
            herald.run,
            reminders.consume,
            chronicle.run,
            HeadcountStore(runtime).run,
            *papers.tasks,
        ),
        ready={"store": partial(answers, runtime.store)},
        rebuild=partial(rebuild, runtime.bus, worker, worker.derived, TOPICS),
    )


def _apply(book: ContestBook, record: Record) -> None:
    book.read(type_of(record.headers), record.value)
