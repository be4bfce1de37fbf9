"""Every consumer reads every example of its topics, old versions too; poison it rejects by name, and what is new to it passes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from services.events import TOPICS, ContestBook, decode, encode
from services.events.asyncapi import events_of
from services.events.schemas import example
from services.kit.bus import DONE, Bus, Consumer, Done, Record, Reject
from services.kit.clock import ManualClock
from services.kit.cloudevents import type_of
from services.kit.locallog import LocalLog
from services.kit.runtime import Runtime
from services.kit.security import Secrets
from services.kit.settings import Settings
from services.notify import worker as notify
from services.notify.notices import NOTICES, NoticesWorker
from services.notify.store import Outbox
from services.reporting import reminders
from services.reporting import worker as reporting
from services.reporting.reminders import Reminders, RemindersWorker
from services.scoring import worker as scoring
from services.scoring.handlers import Library
from tests.contract.memory_store import memory_store

NOBODY = cast("Any", None)
"""Stands for what a handler has no business with: the bus delivers, a handler only answers."""


def records(topic: str) -> list[Record]:
    """The examples of a topic, as they would be read from its first partition."""
    golden = [example(event.type) for event in events_of(TOPICS[topic])]
    return [_record(topic, n, each.key, each.body, each.attributes["type"]) for n, each in enumerate(golden)]


def _record(topic: str, offset: int, key: str, body: bytes, type: str) -> Record:
    return Record(topic, 0, offset, key, body, {"ce_type": type}, 0)


def known_contests() -> ContestBook:
    """What a service knows after it has read the examples of `contests`."""
    book = ContestBook()
    for record in records("contests"):
        book.read(type_of(record.headers), record.value)
    return book


def reporting_consumer(runtime: Runtime) -> Consumer:
    return reporting.ReportingWorker(runtime, known_contests())


def reminders_consumer(runtime: Runtime) -> Consumer:
    return RemindersWorker(runtime.bus, Reminders(runtime.store))


def scoring_consumer(runtime: Runtime) -> Consumer:
    library = Library(known_contests())
    for record in records("keys"):
        library.read_key(type_of(record.headers), record.value)
    return scoring.ScoringWorker(runtime, library)


def notices_consumer(runtime: Runtime) -> Consumer:
    return NoticesWorker(runtime, known_contests(), Outbox(runtime.store))


def notify_consumer(runtime: Runtime) -> Consumer:
    return notify.NotifyWorker(runtime, known_contests(), Outbox(runtime.store))


CONSUMERS: dict[str, tuple[tuple[str, ...], Callable[[Runtime], Consumer]]] = {
    subscription.group: (subscription.topics, build)
    for declared, build in (
        (notify.SUBSCRIPTIONS, notify_consumer),
        ([s for s in reporting.SUBSCRIPTIONS if s.group == reporting.GROUP], reporting_consumer),
        ([reminders.SUBSCRIPTION], reminders_consumer),
        (scoring.SUBSCRIPTIONS, scoring_consumer),
    )
    for subscription in declared
    if subscription.group
}
CONSUMERS[NOTICES.group] = (NOTICES.topics, notices_consumer)
every_consumer = pytest.mark.parametrize("group", CONSUMERS)


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return Runtime(
        service="contract",
        settings=Settings(data_dir=tmp_path),
        clock=ManualClock(datetime(2023, 6, 1, tzinfo=UTC)),
        bus=cast("Bus", NOBODY),
        journal=cast("LocalLog", NOBODY),
        store=memory_store(),
        secrets=Secrets(tmp_path),
        encode=encode,
    )


@every_consumer
async def test_it_takes_every_example_and_takes_it_again(group: str, runtime: Runtime) -> None:
    topics, build = CONSUMERS[group]
    consumer = build(runtime)
    await consumer.assigned([0])
    for topic in topics:
        for _ in range(2):
            outcomes = await consumer.handle(records(topic))
            assert [type(outcome) for outcome in outcomes] == [Done] * len(records(topic)), outcomes
            for outgoing in (each for outcome in outcomes if isinstance(outcome, Done) for each in outcome.publish):
                event = decode(outgoing.headers["ce_type"], outgoing.value)
                assert outgoing.topic in TOPICS
                assert (event.topic, event.key, event.id) == (outgoing.topic, outgoing.key, outgoing.headers["ce_id"])


@every_consumer
@pytest.mark.parametrize("body", [b"", b"{", b"null", b"\xff\xfe", b"{}", b'{"time": "hom nay"}'])
async def test_it_rejects_what_does_not_read_and_says_why(group: str, runtime: Runtime, body: bytes) -> None:
    topics, build = CONSUMERS[group]
    consumer = build(runtime)
    await consumer.assigned([0])
    for topic in topics:
        poison = [_record(topic, 7, record.key, body, type_of(record.headers)) for record in records(topic)[:1]]
        (outcome,) = await consumer.handle(poison)
        assert isinstance(outcome, Reject)
        assert outcome.reason


@every_consumer
async def test_events_of_tomorrow_pass(group: str, runtime: Runtime) -> None:
    topics, build = CONSUMERS[group]
    consumer = build(runtime)
    await consumer.assigned([0])
    for topic in topics:
        (outcome,) = await consumer.handle([_record(topic, 9, "k", b'{"brand": "new"}', "vn.hoithi.thing.happened.v9")])
        assert outcome == DONE


async def test_the_submission_of_the_examples_gets_the_score_of_the_examples(runtime: Runtime) -> None:
    consumer = scoring_consumer(runtime)
    await consumer.assigned([0])
    (outcome,) = await consumer.handle(records("submissions"))
    golden = example("vn.hoithi.attempt.scored.v1")
    assert isinstance(outcome, Done)
    assert [(each.key, decode(each.headers["ce_type"], each.value)) for each in outcome.publish] == [
        (golden.key, decode(golden.attributes["type"], golden.body))
    ]


def test_the_book_of_contests_reads_every_example_and_lets_events_of_tomorrow_pass() -> None:
    book = known_contests()
    round = book.round("hai-phong-2023.tuan-1")
    assert round is not None
    assert round.state == "closed"
    book.read("vn.hoithi.round.renamed.v1", b"{}")
    assert book.round("hai-phong-2023.tuan-1") == round
