"""An organiser brings a bank in: from the template to questions in use, in a browser, at two sizes.

With HOITHI_SHOTS=folder every page on the way is kept as a picture.
"""

from __future__ import annotations

import http.client
import io
import os
import random
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import xlsxwriter
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from tests.e2e.test_browser_journey import ARGS, CHROMIUM, DESKTOP, PHONE, register
from tests.organisers import browser_cookies, organiser_cookies
from tests.site import Site

pytestmark = pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="needs Debian's Chromium")
HEAD = ["Chủ đề", "Độ khó", "Câu hỏi", "A", "B", "C", "D", "Đáp án", "Nguồn", "Hình", "Mô tả hình"]
SOON = 20_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield browser
        browser.close()


@pytest.fixture
def console(browser: Browser, hoithi_site: Site) -> Iterator[Page]:
    """A signed-in organiser's browser. Anything that the content policy blocks fails the test."""
    context = browser.new_context(viewport=DESKTOP, locale="vi-VN", base_url=hoithi_site.url)  # type: ignore[arg-type]
    context.set_default_timeout(SOON)
    faults: list[str] = []
    context.on("weberror", lambda error: faults.append(str(error.error)))
    context.on("console", lambda message: faults.append(message.text) if "Content Security Policy" in message.text else None)
    context.add_cookies(browser_cookies(hoithi_site))
    page = context.new_page()
    page.goto("/console")
    yield page
    context.close()
    assert not faults


def shoot(page: Page, name: str) -> None:
    folder = os.environ.get("HOITHI_SHOTS")
    for size in (PHONE, DESKTOP):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= size["width"], f"{name} is {width} wide"
        if folder:
            page.screenshot(path=Path(folder) / f"bank-{name}-{size['width']}.png", full_page=True)


def excel(rows: list[list[str]]) -> bytes:
    body = io.BytesIO()
    book = xlsxwriter.Workbook(body, {"in_memory": True})
    sheet = book.add_worksheet("Câu hỏi")
    for number, row in enumerate([HEAD, *rows]):
        sheet.write_row(number, 0, row)
    book.close()
    return body.getvalue()


def upload(page: Page, name: str, data: bytes, **boxes: bool) -> None:
    page.goto("/console/bank/import")
    page.get_by_label("Tệp câu hỏi").set_input_files({"name": name, "mimeType": "application/octet-stream", "buffer": data})
    if boxes.get("skip_known"):
        page.get_by_label("Bỏ qua những câu").check()
    page.get_by_role("button", name="Kiểm tra tệp").click()
    expect(page.get_by_role("heading", name="Kết quả kiểm tra")).to_be_visible(timeout=120_000)


def picture() -> bytes:
    body = io.BytesIO()
    Image.new("RGB", (2000, 900), "#2f6f9f").save(body, "JPEG")
    return body.getvalue()


GOOD = [
    ["Thành phố", "dễ", "Quận Kiến An thuộc thành phố nào?", "Hải Phòng", "Hà Nội", "Huế", "", "A", "Địa lý", "", ""],
    ["Thành phố", "khó", "Những nơi nào ở Hải Phòng?", "Đồ Sơn", "Cát Bà", "Sa Pa", "", "AB", "", "hinh.jpg", "Bãi biển Đồ Sơn"],
]


def test_a_bank_is_brought_in_from_excel_and_zip(console: Page, hoithi_site: Site) -> None:
    page = console
    page.get_by_role("link", name="Ngân hàng câu hỏi").click()
    expect(page.get_by_text("48 câu đang dùng")).to_be_visible()
    shoot(page, "list")
    page.goto("/console/bank/import")
    shoot(page, "upload")

    upload(page, "loi.xlsx", excel([*GOOD[:1], ["", "rất khó", "Thiếu gì?", "x", "x", "", "", "E", "", "", ""]]))
    expect(page.get_by_text("chưa câu nào được nhập")).to_be_visible()
    expect(page.get_by_text("Độ khó là dễ, trung bình hoặc khó.")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("Nhập .* câu"))).to_have_count(0)
    shoot(page, "faults")

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("ngan-hang/cau-hoi.xlsx", excel(GOOD))
        archive.writestr("ngan-hang/Hinh.JPG", picture())
    upload(page, "ngan-hang.zip", packed.getvalue())
    shown = page.get_by_role("img", name="Bãi biển Đồ Sơn")
    shoot(page, "ready")
    path = shown.get_attribute("src")
    assert path is not None
    page.get_by_role("button", name="Nhập 2 câu").click()
    expect(page.get_by_text("Đã nhập 2 câu hỏi.")).to_be_visible()
    expect(page.get_by_text("50 câu đang dùng")).to_be_visible()

    answer = httpx.get(hoithi_site.url + path)
    assert answer.headers["content-type"] == "image/webp"
    assert "immutable" in answer.headers["cache-control"]
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.size == (1200, 540)

    page.get_by_label("Tìm trong câu hỏi và phương án").fill("kien an thanh pho")
    page.get_by_role("button", name="Tìm").click()
    expect(page.get_by_role("article")).to_have_count(1)
    page.get_by_role("button", name="Ngừng dùng").click()
    expect(page.get_by_text("49 câu đang dùng")).to_be_visible()

    upload(page, "lai.xlsx", excel(GOOD[:1]))
    expect(page.get_by_text("Ngân hàng đã có câu này")).to_be_visible()
    upload(page, "lai.xlsx", excel([*GOOD[:1], [*GOOD[0][:2], "Câu mới là gì?", *GOOD[0][3:]]]), skip_known=True)
    shoot(page, "known")
    page.get_by_role("button", name="Nhập 1 câu").click()
    expect(page.get_by_text("Đã nhập 1 câu hỏi.")).to_be_visible()


