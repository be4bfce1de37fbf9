"""Who competes for no prize of a round, and why: organisers and who set the questions, above all. They keep their rank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

from services.kit.store import FACTS, store_errors

if TYPE_CHECKING:
    from services.kit.store import Database

Why = Literal["organiser", "questions", "family", "other"]
WHYS: tuple[Why, ...] = get_args(Why)

WHY_NAMES: dict[Why, str] = {
    "organiser": "Thành viên Ban Tổ chức",
    "questions": "Tham gia ra đề",
    "family": "Người nhà của Ban Tổ chức",
    "other": "Lý do khác",
}


@dataclass(frozen=True, kw_only=True)
class Exclusion:
    """The published file shows `why` alone: `reason` is a person's words and may name somebody."""

    participant: str
    why: Why
    reason: str
    by: str
    at: datetime


class Exclusions:
    """The collection `exclusions`: one document a round and person. All calls raise StoreDown."""

    def __init__(self, database: Database) -> None:
        self._held = database["exclusions"].with_options(write_concern=FACTS)

    async def of(self, round: str) -> list[Exclusion]:
        """Everyone who is excluded from a round's prizes now, in order of participant."""
        with store_errors():
            found = [_exclusion(document) async for document in self._held.find({"round": round, "over": False})]
        return sorted(found, key=lambda each: each.participant)

    async def put(self, round: str, exclusion: Exclusion) -> None:
        """Excludes somebody; a newer word replaces the older."""
        fields = {name: getattr(exclusion, name) for name in Exclusion.__dataclass_fields__}
        await self._set(round, exclusion.participant, fields | {"round": round, "over": False})

    async def end(self, round: str, participant: str) -> None:
        """Lets somebody compete again."""
        await self._set(round, participant, {"over": True})

    async def _set(self, round: str, participant: str, fields: Mapping[str, Any]) -> None:
        with store_errors():
            await self._held.update_one({"_id": f"{round}/{participant}"}, {"$set": dict(fields)}, upsert=True)


def _exclusion(document: Mapping[str, Any]) -> Exclusion:
    return Exclusion(**{name: document[name] for name in Exclusion.__dataclass_fields__})
