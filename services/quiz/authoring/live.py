"""What organisers say while a contest runs: banners, announcements, extra time; in every web process, a second old at most.

A task reads it from the store, so that no request waits for it; while the store is away, what was last read holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from services.events import ContestBook
from services.kit.bus import Transient
from services.kit.clock import Clock
from services.quiz.authoring.store import Notes
from services.quiz.units import UnitDays

log = structlog.get_logger(__name__)

SHOWN = 10
"""Announcements of a contest that its page shows."""

MOST_MINUTES = 240


@dataclass(frozen=True)
class Banner:
    """A line above every participant's page of a contest. `level` is `info` or `warning`."""

    text: str
    level: str
    until: datetime


@dataclass(frozen=True)
class Announcement:
    """What was done to a round, and why."""

    round: str
    change: str
    reason: str
    at: datetime
    closes: datetime


class Live:
    """Banners and announcements by contest, extra minutes by round."""

    def __init__(self, notes: Notes, book: ContestBook, clock: Clock) -> None:
        self._notes, self._book, self._units, self._clock = notes, book, UnitDays(book, clock), clock
        self._banners: dict[str, Banner] = {}
        self._announced: dict[str, list[Announcement]] = {}
        self._grants: dict[str, dict[tuple[str, str], int]] = {}

    async def read(self) -> None:
        """Reads all of it anew. Raises StoreDown."""
        banners, grants, changes = await self._notes.read()
        self._banners = {str(b["_id"]): Banner(b["text"], b["level"], b["until"]) for b in banners if b["text"]}
        by_round: dict[str, dict[tuple[str, str], int]] = {}
        for grant in grants:
            by_round.setdefault(grant["round"], {})[grant["kind"], grant["target"]] = grant["minutes"]
        self._grants = by_round
        announced: dict[str, list[Announcement]] = {}
        for change in sorted(changes, key=lambda c: c["at"], reverse=True):
            announced.setdefault(change["contest"], []).append(_announcement(change))
        self._announced = announced

    async def run(self, stop: Callable[[], bool]) -> None:
        """Reads again and again until `stop()`."""
        while not stop():
            try:
                await self.read()
            except Transient as error:
                log.warning("live.store_down", error=str(error))
            await asyncio.sleep(1)

    def banner(self, contest: str) -> Banner | None:
        """The banner that is up now."""
        banner = self._banners.get(contest)
        return banner if banner is not None and self._clock.now() < banner.until else None

    def announcements(self, contest: str) -> Sequence[Announcement]:
        """The last that was announced of a contest's rounds, the newest first."""
        return self._announced.get(contest, [])[:SHOWN]

    def grants(self, round: str) -> Mapping[tuple[str, str], int]:
        """Extra minutes of a round by (kind, target)."""
        return self._grants.get(round, {})

    def minutes(self, round: str, participant: str, unit: str, categories: Sequence[str]) -> int:
        """The extra minutes of a person in a round: the most of what the person, their unit or one above it, or one of their
        categories was given."""
        grants = self._grants.get(round)
        if not grants:
            return 0
        targets = [("participant", participant), *(("category", category) for category in categories)]
        targets += [("unit", code) for code in self._upwards(round, unit)]
        return max((grants[target] for target in targets if target in grants), default=0)

    def _upwards(self, round: str, code: str) -> Sequence[str]:
        plan = self._book.round(round)
        return self._units.of(plan.contest).upwards(code) if plan and plan.contest in self._book.contests else [code]


def _announcement(change: Mapping[str, Any]) -> Announcement:
    return Announcement(change["round"], change["change"], change["reason"], change["at"], change["closes"])