def test_five_thousand_questions_come_in(console: Page) -> None:
    words = "đảng,dân,nước,nhà,bến,tàu,phố,biển,sông,núi,đường,trường,lớp,thầy,trò,sách,vở,quê,hương"
    stems = [" ".join(random.Random(n).choices(words.split(","), k=9)) for n in range(5000)]
    rows = [[f"Chủ đề {n % 9}", "", f"{stem} {n}?", f"{n}", "b", "c", "d", "A"] for n, stem in enumerate(stems)]
    upload(console, "lon.xlsx", excel(rows))
    expect(console.get_by_text("Trang 1/100")).to_be_visible()
    console.get_by_role("button", name="Nhập 5.000 câu").click()
    expect(console.get_by_text("Đã nhập 5.000 câu hỏi.")).to_be_visible(timeout=60_000)


def test_what_is_no_file_of_questions_is_told_so(console: Page, hoithi_site: Site) -> None:
    for name, data, said in [
        ("x.xml", b'<!DOCTYPE q [<!ENTITY a "b">]><quiz>&a;</quiz>', "Tệp XML có khai báo DTD"),
        ("x.xlsx", b"PK\x03\x04rubbish", "Tệp ZIP hỏng"),
        ("x.txt", b"hello", "Không rõ đây là loại tệp nào"),
    ]:
        upload(console, name, data)
        expect(console.get_by_text(said)).to_be_visible()
    assert httpx.get(hoithi_site.url + "/console/bank").status_code == 401
    connection = http.client.HTTPConnection("127.0.0.1", hoithi_site.port, timeout=20)
    connection.request("POST", "/console/bank/import", headers={"content-length": str(21 * 1024 * 1024)})
    assert connection.getresponse().status == 413  # before a byte of the body is taken
    connection.close()
    assert httpx.post(hoithi_site.url + "/console/bank/import", files={"file": b"x"}).status_code == 401
    template = console.request.get("/console/bank/mau.xlsx")
    upload(console, "mau.xlsx", template.body())
    expect(console.get_by_text("Gần giống câu q001").or_(console.get_by_text("Ngân hàng đã có câu này"))).to_be_visible()


def test_a_paper_shows_the_picture_of_its_question(browser: Browser, console: Page, hoithi_site: Site) -> None:
    rows = [["Hình", "", "Hình nào đây?", "x", "y", "", "", "A", "", "hinh.jpg", "Bến tàu"]]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("cau-hoi.xlsx", excel(rows))
        archive.writestr("hinh.jpg", picture())
    upload(console, "hinh.zip", packed.getvalue())
    path = console.get_by_role("img", name="Bến tàu").get_attribute("src")

    context = browser.new_context(viewport=PHONE, locale="vi-VN", base_url=hoithi_site.url)  # type: ignore[arg-type]
    page = context.new_page()

    def with_picture(route: Route) -> None:
        reply = route.fetch()
        attempt = reply.json()
        attempt["paper"]["questions"][0] |= {"picture": path, "picture_alt": "Bến tàu"}
        route.fulfill(response=reply, json=attempt)

    page.route("**/api/v1/attempts", with_picture)
    register(page, "Trần Văn Hình", "0912000777")
    page.goto("/c/hai-phong-2023/thi")
    page.locator("#begin").click()
    shown = page.get_by_role("img", name="Bến tàu")
    expect(shown).to_be_visible()
    page.wait_for_function("document.getElementById('question-picture').naturalWidth === 1200")
    shoot(page, "paper")
    page.locator("#next").click()
    expect(shown).to_be_hidden()
    context.close()


def test_a_program_imports_a_file_whole_or_not_at_all(hoithi_site: Site) -> None:
    texts = ("Chiến dịch Điện Biên Phủ kết thúc vào năm nào?", "Bến Nghiêng thuộc quận nào của thành phố?")
    good = excel([["Lịch sử", "", text, "Phương án 1", "Phương án 2", "Phương án 3", "Phương án 4", "A"] for text in texts])
    bad = excel([["Lịch sử", "", "Câu này thiếu đáp án?", "1945", "1954", "1975", "1986", ""]])
    with httpx.Client(base_url=hoithi_site.url, cookies=organiser_cookies(hoithi_site), timeout=60) as client:
        token = re.search(r'name="csrf" value="([0-9a-f]+)"', client.get("/console/bank/import").text)
        assert token
        asked = {"contest": "hai-phong-2023", "name": "de.xlsx"}

        def take(data: bytes, **more: str) -> httpx.Response:
            url = "/api/v1/admin/bank/import"
            return client.post(url, params=asked | more, content=data, headers={"X-CSRF-Token": token[1]})

        dry = take(good, dry_run="true").json()
        assert (dry["good"], dry["taken"], dry["questions"]) == (True, False, 2)
        assert [row["verdict"] for row in dry["rows"]] == ["good", "good"]
        refused = take(bad).json()
        assert (refused["good"], refused["taken"]) == (False, False)
        assert refused["rows"][0]["faults"][0]["column"] == "answer"
        assert take(good).json()["taken"]
        again = take(good).json()
        assert (again["taken"], [row["verdict"] for row in again["rows"]]) == (False, ["wrong", "wrong"])
        assert take(good, contest="khong-co").status_code == 404
        assert take(b"").status_code == 422
        assert client.post("/api/v1/admin/bank/import", params=asked, content=good).status_code == 403
