"""What was handed in, with its answers: read by scoring alone."""

from __future__ import annotations

from typing import ClassVar

from services.events.base import PREFIX, Event, Moment


class SubmissionReceived(Event, frozen=True, kw_only=True):
    """One submission as its host received it; `time` is the server's clock at that moment (received_at).

    `answers` is one character a question in the order shown (`A`…, `-` for blank, a group `(AC)`). `digest` is the hex
    digest that the receipt holds; of several submissions of an attempt the smallest (time, digest) counts. `device` is a number
    that the browser drew for itself, "" where it keeps none.
    `extra_minutes` are those that the person had been given beyond the round's, as the host knew at that moment.
    """

    type: ClassVar[str] = PREFIX + "submission.received.v1"
    topic: ClassVar[str] = "submissions"

    attempt: str
    participant: str
    round: str
    n: int
    paper: str
    unit: str
    categories: tuple[str, ...]
    started_at: Moment
    answers: str
    prediction: int | None
    digest: str
    device: str = ""
    extra_minutes: int = 0

    @property
    def key(self) -> str:
        return self.participant

    @property
    def id(self) -> str:
        return f"{self.attempt}/{self.digest}"
