"""Where reports are asked for: what a request means, what it may ask for, and what a unit writes of itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, get_args
from zoneinfo import ZoneInfo

from services.events import ContestBook, ContestPublished, Unit
from services.events.units import trees_of
from services.kit.clock import Clock
from services.kit.console.accounts import Account, within
from services.kit.problems import Problem
from services.reporting.cuts import check_cut_off
from services.reporting.report.figures import Form
from services.reporting.report.jobs import Format, Forms, Job, Jobs, Kind, Request, floor_hour

KINDS: dict[Kind, str] = {
    "bao-cao": "Báo cáo",
    "bieu": "Biểu số liệu",
    "cong-van": "Công văn đôn đốc",
}
FORMATS: dict[Format, str] = {"docx": "Word", "pdf": "PDF", "xlsx": "Excel", "csv": "CSV"}
MEDIA: dict[Format, str] = {
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "pdf": "application/pdf",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "csv": "application/zip",
}

MOST_UNITS = 500
"""That one letter may name."""

_WEEK = timedelta(days=7)


class Desk:
    """Checks what is asked for and fills in what was left out."""

    def __init__(self, book: ContestBook, jobs: Jobs, forms: Forms, clock: Clock) -> None:
        self.book, self.jobs, self.forms, self._clock = book, jobs, forms, clock

    def contest(self, id: str) -> ContestPublished:
        """A published contest. Raises Problem 404."""
        found = self.book.contests.get(id)
        if found is None:
            raise Problem(404, "contest", "Không có cuộc thi này.", field="contest")
        return found

    def unit(self, account: Account, contest: str, unit: str) -> str:
        """Whose report the account may have: the unit, or without one its own subtree; "" is the whole contest. Raises Problem
        422 or 403."""
        units = self.book.units(contest)
        if unit and unit not in units:
            raise Problem(422, "unit", "Không có đơn vị này trong cuộc thi.", field="unit")
        if not unit and account.subtree in units:
            unit = account.subtree or ""
        self.check(account, contest, unit)
        return "" if [unit] == [code for code, each in units.items() if each.parent is None] else unit

    def check(self, account: Account, contest: str, unit: str) -> None:
        """Raises Problem 403 where a unit ("" the whole contest) is not within the account's subtree."""
        if not within(unit or None, account.subtree, self._parents(contest)):
            raise Problem(403, "subtree", "Tài khoản của bạn không xem được đơn vị này.", field="unit")

    def units(self, account: Account, contest: str) -> list[Unit]:
        """The units whose reports the account may have."""
        parents = self._parents(contest)
        return [unit for code, unit in self.book.units(contest).items() if within(code, account.subtree, parents)]

    def _parents(self, contest: str) -> dict[str, str | None]:
        return {code: each.parent for code, each in self.book.units(contest).items()}

    async def job(self, account: Account, id: str) -> Job:
        """A job that the account may see. Raises Problem 404 or 403."""
        job = await self.jobs.get(id)
        if job is None:
            raise Problem(404, "report", "Không có báo cáo này.")
        self.check(account, job.request.contest, job.request.unit)
        return job

    async def listed(self, account: Account, contest: str, most: int) -> list[Job]:
        """The newest jobs of a contest that the account may see, `most` of them."""
        if account.subtree is None:
            return await self.jobs.of(contest, most)
        return await self.jobs.of(contest, most, [unit.code for unit in self.units(account, contest)])

    async def form(self, contest: ContestPublished, unit: str) -> Form:
        """What a unit's papers say of it; where it has said nothing, the contest's owner stands for the whole contest."""
        name = self.book.units(contest.contest)[unit].name if unit else contest.owner
        return await self.forms.get(contest.contest, unit) or Form(issuer=name)

    async def request(self, account: Account, asked: Mapping[str, Any]) -> Request:
        """The request that these values make: contest, kind, format, and maybe unit, tree, from, to, as_of, units. Raises Problem
        403, 404 or 422 naming the field."""
        contest = self.contest(str(asked.get("contest") or ""))
        kind, format = _one_of(asked, "kind", get_args(Kind)), _one_of(asked, "format", get_args(Format))
        unit = self.unit(account, contest.contest, str(asked.get("unit") or ""))
        trees = [tree.id for tree in trees_of(contest)]
        zone, plans = ZoneInfo(contest.timezone), self.book.rounds(contest.contest)
        now = self._clock.now()
        until = _moment(asked, "to", zone)
        latest = floor_hour(now - timedelta(minutes=1))
        as_of = _moment(asked, "as_of", zone) or (latest if until is None else min(latest, until + timedelta(days=1)))
        check_cut_off(contest, plans, as_of, now)
        since = _moment(asked, "from", zone) or plans[0].opens
        until = as_of if until is None else until
        if not since <= until <= as_of:
            raise Problem(
                422, "period", "Kỳ báo cáo phải bắt đầu trước khi kết thúc, và kết thúc trước khi chốt số liệu.", field="to"
            )
        before = floor_hour(since) if since > plans[0].opens else as_of - _WEEK
        return Request(
            contest=contest.contest,
            kind=kind,
            format=format,
            unit=unit,
            tree=_one_of({"tree": asked.get("tree") or trees[0]}, "tree", trees),
            since=since.astimezone(UTC),
            until=until.astimezone(UTC),
            as_of=as_of.astimezone(UTC),
            before=before.astimezone(UTC) if plans[0].opens <= before < as_of else None,
            form=await self.form(contest, unit),
            units=self._units(account, contest, asked) if kind == "cong-van" else (),
        )

    def _units(self, account: Account, contest: ContestPublished, asked: Mapping[str, Any]) -> tuple[str, ...]:
        codes = dict.fromkeys(str(asked.get("units") or "").replace(",", " ").split())
        if len(codes) > MOST_UNITS:
            raise Problem(422, "units", "Một công văn gửi nhiều nhất {most} đơn vị.", field="units", most=MOST_UNITS)
        for code in codes:
            if code not in self.book.units(contest.contest):
                raise Problem(422, "unit", "Không có đơn vị này trong cuộc thi.", field="units")
            self.check(account, contest.contest, code)
        return tuple(codes)


def file_name(request: Request, extension: str = "") -> str:
    """E.g. "bao-cao-hai-phong-2023-HP-306-2023-06-16T01.docx"; the time is in UTC."""
    unit = f"-{request.unit}" if request.unit else ""
    return f"{request.kind}-{request.contest}{unit}-{request.as_of:%Y-%m-%dT%H}.{extension or request.format}"


def _one_of(asked: Mapping[str, Any], name: str, known: Any) -> Any:
    value = asked.get(name)
    if value not in known:
        raise Problem(422, name, "Giá trị này không dùng được.", field=name)
    return value


def _moment(asked: Mapping[str, Any], name: str, zone: ZoneInfo) -> datetime | None:
    """A time, or a day as its first hour, in the contest's timezone where it names none. Raises Problem 422."""
    text = str(asked.get(name) or "").strip()
    if not text:
        return None
    try:
        found = datetime.combine(date.fromisoformat(text), time()) if len(text) == 10 else datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Problem(422, name, "Thời gian không đúng, ví dụ 2023-06-16 hoặc 2023-06-16T08:00.", field=name) from None
