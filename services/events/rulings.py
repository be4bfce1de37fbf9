"""What organisers decide of single attempts after a round has closed: read by scoring alone."""

from __future__ import annotations

from typing import ClassVar

from services.events.base import PREFIX, Event


class AttemptRuled(Event, frozen=True, kw_only=True):
    """A person disqualified an attempt, or took that back. The highest `revision` (from 1) of an attempt stands.

    `reason` is what the participant and the minutes are told; `by` is the opaque id of an organiser's account.
    """

    type: ClassVar[str] = PREFIX + "attempt.ruled.v1"
    topic: ClassVar[str] = "rulings"

    attempt: str
    participant: str
    round: str
    n: int
    disqualified: bool
    reason: str
    by: str
    revision: int

    @property
    def key(self) -> str:
        return self.participant

    @property
    def id(self) -> str:
        return f"{self.attempt}/{self.revision}"
