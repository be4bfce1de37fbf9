"""The console's pages of lists: who looks after each unit (đầu mối), and who reads the digests (nơi nhận)."""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from services.events import ContestBook, ContestPublished
from services.kit.names import fold
from services.kit.problems import Problem
from services.kit.runtime import Runtime
from services.kit.web import language, render
from services.kit.web.console import Organiser, OrganiserForm, audited
from services.notify.access import Secretary, SecretaryForm, check_unit, contest_of, grouped, units_of
from services.notify.campaigns import Address
from services.notify.contacts import Contacts, Reader
from services.notify.roster import is_email, phone_of

MOST = 200
"""People of one list."""


class ListPages:
    """`/console/reminders/contacts` and `/console/reminders/readers`. A list is edited as lines of text: name; e-mail; phone."""

    def __init__(self, runtime: Runtime, book: ContestBook) -> None:
        self._book, self._contacts = book, Contacts(runtime.store)
        self.router = APIRouter(include_in_schema=False, prefix="/console/reminders")
        self.router.get("/contacts")(self.contacts)
        self.router.post("/contacts")(self.save_contacts)
        self.router.get("/readers")(self.readers)
        self.router.post("/readers")(self.save_readers)

    async def contacts(
        self, request: Request, account: Secretary, contest: str = "", unit: str = "", q: str = "", saved: str = ""
    ) -> Response:
        """The units that the account may see, or those of them whose name or code has `q` in it, each with its contacts; one of
        them with its form. `saved`: the unit whose contacts were kept just now."""
        return await self._contacts_page(request, contest_of(self._book, contest), unit, None, None, q, saved)

    async def _contacts_page(
        self, request: Request, contest: ContestPublished, unit: str, text: str | None, problem: Problem | None, q: str = "",
        saved: str = "",
    ) -> Response:  # fmt: skip
        units = units_of(request, self._book, contest.contest)
        if unit:
            self._check(request, contest, unit)
        known = await self._contacts.of_units(contest.contest, units)
        lines = "\n".join(f"{a.name}; {a.email}; {a.phone}" for a in known.get(unit, ()))
        wanted = fold(q)
        found = [code for code, name in units.items() if wanted in fold(name) or wanted == code.lower()]
        groups = grouped(self._book, contest.contest, found)
        return render(
            request, "unit_contacts.html", problem.status if problem else 200, contest=contest, units=units, unit=unit,
            known=known, text=lines if text is None else text, fault=_said(request, problem), q=q, saved=saved,
            groups=[(head, sorted(below, key=known.__contains__)) for head, below in groups.items()],
            names={code: each.name for code, each in self._book.units(contest.contest).items()},
        )  # fmt: skip

    async def save_contacts(self, request: Request, account: Secretary, form: SecretaryForm) -> Response:
        contest = contest_of(self._book, str(form.get("contest", "")))
        unit, text = str(form.get("unit", "")), str(form.get("text") or "")
        self._check(request, contest, unit)
        try:
            people = [_address(unit, line) for line in _lines(text)]
        except Problem as problem:
            return await self._contacts_page(request, contest, unit, text, problem)
        await self._contacts.put(contest.contest, unit, people)
        await audited(request, "contacts.changed", unit, contest=contest.contest, people=len(people))
        return RedirectResponse(f"/console/reminders/contacts?{urlencode({'contest': contest.contest, 'saved': unit})}", 303)

    def _check(self, request: Request, contest: ContestPublished, unit: str) -> None:
        if unit not in self._book.units(contest.contest):
            raise Problem(404, "unit", "Không có đơn vị này trong cuộc thi.", field="unit")
        check_unit(request, unit)

    async def readers(self, request: Request, _: Organiser, contest: str = "") -> Response:
        known = contest_of(self._book, contest)
        readers = await self._contacts.readers(known.contest)
        texts = {period: "\n".join(f"{r.name}; {r.email}" for r in readers if r.period == period) for period in ("day", "week")}
        return render(request, "readers.html", contest=known, texts=texts, fault=_said(request, None))

    async def save_readers(self, request: Request, _: Organiser, form: OrganiserForm) -> Response:
        known = contest_of(self._book, str(form.get("contest", "")))
        texts = {period: str(form.get(period) or "") for period in ("day", "week")}
        try:
            day = [_reader(line, "day") for line in _lines(texts["day"])]
            week = [_reader(line, "week") for line in _lines(texts["week"])]
        except Problem as problem:
            return render(request, "readers.html", problem.status, contest=known, texts=texts, fault=_said(request, problem))
        await self._contacts.put_readers(known.contest, [*day, *week])
        await audited(request, "readers.changed", known.contest, day=len(day), week=len(week))
        return RedirectResponse(f"/console/reminders/readers?contest={known.contest}", 303)


def _lines(text: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > MOST:
        raise Problem(422, "too-many", "Nhiều nhất {most} người.", field="text", most=MOST)
    return lines


def _address(unit: str, line: str) -> Address:
    """A contact from its line: a name, then an e-mail address, a phone number, or both. Raises Problem 422."""
    name, *rest = (part.strip() for part in line.split(";"))
    email = next((part.lower() for part in rest if is_email(part)), "")
    phone = next((found for part in rest if (found := phone_of(part))), "")
    if not name or not (email or phone) or len(name) > 100:
        raise Problem(422, "contact", "Dòng “{line}”: cần tên và địa chỉ thư hoặc số điện thoại.", field="text", line=line[:60])
    return Address(unit, name, email, phone)


def _reader(line: str, period: str) -> Reader:
    name, _, email = (part.strip() for part in line.rpartition(";"))
    if not is_email(email.lower()):
        raise Problem(422, "reader", "Dòng “{line}”: cần tên và địa chỉ thư.", field=period, line=line[:60])
    return Reader(email.lower(), name, "day" if period == "day" else "week")


def _said(request: Request, problem: Problem | None) -> dict[str, str]:
    if problem is None:
        return {"field": "", "detail": ""}
    return {"field": problem.field or "", "detail": problem.document(language(request))["detail"]}
