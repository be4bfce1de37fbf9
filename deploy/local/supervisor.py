"""Keeps the processes of one machine alive: starts them, restarts what dies, stops them in order.

A child holds a lock (`run/<name>.lock`, inherited by exec) for as long as it lives, so that a supervisor whose predecessor was
killed finds what that one left behind and ends it before it starts its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from deploy.local.folders import announce, withdraw
from services.kit.delivery import backoff
from services.kit.lifecycle import PARENT
from services.kit.settings import Settings

TIED = Path(__file__).with_name("tied.py")
LOG_BYTES = 10 * 1024 * 1024
"""A log larger than this is put aside when its process starts."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run. `grace` is how many seconds it has to end by itself."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    grace: float = 15.0


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Seconds between restarts: doubled from `first` to `most`; anew after `stable` seconds without a death."""

    first: float = 0.2
    most: float = 3.0
    stable: float = 10.0


class Supervisor:
    """`say` gets a line for the terminal: which process ended, and what becomes of it."""

    def __init__(self, settings: Settings, say: Callable[[str], None], pace: Pace | None = None) -> None:
        self._settings, self._say, self._pace = settings, say, pace or Pace()
        self._groups: list[list[Child]] = []

    def start(self, *programs: Program) -> None:
        """Starts a group of programs and keeps them alive until `stop`."""
        self._groups.append([Child(program, self._settings, self._say, self._pace) for program in programs])

    async def stop(self) -> None:
        """Stops all programs, the group started last first; returns when none is left."""
        for group in self._groups:
            for child in group:
                child.stopping.set()  # From here on nothing is restarted.
        while self._groups:
            await asyncio.gather(*(child.end() for child in self._groups.pop()))


class Child:
    """One program that is kept alive."""

    def __init__(self, program: Program, settings: Settings, say: Callable[[str], None], pace: Pace) -> None:
        self._program, self._settings, self._say, self._pace = program, settings, say, pace
        self._process: asyncio.subprocess.Process | None = None
        self.stopping = asyncio.Event()
        self._kept = asyncio.create_task(self._keep())

    async def end(self) -> None:
        """SIGTERM, and SIGKILL past the grace period."""
        self.stopping.set()
        with contextlib.suppress(ProcessLookupError):
            if self._process:
                self._process.terminate()
        if not (await asyncio.wait({self._kept}, timeout=self._program.grace))[0] and self._process:
            self._say(f"{self._program.name}: quá {self._program.grace:.0f} giây chưa dừng, buộc dừng")
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await self._kept

    async def _keep(self) -> None:
        deaths = 0
        while not self.stopping.is_set():
            began = time.monotonic()
            try:
                ending = _ending(await self._run_once())
            except OSError as error:  # A full disk, no process to be had.
                ending = str(error)
            if self.stopping.is_set():
                return
            deaths = 0 if time.monotonic() - began > self._pace.stable else deaths
            wait = backoff(deaths, self._pace.first, self._pace.most)
            deaths += 1
            self._say(f"{self._program.name}: {ending}; chạy lại sau {wait:.1f} giây (nhật ký: {self._log_path})")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), wait)

    async def _run_once(self) -> int:
        name, environment = self._program.name, {PARENT: str(os.getpid()), **self._program.environment}
        with await self._claim() as lock, self._open_log() as log:
            process = self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(TIED), *self._program.command),
                env=os.environ | environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lock.fileno(),),
                process_group=0,  # Ctrl-C is ours alone. Not a session: Linux weighs `nice` within one only (autogroups).
            )
        announce(self._settings, name, process.pid)
        if self.stopping.is_set():  # Set while it was being started.
            process.terminate()
        try:
            return await process.wait()
        finally:
            self._process = None
            withdraw(self._settings, name, process.pid)

    async def _claim(self) -> IO[str]:
        """Takes the lock of this name, from a leftover if need be."""
        path = self._settings.run_dir / f"{self._program.name}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        lock, number = path.open("w"), signal.SIGTERM
        until = time.monotonic() + self._program.grace
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return lock
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                os.kill(json.loads(path.with_suffix(".json").read_text())["pid"], number)
            number = signal.SIGKILL if time.monotonic() > until else signal.SIGTERM
            await asyncio.sleep(0.2)

    @property
    def _log_path(self) -> Path:
        return self._settings.data_dir / "logs" / f"{self._program.name}.log"

    def _open_log(self) -> IO[bytes]:
        path = self._log_path
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return path.open("ab")


def _ending(code: int) -> str:
    if code >= 0:
        return f"đã dừng với mã {code}"
    return f"đã dừng do tín hiệu {signal.Signals(-code).name}"
