"""Where reports are asked for: what a request means, what it may ask for, and what a unit writes of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple, get_args
from zoneinfo import ZoneInfo

from services.events import ContestBook, ContestPublished, Unit
from services.events.units import trees_of
from services.kit.clock import Clock
from services.kit.console.accounts import Account, within
from services.kit.problems import Problem
from services.reporting.cuts import check_cut_off, on_the_hour
from services.reporting.report.figures import Form
from services.reporting.report.jobs import Format, Forms, Job, Jobs, Kind, Request, floor_hour
from services.reporting.turnout import Shape, day_of, shape
from services.reporting.watch import is_within

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
        return "" if unit == self._top(contest) else unit

    def check(self, account: Account, contest: str, unit: str) -> None:
        """Raises Problem 403 where a unit ("" the whole contest) is not within the account's subtree."""
        if not self._within(account, contest)(unit):
            raise Problem(403, "subtree", "Tài khoản của bạn không xem được đơn vị này.", field="unit")

    def units(self, account: Account, contest: str) -> list[Unit]:
        """The units whose reports the account may have."""
        inside = self._within(account, contest)
        return [unit for code, unit in self.book.units(contest).items() if inside(code)]

    def _within(self, account: Account, contest: str) -> Callable[[str], bool]:
        parents = {code: each.parent for code, each in self.book.units(contest).items()}
        top = self._top(contest)
        return lambda unit: within(unit or top, account.subtree, parents)

    def _top(self, contest: str) -> str | None:
        """The unit above all others, which is the whole contest; None where there is none."""
        tops = [code for code, each in self.book.units(contest).items() if each.parent is None]
        return tops[0] if len(tops) == 1 else None

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
        return await self.jobs.of(contest, most, list(filter(self._within(account, contest), ("", *self.book.units(contest)))))

    async def form(self, contest: ContestPublished, unit: str) -> Form:
        """What a unit's papers say of it; where it has said nothing, the contest's owner stands for the whole contest."""
        name = self.book.units(contest.contest)[unit].name if unit else contest.owner
        return await self.forms.get(contest.contest, unit) or Form(issuer=name)

    async def request(self, account: Account, asked: Mapping[str, Any]) -> Request:
        """The request that these values make: contest, kind, format, and maybe unit, tree, from, to, as_of, units. Raises Problem
        403, 404 or 422 naming the field."""
        contest = self.contest(str(asked.get("contest") or ""))
        kind, format = _one_of(asked, "kind", get_args(Kind)), _one_of(asked, "format", get_args(Format))
        as_of, since = self._period(contest, asked)
        tree, unit = self._place(account, contest, asked, day_of(as_of, contest.timezone))
        opens = self.book.rounds(contest.contest)[0].opens
        # A letter says how things stand; of its units, what they did since the contest began.
        since = None if kind == "cong-van" or since is None or since <= opens else since
        before = since or as_of - _WEEK
        return Request(
            contest=contest.contest,
            kind=kind,
            format=format,
            unit=unit,
            tree=tree.id,
            as_of=as_of,
            since=since,
            before=before if opens <= before else None,
            form=await self.form(contest, unit),
            units=tree.letter(unit, asked) if kind == "cong-van" else (),
        )

    def _period(self, contest: ContestPublished, asked: Mapping[str, Any]) -> tuple[datetime, datetime | None]:
        """The cut-off, which ends the period, and where that begins. Raises Problem 422."""
        zone, now = ZoneInfo(contest.timezone), self._clock.now()
        latest = floor_hour(now - timedelta(minutes=1))
        since, until = _moment(asked, "from", zone), _moment(asked, "to", zone, end=True)
        as_of = _moment(asked, "as_of", zone) or min(latest, until or latest)
        check_cut_off(contest, self.book.rounds(contest.contest), as_of, now)
        if until is not None and until > now + timedelta(days=1):
            raise Problem(422, "period", "Kỳ báo cáo chưa kết thúc.", field="to")
        if until is not None and day_of(until, contest.timezone) != day_of(as_of, contest.timezone):
            raise Problem(422, "period", "Kỳ báo cáo kết thúc khi chốt số liệu: hai ngày phải là một.", field="to")
        if since is not None and since >= as_of:
            raise Problem(422, "period", "Kỳ báo cáo phải bắt đầu trước khi chốt số liệu.", field="from")
        if since is not None and not on_the_hour(since, zone):
            raise Problem(422, "cut-off", "Số liệu được chốt vào các giờ tròn, ví dụ 17:00.", field="from")
        return as_of, since

    def _place(self, account: Account, contest: ContestPublished, asked: Mapping[str, Any], day: date) -> tuple[_Tree, str]:
        """The tree as it stands on that day, and whose report it is there. Raises Problem 403 or 422."""
        named = str(asked.get("unit") or "")
        unit = self.unit(account, contest.contest, named)
        ids = [tree.id for tree in trees_of(contest)]
        wanted = [_one_of(asked, "tree", ids)] if asked.get("tree") else ids
        trees = (_Tree(id, shape(self.book.units(contest.contest), id, day)) for id in wanted)
        tree = next(trees)
        if unit and unit not in tree.shape.parents:
            tree = next((other for other in trees if unit in other.shape.parents), tree)
        if not named and unit not in tree.shape.parents:
            # Of an account's subtree, the one unit that stands at the top of another tree.
            mine = list(filter(self._within(account, contest.contest), tree.shape.children.get(None, [])))
            unit = mine[0] if unit and len(mine) == 1 else unit
        if named or unit:
            tree.check(named or unit, "unit")
        return tree, unit


