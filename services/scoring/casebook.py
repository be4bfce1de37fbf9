"""What people look at before a round is ranked, and what they decide: cases, rulings, and the figures of a review.

A decision is written with the rulings that it makes, and these are told afterwards: `untold` finds what a crash left behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from bson import Binary

from services.events import AttemptRuled
from services.kit.store import FACTS, find_ids, insert_facts, store_errors
from services.scoring.anomalies import Case, Kind
from services.scoring.statistics import Sums

if TYPE_CHECKING:
    from services.kit.store import Database

CaseState = Literal["open", "cleared", "disqualified"]

_MOST = 64
"""Rulings on one attempt that are looked for."""

_sums = msgspec.msgpack.Decoder(Sums)
_rulings = msgspec.json.Decoder(AttemptRuled)


@dataclass(frozen=True, kw_only=True)
class Filed:
    """A case as it stands. `reason`, `by` and `at` are the decision's."""

    id: str
    round: str
    kind: Kind
    attempts: tuple[str, ...]
    figure: int
    state: CaseState
    reason: str = ""
    by: str = ""
    at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Review:
    """What a pass over a round's answers found. `basis` says on what marks of its partitions it rests. `submitted` counts the
    attempts in the log, `judged` those with a verdict; `missing` names some of those without."""

    basis: bytes
    sums: Sums
    seen: int
    at: datetime
    submitted: int
    judged: int
    missing: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether every attempt that was submitted is judged, and none besides."""
        return self.submitted == self.judged and not self.missing


class Casebook:
    """The collections `cases`, `reviews` and `rulings`."""

    def __init__(self, database: Database) -> None:
        self._cases = database["cases"].with_options(write_concern=FACTS)
        self._reviews, self._rulings = database["reviews"], database["rulings"]

    async def review(self, round: str) -> Review | None:
        """The last review of a round. Raises StoreDown."""
        with store_errors():
            found = await self._reviews.find_one({"_id": round})
        if found is None:
            return None
        counted = {name: found[name] for name in ("seen", "at", "submitted", "judged")}
        sums = _sums.decode(found["sums"])
        return Review(basis=bytes(found["basis"]), sums=sums, missing=tuple(found["missing"]), **counted)

    async def file(self, round: str, cases: Sequence[Case], review: Review) -> None:
        """Keeps a review, and opens the cases that are new. Raises StoreDown."""
        documents = [
            {
                "_id": f"{round}/{case.kind}/{case.id}",
                "round": round,
                "kind": case.kind,
                "attempts": list(case.attempts),
                "figure": case.figure,
                "state": "open",
            }
            for case in cases
        ]
        for start in range(0, len(documents), 500):
            await insert_facts(self._cases, documents[start : start + 500])
        body = {
            "basis": Binary(review.basis),
            "sums": Binary(msgspec.msgpack.encode(review.sums)),
            "seen": review.seen,
            "at": review.at,
            "submitted": review.submitted,
            "judged": review.judged,
            "missing": list(review.missing),
        }
        with store_errors():
            await self._reviews.update_one({"_id": round}, {"$set": body}, upsert=True)

    async def counts(self, round: str) -> dict[CaseState, int]:
        """How many cases there are in each state. Raises StoreDown."""
        states: tuple[CaseState, ...] = ("open", "cleared", "disqualified")
        with store_errors():
            return {state: await self._cases.count_documents({"round": round, "state": state}) for state in states}

    async def page(self, round: str, state: CaseState, skip: int, most: int) -> list[Filed]:
        """Cases in order of kind. Raises StoreDown."""
        with store_errors():
            found = self._cases.find({"round": round, "state": state}).sort("_id", 1).skip(skip).limit(most)
            return [_filed(document) async for document in found]

    async def case(self, id: str) -> Filed | None:
        """One case. Raises StoreDown."""
        with store_errors():
            found = await self._cases.find_one({"_id": id})
        return None if found is None else _filed(found)

    async def decide(self, id: str, state: CaseState, reason: str, by: str, at: datetime) -> bool:
        """Writes a decision on an open case; False where it is not open any more. Raises StoreDown."""
        decision = {"state": state, "reason": reason, "by": by, "at": at}
        with store_errors():
            result = await self._cases.update_one({"_id": id, "state": "open"}, {"$set": decision})
        return bool(result.matched_count)

    async def clear_all(self, round: str, kind: Kind, reason: str, by: str, at: datetime) -> int:
        """Clears every open case of a kind; returns how many. Raises StoreDown."""
        decision = {"state": "cleared", "reason": reason, "by": by, "at": at}
        with store_errors():
            result = await self._cases.update_many({"round": round, "kind": kind, "state": "open"}, {"$set": decision})
        return int(result.modified_count)

    async def rulings(self, attempts: Iterable[str]) -> dict[str, list[AttemptRuled]]:
        """What people have said of these attempts, in order. Raises StoreDown."""
        asked = list(attempts)
        found = await find_ids(self._rulings, [f"{attempt}/{n}" for attempt in asked for n in range(1, _MOST)])
        chains: dict[str, list[AttemptRuled]] = {attempt: [] for attempt in asked}
        for document in found.values():
            ruling = _rulings.decode(document["body"])
            chains[ruling.attempt].append(ruling)
        return {attempt: sorted(chain, key=lambda each: each.revision) for attempt, chain in chains.items()}

    async def rule(self, rulings: Sequence[AttemptRuled]) -> bool:
        """Writes rulings down, to be told; False where somebody else's came first for one of them. Raises StoreDown."""
        facts = [
            {"_id": ruling.id, "round": ruling.round, "told": False, "body": Binary(msgspec.json.encode(ruling))}
            for ruling in rulings
        ]
        return not await insert_facts(self._rulings, facts)

    async def untold(self) -> list[AttemptRuled]:
        """The rulings that nobody has been told of. Raises StoreDown."""
        with store_errors():
            return [_rulings.decode(document["body"]) async for document in self._rulings.find({"told": False})]

    async def told(self, rulings: Sequence[AttemptRuled]) -> None:
        """These are out. Raises StoreDown."""
        with store_errors():
            for ruling in rulings:
                await self._rulings.update_one({"_id": ruling.id}, {"$set": {"told": True}})

    async def ruled(self, round: str) -> list[AttemptRuled]:
        """The last word on every attempt of a round that a person has spoken on. Raises StoreDown."""
        last: dict[str, AttemptRuled] = {}
        with store_errors():
            async for document in self._rulings.find({"round": round}):
                ruling = _rulings.decode(document["body"])
                if ruling.attempt not in last or ruling.revision > last[ruling.attempt].revision:
                    last[ruling.attempt] = ruling
        return sorted(last.values(), key=lambda ruling: ruling.attempt)


def _filed(document: Mapping[str, Any]) -> Filed:
    return Filed(
        id=document["_id"],
        round=document["round"],
        kind=document["kind"],
        attempts=tuple(document["attempts"]),
        figure=document["figure"],
        state=document["state"],
        reason=document.get("reason", ""),
        by=document.get("by", ""),
        at=document.get("at"),
    )
