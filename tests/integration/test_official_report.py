"""The official report against the raw records of the topics: DuckDB counts once more, and every figure of Biểu 1–6 is compared in
Word, PDF, Excel and CSV. The report is made by a worker process, as in life: one that is killed, and another that goes on."""

from __future__ import annotations

import asyncio
import csv
import io
import os
import re
import signal
import subprocess
import time
import zipfile
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from typing import Any

import docx
import msgspec
import pytest
from docx.oxml.ns import qn
from python_calamine import CalamineWorkbook

from deploy.local.wiring import House
from services.events import AttemptScored, Event
from services.kit.settings import Settings
from services.reporting.measures import Measure, Measures
from services.reporting.reminders import Reminders
from services.reporting.report.figures import Form
from services.reporting.report.jobs import Format, Job, Jobs, Request
from tests import reported_contest
from tests.recounted import WITHHELD, Asked, Raw, Tables, recount, recount_letter
from tests.site import HOITHI

CONTEST = reported_contest.contest()
ZONE = "Asia/Ho_Chi_Minh"
CLOSES = CONTEST.rounds[-1].closes
END = datetime(2023, 6, 16, 3, tzinfo=UTC)
MIDDLE = datetime(2023, 6, 11, 5, tzinfo=UTC)
"""Full hours: two after the last round has closed, and one while it runs."""
REMINDERS = list(reported_contest.reminders(CONTEST))
ORDER = ("bieu-2", "bieu-3", "bieu-4", "bieu-5", "bieu-6", "bieu-1")
"""As the tables follow each other on paper."""
FORMATS: tuple[Format, ...] = ("csv", "xlsx", "docx", "pdf")
ATTEMPTS = 50_000
WEEK = timedelta(days=7)
SINCE = datetime(2023, 6, 1, 17, tzinfo=UTC)
"""Midnight in Hải Phòng, within the second round."""
FORM = Form(issuer="BTC", deadline=date(2023, 6, 30))
PARTY = Form(
    style="party", superior="Đảng bộ thành phố Hải Phòng", issuer="Quận ủy Kiến An", place="Kiến An", symbol="BC/QU",
    letter_symbol="CV/QU", addressees=("Thường trực Quận ủy",), recipients=("Như trên;", "Lưu VPQU."), behalf="T/L BAN THƯỜNG VỤ",
    signer_title="CHÁNH VĂN PHÒNG", signer="Nguyễn Thị Ngọc", deadline=FORM.deadline,
)  # fmt: skip


class Reported:
    """An installation of one worker and no web, whose topics hold the contest."""

    def __init__(self, folder: Path, store: str) -> None:
        self.settings = Settings(data_dir=folder / "data", store=store, public_url="https://thi.example")
        self.env = os.environ | {"DATA_DIR": str(folder / "data"), "HOITHI_STORE": store, "PUBLIC_URL": "https://thi.example"}
        self.folder, self.house = folder, House(self.settings)
        self.runtime = self.house.runtime("reporting")
        self.jobs = Jobs(self.runtime.store, self.house.clock)
        self.worker: subprocess.Popen[bytes] | None = None

    async def publish(self, events: Iterable[Event]) -> None:
        waiting = [self.runtime.outgoing(event) for event in events]
        for start in range(0, len(waiting), 5000):
            await self.house.bus.publish(waiting[start : start + 5000])

    def start(self) -> None:
        with (self.folder / "worker.log").open("ab") as log:
            self.worker = subprocess.Popen([HOITHI, "work", "reporting"], env=self.env, stdout=log, stderr=log)

    def kill(self) -> None:
        if self.worker is not None:
            self.worker.send_signal(signal.SIGKILL)
            self.worker.wait()

    async def reminded(self) -> None:
        """Returns when the worker has written all reminders down."""
        wanted = {event.unit for event in REMINDERS if event.unit}
        noted = Reminders(self.runtime.store)
        while sum(each.messages for each in (await noted.of(CONTEST.contest, wanted)).values()) < 4 * len(wanted):
            await asyncio.sleep(0.1)

    def request(self, format: Format, as_of: datetime = END, unit: str = "", **more: Any) -> Request:
        common: dict[str, Any] = {"contest": CONTEST.contest, "kind": "bao-cao", "tree": "territory", "form": FORM}
        return Request(format=format, unit=unit, as_of=as_of, **common | {"before": as_of - WEEK} | more)

    async def made(self, *requests: Request, seconds: float = 180) -> list[Job]:
        """The jobs of these requests, once they are ready."""
        for request in requests:
            await self.jobs.ask(request, "test")
        end = time.monotonic() + seconds
        while True:
            found = [await self.jobs.get(request.id) for request in requests]
            if all(job is not None and not job.open for job in found):
                assert all(job is not None and job.phase == "ready" for job in found), [job and job.fault for job in found]
                return [job for job in found if job is not None]
            assert time.monotonic() < end, f"{found}\n{(self.folder / 'worker.log').read_text()[-3000:]}"
            await asyncio.sleep(0.1)

    async def tables(self, *requests: Request) -> list[Tables]:
        """The tables of reports by their keys, as texts of their CSV files."""
        return [csv_tables(file) for file in await self.files(*requests)]

    async def files(self, *requests: Request) -> list[bytes]:
        return [await self.jobs.file(job) for job in await self.made(*requests)]


