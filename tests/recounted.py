"""Biểu 1–6 counted a second time, by DuckDB from the raw records of the topics: nothing of the services' own counting is used."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from services.events import ContestPublished
from services.kit.bus import Bus

UNKNOWN, WITHHELD, NOTHING = "chưa có số liệu", "chưa công bố", "–"
Tables = dict[str, list[list[Any]]]
ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
_SCORES = {
    "attempt": "VARCHAR", "participant": "VARCHAR", "round": "VARCHAR", "n": "INT", "unit": "VARCHAR", "categories": "VARCHAR[]",
    "time": "TIMESTAMPTZ", "verdict": "VARCHAR", "correct": "INT", "total": "INT", "revision": "INT",
}  # fmt: skip


@dataclass
class Raw:
    """A database with a table a topic, of the records as they are; and what units said that they did, by unit."""

    db: duckdb.DuckDBPyConnection
    measures: dict[str, str]

    @classmethod
    async def read(cls, bus: Bus, folder: Path) -> Raw:
        db = duckdb.connect()
        db.execute("SET TimeZone='UTC'")
        for topic in ("contests", "scores", "headcounts", "results", "deliveries"):
            path = folder / f"{topic}.ndjson"
            with path.open("wb") as out:
                for record in await bus.read(topic):
                    out.write(record.value + b"\n")
            columns = f", columns={_SCORES}" if topic == "scores" else ""
            db.execute(f"CREATE TABLE {topic} AS SELECT * FROM read_json('{path}', format='newline_delimited'{columns})")
        return cls(db, {})


def half_up(part: int, whole: int, scale: int) -> float:
    return float((Decimal(scale) * part / whole).quantize(Decimal("0.1"), ROUND_HALF_UP))


def rate(people: int, headcount: int | None) -> float | str:
    return half_up(people, headcount, 100) if headcount else UNKNOWN


class _Count:
    """The figures of a contest in a period, rolled up one of its trees."""

    def __init__(self, raw: Raw, contest: ContestPublished, at: datetime, since: datetime | None, tree: str) -> None:
        self.db, self.contest, self.at, self.since, self.measures = raw.db, contest, at, since, raw.measures
        day = (at - timedelta(microseconds=1)).astimezone(ZONE).date().isoformat()
        self.day = day
        self.units: dict[str, Any] = {}
        ((text,),) = self.db.execute("SELECT to_json(units) FROM contests WHERE contest = ?", [contest.contest]).fetchall()
        for unit in json.loads(text):
            self.units[unit["code"]] = unit
        self.gone = {c for c, u in self.units.items() if u["ended"] and u["ended"] <= day}
        placed = {c: self._placed(u, tree) for c, u in self.units.items()}
        self.parents: dict[str, str | None] = {c: above[0] for c, above in placed.items() if above}
        # Every unit with itself and all above it; a merged one with the one that it went into.
        rows = []
        for code in self.units:
            up: str | None = self.units[code]["merged_into"] if code in self.gone else code
            while up in self.parents:
                rows.append((code, up))
                up = self.parents[up]
        self.db.execute("CREATE OR REPLACE TABLE above (unit VARCHAR, up VARCHAR)")
        self.db.executemany("INSERT INTO above VALUES (?, ?)", rows)
        self.choose(at, since)

    def choose(self, at: datetime, since: datetime | None) -> None:
        """Goes on with the attempts of this period."""
        self.db.execute(
            """CREATE OR REPLACE TABLE valid AS
            SELECT * FROM (SELECT * FROM scores QUALIFY row_number() OVER (PARTITION BY attempt ORDER BY revision DESC) = 1)
            WHERE verdict = 'valid' AND time <= $at AND ($since IS NULL OR time > $since)""",
            {"at": at, "since": since},
        )

    def _placed(self, unit: Any, tree: str) -> list[str | None]:
        """The unit above in a tree, None at its top; an empty list where the unit is not in it."""
        if not unit["placements"]:
            return [unit["parent"]] if tree == "territory" else []
        return [place["parent"] for place in unit["placements"] if place["tree"] == tree]

    def people(self, round: str = "", category: str = "") -> dict[str, tuple[int, int]]:
        """Unit → people once each in the unit of their latest attempt, and how many of them have a perfect one."""
        found = self.db.execute(
            """WITH mine AS (SELECT * FROM valid WHERE $round IN ('', round)),
            latest AS (SELECT * FROM mine
                QUALIFY row_number() OVER (PARTITION BY participant ORDER BY time DESC, round DESC, n DESC) = 1),
            perfect AS (SELECT participant, bool_or(correct = total) AS perfect FROM mine GROUP BY participant)
            SELECT up, count(*), count(*) FILTER (perfect) FROM latest JOIN perfect USING (participant) JOIN above USING (unit)
            WHERE $category = '' OR list_contains(categories, $category) GROUP BY up""",
            {"round": round, "category": category},
        ).fetchall()
        return {unit: (people, perfect) for unit, people, perfect in found}

    def attempts(self, round: str = "") -> dict[str, tuple[int, int, int]]:
        """Unit → valid attempts, right answers, all answers."""
        found = self.db.execute(
            """SELECT up, count(*), sum(correct), sum(total) FROM valid JOIN above USING (unit)
            WHERE $round IN ('', round) GROUP BY up""",
            {"round": round},
        ).fetchall()
        return {unit: (n, int(correct), int(total)) for unit, n, correct, total in found}

    def headcounts(self, category: str = "") -> dict[str, int]:
        """Unit → headcount: its own of the latest day, else that of all below it where every one is known."""
        found = self.db.execute(
            """WITH standing AS (SELECT * FROM headcounts WHERE category = ? AND as_of <= ?
            QUALIFY row_number() OVER (PARTITION BY unit, as_of ORDER BY revision DESC) = 1)
            SELECT unit, people FROM standing WHERE people IS NOT NULL
            QUALIFY row_number() OVER (PARTITION BY unit ORDER BY as_of DESC) = 1""",
            [category, self.day],
        ).fetchall()
        own = {str(unit): int(people) for unit, people in found}
        merged = {c: self.units[c]["merged_into"] for c in self.gone}
        total: dict[str, int] = {}

        def of(code: str) -> int | None:
            children = [c for c, above in self.parents.items() if above == code and c not in self.gone]
            joined = [c for c, into in merged.items() if into == code]
            if code in own:
                parts: list[int | None] = [own[code], *(own.get(c) for c in joined)]
            else:
                parts = [of(c) for c in children]
            return sum(p for p in parts if p is not None) if parts and None not in parts else None

        for code in self.parents:
            if code not in self.gone and (people := of(code)) is not None:
                total[code] = people
        return total

    def listed(self, parent: str, place: str = "") -> list[tuple[str, str]]:
        rows: list[tuple[str, str]] = []
        children = [c for c, above in self.parents.items() if above == parent and c not in self.gone]
        for n, code in enumerate(children, 1):
            mine = f"{place}.{n}" if place else str(n)
            rows += [(code, mine), *self.listed(code, mine)]
        return rows


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a report was asked for: `since` is where its period begins, `before` of what it is compared with (end and begin)."""

    at: datetime
    before: datetime
    since: datetime | None = None
    before_since: datetime | None = None
    root: str = "HP"
    tree: str = "territory"
    deadline: date | None = None


