"""Posters (áp phích): one sheet a unit, A4 or A3, with the unit's QR code, its short link, the dates and the steps."""

from __future__ import annotations

import asyncio
import io
import unicodedata
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import segno
import typst

from services.events import ContestPublished, RoundPlan
from services.kit.i18n import DEFAULT, show_time

Paper = Literal["a4", "a3"]

MOST_SHEETS = 300
"""Of one document; a unit with more below it has them made level by level."""
KEPT = 64
"""Documents that a process keeps at hand."""

STEPS = (
    "Quét mã bằng Zalo hoặc máy ảnh của điện thoại",
    "Ghi họ tên, số điện thoại; đơn vị đã có sẵn",
    "Trả lời {questions} câu trong {minutes} phút, rồi nộp bài",
)
MANY = "{n} vòng: {first} – {last}"
"""A poster speaks Vietnamese, whoever has it made."""

_TEMPLATE = Path(__file__).parent / "templates" / "poster.typ"


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """What a sheet says of its unit: `path` names what is above it, `link` is without its scheme."""

    name: str
    path: str
    link: str
    qr: str


def sheet(name: str, path: str, url: str) -> Sheet:
    """The sheet of a unit whose short link is `url`."""
    code = io.BytesIO()
    segno.make(url, error="m", micro=False).save(code, kind="svg", border=0, dark="#1c1b1a", xmldecl=False)
    return Sheet(name=name, path=path, link=url.partition("://")[2], qr=code.getvalue().decode())


def dates(contest: ContestPublished, rounds: Sequence[RoundPlan]) -> list[str]:
    """When one can take part: each round, or from the first to the last where there are many."""
    if len(rounds) > 6:
        first, last = (show_time(at, DEFAULT, contest.timezone) for at in (rounds[0].opens, rounds[-1].closes))
        return [MANY.format(n=len(rounds), first=first, last=last)]
    return [
        f"{plan.name}: {show_time(plan.opens, DEFAULT, contest.timezone)} – {show_time(plan.closes, DEFAULT, contest.timezone)}"
        for plan in rounds
    ]


def render(contest: ContestPublished, rounds: Sequence[RoundPlan], sheets: Sequence[Sheet], paper: Paper = "a4") -> bytes:
    """The sheets as one PDF. The same contest and sheets give the same pages. No text is read as markup."""
    return _compiled(contest, rounds, sheets, paper, "pdf")


def picture(contest: ContestPublished, rounds: Sequence[RoundPlan], one: Sheet, ppi: float = 60) -> bytes:
    """One sheet as a PNG, for a look at it."""
    return _compiled(contest, rounds, [one], "a4", "png", ppi)


def _compiled(
    contest: ContestPublished,
    rounds: Sequence[RoundPlan],
    sheets: Sequence[Sheet],
    paper: Paper,
    format: Literal["pdf", "png"],
    ppi: float | None = None,
) -> bytes:
    plan = rounds[-1] if rounds else None
    steps = [step.format(questions=plan.questions, minutes=plan.minutes) if plan else step for step in STEPS]
    said = {
        "paper": paper, "title": contest.title, "kind": contest.kind, "owner": contest.owner, "steps": steps,
        "dates": dates(contest, rounds), "units": msgspec.to_builtins(list(sheets)),
    }  # fmt: skip
    # Composed letters: the fonts place accents that stand alone badly.
    text = unicodedata.normalize("NFC", msgspec.json.encode(said).decode())
    made = typst.compile(str(_TEMPLATE), format=format, ppi=ppi, sys_inputs={"data": text}, ignore_system_fonts=True)
    if not isinstance(made, bytes):
        raise TypeError("a poster is one document")
    return made


class Posters:
    """Makes posters one at a time, off the event loop, and keeps the last ones: anybody may ask for one."""

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[object, ...], bytes] = OrderedDict()
        self._one, self._many = asyncio.Lock(), asyncio.Lock()

    async def pdf(self, contest: ContestPublished, rounds: Sequence[RoundPlan], sheets: Sequence[Sheet], paper: Paper) -> bytes:
        """See `render`."""
        key = (contest.contest, contest.revision, tuple(rounds), tuple(sheets), paper)
        # A whole district's must keep nobody waiting who wants one.
        async with self._many if len(sheets) > 1 else self._one:
            made = self._made.get(key)
            if made is None:
                made = self._made[key] = await asyncio.to_thread(render, contest, rounds, sheets, paper)
                while len(self._made) > KEPT:
                    self._made.popitem(last=False)
            self._made.move_to_end(key)
            return made
