"""Reports over HTTP: who may ask for whose, what is filled in, progress, the file; the form of a unit; what is noted of it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.events import ContestBook
from services.kit.problems import Problem
from services.kit.runtime import Face
from services.reporting.report.desk import Desk
from services.reporting.report.jobs import FAULT, MOST_OPEN, Forms, Jobs
from services.reporting.report_api import ReportApi
from services.reporting.report_pages import ReportPages
from tests import reported_contest
from tests.console_house import ConsoleHouse, submit
from tests.contract.memory_store import memory_store

CONTEST = reported_contest.contest()
API = "/api/v1/reports/bao-cao.csv"
HERE = {"contest": CONTEST.contest}
PAGE = f"/console/reports/{CONTEST.contest}"


class House(ConsoleHouse):
    """The console with the pages of reports."""

    def __init__(self, folder: Path) -> None:
        async def start() -> None:
            """Nothing to wait for."""

        super().__init__(folder)
        book, store = ContestBook(), memory_store()
        book.apply(CONTEST)
        self.store, self.jobs = store, Jobs(store, self.clock)
        self.desk = Desk(book, self.jobs, Forms(store), self.clock)
        api, pages = ReportApi(self.desk), ReportPages(self.desk, self.clock)
        faces = [Face(name=name, router=router, start=start) for name, router in (("reporting", api.router), ("r", pages.router))]
        super().__init__(folder, faces)
        self.jobs._clock = self.clock

    async def finish(self, id: str, files: dict[str, bytes]) -> None:
        """As a worker does."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as out:
            for name, content in files.items():
                out.writestr(name, content)
        while (job := await self.jobs.take("worker")) is not None and job.id != id:
            """Others wait, too."""
        assert await self.jobs.finish(id, "worker", packed.getvalue())


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    yield house
    await house.close()


async def test_asked_by_address_watched_and_fetched_from_the_same(house: House) -> None:
    browser = await house.signed_in("city")
    first = await browser.get(API, params=HERE)
    assert first.status_code == 202, first.text
    assert first.headers["Retry-After"]
    assert first.json() | {"phase": "asked", "percent": 0, "as_of": "2026-11-25T07:00:00+00:00"} == first.json()
    assert (await browser.get(first.json()["url"])).json()["id"] == first.json()["id"]
    await house.finish(first.json()["id"], {"bieu-1.csv": b"one", "bieu-2.csv": b"two"})
    done = await browser.get(first.json()["url"])
    assert done.status_code == 200
    assert done.headers["content-type"] == "application/zip"
    assert 'filename="bao-cao-hai-phong-2023-2026-11-25T07.csv.zip"' in done.headers["content-disposition"]
    one = await browser.get(first.json()["url"] + "&table=bieu-2")
    assert (one.status_code, one.content, one.headers["content-type"]) == (200, b"two", "text/csv; charset=utf-8")
    assert (await browser.get(first.json()["url"] + "&table=../x")).status_code == 404
    assert await house.actions() == ["report.asked", "report.fetched", "report.fetched"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"contest": "no"}, "contest"),
        ({"unit": "no"}, "unit"),
        ({"tree": "no"}, "tree"),
        ({"as_of": "yesterday"}, "as_of"),
        ({"as_of": "2023-06-16T08:30:00+07:00"}, "as_of"),
        ({"as_of": "2027-06-16T08:00:00+07:00"}, "as_of"),
        ({"as_of": "2022-06-16T08:00:00+07:00"}, "as_of"),
        ({"from": "2023-06-10", "to": "2023-06-09"}, "from"),
        ({"as_of": "2023-06-16T08:00:00+07:00", "to": "2023-06-15"}, "to"),
        ({"from": "2023-06-01T08:30:00+07:00"}, "from"),
        ({"from": "9999-99-99"}, "from"),
    ],
    ids=str,
)
async def test_what_cannot_be_is_refused_by_name(house: House, wrong: dict[str, str], field: str) -> None:
    browser = await house.signed_in("city")
    answer = await browser.get(API, params=HERE | wrong)
    assert answer.status_code in (404, 422)
    assert answer.json()["errors"][0]["field"] == field
    assert (await browser.get("/api/v1/reports/khac.pdf", params=HERE)).status_code == 422
    assert await house.actions() == []


