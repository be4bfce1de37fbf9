"""How many people the units have, as organisers approved it. Pure: what the topic `headcounts` says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from services.events import HeadcountApproved, Unit
from services.events.base import UnknownEvent, decode
from services.events.units import folded

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

    def people(self, contest: str, units: Mapping[str, Unit], unit: str, day: date) -> int | None:
        """Everybody of a unit, all below it included, on a day: by the newest entry of that day or before; None where there is
        none (chưa có số liệu). An entry from before another unit was merged into this one lacks its people: they are added, if
        they are known (decision 13)."""
        days = self._entries.get((contest, unit), {})
        known = [each for each in days.values() if each.people is not None and date.fromisoformat(each.as_of) <= day]
        if not known:
            return None
        own = max(known, key=lambda each: date.fromisoformat(each.as_of))
        joined = [
            each.code
            for each in units.values()
            if each.merged_into == unit and folded(each, day) and own.as_of < (each.ended or "")
        ]
        parts = [own.people, *(self.people(contest, units, code, day) for code in joined)]
        return None if None in parts else sum(part or 0 for part in parts)
