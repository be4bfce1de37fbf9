"""The console's pages of a contest's units: files with a dry run, trees, single changes looked at before they are made."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple, cast, get_args

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import UploadFile

from services.events import ContestBook
from services.events.units import TERRITORY
from services.kit.i18n import translate
from services.kit.names import unit_of
from services.kit.problems import Problem
from services.kit.sheets import read_day
from services.kit.web import language, render
from services.kit.web.console import Organiser, OrganiserForm, audited
from services.quiz.authoring import forms
from services.quiz.authoring.commands import Authoring
from services.quiz.authoring.drafts import ContestDraft
from services.quiz.authoring.pages import read_at, said
from services.quiz.authoring.units import COLUMNS, Outlook, UnitSheet, outlook
from services.quiz.bank.template import SPREADSHEET, Column, to_fill_in
from services.quiz.unit_files import HEADINGS, tables
from services.quiz.unit_trees import Change, Kind, shown

SHOWN_ROWS = 300
"""Rows of a file that a dry run shows; all that have a fault come first."""
GOOD_ROWS = 10
"""Rows that it shows of a file without a fault."""
LISTED = 5_000
"""Units that a form proposes while one types."""

KINDS: dict[Kind, str] = {
    "merge": "Nhập vào đơn vị khác",
    "move": "Chuyển sang cấp trên khác",
    "close": "Kết thúc, không có đơn vị nhận",
    "reopen": "Bỏ việc kết thúc đã ghi",
}
"""What may become of a unit, in words."""

KIND_NAMES = {
    "city": "Thành phố", "district": "Quận, huyện", "ward": "Phường, xã", "school": "Trường học", "union": "Công đoàn",
    "agency": "Cơ quan", "organisation": "Tổ chức",
}  # fmt: skip
"""The kinds of units of our examples, in words; an organiser may write any other."""

SAID: dict[str, Mapping[Any, str]] = {"kind": KIND_NAMES, "change": KINDS}
"""The columns that a dry run shows in words."""

_TEMPLATE = (
    ("name", 40, ("Thành phố Hải Phòng", "Phường Kiến An", "Trường THPT Kiến An"), "Tên đầy đủ, như người dự thi đọc."),
    ("code", 16, ("HP", "HP-KA", "HP-KA-THPT"), "Mỗi đơn vị một mã, không đổi về sau. Mã đứng trong đường dẫn của mã QR."),
    ("parent", 16, ("", "HP", "HP-KA"), "Mã của đơn vị cấp trên; để trống ở cấp cao nhất."),
    ("kind", 20, ("Thành phố", "Phường, xã", "Trường học"), "Ví dụ: Phường, xã; Trường học; Cơ quan."),
)
"""The columns of the file to fill in: width, examples, hint."""


class Shown(NamedTuple):
    """What a page of units may be about besides the units: a file that was tried, a change that was tried, what was wrong."""

    sheet: UnitSheet | None = None
    outlook: Outlook | None = None
    problem: Problem | None = None
    values: forms.Form = MappingProxyType({})


class UnitTreePages:
    """`/console/contests/{contest}/don-vi` and what lies below it."""

    def __init__(self, authoring: Authoring, book: ContestBook) -> None:
        self._authoring, self._book = authoring, book
        self.router = APIRouter(include_in_schema=False, prefix="/console/contests/{contest}/don-vi")
        get, post = self.router.get, self.router.post
        get("")(self.units)
        post("")(self.import_units)
        post("/cay")(self.trees)
        post("/bien-dong")(self.change)
        get("/{file}.csv")(self.file)
        get("/mau.xlsx")(self.template)

    async def units(self, request: Request, _: Organiser, contest: str) -> Response:
        """The units as they are, and what may be done to them."""
        return await self._page(request, await self._authoring.get(contest), Shown())

    async def _page(self, request: Request, draft: ContestDraft, about: Shown) -> Response:
        sheet, problem, lang = about.sheet, about.problem, language(request)
        rows = sorted(sheet.rows, key=lambda row: not row.faults)[: GOOD_ROWS if sheet.good else SHOWN_ROWS] if sheet else []
        columns = COLUMNS[sheet.kind] if sheet else ()
        names = {unit.code: unit.name for unit in draft.units}
        return render(
            request,
            "authoring_units.html",
            problem.status if problem else 200 if sheet is None or sheet.good else 422,
            draft=draft,
            sheet=sheet,
            headings=[HEADINGS[column] for column in columns],
            verdicts=[
                (row, _said(columns, row.cells, lang), [fault.show(lang).partition(": ")[2] for fault in row.faults])
                for row in rows
            ],
            faults=[fault.show(lang) for fault in sheet.faults] if sheet else [],
            problem=said(request, problem),
            values=about.values,
            outlook=about.outlook,
            trees=_trees(draft),
            kinds=KINDS,
            listed=draft.units[:LISTED],
            ended=[unit for unit in draft.units if unit.ended],
            names=names,
            shown=shown,
            files=sorted(tables(draft.trees, draft.units)),
            unpublished=await self._authoring.unpublished(draft),
        )

    async def template(self, request: Request, _: Organiser) -> Response:
        """The Excel file to fill in with units."""
        vietnamese = language(request) == "vi"
        say = partial(translate, language=language(request))
        columns = [
            Column(HEADINGS[column] if vietnamese else column, width, list(map(say, examples)), say(hint))
            for column, width, examples, hint in _TEMPLATE
        ]
        headers = {"Content-Disposition": 'attachment; filename="mau-don-vi.xlsx"'}
        return Response(to_fill_in(say("Đơn vị"), columns), media_type=SPREADSHEET, headers=headers)

    async def import_units(self, request: Request, _: Organiser, form: OrganiserForm, contest: str) -> Response:
        """A file: its dry run. Its digest: the import of what was tried."""
        draft = await self._authoring.get(contest)
        file = form.get("file")
        try:
            if digest := forms.text(form, "digest"):
                sheet = await self._authoring.pending_units(draft, digest)
                await self._authoring.put_units(draft, sheet.units)
                await audited(request, "units.imported", contest, file=sheet.kind, units=len(sheet.units))
                return _back(contest)
            if not isinstance(file, UploadFile) or not file.filename:
                raise Problem(422, "file", "Hãy chọn tệp.", field="file")
            sheet = await asyncio.to_thread(self._authoring.sheet, draft, await file.read())
        except Problem as problem:
            return await self._page(request, draft, Shown(problem=problem))
        if sheet.good:
            await self._authoring.drafts.keep_pending(contest, sheet.text)
        return await self._page(request, draft, Shown(sheet))

    async def trees(self, request: Request, _: Organiser, form: OrganiserForm, contest: str) -> Response:
        """The names of the trees, a line each."""
        draft = read_at(await self._authoring.get(contest), form)
        names = [" ".join(line.split())[:100] for line in str(form.get("trees") or "").splitlines() if line.strip()]
        try:
            draft = await self._authoring.put_trees(draft, names)
        except Problem as problem:
            return await self._page(request, draft, Shown(problem=problem, values=form))
        await audited(request, "units.trees", contest, trees=[tree.id for tree in draft.trees])
        return _back(contest)

    async def change(self, request: Request, _: Organiser, form: OrganiserForm, contest: str) -> Response:
        """A change: what it would do. With `confirmed`: the change."""
        draft = read_at(await self._authoring.get(contest), form)
        try:
            tried = outlook(_change(form, draft), draft.trees, draft.units)
        except Problem as problem:
            return await self._page(request, draft, Shown(problem=problem, values=form))
        if not forms.text(form, "confirmed"):
            return await self._page(request, draft, Shown(outlook=tried, values=form))
        await self._authoring.put_units(draft, tried.units)
        change = tried.change
        await audited(request, f"unit.{change.kind}", f"{contest}/{change.unit}", day=change.day, to=change.to, tree=change.tree)
        return _back(contest)

    async def file(self, _: Organiser, contest: str, file: str) -> Response:
        """The units as one of the files that would bring them back."""
        draft = await self._authoring.get(contest)
        text = tables(draft.trees, draft.units).get(f"{file}.csv")
        if text is None:
            raise Problem(404, "file", "Không có tệp này.")
        headers = {"Content-Disposition": f'attachment; filename="{contest}-{file}.csv"'}
        return Response("\ufeff" + text, media_type="text/csv; charset=utf-8", headers=headers)


def _said(columns: Sequence[str], cells: Sequence[str], lang: str) -> list[str]:
    """The cells of a row as they are shown."""
    words = [SAID.get(column, {}).get(cell) for column, cell in zip(columns, cells, strict=True)]
    return [cell if word is None else translate(word, lang) for cell, word in zip(cells, words, strict=True)]


def _trees(draft: ContestDraft) -> list[tuple[str, str, int]]:
    """Each tree: id, name, how many units stand in it."""
    told = draft.trees or (TERRITORY,)
    counts = {tree.id: 0 for tree in told}
    for unit in draft.units:
        for id in {place.tree for place in unit.placements} if unit.placements else {TERRITORY.id}:
            counts[id] = counts.get(id, 0) + 1
    return [(tree.id, tree.name, counts[tree.id]) for tree in told]


def _change(form: forms.Form, draft: ContestDraft) -> Change:
    """The change that a form asks for. Raises Problem 422."""
    kind = forms.text(form, "change")
    if kind not in get_args(Kind):
        raise Problem(422, "change", "Hãy chọn loại biến động.", field="change")
    day = read_day(forms.text(form, "day"))
    if day is None:
        raise Problem(422, "day", "Hãy chọn ngày.", field="day")
    names = {unit.code: unit.name for unit in draft.units}
    unit = unit_of(forms.text(form, "unit"), names, "unit")
    to = forms.text(form, "to") if kind in ("merge", "move") else ""
    tree = forms.text(form, "tree") if kind == "move" else ""
    return Change(day, cast("Kind", kind), unit, unit_of(to, names, "to") if to else "", tree)


def _back(contest: str) -> Response:
    return RedirectResponse(f"/console/contests/{contest}/don-vi", 303)
