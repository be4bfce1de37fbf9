"""Standings, once a round is ranked: for everyone, names masked."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from services.events.base import PREFIX, Event


class StandingRow(msgspec.Struct, frozen=True, kw_only=True):
    """One person's place in a round, by the attempt of theirs that counts. `name` is masked."""

    rank: int
    participant: str
    attempt: str
    name: str
    unit: str
    correct: int
    elapsed_ms: int
    gap: int | None = None


class RoundRanked(Event, frozen=True, kw_only=True):
    """A round has its standings: how many, and the checksum (SHA-256, hex) over all rows in order."""

    type: ClassVar[str] = PREFIX + "round.ranked.v1"
    topic: ClassVar[str] = "results"

    round: str
    contest: str
    people: int
    attempts: int
    valid: int
    perfect: int
    pages: int
    checksum: str
    revision: int = 0

    @property
    def key(self) -> str:
        return self.round

    @property
    def id(self) -> str:
        return f"{self.round}/{self.revision}"


class RoundFinalised(RoundRanked, frozen=True, kw_only=True):
    """The standings of a round are final: complaints are settled, every journal had drained, or an audited `override` said so."""

    type: ClassVar[str] = PREFIX + "round.finalised.v1"

    override: bool = False


class ResultsPublished(Event, frozen=True, kw_only=True):
    """One page of standings, 500 rows at most; `page` counts from 0."""

    type: ClassVar[str] = PREFIX + "results.published.v1"
    topic: ClassVar[str] = "results"

    round: str
    page: int
    rows: tuple[StandingRow, ...]
    revision: int = 0

    @property
    def key(self) -> str:
        return self.round

    @property
    def id(self) -> str:
        return f"{self.round}/{self.revision}/{self.page}"
