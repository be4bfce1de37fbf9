"""The relay: everything a host has written down reaches the brokers, in order, whoever dies and however long they were away."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from services.kit import relay
from services.kit.bus import BusDown, Outgoing
from services.kit.clock import SystemClock
from services.kit.deadletters import letters
from services.kit.locallog import LocalLog
from services.kit.relay import Confirmations, Relay, StoreAndForward, behind, positions
from tests.integration.bus_kit import SETTINGS, TOPICS, until, values

LOGS = ("orders", "notes")


class Brokers(LocalLog):
    """A bus that can be taken away."""

    down = False

    async def publish(self, records: Sequence[Outgoing]) -> None:
        if self.down:
            raise BusDown("no broker")
        await super().publish(records)


class Host:
    """What stands on a host: its own log, and the way to the brokers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.local = LocalLog(folder / "host", TOPICS, SystemClock(), settings=SETTINGS)
        self.brokers = Brokers(folder / "brokers", TOPICS, SystemClock(), settings=SETTINGS)
        self.told: list[tuple[datetime | None, int, bool]] = []

    def relay(self) -> Relay:
        return Relay(self.local, LOGS, self.brokers, SystemClock(), self.folder / "relay.lock", self.tell, beat=0.01)

    def tell(self, until: datetime | None, *, leaving: bool) -> Outgoing:
        self.told.append((until, positions(self.local).get(("orders", 0), 0), leaving))
        return Outgoing("single", "host", str(until).encode())

    async def write(self, *numbers: int, topic: str = "orders") -> None:
        await self.local.publish([Outgoing(topic, f"k{n % 5}", str(n).encode(), {"ce_id": str(n)}) for n in numbers])

    @contextlib.asynccontextmanager
    async def relaying(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        task = asyncio.create_task(self.relay().run(stop.is_set))
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait_for(task, 60)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


async def test_it_forwards_all_in_order_with_its_headers(host: Host) -> None:
    await host.write(*range(100))
    async with host.relaying():
        await host.write(*range(100, 120), topic="returns")
        await host.write(7, topic="notes")
    orders = await host.brokers.read("orders")
    assert [r.value.decode() for r in orders] == [str(n) for n in range(100)]
    assert [r.headers["ce_id"] for r in orders] == [str(n) for n in range(100)]
    assert await values(host.brokers, "returns") == [str(n) for n in range(100, 120)]
    assert await values(host.brokers, "notes") == ["7"]
    assert all(behind(host.local, name, at) == 0 for (name, _), at in positions(host.local).items())


async def test_a_record_that_no_broker_takes_is_named_and_the_others_go_on(host: Host) -> None:
    specs = TOPICS | {"orders": dataclasses.replace(TOPICS["orders"], largest=3)}
    host.brokers = Brokers(host.folder / "brokers", specs, SystemClock(), settings=SETTINGS)
    await host.write(1, 22, 4444, 333)
    async with host.relaying():
        pass
    assert sorted(await values(host.brokers, "orders")) == ["1", "22", "333"]
    (letter,) = await letters(host.brokers, "orders")
    assert (letter.record.key, letter.record.headers["ce_id"], letter.record.value) == ("k4", "4444", b"")
    assert "4 bytes, of 3 at most" in letter.error


async def test_the_next_relay_goes_on_where_the_last_one_stopped(host: Host) -> None:
    await host.write(1, 2)
    async with host.relaying():
        pass  # A relay that is told to stop forwards what is left.
    await host.write(3)
    async with host.relaying():
        pass
    assert await values(host.brokers, "orders") == ["1", "2", "3"]


async def test_while_the_brokers_are_away_the_host_goes_on_and_all_arrives_when_they_return(host: Host) -> None:
    host.brokers.down = True
    async with host.relaying():
        await host.write(*range(50))
        await asyncio.sleep(0.3)
        await host.write(*range(50, 60))
        assert await values(host.brokers, "orders") == []
        host.brokers.down = False
    assert await values(host.brokers, "orders") == [str(n) for n in range(60)]


async def test_it_tells_up_to_when_the_brokers_hold_everything_and_that_it_leaves(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "MARGIN", timedelta())
    written: list[tuple[datetime, int]] = []

    async def write(first: int) -> None:
        for number in range(first, first + 20):
            await host.write(number)
            written.append((SystemClock().now(), number + 1))
            await asyncio.sleep(0.003)

    host.brokers.down = True
    async with host.relaying():
        await write(0)
        host.brokers.down = False
        await write(20)
        await until(lambda: positions(host.local).get(("orders", 0)) == 41)
    assert len(host.told) >= 3
    for moment, position, _ in host.told:
        assert all(position >= end for at, end in written if moment and at <= moment)
    assert [leaving for *_, leaving in host.told] == [False] * (len(host.told) - 1) + [True]
    last = host.told[-1][0]
    assert last
    assert last >= written[-1][0]
    assert str(last) == (await host.brokers.read("single"))[-1].value.decode()


async def test_a_second_relay_waits_for_the_first(host: Host) -> None:
    async with host.relaying():
        await host.write(1)
        await until(lambda: positions(host.local).get(("orders", 0)))
        other, stop = Host(host.folder), asyncio.Event()
        second = asyncio.create_task(other.relay().run(stop.is_set))
        await asyncio.sleep(0.1)
        await host.write(2)
        assert not second.done()
    await host.write(3)
    await until(lambda: positions(host.local)[("orders", 0)] == 4)
    stop.set()
    await asyncio.wait_for(second, 60)
    assert await values(host.brokers, "orders") == ["1", "2", "3"]


async def test_killed_in_the_middle_it_loses_nothing_and_keeps_each_keys_order(tmp_path: Path) -> None:
    host, written = Host(tmp_path), 0
    for _ in range(4):
        with _relay_process(tmp_path) as process:
            until_position = written + 300
            while process.poll() is None and positions(host.local).get(("orders", 0), 0) <= until_position:
                await host.write(*range(written, written + 25))
                written += 25
                await asyncio.sleep(0.005)
            process.kill()
    async with host.relaying():
        pass
    arrived = [int(value) for value in await values(host.brokers, "orders")]
    assert set(arrived) == set(range(written))
    for key in range(5):
        firsts = list(dict.fromkeys(n for n in arrived if n % 5 == key))
        assert firsts == sorted(firsts)


async def test_only_what_the_brokers_hold_is_trimmed(tmp_path: Path) -> None:
    kept = {name: dataclasses.replace(topic, kept=timedelta(0)) for name, topic in TOPICS.items()}
    local = LocalLog(tmp_path, kept, SystemClock(), settings=SETTINGS)
    for _ in range(100):  # Several files of 128 kB.
        await local.publish([Outgoing("orders", "k", bytes(4000))])
    files = sorted(int(path.stem) for path in (tmp_path / "orders").glob("*.db"))
    assert local.log("orders").trim(below=files[1] - 1) == 0
    assert local.log("orders").trim(below=files[2]) == 2
    assert len(await local.read("orders")) == 100 - (files[2] - files[0])


async def test_a_writer_hears_when_the_brokers_hold_its_record(host: Host) -> None:
    confirmations = Confirmations(host.local, "orders")
    await host.write(1)
    assert not await confirmations.reach(2, 0.1)
    async with host.relaying():
        assert await confirmations.reach(2, 10)
        assert not await confirmations.reach(3, 0.1)


async def test_only_what_the_hosts_logs_hold_waits_on_the_host(tmp_path: Path) -> None:
    local = LocalLog(tmp_path / "host", {"notes": TOPICS["notes"]}, SystemClock(), settings=SETTINGS)
    brokers = LocalLog(tmp_path / "brokers", TOPICS, SystemClock(), settings=SETTINGS)
    await StoreAndForward(local, brokers).publish([Outgoing("notes", "k", b"here"), Outgoing("orders", "k", b"there")])
    assert await values(local, "notes") == ["here"]
    assert (await values(brokers, "notes"), await values(brokers, "orders")) == ([], ["there"])


@contextlib.contextmanager
def _relay_process(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A relay to kill."""
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen([sys.executable, __file__, str(folder)], cwd=root, env=os.environ | {"PYTHONPATH": root})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    asyncio.run(Host(Path(sys.argv[1])).relay().run(lambda: False))