def recount(raw: Raw, contest: ContestPublished, asked: Asked) -> Tables:
    """All tables as they have to be."""
    # The tree is that of the report's own day.
    now, root = _Count(raw, contest, asked.at, asked.since, asked.tree), asked.root
    now.choose(asked.before, asked.before_since)
    old = now.people()
    now.choose(asked.at, asked.since)
    return {
        "bieu-1": _by_unit(now, old, root),
        "bieu-2": _by_category(now, root),
        "bieu-3": _by_round(now, root),
        "bieu-4": _by_person(now, root),
        "bieu-5": _by_prize(now, root),
        "bieu-6": _to_urge(now, root, asked.deadline),
    }


def recount_letter(raw: Raw, contest: ContestPublished, asked: Asked) -> tuple[list[list[Any]], tuple[int, int]]:
    """The table of the letter to those who lag; and people and attempts of the unit that it is about."""
    now = _Count(raw, contest, asked.at, None, asked.tree)
    low, average = _lagging(now, asked.root)
    people, attempts, headcounts = now.people(), now.attempts(), now.headcounts()
    rows: list[list[Any]] = []
    for n, code in enumerate(low, 1):
        there, known = people.get(code, (0, 0))[0], headcounts.get(code)
        made, missing = attempts.get(code, (0, 0, 0))[0], UNKNOWN if known is None else max(0, known - there)
        counted = UNKNOWN if known is None else known
        rows.append([str(n), now.units[code]["name"], counted, there, rate(there, known), made, average, missing])
    return rows, (people[asked.root][0], attempts[asked.root][0])


