"""Wires what reporting does: the counter, the cutter, the herald, what takes down reminders and rounds, the maker of reports."""

from __future__ import annotations

from functools import partial

from services.events import ContestBook
from services.kit.bus import Record
from services.kit.cloudevents import type_of
from services.kit.followed import Followed
from services.kit.replay import rebuild
from services.kit.runtime import Runtime, Work
from services.kit.store import answers
from services.reporting.chronicle import Chronicle
from services.reporting.counting import Counting
from services.reporting.cuts import Cuts
from services.reporting.cutter import Cutter
from services.reporting.digests import Herald
from services.reporting.handlers import TOPICS
from services.reporting.headcount_store import HeadcountStore
from services.reporting.headcounts import Headcounts
from services.reporting.measures import Measures
from services.reporting.reminders import Reminders, RemindersWorker
from services.reporting.report.jobs import Jobs
from services.reporting.report.known import Known
from services.reporting.report.maker import Maker
from services.reporting.tables import CutTables, Tables
from services.reporting.watching import Watch
from services.reporting.worker import ReportingWorker


def work(runtime: Runtime) -> Work:
    """The counter, and what takes down reminders and what has happened to rounds."""
    book, chronicle = ContestBook(), Chronicle(runtime.store)

    def apply(record: Record) -> None:
        book.read(type_of(record.headers), record.value)
        chronicle.hear(record)

    followed = Followed(runtime.bus, "contests", apply)
    headcounts = Headcounts(book)
    counted = Followed(runtime.bus, "headcounts", headcounts.read)
    cuts = Cuts(runtime.store, runtime.bus, book, runtime.clock)
    worker = ReportingWorker(runtime, book)
    cutter = Cutter(runtime, book, worker.derived, Counting())
    watch = Watch(runtime.store, book, CutTables(cuts, Tables(book, headcounts)))
    herald = Herald(runtime, book, worker.derived, watch)
    reminders = Reminders(runtime.store)
    reminded = RemindersWorker(runtime.bus, reminders)
    known = Known(book, headcounts, reminders, Measures(runtime.store), watch)
    results = Followed(runtime.bus, "results", known.read_result)
    address = (runtime.settings.public_url or f"http://localhost:{runtime.settings.port}").rstrip("/")
    jobs = Jobs(runtime.store, runtime.clock)
    maker = Maker(runtime, jobs, cuts, known.gather, address)

    async def start() -> None:
        for each in (followed, counted, results):
            await each.start()
        await jobs.prepare()

    return Work(
        name="reporting",
        start=start,
        tasks=(
            followed.run,
            counted.run,
            results.run,
            worker.consume,
            worker.write,
            cutter.run,
            herald.run,
            reminded.consume,
            chronicle.run,
            HeadcountStore(runtime).run,
            maker.run,
        ),
        ready={"store": partial(answers, runtime.store)},
        rebuild=partial(rebuild, runtime.bus, worker, worker.derived, TOPICS),
    )
