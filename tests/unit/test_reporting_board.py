"""The board: partitions added up, rolled up the tree, ranked, told to all who listen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, cast

import httpx
import msgspec
import pytest
from fastapi import FastAPI, Request, Response
from hypothesis import given
from hypothesis import strategies as st

from services.events import Category, ContestBook, ContestPublished, HeadcountApproved, RoundPlan, Unit
from services.kit.clock import ManualClock
from services.kit.problems import Problem
from services.kit.store import StoreDown
from services.reporting.api import Api
from services.reporting.board import Board
from services.reporting.cuts import Cuts
from services.reporting.domain import HOUR, Id, Judgement, State, scored, started, view
from services.reporting.headcounts import Headcounts
from services.reporting.live import Live, Stream
from services.reporting.share import Cell, Scope, pack
from services.reporting.store import Views
from services.reporting.tables import CutTables, Tables
from tests.contract.memory_store import memory_store

NOW = datetime(2023, 5, 20, 12, tzinfo=UTC)
AT = int(NOW.timestamp()) * 1_000_000
TREE = [("HP", None), ("HP-1", "HP"), ("HP-2", "HP"), ("HP-1-a", "HP-1"), ("HP-1-b", "HP-1"), ("HP-2-a", "HP-2")]


def plan(number: int) -> RoundPlan:
    opens = datetime(2023, 5, 19, 1, tzinfo=UTC) + timedelta(days=7 * (number - 1))
    return RoundPlan(
        id=f"hp.tuan-{number}", contest="hp", name=f"Tuần {number}", opens=opens, closes=opens + timedelta(days=7), questions=20,
        minutes=15, attempts=3, counting="best", ranking=("correct desc",), prediction=None, show_score="at_once",
        show_key="after_close",
    )  # fmt: skip


def book() -> ContestBook:
    found = ContestBook()
    found.apply(
        ContestPublished(
            time=NOW, contest="hp", title="Hải Phòng", kind="", owner="", timezone="Asia/Ho_Chi_Minh", documents=(),
            categories=(Category(id="hoc-sinh", name="Học sinh"), Category(id="giao-vien", name="Giáo viên")),
            units=tuple(Unit(code=code, parent=parent, name=f"Đơn vị {code}", kind="") for code, parent in TREE),
            rounds=(plan(1), plan(2)),
        )
    )  # fmt: skip
    return found


def vote(state: State, who: str, unit: str, round: int = 1, n: int = 1, category: str = "hoc-sinh", hour: int = 0) -> None:
    scored(state, Id("hp", f"hp.tuan-{round}", who, n), Judgement(unit, (category,), AT + hour * HOUR, "valid", 0))


def board_of(book: ContestBook) -> Board:
    return Board(book, Tables(book, Headcounts(book)), ManualClock(NOW))


class Count(NamedTuple):
    """People and attempts."""

    people: int
    attempts: int


def counts(board: Board, category: str = "", round: str = "") -> dict[str, Count]:
    cells = board.table("hp", "", category, round).cells
    return {code: Count(cell.people, cell.attempts) for code, cell in cells.items()}


def rows(board: Board, parent: str | None, category: str = "", round: str = "") -> list[tuple[str, Count, int | None]]:
    found = board.table("hp", "", category, round).rows(parent)
    return [(row.unit.code, Count(row.figure.people, row.figure.attempts), row.rank) for row in found]


def shown(board: Board, *states: State) -> Board:
    for partition, state in enumerate(states):
        board.take(partition, view(state))
    for _ in board.add_up():
        pass
    return board


def test_rows_are_the_children_with_all_below_them_best_first() -> None:
    one, two = State(), State()
    vote(one, "an", "HP-1-a")
    vote(one, "an", "HP-1-a", n=2)
    vote(one, "binh", "HP-2-a", category="giao-vien")
    vote(two, "chi", "HP-1-b")
    board = shown(board_of(book()), one, two)
    assert rows(board, None) == [("HP", Count(3, 4), 1)]
    assert rows(board, "HP") == [("HP-1", Count(2, 3), 1), ("HP-2", Count(1, 1), 2)]
    assert [(code, rank) for code, _, rank in rows(board, "HP", "giao-vien")] == [("HP-2", 1), ("HP-1", 2)]
    nobody = Count(0, 0)
    assert rows(board, "HP", round="hp.tuan-2") == [("HP-1", nobody, 1), ("HP-2", nobody, 1)]


def test_who_moves_between_rounds_counts_once_above_and_once_in_each_round() -> None:
    state = State()
    vote(state, "an", "HP-1-a", round=1)
    vote(state, "an", "HP-2-a", round=2, hour=24 * 7)
    board = shown(board_of(book()), state)
    assert counts(board)["HP"] == Count(1, 2)
    assert counts(board)["HP-1"] == Count(0, 1)
    assert counts(board, round="hp.tuan-1")["HP-1"] == Count(1, 1)


def test_hours_are_those_of_the_contest() -> None:
    state = State()
    started(state, Id("hp", "hp.tuan-1", "an", 1))
    vote(state, "an", "HP-1-a")
    vote(state, "an", "HP-1-a", n=2)
    board = shown(board_of(book()), state)
    (hour,) = board.hours("hp")
    assert (hour.begin.isoformat(), hour.attempts, hour.newcomers) == ("2023-05-20T19:00:00+07:00", 2, 1)
    assert board.outcomes("hp") == {"started": 1, "submitted": 0, "valid": 2, "late": 0, "disqualified": 0}


def test_a_city_of_5000_units_has_every_figure() -> None:
    """A city, 70 districts, 4,929 wards; of ward n, n % 4 people with two attempts each."""
    found, wards = book(), [f"W{n}" for n in range(4929)]
    places = {"HP": None} | {f"D{n}": "HP" for n in range(70)} | {ward: f"D{n % 70}" for n, ward in enumerate(wards)}
    units = tuple(Unit(code=code, parent=parent, name=code, kind="") for code, parent in places.items())
    found.apply(msgspec.structs.replace(found.contests["hp"], units=units, revision=9))
    states = [State() for _ in range(4)]
    for n, ward in enumerate(wards):
        for who in range(n % 4):
            for attempt in (1, 2):
                vote(states[n % 4], f"{ward}-{who}", ward, n=attempt, hour=attempt)
    headcounts = Headcounts(found)
    for n, ward in enumerate(wards):
        headcounts.apply(
            HeadcountApproved(time=NOW, contest="hp", unit=ward, category="", as_of="2023-05-01", people=4 + n % 2, source="")
        )
    board = shown(Board(found, Tables(found, headcounts), ManualClock(NOW)), *states)
    table, people = board.table("hp"), [n % 4 for n in range(4929)]
    assert len(table.shape.parents) == 5000
    assert {ward: table.figure(ward).people for ward in wards} == dict(zip(wards, people, strict=True))
    assert table.figure("HP")[:2] == (sum(people), 2 * sum(people))
    assert table.figure("HP").headcount == sum(4 + n % 2 for n in range(4929))
    districts = [sum(people[d::70]) for d in range(70)]
    assert [row.figure.people for row in table.rows("HP")] == sorted(districts, reverse=True)
    assert [table.rank(f"D{d}") for d in range(70)] == [1 + sum(other > mine for other in districts) for mine in districts]
    assert table.average("HP") == pytest.approx(100 * sum(people) / sum(4 + n % 2 for n in range(4929)))


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([code for code, _ in TREE]), st.integers(1, 2)), max_size=20))
def test_added_up_bit_by_bit_is_added_up_at_once(votes: list[tuple[int, str, int]]) -> None:
    states = [State() for _ in range(4)]
    moving = board_of(book())
    for n, (partition, unit, round) in enumerate(votes):
        vote(states[partition], f"{partition}-{n % 3}", unit, round, n, hour=n)
        shown(moving, *states)
        counts(moving)
    assert counts(moving) == counts(shown(board_of(book()), *states))
    # A worker that lost its state and counts anew numbers its names in another order.
    anew = [State() for _ in range(4)]
    for n, (partition, unit, round) in reversed(list(enumerate(votes))):
        vote(anew[partition], f"{partition}-{n % 3}", unit, round, n, hour=n)
    assert counts(shown(moving, *anew)) == counts(shown(board_of(book()), *states))


class FakeViews:
    """Views that a test sets."""

    def __init__(self) -> None:
        self.new: dict[int, bytes] = {}
        self.reads = 0
        self.down = False

    async def changed(self) -> dict[int, bytes]:
        self.reads += 1
        await asyncio.sleep(0)
        if self.down:
            raise StoreDown("away")
        found, self.new = self.new, {}
        return found


class Rig:
    """A board with its stream and API, above views that a test sets."""

    def __init__(self) -> None:
        self.clock, self.views, self.book = ManualClock(NOW), FakeViews(), book()
        self.headcounts = Headcounts(self.book)
        tables = Tables(self.book, self.headcounts)
        self.board = Board(self.book, tables, self.clock)
        self.live = Live(cast("Views", self.views), self.board, self.clock)
        self.stream = Stream(self.live, self.board, self.book, self.clock)
        app = FastAPI()
        self.cuts = Cuts(memory_store(), cast("Any", self), self.book, self.clock)
        app.include_router(Api(self.book, self.board, CutTables(self.cuts, tables), self.live, self.stream).router)

        @app.exception_handler(Problem)
        async def on_problem(_: Request, problem: Problem) -> Response:
            return Response(problem.body("vi"), problem.status)

        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")

    async def end_offsets(self, topic: str) -> dict[int, int]:
        return {0: 0}

    async def get(self, path: str, **params: str) -> tuple[int, Any]:
        response = await self.http.get(path, params=params)
        return response.status_code, response.json()


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_many_who_ask_at_once_cost_one_read(rig: Rig) -> None:
    await asyncio.gather(*(rig.live.fresh() for _ in range(50)))
    await rig.live.fresh()
    assert rig.views.reads == 1
    rig.clock.advance(timedelta(seconds=1))
    first = rig.live.as_of
    assert await rig.live.fresh() == first, "figures of a second ago, while newer ones are read"
    await rig.live.fresh(newest=True)
    assert (rig.views.reads, rig.live.as_of) == (2, rig.clock.now())
    rig.clock.advance(timedelta(seconds=2))
    assert await rig.live.fresh() == rig.clock.now(), "nobody has asked for a while"


async def test_while_the_store_is_away_the_last_figures_stand_with_their_time(rig: Rig) -> None:
    first = await rig.live.fresh()
    rig.clock.advance(timedelta(seconds=5))
    rig.views.down = True
    assert await rig.live.fresh() == first


async def test_the_api_names_what_it_does_not_know(rig: Rig) -> None:
    for params, status, field in [
        ({"contest": "x"}, 404, "contest"),
        ({"contest": "hp", "parent": "x"}, 422, "parent"),
        ({"contest": "hp", "category": "x"}, 422, "category"),
        ({"contest": "hp", "round": "x"}, 422, "round"),
        ({"contest": "hp", "tree": "x"}, 422, "tree"),
        ({"contest": "hp", "as_of": "2023-05-20T12:30:00Z"}, 422, "as_of"),
    ]:
        answer = await rig.get("/api/v1/turnout", **params)
        assert (answer[0], answer[1]["errors"][0]["field"]) == (status, field)


async def test_the_api_gives_the_children_and_no_rate_without_a_headcount(rig: Rig) -> None:
    state = State()
    vote(state, "an", "HP-1-a")
    rig.views.new = {3: view(state)}
    status, answer = await rig.get("/api/v1/turnout", contest="hp", parent="HP")
    assert status == 200
    assert answer["as_of"] == "2023-05-20T12:00:00Z"
    assert answer["rows"][0] == {
        "unit": "HP-1", "name": "Đơn vị HP-1", "headcount": None, "people": 1, "attempts": 1, "rate": None, "rank": 1,
    }  # fmt: skip
    assert answer["average"] is None
    rig.headcounts.apply(
        HeadcountApproved(time=NOW, contest="hp", unit="HP-2", category="", as_of="2023-05-20", people=8, source="")
    )
    vote(state, "binh", "HP-2-a")
    rig.views.new = {3: view(state)}
    rig.clock.advance(timedelta(seconds=5))
    status, answer = await rig.get("/api/v1/turnout", contest="hp", parent="HP", by="rate")
    shown = [(row["unit"], row["headcount"], row["rate"], row["rank"]) for row in answer["rows"]]
    assert (answer["average"], shown) == (12.5, [("HP-2", 8, 12.5, 1), ("HP-1", None, None, None)])
    status, answer = await rig.get("/api/v1/turnout/hours", contest="hp", round="hp.tuan-1")
    assert answer["hours"] == [{"hour": "2023-05-20T19:00:00+07:00", "attempts": 2, "newcomers": 2}]


async def test_figures_as_of_an_hour_are_those_of_its_cut(rig: Rig) -> None:
    at = "2023-05-20T19:00:00+07:00"
    await rig.cuts.ask("hp", NOW)
    (cut,) = await rig.cuts.opened()
    cells = {"": {"HP-1-a": Cell(2, 3), "HP-2-a": Cell(1, 1)}}
    scopes = {"": Scope(cells), "hp.tuan-1": Scope(), "hp.tuan-2": Scope()}
    await rig.cuts.put(cut, {name: pack({"": scope}) for name, scope in scopes.items()})
    status, answer = await rig.get("/api/v1/turnout", contest="hp", as_of=at, parent="HP")
    assert (status, answer["as_of"]) == (200, at)
    assert [(row["unit"], row["people"], row["attempts"]) for row in answer["rows"]] == [("HP-1", 2, 3), ("HP-2", 1, 1)]
    status, answer = await rig.get("/api/v1/turnout", contest="hp", as_of=at, parent="HP", round="hp.tuan-1")
    assert [row["people"] for row in answer["rows"]] == [0, 0]


async def events(stream: AsyncIterator[bytes]) -> AsyncIterator[tuple[str, Any]]:
    async for text in stream:
        for part in text.decode().strip().split("\n\n"):
            head, body = part.split("\n")
            yield head.removeprefix("event: "), json.loads(body.removeprefix("data: "))


async def test_a_listener_gets_the_whole_state_then_what_changes_then_the_end(rig: Rig) -> None:
    stopped, state = asyncio.Event(), State()
    vote(state, "an", "HP-1-a")
    rig.views.new = {0: view(state)}
    task = asyncio.create_task(rig.stream.run(stopped.is_set))
    heard = events(rig.stream.listen("hp"))
    async with asyncio.timeout(10):
        kind, whole = await anext(heard)
        assert (kind, whole["whole"], whole["totals"]) == ("turnout", True, {"people": 1, "attempts": 1})
        assert [(await anext(heard))[1]["state"] for _ in range(2)] == ["open", "upcoming"]
        vote(state, "binh", "HP-2-a")
        rig.views.new = {0: view(state)}
        rig.clock.advance(timedelta(seconds=20))
        found = dict([await anext(heard), await anext(heard)])
        assert found["heartbeat"]
        assert {row["unit"]: row["people"] for row in found["turnout"]["rows"]} == {"HP": 2, "HP-2": 1, "HP-2-a": 1}
        rig.clock.advance(timedelta(days=7))
        assert [(await anext(heard))[1]["state"] for _ in range(2)] == ["closed", "open"]
        stopped.set()
        assert [kind async for kind, _ in heard if kind != "heartbeat"] == []
        await task
    with pytest.raises(Problem):
        rig.stream.admit()
