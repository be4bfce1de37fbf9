"""The example contest as it may have gone: its 242 units, and as many attempts as a test wants, as events for the topics.

People are in several categories, some move, a ward is merged into another, attempts come late or are disqualified, a round is
scored again. The same seed gives the same contest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from services.events import (
    AttemptScored,
    AttemptStarted,
    AttemptSubmitted,
    ContestPublished,
    Event,
    HeadcountApproved,
    MessageDelivered,
    PersonAwarded,
    PrizesAwarded,
    RoundPlan,
    UnitAwarded,
)
from services.quiz.contest_files import read_contest

EXAMPLE = Path(__file__).parents[1] / "examples" / "hai-phong-2023"
MERGED, INTO, MERGED_ON = "HP-307-11434", "HP-307-11437", "2023-06-05"
SECOND = timedelta(seconds=1)
QUESTIONS = 20


def contest() -> ContestPublished:
    """The example, with one of its wards merged into another after two of its four weeks."""
    published = read_contest(EXAMPLE).published(datetime(2023, 5, 18, tzinfo=UTC))
    assert {MERGED, INTO} <= {unit.code for unit in published.units}
    units = [
        msgspec.structs.replace(unit, ended=MERGED_ON, merged_into=INTO) if unit.code == MERGED else unit
        for unit in published.units
    ]
    return msgspec.structs.replace(published, units=tuple(units))


@dataclass
class Person:
    id: str
    unit: str
    later_unit: str
    categories: tuple[str, ...]


def attempts(published: ContestPublished, count: int, seed: int = 1) -> Iterator[Event]:
    """The events of so many attempts, a person's in order."""
    rng = Random(seed)
    parents = {unit.parent for unit in published.units}
    leaves = [unit.code for unit in published.units if unit.code not in parents]
    weights = [rng.paretovariate(1.2) for _ in leaves]
    categories = [category.id for category in published.categories]
    made, number = 0, 0
    while made < count:
        person = _person(rng, number, leaves, weights, categories)
        number += 1
        for week, plan in enumerate(published.rounds):
            if rng.random() < 0.55:
                for n in range(1, rng.choice((1, 1, 2, 3)) + 1):
                    made += 1
                    yield from _attempt(rng, person, plan, week, n)


def _person(rng: Random, number: int, leaves: Sequence[str], weights: Sequence[float], categories: Sequence[str]) -> Person:
    unit = rng.choices(leaves, weights)[0]
    later = rng.choice(leaves) if rng.random() < 0.03 else unit
    return Person(f"p{number:07d}", unit, later, tuple(rng.sample(categories, rng.choice((1, 1, 1, 2, 3)))))


def _attempt(rng: Random, person: Person, plan: RoundPlan, week: int, n: int) -> Iterator[Event]:
    window = (plan.closes - plan.opens) / SECOND
    start = plan.opens + ((n - 1) / 3 + rng.random() / 3.1) * window * SECOND
    at = start + timedelta(milliseconds=rng.randrange(60_000, 890_000), microseconds=rng.randrange(1000))
    unit = person.later_unit if week >= 2 else person.unit
    common: dict[str, Any] = {
        "attempt": f"{person.id}:{plan.id}:{n}", "participant": person.id, "round": plan.id, "n": n, "unit": unit,
        "categories": person.categories,
    }  # fmt: skip
    yield AttemptStarted(time=start, deadline=start + timedelta(minutes=15), **common)
    if rng.random() < 0.03:
        return  # never handed in
    yield AttemptSubmitted(time=at, started_at=start, **common)
    correct = QUESTIONS if rng.random() < 0.08 else rng.randrange(4, QUESTIONS)
    late = rng.random() < 0.02
    scored = AttemptScored(
        time=at, started_at=start, verdict="late" if late else "valid", correct=correct, total=QUESTIONS,
        elapsed_ms=int((at - start) / timedelta(milliseconds=1)), digest="d", key_version=0, **common,
    )  # fmt: skip
    yield scored
    if week == 0 and rng.random() < 0.3:
        # A wrong key was mended: scored again, one right answer more.
        yield msgspec.structs.replace(scored, correct=min(QUESTIONS, correct + 1), key_version=1, revision=1)
    if rng.random() < 0.01:
        yield msgspec.structs.replace(scored, verdict="disqualified", revision=2)


