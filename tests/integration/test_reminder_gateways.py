"""Reminders against a real store, a real SMTP server and a real HTTP gateway that misbehaves: each person gets at most one, and
the log says what happened."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest
from aiosmtpd.controller import Controller
from standardwebhooks.webhooks import Webhook

from services.events import MessageDelivered, MessageFailed, decode
from services.events.schemas import example
from services.events.topics import PARTITIONS
from services.kit.bus import DONE, Record, partition_of
from services.kit.clock import ManualClock, SystemClock
from services.kit.store import connect, settled
from services.notify.campaigns import Address, notice_campaign
from services.notify.contacts import Reader
from services.notify.domain import reminder_id
from services.notify.gateways import Sms
from services.notify.members import Members
from services.notify.people import Mark, Person, pack
from services.notify.sender import PATIENCE, Sender
from services.notify.store import CLAIM, FORGOTTEN, LOGGED
from tests.reminders import CONTEST, NOW, House, HttpGate, on_rosters
from tests.site import free_port

if TYPE_CHECKING:
    from services.kit.store import Database

QUIET_OFF = {"quiet_from": "00:00", "quiet_until": "00:00"}
ROOT = Path(__file__).parents[2]


@pytest.fixture
async def gate() -> AsyncIterator[HttpGate]:
    async with HttpGate().running() as running:
        yield running


class MailBox:
    """A mail server's handler that keeps what it gets."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append(cast("EmailMessage", message_from_bytes(envelope.content, policy=policy.default)))
        return "250 OK"

    def of(self, address: str) -> list[EmailMessage]:
        return [mail for mail in self.mails if mail["To"] == address]


@pytest.fixture
def mails() -> Iterator[tuple[MailBox, str]]:
    box, port = MailBox(), free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, f"smtp://127.0.0.1:{port}"
    controller.stop()


def sms_house(database: Database, folder: Path, gate: HttpGate, **settings: Any) -> House:
    return House(database, folder, sms_url=gate.url, gateway_timeout_s=0.3, **{**QUIET_OFF, **settings})


async def drain(house: House, rounds: int = 60) -> None:
    """Sends until nothing waits; between two looks the clock moves on and a gateway that was left alone is asked again."""
    for _ in range(rounds):
        await house.campaigner.step()
        await house.send()
        if not {"waiting", "sending"} & (await house.states()).keys():
            break
        house.clock.advance(timedelta(minutes=3))
        house.restart()
    await house.campaigner.step()


MOODS = ("429", "500", "ok", "silent", "ok", "reset", "ok", "401", "ok", "400")


async def test_a_gateway_that_times_out_answers_429_or_500_or_hangs_up(
    database: Database, tmp_path: Path, gate: HttpGate
) -> None:
    house = sms_house(database, tmp_path, gate)
    await house.prepare()
    gate.answer = lambda n: MOODS[n % len(MOODS)] if n <= 50 else "ok"
    await house.confirmed("one", 40)
    await drain(house)
    assert max(gate.taken.values()) == 1
    states = await house.states("one")
    assert states.keys() <= {"sent", "failed", "uncertain"}
    assert sum(states.values()) == 40
    assert len(gate.taken) == states["sent"] + states["uncertain"], "what may have arrived is not said to have failed"
    told = Counter(type(event) for event in house.told.events)
    assert (told[MessageDelivered], told[MessageFailed]) == (states["sent"], states["failed"])
    assert {event.unit for event in house.told.events if isinstance(event, MessageDelivered)} == {"A1"}
    log = [message async for message in house.outbox.of_campaign("one")]
    assert {m["reason"] for m in log if m["state"] == "uncertain"} <= {"ReadTimeout", "ReadError", "RemoteProtocolError"}
    assert set().union(*log) <= {"_id", *LOGGED}
    campaign = await house.campaigns.get("one")
    assert campaign
    assert (campaign.state, campaign.counts, campaign.recipients) == ("done", states, 40)


async def test_a_gateway_that_knows_repeats_leaves_nothing_uncertain(database: Database, tmp_path: Path, gate: HttpGate) -> None:
    house = sms_house(database, tmp_path, gate, sms_idempotent=True)
    gate.once_per_key, gate.answer = True, lambda n: "silent" if n % 3 == 0 and n < 20 else "ok"
    await house.prepare()
    await house.confirmed("one", 12)
    await drain(house)
    assert await house.states() == {"sent": 12}
    assert set(gate.taken.values()) == {1}
    assert gate.requests > 12


