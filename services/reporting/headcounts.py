"""Headcounts (tổng số thuộc diện) as the topic `headcounts` tells them: how many people a unit has on a day, if that is known."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from datetime import date

from services.events import ContestBook, Event, HeadcountApproved, decode
from services.events.base import UnknownEvent
from services.events.units import folded, parents_at
from services.kit.bus import Record
from services.kit.cloudevents import type_of
from services.reporting.turnout import Headcount, summed

Days = dict[str, HeadcountApproved]


class Headcounts:
    """The last word on each unit, category and day: the highest revision stands. `revision` grows with every change."""

    def __init__(self, book: ContestBook) -> None:
        self._book = book
        self._entries: dict[tuple[str, str], dict[str, Days]] = {}
        self._tables: dict[tuple[str, str, str, date], tuple[tuple[int, int], Mapping[str, Headcount]]] = {}
        self.revision = 0

    def read(self, record: Record) -> None:
        """Takes in a record of the topic. A type that only a newer version knows passes; raises msgspec.DecodeError."""
        try:
            self.apply(decode(type_of(record.headers), record.value))
        except UnknownEvent:
            return

    def apply(self, event: Event) -> None:
        """Takes in an event; others than headcounts are none of its business."""
        if isinstance(event, HeadcountApproved):
            days = self._entries.setdefault((event.contest, event.category), {}).setdefault(event.unit, {})
            known = days.get(event.as_of)
            if known is None or event.revision >= known.revision:
                days[event.as_of] = event
                self.revision += 1

    def of(self, contest: str) -> list[HeadcountApproved]:
        """All entries of a contest that stand, in an order that they themselves decide."""
        mine = [units for (of, _), units in self._entries.items() if of == contest]
        found = [entry for units in mine for days in units.values() for entry in days.values()]
        return sorted(found, key=lambda entry: entry.key)

    def at(self, contest: str, unit: str, category: str, day: date, tree: str = "territory") -> Headcount | None:
        """What is known of a unit on that day, all below it in that tree included; None: not known. See `table`."""
        return self.table(contest, tree, category, day).get(unit)

    def own(self, contest: str, unit: str, category: str, day: date) -> Headcount | None:
        """What was approved for the unit itself: the entry of the latest day up to that one which was not withdrawn."""
        entries = self._entries.get((contest, category), {}).get(unit, {})
        days = sorted(as_of for as_of, entry in entries.items() if entry.people is not None)
        reached = bisect_right(days, day.isoformat())
        if not reached:
            return None
        entry = entries[days[reached - 1]]
        return Headcount(entry.people or 0, date.fromisoformat(entry.as_of), entry.source)

    def table(self, contest: str, tree: str, category: str, day: date) -> Mapping[str, Headcount]:
        """All that is known, by unit. A unit without an entry of its own has the sum of those below it, where each of them is
        known. An entry from before another unit was merged into this one lacks its people: they are added, if they are known."""
        key = contest, tree, category, day
        state = self._book.contests[contest].revision, self.revision
        held = self._tables.get(key)
        if held is None or held[0] != state:
            if len(self._tables) > _MOST_TABLES:
                self._tables.clear()
            held = self._tables[key] = state, self._made(contest, tree, category, day)
        return held[1]

    def _made(self, contest: str, tree: str, category: str, day: date) -> Mapping[str, Headcount]:
        units = self._book.units(contest)
        above = parents_at(units, tree, day)
        below: dict[str, list[str]] = {}
        for code, parent in above.items():
            if parent is not None:
                below.setdefault(parent, []).append(code)
        merged: dict[str, list[str]] = {}
        for unit in units.values():
            if unit.merged_into is not None and folded(unit, day):
                merged.setdefault(unit.merged_into, []).append(unit.code)
        found: dict[str, Headcount] = {}
        for code in reversed(above):
            children = below.get(code, [])
            own = self.own(contest, code, category, day)
            if own is not None:
                joined = [c for c in merged.get(code, []) if own.as_of < date.fromisoformat(units[c].ended or "")]
                others = (found.get(c) or self.own(contest, c, category, day) for c in joined)
                total = summed([own, *others]) if joined else own
            else:
                parts = any(not folded(units[c], day) for c in children)
                total = summed(found.get(c) for c in children) if parts else None
            if total is not None:
                found[code] = total
        return found


_MOST_TABLES = 400