def _running(now: _Count, round: str = "") -> bool:
    return any(p.opens <= now.at < p.closes for p in now.contest.rounds if round in ("", p.id))


def _by_unit(now: _Count, old: dict[str, tuple[int, int]], root: str) -> list[list[Any]]:
    people, attempts, headcounts = now.people(), now.attempts(), now.headcounts()
    rows: list[list[Any]] = []
    for code, place in [(root, ""), *now.listed(root)]:
        unit, (there, perfect), made = now.units[code], people.get(code, (0, 0)), attempts.get(code, (0, 0, 0))[0]
        above = now.parents[code]
        siblings = [c for c, other in now.parents.items() if other == above and c not in now.gone]
        mine = (there, made)
        ahead = [s for s in siblings if (people.get(s, (0, 0))[0], attempts.get(s, (0, 0, 0))[0]) > mine]
        merged = [u["name"] for c, u in now.units.items() if c in now.gone and u["merged_into"] == code]
        rows.append(
            [
                place,
                unit["name"] if place else "Tổng cộng",
                now.units[above]["name"] if place and above else "",
                headcounts.get(code, UNKNOWN),
                there,
                rate(there, headcounts.get(code)),
                made,
                half_up(made, there, 1) if there else NOTHING,
                WITHHELD if _running(now) else perfect,
                there - old.get(code, (0, 0))[0],
                1 + len(ahead) if place else NOTHING,
                f"Gồm {', '.join(merged)}" if merged else "",
            ]
        )
    return rows


def _by_category(now: _Count, root: str) -> list[list[Any]]:
    rows: list[list[Any]] = []
    for n, category in enumerate(now.contest.categories, 1):
        people, headcount = now.people(category=category.id).get(root, (0, 0))[0], now.headcounts(category.id).get(root)
        target = NOTHING if category.target is None else float(category.target)
        missing: Any = NOTHING
        if category.target is not None:
            missing = UNKNOWN if headcount is None else max(0, headcount - people)
            assert category.target == 100
        rows.append(
            [str(n), category.name, UNKNOWN if headcount is None else headcount, people, rate(people, headcount), target, missing]
        )
    return rows


def _by_round(now: _Count, root: str) -> list[list[Any]]:
    rows: list[list[Any]] = []
    last: int | None = None
    for plan in now.contest.rounds:
        if plan.opens > now.at:
            continue
        people, perfect = now.people(plan.id).get(root, (0, 0))
        made, correct, total = now.attempts(plan.id).get(root, (0, 0, 0))
        if now.since and plan.closes <= now.since and not made:
            continue
        hidden = _running(now, plan.id)
        opens, closes = plan.opens.astimezone(ZONE), plan.closes.astimezone(ZONE)
        rows.append(
            [
                plan.name,
                f"{opens.day:02}/{opens.month}/{opens.year}–{closes.day:02}/{closes.month}/{closes.year}",
                people,
                made,
                WITHHELD if hidden else perfect,
                WITHHELD if hidden else half_up(correct, total, 100) if total else NOTHING,
                NOTHING if last is None else people - last,
            ]
        )
        last = people
    return rows


def _awards(now: _Count) -> Sequence[tuple[Any, str]]:
    names = {plan.id: plan.name for plan in now.contest.rounds}
    found = now.db.execute("SELECT to_json(r) FROM results r WHERE time <= ?", [now.at]).fetchall()
    latest: dict[str, Any] = {}
    for (text,) in found:
        award = json.loads(text)
        held = latest.get(award["round"] or "")
        if held is None or award["revision"] > held["revision"]:
            latest[award["round"] or ""] = award
    begin = now.since or now.contest.rounds[0].opens
    kept = {key: award for key, award in latest.items() if datetime.fromisoformat(award["time"]) > begin}
    return [(kept[key], names.get(key, "")) for key in [*names, ""] if key in kept]