async def test_a_gateway_that_is_quick_at_each_step_and_never_done(database: Database, tmp_path: Path, gate: HttpGate) -> None:
    """A claim that lives as long would be taken for a dead worker's."""
    house = sms_house(database, tmp_path, gate)
    house.sender = Sender(house.runtime, house.outbox, house.book, patience=timedelta(seconds=0.6))
    gate.answer = lambda n: "drip"
    await house.prepare()
    await house.confirmed("one", 1)
    await house.campaigner.step()
    async with asyncio.timeout(20):
        await house.send()
    assert [m["reason"] for m in await house.outbox.page("uncertain", 0, 9)] == ["TimeoutError"]
    assert PATIENCE < CLAIM


async def test_a_webhook_takes_each_unit_once_and_can_check_who_speaks(
    database: Database, tmp_path: Path, gate: HttpGate
) -> None:
    clock, secret = ManualClock(datetime.now(UTC)), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    settings: dict[str, Any] = {"webhook_url": gate.url, "webhook_secret": secret, "gateway_timeout_s": 0.3, **QUIET_OFF}
    house = House(database, tmp_path, clock=clock, **settings)
    gate.once_per_key, gate.answer = True, lambda n: "silent" if n == 1 else "ok"
    await house.prepare()
    await house.confirmed("one", 0, "webhook", units=("A1", "B"), addresses=())
    await drain(house)
    assert await house.states() == {"sent": 2}
    assert gate.taken == {"A1": 1, "B": 1}
    assert gate.requests == 3
    for body, headers in zip(gate.bodies, gate.headers, strict=True):
        assert Webhook(secret).verify(body, headers)["type"] == "message.reminder"


async def test_rosters_and_contests_are_forgotten_in_a_real_store(database: Database, tmp_path: Path) -> None:
    house = House(database, tmp_path)
    await house.prepare()
    await on_rosters(house)
    await house.outbox.forget_roster(["one"], "A1")
    assert [m["to"] for m in await house.outbox.page("waiting", 0, 9)] == ["+84933333333"]
    await house.outbox.forget(CONTEST, NOW + timedelta(days=1))
    assert await house.states("one") == {"sent": 1, "skipped": 2}
    left = [m for state in ("sent", "skipped") for m in await house.outbox.page(state, 0, 9)]
    assert not any(m[field] for m in left for field in FORGOTTEN)


async def test_a_gateway_that_is_down_is_left_alone(database: Database, tmp_path: Path, gate: HttpGate) -> None:
    house = sms_house(database, tmp_path, gate)
    gate.answer = lambda n: "503"
    await house.prepare()
    await house.confirmed("one", 100)
    await house.campaigner.step()
    await house.send()
    asked = gate.requests
    assert asked <= 16, "the breaker opens after a few faults, not after a hundred"
    await house.send()
    assert gate.requests == asked
    assert (await house.states())["waiting"] == 100


async def test_a_gateway_that_asks_for_rest_gets_it(database: Database, tmp_path: Path, gate: HttpGate) -> None:
    house = sms_house(database, tmp_path, gate)
    gate.answer = lambda n: "429" if n <= 8 else "ok"
    await house.prepare()
    await house.confirmed("one", 20)
    await house.campaigner.step()
    await house.send()
    assert gate.requests == 8
    house.clock.advance(timedelta(seconds=29))
    await house.send()
    assert gate.requests == 8
    house.clock.advance(timedelta(seconds=1))
    for _ in range(3):
        await house.send()
    assert await house.states() == {"sent": 20}


async def test_two_workers_and_a_second_campaign_of_the_same_evening(database: Database, tmp_path: Path, gate: HttpGate) -> None:
    """The cap and the gap hold between workers that know nothing of one another."""
    one, two = sms_house(database, tmp_path, gate), sms_house(database, tmp_path, gate)
    await one.prepare()
    for name in ("first", "second", "third"):
        await one.confirmed(name, 15)
    await asyncio.gather(one.campaigner.step(), two.campaigner.step())
    for _ in range(3):
        await asyncio.gather(one.send(), two.send())
    assert set(gate.taken.values()) == {1}
    assert await one.states() == {"sent": 15, "skipped": 30}
    assert {m["reason"] for m in await one.outbox.page("skipped", 0, 99)} == {"gap"}


