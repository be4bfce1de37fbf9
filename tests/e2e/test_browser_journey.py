"""A participant in a browser: from the QR code to the board, with and without a network that holds.

With HOITHI_SHOTS=folder every page on the way is kept as a picture.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pyotp
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Response, expect, sync_playwright

from tests.organisers import browser_cookies
from tests.site import Site

CHROMIUM = "/usr/bin/chromium"
ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
PHONE, DESKTOP = {"width": 360, "height": 740}, {"width": 1280, "height": 800}
CONTEST, UNIT, DISTRICT = "hai-phong-2023", "HP-307-11428", "HP-307"
FIRST_VIEW_BYTES = 60_000
SOON = 20_000
expect.set_options(timeout=SOON)

Shoot = Callable[[Page, str], None]

pytestmark = pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="needs Debian's Chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield browser
        browser.close()


@pytest.fixture
def phone(browser: Browser, hoithi_site: Site) -> Iterator[BrowserContext]:
    """A phone of its own. Any script error or anything that the content policy blocks fails the test."""
    context = _device(browser, hoithi_site)
    faults: list[str] = []
    context.on("weberror", lambda error: faults.append(str(error.error)))
    context.on("console", lambda message: faults.append(message.text) if "Content Security Policy" in message.text else None)
    yield context
    context.close()
    assert not faults


def _device(browser: Browser, site: Site) -> BrowserContext:
    context = browser.new_context(viewport=PHONE, locale="vi-VN", base_url=site.url, has_touch=True)  # type: ignore[arg-type]
    context.set_default_timeout(SOON)
    return context


@pytest.fixture
def shoot() -> Shoot:
    """Takes a picture of a page as a phone and as a desktop show it, where somebody wants them."""
    folder = os.environ.get("HOITHI_SHOTS")

    def take(page: Page, name: str) -> None:
        for size in (DESKTOP, PHONE) if folder else ():
            page.set_viewport_size(size)  # type: ignore[arg-type]
            page.screenshot(path=Path(folder or ".") / f"{name}-{size['width']}.png", full_page=size is PHONE)

    return take


def register(page: Page, name: str, phone: str) -> str:
    """Goes from the poster's link to the end of registration; returns the resume code."""
    page.goto(f"/q/{UNIT}")
    expect(page.get_by_text("Phường Quán Trữ")).to_be_visible()
    page.locator("#go").click()
    page.get_by_label("Họ và tên").fill(name)
    page.get_by_label("Số điện thoại").fill(phone)
    page.get_by_label("Học sinh, sinh viên").check()
    page.get_by_label("Tôi đồng ý").check()
    page.get_by_role("button", name="Đăng ký", exact=True).click()
    expect(page.get_by_role("heading", name="Bạn đã đăng ký")).to_be_visible()
    return page.locator("#code").inner_text()


def begin(page: Page) -> None:
    page.get_by_role("link", name="Tiếp tục").click()
    page.get_by_role("button", name="Bắt đầu").click()
    expect(page.locator("#place")).to_have_text("Câu 1/20")


def answer(page: Page, option: int) -> None:
    page.locator("#options label").nth(option).click()
    expect(page.locator("#saved")).to_have_text("Đã lưu")


def next_question(page: Page) -> None:
    page.locator("#next").click()


def people_of(page: Page, unit: str) -> int:
    page.goto(f"/board/{CONTEST}?parent={DISTRICT}")
    return int(page.locator(f'tr[data-unit="{unit}"]').get_attribute("data-people") or 0)