@pytest.fixture
async def reported(tmp_path: Path, store_url: str) -> AsyncIterator[Reported]:
    reported = Reported(tmp_path, store_url)
    await reported.publish([CONTEST, *reported_contest.headcounts(CONTEST), *reported_contest.awards(CONTEST)])
    await reported.publish(reported_contest.attempts(CONTEST, ATTEMPTS))
    await reported.publish(REMINDERS)
    try:
        yield reported
    finally:
        reported.kill()
        await reported.house.close()


async def test_every_figure_of_the_report_is_that_of_the_topics(reported: Reported) -> None:
    raw = await Raw.read(reported.house.bus, reported.folder)
    await did(reported, raw)
    reported.start()
    await reported.reminded()
    # All are asked for; the worker is killed when the first is there, in the middle of the next; another makes the rest.
    wanted = [reported.request(format, form=PARTY if format in ("docx", "pdf") else FORM) for format in FORMATS]
    for request in wanted:
        await reported.jobs.ask(request, "test")
    await reported.made(wanted[0])
    reported.kill()
    reported.start()
    jobs = await reported.made(*wanted)
    files = dict(zip(FORMATS, [await reported.jobs.file(job) for job in jobs], strict=True))

    whole = Asked(at=END, before=END - WEEK, deadline=FORM.deadline)
    expected = recount(raw, CONTEST, whole)
    assert len(expected["bieu-1"]) == len(CONTEST.units) - 1
    figures = sum(isinstance(cell, int | float) for rows in expected.values() for row in rows for cell in row)
    assert figures > 2000
    compare_csv(csv_tables(files["csv"]), expected)
    compare_excel(files["xlsx"], expected)
    signed = ("ĐẢNG CỘNG SẢN VIỆT NAM", "ĐẢNG BỘ THÀNH PHỐ HẢI PHÒNG", "-BC/QU", PARTY.behalf, PARTY.signer_title, PARTY.signer)
    compare_word(files["docx"], expected, ORDER, *signed)
    compare_pdf(files["pdf"], expected, ORDER, reported.folder, *signed)

    # While a round with a prediction runs, no number of perfect papers is in it; a report of another tree counts its own; a
    # district's of a period tells who took part in it, and what was awarded there in it.
    period = {"since": SINCE, "before": SINCE}
    running, schools, part = await reported.tables(
        reported.request("csv", MIDDLE, before=END - WEEK),
        reported.request("csv", tree="giao-duc"),
        reported.request("csv", unit="HP-307", **period),
    )
    compare_csv(running, recount(raw, CONTEST, replace(whole, at=MIDDLE)))
    assert {row[8] for row in running["bieu-1"]} == {WITHHELD}
    compare_csv(schools, recount(raw, CONTEST, replace(whole, root="HP-307-PGD", tree="giao-duc")))
    within = replace(whole, root="HP-307", since=SINCE, before=SINCE, before_since=SINCE - (END - SINCE))
    compare_csv(part, recount(raw, CONTEST, within))
    assert [len(tables["bieu-5"]) for tables in (schools, part)] == [0, 1]
    assert len(part["bieu-3"]) == 3

    # The letter says the same figures in both formats that it is sent in.
    rows, (people, attempts) = recount_letter(raw, CONTEST, replace(whole, root="HP-307"))
    assert len(rows) > 3
    said = (vietnamese(people, 0, ""), vietnamese(attempts, 0, ""), "trước ngày 30/6/2023", "-CV/QU", *signed[3:])
    asked = [reported.request(format, unit="HP-307", kind="cong-van", form=PARTY) for format in ("docx", "pdf")]
    word, pdf = await reported.files(*asked)
    compare_word(word, {"cong-van": rows}, ["cong-van"], *said)
    compare_pdf(pdf, {"cong-van": rows}, ["cong-van"], reported.folder, *said)

    # What comes afterwards changes nothing of a cut, in whatever format it is asked for.
    late = [event for event in reported_contest.attempts(CONTEST, 500, seed=9) if isinstance(event, AttemptScored)]
    await reported.publish(msgspec.structs.replace(event, participant="x" + event.participant) for event in late)
    more = [
        msgspec.structs.replace(entry, people=7, revision=9) for entry in reported_contest.headcounts(CONTEST) if entry.people
    ]
    await reported.publish(more)
    again, same, other = await reported.tables(
        reported.request("csv", form=msgspec.structs.replace(FORM, signer="Người khác")),
        reported.request("csv", unit="HP-307", form=PARTY, **period),
        reported.request("csv", END + timedelta(hours=1), before=None),
    )
    assert (again, same) == (csv_tables(files["csv"]), part)
    assert other["bieu-2"] != again["bieu-2"]
    await told(reported, {job.id for job in jobs})

    # Old files go with their jobs; who asks again gets the same figures.
    assert await reported.jobs.sweep(timedelta(0)) >= len(FORMATS)
    assert await reported.jobs.of(CONTEST.contest, 10) == []
    assert await reported.runtime.store["report_files"].count_documents({}) == 0
    assert await reported.tables(wanted[0]) == [again]


