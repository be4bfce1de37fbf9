"""Standings, once a round is ranked: for everyone, names masked."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from services.events.base import PREFIX, Event, Moment


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
    """A round has its standings: how many, and the checksum (SHA-256, hex) over all rows in order. Of a round with a prediction
    it is told with the final result."""

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


class PersonAwarded(msgspec.Struct, frozen=True, kw_only=True):
    """One person's prize. `name` is as everyone may see it; `predicted` is what the person predicted, `gap` how far off that was;
    `drawn`: a draw among equals decided."""

    prize: str
    participant: str
    name: str
    unit: str
    correct: int
    gap: int | None = None
    received_at: Moment | None = None
    drawn: bool = False
    predicted: int | None = None


class UnitAwarded(msgspec.Struct, frozen=True, kw_only=True):
    """One unit's prize. `by` is what it was measured by; `figure` is a number of people, or a rate in percent."""

    prize: str
    unit: str
    by: Literal["people", "rate"]
    figure: float


class PrizesAwarded(Event, frozen=True, kw_only=True):
    """Who won what in a published round; in the contest over all its rounds where `round` is None."""

    type: ClassVar[str] = PREFIX + "prizes.awarded.v1"
    topic: ClassVar[str] = "results"

    contest: str
    round: str | None
    persons: tuple[PersonAwarded, ...]
    units: tuple[UnitAwarded, ...]
    revision: int = 0

    @property
    def key(self) -> str:
        return self.round or self.contest

    @property
    def id(self) -> str:
        return f"{self.key}/awards/{self.revision}"


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