def test_from_the_poster_to_the_board(phone: BrowserContext, shoot: Shoot) -> None:
    board, page = phone.new_page(), phone.new_page()
    before = people_of(board, UNIT)
    page.goto(f"/q/{UNIT}")
    shoot(page, "01-home")
    page.get_by_role("link", name="Đổi đơn vị").click()
    page.get_by_role("button", name="Đăng ký", exact=True).click()
    expect(page.locator("#name-error")).to_have_text("Hãy ghi họ và tên.")
    expect(page.get_by_label("Họ và tên")).to_be_focused()
    shoot(page, "02-registration-errors")
    unit = page.get_by_role("combobox")
    unit.fill("kien an")
    expect(page.get_by_role("option", name="Quận Kiến An", exact=True)).to_be_visible()
    shoot(page, "03-units")
    unit.fill("quan tru")
    expect(page.get_by_role("option").first).to_contain_text("Phường Quán Trữ")
    unit.press("ArrowDown")
    unit.press("Enter")
    expect(unit).to_have_value("Phường Quán Trữ")
    expect(page.locator("#unit-path")).to_have_text("Quận Kiến An")
    register(page, "Nguyễn Thị Ánh", "0912 000 001")
    shoot(page, "04-registered")
    begin(page)
    answer(page, 0)
    shoot(page, "05-question")
    for _ in range(3):
        next_question(page)
        answer(page, 1)
    page.reload()
    expect(page.locator("#place")).to_have_text("Câu 4/20")
    expect(page.locator("#options input").nth(1)).to_be_checked()
    for number in range(5, 21):
        next_question(page)
        expect(page.locator("#place")).to_have_text(f"Câu {number}/20")
        if number != 7:
            answer(page, number % 3)
    next_question(page)
    page.get_by_label("Số dự đoán").fill("1250 người")
    expect(page.get_by_label("Số dự đoán")).to_have_value("1250")
    shoot(page, "06-prediction")
    page.get_by_role("button", name="Xem lại và nộp bài").click()  # strict: there is one such button
    expect(page.get_by_text("Còn 1 câu chưa trả lời")).to_be_visible()
    expect(page.get_by_role("button", name="Câu 7: chưa trả lời")).to_be_visible()
    shoot(page, "07-review")
    page.get_by_role("button", name="Nộp bài").click()
    expect(page.get_by_role("heading", name="Đã nhận bài của bạn")).to_be_visible()
    shoot(page, "08-receipt")
    expect(page.locator("#result-facts")).to_be_visible()
    expect(page.locator("#result-correct")).to_contain_text("/20")
    shoot(page, "09-result")
    expect(board.locator(f'tr[data-unit="{UNIT}"] .board-people')).to_have_text(str(before + 1))
    shoot(board, "10-board")
    code, receipt = page.locator("#receipt-code").inner_text(), page.locator("#receipt-text").input_value()
    check_receipt(page, shoot, code, receipt)
    page.goto(f"/c/{CONTEST}")
    page.get_by_role("link", name="Tuần 1, lượt 1").click()
    expect(page.locator("#result-correct")).to_contain_text("/20")
    shoot(page, "12-own-result")


def check_receipt(page: Page, shoot: Shoot, code: str, receipt: str) -> None:
    page.goto("/bien-nhan")
    page.get_by_label("Biên nhận đầy đủ").fill(receipt)
    page.get_by_role("button", name="Kiểm tra").click()
    expect(page.get_by_role("heading", name="Biên nhận là thật")).to_be_visible()
    expect(page.get_by_text(code)).to_be_visible()
    shoot(page, "11-receipt-check")
    middle = len(receipt) // 2
    page.get_by_label("Biên nhận đầy đủ").fill(
        receipt[:middle] + ("A" if receipt[middle] != "A" else "B") + receipt[middle + 1 :]
    )
    page.get_by_role("button", name="Kiểm tra").click()
    expect(page.get_by_role("heading", name="Biên nhận là thật")).not_to_be_visible()
    expect(page.get_by_role("alert")).to_be_visible()


