"""What participants, organisers and developers see of the quiz: pages made on the server.

A person's data stay with their phone and the public API, so that no page holds anything personal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from io import BytesIO
from typing import Annotated
from zoneinfo import ZoneInfo

import segno
from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from services.events import ContestBook, ContestPublished, RoundPlan, Unit, state_at
from services.events.contests import RoundState
from services.kit.clock import Clock
from services.kit.console.accounts import Account, within
from services.kit.problems import Problem
from services.kit.settings import Settings
from services.kit.web import render
from services.kit.web.console import Member, console_of
from services.kit.web.pages import origin
from services.quiz.authoring.live import Live
from services.quiz.authoring.store import Drafts
from services.quiz.authoring.words import explain
from services.quiz.posters import MOST_SHEETS, Paper, Posters, sheet
from services.quiz.receipts import BadReceipt, ReceiptReport
from services.quiz.units import Hit, UnitDays

UNIT_COOKIE = "hoithi_unit"
UNIT_SECONDS = 90 * 24 * 3600
RECEIPT_CHARACTERS = 8000
HITS = 6
"""Units that a search in the console shows."""

STATES: dict[RoundState, str] = {
    "upcoming": "Sắp mở",
    "open": "Đang mở",
    "paused": "Tạm dừng",
    "closed": "Đã kết thúc",
    "final": "Đã có kết quả",
}
"""The state of a round in words."""

RANKING = {
    "correct desc": "Trả lời đúng nhiều câu hơn",
    "prediction_gap asc": "Dự đoán gần với kết quả thật hơn",
    "elapsed asc": "Làm bài trong thời gian ngắn hơn",
    "received_at asc": "Nộp bài sớm hơn",
}
"""What each criterion of a ranking favours."""

COUNTING = {
    "best": "Trong một vòng, lượt tốt nhất của bạn được dùng để xếp hạng.",
    "first": "Trong một vòng, lượt đầu tiên của bạn được dùng để xếp hạng.",
    "last": "Trong một vòng, lượt cuối cùng của bạn được dùng để xếp hạng.",
}

CHANGES = {
    "pause": "Tạm dừng",
    "resume": "Tiếp tục",
    "extend": "Gia hạn",
    "close": "Đóng sớm",
}
"""What was done to a round, in words."""

Check = Callable[[str], ReceiptReport]


def router(
    book: ContestBook, units: UnitDays, clock: Clock, settings: Settings, check_receipt: Check, live: Live, drafts: Drafts
) -> APIRouter:
    """All pages of the quiz."""
    routes = APIRouter(include_in_schema=False)
    routes.include_router(ParticipantPages(book, units, clock, live, settings).router)
    routes.include_router(UnitPages(book, units, clock, settings).router)
    routes.include_router(ConsolePages(book, units, clock, drafts).router)
    routes.include_router(ReceiptPages(check_receipt).router)
    return routes


class ParticipantPages:
    """From the home of a contest to the result of an attempt."""

    def __init__(self, book: ContestBook, units: UnitDays, clock: Clock, live: Live, settings: Settings) -> None:
        self._book, self._units, self._clock, self._live, self._settings = book, units, clock, live, settings
        self.router = APIRouter()
        add = self.router.add_api_route
        add("/", self.start)
        add("/c/{contest}", self.home)
        add("/c/{contest}/dang-ky", self.registration)
        add("/c/{contest}/the-le", self.rules)
        add("/c/{contest}/thi", self.paper)
        add("/c/{contest}/ket-qua/{attempt}", self.result)

    async def start(self, request: Request) -> Response:
        """The home of the only contest, or the list of all."""
        contests = newest_first(self._book)
        if len(contests) == 1:
            return self._home(request, contests[0], "")
        now = self._clock.now()
        listed = [(c, current_round(self._book.rounds(c.contest), now)) for c in contests]
        return render(request, "contests.html", contests=[(c, r, state_at(r, now)) for c, r in listed if r], states=STATES)

    async def home(self, request: Request, contest: str, unit: Annotated[str, Query()] = "") -> Response:
        return self._home(request, find(self._book, contest), unit)

    def _home(self, request: Request, contest: ContestPublished, unit: str) -> Response:
        now = self._clock.now()
        rounds = self._book.rounds(contest.contest)
        current = current_round(rounds, now)
        if current is None:
            raise Problem(404, "round", "Cuộc thi này chưa có vòng thi nào.")
        return render(
            request,
            "contest.html",
            contest=contest,
            origin=origin(request, self._settings),
            times=times(contest, now, current),
            current=current,
            state=state_at(current, now),
            rounds=[(plan, state_at(plan, now)) for plan in rounds],
            states=STATES,
            unit=self._unit(request, contest, unit),
            banner=self._live.banner(contest.contest),
            announced=[(CHANGES[a.change], self._book.round(a.round), a) for a in self._live.announcements(contest.contest)],
        )

    async def registration(self, request: Request, contest: str, unit: Annotated[str, Query()] = "") -> Response:
        found = find(self._book, contest)
        shown = self._unit(request, found, unit)
        return render(request, "registration.html", contest=found, unit=shown, banner=self._live.banner(contest))

    async def rules(self, request: Request, contest: str) -> Response:
        found = find(self._book, contest)
        now = self._clock.now()
        rounds = self._book.rounds(contest)
        plan = current_round(rounds, now)
        if plan is None:
            raise Problem(404, "round", "Cuộc thi này chưa có vòng thi nào.")
        return render(
            request,
            "rules.html",
            contest=found,
            plan=plan,
            rounds=[(r, state_at(r, now)) for r in rounds],
            states=STATES,
            ranking=[RANKING[criterion] for criterion in plan.ranking if criterion in RANKING],
            counting=COUNTING[plan.counting],
            explained=explain(plan),
            banner=self._live.banner(contest),
        )

    async def paper(self, request: Request, contest: str, round: Annotated[str, Query()] = "") -> Response:
        found = find(self._book, contest)
        now = self._clock.now()
        plan = self._book.round(round) if round else current_round(self._book.rounds(contest), now)
        if plan is None or plan.contest != contest:
            raise Problem(404, "round", "Không có vòng thi này.", field="round")
        state, banner = state_at(plan, now), self._live.banner(contest)
        return render(request, "paper.html", contest=found, plan=plan, state=state, times=times(found, now), banner=banner)

    async def result(self, request: Request, contest: str, attempt: str) -> Response:
        found = find(self._book, contest)
        now, banner = self._clock.now(), self._live.banner(contest)
        plan = self._book.round(attempt.partition(":")[2].rpartition(":")[0])
        over = plan if plan and plan.contest == contest and now >= plan.closes else None
        return render(request, "result.html", contest=found, attempt=attempt, over=over, times=times(found, now), banner=banner)

    def _unit(self, request: Request, contest: ContestPublished, asked: str) -> Unit | None:
        """The unit that a QR code or the address brought along, if this contest has it."""
        today = self._units.of(contest.contest)
        return today.standing(asked) or today.standing(request.cookies.get(UNIT_COOKIE, ""))


class UnitPages:
    """What a unit hangs up on its wall: the short link, its QR code, the poster."""

    def __init__(self, book: ContestBook, units: UnitDays, clock: Clock, settings: Settings) -> None:
        self._book, self._units, self._clock, self._settings = book, units, clock, settings
        self._posters = Posters()
        self.router = APIRouter()
        # The more particular paths first: `{unit}` would take them too.
        self.router.add_api_route("/q/{unit}.svg", self.code)
        self.router.add_api_route("/q/{unit}/ap-phich", self.poster)
        self.router.add_api_route("/q/{unit}/ap-phich.pdf", self.poster_pdf)
        self.router.add_api_route("/console/contests/{contest}/ap-phich.pdf", self.posters)
        self.router.add_api_route("/q/{unit}", self.enter)

    async def enter(self, request: Request, unit: str) -> Response:
        """Leads to the contest, with the unit filled in."""
        found = self._find(unit)
        if found is None:
            return render(request, "unknown_unit.html", 404, unit=unit)
        contest, known = found
        response = RedirectResponse(f"/c/{contest.contest}?unit={known.code}", 303)
        response.set_cookie(UNIT_COOKIE, known.code, max_age=UNIT_SECONDS, samesite="lax", httponly=True)
        return response

    async def code(self, request: Request, unit: str) -> Response:
        """The QR code of a unit as SVG."""
        image = BytesIO()
        segno.make(self._link(request, self._known(unit)[1]), error="m", micro=False).save(
            image, kind="svg", scale=8, border=4, xmldecl=False
        )
        return Response(image.getvalue(), media_type="image/svg+xml", headers={"Cache-Control": "public, max-age=3600"})

    async def poster(self, request: Request, unit: str) -> Response:
        """The poster as a page, with the sheets to print."""
        contest, known = self._known(unit)
        rounds = self._book.rounds(contest.contest)
        link = self._link(request, known).partition("://")[2]
        return render(request, "poster.html", contest=contest, unit=known, rounds=rounds, link=link)

    async def poster_pdf(self, request: Request, unit: str, paper: Paper = "a4") -> Response:
        """The poster on a sheet."""
        contest, known = self._known(unit)
        return await self._sheets(request, contest, [known], paper)

    async def posters(
        self, request: Request, account: Member, contest: str, unit: Annotated[str, Query()] = "", paper: Paper = "a4"
    ) -> Response:
        """The posters of a unit and of all below it that the account is for, a sheet each."""
        found, today, parents = find(self._book, contest), self._units.of(contest), console_of(request).parents()
        if unit and unit not in today.units:
            raise Problem(404, "unit", "Không có đơn vị này trong cuộc thi.", field="unit")
        listed = [
            each
            for code, each in today.units.items()
            if today.standing(code) is each and within(code, account.subtree, parents) and within(code, unit or None, parents)
        ]
        if not listed:
            raise Problem(403, "unit", "Đơn vị này không thuộc phạm vi của bạn.")
        if len(listed) > MOST_SHEETS:
            raise Problem(
                422, "too-many", "Có {n} đơn vị, mỗi lần nhiều nhất {most} tờ. Hãy chọn một đơn vị cấp dưới.", field="unit",
                n=len(listed), most=MOST_SHEETS,
            )  # fmt: skip
        return await self._sheets(request, found, listed, paper)

    async def _sheets(self, request: Request, contest: ContestPublished, units: Sequence[Unit], paper: Paper) -> Response:
        above = self._units.of(contest.contest).paths
        sheets = [sheet(unit.name, above[unit.code].rpartition(" › ")[0], self._link(request, unit)) for unit in units]
        body = await self._posters.pdf(contest, self._book.rounds(contest.contest), sheets, paper)
        name = f"ap-phich-{units[0].code}-{paper}.pdf"
        headers = {"Content-Disposition": f'inline; filename="{name}"'}
        return Response(body, media_type="application/pdf", headers=headers)

    def _link(self, request: Request, unit: Unit) -> str:
        return f"{origin(request, self._settings)}/q/{unit.code}"

    def _known(self, unit: str) -> tuple[ContestPublished, Unit]:
        found = self._find(unit)
        if found is None:
            raise Problem(404, "unit", "Không có đơn vị này trong cuộc thi.", field="unit")
        return found

    def _find(self, code: str) -> tuple[ContestPublished, Unit] | None:
        """The unit, typed in any case, or what it has gone over into, and the contest it takes part in: one with an open round
        first, then the newest."""
        now = self._clock.now()
        found: list[tuple[ContestPublished, Unit]] = []
        for contest in newest_first(self._book):
            today = self._units.of(contest.contest)
            unit = today.standing(next((c for c in today.units if c.lower() == code.lower()), code))
            if unit is not None:
                found.append((contest, unit))
        opened = (f for f in found if any(state_at(r, now) == "open" for r in self._book.rounds(f[0].contest)))
        return next(opened, found[0] if found else None)


class ConsolePages:
    """The organisers' overview of contests, and the door for developers."""

    def __init__(self, book: ContestBook, units: UnitDays, clock: Clock, drafts: Drafts) -> None:
        self._book, self._units, self._clock, self._drafts = book, units, clock, drafts
        self.router = APIRouter()
        self.router.add_api_route("/console/contests", self.contests)
        self.router.add_api_route("/developers", self.developers)

    async def contests(
        self, request: Request, who: Member, contest: Annotated[str, Query()] = "", q: Annotated[str, Query(max_length=100)] = ""
    ) -> Response:
        """Contests, rounds, and the QR code of any unit that the account is for (`contest` and `q` are the search for it)."""
        now = self._clock.now()
        contests = newest_first(self._book)
        searched = contest or (contests[0].contest if contests else "")
        return render(
            request,
            "console_contests.html",
            drafts=[draft for draft in await self._drafts.all() if draft.id not in self._book.contests],
            contests=[(c, [(r, state_at(r, now)) for r in self._book.rounds(c.contest)]) for c in contests],
            states=STATES,
            searched=searched,
            q=q,
            hits=self._hits(request, who, searched, q.strip()) if searched in self._book.contests else [],
        )

    def _hits(self, request: Request, who: Account, contest: str, q: str) -> list[Hit]:
        """The units that a search means, of those that the account is for; before one searches, the account's own."""
        today, parents = self._units.of(contest), console_of(request).parents()
        if q:
            found = today.index.search(q, len(today.units))
            return [hit for hit in found if within(hit.code, who.subtree, parents)][:HITS]
        own = today.standing(who.subtree) if who.subtree else None
        return [Hit(own.code, own.name, today.paths[own.code])] if own else []

    async def developers(self, request: Request) -> Response:
        return render(request, "developers.html")


