"""Which hosts may still hold submissions of a round. Pure: what the topic `journals` says, the newest word of each host."""

from __future__ import annotations

from datetime import timedelta

from services.events import JournalDrained, RoundPlan
from services.events.base import UnknownEvent, decode
from services.scoring.domain import GRACE


class Journals:
    """Every host that has ever spoken. On one machine none has, and nothing is waited for."""

    def __init__(self) -> None:
        self._hosts: dict[str, JournalDrained] = {}

    def read(self, type: str, body: bytes) -> None:
        """Takes in a record of the topic. A type that only a newer version knows passes. Raises msgspec.DecodeError."""
        try:
            event = decode(type, body)
        except UnknownEvent:
            return
        known = self._hosts.get(event.key)
        if isinstance(event, JournalDrained) and (known is None or event.time >= known.time):
            self._hosts[event.host] = event

    def waiting(self, plan: RoundPlan) -> list[JournalDrained]:
        """The last word of each host of which it is not known that all of this round has left it, by machine."""
        end = plan.closes + timedelta(microseconds=GRACE)
        held = [each for each in self._hosts.values() if not each.left and (each.until is None or each.until < end)]
        return sorted(held, key=lambda each: (each.machine, each.host))
