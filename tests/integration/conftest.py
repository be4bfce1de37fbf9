"""The one-machine store as a process of its own, and each kind of bus, for the tests that need real ones."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from services.kit.bus import Bus
from services.kit.store import connect, settled
from tests.integration.bus_kit import open_bus
from tests.integration.bus_processes import STARTED

if TYPE_CHECKING:
    from services.kit.store import Database


@pytest.fixture(scope="session")
def store_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a store that lives as long as the session."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("store")
    command = [str(Path(sys.executable).parent / "secantusd-py"), "--standalone", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "store.log").open("wb") as log:
        process = subprocess.Popen([*command, "--storage-path", str(folder / "data")], stdout=log, stderr=log, cwd=folder)
    try:
        _wait_listening(port, process)
        yield f"mongodb://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def _wait_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        assert process.poll() is None, "the store ended"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the store does not listen")


@pytest.fixture(autouse=True)
def no_child_is_left() -> Iterator[None]:
    """A test that fails half-way must not leave its children to burden the next."""
    yield
    for process in STARTED:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
    STARTED.clear()


@pytest.fixture(params=["motor", "pymongo"])
async def database(request: pytest.FixtureRequest, store_url: str) -> AsyncIterator[Database]:
    """An empty database, through each of the drivers."""
    client = connect(store_url, request.param)
    yield client[f"test_{uuid.uuid4().hex[:12]}"]
    await settled(client.close())


@pytest.fixture(params=["local", "kafka"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return f"local:{tmp_path}"
    return f"kafka:{request.getfixturevalue('kafka')}/{uuid.uuid4().hex}."


@pytest.fixture
async def bus_factory(address: str) -> AsyncIterator[Callable[[], Bus]]:
    """Opens the same bus as often as a test asks; each is closed after it."""
    opened: list[Bus] = []

    def factory() -> Bus:
        opened.append(open_bus(address))
        return opened[-1]

    yield factory
    for bus in opened:
        await bus.close()


@pytest.fixture
def bus(bus_factory: Callable[[], Bus]) -> Bus:
    return bus_factory()
