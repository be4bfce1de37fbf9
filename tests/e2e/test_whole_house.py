"""Thousands of people walk through the house, and every figure is what they counted; what is then taken away is missed."""

from __future__ import annotations

import re
from pathlib import Path

from services.kit.security import unb64
from services.kit.store import connect
from services.quiz.receipts import check
from tests.players import Players
from tests.site import Site

PEOPLE = {"kafka": 5000, "local": 500}
"""On the local log `tests/chaos/test_kill.py` shows the same with five thousand."""


async def test_every_attempt_is_receipted_judged_and_counted_and_one_that_is_removed_is_named(
    tmp_path: Path, bus: dict[str, str]
) -> None:
    people = PEOPLE["kafka" if bus else "local"]
    with Site(tmp_path, **bus) as site:
        players = Players(site.url, seed=31, concurrency=64)
        await players.open()
        await players.play(people)
        await players.check_results(180)
        await players.check_board(120)
        key = unb64((await players.call("GET", "/api/v1/receipts/key"))["public_key"])
        await players.close()
        assert all(check(receipt, key).valid for receipt in players.tally.receipts.values())
        audit = re.sub(r"[.,](?=\d{3})", "", site.hoithi("audit"))
        for figure in ("receipted", "submitted", "judged", "valid", "counted"):
            assert re.search(rf"{people} {figure}", audit), audit

        removed = sorted(players.tally.receipts)[2]
        client = connect(site.settings.store_url, "pymongo")
        await client["hoithi_scoring"]["verdicts"].delete_one({"_id": f"{removed}/0"})
        await client.close()
        said = re.sub(r"\s", "", site.hoithi("audit", expect=1))
        assert [attempt for attempt in players.tally.receipts if attempt in said] == [removed]
