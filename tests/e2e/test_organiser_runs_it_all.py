"""Two organisers, a browser each, no developer: from an empty database and the admin link to a published round, with a bank from
Excel and people by the hundred, by the thousand on Kafka.

With HOITHI_SHOTS=folder every page on the way is kept as a picture, at a phone's size and a desktop's.
"""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pyotp
import xlsxwriter
from playwright.async_api import expect

from tests.desks import SLOW, Desk, browser, sit_down
from tests.e2e.test_settlement import VERIFY, opened
from tests.players import EXAMPLE, Players
from tests.site import Site

PEOPLE = {"local": 300, "kafka": 2000}
PASSWORD = "mùa xuân đầu tiên"
ZONE = ZoneInfo("Asia/Ho_Chi_Minh")


@asynccontextmanager
async def browsing(site: Site) -> AsyncIterator[tuple[Desk, Desk]]:
    """Two organisers' browsers: who was handed the admin link, and whom they have invited."""
    async with browser() as chromium:
        one, two = await sit_down(chromium, site.url, who="ban-to-chuc-"), await sit_down(chromium, site.url)
        await makes_an_account(one, site.admin_path(), "Tiếp tục", "ngoc@example.org")
        await one.go("/console/accounts")
        await one.page.locator('#invite [name="role"]').select_option("city")
        await one.press("Tạo lời mời")
        link = await one.page.locator("#link").input_value()
        await makes_an_account(two, "/console/invitation/" + link.rpartition("/")[2], "Tạo tài khoản", "minh@example.org")
        yield one, two


async def makes_an_account(desk: Desk, path: str, button: str, email: str) -> None:
    """At a link for it, its second factor included."""
    await desk.go(path)
    await desk.fill(name="Nguyễn Thị Thử", email=email, password=PASSWORD)
    await desk.press(button)
    secret = await desk.page.locator("#secret").inner_text()
    await desk.page.get_by_label("Mã 6 số").fill(pyotp.TOTP(secret.replace(" ", "")).now())
    await desk.press("Bật mã xác thực")
    await desk.follow("Tôi đã cất mã")


def excel() -> bytes:
    """The example's questions as an organiser would have typed them."""
    body = io.BytesIO()
    book = xlsxwriter.Workbook(body, {"in_memory": True})
    sheet = book.add_worksheet("Câu hỏi")
    sheet.write_row(0, 0, ["Chủ đề", "Câu hỏi", "A", "B", "C", "D", "Đáp án", "Nguồn"])
    with (EXAMPLE / "questions.csv").open(encoding="utf-8-sig") as file:
        for number, row in enumerate(csv.DictReader(file), 1):
            cells = [row["topic"], row["text"], row["a"], row["b"], row["c"], row["d"], row["answer"].upper(), row["source"]]
            sheet.write_row(number, 0, cells)
    book.close()
    return body.getvalue()


def local(at: datetime) -> str:
    return at.astimezone(ZONE).strftime("%Y-%m-%dT%H:%M")


async def test_from_an_empty_database_to_a_published_round(tmp_path: Path, bus: dict[str, str]) -> None:
    with Site(tmp_path, HOITHI_EXAMPLE="0", **bus) as site:
        async with browsing(site) as (desk, second):
            round = await makes_a_contest(desk)
            await second.page.goto(round)
            await second.press("Duyệt")
            await desk.go(round)
            await desk.press("Công bố vòng thi")
            players = Players(site.url, seed=86)
            await opened(players)
            await players.play(PEOPLE["kafka" if bus else "local"])
            await players.check_results(180)
            await players.check_board(120)
            await desk.go(round)
            await desk.page.get_by_text("Đóng sớm").click()
            await desk.page.locator("#r4").fill("Diễn tập xong")
            await desk.press("Đóng vòng thi")
            await settles(desk, players.round)
            await is_recomputed(site, players.round, tmp_path)
            await players.close()
        site.hoithi("audit")
        assert "nguyên vẹn" in site.hoithi("audit-log", "verify")


