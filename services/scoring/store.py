"""What scoring keeps: verdicts, one fact a revision; standings under the checksum of their rows; partitions' snapshots and views.

The verdicts of an attempt are a chain of revisions from 0, and each outdoes the one before. A revision is inserted under its id,
so that of two workers only one can take it; the other compares, and gives way or goes one higher. So a worker that has not
noticed yet that it lost its partition, or one that replays after a crash, can never put a worse verdict above a better one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from bson import Binary

from services.events import RoundPlan, RoundRanked
from services.kit.bus import partition_of
from services.kit.store import FACTS, find_ids, insert_facts, store_errors
from services.scoring.domain import Judged, Mark, Row, State, Tally, Verdict
from services.scoring.handlers import PAGE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from services.kit.store import Collection, Database

R = TypeVar("R", bound=RoundRanked)

_WINDOW = 4
"""Revisions of an attempt that are looked for at once: hardly one has more."""

_BULK = 1000
_judgements = msgspec.msgpack.Decoder(Judged)
_rows = msgspec.msgpack.Decoder(list[Row])
_ranks = msgspec.msgpack.Decoder(dict[str, tuple[int, int]])
_states = msgspec.msgpack.Decoder(State)
_marks = msgspec.msgpack.Decoder(dict[str, Mark])


def snapshots(database: Database) -> Collection:
    """The whole state of each partition. (`snapshots` held no digests of e-mails; without one, the log is read anew.)"""
    return database["snapshots_2"]


def views(database: Database) -> Collection:
    """The marks of each partition's rounds."""
    return database["views"]


class Verdicts:
    """The collection `verdicts`: `_id` is attempt/revision, `body` the whole judgement in MessagePack."""

    def __init__(self, database: Database) -> None:
        self._facts = database["verdicts"]

    async def settle(self, judgements: Sequence[Judged]) -> tuple[dict[str, Judged], list[Judged]]:
        """Inserts judgements, one an attempt. Returns what stands now for each attempt, and those that differ from what was asked
        for: another worker, or this one before a crash, had its say. Raises StoreDown; then any part may have been written."""
        standing: dict[str, Judged] = {}
        waiting = list(judgements)
        while waiting:
            bulk, waiting = waiting[:_BULK], waiting[_BULK:]
            taken = await insert_facts(self._facts, [_document(judged) for judged in bulk])
            standing |= {judged.attempt: judged for judged in bulk if _id(judged) not in taken}
            disputed = [judged for judged in bulk if _id(judged) in taken]
            held = await self.standing(judged.attempt for judged in disputed)
            for judged in disputed:
                other = held[judged.attempt]
                judged = judged.under(other)
                if judged.outdoes(other):
                    waiting.append(msgspec.structs.replace(judged, revision=other.revision + 1))
                else:
                    standing[judged.attempt] = other
        return standing, [standing[each.attempt] for each in judgements if standing[each.attempt].revision != each.revision]

    async def standing(self, attempts: Iterable[str]) -> dict[str, Judged]:
        """The highest revision of these attempts; those without a verdict are left out. Raises StoreDown."""
        return {attempt: chain[-1] for attempt, chain in (await self.chains(attempts)).items()}

    async def chains(self, attempts: Iterable[str]) -> dict[str, list[Judged]]:
        """All revisions of these attempts, in order; those without a verdict are left out. Raises StoreDown."""
        chains: dict[str, list[Judged]] = {}
        asked, first = set(attempts), 0
        while asked:
            window = range(first, first + _WINDOW)
            found = await find_ids(self._facts, [f"{attempt}/{revision}" for attempt in asked for revision in window])
            for judged in sorted(map(_judged, found.values()), key=lambda judged: judged.revision):
                chains.setdefault(judged.attempt, []).append(judged)
            first += _WINDOW
            asked = {attempt for attempt in asked if attempt in chains and chains[attempt][-1].revision == first - 1}
        return chains

    async def all(self) -> AsyncIterator[tuple[str, int, Verdict]]:
        """Attempt, revision and verdict of every fact, in no order. Raises StoreDown."""
        with store_errors():
            async for document in self._facts.find({}, {"verdict": 1}):
                attempt, _, revision = document["_id"].rpartition("/")
                yield attempt, int(revision), document["verdict"]


def _id(judged: Judged) -> str:
    return f"{judged.attempt}/{judged.revision}"


def _document(judged: Judged) -> dict[str, Any]:
    # The store takes in half as much again of these as of documents with a field for each.
    return {"_id": _id(judged), "verdict": judged.verdict, "body": _binary(judged)}


def _judged(document: Mapping[str, Any]) -> Judged:
    return _judgements.decode(document["body"])


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What a ranked round is: written after all of its pages. `closes` (µs) and `marks` say on what it rests; `told` whether what
    is to be told of it by now is out. `checksum` names the pages; units that hold everybody (`whole`) have none of their own."""

    revision: int
    checksum: str
    closes: int
    marks: bytes
    ranked_at: datetime
    people: int
    attempts: int
    valid: int
    perfect: int
    told: bool = False
    whole: tuple[str, ...] = ()

    @property
    def basis(self) -> str:
        """Names all that a published file of these standings rests on: also the attempts that no row shows."""
        return sha256(f"{self.revision}\n{self.checksum}\n".encode() + self.marks).hexdigest()

    @property
    def tally(self) -> Tally:
        return Tally(self.attempts, self.valid, self.perfect)

    def told_as(self, kind: type[R], plan: RoundPlan, at: datetime) -> R:
        """The event that tells of these standings."""
        return kind(
            time=at,
            round=plan.id,
            contest=plan.contest,
            people=self.people,
            attempts=self.attempts,
            valid=self.valid,
            perfect=self.perfect,
            pages=self.pages,
            checksum=self.checksum,
            revision=self.revision,
        )

    @property
    def pages(self) -> int:
        """How many pages the standings have."""
        return -(-self.people // PAGE)


class Standings:
    """Pages of rows, whole and by unit, and each person's rank. They are named by the checksum of all rows: what is written twice
    is the same, and who is reading on while a round is ranked anew goes on in the old pages."""

    def __init__(self, database: Database) -> None:
        self._database, self._pages, self._ranks = database, database["standings"], database["ranks"]
        self._heads, self._provisional = database["rounds"], database["provisional"]

    async def views(self) -> dict[int, View]:
        """How far the partitions have come. Raises StoreDown."""
        return await read_views(self._database)

    async def head(self, round: str) -> Head | None:
        """The standings of a round that has been ranked. Raises StoreDown."""
        with store_errors():
            document = await self._heads.find_one({"_id": round})
        return None if document is None else msgspec.convert({**document, "marks": bytes(document["marks"])}, Head)

    async def write(self, round: str, checksum: str, scopes: Mapping[str, Sequence[Row]]) -> None:
        """Writes the pages of every scope (a unit's code; "" is everybody) and the ranks. Raises StoreDown."""
        pages = [
            {
                "_id": _page_id(round, checksum, scope, start // PAGE),
                "body": _binary(rows[start : start + PAGE]),
                "more": len(rows) > start + PAGE,
            }
            for scope, rows in scopes.items()
            for start in range(0, len(rows), PAGE)
        ]
        await _insert(self._pages, pages)
        people = len(scopes[""])
        buckets: dict[int, dict[str, tuple[int, int]]] = {}
        for row in scopes[""]:
            buckets.setdefault(_bucket(row.participant, people), {})[row.participant] = (row.n, row.rank)
        await _insert(self._ranks, [{"_id": f"{round}/{checksum}/{n}", "body": _binary(ranks)} for n, ranks in buckets.items()])

    async def claim(self, round: str, held: Head | None, head: Head) -> bool:
        """Makes this the head of the round, where `held` still is it. Raises StoreDown."""
        document = msgspec.structs.asdict(head) | {"marks": Binary(head.marks)}
        heads = self._heads.with_options(write_concern=FACTS)
        with store_errors():
            if held is None:
                return not await insert_facts(self._heads, [{"_id": round, **document}])
            result = await heads.update_one({"_id": round, "revision": held.revision, "told": held.told}, {"$set": document})
            return result.matched_count == 1

    async def page(self, round: str, checksum: str, unit: str, page: int) -> tuple[list[Row], bool] | None:
        """The rows of a page and whether another follows; None where there is no such page. Raises StoreDown."""
        with store_errors():
            document = await self._pages.find_one({"_id": _page_id(round, checksum, unit, page)})
        return None if document is None else (_rows.decode(document["body"]), document["more"])

    async def rank(self, round: str, head: Head, participant: str) -> tuple[int, int] | None:
        """The n of a person's attempt that counts, and its rank. Raises StoreDown."""
        with store_errors():
            document = await self._ranks.find_one({"_id": f"{round}/{head.checksum}/{_bucket(participant, head.people)}"})
        return None if document is None else _ranks.decode(document["body"]).get(participant)

    async def provisional(self, round: str, unit: str) -> list[Row]:
        """The top of a unit ("" is everybody) in a round that still runs. Raises StoreDown."""
        with store_errors():
            document = await self._provisional.find_one({"_id": f"{round}/{unit}"})
        return [] if document is None else _rows.decode(document["body"])

    async def write_provisional(self, round: str, scopes: Mapping[str, Sequence[Row]]) -> None:
        """Replaces the tops of these units in a round that still runs. Raises StoreDown."""
        with store_errors():
            for unit, rows in scopes.items():
                change = {"$set": {"body": _binary(rows)}}
                await self._provisional.update_one({"_id": f"{round}/{unit}"}, change, upsert=True)


def _page_id(round: str, checksum: str, unit: str, page: int) -> str:
    return f"{round}/{checksum}/{unit}/{page}"


def _bucket(participant: str, people: int) -> int:
    return partition_of(participant, people // PAGE + 1)


def _binary(value: object) -> Binary:
    return Binary(msgspec.msgpack.encode(value))


async def _insert(collection: Collection, documents: Sequence[Mapping[str, Any]]) -> None:
    for start in range(0, len(documents), 100):
        await insert_facts(collection, documents[start : start + 100])


async def read_states(database: Database, round: str, marks: Mapping[int, Mark]) -> dict[int, State] | None:
    """The states of these partitions from their snapshots; None while one of them is behind its view. Raises StoreDown."""
    states: dict[int, State] = {}
    for p, mark in marks.items():
        state = await read_state(database, p)
        if state.rounds.get(round) != mark:
            return None
        states[p] = state
        await asyncio.sleep(0)
    return states


async def read_state(database: Database, partition: int) -> State:
    """A partition's state from its snapshot. Raises StoreDown."""
    with store_errors():
        document = await snapshots(database).find_one({"_id": partition})
    return _states.decode(document["body"]) if document else State()


class View(msgspec.Struct, frozen=True):
    """How far a partition has come, and the marks of its rounds then."""

    offsets: dict[str, int]
    rounds: dict[str, Mark]


async def read_views(database: Database) -> dict[int, View]:
    """The views that there are, by partition. Raises StoreDown."""
    with store_errors():
        return {d["_id"]: View(d["offsets"], _marks.decode(d["body"])) async for d in views(database).find({})}


def taken_in(topic: str, ends: Mapping[int, int], views: Mapping[int, View]) -> bool:
    """Whether the owners have taken in all of a topic up to these ends of its partitions."""
    return all(p in views and views[p].offsets.get(topic, 0) >= end for p, end in ends.items() if end)


def marks_of(round: str, views: Mapping[int, View]) -> dict[int, Mark]:
    """The marks of a round, by partition."""
    return {p: view.rounds[round] for p, view in sorted(views.items()) if round in view.rounds}


def encoded(marks: Mapping[int, Mark]) -> bytes:
    """Marks as a head has them."""
    return msgspec.msgpack.encode(marks)
