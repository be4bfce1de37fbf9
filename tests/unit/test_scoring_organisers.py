"""Organisers' accounts compete for no prize: found by e-mail, shown before anything is settled; a person may say otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from bson import Binary

from services.events import ParticipantErased, ParticipantRegistered
from services.kit.clock import us_of
from services.kit.console import Role
from services.kit.security import Secrets
from services.kit.store import StoreDown
from services.scoring import handlers, organisers
from services.scoring.domain import Judged, State
from services.scoring.organisers import Found, Organisers
from services.scoring.store import read_state, snapshots, views
from tests.console_house import submit
from tests.organisers import member
from tests.scoring_house import CLOSES, NOW, PLAN, ScoringHouse

if TYPE_CHECKING:
    from services.kit.store import Database

PAGE, OVERALL = f"/console/rounds/{PLAN.id}/prizes", "/console/rounds/thi/overall"
KEY = b"k" * 32


@pytest.fixture
async def scoring(tmp_path: Path) -> AsyncIterator[ScoringHouse]:
    made = ScoringHouse(tmp_path)
    yield made
    await made.house.close()


def registered(who: str, email: str | None, revision: int = 0) -> ParticipantRegistered:
    return ParticipantRegistered(
        time=NOW, participant=who, contest="thi", name="Đặng Thuỳ Trâm", phone="+84900000000", unit="A", categories=(),
        consent="v1", email=email, revision=revision,
    )  # fmt: skip


async def take_part(scoring: ScoringHouse, folder: Path, **emails: str | None) -> None:
    """These people have registered, and taken part in the round that was ranked."""
    state, key = State(), Secrets(folder).get("phone.key")
    mark = state.mark(PLAN.id, us_of(CLOSES), 0, 1)
    for at, (who, email) in enumerate(emails.items()):
        handlers.meet(state, registered(who, email), key)
        judged = Judged(
            participant=who, round=PLAN.id, n=1, unit="A", categories=(), started=0, received=at, digest=bytes(16),
            prediction=None, verdict="valid", correct=9, total=20, key_version=1, rules=0,
        )  # fmt: skip
        state.put(judged, at)
    handlers.meet(state, registered("absent", "city.all@example.org"), key)
    marks = {PLAN.id: mark}
    await snapshots(scoring.store).insert_many([{"_id": 3, "body": Binary(msgspec.msgpack.encode(state))}])
    await views(scoring.store).insert_many([{"_id": 3, "offsets": {}, "body": Binary(msgspec.msgpack.encode(marks))}])
    await scoring.rank(marks={3: mark})


def test_only_a_keyed_digest_of_the_e_mail_is_kept_and_forgotten_with_the_person() -> None:
    state = State()
    handlers.meet(state, registered("an", "Tram.Dang@Example.org "), KEY)
    held = state.people["an"].email
    assert held == handlers.address(KEY, "tram.dang@example.org") != handlers.address(bytes(32), "tram.dang@example.org")
    assert b"tram" not in msgspec.msgpack.encode(state).lower()
    handlers.meet(state, ParticipantErased(time=NOW, participant="an", contest="thi", revision=1), KEY)
    assert state.people["an"].email == b"" == handlers.address(KEY, None)


async def test_they_are_shown_and_excluded_unless_a_person_says_otherwise(scoring: ScoringHouse, tmp_path: Path) -> None:
    browser = await scoring.house.signed_in("city")
    await take_part(scoring, tmp_path, an="City.All@example.org", ba="ai-do@example.org", chi=None)
    page = (await browser.get(PAGE)).text
    assert "Tài khoản của Ban Tổ chức" in page
    assert "Đặng T*** T***" in page
    assert "Cùng e-mail với tài khoản của Nguyễn Thị Thử" in page
    assert page.count('name="participant"') == 1
    assert "absent" not in page, "without an attempt nobody competes"
    await submit(browser, PAGE, PAGE, action="settle", persons="Giải Nhất: 1")
    assert [(each.participant, each.why) for each in await scoring.closing.excluded(PLAN)] == [("an", "account")]
    assert await scoring.settlements.reopen(PLAN.id) or await scoring.settlements.give_up(PLAN.id, "")
    refused = await submit(browser, PAGE, PAGE, action="include", participant="an", reason="x")
    assert refused.status_code == 422
    await submit(browser, PAGE, PAGE, action="include", participant="an", reason="chỉ xem số liệu, không ra đề")
    await submit(browser, PAGE, PAGE, action="settle", persons="Giải Nhất: 1")
    assert await scoring.closing.excluded(PLAN) == []
    assert "không ra đề" not in await scoring.house.noted()


@pytest.mark.parametrize(("role", "excluded"), [("operator", True), ("district", True), ("unit", False), ("reader", False)])
async def test_secretaries_and_readers_take_part_like_everyone(
    scoring: ScoringHouse, tmp_path: Path, role: Role, excluded: bool
) -> None:
    account = await member(scoring.house.console, role, "A" if role in ("district", "unit") else None)
    await scoring.house.console.directory.set_disabled(account.id, True)
    browser = await scoring.house.signed_in("city")
    await take_part(scoring, tmp_path, an=account.email)
    assert ("Tài khoản của Ban Tổ chức" in (await browser.get(PAGE)).text) == excluded


async def test_over_all_rounds_the_contests_own_word_is_the_last(scoring: ScoringHouse, tmp_path: Path) -> None:
    browser = await scoring.house.signed_in("city")
    await take_part(scoring, tmp_path, an="city.all@example.org", ba="operator.all@example.org")
    await submit(browser, PAGE, PAGE, action="include", participant="an", reason="đã rời Ban Tổ chức từ lâu")
    await scoring.closing.settle(PLAN, (), (), {"chi": Found("C***", "o2", "Chi")})
    await member(scoring.house.console, "operator")
    assert 'value="ba"' not in (await browser.get(OVERALL)).text, "nobody looks before all rounds are published"
    await scoring.outcome()
    await scoring.closing.publish(PLAN)
    found = (await browser.get(OVERALL)).text
    assert '"an"' not in found, "what was said in a round stands"
    assert 'value="ba"' in found, "an account that was made since"
    await submit(browser, OVERALL, OVERALL, action="include", participant="ba", reason="vào làm sau cuộc thi")
    assert 'value="ba"' not in (await browser.get(OVERALL)).text
    assert [each.participant for each in await scoring.closing.excluded_overall("thi")] == ["chi"]
    await submit(browser, OVERALL, OVERALL, action="include", participant="chi", reason="cùng e-mail cơ quan thôi")
    assert await scoring.closing.excluded_overall("thi") == []


async def test_while_a_round_runs_nobody_looks(scoring: ScoringHouse, tmp_path: Path) -> None:
    browser = await scoring.house.signed_in("city")
    await take_part(scoring, tmp_path, an="city.all@example.org")
    later = {PLAN.id: State().mark(PLAN.id, us_of(CLOSES) + 1, 0, 1)}
    await views(scoring.store).update_one({"_id": 3}, {"$set": {"body": Binary(msgspec.msgpack.encode(later))}})
    assert (await scoring.closing.readiness(PLAN)).head is None
    await snapshots(scoring.store).update_one({"_id": 3}, {"$set": {"body": Binary(b"not to be read")}})
    assert (await browser.get(PAGE)).status_code == 200


async def test_several_who_ask_share_a_look_and_one_at_snapshots_that_are_behind_is_none(
    tmp_path: Path, scoring: ScoringHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    await take_part(scoring, tmp_path, an="city.all@example.org")
    account = await member(scoring.house.console, "city")
    looks = []

    async def counted(database: Database, partition: int) -> State:
        looks.append(partition)
        return await read_state(database, partition)

    monkeypatch.setattr(organisers, "read_state", counted)
    asked = Organisers(scoring.store, Secrets(tmp_path).get("phone.key"))
    found = await asyncio.gather(*(asked.among([PLAN.id], [account]) for _ in range(3)))
    assert [list(each) for each in found] == [["an"]] * 3
    assert looks == [3]
    await snapshots(scoring.store).delete_many({})
    with pytest.raises(StoreDown):
        await Organisers(scoring.store, bytes(32)).among([PLAN.id], [account])


async def test_states_from_before_there_were_digests_are_left_where_they_lie(scoring: ScoringHouse) -> None:
    old = State()
    old.meet("an", 0, "Lê H***")
    await scoring.store["snapshots"].insert_many([{"_id": 3, "body": Binary(msgspec.msgpack.encode(old))}])
    assert not (await read_state(scoring.store, 3)).people
