"""Mends a wrong key. A new version is proposed to scoring, which shows what it would change; then it is published, or dropped.

Nothing is edited in place: every version stays, sealed, with who proposed it and why. Before the round opens nobody is told of a
version, as of the first one; after it has closed, none is published whose difference nobody has looked at.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec
from bson import Binary

from services.events import ContestBook, RoundKeyed, RoundPlan, state_at
from services.kit.problems import Problem
from services.kit.runtime import Runtime
from services.kit.security import BadToken
from services.kit.store import FACTS, insert_facts, store_errors
from services.kit.tokens import looked_at, trial
from services.quiz.authoring.publishing import KEY_VERSION, Key
from services.quiz.authoring.sealing import Seal
from services.quiz.bank.store import Bank
from services.quiz.domain import LETTERS, Question, mended

State = Literal["proposed", "published", "dropped"]


@dataclass(frozen=True, kw_only=True)
class Amendment:
    """A version of a round's key after the first: which question, its right options in its own letters, why, by whom."""

    round: str
    version: int
    question: str
    right: str
    reason: str
    by: str
    at: datetime
    state: State


class Mending:
    """All calls raise StoreDown."""

    def __init__(self, runtime: Runtime, book: ContestBook) -> None:
        self._runtime, self._book, self._seal = runtime, book, Seal(runtime.secrets)
        self._looked_at = looked_at(runtime.secrets)
        self._bank = Bank(runtime.store)
        self._papers = runtime.store["papers"]
        self._keys = runtime.store["amendments"].with_options(write_concern=FACTS)

    async def questions(self, plan: RoundPlan) -> list[tuple[Question, str]]:
        """The questions that the papers of a round hold, each with the letters that its key has now."""
        key = await self._key(plan.id)
        used = {place.rpartition(":")[0] for layout in key.layouts.values() for place in layout}
        changed = {each.question: each.right for each in await self.amendments(plan.id) if each.state == "published"}
        known = key.questions or [entry.question for entry in await self._bank.entries(plan.contest)]
        return [(question, changed.get(question.id) or letters_of(question.right)) for question in known if question.id in used]

    async def amendments(self, round: str) -> list[Amendment]:
        """Every version after the first, in order."""
        with store_errors():
            found = [document async for document in self._keys.find({"round": round})]
        return sorted(map(_amendment, found), key=lambda each: each.version)

    async def propose(self, round: str, question: str, right: str, reason: str, by: str) -> Amendment:
        """Raises Problem 404, 409 or 422."""
        plan = self._plan(round)
        standing = {known.id: (known, letters) for known, letters in await self.questions(plan)}
        if question not in standing:
            raise Problem(404, "question", "Câu hỏi này không có trong đề của vòng thi.", field="question")
        known, letters = standing[question]
        chosen = _chosen(known, right)
        if letters_of(chosen) == letters:
            raise Problem(422, "right", "Đáp án này không khác đáp án hiện có.", field="right")
        if not reason.strip():
            raise Problem(422, "reason", "Hãy ghi lý do.", field="reason")
        versions = await self.amendments(round)
        if any(each.state == "proposed" for each in versions):
            raise Problem(409, "proposed", "Đang có một đáp án mới chờ quyết định. Hãy công bố hoặc bỏ nó trước.")
        key = await self._key(round)
        papers = {code: mended(held, key.layouts[code], question, chosen) for code, held in key.papers.items()}
        fact = {
            "version": max([KEY_VERSION, *(each.version for each in versions)]) + 1,
            "round": round,
            "question": question,
            "right": letters_of(chosen),
            "reason": " ".join(reason.split()),
            "by": by,
            "at": self._runtime.clock.now(),
            "state": "proposed",
            "told": False,
            "key": Binary(self._seal.close(round, "key", msgspec.json.encode(msgspec.structs.replace(key, papers=papers)))),
        }
        if await insert_facts(self._keys, [{"_id": f"{round}/{fact['version']}", **fact}]):
            raise Problem(409, "proposed", "Đang có một đáp án mới chờ quyết định. Hãy công bố hoặc bỏ nó trước.")
        amendment = _amendment(fact)
        await self._tell(amendment)
        return amendment

    def shown(self, plan: RoundPlan, version: int, seen: str) -> bool:
        """Whether `seen` is what scoring gives to who looks at the trial of a version, made since the round's last end."""
        try:
            return self._looked_at.verify(seen) == trial(plan.id, version, plan.closes)
        except BadToken:
            return False

    async def decide(self, round: str, version: int, state: Literal["published", "dropped"], seen: str = "") -> None:
        """Publishes a proposed version, or drops it. Once the round has closed, `seen` shows that the trial was looked at. Raises
        Problem 404 or 409."""
        plan = self._plan(round)
        closed = self._runtime.clock.now() >= plan.closes
        if state == "published" and closed and not self.shown(plan, version, seen):
            raise Problem(409, "no-trial", "Vòng đã đóng: hãy xem ai lên, ai xuống rồi mới công bố đáp án mới.", field="seen")
        found = next((each for each in await self.amendments(round) if each.version == version), None)
        if found is None:
            raise Problem(404, "version", "Không có đáp án này.", field="version")
        with store_errors():
            query = {"_id": f"{round}/{version}", "state": {"$in": ["proposed", state]}}
            done = await self._keys.update_one(query, {"$set": {"state": state, "told": False}})
        if not done.matched_count:
            raise Problem(409, "decided", "Đáp án này đã được quyết định.", field="version")
        await self._tell(_amendment({**_fact(found), "state": state}))

    async def finish(self) -> None:
        """Tells of what a crash left untold."""
        with store_errors():
            found = [document async for document in self._keys.find({"told": False})]
        for document in found:
            await self._tell(_amendment(document))

    async def _tell(self, amendment: Amendment) -> None:
        plan = self._book.round(amendment.round)
        if plan is None or self._runtime.clock.now() < plan.opens:
            return  # sealed like the first version; `finish` tells of it
        with store_errors():
            document = await self._keys.find_one({"_id": f"{amendment.round}/{amendment.version}"})
        assert document is not None
        key = self._opened(amendment.round, document["key"])
        event = RoundKeyed(
            time=amendment.at,
            round=amendment.round,
            version=amendment.version,
            papers=key.papers,
            layouts=key.layouts,
            reason=amendment.reason,
            proposed=amendment.state == "proposed",
            dropped=amendment.state == "dropped",
        )
        await self._runtime.bus.publish([self._runtime.outgoing(event)])
        with store_errors():
            told = {"_id": f"{amendment.round}/{amendment.version}", "state": amendment.state}
            await self._keys.update_one(told, {"$set": {"told": True}})

    async def _key(self, round: str) -> Key:
        """The key that stands. Raises Problem 409 where the round has none that could be mended."""
        standing = [each for each in await self.amendments(round) if each.state == "published"]
        with store_errors():
            if standing:
                found = await self._keys.find_one({"_id": f"{round}/{standing[-1].version}"})
            else:
                found = await self._papers.find_one({"_id": round}, {"key": 1})
        if found is None:
            raise Problem(409, "no-key", "Vòng thi chưa có đề.")
        return self._opened(round, found["key"])

    def _opened(self, round: str, sealed: bytes) -> Key:
        return msgspec.json.decode(self._seal.open(round, "key", bytes(sealed)), type=Key)

    def _plan(self, round: str) -> RoundPlan:
        plan = self._book.round(round)
        if plan is None:
            raise Problem(404, "round", "Không có vòng thi này.", field="round")
        if state_at(plan, self._runtime.clock.now()) == "final":
            raise Problem(409, "round-final", "Kết quả vòng thi đã công bố, không thay đổi được nữa.", field="round")
        return plan


def letters_of(right: Collection[int]) -> str:
    """Options by their own letters, e.g. "AC"."""
    return "".join(LETTERS[place] for place in sorted(right))


def _chosen(question: Question, right: str) -> frozenset[int]:
    letters = {letter for letter in right.upper() if letter.isalpha()}
    if not letters or not letters <= set(LETTERS[: len(question.options)]):
        raise Problem(422, "right", "Đáp án phải là chữ cái của phương án, như A hoặc AC.", field="right")
    if (len(question.right) > 1) != (len(letters) > 1):
        # What people could choose was one option, or several: the papers said so.
        raise Problem(
            422, "right", "Câu một đáp án chỉ đổi sang một đáp án khác; câu nhiều đáp án phải có từ hai.", field="right"
        )
    return frozenset(LETTERS.index(letter) for letter in letters)


def _fact(amendment: Amendment) -> dict[str, Any]:
    return {name: getattr(amendment, name) for name in Amendment.__dataclass_fields__}


def _amendment(fact: dict[str, Any]) -> Amendment:
    return Amendment(**{name: fact[name] for name in Amendment.__dataclass_fields__})
