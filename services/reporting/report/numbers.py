"""Figures as Vietnamese papers write them: dots between thousands, a comma before the decimal, rounded half up, once."""

from __future__ import annotations

from datetime import date, datetime

from services.reporting.report.document import Cell, Kind


def percent(part: int, whole: int) -> float:
    """`part` of `whole` in percent, to one decimal, half up, exactly. `whole` is not 0."""
    return ((2000 * part + whole) // (2 * whole)) / 10


def ratio(part: int, whole: int) -> float:
    """`part` per `whole` to one decimal, half up, exactly. `whole` is not 0."""
    return ((20 * part + whole) // (2 * whole)) / 10


def tenths(number: float) -> float:
    """A figure that comes with more decimals (0 or more), to one."""
    return int(number * 10 + 0.5 + 1e-9) / 10


def whole(number: int) -> str:
    """E.g. "48.210"."""
    return f"{number:,}".replace(",", ".")


def decimal(number: float) -> str:
    """E.g. "1.065,0"."""
    return f"{number:,.1f}".translate(str.maketrans(",.", ".,"))


def target(number: float) -> str:
    """A target in percent, without a decimal where it has none: "100", "87,5"."""
    return whole(int(number)) if number == int(number) else decimal(number)


def change(number: int) -> str:
    """With its sign: "+1.204", "-3", "0"."""
    return ("+" if number > 0 else "-" if number < 0 else "") + whole(abs(number))


def day(at: date) -> str:
    """E.g. "04/5/2023": days, and the first two months, with their nought."""
    return f"{at.day:02}/{_month(at)}/{at.year}"


def hour(at: datetime) -> str:
    """E.g. "08:00:00 04/5/2023"."""
    return f"{at:%H:%M:%S} {day(at)}"


def parts(at: date) -> dict[str, str]:
    """The parts of a date for a sentence, as `day` writes them."""
    return {"day": f"{at.day:02}", "month": _month(at), "year": str(at.year)}


def _month(at: date) -> str:
    return f"{at.month:02}" if at.month < 3 else str(at.month)


def show(cell: Cell, kind: Kind) -> str:
    """A cell as Word and PDF show it."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, datetime):
        return day(cell) if kind == "day" else hour(cell)
    if isinstance(cell, float):
        return decimal(cell)
    return change(cell) if kind == "change" else whole(cell)