async def test_nobody_sees_beyond_their_units(house: House) -> None:
    district = await house.signed_in("district", "HP-307")
    mine = await district.get(API, params=HERE)
    assert mine.status_code == 202
    job = await house.jobs.get(mine.json()["id"])
    assert job is not None
    assert job.request.unit == "HP-307"
    for unit in ("HP", "HP-306"):
        assert (await district.get(API, params=HERE | {"unit": unit})).status_code == 403
    letter = "/api/v1/reports/cong-van.docx"
    assert (await district.get(letter, params=HERE | {"units": "HP-307-11428,HP-306-11371"})).status_code in (403, 422)
    city = await house.signed_in("city")
    theirs = (await city.get(API, params=HERE)).json()["id"]
    await house.finish(mine.json()["id"], {})
    page = await district.get(PAGE)
    assert mine.json()["id"] in page.text
    assert theirs not in page.text
    assert (await district.get(f"{PAGE}/{theirs}/tai-ve")).status_code == 403
    assert (await house.signed_in("operator")).cookies
    assert (await (await house.signed_in("operator")).get(PAGE)).status_code == 403
    assert (await house.browser().get(API, params=HERE)).status_code == 401


async def test_a_file_that_was_deleted_is_never_served_empty(house: House) -> None:
    browser = await house.signed_in("city")
    url = (await browser.get(API, params=HERE)).json()["url"]
    (job,) = await house.jobs.of(CONTEST.contest, 10)
    for address in (url, url + "&table=bieu-1", f"{PAGE}/{job.id}/tai-ve"):
        await house.finish(job.id, {"bieu-1.csv": b"one"})
        house.store["report_files"].documents.clear()
        gone = await browser.get(address)
        if address.startswith("/api"):
            assert (gone.status_code, gone.json()["phase"]) == (202, "asked")
        else:
            assert "Đang chờ" in gone.text
    assert await house.actions() == ["report.asked"]


async def test_who_only_looks_stops_and_remakes_their_own_alone(house: House) -> None:
    city, reader = await house.signed_in("city"), await house.signed_in("reader")
    theirs = (await city.get(API, params=HERE)).json()["id"]
    mine = (await reader.get(API, params=HERE | {"unit": "HP-307"})).json()["id"]
    shown = (await reader.get(PAGE)).text
    assert (f"{mine}/huy" in shown, f"{theirs}/huy" in shown) == (True, False)
    for job, status in ((theirs, 403), (mine, 200)):
        assert (await submit(reader, PAGE, f"{PAGE}/{job}/huy")).status_code == status
        assert (await submit(reader, PAGE, f"{PAGE}/{job}/lam-lai")).status_code == status
    assert [(await house.jobs.get(job)).phase for job in (theirs, mine)] == ["asked", "asked"]  # type: ignore[union-attr]
    district = await house.signed_in("district", "HP-307")
    assert (await submit(district, PAGE, f"{PAGE}/{mine}/huy")).status_code == 200
    assert (await submit(district, PAGE, f"{PAGE}/{theirs}/huy")).status_code == 403


async def test_too_many_at_once_are_refused_in_words(house: House) -> None:
    browser = await house.signed_in("reader")
    hours = [f"2023-06-{day:02}T{hour:02}:00" for day in (2, 3) for hour in range(8, 20)]
    answers = [await browser.get(API, params=HERE | {"as_of": hour}) for hour in hours[: MOST_OPEN + 1]]
    assert [answer.status_code for answer in answers] == [202] * MOST_OPEN + [429]
    assert answers[-1].headers["Retry-After"]
    page = await submit(browser, PAGE, PAGE, kind="bao-cao", format="pdf", as_of=hours[-1])
    assert page.status_code == 429
    assert f"Bạn đang có {MOST_OPEN} báo cáo chưa lập xong" in page.text


