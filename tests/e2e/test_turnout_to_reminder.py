"""From the figures to the reminder and the report: a unit's secretary and the city's organiser, each with a telephone.

The contest opened yesterday, so that there are full hours to cut figures at. With HOITHI_SHOTS=folder every page is kept as a
picture.
"""

from __future__ import annotations

import io
import re
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from aiosmtpd.controller import Controller
from PIL import Image
from playwright.async_api import expect

from deploy.local.wiring import House
from services.events import AttemptScored, AttemptStarted, AttemptSubmitted, Event
from tests.desks import PHONE, Desk, browser, sit_down
from tests.integration.test_notify_smtp import Gateway
from tests.organisers import browser_cookies
from tests.players import EXAMPLE, Players
from tests.site import Site, free_port

CONTEST = "hai-phong-2023"
WARD, NAME, OTHER, FOREIGN = "HP-307-11428", "Phường Quán Trữ", "HP-307-11429", "HP-303-11296"
HEADCOUNT, SHOWN = 5_200, "5.200"
YESTERDAY = {WARD: 30, OTHER: 4, "HP-307-11431": 60, "HP-307-THPT-KA": 900, FOREIGN: 25}
"""People who took part yesterday."""
TODAY = 150
CONTACT, SECRETARY = "dau-moi.lam-ha@example.org", "thu-ky.quan-tru@example.org"
PASSWORD = "một câu dễ nhớ 2023"
TURNOUT, REMINDERS, REPORTS = f"/console/turnout/{CONTEST}", "/console/reminders", f"/console/reports/{CONTEST}"


@contextmanager
def post_office() -> Iterator[tuple[list[EmailMessage], str]]:
    """A mail server: what it has taken, and its address."""
    handler, port = Gateway(), free_port()
    server = Controller(handler, hostname="127.0.0.1", port=port)
    server.start()
    try:
        yield handler.mails, f"smtp://127.0.0.1:{port}"
    finally:
        server.stop()


def opened_yesterday(folder: Path) -> Path:
    """The example, whose four weeks began a good day ago."""
    shutil.copytree(EXAMPLE, folder)
    text = (folder / "contest.yaml").read_text(encoding="utf-8")
    began = datetime.now(ZoneInfo("Asia/Ho_Chi_Minh")).replace(minute=0, second=0, microsecond=0) - timedelta(hours=26)
    late = began.replace(tzinfo=None) - datetime(2023, 5, 19, 8)

    def moved(found: re.Match[str]) -> str:
        return (datetime.fromisoformat(found[0]) + late).isoformat(timespec="minutes")

    (folder / "contest.yaml").write_text(re.sub(r"2023-\d\d-\d\dT\d\d:\d\d", moved, text), encoding="utf-8")
    return folder


async def took_part_yesterday(site: Site) -> None:
    """What the topics hold of people who came before the test did."""
    start = datetime.now(UTC) - timedelta(hours=20)
    events: list[Event] = []
    for unit, people in YESTERDAY.items():
        for n in range(people):
            at, who, round = start + timedelta(seconds=n), f"hom-qua-{unit}-{n}", f"{CONTEST}.tuan-1"
            common: dict[str, Any] = {
                "attempt": f"{who}:{round}:1", "participant": who, "round": round, "n": 1, "unit": unit,
                "categories": ("doan-vien", "hoc-sinh")[: 1 + n % 2],
            }  # fmt: skip
            end = at + timedelta(minutes=9)
            events += [
                AttemptStarted(time=at, deadline=at + timedelta(minutes=15), **common),
                AttemptSubmitted(time=end, started_at=at, **common),
                AttemptScored(
                    time=end, started_at=at, verdict="valid", correct=20 - n % 9, total=20, elapsed_ms=540_000, digest="d",
                    key_version=0, **common,
                ),
            ]  # fmt: skip
    house = House(site.settings)
    try:
        await house.bus.publish([house.runtime("quiz").outgoing(event) for event in events])
    finally:
        await house.close()


