"""An attempt (lượt thi) from outside: who, where and when, never what was answered."""

from __future__ import annotations

from typing import ClassVar

from services.events.base import PREFIX, Event, Moment, rfc3339


class AttemptEvent(Event, frozen=True, kw_only=True):
    """What these events have in common. `n` counts a person's attempts in a round from 1."""

    topic: ClassVar[str] = "attempts"

    attempt: str
    participant: str
    round: str
    n: int
    unit: str
    categories: tuple[str, ...]

    @property
    def key(self) -> str:
        return self.participant


class AttemptStarted(AttemptEvent, frozen=True, kw_only=True):
    """A paper was handed out; `time` is the start. `deadline` may move when the round is extended."""

    type: ClassVar[str] = PREFIX + "attempt.started.v1"

    deadline: Moment

    @property
    def id(self) -> str:
        return f"{self.attempt}/started"


class AttemptSubmitted(AttemptEvent, frozen=True, kw_only=True):
    """A submission was received and receipted; `time` is when. Appended in one commit with its submission.received.

    It holds no digest: with the time known, a digest could be tried against guessed answers.
    """

    type: ClassVar[str] = PREFIX + "attempt.submitted.v1"

    started_at: Moment

    @property
    def id(self) -> str:
        return f"{self.attempt}/{rfc3339(self.time)}"