async def test_caps_gaps_quiet_hours_and_the_end_of_the_round(database: Database, tmp_path: Path, gate: HttpGate) -> None:
    house = sms_house(database, tmp_path, gate, quiet_from="21:00", quiet_until="07:00")
    await house.prepare()
    house.clock.advance(timedelta(hours=13))  # ten in the evening
    await house.confirmed("night", 1)
    await house.campaigner.step()
    assert (await house.send(), gate.requests) == (0, 0)
    house.clock.advance(timedelta(hours=9))  # seven in the morning
    await house.send()
    assert gate.requests == 1
    for number, sent in enumerate((2, 3, 3), 2):  # at most three in a contest
        house.clock.advance(timedelta(hours=49))
        await house.confirmed(f"n{number}", 1)
        await house.campaigner.step()
        await house.send()
        assert gate.requests == sent
    assert (await house.campaigns.get("n4")).left_out == {"cap": 1}  # type: ignore[union-attr]
    house.clock.advance(timedelta(days=20))
    await house.confirmed("late", 2, addresses=(Address("A2", "Mới", phone="+84999999999"),), units=("A2",))
    await house.campaigner.step()
    await house.send()
    assert [m["reason"] for m in await house.outbox.page("skipped", 0, 9)] == ["too late"]


async def test_who_opted_out_or_took_part_meanwhile_is_left_alone(database: Database, tmp_path: Path, gate: HttpGate) -> None:
    house = sms_house(database, tmp_path, gate)
    await house.prepare()
    members = {
        "an": Person("c", "A1", "vi", "", "+84911111111", "an", "", ()),
        "bi": Person("c", "A1", "vi", "", "+84922222222", "bi", "", ()),
        "co": Person("c", "A1", "vi", "", "+84933333333", "co", "", ()),
        "da": Person("c", "A1", "vi", "", "+84944444444", "da", "", (), 0, (Mark("c.tuan-1", 1, 0, True),)),
        "em": Person("c", "B", "vi", "", "+84955555555", "em", "", ()),
        "gi": Person("c", "A1", "vi", "", "", "gi", "", ()),
    }
    await write_members(house, members)
    await house.confirmed("people", 0, audience="people", root="A", round="c.tuan-1", units=(), addresses=())
    await house.campaigner.step()
    assert await house.states() == {"waiting": 3}
    campaign = await house.campaigns.get("people")
    assert campaign
    assert campaign.left_out == {"no address": 1}
    (key,) = [house.limits.key("+84922222222")]
    await house.limits.opt_out(house.limits.read_token(house.limits.token([key])), house.clock.now())
    assert members["co"].judge(Mark("c.tuan-1", 1, 0, True))
    await write_members(house, members, 2)
    await house.send()
    assert set(gate.taken) == {"+84911111111"}
    assert sorted(m["reason"] for m in await house.outbox.page("skipped", 0, 9)) == ["opted out", "took part"]
    await house.confirmed("more", 0, audience="people", root="A", round="c.tuan-1", units=(), addresses=())
    await house.campaigner.step()
    assert (await house.campaigns.get("more")).left_out == {"no address": 1, "opted out": 1, "gap": 1}  # type: ignore[union-attr]


async def write_members(house: House, members: dict[str, Person], offset: int = 1) -> None:
    """Puts people where the owner of their partition would."""
    places: dict[tuple[int, int], list[tuple[str, bytes]]] = {}
    for id, person in members.items():
        packed = pack(person)
        places.setdefault((partition_of(id, PARTITIONS), packed[0]), []).append((id, packed))
    for (partition, bucket), people in places.items():
        assert await Members(house.runtime.store).write(partition, bucket, {"participants": offset, "scores": offset}, people)
    (stale,) = list(places)[:1]
    assert not await Members(house.runtime.store).write(*stale, {"participants": 0, "scores": 9}, [])


def notice(type: str, **changed: Any) -> Record:
    event = decode(f"vn.hoithi.{type}.v1", example(f"vn.hoithi.{type}.v1").body)
    changed = {"contest": CONTEST} | changed
    body = msgspec.json.encode(msgspec.structs.replace(event, **changed))
    return Record("notices", 0, 1, CONTEST, body, {"ce_type": f"vn.hoithi.{type}.v1"}, 0)


