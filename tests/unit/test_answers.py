"""Keys: for everyone after the last round that can draw the question, never before; mended before a round opens, and after."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from services.events import RoundKeyed, RoundPlan
from services.kit.bus import BusDown
from services.kit.problems import Problem
from services.kit.tokens import looked_at, trial
from services.quiz.authoring.answers import FRESH_SECONDS, GRACE, Shown
from services.quiz.authoring.drafts import ContestDraft, Rules
from tests.unit.test_publishing import BANK, CONTEST, ROUND, House

WEEK = timedelta(weeks=1)
SECOND = msgspec.structs.replace(
    ROUND, id="hp.tuan-2", name="Tuần 2", opens=ROUND.opens + WEEK, closes=ROUND.closes + WEEK, rules=Rules(blueprint={"*": 8})
)


class Answering(House):
    async def open(self, *rounds: str, contest: ContestDraft = CONTEST) -> None:
        """Publishes rounds, and lets the first one open."""
        await self.draft(contest)
        for round in rounds:
            await self.authoring.publish("hp", round)
        self.clock.advance(timedelta(hours=1))
        await self.worker._turn_rounds()
        await self.worker._sweep()

    def plan(self, id: str = ROUND.id) -> RoundPlan:
        plan = self.book.round(id)
        assert plan
        return plan

    async def shown(self, id: str = ROUND.id) -> Shown:
        self.clock.advance(timedelta(seconds=FRESH_SECONDS))
        return await self.authoring.answers.of(self.plan(id))

    async def past(self, id: str = ROUND.id) -> None:
        """Waits until a round is over."""
        self.clock.advance(self.plan(id).closes + GRACE - self.clock.now())
        await self.worker._turn_rounds()


@pytest.fixture
def house(tmp_path: Path) -> Answering:
    return Answering(tmp_path)


async def test_answers_are_for_everyone_after_closing_and_hidden_again_by_an_extension(house: Answering) -> None:
    await house.draft()
    await house.authoring.publish("hp", ROUND.id)
    assert await house.authoring.answers.of(house.plan()) == Shown()
    house.clock.advance(timedelta(hours=1))
    await house.worker._turn_rounds()
    assert await house.shown() == Shown()
    house.clock.advance(house.plan().closes - house.clock.now())
    assert await house.authoring.answers.of(house.plan()) == Shown(), "an answer may still be on its way"
    await house.past()
    shown = await house.shown()
    assert (shown.waiting, shown.mended) == (False, frozenset())
    bank = {question.id: question for question in BANK}
    assert len(shown.questions) >= 5
    assert all(question == bank[question.id] for question in shown.questions)
    await house.authoring.change(ROUND.id, "extend", "a", "Mất điện", house.clock.now() + timedelta(hours=1))
    assert await house.authoring.answers.of(house.plan()) == Shown(), "at once, whatever was read before"


async def test_an_extension_that_is_stored_and_not_told_yet_holds_the_answers_back(house: Answering) -> None:
    contest = CONTEST.with_round(msgspec.structs.replace(SECOND, stage="approved"))
    await house.open(ROUND.id, SECOND.id, contest=contest)
    later = house.plan(SECOND.id).closes + WEEK
    for id in (ROUND.id, SECOND.id):
        house.faults.left = 1  # the change is stored, and the brokers are away
        with pytest.raises(BusDown):
            await house.authoring.change(id, "extend", "a", "Mất điện", later)
        house.faults.left = None
    house.clock.advance(later - WEEK + GRACE - house.clock.now())
    for id in (ROUND.id, SECOND.id):
        assert house.plan(id).closes < later - WEEK + GRACE
        assert await house.shown(id) == Shown()
    await house.worker._sweep()
    assert house.plan().closes == later
    await house.past()
    assert not (await house.shown()).waiting


async def test_a_question_of_a_later_round_waits_for_that_round(house: Answering) -> None:
    contest = CONTEST.with_round(msgspec.structs.replace(SECOND, stage="approved"))
    await house.open(ROUND.id, SECOND.id, contest=contest)
    await house.past()
    first, later = [await house.authoring.answers.held(house.plan(id)) for id in (ROUND.id, SECOND.id)]
    shown = await house.shown()
    assert {question.id for question in shown.questions} == first - later
    assert shown.waiting == bool(first & later)
    assert await house.shown(SECOND.id) == Shown()
    await house.past(SECOND.id)
    assert {question.id for question in (await house.shown()).questions} == first
    assert {question.id for question in (await house.shown(SECOND.id)).questions} == later


async def test_what_a_draft_can_draw_waits_until_it_is_retired_or_the_draft_too_late(house: Answering) -> None:
    await house.open(ROUND.id)
    draft = await house.authoring.get("hp")
    await house.authoring.put_round(draft, SECOND)
    await house.past()
    assert (await house.shown()).questions == ()
    one = min(await house.authoring.answers.held(house.plan()))
    await house.bank.retire("hp", one)
    assert [question.id for question in (await house.shown()).questions] == [one]
    points = await house.authoring.points(draft, SECOND)
    told = len(await house.authoring.answers.held(house.plan())) - 1
    assert points[-1].values == {"n": told}, "who drafts the round is told"
    house.clock.advance(2 * WEEK)
    assert not (await house.shown()).waiting


async def test_a_mended_key_and_a_better_explanation_are_shown_with_the_words_of_the_papers(house: Answering) -> None:
    await house.open(ROUND.id)
    id = min(await house.authoring.answers.held(house.plan()))
    known = next(question for question in BANK if question.id == id)
    right = next(letter for letter in "ABC" if "ABC".index(letter) not in known.right)
    await house.authoring.mending.propose(ROUND.id, id, right, "In nhầm", "a")
    await house.authoring.mending.decide(ROUND.id, 2, "published")
    better = replace(known, text="Lời khác", explanation="Vì thế", source="Sách")
    await house.bank.add("hp", [better], "a", corrected=[id])
    await house.past()
    shown = await house.shown()
    (found,) = (question for question in shown.questions if question.id == id)
    assert (found.text, found.explanation, found.source) == (known.text, "Vì thế", "Sách")
    assert found.right == {"ABC".index(right)}
    assert shown.mended == {id}


async def test_a_key_is_mended_before_the_round_opens_and_nobody_is_told_until_then(house: Answering) -> None:
    await house.draft()
    await house.authoring.publish("hp", ROUND.id)
    mending = house.authoring.mending
    (question, letters), *_ = await mending.questions(house.plan())
    right = next(letter for letter in "ABC" if letter != letters)
    await mending.propose(ROUND.id, question.id, right, "In nhầm", "a")
    await mending.decide(ROUND.id, 2, "published")
    await house.worker._sweep()
    assert house.told(RoundKeyed) == []
    assert (question, right) in await mending.questions(house.plan())
    house.clock.advance(timedelta(hours=1))
    await house.worker._turn_rounds()
    await house.worker._sweep()
    keys = [event for event in house.told(RoundKeyed) if isinstance(event, RoundKeyed)]
    assert [(key.version, key.proposed, key.dropped) for key in keys] == [(1, False, False), (2, False, False)]
    assert keys[0].papers != keys[1].papers


async def test_after_closing_a_key_is_published_only_by_who_has_seen_its_difference(house: Answering) -> None:
    await house.open(ROUND.id)
    await house.past()
    mending = house.authoring.mending
    (question, letters), *_ = await mending.questions(house.plan())
    await mending.propose(ROUND.id, question.id, next(x for x in "ABC" if x != letters), "In nhầm", "a")
    signer = looked_at(house.runtime.secrets)
    before = signer.sign(trial(ROUND.id, 2, house.plan().closes))
    await house.authoring.change(ROUND.id, "extend", "a", "Mất điện", house.clock.now() + timedelta(hours=1))
    await house.past()  # with papers that the trial before did not have
    closes = house.plan().closes
    for seen in ("", "x", signer.sign(trial(ROUND.id, 3, closes)), before):
        with pytest.raises(Problem) as problem:
            await mending.decide(ROUND.id, 2, "published", seen)
        assert problem.value.code == "no-trial"
    await mending.decide(ROUND.id, 2, "published", signer.sign(trial(ROUND.id, 2, closes)))
    assert [each.state for each in await mending.amendments(ROUND.id)] == ["published"]
