"""Wires what notify does: contacts, verdicts and notices in, messages out."""

from __future__ import annotations

from functools import partial

from services.events import ContestBook
from services.kit.followed import Followed, events
from services.kit.runtime import Runtime, Work
from services.kit.store import answers
from services.notify.campaigner import Campaigner
from services.notify.campaigns import Campaigns
from services.notify.notices import NoticesWorker
from services.notify.sender import Sender
from services.notify.store import Outbox
from services.notify.worker import NotifyWorker


def work(runtime: Runtime) -> Work:
    """Contacts, verdicts and notices in, messages out."""
    book, outbox = ContestBook(), Outbox(runtime.store)
    contests = Followed(runtime.bus, "contests", events(book.read))
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