@asynccontextmanager
async def a_contest_under_way(site: Site, folder: Path) -> AsyncIterator[Players]:
    """The example with yesterday's people and today's, all of them on the board."""
    # First, and waited for until their contest is there: its last hours are cut as soon as it is.
    await took_part_yesterday(site)
    site.hoithi("contest", "load", str(opened_yesterday(folder)))
    players = Players(site.url, seed=31)
    try:
        await players.open()
        await players.play(TODAY)
        players.tally.people.update(YESTERDAY)
        await players.check_board(60)
        yield players
    finally:
        await players.close()


async def test_from_the_figures_to_the_reminder_and_the_report(tmp_path: Path) -> None:
    with post_office() as (mails, smtp):
        settings = {"HOITHI_EXAMPLE": "0", "HOITHI_QUIET_FROM": "00:00", "HOITHI_QUIET_UNTIL": "00:00", "SMTP_URL": smtp}
        with Site(tmp_path, **settings) as site:
            async with a_contest_under_way(site, tmp_path / "contest") as players, browser() as chromium:
                cookies = browser_cookies(site)
                organiser = await sit_down(chromium, site.url, cookies=cookies, size=PHONE, who="ban-to-chuc-")
                secretary = await sit_down(chromium, site.url, size=PHONE, who="dau-moi-")
                await invites(organiser, secretary)
                await signs_in(secretary)
                people = players.tally.people[WARD]
                await sees_own_figures(secretary, people)
                await proposes_a_headcount(secretary)
                await looks_who_is_missing(secretary, players)
                await notes_a_measure(secretary)
                await fetches_the_poster(secretary)
                await approves_the_headcount(organiser, people)
                await reminds(organiser, mails)
                await writes_to_the_lagging(organiser)
                await reports(organiser)
                await shows_it_to_all(organiser)
                for desk in (secretary, organiser):
                    await desk.tries_all_links()
                    assert not desk.errors


async def invites(organiser: Desk, secretary: Desk) -> None:
    """The organiser makes an invitation, the secretary an account of it."""
    await organiser.go("/console/accounts")
    invite = organiser.page.locator("#invite")
    await invite.locator('[name="role"]').select_option("unit")
    await invite.locator('[name="subtree"]').fill(WARD)
    await organiser.press("Tạo lời mời")
    link = await organiser.page.locator("#link").input_value()
    await secretary.go("/console/invitation/" + link.rpartition("/")[2])
    await secretary.sees("Đầu mối đơn vị", NAME)
    await secretary.fill(name="Trần Thị Thư Ký", email=SECRETARY, password=PASSWORD)
    await secretary.press("Tạo tài khoản")


async def signs_in(secretary: Desk) -> None:
    await secretary.press("Thoát")
    await secretary.go("/console/turnout")
    await secretary.fill(email=SECRETARY, password=PASSWORD)
    await secretary.press("Đăng nhập")


async def sees_own_figures(secretary: Desk, people: int) -> None:
    """The unit's own, by category too; nobody else's."""
    await expect(secretary.page).to_have_url(re.compile(TURNOUT))
    await secretary.sees(
        NAME, f"{people}/11.200 người", "Theo đối tượng", "Đoàn viên, hội viên, thanh niên", f"{YESTERDAY[WARD]}/1.866"
    )
    for page in (
        f"{TURNOUT}?unit={FOREIGN}", f"{TURNOUT}?unit=HP", f"{TURNOUT}/so-lieu.csv?unit={FOREIGN}", f"{TURNOUT}/lagging",
        f"{TURNOUT}/headcounts?unit={FOREIGN}", f"{TURNOUT}/measures?unit={FOREIGN}",
        f"{REMINDERS}/rosters/{CONTEST}/{FOREIGN}", f"{REMINDERS}/contacts?contest={CONTEST}&unit={FOREIGN}",
        f"/console/contests/{CONTEST}/ap-phich.pdf?unit={FOREIGN}",
    ):  # fmt: skip
        answer = await secretary.page.request.get(page)
        assert answer.status == 403, f"{page}: {answer.status}"
    assert FOREIGN not in (await secretary.fetch("Tải về CSV")).decode()
    await secretary.go("/console/contests?q=quan+tru")
    await expect(secretary.page.locator("main")).not_to_contain_text("Cuộc thi mới")


