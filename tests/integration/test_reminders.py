"""Reminders in a real store, through both drivers: the smallest time of a message stands, whoever writes first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from services.events import MessageDelivered
from services.reporting.reminders import Reminded, Reminders

if TYPE_CHECKING:
    from services.kit.store import Database

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def arrived(message: str, minutes: int, unit: str = "HP-306.a") -> MessageDelivered:
    time = NOW + timedelta(minutes=minutes)
    return MessageDelivered(time=time, message=message, contest="hp", channel="email", purpose="reminder", unit=unit)


async def test_reminders_are_counted_once(database: Database) -> None:
    reminders = Reminders(database)
    await reminders.take([arrived("b:HP.$1/1", 5), arrived("a", 3), arrived("c", 0, "HP-1")])
    await reminders.take([arrived("a", 9), arrived("b:HP.$1/1", 5)])
    found = await reminders.of("hp", ["HP-306.a", "HP-1", "HP-2"])
    assert found == {"HP-306.a": Reminded(1, 2, NOW + timedelta(minutes=5)), "HP-1": Reminded(1, 1, NOW)}
