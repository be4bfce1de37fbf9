"""An organiser makes a contest from nothing in the console, and runs it; nobody learns a key before its time."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from deploy.local.wiring import House
from services.events import decode
from services.kit.cloudevents import type_of
from services.kit.store import connect
from services.quiz.bank.store import Bank
from services.quiz.domain import Question
from tests.organisers import organiser_cookies
from tests.site import Site

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
UNITS = "code,parent,name,kind\nHP,,Hải Phòng,city\nKA,HP,Phường Kiến An,ward\n"
OPENS_IN = timedelta(seconds=25)
"""Time enough to approve and publish the round, and to look at it while it is sealed."""
QUESTIONS = [
    Question(f"q{n}", ("Địa", "Sử")[n % 2], f"Câu {n}?", ("một", "hai", "ba", "bốn"), frozenset({n % 4})) for n in range(20)
]
ROUND = {
    "name": "Tuần 1", "topic:*": "6", "minutes": "15", "codes": "8", "attempts": "2", "counting": "best",
    "ranking1": "correct desc", "ranking2": "elapsed asc", "show_score": "at_once", "prediction": "",
}  # fmt: skip


class Desk:
    """An organiser at the console: follows redirects, and sends each form with its token."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.web = httpx.AsyncClient(base_url=site.url, follow_redirects=True, timeout=30, headers={"accept": "text/html"})

    async def page(self, path: str) -> str:
        answer = await self.web.get(path)
        assert answer.status_code == 200, (path, answer.text[-2000:])
        return answer.text

    async def send(self, path: str, data: dict[str, str], *, status: int = 200, form: str = "", **more: Any) -> str:
        token = re.search(r'name="csrf" value="([^"]+)"', await self.page(form or "/console/contests"))
        assert token
        answer = await self.web.post(path, data={"csrf": token[1], **data}, **more)
        assert answer.status_code == status, (path, answer.status_code, re.sub(r"<[^>]+>|\s+", " ", answer.text))
        return answer.text


@asynccontextmanager
async def desk(site: Site, who: str = "one") -> AsyncIterator[Desk]:
    one = Desk(site)
    one.web.cookies.update(organiser_cookies(site, who=who))
    yield one
    await one.web.aclose()


def local(time: datetime, form: str = "%Y-%m-%dT%H:%M") -> str:
    return time.astimezone(ZONE).strftime(form)


async def everything(site: Site) -> bytes:
    """All that lies in the quiz's store but the bank, and in the topics that quiz writes."""
    client = connect((site.data / "run" / "store.url").read_text().strip(), "pymongo")
    raw = b""
    for name in await client["hoithi_quiz"].list_collection_names():
        if name not in ("questions", "banks"):
            async for document in client["hoithi_quiz"][name].find({}):
                document.pop("bank", None)
                raw += repr(document).encode()
    await client.close()
    return raw


async def records(site: Site, topic: str) -> list[Any]:
    house = House(site.settings)
    try:
        return [decode(type_of(record.headers), record.value) for record in await house.bus.read(topic)]
    finally:
        await house.close()


async def give_bank(site: Site, contest: str) -> None:
    client = connect((site.data / "run" / "store.url").read_text().strip(), "pymongo")
    await Bank(client["hoithi_quiz"]).add(contest, QUESTIONS, "test", "test")
    await client.close()


async def until(seconds: float, check: Any) -> Any:
    end = time.monotonic() + seconds
    while True:
        if found := await check():
            return found
        assert time.monotonic() < end
        await asyncio.sleep(0.2)


async def make_contest(organiser: Desk) -> str:
    """A contest with texts, units and a bank; returns its id."""
    await organiser.send(
        "/console/contests/moi", {"title": "Tìm hiểu Hải Phòng", "kind": "Trắc nghiệm", "owner": "Ban Tuyên giáo"}
    )
    here = "/console/contests/tim-hieu-hai-phong"
    texts = {"title": "Tìm hiểu Hải Phòng", "kind": "Trắc nghiệm", "owner": "Ban Tuyên giáo", "consent": "Tôi đồng ý."}
    await organiser.send(
        f"{here}/sua", {**texts, "categories": "Giáo viên | 100\nNhân dân", "documents": "1 | 04/05/2026 | BTG | Kế hoạch"}
    )
    bad = await organiser.send(f"{here}/don-vi", {}, status=422, files={"file": ("units.csv", UNITS + "X,Y,,\n")})
    assert "chưa có gì thay đổi" in bad
    assert "0" in re.findall(r"Đang có (\d+) đơn vị", await organiser.page(f"{here}/don-vi"))
    good = await organiser.send(f"{here}/don-vi", {}, files={"file": ("units.csv", UNITS)})
    digest = re.search(r'name="digest" value="(\w+)"', good)
    assert digest
    await organiser.send(f"{here}/don-vi", {"digest": digest[1]})
    await give_bank(organiser.site, "tim-hieu-hai-phong")
    return "tim-hieu-hai-phong"


