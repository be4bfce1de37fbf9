"""What is left when reminders end: no slot of one that never went out, no address after a contest, figures that hold."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.notify.domain import Result
from services.notify.store import FORGOTTEN
from tests.contract.memory_store import memory_store
from tests.reminders import CONTEST, NOW, House, on_rosters

SOON = NOW + timedelta(minutes=5)


def house_of(folder: Path, **settings: Any) -> House:
    house = House(memory_store(), folder, **settings)
    house.runtime.store["messages"]
    return house


@pytest.mark.parametrize("doubt", ["", "repeated", "uncertain", "interrupted"])
async def test_a_slot_counts_only_as_long_as_its_message_may_arrive(tmp_path: Path, doubt: str) -> None:
    house = house_of(tmp_path)
    await house.confirmed("one", 1)
    await house.campaigner.step()
    (message,) = await house.outbox.waiting("sms", NOW, 9)
    id, key = message["_id"], message["keys"][0]
    assert await house.limits.take(CONTEST, [key, "other"], id, NOW) == ""
    assert await house.outbox.claim(id, NOW)
    if doubt == "uncertain":
        await house.outbox.ended(id, "uncertain", "ReadTimeout")
        assert await house.outbox.send_again(id, NOW)
    elif doubt == "interrupted":
        await house.outbox.find_lost(SOON, ["sms"])
    else:
        await house.outbox.put_off(id, NOW, 0, Result("again", doubt=bool(doubt)))
    assert await house.limits.take(CONTEST, [key], "reminder/two/x", NOW) == "gap"
    await house.outbox.cancel("one")
    kept = "gap" if doubt else ""
    assert await house.limits.refusals(CONTEST, [[key], ["other"]], "reminder/two/", NOW) == (
        {key: "gap", "other": "gap"} if doubt else {}
    )
    assert await house.limits.take(CONTEST, ["other"], "reminder/two/x", NOW) == kept


def held(house: House) -> list[dict[str, Any]]:
    return list(house.runtime.store["messages"].documents.values())  # type: ignore[attr-defined]


async def test_with_a_roster_go_its_people_from_the_messages(tmp_path: Path) -> None:
    house = house_of(tmp_path)
    await on_rosters(house)
    await house.outbox.forget_roster(["one"], "A1")
    (kept,) = [m for m in held(house) if any(m[field] for field in FORGOTTEN)]
    assert (kept["to"], kept["state"]) == ("+84933333333", "waiting")
    assert await house.states("one") == {"sent": 1, "skipped": 1, "waiting": 1}


async def test_after_a_contest_its_messages_name_nobody_and_its_figures_stay(tmp_path: Path) -> None:
    house = house_of(tmp_path)
    await on_rosters(house)
    result = {"purpose": "result", "channel": "email", "contest": CONTEST, "to": "an@example.org", "tries": 0}
    house.clock.advance(timedelta(days=99))
    await house.campaigner.forget_rosters()
    assert [bool(m["to"]) for m in held(house)] == [True] * 3
    house.clock.advance(timedelta(days=2))
    await house.outbox.add([{**result, "_id": "late", "state": "waiting", "due": house.clock.now() - timedelta(days=3)}])
    await house.campaigner.forget_rosters()
    assert [m["_id"] for m in held(house) if any(m.get(field) for field in FORGOTTEN)] == ["late"], "what can still go out goes"
    assert await house.rosters.kept(CONTEST) == {}
    await house.campaigner.step()
    campaign = await house.campaigns.get("one")
    assert campaign
    assert (campaign.state, campaign.counts, campaign.recipients) == ("done", {"sent": 1, "skipped": 2}, 3)
    assert {m["state"] async for m in house.outbox.of_campaign("one")} == {"sent", "skipped"}
    await house.outbox.claim("late", house.clock.now())
    await house.outbox.ended("late", "sent")
    house.clock.advance(timedelta(days=1))
    await house.campaigner.forget_rosters()
    assert not any(m["to"] for m in held(house))


async def test_a_campaign_that_cannot_move_is_counted_ever_more_rarely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house, counted = house_of(tmp_path), list[str]()
    counts = house.outbox.counts

    async def spied(campaign: str, limit: int) -> dict[str, int]:
        counted.append(campaign)
        return await counts(campaign, limit)

    monkeypatch.setattr(house.outbox, "counts", spied)
    await house.confirmed("one", 2)
    for _ in range(1800):  # an hour
        await house.campaigner.step()
        house.clock.advance(timedelta(seconds=2))
    assert len(counted) < 20
    for message in held(house):
        await house.outbox.skip(message["_id"], "too late")
    await house.campaigner.step()
    campaign = await house.campaigns.get("one")
    assert campaign
    assert (campaign.state, campaign.counts) == ("done", {"skipped": 2})
