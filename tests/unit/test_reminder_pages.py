"""The console's pages of reminders and rosters: who sees what, what a preview says, and that nothing goes out unconfirmed."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import xlsxwriter
from fastapi import APIRouter

from services.kit.runtime import Face, UnitName
from services.notify import pages
from services.notify.campaign_pages import CampaignPages
from services.notify.campaigns import Address, Campaign
from services.notify.contacts import Reader
from services.notify.domain import masked
from services.notify.list_pages import ListPages
from services.notify.optout_pages import OptOutPages
from services.notify.people import Mark, Person
from services.notify.roster import read
from services.notify.roster_pages import RosterPages
from tests.console_house import ConsoleHouse, submit
from tests.contract.memory_store import memory_store
from tests.integration.test_reminder_gateways import write_members
from tests.reminders import CONTEST, NOW, UNITS, House
from tests.unit.test_reminder_rules import Fate, Moody

ROSTER = "Họ và tên;Mã;Điện thoại\nLê Thị Dung;HS01;0912345678\nTrần Văn An;HS02;\nPhạm Thị Bích;HS03;0912345679\n".encode()


class Desk(ConsoleHouse):
    """A console with notify's pages, over a store in memory."""

    def __init__(self, folder: Path) -> None:
        self.house = House(memory_store(), folder / "notify", sms_url="http://127.0.0.1:9/", sms_price=500)
        self.house.runtime.store["messages"]
        router = APIRouter()
        runtime, book, outbox = self.house.runtime, self.house.book, self.house.outbox
        router.include_router(CampaignPages(runtime, book, outbox).router)
        for part in (RosterPages(runtime, book), ListPages(runtime, book), OptOutPages(runtime)):
            router.include_router(part.router)
        router.include_router(pages.router(outbox, runtime.clock, {"sms"}))

        async def start() -> None:
            """Nothing to wait for."""

        units = {code: UnitName(f"Phường {code}", parent) for code, parent in UNITS}
        super().__init__(folder, [Face(name="notify", router=router, start=start, units=lambda: units)])

    async def post(self, browser: httpx.AsyncClient, form_at: str, to: str, **fields: str) -> httpx.Response:
        return await submit(browser, f"/console/reminders{form_at}", f"/console/reminders{to}", **fields)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    await desk.close()


def units_form(**more: str) -> dict[str, str]:
    return {
        "contest": CONTEST, "audience": "contacts", "root": "A", "units": "A1\nA2", "channel": "email",
        "subject": "Nhắc {don_vi}", "text": "Kính gửi {don_vi}", "with_contacts": "1", "with_accounts": "1", "round": "",
    } | more  # fmt: skip


async def test_from_a_form_over_the_preview_to_the_messages(desk: Desk) -> None:
    await desk.house.contacts.put(CONTEST, "A1", [Address("A1", "Hoa", "hoa@example.org", "+84912345678")])
    city = await desk.signed_in()
    await desk.signed_in("unit", "A2")  # its account looks after A2
    page = await desk.post(city, "/new", "/new", **units_form())
    assert page.status_code == 200
    assert "Kính gửi Phường A1" in page.text
    assert "h***@example.org" in page.text
    assert "hoa@example.org" not in page.text
    assert re.search(r"<strong>2</strong>\s+người sẽ nhận", page.text)
    await desk.house.campaigner.step()
    assert await desk.house.states() == {}
    at = page.url.path.removeprefix("/console/reminders")
    revision = re.search(r'name="revision" value="(\d+)"', page.text)
    assert revision
    done = await desk.post(city, at, f"{at}/confirm", revision=revision[1])
    assert done.status_code == 200
    assert 'http-equiv="refresh"' in done.text
    assert (await desk.post(city, at, f"{at}/cancel", revision="1")).status_code == 200
    for _ in range(2):
        await desk.house.campaigner.step()
    assert await desk.house.states() == {}
    assert [a for a in await desk.actions() if "reminder" in a] == ["reminder.made", "reminder.confirmed", "reminder.cancelled"]


