"""`hoithi audit`: proof that nothing was lost and nothing counted twice, from what each service holds itself.

Per round: the attempts receipted are those submitted are those judged, and the valid ones are those counted. Each set comes from
the service that answers for it; this file only compares.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from deploy.local.refusal import Refusal
from deploy.local.wiring import House
from services.events import ContestBook
from services.kit.cloudevents import type_of
from services.quiz import audit as quiz
from services.quiz.domain import parse_attempt_id
from services.reporting import audit as reporting
from services.scoring import audit as scoring

STAGES = ("receipted", "submitted", "judged", "valid", "counted")


@dataclass
class Round:
    """The attempts of one round as each stage knows them."""

    receipted: set[str] = field(default_factory=set)
    submitted: set[str] = field(default_factory=set)
    judged: set[str] = field(default_factory=set)
    valid: set[str] = field(default_factory=set)
    counted: set[str] = field(default_factory=set)

    def differences(self) -> list[tuple[str, str]]:
        """Each attempt that one stage has and the other lacks, and what is wrong with it."""
        chains = (("receipted", "submitted"), ("submitted", "judged"), ("valid", "counted"))
        found = []
        for before, after in chains:
            one, other = getattr(self, before), getattr(self, after)
            found += [(attempt, f"{before}, not {after}") for attempt in sorted(one - other)]
            found += [(attempt, f"{after}, not {before}") for attempt in sorted(other - one)]
        return found

    def summary(self) -> str:
        """The equation in one line; with `≠` where it does not hold."""
        counts = [f"{_figure(len(getattr(self, stage)))} {stage}" for stage in STAGES]
        signs = ["=" if a == b else "≠" for a, b in ((self.receipted, self.submitted), (self.submitted, self.judged))]
        last = "=" if self.valid == self.counted else "≠"
        return f"{counts[0]} {signs[0]} {counts[1]} {signs[1]} {counts[2]}; {counts[3]} {last} {counts[4]}"


async def audit(house: House, round: str | None, patience: float) -> Mapping[str, Round]:
    """Every round that has attempts (or just `round`). While stages differ it looks again, until the workers have caught up and
    the same differences stay, or for `patience` seconds."""
    if round is not None:
        round = await _known(house, round)
    until, before = time.monotonic() + patience, None
    while True:
        caught_up = await _caught_up(house)
        rounds = await _look(house)
        if round is not None:
            rounds = {round: rounds.get(round, Round())}
        differences = {name: found.differences() for name, found in rounds.items() if found.differences()}
        if not differences or (caught_up and differences == before) or time.monotonic() >= until:
            return dict(sorted(rounds.items()))
        before = differences
        await asyncio.sleep(1)


async def _known(house: House, round: str) -> str:
    """The full id of a round, which may be named without its contest where that is clear. Raises Refusal."""
    book = ContestBook()
    for record in await house.bus.read("contests"):
        book.read(type_of(record.headers), record.value)
    rounds = [plan.id for contest in book.contests for plan in book.rounds(contest)]
    found = [id for id in rounds if round in (id, id.partition(".")[2])]
    if len(found) != 1:
        names = ", ".join(rounds)
        raise Refusal(f"Không rõ vòng {round} là vòng nào; có: {names}.", f"No such round as {round}; there are: {names}.")
    return found[0]


async def _caught_up(house: House) -> bool:
    """Whether this host has forwarded, scoring has judged, and reporting's snapshots hold, all that the log does."""
    if house.unforwarded():
        return False
    judged = await house.bus.committed("scoring", "submissions")
    ends = await house.bus.end_offsets("submissions")
    if any(judged.get(partition, 0) < end for partition, end in ends.items()):
        return False
    return not await reporting.behind(house.runtime("reporting"))


async def _look(house: House) -> dict[str, Round]:
    quizzed, scored, reported = (house.runtime(name) for name in ("quiz", "scoring", "reporting"))
    rounds: dict[str, Round] = {}
    verdicts = await scoring.verdicts(scored)
    valid = [attempt for attempt, verdict in verdicts.items() if verdict == "valid"]
    _sort(rounds, "receipted", await quiz.receipted(quizzed))
    _sort(rounds, "submitted", await quiz.submitted(quizzed))
    _sort(rounds, "judged", verdicts)
    _sort(rounds, "valid", valid)
    counted = await reporting.counted(reported)
    _sort(rounds, "counted", [attempt for attempt, seen in counted.items() if seen.counted])
    return rounds


def _sort(rounds: dict[str, Round], stage: str, attempts: Iterable[str]) -> None:
    for attempt in attempts:
        found: set[str] = getattr(rounds.setdefault(parse_attempt_id(attempt)[1], Round()), stage)
        found.add(attempt)


def _figure(number: int) -> str:
    return f"{number:,}".replace(",", ".")
