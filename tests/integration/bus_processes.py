"""Child processes of the bus suite: real processes, so that a test can really kill them.

Run as `python bus_processes.py ADDRESS ROLE …`; whatever a child has to say it prints, one line each, at once. `ADDRESS` says
which bus to open, so the same roles serve every bus.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.kit.bus import Bus, Outcome, Outgoing, Record
from tests.integration.bus_kit import Biller, open_bus


class _TalkingBiller(Biller):
    """Says which partitions it has and what it sees."""

    async def assigned(self, partitions: Collection[int]) -> Mapping[tuple[str, int], int]:
        print("assigned", *sorted(partitions), flush=True)
        return {}

    async def handle(self, batch: Sequence[Record]) -> Sequence[Outcome]:
        for record in batch:
            print("seen", record.value.decode(), flush=True)
        await asyncio.sleep(0.002)
        return await super().handle(batch)


async def _publish(bus: Bus, prefix: str, count: int) -> None:
    """Publishes numbered orders from several tasks and prints each only when it is acknowledged."""

    async def line(lane: int) -> None:
        for number in range(count):
            value = f"{prefix}-{lane}-{number}"
            await bus.publish([Outgoing("orders", f"{prefix}-{lane}", value.encode())])
            print(value, flush=True)

    await asyncio.gather(*(line(lane) for lane in range(4)))


async def _consume(bus: Bus, group: str) -> None:
    stopping: list[int] = []
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.append, 1)
    await bus.consume(["orders"], group, _TalkingBiller(), lambda: bool(stopping))


async def _main(address: str, role: str, name: str, count: str = "0") -> None:
    bus = open_bus(address)
    await (_publish(bus, name, int(count)) if role == "publish" else _consume(bus, name))
    await bus.close()


STARTED: list[asyncio.subprocess.Process] = []
"""The children of the test at hand, for who has to end what it leaves behind."""


@dataclass
class Child:
    """A running child and what it has said so far."""

    process: asyncio.subprocess.Process
    said: list[str] = field(default_factory=list)

    async def listen(self) -> None:
        assert self.process.stdout
        async for line in self.process.stdout:
            self.said.append(line.decode().rstrip())

    async def kill(self) -> None:
        """SIGKILL, and the last of what it had said."""
        self.process.kill()
        await self.process.wait()


async def start(address: str, role: str, name: str, count: int = 0) -> tuple[Child, asyncio.Task[None]]:
    """Starts a child; the task ends when it has said everything."""
    root = Path(__file__).parents[2]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        __file__,
        address,
        role,
        name,
        str(count),
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
    )
    STARTED.append(process)
    child = Child(process)
    return child, asyncio.create_task(child.listen())


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