def test_the_network_may_go_and_come(phone: BrowserContext, shoot: Shoot) -> None:
    page = phone.new_page()
    register(page, "Trần Văn Bình", "0912 000 002")
    begin(page)
    answer(page, 2)
    phone.set_offline(True)
    lost = page.get_by_text("Mất kết nối. Bài của bạn vẫn được giữ trên máy.").and_(page.locator(":visible"))
    expect(lost).to_be_visible()
    next_question(page)
    answer(page, 3)
    shoot(page, "20-offline")
    phone.set_offline(False)
    expect(lost).not_to_be_visible()
    next_question(page)
    answer(page, 0)
    page.get_by_role("button", name="Xem lại và nộp bài").click()
    expect(page.get_by_role("button", name="Câu 2: D")).to_be_visible()
    phone.set_offline(True)
    page.get_by_role("button", name="Nộp bài").click()
    expect(page.get_by_text("Tự gửi lại sau")).to_be_visible()
    expect(lost).to_be_visible()
    shoot(page, "21-sending-offline")
    phone.set_offline(False)
    expect(page.get_by_role("heading", name="Đã nhận bài của bạn")).to_be_visible()
    # The next attempt starts from the receipt of this one.
    page.get_by_role("link", name="Thi lượt tiếp theo").click()
    page.get_by_role("button", name="Bắt đầu lượt 2").click()
    expect(page.locator("#place")).to_have_text("Câu 1/20")


def test_an_answer_lost_on_the_way_changes_nothing(phone: BrowserContext) -> None:
    """The submission arrives, its receipt does not: the repeat gets the same receipt."""
    page = phone.new_page()
    register(page, "Lê Thị Chi", "0912 000 003")
    begin(page)
    answer(page, 1)
    taken: list[str] = []

    def swallow(route: object) -> None:
        response = route.fetch()  # type: ignore[attr-defined]
        taken.append(response.json()["receipt"])
        if len(taken) == 1:
            route.abort()  # type: ignore[attr-defined]
        else:
            route.fulfill(response=response)  # type: ignore[attr-defined]

    page.route("**/api/v1/submissions", swallow)
    page.get_by_role("button", name="Xem lại và nộp bài").click()
    page.get_by_role("button", name="Nộp bài").click()
    expect(page.get_by_role("heading", name="Đã nhận bài của bạn")).to_be_visible()
    assert len(taken) == 2
    assert len(set(taken)) == 1


def test_another_phone_goes_on_with_the_resume_code(phone: BrowserContext, browser: Browser, hoithi_site: Site) -> None:
    page = phone.new_page()
    code = register(page, "Phạm Văn Dũng", "0912 000 004")
    begin(page)
    question = page.locator("#question-text").inner_text()
    other = _device(browser, hoithi_site)
    page = other.new_page()
    page.goto(f"/c/{CONTEST}/dang-ky?unit={UNIT}")
    page.get_by_label("Họ và tên").fill("Phạm Dũng")
    page.get_by_label("Số điện thoại").fill("+84 912 000 004")
    page.get_by_label("Học sinh, sinh viên").check()
    page.get_by_label("Tôi đồng ý").check()
    page.get_by_role("button", name="Đăng ký", exact=True).click()
    expect(page.get_by_label("Mã tiếp tục")).to_be_focused()
    page.get_by_label("Mã tiếp tục").fill(code)
    page.get_by_role("button", name="Đăng ký", exact=True).click()
    begin(page)
    assert page.locator("#question-text").inner_text() == question
    other.close()


def test_time_that_is_up_hands_the_paper_in(phone: BrowserContext) -> None:
    page = phone.new_page()
    page.clock.install()
    register(page, "Vũ Thị Em", "0912 000 005")
    begin(page)
    answer(page, 1)
    page.clock.fast_forward("15:01")
    expect(page.get_by_role("heading", name="Đã nhận bài của bạn")).to_be_visible()


@pytest.mark.parametrize("path", [f"/c/{CONTEST}", f"/c/{CONTEST}/dang-ky", f"/c/{CONTEST}/thi", f"/board/{CONTEST}"])
def test_a_first_view_is_light(phone: BrowserContext, path: str) -> None:
    page = phone.new_page()
    if path.endswith("/thi"):  # which sends strangers on to registration
        page.add_init_script(f"localStorage.setItem('hoithi.person.{CONTEST}', JSON.stringify({{id: 'x', name: 'x'}}))")
    seen: list[Response] = []
    page.on("response", lambda response: seen.append(response))
    page.goto(path, wait_until="load")
    sizes = {response.url: len(response.body()) for response in seen if "/api/v1/stream" not in response.url}
    assert sum(sizes.values()) <= FIRST_VIEW_BYTES, sizes