async def test_the_same_notice_twice_is_one_draft_and_one_mail(
    database: Database, tmp_path: Path, mails: tuple[MailBox, str]
) -> None:
    house = House(database, tmp_path, smtp_url=mails[1], **QUIET_OFF)
    await house.prepare()
    await house.contacts.put(CONTEST, "A1", [Address("A1", "Chị Hoa", "hoa@example.org")])
    await house.contacts.put(CONTEST, "A2", [Address("A2", "Chị Hoa", "hoa@example.org")])
    at = NOW - timedelta(hours=1)
    for unit in ("A1", "A2", "B"):
        for _ in range(2):
            assert await house.notices.handle([notice("turnout.lagging", unit=unit, as_of=at, round=None, category=None)]) == [
                DONE
            ]
    assert await house.notices.handle([notice("turnout.silenced", unit="B", as_of=at)]) == [DONE]
    (draft,) = await house.campaigns.of_contest(CONTEST)
    assert draft.id == notice_campaign(CONTEST, at)
    full = await house.campaigns.get(draft.id)
    assert full
    assert (full.units, full.state) == (("A1", "A2", "B"), "draft")
    preview = await house.reminding.preview(full)
    assert [one.units for one in preview.plan.recipients] == [("A1", "A2")]
    assert preview.plan.silent == ["B"]
    await house.campaigner.step()
    assert await house.states() == {}, "nothing goes out before a person confirms"
    assert await house.campaigns.put(msgspec.structs.replace(full, state="confirmed"))
    for _ in range(2):
        house.restart()
        await house.campaigner.step()
        await house.send()
        await house.notices.handle([notice("turnout.lagging", unit="A1", as_of=at, round=None, category=None)])
    (mail,) = mails[0].mails
    text = mail.get_content()
    assert "Kính gửi Phường A1" in text
    assert "đơn vị có 31 người dự thi trên tổng số 84 người (36,9 %)." in text
    assert "- Phường A2: có 31 người dự thi trên tổng số 84 người (36,9 %)" in text
    assert "https://thi.example.org/thoi-nhac/" in text
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    told = [event for event in house.told.events if isinstance(event, MessageDelivered)]
    assert sorted(str(event.unit) for event in told) == ["A1", "A2"]
    assert len({event.id for event in told}) == 2


async def test_a_digest_goes_to_each_reader_once(database: Database, tmp_path: Path, mails: tuple[MailBox, str]) -> None:
    one, two = (House(database, tmp_path, smtp_url=mails[1]) for _ in range(2))
    await one.prepare()
    readers = [Reader("a@example.org", "Ban Tuyên giáo", "day"), Reader("b@example.org", "Quận ủy", "day")]
    await one.contacts.put_readers(CONTEST, [*readers, Reader("c@example.org", "Thành ủy", "week")])
    for _ in range(2):
        await asyncio.gather(*(house.notices.handle([notice("digest.ready")]) for house in (one, two)))
    await asyncio.gather(one.send(), two.send())
    assert [len(mails[0].of(f"{name}@example.org")) for name in "abc"] == [1, 1, 0]
    text = mails[0].mails[0].get_content()
    assert "Số người dự thi: 41.208 (thêm 5.120)" in text
    assert "Quận Hồng Bàng" in text
    assert {event.purpose for event in one.told.events + two.told.events} == {"digest"}  # type: ignore[attr-defined]


async def test_killed_in_the_middle_and_started_again(store_url: str, tmp_path: Path, gate: HttpGate) -> None:
    """kill -9 of a real worker, twice, while messages are on their way."""
    name, people = f"test_{uuid.uuid4().hex[:12]}", 60
    client = connect(store_url, "motor")
    house = House(client[name], tmp_path, clock=SystemClock(), sms_url=gate.url, **QUIET_OFF)
    await house.prepare()
    await house.confirmed("one", people, made_at=datetime.now(UTC))
    gate.pause = 0.02
    command = [sys.executable, "-m", "tests.integration.reminder_worker", store_url, name, str(tmp_path), gate.url]
    for enough in (12, 36):
        worker = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=subprocess.DEVNULL)
        try:
            async with asyncio.timeout(60):
                while len(gate.taken) < enough:
                    assert worker.returncode is None
                    await asyncio.sleep(0.01)
        finally:
            os.kill(worker.pid, signal.SIGKILL)
            await worker.wait()
    soon = ManualClock(datetime.now(UTC) + timedelta(minutes=10))
    later = House(client[name], tmp_path, clock=soon, sms_url=gate.url, **QUIET_OFF)
    await drain(later)
    states = await later.states("one")
    assert sum(states.values()) == people
    assert set(gate.taken.values()) == {1}
    assert states["uncertain"] <= 2 * Sms.at_once
    assert states["sent"] + states["uncertain"] == people
    lost = await later.outbox.page("uncertain", 0, people)
    assert {m["reason"] for m in lost} <= {"interrupted"}
    assert all(m["_id"] == reminder_id("one", m["keys"][0]) for m in lost)
    await settled(client.close())