def headcounts(published: ContestPublished, seed: int = 2) -> Iterator[HeadcountApproved]:
    """Of the city, its categories, and the wards of most districts; one was corrected, one withdrawn, one is of a later day."""
    rng = Random(seed)
    day = published.rounds[0].opens
    parents = {unit.parent for unit in published.units}
    districts = [unit.code for unit in published.units if unit.parent == "HP" and unit.code in parents]
    common: dict[str, Any] = {"contest": published.contest, "time": day, "as_of": "2023-05-15", "source": "đơn vị"}
    for unit in published.units:
        if unit.parent in districts[2:] and unit.code not in parents:
            yield HeadcountApproved(unit=unit.code, category="", people=rng.randrange(60, 600), **common)
    for category in published.categories[1:]:
        yield HeadcountApproved(unit="HP", category=category.id, people=rng.randrange(5_000, 60_000), **common)
    yield HeadcountApproved(unit="HP", category="", people=90_000, **common)
    some = districts[2]
    yield HeadcountApproved(unit=some, category="", people=1, **common)
    yield HeadcountApproved(unit=some, category="", people=7_001, revision=1, **common)
    yield HeadcountApproved(unit=districts[0], category="", people=900, **common)
    yield HeadcountApproved(unit=districts[0], category="", people=None, revision=1, **common)
    yield HeadcountApproved(unit=districts[1], category="", people=5, **common | {"as_of": "2023-07-01"})


def awards(published: ContestPublished) -> Iterator[PrizesAwarded]:
    """The prizes of the first two rounds and of the whole contest; the second's came out twice."""
    for week, plan in enumerate(published.rounds[:2]):
        at = plan.closes + timedelta(days=1)
        for revision in range(week + 1):
            persons = tuple(
                PersonAwarded(
                    prize=f"Giải {'Nhất' if n == 0 else 'Nhì'}", participant=f"p{n}", name=f"N*** V** {'ABCDE'[n]}",
                    unit=published.units[20 + n].code, correct=QUESTIONS - n, gap=n * 7 + revision, predicted=1900 + n,
                    received_at=plan.opens + timedelta(hours=n, seconds=13),
                )
                for n in range(3)
            )  # fmt: skip
            units = (UnitAwarded(prize="=Đông nhất", unit="HP-307", by="people", figure=4321),)
            yield PrizesAwarded(
                time=at, contest=published.contest, round=plan.id, persons=persons, units=units, revision=revision
            )
    unit = UnitAwarded(prize="Tỷ lệ cao nhất", unit="HP-306", by="rate", figure=87.25)
    yield PrizesAwarded(
        time=published.rounds[-1].closes + timedelta(days=30), contest=published.contest, round=None, persons=(), units=(unit,)
    )


def reminders(published: ContestPublished) -> Iterator[MessageDelivered]:
    """Of some wards: two in a day and one the day after; a repeat; one after the last round; a message that is no reminder."""
    at, late = published.rounds[2].opens, published.rounds[-1].closes + timedelta(days=5)
    wards = [unit.code for unit in published.units if unit.kind == "ward"]
    for n, unit in enumerate(wards[::3]):
        common: dict[str, Any] = {"contest": published.contest, "channel": "email", "unit": unit}
        for hours in (0, 1, 1, 24):
            time = at + timedelta(hours=hours, minutes=n)
            yield MessageDelivered(time=time, message=f"{unit}/{hours}", purpose="reminder", **common)
        yield MessageDelivered(time=late, message=f"{unit}/late", purpose="reminder", **common)
        yield MessageDelivered(time=at + timedelta(days=3), message=f"{unit}/result", purpose="result", **common)
