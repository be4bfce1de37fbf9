"""Extra time, from the door to the verdict: what the paper shows is what is judged, also after a late extension of the round."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import msgspec

from services.events import SubmissionReceived
from services.quiz.handlers import Attempts
from services.scoring.domain import Judged, State
from services.scoring.handlers import judged_anew
from tests.unit.test_quiz_handlers import NOW, Shelf
from tests.unit.test_quiz_handlers import House as QuizHouse
from tests.unit.test_scoring_handlers import CLOSES, EXTENDED, PLAN, House, registered, submission


def given(minutes: int, started: timedelta, received: timedelta, n: int = 1) -> SubmissionReceived:
    made = submission("an", n, received, "AB(AC)", n)
    return msgspec.structs.replace(made, started_at=CLOSES + started, extra_minutes=minutes)


async def verdicts(folder: Path, log: list[SubmissionReceived], *, extended: bool = False) -> list[str]:
    house = House([registered("an"), *log], folder)
    await house.start()
    await house.work(100)
    if extended:
        house.extend()
        await house.finish()
    return [judged.verdict for judged, _ in house.worker.derived.owned[0].state.judged("r")]


async def test_extra_minutes_count_for_the_person_but_not_past_the_closing(tmp_path: Path) -> None:
    start = timedelta(minutes=-40)  # of a paper of 15 minutes
    assert await verdicts(tmp_path / "1", [given(0, start, timedelta(minutes=-20))]) == ["late"]
    assert await verdicts(tmp_path / "2", [given(10, start, timedelta(minutes=-20))]) == ["valid"]
    assert await verdicts(tmp_path / "3", [given(60, start, timedelta(minutes=1))]) == ["late"]


async def test_a_late_extension_judges_anew_with_the_extra_minutes(tmp_path: Path) -> None:
    start, received = timedelta(minutes=-16), timedelta(minutes=2)
    assert await verdicts(tmp_path / "1", [given(10, start, received)]) == ["late"]
    assert await verdicts(tmp_path / "2", [given(10, start, received)], extended=True) == ["valid"]
    assert await verdicts(tmp_path / "3", [given(0, start, received)], extended=True) == ["late"]


def test_the_state_keeps_the_extra_minutes() -> None:
    judged = Judged(
        participant="an", round=PLAN.id, n=1, unit="u", categories=("k",), started=1, received=2, digest=b"d" * 16,
        prediction=None,
        verdict="late", correct=1, total=3, key_version=1, rules=0, extra=25,
    )  # fmt: skip
    state = State()
    state.mark(PLAN.id, 1, 0, 1)
    state.put(judged, 0)
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=State)
    assert again.find("an", PLAN.id, 1) == judged
    assert [j.verdict for j in judged_anew(again, EXTENDED)] == ["valid"]


async def test_a_running_attempt_shows_its_extra_time_from_the_moment_it_is_given() -> None:
    house, extra = QuizHouse(), {"minutes": 0}
    attempts = Attempts(house.facts, house.book, Shelf(), lambda ids, since: set(), house.clock, lambda *_: extra["minutes"])
    person = (await house.register()).bearer
    first = await attempts.start(person, "hp.t1", None)
    assert first.deadline == NOW + timedelta(minutes=15)
    extra["minutes"] = 10
    house.clock.advance(timedelta(minutes=20))
    again = await attempts.start(person, "hp.t1", None)
    assert (again.attempt, again.new, again.deadline) == (first.attempt, False, NOW + timedelta(minutes=25))
    assert (await attempts.find(person, first.attempt)).deadline == NOW + timedelta(minutes=25)
    house.clock.advance(timedelta(minutes=5))
    assert (await attempts.start(person, "hp.t1", None)).start.n == 2
