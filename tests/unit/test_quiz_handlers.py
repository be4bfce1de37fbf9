"""Registration and starts: the same phone is the same person, a second start is the same attempt, and refusals change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from services.events import Category, ContestBook, ContestPublished, RoundClosed, RoundPaused, RoundPlan, Unit
from services.kit.clock import ManualClock
from services.kit.problems import Problem
from services.kit.tokens import Bearer
from services.quiz.handlers import Attempts, Participants, Registered, Registration, Started, event_of

NOW = datetime(2026, 5, 19, 13, 0, tzinfo=UTC)
ROUND = RoundPlan(
    id="hp.t1", contest="hp", name="Tuần 1", opens=NOW - timedelta(days=1), closes=NOW + timedelta(days=1), questions=20,
    minutes=15, attempts=2, counting="best", ranking=("correct desc",), prediction=None, show_score="at_once",
    show_key="after_close", state="open",
)  # fmt: skip
CONTEST = ContestPublished(
    time=NOW, contest="hp", title="T", kind="K", owner="O", timezone="Asia/Ho_Chi_Minh", documents=(),
    categories=(Category(id="hoc-sinh", name="Học sinh"), Category(id="giao-vien", name="Giáo viên")),
    units=(Unit(code="HP", parent=None, name="Hải Phòng", kind="city"),), rounds=(ROUND,),
)  # fmt: skip
ASKED = Registration(
    contest="hp", name="Nguyễn Văn An", phone="0912345678", unit="HP", categories=("hoc-sinh",), email=None,
    consent_version="1", consent_accepted=True, resume_code=None, language="vi",
)  # fmt: skip


class Facts:
    """A store in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], dict[str, Any]] = {}

    async def add(self, collection: str, fact: dict[str, Any]) -> bool:
        if (collection, fact["_id"]) in self.kept:
            return False
        self.kept[collection, fact["_id"]] = fact
        return True

    async def facts(self, collection: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        return {id: self.kept[collection, id] for id in ids if (collection, id) in self.kept}


class Shelf:
    def consent_version(self, contest: str) -> str:
        return "1"

    def codes(self, round: str) -> Sequence[str]:
        return ["001", "002", "003"]


class House:
    def __init__(self) -> None:
        self.facts, self.clock, self.book = Facts(), ManualClock(NOW), ContestBook()
        self.book.apply(CONTEST)
        self.handed_in: set[str] = set()
        self.participants = Participants(self.facts, self.book, Shelf(), b"k" * 32, self.clock)
        self.attempts = Attempts(self.facts, self.book, Shelf(), lambda ids, since: self.handed_in & set(ids), self.clock)

    async def register(self, **changed: Any) -> Registered:
        return await self.participants.register(replace(ASKED, **changed))

    async def start(self, person: Bearer, round: str = "hp.t1", handed_in: str | None = None) -> Started:
        return await self.attempts.start(person, round, handed_in)


@pytest.fixture
def house() -> House:
    return House()


async def refused(status: int, field: str | None, awaitable: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        await awaitable
    assert (caught.value.status, caught.value.field) == (status, field)
    return caught.value


async def test_the_phone_is_the_person_however_it_is_written(house: House) -> None:
    first = await house.register()
    await refused(409, "resume_code", house.register(phone="+84 912 345 678", name="Kẻ Lạ"))
    known = await house.register(phone="+84912345678", name="Tên Khác", resume_code=first.resume_code.upper())
    assert (known.new, known.bearer) == (False, first.bearer)
    assert len(house.facts.kept) == 1
    assert next(iter(house.facts.kept.values()))["name"] == "Nguyễn Văn An"


async def test_a_wrong_resume_code_is_refused_even_with_the_same_data(house: House) -> None:
    await house.register()
    await refused(409, "resume_code", house.register(resume_code="aaaaaaaa"))


async def test_a_registration_whose_answer_was_lost_is_answered_again_for_two_minutes(house: House) -> None:
    first = await house.register()
    house.clock.advance(timedelta(minutes=1))
    assert (await house.register()).bearer == first.bearer
    await refused(409, "resume_code", house.register(unit="HP", categories=("giao-vien",)))
    house.clock.advance(timedelta(minutes=2))
    await refused(409, "resume_code", house.register())


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("phone", {"phone": "không số"}),
        ("phone", {"phone": "0912"}),
        ("name", {"name": "   "}),
        ("unit", {"unit": "XX"}),
        ("categories", {"categories": ("x",)}),
        ("consent.accepted", {"consent_accepted": False}),
        ("consent.version", {"consent_version": "0"}),
    ],
)
async def test_a_bad_registration_names_its_field_and_changes_nothing(house: House, field: str, changed: dict[str, Any]) -> None:
    await refused(422, field, house.register(**changed))
    assert not house.facts.kept