async def test_what_cannot_be_made_is_refused_with_its_reason_and_a_fault_is_one(house: House) -> None:
    browser = await house.signed_in("city")
    for format, fault, status in (("pdf", FAULT, 500), ("docx", "Không có đơn vị nào cần đôn đốc.", 422)):
        id = (await browser.get(f"/api/v1/reports/cong-van.{format}", params=HERE)).json()["id"]
        assert await house.jobs.take("worker")
        assert await house.jobs.fail(id, "worker", fault)
        answer = await browser.get(f"/api/v1/reports/cong-van.{format}", params=HERE)
        assert (answer.status_code, answer.json()["detail"]) == (status, fault)


async def test_a_report_is_of_a_unit_that_stands_in_its_tree_on_its_day(house: House) -> None:
    account: Any = type("A", (), {"subtree": None})()
    asked = {"contest": CONTEST.contest, "kind": "bao-cao", "format": "pdf", "as_of": "2023-06-16T08:00"}
    merged, school = {"unit": reported_contest.MERGED}, {"unit": "HP-307-THPT-KA"}
    before = await house.desk.request(account, asked | merged | {"as_of": "2023-06-05T00:00"})
    assert before.unit == reported_contest.MERGED, "midnight ends the day before"
    letter = {"kind": "cong-van"}
    for wrong, into in [
        (merged, reported_contest.INTO),
        ({"unit": "HP-306", "tree": "giao-duc"}, None),
        ({"unit": "HP", "tree": "giao-duc"}, None),
        (letter | {"units": "HP-306", "tree": "giao-duc"}, None),
        (letter | {"units": reported_contest.MERGED}, reported_contest.INTO),
        (letter | {"units": "HP-306", "unit": "HP-307"}, None),
    ]:
        with pytest.raises(Problem) as refused:
            await house.desk.request(account, asked | wrong)
        assert (refused.value.status, refused.value.field) == (422, "units" if "units" in wrong else "unit"), wrong
        assert refused.value.params.get("successor") == into
    assert (await house.desk.request(account, asked | school | {"tree": "cong-doan"})).unit == school["unit"]


async def test_an_account_gets_its_own_unit_in_whatever_tree_has_one(house: House) -> None:
    asked = {"contest": CONTEST.contest, "kind": "bao-cao", "format": "pdf", "as_of": "2023-06-16T08:00"}

    async def place(subtree: str, **more: str) -> tuple[str, str]:
        account: Any = type("A", (), {"subtree": subtree})()
        request = await house.desk.request(account, asked | more)
        return request.tree, request.unit

    assert await place("HP-307") == ("territory", "HP-307")
    assert await place("HP-307", tree="giao-duc") == ("giao-duc", "HP-307-PGD")
    with pytest.raises(Problem) as refused:
        await place("HP-306", tree="giao-duc")
    assert (refused.value.status, refused.value.field) == (422, "unit")
    job = (await house.jobs.ask(await house.desk.request(type("A", (), {"subtree": "HP"})(), asked), "an"))[0]  # type: ignore[arg-type]
    top: Any = type("A", (), {"subtree": "HP"})()
    assert (await house.desk.job(top, job.id)).request.unit == "", "the top is the whole contest"


