"""`hoithi trace`: one attempt's life across all services, in order of time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import Any

from deploy.local.wiring import SERVICES, House


@dataclass(frozen=True)
class Step:
    """Something that a service knows of the attempt."""

    at: datetime
    service: str
    what: str
    details: Mapping[str, Any]


async def trace(house: House, attempt: str) -> list[Step]:
    """Asks every service; each tells what it knows, without personal data."""
    steps = []
    for service in SERVICES:
        told = await import_module(f"services.{service}.audit").trace(house.runtime(service), attempt)
        steps += [Step(step.pop("at"), service, step.pop("what"), step) for step in told]
    return sorted(steps, key=lambda step: step.at)
