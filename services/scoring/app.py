"""Wires the scoring service: what it shows (`face`) and how it judges and ranks (`work`)."""

from __future__ import annotations

from functools import partial

from services.events import ContestBook
from services.kit.bus import Record
from services.kit.cloudevents import type_of
from services.kit.followed import Followed
from services.kit.replay import rebuild
from services.kit.runtime import Face, Runtime, Work
from services.kit.store import answers
from services.kit.tokens import Bearers
from services.scoring.casebook import Casebook
from services.scoring.exclusions import Exclusions
from services.scoring.handlers import Library
from services.scoring.headcounts import Headcounts
from services.scoring.journals import Journals
from services.scoring.ranking import Ranker
from services.scoring.settlement import Settlements
from services.scoring.store import Standings, Verdicts
from services.scoring.worker import TOPICS, ScoringWorker


def face(runtime: Runtime) -> Face:
    """Results and standings."""
    # Imported by need: a worker carries no page and no web framework.
    from fastapi import APIRouter

    from services.scoring.admin_api import AdminApi
    from services.scoring.api import Api
    from services.scoring.closing import Closing
    from services.scoring.jury import Jury
    from services.scoring.mending import Trials
    from services.scoring.overall_pages import OverallPages
    from services.scoring.pages import Pages
    from services.scoring.public_pages import PublicPages
    from services.scoring.settle_pages import SettlePages
    from services.scoring.stats_api import StatsApi

    book = ContestBook()
    contests = Followed(runtime.bus, "contests", partial(_read_contest, book), copy=runtime.copy_of("contests"))
    journals = Journals()
    hosts = Followed(runtime.bus, "journals", partial(_read_journal, journals), copy=runtime.copy_of("journals"))
    verdicts, standings, casebook = Verdicts(runtime.store), Standings(runtime.store), Casebook(runtime.store)
    settlements, exclusions, key = Settlements(runtime.store), Exclusions(runtime.store), runtime.secrets.get("certificate.key")
    api = Api(book, verdicts, standings, settlements, Bearers(runtime.secrets), runtime.clock)
    jury, trials = Jury(runtime, book), Trials(runtime.store)
    pages = Pages(book, casebook, verdicts, standings, jury, trials, runtime.clock)
    closing = Closing(book, casebook, standings, settlements, exclusions, trials, journals, runtime.clock)
    settling = SettlePages(closing, book, settlements, runtime.settings, key, runtime.clock)
    public = PublicPages(book, standings, settlements, key)
    admin = AdminApi(closing, casebook, jury, trials)
    overall = OverallPages(closing, book, settlements)
    stats = StatsApi(book, casebook, settlements, runtime.clock)
    router = APIRouter()
    for part in (api, admin, stats, overall, pages, settling, public):
        router.include_router(part.router)

    async def start() -> None:
        await contests.start()
        await hosts.start()

    return Face(
        name="scoring",
        router=router,
        start=start,
        tasks=(contests.run, hosts.run),
        ready={"store": partial(answers, runtime.store)},
    )


def work(runtime: Runtime) -> Work:
    """The judge, and the ranker beside it."""
    library = Library(ContestBook())
    contests = Followed(runtime.bus, "contests", partial(_read_contest, library.book))
    keys = Followed(runtime.bus, "keys", partial(_read_key, library), buries=True)
    headcounts = Headcounts()
    counts = Followed(runtime.bus, "headcounts", partial(_read_headcount, headcounts))
    worker = ScoringWorker(runtime, library)
    ranker = Ranker(runtime, library, worker.derived.owned, headcounts)

    async def start() -> None:
        for followed in (contests, keys, counts):
            await followed.start()

    return Work(
        name="scoring",
        start=start,
        tasks=(contests.run, keys.run, counts.run, worker.consume, worker.follow_plans, worker.write, ranker.run),
        ready={"store": partial(answers, runtime.store)},
        rebuild=partial(rebuild, runtime.bus, worker, worker.derived, TOPICS),
    )


def _read_contest(book: ContestBook, record: Record) -> None:
    book.read(type_of(record.headers), record.value)


def _read_journal(journals: Journals, record: Record) -> None:
    journals.read(type_of(record.headers), record.value)


def _read_headcount(headcounts: Headcounts, record: Record) -> None:
    headcounts.read(type_of(record.headers), record.value)


def _read_key(library: Library, record: Record) -> None:
    library.read_key(type_of(record.headers), record.value)
