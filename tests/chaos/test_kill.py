"""Each process is killed with SIGKILL once while people take part: nothing receipted is lost, nothing is counted twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.players import Players
from tests.site import Site

KILLED = ("web", "work-scoring", "work-reporting", "work-notify", "work-quiz", "store")
EACH = 834


async def test_nothing_is_lost_or_counted_twice_when_each_process_is_killed(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        players = Players(site.url, seed=41, persist=True)
        await players.open()
        for turn, name in enumerate(KILLED):
            async with asyncio.TaskGroup() as group:
                group.create_task(players.play(EACH, first=turn * EACH))
                group.create_task(_kill_soon(site, name))
        await players.check_results(180)
        await players.check_board(120)
        await players.close()
        site.wait_ready(120)
        assert len(players.tally.receipts) == EACH * len(KILLED)
        site.hoithi("audit")


async def _kill_soon(site: Site, name: str) -> None:
    await asyncio.sleep(0.5)
    site.kill(name)
