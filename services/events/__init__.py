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
    Placement,
    RoundClosed,
    RoundExtended,
    RoundOpened,
    RoundPaused,
    RoundPlan,
    Tree,
    Unit,
)
from services.events.deliveries import MessageDelivered, MessageFailed
from services.events.headcounts import HeadcountApproved
from services.events.journals import JournalDrained
from services.events.keys import RoundKeyed
from services.events.notices import DigestReady, DigestUnit, ReportReady, TurnoutLagging, TurnoutSilenced
from services.events.participants import ParticipantErased, ParticipantMoved, ParticipantRegistered
from services.events.results import (
    PersonAwarded,
    PrizesAwarded,
    ResultsPublished,
    RoundFinalised,
    RoundRanked,
    StandingRow,
    UnitAwarded,
)
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
    "DigestReady",
    "DigestUnit",
    "Document",
    "Event",
    "HeadcountApproved",
    "JournalDrained",
    "MessageDelivered",
    "MessageFailed",
    "ParticipantErased",
    "ParticipantMoved",
    "ParticipantRegistered",
    "PersonAwarded",
    "Placement",
    "PrizesAwarded",
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
    "Tree",
    "TurnoutLagging",
    "TurnoutSilenced",
    "Unit",
    "UnitAwarded",
    "decode",
    "encode",
    "registry",
    "state_at",
]
