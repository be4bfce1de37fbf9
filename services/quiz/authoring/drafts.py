"""A contest while it is being made, as data: what organisers change freely, until it is published from.

Pure. A round goes draft → submitted → approved → published; a change of a round that is not published makes it a draft again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from anyascii import anyascii

from services.events import Category, ContestPublished, Document, RoundPlan, Unit
from services.events.contests import PrizePlans, Show, Tree
from services.quiz.domain import REST

Stage = Literal["draft", "submitted", "approved", "published"]
RANKING = ("correct desc", "prediction_gap asc", "elapsed asc", "received_at asc")
LONGEST_ID = 60
WEEK = timedelta(weeks=1)


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How a round's papers are drawn, and how it is judged and ranked. `blueprint` maps a topic (`*`: all others) to a count."""

    blueprint: dict[str, int] = msgspec.field(default_factory=lambda: {REST: 20})
    codes: int = 32
    minutes: int = 15
    attempts: int = 3
    counting: Literal["best", "first", "last"] = "best"
    ranking: tuple[str, ...] = ("correct desc", "elapsed asc", "received_at asc")
    prediction: str | None = None
    show_score: Show = "at_once"
    show_key: Show = "after_close"

    @property
    def questions(self) -> int:
        """How many questions a paper has."""
        return sum(self.blueprint.values())


class Approval(msgspec.Struct, frozen=True):
    """Digests of what was approved: the contest and the round as drafted, and the questions that its papers are drawn from."""

    texts: str
    bank: str


class RoundDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A round being made. `alone` is the reason for which one person both submitted and approved it, "" where two did.

    `returned` is a sentence of the catalogue: why it is a draft again though it was approved.
    """

    id: str
    name: str
    opens: datetime
    closes: datetime
    rules: Rules
    stage: Stage = "draft"
    submitted_by: str = ""
    approved_by: str = ""
    alone: str = ""
    approval: Approval | None = None
    returned: str = ""

    @property
    def slug(self) -> str:
        """The part of the id that is the round's own."""
        return self.id.rpartition(".")[2]

    def as_draft(self, returned: str = "") -> RoundDraft:
        """The round as nobody has submitted or approved it."""
        fresh: dict[str, Any] = {"stage": "draft", "submitted_by": "", "approved_by": "", "alone": "", "approval": None}
        return msgspec.structs.replace(self, **fresh, returned=returned)

    def plan(self, contest: str) -> RoundPlan:
        """The round as everyone will know it."""
        rules = self.rules
        return RoundPlan(
            id=self.id,
            contest=contest,
            name=self.name,
            opens=self.opens,
            closes=self.closes,
            questions=rules.questions,
            minutes=rules.minutes,
            attempts=rules.attempts,
            counting=rules.counting,
            ranking=rules.ranking,
            prediction=rules.prediction,
            show_score=rules.show_score,
            show_key=rules.show_key,
        )


Names = Literal["masked", "winners"]
"""How winners are named to everyone: masked, or in full where their consent says so."""


class ContestDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A contest being made. `revision` counts its changes, `published` its publications (-1: none yet)."""

    id: str
    title: str
    kind: str
    owner: str
    timezone: str = "Asia/Ho_Chi_Minh"
    documents: tuple[Document, ...] = ()
    categories: tuple[Category, ...] = ()
    consent_version: str = ""
    consent_text: str = ""
    units: tuple[Unit, ...] = ()
    trees: tuple[Tree, ...] = ()
    rules: Rules = Rules()
    rounds: tuple[RoundDraft, ...] = ()
    publish_names: Names = "masked"
    prizes: PrizePlans | None = None
    revision: int = 0
    published: int = -1

    @property
    def zone(self) -> ZoneInfo:
        """The time zone that its dates are written in."""
        return ZoneInfo(self.timezone)

    @property
    def publishing_consent(self) -> str:
        """The version of the consent whose holders' full names may be published where they win."""
        return self.consent_version if self.publish_names == "winners" else ""

    def round(self, id: str) -> RoundDraft | None:
        """A round by its id."""
        return next((round for round in self.rounds if round.id == id), None)

    def with_round(self, round: RoundDraft) -> ContestDraft:
        """The same contest with this round, new or in the place of the one of its id; rounds stand in order of opening."""
        others = [other for other in self.rounds if other.id != round.id]
        return msgspec.structs.replace(self, rounds=tuple(sorted([*others, round], key=lambda r: (r.opens, r.id))))

    def publication(self, now: datetime) -> ContestPublished:
        """The event that tells of the contest with its published rounds, at the revision `published`."""
        return ContestPublished(
            time=now,
            contest=self.id,
            title=self.title,
            kind=self.kind,
            owner=self.owner,
            timezone=self.timezone,
            documents=self.documents,
            categories=self.categories,
            units=self.units,
            trees=self.trees,
            rounds=tuple(round.plan(self.id) for round in self.rounds if round.stage == "published"),
            publishing_consent=self.publishing_consent,
            prizes=self.prizes,
            revision=self.published,
        )


def slug(text: str, taken: Sequence[str] = ()) -> str:
    """An id made of a title: "Hải Phòng làm theo lời Bác" → `hai-phong-lam-theo-loi-bac`, with a number where it is taken."""
    plain = re.sub(r"[^a-z0-9]+", "-", anyascii(text).lower()).strip("-")[: LONGEST_ID - 4].strip("-") or "cuoc-thi"
    numbered = (f"{plain}-{n}" for n in range(2, 10_000))
    return plain if plain not in taken else next(name for name in numbered if name not in taken)


def consent_version(text: str) -> str:
    """The version of a consent text: another one whenever a letter of it changes."""
    return blake2b(text.encode(), digest_size=4).hexdigest()


def clone(contest: ContestDraft, round: RoundDraft) -> RoundDraft:
    """The next week's round: the same rules and length, a week later by the clock on the wall, the number in its name one
    higher. It is a draft, whatever the one before is."""
    last = max(contest.rounds, key=lambda one: one.opens)
    name = re.sub(r"\d+(?!.*\d)", lambda number: str(int(number[0]) + 1), last.name)
    name = name if name != last.name else f"{last.name} (2)"
    opens = round.opens
    while opens < last.closes:
        opens = _week_later(opens, contest.zone)
    closes = (opens.astimezone(contest.zone) + (_wall(round.closes, contest) - _wall(round.opens, contest))).astimezone(
        opens.tzinfo
    )
    return RoundDraft(id=round_id(contest, name), name=name, opens=opens, closes=closes, rules=round.rules)


def round_id(contest: ContestDraft, name: str) -> str:
    """An id for a new round of this name."""
    return f"{contest.id}.{slug(name, [round.slug for round in contest.rounds])}"


def _wall(time: datetime, contest: ContestDraft) -> datetime:
    return time.astimezone(contest.zone).replace(tzinfo=None)


def _week_later(time: datetime, zone: ZoneInfo) -> datetime:
    return (time.astimezone(zone) + WEEK).astimezone(time.tzinfo)
