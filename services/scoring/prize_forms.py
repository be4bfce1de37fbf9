"""The prizes in the forms of the console: as they are proposed, written a line each, and read again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.datastructures import FormData

from services.events import ContestPublished
from services.events.contests import PrizePlan
from services.events.units import trees_of
from services.kit.problems import Problem
from services.scoring.prizes import By, Prize
from services.scoring.settlement import Settlement

SUGGESTED = (
    PrizePlan(name="Giải Nhất", count=1),
    PrizePlan(name="Giải Nhì", count=2),
    PrizePlan(name="Giải Ba", count=3),
    PrizePlan(name="Giải Khuyến khích", count=10),
)
"""What a form begins with where the contest names no prizes and none were set."""

_LINE = re.compile(r"(?P<name>.{1,80}?)\s*:\s*(?P<count>\d{1,4})")
_PLACED = re.compile(_LINE.pattern + r"(\s*\|\s*(?P<tree>[a-z0-9-]{0,60}))?(\s*\|\s*(?P<level>\d))?")


def fields(contest: ContestPublished, settlement: Settlement, *, overall: bool) -> dict[str, Any]:
    """What `prize_fields.html` shows: the prizes that were set, else those that the contest names. Units' prizes are proposed for
    the whole contest."""
    persons, units = settlement.prizes, settlement.unit_prizes
    if not persons and not units:
        named = contest.prizes
        planned = SUGGESTED if named is None else named.overall if overall else named.round
        persons, units = _prizes(planned), _prizes(named.unit) if named and overall else ()
    by_rate = [prize for prize in units if prize.by == "rate"]
    return {
        "persons": lines_of(persons),
        "rates": lines_of(by_rate),
        "least": by_rate[0].least if by_rate else 0,
        "units": lines_of([prize for prize in units if prize.by != "rate"]),
        "trees": trees_of(contest),
    }


def read(form: FormData) -> tuple[tuple[Prize, ...], tuple[Prize, ...]]:
    """The prizes of persons and those of units that a form names. Raises Problem 422."""
    least = _number(form, "least")
    return _read(form, "persons"), (*_read(form, "rates", "rate", least), *_read(form, "units", "people"))


def _read(form: FormData, field: str, by: By | None = None, least: int = 0) -> tuple[Prize, ...]:
    """A line each: "Giải Nhất: 1"; of units also the tree and the level: "Khối trường: 1 | education | 2"."""
    found = []
    for line in filter(None, map(str.strip, str(form.get(field, "")).splitlines())):
        match = (_PLACED if by else _LINE).fullmatch(line)
        if match is None or not int(match["count"]):
            raise Problem(422, "prize", "Mỗi dòng ghi tên giải, dấu hai chấm và số lượng, như “Giải Nhất: 1”.", field=field)
        place = {"tree": match["tree"] or "", "level": int(match["level"] or 0)} if by else {}
        found.append(
            msgspec.convert({"name": match["name"], "count": int(match["count"]), "by": by, "least": least, **place}, Prize)
        )
    return tuple(found)


def lines_of(prizes: Sequence[Prize]) -> str:
    """Prizes as the form has them."""
    return "\n".join(f"{prize.name}: {prize.count}{_place(prize)}" for prize in prizes)


def _place(prize: Prize) -> str:
    if not prize.level:
        return f" | {prize.tree}" if prize.tree else ""
    return f" | {prize.tree} | {prize.level}"


def _prizes(planned: Sequence[PrizePlan]) -> tuple[Prize, ...]:
    return tuple(msgspec.convert(plan, Prize, from_attributes=True) for plan in planned)


def _number(form: FormData, name: str) -> int:
    """A whole number of a form, 0 where it is empty. Raises Problem 422."""
    text = str(form.get(name, "")).strip()
    if text and not (text.isascii() and text.isdigit() and len(text) < 8):
        raise Problem(422, "number", "Cần một số nguyên.", field=name)
    return int(text or 0)
