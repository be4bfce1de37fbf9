"""What authoring keeps in the quiz's store.

authored   a contest being made, with its revision; and its last publication, whole, until everyone has been told of it
contests   who has an id, and the texts of the contest as published (also: of a directory, its digest and bank)
papers     a round's papers and key, each sealed; `told` once the key went out
changes    every change of a round's plan, a fact under round/revision: of two, one has it
banners, extra_time   as they stand; pending_units  the file of units that was tried last
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from bson import Binary

from services.events import ContestPublished
from services.kit.problems import Problem
from services.kit.store import FACTS, insert_facts, store_errors
from services.quiz.authoring.drafts import ContestDraft

if TYPE_CHECKING:
    from services.kit.store import Database


class Drafts:
    """The contests being made. All calls raise StoreDown."""

    def __init__(self, database: Database) -> None:
        self._authored = database["authored"].with_options(write_concern=FACTS)
        self._contests = database["contests"].with_options(write_concern=FACTS)
        self._pending = database["pending_units"]

    async def all(self) -> list[ContestDraft]:
        """Every contest, in no order."""
        with store_errors():
            return [_draft(document) async for document in self._authored.find({})]

    async def ids(self) -> list[str]:
        """Every id that is taken."""
        with store_errors():
            return [str(document["_id"]) async for document in self._contests.find({}, {"_id": 1})]

    async def get(self, contest: str) -> ContestDraft:
        """A contest. Raises Problem 404."""
        with store_errors():
            document = await self._authored.find_one({"_id": contest})
        if document is None:
            raise Problem(404, "contest", "Không có cuộc thi này.", field="contest")
        return _draft(document)

    async def create(self, draft: ContestDraft) -> None:
        """Takes the id and keeps the draft under it. Raises Problem 409 where another contest has the id."""
        if await insert_facts(self._contests, [{"_id": draft.id, "digest": "", "title": draft.title}]):
            raise Problem(409, "contest-id", "Đã có cuộc thi mang mã {id}.", field="id", id=draft.id)
        await self.adopt(draft)

    async def adopt(self, draft: ContestDraft) -> None:
        """Keeps a draft whose id is taken already: a contest that came from a directory. One that is there stays."""
        await insert_facts(self._authored, [{"_id": draft.id, "revision": 0, "body": _body(draft), "told": True}])

    async def save(self, draft: ContestDraft, publication: ContestPublished | None = None) -> ContestDraft:
        """Keeps a change of what was read at `draft.revision`, and returns it at the next. With a `publication`, that is what
        everyone is to be told next. Raises Problem 409 where somebody else was quicker."""
        new = msgspec.structs.replace(draft, revision=draft.revision + 1)
        change: dict[str, Any] = {"revision": new.revision, "body": _body(new)}
        if publication is not None:
            texts = {"title": new.title, "consent": {"version": new.consent_version, "text": new.consent_text}}
            body = Binary(msgspec.json.encode(publication))
            change |= {"publication": {"revision": publication.revision, "body": body, "texts": texts}, "told": False}
        with store_errors():
            done = await self._authored.update_one({"_id": draft.id, "revision": draft.revision}, {"$set": change})
        if done.matched_count != 1:
            raise Problem(409, "draft-changed", "Người khác vừa sửa cuộc thi này. Hãy tải lại trang rồi làm lại.")
        return new

    async def take_back(self, draft: ContestDraft) -> None:
        """Keeps a change of what was read at `draft.revision`, whose publication nobody will be told of. Where somebody else was
        quicker to change or to tell it, nothing is changed."""
        new = msgspec.structs.replace(draft, revision=draft.revision + 1)
        change = {"revision": new.revision, "body": _body(new), "told": True}
        with store_errors():
            await self._authored.update_one({"_id": draft.id, "revision": draft.revision, "told": False}, {"$set": change})

    async def keep_pending(self, contest: str, text: str) -> None:
        """Keeps a file of units between its dry run and its import."""
        with store_errors():
            await self._pending.update_one({"_id": contest}, {"$set": {"text": text}}, upsert=True)

    async def pending(self, contest: str) -> str:
        """The file that was tried last; "" where there is none."""
        with store_errors():
            found = await self._pending.find_one({"_id": contest})
        return str(found["text"]) if found else ""

    async def untold(self) -> list[tuple[ContestDraft, ContestPublished, dict[str, Any]]]:
        """The contests with a publication that is not done yet: the event, and the texts that no event carries."""
        with store_errors():
            documents = [document async for document in self._authored.find({"told": False})]
        kept = [(_draft(document), document["publication"]) for document in documents]
        return [(draft, msgspec.json.decode(p["body"], type=ContestPublished), p["texts"]) for draft, p in kept]

    async def show_texts(self, contest: str, texts: dict[str, Any]) -> None:
        """Writes what participants read of a contest beside its event."""
        with store_errors():
            await self._contests.update_one({"_id": contest}, {"$set": texts})

    async def shown_consent(self, contest: str) -> str:
        """The consent that participants read; "" before the first publication."""
        with store_errors():
            found = await self._contests.find_one({"_id": contest}, {"consent": 1})
        return str(found.get("consent", {}).get("text", "")) if found else ""

    async def told(self, contest: str, revision: int) -> None:
        """Everyone knows this publication."""
        with store_errors():
            await self._authored.update_one({"_id": contest, "publication.revision": revision}, {"$set": {"told": True}})


def _draft(document: dict[str, Any]) -> ContestDraft:
    return msgspec.structs.replace(msgspec.json.decode(document["body"], type=ContestDraft), revision=document["revision"])


def _body(draft: ContestDraft) -> Binary:
    return Binary(msgspec.json.encode(draft))


class Notes:
    """Banners and extra time. All calls raise StoreDown."""

    def __init__(self, database: Database) -> None:
        self._banners = database["banners"].with_options(write_concern=FACTS)
        self._extra = database["extra_time"].with_options(write_concern=FACTS)
        self._changes = database["changes"]

    async def put_banner(self, contest: str, text: str, level: str, until: datetime) -> None:
        """The banner of a contest; an empty text takes it down."""
        with store_errors():
            await self._banners.update_one(
                {"_id": contest}, {"$set": {"text": text, "level": level, "until": until}}, upsert=True
            )

    async def grant(self, round: str, kind: str, target: str, minutes: int, reason: str, by: str, at: datetime) -> None:
        """Extra minutes in a round for a `participant`, a `unit` with all below it, or a `category`; 0 takes them back."""
        fact = {"round": round, "kind": kind, "target": target, "minutes": minutes, "reason": reason, "by": by, "at": at}
        with store_errors():
            await self._extra.update_one({"_id": f"{round}|{kind}|{target}"}, {"$set": fact}, upsert=True)

    async def read(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
        """All banners, grants, and changes that people made."""
        with store_errors():
            banners = [document async for document in self._banners.find({})]
            grants = [document async for document in self._extra.find({})]
            changes = [document async for document in self._changes.find({"public": True}, {"body": 0})]
        return banners, grants, changes
