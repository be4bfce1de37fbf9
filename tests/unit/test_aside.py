"""Work done aside: it lets others go first, a machine that is never idle gets it done too, and what fails is said."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from services.kit import aside as kit
from services.kit.aside import Failed, aside

ECHO = (
    "import time; print('half', file=sys.stderr, flush=True); time.sleep(0.3); "
    "sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])"
)
POLICY = "import os; sys.stdin.read(); print(os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0))"
MINE = os.getpriority(os.PRIO_PROCESS, 0)


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", f"import sys; {code}")


async def test_a_task_goes_in_its_result_comes_out_and_it_is_heard() -> None:
    heard: list[str] = []

    async def beat(last: str) -> None:
        heard.append(last)

    task = os.urandom(3_000_000)
    assert await aside(python(ECHO), task, seconds=20, beat=beat, every=0.05) == task[::-1]
    assert heard[-1] == "half"


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="only Linux has idle processes; elsewhere it is nice 19")
async def test_it_is_idle_and_if_that_gets_it_nowhere_begun_anew_and_nice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kit, "PATIENCE_S", 60)
    idle = f"{os.SCHED_IDLE} {MINE}\n".encode()
    assert await aside(python(POLICY), b"", seconds=60) == idle
    monkeypatch.setattr(kit, "PATIENCE_S", 0.5)
    never_idle = f"import os, time; os.sched_getscheduler(0) == {os.SCHED_IDLE} and time.sleep(60); {POLICY}"
    nice = f"{os.SCHED_OTHER} {max(MINE, kit.NICE)}\n".encode()
    assert await aside(python(never_idle), b"", seconds=20, every=0.1) == nice


async def test_what_gets_its_share_stays_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kit, "PATIENCE_S", 0.2)
    monkeypatch.setattr(kit, "SHARE", 0.0)
    slow = f"import time; time.sleep(0.6); {POLICY}"
    assert (await aside(python(slow), b"", seconds=60, every=0.1)).startswith(f"{getattr(os, 'SCHED_IDLE', 0)} ".encode())


async def test_what_cannot_be_started_is_said() -> None:
    with pytest.raises(Failed, match="No such file"):
        await aside(("/nowhere/python",), b"", seconds=20)


async def test_whatever_it_says_is_taken() -> None:
    talkative = python("sys.stderr.write('x' * 1_000_000 + '\\nlast\\n'); sys.stdin.read(); sys.exit(2)")
    with pytest.raises(Failed) as failed:
        await aside(talkative, b"", seconds=20)
    assert (failed.value.status, failed.value.last) == (2, "last")


@pytest.mark.parametrize("code", ["raise SystemExit('no paper')", "sys.stdin.read(); sys.exit('no paper')"])
async def test_what_fails_is_said(code: str) -> None:
    with pytest.raises(Failed, match="exit status 1: no paper"):
        await aside(python(code), bytes(1_000_000), seconds=20)


async def test_what_takes_too_long_or_is_not_wanted_any_more_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    sleeps = python(f"import os, time; open({str(file)!r}, 'w').write(str(os.getpid())); time.sleep(60)")
    with pytest.raises(Failed, match="too long"):
        await aside(sleeps, b"", seconds=1.0)
    with pytest.raises(ProcessLookupError):
        os.kill(int(file.read_text()), 0)
    file.unlink()
    task = asyncio.create_task(aside(sleeps, b"", seconds=30))
    while not (file.exists() and file.read_text()):
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(int(file.read_text()), 0)


async def test_a_beat_that_raises_ends_it() -> None:
    async def beat(last: str) -> None:
        raise KeyError(last)

    with pytest.raises(KeyError):
        await aside(python("import time; time.sleep(60)"), b"", seconds=30, beat=beat, every=0.01)
