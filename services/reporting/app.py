"""Wires what reporting shows: the board and its API, turnout, reports, the portal."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter

from services.events import ContestBook
from services.kit.followed import Followed, events
from services.kit.runtime import Face, Runtime
from services.kit.store import answers
from services.reporting.api import Api
from services.reporting.board import Board
from services.reporting.chronicle import Chronicle
from services.reporting.cuts import Cuts
from services.reporting.glance import Glances
from services.reporting.headcount_pages import HeadcountPages
from services.reporting.headcounts import Headcounts
from services.reporting.live import Live, Stream
from services.reporting.measure_pages import MeasurePages
from services.reporting.measures import Measures
from services.reporting.overview_pages import OverviewPages
from services.reporting.pages import Pages
from services.reporting.portal import Portal
from services.reporting.reminders import Reminders
from services.reporting.report.desk import Desk
from services.reporting.report.jobs import Forms, Jobs
from services.reporting.report_api import ReportApi
from services.reporting.report_pages import ReportPages
from services.reporting.store import Views
from services.reporting.tables import CutTables, Tables
from services.reporting.turnout_pages import TurnoutPages
from services.reporting.watch_pages import WatchPages
from services.reporting.watching import Watch


def face(runtime: Runtime) -> Face:
    """The public board and its API."""
    book = ContestBook()
    followed = Followed(runtime.bus, "contests", events(book.read), copy=runtime.copy_of("contests"))
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
    desk = Desk(book, Jobs(runtime.store, runtime.clock), Forms(runtime.store), runtime.clock)
    router.include_router(ReportApi(desk).router)
    router.include_router(ReportPages(desk, runtime.clock).router)

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
