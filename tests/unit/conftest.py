"""What the tests of the console's pages share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import pytest
from argon2 import PasswordHasher
from fastapi import APIRouter, Depends

from services.kit.console import Account, passwords
from services.kit.runtime import Face
from services.kit.web.console import admin_api
from tests.console_house import UNITS, ConsoleHouse


def _face() -> Face:
    router = APIRouter()

    @router.post("/api/v1/admin/thing")
    async def thing(account: Annotated[Account, Depends(admin_api("city", "operator"))]) -> dict[str, str]:
        return {"by": account.id}

    async def start() -> None: ...

    return Face(name="test", router=router, start=start, units=lambda: UNITS)


@pytest.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ConsoleHouse]:
    """A console with cheap passwords and one call of the admin API."""
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    made = ConsoleHouse(tmp_path, [_face()])
    yield made
    await made.close()