async def approve(organiser: Desk, other: Desk, round: str) -> None:
    await organiser.send(f"{round}/trinh-duyet", {})
    await organiser.send(f"{round}/duyet", {}, status=409)  # the same person
    await other.send(f"{round}/duyet", {})
    await organiser.send(f"{round}/cong-bo", {})


async def test_from_an_empty_database_to_a_running_round(tmp_path: Path) -> None:
    with Site(tmp_path, HOITHI_EXAMPLE="false") as site:
        async with desk(site) as organiser, desk(site, "two") as other:
            contest = await make_contest(organiser)
            here = f"/console/contests/{contest}"
            far = datetime.now(UTC) + timedelta(days=1)
            times = {"opens": local(far), "closes": local(far + timedelta(days=1))}
            await organiser.send(f"{here}/vong/moi", {**ROUND, **times, "topic:*": "21"})
            assert "ngân hàng có 20" in await organiser.page(f"{here}/vong/tuan-1")
            await organiser.send(f"{here}/vong/tuan-1/trinh-duyet", {}, status=409)
            soon = datetime.now(UTC).replace(microsecond=0) + OPENS_IN
            times = {"opens": local(soon, "%Y-%m-%dT%H:%M:%S"), "closes": local(soon + timedelta(days=1))}
            await organiser.send(f"{here}/vong/tuan-1/sua", {**ROUND, **times})
            assert "preview.js" in await organiser.page(f"{here}/vong/tuan-1/xem-thu")
            assert not await records(site, "contests")
            await approve(organiser, other, f"{here}/vong/tuan-1")

            # Published, and sealed: no key in the store or in its topic, no question in any answer.
            assert len(await records(site, "contests")) == 1
            assert not await records(site, "keys")
            raw = await everything(site)
            assert not any(question.text.encode() in raw or repr(question.text).encode() in raw for question in QUESTIONS)
            person = await register(site, contest, "0912345678", "KA")
            early = await start(site, person, f"{contest}.tuan-1")
            assert early.status_code == 409

            async def opened() -> Any:
                return await records(site, "keys")

            (keyed,) = await until(90, opened)
            assert datetime.now(UTC) >= soon
            assert len(keyed.papers) == 8
            assert not any(key.encode() in raw for key in keyed.papers.values())

            # Running: paused, extra time, resumed, closed early.
            first = (await start(site, person, f"{contest}.tuan-1")).json()
            await organiser.send(f"{here}/vong/tuan-1/tam-dung", {"reason": "Mất điện"})
            assert "Mất điện" in (await organiser.web.get(f"/c/{contest}")).text
            late = await register(site, contest, "0987654321", "KA")
            assert (await start(site, late, f"{contest}.tuan-1")).status_code == 409
            again = await start(site, person, f"{contest}.tuan-1")
            assert (again.status_code, again.json()["deadline"]) == (200, first["deadline"])
            extra = {"kind": "participant", "participant": "0912 345 678", "minutes": "10", "reason": "Khiếm thị"}
            await organiser.send(f"{here}/vong/tuan-1/them-gio", extra)
            headers = {"authorization": f"Bearer {person['token']}"}
            told = (await organiser.web.get(f"/api/v1/attempts/{first['attempt_id']}", headers=headers)).json()
            moved = datetime.fromisoformat(told["deadline"]) - datetime.fromisoformat(first["deadline"])
            assert moved == timedelta(minutes=10)
            banner = {"text": "Hệ thống ổn định trở lại", "level": "info", "until": local(soon + timedelta(hours=2))}
            await organiser.send(f"{here}/thong-bao", banner)
            for page in ("", "/dang-ky", "/the-le", "/thi", f"/ket-qua/{first['attempt_id']}"):
                assert banner["text"] in (await organiser.web.get(f"/c/{contest}{page}")).text
            body = {"paper_token": first["paper_token"], "answers": "A" * 6}
            taken = await organiser.web.post("/api/v1/submissions", json=body)
            assert taken.status_code == 202
            result = f"/api/v1/results/{first['attempt_id']}"

            async def scored() -> bool:
                return (await organiser.web.get(result, headers=headers)).json()["status"] == "scored"

            await until(30, scored)
            (submission,) = await records(site, "submissions")
            assert submission.extra_minutes == 10
            await organiser.send(f"{here}/vong/tuan-1/tiep-tuc", {"reason": "Có điện lại"})
            assert (await start(site, late, f"{contest}.tuan-1")).status_code == 201
            await organiser.send(f"{here}/vong/tuan-1/dong", {"reason": "Hết thời gian"})

            async def shut() -> bool:
                return (await start(site, late, f"{contest}.tuan-1")).status_code == 409

            await until(10, shut)

            # Next week's round is a clone, a week later; the contest's revision rises.
            form = await organiser.page(f"{here}/vong/moi?tu=tuan-1")
            assert 'value="Tuần 2"' in form
            assert local(soon + timedelta(weeks=1)) in form
            later = {"opens": local(soon + timedelta(weeks=1)), "closes": local(soon + timedelta(days=8))}
            await organiser.send(f"{here}/vong/moi", {**ROUND, **later, "name": "Tuần 2"})
            await approve(organiser, other, f"{here}/vong/tuan-2")
            published = [event for event in await records(site, "contests") if hasattr(event, "units")]
            assert published[-1].revision == 1
            assert len(await records(site, "keys")) == 1


