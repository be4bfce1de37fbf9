"""`hoithi trace`: one attempt's life across all services, in order of time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from deploy.local.wiring import House
from services.notify import audit as notify
from services.quiz import audit as quiz
from services.reporting import audit as reporting
from services.scoring import audit as scoring


@dataclass(frozen=True)
class Step:
    """Something that a service knows of the attempt; `at` is None where it does not know since when."""

    at: datetime | None
    service: str
    what: str
    details: Mapping[str, Any]


async def trace(house: House, attempt: str) -> list[Step]:
    """Asks every service that knows attempts; each tells what it knows, without personal data."""
    told = {
        "quiz": await quiz.trace(house.runtime("quiz"), attempt),
        "scoring": await scoring.trace(house.runtime("scoring"), attempt),
        "reporting": await reporting.trace(house.runtime("reporting"), attempt),
        "notify": await notify.trace(house.runtime("notify"), attempt),
    }
    steps = [Step(step.pop("at"), service, step.pop("what"), step) for service, found in told.items() for step in found]
    return sorted(steps, key=lambda step: step.at or datetime.max.replace(tzinfo=UTC))
