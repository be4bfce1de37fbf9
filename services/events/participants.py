"""The people themselves: the one topic that holds personal data."""

from __future__ import annotations

from typing import ClassVar

from services.events.base import PREFIX, Event


class ParticipantEvent(Event, frozen=True, kw_only=True):
    """What these events have in common: whom they are about."""

    topic: ClassVar[str] = "participants"

    participant: str
    contest: str
    revision: int = 0

    @property
    def key(self) -> str:
        return self.participant

    @property
    def id(self) -> str:
        return f"{self.participant}/{self.revision}"


class ParticipantRegistered(ParticipantEvent, frozen=True, kw_only=True):
    """A person in full. `phone` is E.164. `language` is the one they registered in. `roster_code` is the code that
    their unit's roster gives them (a pupil's number, say), as they typed it."""

    type: ClassVar[str] = PREFIX + "participant.registered.v1"

    name: str
    phone: str
    unit: str
    categories: tuple[str, ...]
    consent: str
    email: str | None = None
    language: str = "vi"
    roster_code: str | None = None


class ParticipantMoved(ParticipantRegistered, frozen=True, kw_only=True):
    """A person in full who belongs to another unit from now on; their attempts stay where they were made."""

    type: ClassVar[str] = PREFIX + "participant.moved.v1"

    moved_from: str


class ParticipantErased(ParticipantEvent, frozen=True, kw_only=True):
    """Overwrites the person's record: who they were is gone, their attempts stay as figures."""

    type: ClassVar[str] = PREFIX + "participant.erased.v1"
