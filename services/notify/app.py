"""Wires what notify shows: messages, reminders, rosters, and the page that ends reminders."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter

from services.events import ContestBook
from services.kit.followed import Followed, events
from services.kit.runtime import Face, Runtime, UnitName
from services.kit.store import answers
from services.notify import pages
from services.notify.campaign_pages import CampaignPages
from services.notify.list_pages import ListPages
from services.notify.optout_pages import OptOutPages
from services.notify.roster_pages import RosterPages
from services.notify.sender import gateways_of
from services.notify.store import Outbox


def face(runtime: Runtime) -> Face:
    """The console's pages of messages, reminders and rosters, and the page that ends reminders."""
    book, outbox = ContestBook(), Outbox(runtime.store)
    followed = Followed(runtime.bus, "contests", events(book.read), copy=runtime.copy_of("contests"))
    router = APIRouter()
    channels = {gateway.channel for gateway in gateways_of(runtime)}
    router.include_router(pages.router(outbox, runtime.clock, channels))
    router.include_router(CampaignPages(runtime, book, outbox).router)
    router.include_router(RosterPages(runtime, book).router)
    router.include_router(ListPages(runtime, book).router)
    router.include_router(OptOutPages(runtime).router)

    return Face(
        name="notify",
        router=router,
        start=followed.start,
        tasks=(followed.run,),
        ready={"store": partial(answers, runtime.store)},
        units=partial(_units, book),
    )


def _units(book: ContestBook) -> dict[str, UnitName]:
    return {code: UnitName(unit.name, unit.parent) for contest in book.contests for code, unit in book.units(contest).items()}
