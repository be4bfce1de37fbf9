"""The answers of a round as everyone may read them: each question once the last round that can draw it has closed.

A published round draws what its papers hold. One that is still a draft can draw whatever of the bank its blueprint takes, so that
an answer is not told to those who will get the question next week. A round that is opened again hides its answers again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from fastapi import APIRouter, Request, Response
from markupsafe import Markup
from pydantic import BaseModel, Field

from services.events import ContestBook, RoundPlan
from services.kit.problems import Problem
from services.kit.runtime import Runtime
from services.kit.web import language, problems, render
from services.quiz.authoring.live import Live
from services.quiz.authoring.mending import Mending, letters_of
from services.quiz.authoring.running import Rounds
from services.quiz.authoring.store import Drafts
from services.quiz.bank.store import Bank
from services.quiz.bank.template import DIFFICULTY
from services.quiz.domain import LETTERS, Question, draws, picture_path

GRACE = timedelta(minutes=1)
"""After closing: an answer on its way is on time for two seconds, and an extension of the last moment reaches every process."""

FRESH_SECONDS = 5.0
"""So long a process goes by what it read of drafts, the bank, mended keys and changes that are still to be told."""

KEPT = 12
"""So many times the page's questions or the call's answer, 300 kB each, are kept as they were made: making takes 10 ms, and at
the end of a round everybody asks."""


@dataclass(frozen=True)
class Shown:
    """Questions with their right options as the key has them now; `mended` are the ids of those whose key was put right.

    `waiting`: the papers hold others, whose answers are not for everyone yet.
    """

    questions: tuple[Question, ...] = ()
    mended: frozenset[str] = frozenset()
    waiting: bool = True


def over(plan: RoundPlan, now: datetime) -> bool:
    """Whether nobody can hand in any more."""
    return now >= plan.closes + GRACE


class Answers:
    """All calls raise StoreDown."""

    def __init__(self, runtime: Runtime, book: ContestBook, drafts: Drafts, bank: Bank, mending: Mending) -> None:
        self._clock, self._book, self._drafts, self._bank, self._mending = runtime.clock, book, drafts, bank, mending
        self._rounds = Rounds(runtime, book)
        self._held: dict[str, frozenset[str]] = {}
        self._read: dict[str, tuple[float, Shown]] = {}
        self._ends: dict[str, tuple[float, datetime, Mapping[str, datetime]]] = {}
        self._turn = asyncio.Lock()

    async def of(self, plan: RoundPlan) -> Shown:
        """What everyone may know now of the answers of a round. Whether rounds are over is looked at in each call."""
        now = self._clock.now()
        if not over(plan, now):
            return Shown()
        async with self._turn:  # at the end of a round everybody asks
            running = await self._running(plan.contest)
            if any(other.id == plan.id for other in running):
                return Shown()
            undrawn = await self._undrawn(plan)
            coming = [await self.held(other) for other in running]
        shown = tuple(q for q in undrawn.questions if not any(q.id in held for held in coming))
        return Shown(shown, undrawn.mended, undrawn.waiting or len(shown) < len(undrawn.questions))

    async def held(self, plan: RoundPlan) -> frozenset[str]:
        """The ids of the questions that the papers of a published round hold: they never change."""
        if plan.id not in self._held:
            self._held[plan.id] = frozenset(question.id for question, _ in await self._mending.questions(plan))
        return self._held[plan.id]

    async def told(self, contest: str) -> set[str]:
        """The ids of the questions that were in the papers of rounds that are over: people may know their answers."""
        now = self._clock.now()
        return {id for plan in self._book.rounds(contest) if over(plan, now) for id in await self.held(plan)}

    async def _running(self, contest: str) -> list[RoundPlan]:
        """The rounds that are not over. An extension is stored before it is told, and told only once the brokers are there: a
        round is over when the store, read after its end, knows of no later one."""
        read, at, ends = self._ends.get(contest, (0.0, None, {}))
        if at is None or self._clock.monotonic() - read >= FRESH_SECONDS:
            at = self._clock.now()  # before reading: what is stored meanwhile may be missed
            ends = await self._rounds.untold_ends(contest)
            self._ends[contest] = self._clock.monotonic(), at, ends
        rounds = self._book.rounds(contest)
        return [plan for plan in rounds if not over(plan, at) or at < ends.get(plan.id, plan.closes) + GRACE]

    async def _undrawn(self, plan: RoundPlan) -> Shown:
        """The answers of a round but those of questions that a draft can draw."""
        at, shown = self._read.get(plan.id, (0.0, None))
        if shown is None or self._clock.monotonic() - at >= FRESH_SECONDS:
            shown = await self._look(plan)
            self._read[plan.id] = self._clock.monotonic(), shown
        return shown

    async def _look(self, plan: RoundPlan) -> Shown:
        now, draft = self._clock.now(), await self._drafts.get(plan.contest)
        drafted = [r.rules.blueprint for r in draft.rounds if self._book.round(r.id) is None and now < r.closes]
        bank = {entry.question.id: entry for entry in await self._bank.entries(plan.contest)}
        in_use = {id: entry.question.topic for id, entry in bank.items() if entry.retired is None}
        held = await self._mending.questions(plan)
        shown = []
        for question, letters in held:
            if question.id in in_use and any(draws(in_use[question.id], blueprint) for blueprint in drafted):
                continue
            # The words are the papers'; why it is right may have been put better since.
            now_said = bank[question.id].question if question.id in bank else question
            right = frozenset(map(LETTERS.index, letters))
            shown.append(replace(question, right=right, source=now_said.source, explanation=now_said.explanation))
        mended = {each.question for each in await self._mending.amendments(plan.id) if each.state == "published"}
        return Shown(tuple(shown), frozenset(mended), len(shown) < len(held))


class AnswerView(BaseModel):
    question: str = Field(description="Its id in the bank")
    text: str
    options: list[str]
    right: str = Field(description="The letters of the right options in the order given here", examples=["C", "AC"])
    mended: bool = Field(description="Whether the key was put right after papers were drawn")
    source: str
    explanation: str


class AnswersView(BaseModel):
    """`waiting`: the papers hold questions whose answers are not for everyone yet."""

    waiting: bool
    answers: list[AnswerView]


class AnswersPages:
    """`/c/{contest}/dap-an/{round}`, and the same as a call."""

    def __init__(self, answers: Answers, book: ContestBook, live: Live) -> None:
        self._answers, self._book, self._live = answers, book, live
        self._kept: dict[tuple[str, str], tuple[Shown, str]] = {}
        self.router = APIRouter()
        self.router.add_api_route("/c/{contest}/dap-an/{round}", self.look, include_in_schema=False)
        self.router.get(
            "/api/v1/contests/{contest}/rounds/{round}/answers", tags=["contests"], responses=problems(404, 503),
            response_model=AnswersView,
            summary="The right answers of a round, each after the last round that can draw the question",
        )(self.call)  # fmt: skip

    async def look(self, request: Request, contest: str, round: str) -> Response:
        """The answers, and what waits."""
        plan = self._plan(contest, round)
        shown = await self._answers.of(plan)

        def make() -> str:
            cards = render(request, "answer_cards.html", shown=shown, difficulties=DIFFICULTY, picture_path=picture_path)
            return bytes(cards.body).decode()

        return render(
            request, "answers.html", contest=self._book.contests[contest], plan=plan, shown=shown,
            banner=self._live.banner(contest), cards=Markup(self._made((round, language(request)), shown, make)),  # noqa: S704
        )  # fmt: skip

    async def call(self, contest: str, round: str) -> Response:
        shown = await self._answers.of(self._plan(contest, round))
        body = self._made((round, "json"), shown, lambda: _view(shown).model_dump_json())
        return Response(body, media_type="application/json")

    def _made(self, key: tuple[str, str], shown: Shown, make: Callable[[], str]) -> str:
        """What was made of the same answers, or is made now. The last asked for stay."""
        known = self._kept.pop(key, None)
        made = known[1] if known and known[0] == shown else make()
        self._kept[key] = shown, made
        if len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
        return made

    def _plan(self, contest: str, round: str) -> RoundPlan:
        plan = self._book.round(round)
        if plan is None or plan.contest != contest or contest not in self._book.contests:
            raise Problem(404, "round", "Không có vòng thi này.", field="round")
        return plan


def _view(shown: Shown) -> AnswersView:
    answers = [
        AnswerView(
            question=q.id, text=q.text, options=list(q.options), right=letters_of(q.right), mended=q.id in shown.mended,
            source=q.source, explanation=q.explanation,
        )
        for q in shown.questions
    ]  # fmt: skip
    return AnswersView(waiting=shown.waiting, answers=answers)
