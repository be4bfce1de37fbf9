"""The journal of submissions: one receipt an attempt, exact repeats, across segments and processes, nothing half-written."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.events import AttemptSubmitted, Event, SubmissionReceived, decode, encode
from services.kit.bus import BusDown, Outgoing, TopicSpec
from services.kit.clock import SystemClock, us_of
from services.kit.cloudevents import cloudevent, type_of
from services.kit.locallog import LocalLog, LocalLogSettings
from services.kit.notary import Notary
from services.quiz.journal import LOG, SCHEMA, Journal, Paper, Receipted, Submission
from services.quiz.receipts import check

NOTARY = Notary(bytes(32))
NOW = datetime(2026, 5, 19, 13, 0, tzinfo=UTC)
TOPICS = {name: TopicSpec(name=name, partitions=4, log=LOG, kept=timedelta(days=90)) for name in ("submissions", "attempts")}


def outgoing(event: Event) -> Outgoing:
    return Outgoing(event.topic, event.key, encode(event), cloudevent(event.type, event.id, "/test", event.time))


class Host:
    """One process's view of a host's journal."""

    def __init__(self, folder: Path, segment_bytes: int = 1 << 28) -> None:
        settings = LocalLogSettings(segment_bytes=segment_bytes)
        self.bus = LocalLog(folder, TOPICS, SystemClock(), schemas={LOG: SCHEMA}, settings=settings)
        self.journal = Journal(self.bus.log(LOG), NOTARY, outgoing, linger=0.001)

    async def take(self, person: str, answers: str = "ABCD", prediction: int | None = 1, at: datetime = NOW) -> Receipted:
        started = us_of(datetime.now(UTC) - timedelta(minutes=5))
        paper = Paper(f"{person}:r:1", person, "r", 1, "001", "U1", ("a",), started, "4444")
        return await self.journal.take(Submission(paper, answers, prediction, at))

    async def events(self, topic: str) -> list[Event]:
        return [decode(type_of(r.headers), r.value) for r in await self.bus.read(topic)]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


async def test_a_submission_is_receipted_and_told_twice_once_without_its_answers(host: Host) -> None:
    taken = await host.take("p1")
    report = check(taken.receipt, NOTARY.public_key)
    assert (report.valid, report.attempt, report.received_at) == (True, "p1:r:1", NOW)
    (received,), (submitted,) = await host.events("submissions"), await host.events("attempts")
    assert isinstance(received, SubmissionReceived)
    assert isinstance(submitted, AttemptSubmitted)
    assert (received.answers, received.digest, received.attempt) == ("ABCD", report.digest, submitted.attempt)
    assert b"ABCD" not in encode(submitted)
    assert report.digest.encode() not in encode(submitted)


async def test_a_reply_waits_for_the_confirmation_of_all_up_to_its_record(host: Host) -> None:
    asked: list[int] = []
    brokers = asyncio.Event()

    async def confirm(end: int) -> None:
        asked.append(end)
        await brokers.wait()

    await host.take("p1")
    journal = Journal(host.bus.log(LOG), NOTARY, outgoing, linger=0.001, confirm=confirm)
    paper = Paper("p2:r:1", "p2", "r", 1, "001", "U1", ("a",), us_of(NOW), "4444")
    taking = asyncio.ensure_future(journal.take(Submission(paper, "ABCD", None, NOW)))
    while not asked:
        await asyncio.sleep(0.001)
    assert not taking.done()
    brokers.set()
    taken = await taking
    # Two records a submission, from offset 1 on.
    assert asked == [taken.end] == [5]


async def test_the_same_again_gets_the_same_receipt_and_tells_nothing(host: Host) -> None:
    first = await host.take("p1")
    again = await host.take("p1", at=NOW + timedelta(seconds=30))
    assert (again.receipt, again.same) == (first.receipt, True)
    assert len(await host.events("submissions")) == 1


@pytest.mark.parametrize(("answers", "prediction"), [("ABCA", 1), ("ABCD", 2), ("ABCD", None)])
async def test_another_submission_gets_the_first_receipt(host: Host, answers: str, prediction: int | None) -> None:
    first = await host.take("p1")
    other = await host.take("p1", answers, prediction, NOW + timedelta(seconds=1))
    assert (other.receipt, other.same) == (first.receipt, False)
    assert len(await host.events("submissions")) == 1


async def test_the_first_of_one_commit_stands(host: Host) -> None:
    same, other, again = await asyncio.gather(host.take("p1"), host.take("p1", "DCBA"), host.take("p1"))
    assert (same.same, other.same, again.same) == (True, False, True)
    assert {same.receipt} == {other.receipt, again.receipt}


async def test_all_receipts_of_a_large_commit_are_valid(host: Host) -> None:
    taken = await asyncio.gather(*(host.take(f"p{i}") for i in range(300)))
    assert all(check(t.receipt, NOTARY.public_key).valid for t in taken)
    assert len({attempt for attempt, _, _ in host.journal.receipts()}) == 300


async def test_two_processes_of_a_host_agree(tmp_path: Path) -> None:
    one, two = Host(tmp_path), Host(tmp_path)
    first = await one.take("p1")
    assert (await two.take("p1")).receipt == first.receipt
    assert not (await two.take("p1", "AAAA")).same


async def test_a_repeat_is_known_after_the_segment_has_rolled(tmp_path: Path) -> None:
    host = Host(tmp_path, segment_bytes=200_000)
    first = await host.take("p0")
    for batch in range(8):
        await asyncio.gather(*(host.take(f"p{batch}-{i}") for i in range(200)))
    assert len(list((tmp_path / LOG).glob("*.db"))) > 2
    assert (await host.take("p0")).receipt == first.receipt
    assert host.journal.submitted(["p0:r:1", "none:r:1"], us_of(datetime.now(UTC) - timedelta(minutes=5))) == {"p0:r:1"}


async def test_a_commit_that_fails_promises_nothing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    await host.take("p1")

    def broken(root: bytes) -> bytes:
        raise OSError("no signature today")

    with monkeypatch.context() as patch:
        patch.setattr(NOTARY, "sign", broken)
        with pytest.raises(BusDown):
            await host.take("p2")
    assert len(await host.events("submissions")) == 1
    assert (await host.take("p2")).same
    assert len(await host.events("submissions")) == 2
