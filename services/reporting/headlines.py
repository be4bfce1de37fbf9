"""What a portal tells of a contest: a few figures, sentences ready to copy, and entries of a feed. Only what everyone may know:
people and attempts, never how many papers were perfect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from services.events import RoundPlan, state_at
from services.kit.i18n import show_number, show_rate, show_time, translate
from services.reporting.board import Hour
from services.reporting.chronicle import Happening
from services.reporting.glance import Glance

LEADERS = 3
DAYS = 14
"""Days whose figures a feed tells."""

_STATES = {
    "upcoming": "{round} mở lúc {opens}.",
    "open": "{round} đang diễn ra, đóng lúc {closes}.",
    "paused": "{round} đang tạm dừng.",
    "closed": "{round} đã kết thúc lúc {closes}.",
    "final": "{round} đã có kết quả.",
}

_HAPPENINGS = {
    "opened": ("{round} đã mở", "{round} mở lúc {at} và đóng lúc {closes}."),
    "extended": ("{round} đổi giờ đóng", "{round} nay đóng lúc {closes}."),
    "closed": ("{round} đã đóng", "{round} đã đóng lúc {at}. Kết quả được công bố sau khi Ban Tổ chức rà soát."),
    "published": ("{round} đã có kết quả", "Kết quả của {round} đã được công bố."),
}
"""Title and text of what is told; a pause is not news."""


class Leader(NamedTuple):
    """A unit among the first. `share` is its part of the first one's measure, in percent, at least 1."""

    name: str
    people: int
    rate: float | None
    share: int


class Day(NamedTuple):
    """What a day brought, and what it all came to by its end."""

    day: date
    people: int
    attempts: int
    all_people: int
    all_attempts: int


class Entry(NamedTuple):
    """One entry of a feed. `path` is where it leads."""

    id: str
    at: datetime
    title: str
    text: str
    path: str


def leaders(glance: Glance) -> list[Leader]:
    """The units below the top with the most people."""
    rows = [row for row in glance.table.rows(glance.root)[:LEADERS] if row.figure.people]
    return [
        Leader(r.unit.name, r.figure.people, r.figure.rate, max(1, 100 * r.figure.people // rows[0].figure.people)) for r in rows
    ]


def days(hours: Sequence[Hour]) -> list[Day]:
    """The days that had attempts, in order."""
    found: dict[date, Day] = {}
    people = attempts = 0
    for hour in hours:
        people, attempts = people + hour.newcomers, attempts + hour.attempts
        day = hour.begin.date()
        known = found.get(day, Day(day, 0, 0, 0, 0))
        found[day] = Day(day, known.people + hour.newcomers, known.attempts + hour.attempts, people, attempts)
    return list(found.values())


def sentences(glance: Glance, current: RoundPlan | None, days: Sequence[Day], link: str, lang: str) -> list[str]:
    """What a newsroom may print as it stands."""
    say, at = partial(_say, lang), partial(show_time, language=lang, timezone=glance.contest.timezone)
    number = partial(show_number, language=lang)
    total, contest = glance.total, glance.contest
    name = f"{contest.kind} “{contest.title}”".strip()
    told = [
        say("Tính đến {at}, {name} đã có {people} người dự thi với {attempts} lượt thi.", at=at(glance.as_of), name=name,
            people=number(total.people), attempts=number(total.attempts)),
    ]  # fmt: skip
    if total.rate is not None:
        told.append(say("Tỷ lệ tham gia chung đạt {rate}.", rate=show_rate(total.rate, lang)))
    if current is not None:
        state = _STATES[state_at(current, glance.as_of)]
        told.append(say(state, round=current.name, opens=at(current.opens), closes=at(current.closes)))
    first = leaders(glance)
    if first:
        units = ", ".join(say("{unit} ({people} người)", unit=each.name, people=number(each.people)) for each in first)
        told.append(say("Dẫn đầu về số người dự thi: {units}.", units=units))
    over = [day for day in days if day.day < glance.day]
    if over:
        last = over[-1]
        told.append(
            say("Ngày {day} có thêm {people} người dự thi và {attempts} lượt thi.", day=_show(last.day),
                people=number(last.people), attempts=number(last.attempts))
        )  # fmt: skip
    told.append(say("Dự thi tại {link}.", link=link))
    return told


def entries(
    glance: Glance, rounds: Mapping[str, RoundPlan], happenings: Sequence[Happening], days: Sequence[Day], lang: str
) -> list[Entry]:
    """What has happened and what each day brought, the latest first. The same facts give the same entries."""
    return sorted(
        [*_turns(glance, rounds, happenings, lang), *_daily(glance, days, lang)], key=lambda e: (e.at, e.id), reverse=True
    )


def _turns(glance: Glance, rounds: Mapping[str, RoundPlan], happenings: Sequence[Happening], lang: str) -> Iterator[Entry]:
    say, at = partial(_say, lang), partial(show_time, language=lang, timezone=glance.contest.timezone)
    begun: set[str] = set()
    for each in sorted(happenings, key=lambda each: (each.at, each.id)):
        plan = rounds.get(each.round)
        # A round that goes on after a pause is opened again: no news either.
        if plan is None or each.what not in _HAPPENINGS or (each.what == "opened" and plan.id in begun):
            continue
        if each.what == "opened":
            begun.add(plan.id)
        title, text = _HAPPENINGS[each.what]
        values = {"round": plan.name, "at": at(each.at), "closes": at(each.closes)}
        path = f"/ket-qua/{plan.id}" if each.what == "published" else f"/c/{plan.contest}"
        yield Entry(f"urn:hoithi:round:{each.id}", each.at, say(title, **values), say(text, **values), path)


def _daily(glance: Glance, days: Sequence[Day], lang: str) -> Iterator[Entry]:
    say, number, contest = partial(_say, lang), partial(show_number, language=lang), glance.contest
    for day in [day for day in days if day.day < glance.day][-DAYS:]:
        text = say(
            "Trong ngày có thêm {people} người dự thi và {attempts} lượt thi. Tổng cộng đã có {all_people} người, "
            "{all_attempts} lượt.",
            people=number(day.people), attempts=number(day.attempts), all_people=number(day.all_people),
            all_attempts=number(day.all_attempts),
        )  # fmt: skip
        at = datetime.combine(day.day + timedelta(days=1), time(), ZoneInfo(contest.timezone))
        title = say("Số liệu ngày {day}", day=_show(day.day))
        yield Entry(f"urn:hoithi:day:{contest.contest}/{day.day}", at, title, text, f"/board/{contest.contest}")


def _show(day: date) -> str:
    return f"{day.day}/{day.month}/{day.year}"


def _say(lang: str, sentence: str, **values: Any) -> str:
    return translate(sentence, lang).format(**values)
