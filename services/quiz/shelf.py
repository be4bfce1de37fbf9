"""The shelf: papers and texts of the published contests in memory, ready to be handed out without asking the store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from services.events import ContestBook
from services.kit.bus import Transient
from services.kit.clock import Clock
from services.kit.problems import Problem
from services.kit.store import store_errors
from services.quiz.authoring.sealing import Seal

if TYPE_CHECKING:
    from services.quiz.store import QuizStore

log = structlog.get_logger(__name__)


class ShelvedPaper(msgspec.Struct, frozen=True):
    """One paper (mã đề): `questions` is its JSON as participants get it, `shape` the form of its answers."""

    questions: msgspec.Raw
    shape: str


class Shelf:
    """Follows the book: a contest is on the shelf once its papers are here. They lie sealed until their round opens."""

    def __init__(self, store: QuizStore, book: ContestBook, seal: Seal, clock: Clock) -> None:
        self._store, self._book, self._seal, self._clock = store, book, seal, clock
        self._texts: dict[str, tuple[int, dict[str, Any]]] = {}
        self._sealed: dict[str, bytes] = {}
        self._papers: dict[str, dict[str, ShelvedPaper]] = {}

    async def fill(self) -> None:
        """Brings in what the book has and the shelf has not. Raises StoreDown."""
        for contest, published in list(self._book.contests.items()):
            missing = [p.id for p in self._book.rounds(contest) if p.id not in self._sealed and p.id not in self._papers]
            if not missing and self._texts.get(contest, (-1,))[0] == published.revision:
                continue
            with store_errors():
                for round in missing:
                    found = await self._store.papers.find_one({"_id": round}, {"papers": 1})
                    if found is not None:
                        self._sealed[round] = found["papers"]
                texts = await self._store.contests.find_one({"_id": contest}, {"consent": 1})
            if texts is not None and "consent" in texts:
                self._texts[contest] = published.revision, texts

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
        consent: dict[str, str] = self._texts[contest][1]["consent"]
        return consent

    def consent_version(self, contest: str) -> str:
        """The version that a registration must name."""
        return self.consent(contest)["version"]

    def codes(self, round: str) -> Sequence[str]:
        """The codes of the papers of a round that has opened, sorted. Raises Problem 409 before."""
        return sorted(self._open(round))

    def paper(self, round: str, code: str) -> ShelvedPaper:
        """One paper of a round that has opened."""
        return self._open(round)[code]

    def _open(self, round: str) -> dict[str, ShelvedPaper]:
        papers = self._papers.get(round)
        if papers is None:
            plan = self._book.round(round)
            if plan is None or self._clock.now() < plan.opens or round not in self._sealed:
                raise Problem(409, "round-upcoming", "Vòng thi chưa mở.", field="round")
            body = self._seal.open(round, "papers", self._sealed[round])
            papers = self._papers[round] = msgspec.json.decode(body, type=dict[str, ShelvedPaper])
            del self._sealed[round]
        return papers
