"""The city at a glance: for everyone beside the board, for organisers in the console."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse

from services.events.units import trees_of
from services.kit.clock import Clock
from services.kit.console import Account
from services.kit.console.accounts import within
from services.kit.problems import Problem
from services.kit.web import language, render
from services.kit.web.console import needs
from services.reporting.glance import Glance, Glances
from services.reporting.kept import Kept
from services.reporting.overview import overview
from services.reporting.turnout import By

PAGE_S = 10
"""Seconds that the public page is kept."""

Viewer = Annotated[Account, Depends(needs("city", "district", "unit", "reader"))]
Code = Annotated[str, Query(max_length=64)]


class OverviewPages:
    """The same tiles, with links that stay on the side where the reader is."""

    def __init__(self, glances: Glances, clock: Clock) -> None:
        self._glances, self._kept = glances, Kept(clock)
        self.router = APIRouter(include_in_schema=False)
        self.router.add_api_route("/board/{contest}/toan-canh", self.public)
        self.router.add_api_route("/console/turnout/{contest}/toan-canh", self.console)

    async def public(
        self,
        request: Request,
        contest: str,
        parent: Code = "",
        tree: Code = "",
        category: Code = "",
        round: Code = "",
        by: Literal["", "rate", "people"] = "",
    ) -> Response:
        """Everyone's, made anew every few seconds however many look."""
        asked = {"parent": parent, "tree": tree, "category": category, "round": round, "by": by}

        async def make() -> bytes:
            glance = await self._glances.of(contest, tree, category, round)
            shown = _shown(glance, f"/board/{contest}", "parent", parent or glance.root, asked)
            return bytes(render(request, "overview.html", **shown).body)

        # What there is not is refused before it takes the place of what is kept.
        self._glances.asked(contest, parent, category, round, tree)
        key = (contest, language(request), *asked.values())
        return HTMLResponse(await self._kept.get(key, PAGE_S, make))

    async def console(
        self,
        request: Request,
        account: Viewer,
        contest: str,
        parent: Code = "",
        tree: Code = "",
        category: Code = "",
        round: Code = "",
        by: Literal["", "rate", "people"] = "",
    ) -> Response:
        """The organisers', each within their own subtree."""
        asked = {"parent": parent, "tree": tree, "category": category, "round": round, "by": by}
        glance = await self._glances.of(contest, tree, category, round)
        root = parent or account.subtree or glance.root
        if not within(root, account.subtree, glance.table.shape.parents):
            raise Problem(403, "subtree", "Đơn vị này nằm ngoài phạm vi của bạn.", field="parent")
        return render(request, "overview_console.html", **_shown(glance, f"/console/turnout/{contest}", "unit", root, asked))


def _shown(glance: Glance, base: str, name: str, root: str | None, asked: dict[str, str]) -> dict[str, Any]:
    """What the templates see; `name` is what the tables' page at `base` calls the unit. Raises Problem 422 for a unit that is not
    in the tree."""
    shape = glance.table.shape
    if root is not None and root not in shape.parents:
        raise Problem(422, "unit", "Không có đơn vị này trong cuộc thi.", field="parent")
    wanted: By | None = "rate" if asked["by"] == "rate" else "people" if asked["by"] == "people" else None
    kept = {key: value for key, value in asked.items() if value and key not in ("parent", "by")}

    def link(page: str, **changed: str) -> str:
        renamed = {name if key == "parent" and not page else key: value for key, value in (kept | changed).items()}
        query = urlencode({key: value for key, value in renamed.items() if value})
        return f"{base}{page}" + (f"?{query}" if query else "")

    return {
        "contest": glance.contest,
        "as_of": glance.as_of,
        "overview": overview(glance.table, root, wanted),
        "total": glance.table.figure(root),
        "path": shape.path(root),
        "asked": asked,
        "trees": trees_of(glance.contest),
        "rounds": glance.rounds,
        "base": base,
        "link": link,
    }
