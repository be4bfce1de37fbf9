"""The shelf: papers and texts of the published contests in memory, ready to be handed out without asking the store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from services.events import ContestBook
from services.kit.bus import Transient
from services.kit.store import store_errors

if TYPE_CHECKING:
    from services.quiz.store import QuizStore

log = structlog.get_logger(__name__)


class ShelvedPaper(msgspec.Struct, frozen=True):
    """One paper (mã đề): `questions` is its JSON as participants get it, `shape` the form of its answers."""

    questions: msgspec.Raw
    shape: str


class Shelf:
    """Follows the book: a contest is on the shelf once its papers are here."""

    def __init__(self, store: QuizStore, book: ContestBook) -> None:
        self._store, self._book = store, book
        self._texts: dict[str, dict[str, Any]] = {}
        self._papers: dict[str, dict[str, ShelvedPaper]] = {}
        self._codes: dict[str, Sequence[str]] = {}

    async def fill(self) -> None:
        """Brings in what the book has and the shelf has not. Raises StoreDown."""
        for contest in [id for id in self._book.contests if id not in self._texts]:
            with store_errors():
                texts = await self._store.contests.find_one({"_id": contest}, {"consent": 1, "fields": 1})
                for plan in self._book.rounds(contest):
                    found = await self._store.papers.find_one({"_id": plan.id})
                    if found is not None:
                        self._papers[plan.id] = msgspec.json.decode(found["body"], type=dict[str, ShelvedPaper])
                        self._codes[plan.id] = sorted(self._papers[plan.id])
            if texts is not None:
                self._texts[contest] = texts

    async def run(self, stop: Callable[[], bool]) -> None:
        """Fills the shelf again and again until `stop()`."""
        while not stop():
            try:
                await self.fill()
            except Transient as error:
                log.warning("shelf.store_down", error=str(error))
            await asyncio.sleep(0.5)

    def has(self, contest: str) -> bool:
        """Whether the contest can be taken."""
        return contest in self._texts

    def consent(self, contest: str) -> dict[str, str]:
        """`version` and `text` of what participants agree to."""
        consent: dict[str, str] = self._texts[contest]["consent"]
        return consent

    def consent_version(self, contest: str) -> str:
        """The version that a registration must name."""
        return self.consent(contest)["version"]

    def codes(self, round: str) -> Sequence[str]:
        """The codes of a round's papers, sorted."""
        return self._codes[round]

    def paper(self, round: str, code: str) -> ShelvedPaper:
        """One paper."""
        return self._papers[round][code]