async def did(reported: Reported, raw: Raw) -> None:
    """A ward notes twice what it did; the later one is told. What was done, or noted, after the cut-off is not."""
    done = [
        ("2023-06-03", "Phát động tại 12 tổ dân phố", 4), ("2023-05-30", "Treo băng rôn", 4), ("2023-06-04", "Ghi muộn", 40),
        ("2023-06-20", "Gặp mặt", 4),
    ]  # fmt: skip
    for day, text, noted in done:
        measure = Measure(id=day, day=day, text=text, by="test", at=datetime(2023, 5, 31, tzinfo=UTC) + timedelta(days=noted))
        await Measures(reported.runtime.store).add(CONTEST.contest, "HP-307-11428", measure)
    raw.measures["HP-307-11428"] = "Phát động tại 12 tổ dân phố (03/6/2023)"


async def told(reported: Reported, ids: set[str]) -> None:
    """Each of these was told of once on `notices`."""
    records = await reported.house.bus.read("notices")
    seen = [msgspec.json.decode(record.value)["report"] for record in records]
    assert ids <= set(seen)
    assert len(seen) == len(set(seen))


def csv_tables(content: bytes) -> Tables:
    with zipfile.ZipFile(io.BytesIO(content)) as files:
        texts = {name.removesuffix(".csv"): files.read(name) for name in files.namelist()}
    assert all(text.startswith(b"\xef\xbb\xbf") for text in texts.values())
    return {name: list(csv.reader(io.StringIO(text.decode("utf-8-sig"))))[1:] for name, text in texts.items()}


