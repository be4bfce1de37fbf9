"""Wires the notify service: the organisers' page (`face`), the outbox and its sender (`work`)."""

from __future__ import annotations

from functools import partial

from services.events import ContestBook
from services.kit.bus import Record
from services.kit.cloudevents import type_of
from services.kit.followed import Followed
from services.kit.runtime import Face, Runtime, Work
from services.kit.store import answers
from services.notify.mail import Sender
from services.notify.store import Outbox
from services.notify.worker import NotifyWorker


def face(runtime: Runtime) -> Face:
    """The console's page of messages."""
    # Imported by need: a worker carries no page and no web framework.
    from services.notify import pages

    outbox = Outbox(runtime.store)

    async def start() -> None:
        await outbox.prepare()

    return Face(
        name="notify",
        router=pages.router(outbox, runtime.clock, runtime.settings.smtp_url is not None),
        start=start,
        ready={"store": partial(answers, runtime.store)},
    )


def work(runtime: Runtime) -> Work:
    """Contacts and verdicts in, messages out."""
    book, outbox = ContestBook(), Outbox(runtime.store)
    contests = Followed(runtime.bus, "contests", partial(_read_contest, book))
    worker = NotifyWorker(runtime, book, outbox)

    async def start() -> None:
        await outbox.prepare()
        await contests.start()

    return Work(
        name="notify",
        start=start,
        tasks=(contests.run, worker.consume, worker.write, Sender(runtime, outbox).run),
        ready={"store": partial(answers, runtime.store)},
    )


def _read_contest(book: ContestBook, record: Record) -> None:
    book.read(type_of(record.headers), record.value)