async def proposes_a_headcount(secretary: Desk) -> None:
    await secretary.go(TURNOUT)
    await secretary.follow("Tổng số thuộc diện")
    await secretary.fill(people=str(HEADCOUNT), source="Danh sách tháng này")
    await secretary.press("Gửi đề xuất")
    await secretary.sees(f"Chờ duyệt: {SHOWN}")


async def looks_who_is_missing(secretary: Desk, players: Players) -> None:
    """A roster of three, one of whom has taken part under the same name."""
    took_part = f"Nguyễn Thị {players.wards.index(WARD)}"
    await secretary.go(TURNOUT)
    await secretary.follow("Chưa tham gia")
    await secretary.follow("Nhập danh sách")
    rows = f"Họ và tên,Mã,Email\n{took_part},007,\nLê Văn Vắng,008,vang@example.org\nPhạm Thị Chưa,009,\n"
    file: Any = {"name": "danh-sach.csv", "mimeType": "text/csv", "buffer": rows.encode()}
    await secretary.page.get_by_label("Tệp").set_input_files(file)
    await secretary.press("Kiểm tra tệp")
    await secretary.sees("Tệp có 3 người, không có lỗi.")
    await secretary.press("Nhập 3 người")
    await secretary.comes_to(secretary.page.url, "có thể đã dự thi")
    await secretary.sees("2 chưa đăng ký", "1 có thể đã dự thi", "Lê Văn Vắng", "Phạm Thị Chưa")
    await expect(secretary.page.locator("ol.people li").filter(has_text=took_part)).to_contain_text("Có thể đã dự thi")
    await secretary.follow("Nhắc những người này")
    await secretary.go(f"{REMINDERS}/rosters")


async def notes_a_measure(secretary: Desk) -> None:
    picture = io.BytesIO()
    Image.linear_gradient("L").resize((1600, 1200)).save(picture, "PNG")
    await secretary.go(TURNOUT)
    await secretary.follow("Biện pháp vận động")
    await secretary.fill(text="Phát động tại sinh hoạt chi bộ, treo áp phích ở nhà văn hoá.")
    file: Any = {"name": "phat-dong.png", "mimeType": "image/png", "buffer": picture.getvalue()}
    await secretary.page.get_by_label("Hình").set_input_files(file)
    await secretary.press("Ghi biện pháp")
    await secretary.sees("Phát động tại sinh hoạt chi bộ")
    shown = secretary.page.locator(".measure img")
    await shown.scroll_into_view_if_needed()
    assert await shown.evaluate("image => image.decode().then(() => image.naturalWidth)") >= 600


async def fetches_the_poster(secretary: Desk) -> None:
    await secretary.go(TURNOUT)
    await secretary.follow("Áp phích")
    await secretary.sees(NAME, "Hải Phòng làm theo lời Bác")
    a4, a3 = [await secretary.fetch(name) for name in ("Tải áp phích A4 (PDF)", "Khổ A3 (PDF)")]
    assert a4[:5] == a3[:5] == b"%PDF-"
    assert [re.findall(rb"/MediaBox\s*\[\s*0 0 (\d+)[\d.]* (\d+)", pdf) for pdf in (a4, a3)] == [
        [(b"595", b"841")],
        [(b"841", b"1190")],
    ]


async def approves_the_headcount(organiser: Desk, people: int) -> None:
    """The rate of the ward is another from then on."""
    await organiser.go("/console/turnout")
    await organiser.go(f"{TURNOUT}?unit={WARD}")
    await organiser.sees(f"{people}/11.200 người", rate(people, 11_200))
    await organiser.follow("Tổng số thuộc diện")
    await organiser.sees("Chờ duyệt", "Danh sách tháng này")
    await organiser.press("Duyệt")
    await organiser.comes_to(f"{TURNOUT}?unit={WARD}", f"{people}/{SHOWN} người")
    await organiser.sees(rate(people, HEADCOUNT))


