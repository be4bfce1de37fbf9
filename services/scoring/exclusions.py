"""Who competes for no prize of a round, and why: organisers and who set the questions, above all. They keep their rank."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

from services.kit.store import FACTS, insert_facts, store_errors

if TYPE_CHECKING:
    from services.kit.store import Database

Why = Literal["account", "organiser", "questions", "family", "other"]
WHYS: tuple[Why, ...] = get_args(Why)
"""`account` is said by no person: somebody registered with the e-mail of an organiser's account."""

WHY_NAMES: dict[Why, str] = {
    "account": "Tài khoản của Ban Tổ chức",
    "organiser": "Thành viên Ban Tổ chức",
    "questions": "Tham gia ra đề",
    "family": "Người nhà của Ban Tổ chức",
    "other": "Lý do khác",
}


@dataclass(frozen=True, kw_only=True)
class Exclusion:
    """The published file shows `why` alone: `reason` is a person's words and may name somebody; of an `account` it is its id."""

    participant: str
    why: Why
    reason: str
    by: str
    at: datetime


class Exclusions:
    """The collection `exclusions`: one document a round (or contest) and person. All calls raise StoreDown."""

    def __init__(self, database: Database) -> None:
        self._held = database["exclusions"].with_options(write_concern=FACTS)

    async def of(self, round: str) -> list[Exclusion]:
        """Everyone who is excluded from a round's prizes now, in order of participant."""
        with store_errors():
            found = [_exclusion(document) async for document in self._held.find({"round": round, "over": False})]
        return sorted(found, key=lambda each: each.participant)

    async def put(self, round: str, exclusion: Exclusion) -> None:
        """Excludes somebody; a newer word replaces the older."""
        await self._set(round, exclusion.participant, _fields(round, exclusion))

    async def overall(self, contest: str, rounds: Iterable[str]) -> list[Exclusion]:
        """Everyone who is excluded from the prizes over all rounds: who is from those of a round, or of the contest itself,
        unless the contest's own word is another."""
        found = {each.participant: each for round in rounds for each in await self.of(round)}
        found |= {each.participant: each for each in await self.of(contest)}
        with store_errors():
            lifted = {d["participant"] async for d in self._held.find({"round": contest, "over": True}, {"participant": 1})}
        return [found[who] for who in sorted(found.keys() - lifted)]

    async def decided(self, rounds: Sequence[str]) -> set[str]:
        """The people of whom something was said in these rounds, whatever it was."""
        with store_errors():
            return {d["participant"] async for d in self._held.find({"round": {"$in": list(rounds)}}, {"participant": 1})}

    async def propose(self, round: str, exclusions: Iterable[Exclusion]) -> None:
        """Excludes these, except those of whom a person has said something."""
        await insert_facts(self._held, [{"_id": f"{round}/{each.participant}", **_fields(round, each)} for each in exclusions])

    async def end(self, round: str, participant: str, reason: str, by: str, at: datetime) -> None:
        """Lets somebody compete again."""
        lifted = {"reason": reason, "by": by, "at": at}
        await self._set(round, participant, {"round": round, "participant": participant, "over": True, "lifted": lifted})

    async def _set(self, round: str, participant: str, fields: Mapping[str, Any]) -> None:
        with store_errors():
            await self._held.update_one({"_id": f"{round}/{participant}"}, {"$set": dict(fields)}, upsert=True)


def _fields(round: str, exclusion: Exclusion) -> dict[str, Any]:
    fields = {name: getattr(exclusion, name) for name in Exclusion.__dataclass_fields__}
    return fields | {"round": round, "over": False}


def _exclusion(document: Mapping[str, Any]) -> Exclusion:
    return Exclusion(**{name: document[name] for name in Exclusion.__dataclass_fields__})
