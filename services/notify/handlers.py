"""From events to messages: who can be written to, and what there is to say. The end is the same in whatever order events come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from services.events import AttemptScored, ContestBook, Event, ParticipantErased, ParticipantRegistered
from services.kit.bus import NotReady
from services.kit.names import fold
from services.notify.domain import Contact, message_id
from services.notify.people import Mark, Person, judged, pack, unpack

Known = ParticipantRegistered | ParticipantErased | AttemptScored

ERASED = b""
"""What is left of a person who was erased."""


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
    """All of one partition: `people` packed, ERASED where they are; `early` holds the verdicts of those not known yet."""

    people: dict[str, bytes] = {}
    early: dict[str, list[Scored]] = {}

    def person(self, participant: str) -> Person | None:
        """Who is registered under this id and was not erased."""
        packed = self.people.get(participant)
        return unpack(packed) if packed else None

    def contact(self, participant: str) -> Contact | None:
        """Where to write to, if anywhere."""
        person = self.person(participant)
        return Contact(person.email, person.language) if person and person.email else None

    def take(self, event: Known) -> set[int]:
        """Takes an event in; returns the buckets that it has changed."""
        before = self.people.get(event.participant)
        if before == ERASED:
            return set()  # who has been erased stays so, whichever event comes last
        after = self._after(event, before)
        if after is None or after == before:
            return set()
        self.people[event.participant] = after
        return {packed[0] for packed in (before, after) if packed}

    def _after(self, event: Known, before: bytes | None) -> bytes | None:
        """The person as the event leaves them, packed; None where they are not known yet."""
        if isinstance(event, ParticipantErased):
            self.early.pop(event.participant, None)
            return ERASED
        if isinstance(event, ParticipantRegistered):
            known = unpack(before) if before else None
            if known and known.revision >= event.revision:
                return before
            person = person_of(event, known.marks if known else ())
            for scored in self.early.pop(event.participant, []):
                person.judge(_mark(scored))
            return pack(person)
        if before is None:
            waiting = self.early.setdefault(event.participant, [])
            if scored_of(event) not in waiting:
                waiting.append(scored_of(event))
            return None
        return judged(before, Mark(event.round, event.n, event.revision, event.verdict == "valid"))


def person_of(event: ParticipantRegistered, marks: tuple[Mark, ...] = ()) -> Person:
    """As much of a person as notify keeps."""
    return Person(
        event.contest, event.unit, event.language, event.email or "", event.phone, fold(event.name),
        fold(event.roster_code or ""), event.categories, event.revision, marks,
    )  # fmt: skip


def _mark(scored: Scored) -> Mark:
    return Mark(scored.round, scored.n, scored.revision, scored.verdict == "valid")


def scored_of(event: AttemptScored) -> Scored:
    """As much of a verdict as a message needs."""
    return Scored(event.attempt, event.round, event.n, event.revision, event.verdict, event.correct, event.total, event.time)


def messages(state: State, events: Sequence[Known], book: ContestBook) -> Iterator[dict[str, Any]]:
    """The messages that these events of one partition give rise to, as facts. Raises NotReady where a round is not known yet."""
    met = {event.participant: event for event in events if isinstance(event, ParticipantRegistered)}
    for event in events:
        if state.people.get(event.participant) == ERASED:
            continue
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
        "purpose": "result",
        "channel": "email",
        "attempt": scored.attempt,
        "participant": participant,
        "to": contact.email,
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
