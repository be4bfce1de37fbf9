"""What each event means for a partition's state, one function an event."""

from __future__ import annotations

from services.events import AttemptScored, AttemptStarted, AttemptSubmitted
from services.kit.clock import us_of
from services.reporting import domain
from services.reporting.domain import Id, Judgement, State

TOPICS = ("attempts", "scores")
"""What a partition's state is made of."""

Counted = AttemptStarted | AttemptSubmitted | AttemptScored
"""The events that reporting counts."""


def apply(state: State, event: Counted, contest: str) -> None:
    """Takes one fact in. `contest` is that of the event's round."""
    id = Id(contest, event.round, event.participant, event.n)
    if isinstance(event, AttemptStarted):
        domain.started(state, id)
    elif isinstance(event, AttemptSubmitted):
        domain.submitted(state, id, us_of(event.time))
    else:
        domain.scored(state, id, _judgement(event))


def _judgement(event: AttemptScored) -> Judgement:
    at = us_of(event.time)
    return Judgement(event.unit, event.categories, at, event.verdict, event.revision, event.correct, event.total)
