"""The headcounts of one unit, with their history: what was proposed, entered, approved, refused, withdrawn. Pure.

What a unit has in a category from a day on is said by the approved entry of that day with the highest revision.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Literal

import msgspec

from services.kit.problems import Problem

State = Literal["proposed", "approved", "refused", "withdrawn"]
Key = tuple[str, str]
"""A category ("" for everybody) and the day from which on a headcount holds."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One figure. `people` is None where an approved one is taken back. `revision` is that of the approved entry, -1 before.

    `decision` is the order that decided a proposal.
    """

    id: str
    category: str
    as_of: str
    people: int | None
    source: str
    by: str
    at: datetime
    state: State
    revision: int = -1
    decision: str = ""
    decided_by: str = ""
    decided_at: datetime | None = None
    reason: str = ""

    @property
    def key(self) -> Key:
        return self.category, self.as_of


class Enter(msgspec.Struct, frozen=True, kw_only=True, tag="enter"):
    """Somebody says how many there are; `approved` where who says it needs nobody's approval."""

    id: str
    category: str
    as_of: str
    people: int | None
    source: str
    by: str
    at: datetime
    approved: bool

    @property
    def key(self) -> Key:
        return self.category, self.as_of


class Decide(msgspec.Struct, frozen=True, kw_only=True, tag="decide"):
    """What becomes of the proposal `entry`."""

    id: str
    entry: str
    state: Literal["approved", "refused", "withdrawn"]
    reason: str
    by: str
    at: datetime


Order = Enter | Decide


class Book(msgspec.Struct, frozen=True):
    """A unit's entries, the oldest first."""

    entries: tuple[Entry, ...] = ()

    def standing(self) -> dict[Key, Entry]:
        """What holds, by category and day."""
        approved = sorted((entry for entry in self.entries if entry.state == "approved"), key=lambda entry: entry.revision)
        return {entry.key: entry for entry in approved}

    def latest(self, day: str) -> dict[str, Entry]:
        """What holds on a day, by category; what was taken back is left out."""
        held = [entry for entry in self.standing().values() if entry.people is not None and entry.as_of <= day]
        return {entry.category: entry for entry in sorted(held, key=lambda entry: entry.as_of)}

    def proposals(self) -> Iterator[Entry]:
        """What waits for a decision."""
        return (entry for entry in self.entries if entry.state == "proposed")

    def entry(self, id: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.id == id), None)


def apply(book: Book, order: Order) -> Book:
    """Does what was ordered; the same order again changes nothing. Raises Problem 404, 409."""
    return _enter(book, order) if isinstance(order, Enter) else _decide(book, order)


def _enter(book: Book, order: Enter) -> Book:
    if book.entry(order.id) is not None:
        return book
    held = book.standing().get(order.key)
    if order.approved and held is not None and (held.people, held.source) == (order.people, order.source):
        return book
    if order.approved and held is not None and (held.decided_at or held.at) > order.at:
        return book  # carried out late: what was said after it stands
    if order.people is None and (held is None or held.people is None):
        raise Problem(409, "nothing-to-withdraw", "Không có số liệu nào của ngày này để rút.", field="as_of")
    entry = Entry(
        id=order.id, category=order.category, as_of=order.as_of, people=order.people, source=order.source, by=order.by,
        at=order.at, state="approved" if order.approved else "proposed",
        revision=_next_revision(book, order.key) if order.approved else -1,
    )  # fmt: skip
    if order.approved:
        return Book((*book.entries, entry))
    # A new proposal stands in the place of one that still waits.
    waiting = {old.id for old in book.proposals() if old.category == order.category}
    kept = (msgspec.structs.replace(old, state="withdrawn") if old.id in waiting else old for old in book.entries)
    return Book((*kept, entry))


def _decide(book: Book, order: Decide) -> Book:
    entry = book.entry(order.entry)
    if entry is None:
        raise Problem(404, "headcount", "Không có đề xuất này.", field="entry")
    if entry.decision == order.id:
        return book
    if entry.state != "proposed":
        raise Problem(409, "decided", "Đề xuất này đã được quyết định.", field="entry")
    decided = msgspec.structs.replace(
        entry, state=order.state, decision=order.id, decided_by=order.by, decided_at=order.at, reason=order.reason,
        revision=_next_revision(book, entry.key) if order.state == "approved" else -1,
    )  # fmt: skip
    return Book(tuple(decided if old.id == entry.id else old for old in book.entries))


def _next_revision(book: Book, key: Key) -> int:
    return 1 + max((entry.revision for entry in book.entries if entry.key == key), default=-1)
