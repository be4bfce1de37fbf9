"""Reminders that arrived and what has happened to rounds: noted once, whatever comes twice, late or in another order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal, cast
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from services.events import Event, MessageDelivered, RoundClosed, RoundExtended, RoundOpened, RoundPlan, encode
from services.kit.bus import Bus, Record
from services.kit.cloudevents import cloudevent
from services.reporting.chronicle import Chronicle
from services.reporting.reminders import Reminded, Reminders, RemindersWorker
from tests.contract.memory_store import memory_store

NOW = datetime(2023, 5, 20, 16, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Ho_Chi_Minh")


def arrived(message: str, hours: int = 0, unit: str | None = "A", purpose: Literal["reminder", "digest"] = "reminder") -> Event:
    time = NOW + timedelta(hours=hours)
    return MessageDelivered(time=time, message=message, contest="hp", channel="sms", purpose=purpose, unit=unit)


def plan(revision: int, state: Literal["open", "closed", "final"], days: int = 7) -> RoundPlan:
    return RoundPlan(
        id="hp.tuan-1", contest="hp", name="Tuần 1", opens=NOW, closes=NOW + timedelta(days=days), questions=20, minutes=15,
        attempts=3, counting="best", ranking=(), prediction=None, show_score="at_once", show_key="after_close", state=state,
        revision=revision,
    )  # fmt: skip


def records(*events: Event) -> list[Record]:
    at = int((NOW + timedelta(days=20)).timestamp() * 1000)
    return [Record(e.topic, 0, n, e.key, encode(e), cloudevent(e.type, e.id, "/test", e.time), at) for n, e in enumerate(events)]


class House:
    def __init__(self) -> None:
        self.store: Any = memory_store()
        self.worker = RemindersWorker(cast("Bus", None), Reminders(self.store))

    async def reminded(self) -> dict[str, Reminded]:
        return await Reminders(self.store).of("hp", ["A", "B"], ZONE)


async def test_a_day_counts_once_and_every_message_once() -> None:
    house = House()
    # 23:00 and 01:00 in Hải Phòng: two days there, one in UTC.
    await house.worker.handle(records(arrived("1"), arrived("2"), arrived("3", hours=2)))
    await house.worker.handle(records(arrived("3", hours=5), arrived("4", purpose="digest"), arrived("5", unit=None)))
    assert await house.reminded() == {"A": Reminded(2, 3, NOW + timedelta(hours=2))}


@given(st.permutations([arrived(str(n), n * 7, unit) for n in range(4) for unit in ("A", "B")]), st.integers(1, 8))
async def test_order_and_repeats_change_nothing(events: list[Event], cut: int) -> None:
    house, other = House(), House()
    await house.worker.handle(records(*events))
    for batch in (events[:cut], events[cut // 2 :], events[:cut]):
        await other.worker.handle(records(*batch))
    assert await house.reminded() == await other.reminded()


async def test_the_chronicle_holds_what_the_topic_forgets() -> None:
    store: Any = memory_store()
    turns = (
        RoundOpened(time=NOW, round=plan(1, "open")),
        RoundExtended(time=NOW + timedelta(days=1), round=plan(2, "open", days=9)),
        RoundClosed(time=NOW + timedelta(days=9), round=plan(3, "closed", days=9)),
        RoundClosed(time=NOW + timedelta(days=9), round=plan(4, "final", days=9)),
    )
    for _ in range(2):  # as a worker that starts again
        chronicle = Chronicle(store)
        for record in records(*turns):
            chronicle.hear(record)
        await chronicle.write()
    found = await chronicle.of("hp")
    assert [(each.what, each.at) for each in found] == [
        ("published", NOW + timedelta(days=20)),
        ("closed", NOW + timedelta(days=9)),
        ("extended", NOW + timedelta(days=1)),
        ("opened", NOW),
    ]
    assert await chronicle.of("other") == []
