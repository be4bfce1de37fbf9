"""The bank of a contest in the quiz's store: for now what its directory brought along."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from services.kit.store import store_errors
from services.quiz.domain import Question

if TYPE_CHECKING:
    from services.kit.store import Database


class Bank:
    """Questions by contest. Raises StoreDown."""

    def __init__(self, database: Database) -> None:
        self._contests = database["contests"]

    async def questions(self, contest: str) -> tuple[Question, ...]:
        """All questions that papers may draw."""
        with store_errors():
            found = await self._contests.find_one({"_id": contest})
        return msgspec.json.decode(found["bank"], type=tuple[Question, ...]) if found and "bank" in found else ()

    async def topics(self, contest: str) -> dict[str, int]:
        """How many questions each topic has."""
        return dict(Counter(question.topic for question in await self.questions(contest)))
