"""From events to messages: who can be written to, and what there is to say. The end is the same in whatever order events come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from services.events import AttemptScored, ContestBook, Event, ParticipantErased, ParticipantRegistered
from services.kit.bus import NotReady
from services.notify.domain import Contact, message_id

Known = ParticipantRegistered | ParticipantErased | AttemptScored


class Scored(msgspec.Struct, array_like=True):
    """A verdict that waits for its person's registration."""

    attempt: str
    round: str
    n: int
    revision: int
    verdict: str
    correct: int
    total: int
    received_at: datetime


class State(msgspec.Struct):
    """All of one partition. `people` holds language and address of everyone known, empty for those who gave none; `early` holds
    the verdicts of those not known yet."""

    people: dict[str, str] = {}
    early: dict[str, list[Scored]] = {}

    def contact(self, participant: str) -> Contact | None:
        """Where to write to, if anywhere."""
        language, _, email = self.people.get(participant, "").partition("|")
        return Contact(email, language) if email else None

    def take(self, event: Known) -> None:
        """Takes an event in."""
        if isinstance(event, ParticipantErased):
            self.people[event.participant] = ""
            self.early.pop(event.participant, None)
        elif isinstance(event, ParticipantRegistered):
            # Who has been erased stays so, whichever event comes last.
            self.people.setdefault(event.participant, f"{event.language}|{event.email}" if event.email else "")
            self.early.pop(event.participant, None)
        elif event.participant not in self.people:
            waiting = self.early.setdefault(event.participant, [])
            if scored_of(event) not in waiting:
                waiting.append(scored_of(event))


def scored_of(event: AttemptScored) -> Scored:
    """As much of a verdict as a message needs."""
    return Scored(event.attempt, event.round, event.n, event.revision, event.verdict, event.correct, event.total, event.time)


def messages(state: State, events: Sequence[Known], book: ContestBook) -> Iterator[dict[str, Any]]:
    """The messages that these events of one partition give rise to, as facts. Raises NotReady where a round is not known yet."""
    met = {event.participant: event for event in events if isinstance(event, ParticipantRegistered)}
    for event in events:
        if isinstance(event, AttemptScored):
            contact = state.contact(event.participant) or _contact(met.get(event.participant))
            if contact:
                yield _message(event.participant, contact, scored_of(event), book)
        elif isinstance(event, ParticipantRegistered) and (contact := _contact(event)):
            for scored in state.early.get(event.participant, []):
                yield _message(event.participant, contact, scored, book)


def _contact(event: ParticipantRegistered | None) -> Contact | None:
    return Contact(event.email, event.language) if event and event.email else None


def _message(participant: str, contact: Contact, scored: Scored, book: ContestBook) -> dict[str, Any]:
    plan = book.round(scored.round)
    if plan is None:
        raise NotReady(f"the round {scored.round} has not been published here yet")
    shown: Mapping[str, Any] = {"correct": scored.correct, "total": scored.total} if plan.show_score == "at_once" else {}
    return {
        "_id": message_id(scored.attempt, scored.revision),
        "attempt": scored.attempt,
        "participant": participant,
        "email": contact.email,
        "language": contact.language,
        "contest": plan.contest,
        "title": book.contests[plan.contest].title,
        "round": plan.name,
        "n": scored.n,
        "verdict": scored.verdict,
        "received_at": scored.received_at,
        "shown": dict(shown),
        "state": "waiting",
        "due": scored.received_at,
        "tries": 0,
    }


def relevant(event: Event) -> Known | None:
    """The event, if it concerns messages."""
    return event if isinstance(event, ParticipantRegistered | ParticipantErased | AttemptScored) else None
