"""A replay of everything gives the same figures, byte for byte, while the board stays up."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx

from services.kit.store import connect
from tests.players import Players
from tests.site import Site


async def figures(players: Players) -> bytes:
    """Everything that the board tells, with the time of telling left out."""
    told: list[Any] = []
    categories = [None, *(category["id"] for category in players.contest["categories"])]
    for parent in [None, *sorted({ward.rsplit("-", 1)[0] for ward in players.wards})]:
        for category in categories if parent is None else [None]:
            params = {"contest": players.contest["id"], "parent": parent, "category": category}
            reply = await players.call("GET", "/api/v1/turnout", params={k: v for k, v in params.items() if v})
            del reply["as_of"]
            told.append(reply)
    return json.dumps(told).encode()


async def watch(url: str, failures: list[str], stop: asyncio.Event) -> None:
    """Looks at the board again and again."""
    async with httpx.AsyncClient(base_url=url) as client:
        while not stop.is_set():
            reply = await client.get("/board")
            if reply.status_code not in (200, 303, 307):
                failures.append(str(reply.status_code))
            await asyncio.sleep(0.02)


async def test_a_replay_changes_nothing_that_is_shown_and_mends_what_was_spoilt(tmp_path: Path, bus: dict[str, str]) -> None:
    with Site(tmp_path, **bus) as site:
        players = Players(site.url, seed=61)
        await players.open()
        await take_part(players, 300)
        for service in ("reporting", "scoring"):
            await nothing_changes(site, players, service)
            # The worker that was overtaken goes on from what the replay has put in place, though one partition alone hears of it.
            await take_part(players, 1)
            await take_part(players, 60)
            site.hoithi("audit")
        await spoil(site, players)
        site.hoithi("replay", "reporting")
        await players.check_board(120)
        await players.close()


async def take_part(players: Players, count: int) -> None:
    """So many more, and all of it is shown."""
    await players.play(count, first=players.tally.people.total())
    await players.check_results(180)
    await players.check_board(120)


async def nothing_changes(site: Site, players: Players, service: str) -> None:
    """Replays while the board is looked at."""
    before, failures, stop = await figures(players), list[str](), asyncio.Event()
    watching = asyncio.create_task(watch(site.url, failures, stop))
    said = await asyncio.to_thread(site.hoithi, "replay", service)
    await asyncio.sleep(1.5)  # The board reads its views once a second.
    stop.set()
    await watching
    assert f"Đã dựng lại {service} từ" in said
    assert (failures, await figures(players)) == ([], before)


async def spoil(site: Site, players: Players) -> None:
    """Puts one partition's view in another's place; returns when the board shows it."""
    client = connect(site.settings.store_url, "pymongo")
    views = client["hoithi_reporting"]["views"]
    one, other = sorted([view async for view in views.find({})], key=lambda view: len(view["body"]))[-2:]
    await views.update_one({"_id": one["_id"]}, {"$set": {"body": other["body"], "offsets": {**one["offsets"], "spoilt": 1}}})
    async with asyncio.timeout(120):
        while await players.board() == players.tally.people:
            await asyncio.sleep(0.2)
    await client.close()