async def test_figures_that_come_along_stand_in_the_words_of_their_unit(desk: Desk) -> None:
    for unit in ("A1", "A2", "B"):
        await desk.house.contacts.put(CONTEST, unit, [Address(unit, "Hoa", f"{unit}@example.org", "")])
    city = await desk.signed_in()
    form_at = "/new?contest=c&figures=A1:30:5200:,A2:0::4&as_of=2026-05-20T01:00Z"
    form = (await city.get(f"/console/reminders{form_at}")).text
    assert all(f'value="{unit}" checked>' in form for unit in ("A1", "A2"))
    assert "30/5.200 người (0,6\u00a0%)" in form
    assert 'value="B">' in form
    figures, at = (re.search(f'name="{name}" value="([^"]*)"', form) for name in ("figures", "as_of"))
    assert figures
    assert at
    words = {"text": "{don_vi}, {thoi_diem}: {tinh_hinh}", "figures": figures[1], "as_of": at[1]}
    page = await desk.post(city, form_at, "/new", **units_form(root="", units="A1 A2 B", **words))
    assert "Phường A1, 08:00 20/5/2026: có 30 người dự thi trên tổng số 5.200 người (0,6 %)" in page.text
    assert "Phường A2, 08:00 20/5/2026: không có lượt thi nào trong 4 ngày" in page.text
    assert "Phường B, 09:00 20/5/2026: có 0 người dự thi" in page.text
    for wrong in ({"figures": "A1:x:1:"}, {"figures": "A1:1"}, {"as_of": "hôm nay"}, {"as_of": "2026-05-20T01:00"}):
        assert (await desk.post(city, form_at, "/new", **units_form(**words | wrong))).status_code == 422


async def test_whom_to_remind_is_ticked_by_name_and_a_fault_keeps_the_ticks(desk: Desk) -> None:
    city = await desk.signed_in()
    sent = units_form(figures="A1:30:5200:,A2:0::4", as_of="2026-05-20T01:00Z", unit="A1", units="B nowhere")
    page = await desk.post(city, "/new", "/new", **sent)
    assert page.status_code == 422
    assert re.findall(r'name="unit" value="(\w+)" checked', page.text) == ["A1", "B"]
    assert 'value="A2">' in page.text, "who lags stays on the list"
    assert ">nowhere</textarea>" in page.text
    page = await desk.post(city, "/new", "/new", **sent | {"units": "B"})
    assert page.status_code == 200
    assert (await desk.house.campaigns.of_contest(CONTEST))[0].units == ("A1", "B")


async def test_contacts_are_found_by_name_and_who_lacks_one_comes_first(desk: Desk) -> None:
    await desk.house.contacts.put(CONTEST, "A1", [Address("A1", "Hoa", "hoa@example.org", "")])
    city = await desk.signed_in()
    page = await city.get("/console/reminders/contacts?contest=c")
    assert re.findall(r"&amp;unit=(\w+)", page.text) == ["HP", "B", "A", "A2", "A1"], "by the unit above"
    assert "1/3 có đầu mối" in page.text
    page = await city.get("/console/reminders/contacts?contest=c&q=phuong+a")
    assert re.findall(r"&amp;unit=(\w+)", page.text) == ["A", "A2", "A1"]
    form = {"contest": CONTEST, "unit": "A2", "text": "Mai; mai@example.org"}
    page = await desk.post(city, "/contacts?contest=c&unit=A2", "/contacts", **form)
    assert "Đã lưu đầu mối của Phường A2." in page.text


