"""The console's pages of headcounts: per unit and category entered, proposed by the unit, approved, refused, imported."""

from __future__ import annotations

import asyncio
import csv
import io
import uuid
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, NamedTuple

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData, UploadFile

from services.events import ContestBook, Unit
from services.kit.console.audit_log import sealed
from services.kit.problems import Problem
from services.kit.runtime import Runtime
from services.kit.sheets import as_csv, harmless, read_day
from services.kit.web import language, render
from services.kit.web.console import Member, account_in, audited, console_of, needs_form
from services.reporting.headcount_book import Book, Decide, Enter, Entry
from services.reporting.headcount_file import COLUMNS, MOST_PEOPLE, Sheet, held, number_of, read
from services.reporting.headcount_store import HeadcountStore
from services.reporting.unit_view import View, text_of, view_of

APPROVERS = ("city", "district")
"""Roles whose figures need nobody's approval, and who approve those of others."""

SHOWN_ROWS, SHOWN_UNITS, SHOWN_WAITING = 300, 500, 100

STATES = {"proposed": "Chờ duyệt", "approved": "Đã duyệt", "refused": "Không duyệt", "withdrawn": "Đã rút"}

WriterForm = Annotated[FormData, Depends(needs_form("city", "district", "unit"))]
ApproverForm = Annotated[FormData, Depends(needs_form(*APPROVERS))]


class Waiting(NamedTuple):
    """A proposal that waits, with what holds now."""

    unit: Unit
    entry: Entry
    now: Entry | None


class Said(NamedTuple):
    """What a page tells besides: a file that was tried, what was wrong with a form."""

    sheet: Sheet | None = None
    problem: Problem | None = None


