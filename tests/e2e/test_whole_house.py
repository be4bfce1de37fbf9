"""Five thousand people walk through the house, and every figure is what they counted themselves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.kit.security import unb64
from services.quiz.receipts import check
from tests.players import Players
from tests.site import Site

PEOPLE = 5000


async def test_five_thousand_attempts_are_receipted_judged_and_counted(tmp_path: Path, bus_of_its_own: dict[str, str]) -> None:
    with Site(tmp_path, **bus_of_its_own) as site:
        players = Players(site.url, seed=31, concurrency=64)
        await players.open()
        await players.play(PEOPLE)
        await players.check_results(120)
        await players.check_board(30)
        key = unb64((await players.call("GET", "/api/v1/receipts/key"))["public_key"])
        await players.close()
        assert all(check(receipt, key).valid for receipt in players.tally.receipts.values())
        audit = re.sub(r"[.,](?=\d{3})", "", site.hoithi("audit"))
        for figure in ("receipted", "submitted", "judged", "valid", "counted"):
            assert re.search(rf"{PEOPLE} {figure}", audit), audit


@pytest.mark.parametrize("stage", ["verdicts"])
async def test_the_audit_names_an_attempt_that_was_removed_by_hand(
    tmp_path: Path, bus_of_its_own: dict[str, str], stage: str
) -> None:
    from services.kit.store import connect

    with Site(tmp_path, **bus_of_its_own) as site:
        players = Players(site.url, seed=32)
        await players.open()
        await players.play(5)
        await players.check_results(30)
        await players.check_board(30)
        await players.close()
        site.hoithi("audit")
        removed = sorted(players.tally.receipts)[2]
        client = connect((site.data / "run" / "store.url").read_text().strip(), "pymongo")
        await client["hoithi_scoring"][stage].delete_one({"_id": f"{removed}/0"})
        await client.close()
        said = site.hoithi("audit", expect=1)
        assert removed in re.sub(r"\s", "", said)
        assert not any(other in said for other in players.tally.receipts if other != removed)
