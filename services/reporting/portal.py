"""What other sites show of a contest: a news block, a widget for a frame, an Atom feed, a picture for links.

All of it is the same for everybody, holds no session, and is made at most once a minute in a process, however many ask.
"""

from __future__ import annotations

import asyncio
import unicodedata
from html import escape
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typst
from fastapi import APIRouter, Query, Request, Response
from feedgen.feed import FeedGenerator

from services.events import ContestBook, RoundPlan, state_at
from services.kit.clock import Clock
from services.kit.i18n import show_number, show_rate, show_time, translate
from services.kit.settings import Settings
from services.kit.version import VERSION
from services.kit.web import Member, render
from services.kit.web.headers import framed_by
from services.kit.web.pages import cached, origin
from services.reporting.board import Board
from services.reporting.chronicle import Chronicle
from services.reporting.glance import Glance, Glances
from services.reporting.headlines import Day, days, entries, leaders, sentences
from services.reporting.kept import Kept
from services.reporting.pages import STATES
from services.reporting.selection import select

PAGE_S, PICTURE_S = 60, 300
"""Seconds that a page, or a picture, is kept before it is made anew."""

_PICTURE = Path(__file__).parent / "templates" / "og.typ"

Lang = Annotated[Literal["vi", "en"], Query(description="The language: no cookie decides what caches keep")]


