"""The page of the winners: names and numbers for the city alone, every look on record, people who left left out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from services.events import ContestBook, PersonAwarded, PrizesAwarded
from services.kit.console import Role
from services.kit.runtime import Face
from services.quiz.authoring.awards import Awards
from services.quiz.authoring.drafts import ContestDraft
from services.quiz.authoring.winners import WinnersPages
from tests.console_house import ConsoleHouse
from tests.contract.memory_store import memory_store
from tests.scoring_house import CONTEST, NOW, PLAN

PAGE = "/console/contests/thi/dat-giai"
PEOPLE = [
    {"_id": "p1", "name": "Đặng Thuỳ Trâm", "phone": "+84912345678", "email": "tram@example.org"},
    {"_id": "p3", "name": "Lê Ba", "phone": "+84900000003", "email": None},
]


class Drafts:
    """As much of authoring as the page asks."""

    async def get(self, contest: str) -> ContestDraft:
        return ContestDraft(id=contest, title="Hải Phòng", kind="", owner="")


def awarded(round: str | None, *who: str, revision: int = 0) -> PrizesAwarded:
    persons = tuple(
        PersonAwarded(prize="Giải Nhất", participant=id, name=f"Ng*** {id}", unit="A", correct=20, drawn=id == "p1") for id in who
    )
    return PrizesAwarded(time=NOW, contest="thi", round=round, persons=persons, units=(), revision=revision)


async def _nothing() -> None: ...


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[ConsoleHouse]:
    store, book = memory_store(), ContestBook()
    book.apply(CONTEST)
    await store["participants"].insert_many(PEOPLE)
    for event in (awarded(None, "p3"), awarded(PLAN.id, "p2"), awarded(PLAN.id, "p1", "p2", revision=1)):
        await Awards(store).put(event)
    await Awards(store).put(msgspec.structs.replace(awarded("khac.tuan-1", "p3"), contest="khac"))
    pages = WinnersPages(store, cast("Any", Drafts()), book)
    made = ConsoleHouse(tmp_path, [Face(name="quiz", router=pages.router, start=_nothing)])
    yield made
    await made.close()


async def test_the_city_sees_whom_to_invite_and_every_look_is_on_record(house: ConsoleHouse) -> None:
    text = (await (await house.signed_in("city")).get(PAGE)).text
    assert "Đặng Thuỳ Trâm" in text
    assert "+84912345678" in text
    assert "tram@example.org" in text
    assert "Ng*** p2" in text, "who was erased stands under the masked name"
    assert text.index("Tuần 1") < text.index("Giải toàn cuộc thi")
    (entry,) = await house.console.audit.page(1, 10)
    assert (entry.action, entry.subject) == ("winners.viewed", "thi")
    assert "+84" not in str(entry)


@pytest.mark.parametrize("role", ["district", "unit", "operator", "reader"])
async def test_nobody_else_sees_it(house: ConsoleHouse, role: Role) -> None:
    subtree = "A" if role in ("district", "unit") else None
    reply = await (await house.signed_in(role, subtree)).get(PAGE)
    assert reply.status_code == 403
    assert "+84" not in reply.text
    assert (await house.browser().get(PAGE)).status_code == 401
    assert await house.actions() == []
