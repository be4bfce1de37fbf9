"""The bank of each contest, in the quiz's store.

An import is all or nothing, also when the process dies in the middle: its questions are written under an import's id that nobody
reads yet, and one last write to the bank's head (a document a contest) makes them visible. What a crash left behind is deleted by
a later import. Two imports at once: the head is written only where it is as it was read; the later one looks again.

A correction is a new version of a question under the same id, brought in the same way: the last one stands, in the place of the
first.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from bson import Binary

from services.kit.clock import Clock, SystemClock
from services.kit.problems import Problem
from services.kit.store import FACTS, insert_facts, store_errors
from services.quiz.bank.duplicates import fingerprint
from services.quiz.domain import Question

if TYPE_CHECKING:
    from services.kit.store import Database

BULK = 1000
ABANDONED = timedelta(hours=1)
"""An import that is not visible after this long never will be."""


@dataclass(frozen=True)
class Entry:
    """A question as the bank keeps it: who added it or corrected it last, when, and since when it is retired."""

    question: Question
    by: str
    at: datetime
    retired: datetime | None


@dataclass(frozen=True)
class _Head:
    revision: int
    imports: tuple[str, ...]


class Bank:
    """The questions of each contest. All calls raise StoreDown."""

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self._questions = database["questions"].with_options(write_concern=FACTS)
        self._heads = database["banks"].with_options(write_concern=FACTS)
        self._clock = clock or SystemClock()

    async def questions(self, contest: str) -> tuple[Question, ...]:
        """The questions that papers may be drawn from, always in the same order."""
        return tuple(entry.question for entry in await self.entries(contest) if entry.retired is None)

    async def topics(self, contest: str) -> dict[str, int]:
        """How many questions in use each topic has."""
        return dict(Counter(question.topic for question in await self.questions(contest)))

    async def entries(self, contest: str) -> list[Entry]:
        """Every question, retired ones too, in the order in which they were added."""
        return await self._entries(contest, await self._head(contest))

    async def add(
        self, contest: str, questions: Sequence[Question], by: str, name: str = "", corrected: Collection[str] = ()
    ) -> int:
        """Adds all of these questions, or none. `name` is the import's id: the same import again adds nothing. Those whose ids
        are `corrected` become new versions of questions that the bank has. Returns how many.

        Raises Problem 409 where the bank has one of the other questions or ids already, or has not what is to be corrected.
        """
        name, written = name or uuid.uuid4().hex, False
        while True:
            head = await self._head(contest)
            if name in head.imports:
                return 0
            entries = await self._entries(contest, head)
            _refuse_known(entries, questions, corrected)
            if not written:
                await self._write(contest, questions, by, name, head, {e.question.id: e.retired for e in entries})
                written = True
            if await self._show(contest, head, name):
                return len(questions)

    async def retire(self, contest: str, id: str, retired: bool = True) -> bool:
        """Takes a question out of use, or back into it; papers that hold it stay as they are. False where there is none."""
        found = (await self._standing(contest, await self._head(contest))).get(id)
        if found is None:
            return False
        with store_errors():
            change = {"retired": self._clock.now() if retired else None}
            await self._questions.update_one({"_id": found["_id"]}, {"$set": change})
        return True

    async def _head(self, contest: str) -> _Head:
        with store_errors():
            found = await self._heads.find_one({"_id": contest})
        return _Head(found["revision"], tuple(found["imports"])) if found else _Head(0, ())

    async def _entries(self, contest: str, head: _Head) -> list[Entry]:
        return [_entry(document) for document in (await self._standing(contest, head)).values()]

    async def _standing(self, contest: str, head: _Head) -> dict[str, dict[str, Any]]:
        """The last version of each question by its id, in the order in which the first ones were added."""
        places = {name: place for place, name in enumerate(head.imports)}
        with store_errors():
            found = [d async for d in self._questions.find({"contest": contest}) if d["import"] in places]
        found.sort(key=lambda d: (places[d["import"]], d["n"]))
        return {document["id"]: document for document in found}  # a later one takes the place of the first

    async def _write(
        self,
        contest: str,
        questions: Sequence[Question],
        by: str,
        name: str,
        head: _Head,
        retired: Mapping[str, datetime | None],
    ) -> None:
        now = self._clock.now()
        left = {"contest": contest, "import": {"$nin": [*head.imports, name]}, "at": {"$lt": now - ABANDONED}}
        with store_errors():
            await self._questions.create_index("contest")
            await self._questions.delete_many(left)
        documents = [
            _document(contest, question, by, now, name, n) | {"retired": retired.get(question.id)}
            for n, question in enumerate(questions)
        ]
        for start in range(0, len(documents), BULK):
            await insert_facts(self._questions, documents[start : start + BULK])

    async def _show(self, contest: str, head: _Head, name: str) -> bool:
        """Makes an import visible, unless another changed the bank since `head` was read."""
        change = {"revision": head.revision + 1, "imports": [*head.imports, name]}
        if not head.revision:
            return not await insert_facts(self._heads, [{"_id": contest, **change}])
        with store_errors():
            done = await self._heads.update_one({"_id": contest, "revision": head.revision}, {"$set": change})
        return done.matched_count == 1


def _refuse_known(entries: Sequence[Entry], questions: Sequence[Question], corrected: Collection[str]) -> None:
    ids = {entry.question.id for entry in entries} - set(corrected)
    prints = {fingerprint(entry.question) for entry in entries if entry.question.id in ids}
    if missing := set(corrected) - {entry.question.id for entry in entries}:
        raise Problem(409, "bank-changed", "Ngân hàng không có câu {id} để sửa.", id=min(missing))
    for question in questions:
        if question.id in ids or fingerprint(question) in prints:
            raise Problem(409, "bank-changed", "Ngân hàng đã có câu {id}. Hãy kiểm tra lại tệp.", id=question.id)
        ids.add(question.id)


def _document(contest: str, question: Question, by: str, at: datetime, name: str, n: int) -> dict[str, Any]:
    return {
        "_id": f"{contest}/{name}/{n}",
        "contest": contest,
        "import": name,
        "n": n,
        "id": question.id,
        "topic": question.topic,
        "difficulty": question.difficulty,
        "text": question.text,
        "options": list(question.options),
        "right": sorted(question.right),
        "source": question.source,
        "picture": question.picture,
        "picture_alt": question.picture_alt,
        "explanation": question.explanation,
        "by": by,
        "at": at,
    }


def _entry(document: Mapping[str, Any]) -> Entry:
    question = Question(
        id=document["id"],
        topic=document["topic"],
        text=document["text"],
        options=tuple(document["options"]),
        right=frozenset(document["right"]),
        source=document["source"],
        difficulty=document["difficulty"],
        picture=document["picture"],
        picture_alt=document["picture_alt"],
        explanation=document.get("explanation", ""),
    )
    return Entry(question, document["by"], document["at"], document["retired"])


class Media:
    """Pictures by their digest. What stands under a digest never changes."""

    def __init__(self, database: Database) -> None:
        self._media = database["media"]

    async def add(self, pictures: Mapping[str, bytes]) -> None:
        """Keeps pictures. Raises StoreDown."""
        for digest, body in pictures.items():  # one by one: together they may be more than one message to the store takes
            await insert_facts(self._media, [{"_id": digest, "body": Binary(body)}])

    async def get(self, digest: str) -> bytes | None:
        """A picture (WebP), or None. Raises StoreDown."""
        with store_errors():
            found = await self._media.find_one({"_id": digest})
        return bytes(found["body"]) if found else None
