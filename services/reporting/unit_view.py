"""What a page of the turnout console is about: a contest, a tree as it stands today, a unit in it, and who looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import Request
from starlette.datastructures import FormData

from services.events import ContestBook, ContestPublished, Unit
from services.events.contests import Tree
from services.events.units import folded, parents_at, trees_of
from services.kit.clock import Clock
from services.kit.console.accounts import Account, within
from services.kit.problems import Problem
from services.kit.web.console import console_of


@dataclass(frozen=True)
class View:
    """What a request is about: the contest, its units in a tree today, the unit that it looks at (None: all), who asks."""

    contest: ContestPublished
    units: Mapping[str, Unit]
    tree: str
    above: Mapping[str, str | None]
    unit: str | None
    account: Account
    today: str
    inside: Callable[[str], bool]

    @property
    def here(self) -> str:
        """What the address of a page about this ends with."""
        query = urlencode({"unit": self.unit or "", "tree": self.tree})
        return f"?{query}"

    def children(self) -> list[Unit]:
        """The units below the one looked at that stand today."""
        day = date.fromisoformat(self.today)
        return [self.units[code] for code, up in self.above.items() if up == self.unit and not folded(self.units[code], day)]

    def trees(self) -> list[Tree]:
        """The trees to choose from: for an account of a unit, those that the unit stands in."""
        own, day = self.account.subtree, date.fromisoformat(self.today)
        return [tree for tree in trees_of(self.contest) if own is None or own in parents_at(self.units, tree.id, day)]

    def path(self) -> list[Unit]:
        """The units above and the one looked at, as far as the account may see them."""
        path: list[Unit] = []
        at = self.unit
        while at is not None and self.inside(at):
            path.insert(0, self.units[at])
            at = self.above.get(at)
        return path


def view_of(request: Request, account: Account, book: ContestBook, clock: Clock, asked: tuple[str, str, str]) -> View:
    """What a request is about; `asked` is contest, unit and tree, empty where not said. Raises Problem 404, and 403 for a unit
    outside the account's own."""
    contest, unit, tree = asked
    published = book.contests.get(contest)
    if published is None:
        raise Problem(404, "contest", "Không có cuộc thi này.", field="contest")
    units, trees = book.units(contest), [each.id for each in trees_of(published)]
    today = clock.now().astimezone(ZoneInfo(published.timezone)).date()
    chosen = tree if tree in trees else trees[0]
    code = unit or account.subtree
    if code is not None and code not in units:
        raise Problem(404, "unit", "Không có đơn vị này trong cuộc thi.", field="unit")
    parents = console_of(request).parents()
    if code is not None and not within(code, account.subtree, parents):
        raise Problem(403, "unit", "Đơn vị này không thuộc phạm vi của bạn.")

    def inside(other: str) -> bool:
        return within(other, account.subtree, parents)

    return View(published, units, chosen, parents_at(units, chosen, today), code, account, today.isoformat(), inside)


def text_of(form: FormData, name: str) -> str:
    """A field of a form as one line."""
    return " ".join(str(form.get(name) or "").split())[:1000]