class HeadcountPages:
    """`/console/turnout/{contest}/headcounts` and what lies below it."""

    def __init__(self, runtime: Runtime, book: ContestBook) -> None:
        self._store, self._book, self._clock = HeadcountStore(runtime), book, runtime.clock
        self.router = APIRouter(include_in_schema=False, prefix="/console/turnout/{contest}/headcounts")
        self.router.add_api_route("", self.look)
        self.router.add_api_route("", self.enter, methods=["POST"])
        self.router.add_api_route("/decide", self.decide, methods=["POST"])
        self.router.add_api_route("/import", self.take_file, methods=["POST"])
        self.router.add_api_route("/file.csv", self.file)

    async def look(
        self,
        request: Request,
        account: Member,
        contest: str,
        unit: Annotated[str, Query()] = "",
        tree: Annotated[str, Query()] = "",
    ) -> Response:
        """A unit's headcounts, those below it, what waits, and the forms."""
        return await self._page(request, view_of(request, account, self._book, self._clock, (contest, unit, tree)), Said())

    async def enter(self, request: Request, form: WriterForm, contest: str) -> Response:
        """A figure of one unit: entered, proposed, or taken back."""
        view = self._asked(request, form, contest)
        try:
            if view.unit is None:
                raise Problem(422, "unit", "Hãy chọn đơn vị.", field="unit")
            order = self._order(view, form)
            await self._store.submit(contest, [(view.unit, order)])
        except Problem as problem:
            return await self._page(request, view, Said(problem=problem))
        action = "withdrawn" if order.people is None else "entered" if order.approved else "proposed"
        subject = f"{contest}/{view.unit}/{order.category}/{order.as_of}"
        await audited(request, f"headcount.{action}", subject, people=order.people, source=order.source)
        return RedirectResponse(_page_of(view), 303)

    def _order(self, view: View, form: FormData) -> Enter:
        category, withdrawn = text_of(form, "category"), bool(text_of(form, "withdraw"))
        if category and category not in {each.id for each in view.contest.categories}:
            raise Problem(422, "category", "Không có đối tượng này trong cuộc thi.", field="category")
        people = None if withdrawn else number_of(text_of(form, "people"))
        if people is None and not withdrawn:
            raise Problem(422, "number", "Phải là số nguyên từ {least} đến {most}.", field="people", least=0, most=MOST_PEOPLE)
        day = read_day(text_of(form, "as_of"))
        if day is None:
            raise Problem(422, "day", "Hãy chọn ngày.", field="as_of")
        source, approved = text_of(form, "source")[:200], view.account.role in APPROVERS
        if not source:
            raise Problem(422, "source", "Hãy ghi nguồn số liệu.", field="source")
        if withdrawn and not approved:
            raise Problem(403, "role", "Tài khoản của bạn không có quyền làm việc này.")
        return Enter(
            id=uuid.uuid4().hex, category=category, as_of=day, people=people, source=source, by=view.account.id,
            at=self._clock.now(), approved=approved,
        )  # fmt: skip

    async def decide(self, request: Request, form: WriterForm, contest: str) -> Response:
        """Approves or refuses a proposal; or its unit takes it back."""
        view = self._asked(request, form, contest)
        states: dict[str, Literal["approved", "refused", "withdrawn"]] = {
            "approve": "approved", "refuse": "refused", "withdraw": "withdrawn",
        }  # fmt: skip
        state, reason = states.get(text_of(form, "decision")), text_of(form, "reason")[:500]
        if (state == "withdrawn") == (view.account.role in APPROVERS):
            raise Problem(403, "role", "Tài khoản của bạn không có quyền làm việc này.")
        try:
            if state is None or view.unit is None:
                raise Problem(422, "decision", "Hãy chọn duyệt hoặc không duyệt.", field="decision")
            if state == "refused" and not reason:
                raise Problem(422, "reason", "Hãy ghi lý do.", field="reason")
            order = Decide(
                id=uuid.uuid4().hex, entry=text_of(form, "entry"), state=state, reason=reason, by=view.account.id,
                at=self._clock.now(),
            )  # fmt: skip
            await self._store.submit(contest, [(view.unit, order)])
        except Problem as problem:
            return await self._page(request, view, Said(problem=problem))
        why = sealed(reason) if reason else ""
        await audited(request, f"headcount.{state}", f"{contest}/{view.unit}", entry=order.entry, reason=why)
        back = text_of(form, "back")
        return RedirectResponse(back if back.startswith("/console/turnout/") else _page_of(view), 303)

    async def take_file(self, request: Request, form: WriterForm, contest: str) -> Response:
        """A file: its dry run. Its digest: the import of what was tried."""
        view = self._asked(request, form, contest)
        by, file = view.account.id, form.get("file")
        try:
            if digest := text_of(form, "digest"):
                sheet = self._read(view, await self._store.file(by, contest))
                if sheet.digest != digest or not sheet.good:
                    raise Problem(409, "file-changed", "Tệp đã đổi sau khi kiểm tra. Hãy kiểm tra lại.", field="file")
                orders = sheet.orders(by, self._clock.now(), approved=view.account.role in APPROVERS)
                await self._store.submit(contest, orders)
                await audited(request, "headcounts.imported", contest, figures=len(orders), digest=digest)
                return RedirectResponse(_page_of(view), 303)
            if not isinstance(file, UploadFile) or not file.filename:
                raise Problem(422, "file", "Hãy chọn tệp.", field="file")
            text = await asyncio.to_thread(as_csv, await file.read())
            sheet = await asyncio.to_thread(self._read, view, text)
        except Problem as problem:
            return await self._page(request, view, Said(problem=problem))
        if sheet.good:
            await self._store.keep_file(by, contest, sheet.text)
        return await self._page(request, view, Said(sheet))

    def _read(self, view: View, text: str) -> Sheet:
        own = {code for code in view.units if view.inside(code)}
        return read(text, view.units, view.contest.categories, own)

    async def file(
        self,
        request: Request,
        account: Member,
        contest: str,
        unit: Annotated[str, Query()] = "",
        tree: Annotated[str, Query()] = "",
    ) -> Response:
        """What holds today in the unit and those below it, and an empty row for what is not known: a file to fill in."""
        view = view_of(request, account, self._book, self._clock, (contest, unit, tree))
        listed = [*([view.units[view.unit]] if view.unit else []), *view.children()]
        books = await self._store.books(contest, [each.code for each in listed])
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for each in listed:
            latest = books[each.code].latest(view.today)
            for category in ["", *(c.id for c in view.contest.categories)]:
                entry = latest.get(category)
                known = (entry.people, entry.as_of, harmless(entry.source)) if entry else ("", view.today, "")
                writer.writerow([each.code, category, *known])
        name = f"headcounts-{contest}{'-' + view.unit if view.unit else ''}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response("\ufeff" + text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)

    # -- what a page needs

    def _asked(self, request: Request, form: FormData, contest: str) -> View:
        asked = (contest, text_of(form, "unit"), text_of(form, "tree"))
        return view_of(request, account_in(request), self._book, self._clock, asked)

    async def _page(self, request: Request, view: View, said: Said) -> Response:
        contest, children = view.contest.contest, view.children()[:SHOWN_UNITS]
        waiting = [code for code in await self._store.waiting(contest) if code in view.units and view.inside(code)][
            :SHOWN_WAITING
        ]
        sheet, problem = said.sheet, said.problem
        shown = sorted(sheet.rows, key=lambda row: not row.faults)[:SHOWN_ROWS] if sheet else []
        wanted = {view.unit, *(each.code for each in children), *waiting, *(row.unit for row in shown if row.unit in view.units)}
        books = await self._store.books(contest, [code for code in wanted if code is not None])
        own = books.get(view.unit or "", Book())
        lang = language(request)
        names = {"": "Tất cả"} | {each.id: each.name for each in view.contest.categories}
        return render(
            request, "headcounts.html", problem.status if problem else 422 if sheet and not sheet.good else 200,
            view=view,
            trees=view.trees(),
            names=names,
            latest=own.latest(view.today),
            proposed={entry.category: entry for entry in own.proposals()},
            history=[(entry, await _who(request, entry)) for entry in reversed(own.entries[-30:])],
            children=[
                (unit, of.latest(view.today).get(""), any(of.proposals())) for unit in children for of in (books[unit.code],)
            ],
            waiting=list(_waiting(view, books, waiting)),
            states=STATES,
            writes=view.account.role in (*APPROVERS, "unit"),
            approves=view.account.role in APPROVERS,
            sheet=sheet,
            verdicts=[(row, held(row, books), [fault.show(lang).partition(": ")[2] for fault in row.faults]) for row in shown],
            faults=[fault.show(lang) for fault in sheet.faults] if sheet else [],
            problem={"field": problem.field or "", "detail": problem.document(lang)["detail"]} if problem else None,
            day=_day,
        )  # fmt: skip


def _page_of(view: View) -> str:
    return f"/console/turnout/{view.contest.contest}/headcounts{view.here}"


def _waiting(view: View, books: Mapping[str, Book], units: Iterable[str]) -> Iterable[Waiting]:
    for code in units:
        latest = books[code].latest(view.today)
        yield from (Waiting(view.units[code], entry, latest.get(entry.category)) for entry in books[code].proposals())


async def _who(request: Request, entry: Entry) -> str:
    """The name of who entered a figure, "" where no account did."""
    account = await console_of(request).directory.find(entry.by)
    return account.name if account else ""


def _day(iso: str) -> str:
    """A day as people write it."""
    return "/".join(reversed(iso.split("-")))
