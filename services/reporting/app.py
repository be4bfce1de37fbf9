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
from services.reporting.store import Views
from services.reporting.worker import TOPICS, ReportingWorker


def face(runtime: Runtime) -> Face:
    """The public board and its API."""
    # Imported by need: a worker carries no page and no web framework.
    from fastapi import APIRouter

    from services.reporting.api import Api
    from services.reporting.board import Board
    from services.reporting.live import Live, Stream
    from services.reporting.pages import Pages

    book = ContestBook()
    followed = Followed(runtime.bus, "contests", partial(_apply, book), copy=runtime.copy_of("contests"))
    board = Board(book)
    live = Live(Views(runtime.store), board, runtime.clock)
    stream = Stream(live, board, book, runtime.clock)
    router = APIRouter()
    router.include_router(Api(book, board, live, stream).router)
    router.include_router(Pages(book, board, live, runtime.clock).router)
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
    return Work(
        name="reporting",
        start=followed.start,
        tasks=(followed.run, worker.consume, worker.write),
        ready={"store": partial(answers, runtime.store)},
        rebuild=partial(rebuild, runtime.bus, worker, worker.derived, TOPICS),
    )


def _apply(book: ContestBook, record: Record) -> None:
    book.read(type_of(record.headers), record.value)
