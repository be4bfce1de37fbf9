"""Prizes of a contest over all its rounds, and the file of them. Pure.

Everything follows from the published files of the rounds: a person's right answers of all rounds are added up, by the attempts
that count there. Equals are told apart by the last round's order, its figures added up likewise; then they draw. Who was not in a
round has no right answer there, no prediction, and took all the time. `received_at` tells nobody apart: its sum says nothing.

The file is laid out as that of a round (services/scoring/publication.py): a header, a row for each person, the last line. A row
holds under which name the person stands in each round's file, so that anyone with these files derives ranks and winners anew, and
the people of each unit: a person counts once, in the unit of their latest valid attempt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, BinaryIO, NamedTuple

import msgspec

from services.events import PersonAwarded, PrizesAwarded, RoundPlan
from services.kit.notary import Notary
from services.scoring import prizes
from services.scoring.awards import units_awarded
from services.scoring.domain import MOST, Row
from services.scoring.draw import Drawing
from services.scoring.prizes import PERSONS, Award, Prize, UnitFigure
from services.scoring.publication import COLUMNS as ROUND_COLUMNS
from services.scoring.publication import Draws, Excluded, Outcome, climb, draws_of, person_of, seal

FORMAT = "hoithi.contest/1"
CONTEXT = b"hoithi contest 1\n"
COLUMNS = ("person", "rounds", "rank")


class Share(NamedTuple):
    """What a person has in one round, as its file says; `person` is their name there, `unit` that of their latest valid attempt,
    which came at `latest` (µs)."""

    person: str
    correct: int
    gap: int | None
    elapsed_ms: int
    label: str
    unit: str
    latest: int


class Part(NamedTuple):
    """One published round: the shares of all who are ranked, by participant; their masked names and units."""

    plan: RoundPlan
    digest: str
    shares: Mapping[str, Share]
    shown: Mapping[str, tuple[str, str]]


class Overall(msgspec.Struct, frozen=True, kw_only=True):
    """What is known when a contest is settled. `excluded`: participant → a short code; `names`: participant → full name of
    the winners who agreed to it."""

    contest: str
    title: str
    owner: str
    timezone: str
    parts: Sequence[Part]
    finalised_at: datetime
    salt: bytes
    drawing: Drawing
    committed_at: datetime
    prizes: tuple[Prize, ...]
    unit_prizes: tuple[Prize, ...] = ()
    units: tuple[UnitFigure, ...] = ()
    excluded: Mapping[str, str] = {}
    names: Mapping[str, str] = {}


class PartView(msgspec.Struct, frozen=True, kw_only=True):
    """A round that counts: the digest of its file, and what of its rules matters here."""

    round: str
    digest: str
    minutes: int
    prediction: bool


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line. `closes` is the end of the last round: draws were committed to before."""

    format: str
    contest: str
    title: str
    owner: str
    timezone: str
    rounds: list[PartView]
    ranking: tuple[str, ...]
    closes: datetime
    finalised_at: datetime
    people: int
    excluded: list[Excluded]
    prizes: tuple[Prize, ...]
    unit_prizes: tuple[Prize, ...]
    units: tuple[UnitFigure, ...]
    awards: list[Award]
    draws: Draws | None
    columns: tuple[str, ...]


def part(plan: RoundPlan, digest: str, lines: Iterable[bytes], salt: bytes, rows: Iterable[Row]) -> Part:
    """One round from the lines of its published file; `rows` are its standings."""
    told = iter(lines)
    perfect = msgspec.json.decode(next(told))["perfect"]
    place = {name: number for number, name in enumerate(ROUND_COLUMNS)}
    found: dict[str, Share] = {}
    latest: dict[str, tuple[int, int, str]] = {}
    for line in told:
        values = msgspec.json.decode(line)
        if not isinstance(values, list) or values[place["verdict"]] != "valid":
            continue
        person, prediction = values[place["person"]], values[place["prediction"]]
        started, received = values[place["started"]], values[place["received"]]
        came = received, values[place["n"]], values[place["unit"]]
        latest[person] = max(latest.get(person, came), came)
        if values[place["rank"]] is not None:
            gap = None if prediction is None else abs(prediction - perfect)
            elapsed, label = (received - started) // 1000, f"{received}:{started}"
            found[person] = Share(person, values[place["correct"]], gap, elapsed, label, "", 0)
    found = {person: share._replace(unit=latest[person][2], latest=latest[person][0]) for person, share in found.items()}
    known = {row.participant: row for row in rows}
    shares = {who: found[person_of(salt, who)] for who in known}
    return Part(plan, digest, shares, {who: (row.name, row.unit) for who, row in known.items()})


def homes(parts: Sequence[Part]) -> dict[str, str]:
    """The unit in which each person counts, once: that of their latest valid attempt of all rounds."""
    last: dict[str, Share] = {}
    for part in parts:
        for who, share in part.shares.items():
            if who not in last or share.latest >= last[who].latest:
                last[who] = share
    return {who: share.unit for who, share in last.items()}