class ReceiptPages:
    """Anyone may check a receipt. It comes in a form, never in an address, which proxies would keep."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self.router = APIRouter()
        self.router.add_api_route("/bien-nhan", self.form)
        self.router.add_api_route("/bien-nhan", self.check, methods=["POST"])

    async def form(self, request: Request) -> Response:
        return render(request, "receipt.html", receipt="", report=None, fault="")

    async def check(self, request: Request, receipt: Annotated[str, Form(max_length=RECEIPT_CHARACTERS)] = "") -> Response:
        """Says what the receipt proves."""
        if not receipt.strip():
            return render(request, "receipt.html", 422, receipt="", report=None, fault="Hãy dán biên nhận vào ô dưới đây.")
        try:
            report = self._check(receipt)
        except BadReceipt:
            fault = "Không đọc được biên nhận này. Hãy dán đủ cả chuỗi ký tự, từ đầu đến cuối."
            return render(request, "receipt.html", 422, receipt=receipt, report=None, fault=fault)
        return render(request, "receipt.html", receipt=receipt, report=report, fault="")


def newest_first(book: ContestBook) -> list[ContestPublished]:
    """The published contests."""
    return sorted(book.contests.values(), key=lambda contest: contest.time, reverse=True)


def find(book: ContestBook, contest: str) -> ContestPublished:
    """A published contest. Raises Problem 404."""
    found = book.contests.get(contest)
    if found is None:
        raise Problem(404, "contest", "Không có cuộc thi này.", field="contest")
    return found


def current_round(rounds: Sequence[RoundPlan], now: datetime) -> RoundPlan | None:
    """The round that people come for: the one that runs, else the next, else the last; None where there is none."""
    running = [r for r in rounds if state_at(r, now) in ("open", "paused")]
    coming = [r for r in rounds if state_at(r, now) == "upcoming"]
    return next(iter(running or coming or rounds[-1:]), None)


def times(contest: ContestPublished, now: datetime, counted: RoundPlan | None = None) -> dict[str, int | None]:
    """What scripts count with: the server's clock and the moment `counted` turns, in ms since the epoch; the zone in minutes."""
    zone = now.astimezone(ZoneInfo(contest.timezone)).utcoffset()
    turns = {"upcoming": counted.opens, "open": counted.closes, "paused": counted.closes} if counted else {}
    until = turns.get(state_at(counted, now)) if counted else None
    return {
        "now": _milliseconds(now),
        "zone": int(zone.total_seconds()) // 60 if zone else 0,
        "until": _milliseconds(until) if until else None,
    }


def _milliseconds(time: datetime) -> int:
    return int(time.timestamp() * 1000)
