"""The facts on the wire: one frozen class per event, one file per subject, one row per topic.

Every service imports its events from here, and no event is defined anywhere else.
"""

from services.events.attempts import AttemptStarted, AttemptSubmitted
from services.events.base import Event, decode, encode, registry
from services.events.book import ContestBook, state_at
from services.events.contests import (
    Category,
    ContestPublished,
    Document,
    RoundClosed,
    RoundExtended,
    RoundOpened,
    RoundPaused,
    RoundPlan,
    Unit,
)
from services.events.deliveries import MessageDelivered, MessageFailed
from services.events.journals import JournalDrained
from services.events.keys import RoundKeyed
from services.events.notices import ReportReady, TurnoutLagging
from services.events.participants import ParticipantErased, ParticipantMoved, ParticipantRegistered
from services.events.results import ResultsPublished, RoundFinalised, RoundRanked, StandingRow
from services.events.rulings import AttemptRuled
from services.events.scores import AttemptScored
from services.events.submissions import SubmissionReceived
from services.events.topics import TOPICS, Topic

__all__ = [
    "TOPICS",
    "AttemptRuled",
    "AttemptScored",
    "AttemptStarted",
    "AttemptSubmitted",
    "Category",
    "ContestBook",
    "ContestPublished",
    "Document",
    "Event",
    "JournalDrained",
    "MessageDelivered",
    "MessageFailed",
    "ParticipantErased",
    "ParticipantMoved",
    "ParticipantRegistered",
    "ReportReady",
    "ResultsPublished",
    "RoundClosed",
    "RoundExtended",
    "RoundFinalised",
    "RoundKeyed",
    "RoundOpened",
    "RoundPaused",
    "RoundPlan",
    "RoundRanked",
    "StandingRow",
    "SubmissionReceived",
    "Topic",
    "TurnoutLagging",
    "Unit",
    "decode",
    "encode",
    "registry",
    "state_at",
]
