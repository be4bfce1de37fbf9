"""A contest directory, loaded into the services that have something to do with it."""

from __future__ import annotations

from pathlib import Path

from deploy.local.wiring import House
from services.quiz.loading import load as load_contest
from services.reporting.headcount_file import HEADCOUNTS
from services.reporting.headcount_loading import load as load_headcounts


async def load(house: House, directory: Path, *, shifted: bool = False) -> tuple[str, int]:
    """Returns the contest's id and how many headcounts came with it. Raises FaultsFound, and Problem 409 where a contest of that
    id was loaded from other files."""
    contest = await load_contest(house.runtime("quiz"), directory, shifted=shifted)
    file = directory / HEADCOUNTS
    return contest, await load_headcounts(house.runtime("reporting"), file, contest) if file.exists() else 0