def rate(people: int, headcount: int) -> str:
    return f"{100 * people / headcount:.1f}".replace(".", ",") + " %"


async def reminds(organiser: Desk, mails: list[EmailMessage]) -> None:
    """From the list of those who lag to the mail that each gets once, and what is known of it afterwards."""
    await organiser.go(f"{REMINDERS}/contacts?contest={CONTEST}&unit={OTHER}")
    await organiser.fill(text=f"Đỗ Văn Đầu Mối; {CONTACT}")
    await organiser.press("Lưu")
    await organiser.go(TURNOUT)
    for _ in range(30):  # a busy machine may ask to come back for the figures of the hour
        if (await organiser.page.request.get(f"{TURNOUT}/lagging")).ok:
            break
        await organiser.page.wait_for_timeout(1000)
    await organiser.follow("Cần đôn đốc")
    await organiser.sees("đơn vị cần đôn đốc", "Phường Lãm Hà", "chưa nhắc", "Phát động tại sinh hoạt chi bộ")
    await organiser.follow("Nhắc các đơn vị này")
    await organiser.press("Xem trước")
    await organiser.sees("người sẽ nhận", "Kính gửi Phường Lãm Hà", "4 người dự thi trên tổng số 9.800 người")
    assert not mails
    await organiser.press(re.compile("Gửi cho 2 người"))
    await organiser.comes_to(organiser.page.url, "Đã gửi xong")
    await organiser.sees("Nhật ký gửi")
    assert Counter(mail["To"] for mail in mails) == {CONTACT: 1, SECRETARY: 1}
    log = (await organiser.fetch("Tải nhật ký")).decode("utf-8-sig")
    assert log.count(",sent,") == 2
    assert "@" not in log
    await organiser.comes_to(f"{TURNOUT}/lagging", "1 lần")
    await organiser.go(f"{REMINDERS}?contest={CONTEST}")
    await organiser.sees("đã gửi 2")


async def writes_to_the_lagging(organiser: Desk) -> None:
    await organiser.go(f"{REPORTS}/mau")
    await organiser.fill(superior="Thành ủy Hải Phòng", issuer="Ban Tuyên giáo", symbol="BC/BTGTU", letter_symbol="CV/BTGTU")
    await organiser.press("Lưu")
    await organiser.go(f"{TURNOUT}/lagging")
    await organiser.press("Soạn công văn đôn đốc (Word)")
    assert (await made(organiser, 1))[:2] == b"PK"


async def reports(organiser: Desk) -> None:
    """The official report, twice: the same figures in two formats."""
    await organiser.go("/console/reports")
    for n, (format, begins) in enumerate({"docx": b"PK", "pdf": b"%PDF-"}.items(), 2):
        await organiser.fill(kind="bao-cao", format=format)
        await organiser.press("Lập báo cáo")
        assert (await made(organiser, n)).startswith(begins)
    await organiser.look()


async def made(organiser: Desk, n: int) -> bytes:
    """The newest of so many papers, once all are ready: the page looks by itself."""
    await expect(organiser.page.locator(".report-job .badge.open")).to_have_count(n)
    return await organiser.fetch("Tải về")


async def shows_it_to_all(organiser: Desk) -> None:
    """The tiles, what the portal may take, and what it shows."""
    await organiser.go(TURNOUT)
    await organiser.follow("Toàn cảnh")
    await organiser.sees("Quận Kiến An")
    await organiser.follow("Quận Kiến An")
    await organiser.sees("Quán Trữ")
    await organiser.follow("Cho cổng thông tin")
    assert "/portal/" in await organiser.page.locator("#snippet").input_value()
    await organiser.follow("Xem thử ô số liệu")
    await organiser.sees("Người dự thi", f"{sum(YESTERDAY.values()) + TODAY:,}".replace(",", "."))
    await organiser.go(f"/portal/{CONTEST}/tin")
