"""The console's pages of rosters: a unit's people from a file, and who of them has not taken part (chưa tham gia)."""

from __future__ import annotations

import asyncio
import csv
import io
from collections import Counter
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import UploadFile

from services.events import ContestBook, ContestPublished
from services.kit.problems import Problem
from services.kit.runtime import Runtime
from services.kit.sheets import harmless
from services.kit.web import language, render
from services.kit.web.console import audited
from services.notify.access import Secretary, SecretaryForm, check_unit, contest_of, units_of
from services.notify.campaigns import Campaigns
from services.notify.contacts import Rosters
from services.notify.reminding import Reminding
from services.notify.roster import Matched, RosterSheet, match, read
from services.notify.store import Outbox
from services.notify.words import ROSTER_HEADINGS, STANDINGS

SHOWN = 300
"""Rows of a file that a dry run shows; all that have a fault come first."""
MOST_ROWS = 2000
"""People that a page lists; the file holds all of them."""

Show = Literal["absent", "all"]


class RosterPages:
    """`/console/reminders/rosters`."""

    def __init__(self, runtime: Runtime, book: ContestBook) -> None:
        self._runtime, self._book, self._rosters = runtime, book, Rosters(runtime.store)
        self._campaigns, self._outbox = Campaigns(runtime.store), Outbox(runtime.store)
        self._reminding = Reminding(runtime, book)
        self.router = APIRouter(include_in_schema=False, prefix="/console/reminders/rosters")
        get, post = self.router.get, self.router.post
        get("")(self.all)
        get("/{contest}/{unit}")(self.look)
        get("/{contest}/{unit}/danh-sach.csv")(self.table)
        get("/{contest}/{unit}/nhap")(self.ask)
        post("/{contest}/{unit}/nhap")(self.put)
        post("/{contest}/{unit}/xoa")(self.delete)

    async def all(self, request: Request, account: Secretary, contest: str = "", unit: str = "") -> Response:
        """The rosters of the units that the account may see."""
        known = contest_of(self._book, contest)
        if unit:
            return RedirectResponse(f"/console/reminders/rosters/{known.contest}/{unit}", 303)
        units = units_of(request, self._book, known.contest)
        kept = {code: one for code, one in (await self._rosters.kept(known.contest)).items() if code in units}
        return render(
            request, "rosters.html", contest=known, contests=list(self._book.contests.values()), units=units, kept=kept,
            own=account.subtree or "",
        )  # fmt: skip

    async def look(
        self, request: Request, _: Secretary, contest: str, unit: str, round: str = "", show: Show = "absent"
    ) -> Response:
        """Who of a unit's roster has not taken part."""
        known = self._unit(request, contest, unit)
        held = await self._rosters.find(contest, unit)
        rows = await self._rows(contest, unit, round) if held else []
        counts = Counter(row.standing for row in rows)
        shown = [row for row in rows if show == "all" or row.standing != "took-part"]
        return render(
            request, "roster.html", contest=known, unit=unit, name=self._book.units(contest)[unit].name,
            held=held[0] if held else None, rows=shown[:MOST_ROWS], more=max(0, len(shown) - MOST_ROWS), counts=counts,
            total=len(rows), standings=STANDINGS, rounds=self._book.rounds(contest), round=round, show=show,
            days=self._runtime.settings.roster_days,
            categories={category.id: category.name for category in known.categories},
        )  # fmt: skip

    async def table(
        self, request: Request, _: Secretary, contest: str, unit: str, round: str = "", show: Show = "absent"
    ) -> Response:
        """The same as CSV."""
        self._unit(request, contest, unit)
        rows = await self._rows(contest, unit, round)
        table = io.StringIO()
        writer = csv.writer(table)
        writer.writerow(ROSTER_HEADINGS)
        shown = [row for row in rows if show == "all" or row.standing != "took-part"]
        for number, (person, standing, _members) in enumerate(shown, 1):
            cells = [person.name, person.code, person.phone, person.email, STANDINGS[standing]]
            writer.writerow([number, *map(harmless, cells)])
        await audited(request, "roster.exported", unit, contest=contest, people=len(shown))
        headers = {"Content-Disposition": f'attachment; filename="chua-tham-gia-{unit}.csv"'}
        return Response("\ufeff" + table.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)

    async def _rows(self, contest: str, unit: str, round: str) -> list[Matched]:
        plan = self._book.round(round) if round else None
        if round and (plan is None or plan.contest != contest):
            raise Problem(404, "round", "Không có vòng thi này.", field="round")
        held = await self._rosters.find(contest, unit)
        if held is None:
            raise Problem(404, "roster", "Đơn vị này chưa có danh sách.", field="unit")
        members = await self._reminding.members(contest, self._reminding.below(contest, unit))
        return match(held[1], members, round or None)

    async def ask(self, request: Request, _: Secretary, contest: str, unit: str) -> Response:
        """The form for a file."""
        return self._ask(request, self._unit(request, contest, unit), unit, None, None)

    def _ask(
        self, request: Request, contest: ContestPublished, unit: str, sheet: RosterSheet | None, problem: Problem | None
    ) -> Response:
        lang = language(request)
        rows = sorted(sheet.rows, key=lambda row: not row.faults)[:SHOWN] if sheet else []
        verdicts: list[Any] = [(row, [fault.show(lang).partition(": ")[2] for fault in row.faults]) for row in rows]
        status = problem.status if problem else 200 if sheet is None or sheet.good else 422
        return render(
            request, "roster_import.html", status, contest=contest, unit=unit, name=self._book.units(contest.contest)[unit].name,
            sheet=sheet, verdicts=verdicts, faults=[fault.show(lang) for fault in sheet.faults] if sheet else [],
            problem=problem.document(lang)["detail"] if problem else "", days=self._runtime.settings.roster_days,
        )  # fmt: skip

    async def put(self, request: Request, account: Secretary, form: SecretaryForm, contest: str, unit: str) -> Response:
        """A file: its dry run. Its digest: the import of what was tried."""
        known = self._unit(request, contest, unit)
        try:
            if digest := str(form.get("digest", "")):
                people = await self._rosters.tried(contest, unit, digest)
                if people is None:
                    raise Problem(409, "roster-changed", "Tệp đã thử không còn. Hãy chọn tệp lại.", field="file")
                await self._rosters.put(contest, unit, people, account.id, self._runtime.clock.now())
                await audited(request, "roster.imported", unit, contest=contest, people=len(people))
                return RedirectResponse(f"/console/reminders/rosters/{contest}/{unit}", 303)
            file = form.get("file")
            if not isinstance(file, UploadFile) or not file.filename:
                raise Problem(422, "file", "Hãy chọn tệp.", field="file")
            categories = {category.id: category.name for category in known.categories}
            sheet = await asyncio.to_thread(read, await file.read(), categories)
        except Problem as problem:
            return self._ask(request, known, unit, None, problem)
        if sheet.good:
            await self._rosters.keep_tried(contest, unit, sheet.digest, [row.person for row in sheet.rows])
        return self._ask(request, known, unit, sheet, None)

    async def delete(self, request: Request, _: Secretary, form: SecretaryForm, contest: str, unit: str) -> Response:
        self._unit(request, contest, unit)
        campaigns = [each.id for each in await self._campaigns.of_contest(contest) if each.audience == "roster"]
        await self._outbox.forget_roster(campaigns, unit)
        await self._rosters.delete(contest, unit)
        await audited(request, "roster.deleted", unit, contest=contest)
        return RedirectResponse(f"/console/reminders/rosters?contest={contest}", 303)

    def _unit(self, request: Request, contest: str, unit: str) -> ContestPublished:
        known = contest_of(self._book, contest)
        if unit not in self._book.units(contest):
            raise Problem(404, "unit", "Không có đơn vị này trong cuộc thi.", field="unit")
        check_unit(request, unit)
        return known
