"""What the console shows of a closed round leads to the next step."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from services.events import RoundClosed
from services.scoring.statistics import Item
from tests.scoring_house import NOW, PLAN, ScoringHouse

HERE = f"/console/rounds/{PLAN.id}"


@pytest.fixture
async def scoring(tmp_path: Path) -> AsyncIterator[ScoringHouse]:
    made = ScoringHouse(tmp_path)
    yield made
    await made.house.close()


def button(page: str) -> str | None:
    """Where the first button that is not plain leads."""
    found = re.search(r'<a class="button(?: small)?" href="([^"]+)"', page)
    return found[1] if found else None


async def test_a_ranked_round_leads_to_its_prizes_and_an_empty_queue_to_the_round(scoring: ScoringHouse) -> None:
    await scoring.rank()
    city = await scoring.house.signed_in()
    page = (await city.get(HERE)).text
    assert "<strong>Xét giải</strong>" in page
    assert button(page) == f"{HERE}/prizes"
    assert button((await city.get(f"{HERE}/cases")).text) == HERE


async def test_a_published_round_says_so(scoring: ScoringHouse) -> None:
    await scoring.rank()
    scoring.book.apply(RoundClosed(time=NOW, round=msgspec.structs.replace(PLAN, state="final", revision=1)))
    page = (await (await scoring.house.signed_in()).get(HERE)).text
    assert "<strong>Đã công bố</strong>" in page
    assert button(page) is None, "nothing is left to do"


async def test_doubtful_questions_come_first_and_lead_to_the_key(scoring: ScoringHouse) -> None:
    fine = Item(n=40, right=10, total=400, squares=4400, right_total=110)
    wrong = Item(n=40, right=30, total=400, squares=4400, right_total=280)
    await scoring.rank(sums={"a": fine, "b": wrong})
    page = (await (await scoring.house.signed_in()).get(f"{HERE}/questions")).text
    key = "/console/contests/thi/vong/tuan-1/dap-an?cau="
    assert re.findall(r'<a( class="badge paused")? href="' + re.escape(key) + r'(\w)"', page) == [
        ("", "b"), (' class="badge paused"', "b"), ("", "a")
    ]  # fmt: skip
    assert "75,0\u00a0%" in page