async def makes_a_contest(desk: Desk) -> str:
    """Texts, units, bank, a round handed in for approval; returns the path of the round."""
    await desk.go("/console/contests/moi")
    await desk.fill(title="Hải Phòng làm theo lời Bác", kind="Cuộc thi trắc nghiệm", owner="Ban Tuyên giáo Thành ủy")
    await desk.press("Tạo cuộc thi")
    here = "/console/contests/hai-phong-lam-theo-loi-bac"
    await desk.go(f"{here}/sua")
    await desk.fill(
        consent="Tôi đồng ý để Ban Tổ chức xử lý thông tin dự thi.", categories="Giáo viên | 100\nĐoàn viên\nNhân dân"
    )
    await desk.press("Lưu")
    await desk.go(f"{here}/don-vi")
    await desk.page.locator("#file").set_input_files(EXAMPLE / "units.csv")
    await desk.press("Kiểm tra tệp")
    await desk.page.get_by_role("button", name=re.compile("Nhập .* dòng")).click()
    await desk.go("/console/bank/import?contest=hai-phong-lam-theo-loi-bac")
    file = {"name": "cau-hoi.xlsx", "mimeType": "application/octet-stream", "buffer": excel()}
    await desk.page.get_by_label("Tệp câu hỏi").set_input_files(file)  # type: ignore[arg-type]
    await desk.press("Kiểm tra tệp")
    await expect(desk.page.get_by_role("heading", name="Kết quả kiểm tra")).to_be_visible(timeout=SLOW)
    await desk.look()
    await desk.press("Nhập 48 câu")
    await desk.go(f"{here}/vong/moi")
    now = datetime.now(UTC)
    await desk.fill(
        **{"name": "Tuần 1", "opens": local(now - timedelta(minutes=5)), "closes": local(now + timedelta(days=7)),
           "topic:*": "20", "minutes": "15", "codes": "24", "attempts": "2", "counting": "best", "show_score": "at_once",
           "ranking1": "correct desc", "ranking2": "prediction_gap asc", "ranking3": "elapsed asc", "ranking4": "received_at asc",
           "prediction": "Có bao nhiêu người đúng tất cả?"}
    )  # fmt: skip
    await desk.press("Lưu")
    await desk.press("Gửi duyệt")
    return f"{here}/vong/tuan-1"


async def settles(desk: Desk, round: str) -> None:
    """Clears the queue, names the prizes, publishes."""
    console = f"/console/rounds/{round}"
    await desk.comes_to(console, "chờ,")
    await desk.go(f"{console}/cases")
    for kind in ("too_fast", "phone_block", "shared_device", "identical_answers"):
        await desk.page.goto(f"{console}/cases")
        if await desk.page.locator("#kind").count():
            await desk.fill(kind=kind)
            await desk.page.locator("#reason-all").fill("Diễn tập: mọi người thi cùng một chỗ")
            await desk.press("Coi tất cả là hợp lệ")
    await desk.comes_to(console, "Giải thưởng và công bố")
    await desk.go(f"{console}/questions")
    await desk.go(f"{console}/prizes")
    await desk.fill(persons="Giải Nhất: 1\nGiải Nhì: 3\nGiải Ba: 5", units="Đơn vị đông người dự thi nhất: 3")
    await desk.press("Tính giải và bốc thăm")
    await desk.comes_to(f"{console}/prizes", "Hãy xem kỹ")
    await desk.press("Công bố kết quả")
    await desk.go(f"/ket-qua/{round}")
    await expect(desk.page.get_by_text("Giải Nhất").first).to_be_visible()


async def is_recomputed(site: Site, round: str, folder: Path) -> None:
    """The verifier agrees with the file that everyone can fetch."""
    async with httpx.AsyncClient(base_url=site.url) as client:
        page = (await client.get(f"/ket-qua/{round}")).text
        (path,) = re.findall(r'href="(/ket-qua/[^"]+/tep/[0-9a-f]+)"', page)
        (folder / "result.jsonl").write_bytes(gzip.decompress((await client.get(path)).content))
    command = [sys.executable, VERIFY, folder / "result.jsonl"]
    said = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr
