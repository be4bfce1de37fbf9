"""What quiz can prove: which attempts it has receipted, and which submissions it has told of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from services.events import AttemptStarted, AttemptSubmitted, Event, SubmissionReceived, decode
from services.events.base import UnknownEvent
from services.kit.bus import Record
from services.kit.clock import time_of
from services.kit.cloudevents import type_of
from services.kit.notary import Notary
from services.kit.runtime import Runtime
from services.quiz.domain import parse_attempt_id
from services.quiz.journal import journal_of


async def receipted(runtime: Runtime) -> Mapping[str, str]:
    """Every attempt that this host has receipted, and the digest of what it receipted first."""
    journal = journal_of(runtime, Notary(runtime.secrets.get("receipt.key")))
    return {attempt: digest for attempt, _, digest in journal.receipts()}


async def submitted(runtime: Runtime) -> set[str]:
    """Every attempt of which the topic `attempts` says that it was submitted."""
    events = map(_event, await runtime.bus.read("attempts"))
    return {event.attempt for event in events if isinstance(event, AttemptSubmitted)}


async def trace(runtime: Runtime, attempt: str) -> list[dict[str, Any]]:
    """The life of one attempt as quiz knows it, in order of time: `at`, `what`, and details without personal data."""
    participant = parse_attempt_id(attempt)[0]
    steps: list[dict[str, Any]] = []
    for topic in ("attempts", "submissions"):
        for record in await runtime.bus.read(topic):
            if record.key == participant:
                event = _event(record)
                where = f"{topic}/{record.partition}@{record.offset}"
                if isinstance(event, AttemptStarted) and event.attempt == attempt:
                    steps.append({"at": event.time, "what": "attempt.started", "where": where, "deadline": event.deadline})
                elif isinstance(event, AttemptSubmitted) and event.attempt == attempt:
                    steps.append({"at": event.time, "what": "attempt.submitted", "where": where})
                elif isinstance(event, SubmissionReceived) and event.attempt == attempt:
                    steps.append({"at": event.time, "what": "submission.received", "where": where, "digest": event.digest})
    journal = journal_of(runtime, Notary(runtime.secrets.get("receipt.key")))
    for receipted, received_us, digest in journal.receipts():
        if receipted == attempt:
            steps.append({"at": time_of(received_us), "what": "receipt issued", "where": "journal", "digest": digest})
    return sorted(steps, key=lambda step: step["at"])


def _event(record: Record) -> Event | None:
    """What a record says; None for poison, of which the dead letters tell, and for what only a newer version knows."""
    try:
        return decode(type_of(record.headers), record.value)
    except (UnknownEvent, msgspec.DecodeError):
        return None
