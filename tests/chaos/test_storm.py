"""The short form of `make chaos`: kills at random on each bus, and everything balances."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.storm import storm


@pytest.mark.parametrize(("bus", "kills"), [("local", 10), ("kafka", 20)])
async def test_nothing_is_lost_or_doubled_in_a_storm(
    request: pytest.FixtureRequest, tmp_path: Path, bus: str, kills: int
) -> None:
    if bus == "kafka":
        request.getfixturevalue("kafka_jars")
    report = await storm(tmp_path, bus, kills=kills, rate=150, every=1.0, outage=5, seed=20)
    print(report.table())
    assert report.balanced, report.table() + "\n" + "\n".join(" ".join(each) for each in report.differences[:20])
    assert report.kills.total() == kills
    assert report.outage is None or report.outage > 0
