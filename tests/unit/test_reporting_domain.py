"""The figures are a function of the set of facts: shuffled, repeated, corrected, interrupted, they end where a recount ends."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.reporting.domain import HOUR, Id, Judgement, State, Verdict, scored, started, submitted, view
from services.reporting.share import Cell, Scope, Share, added, joined, pack, unpack

CONTEST = "hp"
ROUNDS = ("hp.tuan-1", "hp.tuan-2")
UNITS = ("HP-1", "HP-2", "HP-3")
CATEGORIES = ((), ("hoc-sinh",), ("hoc-sinh", "doan-vien"), ("doan-vien", "hoc-sinh"), ("giao-vien",))


class Fact(NamedTuple):
    kind: str
    id: Id
    unit: str = ""
    categories: tuple[str, ...] = ()
    at: int = 0
    verdict: Verdict = "valid"
    revision: int = 0
    correct: int = 0


TOTAL = 2

IDS = st.builds(
    Id, st.just(CONTEST), st.sampled_from(ROUNDS), st.sampled_from(["an", "binh", "chi"]), st.integers(min_value=1, max_value=2)
)
SCORED = st.builds(
    Fact,
    kind=st.just("scored"),
    id=IDS,
    unit=st.sampled_from(UNITS),
    categories=st.sampled_from(CATEGORIES),
    at=st.sampled_from([n * HOUR // 2 for n in range(6)]),
    verdict=st.sampled_from(["valid", "valid", "late", "disqualified"]),
    revision=st.integers(min_value=0, max_value=3),
    correct=st.integers(min_value=0, max_value=TOTAL),
)
# One attempt has one fact of each revision: ids are deterministic.
FACTS = st.lists(
    st.one_of(SCORED, st.tuples(st.sampled_from(["started", "submitted"]), IDS).map(lambda marked: Fact(*marked, at=HOUR))),
    unique_by=lambda fact: (fact.kind, fact.id, fact.revision),
    max_size=25,
)


def feed(state: State, fact: Fact) -> None:
    if fact.kind == "started":
        started(state, fact.id)
    elif fact.kind == "submitted":
        submitted(state, fact.id, fact.at)
    else:
        _, id, *judgement = fact
        scored(state, id, Judgement(*judgement, TOTAL))


Named = dict[tuple[object, ...], int]


def named(state: State) -> Named:
    """The figures with names for numbers."""
    names, found = list(state.names), Counter[tuple[object, ...]]()
    for scope, figures in state.figures.items():
        for kind, cells in (("people", figures.people), ("attempts", figures.attempts)):
            for category, units in cells.items():
                for unit, count in units.items():
                    found[kind, names[scope], names[category], names[unit]] = count
        by_key: dict[str, dict[int, int] | dict[str, int]] = {
            "hours": figures.hours,
            "newcomers": figures.newcomers,
            "outcomes": figures.outcomes,
        }
        for kind, counts in by_key.items():
            for key, count in counts.items():
                found[kind, names[scope], key] = count
    return dict(found)


def counted_anew(facts: list[Fact]) -> Named:
    """The same figures, the plain way."""
    found = Counter[tuple[object, ...]]()
    standing: dict[Id, Fact] = {}
    for fact in facts:
        if fact.kind != "scored":
            found["outcomes", fact.id.round, fact.kind] += 1
        elif fact.id not in standing or fact.revision > standing[fact.id].revision:
            standing[fact.id] = fact
    for fact in standing.values():
        found["outcomes", fact.id.round, fact.verdict] += 1
    valid = sorted((f for f in standing.values() if f.verdict == "valid"), key=lambda f: (f.at, f.id.round, f.id.n))
    for fact in valid:
        found["hours", fact.id.round, fact.at // HOUR] += 1
        for category in {"", *fact.categories}:
            found["attempts", fact.id.round, category, fact.unit] += 1
    for scope in (CONTEST, *ROUNDS):
        within = [fact for fact in valid if scope in (CONTEST, fact.id.round)]
        latest = {fact.id.participant: fact for fact in within}
        first = {fact.id.participant: fact for fact in reversed(within)}
        for fact in latest.values():
            for category in {"", *fact.categories}:
                found["people", scope, category, fact.unit] += 1
        for fact in first.values():
            found["newcomers", scope, fact.at // HOUR] += 1
    return dict(found)


@given(facts=FACTS, data=st.data())
def test_the_set_of_facts_decides(facts: list[Fact], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(facts), max_size=10)) if facts else []
    order = data.draw(st.permutations(facts + again))
    accidents = data.draw(st.lists(st.sampled_from(["", "", "", "save", "crash"]), min_size=len(order), max_size=len(order)))
    state, saved, since = State(), msgspec.msgpack.encode(State()), list[Fact]()
    for fact, accident in zip(order, accidents, strict=True):
        feed(state, fact)
        since.append(fact)
        if accident == "save":
            saved, since = msgspec.msgpack.encode(state), []
        elif accident == "crash":
            # A new owner loads the snapshot and replays what came after it.
            state = msgspec.msgpack.decode(saved, type=State)
            for replayed in since:
                feed(state, replayed)
    assert named(state) == counted_anew(facts)


def cut(states: list[State], until: int, since: int = -1) -> dict[str, Scope]:
    """The shares of all partitions, added up."""
    shares = [unpack(pack(Share(state, ROUNDS, until, since).scopes()).body) for state in states]
    return {name: joined(share[name] for share in shares) for name in ("", *ROUNDS)}


def cut_anew(facts: list[Fact], until: int, since: int = -1) -> dict[str, Scope]:
    """The same, the plain way."""
    standing: dict[Id, Fact] = {}
    for fact in facts:
        if fact.kind == "scored" and (fact.id not in standing or fact.revision > standing[fact.id].revision):
            standing[fact.id] = fact
    marked = {fact.id for fact in facts if fact.kind == "submitted"}
    found: dict[str, Scope] = {}
    for name in ("", *ROUNDS):
        within = [f for f in standing.values() if name in ("", f.id.round) and since < f.at <= until]
        valid = sorted((f for f in within if f.verdict == "valid"), key=lambda f: (f.at, f.id.round, f.id.n))
        latest = {f.id.participant: f for f in valid}
        perfect = {f.id.participant for f in valid if f.correct == TOTAL}
        cells: dict[str, dict[str, Cell]] = {}

        def put(fact: Fact, cell: Cell, cells: dict[str, dict[str, Cell]] = cells) -> None:
            for category in {"", *fact.categories}:
                units = cells.setdefault(category, {})
                units[fact.unit] = added(units.get(fact.unit, Cell()), cell)

        for f in within:
            put(f, Cell(attempts=1, correct=f.correct, total=TOTAL) if f.verdict == "valid" else Cell(excluded=1))
        for f in latest.values():
            put(f, Cell(people=1, perfect=int(f.id.participant in perfect)))
        # An attempt without a verdict was handed in when its submission came, which is an hour after nought.
        times = {id: standing[id].at if id in standing else HOUR for id in marked if name in ("", id.round)}
        handed_in = [id for id, at in times.items() if since < at <= until]
        outcomes = Counter(["submitted"] * len(handed_in) + [str(f.verdict) for f in within])
        found[name] = Scope(cells, dict(outcomes), {f.unit: f.at for f in valid})
    return found


@given(facts=FACTS, data=st.data(), until=st.sampled_from([0, HOUR, 2 * HOUR, 9 * HOUR]), since=st.sampled_from([-1, 0, HOUR]))
def test_a_cut_is_what_the_facts_of_its_period_say_in_whatever_order_and_partitions(
    facts: list[Fact], data: st.DataObject, until: int, since: int
) -> None:
    states = [State(), State()]
    for fact in data.draw(st.permutations(facts + facts[:5])):
        feed(states[fact.id.participant == "an"], fact)
    assert cut(states, until, since) == cut_anew(facts, until, since)


def test_a_cut_knows_what_waits_for_its_verdict() -> None:
    state = State()
    submitted(state, Id(CONTEST, ROUNDS[0], "an", 1), 3 * HOUR)
    submitted(state, Id(CONTEST, ROUNDS[0], "an", 1), 2 * HOUR)

    def awaited(until: int) -> int:
        return Share(state, ROUNDS, until).awaited

    assert [awaited(HOUR), awaited(2 * HOUR)] == [0, 1]
    scored(state, Id(CONTEST, ROUNDS[0], "an", 1), Judgement("HP-1", (), 2 * HOUR, "late", 0))
    assert awaited(2 * HOUR) == 0


def test_who_moves_counts_in_the_unit_of_the_latest_attempt_and_the_attempts_stay() -> None:
    state = State()
    scored(state, Id(CONTEST, ROUNDS[0], "an", 1), Judgement("HP-1", ("hoc-sinh",), 1 * HOUR, "valid", 0))
    scored(state, Id(CONTEST, ROUNDS[1], "an", 1), Judgement("HP-2", (), 2 * HOUR, "valid", 0))
    figures = named(state)
    assert {key: n for key, n in figures.items() if key[:3] == ("people", CONTEST, "")} == {("people", CONTEST, "", "HP-2"): 1}
    assert figures["people", ROUNDS[0], "hoc-sinh", "HP-1"] == 1
    assert ("people", CONTEST, "hoc-sinh", "HP-1") not in figures
    assert figures["attempts", ROUNDS[0], "", "HP-1"] == figures["attempts", ROUNDS[1], "", "HP-2"] == 1


def test_an_attempt_found_late_by_a_higher_revision_is_taken_back_whole() -> None:
    state, id = State(), Id(CONTEST, ROUNDS[0], "an", 1)
    scored(state, id, Judgement("HP-1", ("hoc-sinh",), HOUR, "valid", 0))
    scored(state, id, Judgement("HP-1", ("hoc-sinh",), HOUR, "late", 1))
    scored(state, id, Judgement("HP-1", ("hoc-sinh",), HOUR, "valid", 0))
    assert named(state) == {("outcomes", ROUNDS[0], "late"): 1}


def test_the_view_leaves_the_people_out_and_stays_small() -> None:
    state = State()
    for n in range(2000):
        id = Id(CONTEST, ROUNDS[n % 2], f"{n:020}", 1)
        scored(state, id, Judgement(f"HP-{n % 242}", (f"c{n % 8}",), n * HOUR, "valid", 0, 20, 20))
    body = view(state)
    assert b"00000000000000000042" not in body
    assert len(body) < 80_000
    assert len(msgspec.msgpack.encode(state.people)) / 2000 < 52
