"""Messages against a real store and a real SMTP server: each goes out once, and what is doubtful waits for a person."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from aiosmtpd.controller import Controller

from services.events import ContestBook, Event, MessageDelivered, MessageFailed, decode, encode
from services.kit.bus import Bus, Outgoing
from services.kit.clock import ManualClock
from services.kit.locallog import LocalLog
from services.kit.runtime import Runtime
from services.kit.security import Secrets
from services.kit.settings import Settings
from services.notify.sender import Sender
from services.notify.store import Outbox
from tests.site import free_port

if TYPE_CHECKING:
    from services.kit.store import Database

NOW = datetime(2026, 5, 19, 13, 5, tzinfo=UTC)


class Gateway:
    """A mail server's handler that keeps what it gets, and answers the recipient as it is told."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.answer = "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.answer.startswith("250"):
            self.mails.append(cast("EmailMessage", message_from_bytes(envelope.content, policy=policy.default)))
        return self.answer


@pytest.fixture
def gateway() -> Iterator[tuple[Gateway, str]]:
    handler = Gateway()
    port = free_port()
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    yield handler, f"smtp://127.0.0.1:{port}"
    controller.stop()


class Told:
    """A bus that keeps what it is given."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def publish(self, records: list[Outgoing]) -> None:
        self.events += [decode(record.headers["ce_type"], record.value) for record in records]


class Post:
    """The outbox, its sender and their clock."""

    def __init__(self, database: Database, url: str | None, folder: Path) -> None:
        self.clock, self.told = ManualClock(NOW), Told()
        runtime = Runtime(
            service="notify", settings=Settings(smtp_url=url, public_url="https://thi.example.org/"), clock=self.clock,
            bus=cast("Bus", self.told), journal=cast("LocalLog", None), store=database, secrets=Secrets(folder), encode=encode,
        )  # fmt: skip
        self.outbox = Outbox(database)
        self.sender = Sender(runtime, self.outbox, ContestBook())

    async def send(self) -> int:
        return await self.sender.send_due(lambda: False)

    async def states(self) -> dict[str, int]:
        return {state: count for state, count in (await self.outbox.counts()).items() if count}


def message(attempt: str = "an:c.r:1", **changed: Any) -> dict[str, Any]:
    return {
        "_id": f"result/{attempt}/0", "attempt": attempt, "participant": "an", "to": "an@example.org", "language": "vi",
        "purpose": "result", "channel": "email",
        "contest": "c", "title": "Hải Phòng làm theo lời Bác", "round": "Tuần 1", "n": 1, "verdict": "valid", "received_at": NOW,
        "shown": {"correct": 17, "total": 20}, "state": "waiting", "due": NOW, "tries": 0,
    } | changed  # fmt: skip


@pytest.fixture
async def post(database: Database, gateway: tuple[Gateway, str], tmp_path: Path) -> Post:
    post = Post(database, gateway[1], tmp_path)
    await post.outbox.prepare()
    return post


async def test_a_message_goes_out_once_in_its_readers_words(post: Post, gateway: tuple[Gateway, str]) -> None:
    await post.outbox.add([message(), message("bi:c.r:1", language="en", shown={})])
    await post.outbox.add([message()])
    assert (await post.send(), await post.send()) == (2, 0)
    vietnamese, english = sorted(gateway[0].mails, key=lambda mail: mail["Subject"])
    assert vietnamese["Subject"] == "Kết quả lượt thi 1, Tuần 1: Hải Phòng làm theo lời Bác"
    assert "Bạn trả lời đúng 17/20 câu." in vietnamese.get_content()
    assert "https://thi.example.org/c/c/ket-qua/an:c.r:1" in vietnamese.get_content()
    assert "once the round has closed" in english.get_content()
    assert await post.states() == {"sent": 2}
    assert [type(event) for event in post.told.events] == [MessageDelivered] * 2
    assert all(b"example.org" not in encode(event) for event in post.told.events)


async def test_two_senders_send_each_message_once(
    post: Post, gateway: tuple[Gateway, str], database: Database, tmp_path: Path
) -> None:
    await post.outbox.add([message(f"p{i}:c.r:1") for i in range(20)])
    other = Post(database, gateway[1], tmp_path)
    await asyncio.gather(post.send(), other.send())
    assert len({mail["Message-ID"] for mail in gateway[0].mails}) == len(gateway[0].mails) == 20


async def test_what_the_gateway_puts_off_is_tried_again_later(post: Post, gateway: tuple[Gateway, str]) -> None:
    gateway[0].answer = "451 later"
    await post.outbox.add([message()])
    assert (await post.send(), await post.send()) == (1, 0)
    gateway[0].answer = "250 OK"
    post.clock.advance(timedelta(seconds=16))
    assert await post.send() == 1
    assert await post.states() == {"sent": 1}


async def test_what_the_gateway_refuses_has_failed_and_can_be_sent_again(post: Post, gateway: tuple[Gateway, str]) -> None:
    gateway[0].answer = "550 <an@example.org> unknown"
    await post.outbox.add([message()])
    await post.send()
    (failed,) = post.told.events
    assert isinstance(failed, MessageFailed)
    assert failed.reason == "smtp 550"
    gateway[0].answer = "250 OK"
    assert await post.outbox.send_again("result/an:c.r:1/0", post.clock.now())
    assert not await post.outbox.send_again("result/an:c.r:1/0", post.clock.now())
    assert await post.send() == 1


async def test_what_was_being_sent_at_a_crash_is_not_sent_again_by_itself(post: Post, gateway: tuple[Gateway, str]) -> None:
    await post.outbox.add([message()])
    assert await post.outbox.claim("result/an:c.r:1/0", NOW)
    await post.outbox.find_lost(NOW + timedelta(minutes=1))
    assert await post.states() == {"sending": 1}
    await post.outbox.find_lost(NOW + timedelta(minutes=3))
    assert await post.states() == {"uncertain": 1}
    post.clock.advance(timedelta(hours=1))
    assert await post.send() == 0
    assert gateway[0].mails == []


async def test_a_gateway_that_is_away_leaves_messages_waiting(database: Database, tmp_path: Path) -> None:
    post = Post(database, "smtp://127.0.0.1:9", tmp_path)
    await post.outbox.prepare()
    await post.outbox.add([message()])
    assert await post.send() == 0
    assert await post.states() == {"waiting": 1}


async def test_the_erased_are_forgotten(post: Post, database: Database) -> None:
    await post.outbox.add([message()])
    await post.outbox.erase(["an"])
    assert await post.send() == 0
    assert (await database["messages"].find_one({}))["to"] == ""