async def register(site: Site, contest: str, phone: str, unit: str) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=site.url, timeout=30) as web:

        async def shown() -> Any:
            answer = await web.get(f"/api/v1/contests/{contest}")
            return answer.json() if answer.status_code == 200 else None

        found = await until(10, shown)
        body = {
            "contest": contest, "name": "Nguyễn Văn An", "phone": phone, "unit": unit,
            "categories": [found["categories"][0]["id"]], "consent": {"version": found["consent"]["version"], "accepted": True},
        }  # fmt: skip
        answer = await web.post("/api/v1/participants", json=body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())


async def start(site: Site, person: dict[str, Any], round: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=site.url, timeout=30) as web:
        headers = {"authorization": f"Bearer {person['token']}"}
        return await web.post("/api/v1/attempts", json={"round": round}, headers=headers)


async def test_programs_do_the_same_with_a_session(hoithi_site: Site) -> None:
    round = "hai-phong-2023.tuan-1"
    async with httpx.AsyncClient(base_url=hoithi_site.url, timeout=30) as stranger:
        for path in (f"rounds/{round}/pause", "contests/hai-phong-2023/units", f"rounds/{round}/extra-time"):
            assert (await stranger.post(f"/api/v1/admin/{path}", json={"reason": "a"})).status_code == 401
    async with desk(hoithi_site) as organiser:
        assert (await organiser.web.post(f"/api/v1/admin/rounds/{round}/pause", json={"reason": "a"})).status_code == 403
        token = re.search(r'name="csrf" value="([^"]+)"', await organiser.page("/console/contests"))
        assert token
        headers = {"X-CSRF-Token": token[1]}

        async def call(path: str, body: Any = None, *, status: int = 200) -> Any:
            answer = await organiser.web.post(f"/api/v1/admin/{path}", json=body, headers=headers)
            assert answer.status_code == status, answer.text
            return answer.json() if answer.content else None

        opened = (await call(f"rounds/{round}/pause", {"reason": "Mất điện"}))["closes"]
        assert (await call(f"rounds/{round}/pause", {"reason": "Mất điện"}, status=409))["type"].endswith("round-paused")
        assert (await call(f"rounds/{round}/resume", {"reason": "Có điện"}))["state"] == "open"
        later = (datetime.fromisoformat(opened) + timedelta(hours=3)).isoformat()
        assert (await call(f"rounds/{round}/extend", {"reason": "Bù giờ", "closes": later}))["closes"] == later.replace(
            "+00:00", "Z"
        )
        await call(f"rounds/{round}/extend", {"reason": "Bù giờ", "closes": later[:19]}, status=422)
        await call(f"rounds/{round}/extend", {"reason": "", "closes": later}, status=422)
        slow = {"kind": "unit", "target": "HP-303", "minutes": 5, "reason": "Mạng yếu"}
        await call(f"rounds/{round}/extra-time", slow, status=204)
        few = await call("contests/hai-phong-2023/units", {"csv": UNITS, "dry_run": True})
        assert not few["good"]  # published units may not go
        assert not few["taken"]
        files = {"contest_yaml": "id: x", "questions_csv": "", "units_csv": UNITS}
        assert (await call("contests", files, status=422))["faults"]
        points = (await organiser.web.get("/api/v1/admin/rounds/hai-phong-2023.tuan-2/checklist")).json()
        missing = [point["text"] for point in points if point["blocks"] and not point["ok"]]
        assert missing == ["Trùng thời gian với Tuần 1."], "the extension reaches into the next round"
        page = (await organiser.web.get("/c/hai-phong-2023")).text
        assert all(reason in page for reason in ("Mất điện", "Có điện", "Bù giờ"))
