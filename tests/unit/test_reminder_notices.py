"""What a notice says of a unit stands in the reminder that becomes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.notify.campaigns import Address
from tests.contract.memory_store import memory_store
from tests.integration.test_reminder_gateways import notice
from tests.reminders import CONTEST, NOW, House

TOTAL = "trên tổng số 84 người (36,9 %)"


@pytest.mark.parametrize(
    ("of", "said", "round"),
    [
        ({"category": None, "round": None}, f"có 31 người dự thi {TOTAL}", "Cuộc thi"),
        ({"category": "giao-vien", "round": None}, f"có 31 người thuộc đối tượng Giáo viên dự thi {TOTAL}", "Cuộc thi"),
        (
            {"category": "giao-vien", "round": "c.tuan-1"},
            f"có 31 người thuộc đối tượng Giáo viên dự thi Tuần 1 {TOTAL}",
            "Tuần 1",
        ),
    ],
)
async def test_figures_of_a_category_or_a_round_say_so(tmp_path: Path, of: dict[str, Any], said: str, round: str) -> None:
    house = House(memory_store(), tmp_path)
    await house.contacts.put(CONTEST, "A1", [Address("A1", "Hoa", "hoa@example.org")])
    await house.notices.handle([notice("turnout.silenced", unit="A2", as_of=NOW)])
    await house.notices.handle([notice("turnout.lagging", unit="A1", as_of=NOW, **of)])
    (draft,) = await house.campaigns.of_contest(CONTEST)
    campaign = await house.campaigns.get(draft.id)
    assert campaign
    plan = await house.reminding.plan(campaign)
    values = house.reminding.values(campaign, plan, plan.recipients[0])
    assert (values["tinh_hinh"], values["vong"]) == (said, round)