async def test_a_confirmed_campaign_becomes_messages_once_and_its_log_names_nobody(desk: Desk) -> None:
    city = await desk.signed_in()
    campaign = await desk.house.confirmed("one", 3, "sms")
    for _ in range(3):
        desk.house.restart()
        await desk.house.campaigner.step()
    assert await desk.house.states("one") == {"waiting": 3}
    (first, *_) = await desk.house.outbox.waiting("sms", NOW, 3)
    assert first["text"].isascii()
    await desk.house.outbox.claim(first["_id"], NOW)
    await desk.house.outbox.ended(first["_id"], "uncertain", "ReadTimeout")
    page = await city.get(f"/console/reminders/c/{campaign.id}")
    assert "Cần quyết định" in page.text
    assert masked(first["to"]) in page.text
    table = await city.get("/console/reminders/c/one/log.csv")
    assert table.text.count("\n") == 4
    assert "uncertain,ReadTimeout" in table.text
    assert "+84" not in table.text
    assert (await desk.post(city, "/c/one", "/c/one/give-up", message=first["_id"])).status_code == 200
    assert (await desk.post(city, "/c/one", "/c/one/give-up", message=first["_id"])).status_code == 409
    assert (await desk.post(city, "/c/one", "/c/one/again", message=first["_id"])).status_code == 200
    assert await desk.house.states() == {"waiting": 3}
    assert "Nhắc tham gia" in (await city.get("/console/messages")).text