def _below(now: _Count, unit: str, root: str) -> bool:
    return bool(now.db.execute("SELECT 1 FROM above WHERE unit = ? AND up = ?", [unit, root]).fetchall())


def _by_person(now: _Count, root: str) -> list[list[Any]]:
    rows: list[list[Any]] = []
    for award, round in _awards(now):
        for person in award["persons"]:
            if _below(now, person["unit"], root):
                at = datetime.fromisoformat(person["received_at"]).astimezone(ZONE).replace(tzinfo=None)
                unit = now.units[person["unit"]]["name"]
                rows.append(
                    [
                        str(len(rows) + 1), f"{person['prize']}, {round}", person["name"], unit, person["correct"],
                        person["predicted"], person["gap"], at,
                    ]
                )  # fmt: skip
    return rows


def _by_prize(now: _Count, root: str) -> list[list[Any]]:
    rows: list[list[Any]] = []
    for award, round in _awards(now):
        for prize in award["units"]:
            if _below(now, prize["unit"], root):
                name = f"{prize['prize']}, {round}" if round else prize["prize"]
                by, figure = ("Số người dự thi", int(prize["figure"]))
                if prize["by"] == "rate":
                    by, figure = "Tỷ lệ người dự thi (%)", prize["figure"]
                rows.append([str(len(rows) + 1), name, now.units[prize["unit"]]["name"], by, figure])
    return rows


def _lagging(now: _Count, root: str) -> tuple[list[str], float]:
    """Units without any below them whose rate lies below the common one of all of these, or that were silent for three days; the
    common rate."""
    people, headcounts = now.people(), now.headcounts()
    inner = {above for c, above in now.parents.items() if c not in now.gone}
    leaves = [c for c in now.parents if c not in inner and c not in now.gone]
    known = [c for c in leaves if headcounts.get(c)]
    there, whole = sum(people.get(c, (0, 0))[0] for c in known), sum(headcounts[c] for c in known)
    common = min(Fraction(there, whole), Fraction(1))
    last = dict(now.db.execute("SELECT up, max(time) FROM valid JOIN above USING (unit) GROUP BY up").fetchall())
    low = []
    for code, _ in now.listed(root):
        if code not in leaves:
            continue
        mine = Fraction(people.get(code, (0, 0))[0], headcounts[code]) if headcounts.get(code) else None
        silent = (now.at - last.get(code, now.since or now.contest.rounds[0].opens)) // timedelta(days=1)
        if silent >= 3 or (mine is not None and mine < common):
            low.append((mine is None, mine or 0, -silent, now.units[code]["name"], code))
    return [code for *_, code in sorted(low)], half_up(there, whole, 100)


def _to_urge(now: _Count, root: str, deadline: date | None) -> list[list[Any]]:
    """Who lags, with the reminders that had come by then."""
    (low, average), people, headcounts = _lagging(now, root), now.people(), now.headcounts()
    reminded = {
        unit: (days, at)
        for unit, days, at in now.db.execute(
            """SELECT unit, count(DISTINCT CAST(timezone('Asia/Ho_Chi_Minh', time) AS DATE)), max(time) FROM deliveries
            WHERE purpose = 'reminder' AND unit IS NOT NULL AND time <= ? GROUP BY unit""",
            [now.at],
        ).fetchall()
    }
    rows: list[list[Any]] = []
    for n, code in enumerate(low, 1):
        times, at = reminded.get(code, (0, None))
        day: Any = NOTHING if at is None else at.astimezone(ZONE).replace(tzinfo=None)
        mine = rate(people.get(code, (0, 0))[0], headcounts.get(code))
        until: Any = datetime.combine(deadline, time()) if deadline else NOTHING
        name, did = now.units[code]["name"], now.measures.get(code, UNKNOWN)
        rows.append([str(n), name, mine, average, times, day, did, until])
    return rows
