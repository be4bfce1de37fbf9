"""How many people a unit has (tổng số thuộc diện): what rates are measured against."""

from __future__ import annotations

from typing import ClassVar

from services.events.base import PREFIX, Event


class HeadcountApproved(Event, frozen=True, kw_only=True):
    """An organiser approved how many people of a category a unit has, all below it included, from the day `as_of` on (ISO 8601).

    `category` is empty for everybody. `source` says where the number comes from. The highest `revision` of a day stands;
    `people` is None where an entry was withdrawn.
    """

    type: ClassVar[str] = PREFIX + "headcount.approved.v1"
    topic: ClassVar[str] = "headcounts"

    contest: str
    unit: str
    category: str
    as_of: str
    people: int | None
    source: str
    revision: int = 0

    @property
    def key(self) -> str:
        return f"{self.contest}/{self.unit}/{self.category}/{self.as_of}"

    @property
    def id(self) -> str:
        return f"{self.key}/{self.revision}"
