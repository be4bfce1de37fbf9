"""A whole installation, started as `make run` starts it, in a folder and on a port of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

import httpx

from deploy.kafka.cluster import free_ports
from services.kit.settings import Settings

HOITHI = str(Path(sys.executable).parent / "hoithi")


def free_port() -> int:
    """A port that nobody listens on, and that no client is given while its server is down."""
    return free_ports(1)[0]


class Site:
    """`hoithi up` as a context: up on entry, stopped cleanly on exit."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.data, self.port = folder / "data", free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = os.environ | {"DATA_DIR": str(self.data), "PORT": str(self.port), "HOITHI_HOST": "127.0.0.1"} | settings
        self._log = folder / "up.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Site:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([HOITHI, "up"], env=self.env, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            self.wait_ready(180)
        except BaseException:
            # Else it would go on without anybody, and start again and again what cannot run.
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(40)
        finally:
            self._process.kill()

    @property
    def settings(self) -> Settings:
        """What its processes are given, for those who look into it from here."""
        return Settings(
            data_dir=self.data, bus=self.env.get("HOITHI_BUS", "local"), kafka_prefix=self.env.get("HOITHI_KAFKA_PREFIX", "")
        )

    @property
    def output(self) -> str:
        """What `hoithi up` has printed so far."""
        return self._log.read_text()

    def wait_ready(self, seconds: float) -> None:
        """Returns when /readyz answers 200."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if httpx.get(self.url + "/readyz", timeout=2).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            assert self._process is None or self._process.poll() is None, self.output
            time.sleep(0.1)
        raise AssertionError(f"not ready after {seconds} s:\n{self.output[-3000:]}")

    def hoithi(self, *words: str, expect: int | None = 0, text: str | None = None) -> str:
        """Runs the command against this installation and returns what it prints."""
        done = subprocess.run(
            [HOITHI, *words], env=self.env, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300
        )
        assert expect is None or done.returncode == expect, done.stdout
        return done.stdout

    def admin_path(self) -> str:
        """The path of the admin link."""
        found = re.search(r"/console/login\?key=[0-9a-f]+", self.hoithi("admin-link").replace("\n", ""))
        assert found
        return found.group()

    def pids(self) -> dict[str, int]:
        """The pids of the running processes by name."""
        return {p.stem: json.loads(p.read_text())["pid"] for p in (self.data / "run").glob("*.json")}

    def kill(self, name: str) -> None:
        """SIGKILL to one process."""
        os.kill(self.pids()[name], signal.SIGKILL)