@pytest.mark.parametrize(("path", "button"), [("dang-ky", "#send"), ("thi", "#begin")])
def test_nothing_can_be_pressed_before_its_script_is_there(phone: BrowserContext, path: str, button: str) -> None:
    page = phone.new_page()
    page.route(re.compile(r"\.js\b"), lambda route: route.abort())
    page.goto(f"/c/{CONTEST}/{path}")
    expect(page.locator(button)).to_be_disabled()


@pytest.mark.parametrize("width", [320, 360, 1280])
def test_nothing_is_wider_than_the_screen(phone: BrowserContext, hoithi_site: Site, shoot: Shoot, width: int) -> None:
    page = phone.new_page()
    page.set_viewport_size({"width": width, "height": 740})
    phone.add_cookies(browser_cookies(hoithi_site))
    for path in (
        "/", f"/c/{CONTEST}", f"/c/{CONTEST}/dang-ky", f"/c/{CONTEST}/the-le", "/bien-nhan", "/developers", "/developers/events",
        f"/board/{CONTEST}", "/q/nowhere", f"/q/{UNIT}/ap-phich", "/console/contests?q=kien+an",
        "/console/accounts", "/console/account", "/console/totp", "/console/audit-log", "/console/api-keys",
    ):  # fmt: skip
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        if width == 360:
            shoot(page, "30" + path.partition("?")[0].replace("/", "-"))


def test_english_covers_the_scripts_too(phone: BrowserContext) -> None:
    page = phone.new_page()
    page.goto(f"/c/{CONTEST}/dang-ky")
    page.get_by_role("link", name="English").click()
    assert page.locator("html").get_attribute("lang") == "en"
    page.get_by_role("button", name="Register", exact=True).click()
    expect(page.locator("#name-error")).to_have_text("Give your full name.")
    page.goto(f"/c/{CONTEST}")
    expect(page.locator("#left")).to_contain_text("left")


def test_the_first_organiser(phone: BrowserContext, hoithi_site: Site, shoot: Shoot) -> None:
    page = phone.new_page()
    page.goto("/console")
    shoot(page, "40-sign-in")
    page.goto(hoithi_site.admin_path())
    page.get_by_label("Họ và tên").fill("Trần Thị Bích Ngọc")
    page.get_by_label("Thư điện tử").fill("ngoc@example.org")
    page.get_by_label("Mật khẩu").fill("mùa xuân đầu tiên")
    if page.get_by_label("Tôi chắc chắn").count():  # another test has made an account
        page.get_by_label("Tôi chắc chắn").check()
    page.get_by_role("button", name="Tiếp tục").click()
    shoot(page, "41-totp")
    secret = page.locator("#secret").inner_text().replace(" ", "")
    page.get_by_label("Mã 6 số").fill(pyotp.TOTP(secret).now())
    page.get_by_role("button", name="Bật mã xác thực").click()
    expect(page.get_by_role("heading", name="Mã khôi phục")).to_be_visible()
    page.get_by_role("link", name="Tôi đã cất mã").click()
    expect(page.get_by_role("heading", name="Cuộc thi", exact=True)).to_be_visible()
    assert "nguyên vẹn" in hoithi_site.hoithi("audit-log", "verify")
    assert "account.created" in hoithi_site.hoithi("audit-log", "show")
    page.get_by_role("button", name="Thoát").click()
    page.goto("/console/contests?q=kien+an")
    page.locator("#email").fill("ngoc@example.org")
    page.locator("#password").fill("mùa xuân đầu tiên")
    page.get_by_role("button", name="Đăng nhập").click()
    expect(page).to_have_url(hoithi_site.url + "/console/code?next=%2Fconsole%2Fcontests%3Fq%3Dkien%2Ban")
