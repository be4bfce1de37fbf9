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
from services.reporting.cuts import Cuts
from services.reporting.cutter import Cutter
from services.reporting.handlers import TOPICS
from services.reporting.headcount_store import HeadcountStore
from services.reporting.store import Views
from services.reporting.worker import ReportingWorker


def face(runtime: Runtime) -> Face:
    """The public board and its API."""
    # Imported by need: a worker carries no page and no web framework.
    from fastapi import APIRouter

    from services.reporting.api import Api
    from services.reporting.board import Board
    from services.reporting.headcount_pages import HeadcountPages
    from services.reporting.headcounts import Headcounts
    from services.reporting.live import Live, Stream
    from services.reporting.measure_pages import MeasurePages
    from services.reporting.measures import Measures
    from services.reporting.pages import Pages
    from services.reporting.tables import CutTables, Tables
    from services.reporting.turnout_pages import TurnoutPages

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
    router.include_router(HeadcountPages(runtime, book).router)
    router.include_router(MeasurePages(Measures(runtime.store), book, runtime.clock).router)
    router.include_router(Api(book, board, cuts, live, stream).router)
    router.include_router(Pages(book, board, live, runtime.clock).router)
    router.include_router(TurnoutPages(book, board, cuts, live, runtime.clock).router)

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
    """The counter."""
    book = ContestBook()
    followed = Followed(runtime.bus, "contests", partial(_apply, book))
    worker = ReportingWorker(runtime, book)
    cutter = Cutter(runtime, book, worker.derived)
    return Work(
        name="reporting",
        start=followed.start,
        tasks=(followed.run, worker.consume, worker.write, cutter.run, HeadcountStore(runtime).run),
        ready={"store": partial(answers, runtime.store)},
        rebuild=partial(rebuild, runtime.bus, worker, worker.derived, TOPICS),
    )


def _apply(book: ContestBook, record: Record) -> None:
    book.read(type_of(record.headers), record.value)