def compare_csv(found: Tables, expected: Tables) -> None:
    assert found.keys() == expected.keys()
    for table, rows in expected.items():
        assert found[table] == [[_plain(cell, table == "bieu-6") for cell in row] for row in rows], table


def _plain(cell: object, day: bool) -> str:
    if isinstance(cell, datetime):
        return f"{cell:%Y-%m-%d}" if day else f"{cell:%Y-%m-%d %H:%M:%S}"
    text = f"{cell:.1f}" if isinstance(cell, float) else str(cell)
    return "'" + text if isinstance(cell, str) and text[:1] in "=+-@" and text else text


def compare_excel(content: bytes, expected: Tables) -> None:
    book = CalamineWorkbook.from_filelike(io.BytesIO(content))
    assert book.sheet_names == [f"Biểu {n}" for n in range(1, 7)]
    for table, rows in expected.items():
        sheet = book.get_sheet_by_name(f"Biểu {table[-1]}").to_python(skip_empty_area=False)
        found = [row[: len(rows[0])] for row in sheet[4 : 4 + len(rows)]] if rows else []
        assert found == [[_in_excel(cell) for cell in row] for row in rows], table


def _in_excel(cell: object) -> object:
    """It knows no integers, and no midnight; a number is a number, and a code a text."""
    if isinstance(cell, datetime) and cell.time() == time_of_day():
        return cell.date()
    return float(cell) if isinstance(cell, int) else cell


def vietnamese(cell: object, column: int, table: str) -> str:
    if isinstance(cell, datetime):
        return ("" if table == "bieu-6" else f"{cell:%H:%M:%S} ") + f"{cell.day:02}/{cell.month}/{cell.year}"
    if isinstance(cell, float):
        return f"{cell:,.1f}".replace(",", " ").replace(".", ",").replace(" ", ".")
    if isinstance(cell, int):
        signed = (table, column) in (("bieu-1", 9), ("bieu-3", 6)) and cell > 0
        return ("+" if signed else "") + f"{cell:,}".replace(",", ".")
    return str(cell)


def as_printed(expected: Tables) -> dict[str, list[list[str]]]:
    return {
        table: [[vietnamese(cell, n, table) for n, cell in enumerate(row)] for row in rows] for table, rows in expected.items()
    }


def compare_word(content: bytes, expected: Tables, order: Sequence[str], *said: str) -> None:
    found = []
    body = docx.Document(io.BytesIO(content)).element.body
    text = "".join(t.text or "" for t in body.iter(qn("w:t")))
    assert not [words for words in said if words not in text]
    for table in body.findall(qn("w:tbl")):
        rows = [
            ["".join(t.text or "" for t in cell.iter(qn("w:t"))) for cell in row.iter(qn("w:tc"))]
            for row in table.iter(qn("w:tr"))
        ]
        if rows and len(rows) > 2 and rows[1][0] == "(1)":
            assert all(row.find(qn("w:trPr")).find(qn("w:tblHeader")) is not None for row in table.findall(qn("w:tr"))[:2])
            found.append(rows[2:])
    printed = as_printed(expected)
    assert found == [printed[table] for table in order if printed[table]]


def compare_pdf(content: bytes, expected: Tables, order: Sequence[str], folder: Path, *said: str) -> None:
    """Rows are looked for one after another in the text as the file has it: cell by cell, whatever the page."""
    (folder / "report.pdf").write_bytes(content)
    out = subprocess.run(
        ["pdftotext", "-raw", str(folder / "report.pdf"), "-"], capture_output=True, check=True, text=True
    ).stdout
    text = re.sub(r"\s+", "", out)
    assert not [words for words in said if re.sub(r"\s+", "", words) not in text]
    at = 0
    printed = as_printed(expected)
    for table in order:
        at = text.index(f"Biểu{table[-1]}.", at) if table in ORDER else at
        for row in printed[table]:
            wanted = re.sub(r"\s+", "", "".join(row))
            place = text.find(wanted, at)
            assert place >= 0, f"{table}: {row}\n…{text[at : at + 300]}"
            at = place + len(wanted)
