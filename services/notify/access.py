"""What the pages of reminders ask first: which contest, and whether a unit is the account's to look after."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import FormData

from services.events import ContestBook, ContestPublished
from services.kit.console import Account
from services.kit.console.accounts import within
from services.kit.problems import Problem
from services.kit.web.console import account_in, console_of, needs, needs_form

Secretary = Annotated[Account, Depends(needs("city", "district", "unit"))]
SecretaryForm = Annotated[FormData, Depends(needs_form("city", "district", "unit"))]

PAID = frozenset({"sms", "zalo"})
"""Channels that cost money: a unit may write such a campaign, somebody of the city or district confirms it."""


def contest_of(book: ContestBook, contest: str) -> ContestPublished:
    """A published contest; the newest where none is named. Raises Problem 404."""
    known = book.contests.get(contest) if contest else max(book.contests.values(), key=lambda c: c.time, default=None)
    if known is None:
        raise Problem(404, "contest", "Không có cuộc thi này.", field="contest")
    return known


def check_unit(request: Request, unit: str | None) -> None:
    """Raises Problem 403 where a unit (None: all of them) is not within the account's subtree."""
    if not seen(request)(unit):
        raise Problem(403, "subtree", "Đơn vị này không thuộc phạm vi của bạn.", field="unit")


def seen(request: Request) -> Callable[[str | None], bool]:
    """Whether a unit (None: all of them) is within the account's subtree."""
    return partial(within, subtree=account_in(request).subtree, units=console_of(request).parents())


def units_of(request: Request, book: ContestBook, contest: str) -> dict[str, str]:
    """The units of a contest that the account may see: names by code, parents first."""
    may_see = seen(request)
    return {code: unit.name for code, unit in book.units(contest).items() if may_see(code)}


def grouped(book: ContestBook, contest: str, units: Collection[str]) -> dict[str, list[str]]:
    """These units of a contest by the unit above them; one that stands above others begins their group."""
    known, groups = book.units(contest), dict[str, list[str]]()
    heads = {known[unit].parent for unit in units}
    for unit in units:
        above = known[unit].parent
        groups.setdefault(unit if above is None or unit in heads else above, []).append(unit)
    return groups
