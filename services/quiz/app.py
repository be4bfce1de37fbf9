"""Wires what the quiz shows: the participants' site and its API, the authoring console, the hot path."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, timedelta
from functools import partial

from fastapi import APIRouter

from services.events import ContestBook
from services.kit.bus import Transient
from services.kit.followed import Followed, events
from services.kit.notary import Notary
from services.kit.runtime import Face, Runtime
from services.kit.security import Signer
from services.kit.store import answers, store_errors
from services.kit.tokens import Bearers
from services.quiz import pages
from services.quiz.api import Api
from services.quiz.authoring.answers import AnswersPages
from services.quiz.authoring.api import AdminApi
from services.quiz.authoring.commands import Authoring
from services.quiz.authoring.key_api import KeyApi
from services.quiz.authoring.mending_pages import MendingPages
from services.quiz.authoring.pages import ContestPages
from services.quiz.authoring.round_pages import RoundPages
from services.quiz.authoring.sealing import Seal
from services.quiz.authoring.unit_pages import UnitTreePages
from services.quiz.authoring.winners import WinnersPages
from services.quiz.bank.api import BankApi
from services.quiz.bank.drafts import Drafts
from services.quiz.bank.pages import BankPages, contests_of
from services.quiz.bank.store import Bank, Media
from services.quiz.handlers import Attempts, Participants
from services.quiz.journal import journal_of
from services.quiz.receipts import check
from services.quiz.shelf import Shelf
from services.quiz.store import store_of
from services.quiz.submissions import PATH as SUBMISSIONS_PATH
from services.quiz.submissions import Submissions
from services.quiz.units import UnitDays

CLOCK_TOLERANCE = timedelta(milliseconds=500)
"""A host whose clock is further off than this from the store's must not stamp submissions."""


def face(runtime: Runtime) -> Face:
    """The participants' site, its API, and the hot path."""
    book = ContestBook()
    followed = Followed(runtime.bus, "contests", events(book.read), copy=runtime.copy_of("contests"))
    store = store_of(runtime)
    shelf = Shelf(store, book, Seal(runtime.secrets), runtime.clock)
    participants = Participants(store, book, shelf, runtime.secrets.get("phone.key"), runtime.clock)
    authoring = Authoring(runtime, book, participants)
    live = authoring.live
    notary = Notary(runtime.secrets.get("receipt.key"))
    journal = journal_of(runtime, notary)
    units = UnitDays(book, runtime.clock)
    papers = Signer(runtime.secrets.get("token.key"), "paper")
    api = Api(
        book=book,
        shelf=shelf,
        units=units,
        participants=participants,
        attempts=Attempts(store, book, shelf, journal.submitted, runtime.clock, live.minutes),
        bearers=Bearers(runtime.secrets),
        papers=papers,
        public_key=notary.public_key,
        clock=runtime.clock,
        live=live,
    )
    router = APIRouter()
    router.include_router(api.router)
    bank, media = Bank(runtime.store, runtime.clock), Media(runtime.store)
    drafts = Drafts(runtime.store, bank, media, runtime.clock)
    contests = contests_of(book, runtime.store)
    router.include_router(BankPages(bank, drafts, media, contests).router)
    router.include_router(BankApi(drafts, contests).router)
    check_receipt = partial(check, public_key=notary.public_key)
    router.include_router(pages.router(book, units, runtime.clock, runtime.settings, check_receipt, live, authoring.drafts))
    router.include_router(ContestPages(authoring, book).router)
    router.include_router(UnitTreePages(authoring, book).router)
    router.include_router(RoundPages(authoring, book).router)
    router.include_router(WinnersPages(runtime.store, authoring, book).router)
    router.include_router(AnswersPages(authoring.answers, book, live).router)
    router.include_router(MendingPages(authoring, authoring.mending, book).router)
    router.include_router(AdminApi(authoring, runtime).router)
    router.include_router(KeyApi(authoring.mending).router)

    async def start() -> None:
        await followed.start()
        await shelf.fill()
        with suppress(Transient):  # a host may start from its copies; the task reads again
            await live.read()

    return Face(
        name="quiz",
        router=router,
        start=start,
        tasks=(followed.run, shelf.run, live.run, store.forget_done),
        ready={"store": partial(answers, runtime.store), "clock": partial(_clock_agrees, runtime)},
        fast={SUBMISSIONS_PATH: Submissions(journal, papers, runtime.clock, live.minutes)},
        units=units.names,
    )


async def _clock_agrees(runtime: Runtime) -> bool:
    """Compares with the store's clock, if it tells the time."""
    before = runtime.clock.now()
    with store_errors():
        hello = await runtime.store.command("hello")
    told = hello.get("localTime")
    if told is None:
        return True
    theirs = told.replace(tzinfo=UTC) if told.tzinfo is None else told
    agrees: bool = before - CLOCK_TOLERANCE <= theirs <= runtime.clock.now() + CLOCK_TOLERANCE
    return agrees
