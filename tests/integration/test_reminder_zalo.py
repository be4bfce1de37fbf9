"""Reminders through a real HTTP server that answers as Zalo does, with tokens that end and refresh tokens that work once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from services.notify.campaigns import Address
from tests.contract.memory_store import MemoryCollection, memory_store
from tests.reminders import House, ZaloGate
from tests.unit.test_reminder_rules import Fate, Killed, Mortals

if TYPE_CHECKING:
    from services.kit.store import Database


@pytest.fixture
async def zalo() -> AsyncIterator[ZaloGate]:
    async with ZaloGate().running() as running:
        assert isinstance(running, ZaloGate)
        yield running


def house_of(database: Any, folder: Path, zalo: ZaloGate, **settings: Any) -> House:
    renewable: dict[str, Any] = {
        "zalo_url": zalo.url, "zalo_oauth_url": f"{zalo.url}oauth", "zalo_template": "7", "zalo_app_id": "app",
        "zalo_app_secret": "secret", "zalo_refresh_token": "r0", "gateway_timeout_s": 5,
        "quiet_from": "00:00", "quiet_until": "00:00",
    }  # fmt: skip
    return House(database, folder, **renewable | settings)


async def sent(houses: list[House], campaign: str, people: range) -> None:
    """Reminds these people, by all the workers together, until nothing waits."""
    house = houses[0]
    await house.prepare()
    addresses = tuple(Address("A1", "", phone=f"+8491{n:07d}") for n in people)
    await house.confirmed(campaign, 0, "zalo", addresses=addresses)
    for _ in range(8):
        await asyncio.gather(*(each.campaigner.step() for each in houses))
        await asyncio.gather(*(each.send() for each in houses))
        for each in houses:
            each.clock.advance(timedelta(minutes=1))


async def pair(house: House) -> tuple[str, str]:
    held = await house.runtime.store["zalo"].find_one({"_id": "pair"})
    assert held
    return held["access"], held["refresh"]


async def test_tokens_are_renewed_before_they_end_or_when_refused(database: Database, tmp_path: Path, zalo: ZaloGate) -> None:
    houses = [house_of(database, tmp_path, zalo) for _ in range(2)]
    await sent(houses, "one", range(3))
    assert (await houses[0].states(), zalo.pairs, await pair(houses[0])) == ({"sent": 3}, 1, ("a1", "r1"))
    body = json.loads(zalo.bodies[0])
    assert (body["template_id"], body["template_data"]["lien_ket"][-5:]) == ("7", "/q/A1")
    for house in houses:
        house.clock.advance(timedelta(hours=24.6))  # of 25
    await sent(houses, "two", range(3, 6))
    assert (await houses[0].states(), zalo.pairs) == ({"sent": 6}, 2)
    for house in houses:
        house.clock.advance(timedelta(hours=1))
    zalo.access = "gone"
    await sent(houses, "three", range(6, 9))
    assert (await houses[0].states(), zalo.pairs, await pair(houses[0])) == ({"sent": 9}, 3, ("a3", "r3"))
    assert set(zalo.taken.values()) == {1}
    assert zalo.asked == zalo.pairs, "one at a time"


async def test_a_refusal_that_another_token_would_not_mend_spends_none(tmp_path: Path, zalo: ZaloGate) -> None:
    house = house_of(memory_store(), tmp_path, zalo)
    zalo.error = lambda n: -124
    await sent([house], "one", range(1))
    assert (zalo.pairs, await house.states()) == (1, {"waiting": 1})


@pytest.mark.parametrize("death", range(1, 7))
async def test_killed_at_any_write_of_the_pair(tmp_path: Path, zalo: ZaloGate, death: int) -> None:
    """Only who dies between Zalo's answer and the store's loses it; a new refresh token in the settings begins anew."""
    fate = Fate({death})
    store: Any = Mortals(fate)
    for name in ("messages", "campaigns", "lags", "reminded", "optouts"):
        dict.__setitem__(store, name, MemoryCollection())
    house = house_of(store, tmp_path, zalo)
    await house.prepare()
    await house.confirmed("one", 2, "zalo")
    await house.campaigner.step()
    for _ in range(8):
        try:
            await house.send()
        except Killed:
            fate.dead, fate.deaths = False, set()
            house.restart()
        house.clock.advance(timedelta(minutes=3))
    if zalo.pairs and (await pair(house))[1] != zalo.refresh:
        assert death == 5
        assert await house.states() == {"waiting": 2}
        zalo.refresh = "new"
        house = house_of(store, tmp_path, zalo, zalo_refresh_token="new", clock=house.clock)
        await house.send()
    assert await house.states() == {"sent": 2}
    assert set(zalo.taken.values()) == {1}
    assert (await pair(house)) == (zalo.access, zalo.refresh)


@pytest.mark.parametrize(
    ("error", "state", "asked"), [(-111, "failed", 2), (-141, "failed", 2), (-144, "waiting", 2), (-133, "waiting", 2)]
)
async def test_a_refusal_ends_a_message_or_lets_the_channel_rest(
    tmp_path: Path, zalo: ZaloGate, error: int, state: str, asked: int
) -> None:
    house = house_of(memory_store(), tmp_path, zalo)
    zalo.error = lambda n: error
    await sent([house], "one", range(2))
    assert (await house.states(), zalo.requests) == ({state: 2}, asked)
    keys = [house.limits.key(f"+8491{n:07d}") for n in range(2)]
    assert await house.limits.opted_out(keys) == (set(keys) if error == -141 else set())
    zalo.error = lambda n: 0
    house.clock.advance(timedelta(hours=1))
    await house.send()
    assert (await house.states()) == ({"sent": 2} if state == "waiting" else {"failed": 2})
