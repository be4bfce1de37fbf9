"""The ways in and out of the console, through its pages; the store is in memory, the clock stands still."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from services.kit.console.passes import admin_path
from services.kit.web import Console
from services.kit.web.console import COOKIE
from tests.console_house import OTHER, PASSWORD, ConsoleHouse, found, new_account, set_code, sign_in, submit, token
from tests.organisers import member


async def test_the_admin_link_leads_to_a_working_console_in_one_form(house: ConsoleHouse) -> None:
    browser = await found(house)
    assert (await browser.get("/console/account")).status_code == 200
    assert await house.actions() == ["account.created", "session.opened"]
    assert (await house.browser().get("/console/login?key=" + "0" * 64)).status_code == 401


async def test_the_second_factor_can_be_put_off_for_a_day_and_no_longer(house: ConsoleHouse) -> None:
    browser = await found(house)
    house.clock.advance(timedelta(hours=11))
    assert (await browser.get("/console/accounts")).status_code == 200
    assert (await sign_in(browser)).status_code == 200
    house.clock.advance(timedelta(hours=13, seconds=1))
    await sign_in(browser)
    assert (await browser.get("/console/accounts")).status_code == 401, "the password alone opens only the set-up"
    await set_code(browser, house.clock)
    assert (await browser.get("/console/accounts")).status_code == 200


async def test_an_open_session_is_held_up_when_the_second_factor_falls_due(house: ConsoleHouse) -> None:
    browser = await found(house)
    house.clock.advance(timedelta(hours=13))
    await sign_in(browser)
    house.clock.advance(timedelta(hours=11, seconds=1))
    page = await browser.get("/console/accounts", headers={"accept": "text/html"})
    assert page.status_code == 403
    assert "/console/totp" in page.text


async def test_the_admin_link_opens_nothing_else_once_there_are_accounts(house: ConsoleHouse) -> None:
    await found(house)
    await member(house.console, "reader")
    browser = house.browser()
    page = await browser.get(admin_path(house.secrets))
    assert (await browser.get("/console/accounts")).status_code == 401
    again = await browser.post("/console/first-account", data=new_account(page, "hai@example.org"))
    assert again.status_code == 422, "it asks whether one is sure"
    taken = await browser.post("/console/first-account", data=new_account(page, "reader.all@example.org", sure="yes"))
    assert taken.status_code == 422, "an account of another role is not made a city account"
    await browser.post("/console/first-account", data=new_account(page, "hai@example.org", sure="yes"))
    assert "/console/totp" in str((await browser.get("/console/totp")).url)
    assert (await browser.get("/console/accounts")).status_code == 401, "no day of grace any more"
    assert (await house.actions())[-1] == "account.created"


async def test_the_admin_link_recovers_a_lost_city_account(house: ConsoleHouse) -> None:
    first = await found(house)
    await set_code(first, house.clock)
    browser = house.browser()
    page = await browser.get(admin_path(house.secrets))
    await browser.post("/console/first-account", data=new_account(page, "ngoc@example.org", sure="yes", password=OTHER))
    await set_code(browser, house.clock)
    assert (await browser.get("/console/accounts")).status_code == 200
    assert (await first.get("/console/accounts")).status_code == 401
    assert "account.recovered" in await house.actions()


async def test_a_page_sends_who_is_not_signed_in_to_do_so_and_back(house: ConsoleHouse) -> None:
    page, browser = {"accept": "text/html"}, house.browser()
    browser.follow_redirects = False
    sent = await browser.get("/console/audit-log?page=2&q=a", headers=page)
    assert (sent.status_code, sent.headers["location"]) == (
        303,
        "/console/sign-in?next=%2Fconsole%2Faudit-log%3Fpage%3D2%26q%3Da",
    )
    assert (await browser.get(sent.headers["location"], headers=page)).status_code == 200
    assert (await browser.get("/console/audit-log?page=2")).status_code == 401, "no page was asked for"
    posted = await browser.post("/console/accounts/invite", data={}, headers=page)
    assert posted.status_code == 401
    assert posted.text.count('class="button"') == 1, "one button is the next step"


async def test_password_and_code_then_in(house: ConsoleHouse) -> None:
    app, _ = await set_code(await found(house), house.clock)
    browser = house.browser()
    page = await sign_in(browser)
    assert page.url.path == "/console/code"
    assert (await browser.get("/console/accounts")).status_code == 401
    assert (await browser.get("/console/totp")).status_code == 401, "who lacks the code cannot set another one up"
    assert (await browser.get("/console/totp.svg")).status_code == 401
    house.clock.advance(timedelta(seconds=30))
    await submit(browser, "/console/code", "/console/code", code=app.at(house.clock.now()))
    assert (await browser.get("/console/accounts")).status_code == 200


async def test_a_code_is_taken_once(house: ConsoleHouse) -> None:
    app, codes = await set_code(await found(house), house.clock)
    house.clock.advance(timedelta(seconds=30))
    for code in (app.at(house.clock.now()), codes[0]):
        first, second = house.browser(), house.browser()
        await sign_in(first)
        await sign_in(second)
        await submit(first, "/console/code", "/console/code", code=code)
        assert (await first.get("/console/accounts")).status_code == 200
        assert (await submit(second, "/console/code", "/console/code", code=code)).status_code == 401
        assert (await second.get("/console/accounts")).status_code == 401


async def test_the_code_of_the_set_up_is_not_taken_again(house: ConsoleHouse) -> None:
    app, _ = await set_code(await found(house), house.clock)
    browser = house.browser()
    await sign_in(browser)
    assert (await submit(browser, "/console/code", "/console/code", code=app.at(house.clock.now()))).status_code == 401


async def test_codes_cannot_be_tried_without_end(house: ConsoleHouse) -> None:
    app, _ = await set_code(await found(house), house.clock)
    house.clock.advance(timedelta(minutes=5))
    browser = house.browser()
    await sign_in(browser)
    right = app.at(house.clock.now())
    wrong = f"{(int(right) + 1) % 1_000_000:06}"
    tries = [await submit(browser, "/console/code", "/console/code", code=wrong) for _ in range(5)]
    assert {each.status_code for each in tries} == {401}
    assert (await submit(browser, "/console/code", "/console/code", code=right)).status_code == 429
    await sign_in(browser)
    assert (await submit(browser, "/console/code", "/console/code", code=right)).status_code == 429, (
        "a new password is no way round"
    )
    assert "account.locked" in await house.actions()


@pytest.mark.parametrize("email", ["ngoc@example.org", "nobody@example.org"])
async def test_wrong_passwords_lock_the_account_whether_or_not_there_is_one(house: ConsoleHouse, email: str) -> None:
    await found(house)
    tries = [await sign_in(house.browser(), email, "sai mật khẩu rồi") for _ in range(6)]
    assert [each.status_code for each in tries] == [401] * 5 + [429]
    assert tries[5].headers["Retry-After"] == "30"
    assert (await sign_in(house.browser(), email)).status_code == 429, "also with the right one"
    assert (await sign_in(house.browser(), "another@example.org")).status_code == 401, "others at this address go on"
    house.clock.advance(timedelta(seconds=31))
    assert (await sign_in(house.browser(), email)).status_code == (200 if email.startswith("ngoc") else 401)


async def test_nobody_can_lock_out_a_browser_that_knows_the_account(house: ConsoleHouse) -> None:
    known = await found(house)
    for _ in range(6):
        await sign_in(house.browser(), password="sai mật khẩu rồi")
    assert (await sign_in(house.browser())).status_code == 429
    assert (await sign_in(known)).status_code == 200
    assert [(await sign_in(known, password="sai mật khẩu rồi")).status_code for _ in range(6)] == [401] * 5 + [429]
    assert (await sign_in(known, "nobody@example.org", "sai mật khẩu rồi")).status_code == 401


async def test_a_form_without_its_token_changes_nothing(house: ConsoleHouse) -> None:
    browser, other = await house.signed_in(), await house.signed_in("operator")
    victim = await member(house.console, "unit", "A1")
    foreign = token(await other.get("/console/account"))
    for sent in ({}, {"csrf": ""}, {"csrf": "0" * 32}, {"csrf": foreign}):
        answer = await browser.post("/console/accounts/disable", data={"account": victim.id, **sent})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (403, "csrf")
    assert (await house.browser().post("/console/sign-in", data={"email": "a@b.vn", "password": PASSWORD})).status_code == 403
    still = await house.console.directory.find(victim.id)
    assert still
    assert not still.disabled


async def test_a_form_larger_than_any_page_sends_is_not_even_read(house: ConsoleHouse) -> None:
    city = await house.signed_in()
    huge = await city.post("/console/accounts/invite", headers={"Content-Length": str(10**9)}, content=b"role=city")
    assert huge.status_code == 413
    untold = await city.post("/console/accounts/invite", content=_pieces())
    assert untold.status_code == 413


async def _pieces() -> AsyncIterator[bytes]:
    yield b"role=city"


async def test_a_disabled_account_is_out_at_once_or_within_seconds(house: ConsoleHouse) -> None:
    city, unit = await house.signed_in(), await house.signed_in("unit", "A1")
    elsewhere = Console(house.secrets, house.database, house.clock)  # another process with its own memory
    victim = await member(house.console, "unit", "A1")
    assert await elsewhere.directory.find(victim.id, fresh=False)
    assert (await unit.get("/console/account")).status_code == 200
    await submit(city, "/console/accounts", "/console/accounts/disable", account=victim.id)
    assert (await unit.get("/console/account")).status_code == 401
    house.clock.advance(timedelta(seconds=5))
    seen = await elsewhere.directory.find(victim.id, fresh=False)
    assert seen
    assert seen.disabled
    await submit(city, "/console/accounts", "/console/accounts/enable", account=victim.id)
    assert (await unit.get("/console/account")).status_code == 401, "its old sessions stay ended"


async def test_a_new_password_and_signing_out_everywhere_end_the_other_sessions(house: ConsoleHouse) -> None:
    browser, other = await found(house), house.browser()
    await sign_in(other)
    assert (await other.get("/console/account")).status_code == 200
    wrong = await submit(browser, "/console/account", "/console/account/password", password="không phải", new=OTHER)
    assert wrong.status_code == 422
    await submit(browser, "/console/account", "/console/account/password", password=PASSWORD, new=OTHER)
    assert (await browser.get("/console/account")).status_code == 200
    assert (await other.get("/console/account")).status_code == 401
    await sign_in(other, password=OTHER)
    await submit(browser, "/console/account", "/console/account/sign-out-everywhere")
    assert (await browser.get("/console/account")).status_code == 200
    assert (await other.get("/console/account")).status_code == 401


async def test_a_session_ends_by_itself_and_a_forged_cookie_is_none(house: ConsoleHouse) -> None:
    browser = await house.signed_in("reader")
    house.clock.advance(timedelta(hours=12))
    assert (await browser.get("/console/account")).status_code == 401
    assert (await house.browser({COOKIE: "e30.forged"}).get("/console/account")).status_code == 401
    guest = house.console.cookie(house.console.new_session("half", await member(house.console, "city")))
    assert (await house.browser({COOKIE: guest}).get("/console/account")).status_code == 401


async def test_headers_and_cookies_are_strict(house: ConsoleHouse) -> None:
    browser = house.browser()
    page = await browser.get("/console/sign-in")
    cookie = page.headers["set-cookie"].lower()
    assert all(word in cookie for word in ("httponly", "samesite=lax", "secure"))
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"
    city = await house.signed_in()
    for path in ("account", "accounts", "api-keys", "audit-log", "totp"):
        text = (await city.get(f"/console/{path}")).text
        assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=", text), path


@pytest.mark.parametrize(
    "next",
    [
        "https://evil.test/",
        "//evil.test",
        "/\\evil.test",
        "/console//evil.test",
        "/console/\r\nX: y",
        "/c/x",
        "/console/code?next=/console/",
    ],
)
async def test_signing_in_never_leads_elsewhere(house: ConsoleHouse, next: str) -> None:
    await found(house)
    browser = house.browser()
    page = await browser.get("/console/sign-in", params={"next": next})
    assert 'name="next" value="/console/"' in page.text
    form = {"csrf": token(page), "email": "ngoc@example.org", "password": PASSWORD, "next": next}
    answer = await browser.post("/console/sign-in", data=form, follow_redirects=False)
    assert "evil" not in answer.headers["location"]
