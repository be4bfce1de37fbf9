"""Contests and their rounds (tuần), as everyone may know them: no key, no figure that leaks one."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from services.events.base import PREFIX, Event, Moment

RoundState = Literal["upcoming", "open", "paused", "closed", "final"]
Show = Literal["at_once", "after_close"]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """An official document that a contest rests on. `date` is ISO 8601, without a time."""

    number: str
    date: str
    issuer: str
    title: str


class Category(msgspec.Struct, frozen=True, kw_only=True):
    """A group of people (đối tượng); one person may be in several. `target` is a percentage of the headcount."""

    id: str
    name: str
    target: float | None = None


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """A way to look at the units: by territory (địa bàn), party, mass organisations, education."""

    id: str
    name: str


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """Where a unit stands in a tree, from the day `since` up to but without the day `until` (ISO 8601; None: without end).

    `parent` is a code, None at the top of the tree.
    """

    tree: str
    parent: str | None
    since: str | None = None
    until: str | None = None


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """A node of the unit trees. `parent` is the code of the unit above in the territory, None at the top.

    Without `placements` that is all; with them they are the whole truth, in every tree (`services.events.units` reads them).
    From the day `ended` on a unit is no more; what it had counts with `merged_into`.
    """

    code: str
    parent: str | None
    name: str
    kind: str
    placements: tuple[Placement, ...] = ()
    ended: str | None = None
    merged_into: str | None = None


class RoundPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A round in full: its window, its paper and its rules. A record of a round carries all of it.

    `id` is unique in the installation. `closes` moves when the round is extended. `minutes` is the time for one attempt.
    `prediction` is the question asked beside the paper, None where none is. `ranking` is read left to right, e.g. "correct desc".
    """

    id: str
    contest: str
    name: str
    opens: Moment
    closes: Moment
    questions: int
    minutes: int
    attempts: int
    counting: Literal["best", "first", "last"]
    ranking: tuple[str, ...]
    prediction: str | None
    show_score: Show
    show_key: Show
    state: RoundState = "upcoming"
    revision: int = 0


class PrizePlan(msgspec.Struct, frozen=True, kw_only=True):
    """So many prizes (giải) of a name, as the organisers mean to give them. Units are ranked `by` their rate or their people, in
    a `tree` (empty: the first) at a `level` (1 is the top, 0 the lowest); with a headcount below `least` one does not compete."""

    name: str
    count: int
    by: Literal["rate", "people"] | None = None
    least: int = 0
    tree: str = ""
    level: int = 0


class PrizePlans(msgspec.Struct, frozen=True, kw_only=True):
    """The prizes of each round, of the whole contest, and of units in the whole contest."""

    round: tuple[PrizePlan, ...] = ()
    overall: tuple[PrizePlan, ...] = ()
    unit: tuple[PrizePlan, ...] = ()


class ContestPublished(Event, frozen=True, kw_only=True):
    """A contest in full, with its units and the plan of its rounds as they stood when it was published.

    `publishing_consent` is the version of the consent whose holders' full names may be published where they win; empty: nobody's.
    `prizes` are what the organisers mean to give; what is given is settled after the closing.
    """

    type: ClassVar[str] = PREFIX + "contest.published.v1"
    topic: ClassVar[str] = "contests"

    contest: str
    title: str
    kind: str
    owner: str
    timezone: str
    documents: tuple[Document, ...]
    categories: tuple[Category, ...]
    units: tuple[Unit, ...]
    rounds: tuple[RoundPlan, ...]
    trees: tuple[Tree, ...] = ()
    publishing_consent: str = ""
    prizes: PrizePlans | None = None
    revision: int = 0

    @property
    def key(self) -> str:
        return self.contest

    @property
    def id(self) -> str:
        return f"{self.contest}/{self.revision}"


class RoundChanged(Event, frozen=True, kw_only=True):
    """What the events of a round have in common: the round as it is from now on."""

    topic: ClassVar[str] = "contests"

    round: RoundPlan

    @property
    def key(self) -> str:
        return self.round.id

    @property
    def id(self) -> str:
        return f"{self.round.id}/{self.round.revision}"


class RoundOpened(RoundChanged, frozen=True, kw_only=True):
    """The window of a round has begun (or it goes on after a pause)."""

    type: ClassVar[str] = PREFIX + "round.opened.v1"


class RoundPaused(RoundChanged, frozen=True, kw_only=True):
    """No attempt starts from now on; running ones go on and no deadline moves."""

    type: ClassVar[str] = PREFIX + "round.paused.v1"


class RoundExtended(RoundChanged, frozen=True, kw_only=True):
    """`closes` has moved; running attempts follow it."""

    type: ClassVar[str] = PREFIX + "round.extended.v1"


class RoundClosed(RoundChanged, frozen=True, kw_only=True):
    """The window of a round has ended."""

    type: ClassVar[str] = PREFIX + "round.closed.v1"
