"""Organisers' accounts compete for no prize: found by e-mail, shown before anything is settled; a person may say otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from bson import Binary

from services.events import ParticipantErased, ParticipantRegistered
from services.kit.clock import us_of
from services.kit.console import Role
from services.kit.security import Secrets
from services.scoring import handlers
from services.scoring.domain import Judged, State
from services.scoring.organisers import Found
from services.scoring.store import snapshots, views
from tests.console_house import submit
from tests.organisers import member
from tests.scoring_house import CLOSES, NOW, PLAN, ScoringHouse

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
    await member(scoring.house.console, "operator")
    found = (await browser.get(OVERALL)).text
    assert '"an"' not in found, "what was said in a round stands"
    assert 'value="ba"' in found, "an account that was made since"
    await submit(browser, OVERALL, OVERALL, action="include", participant="ba", reason="vào làm sau cuộc thi")
    assert await scoring.closing.excluded_overall("thi") == []
    assert 'value="ba"' not in (await browser.get(OVERALL)).text
    await scoring.closing.settle(PLAN, (), (), {"chi": Found("C***", "o2", "Chi")})
    assert [each.participant for each in await scoring.closing.excluded_overall("thi")] == ["chi"]
    await submit(browser, OVERALL, OVERALL, action="include", participant="chi", reason="cùng e-mail cơ quan thôi")
    assert await scoring.closing.excluded_overall("thi") == []
