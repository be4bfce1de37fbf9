"""Publishing and running above a store that may fail between any two writes: done again, the same end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from services.events import Category, ContestBook, ContestPublished, Event, RoundKeyed, RoundPaused, Unit, decode, encode
from services.events.contests import RoundChanged
from services.kit.bus import Bus, BusDown, Outgoing
from services.kit.clock import ManualClock
from services.kit.locallog import LocalLog
from services.kit.problems import Problem
from services.kit.runtime import Runtime
from services.kit.security import Secrets
from services.kit.settings import Settings
from services.kit.store import StoreDown
from services.quiz.authoring.approval import seen
from services.quiz.authoring.commands import Authoring, Grant, find
from services.quiz.authoring.drafts import ContestDraft, RoundDraft, Rules
from services.quiz.authoring.running import Rounds
from services.quiz.authoring.sealing import Seal
from services.quiz.bank.store import Bank
from services.quiz.domain import Question
from services.quiz.handlers import Participants
from services.quiz.shelf import Shelf
from services.quiz.store import QuizStore
from services.quiz.worker import QuizWorker
from tests.contract.memory_store import MemoryCollection, memory_store

NOW = datetime(2026, 5, 19, 13, 0, tzinfo=UTC)
BANK = [Question(f"q{n}", "Sử", f"Câu {n}", ("a", "b", "c"), frozenset({n % 3})) for n in range(30)]
ROUND = RoundDraft(
    id="hp.tuan-1", name="Tuần 1", opens=NOW + timedelta(hours=1), closes=NOW + timedelta(days=1), stage="approved",
    rules=Rules(blueprint={"*": 5}, codes=3),
)  # fmt: skip
CONTEST = ContestDraft(
    id="hp", title="T", kind="K", owner="O", categories=(Category(id="k", name="K"),), consent_text="Tôi đồng ý.",
    units=(Unit(code="HP", parent=None, name="Hải Phòng", kind="city"), Unit(code="KA", parent="HP", name="KA", kind="ward")),
    rounds=(ROUND,),
)  # fmt: skip


class Faults:
    """Lets so many writes pass, then none."""

    def __init__(self) -> None:
        self.left: int | None = None

    def write(self) -> None:
        if self.left is not None:
            if not self.left:
                raise StoreDown("for the test")
            self.left -= 1


class Collection(MemoryCollection):
    """What authoring asks of a collection beyond the workers: dotted fields."""

    faults = Faults()

    async def find(self, query: Mapping[str, Any], fields: Any = None) -> Any:
        for document in list(self.documents.values()):
            flat = {**document, "publication.revision": document.get("publication", {}).get("revision")}
            if all(flat.get(f) in w["$in"] if isinstance(w, Mapping) else flat.get(f) == w for f, w in query.items()):
                yield dict(document)

    async def delete_many(self, query: Mapping[str, Any]) -> None:
        """No import was left behind."""

    async def insert_many(self, documents: Sequence[dict[str, Any]], ordered: bool = True) -> None:
        self.faults.write()
        await super().insert_many(documents, ordered)

    async def update_one(self, query: Mapping[str, Any], update: Mapping[str, Any], upsert: bool = False) -> Any:
        self.faults.write()
        return await super().update_one(query, update, upsert)


class FakeBus:
    def __init__(self, faults: Faults, book: ContestBook) -> None:
        self.published: list[Event] = []
        self._faults, self._book = faults, book

    async def publish(self, records: Sequence[Outgoing]) -> None:
        try:
            self._faults.write()
        except StoreDown as error:
            raise BusDown(str(error)) from error
        for record in records:
            self.published.append(decode(record.headers["ce_type"], record.value))
            self._book.apply(self.published[-1])


class House:
    def __init__(self, folder: Path) -> None:
        self.faults, self.clock, self.book = Faults(), ManualClock(NOW), ContestBook()
        self.bus, self.store = FakeBus(self.faults, self.book), memory_store()
        Collection.faults = self.faults
        self.store.default_factory = Collection
        self.runtime = Runtime(
            service="quiz", settings=Settings(data_dir=folder), clock=self.clock, bus=cast("Bus", self.bus),
            journal=cast("LocalLog", None), store=self.store, secrets=Secrets(folder), encode=encode,
        )  # fmt: skip
        self.quiz = QuizStore(self.store, cast("Any", None), self.clock)
        self.shelf = Shelf(self.quiz, self.book, Seal(self.runtime.secrets), self.clock)
        people = Participants(cast("Any", self.quiz), self.book, self.shelf, b"k" * 32, self.clock)
        self.authoring = Authoring(self.runtime, self.book, people)
        self.worker, self.bank = QuizWorker(self.runtime, self.book, self.quiz), Bank(self.store, self.clock)

    async def draft(self, contest: ContestDraft = CONTEST) -> None:
        for round in contest.rounds:
            if round.stage == "approved":
                contest = contest.with_round(msgspec.structs.replace(round, approval=seen(contest, round, BANK)))
        await self.authoring.drafts.create(contest)
        await self.bank.add(contest.id, BANK, "o", "test")

    def told(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.bus.published if isinstance(event, kind)]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.mark.parametrize("writes", range(8))
async def test_publishing_that_was_cut_off_anywhere_is_done_again_to_the_same_end(house: House, writes: int) -> None:
    await house.draft()
    house.faults.left = writes
    done = False
    try:
        await house.authoring.publish("hp", ROUND.id)
        done = True
    except (StoreDown, BusDown):
        pass
    house.faults.left = None
    drawn = house.store["papers"].documents.get(ROUND.id)
    await house.worker._sweep()
    await house.worker._sweep()
    draft = await house.authoring.drafts.get("hp")
    if writes == 0:
        assert (draft.published, house.bus.published) == (-1, [])
        return
    assert (draft.published, find(draft, ROUND.id).stage) == (0, "published")
    assert {event.id for event in house.told(ContestPublished)} == {"hp/0"}
    assert drawn is None or house.store["papers"].documents[ROUND.id]["key"] == drawn["key"]
    told = len(house.bus.published)
    await house.worker._sweep()
    assert len(house.bus.published) == told
    assert done == (writes >= 5)
    assert house.store["contests"].documents["hp"]["consent"]["text"] == "Tôi đồng ý."


async def test_papers_and_keys_stay_sealed_until_the_round_opens(house: House) -> None:
    await house.draft()
    await house.authoring.publish("hp", ROUND.id)
    await house.shelf.fill()
    raw = repr({n: c.documents for n, c in house.store.items() if n not in ("contests", "questions")}) + repr(house.bus.published)
    assert not any(repr(q.text.encode())[2:-1] in raw or q.text in raw for q in BANK)
    await house.worker._turn_rounds()
    with pytest.raises(Problem):
        house.shelf.codes(ROUND.id)
    assert not house.told(RoundKeyed)

    house.clock.advance(timedelta(hours=1))
    for writes in (0, 1, 2, None):  # the store, then the bus, goes away at every step
        house.faults.left = writes
        try:
            await house.worker._turn_rounds()
        except (StoreDown, BusDown):
            continue
    keys = cast("list[RoundKeyed]", house.told(RoundKeyed))
    assert keys
    assert all(key == keys[0] for key in keys)
    assert [len(answers) for answers in keys[0].papers.values()] == [5, 5, 5]
    plan = house.book.round(ROUND.id)
    assert plan is not None
    assert (plan.state, plan.revision) == ("open", 1)
    assert house.bus.published.index(keys[0]) < next(n for n, e in enumerate(house.bus.published) if isinstance(e, RoundChanged))
    assert house.shelf.codes(ROUND.id) == ["001", "002", "003"]
    assert raw.count("'told': False") >= 1
    assert not any(answers in raw for answers in keys[0].papers.values())
    told = len(house.bus.published)
    await QuizWorker(house.runtime, house.book, house.quiz)._turn_rounds()
    assert len(house.bus.published) == told


async def test_of_two_changes_at_once_one_has_the_revision(house: House) -> None:
    await house.draft()
    await house.authoring.publish("hp", ROUND.id)
    house.clock.advance(timedelta(hours=1))
    await house.worker._turn_rounds()
    stale = ContestBook()
    for event in house.bus.published:
        stale.apply(event)
    await house.authoring.change(ROUND.id, "pause", "a", "Mất điện")
    other = Rounds(house.runtime, stale)
    with pytest.raises(Problem) as caught:
        await other.change(ROUND.id, "close", "b", "Xong")
    assert caught.value.code == "round-changed"
    assert {plan.state for plan in (house.book.round(ROUND.id), stale.round(ROUND.id)) if plan} == {"paused"}
    await other.change(ROUND.id, "resume", "b", "Có điện")
    await house.authoring.live.read()
    assert [a.reason for a in house.authoring.live.announcements("hp")] == ["Mất điện", "Có điện"]


async def test_a_change_whose_teller_died_is_told_by_the_worker(house: House) -> None:
    await house.draft()
    await house.authoring.publish("hp", ROUND.id)
    house.clock.advance(timedelta(hours=1))
    await house.worker._turn_rounds()
    house.faults.left = 1
    with pytest.raises(BusDown):
        await house.authoring.change(ROUND.id, "pause", "a", "Mất điện")
    house.faults.left = None
    await house.worker._sweep()
    assert len(house.told(RoundPaused)) == 1
    with pytest.raises(Problem):
        await house.authoring.change(ROUND.id, "pause", "a", " ")


async def test_a_second_person_approves_or_one_with_a_reason(house: House) -> None:
    draft = msgspec.structs.replace(CONTEST, rounds=(msgspec.structs.replace(ROUND, stage="draft"),))
    await house.draft(draft)

    async def now() -> ContestDraft:
        return await house.authoring.drafts.get("hp")

    with pytest.raises(Problem):
        await house.authoring.approve(await now(), ROUND.id, "b")
    await house.authoring.submit(await now(), ROUND.id, "a")
    with pytest.raises(Problem) as caught:
        await house.authoring.approve(await now(), ROUND.id, "a")
    assert caught.value.code == "second-person"
    await house.authoring.put_round(await now(), find(await now(), ROUND.id))  # an edit asks for both again
    assert find(await now(), ROUND.id).stage == "draft"
    await house.authoring.submit(await now(), ROUND.id, "a")
    assert (await house.authoring.approve(await now(), ROUND.id, "a", "Chỉ có một người")).alone == "Chỉ có một người"
    await house.authoring.publish("hp", ROUND.id)
    with pytest.raises(Problem) as caught:
        await house.authoring.put_round(await now(), find(await now(), ROUND.id))
    assert caught.value.code == "round-published"


async def test_two_people_who_edit_at_once_do_not_overwrite_each_other(house: House) -> None:
    await house.draft()
    one, two = await house.authoring.drafts.get("hp"), await house.authoring.drafts.get("hp")
    await house.authoring.edit(msgspec.structs.replace(one, title="Một"))
    with pytest.raises(Problem):
        await house.authoring.edit(msgspec.structs.replace(two, title="Hai"))
    assert (await house.authoring.drafts.get("hp")).title == "Một"


async def test_a_contest_that_is_changed_has_a_higher_revision(house: House) -> None:
    await house.draft()
    with pytest.raises(Problem):
        await house.authoring.publish("hp")
    await house.authoring.publish("hp", ROUND.id)
    house.store["papers"].documents[ROUND.id]["told"] = True
    await house.authoring.edit(msgspec.structs.replace(await house.authoring.drafts.get("hp"), title="Khác"))
    assert house.book.contests["hp"].title == "T"
    await house.authoring.publish("hp")
    assert (house.book.contests["hp"].title, house.book.contests["hp"].revision) == ("Khác", 1)
    assert house.store["papers"].documents[ROUND.id]["told"]


async def test_extra_time_is_the_most_of_what_one_was_given(house: House) -> None:
    await house.draft()
    await house.authoring.publish("hp", ROUND.id)
    draft, live = await house.authoring.drafts.get("hp"), house.authoring.live
    await house.authoring.grant(draft, ROUND.id, Grant("unit", "HP", 5, "Mất điện"), "a")
    await house.authoring.grant(draft, ROUND.id, Grant("category", "k", 7, "Thi thử"), "a")
    await live.read()
    assert live.minutes(ROUND.id, "p", "KA", ("k",)) == 7
    assert live.minutes(ROUND.id, "p", "KA", ()) == 5
    assert live.minutes(ROUND.id, "p", "X", ()) == 0
    assert live.minutes("hp.tuan-2", "p", "KA", ("k",)) == 0
    await house.authoring.grant(draft, ROUND.id, Grant("category", "k", 0, "Thôi"), "a")
    await live.read()
    assert live.minutes(ROUND.id, "p", "KA", ("k",)) == 5
    wrong = [
        Grant("unit", "XX", 5, "a"),
        Grant("category", "x", 5, "a"),
        Grant("unit", "HP", 5, " "),
        Grant("unit", "HP", 999, "a"),
    ]
    for grant in wrong:
        with pytest.raises(Problem):
            await house.authoring.grant(draft, ROUND.id, grant, "a")


async def test_a_banner_comes_down_by_itself(house: House) -> None:
    await house.draft()
    await house.authoring.put_banner("hp", "Xin chào", "info", NOW + timedelta(minutes=5))
    await house.authoring.live.read()
    assert house.authoring.live.banner("hp") is not None
    house.clock.advance(timedelta(minutes=5))
    assert house.authoring.live.banner("hp") is None
    with pytest.raises(Problem):
        await house.authoring.put_banner("hp", "Muộn", "info", NOW)


async def test_more_units_than_an_event_can_carry_are_refused_before_anything_changes(house: House) -> None:
    many = tuple(Unit(code=f"U{n}", parent=None, name="Tổ dân phố " + "x" * 200, kind="ward") for n in range(25_000))
    await house.draft(msgspec.structs.replace(CONTEST, units=(*CONTEST.units, *many)))
    with pytest.raises(Problem) as problem:
        await house.authoring.publish("hp", ROUND.id)
    assert (problem.value.status, problem.value.field) == (422, "units")
    assert not house.bus.published
    assert (await house.authoring.get("hp")).published == -1


async def test_what_has_changed_since_it_was_approved_is_not_published(house: House) -> None:
    await house.draft()

    async def refused() -> str:
        with pytest.raises(Problem) as problem:
            await house.authoring.publish("hp", ROUND.id)
        assert problem.value.code == "approval"
        round = find(await house.authoring.get("hp"), ROUND.id)
        assert (round.stage, round.approval, house.bus.published) == ("draft", None, [])
        return round.returned

    async def approve() -> None:
        await house.authoring.submit(await house.authoring.get("hp"), ROUND.id, "a")
        await house.authoring.approve(await house.authoring.get("hp"), ROUND.id, "b")

    await house.bank.retire("hp", "q0")
    assert "Ngân hàng" in await refused()
    await approve()
    draft = await house.authoring.get("hp")
    await house.authoring.edit(msgspec.structs.replace(draft, consent_text="Tôi đồng ý hết."))
    assert "Thông tin" in await refused()
    await approve()
    await house.authoring.put_units(await house.authoring.get("hp"), draft.units[:1])
    assert "đơn vị" in await refused()
    await approve()
    await house.bank.add("hp", [Question("x", "Địa", "Khác?", ("a", "b"), frozenset({0}))], "o")
    assert "Ngân hàng" in await refused()
    await approve()
    assert find(await house.authoring.get("hp"), ROUND.id).returned == ""
    await house.authoring.publish("hp", ROUND.id)
    assert house.told(ContestPublished)


@pytest.mark.parametrize("left", [4, 29])
async def test_a_bank_that_shrinks_while_papers_are_drawn_sends_its_round_back_and_holds_up_nobody(
    house: House, left: int
) -> None:
    other = msgspec.structs.replace(CONTEST, id="kb", rounds=(msgspec.structs.replace(ROUND, id="kb.tuan-1"),))
    for contest in (CONTEST, other):
        await house.draft(contest)
    house.faults.left = 1  # the round is published in the draft, and the process dies
    with pytest.raises(StoreDown):
        await house.authoring.publish("hp", ROUND.id)
    house.faults.left = None
    for question in BANK[left:]:
        await house.bank.retire("hp", question.id)
    await house.authoring.publish("kb", "kb.tuan-1")
    await house.worker._sweep()
    assert set(house.book.contests) == {"kb"}
    draft = await house.authoring.get("hp")
    round = find(draft, ROUND.id)
    assert (draft.published, round.stage, "Ngân hàng" in round.returned) == (-1, "draft", True)
    assert ROUND.id not in house.store["papers"].documents


@pytest.mark.parametrize("told", [False, True])
async def test_what_another_process_has_drawn_is_not_taken_back_for_a_later_change_of_the_bank(
    house: House, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    await house.draft()
    house.faults.left = 1
    with pytest.raises(StoreDown):
        await house.authoring.publish("hp", ROUND.id)
    house.faults.left = None
    read = Bank.questions

    async def late(bank: Bank, contest: str) -> list[Question]:
        """The worker has seen no papers; before it reads the bank, the web process draws them, and the bank is corrected."""
        monkeypatch.setattr(Bank, "questions", read)
        house.faults.left = None if told else 1
        with suppress(StoreDown):
            await house.authoring._publisher.finish()
        house.faults.left = None
        await house.bank.retire("hp", "q0")
        return await read(bank, contest)

    monkeypatch.setattr(Bank, "questions", late)
    await house.worker._sweep()
    draft = await house.authoring.get("hp")
    assert (draft.published, find(draft, ROUND.id).stage) == (0, "published")
    assert house.told(ContestPublished)
    await house.authoring.drafts.take_back(msgspec.structs.replace(draft, published=-1))
    assert (await house.authoring.get("hp")).published == 0, "everyone knows it"
