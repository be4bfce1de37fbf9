"""What organisers do with the accounts of others: invitations, subtrees, resets, API keys."""

from __future__ import annotations

import re
from datetime import timedelta

import httpx
import pytest

from services.kit.console import Role
from services.kit.web.console import CSRF_HEADER
from tests.console_house import OTHER, ConsoleHouse, found, new_account, set_code, submit, token
from tests.organisers import member


async def invite(browser: httpx.AsyncClient, role: str, subtree: str = "") -> httpx.Response:
    return await submit(browser, "/console/accounts", "/console/accounts/invite", role=role, subtree=subtree, label="x")


def link_in(page: httpx.Response) -> str:
    found = re.search(r'id="link" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


async def test_an_invitation_makes_one_account_of_its_role(house: ConsoleHouse) -> None:
    link = link_in(await invite(await house.signed_in(), "unit", "A1"))
    first, second = house.browser(), house.browser()
    form = new_account(await first.get(link), "hoa@example.org", role="city", subtree="")
    late = new_account(await second.get(link), "hai@example.org")
    assert (await first.post(link, data=form)).status_code in (200, 404)  # no page of contests here
    made = await house.console.directory.find(house.console.directory.id_of("hoa@example.org"))
    assert made
    assert (made.role, made.subtree) == ("unit", "A1")
    assert (await second.post(link, data=late)).status_code == 404
    assert (await house.browser().get(link)).status_code == 404
    assert await house.console.directory.find(house.console.directory.id_of("hai@example.org")) is None


async def test_an_invitation_ends_after_a_week_by_hand_and_with_its_giver(house: ConsoleHouse) -> None:
    city, district = await house.signed_in(), await house.signed_in("district", "A")
    by_hand, by_giver, by_time = [link_in(await invite(who, "unit", "A1")) for who in (city, district, city)]
    first = (await house.console.invitations.good())[-1]
    await submit(city, "/console/accounts", "/console/accounts/revoke-invitation", invitation=first.id)
    giver = await member(house.console, "district", "A")
    await submit(city, "/console/accounts", "/console/accounts/disable", account=giver.id)
    gone = [(await house.browser().get(link)).status_code for link in (by_hand, by_giver)]
    assert 404 in gone
    assert gone[1] == 404
    house.clock.advance(timedelta(days=7))
    assert (await house.browser().get(by_time)).status_code == 404


async def test_a_unit_is_named_as_people_do_and_the_link_says_for_whom_it_is(house: ConsoleHouse) -> None:
    city = await house.signed_in()
    page = await invite(city, "unit", "phuong a1")
    assert (await house.console.invitations.good())[-1].subtree == "A1"
    assert "Đầu mối đơn vị · Phường A1</strong> (x)" in page.text
    assert "copy.js" in page.text
    assert "Không có đơn vị “Phường Z”" in (await invite(city, "unit", "Phường Z")).text


@pytest.mark.parametrize(
    ("role", "subtree", "status"),
    [("unit", "A1", 200), ("district", "A", 200), ("reader", "A1", 200), ("unit", "B", 403), ("district", "HP", 403),
     ("city", "", 403), ("operator", "", 403), ("reader", "", 403), ("unit", "", 422), ("unit", "nowhere", 422),
     ("city", "A", 422), ("root", "", 422)],
)  # fmt: skip
async def test_a_district_gives_no_more_than_it_has(house: ConsoleHouse, role: str, subtree: str, status: int) -> None:
    assert (await invite(await house.signed_in("district", "A"), role, subtree)).status_code == status


PEOPLE: list[tuple[Role, str | None]] = [("city", None), ("unit", "A1"), ("unit", "B")]


async def test_a_district_sees_and_shuts_its_own_subtree_only(house: ConsoleHouse) -> None:
    district = await house.signed_in("district", "A")
    city, mine, foreign = [await member(house.console, role, at) for role, at in PEOPLE]
    page = await district.get("/console/accounts")
    assert mine.email in page.text
    assert foreign.email not in page.text
    assert city.email not in page.text
    form = {"csrf": token(page)}
    peer = await member(house.console, "district", "A", "Ngang hàng")
    for victim, status in ((foreign, 404), (city, 404), (mine, 200), (peer, 403)):
        for action in ("reset", "disable"):
            answer = await district.post(f"/console/accounts/{action}", data=form | {"account": victim.id})
            assert answer.status_code == status, (victim.role, action)
    assert (await district.post("/console/accounts/drop-code", data=form | {"account": mine.id})).status_code == 403


@pytest.mark.parametrize("role", ["district", "unit", "operator", "reader"])
async def test_pages_of_the_city_are_for_the_city(house: ConsoleHouse, role: Role) -> None:
    browser = await house.signed_in(role, "A" if role in ("district", "unit") else None)
    page = await browser.get("/console/account")
    assert page.status_code == 200
    assert "/console/audit-log" not in page.text
    assert ("/console/accounts" in page.text) == (role == "district")
    for path in ("/console/audit-log", "/console/api-keys"):
        assert (await browser.get(path)).status_code == 403
    assert (
        await browser.post("/console/api-keys/make", data={"csrf": token(page), "label": "x", "role": "city"})
    ).status_code == 403
    if role != "district":
        assert (await browser.get("/console/accounts")).status_code == 403


async def test_a_forgotten_password_is_reset_once_and_the_code_stays(house: ConsoleHouse) -> None:
    app, _ = await set_code(await found(house), house.clock)
    city, browser = await house.signed_in(), house.browser()
    id = house.console.directory.id_of("ngoc@example.org")
    link = link_in(await submit(city, "/console/accounts", "/console/accounts/reset", account=id))
    page = await submit(browser, link, link, password=OTHER)
    assert page.url.path == "/console/code"
    assert (await house.browser().get(link)).status_code == 404
    house.clock.advance(timedelta(seconds=30))
    await submit(browser, "/console/code", "/console/code", code=app.at(house.clock.now()))
    assert (await browser.get("/console/accounts")).status_code == 200


async def test_a_role_is_changed_and_what_it_gave_ends(house: ConsoleHouse) -> None:
    city, district = await house.signed_in(), await house.signed_in("district", "A")
    link, giver = link_in(await invite(district, "unit", "A1")), await member(house.console, "district", "A")
    change = "/console/accounts/role"
    assert (await submit(city, "/console/accounts", change, account=giver.id, role="unit", subtree="")).status_code == 422
    await submit(city, "/console/accounts", change, account=giver.id, role="unit", subtree="B")
    changed = await house.console.directory.find(giver.id)
    assert changed
    assert (changed.role, changed.subtree) == ("unit", "B")
    assert (await district.get("/console/accounts")).status_code == 401
    assert (await house.browser().get(link)).status_code == 404
    assert (await (await house.signed_in("district", "A")).get("/console/accounts")).status_code == 403  # the same account
    assert "account.role" in await house.actions()


async def test_a_link_for_a_new_password_ends_with_the_role_it_was_given_for(house: ConsoleHouse) -> None:
    district, city = await house.signed_in("district", "A"), await house.signed_in()
    unit = await member(house.console, "unit", "A1")
    link = link_in(await submit(district, "/console/accounts", "/console/accounts/reset", account=unit.id))
    await submit(city, "/console/accounts", "/console/accounts/role", account=unit.id, role="city", subtree="")
    assert await house.console.resets.good() == []
    assert (await house.browser().get(link)).status_code == 404
    # One that is given while the role changes is refused by itself.
    district_account = await member(house.console, "district", "A")
    text, _ = await house.console.resets.give(district_account, unit.id, "unit", "A1")
    assert (await house.browser().get(f"/console/reset/{text}")).status_code == 404


async def test_nobody_gives_a_role_beyond_their_own(house: ConsoleHouse) -> None:
    district, unit = await house.signed_in("district", "A"), await member(house.console, "unit", "A1")
    change = "/console/accounts/role"
    for role, subtree in (("city", ""), ("district", "HP"), ("unit", "B")):
        assert (
            await submit(district, "/console/accounts", change, account=unit.id, role=role, subtree=subtree)
        ).status_code == 403
    outside = await member(house.console, "unit", "B")
    reply = await submit(district, "/console/accounts", change, account=outside.id, role="unit", subtree="A1")
    assert reply.status_code == 404


async def test_links_lead_where_others_reach_the_pages(house: ConsoleHouse) -> None:
    house.console.address = "https://thi.example.org/"
    assert link_in(await invite(await house.signed_in(), "unit", "A1")).startswith("https://thi.example.org/console/invitation/")


async def test_the_audit_log_speaks_in_words_and_keeps_what_was_noted(house: ConsoleHouse) -> None:
    city, audit = await house.signed_in(), house.console.audit
    await audit.append("hoa", "round.extended", "c.tuan-1", closes="2026-05-20T10:00:00+00:00", reason="Mất điện")
    await audit.append("hoa", "case.clear", "x", attempts=3, reason="0" * 64)
    await audit.append("hoa", "contacts.changed", "c/A1")
    await audit.append("hoa", "round.extended", "c.tuan-2")
    await audit.append("hoa", "watch.changed", "c", on=True, day="9999-12-31T23:59:59Z")
    page = (await city.get("/console/audit-log")).text
    assert "<strong>Gia hạn vòng thi đến 17:00 20/5/2026</strong> · c.tuan-1" in page
    assert "Lý do: Mất điện" in page
    assert page.count("Lý do:") == 1, "a digest tells nobody anything"
    assert "Coi 3 lượt thi bất thường là hợp lệ" in page
    assert "Sửa đầu mối của đơn vị</strong> · Phường A1" in page
    assert "<strong>round.extended</strong> · c.tuan-2" in page, "an entry of another time"
    assert "2026-05-20T10:00:00+00:00" in page


async def test_an_api_key_opens_the_admin_api_until_it_is_revoked(house: ConsoleHouse) -> None:
    city, program, thing = await house.signed_in(), house.browser(), "/api/v1/admin/thing"
    keys = {}
    for role in ("operator", "reader"):
        page = await submit(city, "/console/api-keys", "/console/api-keys/make", label=f"cổng {role}", role=role)
        keys[role] = re.search(r'id="key">([^<]+)<', page.text)[1]  # type: ignore[index]
    bearer = {role: {"Authorization": f"Bearer {key}"} for role, key in keys.items()}
    assert keys["operator"] not in str(dict(house.database["api_keys"].documents))
    holder, maker = await house.console.key_holder(keys["operator"]), await member(house.console)
    assert holder
    assert (holder.person, maker.person) == (maker.id, maker.id), "a key is no second person"
    answer = await program.post(thing, headers=bearer["operator"])
    assert answer.json()["by"].startswith("key/")
    assert (await program.post(thing, headers=bearer["reader"])).status_code == 403
    assert (await program.post(thing)).status_code == 401
    assert (await program.post(thing, headers={"Authorization": "Bearer hoithi_x"})).status_code == 401
    id = answer.json()["by"].removeprefix("key/")
    await submit(city, "/console/api-keys", "/console/api-keys/revoke", key=id)
    assert (await program.post(thing, headers=bearer["operator"])).status_code == 401


async def test_a_session_calls_the_admin_api_with_its_token_in_a_header(house: ConsoleHouse) -> None:
    city, thing = await house.signed_in(), "/api/v1/admin/thing"
    assert (await city.post(thing)).status_code == 403
    sent = {CSRF_HEADER: token(await city.get("/console/account"))}
    assert (await city.post(thing, headers=sent)).status_code == 200