async def test_the_period_and_what_is_compared_with(house: House) -> None:
    account: Any = type("A", (), {"subtree": None})()
    asked = {"contest": CONTEST.contest, "kind": "bao-cao", "format": "pdf", "as_of": "2023-06-16T08:00"}
    whole = await house.desk.request(account, asked)
    assert whole.since is None, "since the contest began"
    assert whole.as_of == datetime(2023, 6, 16, 1, tzinfo=UTC), "a time without an offset is the contest's own"
    assert whole.before == datetime(2023, 6, 9, 1, tzinfo=UTC), "a week before"
    part = await house.desk.request(account, asked | {"from": "2023-06-01", "to": "2023-06-15", "as_of": ""})
    assert (part.since, part.as_of) == (datetime(2023, 5, 31, 17, tzinfo=UTC), datetime(2023, 6, 15, 17, tzinfo=UTC))
    assert (part.before_since, part.before) == (datetime(2023, 5, 16, 17, tzinfo=UTC), part.since), "15 days, and 15 before them"
    assert (await house.desk.request(account, asked | {"from": "2023-05-19"})).since is None, "the morning of the opening"
    assert (await house.desk.request(account, asked | {"kind": "cong-van", "from": "2023-06-01"})).since is None
    first = await house.desk.request(account, asked | {"as_of": "2023-05-20T08:00"})
    assert first.before is None, "there is nothing before the contest began"
    assert (await house.desk.request(account, asked | {"unit": "HP"})).id == whole.id, "the top is the whole contest"
    with pytest.raises(Problem) as refused:
        await house.desk.request(account, asked | {"to": "9999-12-31T23:00:00+00:00"})
    assert (refused.value.status, refused.value.field) == (422, "to")


async def test_the_page_asks_watches_cancels_and_keeps_the_form(house: House) -> None:
    browser = await house.signed_in("city")
    page = await submit(browser, PAGE, PAGE, kind="cong-van", format="docx", as_of="2023-06-16T08:00", units="HP-307")
    assert page.status_code == 200
    assert "Đang chờ" in page.text
    (job,) = await house.jobs.of(CONTEST.contest, 10)
    assert job.request.units == ("HP-307",)
    page = await submit(browser, PAGE, f"{PAGE}/{job.id}/huy")
    assert "Đã hủy" in page.text
    page = await submit(browser, PAGE, f"{PAGE}/{job.id}/lam-lai")
    assert "Đang chờ" in page.text
    wrong = await submit(browser, PAGE, PAGE, kind="bao-cao", format="pdf", as_of="2023-06-16T08:10")
    assert wrong.status_code == 422
    assert "Số liệu được chốt vào các giờ tròn" in wrong.text

    form = {"issuer": "Quận ủy Kiến An", "recipients": "Như trên;\n\n Lưu VP. ", "style": "party", "deadline": "2023-06-30"}
    assert (await submit(browser, f"{PAGE}/mau", f"{PAGE}/mau", **form | {"issuer": ""})).status_code == 422
    assert (await submit(browser, f"{PAGE}/mau", f"{PAGE}/mau", **form)).status_code == 200
    kept = await house.desk.form(CONTEST, "")
    assert (kept.issuer, kept.recipients, kept.style) == ("Quận ủy Kiến An", ("Như trên;", "Lưu VP."), "party")
    assert "Như trên;" in (await browser.get(f"{PAGE}/mau")).text
    assert await house.actions() == ["report.asked", "report.cancelled", "report.asked", "report.form"]


async def test_a_district_keeps_a_form_of_its_own(house: House) -> None:
    browser = await house.signed_in("district", "HP-307")
    assert "Quận Kiến An" in (await browser.get(f"{PAGE}/mau")).text
    await submit(browser, f"{PAGE}/mau", f"{PAGE}/mau", issuer="Quận ủy Kiến An")
    assert (await house.desk.form(CONTEST, "HP-307")).issuer == "Quận ủy Kiến An"
    assert (await house.desk.form(CONTEST, "")).issuer == CONTEST.owner
    assert (await browser.get(f"{PAGE}/mau", params={"unit": "HP-306"})).status_code == 403
    reader = await house.signed_in("unit", "HP-307")
    assert (await reader.get(f"{PAGE}/mau")).status_code == 403
    assert (await reader.get(PAGE)).status_code == 200
