"""Poison in every topic: it becomes a dead letter with its reason, all else goes on, and mended it comes back."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx

from deploy.local.wiring import House
from services.events.schemas import EXAMPLES
from services.kit.bus import Outgoing
from services.kit.deadletters import Letter, letters, retry
from tests.players import Players
from tests.site import Site

POISONED = {
    "contests": ("round.opened.v1", 1),
    "keys": ("round.keyed.v1", 1),
    "participants": ("participant.registered.v1", 2),
    "submissions": ("submission.received.v1", 1),
    "attempts": ("attempt.submitted.v1", 1),
    "scores": ("attempt.scored.v1", 2),
}
"""By topic: an event of it, and how many services read the topic as a group (or look after it)."""


def example(name: str) -> tuple[str, dict[str, str], bytes]:
    """Key, headers and body of a golden example."""
    document: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text())
    headers = {f"ce_{attribute}": value for attribute, value in document["attributes"].items()}
    return document["key"], headers, json.dumps(document["data"]).encode()


async def unsent(house: House, topic: str) -> list[Letter]:
    """The letters of a topic that nobody has sent again."""
    return [letter for letter in await letters(house.bus, topic) if not letter.retried]


async def waiting(house: House, topic: str) -> list[str]:
    """Where they lie."""
    return [letter.place for letter in await unsent(house, topic)]


async def as_an_operator(site: Site, house: House, topic: str, mended: Path) -> None:
    """Finds the first letter of a topic, reads it and sends it again, by the commands."""
    (place, *_), (name, _) = await waiting(house, topic), POISONED[topic]
    assert "truncated" in site.hoithi("dlq", "list", topic)
    assert site.hoithi("dlq", "show", topic, place).startswith(f"key: {example(name)[0]}")
    mended.write_bytes(example(name)[2])
    site.hoithi("dlq", "retry", topic, place, "--body", str(mended))
    assert place not in await waiting(house, topic)


async def test_poison_is_put_aside_with_its_reason_and_comes_back_mended(tmp_path: Path, bus: dict[str, str]) -> None:
    with Site(tmp_path, **bus) as site:
        house = House(site.settings)
        for topic, (name, _) in POISONED.items():
            key, headers, body = example(name)
            await house.bus.publish([Outgoing(topic, key, body[:-7], headers)])
        players = Players(site.url, seed=51)
        await players.open()
        await players.play(40)
        await players.check_results(180)
        await players.check_board(120)
        for topic, (_, readers) in POISONED.items():
            async with asyncio.timeout(120):
                while len(await waiting(house, topic)) < readers:
                    await asyncio.sleep(0.1)
        assert all(topic in site.hoithi("dlq", "list") for topic in POISONED)
        await as_an_operator(site, house, "submissions", tmp_path / "mended.json")
        for topic, (name, _) in POISONED.items():
            for letter in await unsent(house, topic):
                assert "truncated" in letter.error
                await retry(house.bus, letter, example(name)[2])
            assert await waiting(house, topic) == []
        await handled(house)
        assert not any([await waiting(house, topic) for topic in POISONED])
        told = site.hoithi("trace", "k3vqx7mzt2rwn5hjd4ba:hai-phong-2023.tuan-1:1")
        assert "submission.received" in told
        assert "attempt.scored" in told
        await house.close()
        await players.close()


async def test_too_much_poison_stops_a_worker_until_a_person_lets_it_go_on(tmp_path: Path) -> None:
    """On the local log; what a bus does then is in `tests/integration/test_bus_faults.py`, for each."""
    with Site(tmp_path) as site:
        house = House(site.settings)
        key, headers, body = example("submission.received.v1")
        await house.bus.publish([Outgoing("submissions", key, body[:-7], headers) for _ in range(60)])
        worker = json.loads((site.data / "run" / "work-scoring.json").read_text())["address"]
        async with asyncio.timeout(120), httpx.AsyncClient(base_url=worker) as client:
            while (reply := await client.get("/readyz")).status_code == 200:
                await asyncio.sleep(0.1)
            assert reply.json()["checks"] == {"scoring.store": True, "scoring.unpoisoned": False}
            assert await waiting(house, "submissions") == []
            assert "work-scoring" in site.hoithi("resume")
            while len(await waiting(house, "submissions")) < 60:
                await asyncio.sleep(0.1)
            assert (await client.get("/readyz")).status_code == 200
        await house.close()


async def handled(house: House) -> None:
    """Waits until every group has read everything."""
    from deploy.local.lag import lags

    async with asyncio.timeout(120):
        while any(lag.behind for lag in await lags(house)):
            await asyncio.sleep(0.2)
