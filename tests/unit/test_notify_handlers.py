"""Messages come to be once for each verdict of a person who gave an address, in whatever order and however often events come."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.events import (
    AttemptScored,
    ContestBook,
    ContestPublished,
    ParticipantErased,
    ParticipantMoved,
    ParticipantRegistered,
    encode,
)
from services.events.schemas import example
from services.kit.bus import NotReady, Record, partition_of
from services.notify.domain import masked, wait_after
from services.notify.handlers import Known, State, messages
from services.notify.members import Members
from services.notify.worker import NotifyWorker
from tests.contract.memory_store import memory_store
from tests.reminders import House

NOW = datetime(2026, 5, 19, 13, 0, tzinfo=UTC)


def book(show: str = "at_once") -> ContestBook:
    known = ContestBook()
    golden = example(ContestPublished.type)
    contest = msgspec.json.decode(golden.body, type=ContestPublished)
    rounds = tuple(msgspec.structs.replace(plan, id="c.r", contest="c", show_score=show) for plan in contest.rounds[:1])
    known.apply(msgspec.structs.replace(contest, contest="c", rounds=rounds))
    return known


def registered(person: str, email: str | None) -> ParticipantRegistered:
    return ParticipantRegistered(
        time=NOW, participant=person, contest="c", name="Lê Thị Dung", phone="+84912345678", unit="U", categories=("a",),
        consent="1", email=email,
    )  # fmt: skip


def moved(person: str, revision: int, unit: str) -> ParticipantMoved:
    return ParticipantMoved(
        time=NOW, participant=person, contest="c", name="Lê Thị Dung", phone="+84912345678", unit=unit, categories=("a",),
        consent="1", email="an@example.org", revision=revision, moved_from="U",
    )  # fmt: skip


def scored(person: str, n: int = 1, revision: int = 0, correct: int = 15, verdict: Any = "valid") -> AttemptScored:
    return AttemptScored(
        time=NOW, attempt=f"{person}:c.r:{n}", participant=person, round="c.r", n=n, unit="U", categories=("a",), started_at=NOW,
        verdict=verdict, correct=correct, total=20, elapsed_ms=1, digest="d", key_version=1, revision=revision,
    )  # fmt: skip


def outbox(batches: Sequence[Sequence[Known]], known: ContestBook | None = None) -> dict[str, dict[str, Any]]:
    """What lies in the outbox after these batches of one partition."""
    state, kept = State(), {}
    for batch in batches:
        for message in messages(state, batch, known or book()):
            kept.setdefault(message["_id"], message)
        for event in batch:
            state.take(event)
        state = msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=State)
    return kept


EVENTS: list[Known] = [
    registered("an", "an@example.org"),
    registered("binh", None),
    scored("an"),
    scored("an", 2),
    scored("an", revision=1, correct=16),
    scored("binh"),
    scored("nobody"),
]


@given(st.permutations(EVENTS + EVENTS[:4]), st.lists(st.integers(1, 4), max_size=11))
def test_any_order_and_any_batches_give_the_same_messages(events: list[Known], cuts: list[int]) -> None:
    batches, at = [], 0
    for cut in cuts:
        batches.append(events[at : at + cut])
        at += cut
    kept = outbox([*batches, events[at:]])
    assert sorted(kept) == ["result/an:c.r:1/0", "result/an:c.r:1/1", "result/an:c.r:2/0"]
    assert kept["result/an:c.r:1/1"]["shown"] == {"correct": 16, "total": 20}


PEOPLE: list[Known] = [
    registered("an", "an@example.org"),
    moved("an", 1, "V"),
    moved("an", 2, "W"),
    scored("an"),
    scored("an", revision=1, verdict="disqualified"),
    scored("an", 2, revision=3, verdict="late"),
    scored("an", 2, revision=4),
    registered("binh", None),
    ParticipantErased(time=NOW, participant="binh", contest="c", revision=9),
    scored("binh"),
]


@given(st.permutations(PEOPLE + PEOPLE[:5]))
def test_any_order_leads_to_the_same_people_and_tells_which_buckets_changed(events: list[Known]) -> None:
    state = State()
    for event in events:
        before = dict(state.people)
        changed = state.take(event)
        moved_ids = [id for id, packed in state.people.items() if before.get(id) != packed]
        assert changed == {packed[0] for id in moved_ids for packed in (before.get(id), state.people[id]) if packed}
    person = state.person("an")
    assert person
    assert (person.unit, person.revision, person.took_part("c.r"), person.took_part("x")) == ("W", 2, True, False)
    assert [(mark.n, mark.revision, mark.valid) for mark in person.marks] == [(1, 1, False), (2, 4, True)]
    assert state.people["binh"] == b""
    assert not state.early


def test_the_score_stays_out_of_the_message_until_the_rules_allow_it() -> None:
    (message,) = outbox([EVENTS[:1], [scored("an")]], book("after_close")).values()
    assert message["shown"] == {}
    assert "correct" not in message


def test_who_was_erased_is_written_to_no_more() -> None:
    erased = ParticipantErased(time=NOW, participant="an", contest="c", revision=1)
    assert outbox([[EVENTS[0]], [erased], [scored("an")]]) == {}
    assert outbox([[erased], [EVENTS[0]]]) == {}


def test_a_round_that_is_not_known_yet_is_waited_for() -> None:
    with pytest.raises(NotReady):
        outbox([[registered("an", "an@example.org"), scored("an")]], ContestBook())


def test_waits_grow_and_stay_bounded() -> None:
    waits = [wait_after(tries) for tries in range(60)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (timedelta(seconds=15), timedelta(minutes=30))


@pytest.mark.parametrize("email", ["dung@example.org", "a@b.vn"])
def test_a_masked_address_cannot_be_written_to(email: str) -> None:
    assert email not in masked(email)
    assert masked(email).endswith(email[email.index("@") :])


async def test_a_new_owner_writes_what_the_last_one_had_not(tmp_path: Path) -> None:
    """Killed after its snapshot and before its buckets: whoever takes the partition over writes them."""
    house = House(memory_store(), tmp_path)
    worker = NotifyWorker(house.runtime, book(), house.outbox)
    await worker.assigned(range(32))
    records = [
        Record(event.topic, partition_of("an", 32), 0, "an", encode(event), {"ce_type": event.type}, 0)
        for event in (registered("an", None), scored("an"))
    ]
    await worker.handle(records)
    await worker.derived.write_snapshots()
    members = Members(house.runtime.store)
    assert [member.id async for member in members.of_units("c", ["U"])] == []
    heir = NotifyWorker(house.runtime, book(), house.outbox)
    await heir.assigned(range(32))
    await heir.write_changed()
    (member,) = [member async for member in members.of_units("c", ["U", "V"])]
    assert (member.id, member.person.took_part("c.r"), member.person.name) == ("an", True, "le thi dung")
    erased = ParticipantErased(time=NOW, participant="an", contest="c", revision=1)
    await heir.handle([Record("participants", partition_of("an", 32), 1, "an", encode(erased), {"ce_type": erased.type}, 0)])
    await heir.write_changed()
    await worker.write_changed()  # a late owner knows less, and must not bring the person back
    assert [member.id async for member in members.of_units("c", ["U"])] == []
