"""How many people the units have, as organisers approved it. Pure: what the topic `headcounts` says."""

from __future__ import annotations

from datetime import date

from services.events import HeadcountApproved
from services.events.base import UnknownEvent, decode

EVERYBODY = ""
"""The category that is all of them."""


class Headcounts:
    """The highest revision of each entry."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], dict[str, HeadcountApproved]] = {}

    def read(self, type: str, body: bytes) -> None:
        """Takes in a record of the topic. A type that only a newer version knows passes. Raises msgspec.DecodeError."""
        try:
            event = decode(type, body)
        except UnknownEvent:
            return
        if isinstance(event, HeadcountApproved) and event.category == EVERYBODY:
            days = self._entries.setdefault((event.contest, event.unit), {})
            known = days.get(event.as_of)
            if known is None or event.revision >= known.revision:
                days[event.as_of] = event

    def people(self, contest: str, unit: str, day: date) -> int | None:
        """Everybody of a unit, all below it included, on a day: by the newest entry of that day or before; None where there is
        none (chưa có số liệu)."""
        days = self._entries.get((contest, unit), {})
        known = [each for each in days.values() if each.people is not None and date.fromisoformat(each.as_of) <= day]
        return max(known, key=lambda each: date.fromisoformat(each.as_of)).people if known else None
