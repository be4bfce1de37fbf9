"""Two languages: Vietnamese sentences stand in the code and are their own keys; English is in each service's `locale/en.po`.
What is no sentence in the code, such as the audit log's actions, has its Vietnamese in `locale/vi.po` beside it."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from babel.dates import format_datetime, format_skeleton
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

LANGUAGES = ("vi", "en")
DEFAULT = "vi"
SERVICES = Path(__file__).parent.parent


@cache
def catalogue(language: str) -> dict[str, str]:
    """All translations into a language, by their Vietnamese sentence, or by their key."""
    messages: dict[str, str] = {}
    for path in sorted(SERVICES.glob(f"*/locale/{language}.po")):
        with path.open("rb") as file:
            messages |= {str(m.id): str(m.string) for m in read_po(file) if m.id and m.string}
    return messages


def translate(sentence: str, language: str) -> str:
    """The sentence in a language; the Vietnamese one where no translation stands (a test keeps that from happening)."""
    return catalogue(language).get(sentence, sentence)


def choose(cookie: str | None, accept: str | None) -> str:
    """The reader's language: their own choice, else what the browser asks for first, else Vietnamese."""
    if cookie in LANGUAGES:
        return cookie
    first = (accept or "").split(",")[0].split("-")[0].strip().lower()
    return first if first in LANGUAGES else DEFAULT


def show_time(at: datetime, language: str, timezone: str = "Asia/Ho_Chi_Minh") -> str:
    """A time of day and date as people write it, e.g. "20:05 19/5/2023"."""
    return format_datetime(at, "HH:mm d/M/y" if language == "vi" else "HH:mm d MMM y", tzinfo=ZoneInfo(timezone), locale=language)


def show_day(at: datetime, language: str, timezone: str = "Asia/Ho_Chi_Minh") -> str:
    """A date without its time, e.g. "19 thg 5"."""
    day: str = format_skeleton("MMMd", at, tzinfo=ZoneInfo(timezone), locale=language)
    return day


def show_rate(percent: float, language: str) -> str:
    """A percentage with one decimal, e.g. "65,0 %"."""
    number = format_decimal(percent, "#,##0.0", locale=language)
    return f"{number}\u00a0%" if language == "vi" else f"{number}%"


def show_number(number: float, language: str, decimals: int | None = None) -> str:
    """A number with the separators of the language, e.g. "48.210"; with so many decimals, where they are said, e.g. "245,120"."""
    if decimals is None:
        pattern = None
    else:
        pattern, number = f"#,##0.{'0' * decimals}", round(number, decimals) + 0.0  # no "-0"
    text: str = format_decimal(number, pattern, locale=language)
    return text
