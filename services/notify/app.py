"""Wires the notify service: the organisers' pages (`face`), the outbox and its sender (`work`)."""

from __future__ import annotations

from functools import partial

from services.events import ContestBook
from services.kit.bus import Record
from services.kit.cloudevents import type_of
from services.kit.followed import Followed
from services.kit.runtime import Face, Runtime, UnitName, Work
from services.kit.store import answers
from services.notify.campaigner import Campaigner
from services.notify.campaigns import Campaigns
from services.notify.notices import NoticesWorker
from services.notify.sender import Sender, gateways_of
from services.notify.store import Outbox
from services.notify.worker import NotifyWorker


def face(runtime: Runtime) -> Face:
    """The console's pages of messages, reminders and rosters, and the page that ends reminders."""
    # Imported by need: a worker carries no page and no web framework.
    from fastapi import APIRouter

    from services.notify import pages
    from services.notify.campaign_pages import CampaignPages
    from services.notify.list_pages import ListPages
    from services.notify.optout_pages import OptOutPages
    from services.notify.roster_pages import RosterPages

    book, outbox = ContestBook(), Outbox(runtime.store)
    followed = Followed(runtime.bus, "contests", partial(_read_contest, book), copy=runtime.copy_of("contests"))
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


def work(runtime: Runtime) -> Work:
    """Contacts, verdicts and notices in, messages out."""
    book, outbox = ContestBook(), Outbox(runtime.store)
    contests = Followed(runtime.bus, "contests", partial(_read_contest, book))
    worker, notices = NotifyWorker(runtime, book, outbox), NoticesWorker(runtime, book, outbox)
    sender, campaigner = Sender(runtime, outbox, book), Campaigner(runtime, book, outbox)

    async def start() -> None:
        await outbox.prepare()
        await Campaigns(runtime.store).prepare()
        await contests.start()

    return Work(
        name="notify",
        start=start,
        tasks=(contests.run, worker.consume, worker.write, worker.write_members, notices.consume, sender.run, campaigner.run),
        ready={"store": partial(answers, runtime.store)},
    )


def _units(book: ContestBook) -> dict[str, UnitName]:
    return {code: UnitName(unit.name, unit.parent) for contest in book.contests for code, unit in book.units(contest).items()}


def _read_contest(book: ContestBook, record: Record) -> None:
    book.read(type_of(record.headers), record.value)