class Portal:
    """`/portal/{contest}/…`, and the page that tells organisers what to paste where."""

    def __init__(
        self, book: ContestBook, board: Board, glances: Glances, chronicle: Chronicle, clock: Clock, settings: Settings
    ) -> None:
        self._book, self._board, self._glances, self._chronicle = book, board, glances, chronicle
        self._clock, self._settings, self._kept = clock, settings, Kept(clock)
        self.router = APIRouter(include_in_schema=False)
        add = self.router.add_api_route
        for path, call in (
            ("tin", self.news),
            ("tin.html", self.block),
            ("widget", self.widget),
            ("atom.xml", self.feed),
            ("og.png", self.picture),
        ):
            add(f"/portal/{{contest}}/{path}", call, methods=["GET", "HEAD"])
        add("/console/turnout/{contest}/portal", self.console)

    async def news(self, request: Request, contest: str, lang: Lang = "vi") -> Response:
        """The news block as a page."""
        return await self._page(request, "portal_news.html", contest, lang)

    async def block(self, request: Request, contest: str, lang: Lang = "vi") -> Response:
        """The news block alone, for a site that puts it into a page of its own."""
        return await self._page(request, "portal_block.html", contest, lang)

    async def widget(self, request: Request, contest: str, lang: Lang = "vi") -> Response:
        """A small page for a frame."""
        response = await self._page(request, "portal_widget.html", contest, lang)
        response.headers["Content-Security-Policy"] = framed_by(self._settings.frame_ancestors)
        return response

    async def feed(self, request: Request, contest: str, lang: Lang = "vi") -> Response:
        """Rounds that opened, moved, closed, were published, and the figures of each day, as Atom (RFC 4287)."""
        select(self._book, contest)
        base = origin(request, self._settings)

        async def make() -> bytes:
            glance = await self._glances.of(contest)
            rounds = {plan.id: plan for plan in self._book.rounds(contest)}
            happenings = await self._chronicle.of(contest)
            found = entries(glance, rounds, happenings, days(self._board.hours(contest)), lang)
            address = f"{base}/portal/{contest}/atom.xml"
            feed = FeedGenerator()
            feed.id(f"urn:hoithi:contest:{contest}")
            feed.title(glance.contest.title)
            feed.subtitle(glance.contest.kind or None)
            feed.author({"name": glance.contest.owner or "Hội Thi"})
            feed.generator("Hội Thi", version=VERSION)
            feed.link([{"href": address, "rel": "self"}, {"href": f"{base}/c/{contest}", "rel": "alternate"}])
            feed.updated(max((entry.at for entry in found), default=glance.contest.time))
            for each in found:
                entry = feed.add_entry(order="append")
                entry.id(each.id)
                entry.title(each.title)
                entry.updated(each.at)
                entry.published(each.at)
                entry.link(href=base + each.path)
                entry.content(each.text, type="text")
            text: bytes = feed.atom_str(pretty=True)
            return text

        body = await self._kept.get(("feed", contest, lang, base), PAGE_S, make)
        return cached(request, body, "application/atom+xml; charset=utf-8", PAGE_S)

    async def picture(self, request: Request, contest: str, lang: Lang = "vi") -> Response:
        """What chats and social networks show beside a link: 1200 × 630."""
        select(self._book, contest)

        async def make() -> bytes:
            glance = await self._glances.of(contest)
            data = self._painted(glance, self._current(contest), lang)
            return await asyncio.to_thread(painted, data)

        body = await self._kept.get(("picture", contest, lang), PICTURE_S, make)
        return cached(request, body, "image/png", PICTURE_S)

    async def console(self, request: Request, _: Member, contest: str) -> Response:
        """What to paste where."""
        asked = select(self._book, contest)
        glance, base = await self._glances.of(contest), origin(request, self._settings)
        told = sentences(glance, self._current(contest), self._days(contest), f"{base}/c/{contest}", "vi")
        snippet = (
            f'<iframe src="{base}/portal/{contest}/widget" title="{escape(asked.contest.title)}" width="100%" height="430" '
            'loading="lazy" referrerpolicy="no-referrer"></iframe>'
        )
        return render(request, "portal_console.html", contest=asked.contest, base=base, sentences=told, snippet=snippet)

    async def _page(self, request: Request, template: str, contest: str, lang: str) -> Response:
        select(self._book, contest)
        base = origin(request, self._settings)

        async def make() -> bytes:
            glance, current = await self._glances.of(contest), self._current(contest)
            request.state.language = lang
            told = self._days(contest)
            return bytes(
                render(
                    request,
                    template,
                    glance=glance,
                    contest=glance.contest,
                    current=current,
                    state=state_at(current, glance.as_of) if current else "",
                    states=STATES,
                    leaders=leaders(glance),
                    today=next((day for day in told if day.day == glance.day), None),
                    sentences=sentences(glance, current, told, f"{base}/c/{contest}", lang),
                    base=base,
                ).body
            )

        body = await self._kept.get((template, contest, lang, base), PAGE_S, make)
        return cached(request, body, "text/html; charset=utf-8", PAGE_S)

    def _days(self, contest: str) -> list[Day]:
        return days(self._board.hours(contest))

    def _current(self, contest: str) -> RoundPlan | None:
        """The round that is on, else the next one, else the last."""
        now, plans = self._clock.now(), self._book.rounds(contest)
        for wanted in (("open", "paused"), ("upcoming",)):
            for plan in plans:
                if state_at(plan, now) in wanted:
                    return plan
        return plans[-1] if plans else None

    def _painted(self, glance: Glance, current: RoundPlan | None, lang: str) -> dict[str, str]:
        contest, total = glance.contest, glance.total
        round = ""
        if current is not None:
            round = f"{current.name} · {translate(STATES[state_at(current, glance.as_of)], lang)}"
        return {
            "kind": contest.kind,
            "title": contest.title,
            "owner": contest.owner,
            "round": round,
            "people": show_number(total.people, lang),
            "people_word": translate("người dự thi", lang),
            "attempts": show_number(total.attempts, lang),
            "attempts_word": translate("lượt thi", lang),
            "rate": "" if total.rate is None else show_rate(total.rate, lang),
            "rate_word": translate("tỷ lệ tham gia", lang),
            "as_of": translate("Số liệu lúc {at}", lang).format(at=show_time(glance.as_of, lang, contest.timezone)),
            "link": origin_text(self._settings),
        }


def painted(data: dict[str, str]) -> bytes:
    """The picture as PNG, in about a tenth of a second. No text is read as markup."""
    # Composed letters: the fonts place accents that stand alone badly.
    text = unicodedata.normalize("NFC", msgspec.json.encode(data).decode())
    picture = typst.compile(str(_PICTURE), format="png", ppi=144, sys_inputs={"data": text}, ignore_system_fonts=True)
    if not isinstance(picture, bytes):
        raise TypeError("a picture is one page")
    return picture


def origin_text(settings: Settings) -> str:
    """The address that a picture may show: only one that was set, for a picture is the same for everybody."""
    return (settings.public_url or "").partition("://")[2].rstrip("/")
