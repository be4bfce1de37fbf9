"""A worker of reminders as a process of its own, to be killed: `python -m tests.integration.reminder_worker STORE DATABASE FOLDER
GATEWAY`. It confirms nothing and ends by itself never."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from services.kit.clock import SystemClock
from services.kit.store import connect
from tests.reminders import House


async def main(store: str, database: str, folder: str, gateway: str) -> None:
    house = House(
        connect(store, "motor")[database], Path(folder), clock=SystemClock(), sms_url=gateway, gateway_timeout_s=5,
        quiet_from="00:00", quiet_until="00:00",
    )  # fmt: skip
    await asyncio.gather(house.campaigner.run(lambda: False), house.sender.run(lambda: False))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