async def test_the_messages_of_many_are_written_part_by_part(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    add = desk.house.outbox.add

    async def counted(messages: list[dict[str, Any]]) -> int:
        sizes.append(len(messages))
        return await add(messages)

    monkeypatch.setattr(desk.house.outbox, "add", counted)
    await desk.house.confirmed("one", 2100)
    await desk.house.campaigner.step()
    assert sizes == [1000, 1000, 100]
    assert await desk.house.states("one") == {"waiting": 2100}


async def test_what_is_written_of_a_campaign_while_it_is_cancelled_is_never_sent(desk: Desk) -> None:
    house, city = desk.house, await desk.signed_in()
    campaign = await house.confirmed("one", 2)
    plan = await house.reminding.plan(campaign)
    assert (await desk.post(city, "/c/one", "/c/one/cancel")).status_code == 200
    await house.outbox.add(house.reminding.messages(campaign, plan))  # then the worker dies

    gate = Moody(Fate(set()), [])
    house.gateways = [gate]
    house.restart()
    await house.send()
    assert not gate.taken
    assert await house.states("one") == {"skipped": 2}


async def test_a_secretary_sees_and_urges_the_own_subtree_alone(desk: Desk) -> None:
    secretary, other = await desk.signed_in("unit", "A"), await desk.signed_in("unit", "B")
    page = await desk.post(secretary, "/new", "/new", **units_form())
    at = page.url.path
    assert (await secretary.get(at)).status_code == 200
    assert (await other.get(at)).status_code == 403
    assert (await other.post(f"{at}/confirm")).status_code == 403
    assert at.rpartition("/")[2] not in (await other.get("/console/reminders")).text
    assert (await desk.post(secretary, "/new", "/new", **units_form(units="A1 B"))).status_code == 403
    assert (await desk.post(secretary, "/new", "/new", **units_form(root=""))).status_code == 403
    for path in ("rosters/c/B", "rosters/c/B/nhap", "rosters/c/B/danh-sach.csv", "contacts?contest=c&unit=B"):
        assert (await secretary.get(f"/console/reminders/{path}")).status_code == 403, path
    listed = (await secretary.get("/console/reminders/contacts")).text
    assert "Phường A1" in listed
    assert "Phường B" not in listed
    reader = await desk.signed_in("reader")
    for path in ("", "/new", "/rosters", "/rosters/c/A1", "/contacts", "/readers"):
        assert (await reader.get(f"/console/reminders{path}")).status_code == 403, path
    assert (await secretary.get("/console/reminders/readers")).status_code == 403


async def test_what_costs_money_is_confirmed_by_those_who_answer_for_it(desk: Desk) -> None:
    await desk.house.contacts.put(CONTEST, "A1", [Address("A1", "Hoa", phone="+84912345678")])
    secretary, district = await desk.signed_in("unit", "A"), await desk.signed_in("district", "A")
    page = await desk.post(secretary, "/new", "/new", **units_form(channel="sms", text="Đôn đốc " + "a" * 150))
    assert "2 tin, 1.000 đồng" in page.text
    assert "mất phí" in page.text
    at = page.url.path.removeprefix("/console/reminders")
    assert (await desk.post(secretary, at, f"{at}/confirm", revision="0")).status_code == 403
    assert (await desk.post(district, at, f"{at}/confirm", revision="0")).status_code == 200


@pytest.mark.parametrize(
    ("changed", "field"),
    [({"text": "{gi_do}"}, "text"), ({"text": " "}, "text"), ({"units": "X"}, "units"), ({"units": ""}, "units"),
     ({"channel": "pigeon"}, "channel"), ({"subject": ""}, "subject"), ({"root": "X"}, "root")],
)  # fmt: skip
async def test_a_form_with_a_fault_changes_nothing(desk: Desk, changed: dict[str, str], field: str) -> None:
    city = await desk.signed_in()
    page = await desk.post(city, "/new", "/new", **units_form(**changed))
    assert page.status_code == 422
    assert 'role="alert"' in page.text
    assert await desk.house.campaigns.of_contest(CONTEST) == []


async def try_file(desk: Desk, browser: httpx.AsyncClient, data: bytes) -> httpx.Response:
    at = "/console/reminders/rosters/c/A1/nhap"
    csrf = re.search(r'name="csrf" value="([0-9a-f]+)"', (await browser.get(at)).text)
    assert csrf
    return await browser.post(at, data={"csrf": csrf[1]}, files={"file": ("ds.csv", data)})


async def test_a_roster_is_tried_then_taken_and_says_who_has_not_taken_part(desk: Desk) -> None:
    members = {
        "dung": Person("c", "A1", "vi", "", "+84912345678", "ai do", "hs01", (), 0, (Mark("c.tuan-1", 1, 0, True),)),
        "an": Person("c", "A1", "vi", "an@example.org", "+84999999999", "tran van an", "", ()),
        "xa": Person("c", "B", "vi", "", "+84988888888", "pham thi bich", "", (), 0, (Mark("c.tuan-1", 1, 0, True),)),
    }
    await write_members(desk.house, members)
    secretary = await desk.signed_in("unit", "A")
    tried = await try_file(desk, secretary, ROSTER)
    assert "Tệp có 3 người, không có lỗi." in tried.text
    assert await desk.house.rosters.kept(CONTEST) == {}
    digest = re.search(r'name="digest" value="([0-9a-f]+)"', tried.text)
    assert digest
    page = await desk.post(secretary, "/rosters/c/A1/nhap", "/rosters/c/A1/nhap", digest=digest[1])
    assert "1/3</strong> người đã dự thi" in page.text
    assert "Lê Thị Dung" not in page.text
    assert "Có thể đã đăng ký" in page.text
    assert "Phạm Thị Bích" in page.text
    assert "Lê Thị Dung" in (await secretary.get("/console/reminders/rosters/c/A1?show=all&round=c.tuan-1")).text
    table = (await secretary.get("/console/reminders/rosters/c/A1/danh-sach.csv")).text
    assert table.startswith("\ufeffSTT,")
    assert "'+84912345679" in table
    form = units_form(audience="roster", root="A1", channel="sms")
    preview = await desk.post(secretary, "/new", "/new", **form)
    assert re.search(r"<strong>1</strong>\s+người sẽ nhận", preview.text)
    assert "Không nhắc 1: chưa có địa chỉ." in preview.text
    await desk.house.confirmed("sms", 0, audience="roster", root="A1", units=(), addresses=())
    await desk.house.campaigner.step()
    assert await desk.house.states() == {"waiting": 1}
    await desk.post(secretary, "/rosters/c/A1", "/rosters/c/A1/xoa")
    assert await desk.house.states() == {"skipped": 1}
    assert {m["to"] for m in await desk.house.outbox.page("skipped", 0, 9)} == {""}
    assert await desk.house.rosters.kept(CONTEST) == {}
    assert {"roster.imported", "roster.exported", "roster.deleted"} <= set(await desk.actions())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("Họ và tên,Mã\nA,1\nB,1\n", "Mã 1 có hai lần."),
        ("Họ và tên,Điện thoại\nA,12\n", "Số điện thoại không đúng."),
        ("Họ và tên,Email\nA,khong\n", "Địa chỉ thư không đúng."),
        ('Họ và tên,Email\nA,"a@b.vn\nBcc: c@d.vn"\n', "Địa chỉ thư không đúng."),
        ('Họ và tên,Email\nA,"a@b.vn\nX:c"\n', "Địa chỉ thư không đúng."),
        ("Họ và tên,Mã\n,1\n", "Hãy ghi họ và tên."),
        ("Mã\n1\n", "Không thấy cột họ và tên."),
        ("Họ và tên\n", "Tệp không có người nào."),
    ],
)
async def test_a_file_with_a_fault_is_refused_whole(desk: Desk, data: str, said: str) -> None:
    page = await try_file(desk, await desk.signed_in("unit", "A"), data.encode())
    assert page.status_code == 422
    assert said in page.text
    assert await desk.house.rosters.kept(CONTEST) == {}
    assert not re.search(r'name="digest"', page.text)