class _Tree(NamedTuple):
    """A tree of units on the day of a report."""

    id: str
    shape: Shape

    def check(self, unit: str, field: str) -> None:
        """Raises Problem 422 where the unit does not stand in the tree, naming the one that it went over into."""
        units, into = self.shape.units, self.shape.stands.get(unit)
        if unit not in units:
            raise Problem(422, "unit", "Không có đơn vị này trong cuộc thi.", field=field)
        if unit in self.shape.parents:
            return
        name = units[unit].name
        if into is not None:
            merged = "{unit} đã sáp nhập vào {into} ({successor}); hãy chọn đơn vị đó."
            raise Problem(422, "unit", merged, field=field, unit=name, into=units[into].name, successor=into)
        raise Problem(422, "unit", "{unit} không có trong hệ thống đơn vị đã chọn vào ngày chốt số liệu.", field=field, unit=name)

    def letter(self, root: str, asked: Mapping[str, Any]) -> tuple[str, ...]:
        """Whom a letter is for, all of them within `root` ("" all). Raises Problem 422."""
        codes = dict.fromkeys(str(asked.get("units") or "").replace(",", " ").split())
        if len(codes) > MOST_UNITS:
            raise Problem(422, "units", "Một công văn gửi nhiều nhất {most} đơn vị.", field="units", most=MOST_UNITS)
        for code in codes:
            self.check(code, "units")
            if root and not is_within(self.shape, code, root):
                outside = "{unit} nằm ngoài đơn vị của công văn."
                raise Problem(422, "unit", outside, field="units", unit=self.shape.units[code].name)
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


def _moment(asked: Mapping[str, Any], name: str, zone: ZoneInfo, end: bool = False) -> datetime | None:
    """A time, or a day as its first hour (or its end), in the contest's timezone where it names none. Raises Problem 422."""
    text = str(asked.get(name) or "").strip()
    if not text:
        return None
    try:
        if len(text) == 10:
            found = datetime.combine(date.fromisoformat(text) + timedelta(days=end), time())
        else:
            found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Problem(422, name, "Thời gian không đúng, ví dụ 2023-06-16 hoặc 2023-06-16T08:00.", field=name) from None
