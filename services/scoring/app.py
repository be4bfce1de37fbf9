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
from services.scoring.handlers import Library
from services.scoring.ranking import Ranker
from services.scoring.settlement import Settlements
from services.scoring.store import Standings, Verdicts
from services.scoring.worker import TOPICS, ScoringWorker


def face(runtime: Runtime) -> Face:
    """Results and standings."""
    # Imported by need: a worker carries no page and no web framework.
    from fastapi import APIRouter

    from services.scoring.api import Api
    from services.scoring.jury import Jury
    from services.scoring.mending import Trials
    from services.scoring.pages import Pages
    from services.scoring.public_pages import PublicPages
    from services.scoring.settle_pages import SettlePages

    book = ContestBook()
    contests = Followed(runtime.bus, "contests", partial(_read_contest, book), copy=runtime.copy_of("contests"))
    verdicts, standings, casebook = Verdicts(runtime.store), Standings(runtime.store), Casebook(runtime.store)
    settlements, key = Settlements(runtime.store), runtime.secrets.get("certificate.key")
    api = Api(book, verdicts, standings, settlements, Bearers(runtime.secrets), runtime.clock)
    pages = Pages(book, casebook, verdicts, standings, Jury(runtime, book), Trials(runtime.store), runtime.clock)
    settling = SettlePages(book, casebook, standings, settlements, runtime.settings, key, runtime.clock)
    public = PublicPages(book, standings, settlements, key)
    router = APIRouter()
    router.include_router(api.router)
    router.include_router(pages.router)
    router.include_router(settling.router)
    router.include_router(public.router)
    return Face(
        name="scoring",
        router=router,
        start=contests.start,
        tasks=(contests.run,),
        ready={"store": partial(answers, runtime.store)},
    )


def work(runtime: Runtime) -> Work:
    """The judge, and the ranker beside it."""
    library = Library(ContestBook())
    contests = Followed(runtime.bus, "contests", partial(_read_contest, library.book))
    keys = Followed(runtime.bus, "keys", partial(_read_key, library), buries=True)
    worker = ScoringWorker(runtime, library)
    ranker = Ranker(runtime, library, worker.derived.owned)

    async def start() -> None:
        await contests.start()
        await keys.start()

    return Work(
        name="scoring",
        start=start,
        tasks=(contests.run, keys.run, worker.consume, worker.follow_plans, worker.write, ranker.run),
        ready={"store": partial(answers, runtime.store)},
        rebuild=partial(rebuild, runtime.bus, worker, worker.derived, TOPICS),
    )


def _read_contest(book: ContestBook, record: Record) -> None:
    book.read(type_of(record.headers), record.value)


def _read_key(library: Library, record: Record) -> None:
    library.read_key(type_of(record.headers), record.value)