async def test_a_participant_id_says_nothing_of_the_phone(house: House) -> None:
    person = (await house.register()).bearer.participant
    other = Participants(Facts(), house.book, Shelf(), b"x" * 32, house.clock)
    assert person != (await other.register(ASKED)).bearer.participant
    assert len(person) == 20
    assert "912345678" not in person


async def test_a_second_start_is_the_same_attempt(house: House) -> None:
    person = (await house.register()).bearer
    first = await house.start(person)
    house.clock.advance(timedelta(minutes=5))
    again = await house.start(person)
    assert (again.attempt, again.start, again.deadline, again.new) == (first.attempt, first.start, first.deadline, False)
    assert (first.attempts_left, first.deadline) == (1, NOW + timedelta(minutes=15))


async def test_the_next_attempt_opens_once_the_last_is_handed_in_and_gets_another_paper(house: House) -> None:
    person = (await house.register()).bearer
    first = await house.start(person)
    house.handed_in = {first.attempt}
    second = await house.start(person)
    assert (second.start.n, second.attempts_left) == (2, 0)
    assert second.start.paper != first.start.paper
    house.handed_in |= {second.attempt}
    await refused(409, None, house.start(person))


async def test_a_receipt_from_another_host_opens_the_next_attempt(house: House) -> None:
    person = (await house.register()).bearer
    first = await house.start(person)
    assert (await house.start(person, handed_in="somebody:hp.t1:1")).start.n == 1
    assert (await house.start(person, handed_in=first.attempt)).start.n == 2


async def test_an_attempt_that_ran_out_of_time_is_spent(house: House) -> None:
    person = (await house.register()).bearer
    await house.start(person)
    house.clock.advance(timedelta(minutes=15))
    assert (await house.start(person)).start.n == 2


async def test_a_paused_round_gives_no_start_but_the_running_paper(house: House) -> None:
    one, two = (await house.register()).bearer, (await house.register(phone="0987654321")).bearer
    first = await house.start(one)
    house.book.apply(RoundPaused(time=NOW, round=msgspec.structs.replace(ROUND, state="paused", revision=1)))
    assert (await house.start(one)).start == first.start
    await refused(409, "round", house.start(two))
    house.book.apply(RoundClosed(time=NOW, round=msgspec.structs.replace(ROUND, state="closed", closes=NOW, revision=2)))
    await refused(409, "round", house.start(two))
    await refused(404, "round", house.start(two, "other.t1"))


async def test_every_fact_has_an_event_that_tells_it_the_same_each_time(house: House) -> None:
    person = (await house.register()).bearer
    await house.start(person)
    events = [event_of(collection, fact) for (collection, _), fact in house.facts.kept.items()]
    assert [event.key for event in events] == [person.participant] * 2
    assert events == [event_of(collection, fact) for (collection, _), fact in house.facts.kept.items()]


def merged_house() -> House:
    house = House()
    units = (
        Unit(code="HP", parent=None, name="Hải Phòng", kind="city"),
        Unit(code="A", parent="HP", name="Phường A", kind="ward", ended="2026-05-20", merged_into="B"),
        Unit(code="B", parent="HP", name="Phường B", kind="ward"),
        Unit(code="C", parent="HP", name="Phường C", kind="ward", ended="2026-05-01"),
    )
    house.book.apply(msgspec.structs.replace(CONTEST, units=units, revision=1))
    return house


async def test_a_merged_unit_is_taken_for_the_one_it_went_into_from_midnight_on() -> None:
    house = merged_house()
    before = await house.register(unit="A")  # 20:00 of the 19th in Hải Phòng
    assert before.bearer.unit == "A"
    house.clock.advance(timedelta(hours=4))  # midnight there, still the 19th in UTC
    after = await house.register(unit="A", phone="0912345679")
    assert after.bearer.unit == "B"
    again = await house.register(unit="A", phone="0912345678", resume_code=before.resume_code)
    assert (again.new, again.bearer.unit) == (False, "A")  # who was there before keeps the unit


async def test_nobody_registers_under_a_unit_that_ended_without_another() -> None:
    house = merged_house()
    assert (await refused(422, "unit", house.register(unit="C"))).code == "unit-ended"
    assert not house.facts.kept
