"""The words of official papers, read once from wording.toml. They are Vietnamese whatever language their reader's pages have."""

from __future__ import annotations

import tomllib
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from services.reporting.report import numbers
from services.reporting.report.document import Cell, Column, Foot, Head, Kind, Table
from services.reporting.report.figures import Count, Figures, Form

Kinds = tuple[tuple[Kind, float], ...]
"""Kind and width (mm) of each column."""


@cache
def _words() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "wording.toml").read_text())


def say(path: str, **values: object) -> str:
    """The words of a path, e.g. "report.period", with its braces filled in."""
    found: Any = _words()
    for step in path.split("."):
        found = found[step]
    return str(found).format(**values)


def titles(table: str) -> tuple[str, ...]:
    """The heads of a table's columns."""
    return tuple(_words()["tables"][table]["columns"])


def counted(count: Count) -> Cell:
    """A count as a cell: what is not known or not shown is said so."""
    return say("unknown") if count is None else say("withheld") if count == "withheld" else count


def table(
    key: str,
    kinds: Kinds,
    rows: list[tuple[Cell, ...]],
    notes: tuple[str, ...],
    strong: frozenset[int] = frozenset(),
) -> Table:
    """A table under its own words."""
    columns = tuple(Column(title, kind, width) for title, (kind, width) in zip(titles(key), kinds, strict=True))
    return Table(
        key=key,
        number=say(f"tables.{key}.number"),
        title=say(f"tables.{key}.title"),
        columns=columns,
        rows=tuple(rows),
        strong=strong,
        notes=notes,
        notes_title=say("notes.title") if notes else "",
    )


def local(at: datetime, figures: Figures) -> datetime:
    """A time in the timezone of the contest."""
    return at.astimezone(ZoneInfo(figures.timezone))


def day(at: datetime, figures: Figures) -> str:
    """Its day, as sentences write it."""
    return numbers.day(local(at, figures))


def moment(at: datetime, figures: Figures) -> str:
    """Its hour and day, as sentences write them."""
    at = local(at, figures)
    return say("date.hour", hour=f"{at:%H}", minute=f"{at:%M}", **numbers.parts(at))


def contest(figures: Figures) -> str:
    """The contest as sentences name it."""
    return say("contest.name", kind=figures.kind or say("contest.kind"), title=figures.title)


def documents(figures: Figures) -> list[str]:
    """The documents that the contest rests on."""
    return [
        say(
            "contest.document",
            title=each.title,
            number=each.number,
            issuer=each.issuer,
            date=numbers.day(datetime.fromisoformat(each.date)),
        )
        for each in figures.documents
    ]


def number(form: Form, symbol: str) -> str:
    """A paper's number, which is a person's to write, and its symbol."""
    return say(f"heads.{form.style}.no_number") + (("-" if form.style == "party" else "/") + symbol if symbol else "")


def head(figures: Figures, form: Form, symbol: str, subject: str = "") -> Head:
    """The top of a paper. Its day is a person's to write."""
    words = f"heads.{form.style}"
    return Head(
        style=form.style,
        superior=form.superior,
        issuer=form.issuer,
        number=say(f"{words}.number", number=number(form, symbol)),
        nation=say(f"{words}.nation"),
        motto=say(f"{words}.motto"),
        place_date=say("date.gap_place", place=form.place or say("date.no_place"), year=local(figures.as_of, figures).year),
        subject=subject,
    )


def attached(figures: Figures, form: Form) -> str:
    """Which paper an appendix belongs to."""
    year = local(figures.as_of, figures).year
    return say(f"heads.{form.style}.attached", number=number(form, form.symbol), year=year, issuer=form.issuer)


def foot(form: Form, recipients: tuple[str, ...], addressed: bool) -> Foot:
    """The end of a paper. Where nobody has said who gets it: those whom it is addressed to, and the files."""
    if not recipients:
        above = (say("recipients.above"),) if addressed else ()
        recipients = (*above, say(f"recipients.kept_{form.style}"))
    return Foot(
        recipients_title=say(f"heads.{form.style}.recipients"),
        recipients=recipients,
        behalf=form.behalf.upper(),
        signer_title=form.signer_title.upper(),
        signer=form.signer,
    )


def date_of(day: str) -> datetime:
    """A day (ISO 8601) as a time, for cells."""
    return datetime.fromisoformat(day)