def test_a_roster_in_excel_keeps_its_leading_zeros() -> None:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["Họ tên", "Mã số", "SĐT", "Đối tượng"])
        sheet.write_row(1, 0, ["Lê Thị Dung", "007", 912345678, "Giáo viên"])
    found = read(file.getvalue(), {"giao-vien": "Giáo viên"})
    assert found.good
    assert found.rows[0].person == ("007", "Lê Thị Dung", "+84912345678", "", "giao-vien")


async def test_opting_out_takes_a_link_and_one_click(desk: Desk) -> None:
    key = desk.house.limits.key("+84912345678")
    at = "/thoi-nhac/" + desk.house.limits.token([key])
    stranger = desk.browser()
    assert "Thôi nhận tin nhắc?" in (await stranger.get(at)).text
    assert await desk.house.limits.opted_out([key]) == set()
    for _ in range(2):
        assert "Bạn sẽ không nhận tin nhắc nữa" in (await stranger.post(at)).text
    assert await desk.house.limits.opted_out([key]) == {key}
    assert (await stranger.get(at[:-2] + "xx")).status_code == 404


async def test_contacts_and_readers_are_lines_of_text(desk: Desk) -> None:
    city = await desk.signed_in()
    asked: dict[str, Any] = {"contest": CONTEST, "unit": "A1"}
    bad = await desk.post(city, "/contacts?unit=A1", "/contacts", text="Hoa", **asked)
    assert bad.status_code == 422
    await desk.post(city, "/contacts?unit=A1", "/contacts", text="Hoa; HOA@example.org; 0912345678\n", **asked)
    assert await desk.house.contacts.of_units(CONTEST, ["A1"]) == {
        "A1": [Address("A1", "Hoa", "hoa@example.org", "+84912345678")]
    }
    await desk.post(city, "/readers", "/readers", contest=CONTEST, day="Ban Tuyên giáo; a@example.org", week="b@example.org")
    assert await desk.house.contacts.readers(CONTEST) == [
        Reader("a@example.org", "Ban Tuyên giáo", "day"), Reader("b@example.org", "", "week"),
    ]  # fmt: skip
    assert (await desk.post(city, "/readers", "/readers", contest=CONTEST, day="x", week="")).status_code == 422


async def test_of_two_who_change_a_draft_one_learns_of_the_other(desk: Desk) -> None:
    campaign = await desk.house.confirmed("one", 1, state="draft")
    assert await desk.house.campaigns.put(msgspec.structs.replace(campaign, text="a"))
    assert await desk.house.campaigns.put(msgspec.structs.replace(campaign, text="b")) is None
    held = await desk.house.campaigns.get("one")
    assert isinstance(held, Campaign)
    assert (held.text, held.revision) == ("a", 1)
