"""How a ranked round becomes a published one: what organisers ask for, what came of it, and the file that all may recompute.

A round's settlement goes draft → asked → settled → published. `asked` is the worker's turn; `settled` waits for a person to look
at the winners; a settled one may be taken back to draft, a published one never.
"""

from __future__ import annotations

import gzip
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from bson import Binary

from services.events import PrizesAwarded, RoundFinalised
from services.kit.store import FACTS, insert_facts, store_errors
from services.scoring.draw import Drawing, commitment, new_seed
from services.scoring.prizes import Award, Prize
from services.scoring.publication import Draws

if TYPE_CHECKING:
    from services.kit.store import Database

Phase = Literal["draft", "asked", "settled", "published"]

_PIECE = 4 * 1024 * 1024
_prizes = msgspec.json.Decoder(tuple[Prize, ...])


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Who won, and how: what the pages show. `names` is what everyone may see of each winner, by their id in the file;
    `finalised` (of a round) and `awarded` are the events that tell of it, `uncounted` the units that did not compete by rate
    because nobody knows their headcount. `checksum` names the standings, `basis` all that the file rests on (`Head.basis`)."""

    awards: tuple[Award, ...]
    draws: Draws | None
    names: dict[str, str]
    units: dict[str, str]
    digest: str
    checksum: str
    perfect: int
    finalised_at: datetime
    finalised: RoundFinalised | None = None
    awarded: PrizesAwarded | None = None
    uncounted: tuple[str, ...] = ()
    basis: str = ""


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """A person's word that a round is settled although a journal was not heard to be drained, or the audit does not agree."""

    reason: str
    by: str
    at: datetime


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """Where a round's settlement stands. `checksum` names the standings that it was asked for."""

    round: str
    phase: Phase = "draft"
    prizes: tuple[Prize, ...] = ()
    unit_prizes: tuple[Prize, ...] = ()
    checksum: str = ""
    fault: str = ""
    outcome: Outcome | None = None
    override: Override | None = None


@dataclass(frozen=True, kw_only=True)
class Committed:
    """What draws of a round rest on, and since when. `salt` hides people in the published file."""

    drawing: Drawing
    salt: bytes
    committed_at: datetime

    @property
    def commitment(self) -> str:
        return commitment(self.drawing.seed)


class Settlements:
    """The collections `settlements`, `draws` (secret until published) and `files`."""

    def __init__(self, database: Database) -> None:
        self._settlements = database["settlements"].with_options(write_concern=FACTS)
        self._draws, self._files = database["draws"], database["files"]

    async def commit(self, round: str, at: datetime) -> None:
        """Makes the secrets of a round, unless it has them. Raises StoreDown."""
        fact = {"_id": round, "seed": Binary(new_seed()), "salt": Binary(secrets.token_bytes(32)), "at": at}
        await insert_facts(self._draws, [fact])

    async def committed(self, round: str) -> Committed | None:
        """The secrets of a round. Raises StoreDown."""
        with store_errors():
            found = await self._draws.find_one({"_id": round})
        if found is None:
            return None
        return Committed(drawing=Drawing(seed=bytes(found["seed"])), salt=bytes(found["salt"]), committed_at=found["at"])

    async def get(self, round: str) -> Settlement:
        """Where a round stands; one of which nothing was asked is a draft. Raises StoreDown."""
        with store_errors():
            found = await self._settlements.find_one({"_id": round})
        return Settlement(round=round) if found is None else _settlement(found)

    async def asked(self) -> list[Settlement]:
        """What waits for the worker. Raises StoreDown."""
        with store_errors():
            return [_settlement(found) async for found in self._settlements.find({"phase": "asked"})]

    async def published(self) -> list[Settlement]:
        """What is final. Raises StoreDown."""
        with store_errors():
            return [_settlement(found) async for found in self._settlements.find({"phase": "published"})]

    async def plan(self, round: str, prizes: Sequence[Prize], unit_prizes: Sequence[Prize]) -> bool:
        """Sets the prizes of a draft; False where it is none any more. Raises StoreDown."""
        await insert_facts(self._settlements, [{"_id": round, "phase": "draft"}])
        return await self._move(
            round,
            "draft",
            {"prizes": Binary(msgspec.json.encode(prizes)), "unit_prizes": Binary(msgspec.json.encode(unit_prizes))},
        )

    async def ask(self, round: str, checksum: str, override: Override | None) -> bool:
        """Asks for the outcome by these standings; `override` is there only where it rests on one. Raises StoreDown."""
        await insert_facts(self._settlements, [{"_id": round, "phase": "draft"}])
        asked = {"phase": "asked", "checksum": checksum, "fault": "", "override": _packed(override)}
        return await self._move(round, "draft", asked)

    async def settle(self, round: str, outcome: Outcome) -> bool:
        """Keeps what came of it. Raises StoreDown."""
        return await self._move(round, "asked", {"phase": "settled", "outcome": Binary(msgspec.json.encode(outcome))})

    async def give_up(self, round: str, fault: str) -> bool:
        """Back to draft, with the reason. Raises StoreDown."""
        return await self._move(round, "asked", {"phase": "draft", "fault": fault})

    async def reopen(self, round: str) -> bool:
        """Takes a settled round back. Raises StoreDown."""
        return await self._move(round, "settled", {"phase": "draft", "override": None})

    async def set_aside(self, round: str, override: Override) -> bool:
        """Notes on a draft that a person goes on without what is missing. Raises StoreDown."""
        await insert_facts(self._settlements, [{"_id": round, "phase": "draft"}])
        return await self._move(round, "draft", {"override": _packed(override)})

    async def publish(self, round: str) -> bool:
        """For good. Raises StoreDown."""
        return await self._move(round, "settled", {"phase": "published", "told": False})

    async def untold(self) -> list[Settlement]:
        """Published rounds of which nobody was told. Raises StoreDown."""
        with store_errors():
            return [_settlement(found) async for found in self._settlements.find({"phase": "published", "told": False})]

    async def told(self, round: str) -> None:
        """Its event is out. Raises StoreDown."""
        with store_errors():
            await self._settlements.update_one({"_id": round}, {"$set": {"told": True}})

    async def keep_file(self, round: str, digest: str, content: bytes) -> None:
        """Keeps the published file, compressed, in pieces. Raises StoreDown."""
        packed = gzip.compress(content, compresslevel=6, mtime=0)
        for number, start in enumerate(range(0, len(packed), _PIECE)):
            piece = {"_id": f"{round}/{digest}/{number}", "body": Binary(packed[start : start + _PIECE])}
            await insert_facts(self._files, [piece])

    async def file(self, round: str, digest: str) -> AsyncIterator[bytes]:
        """The pieces of the compressed file. Raises StoreDown."""
        number = 0
        while True:
            with store_errors():
                found = await self._files.find_one({"_id": f"{round}/{digest}/{number}"})
            if found is None:
                return
            yield bytes(found["body"])
            number += 1

    async def _move(self, round: str, phase: Phase, change: Mapping[str, Any]) -> bool:
        with store_errors():
            result = await self._settlements.update_one({"_id": round, "phase": phase}, {"$set": change})
        return bool(result.matched_count)


def _packed(override: Override | None) -> Binary | None:
    return None if override is None else Binary(msgspec.json.encode(override))


def _settlement(found: Mapping[str, Any]) -> Settlement:
    outcome, override = found.get("outcome"), found.get("override")
    return Settlement(
        round=found["_id"],
        phase=found["phase"],
        prizes=_prizes.decode(found["prizes"]) if "prizes" in found else (),
        unit_prizes=_prizes.decode(found["unit_prizes"]) if "unit_prizes" in found else (),
        checksum=found.get("checksum", ""),
        fault=found.get("fault", ""),
        outcome=msgspec.json.decode(outcome, type=Outcome) if outcome and found["phase"] in ("settled", "published") else None,
        override=msgspec.json.decode(override, type=Override) if override else None,
    )
