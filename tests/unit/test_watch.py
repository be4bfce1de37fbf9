"""Who lags: rules over figures, and what is told of it on schedule, once, whoever dies in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.events import Category, ContestBook, ContestPublished, DigestReady, TurnoutLagging, TurnoutSilenced, Unit, decode
from services.events.units import TERRITORY
from services.kit.bus import BusDown, Outgoing
from services.kit.clock import ManualClock, us_of
from services.kit.runtime import Runtime
from services.reporting.cuts import Cuts
from services.reporting.digests import Herald, Task, due
from services.reporting.headcounts import Headcounts
from services.reporting.share import Cell, Scope, pack
from services.reporting.tables import CutTables, Tables
from services.reporting.turnout import Headcount, Table, shape
from services.reporting.watch import LOWEST, Rules, Situation, judge
from services.reporting.watching import Watch, WatchSettings
from tests.contract.memory_store import memory_store
from tests.unit.test_reporting_board import plan

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
OPENS = plan(1).opens
AT = datetime(2023, 5, 24, 7, tzinfo=ZONE)
PARENTS = {"HP": None, "A": "HP", "A1": "A", "A2": "A", "B": "HP", "B1": "B"}
UNITS = {code: Unit(code=code, parent=parent, name=code, kind="") for code, parent in PARENTS.items()}
LEAVES = ["A1", "A2", "B1"]


def table(people: Mapping[str, int], headcounts: Mapping[str, int]) -> Table:
    cells = {code: Cell(count, count) for code, count in people.items()}
    found = {code: Headcount(count, date(2023, 5, 1), "") for code, count in headcounts.items()}
    return Table(shape(UNITS, TERRITORY.id, AT.date()), cells, found)


def situation(people: Mapping[str, int], headcounts: Mapping[str, int], **changed: Any) -> Situation:
    last = {code: us_of(AT) for code, count in people.items() if count}
    found = Situation(at=AT, table=table(people, headcounts), before=None, last=last, opened=OPENS, target=None)
    return replace(found, **changed)


def test_below_target_below_average_and_silent_are_told_apart() -> None:
    seen = situation({"A1": 10, "A2": 60, "B1": 95}, {"A1": 100, "A2": 100, "B1": 100}, target=60.0)
    judged = judge(Rules(), seen)
    assert judged.average == pytest.approx(55)
    (lagging,) = judged.lagging
    assert (lagging.unit.code, lagging.reasons, lagging.wanted, lagging.missing) == ("A1", ("target", "average"), 60.0, 50)
    (lagging,) = judge(Rules(target=5.0), seen).lagging
    assert (lagging.reasons, lagging.wanted, lagging.missing) == (("average",), pytest.approx(55), 45)
    (lagging,) = judge(Rules(below_average=False), replace(seen, last={"A1": us_of(AT), "A2": us_of(AT)}, target=None)).lagging
    assert (lagging.unit.code, lagging.reasons, lagging.silent, lagging.wanted, lagging.missing) == (
        "B1",
        ("silent",),
        4,
        None,
        None,
    )


def test_silence_is_broken_by_an_attempt_anywhere_below_and_counts_from_the_opening() -> None:
    seen = situation({}, {}, last={"A2": us_of(AT - timedelta(days=1))})
    assert [(row.unit.code, row.silent) for row in judge(Rules(level=2, silent_days=2), seen).lagging] == [("B", 4)]
    assert judge(Rules(silent_days=0), seen).lagging == ()
    assert [row.unit.code for row in judge(Rules(silent_days=2), seen, within="A").lagging] == ["A1"]


def test_the_best_and_those_that_grew_are_commended() -> None:
    before = table({"A1": 10, "A2": 70}, {"A1": 100, "A2": 100, "B1": 100})
    judged = judge(Rules(), situation({"A1": 50, "A2": 72, "B1": 1}, {"A1": 100, "A2": 100, "B1": 100}, before=before))
    assert [row.unit.code for row in judged.best] == ["A2", "A1"]
    assert [(row.unit.code, row.growth) for row in judged.growing] == [("A1", 40.0), ("A2", 2.0), ("B1", 1.0)]
    assert [row.unit.code for row in judge(Rules(commended=1), situation({"A1": 1}, {"A1": 2, "A2": 2})).best] == ["A1"]


@given(
    people=st.dictionaries(st.sampled_from(LEAVES), st.integers(0, 200)),
    headcounts=st.dictionaries(st.sampled_from(LEAVES), st.integers(1, 200)),
    target=st.none() | st.floats(0, 100),
    below_average=st.booleans(),
    silent_days=st.integers(0, 5),
)
def test_a_unit_lags_exactly_where_a_rule_says_so(
    people: dict[str, int], headcounts: dict[str, int], target: float | None, below_average: bool, silent_days: int
) -> None:
    judged = judge(
        Rules(target=target, below_average=below_average, silent_days=silent_days, level=LOWEST), situation(people, headcounts)
    )
    both = [code for code in LEAVES if code in headcounts]
    average = 100 * sum(people.get(c, 0) for c in both) / sum(headcounts[c] for c in both) if both else None
    assert judged.average == (None if average is None else pytest.approx(average))
    assert (judged.watched, judged.unknown) == (3, 3 - len(both))
    expected = set()
    for code in LEAVES:
        rate = 100 * people.get(code, 0) / headcounts[code] if code in headcounts else None
        limits = [target, min(judged.average, 100) if below_average and judged.average is not None else None]
        if rate is not None and any(limit is not None and rate < limit for limit in limits):
            expected.add(code)
        if silent_days and not people.get(code) and silent_days <= (AT - OPENS).days:
            expected.add(code)
    assert {row.unit.code for row in judged.lagging} == expected
    for row in judged.lagging:
        assert row.figure.headcount is not None or row.reasons == ("silent",), "an unknown headcount is no low rate"
        if row.missing is not None:
            assert row.figure.people + row.missing <= cast("int", row.figure.headcount)
    assert not {row.unit.code for row in judged.best} & {r.unit.code for r in judged.lagging if "average" in r.reasons}


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2023, 5, day, hour, minute, tzinfo=ZONE)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (at(24, 7, 1), [Task("watch", at(23, 12)), Task("day", at(23, 17))]),
        (at(24, 7, 5), [Task("watch", at(24, 7)), Task("day", at(23, 17))]),
        (at(24, 18), [Task("watch", at(24, 12)), Task("day", at(24, 17))]),
        (at(26, 17, 30), [Task("watch", at(26, 12)), Task("day", at(26, 17)), Task("week", at(26, 17))]),
        (at(19, 7, 30), []),
        (datetime(2023, 6, 3, 7, 30, tzinfo=ZONE), [Task("day", datetime(2023, 6, 2, 17, tzinfo=ZONE)),
                                                    Task("week", datetime(2023, 6, 2, 17, tzinfo=ZONE))]),
        (datetime(2023, 6, 20, 7, 30, tzinfo=ZONE), []),
    ],
)  # fmt: skip
def test_what_is_due_is_the_last_of_each_kind_while_rounds_are_on(now: datetime, expected: list[Task]) -> None:
    settings = WatchSettings(on=True, hours=(7, 12), daily=True, weekly=True)
    assert due(settings, [plan(1), plan(2)], ZONE, now.astimezone(UTC)) == expected
    assert due(WatchSettings(), [plan(1), plan(2)], ZONE, now.astimezone(UTC)) == []


class House:
    """A herald over a store in memory; what it publishes is kept, and may be made to fail afterwards."""

    def __init__(self) -> None:
        self.clock, self.store, self.book = ManualClock(at(24, 7, 10).astimezone(UTC)), memory_store(), ContestBook()
        self.book.apply(
            ContestPublished(
                time=OPENS, contest="hp", title="", kind="", owner="", timezone=str(ZONE), documents=(),
                units=tuple(UNITS.values()), categories=(Category(id="hoc-sinh", name="", target=100),),
                rounds=(plan(1), plan(2)),
            )
        )  # fmt: skip
        self.published: list[Outgoing] = []
        self.dies_after_publishing = False
        self.watch = self.watcher()

    def watcher(self) -> Watch:
        headcounts = SimpleNamespace(revision=0, table=lambda *_: {code: Headcount(100, AT.date(), "") for code in LEAVES})
        cuts = Cuts(self.store, cast("Any", self), self.book, self.clock)
        return Watch(self.store, self.book, CutTables(cuts, Tables(self.book, cast("Headcounts", headcounts))))

    async def end_offsets(self, topic: str) -> Mapping[int, int]:
        return {0: 0}

    async def publish(self, records: Sequence[Outgoing]) -> None:
        self.published += records
        if self.dies_after_publishing:
            raise BusDown

    def herald(self, *partitions: int) -> Herald:
        """A worker that has just started."""
        runtime = Runtime(
            service="reporting", settings=cast("Any", None), clock=self.clock, bus=cast("Any", self), journal=cast("Any", None),
            store=self.store, secrets=cast("Any", None), encode=msgspec.json.encode,
        )  # fmt: skip
        return Herald(runtime, self.book, cast("Any", SimpleNamespace(owned=dict.fromkeys(partitions))), self.watcher())

    async def cut(self, when: datetime, **people: int) -> None:
        """Makes the cut of that time, as the cutter would."""
        cells = {code: Cell(count, 2 * count) for code, count in people.items()}
        scope = Scope({"": cells, "hoc-sinh": cells}, {}, {code: us_of(OPENS) for code in people})
        opened = [cut for cut in await self.watch.cuts.opened() if cut.at == when]
        assert opened, "nobody asked for it"
        await self.watch.cuts.put(opened[0], {"": pack({"": scope})})

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(record.headers["ce_id"], record.value.decode()) for record in self.published]


@pytest.fixture
async def house() -> House:
    house = House()
    await house.watch.save("hp", WatchSettings(on=True, rules=Rules(silent_days=3), categories=("", "hoc-sinh")))
    return house


async def test_who_lags_is_told_once_by_the_owner_of_partition_0(house: House) -> None:
    await house.herald(1, 2).turn()
    assert await house.watch.cuts.opened() == []
    first, second = house.herald(0, 1), house.herald(0)
    await first.turn()
    assert house.told == [], "the figures are still being cut"
    await house.cut(at(24, 7), A1=10, B1=40)
    for herald in (first, first, second, house.herald(0)):
        await herald.turn()
    events = [decode(record.headers["ce_type"], record.value) for record in house.published]
    lagging = [(e.unit, e.category, e.rate, e.wanted) for e in events if isinstance(e, TurnoutLagging)]
    # Everybody against the average (50 of 300), pupils against their target.
    average = pytest.approx(100 * 50 / 300)
    assert lagging == [
        ("A2", None, 0, average), ("A1", None, 10, average),
        ("A2", "hoc-sinh", 0, 100), ("A1", "hoc-sinh", 10, 100), ("B1", "hoc-sinh", 40, 100),
    ]  # fmt: skip
    silenced = [(e.unit, e.days, e.last) for e in events if isinstance(e, TurnoutSilenced)]
    assert silenced == [("A2", 4, None), ("A1", 4, OPENS), ("B1", 4, OPENS)]
    assert len({id for id, _ in house.told}) == len(house.told) == 8
    house.clock.advance(timedelta(hours=2))
    await first.turn()
    assert len(house.told) == 8


async def test_whoever_takes_over_after_a_crash_tells_the_same(house: House) -> None:
    await house.herald(0).turn()
    await house.cut(at(24, 7), A1=10, B1=40)
    house.dies_after_publishing = True
    with pytest.raises(BusDown):
        await house.herald(0).turn()
    once = list(house.told)
    # Somebody changes the rules meanwhile: what was decided stands.
    await house.watch.save("hp", WatchSettings(on=True, rules=Rules(target=100.0)))
    house.clock.advance(timedelta(minutes=1))
    house.dies_after_publishing = False
    await house.herald(0).turn()
    assert house.told == [*once, *once]
    await house.herald(0).turn()
    assert len(house.told) == 2 * len(once)


async def test_a_digest_tells_what_a_day_brought(house: House) -> None:
    await house.watch.save("hp", WatchSettings(daily=True, digest_hour=7))
    herald = house.herald(0)
    await herald.turn()
    await house.cut(at(24, 7), A1=80, B1=10)
    await herald.turn()
    await house.cut(at(23, 7), A1=50)
    await herald.turn()
    await house.herald(0).turn()
    (record,) = house.published
    digest = decode(record.headers["ce_type"], record.value)
    assert isinstance(digest, DigestReady)
    assert (digest.period, digest.since, digest.as_of) == ("day", at(23, 7), at(24, 7))
    assert (digest.people, digest.attempts, digest.new_people, digest.new_attempts) == (90, 180, 40, 80)
    assert digest.rate is None, "the city's headcount is the sum of its units' only where the topic's view says so"
    assert [(u.unit, u.rate) for u in digest.best] == [("A1", 80)]
    assert [(u.unit, u.rate) for u in digest.lagging] == [("A2", 0), ("B1", 10)]


async def test_the_first_digest_begins_with_nothing(house: House) -> None:
    house.clock = ManualClock(at(20, 7, 10).astimezone(UTC))
    house.watch = house.watcher()
    await house.watch.save("hp", WatchSettings(daily=True, digest_hour=7))
    herald = house.herald(0)
    await herald.turn()
    await house.cut(at(20, 7), A1=80)
    await herald.turn()
    digest = decode(house.published[0].headers["ce_type"], house.published[0].value)
    assert isinstance(digest, DigestReady)
    assert (digest.new_people, digest.people) == (80, 80)
