"""What a report is made of: the figures of one unit with all below it, as of a cut-off. Plain data that travels and is kept.

A count is None where nobody has supplied it, "withheld" where it may not be shown yet (perfect papers of a round that runs).
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

import msgspec

Count = int | Literal["withheld"] | None


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A document that the contest rests on; `date` is ISO 8601."""

    number: str
    date: str
    issuer: str
    title: str


class UnitLine(msgspec.Struct, frozen=True, kw_only=True):
    """A unit, all below it included. `place` is its number in the list, e.g. "3.12"; `before` are its people at the cut before;
    `rank` is among its siblings, None where it has none."""

    code: str
    name: str
    place: str = ""
    superior: str = ""
    headcount: int | None = None
    people: int = 0
    attempts: int = 0
    perfect: Count = None
    before: int | None = None
    rank: int | None = None
    note: str = ""


class CategoryLine(msgspec.Struct, frozen=True, kw_only=True):
    """People of one category. `target` is in percent of the headcount."""

    name: str
    headcount: int | None
    people: int
    target: float | None


class RoundLine(msgspec.Struct, frozen=True, kw_only=True):
    """One round up to the cut-off. `correct` of `total` answers were right."""

    name: str
    opens: datetime
    closes: datetime
    people: int
    attempts: int
    perfect: Count
    correct: Count = None
    total: Count = None


class PersonPrize(msgspec.Struct, frozen=True, kw_only=True):
    """A person's prize as it was published. `round` is the round's name, "" where it is the whole contest's."""

    prize: str
    round: str
    name: str
    unit: str
    correct: int
    predicted: int | None = None
    gap: int | None = None
    received_at: datetime | None = None


class UnitPrize(msgspec.Struct, frozen=True, kw_only=True):
    """A unit's prize: `figure` counts people, or is a rate in percent."""

    prize: str
    round: str
    unit: str
    by: Literal["people", "rate"]
    figure: float


class LaggingLine(msgspec.Struct, frozen=True, kw_only=True):
    """A unit that is to be urged on. `reminded` counts reminders; `measures` is what the unit did; `deadline` is a date."""

    code: str
    name: str
    people: int
    attempts: int
    headcount: int | None
    reminded: int
    last: datetime | None = None
    measures: str = ""
    deadline: date | None = None


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of a report: of the period from `since` to the cut-off; `cumulative`: it begins with the contest. `before` is
    the cut-off that is compared with (None: there is none), of a period from `before_since` (None: from the contest's begin on);
    `ends` when the last round closes; `average` the common rate of the units that are judged together (bình quân chung),
    `headcount_day` the latest day of a headcount in use (ISO 8601). `whole`: the unit is all of the contest."""

    contest: str
    title: str
    kind: str
    timezone: str
    documents: tuple[Named, ...]
    as_of: datetime
    since: datetime
    cumulative: bool = True
    before: datetime | None
    before_since: datetime | None = None
    ends: datetime | None = None
    unit: UnitLine
    whole: bool
    ranking: Literal["people", "rate"]
    units: tuple[UnitLine, ...] = ()
    categories: tuple[CategoryLine, ...] = ()
    rounds: tuple[RoundLine, ...] = ()
    persons: tuple[PersonPrize, ...] = ()
    prizes: tuple[UnitPrize, ...] = ()
    praised: tuple[UnitLine, ...] = ()
    lagging: tuple[LaggingLine, ...] = ()
    average: float | None = None
    headcount_day: str | None = None
    excluded: int = 0
    measures: int = 0
    measuring: int = 0
    link: str = ""


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """What the body that reports writes of itself. `style` is that of state bodies (Nghị định 30/2020/NĐ-CP) or of the Party
    (Hướng dẫn 36-HD/VPTW). `symbol` follows the number, e.g. "BC/BTG". `behalf` stands above the signer's title, e.g.
    "T/L BAN THƯỜNG VỤ". What is empty is left as a gap."""

    style: Literal["state", "party"] = "state"
    superior: str = ""
    issuer: str = ""
    place: str = ""
    symbol: str = ""
    letter_symbol: str = ""
    addressees: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    letter_recipients: tuple[str, ...] = ()
    behalf: str = ""
    signer_title: str = ""
    signer: str = ""
    ranking: Literal["people", "rate"] = "people"
    deadline: date | None = None
