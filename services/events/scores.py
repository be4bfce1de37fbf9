"""Verdicts and scores, one by one: inside the house only while a round runs."""

from __future__ import annotations

from typing import ClassVar, Literal

from services.events.base import PREFIX, Event, Moment

Verdict = Literal["valid", "late", "disqualified"]


class AttemptScored(Event, frozen=True, kw_only=True):
    """The verdict on an attempt. The highest `revision` stands.

    `time` is the received_at of the submission that was judged, so that the same facts give the same event.
    `elapsed_ms` is received_at minus started_at. `correct` counts right answers of `total`.
    """

    type: ClassVar[str] = PREFIX + "attempt.scored.v1"
    topic: ClassVar[str] = "scores"

    attempt: str
    participant: str
    round: str
    n: int
    unit: str
    categories: tuple[str, ...]
    started_at: Moment
    verdict: Verdict
    correct: int
    total: int
    elapsed_ms: int
    digest: str
    key_version: int
    revision: int = 0

    @property
    def key(self) -> str:
        return self.participant

    @property
    def id(self) -> str:
        return f"{self.attempt}/{self.revision}"