def standings(overall: Overall) -> list[Row]:
    """The people in order of rank; `correct`, `elapsed_ms` and `gap` are sums. Equals share a rank."""
    people = sorted({who for part in overall.parts for who in part.shares})
    keys = {who: _key(overall.parts, who) for who in people}
    rows: list[Row] = []
    last: tuple[int, ...] | None = None
    for position, who in enumerate(sorted(people, key=lambda who: (keys[who], who)), 1):
        rank = rows[-1].rank if keys[who] == last else position
        last = keys[who]
        name, unit = next(part.shown[who] for part in reversed(overall.parts) if who in part.shown)
        correct, gap, elapsed = _sums(overall.parts, who)
        rows.append(Row(rank, who, 0, name, unit, correct, elapsed, gap if gap < MOST else None))
    return rows


def _sums(parts: Sequence[Part], who: str) -> tuple[int, int, int]:
    """Right answers, gaps and milliseconds of all rounds."""
    correct = gap = elapsed = 0
    for part in parts:
        share = part.shares.get(who)
        correct += share.correct if share else 0
        elapsed += share.elapsed_ms if share else part.plan.minutes * 60_000
        if part.plan.prediction is not None:
            gap += MOST if share is None or share.gap is None else share.gap
    return correct, gap, elapsed


def _key(parts: Sequence[Part], who: str) -> tuple[int, ...]:
    correct, gap, elapsed = _sums(parts, who)
    values = {"correct": correct, "prediction_gap": gap, "elapsed": elapsed}
    # The sum of right answers decides, whatever the order of a single round begins with.
    criteria = [words.split(" ") for words in parts[-1].plan.ranking]
    rest = [(1 if way == "asc" else -1) * values[name] for name, way in criteria if name in values and name != "correct"]
    return (-correct, *rest)


def conclude(overall: Overall, rows: Sequence[Row]) -> Outcome:
    """Awards and the draws that they took."""
    participants: dict[str, str] = {}
    shown: dict[str, str] = {figure.code: figure.name for figure in overall.units}

    def label(row: Row) -> tuple[str, str]:
        person = person_of(overall.salt, row.participant)
        participants[person], shown[person] = row.participant, overall.names.get(row.participant, row.name)
        shares = (part.shares.get(row.participant) for part in overall.parts)
        return person, ",".join(share.label if share else "-" for share in shares)

    ladders = [prizes.persons(rows, overall.prizes, overall.excluded, label), *prizes.units(overall.units, overall.unit_prizes)]
    return climb(ladders, overall.drawing, shown, participants)


def write(out: BinaryIO, overall: Overall, rows: Sequence[Row], outcome: Outcome, notary: Notary) -> str:
    """Writes the file and returns its digest, hex. The same facts give the same bytes. `out` may raise OSError."""
    excluded = [Excluded(person=person_of(overall.salt, who), reason=why) for who, why in overall.excluded.items()]
    header = Header(
        format=FORMAT,
        contest=overall.contest,
        title=overall.title,
        owner=overall.owner,
        timezone=overall.timezone,
        rounds=[
            PartView(
                round=part.plan.id,
                digest=part.digest,
                minutes=part.plan.minutes,
                prediction=part.plan.prediction is not None,
            )
            for part in overall.parts
        ],
        ranking=overall.parts[-1].plan.ranking,
        closes=max(part.plan.closes for part in overall.parts),
        finalised_at=overall.finalised_at,
        people=len(rows),
        excluded=sorted(excluded, key=lambda each: each.person),
        prizes=overall.prizes,
        unit_prizes=overall.unit_prizes,
        units=overall.units,
        awards=outcome.awards,
        draws=draws_of(overall.drawing, overall.committed_at, outcome.minutes),
        columns=COLUMNS,
    )
    return seal(out, (header, *_lines(overall, rows)), notary, CONTEXT)


def _lines(overall: Overall, rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    """A line for each person, in an order that tells nothing."""
    found = []
    for row in rows:
        shares = [part.shares.get(row.participant) for part in overall.parts]
        names = [share.person if share else None for share in shares]
        found.append((person_of(overall.salt, row.participant), names, row.rank))
    return sorted(found, key=lambda line: line[0])


def awarded(overall: Overall, rows: Sequence[Row], outcome: Outcome) -> PrizesAwarded:
    """The event that tells who won what in the contest."""
    by = {row.participant: row for row in rows}
    drawn = {(each.ladder, lot.id) for each in outcome.minutes for lot in each.order}
    persons = []
    for award in outcome.awards:
        if award.ladder != PERSONS:
            continue
        row = by[outcome.participants[award.winner]]
        persons.append(
            PersonAwarded(
                prize=award.prize,
                participant=row.participant,
                name=award.name,
                unit=row.unit,
                correct=row.correct,
                gap=row.gap,
                drawn=(PERSONS, award.winner) in drawn,
            )
        )
    units = units_awarded(overall.unit_prizes, overall.units, outcome.awards)
    return PrizesAwarded(time=overall.finalised_at, contest=overall.contest, round=None, persons=tuple(persons), units=units)
