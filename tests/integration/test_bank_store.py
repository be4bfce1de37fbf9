"""The bank in a real store: all or nothing, once, whatever happens in the middle or at once; and the reader's process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from services.kit.clock import ManualClock
from services.kit.problems import Problem
from services.quiz.bank import drafts as drafting
from services.quiz.bank.check import Job
from services.quiz.bank.drafts import CheckFailed, Draft, Drafts, run
from services.quiz.bank.store import Bank, Media
from services.quiz.domain import Question

if TYPE_CHECKING:
    from services.kit.store import Database

CLOCK = ManualClock(datetime(2026, 11, 23, tzinfo=UTC))


def questions(start: int, end: int) -> list[Question]:
    return [
        Question(f"q{n}", f"T{n % 2}", f"Câu {n}?", ("a", "b"), frozenset({n % 2}), difficulty="easy") for n in range(start, end)
    ]


async def test_questions_come_back_as_they_were_in_their_order(database: Database) -> None:
    bank = Bank(database, CLOCK)
    await bank.add("c", questions(0, 3), "an")
    await bank.add("other", questions(0, 1), "an")
    await bank.add("c", questions(3, 5), "binh")
    assert await bank.questions("c") == tuple(questions(0, 5))
    assert await bank.topics("c") == {"T0": 3, "T1": 2}
    assert {(e.by, e.retired) for e in await bank.entries("c")} == {("an", None), ("binh", None)}
    assert await bank.questions("none") == ()


async def test_an_import_is_made_once(database: Database) -> None:
    bank = Bank(database, CLOCK)
    assert [await bank.add("c", questions(0, 2), "an", "import-1") for _ in range(2)] == [2, 0]
    assert len(await bank.questions("c")) == 2


async def test_a_retired_question_is_drawn_no_more_and_may_come_back(database: Database) -> None:
    bank = Bank(database, CLOCK)
    await bank.add("c", questions(0, 2), "an")
    assert await bank.retire("c", "q0")
    assert [q.id for q in await bank.questions("c")] == ["q1"]
    assert len(await bank.entries("c")) == 2
    assert await bank.retire("c", "q0", retired=False)
    assert len(await bank.questions("c")) == 2
    assert not await bank.retire("c", "q9")


async def test_what_the_bank_has_keeps_a_whole_import_out(database: Database) -> None:
    bank = Bank(database, CLOCK)
    await bank.add("c", questions(0, 2), "an")
    await bank.retire("c", "q1")
    for known in (
        questions(1, 2)[0],
        replace(questions(0, 1)[0], id="other", text="câu 0"),
        replace(questions(9, 10)[0], id="q0"),
    ):
        with pytest.raises(Problem) as refused:
            await bank.add("c", [*questions(5, 7), known], "an")
        assert refused.value.status == 409
    assert len(await bank.entries("c")) == 2


async def test_a_correction_stands_in_the_place_of_the_question_and_stays_retired(database: Database) -> None:
    bank = Bank(database, CLOCK)
    await bank.add("c", questions(0, 3), "an")
    await bank.retire("c", "q1")
    better = replace(questions(1, 2)[0], text="Câu một?", right=frozenset({0}), explanation="Vì thế.")
    assert await bank.add("c", [better], "binh", corrected=["q1"]) == 1
    entries = await bank.entries("c")
    assert [entry.question.id for entry in entries] == ["q0", "q1", "q2"]
    assert (entries[1].question, entries[1].by, entries[1].retired) == (better, "binh", CLOCK.now())
    assert await bank.retire("c", "q1", retired=False)
    assert (await bank.questions("c"))[1] == better
    for wrong, corrected in ((replace(better, id="q9"), ["q9"]), (replace(questions(0, 1)[0], id="q1"), ["q1"])):
        with pytest.raises(Problem):
            await bank.add("c", [wrong], "binh", corrected=corrected)
    assert (await bank.questions("c"))[1] == better


async def test_an_import_that_died_in_the_middle_is_not_there_and_can_be_made_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank, clock = Bank(database, CLOCK), ManualClock(CLOCK.now() + timedelta(hours=2))

    async def die(*_: Any) -> bool:
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(bank, "_show", die)
        for name in ("first", "second"):
            with pytest.raises(ConnectionError):
                await bank.add("c", questions(0, 3), "an", name)
    assert await bank.entries("c") == []
    assert await bank.add("c", questions(0, 3), "an", "first") == 3
    assert await bank.questions("c") == tuple(questions(0, 3))
    await Bank(database, clock).add("c", questions(3, 4), "an", "third")  # sweeps what nobody will ever see
    assert {d["import"] async for d in database["questions"].find({})} == {"first", "third"}


async def test_of_two_imports_at_once_of_the_same_question_one_wins(database: Database) -> None:
    banks = [Bank(database, CLOCK) for _ in range(4)]
    for head in (0, 1):  # with an empty bank, and with one that has something
        done = await asyncio.gather(
            *(bank.add("c", [*questions(head, head + 1), *questions(100 * n + 100 + head, 100 * n + 101 + head)], "an")
              for n, bank in enumerate(banks)), return_exceptions=True,
        )  # fmt: skip
        assert [result for result in done if not isinstance(result, Problem)] == [2]
        assert len(await banks[0].questions("c")) == 2 * (head + 1)


async def test_of_different_imports_at_once_none_is_lost(database: Database) -> None:
    done = await asyncio.gather(*(Bank(database, CLOCK).add("c", questions(9 * n, 9 * n + 9), "an") for n in range(4)))
    assert done == [9] * 4
    assert {q.id for q in await Bank(database).questions("c")} == {q.id for q in questions(0, 36)}


async def test_pictures_are_kept_under_their_digest(database: Database) -> None:
    media = Media(database)
    for _ in range(2):
        await media.add({"d" * 32: b"webp"})
    assert (await media.get("d" * 32), await media.get("e" * 32)) == (b"webp", None)


async def _settled(drafts: Drafts, id: str) -> Draft:
    while True:
        found = await drafts.get(id)
        assert found is not None
        if found.state != "reading":
            return found
        await asyncio.sleep(0.05)


async def test_a_draft_waits_with_its_verdicts_and_changes_nothing(database: Database) -> None:
    bank = Bank(database, CLOCK)
    drafts = Drafts(database, bank, Media(database), CLOCK)
    await bank.add("c", questions(0, 1), "an")
    rows = "\n".join(f"T;Câu {n}?;a;b;a" for n in range(500))
    id = await drafts.begin("c", Job("x.csv", f"chủ đề;câu hỏi;a;b;đáp án\n{rows}\n".encode()))
    draft = await _settled(drafts, id)
    assert (draft.state, draft.rows, draft.wrong, draft.clean, draft.contest) == ("ready", 500, 1, False, "c")
    assert [row.row for row in await drafts.rows(id)] == list(range(2, 502))
    assert len(await bank.entries("c")) == 1


@pytest.mark.parametrize("body", ["import os; os.abort()", "print(bytes(9)); import sys; sys.exit(3)"])
async def test_a_reader_that_dies_is_told_and_takes_nothing_with_it(
    database: Database, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    started = asyncio.create_subprocess_exec

    async def dying(program: str, *words: Sequence[str], **options: Any) -> Any:
        return await started(program, "-c", body, **options)

    monkeypatch.setattr(drafting.asyncio, "create_subprocess_exec", dying)
    with pytest.raises(CheckFailed):
        await run(Job("x", b"x" * 1_000_000), lambda done, of: asyncio.sleep(0))
    drafts = Drafts(database, Bank(database), Media(database), CLOCK)
    assert (await _settled(drafts, await drafts.begin("c", Job("x", b"x")))).state == "failed"


async def test_a_reader_that_says_nothing_for_long_is_taken_for_dead(database: Database) -> None:
    clock = ManualClock(CLOCK.now())
    drafts = Drafts(database, Bank(database), Media(database), clock)
    await database["bank_drafts"].insert_one(
        {"_id": "d", "contest": "c", "name": "x", "state": "reading", "done": 0, "of": 0, "at": clock.now(), "seen": clock.now()}
    )
    assert [(await drafts.get("d")), clock.advance(timedelta(minutes=2)), (await drafts.get("d"))][::2] == [
        Draft("d", "c", "x", "reading", 0, 0), Draft("d", "c", "x", "failed", 0, 0),
    ]  # fmt: skip
