"""The supervisor restarts what dies, stops in order, ends what a killed predecessor left, and shares DATA_DIR with nobody."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from deploy.local.folders import free_port, only_one
from deploy.local.refusal import Refusal
from deploy.local.supervisor import Pace, Program, Supervisor
from services.kit.settings import Settings

FAST = Pace(first=0.02, most=0.1, stable=30)
SLEEPS = (sys.executable, "-S", "-c", "import time; time.sleep(600)")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
async def supervisor(settings: Settings, lines: list[str]) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(settings, lines.append, FAST)
    yield supervisor
    await supervisor.stop()


def pid_of(settings: Settings, name: str) -> int | None:
    with contextlib.suppress(FileNotFoundError):
        pid: int = json.loads((settings.run_dir / f"{name}.json").read_text())["pid"]
        return pid
    return None


async def until(condition: Callable[[], object], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        # A child that nobody has waited for is dead all the same.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


async def test_what_it_starts_is_out_of_ctrl_cs_reach_but_of_its_session(supervisor: Supervisor, settings: Settings) -> None:
    supervisor.start(Program(name="a", command=SLEEPS))
    await until(lambda: pid_of(settings, "a"))
    pid = pid_of(settings, "a")
    assert pid
    assert os.getpgid(pid) == pid
    assert os.getsid(pid) == os.getsid(0), "nice is weighed within a session"


async def test_restarts_what_was_killed_and_says_so(supervisor: Supervisor, settings: Settings, lines: list[str]) -> None:
    supervisor.start(Program(name="one", command=SLEEPS))
    await until(lambda: pid_of(settings, "one"))
    first = pid_of(settings, "one")
    assert first
    os.kill(first, signal.SIGKILL)
    await until(lambda: pid_of(settings, "one") not in {None, first})
    assert len(lines) == 1
    assert "SIGKILL" in lines[0]


async def test_restarts_again_and_again_what_keeps_dying(supervisor: Supervisor, lines: list[str]) -> None:
    supervisor.start(Program(name="one", command=(sys.executable, "-S", "-c", "raise SystemExit(3)")))
    await until(lambda: len(lines) >= 4)
    assert all("mã 3" in line for line in lines)


async def test_keeps_what_a_program_prints(supervisor: Supervisor, settings: Settings) -> None:
    supervisor.start(Program(name="one", command=(sys.executable, "-S", "-c", "print('xin chào', flush=True); input()")))
    await until(lambda: "xin chào" in log.read_text() if (log := settings.data_dir / "logs" / "one.log").exists() else False)


async def test_stops_the_group_started_last_first(settings: Settings, tmp_path: Path) -> None:
    told = tmp_path / "told"
    code = (
        "import signal, sys, time\n"
        f"def end(*_):\n    open({str(told)!r}, 'a').write(sys.argv[1] + ' '); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\nprint('ready', flush=True)\ntime.sleep(600)"
    )
    supervisor = Supervisor(settings, print, FAST)
    for name in ("store", "web"):
        supervisor.start(Program(name=name, command=(sys.executable, "-S", "-c", code, name)))
    logs = [settings.data_dir / "logs" / f"{name}.log" for name in ("store", "web")]
    await until(lambda: all(log.exists() and log.read_text() for log in logs))
    await supervisor.stop()
    assert told.read_text() == "web store "
    assert not list(settings.run_dir.glob("*.json"))


async def test_kills_what_does_not_end_within_its_grace(settings: Settings, lines: list[str]) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
    supervisor = Supervisor(settings, lines.append, FAST)
    supervisor.start(Program(name="deaf", command=(sys.executable, "-S", "-c", code), grace=0.2))
    log = settings.data_dir / "logs" / "deaf.log"
    await until(lambda: log.exists() and log.read_text())
    pid = pid_of(settings, "deaf")
    assert pid
    await supervisor.stop()
    assert not alive(pid)


OTHER = """
import asyncio, sys
from pathlib import Path
from deploy.local.supervisor import Program, Supervisor
from services.kit.settings import Settings
async def main():
    Supervisor(Settings(data_dir=Path(sys.argv[1])), print).start(Program(name="one", command=sys.argv[2:]))
    await asyncio.sleep(600)
asyncio.run(main())
"""


def other_supervisor(settings: Settings, command: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", OTHER, str(settings.data_dir), *command])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has died")
async def test_programs_end_with_their_supervisor(settings: Settings) -> None:
    other = other_supervisor(settings, SLEEPS)
    await until(lambda: pid_of(settings, "one"))
    pid = pid_of(settings, "one")
    assert pid
    other.kill()
    other.wait()
    await until(lambda: not alive(pid))


async def test_ends_what_a_killed_predecessor_left_behind(supervisor: Supervisor, settings: Settings) -> None:
    # Deaf to SIGTERM for a while, as a store that is closing its files.
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
    other = other_supervisor(settings, (sys.executable, "-S", "-c", code))
    log = settings.data_dir / "logs" / "one.log"
    await until(lambda: log.exists() and log.read_text())
    left = pid_of(settings, "one")
    assert left
    other.kill()
    other.wait()
    assert alive(left)
    supervisor.start(Program(name="one", command=SLEEPS, grace=0.3))
    await until(lambda: pid_of(settings, "one") not in {None, left})
    assert not alive(left)


def test_two_do_not_share_a_data_directory(settings: Settings) -> None:
    with only_one(settings), pytest.raises(Refusal), only_one(settings):
        pass
    with only_one(settings):
        pass


def test_a_taken_port_is_found_before_anything_starts() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            free_port(taken.getsockname()[1])
    assert free_port() > 0
